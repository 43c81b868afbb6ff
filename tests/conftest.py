from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

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
