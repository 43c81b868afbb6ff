"""What the card of a checkpoint says, measured again.

    python benchmarks/card.py VAL [--model NAME] [--sources TRAIN]

VAL holds the photographs that the figures in CHECKPOINTS were measured on. Prints each figure as
stated and as measured; exits with 1 if one is further off than processors differ. With --sources
also measures the 300 photographs that training held out of TRAIN, source by source.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from deepcolor.data import ColorizationDataModule
from deepcolor.evaluation import Photograph, evaluate, find_photographs
from deepcolor.inference import Predictor
from deepcolor.weights import CHECKPOINTS

# Stated figures are rounded; convolutions of other processors move 8-bit pixels here and there.
OFF = {"psnr": 0.03, "auc": 0.03, "auc_rebalanced": 0.06, "ciede2000": 0.03}
OFF_ELSE = 0.01
COLUMNS = ("psnr", "auc", "auc_rebalanced", "ciede2000", "colourfulness_share")
HELD_OUT = 300  # as the recipes
FEWEST = 8  # photographs of a source that make a row
bar = partial(tqdm, disable=None)  # silent where no one watches


def check(name: str, photos: Sequence[Photograph], predictor: Predictor) -> bool:
    measured = evaluate(photos, {name: predictor}, progress=bar).rows[name]
    print(f"{len(photos)} photographs\n\n| {name} | stated | measured | |\n|---|---|---|---|")
    good = True
    for key, stated in CHECKPOINTS[name].expected.items():
        near = abs(measured[key] - stated) <= OFF.get(key, OFF_ELSE)
        good &= near
        print(f"| {key} | {stated:g} | {measured[key]:.3f} | {'' if near else 'OFF'} |")
    return good


def by_source(train: str, name: str, predictor: Predictor) -> None:
    data = ColorizationDataModule(train, held_out=HELD_OUT)
    data.setup("fit")
    held = data.val_set.photos
    with tempfile.TemporaryDirectory() as folder:
        for i in data.val_set.indices:
            part = Path(folder) / held.sources[i]
            part.mkdir(exist_ok=True)
            (part / f"{i:06}.jpg").write_bytes(held.read(i))
        print("\n| source | held out | row | " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * (3 + len(COLUMNS)))
        for part in sorted(Path(folder).iterdir()):
            photos = find_photographs([part])
            if len(photos) < FEWEST:
                continue
            done = evaluate(photos, {name: predictor}, progress=bar)
            for row in ("grey", name):
                cells = " | ".join(f"{done.rows[row][key]:.2f}" for key in COLUMNS)
                print(f"| {part.name} | {len(photos)} | {row} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("val", help="photographs of the stated figures")
    parser.add_argument("--model", default="lite.photos", choices=list(CHECKPOINTS))
    parser.add_argument("--sources", metavar="TRAIN", help="training photographs")
    asked = parser.parse_args()
    predictor = Predictor(asked.model, device="cpu")
    good = check(asked.model, find_photographs([asked.val]), predictor)
    if asked.sources:
        by_source(asked.sources, asked.model, predictor)
    sys.exit(not good)


if __name__ == "__main__":
    main()
