"""Which photographs are trained on, which choose, which judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from deepcolor.data.datasets import PhotoSet, read_list, shortened

__all__ = ["Split", "listed_split", "seeded_split"]

PARTS = ("train", "val", "test")


class Split(NamedTuple):
    """Numbers of photographs, no number in two parts."""

    train: list[int]
    val: list[int]
    test: list[int]


def seeded_split(
    count: int, shares: Sequence[float], seed: int, held_out: int | None = None
) -> Split:
    """Draw the parts by a seed.

    Args:
        count: photographs, at least 3; 2 without a part for testing.
        shares: of training, validation and test, such as (0.8, 0.1, 0.1); their sum counts as 1.
            Each part whose share is not 0 gets a photograph at least.
        seed: the same seed and count give the same parts.
        held_out: photographs for validation; all others are trained on, and `shares` is not used.

    Raises:
        ValueError: if the shares are no shares, or the photographs too few.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    if held_out is not None:
        if not 0 < held_out < count:
            raise ValueError(
                f"held_out must be at least 1 and leave at least 1 to train on, got {held_out} of"
                f" {count} photographs"
            )
        return Split(order[held_out:], sorted(order[:held_out]), [])
    if len(shares) != 3 or not all(s >= 0 for s in shares) or not (shares[0] > 0 < shares[1]):
        raise ValueError(
            "split takes three shares, of training, validation and test, the first two above 0,"
            f" such as (0.8, 0.1, 0.1); got {tuple(shares)}"
        )
    validation, test = (
        max(1, round(count * share / sum(shares))) if share else 0 for share in shares[1:]
    )
    if validation + test >= count:
        raise ValueError(
            f"{count} photograph{'s are' if count > 1 else ' is'} too few to split by"
            f" {tuple(shares)}: at least {3 if shares[2] else 2} are needed, one for each part"
        )
    return Split(
        order[validation + test :],
        sorted(order[:validation]),
        sorted(order[validation : validation + test]),
    )


def listed_split(photos: PhotoSet, lists: Mapping[str, str | Path]) -> Split:
    """The parts that text files name, a photograph a line.

    Args:
        photos: their source. A line is one of its `keys` (in a folder, the path within it) or
            `names`.
        lists: a file for "train", for "val" and, if there is one, for "test".

    Raises:
        FileNotFoundError: if a list is missing.
        ValueError: for other parts, an empty list, a photograph that the source does not have, or
            one that two lists share.
    """
    unknown = set(lists) - set(PARTS)
    if unknown or not {"train", "val"} <= set(lists):
        raise ValueError(
            f"lists takes train, val and, if wanted, test; got {', '.join(sorted(lists)) or 'none'}"
        )
    rows = {key: row for row, key in enumerate(photos.names)}
    rows |= {key: row for row, key in enumerate(photos.keys)}
    owner: dict[int, str] = {}
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for part in (part for part in PARTS if part in lists):
        lines = read_list(lists[part])
        missing = [line for line in lines if line.removeprefix("./") not in rows]
        if missing:
            raise ValueError(
                f"{lists[part]} names {len(missing)} photographs that the source does not have:"
                f" {shortened(missing)}; it calls them such as {photos.keys[0]}"
            )
        chosen = [rows[line.removeprefix("./")] for line in lines]
        shared = [row for row in chosen if row in owner]
        if shared:
            raise ValueError(
                f"{lists[part]} shares {len(shared)} photographs with"
                f" {lists[owner[shared[0]]]}: {shortened([photos.keys[r] for r in shared])}"
            )
        owner |= dict.fromkeys(chosen, part)
        parts[part] = chosen
    return Split(**parts)
