"""A training that is stopped and gone on with, whenever, is the training that was not stopped."""

import random
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import FitError
from enecg.pretraining import Augmentation, Objective, Training, TrainSettings, find_objective

QUICK = TrainSettings(steps=12, batch=6, check_every=5, learning_rate=1e-2)
UNCHANGED = Augmentation(gain=0.0, noise=0.0, fewer_leads=0.0, shift=False)


class Height(Objective):
    """How far the embedding is from one; remembers what it was shown."""

    name = "height"
    summary = "for tests"
    sign = 1.0

    def __init__(self, network, corpus):
        super().__init__(network, corpus)
        self.shown = {True: [], False: []}

    def forward(self, network, batch):
        self.shown[self.training].append(batch)
        far = ((network(batch.x) - 1) ** 2).mean(dim=1)
        return far * self.sign if self.training else far


class Contrary(Height):
    """The more it is trained, the worse it is for validation subjects."""

    sign = -1.0


class Nothing(Height):
    """Finds something to learn only in windows of people whose number is even, and in no others."""

    divisor = 2

    def forward(self, network, batch):
        found = super().forward(network, batch)
        return torch.where(batch.subjects % self.divisor == 0, found, torch.nan)


@pytest.fixture(scope="module")
def begun(corpus, network):
    """A training that has not begun."""

    def begin(checkpoint=None, objective="supervised", corpus=corpus, seed=0, network=network, **changed):
        learner = network()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind = find_objective(objective) if isinstance(objective, str) else objective
            taught = kind(learner, corpus)
        return Training(learner, taught, corpus, replace(QUICK, **changed), seed, checkpoint=checkpoint)

    return begin


