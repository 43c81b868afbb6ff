import pickle
import tarfile

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from deepcolor.data import PhotoFolder, TarPhotos, open_photos


@pytest.fixture
def archives(photo_folder, tmp_path):
    """The same photographs as a plain and as a compressed tar."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for source, name, mode in (("cat", "cat.tar", "w"), ("coffee", "coffee.tar.gz", "w:gz")):
        with tarfile.open(folder / name, mode) as archive:
            archive.add(photo_folder / source, arcname=source)
    return folder


def test_a_folder_gives_all_photographs_as_rgb_bytes(photo_folder):
    photos = open_photos(photo_folder)
    assert isinstance(photos, PhotoFolder)
    assert len(photos) == 12
    assert photos[0].shape == (3, 160, 200)
    assert photos[0].dtype == torch.uint8
    assert set(photos.sources) == {"cat", "coffee"}


def test_tar_shards_give_the_same_photographs_as_the_folder(photo_folder, archives):
    folder, shards = open_photos(photo_folder), open_photos(archives)
    assert isinstance(shards, TarPhotos)
    assert shards.sources == folder.sources
    assert all(torch.equal(a, b) for a, b in zip(folder, shards, strict=True))


def test_one_archive_is_enough(archives):
    assert len(open_photos(archives / "cat.tar")) == 6


def test_shards_are_read_the_same_in_workers(archives):
    photos = open_photos(archives)
    photos[0]  # opens files in this process first
    alone = list(photos)
    loaded = [batch[0] for batch in DataLoader(photos, 1, num_workers=2)]
    assert all(torch.equal(a, b) for a, b in zip(alone, loaded, strict=True))


def test_shards_can_be_pickled_for_spawned_workers(archives):
    photos = open_photos(archives)
    photos[0]
    again = pickle.loads(pickle.dumps(photos))
    assert torch.equal(again[3], photos[3])


def test_grey_and_transparent_photographs_become_rgb(tmp_path):
    Image.new("L", (8, 8), 100).save(tmp_path / "grey.png")
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    assert [p.shape for p in open_photos(tmp_path)] == [(3, 8, 8)] * 2


def test_a_damaged_photograph_is_named(photo_folder):
    victim = photo_folder / "cat" / "00.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"cat.00\.jpg"):
        list(open_photos(photo_folder))


def test_places_without_photographs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_photos(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no photographs below.*\.jpg"):
        open_photos(tmp_path)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match=r"empty\.tar"):
        open_photos(tmp_path / "empty.tar")
