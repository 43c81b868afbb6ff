"""How steady films are: frame by frame, steadied, and by models with memory.

    python benchmarks/video.py FILMS STILLS [--models lite.photos ...] [--out benchmarks/results]

FILMS is a folder of colour films, STILLS of photographs or tar archives, which the synthetic clips
of benchmarks/clips.py are made from: their motion is known exactly, so their flicker is measured
along the truth. In films it is measured along OpenCV's optical flow (DIS, preset MEDIUM at full
resolution, places hidden by its way there and back left out): an estimate, and of the same family
as what the steadier uses. Each mode colours the same luminance at the network's working size; the
colours are enlarged to it as `colorize` does. Figures: mean |ab change| along motion (CIELAB
units), and how many times lower than frame by frame; CDC as published, and of ab alone; raw AuC
against the true colours, in percent; milliseconds a frame of steadying with its search for cuts, or
of the network. The true colours have a row of their own. Writes video.json and video.md.
"""

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import av
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from clips import KINDS, make_clip, stills_of
from torch import Tensor
from tqdm import tqdm

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference.network import working_size
from deepcolor.metrics import AbAuC, ChromaFlicker, ColourDistributionConsistency
from deepcolor.models import Colorizer
from deepcolor.pixels import shrink
from deepcolor.upsample import upsample_chroma
from deepcolor.video.cuts import CutFinder
from deepcolor.video.flow import MotionFinder
from deepcolor.video.steady import Steadier
from deepcolor.weights import load_model

STEADY = (0.25, 0.5, 1.0)
SURE = 1.0  # pixels that a judging flow's way there and back may miss by


@dataclass
class Footage:
    """What is coloured, and what is known of it."""

    group: str
    luminance: Tensor  # (T, 1, H, W) L in [0, 100], of the film
    rgb: Tensor  # (T, 3, H, W) in [0, 1], true colours
    flow: Tensor
    seen: Tensor


def synthetic(stills: str, count: int, frames: int) -> Iterator[Footage]:
    pictures = stills_of(stills)
    for number, (name, kind) in enumerate(KINDS.items()):
        for i in range(count):
            seed = 100 * number + i
            order = np.random.default_rng(seed).permutation(len(pictures))[:3]
            clip = make_clip([pictures[k] for k in order], kind, seed, frames)
            yield Footage(name, clip.luminance, clip.rgb, clip.flow, clip.seen)


def films(folder: Path, frames: int) -> Iterator[Footage]:
    for path in sorted(folder.glob("*.mp4")):
        luminance, colours = [], []
        with av.open(str(path)) as film:
            for number, frame in enumerate(film.decode(video=0)):
                if number == frames:
                    break
                pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                size = working_size(pixels.shape[-2], pixels.shape[-1], 208, 32)
                luminance.append(shrink(pixels, size, torch.device("cpu")))
                larger = pixels.shape[-1] < size[1]
                how = {"mode": "bilinear", "antialias": False} if larger else {"mode": "area"}
                colours.append(F.interpolate(pixels[None] / 255, size=size, **how)[0])
        light = torch.stack(luminance)
        yield Footage(path.stem, light, torch.stack(colours), *judged(light))


