"""The `deepcolor` command. Heavy imports wait until a command needs them."""

import importlib
import os
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from deepcolor.cli.colorize_help import (
    COLORIZE,
    EXAMPLES,
    HintsFile,
    PaletteColors,
    Points,
    Reference,
    Strokes,
)
from deepcolor.cli.compare import COMPARE, compare
from deepcolor.cli.compare import EXAMPLES as COMPARE_EXAMPLES
from deepcolor.cli.evaluate import EVALUATE, evaluate
from deepcolor.cli.evaluate import EXAMPLES as EVALUATE_EXAMPLES
from deepcolor.cli.models import DEFAULT_MODEL, models
from deepcolor.cli.options import SeveralValues, one_line_errors
from deepcolor.cli.report import LOUD, PLAIN, QUIET
from deepcolor.cli.signals import ending
from deepcolor.cli.video import EXAMPLES as VIDEO_EXAMPLES
from deepcolor.cli.video import VIDEO, video
from deepcolor.extras import needs
from deepcolor.files import shown

__all__ = ["app", "main"]

app = typer.Typer(
    name="deepcolor",
    help="Give black-and-white photographs their colour.",
    epilog="Try: deepcolor colorize old.jpg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"deepcolor {version('deepcolor-lightning')}")
        raise typer.Exit


@app.callback()
def deepcolor(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say which this is."),
    ] = False,
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a Python module first, such as one that calls register_model().",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options of the command itself."""
    with one_line_errors():
        for name in imports or ():
            import_module_named(name)


def import_module_named(name: str) -> None:
    """Import a module of the user's, from the current folder or the Python path."""
    sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise
        raise ValueError(
            f"--import {name}: no such module here or on the Python path; give its name, as in"
            " --import mymodel for mymodel.py"
        ) from error
    finally:
        sys.path.remove(os.getcwd())


app.command(help=EVALUATE, epilog=EVALUATE_EXAMPLES, cls=SeveralValues)(evaluate)
app.command()(models)
app.command(help=VIDEO, epilog=VIDEO_EXAMPLES)(video)
app.command(help=COMPARE, epilog=COMPARE_EXAMPLES, cls=SeveralValues)(compare)


@app.command(help=COLORIZE, epilog=EXAMPLES)
def colorize(
    photos: Annotated[
        list[str],
        typer.Argument(
            help="Photographs, folders of them, or patterns (quoted or not); - reads one from"
            " standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File for one photograph; folder for several, created if need be (end it with /"
            " to put a single photograph into a new folder); - for standard output. Left out:"
            " NAME.color.png beside each photograph.",
        ),
    ] = None,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive", "-r", help="Also folders within folders; -o FOLDER mirrors them."
        ),
    ] = False,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="png, jpg, tif, webp or avif, where -o does not say; same for the photograph's own"
            " (png where it is none of these).",
            show_default="png",
            autocompletion=lambda: ["png", "jpg", "tif", "webp", "avif", "same"],
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="How results are named: {stem} or {name} of the photograph, {ext} of the result,"
            " {n} of the sample.",
            show_default="{stem}.color{ext}",
        ),
    ] = None,
    comparison: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also write before and after in one picture, NAME.compare.jpg."
        ),
    ] = False,
    file_quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="Of jpg, webp and avif files.", show_default="95, 90 and 85"
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave photographs alone whose results exist. Resumes a run."
        ),
    ] = False,
    quality: Annotated[
        str,
        typer.Option(
            help="How carefully to colour: fast, balanced or best.",
            autocompletion=lambda: ["fast", "balanced", "best"],
        ),
    ] = "balanced",
    saturation: Annotated[
        float, typer.Option(min=0, help="Chroma is multiplied by it: 0 is grey.")
    ] = 1.0,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="1 the mean of the likely, 0 the likeliest.",
            show_default="the model's",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Draw one of several plausible colourings by this seed, instead of the expected"
            " one; each number draws another.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=1,
            help="Draw so many plausible colourings, NAME.color.1.png and so on; --sample is the"
            " seed.",
        ),
    ] = 1,
    hint: Points = None,
    strokes: Strokes = None,
    reference: Reference = None,
    palette: PaletteColors = None,
    hints: HintsFile = None,
    strip_location: Annotated[
        bool,
        typer.Option(
            "--strip-location", help="Leave GPS, maker notes and XMP out of what results say."
        ),
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side the network works at, in pixels.", show_default="the model's"
        ),
    ] = None,
    borders: Annotated[
        bool,
        typer.Option(help="Leave uniform borders neutral, as the mounts of album pages."),
    ] = True,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=0, help="Refuse larger photographs; 0 for no limit.", show_default="500 million"
        ),
    ] = None,
    max_input: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Megabytes that standard input may have; 0 for no limit.",
            show_default="1000",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Photographs at work at once, as many as memory must hold; 1 for one by one.",
            show_default="cores + 1, at most 8",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Checkpoint (see: deepcolor models), or a weights file."
        ),
    ] = DEFAULT_MODEL,
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda or mps. auto takes a GPU if there is one, and says so."),
    ] = "auto",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a line for each photograph, then a summary."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more, and of bugs where they arose.")
    ] = False,
) -> None:
    """Colour photographs; the help is COLORIZE."""
    with ending(), ExitStack() as left:
        with one_line_errors():
            if quiet and verbose:
                raise ValueError("--quiet and --verbose: choose one")
            from deepcolor.cli import colorize as work
            from deepcolor.images import MAX_PIXELS
            from deepcolor.inference import Options
            from deepcolor.jobs.batch import Settings
            from deepcolor.jobs.guides import Guide
            from deepcolor.jobs.naming import TEMPLATE, Naming, checked_format

            if quality.isdigit():
                raise ValueError(f"no --quality named {quality!r}; --file-quality takes numbers")
            options = Options(
                quality=quality, size=size, saturation=saturation, temperature=temperature,
                borders=borders,
            )  # fmt: skip
            settings = Settings(
                options=options, sample=sample, samples=samples, file_quality=file_quality,
                max_pixels=MAX_PIXELS if max_pixels is None else max_pixels or None,
                strip_location=strip_location,
                guide=Guide.of(hint or (), strokes, reference, palette, hints),
            )  # fmt: skip
            suffix = None if file_format is None else checked_format(file_format)
            naming = Naming(suffix, TEMPLATE if name is None else name, samples, comparison)
            limit = work.MAX_INPUT if max_input is None else max_input or None
            order = work.Order(
                photos, output, recursive, naming, settings, skip_existing, limit, jobs, model,
                device, as_json, LOUD if verbose else QUIET if quiet else PLAIN,
            )  # fmt: skip
            plan, predictor = left.enter_context(work.prepared(order))
        raise typer.Exit(work.colorize(order, plan, predictor))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    epilog="Example: deepcolor train fit --config recipes/lite.photos.yaml --data.path photos/",
)
def train(context: typer.Context) -> None:
    """Train a model: LightningCLI's fit, validate, test and predict.

    deepcolor train --help says how; --help-all lists every argument.
    """
    try:
        from deepcolor.cli.train import BAD_ARGUMENTS
        from deepcolor.cli.train import train as run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "jsonargparse":
            raise
        with one_line_errors():
            raise ValueError(f"training {needs('train')}") from error
    with one_line_errors(BAD_ARGUMENTS):  # anything else may be a bug: show where
        run(context.args)


@app.command()
def features(
    photos: Annotated[
        str, typer.Argument(help="What is trained on: as --data.path of deepcolor train.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The cache to write, .safetensors.")
    ],
    weights: Annotated[str, typer.Option(help="File of the classifier's weights.")],
    recipe: Annotated[
        str | None, typer.Option(help="Of the model to train, which says its classifier.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Any classifier of timm instead, with its preprocessing.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs at once.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compute the global vectors of photographs once, for models that take a classifier's.

    Stopped runs go on where they were. docs/training.md tells more.
    """
    with one_line_errors():
        from deepcolor.cli import features as work

        path = work.features(photos, output, recipe, backbone, weights, batch_size, workers, device)
        typer.echo(f"vectors: {shown(path)}")


def main() -> None:
    """Run the command."""
    app()
