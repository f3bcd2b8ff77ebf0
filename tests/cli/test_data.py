"""How commands are told their data: which folder is what, in pairs, and which tasks."""

import click
import numpy as np
import pytest

from enecg.cli._data import DataChoice, experts_of, tasks_of
from enecg.cohorts import Cohort
from enecg.errors import CohortError, TaskError
from enecg.estimator import DEFAULT_EXPERTS
from enecg.evaluation import Fold


def choice(data=(), cohort=(), table=(), n=5, seed=0) -> DataChoice:
    return DataChoice(tuple(map(str, data)), tuple(cohort), tuple(map(str, table)), n, seed)


@pytest.fixture
def own(copy_of, hearts):
    """A folder of one's own with a table of targets."""

    def make(name: str = "clinic", header: str = "id,subject,age,sex", row: str = "{id},{k},{age},male"):
        folder = copy_of(hearts, name)
        ids = sorted(path.stem for path in folder.glob("*.hea"))
        lines = [header, *(row.format(id=one, k=k, age=10 * k) for k, one in enumerate(ids))]
        (folder / "targets.csv").write_text("\n".join(lines) + "\n")
        return folder

    return make


def test_nothing_said_means_simulated():
    opened = choice(n=4, seed=9).open()
    assert (opened.name, len(opened), opened.simulated) == ("simulated", 4, True)
    assert opened[0].id == "simulated_9_000000"


@pytest.mark.parametrize(("name", "records"), [("ptbxl", 3), ("ludb", 3), ("challenge2021", 3)])
def test_known_data_sets_are_recognised_by_their_content(data, capsys, name, records):
    opened = choice([data / name]).open()
    assert (opened.name, len(opened)) == (name, records)
    err = capsys.readouterr().err
    assert f"{data / name}: taken for {name} (" in err


def test_ones_own_folder_is_recognised_by_its_table(own, capsys):
    folder = own()
    opened = choice([folder]).open()
    assert (opened.name, len(opened)) == ("folder", 6)
    assert opened.targets["age"].to_list() == [0, 10, 20, 30, 40, 50]
    assert "taken for your own recordings (it holds targets.csv)" in capsys.readouterr().err


def test_a_table_elsewhere_takes_the_place_of_the_one_inside(own, tmp_path):
    folder = own()
    other = tmp_path / "other.csv"
    other.write_text("id,subject,age\nsimulated_21_000001,1,77\n")
    opened = choice([folder], table=[other]).open()
    assert opened.targets["age"].to_list() == [77]


def test_a_folder_without_targets_says_what_to_write(hearts):
    with pytest.raises(CohortError, match=r"no targets\.csv.*columns id.*or path, subject.*--table"):
        choice([hearts]).open()
    assert len(choice([hearts]).open(targets=False)) == 6


def test_a_folder_that_is_none_is_told(tmp_path):
    with pytest.raises(CohortError, match="no such folder"):
        choice([tmp_path / "nowhere"]).open()


def test_data_sets_pair_with_folders_in_order(data, own):
    folder = own()
    opened = choice([data / "ludb", folder], ["ludb", "folder"]).open()
    assert opened.targets["cohort"].to_list() == ["ludb"] * 3 + ["folder"] * 6
    mixed = choice([folder, data / "ludb"], ["folder", "simulated", "ludb"], n=2).open()
    assert mixed.targets["cohort"].to_list() == ["folder"] * 6 + ["simulated"] * 2 + ["ludb"] * 3
    with pytest.raises(CohortError, match=r"ludb\.csv"):
        choice([folder, data / "ludb"], ["ludb", "folder"]).open()


