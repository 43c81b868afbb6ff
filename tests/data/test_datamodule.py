import shutil
import tarfile

import pytest
import torch
from lightning import Trainer
from PIL import Image

from deepcolor.data import (
    ColorizationDataModule,
    Degradations,
    Degraded,
    PhotoFolder,
    open_photos,
)
from deepcolor.models.simple_cnn import SimpleCNN


def module(photo_folder, **changes):
    arguments = dict(size=64, batch_size=3, workers=0, held_out=3)
    data = ColorizationDataModule(str(photo_folder), **(arguments | changes))
    data.setup()
    return data


def test_batches_are_rgb_bytes_of_the_size_asked_for(photo_folder):
    data = module(photo_folder)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = next(iter(loader))
        assert batch.shape == (3, 3, 64, 64)
        assert batch.dtype == torch.uint8


def test_held_out_photographs_are_never_trained_on(photo_folder):
    data = module(photo_folder)
    training, validation = set(data.train_set.indices), set(data.val_set.indices)
    assert len(validation) == 3
    assert training.isdisjoint(validation)
    assert training | validation == set(range(12))


def test_the_split_depends_on_the_seed_alone(photo_folder):
    first, again, other = (module(photo_folder, seed=seed) for seed in (1, 1, 2))
    assert first.val_set.indices == again.val_set.indices
    assert first.val_set.indices != other.val_set.indices


def test_another_order_keeps_the_split(photo_folder):
    plain, same, other = (module(photo_folder, seed=1, order_seed=n) for n in (None, 1, 2))
    assert plain.val_set.indices == same.val_set.indices == other.val_set.indices
    one, two, three = (list(data.train_dataloader().sampler) for data in (plain, same, other))
    assert one == two
    assert [place for place, _ in one] != [place for place, _ in three]
    assert {seed for _, seed in one}.isdisjoint(seed for _, seed in three)


def test_validation_pictures_are_the_same_each_time(photo_folder):
    data = module(photo_folder)
    once, twice = (torch.cat(list(data.val_dataloader())) for _ in range(2))
    assert torch.equal(once, twice)


def test_a_share_of_zero_leaves_a_source_out(photo_folder):
    data = module(photo_folder, shares={"coffee": 0.0})
    drawn = {data.photos.sources[data.train_set.indices[place]]
             for place, _ in data.train_dataloader().sampler}  # fmt: skip
    assert drawn == {"cat"}


def test_a_share_of_two_draws_a_source_twice_an_epoch(photo_folder):
    data = module(photo_folder, shares={"coffee": 2.0})
    places = [place for place, _ in data.train_dataloader().sampler]
    for place, index in enumerate(data.train_set.indices):
        assert places.count(place) == (2 if data.photos.sources[index] == "coffee" else 1)


def test_eight_tenths_train_one_chooses_one_judges(photo_folder):
    data = module(photo_folder, held_out=None)
    parts = [data.train_set.indices, data.val_set.indices, data.test_set.indices]
    assert [len(part) for part in parts] == [10, 1, 1]
    assert sorted(i for part in parts for i in part) == list(range(12))
    for loader in (data.test_dataloader(), data.predict_dataloader()):
        assert [batch.shape for batch in loader] == [(1, 3, 64, 64)]
    with pytest.raises(ValueError, match="no photographs for testing: give split= a third share"):
        module(photo_folder, held_out=2).test_dataloader()


def test_given_lists_are_the_parts(photo_folder, tmp_path):
    lists = {"train": "cat/00.jpg\n./coffee/01.jpg\n", "val": "cat/02.jpg", "test": "cat/04.jpg\n"}
    for part, lines in lists.items():
        (tmp_path / f"{part}.txt").write_text(lines)
        lists[part] = str(tmp_path / f"{part}.txt")
    data = module(photo_folder, held_out=None, lists=lists)
    called = [data.photos.keys[i] for i in data.train_set.indices]
    assert called == ["cat/00.jpg", "coffee/01.jpg"]
    assert [data.photos.keys[i] for i in data.test_set.indices] == ["cat/04.jpg"]


def grey_copy(photo_folder, *names):
    for name in names:
        with Image.open(photo_folder / name) as image:
            image.convert("L").save(photo_folder / name)


