import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.batch import Batch
from deepcolor.color import lightness_to_grey
from deepcolor.data import ColorizationDataModule
from deepcolor.models.iizuka16 import Iizuka16


@pytest.fixture(scope="module")
def places():
    return Iizuka16(classes=205)


def layers(stack: nn.Module) -> list[tuple[int, int]]:
    return [(m.out_channels, m.stride[0]) for m in stack.modules() if isinstance(m, nn.Conv2d)]


def batch(count: int = 2, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 1, side, side) * 100, torch.randn(count, 2, side, side) * 20


def test_parameters_are_the_papers():
    network = Iizuka16(classes=205, norm=False).network
    assert sum(p.numel() for p in network.parameters()) == 42_353_839  # 42.35 M


def test_layers_are_the_papers(places):
    network = places.network
    assert layers(network.low) == [(64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1)]
    assert layers(network.wide) == [(512, 2), (512, 1), (512, 2), (512, 1)]
    assert layers(network.middle) == [(512, 1), (256, 1)]
    assert layers(network.colour) == [(128, 1), (64, 1), (64, 1), (32, 1), (2, 1)]
    assert network.fusion[0].weight.shape == (256, 512, 1, 1)
    dense = [m.weight.shape for m in network.modules() if isinstance(m, nn.Linear)]
    assert [tuple(shape) for shape in dense] == [
        (1024, 25088), (512, 1024), (256, 512), (256, 512), (205, 256),
    ]  # fmt: skip


def test_chroma_doubles_three_times_after_128_64_and_the_sigmoid(places):
    steps = [
        m.out_channels if isinstance(m, nn.Conv2d) else type(m).__name__
        for m in places.network.colour.modules()
        if isinstance(m, (nn.Conv2d, nn.Upsample, nn.Sigmoid))
    ]
    assert steps == [128, "Upsample", 64, 64, "Upsample", 32, 2, "Sigmoid", "Upsample"]


@pytest.mark.parametrize("norm", [True, False])
def test_normalization_stands_between_layer_and_relu(norm):
    kinds = [type(m) for m in Iizuka16(norm=norm).network.low]
    assert kinds == ([nn.Conv2d, nn.BatchNorm2d, nn.ReLU] if norm else [nn.Conv2d, nn.ReLU]) * 6


@torch.no_grad()
def test_the_global_branch_reads_224_pixels_and_the_local_its_own(places):
    seen = []
    hook = places.network.low.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-2:]))
    places.eval()(torch.rand(1, 1, 64, 96) * 100)
    assert seen == [(224, 224), (64, 96)]
    seen.clear()
    places(torch.rand(1, 1, 224, 224) * 100)
    assert seen == [(224, 224)]  # the same picture: once
    hook.remove()


@torch.no_grad()
def test_small_reads_one_size_and_enlarges_the_chroma():
    model = Iizuka16(local="small").eval()
    seen = []
    model.network.low.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[-2:]))
    assert model(torch.rand(1, 1, 64, 96) * 100).shape == (1, 2, 64, 96)
    assert seen == [(224, 224)]


@torch.no_grad()
def test_the_network_sees_luma_less_its_mean(places):
    seen = []
    hook = places.network.low.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    luminance = torch.rand(1, 1, 64, 64) * 100
    places.eval()(luminance)
    hook.remove()
    assert torch.allclose(seen[1], lightness_to_grey(luminance) - 0.449)


def test_targets_are_centred_and_halved():
    model = Iizuka16()
    luminance, ab = batch()
    encoded = model.encode_target(luminance, ab)
    assert torch.allclose(encoded, (ab / 100 + 1) / 2)
    assert torch.allclose(model.decode(encoded, luminance), ab, atol=1e-4)


def test_the_class_loss_is_cross_entropy_over_300(places):
    luminance, ab = batch()
    labels = torch.tensor([0, 204])
    terms = places.train().loss(luminance, ab, labels)
    assert set(terms) == {"mse", "scene"}
    scores = places.answer(luminance).scores
    want = nn.functional.cross_entropy(scores, labels) / 300
    assert float(terms["scene"].detach()) == pytest.approx(float(want.detach()), rel=1e-4)


def test_the_class_gradient_does_not_enter_the_colour_head(places):
    places.zero_grad()
    luminance, ab = batch()
    places.train().loss(luminance, ab, torch.tensor([3, 5]))["scene"].backward()
    for part in ("colour", "fusion", "middle", "vector"):
        assert all(p.grad is None for p in places.network.get_submodule(part).parameters()), part
    for part in ("low", "wide", "dense", "scene"):
        assert all(p.grad.any() for p in places.network.get_submodule(part).parameters()), part


def test_colour_and_scene_together_reach_every_parameter(places):
    places.zero_grad()
    luminance, ab = batch()
    torch.stack(
        list(places.train().loss(luminance, ab, torch.tensor([3, 5])).values())
    ).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in places.parameters())


def test_batches_carry_labels(places):
    rgb, labels = torch.rand(2, 3, 32, 32), torch.tensor([1, 2])
    terms = places.eval().terms(Batch.of((rgb, labels)))
    want = places.loss(*Batch.of(rgb).lab(), labels)
    assert torch.equal(terms["scene"], want["scene"])
    assert set(Iizuka16().terms(Batch.of((rgb, labels)))) == {"mse"}
    assert places.predict_step((rgb, labels), 0).shape == rgb.shape


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_the_plain_trainer_trains_it_on_labels(quick_trainer):
    pictures = TensorDataset(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3]))
    model = Iizuka16(classes=4)
    quick_trainer.fit(model, DataLoader(pictures, 2), DataLoader(pictures, 2))
    assert {"train/mse", "train/scene", "val/loss"} <= set(quick_trainer.callback_metrics)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "needs labels"),
        (torch.tensor([1]), r"\(2,\) whole numbers, got \(1,\)"),
        (torch.rand(2), "whole numbers"),
        (torch.tensor([0, 205]), r"0\.\.204"),
    ],
)
def test_labels_that_do_not_fit_are_refused(places, labels, message):
    with pytest.raises(ValueError, match=message):
        places.loss(*batch(), labels)


@pytest.mark.parametrize("options", [{"classes": 1}, {"class_weight": -1.0}, {"local": "large"}])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Iizuka16(**options)


def test_the_optimizer_is_adadelta():
    assert type(Iizuka16().configure_optimizers()) is torch.optim.Adadelta


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_the_names_of_folders_train_the_joint_loss(photo_folder, quick_trainer):
    def photographs():
        return ColorizationDataModule(
            photo_folder, size=32, batch_size=3, workers=0, held_out=3, labels=True
        )

    quick_trainer.fit(Iizuka16(classes=2), photographs())
    assert {"train/mse", "train/scene", "val/loss"} <= set(quick_trainer.callback_metrics)
    with pytest.raises(ValueError, match=r"photos has 2 folders; give classes=2"):
        quick_trainer.fit(Iizuka16(classes=205), photographs())
