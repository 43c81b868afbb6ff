"""Any folder of files through deepcolor, each in a process of its own: what comes of it.

python tests/strangers.py FOLDER --out results/
python tests/strangers.py FOLDER --out before/ --source path/to/another/tree/src
python tests/strangers.py FOLDER --out after/ --against before/results.csv

A file is coloured, refused (in words: ImageError) or other: another exception, a crash, the limit
of time or memory, a program or a connection started. Coloured ones are compared, where that is
sure, with what other readers make of the file (tests/second_opinion.py): lightness of every pixel,
alpha, size and orientation, depth. What reaches the terminal on the way is a leak: text on stdout
or stderr, from C libraries too, and warnings that do not name the picture. Memory is what it
came to hold above what it began with; a file is heavy if that is far more than its pixels need.

Stopped and started again with the same --out it goes on. The first folder level is the suite.
Linux only. EPS and its like are never opened by the readers that are compared with.
"""

import argparse
import collections
import contextlib
import csv
import ctypes
import gc
import json
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

FIELDS = (
    "suite", "file", "bytes", "outcome", "kind", "message", "seconds", "peak_mb", "warnings",
    "leaks", "mode", "width", "height", "sure", "l_max", "l_mean", "alpha_ok", "size_ok",
    "depth_ok", "read_by", "heavy",
)  # fmt: skip
MOST_L = 1.1  # what rounding to 8 bits moves is 1.0 at most
HEAVY_MB, COLOURED_BYTES, REFUSED_BYTES = 300, 32, 8  # bytes a pixel
COMPARE_SECONDS = 120
DOORS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn",
         "socket.connect", "pickle.find_class")  # fmt: skip


def status_mb(key: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def colour(path: Path, predictor: Any, memory: int) -> tuple[dict[str, Any], Any]:
    """Colour and save one file, in the child; what happened, and the result."""
    from deepcolor import ImageError  # lazy, and there is no room for it under the limits

    found: dict[str, Any] = {}
    doors: list[str] = []
    watching = True

    def watch(event: str, values: tuple[Any, ...]) -> None:
        if watching and event in DOORS:
            doors.append(f"{event} {values[0] if values else ''}")

    sys.addaudithook(watch)
    with tempfile.TemporaryFile() as said:
        kept = os.dup(1), os.dup(2)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        first = status_mb("VmRSS")
        roof = int(status_mb("VmSize") + memory) << 20
        resource.setrlimit(resource.RLIMIT_AS, (roof, resource.RLIM_INFINITY))
        start, result, before_saving = time.perf_counter(), None, None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = predictor(path)
                before_saving = len(caught)  # what saving says is of the format, not of the file
                save(result)
                found.update(outcome="coloured", kind="", message="", mode=result.mode)
                found.update(width=result.width, height=result.height)
            except BaseException as error:
                found.update(judge(error, path, ImageError, saving=result is not None))
        found["seconds"] = round(time.perf_counter() - start, 3)
        watching = False
        found["peak_mb"] = round(status_mb("VmHWM") - first, 1)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)
        for number, back in zip((1, 2), kept, strict=True):
            os.dup2(back, number)
        said.seek(0)
        text = said.read(2000).decode(errors="replace").strip()
    leaks = [f"output: {text}"] if text else []
    for one in caught[:before_saving]:
        if path.name not in str(one.message):
            leaks.append(f"{one.category.__name__}: {one.message}")
    found["warnings"], found["leaks"] = len(caught), " | ".join(leaks)
    if doors:
        found.update(outcome="other", kind="door", message="; ".join(doors))
    return found, result if found["outcome"] == "coloured" else None


def judge(error: BaseException, path: Path, refusal: type, saving: bool) -> dict[str, str]:
    """Whether an exception is a refusal in words, or something else."""
    ours = type(error).__module__.startswith("deepcolor") and isinstance(error, OSError)
    if not isinstance(error, (refusal, FileNotFoundError, PermissionError)) and not ours:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{'/'.join(Path(where.filename).parts[-2:])}:{where.lineno}"
        text = f"{error} at {place}"
        return {"outcome": "other", "kind": type(error).__name__, "message": text}
    if any(isinstance(cause, MemoryError) for cause in causes(error)):
        return {"outcome": "other", "kind": "memory", "message": str(error)}
    kind = type(error).__name__ + ("" if path.name in str(error) else ", picture not named")
    kind = f"not saved: {kind}" if saving else kind
    return {"outcome": "refused", "kind": kind, "message": str(error)}


def save(result: Any) -> None:
    """To memory: what a picture carries may be refused only here."""
    if result.mode == "RGB" and max(result.size) < 65_500:  # a JPEG's most
        with tempfile.TemporaryFile() as file:
            result.save(file, "JPEG")
    if result.width * result.height < 1_000_000:
        with tempfile.TemporaryFile() as file:
            result.save(file, "PNG")


def causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def compare(path: Path, result: Any) -> dict[str, Any]:
    """What other readers say of the file, in the child."""
    from PIL import Image

    import second_opinion

    found: dict[str, Any] = {"sure": "", "read_by": ""}
    if not path.is_file():
        return {**found, "sure": "not a file"}
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = None
            with contextlib.suppress(Exception), Image.open(path) as image:
                found["size"] = image.size  # Pillow does not know all TIFFs that can be read
        known = second_opinion.reference(path)
        found["read_by"] = f"{known.levels.shape[1]} x {known.levels.shape[0]}, {known.bits} bits"
        if result is not None:
            found.update(second_opinion.differences(known, result), sure="yes")
    except second_opinion.UnsureError as error:
        found["sure"] = str(error)
    except Exception as error:
        found["sure"] = f"not read: {type(error).__name__}"
    return found


def child(path: Path, predictor: Any, memory: int, pipe: int) -> None:
    """All of one file; never returns."""
    try:
        os.setsid()
        with os.fdopen(pipe, "w") as out:
            found, result = colour(path, predictor, memory)
            print(json.dumps(found), file=out, flush=True)
            print(json.dumps(compare(path, result)), file=out, flush=True)
    except BaseException:  # a fault of this script
        traceback.print_exc()
    finally:
        os._exit(0)


def one(path: Path, predictor: Any, memory: int, timeout: float) -> dict[str, Any]:
    """Run one file in a child and judge what it reports, or that it does not."""
    reads, writes = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reads)
        child(path, predictor, memory, writes)
    os.close(writes)
    start, data, hung = time.perf_counter(), b"", False
    while True:
        limit = timeout if b"\n" not in data else timeout + COMPARE_SECONDS
        left = start + limit - time.perf_counter()
        if left <= 0 or not select.select([reads], [], [], left)[0]:
            hung = True
            os.kill(process, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            break
        block = os.read(reads, 1 << 16)
        if not block:
            break
        data += block
    os.close(reads)
    ended = os.waitpid(process, 0)[1]
    lines = [json.loads(line) for line in data.split(b"\n")[: data.count(b"\n")]]
    row: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 3), "leaks": ""}
    if not lines:
        why = "timeout" if hung else f"signal {os.WTERMSIG(ended)}" if ended else "gone"
        return {**row, "outcome": "other", "kind": why, "message": ""}
    row.update(lines[0])
    if len(lines) == 1:
        return {**row, "sure": "comparison took too long" if hung else "comparison crashed"}
    size = lines[1].pop("size", None) or (0, 0)
    row.update(lines[1])
    coloured = row["outcome"] == "coloured"
    each = COLOURED_BYTES if coloured else REFUSED_BYTES
    pixels = min(500_000_000, size[0] * size[1])
    row["heavy"] = row["peak_mb"] > HEAVY_MB + pixels * each / 1e6
    return row


def is_wrong(row: dict[str, Any]) -> bool:
    """Whether a coloured file is not the picture that others read."""
    if row["outcome"] != "coloured" or row["sure"] != "yes":
        return False
    told = [str(row[key]) for key in ("alpha_ok", "size_ok", "depth_ok")]
    return "False" in told or float(row["l_max"] or 0) > MOST_L


