"""Global vectors of photographs, computed once and kept in a file beside them.

A frozen classifier says the same of a picture in each epoch, at more cost than the network that is
trained on it. A cache is one .safetensors file: float16 vectors, the names of the photographs, and
how they were made, so that vectors of another backbone, preprocessing or weights are refused.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import lightness_to_grey, rgb_to_lab, split_lab, unit_rgb
from deepcolor.data.datasets import PhotoSet

__all__ = ["VectorSet", "cache_vectors", "weights_hash"]

FORMAT = "deepcolor vectors 1"
LISTED = 10  # names in a message


def weights_hash(features: GlobalFeatures) -> str:
    """Sha256 over a classifier's weights, names and shapes included."""
    digest = hashlib.sha256()
    for key, value in features.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def cache_vectors(photos: PhotoSet, features: GlobalFeatures, file: str | Path) -> Path:
    """Compute the vector of each photograph and write the cache.

    Args:
        photos: transformed as for training, and always alike: a random crop would show the
            network another picture than the classifier saw.
        features: the classifier, such as `model.network.features`.
        file: to write, .safetensors.
    """
    device = next(features.parameters()).device
    vectors = []
    for index in range(len(photos)):
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(photos[index][None].to(device))))
        vectors.append(features(lightness_to_grey(luminance)).half().cpu())
    said = {
        "format": FORMAT,
        "tag": features.tag,
        "weights": weights_hash(features),
        "names": json.dumps(photos.names),
    }
    save_file({"vectors": torch.cat(vectors)}, file, said)
    return Path(file)


class VectorSet(Dataset[tuple[Tensor, Tensor]]):
    """Photographs with their cached vectors: (rgb, vector), the batches that models take.

    Args:
        photos: with the transform that the cache was made with.
        file: the cache.
        made_by: the classifier that the vectors must be of; its tag alone (`features.tag`) leaves
            the weights unchecked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no cache, was made by another backbone, preprocessing or weights, or
            lacks a photograph.
    """

    def __init__(self, photos: PhotoSet, file: str | Path, made_by: GlobalFeatures | str) -> None:
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file}: no such cache of vectors; cache_vectors makes one")
        try:
            with safe_open(file, "pt") as opened:
                said = opened.metadata() or {}
                if said.get("format") != FORMAT:
                    raise ValueError(f"{file}: no cache of vectors; cache_vectors makes one")
                vectors = opened.get_tensor("vectors")
        except SafetensorError as error:
            raise ValueError(f"{file}: damaged; make the cache again") from error
        tag = made_by if isinstance(made_by, str) else made_by.tag
        if said["tag"] != tag:
            raise ValueError(
                f"{file} was made by another classifier or preprocessing: {said['tag']};"
                f" wanted: {tag}; make the cache again"
            )
        if isinstance(made_by, GlobalFeatures) and said["weights"] != weights_hash(made_by):
            raise ValueError(f"{file} was made by other weights of {tag}; make the cache again")
        rows = {name: row for row, name in enumerate(json.loads(said["names"]))}
        missing = [name for name in photos.names if name not in rows]
        if missing:
            raise ValueError(
                f"{file} lacks {len(missing)} of {len(photos)} photographs:"
                f" {', '.join(missing[:LISTED])}{', ...' if len(missing) > LISTED else ''}"
            )
        self.photos = photos
        self.vectors = vectors[[rows[name] for name in photos.names]]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.photos[index], self.vectors[index]
