"""Files by strangers: what is opened, what is refused, and how much they may take."""

import io
import os
import struct
import sys
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import EpsImagePlugin, Image

import deepcolor
from deepcolor import images
from deepcolor.images import formats
from deepcolor.images.picture import check_bytes

GREY = np.add.outer(np.arange(0, 160, 4), np.arange(0, 96, 2)).astype(np.uint8)  # (40, 48)


def saved(kind: str, image: Image.Image | None = None, **options) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(GREY)).save(file, kind, **options)
    return file.getvalue()


def grey(data: bytes) -> np.ndarray:
    return images.read(data).pixels[0].float().mean(dim=0).numpy()


@pytest.mark.timeout(20)
def test_a_pipe_by_the_name_of_a_picture_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(images.ImageError, match=r"x\.png is a named pipe, not a file"):
        images.read(tmp_path / "x.png")
    with pytest.raises(images.ImageError, match=r"x\.png is a named pipe, not a file"):
        next(images.read_pages(tmp_path / "x.png"))


# The kinds that are opened


def psd() -> bytes:
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 1, *GREY.shape, 8, 1)
    return head + bytes(12) + b"\0\0" + GREY.tobytes()


def sun() -> bytes:
    height, width = GREY.shape
    return struct.pack(">8I", 0x59A66A95, width, height, 8, GREY.size, 1, 0, 0) + GREY.tobytes()


def dcx() -> bytes:
    return struct.pack("<III", 0x3ADE68B1, 12, 0) + saved("PCX")


def icns() -> bytes:
    return saved("ICNS", Image.fromarray(GREY).convert("RGBA").resize((512, 512)))


KINDS = {
    "JPEG": lambda: saved("JPEG", quality=98),
    "PNG": lambda: saved("PNG"),
    "TIFF": lambda: saved("TIFF"),
    "GIF": lambda: saved("GIF"),
    "WEBP": lambda: saved("WEBP", lossless=True),
    "BMP": lambda: saved("BMP"),
    "DIB": lambda: saved("DIB"),
    "JPEG2000": lambda: saved("JPEG2000"),
    "AVIF": lambda: saved("AVIF", quality=98),
    "ICO": lambda: saved("ICO", sizes=[(48, 40)]),
    "PPM": lambda: saved("PPM"),
    "TGA": lambda: saved("TGA"),
    "PCX": lambda: saved("PCX"),
    "DCX": dcx,
    "SGI": lambda: saved("SGI"),
    "QOI": lambda: saved("QOI", Image.fromarray(GREY).convert("RGB")),
    "DDS": lambda: saved("DDS"),
    "PSD": psd,
    "SUN": sun,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_people_own_are_opened_by_their_content(kind):
    data = KINDS[kind]()
    assert formats.open_image(io.BytesIO(data), "x").format == kind
    assert np.abs(grey(data) - GREY).max() < 6  # JPEG, AVIF


@pytest.mark.parametrize("kind", ["XBM", "MSP"])
def test_bitmaps_are_opened(kind):
    bits = Image.fromarray(GREY > 90)
    assert np.array_equal(grey(saved(kind, bits)), np.asarray(bits) * 255.0)


def test_icons_and_pairs_of_pictures_are_opened():
    assert grey(icns()).shape == (512, 512) or grey(icns()).shape == (1024, 1024)
    pair = saved("MPO", save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.warns(images.ImageWarning, match="holds 2 pictures"):
        assert grey(pair).shape == GREY.shape
    photo_cd = bytearray(600 * 2048)
    photo_cd[2048:2052] = b"PCD_"
    assert grey(bytes(photo_cd)).shape == (512, 768)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def test_postscript_by_the_name_of_a_photograph_starts_nothing(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    (tmp_path / "evil.jpg").write_bytes(POSTSCRIPT)
    with pytest.raises(images.ImageError, match=r"evil\.jpg is PostScript, which is not opened"):
        images.read(tmp_path / "evil.jpg")
    assert not (tmp_path / "started").exists()


NEVER = {
    "EPS": (b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, 90) + bytes(20) + POSTSCRIPT, "EPS"),
    "WMF": (b"\xd7\xcd\xc6\x9a" + bytes(80), "Windows metafile"),
    "EMF": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(40), "Windows metafile"),
    "FPX, MIC": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "OLE file"),
    "FITS": (b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800), "FITS"),
    "JPEG XL": (b"\xff\x0a" + bytes(30), "JPEG XL"),
    "film": (b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(30), "a film"),
    "XPM": (b"/* XPM */\nstatic char *x[] = {\n", "XPM"),
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "page": (b"<!DOCTYPE html><title>Not found", "web page"),
}


