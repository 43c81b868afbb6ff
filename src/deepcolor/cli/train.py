"""Training from the command line: one LightningCLI."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from deepcolor.data import ColorizationDataModule
from deepcolor.models import Colorizer
from deepcolor.weights import load_model, save_model

__all__ = ["train"]


class TrainCLI(LightningCLI):
    """LightningCLI that can start from trained weights, and ends a fit with a weights file."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--warm_start",
            type=str | None,
            default=None,
            help="Checkpoint name or .safetensors file whose network the fit starts from."
            " (--ckpt_path instead resumes a run, with its optimizer and step.)",
        )

    def before_fit(self) -> None:
        start = self.config["fit"]["warm_start"]
        if start is None:
            return
        trained = load_model(start)
        if type(trained) is not type(self.model):
            raise ValueError(
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


def train(arguments: Sequence[str]) -> None:
    """Run `fit`, `validate`, `test` or `predict` with LightningCLI's own arguments."""
    TrainCLI(
        Colorizer,
        ColorizationDataModule,
        subclass_mode_model=True,
        args=list(arguments),
        save_config_kwargs={"overwrite": True},
    )
