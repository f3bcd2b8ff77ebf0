"""A published model's own answers: by name, next to the embedding, and one bad recording costs only itself."""

import json
from dataclasses import replace

import numpy as np
import polars
import pytest

from enecg import Recording, Store, get_expert
from enecg.errors import ExpertError, WeightsError, WriteError
from enecg.experts import names_with_answers
from enecg.native import answer
from enecg.recording import STANDARD_LEADS
from enecg.report import native_text
from enecg.simulation import simulate_one

NAME = "ecgfounder:tiny"
RANDOM = f"{NAME}: random weights: it knows nothing"


@pytest.fixture(scope="module")
def some(tmp_path_factory) -> list:
    """Good, good and long, poor, of one lead, unreadable, and of eight leads that determine all twelve."""
    good, long = simulate_one(1, 5).recording, simulate_one(2, 5, seconds=25).recording
    noise = np.random.default_rng(0).normal(size=(12, 5000)) * 20
    poor = Recording(signal=noise, rate=500, leads=STANDARD_LEADS, id="poor")
    eight = good.select(("I", "II", *STANDARD_LEADS[6:]))
    return [good, long, poor, good.select(["V1"]), tmp_path_factory.mktemp("none") / "nowhere.hea", eight]


@pytest.fixture(scope="module")
def found(some):
    return answer(some, NAME)


def test_answers_have_the_published_names_and_stand_next_to_the_embedding(found, some):
    expert = get_expert(NAME)
    embeddings, probabilities = expert.embed_and_answer(expert.prepare(some[:2]))
    assert found.labels == expert.labels.names
    assert np.array_equal(found.embeddings[:2], embeddings)
    assert np.array_equal(found.probabilities[:2], probabilities)
    record = found.record(1)
    assert list(record["answers"]) == list(expert.labels.names)
    assert record["answers"]["SINUS RHYTHM"] == probabilities[1, expert.labels.names.index("SINUS RHYTHM")]
    assert np.array_equal(np.array(record["embedding"], np.float32), embeddings[1])
    assert "tasks.txt" in found.source


@pytest.mark.parametrize("name", [f"{name}:tiny" for name in names_with_answers()])
def test_a_recordings_bits_are_its_own_whatever_stands_beside_it(name, some):
    whole = answer([some[0], some[1], some[4], some[2]], name, abstain=False)
    for row in (0, 1, 3):
        [alone] = answer([[some[0], some[1], None, some[2]][row]], name, abstain=False).probabilities
        assert np.array_equal(alone, whole.probabilities[row])
        assert ((alone > 0) & (alone < 1)).all()


@pytest.mark.parametrize("name", names_with_answers())
def test_labels_are_told_apart_from_each_other_and_from_what_else_a_table_has(name):
    labels = get_expert(name).labels.names
    assert len(set(labels)) == len(labels)
    assert not {"id", "path", "refused", "quality", "abstained", "expert", "notes", "embedding"} & set(labels)


def test_what_cannot_be_read_or_taken_is_refused_and_the_others_get_their_answers(found, some):
    assert [reason is None for reason in found.refused] == [True, True, True, False, False, True]
    assert "nowhere.hea" in found.refused[4]
    assert found.refused[3].startswith(f"{NAME} needs lead I, II, III")
    for row in (3, 4):
        assert np.isnan(found.probabilities[row]).all()
        assert np.isnan(found.embeddings[row]).all()
        assert found.record(row)["answers"] == {}
        assert found.record(row)["embedding"] is None
        assert found.likeliest(row) == []
    assert found.paths[4] == some[4]
    np.testing.assert_allclose(found.probabilities[5], found.probabilities[0], atol=1e-4)


def test_a_poor_recording_is_not_answered_unless_that_is_asked_for_but_embedded(found, some):
    assert found.abstained[2].startswith("signal quality 0.")
    assert [said is None for said in found.abstained] == [True, True, False, True, True, True]
    assert np.isnan(found.probabilities[2]).all()
    assert np.isfinite(found.embeddings[2]).all()
    asked = answer(some[2:3], NAME, abstain=False)
    assert asked.abstained == (None,)
    assert np.isfinite(asked.probabilities).all()
    assert np.array_equal(asked.embeddings, found.embeddings[2:3])


