"""Rows per second of the engines that score a table: the program, Python, Spark, and detectors of scikit-learn and pyod.

    pip install ./python pyspark pyod && python benches/engines.py --bin target/release/chainrule --rows 1000000

A table of 20 columns of real numbers that depend on each other, in Parquet; every detector is fitted to the first
100,000 rows and scores all of them, from the file to numbers. The median of three, on as many cores as there are.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import chainrule


def table(rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(rows, 5))
    values = np.tanh(hidden @ rng.normal(size=(5, 20))) + 0.3 * rng.normal(size=(rows, 20))
    return pa.table({f"c{i:02}": values[:, i] for i in range(20)})


def seconds(call, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the chainrule program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="engines to run")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    data = folder / "rows.parquet"
    whole = table(args.rows)
    pq.write_table(whole, data, row_group_size=50_000)
    first = whole.slice(0, 100_000)
    density = chainrule.Density(settings={"train.epochs": 10}).fit(first)
    density.save(folder / "run")
    run = chainrule.load(folder / "run")

    def program():
        line = [
            args.bin,
            "score",
            folder / "run",
            "--data",
            data,
            "--calibrate",
            "valid",
            "--out",
            folder / "s.parquet",
            "--quiet",
        ]
        subprocess.run([*map(str, line), "--score", by], check=True, stdout=subprocess.DEVNULL)

    def python():
        run.score(pq.read_table(data), by=by, calibrate="valid")

    def spark():
        from chainrule.spark import score

        scored = score(session.read.parquet(str(data)), run)
        scored.write.mode("overwrite").parquet(str(folder / "spark"))

    found = {}

    def measure(name, call):
        if args.only and not any(only in name for only in args.only):
            return
        taken = seconds(call, args.times)
        middle = statistics.median(taken)
        found[name] = {"rows_per_second": args.rows / middle, "seconds": taken}
        print(f"{name:44} {args.rows / middle:12,.0f} rows/s   {min(taken):.1f} to {max(taken):.1f} s", flush=True)

    for by in ("log-prob", "window"):
        measure(f"chainrule score --score {by}", program)
        measure(f"Run.score, by={by!r}", python)
    if not args.only or "Spark" in args.only:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        from pyspark.sql import SparkSession

        session = (
            SparkSession.builder.master(f"local[{os.cpu_count()}]").config("spark.ui.enabled", "false").getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        measure("Spark, chainrule.spark.score", spark)
        session.stop()
    from sklearn.ensemble import IsolationForest

    rows = first.to_pandas().to_numpy()
    forest = IsolationForest(random_state=0, n_jobs=-1).fit(rows)
    measure(
        "scikit-learn, IsolationForest.score_samples",
        lambda: forest.score_samples(pq.read_table(data).to_pandas().to_numpy()),
    )
    from pyod.models.ecod import ECOD

    ecod = ECOD(n_jobs=1).fit(rows)
    measure("pyod, ECOD.decision_function", lambda: ecod.decision_function(pq.read_table(data).to_pandas().to_numpy()))
    print(
        json.dumps(
            {
                "machine": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "rows": args.rows,
                "engines": found,
            }
        )
    )


if __name__ == "__main__":
    main()
