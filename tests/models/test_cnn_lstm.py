"""The film colorizer: what it remembers, when it forgets, and how it learns from clips."""

import pytest
import torch
from torch.utils.data import DataLoader

from deepcolor.batch import Batch
from deepcolor.blocks.recurrent import Memory
from deepcolor.data import Clips, Motions, synthetic_clip
from deepcolor.guidance import Hints
from deepcolor.losses import temporal_loss
from deepcolor.models import create_model
from deepcolor.models._cnn_lstm import begins_shot
from deepcolor.models.cnn_lstm import CNNLSTM
from deepcolor.weights import load_model, save_model

SIDE = 64
ENCODERS = ("paper", "lite")


def small(encoder: str = "paper", **options) -> CNNLSTM:
    """With a memory of few channels, and one that is trusted."""
    torch.manual_seed(0)
    model = CNNLSTM(encoder=encoder, hidden=8 if encoder == "paper" else None, **options)
    with torch.no_grad():
        model.network.recurrence.trust.bias.fill_(0.5)
    return model.eval()


def frames(count: int = 3, batch: int = 2) -> list[torch.Tensor]:
    """Frames of one shot: the same picture, a little noisier each time."""
    coarse = 100 * torch.rand(batch, 1, 8, 8)
    scene = torch.nn.functional.interpolate(coarse, SIDE, mode="bilinear")
    return [(scene + 3 * torch.randn_like(scene)).clamp(0, 100) for _ in range(count)]


def clip_batch(batch: int = 2, count: int = 3) -> Clips:
    photos = torch.randint(0, 256, (batch + 1, 3, 8, 8), dtype=torch.uint8).float()
    photos = torch.nn.functional.interpolate(photos, 80, mode="bilinear").byte()
    made = [
        synthetic_clip(photos[i], photos[i + 1], count, 32, Motions(still=0)) for i in range(batch)
    ]
    return Clips(*(torch.stack(parts) for parts in zip(*made, strict=True)))


@torch.no_grad()
def coloured(model: CNNLSTM, film: list[torch.Tensor]) -> list[torch.Tensor]:
    memory, result = None, []
    for frame in film:
        ab, memory = model.forward_frame(frame, memory)
        result.append(ab)
    return result


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_third_frame_depends_on_the_first(encoder):
    model, film = small(encoder), frames()
    with torch.no_grad():  # shaded, not another shot
        other = [(film[0] + 10 * torch.sin(film[0])).clamp(0, 100), *film[1:]]
    assert not bool(begins_shot(*((x - 50) / 50 for x in (film[1], other[0]))).any())
    one, two = coloured(model, film), coloured(model, other)
    assert not torch.equal(one[1], two[1])
    assert not torch.equal(one[2], two[2])
    alone = model(film[2])
    assert not torch.equal(one[2], alone)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_the_first_frame_is_coloured_as_a_single_picture(encoder):
    model, film = small(encoder), frames(1)
    assert torch.equal(coloured(model, film)[0], model(film[0]))
    begun = model.predict(film[0], memory=model.first_memory())
    alone = model.predict(film[0])
    assert torch.equal(begun.ab(), alone.ab())
    assert torch.equal(begun.memory.cell, alone.memory.cell)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_memory_is_plain_tensors_of_one_size_frozen(encoder):
    model = small(encoder)
    memory = model.predict(frames(1)[0]).memory
    assert type(memory) is Memory
    for value in vars(memory).values():
        assert isinstance(value, torch.Tensor)
        assert len(value) == 2
        assert value.shape[-2:] == memory.luminance.shape[-2:]
    with pytest.raises(AttributeError):
        memory.hidden = None
    halves = [Memory(**{k: v[i : i + 1] for k, v in vars(memory).items()}) for i in range(2)]
    film = frames(2)
    together = model.predict(film[1], memory=memory).ab()
    apart = [model.predict(film[1][i : i + 1], memory=halves[i]).ab() for i in range(2)]
    assert torch.allclose(together, torch.cat(apart), atol=1e-2)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_a_cut_begins_anew_for_its_picture_alone(encoder):
    model = small(encoder)
    film = frames(2)
    after = film[1].clone()
    after[0] = 100 - 0.1 * torch.rand(1, SIDE, SIDE)  # the first film's next frame is white
    film[0][0] = 10 * torch.rand(1, SIDE, SIDE)
    memory = model.predict(film[0]).memory
    cut = model.predict(after, memory=memory)
    fresh = model.predict(after)
    assert torch.equal(cut.ab()[0], fresh.ab()[0])
    assert torch.equal(cut.memory.cell[0], fresh.memory.cell[0])
    assert not torch.equal(cut.ab()[1], fresh.ab()[1])


