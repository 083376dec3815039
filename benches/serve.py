"""Rows per second of `chainrule serve` beside `chainrule score` on the same rows, and whether the numbers are the same bits.

    pip install numpy && python benches/serve.py --bin target/release/chainrule --rows 2000000

A table of 20 columns of real numbers that depend on each other, as CSV; a run is trained on the first 100,000 rows. The
program scores the file; then 32 clients send all rows as bodies of 2,000, each over a connection of its own, and every
answer is compared with what the program wrote, row by row. The clients compute on the same cores. Latencies are those of
requests of 2,000 rows, and, of another round without other work, of one row.
"""

import argparse
import csv
import http.client
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile
import threading
import time

import numpy as np

COLUMNS, BODY = 20, 2000


def table(folder: pathlib.Path, rows: int) -> tuple[str, list[bytes]]:
    """The header, and the rows of each body, as CSV."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, COLUMNS))
    header = ",".join(f"c{i:02}" for i in range(COLUMNS)) + "\n"
    bodies = []
    with open(folder / "rows.csv", "w") as whole, open(folder / "train.csv", "w") as train:
        whole.write(header)
        train.write(header)
        for first in range(0, rows, BODY):
            count = min(BODY, rows - first)
            values = np.tanh(rng.normal(size=(count, 5)) @ mixing) + 0.3 * rng.normal(size=(count, COLUMNS))
            text = "".join(",".join(f"{x:.6f}" for x in row) + "\n" for row in values)
            whole.write(text)
            if first < 100_000:
                train.write(text)
            bodies.append((header + text).encode())
    return header, bodies


def resident(pid: int) -> int:
    """MiB that a process has had in memory at most."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


def percentile(seconds: list[float], share: float) -> float:
    return 1e3 * sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the chainrule program")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--clients", type=int, default=32)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    _, bodies = table(folder, args.rows)
    run = [args.bin, "train", folder / "train.csv", "--out", folder / "run", "--set", "train.epochs=10", "--quiet"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)

    line = [args.bin, "score", folder / "run", "--data", folder / "rows.csv", "--calibrate", "valid"]
    start = time.perf_counter()
    subprocess.run([*line, "--out", folder / "s.csv", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    program = args.rows / (time.perf_counter() - start)

    serve = [args.bin, "serve", folder / "run", "--bind", "127.0.0.1:0", "--json"]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE)
    address = json.loads(server.stdout.readline())["address"].removeprefix("http://").rstrip("/")
    answers: list[bytes | None] = [None] * len(bodies)
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    lock = threading.Lock()

    def post(connection, body):
        head = {"content-type": "text/csv"}
        begun = time.perf_counter()
        connection.request("POST", "/v1/models/run/score", body, head)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, content, time.perf_counter() - begun

    def client(which: int) -> None:
        connection = http.client.HTTPConnection(address)
        for k in range(which, len(bodies), args.clients):
            while True:
                status, content, took = post(connection, bodies[k])
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1
                    latencies.append(took)
                if status != 429:
                    break
                time.sleep(0.05)
            answers[k] = content

    threads = [threading.Thread(target=client, args=(which,)) for which in range(args.clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service = args.rows / (time.perf_counter() - begun)
    memory = resident(server.pid)

    connection = http.client.HTTPConnection(address)
    single = b"".join(bodies[0].splitlines(keepends=True)[:2])
    alone = [post(connection, single)[2] for _ in range(500)]
    server.terminate()
    assert server.wait() == 0

    differences = 0
    with open(folder / "s.csv") as file:
        written = csv.DictReader(file)
        for content in answers:
            for row in json.loads(content)["rows"]:
                own = next(written)
                for name in ["log_prob_nats", "score", "p_low_likelihood", "p_typicality"]:
                    differences += float(own[name]) != row[name]
        assert next(written, None) is None
    record = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "rows": args.rows,
        "program_rows_per_second": round(program),
        "service_rows_per_second": round(service),
        "share": round(service / program, 3),
        "statuses": statuses,
        "numbers_that_differ": differences,
        "milliseconds_of_2000_rows": {"p50": round(percentile(latencies, 0.5), 1), "p99": round(percentile(latencies, 0.99), 1)},
        "milliseconds_of_1_row": {"median": round(1e3 * statistics.median(alone), 2), "p99": round(percentile(alone, 0.99), 2)},
        "server_MiB": memory,
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
