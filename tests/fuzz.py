"""Damaged files of every format through colorize: a result or an ImageError, nothing else.

python tests/fuzz.py --count 10000 --seed 0

Each file is a small real photograph saved in one of many formats and then damaged: flipped bits,
bytes overwritten, cut short, cut in the middle, numbers in the header replaced by large ones. Also
measured: seconds of the slowest file, and memory that the process came to hold.
"""

import argparse
import collections
import io
import random
import resource
import signal
import sys
import time
import warnings

import imagecodecs
import numpy as np
import pillow_heif
import skimage.data
import tifffile
from PIL import Image, ImageCms

import deepcolor

SECONDS = 20  # a file that takes longer hangs
MEGABYTES = 1500  # that damaged files may add to the process
MAX_PIXELS = 50_000_000


def seeds() -> dict[str, bytes]:
    """Whole files, one of each kind."""
    pillow_heif.register_heif_opener()
    grey = np.array(Image.fromarray(skimage.data.camera()).resize((48, 36)))
    rgb = np.array(Image.fromarray(skimage.data.coffee()).resize((48, 36)))
    deep = grey.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "album"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images = {
        "1": Image.fromarray(grey).convert("1"),
        "L": Image.fromarray(grey),
        "LA": Image.fromarray(grey).convert("LA"),
        "P": Image.fromarray(rgb).convert("P"),
        "RGB": Image.fromarray(rgb),
        "RGBA": Image.fromarray(rgb).convert("RGBA"),
        "CMYK": Image.fromarray(rgb).convert("CMYK"),
        "I;16": Image.fromarray(deep),
        "F": Image.fromarray(grey.astype(np.float32) / 255),
    }
    saves = {
        "JPEG": ("L", "RGB", "CMYK"),
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
        "WEBP": ("RGB", "RGBA"),
        "AVIF": ("RGB", "RGBA"),
        "BMP": ("1", "L", "P", "RGB"),
        "GIF": ("L", "P"),
        "HEIF": ("L", "RGB"),
        "JPEG2000": ("L", "RGB"),
        "PPM": ("L", "RGB"),
        "TGA": ("RGB",),
        "ICO": ("RGBA",),
    }
    found = {}
    for kind, modes in saves.items():
        for mode in modes:
            options = {"exif": exif.tobytes()} if kind in ("JPEG", "PNG", "WEBP", "AVIF") else {}
            if kind in ("JPEG", "PNG", "TIFF") and mode == "RGB":
                options["icc_profile"] = icc
            file = io.BytesIO()
            images[mode].save(file, kind, **options)
            found[f"{kind} {mode}"] = file.getvalue()
    for name, array, options in (
        ("TIFF 16-bit RGB", np.stack([deep] * 3, -1), {"photometric": "rgb"}),
        ("TIFF LZW", np.stack([deep] * 3, -1), {"photometric": "rgb", "compression": "lzw"}),
        ("TIFF float RGB", rgb.astype(np.float32) / 255, {"photometric": "rgb"}),
        ("BigTIFF", grey, {"bigtiff": True}),
        ("TIFF tiles", rgb, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, array, **options)
        found[name] = file.getvalue()
    file = io.BytesIO()
    images["L"].save(file, "TIFF", save_all=True, append_images=[images["L"]] * 2)
    found["TIFF pages"] = file.getvalue()
    for name, array in (("RGB", np.stack([deep] * 3, -1)), ("LA", np.stack([deep] * 2, -1))):
        found[f"PNG 16-bit {name}"] = imagecodecs.png_encode(array)
    return found


def damage(data: bytes, rng: random.Random) -> bytes:
    """One of several kinds of damage, or two."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        how = rng.randrange(6)
        reach = len(out) if rng.random() < 0.5 else min(len(out), 160)  # headers come first
        if not reach:
            break
        if how == 0:  # flipped bits
            for _ in range(rng.choice((1, 1, 4, 30))):
                out[rng.randrange(reach)] ^= 1 << rng.randrange(8)
        elif how == 1:  # bytes overwritten
            start = rng.randrange(reach)
            out[start : start + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
        elif how == 2:  # cut short
            del out[rng.randrange(len(out)) :]
        elif how == 3:  # a hole
            start = rng.randrange(len(out))
            del out[start : start + rng.randrange(1, 60)]
        elif how == 4:  # lying numbers: sizes, offsets, counts
            value = rng.choice((0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 20_000))
            width, order = rng.choice((2, 4)), rng.choice(("big", "little"))
            start = rng.randrange(reach)
            out[start : start + width] = (value & (256**width - 1)).to_bytes(width, order)
        else:  # a piece twice
            start = rng.randrange(len(out))
            piece = out[start : start + rng.randrange(1, 200)]
            out[start:start] = piece
    return bytes(out)


def alarm(*_: object) -> None:
    raise TimeoutError(f"over {SECONDS} s")


def run(count: int, seed: int, report: bool = False) -> collections.Counter:
    """Damage and colorize `count` files; what is no ImageError escapes, with the file's number."""
    rng = random.Random(seed)
    whole = seeds()
    predictor = deepcolor.Predictor(device="cpu", size=32)
    outcomes: collections.Counter = collections.Counter()
    slowest = 0.0
    for data in whole.values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor(data)  # whole files work
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, alarm)
    for number in range(count):
        name = rng.choice(list(whole))
        data = damage(whole[name], rng)
        start = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = predictor(data, max_pixels=MAX_PIXELS)
            assert result.mode in ("RGB", "RGBA")
            outcomes["coloured"] += 1
        except deepcolor.ImageError as error:
            if isinstance(error.__cause__, TimeoutError) or not str(error):
                raise AssertionError(f"file {number} of seed {seed}, {name}: hung") from error
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"file {number} of seed {seed}, {name}: {error!r}") from error
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, f"damaged files added {grown:.0f} MB"
    if report:
        print(f"{count:,} damaged files of {len(whole)} kinds, seed {seed}: {dict(outcomes)};")
        print(f"slowest {slowest:.2f} s, memory grown by {grown:.0f} MB, no crash, no hang")
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run(arguments.count, arguments.seed, report=True)
    sys.exit(0)
