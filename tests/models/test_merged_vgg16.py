from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.batch import Batch
from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.models import merged_vgg16
from deepcolor.models.merged_vgg16 import MergedVGG16, make_vgg16

FUSED = {"described": (1280, 11_594_386), "literal": (4352, 10_938_002)}


@pytest.fixture(scope="module")
def live():
    return MergedVGG16().eval()


@pytest.fixture
def given():
    return MergedVGG16(features="given")


def trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("head", FUSED)
def test_parameters_are_those_of_either_head(head):
    network = MergedVGG16(head=head, features="given").network
    channels, count = FUSED[head]
    assert network.decoder[0].in_channels == channels
    assert trained(network) == count


def test_vgg16_is_whole_up_to_fc2_and_frozen(live):
    frozen = [p for p in live.network.features.parameters() if not p.requires_grad]
    assert sum(p.numel() for p in frozen) == 134_260_544
    assert trained(live.network) == 11_594_386
    live.train()
    assert not any(m.training for m in live.network.features.modules())
    assert live.network.head[0].training
    live.eval()


def test_the_head_is_dropout_dense_relu(given):
    assert [type(m) for m in given.network.head] == [nn.Dropout, nn.Linear, nn.ReLU]
    assert given.network.head[0].p == 0.5
    assert isinstance(MergedVGG16(head="literal", features="given").network.head, nn.Identity)


@torch.no_grad()
def test_vectors_are_fc2_after_relu(live):
    luminance = torch.rand(1, 1, 64, 96) * 100
    vector = live.global_vector(luminance)
    assert vector.shape == (1, 4096)
    assert vector.min() == 0
    assert torch.allclose(live(luminance, vector=vector), live(luminance), atol=1e-3)


@torch.no_grad()
def test_vgg16_reads_what_keras_gives_it(live):
    seen = []
    hook = live.network.features.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    live.global_vector(torch.full((1, 1, 64, 64), 100.0))
    hook.remove()
    assert seen[0].shape == (1, 3, 224, 224)
    white = torch.tensor([255 - 103.939, 255 - 116.779, 255 - 123.68])  # BGR
    assert torch.allclose(seen[0].mean((0, 2, 3)), white, atol=1e-2)


def test_either_preprocessing_is_told_by_its_tag(live):
    assert "scale=255 mean=[103.939" in live.network.features.tag
    with torch.device("meta"):
        assert "scale=1 mean=[0.485" in make_vgg16("imagenet").tag


def test_the_file_says_what_vgg16_expects(monkeypatch):
    made = []

    def small(preprocess, weights=None):  # no 500 MB of weights
        made.append((preprocess, weights))
        return GlobalFeatures("resnet10t", 32, "features", [float(preprocess == "caffe")] * 3)

    monkeypatch.setattr(merged_vgg16, "make_vgg16", small)
    monkeypatch.setattr(
        merged_vgg16,
        "expected_preprocessing",
        {"tv.pth": "torchvision", "keras.safetensors": "caffe"}.__getitem__,
    )
    for file, preprocess in (("tv.pth", "imagenet"), ("keras.safetensors", "caffe")):
        model = MergedVGG16(encoder_weights=file)
        assert made[-1] == (preprocess, file)
        assert model.hparams["preprocess"] == preprocess
        told = MergedVGG16(features="given")
        assert told.hparams["preprocess"] == "auto"
        told.attach_classifier(file)
        assert made[-1] == (preprocess, file)
        assert told.hparams["preprocess"] == preprocess
        wanted = small(preprocess)
        cached = MergedVGG16(features="given")
        cached.trainer = SimpleNamespace(datamodule=SimpleNamespace(cache=Cache(wanted.tag)))
        cached.setup("fit")
        assert cached.hparams["preprocess"] == preprocess


class Cache:
    def __init__(self, tag: str) -> None:
        self.tag = tag

    def require(self, tag: str) -> None:
        assert tag == self.tag


@torch.no_grad()
def test_vectors_are_divided_by_their_peak(given):
    luminance, vector = torch.rand(2, 1, 64, 64) * 100, torch.rand(2, 4096)
    vector[1] = 0  # guarded
    given.eval()
    want = given(luminance, vector=vector)
    assert torch.isfinite(want).all()
    assert torch.allclose(given(luminance, vector=7 * vector), want, atol=1e-4)
    assert torch.allclose(given(luminance, vector=vector.half()), want, atol=0.1)


@torch.no_grad()
def test_the_vector_is_told_at_every_place(given):
    seen = []
    given.network.decoder.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    given.eval()(torch.rand(1, 1, 32, 64) * 100, vector=torch.rand(1, 4096))
    told = seen[0][:, 256:]
    assert told.shape == (1, 1024, 4, 8)
    assert torch.equal(told, told[..., :1, :1].expand_as(told))


def test_batches_carry_vectors(given):
    rgb, vector = torch.rand(2, 3, 32, 32), torch.rand(2, 4096)
    luminance, ab = Batch.of(rgb).lab()
    have = given.eval().terms(Batch.of((rgb, torch.tensor([3, 5]), vector)))  # and labels
    assert torch.equal(have["mse"], given.loss(luminance, ab, vector)["mse"])
    assert given.predict_step((rgb, vector), 0).shape == rgb.shape
    for batch in (rgb, (rgb, torch.tensor([3, 5]))):
        with pytest.raises(ValueError, match="without its classifier"):
            given.terms(Batch.of(batch))


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_the_plain_trainer_trains_it_on_vectors(given, quick_trainer):
    pictures = TensorDataset(torch.rand(4, 3, 32, 32), torch.rand(4, 4096))
    quick_trainer.fit(given, DataLoader(pictures, 2), DataLoader(pictures, 2))
    assert torch.isfinite(quick_trainer.callback_metrics["val/loss"])


def test_vectors_that_are_missing_or_of_another_width_are_refused(given):
    luminance, ab = torch.rand(2, 1, 32, 32) * 100, torch.zeros(2, 2, 32, 32)
    with pytest.raises(ValueError, match=r"without its classifier.*\(B, 4096\)"):
        given.loss(luminance, ab)
    with pytest.raises(ValueError, match=r"takes vectors \(2, 4096\), got \(2, 1000\)"):
        given.loss(luminance, ab, torch.rand(2, 1000))


@pytest.mark.parametrize("space", ["lab", "ycbcr"])
def test_what_is_encoded_decodes_to_itself(space):
    model = MergedVGG16(space, features="given")
    luminance, ab = split_lab(rgb_to_lab(torch.rand(1, 3, 8, 8)))
    encoded = model.encode_target(luminance, ab)
    assert (model.decode(encoded, luminance) - ab).abs().max() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "x"}, "described or literal"),
        ({"decoder": "x"}, "code or table"),
        ({"features": "x"}, "live or given"),
        ({"features": "given", "preprocess": "x"}, "auto or caffe or imagenet"),
        ({"features": "given", "encoder_weights": "vgg16.pth"}, 'features="live"'),
        ({"encoder_weights": "nowhere.pth"}, "no such file"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        MergedVGG16(**options)
