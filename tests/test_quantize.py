import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from deepcolor.color import rgb_to_lab
from deepcolor.quantize import GAMUT_SPANS, AbQuantizer

GAMUT = {k: AbQuantizer.gamut313(k) for k in (1, 5, 10)}
CODEBOOKS = {
    "gamut313": AbQuantizer.gamut313,
    "grid625": AbQuantizer.grid625,
    "random": lambda k=5: AbQuantizer(torch.randn(40, 2) * 50, k),
}


def pixels(*colours: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(colours, dtype=torch.float32).T[None, :, :, None]  # (1, 2, N, 1)


def every_srgb_ab(steps: int = 33) -> torch.Tensor:
    """A lattice through the sRGB cube, and every 8-bit colour of its faces: (1, 2, N, 1)."""
    axis, levels = torch.linspace(0, 1, steps), torch.linspace(0, 1, 256)
    face = torch.cartesian_prod(levels, levels)
    faces = [
        torch.cat([face[:, :i], torch.full((len(face), 1), end), face[:, i:]], dim=1)
        for i in range(3)
        for end in (0.0, 1.0)
    ]
    rgb = torch.cat([torch.cartesian_prod(axis, axis, axis), *faces])
    return rgb_to_lab(rgb.T[None, :, :, None])[:, 1:]


def test_313_bins_follow_from_the_hull_of_srgb():
    """The rule of systems.md 0.2, in its order: a box of 10 around the bin meets sRGB's hull."""
    ab = every_srgb_ab()[0, :, ::20, 0].double().T.numpy()
    angles = np.linspace(0, 2 * np.pi, 1800, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    support = (ab @ directions).max(0) + 10 * np.abs(directions).sum(0)
    grid = [(a, b) for a in range(-110, 111, 10) for b in range(-110, 111, 10)]
    kept = [p for p in grid if (np.array(p) @ directions < support - 1e-9).all()]
    assert AbQuantizer.gamut313().centres.tolist() == [list(map(float, p)) for p in kept]
    assert len(kept) == 313


def test_313_bins_have_the_published_ends_and_columns():
    centres = AbQuantizer.gamut313().centres
    assert centres[0].tolist() == [-90, 50]
    assert centres[312].tolist() == [100, 0]
    counts = {int(a): int((centres[:, 0] == a).sum()) for a in centres[:, 0].unique()}
    published = [5, 8, 10, 12, 14, 15, 16, 16, 17, 18, 18, 18, 19, 20, 19, 20, 20, 19, 19, 10]
    assert list(counts.values()) == published
    assert counts.keys() == GAMUT_SPANS.keys()


def test_every_srgb_colour_has_a_bin_within_5_on_each_axis():
    ab = every_srgb_ab()
    quantizer = AbQuantizer.gamut313()
    assert (quantizer.decode(quantizer.hard_encode(ab)) - ab).abs().max() <= 5
    assert len(quantizer.hard_encode(ab).unique()) == 261


def test_529_bins_are_the_whole_grid_that_the_313_come_from():
    quantizer = AbQuantizer.grid529()
    assert quantizer.bins == 529
    assert quantizer.centres[23 * 14 + 8].tolist() == [30, -30]
    whole = {tuple(centre) for centre in quantizer.centres.tolist()}
    assert {tuple(centre) for centre in AbQuantizer.gamut313().centres.tolist()} < whole


def test_625_bins_are_numbered_row_by_row_and_cover_srgb():
    quantizer = AbQuantizer.grid625()
    assert quantizer.bins == 625
    assert quantizer.centres[25 * 3 + 7].tolist() == [-90, -50]
    ab = every_srgb_ab()
    index = quantizer.hard_encode(ab)
    rounded = ((ab / 10).round() + 12).long()
    near_edge = ((ab / 10) % 1 - 0.5).abs().amin(1) < 1e-3
    assert torch.equal(index[~near_edge], (25 * rounded[:, 0] + rounded[:, 1])[~near_edge])


@pytest.mark.parametrize(
    ("colour", "k", "weights"),
    [
        ((0, 0), 5, [0.6488] + [0.0878] * 4),
        ((0, 0), 10, [0.6192] + [0.0838] * 4 + [0.0113] * 4 + [0.0002]),
        ((3, 4), 5, [0.4062, 0.2723, 0.1825, 0.1224, 0.0166]),
    ],
)
def test_soft_encoding_has_the_known_weights(colour, k, weights):
    soft = AbQuantizer.gamut313(k).soft_encode(pixels(colour))
    assert soft.weights.flatten().tolist() == pytest.approx(weights, abs=6e-5)


def test_soft_encoding_picks_the_known_bins():
    quantizer = AbQuantizer.gamut313()
    soft = quantizer.soft_encode(pixels((3, 4)))
    found = [tuple(c) for c in quantizer.centres[soft.bins.flatten()].tolist()]
    assert found == [(0, 0), (0, 10), (10, 0), (10, 10), (-10, 0)]


@pytest.mark.parametrize("k", [1, 5, 10])
@pytest.mark.parametrize("name", CODEBOOKS)
def test_lookup_finds_the_same_neighbours_as_scikit_learn(name, k):
    quantizer = CODEBOOKS[name](k)
    ab = torch.cat([torch.rand(1, 2, 100, 100) * 240 - 120, torch.randn(1, 2, 100, 100) * 8])
    soft = quantizer.soft_encode(ab)
    reference = NearestNeighbors(n_neighbors=k).fit(quantizer.centres.double().numpy())
    points = ab.movedim(1, -1).reshape(-1, 2).double()
    distance, _ = reference.kneighbors(points.numpy())
    chosen = quantizer.centres.double()[soft.bins.movedim(1, -1).reshape(-1, k)]
    have = (chosen - points[:, None]).norm(dim=-1).numpy()
    assert np.abs(have - distance).max() < 1e-4  # equal distances, whatever the order of ties


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, (1, 2, 3, 3), elements=st.floats(-500, 500, width=32)),
    st.sampled_from([1, 5, 10]),
)
def test_soft_encoding_of_any_finite_colour_is_a_distribution(ab, k):
    soft = GAMUT[k].soft_encode(torch.from_numpy(ab))
    assert torch.allclose(soft.weights.sum(1), torch.ones(1, 3, 3), atol=1e-5)
    assert (soft.weights >= 0).all()
    assert (soft.weights[:, :-1] >= soft.weights[:, 1:] - 1e-6).all()  # nearest first


