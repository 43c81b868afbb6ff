"""Training from the command line: one LightningCLI, with the defaults of this house."""

import os
import re
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from deepcolor.data import CacheError, ColorizationDataModule
from deepcolor.models import MODELS, Colorizer
from deepcolor.training import (
    CheckpointError,
    PictureGrid,
    PictureWriter,
    StepSeeds,
    WeightEMA,
    WholeFileIO,
    checkpoint_of,
    find_run,
    save_best,
)
from deepcolor.weights import load_model, save_model

__all__ = ["BAD_ARGUMENTS", "train"]

BAD_ARGUMENTS = (ArgumentError, CacheError, CheckpointError, OSError)
"""What a user can set right, said in one line; anything else may be a bug."""

RUNS = "runs"
KINDS = {kind.__name__: name for name, kind in MODELS.items()}
STAGES = ("fit", "validate", "test", "predict")
FIGURES = {  # what a checkpoint may be the best by
    "val/auc_rebalanced": "max",
    "val/auc": "max",
    "val/psnr": "max",
    "val/ciede2000": "min",
    "val/loss": "min",
}
# PSNR, raw AuC and the losses of regression reward a grey picture: see docs/training.md.
BEST_BY = "val/auc_rebalanced"
# What jsonargparse says of a model's arguments, with all of them around it.
MODEL_PROBLEM = re.compile(
    r"Problem with given class_path '([^']*)':\s*(?:- )?(.*?)\s*"
    r"(?:- Expected a|Given value type|$)",
    re.DOTALL,
)
AT_MOST_LOST = timedelta(minutes=10)  # of a run that is killed


