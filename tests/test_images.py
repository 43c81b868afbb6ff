import os
import stat

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deepcolor import images


def coloured(picture: images.Picture) -> torch.Tensor:
    """A stand-in result: red at the picture's size."""
    result = torch.zeros(picture.rgb.shape)
    result[:, 0] = 1
    return result


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_plain_pil_modes_are_read_as_rgb_and_come_back_as_rgb(mode, photograph):
    image = Image.fromarray(photograph).convert(mode)
    picture = images.read(image)
    want = np.asarray(image.convert("RGB"))
    assert np.array_equal(picture.rgb[0].permute(1, 2, 0).numpy(), want)
    assert picture.give_back(coloured(picture)).mode == "RGB"


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA"])
def test_alpha_comes_back_bit_for_bit(mode, photograph):
    alpha = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8))
    image = Image.fromarray(photograph).convert({"LA": "L", "PA": "P", "RGBA": "RGB"}[mode])
    image.putalpha(alpha)
    assert image.mode == mode
    picture = images.read(image)
    result = picture.give_back(coloured(picture))
    assert result.mode == "RGBA"
    assert result.getchannel("A").tobytes() == alpha.tobytes()


def test_palette_transparency_is_kept():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.info["transparency"] = 0
    picture = images.read(image)
    result = picture.give_back(coloured(picture))
    assert result.getpixel((0, 0))[3] == 0
    assert result.getpixel((1, 1))[3] == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, photograph, tmp_path):
    image = Image.fromarray(photograph[:100])  # 256 wide, 100 high
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    picture = images.read(tmp_path / "turned.png")
    result = picture.give_back(coloured(picture))
    assert result.size == ((256, 100) if orientation < 5 else (100, 256))
    assert result.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_arrays_come_back_as_arrays_of_their_dtype(shape, dtype):
    array = np.full(shape, 200 if dtype == np.uint8 else 0.5, dtype=dtype)
    picture = images.read(array)
    result = picture.give_back(coloured(picture))
    assert result.shape == (5, 7, 3)
    assert result.dtype == dtype
    assert result[0, 0].tolist() == [255 if dtype == np.uint8 else 1, 0, 0]


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (3, 5, 7), (1, 1, 5, 7), (4, 3, 5, 7)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_tensors_come_back_as_tensors_of_their_dtype(shape, dtype):
    tensor = torch.full(shape, 1).to(dtype)
    picture = images.read(tensor)
    result = picture.give_back(coloured(picture))
    assert result.shape == ((*shape[:-3], 3, 5, 7) if len(shape) == 4 else (3, 5, 7))
    assert result.dtype == dtype


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9), st.just(3))))
def test_what_is_read_and_given_back_unchanged_is_unchanged(array):
    picture = images.read(array)
    assert np.array_equal(picture.give_back(picture.rgb / 255), array)


def test_reading_never_writes_to_what_was_given():
    array = np.full((4, 4), 0.5, dtype=np.float32)
    array.flags.writeable = False
    picture = images.read(array)
    picture.rgb.sum()
    strided = np.zeros((8, 8, 3), dtype=np.uint8)[::-2, ::2]
    assert images.read(strided).rgb.shape == (1, 3, 4, 4)


BAD = {
    "integers": (np.zeros((4, 4), dtype=np.int32), TypeError, "int32.*uint8, or floating"),
    "complex": (np.zeros((4, 4), dtype=complex), TypeError, "complex128"),
    "one_row": (np.zeros((1, 9), dtype=np.uint8), ValueError, "1 x 9.*2 x 2"),
    "empty": (np.zeros((0, 9, 3), dtype=np.uint8), ValueError, "0 x 9"),
    "flat": (np.zeros(9, dtype=np.uint8), ValueError, r"\(H, W, 3\)"),
    "channels_first": (np.zeros((3, 9, 9), dtype=np.uint8), ValueError, r"\(H, W, 3\)"),
    "rgba_array": (np.zeros((9, 9, 4), dtype=np.uint8), ValueError, r"\(H, W, 3\)"),
    "nan": (np.full((4, 4), np.nan), ValueError, "NaN"),
    "infinite": (np.full((4, 4), np.inf), ValueError, "infinity"),
    "bytes_as_floats": (np.full((4, 4), 200.0), ValueError, r"\[0, 1\].*divide by 255"),
    "negative": (np.full((4, 4), -0.5), ValueError, r"\[0, 1\]"),
    "long_tensor": (torch.zeros(3, 4, 4, dtype=torch.int64), TypeError, "int64"),
    "channels_last_tensor": (torch.zeros(4, 4, 3), ValueError, r"\(3, H, W\)"),
    "empty_batch": (torch.zeros(0, 3, 4, 4), ValueError, "batch is empty"),
    "nan_tensor": (torch.full((3, 4, 4), float("nan")), ValueError, "NaN"),
    "bytes_tensor": (torch.full((3, 4, 4), 99.0), ValueError, "divide by 255"),
    "tiny_pil": (Image.new("L", (1, 5)), ValueError, "5 x 1"),
    "sixteen_bit": (Image.new("I;16", (4, 4)), ValueError, "I;16.*modes that work"),
    "number": (3, TypeError, "int; give a path"),
    "nothing": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_picture_is_refused_with_a_remedy(case):
    source, error, message = BAD[case]
    with pytest.raises(error, match=message):
        images.read(source)


def test_files_that_cannot_be_read_are_named(tmp_path, photograph):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg: no such file"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        images.read(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.jpg is not an image"):
        images.read(tmp_path / "text.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ValueError, match=r"empty\.jpg is not an image"):
        images.read(str(tmp_path / "empty.jpg"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_truncated_files_are_refused(suffix, tmp_path, photograph):
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(photograph).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"cut\{suffix}"):
        images.read(path)


@pytest.mark.filterwarnings("ignore:Image size")
def test_pictures_too_large_for_pillow_are_refused(tmp_path, monkeypatch):
    Image.new("L", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"huge\.png is too large"):
        images.read(tmp_path / "huge.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".bmp"])
def test_saving_writes_the_format_of_the_suffix(suffix, tmp_path, photograph):
    path = images.save(Image.fromarray(photograph), tmp_path / f"out{suffix}")
    with Image.open(path) as image:
        assert image.size == (256, 256)
        error = np.asarray(image.convert("RGB")).astype(float) - photograph
    assert np.abs(error).mean() < 4
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, photograph, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")

    def fail(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        images.save(Image.fromarray(photograph), path)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_refused(tmp_path, photograph):
    with pytest.raises(ValueError, match=r"cannot write \.txt"):
        images.writable(tmp_path / "out.txt")
    with pytest.raises(ValueError, match="file without suffix"):
        images.writable(tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        images.writable(tmp_path / "nowhere" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        images.writable(tmp_path / "folder.png")
    with pytest.raises(ValueError, match="JPEG has no transparency"):
        images.save(Image.new("RGBA", (4, 4)), tmp_path / "out.jpg")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]
