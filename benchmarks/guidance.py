"""What guidance is worth: levin04's solver against SciPy's, and colours by reference.

    python benchmarks/guidance.py levin [--side 1000] [--json FILE]
    python benchmarks/guidance.py reference FOLDER_OR_TAR ... [--pairs 50] [--json FILE] [--sheet F]

`levin` solves one system of a photograph with 20 strokes by `levin04` and by SciPy's direct solver,
in turn in one process, and says how far the answers are apart. `reference` takes photographs, pairs
each with the most alike other one of its source, as the encoder of `lite.photos` sees them in grey,
and colours it by `welsh02`, by lite with that reference, and by lite alone: CIEDE2000 against the
truth. Prints Markdown tables.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import deepcolor
from deepcolor.blocks.multigrid import NEIGHBOURS, PixelSystem
from deepcolor.color import lab_to_rgb, rgb_to_lab, unit_rgb
from deepcolor.data import open_photos
from deepcolor.guidance import Reference
from deepcolor.inference import predict_lab
from deepcolor.inference.network import working_size
from deepcolor.inference.reference import describer
from deepcolor.metrics import CIEDE2000
from deepcolor.models.combined import resized
from deepcolor.models.levin04 import Propagation

STROKES = 20
SAME = 0.97  # cosine above which two photographs are taken for the same


def photograph(side: int) -> Tensor:
    """Scikit-image's coffee at (side, side): (3, side, side) Lab."""
    import skimage.data

    rgb = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None] / 255
    return rgb_to_lab(resized(rgb, (side, side)).clamp(0, 1))[0]


def strokes(lab: Tensor) -> tuple[Tensor, Tensor]:
    """True chroma under 20 strokes of 5 x 50 pixels: (2, H, W) and (H, W)."""
    mask, generator = torch.zeros(lab.shape[-2:]), torch.Generator().manual_seed(1)
    for _ in range(STROKES):
        row = int(torch.randint(lab.shape[-2] - 5, (), generator=generator))
        column = int(torch.randint(lab.shape[-1] - 50, (), generator=generator))
        mask[row : row + 5, column : column + 50] = 1
    return lab[1:] * mask, mask


def direct(weights: Tensor, anchor: Tensor, right: Tensor) -> Tensor:
    height, width = anchor.shape
    number = torch.arange(height * width).view(height, width)
    weights = weights.double()
    rows, columns = [number.flatten()], [number.flatten()]
    values = [(weights.sum(dim=0) + anchor.double()).flatten()]
    for weight, (down, across) in zip(weights, NEIGHBOURS, strict=True):
        row, column = weight.nonzero(as_tuple=True)
        rows.append(number[row, column])
        columns.append(number[row + down, column + across])
        values.append(-weight[row, column])
    place = (torch.cat(rows).numpy(), torch.cat(columns).numpy())
    matrix = scipy.sparse.csc_matrix((torch.cat(values).numpy(), place))
    answer = scipy.sparse.linalg.spsolve(matrix, right.double().flatten(1).T.numpy())
    return torch.from_numpy(answer).T.reshape(right.shape)


def levin(side: int) -> dict[str, float]:
    lab = photograph(side)
    ab, mask = strokes(lab)
    start = time.perf_counter()
    system = Propagation().system(lab[0], ab, mask)
    building = time.perf_counter() - start
    ours = []
    for _ in range(3):
        start = time.perf_counter()
        answer = PixelSystem(*system[:2]).solve(system[2])
        ours.append(time.perf_counter() - start)
    start = time.perf_counter()
    wanted = direct(*system)
    theirs = time.perf_counter() - start
    return {
        "pixels": side * side,
        "threads": torch.get_num_threads(),
        "system_s": building,
        "levin04_s": statistics.median(ours),
        "spsolve_s": theirs,
        "ratio": theirs / statistics.median(ours),
        "farthest_ab": float((answer - wanted).abs().max()),
        "load": os.getloadavg()[0],
    }


