"""Photographs in a Hugging Face `datasets.Dataset`."""

from typing import Any, Protocol

from deepcolor.data.datasets import PhotoSet, Transform
from deepcolor.opening import open_file

__all__ = ["HuggingFacePhotos", "ImageTable"]


class ImageTable(Protocol):
    """What is used of `datasets.Dataset`; that package need not be imported here."""

    @property
    def features(self) -> Any: ...

    def cast_column(self, column: str, feature: Any) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> Any: ...


class HuggingFacePhotos(PhotoSet):
    """The image column of a Hugging Face data set; its rows are named by their number.

    Args:
        table: one split, such as `datasets.load_dataset("imagefolder", data_dir=...)["train"]`.
        column: with an `Image` feature; None takes the only one.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.

    Raises:
        TypeError: for a dictionary of splits, or a stream.
        ValueError: without rows, without such a column, or with several and none named.
    """

    def __init__(
        self, table: ImageTable, column: str | None = None, transform: Transform | None = None
    ) -> None:
        if isinstance(table, dict):
            raise TypeError(
                f"a dictionary of splits is no data set; give one of: {', '.join(map(str, table))}"
            )
        if not hasattr(table, "__len__"):
            raise TypeError(
                "a stream cannot be split or shuffled; load the data set without streaming=True"
            )
        able = [name for name, kind in table.features.items() if type(kind).__name__ == "Image"]
        if column is None and len(able) > 1:
            raise ValueError(f"several columns hold images: {', '.join(able)}; name one by column=")
        if not able or (column is not None and column not in able):
            raise ValueError(
                f"no column {'of images' if column is None else repr(column) + ' of images'};"
                f" columns: {', '.join(table.features)}"
            )
        if not len(table):
            raise ValueError("the data set has no rows")
        self.column = able[0] if column is None else column
        # Bytes, not images: they are decoded here, smaller where that is enough, and a damaged one
        # is a row like any other.
        self.table = table.cast_column(self.column, type(table.features[self.column])(decode=False))
        self.fingerprint: str | None = getattr(table, "_fingerprint", None)
        rows = [str(row) for row in range(len(table))]
        super().__init__([f"row {row}" for row in rows], ["rows"] * len(rows), transform, rows)

    def read(self, index: int) -> bytes:
        cell = self.table[index][self.column]
        if cell["bytes"] is not None:
            encoded: bytes = cell["bytes"]
            return encoded
        with open_file(cell["path"]) as file:
            return file.read()

    def stamp(self, index: int) -> str | None:
        return None if self.fingerprint is None else f"{self.fingerprint}|{self.column}|{index}"
