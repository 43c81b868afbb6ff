"""Random numbers that a resumed run draws again as the unbroken one did."""

from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

__all__ = ["StepSeeds"]

TRAINING, VALIDATION = 0, 1


class StepSeeds(Callback):
    """Seeds torch before each batch, from the run's seed, the batch's number and the process.

    What a model draws in a step (dropout, simulated hints) then depends on nothing that came
    before it. A run that goes on from a checkpoint draws what the unbroken run did, without the
    states of any generator in it; and each validation draws the same.

    Args:
        seed: of the run. A checkpoint brings its own when a run is resumed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._draw(TRAINING, trainer.fit_loop.epoch_loop.total_batch_idx, trainer.global_rank)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._draw(VALIDATION, batch_idx, trainer.global_rank)

    def _draw(self, stage: int, batch: int, rank: int) -> None:
        mixed = np.random.SeedSequence([self.seed, stage, batch, rank])
        torch.manual_seed(int(mixed.generate_state(1, np.uint64)[0] >> 1))  # manual_seed: 63 bits

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]
