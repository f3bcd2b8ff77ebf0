"""An expert's weights are kept whole, checked whenever they are loaded, or not there."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from enecg.errors import WeightsError
from enecg.weights import Kept, Origin, find_kept, layout_of, load_kept, pull_weights, weights_folder

from .conftest import COMMIT

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.5, -2.0])}
LAYOUT = layout_of(STATE)
ORIGIN = Origin(repository="heart/model", file="weights.pt", inside=("model",))
BY_HAND = Origin(page="https://drive.example/folder", file="weights.pt", inside=("model",))
NON_COMMERCIAL = dataclasses.replace(ORIGIN, terms="CC BY-NC 4.0: no commercial use")


@pytest.fixture
def file(tmp_path):
    """The publisher's file."""
    path = tmp_path / "weights.pt"
    torch.save({"model": STATE, "epoch": 3}, path)
    return path


@pytest.fixture(autouse=True)
def _filled(hub, shelf, file):
    hub.files["heart/model/weights.pt"] = file.read_bytes()


def pull(origin=ORIGIN, **options):
    return pull_weights("heart", origin, LAYOUT, **options)


def here(shelf):
    """Files of the expert's folder."""
    return sorted(path.name for path in (shelf / "heart").iterdir() if path.name != ".lock")


def same(found, expected=STATE):
    assert {name: part.tolist() for name, part in found.items()} == {
        name: part.tolist() for name, part in expected.items()
    }


def refused(match, shelf, origin=ORIGIN, **options):
    """The pull is refused, and nothing has changed."""
    before = {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(WeightsError, match=match) as told:
        pull(origin, **options)
    assert "\n" not in str(told.value)
    after = {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_pulled_weights_are_kept_with_a_note_of_where_they_are_from(shelf, file, hub):
    kept = pull()
    assert here(shelf) == [kept.file, "weights.json"]
    assert kept == find_kept("heart")
    assert (kept.source, kept.accepted) == (f"heart/model/weights.pt@{COMMIT}", "")
    assert kept.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert kept.sha256 == hashlib.sha256((shelf / "heart" / kept.file).read_bytes()).hexdigest()
    same(load_kept("heart"))


def test_the_same_weights_have_the_same_content_however_wrapped(shelf, tmp_path, file):
    first = pull()
    save_file(STATE, tmp_path / "plain.safetensors")
    second = pull(file=tmp_path / "plain.safetensors")
    assert (first.content, first.file, first.sha256) == (second.content, second.file, second.sha256)
    assert first.source_sha256 != second.source_sha256
    other = pull_weights("other", ORIGIN, LAYOUT)
    assert other.content == first.content
    torch.save({**STATE, "conv.bias": torch.tensor([1.5, -2.5])}, file)
    assert pull(file=file).content != first.content
    same(load_kept("other"))


def test_what_is_here_stays_and_the_hub_is_not_asked(shelf, hub):
    first = pull()
    hub.asked.clear()
    assert pull() == first
    assert not hub.asked


def test_again_pulls_what_the_publisher_has_now_and_removes_what_was_here(shelf, hub, file):
    first = pull()
    newer = {**STATE, "conv.bias": torch.tensor([0.0, 1.0])}
    torch.save({"model": newer}, file)
    hub.files["heart/model/weights.pt"] = file.read_bytes()
    assert pull() == first
    second = pull(again=True)
    assert here(shelf) == [second.file, "weights.json"]
    same(load_kept("heart"), newer)


def test_a_file_at_hand_is_taken_and_left_where_it_is(shelf, file, hub):
    kept = pull(BY_HAND, file=file)
    assert kept.source == str(file.resolve())
    same(load_kept("heart"))
    assert file.exists()
    assert not hub.asked


def test_where_no_program_can_pull_a_person_is_told_what_to_do(shelf):
    refused(
        r"^heart: no program can pull it\. Open https://drive\.example/folder, save weights\.pt, then "
        r"`enecg experts pull heart --from FILE`$",
        shelf,
        BY_HAND,
    )


def test_terms_are_accepted_once(shelf, file):
    for options in ({}, {"file": file}, {"again": True}):
        refused("CC BY-NC 4.0: no commercial use.*--accept-licence", shelf, NON_COMMERCIAL, **options)
    kept = pull(NON_COMMERCIAL, accept_licence=True)
    assert kept.accepted == NON_COMMERCIAL.terms
    assert pull(NON_COMMERCIAL) == pull(NON_COMMERCIAL, again=True) == kept
    assert pull(NON_COMMERCIAL, file=file).accepted == NON_COMMERCIAL.terms


def test_other_terms_have_to_be_accepted_anew_but_nothing_is_pulled_again(shelf, hub):
    first = pull()
    hub.asked.clear()
    refused("no commercial use", shelf, NON_COMMERCIAL)
    assert pull(NON_COMMERCIAL, accept_licence=True) == dataclasses.replace(first, accepted=NON_COMMERCIAL.terms)
    assert find_kept("heart").accepted == NON_COMMERCIAL.terms
    assert not hub.asked


@pytest.mark.parametrize("first", [True, False], ids=["nothing here", "weights here"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"model": {"other": torch.zeros(2)}}, "heart/model/weights.pt@.*: not the weights of this network; 2 missing"),
        ({"epoch": 3}, "nothing under 'model'"),
        ({"model": {**STATE, "conv.bias": torch.zeros(3)}}, "of another shape"),
        (b"<html>not found</html>", "neither safetensors nor a pickle of torch, or cut short"),
        (b"", "neither safetensors nor a pickle"),
    ],
)
def test_a_wrong_file_is_refused_and_leaves_nothing(shelf, hub, file, first, content, why):
    right = hub.files["heart/model/weights.pt"]
    if first:
        pull()
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    hub.files["heart/model/weights.pt"] = file.read_bytes()
    refused(why, shelf, again=True)
    refused(str(file) if "heart/model" in why else why, shelf, file=file)
    if first:
        same(load_kept("heart"))
    else:
        assert find_kept("heart") is None
        with pytest.raises(WeightsError, match="heart: its weights are not here; `enecg experts pull heart` gets them"):
            load_kept("heart")
    hub.files["heart/model/weights.pt"] = right
    pull(again=True)
    same(load_kept("heart"))


