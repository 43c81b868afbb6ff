import importlib

import numpy as np
import pytest
import skimage.color
import torch

from deepcolor.pixels import LEVELS, PictureChroma, compose, f_luminance, shrink, tiles, unit
from deepcolor.pixels import workers as tiling
from deepcolor.upsample import ChromaField

CPU = torch.device("cpu")


def stored(dtype: torch.dtype, channels: int, height: int = 40, width: int = 50) -> torch.Tensor:
    unit_pixels = torch.rand(channels, height, width)
    if dtype not in LEVELS:
        return unit_pixels
    return (unit_pixels * LEVELS[dtype]).round().int().to(dtype)


def lightness(pixels: torch.Tensor) -> np.ndarray:
    rgb = unit(pixels).expand(3, -1, -1).permute(1, 2, 0).double().numpy()
    return skimage.color.rgb2lab(rgb)[..., 0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_luminance_is_scikit_images(dtype, channels):
    pixels = stored(dtype, channels)
    if channels == 3:
        pixels[:, :5] = pixels[:1, :5]  # some of it grey, and black
        pixels[:, :1] = 0
    f_y = f_luminance(pixels).numpy()
    assert np.abs(116 * f_y - 16 - lightness(pixels)).max() < 2e-3


def test_grey_stored_as_rgb_takes_the_same_path_as_grey():
    grey = stored(torch.uint8, 1)
    assert torch.equal(f_luminance(grey), f_luminance(grey.expand(3, -1, -1)))


@pytest.mark.parametrize("size", [(7, 9), (1, 5000), (5000, 1), (300, 40000)])
def test_tiles_cover_each_pixel_once(size):
    seen = torch.zeros(size, dtype=torch.int32)
    half = size[0] // 2
    for band in (slice(0, half), slice(half, size[0])):
        for rows, columns in tiles(band, size[1], CPU):
            seen[rows, columns] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("sides", [(1000, 1300), (997, 1301), (90, 100), (3, 2000)])
def test_shrinking_is_an_average_of_the_right_place(sides):
    """A ramp stays a ramp: no shift, no stretch, whatever the remainders."""
    ramp = torch.linspace(0, 1, sides[1]).expand(1, sides[0], -1)
    small = shrink(ramp, (min(sides[0], 41), 56), CPU)[0]
    assert small.shape == (min(sides[0], 41), 56)
    at = (torch.arange(56) + 0.5) / 56  # a cell's mean is the ramp at its middle
    want = lightness(at.expand(1, 1, -1) * 1.0)[0]
    inner = slice(3, -3)  # beyond the border, the border
    assert np.abs(small.mean(dim=0).numpy()[inner] - want[inner]).max() < 0.6


def test_large_pictures_shrink_as_if_at_once():
    pixels = torch.nn.functional.interpolate(torch.rand(1, 1, 60, 80), (1201, 1599), mode="bicubic")
    pixels = (pixels[0].clamp(0, 1) * 255).to(torch.uint8)
    luminance = torch.from_numpy(lightness(pixels)).float()[None, None]
    want = torch.nn.functional.interpolate(
        luminance, size=(120, 160), mode="bicubic", align_corners=False, antialias=True
    )
    small = shrink(pixels, (120, 160), CPU)
    assert (small - want[0]).abs().mean() < 0.4  # of a range of 100: averaged in two steps


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("chroma", [0.0, 20.0, 90.0])
def test_composed_pictures_keep_lightness_and_lie_in_the_gamut(dtype, chroma):
    pixels = stored(dtype, 1)
    field = ChromaField(torch.randn(2, 5, 6) * chroma, torch.full((1, 5, 6), 50.0), (40, 50))
    out = torch.empty(3, 40, 50, dtype=dtype)
    compose(pixels, field, out)
    moved = np.abs(lightness(out) - lightness(pixels))
    assert moved.max() <= (1.0 if dtype == torch.uint8 else 0.01)
    if chroma == 0:
        assert (out.int() - pixels.int()).abs().max() == 0 or dtype == torch.float32


def test_a_picture_may_be_composed_in_its_own_memory():
    pixels = stored(torch.uint8, 3)
    field = ChromaField(torch.randn(2, 5, 6) * 40, torch.full((1, 5, 6), 50.0), (40, 50))
    out = torch.empty_like(pixels)
    compose(pixels, field, out)
    compose(pixels, field, pixels)
    assert torch.equal(pixels, out)


def test_threads_change_no_pixel_and_no_setting():
    pixels = stored(torch.uint8, 1, 900, 1100)
    field = ChromaField(torch.randn(2, 30, 40) * 30, torch.full((1, 30, 40), 50.0), (900, 1100))
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        out = torch.empty(3, 900, 1100, dtype=torch.uint8)
        compose(pixels, field, out)
        small = shrink(pixels, (100, 120), CPU)
        results.append((out, small))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    for out, small in results[1:]:
        assert (out.int() - results[0][0].int()).abs().max() <= 1  # bands differ, sums too
        assert (small - results[0][1]).abs().max() < 1e-4


def test_an_error_in_a_thread_is_raised(monkeypatch):
    class Broken(ChromaField):
        def read(self, rows, columns):
            raise RuntimeError("broken field")

    field = Broken(torch.zeros(2, 5, 6), torch.zeros(1, 5, 6), (900, 1100))
    pixels = stored(torch.uint8, 1, 900, 1100)
    with pytest.raises(RuntimeError, match="broken field"):
        compose(pixels, field, torch.empty(3, 900, 1100, dtype=torch.uint8))


@pytest.mark.parametrize(("side", "wanted"), [(200, 228), (140, 160), (107, 192), (1999, 156)])
def test_shrinking_loses_no_row_by_rounding(side, wanted):
    """200 * (228 / 200) is a little less than 228."""
    pixels = stored(torch.uint8, 1, side, 60)
    assert shrink(pixels, (wanted, 52), CPU).shape == (1, wanted, 52)
    assert shrink(pixels.mT.contiguous(), (52, wanted), CPU).shape == (1, 52, wanted)


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def harsh(kind: str, dtype: torch.dtype, height: int, width: int) -> torch.Tensor:
    """(1, H, W): of contrasts that leave little room for chroma."""
    if kind == "black and white":
        levels = (torch.rand(1, height, width) < 0.5).float()
    elif kind == "any level":
        levels = torch.rand(1, height, width)
    else:  # a landscape with raised contrast: most of it near black or white
        ramp = torch.linspace(-1, 1, height)[:, None] + 0.5 * torch.rand(1, height, width)
        levels = (2.5 * ramp + 0.5).clamp(0, 1)
    return levels if dtype not in LEVELS else (levels * LEVELS[dtype]).round().int().to(dtype)


def chroma_of(kind: str, size: tuple[int, int]) -> ChromaField | PictureChroma:
    if kind == "another picture's":
        return PictureChroma(stored(torch.uint8, 3, *size), size)
    if kind == "another picture's, enlarged":
        return PictureChroma(stored(torch.uint8, 3, *(side // 9 for side in size)), size, 3.0)
    strength = {"strong": 40.0, "very strong": 200.0, "beyond reason": 1e5}[kind]
    return ChromaField(torch.randn(2, 9, 12) * strength, torch.full((1, 9, 12), 50.0), size)


CHROMA = ["strong", "very strong", "beyond reason", "another picture's"]
KINDS = ["black and white", "any level", "raised contrast"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("chroma", [*CHROMA, "another picture's, enlarged"])
@pytest.mark.parametrize("tile", [(1 << 10, 1 << 14), (1 << 12, 64), (900, 300)])
def test_no_correction_is_lost_between_tiles(threads, dtype, chroma, tile, monkeypatch):
    """Corrections are stored in the midst of a band once there are a tile's worth of them."""
    monkeypatch.setattr(tiling, "TILE_PIXELS", tile[0])
    monkeypatch.setattr(tiling, "TILE_WIDTH", tile[1])
    module = importlib.import_module("deepcolor.pixels.compose")  # compose names its function
    monkeypatch.setattr(module, "TILE_PIXELS", tile[0])
    field = chroma_of(chroma, (150, 210))
    for kind in KINDS:
        pixels = harsh(kind, dtype, 150, 210)
        out = torch.empty(3, 150, 210, dtype=dtype)
        compose(pixels, field, out)
        moved = np.abs(lightness(out) - lightness(pixels))
        assert moved.max() <= (1.0 if dtype == torch.uint8 else 0.01), kind


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_large_harsh_pictures_keep_the_lightness_of_every_pixel(threads, dtype, kind):
    """At the sizes that users have: several tiles of a band, each with a tile of corrections."""
    height, width = 900, 1000
    field = chroma_of("very strong", (height, width))
    pixels = harsh(kind, dtype, height, width)
    out = torch.empty(3, height, width, dtype=dtype)
    compose(pixels, field, out)
    moved = np.abs(lightness(out) - lightness(pixels))
    assert moved.max() <= (1.0 if dtype == torch.uint8 else 0.01)
    assert moved.mean() <= (0.2 if dtype == torch.uint8 else 0.01)