def test_grey_photographs_are_left_out_of_training_alone_and_reported(photo_folder, caplog):
    before = module(photo_folder)
    training = before.train_set.indices[:2]
    judged = before.val_set.indices[0]
    grey_copy(photo_folder, *(before.photos.keys[i] for i in (*training, judged)))
    with caplog.at_level("INFO"):
        data = module(photo_folder)
    assert {data.photos.names.index(n) for n in data.left_out["grey"]} == set(training)
    assert "2 of 9 training photographs are grey or nearly grey" in caplog.text
    assert before.photos.keys[training[0]] in caplog.text
    assert data.train_set.indices == before.train_set.indices[2:]
    assert data.val_set.indices == before.val_set.indices
    assert len(module(photo_folder, grey_below=0).train_set) == 9


def test_a_folder_of_grey_photographs_is_refused(photo_folder):
    grey_copy(photo_folder, *(p.relative_to(photo_folder) for p in photo_folder.rglob("*.jpg")))
    with pytest.raises(ValueError, match=r"9 of 9 training .* grey.* grey_below=0 keeps all"):
        module(photo_folder)
    assert next(iter(module(photo_folder, grey_below=0).train_dataloader())).shape == (3, 3, 64, 64)


def test_a_part_that_cannot_be_decoded_is_refused(photo_folder):
    data = module(photo_folder, held_out=1)
    spoil(photo_folder, data.photos.keys[data.val_set.indices[0]])
    with pytest.raises(ValueError, match="none of the 1 photographs of the part val can"):
        module(photo_folder, held_out=1)


@pytest.mark.parametrize("grey_below", [0, 10])
def test_a_limit_takes_the_first_photographs_of_the_source(photo_folder, grey_below):
    data = module(photo_folder, limit=5, held_out=2, grey_below=grey_below)
    assert sorted([*data.train_set.indices, *data.val_set.indices]) == list(range(5))
    assert data.photos.keys == open_photos(photo_folder).keys[:5]
    assert next(iter(data.train_dataloader())).shape == (3, 3, 64, 64)
    assert len(module(photo_folder, limit=100).photos) == 12
    with pytest.raises(ValueError, match="at least 1 photograph"):
        module(photo_folder, limit=0)


def test_labels_are_the_folders_of_the_photographs(photo_folder):
    data = module(photo_folder, labels=True, batch_size=9)
    assert data.classes == ["cat", "coffee"]
    for loader, part in ((data.train_dataloader(), data.train_set), (data.val_dataloader(), None)):
        rgb, labels = next(iter(loader))
        assert rgb.dtype == torch.uint8
        assert labels.dtype == torch.int64
        if part is None:
            names = [data.photos.keys[i] for i in data.val_set.indices]
            assert labels.tolist() == [int(name.startswith("coffee")) for name in names]
        else:
            assert set(labels.tolist()) == {0, 1}


def test_labels_of_archives_are_the_folders_within(photo_folder, tmp_path):
    for shard, sources in enumerate((["cat", "coffee"], ["coffee"])):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as archive:
            for source in sources:
                archive.add(photo_folder / source, arcname=f"places/{source}")
    data = module(tmp_path, labels=True)
    assert data.classes == ["places/cat", "places/coffee"]


def test_labels_that_cannot_be_are_refused(photo_folder):
    shutil.move(photo_folder / "cat" / "00.jpg", photo_folder / "loose.jpg")
    with pytest.raises(ValueError, match=r"1 of 12 photographs lie in none: .*loose\.jpg"):
        module(photo_folder, labels=True)
    with pytest.raises(ValueError, match="labels or what degrade gives, not both"):
        module(photo_folder, labels=True, degrade=Degradations())


def spoil(photo_folder, *names):
    for name in names:
        path = photo_folder / name
        path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_photographs_are_replaced_counted_and_named(photo_folder, workers):
    spoil(photo_folder, "cat/00.jpg", "coffee/03.jpg")
    data = module(photo_folder, grey_below=0, held_out=1, batch_size=11, workers=workers)
    (batch,) = data.train_dataloader()
    assert len(batch) == 11
    spoiled = {n for n in (data.photos.names[0], data.photos.names[7])}
    spoiled &= {data.photos.names[i] for i in data.train_set.indices}
    assert set(data.damaged_names()) == spoiled
    with pytest.warns(UserWarning, match=rf"{len(spoiled)} of 12 photographs could not be decoded"):
        data.teardown("fit")


