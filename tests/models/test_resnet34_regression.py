import pytest
import torch
from torch import nn

from deepcolor.models.resnet34_regression import ResNet34Regression


@pytest.fixture(scope="module")
def model():
    return ResNet34Regression()


def test_parameters_are_those_of_the_reports_table(model):
    assert sum(p.numel() for p in model.network.encoder.parameters()) == 8_170_304
    assert sum(p.numel() for p in model.network.decoder.parameters()) == 388_322
    assert all(p.requires_grad for p in model.parameters())  # fine-tuned


def test_decoder_layers_are_those_of_the_table(model):
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Upsample]
    assert [type(m) for m in model.network.decoder] == [
        *block * 3,
        nn.Conv2d,
        nn.Sigmoid,
        nn.Upsample,
    ]
    convolutions = [m for m in model.network.decoder if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [
        (256, 128), (128, 64), (64, 32), (32, 2),
    ]  # fmt: skip
    assert all(m.mode == "nearest" for m in model.network.decoder if isinstance(m, nn.Upsample))


@torch.no_grad()
def test_the_encoder_ends_at_14_by_14(model):
    assert model.network.encoder(torch.rand(1, 1, 224, 224)).shape == (1, 256, 14, 14)


@torch.no_grad()
def test_the_encoder_sees_l_three_times_with_imagenets_statistics(model):
    seen = []
    hook = model.network.encoder.conv1.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    model.eval()(torch.full((1, 1, 32, 32), 60.0))
    hook.remove()
    want = (0.6 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(seen[0][0, :, 0, 0], want)


def test_targets_are_those_of_8_bit_lab(model):
    ab = torch.tensor([-128.0, 0.0, 127.0]).repeat(1, 2, 1, 1)
    encoded = model.encode_target(torch.zeros(1, 1, 1, 3), ab)
    assert encoded[0, 0, 0].tolist() == pytest.approx([0, 128 / 255, 1])
    assert torch.allclose(model.decode(encoded, torch.zeros(1, 1, 1, 3)), ab, atol=1e-4)


@pytest.mark.parametrize("options", [
    {"backbone": "resnet18"}, {"backbone": "vgg16"}, {"inputs": 1}, {"upsampling": "bilinear"},
])  # fmt: skip
def test_variants_train(options):
    model = ResNet34Regression(**options)
    luminance, ab = torch.rand(2, 1, 32, 32) * 100, torch.randn(2, 2, 32, 32) * 20
    model.loss(luminance, ab)["mse"].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval()(luminance).shape == ab.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upsampling": "deconvolution"}, "nearest or bilinear"),
        ({"backbone": "alexnet"}, "resnet152, vgg16"),
        ({"encoder_weights": "nowhere.pth"}, "no such weights file"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ResNet34Regression(**options)


def test_adam_is_the_reports(model):
    optimizer = model.configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-4