@torch.no_grad()
def pairs(sources: list[str], count: int) -> list[tuple[str, Tensor, Tensor]]:
    """Source, picture and reference: (1, 3, H, W) Lab each."""
    model, found = describer("cpu"), []
    for source in sources:
        photos = open_photos(source)
        each = -(-count // len(sources))
        chosen = torch.linspace(0, len(photos) - 1, min(len(photos), 4 * each)).long().unique()
        labs = [rgb_to_lab(unit_rgb(photos[int(i)])[None]) for i in chosen]
        seen = [
            resized(lab[:, :1], working_size(*lab.shape[-2:], model.size, model.stride))
            for lab in labs
        ]
        vectors = [model.network.encoder((x - 50) / 50)[-1].mean(dim=(2, 3)) for x in seen]
        vectors = torch.cat(vectors)
        vectors = F.normalize(vectors - vectors.mean(dim=0), dim=1)
        like = vectors @ vectors.T
        like[like > SAME] = -1
        for i in range(0, len(labs), 4):
            found.append((Path(source).stem, labs[i], labs[int(like[i].argmax())]))
    return found[:count]


def coloured(name: str, lab: Tensor, reference: Tensor) -> Tensor:
    model = deepcolor.load_model("welsh02" if name == "welsh02" else "lite.photos")
    guidance = None if name == "lite alone" else Reference(reference)
    return lab_to_rgb(predict_lab(model, lab[:, :1], guidance=guidance)).clamp(0, 1)


def references(sources: list[str], count: int, sheet: Path | None) -> dict[str, object]:
    known = pairs(sources, count)
    names = ("welsh02", "lite with the reference", "lite alone")
    table: dict[str, list[float]] = {name: [] for name in names}
    rows = []
    for _, lab, reference in known:
        truth, row = lab_to_rgb(lab).clamp(0, 1), [lab_to_rgb(reference).clamp(0, 1)]
        for name in names:
            rgb = coloured(name, lab, reference)
            metric = CIEDE2000()
            metric.update(rgb, truth)
            table[name].append(float(metric.compute()))
            row.append(rgb)
        rows.append([*row, truth])
    if sheet is not None:
        tiles = [
            torch.cat([F.interpolate(x, size=(120, 160), mode="area") for x in row], dim=3)
            for row in rows[:: max(1, len(rows) // 10)]
        ]
        pixels = (torch.cat(tiles, dim=2)[0].permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(sheet)
    kinds = [kind for kind, _, _ in known]
    means = {
        kind: {
            name: statistics.mean(v for v, k in zip(values, kinds, strict=True) if k == kind)
            for name, values in table.items()
        }
        for kind in dict.fromkeys(kinds)
    }
    means["all"] = {name: statistics.mean(values) for name, values in table.items()}
    better = zip(table[names[1]], table["welsh02"], strict=True)
    return {"pairs": len(known), "means": means, "better": sum(a < b for a, b in better)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["levin", "reference"])
    parser.add_argument("sources", nargs="*", help="folders or tar archives of photographs")
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    asked = parser.parse_args()
    if asked.what == "levin":
        found: dict[str, object] = dict(levin(asked.side))
        print("| " + " | ".join(found) + " |")
        print("|---" * len(found) + "|")
        print("| " + " | ".join(f"{value:.4g}" for value in found.values()) + " |")
    else:
        found = references(asked.sources, asked.pairs, asked.sheet)
        means = found["means"]
        assert isinstance(means, dict)
        names = list(means["all"])
        print(f"CIEDE2000 against the truth, means over {found['pairs']} pairs;")
        print(f"lite with the reference is better than welsh02 on {found['better']}\n")
        print("| | " + " | ".join(names) + " |")
        print("|---" * (1 + len(names)) + "|")
        for kind, row in means.items():
            print(f"| {kind} | " + " | ".join(f"{row[name]:.2f}" for name in names) + " |")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
