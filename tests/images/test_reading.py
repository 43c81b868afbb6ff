import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import deepcolor
from deepcolor import images

FULL = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}


def red(picture: images.Picture) -> torch.Tensor:
    """A stand-in result: red at the picture's size."""
    batch, _, height, width = picture.pixels.shape
    result = torch.zeros(batch, 3, height, width)
    result[:, 0] = FULL[picture.depth]
    return result.to(picture.depth)


def hwc(picture: images.Picture) -> np.ndarray:
    return picture.pixels[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_modes_of_eight_bits_are_read_as_what_they_show_and_come_back_as_rgb(mode, photograph):
    source = Image.fromarray(photograph)
    if mode == "LAB":
        image = Image.frombytes("LAB", (256, 256), photograph.tobytes())
    else:
        image = source.convert(mode)
    picture = images.read(image)
    want = np.asarray(image.convert("L" if mode in "1L" else "RGB")).reshape(256, 256, -1)
    assert np.array_equal(hwc(picture), want)
    assert picture.depth == torch.uint8
    assert picture.give_back(red(picture)).mode == "RGB"


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_alpha_comes_back_bit_for_bit(mode, photograph):
    alpha = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8))
    image = Image.fromarray(photograph).convert({"L": "L", "P": "P", "R": "RGB"}[mode[0]])
    image.putalpha(alpha)
    if mode.endswith("a"):
        image = image.convert(mode)
    assert image.mode == mode
    picture = images.read(image)
    result = picture.give_back(red(picture))
    assert result.mode == "RGBA"
    assert result.getchannel("A").tobytes() == alpha.tobytes()


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_stays_transparent(mode):
    image = Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode)
    image.putpixel((0, 0), {"P": 3, "L": 7, "RGB": (1, 2, 3)}[mode])
    image.info["transparency"] = image.getpixel((0, 0))
    picture = images.read(image)
    result = picture.give_back(red(picture))
    assert result.getpixel((0, 0))[3] == 0
    assert result.getpixel((1, 1))[3] == 255


@pytest.mark.parametrize(
    ("mode", "white", "depth"),
    [
        ("I;16", 65535, torch.uint16),
        ("I;16B", 65535, torch.uint16),
        ("I", 65535, torch.uint16),
        ("I", 255, torch.uint8),
        ("F", 1.0, torch.float32),
        ("F", 255.0, torch.float32),
        ("F", 65535.0, torch.float32),
    ],
)
def test_deep_grey_modes_keep_their_depth(mode, white, depth):
    levels = np.linspace(0, white, 40).reshape(5, 8)
    kind = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    image = Image.frombytes(mode, (8, 5), levels.astype(kind).tobytes())
    picture = images.read(image)
    assert picture.depth == depth
    unit = hwc(picture)[..., 0].astype(float) / FULL[depth]
    assert np.allclose(unit, levels / white, atol=1 / white if white > 1 else 1e-6)
    result = picture.give_back(red(picture))
    assert result.mode == "RGB"
    assert result.getpixel((0, 0)) == (255, 0, 0)
    if depth == torch.uint8:
        assert result.deep is None
    else:
        assert result.deep.dtype == (np.uint16 if depth == torch.uint16 else np.float32)
        assert result.deep[0, 0].tolist() == [white, 0, 0]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
def test_arrays_come_back_as_arrays_of_their_dtype(shape, dtype):
    white = {"u1": 255, "u2": 65535}.get(np.dtype(dtype).str[1:], 1)
    array = (np.random.default_rng(0).random(shape) * white).astype(dtype)
    picture = images.read(array)
    channels = array.reshape(5, 7, -1).shape[2]
    grey = array.reshape(5, 7, -1)[..., : 1 if channels < 3 else 3]
    assert np.allclose(hwc(picture).astype(float), grey.astype(float))
    result = picture.give_back(red(picture))
    assert result.shape == (5, 7, 4 if channels in (2, 4) else 3)
    assert result.dtype == array.dtype
    assert result[0, 0, :3].tolist() == [white, 0, 0]
    if channels in (2, 4):
        assert np.array_equal(result[..., 3], array[..., -1])


