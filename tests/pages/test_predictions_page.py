"""The page of answers says what the predictions say, whatever they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import ReadError
from enecg.pages import Shown, predictions_page
from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import LazyRecording, Recording, Source
from enecg.report import REMARKS
from enecg.simulation import simulate_one
from enecg.tasks import TASKS, Task

WEIGHTS = {"rocket": 0.25, "measurements": 0.75}
CHANCES = {"NORM": 0.02, "MI": 0.81, "STTC": 0.42, "CD": 0.3, "HYP": 0.001}


def age(**changes):
    own = {"rocket": 50.0, "measurements": 71.0}
    made = {"value": 61.3, "low": 40.25, "high": 82.75, "weights": WEIGHTS, "by_expert": own}
    return TaskPrediction(task=TASKS["age"], **(made | changes))


def sex(**changes):
    chances = {"male": 0.3, "female": 0.7}
    own = {"rocket": {"male": 0.6, "female": 0.4}, "measurements": {"male": 0.2, "female": 0.8}}
    made = {"value": "female", "probabilities": chances, "members": ("male", "female"), "by_expert": own}
    return TaskPrediction(task=TASKS["sex"], **(made | {"weights": WEIGHTS} | changes))


def superclass(**changes):
    made = {"value": ("MI",), "probabilities": CHANCES, "members": ("MI",), "undecided": ("STTC",)}
    own = {name: {label: p / 2 for label, p in CHANCES.items()} for name in WEIGHTS}
    return TaskPrediction(task=TASKS["superclass"], **(made | {"weights": WEIGHTS, "by_expert": own} | changes))


def potassium(**changes):
    chances = {"low": 0.6, "normal": 0.3, "high": 0.1, "abnormal": 0.7}
    made = {"value": "low", "probabilities": chances, "members": ("low", "normal"), "simulated": True}
    return TaskPrediction(task=TASKS["potassium"], weights={"rocket": 1.0}, **(made | changes))


def rhythm(**changes):
    classes = TASKS["rhythm"].classes
    chances = dict(zip(classes, [0.4, 0.3, *[0.3 / 13] * 13], strict=True))
    made = {"value": classes[0], "probabilities": chances, "members": classes[:2], "weights": WEIGHTS}
    return TaskPrediction(task=TASKS["rhythm"], **(made | changes))


def prediction(**changes):
    answers = {own.task.name: own for own in (age(), sex(), superclass(), potassium(), rhythm())}
    made = {"id": "one", "quality": 0.873, "experts": tuple(WEIGHTS), "answers": answers}
    return Prediction(**(made | changes))


@pytest.fixture(scope="module")
def recording():
    return simulate_one(3, 0, rate=250.0).recording


@pytest.fixture
def page(parsed):
    def make(*shown):
        return parsed(predictions_page([one if isinstance(one, Shown) else Shown(one) for one in shown]))

    return make


def bars(page, class_):
    return [one for one in page.all("rect") if one.get("class") == class_]


def number(one, *names):
    return [float(one[name]) for name in names]


def test_every_answer_is_there_with_its_certainty(page):
    text = page(prediction()).text
    for said in (
        "61 years",
        "40 to 83 years at 90% coverage",
        "female 70%",
        "or male: not ruled out at 90% coverage",
        "MI 81%",
        "yes to MI, undecided about STTC, no to all others, at 90% coverage",
        "paced rhythm 40%",
        "or ventricular tachycardia: not ruled out at 90% coverage",
    ):
        assert said in text, said


def test_the_interval_drawn_is_the_interval(page):
    """The dot stands on the bar as the value in the interval, and each expert's ring where it belongs."""
    made = page(prediction(answers={"age": age()}))
    [bar] = bars(made, "bar")
    x, width = number(bar, "x", "width")
    [dot] = [one for one in made.all("circle") if one["class"] == "dot"]
    rings = [one for one in made.all("circle") if one["class"] == "ring"]
    per_pixel = (82.75 - 40.25) / width
    for one, value in [(dot, 61.3), *zip(rings, (71.0, 50.0), strict=True)]:  # the heaviest expert first
        assert 40.25 + (float(one["cx"]) - x) * per_pixel == pytest.approx(value, abs=per_pixel * 0.02)


def test_the_bars_drawn_are_the_probabilities(page):
    made = page(prediction(quality=None, answers={"superclass": superclass(weights={}, by_expert={})}))
    full = [one for one in made.all("rect") if one["class"] in ("full", "faint")]
    tracks = bars(made, "track")
    shares = [number(one, "width")[0] / number(track, "width")[0] for one, track in zip(full, tracks, strict=True)]
    assert shares == pytest.approx(sorted(CHANCES.values(), reverse=True), abs=0.001)
    assert [one["class"] for one in full] == ["full", "full", "faint", "faint", "faint"]


