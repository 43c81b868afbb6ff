"""Averages weights of one model that were trained apart from a common start.

    python recipes/average.py OUT.safetensors WEIGHTS WEIGHTS [...]

Fine-tuned from the same weights, they lie in one valley of the loss, and their mean is better than
each (Wortsman et al. 2022, "Model soups"). Running statistics of batch normalization are averaged
as well. Weights from other starts have no meaningful mean.
"""

import argparse

import torch

import deepcolor
from deepcolor.models import Colorizer


def averaged(models: list[Colorizer]) -> Colorizer:
    """The first model with the mean of all weights; counters, which are whole numbers, are its own.

    Raises:
        ValueError: for fewer than two models, or networks that differ in shape.
    """
    if len(models) < 2:
        raise ValueError(f"averaging needs two weights or more, got {len(models)}")
    first, *others = [model.network.state_dict() for model in models]
    for other in others:
        if {k: v.shape for k, v in first.items()} != {k: v.shape for k, v in other.items()}:
            raise ValueError("the weights are of networks that differ: they have no mean")
    mean = {
        key: torch.stack([value, *(other[key] for other in others)]).mean(dim=0)
        if value.is_floating_point()
        else value
        for key, value in first.items()
    }
    models[0].network.load_state_dict(mean)
    return models[0]


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("weights", nargs="+")
    asked = parser.parse_args()
    model = averaged([deepcolor.load_model(path) for path in asked.weights])
    print(deepcolor.save_model(model, asked.out))


if __name__ == "__main__":
    main()
