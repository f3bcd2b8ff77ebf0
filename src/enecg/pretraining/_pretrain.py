"""From recordings to an expert: stages of training, one after the other, on one network."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from enecg.errors import ExpertError, FitError
from enecg.experts import Note, expert_names, get_expert
from enecg.experts._network import RANDOM
from enecg.experts._registry import NETWORKS, split_name
from enecg.experts._variant import check_free, keep_variant, variant_folder
from enecg.experts.learned import Learned, TokenNetwork
from enecg.files import sweep
from enecg.inputs import Item, Targets, subject_digest
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import find_objective
from enecg.pretraining._teacher import Taught
from enecg.pretraining._training import Checked, Training, TrainSettings
from enecg.pretraining.curation import Learnability
from enecg.progress import Bar, progress_bar
from enecg.store import as_items
from enecg.tasks import Task, get_task

WARM_UP = "reorder"
"""The objective of a warm start (arXiv 2306.09320): self-supervision on the same training recordings."""

WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class Stage:
    """One objective, and how the network is trained for it.

    of : each step learns from those of `of` times as many windows that teach most (`curation`); 1: from all of them.
    """

    objective: str
    settings: TrainSettings = field(default_factory=TrainSettings)
    of: int = 1


def pretrain(
    network: str,
    name: str,
    recordings: Sequence[Item],
    stages: Sequence[Stage],
    targets: Targets | None = None,
    tasks: Sequence[str | Task] = (),
    subjects: Sequence[str | None] | None = None,
    *,
    start: str = "",
    warm_start: bool = False,
    taught: Taught | None = None,
    validation: npt.NDArray[np.bool_] | float = 0.1,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
) -> Note:
    """Train a network of our own and keep it as expert `<network>+<name>`.

    recordings, targets, subjects : as in `EnECG.fit`; labels are needed by objectives that say so;
    start : the expert whose weights it begins with ("s4d", "s4d+mine"; default: random ones);
    warm_start : begin with a short stage of self-supervision on the same training recordings;
    taught : what a teacher answers of these recordings (`teacher_answers`), for objective "distil";
    validation : which recordings, or a share of the subjects, choose the best weights of each stage.
    What was killed goes on from its last checkpoint when it is called again with the same arguments, and ends with the
    same weights. Raises ExpertError for a network that is none of our own or a name that is taken, FitError for
    recordings or objectives that it cannot be taught by.
    """
    full = f"{network}+{name}"
    check_free(full)
    begun = _begun(network, start)
    asked = [get_task(task) for task in tasks]
    if not stages:
        raise FitError("no stage: nothing would be learned; expected one Stage(objective, settings) at least")
    if warm_start:
        stages = [_warm_start(stages[0]), *stages]
    for stage in stages:
        if find_objective(stage.objective).labels and not asked:
            raise FitError(f"objective {stage.objective!r} needs tasks, with targets for them")
    trained = _fresh(begun, seed)
    items = as_items(recordings)
    with tempfile.TemporaryDirectory() as room:
        with progress_bar(progress, f"{full}: reading", len(items)) as bar:
            corpus = Corpus.of(
                begun,
                items,
                room,
                targets=getattr(recordings, "targets", None) if targets is None else targets,
                tasks=asked,
                taught=None if taught is None else taught.answers,
                subjects=subjects,
                validation=validation,
                seed=seed,
                done=lambda: bar.advance(1),
            )
        with progress_bar(progress, full, sum(stage.settings.steps for stage in stages)) as bar:
            found = _train(trained, corpus, stages, variant_folder(full), seed, device, bar)
    state = {key: part.detach().cpu().contiguous().clone() for key, part in trained.state_dict().items()}
    settings = {"seed": seed, "stages": [asdict(stage) for stage in stages], "curves": _curves(stages, found)}
    note = keep_variant(
        full,
        {"weights.safetensors": save(state)},
        {
            "base": begun.weights_digest if start and begun.weights_digest not in RANDOM else "",
            "tasks": tuple(task.name for task in asked),
            "n_recordings": len(corpus.prepared.rows),
            "refused": tuple(corpus.prepared.refused),
            "before": found[-1].before,
            "after": found[-1].best,
            "settings": settings,
        }
        | _seen(begun, corpus, taught),
    )
    for left in checkpoints(full):
        left.unlink()
    return note


def _begun(network: str, start: str) -> Learned:
    """The expert whose weights a training begins with: random ones if `start` is empty. Raises ExpertError."""
    base = get_expert(network) if split_name(network)[0] in {*NETWORKS, *expert_names()} else None
    if not isinstance(base, Learned):
        own = ", ".join(NETWORKS)
        raise ExpertError(
            f"{network} is no network of our own (expected one of {own}); `enecg experts adapt` trains LoRA inside a "
            "published one"
        )
    if base.weights not in RANDOM:
        base = type(base)("random")
    begun = get_expert(start) if start else base
    if not isinstance(begun, Learned) or type(begun) is not type(base) or begun.built != base.built:
        raise ExpertError(f"{start} is no {network}; a training starts with weights of the same network")
    return begun


def _fresh(begun: Learned, seed: int) -> TokenNetwork:
    """The network that a training begins with; random weights are another seed's own."""
    if begun.weights_digest not in RANDOM:
        return begun.fresh_network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return begun.network(begun.built)


