import struct
import tracemalloc
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.simulation import simulate_one

CODES = {"I": 1, "II": 2, "V1": 3, "V6": 8, "V3R": 11, "X": 16, "III": 61, "aVR": 62, "V9": 67}
TYPES = {0: "i2", 1: "u2", 2: "i4", 3: "u1", 5: "i1", 6: "u4", 7: "f4", 8: "f8"}
PREAMBLE = b"\x40\x20" + b"MFR Monitoring Waveform".ljust(32, b"\0")
MICROVOLTS = (0, -6, 2)
MILLIMETRES = (1, -3, 125)
FOUR_MS = (1, -3, 4)


class File:
    """Writes definitions one after the other; numbers in one order of bytes, which the first definition tells."""

    def __init__(self, order="<"):
        self.order = order
        self.bytes = PREAMBLE
        self.add(0x01, b"\1" if order == "<" else b"\0")

    @staticmethod
    def definition(tag: int, value: bytes) -> bytes:
        size = len(value)
        length = bytes([size]) if size < 128 else b"\x84" + struct.pack(">I", size)
        return bytes([tag]) + length + value

    def add(self, tag: int, value: bytes) -> "File":
        self.bytes += self.definition(tag, value)
        return self

    def number(self, value: int, form: str) -> bytes:
        return struct.pack(self.order + form, value)

    def count(self, tag: int, value: int) -> "File":
        return self.add(tag, self.number(value, "I"))

    def scaled(self, scale) -> bytes:
        unit, exponent, value = scale
        return struct.pack("Bb", unit, exponent) + self.number(value, "h")

    def channel(self, number: int, *, closed=True, **what) -> "File":
        """lead, kind : codes;  interval, unit : scales;  block : samples;  null, offset : bytes;  None: left out."""
        forms = {"lead": (0x09, "H"), "kind": (0x0A, "B"), "block": (0x04, "I")}
        own = b"".join(
            self.definition(forms[name][0], self.number(what[name], forms[name][1]))
            for name in forms
            if what.get(name) is not None
        )
        own += b"".join(
            self.definition(tag, self.scaled(what[name]))
            for name, tag in (("interval", 0x0B), ("unit", 0x0C))
            if what.get(name) is not None
        )
        own += b"".join(
            self.definition(tag, what[name]) for name, tag in (("null", 0x12), ("offset", 0x0D)) if name in what
        )
        place = bytes([number]) if number < 128 else bytes([0x80 | number >> 7, number & 127])
        length = bytes([len(own)]) if closed else b"\x80"
        self.bytes += b"\x3f" + place + length + own + (b"" if closed else b"\0\0")
        return self

    def samples(self, *sequences, kinds=("i2",)) -> "File":
        """sequences : of each the blocks of all channels, in the types `kinds`, or all in the only one."""
        stored = b""
        for blocks in sequences:
            each = kinds if len(kinds) == len(blocks) else kinds * len(blocks)
            for block, kind in zip(blocks, each, strict=True):
                stored += np.asarray(block).astype(np.dtype(kind).newbyteorder(self.order)).tobytes()
        return self.add(0x1E, stored)


def leads(*names, order="<", block=1, unit=MICROVOLTS, interval=FOUR_MS, **more) -> File:
    """A file as far as its channels, one for each lead."""
    file = File(order).count(0x05, len(names))
    for number, name in enumerate(names):
        file.channel(number, lead=CODES.get(name), kind=0, block=block, unit=unit, interval=interval, **more)
    return file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("mfer") / "one.bin"


# -- samples ---------------------------------------------------------------------------------------------------------


@st.composite
def written(draw):
    """Channels of any type and block length, one rate, in sequences; and what each should read as."""
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4))
    names = draw(st.permutations(("II", "V1", "V6", "V3R", "X", "V9")))[: len(kinds)]
    block, n = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = []
    for kind in kinds:
        dtype = np.dtype(TYPES[kind])
        values = rng.normal(0, 1000, (n, block))
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            values = rng.integers(limits.min, limits.max, (n, block), endpoint=True)
        columns.append(values.astype(dtype))
    unit = (0, draw(st.integers(-9, -3)), draw(st.integers(1, 2000)))
    return draw(st.sampled_from("<>")), kinds, names, block, columns, unit


