"""The order of a run: a pure function of seed and epoch, shared out among devices, resumable."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

__all__ = ["Draw", "EpochSampler", "PartSampler", "ResumableLoader"]

Draw: TypeAlias = tuple[int, int]
"""A photograph's place in its data set, and the seed of what is random about this sight of it."""

SEEDS = 2**62  # below the largest that torch's generators take


class EpochSampler(DistributedSampler[Any]):
    """Draws of a data set in an order that depends on the seed and the epoch, on nothing else.

    Guaranteed:

    - Equal (weights, seed, epoch) give equal draws, whatever ran before, in any process: order,
      photographs, and the seed of each draw, from which its augmentation follows.
    - A photograph of weight 1 comes once an epoch; of weight w, floor(w) or ceil(w) times, w on
      average.
    - With several devices each draw goes to exactly one; together they have those of one device,
      with the same seeds. Their numbers differ by one at most.
    - `start` draws of the next pass are left out, as if they had been taken.

    It is a DistributedSampler so that Lightning leaves it in place.

    Args:
        weights: how often each photograph comes an epoch; all 0 is refused.
        seed: of the run.
        replicas: devices that share the draws.
        rank: which of them this is, from 0.

    Raises:
        ValueError: for negative weights or none above 0, or a rank that is not below `replicas`.
    """

    def __init__(
        self, weights: Sequence[float], seed: int = 0, replicas: int = 1, rank: int = 0
    ) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not (self.weights >= 0).all() or not self.weights.sum() > 0:
            raise ValueError("weights must be numbers of at least 0, some of them above 0")
        whole, part = np.floor(self.weights), self.weights % 1
        self.some = max(1, round(float(part.sum()))) if part.any() else 0
        self.total = int(whole.sum()) + self.some
        """Draws of an epoch, over all devices."""
        super().__init__(
            range(self.total),  # type: ignore[arg-type]  # only its length is used
            num_replicas=replicas,
            rank=rank,
            seed=seed,
        )
        self.start = 0
        """Draws of this device to leave out in the next pass, once."""

    def draws(self) -> list[Draw]:
        """All draws of the epoch, over all devices."""
        state = np.random.SeedSequence([self.seed % 2**64, self.epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]) % SEEDS)
        whole, part = np.floor(self.weights).astype(np.int64), self.weights % 1
        places = np.repeat(np.arange(len(whole)), whole)
        if self.some:
            # Systematic sampling: even steps along the fractions laid end to end, in random order,
            # meet each as often as its length says.
            shuffled = torch.randperm(len(part), generator=generator).numpy()
            ends = np.cumsum(part[shuffled])
            at = (np.arange(self.some) + float(torch.rand((), generator=generator))) / self.some
            met = np.searchsorted(ends, at * ends[-1], side="right")
            places = np.concatenate([places, shuffled[np.minimum(met, len(part) - 1)]])
        order = torch.randperm(len(places), generator=generator).numpy()
        seeds = torch.randint(SEEDS, (len(places),), generator=generator)
        return list(zip(places[order].tolist(), seeds.tolist(), strict=True))

    def __iter__(self) -> Iterator[Draw]:
        start, self.start = self.start, 0
        mine = self.draws()[self.rank :: self.num_replicas]
        return iter(mine[start:])

    def __len__(self) -> int:
        return (self.total - self.rank + self.num_replicas - 1) // self.num_replicas


