import socket
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import EnECGError, ReadError
from enecg.formats import read
from enecg.formats._candidate import Candidate
from enecg.formats._xml import decoded, elements, measured, number, numbers, root_of, said

ROOTS = ["AnnotatedECG", "RestingECG", "CardiologyXML", "restingecgdata"]
BOMB = "".join(f'<!ENTITY {name} "{f"&{below};" * 10}">' for below, name in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.fixture
def written(tmp_path):
    """Writes a file. Returns its path."""

    def write(content, name="one.xml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# -- what a file could do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "aaaaaaaaaa">' + BOMB,
        '<!ENTITY i "harmless">',
        '<!ENTITY i SYSTEM "file:///etc/hostname">',
        '<!ENTITY % i SYSTEM "file:///etc/hostname"> %i;',
        '<!NOTATION n SYSTEM "n"><!ENTITY i SYSTEM "file:///etc/hostname" NDATA n>',
        '<!ATTLIST i j CDATA "what every i would have">',
        "<!ELEMENT i ANY>",
    ],
    ids=["bomb", "internal", "external", "parameter", "unparsed", "default", "element"],
)
def test_a_file_that_declares_anything_is_refused_by_each_format_and_nothing_of_it_is_told(written, root, declared):
    path = written(f"<!DOCTYPE {root} [{declared}]><{root}><i>&i;</i></{root}>")
    started = time.process_time()
    with pytest.raises(ReadError, match="DOCTYPE declares") as refused:
        read(path)
    assert time.process_time() - started < 1
    assert str(path) in str(refused.value)
    with open("/etc/hostname") as file:
        assert file.read().strip() not in str(refused.value)


@pytest.mark.parametrize("root", ROOTS)
def test_an_entity_that_nothing_declares_is_an_error(written, root):
    path = written(f"<{root}><i>&nowhere;</i></{root}>")
    with pytest.raises(ReadError, match="undefined entity"):
        read(path)


def test_a_doctype_that_names_a_file_elsewhere_is_allowed_and_not_fetched(written):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        called = []
        server.settimeout(0.3)

        def wait():
            try:
                called.append(server.accept())
            except TimeoutError:
                return

        waiting = threading.Thread(target=wait)
        waiting.start()
        port = server.getsockname()[1]
        root = elements(written(f'<!DOCTYPE r SYSTEM "http://127.0.0.1:{port}/restecg.dtd"><r><a>1</a></r>'))
        waiting.join()
    assert said(root, "a") == "1"
    assert not called


@pytest.mark.parametrize(
    "content",
    [
        "<a>" * 100_000,
        "<r>" + "<a>" * 300 + "</a>" * 300 + "</r>",
        "<r>" + "<a/>" * 300_000 + "</r>",
        "<r " + " ".join(f'a{n}=""' for n in range(10_000)) + "/>",
        "<r>" + "x" * 17_000_000 + "</r>",
    ],
    ids=["deep", "deep and whole", "many", "attributes", "large"],
)
def test_size_number_and_depth_are_bounded(written, content):
    path = written(content)
    started = time.process_time()
    with pytest.raises(ReadError, match=r"over 16 MiB|over 200,000 elements") as refused:
        elements(path)
    assert time.process_time() - started < 5
    assert str(path) in str(refused.value)


def test_a_long_attribute_or_name_is_only_data(written):
    long = "x" * 5_000_000
    assert said(elements(written(f'<r a="{long}"/>')), "@a") == long
    assert elements(written(f"<{long}/>")).tag == long


@pytest.mark.parametrize(
    "content", ["", "   ", "<r>", "<r></s>", "<r a=1/>", "<r/><r/>", "<r>\x01</r>", b"<r>\xff\xff</r>"]
)
def test_what_is_no_xml_is_an_error_that_names_the_file(written, content):
    path = written(content)
    with pytest.raises(ReadError, match="not XML that can be read") as refused:
        elements(path)
    assert str(path) in str(refused.value)


@given(content=st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("xml") / "one.xml"
    path.write_bytes(b"<r>" + content + b"</r>")
    refused = None
    try:
        elements(path)
    except ReadError as error:
        refused = error
    assert refused is None or str(path) in str(refused)


# -- letters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("UTF-8", b""),
        ("UTF-8", b"\xef\xbb\xbf"),
        ("UTF-16", b""),  # Python writes the mark itself
        ("UTF-16LE", b"\xff\xfe"),
        ("UTF-16BE", b"\xfe\xff"),
        ("ISO-8859-1", b""),
        ("ISO8859-1", b""),
        ("windows-1252", b""),
    ],
)
def test_letters_are_those_that_the_file_says(written, encoding, mark):
    declared = "UTF-16" if encoding.startswith("UTF-16") else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?><r><a>Überleitung gestört</a></r>'
    path = written(mark + text.encode(encoding))
    assert said(elements(path), "a") == "Überleitung gestört"
    assert root_of(Candidate(path)) == "r"


@pytest.mark.parametrize("encoding", ["no-such-encoding", "shift_jis", "UTF-16"])
def test_letters_of_no_known_encoding_are_an_error(written, encoding):
    with pytest.raises(ReadError, match="not XML that can be read"):
        elements(written(f'<?xml version="1.0" encoding="{encoding}"?><r/>'))