@pytest.mark.parametrize("kind", NEVER)
def test_kinds_that_are_not_opened_are_named(kind):
    data, words = NEVER[kind]
    with pytest.raises(images.ImageError, match=rf"{words}.* not opened; formats that work: JPEG"):
        images.read(data)


def test_no_other_reader_is_asked(monkeypatch):
    Image.init()
    pillow_heif.register_heif_opener()
    asked = []
    for kind in set(Image.OPEN) - {*formats.READERS, *formats.ISO_READERS, "HEIF"}:
        monkeypatch.setitem(Image.OPEN, kind, (lambda *_, kind=kind: asked.append(kind), None))
    sources = [data for data, _ in NEVER.values()]
    sources += [saved("SPIDER", Image.fromarray(GREY)), b"rubbish" * 99]
    for data in sources:
        with pytest.raises(images.ImageError, match=r"not an image|not opened"):
            images.read(data)
    assert not asked


def test_a_damaged_file_is_said_to_be_of_its_kind():
    with pytest.raises(images.ImageError, match=r"20 bytes is damaged, or a rare kind of PNG"):
        images.read(saved("PNG")[:20])


def rebranded(kind: str, brand: bytes, **options) -> bytes:
    data = bytearray(saved(kind, **options))
    assert data[4:8] == b"ftyp"
    data[8:12] = brand
    return bytes(data)


