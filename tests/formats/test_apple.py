from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError
from enecg.formats import find, read
from enecg.formats._decimals import decimal_mark, plain
from enecg.simulation import simulate_one

MICROVOLTS = np.round(simulate_one(3, seconds=2, rate=512).recording.lead("I").astype(float) * 1000, 3)

ENGLISH = """Name,REDACTED
Date of Birth,"Jan 1, 1980"
Recorded Date,2019-03-28 08:00:00 +0100
Classification,Sinus Rhythm
Symptoms,
Software Version,1.0
Device,"Watch4,4"
Sample Rate,512 hertz


Lead,Lead I
Unit,µV


"""
GERMAN = """Name
Geburtstag,"27.03.1987"
Aufzeichnungsdatum,2020-07-31 22:48:19 +0200
Klassifizierung,Sinusrhythmus
Symptome,
Softwareversion,1.13
Gerät,"Watch4,2"
Messrate,"511,562\u00a0Hertz"


Ableitung,Ableitung I
Einheit,µV

"""


@pytest.fixture
def apple(tmp_path):
    def write(header=ENGLISH, values=MICROVOLTS, mark=".", form="{:.3f}", **more):
        path = tmp_path / more.get("name", "ecg.csv")
        lines = [form.format(value).replace(".", mark) for value in values]
        path.write_bytes((header + more.get("ending", "\n").join(lines) + "\n").encode(more.get("encoding", "utf-8")))
        return path

    return write


def test_an_export_in_english_is_read_whole(apple, tmp_path):
    path = apple()
    one = read(path)
    np.testing.assert_allclose(one.signal, MICROVOLTS[None] / 1000, rtol=1e-6)
    assert (one.rate, one.leads, one.device, one.age) == (512, ("I",), "Apple Watch4,4", 39)
    assert one.acquired == datetime(2019, 3, 28, 8, tzinfo=timezone(timedelta(hours=1)))
    assert one.statements == ("Sinus Rhythm",)
    assert "REDACTED" not in repr(one.__dict__)
    assert find(tmp_path) == [path]
    np.testing.assert_array_equal(read(path, start=1, seconds=0.5).signal, one.signal[:, 512:768])


@pytest.mark.parametrize("form", ["{:.3f}", "{:.6g}"])
def test_an_export_in_german_is_read_by_values_and_not_by_names(apple, form):
    one = read(apple(GERMAN, mark=",", form=form))
    np.testing.assert_allclose(one.signal, MICROVOLTS[None] / 1000, rtol=1e-4, atol=1e-6)
    assert (one.rate, one.leads, one.device, one.age) == (511.562, ("I",), "Apple Watch4,2", 33)
    assert one.statements == ("Sinusrhythmus",)


@pytest.mark.parametrize(
    "rate", ["512 Hz", "512Hz", "512.0 Hertz", '"512,0 hertz"', "512 hercios", "512 герц", "512 赫兹"]
)
@pytest.mark.parametrize("micro", ["µV", "μV", "uV"])
def test_rates_and_micro_signs_are_read_in_many_spellings(apple, rate, micro):
    one = read(apple(ENGLISH.replace("512 hertz", rate).replace("µV", micro)))
    assert one.rate == 512
    np.testing.assert_allclose(one.signal, MICROVOLTS[None] / 1000, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_encoding_minus_sign_and_quoted_samples_are_read(apple, encoding):
    path = apple(form='"{:.3f}"', ending="\r\n", encoding=encoding)
    np.testing.assert_allclose(read(path).signal, MICROVOLTS[None] / 1000, rtol=1e-6)
    text = path.read_text(encoding).replace("-", "\u2212").replace("2019\u221203\u221228", "2019-03-28")
    path.write_text(text, encoding)
    np.testing.assert_allclose(read(path).signal, MICROVOLTS[None] / 1000, rtol=1e-6)


def test_a_birth_that_can_be_read_in_two_ways_gives_no_age(apple):
    assert read(apple(ENGLISH.replace("Jan 1, 1980", "01/02/1980"))).age is None
    assert read(apple(ENGLISH.replace("Jan 1, 1980", "1 gen 1980"))).age is None
    assert read(apple(ENGLISH.replace("Jan 1, 1980", "30 Mar 1980"))).age == 38


def test_a_heart_rate_is_a_measurement(apple):
    header = ENGLISH.replace("Symptoms,\n", 'Symptoms,\nAverage Heart Rate,"63,5 bpm"\n')
    assert dict(read(apple(header)).measurements) == {"heart_rate_bpm": 63.5}


def test_a_lead_that_is_not_named_is_asked_for(apple):
    path = apple(ENGLISH.replace("Lead,Lead I\n", "Lead,?\n"))
    with pytest.raises(LeadError, match="pass leads="):
        read(path)
    assert read(path, leads=["II"]).leads == ("II",)


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["1.5", "2"], "."),
        (["1,5", "2"], ","),
        (["1,250", "0,5"], ","),
        (["1,250", "2,500"], ","),
        (["1,250.5", "3.5"], "."),
        (["1.250,5", "3,5"], ","),
        (["1,250,000", "3"], "."),
        (["1,250", "56"], None),
        (["1.5", "2,5"], None),
        (["1", "2"], "."),
    ],
)
def test_the_decimal_mark_is_told_by_all_numbers_or_not_at_all(texts, mark):
    assert decimal_mark(texts) == mark


@given(st.lists(st.floats(-9999, 9999).map(lambda x: round(x, 3)), min_size=2), st.sampled_from(".,"))
def test_numbers_written_with_either_mark_are_read_back(values, mark):
    texts = [f"{value:.3f}".replace(".", mark) for value in values]
    assert [float(plain(text, decimal_mark(texts))) for text in texts] == pytest.approx(values, abs=5e-4)


def test_numbers_that_can_be_read_in_two_ways_are_refused_unless_the_rate_tells(apple):
    values = [1.234, 5.678, 90]
    with pytest.raises(ReadError, match="do not tell which parts decimals"):
        read(apple(values=values, form="{:.6g}", mark=","))
    one = read(apple(GERMAN, values=values, form="{:.6g}", mark=","))
    np.testing.assert_allclose(one.signal, np.array([values]) / 1000, rtol=1e-6)


def test_a_damaged_sample_is_named_and_other_tables_are_not_taken_for_an_export(apple, tmp_path):
    path = apple(values=[1.5, 2.5, 3.5])
    path.write_text(path.read_text().replace("2.500", "waveform"))
    with pytest.raises(ReadError, match=r"ecg\.csv: sample 2 is 'waveform'; expected a number"):
        read(path)
    path.write_text("Name,x\nSample Rate,512 hertz\n\n1.5\n2.5\n")
    assert find(tmp_path) == []
    path.write_text("Sample Rate,512 hertz\nUnit,µV\n")
    assert find(tmp_path) == []


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    content = bytearray((GERMAN + "\n".join(f"{value:.3f}" for value in MICROVOLTS[:50])).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("a") / "ecg.csv"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read(path)
    except EnECGError as error:
        assert "ecg.csv" in str(error)  # noqa: PT017
