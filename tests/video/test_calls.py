"""colorize_video and colorize_frames: what goes in comes out, in colour."""

import hashlib
from itertools import count

import av
import numpy as np
import pytest
import torch
from PIL import Image

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Palette, Reference

SMALL = {"device": "cpu", "size": 64}


@pytest.fixture(scope="module")
def film(make_clip, tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("film") / "old.mp4", 30, (64, 96), cuts=(12,))


@pytest.fixture(scope="module")
def predictor(lite):
    return deepcolor.Predictor(lite, "cpu", size=64)


@pytest.fixture(scope="module")
def coloured(film, predictor, tmp_path_factory):
    dst = tmp_path_factory.mktemp("new") / "new.mkv"
    return deepcolor.colorize_video(film, dst, predictor, codec="ffv1")


def pictures(path):
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, frame.to_ndarray(format="yuv420p"))
            for frame in container.decode(video=0)
        ]


def packets(path, kind):
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [
            (hashlib.md5(bytes(p)).hexdigest(), round(float(p.pts * p.time_base), 3))
            for p in container.demux(stream)
            if p.size
        ]


def test_a_film_keeps_its_light_its_times_and_its_sound(film, coloured):
    assert coloured.frames == 30
    before, after = pictures(film), pictures(coloured.path)
    assert [round(float(t), 3) for t, _ in before] == [round(float(t), 3) for t, _ in after]
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert np.array_equal(old[:64], new[:64])
        assert np.ptp(new[64:].astype(int)) > 5
    assert packets(film, "audio") == packets(coloured.path, "audio")


