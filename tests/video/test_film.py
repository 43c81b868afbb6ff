"""Films as sources of frames: every luma as it was stored, at its own time."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from deepcolor.images import ImageError
from deepcolor.video.film import Film
from deepcolor.video.layouts import FilmError
from deepcolor.video.luma import LumaReader
from films import TICKS, frame_of, grey_bytes, make_film, picture, tone, truncated


def same(film: Film, luma: list[np.ndarray]) -> bool:
    frames = list(film.frames())
    assert [frame.number for frame in frames] == list(range(len(luma)))
    return all(np.array_equal(a.y, b) for a, b in zip(frames, luma, strict=True))


@pytest.mark.parametrize("pixels", [
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "yuv420p10le",
    "yuv422p10le", "yuv444p12le", "gray", "gray10le", "gray12le", "yuva420p",
])  # fmt: skip
@pytest.mark.parametrize("size", [(48, 64), (35, 51)])
def test_luma_comes_as_it_was_stored(tmp_path, pixels, size):
    luma = make_film(tmp_path / "a.mkv", pixels=pixels, size=size, frames=3)
    film = Film(tmp_path / "a.mkv")
    assert film.layout.dtype == luma[0].dtype
    assert (film.layout.height, film.layout.width) == size
    assert same(film, luma)


@pytest.mark.parametrize(("pixels", "codec"), [
    ("nv12", "rawvideo"), ("yuyv422", "rawvideo"), ("uyvy422", "rawvideo"),
    ("gray10be", "rawvideo"), ("yuv420p10be", "rawvideo"),
])  # fmt: skip
def test_other_orders_of_bytes_are_put_right(tmp_path, pixels, codec):
    plain = {"nv12": "yuv420p", "yuyv422": "yuv422p", "uyvy422": "yuv422p"}.get(
        pixels, pixels.replace("be", "le")
    )
    depth = 10 if "10" in pixels else 8
    y = picture(0, 32, 48, depth)
    path = tmp_path / "a.nut"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        frame = frame_of(y, plain)
        frame = frame.reformat(format=pixels)
        frame.pts = 0
        out.mux(stream.encode(frame) + stream.encode(None))
    assert same(Film(path), [y])


def test_bits_below_those_of_a_sample_are_left_out(tmp_path):
    make_film(tmp_path / "a.mkv", frames=1)
    y = picture(0, 48, 64, 10)
    frame = av.VideoFrame(64, 48, "p010le")  # as hardware decoders give
    np.frombuffer(frame.planes[0], np.uint16).reshape(48, -1)[:, :64] = y << 6
    with av.open(str(tmp_path / "a.mkv")) as container:
        reader = LumaReader(frame, container.streams.video[0], "a film")
    assert reader.layout.depth == 10
    assert np.array_equal(reader.read(frame), y)


@pytest.mark.parametrize(("tags", "size", "expected"), [
    ({"colorspace": 1}, (48, 64), "bt709"),
    ({"colorspace": 5}, (48, 64), "bt601"),
    ({"colorspace": 6}, (720, 1280), "bt601"),
    ({"colorspace": 9, "color_primaries": 9}, (48, 64), "bt2020"),
    ({}, (48, 64), "bt601"),
    ({}, (720, 1280), "bt709"),
])  # fmt: skip
def test_the_matrix_is_the_films_or_what_players_take(tmp_path, tags, size, expected):
    make_film(tmp_path / "a.mkv", frames=1, size=size, codec="libx264", tags=tags)
    film = Film(tmp_path / "a.mkv")
    assert film.layout.matrix == expected
    assert film.layout.primaries == ("bt2020" if expected == "bt2020" else "bt709")


@pytest.mark.parametrize(("pixels", "codec", "tags", "full"), [
    ("yuv420p", "libx264", {}, False),
    ("yuv420p", "libx264", {"color_range": 2}, True),
    ("yuvj420p", "mjpeg", {"color_range": 2}, True),
    ("gray", "ffv1", {}, True),
    ("gray", "libx264", {}, False),
    ("gray10le", "ffv1", {"color_range": 1}, False),
])  # fmt: skip
def test_the_range_is_the_films(tmp_path, pixels, codec, tags, full):
    make_film(tmp_path / "a.mkv", frames=1, pixels=pixels, codec=codec, tags=tags)
    assert Film(tmp_path / "a.mkv").layout.full_range == full


@pytest.mark.parametrize("siting", ["left", "center", "topleft", "top"])
def test_the_siting_is_the_films(tmp_path, siting):
    options = {"chroma_sample_location": siting}
    make_film(tmp_path / "a.mp4", frames=1, codec="libx264", options=options)
    assert Film(tmp_path / "a.mp4").layout.siting == siting


def test_variable_times_come_as_they_are(tmp_path):
    times = [0, 512, 600, 1700, 1701, 5000, 5512]
    luma = make_film(tmp_path / "a.mp4", frames=7, codec="libx264", times=times)
    film = Film(tmp_path / "a.mp4")
    frames = list(film.frames())
    assert film.time_base == TICKS
    assert [frame.pts for frame in frames] == times
    assert [frame.time for frame in frames] == [time * TICKS for time in times]
    assert len(luma) == 7


GOPS = {
    "b frames": {"g": "6", "bf": "3", "sc_threshold": "0"},
    "open": {"g": "6", "bf": "3", "sc_threshold": "0", "x264-params": "open-gop=1"},
    "one key": {"g": "100"},
}


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("kind", GOPS)
def test_any_frame_is_found_as_if_counted(tmp_path, container, kind):
    path = tmp_path / f"a.{container}"
    make_film(path, frames=26, codec="libx264", options=GOPS[kind])
    film = Film(path)
    whole = list(film.frames())
    assert len(whole) == 26
    for start in (1, 5, 6, 7, 13, 25):
        for pts in (None, whole[start].pts):
            found = list(film.frames(start, pts))
            assert [frame.number for frame in found] == list(range(start, 26))
            for a, b in zip(found, whole[start:], strict=True):
                assert a.pts == b.pts
                assert np.array_equal(a.y, b.y)


def test_a_film_from_elsewhere_than_its_beginning_needs_not_be_read_whole(tmp_path, monkeypatch):
    make_film(tmp_path / "a.mkv", frames=60, codec="libx264", options={"g": "10"})
    film = Film(tmp_path / "a.mkv")
    pts = [frame.pts for frame in film.frames()]
    read = []
    original = film.reader.read
    monkeypatch.setattr(type(film.reader), "read", lambda s, f: read.append(1) or original(f))
    decoded = []
    push = film._decoded
    monkeypatch.setattr(
        film, "_decoded", lambda *a: (decoded.append(1) or frame for frame in push(*a))
    )
    assert len(list(film.frames(55, pts[55]))) == 5
    assert len(read) == 5
    assert len(decoded) <= 10


def test_times_lead_to_frames(tmp_path):
    make_film(tmp_path / "a.mp4", frames=25, codec="libx264")
    film = Film(tmp_path / "a.mp4")
    assert film.number_at(0) == 0
    assert film.number_at(0.4) == 10
    assert film.number_at(0.41) == 11
    assert film.number_at(100) == 25


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_film_is_seen_upright(tmp_path, rotation):
    make_film(tmp_path / "a.mp4", frames=1, codec="libx264", rotation=rotation)
    film = Film(tmp_path / "a.mp4")
    assert film.rotation == rotation
    frame = next(film.frames())
    upright = film.upright(torch.from_numpy(frame.y)[None])
    shown = np.rot90(frame.y, rotation // 90)  # anticlockwise, as FFmpeg counts
    assert np.array_equal(upright[0].numpy(), shown)
    assert torch.equal(film.coded(upright), torch.from_numpy(frame.y)[None])


def test_the_shape_of_samples_is_the_films(tmp_path):
    make_film(tmp_path / "a.mp4", frames=1, codec="libx264", aspect=Fraction(16, 15))
    assert Film(tmp_path / "a.mp4").sample_aspect == Fraction(16, 15)


def test_films_of_rgb_are_turned_into_luma_once(tmp_path):
    make_film(tmp_path / "a.mov", frames=2, pixels="rgb24", codec="png")
    film = Film(tmp_path / "a.mov")
    grey = picture(0, 48, 64)
    assert "RGB" in " ".join(film.remarks)
    expected = np.rint(16 + grey * (219 / 255))
    assert np.array_equal(next(film.frames()).y, expected)


def index_first(path):
    new = path.with_stem("first")
    with (
        av.open(str(path)) as source,
        av.open(str(new), "w", container_options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return new


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_of_a_truncated_film_comes_what_is_there(tmp_path, container):
    path = tmp_path / f"a.{container}"
    make_film(path, frames=50, codec="libx264", options={"g": "5"})
    if container == "mp4":
        path = index_first(path)
    film = Film(truncated(path, 0.6))
    frames = list(film.frames())
    assert 10 < len(frames) < 50
    assert any("cut short" in remark and str(len(frames)) in remark for remark in film.remarks)
    list(film.frames())
    assert len(film.remarks) == len(set(film.remarks))


def test_a_damaged_middle_is_gone_on_from(tmp_path):
    path = tmp_path / "a.ts"
    make_film(path, frames=40, codec="libx264", options={"g": "5"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    film = Film(path)
    assert len(list(film.frames())) > 25


def test_interlaced_films_are_told_and_woven(tmp_path):
    make_film(
        tmp_path / "a.mkv", frames=8, codec="mpeg2video", time_base=Fraction(1, 25), interlaced=True
    )
    film = Film(tmp_path / "a.mkv")
    assert film.interlaced
    assert "interlaced" in " ".join(film.remarks)
    plain = list(film.frames())
    woven = Film(tmp_path / "a.mkv", deinterlace=True)
    frames = list(woven.frames())
    assert [frame.pts for frame in frames] == [frame.pts for frame in plain]
    assert not any(np.array_equal(a.y, b.y) for a, b in zip(frames, plain, strict=True))
    for start in (1, 4):
        found = list(woven.frames(start, frames[start].pts))
        assert all(np.array_equal(a.y, b.y) for a, b in zip(found, frames[start:], strict=True))


def test_a_change_of_size_is_said(tmp_path):
    parts = [tmp_path / "a.ts", tmp_path / "b.ts"]
    make_film(parts[0], codec="mpeg2video", time_base=Fraction(1, 25), frames=4)
    make_film(parts[1], codec="mpeg2video", time_base=Fraction(1, 25), frames=4, size=(64, 80))
    (tmp_path / "c.mpg").write_bytes(b"".join(part.read_bytes() for part in parts))
    film = Film(tmp_path / "c.mpg")
    with pytest.raises(FilmError, match="changes from 64 x 48"):
        list(film.frames())


def test_films_of_much_light_are_refused(tmp_path):
    make_film(tmp_path / "a.mkv", frames=1, pixels="yuv420p10le", tags={"color_trc": 16})
    with pytest.raises(FilmError, match="HDR"):
        Film(tmp_path / "a.mkv")


def sound_alone(path):
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        out.mux(tone(stream, 0.5))


BAD = {
    "empty.mp4": (lambda p: p.write_bytes(b""), "is an empty file"),
    "text.mp4": (lambda p: p.write_text("not a film\n" * 50), "no film"),
    "list.m3u8": (lambda p: p.write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n"), "no film"),
    "words.srt": (lambda p: p.write_text("1\n00:00:00,000 --> 00:00:01,000\nHi\n"), "no moving"),
    "still.mp4": (lambda p: p.write_bytes(grey_bytes()), "is a picture, not a film"),
    **{
        f"photo{suffix}": (
            lambda p: Image.new("L", (64, 48), 99).save(p),
            "is a picture, not a film",
        )
        for suffix in (".jpg", ".png", ".tif", ".webp")
    },
    "sound.mp4": (sound_alone, "only audio"),
    "cut.mp4": (
        lambda p: (make_film(p, codec="libx264"), truncated(p, 0.5)),
        "cut short",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_film_is_refused_in_words(tmp_path, name):
    make, words = BAD[name]
    make(tmp_path / name)
    with pytest.raises(FilmError, match=words) as caught:
        Film(tmp_path / name)
    assert name in str(caught.value)
    assert isinstance(caught.value, ImageError)


def test_no_file_and_folders_are_refused_as_python_does(tmp_path):
    with pytest.raises(FileNotFoundError):
        Film(tmp_path / "none.mp4")
    with pytest.raises(IsADirectoryError):
        Film(tmp_path)
