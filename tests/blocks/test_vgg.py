import pooch
import pytest
import timm
import torch
from safetensors.torch import save_file

import deepcolor.blocks.vgg as vgg_module
from deepcolor.blocks.vgg import VGG_CHANNELS, VGGPyramid, expected_preprocessing
from deepcolor.models.dahl16 import Dahl16
from deepcolor.models.hwang_zhou16 import HwangZhou16
from deepcolor.weights import load_model, save_model

HEAD = 1 / 4096  # of a classifier that is not looked at


@pytest.fixture(scope="module")
def whole():
    """A VGG-16 with all its convolutions, and a tiny head that no published file has."""
    return timm.create_model("vgg16", mlp_ratio=HEAD, num_classes=0).eval()


def published(network) -> dict[str, torch.Tensor]:
    """A state dict as torchvision names it, classifier and all."""
    convolutions = {k: v for k, v in network.state_dict().items() if k.startswith("features.")}
    return {**convolutions, "classifier.0.weight": torch.zeros(3, 3)}


@torch.no_grad()
def test_levels_are_conv1_2_to_conv4_3_behind_their_relu(whole, tmp_path):
    torch.save(published(whole), tmp_path / "vgg16.pth")
    vgg = VGGPyramid("vgg16", str(tmp_path / "vgg16.pth"), "torchvision", frozen=True)
    grey = torch.rand(1, 1, 32, 48)
    levels = vgg(grey)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 32, 48), (128, 16, 24), (256, 8, 12), (512, 4, 6),
    ]  # fmt: skip
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    x = (grey.expand(-1, 3, -1, -1) - mean) / std
    for number, layer in enumerate(whole.features):
        x = layer(x)
        if number in (3, 8, 15, 22):
            level = levels[(3, 8, 15, 22).index(number)]
            assert torch.allclose(level, x, atol=1e-5)
    assert sum(p.numel() for p in vgg.parameters()) == 7_635_264


def test_a_damaged_file_of_weights_is_refused_in_words(tmp_path):
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"vgg16\.pth: not a readable PyTorch file"):
        VGGPyramid("vgg16", str(path), "torchvision", frozen=True)


def test_safetensors_are_weights_too(whole, tmp_path):
    path = tmp_path / "vgg16.safetensors"
    save_file(published(whole), path)
    vgg = VGGPyramid("vgg16", str(path), "torchvision", frozen=True)
    first = vgg.backbone.state_dict()["features_0.weight"]
    assert torch.equal(first, whole.features[0].weight)


@torch.no_grad()
def test_caffe_weights_see_bgr_bytes_less_their_mean():
    vgg = VGGPyramid("vgg16", None, "caffe", frozen=True)
    seen = []
    vgg.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    vgg(torch.full((1, 1, 8, 8), 0.5))
    want = [127.5 - 103.939, 127.5 - 116.779, 127.5 - 123.68]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(want, abs=1e-3)


def test_frozen_means_neither_trained_nor_in_training_mode():
    vgg = VGGPyramid("vgg16_bn", None, "torchvision", frozen=True).train()
    assert not any(p.requires_grad for p in vgg.parameters())
    assert not any(module.training for module in vgg.modules())
    free = VGGPyramid("vgg16_bn", None, "torchvision", frozen=False).train()
    assert all(p.requires_grad for p in free.parameters())
    assert all(module.training for module in free.modules())


@pytest.mark.parametrize("name", ["vgg11", "vgg13_bn", "vgg19"])
def test_other_vggs_give_the_same_channels(name):
    levels = VGGPyramid(name, None, "caffe", frozen=True)(torch.zeros(1, 1, 16, 16))
    assert tuple(level.shape[1] for level in levels) == VGG_CHANNELS