def test_the_colours_are_those_of_the_frames(film, coloured, predictor):
    """The planes of chroma say what colorize says of a frame, but for steadying."""
    with av.open(str(coloured.path)) as container:
        new = next(container.decode(video=0)).to_ndarray(format="rgb24")
    grey = pictures(film)[0][1][:64]
    level = np.clip((grey.astype(float) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
    alone = predictor(level, borders=False)
    lab = [rgb_to_lab(torch.tensor(x / 255.0).permute(2, 0, 1)[None].float()) for x in (new, alone)]
    new_ab, alone_ab = (torch.nn.functional.avg_pool2d(one[:, 1:], 8) for one in lab)
    assert float(alone_ab.abs().mean()) > 1.5
    # 4:2:0 in place of full chroma, eight bits twice, and steadying with what comes after
    assert float((new_ab - alone_ab).abs().mean()) < 0.5 * float(alone_ab.abs().mean())


def test_a_part_of_a_film_or_every_third_frame(film, predictor, tmp_path):
    part = deepcolor.colorize_video(film, tmp_path / "a.mp4", predictor, start=0.4, end=0.8)
    assert part.frames == len(pictures(part.path)) == 10
    draft = deepcolor.colorize_video(film, tmp_path / "b.mp4", predictor, every=3)
    assert draft.frames == 10
    times = [float(t) for t, _ in pictures(draft.path)]
    assert times == pytest.approx([n * 3 / 25 for n in range(10)], abs=1e-3)


def test_folders_of_frames_come_and_go(film, predictor, tmp_path):
    out = deepcolor.colorize_video(film, tmp_path / "frames", predictor, end=0.4)
    files = sorted(out.path.iterdir())
    assert len(files) == out.frames == 10
    back = deepcolor.colorize_video(out.path, tmp_path / "again.mp4", predictor)
    assert back.frames == 10
    assert sorted(f.name for f in tmp_path.iterdir()) == ["again.mp4", "frames"]


def test_progress_and_results_are_told(film, predictor, tmp_path, capsys):
    told = []
    dst = tmp_path / "a.mp4"
    result = deepcolor.colorize_video(
        film, dst, predictor, end=0.4, progress=lambda *done: told.append(done)
    )
    assert told == [(n, 10) for n in range(11)]
    assert result.path == dst
    assert result.fps == pytest.approx(10 / result.seconds)
    deepcolor.colorize_video(film, dst, predictor, end=0.2, overwrite=True, progress=True)
    assert "frame/s" in capsys.readouterr().err


def test_guidance_that_no_frame_met_is_remarked_on(film, predictor, tmp_path):
    red = np.full((64, 96, 3), (200, 0, 0), np.uint8)
    result = deepcolor.colorize_video(
        film, tmp_path / "a.mp4", predictor, end=0.4, guidance={0: red, 25: red, 1.0: red}
    )
    assert any("frame 25, 1 s was not used" in remark for remark in result.remarks)


@pytest.mark.parametrize("kind", ["palette", "reference"])
def test_a_film_obeys_palettes_and_references_as_pictures_do(film, predictor, tmp_path, kind):
    if kind == "palette":
        said = Palette.from_colors(["#2040c0"], strength=3.0)
    else:
        said = Reference(torch.tensor([60.0, 0, -60]).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    b = {}
    for name, guidance in {"plain": None, "said": said}.items():
        path = tmp_path / f"{name}.mp4"
        deepcolor.colorize_video(film, path, predictor, guidance=guidance, end=0.4)
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rgb = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255
        b[name] = float(rgb_to_lab(rgb)[:, 2].mean())
    assert b["said"] < b["plain"] - 5  # bluer


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"steady": 2}, ValueError, "steady must lie"),
        ({"every": 0}, ValueError, "every must be at least 1"),
        ({"start": 2.0, "end": 1.0}, ValueError, "must come after start"),
        ({"start": -1.0}, ValueError, "0 seconds or more"),
        ({"codec": "divx"}, ValueError, "no codec named"),
        ({"crf": 99}, ValueError, "51"),
        ({"quality": "18"}, ValueError, "no quality"),
        ({"saturation": -1}, ValueError, "saturation"),
        ({"start": 99.0}, ValueError, "no frame lies between"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(film, predictor, tmp_path, options, kind, says):
    with pytest.raises(kind, match=says):
        deepcolor.colorize_video(film, tmp_path / "new.mp4", predictor, **options)
    assert not any(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_refused(film, predictor, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        deepcolor.colorize_video(film, tmp_path / "none" / "new.mp4", predictor)
    with pytest.raises(ValueError, match="film itself"):
        deepcolor.colorize_video(film, film, predictor)
    taken = tmp_path / "new.mp4"
    taken.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        deepcolor.colorize_video(film, taken, predictor)
    assert taken.read_bytes() == b"mine"
    notes = tmp_path / "album"
    notes.mkdir()
    (notes / "letter.txt").write_text("dear")
    with pytest.raises(IsADirectoryError, match=r"letter\.txt"):
        deepcolor.colorize_video(film, notes, predictor, overwrite=True)
    assert (notes / "letter.txt").is_file()


# --- frames from anywhere


def drifting(frames=10, height=48, width=64):
    """(H, W) uint8 each."""
    draw = np.random.default_rng(2)
    big = np.kron(draw.integers(30, 220, (12, 14)), np.ones((8, 8))).astype(np.uint8)
    return [big[n : n + height, n : n + width] for n in range(frames)]


KINDS = {
    "grey arrays": lambda a: a,
    "arrays with alpha": lambda a: np.dstack([a, a, a, a]),
    "deep arrays": lambda a: a.astype(np.uint16) * 257,
    "floats": lambda a: a.astype(np.float32) / 255,
    "tensors": lambda a: torch.from_numpy(a.copy())[None],
    "batches of one": lambda a: torch.from_numpy(a.copy())[None, None],
    "PIL images": Image.fromarray,
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_come_out_in_the_kind_they_came_in(predictor, kind):
    frames = [KINDS[kind](one) for one in drifting()]
    out = list(deepcolor.colorize_frames(iter(frames), predictor))
    assert len(out) == len(frames)
    expected = predictor(frames[0], borders=False)
    assert all(type(one) is type(expected) for one in out)
    if not isinstance(expected, Image.Image):
        assert all(one.shape == expected.shape and one.dtype == expected.dtype for one in out)


def test_frames_keep_their_lightness_and_gain_colour(predictor):
    frames = drifting()
    for grey, rgb in zip(frames, deepcolor.colorize_frames(frames, predictor), strict=True):
        lab = rgb_to_lab(torch.tensor(rgb / 255.0).permute(2, 0, 1)[None].float())
        plain = rgb_to_lab(
            torch.tensor(np.dstack([grey] * 3) / 255.0).permute(2, 0, 1)[None].float()
        )
        assert float((lab - plain)[:, 0].abs().max()) < 1.0  # the 8 bits of the colours
        assert float(lab[:, 1:].abs().mean()) > 1


def test_unsteadied_frames_are_what_colorize_gives(predictor):
    frames = drifting(6)
    for grey, rgb in zip(
        frames, deepcolor.colorize_frames(frames, predictor, steady=0), strict=True
    ):
        alone = predictor(grey, borders=False).astype(int)
        assert np.abs(rgb - alone).max() <= 1  # batches round otherwise


def test_endless_frames_are_taken_as_they_are_wanted(predictor):
    taken = count()
    frames = drifting()

    def endless():
        while True:
            yield frames[next(taken) % 10]

    stream = deepcolor.colorize_frames(endless(), predictor)
    for _ in range(5):
        next(stream)
    stream.close()
    assert next(taken) < 60


def test_no_frames_are_no_frames(predictor):
    assert list(deepcolor.colorize_frames([], predictor)) == []


def test_frames_of_two_sizes_are_refused(predictor):
    with pytest.raises(deepcolor.ImageError, match=r"frame 2, .* is 30 x 40, those before 64 x 48"):
        list(deepcolor.colorize_frames([*drifting(2), np.zeros((40, 30), np.uint8)], predictor))


def test_what_breaks_in_the_frames_is_not_hidden(predictor):
    def torn():
        yield from drifting(3)
        raise KeyError("torn")

    with pytest.raises(KeyError, match="torn"):
        list(deepcolor.colorize_frames(torn(), predictor))


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"steady": -1}, ValueError), ({"size": 0}, ValueError), ({"model": "none"}, ValueError)],
)
def test_frames_are_refused_before_the_first_is_taken(options, kind):
    taken = []
    with pytest.raises(kind):
        deepcolor.colorize_frames((taken.append(n) for n in range(3)), device="cpu", **options)
    assert not taken


def test_seconds_mean_nothing_to_frames(predictor):
    with pytest.raises(ValueError, match="by number"):
        list(deepcolor.colorize_frames(drifting(2), predictor, guidance={0.5: drifting(1)[0]}))