# -- recognising -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "/>"),
        ("", ">"),
        ("\n \t", ' xmlns="urn:x">'),
        ('<?xml version="1.0"?>\n', "/>"),
        ("<?xml version='1.0'?><!-- <a> -- --><!----><?style x > y?>\n", "/>"),
        ('<!DOCTYPE one SYSTEM "one.dtd">', "/>"),
        ('<!DOCTYPE one [<!ENTITY a "]">\n<!ENTITY b "b">] >', "/>"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "p:"])
def test_the_root_is_found_behind_what_may_stand_before_it(written, before, after, prefix):
    assert root_of(Candidate(written(f"{before}<{prefix}one.two-3{after}"))) == "one.two-3"


@pytest.mark.parametrize(
    "content", ["", "text", "I,II\n0.1,0.2", "<!-- <one/>", "<?xml", "<!DOCTYPE one [", "< one/>", "</one>"]
)
def test_what_has_no_root_has_none(written, content):
    assert root_of(Candidate(written(content))) == ""


@given(content=st.binary(max_size=300))
def test_recognising_raises_for_no_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("xml") / "one"
    path.write_bytes(content)
    assert isinstance(root_of(Candidate(path)), str)


def test_recognising_is_quick_whatever_stands_there(written):
    for content in (
        "<!---->" * 9000,
        "<!DOCTYPE " + "[" * 60_000,
        "<!DOCTYPE a [" + "] " * 30_000,
        " " * 65_000,
        "<?" * 30_000,
    ):
        candidate = Candidate(written(content))
        started = time.process_time()
        assert root_of(candidate) == ""
        assert time.process_time() - started < 0.5


@pytest.mark.parametrize("root", ROOTS)
def test_each_root_belongs_to_one_reader_and_another_root_to_none(written, root):
    with pytest.raises(EnECGError, match=r"no (rhythm series|waveform|StripData)|document of type"):
        read(written(f"<{root}/>", "no.ending"))
    with pytest.raises(ReadError, match="not a recording of a known format"):
        read(written(f"<{root}s/>"))


# -- text and numbers ------------------------------------------------------------------------------------------------


def test_places_are_found_whatever_their_namespace(written):
    root = elements(written('<r xmlns="urn:x" xmlns:y="urn:y" y:type="other" type="own"><y:a y:b=" 1 "/><c> </c></r>'))
    assert said(root, "a@b") == "1"
    assert said(root, "@type") == "own"
    assert said(root, "c", "a", "nowhere", "a@b") == "1"
    assert said(root, "c") is None
    assert said(None, "a") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("2.5", 2.5), (" -1e2\n", -100), ("Failed", None), ("", None), ("nan", None), ("inf", None), ("1,5", None)],
)
def test_a_number_is_finite_or_none(written, text, value):
    assert number(elements(written(f"<r><a>{text}</a></r>")), "a") == value


def test_measurements_of_zero_stand_for_none_and_axes_of_zero_for_themselves(written):
    root = elements(written("<r><pr>0</pr><qt>400</qt><rate>-1</rate><axis>0</axis><t>Failed</t></r>"))
    places = {
        "pr_ms": ("pr",),
        "qt_ms": ("no", "qt"),
        "rate_bpm": ("rate",),
        "qrs_axis_deg": ("axis",),
        "t_axis_deg": ("t",),
    }
    assert measured(root, places) == {"qt_ms": 400, "qrs_axis_deg": 0}


@given(st.lists(st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.data())
def test_numbers_come_back_whatever_blanks_stand_between(values, data):
    separator = data.draw(st.sampled_from([" ", ","]))
    between = " \n\t " if separator == " " else ",\n\t "
    text = between.join(map(str, values))
    found = numbers("one.xml", "II", f"\n {text}{data.draw(st.sampled_from(['', separator, ' ']))}", separator)
    np.testing.assert_array_equal(found, np.array(values, dtype=np.float64))


@pytest.mark.parametrize(("text", "separator"), [("", " "), (" \n ", " "), (None, " "), ("", ",")])
def test_no_text_holds_no_samples(text, separator):
    assert len(numbers("one.xml", "II", text, separator)) == 0


@pytest.mark.parametrize(
    ("text", "separator", "n"),
    [
        ("1 2 x 4", " ", 4),
        ("1 2,3", " ", 2),
        ("1,,3", ",", 3),
        (",1", ",", 2),
        ("1 2", ",", 1),
        ("1,2", " ", 1),
        ("1 ٣", " ", 2),
        ("1 0x10", " ", 2),
        ("1 1_0", " ", 2),
        ("1 2-3", " ", 2),
    ],
)
def test_what_is_no_number_is_an_error_that_names_the_lead(text, separator, n):
    with pytest.raises(ReadError, match=rf"one\.xml: lead II: not all of its {n} "):
        numbers("one.xml", "II", text, separator)


def test_base64_may_be_broken_into_lines_and_nothing_else():
    assert decoded("one.xml", "lead II", "\n AQ\nID \n") == b"\x01\x02\x03"
    for damaged in ("AQI", "AQ*D", "AQIé", "====", "A=QI"):
        with pytest.raises(ReadError, match=r"one\.xml: lead II: not Base64"):
            decoded("one.xml", "lead II", damaged)
