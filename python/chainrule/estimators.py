"""scikit-learn's estimators over runs of the ``chainrule`` program.

Rows are numpy arrays, or frames of pandas, polars or pyarrow with numbers, words and missing cells; images are arrays
``[n, rows, columns]``. What a column is (words, counts, amounts, real numbers, …) is found out as ``chainrule train FILE``
does: a tenth of the rows validates and another tests.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    DensityMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from . import _run
from ._rows import Rows, rows_of
from ._run import Run


class _OverARun(BaseEstimator):
    """What fits a run and uses it. Parameters:

    :param model: the kind of model: ``nade``, ``made``, ``orderless-nade``, ``kernel``, ``rnade``, ``pixel-cnn``, …; by default the
        one that suits the data.
    :param settings: keys of the config and their values, such as ``{"model.hidden": 200, "train.epochs": 50}``.
    :param run_dir: where the run is written and, if a fit was interrupted, gone on with; by default a temporary folder.
    :param random_state: seed of training; the same seed gives the same model, to the bit.
    :param n_jobs: threads; results do not depend on how many.
    :param progress: ``True`` for a bar (by tqdm, where it is installed), or a function that is called after each epoch with its
        number and the costs of the training and validation rows in nats.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        settings: dict[str, Any] | None = None,
        run_dir: str | os.PathLike | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        progress: bool | Callable | None = None,
    ):
        self.model = model
        self.settings = settings
        self.run_dir = run_dir
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False
        return tags

    def _train(self, rows: Rows, **settings: Any) -> None:
        if len(rows) < 2:
            raise ValueError("n_samples=1: one row has nothing in common with others; fit at least 2, better hundreds")
        settings |= self.settings or {}
        if self.random_state is not None:
            settings.setdefault("seed", _seed(self.random_state))
        with _Bar(self.progress) as hears:
            self.run_ = _run.train(
                rows, model=self.model, settings=settings, path=self.run_dir, n_jobs=self.n_jobs, progress=hears
            )
        self._container = rows.container
        self._width = None
        if rows.array is None or rows.array.ndim == 2:
            self._width = rows.width
            left_out = sorted(set(range(rows.width)) - set(self.run_.positions))
            if left_out:
                names = [repr(rows.names[i]) if rows.names else str(i) for i in left_out]
                warnings.warn(
                    f"columns are left out, which have one value, count the rows, name them or repeat another: {', '.join(names)}",
                    stacklevel=3,
                )

    def _in_place(self, values: np.ndarray, filler: float) -> np.ndarray:
        """An array of the model's columns with those that were left out in their places, where there are any."""
        positions = self.run_.positions
        if self._width in (None, len(positions)) or values.ndim != 2:
            return values
        out = np.full((len(values), self._width), filler, values.dtype)
        out[:, positions] = values
        return out

    def _rows(self, X: Any, *, reset: bool) -> Rows:
        if not reset:
            check_is_fitted(self, "run_")
        rows = rows_of(X)
        if not reset and not hasattr(self, "n_features_in_"):
            # Of a run that something else has trained, which says itself what it takes.
            return rows
        if rows.container == "arrow":
            self._note_names(rows, reset=reset)
        else:
            validate_data(self, X if hasattr(X, "shape") else np.asarray(X), reset=reset, skip_check_array=True)
        return rows

    def _note_names(self, rows: Rows, *, reset: bool) -> None:
        """What scikit-learn notes of frames that it knows; columns are matched by name when they are read."""
        if reset:
            self.n_features_in_ = rows.width
            self.feature_names_in_ = np.array(rows.names, dtype=object)
        elif rows.width != self.n_features_in_:
            raise ValueError(
                f"X has {rows.width} features, but {type(self).__name__} is expecting {self.n_features_in_} features as input"
            )

    def save(self, path: str | os.PathLike) -> Run:
        """Copies the fitted run to a folder that is not there yet, for the ``chainrule`` program or :func:`chainrule.load`."""
        check_is_fitted(self, "run_")
        return self.run_.save(path)


