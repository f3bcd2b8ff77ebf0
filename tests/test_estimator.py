"""EnECG: the conventions of scikit-learn, what recordings and targets may be, what is promised of the answers."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.base
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg import EnECG, Recording, Store, Task, evaluate, get_expert, load_cohort, simulate
from enecg.errors import (
    EnECGError,
    ExpertError,
    FitError,
    LeadError,
    NotFittedError,
    RecordingError,
    TaskError,
    UnitError,
    WeightsError,
)
from enecg.inputs import SubjectWarning
from enecg.recording import STANDARD_LEADS, LazyRecording
from enecg.report import as_text

LEADS = STANDARD_LEADS


@pytest.fixture(scope="module")
def some(small_cohort) -> list[Recording]:
    """Eight recordings, the last two of fewer leads and of no lead that any expert takes."""
    whole = [item.read() for item in small_cohort[:6]]
    return [*whole, whole[0].select(["II"]), replace(whole[1].select(["II"]), leads=("X",))]


def records(predictions) -> list[dict]:
    return predictions.records()


def twelve(n: int = 2) -> np.ndarray:
    return np.stack([made.recording.signal for made in simulate(n, seed=9, rate=100.0)])


# -- conventions ---------------------------------------------------------------------------------------------------


def test_parameters_are_kept_as_given_and_make_an_equal_estimator(unfitted):
    assert set(unfitted.get_params()) == {
        "experts",
        "tasks",
        "recipe",
        "gate_leads",
        "top_k",
        "coverage",
        "min_quality",
        "seed",
        "store",
        "settings",
        "progress",
    }
    for one in (unfitted.clone(), EnECG(**unfitted.get_params()), EnECG().set_params(**unfitted.get_params())):
        assert all(one.get_params()[name] is value for name, value in unfitted.get_params().items())


def test_scikit_learn_clones_it(fitted, tmp_path):
    given = {"experts": [get_expert("rocket-small"), "measurements"], "tasks": ["age", Task("mine", "binary")]}
    for one in (fitted, EnECG(**given, store=Store(tmp_path)), EnECG(store=tmp_path, gate_leads=["II", "V1"], top_k=1)):
        cloned = sklearn.base.clone(one)
        assert not hasattr(cloned, "ensemble_")
        assert cloned.expert_names() == one.expert_names()
        assert cloned.task_list() == one.task_list()
        assert set(cloned.get_params()) == set(one.get_params())


def test_setting_a_parameter_that_is_none_says_which_there_are(unfitted):
    with pytest.raises(FitError, match="no parameter 'expert'; it has experts, tasks"):
        unfitted.clone().set_params(expert=("rocket",))


def test_what_was_fitted_ends_in_an_underscore_and_a_clone_has_none_of_it(fitted):
    learned = set(vars(fitted)) - set(fitted.get_params())
    assert learned
    assert all(name.endswith("_") for name in learned)
    assert not set(vars(fitted.clone())) - set(fitted.get_params())


def test_it_can_be_copied_deeply(fitted, some):
    assert records(copy.deepcopy(fitted).predict(some[:2])) == records(fitted.predict(some[:2]))


@pytest.mark.parametrize("ask", [lambda m: m.predict([]), lambda m: m.save("x"), lambda m: m.add_task("age", [], [])])
def test_nothing_can_be_asked_before_fit(ask):
    with pytest.raises(NotFittedError, match="call fit"):
        ask(EnECG())
    with pytest.raises(AttributeError):  # As scikit-learn's check_is_fitted expects.
        ask(EnECG())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_k": 0}, "top_k of 0; expected 1"),
        ({"top_k": -1}, "top_k of -1"),
        ({"coverage": 90}, "coverage of 90; expected a share"),
        ({"coverage": 0.0}, "coverage of 0.0"),
        ({"coverage": float("nan")}, "coverage of nan"),
        ({"coverage": "high"}, "coverage of 'high'"),
        ({"min_quality": None}, "min_quality of None"),
        ({"min_quality": 30}, "min_quality of 30"),
        ({"seed": None}, "seed of None"),
        ({"seed": -1}, "seed of -1"),
        ({"top_k": 1.5}, "top_k of 1.5"),
        ({"recipe": "soup"}, "recipe 'soup'.*joint, paper"),
        ({"experts": ()}, "no expert"),
        ({"tasks": ()}, "no task"),
        ({"experts": ("rocket-small", "rocket-small")}, "twice"),
        ({"experts": ("rocket-smal",)}, "Did you mean rocket-small"),
        ({"tasks": ("agee",)}, "unknown task 'agee'"),
        ({"tasks": (Task("quality", "binary"),)}, "column of this name"),
        ({"gate_leads": ("PLETH",)}, "PLETH"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_at_fit(unfitted, small_cohort, changes, message):
    with pytest.raises(EnECGError, match=message):
        unfitted.clone().set_params(**changes).fit(small_cohort[:8])


def test_one_name_alone_is_not_taken_for_letters():
    one = EnECG("rocket", "age", gate_leads="II")
    assert one.expert_names() == ["rocket"]
    assert [task.name for task in one.task_list()] == ["age"]
    assert one.gate_input().card.leads == ("II",)
    assert EnECG(gate_leads=["ii", "Lead v1"]).gate_input().card.leads == ("II", "V1")
    assert [expert.card.name for expert in EnECG(get_expert("dlinear")).fitted_experts()] == ["dlinear"]


# -- what fit takes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(small_settings, small_store, small_cohort) -> tuple[EnECG, EnECG]:
    """An estimator that is quick to fit anew, and one fitted on the first 48 recordings of the cohort."""
    one = EnECG(("rocket-small",), ("age", "sex"), settings=small_settings, store=small_store)
    return one, one.clone().fit(small_cohort[:48])


def same_answers(one: EnECG, other: EnECG, some) -> bool:
    return records(one.predict(some[:4])) == records(other.predict(some[:4]))


@pytest.mark.parametrize("kind", ["polars", "pandas", "pandas with NA", "dict", "dict of arrays", "own class"])
def test_targets_may_be_any_table(pair, small_cohort, some, kind):
    unfitted, expected = pair
    part = small_cohort[:48]
    table = part.targets.select("age", "sex")
    frame = pd.DataFrame(table.to_dict(as_series=False))

    class Table:
        columns = ("age", "sex")

        def __getitem__(self, name):
            return table[name].to_list()

    targets = {
        "polars": table,
        "pandas": frame,
        "pandas with NA": frame.astype({"age": "Float64", "sex": "string"}),
        "dict": table.to_dict(as_series=False),
        "dict of arrays": {name: frame[name].to_numpy() for name in ("age", "sex")},
        "own class": Table(),
    }[kind]
    assert same_answers(unfitted.clone().fit(list(part), targets), expected, some)


def test_recordings_may_be_read_already_lazy_or_generated(pair, small_cohort, some):
    unfitted, expected = pair
    part = small_cohort[:48]
    lazy = unfitted.clone().set_params(store=None).fit((item for item in part), part.targets)
    read = unfitted.clone().fit([item.read() for item in part], part.targets, subjects=part.subjects)
    assert same_answers(lazy, expected, some)
    assert same_answers(read, expected, some)


def test_recordings_may_be_paths(pair, tmp_path, small_cohort, some):
    unfitted, _ = pair
    part = small_cohort[:48]
    paths = [written(item.read(), tmp_path) for item in part]
    fitted = unfitted.clone().fit(paths, part.targets, subjects=part.subjects)
    assert fitted.training_["n_subjects"] == 24
    found = fitted.predict([str(paths[0]), paths[1]])
    assert [one.path for one in found] == paths[:2]
    assert not found.refused
    (alone,) = fitted.predict(str(paths[0]))
    assert alone.record() == found[0].record()
    (alone,) = fitted.predict(paths[1])
    assert alone.record() == found[1].record()


def written(recording: Recording, folder):
    import wfdb

    wfdb.wrsamp(
        recording.id,
        fs=recording.rate,
        units=["mV"] * recording.n_leads,
        sig_name=list(recording.leads),
        p_signal=recording.signal.T.astype(np.float64),
        fmt=["16"] * recording.n_leads,
        write_dir=str(folder),
    )
    return folder / f"{recording.id}.hea"


def test_subjects_that_are_passed_count_before_those_of_the_recordings(pair, small_cohort):
    unfitted, _ = pair
    part = small_cohort[:48]
    everyone = unfitted.clone().fit(part, subjects=[f"own:{row}" for row in range(48)])
    assert everyone.training_["n_subjects"] == 48
    numbers = unfitted.clone().fit(part, subjects=np.arange(48) // 4)
    assert numbers.training_["n_subjects"] == 12
    frame = pd.DataFrame({"who": [f"p{row // 2}" for row in range(48)]})
    assert unfitted.clone().fit(part, subjects=frame["who"]).training_["n_subjects"] == 24


@pytest.mark.parametrize("none", [None, float("nan"), pd.NA, ""])
def test_recordings_without_a_subject_are_said_loudly(pair, small_cohort, none):
    unfitted, _ = pair
    subjects = [none] * 40 + [f"p{row}" for row in range(8)]
    with pytest.warns(SubjectWarning, match="40 of 48 recordings have no subject.*subjects="):
        fitted = unfitted.clone().fit(small_cohort[:48], subjects=subjects)
    assert fitted.training_["n_subjects"] == 48


def test_simulated_recordings_stay_simulated_whatever_their_subjects_are_called(pair, small_cohort):
    unfitted, _ = pair
    fitted = unfitted.clone().fit(small_cohort[:48], subjects=[f"clinic:{row}" for row in range(48)])
    assert fitted.simulated_tasks_ == {"age", "sex"}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"recordings": []}, EnECGError, "0 recordings|0 rows|48 rows for 0"),
        ({"recordings": [], "targets": {"age": [], "sex": []}}, FitError, "0 recordings"),
        ({"targets": {"age": [50] * 48}}, TaskError, r"no column sex \(found age\)"),
        ({"targets": {"age": [50, 60], "sex": [0, 1]}}, TaskError, "column age has 2 rows for 48 recordings"),
        ({"targets": {"age": ["old"] * 48, "sex": [0, 1] * 24}}, TaskError, "column age, row 0: 'old'"),
        ({"targets": {"age": 50, "sex": [0, 1] * 24}}, TaskError, "targets of age: 50; expected"),
        ({"targets": {"age": [50.0, 60.0] * 24, "sex": [1] * 48}}, FitError, "sex: all .* labels are the same"),
        ({"targets": {"age": [50.0, 60.0] * 24, "sex": [None] * 48}}, FitError, "sex: no recording has a label"),
        ({"subjects": ["a"] * 3}, FitError, "3 subjects for 48 recordings"),
        ({"subjects": ["a"] * 48}, FitError, "1 subjects; expected 4"),
        ({"validation": [0, 1, 2]}, FitError, r"validation: int64 \(3,\); expected bool \(48,\)"),
        ({"validation": [True] * 3}, FitError, r"validation: bool \(3,\); expected bool \(48,\)"),
        ({"validation": [False] * 48}, FitError, "no validation recording"),
        ({"validation": [True] * 48}, FitError, "subjects are left|no recording|expected"),
        ({"validation": [True] + [False] * 47}, FitError, "recordings in training and validation"),
    ],
)
def test_a_fit_that_its_data_do_not_allow_is_refused(pair, small_cohort, changes, error, message):
    unfitted, _ = pair
    part = small_cohort[:48]
    arguments = {"recordings": list(part), "targets": part.targets} | changes
    with pytest.raises(error, match=message):
        unfitted.clone().fit(**arguments)


def test_recordings_without_targets_are_refused(pair, small_cohort):
    with pytest.raises(FitError, match="fit needs targets"):
        pair[0].clone().fit(list(small_cohort[:8]))


def test_an_array_is_no_recording_for_a_fit(pair):
    with pytest.raises(RecordingError, match=r"row 0: a ndarray; expected a Recording.*from_array"):
        pair[0].clone().fit(twelve(), {"age": [1, 2], "sex": [0, 1]})


def test_recordings_that_no_expert_takes_cost_a_fit_only_themselves(pair, small_cohort, some):
    unfitted, _ = pair
    items = [*small_cohort[:48], some[-1], "nowhere.hea"]
    targets = {
        "age": [*small_cohort[:48].targets["age"], 50.0, 60.0],
        "sex": [*small_cohort[:48].targets["sex"], "male", "female"],
    }
    with pytest.warns(SubjectWarning, match="1 of 50"):
        fitted = unfitted.clone().fit(items, targets)
    assert not fitted.predict(some[:2]).refused
    only = [some[-1], replace(some[-1], id="other")] * 4
    with pytest.raises(FitError, match="no recording has both a label and an expert"):
        unfitted.clone().fit(only, {"age": range(8), "sex": [0, 1] * 4}, subjects=list("abcdefgh"))


def test_a_validation_set_of_ones_own_is_used(pair, small_cohort):
    unfitted, _ = pair
    part = small_cohort[:48]
    masks = [np.arange(48) < 8, np.arange(48) >= 40]
    one, other = (unfitted.clone().fit(part, validation=mask) for mask in masks)
    assert records(one.predict(part[:3])) != records(other.predict(part[:3]))


# -- what predict takes --------------------------------------------------------------------------------------------


def test_arrays_are_taken_as_the_recordings_that_they_are(fitted):
    signals = twelve()
    as_recordings = [
        Recording.from_array(signal, rate=100, leads=LEADS, unit="mV", id=str(row))
        for row, signal in enumerate(signals)
    ]
    expected = records(fitted.predict(as_recordings))
    how = {"rate": 100, "leads": LEADS, "unit": "mV"}
    assert records(fitted.predict(signals, **how)) == expected
    assert records(fitted.predict(signals.tolist(), **how)) == expected
    assert records(fitted.predict(signals[0], **how)) == expected[:1]
    assert records(fitted.predict(signals[0].tolist(), **how)) == expected[:1]
    assert records(fitted.predict(list(signals), **how)) == expected
    micro = fitted.predict(np.round(signals * 1000).astype(np.int16), **(how | {"unit": "uV"}))
    assert [set(record["answers"]) for record in records(micro)] == [set(record["answers"]) for record in expected]


@pytest.mark.parametrize(
    ("array", "changes", "error", "message"),
    [
        (np.zeros((12, 1000)), {"rate": None}, RecordingError, "pass rate="),
        (np.zeros((12, 1000)), {"leads": None}, RecordingError, "leads="),
        (np.zeros((12, 1000)), {"rate": None, "leads": None, "unit": None}, RecordingError, "unit="),
        (np.zeros((12, 1000)), {"unit": "bananas"}, UnitError, "bananas"),
        (np.zeros((1000, 12)), {}, LeadError, "transposed"),
        (np.zeros(1000), {}, RecordingError, r"shape \(1000,\); expected \[lead, sample\]"),
        (np.zeros((1, 2, 12, 10)), {}, RecordingError, r"\[recording, lead, sample\]"),
        ([[1.0, 2.0], [1.0]], {}, RecordingError, "an array of numbers"),
        (["a.hea"], {}, RecordingError, "an array of numbers"),
        (np.full((2, 12, 1000), np.inf), {}, RecordingError, "infinite"),
        ([None], {"rate": None, "leads": None, "unit": None}, RecordingError, "row 0: a NoneType"),
        (5, {"rate": None, "leads": None, "unit": None}, RecordingError, "expected"),
    ],
)
def test_an_array_that_cannot_be_a_recording_is_refused(fitted, array, changes, error, message):
    how = {"rate": 100, "leads": LEADS, "unit": "mV"} | changes
    with pytest.raises(error, match=message):
        fitted.predict(array, **how)


def test_one_bad_row_of_an_array_costs_no_other_its_answers(fitted):
    signals = twelve(3)
    signals[1, 4, 7] = np.inf
    found = fitted.predict(signals, rate=100, leads=LEADS, unit="mV")
    assert [one.refused is not None for one in found] == [False, True, False]
    assert "infinite" in found[1].refused
    assert [one.id for one in found] == ["0", "1", "2"]


def test_nothing_in_gives_nothing_out(fitted):
    for k in (None, 1):
        assert len(fitted.predict([], top_k=k)) == 0
    assert len(fitted.predict(np.zeros((0, 12, 1000)), rate=100, leads=LEADS, unit="mV")) == 0


@given(rows=st.permutations(range(8)), take=st.integers(0, 8), k=st.sampled_from([None, 1]))
@settings(max_examples=12, deadline=None)
def test_recordings_reordered_left_out_or_doubled_get_the_same_answers(fitted, some, rows, take, k):
    everything = records(fitted.predict(some, top_k=k))
    chosen = [*rows[:take], *rows[:2]]
    assert records(fitted.predict([some[row] for row in chosen], top_k=k)) == [everything[row] for row in chosen]


def test_answers_from_a_store_are_the_same(fitted, some, tmp_path):
    kept, anew = (copy.copy(fitted).set_params(store=store) for store in (tmp_path, None))
    for k in (None, 1):
        expected = records(anew.predict(some, top_k=k))
        assert records(kept.predict(some, top_k=k)) == expected
        assert records(kept.predict(some[::-1], top_k=k)) == expected[::-1]


def test_one_bad_file_of_a_call_is_refused_by_name(fitted, some, tmp_path):
    (tmp_path / "broken.hea").write_text("broken 12 100 1000\n")
    found = fitted.predict([some[0], tmp_path / "broken.hea", "nowhere.hea", some[1]])
    assert [one.refused is None for one in found] == [True, False, False, True]
    assert "broken" in found[1].refused
    assert "nowhere.hea" in found[2].refused
    assert len(found.refused) == 2
    assert records(found)[0] == records(fitted.predict(some[:1]))[0]


def test_fewer_leads_are_answered_by_the_experts_that_take_them_and_the_others_say_why(fitted, some):
    whole, one_lead, no_lead = fitted.predict([some[0], some[6], some[7]])
    assert whole.experts == ("rocket-small", "measurements")
    assert not whole.notes
    assert all(answer.calibrated for answer in whole.answers.values())
    assert one_lead.experts == ("measurements",)
    assert one_lead.notes[0].startswith("left out: rocket-small needs lead I, III")
    for answer in one_lead.answers.values():
        assert not answer.calibrated
        assert answer.weights == {"measurements": 1.0}
        assert set(answer.by_expert) == {"measurements"}
    assert not no_lead.answers
    assert "rocket-small needs" in no_lead.refused
    assert "measurements needs" in no_lead.refused


def test_eight_leads_that_determine_all_twelve_are_answered_alike(fitted, some):
    """The six limb leads of a simulated heart obey Einthoven to the last bit but one."""
    signal = some[0].signal[[0, 1, *range(6, 12)]]
    leads = ("I", "II", *LEADS[6:])
    [whole] = fitted.predict(some[:1])
    [eight] = fitted.predict(signal, rate=some[0].rate, leads=leads, unit="mV")
    assert eight.experts == whole.experts
    assert not eight.notes
    for name, answer in whole.answers.items():
        if answer.task.kind == "regression":
            assert eight.answers[name].value == pytest.approx(answer.value, rel=1e-2)
        for label, chance in answer.probabilities.items():
            assert eight.answers[name].probabilities[label] == pytest.approx(chance, abs=0.02)


def test_what_has_to_be_known_of_an_expert_stands_beside_each_answer_that_it_had_a_part_in(half_random, some):
    whole, one_lead = half_random.predict([some[0], some[6]])
    assert whole.notes == ("ecgfounder:tiny: random weights: it knows nothing",)
    [left_out] = one_lead.notes
    assert left_out.startswith("left out: ecgfounder:tiny needs lead I, III, ")
    assert half_random.predict([some[0]], top_k=2)[0].notes == whole.notes
    assert "random weights" in half_random.predict(some[:1]).table()["notes"][0]
    assert as_text(whole).count("random weights") == 1


def test_weights_that_are_missing_are_told_before_a_recording_is_read(unfitted, fitted, small_cohort, tmp_path):
    """By fit, embed and predict, whether all experts run or only those that the gate chooses."""

    class Unread(LazyRecording):
        id, subject = "a", "c:a"

        @property
        def key(self):
            raise AssertionError("looked at")

        def read(self):
            raise AssertionError("read")

    names = ("measurements", "ecgfounder")
    missing = r"ecgfounder: its weights are not here; `enecg experts pull ecgfounder` gets them \(from https://.*\)"
    one = unfitted.clone().set_params(experts=names)
    later = copy.copy(fitted).set_params(experts=names)
    asked = [
        lambda: one.embed([Unread()]),
        lambda: one.fit([Unread()], {task.name: [None] for task in one.task_list()}),
        lambda: evaluate(one, small_cohort),
        lambda: later.predict([Unread()]),
        lambda: later.predict([Unread()], top_k=1),
    ]
    for ask in asked:
        with pytest.raises(WeightsError, match=missing):
            ask()


def test_a_recording_of_poor_quality_is_not_answered_unless_that_is_asked_for(fitted):
    noise = np.random.default_rng(0).normal(size=(12, 1000))
    how = {"rate": 100, "leads": LEADS, "unit": "mV"}
    (poor,) = fitted.predict(noise * 20, **how)
    assert poor.refused is None
    assert poor.quality < 0.3
    for answer in poor.answers.values():
        assert answer.value is None
        assert answer.abstained.startswith(f"signal quality {poor.quality:.2f} is below 0.3: ")
        assert not answer.probabilities
    (kept,) = fitted.predict(noise * 20, **how, abstain=False)
    assert all(answer.value is not None and answer.abstained is None for answer in kept.answers.values())
    (lenient,) = copy.copy(fitted).set_params(min_quality=0.0).predict(noise * 20, **how)
    assert lenient.record() == kept.record()


@pytest.mark.parametrize("signal", ["flat", "half missing", "huge", "two seconds", "long"])
def test_odd_recordings_are_answered_refused_or_abstained_from_and_never_crash(fitted, signal):
    good = twelve(1)[0].astype(np.float64)
    odd = {
        "flat": np.zeros_like(good),
        "half missing": np.where(np.arange(1000) < 500, np.nan, good),
        "huge": good * 1e6,
        "two seconds": good[:, :200],
        "long": np.tile(good, 7)[:, :6543],
    }[signal]
    (found,) = fitted.predict(odd, rate=100, leads=LEADS, unit="mV", abstain=False)
    assert found.refused is not None or found.answers
    for answer in found.answers.values():
        numbers = [*answer.probabilities.values(), *([answer.value] if answer.task.kind == "regression" else [])]
        assert np.isfinite(numbers).all()


# -- the experts that run ------------------------------------------------------------------------------------------


def test_with_top_k_only_the_chosen_experts_run(fitted, some):
    ran: dict[str, list[str | None]] = {}

    def counting(name):
        class Counted(type(get_expert(name))):
            def prepare(self, recordings):
                ran.setdefault(name, []).extend(recording.id for recording in recordings)
                return super().prepare(recordings)

        return Counted()

    one = copy.copy(fitted).set_params(experts=tuple(counting(name) for name in fitted.expert_names()), store=None)
    found = one.predict(some[:6], top_k=1)
    assert [len(prediction.experts) for prediction in found] == [1] * 6
    for name in fitted.expert_names():
        assert ran.get(name, []) == [prediction.id for prediction in found if prediction.experts == (name,)]
    assert all(answer.calibrated for prediction in found for answer in prediction.answers.values())
    ran.clear()
    assert all(len(prediction.experts) == 2 for prediction in one.predict(some[:6], top_k=5))
    assert set(map(len, ran.values())) == {6}


def test_top_k_of_the_estimator_counts_unless_another_is_given(fitted, some):
    one = copy.copy(fitted).set_params(top_k=1)
    assert records(one.predict(some)) == records(fitted.predict(some, top_k=1))
    assert records(one.predict(some, top_k=2)) == records(fitted.predict(some))
    with pytest.raises(FitError, match="top_k of 0"):
        one.predict(some, top_k=0)


@pytest.mark.parametrize("stored", [False, True])
def test_a_chosen_expert_that_cannot_take_a_recording_gives_way_to_the_next(fitted, some, tmp_path, stored):
    one = copy.copy(fitted).set_params(store=tmp_path if stored else None)
    for _ in range(2):
        whole, one_lead, no_lead = one.predict([some[0], some[6], some[7]], top_k=1)
        assert len(whole.experts) == 1
        assert one_lead.experts == ("measurements",)
        assert one_lead.refused is None
        assert no_lead.refused
        assert not no_lead.answers


# -- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_are_answered_in_the_order_asked_for(fitted, some):
    (one,) = fitted.predict(some[0], tasks=["sex", "age"], include_simulated=True)
    assert list(one.answers) == ["sex", "age"]
    with pytest.raises(TaskError, match="task rhythm was not fitted; this ensemble answers"):
        fitted.predict(some[0], tasks=["rhythm"])


def test_a_task_asked_for_alone_gets_the_answer_that_it_gets_among_others(fitted, some):
    everything = records(fitted.predict(some[:3]))
    for name in everything[0]["answers"]:
        alone = records(fitted.predict(some[:3], tasks=[name]))
        assert [one["answers"][name] for one in alone] == [one["answers"][name] for one in everything]


@pytest.fixture(scope="module")
def half_real(small_embedded, small_cohort, unfitted) -> EnECG:
    """Age and sex were taught by a clinic's recordings, potassium by simulated ones only."""
    real = np.arange(120) < 60
    subjects = [f"clinic:{row // 2}" if real[row] else name for row, name in enumerate(small_embedded.subjects)]
    targets = {name: list(small_cohort.targets[name]) for name in ("age", "sex", "potassium")}
    targets["potassium"] = [None if real[row] else value for row, value in enumerate(targets["potassium"])]
    one = unfitted.clone().set_params(tasks=tuple(targets))
    return one.fit_embedded(replace(small_embedded, subjects=subjects), targets)


