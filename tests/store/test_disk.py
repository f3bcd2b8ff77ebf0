"""The store keeps what was written through kills, damage, full disks and other processes."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enecg import Store
from enecg.errors import EnECGError, StoreError
from enecg.store import DamagedShardWarning, embed
from enecg.store._disk import KnownFile

KIND = "moments-0123456789abcdef"


def rows_of(digests: list[str], dim: int = 3) -> np.ndarray:
    return np.array([[int(digest[:8], 16) / 2**32 + column for column in range(dim)] for digest in digests], np.float32)


def digests_of(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [f"{rng.getrandbits(128):032x}" for _ in range(n)]


def read(store: Store, digests: list[str], dim: int = 3) -> tuple[np.ndarray, np.ndarray]:
    out = np.full((len(digests), dim), np.nan, np.float32)
    return store.read(KIND, digests, out), out


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read_back_in_any_order_and_by_another_reader(tmp_path_factory, sizes, shuffle):
    folder = tmp_path_factory.mktemp("store")
    store, everything = Store(folder), []
    for number, size in enumerate(sizes):
        digests = digests_of(size, number)
        store.write(KIND, digests, rows_of(digests))
        everything += digests
    shuffle.shuffle(everything)
    unknown = digests_of(2, 99)
    for reader in (store, Store(folder)):
        found, out = read(reader, [*everything, *unknown])
        assert found.tolist() == [True] * len(everything) + [False] * 2
        assert np.array_equal(out[:-2], rows_of(everything))
        assert np.isnan(out[-2:]).all()
        assert reader.has(KIND, [*everything, *unknown]).tolist() == found.tolist()


def test_a_store_sees_what_another_writes_after_it_was_opened(tmp_path):
    one, other = Store(tmp_path), Store(tmp_path)
    digests = digests_of(2)
    assert not one.has(KIND, digests).any()
    other.write(KIND, digests, rows_of(digests))
    other.remember_files({"a file": KnownFile(digests[0], "c:1")})
    assert read(one, digests)[0].all()
    assert one.known_files()["a file"] == KnownFile(digests[0], "c:1")


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> tuple[Path, bytes]:
    """A store with one shard, and what the shard holds."""
    folder = tmp_path_factory.mktemp("store")
    Store(folder).write(KIND, digests_of(3), rows_of(digests_of(3)))
    (path,) = folder.rglob("*.safetensors")
    return path, path.read_bytes()


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_anywhere_is_found_named_and_removed(shard, data):
    path, content = shard
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    damaged = bytearray(content)
    damaged[place // 8] ^= 1 << place % 8
    assert_found(path, bytes(damaged), content)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_shard_cut_short_lengthened_or_overwritten_is_found_named_and_removed(shard, data):
    path, content = shard
    kept = data.draw(st.integers(0, len(content)))
    damaged = content[:kept] + data.draw(st.binary(max_size=40))
    if damaged != content:
        assert_found(path, damaged, content)


def assert_found(path: Path, damaged: bytes, content: bytes) -> None:
    folder, digests = path.parents[2], digests_of(3)
    path.write_bytes(damaged)
    with pytest.warns(DamagedShardWarning, match=path.stem):
        found, out = read(Store(folder), digests)
    assert not found.any()
    assert np.isnan(out).all()
    assert not path.exists()
    Store(folder).write(KIND, digests, rows_of(digests))
    assert path.read_bytes() == content


def test_a_damaged_shard_costs_no_other_its_rows(tmp_path):
    store = Store(tmp_path)
    for number in range(5):
        store.write(KIND, digests_of(2, number), rows_of(digests_of(2, number)))
    paths = sorted(tmp_path.rglob("*.safetensors"))
    for path in paths[:2]:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    digests = [digest for number in range(5) for digest in digests_of(2, number)]
    with pytest.warns(DamagedShardWarning) as caught:
        found, out = read(Store(tmp_path), digests)
    assert len(caught) == 2
    assert found.sum() == 6
    assert np.array_equal(out[found], rows_of(digests)[found])


def test_a_shard_that_another_process_removes_or_empties_meanwhile_is_only_absent(tmp_path):
    store = Store(tmp_path)
    for number in range(2):
        store.write(KIND, digests_of(2, number), rows_of(digests_of(2, number)))
    assert store.has(KIND, digests_of(2, 0)).all()
    gone, emptied = sorted(tmp_path.rglob("*.safetensors"))
    gone.unlink()
    emptied.write_bytes(b"")
    with pytest.warns(DamagedShardWarning, match=emptied.stem):
        found, _ = read(store, digests_of(2, 0) + digests_of(2, 1))
    assert not found.any()


def test_a_damaged_index_is_found_named_and_removed(tmp_path):
    store = Store(tmp_path)
    store.remember_files({"one": KnownFile("00" * 16, None)})
    store.remember_files({"two": KnownFile("11" * 16, "c:2")})
    paths = sorted(tmp_path.rglob("*.parquet"))
    content = bytearray(paths[0].read_bytes())
    content[len(content) // 2] ^= 4
    paths[0].write_bytes(content)
    with pytest.warns(DamagedShardWarning, match=paths[0].stem):
        known = Store(tmp_path).known_files()
    assert len(known) == 1
    assert not paths[0].exists()


def test_a_full_disk_is_an_error_that_says_what_stayed_and_the_store_is_whole_after_it(tmp_path, limit):
    store = Store(tmp_path)
    early, late = digests_of(2, 0), digests_of(500, 1)
    store.write(KIND, early, rows_of(early))
    with limit(resource.RLIMIT_FSIZE, 4096), pytest.raises(StoreError) as caught:
        store.write(KIND, late, rows_of(late))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "MiB free" in message
    assert "stored before is intact" in message
    assert "make room" in message
    assert not list(tmp_path.rglob(".part-*"))
    again = Store(tmp_path)
    assert read(again, early)[0].all()
    assert not again.has(KIND, late).any()
    again.write(KIND, late, rows_of(late))
    assert np.array_equal(read(again, late)[1], rows_of(late))


def test_a_full_disk_keeps_the_index_whole(tmp_path, limit):
    store = Store(tmp_path)
    many = {f"a file with a long name {number}": KnownFile(f"{number:032x}", None) for number in range(5000)}
    with limit(resource.RLIMIT_FSIZE, 4096), pytest.raises(StoreError, match="cannot be written"):
        store.remember_files(many)
    assert not store.known_files()
    store.remember_files(many)
    assert len(Store(tmp_path).known_files()) == 5000


def test_more_shards_than_a_process_may_have_open_files(tmp_path, limit):
    store = Store(tmp_path)
    for number in range(150):
        store.write(KIND, digests_of(1, number), rows_of(digests_of(1, number)))
    digests = [digest for number in range(150) for digest in digests_of(1, number)]
    open_now = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 64
    with limit(resource.RLIMIT_NOFILE, open_now + 20):
        found, out = read(Store(tmp_path), digests)
    assert found.all()
    assert np.array_equal(out, rows_of(digests))


@pytest.mark.parametrize("place", ["file", "file/below", "a\0b"])
def test_a_folder_that_cannot_be_is_refused_by_name(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EnECGError, match=r"no store can be kept here.*another folder"):
        Store(tmp_path / place)


def test_an_unwritable_folder_is_refused_by_name(public_folder, nobody):
    public_folder.chmod(0o555)
    with nobody(), pytest.raises(StoreError, match=f"{public_folder}: no store can be kept here"):
        Store(public_folder)


def test_a_store_that_may_only_be_read_is_read(public_folder, nobody):
    digests = digests_of(3)
    store = Store(public_folder)
    store.write(KIND, digests, rows_of(digests))
    store.remember_files({"one": KnownFile(digests[0], None)})
    for path in (public_folder, *public_folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with nobody():
        shared = Store(public_folder)
        assert np.array_equal(read(shared, digests)[1], rows_of(digests))
        assert list(shared.known_files()) == ["one"]
        with pytest.raises(StoreError, match="cannot be written"):
            shared.write(KIND, digests_of(1, 5), rows_of(digests_of(1, 5)))


def test_what_may_not_be_read_is_an_error_and_is_not_taken_for_damaged(public_folder, nobody):
    Store(public_folder).write(KIND, digests_of(1), rows_of(digests_of(1)))
    (path,) = public_folder.rglob("*.safetensors")
    path.chmod(0o000)
    with nobody(), pytest.raises(StoreError, match=f"{path.name}: cannot be read.*permissions"):
        read(Store(public_folder), digests_of(1))
    assert path.exists()


def test_files_of_a_store_have_the_permissions_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        Store(tmp_path).write(KIND, digests_of(1), rows_of(digests_of(1)))
    finally:
        os.umask(before)
    (path,) = tmp_path.rglob("*.safetensors")
    assert path.stat().st_mode & 0o777 == 0o640


def test_leftovers_are_never_read_and_go_after_a_day(tmp_path):
    store = Store(tmp_path)
    digests = digests_of(2)
    store.write(KIND, digests, rows_of(digests))
    kept = tmp_path / "rows" / KIND
    parts = [folder / f".part-{age}" for folder in (kept, tmp_path / "files") for age in ("new", "old")]
    for part in parts:
        part.write_bytes(b"half a shard")
        if part.name == ".part-old":
            os.utime(part, (time.time() - 25 * 3600,) * 2)
    (tmp_path / "rows" / "a stray file").touch()
    again = Store(tmp_path)
    assert read(again, digests)[0].all()
    assert again.known_files() == {}
    assert [part.exists() for part in parts] == [True, False, True, False]


WRITER = """
import sys
import numpy as np
from enecg import Store
sys.path[:0] = [sys.argv[1]]
from conftest import Moments, made
from enecg.store import embed

