import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, MissingPackageError, ReadError, UnitError
from enecg.formats import find, read, recordings_of
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

ECG = simulate_one(3, seconds=8, rate=400).recording.select(STANDARD_LEADS).signal  # float32 [12, 3200]


def tracings(*signals):
    """Signals as CODE-15% pads them, and a last row of zeros."""
    stack = np.zeros((len(signals) + 1, 4096, 12), np.float32)
    for row, signal in zip(stack, signals, strict=False):
        before = (4096 - signal.shape[1]) // 2
        row[before : before + signal.shape[1]] = signal.T
    return stack


@pytest.fixture
def code15(tmp_path):
    def write(exams=(1169160, 2873686, 0), values=None, name="exams_part0.hdf5", **options):
        with h5py.File(tmp_path / name, "w") as file:
            file["exam_id"] = np.array(exams)
            stack = tracings(ECG, ECG[:, :2934] * 2) if values is None else values
            file.create_dataset("tracings", data=stack, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 4096, 12), "compression": "gzip"}])
def test_every_exam_of_code_15_is_a_recording_without_its_padding(code15, options):
    files = recordings_of(code15(**options), unit="mV")
    assert [file.id for file in files] == ["exams_part0#1169160", "exams_part0#2873686"]
    one, other = (file.read() for file in files)
    assert (one.id, one.rate, one.leads) == ("exams_part0#1169160", 400, STANDARD_LEADS)
    np.testing.assert_array_equal(one.signal, ECG)
    np.testing.assert_array_equal(other.signal, ECG[:, :2934] * 2)
    padding = "padding left out: 581 samples of 0 in all leads at the beginning, 581 at the end"
    assert other.notes == ("HDF5 in the layout of CODE-15%: 400 Hz, leads I to V6", padding)


def test_a_part_begins_where_the_exam_does_and_not_its_padding(code15):
    one = read(code15(), unit="mV", item=2873686, start=1, seconds=0.5)
    np.testing.assert_array_equal(one.signal, ECG[:, 400:600] * 2)


def test_the_unit_has_to_be_said_for_the_publisher_does_not(code15):
    path = code15()
    with pytest.raises(UnitError, match=r'pass unit= .* scaled millivolts by 2, which is unit="0.5 mV"'):
        read(path, item=1169160)
    np.testing.assert_allclose(read(path, item=1169160, unit="0.5 mV").signal, ECG / 2, rtol=1e-6)


@pytest.mark.parametrize("item", [None, 5, "0", "x"])
def test_an_exam_that_is_not_there_is_told(code15, item):
    with pytest.raises(ReadError, match=r"it holds 2 exams; pass item= with the exam_id of one \(1169160, 2873686\)"):
        read(code15(), unit="mV", item=item)


def test_exams_of_zeros_or_of_one_id_are_refused_and_cost_the_others_nothing(code15):
    path = code15(exams=(7, 7, 8, 9, 0), values=tracings(ECG, ECG, ECG, ECG[:, :0]))
    np.testing.assert_array_equal(read(path, unit="mV", item=8).signal, ECG)
    with pytest.raises(ReadError, match="2 exams 7"):
        read(path, unit="mV", item=7)
    with pytest.raises(ReadError, match="all samples are 0"):
        read(path, unit="mV", item=9)


def test_sph_is_read_with_its_rate_and_leads(tmp_path):
    path = tmp_path / "A00001.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", data=ECG.astype(np.float16), compression="gzip")
    one = read(path, unit="mV", start=1, seconds=1)
    assert (one.rate, one.leads) == (500, STANDARD_LEADS)
    np.testing.assert_array_equal(one.signal, ECG.astype(np.float16)[:, 500:1000].astype(np.float32))
    with pytest.raises(UnitError, match="pass unit="):
        read(path)


def test_hdf5_of_anything_else_is_refused_with_what_is_inside_and_not_found(code15, tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = np.zeros((3, 4))
        file.create_group("layers")["bias"] = np.zeros(4)
    with pytest.raises(
        ReadError, match=r"weights\.h5: HDF5 of an unknown layout; it holds kernel 3 x 4 float64, layers/"
    ):
        read(tmp_path / "weights.h5")
    assert find(tmp_path) == []
    path = code15()
    assert find(tmp_path) == [path]


@pytest.mark.parametrize(
    ("exams", "values", "told"),
    [
        ((1, 2), np.zeros((3, 4096, 12)), r"exam_id 2, tracings 3 x 4096 x 12; expected \[exam\]"),
        ((1, 2), np.zeros((2, 12, 4096)), r"tracings 2 x 12 x 4096"),
        ((1.5, 2.5), np.zeros((2, 100, 12)), "2 exam_id of float64; expected integers"),
    ],
)
def test_layouts_that_are_not_quite_code_15_are_refused(code15, exams, values, told):
    with pytest.raises(ReadError, match=rf"exams_part0\.hdf5: .*{told}"):
        read(code15(exams=exams, values=values), unit="mV")


def test_no_other_file_is_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["ecg"] = ECG
    (tmp_path / "secret.raw").write_bytes(ECG.tobytes())
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["ecg"] = h5py.ExternalLink("secret.h5", "/ecg")
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("ecg", ECG.shape, np.float32, external=[("secret.raw", 0, ECG.nbytes)])
    layout = h5py.VirtualLayout(ECG.shape, np.float32)
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "ecg", ECG.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("ecg", layout)
    for name, told in (("link", "unknown layout"), ("outside", "lies in another file"), ("virtual", "another file")):
        with pytest.raises(ReadError, match=rf"{name}\.h5: .*{told}"):
            read(tmp_path / f"{name}.h5", unit="mV")


def test_pieces_larger_than_memory_are_refused(tmp_path):
    path = tmp_path / "A1.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ecg", (12, 2**24), "f4", chunks=(12, 2**24), compression="gzip")
    assert path.stat().st_size < 10_000
    with pytest.raises(ReadError, match=r"ecg is stored in pieces of 768 MiB; expected 256 at most"):
        read(path, unit="mV", start=1, seconds=1)


def test_without_h5py_it_is_told_how_to_get_it(code15, monkeypatch):
    path = code15()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"h5py: pip install 'enecg\[hdf5\]'"):
        read(path, unit="mV")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("h") / "exams.hdf5"
    with h5py.File(path, "w") as file:
        file["exam_id"] = np.array([5, 0])
        file["tracings"] = np.stack([ECG[:, :200].T, ECG[:, :200].T * 0])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 2047))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        read(path, unit="mV")
    except EnECGError as error:
        assert "exams.hdf5" in str(error)  # noqa: PT017
