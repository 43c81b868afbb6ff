import pickle

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image
from torch.utils.data import DataLoader

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.data import (
    CacheError,
    ColorizationDataModule,
    LabPairs,
    VectorCache,
    cache_vectors,
    open_photos,
)
from deepcolor.evaluation.photos import find_photographs, read_rgb

SIDE = 48
COUNTS = (5, 4, 3)


def pictures() -> np.ndarray:
    """Crops of three photographs, (12, SIDE, SIDE, 3) uint8."""
    photos = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    crops = []
    for number in range(sum(COUNTS)):
        photo = photos[number % 3]
        top = 10 * number
        crop = Image.fromarray(photo[top : top + 180, 2 * top : 2 * top + 180])
        crops.append(np.asarray(crop.resize((SIDE, SIDE))))
    return np.stack(crops)


def write(root, rgb, counts=COUNTS, folder="ab/ab"):
    """As the published files were made: CIELAB in the scaling that OpenCV documents for bytes."""
    scaled = skimage.color.rgb2lab(rgb) * (255 / 100, 1, 1) + (0, 128, 128)
    lab = scaled.round().clip(0, 255).astype(np.uint8)
    (root / "l").mkdir(parents=True)
    (root / folder).mkdir(parents=True)
    np.save(root / "l" / "gray_scale.npy", lab[..., 0])
    for number, rows in enumerate(np.split(lab[..., 1:], np.cumsum(counts)[:-1]), start=1):
        np.save(root / folder / f"ab{number}.npy", rows)
    return root


@pytest.fixture
def pairs(tmp_path):
    return write(tmp_path / "pairs", pictures())


def test_pairs_give_the_photographs_that_they_were_made_of(pairs):
    photos = open_photos(pairs)
    assert isinstance(photos, LabPairs)
    assert len(photos) == 12
    assert photos.sources == ["ab1"] * 5 + ["ab2"] * 4 + ["ab3"] * 3
    found = np.stack([np.asarray(photos.picture(i)) for i in range(12)]).astype(int)
    error = np.abs(found - pictures())
    assert error.mean() < 1.5  # Lab in bytes: a step of a or b is about a step of RGB
    assert np.percentile(error, 99) <= 5


def test_pairs_come_smaller_where_that_is_enough(pairs):
    photos = open_photos(pairs)
    assert photos.picture(0, least=48).size == photos.picture(0, least=25).size == (48, 48)
    small = photos.picture(0, least=12)
    assert small.size == (12, 12)
    wanted = photos.picture(0).resize((12, 12), Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(wanted)).mean() < 3


def test_nothing_is_read_before_it_is_drawn(pairs):
    photos = open_photos(pairs)
    assert all(isinstance(array, np.memmap) for array in (photos.lightness, *photos.chroma))
    assert len(pickle.dumps(photos)) < 10_000


def test_pairs_can_be_drawn_in_workers_and_batches(pairs):
    photos = open_photos(pairs)
    loaded = torch.cat(list(DataLoader(photos, 4, num_workers=2)))
    assert torch.equal(loaded, torch.stack(list(photos)))
    data = ColorizationDataModule(pairs, size=32, batch_size=3, workers=0, grey_below=1)
    data.setup()
    assert next(iter(data.train_dataloader())).shape == (3, 3, 32, 32)


def test_chroma_files_follow_their_numbers(tmp_path):
    root = write(tmp_path, pictures(), [1] * 12)
    assert open_photos(root).sources == [f"ab{n}" for n in range(1, 13)]


def test_chroma_may_lie_in_a_folder_of_its_own(pairs, tmp_path):
    plain = open_photos(write(tmp_path / "plain", pictures(), folder="ab"))
    published = open_photos(pairs)
    assert plain.sources == published.sources
    assert all(torch.equal(a, b) for a, b in zip(plain, published, strict=True))


@pytest.mark.parametrize(
    ("kept", "rows"),
    [
        ((1,), range(5)),
        ((1, 2), range(10)),
        ((2,), range(5, 10)),
        ((3,), range(10, 12)),
        ((2, 3), range(5, 12)),
        ((1, 3), [*range(5), *range(10, 12)]),
    ],
)
def test_some_of_the_chroma_gives_its_own_pictures(tmp_path, kept, rows):
    root = write(tmp_path, pictures(), (5, 5, 2))  # in proportion, the published 10, 10 and 5
    whole = open_photos(root)
    for number in {1, 2, 3} - set(kept):
        (root / "ab" / "ab" / f"ab{number}.npy").unlink()
    with pytest.warns(UserWarning, match=rf"chroma of {len(rows)} of 12 pictures .*only those"):
        some = open_photos(root)
    assert some.keys == [str(row) for row in rows]
    assert all(torch.equal(some[i], whole[row]) for i, row in enumerate(rows))


def test_more_chroma_than_lightness_is_refused(pairs):
    file = pairs / "l" / "gray_scale.npy"
    np.save(file, np.load(file)[:8])
    with pytest.raises(ValueError, match=r"has 8 pictures, the chroma 12 \(ab1.npy 5, ab2.npy 4,"):
        open_photos(pairs)


