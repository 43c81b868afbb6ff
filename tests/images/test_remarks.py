"""What decoders remark on: one warning, with the picture's name, and nothing on the terminal."""

import io
import logging
import struct
import threading
import warnings

import imagecodecs
import numpy as np
import pytest
from PIL import Image

import deepcolor
from deepcolor import images
from deepcolor.images.decoding import decoding

GREY = np.add.outer(np.arange(0, 160, 4), np.arange(0, 96, 2)).astype(np.uint8)  # (40, 48)


def warnings_of(source: object) -> list[str]:
    """The warnings of reading it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images.read(source)
    assert all(warning.category is images.ImageWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def tiff(compression: int, body: bytes, *odd: tuple[int, int, int, int], samples: int = 1) -> bytes:
    """A TIFF of 48 x 40 grey pixels; odd entries as tag, type, count, value."""
    height, width = GREY.shape
    plain = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 8, 277: samples,
             278: height, 279: len(body)}  # fmt: skip
    entries = sorted([*((tag, 4, 1, value) for tag, value in plain.items()), *odd])
    start = 8 + len(body) + len(body) % 2
    head = (b"II*\0" + struct.pack("<I", start) + body).ljust(start, b"\0")
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return head + struct.pack("<H", len(entries)) + listed + bytes(4)


RESOLUTION_UNIT, ARTIST, SHORT, ASCII = 296, 315, 3, 2
# Pillow remarks on the two, libtiff on the second once more
ODD = tiff(1, GREY.tobytes(), (RESOLUTION_UNIT, SHORT, 2, 9), (ARTIST, ASCII, 9000, 99000))


def flipped(compression: str, at: int) -> bytes:
    """A TIFF with one wrong byte in its pixels."""
    picture = Image.fromarray(GREY > 90) if "group" in compression else Image.fromarray(GREY)
    file = io.BytesIO()
    picture.save(file, "TIFF", compression=compression)
    data = bytearray(file.getvalue())
    with Image.open(io.BytesIO(data)) as image:
        data[image.tag_v2[273][0] + at] ^= 255
    return bytes(data)


BAD_FAX = flipped("group4", 15)  # libtiff decodes it and remarks on it


def test_all_remarks_are_one_warning_that_names_the_picture(tmp_path):
    (tmp_path / "odd.tif").write_bytes(ODD)
    (warned,) = warnings_of(tmp_path / "odd.tif")
    assert warned.startswith(f"{tmp_path / 'odd.tif'} is not quite in order: ")
    assert "Skipping tag 315" in warned
    assert "too many entries" in warned


def test_libtiff_says_it_to_us_and_not_to_the_terminal(capfd):
    (warned,) = warnings_of(BAD_FAX)
    assert "not quite in order: Bad code word at line 20" in warned
    assert capfd.readouterr() == ("", "")


def test_why_a_file_is_refused_is_in_the_error(capfd):
    with pytest.raises(images.ImageError, match="decoder error -2; Using code not yet in table"):
        images.read(flipped("tiff_lzw", 16))
    assert capfd.readouterr() == ("", "")


def test_a_file_of_a_thousand_remarks_gets_a_few():
    body = bytes(range(1, 256)) * 40
    file = io.BytesIO()
    Image.new("1", (800, 800)).save(file, "TIFF", compression="group3")
    data = file.getvalue()
    with Image.open(io.BytesIO(data)) as image:
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]
    (warned,) = warnings_of(data[:start] + (body * 9)[:size] + data[start + size :])
    assert warned.endswith("; and more")
    assert len(warned) < 1500


def test_others_hear_of_pillow_what_they_always_heard(capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images.read(ODD)
        assert len(caught) == 1
        Image.open(io.BytesIO(ODD)).load()
        Image.open(io.BytesIO(BAD_FAX)).load()
    assert {warning.category for warning in caught[1:]} == {UserWarning}
    assert "TiffImagePlugin" in caught[1].filename
    assert "Bad code word" in capfd.readouterr().err


def test_threads_hear_of_their_own_pictures():
    """One decodes, and while it does another does something of its own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with decoding("mine", None):
            other = threading.Thread(target=Image.open, args=(io.BytesIO(ODD),))
            other.start()
            other.join()
            Image.open(io.BytesIO(ODD)).load()
    texts = [str(warning.message) for warning in caught]
    assert [text for text in texts if text.startswith("mine")] == texts[-1:]
    assert len(texts) > 1


