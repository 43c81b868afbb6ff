"""A comparison as pages of pictures."""

import io
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

from deepcolor.evaluation.compare import Comparison, Row, RowPicture
from deepcolor.evaluation.page import captions
from deepcolor.files import shown

__all__ = ["ROWS", "sheets"]

ROWS = 6  # photographs a page
CELL = 260  # pixels: width and greatest height of a picture
MARGIN = 12
LINE = 18  # pixels between lines of text
TEXT, FAINT, PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)
SIZE = 14  # of the font, in pixels
LINES = 2  # under a picture: its title, its figures


def sheets(comparison: Comparison) -> Iterator[Image.Image]:
    """Pages of ROWS photographs, in the order of the comparison."""
    rows = comparison.rows
    for start in range(0, len(rows), ROWS):
        yield _page(rows[start : start + ROWS], len(comparison.titles))


def _page(rows: list[Row], columns: int) -> Image.Image:
    opened = [[Image.open(io.BytesIO(p.jpeg)) for p in row.pictures] for row in rows]
    sizes = [_fitted(pictures[0]) for pictures in opened]
    width = MARGIN + columns * (CELL + MARGIN)
    height = MARGIN + sum(LINE + size[1] + LINES * LINE + 2 * MARGIN for size in sizes)
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(SIZE)
    y = MARGIN
    for row, pictures, size in zip(rows, opened, sizes, strict=True):
        title = f"{shown(row.name)}   disagreement {row.disagreement:.2f}"
        draw.text((MARGIN, y), _cut(title, draw, font, width - 2 * MARGIN), TEXT, font)
        y += LINE + MARGIN // 2
        for column, (picture, image) in enumerate(zip(row.pictures, pictures, strict=True)):
            x = MARGIN + column * (CELL + MARGIN)
            page.paste(image.resize(size, Image.Resampling.LANCZOS), (x, y))
            _caption(draw, font, (x, y + size[1] + 2), picture)
        y += size[1] + LINES * LINE + MARGIN + MARGIN // 2
    return page


def _caption(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    place: tuple[int, int],
    picture: RowPicture,
) -> None:
    x, y = place
    draw.text((x, y), _cut(shown(picture.title), draw, font, CELL), TEXT, font)
    draw.text((x, y + LINE), _cut("  ".join(captions(picture)), draw, font, CELL), FAINT, font)


def _fitted(image: Image.Image) -> tuple[int, int]:
    """Size within a cell, aspect kept."""
    scale = min(CELL / image.width, CELL / image.height)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _cut(
    text: str,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    width: int,
) -> str:
    """As much of the text's end as fits: names differ there."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"...{text}", font) > width:
        text = text[1:]
    return f"...{text}"