folder, first, last, step = sys.argv[2], *map(int, sys.argv[3:6])
store, recordings = Store(folder), made(400)
for start in range(first, last, step):
    sys.stdin.readline()  # so that it never runs further than it is told to
    embed(recordings[start : start + abs(step)], [Moments()], store)
    print(start, flush=True)
"""


def writer(folder: Path, first: int, last: int, step: int) -> subprocess.Popen:
    arguments = [str(Path(__file__).parent), str(folder), str(first), str(last), str(step)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_writer_killed_at_any_moment_loses_nothing_and_is_resumed_to_the_same_bits(tmp_path, moments, recordings):
    everything, rng = recordings(400), random.Random(3)
    digests = [recording.digest for recording in everything]
    done = 0
    for _ in range(4):
        n = rng.randrange(2, 12)
        with writer(tmp_path, done, 400, 5) as process:
            process.stdin.write("\n" * n)
            process.stdin.flush()
            for _ in range(n - 1):
                done = int(process.stdout.readline()) + 5
            time.sleep(rng.random() * 0.006)
            process.kill()
            done = max([done, *(int(line) + 5 for line in process.stdout)])
        assert Store(tmp_path).has(kind_of(moments()), digests[:done]).all()
    resumed = moments()
    whole, fresh = embed(everything, [resumed], Store(tmp_path)), embed(everything, [moments()])
    assert 0 < resumed.n_prepared <= 400 - done
    assert whole.embeddings["moments"].tobytes() == fresh.embeddings["moments"].tobytes()
    assert not whole.refusals


def test_two_processes_fill_one_store_at_the_same_time(tmp_path, moments, recordings):
    processes = [writer(tmp_path, 0, 400, 8), writer(tmp_path, 392, -8, -8)]
    for process in processes:
        process.stdin.write("\n" * 50)
        process.stdin.flush()
    for process in processes:
        assert len(process.communicate()[0].split()) == 50
        assert process.returncode == 0
    reader, everything = moments(), recordings(400)
    whole = embed(everything, [reader], Store(tmp_path))
    assert reader.n_prepared == 0
    assert whole.embeddings["moments"].tobytes() == embed(everything, [moments()]).embeddings["moments"].tobytes()
    assert not list(tmp_path.rglob(".part-*"))


def kind_of(expert) -> str:
    return f"{expert.card.name}-{expert.fingerprint}"
