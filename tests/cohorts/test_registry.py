import re
from pathlib import Path

import pytest

import enecg
from enecg.cohorts import About, about_cohort, cohort_names, cohort_options, load_cohort
from enecg.errors import CohortError
from enecg.tasks import TASKS


def test_the_public_name_loads_cohorts():
    assert enecg.load_cohort is load_cohort
    known = "challenge2021 chapman code15 cpsc2018 enecg folder ludb mimic-iv-ecg mitbih ptbxl simulated sph"
    assert set(cohort_names()) == set(known.split())


@pytest.mark.parametrize(
    ("name", "near"), [("ptb-xl", "ptbxl"), ("LUDB", ""), ("simulation", "simulated"), ("zzz", "")]
)
def test_an_unknown_cohort_is_told_with_the_nearest(name, near):
    with pytest.raises(
        CohortError, match=f"unknown cohort {name!r}. Did you mean {near}.*Known: challenge2021, chapman"
    ):
        load_cohort(name)


@pytest.mark.parametrize(
    ("name", "option", "has"),
    [
        ("ptbxl", "hz", "rate"),
        ("ludb", "rate", "window"),
        ("folder", "tabel", "table, unit, name"),
        ("challenge2021", "x", "ptbxl"),
    ],
)
def test_an_unknown_option_is_told_with_those_known(data, name, option, has):
    with pytest.raises(CohortError, match=f"cohort {name} has no option {option!r}; it has {has}"):
        load_cohort(name, data, **{option: 1})


@pytest.mark.parametrize("name", [name for name in cohort_names() if name != "simulated"])
def test_a_cohort_of_files_needs_a_folder_that_is_there(name, tmp_path):
    with pytest.raises(CohortError, match=f"cohort {name} needs its folder: load_cohort\\('{name}', FOLDER\\)"):
        load_cohort(name)
    with pytest.raises(CohortError, match=f"nothing: no such folder; expected that of cohort {name}"):
        load_cohort(name, tmp_path / "nothing")
    with pytest.raises(CohortError, match=str(tmp_path)):
        load_cohort(name, tmp_path)


@pytest.mark.parametrize("name", ["challenge2021", "ludb", "ptbxl"])
def test_published_cohorts_say_their_licence_and_whom_to_cite(name, data):
    cohort = load_cohort(name, data / name)
    assert cohort.name == name
    assert cohort.licence != "unknown"
    assert "doi" in cohort.citation
    assert (cohort.licence, cohort.citation) == (about_cohort(name).licence, about_cohort(name).citation)
    assert set(about_cohort(name).tasks) <= set(cohort.targets.columns)
    assert not cohort.simulated
    assert all(subject is not None and ":" in subject for subject in cohort.subjects)
    assert len(set(cohort.targets["id"])) == len(cohort)


@pytest.mark.parametrize("name", cohort_names())
def test_what_is_known_beforehand_is_whole(name):
    about = about_cohort(name)
    assert about.name == name
    assert about.title
    assert about.layout
    assert set(about.tasks) <= set(TASKS)
    if name not in ("folder", "simulated"):
        assert about.licence != "unknown"
        assert "doi" in about.citation


def test_each_is_in_the_documentation_with_its_options():
    page = (Path(__file__).parents[2] / "docs/api.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page.partition("## Data sets")[2], re.MULTILINE))
    assert set(rows) == set(cohort_names())
    for name, row in rows.items():
        assert set(cohort_options(name)) == set(re.findall(r"`(\w+)=`", row)), name


def test_an_underscore_may_stand_for_a_hyphen():
    assert about_cohort("mimic_iv_ecg") is about_cohort("mimic-iv-ecg")
    assert "potassium_hours" in cohort_options("mimic_iv_ecg")


def test_found_is_told_against_published():
    whole = About("x", "", "", recordings=1000, subjects=20)
    assert whole.counted(999, 1) == "999 of 1,000 recordings and 1 of 20 patients published"
    assert About("x", "", "").counted(2000, 3) == "2,000 recordings and 3 patients"
    assert About("x", "", "", recordings=5000).counted(2000, 3) == "2,000 of 5,000 recordings published"


def test_a_folder_may_be_named_in_either_way(data):
    assert len(load_cohort("ludb", folder=data / "ludb")) == len(load_cohort("ludb", data / "ludb"))
