"""A page of answers: for each recording its ECG, what was answered and how surely, by whom, and what to beware of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enecg import report
from enecg._version import __version__
from enecg.errors import EnECGError
from enecg.evaluation import cell_text
from enecg.pages._document import document, research_only
from enecg.pages._figures import Scale, axis, interval, share
from enecg.pages._html import Html, element, items, joined, table
from enecg.pages._paper import paper
from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import LazyRecording, Recording
from enecg.signal.quality import assess

if TYPE_CHECKING:
    from enecg.estimator import EnECG

MOST = 500
"""Recordings on a page: more, and no browser is pleased. Tables have no such limit."""

_UNITS = ("ms", "bpm", "deg", "mv", "uv", "percent")
"""With which names of measurements end."""
_CLASSES = 8
"""Classes that are shown of an answer, unless more of them are left."""


@dataclass(frozen=True)
class Shown:
    """A prediction and the recording that it is of, read when its turn comes."""

    prediction: Prediction
    recording: Recording | LazyRecording | None = None

    def read(self) -> tuple[Recording | None, str | None]:
        """The recording, or why there is none."""
        if not isinstance(self.recording, LazyRecording):
            return self.recording, None
        try:
            return self.recording.read(), None
        except EnECGError as error:
            return None, str(error)


def predictions_page(shown: Sequence[Shown], model: "EnECG | None" = None, called: str = "") -> Iterator[Html]:
    """The page, a part at a time. model : that answered;  called : its name."""
    many = len(shown)
    title = f"{_name(shown[0].prediction)}: answers" if many == 1 else f"Answers to {many} ECG recordings"
    yield from document(title, _parts(title, shown, model, called))


def _parts(title: str, shown: Sequence[Shown], model: "EnECG | None", called: str) -> Iterator[Html]:
    yield element("header", element("h1", title), _subtitle(model, called), research_only())
    if len(shown) > 1:
        yield _index([one.prediction for one in shown])
    for number, one in enumerate(shown, 1):
        yield _section(number, one)
    yield element("footer", _how_to_read(one.prediction for one in shown), _about(model))


def _subtitle(model: "EnECG | None", called: str) -> Html:
    said = f"enecg {__version__}"
    if model is not None:
        experts = ", ".join(model.expert_names())
        said += f" · {called or 'ensemble'} of {experts}"
    return element("p", said, class_="small")


def _name(prediction: Prediction) -> str:
    return prediction.id or (prediction.path.stem if prediction.path else "recording")


# -- many recordings -----------------------------------------------------------------------------------------------


def _index(predictions: Sequence[Prediction]) -> Html:
    tasks = list(dict.fromkeys(name for one in predictions for name in one.answers))
    rows = []
    for number, one in enumerate(predictions, 1):
        link = element("a", _name(one), href=f"#recording-{number}")
        reason = report.abstention(one)
        why = f"refused: {one.refused}" if one.refused is not None else f"no answers: {reason}" if reason else None
        if why is not None:
            rows.append([link, _quality(one), element("td", why, colspan=len(tasks) or None)])
            continue
        cells = [_short_answer(one.answers[name]) if name in one.answers else "" for name in tasks]
        rows.append([link, _quality(one), *cells])
    head = ["recording", "quality", *(name.replace("_", " ") for name in tasks)]
    answered = sum(one.refused is None and report.abstention(one) is None for one in predictions)
    caption = f"{answered} of {len(predictions)} recordings answered"
    return element("nav", element("h2", "Index"), table(caption, head, rows, "index"), aria_label="recordings")


def _short_answer(answer: TaskPrediction) -> str:
    marks = "".join(f" [{mark}]" for mark in report.remarks(answer))
    return report.value_text(answer) + marks


def _quality(prediction: Prediction) -> str:
    grade = [] if prediction.quality is None else [f"{prediction.quality:.2f}"]
    return ", ".join(grade + ([_counted(len(prediction.doubts), "doubt")] if prediction.doubts else []))


# -- one recording -------------------------------------------------------------------------------------------------


def _section(number: int, shown: Shown) -> Html:
    prediction = shown.prediction
    recording, why = shown.read()
    parts = [element("h2", _name(prediction)), _facts(prediction, recording)]
    if recording is not None:
        parts.append(paper(recording))
    elif why is not None and why != prediction.refused:
        parts.append(element("p", f"Not drawn: {why}", class_="warning"))
    stop = _stop(prediction)
    parts += [stop] if stop else []
    parts.append(element("div", *_known(prediction, recording), class_="columns"))
    if not stop and prediction.answers:
        cards = [_card(name, answer) for name, answer in prediction.answers.items()]
        parts += [element("h3", "Answers"), element("div", *cards, class_="cards")]
    return element("section", *parts, id=f"recording-{number}")


def _stop(prediction: Prediction) -> Html:
    """Why there is no answer at all."""
    for said, why in (("Refused", prediction.refused), ("No answers", report.abstention(prediction))):
        if why is not None:
            return element("p", element("strong", f"{said}: "), why, class_="warning")
    return Html()


def _facts(prediction: Prediction, recording: Recording | None) -> Html:
    """Whose, when, how long; the file."""
    said: list[object] = []
    if recording is not None:
        if "simulated" in (*recording.notes, *recording.statements):
            said.append(element("strong", "simulated"))
        said += [recording.sex or "", "" if recording.age is None else f"{recording.age:.0f} years"]
        said.append("" if recording.acquired is None else recording.acquired.strftime("%Y-%m-%d %H:%M"))
        said.append(f"{recording.seconds:.1f} s at {recording.rate:g} Hz, {_counted(recording.n_leads, 'lead')}")
        said += [recording.device or "", "" if recording.source is None else recording.source.format]
    path = "" if prediction.path is None else element("code", prediction.path)
    return element("p", joined((part for part in (*said, path) if part), " · "), class_="small")


def _counted(n: int, name: str) -> str:
    return f"{n} {name}" if n == 1 else f"{n} {name}s"


def _known(prediction: Prediction, recording: Recording | None) -> list[Html]:
    """Quality and its reasons, doubts, what the reader decided, what the machine said, what to know of the experts."""
    boxes: list[Html] = []
    grade, reasons = prediction.quality, tuple[str, ...]()
    if recording is not None:
        found = assess(recording.signal, recording.rate, recording.leads)
        grade, reasons = found.grade if grade is None else grade, found.reasons
    if grade is not None:
        said = f"{grade:.2f} of 1" + ("" if reasons else ": nothing wrong was found" if grade > 0.99 else "")
        boxes.append(_box("Signal quality", share(grade), element("p", said), items(reasons)))
    if prediction.doubts:
        beware = element("p", "See for yourself: neither the signal nor an answer was changed for it.")
        boxes.append(_box("What may be wrong with it", items(prediction.doubts), beware))
    if recording is not None:
        boxes.append(_box("What the reader decided", items(recording.notes) or element("p", "Nothing.")))
        if recording.measurements or recording.statements:
            values = ", ".join(_measured(name, value) for name, value in recording.measurements.items())
            measured = element("p", values) if values else Html()
            boxes.append(_box("The machine's own", measured, items(recording.statements)))
    if prediction.notes:
        boxes.append(_box("To be known of the experts", items(prediction.notes)))
    return boxes


def _measured(name: str, value: float) -> str:
    """`p_axis_deg`, 40 as p axis 40 deg."""
    said, _, unit = name.rpartition("_")
    if unit not in _UNITS:
        return f"{name} {value:g}"
    return f"{said.replace('_', ' ')} {value:g} {unit}"


def _box(title: str, *parts: Html) -> Html:
    return element("div", element("h3", title), *parts)


# -- one answer ----------------------------------------------------------------------------------------------------


def _card(name: str, answer: TaskPrediction) -> Html:
    marks = (element("span", mark, class_="mark", title=report.REMARKS[mark]) for mark in report.remarks(answer))
    parts = [element("h4", joined([name.replace("_", " "), *marks], " "))]
    if answer.task.description:
        parts.append(element("p", answer.task.description, class_="small"))
    if answer.abstained is not None:
        return element("article", *parts, element("p", "No answer: ", answer.abstained))
    parts.append(element("p", report.value_text(answer), class_="value"))
    parts.append(element("p", _certainty(answer)))
    parts.append(_number_table(answer) if answer.task.kind == "regression" else _class_tables(answer))
    return element("article", *parts)


def _certainty(answer: TaskPrediction) -> str:
    """What else may be true, as a sentence."""
    at = f"at {report.percent(answer.coverage)} coverage"
    if not answer.calibrated:
        at += ", which is not promised for these experts"
    said = report.certainty_text(answer)
    if answer.task.kind == "regression":
        return f"{said} {answer.task.unit or ''}".rstrip() + f" {at}" if said else "No interval is known."
    if answer.task.kind == "multilabel":
        yes = [f"yes to {', '.join(answer.members)}"] if answer.members else []
        either = [f"undecided about {', '.join(answer.undecided)}"] if answer.undecided else []
        rest = "no to all others" if yes or either else "no to all of them"
        return f"{', '.join([*yes, *either, rest])}, {at}"
    words = {"no other": "nothing else is left", "none is likely": "no class is likely: the set is empty"}
    return f"{words.get(said, f'{said}: not ruled out')} {at}"


def _ranked(answer: TaskPrediction) -> list[str]:
    """Experts, the heaviest first."""
    return [name for name, _ in sorted(answer.weights.items(), key=lambda pair: -pair[1])]


def _number_table(answer: TaskPrediction) -> Html:
    """The answer and each expert's own on one scale."""
    own = {name: value for name, value in answer.by_expert.items() if isinstance(value, float)}
    value = answer.value if isinstance(answer.value, float) else float("nan")
    scale = Scale.of([value, *own.values(), *(end for end in (answer.low, answer.high) if end is not None)])
    width = None if answer.low is None or answer.high is None else answer.high - answer.low
    whole = interval(scale, value, answer.low, answer.high)
    rows: list[list[object]] = [["ensemble", "", report.value_text(answer), whole]]
    for name in _ranked(answer):
        said = report.number(own[name], width) if name in own else "nothing"
        drawn = interval(scale, own[name], ring=True) if name in own else Html()
        rows.append([name, _weight(answer, name), said, drawn])
    rows.append(["", "", "", axis(scale)])
    return table(Html(), ["", "weight", "says", answer.task.unit or ""], rows, "experts")


