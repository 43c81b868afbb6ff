import math

import pytest
import torch
from scipy.stats import entropy

from deepcolor.color import lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.metrics import ChromaFlicker, ColourDistributionConsistency


def of_lab(luminance, a, b, size=(6, 8)):
    """One frame of one colour: (3, H, W)."""
    colour = torch.tensor([luminance, a, b], dtype=torch.float32).view(1, 3, 1, 1)
    return lab_to_rgb(colour.expand(1, 3, *size))[0]


def still(frames, size=(6, 8)):
    return torch.zeros(frames - 1, 2, *size)


def flicker(*given):
    metric = ChromaFlicker()
    metric.update(*given)
    return float(metric.compute())


def test_flicker_is_the_distance_of_colours_a_frame_apart():
    clip = torch.stack([of_lab(50, 10, 10), of_lab(50, 13, 14), of_lab(70, 13, 14)])
    assert flicker(clip, still(3)) == pytest.approx((5 + 0) / 2, abs=1e-3)  # light counts not


def test_colours_that_move_with_their_things_do_not_flicker():
    wide = torch.rand(3, 6, 20, generator=torch.Generator().manual_seed(0))
    clip = torch.stack([wide[..., 3 * t : 3 * t + 8] for t in range(4)])  # a pan of 3 columns
    flow = still(4)
    assert flicker(clip, flow) > 10
    flow[:, 0] = 3
    assert flicker(clip, flow) < 1e-3  # what was outside the frame before counts for nothing


def test_hidden_pixels_do_not_count_towards_flicker():
    clip = torch.stack([of_lab(50, 0, 0), of_lab(50, 0, 0)])
    clip[1, :, :, :4] = of_lab(50, 20, 0)[:, :, :4]
    seen = torch.ones(1, 1, 6, 8, dtype=torch.bool)
    assert flicker(clip, still(2)) == pytest.approx(10, abs=1e-2)
    seen[..., :3] = False  # leaves five columns, of which one changes
    assert flicker(clip, still(2), seen) == pytest.approx(20 / 5, abs=1e-2)


def test_flicker_pools_the_pixels_of_all_clips():
    metric = ChromaFlicker()
    metric.update(torch.stack([of_lab(50, 0, 0), of_lab(50, 6, 0)]), still(2))
    metric.update(torch.stack([of_lab(50, 0, 0, (6, 16))] * 2), still(2, (6, 16)))
    assert float(metric.compute()) == pytest.approx(2, abs=1e-3)


def test_flicker_refuses_motion_of_another_clip():
    with pytest.raises(ValueError, match="takes flow of"):
        ChromaFlicker().update(torch.rand(3, 3, 6, 8), still(3, (6, 9)))
    with pytest.raises(ValueError, match="takes flow of"):
        ChromaFlicker().update(torch.rand(3, 3, 6, 8), still(3), torch.ones(1, 1, 6, 8))


def cdc(clip, *given):
    metric = ColourDistributionConsistency(*given)
    metric.update(clip)
    return float(metric.compute())


def test_cdc_of_histograms_without_overlap_is_log_2():
    clip = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    assert cdc(clip) == pytest.approx(math.log(2))
    clip[1, 2] = 0  # blue stays
    assert cdc(clip) == pytest.approx(2 / 3 * math.log(2))
    assert cdc(torch.rand(1, 3, 4, 4).expand(6, -1, -1, -1)) == 0


def test_cdc_follows_its_formula():
    clip = torch.rand(6, 3, 5, 7, generator=torch.Generator().manual_seed(0)) ** 2
    levels = (255 * clip).round().long()
    by_step = []
    for step in (1, 2, 4):
        pairs = []
        for i in range(6 - step):
            for c in range(3):
                p, q = (
                    torch.bincount(levels[t, c].flatten(), minlength=256).double().numpy() / 35
                    for t in (i, i + step)
                )
                pairs.append((entropy(p, (p + q) / 2) + entropy(q, (p + q) / 2)) / 2)
        by_step.append(sum(pairs) / len(pairs))
    assert cdc(clip) == pytest.approx(sum(by_step) / 3, rel=1e-6)


def test_only_the_chroma_variant_of_cdc_forgives_light(photograph):
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None, :, :64, :64] / 255
    lab = rgb_to_lab(rgb)
    grey = torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1)
    film = torch.cat([lab_to_rgb(grey * gain) for gain in (1.0, 0.8, 0.9, 0.7, 1.0)])
    assert cdc(film) > 0.1
    assert cdc(film, "ab") < 1e-3


def test_the_chroma_variant_of_cdc_counts_units_of_ab():
    one, other = of_lab(50, 10, 0), of_lab(50, 14, 0)
    assert split_lab(rgb_to_lab(other[None]))[1].round().unique().tolist() == [0, 14]
    clip = torch.stack([one, other])
    assert cdc(clip, "ab") == pytest.approx(math.log(2) / 2)  # a has moved altogether, b not


def test_cdc_is_the_mean_over_clips_and_leaves_out_steps_that_are_too_long():
    metric = ColourDistributionConsistency("rgb", (1, 4))
    metric.update(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]))
    metric.update(torch.zeros(9, 3, 4, 4))
    assert float(metric.compute()) == pytest.approx(math.log(2) / 2)
    with pytest.raises(ValueError, match="a clip of 1 frames"):
        metric.update(torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("given", [("lab",), ("rgb", ()), ("rgb", (0,))])
def test_cdc_refuses_what_it_cannot_count(given):
    with pytest.raises(ValueError, match=r"must be|is of"):
        ColourDistributionConsistency(*given)
