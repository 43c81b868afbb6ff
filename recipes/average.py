"""Averages weights that were trained apart from a common start.

    python recipes/average.py OUT.safetensors WEIGHTS WEIGHTS [...]

Fine-tuned from the same weights, models lie in one valley of the loss, and their mean often does
better than each (Wortsman et al. 2022, "Model soups"). Weights from other starts have no useful
mean.
"""

import argparse
from collections.abc import Sequence

import deepcolor
from deepcolor.models import Colorizer
from deepcolor.training import blend


def averaged(paths: Sequence[str]) -> Colorizer:
    """A model whose weights are the mean of several files'.

    Raises:
        ValueError: for fewer than two files, or networks whose layers differ.
    """
    if len(paths) < 2:
        raise ValueError(f"a mean needs the weights of two models or more, got {len(paths)}")
    model = deepcolor.load_model(paths[0])
    for number, path in enumerate(paths[1:], start=2):
        blend(model, deepcolor.load_model(path), share=1 / number)
    return model


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("weights", nargs="+")
    asked = parser.parse_args()
    print(deepcolor.save_model(averaged(asked.weights), asked.out))


if __name__ == "__main__":
    main()
