"""Global vectors of photographs, computed once and kept in a file.

A frozen classifier says the same of a picture in each epoch, at more cost than most networks that
are trained on it. A cache is one .safetensors file: float16 vectors, the key of each photograph
(its path within the data), a checksum of its bytes, and how the vectors were made, so that those of
another backbone, preprocessing or weights are refused.

A vector is that of the whole photograph: its centre square, at the classifier's own side. Training
crops show the network a part of that; the vector still says what the photograph is of, which is
what it is there for. A live classifier sees the centre square of what the network sees, so that its
vector of a whole photograph agrees with the cached one up to the resolution.
"""

import hashlib
import json
import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2
from tqdm import tqdm

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import lightness_to_grey, rgb_to_lab, split_lab, unit_rgb
from deepcolor.data.datasets import DamagedPhotoError, PhotoSet

__all__ = ["CacheError", "VectorCache", "VectorSet", "cache_vectors", "weights_hash"]

FORMAT = "deepcolor vectors 3"  # of photographs as they are shown
VIEW = "centre square"
DAMAGED = -1  # instead of the checksum of a photograph that cannot be decoded
LISTED = 10  # names in a message
SAMPLED = 32  # photographs whose checksum is compared when a cache is opened
LONGEST_HEADER = 1 << 30  # bytes; more is no header
AGAIN = "deepcolor features makes it again"


class CacheError(ValueError):
    """A cache of vectors that is missing, damaged, stale, or made by another classifier."""


def weights_hash(features: GlobalFeatures) -> str:
    """Sha256 over a classifier's weights, names and shapes included."""
    digest = hashlib.sha256()
    for key, value in features.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class _Views(Dataset[tuple[int, Tensor]]):
    """What the classifier sees of each photograph, with the checksum of its bytes."""

    def __init__(self, photos: PhotoSet, side: int) -> None:
        self.photos = photos
        self.side = side
        self.transform = v2.Compose(
            [v2.Resize(side, antialias=True), v2.CenterCrop(side), v2.PILToTensor()]
        )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        try:
            rgb = self.transform(self.photos.picture(index, 2 * self.side))
        except DamagedPhotoError:  # training skips it: its vector, of a black picture, is not used
            return DAMAGED, torch.zeros(3, self.side, self.side, dtype=torch.uint8)
        return self.photos.checksum(index), rgb