def test_what_only_simulation_taught_is_answered_on_request_and_marked_in_every_row(half_real, some):
    assert half_real.simulated_tasks_ == {"potassium"}
    for one in half_real.predict(some[:3]):
        assert set(one.answers) == {"age", "sex"}
        assert not any(answer.simulated for answer in one.answers.values())
    asked = half_real.predict(some[:3], include_simulated=True)
    for one, row in zip(asked, asked.table().iter_rows(named=True), strict=True):
        assert one.answers["potassium"].simulated
        assert row["potassium_simulated"]
        assert not row["age_simulated"]
    with pytest.raises(TaskError, match="only simulated recordings taught potassium; say include_simulated"):
        half_real.predict(some[:3], tasks=["potassium"], include_simulated=False)


def test_simulated_recordings_stay_simulated_when_they_come_from_files(unfitted, small_cohort, tmp_path):
    part = small_cohort[:24]
    for item in part:
        written(item.read(), tmp_path)
    part.targets.select("id", "subject", "age").write_csv(tmp_path / "targets.csv")
    cohort = load_cohort("folder", tmp_path, table=tmp_path / "targets.csv")
    one = unfitted.clone().set_params(experts=("rocket-small",), tasks=("age",)).fit(cohort)
    assert one.simulated_tasks_ == {"age"}
    assert one.training_["cohorts"] == ["simulated"]


