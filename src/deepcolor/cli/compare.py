"""`deepcolor compare`: models side by side, as a page and as sheets."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deepcolor.cli.evaluate import (
    FAILED,
    Count,
    Crop,
    Device,
    Models,
    Photos,
    Quality,
    Saturation,
    Size,
    Temperature,
    load_models,
    progress_bar,
    write_text,
)
from deepcolor.cli.options import one_line_errors
from deepcolor.cli.report import complain, print_lines
from deepcolor.cli.signals import ending

__all__ = ["COMPARE", "EXAMPLES", "compare"]

COMPARE = """\
Show models side by side: grey, each model, truth, figures under each, most disputed first.

Writes index.html, which needs nothing else, and sheet-01.png, sheet-02.png ... Photographs that \
are grey themselves have no truth, and few figures.

Exit code: 0 all compared; 1 some photographs failed; 2 nothing was compared, the message says why.
"""
EXAMPLES = (
    "Example: deepcolor compare photos/ --model lite.photos eccv16.caffe mine.safetensors -o out/"
)
PAGE, SHEET = "index.html", "sheet-{:02}.png"


def compare(
    photos: Photos,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder to write to, created if need be.")
    ],
    model: Models = ["lite.photos"],  # noqa: B006 - typer reads it, nobody changes it
    crop: Crop = "none",
    short_side: Annotated[
        int, typer.Option(min=16, help="Shrink larger photographs to it, in pixels.")
    ] = 512,
    count: Count = None,
    quality: Quality = "balanced",
    saturation: Saturation = 1.0,
    temperature: Temperature = None,
    size: Size = None,
    device: Device = "auto",
) -> None:
    """Compare; the help is COMPARE."""
    with ending(), one_line_errors():
        folder = Path(output)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; -o names a folder")
        from deepcolor import images
        from deepcolor.evaluation import compare, find_photographs, page, sheets
        from deepcolor.evaluation.photos import evenly
        from deepcolor.inference import Options

        found = evenly(find_photographs(photos), count)
        result = compare.compare(
            found, load_models(model, device), crop=crop, short_side=short_side,
            options=Options(
                temperature=temperature, size=size, quality=quality, saturation=saturation
            ),
            progress=progress_bar("photographs"),
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        for number, sheet in enumerate(sheets.sheets(result), 1):
            images.save(sheet, folder / SHEET.format(number))
        write_text(str(folder / PAGE), page.as_html(result))
        rows, pages = _counted(len(result.rows), "photograph"), _counted(number, "sheet")
        print_lines(f"{folder / PAGE}: {rows}, {pages} beside it", sys.stdout)
    for _, error in result.problems:
        complain(error)
    if result.problems:
        raise typer.Exit(FAILED)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
