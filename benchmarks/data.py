"""Does loading keep up with training? What do colour conversion and target encoding cost in a step?

    python benchmarks/data.py TRAIN

TRAIN is any source that `deepcolor.data.open_photos` takes. The network is `lite` on 128 pixels, in
batches of 32. Measured twice, in turn, medians over the rounds: by the clock, loading with two
workers and training with all threads of the machine; and by processor time, each in one thread of
this process, which does not depend on what else the machine does.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import torch

from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import ColorizationDataModule, Degradations
from deepcolor.data.filters import scan
from deepcolor.data.sources import open_photos
from deepcolor.losses.chroma import colourful
from deepcolor.models.lite import Lite

SIZE, BATCH, WORKERS = 128, 32, 2
LOADED, STEPS = 25, 4  # batches and steps of a round
SCANNED = 1900  # photographs looked at for grey ones


Clock = Callable[[], float]


def seconds(run: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    start = clock()
    run()
    return clock() - start


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


class Loading:
    """One way of loading, by clock and by processor time."""

    def __init__(self, path: str, **options: object) -> None:
        data = ColorizationDataModule(path, SIZE, BATCH, WORKERS, grey_below=0, **options)
        data.setup()
        self.batches = self.endless(data)
        first = next(self.batches)
        self.rgb = first if isinstance(first, torch.Tensor) else first.rgb
        data.workers = 0
        self.alone = self.endless(data)
        self.speeds: list[float] = []
        self.costs: list[float] = []

    @staticmethod
    def endless(data: ColorizationDataModule) -> Iterator[torch.Tensor]:
        loader = data.train_dataloader()
        for epoch in itertools.count():
            loader.sampler.set_epoch(epoch)
            yield from loader

    def measure(self) -> None:
        for _ in range(2 * WORKERS + 1):  # those that the workers prepared in between
            next(self.batches)
        taken = seconds(lambda: [next(self.batches) for _ in range(LOADED)])
        self.speeds.append(LOADED * BATCH / taken)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        next(self.alone)
        run = lambda: [next(self.alone) for _ in range(STEPS)]  # noqa: E731
        self.costs.append(seconds(run, time.process_time) / (STEPS * BATCH))
        torch.set_num_threads(threads)


class Training:
    """Steps of lite: pictures a second by the clock, and processor seconds of their parts."""

    def __init__(self, rgb: torch.Tensor) -> None:
        self.rgb = rgb
        self.model = Lite().train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4)
        self.ab = split_lab(self.convert())[1]
        self.threads = torch.get_num_threads()
        self.speeds: list[float] = []
        self.parts: dict[str, list[float]] = {"step": [], "convert": [], "encode": []}

    def convert(self) -> torch.Tensor:
        return rgb_to_lab(unit_rgb(self.rgb))

    def encode(self) -> None:
        quantizer = self.model.quantizer
        quantizer.soft_encode(self.model.reduce(self.ab, (SIZE // 4, SIZE // 4)))
        colourful(self.ab)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.model.loss(*split_lab(self.convert()))["cross_entropy"].backward()
        self.optimizer.step()

    def measure(self) -> None:
        self.step()
        self.speeds.append(BATCH / median(seconds(self.step) for _ in range(STEPS)))
        torch.set_num_threads(1)
        for name, times in self.parts.items():
            run = getattr(self, name)
            run()
            times.append(median(seconds(run, time.process_time) for _ in range(STEPS)))
        torch.set_num_threads(self.threads)


WAYS = {
    "crop and flip": {},
    "with rotation and jitter": {"rotation": 3.0, "jitter": True},
    "with all that and degradations": {
        "rotation": 3.0,
        "jitter": True,
        "degrade": Degradations(),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    ways = {name: Loading(arguments.train, **options) for name, options in WAYS.items()}
    training = Training(ways["crop and flip"].rgb)
    for _ in range(arguments.rounds):
        for way in ways.values():
            way.measure()
        training.measure()
    step, convert, encode = (median(times) for times in training.parts.values())
    consumed, cost = median(training.speeds), step / BATCH
    print(
        f"{training.threads} threads, {WORKERS} workers, {SIZE} pixels, batches of {BATCH},"
        f" {arguments.rounds} rounds; load of the machine {os.getloadavg()[0]:.1f}"
    )
    print()
    print("| | pictures a second | times training | processor ms a picture | times training |")
    print("|---|---|---|---|---|")
    print(f"| a training step of lite | {consumed:.0f} | 1 | {1e3 * cost:.1f} | 1 |")
    for name, way in ways.items():
        speed, each = median(way.speeds), median(way.costs)
        print(
            f"| loading: {name} | {speed:.0f} | {speed / consumed:.0f}"
            f" | {1e3 * each:.2f} | {cost / each:.0f} |"
        )
    print()
    print("| of a training step, one thread | processor ms | share |")
    print("|---|---|---|")
    print(f"| all of it | {1e3 * step:.0f} | 100 % |")
    print(f"| RGB to Lab | {1e3 * convert:.1f} | {100 * convert / step:.1f} % |")
    print(f"| soft targets and colour mask | {1e3 * encode:.1f} | {100 * encode / step:.1f} % |")
    both = convert + encode
    print(f"| both | {1e3 * both:.1f} | {100 * both / step:.1f} % |")
    photos = open_photos(arguments.train)
    rows = torch.randperm(len(photos))[:SCANNED].numpy()
    taken = seconds(lambda: scan(photos, rows), time.process_time) / len(rows)
    print()
    print(
        f"Looking for grey photographs, once: {1e3 * taken:.2f} processor ms a picture,"
        f" {taken * len(photos):.0f} s for all {len(photos)}."
    )


if __name__ == "__main__":
    main()
