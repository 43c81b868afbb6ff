"""Memory: what it carries, where from, and that it starts as nothing."""

import pytest
import torch

from deepcolor.blocks.recurrent import ConvLSTM, Memory, Recurrence, around, carried


def test_a_cell_keeps_what_its_gates_let_it():
    cell = ConvLSTM(1, 1)
    for parameter in cell.parameters():
        torch.nn.init.zeros_(parameter)
    before = torch.full((1, 1, 2, 2), 0.8)
    hidden, kept = cell(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), before)
    assert torch.allclose(kept, torch.tensor(0.4))  # all gates half open, nothing seen
    assert torch.allclose(hidden, 0.5 * torch.tanh(torch.tensor(0.4)))


def test_a_cell_begins_as_if_nothing_was_hidden():
    torch.manual_seed(0)
    cell = ConvLSTM(3, 4)
    x = torch.rand(2, 3, 5, 5)
    _, kept = cell.begin(x)
    seen = cell.gates(torch.cat([x, torch.zeros(2, 4, 5, 5)], dim=1))[:, 12:]
    assert torch.allclose(kept, torch.tanh(seen), atol=1e-6)


@pytest.mark.parametrize(("down", "across"), [(0, 0), (1, 0), (-2, 1), (2, 2)])
def test_places_find_what_moved_and_bring_it_along(down, across):
    torch.manual_seed(0)
    keys = torch.nn.functional.normalize(torch.randn(1, 16, 9, 9), dim=1)
    values = torch.rand(1, 3, 9, 9)
    now = keys.roll((down, across), dims=(2, 3))
    match = torch.softmax(100 * around(now, keys, 2), dim=1)
    moved = carried(values, match, 2)
    inner = (slice(None), slice(None), slice(2, 7), slice(2, 7))
    want = values.roll((down, across), dims=(2, 3))
    assert torch.allclose(moved[inner], want[inner], atol=1e-3)


def test_an_untrained_block_changes_nothing_to_the_bit():
    torch.manual_seed(0)
    block = Recurrence(8, 8, reach=2, scale=0.25)
    memory = block.begin(torch.randn(2, 8, 6, 6), torch.randn(2, 1, 6, 6))
    x = torch.randn(2, 8, 6, 6)
    mixed, _ = block(x, torch.randn(2, 1, 6, 6), memory)
    assert torch.equal(mixed, x)


def test_a_trusted_memory_is_a_running_mean_at_the_start():
    block = Recurrence(4, 4, trust=0.999, scale=0.01)  # so small that tanh is straight
    with torch.no_grad():  # the gates do not look
        block.memory.gates.weight[:12] = 0
        block.memory.gates.weight[:, 4:] = 0
    grey = torch.zeros(1, 1, 3, 3)
    memory = block.begin(torch.full((1, 4, 3, 3), 1.0), grey)
    mixed, memory = block(torch.full((1, 4, 3, 3), 2.0), grey, memory)
    keep = torch.sigmoid(torch.tensor(0.6))  # and what is not kept is taken anew
    assert torch.allclose(mixed, keep * 1 + (1 - keep) * 2, atol=1e-2)


def test_memory_joins_pictures_one_by_one():
    names = ("hidden", "cell", "keys", "luminance")
    maps = (torch.full((2, 1, 2, 2), value) for value in (1.0, 2.0))
    one, other = (Memory(**dict.fromkeys(names, each)) for each in maps)
    both = one.where(torch.tensor([True, False]), other)
    assert both.cell[:, 0, 0, 0].tolist() == [1, 2]
    assert both.luminance[:, 0, 0, 0].tolist() == [1, 2]


def test_no_gradient_flows_back_through_a_detached_memory():
    block = Recurrence(4, 4, trust=0.5)
    first = torch.rand(1, 4, 3, 3, requires_grad=True)
    grey = torch.zeros(1, 1, 3, 3)
    mixed, _ = block(torch.rand(1, 4, 3, 3), grey, block.begin(first, grey))
    assert torch.autograd.grad(mixed.sum(), first)[0].any()
    mixed, _ = block(torch.rand(1, 4, 3, 3), grey, block.begin(first, grey).detached())
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(mixed.sum(), first)


@pytest.mark.parametrize(
    ("options", "said"), [({"trust": 1.0}, "trust must"), ({"reach": -1}, "reach must")]
)
def test_impossible_blocks_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Recurrence(4, 4, **options)