SHAPES = [(5, 7), (1, 5, 7), (3, 5, 7), (4, 5, 7), (1, 1, 5, 7), (4, 3, 5, 7), (2, 4, 5, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64]
)
def test_tensors_come_back_as_tensors_of_their_dtype(shape, dtype):
    tensor = torch.rand(shape).mul(FULL.get(dtype, 1)).to(dtype)
    picture = images.read(tensor)
    result = picture.give_back(red(picture))
    channels = 4 if len(shape) > 2 and shape[-3] == 4 else 3
    assert result.shape == (*shape[:-3], channels, 5, 7)
    assert result.dtype == dtype
    if channels == 4:
        assert torch.equal(result[..., 3, :, :], tensor[..., 3, :, :])


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 9), st.integers(0, 9), st.just(3))))
def test_what_is_read_and_given_back_unchanged_is_unchanged(array):
    picture = images.read(array)
    assert np.array_equal(picture.give_back(picture.pixels), array)


def test_what_was_given_is_never_written_to(photograph):
    before = photograph.copy()
    deepcolor.colorize(photograph)
    image = Image.fromarray(photograph)
    deepcolor.colorize(image)
    tensor = torch.from_numpy(photograph.copy()).permute(2, 0, 1)
    deepcolor.colorize(tensor)
    assert np.array_equal(photograph, before)
    assert np.array_equal(np.asarray(image), before)
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), before)


def test_arrays_that_torch_cannot_wrap_are_read():
    frozen = np.full((4, 4), 0.5, dtype=np.float32)
    frozen.flags.writeable = False
    assert images.read(frozen).pixels.shape == (1, 1, 4, 4)
    strided = np.zeros((8, 8, 3), dtype=np.uint8)[::-2, ::2]
    assert images.read(strided).pixels.shape == (1, 3, 4, 4)