def _class_tables(answer: TaskPrediction) -> Html:
    """Classes with their probabilities, each expert's own as rings; then the experts."""
    own = {name: value for name, value in answer.by_expert.items() if isinstance(value, Mapping)}
    names = _shown_classes(answer)
    rows = []
    for name in names:
        chance = answer.probabilities[name]
        rings = [value[name] for value in own.values() if name in value]
        state = _state(answer, name)
        drawn = share(chance, rings, state not in ("ruled out", "no", ""))
        rows.append([_class_name(answer, name), report.percent(chance), drawn, state])
    rest = [p for name, p in answer.probabilities.items() if name not in names]
    if rest:
        rows.append([f"{len(rest)} others", element("td", f"each {report.percent(max(rest))} at most", colspan=3)])
    head = ["", "chance", "", f"at {report.percent(answer.coverage)}"]
    classes = table(Html(), head, rows, "classes")
    opinions = {name: _opinion(answer, value) for name, value in own.items()}
    experts = [[name, _weight(answer, name), opinions.get(name, "nothing")] for name in _ranked(answer)]
    return Html(classes + table(Html(), ["expert", "weight", "says by itself"], experts, "experts"))


def _shown_classes(answer: TaskPrediction) -> list[str]:
    """What was found, what is left or undecided, and the likeliest others; in order of probability."""
    value = answer.value if isinstance(answer.value, tuple) else (answer.value,)
    needed = {*value, *answer.members, *answer.undecided}
    ranked = sorted(answer.probabilities, key=lambda name: -answer.probabilities[name])
    few = len(ranked) <= _CLASSES
    chosen = [name for name in ranked if few or name in needed]
    likely = [name for name in ranked if name not in chosen and answer.probabilities[name] >= 0.01]
    chosen += likely[: max(0, _CLASSES - len(chosen))]
    return sorted(chosen, key=lambda name: -answer.probabilities[name])


