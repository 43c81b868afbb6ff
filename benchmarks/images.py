"""Pictures in, pictures out: exactness of the chroma, speed, memory, growth with size.

python benchmarks/images.py VAL_TAR SECOND_TAR [--only upsampling pipelines growth qualities]

Prints markdown tables. Two tars of photographs (any) for the way chroma is enlarged; the rest needs
none. Ratios are taken side by side in one run, at least five times, and given with their spread.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.color
import skimage.data
import skimage.transform
import torch
import torch.nn.functional as F
from PIL import Image

import deepcolor
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.data import open_photos
from deepcolor.metrics import ciede2000, psnr
from deepcolor.pixels import compose, shrink
from deepcolor.upsample import ChromaField, upsample_chroma

ROUNDS = 7
MEGAPIXELS = (1, 3, 12, 25, 50, 100)


def photograph(megapixels: float) -> np.ndarray:
    """A real grey photograph enlarged to so many megapixels, 4:3, with grain: (H, W) uint8."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(height * 4 / 3)
    photo = Image.fromarray(skimage.data.coffee()).convert("L")
    large = np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC))
    rng = np.random.default_rng(0)
    grain = rng.integers(-3, 4, (256, width), dtype=np.int16)
    out = np.empty_like(large)
    for top in range(0, height, 256):
        band = large[top : top + 256].astype(np.int16)
        out[top : top + 256] = np.clip(band + grain[: len(band)], 0, 255)
    return out


def spread(values: list[float]) -> str:
    values = sorted(values)
    return f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def most_memory() -> float:
    """Most megabytes that this process has held; Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- how chroma is enlarged ----------------------------------------------------------------------


def guided_filter(ab: torch.Tensor, means: torch.Tensor, luminance: torch.Tensor) -> torch.Tensor:
    """The fast guided filter as published (He and Sun 2015), radius 1, variance + 100."""
    size = luminance.shape[-2:]

    def box(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(F.pad(x, (1,) * 4, mode="replicate"), 3, 1)

    mean, chroma = box(means), box(ab)
    slope = (box(ab * means) - chroma * mean) / (box(means * means) - mean * mean + 100)
    offset = chroma - slope * mean
    large = [
        F.interpolate(box(x), size=size, mode="bilinear", align_corners=False)
        for x in (slope, offset)
    ]
    return large[0] * luminance + large[1]


def enlarged(mode: str) -> Callable[..., torch.Tensor]:
    corners = {} if mode == "nearest" else {"align_corners": False}
    return lambda ab, means, luminance: F.interpolate(
        ab, size=luminance.shape[-2:], mode=mode, **corners
    )


WAYS = {
    "nearest": enlarged("nearest"),
    "bilinear": enlarged("bilinear"),
    "bicubic": enlarged("bicubic"),
    "fast guided filter": guided_filter,
    "ours": lambda ab, means, luminance: upsample_chroma(ab, luminance, means=means),
}


@torch.inference_mode()
def upsampling(tars: list[str], count: int) -> None:
    print("## True chroma, reduced to the network's grid and brought back\n")
    print("| photographs | grid (area) | way | PSNR, dB | CIEDE2000 |\n|---|---|---|---|---|")
    for tar in tars:
        photos = open_photos(tar)
        step = max(1, len(photos) // count)
        chosen = [photos[i] for i in range(0, len(photos), step)][:count]
        for area in (48, 192):
            scores: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            for rgb in chosen:
                unit = (rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb)[None]
                lab = rgb_to_lab(unit)
                luminance, ab = split_lab(lab)
                scale = area / math.sqrt(ab.shape[-2] * ab.shape[-1])
                grid = [round(side * scale) for side in ab.shape[-2:]]
                small, means = (F.interpolate(x, size=grid, mode="area") for x in (ab, luminance))
                for way, enlarge in WAYS.items():
                    shown = lab_to_rgb(join_lab(luminance, enlarge(small, means, luminance)))
                    error = ciede2000(rgb_to_lab(shown), lab).mean()
                    scores[way].append((float(psnr(shown, unit)), float(error)))
            for way, pairs in scores.items():
                decibels, error = np.mean(pairs, axis=0)
                print(
                    f"| {Path(tar).name.split('.')[0]}, {len(chosen)} | {area} x {area} | {way}"
                    f" | {decibels:.2f} | {error:.3f} |"
                )
    bleeding()
    torch.set_num_threads(1)
    luminance = torch.from_numpy(photograph(1)).float()[None] / 255 * 100
    field = ChromaField(torch.randn(2, 42, 56) * 10, torch.rand(1, 42, 56) * 100, (866, 1155))
    height, width = luminance.shape[-2:]
    field.size = (height, width)

    def read() -> None:
        for top in range(0, height, 56):
            rows = slice(top, min(top + 56, height))
            lines = field.read(rows, slice(0, width))
            lines[:2].mul_(luminance[:, rows]).add_(lines[2:])

    read()
    taken = sorted(seconds(read) for _ in range(ROUNDS))
    print(f"\nOne megapixel, one core: {1e3 * taken[ROUNDS // 2]:.1f} ms (asked: at most 60).\n")
    torch.set_num_threads(2)


def bleeding() -> None:
    """Two colours, an edge between the grid's lines."""
    luminance = torch.full((1, 1, 256, 512), 30.0)
    luminance[..., 261:] = 70
    ab = torch.tensor([40.0, 30]).view(1, 2, 1, 1).repeat(1, 1, 256, 512)
    ab[..., 261:] = torch.tensor([-40.0, 30]).view(1, 2, 1, 1)
    small, means = (F.interpolate(x, size=(16, 32), mode="area") for x in (ab, luminance))
    print("\nRed beside green, L 30 beside 70, 16 pixels to a square; off by over 10 units:\n")
    print("| way | pixels off, mean width of the wrong strip |\n|---|---|")
    for way, enlarge in WAYS.items():
        off = ((enlarge(small, means, luminance) - ab).norm(dim=1) > 10).float()
        print(f"| {way} | {off.sum(dim=-1).mean():.1f} |")


