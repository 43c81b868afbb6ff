import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcolor import color, gamut


def as_image(colours: torch.Tensor) -> torch.Tensor:
    return colours.T[:, :, None]  # (3, N, 1)


lab_values = st.tuples(
    st.floats(0, 100, width=32), st.floats(-128, 128, width=32), st.floats(-128, 128, width=32)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(lab_values, min_size=1, max_size=20))
def test_clamped_colours_are_displayable_at_the_same_lightness_and_hue(colours):
    lab = as_image(torch.tensor(colours))
    clamped = gamut.clamp_to_gamut(lab)
    assert gamut.in_gamut(clamped).all()
    assert torch.equal(clamped[0], lab[0])
    cross = lab[1] * clamped[2] - lab[2] * clamped[1]  # 0 if the hue is the same
    assert cross.abs().max() < 1e-2
    assert ((lab[1:] * clamped[1:]).sum(0) >= 0).all()
    assert (clamped[1:].norm(dim=0) <= lab[1:].norm(dim=0) + 1e-4).all()


def test_displayable_colours_are_not_touched():
    lab = color.rgb_to_lab(torch.rand(2, 3, 64, 64))
    assert torch.equal(gamut.clamp_to_gamut(lab), lab)


def test_clamping_keeps_as_much_chroma_as_fits():
    lab = as_image(torch.tensor([[53.24, 160.18, 134.4], [32.3, 158.4, -215.7]]))  # 2 x red, blue
    chroma = gamut.clamp_to_gamut(lab)[1:].norm(dim=0).flatten()
    assert chroma.tolist() == pytest.approx([104.55, 133.8], abs=0.5)


def test_clipping_moves_lightness_and_clamping_does_not(photograph):
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1) / 255
    lab = color.rgb_to_lab(rgb)
    lab[1:] *= 1.3
    clipped = color.rgb_to_lab(color.lab_to_rgb(lab))
    clamped = color.rgb_to_lab(color.lab_to_rgb(gamut.clamp_to_gamut(lab)))
    assert (clipped[0] - lab[0]).abs().max() > 1
    assert (clamped[0] - lab[0]).abs().max() < 0.05  # what in_gamut's slack allows


def test_clamping_passes_gradients():
    lab = as_image(torch.tensor([[50.0, 120, 0], [50, 10, 10]])).requires_grad_()
    gamut.clamp_to_gamut(lab).sum().backward()
    assert torch.isfinite(lab.grad).all()
    assert (lab.grad[1:] != 0).all()


def shares(lab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (lab[0] + 16) / 116, torch.stack([lab[1] / 500, lab[2] / -200])


def test_the_way_without_a_root_is_kornias():
    lab = color.rgb_to_lab(torch.rand(3, 64, 64))
    lab[:, :8] *= 0.05  # where f is a straight line
    want = color.rgb_to_linear(color.lab_to_rgb(lab))
    linear = gamut.f_to_linear(*shares(lab)) + 0.5
    assert (linear.clamp(0, 1) - want).abs().max() < 2e-4  # 8e-5 of it kornia's white


def test_greys_stay_exactly_grey():
    lab = torch.zeros(3, 1, 1001)
    lab[0] = torch.linspace(0, 100, 1001)
    red, green, blue = linear = gamut.f_to_linear(*shares(lab))
    assert (red - green).abs().max() < 5e-7
    assert (blue - green).abs().max() < 5e-7
    assert (gamut.excess(linear) <= gamut.GAMUT_EXTENT).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(lab_values, min_size=1, max_size=20), st.sampled_from([8, 10, 14]))
def test_more_bisections_give_less_chroma_away(colours, bisections):
    f_y, ab = shares(as_image(torch.tensor(colours)))
    f_y, ab = f_y.flatten(), ab.flatten(1)
    best = gamut.gamut_scale(f_y, ab, bisections=20)
    scale = gamut.gamut_scale(f_y, ab, bisections=bisections)
    assert (best - scale <= 2.0**-bisections + 1e-6).all()
    inside = gamut.excess(gamut.f_to_linear(f_y, ab * scale)) <= gamut.GAMUT_EXTENT + 1e-6
    assert inside[scale > 0].all()
