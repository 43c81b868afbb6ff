"""The table's figures, against outside references; the protocol; what becomes of bad files."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.metrics
import torch
from PIL import Image
from torch import nn

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.evaluation import (
    METRICS,
    Preparation,
    evaluate,
    find_photographs,
    mean_ab,
    measures,
    tables,
)
from deepcolor.evaluation.photos import evenly, imagenet_class, read_rgb
from deepcolor.inference import Options, predict_ab, predict_logits
from deepcolor.metrics import FrozenClassifier
from deepcolor.quantize import AbQuantizer
from deepcolor.upsample import upsample_chroma

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four photographs that scikit-image carries, of different shapes."""
    root = tmp_path_factory.mktemp("photos")
    for name in NAMES:
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((150, 150))
        image.save(root / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def predictor():
    return deepcolor.Predictor("lite.photos", device="cpu")


@pytest.fixture(scope="module")
def result(folder, predictor):
    return evaluate(find_photographs([folder]), {"lite.photos": predictor})


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def pairs(folder, predictor) -> list[tuple[np.ndarray, np.ndarray]]:
    """Coloured by the public call, and true: (H, W, 3) uint8 each."""
    truths = [pixels(folder / f"{name}.png") for name in NAMES]
    return [(predictor(truth), truth) for truth in truths]


def colourfulness_by_hand(rgb: np.ndarray, absolute: bool) -> float:
    red, green, blue = rgb.reshape(-1, 3).astype(float).T
    rg, yb = red - green, (red + green) / 2 - blue
    if absolute:
        rg, yb = np.abs(rg), np.abs(yb)
    return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())


def auc_by_hand(pairs) -> dict[str, float]:
    """Both areas, from the definition: distances, weights 1 / p of the true bin, trapezoids."""
    centres = AbQuantizer.gamut313().centres.numpy().astype(float)
    errors, bins = [], []
    for coloured, truth in pairs:
        ab, true = (skimage.color.rgb2lab(x)[..., 1:].reshape(-1, 2) for x in (coloured, truth))
        errors.append(np.linalg.norm(ab - true, axis=1))
        bins.append(np.linalg.norm(true[:, None] - centres, axis=2).argmin(1))
    error, bin_of = np.concatenate(errors), np.concatenate(bins)
    counts = np.bincount(bin_of, minlength=313).astype(float)
    kernel = np.exp(-(np.linalg.norm(centres[:, None] - centres, axis=2) ** 2) / (2 * 5**2))
    prior = (kernel / kernel.sum(0)) @ counts
    weights = 1 / np.maximum(prior / prior.sum(), 1e-6)

    def area(weight: np.ndarray) -> float:
        curve = [weight[error <= t].sum() / weight.sum() for t in range(151)]
        return 100 * np.trapezoid(curve) / 150

    return {"auc": area(np.ones_like(error)), "auc_rebalanced": area(weights[bin_of])}


def test_the_table_is_what_outside_references_say(result, pairs):
    lab = [[skimage.color.rgb2lab(x) for x in pair] for pair in pairs]
    differences = [skimage.color.deltaE_ciede2000(one, other).ravel() for one, other in lab]
    grey = [[(np.hypot(x[..., 1], x[..., 2]) < 4).mean() for x in pair] for pair in lab]
    want = {
        "psnr": np.mean([skimage.metrics.peak_signal_noise_ratio(t, c) for c, t in pairs]),
        "ssim": np.mean(
            [
                skimage.metrics.structural_similarity(
                    c, t, channel_axis=2, gaussian_weights=True, use_sample_covariance=False
                )
                for c, t in pairs
            ]
        ),
        **auc_by_hand(pairs),
        "ciede2000": np.concatenate(differences).mean(),
        "grey_pixels_beyond_truth": np.mean([coloured - true for coloured, true in grey]),
    }
    for suffix, absolute in (("", False), ("_absolute", True)):
        means = [np.mean([colourfulness_by_hand(p[i], absolute) for p in pairs]) for i in (0, 1)]
        want[f"colourfulness{suffix}"] = means[0]
        want[f"colourfulness{suffix}_delta"] = abs(means[0] - means[1])
        if not absolute:
            want["colourfulness_share"] = means[0] / means[1]
    have = result.rows["lite.photos"]
    assert set(have) == {*want, "top1", "top5"}
    assert {key: have[key] for key in want} == pytest.approx(want, rel=1e-3)
    assert have["psnr"] == pytest.approx(want["psnr"], abs=1e-3)


