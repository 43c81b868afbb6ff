"""Files of every kind that people own, through colorize and back to a file."""

import io
import sys

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageCms

import deepcolor
from deepcolor import images

RNG = np.random.default_rng(0)


def colorize(data, **options):
    return deepcolor.colorize(data, device="cpu", size=64, **options)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    """(60, 80) uint8, a real photograph."""
    return np.array(Image.fromarray(skimage.data.camera()).resize((80, 60)))


def deep(grey: np.ndarray) -> np.ndarray:
    return grey.astype(np.uint16) * 257 + RNG.integers(-100, 0, grey.shape).astype(np.uint16) * (
        grey > 0
    )


FORMATS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
    "BMP": {},
    "GIF": {},
    "HEIF": {"quality": 95},
    "JPEG2000": {},
    "PPM": {},
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_at_its_size(kind, grey):
    pillow_heif.register_heif_opener()
    data = saved(Image.fromarray(grey), kind, **FORMATS[kind])
    result = colorize(data)
    assert result.size == (80, 60)
    assert result.mode == "RGB"
    loss = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int) - grey
    picture = images.read(data).pixels[0].float().mean(dim=0).numpy()
    assert np.abs(picture - grey).mean() <= np.abs(loss).mean() + 1


def png16(array: np.ndarray) -> bytes:
    return imagecodecs.png_encode(array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_in_is_sixteen_bit_png_out(channels, grey, tmp_path):
    level = deep(grey)
    alpha = RNG.integers(0, 65536, grey.shape, dtype=np.uint16)
    planes = [level] * (1 if channels < 3 else 3) + [alpha] * (channels % 2 == 0)
    array = np.stack(planes, axis=-1) if channels > 1 else level
    result = colorize(png16(array))
    assert isinstance(result, Image.Image)
    assert result.mode == ("RGBA" if channels % 2 == 0 else "RGB")
    result.save(tmp_path / "out.png")
    out = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    assert out.dtype == np.uint16
    assert np.array_equal(out, result.deep)
    if channels % 2 == 0:
        assert np.array_equal(out[..., 3], alpha)
    moved = lightness(out[..., :3]) - lightness(np.stack([level] * 3, -1))
    assert np.abs(moved).max() <= 0.01
    with Image.open(tmp_path / "out.png") as plain:  # a second reader agrees
        assert np.abs(np.asarray(plain).astype(int) - np.asarray(result)).max() <= 1


def lightness(rgb: np.ndarray) -> np.ndarray:
    import skimage.color

    return skimage.color.rgb2lab(rgb)[..., 0]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_tiff_in_is_sixteen_bit_tiff_out(channels, compression, grey, tmp_path):
    level = deep(grey)
    array = level if channels == 1 else np.stack([level] * channels, axis=-1)
    tifffile.imwrite(
        tmp_path / "in.tif", array, compression=compression,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
    )  # fmt: skip
    result = colorize(tmp_path / "in.tif")
    result.save(tmp_path / "out.tif")
    out = tifffile.imread(tmp_path / "out.tif")
    assert out.dtype == np.uint16
    assert out.shape == (60, 80, 4 if channels == 4 else 3)
    assert np.abs(lightness(out[..., :3]) - lightness(np.stack([level] * 3, -1))).max() <= 0.01
    if channels == 4:
        assert np.array_equal(out[..., 3], level)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_tiff_in_is_float_tiff_out_on_its_scale(channels, white, grey, tmp_path):
    level = (grey / 255 * white).astype(np.float32)
    array = level if channels == 1 else np.stack([level] * 3, axis=-1)
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "in.tif", array, photometric=photometric)
    colorize(tmp_path / "in.tif").save(tmp_path / "out.tif")
    out = tifffile.imread(tmp_path / "out.tif")
    assert out.dtype == np.float32
    assert out.max() <= white * 1.001
    want = lightness(np.stack([grey / 255] * 3, -1))
    assert np.abs(lightness(out / white) - want).max() <= 0.01


