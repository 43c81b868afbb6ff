import pytest
import torch
import torch.nn.functional as F

from deepcolor.losses import (
    chroma_huber,
    chroma_mse,
    colourful,
    colourfulness_loss,
    combined_chroma_loss,
    soft_cross_entropy,
)
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import rebalancing_weights


@pytest.fixture
def quantizer():
    return AbQuantizer.gamut313()


def dense_reference(logits, ab, quantizer, weights):
    """Equation 2 as published code writes it: a dense target, a dense log-softmax."""
    target = quantizer.densify(quantizer.soft_encode(ab)).to(logits.dtype)
    pixel = weights[target.argmax(1)]
    return -(pixel * (target * F.log_softmax(logits, dim=1)).sum(1)).sum() / pixel.numel()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sparse_loss_and_gradient_equal_the_dense_ones(quantizer, layout):
    logits = torch.randn(2, 313, 5, 6, dtype=torch.float64).contiguous(memory_format=layout)
    ab = torch.randn(2, 2, 5, 6) * 40
    weights = rebalancing_weights(F.softmax(torch.randn(313), 0)).double()
    dense_in, sparse_in = (logits.clone().requires_grad_() for _ in range(2))
    dense = dense_reference(dense_in, ab, quantizer, weights)
    sparse = soft_cross_entropy(sparse_in, quantizer.soft_encode(ab), weights)
    dense.backward()
    (2 * sparse).backward()
    assert float(sparse.detach()) == pytest.approx(float(dense.detach()), rel=1e-5)
    assert torch.allclose(sparse_in.grad, 2 * dense_in.grad, atol=1e-6)


def test_loss_of_half_precision_logits_is_computed_in_float32(quantizer):
    logits = torch.randn(1, 313, 4, 4)
    target = quantizer.soft_encode(torch.randn(1, 2, 4, 4) * 30)
    half = logits.bfloat16().requires_grad_()
    loss = soft_cross_entropy(half, target)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(
        float(soft_cross_entropy(half.detach().float(), target)), rel=1e-5
    )
    loss.backward()
    assert half.grad.dtype == torch.bfloat16


def test_large_logits_do_not_overflow(quantizer):
    logits = (torch.randn(1, 313, 2, 2) * 1e4).requires_grad_()
    loss = soft_cross_entropy(logits, quantizer.soft_encode(torch.zeros(1, 2, 2, 2)))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_loss_is_least_where_the_prediction_is_the_target(quantizer):
    soft = quantizer.soft_encode(torch.randn(1, 2, 3, 3) * 20)
    exact = quantizer.densify(soft).clamp(min=1e-30).log()
    entropy = -(soft.weights * soft.weights.log()).sum(1).mean()
    assert float(soft_cross_entropy(exact, soft)) == pytest.approx(float(entropy), rel=1e-4)
    assert soft_cross_entropy(exact + torch.randn_like(exact), soft) > entropy


def test_pictures_of_weight_zero_teach_nothing(quantizer):
    logits = torch.randn(2, 313, 3, 3, requires_grad=True)
    target = quantizer.soft_encode(torch.randn(2, 2, 3, 3) * 20)
    soft_cross_entropy(logits, target, None, torch.tensor([0.0, 1])).backward()
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1] != 0).any()


def test_a_picture_counts_as_colourful_by_its_strongest_pixel():
    ab = torch.zeros(3, 2, 4, 4)
    ab[0] = 4.9
    ab[1, 1, 2, 3] = -5.1
    ab[2, 0, 0, 0] = 5.1
    assert colourful(ab).tolist() == [False, True, True]


def test_loss_refuses_what_does_not_fit(quantizer):
    target = quantizer.soft_encode(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="do not fit"):
        soft_cross_entropy(torch.zeros(1, 313, 4, 5), target)
    with pytest.raises(ValueError, match="class_weights"):
        soft_cross_entropy(torch.zeros(1, 313, 4, 4), target, torch.ones(312))


def test_regression_losses_are_zero_at_the_truth_and_symmetric():
    ab = torch.randn(2, 2, 4, 4) * 40
    for loss in (chroma_huber, chroma_mse):
        assert loss(ab, ab) == 0
        assert float(loss(ab + 11, ab)) == pytest.approx(float(loss(ab - 11, ab)), rel=1e-4)


def test_huber_is_a_square_near_and_a_line_far():
    ab = torch.zeros(1, 2, 1, 1)
    assert float(chroma_huber(ab + 11, ab, 1)) == pytest.approx(2 * 0.5 * 0.1**2, rel=1e-4)
    assert float(chroma_huber(ab + 220, ab, 1)) == pytest.approx(2 * (2 - 0.5), rel=1e-4)
    assert float(chroma_huber(ab + 22, ab, 0.1)) == pytest.approx(2 * (0.2 - 0.05), rel=1e-4)


def test_huber_bends_at_one_cielab_unit_as_published():
    ab = torch.zeros(1, 2, 1, 1)
    assert float(chroma_huber(ab + 0.5, ab)) == pytest.approx(2 * 0.5 * 0.25 / 110, rel=1e-4)
    assert float(chroma_huber(ab + 11, ab)) == pytest.approx(2 * (11 - 0.5) / 110, rel=1e-4)


def test_mse_is_on_the_scale_of_ab_over_110():
    ab = torch.zeros(1, 2, 3, 3)
    assert float(chroma_mse(ab + 11, ab)) == pytest.approx(0.01, rel=1e-4)


def test_regression_losses_refuse_different_shapes():
    with pytest.raises(ValueError, match="B, 2, H, W"):
        chroma_huber(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 5))


def test_combined_loss_has_both_terms_and_trains_through_both(quantizer):
    logits = torch.randn(1, 313, 3, 3, requires_grad=True)
    ab = torch.randn(1, 2, 3, 3) * 30
    terms = combined_chroma_loss(logits, ab, quantizer, regression_share=0.5)
    assert terms.keys() == {"cross_entropy", "huber"}
    want = 0.5 * chroma_huber(quantizer.annealed_mean(logits, 1.0), ab)
    assert torch.allclose(terms["huber"], want)
    (huber_gradient,) = torch.autograd.grad(terms["huber"], logits)
    assert (huber_gradient != 0).any()
    with pytest.raises(ValueError, match="regression_share"):
        combined_chroma_loss(logits, ab, quantizer, regression_share=-1)


def test_colourfulness_is_hasler_and_suesstrunks_with_absolute_opponents():
    rgb = torch.rand(2, 3, 5, 6)
    red, green, blue = rgb.double().numpy().transpose(1, 0, 2, 3)
    rg, yb = abs(red - green), abs((red + green) / 2 - blue)
    figures = [
        (a.std() ** 2 + b.std() ** 2) ** 0.5 + 0.3 * (a.mean() ** 2 + b.mean() ** 2) ** 0.5
        for a, b in zip(rg, yb, strict=True)
    ]
    want = 1 - sum(figures) / 2  # a mean over the batch, not a sum
    assert float(colourfulness_loss(rgb)) == pytest.approx(want, abs=1e-6)


def test_grey_has_no_colourfulness_and_a_finite_slope():
    rgb = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    loss = colourfulness_loss(rgb)
    assert float(loss.detach()) == pytest.approx(1, abs=1e-5)
    loss.backward()
    assert torch.isfinite(rgb.grad).all()


def test_colourfulness_is_of_pictures_of_three_channels():
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(1, 2, 4, 4\)"):
        colourfulness_loss(torch.zeros(1, 2, 4, 4))
