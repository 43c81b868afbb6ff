import pytest
import torch

from deepcolor.data import ColorizationDataModule


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
    training, validation = set(data.training_indices), set(data.val_set.indices)
    assert len(validation) == 3
    assert training.isdisjoint(validation)
    assert training | validation == set(range(12))


def test_the_split_depends_on_the_seed_alone(photo_folder):
    first, again, other = (module(photo_folder, seed=seed) for seed in (1, 1, 2))
    assert first.val_set.indices == again.val_set.indices
    assert first.val_set.indices != other.val_set.indices


def test_validation_pictures_are_the_same_each_time(photo_folder):
    data = module(photo_folder)
    once, twice = (torch.cat(list(data.val_dataloader())) for _ in range(2))
    assert torch.equal(once, twice)


def test_a_share_of_zero_leaves_a_source_out(photo_folder):
    data = module(photo_folder, shares={"coffee": 0.0})
    drawn = {data.train_set.dataset.sources[data.training_indices[i]]
             for i in data.train_dataloader().sampler}  # fmt: skip
    assert drawn == {"cat"}


def test_a_tenth_is_held_out_unless_said_otherwise(photo_folder):
    assert len(module(photo_folder, held_out=None).val_set) == 1


def test_a_set_smaller_than_a_batch_is_trained_on_all_the_same(photo_folder):
    data = module(photo_folder, batch_size=32)
    assert [len(batch) for batch in data.train_dataloader()] == [9]
    assert [len(batch) for batch in module(photo_folder, batch_size=4).train_dataloader()] == [4, 4]


def test_mistakes_are_refused(photo_folder):
    with pytest.raises(ValueError, match=r"has 12 photographs; held_out .* got 12"):
        module(photo_folder, held_out=12)
    with pytest.raises(ValueError, match=r"tea; the sources .* cat, coffee"):
        module(photo_folder, shares={"tea": 2.0})
