import pytest
import torch
from torch import nn

from deepcolor.inference import predict_logits
from deepcolor.metrics import BinAccuracy
from deepcolor.models.resnet34_classification import ResNet34Classification

LITERAL = {"head_k": 3, "literal": True, "loss_every": 1, "temperature": 0.0}


@pytest.fixture(scope="module")
def model():
    return ResNet34Classification().eval()


def above(model: ResNet34Classification) -> int:
    everything = sum(p.numel() for p in model.network.parameters())
    return everything - sum(p.numel() for p in model.network.encoder.parameters())


@pytest.mark.parametrize(("head_k", "count"), [(1, 1_492_045), (3, 10_492_045)])
def test_parameters_are_those_of_the_reports_table(head_k, count):
    model = ResNet34Classification(head_k=head_k)
    assert sum(p.numel() for p in model.network.encoder.parameters()) == 1_347_904
    assert above(model) == count


def test_layers_are_those_of_the_table(model):
    block = [nn.Upsample, nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(m) for m in model.network.decoder] == block * 2
    convolutions = [m for m in model.network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions[-4:]] == [64, 500, 1000, 625]


@torch.no_grad()
def test_the_encoder_ends_at_28_by_28(model):
    assert model.network.encoder(torch.rand(1, 1, 224, 224)).shape == (1, 128, 28, 28)


@pytest.mark.parametrize("head_k", [1, 3])
@torch.no_grad()
def test_the_logits_that_the_loss_takes_are_pixels_of_those_at_full_size(head_k):
    model = ResNet34Classification(head_k=head_k).eval()
    luminance = torch.rand(1, 1, 32, 48) * 100
    full = model.logits_at(luminance, 1)
    assert full.shape == (1, 625, 32, 48)
    for every in (2, 4):
        some = model.logits_at(luminance, every)
        assert torch.allclose(some, full[:, :, ::every, ::every], atol=1e-4)
    ab = model.decode(full)
    assert torch.allclose(model(luminance), ab, atol=1e-3)


@torch.no_grad()
def test_doubling_last_is_the_table_with_a_pointwise_head(model):
    network = model.network
    grey = torch.rand(1, 1, 32, 32)
    x = nn.functional.interpolate(network.decoder(network.encoder(grey)), scale_factor=2)
    want = network.head(torch.relu(network.norm(network.hidden(x))))
    assert torch.allclose(network(grey), want, atol=1e-5)


def test_bins_are_25_by_25_of_ten_units(model):
    ab = torch.rand(1, 2, 16, 16) * 220 - 110
    cells = ((ab / 10).round() + 12).clamp(0, 24).long()
    assert torch.equal(model.quantizer.hard_encode(ab), 25 * cells[:, 0] + cells[:, 1])


def test_the_loss_is_cross_entropy_on_hard_targets(model):
    luminance, ab = torch.rand(2, 1, 32, 32) * 100, torch.randn(2, 2, 32, 32) * 30
    with torch.no_grad():
        have = model.loss(luminance, ab)
        target = model.quantizer.hard_encode(ab[:, :, ::4, ::4])
        want = nn.functional.cross_entropy(model.logits_at(luminance, 1)[:, :, ::4, ::4], target)
    assert set(have) == {"cross_entropy"}
    assert float(have["cross_entropy"]) == pytest.approx(float(want), rel=1e-4)


def test_the_combined_loss_adds_regression():
    model = ResNet34Classification(regression_share=0.5)
    terms = model.loss(torch.rand(2, 1, 32, 32) * 100, torch.randn(2, 2, 32, 32) * 30)
    assert set(terms) == {"cross_entropy", "huber"}
    assert all(value > 0 for value in terms.values())
    terms["huber"].backward()
    assert model.network.head.weight.grad.any()


@torch.no_grad()
def test_the_literal_variant_rectifies_its_logits_and_decodes_the_mode():
    model = ResNet34Classification(**LITERAL).eval()
    luminance = torch.rand(1, 1, 16, 16) * 100
    assert model.logits_at(luminance, 1).min() == 0
    ab = model(luminance)
    assert torch.equal(ab, (ab / 10).round() * 10)  # bin centres
    assert torch.isfinite(model.loss(luminance, torch.zeros(1, 2, 16, 16))["cross_entropy"])
    assert ResNet34Classification().eval().logits_at(luminance, 1).min() < 0


def test_rebalancing_weighs_bins_by_the_prior():
    model = ResNet34Classification(mix=0.5).eval()
    luminance, ab = torch.rand(1, 1, 32, 32) * 100, torch.zeros(1, 2, 32, 32)
    plain = float(model.loss(luminance, ab)["cross_entropy"].detach())
    model.prior.fill_(0.5 / 624)
    model.prior[model.quantizer.hard_encode(ab)[0, 0, 0]] = 0.5  # grey is common: counts less
    assert float(model.loss(luminance, ab)["cross_entropy"].detach()) < 0.5 * plain


@pytest.mark.parametrize("backbone", ["resnet50", "vgg16"])
@torch.no_grad()
def test_other_backbones_fit(backbone):
    model = ResNet34Classification(backbone).eval()
    assert model(torch.rand(1, 1, 32, 32) * 100).shape == (1, 2, 32, 32)


@pytest.mark.parametrize(
    "options", [{"head_k": 2}, {"loss_every": 3}, {"regression_share": -1.0}, {"temperature": 2.0}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ResNet34Classification(**options)


def test_adam_is_the_reports(model):
    optimizer = model.configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-4


class Oracle(nn.Module):
    """Knows the bin of each pixel: it is written in the lightness."""

    pointwise = True

    def forward(self, grey: torch.Tensor, every: int = 1) -> torch.Tensor:
        bins = (grey[:, 0, ::every, ::every] * 624).round().long()
        return 50 * nn.functional.one_hot(bins, 625).movedim(-1, 1).float()


@torch.no_grad()
def test_the_logits_that_are_judged_are_of_the_whole_picture():
    model = ResNet34Classification().eval()
    model.network = Oracle()
    bins = torch.randperm(625)[: 24 * 16].reshape(1, 24, 16)
    luminance = (bins[:, None] * 100 / 624).repeat_interleave(2, 2).repeat_interleave(2, 3)
    accuracy = BinAccuracy(model.quantizer)
    ab = model.quantizer.decode(bins)
    accuracy.update(predict_logits(model, luminance, size=1536**0.5), ab)
    assert accuracy.compute()["top1"] == 100


@torch.no_grad()
def test_a_3x3_head_is_averaged_over_squares_as_a_distribution():
    model = ResNet34Classification(head_k=3).eval()
    nn.init.normal_(model.network.head.weight, std=0.1)
    luminance = torch.rand(1, 1, 32, 48) * 100
    full = model.logits_at(luminance, 1)
    means = nn.functional.avg_pool2d(full.softmax(dim=1), 2)
    assert torch.allclose(model.predict(luminance).probability(), means, atol=1e-6)
    mean_ab = nn.functional.avg_pool2d(model.decode(full, 1.0), 2)
    assert torch.allclose(model.predict(luminance).ab(1.0), mean_ab, atol=1e-2)
    assert torch.allclose(model.predict(luminance).ab(), model.decode(means.log()), atol=1e-2)
