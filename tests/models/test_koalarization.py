import pytest
import torch
from torch import nn

from deepcolor.models.koalarization import Koalarization
from deepcolor.weights import load_model, save_model


@pytest.fixture(scope="module")
def live():
    return Koalarization().eval()


def trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(("classes", "count"), [(1000, 6_573_794), (1001, 6_574_050)])
def test_parameters_are_the_papers(classes, count):
    assert trained(Koalarization(classes, features="given").network) == count


def test_the_classifier_is_whole_and_frozen(live):
    assert sum(p.numel() for p in live.network.features.parameters()) == 55_843_464
    assert trained(live.network) == 6_573_794
    live.train()
    assert not any(m.training for m in live.network.features.modules())
    live.eval()


def test_layers_are_the_papers():
    network = Koalarization(features="given").network
    convolutions = [m for m in network.encoder if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 128, 256, 256, 512, 512, 256]
    assert [m.stride[0] for m in convolutions] == [2, 1, 2, 1, 2, 1, 1, 1]
    assert network.fusion.weight.shape == (256, 1256, 1, 1)
    steps = [m.out_channels if isinstance(m, nn.Conv2d) else type(m).__name__
             for m in network.decoder if not isinstance(m, nn.ReLU)]  # fmt: skip
    assert steps == [128, "Upsample", 64, 64, "Upsample", 32, 2, "Tanh", "Upsample"]


@torch.no_grad()
def test_the_classifier_reads_299_pixels_in_minus_one_to_one(live):
    seen = []
    backbone = live.network.features.backbone
    hook = backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    ramp = torch.linspace(0, 100, 64).expand(1, 1, 64, 64)
    live.global_vector(ramp)
    hook.remove()
    assert seen[0].shape == (1, 3, 299, 299)
    assert -1 <= seen[0].min() < -0.97
    assert 0.97 < seen[0].max() <= 1
    assert torch.equal(seen[0][:, 0], seen[0][:, 2])


@torch.no_grad()
def test_vectors_are_logits_before_softmax(live):
    luminance = torch.rand(1, 1, 64, 64) * 100
    vector = live.global_vector(luminance)
    assert vector.shape == (1, 1000)
    assert vector.min() < 0
    assert torch.allclose(live(luminance, vector=vector), live(luminance), atol=1e-3)


@torch.no_grad()
def test_luminance_comes_in_as_minus_one_to_one_and_ab_over_127():
    model = Koalarization(features="given")
    seen = []
    model.network.encoder.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    luminance = torch.tensor([0.0, 100.0]).repeat(1, 1, 8, 4)
    model(luminance, vector=torch.zeros(1, 1000))
    assert set(seen[0].flatten().tolist()) == {-1.0, 1.0}
    ab = torch.randn(1, 2, 8, 8) * 40
    assert torch.equal(model.encode_target(luminance, ab), ab / 127)
    assert torch.allclose(model.decode(ab / 127, luminance), ab)


def test_vectors_that_are_missing_or_of_another_width_are_refused():
    model = Koalarization(features="given")
    luminance = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match="without its classifier"):
        model(luminance)
    with pytest.raises(ValueError, match=r"\(1, 1000\), got \(1, 1001\)"):
        model(luminance, vector=torch.zeros(1, 1001))


@torch.no_grad()
def test_a_model_trained_on_given_vectors_becomes_live(live, tmp_path):
    torch.save(live.network.features.backbone.state_dict(), tmp_path / "inception.pth")
    model = Koalarization(features="given").eval()
    luminance = torch.rand(1, 1, 64, 64) * 100
    want = model(luminance, vector=live.global_vector(luminance))
    model.attach_classifier(str(tmp_path / "inception.pth"))
    assert torch.allclose(model(luminance), want, atol=1e-3)
    again = load_model(save_model(model, tmp_path / "live.safetensors"))
    assert torch.equal(again(luminance), model(luminance))


def test_options_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="live or given"):
        Koalarization(features="cached")
    with pytest.raises(ValueError, match='features="live"'):
        Koalarization(features="given", encoder_weights="weights.pth")


def test_adam_is_the_papers():
    optimizer = Koalarization(features="given").configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-3