def test_a_file_that_is_not_there_or_may_not_be_read_is_named(shelf, tmp_path):
    refused("none.pt: no such file; give the file that https://hugg", shelf, file=tmp_path / "none.pt")
    refused("no such file", shelf, file=tmp_path)
    assert not shelf.exists()


def test_a_cut_download_stays_as_a_part_only_and_is_gone_on_with(shelf, hub):
    hub.fail("GET", ("cut", 700), *[("cut", 0)] * 3)
    with pytest.raises(WeightsError, match="has broken off"):
        pull()
    [part] = here(shelf)
    assert part.startswith(".download-")
    assert find_kept("heart") is None
    hub.asked.clear()
    pull()
    assert hub.ranges() == ["bytes=700-"]
    assert len(here(shelf)) == 2
    same(load_kept("heart"))


def test_a_part_is_removed_once_the_weights_are_here_otherwise(shelf, hub, file):
    hub.fail("GET", ("cut", 700), *[("cut", 0)] * 3)
    with pytest.raises(WeightsError):
        pull()
    kept = pull(file=file)
    assert here(shelf) == [kept.file, "weights.json"]


def test_altered_weights_are_refused_and_a_pull_puts_them_right(shelf, hub):
    kept = pull()
    path = shelf / "heart" / kept.file
    spoilt = bytearray(path.read_bytes())
    spoilt[-1] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(WeightsError, match="altered since it was pulled; `enecg experts pull heart` gets it again"):
        load_kept("heart")
    assert pull() == kept
    same(load_kept("heart"))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="altered"):
        load_kept("heart")


def test_weights_without_their_file_are_not_here(shelf, hub):
    kept = pull()
    (shelf / "heart" / kept.file).unlink()
    assert find_kept("heart") is None
    with pytest.raises(WeightsError, match="not here"):
        load_kept("heart")
    assert pull() == kept


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:50],
        lambda text: "[]",
        lambda text: "\xff\x00",
        lambda text: json.dumps({**json.loads(text), "file": 3}),
        lambda text: json.dumps({**json.loads(text), "file": "../other/weights.safetensors"}),
        lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "sha256"}),
    ],
)
def test_a_damaged_note_is_named_and_a_pull_puts_it_right(shelf, hub, damage):
    kept = pull()
    note = shelf / "heart" / "weights.json"
    note.write_text(damage(note.read_text()))
    for use in (find_kept, load_kept):
        with pytest.raises(WeightsError, match=r"weights\.json: cannot be used .*`enecg experts pull heart` gets them"):
            use("heart")
    assert pull() == kept
    same(load_kept("heart"))


def test_what_a_later_version_adds_to_the_note_is_passed_over(shelf, hub):
    kept = pull()
    note = shelf / "heart" / "weights.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "later": [1]}))
    assert find_kept("heart") == kept


