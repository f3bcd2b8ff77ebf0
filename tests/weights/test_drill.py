"""Every published layout, as its publisher wraps it: served by a hub or given by hand, pulled, checked, and used.

The networks are tiny, the wrappings are those that the publishers document; the numbers that come out must be those of
the network that the file was made from.
"""

import argparse
import dataclasses
import re
from functools import cache
from io import BytesIO

import numpy as np
import pytest
import torch
from safetensors.torch import save

from enecg.errors import EnECGError, MissingPackageError
from enecg.experts import get_expert, published_names
from enecg.simulation import simulate_one
from enecg.weights import find_kept

MOMENTS = {"state": {0: {"step": 7, "exp_avg": torch.zeros(5)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}


def bare(state):
    return state


def on_several_devices(state):
    return renamed(state, r"^", "module.")


def state_dict(state):
    return {"state_dict": state, "epoch": 5, "optimizer": MOMENTS, "scheduler": {"last_epoch": 5}}


def ecg_jepa(state):
    return {"encoder": state, "epoch": 100}


def st_mem(state):
    return {"epoch": 800, "model": state, "optimizer": None, "scaler": None, "config": {"model": {"depth": 12}}}


def st_mem_whole(state):
    return st_mem(
        renamed(state, r"^", "encoder.") | {"mask_embedding": torch.zeros(3), "decoder.0.weight": torch.ones(2)}
    )


def fairseq(state):
    return {
        "args": None,
        "cfg": {"_name": None, "common": {"seed": 1, "fp16": True}, "model": {"_name": "ecg", "layers": [[256, 2, 2]]}},
        "model": state,
        "criterion": None,
        "optimizer_history": [{"num_updates": 9, "lr_scheduler_state": {"best": None}}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 2}, "val_loss": np.float64(0.1)},
        "last_optimizer_state": MOMENTS,
    }


def lightning(prefix):
    def wrap(state):
        return {
            "epoch": 9,
            "global_step": 999,
            "pytorch-lightning_version": "2.1.0",
            "state_dict": renamed(state, r"^", prefix) | {"lm_model.embeddings.weight": torch.zeros(3)},
            "optimizer_states": [MOMENTS],
            "lr_schedulers": [{}],
            "hyper_parameters": argparse.Namespace(lr=1e-3, batch=64),
        }

    return wrap


def with_heads(prefix):
    def wrap(state):
        return renamed(state, r"^", prefix) | {"proj_t.0.weight": torch.zeros(2, 2)}

    return wrap


def older_weight_norm(wrap):
    def older(state):
        state = renamed(state, r"parametrizations\.weight\.original0$", "weight_g")
        return wrap(renamed(state, r"parametrizations\.weight\.original1$", "weight_v"))

    return older


def older_peft(wrap):
    return lambda state: wrap(renamed(state, r"\.base_layer\.", "."))


def renamed(state, what, by):
    return {re.sub(what, by, name, count=1): part for name, part in state.items()}


WRAPPINGS = {
    "chronos-bolt": [bare],
    "ecg-cpc": [lightning("ts_encoder."), lightning("ts_encoder.module.")],
    "ecg-fm": [fairseq, older_weight_norm(fairseq)],
    "ecg-jepa": [ecg_jepa, bare],
    "ecgfounder": [state_dict, bare],
    "hubert-ecg": [bare, older_weight_norm(bare)],
    "melp": [lightning("ecg_encoder."), bare],
    "merl": [bare, with_heads("ecg_encoder."), on_several_devices],
    "moment": [bare],
    "st-mem": [st_mem, st_mem_whole],
    "tempo": [bare, older_peft(bare), on_several_devices],
}
"""How each family's file is wrapped, by the beginning of its experts' names."""


def family(name):
    [found] = [start for start in WRAPPINGS if name.startswith(start)]
    return found


ONE_EACH = sorted({family(name): name for name in published_names()}.values())
CASES = [
    pytest.param(name, wrap, id=f"{name} {number}")
    for name in published_names()
    for number, wrap in enumerate(WRAPPINGS[family(name)])
]


@dataclasses.dataclass
class Drill:
    """A published expert in the size of tests, and what it makes of a recording."""

    name: str
    kind: type
    state: dict
    expected: np.ndarray

    @property
    def origin(self):
        return self.kind.origin

    def written(self, wrap):
        """The publisher's file."""
        content = wrap({name: part.clone().contiguous() for name, part in self.state.items()})
        if self.origin.file.endswith(".safetensors"):
            return save(content)
        return saved(content)

    def used(self):
        return get_expert(self.name).embed(tiny(self.name)[0])


def saved(content):
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@cache
def tiny(name):
    """What a tiny network of this expert reads of a recording, its weights, and what it makes of them."""
    expert = get_expert(f"{name}:tiny")
    inputs = expert.prepare([simulate_one(0).recording])
    return inputs, expert.fresh_network().state_dict(), expert.embed(inputs)


@pytest.fixture
def drill(monkeypatch, shelf):
    def make(name):
        kind = type(get_expert(name))
        try:
            _, state, expected = tiny(name)
        except MissingPackageError as error:
            pytest.skip(str(error))
        monkeypatch.setattr(kind, "size", kind.tiny)
        monkeypatch.setattr(kind, "card", dataclasses.replace(kind.card, dim=kind.tiny.dim))
        # What the real files' digests are is of no use here.
        monkeypatch.setattr(kind, "origin", dataclasses.replace(kind.origin, sha256=""))
        return Drill(name, kind, state, expected)

    return make


@pytest.fixture
def publish(hub, tmp_path):
    """Put a file where its publisher does, on the hub or, where no program can pull it, on this disk."""

    def put(origin, data):
        if origin.repository:
            hub.files[f"{origin.repository}/{origin.file}"] = data
            return ()
        path = tmp_path / "by hand"
        path.write_bytes(data)
        return ("--from", path)

    return put


@pytest.mark.parametrize(("name", "wrap"), CASES)
def test_a_published_file_is_pulled_and_gives_the_numbers_of_its_network(enecg, drill, publish, hub, name, wrap):
    made = drill(name)
    how = publish(made.origin, made.written(wrap))
    if made.origin.terms:
        code, out, err = enecg("experts", "pull", name, *how)
        assert (code, out, len(err.splitlines())) == (3, "", 1)
        assert err.startswith(f"error: {name}: {made.origin.terms}. Read the licence")
        assert not hub.asked
        assert find_kept(name) is None
        how = (*how, "--accept-licence")
    code, out, err = enecg("experts", "pull", name, *how)
    assert (code, out.startswith(f"{name}: pulled, ")) == (0, True), err
    assert ("100%" in err) == bool(made.origin.repository)
    np.testing.assert_array_equal(made.used(), made.expected)
    kept, asked = find_kept(name), len(hub.asked)
    assert kept.accepted == made.origin.terms
    # It is here now: no network and no acceptance are needed any more.
    assert enecg("experts", "pull", name)[0] == 0
    assert (find_kept(name), len(hub.asked)) == (kept, asked)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_spoilt_file_is_refused_leaves_nothing_and_costs_the_next_nothing(enecg, drill, publish, shelf, hub, name):
    made = drill(name)
    accept = ("--accept-licence",) if made.origin.terms else ()
    wrap = WRAPPINGS[family(name)][0]
    whole = made.written(wrap)
    first, rest = next(iter(made.state)), dict(list(made.state.items())[1:])
    other = wrap({name: part.clone() for name, part in rest.items()} | {"another.weight": torch.zeros(2)})
    spoilt = {
        "truncated": whole[: len(whole) // 2],
        "another network's": save(other) if made.origin.file.endswith(".safetensors") else saved(other),
        "of another shape": made.written(lambda state: wrap(state | {first: torch.zeros(3, 1, 4, 1, 5)})),
        "not weights": b"<!doctype html><title>Sign in</title>",
        "empty": b"",
    }
    for what, data in spoilt.items():
        code, out, err = enecg("experts", "pull", name, *publish(made.origin, data), *accept)
        assert (code, out) == (3, ""), what
        assert err.splitlines()[-1].startswith("error: "), what
        assert "Traceback" not in err
        assert [path for path in shelf.rglob("*") if path.is_file() and path.name != ".lock"] == [], what
    how = publish(made.origin, whole)
    if made.origin.repository:
        key = f"{made.origin.repository}/{made.origin.file}"
        hub.sent[key] = whole[:-1] + bytes([whole[-1] ^ 1])
        code, _, err = enecg("experts", "pull", name, *accept)
        assert (code, "not what the hub says it holds" in err) == (3, True)
        hub.sent.clear()
        hub.fail("GET", ("cut", len(whole) // 3))
    assert enecg("experts", "pull", name, *how, *accept)[0] == 0
    np.testing.assert_array_equal(made.used(), made.expected)
    # Altered after that, it is refused when it is used, and pulled anew.
    path = shelf / name / find_kept(name).file
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    with pytest.raises(EnECGError, match="altered since it was pulled"):
        made.used()
    assert enecg("experts", "pull", name, *how, *accept)[0] == 0
    np.testing.assert_array_equal(made.used(), made.expected)


class Config:
    """Stands for the settings object in the files of a training."""


@pytest.mark.parametrize("name", [name for name in published_names() if name.startswith("hubert-ecg")])
def test_a_trainings_file_with_objects_of_its_own_is_refused_with_advice(enecg, drill, tmp_path, name):
    made = drill(name)
    torch.save({"model_config": Config(), "model_state_dict": made.state}, tmp_path / "training.pt")
    code, _, err = enecg("experts", "pull", name, "--from", tmp_path / "training.pt", "--accept-licence")
    assert code == 3
    assert f"names {Config.__module__}.Config, which could run anything" in err
    assert "take a safetensors file where the publisher has one" in err
