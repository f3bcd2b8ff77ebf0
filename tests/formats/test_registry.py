import os
import shutil
from pathlib import Path

import pytest

from enecg import read as public_read
from enecg.errors import EnECGError, ReadError
from enecg.formats import RecordingFile, find, read


@pytest.mark.parametrize("name", ["one.hea", "one.dat", "one"])
def test_any_file_of_a_record_and_its_bare_name_mean_the_record(record, name):
    path = record()
    assert read(path.parent / name).digest == read(path).digest == public_read(str(path)).digest


def test_a_file_is_known_by_its_content_and_not_by_its_ending(record, tmp_path):
    record(file="one.bin")
    assert read(tmp_path / "one.bin").id == "one"
    (tmp_path / "letter.hea").write_text("Dear reader,\nthis is no header.\n")
    with pytest.raises(ReadError, match=r"letter\.hea: not a recording of a known format \(32 bytes .*read --formats"):
        read(tmp_path / "letter.hea")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b"%PDF-1.7\n" + bytes(2000), "2,009 bytes, a PDF"),
        (b"PK\x03\x04" + bytes(96), "100 bytes, a ZIP archive; unpack it"),
        (b"\x00\x01binary", r"8 bytes that begin b'\x00\x01binary'"),
    ],
)
def test_what_is_no_recording_is_told_by_what_it_is_in_a_line(tmp_path, content, told):
    (tmp_path / "one.bin").write_bytes(content)
    with pytest.raises(ReadError) as raised:
        read(tmp_path / "one.bin")
    assert f"({told});" in str(raised.value)
    assert len(str(raised.value).removeprefix(str(tmp_path))) < 160


def test_a_file_that_the_header_beside_it_does_not_name_is_not_its_record(record, tmp_path):
    # Annotations (`100.atr`) and other formats' files may be called like a record.
    path = record(name="100")
    (tmp_path / "100.atr").write_bytes(bytes(range(100)))
    with pytest.raises(ReadError, match=r"100\.atr: not a recording of a known format"):
        read(tmp_path / "100.atr")
    assert find(tmp_path) == [path]


def test_a_name_with_a_dot_means_its_own_record_before_another(record):
    record(name="a", samples=[[1, 1], [1, 1]])
    record(name="a.b", samples=[[2, 2], [2, 2]])
    folder = record(name="c").parent
    assert read(folder / "a.b").id == "a.b"
    assert read(folder / "a").id == "a"
    assert RecordingFile(folder / "a.b.hea").id == "a.b"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nothing.hea", "no such file"),
        ("", "a folder; expected one file"),
        ("no/such/folder/one.hea", "no such file"),
        ("zero\0byte.hea", "no such file"),
        ("x" * 5000, "cannot be looked at"),
        ("letter.txt", "not a recording of a known format"),
    ],
)
def test_what_is_not_there_or_no_recording_is_told(tmp_path, path, told):
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(ReadError, match=told):
        read(tmp_path / path)


@pytest.mark.parametrize("path", [Path(""), Path("/"), Path(".."), ""])
def test_a_path_without_a_name_is_told(path):
    with pytest.raises(ReadError, match="a folder; expected one file"):
        read(path)


