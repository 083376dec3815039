//! A file of a run in which something was altered, or that is another run's, gives an error or the same
//! answer.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{NADE, Place, config, text};
use crate::mutate::Random;
use crate::{effort, trained};

/// Flips one bit in each of some random places of a file and asks the program; in the end the file is
/// as it was. Returns how many flips were errors.
fn flips(
    place: &Place,
    file: &str,
    (count, seed): (u64, u64),
    mut ask: impl FnMut(&Place) -> Option<Value>,
) -> u64 {
    let path = place.path(file);
    let whole = fs::read(&path).unwrap();
    let expected = ask(place).expect("the file is whole");
    let mut random = Random::new(seed);
    let mut errors = 0;
    for _ in 0..count {
        let bit = random.below(8 * whole.len() as u64) as usize;
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, flipped).unwrap();
        match ask(place) {
            None => errors += 1,
            Some(answer) => assert_eq!(answer, expected, "{file}, bit {bit}: another answer"),
        }
    }
    fs::write(&path, whole).unwrap();
    errors
}

/// The record of a command without its times; `None` for an error that says what is wrong.
fn answer(place: &Place, arguments: &[&str]) -> Option<Value> {
    let output = place.chainrule(arguments).args(["--json", "--quiet"]).output().unwrap();
    let stderr = text(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(1) => {
            assert!(stderr.contains("hint: "), "{arguments:?}: {stderr}");
            return None;
        }
        code => panic!("{arguments:?} ended with {code:?}: {stderr}"),
    }
    let mut record: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["seconds", "events_per_second"] {
        record.as_object_mut().unwrap().remove(key);
    }
    Some(record)
}

/// Flips of each file at usual effort.
const FLIPS: u64 = 40;

/// Flips bits in a file of a run; `by` are the commands that are asked.
#[expect(clippy::print_stdout, reason = "how many places were tried is a part of the result")]
fn flipped(place: &Place, file: &str, by: &[&[&str]]) {
    let count = FLIPS * effort();
    for (seed, command) in by.iter().enumerate() {
        let errors = flips(place, file, (count, seed as u64), |place| answer(place, command));
        println!("{file} by {}: {count} flips, {errors} errors", command[0]);
        // White space and comments apart, everything counts.
        assert!(errors * 10 >= count * 7, "{file}: {errors} errors of {count}");
    }
}

const INSPECT: &[&str] = &["inspect", "run"];
const EVAL: &[&str] = &["eval", "run"];

#[test]
fn a_flipped_bit_in_a_model_is_an_error() {
    let place = trained();
    flipped(&place, "run/model.safetensors", &[INSPECT, EVAL]);
    place.json(&["train", &config("markov1-digits"), "--out", "table"]);
    flipped(&place, "table/model.safetensors", &[&["eval", "table"]]);
}

#[test]
fn a_flipped_bit_in_a_result_is_an_error() {
    flipped(&trained(), "run/result.json", &[INSPECT]);
}

#[test]
fn a_flipped_bit_in_the_metrics_is_an_error() {
    flipped(&trained(), "run/metrics.jsonl", &[INSPECT]);
}

#[test]
fn a_flipped_bit_in_an_environment_is_an_error() {
    flipped(&trained(), "run/environment.json", &[INSPECT]);
}

#[test]
fn a_flipped_bit_in_a_seal_is_an_error_or_without_effect() {
    flipped(&trained(), "run/seal.json", &[INSPECT, EVAL]);
}

#[test]
fn a_flipped_bit_in_a_config_is_an_error_or_without_effect() {
    flipped(&trained(), "run/config.toml", &[INSPECT, EVAL]);
}

#[test]
#[expect(clippy::print_stdout, reason = "how many places were tried is a part of the result")]
fn a_flipped_bit_in_a_compressed_file_is_an_error() {
    let (place, count) = (trained(), FLIPS * effort());
    let decompress = |place: &Place| {
        let record = answer(place, &["decompress", "run", "digits.chr", "--out", "back.npy"])?;
        let values = fs::read(place.path("back.npy")).unwrap();
        Some(serde_json::json!([record, values.iter().map(|&v| u64::from(v)).sum::<u64>()]))
    };
    let errors = flips(&place, "digits.chr", (count, 1), decompress);
    println!("digits.chr: {count} flips, {errors} errors");
    assert_eq!(errors, count, "every bit of a compressed file counts");
}

#[test]
#[expect(clippy::print_stdout, reason = "how many places were tried is a part of the result")]
fn a_flipped_bit_in_a_checkpoint_is_an_error() {
    let (place, count) = (trained(), FLIPS * effort());
    // A checkpoint is what an unfinished run goes on from.
    let unfinish = |place: &Place| {
        for file in ["model.safetensors", "result.json"] {
            let _ = fs::remove_file(place.path("run").join(file));
        }
    };
    unfinish(&place);
    let resume = |place: &Place| {
        let record = answer(place, &["train", "c.toml", "--out", "run", "--resume"]);
        unfinish(place);
        record.map(|record| record["test"]["nll_nats"].clone())
    };
    let errors = flips(&place, "run/checkpoint.safetensors", (count, 1), resume);
    println!("run/checkpoint.safetensors: {count} flips, {errors} errors");
    assert_eq!(errors, count, "every bit of a checkpoint counts");
}

