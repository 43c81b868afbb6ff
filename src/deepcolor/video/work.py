"""One film from its source to its place, stretch by stretch."""

import shutil
import threading
import time as clock
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcolor.files import shown
from deepcolor.inference.options import Options
from deepcolor.inference.painter import Painter
from deepcolor.upsample import ChromaField
from deepcolor.video.film import Film, FilmFrame
from deepcolor.video.folders import FrameFolderWriter, film_of
from deepcolor.video.guiding import FilmGuidance, Keyframes
from deepcolor.video.joining import check, join
from deepcolor.video.options import FilmOptions, FilmResult, FilmStoppedError, Tell
from deepcolor.video.pipeline import Pipeline, film_threads
from deepcolor.video.places import (
    check_place,
    check_space,
    fingerprint,
    is_frame_folder,
    weights_digest,
)
from deepcolor.video.snapshots import Coloured, Snapshot
from deepcolor.video.stretches import FULL, Parts, Progress
from deepcolor.video.threads import mapped
from deepcolor.video.writing import STRETCH, VideoWriter

__all__ = ["FilmWork", "shown_size"]

FRAMES = "frames"  # within the folder of parts

# Bits a pixel that the smallest files take: what does not fit then will not fit in any case.
LEAST_BITS = {"ffv1": 3.0, "frames": 3.0}
LEAST_LOSSY = 0.02

Planes = Callable[[FilmFrame, ChromaField], tuple[Any, ...]]


