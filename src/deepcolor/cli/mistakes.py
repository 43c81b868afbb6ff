"""What went wrong in `deepcolor train`, said so that whoever typed it can mend it."""

import logging
import re

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException

from deepcolor.models import list_models

__all__ = ["BAD_ARGUMENTS", "in_plain_words", "quiet_start"]

BAD_ARGUMENTS = (
    ArgumentError, MisconfigurationException, ValueError, TypeError, OSError, ImportError,
)  # fmt: skip
"""What a user can set right, said in one line; CacheError and CheckpointError are ValueErrors."""

KEY = re.compile(r"Parser key \"([\w.+-]+)\":\s*")
UNION = "Does not validate against any of the Union subtypes"
# What jsonargparse says of a class's arguments, with all of them around it.
CLASS_PROBLEM = re.compile(
    r"Problem with given class_path '([^']*)':\s*(?:- )?(.*?)\s*"
    r"(?:- Expected a|Given value type|$)",
    re.DOTALL,
)
WRONG_TYPE = re.compile(r"Expected a <class '([\w.]+)'>\. Got value: (.*)", re.DOTALL)
VALUE = re.compile(r"Given value: (.*)", re.DOTALL)
STAGE = re.compile(r"\b(?:fit|validate|test|predict)\.(?=[a-z])")
# Lightning's lines about hardware that is not there and about its own services.
NOISE = re.compile("💡|[TGH]PU available: False|Seed set to")
NOISY = (
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.utilities.rank_zero",
)


def in_plain_words(error: Exception) -> str:
    """One line of what LightningCLI, jsonargparse or the Trainer say at length.

    Errors of this house are in plain words and come back as they are.
    """
    if UNION in str(error) and not isinstance(error, ArgumentError):
        cause = error.__cause__  # what the class said; around it stand all of its arguments
        return str(cause if cause is not None else error)
    text = str(error)
    key = KEY.search(text)
    option = "" if key is None else f"--{key.group(1)}"
    problem = CLASS_PROBLEM.search(text)
    if problem is not None:
        option, inner = option or "--model", KEY.match(problem.group(2))
        wrong = WRONG_TYPE.search(problem.group(2))
        if inner is not None and wrong is not None:
            return _of_type(f"{option}.{inner.group(1)}", wrong)
        return f"{option}: {problem.group(1)}: {problem.group(2)}"
    if key is None:
        return STAGE.sub("--", text) if "are required" in text else text
    value = VALUE.search(text)
    if UNION in text and value is not None:
        given = f"{option} {value.group(1).strip()}"
        if option == "--model":
            return f"{given}: no such model; there are: {', '.join(list_models())}"
        return f"{given}: not among what it takes; --help-all lists that"
    wrong = WRONG_TYPE.search(text)
    if wrong is not None:
        return _of_type(option, wrong)
    return f"{option}: {text[key.end() :]}"


def _of_type(option: str, wrong: re.Match[str]) -> str:
    return f"{option} {wrong.group(2).strip()}: must be of type {wrong.group(1)}"


class _NoNoise(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return NOISE.search(record.getMessage()) is None


def quiet_start() -> None:
    """Leave out what Lightning says at each start and no user can act on."""
    for name in NOISY:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _NoNoise) for known in logger.filters):
            logger.addFilter(_NoNoise())
