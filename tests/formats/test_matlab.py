import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import _mat, find, read, recordings_of
from enecg.formats._bytes import Cursor
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

ECG = simulate_one(3, seconds=2).recording.select(STANDARD_LEADS).signal.astype(float)  # [12, 1000]
ALL = {"rate": 500, "unit": "mV", "leads": STANDARD_LEADS}


def save_v73(path, variables):
    """As MATLAB lays version 7.3 out: HDF5 behind 512 bytes, axes reversed, texts as numbers of letters."""

    def put(group, name, value):
        if isinstance(value, dict):
            inside = group.create_group(name)
            for field, one in value.items():
                put(inside, field, one)
            return
        kind = "char" if isinstance(value, str) else "double"
        value = np.array([[ord(letter) for letter in value]], np.uint16) if kind == "char" else np.atleast_2d(value)
        group[name] = value.T
        group[name].attrs["MATLAB_class"] = np.bytes_(kind)

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            put(file, name, value)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


SAVERS = {
    "4": lambda path, variables: scipy.io.savemat(path, variables, format="4"),
    "5": lambda path, variables: scipy.io.savemat(path, variables),
    "5, compressed": lambda path, variables: scipy.io.savemat(path, variables, do_compression=True),
    "7.3": save_v73,
}


@pytest.fixture(params=SAVERS)
def save(request, tmp_path):
    def write(variables, name="ecg.mat"):
        SAVERS[request.param](tmp_path / name, variables)
        return tmp_path / name

    write.version = request.param
    return write


def test_the_one_signal_is_read_as_the_other_variables_and_the_caller_say(save):
    path = save({"filtered": ECG, "fs": 500.0, "unit": "mV"})
    one = read(path, leads=STANDARD_LEADS)
    np.testing.assert_array_equal(one.signal, ECG.astype(np.float32))
    part = read(path, leads=STANDARD_LEADS, start=0.5, seconds=0.1)
    np.testing.assert_array_equal(part.signal, one.signal[:, 250:300])
    with pytest.raises(LeadError, match="an array of 12 x 1000 does not name its leads; pass leads="):
        read(path)


def test_samples_before_leads_are_told_by_the_number_of_leads(save):
    np.testing.assert_array_equal(read(save({"x": ECG.T}), **ALL).signal, ECG.astype(np.float32))


def test_a_single_lead_needs_its_rate_unit_and_name(save):
    path = save({"ecg": ECG[1:2].T})
    np.testing.assert_array_equal(read(path, rate=400, unit="mV", leads=["II"]).signal, ECG[1:2].astype(np.float32))
    with pytest.raises(ReadError, match="does not say its sampling rate"):
        read(path, unit="mV", leads=["II"])
    with pytest.raises(UnitError, match="does not say the unit"):
        read(path, rate=400, leads=["II"])


def test_the_layout_of_cpsc_2018_is_known(save):
    if save.version == "4":
        pytest.skip("version 4 has no structs")
    one = read(save({"ECG": {"sex": "Female", "age": 49.0, "data": ECG}}))
    assert (one.rate, one.sex, one.age, one.leads) == (500, "female", 49, STANDARD_LEADS)
    np.testing.assert_array_equal(one.signal, ECG.astype(np.float32))
    assert one.notes == ("MATLAB in the layout of CPSC 2018: 500 Hz, mV, leads I to V6",)


def test_the_layout_of_fairseq_signals_is_known_but_for_its_unit(save, tmp_path):
    path = save({"org_sample_rate": 400.0, "curr_sample_rate": 500.0, "feats": ECG, "idx": 3.0})
    assert find(tmp_path) == [path]
    with pytest.raises(UnitError, match="pass unit="):
        read(path)
    one = read(path, unit="0.1 mV")
    assert (one.rate, one.leads) == (500, STANDARD_LEADS)
    np.testing.assert_allclose(one.signal, ECG / 10, rtol=1e-6)


