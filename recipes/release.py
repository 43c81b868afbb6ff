"""Makes the file that the wheel carries out of what recipes/lite.photos.sh ends with.

    python recipes/release.py WEIGHTS TRAIN OUT.safetensors [--temperature T] [--gain G] \
        [--rebalance SHARE]

Rebalancing makes rare colours likelier than they are: a network that trains with weights w of the
classes learns p w. `--rebalance` does a little of it without training: it adds that share of the
logarithm of w (at lambda 0.8) to the logits, in the bias of the last layer; a negative share takes
back what training brought. The prior is that of 4,096 photographs of TRAIN, without tiny_imagenet.
"""

import argparse
from collections.abc import Iterator

import torch
from torch import Tensor
from torchvision.transforms import v2

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import open_photos
from deepcolor.rebalance import AbPrior, rebalancing_weights

SOFT = "tiny_imagenet"
PHOTOS, SIDE = 4096, 72
LAMBDA = 0.8
TEMPERATURE, GAIN, REBALANCE = 0.8, 1.3, -0.53  # chosen on held-out photographs, docs/lite.md
# For who goes on; those of hints are others. What is left of lambda 0.9 after REBALANCE is nearest
# to a lambda of 0.985, by least squares of log w over the prior.
TRAINING = {"lr": 5e-4, "weight_decay": 1e-2, "mix": 0.99}


def chroma(train: str) -> Iterator[Tensor]:
    """Ab of photographs, (B, 2, SIDE, SIDE) at a time."""
    middle = [v2.Resize(SIDE, antialias=True), v2.CenterCrop(SIDE), v2.PILToTensor()]
    photos = open_photos(train, v2.Compose(middle))
    sharp = torch.tensor([i for i, source in enumerate(photos.sources) if source != SOFT])
    order = torch.randperm(len(sharp), generator=torch.Generator().manual_seed(0))
    for part in sharp[order[:PHOTOS]].split(64):
        yield split_lab(rgb_to_lab(unit_rgb(torch.stack([photos[i] for i in part.tolist()]))))[1]


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("train")
    parser.add_argument("out")
    parser.add_argument("--temperature", type=float, default=TEMPERATURE)
    parser.add_argument("--gain", type=float, default=GAIN)
    parser.add_argument("--rebalance", type=float, default=REBALANCE)
    asked = parser.parse_args()
    model = deepcolor.load_model(asked.weights)
    prior = AbPrior.of(model.quantizer, chroma(asked.train))
    weights = rebalancing_weights(prior, LAMBDA)
    with torch.no_grad():
        model.network.head.bias += asked.rebalance * torch.log(weights)
    model.temperature = asked.temperature
    model.hparams.update(temperature=asked.temperature, gain=asked.gain, **TRAINING)
    print(
        deepcolor.save_model(model, asked.out, half=True),
        f"class weights up to {weights.max():.2f}",
    )


if __name__ == "__main__":
    main()
