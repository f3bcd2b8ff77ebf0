"""A file comes from the hub whole and as the hub states it, or not at all; what was cut is gone on with."""

import hashlib
import os
import socket

import huggingface_hub  # noqa: F401  its settings are read when it is imported; ours when a file is asked for
import pytest

from enecg.errors import WeightsError
from enecg.weights import Origin
from enecg.weights._hub import download

from .conftest import COMMIT

DATA = bytes(range(256)) * 20_000  # 5 MB
ORIGIN = Origin(repository="heart/model", file="weights.bin")
LARGE = "heart/model/weights.bin"


@pytest.fixture(autouse=True)
def _filled(hub):
    hub.files[LARGE] = DATA


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_with_its_checksum_and_commit(hub, tmp_path):
    found = download(ORIGIN, tmp_path)
    assert found.path.read_bytes() == DATA
    assert (found.sha256, found.commit) == (hashlib.sha256(DATA).hexdigest(), COMMIT)
    # What is pushed between the two questions changes nothing: the second is for the commit that answered the first.
    assert [(method, path) for method, path, _ in hub.asked] == [
        ("HEAD", "/heart/model/resolve/main/weights.bin"),
        ("GET", f"/heart/model/resolve/{COMMIT}/weights.bin"),
        ("GET", f"/lfs/{LARGE}"),
    ]


def test_a_small_file_is_checked_by_the_name_that_git_gives_it(hub, tmp_path):
    hub.small.add(LARGE)
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    hub.sent[LARGE] = DATA[:-1] + b"?"
    (tmp_path / "other").mkdir()
    with pytest.raises(WeightsError, match="not what the hub says"):
        download(ORIGIN, tmp_path / "other")
    assert left(tmp_path / "other") == []


def test_a_token_goes_to_the_hub_alone(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "right")
    hub.gated.add("heart/model")
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    tokens = [(path.split("/")[1], headers.get("authorization")) for _, path, headers in hub.asked]
    assert tokens == [("heart", "Bearer right"), ("heart", "Bearer right"), ("lfs", None)]


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize("after", [0, 1, 2_000_000, len(DATA) - 1])
def test_a_broken_connection_is_gone_on_with(hub, tmp_path, how, after):
    hub.fail("GET", (how, after))
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    first, second = hub.ranges()
    assert first == "all"
    start = 0 if second == "all" else int(second[len("bytes=") : -1])
    # A reset takes with it what had not been read yet.
    assert start == after if how == "cut" else start <= after


def test_it_is_patient_as_long_as_something_new_comes(hub, tmp_path):
    hub.fail("GET", *[("cut", 400_000)] * 12)
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    assert hub.ranges() == ["all"] + [f"bytes={400_000 * n}-" for n in range(1, 13)]


def test_what_one_call_leaves_the_next_goes_on_with(hub, tmp_path):
    hub.fail("GET", ("cut", 3_000_000), *[("cut", 0)] * 3)
    with pytest.raises(WeightsError, match=r"has broken off after 3000000 of 5120000 bytes.*Try again later.*--from"):
        download(ORIGIN, tmp_path)
    assert len(left(tmp_path)) == 1
    hub.asked.clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    assert hub.ranges() == ["bytes=3000000-"]


def test_what_is_whole_already_is_not_asked_for_again(hub, tmp_path):
    download(ORIGIN, tmp_path)
    hub.asked.clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    assert hub.ranges() == []


def test_a_server_that_knows_no_ranges_sends_all_again(hub, tmp_path):
    hub.fail("GET", ("cut", 3_000_000), "whole")
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


def test_a_part_of_another_file_is_not_gone_on_with(hub, tmp_path):
    hub.fail("GET", ("cut", 1_000_000), *[("cut", 0)] * 3)
    with pytest.raises(WeightsError):
        download(ORIGIN, tmp_path)
    hub.files[LARGE] = other = DATA[::-1]
    hub.asked.clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == other
    assert hub.ranges() == ["all"]
    assert len(left(tmp_path)) == 1


