"""What a package index shows of deepcolor."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLASSIFIERS = PYPROJECT["project"]["classifiers"]
RELATIVE = re.compile(r"\]\((?!https?:)[^)]*\)")


@pytest.fixture(scope="module")
def shown() -> str:
    """The README as hatch-fancy-pypi-readme hands it on."""
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / part["path"]).read_text() for part in hook["fragments"])
    for change in hook["substitutions"]:
        assert re.search(change["pattern"], text), "replaces nothing"
        text = re.sub(change["pattern"], change["replacement"], text)
    return text


def test_the_readme_of_an_index_has_no_link_that_leads_nowhere(shown):
    assert RELATIVE.search((ROOT / "README.md").read_text())
    assert not RELATIVE.search(shown)
    assert "docs/hints.md" in shown  # named, where it was linked
    assert "None of these was trained on" not in shown  # of a picture that is not there
    assert 'deepcolor.colorize("old.jpg").save("new.png")' in shown


def test_the_readme_says_nothing_else_to_an_index(shown):
    whole = (ROOT / "README.md").read_text()
    for title in re.findall(r"^## .*", whole, flags=re.MULTILINE):
        assert title in shown
    assert shown.count("```") == whole.count("```")
    assert len(shown) > 0.85 * len(whole)


def test_pythons_are_named_from_the_oldest_that_is_allowed():
    named = [c.rsplit(" ", 1)[1] for c in CLASSIFIERS if re.search(r":: 3\.\d+$", c)]
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert named[0] == oldest
    minors = [int(version.split(".")[1]) for version in named]
    assert minors == list(range(minors[0], minors[0] + len(minors)))
    assert "{}.{}".format(*sys.version_info) in named, "tests pass on a Python that is not named"
