import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

from deepcolor.blocks.multigrid import NEIGHBOURS, PixelSystem


def random_system(height, width, contrast, seed=0, anchors=3):
    """Weights that differ to and fro, and a few anchors: (8, H, W), (H, W), (2, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    weights = torch.exp(-contrast * torch.rand(8, height, width, generator=generator))
    for weight, (down, right) in zip(weights, NEIGHBOURS, strict=True):
        inside = (rows + down >= 0) & (rows + down < height)
        weight *= inside & (columns + right >= 0) & (columns + right < width)
    anchor = torch.zeros(height, width)
    for _ in range(anchors):
        row, column = (int(torch.randint(n, (), generator=generator)) for n in (height, width))
        anchor[row, column] = 1
    return weights, anchor, anchor * torch.randn(2, height, width, generator=generator) * 50


def direct(weights, anchor, right):
    """The same by SciPy's direct solver."""
    weights = weights.double()
    height, width = anchor.shape
    number = torch.arange(height * width).view(height, width)
    rows, columns, values = [number.flatten()], [number.flatten()], [weights.sum(0) + anchor]
    for weight, (i, j) in zip(weights, NEIGHBOURS, strict=True):
        here = weight.nonzero(as_tuple=True)
        rows.append(number[here])
        columns.append(number[here[0] + i, here[1] + j])
        values.append(-weight[here])
    values = torch.cat([value.flatten() for value in values]).double()
    place = (torch.cat(rows).numpy(), torch.cat(columns).numpy())
    matrix = scipy.sparse.csc_matrix((values.numpy(), place))
    answer = scipy.sparse.linalg.splu(matrix).solve(right.double().flatten(1).T.numpy())
    return torch.from_numpy(answer).T.reshape(right.shape)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (1, 37), (33, 2), (31, 64), (57, 45)])
@pytest.mark.parametrize("contrast", [0.0, 3.0, 6.0])
def test_the_answer_is_that_of_a_direct_solver(size, contrast):
    system = random_system(*size, contrast)
    answer = PixelSystem(*system[:2]).solve(system[2], close=1e-10)
    assert (answer - direct(*system)).abs().max() <= 0.01  # of up to 150


def test_a_constant_is_told_by_one_anchor_to_all():
    weights, anchor, _ = random_system(40, 50, 6.0, anchors=1)
    answer = PixelSystem(weights, anchor).solve(anchor * torch.tensor([30.0, -70.0])[:, None, None])
    assert torch.allclose(answer[0], torch.tensor(30.0).double(), atol=1e-2)
    assert torch.allclose(answer[1], torch.tensor(-70.0).double(), atol=1e-2)


def test_nothing_given_is_answered_by_nothing():
    weights, anchor, right = random_system(9, 9, 3.0)
    right[1] = 0
    answer = PixelSystem(weights, anchor).solve(right)
    assert answer[0].any()
    assert not answer[1].any()


def test_a_system_that_is_not_solved_says_so():
    weights, anchor, right = random_system(57, 45, 12.0)
    with pytest.raises(ArithmeticError, match="1 iterations did not solve a system of 57 x 45"):
        PixelSystem(weights, anchor).solve(right, close=1e-12, most=1)