def test_remarks_of_many_threads_are_not_mixed(tmp_path):
    paths = [tmp_path / f"{number}.tif" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes((ODD, BAD_FAX)[number % 2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=images.read, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    warned = {str(warning.message).split(" is not")[0]: str(warning.message) for warning in caught}
    assert sorted(warned) == sorted(map(str, paths))
    assert len(caught) == 40
    for number, path in enumerate(paths):
        assert ("Bad code" in warned[str(path)]) == bool(number % 2)


def test_logs_of_decoders_do_not_reach_the_terminal_either(capfd, caplog):
    caplog.set_level(logging.WARNING)
    many = struct.pack("<HHII", 277, 4, 1, 9)
    with pytest.raises(images.ImageError):
        images.read(tiff(1, GREY.tobytes()).replace(struct.pack("<HHII", 277, 4, 1, 1), many))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_an_interlaced_picture_of_sixteen_bits_is_in_order(capfd):
    interlaced = interlaced_png()
    assert warnings_of(interlaced) == []
    assert capfd.readouterr() == ("", "")
    read = images.read(interlaced).pixels[0].permute(1, 2, 0).numpy()
    assert np.array_equal(read, imagecodecs.png_decode(interlaced))


def interlaced_png() -> bytes:
    """One pixel of 16-bit RGB; Adam7's first pass is all of it."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 1)
    pixels = zlib.compress(b"\0" + bytes(range(6)))
    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_transparent_palette_is_in_order():
    image = Image.fromarray(GREY).convert("P")
    image.info["transparency"] = bytes(range(256))
    file = io.BytesIO()
    image.save(file, "PNG")
    assert warnings_of(file.getvalue()) == []


def test_several_pictures_are_a_warning_of_ours():
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)])
    (warned,) = warnings_of(file.getvalue())
    assert "holds 2 pictures; the first is coloured" in warned


# PIL images


def test_closed_and_cut_off_pil_images_are_refused_in_words(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "x.png")
    closed = Image.open(tmp_path / "x.png")
    closed.close()
    cut = Image.open(io.BytesIO((tmp_path / "x.png").read_bytes()[:70]))
    loaded = Image.fromarray(GREY)
    loaded.close()
    for image in (closed, cut, loaded):
        with pytest.raises(deepcolor.ImageError, match="PIL image 48 x 40 is damaged or truncated"):
            images.read(image)


ODD_INFO = {
    "dpi": [(None, None), ("a", "b"), (0, 0), (1,), 72, (float("nan"), 72), ((1, 2), (3, 4))],
    "xmp": [{"a": 1}, 7, "\udc80", [b""]],
    "icc_profile": [b""],
    "exif": [b"rubbish", 7, None, {"a": 1}],
    "comment": [7, {}],
    "transparency": [None, "red", (1, 2, 3, 4, 5), -1, 70000, {}, b"", (1.5, 2), b"\xff" * 999],
}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("key", ODD_INFO)
def test_odd_info_costs_the_info_not_the_picture(mode, key):
    picture = Image.fromarray(GREY.astype(np.uint16)) if mode == "I;16" else Image.fromarray(GREY)
    picture = picture if mode in ("I;16", "L") else picture.convert(mode)
    want = images.read(picture).pixels
    for value in ODD_INFO[key]:
        picture.info[key] = value
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            read = images.read(picture)
        assert read.pixels.equal(want), value
        result = read.give_back(read.pixels.expand(-1, 3, -1, -1).clone())
        assert result.size == (48, 40)
        assert picture.info[key] is value  # the user's image is as it was
        result.save(io.BytesIO(), "PNG")


def test_a_transparency_without_sense_is_told_of():
    picture = Image.fromarray(GREY)
    picture.info["transparency"] = "red"
    (warned,) = warnings_of(picture)
    assert warned == "PIL image 48 x 40: its transparency, 'red', cannot be used and is left out"
