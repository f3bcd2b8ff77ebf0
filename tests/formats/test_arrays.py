import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import find, read, recordings_of
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

ECG = simulate_one(3, seconds=2).recording.select(STANDARD_LEADS).signal  # float32 [12, 1000]
ALL = {"rate": 500, "unit": "mV", "leads": STANDARD_LEADS}


@pytest.fixture
def array(tmp_path):
    def write(values, name="ecg.npy"):
        np.save(tmp_path / name, values, allow_pickle=True)
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2", "<i2", ">i4", "u1"])
def test_numbers_of_every_kind_are_read_in_either_order_of_axes(array, kind):
    values = np.clip(np.round((ECG + 2) * 40), 0, 255).astype(kind)
    one, other = read(array(values), **ALL), read(array(values.T, "turned.npy"), **ALL)
    np.testing.assert_array_equal(one.signal, values.astype(np.float32))
    np.testing.assert_array_equal(other.signal, one.signal)
    assert other.notes[0] == "the array is [sample, lead], told by the number of leads"


def test_fortran_order_and_one_lead_alone_are_read(array):
    np.testing.assert_array_equal(read(array(np.asfortranarray(ECG)), **ALL).signal, ECG)
    one = read(array(ECG[1], "one.npy"), rate=500, unit="mV", leads=["II"])
    np.testing.assert_array_equal(one.signal, ECG[1:2])


def test_a_part_equals_the_same_part_of_the_whole(array):
    path = array(ECG.T)
    np.testing.assert_array_equal(read(path, **ALL, start=0.5, seconds=0.3).signal, ECG[:, 250:400])


def test_a_long_array_is_not_read_whole(tmp_path):
    values = np.lib.format.open_memmap(tmp_path / "day.npy", "w+", np.int16, (3, 86_400 * 1000))
    values[:, 5000:6000] = 7
    del values
    one = read(tmp_path / "day.npy", rate=1000, unit="uV", leads=["I", "II", "V1"], start=5, seconds=1)
    np.testing.assert_allclose(one.select(["I", "II", "V1"]).signal, np.full((3, 1000), 0.007), rtol=1e-6)
    with pytest.raises(ReadError, match="3 leads of 86,400,000 samples are more than is read at once; pass start="):
        read(tmp_path / "day.npy", rate=1000, unit="uV", leads=["I", "II", "V1"])


@pytest.mark.parametrize(
    ("left_out", "error", "told"),
    [
        ("rate", ReadError, r"sampling rate; pass rate= \(Hz\); or say it in ecg\.json beside it"),
        ("unit", UnitError, "unit of its samples; pass unit="),
        ("leads", LeadError, "an array of 12 x 1000 does not name its leads; pass leads="),
    ],
)
def test_what_is_said_nowhere_is_asked_for(array, left_out, error, told):
    path = array(ECG)
    with pytest.raises(error, match=told):
        read(path, **{key: value for key, value in ALL.items() if key != left_out})
    path.with_suffix(".json").write_text(json.dumps({key: list(v) if key == "leads" else v for key, v in ALL.items()}))
    np.testing.assert_array_equal(read(path).signal, ECG)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"rate": -5}, ReadError, "rate of -5 Hz"),
        ({"rate": 1e9}, ReadError, r"rate of 1e\+09 Hz"),
        ({"unit": "mm"}, UnitError, "unknown unit 'mm'"),
        ({"leads": ["I", "II"]}, LeadError, "2 lead names for an array of 12 x 1000"),
        ({"leads": ["I"] * 12}, ReadError, "more than once"),
        ({"item": "3"}, ReadError, "no recording '3'"),
    ],
)
def test_what_the_caller_says_is_checked(array, asked, error, told):
    with pytest.raises(error, match=rf"ecg\.npy: .*{told}"):
        read(array(ECG), **ALL | asked)


