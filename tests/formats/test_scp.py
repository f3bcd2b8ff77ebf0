import struct
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.simulation import simulate_one

CODES = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "V7": 9, "V3R": 11, "X": 16}
CODES |= {"III": 61, "aVR": 62, "aVL": 63, "aVF": 64}
DEFAULT = struct.pack("<H", 19999)
ONE_TABLE = struct.pack("<HHBBBhIBBBhI", 1, 2, 1, 9, 1, 0, 0, 1, 17, 1, 0, 1)
"""Two codes: 0 and a byte, 1 and two bytes."""


def crc(data: bytes) -> int:
    """CRC-CCITT bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def sealed(data: bytes) -> bytes:
    return struct.pack("<H", crc(data)) + data


def record(sections: dict[int, bytes], called=None) -> bytes:
    """A record of these contents by section number, with pointers and checksums.

    called : numbers that headers of sections tell instead of the true ones.
    """
    stored = {number: content + b"\0" * (len(content) % 2) for number, content in sections.items()}
    numbers = range(max(12, *(number + 1 for number in stored)))
    at, pointers, body = 6 + 16 + 10 * len(numbers), b"", b""
    for number in numbers:
        size = 16 + 10 * len(numbers) if number == 0 else 16 + len(stored[number]) if number in stored else 0
        begin = 7 if number == 0 else at + len(body) + 1 if size else 0
        pointers += struct.pack("<HII", number, size, begin)
        if number in stored:
            body += sealed(
                struct.pack("<HIBB6s", (called or {}).get(number, number), size, 20, 20, b"") + stored[number]
            )
    first = sealed(struct.pack("<HIBB6s", 0, 16 + len(pointers), 20, 20, b"SCPECG") + pointers)
    return sealed(struct.pack("<I", 6 + len(first) + len(body)) + first + body)


def packed(bits: str) -> bytes:
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def by_default(value: int) -> str:
    if abs(value) <= 8:
        return "0" if value == 0 else "1" * abs(value) + ("00" if value > 0 else "01")
    small = -128 <= value < 128
    return ("1111111110" if small else "1111111111") + f"{value % (256 if small else 65536):0{8 if small else 16}b}"


def by_one_table(value: int) -> str:
    small = -128 <= value < 128
    return ("0" if small else "1") + f"{value % (256 if small else 65536):0{8 if small else 16}b}"


def coded(samples, order: int, table: bytes | None) -> bytes:
    """A lead: differences of an order, in the default code, in one of its own, or in none."""
    stored = np.array(samples, np.int64)
    for first in range(order):
        stored[first + 1 :] = np.diff(stored[first:])
    if order == 2:
        stored[1:2] = samples[1:2]
    stored = stored.astype(np.int16)
    if table is None:
        return stored.astype("<i2").tobytes()
    code = by_default if table == DEFAULT else by_one_table
    data = packed("".join(code(int(value)) for value in stored))
    return data + b"\0" * (len(data) % 2)


def waves(leads, *, resolution=2500, interval=2000, order=0, table=None, bimodal=0) -> bytes:
    """Section 5 or 6."""
    data = [coded(lead, order, table) for lead in leads]
    head = struct.pack("<HHBB", resolution, interval, order, bimodal)
    return head + struct.pack(f"<{len(data)}H", *map(len, data)) + b"".join(data)


def places(codes, spans, flags=4) -> bytes:
    """Section 3; spans : first and last sample of each lead."""
    each = (struct.pack("<IIB", *span, code) for span, code in zip(spans, codes, strict=True))
    return struct.pack("BB", len(codes), flags | len(codes) % 32 << 3) + b"".join(each)


def plain(samples, codes=(2,), **more) -> dict[int, bytes]:
    """The sections of a record of leads [lead, sample] that were recorded at once."""
    samples = np.asarray(samples)
    sections = {3: places(codes, [(1, samples.shape[1])] * len(codes)), 6: waves(samples, **more)}
    return sections | ({2: more["table"]} if more.get("table") else {})


def tag(number: int, value: bytes) -> bytes:
    return struct.pack("<BH", number, len(value)) + value


def machine(model="ELI250", code=0, maker="", language=0) -> bytes:
    head = struct.pack("<HHHBB6s", 0, 11, 51, 0, code, model.encode()) + bytes([20, 0xA0, language, 0, 1]) + bytes(16)
    return head + b"\0" + b"\0".join([b"analysis", b"serial", b"system", b"scp", maker.encode("latin-1"), b""])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("scp") / "one.bin"


# -- samples ---------------------------------------------------------------------------------------------------------


@given(
    st.permutations(list(CODES)).flatmap(lambda names: st.integers(1, 8).map(lambda n: names[:n])),
    st.integers(1, 30).flatmap(lambda n: st.lists(st.integers(-(2**15), 2**15 - 1), min_size=8 * n, max_size=8 * n)),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([None, DEFAULT, ONE_TABLE]),
    st.integers(1, 2**16 - 1),
    st.integers(1, 2**16 - 1),
)
def test_leads_are_read_in_millivolts_however_they_were_coded(path, names, values, order, table, resolution, interval):
    digital = np.reshape(values, (8, -1))[: len(names)]
    codes = [CODES[name] for name in names]
    path.write_bytes(record(plain(digital, codes, order=order, table=table, resolution=resolution, interval=interval)))
    found = read(path)
    assert found.rate == 1e6 / interval
    assert found.leads[: len(names)] == tuple(names)
    for name, row in zip(names, digital, strict=True):
        np.testing.assert_allclose(found.lead(name), row * 1.0 * resolution * 1e-6, rtol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_simulated_heart_is_read_back_within_a_step(path, order):
    heart = simulate_one(0, rate=500.0).recording
    names = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    digital = np.round(heart.select(names).signal / 2.5e-3).astype(int)
    path.write_bytes(record(plain(digital, [CODES[name] for name in names], order=order, table=DEFAULT)))
    found = read(path)
    assert found.rate == 500
    assert np.abs(found.select(names).signal - heart.select(names).signal).max() <= 1.25e-3 + 1e-6
    assert found.notes == ("derived from the other limb leads: III, aVR, aVL, aVF",)


@given(st.data())
def test_reference_beats_are_added_where_they_were_subtracted(path, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, n_beat, begin = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 12)), data.draw(st.integers(1, 5))
    fiducial = data.draw(st.integers(1, n_beat))
    whole, beat = rng.integers(-500, 500, (2, n)), rng.integers(-300, 300, (2, n_beat))
    residual, complexes = whole.copy(), []
    for _ in range(data.draw(st.integers(0, 4))):
        at, kind = data.draw(st.integers(1, n + 10)), data.draw(st.sampled_from([0, 0, 1]))
        reach = data.draw(st.integers(0, n_beat))
        first, last = max(at - reach, 0), at + reach
        complexes.append(struct.pack("<HIII", kind, first, at, last))
        for number in range(first, last + 1):  # samples are counted from 1, and the first here is number `begin`
            place, wave = number - begin, fiducial - 1 + number - at
            if kind == 0 and 0 <= place < n and 0 <= wave < n_beat:
                residual[:, place] -= 2 * beat[:, wave]
    order, table = data.draw(st.sampled_from([0, 1, 2])), data.draw(st.sampled_from([None, DEFAULT]))
    sections = {
        3: places((2, 3), [(begin, begin + n - 1)] * 2, flags=5),
        4: struct.pack("<HHH", 2 * n_beat, fiducial, len(complexes)) + b"".join(complexes) + bytes(8 * len(complexes)),
        5: waves(beat, resolution=2000, order=order, table=table),
        6: waves(residual, resolution=1000, order=order, table=table, bimodal=data.draw(st.sampled_from([0, 1]))),
    }
    path.write_bytes(record(sections | ({2: table} if table else {})))
    np.testing.assert_allclose(read(path).signal, whole * 1e-3, rtol=1e-5, atol=1e-7)


def test_a_reference_beat_that_was_not_subtracted_is_not_added(path):
    beat = {4: struct.pack("<HHHHIII", 4, 1, 1, 0, 1, 1, 2), 5: waves([[100, 100]])}
    path.write_bytes(record(plain([[1, 2, 3]]) | beat))
    np.testing.assert_allclose(read(path).signal, [[0.0025, 0.005, 0.0075]], rtol=1e-6)


def test_leads_that_were_recorded_one_after_the_other_are_missing_in_between(path):
    sections = {3: places((2, 3), [(1, 3), (3, 4)]), 6: waves([[1, 2, 3], [4, 5]], resolution=1000)}
    path.write_bytes(record(sections))
    found = read(path)
    np.testing.assert_allclose(found.signal * 1000, [[1, 2, 3, np.nan], [np.nan, np.nan, 4, 5]], rtol=1e-6)
    assert found.notes == ("not all leads were recorded at the same time; samples are missing where one was not",)


def test_a_part_is_the_whole_cut(path):
    path.write_bytes(record(plain(np.arange(2000).reshape(2, 1000), (2, 3))))
    np.testing.assert_array_equal(read(path, start=0.5, seconds=1).signal, read(path).signal[:, 250:750])
    with pytest.raises(ReadError, match=r"one\.bin: start at 2 s of a recording of 2 s"):
        read(path, start=2)


@pytest.mark.parametrize(("first", "last", "announced"), [(0, 4, 5), (1, 37_855, 37_855)])
def test_leads_that_hold_fewer_samples_than_announced_are_read_as_far_as_they_go(path, first, last, announced):
    path.write_bytes(record({3: places((2, 3), [(first, last)] * 2), 6: waves([[1, 2, 3, 4]] * 2)}))
    found = read(path)
    assert found.n_samples == 4
    assert found.notes == (f"leads announced with {announced:,} samples hold 4, which were read",)


def test_a_coded_lead_that_ends_too_early_is_refused(path):
    path.write_bytes(record({2: DEFAULT, 3: places((2,), [(1, 20)]), 6: waves([[0, 1, 2]], table=DEFAULT)}))
    with pytest.raises(ReadError, match=r"one\.bin: section 6, lead 1, byte \d+: 20 samples announced, in 2 bytes"):
        read(path)


def test_avr_that_is_turned_over_is_turned_back(path):
    path.write_bytes(record(plain([[4]], (65,))))
    found = read(path)
    assert (found.leads, found.signal.item()) == (("aVR",), np.float32(-0.01))
    assert found.notes == ("aVR is stored as -aVR; its sign was turned",)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_every_changed_byte_is_noticed(path):
    good = record(plain([[1, 2, 3]], order=1, table=DEFAULT) | {1: tag(2, b"A-17\0") + tag(255, b"")})
    path.write_bytes(good)
    read(path)
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 0x11
        path.write_bytes(damaged)
        with pytest.raises(ReadError, match=r"one\.bin"):
            read(path)


def test_a_file_cut_anywhere_is_noticed(path):
    good = record(plain([[1, 2, 3]]))
    for end in range(32, len(good)):
        path.write_bytes(good[:end])
        with pytest.raises(ReadError, match=r"one\.bin: record, byte 2: .* cut short"):
            read(path)


def test_what_follows_the_record_is_left_out_and_told(path):
    path.write_bytes(record(plain([[1, 2]])) + b"12345")
    assert read(path).notes == ("5 bytes follow the record, and were left out",)


def test_a_damaged_section_is_named(path):
    good = record(plain([[1, 2]]))
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    path.write_bytes(sealed(damaged[2:]))
    with pytest.raises(ReadError, match=r"one\.bin: section 6, byte \d+: checksum 0x[0-9a-f]{4}, expected 0x"):
        read(path)


def test_a_section_that_is_not_where_it_should_be_is_named(path):
    good = record(plain([[1, 2]]))
    size = struct.unpack_from("<I", good, 10)[0]
    for place, value in ((6 + 16 + 10 * 6 + 6, 2), (6 + 16 + 10 * 6 + 6, 2**32 - 1), (6 + 16 + 10 * 3 + 2, 2**31)):
        head = bytearray(good[6 : 6 + size])
        struct.pack_into("<I", head, place - 6, value)
        path.write_bytes(sealed(good[2:6] + sealed(bytes(head[2:])) + good[6 + size :]))
        with pytest.raises(
            ReadError, match=r"one\.bin: section [36]: [\d,]+ bytes from byte -?[\d,]+ of|one\.bin: section 6, "
        ):
            read(path)


def test_a_section_with_the_header_of_another_is_named(path):
    path.write_bytes(record(plain([[1, 2]]), called={6: 5}))
    with pytest.raises(ReadError, match=r"section 6, .* a section 5 of 28 bytes, where section 0 has one of 28"):
        read(path)


def subtracted(**more) -> dict[int, bytes]:
    return plain([[1, 2]], **more) | {3: places((2,), [(1, 2)], flags=5)}


BEATS = {4: struct.pack("<HHH", 4, 1, 0), 5: waves([[1, 2]])}


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({6: waves([[1]])}, "no section 3, of leads"),
        ({3: places((2,), [(1, 1)])}, "no section 6, of rhythm; expected one"),
        (
            {3: places((2,), [(1, 1)]), 12: b"long"},
            r"no section 6, .* long recording \(section 12\) cannot be read yet",
        ),
        (plain([[1]]) | {3: places((), [])}, "section 3, .* no leads"),
        (plain([[1]]) | {3: places((2,), [(5, 1)])}, "section 3, .* a lead with samples 5 to 1"),
        (plain([[1]]) | {3: b"\x05\0"}, "section 3, .* bytes expected"),
        (
            plain([[1]]) | {6: waves([[1]], order=0)[:4] + b"\3" + waves([[1]])[5:]},
            "differences of order 3; expected 0, 1",
        ),
        (plain([[1]]) | {6: waves([[1]])[:6] + b"\xff\xff"}, "section 6, .* 65535 bytes expected, 0 left"),
        (plain([[1]]) | {6: waves([[]])}, "section 6, lead 1, .* no samples; expected 1"),
        (plain([[1, 2]], bimodal=1), r"thinned out \(bimodal compression\), which cannot be read"),
        (plain([[1, 2]], bimodal=1) | {5: waves([[1]], interval=500)}, r"thinned out \(bimodal compression\)"),
        (subtracted(), "reference beats were subtracted, but sections 4 and 5, which tell them, are missing"),
        (subtracted() | {4: BEATS[4]}, "sections 4 and 5"),
        (subtracted() | {5: BEATS[5]}, "sections 4 and 5"),
        (subtracted(interval=4000) | BEATS, "reference beat has a sample every 2000 us, the rhythm .* every 4000 us"),
        (subtracted() | BEATS | {4: struct.pack("<HHH", 40, 1, 0)}, "a reference beat of 20 samples, of which"),
        (subtracted() | BEATS | {4: struct.pack("<HHH", 0, 1, 0)}, "no samples; expected 0"),
        (subtracted() | BEATS | {4: struct.pack("<HHH", 4, 1, 5)}, "section 4, .* bytes expected, 0 left"),
        ({3: places((2,), [(1, 2**32 - 1)]), 6: waves([[1]])}, "4,294,967,295 samples announced"),
        (
            {3: places((2, 3), [(1, 1), (2**31, 2**31)]), 6: waves([[1], [2]])},
            "leads as far as 2,147,483,648 samples apart",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_with_what_is_wrong(path, sections, told):
    path.write_bytes(record(sections))
    with pytest.raises(ReadError, match=rf"one\.bin: .*{told}"):
        read(path)


def test_what_the_file_leaves_out_the_caller_may_say(path):
    path.write_bytes(record(plain([[1]], interval=0)))
    with pytest.raises(ReadError, match=r"one\.bin.* pass rate="):
        read(path)
    assert read(path, rate=500).rate == 500
    path.write_bytes(record(plain([[1]], resolution=0)))
    with pytest.raises(UnitError, match=r"one\.bin.* pass unit="):
        read(path)
    assert read(path, unit="uV").signal.item() == np.float32(0.001)
    path.write_bytes(record(plain([[1], [2]], (3, 0))))
    with pytest.raises(LeadError, match=r"one\.bin.*leads \(V1, \?\); pass leads= with 2 names"):
        read(path)
    assert read(path, leads=["V1", "MLII"]).leads == ("V1", "MLII")


@given(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8]), st.binary(max_size=60))
def test_sections_of_any_content_are_read_or_refused(path, number, content):
    sections = subtracted(order=1, table=DEFAULT) | BEATS | {5: waves([[1, 2]], order=1, table=DEFAULT)}
    path.write_bytes(record(sections | {number: content}))
    try:
        assert read(path, unit="mV", rate=500, leads=["II"]).signal.size
    except EnECGError as error:
        assert str(path) in str(error)  # noqa: PT017  most are refused, some are not


# -- what the file says ----------------------------------------------------------------------------------------------


def test_the_patient_the_machine_and_the_time_are_told(path):
    told = [
        tag(0, b"Clark\0"),
        tag(2, b"SBJ-123\0"),
        tag(5, struct.pack("<HBB", 1953, 5, 8)),
        tag(8, b"\1"),
        tag(14, machine(maker="ECGConversion")),
        tag(25, struct.pack("<HBB", 2002, 11, 22)),
        tag(26, bytes([9, 10, 0])),
        tag(255, b""),
    ]
    path.write_bytes(record(plain([[1]]) | {1: b"".join(told)}))
    found = read(path)
    assert (found.subject, found.sex, found.age) == ("file:SBJ-123", "male", 49)
    assert (found.acquired, found.device) == (datetime(2002, 11, 22, 9, 10), "ECGConversion ELI250")


@pytest.mark.parametrize(
    ("stored", "age"),
    [
        ((36, 1), 36),
        ((18, 2), 1.5),
        ((2, 3), 14 / 365.25),
        ((7, 4), 7 / 365.25),
        ((0, 1), None),
        ((36, 0), None),
        ((200, 1), None),
    ],
)
def test_an_age_has_a_unit(path, stored, age):
    path.write_bytes(record(plain([[1]]) | {1: tag(4, struct.pack("<HB", *stored)) + tag(8, b"\0") + tag(255, b"")}))
    assert (read(path).age, read(path).sex) == (age, None)


def test_a_maker_may_be_told_by_its_number_alone(path):
    path.write_bytes(record(plain([[1]]) | {1: tag(14, machine("AT-10", code=17)) + tag(255, b"")}))
    assert read(path).device == "Schiller AT-10"


def test_a_day_without_a_time_is_no_moment(path):
    path.write_bytes(record(plain([[1]]) | {1: tag(25, struct.pack("<HBB", 2002, 11, 22)) + tag(255, b"")}))
    assert read(path).acquired is None


def measured(*waves, spikes=0, rr=800, rate=75, qtc=402) -> bytes:
    head = struct.pack("<BBHH", len(waves), spikes, rr, 29999)
    return (
        head
        + b"".join(struct.pack("<5H3h", *wave) for wave in waves)
        + bytes(10 * spikes)
        + struct.pack("<H3B3HB", 3, 0, 0, 1, rate, 29999, qtc, 1)
    )


def test_measurements_are_intervals_between_the_waves_that_are_there(path):
    every = (100, 192, 257, 345, 617, 29, -53, 56)
    path.write_bytes(record(plain([[1]]) | {7: measured(every, every, spikes=2)}))
    intervals = {"rr_ms": 800, "p_ms": 92, "pr_ms": 157, "qrs_ms": 88, "qt_ms": 360, "qtc_ms": 402}
    axes = {"p_axis_deg": 29, "qrs_axis_deg": -53, "t_axis_deg": 56}
    assert read(path).measurements == intervals | axes | {"heart_rate_bpm": 75}
    no_p = (29999, 29999, 257, 345, 617, 999, 53, 29999)
    path.write_bytes(record(plain([[1]]) | {7: measured(no_p, rr=0, rate=29999, qtc=0xFFFF)}))
    assert read(path).measurements == {"qrs_ms": 88, "qt_ms": 360, "qrs_axis_deg": 53}
    path.write_bytes(record(plain([[1]]) | {7: struct.pack("<BBHH", 0, 0, 900, 29999)}))
    assert read(path).measurements == {"rr_ms": 900}


@pytest.mark.parametrize(
    ("language", "encoding"), [(1, "latin-1"), (0x13, "iso8859-5"), (0x07, "utf-16-le"), (0x37, "utf-8")]
)
def test_statements_are_told_in_order_and_in_their_alphabet(path, language, encoding):
    texts = ["Ритм", "норма"] if encoding != "latin-1" else ["sinusrytm (långsam)", "hög P-amplitud"]
    stored = [(text + "\0").encode(encoding) for text in [*texts, ""]]
    told = b"\0" + bytes(7) + bytes([len(stored)])
    told += b"".join(struct.pack("<BH", number, len(text)) + text for number, text in enumerate(stored, 1))
    path.write_bytes(record(plain([[1]]) | {1: tag(14, machine(language=language)) + tag(255, b""), 8: told}))
    assert read(path).statements == tuple(texts)


def test_what_is_said_in_a_damaged_way_costs_no_sample(path):
    path.write_bytes(record(plain([[1]]) | {1: tag(2, b"A-17\0") + b"\5\xff\xff", 7: measured()}))
    found = read(path)
    assert (found.signal.item(), found.subject) == (np.float32(0.0025), None)
    assert len(found.notes) == 1
    assert "not understood and left out: " in found.notes[0]
    assert "section 1, byte" in found.notes[0]