def test_where_all_was_simulated_all_is_answered_and_marked(fitted, some):
    for one in fitted.predict(some[:2]):
        assert set(one.answers) == {task.name for task in fitted.task_list()}
        assert all(answer.simulated for answer in one.answers.values())
    with pytest.raises(TaskError, match="include_simulated"):
        fitted.predict(some[:2], include_simulated=False)


def test_adding_tasks_leaves_every_other_answer_the_same_bit_for_bit(fitted, some, small_cohort, tmp_path):
    before = records(fitted.predict(some))
    grown = copy.copy(fitted)
    grown.add_task("rhythm", small_cohort)
    rhythm = [one["answers"].get("rhythm") for one in records(grown.predict(some))]
    assert "rhythm" not in {task.name for task in fitted.ensemble_.tasks}
    grown.save(tmp_path)
    grown = EnECG.load(tmp_path).set_params(settings=fitted.settings, store=fitted.store)
    own = Task("over_60", kind="binary")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grown.add_task(own, small_cohort, [None if age is None else age > 60 for age in small_cohort.targets["age"]])
    after = records(grown.predict(some))
    for old, new, answer in zip(before, after, rhythm, strict=True):
        new_answers = dict(new["answers"])
        assert (new_answers.pop("over_60", None) is None) == (old["refused"] is not None)
        assert new_answers.pop("rhythm", None) == answer
        assert new_answers == old["answers"]
        assert {**new, "answers": None} == {**old, "answers": None}
    assert set(grown.training_["tasks"]) == {*fitted.training_["tasks"], "rhythm", "over_60"}
    assert grown.simulated_tasks_ >= {"rhythm", "over_60"}


