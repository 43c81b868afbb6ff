"""Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016.

Layers, names and slots are those of the published PyTorch release (version 2), so that its weights
load key for key. The paper's three networks: classification with rebalancing (`ECCV16`), without
(`ECCV16(mix=1)`), and regression on the same trunk (`ECCV16L2`).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.models._classification import ClassificationColorizer
from deepcolor.models._regression import RegressionColorizer
from deepcolor.models._training import Colorizer
from deepcolor.quantize import AbQuantizer

__all__ = ["ECCV16", "ECCV16L2"]

STAGES = (  # channels, convolutions, stride of the last, dilation; model1 to model7
    (64, 2, 2, 1), (128, 2, 2, 1), (256, 3, 2, 1),
    (512, 3, 1, 1), (512, 3, 1, 2), (512, 3, 1, 2), (512, 3, 1, 1),
)  # fmt: skip
HEAD_CHANNELS = 256
AB_SCALE = 110.0  # the release's model_out gives ab / 110
TABLE_SLACK = 0.1  # CIELAB units; weights stored as float16 err by 0.03, bins lie 10 apart
DECAY, DECAY_STEPS = 0.316, 210_000  # of the learning rate, as the published training code


class Trunk(nn.Module):
    """Normalized luminance to any number of channels at a quarter of the size."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        inputs = 1
        for number, (channels, convolutions, stride, dilation) in enumerate(STAGES, start=1):
            layers: list[nn.Module] = []
            for i in range(convolutions):
                step = stride if i == convolutions - 1 else 1
                layers += [
                    nn.Conv2d(
                        inputs, channels, 3, stride=step, padding=dilation, dilation=dilation
                    ),
                    nn.ReLU(inplace=True),
                ]
                inputs = channels
            self.add_module(f"model{number}", nn.Sequential(*layers, nn.BatchNorm2d(channels)))
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(inputs, HEAD_CHANNELS, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(HEAD_CHANNELS, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) in [-0.5, 0.5] -> (B, outputs, H/4, W/4)."""
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"model{number}")(x)
        out: Tensor = self.model8(x)
        return out


class ECCV16Network(Trunk):
    """Normalized luminance to bin logits at a quarter of the size."""

    def __init__(self, quantizer: AbQuantizer) -> None:
        super().__init__(quantizer.bins)
        self.model_out = nn.Conv2d(quantizer.bins, 2, 1, bias=False)
        # The bin table in the shape of a layer, as released; not trained.
        table = (quantizer.centres.T / AB_SCALE)[:, :, None, None]
        self.model_out.weight.requires_grad_(False)
        self.model_out.weight.copy_(table)
        self._table = table.clone()
        self.register_load_state_dict_pre_hook(_check_bin_table)  # type: ignore[no-untyped-call]


def _check_bin_table(
    network: ECCV16Network, state: Mapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Refuse weights whose last layer is not the bin table: their classes would mean others."""
    weight = state.get(f"{prefix}model_out.weight")
    if weight is None or weight.shape != network._table.shape:
        return  # strict loading names it
    error = AB_SCALE * float((weight.float().cpu() - network._table).abs().max())
    if not error <= TABLE_SLACK:
        raise ValueError(
            "model_out.weight * 110 is not the table of the 313 ab bins: it differs by up to"
            f" {error:.3g} CIELAB units; the weights are of another codebook"
        )


def _logit_pixels(luminance: Tensor) -> int:
    """Pixels of a picture at a quarter of its height and width."""
    return luminance.shape[-2] // 4 * (luminance.shape[-1] // 4)


def _adam(model: Colorizer) -> OptimizerLRScheduler:
    """Adam as the published training code sets it."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(
        trainable, model.lr, betas=(0.9, 0.99), weight_decay=model.weight_decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, DECAY_STEPS, gamma=DECAY)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


class ECCV16(ClassificationColorizer):
    """Classification over 313 bins with class rebalancing: 32,236,011 parameters.

    Args:
        temperature: of the annealed mean; 0.38 in the paper. The published PyTorch weights decode
            by the softmax alone, which is 1.
        mix: lambda of class rebalancing: 0.5 in the paper, 1 for its variant without.
        neighbours: bins that share a pixel: 5 in the paper, 10 in the published training code.
        lr: of Adam, divided by 3.16 each 210,000 steps.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 256
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 4
    network: ECCV16Network

    def __init__(
        self,
        temperature: float = 0.38,
        mix: float = 0.5,
        neighbours: int = 5,
        lr: float = 3.16e-5,
        weight_decay: float = 1e-3,
    ) -> None:
        super().__init__(AbQuantizer.gamut313(neighbours), temperature, mix, lr, weight_decay)
        self.save_hyperparameters()
        self.network = ECCV16Network(self.quantizer)

    def core(self, luminance: Tensor) -> Tensor:
        logits: Tensor = self.network((luminance - 50) / 100)
        return logits

    def decode(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        """By the release's own layer, which holds the bin table: the annealed mean."""
        temperature = self.temperature if temperature is None else temperature
        if temperature == 0:
            return self.quantizer.annealed_mean(logits, 0)
        with torch.autocast(logits.device.type, enabled=False):
            probability = torch.softmax(logits.float() / temperature, dim=1)
            ab: Tensor = AB_SCALE * self.network.model_out(probability)
        return ab

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Eq. 2: summed over the pixels of the logits, averaged over pictures."""
        pixels = _logit_pixels(luminance)
        return {name: pixels * mean for name, mean in super().loss(luminance, ab).items()}

    def reduce(self, ab: Tensor, size: tuple[int, int]) -> Tensor:
        """Every fourth pixel, as the published training code takes."""
        return ab[:, :, ::4, ::4]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return _adam(self)


class ECCV16L2(RegressionColorizer):
    """The paper's regression of ab on the same trunk: 32,155,458 parameters.

    Args:
        lr: of Adam, divided by 3.16 each 210,000 steps.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 256
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 4
    network: Trunk

    def __init__(self, lr: float = 3.16e-5, weight_decay: float = 1e-3) -> None:
        super().__init__(lr, weight_decay)
        self.save_hyperparameters()
        self.network = Trunk(outputs=2)

    def core(self, luminance: Tensor) -> Tensor:
        ab: Tensor = self.network((luminance - 50) / 100)
        return ab

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return ab / AB_SCALE

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return AB_SCALE * output

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Eq. 1: half the squared distance summed over every fourth pixel; a mean over pictures."""
        every = (..., slice(None, None, 4), slice(None, None, 4))
        # The mean over a and b is half of their sum.
        means = super().regression_loss(output, luminance[every], ab[every])
        return {name: _logit_pixels(luminance) * mean for name, mean in means.items()}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return _adam(self)
