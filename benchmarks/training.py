"""What a training step of lite spends on colour conversion and on encoding its target.

    python benchmarks/training.py [--side 128] [--batch 32] [--rounds 7] [--device cpu]

The parts are timed by themselves on the batch that the step takes: uint8 RGB to Lab (`convert`),
Lab to the soft targets and the weights of the rebalanced loss (`encode`). The step is the whole of
Lightning's: both of these, forward, loss, backward, optimizer. Parts and step take turns; medians.
On a CPU times are of the processor, over all threads, which other work changes little.
Also the bytes of tensors that the loss keeps for its backward pass, against a dense target.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from deepcolor.batch import Batch
from deepcolor.losses import soft_cross_entropy
from deepcolor.losses.chroma import colourful
from deepcolor.models import create_model
from deepcolor.rebalance import rebalancing_weights


def seconds(part: Callable[[], object], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    part()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128, help="of the pictures, pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    model = create_model("lite").to(device).train()
    model.log = lambda *_, **__: None  # there is no Trainer
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    shape = (arguments.batch, 3, arguments.side, arguments.side)
    batch = torch.randint(256, shape, dtype=torch.uint8, device=device)
    _, ab = Batch.of(batch).lab()
    size = (arguments.side // 4, arguments.side // 4)

    def encode() -> object:
        target = model.quantizer.soft_encode(model.reduce(ab, size))
        return target, rebalancing_weights(model.prior, model.mix), colourful(ab)

    def step() -> None:
        optimizer.zero_grad()
        model.training_step(batch, 0).backward()
        optimizer.step()

    parts: dict[str, Callable[[], object]] = {
        "convert": lambda: Batch.of(batch).lab(), "encode": encode, "step": step,
    }  # fmt: skip
    for part in parts.values():
        part()
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(arguments.rounds):
        for name, part in parts.items():
            taken[name].append(seconds(part, device))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    share = (medians["convert"] + medians["encode"]) / medians["step"]
    print(
        f"lite, {arguments.batch} pictures of {arguments.side} px, {device},"
        f" {torch.get_num_threads()} threads, {arguments.rounds} rounds"
    )
    print("| | ms | share of the step |")
    print("|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {1e3 * median:.1f} | {100 * median / medians['step']:.1f} % |")
    print(f"\nconversion and encoding: {100 * share:.1f} % of a step")

    logits = torch.randn(arguments.batch, 313, *size, device=device, requires_grad=True)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        target = model.quantizer.soft_encode(model.reduce(ab, size))
        soft_cross_entropy(logits, target, rebalancing_weights(model.prior, model.mix))
    own = logits.untyped_storage().nbytes()
    kept.pop(logits.untyped_storage().data_ptr(), None)
    print(
        f"kept for the backward pass beside the logits: {sum(kept.values()) / 1e6:.1f} MB;"
        f" a dense target alone: {own / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