@given(written())
def test_channels_of_every_type_are_read_in_millivolts_in_both_orders(path, told):
    order, kinds, names, block, columns, unit = told
    file = File(order).count(0x06, len(columns[0])).count(0x05, len(names))
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        file.channel(number, lead=CODES[name], kind=kind, block=block, unit=unit, interval=(0, 1, 25))
    path.write_bytes(file.samples(*zip(*columns, strict=True), kinds=[TYPES[kind] for kind in kinds]).bytes)
    found = read(path)
    assert found.rate == 250
    assert found.leads == tuple(names)
    for name, values in zip(names, columns, strict=True):
        expected = values.reshape(-1).astype(float) * unit[2] * 10.0 ** (unit[1] + 3)
        np.testing.assert_allclose(found.lead(name), expected, rtol=1e-6)


def test_a_simulated_heart_is_read_back_within_a_step(path):
    heart = simulate_one(0, rate=250.0).recording
    names = ("I", "II", "V1", "V6")
    digital = np.round(heart.select(names).signal / 2e-3).reshape(4, 10, 250)
    path.write_bytes(leads(*names, block=250).samples(*digital.transpose(1, 0, 2)).bytes + b"\x80\0")
    found = read(path)
    assert found.leads == (*names, "III", "aVR", "aVL", "aVF")
    assert np.abs(found.select(names).signal - heart.select(names).signal).max() <= 1e-3 + 1e-6


