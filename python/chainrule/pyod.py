"""A detector with pyod's interface and sign: high scores are abnormal."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyod.models.base import BaseDetector

from .estimators import AnomalyDetector


class ChainruleDetector(BaseDetector):
    """:class:`chainrule.AnomalyDetector` for pyod. Labels and thresholds are pyod's, by ``contamination`` of the training
    scores; ``detector_.p_values`` has p-values of rows that were held out.

    :param parameters: of :class:`chainrule.AnomalyDetector`, such as ``{"model": "made"}``.
    """

    def __init__(self, contamination: float = 0.1, parameters: dict[str, Any] | None = None):
        super().__init__(contamination=contamination)
        self.parameters = parameters

    def fit(self, X: Any, y: Any = None) -> ChainruleDetector:
        """Trains the model; ``y`` is ignored."""
        self._set_n_classes(y)
        self.detector_ = AnomalyDetector(**{"alpha": self.contamination, **(self.parameters or {})}).fit(X)
        self.decision_scores_ = -self.detector_.score_samples(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """How abnormal each row is."""
        return -self.detector_.score_samples(X)
