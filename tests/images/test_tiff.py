"""TIFF of every depth, against files written here byte by byte and levels computed exactly."""

import io
import struct
import tracemalloc
import zlib
from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

import deepcolor
from deepcolor import images

RNG = np.random.default_rng(0)
DEPTHS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32]
GREY, RGB, NEGATIVE, INKS = 1, 2, 0, 5


def packed(rows: np.ndarray, bits: int, order: str) -> bytes:
    """(H, N) levels, rows padded to bytes: most significant bit first (TIFF 6.0, FillOrder 1)."""
    if bits in (8, 16, 32):
        return rows.astype(f"{order}u{bits // 8}").tobytes()
    places = np.arange(bits - 1, -1, -1)
    split = (rows.astype(np.int64)[..., None] >> places & 1).astype(np.uint8)
    return np.packbits(split.reshape(len(rows), -1), axis=1).tobytes()


def tiff(
    levels: np.ndarray,
    bits: int,
    photometric: int,
    order: str = "<",
    planar: bool = False,
    deflate: bool = False,
    tags: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """A TIFF of (H, W, C) levels in one strip, or one a plane; tags of shorts or longs."""
    height, width, channels = levels.shape
    planes = np.moveaxis(levels, -1, 0) if planar else levels.reshape(1, height, -1)
    strips = [packed(plane.reshape(height, -1), bits, order) for plane in planes]
    if deflate:
        strips = [zlib.compress(strip) for strip in strips]
    entries = {
        256: (width,), 257: (height,), 258: (bits,) * channels, 259: (8 if deflate else 1,),
        262: (photometric,), 273: (0,) * len(strips), 277: (channels,), 278: (height,),
        279: tuple(map(len, strips)), 284: (2 if planar else 1,),
    } | (tags or {})  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    body = b"".join(strips)
    offsets = np.cumsum([start] + [len(strip) for strip in strips])[:-1]
    entries[273] = tuple(int(offset) for offset in offsets)
    directory = struct.pack(order + "H", len(entries))
    for tag, values in sorted(entries.items()):
        if isinstance(values, bytes):
            kind, data = 7, values
        else:
            kind = 4
            data = struct.pack(f"{order}{len(values)}I", *values)
        size = len(values)
        if len(data) > 4:
            where, body = start + len(body), body + data
            data = struct.pack(order + "I", where)
        directory += struct.pack(order + "HHI", tag, kind, size) + data.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8) + directory + bytes(4) + body


def test_the_writer_of_these_tests_agrees_with_tifffile():
    levels = RNG.integers(0, 1 << 12, (5, 7, 3))
    for order in "<>":
        for planar in (False, True):
            with tifffile.TiffFile(io.BytesIO(tiff(levels, 12, RGB, order, planar))) as file:
                array = file.pages[0].asarray()
            assert np.array_equal(np.moveaxis(array, 0, -1) if planar else array, levels)


def spread(levels: np.ndarray, bits: int) -> np.ndarray:
    """Levels of [0, 2^bits - 1] over those of 8 bits, or of 16: exact, as fractions, rounded."""
    full = 255 if bits <= 8 else 65535
    known = {v: round(Fraction(v * full, (1 << bits) - 1)) for v in np.unique(levels).tolist()}
    return np.vectorize(known.__getitem__)(levels)


def random_levels(bits: int, channels: int) -> np.ndarray:
    """(11, 13, C), with black and white."""
    levels = RNG.integers(0, 1 << bits, (11, 13, channels))
    levels[0, 0], levels[0, 1] = 0, (1 << bits) - 1
    return levels


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [GREY, NEGATIVE, RGB])
@pytest.mark.parametrize("bits", DEPTHS)
def test_every_depth_uses_all_levels(bits, photometric, order, deflate):
    levels = random_levels(bits, 3 if photometric == RGB else 1)
    if bits == 24 and order == ">":
        with pytest.raises(deepcolor.ImageError, match="24 bits work in little-endian files"):
            images.read(tiff(levels, bits, photometric, order))
        return
    for planar in {False, photometric == RGB}:
        picture = images.read(tiff(levels, bits, photometric, order, planar, deflate))
        read = picture.pixels[0].permute(1, 2, 0).numpy().astype(int)
        want = spread(levels, bits)
        full = 255 if bits <= 8 else 65535
        want = full - want if photometric == NEGATIVE else want
        assert np.abs(read - want).max() <= (0 if bits != 32 else 1)
        assert picture.depth == (torch.uint8 if bits <= 8 else torch.uint16)


