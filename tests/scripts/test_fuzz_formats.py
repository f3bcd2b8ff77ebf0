"""The fuzzer: it damages files in many ways, each again when asked; it sees every kind of fault; it finds none."""

import argparse
import importlib.util
import random
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.formats import _registry, recordings_of

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches a process by what Linux tells of it")

READERS = """
import os, ctypes
import h5py
from enecg.errors import LeadError, ReadError, RecordingError
from enecg.recording import Recording

def read(path, do):
    if do == "refuse":
        raise LeadError(f"{path}: no leads")
    if do == "refuse without a name":
        raise ReadError("no leads")
    if do == "refuse as something else":
        raise RecordingError(f"{path}: no leads")
    if do == "be surprised":
        raise KeyError("surprise")
    if do == "exit":
        raise SystemExit(0)
    if do == "loop":
        while True:
            pass
    if do == "die":
        ctypes.string_at(0)
    if do == "take memory":
        bytearray(3 * 2**30)
    if do == "hide that it takes memory":
        try:
            bytearray(3 * 2**30)
        except MemoryError as error:
            raise ReadError(f"{path}: large") from error
    if do == "look elsewhere":
        open("/etc/passwd").close()
    if do == "look elsewhere and hide it":
        try:
            open("/etc/no-such-file")
        except OSError:
            raise ReadError(f"{path}: no such file")
    if do == "write":
        open(path, "r+").close()
    if do == "remove":
        os.remove(path)
    if do == "print":
        print("{}", flush=True)
    if do == "give something else":
        return None
    return Recording(signal=[[0.0]], rate=500, leads=["I"])

def recordings_of(path, **ask):
    return []

def find(folder):
    return []
"""


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_formats", ROOT / "scripts" / "fuzz_formats.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def own(fuzz):
    return fuzz.module(ROOT / "tests" / "formats" / "seeds.py")


@pytest.fixture(scope="module")
def seeds(own):
    return list(own.seeds())


# -- what is mutated -------------------------------------------------------------------------------------------------


def test_there_are_small_files_of_every_format_and_some_are_read_as_they_are(seeds, tmp_path):
    formats = defaultdict(set)
    for number, (kind, files) in enumerate(seeds):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        path = folder / next(iter(files))
        formats[_registry.reader_of(path).NAME].add(kind)
        assert sum(map(len, files.values())) < 64_000
    assert set(formats) == {reader.NAME for reader in _registry.READERS}
    for number, (kind, files) in enumerate(seeds):
        for one in recordings_of(tmp_path / str(number) / next(iter(files)), unit="mV"):
            try:
                formats[one.read().source.format].discard(kind)
            except ValueError:
                continue
    assert not any(formats.values())


def test_a_file_is_made_again_from_the_seed_and_its_number(fuzz, seeds):
    _, files = seeds[0]
    data = next(iter(files.values()))
    made = [fuzz.mutated(data, [data], "/outside", random.Random("0 7")) for _ in range(2)]
    assert made[0] == made[1] != data


@given(st.binary(max_size=3000), st.integers(0, 2**32))
def test_whatever_is_mutated_stays_bytes_of_a_bounded_size(data, seed):
    from fuzzing import mutations

    rng = random.Random(seed)
    for one in {*mutations.OF_BYTES, *mutations.OF_TEXT}:
        more = {mutations.splice: [b"other"], mutations.place: ["/outside"], mutations.doctype: ["/outside"]}
        assert isinstance(one(data, rng, *more.get(one, [])), bytes)
    assert len(mutations.mutated(data, [data], "/outside", rng)) <= mutations.LARGEST


def test_a_mutation_does_what_it_is_called(fuzz):
    from fuzzing import mutations

    text = b'<a><b x="12.5">one two</b><b>three</b></a> see one.dat ' + b"." * 50
    made = {one: {one(text, random.Random(seed)) for seed in range(60)} for one in mutations.BASIC}
    assert all(len(found - {text}) > 1 for found in made.values())
    assert all(text.startswith(found) for found in made[mutations.truncate])
    assert all(len(found) == len(text) for found in made[mutations.flip] | made[mutations.swap])
    places = {mutations.place(text, random.Random(seed), "/canary") for seed in range(60)}
    assert any(b"see /canary" in found for found in places)
    declared = {mutations.doctype(text, random.Random(seed), "/canary") for seed in range(60)}
    assert any(b'<!ENTITY e9 SYSTEM "file:///canary">' in found and b"&e9;" in found for found in declared)


