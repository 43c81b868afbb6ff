import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcolor.data import open_photos
from deepcolor.data.splits import listed_split, seeded_split

SHARES = st.tuples(st.floats(0.05, 10), st.floats(0.05, 10), st.sampled_from([0, 0.3, 5]))


@given(st.integers(1, 500), SHARES, st.integers(0, 2**31))
def test_parts_are_disjoint_complete_and_not_empty(count, shares, seed):
    wanted = [max(1, round(count * share / sum(shares))) if share else 0 for share in shares[1:]]
    if sum(wanted) >= count:  # nothing left to train on: few photographs, or a tiny first share
        with pytest.raises(ValueError, match="too few to split"):
            seeded_split(count, shares, seed)
        return
    split = seeded_split(count, shares, seed)
    assert sorted(i for part in split for i in part) == list(range(count))
    assert split.train
    assert split.val
    assert bool(split.test) == bool(shares[2])
    assert split == seeded_split(count, shares, seed)
    if count > 10:
        assert len(split.val) == pytest.approx(count * shares[1] / sum(shares), abs=1)


def test_eighty_ten_ten():
    assert [len(part) for part in seeded_split(35221, (0.8, 0.1, 0.1), 0)] == [28177, 3522, 3522]


def test_lists_may_call_photographs_by_their_full_names(photo_folder, tmp_path):
    photos = open_photos(photo_folder)
    (tmp_path / "a.txt").write_text(photos.names[3])
    (tmp_path / "b.txt").write_text(photos.keys[4])
    split = listed_split(photos, {"train": tmp_path / "a.txt", "val": tmp_path / "b.txt"})
    assert split == ([3], [4], [])


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ("cat/00.jpg\ncat/02.jpg", "cat/02.jpg", r"val\.txt shares 1 .*train\.txt: cat/02\.jpg"),
        ("cat/99.jpg", "cat/02.jpg", r"train\.txt names 1 .* cat/99\.jpg; .* such as cat/00\.jpg"),
        ("", "cat/02.jpg", r"train\.txt: an empty list"),
    ],
)
def test_lists_that_do_not_fit_are_refused(photo_folder, tmp_path, train, val, said):
    lists = {"train": tmp_path / "train.txt", "val": tmp_path / "val.txt"}
    lists["train"].write_text(train)
    lists["val"].write_text(val)
    with pytest.raises(ValueError, match=said):
        listed_split(open_photos(photo_folder), lists)


def test_missing_lists_and_other_parts_are_refused(photo_folder, tmp_path):
    photos = open_photos(photo_folder)
    with pytest.raises(FileNotFoundError, match="no such list"):
        listed_split(photos, {"train": tmp_path / "none.txt", "val": tmp_path / "none.txt"})
    for lists in ({}, {"train": "a"}, {"train": "a", "val": "b", "extra": "c"}):
        with pytest.raises(ValueError, match="lists takes train, val and, if wanted, test; got"):
            listed_split(photos, lists)