class FilmWork:
    """One film to colour.

    Args:
        src: a film, or a folder of numbered frames.
        dst: the file to write; a folder for numbered frames where it has no suffix.
        painter: holds the model.
        options: how to predict.
        how: how to treat the film.
        guidance: for the film, or for single frames.

    Raises:
        FilmError, OSError, TypeError, ValueError: for what cannot be used, before any work.
    """

    def __init__(
        self,
        src: Path,
        dst: Path,
        painter: Painter,
        options: Options,
        how: FilmOptions,
        guidance: FilmGuidance = None,
    ) -> None:
        self.how, self.dst = how, dst
        self.film = film_of(src, deinterlace=how.deinterlace)
        self.into_frames = is_frame_folder(dst)
        if dst.resolve() == src.resolve():
            raise ValueError(f"{shown(dst)} is the film itself; choose another output")
        check_place(dst)
        if not self.into_frames:
            check(dst, self.film, how.codec, how.crf)
        self.full = shown_size(self.film)
        self.keyframes = Keyframes(
            guidance, painter.model, self.full, how.steady, self.film.number_at
        )
        self.pipeline = Pipeline(
            painter, options, self.full, self.view, self.keyframes, how.steady, how.stretch
        )
        self.edges = options.work.edges
        self.first = 0 if how.start is None else self.film.number_at(how.start)
        self.last = None if how.end is None else self.film.number_at(how.end)
        self.order = self._order(src, painter, options)

    def run(
        self,
        *,
        resume: bool = False,
        overwrite: bool = False,
        tell: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> FilmResult:
        """Do it.

        Args:
            resume: go on with what an earlier run finished, if it did.
            overwrite: replace a result that is there, and begin anew.
            tell: told of progress.
            stop: once set, the run ends with `FilmStoppedError`.
        """
        begun = clock.perf_counter()
        parts = Parts(self.dst, self.order)
        before = 0
        try:
            with parts.begun(resume, overwrite) as progress, film_threads() as pool:
                before = progress.frames
                if not progress.done:
                    if not progress.frames:
                        self._check_space(parts)
                    progress = self._paint(parts, progress, pool, tell, stop)
                left_out = self._finish(parts, progress)
                parts.remove()
        except OSError as error:
            if error.errno not in FULL or error.filename == str(parts.folder):
                raise
            raise OSError(
                error.errno,
                f"no room left on the disk; what was finished is kept in {shown(parts.folder)}:"
                " make room, and --resume goes on with it",
                str(self.dst),
            ) from error
        seconds = clock.perf_counter() - begun
        remarks = list(dict.fromkeys([*progress.remarks, *self.film.remarks, *left_out]))
        unused = self.keyframes.unused() if progress.frames > before else []
        if unused:
            remarks.append(f"guidance for {', '.join(unused)} was not used: no such frame came")
        frames = progress.frames
        return FilmResult(
            self.dst, frames, seconds, (frames - before) / max(seconds, 1e-9), tuple(remarks)
        )

    def total(self) -> int | None:
        """How many frames are to be written, about."""
        if self.film.count is None:
            return None
        last = self.film.count if self.last is None else min(self.film.count, self.last)
        return max(1, -(-(last - self.first) // self.how.every))

    def view(self, frame: FilmFrame, size: tuple[int, int]) -> Tensor:
        """What a network sees of a frame: (1, h, w) L, upright, of a size."""
        turned = self.film.rotation % 180 != 0
        small = self.film.layout.shrunk(frame.y, size[::-1] if turned else size)
        return self.film.upright(small)

    def writer(self, path: Path) -> Any:
        """What writes frames, to a file or a folder, as the result is to be."""
        if self.into_frames:
            return FrameFolderWriter(path, self.film)
        how = self.how
        return VideoWriter(path, self.film, out=self.dst, codec=how.codec, quality=how.crf)

    def _chroma(self, item: Coloured | Snapshot, planes: Planes) -> Any:
        if isinstance(item, Snapshot):
            return item
        with torch.inference_mode():
            layout = self.film.layout
            ab, luminance = self.film.coded(item.ab), self.film.coded(item.luminance)
            field = ChromaField(ab, luminance, (layout.height, layout.width), self.edges)
            return item.frame, *planes(item.frame, field)

    def frames(
        self, position: int = 0, pts: int | None = None
    ) -> Generator[tuple[int, FilmFrame], None, None]:
        """The frames to colour, from a position on, with their numbers.

        Args:
            position: in the run.
            pts: of that frame, where it is known.
        """
        first = self.first + position * self.how.every
        frames = self.film.frames(first, pts)
        try:
            for frame in frames:
                if self.last is not None and frame.number >= self.last:
                    return
                if (frame.number - first) % self.how.every == 0:
                    yield frame.number, frame
        finally:
            if isinstance(frames, Generator):
                frames.close()

    def _paint(
        self,
        parts: Parts,
        progress: Progress,
        pool: Any,
        tell: Tell | None,
        stop: threading.Event | None,
    ) -> Progress:
        start, total, count = progress.snapshot, self.total(), progress.frames
        source = self.pipeline.run(self.frames(start.paint, progress.pts), pool, start)
        with ExitStack() as stack:
            writer = stack.enter_context(_Stretch(self, parts, len(progress.stretches)))
            planes = writer.planes
            items = mapped(source, lambda item: self._chroma(item, planes), pool, pool._max_workers)
            stack.enter_context(closing(items))
            if tell is not None:
                tell(count, total)
            for item in items:
                if stop is not None and stop.is_set():
                    raise FilmStoppedError(f"{self.film.name}: stopped after {count:,} frames")
                if isinstance(item, Snapshot):
                    progress = writer.finish(progress, item, count)
                    continue
                writer.write(*item)
                count += 1
                if tell is not None:
                    tell(count, total)
            if not count:
                raise ValueError(
                    f"{self.film.name}: no frame lies between the start and the end asked for"
                )
            done = replace(progress, done=True, remarks=tuple(self.film.remarks))
            return writer.finish(done, Snapshot(count, count), count)

    def _finish(self, parts: Parts, progress: Progress) -> list[str]:
        """Put the result in its place; what of the film could not be kept."""
        if self.into_frames:
            ready = parts.folder / FRAMES
            if ready.exists():  # else it is in its place already: killed just after
                if self.dst.exists():
                    shutil.rmtree(self.dst)  # `check_place` has seen that it holds frames only
                ready.rename(self.dst)
            return []
        part = self.how.start is not None or self.how.end is not None
        return join(parts.files(progress), self.film, self.dst, cut=part)

    def _check_space(self, parts: Parts) -> None:
        kind = "frames" if self.into_frames else str(self.how.codec)
        bits = LEAST_BITS.get(kind, LEAST_LOSSY)
        layout = self.film.layout
        needed = (self.total() or 0) * layout.width * layout.height * bits / 8
        if not self.into_frames:
            needed *= 2  # the stretches, and the film that they are joined to
        check_space(parts.folder, needed, f"colouring {self.film.name}")

    def _order(self, src: Path, painter: Painter, options: Options) -> dict[str, str]:
        how = self.how
        return {
            **fingerprint(src), "steady": f"{how.steady:g}", "codec": str(how.codec or "default"),
            "crf": str("default" if how.crf is None else how.crf), "start": str(how.start or 0),
            "end": str("none" if how.end is None else how.end), "every": str(how.every),
            "deinterlace": str(how.deinterlace), "stretch": str(how.stretch),
            "guidance": self.keyframes.digest()[:16], "model": weights_digest(painter.model),
            "device": painter.device.type, "dtype": str(painter.dtype or torch.float32),
            "quality": options.quality, "size": str(self.pipeline.side),
            "temperature": str("default" if options.temperature is None else options.temperature),
            "saturation": f"{options.saturation:g}", "deepcolor": version("deepcolor-lightning"),
        }  # fmt: skip


class _Stretch:
    """Writes frames to one stretch after the other; what is unfinished is removed in the end.

    Attributes:
        planes: a frame and a field of chroma -> the planes of chroma to write; of any thread.
    """

    def __init__(self, work: FilmWork, parts: Parts, number: int) -> None:
        self.work, self.parts, self.number = work, parts, number
        self.path = parts.folder / FRAMES if work.into_frames else parts.unfinished(STRETCH)
        # at once: it refuses what it cannot do
        self.writer = work.writer(self.path)
        self.planes: Planes = self.writer.planes
        self.empty = True

    def __enter__(self) -> "_Stretch":
        return self

    def write(self, frame: FilmFrame, *planes: Any) -> None:
        """Add a frame."""
        if self.writer is None:
            self.writer = self.work.writer(self.path)
        self.writer.write(frame, *planes)
        self.empty = False

    def finish(self, progress: Progress, snapshot: Snapshot, count: int) -> Progress:
        """End the stretch, and write down that it is there."""
        stretches = progress.stretches
        if not self.empty and not self.work.into_frames:
            writer, self.writer = self.writer, None
            writer.close()
            stretches = (*stretches, self.parts.finish(self.number, self.path))
            self.number, self.empty = self.number + 1, True
        pts = getattr(snapshot.frame, "pts", None)
        progress = replace(progress, snapshot=snapshot, stretches=stretches, frames=count, pts=pts)
        self.parts.save(progress)
        return progress

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Nothing is left of a stretch that was not finished."""
        writer, self.writer = self.writer, None
        if writer is not None and not self.work.into_frames:
            writer.__exit__(FilmStoppedError, FilmStoppedError(), None)


def shown_size(film: Film) -> tuple[int, int]:
    """Height and width of a film as it is shown: upright, its samples square."""
    layout = film.layout
    height, width = layout.height, max(1, round(layout.width * film.sample_aspect))
    return (width, height) if film.rotation % 180 else (height, width)