def test_errors_of_reading_are_value_errors_too(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read(tmp_path / "nothing.hea")


# -- finding ---------------------------------------------------------------------------------------------------------


def test_every_recording_below_a_folder_is_found_in_order(record, tmp_path):
    for place in ("b/c", "a", "."):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        record(folder=tmp_path / place)
    (tmp_path / "a/letter.txt").write_text("hello")
    assert find(tmp_path) == [tmp_path / "a/one.hea", tmp_path / "b/c/one.hea", tmp_path / "one.hea"]


def test_a_record_that_is_called_like_a_segment_is_found(record, tmp_path):
    record(name="ecg_0001")
    record(name="scan_layout")
    assert [path.name for path in find(tmp_path)] == ["ecg_0001.hea", "scan_layout.hea"]


def test_signal_files_belong_to_the_record_that_names_them(record, tmp_path):
    path = record(file="elsewhere_e.dat")
    assert find(tmp_path) == [path]


def test_segments_are_not_recordings_of_their_own(record, tmp_path):
    record(name="s_0001")
    record(name="s_0002")
    record(name="alone_0003")
    (tmp_path / "whole.hea").write_text("whole/2 2 500 40\ns_0001 20\ns_0002 20\n")
    assert [path.name for path in find(tmp_path)] == ["alone_0003.hea", "whole.hea"]


def test_broken_files_are_found_and_cost_the_others_nothing(record, tmp_path):
    good = record(name="good")
    record(name="cut").with_suffix(".dat").write_bytes(b"")
    record(name="gone").with_suffix(".dat").unlink()
    (tmp_path / "garbage.hea").write_bytes(bytes(range(256)))
    (tmp_path / "empty.hea").touch()
    (tmp_path / "dangling.hea").symlink_to(tmp_path / "nowhere.hea")
    (tmp_path / "folder.hea").mkdir()
    with (tmp_path / "huge.hea").open("w") as file:
        file.truncate(100 * 2**20)
    found = find(tmp_path)
    assert [path.stem for path in found] == ["cut", "dangling", "empty", "garbage", "gone", "good", "huge"]
    refused = []
    for path in found:
        try:
            read(path)
        except EnECGError as error:
            assert str(path.with_suffix("")) in str(error)  # noqa: PT017  the good one gives no error
            refused.append(path)
    assert refused == [path for path in found if path != good]


def test_hidden_files_are_passed_over(record, tmp_path):
    # What macOS and file systems leave behind: `._one.hea` is no header, though it is called like one.
    path = record()
    shutil.copy(path, tmp_path / "._one.hea")
    (tmp_path / ".trash").mkdir()
    record(folder=tmp_path / ".trash")
    assert find(tmp_path) == [path]


def test_links_are_followed_and_circles_end(record, tmp_path):
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    record(folder=real)
    (linked / "there").symlink_to(real)
    (real / "back").symlink_to(linked)
    assert find(linked) == [linked / "there/one.hea"]
    assert find(real) == [real / "one.hea"]


def test_a_folder_that_cannot_be_opened_is_listed_and_read_with_its_reason(record, tmp_path):
    # Deeper than a path can be long: nobody, root included, can open it by its name.
    path = record()
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    *closed, last = find(tmp_path)
    assert last == path
    assert len(closed) == 1
    with pytest.raises(ReadError, match="cannot be looked at"):
        read(closed[0])


@pytest.mark.parametrize("name", ["nothing", "one.hea"])
def test_a_folder_that_is_none_is_told(record, tmp_path, name):
    record()
    with pytest.raises(ReadError, match="no such folder"):
        find(tmp_path / name)


def test_an_empty_folder_holds_nothing(tmp_path):
    assert find(tmp_path) == []


# -- recordings that are read later ----------------------------------------------------------------------------------


def test_a_key_changes_with_every_file_of_the_recording_and_with_the_unit(record):
    path = record()
    lazy = RecordingFile(path)
    keys = [lazy.key, RecordingFile(path, unit="mV").key]
    for part in (path, path.with_suffix(".dat")):
        stat = part.stat()
        os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
        keys.append(lazy.key)
    with path.with_suffix(".dat").open("ab") as file:
        file.write(bytes(4))
    keys.append(lazy.key)
    assert len(set(keys)) == len(keys)
    assert lazy.read().id == lazy.id == "one"
    assert lazy.subject is None


def test_a_key_changes_with_every_segment(record, tmp_path):
    record(name="s_0001")
    (tmp_path / "whole.hea").write_text("whole/1 2 500 20\ns_0001 20\n")
    lazy = RecordingFile(tmp_path / "whole.hea")
    before = lazy.key
    os.utime(tmp_path / "s_0001.dat", ns=(1, 1))
    assert lazy.key != before


def test_a_key_of_a_missing_file_is_an_error_that_names_it(record):
    path = record()
    path.with_suffix(".dat").unlink()
    with pytest.raises(ReadError, match=r"one\.dat: cannot be read \(No such file"):
        _ = RecordingFile(path).key


def test_a_name_that_no_file_can_have_is_an_error_that_names_it(record):
    path = record(lines=["one\0.dat 16 1000/mV 16 0 0 0 0 I"])
    for look in (lambda: RecordingFile(path).key, RecordingFile(path).read):
        with pytest.raises(ReadError, match=r"one\x00\.dat"):
            look()


def test_the_unit_is_kept_until_it_is_needed(record):
    path = record(samples=[[1, 2]], leads=("V1",), gain="1/NU")
    assert RecordingFile(path, unit="V").read().signal.max() == 2000
    with pytest.raises(EnECGError, match="pass unit="):
        RecordingFile(path).read()
