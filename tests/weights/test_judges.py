"""Networks that judge: fetched and verified as checkpoints are, loaded without running code."""

import hashlib
import io
from dataclasses import replace

import pytest
import torch
import torchvision

from deepcolor.metrics import FID, LPIPS, AlexNetDistance
from deepcolor.weights import (
    DownloadError,
    WeightsError,
    judges,
    load_classifier,
    load_extractor,
    load_lpips,
)


def publish(server, monkeypatch, judge: str, state: dict) -> str:
    """Serve a state dict in the place of a judge's weights."""
    stream = io.BytesIO()
    torch.save(state, stream)
    blob = stream.getvalue()
    entry = judges.JUDGES[judge]
    server.files[entry.file] = blob
    moved = replace(
        entry,
        location=f"{server.address}/{entry.file}",
        sha256=hashlib.sha256(blob).hexdigest(),
        size=len(blob),
    )
    monkeypatch.setattr(judges, "JUDGES", {**judges.JUDGES, judge: moved})
    return entry.file


def alexnet() -> dict:
    return {
        f"features.{key}": value
        for key, value in torchvision.models.alexnet(weights=None).features.state_dict().items()
    }


def test_lpips_loads_what_was_published_once(server, home, monkeypatch, photograph):
    state = alexnet()
    file = publish(server, monkeypatch, "alexnet", state)
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255
    metric, want = LPIPS(load_lpips()), LPIPS(AlexNetDistance(state))
    load_lpips()
    for one in (metric, want):
        one.update(rgb.flip(-1), rgb)
    assert metric.compute() == want.compute()
    assert len(server.requests) == 1
    assert (home / file).is_file()


def test_lpips_refuses_the_weights_of_another_network(server, home, monkeypatch):
    publish(server, monkeypatch, "alexnet", {"features.0.weight": torch.zeros(2)})
    with pytest.raises(WeightsError, match="no weights of torchvision's AlexNet"):
        load_lpips()


@pytest.mark.parametrize(
    ("load", "judge"), [(load_lpips, "alexnet"), (load_extractor, "inception")]
)
def test_offline_a_judge_says_which_file_goes_where(load, judge, home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file = judges.JUDGES[judge].file
    with pytest.raises(DownloadError, match=rf"fetch http.*{file} by other means.*{home}"):
        load()


def random_inception(monkeypatch) -> dict:
    """A state dict of FID's Inception, of random weights: it cannot be built without one."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    kind = fidelity.FeatureExtractorInceptionV3
    with monkeypatch.context() as patched:
        patched.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(kind, "load_state_dict", lambda *_, **__: None)
        network = kind("inception-v3-compat", ["2048"])
    return network.state_dict()


def test_inception_gives_its_last_features_of_8_bit_pictures(server, home, monkeypatch):
    state = random_inception(monkeypatch)
    publish(server, monkeypatch, "inception", state)
    extractor = load_extractor("inception")
    rgb = torch.rand(2, 3, 40, 50)
    features = extractor(rgb)
    assert features.shape == (2, 2048)
    assert torch.equal(features, extractor((255 * rgb).round() / 255))
    metric = FID(extractor)
    metric.update(rgb, rgb)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-3)


def test_inception_refuses_the_weights_of_another_network(server, home, monkeypatch):
    publish(server, monkeypatch, "inception", {"fc.weight": torch.zeros(2)})
    with pytest.raises(WeightsError, match="no weights of FID's Inception"):
        load_extractor("inception")


def test_inception_without_its_package_names_the_extra(home, monkeypatch):
    monkeypatch.setattr(judges, "fetch", lambda *_: home / "none")

    def missing(name: str):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(judges.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .* torch-fidelity; or take"):
        load_extractor("inception")


def test_unknown_extractors_are_named_with_what_there_is():
    with pytest.raises(ValueError, match="no extractor named 'vgg'; there are: inception, eff"):
        load_extractor("vgg")


def test_the_packaged_classifier_knows_a_cat_and_a_rocket():
    import skimage.data

    classifier = load_classifier()
    known = {"chelsea": range(281, 286), "rocket": [657, 744, 812], "coffee": [504, 967, 968]}
    for name, classes in known.items():
        rgb = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1)[None] / 255
        assert int(classifier(rgb).argmax()) in classes  # cats; missile, projectile; cups


def test_the_packaged_extractor_gives_the_classifiers_features():
    extractor = load_extractor("efficientnet_lite0")
    assert extractor(torch.rand(2, 3, 60, 50)).shape == (2, 1280)
