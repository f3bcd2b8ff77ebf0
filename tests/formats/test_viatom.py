import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError
from enecg.formats import find, read
from enecg.simulation import simulate_one

DIGITAL = np.rint(simulate_one(3, seconds=4, rate=125).recording.lead("II") * 405).astype(int)


def line(samples=DIGITAL, rate="125", lead="II", gain="405"):
    return ",".join(["F-0-01", rate, lead, gain, *(str(value) for value in samples)])


@pytest.fixture
def viatom(tmp_path):
    def write(content):
        path = tmp_path / "one.txt"
        path.write_text(content)
        return path

    return write


@pytest.mark.parametrize("ending", ["", "\n", ",", ",\r\n"])
def test_samples_are_divided_by_the_gain_that_the_line_says(viatom, tmp_path, ending):
    path = viatom(line() + ending)
    one = read(path)
    assert (one.rate, one.leads, one.notes) == (125, ("II",), ("filter code of the recorder: F-0-01",))
    np.testing.assert_allclose(one.signal, DIGITAL[None] / 405, rtol=1e-6)
    np.testing.assert_array_equal(read(path, start=1, seconds=2).signal, one.signal[:, 125:375])
    assert find(tmp_path) == [path]


def test_a_gain_need_not_be_whole(viatom):
    np.testing.assert_allclose(read(viatom(line(gain="405.5"))).signal, DIGITAL[None] / 405.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (line(gain="0"), ReadError, "0 units to the millivolt; expected positive numbers"),
        (line(rate="0"), ReadError, "rate 0 Hz"),
        (line(lead="QQ"), LeadError, "unknown lead name 'QQ'"),
        (line([1, 2, "3x", 4]), ReadError, "sample 3 is '3x'; expected a number"),
        (line([1, 2, "", 4]), ReadError, "sample 3 is ''; expected a number"),
        (line([1, "1e999"]), ReadError, "amplitudes beyond measure"),
    ],
)
def test_what_cannot_be_a_recording_is_refused(viatom, content, error, told):
    with pytest.raises(error, match=rf"one\.txt: .*{told}"):
        read(viatom(content))


@pytest.mark.parametrize("content", ["F-0-01,125,II,405", "F-0-01,125,II", "1,2,3,4,5", "F-0-01, what a film"])
def test_other_lines_are_none(viatom, tmp_path, content):
    viatom(content)
    assert find(tmp_path) == []


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    content = bytearray(line(DIGITAL[:40]).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("v") / "one.txt"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read(path)
    except EnECGError as error:
        assert "one.txt" in str(error)  # noqa: PT017
