import copy

import numpy as np
import pytest
import skimage.color
import torch
from PIL import Image

import deepcolor
from deepcolor import images, inference
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Guidance, Hints, Reference, Statistics
from deepcolor.inference import memory, network
from deepcolor.models.lite import Lite
from deepcolor.models.prediction import ChromaPrediction
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.pixels import workers

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
    assert (have - want).abs().max() < 0.2
    assert (have - want).abs().mean() < 0.01


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
    for result, kind in zip(results, (np.ndarray, Image.Image, torch.Tensor), strict=True):
        assert isinstance(result, kind)
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


@pytest.mark.parametrize("sides", [(300, 900), (900, 300), (333, 444), (3000, 4000), (50, 51)])
def test_the_network_sees_the_aspect_of_the_picture(sides):
    height, width = network.working_size(*sides, 192, grain=4)
    assert width / height == pytest.approx(sides[1] / sides[0], rel=0.03)  # whole squares of 4
    assert height * width == pytest.approx(192**2, rel=0.03)
    assert height % 4 == width % 4 == 0


def test_very_long_strips_do_not_blow_up_the_network():
    height, width = network.working_size(2, 100_000, 192, grain=4)
    assert height * width <= 8 * 192 * 32


def test_tiles_do_not_show(grey, monkeypatch):
    whole = deepcolor.colorize(grey)
    for pixels_a_tile, width in ((1000, 1 << 14), (1 << 16, 100), (700, 64)):
        monkeypatch.setattr(workers, "TILE_PIXELS", pixels_a_tile)
        monkeypatch.setattr(workers, "TILE_WIDTH", width)
        result = deepcolor.colorize(grey)
        assert np.abs(result.astype(int) - whole).max() <= 1
        assert (result != whole).mean() < 1e-3  # float rounding on the edge between two levels


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


def test_theworking_size_can_be_chosen(grey, lite):
    sizes = []
    hook = lite.network.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
    for size in (64, 128):
        deepcolor.Predictor(lite, "cpu", size=size)(grey)
        deepcolor.Predictor(lite, "cpu")(grey, size=size)
    hook.remove()
    assert sizes == [64, 64, 128, 128]
    with pytest.raises(ValueError, match="size must be at least 1"):
        deepcolor.Predictor(lite, "cpu", size=0)


def test_unknown_devices_and_models_are_refused():
    for device in ("gpu", "cuda:99"):
        with pytest.raises(ValueError, match=f"'{device}' is not available here"):
            deepcolor.Predictor(device=device)
    with pytest.raises(ValueError, match=r"there are: .*lite\.photos"):
        deepcolor.colorize(np.zeros((4, 4), dtype=np.uint8), model="dreamy")


def chroma(result: np.ndarray) -> np.ndarray:
    return np.hypot(*np.moveaxis(skimage.color.rgb2lab(result)[..., 1:], -1, 0))


def test_saturation_scales_chroma_and_nothing_else(grey):
    plain = deepcolor.colorize(grey / 255)
    for saturation in (0.0, 0.5, 1.5):
        result = deepcolor.colorize(grey / 255, saturation=saturation)
        moved = np.abs(lightness(result) - lightness(plain))
        assert moved.max() < 0.05
        if saturation <= 1:
            error = np.abs(chroma(result) - saturation * chroma(plain))
            assert (error > 0.1).mean() < 0.15  # what the gamut had cut, and is whole now
        else:
            assert chroma(result).mean() > 1.2 * chroma(plain).mean()
    assert chroma(deepcolor.colorize(grey, saturation=0)).max() < 0.5


def test_a_lower_temperature_is_nearer_to_the_likeliest_and_further_from_the_mean(grey):
    def ab(temperature: float) -> np.ndarray:
        return skimage.color.rgb2lab(deepcolor.colorize(grey, temperature=temperature))[..., 1:]

    mean, *between, mode = [ab(temperature) for temperature in (1.0, 0.7, 0.38, 0.1, 0.0)]
    to_mode = [np.abs(mode - one).mean() for one in (mean, *between)]
    to_mean = [np.abs(mean - one).mean() for one in (*between, mode)]
    assert all(np.diff(to_mode) < 0)
    assert all(np.diff(to_mean) > 0)
    assert np.abs(mode - mean).mean() > 3


def test_without_a_temperature_it_is_the_models(grey, lite):
    own = deepcolor.colorize(grey)
    assert np.array_equal(deepcolor.colorize(grey, temperature=lite.temperature), own)


