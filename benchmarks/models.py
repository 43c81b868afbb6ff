"""What each model costs: parameters, GFLOPs, milliseconds, memory.

    python benchmarks/models.py [NAME ...] [--device cpu] [--rounds 5]

Each pass of each model runs in a process of its own. Forward: one picture at the model's own size,
in inference mode. Forward + backward: two pictures (batch norm of a single vector is undefined)
through the loss. FLOPs are two a multiply-add. Memory is the peak during the pass less what the
process with the model in it held before: on the CPU of resident pages, which Linux alone resets, on
CUDA of the allocator. Milliseconds are medians after a warm-up. Prints a Markdown table.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from deepcolor.models import Colorizer, create_model, list_models

FORWARD, BOTH = "forward", "forward + backward"
PICTURES = {FORWARD: 1, BOTH: 2}
MEGA = 1 << 20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident(key: str) -> int:
    """Bytes of resident memory: VmRSS now, VmHWM at the highest since the last reset."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{STATUS} has no {key}")


def peak_memory(step: Callable[[], object], device: torch.device) -> int:
    """Bytes that a step needs at most beyond those held before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    RESET.write_text("5")  # the high-water mark comes down to what is resident now
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def milliseconds(step: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median of the rounds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def pass_of(model: Colorizer, kind: str, device: torch.device) -> Callable[[], object]:
    torch.manual_seed(0)
    shape = (PICTURES[kind], 1, model.size, model.size)
    luminance = 100 * torch.rand(shape, device=device)
    ab = 100 * torch.rand((shape[0], 2, *shape[2:]), device=device) - 50

    def forward() -> Tensor:
        with torch.inference_mode():
            return model(luminance)

    def both() -> None:
        model.zero_grad(set_to_none=True)
        torch.stack(list(model.loss(luminance, ab).values())).sum().backward()

    if kind == FORWARD:
        model.eval()
        return forward
    model.train()
    return both


def measure(name: str, kind: str, device: torch.device, rounds: int) -> dict[str, float]:
    model = create_model(name).to(device)
    step = pass_of(model, kind, device)
    memory = peak_memory(step, device)  # the first pass: nothing of it is cached yet
    taken = milliseconds(step, device, rounds)
    with FlopCounterMode(display=False) as counter:
        step()
    return {
        "size": model.size,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
        "ms": taken,
        "mb": memory / MEGA,
    }


def in_a_process(name: str, kind: str, device: str, rounds: int) -> dict[str, float]:
    """The figures of one pass; an interpreter of its own, so that its peak is its own."""
    command = [sys.executable, __file__, name, "--only", kind, "--device", device]
    done = subprocess.run(
        [*command, "--rounds", str(rounds)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}, {kind}: {done.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def row(name: str, device: str, rounds: int) -> str:
    one = in_a_process(name, FORWARD, device, rounds)
    two = in_a_process(name, BOTH, device, rounds)
    cells = [
        f"`{name}`",
        f"{one['size']:.0f}",
        f"{one['parameters']:,.0f}",
        f"{one['gflops']:.2f}",
        *(f"{figures[key]:,.0f}" for figures in (one, two) for key in ("ms", "mb")),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models; all of them, if left out")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=5, help="timed passes")
    parser.add_argument("--only", choices=PICTURES, help="one pass in this process, as JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(list_models())
    if unknown:
        parser.error(f"no model named {', '.join(sorted(unknown))}: {', '.join(list_models())}")
    if arguments.only:
        device = torch.device(arguments.device)
        figures = [measure(n, arguments.only, device, arguments.rounds) for n in arguments.names]
        print(json.dumps(figures[0]))
        return

    print(f"torch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads\n")
    print(
        "| model | side, px | parameters | GFLOPs | forward, ms | MB"
        " | forward + backward of two, ms | MB |"
    )
    print("|---" * 8 + "|")
    failed = []
    for name in arguments.names or list_models():
        try:
            print(row(name, arguments.device, arguments.rounds), flush=True)
        except RuntimeError as error:
            failed.append(str(error))
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
