import pytest
from lightning import Trainer


@pytest.fixture
def quick_trainer(tmp_path):
    return Trainer(
        max_steps=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", num_sanity_val_steps=0, log_every_n_steps=1,
        default_root_dir=tmp_path,
    )  # fmt: skip
