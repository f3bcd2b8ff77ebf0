"""What a user would take instead: aeon's MiniRocket with ridge, on the same split, in an environment of its own.

Two steps, because aeon and this package want different numpys:

    .venv/bin/python scripts/peer.py export --data FOLDER --cohort ptbxl --train 1,2,3,4 --validate 5 --test 6 --to FILE
    .venv-peers/bin/python scripts/peer.py answer FILE --to ANSWERS

`export` writes signals at 100 Hz, encoded targets and the split; `answer` needs aeon alone. MiniRocket's 10,000
features are standardised on the training recordings; for each task the ridge strength is the one of thirteen that
serves the validation recordings best; the answers are those on the test recordings. `--subjects` takes as few people
to learn from as `enecg evaluate --subjects` does, the same ones.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import scipy.linalg

STRENGTHS = np.logspace(0, 6, 13)


def export(options: argparse.Namespace) -> None:
    """Signals, targets and split, as one file. Runs in this package's environment."""
    from enecg.cohorts import load_cohort
    from enecg.evaluation import few_subjects, split_by_column
    from enecg.experts._windows import windows_of
    from enecg.recording import STANDARD_LEADS
    from enecg.tasks import get_task

    cohort = load_cohort(options.cohort, options.data)
    sides = [part.split(",") for part in (options.train, options.validate, options.test)]
    fold = split_by_column(cohort, options.split_column, *sides)
    names = options.tasks.split(",")
    made = {f"target {name}": get_task(name).encode(cohort.targets[name]) for name in names}
    made |= {"train": fold.train, "validation": fold.validation, "test": fold.test}
    for count in options.subjects:
        for draw in range(options.draws):
            few = few_subjects(cohort, fold, count, draw)
            made |= {f"few {count} {draw} train": few.train, f"few {count} {draw} validation": few.validation}
    signals = np.concatenate(
        [windows_of([item.read()], STANDARD_LEADS, 100.0, 10.0).windows[:1] for item in cohort.recordings]
    )
    np.savez(options.to, signals=signals, **made)


def answer(options: argparse.Namespace) -> None:
    """Answers [recording, output] by task, NaN where not tested. Needs numpy, scikit-learn and aeon."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    found = np.load(options.file)
    signals = np.ascontiguousarray(found["signals"])
    names = [name.removeprefix("target ") for name in found.files if name.startswith("target ")]
    few = sorted({name.rpartition(" ")[0] for name in found.files if name.startswith("few ")})
    test = np.flatnonzero(found["test"])
    made = {}
    for plan in ["", *few]:
        prefix = f"{plan} " if plan else ""
        train, validation = (np.flatnonzero(found[f"{prefix}{side}"]) for side in ("train", "validation"))
        began = time.monotonic()
        rocket = MiniRocket(n_kernels=10_000, random_state=0, n_jobs=1).fit(signals[train])
        x = {side: rocket.transform(signals[rows]) for side, rows in zip("tve", (train, validation, test), strict=True)}
        centre, spread = x["t"].mean(axis=0), x["t"].std(axis=0)
        ridge = Ridge(*((part - centre) / np.maximum(spread, 1e-6) for part in x.values()))
        for name in names:
            column = found[f"target {name}"]
            answers = np.full(column.shape, np.nan, np.float32)
            answers[test] = ridge.answer(column[train], column[validation])
            made[f"{prefix}{name}"] = answers
        print(f"{plan or 'all'}: {len(train)} recordings, {time.monotonic() - began:.0f} s", flush=True)
    np.savez_compressed(options.to, **made)


class Ridge:
    """Ridge on one training set for many targets: one decomposition for each set of labelled rows."""

    def __init__(self, train: np.ndarray, validation: np.ndarray, test: np.ndarray) -> None:
        self.train, self.validation, self.test = train, validation, test
        self.known: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def answer(self, labels: np.ndarray, checked: np.ndarray) -> np.ndarray:
        """Answers on the test rows, with the strength whose squared error on the validation rows is smallest.

        Of a classification they are scores, good for ranking.
        """
        known, seen = ~np.isnan(labels).any(axis=1), ~np.isnan(checked).any(axis=1)
        train, values, vectors = self.decomposed(known)
        wanted = labels[known].astype(np.float64)
        mean = wanted.mean(axis=0)
        dual = len(vectors) == len(train)
        right = vectors.T @ ((wanted - mean) if dual else train.T @ (wanted - mean))
        tried = []
        for strength in STRENGTHS:
            solution = vectors @ (right / (np.maximum(values, 0) + strength)[:, None])
            weights = train.T @ solution if dual else solution
            error = np.mean((self.validation[seen] @ weights + mean - checked[seen]) ** 2)
            tried.append((error, weights))
        return np.asarray(self.test @ min(tried, key=lambda one: one[0])[1] + mean, dtype=np.float32)

    def decomposed(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Training rows with a label, and eigenvalues and -vectors on the smaller side."""
        if known.tobytes() not in self.known:
            train = self.train[known]
            gram = train @ train.T if len(train) < train.shape[1] else train.T @ train
            self.known[known.tobytes()] = (train, *scipy.linalg.eigh(gram, overwrite_a=True, driver="evd"))
        return self.known[known.tobytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(required=True)
    first = steps.add_parser("export")
    first.add_argument("--data", required=True)
    first.add_argument("--cohort", default="ptbxl")
    first.add_argument("--split-column", default="fold")
    first.add_argument("--train", default="1,2,3,4")
    first.add_argument("--validate", default="5")
    first.add_argument("--test", default="6")
    first.add_argument("--tasks", default="age,sex,superclass,rhythm_statements,rhythm")
    first.add_argument("--subjects", type=int, nargs="*", default=[])
    first.add_argument("--draws", type=int, default=5)
    first.add_argument("--to", type=Path, required=True)
    first.set_defaults(step=export)
    second = steps.add_parser("answer")
    second.add_argument("file", type=Path)
    second.add_argument("--to", type=Path, required=True)
    second.set_defaults(step=answer)
    options = parser.parse_args()
    options.step(options)


if __name__ == "__main__":
    main()