@pytest.mark.parametrize("bits", [4, 10, 12, 14, 24, 32])
def test_deep_files_keep_their_lightness_and_come_back_as_sixteen_bits(bits, tmp_path):
    levels = random_levels(bits, 1)
    result = deepcolor.colorize(tiff(levels, bits, NEGATIVE), device="cpu", size=64)
    result.save(tmp_path / "out.tif")
    out = tifffile.imread(tmp_path / "out.tif")
    assert out.dtype == (np.uint8 if bits == 4 else np.uint16)
    full = np.iinfo(out.dtype).max
    import skimage.color

    want = np.repeat(full - spread(levels, bits), 3, axis=2) / full
    moved = skimage.color.rgb2lab(out / full)[..., 0] - skimage.color.rgb2lab(want)[..., 0]
    assert np.abs(moved).max() <= (1.0 if bits == 4 else 0.01)


def test_an_image_opened_by_pillow_is_read_as_its_file(tmp_path):
    levels = random_levels(12, 1)
    (tmp_path / "a.tif").write_bytes(tiff(levels, 12, GREY))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "I;16"
        read = images.read(image).pixels[0, 0].numpy()
    assert np.array_equal(read, spread(levels, 12)[..., 0])
    image = Image.open(io.BytesIO(tiff(random_levels(16, 1), 16, NEGATIVE)))
    read = images.read(image).pixels[0, 0].numpy()
    assert np.array_equal(read, 65535 - np.asarray(image))


def test_a_picture_that_does_not_say_its_colours_is_taken_as_its_channels_say():
    levels = random_levels(8, 4)
    for channels, tags in ((3, {}), (4, {332: (1,)})):
        data = tiff(levels[..., :channels], 8, RGB, tags=tags)
        at = data.index(struct.pack("<HHI", 262, 4, 1))
        data = data[:at] + struct.pack("<H", 60000) + data[at + 2 :]  # a tag of no meaning
        read = images.read(data).pixels[0].permute(1, 2, 0).numpy()
        want = Image.frombytes("CMYK", (13, 11), levels.astype(np.uint8).tobytes()).convert("RGB")
        assert np.array_equal(read, levels[..., :3] if channels == 3 else np.asarray(want))


# Associated alpha


