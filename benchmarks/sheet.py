"""A sheet of photographs: grey, coloured, truth side by side.

    python benchmarks/sheet.py OUT.png [PHOTO ...] [--model lite.photos] [--failures]

Without PHOTO: eight photographs that installed packages carry and that may be published (it needs
scikit-image, scikit-learn and matplotlib; titles and licences in docs/lite.md). --failures shows
the parts of them that go wrong, cut out after colouring.
"""

import argparse
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import deepcolor
from deepcolor import images

HEIGHT = 200
COLUMNS = 2
MARGIN = 6


def published() -> dict[str, Image.Image]:
    import matplotlib
    import sklearn.datasets

    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {
        "astronaut": Image.fromarray(skimage.data.astronaut()),
        "chelsea": Image.fromarray(skimage.data.chelsea()),
        "coffee": Image.fromarray(skimage.data.coffee()),
        "rocket": Image.fromarray(skimage.data.rocket()),
        "hubble": Image.fromarray(skimage.data.hubble_deep_field()),
        "hopper": Image.open(hopper).convert("RGB"),
        "china": Image.fromarray(sklearn.datasets.load_sample_image("china.jpg")),
        "flower": Image.fromarray(sklearn.datasets.load_sample_image("flower.jpg")),
    }


Box = tuple[float, float, float, float]
# Shares of width and height: left, upper, right, lower.
FAILURES: dict[str, Box] = {
    "astronaut": (0.0, 0.0, 0.45, 0.6),
    "coffee": (0.1, 0.15, 0.85, 1.0),
}


def strip(
    truth: Image.Image, predictor: deepcolor.Predictor, box: Box = (0.0, 0.0, 1.0, 1.0)
) -> Image.Image:
    grey = truth.convert("L")
    left, upper, right, lower = box
    cut = (left * truth.width, upper * truth.height, right * truth.width, lower * truth.height)
    parts = [part.crop(cut) for part in (grey.convert("RGB"), predictor(grey), truth)]
    width = round(parts[0].width * HEIGHT / parts[0].height)
    return Image.fromarray(
        np.concatenate([np.asarray(p.resize((width, HEIGHT), Image.LANCZOS)) for p in parts], 1)
    )


def sheet(strips: list[Image.Image], columns: int) -> Image.Image:
    rows = [strips[i : i + columns] for i in range(0, len(strips), columns)]
    widths = [max(row[c].width for row in rows if c < len(row)) for c in range(columns)]
    size = (sum(widths) + MARGIN * (columns + 1), len(rows) * (HEIGHT + MARGIN) + MARGIN)
    page = Image.new("RGB", size, "white")
    for r, row in enumerate(rows):
        x = MARGIN
        for column, picture in enumerate(row):
            page.paste(picture, (x, MARGIN + r * (HEIGHT + MARGIN)))
            x += widths[column] + MARGIN
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--model", default="lite.photos")
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--failures", action="store_true")
    arguments = parser.parse_args()
    truths = [Image.open(p).convert("RGB") for p in arguments.photos]
    predictor = deepcolor.Predictor(arguments.model, "cpu")
    if arguments.failures:
        known = published()
        strips = [strip(known[name], predictor, box) for name, box in FAILURES.items()]
    else:
        strips = [strip(truth, predictor) for truth in truths or published().values()]
    print(images.save(sheet(strips, arguments.columns), arguments.output))


if __name__ == "__main__":
    main()
