"""The stages of a film: in order, in bounded memory, ending cleanly; what each frame is told."""

import math
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch

from deepcolor.guidance import Guidance, Hints, Statistics
from deepcolor.inference import Predictor
from deepcolor.inference.options import Options
from deepcolor.models.lite import Lite
from deepcolor.models.prediction import ChromaPrediction
from deepcolor.video.guiding import Keyframes
from deepcolor.video.pipeline import Pipeline, film_threads
from deepcolor.video.remembering import packed, unpacked
from deepcolor.video.snapshots import Coloured, Snapshot
from deepcolor.video.threads import ahead, mapped

FULL = (48, 64)


def threads() -> int:
    return sum(t.name.startswith("deepcolor-f") for t in threading.enumerate())


def test_stages_keep_the_order_and_run_only_so_far_ahead():
    taken = []

    def source():
        for number in range(50):
            taken.append(number)
            yield number

    with film_threads() as pool, closing(mapped(source(), lambda n: n * n, pool, 3)) as squares:
        first = next(squares)
        time.sleep(0.3)
        assert len(taken) <= 6  # three in the queue, one on its way in, one out
        assert [first, *squares] == [n * n for n in range(50)]


@pytest.mark.parametrize("where", ["source", "work"])
def test_what_a_stage_raises_is_raised_at_the_end_of_the_line(where):
    def source():
        yield 1
        yield 2
        if where == "source":
            raise KeyError("torn")

    def work(number):
        if where == "work" and number == 2:
            raise KeyError("torn")
        return number

    found = []
    with film_threads() as pool, pytest.raises(KeyError, match="torn"):  # noqa: PT012
        for item in ahead(mapped(source(), work, pool, 2), 2):
            found.append(item)
    assert found[0] == 1
    assert not threads()


def test_closing_the_last_stage_stops_all_threads_and_closes_the_first():
    closed = threading.Event()

    def endless():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    with film_threads() as pool:
        line = ahead(mapped(ahead(endless(), 2), lambda n: n, pool, 2), 2)
        assert [next(line) for _ in range(5)] == list(range(5))
        line.close()
        assert closed.wait(5)
    assert not threads()


# --- the pipeline


@pytest.fixture(scope="module")
def predictor(lite):
    return Predictor(lite, "cpu")


@pytest.fixture(scope="module")
def frames():
    """A pattern that drifts, and another from frame 14 on: (24, 48, 64) L."""
    draw = np.random.default_rng(1)
    shots = [np.kron(draw.random((10, 12)) * 80 + 10, np.ones((8, 8))) for _ in range(2)]
    drifting = [shots[n >= 14][n % 14 : n % 14 + 48, 2 * (n % 14) :][:, :64] for n in range(24)]
    return [torch.tensor(one, dtype=torch.float32)[None] for one in drifting]


def view(frame, size):
    return torch.nn.functional.interpolate(frame[None], size=size, mode="area")[0]


def pipeline(predictor, guidance=None, steady=0.5, stretch=None) -> Pipeline:
    options = Options(size=64, borders=False)
    keyframes = Keyframes(guidance, predictor.model, FULL, steady, lambda s: math.ceil(s * 25))
    return Pipeline(predictor, options, FULL, view, keyframes, steady, stretch)


def run(line, frames, start=None):
    first = start.paint if start else 0
    numbered = ((n, f) for n, f in enumerate(frames) if n >= first)
    with film_threads() as pool, closing(line.run(numbered, pool, start)) as items:
        return list(items)


def colours(items):
    return [one.ab for one in items if isinstance(one, Coloured)]


def test_every_frame_comes_out_once_in_order(predictor, frames):
    items = run(pipeline(predictor), frames)
    assert all(item.frame is frame for item, frame in zip(items, frames, strict=True))


def test_a_frame_by_itself_has_the_colours_of_a_photograph(predictor, frames):
    """steady=0 is what colorize says of each frame, but for the size of batches."""
    items = colours(run(pipeline(predictor, steady=0.0), frames))
    alone = pipeline(predictor).one(frames[5])
    torch.testing.assert_close(items[5], alone.ab, atol=1e-3, rtol=0)
    assert float(items[5].abs().max()) > 1


def test_steadying_holds_colours_between_frames_and_not_across_cuts(predictor, frames):
    rough = colours(run(pipeline(predictor, steady=0.0), frames))
    calm = colours(run(pipeline(predictor, steady=0.8), frames))
    steps = [
        torch.stack([(b - a).abs().mean() for a, b in pairwise(ab[:14])]) for ab in (rough, calm)
    ]
    assert steps[1].mean() < steps[0].mean()
    # the first of a shot looks only forward: nothing of the shot before is in it
    again = colours(run(pipeline(predictor, steady=0.8), frames[14:]))
    torch.testing.assert_close(calm[14], again[0], atol=0.5, rtol=0)


@pytest.mark.parametrize("steady", [0.0, 0.5])
def test_a_run_goes_on_from_every_snapshot_to_the_bit(predictor, frames, steady):
    whole = run(pipeline(predictor, steady=steady, stretch=8), frames)
    snapshots = [item for item in whole if isinstance(item, Snapshot)]
    assert [one.push for one in snapshots] == [8, 16, 24]
    for snapshot in snapshots:
        rest = colours(run(pipeline(predictor, steady=steady, stretch=8), frames, snapshot))
        expected = colours(whole)[snapshot.paint :]
        assert len(rest) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(rest, expected, strict=True))


# --- what is said of frames


