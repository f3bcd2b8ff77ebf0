"""Any of the published wrappings gives the same tensors; what is not the network's weights is refused with a list."""

import argparse
import collections
import enum
import os
import pathlib
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from enecg.errors import WeightsError
from enecg.weights import ANY, fit_state, layout_of, read_state

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.5, -2.0]), "n": torch.tensor(7)}
LAYOUT = layout_of(STATE)
RAN = []


class Trap:
    """What a hostile file runs when it is read."""

    def __reduce__(self):
        return os.system, ("touch trap",)


class Appending:
    def __reduce__(self):
        return RAN.append, ("ran",)


class Lead(enum.Enum):
    II = 2


def same(found):
    assert {name: (part.dtype, part.tolist()) for name, part in found.items()} == {
        name: (part.dtype, part.tolist()) for name, part in STATE.items()
    }


def prefixed(prefix):
    return {f"{prefix}{name}": part for name, part in STATE.items()}


@pytest.fixture
def saved(tmp_path):
    def save(content, **options):
        path = tmp_path / "file.pt"
        torch.save(content, path, **options)
        return path

    return save


@pytest.mark.parametrize(
    ("content", "inside", "prefix"),
    [
        (STATE, (), ""),
        (STATE, ("state_dict",), "encoder."),
        ({"state_dict": STATE, "epoch": 3}, ("state_dict",), ""),
        ({"a": {"b": STATE}, "b": {}}, ("a", "b"), ""),
        ({"model": prefixed("module."), "optimizer": None}, ("model",), ""),
        ({"state_dict": prefixed("encoder.") | {"head.weight": torch.zeros(1)}}, ("state_dict",), "encoder."),
        (prefixed("module.encoder."), (), "encoder."),
        (prefixed("encoder.module."), (), "encoder."),
        (collections.OrderedDict(STATE), (), ""),
        ({name: torch.nn.Parameter(part, part.is_floating_point()) for name, part in STATE.items()}, (), ""),
        (
            {
                "model": STATE,
                "args": argparse.Namespace(lr=1e-3),
                "cfg": {"model": {"_name": "x", "layers": [1, None, True]}},
                "best": np.float64(0.5),
                "seen": np.int64(3),
                "last_optimizer_state": {"state": {0: {"step": 5, "exp_avg": torch.zeros(3)}}, "param_groups": [{}]},
            },
            ("model",),
            "",
        ),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_every_wrapping_gives_the_tensors(saved, content, inside, prefix, zipped):
    same(read_state(saved(content, _use_new_zipfile_serialization=zipped), inside, prefix))


def test_a_prefix_that_is_also_the_name_of_a_part_is_dropped_only_where_it_is_one(saved):
    part = {"encoder.w": torch.zeros(1), "bias": torch.zeros(1)}
    whole = {f"encoder.{name}": value for name, value in part.items()} | {"head.w": torch.zeros(1)}
    assert {*read_state(saved(part), prefix="encoder.", wanted=part)} == {*part}
    assert {*read_state(saved(whole), prefix="encoder.", wanted=part)} == {*part}


def test_safetensors_give_the_tensors(tmp_path):
    save_file(prefixed("module."), tmp_path / "x.bin")
    same(read_state(tmp_path / "x.bin", ("state_dict",), "encoder."))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("environment", ["0", "1"])
@pytest.mark.parametrize("trap", [Trap(), Appending()], ids=["system", "function"])
def test_what_a_file_would_run_is_named_and_not_run(saved, tmp_path, monkeypatch, zipped, environment, trap):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", environment)
    path = saved({"state_dict": STATE, "trap": trap}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"refused, since it names [\w.]+, which could run anything .* safetensors"):
        read_state(path, ("state_dict",))
    assert not pathlib.Path("trap").exists()
    assert not RAN


@pytest.mark.parametrize("beside", [pathlib.PurePosixPath("x"), Lead.II], ids=["path", "enum"])
def test_a_type_that_is_not_known_to_be_harmless_is_refused_by_its_name(saved, beside):
    with pytest.raises(WeightsError) as refused:
        read_state(saved({"state_dict": STATE, "settings": beside}), ("state_dict",))
    assert f"it names {type(beside).__module__}.{type(beside).__name__}," in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "inside", "why"),
    [
        ({"epoch": 3}, ("state_dict",), r"nothing under 'state_dict', where the weights should be \(found epoch\)"),
        ({"state_dict": 3}, ("state_dict",), "holds a int, expected tensors by name"),
        ({"state_dict": 3}, ("state_dict", "model"), r"nothing under 'model', .*\(found int\)"),
        ([torch.zeros(1)], (), "holds a list"),
        ({}, (), "holds a dict"),
        ({**STATE, "epoch": 3}, (), "'epoch' is a int; expected tensors by name and nothing else"),
        ({0: torch.zeros(1)}, (), "0 is a Tensor; expected tensors by name"),
        (torch.zeros(3), (), "holds a Tensor"),
    ],
)
def test_a_file_without_the_weights_says_what_it_holds(saved, content, inside, why):
    with pytest.raises(WeightsError, match=why):
        read_state(saved(content), inside)


