"""Runs: directories that hold a trained model, and the commands that use one."""

from __future__ import annotations

import filecmp
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from . import _chainrule
from ._errors import refused
from ._rows import Rows, give_back, rows_of

#: What commands say on the way.
log = logging.getLogger("chainrule")

#: Of a run that goes from process to process the checkpoint stays at home: it serves to train on.
CHECKPOINT = "checkpoint.safetensors"


def command(*words: Any, n_jobs: int | None = None, progress: Callable | None = None) -> dict:
    """Runs a command of the ``chainrule`` program and returns its record.

    >>> command("count", "--family", "markov", "--variables", 784, "--order", 1)["free_parameters"]
    '1567'
    """
    line = [str(word) for word in words] + ["--json"]
    text = _chainrule.call(line, refused, log.info, progress, _threads(n_jobs))
    return json.loads(text)


def _threads(n_jobs: int | None) -> int | None:
    """scikit-learn's ``n_jobs``: ``None`` and -1 are one thread per core, -2 one less."""
    if n_jobs is None or n_jobs == -1:
        return None
    if n_jobs == 0:
        raise ValueError("n_jobs == 0 has no meaning: expected None, -1 or a number of threads")
    return n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)


@dataclass(frozen=True)
class Scores:
    """What rows score; each array has a number per row."""

    #: log p(x) under the model, in nats.
    log_prob: np.ndarray
    #: What rows are ranked by, low is abnormal: of a table the Parzen window over training rows.
    score: np.ndarray
    #: By test the p-value among the rows that were asked for with ``calibrate``.
    p_values: dict[str, np.ndarray]
    #: −log p(x_i | x_<i) in nats, ``[rows, ...event shape]`` as float32, where asked for.
    costs: np.ndarray | None