def test_bytes_and_open_files_are_read_as_the_path_is(tmp_path, photograph):
    path = tmp_path / "photo.png"
    Image.fromarray(photograph).save(path)
    want = hwc(images.read(path))
    data = path.read_bytes()
    with path.open("rb") as file:
        sources = [str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        for source in sources:
            assert np.array_equal(hwc(images.read(source)), want)
    with path.open("rb") as file:
        file.seek(0, io.SEEK_END)
        with pytest.raises(deepcolor.ImageError, match=r"photo\.png is empty"):
            images.read(file)
    (tmp_path / "text.txt").write_text("words")
    with (tmp_path / "text.txt").open() as file, pytest.raises(TypeError, match="mode 'rb'"):
        images.read(file)


ZEROS = np.zeros((4, 4))
BAD = {
    "integers": (np.zeros((4, 4), dtype=np.int32), TypeError, "int32.*uint8, uint16, or floating"),
    "complex": (np.zeros((4, 4), dtype=complex), TypeError, "complex128"),
    "truths": (np.zeros((4, 4), dtype=bool), TypeError, "bool"),
    "flat": (np.zeros(9, dtype=np.uint8), ValueError, r"\(H, W, 1 to 4\)"),
    "channels_first": (np.zeros((3, 9, 9), dtype=np.uint8), ValueError, r"\(H, W, 1 to 4\)"),
    "nan": (np.full((4, 4), np.nan), ValueError, "NaN"),
    "infinite": (np.full((4, 4), np.inf), ValueError, "infinity"),
    "bytes_as_floats": (np.full((4, 4), 200.0), ValueError, r"\[0, 1\].*divide by 255"),
    "negative": (np.full((4, 4), -0.5), ValueError, r"\[0, 1\]"),
    "long_tensor": (torch.zeros(3, 4, 4, dtype=torch.int64), TypeError, "int64"),
    "channels_last_tensor": (torch.zeros(5, 4, 3), ValueError, r"\(C, H, W\)"),
    "empty_batch": (torch.zeros(0, 3, 4, 4), ValueError, "batch is empty"),
    "nan_tensor": (torch.full((3, 4, 4), float("nan")), ValueError, "NaN"),
    "bytes_tensor": (torch.full((3, 4, 4), 99.0), ValueError, "divide by 255"),
    "a_little_over": (np.full((4, 4), 1.01), ValueError, r"got \[1\.01, 1\.01\]; clip them first$"),
    "a_little_under": (torch.full((1, 4, 4), -0.01), ValueError, "; clip them first$"),
    "deep_floats": (np.full((4, 4), 65535.0), ValueError, "; divide by 65535 first$"),
    "nan_alpha": (np.dstack([ZEROS, np.full((4, 4), np.nan)]), ValueError, "^alpha of array.*NaN"),
    "alpha_of_bytes": (np.dstack([ZEROS] * 3 + [ZEROS + 255]), ValueError, "^alpha.*by 255"),
    "nan_alpha_tensor": (
        torch.tensor([0.0, 0, 0, float("nan")]).view(4, 1, 1),
        ValueError,
        "^alpha of tensor.*NaN",
    ),
    "masked": (np.ma.masked_greater(ZEROS.astype(np.uint8), -1), ValueError, "masked pixels.*fill"),
    "sparse": (torch.eye(4).to_sparse(), ValueError, r"sparse tensor.*\.to_dense\(\)"),
    "meta": (torch.zeros(4, 4, device="meta"), ValueError, "meta tensor.*holds no values"),
    "negative_levels": (Image.new("I", (4, 4), -5), ValueError, r"\[-5, -5\]"),
    "huge_levels": (Image.new("I", (4, 4), 70000), ValueError, r"70000|7e\+04"),
    "nan_levels": (Image.new("F", (4, 4), float("nan")), ValueError, "NaN"),
    "number": (3, TypeError, "int; give a path"),
    "nothing": (None, TypeError, "NoneType"),
    "no_bytes": (b"", ValueError, "is empty"),
    "rubbish": (b"rubbish", ValueError, "7 bytes is not an image"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_picture_is_refused_with_a_remedy(case):
    source, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        images.read(source)
    if error is ValueError:
        assert isinstance(caught.value, deepcolor.ImageError)


def test_matrices_and_arrays_with_nothing_masked_are_arrays(photograph):
    level = photograph[..., 0]
    for source in (level.view(np.matrix), np.ma.masked_array(level), level.view(np.recarray)):
        picture = images.read(source)
        assert np.array_equal(picture.pixels[0, 0].numpy(), level)
        assert type(picture.give_back(picture.canvas())) is np.ndarray


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (3, 0, 5), (1, 5, 0), (2, 3, 0, 5), (4, 0, 2)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_tensors_without_pixels_come_back_without_pixels(shape, dtype):
    picture = images.read(torch.zeros(shape, dtype=dtype))
    result = picture.give_back(picture.canvas())
    channels = 4 if shape[0] == 4 else 3
    assert result.shape == (*shape[:-3], channels, *shape[-2:])
    assert result.dtype == dtype


def test_files_that_cannot_be_read_are_named(tmp_path, photograph):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg: no such file"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        images.read(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(deepcolor.ImageError, match=r"text\.jpg is not an image"):
        images.read(tmp_path / "text.jpg")
    Image.fromarray(photograph).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:9000])
    with pytest.raises(deepcolor.ImageError, match=r"half\.png is damaged or truncated"):
        images.read(tmp_path / "half.png")


@pytest.mark.parametrize("kind", ["file", "pil", "array", "tensor"])
def test_pictures_over_the_limit_are_refused_before_memory_is_taken(kind, tmp_path):
    image = Image.new("L", (300, 200))
    image.save(tmp_path / "large.png")
    source = {
        "file": tmp_path / "large.png",
        "pil": image,
        "array": np.asarray(image),
        "tensor": torch.zeros(200, 300),
    }[kind]
    with pytest.raises(deepcolor.ImageError, match=r"too large.*max_pixels= raises it"):
        images.read(source, max_pixels=59_999)
    assert images.read(source, max_pixels=60_000).pixels.shape[-2:] == (200, 300)
    assert images.read(source, max_pixels=None).pixels.shape[-2:] == (200, 300)


def test_pillows_own_limit_is_not_ours_and_stays_as_it_was(tmp_path, monkeypatch):
    Image.new("1", (400, 300)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)  # twice that is an error in Pillow
    assert images.read(tmp_path / "large.png").pixels.shape[-2:] == (300, 400)
    assert Image.MAX_IMAGE_PIXELS == 50_000


def test_a_header_that_promises_too_much_is_refused_at_once(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = (200_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(deepcolor.ImageError, match=r"40,000 megapixels, the limit 500"):
        images.read(bytes(data))
