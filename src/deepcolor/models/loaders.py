"""Loaders for what is measured on the training pictures before training."""

from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

__all__ = ["plain_loader"]


def plain_loader(loader: "DataLoader[Tensor]") -> "DataLoader[Tensor]":
    """The same pictures in this process, so that the training's own workers are not disturbed."""
    if isinstance(loader.dataset, IterableDataset):
        return DataLoader(loader.dataset, loader.batch_size, collate_fn=loader.collate_fn)
    return DataLoader(
        loader.dataset, loader.batch_size, sampler=loader.sampler, collate_fn=loader.collate_fn
    )
