"""Text that is made to keep a reader busy, such as one letter 60,000 times, is read or refused at once and briefly."""

import time

import pytest

from enecg.errors import EnECGError, ReadError
from enecg.formats import RecordingFile, read

N = 60_000
TABLE = "I,II,V1\n" + "1,2,3\n" * 30
RECORD = "one 1 500 10\none.dat 16 "


@pytest.mark.parametrize(
    "text",
    [
        '{"raw":{' + '"raw":{' * (N // 7),
        '{"raw":{"samples":{' * (N // 18),
        "# a" + " " * N + "\n" + TABLE,
        "# unit: " + " " * N + "x\n" + TABLE,
        "#" * N + "\n" + TABLE,
        "I" + "-" * N + "\n" + "1\n" * 30,
        "I" + "\t" * N + "\n" + "1\n" * 30,
        "I,II\n" + ("1" * (N // 3) + ",2\n") * 3,
        'Rate,"' + "9" * 3000 + '"\nUnit,mV\n' + "1\n" * 30,
        "Rate,512 hertz\nUnit,mV\n" + "9" * N,
        " " * N + "F-0-01,125",
        "F-0-01," + "1" * N,
        "<!DOCTYPE a [" + "] " * (N // 2),
        "<!--" * (N // 4),
        "<?" * (N // 2),
    ],
    ids=lambda text: text[:12],
)
def test_text_of_no_format_is_told_at_once(tmp_path, text):
    path = tmp_path / "one.txt"
    path.write_text(text)
    assert seconds(path) < 1


@pytest.mark.parametrize(
    "header",
    [
        "one" + "/1" * (N // 2) + " 1 500",
        "one 1 " + "5" * N + "x 10\n",
        RECORD + "4" + "0" * N + "x/mV 16 0 0 0 0 II",
        RECORD + "1 " * (N // 2),
        RECORD + "200/" + "m" * N,
        RECORD + "200" + " " * N + "x",
        RECORD + "200 16 0 0 0 0 II\n#" + "<a>" * (N // 3),
        RECORD + "200 16 0 0 0 0 II\n# Age: " + "1" * N + "x",
        "one 1 500 10 " + "1/" * (N // 2) + "\none.dat 16 200 16 0 0 0 0 II",
    ],
    ids=lambda header: header[-12:].strip(),
)
def test_a_header_of_a_record_is_told_at_once(tmp_path, header):
    path = tmp_path / "one.hea"
    path.write_text(header + "\n")
    (tmp_path / "one.dat").write_bytes(bytes(20))
    assert seconds(path) < 1


@pytest.mark.parametrize("name", ["~" * 300, "~" * N], ids=len)
@pytest.mark.parametrize("header", ["one 1 500 10\n{} 16 200/mV 16 0 0 0 0 II\n", "one/1 1 500 10\n{} 10\n"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path, header, name):
    path = tmp_path / "one.hea"
    path.write_text(header.format(name))
    with pytest.raises(ReadError, match=r"one\.hea: its file ~+ is not there") as told:
        read(path)
    assert len(str(told.value)) < 400
    with pytest.raises(ReadError, match=r"one\.hea"):
        _ = RecordingFile(path).key


def test_what_is_no_number_is_found_far_down_a_table(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("I,II\n" + "1,2\n" * 900_000 + "1,x\n" + "1,2\n" * 10)
    begun = time.process_time()
    with pytest.raises(ReadError, match=r"one\.csv: line 900002, column 'II': 'x' is no number"):
        read(path, rate=500, unit="mV")
    assert time.process_time() - begun < 3


def seconds(path) -> float:
    """Of the processor, to read it."""
    begun = time.process_time()
    try:
        read(path, rate=500, unit="mV")
    except EnECGError as error:
        assert str(path.name) in str(error) or "one.dat" in str(error)  # noqa: PT017  some are read
    return time.process_time() - begun
