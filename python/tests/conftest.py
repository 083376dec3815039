"""Rows that tests fit."""

import numpy as np
import pandas as pd
import pytest

#: Short training: what is tested here is not how good a model gets.
QUICK = {"train.epochs": 5}


@pytest.fixture
def quick():
    return dict(QUICK)


@pytest.fixture
def frame():
    """Words, numbers and missing cells; the job says much about the wage."""
    rng = np.random.default_rng(7)
    n = 300
    job = rng.choice(["cook", "nurse", "pilot"], n)
    wage = np.select([job == "cook", job == "nurse"], [20.0, 30.0], 60.0) + rng.normal(0, 2, n)
    frame = pd.DataFrame({"age": rng.integers(20, 65, n), "job": job, "wage": wage.round(2)})
    frame.loc[::17, "job"] = None
    frame.loc[5::23, "wage"] = np.nan
    return frame


@pytest.fixture
def reals():
    rng = np.random.default_rng(3)
    return rng.normal(size=(400, 3)) @ np.array([[1.0, 0.5, 0], [0, 1, 0.5], [0, 0, 1]])


@pytest.fixture
def images():
    """Bits of 6×6: one bright row or column each."""
    rng = np.random.default_rng(5)
    out = np.zeros((200, 6, 6), np.uint8)
    for image in out:
        if rng.random() < 0.5:
            image[rng.integers(6)] = 1
        else:
            image[:, rng.integers(6)] = 1
    return out
