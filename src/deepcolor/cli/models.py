"""`deepcolor models`: what --model takes."""

from typing import Annotated

import typer

from deepcolor.files import shown

__all__ = ["DEFAULT_MODEL", "models"]

DEFAULT_MODEL = "lite.photos"


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
            typer.echo(f"    file: {checkpoint.location}, {state} {shown(where)}")
        typer.echo(f"    figures: {figures or 'not measured'}")
    typer.echo(f"models to train: {', '.join(list_models())}")
