import errno
import pickle
from collections.abc import Callable

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from deepcolor.batch import Batch
from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import CacheError, VectorCache, VectorSet, cache_vectors, open_photos
from deepcolor.data.features import _Layout, weights_hash
from deepcolor.models import GlobalVectorColorizer
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
    terms = model.terms(Batch.of([rgb, vectors]))
    assert torch.equal(terms["mse"], model.loss(luminance, ab, vectors)["mse"])


@torch.no_grad()
def test_a_live_vector_is_of_the_centre_square_as_a_cached_one(photo_folder, features, cache):
    wide = open_photos(photo_folder)
    kept = VectorCache(cache)
    model: GlobalVectorColorizer = Koalarization(features="given")
    model.network.features = features
    for index in (0, 7):
        rgb = wide[index]
        assert rgb.shape == (3, 160, 200)
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(rgb[None])))
        live, cached = model.global_vector(luminance)[0], kept.vector(wide.keys[index]).float()
        assert (live - cached).norm() < 0.02 * cached.norm()
        tall, _ = split_lab(rgb_to_lab(unit_rgb(rgb.mT[None])))
        other = model.global_vector(tall.mT)[0]
        assert torch.allclose(other, live, atol=1e-4)


def test_vectors_follow_their_photographs(photos, features, cache, photo_folder):
    before = VectorSet(photos, cache, features)[photos.keys.index("cat/02.jpg")][1]
    (photo_folder / "cat" / "00.jpg").unlink()  # all those after it have other numbers now
    some = open_photos(photo_folder.rename(photo_folder.with_name("moved")), UPRIGHT)
    pictures = VectorSet(some, cache, features.tag)
    assert torch.equal(pictures[some.keys.index("cat/02.jpg")][1], before)


def test_a_cache_is_a_typed_file_that_others_can_read(photos, features, cache):
    with safe_open(cache, "pt") as opened:
        assert opened.metadata()["tag"] == features.tag
        assert opened.metadata()["weights"] == weights_hash(features)
        vectors = opened.get_tensor("vectors")
    mine = VectorCache(cache, features)
    assert all(torch.equal(mine.vector(k), v) for k, v in zip(photos.keys, vectors, strict=True))


def test_vectors_stay_on_disk_and_out_of_pickles(photos, features, cache):
    pictures = VectorSet(photos, cache, features)
    assert len(pickle.dumps(pictures.cache)) < 4000  # 12 vectors of 1000 halves are 24,000 bytes
    again = pickle.loads(pickle.dumps(pictures))
    assert torch.equal(again[3][1], pictures[3][1])
    loaded = [vectors for _, vectors in DataLoader(pictures, 4, num_workers=2)]
    assert torch.equal(torch.cat(loaded)[3], pictures[3][1])


def stop_after(features: GlobalFeatures, batches: int) -> Callable[[], list[int]]:
    """Make a classifier fail after some batches; what is returned undoes it, and gives their sizes.

    The first call, of one picture, asks for the width alone.
    """
    seen: list[int] = []

    def hook(module, args):
        seen.append(len(args[0]))
        if len(seen) > 1 + batches:
            raise KeyboardInterrupt

    handle = features.register_forward_pre_hook(hook)

    def undo() -> list[int]:
        handle.remove()
        return seen

    return undo


def test_an_interrupted_cache_goes_on_where_it_stopped(photos, features, cache, tmp_path):
    other, partial = tmp_path / "o.safetensors", tmp_path / "o.safetensors.partial"
    undo = stop_after(features, 2)
    with pytest.raises(KeyboardInterrupt):
        cache_vectors(photos, features, other, batch_size=3)
    undo()
    assert not other.exists()
    with open(partial, "ab") as file:
        file.write(b"half a vector")
    undo = stop_after(features, 99)
    cache_vectors(photos, features, other, batch_size=3)
    assert undo() == [1, 3, 3]  # 6 of 12 were there
    assert not partial.exists()
    mine, whole = VectorCache(other, features), VectorCache(cache, features)
    mine.check(photos)
    for key in photos.keys:  # batches of 3 and of 12 may round differently
        assert torch.allclose(mine.vector(key), whole.vector(key), rtol=2e-3, atol=2e-3)


def test_the_part_of_another_cache_is_not_gone_on_with(photos, features, tmp_path):
    other = tmp_path / "other.safetensors"
    undo = stop_after(features, 2)
    with pytest.raises(KeyboardInterrupt):
        cache_vectors(photos, features, other, batch_size=3)
    undo()
    with torch.no_grad():
        next(features.parameters())[0] += 1
    undo = stop_after(features, 99)
    cache_vectors(photos, features, other, batch_size=3)
    assert undo() == [1, 3, 3, 3, 3]
    VectorSet(photos, other, features)


def test_a_full_disk_leaves_the_old_cache_and_the_new_part(photos, features, cache, monkeypatch):
    old = cache.read_bytes()
    with torch.no_grad():
        next(features.parameters())[0] += 1  # so that there is something to make anew
    write = _Layout.write

    def full(self, file, first, checksums, vectors):
        if first >= 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, file, first, checksums, vectors)

    monkeypatch.setattr(_Layout, "write", full)
    with pytest.raises(OSError, match=r"No space left.*6 of 12 vectors are kept in"):
        cache_vectors(photos, features, cache, batch_size=3)
    assert cache.read_bytes() == old
    monkeypatch.undo()
    undo = stop_after(features, 99)
    cache_vectors(photos, features, cache, batch_size=3)
    assert undo() == [1, 3, 3]
    VectorSet(photos, cache, features)


def test_a_photograph_that_changed_makes_the_cache_stale(photos, features, cache, photo_folder):
    cats = photo_folder / "cat"
    (cats / "02.jpg").write_bytes((cats / "04.jpg").read_bytes())
    with pytest.raises(CacheError, match=r"stale: cat/02\.jpg has changed"):
        VectorSet(photos, cache, features)


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
    with pytest.raises(CacheError, match="no such cache of vectors; deepcolor features makes one"):
        VectorSet(photos, tmp_path / "none.safetensors", features)
    other = tmp_path / "other.safetensors"
    save_file({"vectors": torch.zeros(2, 3)}, other)
    with pytest.raises(ValueError, match="no cache of vectors"):
        VectorSet(photos, other, features)
    other.write_bytes(cache.read_bytes()[:1000])
    with pytest.raises(CacheError, match="damaged"):
        VectorSet(photos, other, features)
    other.write_bytes(cache.read_bytes()[:-1])
    with pytest.raises(CacheError, match="damaged"):
        VectorSet(photos, other, features)
    photos.keys[3] = "elsewhere.jpg"
    with pytest.raises(CacheError, match=r"lacks 1 of 12 photographs: elsewhere\.jpg"):
        VectorSet(photos, cache, features)
