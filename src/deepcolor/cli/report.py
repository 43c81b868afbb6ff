"""What the command says while it works: lines, a progress bar, or JSON."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from deepcolor.cli.pipes import STDIN_NAME, STDIO, STDOUT_NAME
from deepcolor.files import shown

if TYPE_CHECKING:
    from tqdm import tqdm

    from deepcolor.jobs.batch import Outcome
    from deepcolor.jobs.naming import Task
    from deepcolor.jobs.plan import Plan

__all__ = ["LOUD", "PLAIN", "QUIET", "Report", "complain", "on_terminal", "print_lines"]

QUIET, PLAIN, LOUD = -1, 0, 1  # only errors; the usual; all there is to tell


def complain(text: str) -> None:
    """Say something on stderr, on one line."""
    print_lines(f"deepcolor: {' '.join(text.split())}", sys.stderr)


class Report:
    """Tells how far the work is, and at its end what failed.

    A terminal sees a progress bar where there are several photographs; anything else a line for
    each on `stream`. With `as_json` each line is one object, and so is a summary at the end.

    Args:
        plan: the work.
        device: where it is done; None if there is nothing to do.
        as_json: whether a machine reads.
        stream: where lines go; stderr when stdout is taken by a picture.
        loudness: QUIET, PLAIN or LOUD; JSON and errors come in any case.
    """

    def __init__(
        self,
        plan: "Plan",
        device: str | None,
        as_json: bool,
        stream: TextIO,
        loudness: int = PLAIN,
    ) -> None:
        self.loudness = loudness
        self.device = device
        self.as_json = as_json
        self.stream = stream
        self.done = 0
        self.errors: list[str] = []
        self.skipped = len(plan.skipped)
        self.todo = len(plan.tasks)
        self.total = self.todo + self.skipped + len(plan.problems)
        self.bar: tqdm[Any] | None = None
        for note in plan.notes:
            self.say(note)
        for task in plan.skipped:
            self._line("skipped", task.name, task)
        for name, error in plan.problems:
            self._fail(name, error)
        if self.todo > 1 and on_terminal(sys.stderr) and loudness > QUIET:
            self.bar = _bar(self.todo)

    def say(self, text: str) -> None:
        """Say something on stderr, above the bar, unless asked to be quiet."""
        if self.loudness > QUIET:
            with self._above():
                complain(text)

    def tell(self, text: str) -> None:
        """Say what only those want to know who asked for it."""
        if self.loudness >= LOUD:
            self.say(text)

    def add(self, outcome: "Outcome") -> None:
        """Tell what became of a photograph."""
        task = outcome.task
        for note in outcome.notes:
            self.say(note)
        if outcome.error is not None:
            self._fail(task.name, outcome.error)
            if outcome.trace is not None and self.loudness >= LOUD:
                with self._above():
                    print_lines(outcome.trace.rstrip(), sys.stderr)
        else:
            self.done += 1
            self._line("done", task.name, task, outcome.seconds, outcome.size)
        if self.bar is not None:
            if self.errors:
                self.bar.set_postfix(failed=len(self.errors), refresh=False)
            self.bar.update()

    def end(self, seconds: float, stopped: bool) -> None:
        """Sum up, and list what failed."""
        if self.bar is not None:
            self.bar.close()
        if self.as_json:
            summary = {
                "done": self.done, "skipped": self.skipped, "failed": len(self.errors),
                "total": self.total, "seconds": round(seconds, 3), "device": self.device,
                "interrupted": stopped,
            }  # fmt: skip
            self._json({"summary": summary})
        if stopped:
            complain(f"stopped; {self.done} of {self.total} photographs are done and whole")
        elif self.total > 1 and (self.todo or self.skipped) and self.loudness > QUIET:
            counts = {"skipped": self.skipped, "failed": len(self.errors)}
            rest = "".join(f", {number} {what}" for what, number in counts.items() if number)
            complain(f"{self.done} of {self.total} photographs coloured in {seconds:.1f} s{rest}")
        for error in self.errors:
            complain(error)

    def _fail(self, name: str, error: str) -> None:
        self.errors.append(error)
        self._line("failed", name, None, error=error)

    def _line(
        self,
        status: str,
        name: str,
        task: "Task | None",
        seconds: float | None = None,
        size: tuple[int, int] | None = None,
        error: str | None = None,
    ) -> None:
        if self.as_json:
            self._json({
                "input": STDIO if name == STDIN_NAME else name,
                "output": None if task is None else _outputs(task), "status": status,
                "seconds": None if seconds is None else round(seconds, 3), "size": size,
                "device": self.device if status == "done" else None, "error": error,
            })  # fmt: skip
            return
        if self.loudness <= QUIET or (self.bar is not None and on_terminal(self.stream)):
            return
        goes_to = "" if task is None else shown(task.goes_to)
        if status == "done":
            pixels = f"{size[0]} x {size[1]} pixels, " if size and self.loudness >= LOUD else ""
            text = f"{shown(name)} -> {goes_to} ({pixels}{seconds:.1f} s on {self.device})"
        elif status == "skipped":
            text = f"{shown(name)}: skipped, {goes_to} is there"
        elif self.total > 1 and self.todo:
            text = f"{shown(name)}: failed, see the end"
        else:
            return
        self._out(text)

    def _json(self, record: dict[str, Any]) -> None:
        self._out(json.dumps(record))

    def _out(self, text: str) -> None:
        with self._above():
            print_lines(text, self.stream)

    def _above(self) -> AbstractContextManager[Any]:
        """Clears the bar while something else is written."""
        return nullcontext() if self.bar is None else self.bar.external_write_mode(sys.stderr)


def _bar(total: int) -> "tqdm[Any]":
    from tqdm import tqdm

    return tqdm(total=total, unit="photo", file=sys.stderr, dynamic_ncols=True)


def on_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it."""
    return stream.isatty()


def print_lines(text: str, stream: TextIO) -> None:
    """Print text with names of files in it, of whatever characters, line by line."""
    encoding = stream.encoding or "utf-8"
    safe = "\n".join(shown(line) for line in text.split("\n"))
    print(safe.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _outputs(task: "Task") -> str | list[str]:
    """What machines are told was written: a file, of several samples a list of them."""
    if task.goes_to == STDOUT_NAME:
        return STDIO
    files = [str(target) for target in task.targets]
    return files if len(files) > 1 else files[0]