def test_an_archive_says_what_to_do_with_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("cpc/last.ckpt", b"x")
        archive.writestr("cpc/config.yaml", b"x")
    with pytest.raises(WeightsError, match=r"unpack it and give one of cpc/last\.ckpt, cpc/config\.yaml"):
        read_state(tmp_path / "all.zip")


def test_a_program_is_no_file_of_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/model.py"):
            archive.writestr(f"model/{name}", b"x")
    with pytest.raises(WeightsError, match="a program of torch"):
        read_state(tmp_path / "model.pt")


def test_no_file_says_so(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(tmp_path / "none.pt")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, kind, data):
    whole = written(tmp_path_factory, kind)
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WeightsError):
        read_state(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@given(data=st.data())
def test_damage_anywhere_gives_a_refusal_or_tensors_and_never_anything_else(tmp_path_factory, kind, data):
    whole = bytearray(written(tmp_path_factory, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(whole)
    try:
        found = read_state(path)
        fit_state(found, LAYOUT, (), "file")
    except WeightsError:
        return


def written(tmp_path_factory, kind):
    path = tmp_path_factory.mktemp("whole") / "file"
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


def test_what_fits_is_given_in_the_networks_order_and_types():
    halves = {name: part.half() if part.is_floating_point() else part for name, part in reversed(STATE.items())}
    found = fit_state(halves, LAYOUT, (), "file")
    assert list(found) == list(STATE)
    same(found)


def test_all_that_does_not_fit_is_told_in_one_error():
    wrong = {
        "conv.weight": torch.zeros(3, 2),
        "n": torch.tensor(7.0),
        **{f"other{number}": torch.zeros(1) for number in range(8)},
    }
    with pytest.raises(WeightsError) as refused:
        fit_state(wrong, LAYOUT, (), "file.pt")
    assert str(refused.value) == (
        "file.pt: not the weights of this network; 1 missing: conv.bias; 8 unexpected: other0, other1, other2, other3, "
        "other4, other5, ...; 1 of another shape: conv.weight [3, 2] for [2, 3]; 1 of another type: n float32 for int64"
    )


@pytest.mark.parametrize("part", [torch.zeros(2, 3).to_sparse(), torch.zeros(2, 3, dtype=torch.complex64)])
def test_a_tensor_of_another_kind_is_refused(part):
    with pytest.raises(WeightsError, match=r"1 of another type: conv\.weight"):
        fit_state({**STATE, "conv.weight": part}, LAYOUT, (), "file")


def test_what_nothing_reads_is_left_out_and_not_missed_but_nothing_else_may_be_there():
    layout = {**LAYOUT, "head.weight": ((4,), "float32"), "head.bias": ((4,), "float32")}
    for more in ({}, {"head.weight": torch.zeros(4)}):
        same(fit_state({**STATE, **more}, layout, ("head.*",), "file"))
    with pytest.raises(WeightsError, match=r"1 unexpected: head\.scale"):
        fit_state({**STATE, "head.scale": torch.zeros(4)}, layout, ("head.*",), "file")
    with pytest.raises(WeightsError, match=r"head\.weight \[5\] for \[4\]"):
        fit_state({**STATE, "head.weight": torch.zeros(5)}, layout, ("head.*",), "file")


def test_a_length_that_the_file_decides_may_be_any():
    layout = {"table": ((ANY, 2), "float32")}
    assert fit_state({"table": torch.zeros(7, 2)}, layout, (), "file")["table"].shape == (7, 2)
    with pytest.raises(WeightsError, match=r"table \[7, 3\] for \['any', 2\]"):
        fit_state({"table": torch.zeros(7, 3)}, layout, (), "file")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv.weight_g", "conv.parametrizations.weight.original0"),
        ("conv.weight_v", "conv.parametrizations.weight.original1"),
        ("h.0.c_attn.weight", "h.0.c_attn.base_layer.weight"),
        ("h.0.c_attn.bias", "h.0.c_attn.base_layer.bias"),
    ],
)
def test_both_spellings_of_a_tensor_are_known_in_both_directions(one, other):
    for named, wanted in ((one, other), (other, one), (one, one), (other, other)):
        found = fit_state({named: torch.ones(2)}, {wanted: ((2,), "float32")}, (), "file")
        assert found[wanted].tolist() == [1, 1]
    both = {one: torch.ones(2), other: torch.zeros(2)}
    with pytest.raises(WeightsError, match="1 unexpected"):
        fit_state(both, {other: ((2,), "float32")}, (), "file")
    assert len(fit_state(both, dict.fromkeys(both, ((2,), "float32")), (), "file")) == 2
