"""What every model in MODELS keeps, without a skip."""

import copy

import pytest
import torch

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.guidance import KINDS, Guidance, Hints, Palette, Reference, Statistics
from deepcolor.inference import predict_ab, predict_lab
from deepcolor.models import MODELS, create_model, list_models
from deepcolor.models.prediction import DecodedPrediction
from deepcolor.weights import load_model, save_model

# All tests of a model run in a row, so that it is made once.
pytestmark = pytest.mark.parametrize("name", sorted(MODELS), scope="module")
SMALL = 64  # pixels: a multiple of every stride
STEPS = 24  # most take under eight; deep networks without normalization start slowly
SLOWER = {"som_mlp": 60}  # 9,109 parameters on a batch of noise: 51 steps
CLOSE = 1e-2  # summation order, in CIELAB units of up to 110
LESS_CLOSE = {"hwang_zhou16": 0.05}  # 0.012 seen, with random weights, by way of CIELUV


@pytest.fixture(scope="module")
def made(name):
    torch.manual_seed(0)
    return create_model(name)


@pytest.fixture
def model(made):
    return copy.deepcopy(made)


def luminance(batch: int = 2, height: int = SMALL, width: int = SMALL) -> torch.Tensor:
    return torch.rand(batch, 1, height, width) * 100