def test_the_signal_of_a_wfdb_record_is_left_to_its_header(tmp_path):
    path = tmp_path / "ecg.mat"
    SAVERS["4"](path, {"val": np.rint(ECG * 1000).astype(np.int16)})
    with pytest.raises(LeadError, match=r"if it is of a WFDB record, copy its header ecg\.hea beside it"):
        read(path)
    np.testing.assert_allclose(read(path, **ALL | {"unit": "uV"}).signal, ECG, atol=6e-4)
    lines = [f"ecg.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS]
    path.with_suffix(".hea").write_text("\n".join(["ecg 12 500 1000", *lines]))
    assert read(path).source.format == "WFDB"
    assert find(tmp_path) == [path.with_suffix(".hea")]


def test_several_signals_are_listed_and_chosen_by_name(save):
    path = save({"first": ECG, "second": ECG * 2, "fs": 500.0})
    with pytest.raises(
        ReadError, match=r"which array is the signal.* first 12 x 1000 float64.* second 12 x 1000 float64"
    ):
        read(path, **ALL)
    np.testing.assert_array_equal(read(path, **ALL, item="second").signal, (ECG * 2).astype(np.float32))


def test_a_stack_holds_several_recordings(save):
    if save.version == "4":
        pytest.skip("version 4 has two axes")
    files = recordings_of(save({"data": np.stack([ECG, ECG * 2])}), **ALL)
    assert [file.id for file in files] == ["ecg#0", "ecg#1"]
    np.testing.assert_array_equal(files[1].read().signal, (ECG * 2).astype(np.float32))


def test_what_is_no_signal_is_listed(save, tmp_path):
    path = save({"labels": np.arange(9.0), "name": "nobody"})
    with pytest.raises(ReadError, match=r"which array is the signal.* labels 1 x 9 float64, name 1 x 6"):
        read(path, **ALL)
    assert find(tmp_path) == []


# -- versions 4 and 5 are read as scipy.io reads them ----------------------------------------------------------------

KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def variables(path):
    return {one.name: one for one in _mat.variables(Cursor(path.read_bytes(), path, "file"))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_of_every_class_are_those_of_scipy(tmp_path, kind, compressed):
    path = tmp_path / "one.mat"
    values = (np.arange(60).reshape(3, 5, 4) % 100).astype(kind)
    scipy.io.savemat(path, {"x": values, "row": values[0, 0], "none": np.zeros((0, 3))}, do_compression=compressed)
    found = variables(path)
    for name, expected in scipy.io.loadmat(path).items():
        if not name.startswith("__"):
            np.testing.assert_array_equal(found[name].value, expected)
            assert found[name].shape == expected.shape
            assert found[name].dtype == expected.dtype


@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "i2", "u2", "u1"])
def test_numbers_of_version_4_are_those_of_scipy(tmp_path, kind):
    path = tmp_path / "one.mat"
    scipy.io.savemat(path, {"x": np.arange(6).reshape(2, 3).astype(kind), "text": "abc"}, format="4")
    found = variables(path)
    np.testing.assert_array_equal(found["x"].value, scipy.io.loadmat(path)["x"])
    assert found["text"].value == "abc"


def test_texts_structs_and_cells_are_read(tmp_path):
    path = tmp_path / "one.mat"
    cell = np.array(["I", "aVR"], dtype=object)
    scipy.io.savemat(
        path, {"text": "µV", "rows": ["I ", "II"], "cell": cell, "s": {"a": {"b": 5}, "c": "d"}, "t": True}
    )
    found = variables(path)
    assert found["text"].value == "µV"
    assert found["rows"].value == ["I", "II"]
    assert found["cell"].value == ["I", "aVR"]
    assert found["s"].value["c"] == "d"
    assert found["s"].value["a"]["b"].tolist() == [[5]]
    assert found["t"].dtype == object


def test_big_endian_files_are_read(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    head = b"".join(n.to_bytes(4, "big") for n in (1000, 2, 3, 0, 2))
    path = tmp_path / "four.mat"
    path.write_bytes(head + b"x\0" + values.astype(">f8").tobytes(order="F"))
    np.testing.assert_array_equal(variables(path)["x"].value, values)
    np.testing.assert_array_equal(scipy.io.loadmat(path)["x"], values)


# -- damage ----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(tmp_path):
    path = tmp_path / "ecg.mat"
    for version in ("4", "5", "5, compressed"):
        SAVERS[version](path, {"x": ECG[:, :100]})
        whole = path.read_bytes()
        for length in (len(whole) - 1, len(whole) // 2, 200):
            path.write_bytes(whole[:length])
            with pytest.raises(ReadError, match=r"ecg\.mat"):
                read(path, **ALL)


def test_a_variable_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_mat, "LARGEST", 2**20)
    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"x": np.zeros((12, 100_000))}, do_compression=True)
    assert path.stat().st_size < 20_000
    with pytest.raises(ReadError, match="over 1 MiB when decompressed"):
        read(path, **ALL)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("m") / "ecg.mat"
    version = data.draw(st.sampled_from(["4", "5", "5, compressed"]))
    more = {} if version == "4" else {"ECG": {"sex": "Male", "age": 5, "data": ECG[:, :80]}}
    SAVERS[version](path, {"fs": 500, "x": ECG[:, :80], **more})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(400, len(content) - 1)) | st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read(path, **ALL)
    except EnECGError as error:
        assert "ecg.mat" in str(error)  # noqa: PT017
