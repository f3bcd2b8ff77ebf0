"""enecg predict: answers to one file, many or a folder, in every form; a bad file costs only itself."""

import csv
import json

import numpy
import polars
import pytest

from enecg import EnECG
from enecg.errors import BundleError

ANSWERED = {"good", "good_too", "gaps", "flat_lead"}
ABSTAINED = {"wrong_gain", "all_flat", "all_missing"}
REFUSED = {
    "missing_signal": ("missing_signal.dat", "No such file", "copy"),
    "truncated": ("truncated.dat", "bytes"),
    "no_unit": ("unit", "mV"),
    "nonsense": ("nonsense.hea", "expected"),
    "too_short": ("0.4 s", "needs"),
}
"""What a refusal must say: where, and what was found, expected or to be done."""


@pytest.fixture(scope="module")
def records(mixed, bundle, tmp_path_factory):
    """Every record of the mixed folder by name, from one call."""
    from enecg.cli import main

    out = tmp_path_factory.mktemp("out") / "answers.jsonl"
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(mixed), "--bundle", str(bundle), "--out", str(out)])
    assert ended.value.code == 1
    found = [json.loads(line) for line in out.read_text().splitlines()]
    return {record["id"]: record for record in found}


def test_every_file_of_a_folder_gets_a_record(records, mixed):
    assert set(records) == {path.stem for path in mixed.glob("*.hea")}
    assert set(records) == ANSWERED | ABSTAINED | set(REFUSED) | {"unknown_lead"}


def test_a_channel_that_is_no_lead_is_left_out_and_who_can_do_without_answers(records):
    assert records["unknown_lead"]["experts"] == ["measurements"]
    assert any("V3" in note for note in records["unknown_lead"]["notes"])


@pytest.mark.parametrize("name", sorted(ANSWERED))
def test_good_recordings_get_answers_beside_bad_ones(records, name):
    record = records[name]
    assert record["refused"] is None
    assert record["experts"]
    for answer in record["answers"].values():
        assert answer["abstained"] is None
        assert answer["value"] is not None
        assert sum(answer["weights"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", sorted(ABSTAINED))
def test_recordings_of_no_use_get_a_reason_instead_of_answers(records, name):
    record = records[name]
    said = record["refused"] or " ".join(answer["abstained"] or "ANSWER" for answer in record["answers"].values())
    assert said
    assert "ANSWER" not in said
    reason = {"wrong_gain": "gain", "all_flat": "flat", "all_missing": "missing"}[name]
    assert reason in said


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refusal_names_what_was_wrong_and_what_was_expected(records, name):
    record = records[name]
    assert record["refused"] is not None
    assert all(part in record["refused"] for part in REFUSED[name])
    assert record["answers"] == {}


def test_the_answers_are_those_of_the_python_interface(records, mixed, bundle):
    files = [mixed / "good.hea", mixed / "gaps.hea"]
    for prediction in EnECG.load(bundle).predict(files):
        assert json.loads(json.dumps(prediction.record())) == records[prediction.id]


def test_the_screen_shows_value_range_weights_and_experts(enecg, mixed, bundle):
    code, out, err = enecg("predict", mixed / "good.hea", mixed / "truncated.hea", "--bundle", bundle)
    assert (code, err) == (1, "")
    good, bad = out.strip().split("\n\n")
    assert "experts: rocket-small, measurements" in good
    for task in ("rr_interval", "age", "sex", "superclass"):
        assert f"  {task}" in good
    assert " ms" in good
    assert " to " in good
    assert "[simulated] learned from simulated recordings only" in good
    assert bad.startswith(str(mixed / "truncated.hea"))
    assert "refused: " in bad


def test_tasks_taught_by_simulation_only_are_marked_in_every_row(enecg, hearts, bundle, tmp_path):
    out = tmp_path / "answers.csv"
    assert enecg("predict", hearts, "--bundle", bundle, "--out", out, "--include-simulated")[0] == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert all(row["potassium_simulated"] == "true" and row["potassium"] in ("low", "normal", "high") for row in rows)


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "jsonl"])
def test_the_ending_of_out_decides_the_form(enecg, hearts, bundle, tmp_path, ending):
    out = tmp_path / f"answers.{ending}"
    code, shown, err = enecg("predict", hearts, "--bundle", bundle, "--out", out, "--tasks", "age,sex")
    assert (code, shown) == (0, "")
    assert f"6 of 6 recordings answered: {out}" in err
    if ending == "json":
        assert len(json.loads(out.read_text())) == 6
    elif ending == "jsonl":
        assert [set(json.loads(line)["answers"]) for line in out.read_text().splitlines()] == [{"age", "sex"}] * 6
    else:
        table = polars.read_csv(out) if ending == "csv" else polars.read_parquet(out)
        assert {"id", "path", "refused", "age", "age_low", "age_high", "sex_p_female", "sex_set"} <= set(table.columns)
        assert len(table) == 6