def lab_batch(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    smooth = torch.nn.functional.interpolate(torch.rand(batch, 3, 4, 4), SMALL, mode="bilinear")
    return split_lab(rgb_to_lab(smooth))


def test_constructs_bare_and_is_listed(name, model):
    assert type(model) is MODELS[name]
    assert name in list_models()
    assert model.size % model.stride == 0


@torch.no_grad()
def test_forward_gives_finite_ab_of_the_same_size(model):
    ab = model.eval()(luminance(2, SMALL, 2 * SMALL))
    assert ab.shape == (2, 2, SMALL, 2 * SMALL)
    assert torch.isfinite(ab).all()
    assert ab.abs().max() <= 128


@pytest.mark.parametrize("size", [(2, 2), (3, 301), (97, 131), (200, 64)])
def test_any_size_is_coloured_through_the_one_inference_path(model, size):
    x = luminance(1, *size)
    lab = predict_lab(model.eval(), x, size=SMALL)
    assert lab.shape == (1, 3, *size)
    assert torch.isfinite(lab).all()
    assert torch.equal(lab[:, :1], x)


def test_a_photograph_is_coloured_by_a_model_in_memory(model, photograph):
    crop = photograph[20:117, 60:191]
    result = deepcolor.colorize(crop, model=model)
    assert result.shape == (97, 131, 3)
    want, have = (
        rgb_to_lab(torch.from_numpy(rgb.copy()).permute(2, 0, 1) / 255)[0] for rgb in (crop, result)
    )
    assert (have - want).abs().max() <= 1  # rounding to 8 bits


@torch.no_grad()
def test_coarse_chroma_has_one_answer_a_square(model):
    x = luminance(2, SMALL, 2 * SMALL)
    coarse, ab = model.eval().predict(x).ab(), model(x)
    assert model.stride % model.grain == 0
    assert tuple(side * model.grain for side in coarse.shape[-2:]) == (SMALL, 2 * SMALL)
    assert coarse.shape[:2] == (2, 2)
    means = torch.nn.functional.avg_pool2d(ab, model.grain)
    # Nearest enlargement keeps means exactly; bilinear smooths, the more the wilder the chroma.
    assert (means - coarse).abs().mean() <= 0.5 * (coarse - coarse.mean()).abs().mean() + 1e-4


@torch.no_grad()
def test_a_temperature_is_for_models_that_predict_distributions(model):
    x = luminance(1)
    if isinstance(model.eval().predict(x), DecodedPrediction):
        mean, mode = (model.predict(x).ab(t) for t in (1.0, 0.0))
        assert mean.shape == mode.shape
        assert (mean - mode).abs().mean() > 1  # nearly flat: the mean is grey, the mode is not
    else:
        with pytest.raises(TypeError, match=r"predicts no distribution.*saturation="):
            model.predict(x).ab(0.5)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other(model, name):
    x = luminance(3)
    together = model.eval()(x)
    alone = torch.cat([model(one[None]) for one in x])
    assert (together - alone).abs().max() < LESS_CLOSE.get(name, CLOSE)


def test_every_trainable_parameter_gets_a_gradient(model):
    model.train()
    torch.stack(list(model.loss(*lab_batch()).values())).sum().backward()
    without = [
        key
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert not without


def test_loss_falls_on_one_batch(model, name):
    model.train()
    batch = lab_batch()
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3)
    losses: list[float] = []
    for _ in range(SLOWER.get(name, STEPS)):
        loss = torch.stack(list(model.loss(*batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if losses[-1] < 0.9 * losses[0]:  # of the classifiers' log 313 = 5.7: a clear gain
            return
    pytest.fail(f"the loss did not fall by a tenth: {losses}")


@torch.no_grad()
def test_weights_survive_a_file(model, tmp_path):
    path = save_model(model, tmp_path / "weights.safetensors")
    again = load_model(path)
    x = luminance(1)
    assert type(again) is type(model)
    assert torch.equal(again(x), model.eval()(x))


def test_guidance_is_accepted_or_refused(model):
    x = luminance(1)
    given = {
        "hints": Hints(torch.zeros(1, 2, SMALL, SMALL), torch.zeros(1, 1, SMALL, SMALL)),
        "palette": Palette(torch.zeros(1, 3, 2)),
        "reference": Reference(torch.zeros(1, 3, 8, 8)),
        "statistics": Statistics(),
    }
    assert given.keys() == KINDS.keys()
    assert model.accepts <= model.takes <= KINDS.keys()
    for name, kind in given.items():
        for guidance in (kind, Guidance(**{name: kind})):
            if name in model.accepts:
                assert model.eval()(x, guidance).shape == (1, 2, SMALL, SMALL)
                assert model.predict(x, guidance).ab().isfinite().all()
            else:
                with pytest.raises(TypeError, match=f"takes no {name}"):
                    model(x, guidance)
                with pytest.raises(TypeError, match=f"takes no {name}"):
                    model.predict(x, guidance)


@torch.no_grad()
def test_three_frames_are_remembered_or_each_is_a_picture(model, three_frames):
    three_frames(model.eval(), SMALL)


def test_wrong_input_is_refused(model):
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        model(torch.zeros(1, 3, SMALL, SMALL))
    with pytest.raises(ValueError, match=f"multiples of {model.stride}"):
        model(torch.zeros(1, 1, SMALL + 1, SMALL))


def test_autocast_changes_colours_little(model):
    x = luminance(1)
    plain = predict_ab(model.eval(), x, SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        cast = predict_ab(model, x, SMALL)
    assert cast.dtype == torch.float32
    assert (cast - plain).abs().mean() < 3  # bfloat16 keeps 8 bits of each activation


@torch.no_grad()
def test_what_core_answers_is_what_is_predicted(model):
    x = luminance(2)
    answer = model.eval().core(x)
    assert isinstance(answer, torch.Tensor)
    assert torch.equal(model.prediction(x, answer).ab(), model.predict(x).ab())


@pytest.mark.parametrize("part", ["forward", "core"])
@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.* is deprecated")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # sizes are checked as they come
@torch.no_grad()
def test_a_trace_answers_as_the_model_does_at_another_size(model, part):
    example = {part: luminance(1)}
    traced = torch.jit.trace_module(model.eval(), example, check_trace=False)  # we check it here
    x = luminance(1, SMALL, 2 * SMALL)
    assert torch.equal(getattr(traced, part)(x), getattr(model, part)(x))