def _documented(estimator: type) -> type:
    """Adds to what an estimator says of its own parameters those that all have."""
    if estimator.__doc__ and _OverARun.__doc__:
        estimator.__doc__ = estimator.__doc__.rstrip() + "\n" + _OverARun.__doc__.partition("Parameters:\n")[2]
    return estimator


@_documented
class Density(DensityMixin, _OverARun):
    """The density or probability of rows: log p(x) = Σ log p(x_t | x_<t), exactly.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(200, 2))
    >>> density = Density(settings={"train.epochs": 20}).fit(rows)
    >>> density.score_samples(rows).shape
    (200,)
    >>> density.sample(3, random_state=1).shape
    (3, 2)
    """

    def fit(self, X: Any, y: Any = None) -> Density:
        """Trains the model on rows or images; ``y`` is ignored."""
        self._train(self._rows(X, reset=True))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of each row, in nats."""
        rows = self._rows(X, reset=False)
        return self.run_.log_prob(rows)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draws rows, in the kind of container that the model was fitted to. A column of an array that was left out is NaN."""
        check_is_fitted(self, "run_")
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples}: expected at least 1")
        drawn = self.run_.sample(n_samples, seed=_seed(random_state), container=self._container)
        return self._in_place(drawn, np.nan) if self._container == "numpy" else drawn


@_documented
class AnomalyDetector(OutlierMixin, _OverARun):
    """Flags rows that are not like those it was fitted to: at most about ``alpha`` of the rows that are.

    A row's p-value is its rank among the validation rows, which training has not seen: p = (1 + how many of them are at
    least as extreme) / (their number + 1). Of a table rows are ranked by a Parzen window over training rows, else by
    log p(x).

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(500, 2))
    >>> detector = AnomalyDetector(alpha=0.05, settings={"train.epochs": 20}).fit(rows)
    >>> detector.predict([[0.1, 0.2], [9.0, -9.0]]).tolist()
    [1, -1]

    :param alpha: rows with a p-value of at most this are flagged.
    :param test: ``low-likelihood``, or ``typicality``, which also flags rows that are too likely.
    """

    TESTS: ClassVar[dict[str, str]] = {"low-likelihood": "low_likelihood", "typicality": "typicality"}

    def __init__(
        self,
        model: str | None = None,
        *,
        alpha: float = 0.01,
        test: str = "low-likelihood",
        settings: dict[str, Any] | None = None,
        run_dir: str | os.PathLike | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        progress: bool | Callable | None = None,
    ):
        super().__init__(
            model, settings=settings, run_dir=run_dir, random_state=random_state, n_jobs=n_jobs, progress=progress
        )
        self.alpha = alpha
        self.test = test

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Trains the model on rows that are mostly normal, and ranks the held-out ones; ``y`` is ignored."""
        if self.test not in self.TESTS:
            raise ValueError(f"test={self.test!r}: expected one of {', '.join(map(repr, self.TESTS))}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha={self.alpha}: expected a number between 0 and 1")
        rows = self._rows(X, reset=True)
        self._train(rows)
        self._calibrate(len(rows))
        return self

    @classmethod
    def of_run(cls, run: Run, **parameters: Any) -> AnomalyDetector:
        """The detector that a run is, such as one of :func:`chainrule.load`."""
        detector = cls(**parameters)
        detector.run_ = run
        detector._container, detector._width = "pandas", None
        detector._calibrate(0)
        return detector

    def _calibrate(self, rows: int) -> None:
        known = _calibration(self.run_)
        if known is None:
            raise ValueError(
                f"the run has no validation rows to rank others among ({rows} rows in all): fit at least 10 rows"
            )
        #: How the held-out rows score, the lowest first.
        self.calibration_scores_ = np.sort(known)
        # p <= alpha, if and only if fewer held-out rows than so many are as extreme.
        fewer_than = int(np.floor(self.alpha * (len(known) + 1) * (1 + 1e-12)))
        if fewer_than < 1:
            warnings.warn(
                f"alpha={self.alpha} is below every p-value that {len(known)} held-out rows can give, so nothing is "
                f"flagged: at least {int(np.ceil(1 / self.alpha)) - 1} are needed, a tenth of the rows that are fitted",
                stacklevel=3,
            )
        if self.test == "typicality":
            # p-values themselves: how far a row is from the middle depends on where the middle is with it.
            self.offset_ = float(np.nextafter(self.alpha, 1))
        else:
            self.offset_ = float(self.calibration_scores_[fewer_than - 1]) if fewer_than else -np.inf

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each row is; low is abnormal. What rows are ranked by, or for ``typicality`` their p-values."""
        if self.test == "typicality":
            return self.p_values(X)
        rows = self._rows(X, reset=False)
        return self.run_.score(rows).score

    def decision_function(self, X: Any) -> np.ndarray:
        """:meth:`score_samples` less ``offset_``: below 0 where a row is flagged."""
        return self.score_samples(X) - self.offset_

    def p_values(self, X: Any) -> np.ndarray:
        """The p-value of each row: small where few held-out rows are as extreme."""
        rows = self._rows(X, reset=False)
        return self.run_.score(rows, calibrate="valid").p_values[self.TESTS[self.test]]

    def predict(self, X: Any) -> np.ndarray:
        """-1 where a row is flagged, 1 elsewhere."""
        return np.where(self.p_values(X) <= self.alpha, -1, 1)

    def explain(self, X: Any) -> Any:
        """What each cell costs under the model, −log p(x_i | x_<i) in nats: the dearest are the reasons. A frame for a frame;
        for an array one of its shape, in which columns that were left out cost nothing."""
        rows = self._rows(X, reset=False)
        costs = self.run_.score(rows, costs=True).costs
        if rows.table is None:
            return self._in_place(costs, 0)
        names = self.run_.columns
        columns = [pa.array(column) for column in costs.T]
        return rows.give_back(pa.table(columns, names=names))