def test_json_is_a_line_for_each_recording_also_beside_a_file(enecg, hearts, bundle, tmp_path):
    code, out, _ = enecg("predict", hearts, "--bundle", bundle, "--json", "--out", tmp_path / "a.csv")
    assert code == 0
    assert [json.loads(line)["refused"] for line in out.splitlines()] == [None] * 6


def test_coverage_widens_and_top_k_thins(enecg, hearts, bundle):
    one = sorted(hearts.glob("*.hea"))[0]

    def answer(*options):
        _, out, _ = enecg("predict", one, "--bundle", bundle, "--json", "--tasks", "age", *options)
        record = json.loads(out)
        return record["answers"]["age"], record["experts"]

    wide, narrow = answer("--coverage", "0.95")[0], answer("--coverage", "0.6")[0]
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]
    assert (wide["coverage"], wide["value"]) == (0.95, narrow["value"])
    assert len(answer()[1]) == 2
    assert len(answer("--top-k", "1")[1]) == 1


def test_recordings_of_poor_quality_are_answered_on_request(enecg, mixed, bundle):
    code, out, _ = enecg("predict", mixed / "wrong_gain.hea", "--bundle", bundle, "--json", "--keep-poor")
    assert code == 0
    assert all(answer["abstained"] is None for answer in json.loads(out)["answers"].values())


def test_a_unit_can_be_said(enecg, mixed, bundle):
    code, out, _ = enecg("predict", mixed / "no_unit.hea", "--bundle", bundle, "--unit", "mV", "--json")
    assert code == 0
    assert json.loads(out)["path"] == str(mixed / "no_unit.hea")


def test_pictures_of_many_do_not_overwrite_each_other(enecg, hearts, bundle, tmp_path, copy_of):
    other = copy_of(hearts, "other")
    one = "simulated_21_000000.hea"
    pictures = tmp_path / "pictures"
    paths = [hearts / one, other / one, hearts / one, hearts / "simulated_21_000001.hea"]
    assert enecg("predict", *paths, "--bundle", bundle, "--plot", pictures)[0] == 0
    assert len(list(pictures.glob("*.png"))) == 4


