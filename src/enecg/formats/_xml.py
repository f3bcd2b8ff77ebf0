"""The one way from an XML file to its elements, and from their text to numbers.

XML can do more than hold data, and none of it is wanted of an ECG: a file with declarations of its own is refused (an
entity may name a file of this machine or expand to gigabytes, as may an attribute's default), nothing is ever fetched,
and the file's size and its elements' number and depth are bounded. A DOCTYPE alone is allowed, for MUSE writes one. The
parser is given bytes: which letters they are is for the file to say (Philips writes UTF-16, MUSE and CardioSoft
ISO-8859-1).
"""

import math
import re
import warnings
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import possible
from enecg.recording import millivolts_per

LARGEST = 16 * 2**20
"""Bytes: ten seconds of twelve leads have some 300,000 as text; this is nine minutes of them."""

_MOST_ELEMENTS = 200_000
_MOST_ATTRIBUTES = 100
_DEEPEST = 200
"""Elements in one another; an annotated ECG has some 30."""

_PROLOGUE = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(\[.*?\]\s*)?>", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")


def root_of(candidate: Candidate) -> str:
    """Name of the root element, without prefix; empty if this is not XML. Reads no further than that element."""
    text, at = candidate.text, 0
    while skipped := _PROLOGUE.match(text, at):
        at = skipped.end()
    root = _ROOT.match(text, at)
    return root[1] if root else ""


def elements(path: Path) -> Element:
    """The root element, names of elements and attributes without their namespaces. Raises ReadError."""
    from defusedxml.common import DefusedXmlException, DTDForbidden
    from defusedxml.ElementTree import DefusedXMLParser

    def doctype(name: str, system: str | None, public: str | None, has_declarations: int) -> None:
        if has_declarations:
            raise DTDForbidden(name, system, public)

    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ReadError(f"{path}: over {LARGEST >> 20} MiB of XML; expected less. Cut the recording into parts")
    try:
        parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=False, forbid_entities=True, forbid_external=True)
        parser.parser.StartDoctypeDeclHandler = doctype
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise ReadError(
            f"{path}: its DOCTYPE declares entities or the like, which no ECG needs and an attack does; not read"
        ) from error
    except (ParseError, LookupError, ValueError) as error:  # the latter two: letters of no known encoding
        raise ReadError(
            f"{path}: not XML that can be read ({error}); the file is damaged or cut: copy it again"
        ) from error
    return root


class _Bounded(TreeBuilder):
    """Builds elements without namespaces, up to a number and depth that an ECG has no need to pass."""

    def __init__(self) -> None:
        super().__init__()
        self._n_elements = self._depth = 0

    def start(self, tag: str, attrs: Mapping[str, str]) -> Element:
        self._n_elements += 1
        self._depth += 1
        if self._n_elements > _MOST_ELEMENTS or self._depth > _DEEPEST or len(attrs) > _MOST_ATTRIBUTES:
            raise ValueError(
                f"over {_MOST_ELEMENTS:,} elements, {_DEEPEST} in one another or {_MOST_ATTRIBUTES} attributes of one"
            )
        plain = {_local(name): value for name, value in attrs.items() if "}" in name}
        return super().start(_local(tag), plain | {name: value for name, value in attrs.items() if "}" not in name})

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def said(element: Element | None, *places: str) -> str | None:
    """Text of the first of these places that has any: `a/b` an element's, `a/b@c` or `@c` its attribute's."""
    for place in places if element is not None else ():
        where, _, attribute = place.partition("@")
        found = element.find(where) if where else element  # type: ignore[union-attr]
        text = None if found is None else found.get(attribute) if attribute else found.text
        if text and text.strip():
            return text.strip()
    return None


def number(element: Element | None, *places: str) -> float | None:
    """The number at the first of these places that has text; None where there is none, or none that is finite."""
    try:
        value = float(said(element, *places) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def measured(element: Element | None, places: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Those of these measurements that are at one of their places; times and rates of zero or less stand for none."""
    found = {name: number(element, *at) for name, at in places.items()}
    return {name: value for name, value in found.items() if value is not None and possible(name, value)}


def millivolts(unit: str | None, ask: Ask, where: str) -> float:
    """In one of the file's units or, if it says none, the caller's. Raises UnitError, beginning with `where`."""
    if unit is None:
        return ask.millivolts(where)
    try:
        return millivolts_per(unit)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from error


def numbers(path: Path, lead: str, text: str | None, separator: str = " ") -> npt.NDArray[np.float64]:
    """The samples [sample] in a text. Raises ReadError, naming the lead, where anything else stands in it."""
    text = (text or "").strip()
    text = text.removesuffix(separator)
    if not text:
        return np.empty(0)
    letters = np.frombuffer(text.encode(), np.uint8)
    if separator == " ":
        blank = letters <= ord(" ")
        n_samples = 1 + int(np.count_nonzero(blank[1:] & ~blank[:-1]))
    else:
        n_samples = 1 + text.count(separator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how numpy before 2.3 tells what ValueError tells since
        try:
            found = np.fromstring(text, sep=separator)
        except ValueError:
            found = np.empty(0)
    if len(found) != n_samples:
        raise ReadError(f"{path}: lead {lead}: not all of its {n_samples:,} samples are numbers; copy the file again")
    return found


def decoded(path: Path, what: str, text: str | None) -> bytes:
    """The bytes that a text in Base64 stands for. Raises ReadError, naming what they are."""
    try:
        return b64decode("".join((text or "").split()), validate=True)
    except ValueError as error:
        raise ReadError(f"{path}: {what}: not Base64 ({error}); the file is damaged: copy it again") from error
