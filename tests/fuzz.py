"""Damaged files of every format through colorize: a result or an ImageError, nothing else.

python tests/fuzz.py --count 10000 --seed 0
python tests/fuzz.py --kind tiff --count 2000

Each file is a small real photograph saved in one of many formats and then damaged: flipped bits,
bytes overwritten, cut short, cut in the middle, numbers in the header replaced by large ones. The
kinds tiff, apng, webp and avif damage what the container says instead (tests/containers.py). Also
measured: seconds of the slowest file, and memory that the process came to hold.
"""

import argparse
import collections
import contextlib
import io
import itertools
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import skimage.data
import tifffile
from PIL import Image, ImageCms

import deepcolor

sys.path.append(str(Path(__file__).parent))
import containers

SECONDS = 20  # a file that takes longer hangs
MEGABYTES = 1500  # that damaged files may add to the process
ROOF = 4096  # MB of address space that one may ask for: what is worse than MEGABYTES fails here
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


class HungError(BaseException):
    """A file took too long; nothing that catches exceptions of decoders catches it."""


def alarm(*_: object) -> None:
    raise HungError(f"over {SECONDS} s")


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limits of time, once armed, and of memory, for as long as it lasts."""
    old, before = signal.signal(signal.SIGALRM, alarm), resource.getrlimit(resource.RLIMIT_AS)
    status = Path("/proc/self/statm")  # Linux; elsewhere there is no limit of memory
    if status.exists():
        taken = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + (ROOF << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, old)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def attempt(data: bytes, predictor: deepcolor.Predictor, pages: bool) -> str:
    """Colour one file: what came of it. With `pages` all its pages are read too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = predictor(data, max_pixels=MAX_PIXELS)
            if pages:
                with tempfile.NamedTemporaryFile(suffix=".tif") as file:
                    file.write(data)
                    file.flush()
                    for _ in deepcolor.images.read_pages(Path(file.name), MAX_PIXELS):
                        pass
    except deepcolor.ImageError as error:
        if any(isinstance(cause, MemoryError) for cause in causes(error)):
            return f"took over {ROOF} MB: {error}"
        return "refused" if str(error) else "refused without a word"
    except (Exception, HungError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error!r} at {Path(frame.filename).name}:{frame.lineno}"
    return "coloured" if result.mode in ("RGB", "RGBA") else f"mode {result.mode}"


def damaged(kind: str, seed: int) -> Iterator[tuple[str, bytes]]:
    """What the whole file was called, and the damaged one: without end, the same for a seed."""
    rng = random.Random(seed)
    make, harm = (seeds, damage) if kind == "any" else containers.KINDS[kind]
    whole = make()
    while True:
        name = rng.choice(list(whole))
        yield name, harm(whole[name], rng)


def run(count: int, seed: int, report: bool = False, kind: str = "any") -> collections.Counter:
    """Damage and colorize `count` files of a kind.

    Raises:
        AssertionError: if anything came of one but a result or an ImageError, naming the files by
            their numbers; if one took too long or too much memory.
    """
    whole = (seeds if kind == "any" else containers.KINDS[kind][0])()
    predictor = deepcolor.Predictor(device="cpu", size=32)
    outcomes: collections.Counter = collections.Counter()
    failures: list[str] = []
    slowest = 0.0
    for name, data in whole.items():
        answer = attempt(data, predictor, pages=False)
        assert answer == "coloured", f"{name}, whole: {answer}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with limits():
        for number, (name, data) in enumerate(itertools.islice(damaged(kind, seed), count)):
            start, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            signal.alarm(SECONDS)
            try:
                answer = attempt(data, predictor, pages=kind == "tiff" and number % 4 == 0)
            except HungError as error:  # between two lines of ours
                answer = repr(error)
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
            if grown > MEGABYTES:
                answer = f"took {grown:.0f} MB, {answer}"
            if answer in ("coloured", "refused"):
                outcomes[answer] += 1
            else:
                failures.append(f"file {number} of {kind}, seed {seed}, {name}: {answer}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if report:
        print(f"{count:,} damaged files of {kind}, seed {seed}: {dict(outcomes)};", end=" ")
        print(f"{len(failures)} else; slowest {slowest:.2f} s, memory grown by {grown:.0f} MB")
    assert not failures, "\n".join([f"{len(failures)} of {count} files", *failures[:40]])
    assert grown < MEGABYTES, f"damaged files added {grown:.0f} MB"
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=["any", *containers.KINDS], default="any")
    parser.add_argument("--keep", type=int, metavar="NUMBER", help="only write that damaged file")
    parser.add_argument("--to", type=Path, help="where to")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        files = damaged(arguments.kind, arguments.seed)
        arguments.to.write_bytes(next(itertools.islice(files, arguments.keep, None))[1])
    else:
        run(arguments.count, arguments.seed, report=True, kind=arguments.kind)
