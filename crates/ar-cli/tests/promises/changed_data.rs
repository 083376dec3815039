//! Data that is not what a run was trained with is said to be so, with what has changed in it.

use std::fs;

use crate::common::Place;

/// A NADE on three columns of a table in two parts.
const CONFIG: &str = r#"
name = "table"
seed = 5
[data]
train = "train.csv"
test = "test.csv"
[model]
kind = "nade"
hidden = 4
[train]
epochs = 3
batch_size = 10
"#;

fn rows(n: usize, change: Option<usize>) -> String {
    let row = |i: usize| {
        let bit = ((i / 2) % 2) ^ usize::from(change == Some(i));
        format!("{},{bit},{}\n", i % 2, i % 2)
    };
    "a,b,c\n".to_owned() + &(0..n).map(row).collect::<String>()
}

/// A folder with the table, and a run that was stopped after it had written its last checkpoint.
fn stopped(config: &str) -> Place {
    let place = Place::new();
    place.file("train.csv", rows(100, None));
    place.file("test.csv", rows(30, None));
    place.file("c.toml", config);
    place.json(&["train", "c.toml", "--out", "run"]);
    for file in ["model.safetensors", "result.json"] {
        fs::remove_file(place.path("run").join(file)).unwrap();
    }
    place
}

const TRAIN: [&str; 5] = ["train", "c.toml", "--out", "run", "--resume"];

#[test]
fn a_file_that_was_edited_between_kill_and_resume_is_noticed() {
    let place = stopped(CONFIG);
    for (content, change) in [
        (rows(100, Some(41)), "train (train.csv): the first change is in rows 41 to 42"),
        (
            rows(90, None),
            "train (train.csv): there were 100 rows and are 90; the first 90 are the same",
        ),
    ] {
        place.file("train.csv", content);
        let message = place.mistake(&TRAIN);
        assert!(message.contains(change), "{message}");
        assert!(message.contains("--accept-changed-data"), "{message}");
    }
    // Another name, or another compression of the same rows, is no change.
    place.file("train.csv", rows(100, None).replace('\n', "\r\n"));
    place.json(&TRAIN);
}

#[test]
fn an_accepted_change_is_noted_in_the_result() {
    let place = stopped(CONFIG);
    place.file("train.csv", rows(90, None));
    let accepting = [&TRAIN[..], &["--accept-changed-data"]].concat();
    let record = place.json(&accepting);
    let expected = "train (train.csv): there were 100 rows and are 90; the first 90 are the same";
    assert_eq!(record["accepted_changes"], serde_json::json!([expected]));
    // From then on the run is of these rows.
    place.json(&TRAIN);
    place.json(&["eval", "run", "--split", "train"]);
    place.file("train.csv", rows(100, None));
    place.mistake(&["eval", "run", "--split", "train"]);
}

#[test]
fn a_test_set_that_changed_after_training_is_noticed() {
    let place = Place::new();
    place.file("train.csv", rows(100, None));
    place.file("test.csv", rows(30, None));
    place.file("c.toml", CONFIG);
    place.json(&["train", "c.toml", "--out", "run"]);
    place.file("test.csv", rows(29, None));
    for command in [
        &["eval", "run"][..],
        &["score", "run"],
        &["report", "run"],
        &["features", "run", "--out", "f.npy"],
        &["data", "export", "run", "--out", "e.csv"],
    ] {
        let message = place.mistake(command);
        assert!(message.contains("there were 30 rows and are 29"), "{command:?}: {message}");
    }
    let record = place.json(&["eval", "run", "--accept-changed-data"]);
    assert_eq!(record["examples"], 29);
    assert!(record["accepted_changes"][0].as_str().unwrap().contains("are 29"), "{record}");
    for command in [
        &["score", "run"][..],
        &["report", "run"],
        &["features", "run", "--out", "f.npy"],
        &["data", "export", "run", "--out", "e.csv"],
    ] {
        let record = place.json(&[command, &["--accept-changed-data"]].concat());
        assert!(record["accepted_changes"][0].as_str().unwrap().contains("are 29"), "{record}");
    }
    // What is named is what is meant.
    assert_eq!(place.json(&["eval", "run", "--data", "test.csv"])["examples"], 29);
}

#[test]
fn rows_do_not_move_between_folds() {
    let folds = CONFIG.replace("test = \"test.csv\"\n", "folds = 5\nfold = 1\n");
    let place = stopped(&folds);
    place.file("train.csv", rows(99, None));
    for command in [&TRAIN[..], &["eval", "run"], &["score", "run", "--calibrate", "valid"]] {
        let accepting = [command, &["--accept-changed-data"]].concat();
        let message = place.mistake(&accepting);
        if command[0] == "train" {
            assert!(message.contains("rows that were learned from may be held out"), "{message}");
        }
    }
    place.file("train.csv", rows(100, None));
    place.json(&TRAIN);
    place.file("train.csv", rows(99, None));
    for command in [&["eval", "run"][..], &["score", "run", "--calibrate", "valid"]] {
        let accepting = [command, &["--accept-changed-data"]].concat();
        let message = place.mistake(&accepting);
        assert!(message.contains("rows that were learned from may be held out"), "{message}");
    }
}

#[test]
fn the_file_may_move_and_be_compressed() {
    let place = Place::new();
    place.file("train.csv", rows(100, None));
    place.file("test.csv", rows(30, None));
    place.file("c.toml", CONFIG);
    let trained = place.json(&["train", "c.toml", "--out", "run"]);
    fs::create_dir(place.path("moved")).unwrap();
    fs::rename(place.path("test.csv"), place.path("moved/rows.csv")).unwrap();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    place.file("run/config.toml", config.replace("test.csv", "moved/rows.csv"));
    assert_eq!(place.json(&["eval", "run"])["nll_nats"], trained["test"]["nll_nats"]);
}
