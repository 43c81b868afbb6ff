import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damaged_files_give_results_or_image_errors(seed):
    outcomes = fuzz.run(150, seed)
    assert sum(outcomes.values()) == 150
    assert outcomes["coloured"] > 5  # damage is not so heavy that nothing is tested but refusals
    assert outcomes["refused"] > 5


@pytest.mark.parametrize("kind", ["tiff", "apng", "webp", "avif"])
def test_containers_that_lie_give_results_or_image_errors(kind):
    outcomes = fuzz.run(100, 1, kind=kind)
    assert sum(outcomes.values()) == 100
    assert min(outcomes["coloured"], outcomes["refused"]) > 5
