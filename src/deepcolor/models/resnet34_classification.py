"""The ResNet-34 report's classification model (its table 2): 625 bins at full size."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.backbones import Trunk
from deepcolor.guidance import Guidance, Kind
from deepcolor.losses.chroma import combined_chroma_loss
from deepcolor.models._classification import ClassificationColorizer
from deepcolor.quantize import AbQuantizer

__all__ = ["ResNet34Classification"]

WIDTHS = (64, 500)  # of the decoder at 1/4 and 1/2 of the size
HIDDEN = 1000  # channels before the bins, at full size


class ResNet34ClassificationNetwork(nn.Module):
    """Grey to bin logits, at full size or at some of its pixels."""

    def __init__(
        self,
        backbone: str,
        inputs: int,
        bins: int,
        head_k: int,
        literal: bool,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Trunk(backbone, 8, inputs, encoder_weights)
        layers: list[nn.Module] = []
        channels = self.encoder.channels
        for width in WIDTHS:
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(channels, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        self.decoder = nn.Sequential(*layers)
        self.hidden = nn.Conv2d(channels, HIDDEN, head_k, padding=head_k // 2)
        self.norm = nn.BatchNorm2d(HIDDEN)
        self.head = nn.Conv2d(HIDDEN, bins, head_k, padding=head_k // 2)
        self.pointwise = head_k == 1
        self.literal = literal

    def forward(self, grey: Tensor, every: int = 1) -> Tensor:
        """Logits of each `every`-th pixel of each `every`-th row, from the first on.

        With a 1x1 head, full size means 2x2 equal pixels: the last doubling and what follows it
        may change places, so that only the pixels asked for are computed.

        Args:
            grey: (B, 1, H, W) in [0, 1].
            every: 1, 2 or 4.

        Returns:
            (B, Q, H / every, W / every).
        """
        x = self.decoder(self.encoder(grey))  # (B, 500, H/2, W/2)
        if self.pointwise:
            step = max(1, every // 2)
            x = self.hidden(x[:, :, ::step, ::step])
            x = self.norm(x)  # one name for all: what was used is let go of
            logits = self.head(torch.relu_(x))
            if every == 1:
                logits = F.interpolate(logits, scale_factor=2, mode="nearest")
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")  # (B, 500, H, W)
            x = self.hidden(x)  # (B, 1000, H, W)
            x = self.norm(x)
            x = torch.relu_(x)
            logits = F.conv2d(x, self.head.weight, self.head.bias, every, self.head.padding)
        return torch.relu(logits) if self.literal else logits


class ResNet34Classification(ClassificationColorizer):
    """Classification over 25 x 25 bins: 1,347,904 parameters to layer2, 1,492,045 above.

    Memory: the logits of a 224 x 224 picture take 125 MB in float32, the 1,000 channels before
    them 201 MB, and training keeps each a few times. The loss therefore looks at every fourth
    pixel each way (7.8 MB of logits). With the 1x1 head the channels before shrink alike, to
    12.5 MB; the literal 3x3 head still needs them at each pixel.

    The report's own variant is head_k=3, literal=True, loss_every=1 and temperature=0.

    Args:
        backbone: resnet18, resnet34, resnet50, resnet152 or vgg16; fine-tuned.
        inputs: 3 repeats L three times, as the report; 1 sums the first kernels over RGB.
        head_k: side of the last two kernels: 1 as its text says, 3 as its table (10,492,045
            parameters above the encoder, seven times the work).
        literal: a ReLU on the logits, as the table has it; no bin then gets a negative logit.
        loss_every: 1, 2 or 4: the loss takes each such pixel of each such row.
        regression_share: adds the Huber loss of the decoded mean with this factor, the combined
            loss that the report asks for as future work; 0 is none.
        temperature: of the annealed mean; 0 is the mode, which the report seems to show.
        mix: lambda of class rebalancing, the report's future work; 1 is none.
        neighbours: bins that share a pixel; 1 is the report's hard target.
        lr: of Adam.
        weight_decay: of Adam.
        encoder_weights: file of the backbone's ImageNet weights, from timm or torchvision; None
            starts from random numbers. Not asked for again by a checkpoint, which holds them.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 2
    network: ResNet34ClassificationNetwork

    def __init__(
        self,
        backbone: str = "resnet34",
        inputs: int = 3,
        head_k: int = 1,
        literal: bool = False,
        loss_every: int = 4,
        regression_share: float = 0.0,
        temperature: float = 0.38,
        mix: float = 1.0,
        neighbours: int = 1,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(AbQuantizer.grid625(neighbours), temperature, mix, lr, weight_decay)
        self.save_hyperparameters(ignore="encoder_weights")
        if head_k not in (1, 3):
            raise ValueError(f"head_k must be 1 or 3, got {head_k}")
        if loss_every not in (1, 2, 4):
            raise ValueError(f"loss_every must be 1, 2 or 4, got {loss_every}")
        if regression_share < 0:
            raise ValueError(f"regression_share must be at least 0, got {regression_share}")
        self.loss_every = loss_every
        self.regression_share = regression_share
        self.network = ResNet34ClassificationNetwork(
            backbone, inputs, self.quantizer.bins, head_k, literal, encoder_weights
        )

    def logits_at(self, luminance: Tensor, every: int) -> Tensor:
        """Logits of each 1st, 2nd or 4th pixel each way: (B, Q, H / every, W / every)."""
        logits: Tensor = self.network(luminance / 100, every)
        return logits

    def core(self, luminance: Tensor) -> Tensor:
        """Of the mean distribution over 2x2 pixels, on all of which a 1x1 head answers alike."""
        if self.network.pointwise:
            return self.logits_at(luminance, 2)
        probability = torch.softmax(self.logits_at(luminance, 1).float(), dim=1)
        means = F.avg_pool2d(probability, self.grain)
        return means.clamp_(min=torch.finfo(means.dtype).tiny).log_()

    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        self.check_input(luminance, guidance)
        # A 1x1 head answers alike on 2x2 pixels: decoded once, not four times.
        ab = self.decode(self.logits_at(luminance, 2 if self.network.pointwise else 1))
        return F.interpolate(ab, size=luminance.shape[-2:], mode="nearest")

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        self.check_input(luminance)
        # In evaluation asked as `forward` asks, so that validation runs the network once.
        own = 2 if self.network.pointwise else 1
        every = own if not self.training and self.loss_every >= own else self.loss_every
        skip = self.loss_every // every
        logits = self.logits_at(luminance, every)[:, :, ::skip, ::skip]
        if self.regression_share == 0:
            return {"cross_entropy": self.cross_entropy(logits, ab)}
        weights = None if self.mix == 1 else self.class_weights()
        truth = self.reduce(ab, (logits.shape[-2], logits.shape[-1]))
        return combined_chroma_loss(logits, truth, self.quantizer, weights, self.regression_share)

    def reduce(self, ab: Tensor, size: tuple[int, int]) -> Tensor:
        """The pixels that the loss takes."""
        return ab[:, :, :: self.loss_every, :: self.loss_every]

    def counted(self, ab: Tensor) -> Tensor:
        """All pictures: the report leaves none out."""
        return torch.ones(len(ab), dtype=torch.bool, device=ab.device)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam at a constant rate."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(trainable, self.lr, weight_decay=self.weight_decay)
