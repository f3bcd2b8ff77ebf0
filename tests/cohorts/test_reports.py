import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.cohorts._reports import rhythm_of_report
from enecg.tasks import RHYTHMS

SENTENCES = {
    # As the machines of MIMIC-IV-ECG write them, or as REFERENCE's list and published code quote them.
    "Sinus rhythm": "sinus rhythm",
    "Normal sinus rhythm": "sinus rhythm",
    "Marked sinus bradycardia": "sinus bradycardia",
    "Sinus tachycardia.": "sinus tachycardia",
    "Sinus arrhythmia": "sinus arrhythmia",
    "Sinus rhythm with 1st degree A-V block": "1st degree AV block",
    "Sinus rhythm with PAC(s)": "sinus with atrial premature beats",
    "Sinus rhythm with PACs.": "sinus with atrial premature beats",
    "Sinus rhythm with bigeminal PVCs": "sinus with ventricular premature beats",
    "Sinus bradycardia with PVC(s)": "sinus with ventricular premature beats",
    "Sinus rhythm with 2:1 A-V block": "AV block of 2nd or 3rd degree",
    "Sinus rhythm with 2nd degree A-V block, Mobitz I (Wenckebach)": "AV block of 2nd or 3rd degree",
    "AV block, complete (third degree)": "AV block of 2nd or 3rd degree",
    "Complete heart block": "AV block of 2nd or 3rd degree",
    "Atrial fibrillation with rapid ventricular response": "atrial fibrillation",
    "Atrial fibrillation with PVC(s) or aberrant ventricular conduction.": "atrial fibrillation",
    "Atrial flutter with 4:1 A-V block": "atrial flutter",
    "Supraventricular tachycardia": "supraventricular tachycardia",
    "Ectopic atrial tachycardia": "supraventricular tachycardia",
    "Ectopic atrial rhythm": "ectopic atrial rhythm",
    "Wandering atrial pacemaker": "ectopic atrial rhythm",
    "Junctional rhythm": "junctional rhythm",
    "Accelerated junctional rhythm": "junctional rhythm",
    "Wide-QRS tachycardia": "ventricular tachycardia",
    "Wide QRS tachycardia - possible supraventricular tachycardia": "ventricular tachycardia",
    "Ventricular pacing": "paced rhythm",
    "Demand pacing": "paced rhythm",
    "Atrial-sensed ventricular-paced rhythm": "paced rhythm",
    "A-V sequential pacemaker": "paced rhythm",
    "Pacemaker rhythm - no further analysis": "paced rhythm",
}
NONE = [
    "Undetermined rhythm",
    "Unknown rhythm, irregular rate",
    "Regular supraventricular rhythm",
    "Accelerated idioventricular rhythm",
    "Ventricular premature complex",  # beside no rhythm
    "Prolonged PR interval",
    "Left axis deviation",
    "ST junctional depression is nonspecific",
    "Supraventricular complexes",
    "Extreme tachycardia with wide complex",
    "2nd degree (Mobitz II) SA block",
    "Normal ECG except for rate",
    "Abnormal ECG",
    "",
]
HEDGED = {
    "Probable ventricular tachycardia": "ventricular tachycardia",
    "Possible ectopic atrial rhythm": "ectopic atrial rhythm",
    "Probable sinus tachycardia": "sinus tachycardia",
    "Sinus rhythm with borderline 1st degree A-V block": "1st degree AV block",
    "Sinus tachycardia with PVC(s) or aberrant ventricular conduction": "sinus with ventricular premature beats",
    "Atrial fibrillation/flutter": "atrial fibrillation",
    "Atrial fibrillation or flutter": "atrial fibrillation",
    "Cannot rule out junctional rhythm": "junctional rhythm",
    "Consider atrial flutter": "atrial flutter",
}


@pytest.mark.parametrize(("sentence", "rhythm"), SENTENCES.items())
def test_a_sentence_names_a_rhythm_whatever_its_capitals_and_stops(sentence, rhythm):
    for written in (sentence, sentence.upper(), f"*** {sentence} ***", f"  {sentence}. "):
        assert rhythm_of_report([written]) == rhythm


@pytest.mark.parametrize("sentence", NONE)
def test_what_names_no_rhythm_of_a_class_gives_none(sentence):
    assert rhythm_of_report([sentence]) is None
    assert rhythm_of_report([sentence], hedged=True) is None
    assert rhythm_of_report([]) is None


@pytest.mark.parametrize(("sentence", "rhythm"), HEDGED.items())
def test_what_is_hedged_counts_only_where_asked(sentence, rhythm):
    assert rhythm_of_report([sentence]) is None
    assert rhythm_of_report([sentence], hedged=True) == rhythm


@pytest.mark.parametrize(
    ("report", "rhythm"),
    [
        (["Sinus rhythm", "Possible right atrial abnormality", "Borderline ECG"], "sinus rhythm"),
        (["Sinus rhythm", "Ventricular premature complex", "Abnormal ECG"], "sinus with ventricular premature beats"),
        (["Sinus rhythm", "- premature ventricular contractions"], "sinus with ventricular premature beats"),
        (["Sinus tachycardia", "with 1st degree A-V block"], "1st degree AV block"),
        (["Sinus rhythm", "Prolonged PR interval"], "1st degree AV block"),
        # "or ..." goes on with the sentence before: the premature beats are in doubt, the fibrillation is not.
        (
            ["Atrial fibrillation", "- premature ventricular contractions", "or aberrant conduction"],
            "atrial fibrillation",
        ),
        (["Sinus rhythm", "- premature ventricular contractions", "or aberrant conduction"], None),
        (["Atrial fibrillation", "Ventricular pacing"], "paced rhythm"),
        (["Sinus rhythm", "Undetermined rhythm"], None),
        (["Sinus rhythm", "A-V dissociation"], None),
        (["Atrial fibrillation", "A-V dissociation"], "atrial fibrillation"),
        (["Sinus rhythm", "Unusual P axis, possible ectopic atrial rhythm"], None),
        (["Sinus rhythm", "Multiple premature complexes, vent & supraven"], None),
        (["--- Warning: Data quality may affect interpretation ---", "Sinus rhythm"], None),
        (["Sinus rhythm", "Poor quality data, interpretation may be adversely affected"], None),
        (["*** Consider acute ST elevation MI ***", "Sinus rhythm"], "sinus rhythm"),
        (["Sinus rhythm", "Junctional ST depression, probably normal"], "sinus rhythm"),
    ],
)
def test_a_report_s_sentences_together_name_the_rhythm(report, rhythm):
    assert rhythm_of_report(report) == rhythm


def test_poor_data_put_a_whole_report_in_doubt():
    report = ["Warning: data quality may affect interpretation", "Sinus rhythm"]
    assert rhythm_of_report(report, hedged=True) == "sinus rhythm"


@given(st.lists(st.sampled_from([*SENTENCES, *NONE, *HEDGED]), max_size=4))
def test_a_certain_rhythm_is_the_one_that_all_sentences_allow(report):
    found, all_ = rhythm_of_report(report), rhythm_of_report(report, hedged=True)
    assert found in (None, all_)
    assert all_ is None or all_ in RHYTHMS
    assert rhythm_of_report([*report, "Left axis deviation"]) == found