def weights(training):
    return {name: part.clone() for name, part in training.network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(begun):
    """Makes a training that nothing has disturbed, one for each precision."""

    @cache
    def trained(precision):
        training = begun(precision=precision)
        training.run()
        return training

    return trained


@pytest.fixture(scope="module")
def undisturbed(whole):
    return whole("fp32")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@settings(max_examples=8)
@given(stops=st.lists(st.integers(0, QUICK.steps), min_size=1, max_size=3))
def test_whenever_it_was_stopped_it_ends_with_the_same_weights(begun, whole, tmp_path_factory, precision, stops):
    expected = whole(precision)
    checkpoint = tmp_path_factory.mktemp("stopped") / "checkpoint.pt"
    for stop in stops:
        stopped = begun(checkpoint, precision=precision)
        stopped.resume()
        stopped.run(until=stop)
    last = begun(checkpoint, precision=precision)
    assert last.resume() == any(stop >= QUICK.check_every for stop in stops)
    history = last.run()
    assert same(weights(last), weights(expected))
    assert history == expected.history
    assert [one.step for one in history] == [5, 10, 12]
    assert (last.before, last.best) == (expected.before, expected.best)


def test_an_error_on_the_way_costs_no_more_than_the_steps_since_the_last_checkpoint(begun, tmp_path, undisturbed):
    def failing(checked):
        if checked.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun(tmp_path / "checkpoint.pt").run(failing)
    again = begun(tmp_path / "checkpoint.pt")
    assert again.resume()
    assert again.step == 10
    again.run()
    assert same(weights(again), weights(undisturbed))


def test_another_seed_is_another_training(begun, undisturbed):
    other = begun(seed=1)
    other.run()
    assert not same(weights(other), weights(undisturbed))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch": 7}, "batch"),
        ({"learning_rate": 2e-2, "steps": 13}, "learning_rate, steps"),
        ({"seed": 3}, "seed"),
        ({"augmentation": UNCHANGED}, "augmentation"),
        ({"objective": Height}, "objective"),
        ({"network": "other"}, "weights at the start"),
        ({"corpus": "other"}, "recordings"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_and_says_what_differs(
    begun, network, corpus, tmp_path, change, named
):
    checkpoint = tmp_path / "checkpoint.pt"
    begun(checkpoint).run(until=5)
    before = checkpoint.read_bytes()
    labels = {name: column[::-1] for name, column in corpus.targets.items()}
    others = {"network": lambda: network(seed=1), "corpus": replace(corpus, targets=labels)}
    change = {key: others[key] if value == "other" else value for key, value in change.items()}
    with pytest.raises(FitError, match=rf"checkpoint\.pt: of another training \({named} not the same\); remove it"):
        begun(checkpoint, **change).resume()
    assert checkpoint.read_bytes() == before


@pytest.fixture(scope="module")
def written(begun, tmp_path_factory):
    """The bytes of a checkpoint."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint.pt"
    begun(path).run(until=5)
    return path.read_bytes()


@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_checkpoint_is_refused_wherever_it_is_damaged(begun, tmp_path_factory, written, data):
    place = data.draw(st.integers(0, len(written) - 1))
    flipped = bytearray(written)
    flipped[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "checkpoint.pt"
    for damaged in (written[:place], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(FitError, match=r"checkpoint\.pt: damaged, .* remove it to begin anew"):
            begun(path).resume()


def test_validation_subjects_are_in_no_training_batch_and_all_are_looked_at(begun, corpus):
    training = begun(objective=Height, steps=40)
    training.run()
    learned, looked = (
        torch.cat([batch.subjects for batch in training.objective.shown[training_]]).unique().tolist()
        for training_ in (True, False)
    )
    assert set(learned) == set(corpus.people[corpus.owner[corpus.train]].tolist())
    assert set(looked) == set(corpus.people[corpus.owner[corpus.validation]].tolist())
    assert not set(learned) & set(looked)


@pytest.mark.parametrize("batch", [1, 6, 70])
def test_every_training_window_is_used_once_in_each_round(begun, corpus, batch):
    n = len(corpus.train)
    training = begun(objective=Height, batch=batch, steps=-(-2 * n // batch), augmentation=UNCHANGED)
    training.run()
    shown = torch.cat([batch.x for batch in training.objective.shown[True]]).numpy()
    names = [(window + 0.0).tobytes() for window in shown]  # 0 and -0 are one number
    expected = sorted((corpus.prepared.data[row] + 0.0).tobytes() for row in corpus.train)
    assert len(set(expected)) == n
    assert sorted(names[:n]) == sorted(names[n : 2 * n]) == expected
    assert names[:n] != names[n : 2 * n]


def test_the_loss_falls(begun):
    training = begun(objective="masked", steps=45, check_every=15, batch=8)
    losses = [one.validation for one in training.run()]
    assert training.before > losses[0] > losses[1] > losses[2] == training.best
    assert losses[2] < 1  # that of the answer zero


@pytest.mark.parametrize(("objective", "kept"), [(Contrary, 5), (Height, 12)])
def test_the_weights_that_are_kept_are_those_of_the_best_look(begun, objective, kept, monkeypatch):
    training = begun(objective=objective)
    at, looked = {}, training.validate

    def validate():
        at[training.step] = weights(training)
        return looked()

    monkeypatch.setattr(training, "validate", validate)
    history = training.run()
    assert min(history, key=lambda checked: checked.validation).step == kept
    assert same(weights(training), at[kept])
    assert training.validate() == training.best == min(one.validation for one in history)
    assert not training.network.training


def test_weights_that_are_looked_at_are_averages_of_those_of_the_steps(begun):
    last, averaged = begun(averaging=0.0, steps=3, check_every=1), begun(averaging=0.5, steps=3, check_every=1)
    steps = []
    for training in (last, averaged):
        training.run(lambda checked, training=training: steps.append([p.clone() for p in training.parameters]), until=2)
    assert all(torch.equal(one, other) for one, other in zip(steps[0], steps[2], strict=True))  # they learn the same
    start = begun().averages
    shares = [min(0.5, (1 + step) / (10 + step)) for step in range(2)]
    first = [share_of(shares[0], one, other) for one, other in zip(start, steps[0], strict=True)]
    second = [share_of(shares[1], one, other) for one, other in zip(first, steps[1], strict=True)]
    assert all(torch.allclose(one, other) for one, other in zip(second, averaged.averages, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(steps[1], last.averages, strict=True))


def share_of(share, one, other):
    return share * one + (1 - share) * other


def test_windows_with_nothing_to_learn_from_teach_nothing(begun, corpus, monkeypatch):
    assert {int(person) % 2 for person in corpus.people} == {0, 1}
    training = begun(objective=Nothing, batch=1, steps=40)
    history = training.run()
    assert all(np.isfinite(list(asdict(one).values())).all() for one in history)
    monkeypatch.setattr(Nothing, "divisor", 10**6 + 1)
    with pytest.raises(FitError, match="nothing can be learned from any validation recording"):
        begun(objective=Nothing, corpus=replace(corpus, people=corpus.people + 1)).run()


def test_a_training_that_explodes_says_so(begun):
    with pytest.raises(FitError, match="after step 5 the loss is no number any more; take a lower learning rate"):
        begun(learning_rate=1e30).run()


def test_randomness_elsewhere_in_the_process_is_untouched(begun):
    def states():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002  what others use is looked at
        return torch.get_rng_state().tolist(), (kind, keys.tolist(), *rest), random.getstate()

    before = states()
    begun().run()
    assert states() == before


def test_what_was_drawn_elsewhere_makes_no_difference(begun, undisturbed):
    torch.manual_seed(123)
    again = begun()
    again.run(lambda _: torch.manual_seed(5))
    assert same(weights(again), weights(undisturbed))
