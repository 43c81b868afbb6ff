import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from deepcolor.blocks.vgg import vgg_features
from deepcolor.losses import FeatureLoss


@pytest.fixture
def network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)
    )


def test_it_is_the_weighted_mean_distance_of_the_layers(network):
    loss = FeatureLoss(network, {0: 2.0, 2: 0.5}, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    one, other = torch.rand(2, 2, 3, 6, 7)
    network.eval()

    def seen(rgb):
        x = (rgb - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / (
            torch.tensor([0.2, 0.3, 0.4])[:, None, None]
        )
        first = network[0](x)
        return first, network[1](first).relu()

    (a, b), (c, d) = seen(one), seen(other)
    want = 2 * F.l1_loss(a, c) + 0.5 * F.l1_loss(b, d)
    assert torch.allclose(loss(one, other), want)
    assert loss(one, one) == 0


def test_the_network_is_not_trained_and_pictures_are(network):
    loss = FeatureLoss(network, {2: 1.0}).train()
    assert not any(part.training for part in loss.modules())
    predicted = torch.rand(1, 3, 4, 4, requires_grad=True)
    truth = torch.rand(1, 3, 4, 4, requires_grad=True)
    loss(predicted, truth).backward()
    assert predicted.grad.any()
    assert truth.grad is None
    assert all(p.grad is None for p in loss.parameters())


@pytest.mark.parametrize("layers", [{}, {4: 1.0}, {-1: 1.0}])
def test_layers_that_are_not_there_are_refused(network, layers):
    with pytest.raises(ValueError, match=r"numbers in 0\.\.3"):
        FeatureLoss(network, layers)


def test_pictures_of_two_shapes_are_refused(network):
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\) and \(1, 3, 4, 5\)"):
        FeatureLoss(network, {0: 1.0})(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


def test_vgg_is_read_from_a_file_of_torchvisions_and_numbered_as_there(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("vgg16_bn", mlp_ratio=1 / 4096)
    path = tmp_path / "vgg16_bn.safetensors"
    save_file(whole.state_dict(), path)
    features = vgg_features("vgg16_bn", str(path))
    kinds = {0: nn.Conv2d, 7: nn.Conv2d, 14: nn.Conv2d, 24: nn.Conv2d, 34: nn.Conv2d}
    kinds |= {22: nn.ReLU, 32: nn.ReLU, 42: nn.ReLU}
    kinds |= {23: nn.MaxPool2d, 33: nn.MaxPool2d, 43: nn.MaxPool2d}
    assert all(type(features[number]) is kind for number, kind in kinds.items())
    assert [features[n].out_channels for n in (0, 7, 14, 24, 34)] == [64, 128, 256, 512, 512]
    for key, value in features.state_dict().items():
        assert torch.equal(value, whole.state_dict()[f"features.{key}"])


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "vgg13_bn.safetensors"
    save_file(timm.create_model("vgg13_bn", mlp_ratio=1 / 4096).state_dict(), path)
    with pytest.raises(ValueError, match="do not fit vgg16_bn"):
        vgg_features("vgg16_bn", str(path))
