"""What every registered expert promises: run over all names, so that a new one is tested by being registered."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import enecg
from enecg.cohorts import cohort_names
from enecg.errors import ExpertError
from enecg.experts import Card, Expert, Inputs, expert_names, get_expert, published_names
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.leads import derivable
from enecg.signal.windows import fit_length
from enecg.simulation import simulate, simulate_one

TESTS = Path(__file__).parents[1]
GOLDEN = json.loads((TESTS / "golden" / "experts.json").read_text())

PUBLISHED = published_names()
"""Their weights are not here; tiny ones stand for them."""

NAMES = [f"{name}:tiny" if name in PUBLISHED else name for name in expert_names()]

DATA_SETS = {
    "chapman_shaoxing",
    "code15",
    "electricity",
    "ett",
    "heedb",
    "mimic-iv-ecg",
    "ningbo",
    "time-series-pile",
    "traffic",
    "weather",
}
"""What published weights have seen, where no cohort of this package is named so."""

SCALED_AS_A_WHOLE = {
    "ecg-fm:tiny",
    "ecg-fm-mimic:tiny",
    "ecg-fm-physionet:tiny",
    "hubert-ecg-base:tiny",
    "hubert-ecg-large:tiny",
    "hubert-ecg-small:tiny",
}
"""Experts that scale a recording before cutting it into windows, as published: a window's scale is then not its own."""

ZERO_PADDED = {"melp:tiny", "merl-resnet18:tiny", "merl-vit:tiny"}
"""Experts that lengthen a short recording by zeros, as published."""

ENDED = {"s4d", "vit"}
"""Experts that know where a short recording ends (tests/experts/learned)."""

each = pytest.mark.parametrize("name", NAMES)


@cache
def expert(name):
    return get_expert(name)


def embed(name, *recordings):
    found = expert(name)
    return found.embed(found.prepare(recordings))


@pytest.fixture(scope="module")
def recordings():
    """Five at 500 Hz, of several lengths."""
    made = [one.recording for one in simulate(4, seed=6)]
    return [*made, simulate_one(4, seed=6, seconds=25).recording]


def weights_of(thing):
    """Digest of every array and tensor that an expert holds."""
    sha = hashlib.sha256()

    def add(value):
        if isinstance(value, torch.nn.Module):
            for key, part in sorted(value.state_dict().items()):
                sha.update(key.encode() + part.numpy().tobytes())
        elif isinstance(value, torch.Tensor):
            sha.update(value.numpy().tobytes())
        elif isinstance(value, np.ndarray):
            sha.update(value.tobytes())
        elif isinstance(value, dict):
            for key in sorted(value):
                add(value[key])

    for key, value in sorted(vars(thing).items()):
        sha.update(key.encode())
        add(value)
    return sha.hexdigest()


@each
def test_an_embedding_is_one_finite_float32_row_for_each_recording(name, recordings):
    card = expert(name).card
    inputs = expert(name).prepare(recordings)
    assert isinstance(inputs, Inputs)
    assert inputs.windows.dtype == np.float32
    assert inputs.n_recordings == len(recordings)
    assert list(inputs.owner) == sorted(inputs.owner)
    assert set(inputs.owner) == set(range(len(recordings)))
    found = expert(name).embed(inputs)
    assert found.shape == (len(recordings), card.dim)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == len(recordings)


@each
def test_no_recordings_give_no_rows(name):
    assert embed(name).shape == (0, expert(name).card.dim)


@each
def test_the_same_recording_has_the_same_bits_alone_in_a_batch_in_any_order_and_again(name, recordings):
    together = embed(name, *recordings)
    for row, recording in enumerate(recordings):
        assert np.array_equal(embed(name, recording)[0], together[row])
    order = [3, 0, 4, 4, 2, 1]
    assert np.array_equal(embed(name, *(recordings[row] for row in order)), together[order])
    # More than a batch of any expert, of two seconds each.
    pair = [replace(one, signal=one.signal[:, :1000]) for one in recordings[:2]]
    assert np.array_equal(embed(name, *(pair * 35)), np.tile(embed(name, *pair), (35, 1)))


@each
def test_a_new_instance_gives_the_same_bits_and_fingerprint(name, recordings):
    other = get_expert(name)
    assert other is not expert(name)
    assert other.fingerprint == expert(name).fingerprint
    assert np.array_equal(other.embed(other.prepare(recordings[:2])), embed(name, *recordings[:2]))


