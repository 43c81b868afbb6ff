"""What `deepcolor video` says while it works: lines, bars, or JSON."""

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepcolor.cli.report import LOUD, QUIET, complain, on_terminal, print_lines
from deepcolor.files import shown

if TYPE_CHECKING:
    from deepcolor.jobs.films import FilmOutcome, FilmTask

__all__ = ["FilmReport"]


@dataclass
class FilmReport:
    """Tells how far the work is, and at its end what failed.

    A terminal sees a bar with frames a second and the time left for each film.
    """

    total: int
    problems: list[tuple[str, str]]
    as_json: bool
    loudness: int

    def __post_init__(self) -> None:
        self.done = self.skipped = self.frames = 0
        self.errors: list[str] = []
        self.bar: Any = None
        self.total += len(self.problems)
        for name, error in self.problems:
            self._failed(name, None, error)

    def say(self, text: str) -> None:
        """Say something on stderr, unless asked to be quiet."""
        if self.loudness > QUIET:
            complain(text)

    def tell(self, task: "FilmTask", done: int, total: int | None) -> None:
        """Move the bar."""
        if self.loudness <= QUIET or not on_terminal(sys.stderr):
            return
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(
                total=total, initial=done, unit="frame", file=sys.stderr, dynamic_ncols=True,
                desc=shown(task.film.name), smoothing=0.05,
            )  # fmt: skip
        self.bar.update(done - self.bar.n)

    def add(self, outcome: "FilmOutcome", device: str) -> None:
        """Tell what became of a film."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        task, result = outcome.task, outcome.result
        name, target = str(task.film), str(task.target)
        for note in outcome.notes:
            self.say(note)
        if outcome.stopped:
            self._json(name, target, "stopped")
        elif outcome.error is not None:
            self._failed(name, target, outcome.error)
            if outcome.trace is not None and self.loudness >= LOUD:
                print_lines(outcome.trace.rstrip(), sys.stderr)
        elif result is None:
            self.skipped += 1
            self._json(name, target, "skipped")
            self._line(f"{name}: skipped, {target} is there")
        else:
            self.done += 1
            self.frames += result.frames
            for remark in result.remarks:
                self.say(f"{name}: {remark}")
            self._json(
                name, target, "done", frames=result.frames, seconds=round(result.seconds, 3),
                fps=round(result.fps, 3), remarks=list(result.remarks), device=device,
            )  # fmt: skip
            self._line(
                f"{name} -> {target} ({result.frames:,} frames, {result.seconds:.1f} s,"
                f" {result.fps:.1f} frames/s on {device})"
            )

    def end(self, seconds: float, stopped: bool) -> None:
        """Sum up, and list what failed."""
        if self.as_json:
            summary = {
                "done": self.done, "skipped": self.skipped, "failed": len(self.errors),
                "total": self.total, "frames": self.frames, "seconds": round(seconds, 3),
                "interrupted": stopped,
            }  # fmt: skip
            print_lines(json.dumps({"summary": summary}), sys.stdout)
        if stopped:
            complain(
                f"stopped; {self.done} of {self.total} films are done and whole; --resume goes on"
            )
        elif self.total > 1 and self.loudness > QUIET:
            complain(f"{self.done} of {self.total} films coloured in {seconds:.1f} s")
        for error in self.errors:
            complain(error)

    def _failed(self, name: str, target: str | None, error: str) -> None:
        self.errors.append(error)
        self._json(name, target, "failed", error=error)
        if self.total > 1:
            self._line(f"{name}: failed, see the end")

    def _line(self, text: str) -> None:
        if not self.as_json and self.loudness > QUIET:
            print_lines(text, sys.stdout)

    def _json(self, name: str, target: str | None, status: str, **rest: Any) -> None:
        if not self.as_json:
            return
        record: dict[str, Any] = {
            "input": name, "output": target, "status": status, "frames": None, "seconds": None,
            "fps": None, "remarks": [], "device": None, "error": None,
        }  # fmt: skip
        print_lines(json.dumps(record | rest), sys.stdout)