def test_tables_pair_with_ones_own_folders_in_order(own, data, tmp_path):
    first, second = own("first"), own("second")
    for name, age in (("a", 11), ("b", 22)):
        (tmp_path / f"{name}.csv").write_text(f"id,subject,age\nsimulated_21_000002,1,{age}\n")
    tables = [tmp_path / "a.csv", tmp_path / "b.csv"]
    opened = choice([first, data / "ludb", second], ["folder", "ludb", "folder"], tables).open()
    assert opened.targets["age"].to_list()[::4] == [11, 22]
    assert len(set(opened.subjects)) == 5  # subject 1 of one folder is not subject 1 of the other


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"data": ["x"], "cohort": ["ptbxl", "ludb"]}, "1 --data for 2 --cohort"),
        ({"cohort": ["ptbxl"]}, "0 --data for 1 --cohort"),
        ({"data": ["x"], "cohort": ["simulated"]}, "1 --data for 0 --cohort"),
        ({"table": ["t.csv"]}, "--table needs --data"),
        ({"data": ["x"], "cohort": ["ptbxl"], "table": ["t.csv"]}, "1 --table for 0 folders of your own"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(told, said):
    with pytest.raises(click.UsageError, match=said):
        choice(**told).open()


def test_the_challenges_copies_of_ptbxl_are_its_patients_where_both_are_named(data):
    alone = choice([data / "challenge2021"]).open()
    both = choice([data / "challenge2021", data / "ptbxl"]).open()
    assert "HR00001" not in alone.targets["id"].to_list()
    subjects = dict(zip(both.targets["id"], both.subjects, strict=True))
    assert subjects["HR00001"] == subjects["ptbxl_00001"]


def test_ptbxl_is_read_at_500_hz_where_only_that_is_there(data, copy_of):
    import shutil

    folder = copy_of(data / "ptbxl", "high")
    shutil.rmtree(folder / "records100")
    assert {one.read().rate for one in choice([folder]).open()} == {500.0}
    assert {one.read().rate for one in choice([data / "ptbxl"]).open()} == {100.0}


def test_of_ludb_the_part_is_taken_that_its_rr_intervals_are_of(data):
    opened = choice([data / "ludb"]).open()
    assert all(one.read().seconds < 10 for one in opened)


def cohort(**columns) -> Cohort:
    import polars

    n = len(next(iter(columns.values())))
    frame = polars.DataFrame({"id": [str(k) for k in range(n)], "subject": [f"x:{k}" for k in range(n)], **columns})
    recordings = [type("One", (), {"id": str(k), "subject": f"x:{k}"})() for k in range(n)]
    return Cohort(name="x", recordings=recordings, targets=frame)


def test_by_default_the_papers_tasks_that_have_a_label_are_taken():
    found = tasks_of(None, cohort(age=[1.0, None], sex=[None, None], rhythm=["sinus rhythm", None], other=[1, 2]))
    assert [task.name for task in found] == ["age", "rhythm"]


def test_without_a_known_label_the_tasks_must_be_said():
    with pytest.raises(click.UsageError, match=r"its columns are id, subject, lvef.*say --tasks"):
        tasks_of(None, cohort(lvef=[50, 60]))
    with pytest.raises(click.UsageError, match="it has superclass: say --tasks"):
        tasks_of(None, cohort(superclass=["MI", "NORM"]))


def test_tasks_of_ones_own_take_their_classes_from_the_table():
    table = cohort(
        age=[50, 60, 70],
        lvef=[50.5, 40.0, None],
        weak=[0, 1, None],
        side=["left", "right", "left"],
        grade=["b", "a", "c"],
        signs=["p;q", "-", "q;r"],
    )
    names = ["age", "lvef:regression:%", "weak:binary", "side:binary", "grade:multiclass", "signs:multilabel"]
    age, lvef, weak, side, grade, signs = tasks_of(names, table)
    assert (age.unit, lvef.unit, lvef.kind) == ("years", "%", "regression")
    assert weak.classes == ("no", "yes")
    assert side.classes == ("left", "right")
    assert grade.classes == ("a", "b", "c")
    assert signs.classes == ("p", "q", "r")
    for task in (lvef, weak, side, grade, signs):
        assert task.encode(table.targets[task.name]).shape == (3, task.n_outputs)


@pytest.mark.parametrize("text", ["horoscope", "weak:sometimes", "weak:multiclass"])
def test_a_task_that_is_none_is_refused(text):
    with pytest.raises(TaskError):
        tasks_of([text], cohort(weak=[1, 1]))


def test_a_task_without_its_column_is_refused_with_those_that_are_there():
    with pytest.raises(CohortError, match=r"no column grade \(found id, subject, weak\)"):
        tasks_of(["grade:multiclass"], cohort(weak=[0, 1]))


def test_an_expert_that_has_met_who_is_tested_is_left_out_unless_it_is_asked_for(data, capsys):
    opened, simulated = choice([data / "ptbxl"]).open(), choice().open()
    capsys.readouterr()
    assert experts_of(None, opened) == ("rocket", "measurements")
    assert "s4d: left out, since it has learned from people to be tested here" in capsys.readouterr().err
    assert experts_of(("s4d",), opened) == ("s4d",)
    assert experts_of(None, opened, allow_seen=True) == DEFAULT_EXPERTS
    nobody = np.zeros(len(opened), dtype=bool)
    assert experts_of(None, opened, [[Fold(~nobody, nobody, nobody)]]) == DEFAULT_EXPERTS
    assert experts_of(None, simulated) == DEFAULT_EXPERTS
    assert capsys.readouterr().err == ""
