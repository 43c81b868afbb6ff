"""Weights files that strangers made: each is loaded or refused in words, and nothing in it runs."""

import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from io import BytesIO
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from deepcolor.models import MODELS, create_model
from deepcolor.models.lite import Lite
from deepcolor.tensors import plain_tensors, read_pickle
from deepcolor.weights import WeightsError, load_model, load_weights, save_model
from deepcolor.weights import files as weights_files
from deepcolor.weights.settings import check_settings, settings_of

SMALL = "simple_cnn"


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return create_model(SMALL).network.state_dict()


@pytest.fixture
def write(tmp_path, tensors):
    """A safetensors file of tensors that fit SimpleCNN, with a header of the test's."""

    def put(model: str = SMALL, hparams: Any = None, given: Any = None):
        path = tmp_path / "stranger.safetensors"
        said = json.dumps({"model": model, "hparams": hparams or {}})
        save_file(tensors if given is None else given, path, metadata={"deepcolor": said})
        return path

    return put


def raw(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


# What a header may set


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_file_sets_the_path_of_another(name):
    paths = {setting for setting in settings_of(MODELS[name]) if "weights" in setting}
    assert paths == set()


def test_a_file_that_names_another_file_is_refused_and_that_is_never_opened(
    write, tmp_path, monkeypatch
):
    opened = []
    monkeypatch.setattr("deepcolor.models.lite.read_encoder_weights", opened.append)
    secret = tmp_path / "secret.pth"
    secret.write_bytes(b"precious")
    for argument in ("encoder_weights", "trains"):
        path = write("lite", {argument: str(secret)})
        with pytest.raises(WeightsError, match=f"sets {argument} of Lite, which only code on this"):
            load_model(path)
    assert opened == []


def test_what_a_class_names_is_never_saved_nor_set(tmp_path, monkeypatch):
    class Mine(Lite):
        unsaved = (*Lite.unsaved, "license_file")

        def __init__(self, temperature: float = 0.5, license_file: str | None = None) -> None:
            super().__init__(temperature)
            self.save_hyperparameters()

    monkeypatch.setitem(MODELS, "mine", Mine)
    path = save_model(Mine(0.25, "here.txt"), tmp_path / "mine.safetensors")
    assert b"here.txt" not in path.read_bytes()
    assert load_model(path).temperature == 0.25
    with pytest.raises(WeightsError, match="sets license_file of Mine"):
        check_settings(Mine, {"license_file": "/etc/passwd"}, path)


@pytest.mark.parametrize(
    ("model", "hparams", "said"),
    [
        ("iizuka16", {"classes": 3e8}, "classes of Iizuka16 must be int or None, got 300000000.0"),
        ("lite", {"temperature": "0.5"}, "temperature of Lite must be float, got '0.5'"),
        ("lite", {"temperature": float("nan")}, "temperature of Lite must be a number of at most"),
        ("lite", {"temperature": True}, "temperature of Lite must be float, got True"),
        ("lite", {"lr": 10**400}, "lr of Lite must be a number of at most .* got a longer number"),
        ("lite", {"hints": 1}, "hints of Lite must be bool, got 1"),
        ("lite", {"neighbours": [5]}, "neighbours of Lite must be int, got a list of 1"),
        ("simple_cnn", {"last": "exp"}, "last of SimpleCNN must be one of 'relu', 'tanh'"),
        ("simple_cnn", {"inputs": True}, "inputs of SimpleCNN must be one of 1, 3, got True"),
        ("hwang_zhou16", {"bounds": [1, 2, 3]}, "bounds of HwangZhou16 must be a list of 2"),
        ("hwang_zhou16", {"bounds": {"a": 1}}, "bounds of HwangZhou16 must be a list"),
        ("dahl16", {"backbone": "../../etc/passwd"}, "backbone of Dahl16 must be a name of lett"),
        ("dahl16", {"backbone": "vgg99"}, "Dahl16 cannot be built with the settings in it"),
        ("lite", {"gain": 1e9}, "Lite cannot be built with the settings in it: gain must lie in"),
        ("som_mlp", {"hidden": 2**40}, "hidden of SOMMLP must be a number of at most"),
        ("lite", {"\x1b[2J": 1}, r"does not have: '\\x1b\[2J'"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(model, hparams, said, write):
    with pytest.raises(WeightsError, match=said) as error:
        load_model(write(model, hparams))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_all_that_models_save_passes(name):
    if name == "merged_vgg16":
        hparams = {"space": "ycbcr", "features": "given"}
    else:
        hparams = dict(create_model(name).hparams)
    said = json.loads(json.dumps(hparams))
    checked = check_settings(MODELS[name], said, "x")
    assert checked == {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}


@pytest.mark.parametrize(
    ("model", "hparams"),
    [
        ("iizuka16", {"classes": 300_000_000}),
        ("koalarization", {"classes": 300_000_000}),
        ("som_mlp", {"hidden": 2_000_000_000}),
    ],
)
def test_a_network_of_terabytes_is_refused_before_it_is_built(model, hparams, write, monkeypatch):
    def build(*_, **__):
        pytest.fail("built for real")

    monkeypatch.setattr(weights_files, "create_model", build)
    with pytest.raises(WeightsError, match="the weights do not fit"):
        load_model(write(model, hparams))


def test_a_network_of_a_million_layers_is_given_up(write, monkeypatch):
    class Deep(MODELS[SMALL]):
        def __init__(self, depth: int = 1) -> None:
            super().__init__()
            self.network = nn.Sequential(*(nn.Linear(1, 1) for _ in range(depth)))

    monkeypatch.setitem(MODELS, "deep", Deep)
    with pytest.raises(WeightsError, match="many more layers than the file has tensors"):
        load_model(write("deep", {"depth": 1_000_000_000}))


def test_a_buffer_of_terabytes_is_refused_before_it_is_made(write, monkeypatch):
    class Wide(MODELS[SMALL]):
        def __init__(self, width: int = 1) -> None:
            super().__init__()
            self.network.register_buffer("table", torch.zeros(width, width))

    monkeypatch.setitem(MODELS, "wide", Wide)
    with pytest.raises(WeightsError, match="missing table"):
        load_model(write("wide", {"width": 2_000_000}))


def test_the_shapes_are_held_against_the_header_before_any_tensor_is_read(write, monkeypatch):
    path = write("lite")
    monkeypatch.setattr(weights_files, "read_tensors", lambda *_: pytest.fail("read"))
    with pytest.raises(WeightsError, match="do not fit LiteNetwork: missing"):
        load_model(path)


# Headers


DEEP = b"[" * 200_000 + b"]" * 200_000
F32 = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}%s}'

HEADERS = {
    "nothing": b"",
    "a few bytes": b"1234",
    "a header longer than the file": struct.pack("<Q", 2**62) + b"{}",
    "a header of gigabytes": struct.pack("<Q", 2**33) + b"{}" * 100,
    "nested lists": raw(DEEP),
    "nested objects": raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "nested metadata": raw(F32 % (b',"__metadata__":{"deepcolor":"' + DEEP + b'"}'), bytes(4)),
    "no JSON": raw(b"{'a': 1}"),
    "no text": raw(b"\xff\xfe\xfa"),
    "a list": raw(b"[1, 2]"),
    "a number of many digits": raw(b'{"a": ' + b"9" * 10_000 + b"}"),
    "a tensor that is a number": raw(b'{"w": 3}'),
    "a shape that is a number": raw(
        b'{"w":{"dtype":"F32","shape":3,"data_offsets":[0,4]}}', bytes(4)
    ),
    "sides below zero": raw(b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)),
    "endless sides": raw(b'{"w":{"dtype":"F32","shape":[0,%d],"data_offsets":[0,0]}}' % 2**80),
    "a type that is a list": raw(b'{"w":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}', bytes(4)),
    "offsets beyond": raw(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}', bytes(4)),
    "too little data": raw(F32 % b"", bytes(2)),
    "too much data": raw(F32 % b"", bytes(8)),
    "metadata of another kind": raw(F32 % b',"__metadata__":[1]', bytes(4)),
    "a model that is a number": raw(
        F32 % b',"__metadata__":{"deepcolor":"{\\"model\\":1,\\"hparams\\":{}}"}', bytes(4)
    ),
    "settings that are a list": raw(
        F32 % b',"__metadata__":{"deepcolor":"{\\"model\\":\\"lite\\",\\"hparams\\":[]}"}', bytes(4)
    ),
    "a name that clears the screen": raw(
        b'{"\\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_any_kind_are_refused_in_words(kind, tmp_path):
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(HEADERS[kind])
    for load in (load_model, lambda path: load_weights(create_model(SMALL), path)):
        with pytest.raises(WeightsError, match=r"stranger\.safetensors") as error:
            load(path)
        assert len(str(error.value)) < 1000
        assert str(error.value).isprintable()


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "C64", "U16", "F4", "no type"])
def test_types_that_no_network_holds_are_named(dtype, tmp_path):
    path = tmp_path / "odd.safetensors"
    head = json.dumps({"w": {"dtype": dtype, "shape": [8], "data_offsets": [0, 8]}})
    path.write_bytes(raw(head.encode(), bytes(8)))
    with pytest.raises(WeightsError, match=rf"w is of type '{dtype}.*types that work: F64, F32"):
        load_model(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_width_are_taken(dtype, write, tensors):
    model = load_model(write(given={key: value.to(dtype) for key, value in tensors.items()}))
    for key, value in model.network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, tensors[key], atol=0.01)


def test_whole_numbers_are_no_weights(write, tensors):
    first = next(iter(tensors))
    given = tensors | {first: tensors[first].to(torch.int64)}
    with pytest.raises(WeightsError, match=rf"{first} holds int64, needs float32"):
        load_model(write(given=given))


# Pickles


def archive(**changes: Any) -> bytes:
    """A .pth file, packed or changed in what its parts hold."""
    buffer, changed = BytesIO(), BytesIO()
    torch.save({"w": torch.zeros(1000)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.infolist():
            blob = changes.get(part.filename.rpartition("/")[2].partition(".")[0])
            new.writestr(
                part.filename, old.read(part) if blob is None else blob,
                changes.get("packed", zipfile.ZIP_STORED),
            )  # fmt: skip
    return changed.getvalue()


def saved(state: object, **options: Any) -> bytes:
    buffer = BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    """A dictionary whose key is a tuple in a tuple in a tuple: hashing it would end Python."""
    return b"\x80\x02})" + b"\x85" * depth + b"K\x01s."


def overlapping() -> bytes:
    """An archive whose directory counts one part many times (a zip bomb without packing)."""
    blob = archive()
    end = blob.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<HII", blob[end + 10 : end + 20])
    entries = blob[offset : offset + size]
    tail = struct.pack(
        "<4sHHHHIIH", b"PK\x05\x06", 0, 0, 50 * count, 50 * count, 50 * size, offset, 0
    )
    return blob[:offset] + 50 * entries + tail


PICKLES = {
    "nothing": (b"", "not a readable PyTorch file"),
    "a zip bomb": (archive(packed=zipfile.ZIP_DEFLATED, **{"0": bytes(30_000_000)}), "is packed"),
    "a directory that counts twice": (overlapping(), "claims to hold more than|not a readable"),
    "five million marks": (archive(data=b"\x80\x02" + b"(" * 5_000_000 + b"."), "2,000,000 steps"),
    "five million marks, bare": (b"\x80\x02" + b"(" * 5_000_000 + b".", "2,000,000 steps"),
    "a million marks": (archive(data=b"\x80\x02" + b"(" * 1_000_000 + b"."), "stranger"),
    "deep tuples": (archive(data=nested(1_000_000)), "nests tuples more than 100 deep"),
    "deep tuples, bare": (nested(1_000_000), "nests tuples more than 100 deep"),
    "deep tuples, by hand": (
        b"\x80\x02}" + b"(" * 200_000 + b"t" * 200_000 + b"K\x01s.", "nests tuples more than",
    ),
    "deep tuples, by memo": (
        b"\x80\x02})" + b"q\x00h\x00\x86" * 5000 + b"K\x01s.", "nests tuples more than",
    ),
    "deep lists": (archive(data=b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."), "stranger"),
    "a stack that runs dry": (archive(data=b"\x80\x02aaa."), "not a readable PyTorch file"),
    "memories of nothing": (archive(data=b"\x80\x02h\x07."), "not a readable PyTorch file"),
    "an integer of a megabyte": (
        archive(data=b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"1."), "not a readable PyTorch",
    ),
    "bytes of another age": (pickle.dumps({"w": 1}, protocol=0), "more than tensors"),
    "a sparse tensor": (saved({"w": torch.eye(3).to_sparse()}), "w is sparse|sparse tensor"),
    "a tensor of no memory": (
        saved({"w": torch.zeros(3, device="meta")}), "w is sparse, quantized or empty",
    ),
    "a tensor that repeats": (
        saved({"w": torch.zeros(1).expand(10**6, 10**6)}), "w claims more numbers than the file",
    ),
    "names that clear the screen": (saved({"\x1b[2J": torch.zeros(1)}), "cannot be the name"),
    "numbered tensors": (saved({1: torch.zeros(1)}), "names to tensors"),
    "complex numbers": (
        lambda state: saved({k: v.to(torch.complex64) for k, v in state.items()}),
        "holds complex64, needs float32",
    ),
    "eighths": (
        lambda state: saved({k: v.to(torch.float8_e4m3fn) for k, v in state.items()}),
        "holds float8_e4m3fn, needs float32",
    ),
    "steps": (
        lambda state: saved({k: torch.ones(v.shape, dtype=torch.bool) for k, v in state.items()}),
        "holds bool, needs float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_of_any_kind_are_refused_in_words(kind, tmp_path, tensors):
    blob, said = PICKLES[kind]
    path = tmp_path / "stranger.pth"
    path.write_bytes(blob(tensors) if callable(blob) else blob)
    with pytest.raises(WeightsError, match=said) as error:
        load_weights(create_model(SMALL), path)
    assert len(str(error.value)) < 1000
    assert str(error.value).isprintable()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dicts_of_both_formats_are_read(zipped, tmp_path, tensors):
    path = tmp_path / "state.pth"
    path.write_bytes(saved(OrderedDict(tensors), _use_new_zipfile_serialization=zipped))
    model = create_model(SMALL)
    load_weights(model, path)
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, tensors[key])


def test_the_steps_of_a_large_network_are_far_from_the_bound(tmp_path):
    state = {f"layer.{i}.weight": torch.zeros(1) for i in range(5000)}
    path = tmp_path / "state.pth"
    path.write_bytes(saved(state))
    assert len(plain_tensors(path, read_pickle(path))) == 5000


def test_what_a_release_would_be_renamed_from_may_be_of_any_shape(tmp_path, monkeypatch):
    from deepcolor.models import lite

    def convert_state_dict(state):
        return {"head.weight": state["w"].reshape(3, 3)}

    monkeypatch.setattr(lite, "convert_state_dict", convert_state_dict, raising=False)
    path = tmp_path / "foreign.pth"
    path.write_bytes(saved({"w": torch.zeros(2)}))
    with pytest.raises(WeightsError, match=r"no weights of Lite: shape '\[3, 3\]' is invalid"):
        load_weights(create_model("lite"), path)


def test_a_file_that_fits_is_still_loaded_to_the_bit(write, tensors):
    model = load_model(write(hparams={"last": "tanh", "lr": 1}))
    assert model.hparams["lr"] == 1
    assert all(torch.equal(model.network.state_dict()[k], v) for k, v in tensors.items())
    assert load_file(write()).keys() == tensors.keys()
