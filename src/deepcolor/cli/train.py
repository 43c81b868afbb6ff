"""Training from the command line: one LightningCLI."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from deepcolor.data import ColorizationDataModule
from deepcolor.models import Colorizer
from deepcolor.weights import save_model

__all__ = ["train"]


class TrainCLI(LightningCLI):
    """LightningCLI that ends a fit with a weights file that `load_model` takes."""

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
