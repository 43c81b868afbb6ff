"""Where the milliseconds of one call go: a megapixel array, warm, on the CPU.

python benchmarks/colorize.py
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image

import deepcolor
from deepcolor import images
from deepcolor.color import join_lab, lab_to_rgb
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference import _fit, predict_ab

ROUNDS = 9
SIDE = 1000


def median(work: Callable[[], Any]) -> tuple[float, Any]:
    work()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return 1e3 * sorted(taken)[ROUNDS // 2], result


def main() -> None:
    photo = Image.fromarray(skimage.data.astronaut()).convert("L").resize((SIDE, SIDE))
    array = np.array(photo)
    predictor = deepcolor.Predictor("lite.photos", device="cpu")
    model = predictor.model
    parts: dict[str, float] = {}
    with torch.inference_mode():
        parts["read: array to tensor"], picture = median(lambda: images.read(array))
        parts["RGB to L"], luminance = median(lambda: predictor._luminance(picture.rgb))
        parts["L to the network's size"], (x, _) = median(
            lambda: _fit(luminance, model.size, model.stride)
        )
        parts["network and annealed mean"], _ = median(lambda: model(x))
        both, ab = median(lambda: predict_ab(model, luminance))
        rest = both - parts["L to the network's size"] - parts["network and annealed mean"]
        parts["ab to full size"] = max(0.0, rest)
        parts["gamut"], lab = median(lambda: clamp_to_gamut(join_lab(luminance, ab)))
        parts["Lab to RGB"], rgb = median(lambda: lab_to_rgb(lab))
        parts["write: tensor to array"], _ = median(lambda: picture.give_back(rgb))
    whole, _ = median(lambda: predictor(array))
    print(
        f"colorize on {array.shape} uint8, {torch.get_num_threads()} threads, network at {x.shape}"
    )
    print("| | ms |")
    print("|---|---|")
    print(f"| whole call | {whole:.0f} |")
    for name, value in parts.items():
        print(f"| {name} | {value:.0f} |")


if __name__ == "__main__":
    main()