def test_cuts_are_found_by_luminance_and_by_its_distribution():
    dark, light = torch.full((1, 1, 8, 8), -0.5), torch.full((1, 1, 8, 8), 0.2)
    assert begins_shot(light, dark).tolist() == [True]  # 35 of L
    assert begins_shot(dark + 0.01, dark).tolist() == [False]
    stripes = torch.tensor([-0.2, 0.2]).repeat(4).expand(1, 1, 8, 8)
    assert begins_shot(stripes, torch.zeros(1, 1, 8, 8) + 0.06).tolist() == [True]  # 10 of L
    assert begins_shot(stripes.flip(-1), stripes).tolist() == [False]  # the same levels, elsewhere


@torch.no_grad()
def test_from_lite_it_colours_as_lite_does_until_it_is_trained(lite):
    options = {key: lite.hparams[key] for key in ("temperature", "gain", "mix")}
    model = CNNLSTM(encoder="lite", **options).eval()
    model.start_from(lite)
    film = frames()
    for ab, frame in zip(coloured(model, film), film, strict=True):
        assert torch.equal(ab, lite(frame))
    assert type(lite) in model.kin()
    assert type(lite) not in small().kin()
    hints = Hints(torch.zeros(2, 2, SIDE, SIDE), torch.zeros(2, 1, SIDE, SIDE))
    hints.ab[:, 0, 30, 30], hints.mask[:, 0, 30, 30] = 60, 1
    assert torch.equal(model(film[0], hints), lite(film[0], hints))


@torch.no_grad()
def test_hints_are_met_in_films_too():
    model, film = small(), frames(2)
    hints = Hints(torch.zeros(2, 2, SIDE, SIDE), torch.zeros(2, 1, SIDE, SIDE))
    hints.ab[:, 0, 32:36, 32:36], hints.mask[:, 0, 32:36, 32:36] = 60, 1
    memory = model.predict(film[0]).memory
    plain = model.predict(film[1], memory=memory).ab()[:, 0, 8, 8]
    told = model.predict(film[1], hints, memory).ab()[:, 0, 8, 8]
    assert ((told - 60).abs() < 0.2 * (plain - 60).abs()).all()


@torch.no_grad()
def test_to_the_letter_there_is_one_distribution_for_each_square_of_32_pixels():
    model = small(literal=True)
    squares = model.predict(frames(1)[0]).ab().view(2, 2, 2, 8, 2, 8)
    assert torch.equal(squares, squares[:, :, :, :1, :, :1].expand_as(squares))
    assert squares[:, :, :, 0, :, 0].flatten(1).std(dim=1).min() > 0


@torch.no_grad()
def test_a_global_vector_is_fused(monkeypatch):
    model = small(features="given")
    x = frames(1)[0]
    with pytest.raises(ValueError, match="needs vector="):
        model(x)
    one, two = (model(x, vector=torch.randn(2, 1000)) for _ in range(2))
    assert not torch.equal(one, two)
    live = small(features="live")
    assert sum(p.numel() for p in live.network.features.parameters()) > 50e6
    assert not any(p.requires_grad for p in live.network.features.parameters())
    vector = live.global_vector(x)
    assert torch.equal(live(x), live(x, vector=vector))


