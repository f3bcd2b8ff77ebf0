"""A page as a browser has it: parsed strictly, and asked what every page must keep to."""

import html.parser

import pytest

from enecg.pages import Html

VOID = {"br", "meta", "hr"}
SAFE = set(
    "html head body meta title style header footer section article nav div span p h1 h2 h3 h4 ul li a strong code "
    "table caption thead tbody tr th td figure figcaption svg path line rect circle text".split()
)


class Page(html.parser.HTMLParser):
    """Elements with attributes and text; raises where one is not closed, or closed by another's end."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source, self.elements, self.open = source, [], []
        self.feed(source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), names
        self.elements.append({"tag": tag, **dict(attributes), "text": ""})
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, tag
        last = self.open.pop()
        assert last["tag"] == tag, (last, tag)

    def handle_data(self, data):
        for one in self.open:
            one["text"] += data

    def all(self, tag, **attributes):
        """Elements of a kind, with these attributes; `class_` is one of the element's classes."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}

        def fits(one):
            classes = wanted.get("class")
            rest = {name: value for name, value in wanted.items() if name != "class"}
            return (classes is None or classes in (one.get("class") or "").split()) and rest.items() <= one.items()

        return [one for one in self.elements if one["tag"] == tag and fits(one)]

    @property
    def text(self):
        """Everything that is to be read."""
        return self.all("body")[0]["text"]

    def check(self):
        """What holds for every page."""
        assert self.source.startswith("<!DOCTYPE html>\n<html lang=")
        assert {one["tag"] for one in self.elements} <= SAFE
        attributes = {name for one in self.elements for name in one if name not in ("tag", "text")}
        assert not {name for name in attributes if name.startswith("on")}
        assert not attributes & {"src", "srcset", "style", "xlink:href", "action", "formaction", "data"}
        # Nothing is fetched: no address stands anywhere but in what is to be read.
        for one in self.elements:
            values = [value for name, value in one.items() if name not in ("tag", "text") and value]
            assert not [value for value in values if "//" in value or "url(" in value], one
        [style] = self.all("style")
        assert "url(" not in style["text"]
        assert "@import" not in style["text"]
        [policy] = self.all("meta", http_equiv="Content-Security-Policy")
        assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
        ids = [one["id"] for one in self.elements if "id" in one]
        assert len(ids) == len(set(ids))
        assert {link["href"] for link in self.all("a")} <= {f"#{name}" for name in ids}
        assert len(self.all("h1")) == len(self.all("title")) == 1
        for picture in self.all("svg"):
            assert picture.get("aria-hidden") == "true" or (picture["role"] == "img" and picture["aria-label"])
        assert all(cell["scope"] in ("row", "col") for cell in self.all("th"))
        assert "not a medical device" in self.text
        return self


@pytest.fixture(scope="session")
def parsed():
    """parsed(parts of a page) -> Page, checked."""

    def parse(parts):
        made = list(parts)
        assert all(isinstance(part, Html) for part in made)
        return Page("".join(made)).check()

    return parse