def test_a_part_that_was_spoilt_is_thrown_away_with_its_file(hub, tmp_path):
    hub.fail("GET", ("cut", 1_000_000), *[("cut", 0)] * 3)
    with pytest.raises(WeightsError):
        download(ORIGIN, tmp_path)
    [part] = tmp_path.iterdir()
    part.write_bytes(b"?" * 1_000_000)
    with pytest.raises(WeightsError, match="try again"):
        download(ORIGIN, tmp_path)
    assert left(tmp_path) == []
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_hub_that_is_busy_is_asked_again(hub, tmp_path, method, status):
    hub.fail(method, status, status)
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_hub_that_stays_busy_is_named_with_what_it_answers(hub, tmp_path, method):
    hub.fail(method, *[503] * 20)
    with pytest.raises(
        WeightsError, match=r"^heart/model/weights\.bin: the hub answers 503 .*\. Try again later\. Or "
    ):
        download(ORIGIN, tmp_path)
    assert sum(asked[0] == method for asked in hub.asked) == (4 if method == "HEAD" else 8)
    hub.faults[method].clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("origin", "missing"),
    [
        (Origin(repository="heart/none", file="weights.bin"), "repository"),
        (Origin(repository="heart/model", file="none.bin"), "file"),
        (Origin(repository="heart/model", file="weights.bin", revision="none"), "revision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_hub_does_not_have_is_named(hub, tmp_path, origin, missing):
    with pytest.raises(
        WeightsError, match=f"^{origin.repository}/{origin.file}: the hub has no such {missing}, or not"
    ):
        download(origin, tmp_path)
    assert left(tmp_path) == []
    assert len(hub.asked) == 1


def test_who_has_to_log_in_is_told_how(hub, tmp_path, monkeypatch):
    hub.gated.add("heart/model")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(WeightsError, match=r"registered users only.*hf auth login.*--from FILE"):
        download(ORIGIN, tmp_path)


def test_no_network_is_said_in_one_line(tmp_path, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(WeightsError) as refused:
        download(ORIGIN, tmp_path)
    assert f"the hub cannot be reached at {address} (Connection refused). Try again later. Or get " in str(
        refused.value
    )
    assert "\n" not in str(refused.value)


def test_a_name_that_no_server_has_is_no_network(tmp_path, monkeypatch, hub):
    monkeypatch.setenv("HF_ENDPOINT", "http://nowhere.invalid")
    with pytest.raises(WeightsError, match=r"cannot be reached at http://nowhere\.invalid"):
        download(ORIGIN, tmp_path)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_hub_that_does_not_answer_in_time_is_asked_again(hub, tmp_path, monkeypatch, method):
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.fail(method, ("slow", 1.5))
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


def test_a_slow_answer_in_pieces_is_waited_for(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    hub.fail("GET", ("trickle", 0.4))
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA
    assert hub.ranges() == ["all"]


def test_who_wants_no_network_gets_none(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE is set.*--from FILE"):
        download(ORIGIN, tmp_path)
    assert not hub.asked


@pytest.mark.parametrize("altered", [DATA[:-1] + b"?", DATA[:-1000], DATA + b"more", b""], ids=len)
def test_what_is_not_what_the_hub_states_is_refused_and_does_not_stay(hub, tmp_path, altered):
    hub.sent[LARGE] = altered
    hub.said["X-Linked-Size"] = str(len(altered))
    with pytest.raises(WeightsError, match="not what the hub says it holds; try again"):
        download(ORIGIN, tmp_path)
    assert left(tmp_path) == []
    hub.sent.clear()
    hub.said.clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


def test_less_than_the_hub_states_is_not_taken_for_the_whole(hub, tmp_path):
    hub.sent[LARGE] = DATA[:-1000]
    with pytest.raises(WeightsError, match=r"has broken off after 5119000 of 5120000 bytes"):
        download(ORIGIN, tmp_path)
    hub.sent.clear()
    assert download(ORIGIN, tmp_path).path.read_bytes() == DATA


def test_what_the_publisher_has_changed_is_refused_before_it_is_sent(hub, tmp_path):
    origin = Origin(repository="heart/model", file="weights.bin", sha256="0" * 64)
    with pytest.raises(
        WeightsError, match=r"its SHA-256 is .*, expected 000000000000\.\.\.: the publisher has changed"
    ):
        download(origin, tmp_path)
    assert hub.ranges() == []
    hub.small.add(LARGE)  # Then the hub does not state its SHA-256.
    with pytest.raises(WeightsError, match="the publisher has changed"):
        download(origin, tmp_path)
    assert left(tmp_path) == []
    assert download(Origin(**vars(origin) | {"sha256": hashlib.sha256(DATA).hexdigest()}), tmp_path)


@pytest.mark.parametrize("headers", [("X-Repo-Commit",), ("X-Linked-Etag",), ("X-Linked-Size", "Content-Length")])
def test_an_answer_without_a_checksum_is_no_hubs(hub, tmp_path, headers):
    hub.said |= dict.fromkeys(headers, "")
    with pytest.raises(WeightsError, match=f"{hub.address} does not say what the file's checksum is"):
        download(ORIGIN, tmp_path)
    assert left(tmp_path) == []


def test_more_than_the_disk_holds_is_not_begun(hub, tmp_path):
    hub.said["X-Linked-Size"] = str(10**18)
    with pytest.raises(OSError, match=r"1,000,000,000,000 MB are wanted, [\d,]+ MB are free") as refused:
        download(ORIGIN, tmp_path)
    assert refused.value.filename == str(tmp_path)
    assert hub.ranges() == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("HF_ENDPOINT", "hub.example", "expected an address"),
        ("HF_ENDPOINT", "file:///etc", "expected an address"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon", "expected whole seconds"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0", "expected whole seconds"),
    ],
)
def test_a_setting_that_cannot_be_is_named(hub, tmp_path, monkeypatch, name, value, why):
    monkeypatch.setenv(name, value)
    with pytest.raises(WeightsError, match=f"{name} is .*{why}"):
        download(ORIGIN, tmp_path)


def test_progress_is_shown_on_standard_error_if_wanted(hub, tmp_path, capfd):
    hub.fail("GET", ("cut", 3_000_000))
    download(ORIGIN, tmp_path / os.curdir, progress=True)
    out, err = capfd.readouterr()
    assert (out, "weights.bin" in err, "100%" in err) == ("", True, True)
    (tmp_path / left(tmp_path)[0]).unlink()
    download(ORIGIN, tmp_path)
    assert capfd.readouterr() == ("", "")