@pytest.mark.parametrize("brand", [b"mif1", b"MA1B"])
def test_avif_of_any_brand_needs_no_extra(brand, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert np.abs(grey(rebranded("AVIF", brand, quality=98)) - GREY).max() < 6


def test_heic_of_brand_mif1_is_read_with_its_extra(monkeypatch):
    pillow_heif.register_heif_opener()
    data = rebranded("HEIF", b"mif1", quality=98)
    assert np.abs(grey(data) - GREY).max() < 6
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(images.ImageError, match="is HEIC, which needs pillow-heif"):
        images.read(data)


def test_a_file_is_read_from_where_it_was_opened_not_by_its_name(tmp_path):
    """Pillow maps uncompressed files into memory by name, if it is told one."""
    other = Image.fromarray(255 - GREY)
    for kind in ("BMP", "TIFF", "PPM"):
        other.save(tmp_path / "there", kind)
        file = io.BytesIO(saved(kind))
        file.name = str(tmp_path / "there")
        assert np.array_equal(images.read(file).pixels[0, 0].numpy(), GREY), kind


# What they may take


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def lying_apng(frames: int) -> bytes:
    plain = saved("PNG")
    return plain[:33] + chunk(b"acTL", struct.pack(">II", frames, 0)) + plain[33:]


def test_a_count_of_pages_is_not_believed(tmp_path):
    data = lying_apng(5_000_000)
    (tmp_path / "x.png").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.warns(images.ImageWarning, match=r"holds 500000[01] pictures"):
            assert np.array_equal(grey(data), GREY)
        with pytest.warns(images.ImageWarning):
            assert len(list(images.read_pages(tmp_path / "x.png"))) == 1
        assert tracemalloc.get_traced_memory()[1] < 20e6  # a list of them takes 200 MB
    finally:
        tracemalloc.stop()


def test_pages_are_found_as_they_are_asked_for(tmp_path, monkeypatch):
    from PIL import TiffImagePlugin

    Image.fromarray(GREY).save(
        tmp_path / "many.tif", save_all=True, append_images=[Image.fromarray(GREY)] * 29
    )
    sought = []
    seek = TiffImagePlugin.TiffImageFile.seek
    monkeypatch.setattr(
        TiffImagePlugin.TiffImageFile, "seek", lambda self, n: (sought.append(n), seek(self, n))
    )
    pages = images.read_pages(tmp_path / "many.tif")
    assert next(pages).pixels.shape[-2:] == GREY.shape
    assert max(sought) == 1
    assert len(list(pages)) == 29


def test_what_is_damaged_after_the_first_picture_does_not_cost_the_first():
    data = saved("GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    second = data.rindex(b"\x2c\0\0\0\0")  # its image descriptor
    assert np.array_equal(grey(data[: second + 9]), GREY)
    assert np.array_equal(grey(psd()[:26] + bytes(4) + layers_of_nonsense() + psd()[38:]), GREY)


def layers_of_nonsense() -> bytes:
    return bytes(4) + struct.pack(">IIhIIII", 22, 18, 1, 9, 9, 1, 1)


def tiff(**tags: int) -> bytes:
    """A TIFF of one strip or tile of grey pixels, that says of itself what it is told to."""
    ids = {"width": 256, "length": 257, "bits": 258, "compression": 259, "photometric": 262,
           "strip": 273, "samples": 277, "rows": 278, "size": 279, "tile_width": 322,
           "tile_length": 323, "tile": 324, "tile_size": 325, "resolution_unit": 296}  # fmt: skip
    body = zlib.compress(bytes(64))
    known = {"width": 8, "length": 8, "bits": 8, "compression": 8, "photometric": 1, "samples": 1}
    known |= {"strip": 8, "rows": 8, "size": len(body)} if "tile_width" not in tags else {}
    known |= {"tile": 8, "tile_size": len(body)} if "tile_width" in tags else {}
    known |= tags
    entries = b"".join(
        struct.pack("<HHII", ids[key], 4, 1, value)
        for key, value in sorted(known.items(), key=lambda pair: ids[pair[0]])
    )
    start = 8 + len(body) + len(body) % 2
    head = b"II*\0" + struct.pack("<I", start)
    return (head + body).ljust(start, b"\0") + struct.pack("<H", len(known)) + entries + bytes(4)


def test_tiles_larger_than_the_picture_are_refused_before_they_are_decoded():
    assert grey(tiff()).shape == (8, 8)
    with pytest.raises(
        images.ImageError, match=r"tiles of 40000 x 40000 pixels for a picture of 8 x 8"
    ):
        images.read(tiff(tile_width=40000, tile_length=40000))


def test_decoded_bytes_are_bounded_by_the_pixels_allowed():
    check_bytes(800, "x", 100)
    check_bytes(900_000, "x", None)
    with pytest.raises(images.ImageError, match=r"x is too large.*8 bytes.*max_pixels= raises it"):
        check_bytes(900, "x", 100)


def test_a_jpeg_that_is_shorter_than_its_size_can_be_is_refused():
    """libjpeg pads with grey what is missing."""
    data = bytearray(saved("JPEG", Image.fromarray(GREY)))
    at = data.index(b"\xff\xc0")
    assert images.read(bytes(data)).pixels.shape[-2:] == GREY.shape
    data[at + 5 : at + 9] = struct.pack(">HH", 22000, 22000)
    with pytest.raises(images.ImageError, match="22000 x 22000 pixels cannot lie in"):
        images.read(bytes(data))


def bitmap(width: int, height: int, runs: bytes, bits: int = 8) -> bytes:
    """A BMP of run-length codes."""
    palette = b"".join(bytes([level, level, level, 0]) for level in range(2**bits))
    size = 54 + len(palette)
    head = struct.pack("<2sIII", b"BM", size + len(runs), 0, size)
    kind = 1 if bits == 8 else 2
    info = (40, width, height, 1, bits, kind, len(runs), 0, 0, 2**bits, 0)
    return head + struct.pack("<IiiHHIIiiII", *info) + palette + runs


@pytest.mark.timeout(10)
@pytest.mark.parametrize("prefix", [0, 14])  # as a BMP, and without its head as a DIB
@pytest.mark.parametrize("bits", [4, 8])
def test_a_bitmap_of_runs_that_is_shorter_than_its_size_can_be_is_refused_at_once(bits, prefix):
    """Pillow's decoder took half a minute for nine kilobytes that claim 484 megapixels."""
    hole = b"\0\2\0\xff" + b"\1\5\0\0"  # 255 rows down, a pixel, and the rest of its row
    data = bitmap(22_000, 22_000, hole * 1000, bits)[prefix:]
    with pytest.raises(images.ImageError, match=r"22000 x 22000 pixels cannot lie in \d+ bytes of"):
        images.read(data)


@pytest.mark.parametrize("bits", [4, 8])
def test_bitmaps_of_the_longest_runs_are_read(bits):
    runs = (b"\xff\x22" * 8 + b"\0\0") * 1000 + b"\0\1"  # 2040 x 1000 pixels
    picture = images.read(bitmap(2040, 1000, runs, bits))
    assert picture.pixels.shape[-2:] == (1000, 2040)
    assert picture.pixels.unique().tolist() == [2 if bits == 4 else 0x22]


@pytest.mark.parametrize("spare", [0, 1, 3])
@pytest.mark.parametrize("rest", [0, 255])  # Pillow keeps simple transparency as one number
def test_a_transparency_of_more_colours_than_the_palette_has_is_left_out(spare, rest):
    """libpng leaves it out whole (png_handle_tRNS, "invalid")."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"PLTE", bytes(range(6)))
    data += chunk(b"tRNS", b"\0" + bytes([rest]) * (1 + spare))
    data += chunk(b"IDAT", zlib.compress(b"\0\0\1")) + chunk(b"IEND", b"")
    result = deepcolor.colorize(data, size=32)
    assert result.mode == ("RGB" if spare else "RGBA")
    if not spare:
        assert list(result.getchannel("A").tobytes()) == [0, rest]
    decoded = imagecodecs.png_decode(data)  # libpng's own answer
    assert decoded.shape[2] == (3 if spare else 4)


def test_one_large_tile_of_jpeg_2000_is_refused_and_many_small_ones_are_not():
    plain = saved("JPEG2000", Image.fromarray(GREY).convert("RGB"))  # 12 bytes a pixel, in one tile
    tiled = saved("JPEG2000", Image.fromarray(GREY).convert("RGB"), tile_size=(16, 16))
    assert images.read(tiled, max_pixels=GREY.size).pixels.shape[-2:] == GREY.shape
    assert images.read(plain, max_pixels=2 * GREY.size).pixels.shape[-2:] == GREY.shape
    with pytest.raises(images.ImageError, match="too large"):
        images.read(plain, max_pixels=GREY.size)


def ico_of(picture: Image.Image) -> bytes:
    data = saved("PNG", picture)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 48, 40, 0, 0, 1, 32, len(data), 22) + data


@pytest.mark.parametrize("kind", [*KINDS, "ICNS", "ICO of PNG"])
def test_pillows_limit_on_size_neither_decides_nor_warns(kind, monkeypatch):
    data = {"ICNS": icns, "ICO of PNG": lambda: ico_of(Image.fromarray(GREY))}.get(
        kind, KINDS.get(kind)
    )()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)  # a warning above, an error at twice that
    assert images.read(data).pixels.numel()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    assert images.read(data).pixels.numel()
    with pytest.raises(Image.DecompressionBombError), Image.open(io.BytesIO(data)) as image:
        image.load()


def test_a_picture_inside_a_file_is_as_limited_as_the_file():
    large = ico_of(Image.new("L", (300, 200)))
    with pytest.raises(images.ImageError, match=r"too large.*300 x 200"):
        images.read(large, max_pixels=30_000)


def test_a_pil_image_that_was_opened_and_not_loaded_has_our_limit(monkeypatch):
    with Image.open(io.BytesIO(saved("TIFF", compression="tiff_lzw"))) as image:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
        assert images.read(image).pixels.shape[-2:] == GREY.shape


def test_too_little_memory_is_an_error_in_words(monkeypatch):
    def fail(*_: object) -> None:
        raise MemoryError

    data = saved("PNG")
    image = Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image.core, "new", fail)
    for source in (data, image):
        with pytest.raises(deepcolor.ImageError, match="needs more memory than there is"):
            images.read(source)


@pytest.mark.parametrize("depth", [2, 4])
def test_the_transparent_level_of_a_shallow_grey_png_is_scaled_as_its_pixels_are(depth):
    """Pillow scales the levels to 8 bits, and leaves the key as it was."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    top = 2**depth - 1
    levels = np.arange(8) % (top + 1)
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, 0, 0, 0, 0))
    data += chunk(b"tRNS", struct.pack(">H", 1)) + chunk(b"IDAT", zlib.compress(row * 2))
    picture = images.read(data + chunk(b"IEND", b""))
    assert np.array_equal(picture.pixels[0, 0, 0].numpy(), levels * (255 // top))
    alpha = np.asarray(picture.give_back(picture.canvas()).getchannel("A"))
    assert np.array_equal(alpha[0], np.where(levels == 1, 0, 255))