def test_luma_in_place_of_lightness_is_refused(pairs):
    luma = (pictures() @ (0.299, 0.587, 0.114)).round().astype(np.uint8)
    np.save(pairs / "l" / "gray_scale.npy", luma)
    with pytest.raises(ValueError, match=r"do not come back from sRGB .*or with luma"):
        open_photos(pairs)


def test_a_little_luma_in_place_of_lightness_is_refused(tmp_path):
    rgb = pictures()
    rgb[:-1] = rgb[:-1].mean(-1, keepdims=True).round()  # of few pictures that have colour
    root = write(tmp_path, rgb)
    luma = (rgb @ (0.299, 0.587, 0.114)).round().astype(np.uint8)
    np.save(root / "l" / "gray_scale.npy", luma)
    with pytest.raises(ValueError, match=r"do not come back from sRGB"):
        open_photos(root)


def test_rounding_otherwise_is_no_reason_to_refuse(pairs):
    for file in (pairs / "l" / "gray_scale.npy", *(pairs / "ab" / "ab").iterdir()):
        array = np.load(file)
        noise = np.random.default_rng(0).integers(-1, 2, array.shape)
        np.save(file, (array + noise).clip(0, 255).astype(np.uint8))
    assert len(open_photos(pairs)) == 12


def test_what_reads_files_reads_pairs_as_pictures(pairs, tmp_path):
    photos = open_photos(pairs)
    found = find_photographs([pairs])
    assert [photo.name for photo in found][:3] == ["row 0", "row 1", "row 10"]
    rgb = read_rgb(found[2].read(), found[2].name)
    assert torch.equal(rgb, photos[10])
    features = GlobalFeatures("resnet10t", 64, "logits", (0.5,) * 3)
    file = cache_vectors(photos, features, tmp_path / "vectors.safetensors")
    cache = VectorCache(file)
    cache.check(photos)
    chroma = np.load(pairs / "ab" / "ab" / "ab1.npy")
    chroma[0, 0, 0, 0] ^= 1
    np.save(pairs / "ab" / "ab" / "ab1.npy", chroma)
    with pytest.raises(CacheError, match="is stale: 0 has changed"):
        cache.check(open_photos(pairs))


@pytest.mark.parametrize("part", [1, 2, 3])
def test_chroma_of_other_pictures_is_refused(pairs, part):
    file = pairs / "ab" / "ab" / f"ab{part}.npy"
    np.save(file, np.roll(np.load(file), 1, axis=0))
    with pytest.raises(ValueError, match=rf"ab{part}\.npy: the halves do not match: [\d.]+ %"):
        open_photos(pairs)


def test_chroma_in_another_scaling_is_refused(pairs):
    file = pairs / "ab" / "ab" / "ab1.npy"
    np.save(file, np.load(file)[..., ::-1])  # b before a
    with pytest.raises(ValueError, match="a before b"):
        open_photos(pairs)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("l/gray_scale.npy", lambda x: x[..., None], r"must be \(N, H, W\) uint8, got \(12, 48"),
        ("l/gray_scale.npy", lambda x: x / 255, r"must be \(N, H, W\) uint8, got .* float64"),
        ("l/gray_scale.npy", lambda x: x[:, :40], r"of \(40, 48\): wanted \(40, 48, 2\)"),
        ("ab/ab/ab1.npy", lambda x: x[..., :1], r"must be \(N, H, W, 2\) uint8"),
        ("ab/ab/ab1.npy", lambda x: x.astype(np.float32), r"must be \(N, H, W, 2\) uint8"),
        ("ab/ab/ab2.npy", lambda x: x.transpose(0, 3, 1, 2), r"must be \(N, H, W, 2\) uint8"),
    ],
)
def test_other_shapes_and_types_are_refused(pairs, file, change, said):
    np.save(pairs / file, change(np.load(pairs / file)))
    with pytest.raises(ValueError, match=said):
        open_photos(pairs)


def test_missing_and_damaged_files_are_refused(pairs):
    (pairs / "ab" / "ab" / "ab1.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"ab1\.npy: no NumPy file"):
        open_photos(pairs)


def test_one_half_alone_says_what_is_missing(pairs):
    (pairs / "l" / "gray_scale.npy").rename(pairs / "away.npy")
    with pytest.raises(FileNotFoundError, match=r"ab1\.npy has no other half .*: l/gray_scale.npy"):
        open_photos(pairs)
    (pairs / "away.npy").rename(pairs / "l" / "gray_scale.npy")
    for file in (pairs / "ab" / "ab").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"gray_scale\.npy has no .* wanted: ab/ab/ab1.npy"):
        open_photos(pairs)


def test_empty_arrays_are_refused(tmp_path):
    root = tmp_path / "empty"
    (root / "l").mkdir(parents=True)
    (root / "ab").mkdir()
    np.save(root / "l" / "gray_scale.npy", np.zeros((0, 8, 8), np.uint8))
    np.save(root / "ab" / "ab1.npy", np.zeros((0, 8, 8, 2), np.uint8))
    with pytest.raises(ValueError, match="hold no pictures"):
        open_photos(root)