def test_grey_and_truth_frame_the_models(result):
    grey, truth = result.rows["grey"], result.truth
    assert list(result.rows) == ["grey", "lite.photos"]
    assert grey["colourfulness_share"] < 0.01
    assert grey["grey_pixels_beyond_truth"] > 0.5
    assert "top1" not in grey
    assert truth["colourfulness"] > 20
    assert truth["colourfulness_share"] == 1
    assert "psnr" not in truth


def test_a_tint_is_a_row_of_its_own_and_beats_grey_where_it_was_fitted(folder, predictor):
    photos = find_photographs([folder])
    tint = mean_ab(photos)
    by_hand = np.mean(
        [skimage.color.rgb2lab(pixels(folder / f"{n}.png"))[..., 1:].mean((0, 1)) for n in NAMES], 0
    )
    assert tint.numpy() == pytest.approx(by_hand, abs=0.01)
    done = evaluate(photos, {}, ["psnr", "ciede2000"], tint=tint)
    assert list(done.rows) == ["grey", "tint"]
    assert done.rows["tint"]["psnr"] > done.rows["grey"]["psnr"]
    assert "tint: ab" in tables.as_table(done)


def test_logits_are_those_that_chroma_comes_from(lite):
    luminance = 100 * torch.rand(1, 1, 75, 110)
    logits = predict_logits(lite, luminance)
    ab = upsample_chroma(lite.decode(logits), luminance, False, None)
    smooth = predict_ab(lite, luminance, quality="balanced")
    assert logits.shape[1] == 313
    # predict_ab follows edges besides, which moves single pixels, not the whole.
    assert (ab - smooth).mean().abs() < 0.05
    assert (ab - smooth).abs().mean() < 3


def test_bin_accuracy_is_that_of_the_argmax(result, pairs, lite):
    hits, count = 0.0, 0
    for _, truth in pairs:
        rgb = unit_rgb(torch.from_numpy(truth.copy()).permute(2, 0, 1))[None]
        luminance, ab = split_lab(rgb_to_lab(rgb))
        logits = predict_logits(lite, luminance)
        small = nn.functional.adaptive_avg_pool2d(ab, logits.shape[-2:])
        centres = lite.quantizer.centres
        true = (small.permute(0, 2, 3, 1)[..., None, :] - centres).norm(dim=-1).argmin(-1)
        hits += float((logits.argmax(1) == true).sum())
        count += true.numel()
    assert result.rows["lite.photos"]["top1"] == pytest.approx(100 * hits / count, abs=0.1)


def test_temperature_and_saturation_reach_the_models_and_are_recorded(folder, predictor):
    photos = find_photographs([folder])[:2]
    how = Options(temperature=1.0, saturation=0.5)
    done = evaluate(photos, {"m": predictor}, ["colourfulness"], options=how)
    by_hand = np.mean(
        [
            colourfulness_by_hand(
                predictor(pixels(folder / f"{n}.png"), temperature=1.0, saturation=0.5), False
            )
            for n in NAMES[:2]
        ]
    )
    assert done.rows["m"]["colourfulness"] == pytest.approx(by_hand, rel=1e-4)
    assert done.record()["options"] == {
        "temperature": 1.0, "size": None, "quality": "balanced", "saturation": 0.5,
        "borders": True,
    }  # fmt: skip


def test_the_hash_is_of_contents_and_preparation_not_of_names_or_models(folder, tmp_path, result):
    def hashed(path, **preparation):
        photos = find_photographs([path])
        return evaluate(photos, {}, ["psnr"], preparation=Preparation(**preparation)).protocol.hash

    assert hashed(folder) == result.protocol.hash
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (moved / "coffee.png").rename(moved / "zzz.png")
    assert hashed(moved) == result.protocol.hash
    assert hashed(folder, short_side=64) != result.protocol.hash
    assert hashed(folder, crop="centre") != result.protocol.hash
    image = Image.open(moved / "zzz.png")
    image.load()
    image.putpixel((0, 0), (1, 2, 3))
    image.save(moved / "zzz.png")
    assert hashed(moved) != result.protocol.hash


