"""A training step of merged_vgg16 with the live VGG16 and from a cache of its vectors.

    python benchmarks/cache.py [--side 224 64 ...] [--batch 8] [--rounds 5]

Both ways take turns on the same pictures: forward, loss, backward, Adam. VGG16 sees 224 x 224
pixels whatever the pictures' side; its weights are random, which costs the same. The vectors of the
cached way are read from a cache on disk, memory-mapped, in the time measured. Seconds are of
the processor, over all threads, which other work on the machine changes little. Medians, and the
range of the ratio over the rounds.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from deepcolor.data import PhotoFolder, VectorCache, cache_vectors
from deepcolor.models import create_model


def timed(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: object) -> float:
    start = time.process_time()
    optimizer.zero_grad()
    model.training_step(batch, 0).backward()
    optimizer.step()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, nargs="+", default=[224, 128, 64])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = create_model("merged_vgg16").train()
    model.log = lambda *_, **__: None  # there is no Trainer
    optimizer = model.configure_optimizers()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.batch):
            noise = torch.randint(256, (224, 224, 3), dtype=torch.uint8).numpy()
            Image.fromarray(noise).save(Path(folder, f"{number}.png"))
        photos = PhotoFolder(folder)
        file = cache_vectors(photos, model.network.features, Path(folder, "v.safetensors"))
        cache = VectorCache(file, model.network.features)
        whole = torch.stack([photos[i] for i in range(len(photos))])
        print(
            f"batches of {arguments.batch}, {torch.get_num_threads()} threads,"
            f" {arguments.rounds} rounds"
        )
        print("| side | live, s a step | cached, s a step | ratio | range |")
        print("|---|---|---|---|---|")
        for side in arguments.side:
            rgb = whole[:, :, :side, :side].contiguous()
            live, cached = [], []
            for _ in range(arguments.rounds + 1):
                live.append(timed(model, optimizer, [rgb]))
                start = time.process_time()
                vectors = torch.stack([cache.vector(key) for key in photos.keys])
                cached.append(time.process_time() - start)
                cached[-1] += timed(model, optimizer, [rgb, vectors])
            ratios = [a / b for a, b in zip(live[1:], cached[1:], strict=True)]  # first: warm-up
            print(
                f"| {side} | {statistics.median(live[1:]):.2f}"
                f" | {statistics.median(cached[1:]):.2f} | {statistics.median(ratios):.1f}x"
                f" | {min(ratios):.1f} to {max(ratios):.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