@given(st.floats(0, 9.9), st.floats(0.01, 20), st.integers(1, 300))
def test_a_part_is_the_whole_cut(path, start, seconds, block):
    n = -(-2500 // block)
    values = np.arange(2 * n * block).reshape(n, 2, block)
    file = leads("II", "V1", block=block).samples(*values[: n // 2]) if n > 1 else leads("II", "V1", block=block)
    path.write_bytes(file.samples(*values[n // 2 :]).bytes)
    whole, part = read(path), read(path, start=start, seconds=seconds)
    first = round(start * 250)
    np.testing.assert_allclose(whole.lead("V1"), values[:, 1].reshape(-1).astype(np.int16) * 2e-3, rtol=1e-6)
    np.testing.assert_array_equal(part.signal, whole.signal[:, first : first + max(1, round(seconds * 250))])


def test_a_day_is_windowed_without_reading_it(path):
    n, size = 24 * 3600, 2 * 250 * 2  # sequences of a second, and their bytes
    path.write_bytes(leads("II", "V1", block=250).bytes + b"\x1e\x84" + struct.pack(">I", n * size))
    begin = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(begin + n * size)  # 86 MB of zeros that no disk block holds
        file.seek(begin + 3600 * size)
        file.write(np.arange(1, 4, dtype="<i2").tobytes())
    tracemalloc.start()
    part = read(path, start=3600, seconds=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path.write_bytes(b"")
    np.testing.assert_allclose(part.lead("II")[:4], [2e-3, 4e-3, 6e-3, 0], rtol=1e-6)
    assert part.n_samples == 2500
    assert peak < 2**20


def test_what_is_defined_for_all_channels_holds_where_one_has_nothing_of_its_own(path):
    file = File().add(0x0B, File().scaled(FOUR_MS)).add(0x0C, File().scaled(MICROVOLTS)).add(0x12, b"\0\x80")
    file.count(0x05, 2).channel(0, lead=2).channel(1, lead=3, unit=(0, -3, 1))
    path.write_bytes(file.samples(([1], [2]), ([-32768], [3])).bytes)
    found = read(path)
    np.testing.assert_allclose(found.signal, [[2e-3, np.nan], [2, 3]], rtol=1e-6)
    assert found.rate == 250


def test_an_empty_definition_takes_back_what_was_defined(path):
    file = File().add(0x12, b"\5\0").add(0x12, b"").add(0x0B, File().scaled(FOUR_MS))
    path.write_bytes(file.count(0x05, 1).channel(0, lead=2, unit=MICROVOLTS).samples(([5],)).bytes)
    assert read(path).signal.item() == np.float32(0.01)


def test_an_offset_is_added_to_what_is_stored(path):
    path.write_bytes(
        leads("II", offset=struct.pack("<h", -100), null=struct.pack("<h", 7)).samples(([107],), ([7],)).bytes
    )
    np.testing.assert_allclose(read(path).signal, [[0.014, np.nan]], rtol=1e-6)


def test_open_ends_groups_padding_and_many_channels_are_understood(path):
    file = File().count(0x05, 200).add(0x0B, File().scaled(FOUR_MS)).add(0x0A, b"\4")  # status, all but one
    file.bytes += b"\0\0\x67\x80"
    file.channel(199, lead=2, kind=0, unit=MICROVOLTS, closed=False)
    file.bytes += b"\0\0"
    path.write_bytes(file.samples([[number] for number in range(200)]).bytes)
    assert read(path).signal.item() == np.float32(0.398)


def test_avr_that_is_turned_over_is_turned_back(path):
    file = File().count(0x05, 1).channel(0, lead=65, unit=MICROVOLTS, interval=FOUR_MS).samples(([1],))
    path.write_bytes(file.bytes)
    found = read(path)
    assert (found.leads, found.signal.item()) == (("aVR",), np.float32(-0.002))
    assert found.notes == ("aVR is stored as -aVR; its sign was turned",)


# -- what is left out ------------------------------------------------------------------------------------------------


def test_pressures_and_status_are_left_out_and_told(path):
    file = File().count(0x05, 4).add(0x0B, File().scaled(FOUR_MS))
    file.channel(0, lead=49162, unit=MILLIMETRES).channel(1, lead=2, unit=MICROVOLTS)
    file.channel(2, lead=4160, kind=1).channel(3, lead=3, kind=4)
    path.write_bytes(file.samples(([1], [2], [3], [4])).bytes)
    found = read(path)
    assert (found.leads, found.signal.item()) == (("II",), np.float32(0.004))
    assert found.notes == ("3 of 4 channels are no voltages and were left out",)


def test_of_leads_with_different_rates_those_with_the_highest_are_read(path):
    file = File().count(0x05, 3)
    file.channel(0, lead=2, block=1, unit=MICROVOLTS, interval=(1, -3, 8))
    file.channel(1, lead=3, block=2, unit=MICROVOLTS, interval=(0, 0, 250))
    file.channel(2, lead=4, block=2, unit=MICROVOLTS, interval=FOUR_MS)
    path.write_bytes(file.samples(([1], [2, 3], [4, 5])).bytes)
    found = read(path)
    assert (found.leads, found.rate, found.n_samples) == (("V1", "V2"), 250, 2)
    assert found.notes == ("leads at 125 Hz were left out, beside others at 250 Hz",)


def test_frames_that_do_not_go_on_from_the_first_are_left_out_and_told(path):
    beat = File.definition(0x08, b"\x09\x00")
    file = leads("II")
    file.bytes += beat
    file.samples(([9],)).add(0x08, b"").samples(([1],), ([2],)).samples(([3],)).count(0x07, 3).samples(([4],))
    path.write_bytes(file.count(0x07, 6).samples(([7],)).samples(([8],)).bytes)
    found = read(path)
    np.testing.assert_allclose(found.signal, [[2e-3, 4e-3, 6e-3, 8e-3]], rtol=1e-6)
    assert found.notes == ("3 of 6 frames do not go on from the first; left out",)
    file = leads("II").samples(([1],)).channel(0, unit=(0, -3, 1)).samples(([1],))
    path.write_bytes(file.bytes)
    assert read(path).n_samples == 1


def test_fewer_sequences_than_announced_are_told(path):
    path.write_bytes(leads("II", "V1").count(0x06, 5).samples(([1], [2]), ([3], [4])).bytes)
    found = read(path)
    assert found.n_samples == 2
    assert found.notes == ("5 sequences of samples announced, 2 held and read",)


# -- what the file says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", "<>")
def test_the_patient_the_machine_and_the_time_are_told(path, order):
    file = leads("II", order=order)
    file.add(0x17, b"NIHON KOHDEN^CNS6000^0, 5\0").add(0x82, b"12345\0\0\0^x").add(0x84, b"\2")
    file.add(0x83, b"\x2a" + struct.pack(order + "HHBB", 15_400, 1977, 5, 8))
    file.add(0x03, b"UTF-16LE\0\0").add(0x81, "a name".encode("utf-16-le"))
    file.add(0x85, struct.pack(order + "H5BHH", 2019, 6, 19, 13, 20, 1, 5, 6))
    path.write_bytes(file.samples(([1],)).bytes)
    found = read(path)
    assert (found.subject, found.sex, found.age) == ("file:12345", "female", 42)
    assert (found.acquired, found.device) == (datetime(2019, 6, 19, 13, 20, 1), "NIHON KOHDEN CNS6000")


@pytest.mark.parametrize(
    ("stored", "age"),
    [
        (b"\xff" * 7, None),
        (b"\0" * 7, None),
        (b"\0" + struct.pack("<HHBB", 30, 0, 0, 0), 30 / 365.25),
        (b"\0" + struct.pack("<HHBB", 0, 1970, 6, 20), 48),
        (b"\x32\0\0", 50),
        (b"\x32", None),
    ],
)
def test_an_age_is_one_or_unknown(path, stored, age):
    file = leads("II").add(0x83, stored).add(0x84, b"\0").add(0x85, struct.pack("<H5B", 2019, 6, 19, 13, 20, 1))
    path.write_bytes(file.samples(([1],)).bytes)
    assert (read(path).age, read(path).sex) == (age, None)


def test_what_the_file_leaves_out_the_caller_may_say(path):
    path.write_bytes(leads("II", interval=None).samples(([1],)).bytes)
    with pytest.raises(ReadError, match=r"one\.bin.* pass rate="):
        read(path)
    assert read(path, rate=500).rate == 500
    path.write_bytes(leads("II", unit=None).samples(([1],)).bytes)
    with pytest.raises(UnitError, match=r"one\.bin.* pass unit="):
        read(path)
    assert read(path, unit="uV").signal.item() == np.float32(0.001)
    path.write_bytes(leads("V1", "unknown").samples(([1], [2])).bytes)
    with pytest.raises(LeadError, match=r"one\.bin.*leads \(V1, \?\); pass leads= with 2 names"):
        read(path)
    assert read(path, leads=["V1", "MLII"]).leads == ("V1", "MLII")


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (leads("II"), "no samples; the file is cut short or holds none"),
        (leads("II").add(0x0E, b"\1\0").samples(([1],)), "compressed samples"),
        (leads("II").channel(0, kind=9).samples(([1],)), "samples of type 9, which cannot be read"),
        (leads("II", block=2).samples(([1],)), "not one sequence of 4 bytes in 2"),
        (leads("II", block=0).samples(([1],)), "blocks of 0 samples"),
        (leads("II", block=2**32 - 1).samples(([1],)), "blocks of 4,294,967,295 samples in 2 bytes"),
        (leads("II").count(0x06, 0).samples(([1],)), "not one sequence"),
        (leads("II").count(0x05, 0), "0 channels; expected 1 to 1,024"),
        (leads("II").count(0x05, 2**31), "2,147,483,648 channels"),
        (leads("II", unit=(0, 120, 1)).samples(([1],)), "lead II: amplitudes beyond measure"),
        (leads("II").channel(0, unit=MILLIMETRES).samples(([1],)), "none of its 1 channels is a voltage"),
        (leads("II").channel(0, interval=(2, -3, 1)).samples(([1],)), "in steps of unit 2; expected hertz"),
        (leads("II").add(0x08, b"\x09\0").samples(([1],)), "dominant beats only"),
        (leads("II").add(0x3F, b""), "cut short or damaged"),
        (leads("II").add(0x0B, b"\1"), "1 bytes expected, 0 left"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_what_is_wrong(path, file, told):
    path.write_bytes(file.bytes)
    with pytest.raises(ReadError, match=rf"one\.bin.*{told}"):
        read(path)


def test_channels_with_sequences_of_their_own_are_refused(path):
    file = leads("II", "V1")
    file.bytes += b"\x3f\1\6\6\4" + struct.pack("<I", 2)
    path.write_bytes(file.samples(([1], [2])).bytes)
    with pytest.raises(ReadError, match=r"one\.bin.*different numbers of sequences"):
        read(path)


def test_a_channel_within_a_channel_is_refused(path):
    file = leads("II")
    file.bytes += b"\x3f\0\3\x3f\0\0"
    path.write_bytes(file.bytes)
    with pytest.raises(ReadError, match=r"one\.bin.*a channel within a channel"):
        read(path)


def test_a_file_cut_anywhere_is_noticed(path):
    good = leads("II", "V1").samples(([1], [2]), ([3], [4])).bytes
    for end in range(6, len(good)):
        path.write_bytes(good[:end])
        with pytest.raises(ReadError, match=r"one\.bin"):
            read(path)


@given(st.data())
def test_definitions_of_any_content_are_read_or_refused(path, data):
    tags = st.sampled_from(
        [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 18, 0x17, 0x1E, 0x3F, 0x67, 0x82, 0x83, 0x84, 0x85]
    )
    extra = data.draw(st.lists(st.tuples(tags, st.binary(max_size=12)), max_size=5))
    file = leads("II", "V1")
    for tag, value in extra:
        file.add(tag, value)
    path.write_bytes(file.samples(([1], [2]), ([3], [4])).bytes)
    try:
        assert read(path, unit="mV", rate=100, leads=["II", "V1"]).signal.size
    except EnECGError as error:
        assert str(path) in str(error)  # noqa: PT017  some are refused, some are not
