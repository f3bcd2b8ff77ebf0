"""HTML that cannot be broken out of: whatever is not marked as HTML is text, and text is escaped.

Names of files and statements of machines are anybody's: they may hold tags, quotes, bytes that are no text, or signs
that turn the direction of writing.
"""

import html
from collections.abc import Iterable

from enecg.recording import legible

_VOID = frozenset({"br", "meta", "hr", "path", "line", "rect", "circle"})
"""Elements without content; those of SVG among them are closed in themselves."""
_SVG = frozenset({"path", "line", "rect", "circle"})

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
_DIRECTIONS = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}
_SEEN = _CONTROLS | _DIRECTIONS | {code: f"\\u{code:04x}" for code in (0x061C, 0x2028, 0x2029, 0xFFFE, 0xFFFF)}
"""What a browser would drop, or what would turn the text around it, is written out."""


class Html(str):
    """HTML that is made already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Any text as HTML."""
    return value if isinstance(value, Html) else Html(html.escape(legible(str(value)).translate(_SEEN)))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """One after the other, with text between them."""
    return Html(text(between).join(text(part) for part in parts))


def element(name: str, /, *parts: object, **attributes: object) -> Html:
    """An element. attributes : `class_` is class, `aria_label` is aria-label; None is left out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{said}{'/' if name in _SVG else ''}>")
    return Html(f"<{name}{said}>{joined(parts)}</{name}>")


def table(caption: object, head: Iterable[object], rows: Iterable[Iterable[object]], class_: str | None = None) -> Html:
    """A table whose rows begin with their names; cells that are elements (`td`) already stay so."""
    heads = element("tr", *(element("th", cell, scope="col") for cell in head))
    lines = []
    for name, *cells in rows:
        made = [cell if _is_cell(cell) else element("td", cell) for cell in cells]
        lines.append(element("tr", element("th", name, scope="row"), *made))
    parts = [element("thead", heads), element("tbody", *lines)]
    if caption:
        parts.insert(0, element("caption", caption))
    return element("div", element("table", *parts, class_=class_), class_="wide")


def _is_cell(value: object) -> bool:
    return isinstance(value, Html) and value.startswith("<td")


def items(parts: Iterable[object], class_: str | None = None) -> Html:
    """A list; nothing where there is nothing to list."""
    made = [element("li", part) for part in parts]
    return element("ul", *made, class_=class_) if made else Html()
