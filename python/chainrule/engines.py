"""One function for engines that hand over rows a part at a time: Dask's ``map_partitions``, Ray's ``map_batches``, Spark's
``mapInArrow`` (:mod:`chainrule.spark`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ._rows import rows_of
from ._run import Run


def scored(part: Any, run: Run, *, alpha: float = 0.01, costliest: int = 0, calibrate: bool = True) -> Any:
    """A frame (pandas, polars or pyarrow) with its rows' scores as further columns.

    ``log_prob_nats`` is log p(x); ``score`` what rows are ranked by; ``p_low_likelihood`` the p-value among the run's
    validation rows, ``flag_low_likelihood`` whether it is at most ``alpha``; ``costliest_1`` the column that costs most,
    ``costliest_1_nats`` how much, and so on.
    """
    rows = rows_of(part)
    if rows.table is None:
        raise TypeError("an array has no columns to add to: expected a frame")
    scores = run.score(rows, calibrate="valid" if calibrate else None, costs=costliest > 0)
    columns = [scores.log_prob, scores.score]
    if calibrate:
        p = scores.p_values["low_likelihood"]
        columns += [p, p <= alpha]
    if costliest:
        names = np.array(run.columns, dtype=object)
        order = np.argsort(-scores.costs, axis=1, kind="stable")
        for k in range(costliest):
            at = order[:, k]
            columns += [names[at], np.take_along_axis(scores.costs, at[:, None], axis=1)[:, 0]]
    table = rows.table
    for field, column in zip(
        scored_fields(alpha=alpha, costliest=costliest, calibrate=calibrate), columns, strict=True
    ):
        table = table.append_column(field, pa.array(column, field.type))
    return rows.give_back(table)


def scored_fields(*, alpha: float = 0.01, costliest: int = 0, calibrate: bool = True) -> list[pa.Field]:
    """The columns that :func:`scored` adds."""
    fields = [pa.field("log_prob_nats", pa.float64()), pa.field("score", pa.float64())]
    if calibrate:
        fields += [pa.field("p_low_likelihood", pa.float64()), pa.field("flag_low_likelihood", pa.bool_())]
    for k in range(1, costliest + 1):
        fields += [pa.field(f"costliest_{k}", pa.string()), pa.field(f"costliest_{k}_nats", pa.float32())]
    return fields


__all__ = ["scored", "scored_fields"]
