"""Frames in, frames with their colours out, in memory that does not grow with the film.

They are looked at, predicted in batches and steadied, side by side.

Batches lie at multiples of their size in the run, so that a run that is resumed asks the network
the same batches, and each thread has torch to itself, so that the number of cores changes no bit.
"""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Guidance
from deepcolor.inference.memory import predict_in_memory
from deepcolor.inference.network import working_size
from deepcolor.inference.options import Options
from deepcolor.inference.painter import Painter, check_answer
from deepcolor.models.combined import resized
from deepcolor.pixels.workers import single_threads
from deepcolor.video.cuts import CutFinder
from deepcolor.video.guiding import Keyframes, Said, repeated
from deepcolor.video.remembering import packed, unpacked
from deepcolor.video.snapshots import Coloured, Shown, Snapshot, View
from deepcolor.video.steady import Steadier
from deepcolor.video.threads import ahead, mapped

__all__ = ["Pipeline", "film_threads"]

BATCH = {"cpu": 4}  # frames the network sees at once; more take memory, and save no time on a CPU
BATCH_ELSEWHERE = 16
COMMANDED = 8.0  # CIELAB units by which guidance must move a colour to command it


@dataclass
class _Batch:
    frames: list[Shown]
    cuts: list[bool]
    said: list[Said]
    end: dict[str, Tensor] | None = None  # of what is before the network, where a stretch ends


@dataclass
class _Answer:
    frame: Shown
    cut: bool
    ab: Tensor  # (2, h, w)
    luminance: Tensor  # (1, h, w)
    keep: Tensor | None  # (1, h, w)


