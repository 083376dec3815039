#!/usr/bin/env python3
"""Anomalies among the rows of ADBench's tables: `chainrule` as it is, beside four detectors of scikit-learn.

    pip install numpy scikit-learn
    python benches/adbench.py FOLDER --bin target/release/chainrule [--seeds 5] [--cap 10000] [--save benches/adbench.json]

FOLDER holds tables of ADBench (https://github.com/Minqi824/ADBench, `Classical/*.npz`: X, and y = 1 of an anomaly).

Of each table, for each seed, half of the normal rows (at most `--cap`) are what is trained on; the other normal rows and the
anomalies (at most twice as many of each) are told apart. No row is repeated, nothing is tuned:

    chainrule train train.csv --out run
    chainrule score run --data test.csv --calibrate valid --out scores.csv

AUROC of the column `score`, and of `log_prob_nats`, beside the distance to the 5th neighbour (knn), LOF of 20 neighbours, an
isolation forest and a mixture of 4 Gaussians on standardized columns (1 where there are fewer than 400 rows). For alpha =
0.01 and 0.05 also how many of the normal rows are flagged, which conformal p-values promise to be alpha or less.

What is promised is tested: given m calibration rows, the number of n normal rows with p <= alpha is beta-binomial with
k = floor(alpha (m + 1)), that is, the mean over calibration sets of Binomial(n, Beta(k, m + 1 - k)); its 99 % interval is
said beside each count, with that of Binomial(n, alpha), which leaves out the accidents of calibration.
"""
import argparse
import csv
import json
import math
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler

ALPHAS = (0.01, 0.05)
RIVALS = ("knn", "lof", "iforest", "gmm")
METHODS = ("chainrule", "log_prob", *RIVALS)


def split(path, seed, cap):
    """Training rows, test rows, and which of the test rows are anomalies."""
    data = np.load(path, allow_pickle=True)
    x, y = np.asarray(data["X"], float), np.asarray(data["y"]).ravel().astype(int)
    rng = np.random.default_rng(seed)
    normal, odd = rng.permutation(np.flatnonzero(y == 0)), np.flatnonzero(y == 1)
    half = len(normal) // 2
    train, rest, odd = normal[:half][:cap], normal[half:][: 2 * cap], odd[: 2 * cap]
    return x[train], x[np.r_[rest, odd]], np.r_[np.zeros(len(rest)), np.ones(len(odd))]


def write(path, rows):
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow([f"f{i}" for i in range(rows.shape[1])])
        out.writerows(rows.tolist())


