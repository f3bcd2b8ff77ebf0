import numpy as np
import pytest
import torch

from enecg.ensemble import RECIPES, JointSettings, PaperSettings, fit_ensemble
from enecg.errors import FitError
from enecg.tasks import Task

SIZE = Task("size", "regression")


@pytest.fixture(scope="module")
def data(make_embedded):
    embedded = make_embedded(60, (6,))
    return embedded, {"size": embedded.embeddings["e0"][:, :1].copy()}


def fit(data, **options):
    embedded, told = data
    gate = next(name for name in embedded.embeddings if name.startswith("gate"))
    return fit_ensemble(embedded, told, **{"tasks": [SIZE], "experts": ["e0"], "gate": gate} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "best"}, "recipe 'best'.*expected one of joint, paper"),
        ({"recipe": "paper", "settings": JointSettings()}, "recipe 'paper' with settings"),
        ({"recipe": "joint", "settings": PaperSettings()}, "recipe 'joint' with settings"),
        ({"tasks": []}, "no task or no expert"),
        ({"experts": []}, "no task or no expert"),
    ],
)
def test_a_fit_that_means_nothing_is_refused(data, options, message):
    with pytest.raises(FitError, match=message):
        fit(data, **options)


def test_no_recording_teaches_nothing(data):
    embedded, _ = data
    with pytest.raises(FitError, match="0 recordings; expected some to learn from"):
        fit((embedded.take([]), {"size": np.empty((0, 1), np.float32)}))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_fit_leaves_its_data_and_everybodys_random_numbers_alone(data, quick, recipe):
    embedded, told = data
    before = {name: rows.copy() for name, rows in (embedded.embeddings | told).items()}
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(data, recipe=recipe, settings=quick if recipe == "joint" else PaperSettings(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    for name, rows in (embedded.embeddings | told).items():
        assert np.array_equal(rows, before[name])
