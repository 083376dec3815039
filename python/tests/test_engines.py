"""Engines that score a part at a time: the same numbers as at once, to the bit."""

import os
import shutil
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chainrule import AnomalyDetector
from chainrule._run import command
from chainrule.engines import scored

#: Rows of the table that is scored.
ROWS = int(os.environ.get("CHAINRULE_ENGINE_ROWS", 20_000))


@pytest.fixture
def run(frame, quick):
    return AnomalyDetector(alpha=0.1, settings=quick).fit(frame).run_


@pytest.fixture
def many(tmp_path):
    """A table in several files and row groups."""
    rng = np.random.default_rng(1)
    job = rng.choice(["cook", "nurse", "pilot", "astronaut"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    frame = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "age": rng.integers(18, 70, ROWS),
            "job": job,
            "wage": rng.normal(30, 20, ROWS).round(2),
        }
    )
    frame.loc[::13, "job"] = None
    folder = tmp_path / "many"
    folder.mkdir()
    for i, part in enumerate(np.array_split(np.arange(ROWS), 3)):
        frame.iloc[part].to_parquet(folder / f"part-{i}.parquet", row_group_size=3_000, index=False)
    return folder


def at_once(run, many):
    """All rows in one call, in their order."""
    table = pq.read_table(many)
    return scored(table, run, alpha=0.1, costliest=2).to_pandas().sort_values("id", ignore_index=True)


def same(found, expected):
    found = found.sort_values("id", ignore_index=True)
    for name in ["log_prob_nats", "score", "p_low_likelihood", "costliest_1_nats", "costliest_2_nats"]:
        assert np.array_equal(found[name].to_numpy(), expected[name].to_numpy()), name
    for name in ["flag_low_likelihood", "costliest_1", "costliest_2"]:
        assert found[name].tolist() == expected[name].tolist(), name


def test_the_program_says_the_same(run, many, tmp_path):
    expected = at_once(run, many)
    table, out = pq.read_table(many), tmp_path / "scores.parquet"
    pq.write_table(table, tmp_path / "all.parquet")
    line = ["--data", tmp_path / "all.parquet", "--calibrate", "valid", "--alpha", 0.1, "--costliest", 2, "--out", out]
    command("score", run.path, *line)
    whole = pq.read_table(out).to_pandas()
    assert np.array_equal(whole["log_prob_nats"], expected["log_prob_nats"])
    assert np.array_equal(whole["p_low_likelihood"], expected["p_low_likelihood"])
    assert whole["costliest_1"].tolist() == expected["costliest_1"].tolist()
    shares = []
    for k in range(1, 4):
        command("score", run.path, *line, "--shard", f"{k}/3")
        shares.append(pq.read_table(out).to_pandas())
    union = pd.concat(shares).sort_values("row", ignore_index=True)
    pd.testing.assert_frame_equal(union, whole, check_exact=True)


def test_frames_of_every_kind_get_the_columns(run, frame):
    of_pandas = scored(frame, run, costliest=1)
    assert isinstance(of_pandas, pd.DataFrame) and len(of_pandas) == len(frame)
    assert isinstance(scored(pl.from_pandas(frame), run), pl.DataFrame)
    assert isinstance(scored(pa.Table.from_pandas(frame), run, calibrate=False), pa.Table)
    with pytest.raises(TypeError, match="expected a frame"):
        scored(np.zeros((2, 3)), run)


def test_dask_partitions(run, many):
    dd = pytest.importorskip("dask.dataframe")
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster):
        frame = dd.read_parquet(many, split_row_groups=True)
        assert frame.npartitions > 3
        meta = scored(frame.head(2), run, alpha=0.1, costliest=2).iloc[:0]
        found = frame.map_partitions(scored, run, alpha=0.1, costliest=2, meta=meta).compute()
    same(found, at_once(run, many))


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
@pytest.mark.filterwarnings("ignore")
def test_spark_batches(run, many, tmp_path, monkeypatch):
    sql = pytest.importorskip("pyspark.sql")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    import chainrule.spark

    session = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    try:
        frame = session.read.parquet(str(many))
        found = chainrule.spark.score(frame, run, alpha=0.1, costliest=2)
        assert found.schema["p_low_likelihood"].dataType.typeName() == "double"
        same(found.toPandas(), at_once(run, many))
        # A folder of a run does as well as the run.
        run.save(tmp_path / "run")
        assert chainrule.spark.score(frame, tmp_path / "run", calibrate=False).count() == ROWS
    finally:
        session.stop()
