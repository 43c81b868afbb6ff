"""ICC profiles, against transfer curves and matrices computed here."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

import deepcolor
from deepcolor import images
from deepcolor.color import rgb_to_lab
from deepcolor.images import profiles

sys.path.append(str(Path(__file__).parents[1]))
from icc import WIDE, grey_profile, wide_profile


def l_of(y: np.ndarray) -> np.ndarray:
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def read_l(picture: images.Picture) -> np.ndarray:
    unit = picture.pixels.float() / {torch.uint8: 255, torch.uint16: 65535}.get(
        picture.pixels.dtype, 1
    )
    return rgb_to_lab(unit.expand(-1, 3, -1, -1))[0, 0].numpy()


def with_profile(image: Image.Image, icc: bytes, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind, icc_profile=icc)
    return file.getvalue()


RAMP = np.arange(256, dtype=np.uint8)[None].repeat(3, axis=0)
DARK = 8  # L; below it LittleCMS's inverse of sRGB's curve is a table


def off(found: np.ndarray, want: np.ndarray) -> tuple[float, float]:
    error = np.abs(found - want)
    return error[want > DARK].max(), error.max()


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_grey_profiles_are_honoured(gamma):
    picture = images.read(with_profile(Image.fromarray(RAMP), grey_profile(gamma)))
    want = l_of((RAMP / 255.0) ** (round(gamma * 256) / 256))
    bright, dark = off(read_l(picture), want)
    assert bright < 0.05
    assert dark < 0.5
    assert picture.depth == torch.uint8


@pytest.mark.parametrize("gamma", [1.8, 2.2])
def test_grey_profiles_of_sixteen_bits_are_honoured(gamma, tmp_path):
    ramp = np.linspace(0, 65535, 4096).round().astype(np.uint16)[None]
    data = with_profile(Image.fromarray(ramp), grey_profile(gamma))
    want = l_of((ramp / 65535.0) ** (round(gamma * 256) / 256))
    picture = images.read(data)
    assert off(read_l(picture), want)[0] < 0.02
    result = deepcolor.colorize(data, size=32)
    rgb = torch.from_numpy(result.deep.astype(np.float32) / 65535).permute(2, 0, 1)
    assert off(rgb_to_lab(rgb)[0].numpy(), want)[0] < 0.03


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("deep", [False, True])
def test_wide_gamut_profiles_are_honoured_without_clipping(name, deep, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    rgb[:8] = RAMP[0, :250:5, None]  # greys
    gamma, matrix = WIDE[name]
    y = ((rgb / 255.0) ** (round(gamma * 256) / 256)) @ np.array(matrix[1])
    if deep:
        tifffile.imwrite(
            tmp_path / "in.tif", rgb.astype(np.uint16) * 257, photometric="rgb",
            iccprofile=wide_profile(name),
        )  # fmt: skip
        picture = images.read(tmp_path / "in.tif")
    else:
        picture = images.read(with_profile(Image.fromarray(rgb), wide_profile(name)))
    assert picture.pixels.shape[1] == 1
    error = np.abs(read_l(picture) - l_of(y))
    assert error.mean() < 0.1
    assert error[l_of(y) > DARK].max() < 0.3


def test_a_profile_that_says_srgb_changes_nothing():
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = images.read(with_profile(Image.fromarray(rgb), srgb))
    assert np.array_equal(picture.pixels[0].permute(1, 2, 0).numpy(), rgb)


def test_a_profile_of_another_kind_than_the_picture_is_left_aside():
    picture = images.read(with_profile(Image.fromarray(RAMP), wide_profile("adobe"), "TIFF"))
    assert np.array_equal(picture.pixels[0, 0].numpy(), RAMP)


@pytest.mark.parametrize("icc", [b"rubbish" * 40, grey_profile(1.8)[:150], "words", 7])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_profile_that_cannot_be_used_is_left_aside_with_a_warning(mode, icc):
    image = Image.fromarray(RAMP) if mode != "I;16" else Image.fromarray(RAMP.astype(np.uint16))
    image = image.convert(mode) if image.mode != mode else image
    want = images.read(image).pixels
    image.info["icc_profile"] = icc
    with pytest.warns(images.ImageWarning, match=r"PIL image 256 x 3 has a colour profile .* sRGB"):
        picture = images.read(image)
    assert torch.equal(picture.pixels, want)


def test_colours_of_a_picture_with_a_damaged_profile_are_srgb():
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    damaged = bytearray(wide_profile("adobe"))
    damaged[len(damaged) // 2 :] = bytes(len(damaged) - len(damaged) // 2)
    with pytest.warns(images.ImageWarning, match="profile that cannot be used"):
        picture = images.read_colours(with_profile(Image.fromarray(rgb), bytes(damaged)))
    assert np.array_equal(picture.pixels[0].permute(1, 2, 0).numpy(), rgb)


def test_the_result_of_a_profiled_picture_says_srgb():
    result = deepcolor.colorize(with_profile(Image.fromarray(RAMP), grey_profile(1.8)), size=32)
    assert result.info["icc_profile"] == profiles.srgb_profile()
    moved = rgb_to_lab(torch.from_numpy(np.array(result)).permute(2, 0, 1) / 255)[0].numpy()
    want = l_of((RAMP / 255.0) ** (round(1.8 * 256) / 256))
    assert np.abs(moved - want).max() < 1.0


def test_colours_are_transferred_through_the_profile_of_their_picture(photograph):
    srgb = Image.fromarray(photograph)
    adobe = ImageCms.profileToProfile(
        srgb,
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(wide_profile("adobe"))),
    )
    plain = deepcolor.transfer_chroma(photograph, srgb)
    profiled = deepcolor.transfer_chroma(photograph, with_profile(adobe, wide_profile("adobe")))
    assert np.abs(plain.astype(int) - profiled).mean() < 1.5
