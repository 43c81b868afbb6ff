"""One part of a split as a data set: decoded, transformed, never stopped by a damaged file."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deepcolor.data.augment import seeded
from deepcolor.data.clips import ClipMaker, Clips
from deepcolor.data.datasets import DamagedPhotoError, PhotoSet, Transform
from deepcolor.data.degrade import Degradations, Degraded
from deepcolor.data.features import VectorCache
from deepcolor.data.sampling import Draw

__all__ = ["PhotoPart"]

LONGEST_RUN = 100  # damaged photographs in a row, drawn at random: more say that all are


Item: TypeAlias = Tensor | Clips | Degraded | tuple[Tensor, Tensor] | tuple[Tensor, int]


class PhotoPart(Dataset[Item]):
    """Some photographs of a source, by place; what is random about one follows from its draw.

    A photograph that cannot be decoded is noted in `damaged`, and another of the part is given in
    its place, chosen by the draw's seed: batches stay full and runs stay reproducible.

    Args:
        photos: the source.
        indices: the numbers of the part's photographs in it.
        transform: from the RGB PIL image to (3, H, W) uint8.
        damaged: (len(photos),) uint8 in shared memory, in which workers note what they skip.
        least: side in pixels below which photographs are not decoded smaller.
        degradations: of what the network sees; None gives the photograph alone.
        vectors: of the photographs; with it an item is (rgb, vector).
        labels: one a photograph of the source; with them an item is (rgb, label).
        clips: makes clips of photographs; of films, an item is (T, 3, H, W).
    """

    def __init__(
        self,
        photos: PhotoSet,
        indices: Sequence[int],
        transform: Transform,
        damaged: Tensor,
        least: int | None = None,
        degradations: Degradations | None = None,
        vectors: VectorCache | None = None,
        labels: Sequence[int] | None = None,
        clips: ClipMaker | None = None,
    ) -> None:
        self.photos = photos
        self.indices = list(indices)
        self.transform = transform
        self.damaged = damaged
        self.least = least
        self.degradations = degradations
        self.vectors = vectors
        self.labels = labels
        self.clips = clips

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, draw: Draw | int) -> Item:
        """The picture of a draw of `EpochSampler`; a plain place is its own seed.

        Raises:
            DamagedPhotoError: if a hundred photographs in a row cannot be decoded.
        """
        place, seed = draw if isinstance(draw, tuple) else (draw, draw)
        if not 0 <= place < len(self.indices):
            raise IndexError(f"place {place} of {len(self.indices)}")
        with seeded(seed):
            index, frames = self._readable(place)
            if self.clips is not None and len(frames) == 1:
                _, others = self._readable(int(torch.randint(len(self.indices), ())))
                return self.clips(frames[0], others[0])
            if self.clips is not None:
                return self._film(frames, seed)
            rgb: Tensor = self.transform(frames[0])
            if self.vectors is not None:
                return rgb, self.vectors.vector(self.photos.keys[index])
            if self.labels is not None:
                return rgb, self.labels[index]
            return rgb if self.degradations is None else Degraded(rgb, self.degradations(rgb))

    def name(self, place: int) -> str | None:
        """The photograph at a place; None if another was given for it, being damaged."""
        index = self.indices[place]
        return None if self.damaged[index] else self.photos.names[index]

    def _film(self, frames: Sequence[Image.Image], seed: int) -> Tensor:
        """Frames of a film, cropped, turned and mirrored alike: (T, 3, H, W)."""
        alike = []
        for frame in frames:
            with seeded(seed):
                alike.append(self.transform(frame))
        return torch.stack(alike)

    def _readable(self, place: int) -> tuple[int, list[Image.Image]]:
        """The photograph or film at a place, or another one, with its number in the source."""
        last: DamagedPhotoError | None = None
        for _ in range(LONGEST_RUN):
            index = self.indices[place]
            try:
                if self.clips is not None:
                    return index, self.photos.stretch(index, self.least)
                return index, [self.photos.picture(index, self.least)]
            except DamagedPhotoError as error:
                self.damaged[index] = 1
                last = error
                place = int(torch.randint(len(self.indices), ()))
        raise DamagedPhotoError(
            f"{LONGEST_RUN} photographs in a row cannot be decoded; the last: {last}"
        )
