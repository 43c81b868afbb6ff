"""Films in colour: steady from frame to frame, with sound, at any length."""

from deepcolor.video.calls import colorize_frames, colorize_video
from deepcolor.video.guiding import FilmGuidance
from deepcolor.video.options import FilmResult

__all__ = ["FilmGuidance", "FilmResult", "colorize_frames", "colorize_video"]