@each
def test_an_expert_is_frozen(name, recordings):
    found = get_expert(name)
    first = found.embed(found.prepare(recordings[:1]))
    before = weights_of(found)
    found.embed(found.prepare(recordings[1:]))
    assert weights_of(found) == before
    for value in vars(found).values():
        if isinstance(value, torch.nn.Module):
            assert not value.training
            assert not any(part.requires_grad for part in value.parameters())
    found.release()
    assert np.array_equal(found.embed(found.prepare(recordings[:1])), first)


@each
def test_embedding_leaves_the_random_numbers_and_its_inputs_alone(name, recordings):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  the global generator is what a user might rely on
    states = (torch.get_rng_state().numpy().copy(), np.random.get_state()[1].copy())  # noqa: NPY002
    digest = recordings[0].digest
    found = get_expert(name)
    inputs = found.prepare(recordings[:1])
    windows = inputs.windows.copy()
    found.embed(inputs)
    assert np.array_equal(inputs.windows, windows, equal_nan=True)
    assert replace(recordings[0]).digest == digest
    assert np.array_equal(torch.get_rng_state().numpy(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def simulated_rate(card):
    """At which the expert's windows can be cut without resampling, or the lowest that can be simulated."""
    return max(card.rate or 500.0, 50.0)


@each
def test_a_long_recording_is_the_mean_of_its_windows_the_last_one_right_aligned(name):
    if name in SCALED_AS_A_WHOLE:
        return
    card = expert(name).card
    rate = simulated_rate(card)
    long = simulate_one(3, seed=6, rate=rate, seconds=2.5 * card.seconds).recording
    n = round(card.seconds * rate)
    starts = [0, n, long.n_samples - n]
    parts = [replace(long, signal=long.signal[:, start : start + n]) for start in starts]
    inputs = expert(name).prepare([long])
    assert len(inputs.windows) == 3
    expected = embed(name, *parts).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(embed(name, long)[0], expected, rtol=1e-5, atol=1e-6)


@each
def test_a_short_recording_is_padded_or_read_as_it_is(name):
    card = expert(name).card
    rate = simulated_rate(card)
    seconds = min(4.0, (card.min_seconds + card.seconds) / 2)
    short = simulate_one(3, seed=6, rate=rate, seconds=seconds).recording
    found = embed(name, short)[0]
    assert np.isfinite(found).all()
    if card.rate and name not in ENDED:
        again = fit_length(short.signal, round(card.seconds * rate), "zero" if name in ZERO_PADDED else "repeat")
        assert np.array_equal(found, embed(name, replace(short, signal=again))[0])


@each
def test_too_short_a_recording_is_refused_by_name_with_the_reason(name, recordings):
    least = expert(name).card.min_seconds
    assert 0 < least <= expert(name).card.seconds
    signal = recordings[0].signal
    short = replace(recordings[0], signal=signal[:, : round(least * 500) - 1])
    refused = expert(name).refusal(short)
    assert name in refused
    assert f"{least:g} s at least" in refused
    enough = replace(recordings[0], signal=signal[:, : round(least * 500)])
    assert expert(name).refusal(enough) is None
    assert np.isfinite(embed(name, enough)).all()


@each
def test_too_few_leads_are_refused_by_name_or_managed(name, recordings):
    card = expert(name).card
    for kept in (STANDARD_LEADS[:-1], STANDARD_LEADS[2:], ("II",), ("V3",), ("I", "aVL")):
        part = recordings[0].select(kept)
        refused = expert(name).refusal(part)
        there = (*kept, *derivable(kept))
        missing = [lead for lead in card.leads if lead not in there]
        if missing and not card.any_leads:
            assert name in refused
            needed, _, others = refused.partition("; with these leads: ")
            assert all(lead in needed for lead in missing)
            assert "measurements" in others
        else:
            assert refused is None
            assert np.isfinite(embed(name, part)).all()
    unknown = Recording(signal=recordings[0].signal[:3], rate=500, leads=("X", "Y", "Z"))
    assert name in expert(name).refusal(unknown)


@each
def test_limb_leads_that_follow_from_others_need_not_be_there(name, recordings):
    """Experts that take any leads read them as they are; the store completes them before (tests/store)."""
    if expert(name).card.any_leads:
        return
    eight = recordings[0].select(("I", "II", *STANDARD_LEADS[6:]))
    assert expert(name).refusal(eight) is None
    np.testing.assert_allclose(embed(name, eight), embed(name, recordings[0]), rtol=1e-4, atol=1e-4)


@each
def test_neither_the_order_of_leads_nor_further_ones_matter(name, recordings):
    one = recordings[0]
    turned = one.select(one.leads[::-1])
    more = replace(one, signal=np.concatenate([one.signal[:1] * 3, one.signal]), leads=("X", *one.leads))
    for other in (turned, more):
        assert np.array_equal(embed(name, other), embed(name, one))


def hostile(rate):
    """Signals that no heart gives, by name."""
    good = simulate_one(0, seed=3, rate=rate).recording.signal.astype(np.float64)
    n, rng = good.shape[1], np.random.default_rng(0)
    steps = np.arange(n)
    made = {
        "a missing lead": np.where(np.arange(12)[:, None] == 1, np.nan, good),
        "a flat lead": np.where(np.arange(12)[:, None] == 1, 0.0, good),
        "a gap": np.where((steps > n // 5) & (steps < n // 2), np.nan, good),
        "holes": np.where(rng.random(good.shape) < 0.3, np.nan, good),
        "nothing but one sample": np.where(steps == n // 2, 1.0, np.nan) * np.ones((12, 1)),
        "all missing": np.full((12, n), np.nan),
        "all flat": np.full((12, n), 2.5),
        "noise": rng.normal(size=(12, n)),
        "a step": np.tile(steps > n // 2, (12, 1)),
        "one impulse": np.tile(steps == n // 2, (12, 1)),
        "a square wave": np.sign(np.sin(2 * np.pi * 7 * steps / rate)) * np.ones((12, 1)),
        "a spike": good + 1e30 * (steps == n // 3),
    }
    made |= {f"gain {gain:g}": good * gain for gain in (-1, 1e-38, 1e-6, 1e3, 1e6, 1e12, 1e25, 1e36)}
    return {kind: signal.astype(np.float32) for kind, signal in made.items()}


@each
@pytest.mark.parametrize("rate", [50.0, 100.0, 257.0, 500.0, 1000.0])
def test_whatever_the_signal_and_its_rate_the_numbers_are_finite(name, rate):
    signals = hostile(rate)
    made = [Recording(signal=signal, rate=rate, leads=STANDARD_LEADS) for signal in signals.values()]
    finite = np.isfinite(embed(name, *made)).all(axis=1)
    assert finite.all(), [kind for kind, good in zip(signals, finite, strict=True) if not good]


@each
def test_one_bad_recording_leaves_the_others_alone(name, recordings):
    bad = [Recording(signal=signal, rate=100, leads=STANDARD_LEADS) for signal in hostile(100.0).values()]
    together = embed(name, recordings[0], *bad, recordings[1])
    assert np.array_equal(together[[0, -1]], embed(name, *recordings[:2]))


@each
def test_the_sampling_rate_matters_little(name):
    """The same heart at other rates is nearer to itself than to the five others, but for one at most."""
    patient = {"rhythm": "sinus rhythm", "pattern": ""}

    def at(rate):
        made = [simulate_one(i, seed=9, rate=rate, noise=0.2, patient=patient).recording for i in range(6)]
        return embed(name, *made).astype(np.float64)

    fine = at(500.0)
    scale = fine.std(axis=0) + 1e-6 + 1e-3 * np.abs(fine).mean(axis=0)
    for rate in (128.0, 250.0, 1000.0):
        other = at(rate)
        apart = np.abs((other[:, None] - fine[None]) / scale)
        distance = np.minimum(apart, 5).mean(axis=2)
        assert (distance.argmin(axis=1) == np.arange(6)).sum() >= 5


@each
def test_the_card_is_complete(name):
    card = expert(name).card
    assert card.name == name
    assert len(card.summary) > 10
    assert card.dim > 0
    assert card.leads
    assert set(card.leads) <= set(STANDARD_LEADS)
    assert card.seconds > 0
    assert card.rate >= 0
    assert card.licence
    assert card.citation
    assert card.source
    assert card.batch >= 1
    assert card.prepare_version >= 1
    assert not card.weights_sha256 or len(card.weights_sha256) == 64
    if name.endswith(":tiny"):
        assert card.caveats
        card = type(expert(name)).card
        assert set(card.seen) <= {*cohort_names(), *DATA_SETS, "unknown"}
        assert card.parameters
        assert card.seen
        assert card.name == name.removesuffix(":tiny")
    else:
        assert set(card.seen) <= {*cohort_names(), "unknown"}
        # Whatever was trained says by which weights and on what.
        assert bool(card.parameters) == bool(card.weights_sha256) == bool(card.seen or card.seen_subjects)
    if card.source.startswith("scripts/"):
        assert (TESTS.parent / card.source).exists()


@each
def test_the_card_counts_the_parameters(name, recordings):
    found = get_expert(name)
    if name.endswith(":tiny"):
        with torch.device("meta"):
            parameters = found.network(found.size).parameters()
        assert sum(part.numel() for part in parameters) == found.card.parameters
        return
    found.embed(found.prepare(recordings[:1]))
    networks = {value for value in vars(found).values() if isinstance(value, torch.nn.Module)}
    count = sum(part.numel() for network in networks for part in network.parameters())
    for value in vars(found).values():
        if isinstance(value, np.ndarray):
            count += value.size
        if isinstance(value, dict):
            count += sum(part.size for part in value.values())
    assert count == found.card.parameters


@each
def test_the_golden_numbers_are_met(name):
    """Made by scripts/make_golden_experts.py from two real recordings.

    Where the prepared array has changed, raise `prepare_version` in the card (stores keep what was computed under the
    old one) and run the script again.
    """
    golden, card = GOLDEN[name], expert(name).card
    assert card.prepare_version == golden["prepare_version"], "run scripts/make_golden_experts.py"
    assert card.weights_sha256 == golden["weights_sha256"], "run scripts/make_golden_experts.py"
    files = list(golden["prepared"])
    inputs = expert(name).prepare([enecg.read(TESTS / "data" / file) for file in files])
    embeddings = expert(name).embed(inputs)
    assert list(inputs.windows.shape) == golden["shape"]
    for row, file in enumerate(files):
        for found, key in ((inputs.windows[inputs.owner == row], "prepared"), (embeddings[row], "embedding")):
            if key not in golden:  # of random weights
                continue
            expected = np.array(golden[key][file], dtype=float)
            flat = found.astype(np.float64).ravel()
            places = np.linspace(0, len(flat) - 1, len(expected)).astype(int)
            # Processors differ in the last digits; a count of samples over a threshold may differ by a few of 500.
            near = {"rtol": 1e-3, "atol": 1e-4 if key == "prepared" else 0.006}
            message = f"{key} array of {file} changed and prepare_version did not"
            np.testing.assert_allclose(flat[places], expected, err_msg=message, **near)


def test_every_expert_has_golden_numbers_and_no_other_has():
    assert set(GOLDEN) == set(NAMES)


class Toy(Expert):
    """Sums of windows of four samples, two at a time."""

    card = Card(
        name="toy",
        summary="sums of windows",
        dim=1,
        leads=("I",),
        rate=1,
        seconds=4,
        licence="none",
        citation="none",
        source="here",
        batch=2,
    )

    def __init__(self):
        self.chunks = []

    def prepare(self, recordings):
        owner = [row for row, one in enumerate(recordings) for _ in range(one.n_samples // 4)]
        windows = np.concatenate([one.signal[0].reshape(-1, 4) for one in recordings])
        return Inputs(windows, np.array(owner), len(recordings))

    def embed_windows(self, windows):
        self.chunks.append(windows.copy())
        return windows.sum(axis=1, keepdims=True)


def test_windows_run_in_full_batches_and_are_averaged_by_recording():
    toy = Toy()
    signal = np.arange(20, dtype=np.float32)
    long = Recording(signal=signal[None, :12], rate=1, leads=("I",))
    short = Recording(signal=signal[None, 12:16], rate=1, leads=("I",))
    assert toy.embed(toy.prepare([long, short])).tolist() == [[22.0], [54.0]]
    assert [len(chunk) for chunk in toy.chunks] == [2, 2]
    toy.embed(toy.prepare([short]))
    assert np.array_equal(toy.chunks[-1], np.tile(signal[12:16], (2, 1)))


def test_a_number_that_is_not_finite_is_the_experts_fault_and_an_error():
    toy = Toy()
    inputs = Inputs(np.full((1, 4), np.inf, np.float32), np.zeros(1, dtype=np.intp), 1)
    with pytest.raises(ExpertError, match="toy gave values that are not finite"):
        toy.embed(inputs)


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"weights_sha256": "0" * 64}, {"prepare_version": 2}, {"dim": 2}, {"batch": 3}],
)
def test_the_fingerprint_changes_with_all_that_decides_the_bits(change):
    changed = Toy()
    changed.card = replace(Toy.card, **change)
    assert changed.fingerprint != Toy().fingerprint
    assert len(changed.fingerprint) == 16


def test_the_fingerprint_knows_the_backend_but_not_the_words_of_the_card():
    other = Toy()
    other.backend = "another"
    assert other.fingerprint != Toy().fingerprint
    other = Toy()
    other.card = replace(Toy.card, summary="in other words", licence="any", parameters=3)
    assert other.fingerprint == Toy().fingerprint