class PartSampler(DistributedSampler[Any]):
    """Every place of a data set once, in order, shared out among devices without repeats.

    torch's own and Lightning's repeat some places so that all devices have as many, and figures
    then differ from those of one device. It is a DistributedSampler so that Lightning leaves it.

    Args:
        count: places.
        replicas: devices that share them.
        rank: which of them this is, from 0.

    Raises:
        ValueError: if there are fewer places than devices.
    """

    def __init__(self, count: int, replicas: int, rank: int) -> None:
        if count < replicas:
            raise ValueError(f"{count} photographs are too few to be shared by {replicas} devices")
        super().__init__(range(count), replicas, rank, shuffle=False)  # type: ignore[arg-type]
        self.places = range(rank, count, replicas)

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over an EpochSampler that goes on at the batch where a run was cut off.

    Lightning keeps `state_dict` in its checkpoints and gives it back before it asks for batches.
    Guaranteed, for checkpoints written between two batches: the batches after resuming are those
    that the unbroken run would have seen, bit for bit, with any number of workers. Batches that
    workers had prepared ahead do not count as seen. With several devices all give equally many
    batches. All arguments but the first two go by name: within its own hooks Lightning notes how
    a loader was made, and cannot replace a sampler that was given by position.

    Args:
        dataset: answers to draws.
        batch_size: pictures a batch.
        sampler: the order. Any other sampler makes this a plain DataLoader: Lightning rebuilds it
            with one of its own for overfit_batches.
        drop_last: leave out a last batch that is not full.
        num_workers: loader processes; they are kept from epoch to epoch.
        pin_memory: for copies to a GPU.
        worker_init_fn: called with each worker's number.
        shuffle: False; Lightning names it when it rebuilds a loader.
        batch_sampler: None; the same.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        *,
        sampler: Sampler[Any] | None = None,
        drop_last: bool = False,
        num_workers: int = 0,
        pin_memory: bool = False,
        worker_init_fn: Any = None,
        shuffle: bool = False,
        batch_sampler: None = None,
    ) -> None:
        super().__init__(
            dataset,
            batch_size,
            shuffle=shuffle,
            sampler=sampler,
            batch_sampler=batch_sampler,
            drop_last=drop_last,
            num_workers=num_workers,
            pin_memory=pin_memory,
            worker_init_fn=worker_init_fn,
            persistent_workers=num_workers > 0,
        )
        self._epoch = 0  # of the batches given last
        self._given = 0  # batches of it
        self._skip = 0  # batches that the next pass leaves out

    @property
    def _order(self) -> EpochSampler | None:
        """None when Lightning put another sampler in place, as overfit_batches does."""
        return self.sampler if isinstance(self.sampler, EpochSampler) else None

    def __len__(self) -> int:
        order, size = self._order, self.batch_size or 1
        if order is None:
            return super().__len__()
        fewest = order.total // order.num_replicas  # all devices have these
        return fewest // size if self.drop_last else -(-fewest // size)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a count around torch's own
        # Nothing is drawn before the first batch is asked for: Lightning makes the iterator first
        # and says which epoch it is afterwards.
        order = self._order
        skip, self._skip = self._skip, 0
        if order is None or order.epoch != self._epoch:
            skip = 0
        if order is not None:
            order.start = skip * (self.batch_size or 1)
            self._epoch = order.epoch
        self._given = skip
        batches = super().__iter__()
        while self._given < len(self):
            batch = next(batches, None)
            if batch is None:
                return
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the run is: the epoch, its batches given so far, and what the order depends on."""
        order = self._order
        return {
            "epoch": self._epoch,
            "batches": self._given,
            "length": len(self),
            "batch_size": self.batch_size,
            "seed": None if order is None else order.seed,
            "draws": None if order is None else order.total,
            "replicas": None if order is None else order.num_replicas,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state in the next pass.

        If the order is another by now (other photographs, seed, batch size or devices), a warning
        says so, and the rest of the epoch is drawn in the new order.
        """
        now = self.state_dict()
        epoch, batches = int(state["epoch"]), int(state["batches"])
        if batches >= state["length"]:
            epoch, batches = epoch + 1, 0
        changed = [key for key in now if key not in ("epoch", "batches") and now[key] != state[key]]
        if changed and batches:
            warnings.warn(
                "the data are not those that the run was cut off with:"
                f" {', '.join(f'{key} {state[key]} -> {now[key]}' for key in changed)};"
                " it goes on, but in another order than the unbroken run",
                stacklevel=2,
            )
            batches = 0
        if self._order is not None:
            self._order.set_epoch(epoch)
        self._epoch, self._given, self._skip = epoch, batches, batches
