"""What is said of colours where several photographs may be coloured: on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from deepcolor import images
from deepcolor.files import shown
from deepcolor.guidance import Guidance, Hints, Palette, Reference, Sketch, drawing

__all__ = ["Guide"]

HINT = "x,y,colour or x,y,colour,radius, such as 310,120,#aa3344,5"


@dataclass(frozen=True)
class Guide:
    """What is said of colours.

    Attributes:
        whole: of pictures as a whole: the same for each photograph.
        sketch: points and strokes in one photograph.
        overlay: file of what was painted over it.
        marks: further points.

    Where they overlap, marks cover the overlay, and that the sketch.
    """

    whole: Guidance
    sketch: Sketch
    overlay: str | None
    marks: tuple[drawing.Mark, ...]

    @classmethod
    def of(
        cls,
        points: Sequence[str],
        overlay: str | None,
        reference: str | None,
        palette: str | None,
        file: str | None,
    ) -> "Guide | None":
        """Read what options say; None if they say nothing.

        Args:
            points: "x,y,colour" or "x,y,colour,radius" each.
            overlay: file of a picture, read with the photograph.
            reference: file of a picture; it takes the place of one in the hints' file.
            palette: colours between commas; likewise.
            file: of hints, hints.json.

        Raises:
            ValueError, TypeError, OSError: for what cannot be used.
        """
        marks = tuple(_mark(text) for text in points)
        if not marks and overlay is reference is palette is file is None:
            return None
        sketch = Sketch() if file is None else Sketch.load(file)
        if overlay is not None and not Path(overlay).is_file():
            raise FileNotFoundError(f"--strokes {shown(overlay)}: no such file")
        kept = replace(
            sketch,
            palette=() if palette is not None else sketch.palette,
            reference=None if reference is not None else sketch.reference,
        )
        whole = Guidance.of_sketch(kept, None, Path(file or "").parent)
        if palette is not None:
            whole = replace(whole, palette=Palette.from_colors(palette))
        if reference is not None:
            whole = replace(whole, reference=Reference.from_picture(reference))
        return cls(whole, sketch, overlay, marks)

    @property
    def has_places(self) -> bool:
        """Whether it says anything of places in one photograph."""
        return bool(self.marks) or self.overlay is not None or self.sketch.has_places

    def check(self, photographs: int) -> None:
        """Refuse to say of several photographs what is at places of one, with a ValueError."""
        if photographs > 1 and self.has_places:
            raise ValueError(
                "--hint, --strokes and the points and strokes of --hints say what is where in one"
                f" photograph; {photographs} are to be coloured. Colour that one alone;"
                " --reference and --palette are for all"
            )

    def outline(self) -> Guidance:
        """Which kinds it says, without the places."""
        if not self.has_places:
            return self.whole
        return replace(self.whole, hints=Hints(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, 1)))

    def for_picture(self, picture: images.Picture) -> Guidance:
        """What it says of a picture.

        Raises:
            ValueError: for places outside the picture, an overlay of another aspect, and the like.
        """
        size = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        layers = []
        if self.sketch.has_places:
            places = replace(self.sketch, palette=(), reference=None)
            layers.append(Guidance.of_sketch(places, size).hints)
        if self.overlay is not None:
            layers.append(Hints.from_strokes(self.overlay, picture))
        if self.marks:
            layers.append(Hints(*drawing.draw(self.marks, size)))
        hints = None
        for layer in layers:
            hints = layer if hints is None or layer is None else layer.over(hints)
        return replace(self.whole, hints=hints)


def _mark(text: str) -> drawing.Mark:
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) not in (3, 4):
            raise ValueError("it has no 3 or 4 parts")
        x, y, *radius = (float(part) for part in (*parts[:2], *parts[3:]))
    except ValueError as error:
        raise ValueError(f"--hint {shown(text)!r} cannot be read: it must be {HINT}") from error
    mark = drawing.point((x, y, parts[2], *radius), f"--hint {shown(text)}")
    drawing.rgb_of(mark.color)
    return mark