def judged(luminance: Tensor) -> tuple[Tensor, Tensor]:
    """Motion of a film, estimated, and where it can be trusted."""
    finder = MotionFinder("MEDIUM")
    finder._search.setFinestScale(0)
    flows, sure = [], []
    for before, after in zip(luminance[:-1, 0].numpy(), luminance[1:, 0].numpy(), strict=True):
        back, ahead = finder.flow(after, before), finder.flow(before, after)
        flows.append(torch.from_numpy(back.transpose(2, 0, 1).copy()))
        rows, columns = np.indices(after.shape, np.float32)
        way = cv2.remap(
            ahead, columns + back[..., 0], rows + back[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        sure.append(torch.from_numpy(np.hypot(*(back + way).transpose(2, 0, 1)) < SURE)[None])
    return torch.stack(flows), torch.stack(sure)


@torch.inference_mode()
def predicted(model: Colorizer, luminance: Tensor, remembers: bool) -> tuple[Tensor, float]:
    """(T, 2, h, w) ab frame by frame, and seconds a frame."""
    memory, ab = None, []
    began = time.perf_counter()
    for light in luminance:
        prediction = model.predict(light[None], memory=memory)
        memory = prediction.memory if remembers else None
        ab.append(prediction.ab()[0].clone())
    return torch.stack(ab), (time.perf_counter() - began) / len(luminance)


def steadied(luminance: Tensor, ab: Tensor, steady: float) -> tuple[Tensor, float]:
    """Steadied ab, and seconds a frame, of finding cuts as well."""
    cuts, steadier, out = CutFinder(), Steadier(steady), []
    began = time.perf_counter()
    for light, chroma in zip(luminance, ab, strict=True):
        out += steadier.push(light, chroma, cuts.push(light))
    out += steadier.flush()
    return torch.stack(out), (time.perf_counter() - began) / len(luminance)


def painted(ab: Tensor, luminance: Tensor) -> Tensor:
    """(T, 3, H, W) in [0, 1], as a film shows it."""
    means = F.interpolate(luminance, size=ab.shape[-2:], mode="area")
    full = upsample_chroma(ab, luminance, True, means)
    return lab_to_rgb(clamp_to_gamut(join_lab(luminance, full))).clamp(0, 1)


class Figures:
    """Of one mode on one group of footage."""

    def __init__(self) -> None:
        self.flicker = ChromaFlicker()
        self.cdc = ColourDistributionConsistency("rgb")
        self.cdc_ab = ColourDistributionConsistency("ab")
        self.auc = AbAuC()
        self.seconds: list[float] = []

    def add(self, rgb: Tensor, footage: Footage, seconds: float) -> None:
        self.flicker.update(rgb, footage.flow, footage.seen)
        self.cdc.update(rgb)
        self.cdc_ab.update(rgb)
        self.auc.update(rgb, footage.rgb)
        self.seconds.append(seconds)

    def report(self) -> dict[str, float]:
        return {
            "flicker": float(self.flicker.compute()),
            "cdc": float(self.cdc.compute()),
            "cdc_ab": float(self.cdc_ab.compute()),
            "auc": float(self.auc.compute()["auc"]),
            "milliseconds": 1000 * float(np.median(self.seconds)),
        }


def modes(model: Colorizer, name: str, luminance: Tensor) -> Iterator[tuple[str, Tensor, float]]:
    """Name, ab and seconds a frame of each way to colour a film; frame by frame first."""
    alone, cost = predicted(model, luminance, remembers=False)
    yield f"{name}, frame by frame", alone, cost
    for steady in STEADY:
        ab, seconds = steadied(luminance, alone, steady)
        yield f"{name}, steady {steady:g}", ab, seconds
    if model.remembers:
        with_memory, cost = predicted(model, luminance, remembers=True)
        yield f"{name}, memory", with_memory, cost
        ab, seconds = steadied(luminance, with_memory, 0.5)
        yield f"{name}, memory, steady 0.5", ab, seconds


def table(group: str, found: dict[str, dict[str, float]]) -> str:
    lines = [
        f"### {group}\n",
        "| | flicker | times lower | CDC x 1000 | CDC of ab x 1000 | AuC | ms a frame |",
        "|---|---|---|---|---|---|---|",
    ]
    base = 0.0
    for name, one in found.items():
        if name.endswith("frame by frame"):
            base = one["flicker"]
        lower = f"{base / one['flicker']:.2f}" if base and one["flicker"] else ""
        ms = f"{one['milliseconds']:.1f}" if one["milliseconds"] else ""
        lines.append(
            f"| {name} | {one['flicker']:.3f} | {lower} | {1000 * one['cdc']:.2f} |"
            f" {1000 * one['cdc_ab']:.2f} | {one['auc']:.2f} | {ms} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", type=Path, help="folder of .mp4 files in colour")
    parser.add_argument("stills", help="photographs that synthetic clips are made from")
    parser.add_argument("--models", nargs="+", default=["lite.photos"])
    parser.add_argument("--clips", type=int, default=6, help="synthetic clips of each kind")
    parser.add_argument("--frames", type=int, default=40, help="of a synthetic clip; films: twice")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: load_model(name).eval() for name in asked.models}
    found: dict[str, dict[str, Figures]] = {}
    count = asked.clips * len(KINDS) + len(list(asked.films.glob("*.mp4")))
    both = [
        lambda: synthetic(asked.stills, asked.clips, asked.frames),
        lambda: films(asked.films, 2 * asked.frames),
    ]
    with tqdm(total=count) as progress:
        for source in both:
            for footage in source():
                rows = found.setdefault(footage.group, {})
                light = footage.luminance
                _, true = split_lab(rgb_to_lab(footage.rgb))
                grid = (light.shape[-2] // 4, light.shape[-1] // 4)
                truth = painted(F.interpolate(true, size=grid, mode="area"), light)
                rows.setdefault("true colours, on the grid", Figures()).add(truth, footage, 0)
                for name, model in models.items():
                    for mode, ab, seconds in modes(model, name, light):
                        rows.setdefault(mode, Figures()).add(painted(ab, light), footage, seconds)
                progress.update()
    report = {
        group: {mode: one.report() for mode, one in rows.items()} for group, rows in found.items()
    }
    arguments = [Path(one).name if "/" in one else one for one in sys.argv[1:]]
    command = shlex.join(["python", "benchmarks/video.py", *arguments])
    head = (
        "# Films: flicker, consistency and truth of colours\n\n"
        f"`{command}`, {date.today()}, one thread on {platform.machine()},"
        f" torch {torch.__version__}, OpenCV {cv2.__version__}; {asked.clips} synthetic clips of"
        f" {asked.frames} frames a kind, {2 * asked.frames} frames of each film.\n\n"
        f"{' '.join(__doc__.split(chr(10) * 2)[2].split())}\n\n"
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(table(group, rows) for group, rows in report.items())
    (asked.out / "video.md").write_text(head + tables)
    (asked.out / "video.json").write_text(
        json.dumps({"command": command, "figures": report}, indent=1) + "\n"
    )
    print(tables)


if __name__ == "__main__":
    main()
