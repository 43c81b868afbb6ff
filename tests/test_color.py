import numpy as np
import pytest
import skimage.color
import torch
from PIL import Image

from deepcolor import color

# L, a, b of the corners of the sRGB cube, systems.md 0.1
PRIMARIES = {
    (1, 0, 0): (53.241, 80.092, 67.203),
    (0, 1, 0): (87.735, -86.183, 83.180),
    (0, 0, 1): (32.296, 79.186, -107.857),
    (0, 1, 1): (91.113, -48.091, -14.126),
    (1, 0, 1): (60.324, 98.233, -60.821),
    (1, 1, 0): (97.140, -21.555, 94.478),
    (0, 0, 0): (0, 0, 0),
    (1, 1, 1): (100, 0, 0),
}
FORWARD = {"lab": color.rgb_to_lab, "luv": color.rgb_to_luv, "ycbcr": color.rgb_to_ycbcr}
INVERSE = {"lab": color.lab_to_rgb, "luv": color.luv_to_rgb, "ycbcr": color.ycbcr_to_rgb}
TOLERANCE = 1e-3  # float32 against scikit-image's float64, in units of each space


def edge_colours() -> torch.Tensor:
    """Black, white, the cube's corners, both sides of each threshold, and the grey axis."""
    axis = torch.tensor([0, 1e-6, 0.0031308, 0.04045, 0.0405, 0.5, 1 - 1e-6, 1])
    corners = torch.cartesian_prod(axis, axis, axis)
    grey = torch.linspace(0, 1, 256)[:, None].expand(-1, 3)
    return torch.cat([corners, grey])


def as_image(colours: torch.Tensor) -> torch.Tensor:
    return colours.T[:, :, None]  # (3, N, 1)


def outside_reference(space: str, rgb: np.ndarray) -> np.ndarray:
    if space == "ycbcr":  # scikit-image's is studio range: Y 16..235, chroma 16..240
        studio = skimage.color.rgb2ycbcr(rgb)
        return (studio - [16, 128, 128]) / [219, 224, 224] * 255 + [0, 128, 128]
    return {"lab": skimage.color.rgb2lab, "luv": skimage.color.rgb2luv}[space](rgb)


@pytest.mark.parametrize("space", FORWARD)
def test_conversion_agrees_with_scikit_image(space):
    rgb = torch.cat([torch.rand(100_000, 3), edge_colours()])
    want = outside_reference(space, rgb.double().numpy())
    have = FORWARD[space](as_image(rgb))[..., 0].T.numpy()
    assert np.abs(have - want).max() < TOLERANCE


@pytest.mark.parametrize("space", FORWARD)
def test_round_trip_gives_the_colour_back(space):
    rgb = as_image(torch.cat([torch.rand(10_000, 3), edge_colours()]))
    assert (INVERSE[space](FORWARD[space](rgb)) - rgb).abs().max() < 1e-4


@pytest.mark.parametrize("space", FORWARD)
def test_gradients_are_finite_everywhere(space):
    rgb = as_image(edge_colours()).requires_grad_()
    FORWARD[space](rgb).sum().backward()
    assert torch.isfinite(rgb.grad).all()
    other = FORWARD[space](rgb).detach().requires_grad_()
    INVERSE[space](other).sum().backward()
    assert torch.isfinite(other.grad).all()


def test_lab_gradient_is_right_away_from_kinks():
    rgb = torch.rand(3, 2, 2, dtype=torch.float64) * 0.8 + 0.1
    assert torch.autograd.gradcheck(color.rgb_to_lab, rgb.requires_grad_())


@pytest.mark.parametrize(("rgb", "lab"), PRIMARIES.items())
def test_primaries_have_their_published_lab(rgb, lab):
    have = color.rgb_to_lab(torch.tensor(rgb, dtype=torch.float32)[:, None, None]).flatten()
    assert have.tolist() == pytest.approx(lab, abs=6e-3)


