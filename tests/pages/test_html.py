"""Whatever is said on a page is text, and stays text."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import WriteError
from enecg.pages import Html, check_name, write_page
from enecg.pages._html import element, items, joined, table, text

ANY = st.text(st.characters(codec=None), max_size=60)


@given(ANY)
def test_text_has_no_sign_that_html_would_take_for_its_own(said):
    made = text(said)
    assert not set("<>\"'") & set(made)
    # Every & begins one of the five that are written.
    rest = made
    for own in ("&amp;", "&lt;", "&gt;", "&quot;", "&#x27;"):
        rest = rest.replace(own, "")
    assert "&" not in rest
    made.encode()  # bytes that are no text are written out


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Cn"]), max_size=60))
def test_what_is_read_is_what_was_said(said):
    assert html.unescape(text(said)) == said


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a\x00b", r"a\x00b"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\u2067right", r"\u2067right"),
        ("name\udcff", r"name\udcff"),
        ("two\nlines\tand", "two\nlines\tand"),
    ],
    ids=["nul", "right to left", "isolate", "no text", "white space"],
)
def test_signs_that_nobody_sees_are_written_out(said, read):
    assert html.unescape(text(said)) == read


@given(ANY, ANY)
def test_an_attribute_cannot_be_left(value, said):
    made = element("td", said, class_="one", title=value)
    assert made.count("<") == 2
    assert made.count('"') == 4


def test_html_is_not_escaped_again_and_nothing_becomes_html_by_joining():
    inner = element("b", "<i>")
    assert element("p", inner, "<i>") == "<p><b>&lt;i&gt;</b>&lt;i&gt;</p>"
    assert joined(["<", inner], " & ") == "&lt; &amp; <b>&lt;i&gt;</b>"
    assert isinstance(joined(["<"]), Html)
    assert not isinstance(inner + "<i>", Html)


def test_a_cell_that_only_looks_like_one_is_text():
    made = table("all", ["", "b"], [["row", "<td>no</td>"], ["row", element("td", "yes", colspan=2)]])
    assert made.count("<td") == 2
    assert "&lt;td&gt;no" in made


def test_an_empty_list_is_nothing():
    assert items([]) == ""
    assert items(["<"]) == "<ul><li>&lt;</li></ul>"


@pytest.mark.parametrize("name", ["page.pdf", "page", "page.html.txt"])
def test_a_page_has_a_pages_name(name, tmp_path):
    with pytest.raises(WriteError, match=r"ends with \.html"):
        check_name(tmp_path / name)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "page.html"
    write_page(path, [Html("one"), Html("→")])
    assert path.read_bytes() == "one→".encode()

    def broken():
        yield Html("two")
        raise WriteError("stopped")

    with pytest.raises(WriteError, match="stopped"):
        write_page(path, broken())
    assert path.read_text(encoding="utf-8") == "one→"
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(WriteError, match=r"page\.html: the report cannot be written"):
        write_page(tmp_path / "file" / "page.html", [Html("one")])
