"""A sheet of a film's frames in colour, to look at before the long run."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcolor import images
from deepcolor.color import join_lab, lab_to_rgb
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference.options import Options
from deepcolor.inference.painter import Painter
from deepcolor.upsample import upsample_chroma
from deepcolor.video.film import FilmFrame
from deepcolor.video.guiding import FilmGuidance
from deepcolor.video.options import FilmOptions
from deepcolor.video.pipeline import film_threads
from deepcolor.video.snapshots import Coloured
from deepcolor.video.work import FilmWork

__all__ = ["preview_film"]

FRAMES, COLUMNS = 12, 4
WIDTH = 320  # of a frame, in pixels
AROUND = 4  # frames before and after that a steady colour is looked for in
GAP = 8


def preview_film(
    src: Path,
    sheet: Path,
    painter: Painter,
    options: Options,
    how: FilmOptions,
    guidance: FilmGuidance = None,
    frames: int = FRAMES,
) -> Path:
    """Write a picture of some frames of a film, in the order of the film, coloured.

    Args:
        src: as of `FilmWork`.
        sheet: the picture to write; its suffix says the format.
        painter: as of `FilmWork`.
        options: as of `FilmWork`.
        how: as of `FilmWork`; frames are steadied with those around them, unless steady is 0.
        guidance: as of `FilmWork`.
        frames: how many, evenly over the film or what of it is asked for.
    """
    images.writable(sheet)
    work = FilmWork(src, sheet.parent / ".preview.mkv", painter, options, how, guidance)
    total = work.total() or 0
    places = sorted({int((i + 0.5) * total / frames) for i in range(frames)})
    tiles = []
    with film_threads() as pool, torch.inference_mode():
        for place in places:
            around = AROUND if how.steady else 0
            first = max(0, place - around)
            fresh = FilmWork(src, work.dst, painter, replace(options), how, guidance)
            few = islice(fresh.frames(first), place - first + around + 1)
            with closing(fresh.pipeline.run(few, pool)) as coloured:
                found = list(islice(_frames(coloured), place - first + 1))
            if found:
                tiles.append(_tile(work, found[-1]))
    if not tiles:
        raise ValueError(f"{work.film.name}: no frame lies between the start and the end asked for")
    return images.save(_sheet(tiles), sheet)


def _frames(coloured: object) -> Iterator[Coloured]:
    for item in coloured:  # type: ignore[attr-defined]
        assert isinstance(item, Coloured)  # no stretch is so short
        yield item


def _tile(work: FilmWork, one: Coloured) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(h, WIDTH, 3): a frame as it will look, small."""
    frame: FilmFrame = one.frame
    size = (max(1, round(work.full[0] * WIDTH / work.full[1])), WIDTH)
    luminance: Tensor = work.view(frame, size)[None]
    ab = upsample_chroma(one.ab[None], luminance, means=one.luminance[None])
    rgb = lab_to_rgb(clamp_to_gamut(join_lab(luminance, ab)))[0]
    return (rgb.movedim(0, -1) * 255).round().to(torch.uint8).numpy()


def _sheet(tiles: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> Image.Image:
    height = tiles[0].shape[0]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    out = np.full((rows * (height + GAP) + GAP, columns * (WIDTH + GAP) + GAP, 3), 32, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (GAP + n * (side + GAP) for n, side in
                     zip(divmod(i, columns), (height, WIDTH), strict=True))  # fmt: skip
        out[top : top + height, left : left + WIDTH] = tile
    return Image.fromarray(out)
