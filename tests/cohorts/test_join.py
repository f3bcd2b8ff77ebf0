import numpy as np
import polars
import pytest

from enecg.cohorts import Cohort, join_cohorts, load_cohort
from enecg.ensemble._splits import folds_of, subject_codes
from enecg.errors import CohortError
from enecg.recording import LazyRecording, Recording
from enecg.tasks import TASKS, get_task


class Made(LazyRecording):
    """A recording of nothing but its name."""

    def __init__(self, id, subject):  # noqa: A002
        self.id, self.subject = id, subject

    @property
    def key(self):
        return f"made {self.id}"

    def read(self):
        return Recording(signal=np.zeros((1, 4)), rate=100.0, leads=("I",), id=self.id, subject=self.subject)


def cohort(name, ids, **columns) -> Cohort:
    facts = {key: columns.pop(key) for key in ("licence", "citation", "simulated", "notes") if key in columns}
    subjects = columns.pop("subject", [f"{name}:{one}" for one in ids])
    types = {"id": polars.String, "subject": polars.String}
    targets = polars.DataFrame({"id": ids, "subject": subjects, **columns}, schema_overrides=types)
    recordings = [Made(*row) for row in zip(ids, subjects, strict=True)]
    return Cohort(name=name, recordings=recordings, targets=targets, **facts)


@pytest.fixture
def real(data):
    """Four cohorts of real and simulated recordings."""
    return [
        load_cohort("ptbxl", data / "ptbxl", rate=500),
        load_cohort("ludb", data / "ludb"),
        load_cohort("challenge2021", data / "challenge2021", ptbxl=data / "ptbxl"),
        load_cohort("simulated", n=3),
    ]


def test_recordings_and_rows_follow_each_other(real):
    joined = join_cohorts(real)
    assert len(joined) == 3 + 3 + 4 + 3
    assert joined.targets["id"].to_list() == [lazy.id for one in real for lazy in one] == [lazy.id for lazy in joined]
    assert joined.subjects == [subject for one in real for subject in one.subjects]
    names = [name for one in real for name in [one.name] * len(one)]
    assert joined.targets["cohort"].to_list() == names
    assert joined.name == "ptbxl+ludb+challenge2021+simulated"
    for lazy in joined:
        found = lazy.read()
        assert (found.id, found.subject) == (lazy.id, lazy.subject)


def test_columns_that_a_cohort_lacks_are_missing_there_and_the_others_unchanged(real):
    joined = join_cohorts(real).targets
    start = 0
    for one in real:
        part = joined[start : start + len(one)]
        start += len(one)
        for name in joined.columns:
            if name in one.targets.columns:
                assert part[name].to_list() == one.targets[name].to_list()
            elif name != "cohort":
                assert part[name].null_count() == len(one)
    assert joined.schema["superclass"] == joined.schema["statements"] == polars.List(polars.String)


def test_every_task_can_be_encoded_from_the_joined_table(real):
    joined = join_cohorts(real).targets
    for name in set(TASKS) & set(joined.columns):
        encoded = get_task(name).encode(joined[name])
        assert np.isnan(encoded).all(axis=1).tolist() == joined[name].is_null().to_list()


def test_a_recording_in_two_cohorts_is_one_subject_and_never_split(real):
    joined = join_cohorts(real)
    digests = [lazy.read().digest for lazy in joined]
    twice = [row for row, digest in enumerate(digests) if digests.count(digest) > 1]
    assert [joined[row].id for row in twice] == ["ptbxl_00001", "HR00001"]
    codes = subject_codes(joined.subjects)
    assert len(set(codes[twice])) == 1
    assert len(set(codes)) == len(joined) - 1
    assert "1 subjects are in several cohorts and count once" in joined.notes
    for seed in range(20):
        folds = folds_of(codes, 5, seed)
        assert len(set(folds[twice])) == 1


def test_licences_citations_and_notes_are_all_named(real):
    joined = join_cohorts(real)
    assert joined.licence == "ptbxl: CC BY 4.0; ludb: ODC-By 1.0; challenge2021: CC BY 4.0; simulated: Apache-2.0"
    for one in real:
        assert f"{one.name}: {one.citation}" in joined.citation
        assert {f"{one.name}: {note}" for note in one.notes} <= set(joined.notes)
    assert joined.origins == {"ptbxl", "ludb", "challenge2021", "simulated", "georgia", "ningbo", "cpsc_2018"}


def test_a_join_is_simulated_only_if_all_of_it_is(real):
    *others, _ = real
    joined = join_cohorts(real)
    assert not joined.simulated
    assert "the recordings of simulated are simulated, the others are not" in joined.notes
    both = join_cohorts([cohort("a", ["1"], simulated=True), cohort("b", ["2"], simulated=True)])
    assert both.simulated
    assert not any("simulated" in note for note in both.notes)
    assert not join_cohorts(others).simulated


