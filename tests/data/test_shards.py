import io
import tarfile

import pytest
import torch

from deepcolor.data import open_photos
from deepcolor.data.shards import photographs, split_key


def shard(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def jpegs(photo_folder):
    return [path.read_bytes() for path in sorted(photo_folder.rglob("*.jpg"))]


def test_a_webdataset_sample_is_one_photograph(tmp_path, jpegs):
    path = shard(
        tmp_path / "shard-000.tar",
        {
            "a/0001.jpg": jpegs[0],
            "a/0001.cls": b"3",
            "a/0001.txt": b"a cat",
            "a/0001.json": b"{}",
            "a/0001.mask.png": jpegs[1],
            "b/0001.PNG": jpegs[2],  # another folder, another key
            "b/0001.depth.tif": jpegs[3],
            "0002.seg.png": jpegs[4],  # no plain picture of its key: the photograph itself
        },
    )
    photos = open_photos(path)
    names = ("a/0001.jpg", "b/0001.PNG", "0002.seg.png")
    assert photos.keys == [f"shard-000.tar:{name}" for name in names]
    assert photos[0].shape == photos[1].shape == (3, 160, 200)


def test_dots_in_names_alone_hide_no_photograph():
    names = [
        "cat.0.jpg",
        "cat.1.jpg",
        "dog.0.jpg",
        "x/holiday.2019.05.jpg",
        "x/holiday.2020.01.jpg",
    ]
    assert photographs(names) == names


def test_of_one_key_in_two_formats_one_is_taken():
    assert photographs(["1.png", "1.jpg", "2.webp"]) == ["1.jpg", "2.webp"]


def test_the_key_ends_at_the_first_dot_of_the_name():
    assert split_key("a.b/0001.mask.png") == ("a.b/0001", ".mask.png")


def test_folders_links_and_hidden_members_are_no_photographs(tmp_path, jpegs):
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere.jpg"
        archive.addfile(link)
        for name in ("._0001.jpg", "0001.jpg"):  # the first is a Mac's
            member = tarfile.TarInfo(name)
            member.size = len(jpegs[0])
            archive.addfile(member, io.BytesIO(jpegs[0]))
    assert open_photos(path).keys == ["odd.tar:0001.jpg"]


@pytest.mark.parametrize(("name", "mode"), [("cut.tar", "w"), ("cut.tar.gz", "w:gz")])
def test_an_archive_that_ends_too_early_gives_what_can_be_read(tmp_path, jpegs, name, mode):
    path = shard(tmp_path / name, {f"{i}.jpg": blob for i, blob in enumerate(jpegs)}, mode)
    whole = list(open_photos(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match=rf"{name} is damaged: .* pictures before that are used"):
        photos = open_photos(path)
    assert 2 <= len(photos) < len(whole)
    assert torch.equal(photos[0], whole[0])


def test_what_is_no_archive_is_refused_by_name(tmp_path):
    (tmp_path / "no.tar").write_bytes(b"not at all" * 100)
    with (
        pytest.warns(UserWarning, match=r"no\.tar is damaged"),
        pytest.raises(ValueError, match=r"no photographs in .*no\.tar"),
    ):
        open_photos(tmp_path / "no.tar")
