"""Training from the command line: one LightningCLI, with the defaults of this house."""

import os
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from deepcolor.cli.mistakes import BAD_ARGUMENTS, in_plain_words, quiet_start
from deepcolor.cli.recipes import RECIPE_MODE, class_paths
from deepcolor.cli.train_help import TrainParser
from deepcolor.data import CacheError, ColorizationDataModule
from deepcolor.models import Colorizer, models
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

RUNS = "runs"
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
BAD_FILES = (CacheError, CheckpointError, OSError)  # no bug whenever they come
AT_MOST_LOST = timedelta(minutes=10)  # of a run that is killed


def run_names() -> dict[str, str]:
    """Names of models by their classes' names."""
    return {kind.__name__: name for name, kind in models().items()}


class Begun(Callback):
    """Knows whether a step was made."""

    def __init__(self) -> None:
        self.yes = False

    def on_train_batch_end(self, *_: Any) -> None:
        self.yes = True


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
        for stage, stage_parser in {"": parser, **self._subcommand_parsers}.items():
            assert isinstance(stage_parser, TrainParser)
            stage_parser.stage = stage
        super().parse_arguments(parser, args)
        config = self.config[self.config["subcommand"]]
        if config["best_by"] not in FIGURES:
            known = ", ".join(FIGURES)
            raise ArgumentError(None, f"--best_by {config['best_by']}: must be one of {known}")
        kind = config["model"]["class_path"].rpartition(".")[2]
        path = config["ckpt_path"]
        self.run_root: str = config["trainer"]["default_root_dir"] or RUNS
        self.run_name: str = config["name"] or run_names().get(kind, kind.lower())
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
        self.begun = Begun()
        added: list[Callback] = [self.begun]
        if self.subcommand == "predict":
            output = self._get(self.config, "output")
            folder = Path(self.run_root) / self.run_name / "coloured"
            self.writer = PictureWriter(output or folder)
            return [self.writer]
        if self.subcommand != "fit":
            return []
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
        if type(trained) not in self.model.kin():
            raise CheckpointError(
                f"--warm_start {start} is a {type(trained).__name__}, the model to train a"
                f" {type(self.model).__name__}"
            )
        self.model.start_from(trained)

    def fit(self, **asked: Any) -> None:
        """Fit; what fails before its first step leaves no folder, what fails later says where."""
        try:
            self.trainer.fit(**asked)
        except BaseException as error:
            if not self.begun.yes:
                self._remove_folder()
            elif isinstance(error, BAD_ARGUMENTS) and not isinstance(error, BAD_FILES):
                step = self.trainer.global_step
                raise RuntimeError(f"training broke off after step {step}") from error
            raise

    def _remove_folder(self) -> None:
        """Of a run that was not resumed: no version is left that has nothing in it."""
        folder = self.trainer.log_dir if self.trainer.loggers else None
        if folder is None or self.resumed_version is not None or not self.trainer.is_global_zero:
            return
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other versions are there
            Path(folder).parent.rmdir()

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
        MisconfigurationException, ValueError, TypeError, ImportError: for what the Trainer, the
            model or the photographs cannot be had with; before the first step only.
        OSError: for files that cannot be read or written.
        RuntimeError: for any error after the first step but the three above that name files.
    """
    # Of Lightning's calls to jsonargparse; a user can do nothing about them.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    quiet_start()
    TrainParser.full = "--help-all" in arguments
    words = ["--help" if word == "--help-all" else word for word in arguments]
    plain: dict[str, Any] = {
        "exit_on_error": False,
        "allow_abbrev": False,
        "parser_mode": RECIPE_MODE,
    }
    try:
        TrainCLI(
            Colorizer,
            ColorizationDataModule,
            subclass_mode_model=True,
            args=class_paths(words or ["--help"]),
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=TrainParser,
            parser_kwargs={
                **plain,
                "prog": "deepcolor train",
                "description": "Train a model on photographs, measure it, use it.",
                **{stage: dict(plain) for stage in STAGES},
            },
        )
    except ArgumentError as error:
        raise ArgumentError(None, in_plain_words(error)) from error
    except (ValueError, TypeError) as error:
        said = in_plain_words(error)
        if said == str(error):
            raise
        raise ValueError(said) from error
