"""What a model may need by default: nothing whose licence forbids commercial use."""

from collections.abc import Mapping

from torch import nn

from deepcolor.weights.table import COMMERCIAL

__all__ = ["backbone_licenses", "check_backbones"]

BY_LOWER_CASE = {name.lower(): name for name in COMMERCIAL}


def backbone_licenses(network: nn.Module) -> dict[str, str]:
    """Licences of the pretrained weights that timm names for the backbones in a network.

    Args:
        network: any module; timm leaves its configuration on the backbones it makes.

    Returns:
        architecture -> SPDX identifier; "unknown" where timm states none.
    """
    found = {}
    for part in network.modules():
        configuration = getattr(part, "pretrained_cfg", None)
        if isinstance(configuration, Mapping) and configuration.get("architecture"):
            license = str(configuration.get("license") or "unknown")
            found[str(configuration["architecture"])] = BY_LOWER_CASE.get(license, license)
    return found


def check_backbones(name: str, network: nn.Module) -> None:
    """Refuse a default backbone whose weights are not known to allow commercial use.

    Args:
        name: of the model, for the message.
        network: as built without arguments.

    Raises:
        ValueError: naming the backbone and its licence.
    """
    for architecture, license in backbone_licenses(network).items():
        if license not in COMMERCIAL:
            raise ValueError(
                f"{name} has the backbone {architecture} by default, whose weights are {license}:"
                f" a default must be one of {', '.join(sorted(COMMERCIAL))}; leave it to an"
                " argument"
            )
