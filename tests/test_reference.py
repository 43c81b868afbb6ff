import numpy as np
import pytest
import torch

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Guidance, Hints, Reference
from deepcolor.inference import predict_ab
from deepcolor.inference.reference import most_alike, reference_hints
from deepcolor.models.welsh02 import Welsh02

SIDE = 192


def two_classes(seed: int, discs: tuple[float, float], ground: tuple[float, float]):
    """Discs on a ground: (1, 3, S, S) Lab, and where they are.

    Both are striped, across and along, and equally light and rough: lightness tells nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for corner in (20, 110):
        row, column = (corner + torch.randint(0, 30, (2,), generator=generator)).tolist()
        inside |= (rows - row - 25).square() + (columns - column - 25).square() < 28**2
    along = 50 + 18 * torch.sin(columns * 0.6 + seed)
    across = 50 + 18 * torch.sin(rows * 0.6 + seed)
    lab = torch.stack([torch.where(inside, across, along), *(torch.zeros(2, SIDE, SIDE))])
    for channel in (0, 1):
        lab[1 + channel] = torch.where(inside, discs[channel], ground[channel])
    return lab[None], inside


RED, GREEN = (45.0, 20.0), (-30.0, 25.0)


@pytest.fixture(scope="module")
def lite():
    return deepcolor.load_model()


@pytest.mark.parametrize(("discs", "ground"), [(RED, GREEN), (GREEN, RED)])
def test_two_classes_take_their_colours_better_than_by_welsh02(lite, discs, ground):
    reference, _ = two_classes(0, discs, ground)
    truth, inside = two_classes(1, discs, ground)
    luminance = truth[:, :1]
    semantic = predict_ab(lite, luminance, guidance=Reference(reference))
    welsh = predict_ab(Welsh02(), luminance, guidance=Reference(reference))
    balanced = [
        sum((ab - truth[:, 1:])[0, :, part].norm(dim=0).mean() for part in (inside, ~inside)) / 2
        for ab in (semantic, welsh)
    ]
    assert balanced[0] < 0.5 * balanced[1]  # 12 and 43 CIELAB units


def test_hints_beside_a_reference_win(lite):
    reference, _ = two_classes(0, RED, GREEN)
    luminance = two_classes(1, RED, GREEN)[0][:, :1]
    ab, mask = torch.zeros(1, 2, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
    ab[:, 1, 100:104, 60:64], mask[..., 100:104, 60:64] = -50, 1
    both = Guidance(hints=Hints(ab, mask), reference=Reference(reference))
    told = predict_ab(lite, luminance, guidance=both)
    alone = predict_ab(lite, luminance, guidance=Reference(reference))
    assert (told - alone)[0, 1, 100:104, 60:64].mean() < -20


def test_hints_of_a_reference_are_single_pixels_and_sure_by_degrees():
    reference, _ = two_classes(0, RED, GREEN)
    luminance = two_classes(1, RED, GREEN)[0][:, :1]
    hints = reference_hints(luminance, Reference(reference), (300, 400))
    hints.check_values()
    assert 10 < (hints.mask > 0).sum() <= (SIDE // 16) ** 2
    assert len(hints.mask[hints.mask > 0].unique()) > 10


def test_swatches_find_only_their_like():
    reference, inside = two_classes(0, RED, GREEN)
    luminance = two_classes(1, RED, GREEN)[0][:, :1]
    places = torch.zeros(1, 1, SIDE, SIDE)
    places[..., :48, :] = 1
    given = Reference(reference, inside.float()[None, None], places)
    hints = reference_hints(luminance, given, (SIDE, SIDE))
    assert hints.mask[..., :48, :].any()
    assert not hints.mask[..., 48:, :].any()


@pytest.mark.parametrize("name", ["siggraph17", "levin04"])
def test_every_model_that_takes_hints_obeys_a_reference(name):
    torch.manual_seed(0)
    model = deepcolor.create_model(name).eval()
    reference, _ = two_classes(0, RED, GREEN)
    grey = np.full((60, 90), 128, np.uint8)
    grey[::3] = 90
    result = deepcolor.colorize(grey, model=model, guidance=Reference(reference), device="cpu")
    assert result.shape == (60, 90, 3)
    assert np.ptp(result.astype(int), axis=2).max() > 10


def test_one_reference_serves_a_batch_and_a_picture_is_not_told_anothers(lite):
    red, green = (two_classes(0, colour, colour)[0] for colour in (RED, GREEN))
    luminance = two_classes(1, RED, GREEN)[0][:, :1].expand(2, -1, -1, -1)
    one = predict_ab(lite, luminance, guidance=Reference(red))
    assert torch.allclose(one[0], one[1], atol=1e-2)
    two = predict_ab(lite, luminance, guidance=Reference(torch.cat([red, green])))
    assert two[0, 0].mean() > two[1, 0].mean() + 20


def test_grey_references_and_models_that_take_nothing_are_refused(lite):
    grey = np.zeros((40, 40), np.uint8)
    with pytest.raises(ValueError, match="reference 0 is grey: it has no colours to give"):
        deepcolor.colorize(grey, model=lite, guidance=Reference(torch.full((1, 3, 9, 9), 1.0)))
    colours = Reference(rgb_to_lab(torch.rand(1, 3, 9, 9)))
    with pytest.raises(TypeError, match="SimpleCNN takes no reference"):
        deepcolor.colorize(grey, model=deepcolor.create_model("simple_cnn"), guidance=colours)


def test_the_most_alike_picture_is_found_among_others():
    generator = torch.Generator().manual_seed(0)
    discs = [two_classes(seed, RED, GREEN)[0][:, :1] for seed in range(3)]
    noise = [torch.rand(1, 1, 90, 120, generator=generator) * 100 for _ in range(3)]
    assert set(most_alike(discs[0], [noise[0], discs[1], noise[1], discs[2]], n=2)) == {1, 3}
    assert most_alike(noise[0], [discs[0], noise[1], discs[1], noise[2]])[0] in (1, 3)
    with pytest.raises(ValueError, match=r"n must lie in 1\.\.1"):
        most_alike(discs[0], [discs[1]], n=2)
