"""Soft encoding against scikit-learn's neighbours and a dense search; memory of the loss.

    python benchmarks/encoding.py

Times are medians, the ways taken in turn. scikit-learn's ball tree is how the published training
codes find neighbours. Memory is the rise of the peak resident size of a process of its own.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors

from deepcolor.losses import soft_cross_entropy
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import rebalancing_weights

SHAPE = (8, 2, 64, 64)
ROUNDS = 9
LOSS_BATCH = 16  # pictures of 64 x 64 logits: 82 MB, well above what allocators keep


def ab_batch(batch: int = SHAPE[0]) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.rand(batch, *SHAPE[1:]) - 0.5) * 180


def rows(ab: torch.Tensor) -> torch.Tensor:
    return ab.movedim(1, -1).reshape(-1, 2)


def times(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each way, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - start)
    return {name: sorted(values)[ROUNDS // 2] for name, values in taken.items()}


def encoding_table() -> None:
    ab = ab_batch()
    print(f"soft encoding of {SHAPE}, {torch.get_num_threads()} threads")
    print("| k | deepcolor | cdist + topk | scikit-learn | over dense | over scikit-learn |")
    print("|---|---|---|---|---|---|")
    for k in (5, 10):
        quantizer = AbQuantizer.gamut313(k)
        quantizer.soft_encode(ab)  # builds the table
        tree = NearestNeighbors(n_neighbors=k, algorithm="ball_tree").fit(quantizer.centres.numpy())

        def dense(k: int = k, quantizer: AbQuantizer = quantizer) -> torch.Tensor:
            near = torch.cdist(rows(ab), quantizer.centres).topk(k, dim=1, largest=False)
            weight = torch.exp(-near.values.square() / (2 * quantizer.sigma**2))
            return weight / weight.sum(1, keepdim=True)

        def published(tree: NearestNeighbors = tree, quantizer: AbQuantizer = quantizer) -> object:
            distance, index = tree.kneighbors(rows(ab).numpy())
            weight = torch.exp(-torch.from_numpy(distance).square() / (2 * quantizer.sigma**2))
            return weight / weight.sum(1, keepdim=True), index

        seconds = times(
            {
                "ours": lambda quantizer=quantizer: quantizer.soft_encode(ab),
                "dense": dense,
                "sklearn": published,
            }
        )
        ours = seconds["ours"]
        print(
            f"| {k} | {1e3 * ours:.1f} ms | {1e3 * seconds['dense']:.1f} ms"
            f" | {1e3 * seconds['sklearn']:.0f} ms | {seconds['dense'] / ours:.1f}x"
            f" | {seconds['sklearn'] / ours:.0f}x |"
        )


def sparse_way(logits: torch.Tensor, ab: torch.Tensor, q: AbQuantizer, w: torch.Tensor) -> None:
    soft_cross_entropy(logits, q.soft_encode(ab), w).backward()


def dense_way(logits: torch.Tensor, ab: torch.Tensor, q: AbQuantizer, w: torch.Tensor) -> None:
    target = q.densify(q.soft_encode(ab))
    pixel = w[target.argmax(1)]
    (-(pixel * (target * F.log_softmax(logits, 1)).sum(1)).sum() / pixel.numel()).backward()


def loss_memory(way: str, results: "multiprocessing.Queue[float]") -> None:
    """Megabytes that one loss with gradient adds to the peak, logits and inputs given."""
    torch.set_num_threads(1)
    quantizer = AbQuantizer.gamut313()
    weights = rebalancing_weights(torch.full((313,), 1 / 313))
    run = {"sparse": sparse_way, "dense": dense_way}[way]
    run(torch.randn(1, 313, 8, 8, requires_grad=True), ab_batch(1)[..., :8, :8], quantizer, weights)
    logits = torch.randn(LOSS_BATCH, 313, 64, 64, requires_grad=True)
    ab = ab_batch(LOSS_BATCH)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(logits, ab, quantizer, weights)
    results.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def memory_table() -> None:
    context = multiprocessing.get_context("spawn")
    rise = {}
    for way in ("sparse", "dense"):
        results = context.Queue()
        process = context.Process(target=loss_memory, args=(way, results))
        process.start()
        rise[way] = results.get()
        process.join()
    gradient = LOSS_BATCH * 313 * 64 * 64 * 4 / 2**20
    print(f"\nloss with gradient on ({LOSS_BATCH}, 313, 64, 64): rise of the peak, MB")
    print(f"(the gradient of the logits itself, which every way must write, is {gradient:.0f} MB)")
    print("| | deepcolor | dense target | share |")
    print("|---|---|---|---|")
    for name, offset in (("gradient included", 0.0), ("beyond the gradient", gradient)):
        ours, dense = (rise[way] - offset for way in ("sparse", "dense"))
        print(f"| {name} | {ours:.0f} | {dense:.0f} | {ours / dense:.2f} |")


if __name__ == "__main__":
    encoding_table()
    memory_table()
