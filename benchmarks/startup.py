"""What importing and asking for help cost.

python benchmarks/startup.py
"""

import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7


def inside(code: str) -> float:
    """Median of the seconds that a fresh interpreter measures itself."""
    taken = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        taken.append(float(done.stdout))
    return sorted(taken)[ROUNDS // 2]


def whole(*command: str) -> float:
    """Median seconds of a whole process."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[ROUNDS // 2]


def timed_import(name: str) -> float:
    return inside(
        f"import time; s = time.perf_counter(); import {name}; print(time.perf_counter() - s)"
    )


if __name__ == "__main__":
    command = str(Path(sys.executable).with_name("deepcolor"))
    print("| | ms |")
    print("|---|---|")
    print(f"| import deepcolor | {1e3 * timed_import('deepcolor'):.1f} |")
    print(f"| import deepcolor.inference | {1e3 * timed_import('deepcolor.inference'):.0f} |")
    print(f"| import torch, for comparison | {1e3 * timed_import('torch'):.0f} |")
    print(f"| python -c pass, whole process | {1e3 * whole(sys.executable, '-c', 'pass'):.0f} |")
    print(f"| deepcolor --help, whole process | {1e3 * whole(command, '--help'):.0f} |")
