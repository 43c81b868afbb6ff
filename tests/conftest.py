from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from lightning_utilities.core.inheritance import get_all_subclasses
from PIL import Image
from torch.utils.data import BatchSampler, DataLoader

import deepcolor

collect_ignore = ["atheris_read.py"]  # needs atheris, which is no part of the tests


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Tests leave nothing in the cache folder of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPCOLOR_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """A real colour photograph, (256, 256, 3) uint8 (public domain, NASA)."""
    return np.array(Image.fromarray(skimage.data.astronaut()).resize((256, 256)))


@pytest.fixture(scope="session")
def lite():
    """The default checkpoint, as users get it."""
    return deepcolor.load_model("lite.photos")


SMALL_SETTINGS = {  # of models that take gigabytes, or minutes, as they are
    "ddcolor": {"encoder": "atto", "width": 32, "queries": 10},
    "deoldify": {"body": "resnet18", "factor": 0.125},
}


@pytest.fixture(scope="session")
def small_settings() -> dict[str, dict[str, object]]:
    """Of the models that have many channels by default: settings with few."""
    return SMALL_SETTINGS


@pytest.fixture(scope="session")
def small_model():
    """Makes a model of a name, with few channels where it has many by default."""

    def make(name: str, **settings: object) -> deepcolor.Colorizer:
        return deepcolor.create_model(name, **settings | SMALL_SETTINGS.get(name, {}))

    return make


def write_photos(root: Path) -> Path:
    """Twelve small real colour photographs in two folders, as JPEG."""
    for number in range(12):
        source = skimage.data.coffee() if number % 2 else skimage.data.chelsea()
        crop = source[number * 5 : number * 5 + 160, number * 7 : number * 7 + 200]
        folder = root / ("coffee" if number % 2 else "cat")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(folder / f"{number:02}.jpg", quality=90)
    return root


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Photographs of a test's own, to change at will."""
    return write_photos(tmp_path / "photos")


@pytest.fixture(scope="session")
def same_photos(tmp_path_factory) -> Path:
    """The same for all tests, to be read only."""
    return write_photos(tmp_path_factory.mktemp("same") / "photos")


@pytest.fixture(scope="session")
def make_clip():
    """Writes films: a pattern that moves, cuts to others, and a tone as sound."""
    av = pytest.importorskip("av")

    def make(
        path: Path,
        frames: int = 40,
        size: tuple[int, int] = (96, 128),
        rate: int = 25,
        cuts: tuple[int, ...] = (20,),
        tone: bool = True,
    ) -> Path:
        draw = np.random.default_rng(0)
        shots = [
            np.kron(draw.integers(30, 220, (12, 16)), np.ones((16, 16))).astype(np.uint8)
            for _ in range(len(cuts) + 1)
        ]
        with av.open(str(path), "w") as out:
            video = out.add_stream("libx264", rate=rate)
            video.width, video.height, video.pix_fmt, video.gop_size = (
                size[1],
                size[0],
                "yuv420p",
                12,
            )
            sound = out.add_stream("aac", rate=8000, layout="mono") if tone else None
            for number in range(frames):
                shot = shots[sum(number >= cut for cut in cuts)]
                top, left = number % 30, number % 40
                y = shot[top : top + size[0], left : left + size[1]]
                picture = np.full((size[0] * 3 // 2, size[1]), 128, np.uint8)
                picture[: size[0]] = y
                frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                frame.pts = number
                out.mux(video.encode(frame))
            out.mux(video.encode())
            if sound is not None:
                wave = np.sin(np.arange(8000 * frames // rate) * 0.3).astype(np.float32)[None]
                heard = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                heard.sample_rate = 8000
                out.mux(sound.encode(heard))
                out.mux(sound.encode())
        return path

    return make


@pytest.fixture(autouse=True)
def plain_loaders():
    """Undo what Lightning leaves patched when one of its hooks raised: every loader made later.

    Its `_replace_dunder_methods` (2.6) puts DataLoader and its subclasses back only if nothing was
    raised; in that state a loader whose arguments were given by position cannot be made again.
    """
    yield
    for base in (DataLoader, BatchSampler):
        for kind in {base, *get_all_subclasses(base)}:
            for method in ("__init__", "__setattr__", "__delattr__"):
                if f"__old{method}" in kind.__dict__:
                    setattr(kind, method, kind.__dict__[f"__old{method}"])
                    delattr(kind, f"__old{method}")
