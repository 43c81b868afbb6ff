"""What results are saved as, and what formats refuse."""

import io
import operator
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

import deepcolor
from deepcolor import images
from deepcolor.images import pages, tiff

RNG = np.random.default_rng(0)
EXIF, GPS, DATE, DESCRIPTION = 0x8769, 0x8825, 0x9003, 0x010E


def result(width=40, height=30, deep=False, alpha=False, **metadata) -> images.ColorizedImage:
    array = RNG.integers(0, 65536 if deep else 256, (height, width, 4), dtype=np.uint16)
    array = array if deep else array.astype(np.uint8)
    cover = array[..., 3] if alpha else None
    top = 65535.0 if deep else 255.0
    return images.ColorizedImage.of(array[..., :3], cover, metadata, top)


def exif_of(words: str, size: int = 0) -> bytes:
    exif = Image.Exif()
    exif[DESCRIPTION] = words
    exif.get_ifd(EXIF).update({DATE: f"{words}, a day", 0x927C: bytes(size)})
    exif.get_ifd(GPS).update({1: "N", 29: f"{words}, GPS"})
    return exif.tobytes()


# Pages


@pytest.mark.parametrize("count", [None, 3])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("depths", [(8, 8, 8), (16, 16, 16), (8, 16, 8), (16, 8, 16)])
def test_every_page_keeps_its_depth_and_what_it_came_with(
    depths, large, count, tmp_path, monkeypatch
):
    if large:
        monkeypatch.setattr(pages, "LARGE", 100_000_000 if count is None else 100)
    results = [
        result(40 + n, deep=bits == 16, alpha=n == 1, exif=exif_of(f"page {n}"), dpi=(300, 300))
        for n, bits in enumerate(depths)
    ]
    path = images.save_pages(iter(results), tmp_path / "out.tif", count)
    assert (path.read_bytes()[2] == 43) == (large and count is not None)  # BigTIFF
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 3
        for page, picture in zip(file.pages, results, strict=True):
            want = np.asarray(picture) if picture.deep is None else picture.deep
            assert np.array_equal(page.asarray(), want)
    with Image.open(path) as image:
        for n, bits in enumerate(depths):
            image.seek(n)
            assert image.info["dpi"] == (300, 300)
            exif = image.getexif()
            assert exif[DESCRIPTION] == f"page {n}"
            if bits == 8:
                assert exif.get_ifd(EXIF)[DATE] == f"page {n}, a day"
                assert exif.get_ifd(GPS)[29] == f"page {n}, GPS"


@pytest.mark.parametrize("deep", [False, True])
def test_pages_are_written_as_they_come_in_the_memory_of_one(deep, tmp_path):
    def coloured(count):
        for _ in range(count):
            yield result(300, 200, deep)

    peaks = []
    for count in (2, 30):
        tracemalloc.start()
        images.save_pages(coloured(count), tmp_path / "out.tif")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert len(file.pages) == 30


def test_the_next_page_is_asked_for_when_the_last_is_written(tmp_path):
    sizes = []

    def coloured():
        for _ in range(4):
            (beside,) = tmp_path.iterdir()
            sizes.append(beside.stat().st_size)
            yield result()

    images.save_pages(coloured(), tmp_path / "out.tif")
    assert sizes == sorted(set(sizes))


