"""Results as a table to read, as CSV and as JSON."""

import csv
import io
import json
import math
from typing import Any

from deepcolor.evaluation.run import Evaluation

__all__ = ["as_csv", "as_json", "as_table"]

HEADINGS = {  # column -> heading, digits after the point
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 3),
    "auc": ("AuC", 2),
    "auc_rebalanced": ("AuC reb.", 2),
    "ciede2000": ("dE2000", 2),
    "colourfulness": ("CF", 1),
    "colourfulness_share": ("CF/truth", 3),
    "colourfulness_delta": ("dCF", 1),
    "colourfulness_absolute": ("CF abs.", 1),
    "colourfulness_absolute_delta": ("dCF abs.", 1),
    "grey_pixels_beyond_truth": ("grey+", 3),
    "top1": ("top-1", 1),
    "top5": ("top-5", 1),
    "lpips": ("LPIPS", 4),
    "recognisability": ("recogn.", 1),
}
NOTHING = "-"  # where a row has no such figure
SHOWN_DIGITS = 16  # of the protocol's hash


def as_table(result: Evaluation) -> str:
    """A Markdown table, wide enough to read as text, and what it was measured on."""
    columns = _columns(result)
    rows = {**result.rows, "truth": result.truth}
    cells = [["", *(HEADINGS.get(column, (column, 3))[0] for column in columns)]]
    for name, figures in rows.items():
        cells.append([name.replace("|", "\\|"), *(_cell(figures, column) for column in columns)])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", *_about(result)])


def as_csv(result: Evaluation) -> str:
    """One row a model; empty where there is no figure; the protocol's hash in each."""
    columns = _columns(result)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", *columns, "photographs", "protocol"])
    for name, figures in {**result.rows, "truth": result.truth}.items():
        shown = [figures.get(column, "") for column in columns]
        writer.writerow([name, *shown, len(result.protocol.photographs), result.protocol.hash])
    return text.getvalue()


def as_json(result: Evaluation) -> str:
    """All that is known; figures that are not finite are null."""
    return json.dumps(_finite(result.record()), indent=1, allow_nan=False) + "\n"


def _columns(result: Evaluation) -> list[str]:
    """Columns that any row has; models without logits lack some."""
    columns = dict.fromkeys(key for figures in result.rows.values() for key in figures)
    known = [key for key in HEADINGS if key in columns]
    return [*known, *(key for key in columns if key not in known)]


def _cell(figures: dict[str, float], column: str) -> str:
    if column not in figures:
        return NOTHING
    return f"{figures[column]:.{HEADINGS.get(column, ('', 3))[1]}f}"


def _line(row: list[str], widths: list[int]) -> str:
    first, *others = row
    numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
    return f"| {first.ljust(widths[0])} | {' | '.join(numbers)} |"


def _about(result: Evaluation) -> list[str]:
    protocol, how = result.protocol, result.options
    size = protocol.preparation.short_side
    count = len(protocol.photographs)
    lines = [
        f"{count} photograph{'s' * (count != 1)}, crop {protocol.preparation.crop}, "
        + ("own size" if size is None else f"short side {size} px")
        + f", {protocol.preparation.rounding}; protocol {protocol.hash[:SHOWN_DIGITS]}",
        f"coloured at quality {how.quality}, saturation {how.saturation:g},"
        f" temperature {_own(how.temperature)}, size {_own(how.size)}; on {result.device}",
    ]
    if result.tint is not None:
        lines.append(f"tint: ab {result.tint[0]:.2f}, {result.tint[1]:.2f}")
    return lines + result.notes


def _own(value: float | None) -> str:
    return "the model's" if value is None else f"{value:g}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
