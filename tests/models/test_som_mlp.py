import pytest
import torch
from lightning import Trainer
from torch import nn

from deepcolor.data import ColorizationDataModule
from deepcolor.models.som_mlp import SOMMLP, train_map
from deepcolor.weights import load_model, save_model


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def clusters(*centres: tuple[float, float]) -> torch.Tensor:
    number = torch.arange(8000) % len(centres)
    return torch.tensor(centres)[number] + 2 * torch.randn(8000, 2, generator=seeded())


@pytest.mark.parametrize("side", [2, 3, 4])
def test_the_map_unfolds_over_the_colours(side):
    pixels = torch.rand(8000, 2, generator=seeded()) * torch.tensor([80.0, 40.0])
    neurons = train_map(pixels, side, generator=seeded())
    assert neurons.shape == (side**2, 2)
    error = torch.cdist(pixels, neurons).amin(1).square().mean()
    assert error < 0.5 * (pixels - pixels.mean(0)).square().sum(1).mean()
    used = torch.cdist(pixels, neurons).argmin(1).bincount(minlength=side**2)
    assert (used > 0).all()


def test_neighbours_on_the_map_have_neighbouring_colours():
    pixels = torch.rand(8000, 2, generator=seeded()) * torch.tensor([80.0, 40.0])
    neurons = train_map(pixels, 4, generator=seeded()).reshape(4, 4, 2)
    beside = torch.cat([neurons.diff(dim=0).flatten(0, 1), neurons.diff(dim=1).flatten(0, 1)])
    corners = neurons[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert beside.norm(dim=1).max() < torch.pdist(corners).min()


def test_four_clusters_draw_four_neurons():
    corners = ((-30.0, -30.0), (-30.0, 30.0), (30.0, -30.0), (30.0, 30.0))
    neurons = train_map(clusters(*corners), 2, generator=seeded())
    nearest = torch.cdist(torch.tensor(corners), neurons).argmin(dim=1)
    assert nearest.unique().numel() == 4
    assert torch.cdist(torch.tensor(corners), neurons).amin(dim=1).max() < 20


def test_the_same_generator_trains_the_same_map():
    pixels = clusters((0.0, 0.0), (40.0, 10.0))
    assert torch.equal(*(train_map(pixels, 3, generator=seeded()) for _ in range(2)))


def test_one_colour_alone_trains_a_finite_map():
    neurons = train_map(torch.full((50, 2), 7.0), 3)
    assert torch.allclose(neurons, torch.full((9, 2), 7.0), atol=1e-3)


def test_no_pixels_are_refused():
    with pytest.raises(ValueError, match=r"needs \(N, 2\) pixels"):
        train_map(torch.zeros(0, 2), 3)


@pytest.mark.parametrize(
    ("hparams", "count"),
    [({}, 9_109), ({"side": 2}, 8_604), ({"side": 4, "patch": 15, "hidden": 20}, 4_856)],
)
def test_parameters(hparams, count):
    assert sum(p.numel() for p in SOMMLP(**hparams).network.parameters()) == count


@torch.no_grad()
def test_convolutions_are_the_perceptron_on_each_patch():
    model = SOMMLP(patch=5).eval()
    x = torch.rand(1, 1, 8, 8)
    padded = nn.functional.pad(x - 0.5, (2, 2, 2, 2), mode="reflect")
    patches = padded.unfold(2, 5, 1).unfold(3, 5, 1).reshape(64, 25)
    network = model.network
    hidden = torch.tanh(patches @ network.hidden.weight.reshape(100, 25).T + network.hidden.bias)
    want = hidden @ network.out.weight.reshape(9, 100).T + network.out.bias
    have = model.core(100 * x).movedim(1, -1).reshape(64, 9)
    assert torch.allclose(have, want, atol=1e-5)


def test_the_centre_pixel_names_the_class():
    model = SOMMLP(side=2)
    model.network.centres.copy_(torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]]))
    ab = torch.tensor([[1.0, 2], [48, 3], [24, 26], [60, 99]]).T.reshape(1, 2, 2, 2)
    assert model.classes(ab).flatten().tolist() == [0, 1, 2, 3]


@torch.no_grad()
def test_a_temperature_goes_from_the_expectation_to_the_likeliest_class():
    logits = torch.randn(1, 9, 6, 6)
    hard, mean = SOMMLP(decoding="hard"), SOMMLP(decoding="mean")
    assert torch.equal(mean.decode(logits, 0), hard.decode(logits))
    assert torch.equal(hard.decode(logits, 1), mean.decode(logits))
    assert (mean.decode(logits, 0.02) - hard.decode(logits)).abs().median() < 1


def test_hard_decoding_gives_centres_and_mean_decoding_blends():
    logits = torch.zeros(1, 9, 8, 8)
    logits[:, 4] = 3.0
    logits[:, 7] = 2.0
    hard = SOMMLP(decoding="hard")
    assert torch.equal(hard.decode(logits)[0, :, 3, 3], hard.network.centres[4])
    mean = SOMMLP(decoding="mean").decode(logits)[0, :, 3, 3]
    want = logits[0, :, 3, 3].softmax(0) @ hard.network.centres
    assert torch.allclose(mean, want, atol=1e-4)


@torch.no_grad()
def test_the_mode_filter_removes_single_pixels_and_keeps_edges():
    model = SOMMLP(decoding="hard", mode_filter=True)
    labels = torch.zeros(8, 8, dtype=torch.long)
    labels[:, 4:] = 1
    want = labels.clone()
    labels[2, 2] = 5
    logits = nn.functional.one_hot(labels, 9).movedim(-1, 0)[None].float()
    assert torch.equal(model._vote(logits)[0], want)


def test_rare_classes_count_as_much_as_frequent_ones():
    model = SOMMLP(side=2)
    model.network.centres.copy_(torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]]))
    ab = torch.zeros(1, 2, 8, 8)
    ab[0, 0, 0, 0] = 50.0  # one pixel of 64
    logits = torch.zeros(1, 4, 8, 8)
    logits[:, 0] = 5.0  # says the frequent class everywhere
    model.core = lambda _: logits
    loss = model.loss(torch.zeros(1, 1, 8, 8), ab)["cross_entropy"]
    each = nn.functional.cross_entropy(logits[0, :, 0, :2].T, torch.tensor([1, 0]))
    assert torch.allclose(loss, each, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_training_trains_the_map_first_and_the_weights_keep_it(photo_folder, tmp_path):
    data = ColorizationDataModule(str(photo_folder), size=64, batch_size=3, workers=0, held_out=3)
    data.setup()
    trainer = Trainer(
        max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    model = SOMMLP()
    lattice = model.network.centres.clone()
    trainer.fit(model, data.train_dataloader())
    assert bool(model.network.trained)
    assert not torch.equal(model.network.centres, lattice)
    assert model.network.centres[:, 1].mean() > 5  # a brown cat and a cup of coffee
    assert 0 < float(model.network.mean) < 1
    learned = model.network.centres.clone()
    model.on_train_start()  # as when training resumes
    assert torch.equal(model.network.centres, learned)
    again = load_model(save_model(model, tmp_path / "som.safetensors"))
    assert torch.equal(again.network.centres, learned)
    assert bool(again.network.trained)


@pytest.mark.parametrize(
    "wrong",
    [{"side": 5}, {"patch": 8}, {"patch": 17}, {"hidden": 0}, {"activation": "gelu"},
     {"decoding": "mode"}, {"mode_filter": True}],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SOMMLP(**wrong)
