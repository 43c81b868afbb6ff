"""Tiles of a picture, and threads that work on them side by side."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import torch

__all__ = ["TILE_PIXELS", "TILE_WIDTH", "bands_of", "single_threads", "tiles", "workers"]

TILE_PIXELS = 1 << 18  # a plane of float32 takes 1 MiB; smaller tiles cost more in Python
TILE_WIDTH = 1 << 14
GPU_FACTOR = 64  # a GPU wants larger tiles


def tiles(rows: slice, width: int, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut rows of a picture into tiles: slices of rows and of columns, column by column."""
    pixels = TILE_PIXELS * (1 if device.type == "cpu" else GPU_FACTOR)
    columns = min(width, TILE_WIDTH * (1 if device.type == "cpu" else GPU_FACTOR))
    step = max(1, pixels // max(1, columns))
    for left in range(0, width, columns):
        for top in range(rows.start, rows.stop, step):
            yield slice(top, min(top + step, rows.stop)), slice(left, min(left + columns, width))


class Workers:
    """One thread a core, each with torch to itself: bands of a picture side by side.

    Twice as fast as torch's own threads, which meet after each of some sixty short operations a
    tile (benchmarks/images.py).
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.count = 0

    def run(self, work: Callable[[slice], None], bands: list[slice]) -> None:
        """Call `work` with each band; the first error is raised when all have ended."""
        count = torch.get_num_threads()
        if count == 1 or len(bands) == 1 or not OPENMP:
            for band in bands:
                work(band)
            return
        futures = [self._ready(count).submit(_without_gradients, work, band) for band in bands]
        for future in wait(futures).done:
            future.result()

    def _ready(self, count: int) -> ThreadPoolExecutor:
        with self.lock:
            if self.pool is None or self.count != count:
                self.pool, self.count = single_threads(count, "deepcolor-pixels"), count
            return self.pool


def single_threads(count: int, name: str) -> ThreadPoolExecutor:
    """A pool of threads that each have torch to themselves: one OpenMP thread each."""
    pool = ThreadPoolExecutor(count, name)
    before = torch.get_num_threads()
    # OpenMP keeps a number of threads for each thread that asks: theirs becomes 1.
    barrier = threading.Barrier(count)
    wait([pool.submit(_alone, barrier) for _ in range(count)])
    torch.set_num_threads(before)  # and new threads of the caller's have theirs as before
    return pool


OPENMP = "OpenMP" in torch.__config__.parallel_info().split("backend:")[-1]
workers = Workers()


def _alone(barrier: threading.Barrier) -> None:
    barrier.wait()  # so that each of the threads comes here once
    torch.set_num_threads(1)


def _without_gradients(work: Callable[[slice], None], band: slice) -> None:
    with torch.inference_mode():
        work(band)


def bands_of(height: int, width: int, whole: int, device: torch.device) -> list[slice]:
    """Rows in a few bands a worker, each a multiple of `whole` rows but for the last."""
    count = 4 * torch.get_num_threads() if device.type == "cpu" else 1
    count = max(1, min(count, height * width // TILE_PIXELS))
    rows = -(-height // (count * whole)) * whole
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