def hints(a: float, b: float) -> Hints:
    ab, mask = torch.zeros(1, 2, *FULL), torch.zeros(1, 1, *FULL)
    ab[0, :, 20:28, 28:36] = torch.tensor([a, b]).view(2, 1, 1)
    mask[..., 20:28, 28:36] = 1
    return Hints(ab, mask)


def test_a_hint_at_one_frame_holds_until_its_cut(predictor, frames):
    plain = colours(run(pipeline(predictor), frames))
    told = colours(run(pipeline(predictor, {2: hints(60.0, 40.0)}), frames))
    moved = torch.stack([(b - a).abs().mean() for a, b in zip(plain, told, strict=True)])
    assert moved[2] > 3
    assert moved[3:14].min() > 0.3 * moved[2]
    assert moved[14:].max() == 0


def test_a_frame_in_colour_gives_its_shot_its_colours(predictor, frames):
    red = np.zeros((*FULL, 3), np.uint8)
    red[..., 0] = 160
    ab = colours(run(pipeline(predictor, {0: red}), frames))
    assert ab[0][0].mean() > 50
    assert ab[4][0].mean() > 30  # things have moved in that nobody has seen in colour
    assert ab[14][0].mean() < 15


def test_seconds_name_the_first_frame_at_or_after_them(predictor, frames):
    by_number = colours(run(pipeline(predictor, {5: hints(50.0, 0.0)}), frames))
    by_second = colours(run(pipeline(predictor, {4.5 / 25: hints(50.0, 0.0)}), frames))
    assert all(torch.equal(a, b) for a, b in zip(by_number, by_second, strict=True))


def test_guidance_for_the_whole_film_is_told_to_every_frame(predictor, frames):
    plain = colours(run(pipeline(predictor, steady=0.0), frames))
    told = colours(run(pipeline(predictor, hints(60.0, 40.0), steady=0.0), frames))
    assert all((b - a).abs().mean() > 1 for a, b in zip(plain, told, strict=True))


@pytest.mark.parametrize(
    ("guidance", "steady", "kind", "says"),
    [
        ({0: hints(9, 9)}, 0.0, ValueError, "steady="),
        ({-1: hints(9, 9)}, 0.5, ValueError, "frame -1"),
        ({"a": hints(9, 9)}, 0.5, ValueError, "by number"),
        ({0: Statistics(saturation=torch.ones(1, 1))}, 0.5, TypeError, "takes no statistics"),
        ({0: Hints(torch.zeros(1, 2, 5, 5), torch.zeros(1, 1, 5, 5))}, 0.5, ValueError, "5, 5"),
        ({0: np.zeros((40, 10, 3), np.uint8)}, 0.5, ValueError, "10 x 40"),
        ("red", 0.5, TypeError, "guidance must be"),
    ],
)
def test_guidance_that_cannot_be_used_is_refused(lite, guidance, steady, kind, says):
    with pytest.raises(kind, match=says):
        Keyframes(guidance, lite, FULL, steady)


def test_places_hold_by_steadying_and_all_else_until_the_cut(lite):
    model = type("Told", (), {"check_kinds": staticmethod(Guidance.of)})()
    said = Statistics(saturation=torch.full((1, 1), 0.5))
    frames = Keyframes({1: said, 3: hints(9, 9)}, model, FULL, 0.5)
    told = [frames.next(n, n in (0, 5)) for n in range(7)]
    kinds = [sorted(one.guidance.kinds) for one in told]
    both = ["hints", "statistics"]
    held = ["statistics"]
    assert kinds == [[], held, held, both, held, [], []]
    assert [one.without is not None for one in told] == [n in (1, 3) for n in range(7)]


# --- models with memory


@dataclass(frozen=True)
class Count:
    frames: torch.Tensor


class Counting(Lite):
    """Says how many frames of the shot it has seen."""

    remembers = True

    def first_memory(self):
        return Count(torch.zeros(1))

    def predict(self, luminance, guidance=None, memory=None):
        seen = Count(memory.frames + 1) if memory else None
        value = float(seen.frames) if seen else 0.0
        grid = luminance[..., ::4, ::4]
        chroma = torch.full((len(luminance), 2, *grid.shape[-2:]), value)
        return ChromaPrediction(model="Counting", luminance=grid, chroma=chroma, memory=seen)


def test_memory_goes_from_frame_to_frame_begins_anew_at_cuts_and_is_resumed(frames):
    line = pipeline(Predictor(Counting(), "cpu"), steady=0.0, stretch=8)
    whole = run(line, frames)
    seen = [float(ab.mean()) for ab in colours(whole)]
    assert seen == [*range(1, 15), *range(1, 11)]
    for snapshot in (item for item in whole if isinstance(item, Snapshot)):
        again = pipeline(Predictor(Counting(), "cpu"), steady=0.0, stretch=8)
        rest = [float(ab.mean()) for ab in colours(run(again, frames, snapshot))]
        assert rest == seen[snapshot.paint :]


def test_memory_comes_back_from_named_tensors():
    memory = (Count(torch.arange(3.0)), [torch.ones(2), {"x": torch.zeros(1)}], None)
    empty = (Count(torch.zeros(3)), [torch.zeros(2), {"x": torch.ones(1)}], None)
    back = unpacked(empty, packed(memory))
    assert torch.equal(back[0].frames, torch.arange(3.0))
    assert torch.equal(back[1][0], torch.ones(2))
    assert torch.equal(back[1][1]["x"], torch.zeros(1))
    assert back[2] is None
