import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.formats._lines import lines_of, statement_lines, taken
from enecg.recording import Recording

TEXTS = st.text(st.characters(), max_size=200)


def recording(**facts) -> Recording:
    return Recording(signal=[[0.0]], rate=100, leads=("I",), **facts)


@given(
    subject=st.none() | TEXTS,
    statements=st.lists(TEXTS, max_size=5),
    notes=st.lists(TEXTS, max_size=3),
    measurements=st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    some=st.integers(0, 3),
)
def test_whatever_is_put_into_lines_is_taken_back_from_them(subject, statements, notes, measurements, some):
    said = recording(subject=subject, statements=tuple(statements), notes=tuple(notes), measurements=measurements)
    lines = [*statement_lines(said, lambda text: len(text) > some), *lines_of(said, {})]
    facts, notes_again, statements_again = taken(lines)
    assert facts == {k: v for k, v in (("subject", subject), ("measurements", measurements)) if v not in (None, {})}
    assert (notes_again, statements_again) == (notes, statements)


@given(texts=st.lists(TEXTS, max_size=3))
def test_lines_are_short_ascii_without_tags_or_doubled_blanks(texts):
    for line in lines_of(recording(notes=tuple(texts), device="".join(texts)), {}):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 1_024
        assert "<" not in line
        assert "  " not in line


def test_only_what_the_format_does_not_hold_is_told():
    said = recording(age=51.5, sex="male", device="A", measurements={"qt_ms": 400.0, "x": 1.0})
    held = {"age": 51.5, "device": "B", "measurements": {"qt_ms": 400.0}, "rate": 100.0}
    assert lines_of(said, held) == [
        'enecg sex: "male"',
        'enecg device: [0, 0, "A"]',
        'enecg measurements: {"x": 1.0}',
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("enecg", "enecg age", "enecg age: ", "enecg age: old", "enecg age: true", "enecg age: null", "enecg x: 1"),
        *("enecg age: NaN", "enecg rate: Infinity", f"enecg age: 1{400 * '0'}", f"enecg age: {5000 * '1'}"),
        *('enecg sex: "robot"', 'enecg acquired: "today"', "enecg acquired: 5", "enecg measurements: [1]"),
        *('enecg measurements: {"a": "b"}', 'enecg note: "x"', 'enecg statement: [0, "x"]', "enecg note: [0, 0, 1]"),
        *("enecg note: [true, 0, 1]", "enecg note: " + "[" * 100_000, "ENECG age: 5"),
    ],
    ids=lambda text: text[:30],
)
def test_what_no_line_of_ours_says_is_a_statement(text):
    assert taken([text]) == ({}, [], [text])


def test_numbers_beyond_the_end_put_a_statement_at_the_end():
    assert taken(["a", 'enecg statement: [99999999999999, 0, "z"]', "b"])[2] == ["a", "b", "z"]
