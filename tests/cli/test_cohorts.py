import json
import shutil

import numpy as np
import pytest

from enecg.cohorts import about_cohort, cohort_names, cohort_options


def test_all_data_sets_are_listed_with_count_and_licence(enecg):
    code, out, err = enecg("cohorts")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert names == list(cohort_names())
    assert "21,799 recordings, 18,869 patients; CC BY 4.0" in out
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.parametrize("name", cohort_names())
def test_one_is_shown_with_all_that_is_known(enecg, name):
    code, out, _ = enecg("cohorts", name)
    about = about_cohort(name)
    assert code == 0
    text = " ".join(out.split())
    for said in (about.title, about.layout, about.citation, *about.tasks, *cohort_options(name)):
        assert " ".join(said.split()) in text
    [facts] = json.loads(enecg("cohorts", name, "--json")[1])
    assert facts["name"] == name
    assert facts["options"] == list(cohort_options(name))


def test_an_unknown_data_set_is_told_with_the_nearest(enecg):
    code, _, err = enecg("cohorts", "ptb-xl")
    assert code == 3
    assert "unknown cohort 'ptb-xl'. Did you mean ptbxl?" in err


def test_a_whole_copy_passes(enecg, data):
    code, out, err = enecg("cohorts", "check", "ludb", data / "ludb")
    assert code == 0
    text = " ".join(out.split())
    assert "found 3 recordings of 3 subjects" in text
    assert "note 3 of 200 recordings and 3 of 200 patients published" in text
    assert "label sex: 3 recordings of 3 subjects: female 3" in text
    assert "read 3 of 3 recordings, 0 damaged" in text
    assert "leak none found" in text
    assert "reading ludb" in err


def test_damaged_files_and_leaks_are_told_and_end_with_1(enecg, hearts, copy_of):
    folder = copy_of(hearts)
    names = sorted(path.stem for path in folder.glob("*.hea"))
    shutil.copy(folder / f"{names[0]}.dat", folder / f"{names[1]}.dat")
    (folder / f"{names[2]}.dat").write_bytes(b"short")
    lines = ["id,subject,age", *(f"{name},{number},50" for number, name in enumerate(names))]
    (folder / "targets.csv").write_text("\n".join(lines) + "\n")
    table = f"table={folder / 'targets.csv'}"
    code, out, _ = enecg("cohorts", "check", "folder", folder, "--option", table)
    text = " ".join(out.split())
    assert code == 1
    assert f"damaged {names[2]}: " in text
    assert f"another subject's (first: {names[1]} of" in text
    found = json.loads(enecg("cohorts", "check", "folder", folder, "--option", table, "--json")[1])
    assert [name for name, _ in found["damaged"]] == [names[2]]
    assert len(found["leaks"]) == 1
    # Not read, so not known.
    assert enecg("cohorts", "check", "folder", folder, "--option", table, "--read", 0)[0] == 0


def test_labels_that_are_none_are_told_and_end_with_1(enecg, hearts, tmp_path):
    names = sorted(path.stem for path in hearts.glob("*.hea"))
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["id,subject,sex", *(f"{name},{name},robot" for name in names)]) + "\n")
    code, out, _ = enecg("cohorts", "check", "folder", hearts, "--option", f"table={table}", "--read", 0)
    assert code == 1
    assert "wrong      column sex, row 0: 'robot'; expected male or female" in out


def test_many_damaged_files_are_counted(enecg, hearts, copy_of):
    folder = copy_of(hearts)
    for path in folder.glob("*.dat"):
        path.write_bytes(b"short")
    code, out, _ = enecg("cohorts", "check", "folder", folder)
    assert code == 1
    assert "read 0" not in out
    assert "6 damaged" in out
    assert "and 1 more (--json names all)" in out


def test_a_folder_of_something_else_is_an_error_in_one_line(enecg, data, tmp_path):
    code, _, err = enecg("cohorts", "check", "ptbxl", data / "ludb")
    assert code == 3
    assert "not a folder of ptbxl: no ptbxl_database.csv, scp_statements.csv" in err
    code, _, err = enecg("cohorts", "check", "ptbxl")
    assert code == 3
    assert "cohort ptbxl needs its folder" in err


@pytest.mark.parametrize(
    ("option", "code", "told"),
    [
        ("rate=500", 0, ""),
        ("rate=7", 3, "PTB-XL has 100 and 500 Hz, not 7"),
        ("hz=500", 3, "cohort ptbxl has no option 'hz'; it has rate"),
        ("rate", 2, "--option rate: expected KEY=VALUE"),
        ("=5", 2, "--option =5: expected KEY=VALUE"),
    ],
)
def test_options_of_a_data_set_are_key_and_value(enecg, data, option, code, told):
    found, out, err = enecg("cohorts", "check", "ptbxl", data / "ptbxl", "--option", option)
    assert found == code
    assert told in err
    assert ("500 Hz" in out) == (code == 0)


def test_the_simulated_ones_need_no_folder(enecg):
    code, out, _ = enecg("cohorts", "check", "simulated", "--option", "n=4", "--option", "rate=100", "--read", 2)
    assert code == 0
    assert "2 of 4 recordings, 0 damaged" in out


def test_options_reach_the_data_of_other_commands(enecg, data, tmp_path):
    arguments = ("embed", tmp_path / "store", "--data", data / "ptbxl", "--experts", "measurements")
    code, _, err = enecg(*arguments, "--option", "rate=500")
    assert code == 0
    code, _, err = enecg(*arguments, "--option", "mimic_iv=x")
    assert code == 2
    assert "--option mimic_iv: ptbxl has none of this name; it has rate" in err


@pytest.mark.parametrize(
    ("names", "cohort"),
    [
        (["record_list.csv", "machine_measurements.csv"], "mimic-iv-ecg"),
        (["exams.csv"], "code15"),
        (["metadata.csv", "code.csv", "records/"], "sph"),
        (["WFDBRecords/"], "chapman"),
        (["REFERENCE.csv"], "cpsc2018"),
        (["100.hea", "100.atr"], "mitbih"),
        (["exams.csv", "targets.csv"], "folder"),
        (["metadata.csv"], "folder"),
    ],
)
def test_a_folder_is_recognised_by_what_its_publisher_put_there(tmp_path, capsys, names, cohort):
    from enecg.cli._data import recognise

    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    assert recognise(str(tmp_path)) == cohort
    assert "taken for" in capsys.readouterr().err


def test_no_two_data_sets_have_the_same_marks():
    marks = [set(about_cohort(name).marks) for name in cohort_names() if about_cohort(name).marks]
    assert not any(one <= other for k, one in enumerate(marks) for m, other in enumerate(marks) if k != m)
    assert np.all([len(one) for one in marks])
