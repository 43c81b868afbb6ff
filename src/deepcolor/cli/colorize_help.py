"""What `deepcolor colorize` says of itself, and its options that say colours."""

from typing import Annotated

import typer

__all__ = ["COLORIZE", "EXAMPLES", "HintsFile", "PaletteColors", "Points", "Reference", "Strokes"]

COLORIZE = """\
Colour photographs at full size, keeping every pixel's lightness.

Results are written whole or not at all. They replace older results, but never a photograph. \
Of folders and patterns, results of earlier runs are left out: NAME.color.* beside NAME.*, and \
what is marked as a result. A photograph that cannot be coloured does not stop the others.

Results say what the photographs say of themselves: when, with which camera, and where (GPS). \
--strip-location leaves the place out.

--hint, --strokes, --reference, --palette and --hints say colours; docs/control.md tells more.

Exit code: 0 all done; 1 some photographs failed, listed at the end; 2 nothing was begun, the \
message says why; 130 stopped by Ctrl-C (143 told to end, 129 hung up), leaving whole files only.
"""
EXAMPLES = (
    "Examples: deepcolor colorize album/*.jpg -o coloured/;"
    " deepcolor colorize album -r -o coloured --format jpg --skip-existing;"
    " cat old.jpg | deepcolor colorize - > new.jpg"
)

Points = Annotated[
    list[str] | None,
    typer.Option(
        "--hint",
        metavar="X,Y,COLOUR[,RADIUS]",
        help="The colour at a pixel of one photograph as it is shown, from its top left pixel 0,0:"
        " --hint 310,120,#aa3344 or 310,120,teal,5. May be repeated; the later wins.",
        show_default=False,
    ),
]
Strokes = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Colours painted over one photograph: a picture that is transparent elsewhere, or a"
        " painted copy of the photograph.",
        show_default=False,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A picture in colour, whose colours go to what is alike.",
        show_default=False,
    ),
]
PaletteColors = Annotated[
    str | None,
    typer.Option(
        "--palette",
        metavar="COLOURS",
        help="Colours to use, between commas: '#aa3344,teal,#808080'.",
        show_default=False,
    ),
]
HintsFile = Annotated[
    str | None,
    typer.Option(
        "--hints", metavar="FILE", help="All of these in a file, hints.json.", show_default=False
    ),
]
