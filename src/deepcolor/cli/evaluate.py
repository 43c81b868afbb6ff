"""`deepcolor evaluate`: one table of models on photographs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from deepcolor.cli.options import one_line_errors
from deepcolor.cli.report import complain, print_lines
from deepcolor.cli.signals import ending

if TYPE_CHECKING:
    from deepcolor.inference import Predictor

__all__ = [
    "EVALUATE",
    "EXAMPLES",
    "check_target",
    "evaluate",
    "load_models",
    "progress_bar",
    "write_text",
]

STDIO = "-"
FAILED = 1  # exit code
EVALUATE = """\
Measure models on colour photographs: each is greyed, coloured by every model, and compared.

All rows share one protocol: the same photographs, prepared alike, compared after rounding to 8 \
bits. Its hash is printed: tables of equal hash may be compared. The row grey is the photographs \
without chroma; truth has what can be measured on the photographs themselves. A photograph that \
cannot be read counts in no row and is listed.

Exit code: 0 all measured; 1 some photographs failed; 2 nothing was measured, the message says why.
"""
EXAMPLES = (
    "Examples: deepcolor evaluate photos/ --model lite.photos mine.safetensors --csv table.csv;"
    " deepcolor evaluate val.tar -m lite.photos --tint-from train/ --metric psnr auc lpips"
)
Photos = Annotated[
    list[str],
    typer.Argument(
        help="Photographs, folders of them (and of folders), or tar archives.", show_default=False
    ),
]
Models = Annotated[
    list[str],
    typer.Option("--model", "-m", help="Checkpoints or weights files; several may follow."),
]
Count = Annotated[
    int | None,
    typer.Option(min=1, help="Photographs at most, evenly taken.", show_default="all"),
]
Crop = Annotated[str, typer.Option(help="none, or centre: the largest square in the middle.")]
ShortSide = Annotated[
    int | None,
    typer.Option(
        min=16, help="Resize photographs to it, in pixels, by Lanczos.", show_default="as they are"
    ),
]
Quality = Annotated[str, typer.Option(help="How carefully to colour: fast, balanced or best.")]
Saturation = Annotated[float, typer.Option(min=0, help="Chroma is multiplied by it.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="1 the mean of the likely, 0 the likeliest.", show_default="the model's"
    ),
]
Size = Annotated[
    int | None,
    typer.Option(min=1, help="Side the networks work at, in pixels.", show_default="the model's"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def evaluate(
    photos: Photos,
    model: Models = ["lite.photos"],  # noqa: B006 - typer reads it, nobody changes it
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="psnr, ssim, auc, ciede2000, colourfulness, grey, bins; and, slower or in need of"
            " more: lpips, fid, hue_invariant_fid, recognisability. Several may follow.",
            show_default="the first seven",
        ),
    ] = None,
    extractor: Annotated[
        str, typer.Option(help="Of FID: inception (downloaded) or efficientnet_lite0 (a package).")
    ] = "inception",
    tint_from: Annotated[
        list[str] | None,
        typer.Option(
            help="Photographs whose mean chroma makes a row of constant tint.",
            show_default="no such row",
        ),
    ] = None,
    crop: Crop = "none",
    short_side: ShortSide = None,
    count: Count = None,
    quality: Quality = "balanced",
    saturation: Saturation = 1.0,
    temperature: Temperature = None,
    size: Size = None,
    device: Device = "auto",
    json_file: Annotated[
        str | None,
        typer.Option("--json", help="File to write all of it to; - for standard output."),
    ] = None,
    csv_file: Annotated[
        str | None,
        typer.Option("--csv", help="File to write the table to; - for standard output."),
    ] = None,
) -> None:
    """Measure; the help is EVALUATE."""
    with ending(), one_line_errors((ValueError, TypeError, OSError, ModuleNotFoundError)):
        if json_file == csv_file == STDIO:
            raise ValueError("standard output holds one format: give --json or --csv a file name")
        for file in (json_file, csv_file):
            check_target(file)
        from deepcolor.evaluation import (
            DEFAULT_METRICS,
            Preparation,
            find_photographs,
            mean_ab,
            run,
            tables,
        )
        from deepcolor.evaluation.measures import check_metrics
        from deepcolor.evaluation.photos import evenly
        from deepcolor.inference import Options

        names = check_metrics(metric or DEFAULT_METRICS)
        preparation = Preparation(crop, short_side)
        found = evenly(find_photographs(photos), count)
        predictors = load_models(model, device)
        tint = None
        if tint_from:
            tint = mean_ab(find_photographs(tint_from), progress=progress_bar("tint"))
        result = run.evaluate(
            found, predictors, names, preparation=preparation,
            options=Options(
                temperature=temperature, size=size, quality=quality, saturation=saturation
            ), tint=tint,
            extractor=extractor, progress=progress_bar("photographs"),
        )  # fmt: skip
        if STDIO not in (json_file, csv_file):
            print_lines(tables.as_table(result), sys.stdout)
        for file, text in ((json_file, tables.as_json), (csv_file, tables.as_csv)):
            if file is not None:
                write_text(file, text(result))
    for _, error in result.problems:
        complain(error)
    if result.problems:
        raise typer.Exit(FAILED)


def load_models(names: Sequence[str], device: str) -> "dict[str, Predictor]":
    """Predictors by the names they were asked for.

    Raises:
        ValueError: for a name given twice; and as `deepcolor.load_model`.
    """
    from deepcolor.inference import Predictor

    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"--model names {', '.join(twice)} twice")
    return {name: Predictor(name, device) for name in names}


def check_target(file: str | None) -> None:
    """Refuse, before any work, a file that could not be written."""
    if file in (None, STDIO):
        return
    path = Path(str(file))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name the file to write")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} to")


def write_text(file: str, text: str) -> None:
    """Write a file whole or not at all; - is standard output."""
    from deepcolor.files import write_beside

    if file == STDIO:
        typer.echo(text, nl=False)
        return

    def write(stream: IO[bytes]) -> None:
        stream.write(text.encode())

    write_beside(Path(file), write)


def progress_bar(what: str) -> Callable[[Any], Any]:
    """Wraps what is worked through; a terminal sees a bar on stderr."""
    from tqdm import tqdm

    def shown(photos: Any) -> Any:
        return tqdm(photos, desc=what, file=sys.stderr, disable=None, leave=False)

    return shown
