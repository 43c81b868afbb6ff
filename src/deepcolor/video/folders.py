"""Folders of numbered pictures as films, and films as such folders."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcolor import images
from deepcolor.files import shown
from deepcolor.listing import SUFFIXES
from deepcolor.pixels import LEVELS, compose, unit
from deepcolor.video.layouts import FilmError, Layout, Plane
from deepcolor.video.planes import luma_of_grey

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField
    from deepcolor.video.film import Film, FilmFrame

__all__ = ["FrameFolderWriter", "numbered"]
