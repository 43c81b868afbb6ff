import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import Degradations, Degraded
from deepcolor.data.augment import seeded
from deepcolor.data.degrade import (
    FILMS,
    blur,
    expose,
    fade,
    grain,
    halation,
    jpeg,
    linear_to_grey,
    tone,
)
from deepcolor.models.iizuka16 import Iizuka16
from deepcolor.models.simple_cnn import SimpleCNN

NONE = dict.fromkeys(
    ("grain", "blur", "fading", "halation", "jpeg", "sepia", "orthochromatic", "blue_sensitive"),
    0.0,
)


def only(**shares):
    return Degradations(**{**NONE, "share": 1.0, **shares})


@pytest.fixture
def rgb(photograph):
    return torch.from_numpy(photograph).movedim(-1, 0).contiguous()


def lightness(rgb):
    return split_lab(rgb_to_lab(unit_rgb(rgb)[None]))[0][0]


def swatch(red, green, blue):
    return torch.tensor([red, green, blue], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)


def test_without_any_degradation_lightness_stays_what_it_was(rgb):
    old = only()(rgb)
    assert (old[0] == old[1]).all()
    assert (lightness(old) - lightness(rgb)).abs().max() < 0.3  # half a step of a byte in the dark


@given(st.integers(0, 2**62), st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_any_picture_and_any_draw_give_a_picture_of_the_same_shape(seed, height, width):
    with seeded(seed):
        rgb = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        before = rgb.clone()
        old = Degradations(share=1.0)(rgb)
    assert old.shape == rgb.shape
    assert old.dtype == torch.uint8
    assert torch.equal(rgb, before)  # the target stays clean


def test_equal_draws_degrade_alike(rgb):
    drawn = []
    for seed in (4, 4, 5):
        with seeded(seed):
            drawn.append(Degradations(share=1.0, grain=1.0)(rgb))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_shares_say_how_often(rgb):
    small = rgb[:, ::8, ::8]
    seeds = torch.randint(2**62, (600,), generator=torch.Generator().manual_seed(0)).tolist()
    toned = kept = 0
    for seed in seeds:
        with seeded(seed):
            kept += torch.equal(Degradations(share=0.7)(small), small)
        with seeded(seed):
            old = only(sepia=0.2)(small)
            toned += not torch.equal(old[0], old[2])
    assert kept / 600 == pytest.approx(0.3, abs=0.08)  # four deviations of 600 draws
    assert toned / 600 == pytest.approx(0.2, abs=0.07)


def test_orthochromatic_film_does_not_see_red_and_plates_see_blue_only():
    for film in FILMS:
        assert sum(FILMS[film]) == pytest.approx(1, abs=1e-5)
    red, green, blue = (swatch(*c) for c in ((200, 30, 30), (30, 120, 30), (90, 110, 220)))
    scene = torch.cat([red, green, blue], dim=2)

    def greys(film):
        grey = linear_to_grey(expose(scene, film))[0]
        return [float(grey[:, i * 8 : i * 8 + 8].mean()) for i in range(3)]

    pan, ortho, plate = greys("panchromatic"), greys("orthochromatic"), greys("blue_sensitive")
    assert ortho[0] < 0.6 * pan[0]  # lips
    assert ortho[2] > pan[2]  # skies
    assert plate[1] < 0.7 * pan[1]  # leaves
    assert plate[2] > ortho[2]


def test_exposure_makes_up_for_what_film_does_not_see(rgb):
    pan = expose(rgb, "panchromatic").mean()
    for film in ("orthochromatic", "blue_sensitive"):
        assert float(expose(rgb, film).mean()) == pytest.approx(float(pan), rel=0.15)


def test_halation_lights_what_is_around_highlights():
    light = torch.full((1, 80, 80), 0.05)
    light[:, 36:44, 36:44] = 1.0
    lit = halation(light, 0.5)
    assert (lit >= light).all()
    assert lit[0, 40, 46] > 0.08
    assert lit[0, 2, 2] == pytest.approx(0.05, abs=1e-4)


def test_blur_keeps_the_light_and_loses_detail(rgb):
    light = expose(rgb, "panchromatic")
    soft = blur(light, 0.006)
    assert float(soft.mean()) == pytest.approx(float(light.mean()), rel=0.01)
    assert soft.diff(dim=-1).abs().mean() < 0.7 * light.diff(dim=-1).abs().mean()


def test_grain_is_strongest_in_the_middle_tones():
    tones = torch.tensor([0.02, 0.5, 0.98])[:, None, None].expand(3, 64, 64)
    spread = [float((grain(t[None], 0.05, 0.7) - t).std()) for t in tones]
    assert spread[1] == pytest.approx(0.05, rel=0.1)
    assert max(spread[0], spread[2]) < 0.5 * spread[1]


def test_a_faded_print_has_neither_black_nor_white():
    grey = torch.linspace(0, 1, 64).expand(1, 64, 64)
    faded = fade(grey, 0.2, 0.8, 0.0)
    assert (float(faded.min()), float(faded.max())) == pytest.approx((0.2, 0.8), abs=1e-6)
    uneven = fade(torch.full((1, 64, 64), 0.5), 0.0, 1.0, 0.15)
    assert 0.005 < float(uneven.std()) < 0.1


def test_sepia_is_brown_and_keeps_black_and_white():
    grey = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3)
    red, green, blue = tone(grey)[:, 0].unbind(0)
    assert red.tolist() == grey.flatten().tolist()
    assert red[1] > green[1] > blue[1]
    assert tone(grey)[:, 0, 2].tolist() == [1, 1, 1]


def test_low_quality_leaves_larger_errors(rgb):
    coarse, fine = ((jpeg(rgb, quality).float() - rgb.float()).abs().mean() for quality in (20, 90))
    assert coarse > 1.5 * fine > 0


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"grain": 1.2}, r"grain is a share and lies in \[0, 1\], got 1\.2"),
        ({"share": -0.1}, "share is a share"),
        ({"orthochromatic": 0.7, "blue_sensitive": 0.7}, "exclude each other"),
    ],
)
def test_shares_out_of_range_are_refused(shares, said):
    with pytest.raises(ValueError, match=said):
        Degradations(**shares)


class Spy(SimpleCNN):
    def loss(self, luminance, ab):
        self.saw = luminance, ab
        return super().loss(luminance, ab)

    def log(self, *_, **__):
        pass


def test_the_network_sees_the_old_picture_and_answers_for_the_clean_one(rgb):
    batch = Degraded(rgb[None, :, :64, :64], only(sepia=1.0, fading=1.0)(rgb)[None, :, :64, :64])
    model = Spy()
    model.training_step(batch, 0)
    luminance, ab = model.saw
    assert torch.equal(luminance[0], lightness(batch.seen[0]))
    assert torch.equal(ab, split_lab(rgb_to_lab(unit_rgb(batch.rgb)))[1])
    assert not torch.equal(luminance[0], lightness(batch.rgb[0]))


def test_old_pictures_are_not_taken_for_labels(rgb):
    model = Iizuka16(classes=3)
    small = rgb[None, :, :64, :64]
    with pytest.raises(ValueError, match="learns scenes too and needs labels"):
        model.training_step(Degraded(small, small), 0)
