"""Colour spaces against scikit-image, on a million random colours and all edge cases.

    python benchmarks/colour.py

Prints, for each space, the largest error in the units of that space, and how many gradients of
forward and inverse are not finite.
"""

import numpy as np
import skimage.color
import torch

from deepcolor import color

COLOURS = 1_000_000


def edges() -> torch.Tensor:
    """Corners, both sides of each threshold of sRGB, and the 256 greys."""
    axis = torch.tensor([0, 1e-6, 0.0031308, 0.04045, 0.0405, 0.5, 1 - 1e-6, 1])
    grey = torch.arange(256)[:, None].expand(-1, 3) / 255
    return torch.cat([torch.cartesian_prod(axis, axis, axis), grey])


def studio_to_full(ycbcr: np.ndarray) -> np.ndarray:
    """scikit-image's YCbCr is studio range: Y 16..235, chroma 16..240."""
    return (ycbcr - [16, 128, 128]) / [219, 224, 224] * 255 + [0, 128, 128]


SPACES = {
    "CIELAB": (color.rgb_to_lab, color.lab_to_rgb, skimage.color.rgb2lab),
    "CIELUV": (color.rgb_to_luv, color.luv_to_rgb, skimage.color.rgb2luv),
    "YCbCr": (
        color.rgb_to_ycbcr,
        color.ycbcr_to_rgb,
        lambda rgb: studio_to_full(skimage.color.rgb2ycbcr(rgb)),
    ),
}


def main() -> None:
    torch.manual_seed(0)
    rgb = torch.cat([torch.rand(COLOURS, 3), edges()]).T[:, :, None].contiguous()
    print(f"{rgb.shape[1]:,} colours")
    print("| space | max error | max round-trip error | gradients not finite |")
    print("|---|---|---|---|")
    for name, (forward, inverse, reference) in SPACES.items():
        leaf = rgb.clone().requires_grad_()
        have = forward(leaf)
        have.sum().backward()
        middle = have.detach().requires_grad_()
        inverse(middle).sum().backward()
        bad = int((~leaf.grad.isfinite()).sum() + (~middle.grad.isfinite()).sum())
        want = reference(rgb[..., 0].T.double().numpy())
        error = np.abs(have.detach()[..., 0].T.numpy() - want).max()
        trip = float((inverse(have.detach()) - rgb).abs().max())
        print(f"| {name} | {error:.1e} | {trip:.1e} | {bad} |")


if __name__ == "__main__":
    main()
