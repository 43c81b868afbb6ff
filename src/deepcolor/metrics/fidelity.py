"""How near pictures come to the truth: PSNR, SSIM, LPIPS."""

import importlib.resources
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from deepcolor.metrics.mean import PictureMean
from deepcolor.tensors import read_state

__all__ = ["LPIPS", "PSNR", "SSIM", "AlexNetDistance", "psnr"]

SSIM_WINDOW = 11  # pixels: Gaussian of sigma 1.5, cut at 3.5 sigma, Wang et al. 2004
SSIM_STRIP = 1 << 18  # pixels looked at at a time: each takes some 700 bytes
LPIPS_LEAST = 64  # pixels; AlexNet's poolings leave nothing of much smaller pictures
LPIPS_LAYERS = (1, 4, 7, 9, 11)  # ReLUs of torchvision's AlexNet features, Zhang et al. 2018
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB in [-1, 1]
HEADS = ("torchmetrics.functional.image", "lpips_models", "alex.pth")  # Zhang et al.'s, version 0.1


def psnr(rgb: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB: (B, 3, H, W) in [0, 1], twice -> (B,)."""
    error = (rgb.double() - truth.double()).square().flatten(1).mean(dim=1)
    return (-10 / math.log(10) * error.log()).float()


class PSNR(PictureMean):
    """Mean over pictures of the peak signal-to-noise ratio in dB; `update(rgb, truth)`.

    The mean of the pictures' ratios, not the ratio of the pictures' mean error, which is lower.
    """

    higher_is_better = True

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1]."""
        self.add(psnr(rgb, truth))


class SSIM(PictureMean):
    """Mean structural similarity over pictures (Wang et al. 2004); `update(rgb, truth)`.

    On RGB, the mean over the three channels, where the whole window lies inside: torchmetrics' map
    without its border, which equals scikit-image's figure. Colorizers share the truth's
    luminance, so all of them lie near 0.9: it tells little about colour, and is here because
    papers print it.
    """

    higher_is_better = True

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1].

        Raises:
            ValueError: for a side of less than 11 pixels.
        """
        if min(rgb.shape[-2:]) < SSIM_WINDOW:
            raise ValueError(
                f"SSIM takes pictures of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got"
                f" {rgb.shape[-1]} x {rgb.shape[-2]}"
            )
        border = SSIM_WINDOW // 2  # torchmetrics mirrors what lies outside and counts it, too
        inside = rgb.shape[-2] - 2 * border
        rows = max(1, SSIM_STRIP // (len(rgb) * rgb.shape[-1]))
        total = torch.zeros(len(rgb), dtype=torch.float64, device=rgb.device)
        for top in range(0, inside, rows):
            strip = slice(top, min(top + rows, inside) + 2 * border)  # overlapping the next
            answer = structural_similarity_index_measure(
                rgb[..., strip, :], truth[..., strip, :], gaussian_kernel=True, sigma=1.5,
                data_range=1.0, reduction="none", return_full_image=True,
            )  # fmt: skip
            assert isinstance(answer, tuple)  # as return_full_image asks
            total += answer[1][..., border:-border, border:-border].double().sum(dim=(1, 2, 3))
        self.add(total / (rgb.shape[1] * inside * (rgb.shape[-1] - 2 * border)))


class AlexNetDistance(nn.Module):
    """The network of LPIPS (Zhang et al. 2018), version 0.1 on AlexNet, frozen.

    The distance's five linear heads come with torchmetrics; AlexNet's own weights do not.

    Args:
        alexnet: state dict of torchvision's AlexNet; only `features.*` is used. None leaves them
            random.

    Raises:
        ValueError: for a state dict that does not fit.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, alexnet: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        import torchvision

        self.features = torchvision.models.alexnet(weights=None).features
        if alexnet is not None:
            own = {
                key.removeprefix("features."): value
                for key, value in alexnet.items()
                if key.startswith("features.")
            }
            try:
                self.features.load_state_dict(own, strict=True)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise ValueError(f"no weights of torchvision's AlexNet: {reason}") from error
        package, *path = HEADS
        with importlib.resources.as_file(
            importlib.resources.files(package).joinpath(*path)
        ) as file:
            heads = read_state(file)
        for number in range(len(LPIPS_LAYERS)):
            self.register_buffer(f"head{number}", heads[f"lin{number}.model.1.weight"])
        self.register_buffer("shift", torch.tensor(LPIPS_SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(LPIPS_SCALE)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "AlexNetDistance":
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, rgb: Tensor, truth: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], twice -> (B,) distances."""
        total = rgb.new_zeros(len(rgb))
        pairs = zip(self._maps(rgb), self._maps(truth), strict=True)
        for number, (one, other) in enumerate(pairs):
            head = getattr(self, f"head{number}")  # (1, C, 1, 1), not negative
            total = total + (head * (one - other).square()).sum(1).mean(dim=(1, 2))
        return total

    def _maps(self, rgb: Tensor) -> list[Tensor]:
        x = (2 * rgb - 1 - self.shift) / self.scale
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in LPIPS_LAYERS:  # the features' last pooling is not needed
                maps.append(x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt())
        return maps


class LPIPS(PictureMean):
    """Mean learned perceptual distance over pictures (Zhang et al. 2018); `update(rgb, truth)`.

    Args:
        network: gives (B,) distances of two (B, 3, H, W) pictures; `deepcolor.weights.load_lpips`
            has the published one.
    """

    higher_is_better = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1].

        Raises:
            ValueError: for a side of less than 64 pixels.
        """
        if min(rgb.shape[-2:]) < LPIPS_LEAST:
            raise ValueError(
                f"LPIPS takes pictures of at least {LPIPS_LEAST} x {LPIPS_LEAST} pixels, got"
                f" {rgb.shape[-1]} x {rgb.shape[-2]}"
            )
        self.add(self.network(rgb, truth))