def over_black(colour: np.ndarray, alpha: np.ndarray, full: int) -> np.ndarray:
    """What premultiplied levels hold."""
    return np.rint(colour * (alpha / full)[..., None]).astype(colour.dtype)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_associated_alpha_is_divided_out_and_saved_as_what_it_is(bits, channels, planar, tmp_path):
    full = (1 << bits) - 1
    colour = random_levels(bits, channels)
    alpha = RNG.integers(full // 4, full + 1, colour.shape[:2])
    alpha[3, 3:6] = 0
    stored = np.concatenate([over_black(colour, alpha, full), alpha[..., None]], axis=2)
    data = tiff(stored, bits, RGB if channels == 3 else GREY, planar=planar, tags={338: (1,)})
    picture = images.read(data)
    top = 255 if bits == 8 else 65535
    read = picture.pixels[0].permute(1, 2, 0).numpy() / top
    seen = alpha > 0
    assert np.abs(read - colour / full)[seen].max() <= 2.6 / full + 0.5 / top  # four times rounding
    assert read[~seen].max() == 0
    result = deepcolor.colorize(data, device="cpu", size=64)
    result.save(tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        page = file.pages[0]
        assert [int(kind) for kind in page.extrasamples] == [2]
        assert np.array_equal(page.asarray()[..., 3], spread(alpha, bits))


def test_associated_alpha_of_floats_is_divided_out():
    colour = RNG.random((9, 8, 3)).astype(np.float32)
    colour[0, 0] = 1
    alpha = RNG.uniform(0.2, 1, (9, 8)).astype(np.float32)
    file = io.BytesIO()
    for white in (1, 255):
        file = io.BytesIO()
        stored = np.concatenate([colour * white * alpha[..., None], alpha[..., None]], axis=2)
        tifffile.imwrite(file, stored, photometric="rgb", extrasamples=["assocalpha"])
        picture = images.read(file.getvalue())
        assert np.allclose(picture.pixels[0].permute(1, 2, 0).numpy(), colour, atol=1e-5)
        result = picture.give_back(picture.pixels)
        assert np.allclose(result.deep[..., 3], alpha * white, rtol=1e-5)
        assert np.abs(np.asarray(result)[..., 3] - alpha * 255).max() <= 0.51


def test_a_fourth_channel_that_is_no_alpha_does_not_make_pixels_transparent():
    levels = random_levels(16, 4)
    result = deepcolor.colorize(tiff(levels, 16, RGB, tags={338: (0,)}), device="cpu", size=64)
    assert result.mode == "RGB"
    with_alpha = tiff(levels, 16, RGB, tags={338: (2,)})
    result = deepcolor.colorize(with_alpha, device="cpu", size=64)
    assert np.array_equal(result.deep[..., 3], levels[..., 3])


# CMYK


def inks_shown(levels: np.ndarray) -> np.ndarray:
    eight = np.rint(levels / 257).astype(np.uint8)
    image = Image.frombytes("CMYK", (eight.shape[1], eight.shape[0]), eight.tobytes())
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planar", [False, True])
def test_sixteen_bit_cmyk_is_read_right_in_either_byte_order(planar, order):
    levels = random_levels(16, 4)
    picture = images.read(tiff(levels, 16, INKS, order, planar))
    read = picture.pixels[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(read - inks_shown(levels)).max() <= 2  # Pillow drops the low byte of each ink
    assert picture.depth == torch.uint8


def test_the_profile_of_sixteen_bit_cmyk_in_planes_is_honoured():
    levels = np.repeat(RNG.integers(0, 256, (11, 13, 4)) * 257, 1, axis=2)
    icc = cmyk_profile()
    data = tiff(levels, 16, INKS, ">", True, tags={34675: icc})
    eight = Image.frombytes("CMYK", (13, 11), (levels // 257).astype(np.uint8).tobytes())
    eight.info["icc_profile"] = icc
    want = images.read(eight).pixels
    assert torch.equal(images.read(data).pixels, want)
    del eight.info["icc_profile"]
    plain = images.read(eight).pixels.float().mean(dim=1) * 257
    assert (want.float() - plain).abs().mean() > 500


def cmyk_profile() -> bytes:
    """A printer's profile: inks to Lab by a table of two points an ink, black ink stronger."""
    grid = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    light = (1 - grid[:, 3] * 0.9) * (1 - 0.2 * grid[:, :3].sum(axis=1))
    lab = np.stack([light * 255, np.full(16, 128), np.full(16, 128)], axis=1).astype(np.uint8)
    curve = bytes(range(256))
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
        + struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
        + curve * 4 + lab.tobytes() + curve * 3
    )  # fmt: skip
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x05test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": table,
    }
    head, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, data in tags.items():
        head += key + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    first = struct.pack(
        ">I4sI4s4s4s12s4s28s", start + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"",
        b"acsp", b"",
    ) + struct.pack(">3i", 63190, 65536, 54061)  # fmt: skip
    icc = first.ljust(128, b"\0") + head + body
    assert ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space == "CMYK"
    return icc


# Which level is white


def float_tiff(values: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values.astype(np.float32), **options)
    return file.getvalue()


def floats(white: float = 1.0) -> np.ndarray:
    values = RNG.random((40, 50)) * white
    values[0, :2] = 0, white
    return values


@pytest.mark.parametrize("kind", ["tiff", "negative", "pil"])
@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
@pytest.mark.parametrize("out", [1.002, 1.05, 1.7, -0.04, -0.6])
def test_a_value_a_little_out_of_range_is_clipped_with_one_warning(out, white, kind):
    values = floats(white)
    values[5, 5] = out * white
    want = (values / white).clip(0, 1)
    source = {
        "tiff": lambda: float_tiff(values, photometric="minisblack"),
        "negative": lambda: float_tiff(values, photometric="miniswhite"),
        "pil": lambda: Image.fromarray(values.astype(np.float32)),
    }[kind]()
    with pytest.warns(UserWarning, match=r"values reach from .*are clipped") as caught:
        picture = images.read(source)
    assert len(caught) == 1
    want = 1 - want if kind == "negative" else want
    assert np.allclose(picture.pixels[0, 0].numpy(), want, atol=1e-6)
    assert picture.give_back(picture.pixels.expand(-1, 3, -1, -1)).deep.max() <= white


@pytest.mark.parametrize("white", [255, 65535])
def test_a_level_a_little_too_high_does_not_turn_mode_i_black(white):
    values = np.rint(floats(white)).astype(np.int32)
    values[5, 5] = white + 1
    with pytest.warns(UserWarning, match="clipped") if white == 255 else nullcontext():
        picture = images.read(Image.fromarray(values))
    assert np.array_equal(picture.pixels[0, 0].numpy(), values.clip(0, white))


UNKNOWN = {
    "a tenth of them bright": np.where(np.arange(2000) % 10, 0.5, 3.0),
    "light sources": np.where(np.arange(2000) < 100, 80.0, 0.2),
    "counts": np.linspace(0, 900, 2000),
    "one at the top of half floats": np.where(np.arange(2000) < 1, 65504.0, 0.5),
    "far below black": np.linspace(-1, 1, 2000),
    "nothing but below black": np.full(2000, -0.01),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_range_that_does_not_say_what_white_is_is_refused(case):
    values = UNKNOWN[case].reshape(40, 50)
    for source in (float_tiff(values), Image.fromarray(values.astype(np.float32))):
        with pytest.raises(deepcolor.ImageError, match=r"does not say what white is; scale them"):
            images.read(source)


def test_sixteen_bit_grey_that_pillow_holds_as_mode_i_stays_as_dark_as_it_is():
    levels = RNG.integers(0, 200, (11, 13)).astype(np.uint16)
    data = b"P5 13 11 65535\n" + levels.astype(">u2").tobytes()
    picture = images.read(data)
    assert picture.depth == torch.uint16
    assert np.array_equal(picture.pixels[0, 0].numpy(), levels)


def test_signed_integers_are_what_their_range_says():
    levels = np.zeros((11, 13, 1), dtype=np.int64)
    levels[4:6] = 32767
    picture = images.read(tiff(levels, 16, GREY, tags={339: (2,)}))
    assert np.array_equal(picture.pixels[0, 0].numpy(), levels[..., 0] * 65535 // 32767)
    levels[0, 0] = 0x10000 - 9000  # negative
    with pytest.raises(deepcolor.ImageError, match=r"lie in \[-9000, .*one of 255, 32767"):
        images.read(tiff(levels, 16, GREY, tags={339: (2,)}))


def test_unsigned_integers_of_32_bits_are_what_their_range_says():
    for white, depth in ((255, torch.uint8), (65535, torch.uint16)):
        levels = np.rint(floats(white)).astype(np.int64)[..., None]
        picture = images.read(tiff(levels, 32, GREY))
        assert picture.depth == depth
        assert np.array_equal(picture.pixels[0, 0].numpy(), levels[..., 0])
    with pytest.raises(deepcolor.ImageError, match="one of 255, 65535, 4294967295"):
        images.read(tiff(RNG.integers(0, 70_000_0, (40, 50, 1)), 32, GREY))


# Before decoding


def promising(**tags: tuple[int, ...]) -> bytes:
    """A TIFF of four pixels that says it is more; `t256` and so on are its tags."""
    changed = {int(key[1:]): value for key, value in tags.items()}
    return tiff(np.full((2, 2, 1), 77), 16, GREY, "<", tags=changed)


BOMBS = {
    "samples": ({"t277": (65535,), "t256": (20000,), "t257": (20000,)}, "MB decoded, the limit"),
    "wide tiles": (
        {"t322": (1 << 16,), "t323": (1 << 16,), "t324": (8,), "t325": (9,)},
        "tiles of",
    ),
    "no tiles": ({"t322": (0,), "t323": (16,), "t324": (8,), "t325": (9,)}, "tiles are 0 x 16"),
    "no data": ({"t256": (22000,), "t257": (22000,), "t258": (24,), "t279": (0,)}, "cannot hold"),
    "little data": ({"t256": (22000,), "t257": (22000,), "t258": (24,)}, "cannot hold"),
    "strips missing": ({"t278": (1,), "t258": (24,)}, "in 1 of 2 parts cannot hold"),
    "deep": ({"t32997": (60000,), "t256": (9000,), "t257": (9000,)}, "MB decoded, the limit"),
    "deep and small": ({"t32997": (600,), "t258": (24,)}, "volume of 600 planes"),
    "pixels": ({"t256": (60000,), "t257": (60000,)}, "3,600 megapixels, the limit 500"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_directory_that_promises_too_much_is_refused_before_memory_is_taken(case):
    tags, message = BOMBS[case]
    data = promising(**tags)
    assert len(data) < 300
    images.read(promising())
    tracemalloc.start()
    try:
        with pytest.raises(deepcolor.ImageError, match=message):
            images.read(data)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_the_limit_on_bytes_follows_max_pixels_and_none_lifts_it():
    levels = random_levels(32, 4)  # 16 bytes a pixel
    data = tiff(levels, 32, RGB, tags={338: (2,)})
    with pytest.raises(deepcolor.ImageError, match=r"8 bytes for each .*max_pixels= raises it"):
        images.read(data, max_pixels=levels[..., 0].size)
    assert images.read(data, max_pixels=2 * levels[..., 0].size).pixels.shape[-2:] == (11, 13)
    assert images.read(data, max_pixels=None).pixels.shape[-2:] == (11, 13)


def test_tiles_larger_than_a_small_picture_are_fine(tmp_path):
    level = RNG.integers(0, 65536, (30, 40, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", level, tile=(1024, 1024), photometric="rgb")
    read = images.read(tmp_path / "a.tif").pixels[0].permute(1, 2, 0).numpy()
    assert np.array_equal(read, level)


def test_compressions_that_take_their_size_from_elsewhere_are_named(tmp_path):
    level = RNG.integers(0, 65536, (32, 32, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", level, compression="jpeg2000", photometric="rgb")
    with pytest.raises(deepcolor.ImageError, match="JPEG2000; compressions that work: none, LZW"):
        images.read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "group4"])
@pytest.mark.parametrize("turn", [1, 6])
def test_pillows_guard_against_large_tiffs_neither_decides_nor_warns(
    turn, compression, tmp_path, monkeypatch
):
    mode = "1" if compression == "group4" else "L"
    image = Image.fromarray((RNG.random((200, 300)) * 255).astype(np.uint8)).convert(mode)
    image.save(tmp_path / "a.tif", compression=compression, exif=exif_of(turn))
    for limit in (50_000, 20_000):  # Pillow warns above it and refuses above twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for source in (tmp_path / "a.tif", (tmp_path / "a.tif").read_bytes()):
            read = images.read(source).pixels[0, 0].numpy()
            stored = np.asarray(image.convert("L"))
            assert np.array_equal(read, stored if turn == 1 else stored.T[:, ::-1])
        with pytest.raises(deepcolor.ImageError, match="max_pixels"):
            images.read(tmp_path / "a.tif", max_pixels=59_999)
        assert limit == Image.MAX_IMAGE_PIXELS


def exif_of(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = turn
    return exif


def test_twelve_bits_with_a_predictor_are_read_as_they_were_meant(tmp_path):
    """Pillow minds no predictor there."""
    levels = np.random.default_rng(0).integers(0, 4096, (6, 8)).astype(np.uint16)
    path = tmp_path / "twelve.tif"
    differences = np.diff(levels.astype(int), axis=1, prepend=0) % 4096
    bits = "".join(f"{one:012b}" for one in differences.ravel())
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = [(256, 3, 8), (257, 3, 6), (258, 3, 12), (259, 3, 8), (262, 3, 1), (277, 3, 1),
            (278, 3, 6), (317, 3, 2)]  # fmt: skip
    strip = zlib.compress(packed)
    entries = sorted([*tags, (273, 4, 8), (279, 4, len(strip))])
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    start = 8 + len(strip) + len(strip) % 2
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, start)
        + strip.ljust(start - 8, b"\0")
        + directory
        + bytes(4)
    )
    assert np.array_equal(tifffile.imread(path) % 4096, levels)
    read = images.read(path).pixels[0, 0].numpy()
    assert np.abs(read.astype(float) / 65535 - levels / 4095).max() < 1e-4