def test_each_experts_weight_and_own_opinion_stand_beside_the_answer(page):
    rows = [one["text"] for one in page(prediction(answers={"sex": sex()})).all("tr")]
    assert [row for row in rows if row.startswith("measurements")] == ["measurements 75%female 80%"]
    assert [row for row in rows if row.startswith("rocket")] == ["rocket 25%male 60%"]


def test_an_expert_that_said_nothing_is_told_so(page):
    answer = sex(by_expert={"rocket": {"male": 0.6, "female": 0.4}})
    assert "measurements 75%nothing" in [one["text"] for one in page(prediction(answers={"sex": answer})).all("tr")]
    assert "measurements 75%nothing" in [
        one["text"] for one in page(prediction(answers={"age": age(by_expert={"rocket": 50.0})})).all("tr")
    ]


def test_whatever_is_left_or_undecided_is_shown_and_the_rest_is_counted(page):
    labels = tuple(f"label {k:02}" for k in range(71))
    chances = {name: 0.9 - 0.012 * k for k, name in enumerate(labels)}
    answer = TaskPrediction(
        task=Task("many", "multilabel", labels),
        value=labels[:2],
        probabilities=chances,
        members=labels[:3],
        undecided=labels[20:32],
        weights={"rocket": 1.0},
    )
    text = page(prediction(answers={"many": answer})).text
    assert sum(name in text for name in labels) == 15
    assert "56 others" in text
    assert "each 86% at most" in text


def test_groups_say_what_they_stand_for_and_have_no_place_in_the_set(page):
    rows = [one["text"] for one in page(prediction(answers={"potassium": potassium()})).all("tr")]
    assert "abnormal (low or high)70%" in rows
    assert "high10%ruled out" in rows


def test_marks_and_notes_say_what_to_beware_of(page):
    answers = {"age": age(calibrated=False), "potassium": potassium()}
    made = page(prediction(answers=answers, notes=("st-mem: for non-commercial use", "founder: random weights")))
    assert [one["text"] for one in made.all("span", class_="mark")] == ["uncalibrated", "simulated"]
    for said in ("non-commercial", "random weights", *REMARKS.values(), "which is not promised for these experts"):
        assert said in made.text, said


def test_what_the_file_said_and_the_reader_decided_is_told(page, recording):
    shown = replace(
        recording,
        notes=("aVR is derived", "unit taken for mV"),
        statements=("Sinus rhythm",),
        measurements={"p_axis_deg": 40.0, "odd": 1.5},
        device="Carter 3000",
        source=Source(Path("x.xml"), "HL7 aECG"),
    )
    text = page(Shown(prediction(path=Path("folder/x.xml")), shown)).text
    for said in (
        "aVR is derived",
        "unit taken for mV",
        "Sinus rhythm",
        "p axis 40 deg, odd 1.5",
        "Carter 3000",
        "HL7 aECG",
    ):
        assert said in text, said
    assert "folder/x.xml" in text


def test_quality_comes_with_its_reasons(page, recording):
    signal = recording.signal.copy()
    signal[7] = 0
    told = ("the limb electrodes LA and RA may be exchanged", "V2: no signal")
    text = page(Shown(prediction(doubts=told), replace(recording, signal=signal))).text
    assert "0.87 of 1" in text
    assert "V2: flat" in text
    assert all(text.count(one) == 1 for one in told)
    assert told[0] in page(prediction(doubts=told)).text, "without the recording"


def test_a_refused_recording_and_one_of_poor_quality_say_why_and_answer_nothing(page, recording):
    why = "signal quality 0.03 is below 0.3: flat"
    poor = prediction(id="poor", quality=0.03, answers={"age": age(value=None, abstained=why)})
    refused = prediction(id="bad", refused="bad.hea: cut short", quality=None, answers={})
    made = page(Shown(poor, recording), Shown(refused), prediction())
    assert f"No answers: {why}" in made.text
    assert "Refused: bad.hea: cut short" in made.text
    assert len(made.all("article")) == 5
    assert len(made.all("svg", class_="paper")) == 1
    assert "1 of 3 recordings answered" in made.text


def test_one_answer_that_was_kept_back_leaves_the_others(page):
    made = page(prediction(answers={"age": age(value=None, abstained="no expert"), "sex": sex()}))
    assert "No answer: no expert" in made.text
    assert "female 70%" in made.text


