"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import AnomalyDetector, Classifier, Density, Features, Imputer

QUICK = {"train.epochs": 3}

#: Checks that cannot hold, and why.
EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        Density(settings=QUICK),
        AnomalyDetector(alpha=0.1, settings=QUICK),
        Classifier(),
        Imputer(settings=QUICK),
        Features("rnade", settings=QUICK),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn(estimator, check):
    check(estimator)
