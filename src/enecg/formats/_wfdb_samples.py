"""The samples of WFDB signal files: digital values, block by block, in every storage format.

The formats are described in signal(5) of the WFDB Applications Guide. A file holds frames, one after the other: in
each, one or more samples of every signal. All but the compressed formats (508, 516, 524: FLAC, decoded by the package
`soundfile`) have a fixed size, so that any frame is found, and a file that is cut short is noticed before it is read.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from enecg.errors import MissingPackageError, ReadError
from enecg.formats._wfdb_header import Header, Signal

Bytes = npt.NDArray[np.uint8]
Digital = npt.NDArray[np.integer[Any]]

_BLOCK = 2**20
"""Samples that are read at once, so that a day's recording costs no more memory than its millivolts."""

_DENSEST = 32
"""Samples in a byte of a compressed file that are believed; an ECG has about one."""

_FEW = 2**24
"""Samples that a compressed file may hold however small it is."""


class _Packing(NamedTuple):
    """How a format of fixed size keeps a group of samples.

    ends : bytes after which the first, second, ... of them is complete;  missing : what marks one that is not there.
    """

    ends: tuple[int, ...]
    missing: int | None
    unpack: Callable[[Bytes], Digital]

    @property
    def samples(self) -> int:
        """In a group."""
        return len(self.ends)

    @property
    def bytes(self) -> int:
        """Of a group."""
        return self.ends[-1]


