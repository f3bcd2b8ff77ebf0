"""Every storage format, packed here bit by bit as signal(5) describes it, is read as the package `wfdb` reads it."""

import re
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import ReadError
from enecg.formats import read
from enecg.formats._wfdb_samples import missing_value

BITS = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10, 508: 8, 516: 16, 524: 24}
"""Of each format's samples; in format 8 of their differences."""

COMPRESSED = {508: "PCM_S8", 516: "PCM_16", 524: "PCM_24"}
NAMES = ("V1", "V2", "V3", "V4", "V5", "V6")


def packed(form: int, samples: np.ndarray) -> bytes:
    """The samples, one after the other, in a format of fixed size."""
    if form == 61:
        return samples.astype(">i2").tobytes()
    if form in (80, 160):
        return (samples + 2 ** (BITS[form] - 1)).astype("<u1" if form == 80 else "<u2").tobytes()
    if form in (8, 16, 24, 32):
        words = samples.astype("<i4").view(np.uint8).reshape(-1, 4)
        return words[:, : BITS[form] // 8].tobytes()
    group = 2 if form == 212 else 3
    whole = np.pad(samples, (0, -len(samples) % group)).reshape(-1, group) & (2 ** BITS[form] - 1)
    if form == 212:
        one, two = whole.T
        parts = np.stack([one & 0xFF, one >> 8 | two >> 8 << 4, two & 0xFF], axis=1)
        return parts.astype(np.uint8).tobytes()[: -(-len(samples) * 3 // 2)]
    one, two, three = whole.T.astype(np.uint32)
    if form == 310:
        words = np.stack([one << 1 | (three & 31) << 11, two << 1 | three >> 5 << 11], axis=1).astype("<u2")
    else:
        words = (one | two << 10 | three << 20).astype("<u4")
    return words.tobytes()


def write(folder: Path, signals: list[np.ndarray], forms: list[int], frames: list[int], n: int, **more) -> Path:
    """A record with one file for each format.

    signals : int [sample] of each signal;  frames : samples in a frame of each;  n : number of frames.
    more : bytes `before` the samples, `skews` in frames, `initial` values.
    """
    before, skews = more.get("before", 0), more.get("skews", [0] * len(forms))
    initial = more.get("initial", [0] * len(forms))
    lines = []
    for number, (form, frame) in enumerate(zip(forms, frames, strict=True)):
        kind = f"{form}x{frame}:{skews[number]}" + (f"+{before}" if before else "")
        checksum = int(signals[number].sum()) % 65536
        lines.append(f"one.{form} {kind} 200(3)/mV 16 0 {initial[number]} {checksum} 0 {NAMES[number]}")
    for form in set(forms):
        own = [number for number, other in enumerate(forms) if other == form]
        if form in COMPRESSED:
            columns = np.stack([signals[number] for number in own], axis=1).astype(np.int32) << (32 - BITS[form])
            columns = np.pad(columns, ((before, 0), (0, 0)))
            soundfile.write(folder / f"one.{form}", columns, 96000, subtype=COMPRESSED[form], format="FLAC")
            continue
        stored = [signals[number] for number in own]
        if form == 8:
            stored = [np.diff(signals[number], prepend=initial[number]) for number in own]
        flat = np.concatenate([one.reshape(n, -1) for one in stored], axis=1).ravel()
        (folder / f"one.{form}").write_bytes(bytes(before) + packed(form, flat))
    path = folder / "one.hea"
    path.write_text("\n".join([f"one {len(lines)} 250 {n}", *lines]) + "\n")
    return path


def draw_signal(draw, form: int, size: int) -> np.ndarray:
    top = 2 ** (BITS[form] - 1)
    values = draw(st.lists(st.integers(-top, top - 1), min_size=size, max_size=size))
    return np.cumsum(values) if form == 8 else np.array(values)


@st.composite
def records(draw, same_frame: bool = False):
    """Signals in one or two formats, of the same number of samples to a frame or of several."""
    forms = draw(st.lists(st.sampled_from(sorted(BITS)), min_size=1, max_size=2, unique=True))
    forms = [form for form in forms for _ in range(draw(st.integers(1, 3)))]
    frame = draw(st.integers(1, 3))
    frames = [
        frame if same_frame or form in COMPRESSED else draw(st.sampled_from([frame, draw(st.integers(1, 4))]))
        for form in forms
    ]
    n = draw(st.integers(2, 23))
    signals = [draw_signal(draw, form, n * frame) for form, frame in zip(forms, frames, strict=True)]
    return {"signals": signals, "forms": forms, "frames": frames, "n": n, "before": draw(st.sampled_from([0, 6, 24]))}


@settings(max_examples=120)
@given(records())
def test_samples_in_every_format_are_those_of_wfdb(record):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), **record)
        theirs = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False).e_p_signal
        found = read(path)
    counts = {frame: record["frames"].count(frame) for frame in record["frames"]}
    kept = max(counts, key=lambda frame: (counts[frame], frame))
    own = [number for number, frame in enumerate(record["frames"]) if frame == kept]
    assert found.leads == tuple(NAMES[number] for number in own)
    assert found.rate == 250 * kept
    for row, number in enumerate(own):
        np.testing.assert_array_equal(found.signal[row], theirs[number].astype(np.float32))
        missing = record["signals"][number] == missing_value(record["forms"][number])
        expected = np.where(missing, np.nan, (record["signals"][number] - 3) / 200)
        np.testing.assert_array_equal(found.signal[row], expected.astype(np.float32))
    left_out = [NAMES[number] for number in range(len(record["frames"])) if number not in own]
    assert len(found.notes) == bool(left_out)
    for name in left_out:
        assert re.search(
            rf"left out, for their rate is not the {250 * kept} Hz of the others: .*{name}", found.notes[0]
        )