def test_dense_encoding_holds_the_sparse_one():
    quantizer = AbQuantizer.gamut313()
    soft = quantizer.soft_encode(torch.randn(2, 2, 5, 7) * 30)
    dense = quantizer.densify(soft)
    assert dense.shape == (2, 313, 5, 7)
    assert torch.equal(dense.gather(1, soft.bins), soft.weights)
    assert torch.allclose(dense.sum(1), torch.ones(2, 5, 7))
    assert ((dense > 0).sum(1) <= 5).all()


@pytest.mark.parametrize("temperature", [0, 0.1, 0.38, 1])
def test_annealed_mean_of_a_certain_bin_is_its_centre(temperature):
    quantizer = AbQuantizer.gamut313()
    logits = torch.eye(313)[:, :, None].permute(1, 0, 2)[None] * 200  # pixel q is bin q
    ab = quantizer.annealed_mean(logits, temperature)
    assert torch.allclose(ab[0, :, :, 0].T, quantizer.centres, atol=1e-3)


def test_annealed_mean_goes_from_mean_to_mode():
    quantizer = AbQuantizer(torch.tensor([[0.0, 0], [60, 0]]), neighbours=1)
    logits = torch.tensor([0.6, 0.4]).log().reshape(1, 2, 1, 1)
    a = [float(quantizer.annealed_mean(logits, t)[0, 0]) for t in (1, 0.38, 0.1, 0)]
    assert a[0] == pytest.approx(24)
    assert a == sorted(a, reverse=True)
    assert a[-1] == 0


def test_annealed_mean_stays_float32_under_autocast():
    quantizer = AbQuantizer.gamut313()
    logits = torch.randn(1, 313, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.annealed_mean(logits), quantizer.annealed_mean(logits))
        assert quantizer.annealed_mean(logits).dtype == torch.float32


def test_a_quantizer_adds_nothing_to_checkpoints():
    quantizer = AbQuantizer.gamut313()
    quantizer.soft_encode(torch.zeros(1, 2, 1, 1))
    assert not quantizer.state_dict()


@pytest.mark.parametrize(
    ("centres", "message"),
    [
        (torch.zeros(3), "Q, 2"),
        (torch.zeros(0, 2), "Q, 2"),
        (torch.zeros(2, 2), "distinct"),
        (torch.tensor([[0.0, float("nan")]]), "finite"),
    ],
)
def test_bad_codebooks_are_refused(centres, message):
    with pytest.raises(ValueError, match=message):
        AbQuantizer(centres, neighbours=1)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="neighbours must be 1 to 2"):
        AbQuantizer(torch.tensor([[0.0, 0], [1, 1]]), neighbours=3)
    with pytest.raises(ValueError, match="sigma"):
        AbQuantizer(torch.zeros(1, 2), neighbours=1, sigma=0)
    quantizer = AbQuantizer.gamut313()
    with pytest.raises(ValueError, match="B, 2, H, W"):
        quantizer.soft_encode(torch.zeros(2, 4, 4))
    with pytest.raises(ValueError, match="NaN"):
        quantizer.hard_encode(torch.full((1, 2, 1, 1), float("nan")))
    with pytest.raises(ValueError, match="B, 313, H, W"):
        quantizer.annealed_mean(torch.zeros(1, 312, 2, 2))
    with pytest.raises(ValueError, match="temperature"):
        quantizer.annealed_mean(torch.zeros(1, 313, 2, 2), temperature=1.5)
