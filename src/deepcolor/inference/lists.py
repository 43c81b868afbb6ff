"""Lists of pictures: each is coloured by itself, with its own guidance."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from deepcolor.guidance import Guidance
from deepcolor.images import ImageError

__all__ = ["ON_ERROR", "colour_each"]

ON_ERROR = ("raise", "skip")


def colour_each(
    pictures: Sequence[Any],
    guidance: Guidance | Sequence[Guidance | None] | None,
    on_error: str,
    colour: Callable[[Any, Guidance | None], Any],
) -> list[Any]:
    """What `colour` makes of each picture and its guidance.

    With "skip", a picture that cannot be read gives None and a UserWarning that says why.
    """
    results: list[Any] = []
    for number, (picture, told) in enumerate(
        zip(pictures, _for_each(guidance, len(pictures)), strict=True)
    ):
        try:
            results.append(colour(picture, told))
        except (ImageError, OSError) as error:
            if on_error != "skip":
                raise
            warnings.warn(f"picture {number} of the list is skipped: {error}", stacklevel=4)
            results.append(None)
    return results


def _for_each(
    guidance: Guidance | Sequence[Guidance | None] | None, pictures: int
) -> Sequence[Guidance | None]:
    """Guidance of each picture of a list."""
    if guidance is None:
        return [None] * pictures
    if isinstance(guidance, Guidance) or len(guidance) != pictures:
        given = "one" if isinstance(guidance, Guidance) else f"{len(guidance)}"
        raise ValueError(
            f"a list of {pictures} pictures needs a list of as many guidances, None where there is"
            f" none; got {given}"
        )
    return guidance
