import numpy as np
import pytest

from enecg.cohorts import join_cohorts, load_cohort
from enecg.cohorts.chapman import CONDITIONS
from enecg.errors import CohortError

COLUMNS = "FileName,Rhythm,Beat,PatientAge,Gender,VentricularRate,AtrialRate"
LEADS = "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"


@pytest.fixture
def physionet(header, tmp_path):
    """PhysioNet's layout: WFDBRecords/01/010/JS00001.hea, ..."""

    def write(*records):
        for name, *comments in records:
            header(f"WFDBRecords/01/010/{name}.hea", *comments)
        return tmp_path

    return write


@pytest.fixture
def figshare(tmp_path):
    """The first publication's layout with these rows of its table."""

    def write(*rows, separator=",", folder="ECGData"):
        (tmp_path / folder).mkdir(exist_ok=True)
        lines = [COLUMNS, *rows]
        (tmp_path / "Diagnostics.csv").write_text("\n".join(lines).replace(",", separator) + "\n")
        signal = np.round(1000 * np.sin(np.arange(600) / 40)[:, None] * np.arange(1, 13) / 12)
        text = "\n".join([LEADS, *(",".join(f"{value:.0f}" for value in row) for row in signal)])
        for row in rows:
            (tmp_path / folder / f"{row.split(',')[0]}.csv").write_text(text + "\n")
        return tmp_path

    return write


def test_physionet_s_headers_become_targets(physionet):
    root = physionet(
        ("JS00001", "Age: 85", "Sex: Male", "Dx: 164889003,59118001,164934002"),
        ("JS20000", "Age: 59", "Sex: Female", "Dx: 164890007"),
    )
    cohort = load_cohort("chapman", root)
    rows = [tuple(row.values()) for row in cohort.targets.iter_rows(named=True)]
    assert rows == [
        (
            *("JS00001", "chapman_shaoxing:JS00001", 85, "male", "atrial fibrillation"),
            *([59118001, 164889003, 164934002], ["AF", "RBBB", "TAb"], "chapman_shaoxing"),
        ),
        ("JS20000", "ningbo:JS20000", 59, "female", None, [164890007], ["AFL"], "ningbo"),
    ]
    assert cohort.notes == [
        "2 of 45,152 recordings and 2 of 45,152 patients published",
        "Ningbo codes fibrillation as flutter: neither is a label of task rhythm there",
    ]
    assert cohort[0].read().n_leads == 6  # with the limb leads that follow from two


def test_a_record_of_the_challenge_is_the_same_person_s(data):
    own = load_cohort("chapman", data / "challenge2021/ningbo")
    theirs = load_cohort("challenge2021", data / "challenge2021")
    assert own.subjects == ["ningbo:JS13888"]
    assert len(set(join_cohorts([own, theirs]).subjects)) == len(theirs)
    assert own.origins == {"chapman", "ningbo"}


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_first_publication_s_table_becomes_targets(figshare, separator):
    root = figshare(
        "MUSE_1,AFIB,RBBB TWC,85,MALE,117,234",
        "MUSE_2,SB,NONE,59,FEMALE,52,52",
        "MUSE_3,AF,LVHV,70,FEMALE,100,300",
        separator=separator,
    )
    cohort = load_cohort("chapman", root)
    rows = {row["id"]: row for row in cohort.targets.iter_rows(named=True)}
    # In this table AFIB is fibrillation and AF is flutter.
    assert [row["rhythm"] for row in rows.values()] == ["atrial fibrillation", "sinus bradycardia", "atrial flutter"]
    assert rows["MUSE_1"] == {
        "id": "MUSE_1",
        "subject": "chapman_shaoxing:MUSE_1",
        "age": 85,
        "sex": "male",
        "rhythm": "atrial fibrillation",
        "codes": [59118001, 164889003, 164934002],
        "cinc2021": ["AF", "RBBB", "TAb"],
        "conditions": ["AFIB", "RBBB", "TWC"],
        "ventricular_rate_bpm": 117,
        "source": "chapman_shaoxing",
    }
    assert rows["MUSE_2"]["conditions"] == ["SB"]
    assert cohort.notes[0] == "3 of 10,646 recordings published, each of another person"
    assert "do not use both" in cohort.notes[1]


def test_the_first_publication_s_samples_are_microvolts_at_500_hz(figshare):
    root = figshare("MUSE_1,SR,NONE,50,MALE,70,70")
    found = load_cohort("chapman", root)[0].read()
    assert (found.id, found.rate, found.n_leads, found.age) == ("MUSE_1", 500, 12, 50)
    assert found.lead("V6").max() == pytest.approx(1.0, abs=0.001)
    with pytest.raises(CohortError, match=r"none of the 1 files of Diagnostics\.csv is there; copy ECGDataDenoised/"):
        load_cohort("chapman", root, denoised=True)
    figshare("MUSE_1,SR,NONE,50,MALE,70,70", folder="ECGDataDenoised")
    assert "Denoised" in str(load_cohort("chapman", root, denoised=True)[0].file.path)


@pytest.mark.parametrize(
    ("row", "column", "told"),
    [
        ("MUSE_1,,NONE,50,MALE,70,70", "rhythm", "1 x no rhythm; labels left missing (first: MUSE_1)"),
        (
            "MUSE_1,XYZ,NONE,50,MALE,70,70",
            "rhythm",
            "1 x condition 'XYZ', which has no code; passed over (first: MUSE_1)",
        ),
        ("MUSE_1,SR,NONE,150,MALE,70,70", "age", "1 x age 150, which is none; left missing (first: MUSE_1)"),
        ("MUSE_1,SR,NONE,50,X,70,70", "sex", "1 x sex 'X', expected MALE or FEMALE; left missing (first: MUSE_1)"),
    ],
)
def test_what_a_row_cannot_mean_is_missing_and_told(figshare, row, column, told):
    cohort = load_cohort("chapman", figshare(row, "MUSE_2,SR,NONE,50,MALE,70,70"))
    assert cohort.targets[column].is_null().to_list() == [True, False]
    assert cohort.notes[2:] == [told]


def test_rows_without_a_file_are_left_out_and_counted(figshare):
    root = figshare("MUSE_1,SR,NONE,50,MALE,70,70", "MUSE_2,SR,NONE,50,MALE,70,70")
    (root / "ECGData/MUSE_1.csv").unlink()
    assert load_cohort("chapman", root).notes[2:] == ["1 rows of the table have no file and were left out"]


def test_names_that_lead_elsewhere_are_an_error(figshare):
    root = figshare("MUSE_1,SR,NONE,50,MALE,70,70")
    path = root / "Diagnostics.csv"
    path.write_text(path.read_text().replace("MUSE_1", "../MUSE_1"))
    with pytest.raises(CohortError, match=r"FileName '\.\./MUSE_1'; expected a name"):
        load_cohort("chapman", root)


def test_a_folder_of_something_else_is_an_error(data, tmp_path, physionet):
    with pytest.raises(CohortError, match="not a folder of chapman: no records"):
        load_cohort("chapman", tmp_path)
    with pytest.raises(CohortError, match="not a folder of chapman: found A2712"):
        load_cohort("chapman", data / "challenge2021")
    with pytest.raises(CohortError, match="denoised records are only in the first publication"):
        load_cohort("chapman", physionet(("JS00001", "Dx: 426783006")), denoised=True)


def test_the_publisher_s_acronyms_have_its_codes():
    assert (CONDITIONS["AFIB"], CONDITIONS["AF"], CONDITIONS["SB"]) == (164889003, 164890007, 426177001)
    assert len(CONDITIONS) == 63
