"""The page around the parts: its head, its style, and how it comes to disk."""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from enecg._version import __version__
from enecg.errors import WriteError
from enecg.files import written_aside
from enecg.pages._html import Html, element

ENDINGS = (".html", ".htm")

# Nothing is ever fetched, and what the page says of itself a browser enforces.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def check_name(path: Path) -> None:
    """Raises WriteError for a name whose ending is not that of a page."""
    if path.suffix.lower() not in ENDINGS:
        raise WriteError(f"{path}: a report is a page for a browser; choose a name that ends with {ENDINGS[0]}")


def write_page(path: str | Path, parts: Iterable[Html]) -> None:
    """Write a page, a part at a time. Raises WriteError; what was there before stays then."""
    path = Path(path)
    check_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside, aside.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
    except OSError as error:
        raise WriteError(f"{path}: the report cannot be written ({error}); choose a folder that has room") from error


def document(title: str, parts: Iterable[Html]) -> Iterator[Html]:
    """The whole page, in parts."""
    style = files("enecg.pages").joinpath("style.css").read_text(encoding="utf-8")
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"enecg {__version__}"),
        element("title", title),
        element("style", Html(style)),
    ]
    yield Html(f'<!DOCTYPE html>\n<html lang="en">\n{element("head", *head)}\n<body>\n')
    for part in parts:
        yield Html(f"{part}\n")
    yield Html("</body>\n</html>\n")


def research_only() -> Html:
    """What every page says."""
    return element("p", element("strong", "Research use only. "), _NO_DEVICE, class_="warning")


_NO_DEVICE = "This is not a medical device; it must not be used to diagnose or treat anyone."