def _format_24(data: Bytes) -> Digital:
    words = np.zeros((len(data) // 3, 4), dtype=np.uint8)
    words[:, 1:] = data.reshape(-1, 3)
    return words.view("<i4").ravel() >> 8


def _format_212(data: Bytes) -> Digital:
    """Two samples of 12 bits in three bytes; the middle one holds the high bits of both."""
    low, both, high = data.reshape(-1, 3).T.astype(np.int16)
    pairs = np.stack([low | (both & 0x0F) << 8, high | (both & 0xF0) << 4], axis=1)
    return pairs.ravel() << 4 >> 4


def _format_310(data: Bytes) -> Digital:
    """Three samples of 10 bits in two words; the third has the upper 5 bits of each, the lowest bits are unused."""
    one, two = data.view("<i2").reshape(-1, 2).T
    triplets = np.stack([one >> 1, two >> 1, (one >> 11 & 0x1F) | (two >> 11 & 0x1F) << 5], axis=1)
    return triplets.ravel() << 6 >> 6


def _format_311(data: Bytes) -> Digital:
    """Three samples of 10 bits in a word of 32; its highest two bits are unused."""
    words = data.view("<i4")
    triplets = np.stack([words, words >> 10, words >> 20], axis=1).astype(np.int16)
    return triplets.ravel() << 6 >> 6


_PACKED = {
    8: _Packing((1,), None, lambda data: data.view("i1")),
    16: _Packing((2,), -(2**15), lambda data: data.view("<i2")),
    24: _Packing((3,), -(2**23), _format_24),
    32: _Packing((4,), -(2**31), lambda data: data.view("<i4")),
    61: _Packing((2,), -(2**15), lambda data: data.view(">i2")),
    80: _Packing((1,), -(2**7), lambda data: data.astype(np.int16) - 2**7),
    160: _Packing((2,), -(2**15), lambda data: data.view("<u2").astype(np.int32) - 2**15),
    212: _Packing((2, 3), -(2**11), _format_212),
    310: _Packing((2, 4, 4), -(2**9), _format_310),
    311: _Packing((2, 3, 4), -(2**9), _format_311),
}
_DIFFERENCES = 8
_COMPRESSED = {508: 8, 516: 16, 524: 24}
"""Bits of a sample."""


def missing_value(form: int) -> int | None:
    """The digital value that stands for a missing sample in a format; None if it has none."""
    return _PACKED[form].missing if form in _PACKED else -(2 ** (_COMPRESSED[form] - 1))


def check_files(header: Header) -> int:
    """How many frames a record of signals has. Raises ReadError if a signal file is missing, short or not as described.

    Where the header leaves it open, it is what every signal file holds.
    """
    held = [
        _check_file(header, header.part(name), [header.signals[n] for n in numbers])
        for name, numbers in header.files.items()
    ]
    if not held:
        raise ReadError(f"{header.path}: stores no samples, as the layout of a longer record; expected a signal file")
    return header.n_frames or min(held)


def digital_blocks(
    header: Header, wanted: Sequence[int], first: int, last: int
) -> Iterator[tuple[int, int, dict[int, Digital]]]:
    """Frames `first` to `last` of the files, block by block.

    wanted : numbers of signals. Yields a block's first frame, the one after its last, and int [sample] of each signal.
    """
    files = {name: numbers for name, numbers in header.files.items() if not set(numbers).isdisjoint(wanted)}
    width = sum(_width([header.signals[n] for n in numbers]) for numbers in files.values())
    step = max(1, _BLOCK // max(1, width))
    level = {n: header.signals[n].initial for n in wanted if header.signals[n].form == _DIFFERENCES}
    if level and first > 0:
        for _, _, before in digital_blocks(header, [*level], 0, first):
            level = {n: int(samples[-1]) for n, samples in before.items()}
    for begin in range(first, last, step):
        end = min(begin + step, last)
        found = {}
        for name, numbers in files.items():
            signals = [header.signals[n] for n in numbers]
            frames = _frames(header.path.parent / name, signals, begin, end)
            right = 0
            for n, signal in zip(numbers, signals, strict=True):
                left, right = right, right + signal.per_frame
                if n in wanted:
                    found[n] = frames[:, left:right].reshape(-1)
        for n in level:
            found[n] = level[n] + np.cumsum(found[n], dtype=np.int64)
            level[n] = int(found[n][-1])
        yield begin, end, found


def _check_file(header: Header, file: Path, signals: Sequence[Signal]) -> int:
    """How many frames a file holds."""
    kinds = {(signal.form, signal.offset) for signal in signals}
    if len(kinds) > 1:
        raise ReadError(f"{header.path}: describes {file.name} in several ways; expected one format and one offset")
    form, offset = signals[0].form, signals[0].offset
    if form in _COMPRESSED:
        return _check_compressed(header, file, signals)
    if form not in _PACKED:
        known = ", ".join(map(str, sorted({*_PACKED, *_COMPRESSED})))
        raise ReadError(f"{header.path}: {file.name} in format {form}; expected one of {known}")
    size = file.stat().st_size
    held = max(0, _count(form, size - offset)) // _width(signals)
    if header.n_frames is not None and held < header.n_frames:
        expected = offset + _size(form, header.n_frames * _width(signals))
        raise ReadError(
            f"{file}: cut short, {size} bytes of {expected} that {header.path.name} announces; copy the file again"
        )
    if held == 0:
        raise ReadError(f"{file}: holds no samples; expected one of each signal at least. Copy the file again")
    return held


def _check_compressed(header: Header, file: Path, signals: Sequence[Signal]) -> int:
    """How many frames a compressed file holds."""
    form, offset, per_frame = signals[0].form, signals[0].offset, signals[0].per_frame
    if any(signal.per_frame != per_frame for signal in signals):
        raise ReadError(f"{header.path}: signals of several rates in {file.name}; expected one rate in format {form}")
    with _flac(file) as opened:
        bits, channels, held = _flac_bits(opened), opened.channels, int(opened.frames)
    if not 0 < bits <= _COMPRESSED[form] or channels != len(signals):
        raise ReadError(
            f"{file}: {channels} signals of {bits} bits; {header.path.name} announces {len(signals)} in format {form}"
        )
    if held * channels > max(_FEW, _DENSEST * file.stat().st_size):
        raise ReadError(f"{file}: {held * channels:,} samples in {file.stat().st_size:,} bytes; no ECG is so dense")
    if header.n_frames is not None and held < offset + header.n_frames * per_frame:
        raise ReadError(
            f"{file}: cut short, {held} samples of {offset + header.n_frames * per_frame} that {header.path.name} "
            "announces; copy the file again"
        )
    return (held - offset) // per_frame


def _frames(file: Path, signals: Sequence[Signal], first: int, last: int) -> Digital:
    """Frames of a file [frame, sample], as stored."""
    width, form, offset = _width(signals), signals[0].form, signals[0].offset
    if form in _COMPRESSED:
        return _decompressed(file, signals, first, last)
    packing = _PACKED[form]
    group, skipped = divmod(first * width, packing.samples)
    count = (last - first) * width
    size = -(-(skipped + count) // packing.samples) * packing.bytes
    data = np.fromfile(file, np.uint8, size, offset=offset + group * packing.bytes)
    if _count(form, len(data)) < skipped + count:
        raise ReadError(f"{file}: cut short in frame {first} to {last}; copy the file again")
    if len(data) < size:  # the last group is incomplete: the rest of it holds no samples of the record
        data = np.pad(data, (0, size - len(data)))
    return packing.unpack(data)[skipped : skipped + count].reshape(-1, width)


def _decompressed(file: Path, signals: Sequence[Signal], first: int, last: int) -> Digital:
    """Frames of a compressed file [frame, sample]; there, what is one moment's stands together."""
    per_frame = signals[0].per_frame
    with _flac(file) as opened:
        opened.seek(signals[0].offset + first * per_frame)
        samples = opened.read((last - first) * per_frame, dtype="int32", always_2d=True) >> (32 - _flac_bits(opened))
    if len(samples) < (last - first) * per_frame:
        raise ReadError(f"{file}: cut short in frame {first} to {last}; copy the file again")
    frames: Digital = samples.reshape(-1, per_frame, len(signals)).transpose(0, 2, 1).reshape(last - first, -1)
    return frames


@contextmanager
def _flac(file: Path) -> Iterator[Any]:
    """The opened file. Raises ReadError for what is no FLAC, or damaged."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without the library that it wraps
        raise MissingPackageError(f"{file}: formats 508, 516 and 524 need soundfile: pip install soundfile") from error
    try:
        # By its number and not by its name, whose ending soundfile would believe.
        with file.open("rb") as content, soundfile.SoundFile(content.fileno(), closefd=False) as opened:
            if opened.format != "FLAC":
                raise ReadError(f"{file}: {opened.format}; expected FLAC, as formats 508, 516 and 524 are")
            yield opened
    except soundfile.SoundFileError as error:
        raise ReadError(f"{file}: damaged ({error}); expected FLAC. Copy the file again") from error


def _flac_bits(opened: Any) -> int:
    return {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(opened.subtype, 0)


def _count(form: int, size: int) -> int:
    """Samples in so many bytes; a sample is there if all its bits are."""
    packing = _PACKED[form]
    whole, rest = divmod(size, packing.bytes)
    return whole * packing.samples + sum(n <= rest for n in packing.ends)


def _size(form: int, count: int) -> int:
    """Bytes of so many samples."""
    packing = _PACKED[form]
    whole, rest = divmod(count, packing.samples)
    return whole * packing.bytes + (packing.ends[rest - 1] if rest else 0)


def _width(signals: Sequence[Signal]) -> int:
    """Samples in a frame."""
    return sum(signal.per_frame for signal in signals)
