"""Files of a training hold objects of its own beside the weights; they are passed over, and nothing of them is run."""

import enum
import sys
from collections import defaultdict
from types import ModuleType

import pytest
import torch

from enecg.errors import WeightsError
from enecg.weights import read_state

RAN = []


class Settings:
    """Stands for any class of a training: made with an argument, kept with a state."""

    def __init__(self, width):
        self.width = width

    def __setstate__(self, state):
        RAN.append(state)


class Kind(enum.Enum):
    LARGE = "large"


def run(what):
    RAN.append(what)


class Trap:
    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ("trap",)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A file as Lightning writes it, with objects of the package `training`, which is then gone."""

    def save(beside, **types):
        with monkeypatch.context() as during:
            during.setitem(sys.modules, "training", ModuleType("training"))
            inner = ModuleType("training.config")
            during.setitem(sys.modules, "training.config", inner)
            for name, kind in types.items():
                during.setattr(kind, "__module__", "training.config")
                setattr(inner, name, kind)
            path = tmp_path / "last.ckpt"
            torch.save({"state_dict": {"w": torch.arange(3.0)}, "hyper_parameters": beside}, path)
        return path

    RAN.clear()
    return save


def test_objects_of_the_packages_named_are_passed_over_and_not_imported(checkpoint):
    beside = {"settings": Settings(3), "class": Settings, "kind": Kind.LARGE, "more": defaultdict(list), "plain": int}
    path = checkpoint(beside, Settings=Settings, Kind=Kind)
    found = read_state(path, ("state_dict",), beside=("training",))
    assert found["w"].tolist() == [0, 1, 2]
    assert not RAN
    assert "training" not in sys.modules


def test_objects_of_other_packages_are_refused_by_name(checkpoint):
    path = checkpoint({"settings": Settings(3)}, Settings=Settings)
    for packages in ((), ("train",), ("config",), ("training.config",)):
        with pytest.raises(WeightsError, match=r"training\.config\.Settings"):
            read_state(path, ("state_dict",), beside=packages)
    assert not RAN


def test_what_a_file_would_call_is_not_called(checkpoint):
    path = checkpoint({"trap": Trap(run)}, run=run)
    assert read_state(path, ("state_dict",), beside=("training",))["w"].tolist() == [0, 1, 2]
    path = checkpoint({"trap": Trap(RAN.append)})
    for packages in ((), ("training", "builtins", "__builtin__", Trap.__module__)):
        with pytest.raises(WeightsError, match="refused"):
            read_state(path, ("state_dict",), beside=packages)
    assert not RAN
