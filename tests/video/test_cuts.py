import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save

from deepcolor.video.cuts import CutFinder

SIZE = (96, 128)


def scene(seed, size=SIZE):
    """Luminance with detail at every size: (1, H, W) in 10..90."""
    generator = torch.Generator().manual_seed(seed)
    light = torch.zeros(1, 1, *size)
    for cell in (4, 8, 16, 48):
        coarse = torch.rand(1, 1, size[0] // cell + 2, size[1] // cell + 2, generator=generator)
        light += F.interpolate(coarse, size=size, mode="nearest" if cell > 8 else "bicubic")
    low, high = light.min(), light.max()
    return 10 + 80 * (light[0] - low) / (high - low)


def shot(seed, frames=8, step=2):
    """A pan over a scene."""
    wide = scene(seed, (SIZE[0], SIZE[1] + frames * step))
    return [wide[..., step * t : step * t + SIZE[1]] for t in range(frames)]


def cuts(film):
    finder = CutFinder()
    return [t for t, light in enumerate(film) if finder.push(light)]


def grainy(light, seed, strength=4.0):
    return light + strength * torch.randn(
        light.shape, generator=torch.Generator().manual_seed(seed)
    )


FILM = [light for seed in range(12) for light in shot(seed)]
CUTS = list(range(0, 96, 8))


def test_cuts_between_shots_are_found_and_no_others():
    assert cuts(FILM) == CUTS


def test_grain_and_jitter_of_exposure_make_no_cuts_and_hide_none():
    jitter = torch.randn(len(FILM), 2, generator=torch.Generator().manual_seed(0))
    old = [
        (grainy(light, t) * (1 + 0.1 * gain) + 5 * offset).clamp(0, 100)
        for t, (light, (gain, offset)) in enumerate(zip(FILM, jitter.tolist(), strict=True))
    ]
    assert cuts(old) == CUTS


@pytest.mark.parametrize("step", [0, 4, 8, 12])
def test_pans_are_no_cuts_up_to_a_tenth_of_the_picture_a_frame(step):
    assert cuts(shot(3, 10, step)) == [0]


@pytest.mark.parametrize("flash", [(1.3, 20), (1.5, 30), (0.3, 0)])
def test_flashes_are_no_cuts(flash):
    gain, offset = flash
    film = shot(5, 12)
    for t in (4, 5, 9):
        film[t] = (film[t] * gain + offset).clamp(0, 100)
    assert cuts(film) == [0]


def test_white_or_black_frames_within_a_shot_are_no_cuts():
    film = shot(6, 12)
    film[4], film[8], film[9] = (torch.full_like(film[0], level) for level in (100, 0, 0))
    assert cuts(film) == [0]


def test_a_fade_through_black_is_one_cut():
    out, back = shot(1, 20, 1), shot(2, 20, 1)
    film = [light * (1 - t / 20) for t, light in enumerate(out)]
    film += [torch.zeros_like(out[0])] * 5
    film += [light * t / 20 for t, light in enumerate(back)]
    found = cuts(film)
    assert found[0] == 0
    assert len(found) == 2
    assert 25 <= found[1] <= 30


def test_a_fade_in_and_a_thing_that_crosses_are_no_cuts():
    assert cuts([light * (t / 12 + 0.1) for t, light in enumerate(shot(2, 10))]) == [0]
    film = [light.clone() for light in shot(8, 12, 0)]
    for t, light in enumerate(film):
        light[:, 20:80, 8 * t : 8 * t + 40] = scene(20, (60, 40))[..., : SIZE[1] - 8 * t]
    assert cuts(film) == [0]


def test_the_first_frame_begins_a_shot_even_if_black():
    film = [torch.zeros(1, *SIZE)] * 3
    assert cuts(film) == [0]


def test_size_does_not_matter():
    large = [F.interpolate(x[None], scale_factor=3, mode="bilinear")[0] for x in FILM[:40]]
    assert cuts(large) == CUTS[:5]
    finder = CutFinder()
    assert finder.push(FILM[0])
    assert finder.push(large[0][..., :200, :200])  # a frame of another aspect


@pytest.mark.parametrize("at", [0, 1, 7, 8, 9, 17])
def test_after_a_load_all_goes_on_as_if_unbroken(at):
    film = [grainy(light, t, 8.0) for t, light in enumerate(FILM[:24])]
    whole, first = CutFinder(), CutFinder()
    for light in film[:at]:
        assert whole.push(light) == first.push(light)
    second = CutFinder()
    second.load(load(save(first.state())))
    for light in film[at:]:
        assert whole.push(light) == second.push(light)
    states = [whole.state(), second.state()]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_is_no_luminance_is_refused():
    with pytest.raises(ValueError, match="a CutFinder takes"):
        CutFinder().push(torch.rand(3, 96, 128))
    with pytest.raises(ValueError, match="no state of a CutFinder"):
        CutFinder().load({})
