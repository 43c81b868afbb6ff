"""Training sees photographs as colouring does: with the colours that they show, or not at all."""

import io
import sys
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from deepcolor import images
from deepcolor.data import ColorizationDataModule, DamagedPhotoError, open_photos

sys.path.append(str(Path(__file__).parents[1]))
from icc import WIDE, grey_profile, wide_profile

SRGB = np.array(  # to XYZ, adapted to D50 (IEC 61966-2-1, by the ICC)
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
COFFEE = np.asarray(Image.fromarray(skimage.data.coffee()).resize((90, 60)))
TURNED = Image.Exif()
TURNED[0x0112] = 6


def in_srgb(rgb: np.ndarray, name: str) -> np.ndarray:
    """What a picture with that profile shows, in unclipped levels of sRGB."""
    gamma, matrix = WIDE[name]
    linear = (rgb / 255.0) ** (round(gamma * 256) / 256) @ np.array(matrix).T
    linear = linear @ np.linalg.inv(SRGB).T
    bright = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, bright)


def save(path: Path, mode: str, **options) -> None:
    Image.fromarray(COFFEE).convert(mode).save(path, **options)


def write_deep(path: Path, icc: bytes | None = None, dtype: type = np.uint16) -> None:
    deep = COFFEE / np.float32(255) if dtype == np.float32 else COFFEE.astype(np.uint16) * 257 - 100
    tifffile.imwrite(path, deep.astype(dtype), photometric="rgb", iccprofile=icc)


KINDS = {
    "plain.jpg": lambda p: save(p, "RGB"),
    "p3.jpg": lambda p: save(p, "RGB", icc_profile=wide_profile("p3"), exif=TURNED),
    "adobe.png": lambda p: save(p, "RGBA", icc_profile=wide_profile("adobe")),
    "palette.png": lambda p: save(p, "P", icc_profile=wide_profile("p3"), transparency=3),
    "curve.png": lambda p: save(p, "L", icc_profile=grey_profile(1.8)),
    "clear.webp": lambda p: save(p, "RGBA", lossless=True),
    "grey.png": lambda p: save(p, "LA"),
    "ink.jpg": lambda p: save(p, "CMYK"),
    "line.png": lambda p: save(p, "1"),
    "rows.bmp": lambda p: save(p, "P"),
    "lab.tif": lambda p: save(p, "LAB"),
    "sixteen.png": lambda p: Image.fromarray(COFFEE[..., 1].astype(np.uint16) * 100).save(p),
    "deep.tif": write_deep,
    "prophoto.tif": lambda p: write_deep(p, wide_profile("prophoto")),
    "light.tif": lambda p: write_deep(p, wide_profile("adobe"), np.float32),
    "several.tif": lambda p: save(p, "RGB", save_all=True, append_images=[Image.new("L", (9, 9))]),
    "odd.jpg": lambda p: save(p, "RGB", icc_profile=b"no profile"),
}


@pytest.fixture
def kinds(tmp_path):
    folder = tmp_path / "kinds"
    folder.mkdir()
    for name, write in KINDS.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("tarred", [False, True])
def test_a_photograph_trains_with_the_colours_that_colouring_reads(kinds, tmp_path, tarred):
    place = kinds
    if tarred:
        place = tmp_path / "all.tar"
        with tarfile.open(place, "w") as archive:
            for name in sorted(KINDS):
                archive.add(kinds / name, name)
    photos = open_photos(place)
    assert [Path(name.split(":")[-1]).name for name in photos.names] == sorted(KINDS)
    for index, name in enumerate(sorted(KINDS)):
        with pytest.warns() if name in ("several.tif", "odd.jpg") else nullcontext():
            want = images.read_colours(kinds / name).pixels[0].expand(3, -1, -1)
        most = {torch.uint8: 255, torch.uint16: 65535}.get(want.dtype, 1)
        want = (want.double() * 255 / most).round().byte()
        assert torch.equal(photos[index], want), name
    assert len(torch.unique(photos[sorted(KINDS).index("sixteen.png")])) > 40