def _class_name(answer: TaskPrediction, name: str) -> str:
    group = answer.task.merged.get(name)
    return name if group is None else f"{name} ({' or '.join(group)})"


def _state(answer: TaskPrediction, name: str) -> str:
    """Whether a class is left at the coverage; nothing of groups, whose members are told."""
    if name in answer.task.merged:
        return ""
    if answer.task.kind == "multilabel":
        return "yes" if name in answer.members else "undecided" if name in answer.undecided else "no"
    return "not ruled out" if name in answer.members else "ruled out"


def _opinion(answer: TaskPrediction, own: Mapping[str, float]) -> str:
    """One expert's own answer."""
    if answer.task.kind == "multilabel":
        found = [name for name in answer.task.classes if own[name] >= 0.5]
        return ", ".join(f"{name} {report.percent(own[name])}" for name in found) or "none of them"
    top = max(answer.task.classes, key=lambda name: own[name])
    return f"{top} {report.percent(own[top])}"


def _weight(answer: TaskPrediction, name: str) -> Html:
    weight = answer.weights[name]
    return element("td", share(weight, length=52.0), " ", report.percent(weight), class_="weight")


# -- what holds for all --------------------------------------------------------------------------------------------


def _how_to_read(predictions: Iterable[Prediction]) -> Html:
    answers = [answer for one in predictions for answer in one.answers.values()]
    covers = " or ".join(sorted({report.percent(answer.coverage) for answer in answers})) or "90%"
    said = [
        f"Coverage: a range, or the classes not ruled out, hold the truth for {covers} of people like those that "
        "calibrated it. For people or machines unlike them this is not promised.",
        "Bars and full dots are the ensemble's, rings each expert's own; a bar is filled where the class is not ruled "
        "out. An expert's weight is its share in the answer.",
        "Quality is from 0 (useless) to 1 (nothing wrong); recordings of low quality are not answered.",
    ]
    marks = dict.fromkeys(mark for answer in answers for mark in report.remarks(answer))
    said += [f"[{mark}] {report.REMARKS[mark]}." for mark in marks]
    return element("section", element("h2", "How to read this page"), items(said))


def _about(model: "EnECG | None") -> Html:
    """What the ensemble learned from, how good it was found to be, what must be known of it."""
    if model is None:
        return Html()
    learned = model.training_
    said = [
        f"Learned from {learned['n_recordings']:,} recordings of {learned['n_subjects']:,} subjects: "
        f"{', '.join(learned['cohorts'])}."
    ]
    said += [f"Only simulated recordings taught {name}." for name in sorted(model.simulated_tasks_)]
    said += [f"{name}: {caveat}." for name, caveat in model.caveats().items()]
    parts = [element("h2", "The ensemble"), items(said)]
    rows = [
        [row["task"], row["metric"], cell_text(row), f"{row['n']:,}" if "n" in row else ""] for row in model.results_
    ]
    if rows:
        head = ["task", "figure", "value (95 % interval)", "recordings"]
        parts.append(table("How good it was on people that it had not seen", head, rows))
    return element("section", *parts)
