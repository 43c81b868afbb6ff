"""Whether tensors fit a network, in words."""

from collections.abc import Mapping, Sequence

from torch import Tensor

__all__ = ["listed", "misfits"]

LISTED = 10  # of the keys that do not fit


def misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What keeps a state dict from loading strictly: keys missing, extra and misshaped."""
    problems = [f"missing {key}" for key in wanted if key not in given]
    problems += [f"extra {key}" for key in given if key not in wanted]
    problems += [
        f"{key} is {tuple(given[key].shape)}, needs {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    return problems


def listed(problems: Sequence[str]) -> str:
    """At most ten of them, and how many more there are."""
    more = len(problems) - LISTED
    return "; ".join(problems[:LISTED]) + (f"; and {more} more" if more > 0 else "")
