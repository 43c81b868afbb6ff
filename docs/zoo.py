"""The model zoo page, from the tables: python docs/zoo.py > docs/models.md."""

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path

from deepcolor.models import MODELS, Colorizer, create_model, list_models
from deepcolor.weights import CHECKPOINTS, DEFAULT, Checkpoint, list_checkpoints
from deepcolor.weights.licenses import backbone_licenses

MEASURED = Path(__file__).parents[1] / "benchmarks" / "results" / "models.md"


def table(header: str, rows: Iterable[Iterable[str]]) -> str:
    columns = header.count("|") + 1
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"| {header} |\n{'|---' * columns}|\n{body}"


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")


def model_row(name: str) -> list[str]:
    model: Colorizer = create_model(name)
    kind = MODELS[name]
    parts = [f"{key} ({value})" for key, value in backbone_licenses(model.network).items()]
    return [
        f"`{name}`",
        first_line(sys.modules[kind.__module__]),
        f"{sum(p.numel() for p in model.network.parameters()):,}",
        f"{kind.size} px",
        str(kind.stride),
        ", ".join(sorted(model.accepts)) or "-",
        ", ".join(parts) or "-",
    ]


def checkpoint_text(name: str, checkpoint: Checkpoint) -> str:
    use = "" if checkpoint.commercial else ", not known to allow commercial use"
    backbone = f"; backbone {checkpoint.backbone_license}" if checkpoint.backbone_license else ""
    origin = "downloaded" if checkpoint.downloaded else "in the wheel"
    rows = [
        ("licence", f"{checkpoint.license}{use}{backbone}"),
        ("terms", checkpoint.terms or "none beside the licence"),
        ("trained on", checkpoint.trained_on),
        ("source", checkpoint.source),
        ("file", f"`{checkpoint.file}`, {origin}"),
        ("sha256", f"`{checkpoint.sha256}`"),
        ("settings", ", ".join(f"{k}={v!r}" for k, v in checkpoint.hparams.items()) or "-"),
    ]
    figures = "Not measured."
    if checkpoint.expected:
        listed = ", ".join(f"{key} {value:g}" for key, value in checkpoint.expected.items())
        figures = f"On {checkpoint.measured_on}: {listed}."
    default = ", the default" if name == DEFAULT else ""
    return f"### {name}{default}\n\n{table(' | ', rows)}\n\n{figures}"


def checkpoints() -> str:
    return "\n\n".join(checkpoint_text(name, CHECKPOINTS[name]) for name in list_checkpoints())


def costs() -> str:
    """The table of benchmarks/models.py, if it was committed."""
    if not MEASURED.is_file():
        return "`python benchmarks/models.py` prints parameters, GFLOPs, milliseconds and memory."
    return MEASURED.read_text(encoding="utf-8").partition("\n")[2].strip()


def page() -> str:
    header = "model | what it is | parameters | side | stride | guidance | timm backbone (licence)"
    return f"""\
# Models and checkpoints

Made by `python docs/zoo.py > docs/models.md` from the tables in the code.

## Models

`deepcolor.create_model(NAME)` makes one with random weights. Sides are those the networks were
made for; `deepcolor.Predictor` brings any picture to them and the colour back to full size.
Licences are those that timm states for its own pretrained weights of a backbone; none is loaded
unless asked for, and a default backbone whose weights were for non-commercial use only would fail
the tests.

{table(header, map(model_row, list_models()))}

## What they cost

{costs()}

## Checkpoints

`deepcolor.load_model(NAME)` loads one, `deepcolor models --long` lists them. Those that are not in
the wheel are downloaded on first use into the folder `DEEPCOLOR_HOME`, or else the platform's cache
folder for deepcolor. A broken download goes on where it broke. Addresses are https, and a file is
taken only with the whole sha256 and not a byte more than the size that the table names; nothing in
it is run. Without a network, put the file into that folder by hand.

A weights file says itself which model to build, and may be a stranger's: it sets only arguments
that the class takes and does not list in `unsaved` (paths of files), of the kinds that the
signature says, and its tensors are held against that model's shapes before they take memory.
`load_model` also takes a folder by `save_pretrained` and a checkpoint of Lightning (`best.ckpt`).

`deepcolor.save_pretrained(model, FOLDER, about)` writes weights and a model card,
`deepcolor.push_to_hub(model, "OWNER/NAME", about)` uploads them to the Hugging Face Hub, and
`deepcolor.from_pretrained(FOLDER or "OWNER/NAME")` loads them; `about` is a `deepcolor.About` with
licence, data, source and figures. Where a checkpoint's name is expected, "hf-hub:OWNER/NAME" will
do too.

{checkpoints()}
"""


if __name__ == "__main__":
    sys.stdout.write(page())
