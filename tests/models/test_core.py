"""`core` of variants, and with all the tensors that it can take; the contract has the defaults."""

import pytest
import torch

from deepcolor.guidance import Guidance, Hints, Statistics
from deepcolor.models import create_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.trace.* is deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
SIDE = 32
LUMINANCE, OTHER = torch.rand(2, 2, 1, SIDE, SIDE) * 100


def traced(model, *inputs: torch.Tensor):
    return torch.jit.trace_module(model, {"core": inputs}, check_trace=False).core


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hwang_zhou16", {"mode": "classification"}),
        ("resnet34_classification", {"head_k": 3}),
        ("som_mlp", {"decoding": "hard", "mode_filter": True}),
        ("iizuka16", {"classes": 4}),
        ("lite", {"hints": False}),
    ],
)
@torch.no_grad()
def test_core_of_a_variant_is_traced_and_says_what_is_predicted(name, options):
    model = create_model(name, **options).eval()
    answer = traced(model, LUMINANCE)(OTHER)
    assert torch.equal(answer, model.core(OTHER))
    assert torch.equal(model.prediction(OTHER, answer).ab(), model.predict(OTHER).ab())


@torch.no_grad()
def test_core_takes_hints_and_statistics_as_tensors():
    model = create_model("siggraph17", global_hints=True).eval()
    ab, mask = 30 * torch.randn(2, 2, SIDE, SIDE), torch.ones(2, 1, SIDE, SIDE)
    histogram, saturation = torch.rand(2, 313), torch.rand(2, 1)
    given = (ab, mask, histogram / histogram.sum(1, keepdim=True), saturation)
    run = traced(model, LUMINANCE, *(torch.zeros_like(x) for x in given))
    want = model.predict(
        OTHER, Guidance(hints=Hints(ab, mask), statistics=Statistics(given[2], saturation))
    )
    assert torch.equal(model.prediction(OTHER, run(OTHER, *given)).ab(), want.ab())
    assert not torch.equal(model.core(OTHER), model.core(OTHER, ab, mask))


@torch.no_grad()
def test_core_takes_a_vector():
    model = create_model("koalarization", features="given").eval()
    vector = torch.randn(2, 1000)
    answer = traced(model, LUMINANCE, torch.zeros(2, 1000))(OTHER, vector)
    assert torch.equal(model.ab(answer, OTHER), model(OTHER, vector=vector))