def test_ycbcr_agrees_with_jpeg_as_pillow_reads_it():
    rgb = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    want = np.asarray(Image.fromarray(rgb.numpy()).convert("YCbCr"), dtype=np.float32)
    have = color.rgb_to_ycbcr(rgb.permute(2, 0, 1) / 255).permute(1, 2, 0).numpy()
    assert np.abs(have - want).max() < 1.001  # Pillow rounds each product


def test_grey_has_no_chroma():
    grey = as_image(torch.linspace(0, 1, 256)[:, None].expand(-1, 3))
    assert color.split_lab(color.rgb_to_lab(grey))[1].abs().max() < 0.01
    assert (color.rgb_to_ycbcr(grey)[1:] - 128).abs().max() < 1e-4


@pytest.mark.parametrize("space", FORWARD)
def test_autocast_does_not_touch_colour(space):
    rgb = torch.rand(1, 3, 16, 16)
    plain = FORWARD[space](rgb)
    with torch.autocast("cpu", torch.bfloat16):
        guarded = FORWARD[space](rgb)
        back = INVERSE[space](guarded)
    assert guarded.dtype == torch.float32
    assert torch.equal(guarded, plain)
    assert (back - rgb).abs().max() < 1e-4


@pytest.mark.parametrize("space", FORWARD)
def test_0_to_255_floats_are_refused(space):
    with pytest.raises(ValueError, match=r"\[0, 1\].*divide by 255"):
        FORWARD[space](torch.rand(3, 4, 4) * 255)


@pytest.mark.parametrize("space", FORWARD)
def test_nan_and_infinity_are_refused(space):
    for bad in (float("nan"), float("inf"), -float("inf")):
        rgb = torch.rand(3, 4, 4)
        rgb[1, 2, 3] = bad
        with pytest.raises(ValueError, match=r"NaN|\[0, 1\]"):
            FORWARD[space](rgb)


@pytest.mark.parametrize("space", FORWARD)
def test_wrong_shape_kind_and_dtype_are_refused(space):
    with pytest.raises(ValueError, match="3, H, W"):
        FORWARD[space](torch.rand(4, 4, 4))
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        FORWARD[space](np.zeros((3, 4, 4)))
    with pytest.raises(TypeError, match="unit_rgb"):
        FORWARD[space](torch.zeros(3, 4, 4, dtype=torch.uint8))


def test_unit_rgb_divides_bytes_and_keeps_floats():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, -1, -1)
    assert color.unit_rgb(levels).max() == 1
    floats = torch.rand(3, 4, 4)
    assert color.unit_rgb(floats) is floats
    with pytest.raises(TypeError, match="int64"):
        color.unit_rgb(levels.long())


def test_chroma_in_ycbcr_and_a_lightness_make_the_same_colour_in_lab():
    rgb = torch.rand(2, 3, 16, 16)
    luminance, ab = color.split_lab(color.rgb_to_lab(rgb))
    cbcr = color.rgb_to_ycbcr(rgb)[:, 1:]
    assert (color.ycbcr_chroma_to_ab(luminance, cbcr) - ab).abs().max() < 5e-3


def test_chroma_in_ycbcr_that_no_rgb_has_stays_displayable():
    luminance = torch.rand(1, 1, 8, 8) * 100
    ab = color.ycbcr_chroma_to_ab(luminance, torch.rand(1, 2, 8, 8) * 1000 - 500)
    assert ab.abs().max() < 108  # sRGB's extent in CIELAB
    grey = color.ycbcr_chroma_to_ab(luminance, torch.full((1, 2, 8, 8), 128.0))
    assert grey.abs().max() < 0.01


def test_the_grey_of_a_lightness_has_that_lightness():
    level = torch.linspace(0, 1, 256)[None, None, None]
    luminance = color.rgb_to_lab(level.expand(1, 3, 1, 256))[:, :1]
    assert (color.lightness_to_grey(luminance) - level).abs().max() < 1e-5


def test_saturation_is_that_of_hsv():
    rgb = torch.cat([torch.rand(10_000, 3), edge_colours()])
    want = skimage.color.rgb2hsv(rgb.double().numpy())[:, 1]
    have = color.saturation(as_image(rgb))[0, :, 0].numpy()
    assert np.abs(have - want).max() < 1e-4