#[test]
fn the_model_of_another_run_is_refused() {
    let place = trained();
    place.json(&["train", "c.toml", "--out", "other", "--set", "seed=6"]);
    for file in ["model.safetensors", "result.json", "metrics.jsonl"] {
        let own = fs::read(place.path("run").join(file)).unwrap();
        fs::copy(place.path("other").join(file), place.path("run").join(file)).unwrap();
        let message = place.mistake(&["inspect", "run"]);
        assert!(message.contains(&format!("run/{file} is not the file that the run wrote")));
        fs::write(place.path("run").join(file), own).unwrap();
    }
    fs::copy(place.path("other/model.safetensors"), place.path("run/model.safetensors")).unwrap();
    for command in [
        &["eval", "run"][..],
        &["score", "run"],
        &["sample", "run", "--out", "s.csv"],
        &["compress", "run", "digits", "--out", "x.chr"],
        &["report", "run"],
        &["features", "run", "--out", "f.npy"],
        &["complete", "run", "--observe", "top-half", "--out", "c.png"],
    ] {
        let message = place.mistake(command);
        assert!(message.contains("is another run's"), "{command:?}: {message}");
    }
}

#[test]
fn the_checkpoint_of_another_run_is_refused_by_the_key_that_differs() {
    let place = Place::new();
    place.file("c.toml", NADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    for (set, message) in [
        ("train.batch_size=49", "`train.batch_size` = 49, this run has 50"),
        ("seed=6", "`seed` = 6, this run has 5"),
        ("model.init_scale=0.02", "`model.init_scale` = 0.02, this run has 0.01"),
        (
            "data.binarize=\"stochastic\"",
            "`data.binarize` = \"stochastic\", this run has \"threshold\"",
        ),
    ] {
        let other = place.path("other");
        let _ = fs::remove_dir_all(&other);
        place.json(&["train", "c.toml", "--out", "other", "--set", set]);
        let run = place.path("run");
        for file in ["model.safetensors", "result.json"] {
            let _ = fs::remove_file(run.join(file));
        }
        fs::copy(other.join("checkpoint.safetensors"), run.join("checkpoint.safetensors")).unwrap();
        let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
        let found = place.mistake(&["train", "c.toml", "--out", "run", "--resume"]);
        assert!(found.contains(message), "{set}: {found}");
        assert_eq!(fs::read(run.join("metrics.jsonl")).unwrap(), metrics, "nothing was touched");
    }
}

#[test]
fn a_config_that_was_edited_is_refused_by_its_key() {
    let place = trained();
    let path = place.path("run/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("seed = 5", "seed = 7")).unwrap();
    let message = place.mistake(&["eval", "run"]);
    assert!(message.contains("`seed` is 7, the run was trained with 5"), "{message}");
    assert!(message.contains("run/config.toml:"), "{message}");
    // What says nothing about the run may be there.
    fs::write(&path, format!("# of ours\n{text}")).unwrap();
    place.json(&["eval", "run"]);
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_every_command() {
    let place = trained();
    // As a version wrote it that noted no digests, with an infinite weight.
    fs::remove_file(place.path("run/seal.json")).unwrap();
    let path = place.path("run/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|window| window == b"sha256").unwrap();
    bytes[at] = b'S';
    let version = b"chainrule-model-2";
    let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
    bytes[at + version.len() - 1] = b'1';
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    for command in [
        &["eval", "run"][..],
        &["score", "run"],
        &["sample", "run", "--out", "s.csv"],
        &["compress", "run", "digits", "--out", "x.chr"],
        &["decompress", "run", "digits.chr", "--out", "x.npy"],
        &["report", "run"],
        &["features", "run", "--out", "f.npy"],
        &["complete", "run", "--observe", "top-half", "--out", "c.png"],
    ] {
        let message = place.mistake(command);
        assert!(message.contains("expected finite numbers"), "{command:?}: {message}");
    }
    assert!(!Path::new(&place.path("x.chr")).exists());
}

#[test]
fn a_run_without_a_seal_is_used_as_before() {
    let place = trained();
    let with = place.json(&["eval", "run"])["nll_nats"].clone();
    fs::remove_file(place.path("run/seal.json")).unwrap();
    assert_eq!(place.json(&["eval", "run"])["nll_nats"], with);
    assert_eq!(place.json(&["inspect", "run"])["run"]["verified_files"], Value::Null);
}

#[test]
fn a_run_says_what_it_was_computed_with() {
    let place = trained();
    let result: Value =
        serde_json::from_slice(&fs::read(place.path("run/result.json")).unwrap()).unwrap();
    let environment: Value =
        serde_json::from_slice(&fs::read(place.path("run/environment.json")).unwrap()).unwrap();
    assert_eq!(result["environment"], environment);
    for key in ["chainrule", "burn", "instruction_set", "os", "arch", "device", "date"] {
        let value = environment[key].as_str();
        assert!(value.is_some_and(|value| !value.is_empty()), "{key}: {environment}");
    }
    assert!(environment["threads"].as_u64().is_some_and(|threads| threads > 0));
    // A checkout knows its revision.
    if let Some(revision) = environment["git_revision"].as_str() {
        assert!(revision.len() >= 40, "{revision}");
    }
}