def test_temperature_leaves_the_model_as_it_was(grey, lite):
    before = lite.temperature
    deepcolor.colorize(grey, model=lite, temperature=0.9)
    assert lite.temperature == before


def test_best_quality_is_indifferent_to_mirrors(grey):
    best = deepcolor.colorize(grey, quality="best")
    mirrored = deepcolor.colorize(grey[:, ::-1].copy(), quality="best")[:, ::-1]
    assert np.abs(best.astype(int) - mirrored).max() <= 1


def test_qualities_do_what_they_say(grey, lite):
    sizes = []
    hook = lite.network.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
    for quality in ("fast", "balanced", "best"):
        deepcolor.colorize(grey, model=lite, quality=quality)
    hook.remove()
    assert sizes == [160, 192, 192, 192, 288, 288]  # 144, padded to the stride


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"saturation": -1}, "saturation must be 0"),
        ({"saturation": float("nan")}, "saturation must be 0"),
        ({"temperature": 1.5}, r"temperature must lie in \[0, 1\]"),
        ({"saturation": 1e30}, "saturation must be 0 .* at most 100; got 1e"),
        ({"saturation": float("inf")}, "saturation must be 0"),
        ({"temperature": float("nan")}, r"temperature must lie in"),
        ({"size": 100_000}, "size must be at most 4096 pixels, got 100000: it is the side that"),
        ({"size": 0}, "size must be at least 1"),
        ({"quality": "superb"}, "no quality named 'superb'; there are: fast, balanced, best"),
    ],
)
def test_impossible_controls_are_refused(controls, message, grey):
    with pytest.raises(ValueError, match=message):
        deepcolor.colorize(grey, **controls)


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"saturation": "1"}, "saturation must be a number, got '1'"),
        ({"temperature": "warm"}, "temperature must be a number, got 'warm'"),
        ({"size": 64.5}, "size must be a whole number, got 64.5"),
    ],
)
def test_controls_of_a_wrong_kind_are_refused(controls, message, grey):
    with pytest.raises(TypeError, match=message):
        deepcolor.colorize(grey, **controls)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38, 1e5])
@pytest.mark.parametrize("as_floats", [False, True])
def test_what_is_no_colour_is_refused_and_never_shown_as_grey(value, as_floats, grey):
    model = Certain()
    model.forward = lambda luminance, guidance=None: torch.full(
        (len(luminance), 2, *luminance.shape[2:]), value
    )
    with pytest.raises(
        ValueError, match=r"Certain answered .*, where colours end at 130: its weig"
    ):
        deepcolor.colorize(grey / 255 if as_floats else grey, model=model)


@pytest.mark.parametrize("part", ["head.weight", "head.bias"])
@pytest.mark.parametrize("value", [3e38, float("nan")])
def test_weights_beyond_measure_are_refused(part, value, grey, lite):
    model = copy.deepcopy(lite)
    with torch.no_grad():
        model.network.get_parameter(part).fill_(value)
    with pytest.raises(ValueError, match=r"Lite answered NaN, .*weights are damaged"):
        deepcolor.Predictor(model, "cpu")(grey)


class Certain(deepcolor.Colorizer):
    """A regression model: everything is (20, 30)."""

    size = 64

    def __init__(self) -> None:
        super().__init__(lr=1e-3, weight_decay=0)
        self.network = torch.nn.Identity()

    def forward(self, luminance, guidance=None):
        return (
            torch.tensor([20.0, 30])
            .view(1, 2, 1, 1)
            .expand(len(luminance), 2, *luminance.shape[2:])
        )

    def loss(self, luminance, ab):
        return {}


def test_temperature_is_refused_where_there_is_no_distribution(grey):
    with pytest.raises(TypeError, match="Certain predicts no distribution"):
        deepcolor.colorize(grey, model=Certain(), temperature=0.5)


def test_chroma_reaches_the_picture_as_the_model_says_it(grey):
    result = deepcolor.colorize(grey / 255, model=Certain())
    lab = skimage.color.rgb2lab(result)
    shown = (lab[..., 0] > 40) & (lab[..., 0] < 75)  # where sRGB shows that colour
    assert np.abs(lab[shown][:, 1:] - [20, 30]).max() < 0.05