def table(rows: list[dict[str, Any]]) -> str:
    """Per suite: counts, and the worst of each."""
    head = ("suite", "files", "coloured", "refused", "other", "leaks", "heavy", "compared", "wrong",
            "worst L", "mean L", "most MB", "most s")  # fmt: skip
    groups: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in rows:
        groups[row["suite"]].append(row)
    lines = [head]
    for name, some in [*sorted(groups.items()), ("all", rows)]:
        outcomes = collections.Counter(row["outcome"] for row in some)
        compared = [row for row in some if row["sure"] == "yes" and row["outcome"] == "coloured"]
        moved = [(float(r["l_max"]), float(r["l_mean"])) for r in compared if r["l_max"] != ""]
        lines.append(
            (
                name, str(len(some)), *(str(outcomes[k]) for k in ("coloured", "refused", "other")),
                str(sum(bool(row["leaks"]) for row in some)),
                str(sum(str(row["heavy"]) == "True" for row in some)),
                str(len(compared)), str(sum(map(is_wrong, some))),
                f"{max((m for m, _ in moved), default=0):.2f}",
                f"{max((m for _, m in moved), default=0):.2f}",
                f"{max((float(r['peak_mb'] or 0) for r in some), default=0):.0f}",
                f"{max((float(r['seconds'] or 0) for r in some), default=0):.1f}",
            )
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def lists(rows: list[dict[str, Any]], most: int) -> str:
    """The files that need a look, worst first."""
    wrong = sorted((r for r in rows if is_wrong(r)), key=lambda r: -float(r["l_max"] or 1e9))
    groups = {
        "other": [(r, f"{r['kind']}: {r['message']}") for r in rows if r["outcome"] == "other"],
        "wrong": [
            (r, f"L max {r['l_max']}, mean {r['l_mean']};"
             f" same alpha {r['alpha_ok']}, size {r['size_ok']}, depth {r['depth_ok']}")
            for r in wrong
        ],
        "heavy": [
            (r, f"{r['peak_mb']} MB of {r['bytes']} bytes, {r['outcome']}")
            for r in sorted(rows, key=lambda r: -float(r["peak_mb"] or 0))
            if str(r["heavy"]) == "True"
        ],
        "refused, but read by others": [
            (r, f"{r['read_by']}; {r['message']}")
            for r in rows
            if r["outcome"] == "refused" and r["read_by"]
        ],
        "leaks": [(r, r["leaks"]) for r in rows if r["leaks"]],
    }  # fmt: skip
    parts = []
    for name, found in groups.items():
        parts.append(f"\n{name}: {len(found)}")
        parts += [f"  {r['suite']}/{r['file']}: {text}"[:300] for r, text in found[:most]]
    return "\n".join(parts)


def changes(rows: list[dict[str, Any]], before: list[dict[str, Any]], most: int) -> str:
    """How outcomes moved since another run."""
    old = {(row["suite"], row["file"]): row for row in before}
    moved: dict[str, list[str]] = collections.defaultdict(list)
    for row in rows:
        was = old.get((row["suite"], row["file"]))
        if was is None:
            continue
        names = [r["outcome"] + (" wrong" if is_wrong(r) else "") for r in (was, row)]
        if names[0] != names[1]:
            text = f"  {row['suite']}/{row['file']}: {row['kind']} {row['message']}"
            moved[" -> ".join(names)].append(text[:300])
    found = []
    for name, files in sorted(moved.items()):
        found += [f"\n{name}: {len(files)}", *files[:most]]
    return "\n".join(found)


def read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder: Path, suites: list[str], sample: int) -> list[tuple[str, str]]:
    """(suite, path within it); with `sample`, so many in all, spread over the suites."""
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            parts = (Path(root) / name).relative_to(folder).parts
            suite = parts[0] if len(parts) > 1 else "."
            if not suites or suite in suites:
                groups[suite].append("/".join(parts[1:] or parts))
    rng = random.Random(0)
    share = -(-sample // max(1, len(groups)))
    for found in groups.values():
        if sample and len(found) > share:
            found[:] = sorted(rng.sample(found, share))
    return [(suite, name) for suite in sorted(groups) for name in groups[suite]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for results.csv, table.txt")
    parser.add_argument("--source", help="folder that holds another deepcolor package")
    parser.add_argument("--timeout", type=float, default=60, help="seconds a file")
    parser.add_argument("--memory", type=int, default=4096, help="MB of address space a file")
    parser.add_argument("--size", type=int, default=64, help="side that the network works at")
    parser.add_argument("--sample", type=int, default=0, help="so many files, over all suites")
    parser.add_argument("--suite", action="append", default=[], help="only this one; may repeat")
    parser.add_argument("--against", type=Path, help="results.csv of another run")
    parser.add_argument("--most", type=int, default=20, help="files listed of each kind")
    arguments = parser.parse_args()
    if arguments.source:
        sys.path.insert(0, arguments.source)
    sys.path.insert(0, str(Path(__file__).parent))
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = arguments.out / "results.csv"
    done = {(row["suite"], row["file"]) for row in read_rows(results)}
    found = files_of(arguments.folder, arguments.suite, arguments.sample)
    left = [key for key in found if key not in done]
    if left:
        run(arguments, left, results)
    rows = [row for row in read_rows(results) if (row["suite"], row["file"]) in set(found)]
    text = f"{table(rows)}\n{lists(rows, arguments.most)}"
    if arguments.against:
        text += "\n\nchanged\n" + changes(rows, read_rows(arguments.against), arguments.most)
    (arguments.out / "table.txt").write_text(text + "\n")
    print(text)
    return int(any(row["outcome"] == "other" or is_wrong(row) for row in rows))


def run(arguments: argparse.Namespace, left: list[tuple[str, str]], results: Path) -> None:
    """Fork a child a file from a parent that has loaded the model, with one thread: forks of a
    process that used several of OpenMP's hang."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import numpy as np
    import torch

    import second_opinion  # noqa: F401  so that children find it loaded

    torch.set_num_threads(1)
    import deepcolor

    print(f"deepcolor of {Path(deepcolor.__file__).parent}, {len(left)} files", flush=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    predictor = deepcolor.Predictor(device="cpu", size=arguments.size)
    predictor(np.zeros((80, 80, 3), dtype=np.uint8))
    gc.collect()
    gc.freeze()
    new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval="", extrasaction="ignore")
        if new:
            writer.writeheader()
        for number, (suite, name) in enumerate(left, start=1):
            path = arguments.folder / (name if suite == "." else f"{suite}/{name}")
            row = one(path, predictor, arguments.memory, arguments.timeout)
            size = path.lstat().st_size
            row = {**row, "suite": suite, "file": name, "bytes": size}
            clean = {key: printable(value) for key, value in row.items()}
            writer.writerow(clean)
            file.flush()
            if number % 100 == 0:
                print(f"{time.strftime('%H:%M:%S')} {number} of {len(left)}", flush=True)


def printable(value: Any) -> Any:
    """Text of one line."""
    if not isinstance(value, str):
        return "" if value is None else value
    return "".join(c if c.isprintable() else " " for c in value)[:1000]


if __name__ == "__main__":
    sys.exit(main())
