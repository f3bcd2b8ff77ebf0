"""MOMENT-small by every backend, in chunks that fit the cache, beside plain torch on a whole batch at once.

Random weights: speed does not depend on them. With `--data FOLDER` (PTB-XL in it) also the score of ridge heads on
embeddings of real recordings, in float32 and in bfloat16.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from report import about, one_core, save

one_core()

import numpy as np  # noqa: E402  after the threads are set
import torch  # noqa: E402

from enecg.cohorts import load_cohort  # noqa: E402
from enecg.errors import BackendError, MissingPackageError  # noqa: E402
from enecg.experts import get_expert  # noqa: E402
from enecg.experts._backends import computed_by  # noqa: E402
from enecg.experts._layers import patches  # noqa: E402
from enecg.experts._torch import denormals_flushed  # noqa: E402
from enecg.experts.published.moment import PATCH, Moment, normalised  # noqa: E402
from enecg.simulation import simulate  # noqa: E402

BATCH, TIMED, ROUNDS = 32, 16, 3
"""Recordings of the whole batch, and how many of them are timed in chunks."""

CHUNKS = (1, 4)
PLAIN = "plain torch, float32"
N_READ, N_FOLDS, SEED = 640, 5, 0

Compute = Callable[[torch.Tensor], torch.Tensor]


def by_transformers(network: Moment) -> Compute:
    """The same with T5 as transformers has it, masks and all, which is what the published code calls."""
    from transformers import T5Config, T5EncoderModel

    size = get_expert("moment-small:random").size
    settings = {name: getattr(size, name) for name in ("d_model", "d_ff", "d_kv", "num_heads", "num_layers")}
    t5 = T5EncoderModel(T5Config(vocab_size=size.vocab_size, feed_forward_proj="gated-gelu", **settings)).eval()
    state = {f"encoder.{name}": part for name, part in network.encoder.state_dict().items()}
    t5.load_state_dict(state | {"shared.weight": state["encoder.embed_tokens.weight"]})

    def compute(windows: torch.Tensor) -> torch.Tensor:
        x = network.patch_embedding(patches(normalised(windows)[0], PATCH).flatten(0, 1), None)
        found = t5(inputs_embeds=x, attention_mask=torch.ones(x.shape[:2])).last_hidden_state
        return found.reshape(*windows.shape[:2], *found.shape[1:]).mean((1, 2))

    return compute


def in_chunks(compute: Compute, size: int) -> Compute:
    return lambda windows: torch.cat([compute(part) for part in windows.split(size)])


def seconds(compute: Compute, windows: torch.Tensor) -> tuple[float, np.ndarray]:
    """Processor time for each recording, and the embeddings."""
    began = time.process_time()
    found = compute(windows)
    return (time.process_time() - began) / len(windows), found.numpy().astype(np.float64)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The smallest over recordings."""
    return float(((one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))).min())


def products(network: Moment) -> float:
    """Seconds that a recording's matrix products alone take in bfloat16, at the rate of the largest: a lower bound."""
    x, weight = (torch.randn(shape, dtype=torch.bfloat16) for shape in ((12 * 64, 512), (1024, 512)))
    best = float("inf")
    for _ in range(50):
        began = time.process_time()
        torch.nn.functional.linear(x, weight)
        best = min(best, time.process_time() - began)
    layers = [part for part in network.encoder.modules() if isinstance(part, torch.nn.Linear)]
    return best * sum(layer.weight.numel() for layer in layers) / weight.numel()


def speed(network: Moment, windows: torch.Tensor) -> None:
    """Every way of computing, by turns, some rounds."""
    ways: dict[tuple[str, int], Compute] = {
        (PLAIN, BATCH): network,
        ("transformers' T5, float32", BATCH): by_transformers(network),
    }
    for backend in get_expert("moment-small:random").backends:
        for size in CHUNKS:
            try:
                compute = computed_by(backend, network, (size, *windows.shape[1:]))
            except (BackendError, MissingPackageError) as error:
                print(f"left out: {error}")
                continue
            ways[backend, size] = in_chunks(compute, size)
    spent: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    found = {}
    for _ in range(ROUNDS):
        for way, compute in ways.items():
            took, found[way] = seconds(compute, windows if way[1] == BATCH else windows[:TIMED])
            spent[way].append(took)
    reference = found[PLAIN, BATCH]
    mean, plain, theirs = reference.mean(0), spent[PLAIN, BATCH], spent["transformers' T5, float32", BATCH]
    rows = []
    for (name, size), took in spent.items():
        numbers = found[name, size]
        rows.append(
            {
                "computed by": name,
                "recordings at once": size,
                "ms each": 1000 * median(took),
                "times plain torch": median(a / b for a, b in zip(plain, took, strict=True)),
                "times transformers": median(a / b for a, b in zip(theirs, took, strict=True)),
                "cosine": f"{cosine(numbers, reference[: len(numbers)]):.7f}",
                "centred cosine": f"{cosine(numbers - mean, reference[: len(numbers)] - mean):.6f}",
            }
        )
    amx = "amx_bf16" in Path("/proc/cpuinfo").read_text()
    claim = (
        f"MOMENT-small, random weights, {BATCH} simulated recordings, prepared before the clock runs, one thread; "
        f"processor time, medians of {ROUNDS} rounds in which all take turns. Times: than the whole batch at once. "
        "Cosines with plain torch are the smallest over recordings, centred ones after subtracting the mean embedding. "
        "At this processor's rate of matrix products in bfloat16, these alone bound the gain to "
        f"{median(plain) / products(network):.1f} times"
        + ("." if amx else ": without AMX, bfloat16 has but twice the rate of float32, and 6 times are out of reach.")
    )
    best = {
        precision: max((row for row in rows if str(row["computed by"]).endswith(precision)), key=_times)
        for precision in ("fp32", "bf16")
    }
    floors = [
        ("best in float32, times plain torch", _times(best["fp32"]), 1.6),
        ("its cosine", float(str(best["fp32"]["cosine"])), 0.999999),
        ("best in bfloat16, times plain torch", _times(best["bf16"]), 6.0 if amx else 2.5),
        ("its cosine", float(str(best["bf16"]["cosine"])), 0.9999),
        ("its centred cosine", float(str(best["bf16"]["centred cosine"])), 0.99),
    ]
    save("moment", about(claim), rows, floors)


