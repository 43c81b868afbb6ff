"""Models of others: what they override, and what then works without more."""

from dataclasses import replace

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.batch import Batch
from deepcolor.color import join_lab, lab_to_rgb
from deepcolor.gamut import clamp_to_gamut
from deepcolor.metrics import psnr
from deepcolor.models import Colorizer

SIDE = 16
pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


class Plain(Colorizer):
    """One convolution."""

    def __init__(self) -> None:
        super().__init__(lr=1e-2, weight_decay=0.0)
        self.network = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, luminance, guidance=None):
        self.check_input(luminance, guidance)
        return 50 * torch.tanh(self.network((luminance - 50) / 50))

    def loss(self, luminance, ab):
        return {"mse": nn.functional.mse_loss(self(luminance), ab)}


class Recurrent(Plain):
    """Half of each frame's chroma is that of the frame before. Learns from clips."""

    remembers = True

    def predict(self, luminance, guidance=None, memory=None):
        said = super().predict(luminance, guidance)
        ab = said.chroma if memory is None else (said.chroma + memory) / 2
        return replace(said, chroma=ab, memory=ab)

    def terms(self, batch):
        luminance, ab = batch.lab()
        memory, costs = None, []
        for frame, truth in zip(luminance.unbind(1), ab.unbind(1), strict=True):
            said, memory = self.forward_frame(frame, memory)
            costs.append(nn.functional.mse_loss(said, truth))
        return {"mse": torch.stack(costs).mean()}


class Forgetful(Recurrent):
    def predict(self, luminance, guidance=None, memory=None):
        return super().predict(luminance, guidance, None)


class Stuck(Recurrent):
    def predict(self, luminance, guidance=None, memory=None):
        said = super().predict(luminance, guidance, memory)
        return said if memory is None else replace(said, memory=memory)


class Silent(Recurrent):
    def predict(self, luminance, guidance=None, memory=None):
        return replace(super().predict(luminance, guidance, memory), memory=None)


class TwoWays(Recurrent):
    def forward_frame(self, luminance, memory=None, guidance=None):
        return self(luminance), super().forward_frame(luminance, memory)[1]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Plain, None),
        (Recurrent, None),
        (Forgetful, "forgotten"),
        (Stuck, "stays as the first frame left it"),
        (Silent, "remembers does not say"),
        (TwoWays, "forward_frame says other"),
    ],
)
def test_three_frames_tell_who_forgets(kind, wrong, three_frames):
    torch.manual_seed(0)
    if wrong is None:
        three_frames(kind(), SIDE)
    else:
        with pytest.raises(AssertionError, match=wrong):
            three_frames(kind(), SIDE)


def quick(folder, **options) -> Trainer:
    return Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, log_every_n_steps=1, default_root_dir=folder, **options,
    )  # fmt: skip


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().clone().flatten() for p in module.parameters()])


def test_a_recurrent_model_trains_and_is_measured_on_clips(tmp_path):
    torch.manual_seed(0)
    clips = torch.randint(256, (2, 3, 3, SIDE, SIDE), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(clips), 2)
    model = Recurrent()
    before = weights(model)
    trainer = quick(tmp_path, max_steps=1)
    trainer.fit(model, loader, loader)
    assert not torch.equal(weights(model), before)
    figures = trainer.validate(model, loader, verbose=False)[0]
    model.eval()
    with torch.no_grad():
        coloured = model.predict_step(clips, 0)
        want = model.terms(Batch.of(clips))["mse"]
        by_itself = model.predict_step(clips[:, 2], 0)
    assert coloured.shape == clips.shape
    assert not torch.equal(coloured[:, 2], by_itself)  # each frame follows from those before
    assert figures["val/loss"] == pytest.approx(float(want), rel=1e-5)
    errors = (coloured - clips / 255).square().flatten(0, 1).flatten(1).mean(1)
    assert figures["val/psnr"] == pytest.approx(float((-10 * errors.log10()).mean()), rel=1e-4)


class Adversarial(Plain):
    """Only `optimize` differs: it steps two optimizers by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.critic = nn.Linear(1, 1)

    def optimize(self, terms):
        generator, critic = self.optimizers()
        for optimizer, loss in (
            (generator, torch.stack(list(terms.values())).sum()),
            (critic, self.critic(terms["mse"].detach().view(1, 1)).square().sum()),
        ):
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), 1e-6) for part in (self.network, self.critic)]


def test_an_adversarial_family_overrides_one_method(tmp_path):
    model = Adversarial()
    before = [weights(part) for part in (model.network, model.critic)]
    pictures = torch.randint(256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(pictures), 2)
    quick(tmp_path, max_steps=2).fit(model, loader, loader)
    for part, old in zip((model.network, model.critic), before, strict=True):
        assert not torch.equal(weights(part), old)


class Told(Plain):
    """Needs a vector wherever it looks, and a label to learn."""

    inputs, targets = ("vector",), ("label",)

    def forward(self, luminance, guidance=None, vector=None):
        return super().forward(luminance) + vector[:, :1, None, None]

    def loss(self, luminance, ab, vector=None, label=None):
        self.given = vector, label
        return {"mse": nn.functional.mse_loss(self(luminance, None, vector), ab)}

    def log(self, *_, **__):
        pass


def test_what_is_known_beside_degraded_pictures_reaches_the_model():
    rgb = torch.randint(256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    vector, label = torch.rand(2, 4), torch.tensor([1, 2])
    batch = Batch(rgb=rgb, seen=255 - rgb, vector=vector, label=label)
    model = Told()
    for step in (model.training_step, model.validation_step):
        step(batch, 0)
        assert model.given[0] is vector
        assert model.given[1] is label
    assert model.predict_step(batch, 0).shape == rgb.shape


def test_a_validation_judges_the_chroma_that_is_made_of_what_the_network_sees():
    rgb = torch.randint(256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    batch = Batch(rgb=rgb, seen=255 - rgb)
    model = Plain().eval()
    with torch.no_grad():
        model.validation_step(batch, 0)
        ab = model(batch.lab()[0])
        lab = clamp_to_gamut(join_lab(Batch.of(rgb).lab()[0], ab))  # on the true lightness
        want = psnr(lab_to_rgb(lab), batch.truth()).mean()
        cost = model.terms(batch)["mse"]
    assert model.figures.psnr.compute() == pytest.approx(float(want), rel=1e-5)
    assert model.figures.loss.compute() == pytest.approx(float(cost), rel=1e-5)


def test_an_interrupted_validation_counts_no_more(tmp_path):
    model = Plain()
    pictures = torch.randint(256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(pictures), 2)
    want = quick(tmp_path).validate(model, loader, verbose=False)[0]
    assert model.figures is None
    model.validation_step(torch.zeros_like(pictures), 0)  # and then somebody pressed Ctrl-C
    assert quick(tmp_path).validate(model, loader, verbose=False)[0] == want
    tested = quick(tmp_path).test(model, loader, verbose=False)[0]
    assert tested == {key.replace("val", "test"): value for key, value in want.items()}