def test_a_picture_file_is_for_one_recording(enecg, hearts, bundle, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    assert enecg("predict", one, "--bundle", bundle, "--plot", tmp_path / "one.png")[0] == 0
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert enecg("predict", hearts, "--bundle", bundle, "--plot", tmp_path / "two.png")[0] == 2
    assert enecg("predict", one, "--bundle", bundle, "--plot", tmp_path / "one.gif")[0] == 2


def test_if_every_recording_is_refused_it_ends_with_3(enecg, mixed, bundle, tmp_path):
    code, _, _ = enecg("predict", mixed / "truncated.hea", mixed / "nonsense.hea", "--bundle", bundle)
    assert code == 3
    code, _, err = enecg("predict", tmp_path, "--bundle", bundle)
    assert code == 3
    assert f"error: {tmp_path}: no recordings" in err


def test_an_empty_folder_among_others_costs_nothing_but_the_code(enecg, hearts, bundle, tmp_path):
    code, out, err = enecg("predict", tmp_path, hearts, "--bundle", bundle, "--json")
    assert code == 1
    assert len(out.splitlines()) == 6
    assert str(tmp_path) in err


@pytest.mark.parametrize("fault", ["nowhere", "another version", "tampered", "cut"])
def test_a_bundle_that_cannot_be_trusted_is_refused(enecg, hearts, bundle, copy_of, fault):
    spoilt = copy_of(bundle)
    card = spoilt / "bundle.json"
    if fault == "nowhere":
        spoilt = spoilt / "deeper"
    elif fault == "another version":
        card.write_text(card.read_text().replace('"format": ', '"format": 9'))
    elif fault == "tampered":
        card.write_text(card.read_text().replace('"seed": 0', '"seed": 1'))
    else:
        [tensors] = spoilt.glob("*.safetensors")
        tensors.write_bytes(tensors.read_bytes()[:-10])
    code, out, err = enecg("predict", hearts, "--bundle", spoilt)
    assert (code, out) == (3, "")
    assert err.startswith(f"error: {spoilt}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(enecg, hearts, bundle, tmp_path, option):
    (tmp_path / "file").write_text("here")
    target = tmp_path / "file" / ("answers.csv" if option == "--out" else "pictures")
    code, out, err = enecg("predict", hearts, "--bundle", bundle, option, target)
    assert (code, out) == (3, "")
    assert f"error: {target}" in err
    assert "where a folder is wanted" in err


def test_an_unknown_ending_of_out_is_refused_with_the_known_ones(enecg, hearts, bundle, tmp_path):
    code, _, err = enecg("predict", hearts, "--bundle", bundle, "--out", tmp_path / "answers.xlsx")
    assert code == 3
    assert ".parquet" in err
    assert "progress" not in err


def test_an_unknown_task_is_refused_with_the_known_ones(enecg, hearts, bundle):
    code, _, err = enecg("predict", hearts, "--bundle", bundle, "--tasks", "horoscope")
    assert code == 3
    assert "horoscope" in err
    assert "rr_interval" in err


def test_without_a_bundle_the_starter_answers(enecg, data):
    code, out, err = enecg("predict", data / "ludb" / "data" / "1.hea", "--json")
    assert code == 0, err
    answers = json.loads(out)["answers"]
    assert {"age", "sex", "rhythm", "superclass", "rr_interval"} <= set(answers)
    assert "potassium" not in answers
    assert not any(answer["simulated"] for answer in answers.values())
    _, out, _ = enecg("predict", data / "ludb" / "data" / "1.hea", "--json", "--include-simulated")
    assert json.loads(out)["answers"]["potassium"]["simulated"]


def test_a_package_without_its_starter_says_so(monkeypatch, tmp_path):
    from enecg import estimator

    monkeypatch.setattr(estimator, "files", lambda package: tmp_path)
    with pytest.raises(BundleError, match="starter bundle is not there; install enecg again"):
        EnECG.starter()


@pytest.mark.parametrize("options", [(), ("--expert", "ecgfounder:tiny")], ids=["ensemble", "expert"])
def test_doubts_stand_beside_the_answers(enecg, mixed, tmp_path, options):
    file, out = mixed / "wrong_gain.hea", tmp_path / "a.csv"
    _, shown, _ = enecg("predict", file, "--keep-poor", *options)
    assert "doubt: beats of " in shown
    _, record, _ = enecg("predict", file, "--keep-poor", "--json", *options)
    assert any("wrong unit or gain?" in doubt for doubt in json.loads(record)["doubts"])
    assert enecg("predict", file, mixed / "good.hea", "--keep-poor", "--out", out, *options)[0] == 0
    told, good = polars.read_csv(out)["doubts"].fill_null("").to_list()
    assert told == "; ".join(json.loads(record)["doubts"])
    assert good == ""


# -- an expert's own answers ---------------------------------------------------------------------------------------

FOUNDER = ("--expert", "ecgfounder:tiny")


def test_an_experts_own_answers_come_by_name_and_a_bad_file_costs_only_itself(enecg, mixed):
    code, out, err = enecg("predict", mixed, *FOUNDER, "--json")
    assert (code, err) == (1, "")
    found = {record["id"]: record for record in map(json.loads, out.splitlines())}
    assert set(found) == {path.stem for path in mixed.glob("*.hea")}
    assert "V3" in found.pop("unknown_lead")["refused"]
    for name, record in found.items():
        assert (record["refused"] is not None) == (name in REFUSED)
        assert len(record["answers"]) == (150 if name in ANSWERED else 0)
        assert (record["abstained"] is not None) == (name in ABSTAINED)
        assert (record["embedding"] is None) == (name in REFUSED)
        assert "random weights" in record["notes"][0]
    _, out, _ = enecg("predict", mixed / "wrong_gain.hea", *FOUNDER, "--json", "--keep-poor")
    assert len(json.loads(out)["answers"]) == 150


def test_the_screen_shows_the_likeliest_and_says_what_they_are_worth(enecg, mixed):
    code, out, _ = enecg("predict", mixed / "good.hea", mixed / "truncated.hea", *FOUNDER)
    assert code == 1
    good, bad = out.strip().split("\n\n")
    assert good.count("%  ") == 10
    assert "140 others" in good
    assert "ecgfounder:tiny: random weights" in good
    assert "refused: " in bad


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "jsonl"])
def test_own_answers_are_written_with_the_embeddings_beside_them(enecg, hearts, tmp_path, ending):
    out, array = tmp_path / f"a.{ending}", tmp_path / "e.npy"
    code, shown, err = enecg("predict", hearts, *FOUNDER, "--out", out, "--embeddings", array)
    assert (code, shown) == (0, "")
    assert f"6 of 6 recordings answered: {out}" in err
    assert numpy.load(array).shape == (6, 64)
    if ending in ("csv", "parquet"):
        table = polars.read_csv(out) if ending == "csv" else polars.read_parquet(out)
        assert table["SINUS RHYTHM"].is_between(0, 1).all()
        assert ("embedding" in table.columns) == (ending == "parquet")
    assert "random weights" in (out.read_text() if ending != "parquet" else table["notes"][0])


