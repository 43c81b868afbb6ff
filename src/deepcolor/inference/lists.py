"""Lists of pictures: each is coloured by itself, with its own guidance."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from deepcolor.images import ImageError
from deepcolor.inference.painter import AnyGuidance

__all__ = ["ON_ERROR", "OnError", "colour_each"]

OnError = Literal["raise", "skip"]
ON_ERROR: tuple[OnError, ...] = get_args(OnError)


def colour_each(
    pictures: Sequence[Any],
    guidance: AnyGuidance | Sequence[AnyGuidance],
    on_error: str,
    colour: Callable[[Any, AnyGuidance], Any],
) -> list[Any]:
    """What `colour` makes of each picture and its guidance.

    With "skip", a picture that cannot be read gives None and a UserWarning that says why.
    """
    results: list[Any] = []
    for number, (picture, given) in enumerate(
        zip(pictures, _for_each(guidance, len(pictures)), strict=True)
    ):
        try:
            results.append(colour(picture, given))
        except (ImageError, OSError) as error:
            if on_error != "skip":
                raise
            warnings.warn(f"picture {number} of the list is skipped: {error}", stacklevel=4)
            results.append(None)
    return results


def _for_each(
    guidance: AnyGuidance | Sequence[AnyGuidance], pictures: int
) -> Sequence[AnyGuidance]:
    """Guidance of each picture of a list."""
    if guidance is None:
        return [None] * pictures
    if not isinstance(guidance, Sequence) or len(guidance) != pictures:
        given = f"{len(guidance)}" if isinstance(guidance, Sequence) else "one"
        raise ValueError(
            f"a list of {pictures} pictures needs a list of as many guidances, None where there is"
            f" none; got {given}"
        )
    return guidance
