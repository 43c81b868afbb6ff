import hashlib
import json
import os
import stat
from importlib import resources

import pytest
import torch
from safetensors.torch import load_file, save_file

from deepcolor import weights
from deepcolor.models import MODELS, create_model
from deepcolor.weights import (
    CHECKPOINTS,
    DEFAULT,
    WeightsError,
    files,
    load_model,
    load_weights,
    save_model,
)

EMBEDDED = [name for name, checkpoint in CHECKPOINTS.items() if not checkpoint.downloaded]
LARGEST = 25_000_000  # bytes of a file in the wheel


@pytest.fixture
def lite_file(tmp_path):
    return save_model(create_model("lite", temperature=0.6), tmp_path / "lite.safetensors")


def embedded(name: str) -> bytes:
    location = CHECKPOINTS[name].location.removeprefix("package:")
    return (resources.files("deepcolor.weights") / location).read_bytes()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_checkpoint_is_named_after_its_model_and_described(name):
    checkpoint = CHECKPOINTS[name]
    assert name.split(".")[0] == checkpoint.model
    assert checkpoint.model in MODELS
    assert checkpoint.license
    assert checkpoint.trained_on
    assert checkpoint.source


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_checkpoint_has_figures(name):
    figures = {"psnr", "auc", "auc_rebalanced", "ciede2000", "colourfulness_share"}
    assert figures <= set(CHECKPOINTS[name].expected)


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_file_is_small_and_has_the_stated_hash(name):
    blob = embedded(name)
    assert len(blob) <= LARGEST
    assert hashlib.sha256(blob).hexdigest() == CHECKPOINTS[name].sha256


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_checkpoint_loads_ready_to_use(name):
    model = load_model(name)
    assert type(model) is MODELS[CHECKPOINTS[name].model]
    assert not model.training
    assert {key: model.hparams[key] for key in CHECKPOINTS[name].hparams} == dict(
        CHECKPOINTS[name].hparams
    )


def test_the_default_is_a_checkpoint():
    assert DEFAULT in CHECKPOINTS


def test_hyperparameters_can_be_changed_on_loading(lite_file):
    assert load_model(lite_file).temperature == 0.6
    assert load_model(lite_file, temperature=0.1, lr=1e-5).hparams["lr"] == 1e-5


def test_a_half_size_file_holds_the_same_network_to_half_precision(tmp_path):
    model = create_model("lite")
    whole = save_model(model, tmp_path / "whole.safetensors")
    half = save_model(model, tmp_path / "half.safetensors", half=True)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    again = load_model(half)
    for key, value in model.network.state_dict().items():
        loaded = again.network.state_dict()[key]
        assert loaded.dtype == value.dtype
        assert torch.allclose(loaded, value, atol=2e-3)


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match=r"'lite\.fotos'; did you mean 'lite\.photos'\? there are"):
        load_model("lite.fotos")
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        load_model("none.safetensors")
    with pytest.raises(ValueError, match=r"'light'; there are: .*eccv16.*lite"):
        create_model("light")


def test_a_corrupted_embedded_checkpoint_is_detected(monkeypatch, tmp_path):
    blob = bytearray(embedded(DEFAULT))
    blob[len(blob) // 2] ^= 1
    path = tmp_path / CHECKPOINTS[DEFAULT].location.removeprefix("package:")
    path.write_bytes(blob)
    monkeypatch.setattr(weights.resources, "files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match=r"damaged: sha256.*install deepcolor-lightning again"):
        load_model(DEFAULT)
    path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        load_model(DEFAULT)


def test_weights_that_do_not_fit_are_listed_ten_at_most(lite_file, tmp_path):
    tensors = load_file(lite_file)
    header = {"deepcolor": json.dumps({"model": "lite", "hparams": {}})}
    path = tmp_path / "bad.safetensors"
    some = dict(list(tensors.items())[30:])
    some["surplus"] = torch.zeros(1)
    some["head.bias"] = torch.zeros(7)
    save_file(some, path, metadata=header)
    with pytest.raises(WeightsError, match=r"missing encoder.*; and 22 more") as error:
        load_model(path)
    assert str(error.value).count("missing") == 10
    only = dict(tensors) | {"head.bias": torch.zeros(7)}
    save_file(only, path, metadata=header)
    with pytest.raises(WeightsError, match=r"head\.bias is \(7,\), needs \(313,\)"):
        load_model(path)


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense, and more of it")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_model(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="no deepcolor header"):
        load_model(path)


def test_weights_of_another_model_are_refused(lite_file, tmp_path):
    with pytest.raises(WeightsError, match=r"holds weights of 'lite', not of ECCV16"):
        load_weights(create_model("eccv16"), lite_file)
    header = {"deepcolor": json.dumps({"model": "lite2", "hparams": {}})}
    path = tmp_path / "new.safetensors"
    save_file(load_file(lite_file), path, metadata=header)
    with pytest.raises(WeightsError, match=r"'lite2', which this version of deepcolor does not"):
        load_model(path)


def test_settings_of_a_newer_version_are_named(lite_file, tmp_path):
    header = {"deepcolor": json.dumps({"model": "lite", "hparams": {"aura": 1, "mix": 0.5}})}
    path = tmp_path / "new.safetensors"
    save_file(load_file(lite_file), path, metadata=header)
    with pytest.raises(WeightsError, match=r"Lite that this version.*: 'aura'; a newer version"):
        load_model(path)


def test_a_safetensors_file_without_our_header_loads_into_a_model_at_hand(lite_file, tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file(load_file(lite_file), path)
    model = create_model("lite")
    load_weights(model, path)
    assert torch.equal(model.network.head.weight, load_model(lite_file).network.head.weight)


def test_a_truncated_file_is_refused(lite_file):
    lite_file.write_bytes(lite_file.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_model(lite_file)


def test_saving_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"precious")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(files, "tensors_as_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(create_model("lite"), path)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        save_model(create_model("lite"), tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lite", r"'lite' is a model, not trained weights: did you mean 'lite\.photos'\?"),
        ("Lite", r"did you mean 'lite\.photos'\?"),
        ("siggraph17", r"did you mean 'siggraph17\.caffe'\?"),
        ("iizuka16", r"no weights of it are published; create_model\('iizuka16'\) makes one"),
        ("lite-photos", r"did you mean 'lite\.photos'\?"),
        ("Lite Photos", r"did you mean 'lite\.photos'\?"),
        ("eccv16_cafe", r"did you mean 'eccv16\.caffe'\?"),
        ("me/postcards", "if it is on the Hugging Face Hub, say 'hf-hub:me/postcards'"),
        ("mine.pth", r"which model to build; make it, and call load_weights\(model, path\)"),
        ("", "no checkpoint named ''"),
        ("magic", "no checkpoint named 'magic'; there are: "),
    ],
)
def test_near_misses_say_what_may_have_been_meant(name, said):
    with pytest.raises(ValueError, match=said):
        load_model(name)


def test_a_folder_by_save_pretrained_is_loaded_by_its_path(lite_file, tmp_path):
    folder = tmp_path / "postcards"
    folder.mkdir()
    lite_file.rename(folder / "model.safetensors")
    assert load_model(folder, lr=1e-5).temperature == 0.6
    assert not load_model(str(folder)).training
    with pytest.raises(FileNotFoundError, match=r"below it there is .*postcards/model\.safetens"):
        load_model(tmp_path)


def test_weights_have_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o077)
    try:
        path = save_model(create_model("simple_cnn"), tmp_path / "w.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