@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_trainer_trains_it_on_clips(encoder, quick_trainer):
    torch.manual_seed(0)
    model = CNNLSTM(encoder=encoder, trains="memory", mix=1.0, lr=1e-2)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    batch = clip_batch()
    loader = DataLoader([Clips(*(part[i] for part in batch)) for i in range(2)], batch_size=2)
    quick_trainer.fit(model, loader, loader)
    for key, value in model.network.state_dict().items():
        if not key.startswith("recurrence."):
            assert torch.equal(value, before[key]), key
    changed = [k for k, v in model.network.state_dict().items() if not torch.equal(v, before[k])]
    assert any("gates" in key for key in changed)
    assert {"train/cross_entropy", "train/temporal"} <= quick_trainer.logged_metrics.keys()
    assert "val/loss" in quick_trainer.logged_metrics


def test_clips_teach_it_to_flicker_less():
    torch.manual_seed(0)
    model = CNNLSTM(encoder="paper", hidden=16, temporal=1.0, temperature=1.0, mix=1.0)
    batch = clip_batch(count=4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    flicker = []
    for _ in range(12):
        terms = model.terms(Batch.of(batch))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        flicker.append(float(terms["temporal"].detach()))
    assert flicker[-1] < 0.5 * max(flicker)


def test_the_temporal_term_is_that_of_the_loss():
    """By hand, for a network whose frames do not remember."""
    model = small(temporal=1.0, mix=1.0)
    with torch.no_grad():
        model.network.recurrence.trust.weight.zero_()
        model.network.recurrence.trust.bias.zero_()
    clips = clip_batch(count=2)
    batch = Batch.of(clips)
    seen, _ = batch.lab()
    clean = Batch.of(clips._replace(seen=clips.rgb)).lab()[0]
    grey, later = (torch.nn.functional.avg_pool2d(clean[:, t], 4) for t in range(2))
    one, two = (model.predict(seen[:, t]).ab() for t in range(2))
    flow = torch.nn.functional.avg_pool2d(clips.flow[:, 1], 4) / 4
    visible = torch.nn.functional.avg_pool2d(clips.visible[:, 1].float(), 4) == 1
    want = temporal_loss(two, one, later, grey, flow, visible)
    assert float(model.terms(batch)["temporal"].detach()) == pytest.approx(
        float(want.detach()), rel=1e-4
    )


@torch.no_grad()
def test_single_pictures_are_films_of_two_like_frames_in_training_only():
    model = small(mix=1.0)
    x, ab = frames(1)[0], torch.randn(2, 2, SIDE, SIDE)
    assert model.loss(x, ab).keys() == {"cross_entropy"}
    assert model.train().loss(x, ab).keys() == {"cross_entropy", "temporal"}


@torch.no_grad()
@pytest.mark.parametrize("encoder", ENCODERS)
def test_films_survive_a_weights_file(encoder, tmp_path):
    model, film = small(encoder), frames()
    again = load_model(save_model(model, tmp_path / "film.safetensors"))
    for one, two in zip(coloured(model, film), coloured(again, film), strict=True):
        assert torch.equal(one, two)


def test_what_does_not_go_together_is_refused():
    for options, said in [
        ({"encoder": "lite", "literal": True}, "of the paper's encoder"),
        ({"encoder": "lite", "features": "live"}, "of the paper's encoder"),
        ({"encoder": "vgg"}, "encoder must be one of"),
        ({"encoder_weights": "x.pth"}, "encoder_weights are for"),
        ({"hidden": 0}, "hidden must"),
        ({"gain": 3.0}, "gain must"),
        ({"temporal": -1.0}, "temporal must"),
    ]:
        with pytest.raises(ValueError, match=said):
            create_model("cnn_lstm", **options)


def test_memory_of_another_film_is_refused():
    model = small()
    memory = model.predict(frames(1)[0]).memory
    with pytest.raises(ValueError, match="have one size"):
        model.predict(torch.zeros(2, 1, SIDE, 2 * SIDE), memory=memory)
    with pytest.raises(TypeError, match="remembers a Memory, got dict"):
        model.predict(torch.zeros(2, 1, SIDE, SIDE), memory={})
