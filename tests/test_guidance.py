import pytest
import torch

from deepcolor.guidance import (
    Guidance,
    Hints,
    Palette,
    Reference,
    Statistics,
    evaluation_hints,
    simulate_hints,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_draws_the_same_hints():
    ab = torch.randn(4, 2, 64, 64)
    one, two = (simulate_hints(ab, 0.125, 0.1, seeded(3)) for _ in range(2))
    assert torch.equal(one.ab, two.ab)
    assert torch.equal(one.mask, two.mask)
    assert not torch.equal(one.mask, simulate_hints(ab, 0.125, 0.1, seeded(4)).mask)


def test_hints_of_evaluation_are_seven_and_depend_on_the_picture_alone(monkeypatch):
    ab = torch.randn(3, 2, 64, 64)
    torch.manual_seed(0)
    batch = evaluation_hints(ab, 0.125)
    torch.manual_seed(1)
    one = evaluation_hints(ab[2:], 0.125)
    assert torch.equal(batch.ab[2:], one.ab)
    assert (batch.mask == batch.mask[:1]).all()
    drawn = []
    uniform = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, **k: drawn.append(1) or uniform(*a, **k))
    evaluation_hints(ab[:1], 0.125)
    assert len(drawn) == 7


def test_seven_hints_on_average_at_an_eighth(monkeypatch):
    """(1 - p) / p patches; the deviation of a picture's count is 7.5."""
    drawn = []
    uniform = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, **k: drawn.append(1) or uniform(*a, **k))
    simulate_hints(torch.zeros(4000, 2, 9, 9), 0.125, generator=seeded())
    assert len(drawn) / 4000 == pytest.approx(7, abs=4 * 7.5 / 4000**0.5)


def test_one_patch_carries_the_mean_of_what_lies_below_it():
    generator = seeded()
    ab = torch.randn(300, 2, 32, 32) * 30
    hints = simulate_hints(ab, 0.9, generator=generator)
    sides = []
    for true, hint, mask in zip(ab, hints.ab, hints.mask[:, 0] > 0, strict=True):
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert not hint[:, ~mask].any()
        if mask.any() and rows == columns and rows * columns == mask.sum():  # a single patch
            assert torch.allclose(
                hint[:, mask], true[:, mask].mean(1, keepdim=True).expand(2, mask.sum()), atol=1e-3
            )
            sides.append(int(rows))
    assert 0 < len(sides) < 60  # a tenth of 300
    assert 1 <= min(sides) <= max(sides) <= 9


def test_patches_have_all_sides_and_gather_about_the_centre():
    hints = simulate_hints(torch.ones(2000, 2, 90, 90), 0.5, generator=seeded())
    heat = hints.mask.sum(0)[0]
    assert heat[30:60, 30:60].mean() > 1.5 * heat.mean()
    assert heat[:10].sum() > 0  # but the border is reached
    alone = hints.mask.flatten(1).sum(1).sqrt()
    assert {float(side) for side in alone} >= {float(side) for side in range(1, 10)}


def test_stop_at_once_gives_none_and_reveal_gives_all():
    ab = torch.randn(3, 2, 16, 16)
    assert not simulate_hints(ab, 1.0).mask.any()
    everything = simulate_hints(ab, 1.0, reveal_all=1.0)
    assert everything.mask.all()
    assert torch.equal(everything.ab, ab)


def test_pictures_smaller_than_a_patch_work():
    hints = simulate_hints(torch.ones(50, 2, 3, 5), 0.125, generator=seeded())
    assert hints.mask.any()
    assert torch.equal(hints.ab, hints.mask.expand(-1, 2, -1, -1))


@pytest.mark.parametrize("stop", [0.0, -0.1, 1.1])
def test_impossible_chances_are_refused(stop):
    with pytest.raises(ValueError, match="stop"):
        simulate_hints(torch.zeros(1, 2, 8, 8), stop)
    with pytest.raises(ValueError, match="reveal_all"):
        simulate_hints(torch.zeros(1, 2, 8, 8), 0.5, reveal_all=stop + 2)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="mask"):
        Hints(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match=r"histogram needs \(B, Q\)"):
        Statistics(histogram=torch.zeros(313))
    with pytest.raises(ValueError, match=r"saturation needs \(B, 1\)"):
        Statistics(saturation=torch.zeros(2, 2))
    luminance = torch.zeros(2, 1, 8, 8)
    Reference(torch.zeros(1, 3, 4, 4)).check(luminance)
    with pytest.raises(ValueError, match="3 references do not fit a batch of 2"):
        Reference(torch.zeros(3, 3, 4, 4)).check(luminance)
    with pytest.raises(ValueError, match=r"palette needs ab \(B, N, 2\)"):
        Palette(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="3 palettes do not fit a batch of 2"):
        Palette(torch.zeros(3, 4, 2)).check(luminance)
    wrong = Hints(torch.zeros(2, 2, 4, 4), torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="mask"):
        Guidance(hints=wrong).check(luminance)


@pytest.fixture
def everything():
    hints = Hints(torch.randn(1, 2, 8, 12), (torch.rand(1, 1, 8, 12) > 0.7).float())
    return Guidance(
        hints=hints,
        palette=Palette(torch.randn(1, 3, 2), torch.full((1, 3), 1 / 3)),
        reference=Reference(torch.rand(1, 3, 4, 6)),
        statistics=Statistics(saturation=torch.tensor([[0.3]])),
    )


def test_kinds_of_guidance_go_together(everything):
    assert everything.kinds == {"hints", "palette", "reference", "statistics"}
    everything.check(torch.zeros(1, 1, 8, 12))
    changed = everything.mirrored().padded(2, 1).resized((5, 6)).to(torch.device("cpu"))
    assert changed.hints.mask.shape == (1, 1, 5, 6)
    assert torch.equal(changed.palette.ab, everything.palette.ab)
    assert torch.equal(changed.reference.lab, everything.reference.lab.flip(-1))
    assert torch.equal(changed.statistics.saturation, everything.statistics.saturation)
    assert torch.equal(everything.mirrored().mirrored().hints.ab, everything.hints.ab)


def test_one_kind_is_short_for_guidance_with_nothing_else(everything):
    for name in everything.kinds:
        kind = getattr(everything, name)
        full = Guidance.of(kind)
        assert full.kinds == {name}
        assert getattr(full, name) is kind
    assert Guidance.of(everything) is everything
    assert Guidance.of(None).kinds == frozenset()
    with pytest.raises(TypeError, match=r"Palette, Reference, Statistics, got a dict"):
        Guidance.of({"hints": everything.hints})
