"""The `deepcolor` command. Heavy imports wait until a command needs them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "main"]

DEFAULT_MODEL = "lite.photos"
BAD_INPUT = 2  # exit code

app = typer.Typer(
    name="deepcolor",
    help="Give black-and-white photographs their colour.",
    epilog="Try: deepcolor colorize old.jpg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@contextmanager
def _one_line_errors(
    kinds: tuple[type[Exception], ...] = (ValueError, TypeError, OSError),
) -> Iterator[None]:
    """Bad input ends in one line on stderr and exit code 2, without a traceback."""
    try:
        yield
    except kinds as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"deepcolor: {message}", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from error


@app.command(epilog="Example: deepcolor colorize album/*.jpg -o coloured/")
def colorize(
    photos: Annotated[list[Path], typer.Argument(help="Photographs: JPEG, PNG, TIFF, WebP ...")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, or folder for several photographs."
            " Left out: NAME.color.png beside each photograph.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Checkpoint (see: deepcolor models), or a weights file."
        ),
    ] = DEFAULT_MODEL,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps. auto takes a GPU if there is one.")
    ] = "auto",
) -> None:
    """Colour photographs at full size, keeping every pixel's lightness.

    Each result is written whole or not at all. A photograph that cannot be read stops the command
    with exit code 2; those before it are done.
    """
    from deepcolor import images
    from deepcolor.inference import Predictor

    with _one_line_errors():
        targets = _targets(photos, output)
        for target in targets:
            images.writable(target)
        predictor = Predictor(model, device)
        for photo, target in zip(photos, targets, strict=True):
            start = time.perf_counter()
            images.save(predictor(photo), target)
            seconds = time.perf_counter() - start
            typer.echo(f"{photo} -> {target} ({seconds:.1f} s on {predictor.device})")


def _targets(photos: list[Path], output: Path | None) -> list[Path]:
    """Where each photograph's result goes; refuses to overwrite a photograph or a result."""
    into_folder = output is not None and (output.is_dir() or len(photos) > 1)
    if into_folder and output is not None and not output.is_dir():
        raise FileNotFoundError(f"{output}: several photographs need an existing folder to go to")
    targets = []
    for photo in photos:
        folder = output if into_folder and output is not None else photo.parent
        beside = folder / f"{photo.stem}.color.png"
        targets.append(beside if output is None or into_folder else output)
    given = {photo.resolve() for photo in photos}
    taken: set[Path] = set()
    for photo, target in zip(photos, targets, strict=True):
        if target.resolve() in given:
            raise ValueError(f"{target} is one of the photographs; choose another output")
        if target.resolve() in taken:
            raise ValueError(f"{target} would be written twice, also for {photo}; rename one")
        taken.add(target.resolve())
    return targets


@app.command()
def models(
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also licence, origin and measured figures.")
    ] = False,
) -> None:
    """List the checkpoints that --model takes, and the models that can be trained."""
    from deepcolor.models import list_models
    from deepcolor.weights import CHECKPOINTS, weights_folder

    typer.echo("checkpoints:")
    for name, checkpoint in sorted(CHECKPOINTS.items()):
        default = " (default)" if name == DEFAULT_MODEL else ""
        typer.echo(f"  {name}{default}: trained on {checkpoint.trained_on}")
        if not long:
            continue
        figures = ", ".join(f"{key} {value:g}" for key, value in checkpoint.expected.items())
        allowed = "allows" if checkpoint.commercial else "is not known to allow"
        terms = f"; {checkpoint.terms}" if checkpoint.terms else ""
        typer.echo(f"    licence: {checkpoint.license} ({allowed} commercial use){terms}")
        typer.echo(f"    source: {checkpoint.source}")
        if checkpoint.downloaded:
            where = weights_folder() / checkpoint.file
            state = "is at" if where.is_file() else "on first use to"
            typer.echo(f"    file: {checkpoint.location}, {state} {where}")
        typer.echo(f"    figures: {figures or 'not measured'}")
    typer.echo(f"models to train: {', '.join(list_models())}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
    epilog="Example: deepcolor train fit --config recipes/lite.photos.yaml --data.path photos/",
)
def train(context: typer.Context) -> None:
    """Train a model: LightningCLI's fit, validate, test and predict.

    All arguments go to LightningCLI; deepcolor train --help lists its own.
    """
    try:
        from deepcolor.cli.train import train as run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "jsonargparse":
            raise
        with _one_line_errors():
            raise ValueError(
                "training needs an extra: pip install 'deepcolor-lightning[train]'"
            ) from error
    with _one_line_errors((FileNotFoundError,)):  # anything else may be a bug: show where
        run(context.args)


def main() -> None:
    """Run the command."""
    app()
