//! `kill -9` and `--resume`: the weights are those of a run that was left alone.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{NADE, Place};
use serde_json::Value;

/// Everything that has to be restored: momentum terms, a schedule, an average, fresh bits, flips,
/// and checkpoints within epochs.
fn config() -> String {
    NADE.replace(
        "epochs = 3",
        "epochs = 40\nema_decay = 0.9\ncheckpoint_steps = 7\nclip_norm = 5.0",
    )
    .replace("\"threshold\"", "\"stochastic\"\nbinarize_each_epoch = true\nflip = true")
    .replace("hidden = 8", "hidden = 64")
}

#[test]
fn a_killed_run_ends_with_the_same_weights() {
    let place = Place::new();
    place.file("c.toml", config());
    let whole = place.json(&["train", "c.toml", "--out", "whole"]);

    // Killed in the middle of epochs 6, 16 and 26 or a little later, whatever the machine's speed.
    for epochs in [5, 15, 25] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
            .current_dir(place.path(""))
            .args(["train", "c.toml", "--out", "killed", "--resume", "--quiet"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let metrics = place.path("killed/metrics.jsonl");
        while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < epochs {
            assert!(child.try_wait().unwrap().is_none(), "it ended before epoch {epochs}");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("killed/result.json").exists(), "it was killed before it was done");
    }
    let resumed = place.json(&["train", "c.toml", "--out", "killed", "--resume"]);

    let bytes = |run: &str, file: &str| fs::read(place.path(run).join(file)).unwrap();
    assert!(bytes("whole", "model.safetensors") == bytes("killed", "model.safetensors"));
    assert_eq!(whole["test"]["nll_nats"], resumed["test"]["nll_nats"]);
    assert_eq!(whole["best_epoch"], resumed["best_epoch"]);

    // One line per epoch, with the same numbers.
    let metrics = |run: &str| -> Vec<Value> {
        let text = String::from_utf8(bytes(run, "metrics.jsonl")).unwrap();
        text.lines()
            .map(|line| {
                let mut epoch: Value = serde_json::from_str(line).unwrap();
                epoch["seconds"].take();
                epoch
            })
            .collect()
    };
    assert_eq!(metrics("whole"), metrics("killed"));
    assert_eq!(metrics("whole").len(), 40);
}

#[test]
fn a_run_without_validation_is_resumed_too() {
    let place = Place::new();
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", i % 2, (i / 2) % 2, i % 2)).collect();
    place.file("a.csv", rows);
    let text = config()
        .replace("name = \"digits\"", "train = \"a.csv\"")
        .replace("\"stochastic\"\nbinarize_each_epoch = true\nflip = true", "\"none\"")
        .replace("checkpoint_steps = 7", "checkpoint_steps = 1");
    place.file("c.toml", text);
    let whole = place.json(&["train", "c.toml", "--out", "run"]);
    assert_eq!(whole["best_epoch"], 40);
    for file in ["model.safetensors", "result.json"] {
        fs::remove_file(place.path("run").join(file)).unwrap();
    }
    let resumed = place.json(&["train", "c.toml", "--out", "run", "--resume"]);
    assert_eq!(resumed["best_epoch"], 40);
}
