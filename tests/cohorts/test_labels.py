import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.cohorts._labels import (
    RHYTHM_OF_CODE,
    RHYTHM_OF_STATEMENT,
    SINUS,
    WITH_SINUS,
    WITHOUT_CLASS,
    first_match,
    rhythm_of_codes,
    rhythm_of_statements,
)
from enecg.tasks import RHYTHMS, STATEMENTS

ORDER = list(RHYTHMS)


def test_every_label_leads_to_a_class_of_the_task():
    assert set(RHYTHM_OF_CODE.values()) == set(RHYTHMS)
    assert set(RHYTHM_OF_STATEMENT.values()) | set(WITH_SINUS.values()) < set(RHYTHMS)
    assert {*RHYTHM_OF_STATEMENT, *WITH_SINUS} < set(STATEMENTS)
    assert not WITHOUT_CLASS & {*RHYTHM_OF_CODE, *RHYTHM_OF_STATEMENT, *WITH_SINUS}


@pytest.mark.parametrize(("name", "code"), RHYTHMS.items())
def test_a_class_s_own_code_is_that_class(name, code):
    assert rhythm_of_codes({code}) == name


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(RHYTHMS.items(), 2)))
def test_of_two_codes_the_class_that_stands_first_counts(first, second):
    (name, code), (_, other) = first, second
    found = rhythm_of_codes({other, code})
    # 1st degree block beside "AV block" is the same block; otherwise the list's order decides.
    assert found == ("1st degree AV block" if {code, other} == {233917008, 270492004} else name)


@given(st.sets(st.sampled_from([*STATEMENTS, "XYZ", ""])))
def test_statements_give_the_first_class_that_applies_or_none(statements):
    found = rhythm_of_statements(statements)
    own = [RHYTHM_OF_STATEMENT[code] for code in statements if code in RHYTHM_OF_STATEMENT]
    if found is None:
        sinus_only = all(
            name in ("sinus rhythm", "sinus arrhythmia", "sinus bradycardia", "sinus tachycardia") for name in own
        )
        assert not own or (sinus_only and statements & {"SVARR", "BIGU", "TRIGU"})
    elif own:
        assert ORDER.index(found) <= min(ORDER.index(name) for name in own)


@given(st.sets(st.sampled_from(STATEMENTS)), st.randoms())
def test_the_order_of_labels_does_not_matter(statements, random):
    shuffled = list(statements)
    random.shuffle(shuffled)
    assert rhythm_of_statements(shuffled) == rhythm_of_statements(statements)


@pytest.mark.parametrize(
    ("statements", "rhythm"),
    [
        ("NORM SR", "sinus rhythm"),
        ("NORM", None),
        ("", None),
        ("PVC", None),  # no rhythm stated beside it
        ("PAC 1AVB LPR", None),
        ("PVC SR", "sinus with ventricular premature beats"),
        ("PAC STACH", "sinus with atrial premature beats"),
        ("PVC PAC SARRH", "sinus with ventricular premature beats"),
        ("PVC AFIB", "atrial fibrillation"),
        ("1AVB SBRAD", "1st degree AV block"),
        ("LPR SR", "1st degree AV block"),
        ("3AVB SR", "AV block of 2nd or 3rd degree"),
        ("PACE AFIB", "paced rhythm"),
        ("AFLT AFIB", "atrial flutter"),
        ("SBRAD SARRH", "sinus arrhythmia"),
        ("BIGU SR", None),  # of unknown origin
        ("TRIGU STACH", None),
        ("BIGU PAC SR", "sinus with atrial premature beats"),
        ("TRIGU PVC SR", "sinus with ventricular premature beats"),
        ("BIGU AFIB", "atrial fibrillation"),
        ("SVARR", None),
        ("SVARR SR", None),
        ("SVARR PSVT", "supraventricular tachycardia"),
    ],
)
def test_ptbxl_s_statements_become_rhythms(statements, rhythm):
    assert rhythm_of_statements(set(statements.split())) == rhythm


@pytest.mark.parametrize(
    ("codes", "rhythm"),
    [
        ({426783006, 427172004}, "sinus with ventricular premature beats"),
        ({284470004}, "sinus with atrial premature beats"),
        ({164884008, 426783006}, "sinus with ventricular premature beats"),  # ventricular ectopics
        ({63593006, 426177001}, "sinus with atrial premature beats"),
        ({17338001, 164889003}, "atrial fibrillation"),
        ({233917008, 270492004}, "1st degree AV block"),
        ({233917008, 270492004, 195042002}, "AV block of 2nd or 3rd degree"),
        ({27885002, 426783006}, "AV block of 2nd or 3rd degree"),
        ({713422000}, "supraventricular tachycardia"),
        ({164896001, 426783006}, None),  # ventricular fibrillation is none of the classes, least of all sinus rhythm
        ({195080001, 427172004}, None),  # fibrillation or flutter, with premature beats
        ({282825002}, None),
        ({81898007, 10370003}, "paced rhythm"),
        ({426627000}, None),  # "bradycardia" does not say which
        ({39732003, 164934002}, None),  # axis and T wave say nothing of the rhythm
        (set(), None),
    ],
)
def test_snomed_codes_become_rhythms(codes, rhythm):
    assert rhythm_of_codes(codes) == rhythm


@given(st.sets(st.integers(min_value=0), max_size=5))
def test_codes_that_are_not_known_name_no_rhythm(codes):
    unknown = codes - set(RHYTHM_OF_CODE)
    assert rhythm_of_codes(unknown) is None


@pytest.mark.parametrize("sinus", SINUS)
@pytest.mark.parametrize("other", sorted(map(str, WITHOUT_CLASS)))
def test_a_rhythm_without_class_is_never_called_a_sinus_rhythm(sinus, other):
    label = int(other) if other.isdigit() else other
    code = RHYTHMS[RHYTHM_OF_STATEMENT[sinus]]
    found = rhythm_of_codes({label, code}) if isinstance(label, int) else rhythm_of_statements({label, sinus})
    assert found is None


def test_the_first_match_is_the_list_s_and_nothing_is_none():
    assert first_match(["sinus rhythm", "paced rhythm"]) == "paced rhythm"
    assert first_match([]) is None
    assert first_match(["no rhythm of ours"]) is None
