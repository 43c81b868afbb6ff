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
DEEPAI = "https://data.deepai.org/deoldify/"  # DeOldify's README sends there
HUB = "https://huggingface.co/"
IMAGENET = "1.3 million photographs of ImageNet (ILSVRC 2012, train)"
RESEARCH = "ImageNet's photographs are for research use"
ANTIC = "Antic: DeOldify, 2018 to 2021; the author's release"
KANG = "Kang et al.: DDColor, ICCV 2023; the authors' release"
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
    saved_as: str = ""
    """Name of the file in the folder of downloads, where the address ends in one that others share:
    "pytorch_model.bin"."""

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
        return self.saved_as or self.location.removeprefix(PACKAGE).rsplit("/", 1)[-1]


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
            measured_on=(
                "the 300 photographs of BSDS500's train and val parts at 256 px,"
                " by deepcolor evaluate: single pictures, as lite.photos to the bit"
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
        "eccv16.caffe": Checkpoint(
            location=f"{RELEASE}colorization_release_v2-9b330a0b.pth",
            sha256="9b330a0bae53f4ded77b1e23defbf78beaa09c10ebc4c4999e8e4f4a160b93f9",
            size=128_976_165,
            model="eccv16",
            # The release's forward is softmax, then its last layer: no temperature of its own.
            hparams={"temperature": 1.0},
            trained_on=IMAGENET,
            license="BSD-2-Clause",
            terms=RESEARCH,
            source="Zhang, Isola, Efros: Colorful Image Colorization, 2016; the authors' release",
        ),
        "siggraph17.caffe": Checkpoint(
            location=f"{RELEASE}siggraph17-df00044c.pth",
            sha256="df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66",
            size=136_787_426,
            model="siggraph17",
            hparams={"mask_offset": 0.0},  # they come from Caffe, whose masks are 0 and 1
            trained_on=IMAGENET,
            license="BSD-2-Clause",
            terms=RESEARCH,
            source=(
                "Zhang et al.: Real-Time User-Guided Image Colorization with Learned Deep Priors,"
                " 2017; the authors' release"
            ),
        ),
        "deoldify.artistic": Checkpoint(
            location=f"{DEEPAI}ColorizeArtistic_gen.pth",
            sha256="3f750246fa220529323b85a8905f9b49c0e5d427099185334d048fb5b5e22477",
            size=255_144_681,
            model="deoldify",
            hparams={"variant": "artistic"},
            trained_on=f"{IMAGENET}, by NoGAN",
            license="MIT",
            terms=RESEARCH,
            source=ANTIC,
        ),
        "deoldify.stable": Checkpoint(
            # The author's README leads to a file sharer; this is a copy, the same by its sha256.
            location=f"{HUB}spensercai/DeOldify/resolve/main/ColorizeStable_gen.pth",
            sha256="ca9cd7f43fb8b222c9a70f7b292e305a000694b0ff9d2ae4a6747b1a2e1ee5af",
            size=874_066_230,
            model="deoldify",
            hparams={"variant": "stable"},
            trained_on=f"{IMAGENET}, by NoGAN",
            license="MIT",
            terms=RESEARCH,
            source=f"{ANTIC}, from a copy of it",
        ),
        "deoldify.video": Checkpoint(
            location=f"{DEEPAI}ColorizeVideo_gen.pth",
            sha256="e3d98bb6a222354c79f95485c2f078a89dc724e9183662506d9e0f5aafac83ad",
            size=874_066_230,
            model="deoldify",
            hparams={"variant": "video"},
            trained_on=f"{IMAGENET}, with noise, by NoGAN",
            license="MIT",
            terms=RESEARCH,
            source=ANTIC,
        ),
        "ddcolor.paper": Checkpoint(
            location=f"{HUB}piddnad/ddcolor_paper/resolve/main/pytorch_model.bin",
            saved_as="ddcolor_paper.bin",
            sha256="5c77db8292398a2ec1397003f0a90266c28e97b013515d5e9a32e73a4c54a67d",
            size=911_914_869,  # of its siblings, which hold the same; its page says 912 MB
            model="ddcolor",
            hparams={"encoder": "large"},
            trained_on=IMAGENET,
            license="Apache-2.0",
            terms=RESEARCH,
            source=KANG,
        ),
        "ddcolor.modelscope": Checkpoint(
            location=(
                f"{HUB}piddnad/ddcolor_modelscope/resolve/"
                "060f67494e31883a4b13cb27f889f3154847ada4/pytorch_model.bin"
            ),
            saved_as="ddcolor_modelscope.bin",
            sha256="d81711971ec59200da26d5e8a1afae8dd3778d495ea8ad7a7dadc769f403f7e7",
            size=911_914_869,
            model="ddcolor",
            hparams={"encoder": "large"},
            trained_on="ImageNet's photographs (ILSVRC 2012, train), cleaned as for BigColor",
            license="Apache-2.0",
            terms=RESEARCH,
            source=f"{KANG}, which it recommends",
        ),
        "ddcolor.artistic": Checkpoint(
            location=(
                f"{HUB}piddnad/ddcolor_artistic/resolve/"
                "aa10f72fffc89a6658e37b48556050b4d9a26f63/pytorch_model.bin"
            ),
            saved_as="ddcolor_artistic.bin",
            sha256="5a076e84efce59848394f572a105f7b78f7f6e917f615d1ee88537241b96dca3",
            size=911_914_869,
            model="ddcolor",
            hparams={"encoder": "large", "colourfulness": 0.0},
            trained_on="ImageNet's photographs (ILSVRC 2012, train) and its authors' own",
            license="Apache-2.0",
            terms=RESEARCH,
            source=KANG,
        ),
        "ddcolor.tiny": Checkpoint(
            location=(
                f"{HUB}piddnad/ddcolor_paper_tiny/resolve/"
                "cf9fd99c1d7472689ec7413441c1b799a51866a3/pytorch_model.bin"
            ),
            saved_as="ddcolor_paper_tiny.bin",
            sha256="8a1277bc90a1bfbb6d2d83933a9a6bc821931879ca93e26e4fcec12165d41fce",
            size=220_372_845,
            model="ddcolor",
            hparams={"encoder": "tiny"},
            trained_on=IMAGENET,
            license="Apache-2.0",
            terms=RESEARCH,
            source=KANG,
        ),
    }
)
