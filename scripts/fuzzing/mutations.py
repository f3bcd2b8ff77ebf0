"""Ways in which a file can be damaged, or made to attack its reader. Each takes bytes and gives other bytes."""

import random
import re
import struct
from collections.abc import Callable

LARGEST = 4 * 2**20
"""Bytes of a mutated file."""

_HEADER = 1024
"""Bytes at the beginning that are damaged as often as all others together: there stands what a reader believes."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD = re.compile(rb"[^\s,;=\"'<>/\0-\x1f]{1,80}")
_PLACE = re.compile(rb"[\w./-]{1,40}\.(?:dat|hea|mat|dtd|h5|hdf5|json)")

_NUMBERS = (b"0", b"-1", b"1", b"9" * 9, b"4294967296", b"9" * 30, b"1e308", b"-1e308", b"1e-320", b"nan", b"inf", b"")
_NUMBERS += (b"0.5", b"2147483647", b"-2147483648", b"65535", b"1e9", b"00", b"1_0", "١".encode(), b"0x10")
_EXTREMES = (0, 1, -1, 2, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63)

_WIDE = (b"\xff\xfe", b"\xfe\xff")

Mutation = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, others: list[bytes], canary: str, rng: random.Random) -> bytes:
    """The data with one to five mutations.

    others : files from which a part may come;  canary : path of a file that no reader may open.
    """
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        text = data[:2] in _WIDE or b"\0" not in data[:_HEADER]
        one = rng.choice(OF_TEXT if text and rng.random() < 0.7 else OF_BYTES)
        if one is splice:
            data = splice(data, rng, rng.choice(others))
        elif one is place:
            data = place(data, rng, canary)
        elif one is doctype:
            data = doctype(data, rng, canary)
        else:
            data = one(data, rng)
        data = data[:LARGEST]
    return data


def _at(data: bytes, rng: random.Random) -> int:
    """A place in it, half of the time in the header."""
    return rng.randrange(min(len(data), _HEADER) if rng.random() < 0.5 else len(data)) if data else 0


def _run(data: bytes, rng: random.Random) -> slice:
    """A few bytes of it, or many."""
    at = _at(data, rng)
    return slice(at, at + rng.choice((1, 2, 4, 8, 16, 60, 256, len(data) // 4 + 1)))


def flip(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 8) if made else 0):
        made[_at(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(made)


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """A run of bytes by one value, or by any."""
    where = _run(data, rng)
    n = len(data[where])
    return data[: where.start] + rng.choice((b"\0" * n, b"\xff" * n, b" " * n, rng.randbytes(n))) + data[where.stop :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """The end is lost."""
    return data[: _at(data, rng)]


def cut(data: bytes, rng: random.Random) -> bytes:
    """A run of bytes is lost."""
    where = _run(data, rng)
    return data[: where.start] + data[where.stop :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A run of bytes is there several times, or again elsewhere."""
    run = data[_run(data, rng)]
    at = _at(data, rng)
    return data[:at] + run * rng.choice((1, 1, 2, 10, 1000)) + data[at:]


def swap(data: bytes, rng: random.Random) -> bytes:
    """Two runs of one length change places."""
    n = rng.choice((1, 2, 4, 8, 16, 80, 256))
    one, two = sorted((_at(data, rng), _at(data, rng)))
    if two < one + n:
        return data
    return data[:one] + data[two : two + n] + data[one + n : two] + data[one : one + n] + data[two + n :]


def integer(data: bytes, rng: random.Random) -> bytes:
    """A binary number becomes an extreme one, or is off by one."""
    size = rng.choice((1, 2, 2, 4, 4, 4, 8))
    at, order = _at(data, rng), rng.choice(("little", "big"))
    old = int.from_bytes(data[at : at + size], order)
    new = rng.choice((*_EXTREMES, old + 1, old - 1, old * 2, len(data), old ^ 1 << (8 * size - 1)))
    return data[:at] + (new % 2 ** (8 * size)).to_bytes(size, order) + data[at + size :]


def floating(data: bytes, rng: random.Random) -> bytes:
    """A binary number becomes one that is not finite, or nearly."""
    form = rng.choice(("<d", ">d", "<f", ">f"))
    value = struct.pack(form, rng.choice((float("nan"), float("inf"), -float("inf"), 0.0, 1e-38, -1.0, 3e38)))
    at = _at(data, rng)
    return data[:at] + value + data[at + len(value) :]


def number(data: bytes, rng: random.Random) -> bytes:
    """A number in letters becomes another; in fields of fixed width, one of its width."""
    found = _found(_NUMBER, data, rng)
    if found is None:
        return data
    new = rng.choice(_NUMBERS)
    if rng.random() < 0.5:
        new = new[: len(found[0])].ljust(len(found[0]))
    return data[: found.start()] + new + data[found.end() :]


