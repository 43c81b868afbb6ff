"""Convolutions whose kernels are normalized, and enlargement by shuffled pixels.

Entries of state dicts are those of torch's older hooks (`weight_orig`, `weight_u`, `weight_v`;
`weight_g`, `weight_v`), which published weights have. The kernel is computed at each call, and kept
nowhere: networks of these layers can be copied at any time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Enlarge", "SpectralConv", "WeightNormConv", "shuffle_"]

TINY = 1e-12  # keeps lengths above zero
FIRST_STEPS = 15  # of the power iteration, when a layer is made


def shuffle_(kernel: Tensor, scale: int) -> Tensor:
    """Fill a kernel so that shuffling its pixels first repeats each (Aitken et al. 2017, ICNR).

    Args:
        kernel: (outputs * scale * scale, ...), changed in place.
        scale: of the enlargement that follows; 1 fills it as He et al. 2015.
    """
    few = torch.empty(len(kernel) // scale**2, *kernel.shape[1:])
    nn.init.kaiming_normal_(few)
    with torch.no_grad():
        return kernel.copy_(few.repeat_interleave(scale**2, dim=0))


class SpectralConv(nn.Module):
    """A convolution divided by its largest singular value (Miyato et al. 2018).

    Of the kernel as a matrix (outputs, rest). One step of the power iteration is made at each call
    in training, none in evaluation. Heights and widths stay.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel, odd.
        bias: whether one is added.
        shuffle: scale of the pixel shuffling that follows; sets the initial numbers.
        dimensions: 1 for rows of places, 2 for pictures.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        bias: bool = False,
        shuffle: int = 1,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, *dimensions * [kernel]))
        shuffle_(self.weight_orig, shuffle)
        columns = inputs * kernel**dimensions
        self.register_buffer("weight_u", F.normalize(torch.empty(outputs).normal_(), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.empty(columns).normal_(), dim=0))
        for _ in range(FIRST_STEPS):
            self._step()

    @torch.no_grad()
    def _step(self) -> None:
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=TINY))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=TINY))

    def kernel(self) -> Tensor:
        """The kernel that convolves: (outputs, inputs, ...)."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            left, right = self.weight_u, self.weight_v
            if self.training:
                self._step()
                left, right = left.clone(), right.clone()  # the next step changes them
            return self.weight_orig / (left @ (self.weight_orig.flatten(1) @ right))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ...) -> (B, outputs, ...)."""
        kernel = self.kernel()
        convolve = F.conv1d if kernel.ndim == 3 else F.conv2d
        return convolve(x, kernel, self.bias, padding=kernel.shape[-1] // 2)


class WeightNormConv(nn.Module):
    """A 1x1 convolution with its kernels' lengths apart from their directions.

    Salimans and Kingma 2016.

    Args:
        inputs: channels in.
        outputs: channels out.
        shuffle: as for `SpectralConv`.
    """

    def __init__(self, inputs: int, outputs: int, shuffle: int = 1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_g = nn.Parameter(torch.empty(outputs, 1, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(outputs, inputs, 1, 1))
        shuffle_(self.weight_v, shuffle)
        with torch.no_grad():
            self.weight_g.copy_(self._lengths())

    def _lengths(self) -> Tensor:
        return self.weight_v.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return F.conv2d(x, self.weight_v * (self.weight_g / self._lengths()), self.bias)


class Enlarge(nn.Module):
    """Convolution, ReLU, pixels shuffled to a larger picture, blurred over 2 x 2.

    The blur stands over each pixel and those above and left of it, as published networks have it.

    Args:
        conv: the convolution, and its normalization, if any: the sequence is kept.
        scale: of the enlargement.
    """

    def __init__(self, conv: nn.Sequential, scale: int = 2) -> None:
        super().__init__()
        self.conv = conv
        self.scale = scale

    @classmethod
    def normalized(cls, inputs: int, outputs: int) -> "Enlarge":
        """Twice as large, by a spectrally normalized convolution and batch normalization."""
        conv = SpectralConv(inputs, 4 * outputs, shuffle=2)
        return cls(nn.Sequential(conv, nn.BatchNorm2d(4 * outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, scale * H, scale * W)."""
        x = torch.relu_(self.conv(x))
        x = F.pixel_shuffle(x, self.scale)
        x = F.pad(x, (1, 0, 1, 0), mode="replicate")
        return F.avg_pool2d(x, 2, stride=1)
