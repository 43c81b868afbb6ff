"""The checkpoints, in one literal table, and what their licences allow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "CHECKPOINTS",
    "COMMERCIAL",
    "DEFAULT",
    "PACKAGE",
    "About",
    "Checkpoint",
    "Published",
    "safe_address",
]

DEFAULT = "lite.photos"
PACKAGE = "package:"  # location of a file that the wheel carries
RELEASE = "https://colorizers.s3.us-east-2.amazonaws.com/"  # Zhang et al.'s own, both papers
LOOPBACK = ("127.0.0.1", "::1")  # of this machine, where no network can be listened to

# Licences of weights that allow commercial use, by their SPDX identifiers. A licence that is not
# here is not assumed to.
COMMERCIAL = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT",
        "Unlicense",
    }
)  # fmt: skip


def safe_address(address: str) -> bool:
    """Whether nobody between can change what comes from an address, or see what is asked for."""
    parts = urlsplit(address)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    return local or (parts.scheme == "https" and bool(parts.hostname))


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of weights: what their model card and `deepcolor models --long` say.

    Example:
        >>> About(license="MIT", trained_on="9,000 postcards", source="our archive").commercial
        True
    """

    license: str
    """Of the weights, as an SPDX identifier: "Apache-2.0", "CC-BY-NC-4.0"."""
    terms: str = ""
    """What the licence does not say, such as the terms of the training photographs."""
    backbone_license: str | None = None
    """Of the pretrained weights that training started from or that the file holds."""
    trained_on: str
    source: str
    """Paper, repository or recipe that the weights come from."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Figures that `measured_on` must reproduce."""
    measured_on: str = ""
    """Photographs, sizes and command of the figures."""

    def __post_init__(self) -> None:
        for key in ("license", "trained_on", "source"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} is empty: say it, be it 'unknown'")
        if self.expected and not self.measured_on:
            raise ValueError("figures without measured_on say nothing: name the photographs")

    @property
    def commercial(self) -> bool:
        """Whether the licences of the weights and of their backbone allow commercial use."""
        return {self.license, self.backbone_license or self.license} <= COMMERCIAL


@dataclass(frozen=True, kw_only=True)
class Published(About):
    """A published file of weights: where it is, and what is known of it."""

    location: str
    """"package:NAME" for a file in the wheel, or the address of a file to download: https, or
    http of this machine by number (http://127.0.0.1:PORT/...), as tests serve it."""
    sha256: str
    """All 64 hex digits. Of others' files PyTorch's names tell the first eight; the rest, and the
    sizes, are what several public projects that use the same files state."""
    size: int = 0
    """In bytes, of a file to download: not one more is taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"{self.location}: {self.sha256!r} is no sha256 of 64 hex digits")
        if self.downloaded and not safe_address(self.location):
            raise ValueError(f"{self.location}: weights are downloaded over https alone")
        if self.downloaded and self.size < 1:
            raise ValueError(f"{self.location}: size is missing: how many bytes it has")

    @property
    def downloaded(self) -> bool:
        """Whether the file comes by network, not with the wheel."""
        return not self.location.startswith(PACKAGE)

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.location.removeprefix(PACKAGE).rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Published):
    """Published weights of a model."""

    model: str
    """Key of MODELS."""
    hparams: Mapping[str, Any]


CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        "lite.photos": Checkpoint(
            location="package:lite.photos.safetensors",
            sha256="41a7d190da89952eeb852a72449095bc3a93effac6a1b3445c529ac732eb523c",
            model="lite",
            hparams={"temperature": 0.8, "gain": 1.3, "mix": 0.99},
            trained_on="35,221 photographs from 13 public sets, in docs/lite.md",
            license="Apache-2.0",
            terms="some of the training photographs are for research use only, see docs/lite.md",
            backbone_license="Apache-2.0",
            source="recipes/lite.photos.sh, from the ImageNet weights of EfficientNet-Lite0",
            measured_on=(
                "the 300 photographs of BSDS500's train and val parts at 256 px,"
                " by deepcolor evaluate"
            ),
            expected={
                "psnr": 23.31,
                "auc": 89.77,
                "auc_rebalanced": 74.80,
                "ciede2000": 11.30,
                "colourfulness_share": 0.77,
                "grey_pixels_beyond_truth": 0.066,
            },
        ),
        "cnn_lstm.lite": Checkpoint(
            location="package:cnn_lstm.lite.safetensors",
            sha256="4ab305b5f7e510eeebe804e34e5807ba8e8551935196ab59a999c67423da1b48",
            model="cnn_lstm",
            hparams={"encoder": "lite", "temperature": 0.8, "gain": 1.3, "mix": 0.99},
            trained_on=(
                "lite.photos as it is, and a memory that learned from 4,266 clips of 8 frames at"
                " 128 px, made of its training photographs without tiny_imagenet"
            ),
            license="Apache-2.0",
            terms="some of the training photographs are for research use only, see docs/lite.md",
            backbone_license="Apache-2.0",
            source="the settings of recipes/cnn_lstm.lite.yaml, 1,422 steps, from lite.photos",
        ),
        "eccv16.caffe": Checkpoint(
            location=f"{RELEASE}colorization_release_v2-9b330a0b.pth",
            sha256="9b330a0bae53f4ded77b1e23defbf78beaa09c10ebc4c4999e8e4f4a160b93f9",
            size=128_976_165,
            model="eccv16",
            # The release's forward is softmax, then its last layer: no temperature of its own.
            hparams={"temperature": 1.0},
            trained_on="1.3 million photographs of ImageNet (ILSVRC 2012, train)",
            license="BSD-2-Clause",
            terms="ImageNet's photographs are for research use",
            source="Zhang, Isola, Efros: Colorful Image Colorization, 2016; the authors' release",
        ),
        "siggraph17.caffe": Checkpoint(
            location=f"{RELEASE}siggraph17-df00044c.pth",
            sha256="df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66",
            size=136_787_426,
            model="siggraph17",
            hparams={"mask_offset": 0.0},  # they come from Caffe, whose masks are 0 and 1
            trained_on="1.3 million photographs of ImageNet (ILSVRC 2012, train)",
            license="BSD-2-Clause",
            terms="ImageNet's photographs are for research use",
            source=(
                "Zhang et al.: Real-Time User-Guided Image Colorization with Learned Deep Priors,"
                " 2017; the authors' release"
            ),
        ),
    }
)
