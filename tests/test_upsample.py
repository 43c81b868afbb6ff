import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.metrics import ciede2000, psnr
from deepcolor.upsample import BICUBIC_MEANS, ChromaField, upsample_chroma


def test_without_edges_it_is_torchs_bicubic():
    ab = torch.randn(2, 2, 13, 17) * 20
    luminance = torch.rand(2, 1, 301, 203) * 100
    want = F.interpolate(ab, size=(301, 203), mode="bicubic", align_corners=False)
    assert (upsample_chroma(ab, luminance, edges=False) - want).abs().max() < 1e-3


def test_the_weights_of_the_means_are_those_of_bicubic_enlargement():
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    large = F.interpolate(point, scale_factor=64, mode="bicubic", align_corners=False)
    means = F.avg_pool2d(large, 64)[0, 0].sum(dim=0)[2:7]
    assert means.tolist() == pytest.approx(BICUBIC_MEANS, abs=2e-4)
    assert sum(BICUBIC_MEANS) == pytest.approx(1)


def test_tiles_read_what_the_whole_holds():
    field = ChromaField(torch.randn(2, 12, 20) * 20, torch.rand(1, 12, 20) * 100, (120, 200))
    whole = field.read(slice(0, 120), slice(0, 200))
    for rows, columns in ((slice(0, 7), slice(0, 200)), (slice(60, 120), slice(33, 90))):
        tile = field.read(rows, columns)
        assert (tile - whole[:, rows, columns]).abs().max() < 1e-3


def test_flat_chroma_stays_flat():
    ab = torch.tensor([12.0, -30]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    out = upsample_chroma(ab, torch.rand(1, 1, 100, 90) * 100)
    assert (out - ab[..., :1, :1]).abs().max() < 1e-3


def test_means_survive_the_enlargement():
    lab = rgb_to_lab(torch.from_numpy(skimage.data.chelsea().copy()).permute(2, 0, 1)[None] / 255)
    luminance, ab = split_lab(lab[..., :288, :448])
    small = F.interpolate(ab, size=(36, 56), mode="area")
    for edges, tolerance in ((True, 0.25), (False, 0.45)):
        large = upsample_chroma(small, luminance, edges=edges)
        again = F.interpolate(large, size=(36, 56), mode="area")
        assert (again - small).abs().mean() < tolerance


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("reduction", [4, 8])
def test_true_chroma_comes_back_better_than_by_bicubic(name, reduction):
    photo = getattr(skimage.data, name)()
    rgb = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255
    height, width = (side // 8 * 8 for side in rgb.shape[-2:])
    lab = rgb_to_lab(rgb[..., :height, :width])
    luminance, ab = split_lab(lab)
    small = F.interpolate(ab, size=(height // reduction, width // reduction), mode="area")
    scores = []
    for out in (
        upsample_chroma(small, luminance),
        F.interpolate(small, size=(height, width), mode="bicubic", align_corners=False),
    ):
        shown = lab_to_rgb(join_lab(luminance, out))
        error = ciede2000(rgb_to_lab(shown), lab).mean()
        scores.append((float(psnr(shown, rgb[..., :height, :width])), float(error)))
    assert scores[0][0] > scores[1][0]
    assert scores[0][1] < scores[1][1]


def two_colours(dark: float = 30, bright: float = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """A red field beside a green one, 512 pixels, the edge not on the grid's lines."""
    luminance = torch.full((1, 1, 256, 512), dark)
    luminance[..., 261:] = bright
    ab = torch.tensor([40.0, 30]).view(1, 2, 1, 1).repeat(1, 1, 256, 512)
    ab[..., 261:] = torch.tensor([-40.0, 30]).view(1, 2, 1, 1)
    return luminance, ab


def bleeding(out: torch.Tensor, ab: torch.Tensor) -> float:
    """Share of pixels, within a grid square of the edge, of which the colour is off by over 10."""
    near = slice(261 - 16, 261 + 16)
    return float(((out - ab).norm(dim=1)[..., near] > 10).float().mean())


def test_less_colour_bleeds_over_an_edge_than_by_bicubic():
    luminance, ab = two_colours()
    small = F.interpolate(ab, size=(16, 32), mode="area")
    guided = upsample_chroma(small, luminance)
    plain = F.interpolate(small, size=(256, 512), mode="bicubic", align_corners=False)
    assert bleeding(guided, ab) < 0.6 * bleeding(plain, ab)


def test_an_edge_that_luminance_does_not_show_is_left_to_bicubic():
    luminance, ab = two_colours(50, 50)
    small = F.interpolate(ab, size=(16, 32), mode="area")
    guided = upsample_chroma(small, luminance)
    assert torch.isfinite(guided).all()
    assert guided.abs().max() < 60  # sharpened, not run away


def test_noise_in_the_luminance_stays_out_of_the_chroma():
    luminance = 50 + 3 * torch.randn(1, 1, 256, 256)
    ab = torch.randn(1, 2, 16, 16) * 5
    ab = F.avg_pool2d(F.pad(ab, (2,) * 4, mode="replicate"), 5, stride=1)
    out = upsample_chroma(ab, luminance)
    smooth = upsample_chroma(ab, torch.full_like(luminance, 50))
    assert (out - smooth).std() < 0.2


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(B, 2, h, w\)"):
        upsample_chroma(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"\(B, 2, h, w\)"):
        upsample_chroma(torch.zeros(2, 2, 4, 4), torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 3), (40, 41)])
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (48, 48)])
def test_any_size_from_any_grid(size, grid):
    out = upsample_chroma(torch.randn(1, 2, *grid), torch.rand(1, 1, *size) * 100)
    assert out.shape == (1, 2, *size)
    assert np.isfinite(out.numpy()).all()


@pytest.mark.parametrize("edges", [True, False])
def test_chroma_is_read_anywhere_between_pixels(edges):
    generator = torch.Generator().manual_seed(0)
    ab, luminance = (torch.randn(n, 5, 7, generator=generator) * 30 for n in (2, 1))
    field = ChromaField(ab, luminance, (40, 63), edges)
    whole = field.read(slice(0, 40), slice(0, 63))
    rows, columns = torch.arange(40) + 0.5, torch.arange(63) + 0.5
    torch.testing.assert_close(field.read_at(rows, columns), whole)
    torch.testing.assert_close(field.read_at(rows[3::2], columns[1::4]), whole[:, 3::2, 1::4])
    finer = ChromaField(ab, luminance, (80, 126), edges).read(slice(0, 80), slice(0, 126))
    torch.testing.assert_close(field.read_at(rows - 0.25, columns + 0.25), finer[:, ::2, 1::2])


def test_tall_pictures_are_read_as_short_ones_are():
    ab, luminance = torch.randn(2, 9, 5) * 30, torch.randn(1, 9, 5) * 30
    field = ChromaField(ab, luminance, (300, 20))
    rows, columns = torch.arange(300) + 0.25, torch.arange(20) + 0.5
    each = [field.read_at(rows[i : i + 1], columns) for i in range(300)]
    torch.testing.assert_close(field.read_at(rows, columns), torch.cat(each, dim=1))