def test_a_task_added_later_is_the_one_that_adding_it_first_would_give(fitted, some, small_cohort):
    """Adding is not told of the tasks added before."""
    one, other = (copy.copy(fitted) for _ in range(2))
    own = [None if age is None else age > 60 for age in small_cohort.targets["age"]]
    one.add_task("rhythm", small_cohort).add_task(Task("over_60", "binary"), small_cohort, own)
    other.add_task(Task("over_60", "binary"), small_cohort, own).add_task("rhythm", small_cohort)
    for a, b in zip(records(one.predict(some)), records(other.predict(some)), strict=True):
        assert a["answers"] == b["answers"]


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        ("age", [1.0] * 8, "age is fitted already"),
        (Task("notes", "binary"), [0, 1] * 4, "column of this name"),
        ("rhythm", None, "add_task needs targets: a table with a column rhythm"),
        ("rhythm", {"age": [1] * 8}, "no column rhythm"),
        ("rhythm", ["sinus rhythm"] * 3, "3 rows for 8"),
        ("rhythm", "sinus rhythm", "targets of rhythm: 'sinus rhythm'"),
        ("rhythm", [None] * 8, "no recording has both a label"),
        ("nonsense", [0] * 8, "unknown task"),
    ],
)
def test_a_task_that_cannot_be_added_is_refused_and_changes_nothing(fitted, small_cohort, task, targets, message):
    grown = copy.copy(fitted)
    with pytest.raises(EnECGError, match=message):
        grown.add_task(task, list(small_cohort[:8]), targets)
    assert grown.ensemble_ is fitted.ensemble_
    assert grown.training_ == fitted.training_