@_documented
class Classifier(ClassifierMixin, _OverARun):
    """p(y | x) by Bayes' rule from a model of p(x, y): of a table's rows with their label as one more column.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(0, 1, (100, 2)), rng.normal(6, 1, (100, 2))])
    >>> labels = np.repeat(["low", "high"], 100)
    >>> Classifier().fit(rows, labels).predict([[0, 0], [6, 6]]).tolist()
    ['low', 'high']
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = False
        return tags

    def fit(self, X: Any, y: Any) -> Classifier:
        """Trains a model of rows and their labels."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        rows = self._rows(X, reset=True)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if len(y) != len(rows):
            raise ValueError(
                f"{len(rows)} rows and {len(y)} labels: Found input variables with inconsistent numbers of samples"
            )
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        names = rows.named().names
        self.target_ = next(
            name for name in ("y", "target", "class of row", *map("y{}".format, range(len(names)))) if name not in names
        )
        # Columns, even where all of them have as many labels: then one can be asked about given the others.
        self._train(rows.with_column(self.target_, [f"c{code}" for code in codes]), **{"data.kind": "columns"})
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """p(y | x) of each row and each of ``classes_``."""
        rows = self._rows(X, reset=False).named()
        # What stands in the column of labels is not looked at, but it must be there.
        asked = rows.with_column(self.target_, ["c0"] * len(rows))
        labels, shares = self.run_.classify(asked, self.target_)
        out = np.zeros((len(rows), len(self.classes_)))
        for label, share in zip(labels, shares.T, strict=False):
            out[:, int(label.removeprefix("c"))] = share
        return out

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest of ``classes_`` for each row."""
        shares = self.predict_proba(X)
        return self.classes_[np.argmax(shares, axis=1)]


@_documented
class Imputer(TransformerMixin, _OverARun):
    """Fills in missing cells, each given all others of its row.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> a = rng.integers(0, 3, 300)
    >>> imputer = Imputer().fit(np.column_stack([a, 2 * a]))
    >>> imputer.transform([[1.0, np.nan], [np.nan, 4.0]]).tolist()
    [[1.0, 2.0], [2.0, 4.0]]

    :param strategy: ``most-likely``, the commonest label or the median of draws; or ``draw``, one draw.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        strategy: str = "most-likely",
        settings: dict[str, Any] | None = None,
        run_dir: str | os.PathLike | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        progress: bool | Callable | None = None,
    ):
        super().__init__(
            model, settings=settings, run_dir=run_dir, random_state=random_state, n_jobs=n_jobs, progress=progress
        )
        self.strategy = strategy

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = False
        return tags

    def fit(self, X: Any, y: Any = None) -> Imputer:
        """Trains a model of rows, whose missing cells are learned from as well; ``y`` is ignored."""
        if self.strategy not in ("most-likely", "draw"):
            raise ValueError(f"strategy={self.strategy!r}: expected 'most-likely' or 'draw'")
        self._train(self._rows(X, reset=True).named(), **{"data.kind": "columns"})
        return self

    def transform(self, X: Any) -> Any:
        """The rows with every missing cell of a column of the model filled in."""
        rows = self._rows(X, reset=False)
        table = rows.named().table
        if not any(column.null_count for column in table.columns):
            return rows.give_back(table)
        filled = self.run_.complete(
            Rows(None, table, "arrow"), most_likely=self.strategy == "most-likely", seed=_seed(self.random_state)
        )
        for name in filled.column_names:
            if table.column(name).null_count:
                column, kind = filled.column(name), table.schema.field(name).type
                if not pa.types.is_null(kind):
                    # Few numbers are labels to the model, and come back as words.
                    column = column.cast(kind)
                table = table.set_column(table.column_names.index(name), name, column)
        return rows.give_back(table)