def exchange(data: bytes, rng: random.Random) -> bytes:
    """Two words change places."""
    one, two = _found(_WORD, data, rng), _found(_WORD, data, rng)
    if one is None or two is None or one.end() > two.start():
        return data
    return data[: one.start()] + two[0] + data[one.end() : two.start()] + one[0] + data[two.end() :]


def lengthen(data: bytes, rng: random.Random) -> bytes:
    """A word becomes very long, or a line is there very often."""
    found = _found(_WORD, data, rng)
    if found is None:
        return data
    longer = rng.choice((found[0] * rng.choice((2, 100, 20_000)), found[0][:1] * rng.choice((10, 300, 100_000))))
    return data[: found.start()] + longer + data[found.end() :]


def nest(data: bytes, rng: random.Random) -> bytes:
    """What opens is opened a thousand times."""
    found = _found(re.compile(rb"<\w+[^<>/]{0,80}>|[\[{(]"), data, rng)
    return (
        data
        if found is None
        else data[: found.start()] + found[0] * rng.choice((10, 1000, 50_000)) + data[found.end() :]
    )


def element(data: bytes, rng: random.Random) -> bytes:
    """An element of XML, or a line, is lost, is there again, or stands where another stood."""
    one, two = _part(data, rng), _part(data, rng)
    inside = data[one]
    if rng.random() < 0.3 and two.start >= one.stop:
        return data[: one.start] + data[two] + data[one.stop : two.start] + inside + data[two.stop :]
    return data[: one.start] + inside * rng.choice((0, 0, 2, 2, 3, 500)) + data[one.stop :]


def _part(data: bytes, rng: random.Random) -> slice:
    opened = _found(re.compile(rb"<(\w+)[^<>]{0,200}>"), data, rng)
    if opened is not None:
        end = data.find(b"</%s>" % opened[1], opened.end())
        return slice(opened.start(), opened.end() if end < 0 else end + len(opened[1]) + 3)
    start = data.rfind(b"\n", 0, _at(data, rng)) + 1
    end = data.find(b"\n", start)
    return slice(start, len(data) if end < 0 else end + 1)


def place(data: bytes, rng: random.Random, canary: str) -> bytes:
    """The name of a file becomes that of one elsewhere."""
    found = _found(_PLACE, data, rng)
    if found is None:
        return data
    elsewhere = rng.choice((canary, "../outside/canary.dat", "../outside/canary.hea", "/etc/passwd", "/dev/zero", "."))
    return data[: found.start()] + elsewhere.encode() + data[found.end() :]


def doctype(data: bytes, rng: random.Random, canary: str) -> bytes:
    """XML declares entities: one of another file, or one that grows; and makes use of them."""
    start = re.search(rb"<(\w+)[ >]", data)
    if start is None or not data.lstrip().startswith(b"<"):
        return data
    grows = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    entities = rng.choice(
        (
            f'<!ENTITY e9 SYSTEM "file://{canary}">',
            f'<!ENTITY % e SYSTEM "file://{canary}"> %e;',
            f'<!ENTITY e0 "ECG ECG ECG">{grows}',
            f'<!ATTLIST {start[1].decode()} a CDATA "{"x" * 1000}">',
        )
    )
    inside = rng.choice((f" [{entities}]", f' SYSTEM "file://{canary}"', f' SYSTEM "{canary}" [{entities}]'))
    declared = f"<!DOCTYPE {start[1].decode()}{inside}>".encode()
    used = _found(re.compile(rb">[^<>]+<"), data[start.end() :], rng)
    at = start.end() + used.start() + 1 if used else len(data)
    return data[: start.start()] + declared + data[start.start() : at] + b"&e9;" + data[at:]


def splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: _at(data, rng)] + other[_at(other, rng) :]


def _found(pattern: re.Pattern[bytes], data: bytes, rng: random.Random) -> re.Match[bytes] | None:
    """The first match after some place, or the first of all."""
    return pattern.search(data, _at(data, rng)) or pattern.search(data)


def _wide(one: Mutation) -> Mutation:
    """The same for text in UTF-16, letter by letter."""

    def changed(data: bytes, rng: random.Random) -> bytes:
        if data[:2] not in _WIDE:
            return one(data, rng)
        return one(data.decode("utf-16", "replace").encode(), rng).decode("utf-8", "replace").encode("utf-16")

    return changed


BASIC = (flip, overwrite, truncate, cut, repeat, swap, integer, floating, number, exchange, element, lengthen, nest)
OF_BYTES: tuple[Callable[..., bytes], ...] = (
    *(flip, overwrite, truncate, cut, repeat, swap, integer, integer, integer, integer, floating, splice),
    *(_wide(number), _wide(exchange), place),
)
OF_TEXT: tuple[Callable[..., bytes], ...] = (
    *(_wide(number), _wide(number), _wide(number), _wide(exchange), _wide(element), _wide(element)),
    *(_wide(lengthen), _wide(nest), place, doctype),
)
"""What is done to files of bytes and of text; what comes more often is there more often."""
