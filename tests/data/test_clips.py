"""Clips that are made of photographs: their motion is what it says."""

import pytest
import torch
from PIL import Image

from deepcolor.data import ColorizationDataModule, Motions, synthetic_clip
from deepcolor.losses.temporal import warped

CALM = {"exposure": 0.0, "noise": 0.0, "cuts": 0.0}


def smooth(seed: int, height: int = 90, width: int = 120) -> torch.Tensor:
    """(3, height, width) uint8 without edges, which interpolation would blur."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 255 * torch.rand(1, 3, 6, 8, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return fine[0].clamp(0, 255).byte()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("occluded", [0.0, 1.0])
def test_the_frame_before_along_the_flow_is_this_frame(seed, occluded):
    torch.manual_seed(seed)
    motions = Motions(still=0, occluded=occluded, pan=0.05, turn=3, zoom=0.03, **CALM)
    clip = synthetic_clip(smooth(seed), smooth(seed + 100), 5, 64, motions)
    while clip.flow.abs().amax() < 1:  # a draw of little motion
        clip = synthetic_clip(smooth(seed), smooth(seed + 100), 5, 64, motions)
    rgb, visible = clip.rgb.float(), clip.visible.bool()
    moved, inside = warped(rgb[:-1], clip.flow[1:])
    known = visible[1:] & inside
    error = (moved - rgb[1:]).abs().amax(dim=1, keepdim=True)
    assert known.float().mean() > 0.5
    assert error[known].mean() < 2  # rounding, and interpolation twice
    assert error[known].quantile(0.99) < 12
    unmoved = (rgb[:-1] - rgb[1:]).abs().amax(dim=1, keepdim=True)
    assert error[known].mean() < 0.7 * unmoved[known].mean()


def test_what_an_occluder_uncovers_was_not_visible():
    torch.manual_seed(3)
    motions = Motions(still=1, occluded=1, pan=0.15, **CALM)
    scene, piece = torch.zeros(3, 90, 120, dtype=torch.uint8), torch.full((3, 90, 120), 255).byte()
    found = 0
    for _ in range(6):
        clip = synthetic_clip(scene, piece, 4, 64, motions)
        cover = clip.rgb[:, :1] > 127
        uncovered = cover[:-1] & ~cover[1:]
        assert not clip.visible[1:][uncovered].any()
        found += int(uncovered.sum())
        apart = ~cover[:-1] & ~cover[1:]
        assert clip.visible[1:][apart].float().mean() > 0.8  # the scene beside it stands still
    assert found > 100


def test_a_still_camera_sees_the_same_frame_again():
    clip = synthetic_clip(smooth(0), smooth(1), 3, 32, Motions(still=1, occluded=0, **CALM))
    assert torch.equal(clip.rgb[0], clip.rgb[2])
    assert clip.flow.abs().amax() < 1e-3
    assert clip.visible[1:].all()
    assert torch.equal(clip.seen, clip.rgb)


def test_only_what_is_seen_flickers():
    motions = Motions(still=1, occluded=0, cuts=0, exposure=0.1, noise=0.05)
    clip = synthetic_clip(smooth(0), smooth(1), 4, 32, motions)
    assert torch.equal(clip.rgb[0], clip.rgb[3])
    assert (clip.seen[0].float() - clip.seen[3].float()).abs().mean() > 2


def test_nothing_is_visible_across_a_cut():
    torch.manual_seed(0)
    motions = Motions(still=1, occluded=0, exposure=0, noise=0, cuts=1)
    clip = synthetic_clip(smooth(0), smooth(1), 4, 32, motions)
    changes = [bool((clip.rgb[t] != clip.rgb[t - 1]).any()) for t in range(1, 4)]
    assert sum(changes) == 1
    assert [not clip.visible[t].any() for t in range(1, 4)] == changes


@pytest.mark.parametrize("options", [{"still": 1.5}, {"noise": -0.1}, {"pan": float("nan")}])
def test_impossible_motions_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Motions(**options)


@pytest.fixture
def photographs(tmp_path):
    for number in range(6):
        picture = Image.fromarray(smooth(number).movedim(0, -1).numpy())
        picture.save(tmp_path / f"{chr(97 + number)}.png")
    return tmp_path


def test_the_data_module_makes_clips_of_photographs_the_same_each_time(photographs):
    def batches():
        data = ColorizationDataModule(
            photographs, size=32, batch_size=2, workers=0, held_out=2, grey_below=0, frames=4
        )
        data.setup()
        return next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))

    train, val = batches()
    assert train.rgb.shape == train.seen.shape == (2, 4, 3, 32, 32)
    assert train.flow.shape == (2, 4, 2, 32, 32)
    assert val.visible.shape == (2, 4, 1, 32, 32)
    again, _ = batches()
    assert all(torch.equal(one, other) for one, other in zip(train, again, strict=True))


def test_clips_have_no_labels(photographs):
    with pytest.raises(ValueError, match="frames=1"):
        ColorizationDataModule(photographs, frames=4, labels=True)