def test_preparation_crops_and_resizes_as_pillow_does(folder):
    truth = pixels(folder / "coffee.png")
    rgb = torch.from_numpy(truth.copy()).permute(2, 0, 1)
    prepared = Preparation(crop="centre", short_side=48)(rgb)
    height, width = truth.shape[:2]
    left, top = round((width - min(height, width)) / 2), (height - min(height, width)) // 2
    box = (left, top, left + min(height, width), top + min(height, width))
    want = Image.fromarray(truth).crop(box).resize((48, 48), Image.Resampling.LANCZOS)
    assert np.array_equal(prepared.permute(1, 2, 0).numpy(), np.asarray(want))
    assert Preparation(short_side=64)(rgb).shape == (3, 64, round(64 * width / height))
    assert torch.equal(Preparation()(rgb), rgb)
    with pytest.raises(ValueError, match="no crop named 'middle'; there are: none, centre"):
        Preparation(crop="middle")


def test_a_bad_file_counts_in_no_row_and_is_named(folder, tmp_path, predictor, result):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    (mixed / "broken.png").write_bytes((folder / "coffee.png").read_bytes()[:900])
    Image.new("RGB", (200, 5), "red").save(mixed / "flat.png")
    done = evaluate(find_photographs([mixed]), {"lite.photos": predictor})
    assert done.rows == result.rows
    assert done.protocol.hash == result.protocol.hash
    (broken, first), (flat, second) = done.problems
    assert (broken, flat) == ("broken.png", "flat.png")
    assert "broken.png" in first
    assert "flat.png: 200 x 5 pixels are too few" in second


def test_a_photograph_that_one_model_fails_on_counts_in_no_row(folder, predictor, monkeypatch):
    def fails(rgb, *_):
        if rgb.shape[-1] == rgb.shape[-2]:
            raise RuntimeError("squares\nconfuse me")
        return predictor(rgb)

    class Failing:
        device, model, size = predictor.device, None, None
        run = staticmethod(fails)

    done = evaluate(find_photographs([folder]), {"good": predictor, "bad": Failing()}, ["psnr"])
    assert done.problems == [("astronaut.png", "astronaut.png: squares confuse me")]
    assert len(done.protocol.photographs) == 3
    assert done.rows["good"] == done.rows["bad"]


def test_grey_photographs_are_noted_and_nothing_but_them_is_refused(folder, tmp_path):
    Image.open(folder / "coffee.png").convert("L").save(tmp_path / "old.png")
    with pytest.raises(ValueError, match=r"all 1 photographs are grey.*deepcolor compare"):
        evaluate(find_photographs([tmp_path]), {})
    done = evaluate(find_photographs([tmp_path, folder]), {}, ["ciede2000"])
    assert done.notes == ["1 of 5 photographs are grey themselves, and count: old.png"]


def test_one_photograph_is_enough_but_not_for_distributions(folder):
    photos = find_photographs([folder / "coffee.png"])
    assert evaluate(photos, {}, ["psnr"]).rows["grey"]["psnr"] > 10
    with pytest.raises(ValueError, match="fid compare sets: give at least two photographs"):
        evaluate(photos, {}, ["fid"])


def test_unknown_metrics_are_named_with_what_there_is():
    with pytest.raises(ValueError, match=r"no metric named 'pnsr'; there are: psnr, ssim, .*"):
        evaluate([], {}, ["pnsr"])


class Means(nn.Module):
    """Three answers: the mean of each channel."""

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return rgb.mean(dim=(2, 3))


@pytest.fixture
def judged(monkeypatch):
    """Judges that need no weights."""
    classifier = FrozenClassifier(Means(), 32, 40, (0.5,) * 3, (0.5,) * 3)
    monkeypatch.setattr(measures, "load_classifier", lambda: classifier)
    monkeypatch.setattr(measures, "load_extractor", lambda name: Means())


def test_distributions_and_recognition_are_columns_when_asked_for(folder, predictor, judged):
    names = ["fid", "hue_invariant_fid", "recognisability"]
    done = evaluate(find_photographs([folder]), {"lite": predictor}, names, extractor="means")
    assert set(done.rows["lite"]) == {"fid_means", "hue_invariant_fid_means", "recognisability"}
    assert done.rows["lite"]["fid_means"] < done.rows["grey"]["fid_means"]
    assert done.truth == {"recognisability": 100.0}  # against its own answers
    assert "recognisability is against the classifier's answers on the true photographs" in (
        done.notes
    )
    assert any("FID over 4 pictures" in note for note in done.notes)


