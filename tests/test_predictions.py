"""Predictions as records, as a table and as files: what is written is what was answered."""

import json
import math
import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg import Task
from enecg.ensemble import Answers
from enecg.errors import EnECGError, WriteError
from enecg.predictions import COLUMNS, Prediction, Predictions, task_prediction
from enecg.recording import STANDARD_LEADS
from enecg.report import as_text
from enecg.signal.doubts import doubts
from enecg.tasks import get_task

ENDINGS = (".csv", ".parquet", ".json", ".jsonl")


@pytest.fixture(scope="module")
def found(fitted, small_cohort) -> Predictions:
    """Four that are answered, one of a single lead, one of poor quality, one that cannot be read."""
    whole = [item.read() for item in small_cohort[:4]]
    (poor,) = fitted.predict(
        np.random.default_rng(0).normal(size=(12, 1000)) * 20, rate=100, leads=STANDARD_LEADS, unit="mV"
    )
    return Predictions([*fitted.predict([*whole, whole[0].select(["II"]), "nowhere.hea"]), poor])


def answers(task: Task, value, *, members=None, low=None, high=None, weights=((0.75, 0.25),)) -> Answers:
    value, weights = np.array(value, np.float32), np.array(weights, np.float32)
    return Answers(
        task=task,
        value=value,
        experts=np.repeat(value[:, None], weights.shape[1], axis=1),
        weights=weights,
        low=None if low is None else np.array(low, np.float32),
        high=None if high is None else np.array(high, np.float32),
        members=None if members is None else np.array(members, np.int8),
        coverage=0.9,
        calibrated=np.ones(len(value), dtype=bool),
    )


def one(answers: Answers, abstained: str | None = None):
    return task_prediction(answers, 0, ["a", "b"], simulated=False, abstained=abstained)


# -- one answer ----------------------------------------------------------------------------------------------------


def test_a_regression_has_a_value_an_interval_and_each_experts_own():
    got = one(answers(get_task("age"), [[50]], low=[41], high=[60.5]))
    assert (got.value, got.low, got.high) == (50, 41, 60.5)
    assert got.weights == {"a": 0.75, "b": 0.25}
    assert got.by_expert == {"a": 50, "b": 50}
    assert got.record()["unit"] == "years"
    assert not got.probabilities


def test_an_interval_without_an_end_has_none_and_is_written_as_nothing():
    got = one(answers(get_task("age"), [[50]], low=[-np.inf], high=[np.inf]))
    assert got.low is None
    assert got.high is None
    json.dumps(got.record(), allow_nan=False)


@pytest.mark.parametrize(("mark", "members"), [(1, ("female",)), (0, ("male",)), (-1, ("male", "female"))])
def test_a_binary_answer_names_both_classes(mark, members):
    got = one(answers(get_task("sex"), [[0.7]], members=[[mark]]))
    assert got.value == "female"
    assert got.probabilities == {"male": pytest.approx(0.3), "female": pytest.approx(0.7)}
    assert got.members == members


def test_a_multiclass_answer_adds_up_its_groups():
    got = one(answers(get_task("potassium"), [[0.2, 0.5, 0.3]], members=[[1, 1, 0]]))
    assert got.value == "normal"
    assert got.probabilities["abnormal"] == pytest.approx(0.5)
    assert got.members == ("low", "normal")


def test_a_multilabel_answer_names_what_is_found_and_what_is_open():
    got = one(answers(get_task("superclass"), [[0.1, 0.9, 0.5, 0.3, 0.2]], members=[[0, 1, -1, -1, 0]]))
    assert got.value == ("MI", "STTC")
    assert got.members == ("MI",)
    assert got.undecided == ("STTC", "CD")
    none = one(answers(get_task("superclass"), [[0.1] * 5], members=[[0] * 5]))
    assert none.value == ()


def test_an_abstention_gives_its_reason_and_no_number():
    got = one(answers(get_task("sex"), [[0.7]], members=[[1]]), abstained="too noisy")
    assert (got.value, got.abstained) == (None, "too noisy")
    assert not got.probabilities
    assert not got.weights
    assert not got.members


def test_an_expert_that_did_not_run_is_not_named():
    got = one(answers(get_task("age"), [[50]], low=[40], high=[60], weights=((0.0, 1.0),)))
    assert got.weights == {"b": 1}
    assert set(got.by_expert) == {"b"}


# -- many ----------------------------------------------------------------------------------------------------------


def test_predictions_are_a_sequence(found):
    assert len(found) == 7
    assert found[0] is next(iter(found))
    assert isinstance(found[1:3], Predictions)
    assert list(found[1:3]) == [found[1], found[2]]
    assert found[-1].quality < 0.3
    assert found.refused == (found[5],)


def test_every_interval_and_set_holds_its_answer_and_every_probability_is_one(found):
    for prediction in found:
        for answer in prediction.answers.values():
            if answer.abstained is not None:
                continue
            if answer.task.kind == "regression":
                low = -math.inf if answer.low is None else answer.low
                high = math.inf if answer.high is None else answer.high
                assert low <= answer.value <= high
                assert answer.task.name != "rr_interval" or low > 0
            else:
                assert all(0 <= p <= 1 for p in answer.probabilities.values())
            if answer.task.kind == "multiclass":
                assert answer.value in answer.members
                assert sum(answer.probabilities[name] for name in answer.task.classes) == pytest.approx(1)
            if answer.task.kind == "multilabel":
                assert not set(answer.members) & set(answer.undecided)
            assert sum(answer.weights.values()) == pytest.approx(1)
            assert set(answer.by_expert) == set(answer.weights) <= set(prediction.experts)