def test_transferred_chroma_is_the_others_on_ones_own_lightness(photograph):
    grey = np.round(lightness_grey(photograph)).astype(np.uint8)
    result = deepcolor.transfer_chroma(grey, photograph)
    error = np.abs(skimage.color.rgb2lab(result) - skimage.color.rgb2lab(photograph))
    assert error.mean(axis=(0, 1)).max() < 0.5  # rounding to 8 bits, and grey levels
    brighter = np.clip(photograph.astype(int) + 40, 0, 255).astype(np.uint8)
    moved = deepcolor.transfer_chroma(grey, brighter)
    assert np.abs(lightness(moved) - lightness(np.stack([grey] * 3, -1))).max() < MAX_L


def lightness_grey(rgb: np.ndarray) -> np.ndarray:
    """Grey levels of the lightness of a picture."""
    levels = lightness(np.stack([np.arange(256, dtype=np.uint8)[None]] * 3, -1))[0]
    return np.interp(lightness(rgb), levels, np.arange(256))


@pytest.mark.parametrize("side", [64, 200, 300])
def test_chroma_of_another_size_is_fitted(side, photograph):
    grey = np.round(lightness_grey(photograph)).astype(np.uint8)
    other = Image.fromarray(photograph).resize((side, side), Image.Resampling.BICUBIC)
    result = deepcolor.transfer_chroma(Image.fromarray(grey), other)
    error = np.abs(skimage.color.rgb2lab(np.asarray(result)) - skimage.color.rgb2lab(photograph))
    assert error[..., 1:].mean() < (6 if side == 64 else 3)
    assert np.abs(lightness(np.asarray(result)) - lightness(np.stack([grey] * 3, -1))).max() < MAX_L


def test_transfer_keeps_the_kind_and_depth_of_the_grey_picture(photograph):
    level = photograph[..., 1].astype(np.uint16) * 257
    result = deepcolor.transfer_chroma(level, Image.fromarray(photograph))
    assert result.dtype == np.uint16
    assert result.shape == (256, 256, 3)
    grey = np.stack([level] * 3, -1)
    assert np.abs(lightness(result) - lightness(grey)).max() < 0.01
    none = deepcolor.transfer_chroma(photograph, photograph, saturation=0)
    assert chroma(none).max() < 0.5


def test_transfer_refuses_another_framing(photograph):
    with pytest.raises(deepcolor.ImageError, match="same framing"):
        deepcolor.transfer_chroma(photograph, photograph[:, :200])
    with pytest.raises(deepcolor.ImageError, match="hold pixels"):
        deepcolor.transfer_chroma(photograph, photograph[:0])


def test_out_of_memory_goes_on_smaller_then_on_the_cpu_and_says_so(grey, lite, monkeypatch):
    """A stand-in GPU: the meta of one is faked, its memory ends after `fails` calls."""
    want = deepcolor.Predictor(lite, "cpu")(grey)
    for fails, size in ((1, 96), (2, 192)):
        predictor_ = deepcolor.Predictor(lite, "cpu")
        calls = []
        real = memory.predict_grid

        def short(model, read, full, side, *rest, calls=calls, fails=fails, real=real):
            calls.append(side)
            if len(calls) <= fails:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return real(model, read, full, side, *rest)

        monkeypatch.setattr(memory, "predict_grid", short)
        monkeypatch.setattr(memory, "has_less_memory", lambda device: True)
        with pytest.warns(RuntimeWarning, match="out of memory on cpu at working size"):
            result = predictor_(grey)
        monkeypatch.setattr(memory, "predict_grid", real)
        assert calls[-1] == size
        assert chroma(result).mean() > 3  # never a grey result
        if size == 192:
            assert np.array_equal(result, want)


@pytest.fixture
def crowded(lite, monkeypatch):
    """A predictor on a stand-in GPU without room for the network, nor for a copy of a weight."""
    real = memory.predict_grid
    gpu = torch.device("cpu", 0)

    def short(model, read, full, side, *rest):
        if model is crowded.model:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(model, read, full, side, *rest)

    def out_of_memory(self, memo):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16 MiB")

    monkeypatch.setattr(memory, "predict_grid", short)
    monkeypatch.setattr(memory, "has_less_memory", lambda device: device == gpu)
    monkeypatch.setattr(torch.nn.Parameter, "__deepcopy__", out_of_memory)
    crowded = deepcolor.Predictor(Lite(), "cpu")
    crowded.model.start_from(lite)
    crowded.device = gpu
    return crowded