# --- against the pipeline of the released colorizers ----------------------------------------------


def released(grey: np.ndarray, model: deepcolor.Colorizer) -> np.ndarray:
    """The same network driven as the released colorizers drive theirs, with scikit-image."""
    rgb = np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey
    luminance = torch.from_numpy(skimage.color.rgb2lab(rgb)[..., 0]).float()[None, None]
    small = np.asarray(Image.fromarray(rgb).resize((192, 192), Image.Resampling.BICUBIC))
    low = torch.from_numpy(skimage.color.rgb2lab(small)[..., 0]).float()[None, None]
    with torch.inference_mode():
        ab = model(low)
        ab = F.interpolate(ab, size=luminance.shape[-2:], mode="bilinear", align_corners=False)
    lab = torch.cat([luminance, ab], dim=1)[0].permute(1, 2, 0).numpy()
    return (skimage.color.lab2rgb(lab) * 255).astype(np.uint8)


def pipelines() -> None:
    print("## Twelve megapixels, 8 bit, two cores\n")
    grey = photograph(12)
    predictor = deepcolor.Predictor(device="cpu")
    predictor(grey)
    released(grey[:500, :500], predictor.model)
    ours, theirs, ratios = [], [], []
    files: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "grey.jpg"
        Image.fromarray(grey).save(source, quality=92)
        for _ in range(ROUNDS):
            ours.append(seconds(lambda: predictor(grey)))
            theirs.append(seconds(lambda: released(grey, predictor.model)))
            ratios.append(theirs[-1] / ours[-1])
            mine = seconds(lambda: predictor(source).save(Path(folder) / "ours.jpg"))
            their = seconds(
                lambda: Image.fromarray(
                    released(np.asarray(Image.open(source).convert("RGB")), predictor.model)
                ).save(Path(folder) / "theirs.jpg", quality=95, subsampling=0)
            )
            files.append(their / mine)
    print(f"Median of {ROUNDS} runs (least to most).\n\n| | seconds |\n|---|---|")
    print(f"| released pipeline, whole call | {spread(theirs)} |")
    print(f"| deepcolor, whole call | {spread(ours)} |\n\n| | ratio | asked |\n|---|---|---|")
    print(f"| whole call | {spread(ratios)} | 12, aim 20 |")
    print(f"| JPEG file to JPEG file | {spread(files)} | 5 |")
    peaks = {way: peak(way, 12) for way in ("released", "ours")}
    share = peaks["ours"] / peaks["released"]
    print(
        f"| peak memory, {peaks['ours']:.0f} MB of {peaks['released']:.0f} | {share:.2f} | 0.33 |"
    )
    parts(grey, predictor)


def parts(grey: np.ndarray, predictor: deepcolor.Predictor) -> None:
    """Where the time goes, and the least that the memory traffic alone would take."""
    model = predictor.model
    pixels = torch.from_numpy(grey)[None]
    cpu = torch.device("cpu")
    out = torch.empty(*grey.shape, 3, dtype=torch.uint8).permute(2, 0, 1)
    with torch.inference_mode():
        luminance = shrink(pixels, (164, 224), cpu)[None]
        x = F.pad(luminance, (0, 0, 0, 28), mode="replicate")
        ab = model.predict(x).ab()[..., :41, :]
        field = ChromaField(ab[0], F.avg_pool2d(luminance, 4)[0], grey.shape)
        plain = ChromaField(0 * ab[0], F.avg_pool2d(luminance, 4)[0], grey.shape)
        work = {
            "luminance to the network's size": lambda: shrink(pixels, (164, 224), cpu),
            "network": lambda: model.predict(x).ab(),
            "chroma up, joined, gamut, stored": lambda: compose(pixels, field, out),
            "the same of a grey result: no gamut work": lambda: compose(pixels, plain, out),
            "floor: read and write the bytes once": lambda: out.copy_(pixels),
        }
        print("\n| part | ms |\n|---|---|")
        for name, do in work.items():
            do()
            print(f"| {name} | {1e3 * sorted(seconds(do) for _ in range(ROUNDS))[3]:.0f} |")