def test_an_id_that_several_have_gets_its_cohort_s_name():
    joined = join_cohorts([cohort("a", ["1", "2"]), cohort("b", ["2", "3"])])
    assert joined.targets["id"].to_list() == ["1", "a:2", "b:2", "3"] == [lazy.id for lazy in joined]
    assert [lazy.read().id for lazy in joined] == ["1", "a:2", "b:2", "3"]
    assert joined.subjects == ["a:1", "a:2", "b:2", "b:3"] == [lazy.read().subject for lazy in joined]
    keys = [lazy.key for lazy in joined]
    assert keys[0] == "made 1"
    assert len(set(keys)) == 4
    assert "1 ids are in several cohorts and got their cohort's name before them" in joined.notes


def test_an_id_that_is_twice_in_one_cohort_is_an_error():
    with pytest.raises(CohortError, match="id a:1 is there more than once"):
        join_cohorts([cohort("a", ["1", "1"]), cohort("b", ["2"])])
    with pytest.raises(CohortError, match="id a:1 is there more than once"):
        join_cohorts([cohort("a", ["1"]), cohort("b", ["a:1", "1"])])


def test_joining_joined_cohorts_is_joining_all():
    one, two, three = cohort("a", ["1"], age=[1.0]), cohort("b", ["2"], age=[2.0]), cohort("c", ["3"], age=[3.0])
    stepwise, at_once = join_cohorts([join_cohorts([one, two]), three]), join_cohorts([one, two, three])
    assert stepwise.targets.equals(at_once.targets)
    assert (stepwise.name, stepwise.licence, stepwise.origins) == (at_once.name, at_once.licence, at_once.origins)


def test_one_cohort_is_itself_and_none_is_an_error():
    one = cohort("a", ["1"])
    assert join_cohorts([one]) is one
    with pytest.raises(CohortError, match="no cohorts to join"):
        join_cohorts([])


def test_cohorts_of_one_name_are_refused_with_the_remedy():
    with pytest.raises(CohortError, match=r"two cohorts are called 'folder', .*name='my_clinic'"):
        join_cohorts([cohort("folder", ["1"]), cohort("folder", ["2"])])
    with pytest.raises(CohortError, match="two cohorts are called 'a'"):
        join_cohorts([join_cohorts([cohort("a", ["1"]), cohort("b", ["2"])]), cohort("a", ["3"])])


def test_own_folders_are_joined_under_names_of_their_own(header, tmp_path):
    joined = []
    for name in ("north", "south"):
        header(f"{name}/0012.hea")
        table = tmp_path / f"{name}.csv"
        table.write_text("id,subject,age\n0012,1,50\n")
        joined.append(load_cohort("folder", tmp_path / name, table=table, name=name))
    both = join_cohorts(joined)
    assert both.subjects == ["north:1", "south:1"]
    assert [lazy.read().id for lazy in both] == ["north:0012", "south:0012"]


def test_multilabel_text_and_lists_become_lists():
    text = cohort("a", ["1", "2", "3"], superclass=["MI; CD", "-", None])
    lists = cohort("b", ["4", "5"], superclass=[["NORM"], []])
    joined = join_cohorts([text, lists]).targets["superclass"]
    assert joined.to_list() == [["MI", "CD"], [], None, ["NORM"], []]
    apart = [get_task("superclass").encode(one.targets["superclass"]) for one in (text, lists)]
    np.testing.assert_array_equal(get_task("superclass").encode(joined), np.concatenate(apart))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2], [0.5], [1.0, 2.0, 0.5]),
        ([True, False], [1], [1, 0, 1]),
        ([1, None], ["low"], ["1", None, "low"]),
        ([None, None], [["MI"]], [None, None, ["MI"]]),
        ([None, None], [1], [None, None, 1]),
    ],
)
def test_columns_of_different_types_become_one_that_holds_both(first, second, expected):
    joined = join_cohorts([cohort("a", ["1", "2"], x=first), cohort("b", ["3"], x=second)])
    assert joined.targets["x"].to_list() == expected


def test_potassium_in_numbers_and_classes_means_the_same_after_joining():
    parts = [cohort("a", ["1", "2"], potassium=[3.0, 5.5]), cohort("b", ["3", "4"], potassium=["normal", "abnormal"])]
    apart = [get_task("potassium").encode(one.targets["potassium"]) for one in parts]
    joined = get_task("potassium").encode(join_cohorts(parts).targets["potassium"])
    np.testing.assert_array_equal(joined, np.concatenate(apart))


def test_columns_that_do_not_go_together_are_named():
    with pytest.raises(CohortError, match=r"column 'x' is List\(Int64\) and String in the cohorts to join; rename"):
        join_cohorts([cohort("a", ["1"], x=[[1]]), cohort("b", ["2"], x=["y"])])


def test_recordings_without_subject_stay_persons_of_their_own():
    joined = join_cohorts([cohort("a", ["1"], subject=[None]), cohort("b", ["2"], subject=[None])])
    assert joined.subjects == [None, None]
    assert len(set(subject_codes(joined.subjects))) == 2
    assert not any("several cohorts" in note for note in joined.notes)
