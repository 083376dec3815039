#!/usr/bin/env python3
"""What models make of three tables of words and numbers: adult, diamonds, agaricus.

    python3 benches/tables.py FOLDER --bin target/release/chainrule [--save benches/tables.json]

FOLDER holds the tables as they are published, whatever of these is there:

    adult.csv.gz, adult-test.csv.gz   census of 1994, 15 columns (B. Becker, R. Kohavi, UCI, 1996)
    rd_diamonds.csv                   prices of diamonds (H. Wickham, ggplot2), 20,000 rows of them
    agaricus-lepiota.data             mushrooms (UCI, 1981), with a line of names in front

Nothing is tuned, and nothing but the kind of model said: `chainrule train FILE --model KIND --set seed=S`. For each kind: NLL
of the test rows (a tenth of the file), and of adult of the file for tests; labels told from the other columns (`classify
--target`); a tenth of the cells of held-out rows hidden and filled in, beside the frequencies of training (`complete --hide
0.1`); bytes that the whole file takes (`compress`), beside Parquet, xz and gzip.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

TABLES = {
    "adult": {"file": "adult.csv.gz", "test": "adult-test.csv.gz", "target": "classification"},
    "diamonds": {"file": "rd_diamonds.csv", "target": "cut"},
    "agaricus": {"file": "agaricus-lepiota.data", "target": "l"},
}
KINDS = ("nade", "made", "orderless-nade", "kernel", "bayesian-network", "markov")
# Rows whose cells are hidden: each row with holes is several draws of every kind.
HIDDEN_ROWS = 500


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--bin", default="chainrule")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="names of tables, separated by commas")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--save", default="")
    a = parser.parse_args()
    binary = str(pathlib.Path(a.bin).resolve()) if pathlib.Path(a.bin).exists() else a.bin
    folder = pathlib.Path(a.folder).resolve()
    results = {}

    def chainrule(where, *arguments):
        """Its record; None where it says that it cannot, which is printed."""
        done = subprocess.run([binary, *map(str, arguments), "--json"], cwd=where, capture_output=True, text=True)
        if done.returncode:
            print("   ", " ".join(map(str, arguments))[:100], "->", done.stderr.strip().splitlines()[0][:200], flush=True)
            return None
        return json.loads(done.stdout.strip().splitlines()[-1])

    for name, table in TABLES.items():
        path = folder / table["file"]
        if not path.exists() or a.only and name not in a.only.split(","):
            continue
        results[name] = {}
        for kind in a.kinds.split(","):
            with tempfile.TemporaryDirectory() as where:
                runs = []
                for seed in range(1, a.seeds + 1):
                    record = chainrule(where, "train", path, "--model", kind, "--set", f"seed={seed}", "--out", f"run{seed}")
                    if record is None:
                        break
                    runs.append(record)
                if not runs:
                    continue
                nll = [record["test"]["nll_nats"] for record in runs]
                own = {
                    "parameters": int(runs[0]["parameters"]),
                    "seconds": [round(record["seconds"], 1) for record in runs],
                    "test_rows": runs[0]["test"]["examples"],
                    "test_nll_nats": nll,
                    "test_nll_nats_stderr": runs[0]["test"]["nll_nats_stderr"],
                }
                # The rest is of the first seed.
                held_out = ["--data", folder / table["test"]] if "test" in table else []
                if held_out:
                    record = chainrule(where, "eval", "run1", *held_out)
                    own["file_for_tests_nll_nats"] = record and record["nll_nats"]
                record = chainrule(where, "classify", "run1", *held_out, "--target", table["target"])
                if record:
                    own["classify"] = {k: record[k] for k in ("target", "examples", "accuracy", "accuracy_stderr", "log_loss_nats", "calibration_error")}
                record = chainrule(where, "complete", "run1", *held_out, "--hide", "0.1", "--count", HIDDEN_ROWS, "--out", "filled.csv")
                if record:
                    own["filled_in"] = record["hidden"]
                    cells = sum(column["cells"] for column in record["hidden"])
                    mean = lambda key: sum(column["cells"] * column[key] for column in record["hidden"]) / cells
                    own["filled_in_nats_a_cell"] = mean("log_loss_nats")
                    own["filled_in_marginal_nats_a_cell"] = mean("marginal_log_loss_nats")
                    own["filled_in_worse_than_marginal"] = [column["column"] for column in record["hidden"] if column["log_loss_nats"] > column["marginal_log_loss_nats"]]
                record = chainrule(where, "compress", "run1", path, "--out", "table.chr")
                if record:
                    own["compress"] = {"bytes": record["bytes"], "nll_bytes": record["nll_bytes"], "baselines": record["baselines"]}
                    own["compress"]["model_bytes"] = (pathlib.Path(where) / "run1/model.safetensors").stat().st_size
                results[name][kind] = own
                spread = f" (seeds {min(nll):.2f} to {max(nll):.2f})" if len(nll) > 1 else ""
                print(name, kind, f"test {statistics.mean(nll):.3f}{spread} nats", {k: own[k] for k in ("file_for_tests_nll_nats", "filled_in_nats_a_cell", "filled_in_marginal_nats_a_cell") if k in own}, own.get("classify", {}).get("accuracy"), own.get("compress", {}).get("bytes"), own["seconds"], flush=True)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.strip()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else [platform.processor()]
    record = {"version": 1, "experiment": "tables", "chainrule": version, "cpu": names[0], "date": time.strftime("%Y-%m-%d"), "seeds": a.seeds, "tables": results}
    if a.save:
        pathlib.Path(a.save).write_text(json.dumps(record, indent=1) + "\n")


main()