# --- memory and growth ----------------------------------------------------------------------------

CHILD = """
import sys, time
sys.path.insert(0, {here!r})
import images as b
import deepcolor, torch
torch.set_num_threads(2)
predictor = deepcolor.Predictor(device="cpu")
predictor(b.photograph(0.3))
b.released(b.photograph(0.3), predictor.model)
path = {path!r}
before = b.most_memory()
start = time.perf_counter()
if {way!r} == "ours":
    result = predictor(path)
else:
    import numpy as np
    from PIL import Image
    Image.MAX_IMAGE_PIXELS = None
    result = b.released(np.asarray(Image.open(path).convert("RGB")), predictor.model)
taken = time.perf_counter() - start
print(b.most_memory() - before, taken)
"""


def child(way: str, megapixels: float, mode: str = "L") -> tuple[float, float]:
    """Megabytes above the loaded process and seconds, file to picture, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "grey.tif")
        Image.fromarray(photograph(megapixels)).convert(mode).save(path)
        code = CHILD.format(here=str(Path(__file__).parent), path=path, way=way)
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    return float(out[-2]), float(out[-1])


def peak(way: str, megapixels: float) -> float:
    return child(way, megapixels)[0]


def growth(plot: str | None) -> None:
    print("\n## Growth, from a file to the coloured picture, process of its own\n")
    print("| megapixels | mode | seconds | ns a pixel | MB above the loaded process |")
    print("|---|---|---|---|---|")
    found = []
    for megapixels in MEGAPIXELS:
        for mode in ("L", "RGB") if megapixels == max(MEGAPIXELS) else ("L",):
            memory, taken = child("ours", megapixels, mode)
            if mode == "L":
                found.append((megapixels, taken, memory))
            print(
                f"| {megapixels} | {mode} | {taken:.2f} | {1e3 * taken / megapixels:.0f}"
                f" | {memory:.0f} |"
            )
    if plot:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
        x, y, memory = zip(*found, strict=True)
        for axis, values, label in zip(axes, (y, memory), ("seconds", "MB"), strict=True):
            axis.plot(x, values, "o-")
            axis.set(xlabel="megapixels", ylabel=label, xlim=0, ylim=0)
        figure.savefig(plot, dpi=90)


# --- qualities ------------------------------------------------------------------------------------


def qualities(tar: str, count: int) -> None:
    print("\n## Qualities, lite.photos, against the truth\n")
    photos = open_photos(tar)
    step = max(1, len(photos) // count)
    chosen = [photos[i] for i in range(0, len(photos), step)][:count]
    predictor = deepcolor.Predictor(device="cpu")
    print("| quality | PSNR, dB | CIEDE2000 | ms a photograph | mirrored: mean ab difference |")
    print("|---|---|---|---|---|")
    for quality in ("fast", "balanced", "best"):
        scores, taken, mirrored = [], [], []
        for rgb in chosen:
            unit = rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb
            start = time.perf_counter()
            result = predictor(unit, quality=quality)
            taken.append(time.perf_counter() - start)
            flipped = predictor(unit.flip(-1), quality=quality).flip(-1)
            lab = [rgb_to_lab(one[None]) for one in (result, unit, flipped)]
            error = ciede2000(lab[0], lab[1]).mean()
            scores.append((float(psnr(result[None], unit[None])), float(error)))
            mirrored.append(float((lab[0] - lab[2])[:, 1:].norm(dim=1).mean()))
        decibels, error = np.mean(scores, axis=0)
        print(
            f"| {quality} | {decibels:.2f} | {error:.2f} | {1e3 * np.median(taken):.0f}"
            f" | {np.mean(mirrored):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tars", nargs="*", help="photographs: the first also for the qualities")
    parser.add_argument("--count", type=int, default=100, help="photographs of each")
    parser.add_argument("--plot", help="where to put the plot of the growth")
    kinds = ["upsampling", "pipelines", "growth", "qualities"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if "pipelines" in arguments.only:
        pipelines()
    if "growth" in arguments.only:
        growth(arguments.plot)
    if "upsampling" in arguments.only and arguments.tars:
        upsampling(arguments.tars, arguments.count)
    if "qualities" in arguments.only and arguments.tars:
        qualities(arguments.tars[0], arguments.count)


if __name__ == "__main__":
    main()