class TrainCLI(LightningCLI):
    """LightningCLI with runs that can be told apart, looked at, resumed and used."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--warm_start",
            type=str | None,
            default=None,
            help="Checkpoint name or .safetensors file whose network the fit starts from."
            " (--ckpt_path instead resumes a run, with its optimizer and step.)",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help=f"Of the run, which writes to {RUNS}/NAME/version_N. Default: the model's.",
        )
        parser.add_argument(
            "--ema",
            type=float | None,
            default=None,
            help="Average the weights of a fit with this decay, such as 0.999; null does not.",
        )
        parser.add_argument(
            "--best_by",
            type=str,
            default=BEST_BY,
            help=f"Figure by which best.ckpt is chosen: {', '.join(FIGURES)}.",
        )
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="Folder that predict writes to. Default: coloured, in the run's folder.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and settle what --ckpt_path means before Lightning reads it."""
        super().parse_arguments(parser, args)
        config = self.config[self.config["subcommand"]]
        if config["best_by"] not in FIGURES:
            known = ", ".join(FIGURES)
            raise ArgumentError(None, f"--best_by {config['best_by']}: must be one of {known}")
        kind = config["model"]["class_path"].rpartition(".")[2]
        path = config["ckpt_path"]
        self.run_root: str = config["trainer"]["default_root_dir"] or RUNS
        self.run_name: str = config["name"] or KINDS.get(kind, kind.lower())
        self.resumed_version: str | None = None
        if path is None:
            return
        if path in ("best", "last"):
            folder = Path(self.run_root) / self.run_name
            found = find_run(folder, path)
            if found is None:
                raise CheckpointError(f"--ckpt_path {path}: no {path}.ckpt below {folder}")
            self.resumed_version = found.parts[-3]
            path = config["ckpt_path"] = str(found)
        holds = checkpoint_of(path).rpartition(".")[2]
        if holds and holds != kind:
            raise CheckpointError(f"--ckpt_path {path} is of {holds}, the model here is {kind}")

    def instantiate_trainer(self, **changes: Any) -> Trainer:
        """Lightning's, with a logger, whole checkpoints and callbacks unless told otherwise."""
        config = self._get(self.config_init, "trainer")
        plugins = config["plugins"] or []
        changes["plugins"] = [*(plugins if isinstance(plugins, list) else [plugins]), WholeFileIO()]
        if self.subcommand != "fit":  # a run's folder keeps what its fit wrote
            self.save_config_callback = None
            # Those of the fit; a checkpoint is only read here.
            warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint")
            changes["logger"] = config["logger"] or False
        elif config["logger"] is None and not config["fast_dev_run"]:
            changes["logger"] = TensorBoardLogger(
                self.run_root, self.run_name, self.resumed_version, default_hp_metric=False
            )
        given = config["callbacks"] or []
        given = given if isinstance(given, list) else [given]
        changes["callbacks"] = [*given, *self._callbacks(config, given)]
        if self.subcommand != "fit" and not any(isinstance(c, Checkpoint) for c in given):
            changes["enable_checkpointing"] = False
        return super().instantiate_trainer(**changes)

    def _callbacks(self, config: Any, given: Sequence[Callback]) -> list[Callback]:
        seed = self._get(self.config, "seed_everything")
        added: list[Callback] = []
        if self.subcommand == "predict":
            output = self._get(self.config, "output")
            folder = Path(self.run_root) / self.run_name / "coloured"
            self.writer = PictureWriter(output or folder)
            return [self.writer]
        if self.subcommand != "fit":
            return added
        if not isinstance(seed, bool):
            added.append(StepSeeds(seed))
        decay = self._get(self.config, "ema")
        if decay is not None:
            added.append(WeightEMA(decay))
        if config["logger"] is not False and not config["fast_dev_run"]:
            added += [PictureGrid(), LearningRateMonitor()]
        wanted = config["enable_checkpointing"] is not False and not config["fast_dev_run"]
        if wanted and not any(isinstance(callback, Checkpoint) for callback in given):
            added += checkpoints(self._get(self.config, "best_by"))
        return added

    def before_fit(self) -> None:
        start = self.config["fit"]["warm_start"]
        if start is None:
            return
        trained = load_model(start)
        if type(trained) is not type(self.model):
            raise CheckpointError(
                f"--warm_start {start} is a {type(trained).__name__}, the model to train a"
                f" {type(self.model).__name__}"
            )
        self.model.start_from(trained)

    def after_fit(self) -> None:
        if not self.trainer.is_global_zero:
            return
        folder = Path(self.trainer.log_dir or self.trainer.default_root_dir)
        path = save_model(self.model, folder / "model.safetensors")
        print(f"weights: {path}")
        best = save_best(self.trainer, folder)
        if best is not None:
            print(f"best weights, by {self._get(self.config, 'best_by')}: {best}")

    def after_predict(self) -> None:
        if self.trainer.is_global_zero:
            print(f"pictures: {self.writer.folder}")


def checkpoints(figure: str) -> list[Callback]:
    """What keeps best.ckpt, and last.ckpt at each validation and each ten minutes."""
    best = ModelCheckpoint(
        filename="best",
        monitor=figure,
        mode=FIGURES[figure],
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    # Not save_last: it waits for a checkpoint that is the best so far.
    last = ModelCheckpoint(
        filename="last", save_on_train_epoch_end=False, enable_version_counter=False
    )
    often = ModelCheckpoint(
        filename="last", train_time_interval=AT_MOST_LOST, enable_version_counter=False
    )
    return [best, last, often]


def train(arguments: Sequence[str]) -> None:
    """Run `fit`, `validate`, `test` or `predict` with LightningCLI's own arguments.

    Raises:
        ArgumentError: for an argument or a key of a recipe that does not exist, by name.
        CacheError: for vectors that are missing, stale or of another classifier.
        CheckpointError: for a checkpoint that is missing, damaged or of another model.
        OSError: for files that cannot be read or written.
    """
    # Of Lightning's calls to jsonargparse; a user can do nothing about them.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    plain: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
    try:
        TrainCLI(
            Colorizer,
            ColorizationDataModule,
            subclass_mode_model=True,
            args=list(arguments),
            save_config_kwargs={"overwrite": True},
            parser_kwargs={**plain, **{stage: dict(plain) for stage in STAGES}},
        )
    except ArgumentError as error:
        problem = MODEL_PROBLEM.search(str(error))
        if problem is None:
            raise
        raise ArgumentError(None, f"--model: {problem.group(1)}: {problem.group(2)}") from error
