"""Train the networks of our own: once to be judged, once to be shipped.

    .venv/bin/python scripts/make_experts.py --data FOLDER [--judge] [--seed N] [--steps N] [NAME ...]

FOLDER holds ptbxl in its publisher's layout. With --judge a network learns from PTB-XL's folds 1 to 4, fold 5 chooses
among its weights, and it is kept beside pulled weights as expert NAME+judged-SEED: fold 6 has never met it, and
scripts/evaluate_all.py tests it there. Without, it learns from all folds at hand, a tenth of the patients choosing,
and goes to src/enecg/data: weights in 16 bits, with learned.json and learned-subjects.safetensors that say whom it met.
A training that was killed goes on when the same command is given again.
"""

import argparse
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars
import torch
from safetensors.numpy import save
from safetensors.torch import load_file

from enecg import load_cohort
from enecg.cohorts import Cohort
from enecg.experts import Note, variant_names
from enecg.experts._variant import variant_folder
from enecg.pretraining import Augmentation, Stage, TrainSettings, pretrain

DATA = Path(__file__).parents[1] / "src/enecg/data"
TASKS = ("superclass", "statements", "age", "sex")
SETTINGS = TrainSettings(steps=9000, precision="bf16", check_every=500)
SLOWER = TrainSettings(steps=3000, learning_rate=1e-3, check_every=250, augmentation=Augmentation(hidden=0.5))
STAGES = {
    "s4d": (Stage("supervised", SETTINGS),),
    # Labels alone teach it next to nothing for a long time.
    "vit": (Stage("masked", replace(SLOWER, augmentation=Augmentation())), Stage("supervised", SLOWER)),
}
SHIPPED = ("s4d",)
"""`vit` is judged only, so that it can be compared."""


def train(
    network: str, name: str, cohort: Cohort, validation: np.ndarray | float, seed: int, steps: int | None
) -> Note:
    stages = [
        stage if steps is None else replace(stage, settings=replace(stage.settings, steps=steps))
        for stage in STAGES[network]
    ]
    return pretrain(network, name, cohort, stages, tasks=TASKS, validation=validation, seed=seed, progress=True)


def judge(network: str, cohort: Cohort, seed: int, steps: int | None) -> None:
    """Folds 1 to 4 teach, fold 5 chooses; fold 6 is not read. One that is there already is left as it is."""
    if f"{network}+judged-{seed}" in variant_names():
        return
    fold = cohort.targets["fold"].cast(polars.Int64).to_numpy()
    met = np.flatnonzero(fold <= 5)
    note = train(network, f"judged-{seed}", cohort.take(met), fold[met] == 5, seed, steps)
    print(f"{network}+judged-{seed}: loss {note.before:.4f} before, {note.after:.4f} after", flush=True)


def ship(network: str, cohort: Cohort, seed: int, steps: int | None) -> None:
    """All folds at hand; what goes into the package."""
    note = train(network, f"ship-{seed}", cohort, 0.1, seed, steps)
    folder = variant_folder(f"{network}+ship-{seed}")
    state = {name: part.to(torch.float16).numpy() for name, part in load_file(folder / note.file).items()}
    subjects = {
        "taught": digests(set(note.subjects) - set(note.chosen_by)),
        "chosen_by": digests(set(note.chosen_by)),
    }
    listed = DATA / "learned.json"
    known = json.loads(listed.read_text())
    known["subjects"] = write("learned-subjects.safetensors", save(subjects))
    known["networks"] = known.get("networks", {}) | {
        network: {
            "sha256": write(f"{network}.safetensors", save(state)),
            "source": f"PTB-XL, {cohort.licence}",
            "recordings": note.n_recordings,
            "tasks": list(note.tasks),
            "loss": [round(note.before, 4), round(note.after, 4)],
        }
    }
    listed.write_text(json.dumps(known, indent=1) + "\n")
    shutil.rmtree(folder)


def digests(subjects: set[str]) -> np.ndarray:
    return np.array(sorted(int(one, 16) for one in subjects), dtype=np.uint64)


def write(name: str, data: bytes) -> str:
    (DATA / name).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    print(name, len(data), sha256, flush=True)
    return sha256


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STAGES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="fewer, to try the script")
    asked = parser.parse_args()
    torch.set_flush_denormal(True)
    ptbxl = load_cohort("ptbxl", asked.data / "ptbxl")
    for one in asked.names or (STAGES if asked.judge else SHIPPED):
        (judge if asked.judge else ship)(one, ptbxl, asked.seed, asked.steps)
