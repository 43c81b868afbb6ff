"""Published files, fetched once into a folder of the user's, verified, resumed where they broke.

pooch keeps the folder, says what it does and moves the finished file into place; its own HTTP
downloader starts over when a connection breaks, so one that asks for the rest stands in its hook.
"""

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from deepcolor.weights.files import WeightsError
from deepcolor.weights.table import Published

__all__ = ["DownloadError", "fetch", "weights_folder"]

HOME = "DEEPCOLOR_HOME"  # environment variable: where weights are kept
OFFLINE = "HF_HUB_OFFLINE"  # environment variable, as Hugging Face's libraries honour it
TRUE = {"1", "ON", "YES", "TRUE"}
ATTEMPTS = 6  # connections a call; the next call goes on from there
FRUITLESS = 2  # connections in a row without a new byte, after which to give up
WAIT = 1.0  # seconds between connections
TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
BLOCK = 1 << 16  # bytes at a time; what a broken connection loses at most


class DownloadError(OSError):
    """Weights that could not be downloaded; the message says how to get them by hand."""


def weights_folder() -> Path:
    """Where downloaded weights are kept: DEEPCOLOR_HOME, or the platform's cache folder."""
    import pooch

    chosen = os.environ.get(HOME)
    return Path(chosen).expanduser().absolute() if chosen else Path(pooch.os_cache("deepcolor"))


def fetch(name: str, checkpoint: Published) -> Path:
    """The file of published weights, downloaded unless it is there, and verified.

    Two processes may ask at once: one downloads, the other waits for it. The file appears under
    its name only when it is whole and its hash is right; what a broken connection left is kept
    beside it as NAME.part and continued.

    Args:
        name: of the checkpoint, for messages.
        checkpoint: of a model or a judge, whose location is an address.

    Raises:
        DownloadError: offline (HF_HUB_OFFLINE included), for an address that does not answer, a
            full disk or a folder that cannot be written; names the file and where to put it.
        WeightsError: if the file's hash is wrong.
    """
    import pooch
    from filelock import FileLock

    folder = weights_folder()
    path = folder / checkpoint.file
    if not path.is_file():
        by_hand = (
            f"fetch {checkpoint.location} by other means and put {checkpoint.file} into {folder}"
        )
        if os.environ.get(OFFLINE, "").upper() in TRUE:
            raise DownloadError(
                f"{name} needs {checkpoint.file}, and {OFFLINE} forbids to download it; {by_hand}"
            )
        store = pooch.create(
            path=folder,
            base_url="",
            registry={checkpoint.file: None},  # only eight digits may be known: checked here
            urls={checkpoint.file: checkpoint.location},
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                downloader = partial(_download, name, checkpoint, Path(f"{path}.part"))
                store.fetch(checkpoint.file, downloader=downloader)
        except OSError as error:  # requests' own errors are OSErrors too
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DownloadError(
                f"{name} needs {checkpoint.file}, which could not be downloaded: {reason};"
                f" {by_hand}, or set {HOME} to another folder"
            ) from error
    digest = pooch.file_hash(str(path))
    if not checkpoint.matches(digest):
        raise WeightsError(
            f"{name}: {path} is damaged or another file: {_mismatch(checkpoint, digest)}; delete"
            " it, and the next call downloads it again"
        )
    return path


def _mismatch(checkpoint: Published, digest: str) -> str:
    return f"sha256 {digest[:16]}..., expected {checkpoint.sha256[:16]}..."


def _download(
    name: str, checkpoint: Published, part: Path, url: str, output_file: str, store: Any
) -> None:
    """Pooch's hook: leave the whole, verified file at `output_file`."""
    import pooch

    resumed = _size(part) > 0
    _complete(url, part)
    digest = pooch.file_hash(str(part))
    if resumed and not checkpoint.matches(digest):  # its beginning may be of another file
        part.unlink()
        _complete(url, part)
        digest = pooch.file_hash(str(part))
    if not checkpoint.matches(digest):
        part.unlink()
        raise WeightsError(
            f"{name}: {url} gave another file than was published:"
            f" {_mismatch(checkpoint, digest)}; it was deleted"
        )
    os.replace(part, output_file)


def _complete(url: str, part: Path) -> None:
    """Add to `part` what is missing, over as many connections as it takes, within reason."""
    from requests import exceptions

    broken = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    fruitless = 0
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            return _get_rest(url, part)
        except broken:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if attempt == ATTEMPTS or fruitless == FRUITLESS:
                raise
            time.sleep(WAIT)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _get_rest(url: str, part: Path) -> None:
    """One connection: from the byte after `part`, or from the start if the server will not.

    Raises:
        requests.exceptions.RequestException: for an answer other than the file, or a cut one.
    """
    import requests
    from tqdm import tqdm

    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # lengths are those of the file
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if have and reply.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the hash tells whether it is right
        reply.raise_for_status()
        if reply.status_code != requests.codes.partial_content:
            have = 0
        length = reply.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        bar = tqdm(
            desc=part.name.removesuffix(".part"),
            initial=have, total=total, unit="B", unit_scale=True, leave=False,
            disable=None,  # silent unless stderr is a terminal
        )  # fmt: skip
        with part.open("ab" if have else "wb") as file, bar:
            for block in reply.iter_content(BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and _size(part) != total:
        raise requests.exceptions.ConnectionError(
            f"{url} ended after {_size(part):,} of {total:,} bytes"
        )
