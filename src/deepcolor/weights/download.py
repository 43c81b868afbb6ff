"""Published files, fetched once into a folder of the user's, verified, resumed where they broke.

pooch keeps the folder, says what it does and moves the finished file into place; its own HTTP
downloader starts over when a connection breaks, so one that asks for the rest stands in its hook.
"""

import os
import stat
import time
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deepcolor.weights.files import WeightsError
from deepcolor.weights.table import Published, safe_address

if TYPE_CHECKING:
    import requests

__all__ = ["DownloadError", "fetch", "weights_folder"]

HOME = "DEEPCOLOR_HOME"  # environment variable: where weights are kept
OFFLINE = "HF_HUB_OFFLINE"  # environment variable, as Hugging Face's libraries honour it
TRUE = {"1", "ON", "YES", "TRUE"}
ATTEMPTS = 6  # connections a call; the next call goes on from there
FRUITLESS = 2  # connections in a row without a new byte, after which to give up
WAIT = 1.0  # seconds between connections
TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
BLOCK = 1 << 16  # bytes at a time; what a broken connection loses at most
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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
            registry={checkpoint.file: None},  # checked here, with a message of ours
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
    if digest != checkpoint.sha256:
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
    _complete(url, part, checkpoint.size)
    digest = pooch.file_hash(str(part))
    if resumed and digest != checkpoint.sha256:  # its beginning may be of another file
        part.unlink()
        _complete(url, part, checkpoint.size)
        digest = pooch.file_hash(str(part))
    if digest != checkpoint.sha256:
        part.unlink()
        raise WeightsError(
            f"{name}: {url} gave another file than was published:"
            f" {_mismatch(checkpoint, digest)}; it was deleted"
        )
    os.replace(part, output_file)


def _complete(url: str, part: Path, size: int) -> None:
    """Add to `part` what is missing, over as many connections as it takes, within reason."""
    from requests import exceptions

    broken = (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError)
    fruitless = 0
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            return _get_rest(url, part, size)
        except broken:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if attempt == ATTEMPTS or fruitless == FRUITLESS:
                raise
            time.sleep(WAIT)


def _size(part: Path) -> int:
    """Bytes that are there; 0 for what was not written by this user, such as a link."""
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    return found.st_size if _own(found) else 0


def _own(found: os.stat_result) -> bool:
    """Whether it is a plain file of this user's under no other name."""
    mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and mine


def _open_part(part: Path, go_on: bool) -> IO[bytes]:
    """Open what is downloaded so far to add to it, or begin it anew.

    In a folder that others may write to, the name can be a link to a file of the user's, which must
    not be written to: it is removed, and not followed.
    """
    if go_on:
        handle = os.open(part, os.O_WRONLY | os.O_APPEND | PLAIN)
        if _own(os.fstat(handle)):
            return os.fdopen(handle, "ab")
        os.close(handle)
        raise OSError(f"{part} is another file than a moment ago")
    part.unlink(missing_ok=True)
    return part.open("xb")


def _get_rest(url: str, part: Path, size: int) -> None:
    """One connection: from the byte after `part`, or from the start if the server will not.

    Raises:
        requests.exceptions.RequestException: for an answer other than the file, or a cut one.
        WeightsError: for one that is longer than the file that was published.
    """
    import requests
    from tqdm import tqdm

    have = _size(part)
    if have > size:
        part.unlink()  # of another file
        have = 0
    if have == size:
        return  # nothing is missing; the hash tells whether it is right
    headers = {"Accept-Encoding": "identity"}  # lengths are those of the file
    if have:
        headers["Range"] = f"bytes={have}-"
    with (
        _session() as session,
        session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply,
    ):
        reply.raise_for_status()
        if reply.status_code != requests.codes.partial_content:
            have = 0
        bar = tqdm(
            desc=part.name.removesuffix(".part"),
            initial=have, total=size, unit="B", unit_scale=True, leave=False,
            disable=None,  # silent unless stderr is a terminal
        )  # fmt: skip
        with _open_part(part, have > 0) as file, bar:
            for block in reply.iter_content(BLOCK):
                have += len(block)
                if have > size:
                    break
                file.write(block)
                bar.update(len(block))
    if have > size:
        part.unlink()
        raise WeightsError(f"{url} gave more than the {size:,} bytes that were published; deleted")
    if have < size:
        raise requests.exceptions.ConnectionError(f"{url} ended after {have:,} of {size:,} bytes")


def _session() -> "requests.Session":
    """A session that leaves https for nothing, redirections included."""
    import requests
    from requests.adapters import HTTPAdapter

    class Local(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            if not safe_address(str(request.url)):
                raise requests.exceptions.InvalidURL(
                    f"{request.url} is not https, which alone weights are downloaded over"
                )
            return super().send(request, *args, **kwargs)

    session = requests.Session()
    session.mount("http://", Local())
    return session