def test_everything_made_with_random_weights_says_so(found, tmp_path):
    assert found.notes == (RANDOM,)
    assert all(record["notes"] == [RANDOM] for record in found.records())
    assert found.table()["notes"].to_list() == [RANDOM] * len(found)
    for row in (0, 2):
        assert native_text(found, row, 300).count(RANDOM) == 1


def test_the_likeliest_come_first_and_the_rest_is_counted(found):
    ranked = found.likeliest(0)
    assert [chance for _, chance in ranked] == sorted(found.probabilities[0].tolist(), reverse=True)
    lines = native_text(found, 0, most=3).splitlines()
    assert [line.split("%  ")[1] for line in lines[-4:-1]] == [name for name, _ in ranked[:3]]
    assert lines[-1].strip().startswith("147 others, ")
    assert native_text(found, 0, most=150).splitlines()[-1].endswith(ranked[-1][0])
    assert native_text(found, 4).splitlines()[1].startswith("  refused: ")
    assert native_text(found, 2, 300).splitlines()[-1].startswith("  no answers: signal quality")


@pytest.mark.parametrize("rows", [slice(None), slice(0, 0), slice(3, 5)], ids=["all", "none", "refused only"])
def test_what_is_written_is_read_back(some, tmp_path, rows):
    made = answer(some[rows], NAME)
    for ending in ("csv", "parquet", "json", "jsonl"):
        made.write(tmp_path / f"a.{ending}")
    expected = json.loads(json.dumps(made.records()))
    assert json.loads((tmp_path / "a.json").read_text()) == expected
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == expected
    parquet = polars.read_parquet(tmp_path / "a.parquet")
    assert parquet.schema["embedding"] == polars.Array(polars.Float32, made.embeddings.shape[1])
    for line, record in zip(parquet.to_dicts(), expected, strict=True):
        vector = line.pop("embedding")
        assert vector == record["embedding"]
        assert [line[label] for label in made.labels] == [record["answers"].get(label) for label in made.labels]
    csv = polars.read_csv(tmp_path / "a.csv", infer_schema=False)
    assert csv.columns == [name for name in parquet.columns if name != "embedding"]
    for line, record in zip(csv.to_dicts(), expected, strict=True):
        assert line["refused"] == record["refused"]
        for label, chance in record["answers"].items():
            assert float(line[label]) == pytest.approx(chance, rel=1e-6)
    made.write_embeddings(tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), made.embeddings, equal_nan=True)


def test_a_place_or_an_ending_that_cannot_be_written_is_an_error_by_name(found, tmp_path):
    for write, name in ((found.write, "a.xlsx"), (found.write_embeddings, "a.csv")):
        with pytest.raises(WriteError, match=rf"{name}: .*choose"):
            write(tmp_path / name)
        with pytest.raises(WriteError, match="cannot be written"):
            write(tmp_path / "no folder" / ("a.csv" if name == "a.xlsx" else "a.npy"))
    assert not list(tmp_path.iterdir())


def test_what_the_store_has_is_not_computed_again(some, tmp_path, monkeypatch):
    first = answer(some[:2], NAME, store=tmp_path)
    expert = get_expert(NAME)
    monkeypatch.setattr(expert, "prepare", None)
    again = answer(some[:2], expert, store=Store(tmp_path))
    assert np.array_equal(again.probabilities, first.probabilities)
    assert np.array_equal(again.embeddings, first.embeddings)


def test_an_expert_without_answers_of_its_own_is_refused_with_those_that_have_some(some):
    for name in ("rocket", "measurements"):
        with pytest.raises(
            ExpertError, match=rf"{name} has no answers of its own; .*ecgfounder, ecgfounder-1lead have"
        ):
            answer(some, name)
    with pytest.raises(ExpertError, match=r"unknown expert 'ecgfonder'. Did you mean ecgfounder"):
        answer(some, "ecgfonder")


def test_adapted_weights_are_not_taken_for_the_published_ones(some):
    expert = get_expert(NAME)
    expert.card = replace(expert.card, name=f"{NAME}+mine")
    with pytest.raises(ExpertError, match=rf"adapted weights have no answers of their own.*have: {NAME}$"):
        answer(some, expert)


def test_weights_that_are_missing_are_told_before_anything_is_read(some):
    with pytest.raises(WeightsError, match="`enecg experts pull ecgfounder`"):
        answer(some, "ecgfounder")
