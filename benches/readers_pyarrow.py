#!/usr/bin/env python3
"""pyarrow on one thread, to be timed beside `cargo bench -p ar-data --features arrow --bench readers`.

    pip install pyarrow
    python benches/readers_pyarrow.py [FOLDER] [ROWS]  # those of CHAINRULE_READERS and CHAINRULE_READERS_ROWS

Reads the CSVs that the bench has written, and the same as Parquet, which it writes where it is not there: snappy,
row groups and dictionaries as pyarrow has them by itself, bits as uint8, words as strings. Prints the median,
fastest and slowest of seven runs for reading a file in two ways:

  whole   as a table, of types that pyarrow infers
  chunks  4096 rows at a time (text: as many bytes as these), of types that are stated; of the table of many
          kinds the columns that are numbers alone, as float64

One more argument, such as "bits csv chunks", reads once in that way and prints the most memory that it took.
"""
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

DIM, CHUNK, RUNS = 784, 4096, 7
WORDS = ["w0", "w1", "w2", "date"]
NUMBERS = [f"i{k}" for k in range(5)] + [f"d{k}" for k in range(5)] + [f"f{k}" for k in range(4)]
BITS = ["b0", "b1"]


class Table:
    def __init__(self, name, folder, rows):
        self.name, self.rows = name, rows
        self.csv = folder / f"{name}-{rows}.csv"
        self.parquet = self.csv.with_suffix(".parquet")
        if name == "bits":
            self.has_names, self.columns = False, [f"f{k}" for k in range(DIM)]
            self.saved = dict.fromkeys(self.columns, pa.uint8())
            self.wanted = self.saved
        else:
            self.has_names, self.columns = True, None
            self.saved = dict.fromkeys(WORDS, pa.string()) | dict.fromkeys(BITS, pa.uint8())
            self.wanted = dict.fromkeys(NUMBERS + BITS, pa.float64())

    def open_csv(self, types, only=None, block=None):
        read = pa.csv.ReadOptions(
            use_threads=False, block_size=block, autogenerate_column_names=not self.has_names
        )
        convert = pa.csv.ConvertOptions(column_types=types, include_columns=only)
        return read, convert

    def write_parquet(self):
        if self.parquet.exists():
            return
        read, convert = self.open_csv(self.saved)
        table = pa.csv.read_csv(self.csv, read_options=read, convert_options=convert)
        partial = self.parquet.with_suffix(".partial")
        pa.parquet.write_table(table, partial, compression="snappy", use_dictionary=True)
        partial.rename(self.parquet)

    def whole(self, of):
        if of == "parquet":
            return pa.parquet.read_table(self.parquet, use_threads=False).num_rows
        read, convert = self.open_csv(None)
        return pa.csv.read_csv(self.csv, read_options=read, convert_options=convert).num_rows

    def chunks(self, of):
        names = list(self.wanted)
        if of == "parquet":
            file = pa.parquet.ParquetFile(self.parquet)
            batches = file.iter_batches(CHUNK, columns=names, use_threads=False)
            if self.name != "bits":
                schema = pa.schema(self.wanted)
                batches = (batch.cast(schema) for batch in batches)
            return sum(batch.num_rows for batch in batches)
        block = self.csv.stat().st_size * CHUNK // self.rows
        read, convert = self.open_csv(self.wanted, names, block)
        with pa.csv.open_csv(self.csv, read_options=read, convert_options=convert) as batches:
            return sum(batch.num_rows for batch in batches)


def main():
    folder = os.environ.get("CHAINRULE_READERS") or Path(tempfile.gettempdir(), "chainrule-readers")
    rows = os.environ.get("CHAINRULE_READERS_ROWS", "20000")
    folder, rows, only = (sys.argv[1:] + [folder, rows, ""][len(sys.argv) - 1 :])[:3]
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    rows = int(rows)
    for table in [Table("bits", Path(folder), rows), Table("mixed", Path(folder), 5 * rows)]:
        if not only:
            table.write_parquet()
        for of in ["csv", "parquet"]:
            megabytes = getattr(table, of).stat().st_size / 1e6
            for way in [table.whole, table.chunks]:
                what = f"{table.name} {of} {way.__name__}"
                if only not in ["", what]:
                    continue
                seconds = []
                for _ in range(1 if only else RUNS):
                    start = time.perf_counter()
                    assert way(of) == table.rows
                    seconds.append(time.perf_counter() - start)
                median = statistics.median(seconds)
                print(
                    f"{what:22} {median:7.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"
                    f" {table.rows / median:12,.0f} rows/s {megabytes / median:8.1f} MB/s",
                    flush=True,
                )
    if only:
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


main()