@contextmanager
def film_threads() -> Iterator[ThreadPoolExecutor]:
    """One thread a core, each with torch to itself, for the work on single frames and batches."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    pool = single_threads(cores, "deepcolor-frames")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Pipeline:
    """Colours the frames of one film.

    Args:
        painter: holds the model.
        options: how to predict.
        full: height and width of the frames as they are shown.
        view: what the network sees of a frame.
        keyframes: what was said of the film.
        steady: as of `Steadier`.
        stretch: frames after which snapshots are made, rounded up to whole batches; None for none.
    """

    def __init__(
        self,
        painter: Painter,
        options: Options,
        full: tuple[int, int],
        view: View,
        keyframes: Keyframes,
        steady: float,
        stretch: int | None = None,
    ) -> None:
        self.painter, self.options, self.full, self.view = painter, options, full, view
        self.keyframes = keyframes
        self.steady = steady
        self.model = painter.model
        self.batch = BATCH.get(painter.device.type, BATCH_ELSEWHERE)
        self.stretch = None if stretch is None else -(-stretch // self.batch) * self.batch
        self.side = options.size or painter.size or self.model.size
        self.sizes = [
            working_size(*full, self.side * scale, self.model.grain)
            for scale in sorted(options.work.scales)
        ]
        self.remembers = self.model.remembers
        self.passes = len(self.sizes) * (2 if options.work.flips else 1)
        self.memory: tuple[Any, ...] | None = None  # of the frame before; one a pass of the network
        self.turn = nullcontext() if painter.device.type == "cpu" else threading.Lock()

    def run(
        self,
        frames: Iterable[tuple[int, Any]],
        pool: ThreadPoolExecutor,
        start: Snapshot | None = None,
    ) -> Generator[Coloured | Snapshot, None, None]:
        """Colour frames.

        Args:
            frames: number and the frame itself, of position `start.paint` and after.
            pool: of `film_threads`.
            start: where to go on; the beginning when None.

        Yields:
            Each frame, in order, and a snapshot wherever a stretch ends.
        """
        begin = start or Snapshot()
        width = pool._max_workers
        decoded = ahead(_numbered(frames, begin.paint), 2)
        seen = mapped(decoded, lambda shown: self._look(shown, begin.push), pool, width + 1)
        batches = self._batches(seen, begin)
        if self.remembers:
            answers = ahead(self._in_order(batches, begin), 1)
        else:
            answers = mapped(batches, self._predict_batch, pool, max(1, width - 1))
        with closing(ahead(self._steadied(answers, begin), 2)) as steadied:
            yield from steadied

    def one(self, frame: Any) -> Coloured:
        """Colour a single frame by itself, with what was said of the whole film."""
        shown = self._look(Shown(0, 0, frame), 0)
        self.memory = self._first_memory() if self.remembers else None
        answer = self._predict_alike([shown], [True], Said(self.keyframes.whole))[0]
        return Coloured(frame, answer.ab, answer.luminance)

    def _look(self, shown: Shown, known: int) -> Shown:
        if shown.position < known:
            return shown
        with torch.inference_mode():
            views = {size: self.view(shown.frame, size) for size in self.sizes}
        return Shown(shown.position, shown.number, shown.frame, views)

    def _batches(self, seen: Iterable[Shown], begin: Snapshot) -> Generator[_Batch, None, None]:
        finder = CutFinder()
        if begin.push:
            finder.load(begin.of("cuts"))
            self.keyframes.load(begin.of("keyframes"))
        batch = _Batch([], [], [])
        try:
            for shown in seen:
                if shown.position < begin.push:
                    yield _Batch([shown], [], [])
                    continue
                cut = finder.push(shown.views[self.sizes[0]])
                batch.frames.append(shown)
                batch.cuts.append(cut)
                batch.said.append(self.keyframes.next(shown.number, cut))
                after = shown.position + 1
                if after % self.batch == 0:
                    if self.stretch is not None and after % self.stretch == 0:
                        batch.end = _named("cuts", finder.state())
                        batch.end |= _named("keyframes", self.keyframes.state())
                    yield batch
                    batch = _Batch([], [], [])
            if batch.frames:
                yield batch
        finally:
            if isinstance(seen, Generator):
                seen.close()

    def _predict_batch(self, batch: _Batch) -> tuple[_Batch, list[_Answer]]:
        """The frames of a batch that are told the same are predicted at once."""
        answers: list[_Answer] = []
        if not batch.cuts:
            return batch, answers
        places = range(len(batch.frames))
        for _, group in groupby(places, key=lambda i: _alike(batch.said[i], i)):
            chosen = list(group)
            frames, cuts = [batch.frames[i] for i in chosen], [batch.cuts[i] for i in chosen]
            answers += self._predict_alike(frames, cuts, batch.said[chosen[0]])
        return batch, answers

    def _in_order(
        self, batches: Iterable[_Batch], begin: Snapshot
    ) -> Generator[tuple[_Batch, list[_Answer]], None, None]:
        """As `_predict_batch`, frame by frame, with the memory of the frame before."""
        stored = begin.of("memory")
        try:
            for batch in batches:
                answers = []
                # Not strict: frames that were predicted before a break come without cuts.
                for shown, cut, said in zip(batch.frames, batch.cuts, batch.said, strict=False):
                    if stored:  # what a memory is made of, any frame's tells
                        self._predict([shown], said.guidance, self._first_memory())
                        remembered = unpacked(self.memory, stored)
                        self.memory, stored = self._first_memory() if cut else remembered, {}
                    elif cut:
                        self.memory = self._first_memory()
                    answers += self._predict_alike([shown], [cut], said)
                if batch.end is not None:
                    batch.end |= _named("memory", packed(self.memory))
                yield batch, answers
        finally:
            if isinstance(batches, Generator):
                batches.close()

    def _first_memory(self) -> tuple[Any, ...]:
        return tuple(self.model.first_memory() for _ in range(self.passes))

    def _predict_alike(self, frames: list[Shown], cuts: list[bool], said: Said) -> list[_Answer]:
        with torch.inference_mode():
            before = self.memory
            ab, luminance = self._predict(frames, said.guidance, before)
            keep = None
            if said.ab is not None:
                ab = F.interpolate(said.ab[None], size=ab.shape[-2:], mode="area")
                keep = torch.ones_like(luminance)
            elif said.without is not None:
                after, self.memory = self.memory, before
                plain, _ = self._predict(frames, said.without, before)
                self.memory = after
                keep = ((ab - plain).norm(dim=1, keepdim=True) / COMMANDED).clamp(0, 1)
                if said.guidance.hints is not None:
                    grid = (ab.shape[-2], ab.shape[-1])
                    keep = torch.maximum(keep, said.guidance.hints.resized(grid).mask)
            keeps = [None] * len(frames) if keep is None else list(keep)
        return [_Answer(*one) for one in zip(frames, cuts, ab, luminance, keeps, strict=True)]

    def _predict(
        self, frames: list[Shown], guidance: Guidance, memory: tuple[Any, ...] | None
    ) -> tuple[Tensor, Tensor]:
        """(B, 2, h, w) ab and (B, 1, h, w) L on the grid, on the CPU; and the memory is kept."""

        def read(small: tuple[int, int], device: torch.device) -> Tensor:
            views = torch.stack([
                shown.views[small] if small in shown.views else list(shown.views.values())[-1]
                for shown in frames
            ])  # fmt: skip
            return resized(views, small).clamp(0, 100).to(device)

        painter = self.painter
        with torch.inference_mode(), self.turn:
            prediction = predict_in_memory(
                self.model, painter.device, painter.dtype, read, self.full, self.side,
                self.options.work, repeated(guidance, len(frames)), memory,
            )  # fmt: skip
            ab = prediction.ab(self.options.temperature)
            check_answer(ab, prediction.model)
            if self.remembers:
                self.memory = prediction.memory
            return (ab * self.options.saturation).cpu(), prediction.luminance.float().cpu()

    def _steadied(
        self, answers: Iterable[tuple[_Batch, list[_Answer]]], begin: Snapshot
    ) -> Generator[Coloured | Snapshot, None, None]:
        steadier = Steadier(self.steady)
        waiting: deque[tuple[Any, Tensor]] = deque()  # frames, and the luminance of their grids
        known = deque(begin.tensors[f"grids.{n}"] for n in range(begin.push - begin.paint))
        if begin.push:
            steadier.load(begin.of("steadier"))

        def painted(final: list[Tensor]) -> Iterator[Coloured]:
            for ab in final:
                frame, luminance = waiting.popleft()
                yield Coloured(frame, ab, luminance)

        try:
            for batch, found in answers:
                if not batch.cuts:
                    waiting += [(shown.frame, known.popleft()) for shown in batch.frames]
                for one in found:
                    waiting.append((one.frame.frame, one.luminance))
                    view = one.frame.views[self.sizes[0]].cpu()
                    yield from painted(steadier.push(view, one.ab, one.cut, one.keep))
                if batch.end is not None:
                    after = batch.frames[-1].position + 1
                    state = batch.end | _named("steadier", steadier.state())
                    state |= {f"grids.{n}": grid for n, (_, grid) in enumerate(waiting)}
                    oldest = waiting[0][0] if waiting else None
                    yield Snapshot(after - len(waiting), after, state, oldest)
            yield from painted(steadier.flush())
        finally:
            if isinstance(answers, Generator):
                answers.close()


def _numbered(frames: Iterable[tuple[int, Any]], first: int) -> Generator[Shown, None, None]:
    try:
        for position, (number, frame) in enumerate(frames, first):
            yield Shown(position, number, frame)
    finally:
        if isinstance(frames, Generator):
            frames.close()


def _alike(said: Said, place: int) -> tuple[int, int]:
    """A key that frames share if they may be predicted at once."""
    alone = said.without is not None or said.ab is not None
    return (id(said.guidance), place if alone else -1)


def _named(stage: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{stage}.{name}": tensor for name, tensor in tensors.items()}
