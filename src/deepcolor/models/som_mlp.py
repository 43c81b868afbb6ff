"""Richart et al. 2017 (also the SOM wiki page): a few colours by a map, and a patch classifier.

First a self-organizing map finds a handful of colours among the training pixels; then a perceptron
says from the grey patch about a pixel which of them the pixel has. As convolutions, the perceptron
answers for all pixels at once.
"""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from deepcolor.batch import Batch
from deepcolor.guidance import Guidance, Kind
from deepcolor.models._training import Colorizer
from deepcolor.models.loaders import plain_loader
from deepcolor.models.prediction import DecodedPrediction, Prediction

__all__ = ["SOMMLP", "train_map"]

RATE = (0.5, 0.01)  # of the map's learning, from first to last
LAST_RADIUS = 0.5  # of the neighbourhood on the map; it starts with half of the side
PASSES = 20  # over the pixels
CROWD = 256  # pixels that move the map at once, by the mean of their moves
LARGEST_PATCH = 15
PICTURES, PIXELS = 2048, 100  # training pictures that the map is trained on, pixels of each
SEED = 0
SPREAD = 40.0  # CIELAB units; of the map before it has seen pixels


@torch.no_grad()
def train_map(
    pixels: Tensor, side: int, passes: int = PASSES, generator: torch.Generator | None = None
) -> Tensor:
    """Train a self-organizing map (Kohonen 1982) on chroma.

    Each pixel x moves every neuron by rate * exp(-d^2 / 2 r^2) * (x - w), where d is the distance
    on the map to the neuron nearest to x; rate and radius r shrink geometrically. The map starts
    as a lattice along the principal axes of the pixels, one deviation to either side.

    Args:
        pixels: (N, 2) ab, in CIELAB units.
        side: neurons along each side of the square map.
        passes: how often each pixel is shown.
        generator: a CPU generator of the order; torch's own when None.

    Returns:
        (side * side, 2) ab of the neurons, row by row.
    """
    if pixels.ndim != 2 or pixels.shape[1] != 2 or not len(pixels):
        raise ValueError(f"the map needs (N, 2) pixels, got {tuple(pixels.shape)}")
    pixels = pixels.float()
    places = _lattice(side).to(pixels.device)  # (J, 2)
    distance = torch.cdist(places, places).square()  # (J, J)
    centred = pixels - pixels.mean(dim=0)
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(pixels))  # axes as columns
    start = places - places.mean(dim=0)
    start = start / start.abs().max()
    neurons: Tensor = pixels.mean(dim=0) + (start * variance.clamp(min=0).sqrt()) @ axes.T

    steps = passes * -(-len(pixels) // CROWD)
    first_radius = max(side / 2, LAST_RADIUS)
    done = 0
    for _ in range(passes):
        order = torch.randperm(len(pixels), generator=generator).to(pixels.device)
        for crowd in torch.split(pixels[order], CROWD):
            share = done / max(1, steps - 1)
            rate = RATE[0] * (RATE[1] / RATE[0]) ** share
            radius = first_radius * (LAST_RADIUS / first_radius) ** share
            nearest = torch.cdist(crowd, neurons).argmin(dim=1)
            pull = torch.exp(-distance[nearest] / (2 * radius**2))  # (n, J)
            # The mean over the crowd of pull * (x - w), without a tensor of all differences.
            move = (pull.T @ crowd - pull.sum(dim=0)[:, None] * neurons) / len(crowd)
            neurons = neurons + rate * move
            done += 1
    return neurons


def _lattice(side: int) -> Tensor:
    axis = torch.arange(side).float()
    return torch.cartesian_prod(axis, axis)


class SOMMLPNetwork(nn.Module):
    """A perceptron on the patch about each pixel, and the colours that it tells apart."""

    centres: Tensor
    mean: Tensor
    trained: Tensor

    def __init__(self, side: int, patch: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(1, hidden, patch)
        self.activate = torch.tanh_ if activation == "tanh" else torch.relu_  # in place
        self.out = nn.Conv2d(hidden, side * side, 1)
        start = _lattice(side) - (side - 1) / 2
        self.register_buffer("centres", SPREAD * start / start.max())
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("trained", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) L / 100 -> (B, C, H, W) logits over the map's colours."""
        margin = self.hidden.kernel_size[0] // 2
        x = F.pad(x - self.mean, (margin, margin, margin, margin), mode="reflect")
        x = self.hidden(x)
        logits: Tensor = self.out(self.activate(x))
        return logits


class SOMMLP(Colorizer):
    """A self-organizing map's colours, told by local texture: 9,109 parameters.

    The map is trained on the training pictures when training starts, and kept with the weights.
    Until then its colours are a plain lattice.

    Args:
        side: neurons along each side of the map, 2 to 4.
        patch: side of the grey patch in pixels, odd, 1 to 15; lost in the source.
        hidden: units of the hidden layer, up to 100 in the source.
        activation: of the hidden layer, "tanh" or "relu".
        decoding: "hard" gives the colour of the likeliest class, as the source; "mean" the
            expectation.
        mode_filter: with "hard": each pixel takes the class most frequent among its 3 x 3.
        lr: of Adam.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 256
    stride: ClassVar[int] = 8  # any would do; reflecting 7 pixels at the border needs 8
    network: SOMMLPNetwork

    def __init__(
        self,
        side: int = 3,
        patch: int = 9,
        hidden: int = 100,
        activation: Literal["tanh", "relu"] = "tanh",
        decoding: Literal["hard", "mean"] = "mean",
        mode_filter: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        if side not in (2, 3, 4):
            raise ValueError(f"side must be 2, 3 or 4, got {side}")
        if not 1 <= patch <= LARGEST_PATCH or patch % 2 == 0:
            raise ValueError(f"patch must be odd, 1 to {LARGEST_PATCH}, got {patch}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if activation not in ("tanh", "relu"):
            raise ValueError(f"activation must be tanh or relu, got {activation!r}")
        if decoding not in ("hard", "mean"):
            raise ValueError(f"decoding must be hard or mean, got {decoding!r}")
        if mode_filter and decoding != "hard":
            raise ValueError("mode_filter works on classes: it needs decoding='hard'")
        self.save_hyperparameters()
        self.side = side
        self.decoding = decoding
        self.mode_filter = mode_filter
        self.network = SOMMLPNetwork(side, patch, hidden, activation)

    def core(self, luminance: Tensor) -> Tensor:
        """(B, 1, H, W) L in [0, 100] -> (B, C, H, W)."""
        logits: Tensor = self.network(luminance / 100)
        return logits

    def classes(self, ab: Tensor) -> Tensor:
        """Number of the nearest neuron: (B, 2, H, W) ab -> (B, H, W) int64."""
        return torch.cdist(ab.movedim(1, -1).float(), self.network.centres).argmin(dim=-1)

    def decode(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        """(B, C, H, W) logits -> (B, 2, H, W) ab, in CIELAB units.

        A temperature has the annealed mean: 1 the expectation, 0 the likeliest class; None has
        the model's own decoding.
        """
        if temperature is None:
            temperature = 0.0 if self.decoding == "hard" else 1.0
        if temperature == 0:
            return self.network.centres[self._vote(logits)].movedim(-1, 1)
        with torch.autocast(logits.device.type, enabled=False):
            probability = torch.softmax(logits.float() / temperature, dim=1)
            return torch.einsum("bqhw,qc->bchw", probability, self.network.centres)

    def _vote(self, logits: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H, W): the likeliest class, or the most frequent of them around."""
        labels = logits.argmax(dim=1)
        if not self.mode_filter:
            return labels
        votes = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
        around = F.avg_pool2d(votes, 3, stride=1, padding=1, divisor_override=1)
        return (around + votes / 2).argmax(dim=1)  # in a draw the pixel's own class wins

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> Prediction:
        self.check_input(luminance, guidance)
        return self.prediction(luminance, self.core(luminance))

    def prediction(self, luminance: Tensor, answer: Tensor) -> Prediction:
        return DecodedPrediction(
            model=type(self).__name__,
            luminance=luminance,
            output=answer,
            decode=lambda output, _, temperature: self.decode(output, temperature),
        )

    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        return self.predict(luminance, guidance).ab()

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Cross-entropy in which all classes of the batch count alike, as balanced sampling."""
        self.check_input(luminance)
        classes = self.classes(ab)
        counts = torch.bincount(classes.flatten(), minlength=self.side**2).float()
        weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
        return {"cross_entropy": F.cross_entropy(self.core(luminance).float(), classes, weights)}

    def on_train_start(self) -> None:
        """Train the map on the training pictures, unless the weights brought one."""
        if bool(self.network.trained):
            return
        loader = self.trainer.train_dataloader
        if not isinstance(loader, DataLoader):
            raise TypeError(
                f"the map is trained on the pixels of a DataLoader, got a {type(loader).__name__};"
                " call fit_map() yourself"
            )
        self.fit_map(*self._sample(loader))

    @torch.no_grad()
    def fit_map(self, luminance: Tensor, pixels: Tensor) -> None:
        """Train the map, and take the mean lightness.

        Args:
            luminance: (N, 1) L in [0, 100] of training pixels.
            pixels: (N, 2) their ab, in CIELAB units.
        """
        generator = torch.Generator().manual_seed(SEED)
        self.network.centres.copy_(train_map(pixels, self.side, generator=generator))
        self.network.mean.copy_(luminance.mean() / 100)
        self.network.trained.fill_(True)

    @torch.no_grad()
    def _sample(self, loader: "DataLoader[Any]") -> tuple[Tensor, Tensor]:
        """Pixels of the training pictures: (N, 1) L and (N, 2) ab."""
        chosen: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            for batch in plain_loader(loader):
                lab = torch.cat(Batch.of(batch).lab(), dim=1).flatten(2)  # (B, 3, H * W)
                places = torch.randint(lab.shape[2], (PIXELS,))
                chosen += lab[:, :, places].mT  # (PIXELS, 3) a picture
                if len(chosen) >= PICTURES:
                    break
        pixels = torch.cat(chosen)
        return pixels[:, :1], pixels[:, 1:]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return torch.optim.Adam(self.parameters(), self.lr, weight_decay=self.weight_decay)