def test_units_can_be_multiples_and_differ_between_leads(array):
    path = array(ECG[:2])
    np.testing.assert_allclose(read(path, rate=500, unit="0.1 mV", leads=["I", "V1"]).signal, ECG[:2] / 10, rtol=1e-6)
    path.with_suffix(".json").write_text('{"rate": 500, "leads": "I, V1", "unit": ["uV", "mV"]}')
    np.testing.assert_allclose(read(path).signal, ECG[:2] * [[0.001], [1]], rtol=1e-5)
    path.with_suffix(".json").write_text('{"rate": 500, "leads": "I, V1", "unit": ["uV", "mV", "V"]}')
    with pytest.raises(UnitError, match="3 units for 2 leads"):
        read(path)


def test_a_stack_holds_several_recordings(array):
    path = array(np.stack([ECG, ECG * 2, ECG * 3]).transpose(0, 2, 1))
    files = recordings_of(path, **ALL)
    assert [file.id for file in files] == ["ecg#0", "ecg#1", "ecg#2"]
    for times, file in enumerate(files, start=1):
        one = file.read()
        assert one.id == file.id
        np.testing.assert_array_equal(one.signal, ECG * times)
    for item in (None, "3", "-1", "x"):
        with pytest.raises(ReadError, match=r"holds 3 recordings; pass item=, 0 to 2"):
            read(path, **ALL, item=item)


# -- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_says_itself_what_its_numbers_are(tmp_path, save):
    path = tmp_path / "ecg.npz"
    save(path, signal=ECG, fs=500, units="mV", lead_names=np.array(STANDARD_LEADS), age=np.float32(63), y=np.arange(5))
    one = read(path)
    assert (one.rate, one.age) == (500, 63)
    np.testing.assert_array_equal(one.signal, ECG)
    assert [file.id for file in recordings_of(path)] == ["ecg"]


def test_which_array_is_the_signal_is_told_by_its_name_or_the_caller(tmp_path):
    path = tmp_path / "ecg.npz"
    np.savez(path, raw=ECG, filtered=ECG * 2)
    with pytest.raises(ReadError, match=r"which array is the signal.* raw 12 x 1000 float32, filtered .*; pass item="):
        read(path, **ALL)
    np.testing.assert_array_equal(read(path, **ALL, item="filtered").signal, ECG * 2)
    np.savez(path, X=np.stack([ECG, ECG * 3]), other=ECG)
    np.testing.assert_array_equal(read(path, **ALL, item=1).signal, ECG * 3)
    np.testing.assert_array_equal(read(path, **ALL, item="X#1").signal, ECG * 3)
    np.testing.assert_array_equal(read(path, **ALL, item="other").signal, ECG)


def test_pickles_are_never_opened(array, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "opened").touch, ()

    np.savez(tmp_path / "bomb.npz", signal=ECG, rate=np.array([Bomb()], dtype=object))
    read(tmp_path / "bomb.npz", **ALL)
    with pytest.raises(ReadError, match=r"bomb\.npy"):
        read(array(np.array([Bomb()] * 100, dtype=object), "bomb.npy"), **ALL)
    assert not (tmp_path / "opened").exists()


# -- other things, damage --------------------------------------------------------------------------------------------


def test_arrays_of_other_things_are_not_found_among_recordings(array, tmp_path):
    array(np.zeros((1000, 768)), "embeddings.npy")
    array(np.arange(1000), "labels.npy")
    array(np.zeros((1000, 5)), "targets.npy")
    array(np.array(["a"] * 500), "names.npy")
    np.savez(tmp_path / "weights.npz", kernel=np.zeros((300, 300)), bias=np.zeros(300))
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(40))
    # Which of its arrays is a signal nobody says, however much some look like one: a network's inputs and outputs.
    np.savez(tmp_path / "golden.npz", **{"b1.input": np.zeros((1, 12, 2250)), "b3.input": np.zeros((3, 12, 2250))})
    array(np.zeros((500, 10)), "config.npy").with_suffix(".json").write_text('{"layers": 3}')
    described = array(ECG[0], "described.npy")
    described.with_suffix(".json").write_text('{"rate": 500, "unit": "mV", "leads": ["II"]}')
    stack = array(np.zeros((5, 1000, 12)), "stack.npy")
    assert find(tmp_path) == [described, stack]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((12, 1000), complex), "which array is the signal"),
        (np.zeros((12, 1000), bool), "which array is the signal"),
        (np.zeros((2, 2, 12, 1000)), "which array is the signal"),
        (np.zeros((12, 0)), "which array is the signal"),
        (np.full((12, 1000), np.inf), "amplitudes beyond measure"),
    ],
)
def test_arrays_that_cannot_be_a_signal_are_refused(array, values, told):
    with pytest.raises(ReadError, match=rf"ecg\.npy: (lead I\b.*: )?{told}"):
        read(array(values), **ALL)