class _Layout:
    """Where things lie in a cache: checksums, then vectors, in the order of the keys.

    Vectors come last: a cache that is not finished is the beginning of one, and its length says
    how far it is.
    """

    def __init__(self, said: dict[str, str], count: int, width: int) -> None:
        checksums, vectors = 8 * count, 2 * width * count  # bytes
        entries = {
            "__metadata__": said,
            "checksums": {"dtype": "I64", "shape": [count], "data_offsets": [0, checksums]},
            "vectors": {
                "dtype": "F16",
                "shape": [count, width],
                "data_offsets": [checksums, checksums + vectors],
            },
        }
        text = json.dumps(entries, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        self.header = struct.pack("<Q", len(text)) + text
        self.row = 2 * width
        self.checksums = len(self.header)
        self.vectors = self.checksums + checksums
        self.end = self.vectors + vectors

    def done(self, file: Path) -> int:
        """Whole vectors in an unfinished cache; 0 if it is none of this layout."""
        if not file.is_file() or file.stat().st_size < self.vectors:
            return 0
        with open(file, "rb") as opened:
            if opened.read(len(self.header)) != self.header:
                return 0
        return (file.stat().st_size - self.vectors) // self.row

    def write(self, file: BinaryIO, first: int, checksums: Tensor, vectors: Tensor) -> None:
        """Add (B,) checksums and (B, width) vectors of the photographs from number `first` on."""
        file.seek(self.checksums + 8 * first)
        file.write(checksums.to(torch.int64).numpy().astype("<i8").tobytes())
        file.seek(self.vectors + self.row * first)
        file.write(vectors.numpy().astype("<f2").tobytes())
        file.flush()


@torch.no_grad()
def cache_vectors(
    photos: PhotoSet,
    features: GlobalFeatures,
    file: str | Path,
    *,
    batch_size: int = 32,
    workers: int = 0,
    progress: bool = False,
) -> Path:
    """Compute the vector of each photograph and write the cache.

    Written beside its place, as FILE.partial, and renamed when whole. A call that was stopped, or
    that filled the disk, leaves its part, and the same call goes on from it.

    Args:
        photos: their transform is not used: the classifier sees each one's centre square.
        features: the classifier, such as `model.network.features`.
        file: to write, .safetensors.
        batch_size: photographs that the classifier sees at once.
        workers: loader processes.
        progress: show a progress bar.

    Raises:
        CacheError: if two photographs have the same key.
        OSError: if the file cannot be written; says how much was kept.
    """
    file = Path(file)
    keys = list(photos.keys)
    if len(set(keys)) != len(keys):
        raise CacheError(f"{len(keys) - len(set(keys))} photographs have the key of another one")
    said = {
        "format": FORMAT,
        "tag": features.tag,
        "view": VIEW,
        "weights": weights_hash(features),
        "keys": json.dumps(keys, ensure_ascii=False),
    }
    device = next(features.parameters()).device
    width = features(torch.zeros(1, 1, features.side, features.side, device=device)).shape[1]
    layout = _Layout(said, len(keys), width)
    partial = file.with_name(f"{file.name}.partial")
    done = layout.done(partial)
    file.parent.mkdir(parents=True, exist_ok=True)
    loader = DataLoader(
        Subset(_Views(photos, features.side), range(done, len(keys))),
        batch_size,
        num_workers=workers,
        worker_init_fn=lambda _: torch.set_num_threads(1),
    )
    try:
        with open(partial, "r+b" if done else "wb") as opened:
            if done:
                opened.truncate(layout.vectors + layout.row * done)
            else:
                opened.write(layout.header + bytes(8 * len(keys)))
            with tqdm(
                total=len(keys), initial=done, desc="vectors", unit="photo", disable=not progress
            ) as bar:
                for checksums, rgb in loader:
                    luminance, _ = split_lab(rgb_to_lab(unit_rgb(rgb.to(device))))
                    vectors = features(lightness_to_grey(luminance)).half().cpu()
                    layout.write(opened, done, checksums, vectors)
                    done += len(vectors)
                    bar.update(len(vectors))
            os.fsync(opened.fileno())
        os.replace(partial, file)
    except OSError as error:
        kept = layout.done(partial)
        raise OSError(
            f"{file}: cache not finished ({error}); {kept} of {len(keys)} vectors are kept in"
            f" {partial.name}, and the same call goes on from them"
        ) from error
    return file


class VectorCache:
    """A cache opened for reading: vectors stay on disk, and are read as they are asked for.

    Args:
        file: by `cache_vectors`.
        made_by: the classifier that the vectors must be of; its tag alone leaves the weights
            unchecked, None the tag too.

    Attributes:
        tag: of the classifier.
        weights: their hash.
        width: of the vectors.

    Raises:
        CacheError: if there is no such file, or it is no cache, damaged, or by another classifier.
    """

    def __init__(self, file: str | Path, made_by: GlobalFeatures | str | None = None) -> None:
        self.file = Path(file)
        entries, start = self._entries()
        said = entries.get("__metadata__", {})
        if said.get("format") != FORMAT:
            raise CacheError(f"{file}: no cache of vectors of this version; {AGAIN}")
        self.count, self.width = entries["vectors"]["shape"]
        self._offsets = {
            name: start + entries[name]["data_offsets"][0] for name in ("checksums", "vectors")
        }
        if self.file.stat().st_size != self._offsets["vectors"] + 2 * self.count * self.width:
            raise CacheError(f"{file}: damaged; {AGAIN}")
        self.tag, self.weights = said["tag"], said["weights"]
        self.require(made_by)
        self.rows = {key: row for row, key in enumerate(json.loads(said["keys"]))}
        self._map()

    def _entries(self) -> tuple[dict[str, Any], int]:
        """The header of the file, and where its data starts."""
        if not self.file.is_file():
            raise CacheError(f"{self.file}: no such cache of vectors; deepcolor features makes one")
        with open(self.file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            text = opened.read(length) if length < LONGEST_HEADER else b""
        try:
            return dict(json.loads(text)), 8 + length
        except (ValueError, TypeError) as error:
            raise CacheError(f"{self.file}: damaged, or no cache of vectors; {AGAIN}") from error

    def _map(self) -> None:
        shapes = {"checksums": ("<i8", (self.count,)), "vectors": ("<f2", (self.count, self.width))}
        self._maps = {
            name: np.memmap(self.file, dtype, "r", self._offsets[name], shape)
            for name, (dtype, shape) in shapes.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_maps"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()  # a spawned loader process maps the file itself

    def require(self, made_by: GlobalFeatures | str | None) -> None:
        """Refuse vectors of another classifier.

        Raises:
            CacheError: naming both.
        """
        tag = made_by.tag if isinstance(made_by, GlobalFeatures) else made_by
        if tag is not None and self.tag != tag:
            raise CacheError(
                f"{self.file} was made by another classifier or preprocessing: {self.tag};"
                f" wanted: {tag}; {AGAIN}"
            )
        if isinstance(made_by, GlobalFeatures) and self.weights != weights_hash(made_by):
            raise CacheError(f"{self.file} was made by other weights of {tag}; {AGAIN}")

    def check(self, photos: PhotoSet) -> None:
        """Refuse to serve photographs that the cache lacks, or that changed since.

        All keys are looked up, and the bytes of 32 photographs, evenly taken, compared.

        Raises:
            CacheError: naming up to ten photographs.
        """
        missing = [key for key in photos.keys if key not in self.rows]
        if missing:
            raise CacheError(
                f"{self.file} lacks {len(missing)} of {len(photos)} photographs:"
                f" {', '.join(missing[:LISTED])}{', ...' if len(missing) > LISTED else ''}; {AGAIN}"
            )
        for index in range(0, len(photos), math.ceil(len(photos) / SAMPLED)):
            key = photos.keys[index]
            kept = self._maps["checksums"][self.rows[key]]
            if kept != DAMAGED and photos.checksum(index) != kept:
                raise CacheError(f"{self.file} is stale: {key} has changed since; {AGAIN}")

    def vector(self, key: str) -> Tensor:
        """The vector of the photograph of that key: (width,) float16."""
        return torch.from_numpy(np.array(self._maps["vectors"][self.rows[key]]))


class VectorSet(Dataset[tuple[Tensor, Tensor]]):
    """Photographs with their cached vectors: (rgb, vector), the batches that models take.

    Args:
        photos: with any transform.
        file: the cache.
        made_by: as for `VectorCache`.

    Raises:
        CacheError: if the cache is missing, damaged, stale, by another classifier or weights, or
            lacks a photograph.
    """

    def __init__(
        self, photos: PhotoSet, file: str | Path, made_by: GlobalFeatures | str | None
    ) -> None:
        self.cache = VectorCache(file, made_by)
        self.cache.check(photos)
        self.photos = photos

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.photos[index], self.cache.vector(self.photos.keys[index])
