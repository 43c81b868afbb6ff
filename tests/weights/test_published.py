"""The published checkpoints, from synthetic files of their layout served on this machine."""

import hashlib
import pickle
from dataclasses import replace
from io import BytesIO

import pytest
import torch

from deepcolor import weights
from deepcolor.inference import predict_lab
from deepcolor.models import MODELS, create_model
from deepcolor.weights import CHECKPOINTS, WeightsError, load_model, load_weights

WRAPPERS = {"ddcolor": "params", "deoldify": "model"}  # where releases keep the state dict
PUBLISHED = sorted(name for name, c in CHECKPOINTS.items() if c.downloaded)


def saved(state: object) -> bytes:
    buffer = BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module", params=PUBLISHED)
def release(request, small_model) -> tuple[str, dict[str, torch.Tensor], bytes]:
    """A checkpoint's name, a state dict of its release's layout, and that as a file.

    The large ones have fewer channels here, under the same names.
    """
    torch.manual_seed(1)
    published = CHECKPOINTS[request.param]
    state = small_model(published.model, **published.hparams).network.state_dict()
    wrapper = WRAPPERS.get(published.model)
    return request.param, state, saved(state if wrapper is None else {wrapper: state, "opt": {}})


@pytest.fixture
def serve(server, home, monkeypatch, small_settings):
    """Put a file where the checkpoint's is published."""

    def put(name: str, blob: bytes) -> None:
        published = CHECKPOINTS[name]
        server.files[published.file] = blob
        local = replace(
            published,
            hparams={**published.hparams, **small_settings.get(published.model, {})},
            location=f"{server.address}/{published.file}",
            sha256=hashlib.sha256(blob).hexdigest(),
            size=len(blob),
        )
        monkeypatch.setattr(weights, "CHECKPOINTS", {name: local})

    return put


@torch.no_grad()
def test_a_release_loads_key_for_key_and_colours(release, serve, home):
    name, state, blob = release
    serve(name, blob)
    model = load_model(name, lr=1e-7)
    assert type(model) is MODELS[CHECKPOINTS[name].model]
    assert not model.training
    assert model.hparams["lr"] == 1e-7
    for key, value in weights.CHECKPOINTS[name].hparams.items():
        assert model.hparams[key] == value
    loaded = model.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    lab = predict_lab(model, torch.rand(1, 1, 31, 45) * 100, size=32)
    assert torch.isfinite(lab).all()
    assert [p.name for p in home.iterdir() if p.suffix != ".lock"] == [CHECKPOINTS[name].file]


@torch.no_grad()
def test_eccv16_decodes_as_its_release_does(serve):
    """The release: softmax, its last layer, times four, times 110; no temperature."""
    torch.manual_seed(2)
    state = create_model("eccv16").network.state_dict()
    serve("eccv16.caffe", saved(state))
    model = load_model("eccv16.caffe")
    x = torch.rand(1, 1, 32, 32) * 100
    network = model.network
    logits = network((x - 50) / 100)
    small = torch.nn.functional.conv2d(logits.softmax(1), state["model_out.weight"])
    up = torch.nn.Upsample(scale_factor=4, mode="bilinear", align_corners=False)
    assert torch.allclose(model(x), up(small) * 110, atol=1e-3)


def test_what_does_not_fit_is_listed_ten_at_most(release, serve):
    name, state, _ = release
    some = dict(list(state.items())[11:])
    some["surplus.weight"] = torch.zeros(1)
    serve(name, saved(some))
    with pytest.raises(WeightsError, match=r"do not fit \w+: missing .*; and 2 more") as error:
        load_model(name)
    assert str(error.value).count("missing") == 10


def test_misshaped_and_extra_keys_are_named(release, serve):
    name, state, _ = release
    first = next(iter(state))
    serve(name, saved(state | {first: torch.zeros(3, 5), "surplus": torch.zeros(1)}))
    with pytest.raises(
        WeightsError, match=rf"extra surplus; {first} is \(3, 5\), needs \({len(state[first])}, "
    ):
        load_model(name)


def test_numbers_that_are_not_finite_are_refused(release, serve):
    name, state, _ = release
    first = next(iter(state))
    serve(name, saved(state | {first: torch.full_like(state[first], torch.nan)}))
    with pytest.raises(WeightsError, match=rf"{first} holds numbers that are not finite"):
        load_model(name)


def test_another_codebook_is_refused(serve):
    state = create_model("eccv16").network.state_dict()
    state["model_out.weight"] = state["model_out.weight"].flip(1)
    serve("eccv16.caffe", saved(state))
    with pytest.raises(WeightsError, match="not the table of the 313 ab bins"):
        load_model("eccv16.caffe")


def test_weights_of_another_release_are_refused(serve):
    serve("siggraph17.caffe", saved(create_model("eccv16").network.state_dict()))
    with pytest.raises(WeightsError, match=r"do not fit SIGGRAPH17Network.*and \d+ more"):
        load_model("siggraph17.caffe")


class Trap:
    """Code that a pickle would run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


BAD = {
    "pickled code": (lambda path: saved({"weight": Trap(path)}), "may be code, and is not read"),
    "bare pickle": (lambda path: pickle.dumps(Trap(path), protocol=2), "may be code"),
    "text": (lambda _: b"<html>not here</html>", "more than tensors|not a readable PyTorch file"),
    "cut short": (lambda _: saved({"w": torch.zeros(999)})[:-99], "not a readable PyTorch file"),
    "a list": (lambda _: saved([torch.zeros(1)]), "maps names to tensors"),
    "code beside a state dict": (
        lambda path: saved({"model": {"w": torch.zeros(1)}, "opt": Trap(path)}),
        "may be code, and is not read",
    ),
    "two state dicts": (
        lambda _: saved({"model": {"w": torch.zeros(1)}, "params": {"w": torch.zeros(1)}}),
        "maps names to tensors",
    ),
    "numbers": (lambda _: saved({"weight": 3}), "maps names to tensors"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_state_dict_is_refused_and_nothing_in_it_runs(kind, serve, tmp_path):
    make, message = BAD[kind]
    trace = tmp_path / "trace"
    serve("eccv16.caffe", make(str(trace)))
    with pytest.raises(WeightsError, match=message):
        load_model("eccv16.caffe")
    assert not trace.exists()


def test_a_released_file_loads_into_a_model_at_hand(release, tmp_path, small_model):
    name, state, blob = release
    path = tmp_path / CHECKPOINTS[name].file
    path.write_bytes(blob)
    model = small_model(CHECKPOINTS[name].model, **CHECKPOINTS[name].hparams)
    load_weights(model, path)
    assert all(torch.equal(model.network.state_dict()[key], value) for key, value in state.items())
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        load_weights(model, tmp_path / "none.pth")


def test_keys_of_a_release_are_renamed_by_the_models_own_file(tmp_path, monkeypatch):
    from deepcolor.models import lite

    model = create_model("lite")
    state = {f"net.{key}": value for key, value in model.network.state_dict().items()}
    path = tmp_path / "foreign.pth"
    path.write_bytes(saved(state))
    with pytest.raises(WeightsError, match="do not fit LiteNetwork"):
        load_weights(model, path)

    def convert_state_dict(state):
        return {key.removeprefix("net."): value for key, value in state.items()}

    monkeypatch.setattr(lite, "convert_state_dict", convert_state_dict, raising=False)
    load_weights(model, path)

    def refuse(state):
        raise KeyError("net.head")

    monkeypatch.setattr(lite, "convert_state_dict", refuse, raising=False)
    with pytest.raises(WeightsError, match=r"no weights of Lite: 'net\.head'"):
        load_weights(model, path)
