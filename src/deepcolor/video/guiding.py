"""What a person says of a film: for all of it, or for single frames, holding until their cut."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor import images
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Guidance, Kind
from deepcolor.inference.network import check_guidance
from deepcolor.inference.transfer import same_framing
from deepcolor.models import Colorizer
from deepcolor.pixels import unit

__all__ = ["FilmGuidance", "Keyframes", "Said", "repeated"]

FilmGuidance = Guidance | Kind | Mapping[int | float, Any] | None
"""For the whole film; or for frames by their number (int) or second (float), each a Guidance, one
of its kinds, or the frame in colour: any picture that `colorize` takes."""


@dataclass(frozen=True)
class Said:
    """What holds for one frame.

    Attributes:
        guidance: what the network is told.
        without: the same without what is said of this very frame; None if nothing is.
        ab: (2, h, w), the frame's colours themselves, where a picture of it was given.
    """

    guidance: Guidance
    without: Guidance | None = None
    ab: Tensor | None = None


class Keyframes:
    """Which guidance each frame has; frames are asked for in order.

    Args:
        given: as the calls take it.
        model: refuses kinds that it does not take.
        full: height and width of the frames as they are shown.
        steady: of the film, which carries on what is said of places.
        number_at: the frame at some seconds; None where frames have no times.

    Raises:
        TypeError, ValueError: for what cannot be used, before any work.
    """

    def __init__(
        self,
        given: FilmGuidance,
        model: Colorizer,
        full: tuple[int, int],
        steady: float,
        number_at: Callable[[float], int] | None = None,
    ) -> None:
        single = isinstance(given, Mapping)
        self.whole = Guidance() if single else Guidance.of(given)  # type: ignore[arg-type]
        keys: list[tuple[int, str, Guidance | Tensor]] = []
        for key, said in given.items() if isinstance(given, Mapping) else ():
            if isinstance(key, bool) or not isinstance(key, Real) or not key >= 0:
                raise ValueError(
                    f"guidance for frame {key!r}: frames are named by number (a whole number from"
                    " 0) or by second (a float)"
                )
            number, name = int(key), f"frame {key}"
            if not isinstance(key, Integral):
                if number_at is None:
                    raise ValueError("these frames have no seconds: name them by number")
                number, name = number_at(float(key)), f"{key:g} s"
            keys.append((number, name, _read(said, key, full)))
        self.keys = sorted(keys, key=lambda one: one[0])
        self.used = [False] * len(self.keys)
        self.held: int | None = None  # the key whose palette, reference or statistics hold
        self.base = self.whole  # what holds for frames of which nothing is said
        self.first: int | None = None  # number of the first frame
        for what in [self.whole, *(said for _, _, said in self.keys if isinstance(said, Guidance))]:
            check_guidance(model, what)
            what.check_values()
            what.check(torch.empty(()).expand(1, 1, *full))
        if not steady and any(isinstance(s, Tensor) or s.hints for _, _, s in self.keys):
            raise ValueError(
                "what is said of places in single frames is carried on along motion by steady=,"
                " which is 0; give steady= above 0, or guidance for the whole film"
            )

    def next(self, number: int, cut: bool) -> Said:
        """What holds for the next frame.

        Args:
            number: of the frame in its film.
            cut: whether it begins a shot.
        """
        if cut:
            self._hold(None)
        if self.first is None:
            self.first = number
        now = None
        for i, (key, _, _) in enumerate(self.keys):
            if self.used[i] or number < key:
                continue
            # what is said of frames before the first that is coloured says nothing
            if key >= self.first:
                self.used[i], now = True, i
        base = self.base
        if now is None:
            return Said(base)
        said = self.keys[now][2]
        if isinstance(said, Tensor):
            return Said(base, ab=said)
        if said.kinds - {"hints"}:
            self._hold(now)
        return Said(_joined(base, said), without=base)

    def unused(self) -> list[str]:
        """Names of the frames that never came."""
        return [name for (_, name, _), used in zip(self.keys, self.used, strict=True) if not used]

    def state(self) -> dict[str, Tensor]:
        """What was used and holds."""
        held = -1 if self.held is None else self.held
        first = -1 if self.first is None else self.first
        return {
            "used": torch.tensor(self.used, dtype=torch.bool), "held": torch.tensor(held),
            "first": torch.tensor(first),
        }  # fmt: skip

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a state."""
        self.used = [bool(one) for one in state["used"]]
        held = int(state["held"])
        self._hold(None if held < 0 else held)
        self.first = int(state["first"])

    def digest(self) -> str:
        """Tells what is said from what else could be."""
        found = hashlib.sha256()
        for number, _, said in [(-1, "", self.whole), *self.keys]:
            found.update(str(number).encode())
            for name, value in _values(said):
                tensor = torch.as_tensor(value)  # a palette's strength is a number
                found.update(f"{name} {tuple(tensor.shape)}".encode())
                found.update(tensor.float().contiguous().cpu().numpy().tobytes())
        return found.hexdigest()

    def _hold(self, index: int | None) -> None:
        self.held, self.base = index, self.whole
        if index is not None:
            said = self.keys[index][2]
            assert isinstance(said, Guidance)
            self.base = _joined(self.whole, replace(said, hints=None))


def repeated(guidance: Guidance, count: int) -> Guidance:
    """For a batch of so many frames that are told the same."""
    if count == 1:
        return guidance

    def each(kind: Any) -> Any:
        tensors = {
            field.name: value.expand(count, *value.shape[1:])
            for field in fields(kind)
            if isinstance(value := getattr(kind, field.name), Tensor)
        }
        return replace(kind, **tensors)

    return guidance._each(each)


def _read(said: Any, key: object, full: tuple[int, int]) -> Guidance | Tensor:
    """Guidance in full; or (2, h, w) ab of a picture of the frame in colour."""
    if isinstance(said, (Guidance, *Kind.__args__)):
        return Guidance.of(cast("Guidance | Kind", said))
    picture = images.read_colours(said)
    size = (picture.pixels.shape[-2], picture.pixels.shape[-1])
    if len(picture.pixels) != 1 or not same_framing(size, full):
        raise images.ImageError(
            f"{picture.name}, given for frame {key}, is {size[1]} x {size[0]}, the film"
            f" {full[1]} x {full[0]}: give that frame in colour, in any size of its aspect"
        )
    rgb = unit(picture.pixels).expand(-1, 3, -1, -1)
    smaller = (min(size[0], 512), min(size[1], 512))  # no network's grid is finer
    return F.interpolate(rgb_to_lab(rgb)[:, 1:], size=smaller, mode="area")[0]


def _joined(base: Guidance, said: Guidance) -> Guidance:
    parts: dict[str, Any] = {name: getattr(said, name) for name in said.kinds}
    return replace(base, **parts)


def _values(said: Guidance | Tensor) -> list[tuple[str, Any]]:
    if isinstance(said, Tensor):
        return [("picture", said)]
    found = []
    for name in sorted(said.kinds):
        kind = getattr(said, name)
        for field in fields(kind):
            value = getattr(kind, field.name)
            if value is not None:
                found.append((f"{name}.{field.name}", value))
    return found
