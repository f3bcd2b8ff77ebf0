import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.errors import CohortError, EnECGError
from enecg.simulation import simulate_one
from enecg.tasks import FIVE_TASKS, get_task


def test_recordings_are_made_when_read_and_made_again_the_same():
    first, again = load_cohort("simulated", n=3, seed=5), load_cohort("simulated", n=3, seed=5)
    for one, two in zip(first, again, strict=True):
        assert one.key == two.key
        assert one.read().digest == two.read().digest
        assert (one.read().id, one.read().subject) == (one.id, one.subject)
    assert first.targets.equals(again.targets)
    assert first.simulated
    assert "simulated" in first.notes[0]


def test_a_recording_does_not_depend_on_how_many_there_are():
    few, many = load_cohort("simulated", n=2), load_cohort("simulated", n=5)
    assert few.targets.equals(many.targets[:2])
    assert few[1].read().digest == many[1].read().digest


@pytest.mark.parametrize("options", [{}, {"rate": 100.0, "noise": 0.0}, {"seconds": 20.0}, {"missing": 0.5, "seed": 3}])
def test_targets_are_the_truth_of_the_recordings_that_are_read(options):
    cohort = load_cohort("simulated", n=12, recordings_per_subject=2, **options)
    seed = options.get("seed", 0)
    given = {key: value for key, value in options.items() if key != "seed"}
    for index, row in enumerate(cohort.targets.iter_rows(named=True)):
        truth = simulate_one(index, seed, recordings_per_subject=2, **given).truth.labels
        assert {name: row[name] for name in truth} == truth
        assert cohort[index].read().rate == options.get("rate", 500)
    assert len(set(cohort.subjects)) == 6


def test_keys_differ_with_every_option_that_changes_the_signal():
    options = [{}, {"seed": 1}, {"rate": 250.0}, {"seconds": 5.0}, {"noise": 0.5}, {"recordings_per_subject": 2}]
    assert len({load_cohort("simulated", n=1, **one)[0].key for one in options}) == len(options)


def test_the_five_tasks_have_targets():
    targets = load_cohort("simulated", n=20).targets
    for name in FIVE_TASKS:
        assert np.isfinite(get_task(name).encode(targets[name])).all()


def test_a_share_of_the_labels_is_missing_on_request():
    targets = load_cohort("simulated", n=60, missing=0.5).targets
    share = np.mean([targets[name].is_null().mean() for name in FIVE_TASKS])
    assert 0.3 < share < 0.7


def test_a_folder_or_nothing_to_simulate_is_refused(tmp_path):
    with pytest.raises(CohortError, match="is made, not read; leave the folder out"):
        load_cohort("simulated", tmp_path)
    for n in (0, -1):
        with pytest.raises(CohortError, match=f"n of {n}; expected at least one recording"):
            load_cohort("simulated", n=n)
    with pytest.raises(EnECGError, match="rate"):
        load_cohort("simulated", n=1, rate=-5.0)
