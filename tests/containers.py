"""Files whose containers lie: TIFF directories, APNG chunks, WebP chunks, AVIF and HEIF boxes.

Each kind has whole files (made here) and a damage that knows the container: it changes what the
parser reads, checksums made good again, so that the damage arrives.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pillow_heif
import skimage.data
import tifffile
from PIL import Image, ImageCms

__all__ = ["KINDS"]

NUMBERS = (0, 1, 2, 3, 7, 255, 256, 4096, 20_000, 0x7FFF, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF,
           0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # fmt: skip
# TIFF 6.0, with values that parsers branch on
TAGS = {
    254: (0, 1, 2, 4, 5), 256: NUMBERS, 257: NUMBERS,
    258: (0, 1, 2, 3, 4, 5, 8, 10, 12, 14, 16, 24, 31, 32, 33, 64, 128, 0xFFFF),
    259: (0, 1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 34933, 50000, 50001, 50002),
    262: (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 32803, 34892), 266: (0, 1, 2), 273: NUMBERS,
    274: (0, 1, 3, 5, 6, 8, 9, 0xFFFF), 277: (0, 1, 2, 3, 4, 5, 6, 255, 1000, 0xFFFF),
    278: NUMBERS, 279: NUMBERS, 284: (0, 1, 2, 3), 317: (0, 1, 2, 3, 34892, 0xFFFF), 320: NUMBERS,
    322: (0, 1, 15, 16, 17, 64, 4096, 65520, 0x7FFFFFF0), 323: (0, 1, 16, 64, 65520, 0x7FFFFFF0),
    324: NUMBERS, 325: NUMBERS, 330: NUMBERS, 338: (0, 1, 2, 3, 999), 339: (0, 1, 2, 3, 4, 5, 6),
    347: NUMBERS, 530: (0, 1, 2, 3, 4, 0xFFFF), 700: NUMBERS, 34665: NUMBERS, 34675: NUMBERS,
}  # fmt: skip


def _pictures() -> tuple[np.ndarray, np.ndarray]:
    grey = np.array(Image.fromarray(skimage.data.camera()).resize((48, 36)))
    rgb = np.array(Image.fromarray(skimage.data.coffee()).resize((48, 36)))
    return grey, rgb


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiffs() -> dict[str, bytes]:
    """TIFFs of every layout that tifffile writes, and Pillow's."""
    grey, rgb = _pictures()
    deep = grey.astype(np.uint16) * 257
    alpha = np.dstack([rgb, grey])
    found = {}
    for name, array, options in (
        ("grey", grey, {}),
        ("grey, big-endian", grey, {"byteorder": ">"}),
        ("12 bits", deep >> 4, {"bitspersample": 12}),
        ("16 bits, predictor", deep, {"compression": "zlib", "predictor": True}),
        ("float", grey.astype(np.float32) / 255, {"predictor": False}),
        ("RGB, strips", rgb, {"photometric": "rgb", "rowsperstrip": 5}),
        ("RGB, planes", np.moveaxis(rgb, -1, 0).copy(), {"photometric": "rgb",
                                                        "planarconfig": "separate"}),
        ("RGB, tiles", rgb, {"photometric": "rgb", "tile": (16, 16), "compression": "lzw"}),
        ("RGB of 16 bits", np.dstack([deep] * 3), {"photometric": "rgb", "compression": "zlib"}),
        ("RGBA", alpha, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        ("RGBA, associated", alpha, {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        ("CMYK of 16 bits", np.dstack([deep] * 4), {"photometric": "separated"}),
        ("BigTIFF", rgb, {"photometric": "rgb", "bigtiff": True}),
        ("JPEG", rgb, {"photometric": "rgb", "compression": "jpeg"}),
        ("subIFDs", rgb, {"photometric": "rgb", "subifds": 1}),
    ):  # fmt: skip
        file = io.BytesIO()
        with tifffile.TiffWriter(
            file, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
        ) as tiff:
            tiff.write(array, metadata=None, **options)
            if "subifds" in options:
                tiff.write(rgb[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
        found[name] = file.getvalue()
    image = Image.fromarray(grey)
    found["1 bit, fax"] = _saved(image.convert("1"), "TIFF", compression="group4")
    found["palette"] = _saved(Image.fromarray(rgb).convert("P"), "TIFF")
    found["pages"] = _saved(image, "TIFF", save_all=True, append_images=[image] * 3)
    return found


def damage_tiff(data: bytes, rng: random.Random) -> bytes:
    """Change entries of directories, and the links between them."""
    out = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", out, 2)[0] == 43
    word, head, size, first = ("Q", 8, 20, 8) if big else ("I", 2, 12, 4)
    count = "Q" if big else "H"
    width = struct.calcsize(word)
    starts, links = [], [first]
    at = struct.unpack_from(order + word, out, first)[0]
    while at and at not in starts and at + head <= len(out):
        starts.append(at)
        link = at + head + size * struct.unpack_from(order + count, out, at)[0]
        links.append(link)
        at = struct.unpack_from(order + word, out, link)[0]
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.choice(starts)
        entries = struct.unpack_from(order + count, data, start)[0]
        entry = start + head + size * rng.randrange(entries)
        tag, kind, _ = struct.unpack_from(order + "HH" + word, out, entry)
        what = rng.randrange(9)
        if what <= 3:  # the value
            room = {1: 1, 3: 2}.get(kind, width)
            value = rng.choice(TAGS.get(tag, NUMBERS)) & (256**room - 1)
            place = entry + 4 + width
            out[place : place + room] = value.to_bytes(room, "little" if order == "<" else "big")
        elif what == 4:
            struct.pack_into(order + "H", out, entry + 2, rng.choice((*range(20), 255, 0xFFFF)))
        elif what == 5:
            value = rng.choice(NUMBERS) & (256**width - 1)
            struct.pack_into(order + word, out, entry + 4, value)
        elif what == 6:  # another tag, which another entry may have too
            struct.pack_into(order + "H", out, entry, rng.choice(list(TAGS)))
        elif what == 7:  # loops between directories, and links to nowhere
            target = rng.choice([*starts, entry, len(out) - 3, *NUMBERS]) & (256**width - 1)
            struct.pack_into(order + word, out, rng.choice(links), target)
        else:
            value = rng.choice((0, 1, entries - 1, entries + 1, 0xFFFF))
            struct.pack_into(order + count, out, start, value)
    return bytes(out)


def apngs() -> dict[str, bytes]:
    """Animated PNGs."""
    grey, rgb = _pictures()
    found = {}
    for mode in ("L", "P", "RGB", "RGBA", "I;16"):
        deep = mode == "I;16"
        image = Image.fromarray(grey.astype(np.uint16) * 257 if deep else rgb)
        image = image if deep else image.convert(mode)
        others = [image.rotate(angle) for angle in (90, 180)]
        found[mode] = _saved(image, "PNG", save_all=True, append_images=others, duration=50)
    image = Image.fromarray(rgb)
    found["RGB, other first"] = _saved(
        image, "PNG", save_all=True, append_images=[image.rotate(9)] * 2, default_image=True
    )
    return found


def damage_png(data: bytes, rng: random.Random) -> bytes:
    """Change fields of chunks and their order; checksums are right for the most part."""
    chunks, at = [], 8
    while at < len(data):
        length = struct.unpack_from(">I", data, at)[0]
        chunks.append([data[at + 4 : at + 8], bytearray(data[at + 8 : at + 8 + length]), None])
        at += 12 + length
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(chunks))
        wanted = rng.choice((b"acTL", b"fcTL", b"fdAT", b"IHDR", b""))
        places = [n for n, (name, *_) in enumerate(chunks) if name == wanted]
        at = rng.choice(places) if places else at
        name, body, _ = chunk = chunks[at]
        what = rng.randrange(8)
        if what <= 3 and body:
            room = 1 if name == b"IHDR" and rng.random() < 0.7 else rng.choice((1, 2, 4))
            fields = range(8, 13) if name == b"IHDR" and room == 1 else range(0, len(body), room)
            place = rng.choice(fields[:12])
            body[place : place + room] = (rng.choice(NUMBERS) & (256**room - 1)).to_bytes(
                room, "big"
            )
        elif what == 4:
            chunk[2] = rng.choice(NUMBERS) & 0xFFFFFFFF  # a length that lies
        elif what == 5:
            chunks.insert(rng.randrange(len(chunks) + 1), [name, bytearray(body), None])
        elif what == 6 and len(chunks) > 2:
            del chunks[at]
        else:
            del body[rng.randrange(len(body) + 1) :]
    out = bytearray(data[:8])
    for name, body, length in chunks:
        out += struct.pack(">I", len(body) if length is None else length) + name + body
        out += struct.pack(">I", zlib.crc32(name + body) ^ (rng.random() < 0.05))
    return bytes(out)


def webps() -> dict[str, bytes]:
    """WebPs with every chunk of the extended format."""
    _, rgb = _pictures()
    image = Image.fromarray(rgb)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(rgb[..., 0]))
    exif = Image.Exif()
    exif[274], exif[270] = 6, "album"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"exif": exif.tobytes(), "icc_profile": icc, "xmp": b"<x:xmpmeta/>"}
    return {
        "RGB": _saved(image, "WEBP", **told),
        "RGBA": _saved(clear, "WEBP", **told),
        "lossless": _saved(clear, "WEBP", lossless=True, **told),
        "frames": _saved(
            image, "WEBP", save_all=True, append_images=[image.rotate(9)] * 3, duration=40, **told
        ),
        "frames, alpha": _saved(
            clear, "WEBP", save_all=True, append_images=[clear.rotate(9)] * 3, lossless=True
        ),
    }


def damage_webp(data: bytes, rng: random.Random) -> bytes:
    """Change sizes, flags and frames of RIFF chunks."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        chunks.append([data[at : at + 4], bytearray(data[at + 8 : at + 8 + length]), None])
        at += 8 + length + length % 2
    total = None
    for _ in range(rng.choice((1, 1, 2, 4))):
        wanted = rng.choice((b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b""))
        places = [n for n, (name, *_) in enumerate(chunks) if name == wanted]
        at = rng.choice(places) if places else rng.randrange(len(chunks))
        name, body, _ = chunk = chunks[at]
        what = rng.randrange(9)
        if what <= 3 and body:
            room = rng.choice((1, 2, 3, 4))
            place = rng.randrange(min(len(body), 40))  # VP8X is 10 bytes, ANMF's head 16
            body[place : place + room] = (rng.choice(NUMBERS) & (256**room - 1)).to_bytes(
                room, "little"
            )
        elif what == 4:
            chunk[2] = rng.choice(NUMBERS) & 0xFFFFFFFF
        elif what == 5:
            chunks.insert(rng.randrange(len(chunks) + 1), [name, bytearray(body), None])
        elif what == 6 and len(chunks) > 2:
            del chunks[at]
        elif what == 7:
            del body[rng.randrange(len(body) + 1) :]
        else:
            total = rng.choice(NUMBERS) & 0xFFFFFFFF
    out = bytearray()
    for name, body, length in chunks:
        out += name + struct.pack("<I", len(body) if length is None else length) + body
        out += bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(out) + 4 if total is None else total) + b"WEBP" + out


def avifs() -> dict[str, bytes]:
    """AVIF and HEIF: one container."""
    pillow_heif.register_heif_opener()
    grey, rgb = _pictures()
    image = Image.fromarray(rgb)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(grey))
    exif = Image.Exif()
    exif[274], exif[270] = 6, "album"
    told = {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"}
    return {
        "AVIF": _saved(image, "AVIF", **told),
        "AVIF, alpha": _saved(clear, "AVIF"),
        "AVIF, frames": _saved(image, "AVIF", save_all=True, append_images=[image.rotate(9)] * 2),
        "HEIF": _saved(image, "HEIF", **told),
        "HEIF, alpha": _saved(clear, "HEIF"),
        "HEIF, two": _saved(image, "HEIF", save_all=True, append_images=[image.rotate(9)]),
    }


# ISO 14496-12 and 23008-12: boxes of boxes, and where their first lies
HOLDERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"dinf": 0, b"moov": 0, b"trak": 0,
           b"mdia": 0, b"minf": 0, b"stbl": 0, b"iref": 4, b"stsd": 8}  # fmt: skip


def _boxes(data: bytes, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Start, end and type of each box, those within too."""
    found = []
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        stop = min(end, start + size) if size >= 8 else end
        found.append((start, stop, name))
        if name in HOLDERS:
            found += _boxes(data, start + 8 + HOLDERS[name], stop)
        start = stop
    return found


def damage_boxes(data: bytes, rng: random.Random) -> bytes:
    """Change sizes, types and fields of boxes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        boxes = [box for box in _boxes(bytes(out), 0, len(out)) if box[2] != b"mdat"]
        if not boxes:
            break
        start, stop, _ = rng.choice(boxes)
        what = rng.randrange(9)
        if what <= 4 and stop > start + 8:
            room = rng.choice((1, 1, 2, 4))
            place = rng.randrange(start + 8, stop)
            value = rng.choice(NUMBERS) & (256**room - 1)
            out[place : place + room] = value.to_bytes(room, "big")
        elif what == 5:
            size = rng.choice((*NUMBERS, stop - start - 1, stop - start + 1, 8, 9))
            struct.pack_into(">I", out, start, size & 0xFFFFFFFF)
        elif what == 6:
            out[start + 4 : start + 8] = rng.choice(boxes)[2]
        elif what == 7:
            out[stop:stop] = out[start:stop]
        else:
            del out[start:stop]
    return bytes(out)


Damage = Callable[[bytes, random.Random], bytes]
KINDS: dict[str, tuple[Callable[[], dict[str, bytes]], Damage]] = {
    "tiff": (tiffs, damage_tiff),
    "apng": (apngs, damage_png),
    "webp": (webps, damage_webp),
    "avif": (avifs, damage_boxes),
}
