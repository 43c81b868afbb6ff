import pytest
import timm
from torch import nn

from deepcolor.models import MODELS, create_model
from deepcolor.weights import CHECKPOINTS, DEFAULT, About, Checkpoint
from deepcolor.weights.judges import JUDGES
from deepcolor.weights.licenses import backbone_licenses, check_backbones
from deepcolor.weights.table import COMMERCIAL

KNOWN = {"license": "MIT", "trained_on": "postcards", "source": "us"}


def test_the_published_files_are_those_of_the_releases():
    files = {name: c.file for name, c in CHECKPOINTS.items() if c.license == "BSD-2-Clause"}
    published = {
        "eccv16.caffe": "colorization_release_v2-9b330a0b.pth",
        "siggraph17.caffe": "siggraph17-df00044c.pth",
    }
    assert files == published
    for name in files:
        checkpoint = CHECKPOINTS[name]
        assert checkpoint.location.startswith("https://")
        assert checkpoint.file.endswith(f"-{checkpoint.sha256[:8]}.pth")  # as PyTorch names them


BIG = {  # bytes of the numbers that each file must hold: four a parameter
    "deoldify.artistic": 4 * 63_646_881,
    "deoldify.stable": 4 * 218_222_197,
    "deoldify.video": 4 * 218_222_197,
    "ddcolor.paper": 4 * 227_869_328,
    "ddcolor.modelscope": 4 * 227_869_328,
    "ddcolor.artistic": 4 * 227_869_328,
    "ddcolor.tiny": 4 * 55_006_640,
}


@pytest.mark.parametrize("name", sorted(BIG))
def test_sizes_are_those_of_the_layouts_and_little_more(name):
    checkpoint = CHECKPOINTS[name]
    assert checkpoint.location.startswith("https://")
    assert checkpoint.license == ("MIT" if checkpoint.model == "deoldify" else "Apache-2.0")
    assert BIG[name] < checkpoint.size < 1.003 * BIG[name]


def test_no_two_downloads_share_a_file():
    files = [c.file for c in CHECKPOINTS.values()]
    assert len(set(files)) == len(files)
    digests = {c.sha256 for c in CHECKPOINTS.values()}
    assert len(digests) == len(files)


def test_published_weights_decode_as_their_release():
    assert CHECKPOINTS["eccv16.caffe"].hparams == {"temperature": 1.0}
    assert CHECKPOINTS["siggraph17.caffe"].hparams == {"mask_offset": 0.0}


@pytest.mark.parametrize("judge", sorted(JUDGES))
def test_the_judges_are_known_whole_too(judge):
    assert JUDGES[judge].file.endswith(f"-{JUDGES[judge].sha256[:8]}.pth")


DIGEST = 64 * "a"


@pytest.mark.parametrize(
    ("location", "sha256", "size", "said"),
    [
        ("package:x.safetensors", "12345678", 0, "is no sha256"),
        ("https://example.org/x.pth", "12345678", 9, "is no sha256 of 64"),  # as names tell it
        ("https://example.org/x.pth", 64 * "G", 9, "is no sha256"),
        ("https://example.org/x.pth", "", 9, "is no sha256"),
        ("https://example.org/x.pth", DIGEST, 0, "size is missing"),
        ("http://example.org/x.pth", DIGEST, 9, "over https alone"),
        ("http://127.0.0.1.example.org/x.pth", DIGEST, 9, "over https alone"),
        ("http://127.0.0.1:9@example.org/x.pth", DIGEST, 9, "over https alone"),
        ("ftp://example.org/x.pth", DIGEST, 9, "over https alone"),
        ("file:///etc/passwd", DIGEST, 9, "over https alone"),
    ],
)
def test_a_file_that_could_be_another_is_refused(location, sha256, size, said):
    known = {"model": "lite", "hparams": {}, **KNOWN}
    with pytest.raises(ValueError, match=said):
        Checkpoint(location=location, sha256=sha256, size=size, **known)


def test_this_machine_may_serve_without_encryption():
    known = {"model": "lite", "hparams": {}, **KNOWN}
    for host in ("127.0.0.1:8000", "[::1]:8000"):
        Checkpoint(location=f"http://{host}/x.pth", sha256=DIGEST, size=9, **known)


def test_weights_say_their_licence_and_what_their_figures_were_measured_on():
    with pytest.raises(ValueError, match="license is empty"):
        About(**KNOWN | {"license": " "})
    with pytest.raises(ValueError, match="measured_on"):
        About(**KNOWN, expected={"psnr": 20.0})


def test_the_default_checkpoint_allows_commercial_use():
    assert CHECKPOINTS[DEFAULT].commercial


@pytest.mark.parametrize("license", ["CC-BY-NC-4.0", "unknown", "OpenRAIL", "CC-BY-NC-SA-4.0"])
def test_commercial_use_is_never_assumed(license):
    assert not About(**KNOWN | {"license": license}).commercial
    assert not About(**KNOWN, backbone_license=license).commercial
    assert license not in COMMERCIAL


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_model_has_a_non_commercial_backbone_by_default(name):
    check_backbones(name, create_model(name))


def test_a_non_commercial_backbone_is_refused_as_a_default():
    free = timm.create_model("resnet18")
    assert backbone_licenses(nn.Sequential(free)) == {"resnet18": "Apache-2.0"}
    check_backbones("mine", free)
    bound = nn.Sequential(timm.create_model("convnextv2_atto", features_only=True))
    with pytest.raises(ValueError, match=r"mine has the backbone convnextv2_atto.*cc-by-nc-4\.0"):
        check_backbones("mine", bound)
