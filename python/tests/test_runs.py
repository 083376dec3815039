"""Runs: the same directories and numbers as the program's, and what happens when things go wrong."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import chainrule
from chainrule import AnomalyDetector, Density
from chainrule._run import command

#: The program, where there is one to compare with.
PROGRAM = os.environ.get("CHAINRULE_BIN") or shutil.which("chainrule")
needs_program = pytest.mark.skipif(PROGRAM is None, reason="CHAINRULE_BIN names no chainrule program")


def program(*words):
    subprocess.run([PROGRAM, *map(str, words)], check=True, capture_output=True)


@needs_program
def test_what_python_fits_the_program_scores_to_the_bit(frame, quick, tmp_path):
    detector = AnomalyDetector(alpha=0.1, settings=quick).fit(frame)
    detector.save(tmp_path / "run")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "scores.csv"
    program(
        "score",
        tmp_path / "run",
        "--data",
        tmp_path / "rows.csv",
        "--calibrate",
        "valid",
        "--alpha",
        "0.1",
        "--out",
        out,
    )
    scores = pd.read_csv(out)
    assert np.array_equal(scores["log_prob_nats"], detector.run_.score(frame, by="log-prob").log_prob)
    assert np.array_equal(scores["score"], detector.score_samples(frame))
    assert np.array_equal(scores["p_low_likelihood"], detector.p_values(frame))
    assert np.array_equal(scores["flag_low_likelihood"] == 1, detector.predict(frame) == -1)


@needs_program
def test_what_the_program_trains_python_scores_to_the_bit(frame, tmp_path):
    # Text would say how many places a wage has; a number does not.
    frame.to_parquet(tmp_path / "rows.parquet")
    program("train", tmp_path / "rows.parquet", "--out", tmp_path / "run", "--set", "train.epochs=5")
    of_program = chainrule.load(tmp_path / "run")
    of_python = Density(settings={"train.epochs": 5}).fit(frame)
    assert np.array_equal(of_program.log_prob(frame), of_python.score_samples(frame))
    detector = AnomalyDetector.of_run(of_program, alpha=0.1)
    # The rows that calibrated it are not needed any more.
    (tmp_path / "rows.parquet").unlink()
    program_p = AnomalyDetector(alpha=0.1, settings={"train.epochs": 5}).fit(frame).p_values(frame)
    assert np.array_equal(detector.p_values(frame), program_p)
    with pytest.raises(FileExistsError):
        of_program.save(tmp_path)


def test_a_run_that_is_not_there_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file") as raised:
        chainrule.load(tmp_path / "none")
    assert raised.value.kind == "io" and "spelling" in raised.value.hint
    assert raised.value.filename == str(tmp_path / "none")
    again = pickle.loads(pickle.dumps(raised.value))
    assert type(again) is chainrule.MissingFileError and str(again) == str(raised.value)
    with pytest.raises(ValueError, match=r"has no config\.toml"):
        chainrule.load(tmp_path)


def test_settings_that_cannot_be_are_refused_with_a_hint(reals):
    with pytest.raises(ValueError, match="hidden") as raised:
        Density(settings={"model.hiden": 3}).fit(reals)
    assert raised.value.hint
    with pytest.raises(ValueError, match="did you mean nade"):
        Density("nada").fit(reals)


INTERRUPTED = """
import sys, numpy as np, chainrule
rows = np.random.default_rng(0).normal(size=(2000, 4))
def tell(epoch, train, valid):
    print(epoch, flush=True)
chainrule.Density(settings={"train.epochs": int(sys.argv[2])}, run_dir=sys.argv[1], progress=tell).fit(rows)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_keeps_the_checkpoint_and_a_fit_goes_on(tmp_path):
    def start(folder, epochs):
        line = [sys.executable, "-c", INTERRUPTED, str(folder), str(epochs)]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    stopped = start(tmp_path / "stopped", 60)
    for _ in range(3):
        assert stopped.stdout.readline().strip()
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert "KeyboardInterrupt" in said and stopped.returncode != 0
    assert not (tmp_path / "stopped" / "result.json").exists()
    goes_on = start(tmp_path / "stopped", 60)
    heard, said = goes_on.communicate(timeout=300)
    assert goes_on.returncode == 0, said
    assert int(heard.split()[0]) > 3, "it begins anew"
    assert start(tmp_path / "whole", 60).communicate(timeout=300)
    model = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert model[0] == model[1]
    # A folder of other rows is left alone.
    with pytest.raises(ValueError, match="a run of other rows"):
        Density(run_dir=tmp_path / "whole").fit(np.zeros((20, 4)))
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == model[1]


SCORING = """
import sys, numpy as np, chainrule
rows = np.random.default_rng(0).normal(size=(1000, 8))
density = chainrule.Density(settings={"train.epochs": 2}, n_jobs=1).fit(rows)
many = np.tile(rows, (2000, 1))
print("scoring", flush=True)
density.score_samples(many)
print("done", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_ends_scoring_too():
    child = subprocess.Popen([sys.executable, "-c", SCORING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "scoring\n"
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    printed, said = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in said and "done" not in printed


def test_what_a_progress_function_raises_is_raised(reals):
    class Enough(Exception):
        pass

    def tell(epoch, *_):
        if epoch == 2:
            raise Enough

    with pytest.raises(Enough):
        Density(settings={"train.epochs": 50}, progress=tell).fit(reals)


def test_threads_call_at_once_and_others_run_meanwhile(reals, quick):
    density = Density(settings=quick).fit(reals)
    alone = density.score_samples(reals)
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda _: density.score_samples(reals), range(8)))
        fits = list(pool.map(lambda _: Density(settings=quick).fit(reals).score(reals), range(2)))
    Density(settings={"train.epochs": 30}).fit(reals)
    done.set()
    counter.join()
    assert all(np.array_equal(score, alone) for score in scores) and fits[0] == fits[1]
    assert counted[0] > 20, "the interpreter stood still"


def test_a_progress_function_may_use_models_itself(reals, quick):
    density = Density(settings=quick).fit(reals)
    inner = []
    Density(settings=quick, progress=lambda *_: inner.append(density.score(reals[:10]))).fit(reals)
    assert len(inner) == 5 and len(set(inner)) == 1


def test_memory_does_not_grow(reals, quick):
    resource = pytest.importorskip("resource")

    def once():
        density = Density("independent").fit((reals[:60] > 0).astype(np.uint8))
        density.score_samples((reals[:20] > 0).astype(np.uint8))

    times = int(os.environ.get("CHAINRULE_LEAK_ROUNDS", 150))
    for _ in range(times // 3):
        once()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(times):
        once()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 10_000, f"{grown} KiB in {times} rounds"


def test_help_is_a_result_and_nonsense_an_error():
    with pytest.raises(ValueError, match="unrecognized subcommand"):
        command("trains")
    assert command("count", "--family", "markov", "--variables", 784, "--order", 1)["free_parameters"] == "1567"
