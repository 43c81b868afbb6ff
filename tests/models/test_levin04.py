import numpy as np
import pytest
import torch

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Hints
from deepcolor.inference import predict_ab
from deepcolor.models.levin04 import Levin04, affinities
from deepcolor.weights import load_model


def hints(height, width, *dots):
    """Of (row, column, a, b) or (rows, columns, a, b)."""
    ab, mask = torch.zeros(1, 2, height, width), torch.zeros(1, 1, height, width)
    for row, column, *colour in dots:
        ab[0, :, row, column] = torch.tensor(colour).view(2, *([1] * ab[0, 0, row, column].ndim))
        mask[0, 0, row, column] = 1
    return Hints(ab, mask)


def two_regions(edge: float, height: int = 40, width: int = 60) -> torch.Tensor:
    luminance = torch.full((1, 1, height, width), 40.0)
    luminance[..., width // 2 :] += edge
    return luminance + torch.rand(luminance.shape, generator=torch.Generator().manual_seed(0))


def test_affinities_are_those_of_the_papers_code():
    generator = np.random.default_rng(0)
    grey = generator.random((5, 6)).astype(np.float32)
    found = affinities(torch.from_numpy(grey)).numpy()
    for row in range(5):
        for column in range(6):
            near = [
                (row + i, column + j)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
                if 0 <= row + i < 5 and 0 <= column + j < 6 and (i, j) != (0, 0)
            ]
            values = np.array([grey[place] for place in near], np.float64)
            centre = float(grey[row, column])
            spread = max(
                0.6 * np.var([*values, centre]),
                -np.min((values - centre) ** 2) / np.log(0.01),
                2e-6,
            )
            wanted = np.exp(-((values - centre) ** 2) / spread)
            got = [weight for weight in found[:, row, column] if weight > 0]
            assert np.allclose(sorted(got), sorted(wanted), rtol=1e-3)


def test_one_stroke_on_constant_luminance_colours_all_of_it():
    ab = Levin04()(torch.full((1, 1, 30, 41), 55.0), hints(30, 41, (3, slice(4, 20), 31.0, -22.0)))
    assert torch.allclose(ab[:, 0], torch.tensor(31.0), atol=1e-2)
    assert torch.allclose(ab[:, 1], torch.tensor(-22.0), atol=1e-2)


@pytest.mark.parametrize("edge", [10.0, 50.0])
def test_colours_fill_their_region_and_do_not_bleed(edge):
    given = hints(40, 60, (20, 5, 50.0, 20.0), (20, 55, -40.0, 30.0))
    ab = Levin04()(two_regions(edge), given)
    left, right = torch.tensor([50.0, 20.0]), torch.tensor([-40.0, 30.0])
    nearer = (ab[0].movedim(0, -1) - left).norm(dim=-1) < (ab[0].movedim(0, -1) - right).norm(
        dim=-1
    )
    assert nearer[:, :30].all()
    assert not nearer[:, 30:].any()
    assert (ab[0, :, :, :25].mean(dim=(1, 2)) - left).norm() < 5


def test_hints_stand_exactly_where_they_are_and_change_only_chroma(photograph):
    rgb = torch.from_numpy(photograph[:120, :150].copy()).permute(2, 0, 1) / 255
    luminance = rgb_to_lab(rgb[None])[:, :1]
    given = hints(120, 150, (7, 11, 20.0, 30.0), (slice(60, 64), slice(70, 90), -10.0, 5.5))
    ab = predict_ab(Levin04(), luminance, guidance=given)
    assert torch.equal(ab * given.mask, given.ab)


def test_a_hint_that_counts_less_gives_way_to_neighbours():
    luminance = torch.full((1, 1, 20, 20), 50.0)
    full = hints(20, 20, (2, 2, 40.0, 0.0), (17, 17, 0.0, 40.0))
    weak = Hints(full.ab, torch.where(full.ab[:, 1:] > 0, 0.1, full.mask))
    firm, soft = Levin04()(luminance, full), Levin04()(luminance, weak)
    assert firm[0, 1, 17, 17] == 40
    assert 5 < soft[0, 1, 17, 17] < 30


def test_it_is_opened_by_name_and_works_on_the_pictures_own_pixels(photograph):
    model = load_model("levin04")
    assert isinstance(model, Levin04)
    height, width = photograph.shape[:2]
    given = hints(height, width, (5, 5, 10.0, 20.0))
    prediction = deepcolor.Predictor("levin04", device="cpu").predict(photograph, given)
    assert prediction.grid == (height, width)
    small = deepcolor.Predictor(model, device="cpu", size=64).predict(photograph, given)
    assert small.grid[0] * small.grid[1] == pytest.approx(64 * 64, rel=0.05)


def test_pictures_without_a_hint_are_refused_not_left_grey():
    given = hints(8, 8, (1, 1, 9.0, 9.0))
    two = Hints(given.ab.expand(2, -1, -1, -1), torch.cat([given.mask, 0 * given.mask]))
    with pytest.raises(ValueError, match="picture 1 of the batch has none"):
        Levin04()(torch.zeros(2, 1, 8, 8), two)
    with pytest.raises(ValueError, match="Levin04 has no colours of its own: it needs hints"):
        deepcolor.colorize(np.zeros((8, 8), np.uint8), model="levin04")