def _times(row: dict[str, object]) -> float:
    return float(row["times plain torch"])  # type: ignore[arg-type]


def heads(folder: str) -> None:
    """Age and sex by ridge on embeddings of real recordings, in both precisions."""
    cohort = load_cohort("ptbxl", Path(folder) / "ptbxl")
    table = cohort.targets
    known = np.flatnonzero((table["age"].is_not_null() & table["sex"].is_not_null()).to_numpy())
    rows = np.sort(np.random.default_rng(SEED).choice(known, N_READ, replace=False))
    recordings = [cohort[int(row)].read() for row in rows]
    age, female = table["age"].to_numpy()[rows], (table["sex"] == "female").to_numpy()[rows]
    subjects = table["subject"].to_numpy()[rows]
    embeddings = {}
    for name, backend in (("float32", "openvino fp32"), ("bfloat16", "openvino bf16")):
        expert = get_expert("moment-small:random", backend=backend)
        embeddings[name] = expert.embed(expert.prepare(recordings)).astype(np.float64)
    scores = {
        (fitted, read): score(embeddings[fitted], embeddings[read], age, female, subjects)
        for fitted, read in (("float32", "float32"), ("bfloat16", "bfloat16"), ("float32", "bfloat16"))
    }
    lines = [
        {"heads fitted on": fitted, "and read": read, "sex AUROC": auroc, "age MAE, years": mae}
        for (fitted, read), (auroc, mae) in scores.items()
    ]
    plain = scores["float32", "float32"]
    floors = []
    for fitted, read in (("bfloat16", "bfloat16"), ("float32", "bfloat16")):
        auroc, mae = scores[fitted, read]
        floors += [
            (f"sex AUROC gained, fitted on {fitted}, read {read}", auroc - plain[0], -0.005),
            (f"age MAE saved, fitted on {fitted}, read {read}", plain[1] - mae, -0.1),
        ]
    claim = (
        f"Ridge heads on embeddings by MOMENT-small with random weights (which know nothing: read the change, not the "
        f"score) of {N_READ} recordings of PTB-XL, {len(set(subjects))} subjects, {N_FOLDS} folds by subject; strength "
        "by leave-one-out on the training folds. OpenVINO in both precisions."
    )
    facts = about(claim)
    facts["command"] += " --data FOLDER"
    save("moment-heads", facts, lines, floors)


def score(
    fitted: np.ndarray, read: np.ndarray, age: np.ndarray, female: np.ndarray, subjects: np.ndarray
) -> tuple[float, float]:
    """AUROC of sex and mean absolute error of age, of answers to people that the head has not met."""
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    targets = np.column_stack([age, female]).astype(np.float64)
    answers = np.empty_like(targets)
    for train, test in GroupKFold(N_FOLDS).split(fitted, groups=subjects):
        mean, scale = fitted[train].mean(0), fitted[train].std(0) + 1e-9
        for column in range(2):
            head = RidgeCV(np.logspace(-1, 5, 13)).fit((fitted[train] - mean) / scale, targets[train, column])
            answers[test, column] = head.predict((read[test] - mean) / scale)
    return float(roc_auc_score(female, answers[:, 1])), float(np.abs(answers[:, 0] - age).mean())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", help="folder with ptbxl in it: ridge heads on real recordings instead of speed")
    data = options.parse_args().data
    if data:
        heads(data)
        return
    expert = get_expert("moment-small:random")
    windows = torch.from_numpy(expert.prepare([made.recording for made in simulate(BATCH, seed=1)]).windows)
    with torch.inference_mode(), denormals_flushed():
        speed(expert.fresh_network().requires_grad_(False), windows)


if __name__ == "__main__":
    main()
