"""Films written: luma and times as they came, and all else that the film holds."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.color
import torch
from av.stream import Disposition

from deepcolor.upsample import ChromaField
from deepcolor.video.codecs import CODECS
from deepcolor.video.film import Film
from deepcolor.video.joining import check, join
from deepcolor.video.layouts import FilmError
from deepcolor.video.writing import STRETCH, Stretch, VideoWriter
from films import decoded, grey_bytes, make_film, packets_of, picture

RED = (45.0, 30.0)


def field_of(film: Film, ab: tuple[float, float] = RED) -> ChromaField:
    plane = torch.tensor(ab).view(2, 1, 1).expand(2, 4, 4).contiguous()
    size = (film.layout.height, film.layout.width)
    return ChromaField(plane, torch.full((1, 4, 4), 50.0), size)


def write(film: Film, out: Path, *, each: int = 5, first: int = 0, last: int = 10**9, **how):
    """The stretches of a film, `each` frames long."""
    parts: list[Path] = []
    writer = None
    for frame in film.frames(first):
        if frame.number >= last:
            break
        if writer is None or (frame.number - first) % each == 0:
            if writer is not None:
                writer.close()
            parts.append(out.with_suffix(f".{len(parts)}{STRETCH}"))
            writer = VideoWriter(parts[-1], film, out=out, **how)
        writer.write(frame, *writer.planes(frame, field_of(film)))
    assert writer is not None
    writer.close()
    return parts


def coloured(source: Path, out: Path, **how) -> tuple[Film, list[str]]:
    film = Film(source)
    remarks = join(write(film, out, **how), film, out)
    return Film(out), remarks


@pytest.mark.parametrize("pixels", [
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "yuv422p10le", "gray", "gray10le",
    "gray12le", "yuv420p12le",
])  # fmt: skip
@pytest.mark.parametrize("size", [(32, 48), (35, 51)])
def test_luma_is_the_same_bit_for_bit_with_ffv1(tmp_path, pixels, size):
    luma = make_film(tmp_path / "a.mkv", pixels=pixels, size=size, frames=7)
    new, _ = coloured(tmp_path / "a.mkv", tmp_path / "b.mkv", codec="ffv1")
    old = Film(tmp_path / "a.mkv").layout
    frames = list(new.frames())
    assert len(frames) == 7
    assert all(np.array_equal(a.y, b) for a, b in zip(frames, luma, strict=True))
    assert (new.layout.full_range, new.layout.matrix) == (old.full_range, old.matrix)
    assert not new.reader.format.startswith("gray")


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9"])
@pytest.mark.parametrize("depth", [8, 10])
def test_luma_of_other_codecs_is_as_good_as_of_the_grey_film(tmp_path, codec, depth):
    if (codec, depth) == ("vp9", 10):
        pytest.skip("this libvpx holds 8 bits")
    pixels = "yuv420p" if depth == 8 else "yuv420p10le"
    luma = make_film(tmp_path / "a.mkv", pixels=pixels, size=(64, 96), frames=6)
    how = CODECS[codec]
    options = {**how.options, how.quality: str(how.default)}
    plain = {"pixels": pixels, "codec": how.encoder, "options": options, "luma": luma}
    make_film(tmp_path / "grey.mkv", **plain)
    new, _ = coloured(tmp_path / "a.mkv", tmp_path / "b.mkv", codec=codec)
    assert new.layout.depth == depth

    def error(film: Film) -> float:
        frames = zip(film.frames(), luma, strict=True)
        return float(np.mean([np.abs(frame.y.astype(int) - y).mean() for frame, y in frames]))

    assert error(new) <= 1.1 * error(Film(tmp_path / "grey.mkv"))


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full", [False, True])
def test_players_show_the_colour_asked(tmp_path, matrix, full):
    tags = {"colorspace": matrix, "color_range": 2 if full else 1, "color_primaries": 1}
    y = np.full((32, 48), 120, np.uint8)
    make_film(tmp_path / "a.mkv", pixels="yuv444p", luma=[y], tags=tags)
    coloured(tmp_path / "a.mkv", tmp_path / "b.mkv", codec="ffv1")
    (frame,) = decoded(tmp_path / "b.mkv")
    assert (frame.colorspace, frame.color_range) == (matrix, tags["color_range"])
    rgb = frame.reformat(format="rgb24", dst_colorspace="ITU709").to_ndarray()[8, 8]
    lab = skimage.color.rgb2lab(rgb / 255)
    np.testing.assert_allclose(lab[1:], RED, atol=1.5)  # of two roundings to 8 bits


FILM = {"codec": "libx264", "frames": 25, "sound": "aac"}


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts", "avi"])
def test_sound_is_the_same_byte_for_byte(tmp_path, container):
    source, out = tmp_path / "a.mkv", tmp_path / f"b.{container}"
    make_film(source, **FILM)
    coloured(source, out, each=10)
    old, new = packets_of(source, "audio"), packets_of(out, "audio")
    if container != "ts":  # which puts a header before each packet
        assert [data for _, data in new] == [data for _, data in old]
    assert len(new) == len(old)
    video, shown = packets_of(source, "video"), packets_of(out, "video")
    assert len(video) == len(shown) == 25
    # neither is moved against the other; Matroska and AVI count in coarse steps
    between = min(t for t, _ in old) - min(t for t, _ in video)
    now = min(t for t, _ in new) - min(t for t, _ in shown)
    assert abs(now - between) < (Fraction(1, 24) if container == "avi" else Fraction(2, 1000))


def test_all_that_a_film_carries_is_there_again(tmp_path):
    source, out = tmp_path / "a.mkv", tmp_path / "b.mkv"
    extras = {"subtitles": True, "chapters": True, "attachment": True}
    make_film(source, **FILM, **extras, metadata={"title": "Old film", "artist": "J. Doe"})
    _, remarks = coloured(source, out)
    assert remarks == []
    with av.open(str(source)) as old, av.open(str(out)) as new:
        assert sorted(s.type for s in new.streams) == sorted(s.type for s in old.streams)
        assert new.chapters() == old.chapters()
        assert {k: new.metadata.get(k) for k in ("title", "ARTIST")} == {
            k: old.metadata.get(k) for k in ("title", "ARTIST")
        }
        assert new.streams.subtitles[0].language == "eng"
        assert new.streams.attachments[0].data == b"attached"
        assert [s.disposition for s in new.streams.audio] == [
            s.disposition for s in old.streams.audio
        ]
    assert packets_of(out, "subtitle") == packets_of(source, "subtitle")


def test_what_a_container_cannot_hold_is_said(tmp_path):
    source = tmp_path / "a.mkv"
    make_film(source, **FILM, subtitles=True)
    for container in ("mp4", "ts"):
        _, remarks = coloured(source, tmp_path / f"b.{container}")
        assert any("subtitles #2 (subrip, eng)" in remark for remark in remarks)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_cover_picture_is_kept(tmp_path, container):
    source, out = tmp_path / "a.mp4", tmp_path / f"b.{container}"
    make_film(source, **FILM, cover=True)
    coloured(source, out)
    with av.open(str(out)) as new:
        (cover,) = (s for s in new.streams.video if s.disposition & Disposition.attached_pic)
        (packet,) = (p for p in new.demux(cover) if p.size)
        assert bytes(packet) == grey_bytes()
    assert len(list(Film(out).frames())) == 25


def test_an_interlaced_film_says_so_again(tmp_path):
    coded = {"codec": "mpeg2video", "time_base": Fraction(1, 25), "interlaced": True}
    make_film(tmp_path / "a.mkv", frames=4, **coded)
    for codec in ("h264", "ffv1"):
        new, _ = coloured(tmp_path / "a.mkv", tmp_path / "b.mkv", codec=codec)
        assert new.interlaced


def test_sound_is_never_lost_in_silence(tmp_path):
    source = tmp_path / "a.mkv"
    make_film(source, codec="libx264", frames=5, sound="aac")
    film = Film(source)
    with pytest.raises(FilmError, match=r"its sound \(sound #1 \(aac\)\) cannot lie in webm"):
        check(tmp_path / "b.webm", film)
    parts = write(film, tmp_path / "b.webm")
    with pytest.raises(FilmError, match="sound"):
        join(parts, film, tmp_path / "b.webm")
    assert not (tmp_path / "b.webm").exists()


@pytest.mark.parametrize("container", ["mp4", "mov", "nut"])
def test_variable_times_are_kept_to_the_tick(tmp_path, container):
    times = [300, 812, 900, 2000, 2001, 5300, 5812, 9000, 9001, 9002]
    source, out = tmp_path / "a.mp4", tmp_path / f"b.{container}"
    make_film(source, codec="libx264", frames=10, times=times)
    film = Film(source)
    came = [frame.time for frame in film.frames()]
    new, _ = coloured(source, out, each=4)
    assert [frame.time for frame in new.frames()] == came


def test_times_of_decoding_rise_and_never_pass_those_of_showing(tmp_path):
    times = [0, 40, 41, 42, 500, 540, 541, 900, 1000, 1001, 1002, 1003]
    make_film(tmp_path / "a.mkv", codec="libx264", frames=12, times=[12 * t for t in times])
    coloured(tmp_path / "a.mkv", tmp_path / "b.mp4", each=4, codec="h264")
    with av.open(str(tmp_path / "b.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert all(a.dts < b.dts for a, b in pairwise(packets))
    assert all(p.dts <= p.pts for p in packets)


def test_shape_rotation_and_tags_are_passed_on(tmp_path):
    tags = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
    options = {"chroma_sample_location": "topleft"}
    make_film(
        tmp_path / "a.mp4", codec="libx264", frames=3, tags=tags, aspect=Fraction(16, 15),
        rotation=90, options=options,
    )  # fmt: skip
    new, _ = coloured(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (new.rotation, new.sample_aspect, new.tags) == (90, Fraction(16, 15), (1, 1))
    assert (new.layout.siting, new.layout.matrix) == ("topleft", "bt709")


def test_a_film_that_says_nothing_says_afterwards_what_was_taken(tmp_path):
    make_film(tmp_path / "a.mp4", codec="libx264", frames=2)
    coloured(tmp_path / "a.mp4", tmp_path / "b.mp4")
    frame = decoded(tmp_path / "b.mp4")[0]
    assert (frame.colorspace, frame.color_range) == (6, 1)


def test_a_part_takes_its_sound_subtitles_and_chapters_along(tmp_path):
    source, out = tmp_path / "a.mkv", tmp_path / "b.mkv"
    make_film(source, **FILM, subtitles=True, chapters=True)
    film = Film(source)
    assert join(write(film, out, first=5, last=15), film, out, cut=True) == []
    new = Film(out)
    frames = list(new.frames())
    assert len(frames) == 10
    assert frames[0].time == 0
    old = [(t - Fraction(1, 5), d) for t, d in packets_of(source, "audio")]
    kept = [(t, d) for t, d in old if 0 <= t < Fraction(2, 5)]
    sound = packets_of(out, "audio")
    assert [d for _, d in sound] == [d for _, d in kept]
    assert all(abs(a - b) <= Fraction(1, 500) for (a, _), (b, _) in zip(sound, kept, strict=True))
    assert [float(t) for t, _ in packets_of(out, "subtitle")] == [0.0]  # shown from 0.1 to 0.3 s
    with av.open(str(out)) as container:
        spans = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in
                 container.chapters()]  # fmt: skip
    assert spans == [(0, Fraction(1, 5))]


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1", "vp9"])
def test_the_same_frames_make_the_same_bytes(tmp_path, codec):
    # a width at which libx264, as it is, gives other bytes almost every time
    make_film(tmp_path / "a.mkv", frames=12, size=(144, 176))
    film = Film(tmp_path / "a.mkv")
    whole = write(film, tmp_path / "b.mkv", each=6, codec=codec)
    for _ in range(3):
        later = write(film, tmp_path / "c.mkv", each=6, first=6, codec=codec)
        assert whole[1].read_bytes() == later[0].read_bytes()


def test_h265_in_mp4_is_what_apples_players_take(tmp_path):
    make_film(tmp_path / "a.mkv", frames=3)
    coloured(tmp_path / "a.mkv", tmp_path / "b.mp4", codec="h265")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].codec_tag == "hvc1"
    data = (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("suffix", "codec"), [
    (".mp4", "h264"), (".mov", "h264"), (".mkv", "h264"), (".webm", "vp9"), (".ts", "h264"),
])  # fmt: skip
def test_the_suffix_chooses_the_codec(tmp_path, suffix, codec):
    make_film(tmp_path / "a.mkv", frames=1)
    assert check(tmp_path / f"b{suffix}", Film(tmp_path / "a.mkv")) == codec


def test_prores_holds_a_film_of_8_bits_in_10(tmp_path):
    y = picture(0, 32, 48)
    make_film(tmp_path / "a.mkv", luma=[y])
    new, _ = coloured(tmp_path / "a.mkv", tmp_path / "b.mov", codec="prores")
    frame = next(new.frames())
    assert new.layout.depth == 10
    assert np.abs(frame.y / 4 - y).mean() < 1


BAD = [
    ("b.mp4", {"codec": "divx"}, ValueError, "no codec named 'divx'; there are: h264"),
    ("b.mp4", {"codec": "prores"}, FilmError, "mp4 does not hold prores; it holds h264"),
    ("b.webm", {"codec": "h264"}, FilmError, "does not hold h264; it holds vp9"),
    ("b.xyz", {}, FilmError, "no film can be written as .xyz"),
    ("b", {}, FilmError, "a file without suffix"),
    ("b.mp4", {"quality": 99}, ValueError, "lies in 0"),
    ("b.mkv", {"codec": "ffv1", "quality": 3}, ValueError, "ffv1 has no quality"),
    ("none/b.mp4", {}, FileNotFoundError, "no such folder"),
]


@pytest.mark.parametrize(("name", "how", "kind", "words"), BAD)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, how, kind, words):
    make_film(tmp_path / "a.mkv", frames=1)
    with pytest.raises(kind, match=words):
        check(tmp_path / name, Film(tmp_path / "a.mkv"), **how)


def test_depth_is_never_lost_in_silence(tmp_path):
    make_film(tmp_path / "a.mkv", frames=1, pixels="gray12le")
    film = Film(tmp_path / "a.mkv")
    assert check(tmp_path / "b.mp4", film) == "h265"
    with pytest.raises(FilmError, match="12 bits a sample, which h264 does not hold; h265"):
        check(tmp_path / "b.mp4", film, codec="h264")


def test_an_unfinished_stretch_is_told(tmp_path):
    make_film(tmp_path / "a.mkv", frames=6)
    film = Film(tmp_path / "a.mkv")
    (part,) = write(film, tmp_path / "b.mkv", each=10, codec="ffv1")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(ValueError, match="unfinished"):
        list(Stretch(part).packets())
    with pytest.raises(ValueError, match="unfinished"):
        join([part], film, tmp_path / "b.mkv")
    assert not (tmp_path / "b.mkv").exists()


def test_a_writer_that_fails_leaves_no_file(tmp_path):
    make_film(tmp_path / "a.mkv", frames=1)
    film = Film(tmp_path / "a.mkv")
    with pytest.raises(KeyError), VideoWriter(tmp_path / "s", film, out="b.mkv"):
        raise KeyError
    assert not (tmp_path / "s").exists()