@pytest.mark.parametrize(
    "options",
    [
        (*FOUNDER, "--bundle", "b"),
        (*FOUNDER, "--tasks", "age"),
        (*FOUNDER, "--top-k", "1"),
        (*FOUNDER, "--coverage", "0.9"),
        (*FOUNDER, "--plot", "p.png"),
        (*FOUNDER, "--include-simulated"),
        ("--embeddings", "e.npy"),
    ],
)
def test_options_of_ensembles_and_of_experts_do_not_go_together(enecg, hearts, options):
    code, out, err = enecg("predict", hearts, *options)
    assert (code, out) == (2, "")
    assert next(option for option in options[::-1] if option.startswith("--")) in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--expert", "rocket"), "rocket has no answers of its own"),
        (("--expert", "ecgfounder"), "enecg experts pull ecgfounder"),
        ((*FOUNDER, "--out", "a.xlsx"), ".parquet"),
        ((*FOUNDER, "--embeddings", "a.csv"), ".npy"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_before_anything_is_read(enecg, tmp_path, options, said):
    (tmp_path / "a.hea").write_text("never read")
    code, out, err = enecg("predict", tmp_path / "a.hea", *options)
    assert (code, out) == (3, "")
    assert said in err
    assert "a.hea" not in err
    assert len(err.splitlines()) == 1


def test_where_an_expert_takes_no_recording_it_ends_with_3(enecg, mixed):
    assert enecg("predict", mixed / "truncated.hea", mixed / "too_short.hea", *FOUNDER)[0] == 3
