import io
import os
import pickle
import tarfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from deepcolor.data import DamagedPhotoError, PhotoFolder, PhotoSet, TarPhotos, open_photos


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


def test_a_flat_folder_is_one_source_and_hidden_files_do_not_count(photo_folder):
    (photo_folder / "cat" / "._00.jpg").write_bytes(b"a Mac's")
    (photo_folder / "cat" / "notes.txt").write_text("none")
    (photo_folder / "cat" / "folder.jpg").mkdir()
    photos = open_photos(photo_folder / "cat")
    assert photos.keys == [f"{number:02}.jpg" for number in range(0, 12, 2)]
    assert set(photos.sources) == {"cat"}


def test_a_list_names_photographs_beside_it_or_anywhere(photo_folder, tmp_path):
    far = photo_folder / "coffee" / "03.jpg"
    (tmp_path / "list.txt").write_text(f"photos/cat/02.jpg\n\n{far}\r\nphotos/cat/00.jpg\n")
    photos = open_photos(tmp_path / "list.txt")
    assert [Path(name).name for name in photos.names] == ["02.jpg", "03.jpg", "00.jpg"]
    assert torch.equal(photos[2], open_photos(photo_folder)[0])


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"cat/00.jpg\ncat/77.jpg\n", FileNotFoundError, r"names 1 .* not there, of 2: .*77\.jpg"),
        (b"cat/00.jpg\ncat/00.jpg", ValueError, r"names 1 photographs twice: cat/00\.jpg"),
        (b" \n\n", ValueError, "an empty list"),
        (b"\xff\xfe\x00", ValueError, "no list of photographs, which is text"),
    ],
)
def test_lists_with_mistakes_are_refused(photo_folder, content, error, said):
    (photo_folder / "list.txt").write_bytes(content)
    with pytest.raises(error, match=said):
        open_photos(photo_folder / "list.txt")


def test_photographs_come_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), "red").save(tmp_path / "side.jpg", exif=exif)
    assert open_photos(tmp_path)[0].shape == (3, 30, 20)


def test_large_jpegs_are_decoded_no_smaller_than_asked_for(tmp_path):
    Image.new("RGB", (1200, 800), "red").save(tmp_path / "large.jpg")
    photos = open_photos(tmp_path)
    assert photos.picture(0).size == (1200, 800)
    assert photos.picture(0, least=200).size == (300, 200)
    assert photos.picture(0, least=201).size == (600, 400)


@given(st.binary(max_size=400), st.integers(0, 3000), st.integers(0, 255))
@settings(max_examples=80, deadline=None)
def test_whatever_bytes_a_file_holds_only_damage_is_told(tail, place, value):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(buffer, "PNG" if value % 2 else "JPEG")
    blob = bytearray(buffer.getvalue() + tail)
    blob[place % len(blob)] = value

    class One(PhotoSet):
        def read(self, index):
            return bytes(blob)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damage that it gets over
        try:
            picture = One(["it"], ["here"], None).picture(0, 16)
        except DamagedPhotoError:
            return
    assert picture.mode == "RGB"


def test_places_without_photographs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_photos(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no photographs below.*\.jpg"):
        open_photos(tmp_path)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match=r"empty\.tar"):
        open_photos(tmp_path / "empty.tar")


@pytest.mark.timeout(60)
def test_a_pipe_among_the_photographs_is_damage_and_no_wait(photo_folder):
    os.mkfifo(photo_folder / "cat" / "pipe.jpg")
    photos = PhotoFolder(photo_folder)
    (index,) = [number for number, name in enumerate(photos.names) if name.endswith("pipe.jpg")]
    with pytest.raises(DamagedPhotoError, match=r"pipe\.jpg .*is a named pipe, not a file"):
        photos.picture(index)


def test_opening_a_set_leaves_the_transform_that_its_owner_gave_it(photo_folder, archives):
    for own in (open_photos(photo_folder), open_photos(archives)):
        other = open_photos(own, transform=lambda image: image.size)
        assert other[0] == (200, 160)
        assert torch.is_tensor(own[0])
        assert open_photos(own) is own
        assert open_photos(other)[0] == (200, 160)


def test_archives_are_closed_when_nobody_reads_them_any_more(archives):
    photos = open_photos(archives / "cat.tar")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(photos.read, [0, 1, 2, 3, 4, 5] * 8))
    (opened,) = photos._files.values()
    os.fstat(opened)
    photos.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)
    photos.read(0)
    (opened,) = photos._files.values()
    del photos
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)