def test_recognition_is_against_the_folders_classes_where_they_name_some(folder, tmp_path, judged):
    for number, wordnet in enumerate(("n01440764", "n01443537")):  # ImageNet's first two classes
        (tmp_path / wordnet).mkdir()
        colour = [(200, 100, 90), (210, 90, 100)][number]  # the first channel is the brightest
        Image.new("RGB", (60, 60), colour).save(tmp_path / wordnet / "x.png")
    done = evaluate(find_photographs([tmp_path]), {}, ["recognisability"])
    assert done.truth == {"recognisability": 50.0}  # "0" for both: right for the first
    assert any("ImageNet classes" in note for note in done.notes)
    assert imagenet_class("n01443537/x.png") == 1
    assert imagenet_class("photos/x.png") is imagenet_class("n99999999/x.png") is None


def test_photographs_are_found_in_folders_archives_and_as_files(folder, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(folder, "set")
    names = [photo.name for photo in find_photographs([tmp_path / "all.tar"])]
    assert names == [f"set/{name}.png" for name in NAMES]
    assert [photo.name for photo in find_photographs([folder, folder / "coffee.png"])] == [
        f"{name}.png" for name in NAMES
    ]
    in_tar, in_folder = find_photographs([tmp_path / "all.tar"]), find_photographs([folder])
    assert [p.read() for p in in_tar] == [p.read() for p in in_folder]
    assert [p.name for p in evenly(in_folder, 2)] == ["astronaut.png", "rocket.png"]
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        find_photographs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no photographs below .*empty"):
        find_photographs([tmp_path / "empty"])


def test_photographs_are_read_upright_and_at_eight_bits(photograph):
    image = Image.fromarray(photograph[:100])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    turned = read_rgb(file.getvalue(), "turned.png")
    assert np.array_equal(turned.permute(1, 2, 0).numpy(), np.rot90(photograph[:100], -1))
    file = io.BytesIO()
    Image.fromarray(photograph[..., 0].astype(np.uint16) * 257).save(file, "PNG")
    deep = read_rgb(file.getvalue(), "deep.png")
    assert deep.dtype == torch.uint8
    assert np.array_equal(deep[2].numpy(), photograph[..., 0])
    with pytest.raises(ValueError, match=r"x\.png"):
        read_rgb(b"no picture", "x.png")


def test_csv_and_json_hold_the_table(result):
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(result))))
    assert [row["model"] for row in rows] == ["grey", "lite.photos", "truth"]
    assert float(rows[1]["auc"]) == result.rows["lite.photos"]["auc"]
    assert rows[0]["top1"] == rows[2]["psnr"] == ""
    assert {row["protocol"] for row in rows} == {result.protocol.hash}
    record = json.loads(tables.as_json(result))
    assert record["rows"] == result.rows
    assert record["protocol"]["hash"] == result.protocol.hash
    assert [one["name"] for one in record["protocol"]["photographs"]] == [
        f"{name}.png" for name in NAMES
    ]
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["seconds_per_photograph"]["lite.photos"] > 0


def test_figures_without_bound_are_null_in_json_and_the_table_stays(folder, tmp_path):
    Image.open(folder / "coffee.png").convert("L").convert("RGB").save(tmp_path / "old.png")
    done = evaluate(find_photographs([tmp_path, folder]), {}, ["psnr"])
    assert done.rows["grey"]["psnr"] == float("inf")
    assert json.loads(tables.as_json(done))["rows"]["grey"]["psnr"] is None
    assert "inf" in tables.as_table(done)


def test_the_checkpoints_expected_figures_are_columns_of_the_table(result):
    columns = set(result.rows["lite.photos"])
    for checkpoint in deepcolor.weights.CHECKPOINTS.values():
        assert set(checkpoint.expected) <= columns


def test_every_metric_is_described():
    assert all(text.strip() for text in METRICS.values())
    assert set(measures.DEFAULT_METRICS) < set(METRICS)
