"""No model's forward holds more than 1.2 times what its layer table needs.

Both sides come from one run, as the sequence of torch's operations on one picture of the model's
own size, in evaluation mode without gradients. Parameters and the picture itself do not count.

- Held: the bytes of all tensors alive at once, at the worst moment. Alive is what anything still
  refers to. (What a kernel of the backend needs within one call is not the model's to choose.)
- Needed: of each layer its inputs, its outputs and whatever a later layer will read, skips
  included; the largest of these sums. Layers are all operations but activations and other
  arithmetic on single numbers, which could work in place and need nothing of their own.

What is not ours to change counts as it is: a block of timm's needs its input until it returns, and
a colour conversion of kornia's is one layer.
"""

from collections.abc import Callable
from typing import Any

import kornia.color
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepcolor.models import MODELS
from deepcolor.models._classical import ClassicalColorizer

ALLOWED = 1.2
ARITHMETIC = {
    "_to_copy", "add_", "clamp", "clamp_min", "clone", "copy_", "div", "leaky_relu_", "mul", "neg",
    "relu", "relu_", "sigmoid", "sub", "tanh", "tanh_",
}  # fmt: skip
CONVERSIONS = ("lab_to_rgb", "luv_to_rgb", "rgb_to_lab", "rgb_to_linear_rgb", "rgb_to_xyz")
NETWORKS = sorted(k for k, kind in MODELS.items() if not issubclass(kind, ClassicalColorizer))


class Life:
    """A piece of memory: its bytes, the operation that made it, the last that needs it."""

    def __init__(self, size: int, made: int) -> None:
        self.size, self.made, self.last = size, made, made


class Ledger(TorchDispatchMode):
    """Writes down what each operation reads and makes, and how much is alive after it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.held: list[int] = []
        self.lives: list[Life] = []
        self.alive: dict[StorageWeakRef, Life] = {}
        self.paused = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if not self.paused:
            self.write(function.overloadpacket.__name__, (args, kwargs), made)
        return made

    def write(self, name: str, read: Any, made: Any) -> None:
        for key in [key for key in self.alive if key.expired()]:
            del self.alive[key]
        known = storages(read)
        for key, size in storages(made).items():
            if key not in known and key not in self.alive:
                self.alive[key] = Life(size, len(self.names))
                self.lives.append(self.alive[key])
        self.names.append(name)
        self.held.append(sum(life.size for life in self.alive.values()))
        self.need((read, made))

    def need(self, values: Any) -> None:
        """Say that the latest operation needs these."""
        for key in storages(values):
            if key in self.alive:
                self.alive[key].last = len(self.names) - 1

    def needed(self) -> int:
        return max(
            sum(life.size for life in self.lives if life.made <= at <= life.last)
            for at, name in enumerate(self.names)
            if name not in ARITHMETIC
        )

    def as_one(self, convert: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A conversion as one operation, whatever it is made of."""

        def run(*args: Any, **kwargs: Any) -> Tensor:
            if self.paused:
                return convert(*args, **kwargs)
            self.paused = True
            try:
                made = convert(*args, **kwargs)
            finally:
                self.paused = False
            self.write(convert.__name__, args, made)
            return made

        return run


def storages(values: Any) -> dict[StorageWeakRef, int]:
    tensors = (value for value in tree_leaves(values) if isinstance(value, Tensor))
    return {
        StorageWeakRef(tensor.untyped_storage()): tensor.untyped_storage().nbytes()
        for tensor in tensors
    }


def watched(model: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger()
    for name in CONVERSIONS:
        monkeypatch.setattr(kornia.color, name, ledger.as_one(getattr(kornia.color, name)))
    for module in model.modules():
        if type(module).__module__.startswith("timm."):
            module.register_forward_hook(lambda _, read, made: ledger.need(read))
    with torch.no_grad(), ledger:
        made = model(x)
        ledger.need(made)
    return ledger


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_holds_little_more_than_its_layers_need(name, small_model, monkeypatch):
    model = small_model(name).eval()
    ledger = watched(model, torch.rand(1, 1, model.size, model.size) * 100, monkeypatch)
    held, needed = max(ledger.held), ledger.needed()
    worst = ledger.names[ledger.held.index(held)]
    assert held <= ALLOWED * needed, f"{held / 1e6:.1f} MB at {worst}, {needed / 1e6:.1f} needed"


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_no_layer_runs_twice(name, small_model):
    model = small_model(name).eval()
    calls: dict[str, int] = {}
    for key, module in model.network.named_modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(
                lambda *_, key=key: calls.__setitem__(key, calls.get(key, 0) + 1)
            )
    model(torch.rand(1, 1, model.size, model.size) * 100)
    assert calls
    assert not [key for key, count in calls.items() if count > 1]


def test_the_ledger_sees_what_is_held_too_long(monkeypatch):
    class Wasteful(nn.Module):
        def __init__(self, keeps: bool) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(4))
            self.keeps = keeps

        def forward(self, x: Tensor) -> Tensor:
            kept = []
            for layer in self.layers:
                x = layer(x)
                kept += [x] if self.keeps else []
            return x

    x = torch.zeros(1, 8, 16, 16)
    layer = 8 * 16 * 16 * 4
    for keeps, tensors in ((False, 2), (True, 4)):
        ledger = watched(Wasteful(keeps), x, monkeypatch)
        assert ledger.needed() == 2 * layer
        assert max(ledger.held) == tensors * layer