@pytest.mark.filterwarnings("ignore:out of memory")
def test_the_copy_for_the_cpu_takes_no_gpu_memory_and_is_made_once(grey, crowded, monkeypatch):
    copies = []
    real = memory.copy.deepcopy

    def counted(value, *rest):
        if isinstance(value, Lite):
            copies.append(value)
        return real(value, *rest)

    monkeypatch.setattr(memory.copy, "deepcopy", counted)
    want = deepcolor.Predictor(crowded.model, "cpu").model
    first, again = crowded(grey), crowded(grey)
    assert np.array_equal(first, again)
    assert len(copies) == 1
    with torch.no_grad():
        want.network.head.bias += 5 * torch.randn(313)  # trained on since
    assert not np.array_equal(crowded(grey), first)
    assert len(copies) == 2


def test_no_map_of_the_uncertainty_is_made_that_nobody_asked_for(grey, lite, monkeypatch):
    made = []
    zeros = torch.zeros

    def noting(*size, **options):
        made.append(tuple(size))
        return zeros(*size, **options)

    predictor_ = deepcolor.Predictor(lite, "cpu")
    monkeypatch.setattr(torch, "zeros", noting)
    predictor_(grey)
    assert (1, *grey.shape[:2]) not in made
    predictor_.uncertainty(grey)
    assert (1, *grey.shape[:2]) in made


def test_out_of_memory_everywhere_is_an_error(grey, lite, monkeypatch):
    def short(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(memory, "predict_grid", short)
    with pytest.raises(deepcolor.ImageError, match=r"array \(256, 256\) uint8: not enough memory"):
        deepcolor.Predictor(lite, "cpu")(grey)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.7 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    ],
)
def test_memory_that_ends_on_the_cpu_is_said_in_words(error, grey, lite, monkeypatch):
    def short(*_):
        raise error

    monkeypatch.setattr(memory, "predict_grid", short)
    with pytest.raises(
        deepcolor.ImageError, match="not enough memory to colour it; a smaller size="
    ):
        deepcolor.Predictor(lite, "cpu")(grey)


