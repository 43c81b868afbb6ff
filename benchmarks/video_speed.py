"""How fast films are coloured, where the time goes, and whether memory stays flat.

    python benchmarks/video_speed.py CLIP [--frames 160] [--long TINY_CLIP]

CLIP is looped and scaled to black-and-white films of 480p, 720p and 1080p. Each part is measured
alone, over the same frames: decoding, the network (in batches of 4, by torch's own threads) and
encoding with all cores; looking (luminance at the network's size), steadying with finding cuts, and
painting, which the run does frame by frame, by one thread. The whole run has them side by side, and
joins the result too. TINY_CLIP is looped to 5,000 frames, for memory: the resident size from frame
200 on. Say what else ran on the machine.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import torch

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


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def parts(film: Path, folder: Path, predictor: Predictor, steady: float) -> dict[str, float]:
    """Seconds a frame of each part alone, and of the whole run."""
    how = FilmOptions(steady=steady)
    options = Options(borders=False)
    work = FilmWork(film, folder / "new.mp4", predictor, options, how)
    pipeline = work.pipeline
    taken: dict[str, float] = {}
    count = 0

    def decode() -> None:
        nonlocal count
        count = sum(1 for _ in Film(film).frames())

    taken["decode"] = seconds(decode)
    frames = list(islice(Film(film).frames(), 64))  # they repeat: of these the rest is measured
    share = count / len(frames)
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the run, for what works on single frames
    begun = time.perf_counter()
    views = [work.view(frame, pipeline.sizes[0]) for frame in frames]
    taken["look"] = share * (time.perf_counter() - begun)
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
    begun = time.perf_counter()
    with torch.inference_mode():
        planes = [
            writer.planes(frame, ChromaField(ab, luminance, size))
            for frame, ab, (_, luminance) in zip(frames, final, answers, strict=True)
        ]
    taken["paint"] = share * (time.perf_counter() - begun)
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


def memory(film: Path, folder: Path, predictor: Predictor) -> Iterator[str]:
    """Lines about the resident size over a long film."""
    found: dict[int, float] = {}

    def tell(done: int, total: int | None) -> None:
        if done % 100 == 0:
            found[done] = resident()

    result = FilmWork(
        film, folder / "long.mp4", predictor, Options(borders=False), FilmOptions()
    ).run(tell=tell)
    last = max(found)
    early = max(size for done, size in found.items() if 200 <= done <= 400)
    most = max(size for done, size in found.items() if done >= 200)
    yield f"{result.frames} frames: {found[200]:.0f} MB at frame 200, {early:.0f} MB at most up to"
    yield f"frame 400, {found[last]:.0f} MB at frame {last}, {most:.0f} MB at most from 200 on"
    yield f"({100 * (most / found[200] - 1):+.1f} % over frame 200); {result.fps:.1f} frames/s"


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("clip", type=Path)
    ask.add_argument("--frames", type=int, default=160)
    ask.add_argument("--long", type=Path)
    ask.add_argument("--steady", type=float, default=0.5)
    ask.add_argument("--device", default="cpu")
    told = ask.parse_args()
    predictor = Predictor("lite.photos", told.device)
    print(f"{told.clip.name}, {told.frames} frames; {os.cpu_count()} cores, {predictor.device}")
    print("milliseconds a frame; ratio: whole over decode + network + encode")
    names = ("decode", "look", "network", "steady", "paint", "encode", "whole")
    print("| size | " + " | ".join(names) + " | ratio | steady / network | frames/s |")
    print("|" + "---|" * (len(names) + 4))
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        for height, width in SIZES.items():
            film = looped(told.clip, told.frames, (height, width), folder / f"{height}.mp4")
            found = parts(film, folder, predictor, told.steady)
            alone = found["decode"] + found["network"] + found["encode"]
            cells = " | ".join(f"{1e3 * found[name]:.1f}" for name in names)
            print(
                f"| {height}p | {cells} | {found['whole'] / alone:.2f} |"
                f" {found['steady'] / found['network']:.2f} | {1 / found['whole']:.1f} |",
                flush=True,
            )
        if told.long is not None:
            film = looped(told.long, 5000, None, folder / "long_old.mp4")
            print("\nmemory, " + " ".join(memory(film, folder, predictor)))


if __name__ == "__main__":
    main()