def test_big_tiff_and_tiles_and_planes_are_read(grey, tmp_path):
    rgb = np.stack([deep(grey)] * 3, axis=-1)
    for name, options in {
        "big": {"bigtiff": True, "photometric": "rgb"},
        "tiled": {"tile": (32, 32), "photometric": "rgb"},
        "planes": {"planarconfig": "separate", "photometric": "rgb"},
    }.items():
        array = np.moveaxis(rgb, -1, 0) if name == "planes" else rgb
        tifffile.imwrite(tmp_path / f"{name}.tif", array, **options)
        picture = images.read(tmp_path / f"{name}.tif")
        assert np.array_equal(picture.pixels[0].permute(1, 2, 0).numpy(), rgb), name
    tifffile.imwrite(tmp_path / "big8.tif", grey, bigtiff=True)
    assert np.array_equal(images.read(tmp_path / "big8.tif").pixels[0, 0].numpy(), grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_negatives_are_read_as_positives(dtype, grey, tmp_path):
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    level = (grey / 255 * white).astype(dtype)
    tifffile.imwrite(tmp_path / "negative.tif", white - level, photometric="miniswhite")
    read = images.read(tmp_path / "negative.tif").pixels[0, 0].numpy()
    assert np.allclose(read.astype(float), level.astype(float), atol=1e-6)


def test_the_first_of_several_pictures_is_coloured_and_the_user_is_told(grey, tmp_path):
    pages = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    for kind in ("TIFF", "GIF", "WEBP"):
        data = saved(pages[0], kind, save_all=True, append_images=pages[1:])
        with pytest.warns(UserWarning, match="holds 2 pictures; the first is coloured"):
            result = colorize(data)
        assert result.size == (80, 60)
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    read = [picture.pixels[0, 0].numpy() for picture in images.read_pages(tmp_path / "two.tif")]
    assert np.array_equal(read[0], grey)
    assert np.array_equal(read[1], 255 - grey)
    images.save_pages(pages, tmp_path / "again.tif")
    with Image.open(tmp_path / "again.tif") as image:
        assert image.n_frames == 2


def test_deep_pages_stay_deep(grey, tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as tiff:
        for level in (deep(grey), 65535 - deep(grey)):
            tiff.write(level, metadata=None)
    results = [colorize_picture(page) for page in images.read_pages(tmp_path / "in.tif")]
    images.save_pages(results, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        for page, result in zip(tiff.pages, results, strict=True):
            assert np.array_equal(page.asarray(), result.deep)


def colorize_picture(picture: images.Picture) -> Image.Image:
    return deepcolor.Predictor(device="cpu", size=64).colour(picture)


def test_a_thumbnail_beside_a_page_is_no_page(grey, tmp_path):
    with tifffile.TiffWriter(tmp_path / "scan.tif") as tiff:
        tiff.write(grey, metadata=None)
        tiff.write(grey[::4, ::4], subfiletype=1, metadata=None)
    assert len(list(images.read_pages(tmp_path / "scan.tif"))) == 1
    assert images.read(tmp_path / "scan.tif").pixels.shape[-2:] == (60, 80)


def exif_of(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    exif[0x010E] = "grandmother, 1931"
    exif[0x013B] = "a photographer"
    exif.get_ifd(0x8769).update({0x9003: "1931:06:01 12:00:00", 0xA001: 65535, 0xA002: 80})
    exif.get_ifd(0x8825).update({1: "N"})
    return exif


TURNED = ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"]


@pytest.mark.parametrize("kind", TURNED)
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_applied_and_reset_in_every_format(kind, turn, grey):
    data = saved(Image.fromarray(grey), kind, exif=exif_of(turn).tobytes(), **FORMATS[kind])
    want = upright(grey, turn)
    picture = images.read(data)
    assert picture.pixels.shape[-2:] == want.shape
    error = picture.pixels[0].float().mean(dim=0).numpy() - want
    assert np.abs(error).mean() < 3  # lossy formats
    again = Image.open(io.BytesIO(saved(colorize(data), kind)))
    assert again.size == want.shape[::-1]
    assert again.getexif().get(0x0112, 1) == 1


def upright(array: np.ndarray, turn: int) -> np.ndarray:
    """EXIF 2.32: where the stored first row and column lie on the upright picture."""
    return {
        1: array, 2: array[:, ::-1], 3: array[::-1, ::-1], 4: array[::-1], 5: array.T,
        6: array.T[:, ::-1], 7: array[::-1, ::-1].T, 8: array.T[::-1],
    }[turn]  # fmt: skip


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_of_deep_files_is_applied(turn, grey, tmp_path):
    rgb = np.stack([deep(grey)] * 3, axis=-1)
    tifffile.imwrite(
        tmp_path / "in.tif", rgb, photometric="rgb", extratags=[(274, 3, 1, turn, True)]
    )
    read = images.read(tmp_path / "in.tif").pixels[0, 0].numpy()
    assert np.array_equal(read, upright(rgb[..., 0], turn))


XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
    b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description xmlns:dc="
    b"'http://purl.org/dc/elements/1.1/' dc:source='album 7' xmlns:tiff="
    b"'http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("kind", TURNED)
def test_exif_xmp_and_resolution_are_carried_over(kind, grey):
    options = {"exif": exif_of(6).tobytes(), "dpi": (600, 600), **FORMATS[kind]}
    if kind in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = XMP
    result = colorize(saved(Image.fromarray(grey), kind, **options))
    again = Image.open(io.BytesIO(saved(result, kind)))
    exif = again.getexif()
    assert exif[0x010E] == "grandmother, 1931"
    assert exif[0x013B] == "a photographer"
    assert exif.get_ifd(0x8769)[0x9003] == "1931:06:01 12:00:00"
    assert exif.get_ifd(0x8769)[0xA001] == 1  # sRGB now
    assert exif.get_ifd(0x8769)[0xA002] == 60  # turned
    assert exif.get_ifd(0x8825)[1] == "N"
    if kind in ("JPEG", "PNG", "TIFF"):
        assert again.info["dpi"] == pytest.approx((600, 600), rel=1e-3)
    if "xmp" in options:
        assert b"album 7" in again.info["xmp"]
        assert b'Orientation="6"' not in again.info["xmp"]


def test_metadata_crosses_formats_and_depths(grey, tmp_path):
    data = saved(Image.fromarray(grey), "JPEG", exif=exif_of(1), xmp=XMP, dpi=(300, 300))
    result = colorize(data)
    for suffix in (".png", ".tif", ".webp"):
        result.save(tmp_path / f"out{suffix}")
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.getexif()[0x010E] == "grandmother, 1931"
            known = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", "").encode()
            assert b"album 7" in known, suffix
    deep16 = Image.fromarray(deep(grey))
    result = colorize(saved(deep16, "PNG", exif=exif_of(1), dpi=(300, 300)))
    result.save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        assert image.getexif()[0x010E] == "grandmother, 1931"
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
    result.save(tmp_path / "deep.tif")
    with tifffile.TiffFile(tmp_path / "deep.tif") as tiff:
        assert tiff.pages[0].tags[0x010E].value == "grandmother, 1931"


def test_damaged_exif_costs_the_exif_not_the_picture(grey):
    rubbish = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40
    data = saved(Image.fromarray(grey), "JPEG", exif=rubbish)
    with pytest.warns(UserWarning, match="EXIF"):
        result = colorize(data)
    assert result.size == (80, 60)


def test_a_result_that_was_drawn_on_saves_what_was_drawn(grey, tmp_path):
    result = colorize(Image.fromarray(deep(grey)))
    result.putpixel((3, 4), (255, 0, 255))
    result.save(tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.getpixel((3, 4)) == (255, 0, 255)


def test_results_survive_a_pickle(grey):
    import pickle

    result = colorize(Image.fromarray(deep(grey)))
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.deep, result.deep)
    assert np.array_equal(np.asarray(again), np.asarray(result))


def test_heic_without_its_library_says_what_to_install(grey, monkeypatch):
    pillow_heif.register_heif_opener()
    data = saved(Image.fromarray(grey), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(deepcolor.ImageError, match="HEIC, which needs pillow-heif: pip"):
        colorize(data)


def test_deep_files_without_their_library_says_what_to_install(grey, tmp_path, monkeypatch):
    rgb = np.stack([deep(grey)] * 3, axis=-1)
    tifffile.imwrite(tmp_path / "in.tif", rgb, photometric="rgb")
    result = colorize(rgb.view())
    assert result.dtype == np.uint16
    picture = colorize(Image.fromarray(deep(grey)))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(deepcolor.ImageError, match="16-bit colour, which needs imagecodecs"):
        colorize(saved(picture, "PNG"))
    with pytest.raises(deepcolor.ImageError, match="pip install imagecodecs tifffile"):
        colorize(tmp_path / "in.tif")
    with pytest.raises(deepcolor.ImageError, match=r"\.png holds 16 bits without it"):
        picture.save(tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_a_profile_of_srgb_is_written_where_there_was_a_profile(grey):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb = Image.fromarray(grey).convert("RGB")
    with_profile = colorize(saved(rgb, "JPEG", icc_profile=srgb))
    again = Image.open(io.BytesIO(saved(with_profile, "PNG")))
    name = ImageCms.getProfileDescription(
        ImageCms.ImageCmsProfile(io.BytesIO(again.info["icc_profile"]))
    )
    assert "sRGB" in name
    without = colorize(saved(rgb, "JPEG"))
    assert "icc_profile" not in Image.open(io.BytesIO(saved(without, "PNG"))).info
