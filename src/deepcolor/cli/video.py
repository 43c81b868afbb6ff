"""`deepcolor video`: plan, load the model, colour, report."""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepcolor.cli.films import FilmReport
from deepcolor.cli.models import DEFAULT_MODEL
from deepcolor.cli.options import one_line_errors
from deepcolor.cli.report import LOUD, PLAIN, QUIET, print_lines
from deepcolor.cli.signals import ending, stoppable
from deepcolor.extras import needs
from deepcolor.files import shown

if TYPE_CHECKING:
    from deepcolor.jobs.films import FilmTask

__all__ = ["EXAMPLES", "VIDEO", "seconds_of", "video"]

VIDEO = """\
Colour films, keeping their light, their sound and their times.

Colours are held steady from frame to frame within each shot. Results are written whole or not \
at all. What is unfinished lies in OUT.parts beside the result: a run that was stopped, killed, or \
met a full disk goes on with --resume. A film that cannot be coloured does not stop the others.

Exit code: 0 all done; 1 some films failed, listed at the end; 2 nothing was begun, the message \
says why; 130 stopped by Ctrl-C (143 told to end, 129 hung up): --resume goes on.
"""
EXAMPLES = (
    "Examples: deepcolor video old.mp4 -o new.mp4; deepcolor video old.mp4 --preview sheet.png;"
    " deepcolor video films -r -o coloured/ --resume"
)
FAILED, NOTHING_DONE = 1, 2  # exit codes


def video(
    films: Annotated[
        list[str],
        typer.Argument(
            help="Films, folders of films, folders of numbered frames, or patterns.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File for one film; folder for several, created if need be. Left out:"
            " NAME.color.mp4, or as the film's own suffix is, beside each film.",
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
            help="mp4, mkv, mov, webm, avi: suffix of the results, where -o does not say.",
            show_default="the film's own",
        ),
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Write folders of numbered PNG files, not films.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what an earlier run finished."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results, and what is left of other runs.")
    ] = False,
    steady: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="How far colours are held: 0 each frame by itself, 1 all they can."
        ),
    ] = 0.5,
    codec: Annotated[
        str | None,
        typer.Option(help="h264, h265, vp9, av1, prores or ffv1.", show_default="by the suffix"),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0, help="Quality of the codec: lower is better, and larger.", show_default="ours"
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Where to begin: seconds or HH:MM:SS.", show_default="the beginning"),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Where to end, likewise.", show_default="the end")
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, help="Colour only every Nth frame: a quick draft.")
    ] = 1,
    preview: Annotated[
        str | None,
        typer.Option(
            help="Write a sheet of a dozen frames in colour to this PNG file, and nothing else.",
            show_default=False,
        ),
    ] = None,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Make whole frames of interlaced ones.")
    ] = False,
    quality: Annotated[
        str, typer.Option(help="How carefully to colour: fast, balanced or best.")
    ] = "balanced",
    saturation: Annotated[
        float, typer.Option(min=0, help="Chroma is multiplied by it: 0 is grey.")
    ] = 1.0,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="1 the mean of the likely, 0 the likeliest.",
            show_default="the model's",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side the network works at, in pixels.", show_default="the model's"
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
        bool, typer.Option("--json", help="One JSON object a line for each film, then a summary.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what failed.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more, and of bugs where they arose.")
    ] = False,
) -> None:  # fmt: skip
    """Colour films; the help is VIDEO."""
    with ending():
        with one_line_errors():
            if quiet and verbose:
                raise ValueError("--quiet and --verbose: choose one")
            _require_extra()
            from deepcolor.inference import Options, Predictor
            from deepcolor.jobs.films import plan_films
            from deepcolor.video.options import FilmOptions

            options = Options(
                quality=quality, size=size, saturation=saturation, temperature=temperature,
                borders=False,
            )  # fmt: skip
            how = FilmOptions(
                steady=steady, codec=codec, crf=crf, every=every, deinterlace=deinterlace,
                start=None if start is None else seconds_of(start),
                end=None if end is None else seconds_of(end),
            )  # fmt: skip
            suffix = None if file_format is None else "." + file_format.lower().lstrip(".")
            tasks, problems = plan_films(
                films, output, recursive=recursive, suffix=suffix, frames=frames
            )
            if preview is not None and (len(tasks) != 1 or problems):
                raise ValueError("--preview is of one film; name one" if not problems
                                 else problems[0][1])  # fmt: skip
            predictor = Predictor(model, device) if tasks else None
            if preview is not None and predictor is not None:
                from deepcolor.video.preview import preview_film

                preview_film(tasks[0].film, Path(preview), predictor, options, how)
                if not quiet:
                    print_lines(f"{shown(tasks[0].film)} -> {shown(preview)}", sys.stdout)
                return
        loudness = LOUD if verbose else QUIET if quiet else PLAIN
        report = FilmReport(len(tasks), problems, as_json, loudness)
        if predictor is None:
            report.end(0.0, stopped=False)
            raise typer.Exit(NOTHING_DONE)
        if device == "auto":
            report.say(f"device {predictor.device} (auto)")
        raise typer.Exit(_work(tasks, predictor, options, how, resume, overwrite, report))


def _work(
    tasks: "Sequence[FilmTask]",
    predictor: Any,
    options: Any,
    how: Any,
    resume: bool,
    overwrite: bool,
    report: FilmReport,
) -> int:
    from deepcolor.jobs.films import colour_films

    begun = time.perf_counter()
    with stoppable() as (stop, caught):
        for outcome in colour_films(
            predictor, tasks, options, how, resume=resume, overwrite=overwrite,
            tell=report.tell, stop=stop,
        ):  # fmt: skip
            report.add(outcome, str(predictor.device))
        report.end(time.perf_counter() - begun, stopped=bool(caught))
    if caught:
        return 128 + caught[0]
    return FAILED if report.errors else 0


def _require_extra() -> None:
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
    except ImportError as error:
        raise ValueError(f"colouring films {needs('video')}") from error


def seconds_of(text: str) -> float:
    """Seconds of "90", "1:30", "00:01:30.5".

    >>> seconds_of("1:01:30.5")
    3690.5

    Raises:
        ValueError: for anything else.
    """
    parts = text.strip().split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise ValueError(f"{text!r} is no time: give seconds, such as 90 or 90.5, or HH:MM:SS")
    if any(n >= 60 for n in numbers[1:]):
        raise ValueError(f"{text!r} is no time: minutes and seconds after a colon are below 60")
    return sum(n * 60.0**power for power, n in enumerate(reversed(numbers)))
