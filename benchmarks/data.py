"""Does loading keep up with training? What do colour conversion and target encoding cost in a step?

    python benchmarks/data.py TRAIN

TRAIN is any source that `deepcolor.data.open_photos` takes. The network is `lite` on 128 pixels, in
batches of 32, with all of the machine's threads; loading has two workers, as many as it has cores.
Loading and training are measured in turn, not at once; figures are medians over the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

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


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def endless(data: ColorizationDataModule) -> Iterator[torch.Tensor]:
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


def loading(path: str, **options: object) -> tuple[Callable[[], float], torch.Tensor]:
    """A function that gives the pictures a second of one round, and a batch."""
    data = ColorizationDataModule(path, SIZE, BATCH, WORKERS, grey_below=0, **options)
    data.setup()
    batches = endless(data)
    first = next(batches)
    rgb = first if isinstance(first, torch.Tensor) else first.rgb

    def measure() -> float:
        for _ in range(2 * WORKERS + 1):  # those that the workers prepared in between
            next(batches)
        return LOADED * BATCH / seconds(lambda: [next(batches) for _ in range(LOADED)])

    return measure, rgb


def parts_of_a_step(model: Lite, rgb: torch.Tensor) -> tuple[float, float, float]:
    """Seconds of a whole step, of its colour conversion, of its target encoding."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        luminance, ab = split_lab(rgb_to_lab(unit_rgb(rgb)))
        model.loss(luminance, ab)["cross_entropy"].backward()
        optimizer.step()

    _, ab = split_lab(rgb_to_lab(unit_rgb(rgb)))

    def encode() -> None:
        model.quantizer.soft_encode(model.reduce(ab, (SIZE // 4, SIZE // 4)))
        colourful(ab)

    step()
    encode()
    whole = statistics.median(seconds(step) for _ in range(STEPS))
    convert = statistics.median(seconds(lambda: rgb_to_lab(unit_rgb(rgb))) for _ in range(9))
    return whole, convert, statistics.median(seconds(encode) for _ in range(9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    ways = {
        "crop and flip": {},
        "with rotation and jitter": {"rotation": 3.0, "jitter": True},
        "with all that and degradations": {
            "rotation": 3.0,
            "jitter": True,
            "degrade": Degradations(),
        },
    }
    measures, rgb = {}, torch.empty(0)
    for name, options in ways.items():
        measures[name], rgb = loading(arguments.train, **options)
    model = Lite().train()
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    steps = []
    for _ in range(arguments.rounds):
        for name, measure in measures.items():
            speeds[name].append(measure())
        steps.append(parts_of_a_step(model, rgb))
    step, convert, encode = (statistics.median(column) for column in zip(*steps, strict=True))
    consumed = BATCH / step
    threads = torch.get_num_threads()
    print(f"{threads} threads, {WORKERS} workers, {SIZE} pixels, batches of {BATCH}")
    print()
    print("| | pictures a second | times what training consumes |")
    print("|---|---|---|")
    print(f"| a training step of lite | {consumed:.0f} | 1 |")
    for name, values in speeds.items():
        speed = statistics.median(values)
        print(f"| loading: {name} | {speed:.0f} | {speed / consumed:.1f} |")
    print()
    print("| of a training step | ms | share |")
    print("|---|---|---|")
    print(f"| all of it | {1e3 * step:.0f} | 100 % |")
    print(f"| RGB to Lab | {1e3 * convert:.1f} | {100 * convert / step:.1f} % |")
    print(f"| soft targets and colour mask | {1e3 * encode:.1f} | {100 * encode / step:.1f} % |")
    both = convert + encode
    print(f"| both | {1e3 * both:.1f} | {100 * both / step:.1f} % |")
    photos = open_photos(arguments.train)
    rows = torch.randperm(len(photos))[:SCANNED].numpy()
    taken = seconds(lambda: scan(photos, rows))
    print()
    print(
        f"Looking for grey photographs: {1e3 * taken / len(rows):.2f} ms a picture, once;"
        f" {taken / len(rows) * len(photos):.0f} s for all {len(photos)}."
    )


if __name__ == "__main__":
    main()