def test_recipe_paper_cannot_be_extended_and_says_so(unfitted, small_embedded, small_cohort):
    from enecg.ensemble import PaperSettings

    one = unfitted.clone().set_params(recipe="paper", settings=PaperSettings(epochs=1, width=8), tasks=("age",))
    one.fit(small_cohort[:24])
    assert len(one.predict(list(small_cohort[:2]))) == 2
    with pytest.raises(FitError, match="recipe 'paper' has no trunk"):
        one.add_task("sex", small_cohort[:24])


# -- seeds ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_another_does_not(unfitted, fitted, small_embedded, small_cohort, some):
    again = unfitted.clone().fit_embedded(small_embedded, small_cohort.targets)
    assert records(again.predict(some)) == records(fitted.predict(some))
    state, tensors = fitted.ensemble_.to_state()
    state_again, tensors_again = again.ensemble_.to_state()
    assert state_again == state
    assert {name: part.tobytes() for name, part in tensors_again.items()} == {
        name: part.tobytes() for name, part in tensors.items()
    }
    other = unfitted.clone().set_params(seed=1).fit_embedded(small_embedded, small_cohort.targets)
    assert records(other.predict(some)) != records(fitted.predict(some))


def test_a_fit_does_not_touch_the_random_numbers_of_others(unfitted, small_embedded, small_cohort):
    import torch

    np.random.seed(3)  # noqa: NPY002  the global state is what is looked at
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()  # noqa: NPY002
    unfitted.clone().set_params(tasks=("age",)).fit_embedded(small_embedded, small_cohort.targets)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_name_of_an_unknown_expert_is_refused_with_the_nearest():
    with pytest.raises(ExpertError, match="Did you mean rocket"):
        EnECG(("rockett",), ("age",)).fitted_experts()