def test_other_errors_stay_what_they_are(grey, lite, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(memory, "predict_grid", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        deepcolor.Predictor(lite, "cpu")(grey)


def test_half_precision_changes_colours_little(grey):
    plain = deepcolor.Predictor(device="cpu")(grey)
    half = deepcolor.Predictor(device="cpu", dtype=torch.bfloat16)(grey)
    ab = [skimage.color.rgb2lab(result)[..., 1:] for result in (plain, half)]
    assert np.abs(ab[0] - ab[1]).mean() < 1
    moved = np.abs(lightness(half) - lightness(np.stack([grey] * 3, -1)))
    assert moved.max() <= MAX_L
    with pytest.raises(ValueError, match="dtype must be"):
        deepcolor.Predictor(device="cpu", dtype=torch.int8)


class AnswersHints(Certain):
    """Answers with the hints it was given, one square of 4 x 4 pixels at a time."""

    stride, grain, takes = 32, 4, frozenset({"hints", "reference", "statistics"})

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Guidance] = []

    def predict(self, luminance, guidance=None, memory=None):
        given = self.check_input(luminance, guidance)
        self.given.append(given)
        coarse = torch.nn.functional.avg_pool2d(luminance, 4)
        ab = coarse.new_zeros(len(coarse), 2, *coarse.shape[-2:])
        if given.hints is not None:
            ab = torch.nn.functional.avg_pool2d(given.hints.ab * given.hints.mask, 4)
        return ChromaPrediction(model="AnswersHints", luminance=coarse, chroma=ab)


def dots(height: int, width: int, *places: tuple[int, int]) -> Hints:
    """Hints of (60, -40) at single pixels."""
    mask = torch.zeros(1, 1, height, width)
    for row, column in places:
        mask[..., row, column] = 1
    return Hints(mask * torch.tensor([60.0, -40]).view(1, 2, 1, 1), mask)


@pytest.mark.parametrize("sides", [(300, 420), (37, 211), (40, 30)])
def test_no_hint_of_a_single_pixel_is_lost(sides):
    height, width = sides
    places = [(0, 0), (height - 1, width - 1), (height // 2, width // 3), (7, 29)]
    model = AnswersHints()
    for place in places:
        inference.predict_ab(model, torch.zeros(1, 1, *sides), guidance=dots(*sides, place))
        taken = model.given.pop().hints
        mask = taken.mask[0, 0].bool()
        assert mask.any()
        assert (taken.ab[0][:, mask] == torch.tensor([[60.0], [-40]])).all()
        assert not taken.ab[0][:, ~mask].any()
        small = network.working_size(*sides, model.size, grain=4)
        rows, columns = mask[: small[0], : small[1]].nonzero().float().add(0.5).T
        assert abs(rows.mean() / small[0] - (place[0] + 0.5) / height) < 1 / min(small[0], height)
        assert abs(columns.mean() / small[1] - (place[1] + 0.5) / width) < 1 / min(small[1], width)


def test_hints_in_one_square_are_averaged_and_others_left_out():
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, 0, 0, :2] = 1
    mask[1, 0, 5, 5] = 0.5
    ab = torch.full((2, 2, 8, 8), 99.0)  # what the mask leaves out has no say
    ab[0, :, 0, 0], ab[0, :, 0, 1], ab[1, :, 5, 5] = 10, 20, 7
    small = Hints(ab, mask).resized((2, 2))
    assert small.mask.flatten().tolist() == [1, 0, 0, 0, 0, 0, 0, 0.5]
    assert small.ab[:, 0].flatten().tolist() == [15, 0, 0, 0, 0, 0, 0, 7]
    grown = small.resized((4, 4))
    assert grown.mask[0, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    whole = dots(8, 8, (3, 3)).resized((8, 8))
    assert torch.equal(whole.mask, dots(8, 8, (3, 3)).mask)


def test_each_working_size_and_mirror_gets_the_hints_at_their_place(grey):
    model = AnswersHints()
    given = dots(256, 256, (30, 200), (128, 5))
    plain = deepcolor.colorize(grey, model=model, guidance=given, quality="best")
    assert [h.hints.mask.shape[-1] for h in model.given] == [64, 64, 96, 96]
    for one, mirrored in zip(model.given[::2], model.given[1::2], strict=True):
        assert torch.equal(one.hints.mask, mirrored.hints.mask.flip(-1))
        assert torch.equal(one.hints.ab, mirrored.hints.ab.flip(-1))
    reds = skimage.color.rgb2lab(plain)[..., 1]
    assert reds[26:34, 196:204].mean() > 2  # coloured where given, and nowhere far from there
    assert np.abs(reds[160:]).max() < 1


def test_hints_are_padded_as_the_luminance_is():
    model = AnswersHints()  # 100 x 60 at 64: 84 x 48, padded to 96 x 64
    given = dots(100, 60, (99, 59))
    inference.predict_ab(model, torch.zeros(1, 1, 100, 60), guidance=given)
    taken = model.given[0].hints
    assert taken.mask.shape[-2:] == (96, 64)
    assert taken.mask.sum() == (96 - 84 + 1) * (64 - 48 + 1)


def test_guidance_for_the_whole_picture_passes_as_it_is(grey):
    model = AnswersHints()
    reference = Reference(60 * torch.rand(1, 3, 20, 30))
    deepcolor.Predictor(model, "cpu")(grey, reference)
    assert torch.equal(model.given[0].reference.lab, reference.lab)
    statistics = Statistics(saturation=torch.tensor([[0.3]]))
    both = Guidance(hints=dots(256, 256, (9, 9)), statistics=statistics)
    deepcolor.colorize(grey, model=model, guidance=both)
    assert torch.equal(model.given[1].statistics.saturation, statistics.saturation)
    assert model.given[1].statistics.histogram is None
    assert model.given[1].hints.mask.shape == (1, 1, 64, 64)
    assert model.given[1].hints.mask.sum() == 1


def test_a_list_of_pictures_takes_a_list_of_guidance(grey):
    model = AnswersHints()
    deepcolor.colorize([grey, grey[:100]], model=model, guidance=[None, dots(100, 256, (5, 5))])
    assert not model.given[0].kinds
    assert model.given[1].hints.mask.any()
    for wrong in (dots(256, 256, (5, 5)), [None]):
        with pytest.raises(ValueError, match="a list of 2 pictures needs a list of as many"):
            deepcolor.colorize([grey, grey], model=model, guidance=wrong)


def test_guidance_that_does_not_fit_is_refused(grey):
    with pytest.raises(TypeError, match="Lite takes no hints with hints=False"):
        deepcolor.colorize(grey, model=Lite(hints=False), guidance=dots(256, 256, (5, 5)))
    with pytest.raises(TypeError, match="guidance must be a Guidance or one of Hints"):
        deepcolor.colorize(grey, model=AnswersHints(), guidance=[None])
    for sides in ((64, 64), (256, 255), (128, 256)):
        with pytest.raises(ValueError, match=r"need a mask \(1, 1, 256, 256\), got"):
            deepcolor.colorize(grey, model=AnswersHints(), guidance=dots(*sides, (5, 5)))
    two = torch.zeros(2, 1, 256, 256)
    with pytest.raises(ValueError, match=r"need a mask \(1, 1, 256, 256\), got \(2, 1"):
        deepcolor.colorize(
            grey, model=AnswersHints(), guidance=Hints(torch.cat([two, two], 1), two)
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, 1e3])
def test_hints_that_are_no_colours_are_refused(value, grey):
    given = dots(256, 256, (30, 200))
    given.ab[..., 30, 200] = value
    for guidance in (given, Guidance(hints=given)):
        with pytest.raises(ValueError, match=r"hints.ab must be CIELAB units.* end at 130; got \["):
            deepcolor.colorize(grey, model=AnswersHints(), guidance=guidance)
    with pytest.raises(ValueError, match=r"hints.ab must be CIELAB units"):
        deepcolor.suggest_hints(grey, 1, guidance=given)
    with pytest.raises(ValueError, match=r"reference\.lab must be CIELAB units"):
        deepcolor.colorize(grey, model=AnswersHints(), guidance=Reference(given.ab[:, [0, 0, 1]]))


@pytest.mark.parametrize("value", [float("nan"), -1.0, 255.0, float("inf")])
def test_masks_and_statistics_out_of_range_are_refused(value, grey):
    given = dots(256, 256, (30, 200))
    given.mask[..., 30, 200] = value
    with pytest.raises(ValueError, match=r"the mask of hints must lie in \[0, 1\]"):
        deepcolor.colorize(grey, guidance=given)
    if value == value:  # NaN says nothing of that picture
        with pytest.raises(ValueError, match=r"saturation must lie in \[0, 1\]"):
            deepcolor.colorize(
                grey, model=AnswersHints(), guidance=Statistics(saturation=torch.tensor([[value]]))
            )


def test_what_the_mask_leaves_out_may_hold_anything(grey):
    given = dots(256, 256, (30, 200))
    noisy = Hints(given.ab.masked_fill(given.mask == 0, 1e9), given.mask)
    assert np.array_equal(*(deepcolor.colorize(grey, guidance=one) for one in (given, noisy)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, ">f4"])
def test_hints_may_be_arrays(dtype, grey):
    given = dots(256, 256, (30, 200), (99, 12))
    arrays = Hints(given.ab.numpy().astype(dtype), given.mask.numpy().astype(bool))
    assert isinstance(arrays.ab, torch.Tensor)
    assert np.array_equal(*(deepcolor.colorize(grey, guidance=one) for one in (given, arrays)))
    flipped = Hints(given.ab.numpy()[..., ::-1], np.broadcast_to(np.float32(1), given.mask.shape))
    assert torch.equal(flipped.ab, given.ab.flip(-1))


def test_hints_of_another_kind_are_refused_in_words():
    mask = torch.zeros(1, 1, 4, 4)
    for wrong, given in (([[1]], "list"), (np.full((1, 2, 4, 4), "red"), "ndarray <U3")):
        with pytest.raises(TypeError, match=rf"Hints.ab must be a tensor or .*, got {given}"):
            Hints(wrong, mask)


def test_a_hint_reaches_the_colours_of_siggraph17():
    model = SIGGRAPH17()
    x = torch.full((1, 1, 120, 90), 50.0)
    plain, given = (
        inference.predict_lab(model.eval(), x, 32, guidance=guidance)
        for guidance in (None, dots(120, 90, (61, 40)))
    )
    assert torch.equal(plain[:, :1], given[:, :1])
    assert not torch.equal(plain[:, 1:], given[:, 1:])


@pytest.fixture
def counted(lite):
    """The default, and how often its network ran."""
    runs = []
    hook = lite.network.register_forward_pre_hook(lambda *_: runs.append(1))
    yield deepcolor.Predictor(lite, "cpu"), runs
    hook.remove()


def test_colorize_is_predict_then_paint(counted, grey):
    predictor, runs = counted
    prediction = predictor.predict(grey)
    assert len(runs) == 1
    for controls in ({}, {"saturation": 1.4}, {"temperature": 0.1}):
        painted = predictor.paint(grey, prediction, **controls)
        assert len(runs) == 1  # the network did not run
        assert np.array_equal(painted, predictor(grey, **controls))
        runs.pop()
    given = dots(256, 256, (61, 40), (200, 90))
    painted = predictor.paint(grey, prediction.with_hints(given))
    assert len(runs) == 1
    assert np.array_equal(painted, predictor(grey, given))
    assert np.array_equal(predictor.paint(grey, prediction.with_hints(None)), predictor(grey))


def test_hints_of_best_quality_are_spread_without_the_network_too(counted, grey):
    predictor, runs = counted
    prediction = predictor.predict(grey, quality="best")
    count, given = len(runs), dots(256, 256, (61, 40))
    painted = predictor.paint(grey, prediction.with_hints(given))
    assert len(runs) == count == 4
    assert np.array_equal(painted, predictor(grey, given, quality="best"))
    assert np.abs(painted.astype(int) - predictor(grey, quality="best")).max() > 3


def test_a_prediction_paints_other_sizes_of_the_same_picture_only(counted, grey):
    predictor, _ = counted
    prediction = predictor.predict(grey[:200])
    half = predictor.paint(grey[:200:2, ::2].copy(), prediction)
    assert half.shape == (100, 128, 3)
    assert chroma(half).mean() > 3
    for other in (grey, grey[:200, :200], np.stack([grey[:200]] * 3, -1)[:100]):
        with pytest.raises(deepcolor.ImageError, match="cannot be painted from a prediction"):
            predictor.paint(other, prediction)
    batch = torch.zeros(2, 1, 200, 256)
    with pytest.raises(deepcolor.ImageError, match="cannot be painted from a prediction"):
        predictor.paint(batch, prediction)


def test_painting_leaves_the_picture_that_was_read_as_it_was(counted, photograph):
    predictor, _ = counted
    from PIL import Image

    picture = images.read(Image.fromarray(photograph))
    before = picture.pixels.clone()
    prediction = predictor.predict(picture)
    vivid, plain = (predictor.paint(picture, prediction, saturation=s) for s in (1.5, 1.0))
    assert torch.equal(picture.pixels, before)
    assert np.array_equal(np.asarray(plain), predictor(photograph))
    assert not np.array_equal(np.asarray(vivid), np.asarray(plain))


def test_the_likeliest_colours_at_a_place_are_those_of_the_distribution(counted, grey):
    predictor, _ = counted
    for quality in ("balanced", "best"):
        prediction = predictor.predict(grey, quality=quality)
        probability = prediction.probability()
        assert torch.allclose(probability.sum(1), torch.ones(()), atol=1e-4)
        likely = prediction.likely(10, 20, k=5)
        assert likely.shape == (5, 3)
        assert torch.equal(likely[:, 2], probability[0, :, 10, 20].sort(descending=True)[0][:5])
        best = predictor.model.quantizer.centres[probability[0, :, 10, 20].argmax()]
        assert torch.equal(likely[0, :2], best)
    for place in ((-1, 0), (10, 999)):
        with pytest.raises(IndexError, match="lies outside 1 grids of"):
            prediction.likely(*place)
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.313"):
        prediction.likely(0, 0, k=314)


def test_what_a_prediction_cannot_tell_is_refused_in_words(grey):
    prediction = deepcolor.Predictor(Certain(), "cpu").predict(grey)
    with pytest.raises(TypeError, match="Certain predicts no distribution over ab bins"):
        prediction.likely(0, 0)
    with pytest.raises(TypeError, match="Certain predicts no distribution"):
        prediction.entropy()
    with pytest.raises(TypeError, match="Certain cannot take hints after its network has run"):
        prediction.with_hints(dots(256, 256, (5, 5)))
    two = torch.zeros(2, 1, 8, 8)
    hinted = deepcolor.Predictor(Lite(), "cpu").predict(grey)
    with pytest.raises(ValueError, match="hints for 2 pictures, the prediction is of 1"):
        hinted.with_hints(Hints(torch.cat([two, two], 1), two))


def test_a_copy_on_the_cpu_shares_nothing_with_the_model(lite):
    copied = memory.copy_on_cpu(lite)
    assert type(copied) is type(lite)
    for (name, one), (_, other) in zip(
        lite.state_dict().items(), copied.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name
        assert one.data_ptr() != other.data_ptr(), name