@settings(max_examples=80)
@given(records(same_frame=True), st.data())
def test_a_part_of_a_record_is_that_part_of_the_whole(record, data):
    rate, length = 250 * record["frames"][0], record["n"] * record["frames"][0]
    first = data.draw(st.integers(0, length - 1))
    count = data.draw(st.integers(1, length - first))
    skews = [data.draw(st.integers(0, 2)) for _ in record["forms"]]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), **record, skews=skews)
        whole = read(path)
        part = read(path, start=first / rate, seconds=count / rate)
    np.testing.assert_array_equal(part.signal, whole.signal[:, first : first + count])
    assert (part.leads, part.rate, part.notes) == (whole.leads, whole.rate, whole.notes)


@settings(max_examples=60)
@given(st.sampled_from(sorted(set(BITS) - {8})), st.integers(1, 3), st.integers(1, 5), st.data())
def test_a_signal_that_is_late_by_its_skew_is_moved_and_its_end_is_missing(form, frame, skew, data):
    n = data.draw(st.integers(skew + 1, 20))
    signals = [draw_signal(data.draw, form, n * frame) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), signals, [form] * 2, [frame] * 2, n, skews=[0, skew])
        found = read(path)
        plain = read(write(Path(folder), signals, [form] * 2, [frame] * 2, n))
    np.testing.assert_array_equal(found.signal[0], plain.signal[0])
    np.testing.assert_array_equal(found.signal[1, : (n - skew) * frame], plain.signal[1, skew * frame :])
    assert np.isnan(found.signal[1, (n - skew) * frame :]).all()


def test_a_skew_is_what_wfdb_makes_of_it(tmp_path):
    signals = [np.arange(40) - 20, np.arange(40) * 3]
    path = write(tmp_path, signals, [16, 16], [1, 1], 40, skews=[0, 3])
    theirs = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
    np.testing.assert_array_equal(read(path).signal, theirs.astype(np.float32))