def _train(
    network: TokenNetwork, corpus: Corpus, stages: Sequence[Stage], folder: Path, seed: int, device: str, bar: Bar
) -> Sequence[Training]:
    """All stages on one network, gone on with where their checkpoints in `folder` end."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    found: list[Training] = []
    done = 0
    for number, stage in enumerate(stages):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            objective = find_objective(stage.objective)(network, corpus)
        work = Training(
            network,
            objective,
            corpus,
            stage.settings,
            seed + number,
            checkpoint=folder / f"checkpoint-{number}.pt",
            device=device,
            of=stage.of,
        )
        if stage.of > 1:
            bar.step(f"{stage.objective}, references", done)
            work.choose = Learnability.of(work)
        work.resume()

        def watch(checked: Checked, start: int = done, said: str = stage.objective) -> None:
            bar.step(f"{said}, loss {checked.validation:.4f}", start + checked.step)

        work.run(watch)
        found.append(work)
        done += stage.settings.steps
    return found


def _seen(begun: Learned, corpus: Corpus, taught: Taught | None) -> dict[str, Any]:
    """For the note: whom it has learned from, itself, by the weights that it began with, and by its teacher."""
    known = {person for person in corpus.subjects if person is not None}
    choosing = {corpus.subjects[place] for place in np.unique(corpus.owner[corpus.validation]).tolist()}
    # Of what ships, the card of every variant that began with it tells.
    people = begun.card.seen_subjects - type(begun).card.seen_subjects
    cohorts = frozenset(begun.card.seen) - frozenset(type(begun).card.seen)
    chose = {subject_digest(person) for person in choosing if person is not None}
    if taught is not None:
        people, cohorts = people | (taught.subjects - taught.chosen_by), cohorts | taught.seen
        chose |= taught.chosen_by
    people |= {subject_digest(person) for person in known - choosing}
    return {
        "cohorts": tuple(sorted({person.partition(":")[0] for person in known if ":" in person})),
        "subjects": tuple(sorted(people | chose)),
        "chosen_by": tuple(sorted(chose - people)),
        "seen": tuple(sorted(cohorts - {"unknown"})),
        "anonymous": None in corpus.subjects or "unknown" in cohorts,
    }


def _warm_start(first: Stage) -> Stage:
    steps = max(1, round(WARM_UP_SHARE * first.settings.steps))
    return Stage(WARM_UP, replace(first.settings, steps=steps, check_every=min(first.settings.check_every, steps)))


def _curves(stages: Sequence[Stage], found: Sequence[Training]) -> list[dict[str, Any]]:
    """A row for each look at validation; None where no step since the last could learn, since JSON knows no NaN."""
    told = zip(stages, found, strict=True)
    rows = [(stage.objective, checked) for stage, work in told for checked in work.history]
    return [
        {"objective": name} | asdict(checked) | ({"train": None} if math.isnan(checked.train) else {})
        for name, checked in rows
    ]


def checkpoints(full: str) -> Sequence[Path]:
    """What a training of this expert has left on its way."""
    return sorted(variant_folder(full).glob("checkpoint-*.pt"))
