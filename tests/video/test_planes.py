"""Chroma for a film's own luma: the hue and chroma asked, whatever the matrix, range and siting."""

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor

from deepcolor.pixels import shrink
from deepcolor.upsample import ChromaField
from deepcolor.video.layouts import MATRICES, Layout

SHARES = {  # red and blue in luma, written down again from the standards
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


def shown(layout: Layout, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """R'G'B' as a player makes it of planes of one size, unclipped: (H, W, 3)."""
    red, blue = SHARES[layout.matrix]
    top, scale = (1 << layout.depth) - 1, 1 << (layout.depth - 8)
    if layout.full_range:
        luma, (cb, cr) = y / top, ((p - (top + 1) / 2) / top for p in (u, v))
    else:
        luma = (y - 16.0 * scale) / (219 * scale)
        cb, cr = ((p - 128.0 * scale) / (224 * scale) for p in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    return np.stack([r, (luma - red * r - blue * b) / (1 - red - blue), b], axis=-1)


def even(ab: tuple[float, float], size: tuple[int, int]) -> ChromaField:
    """A field of one colour."""
    plane = torch.tensor(ab, dtype=torch.float32).view(2, 1, 1).expand(2, 4, 4).contiguous()
    return ChromaField(plane, torch.full((1, 4, 4), 50.0), size)


def ramp(layout: Layout) -> np.ndarray:
    black, span = layout.black_and_span
    levels = np.linspace(black, black + span, layout.width).round()
    return np.broadcast_to(levels.astype(layout.dtype), (layout.height, layout.width)).copy()


@pytest.mark.parametrize("matrix", sorted(SHARES))
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("hue", range(0, 360, 45))
def test_the_colour_shown_has_the_hue_and_chroma_asked(matrix, full_range, depth, hue):
    layout = Layout(
        width=256, height=1, depth=depth, across=1, down=1, full_range=full_range, matrix=matrix
    )
    y = ramp(layout)
    asked = 30 * np.array([np.cos(np.radians(hue)), np.sin(np.radians(hue))])
    u, v = layout.chroma(y, even(tuple(asked), (1, 256)))
    rgb = shown(layout, y, u, v)
    step = 2.0 / 224 if depth == 8 else 0.5 / 224
    assert rgb.min() > -step
    assert rgb.max() < 1 + step
    lab = skimage.color.rgb2lab(rgb.clip(0, 1))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    # where R'G'B' has room; a step of 8-bit chroma is about 0.7 in CIELAB, the atlas errs by 0.9
    inside = (rgb.min(-1) > 0.03) & (rgb.max(-1) < 0.97)
    assert inside.mean() > 0.25
    assert np.abs(lab[inside][:, 1:] - asked).max() < (1.6 if depth == 8 else 1.0)
    assert chroma.max() < 30 + 1.6
    # elsewhere too it is the hue asked, where there is enough chroma to tell
    turned = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) - hue
    turned = np.abs((turned + 180) % 360 - 180)
    assert turned[(chroma > 15) & (lab[..., 0] > 15)].max() < (8 if depth == 8 else 4)


@pytest.mark.parametrize("layout", [
    Layout(width=33, height=17),
    Layout(width=33, height=17, depth=10, across=2, down=1, full_range=True),
    Layout(width=32, height=18, depth=12, across=1, down=1, matrix="bt2020", primaries="bt2020"),
    Layout(width=40, height=20, siting="topleft", matrix="bt601", primaries="smpte170m"),
])  # fmt: skip
def test_no_chroma_asked_is_neutral_to_the_number(layout):
    y = np.random.default_rng(0).integers(0, 1 << layout.depth, (layout.height, layout.width))
    field = even((0.0, 0.0), (layout.height, layout.width))
    for plane in layout.chroma(y.astype(layout.dtype), field):
        assert plane.shape == layout.chroma_size
        assert plane.dtype == layout.dtype
        assert (plane == 1 << (layout.depth - 1)).all()


def coloured(height: int, width: int) -> tuple[ChromaField, Tensor]:
    """A field whose a rises from left to right and b from top to bottom, exactly."""
    rows = torch.linspace(-20, 20, 8).view(1, 8, 1).expand(1, 8, 8)
    ab = torch.cat([rows.mT, rows])
    return ChromaField(ab, torch.full((1, 8, 8), 50.0), (height, width), edges=False), ab


@pytest.mark.parametrize("siting", ["left", "center", "topleft", "top"])
@pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (1, 2), (4, 1), (4, 4)])
def test_chroma_is_sampled_where_its_samples_lie(siting, across, down):
    height = width = 64
    full = Layout(width=width, height=height, depth=12, across=1, down=1)
    y = np.full((height, width), 2000, np.uint16)
    field, _ = coloured(height, width)
    dense = np.stack(full.chroma(y, field)).astype(float)
    layout = Layout(width=width, height=height, depth=12, across=across, down=down, siting=siting)
    planes = np.stack(layout.chroma(y, field)).astype(float)
    left = 0.0 if siting in ("left", "topleft") else (across - 1) / 2
    top = 0.0 if siting in ("topleft", "top") else (down - 1) / 2
    rows = np.arange(planes.shape[1]) * down + top
    columns = np.arange(planes.shape[2]) * across + left
    for plane, whole in zip(planes, dense, strict=True):
        from_rows = np.stack([np.interp(rows, np.arange(height), c) for c in whole.T])
        expected = np.stack([np.interp(columns, np.arange(width), r) for r in from_rows.T])
        inner = slice(2, -2)
        assert np.abs(plane - expected)[inner, inner].max() < 1.6