class Gone(LazyRecording):
    id, subject, key = "gone", None, "gone"

    def read(self):
        raise ReadError("gone.hea: no such file <any more>")


def test_a_file_that_is_gone_since_costs_its_picture_only(page):
    made = page(Shown(prediction(), Gone()))
    assert "Not drawn: gone.hea: no such file <any more>" in made.text
    assert len(made.all("article")) == 5
    refused = page(Shown(prediction(refused="gone.hea: no such file <any more>", answers={}), Gone()))
    assert refused.text.count("any more") == 1


def test_many_recordings_have_an_index_and_one_has_none(page):
    made = page(*(prediction(id=f"ecg {k}", doubts=("odd", "strange")[:k]) for k in range(3)))
    cells = [one["text"] for one in made.all("td") if one["text"].startswith("0.87")]
    assert cells == ["0.87", "0.87, 1 doubt", "0.87, 2 doubts"]
    links = made.all("a")
    assert [one["text"] for one in links] == ["ecg 0", "ecg 1", "ecg 2"]
    assert [one["href"] for one in links] == ["#recording-1", "#recording-2", "#recording-3"]
    assert len(made.all("section", id="recording-2")) == 1
    assert not page(prediction()).all("a")


HOSTILE = '</style></title><script>alert("1")</script><img src=x onerror=alert(1)>\'"&amp;\x00\u202e'


def hostile(text):
    """Where whoever makes a file or a task can say something."""
    task = Task("own", "multiclass", (text + "a", text + "b"), unit=text, description=text)
    classes = task.classes
    answer = TaskPrediction(
        task=task,
        value=classes[0],
        probabilities=dict.fromkeys(classes, 0.5),
        members=classes,
        weights={text: 1.0},
        by_expert={text: dict.fromkeys(classes, 0.5)},
    )
    value = TaskPrediction(task=Task("v", "regression", unit=text), value=1.0, low=0.0, high=2.0, weights={text: 1.0})
    facts = {"id": text, "device": text, "notes": (text,), "statements": (text,), "measurements": {text: 1.0}}
    shown = Recording(signal=np.zeros((1, 500), np.float32), rate=100, leads=("II",), **facts)
    made = Prediction(
        id=text, path=Path(text.replace("\x00", "") or "x"), notes=(text,), answers={"own": answer, "v": value}
    )
    kept = {"own": replace(answer, abstained=text), "v": replace(value, abstained=text)}
    return [Shown(made, shown), Shown(Prediction(id=text, refused=text)), Shown(replace(made, answers=kept))]


def test_nothing_that_is_given_becomes_html(page):
    made = page(*hostile(HOSTILE))
    seen = HOSTILE.replace("\x00", r"\x00").replace("\u202e", r"\u202e")
    assert made.text.count(seen) > 12
    assert made.all("title")[0]["text"] == "Answers to 3 ECG recordings"


@settings(max_examples=40)
@given(st.text(st.characters(codec=None), max_size=30))
def test_whatever_is_given_the_page_is_whole(parsed, said):
    parsed(predictions_page(hostile(said)))


def test_the_same_answers_make_the_same_page(recording):
    pages = ["".join(predictions_page([Shown(prediction(), recording)] * 2)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_the_ensemble_says_what_taught_it_and_how_good_it_was(fitted, parsed, recording):
    made = parsed(predictions_page([Shown(fitted.predict([recording])[0], recording)], fitted, "bundle x"))
    assert "bundle x of rocket-small, measurements" in made.text
    assert "Learned from 120 recordings of 60 subjects: simulated." in made.text
    assert "Only simulated recordings taught age." in made.text


def test_random_weights_are_told_of_the_ensemble_and_of_each_answer(half_random, parsed, recording):
    made = parsed(predictions_page([Shown(half_random.predict([recording])[0], recording)], half_random))
    assert made.text.count("ecgfounder:tiny: random weights: it knows nothing") == 2


def test_words_stand_out_from_the_paper_they_are_on():
    """WCAG 2: contrast of 4.5 at least for words, 3 for what is drawn."""
    import re
    from importlib.resources import files

    style = files("enecg.pages").joinpath("style.css").read_text()
    colours = dict(re.findall(r"--(\w+): (#\w{6})", style))

    def light(colour):
        rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    for name in ("ink", "grey", "blue"):
        assert 1.05 / light(colours[name]) > 4.5
    assert light("#fff6e5") / light("#7a4700") > 4.5
    assert light("#fff6e5") / light(colours["ink"]) > 4.5
    assert light("#e0968f") / light(colours["ink"]) > 3
    assert 1.05 / light("#8d8d99") > 3