def test_where_no_note_can_be_written_no_weights_stay(shelf, file, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    other = tmp_path / "other.pt"
    torch.save({"model": {**STATE, "conv.bias": torch.zeros(2)}}, other)
    with monkeypatch.context() as during:
        during.setattr(Kept, "write", full)
        with pytest.raises(WeightsError, match="No space left on device; nothing was changed"):
            pull(file=file)
        assert here(shelf) == []
    pull(file=file)
    monkeypatch.setattr(Kept, "write", full)
    refused("No space left on device", shelf, file=other)
    refused("No space left on device", shelf, file=file)
    same(load_kept("heart"))


def test_what_a_killed_writer_left_is_removed_by_the_next(shelf, hub):
    (shelf / "heart").mkdir(parents=True)
    (shelf / "heart" / ".part-1-dead").write_bytes(b"half")
    kept = pull()
    assert here(shelf) == [kept.file, "weights.json"]


def test_tensors_that_share_their_numbers_are_kept_each(shelf, tmp_path):
    whole = torch.arange(8.0)
    tied = {"a": whole[:4], "b": whole[4:], "c": whole[2:6], "d": whole, "e": torch.arange(6.0).reshape(2, 3).T}
    torch.save(tied, tmp_path / "tied.pt")
    pull_weights("tied", BY_HAND, layout_of(tied), file=tmp_path / "tied.pt")
    same(load_kept("tied"), tied)


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/etc", "a\\b", "a b", "heart:tiny", "-x", "é"])
def test_a_name_that_is_no_folder_is_refused(shelf, name):
    for use in (find_kept, load_kept, lambda odd: pull_weights(odd, ORIGIN, LAYOUT)):
        with pytest.raises(WeightsError, match="an expert's weights are kept under its name"):
            use(name)
    assert not shelf.exists()


def test_the_folder_may_be_a_link_to_elsewhere(shelf, tmp_path, hub):
    (tmp_path / "large disk").mkdir()
    shelf.symlink_to(tmp_path / "large disk")
    kept = pull()
    assert (tmp_path / "large disk" / "heart" / kept.file).is_file()
    shutil.move(tmp_path / "large disk" / "heart", tmp_path / "moved")
    (shelf / "heart").symlink_to(tmp_path / "moved")
    same(load_kept("heart"))
    assert pull(again=True) == kept


def test_a_file_where_the_folder_should_be_is_one_line(shelf, tmp_path):
    shelf.write_text("no folder")
    assert find_kept("heart") is None
    with pytest.raises(WeightsError, match=r"weights.*(Not a directory|File exists).*set ENECG_WEIGHTS to another"):
        pull()
    shelf.unlink()
    shelf.symlink_to(tmp_path / "gone")
    with pytest.raises(WeightsError, match="set ENECG_WEIGHTS to another"):
        pull()


@pytest.fixture
def as_nobody():
    """Whoever runs the tests, without the right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(monkeypatch):
    """A folder of weights that all may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("ENECG_WEIGHTS", folder)
        yield Path(folder)


def test_a_folder_that_may_only_be_read_serves_what_it_holds(shared, hub, request):
    kept = pull()
    for path in (shared / "heart", shared):
        path.chmod(0o555)
    request.getfixturevalue("as_nobody")
    try:
        assert pull() == kept
        same(load_kept("heart"))
        with pytest.raises(WeightsError, match=r"Permission denied; nothing was changed.*set ENECG_WEIGHTS to another"):
            pull(again=True)
        with pytest.raises(WeightsError, match="Permission denied"):
            pull_weights("new", ORIGIN, LAYOUT)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for path in (shared, shared / "heart"):
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ENECG_WEIGHTS": "/big/disk"}, "/big/disk"),
        ({"ENECG_WEIGHTS": "~/models", "HOME": "/home/me"}, "/home/me/models"),
        ({"ENECG_WEIGHTS": "", "XDG_CACHE_HOME": "/cache"}, "/cache/enecg/weights"),
        ({"ENECG_WEIGHTS": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/enecg/weights"),
    ],
)
def test_the_folder_is_the_one_that_is_set_or_the_users_cache(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert weights_folder() == Path(expected)


def test_who_has_no_home_is_told_to_name_a_folder(monkeypatch):
    for name in ("ENECG_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    with pytest.raises(WeightsError, match=r"no home directory.*set ENECG_WEIGHTS"):
        weights_folder()


KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64)
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def test_kept_weights_are_plain_safetensors_of_every_type(tmp_path, shelf, file):
    odd = {str(kind): torch.randint(0, 2, (3, 5)).to(kind) for kind in (*WHOLE, *KINDS)}
    odd |= {"none": torch.zeros(0), "one": torch.tensor(2.5), "ünicode": torch.ones(1)}
    torch.save(odd, tmp_path / "odd.pt")
    kept = pull_weights("odd", BY_HAND, layout_of(odd), file=tmp_path / "odd.pt")
    for found in (load_kept("odd"), load_file(shelf / "odd" / kept.file)):
        assert {name: (part.dtype, part.shape) for name, part in found.items()} == {
            name: (part.dtype, part.shape) for name, part in odd.items()
        }
        same(found, odd)
    assert (shelf / "odd" / kept.file).stat().st_mode == file.stat().st_mode
