import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save

from deepcolor.video.steady import Steadier

SIZE, GRID = (96, 128), (24, 32)


def texture(height, width, seed=0):
    """Smooth luminance with detail at every size: (1, H, W) in 20..80."""
    generator = torch.Generator().manual_seed(seed)
    light = torch.zeros(1, 1, height, width)
    for cell in (4, 8, 24):
        coarse = torch.rand(1, 1, height // cell + 2, width // cell + 2, generator=generator)
        light += F.interpolate(coarse, size=(height, width), mode="bicubic")
    low, high = light.min(), light.max()
    return 20 + 60 * (light[0] - low) / (high - low)


def noise(frames, scale, seed=1):
    return scale * torch.randn(frames, 2, *GRID, generator=torch.Generator().manual_seed(seed))


def colour(a, b):
    return torch.tensor([a, b], dtype=torch.float32).view(2, 1, 1).expand(2, *GRID)


def steadied(luminance, ab, steady=0.5, cuts=(0,), keep=None, **given):
    steadier = Steadier(steady, **given)
    out = []
    for t, (light, chroma) in enumerate(zip(luminance, ab, strict=True)):
        out += steadier.push(light, chroma, t in cuts, None if keep is None else keep[t])
    return torch.stack(out + steadier.flush())


def change(ab):
    """Mean distance from frame to frame."""
    return float((ab[1:] - ab[:-1]).norm(dim=1).mean())


def test_steady_0_gives_frames_back_at_once_unchanged():
    steadier = Steadier(0)
    for chroma in noise(3, 10):
        out = steadier.push(texture(*SIZE), chroma, False)
        assert len(out) == 1
        assert torch.equal(out[0], chroma)
        assert steadier.pending == 0
    assert steadier.flush() == []


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_every_frame_comes_back_in_order_no_later_than_ahead(ahead):
    steadier = Steadier(ahead=ahead)
    light, out = texture(*SIZE), []
    for t in range(9):
        got = steadier.push(light, colour(float(t), 0), t in (0, 5))
        if t == 5:
            assert len(out) + len(got) >= 5  # a cut waits for nothing
        out += got
        assert len(out) + steadier.pending == t + 1
        assert steadier.pending <= ahead
    out += steadier.flush()
    assert len(out) == 9
    means = [float(one[0].mean()) for one in out]
    assert means == sorted(means)


def test_a_standing_camera_has_a_third_of_the_flicker_from_its_first_frame_on():
    fresh = colour(20.0, -10) + noise(30, 4)
    out = steadied(texture(*SIZE).expand(30, -1, -1, -1), fresh)
    assert change(out) < change(fresh) / 10
    assert change(out[:3]) < change(fresh[:3]) / 3
    assert float((out[-1] - colour(20.0, -10)).norm(dim=0).mean()) < 1.5  # of 5


def test_the_longer_the_shot_the_steadier():
    fresh = noise(80, 4)
    out = steadied(texture(*SIZE).expand(80, -1, -1, -1), fresh, 1)
    assert change(out[60:]) < change(out[:20]) / 3


def test_more_steady_is_steadier():
    fresh = noise(30, 4)
    film = texture(*SIZE).expand(30, -1, -1, -1)
    changes = [change(steadied(film, fresh, steady)) for steady in (0.0, 0.02, 0.25, 0.5, 1)]
    assert changes == sorted(changes, reverse=True)
    assert changes[1] > 0.5 * changes[0]  # a little steady is a little steadier


def panned(frames, step=4):
    """A camera that goes right by `step` pixels a frame, and what the colours are."""
    wide = texture(SIZE[0], SIZE[1] + step * frames, seed=3)
    film = [wide[..., step * t : step * t + SIZE[1]] for t in range(frames)]
    tint = F.avg_pool2d(wide, 4) - 50
    ab = [torch.cat([one, -one]) for one in (tint[..., t : t + GRID[1]] for t in range(frames))]
    return torch.stack(film), torch.stack(ab)


def test_colours_go_along_when_the_camera_moves():
    film, true = panned(24)
    fresh = true + noise(24, 4)
    out = steadied(film, fresh)
    error = [float((one - true).norm(dim=1).mean()) for one in (fresh, out)]
    assert error[1] < error[0] / 2
    moved = [one[1:, :, :, :-1] - one[:-1, :, :, 1:] for one in (fresh, out)]  # along the motion
    assert float(moved[1].abs().mean()) < float(moved[0].abs().mean()) / 1.5
    assert float((steadied(film, true) - true).norm(dim=1).mean()) < 0.5


def crossing(frames=24):
    """A thing that crosses a standing picture: film, true colours and where it is."""
    ground, thing = texture(*SIZE), texture(48, 40, seed=5)
    film, ab, where = [], [], []
    for t in range(frames):
        light, tints = ground.clone(), colour(-20.0, 10).clone()
        left = 4 * t
        width = min(40, SIZE[1] - left)
        light[:, 24:72, left : left + width] = thing[..., :width]
        covered = torch.zeros(GRID, dtype=torch.bool)
        covered[6:18, t : t + width // 4] = True
        tints[:, covered] = colour(30.0, 30)[:, covered]
        film.append(light)
        ab.append(tints)
        where.append(covered)
    return torch.stack(film), torch.stack(ab), torch.stack(where)


def test_no_ghost_stays_where_a_thing_was():
    film, true, where = crossing()
    out = steadied(film, true)
    error = (out - true).norm(dim=1)
    was = where[:-2] & ~where[2:]  # uncovered in the last two frames
    assert float(error[2:][was].mean()) < 3  # of 54 between thing and ground
    assert float(error[where].mean()) < 3
    assert float(error.mean()) < 1


def test_a_thing_that_appears_has_its_colours_at_once():
    film = texture(*SIZE).expand(20, -1, -1, -1).clone()
    film[10:, :, 24:72, 32:96] = texture(48, 64, seed=7)
    true = colour(0.0, 0).expand(20, -1, -1, -1).clone()
    true[10:, :, 6:18, 8:24] = 40
    out = steadied(film, true + noise(20, 2))
    error = (out - true).norm(dim=1)[:, 7:17, 9:23].mean((1, 2))
    assert float(error.max()) < 3


def test_even_a_thing_of_the_same_light_takes_its_colours():
    true = colour(0.0, 0).expand(20, -1, -1, -1).clone()
    true[10:, :, 6:18, 8:24] = 40
    out = steadied(texture(*SIZE).expand(20, -1, -1, -1), true + noise(20, 2))
    error = (out - true).norm(dim=1)[:, 7:17, 9:23].mean((1, 2))
    assert float(error[:8].max()) < 3
    assert float(error[12:].max()) < 4


def test_slow_changes_of_mind_are_followed():
    drift = torch.stack([colour(0.3 * t, 0) for t in range(90)])
    out = steadied(texture(*SIZE).expand(90, -1, -1, -1), drift + noise(90, 1))
    late = float((drift - out)[60:, 0].mean())
    assert 0 < late < 0.3 * 18  # the age of the mean


@pytest.mark.parametrize(("gain", "offset"), [(0.08, 0), (0, 6), (0.08, 6)])
def test_jittering_exposure_does_not_take_the_past_away(gain, offset):
    generator = torch.Generator().manual_seed(2)
    jitter = torch.randn(2, 24, 1, 1, 1, generator=generator).clamp(-1.5, 1.5)
    film = texture(*SIZE).expand(24, -1, -1, -1)
    old = film * (1 + gain * jitter[0]) + offset * jitter[1] + torch.randn(film.shape) * 1.5
    fresh = noise(24, 4)
    steady = change(steadied(film, fresh))
    assert change(steadied(old, fresh)) < 1.5 * steady


def test_a_cut_leaves_nothing_of_the_shot_before():
    film = torch.stack([texture(*SIZE, seed=t // 10) for t in range(20)])
    fresh = torch.cat([colour(40.0, 0) + noise(10, 2), colour(-40.0, 0) + noise(10, 2, seed=9)])
    out = steadied(film, fresh, cuts=(0, 10))
    assert torch.equal(out[:10], steadied(film[:10], fresh[:10]))
    assert torch.equal(out[10:], steadied(film[10:], fresh[10:]))


def test_commanded_colours_win_and_hold_until_the_cut():
    film, true = panned(20, step=4)
    keep = torch.zeros(20, 1, *GRID)
    keep[2, :, 6:18, 20:28] = 1
    fresh = true + noise(20, 4)
    fresh[2, :, 6:18, 20:28] = 60
    out = steadied(film, fresh, keep=keep, cuts=(0, 12))
    guessed = steadied(film, fresh, cuts=(0, 12))
    for t in range(2, 12):
        there = (slice(None), slice(8, 16), slice(22 - (t - 2), 26 - (t - 2)))  # goes left
        assert float((out[t][there] - 60).norm(dim=0).mean()) < 6, t
        assert float((guessed[t][there] - 60).norm(dim=0).mean()) > 10 or t == 2
    assert torch.equal(out[12:], guessed[12:])


def test_a_command_of_nothing_changes_no_bit():
    film, fresh = texture(*SIZE).expand(12, -1, -1, -1), noise(12, 4)
    plain = steadied(film, fresh, cuts=(0, 6))
    assert torch.equal(steadied(film, fresh, cuts=(0, 6), keep=torch.zeros(12, 1, *GRID)), plain)


def test_later_commands_replace_earlier_ones():
    film = texture(*SIZE).expand(12, -1, -1, -1)
    keep = torch.zeros(12, 1, *GRID)
    keep[2], keep[6] = 1, 0.5
    fresh = torch.zeros(12, 2, *GRID)
    fresh[2], fresh[6] = 40, 20
    out = steadied(film, fresh, keep=keep)
    assert float((out[4] - 40).abs().max()) < 1e-3
    assert float((out[9] - 30).abs().max()) < 1e-3


@pytest.mark.parametrize("at", [0, 1, 3, 7, 10, 15])
def test_after_a_load_all_goes_on_as_if_unbroken(at):
    film, true, _ = crossing(18)
    fresh = true + noise(18, 3)
    keep = torch.zeros(18, 1, *GRID)
    keep[5, :, :9] = 0.7
    whole = steadied(film, fresh, keep=keep, cuts=(0, 9))
    steadier = Steadier()
    out = []
    for t in range(18):
        if t == at:
            state = load(save(steadier.state()))
            steadier = Steadier()
            steadier.load(state)
        out += steadier.push(film[t], fresh[t], t in (0, 9), keep[t])
    assert torch.equal(torch.stack(out + steadier.flush()), whole)


def test_a_state_is_not_changed_by_what_comes_after():
    steadier = Steadier()
    for chroma in noise(6, 3):
        steadier.push(texture(*SIZE), chroma, False)
    state = steadier.state()
    before = {name: value.clone() for name, value in state.items()}
    steadier.push(texture(*SIZE, seed=4), noise(1, 3)[0], False)
    assert all(torch.equal(value, before[name]) for name, value in state.items())
    with pytest.raises(ValueError, match="no state of a Steadier"):
        steadier.load({})


@pytest.mark.parametrize("size", [(8, 8), (24, 384), (33, 47), (96, 96)])
def test_any_size_and_any_grid_will_do(size):
    film = texture(*size).expand(6, -1, -1, -1)
    grids = [(max(1, size[0] // 4), max(1, size[1] // 4)), size]
    for grid in grids:
        fresh = torch.full((6, 2, *grid), 7.0)
        assert float((steadied(film, fresh) - 7).abs().max()) < 1e-4


def test_black_frames_and_flat_ones_keep_their_colours():
    film = torch.zeros(6, 1, *SIZE)
    film[3:] = 100
    assert float((steadied(film, torch.full((6, 2, *GRID), 7.0)) - 7).abs().max()) < 1e-4


@pytest.mark.parametrize("given", [(-0.1, 4), (1.1, 4), (0.5, -1)])
def test_arguments_out_of_range_are_refused(given):
    with pytest.raises(ValueError, match="must"):
        Steadier(*given)


def test_shapes_that_do_not_fit_are_refused():
    steadier = Steadier()
    light, chroma = texture(*SIZE), colour(1.0, 2)
    for wrong in [(light[0], chroma), (light, chroma[:1]), (light, chroma, torch.ones(1, 3, 3))]:
        with pytest.raises(ValueError, match="a Steadier takes"):
            steadier.push(wrong[0], wrong[1], True, *wrong[2:])
    steadier.push(light, chroma, True)
    with pytest.raises(ValueError, match="one size"):
        steadier.push(texture(48, 64), chroma, False)
    steadier.push(texture(48, 64), chroma, True)  # another shot may have another size


def test_a_command_does_not_pass_to_a_thing_that_covers_what_it_was_for():
    film = texture(*SIZE).expand(16, -1, -1, -1).clone()
    film[8:, :, 24:72, 32:96] = texture(48, 64, seed=7)
    keep = torch.zeros(16, 1, *GRID)
    keep[0] = 1
    fresh = torch.zeros(16, 2, *GRID)
    fresh[0] = 50
    out = steadied(film, fresh, keep=keep)
    assert float((out[7] - 50).abs().max()) < 1e-3
    covered = torch.zeros(GRID, dtype=torch.bool)
    covered[7:17, 9:23] = True
    assert float(out[8:, :, covered].mean()) < 12
    assert float(out[8:, :, :4].mean()) > 45  # what still stands keeps it