@pytest.mark.parametrize("name", ["p3", "adobe"])
@pytest.mark.parametrize("deep", [False, True])
def test_wide_colours_are_those_of_their_profile(name, deep, tmp_path):
    if deep:
        tifffile.imwrite(
            tmp_path / "wide.tif", COFFEE.astype(np.uint16) * 257, photometric="rgb",
            iccprofile=wide_profile(name),
        )  # fmt: skip
    else:
        save(tmp_path / "wide.png", "RGB", icc_profile=wide_profile(name))
    want = in_srgb(COFFEE, name)
    inside = ((want > 8) & (want < 247)).all(axis=2)  # dark levels LittleCMS has from a table
    assert inside.mean() > 0.3
    rgb = open_photos(tmp_path)[0].movedim(0, -1).numpy()
    assert np.abs(rgb - want)[inside].max() < 1.6
    assert np.abs(rgb - COFFEE.astype(float))[inside].mean() > 3  # the numbers alone say otherwise


def test_a_wide_jpeg_decoded_smaller_keeps_its_colours(tmp_path):
    flat = np.zeros((400, 600, 3), np.uint8) + np.array([200, 90, 60], np.uint8)
    Image.fromarray(flat).save(tmp_path / "flat.jpg", icc_profile=wide_profile("p3"), quality=95)
    small = open_photos(tmp_path).picture(0, 100)
    assert small.size == (150, 100)
    assert not small.info  # it is sRGB, whatever the file said
    assert np.abs(np.asarray(small) - in_srgb(flat[:1, :1], "p3")).max() < 4  # JPEG's own loss


@pytest.mark.parametrize("least", [None, 16])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2], "is damaged or truncated"),
        (lambda data: b"", "is empty"),
        (lambda data: b"%PDF-1.4" + data, "is a PDF, which is not opened; formats that work"),
    ],
)
def test_a_damaged_member_of_an_archive_names_itself(damage, said, least, tmp_path):
    file = io.BytesIO()
    Image.fromarray(COFFEE).save(file, "JPEG")
    data = damage(file.getvalue())
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        member = tarfile.TarInfo("cats/1.jpg")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    with pytest.raises(images.ImageError, match=rf"all\.tar:cats/1\.jpg {said}") as caught:
        open_photos(tmp_path / "all.tar").picture(0, least)
    assert isinstance(caught.value, DamagedPhotoError)


def test_a_photograph_of_too_many_pixels_is_damage_in_words(tmp_path):
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "vast.png").write_bytes(data)
    with pytest.raises(DamagedPhotoError, match=r"vast\.png is too large: 30000 x 30000 is 900 me"):
        open_photos(tmp_path).picture(0)


def test_memory_that_runs_out_is_no_damage(kinds, monkeypatch):
    def short(*_):
        raise MemoryError

    photos = open_photos(kinds)
    monkeypatch.setattr("deepcolor.images.files.as_shown", short)
    with pytest.raises(MemoryError):
        photos.picture(sorted(KINDS).index("plain.jpg"))


def test_damaged_files_are_skipped_as_ever(photo_folder):
    victim = photo_folder / "cat" / "00.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    data = ColorizationDataModule(photo_folder, size=32, batch_size=2, workers=0, held_out=2)
    data.setup()
    assert data.left_out["damaged"] == [str(victim)]
    assert next(iter(data.train_dataloader())).shape == (2, 3, 32, 32)


def test_threads_share_a_profile_and_see_the_same(tmp_path):
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.integers(0, 256, (150, 200, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png", icc_profile=wide_profile("p3"))
    photos = open_photos(tmp_path)
    alone = [photos[index] for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(photos.__getitem__, list(range(8)) * 8))
    assert all(torch.equal(rgb, alone[number % 8]) for number, rgb in enumerate(together))
