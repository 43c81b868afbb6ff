"""The benchmarks run; their figures are for quiet machines."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from deepcolor.models.lite import Lite
from deepcolor.weights import save_model

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(*arguments: str, script: str = "models.py") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")
def test_models_prints_a_row_of_costs():
    done = run("lite", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    cells = [cell.strip().replace(",", "") for cell in lines[-1].strip("|").split("|")]
    assert cells[:3] == ["`lite`", "192", "4135558"]
    assert len(cells) == lines[-2].count("---")
    assert 1.4 < float(cells[3]) < 1.8  # GFLOPs, counted from the layers
    assert all(float(cell) > 0 for cell in cells[4:])
    assert float(cells[7]) > float(cells[5])  # backward keeps what forward lets go


def test_models_refuses_unknown_names(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["models.py", "light"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(BENCHMARKS / "models.py"), run_name="__main__")
    assert end.value.code == 2
    assert "no model named light: " in capsys.readouterr().err


@pytest.mark.slow
def test_hints_prints_a_column_for_each_number_of_hints(photo_folder, tmp_path):
    weights = save_model(Lite(), tmp_path / "hints.safetensors")
    asked = ("--model", str(weights), "--count", "2", "--hints", "0", "1", "30")
    done = run(str(photo_folder), *asked, script="hints.py")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0]] == ["hints", "0", "1", "30"]
    assert [row[0].strip() for row in rows[2:4]] == ["random", "suggested"]
    for row in rows[2:4]:
        none, _, thirty = map(float, row[1:])
        assert thirty > none + 2  # an untrained network's colours are far off
