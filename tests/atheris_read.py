"""Coverage-guided fuzzing of images.read: a Picture or an ImageError, nothing else.

pip install atheris
PYTHONPATH=src python tests/atheris_read.py CORPUS -max_total_time=1800 -timeout=20 \
    -rss_limit_mb=3000 -max_len=20000

CORPUS is a folder, which is filled with the whole files of tests/fuzz.py and tests/containers.py
the first time and grows with what reaches new lines of deepcolor.images, Pillow and tifffile; C
decoders are not followed. A file that breaks the promise is written to crash-*, one that takes too
long to timeout-*, too much memory to oom-*. -close_fd_mask=2 would hide what C libraries print, and
the traceback of a crash with it.
"""

import hashlib
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["deepcolor.images", "PIL", "tifffile"]):
    import PIL.Image
    import tifffile  # noqa: F401

    from deepcolor import images

MAX_PIXELS = 2_000_000  # what is larger is refused before it takes time


def fill(corpus: Path) -> None:
    """Write the whole files, named as libFuzzer names them."""
    sys.path.append(str(Path(__file__).parent))
    import containers
    import fuzz

    for make in (fuzz.seeds, *(make for make, _ in containers.KINDS.values())):
        for data in make().values():
            (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)


def read(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = images.read(data, MAX_PIXELS)
        except images.ImageError as error:
            if isinstance(error.__cause__, MemoryError) or not str(error):
                raise AssertionError("an ImageError for want of memory, or of words") from error
        else:
            assert picture.pixels.ndim == 4


def main() -> None:
    corpus = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if corpus and not corpus[0].is_file():  # a file is one crash to try again
        corpus[0].mkdir(parents=True, exist_ok=True)
        if not any(corpus[0].iterdir()):
            fill(corpus[0])
    PIL.Image.init()  # before the first file, which is not charged with it then
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
