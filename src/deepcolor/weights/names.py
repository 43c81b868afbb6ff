"""What somebody may have meant who named weights that are not there."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from deepcolor.models import models

__all__ = ["unknown_name"]

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
PICKLES = (".pth", ".pt", ".bin")


def unknown_name(name: str, known: Sequence[str]) -> str:
    """The message for a name that is no checkpoint, no file of weights and no folder.

    Args:
        name: as it was given.
        known: the checkpoints' names.
    """
    plain = _plain(name)
    untrained = {_plain(key): key for key in models()}
    untrained |= {kind.__name__.lower(): key for key, kind in models().items()}
    if plain in untrained:
        model = untrained[plain]
        trained = [one for one in known if one.startswith(f"{model}.")]
        kept = f"did you mean {_or(trained)}?" if trained else "no weights of it are published;"
        return (
            f"{name!r} is a model, not trained weights: {kept} create_model({model!r}) makes one"
            " to train"
        )
    path = Path(name)
    if path.suffix in PICKLES:
        return (
            f"{name!r}: a state dict does not say which model to build; make it, and call"
            " load_weights(model, path)"
        )
    close = get_close_matches(plain, {_plain(one): one for one in known}, n=2)
    meant = f"did you mean {_or([one for one in known if _plain(one) in close])}? " if close else ""
    if not close and REPOSITORY.fullmatch(name):
        meant = f"if it is on the Hugging Face Hub, say 'hf-hub:{name}'; "
    lead = f"{name} is no weights file" if path.is_file() else f"no checkpoint named {name!r}"
    return (
        f"{lead}; {meant}there are: {', '.join(known)}; or give the path of a .safetensors or .ckpt"
        " file, of a folder by save_pretrained(), or hf-hub:OWNER/NAME"
    )


def _plain(name: str) -> str:
    """A name without what is easily mistaken in it."""
    return re.sub(r"[\s_-]+", ".", name.strip().lower())


def _or(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))
