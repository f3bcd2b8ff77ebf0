"""What is compared with what."""

import numpy as np
import pytest

from enecg.evaluation._systems import answers_of, best_expert
from enecg.store import Embedded


def without(embedded, expert, rows):
    there = {name: own & ~rows if name == expert else own for name, own in embedded.present.items()}
    return Embedded(embedded.ids, embedded.subjects, embedded.embeddings, there)


@pytest.fixture(scope="module")
def columns(unfitted, small_cohort):
    return {task.name: task.encode(small_cohort.targets[task.name]) for task in unfitted.task_list()}


def test_the_best_expert_is_the_one_with_the_smallest_loss(fitted, small_embedded, columns):
    # The embedding holds the RR interval itself; random convolutions can only guess it.
    assert best_expert(fitted.ensemble_, small_embedded, columns)["rr_interval"] == "measurements"


def test_an_expert_that_took_no_validation_recording_is_not_the_best(fitted, small_embedded, columns):
    alone = without(small_embedded, "measurements", np.ones(len(small_embedded), dtype=bool))
    assert set(best_expert(fitted.ensemble_, alone, columns).values()) == {"rocket-small"}


def test_the_trivial_answer_to_rr_is_the_mean_of_the_detected_beats_and_else_a_constant(fitted, small_embedded):
    rows = np.zeros(len(small_embedded), dtype=bool)
    rows[:5] = True
    embeddings = {name: own.copy() for name, own in small_embedded.embeddings.items()}
    embeddings["measurements"][rows] = np.nan
    some = Embedded(small_embedded.ids, small_embedded.subjects, embeddings, small_embedded.present)
    answers = answers_of(fitted.ensemble_, without(some, "measurements", rows), np.arange(20)).answers["trivial"]
    np.testing.assert_array_equal(answers["rr_interval"][5:, 0], embeddings["measurements"][5:20, 0])
    assert len(np.unique(answers["rr_interval"][:5])) == 1
    assert len(np.unique(answers["age"])) == 1


def test_an_expert_alone_answers_where_it_ran_and_nowhere_else(fitted, small_embedded):
    rows = np.arange(len(small_embedded)) % 3 == 0
    answers = answers_of(fitted.ensemble_, without(small_embedded, "rocket-small", rows), np.arange(30)).answers
    alone, whole = answers["rocket-small alone"]["age"], answers["ensemble"]["age"]
    np.testing.assert_array_equal(np.isfinite(alone[:, 0]), ~rows[:30])
    assert np.isfinite(whole).all()
