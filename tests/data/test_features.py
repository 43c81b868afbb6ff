import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import VectorSet, cache_vectors, open_photos
from deepcolor.models.families import GlobalVectorColorizer
from deepcolor.models.koalarization import Koalarization

UPRIGHT = v2.Compose([v2.Resize(64), v2.CenterCrop(64), v2.PILToTensor()])


def classifier(mean: float = 0.5) -> GlobalFeatures:
    """A small stand-in: what a cache holds does not depend on which classifier it is."""
    return GlobalFeatures("resnet10t", 64, "logits", (mean,) * 3, classes=1000)


@pytest.fixture
def photos(photo_folder):
    return open_photos(photo_folder, UPRIGHT)


@pytest.fixture
def features():
    torch.manual_seed(0)
    return classifier()


@pytest.fixture
def cache(photos, features, tmp_path):
    return cache_vectors(photos, features, tmp_path / "vectors.safetensors")


def test_cached_vectors_are_those_of_the_live_classifier(photos, features, cache):
    model: GlobalVectorColorizer = Koalarization(features="given")
    pictures = VectorSet(photos, cache, features)
    assert len(pictures) == len(photos)
    rgb, vectors = next(iter(DataLoader(pictures, batch_size=4)))
    model.network.features = features
    luminance, ab = split_lab(rgb_to_lab(unit_rgb(rgb)))
    live = model.global_vector(luminance)
    assert vectors.dtype == torch.float16
    assert (vectors.float() - live).abs().max() < 2e-3 * live.abs().max()  # float16
    extras = model.loss_extras([rgb, vectors])
    assert torch.isfinite(model.loss(luminance, ab, **extras)["mse"])


def test_vectors_follow_their_photographs(photos, features, cache, photo_folder):
    some = open_photos(photo_folder / "cat", UPRIGHT)
    pictures = VectorSet(some, cache, features.tag)
    row = photos.names.index(some.names[2])
    assert torch.equal(pictures[2][1], VectorSet(photos, cache, features)[row][1])


def test_a_cache_made_otherwise_is_refused(photos, features, cache):
    with pytest.raises(ValueError, match=r"another classifier or preprocessing: resnet10t.*0\.5"):
        VectorSet(photos, cache, classifier(mean=0.4))
    with pytest.raises(ValueError, match="another classifier or preprocessing"):
        VectorSet(photos, cache, "inception_resnet_v2 logits 299")
    with torch.no_grad():
        next(features.parameters())[0] += 1
    with pytest.raises(ValueError, match="made by other weights of resnet10t"):
        VectorSet(photos, cache, features)


def test_what_is_no_cache_of_these_photographs_is_refused(photos, cache, features, tmp_path):
    with pytest.raises(FileNotFoundError, match="cache_vectors makes one"):
        VectorSet(photos, tmp_path / "none.safetensors", features)
    other = tmp_path / "other.safetensors"
    save_file({"vectors": torch.zeros(2, 3)}, other)
    with pytest.raises(ValueError, match="no cache of vectors"):
        VectorSet(photos, other, features)
    other.write_bytes(cache.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        VectorSet(photos, other, features)
    photos.names[3] = "elsewhere.jpg"
    with pytest.raises(ValueError, match=r"lacks 1 of 12 photographs: elsewhere\.jpg"):
        VectorSet(photos, cache, features)
