"""Make docs/images/prediction.png, the picture in the README: a recording that taught no head of the starter.

    .venv/bin/python scripts/make_picture.py PTBXL/records500/00000/00310_hr.hea

Record 310 of PTB-XL is of fold 6, which only tested the starter (its expert `s4d` has met the
patient). The picture keeps 64 colours, so that it is small.
"""

import sys
from pathlib import Path

from PIL import Image

from enecg import EnECG, plot_recording, read

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "prediction.png"
COLOURS, LARGEST = 64, 150_000


def main(path: str) -> None:
    recording = read(path)
    [prediction] = EnECG.starter().predict([recording], include_simulated=True)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    plot_recording(recording, prediction, PICTURE)
    with Image.open(PICTURE) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.name}: {small.width} x {small.height} pixels, {size / 1000:.0f} kB")
    if size > LARGEST:
        sys.exit(f"expected {LARGEST / 1000:.0f} kB at most")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
