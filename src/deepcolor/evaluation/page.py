"""A comparison as one HTML file that needs nothing else."""

import base64
import html

from deepcolor.evaluation.compare import Comparison, Row, RowPicture
from deepcolor.files import shown

__all__ = ["as_html", "captions"]

UNITS = {  # figure -> how it is written
    "psnr": "{:.2f} dB",
    "ciede2000": "dE2000 {:.2f}",
    "colourfulness": "CF {:.1f}",
}
HEADINGS = {"psnr": "PSNR, dB", "ciede2000": "CIEDE2000", "colourfulness": "colourfulness (CF)"}
# Nothing from outside, whatever a file's name holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; }
body { margin: 1.5rem; font: 15px/1.45 system-ui, sans-serif;
  color: light-dark(#222, #ddd); background: light-dark(#fff, #1c1c1c); }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
h2 { font-size: 1rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 span, p { color: light-dark(#666, #999); font-weight: normal; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
thead th { border-bottom: 1px solid light-dark(#bbb, #555); }
section { margin: 1.6rem 0; }
.row { display: grid; gap: .6rem; grid-template-columns: repeat(var(--columns), minmax(0, 1fr));
  max-width: calc(var(--columns) * 23rem); }
figure { margin: 0; min-width: 0; }
img { display: block; width: 100%; height: auto; }
figcaption { font-size: .82rem; overflow-wrap: anywhere; }
figcaption b, figcaption span { display: block; }
@media (max-width: 700px) { .row { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""


def escape(text: str) -> str:
    """Text for a page: without markup, and without what acts instead of being seen."""
    return html.escape(shown(text))


def captions(picture: RowPicture) -> list[str]:
    """The figures under a picture, as text."""
    return [UNITS[key].format(value) for key, value in picture.figures.items()]


def as_html(comparison: Comparison) -> str:
    """The page: means, then each photograph with its figures, most disputed first."""
    count = len(comparison.rows)
    how = comparison.options
    said = (
        f"{count} photograph{'s' * (count != 1)}, sorted by disagreement:"
        f" {comparison.meaning}. Quality {how.quality}, saturation {how.saturation:g}"
        + ("" if how.temperature is None else f", temperature {how.temperature:g}")
        + ("" if how.size is None else f", size {how.size} px")
        + "."
    )
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(' / '.join(comparison.models))}</title>",
        f"<style>{STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(' / '.join(comparison.models))}</h1>\n<p>{escape(said)}</p>",
        _means(comparison),
        *(_section(row, len(comparison.titles)) for row in comparison.rows),
        _problems(comparison),
        "</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _means(comparison: Comparison) -> str:
    table = comparison.means()
    keys = [key for key in HEADINGS if any(key in figures for figures in table.values())]
    head = "".join(f"<th>{HEADINGS[key]}</th>" for key in keys)
    rows = []
    for title, figures in table.items():
        cells = "".join(
            f"<td>{figures[key]:.2f}</td>" if key in figures else "<td>-</td>" for key in keys
        )
        rows.append(f"<tr><td>{escape(title)}</td>{cells}</tr>")
    body = "\n".join(rows)
    return (
        f"<table>\n<thead><tr><th>mean</th>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )


def _section(row: Row, columns: int) -> str:
    figures = "\n".join(_figure(row, picture) for picture in row.pictures)
    return (
        f"<section>\n<h2>{escape(row.name)} <span>disagreement {row.disagreement:.2f}</span></h2>\n"
        f'<div class="row" style="--columns: {columns}">\n{figures}\n</div>\n</section>'
    )


def _figure(row: Row, picture: RowPicture) -> str:
    data = base64.b64encode(picture.jpeg).decode()
    lines = "".join(f"<span>{escape(line)}</span>" for line in captions(picture))
    alt = escape(f"{row.name}: {picture.title}")
    return (
        f'<figure><img loading="lazy" alt="{alt}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption><b>{escape(picture.title)}</b>{lines}</figcaption></figure>"
    )


def _problems(comparison: Comparison) -> str:
    if not comparison.problems:
        return ""
    items = "\n".join(f"<li>{escape(error)}</li>" for _, error in comparison.problems)
    return f"<section>\n<h2>Not compared</h2>\n<ul>\n{items}\n</ul>\n</section>"
