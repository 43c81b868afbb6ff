"""Ten lines of the README, on photographs of one kind: does five minutes of training help?

    python benchmarks/finetune.py FLOWERS [--train 300] [--held-out 200] [--minutes 5]

FLOWERS is a folder of photographs or a tar archive. --train of them are trained on with the plain
Trainer, starting from lite.photos, for at most so many minutes of processor time: user and system,
all threads of the process, which also loads the photographs. --held-out others are coloured before
and after by the public call, at their own size, and compared after rounding to 8 bits. The prior of
the rebalanced AuC is that of the held-out photographs. Prints a Markdown table; the row "grey" has
no chroma, "tint" the mean ab of the photographs trained on, "tuned alone" is the model before its
weights are blended with those of lite.photos.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from lightning import Callback, Trainer, seed_everything
from torch import Tensor
from torch.utils.data import Dataset, Subset
from tqdm import tqdm

import deepcolor
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import ColorizationDataModule, PhotoSet, open_photos
from deepcolor.gamut import clamp_to_gamut
from deepcolor.metrics import CIEDE2000, AbAuC, Colourfulness, psnr
from deepcolor.training import StepSeeds, WeightEMA, blend

BASE = "lite.photos"
SIDE = 160  # pixels; of the photographs' short side, and of the second half of the base's recipe
BATCH = 16
Colour = Callable[[Tensor], Tensor]  # (3, H, W) uint8 -> (3, H, W) uint8


def constant(ab: Tensor) -> Colour:
    """Every pixel of the same (2, 1, 1) ab."""

    def colour(rgb: Tensor) -> Tensor:
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(rgb)))
        lab = join_lab(luminance, ab.expand(-1, *luminance.shape[1:]))
        return (255 * lab_to_rgb(clamp_to_gamut(lab))).round().to(torch.uint8)

    return colour


def measure(name: str, colour: Colour, photos: Dataset[Tensor], count: int) -> dict[str, float]:
    auc, difference = AbAuC(), CIEDE2000()
    colourful, true_colourful = Colourfulness(), Colourfulness()
    ratios = []
    for i in tqdm(range(count), desc=name):
        truth = unit_rgb(photos[i])[None]
        rgb = unit_rgb(colour(photos[i]))[None]
        auc.update(rgb, truth)
        difference.update(rgb, truth)
        colourful.update(rgb)
        true_colourful.update(truth)
        ratios.append(float(psnr(rgb, truth)))
    return {
        "PSNR, dB": sum(ratios) / len(ratios),
        **{k.replace("_", " ").replace("auc", "AuC"): float(v) for k, v in auc.compute().items()},
        "CIEDE2000": float(difference.compute()),
        "colourfulness / truth's": float(colourful.compute() / true_colourful.compute()),
    }


class Clock(Callback):
    """Ends the training when its processor time is spent, and notes how far it came."""

    def __init__(self, minutes: float) -> None:
        self.limit = 60 * minutes

    def on_train_start(self, trainer: Trainer, pl_module: object) -> None:
        self.start, self.wall = time.process_time(), time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        trainer.should_stop = time.process_time() - self.start > self.limit

    def on_train_end(self, trainer: Trainer, pl_module: object) -> None:
        self.told = (
            f"{trainer.global_step} steps of {BATCH} pictures of {SIDE} px in"
            f" {time.process_time() - self.start:.0f} s of processor time,"
            f" {time.perf_counter() - self.wall:.0f} s by the clock"
        )


def listed(folder: Path, name: str, photos: PhotoSet, chosen: list[int]) -> str:
    (folder / name).write_text("\n".join(photos.keys[i] for i in chosen))
    return str(folder / name)


def tune(path: str, lists: dict[str, str], arguments: argparse.Namespace) -> tuple:
    data = ColorizationDataModule(
        path, size=SIDE, batch_size=BATCH, workers=0, lists=lists, grey_below=0
    )
    model = deepcolor.load_model(BASE, lr=arguments.lr)
    clock = Clock(arguments.minutes)
    trainer = Trainer(
        max_epochs=arguments.epochs, limit_val_batches=0, logger=False, accelerator="cpu",
        enable_checkpointing=False, enable_model_summary=False,
        callbacks=[StepSeeds(), WeightEMA(arguments.decay), clock],
    )  # fmt: skip
    trainer.fit(model, data)
    return model.eval(), clock.told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", help="photographs of one kind")
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--skip", type=int, default=0, help="photographs to leave out before those")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--decay", type=float, default=0.98, help="of the average of the weights")
    parser.add_argument("--save", help="weights file to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    seed_everything(arguments.seed)
    photos = open_photos(arguments.flowers)
    order = torch.randperm(len(photos)).tolist()
    chosen = order[: arguments.train]
    first = arguments.train + arguments.skip
    held_out = order[first : first + arguments.held_out]
    kept = Subset(photos, held_out)
    means = [split_lab(rgb_to_lab(unit_rgb(photos[i])))[1].mean((1, 2)) for i in chosen]
    rows: dict[str, Colour] = {
        "grey": constant(torch.zeros(2, 1, 1)),
        "tint": constant(torch.stack(means).mean(0)[:, None, None]),
        BASE: deepcolor.Predictor(BASE, "cpu"),
    }
    table = {name: measure(name, colour, kept, len(kept)) for name, colour in rows.items()}
    with tempfile.TemporaryDirectory() as folder:
        lists = {
            part: listed(Path(folder), f"{part}.txt", photos, numbers)
            for part, numbers in (("train", chosen), ("val", held_out))
        }
        model, told = tune(arguments.flowers, lists, arguments)
    if arguments.save:
        deepcolor.save_model(model, arguments.save)
    table["tuned alone"] = measure("tuned", deepcolor.Predictor(model, "cpu"), kept, len(kept))
    blend(model, deepcolor.load_model(BASE))
    table["fine-tuned"] = measure("blended", deepcolor.Predictor(model, "cpu"), kept, len(kept))

    print(f"{len(chosen)} photographs trained on: {told}; {len(kept)} others measured")
    print("| | " + " | ".join(table[BASE]) + " |")
    print("|---" * (1 + len(table[BASE])) + "|")
    for name, figures in table.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in figures.values()) + " |")


if __name__ == "__main__":
    main()
