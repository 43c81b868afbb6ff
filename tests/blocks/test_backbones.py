import pytest
import timm
import torch
from safetensors.torch import save_file

from deepcolor.blocks.backbones import (
    TRUNKS,
    ClassifierTrunk,
    GlobalFeatures,
    load_backbone,
    read_weights,
)


@pytest.fixture(scope="module")
def resnet18():
    return {k: v.clone() for k, v in timm.create_model("resnet18").state_dict().items()}


@pytest.fixture(scope="module")
def file(resnet18, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18, path)
    return str(path)


@pytest.mark.parametrize("name", TRUNKS)
@torch.no_grad()
def test_trunks_say_their_channels_and_reduction(name):
    trunk = ClassifierTrunk(name, 8)
    assert trunk(torch.rand(1, 1, 32, 48)).shape == (1, trunk.channels, 4, 6)


@torch.no_grad()
def test_a_trunk_is_the_classifiers_first_stages(resnet18, file):
    whole = timm.create_model("resnet18", features_only=True, out_indices=(3,)).eval()
    whole.load_state_dict({k: v for k, v in resnet18.items() if k in whole.state_dict()})
    grey = torch.rand(1, 1, 64, 64)
    mean, std = (torch.tensor(whole.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    want = whole((grey - mean) / std)[0]
    assert torch.allclose(
        ClassifierTrunk("resnet18", 16, weights=file).eval()(grey), want, atol=1e-5
    )


@torch.no_grad()
def test_one_input_channel_sums_the_first_kernels(resnet18, file):
    trunk = ClassifierTrunk("resnet18", 8, inputs=1, weights=file)
    assert torch.allclose(trunk.conv1.weight, resnet18["conv1.weight"].sum(1, keepdim=True))
    assert trunk(torch.rand(1, 1, 32, 32)).shape == (1, 128, 4, 4)


def test_residual_branches_do_not_start_at_zero():
    assert ClassifierTrunk("resnet34", 16).get_submodule("layer1.0.bn2").weight.all()


@pytest.mark.parametrize("options", [{"name": "alexnet"}, {"inputs": 2}])
def test_trunks_that_are_not_there_are_refused(options):
    with pytest.raises(ValueError, match=r"there are: resnet18|1 or 3"):
        ClassifierTrunk(**{"name": "resnet18", "reduction": 8, **options})


def test_weights_that_do_not_fit_are_listed_up_to_ten(resnet18, tmp_path):
    missing = {k: v for k, v in resnet18.items() if not k.startswith("layer4")}
    save_file({**missing, "odd": torch.ones(1)}, tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match=r"do not fit resnet18: missing layer4.*more$") as e:
        ClassifierTrunk("resnet18", 8, weights=str(tmp_path / "missing.safetensors"))
    assert str(e.value).count("missing layer4") == 10
    torch.save({**resnet18, "odd": torch.ones(1), "fc.bias": torch.ones(5)}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"extra odd; fc.bias is \(5,\), needs \(1000,\)$"):
        ClassifierTrunk("resnet18", 8, weights=str(tmp_path / "a.pth"))


def test_files_that_hold_no_weights_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        read_weights(str(tmp_path / "none.pth"))
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"broken")
        with pytest.raises(ValueError, match=name):
            read_weights(str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="maps names to tensors"):
        read_weights(str(tmp_path / "list.pth"))


def test_a_pickle_is_not_executed(tmp_path):
    torch.save({"a": print}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match=r"code\.pth"):
        read_weights(str(tmp_path / "code.pth"))


def test_vgg16_takes_torchvisions_names(tmp_path):
    ours = torch.nn.Module()  # the shapes of VGG16 without its 138 million numbers
    ours.add_module("pre_logits", torch.nn.Module())
    ours.pre_logits.fc1 = torch.nn.Conv2d(512, 2, 7)
    ours.pre_logits.fc2 = torch.nn.Conv2d(2, 3, 1)
    ours.add_module("head", torch.nn.Module())
    ours.head.fc = torch.nn.Linear(3, 4)
    dense = torch.nn.Sequential(
        torch.nn.Linear(25088, 2), torch.nn.ReLU(), torch.nn.Dropout(),
        torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(3, 4),
    ).eval()  # fmt: skip
    torch.save({f"classifier.{k}": v for k, v in dense.state_dict().items()}, tmp_path / "v.pth")
    load_backbone(ours, "vgg16", str(tmp_path / "v.pth"))
    x = torch.rand(1, 512, 7, 7)
    y = torch.relu(ours.pre_logits.fc2(torch.relu(ours.pre_logits.fc1(x))))
    assert torch.allclose(ours.head.fc(y.flatten(1)), dense(x.flatten(1)), atol=1e-5)


@pytest.fixture(scope="module")
def features(file):
    return GlobalFeatures("resnet18", 64, "logits", (0.5,) * 3, (0.5,) * 3, weights=file)


def test_global_features_are_frozen_and_stay_in_evaluation_mode(features):
    model = torch.nn.Sequential(features).train()
    assert not any(m.training for m in features.modules())
    assert not any(p.requires_grad for p in model.parameters())
    grey = torch.rand(2, 1, 48, 80, requires_grad=True)
    assert not features(grey).requires_grad


@torch.no_grad()
def test_global_features_answer_as_the_classifier(features, resnet18):
    whole = timm.create_model("resnet18").eval()
    whole.load_state_dict(resnet18)
    grey = torch.rand(2, 1, 64, 64)
    want = whole((grey * 2 - 1).expand(-1, 3, -1, -1))
    assert torch.allclose(features(grey), want, atol=1e-4)
    assert features(torch.rand(1, 1, 31, 90)).shape == (1, 1000)


def test_tags_tell_preprocessings_apart(features):
    other = GlobalFeatures("resnet18", 64, "logits", (0.5,) * 3, (0.25,) * 3)
    assert features.tag != other.tag
    assert "resnet18 logits 64" in features.tag