@_documented
class Features(TransformerMixin, _OverARun):
    """What a model makes of each row: its hidden units, for other estimators to use."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Any, y: Any = None) -> Features:
        """Trains the model on rows or images; ``y`` is ignored."""
        self._train(self._rows(X, reset=True))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features of each row, float32 ``[rows, features]``."""
        rows = self._rows(X, reset=False)
        return self.run_.features(rows)


def _seed(random_state: Any) -> int:
    """A seed of the program: its own 1 where nobody says otherwise."""
    if random_state is None:
        return 1
    if isinstance(random_state, (int, np.integer)) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _calibration(run: Run) -> np.ndarray | None:
    """What the validation rows scored when the run was trained: ``calibration.safetensors``."""
    path = run.path / "calibration.safetensors"
    if not path.is_file():
        return None
    content = path.read_bytes()
    # The format: the length of a JSON header, the header, the arrays.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    begin, end = header.get("window_nats", header["log_prob_nats"])["data_offsets"]
    return np.frombuffer(content[start + begin : start + end], "<f8")


class _Bar:
    """Shows how training goes, or tells somebody."""

    def __init__(self, progress: bool | Callable | None):
        self.progress = progress
        self.bar = None

    def __enter__(self) -> Callable | None:
        if not self.progress:
            return None
        if callable(self.progress):
            return self._tell
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return None
        self.bar = tqdm(desc="training", unit=" epochs")
        return self._show

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def _tell(self, epoch: int, step: int, steps: int, nll_nats: float, valid: float | None = None) -> None:
        if steps == 0:
            self.progress(epoch, nll_nats, valid)

    def _show(self, epoch: int, step: int, steps: int, nll_nats: float, valid: float | None = None) -> None:
        if steps == 0:
            self.bar.update(epoch - self.bar.n)
            self.bar.set_postfix(train=f"{nll_nats:.3f}", valid="-" if valid is None else f"{valid:.3f}", refresh=False)
