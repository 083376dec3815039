"""Scores of a Spark frame's rows: the same numbers as the ``chainrule`` program's, to the bit, on as many machines as there are.

The run travels to each worker once; a row's score depends on nothing but the run and the row.
"""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ._run import Run, load
from .engines import scored, scored_fields

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Runs of this worker, by what they were broadcast as.
_runs: dict[str, Run] = {}


def score(
    df: DataFrame,
    run: Run | str | os.PathLike,
    *,
    alpha: float = 0.01,
    costliest: int = 0,
    calibrate: bool = True,
) -> DataFrame:
    """The frame with columns ``log_prob_nats``, ``score`` and, among the run's validation rows, ``p_low_likelihood`` and
    ``flag_low_likelihood``; with ``costliest`` the columns that cost most in each row, and how many nats."""
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    run = run if isinstance(run, Run) else load(run)
    how = {"alpha": alpha, "costliest": costliest, "calibrate": calibrate}
    key = uuid.uuid4().hex
    sent = df.sparkSession.sparkContext.broadcast(pickle.dumps(run))

    def map_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if key not in _runs:
            _runs[key] = pickle.loads(sent.value)
        for batch in batches:
            if batch.num_rows:
                yield from scored(pa.Table.from_batches([batch]), _runs[key], **how).to_batches()

    added = from_arrow_schema(pa.schema(scored_fields(**how)))
    return df.mapInArrow(map_batches, StructType(df.schema.fields + added.fields))