def test_an_array_that_claims_more_than_its_file_holds_is_refused(array, tmp_path):
    path = array(ECG)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ReadError, match=r"ecg\.npy: .*expected an array of numbers, whole"):
        read(path, **ALL)
    path.write_bytes(whole.replace(b"(12, 1000)", b"(12, 9**9)"))
    with pytest.raises(ReadError, match=r"ecg\.npy"):
        read(path, **ALL)
    np.savez(tmp_path / "ecg.npz", signal=ECG)
    with zipfile.ZipFile(tmp_path / "long.npz", "w") as archive:
        archive.writestr("signal.npy", whole[:128].replace(b"(12, 1000)", b"(12, 9999)") + bytes(1000))
    with pytest.raises(ReadError, match=r"long\.npz: signal\.npy is cut short"):
        read(tmp_path / "long.npz", **ALL)


def test_headers_streams_and_texts_that_are_none_are_refused_for_what_they_are(array, tmp_path):
    path = array(ECG)
    path.write_bytes(path.read_bytes().replace(b"(12, 1000), }", b"(12, 1000), ("))
    with pytest.raises(ReadError, match=r"ecg\.npy: .*; expected an array of numbers, whole"):
        read(path, **ALL)
    np.savez_compressed(tmp_path / "packed.npz", signal=ECG)
    content = bytearray((tmp_path / "packed.npz").read_bytes())
    content[60:400] = b"\xff" * 340
    (tmp_path / "packed.npz").write_bytes(content)
    with pytest.raises(ReadError, match=r"packed\.npz: .*; expected an NPZ file, whole"):
        read(tmp_path / "packed.npz", **ALL)
    np.savez(tmp_path / "letters.npz", signal=ECG, unit=np.array([2**31 - 1] * 2, "<u4").view("<U2"))
    with pytest.raises(ReadError, match=r"letters\.npz: a text that is none, .*; expected an NPZ file, whole"):
        read(tmp_path / "letters.npz", rate=500)


def test_a_header_that_asks_for_all_memory_is_refused(array, tmp_path):
    content = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + bytes(100)
    (tmp_path / "one.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "one.npz", "w") as archive:
        archive.writestr("signal.npy", content)
    for name in ("one.npy", "one.npz"):
        with pytest.raises(ReadError, match=rf"{name}: a header of 2,147,483,648 bytes; expected 10,000 at most"):
            read(tmp_path / name, **ALL)


@pytest.mark.parametrize("order", "<>")
def test_a_letter_that_no_alphabet_has_is_refused_wherever_it_stands(tmp_path, order):
    for name in ("unit", "leads", "device"):
        np.savez(tmp_path / "one.npz", signal=ECG, **{name: np.array([0x110000, 65], f"{order}u4").view(f"{order}U2")})
        with pytest.raises(ReadError, match=r"one\.npz: a text that is none, with letter number 1,114,112"):
            read(tmp_path / "one.npz", rate=500)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("a")
    name = data.draw(st.sampled_from(["ecg.npy", "ecg.npz"]))
    np.save(folder / "ecg.npy", ECG[:, :100])
    np.savez(folder / "ecg.npz", signal=ECG[:, :100], rate=500)
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 200) | st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        read(folder / name, **ALL)
    except EnECGError as error:
        assert name in str(error)  # noqa: PT017
