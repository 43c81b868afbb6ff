"""What decoders say while they work: one error, or one warning, that names the picture.

Pillow warns through `warnings` and `logging`, refuses large pictures by a limit of its own, and
libtiff writes to standard error. Filters, the limit and standard error belong to the whole process,
which may be busy in other threads, so none of them is changed. Instead the ways of Pillow to them
lead past here, once for all: what is said inside `decoding` is gathered for the picture that the
same thread is decoding, and everywhere else all is as it was.
"""

import ctypes
import importlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from PIL import Image

from deepcolor.images.picture import ImageError, check_size

__all__ = ["ImageWarning", "decoding", "remark"]

# Modules that warn while they read; Image also holds the limit on size.
WARNERS = ("Image", "ImageFile", "JpegImagePlugin", "PngImagePlugin", "TiffImagePlugin",
           "IcoImagePlugin", "MpoImagePlugin", "GifImagePlugin", "_deprecate")  # fmt: skip
LOGGERS = ("PIL.TiffImagePlugin", "PIL.PngImagePlugin", "PIL.ImageFile", "imagecodecs", "tifffile")
OF_NO_USE = (  # advice for programmers, on what is done well
    "Palette images with Transparency",
    "PNG warning: Interlace handling should be turned on",
)
MOST_NOTES = 5  # remarks; a damaged file may cause thousands
LONGEST_NOTE = 200  # characters


class ImageWarning(UserWarning):
    """A picture that was read, but not all of it, or with remarks by what decoded it."""


@dataclass
class _Notes:
    name: str
    max_pixels: int | None
    quiet: bool
    said: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        text = " ".join(text.split())[:LONGEST_NOTE].rstrip(" .")
        if text in self.said or text.startswith(OF_NO_USE):
            return
        if len(self.said) < MOST_NOTES:
            self.said.append(text)
        elif len(self.said) == MOST_NOTES:
            self.said.append("and more")


_LOCK = threading.Lock()
_LISTENING: list[Any] = []  # not empty once it is so
_NOTES: ContextVar[_Notes | None] = ContextVar("deepcolor_notes", default=None)


@contextmanager
def decoding(name: str, max_pixels: int | None, quiet: bool = False) -> Iterator[None]:
    """Decode a picture inside: one error for all that decoders of damaged files stumble over.

    Args:
        name: of the picture, for messages.
        max_pixels: of any picture that is decoded on the way; None for no limit.
        quiet: whether to keep remarks to oneself, for they come again, or nobody asked.

    Raises:
        ImageError: for whatever is raised inside, but for ImageErrors and warnings made errors.

    Warns:
        ImageWarning: once, at the end, of what Pillow and libtiff remarked on.
    """
    if _NOTES.get() is not None:  # the picture of an outer call
        yield
        return
    _listen()
    notes = _Notes(name, max_pixels, quiet)
    token = _NOTES.set(notes)
    try:
        yield
    except (ImageError, Warning):
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        reasons = "; ".join([reason, *notes.said])
        raise ImageError(f"{name} is damaged or truncated ({reasons})") from error
    finally:
        _NOTES.reset(token)
    if notes.said and not quiet:
        remarks = "; ".join(notes.said)
        warnings.warn(f"{name} is not quite in order: {remarks}", ImageWarning, stacklevel=3)


def remark(text: str) -> None:
    """Warn of a picture that is read all the same, unless it is decoded quietly; names it."""
    notes = _NOTES.get()
    if notes is None or not notes.quiet:
        warnings.warn(text, ImageWarning, stacklevel=3)


def _listen() -> None:
    """Lead warnings, logs, limit and libtiff's messages past here; once in a process."""
    with _LOCK:
        if not _LISTENING:
            _LISTENING.append(True)
            _lead()


def _lead() -> None:
    ears = _Warnings("warnings")
    for name in WARNERS:
        module: Any = importlib.import_module(f"PIL.{name}")
        if getattr(module, "warnings", None) is warnings:
            module.warnings = ears
    pillow: Any = Image
    pillow._decompression_bomb_check = _check(pillow._decompression_bomb_check)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_keep)
    _listen_to_libtiff()


class _Warnings(ModuleType):
    """`warnings` for Pillow: gathers inside `decoding`; elsewhere it is the real one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(
        self,
        message: str | Warning,
        category: type[Warning] | None = None,
        stacklevel: int = 1,
        *args: Any,
        **options: Any,
    ) -> None:
        notes = _NOTES.get()
        if notes is None:
            warnings.warn(message, category, stacklevel + 1, *args, **options)
        else:
            notes.add(str(message))


def _check(theirs: Callable[..., None]) -> Callable[..., None]:
    def ours(size: tuple[int, int], **options: Any) -> None:
        notes = _NOTES.get()
        if notes is None:
            theirs(size, **options)
        else:
            check_size(size[1], size[0], notes.name, notes.max_pixels)

    return ours


def _keep(record: logging.LogRecord) -> bool:
    """A logging filter: whether a record goes on to where logs go."""
    notes = _NOTES.get()
    if notes is None or record.levelno < logging.WARNING:
        return True
    notes.add(record.getMessage())
    return False


def _listen_to_libtiff() -> None:
    """Set the handlers of the libtiff that Pillow uses, where it can be reached.

    It cannot in builds that link it statically, as those for Windows; there it goes on printing.
    """
    if sys.platform == "win32":
        return
    try:
        from PIL import _imaging

        library = ctypes.CDLL(_imaging.__file__)  # finds what that links to
        setters = (library.TIFFSetWarningHandler, library.TIFFSetErrorHandler)
        spell = ctypes.CDLL(None).vsnprintf
    except (ImportError, OSError, AttributeError, TypeError):
        return
    spell.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p)
    # void (*)(const char *module, const char *format, va_list); a va_list is passed as a pointer
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    for setter in setters:
        setter.argtypes, setter.restype = (kind,), ctypes.c_void_p
        _install(setter, kind, spell)


def _install(setter: Any, kind: Any, spell: Any) -> None:
    theirs = None

    def hear(module: bytes | None, format: bytes, values: int) -> None:
        notes = _NOTES.get()
        if notes is None:
            if theirs is not None:
                theirs(module, format, values)
            return
        text = ctypes.create_string_buffer(LONGEST_NOTE)
        spell(text, LONGEST_NOTE, format, values)
        notes.add(text.value.decode("utf-8", "replace"))

    ears = kind(hear)
    _LISTENING.append(ears)  # C keeps no reference
    before = setter(ears)
    theirs = kind(before) if before else None