def ours(binary, train, test, folder):
    """Scores and log-probabilities (higher is more normal), p-values, calibration rows, seconds."""
    write(folder / "train.csv", train)
    write(folder / "test.csv", test)
    started = time.time()

    def chainrule(*arguments):
        done = subprocess.run([binary, *arguments, "--json"], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        return json.loads(done.stdout.strip().splitlines()[-1])

    chainrule("train", "train.csv", "--out", "run")
    record = chainrule("score", "run", "--data", "test.csv", "--calibrate", "valid", "--out", "scores.csv")
    seconds = time.time() - started
    with open(folder / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    column = lambda name: np.array([float(row[name]) for row in rows])
    scores, log_probs, p = column("score"), column("log_prob_nats"), column("p_low_likelihood")
    if len(scores) != len(test) or np.isnan(scores).any():
        raise RuntimeError(f"{len(scores)} scores of {len(test)} rows")
    return scores, log_probs, p, record["calibration"]["rows"], seconds


def rivals(train, test, y):
    scaler = StandardScaler().fit(train)
    z, t = scaler.transform(train), scaler.transform(test)
    auroc = lambda oddness: roc_auc_score(y, oddness)
    return {
        "knn": auroc(NearestNeighbors(n_neighbors=min(5, len(z))).fit(z).kneighbors(t)[0][:, -1]),
        "lof": auroc(-LocalOutlierFactor(n_neighbors=min(20, len(z) - 1), novelty=True).fit(z).score_samples(t)),
        "iforest": auroc(-IsolationForest(random_state=0).fit(z).score_samples(t)),
        "gmm": auroc(-GaussianMixture(4 if len(z) > 400 else 1, reg_covar=1e-3, random_state=0).fit(z).score_samples(t)),
    }


def interval(n, alpha, m=None):
    """The central 99 % of Binomial(n, alpha), or given m calibration rows of what a conformal test flags."""
    ln = math.lgamma
    choose = lambda k: ln(n + 1) - ln(k + 1) - ln(n - k + 1)
    if m is None:
        log_p = [choose(k) + k * math.log(alpha) + (n - k) * math.log1p(-alpha) for k in range(n + 1)]
    else:
        a = math.floor(alpha * (m + 1) * (1 + 1e-12))
        if a == 0:
            return 0, 0
        b = m + 1 - a
        beta = lambda a, b: ln(a) + ln(b) - ln(a + b)
        log_p = [choose(k) + beta(k + a, n - k + b) - beta(a, b) for k in range(n + 1)]
    below = np.cumsum(np.exp(log_p))
    return int(np.searchsorted(below, 0.005)), int(np.searchsorted(below, 0.995))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--bin", default="chainrule")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cap", type=int, default=10000)
    parser.add_argument("--only", default="", help="names of tables, separated by commas")
    parser.add_argument("--save", default="")
    a = parser.parse_args()
    binary = str(pathlib.Path(a.bin).resolve()) if pathlib.Path(a.bin).exists() else a.bin
    paths = sorted(pathlib.Path(a.folder).glob("*.npz"), key=lambda path: path.stat().st_size)
    paths = [path for path in paths if not a.only or path.stem in a.only.split(",")]
    rows, failed = [], 0
    for seed in range(a.seeds):
        own = []
        for path in paths:
            train, test, y = split(path, seed, a.cap)
            row = {"table": path.stem, "seed": seed, "train": len(train), "normal": int((y == 0).sum())}
            row |= {"anomalies": int(y.sum()), "columns": train.shape[1]} | rivals(train, test, y)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    scores, log_probs, p, m, row["seconds"] = ours(binary, train, test, pathlib.Path(folder))
                except Exception as error:
                    failed += 1
                    print(path.stem, "FAILED", error, flush=True)
                    continue
            clip = lambda x: np.clip(np.nan_to_num(x, nan=-1e300), -1e300, 1e300)
            row["chainrule"], row["log_prob"] = roc_auc_score(y, -clip(scores)), roc_auc_score(y, -clip(log_probs))
            row["calibration_rows"], n = m, row["normal"]
            row["flagged"] = {str(alpha): int((p[y == 0] <= alpha).sum()) for alpha in ALPHAS}
            row["conformal"] = {str(alpha): interval(n, alpha, m) for alpha in ALPHAS}
            row["binomial"] = {str(alpha): interval(n, alpha) for alpha in ALPHAS}
            own.append(row)
            print(row["table"].ljust(22), seed, *(f"{m} {100 * row[m]:.1f}" for m in METHODS), f"flagged {row['flagged']} of {n}", f"{row['seconds']:.1f} s", flush=True)
        rows += own
        print(f"mean of seed {seed}:", *(f"{m} {100 * np.mean([row[m] for row in own]):.2f}" for m in METHODS), flush=True)
    means = {m: [float(np.mean([row[m] for row in rows if row["seed"] == seed])) for seed in range(a.seeds)] for m in METHODS}
    summary = {m: {"mean": float(np.mean(v)), "stderr_over_seeds": float(np.std(v, ddof=1) / len(v) ** 0.5) if len(v) > 1 else None} for m, v in means.items()}
    # Of the difference to each rival, table by table: how far apart are they beside the accidents of tables and seeds.
    tables = sorted({row["table"] for row in rows})
    of = lambda m, table: np.mean([row[m] for row in rows if row["table"] == table])
    for m in METHODS[1:]:
        difference = np.array([of("chainrule", table) - of(m, table) for table in tables])
        summary[m]["chainrule_ahead_by"] = float(difference.mean())
        summary[m]["stderr_over_tables"] = float(difference.std(ddof=1) / len(tables) ** 0.5) if len(tables) > 1 else None
    alarms = {}
    for alpha in map(str, ALPHAS):
        inside = lambda row, kind: row[kind][alpha][0] <= row["flagged"][alpha] <= row[kind][alpha][1]
        alarms[alpha] = {
            "rate": sum(row["flagged"][alpha] for row in rows) / sum(row["normal"] for row in rows),
            "mean_rate_of_tables": float(np.mean([row["flagged"][alpha] / row["normal"] for row in rows])),
            "runs": len(rows),
            "within_conformal_99": sum(inside(row, "conformal") for row in rows),
            "within_binomial_99": sum(inside(row, "binomial") for row in rows),
            "above_conformal_99": [f"{row['table']} {row['seed']}" for row in rows if row["flagged"][alpha] > row["conformal"][alpha][1]],
        }
    version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.strip()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor()) if pathlib.Path("/proc/cpuinfo").exists() else platform.processor()
    record = {"version": 1, "experiment": "adbench", "chainrule": version, "cpu": cpu, "date": time.strftime("%Y-%m-%d")}
    record |= {"python": platform.python_version(), "numpy": np.__version__, "scikit_learn": sklearn.__version__}
    record |= {"cap": a.cap, "seeds": a.seeds, "failed": failed, "auroc": summary, "false_alarms": alarms, "runs": rows}
    print(json.dumps({"auroc": summary, "false_alarms": alarms}, indent=1))
    if a.save:
        # A line for each run.
        brief = lambda row: json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()})
        lines = ",\n  ".join(map(brief, record.pop("runs")))
        pathlib.Path(a.save).write_text(json.dumps(record, indent=1)[:-2] + f',\n "runs": [\n  {lines}\n ]\n}}\n')
    sys.exit(bool(failed))


main()
