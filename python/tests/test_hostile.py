"""Rows that nobody can fit: each an exception with a reason, and the interpreter lives on."""

import numpy as np
import pandas as pd
import pytest

from chainrule import AnomalyDetector, Density, Imputer


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((3, 0)), "0 feature"),
        (np.zeros(5), "Reshape your data"),
        (np.float64(3), "Reshape your data"),
        ([[1.0, np.inf], [0.0, 1.0]], "infinity"),
        (np.ones((20, 2)) * 1j, "Complex data not supported"),
        (np.array([[{}, 1], [2, 3]], dtype=object), "not dict"),
        (np.array(["2020-01-01"], dtype="datetime64[D]").reshape(1, 1), "datetime64"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "same name: 'a'"),
        (pd.DataFrame({"a": []}), "0 sample"),
        (pd.DataFrame(index=range(3)), "0 feature"),
        (pd.DataFrame({"a": [1.0, np.inf] * 10}), "infinity, in column 'a'"),
        (pd.DataFrame({"a": [[1], [2]] * 10}), "type list"),
    ],
)
def test_refused_with_a_reason(rows, word):
    for estimator in (Density(), AnomalyDetector(), Imputer()):
        with pytest.raises((ValueError, TypeError), match=word):
            estimator.fit(rows)


def test_sparse_rows_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="toarray"):
        Density().fit(sparse.eye(20, format="csr"))


def test_rows_are_read_wherever_they_lie_and_left_as_they_are(reals, quick):
    density = Density(settings=quick).fit(reals)
    scores = density.score_samples(reals)
    kept = reals.copy()
    frozen = reals.copy()
    frozen.setflags(write=False)
    wide = np.zeros((400, 6))
    wide[:, ::2] = reals
    for same in (
        frozen,
        np.asfortranarray(reals),
        wide[:, ::2],
        reals[::-1][::-1],
        reals.tolist(),
        reals.astype(object),
    ):
        assert np.array_equal(density.score_samples(same), scores)
    assert np.array_equal(kept, reals)
    assert np.allclose(density.score_samples(reals.astype(np.float32)), scores, atol=1e-4)


def test_rows_of_another_width_or_kind_are_refused(reals, frame, quick):
    density = Density(settings=quick).fit(reals)
    with pytest.raises(ValueError, match="features"):
        density.score_samples(reals[:, :2])
    of_frame = Density(settings=quick).fit(frame)
    with pytest.raises(ValueError):
        of_frame.score_samples(frame.rename(columns={"job": "trade"}))


def test_cells_that_cannot_be_read_are_an_error_or_nan(frame, quick):
    run = Density(settings=quick).fit(frame).run_
    odd = frame.head(4).astype({"wage": object})
    odd.loc[2, "wage"] = "a lot"
    with pytest.raises(ValueError, match="wage"):
        run.score(odd)
    scores = run.score(odd, bad_rows="nan").log_prob
    assert np.isnan(scores[2]) and np.isfinite(scores[[0, 1, 3]]).all()
    # A word that training never saw is no error: it is what the model has a share for.
    assert np.isfinite(run.score(frame.head(2).assign(job="astronaut")).log_prob).all()


def test_one_row_and_one_column_are_enough_to_be_told_what_is_missing(quick):
    for rows in (np.array([[1.0, 2.0]]), np.arange(30.0).reshape(-1, 1), np.zeros((30, 2))):
        try:
            scores = Density(settings=quick).fit(rows).score_samples(rows)
        except ValueError as error:
            assert "hint: " in str(error) or "n_samples=1" in str(error)
        else:
            assert scores.shape == (len(rows),)