class Run:
    """A run directory: a trained model with all that belongs to it.

    A run of :func:`load` stays where it is; one that an estimator fits lies in a temporary folder, which goes when
    nothing refers to it any more, unless :meth:`save` copies it. Runs can be pickled.
    """

    def __init__(self, path: str | os.PathLike, *, n_jobs: int | None = None, _owner: Any = None):
        #: The folder.
        self.path = Path(path)
        #: Threads that work on it; results do not depend on how many.
        self.n_jobs = n_jobs
        self._owner = _owner
        self._facts: dict | None = None

    def __repr__(self) -> str:
        return f"<chainrule run: {self.facts['model']} of {self.facts['data']}, in {self.path}>"

    def __getstate__(self) -> dict:
        files = {file.name: file.read_bytes() for file in self._files() if file.name != CHECKPOINT}
        return {"files": files, "n_jobs": self.n_jobs}

    def __setstate__(self, state: dict) -> None:
        owner = tempfile.TemporaryDirectory(prefix="chainrule-")
        path = Path(owner.name) / "run"
        path.mkdir()
        for name, content in state["files"].items():
            (path / name).write_bytes(content)
        self.__init__(path, n_jobs=state["n_jobs"], _owner=owner)

    def _files(self) -> list[Path]:
        return sorted(file for file in self.path.iterdir() if file.is_file() and not file.name.startswith("."))

    def _command(self, name: str, *words: Any) -> dict:
        return command(name, self.path, *words, n_jobs=self.n_jobs)

    @property
    def facts(self) -> dict:
        """What ``chainrule inspect`` says of the run."""
        if self._facts is None:
            self._facts = self._command("inspect")
        return self._facts

    @property
    def columns(self) -> list[str]:
        """Names of the variables: of the columns of a table that the model describes."""
        names = self.facts.get("columns")
        return list(names) if names else [f"x{i}" for i in range(int(np.prod(self.facts["shape"])))]

    @property
    def positions(self) -> list[int]:
        """Which columns of the rows that it was trained on the variables are: some may have been left out."""
        positions = self.facts.get("positions")
        return list(range(int(np.prod(self.facts["shape"])))) if positions is None else list(positions)

    @property
    def is_of_images(self) -> bool:
        """Whether an event has rows and columns of its own."""
        return len(self.facts["shape"]) > 1

    def save(self, path: str | os.PathLike) -> Run:
        """Copies the run to a folder that is not there yet, for the ``chainrule`` program or :func:`load`."""
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path} is there already; choose another folder")
        path.mkdir(parents=True, exist_ok=True)
        for file in self._files():
            shutil.copyfile(file, path / file.name)
        return Run(path, n_jobs=self.n_jobs)

    def score(
        self,
        X: Any,
        *,
        by: str | None = None,
        calibrate: str | os.PathLike | None = None,
        tests: Sequence[str] = (),
        costs: bool = False,
        bad_rows: str = "raise",
    ) -> Scores:
        """Scores rows, as ``chainrule score`` does.

        :param by: what rows are ranked by, ``log-prob`` or ``window``; by default the window of a run that has one.
        :param calibrate: rows to rank among: ``valid`` for those that training held out, or a file.
        :param tests: ``ratio``, ``complexity``; of runs of images, bits and levels, and beside their training data.
        :param costs: also what each variable costs.
        :param bad_rows: ``raise``, or ``nan`` for rows that cannot be read as the run's.
        """
        if bad_rows not in ("raise", "nan"):
            raise ValueError(f"bad_rows={bad_rows!r}: expected 'raise' or 'nan'")
        words: list[Any] = ["--bad-rows", "stop" if bad_rows == "raise" else "report"]
        if by is not None:
            words += ["--score", by]
        if calibrate is not None:
            words += ["--calibrate", calibrate]
        for test in tests:
            words += ["--test", test]
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            folder = Path(folder)
            out, costs_at = folder / "scores.parquet", folder / "costs.npy"
            if costs:
                words += ["--per-variable", costs_at]
            data = rows_of(X).write(folder, "rows")
            self._command("score", "--data", data, "--out", out, *words)
            numbers = pq.read_table(out)
            per_variable = np.load(costs_at) if costs else None
        # A row that cannot be read has no number.
        columns = {name: numbers.column(name).to_numpy() for name in numbers.column_names if name != "error"}
        log_prob = columns["log_prob_nats"]
        score = columns.get("score", log_prob)
        p_values = {name[2:]: p for name, p in columns.items() if name.startswith("p_")}
        return Scores(log_prob, score, p_values, per_variable)

    def log_prob(self, X: Any) -> np.ndarray:
        """log p(x) of each row, in nats."""
        return self.score(X, by="log-prob" if self.has_window else None).log_prob

    @property
    def has_window(self) -> bool:
        """Whether rows are ranked by a Parzen window over training rows."""
        return (self.path / "window.safetensors").is_file()

    def sample(
        self,
        n: int = 1,
        *,
        seed: int = 1,
        label: int | None = None,
        given: Sequence[str] = (),
        container: str | None = None,
    ) -> Any:
        """Draws rows: of a table with names a frame, else an array ``[n, ...event shape]``.

        :param given: conditions such as ``'age=30..40'``, of the columns of a table.
        :param container: ``numpy``, ``pandas``, ``polars`` or ``arrow``; by default pandas, where it is installed.
        """
        words: list[Any] = ["--count", n, "--seed", seed]
        if label is not None:
            words += ["--class", label]
        for condition in given:
            words += ["--given", condition]
        if self.is_of_images:
            return self._array("sample", *words)
        return self._table("sample", container, *words)

    def complete(
        self,
        X: Any,
        *,
        observe: str | None = None,
        samples: int = 1,
        most_likely: bool = False,
        seed: int = 1,
        particles: int | None = None,
    ) -> Any:
        """Fills in what is missing, given what is there: the empty cells of a table's rows, or of images what ``observe``
        leaves out (``top-half``, ``left-half``, ``every-other-row``, ``fraction:P``, or a mask's path), as an array
        ``[n, samples, ...event shape]``."""
        rows = rows_of(X)
        words: list[Any] = ["--seed", seed]
        words += ["--most-likely"] if most_likely else ["--samples", samples]
        if particles is not None:
            words += ["--particles", particles]
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            words += ["--data", rows.write(Path(folder), "rows")]
            if self.is_of_images:
                words += ["--observe", observe or "top-half", "--count", len(rows)]
                return self._array("complete", *words)
            filled = self._table("complete", "arrow", *words)
        return rows.give_back(filled) if filled.num_rows == len(rows) else give_back(filled, rows.container)

    def features(self, X: Any) -> np.ndarray:
        """What the model makes of each row: its hidden units, float32 ``[rows, features]``."""
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            return self._array("features", "--data", rows_of(X).write(Path(folder), "rows"))

    def classify(self, X: Any, target: str) -> tuple[list[str], np.ndarray]:
        """Labels of a column of the run's own table, and p(label | row) of each, ``[rows, labels]``."""
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            data = rows_of(X).write(Path(folder), "rows")
            table = self._table("classify", "arrow", "--data", data, "--target", target)
        names = [name for name in table.column_names if name.startswith("p_")]
        shares = [table.column(name).to_numpy() for name in names]
        return [name.removeprefix("p_") for name in names], np.column_stack(shares)

    def _array(self, name: str, *words: Any) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            out = Path(folder) / "out.npy"
            self._command(name, *words, "--out", out)
            return np.load(out)

    def _table(self, name: str, container: str | None, *words: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
            out = Path(folder) / "out.parquet"
            self._command(name, *words, "--out", out)
            return give_back(pq.read_table(out), container or ("pandas" if find_spec("pandas") else "arrow"))


def load(path: str | os.PathLike, *, n_jobs: int | None = None) -> Run:
    """The run in a folder, as ``chainrule train`` writes one."""
    run = Run(path, n_jobs=n_jobs)
    # Refuses what is no run.
    _ = run.facts
    return run


def train(
    X: Rows,
    *,
    model: str | None,
    settings: dict[str, Any],
    path: str | os.PathLike | None,
    n_jobs: int | None,
    progress: Callable | None,
) -> Run:
    """Trains a model as ``chainrule train FILE`` does; with ``path`` in that folder, where what was begun is gone on with."""
    if path is None:
        owner = tempfile.TemporaryDirectory(prefix="chainrule-")
        path = Path(owner.name) / "run"
        data = X.write(Path(owner.name), "rows")
    else:
        owner, path = None, Path(path)
        data = _kept(X, path)
    words: list[Any] = []
    if model is not None:
        words += ["--model", model]
    for key, value in settings.items():
        words += ["--set", f"{key}={_toml(value)}"]
    command("train", data, "--out", path, "--resume", *words, n_jobs=n_jobs, progress=progress)
    if owner is not None:
        # What it was trained on is the caller's, who has it.
        data.unlink()
    return Run(path, n_jobs=n_jobs, _owner=owner)


def _kept(X: Rows, path: Path) -> Path:
    """The rows in the folder of their run, so that the run can be gone on with; refuses a folder of others."""
    with tempfile.TemporaryDirectory(prefix="chainrule-") as folder:
        new = X.write(Path(folder), ".rows")
        data = path / new.name
        if (path / "config.toml").exists():
            if not data.is_file() or not filecmp.cmp(data, new, shallow=False):
                raise ValueError(f"{path} holds a run of other rows; choose another run_dir")
            return data
        path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(new, data)
        return data


def _toml(value: Any) -> str:
    """A value of a setting, as TOML."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(of)}" for key, of in value.items()) + " }"
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ", ".join(_toml(of) for of in value) + "]"
    raise TypeError(f"a setting of type {type(value).__name__}, expected a number, a text, a list or a dict")