def test_checksums_are_renewed_so_that_what_is_behind_them_is_reached(own, seeds, tmp_path):
    reached = set()
    for kind, files in seeds:
        for name, content in files.items():
            assert own.sealed(content) == content
            at = len(content) * 2 // 3
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            if own.sealed(changed) != changed:
                reached.add(kind)
                path = tmp_path / name
                path.write_bytes(own.sealed(changed))
                assert "checksum " not in refusal(path)
                path.write_bytes(changed)
                assert refusal(path)
    assert reached >= {"scp", "alivecor"}
    assert own.sealed(b"ALIVE and no more") == b"ALIVE and no more"


def refusal(path) -> str:
    try:
        _registry.read(path)
    except ValueError as error:
        return str(error)
    return ""


# -- what is seen ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer(fuzz, tmp_path_factory):
    """What the fuzzer hears of a reader that does something."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "readers.py").write_text(READERS)
    (folder / "work").mkdir()
    path = folder / "work" / "one.bin"
    path.write_bytes(b"1234")
    reader = fuzz.Reader([], folder / "readers.py", seconds=1)
    yield lambda do: reader.read(path, {"do": do}, False)
    reader.end()


@pytest.mark.parametrize(("do", "outcome"), [("read", "read"), ("refuse", "refused"), ("print", "read")])
def test_a_recording_and_a_refusal_by_name_are_no_faults(answer, do, outcome):
    found = answer(do)
    assert found["outcome"] == outcome
    assert "fault" not in found


@pytest.mark.parametrize(
    ("do", "told"),
    [
        ("refuse without a name", "names no file"),
        ("refuse as something else", "RecordingError is not among"),
        ("be surprised", "KeyError at readers.py:15: 'surprise'"),
        ("exit", "SystemExit"),
        ("loop", "takes over 1 s"),
        ("die", "SIGSEGV"),
        ("take memory", "MemoryError"),
        ("hide that it takes memory", "MemoryError"),
        ("look elsewhere", "opened /etc/passwd"),
        ("look elsewhere and hide it", "opened /etc/no-such-file"),
        ("write", "one.bin for writing"),
        ("remove", "os.remove"),
        ("give something else", "None is no recording"),
    ],
)
def test_every_kind_of_fault_is_seen(answer, do, told):
    assert told in answer(do)["fault"]


def test_what_is_written_or_read_beside_the_file_is_seen(fuzz, tmp_path):
    place = fuzz.Place(tmp_path, {"canary.dat": b"1", "canary.h5": b"2"})
    path = place.put({"one.bin": b"1", "two.bin": b"2"})
    assert path.read_bytes() == b"1"
    assert place.fault() == ""
    (path.parent / "three.bin").write_bytes(b"")
    assert "three.bin" in place.fault()
    place.put({"one.bin": b"1"})
    assert [one.name for one in path.parent.iterdir()] == ["one.bin"]
    if place.tells:
        place.canary.read_bytes()
        assert place.fault() == "canary.dat outside the folder was read"
        assert place.fault() == ""


def test_no_fault_is_found_in_some_files_of_every_format(fuzz, seeds, tmp_path):
    asked = argparse.Namespace(folder=None, files=200, seconds=60.0, seed=1, first=0, only=(), keep=tmp_path / "kept")
    for name in ("root", "warm"):
        (tmp_path / name).mkdir()
    figures, _ = fuzz.fuzz(argparse.Namespace(**vars(asked), readers=None), tmp_path / "root", tmp_path / "warm")
    rows = figures.table()
    assert {row["format"] for row in rows} == {kind for kind, _ in seeds}
    assert sum(row["fault"] for row in rows) == 0
    assert not asked.keep.exists()
    assert all(sum(row[what] for row in rows) > 20 for what in ("read", "refused"))


def test_a_folder_of_files_is_mutated_record_by_record(fuzz, tmp_path):
    (tmp_path / "wfdb").mkdir()
    header = b"one 1 500 4\none.dat 16 200/mV 12 0 0 0 0 II\n"
    for name, content in (("one.hea", header), ("one.dat", bytes(8)), ("other.txt", b"text")):
        (tmp_path / "wfdb" / name).write_bytes(content)
    (tmp_path / "README.md").write_text("not in a folder")
    found = [(kind, sorted(files)) for kind, files in fuzz.seeds_of(tmp_path)]
    assert found == [("wfdb", ["one.dat", "one.hea"]), ("wfdb", ["other.txt"])]