@pytest.mark.parametrize("form", [212, 310, 311])
@pytest.mark.parametrize("n", range(1, 8))
def test_a_last_group_of_bits_may_be_incomplete(tmp_path, form, n):
    # 310derive_3 and 311derive_3 of wfdb's own test records end so.
    signal = np.arange(n) * 37 - 100
    path = write(tmp_path, [signal], [form], [1], n)
    ends = {212: (2, 3), 310: (2, 4, 4), 311: (2, 3, 4)}[form]
    whole, rest = divmod(n, len(ends))
    needed = whole * ends[-1] + (ends[rest - 1] if rest else 0)
    file = path.with_suffix(f".{form}")
    file.write_bytes(file.read_bytes()[:needed])
    theirs = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T
    np.testing.assert_array_equal(read(path).signal, theirs.astype(np.float32))
    file.write_bytes(file.read_bytes()[: needed - 1])
    with pytest.raises(ReadError, match=rf"one\.{form}: cut short, {needed - 1} bytes of {needed}"):
        read(path)


@pytest.mark.parametrize("form", sorted(BITS))
@pytest.mark.parametrize("said", ["", " 0"])
def test_a_length_that_the_header_leaves_open_is_the_file_s(tmp_path, form, said):
    path = write(tmp_path, [np.arange(12), np.arange(12)], [form, form], [2, 2], 6)
    path.write_text(path.read_text().replace("one 2 250 6", f"one 2 250{said}"))
    assert read(path).n_samples == 12
    assert read(path, start=0.01, seconds=0.002).n_samples == 1


def test_format_8_begins_with_the_header_s_initial_value(tmp_path):
    path = write(tmp_path, [np.array([1000, 1100, 1050])], [8], [1], 3, initial=[1000])
    np.testing.assert_allclose(read(path).signal, [[4.985, 5.485, 5.235]], rtol=1e-6)
    np.testing.assert_allclose(read(path, start=2 / 250).signal, [[5.235]], rtol=1e-6)


# -- checksums -------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(records(same_frame=True), st.data())
def test_samples_that_are_not_those_of_the_checksum_are_told_and_read(record, data):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), **record)
        before = read(path)
        assert before.notes == ()
        wrong = data.draw(st.integers(0, len(record["forms"]) - 1))
        text = path.read_text()
        line = text.splitlines()[wrong + 1].split()
        changed = [*line[:6], str(int(line[6]) + data.draw(st.integers(1, 65535))), *line[7:]]
        path.write_text(text.replace(" ".join(line), " ".join(changed)))
        after = read(path)
    assert after.notes == (f"{NAMES[wrong]}: the samples do not sum up to the checksum of one.hea",)
    np.testing.assert_array_equal(after.signal, before.signal)


def test_a_checksum_may_be_written_with_any_sign(tmp_path):
    # header(5) knows 16 bits; wfdb writes them unsigned, the WFDB library signed.
    path = write(tmp_path, [np.full(10, -7)], [16], [1], 10)
    text = path.read_text()
    assert " 65466 0 V1" in text
    path.write_text(text.replace(" 65466 0 V1", " -70 0 V1"))
    assert read(path).notes == ()


def test_a_part_has_no_checksum_to_be_compared(tmp_path):
    path = write(tmp_path, [np.arange(10)], [16], [1], 10)
    path.write_text(path.read_text().replace(" 45 0 V1", " 46 0 V1"))
    assert "checksum" in read(path).notes[0]
    assert read(path, seconds=0.02).notes == ()


# -- long recordings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [16, 212])
def test_a_minute_of_a_day_costs_a_minute_s_memory(tmp_path, form):
    n = 24 * 3600 * 200
    lines = [f"day.dat {form} 200/mV 12 0 0 0 0 {name}" for name in ("V1", "V3", "V5")]
    (tmp_path / "day.hea").write_text("\n".join([f"day 3 200 {n}", *lines]))
    with (tmp_path / "day.dat").open("wb") as file:  # mostly a hole, which no disk keeps
        size = n * 3 * (2 if form == 16 else 1.5)
        file.seek(int(size / 2))
        file.write(packed(form, np.arange(36_000) % 1000))
        file.truncate(int(size))
    read(tmp_path / "day.hea", seconds=1)
    tracemalloc.start()
    try:
        found = read(tmp_path / "day.hea", start=12 * 3600, seconds=60)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found.signal.T.ravel(), (np.arange(36_000) % 1000) / 200, rtol=1e-6)


