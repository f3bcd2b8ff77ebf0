"""Make tests/golden/experts.json: what each registered expert makes of two real recordings (names: only of these).

A part of each prepared array and of each embedding, and the version of the preprocessing. An expert whose prepared
array has changed while `prepare_version` has not is refused: raise the version, so that no store mixes the two. Of an
expert with published weights only the prepared array is kept, of its tiny variant.
"""

import json
import sys
from pathlib import Path

import numpy as np

import enecg
from enecg.experts import Expert, expert_names, get_expert, published_names

TESTS = Path(__file__).parents[1] / "tests"
GOLDEN = TESTS / "golden" / "experts.json"
RECORDINGS = ("ptbxl/records100/00000/00001_lr.hea", "ludb/data/8.hea")
"""Below tests/data: ten seconds at 100 Hz and at 500 Hz."""
N_KEPT = 60


def kept(values: np.ndarray) -> list[float | None]:
    """Evenly spaced values of an array, seven digits each; None where there is none."""
    flat = values.ravel()
    places = np.linspace(0, len(flat) - 1, min(N_KEPT, len(flat))).astype(int)
    return [None if np.isnan(value) else float(f"{value:.7g}") for value in flat[places]]


def entry(expert: Expert) -> dict[str, object]:
    """What is kept of an expert."""
    inputs = expert.prepare([enecg.read(TESTS / "data" / name) for name in RECORDINGS])
    made: dict[str, object] = {
        "prepare_version": expert.card.prepare_version,
        "weights_sha256": expert.card.weights_sha256,
        "shape": list(inputs.windows.shape),
        "prepared": {
            name: kept(inputs.windows[inputs.owner == row].astype(np.float64)) for row, name in enumerate(RECORDINGS)
        },
    }
    if not expert.card.name.endswith(":tiny"):
        embeddings = expert.embed(inputs)
        made["embedding"] = {name: kept(embeddings[row].astype(np.float64)) for row, name in enumerate(RECORDINGS)}
    return made


def same(one: dict[str, list[float | None]], other: dict[str, list[float | None]]) -> bool:
    """Whether two prepared arrays agree to what processors differ in."""
    if one.keys() != other.keys():
        return False
    arrays = [(np.array(one[name], float), np.array(other[name], float)) for name in one]
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True) for a, b in arrays)


def main() -> None:
    before = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    wanted = sys.argv[1:] or expert_names()
    names = [f"{name}:tiny" if name in published_names() else name for name in wanted]
    found = {name: entry(get_expert(name)) for name in names}
    for name, new in found.items():
        old = before.get(name)
        if old and old["prepare_version"] == new["prepare_version"] and not same(old["prepared"], new["prepared"]):
            raise SystemExit(f"{name}: the prepared array changed; raise prepare_version in its card first")
    if sys.argv[1:]:
        found = before | found
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(GOLDEN, GOLDEN.stat().st_size)


if __name__ == "__main__":
    main()
