import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepcolor.data.augment import (
    SmallRotation,
    filled,
    seeded,
    training_transform,
    upright_transform,
)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 44), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_rotation_leaves_no_empty_corner(width, height, degrees, seed):
    with seeded(seed):
        turned = SmallRotation(degrees)(Image.new("L", (width, height), 200))
    low, high = turned.getextrema()
    assert high == 200
    assert low > 0  # a border pixel may mix with the emptiness beyond, never be of it alone


def test_what_a_turned_picture_fills_is_as_large_as_can_be():
    assert filled(100, 100, 0) == (100, 100)
    assert filled(200, 100, 90) == (100, 50)
    side = 100 / (2**0.5)  # a square turned by 45 degrees holds one of this side
    assert filled(100, 100, 45) == (int(side), int(side))


def test_seeds_decide_and_leave_the_generator_as_it_was(photograph):
    transform = training_transform(32, (0.2, 1.0), rotation=5, jitter=True)
    image = Image.fromarray(photograph)
    state = torch.get_rng_state()
    with seeded(1):
        first = transform(image)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    with seeded(1):
        assert torch.equal(transform(image), first)
    with seeded(2):
        assert not torch.equal(transform(image), first)


def test_each_augmentation_changes_the_picture_it_is_asked_for(photograph):
    image = Image.fromarray(photograph)

    def drawn(**options):
        pictures = []
        for seed in range(12):
            with seeded(seed):
                pictures.append(training_transform(32, (1.0, 1.0), **options)(image))
        return torch.stack(pictures).float()

    still = drawn(flip=False)
    assert (still == still[0]).all()
    flipped = drawn(flip=True)
    assert {bool((p == still[0]).all()) for p in flipped} == {True, False}
    assert all((p == still[0]).all() or (p == still[0].flip(-1)).all() for p in flipped)
    jittered = drawn(flip=False, jitter=True)
    assert len({tuple(p.flatten().tolist()) for p in jittered}) > 2
    assert (jittered - still).abs().mean() < 6  # the same picture to the eye
    rotated = drawn(flip=False, rotation=5)
    assert (rotated - still).abs().mean() > 6


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (400, 5)])
def test_odd_photographs_come_at_the_size_asked_for(size):
    image = Image.new("RGB", size, "red")
    for transform in (training_transform(32, rotation=3, jitter=True), upright_transform(32)):
        assert transform(image).shape == (3, 32, 32)
