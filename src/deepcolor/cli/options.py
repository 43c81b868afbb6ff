"""What commands share: options that take several values, and errors on one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand

from deepcolor.cli.report import complain

__all__ = ["BAD_INPUT", "SeveralValues", "one_line_errors"]

BAD_INPUT = 2  # exit code


@contextmanager
def one_line_errors(
    kinds: tuple[type[Exception], ...] = (ValueError, TypeError, OSError),
) -> Iterator[None]:
    """Bad input ends in one line on stderr and exit code 2.

    The environment variable DEEPCOLOR_TRACEBACK, set to anything, shows the traceback instead.
    """
    try:
        yield
    except kinds as error:
        if os.environ.get("DEEPCOLOR_TRACEBACK"):
            raise
        complain(str(error) or type(error).__name__)
        raise typer.Exit(BAD_INPUT) from error


class SeveralValues(TyperCommand):
    """A command whose repeatable options take several values: PHOTOS --model A B C.

    Values after the first are taken up to the next option, if a photograph was named before:
    in `--model A PHOTOS`, PHOTOS stays an argument.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = {
            name: option
            for option in self.params
            if option.param_type_name == "option"
            for name in option.opts
        }
        spread: list[str] = []
        several: str | None = None  # the option whose values go on
        argued = False  # whether an argument has been seen
        rest = iter(args)
        for token in rest:
            if token == "--":
                spread += [token, *rest]
            elif token.startswith("-") and len(token) > 1:
                option: Any = options.get(token)
                several = token if option is not None and option.multiple and argued else None
                spread.append(token)
                if option is not None and not option.is_flag and not option.count:
                    spread += [value for value in [next(rest, None)] if value is not None]
            elif several is not None:
                spread += [several, token]
            else:
                argued = True
                spread.append(token)
        return super().parse_args(ctx, spread)