def test_colour_follows_the_edges_of_luma():
    layout = Layout(width=64, height=64, depth=10)
    y = np.full((64, 64), 300, np.uint16)
    y[:, 28:] = 700  # between the squares of the grid
    luminance = layout.luminance(y)
    small = torch.nn.functional.interpolate(luminance[None], (8, 8), mode="area")[0]
    share = (small - luminance.min()) / (luminance.max() - luminance.min())
    field = ChromaField(torch.cat([40 * share, 40 * share - 20]), small, (64, 64))
    plain = ChromaField(torch.cat([40 * share, 40 * share - 20]), small, (64, 64), edges=False)
    steps, smooth = (
        np.abs(np.diff(layout.chroma(y, one)[0][16].astype(int))) for one in (field, plain)
    )
    assert steps.argmax() == 13
    assert steps[13] > 2 * smooth[13]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("full_range", [False, True])
def test_luminance_is_that_of_the_grey_a_screen_shows(depth, full_range):
    layout = Layout(width=50, height=40, depth=depth, full_range=full_range)
    y = np.random.default_rng(1).integers(0, 1 << depth, (40, 50)).astype(layout.dtype)
    black, white = (0, (1 << depth) - 1) if full_range else (16 << depth - 8, 235 << depth - 8)
    grey = ((y.astype(float) - black) / (white - black)).clip(0, 1)
    expected = skimage.color.rgb2lab(np.repeat(grey[..., None], 3, axis=-1))[..., 0]
    luminance = layout.luminance(y)
    assert luminance.shape == (1, 40, 50)
    np.testing.assert_allclose(luminance[0].numpy(), expected, atol=0.01)
    reduced = shrink(torch.from_numpy(grey).float()[None], (10, 12), torch.device("cpu"))
    torch.testing.assert_close(layout.shrunk(y, (10, 12)), reduced, atol=0.02, rtol=0)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(120, 160), (121, 163), (89, 40), (30, 31)])
def test_films_are_reduced_as_pictures_are(depth, size):
    layout = Layout(width=size[1], height=size[0], depth=depth, full_range=True)
    y = np.random.default_rng(2).integers(0, 1 << depth, size).astype(layout.dtype)
    grey = torch.from_numpy(y / ((1 << depth) - 1)).float()
    reduced = shrink(grey[None], (20, 19), torch.device("cpu"))
    torch.testing.assert_close(layout.shrunk(y, (20, 19)), reduced, atol=0.02, rtol=0)


@pytest.mark.parametrize("matrix", sorted(SHARES))
def test_more_chroma_than_there_is_keeps_its_hue(matrix):
    layout = Layout(width=256, height=1, depth=12, across=1, down=1, matrix=matrix)
    y = ramp(layout)
    inside = np.stack(layout.chroma(y, even((90, 60), (1, 256)))).astype(int)
    beyond = np.stack(layout.chroma(y, even((270, 180), (1, 256)))).astype(int)
    assert np.abs(beyond - inside).max() < 120  # of 4096: neither has any room left
    assert shown(layout, y, *beyond.astype(np.uint16)).min() > -0.5 / 224
    assert shown(layout, y, *beyond.astype(np.uint16)).max() < 1 + 0.5 / 224


def test_every_level_of_luma_has_a_shade_of_its_own():
    layout = Layout(width=256, height=1, depth=12, across=1, down=1, full_range=True)
    y = (np.arange(256)[None] * 4095 // 255).astype(np.uint16)
    planes = np.stack(layout.chroma(y, even((9, -7), (1, 256)))).astype(int)
    steps = np.abs(np.diff(planes, axis=-1))[:, 0, 32:240]
    assert steps.max() <= 16  # a step of 8 bits: no bands


def test_the_matrices_are_those_of_the_standards():
    assert {name: MATRICES[name] for name in SHARES} == SHARES