def test_pages_that_fail_leave_nothing(tmp_path):
    def broken():
        yield result()
        raise KeyError("page 2")

    with pytest.raises(KeyError):
        images.save_pages(broken(), tmp_path / "out.tif")
    with pytest.raises(ValueError, match=r"out\.tif: no pages"):
        images.save_pages([], tmp_path / "out.tif")
    with pytest.raises(ValueError, match="only TIFF holds several pages"):
        images.save_pages([result()], tmp_path / "out.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("deep", [False, True])
def test_pages_over_4_gb_are_a_big_tiff_if_known_or_refused(deep, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LARGE", 3 * 40 * 30 * (6 if deep else 3))
    results = [result(deep=deep) for _ in range(6)]
    assert operator.length_hint(iter(results)) == 6
    images.save_pages(results, tmp_path / "known.tif")
    with tifffile.TiffFile(tmp_path / "known.tif") as file:
        assert file.is_bigtiff
        assert len(file.pages) == 6
    with pytest.raises(deepcolor.ImageError, match=r"more than the 4 GB .* count="):
        images.save_pages((picture for picture in results), tmp_path / "unknown.tif")
    assert not (tmp_path / "unknown.tif").exists()


def test_a_deep_tiff_goes_to_its_file_as_it_is_compressed(tmp_path):
    picture = result(1000, 1200, deep=True)
    tracemalloc.start()
    picture.save(tmp_path / "out.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * picture.deep.nbytes  # two at 8 bits, to see whether it was drawn on
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), picture.deep)
    for writable in (io.BytesIO(), (tmp_path / "other.tif").open("wb")):
        with writable as file:
            picture.save(file, "TIFF")
            data = file.getvalue() if isinstance(file, io.BytesIO) else None
        data = data or (tmp_path / "other.tif").read_bytes()
        assert np.array_equal(tifffile.imread(io.BytesIO(data)), picture.deep)


def test_a_page_over_4_gb_is_a_big_tiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "LARGE", 100)
    result(deep=True).save(tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_bigtiff


# What formats hold


@pytest.mark.parametrize("key", ["exif", "xmp", "comment"])
@pytest.mark.parametrize("size", [65_000, 66_000, 200_000])
def test_what_a_jpeg_has_no_room_for_is_left_out_with_a_warning(key, size, tmp_path):
    value = exif_of("album 7", size) if key == "exif" else b"a" * size
    picture = result(**{key: value, "dpi": (300, 300)})
    if size == 65_000:
        picture.save(tmp_path / "out.jpg")
    else:
        with pytest.warns(UserWarning, match=rf"JPEG holds 64 kB of {key}.*left out") as caught:
            picture.save(tmp_path / "out.jpg")
        assert len(caught) == 1
    with Image.open(tmp_path / "out.jpg") as image:
        assert (key in image.info) == (size == 65_000)
        assert image.info["dpi"] == (300, 300)
    picture.save(tmp_path / "out.png")
    if key != "comment":
        with Image.open(tmp_path / "out.png") as image:
            known = image.info.get(key) or image.info["XML:com.adobe.xmp"]
            assert len(known) >= size


@pytest.mark.parametrize(
    ("suffix", "longest", "size"),
    [
        ("jpg", "65,500", (65_501, 1)),
        ("jpg", "65,500", (1, 65_501)),
        ("webp", "16,383", (16_384, 1)),
        ("avif", "65,536", (65_537, 1)),
    ],
)
def test_a_picture_too_long_for_a_format_is_refused_in_words(suffix, longest, size, tmp_path):
    picture = result(*size)
    with pytest.raises(deepcolor.ImageError, match=rf"holds {longest} pixels a side.*\.png or"):
        picture.save(tmp_path / f"out.{suffix}")
    assert not list(tmp_path.iterdir())
    picture.save(tmp_path / "out.png")


def test_the_longest_that_a_format_holds_is_saved(tmp_path):
    for suffix, longest in (("jpg", 65_500), ("webp", 16_383)):
        result(longest, 1).save(tmp_path / f"out.{suffix}")
        with Image.open(tmp_path / f"out.{suffix}") as image:
            assert image.size == (longest, 1)


@pytest.mark.parametrize("name", ["a.gif", "a.ico", "a.spi", "a.xbm", "a.txt", "a"])
def test_formats_that_lose_colours_or_size_are_refused_before_any_work(name, tmp_path):
    message = "256 colours.*png" if name == "a.gif" else r"cannot write.*\.png, \.jpg"
    with pytest.raises(ValueError, match=message):
        images.writable(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        result().save(tmp_path / name)


def test_a_gif_is_made_by_who_asks_for_its_palette(tmp_path):
    with pytest.raises(deepcolor.ImageError, match=r"256 colours.*quantize\(\)"):
        result().save(io.BytesIO(), "GIF")
    result().quantize().save(tmp_path / "a.gif")
    assert (tmp_path / "a.gif").read_bytes()[:4] == b"GIF8"


# What a file says of how it stores its pixels


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.uint8, {}),
        (np.uint16, {}),
        (np.uint8, {"imagej": True}),
        (np.uint8, {"ome": True}),
        (np.uint16, {"ome": True}),
    ],
)
def test_descriptions_of_how_pixels_are_stored_are_not_carried_over(options, dtype, tmp_path):
    white = np.iinfo(dtype).max
    rgb = (RNG.random((30, 40, 3)) * white).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", rgb, photometric="rgb", **options)
    with tifffile.TiffFile(tmp_path / "in.tif") as file:
        assert "40" in file.pages[0].description or "images" in file.pages[0].description
    picture = deepcolor.colorize(tmp_path / "in.tif", device="cpu", size=64)
    for suffix in ("tif", "png", "jpg"):
        picture.save(tmp_path / f"out.{suffix}")
        with Image.open(tmp_path / f"out.{suffix}") as image:
            assert DESCRIPTION not in image.getexif()


def test_a_description_in_words_is_carried_over(tmp_path):
    level = RNG.integers(0, 65536, (30, 40), dtype=np.uint16)
    for levels in (level, np.stack([level] * 3, axis=-1)):
        tifffile.imwrite(tmp_path / "in.tif", levels, description="Anna, 1931", metadata=None)
        picture = deepcolor.colorize(tmp_path / "in.tif", device="cpu", size=64)
        picture.save(tmp_path / "out.tif")
        with tifffile.TiffFile(tmp_path / "out.tif") as file:
            assert file.pages[0].description == "Anna, 1931"
