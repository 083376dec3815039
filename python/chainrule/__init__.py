"""Exact likelihoods of tables and images, by autoregressive models: p(x) = Π p(x_t | x_<t).

>>> import pandas as pd
>>> from chainrule import AnomalyDetector
>>> rows = pd.DataFrame({"age": range(20, 60), "job": ["cook", "nurse"] * 20})
>>> detector = AnomalyDetector(alpha=0.3).fit(rows)
>>> detector.predict(pd.DataFrame({"age": [30, 9000], "job": ["cook", "pilot"]})).tolist()
[1, -1]

The estimators follow scikit-learn. What they fit is a run directory of the ``chainrule`` program (``run_``), which
:func:`load` reads and :meth:`Run.save` writes: the same files, the same numbers to the bit.
"""

from ._chainrule import __version__
from ._errors import ChainruleError, InternalError, MissingFileError, NotFittedError, RefusedError
from ._run import Run, Scores, load
from .estimators import AnomalyDetector, Classifier, Density, Features, Imputer

__all__ = [
    "AnomalyDetector",
    "ChainruleError",
    "Classifier",
    "Density",
    "Features",
    "Imputer",
    "InternalError",
    "MissingFileError",
    "NotFittedError",
    "RefusedError",
    "Run",
    "Scores",
    "__version__",
    "load",
]
