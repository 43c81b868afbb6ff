"""One call for one film, and one for frames from anywhere."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from deepcolor import images
from deepcolor.extras import needs
from deepcolor.inference import Predictor
from deepcolor.inference.calls import held
from deepcolor.inference.options import Options, QualityName
from deepcolor.models import Colorizer
from deepcolor.models.prediction import ChromaPrediction
from deepcolor.pixels import shrink
from deepcolor.video.guiding import FilmGuidance, Keyframes
from deepcolor.video.options import FilmOptions, FilmResult, Tell
from deepcolor.video.pipeline import Pipeline, film_threads
from deepcolor.video.threads import mapped
from deepcolor.weights import DEFAULT

__all__ = ["colorize_frames", "colorize_video"]

Frame = TypeVar("Frame")


def colorize_video(
    src: str | PathLike[str],
    dst: str | PathLike[str],
    model: str | Path | Colorizer | Predictor = DEFAULT,
    device: str = "auto",
    *,
    guidance: FilmGuidance = None,
    steady: float = 0.5,
    quality: QualityName = "balanced",
    size: int | None = None,
    temperature: float | None = None,
    saturation: float = 1.0,
    codec: str | None = None,
    crf: int | None = None,
    start: float | None = None,
    end: float | None = None,
    every: int = 1,
    deinterlace: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | Tell = False,
) -> FilmResult:
    """Give a film its colour, frame by frame, and keep all else: its light, its sound, its times.

    The film's luma goes through untouched, at its own depth; only its planes of chroma are filled.
    Sound, subtitles, chapters and metadata are copied. Memory does not grow with the film. What is
    unfinished lies in a folder DST.parts beside the result, so that a run that was killed can be
    resumed; the result is there whole or not at all.

    Args:
        src: a film, or a folder of numbered frames.
        dst: the file to write, in a container that its suffix names; a name without a suffix is a
            folder of numbered PNG files.
        model: a name of `list_checkpoints()`, a .safetensors file, a model in memory, or a
            `Predictor`, whose device then counts.
        device: "auto", "cpu", "cuda" or "mps".
        guidance: of a kind that the model takes, for the whole film. Or a mapping: frames, by
            number (whole) or second (float), to what is said of them, which then holds until the
            next cut: guidance, or that frame in colour, as any picture that `colorize` takes.
        steady: how far colours are held from frame to frame, along motion and within shots: 0 each
            frame by itself, 1 as far as can be.
        quality: as for `colorize`.
        size: as for `colorize`.
        temperature: as for `colorize`.
        saturation: as for `colorize`.
        codec: of the result, such as "h264", "h265" or "ffv1"; by the suffix when None.
        crf: quality of the codec, lower is better and larger; its own default when None.
        start: seconds of the film at which to begin.
        end: seconds of the film at which to end.
        every: colour only every Nth frame, for a draft.
        deinterlace: make whole frames of interlaced ones.
        resume: go on with what an earlier run of the same order finished.
        overwrite: replace a result that is there, and what is left of an unfinished run.
        progress: True for a bar on stderr; or a function told of frames done, and of how many there
            are, about, or None.

    Returns:
        Where the result is, its frames, seconds, frames a second, and remarks.

    Raises:
        FilmError: an ImageError: if the film cannot be used; the message says why.
        FileExistsError: if there is a result, or what an unfinished run left, and neither `resume`
            nor `overwrite` was given.
        OSError: if the place cannot be written to, or the disk is full: what was finished is kept.
        TypeError, ValueError: if the model, the device or a control cannot be used.

    Example:
        >>> colorize_video("old.mp4", "new.mp4").frames  # doctest: +SKIP
        1440
    """
    options = Options(
        quality=quality, size=size, temperature=temperature, saturation=saturation, borders=False
    )
    how = FilmOptions(
        steady=steady, codec=codec, crf=crf, start=start, end=end, every=every,
        deinterlace=deinterlace,
    )  # fmt: skip
    try:
        from deepcolor.video.work import FilmWork
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "av":
            raise
        raise ImportError(f"colouring films {needs('video')}") from error
    source, place = Path(src), Path(dst)
    work = FilmWork(source, place, _predictor(model, device), options, how, guidance)
    tell = progress if callable(progress) else _bar() if progress else None
    return work.run(resume=resume, overwrite=overwrite, tell=tell)


def colorize_frames(
    frames: Iterable[Frame],
    model: str | Path | Colorizer | Predictor = DEFAULT,
    device: str = "auto",
    *,
    guidance: FilmGuidance = None,
    steady: float = 0.5,
    quality: QualityName = "balanced",
    size: int | None = None,
    temperature: float | None = None,
    saturation: float = 1.0,
    max_pixels: int | None = images.MAX_PIXELS,
) -> Generator[Frame, None, None]:
    """Give the frames of a film their colour, in memory that does not grow with their number.

    Args:
        frames: pictures of one size, each of any kind that `colorize` takes; they are taken from a
            thread, some thirty ahead of what comes out.
        model: as for `colorize_video`.
        device: as for `colorize_video`.
        guidance: as for `colorize_video`; frames by their number, from 0.
        steady: as for `colorize_video`.
        quality: as for `colorize`.
        size: as for `colorize`.
        temperature: as for `colorize`.
        saturation: as for `colorize`.
        max_pixels: as for `colorize`.

    Returns:
        The frames in order, each of the kind that it came in, as `colorize` gives them back. Close
        the generator to end before the frames do.

    Raises:
        ImageError: if a frame cannot be used, or is of another size than the first.
        TypeError, ValueError: for what cannot be used, before any frame is taken.

    Example:
        >>> for frame in colorize_frames(camera, steady=0.7):  # doctest: +SKIP
        ...     show(frame)
    """
    options = Options(
        quality=quality, size=size, temperature=temperature, saturation=saturation, borders=False
    )
    FilmOptions(steady=steady)
    if not isinstance(frames, Iterable):
        raise TypeError(f"frames must be iterable, got {type(frames).__name__}")
    return _coloured(frames, _predictor(model, device), options, guidance, steady, max_pixels)


def _coloured(
    frames: Iterable[Any],
    predictor: Predictor,
    options: Options,
    guidance: FilmGuidance,
    steady: float,
    max_pixels: int | None,
) -> Generator[Any, None, None]:
    pictures = _read(frames, max_pixels)
    first = next(pictures, None)
    if first is None:
        return
    full = (first.pixels.shape[-2], first.pixels.shape[-1])
    quality = cast(QualityName, options.quality)
    cpu = torch.device("cpu")

    def view(picture: images.Picture, small: tuple[int, int]) -> torch.Tensor:
        return shrink(picture.pixels[0].to(cpu), small, cpu)

    def paint(one: Any) -> Any:
        prediction = ChromaPrediction(
            model="", luminance=one.luminance[None], chroma=one.ab[None], picture_size=full
        )
        return predictor.paint(one.frame, prediction, borders=False, quality=quality)

    keyframes = Keyframes(guidance, predictor.model, full, steady)
    pipeline = Pipeline(predictor, options, full, view, keyframes, steady)

    def numbered() -> Iterator[tuple[int, images.Picture]]:
        yield 0, first
        for number, picture in enumerate(pictures, 1):
            if picture.pixels.shape[-2:] != full:
                height, width = picture.pixels.shape[-2:]
                raise images.ImageError(
                    f"frame {number}, {picture.name}, is {width} x {height}, those before"
                    f" {full[1]} x {full[0]}: frames of a film have one size"
                )
            yield number, picture

    with (
        film_threads() as pool,
        closing(mapped(pipeline.run(numbered(), pool), paint, pool, pool._max_workers)) as painted,
    ):
        yield from painted


def _read(frames: Iterable[Any], max_pixels: int | None) -> Iterator[images.Picture]:
    for number, frame in enumerate(frames):
        picture = images.read(frame, max_pixels)
        if len(picture.pixels) != 1 or not picture.pixels.numel():
            raise images.ImageError(f"frame {number}, {picture.name}, is no single picture")
        yield picture


def _predictor(model: str | Path | Colorizer | Predictor, device: str) -> Predictor:
    return model if isinstance(model, Predictor) else held(model, device)


def _bar() -> Callable[[int, int | None], None]:
    """A bar on stderr with frames a second and the time left."""
    from tqdm import tqdm

    bar: Any = None

    def tell(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(total=total, initial=done, unit="frame", dynamic_ncols=True)
        bar.update(done - bar.n)

    return tell
