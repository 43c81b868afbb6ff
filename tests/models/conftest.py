import pytest
import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor

from deepcolor.models import Colorizer


@pytest.fixture
def quick_trainer(tmp_path):
    return Trainer(
        max_steps=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", num_sanity_val_steps=0, log_every_n_steps=1,
        default_root_dir=tmp_path,
    )  # fmt: skip


def film(size: int, frames: int = 3) -> list[Tensor]:
    """(1, 1, size, size) luminance, frame by frame: one scene that flickers, without a cut."""
    scene = torch.rand(1, 1, size, size) * 90
    return [scene + 10 * torch.rand_like(scene) for _ in range(frames)]


@torch.no_grad()
def check_three_frames(model: Colorizer, frames: list[Tensor]) -> None:
    """Each frame is coloured by `predict`; what is remembered changes the next, if anything is."""
    memories, colours, alone = [None], [], []
    for frame in frames:
        ab, memory = model.forward_frame(frame, memories[-1])
        predicted = model.predict(frame, None, memories[-1]).ab()
        size = frame.shape[-2:]
        if predicted.shape[-2:] != size:
            predicted = F.interpolate(predicted, size=size, mode="bilinear", align_corners=False)
        assert torch.equal(ab, predicted), "forward_frame says other than predict"
        assert ab.shape == (len(frame), 2, *size)
        assert ab.isfinite().all()
        assert (memory is not None) == model.remembers, "remembers does not say what predict does"
        memories.append(memory)
        colours.append(ab)
        alone.append(model.forward_frame(frame)[0])
    assert torch.equal(colours[0], alone[0])
    if not model.remembers:
        assert all(map(torch.equal, colours, alone))
        assert torch.equal(model.forward_frame(frames[0], "of a frame before")[0], colours[0])
        return
    for ab, by_itself in zip(colours[1:], alone[1:], strict=True):
        assert not torch.equal(ab, by_itself), "the frame before changes nothing: it is forgotten"
    skipped, _ = model.forward_frame(frames[2], memories[1])
    assert not torch.equal(skipped, colours[2]), "memory stays as the first frame left it"


@pytest.fixture
def three_frames():
    """Check what every model keeps on the frames of a film: give it a model and a size."""
    return lambda model, size: check_three_frames(model, film(size))
