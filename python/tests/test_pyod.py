"""The detector with pyod's interface."""

import numpy as np
import pytest

pytest.importorskip("pyod")


def test_high_scores_are_abnormal(reals, quick):
    from chainrule.pyod import ChainruleDetector

    detector = ChainruleDetector(contamination=0.1, parameters={"settings": quick}).fit(reals)
    assert detector.decision_scores_.shape == (len(reals),)
    assert abs(detector.labels_.mean() - 0.1) < 0.01
    odd = np.array([[30.0, -30.0, 30.0]])
    assert detector.decision_function(odd)[0] > detector.decision_scores_.max()
    assert detector.predict(odd).tolist() == [1] and detector.predict_proba(odd).shape == (1, 2)