def test_what_does_not_fit_is_refused(whole, tmp_path):
    with pytest.raises(ValueError, match="must be a VGG of timm"):
        VGGPyramid("resnet18", None, "caffe", frozen=True)
    with pytest.raises(ValueError, match="preprocessing must be one of auto, caffe, torchvision"):
        VGGPyramid("vgg16", None, "keras", frozen=True)
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        VGGPyramid("vgg16", str(tmp_path / "none.pth"), "caffe", frozen=True)
    path, state = tmp_path / "other.pth", published(whole)
    torch.save({k: v for k, v in state.items() if k != "features.0.bias"}, path)
    with pytest.raises(ValueError, match=r"do not fit vgg16: missing features\.0\.bias$"):
        VGGPyramid("vgg16", str(path), "caffe", frozen=True)
    torch.save({**state, "features.0.weight": torch.zeros(64, 1, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"features\.0\.weight is \(64, 1, 3, 3\), needs"):
        VGGPyramid("vgg16", str(path), "caffe", frozen=True)
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"do not fit vgg16_bn: .*; and [0-9]+ more"):
        VGGPyramid("vgg16_bn", str(path), "caffe", frozen=True)


def convolutions(network) -> dict[str, torch.Tensor]:
    return {k: v for k, v in network.state_dict().items() if k.startswith("features.")}


@pytest.mark.parametrize(
    ("more", "metadata", "expected"),
    [
        ("classifier.6.weight", None, "torchvision"),  # as torchvision names it
        ("pre_logits.fc1.weight", None, "torchvision"),  # as timm
        ("head.fc.bias", {"format": "pt"}, "torchvision"),
        ("classifier.6.weight", {"preprocessing": "caffe"}, "caffe"),
        (None, {"preprocessing": "caffe"}, "caffe"),
        (None, {"preprocessing": "torchvision"}, "torchvision"),
    ],
)
def test_the_preprocessing_is_taken_from_the_file(whole, tmp_path, more, metadata, expected):
    path = tmp_path / "vgg16.safetensors"
    state = convolutions(whole) | ({} if more is None else {more: torch.zeros(3)})
    save_file(state, path, metadata)
    vgg = VGGPyramid("vgg16", str(path), "auto", frozen=True)
    assert vgg.preprocessing == expected
    same = VGGPyramid("vgg16", None, expected, frozen=True)
    assert torch.equal(vgg.mean, same.mean)
    assert torch.equal(vgg.std, same.std)


@pytest.mark.parametrize("metadata", [None, {"preprocessing": "mine"}])
def test_a_file_that_does_not_tell_its_preprocessing_is_refused(whole, tmp_path, metadata):
    path = tmp_path / "vgg16.safetensors"
    save_file(convolutions(whole), path, metadata)
    with pytest.raises(ValueError, match=r"vgg16.safetensors does not tell .* say which"):
        VGGPyramid("vgg16", str(path), "auto", frozen=True)
    assert VGGPyramid("vgg16", str(path), "caffe", frozen=True).preprocessing == "caffe"


def test_known_files_are_known_by_their_checksums(whole, tmp_path, monkeypatch):
    path = tmp_path / "vgg16.pth"
    torch.save(published(whole), path)
    digest = pooch.file_hash(str(path))
    assert expected_preprocessing(str(path)) == "torchvision"
    monkeypatch.setattr(vgg_module, "FROM_CAFFE", (digest[:8],))
    assert expected_preprocessing(str(path)) == "caffe"
    monkeypatch.setattr(vgg_module, "NEITHER", (digest[:8],))
    with pytest.raises(ValueError, match="neither as caffe"):
        expected_preprocessing(str(path))


@pytest.mark.parametrize("kind", [Dahl16, HwangZhou16])
def test_what_a_file_says_stays_with_the_model(whole, tmp_path, kind):
    path = tmp_path / "vgg16.safetensors"
    save_file(convolutions(whole), path, {"preprocessing": "caffe"})
    model = kind(encoder_weights=str(path)).eval()
    again = load_model(save_model(model, tmp_path / "trained.safetensors"))
    assert again.hparams["preprocessing"] == "caffe"
    assert torch.equal(again.network.vgg.mean, model.network.vgg.mean)
    plain = kind()
    assert plain.hparams["preprocessing"] == plain.network.vgg.preprocessing == "caffe"
