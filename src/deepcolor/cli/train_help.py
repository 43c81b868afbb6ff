"""The short help of `deepcolor train`: what is asked for most, of several hundred arguments."""

import textwrap
from argparse import SUPPRESS
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from deepcolor.models import list_models

__all__ = ["OVERVIEW", "TrainParser"]

WIDTH, INDENT = 96, 37
STAGES = {
    "fit": "Train. Writes runs/NAME/version_N and ends with its model.safetensors.",
    "validate": "Measure a checkpoint on the photographs kept for validation.",
    "test": "Measure it on those kept for the test.",
    "predict": "Colour those of the test, at the training size.",
}
EXAMPLES = """\
  deepcolor train fit --config recipes/lite.photos.yaml --data.path photos/
  deepcolor train fit --model lite --data.path photos/ --warm_start lite.photos
  deepcolor train test --config runs/lite/version_0/config.yaml --ckpt_path best
"""
FIT, PREDICT = {"warm_start", "ema", "best_by"}, {"output"}  # arguments of that stage alone
Rows = dict[str, tuple[str, str]]  # argument: what stands for its value, what it does
GROUPS: dict[str, Rows] = {
    "Run": {
        "config": ("FILE", "recipe or a run's config.yaml; later options change it"),
        "model": ("NAME", "a name of `deepcolor models`, or the class path of your own"),
        "warm_start": ("WEIGHTS", "begin with a checkpoint's name or a .safetensors file"),
        "ckpt_path": (
            "last|best|FILE",
            "a checkpoint of the run, or a file; fit goes on there",
        ),
        "name": ("NAME", "of the run's folder in runs/; the model's if left out"),
        "ema": ("DECAY", "average the weights, such as 0.999"),
        "best_by": ("FIGURE", "which figure chooses best.ckpt"),
        "output": ("FOLDER", "for the pictures"),
        "seed_everything": ("N", "of all that is random"),
    },
    "Photographs": {
        "data.path": ("PATH", "folder, tar archives, list of files or NumPy pairs"),
        "data.size": ("PIXELS", "side of the training pictures"),
        "data.batch_size": ("N", "pictures a step"),
        "data.workers": ("N", "processes that load them"),
        "data.held_out": ("N", "photographs for validation; the others train"),
        "data.split": ("[A,B,C]", "or shares: train, validate, test"),
        "data.shares": ("{SOURCE: X}", "how often a source's photographs come; null: all alike"),
        "data.grey_below": ("X", "leave out photographs less colourful; 0 keeps all"),
        "data.zoom": ("[A,B]", "area of the random crops, least and most"),
        "data.degrade.share": ("X", "share of pictures that are made to look old"),
        "data.vectors": ("FILE", "of `deepcolor features`"),
    },
    "Trainer": {
        "trainer.max_epochs": ("N", "times through the photographs"),
        "trainer.max_steps": ("N", "or steps; -1 is no limit"),
        "trainer.max_time": ("DD:HH:MM:SS", "or time"),
        "trainer.accelerator": ("cpu|gpu|mps", "what computes"),
        "trainer.devices": ("N", "how many of them"),
        "trainer.precision": ("BITS", "such as bf16-mixed"),
        "trainer.val_check_interval": ("N", "steps, or share of an epoch, between validations"),
        "trainer.accumulate_grad_batches": ("N", "batches a step of the optimizer"),
        "trainer.gradient_clip_val": ("X", "largest norm of the gradient"),
        "trainer.enable_progress_bar": ("true|false", "show one"),
        "trainer.default_root_dir": ("FOLDER", "instead of runs/"),
    },
}


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


OVERVIEW = "\n".join(
    [
        "usage: deepcolor train {fit,validate,test,predict} [options]",
        "",
        "Train a model on photographs, measure it, use it.",
        "",
        *(f"  {stage:10}{text}" for stage, text in STAGES.items()),
        "",
        _wrapped(f"Models: {', '.join(list_models())}.", WIDTH),
        "",
        "Examples:",
        EXAMPLES,
        "deepcolor train fit --help has the options that are asked for most, --help-all has all.\n",
    ]
)


class TrainParser(LightningArgumentParser):
    """LightningCLI's, whose help is short unless `full`."""

    full: bool = False
    stage: str | None = None  # "" is the command itself; None: of one class, which is always full

    def format_help(self, *formatter: Any) -> str:
        if TrainParser.full or self.stage is None:
            whole: str = super().format_help(*formatter)
            return whole
        return self._short(self.stage) if self.stage else OVERVIEW

    def _short(self, stage: str) -> str:
        lines = [f"usage: deepcolor train {stage} [options]", "", STAGES[stage]]
        for title, rows in GROUPS.items():
            lines += ["", f"{title}:"]
            for name, (value, text) in rows.items():
                if (name in FIT and stage != "fit") or (name in PREDICT and stage != "predict"):
                    continue
                default = None if name == "config" else self._default(name)
                said = text if default is None else f"{text} ({default})"
                lines.append(f"  {f'--{name} {value}':{INDENT}}  {said}")
        return "\n".join(
            [
                *lines,
                "",
                "Others:",
                f"  {'--model.help NAME':{INDENT}}  what it takes, as --model.ARGUMENT",
                f"  {'--print_config':{INDENT}}  write all settings as a recipe, and stop",
                f"  {'--help-all':{INDENT}}  every argument of Trainer, model and data\n",
            ]
        )

    def _default(self, name: str) -> Any:
        """What holds if the argument is left out; None if nothing does."""
        value = {action.dest: action.default for action in self._actions}.get(name)
        return None if value == SUPPRESS else list(value) if isinstance(value, tuple) else value
