import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from deepcolor.data import EpochSampler, ResumableLoader

WEIGHTS = st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0, 1.7, 3.0]), min_size=1, max_size=40).filter(
    any
)


class Echo(Dataset):
    """Gives back its draws: (place, seed)."""

    def __getitem__(self, draw):
        return torch.tensor(draw)

    def __len__(self):
        return 1000


def loader(count=22, batch_size=4, workers=0, seed=0, drop_last=True, weights=None):
    sampler = EpochSampler(weights or [1.0] * count, seed)
    return ResumableLoader(
        Echo(), batch_size, sampler=sampler, drop_last=drop_last, num_workers=workers
    )


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@given(WEIGHTS, st.integers(-5, 2**40), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_an_epochs_draws_depend_on_seed_and_epoch_alone(weights, seed, epoch):
    once = EpochSampler(weights, seed)
    epoch_of(once, 7)
    torch.rand(3)
    assert epoch_of(once, epoch) == epoch_of(EpochSampler(weights, seed), epoch)
    assert len(list(once)) == len(once) == once.total


@given(WEIGHTS, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_each_photograph_comes_as_often_as_its_weight_says(weights, epoch):
    places = [place for place, _ in epoch_of(EpochSampler(weights), epoch)]
    for place, weight in enumerate(weights):
        if weight == int(weight):
            assert places.count(place) == weight
    parts = [w % 1 for w in weights if w % 1]
    if not parts or sum(parts) >= 1:  # a lone fraction is rounded up to one draw
        assert abs(len(places) - sum(weights)) <= 0.5 + 1e-9


def test_fractions_come_right_over_the_epochs():
    sampler = EpochSampler([0.4] * 50 + [1.7] * 10 + [1.0] * 40)
    counts = torch.zeros(100)
    for epoch in range(200):
        for place, _ in epoch_of(sampler, epoch):
            counts[place] += 1
    counts /= 200
    assert (counts[60:] == 1).all()
    assert torch.allclose(counts[:50], torch.tensor(0.4), atol=0.14)  # four deviations of 200 draws
    assert torch.allclose(counts[50:60], torch.tensor(1.7), atol=0.14)


def test_seeds_and_epochs_give_other_orders_and_other_seeds():
    first = epoch_of(EpochSampler([1.0] * 50, 0), 0)
    for other in (
        epoch_of(EpochSampler([1.0] * 50, 0), 1),
        epoch_of(EpochSampler([1.0] * 50, 1), 0),
    ):
        assert [p for p, _ in other] != [p for p, _ in first]
        assert {s for _, s in other}.isdisjoint({s for _, s in first})


@given(WEIGHTS, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_devices_share_the_draws_of_one(weights, replicas):
    alone = list(EpochSampler(weights, 3))
    shares = [list(EpochSampler(weights, 3, replicas, rank)) for rank in range(replicas)]
    assert sorted(draw for share in shares for draw in share) == sorted(alone)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for rank, share in enumerate(shares):
        assert len(EpochSampler(weights, 3, replicas, rank)) == len(share)


def test_all_devices_give_equally_many_batches():
    for drop_last in (True, False):
        samplers = [EpochSampler([1.0] * 23, 0, 3, rank) for rank in range(3)]  # 8, 8 and 7 draws
        loaders = [ResumableLoader(Echo(), 4, sampler=s, drop_last=drop_last) for s in samplers]
        assert len({len(list(one)) for one in loaders} | {len(one) for one in loaders}) == 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_a_loader_goes_on_where_it_was_cut_off(cut, workers):
    unbroken = loader()
    wanted = []
    for epoch in range(2):
        unbroken.sampler.set_epoch(epoch)
        wanted += list(unbroken)
    first = loader(workers=workers)
    batches = iter(first)
    seen = [next(batches) for _ in range(cut)]
    second = loader(workers=workers)
    second.load_state_dict(first.state_dict())
    assert len(second) == 5
    seen += list(second)
    second.sampler.set_epoch(second.sampler.epoch + 1)
    seen += list(second)
    assert torch.equal(torch.stack(seen[:10]), torch.stack(wanted))


def test_another_order_is_told_of_when_resuming_within_an_epoch():
    cut = loader()
    next(iter(cut))
    with pytest.warns(UserWarning, match=r"draws 22 -> 30.*another order"):
        loader(count=30).load_state_dict(cut.state_dict())
    with pytest.warns(UserWarning, match="seed 0 -> 1"):
        loader(seed=1).load_state_dict(cut.state_dict())
    list(cut)
    fresh = loader(count=30)
    fresh.load_state_dict(cut.state_dict())  # between epochs nothing is lost
    assert fresh.sampler.epoch == 1


def test_weights_that_draw_nothing_are_refused():
    for weights in ([], [0.0, 0.0], [-1.0, 2.0]):
        with pytest.raises(ValueError, match="at least 0, some of them above 0"):
            EpochSampler(weights)


class Recorder(LightningModule):
    """Trains one number, and keeps the draws of each step."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []
        self.stop_after = stop_after

    def training_step(self, batch, batch_idx):
        if len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append(batch[:, 1].tolist())
        return self.number**2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, model, ckpt_path=None, workers=0, **callback):
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, save_last=True, **callback)],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers")
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists")
        warnings.filterwarnings("ignore", ".*no `val_dataloader`")
        trainer.fit(model, loader(workers=workers), ckpt_path=ckpt_path)


@pytest.mark.parametrize(
    ("callback", "died_in", "kept"),
    [
        ({"every_n_train_steps": 2}, 3, 2),  # within the first epoch
        ({"every_n_train_steps": 2}, 9, 8),  # within the second
        ({"every_n_epochs": 1}, 7, 5),  # between two
        ({"every_n_train_steps": 5}, 12, 10),  # at the end of an epoch, by step
    ],
)
def test_a_run_killed_under_lightning_sees_the_batches_of_the_unbroken_run(
    tmp_path, callback, died_in, kept
):
    unbroken = Recorder()
    fit(tmp_path / "whole", unbroken, **callback)
    assert len(unbroken.seen) == 15
    dying = Recorder(stop_after=died_in)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        fit(tmp_path / "broken", dying, **callback)
    resumed = Recorder()
    fit(tmp_path / "broken", resumed, tmp_path / "broken" / "last.ckpt", workers=2, **callback)
    assert dying.seen[:kept] + resumed.seen == unbroken.seen


@pytest.mark.parametrize("made", ["beforehand", "in a hook of Lightning's"])
def test_lightning_may_put_another_sampler_in_place(tmp_path, made):
    model = Recorder()
    trainer = Trainer(
        max_epochs=1, overfit_batches=2, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip

    class Plain(Echo):
        def __getitem__(self, place):
            return torch.tensor([0, place if isinstance(place, int) else place[1]])

    def loader():
        return ResumableLoader(Plain(), 4, sampler=EpochSampler([1.0] * 12), drop_last=True)

    data = loader() if made == "beforehand" else LightningDataModule()
    data.train_dataloader = loader  # only Lightning asks a data module for it
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers")
        warnings.filterwarnings("ignore", ".*overfit_batches")
        warnings.filterwarnings("ignore", ".*overfit")
        trainer.fit(model, data)
    assert model.seen == [[0, 1, 2, 3], [4, 5, 6, 7]]
