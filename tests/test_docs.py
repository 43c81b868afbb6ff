"""The Python of the pages runs; what is made from tables has what is in the tables."""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

import deepcolor
from deepcolor.models import MODELS, create_model, list_models
from deepcolor.models.lite import Lite
from deepcolor.models.merged_vgg16 import MergedVGG16
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.weights import list_checkpoints, save_model

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "models.md").read_text(encoding="utf-8")
AGAIN = "run: python docs/zoo.py > docs/models.md"


@pytest.fixture(scope="module")
def zoo():
    spec = importlib.util.spec_from_file_location("zoo", DOCS / "zoo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_zoo_names_every_model_and_no_other():
    named = re.findall(r"^\| `(\w+)` \|", section("Models"), flags=re.MULTILINE)
    assert named == list_models(), AGAIN


def test_the_zoo_tells_of_every_checkpoint_what_its_entry_does(zoo):
    named = re.findall(r"^### ([\w.]+)", section("Checkpoints"), flags=re.MULTILINE)
    assert named == list_checkpoints(), AGAIN
    assert zoo.checkpoints() in PAGE, AGAIN


@pytest.mark.parametrize("name", ["lite", "eccv16", "resnet34_classification"])
def test_the_zoo_has_the_rows_that_its_script_makes(zoo, name):
    assert f"| {' | '.join(zoo.model_row(name))} |" in PAGE, AGAIN


# Of pages: what tests put in place of what would take long or be fetched.
QUICK = {
    'device="cuda"': 'device="cpu"',
    "max_epochs=14": "max_epochs=2",
    "size=160, batch_size=16": "size=64, batch_size=4, workers=0",
    '"siggraph17.caffe"': '"siggraph17.safetensors"',
}
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
SNIPPETS = {
    f"{page.stem}-{number}": code
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
}
MADE = {  # files that a snippet leaves; of pictures, at the size of the photograph
    "README-0": ["new.png"],
    "README-2": ["mine.safetensors"],
    "control-0": ["new.png"],
    "control-5": ["hints.json", "new.png"],
    "hints-0": ["new.png"],
    "hints-1": ["new.0.png", "new.1.png", "new.2.png"],
    "training-0": ["mine.safetensors"],
    "training-1": ["mine.safetensors"],
}
WIDTH, HEIGHT = 200, 150  # upright


@pytest.fixture
def desk(tmp_path, monkeypatch, photograph, photo_folder) -> Iterator[Path]:
    """A folder with what the pages speak of: an old photograph lying on its side, an edited one."""
    upright = Image.fromarray(photograph[:HEIGHT, :WIDTH])
    upright.save(tmp_path / "edited.png")
    sideways = Image.Exif()
    sideways[0x0112] = 6
    upright.convert("L").rotate(90, expand=True).save(tmp_path / "old.jpg", exif=sideways)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for large in tmp_path.rglob("*.safetensors"):
        large.unlink()


def prepare(code: str, desk: Path, make_clip) -> None:
    """Weights and films that a snippet speaks of."""
    if "old.mp4" in code:
        make_clip(desk / "old.mp4", 30)
        Image.new("RGB", (128, 96), (150, 90, 60)).save(desk / "first_frame_in_colour.png")
    if "siggraph17.caffe" in code:
        save_model(SIGGRAPH17(), desk / "siggraph17.safetensors", half=True)
    if "vgg16.safetensors" in code:
        run = desk / "runs" / "merged_vgg16" / "version_0"
        run.mkdir(parents=True)
        save_model(MergedVGG16(features="given"), run / "model.safetensors")
        save_file(timm.create_model("vgg16").state_dict(), desk / "vgg16.safetensors")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_python_of_the_pages_runs_as_it_stands(name, desk, make_clip):
    code = SNIPPETS[name]
    if "import datasets" in code:
        pytest.importorskip("datasets", reason="pip install datasets")
    prepare(code, desk, make_clip)
    for slow, quick in QUICK.items():
        code = code.replace(slow, quick)
    # `import deepcolor` stands on most pages only once.
    known = {"deepcolor": deepcolor, "paths": ["old.jpg"]}
    known |= {"frames": [np.full((48, 64), n, np.uint8) for n in (90, 120)], "show": np.asarray}
    exec(compile(code, name, "exec"), known)
    for file in MADE.get(name, []):
        assert (desk / file).is_file()
        if file.endswith(".png"):
            with Image.open(desk / file) as image:
                assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGB")


def test_no_page_lost_its_snippets():
    assert set(MADE) <= set(SNIPPETS)
    assert len(SNIPPETS) >= 14
    for quick in QUICK:
        assert any(quick in code for code in SNIPPETS.values()), quick


def test_the_page_of_hints_counts_the_parameters_that_there_are():
    count = sum(parameter.numel() for parameter in Lite().network.hints.parameters())
    assert f"; {count:,} parameters in all" in (DOCS / "hints.md").read_text()


def test_a_backbone_that_is_cut_up_is_named_with_its_licence(zoo):
    for name, backbone in (("resnet34_classification", "resnet34"), ("lite", "tf_efficientnet")):
        assert zoo.model_row(name)[-1].startswith(backbone)
        assert "Apache-2.0" in zoo.model_row(name)[-1]
    told = zoo.backbone_licenses(create_model("resnet34_regression", backbone="vgg16").network)
    assert told == {"vgg16": "BSD-3-Clause"}


def test_the_page_of_systems_has_every_model_and_names_what_is_missing():
    page = (DOCS / "systems.md").read_text(encoding="utf-8")
    here, missing = page.split("\n## What is missing\n")
    headed = {name for heading in re.findall(r"^## \d+\. (.+)$", here, re.M)
              for name in heading.split(", ")}  # fmt: skip
    assert headed | {"lite"} == set(MODELS)
    named = set(re.findall(r"^- `(\w+)`", missing, re.M))
    assert named == {"pix2pix"}
    assert not named & set(MODELS)


def test_names_are_in_the_modules_that_the_readme_says():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"`deepcolor\.(\w+)`(?:\s+\(([^)]*)\))?", text)
    assert len(found) > 5
    for name, listed in found:
        for inside in re.findall(r"`([A-Za-z_]+)`", listed):
            assert hasattr(importlib.import_module(f"deepcolor.{name}"), inside), inside
        if not hasattr(deepcolor, name):
            importlib.import_module(f"deepcolor.{name}")
