"""The full-size stage: luminance out of stored pixels, and luminance with chroma back into them.

Both work tile by tile, so that memory stays bounded and a tile stays in the processor's cache.
What is costly in CIELAB is a table here: the f(Y) of a grey level is looked up, and the way back
needs cubes and one table for sRGB's curve, no roots.
"""

from deepcolor.pixels.compose import PictureChroma, compose
from deepcolor.pixels.luminance import LEVELS, f_luminance, from_squares, shrink, square_for, unit
from deepcolor.pixels.workers import tiles

__all__ = [
    "LEVELS",
    "PictureChroma",
    "compose",
    "f_luminance",
    "from_squares",
    "shrink",
    "square_for",
    "tiles",
    "unit",
]