def test_records_are_plain_json(found):
    text = json.dumps(found.records(), allow_nan=False)
    assert json.loads(text) == found.records()


def test_the_table_has_a_row_for_each_and_columns_for_each_task(found, fitted):
    table = found.table()
    assert table.columns[: len(COLUMNS)] == list(COLUMNS)
    assert table["id"].to_list() == [prediction.id for prediction in found]
    for row, prediction in zip(table.iter_rows(named=True), found, strict=True):
        assert row["refused"] == prediction.refused
        for task in fitted.task_list():
            answer = prediction.answers.get(task.name)
            if answer is None or answer.value is None:
                assert row[task.name] is None
            elif task.kind == "multilabel":
                assert row[task.name] == (";".join(answer.value) or "-")
            else:
                assert row[task.name] == answer.value
            for name, chance in (answer.probabilities if answer else {}).items():
                assert row[f"{task.name}_p_{name}"] == chance


def test_a_refused_row_keeps_its_reason_and_an_abstained_one_too(found):
    rows = found.table().to_dicts()
    assert "nowhere.hea" in rows[5]["refused"]
    assert rows[5]["path"] == "nowhere.hea"
    assert rows[5]["age"] is None
    assert rows[6]["refused"] is None
    assert "signal quality" in rows[6]["age_abstained"]
    assert rows[4]["age_calibrated"] is False
    assert rows[4]["notes"].startswith("left out: rocket-small needs")


@pytest.mark.parametrize("ending", [*ENDINGS, ".CSV", ".Json"])
def test_what_is_written_is_read_back(found, tmp_path, ending):
    path = tmp_path / f"answers{ending}"
    path.write_text("what was there before")
    found.write(path)
    assert read(path, found.table().schema) == expected(found, path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("part", ["none", "refused only", "abstained only"])
def test_nothing_answered_is_written_and_read_back(found, tmp_path, ending, part):
    some = {"none": found[:0], "refused only": found[5:6], "abstained only": found[6:]}[part]
    path = tmp_path / f"answers{ending}"
    some.write(str(path))
    assert read(path, some.table().schema) == expected(some, path)
    assert pl.concat([some.table(), found.table()], how="diagonal").columns


def read(path, schema=None):
    ending = path.suffix.lower()
    if ending == ".json":
        return json.loads(path.read_text())
    if ending == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    table = pl.read_csv(path, schema=schema) if ending == ".csv" else pl.read_parquet(path)
    return table.to_dicts()


def expected(found, path):
    return found.records() if "json" in path.suffix.lower() else found.table().to_dicts()


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_any_name_and_any_reason_survive_a_file(tmp_path_factory, name, reason):
    made = Predictions([Prediction(id=name, refused=reason), Prediction(id="b", notes=(reason,))])
    folder = tmp_path_factory.mktemp("out")
    for ending in ENDINGS:
        path = folder / f"x{ending}"
        made.write(path)
        assert [row["id"] for row in read(path, made.table().schema)] == [name, "b"]
        assert read(path, made.table().schema)[0]["refused"] == reason


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_path_that_is_no_text_is_written_so_that_it_can_be_told(tmp_path, ending):
    path = Path(os.fsdecode(b"/data/\xff.hea"))
    made = Predictions([Prediction(id=path.stem, path=path, refused=f"{path}: no such file", notes=(str(path),))])
    out = tmp_path / f"x{ending}"
    made.write(out)
    assert read(out)[0]["path"] == "/data/\\udcff.hea"


def test_doubts_are_told_in_every_form_and_change_no_answer(fitted, small_cohort, tmp_path):
    whole = small_cohort[0].read()
    loud = replace(whole, signal=whole.signal * 10)
    said = [str(doubt) for doubt in doubts(loud.signal, loud.rate, loud.leads)]
    assert any("wrong unit or gain?" in one for one in said)
    got = fitted.predict([loud, whole, "nowhere.hea"], abstain=False)
    assert list(got[0].doubts) == got.records()[0]["doubts"] == said
    assert got.table()["doubts"].to_list() == ["; ".join(said), "", ""]
    text = " ".join(as_text(got[0]).split())
    assert all(f"doubt: {one}" in text for one in said)
    assert "doubt" not in as_text(got[1])
    for k in (1, 2):
        assert fitted.predict([loud], top_k=k, abstain=False)[0].doubts == got[0].doubts
    for name, answer in fitted.answer(fitted.embed([loud])).items():
        expected = task_prediction(answer, 0, fitted.expert_names(), simulated=True, abstained=None)
        assert got[0].answers[name].record() == expected.record()


# -- what cannot be written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["answers.xlsx", "answers", ".csv", "answers.csv.gz"])
def test_another_ending_is_refused_with_those_known(found, tmp_path, name):
    with pytest.raises(WriteError, match=r"written as \.csv, \.parquet, \.jsonl, \.json"):
        found.write(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_cannot_be_written_is_an_error_by_name(found, tmp_path, ending):
    (tmp_path / "file").touch()
    (tmp_path / f"folder{ending}").mkdir()
    for place in (tmp_path / "nowhere" / f"x{ending}", tmp_path / "file" / f"x{ending}", tmp_path / f"folder{ending}"):
        with pytest.raises(WriteError, match=rf"{place}: cannot be written") as caught:
            found.write(place)
        assert isinstance(caught.value, EnECGError)
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("ending", ENDINGS)
def test_on_a_full_disk_the_older_file_stays(found, tmp_path, ending):
    path = tmp_path / f"answers{ending}"
    found[:1].write(path)
    before = path.read_bytes()
    many = Predictions(list(found) * 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(WriteError, match="cannot be written"):
            many.write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
