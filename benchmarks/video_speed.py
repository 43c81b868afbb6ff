"""How fast films are coloured, where the time goes, and whether memory stays flat.

    python benchmarks/video_speed.py CLIP [--frames 160] [--rounds 3] [--long TINY_CLIP]

CLIP is looped and scaled to black-and-white films of 480p, 720p and 1080p. Each part is measured
alone, over the same frames: decoding, the network (in batches of 4, by torch's own threads) and
encoding with all cores; looking (luminance at the network's size), steadying with finding cuts, and
painting, which the run does frame by frame, by one thread. The whole run has them side by side, and
joins the result too. All is measured in rounds, and the table has the least of each figure: torch's
threads wait for each other a thousand times a second, so that other work makes the network several
times as slow. Beside the time of the clock there is that of the processor, of all threads, which
other work changes less; there the network works by one thread, as in the run. TINY_CLIP is looped
to 5,000 frames, for memory, in a process of its own: the resident size from frame 200 on. Say what
else ran on the machine.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from deepcolor.inference import Options, Predictor
from deepcolor.upsample import ChromaField
from deepcolor.video.cuts import CutFinder
from deepcolor.video.film import Film
from deepcolor.video.options import FilmOptions
from deepcolor.video.snapshots import Shown
from deepcolor.video.steady import Steadier
from deepcolor.video.work import FilmWork
from deepcolor.video.writing import VideoWriter

SIZES = {480: 854, 720: 1280, 1080: 1920}
BATCH = 4
Spent = NDArray[np.float64]


def looped(clip: Path, frames: int, size: tuple[int, int] | None, out: Path) -> Path:
    """A black-and-white film of so many frames."""
    with av.open(str(clip)) as source:
        few = [frame.reformat(format="gray") for frame in islice(source.decode(video=0), 300)]
    height, width = size or (few[0].height, few[0].width)
    few = [frame.reformat(width, height, "gray").reformat(format="yuv420p") for frame in few]
    with av.open(str(out), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(islice(cycle(few + few[::-1]), frames)):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), 0
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return out


def seconds(work: Callable[[], object]) -> Spent:
    """Of the clock, and of the processor, that some work takes."""
    clock, used = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - clock, time.process_time() - used])


def parts(film: Path, folder: Path, predictor: Predictor, steady: float) -> dict[str, Spent]:
    """Seconds a frame of each part alone, and of the whole run."""
    how = FilmOptions(steady=steady)
    options = Options(borders=False)
    work = FilmWork(film, folder / "new.mp4", predictor, options, how)
    pipeline = work.pipeline
    taken: dict[str, Spent] = {}
    count = 0

    def decode() -> None:
        nonlocal count
        count = sum(1 for _ in Film(film).frames())

    taken["decode"] = seconds(decode)
    frames = list(islice(Film(film).frames(), 64))  # they repeat: of these the rest is measured
    share = count / len(frames)
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the run, for what works on single frames
    views: list[torch.Tensor] = []

    def look() -> None:
        views.extend(work.view(frame, pipeline.sizes[0]) for frame in frames)

    taken["look"] = share * seconds(look)
    torch.set_num_threads(cores)
    shown = [
        Shown(n, n, frame, {pipeline.sizes[0]: view})
        for n, (frame, view) in enumerate(zip(frames, views, strict=True))
    ]
    answers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def network() -> None:
        for first in range(0, len(shown), BATCH):
            said = pipeline.keyframes.whole
            ab, luminance = pipeline._predict(shown[first : first + BATCH], said, None)
            answers.extend(zip(ab, luminance, strict=True))

    network()  # warm
    answers.clear()
    taken["network"] = share * seconds(network)
    torch.set_num_threads(1)
    alone = seconds(network)
    torch.set_num_threads(cores)
    taken["network"][1] = share * alone[1]
    del answers[len(shown) :]
    final: list[torch.Tensor] = []

    def steadying() -> None:
        finder, steadier = CutFinder(), Steadier(steady)
        for view, (ab, _) in zip(views, answers, strict=True):
            final.extend(steadier.push(view, ab, finder.push(view)))
        final.extend(steadier.flush())

    taken["steady"] = share * seconds(steadying)
    writer = VideoWriter(folder / "alone.stretch", work.film, out=work.dst)
    size = (work.film.layout.height, work.film.layout.width)
    torch.set_num_threads(1)
    writer.planes(frames[0], ChromaField(final[0], answers[0][1], size))  # its tables, once
    planes: list[Any] = []

    def paint() -> None:
        with torch.inference_mode():
            for frame, ab, (_, luminance) in zip(frames, final, answers, strict=True):
                planes.append(writer.planes(frame, ChromaField(ab, luminance, size)))

    taken["paint"] = share * seconds(paint)
    torch.set_num_threads(cores)

    def encode() -> None:
        for frame, both in zip(frames, planes, strict=True):
            writer.write(frame, *both)
        writer.close()

    taken["encode"] = share * seconds(encode)
    taken["whole"] = seconds(lambda: work.run(overwrite=True))
    return {name: value / count for name, value in taken.items()}


def resident() -> float:
    """MB that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(clip: Path, device: str) -> list[str]:
    """Lines about the resident size over a long film."""
    found: dict[int, float] = {}

    def tell(done: int, total: int | None) -> None:
        if done % 100 == 0:
            found[done] = resident()

    predictor = Predictor("lite.photos", device)
    with tempfile.TemporaryDirectory() as where:
        film = looped(clip, 5000, None, Path(where) / "long_old.mp4")
        work = FilmWork(
            film, Path(where) / "long.mp4", predictor, Options(borders=False), FilmOptions()
        )
        result = work.run(tell=tell)
    last = max(found)
    early = max(size for done, size in found.items() if 200 <= done <= 400)
    most = max(size for done, size in found.items() if done >= 200)
    return [
        f"{result.frames} frames: {found[200]:.0f} MB at frame 200, {early:.0f} MB at most up to",
        f"frame 400, {found[last]:.0f} MB at frame {last}, {most:.0f} MB at most from 200 on",
        f"({100 * (most / found[200] - 1):+.1f} % over frame 200); {result.fps:.1f} frames/s",
    ]


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("clip", type=Path)
    ask.add_argument("--frames", type=int, default=160)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--long", type=Path)
    ask.add_argument("--steady", type=float, default=0.5)
    ask.add_argument("--device", default="cpu")
    told = ask.parse_args()
    predictor = Predictor("lite.photos", told.device)
    print(f"{told.clip.name}, {told.frames} frames; {os.cpu_count()} cores, {predictor.device}")
    print("milliseconds a frame, of the clock and of the processor;")
    print("ratio: whole over decode + network + encode")
    names = ("decode", "look", "network", "steady", "paint", "encode", "whole")
    print("| size | | " + " | ".join(names) + " | ratio | steady / network | frames/s |")
    print("|" + "---|" * (len(names) + 5))
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        for height, width in SIZES.items():
            film = looped(told.clip, told.frames, (height, width), folder / f"{height}.mp4")
            rounds = [parts(film, folder, predictor, told.steady) for _ in range(told.rounds)]
            found = {name: np.min([one[name] for one in rounds], axis=0) for name in names}
            ratio = found["whole"] / (found["decode"] + found["network"] + found["encode"])
            share = found["steady"] / found["network"]
            for i, kind in enumerate(("clock", "processor")):
                cells = " | ".join(f"{1e3 * found[name][i]:.1f}" for name in names)
                rate = f"{1 / found['whole'][0]:.1f}" if i == 0 else ""
                print(
                    f"| {height}p | {kind} | {cells} | {ratio[i]:.2f} | {share[i]:.2f} | {rate} |",
                    flush=True,
                )
    if told.long is not None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            print("\nmemory, " + " ".join(other.submit(memory, told.long, told.device).result()))


if __name__ == "__main__":
    main()
