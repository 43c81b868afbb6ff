"""The Hugging Face Hub: folders and repositories of one weights file and its model card.

The weights file says itself what to build, so a repository needs no configuration file beside it.
huggingface_hub's cache, login and HF_HUB_OFFLINE hold here as everywhere.
"""

import tempfile
from pathlib import Path
from typing import Any

from deepcolor.files import write_beside
from deepcolor.models import MODELS, Colorizer, name_of
from deepcolor.weights.download import DownloadError
from deepcolor.weights.files import load_file, save_model
from deepcolor.weights.table import About, Checkpoint

__all__ = ["FILE", "HUB", "from_pretrained", "model_card", "push_to_hub", "save_pretrained"]

HUB = "hf-hub:"  # before the name of a repository, where a file could be meant; timm's spelling
FILE = "model.safetensors"
CARD = "README.md"

# What the Hub calls licences; by their names in lower case, but for these. Others are "other".
LICENSES = frozenset(
    {
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0",
        "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0",
        "agpl-3.0", "unlicense", "unknown",
    }
)  # fmt: skip

CARD_TEXT = """\
# {title}

Weights of `{model}`, a model of deepcolor (distribution `deepcolor-lightning`): it gives
black-and-white photographs their colour and keeps the lightness of every pixel.

```python
import deepcolor

model = deepcolor.from_pretrained("{repository}")
deepcolor.colorize("old.jpg", model=model).save("new.png")
```

| | |
|---|---|
{facts}

## Licence

{license}

## Figures

{figures}
"""


def save_pretrained(model: Colorizer, folder: str | Path, about: About) -> Path:
    """Write a model's weights and their model card into a folder.

    Args:
        model: of a built-in or a registered class.
        folder: made if it is not there; of its files, model.safetensors and README.md are
            replaced.
        about: licence, training data, source and figures, for the card. For the unchanged weights
            of a checkpoint, its entry in CHECKPOINTS.

    Returns:
        The folder.

    Raises:
        ValueError: for a model without a name; see `register_model`.
        TypeError: for an `about` of another kind.
        ValueError: if `about` is the checkpoint of another model.
    """
    folder = Path(folder)
    card = model_card(model, about, str(folder))  # refuses what is wrong before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    save_model(model, folder / FILE)
    write_beside(folder / CARD, lambda file: file.write(card.encode()))
    return folder


def from_pretrained(
    name: str | Path, *, revision: str | None = None, token: str | None = None, **hparams: Any
) -> Colorizer:
    """Load a model from a folder by `save_pretrained`, or from the Hugging Face Hub.

    Args:
        name: a folder, or a repository as OWNER/NAME, "hf-hub:" before it or not.
        revision: branch, tag or commit of the repository; its main branch when None.
        token: of an account that may read the repository; that of the login when None.
        **hparams: hyperparameters to change, such as lr=1e-5.

    Returns:
        The model, in evaluation mode.

    Raises:
        FileNotFoundError: for a folder without the weights file.
        DownloadError: if the Hub cannot be reached, or holds no such repository or file for you.
        WeightsError: if the file is damaged or fits no model.
    """
    name = str(name)
    folder = Path(name)
    if not name.startswith(HUB) and folder.is_dir():
        if not (folder / FILE).is_file():
            below = ", ".join(str(found) for found in sorted(folder.glob(f"*/{FILE}"))[:3])
            there = f"below it there is {below}" if below else "save_pretrained() writes one"
            raise FileNotFoundError(f"{folder}: holds no {FILE}; {there}")
        return load_file(folder / FILE, **hparams).eval()
    return load_file(_pull(name.removeprefix(HUB), revision, token), **hparams).eval()


def push_to_hub(
    model: Colorizer,
    repository: str,
    about: About,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
    message: str = "Weights by deepcolor",
) -> str:
    """Upload a model's weights and their model card to the Hugging Face Hub.

    Args:
        model: of a built-in or a registered class.
        repository: OWNER/NAME; made if it is not there.
        about: see `save_pretrained`.
        private: whether a new repository is; None as the account has set it.
        revision: branch to commit to; the main branch when None.
        token: of an account that may write; that of the login when None.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        TypeError, ValueError: see `save_pretrained`.
        DownloadError: if the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    repository = repository.removeprefix(HUB)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_model(model, folder / FILE)
        (folder / CARD).write_text(model_card(model, about, repository), encoding="utf-8")
        api = HfApi(token=token, library_name="deepcolor")
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                commit_message=message,
                revision=revision,
            )
        except HFValidationError as error:
            raise _no_name(repository) from error
        except _network_errors() as error:
            raise DownloadError(
                f"{repository} could not be uploaded: {_one_line(error)}; save_pretrained()"
                " writes the same files into a folder"
            ) from error
    return str(commit.commit_url)


def model_card(model: Colorizer, about: About, repository: str) -> str:
    """A model card, as the Hub reads it: metadata in YAML, then text in Markdown.

    Args:
        model: of a built-in or a registered class.
        about: what is known of its weights.
        repository: OWNER/NAME or folder, for the example.
    """
    from huggingface_hub import ModelCardData

    if not isinstance(about, About):
        raise TypeError(
            f"about must be a deepcolor.About, which says the licence, got {type(about).__name__}"
        )
    name = name_of(type(model))
    if isinstance(about, Checkpoint) and MODELS[about.model] is not type(model):
        raise ValueError(f"about is of a checkpoint of {about.model!r}, the model is {name!r}")
    title = Path(repository).name
    known = about.license.lower() in LICENSES
    data = ModelCardData(
        license=about.license.lower() if known else "other",
        license_name=None if known else about.license.lower().replace(" ", "-"),
        library_name="deepcolor",
        pipeline_tag="image-to-image",
        tags=["colorization", name],
        metrics=sorted(about.expected) or None,
    )
    parameters = sum(p.numel() for p in model.network.parameters())
    facts = {
        "parameters": f"{parameters:,}",
        "side it was made for": f"{model.size} px; other sizes are brought to it",
        "trained on": about.trained_on,
        "source": about.source,
    }
    license_lines = [f"{about.license}{f'; {about.terms}' if about.terms else ''}."]
    if about.backbone_license:
        license_lines.append(f"Backbone: {about.backbone_license}.")
    if not about.commercial:
        license_lines.append("These terms are not known to allow commercial use.")
    figures = "Not measured."
    if about.expected:
        rows = "\n".join(f"| {key} | {value:g} |" for key, value in about.expected.items())
        figures = f"On {about.measured_on}:\n\n| | |\n|---|---|\n{rows}"
    text = CARD_TEXT.format(
        title=title,
        model=name,
        repository=repository,
        facts="\n".join(f"| {key} | {value} |" for key, value in facts.items()),
        license="\n".join(license_lines),
        figures=figures,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def _pull(repository: str, revision: str | None, token: str | None) -> Path:
    """The weights file of a repository, from the Hub or its cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        api = HfApi(token=token, library_name="deepcolor")
        return Path(api.hf_hub_download(repository, FILE, revision=revision))
    except HFValidationError as error:
        raise _no_name(repository) from error
    except _network_errors() as error:
        raise DownloadError(
            f"{repository} could not be loaded from the Hugging Face Hub: {_one_line(error)};"
            f" a folder that holds its {FILE} can be given in its place"
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises for a Hub that refuses, is out of reach, or forbidden.

    Its HTTP client's own errors are no OSErrors; which client it is depends on its version.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *HfHubHTTPError.__bases__)


def _no_name(repository: str) -> ValueError:
    return ValueError(
        f"{repository!r} is neither a folder nor the name of a repository, which is OWNER/NAME"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
