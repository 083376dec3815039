"""Rows as people have them, and the files by which a command reads and writes them.

An array is a ``.npy`` and a frame an Arrow file: both hold every value as it is.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa


class Rows:
    """Rows to be written for a command: ``array`` of numbers, or ``table`` of named columns."""

    def __init__(self, array: np.ndarray | None, table: pa.Table | None, container: str, index: Any = None):
        self.array = array
        self.table = table
        #: What the caller has, and gets back: ``numpy``, ``pandas``, ``polars`` or ``arrow``.
        self.container = container
        #: What a frame of pandas calls its rows.
        self.index = index

    @property
    def names(self) -> list[str] | None:
        """Names of the columns, where there are any."""
        return None if self.table is None else self.table.column_names

    def __len__(self) -> int:
        return len(self.array) if self.table is None else self.table.num_rows

    @property
    def width(self) -> int:
        """Columns of a table; of images the values of one."""
        if self.table is not None:
            return self.table.num_columns
        return int(np.prod(self.array.shape[1:]))

    def with_column(self, name: str, values: list[str]) -> Rows:
        """The same rows with one more column, of words."""
        table = self.named().table.append_column(name, pa.array(values, pa.string()))
        return Rows(None, table, self.container, self.index)

    def named(self) -> Rows:
        """The same rows with names: ``x0``, ``x1``, … where they have none."""
        if self.table is not None:
            return self
        names = [f"x{i}" for i in range(self.array.shape[1])]
        columns = [pa.array(column, from_pandas=True) for column in self.array.T]
        return Rows(None, pa.table(columns, names=names), self.container)

    def give_back(self, table: pa.Table) -> Any:
        """A table of as many rows, in the caller's kind of container, its rows called as the caller calls them."""
        frame = give_back(table, self.container)
        if self.index is not None:
            frame.index = self.index
        return frame

    def write(self, folder: Path, stem: str) -> Path:
        """Writes the file that a command reads."""
        if self.table is None:
            path = folder / f"{stem}.npy"
            np.save(path, np.ascontiguousarray(self.array), allow_pickle=False)
            return path
        path = folder / f"{stem}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return path


def rows_of(x: Any) -> Rows:
    """What a user hands over: an array, or a frame of pandas, polars or pyarrow."""
    if isinstance(x, Rows):
        return x
    if isinstance(x, (pa.Table, pa.RecordBatch)):
        table = pa.Table.from_batches([x]) if isinstance(x, pa.RecordBatch) else x
        return Rows(None, _checked(table), "arrow")
    module = type(x).__module__.partition(".")[0]
    if module == "pandas" and hasattr(x, "columns"):
        return Rows(None, _checked(_of_pandas(x)), "pandas", x.index)
    if module == "polars" and hasattr(x, "columns"):
        frame = x.collect() if hasattr(x, "collect") else x
        return Rows(None, _checked(frame.to_arrow()), "polars")
    if hasattr(x, "sparse") or module == "scipy":
        raise TypeError("sparse data was passed, but dense data is required; use X.toarray()")
    array = _of_array(x)
    if array.dtype.kind in "OUS":
        names = [f"x{i}" for i in range(array.shape[1])]
        columns = [_words(column, name) for column, name in zip(array.T, names, strict=False)]
        return Rows(None, _checked(pa.table(columns, names=names)), "numpy")
    return Rows(array, None, "numpy")


def _of_array(x: Any) -> np.ndarray:
    """An array of rows or of images, of numbers or words."""
    array = np.asarray(x)
    if array.dtype.kind == "O" and array.ndim >= 2:
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported: expected real numbers or words")
    if array.dtype.kind not in "biufOUS":
        raise ValueError(f"an array of {array.dtype}, expected numbers or words")
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype == np.float16 or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        array = array.astype(np.float64)
    if array.ndim < 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead: rows and columns, or [n, rows, columns] of images. "
            "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
            "array.reshape(1, -1) if it contains a single sample."
        )
    if array.ndim > 2 and array.dtype.kind in "OUS":
        raise ValueError(f"an array of words of shape {array.shape}, expected rows and columns")
    if len(array) == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required.")
    if 0 in array.shape:
        raise ValueError(f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise ValueError("Input X contains infinity or a value too large for dtype('float64').")
    return array


def _words(column: np.ndarray, name: str) -> pa.Array:
    """A column of an array of objects."""
    values = [None if x is None or x != x else x for x in column.tolist()]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        pass
    if all(x is None or isinstance(x, (str, int, float, np.number)) for x in values):
        return pa.array([None if x is None else str(x) for x in values], pa.string())
    odd = next(x for x in values if not (x is None or isinstance(x, (str, int, float, np.number))))
    raise TypeError(f"column {name!r}: argument must be a string or a number, not {type(odd).__name__}")


def _of_pandas(frame: Any) -> pa.Table:
    names = [str(name) for name in frame.columns]
    _refuse_duplicates(names)
    columns = []
    for i, name in enumerate(names):
        column = frame.iloc[:, i]
        try:
            columns.append(pa.Array.from_pandas(column))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            columns.append(_words(np.asarray(column, dtype=object), name))
    columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.table(columns, names=names)


def _refuse_duplicates(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"columns of the same name: {', '.join(map(repr, twice))}; give each its own")


def _checked(table: pa.Table) -> pa.Table:
    _refuse_duplicates(table.column_names)
    if table.num_columns == 0:
        raise ValueError("Found array with 0 feature(s) while a minimum of 1 is required.")
    if table.num_rows == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    for name, column in zip(table.column_names, table.columns, strict=False):
        if pa.types.is_floating(column.type):
            values = column.to_numpy()
            if np.isinf(values).any():
                raise ValueError(f"Input X contains infinity, in column {name!r}.")
    return table


def give_back(table: pa.Table, container: str) -> Any:
    """A table in the caller's kind of container."""
    if container == "pandas":
        return table.to_pandas()
    if container == "polars":
        import polars

        return polars.from_arrow(table)
    if container == "arrow":
        return table
    columns = [column.to_numpy(zero_copy_only=False) for column in table.columns]
    if any(column.dtype.kind == "O" for column in columns):
        columns = [column.astype(object) for column in columns]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
