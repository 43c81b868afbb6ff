import numpy as np
import pytest
import skimage.color
import torch
from PIL import Image

import deepcolor
from deepcolor import inference
from deepcolor.color import rgb_to_lab
from deepcolor.models.lite import Lite

MEAN_L, MAX_L = 0.2, 1.0  # what rounding to 8 bits may move lightness by


def lightness(rgb: np.ndarray) -> np.ndarray:
    return skimage.color.rgb2lab(rgb)[..., 0]


@pytest.fixture(scope="session")
def grey(photograph) -> np.ndarray:
    return np.array(Image.fromarray(photograph).convert("L"))


def test_a_photograph_gets_colour_that_resembles_the_truth(photograph, grey):
    result = deepcolor.colorize(grey)
    assert result.shape == (256, 256, 3)
    ab = skimage.color.rgb2lab(result)[..., 1:]
    assert np.hypot(*ab.reshape(-1, 2).T).mean() > 5  # not grey
    face = skimage.color.rgb2lab(result[60:90, 108:128])  # skin is orange: a and b above 0
    assert face[..., 1].mean() > 3
    assert face[..., 2].mean() > 3


def test_luminance_is_kept(grey):
    result = deepcolor.colorize(grey)
    moved = np.abs(lightness(result) - lightness(np.stack([grey] * 3, -1)))
    assert moved.mean() <= MEAN_L
    assert moved.max() <= MAX_L


def test_luminance_is_kept_exactly_in_floats(grey):
    result = deepcolor.colorize(grey.astype(np.float64) / 255)
    moved = np.abs(lightness(result) - lightness(np.stack([grey] * 3, -1) / 255))
    assert moved.max() < 0.05  # float32, and what the gamut test lets through


def test_a_coloured_picture_is_coloured_from_its_luminance(photograph):
    lab = rgb_to_lab(torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255)
    want = inference.predict_lab(deepcolor.load_model(), lab[:, :1])
    result = deepcolor.colorize(photograph.astype(np.float32) / 255)
    have = rgb_to_lab(torch.from_numpy(result).permute(2, 0, 1)[None])
    assert (have - want).abs().max() < 0.1


def test_every_kind_of_picture_gets_the_same_colours(grey, tmp_path):
    Image.fromarray(grey).save(tmp_path / "grey.png")
    want = deepcolor.colorize(grey)
    results = {
        "path": np.asarray(deepcolor.colorize(tmp_path / "grey.png")),
        "string": np.asarray(deepcolor.colorize(str(tmp_path / "grey.png"))),
        "pil": np.asarray(deepcolor.colorize(Image.fromarray(grey))),
        "rgb array": deepcolor.colorize(np.stack([grey] * 3, -1)),
        "single channel": deepcolor.colorize(grey[..., None]),
        "tensor": deepcolor.colorize(torch.from_numpy(grey)[None]).permute(1, 2, 0).numpy(),
        "batch": deepcolor.colorize(torch.from_numpy(grey)[None, None])[0].permute(1, 2, 0).numpy(),
        "floats": (deepcolor.colorize(grey / 255) * 255).round().astype(np.uint8),
    }
    for kind, result in results.items():
        difference = np.abs(result.astype(int) - want)
        assert difference.max() <= 1, kind
        assert difference.mean() < 0.01, kind


def test_paths_and_pil_images_come_back_as_pil(grey, tmp_path):
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for source in (tmp_path / "grey.png", Image.fromarray(grey)):
        assert isinstance(deepcolor.colorize(source), Image.Image)


def test_a_list_gives_a_list_each_in_its_kind(grey):
    results = deepcolor.colorize([grey, Image.fromarray(grey), torch.from_numpy(grey)[None]])
    assert [type(r) for r in results] == [np.ndarray, Image.Image, torch.Tensor]
    assert deepcolor.colorize([]) == []


@pytest.mark.parametrize("size", [(2, 2), (2, 500), (500, 2), (37, 53), (100, 1000)])
def test_any_size_comes_back_at_its_size(size):
    result = deepcolor.colorize(np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8))
    assert result.shape == (*size, 3)


def test_black_and_white_stay_what_they_are():
    for level in (0, 255):
        result = deepcolor.colorize(np.full((64, 64), level, dtype=np.uint8))
        assert np.abs(result.astype(int) - level).max() <= 1


def test_the_same_call_gives_the_same_bytes(grey):
    assert np.array_equal(deepcolor.colorize(grey), deepcolor.colorize(grey))


def test_a_batch_equals_its_singles(grey):
    batch = torch.from_numpy(np.stack([grey, grey[::-1], grey.T]).copy())[:, None]
    together = deepcolor.colorize(batch)
    for one, result in zip(batch, together, strict=True):
        alone = deepcolor.colorize(one)
        assert (alone.int() - result.int()).abs().max() <= 1


def test_the_network_sees_the_aspect_of_the_picture():
    x, (height, width) = inference._fit(torch.rand(1, 1, 300, 900) * 100, 192, 32)
    assert width / height == pytest.approx(3, rel=0.02)
    assert height * width == pytest.approx(192**2, rel=0.02)
    assert x.shape[-2] % 32 == x.shape[-1] % 32 == 0
    assert (x[..., height:, :width] == x[..., height - 1 : height, :width]).all()


def test_very_long_strips_do_not_blow_up_the_network():
    x, _ = inference._fit(torch.rand(1, 1, 2, 100_000) * 100, 192, 32)
    assert x.numel() <= 8 * 192 * 32


def test_strips_do_not_show(grey, monkeypatch):
    whole = deepcolor.colorize(grey)
    monkeypatch.setattr(inference, "STRIP_PIXELS", 1000)
    assert np.array_equal(deepcolor.colorize(grey), whole)


def test_a_predictor_takes_a_model_in_memory(grey):
    model = Lite()
    predictor = deepcolor.Predictor(model, device="cpu")
    assert predictor.model is model
    assert not model.training
    assert predictor(grey).shape == (256, 256, 3)


def test_a_predictor_takes_a_weights_file(grey, lite, tmp_path):
    path = deepcolor.save_model(lite, tmp_path / "mine.safetensors")
    assert np.array_equal(deepcolor.Predictor(path, "cpu")(grey), deepcolor.colorize(grey))


def test_a_weights_file_that_changed_is_read_again(grey, tmp_path):
    path = tmp_path / "mine.safetensors"
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = Lite()
        deepcolor.save_model(model, path)
        results.append(deepcolor.colorize(grey, model=path))
        assert np.array_equal(results[-1], deepcolor.colorize(grey, model=model))
    assert not np.array_equal(*results)


def test_the_working_size_can_be_chosen(grey, lite):
    sizes = []
    hook = lite.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[-1]))
    for size in (64, 128):
        deepcolor.Predictor(lite, "cpu", size=size)(grey)
    hook.remove()
    assert sizes == [64, 128]
    with pytest.raises(ValueError, match="size must be at least 1"):
        deepcolor.Predictor(lite, "cpu", size=0)


def test_unknown_devices_and_models_are_refused():
    for device in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=f"'{device}' is not available here"):
            deepcolor.Predictor(device=device)
    with pytest.raises(ValueError, match=r"there are: .*lite\.photos"):
        deepcolor.colorize(np.zeros((4, 4), dtype=np.uint8), model="dreamy")