def test_long_records_are_read_in_blocks_that_join(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for form in (8, 16, 310, 516):
        signals = [np.cumsum(rng.integers(-3, 4, 600)) for _ in range(2)]
        path = write(tmp_path, signals, [form] * 2, [2, 2], 300, skews=[0, 7])
        whole = read(path)
        monkeypatch.setattr("enecg.formats._wfdb_samples._BLOCK", 50)
        blocks = read(path)
        monkeypatch.undo()
        np.testing.assert_array_equal(blocks.signal, whole.signal)
        assert blocks.notes == whole.notes == ()


# -- bad files -------------------------------------------------------------------------------------------------------


def test_a_compressed_file_that_is_damaged_is_named(tmp_path):
    path = write(tmp_path, [np.random.default_rng(0).integers(-999, 999, 5000)], [516], [1], 5000)
    file = path.with_suffix(".516")
    whole = file.read_bytes()
    for content in (b"", whole[:20], whole[: len(whole) // 2], b"RIFF" + whole[4:], bytes(len(whole))):
        file.write_bytes(content)
        with pytest.raises(ReadError, match=r"one\.516: (damaged|cut short|holds no samples)"):
            read(path)


def test_a_compressed_file_of_another_kind_is_told(tmp_path):
    path = write(tmp_path, [np.arange(100), np.arange(100)], [516, 516], [1, 1], 100)
    text, file = path.read_text(), path.with_suffix(".516")
    path.write_text(text.replace("516x1", "508x1"))
    with pytest.raises(ReadError, match=r"2 signals of 16 bits; one\.hea announces 2 in format 508"):
        read(path)
    path.write_text("\n".join(text.replace("one 2", "one 1").splitlines()[:2]))
    with pytest.raises(ReadError, match=r"2 signals of 16 bits; one\.hea announces 1 in format 516"):
        read(path)
    path.write_text(text.replace("516x1", "516x2", 1))
    with pytest.raises(ReadError, match=r"signals of several rates in one\.516"):
        read(path)
    path.write_text(text.replace("250 100", "250 101"))
    with pytest.raises(ReadError, match=r"one\.516: cut short, 100 samples of 101"):
        read(path)
    path.write_text(text)
    soundfile.write(file, np.zeros((100, 2)), 500, format="WAV")
    with pytest.raises(ReadError, match=r"one\.516: WAV; expected FLAC"):
        read(path)


def test_a_compressed_file_too_dense_to_be_one_is_not_unpacked(tmp_path):
    path = write(tmp_path, [np.zeros(2**24 + 1, dtype=int)], [516], [1], 2**24 + 1)
    assert path.with_suffix(".516").stat().st_size < 100_000
    with pytest.raises(ReadError, match=r"one\.516: 16,777,217 samples in .* bytes; no ECG is so dense"):
        read(path)


def test_a_file_described_in_two_ways_is_refused(tmp_path):
    path = write(tmp_path, [np.arange(10), np.arange(10)], [16, 16], [1, 1], 10)
    path.write_text(path.read_text().replace("16x1", "61x1", 1))
    with pytest.raises(ReadError, match=r"describes one\.16 in several ways"):
        read(path)


@pytest.mark.parametrize("form", [0, 17, 99, 509, 9999])
def test_a_format_that_is_none_is_named_with_those_known(tmp_path, form):
    path = write(tmp_path, [np.arange(10)], [16], [1], 10)
    path.write_text(path.read_text().replace("16x1:0", str(form), 1))
    with pytest.raises(ReadError, match=rf"one\.16 in format {form}; expected one of 8, 16, 24, .*508, 516, 524"):
        read(path)
