import numpy as np
import pytest
import torch

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Reference
from deepcolor.models.welsh02 import Welsh02, lab_to_ruderman, ruderman_to_rgb


def bands(seed: int, *colours: tuple[float, float, float], side: int = 48) -> torch.Tensor:
    """(1, 3, side, side) Lab: bands of a lightness and a chroma, with a little noise in L."""
    lab = torch.zeros(1, 3, side, side)
    for number, colour in enumerate(colours):
        rows = slice(number * side // len(colours), (number + 1) * side // len(colours))
        lab[..., rows, :] = torch.tensor(colour).view(1, 3, 1, 1)
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed))
    lab[:, :1] += 2 * noise
    return lab


RED, BLUE = (30.0, 35.0, 20.0), (70.0, -5.0, -25.0)


@pytest.mark.parametrize("space", ["ruderman", "lab"])
def test_like_lightness_takes_the_chroma_of_the_reference(space):
    reference = bands(0, RED, BLUE)
    ab = Welsh02(space=space)(bands(1, BLUE, RED)[:, :1], Reference(reference))
    for rows, colour in ((slice(2, 20), BLUE), (slice(28, 46), RED)):
        away = (ab[0, :, rows] - torch.tensor(colour[1:]).view(2, 1, 1)).norm(dim=0)
        assert away.median() < 10  # alpha and beta are shares of light, ab are not


def test_a_picture_is_mostly_given_its_own_chroma_back(photograph):
    lab = rgb_to_lab(torch.from_numpy(photograph[:128, :160].copy()).permute(2, 0, 1)[None] / 255)
    ab = Welsh02()(lab[:, :1], Reference(lab))
    assert (ab - lab[:, 1:]).norm(dim=1).median() < 0.8 * lab[:, 1:].norm(dim=1).median()


def test_the_space_of_cones_comes_back():
    rgb = torch.rand(3, 9, 9) * 0.9 + 0.1
    again = ruderman_to_rgb(lab_to_ruderman(rgb_to_lab(rgb)))
    assert (again - rgb).abs().max() < 1e-3


def test_the_same_call_gives_the_same_colours():
    reference, x = Reference(bands(0, RED, BLUE)), torch.rand(1, 1, 20, 20) * 100
    assert torch.equal(Welsh02()(x, reference), Welsh02()(x, reference))


def test_swatches_say_what_lightness_cannot():
    """Both halves are equally light; one is smooth, the other striped."""
    noise = torch.rand(1, 1, 40, 80, generator=torch.Generator().manual_seed(0))
    luminance = 50 + noise
    luminance[..., 40:] += 15 * torch.tensor([1, 1, -1, -1]).repeat(10)
    lab = bands(0, (50.0, 40.0, 10.0), (50.0, -40.0, 10.0), side=20)
    swatches, places = torch.zeros(1, 1, 20, 20), torch.zeros(1, 1, 40, 80)
    swatches[..., :10, :], swatches[..., 10:, :] = 1, 2
    places[..., 10:20, 10:25], places[..., 10:20, 55:70] = 1, 2
    given = Reference(lab, swatches, places)
    given.check_values()
    ab = Welsh02(space="lab")(luminance, given)
    assert (ab[0, 0, :, :38] > 0).float().mean() > 0.95
    assert (ab[0, 0, :, 42:] < 0).float().mean() > 0.95
    turned = Welsh02(space="lab")(luminance.flip(-1), given.mirrored())
    assert (turned[0, 0, :, :38] < 0).float().mean() > 0.95


def test_swatches_go_with_the_picture():
    places = torch.zeros(1, 1, 40, 60)
    places[..., 10:20, 30:60] = 1
    given = Reference(bands(0, RED, BLUE, side=8), torch.ones(1, 1, 8, 8), places)
    small = given.resized((20, 30)).padded(2, 1).mirrored()
    assert small.places.shape == (1, 1, 22, 31)
    assert small.places[0, 0, 5:10, :16].all()
    assert small.places.sum() == 5 * 16
    given.check(torch.zeros(1, 1, 40, 60))
    with pytest.raises(ValueError, match=r"places of swatches for .* need \(1, 1, 20, 30\)"):
        given.check(torch.zeros(1, 1, 20, 30))


def test_wrong_swatches_are_refused():
    lab, ones = bands(0, RED, BLUE, side=8), torch.ones(1, 1, 8, 8)
    with pytest.raises(ValueError, match="go together: give both"):
        Reference(lab, swatches=ones)
    with pytest.raises(ValueError, match=r"swatches of .* lab need \(1, 1, 8, 8\)"):
        Reference(lab, torch.ones(1, 1, 4, 4), ones)
    with pytest.raises(ValueError, match=r"picture has swatches \[2.0\], the reference \[1.0\]"):
        Reference(lab, ones, 2 * ones).check_values()


def test_a_grey_reference_is_refused():
    grey = np.full((20, 20), 90, np.uint8)
    with pytest.raises(ValueError, match="reference 0 is grey: it has no colours to give"):
        deepcolor.colorize(grey, "welsh02", guidance=Reference(bands(0, (50.0, 0.0, 1.0))))
    with pytest.raises(ValueError, match="Welsh02 has no colours of its own: it needs reference"):
        deepcolor.colorize(grey, "welsh02")