def test_damaged_photographs_are_found_when_grey_ones_are(photo_folder):
    spoil(photo_folder, "cat/00.jpg", "coffee/03.jpg")
    data = module(photo_folder)
    assert data.left_out["damaged"] == [data.photos.names[0], data.photos.names[7]]
    assert not {0, 7} & {*data.train_set.indices, *data.val_set.indices}
    with pytest.warns(UserWarning, match=r"2 of 12 .* left out: .*00\.jpg, .*03\.jpg"):
        data.teardown("fit")


def test_a_folder_of_damaged_photographs_is_an_error(photo_folder):
    spoil(photo_folder, *(p.relative_to(photo_folder) for p in photo_folder.rglob("*.jpg")))
    with pytest.raises(ValueError, match=r"none of the 12 .* can be decoded; the first: .*00\.jpg"):
        module(photo_folder)
    with pytest.raises(ValueError, match="100 photographs in a row cannot be decoded"):
        next(iter(module(photo_folder, grey_below=0).train_dataloader()))


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
def test_a_fit_that_meets_damaged_photographs_ends_by_naming_them(photo_folder, tmp_path):
    spoil(photo_folder, "cat/00.jpg", "coffee/03.jpg")
    data = module(photo_folder, grey_below=0, held_out=None, split=(8, 2, 0), batch_size=5)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"2 of 12 photographs could not be decoded"):
        trainer.fit(SimpleCNN(), data)
    assert trainer.global_step == 2


def test_training_batches_do_not_depend_on_the_workers(photo_folder):
    options = dict(rotation=3.0, jitter=True, degrade=Degradations(share=1.0), seed=5)
    alone, helped = (module(photo_folder, workers=n, **options) for n in (0, 2))
    for one, other in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert torch.equal(one.rgb, other.rgb)
        assert torch.equal(one.seen, other.seen)


def test_pictures_drawn_again_are_cropped_again(photo_folder):
    loader = module(photo_folder, batch_size=9).train_dataloader()
    first = next(iter(loader))
    again = next(iter(loader))
    loader.sampler.set_epoch(1)
    later = next(iter(loader))
    assert torch.equal(first, again)
    assert not any(torch.equal(one, other) for one in first for other in later)


def test_only_training_pictures_are_degraded(photo_folder):
    data = module(photo_folder, degrade=Degradations(share=1.0, fading=1.0))
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Degraded)
    assert batch.rgb.shape == batch.seen.shape == (3, 3, 64, 64)
    assert isinstance(next(iter(data.val_dataloader())), torch.Tensor)


def test_hyperparameters_hold_plain_values_only(photo_folder):
    data = ColorizationDataModule(PhotoFolder(photo_folder), degrade=Degradations())
    assert "path" not in data.hparams
    assert "degrade" not in data.hparams
    assert ColorizationDataModule(photo_folder).hparams["path"] == str(photo_folder)


def test_one_photograph_is_too_few(photo_folder, tmp_path):
    for count, said in ((1, "1 photograph is too few"), (2, "2 photographs are too few")):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            shutil.copy(photo_folder / "cat" / f"0{2 * number}.jpg", folder / f"{number}.jpg")
        with pytest.raises(ValueError, match=rf"{folder}: {said}.* at least 3"):
            module(folder, held_out=None)
    assert len(module(folder, held_out=None, split=(1, 1, 0)).train_set) == 1


def test_a_set_smaller_than_a_batch_is_trained_on_all_the_same(photo_folder):
    data = module(photo_folder, batch_size=32)
    assert [len(batch) for batch in data.train_dataloader()] == [9]
    assert [len(batch) for batch in module(photo_folder, batch_size=4).train_dataloader()] == [4, 4]


def test_mistakes_are_refused(photo_folder):
    with pytest.raises(ValueError, match=r"photos: held_out .* got 12 of 12"):
        module(photo_folder, held_out=12)
    with pytest.raises(ValueError, match=r"tea; the sources .* cat, coffee"):
        module(photo_folder, shares={"tea": 2.0})
    with pytest.raises(ValueError, match=r"0 < least <= most <= 1, got \(0, 1\)"):
        module(photo_folder, zoom=(0, 1))
    with pytest.raises(ValueError, match=r"\[0, 45\) degrees, got 90"):
        module(photo_folder, rotation=90)
    with pytest.raises(ValueError, match="name one of them"):
        module(photo_folder, lists={})
    for split in ((1.0, 0.0, 0.0), (0.5, 0.5), (-1, 1, 1)):
        with pytest.raises(ValueError, match="split takes three shares"):
            module(photo_folder, held_out=None, split=split)
