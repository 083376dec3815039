"""What the estimators do with the rows that people have."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

import chainrule
from chainrule import AnomalyDetector, Classifier, Density, Features, Imputer
from chainrule.engines import scored


def test_a_density_takes_every_container_and_says_the_same(frame, quick):
    of_pandas = Density(settings=quick).fit(frame)
    scores = of_pandas.score_samples(frame)
    assert scores.shape == (len(frame),) and scores.dtype == np.float64 and np.isfinite(scores).all()
    assert of_pandas.score(frame) == np.mean(scores)
    assert of_pandas.n_features_in_ == 3 and list(of_pandas.feature_names_in_) == ["age", "job", "wage"]
    arrow = pa.Table.from_pandas(frame)
    for same in (pl.from_pandas(frame), arrow, arrow.to_batches()[0]):
        other = Density(settings=quick).fit(same)
        assert np.array_equal(other.score_samples(same), scores)
        assert np.array_equal(of_pandas.score_samples(same), scores)


def test_samples_come_in_the_container_that_was_fitted(frame, reals, images, quick):
    drawn = Density(settings=quick).fit(frame).sample(20, random_state=4)
    assert isinstance(drawn, pd.DataFrame) and list(drawn.columns) == list(frame.columns)
    assert set(drawn["job"].dropna()) <= {"cook", "nurse", "pilot"}
    assert isinstance(Density(settings=quick).fit(pl.from_pandas(frame)).sample(2), pl.DataFrame)
    of_array = Density(settings=quick).fit(reals)
    drawn = of_array.sample(50, random_state=1)
    assert drawn.shape == (50, 3) and drawn.dtype == np.float64
    assert np.array_equal(drawn, of_array.sample(50, random_state=1))
    assert not np.array_equal(drawn, of_array.sample(50, random_state=2))
    of_images = Density(settings=quick).fit(images)
    assert of_images.sample(4).shape == (4, 6, 6)


def test_a_model_of_images_knows_what_it_has_seen(images):
    density = Density("nade", settings={"model.hidden": 30, "train.epochs": 40}).fit(images)
    noise = np.random.default_rng(0).integers(0, 2, (50, 6, 6)).astype(np.uint8)
    assert density.score(images) > density.score(noise) + 5
    completed = density.run_.complete(images[:3], observe="top-half", samples=2)
    assert completed.shape == (3, 2, 6, 6)
    assert (completed[:, :, :3] == images[:3, None, :3]).all()


def test_the_same_seed_is_the_same_model_and_threads_change_nothing(reals, quick):
    scores = [
        Density(settings=quick, random_state=seed, n_jobs=jobs).fit(reals).score_samples(reals)
        for seed, jobs in ((5, 1), (5, 2), (6, 1))
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_flags_are_what_the_p_values_say(reals, frame, quick):
    for rows in (reals, frame):
        for test in AnomalyDetector.TESTS:
            detector = AnomalyDetector(alpha=0.1, test=test, settings=quick).fit(rows)
            p = detector.p_values(rows)
            assert ((p > 0) & (p <= 1)).all()
            flagged = detector.predict(rows) == -1
            assert np.array_equal(flagged, p <= 0.1)
            assert np.array_equal(flagged, detector.decision_function(rows) < 0)
            assert flagged.mean() < 0.3


def test_an_odd_row_is_flagged_and_the_reason_given(frame):
    detector = AnomalyDetector(alpha=0.05).fit(frame)
    odd = pd.DataFrame({"age": [30, 30], "job": ["cook", "cook"], "wage": [20.5, 61.0]})
    assert detector.predict(odd).tolist() == [1, -1]
    costs = detector.explain(odd)
    assert list(costs.columns) == ["age", "job", "wage"] and costs["wage"][1] > costs["wage"][0] + 3
    total = detector.run_.score(odd, by="log-prob").log_prob
    assert np.allclose(-costs.sum(axis=1), total, atol=1e-4)


def test_too_few_rows_to_flag_are_said_to_be_so(reals, quick):
    with pytest.warns(UserWarning, match="at least 99 are needed"):
        detector = AnomalyDetector(settings=quick).fit(reals)
    assert (detector.predict(1e3 + reals) == 1).all()
    with pytest.raises(ValueError, match="fit at least 10 rows"):
        AnomalyDetector(settings=quick).fit(reals[:5])
    for wrong, word in (({"alpha": 2}, "between 0 and 1"), ({"test": "none"}, "expected one of")):
        with pytest.raises(ValueError, match=word):
            AnomalyDetector(**wrong).fit(reals)


def test_classes_by_bayes_rule(frame):
    known = frame.dropna()
    classifier = Classifier().fit(known[["age", "wage"]], known["job"])
    shares = classifier.predict_proba(known[["age", "wage"]])
    assert np.allclose(shares.sum(axis=1), 1) and classifier.classes_.tolist() == ["cook", "nurse", "pilot"]
    assert classifier.score(known[["age", "wage"]], known["job"]) > 0.9
    # A column that the labels would hide, and labels that are numbers.
    renamed = known[["age", "wage"]].rename(columns={"age": "y"})
    numbers = Classifier().fit(renamed, (known["job"] == "pilot").astype(int))
    assert numbers.target_ != "y" and set(numbers.predict(renamed)) == {0, 1}


def test_missing_cells_are_filled_in(frame):
    imputer = Imputer(random_state=0).fit(frame)
    filled = imputer.transform(frame)
    assert isinstance(filled, pd.DataFrame) and not filled.isna().any().any()
    there = frame["wage"].notna()
    assert (filled.loc[there, "wage"] == frame.loc[there, "wage"]).all()
    holes = pd.DataFrame({"age": [30, 40], "job": [None, "pilot"], "wage": [20.0, np.nan]})
    filled = imputer.transform(holes)
    assert filled["job"][0] == "cook" and abs(filled["wage"][1] - 60) < 5
    draw = Imputer(strategy="draw", random_state=3).fit(frame)
    assert draw.transform(frame).equals(draw.transform(frame))
    array = np.column_stack([frame["wage"], frame["age"]])
    assert np.isfinite(Imputer().fit(array).transform(array)).all()


def test_features_are_the_hidden_units(images, quick):
    features = Features("nade", settings={"model.hidden": 20, **quick}).fit(images).transform(images)
    assert features.shape == (200, 20) and features.dtype == np.float32


def test_a_fitted_estimator_goes_from_process_to_process(reals, quick, tmp_path):
    detector = AnomalyDetector(alpha=0.1, settings=quick).fit(reals)
    (tmp_path / "detector.pkl").write_bytes(pickle.dumps(detector))
    np.save(tmp_path / "rows.npy", reals)
    code = (
        "import pickle, sys, numpy as np\n"
        "detector = pickle.load(open(sys.argv[1] + '/detector.pkl', 'rb'))\n"
        "rows = np.load(sys.argv[1] + '/rows.npy')\n"
        "np.save(sys.argv[1] + '/p.npy', np.stack([detector.p_values(rows), detector.score_samples(rows)]))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    p, score = np.load(tmp_path / "p.npy")
    assert np.array_equal(p, detector.p_values(reals)) and np.array_equal(score, detector.score_samples(reals))


def test_parameters_are_scikit_learns(reals, quick):
    density = Density("rnade", settings=quick, random_state=1)
    assert density.get_params()["model"] == "rnade"
    again = clone(density).set_params(random_state=2)
    assert again.random_state == 2 and not hasattr(again, "run_")
    with pytest.raises(chainrule.NotFittedError):
        again.score_samples(reals)
    heard = []
    Density(settings=quick, progress=lambda *epoch: heard.append(epoch)).fit(reals)
    assert [epoch for epoch, *_ in heard] == [1, 2, 3, 4, 5] and all(len(epoch) == 3 for epoch in heard)


def test_columns_that_say_nothing_are_left_out_and_said_to_be(reals, quick):
    constant = np.column_stack([reals[:, :1], np.full(len(reals), 7.0), reals[:, 1:]])
    with pytest.warns(UserWarning, match="left out.*: 1"):
        detector = AnomalyDetector("rnade", alpha=0.1, settings=quick).fit(constant)
    costs = detector.explain(constant)
    assert costs.shape == constant.shape and (costs[:, 1] == 0).all() and (costs[:, [0, 2, 3]] != 0).all()
    assert np.array_equal(detector.run_.positions, [0, 2, 3])
    with pytest.warns(UserWarning, match="left out"):
        density = Density("rnade", settings=quick).fit(constant)
    drawn = density.sample(5)
    assert drawn.shape == (5, 4) and np.isnan(drawn[:, 1]).all() and np.isfinite(drawn[:, [0, 2, 3]]).all()
    named = pd.DataFrame(constant, columns=list("abcd"))
    with pytest.warns(UserWarning, match="'b'"):
        assert list(Density("rnade", settings=quick).fit(named).sample(2).columns) == ["a", "c", "d"]


def test_rows_of_a_frame_keep_their_names(frame, quick):
    named = frame.set_index(pd.Index([f"row {i}" for i in range(len(frame))]))
    detector = AnomalyDetector(alpha=0.1, settings=quick).fit(named)
    assert detector.explain(named).index.equals(named.index)
    assert Imputer(settings=quick).fit(named).transform(named).index.equals(named.index)
    assert scored(named, detector.run_).index.equals(named.index)
