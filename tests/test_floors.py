"""The house stands: modules import only lower floors, and no file grows too long."""

import ast
from pathlib import Path

import pytest

import deepcolor

SOURCE = Path(deepcolor.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# fmt: off
FLOORS = [
    "color", "batch", "gamut", "quantize", "upsample", "extras", "files", "opening", "listing",
    "tensors", "images", "rebalance", "guidance", "blocks", "losses", "metrics", "pixels", "data",
    "models", "weights", "inference", "video", "evaluation", "training", "jobs", "cli", "__main__",
]
# fmt: on
LONGEST = 350


def floor_of(path: Path) -> int | None:
    package = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return None if package == "__init__" else FLOORS.index(package)


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def packages_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported_modules(path)]
    return {part[1] for part in parts if part[0] == "deepcolor"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_modules_import_only_lower_floors(path):
    own = floor_of(path)
    if own is None:  # the front door opens to all packages
        return
    for package in packages_imported(path):
        assert package in FLOORS, f"{path} imports {package}, which stands on no floor"
        assert FLOORS.index(package) <= own, f"{path} imports {package}, a higher floor"


def test_the_walk_sees_upward_edges(tmp_path):
    path = tmp_path / "color.py"
    path.write_text("def f():\n    from deepcolor.models import lite\nimport deepcolor.cli.main\n")
    assert packages_imported(path) == {"models", "cli"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_color_calls_kornia(path):
    uses = any(name.split(".")[0] == "kornia" for name in imported_modules(path))
    assert uses == (path == SOURCE / "color.py")


@pytest.mark.parametrize("path", sorted(SOURCE.glob("blocks/*.py")), ids=lambda p: p.name)
def test_networks_know_no_lightning(path):
    assert not any("lightning" in name for name in imported_modules(path))


@pytest.mark.parametrize("path", sorted(SOURCE.glob("jobs/*.py")), ids=lambda p: p.name)
def test_jobs_know_no_command_line(path):
    assert not {"typer", "click"} & {name.split(".")[0] for name in imported_modules(path)}


RESUMED = {  # keep what they have of an unfinished file
    "weights/download.py", "data/features.py", "video/stretches.py", "video/work.py",
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_are_put_in_place_by_write_beside_alone(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named = [(call, call.func) for call in calls if isinstance(call.func, ast.Attribute)]
    renames = [  # str.replace takes two; os.replace renames
        call
        for call, name in named
        if (name.attr in ("replace", "rename") and len(call.args) == 1 and not call.keywords)
        or (name.attr in ("replace", "rename") and getattr(name.value, "id", "") == "os")
    ]
    where = path.relative_to(SOURCE).as_posix()
    assert bool(renames) == (where in RESUMED or where == "files.py")
