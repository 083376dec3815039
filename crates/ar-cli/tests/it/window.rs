//! A Parzen window over a table goes through every command.

use std::fs;

use serde_json::{Value, json};

use crate::common::Place;

/// 240 rows of words, of numbers with holes, of few whole numbers in their order, and of a class.
fn table() -> String {
    let row = |i: usize| {
        let class = ["even", "odd"][i % 2];
        let kind = ["ant", "bee", "cat"][(i * 5 + i / 7) % 3];
        let legs =
            if i.is_multiple_of(9) { String::new() } else { (100 * (i % 2) + i % 40).to_string() };
        let stars = (i * 7 + i / 11) % 5 + i % 2 * 3;
        let weight = ((i * 7) % 50) as f64 / 10.0 + if kind == "cat" { 30.0 } else { 0.0 };
        format!("{kind},{legs},{stars},{weight:.1},{class}\n")
    };
    let rows: String = (0..240).map(row).collect();
    format!("kind,legs,stars,weight,class\n{rows}")
}

fn log_probs(place: &Place, file: &str) -> Vec<f64> {
    let scores = fs::read_to_string(place.path(file)).unwrap();
    let of = |line: &str| line.split(',').nth(1).unwrap().parse().unwrap();
    scores.lines().skip(1).map(of).collect()
}

#[test]
fn a_window_is_trained_without_a_config_and_taken_by_every_command() {
    let place = Place::new();
    place.file("t.csv", table());
    let train = ["train", "t.csv", "--label", "class", "--model", "kernel", "--out", "run"];
    let trained = place.json(&train);
    assert_eq!((&trained["model"], &trained["parameters"]), (&json!("kernel"), &json!("2")));
    let window = &trained["window"];
    assert_eq!(window["rows"], 192);
    assert!(window["bandwidth"].as_f64().unwrap() >= 0.02, "{window}");
    assert!(window["share_of_labels"].as_f64().unwrap() > 0.0, "{window}");
    let inspected = place.json(&["inspect", "run"]);
    assert_eq!(&inspected["run"]["window"], window);
    let evaluated = place.json(&["eval", "run", "--split", "test"]);
    assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"]);
    // The configs that it resolved to, and that `init` writes, train the same.
    let mut written = place.chainrule(&["init", "t.csv", "--label", "class", "--model", "kernel"]);
    place.file("own.toml", written.output().unwrap().stdout);
    for (config, out) in [("own.toml", "again"), ("run/config.toml", "resolved")] {
        let again = place.json(&["train", config, "--out", out]);
        assert_eq!(
            (&again["window"], &again["test"]["nll_nats"]),
            (window, &trained["test"]["nll_nats"])
        );
    }
    let per_column = ["train", "own.toml", "--out", "each", "--set", "model.bandwidth=per-column"];
    let each = place.json(&per_column);
    // Numbers, ordered labels and weights have their own width; words share λ.
    assert_eq!(each["parameters"], "4");
    let nll = |record: &Value| record["window"]["leave_one_out_nll_nats"].as_f64().unwrap();
    assert!(nll(&each) <= nll(&trained));
    // Costs of the columns are those of the row, and what is new is unlikely and no error.
    place.file(
        "new.csv",
        "kind,legs,stars,weight\nant,20,2,1.5\ndog,20,2,1.5\nant,20,99,1.5\nant,,2,1e9\n",
    );
    place.json(&["score", "run", "--data", "new.csv", "--out", "n.csv", "--costliest", "4"]);
    let nats = log_probs(&place, "n.csv");
    assert!(nats[1..].iter().all(|&odd| odd.is_finite() && odd < nats[0]), "{nats:?}");
    let costs = fs::read_to_string(place.path("n.csv")).unwrap();
    let unlikely: Vec<&str> =
        costs.lines().skip(2).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(unlikely, ["kind", "stars", "weight"], "{costs}");
    place.json(&["score", "run", "--data", "t.csv", "--calibrate", "valid", "--out", "s.csv"]);
    // Draws are in the table's own words.
    place.json(&["sample", "run", "--count", "200", "--out", "d.csv"]);
    let drawn = fs::read_to_string(place.path("d.csv")).unwrap();
    for line in drawn.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(["ant", "bee", "cat"].contains(&cells[0]), "{line}");
        assert!(cells[1].is_empty() || cells[1].parse::<i64>().is_ok(), "{line}");
        assert!(cells[2].parse::<u8>().is_ok_and(|stars| stars < 8), "{line}");
    }
    for command in [
        &["report", "run", "--against", "new.csv"][..],
        &["data", "export", "run", "--split", "train", "--out", "e.csv"],
    ] {
        place.json(command);
    }
    let message = place.mistake(&["features", "run", "--data", "t.csv", "--out", "f.npy"]);
    assert!(message.contains("`kernel` has no features"), "{message}");
    let message = place.mistake(&["compress", "run", "t.csv", "--out", "a.chr"]);
    assert!(message.contains("columns of a table, which `nade`, and"), "{message}");
    let message = place.mistake(&["train", "own.toml", "--out", "x", "--set", "model.max_rows=0"]);
    assert!(message.contains("`model.max_rows = 0`") || message.contains("max_rows"), "{message}");
}

#[test]
fn a_window_of_each_class_tells_classes_apart() {
    let place = Place::new();
    place.file("t.csv", table());
    let text = "name = \"c\"\n[data]\ntrain = \"t.csv\"\nlabel = \"class\"\nfolds = 10\n[model]\nkind = \"kernel\"\n";
    for class in ["0", "1"] {
        let config = text.replace("folds", &format!("class = {class}\nfolds"));
        place.file("c.toml", config);
        place.json(&["train", "c.toml", "--out", &format!("run-{class}")]);
    }
    let classified =
        place.json(&["classify", "run-0", "run-1", "--split", "test", "--out", "p.csv"]);
    assert!(classified["accuracy"].as_f64().unwrap() > 0.8, "{classified}");
}

#[test]
fn fewer_rows_are_kept_of_very_many() {
    let place = Place::new();
    let rows = |n: usize| (0..n).map(|i| format!("{},{}\n", i % 7, i % 11)).collect::<String>();
    let train = |n: usize, more: &[&str]| {
        let (file, run) = (format!("{n}.csv"), format!("run{n}{}", more.len()));
        place.file(&file, format!("a,b\n{}", rows(n)));
        let line = ["train", &file, "--model", "independent", "--out", &run];
        place.json(&[&line[..], more].concat());
        // A safetensors file: the length of its header, and the header, in JSON.
        let bytes = fs::read(place.path(&format!("{run}/window.safetensors"))).unwrap();
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let header = &rest[..usize::try_from(u64::from_le_bytes(*length)).unwrap()];
        let header: Value = serde_json::from_slice(header).unwrap();
        header["window.rows"]["shape"][0].clone()
    };
    // A tenth of the rows validates and another tests.
    assert_eq!(train(125_000, &[]), 10_000);
    assert_eq!(train(125_100, &[]), 3_000);
    assert_eq!(train(125_100, &["--set", "data.keep_rows=5000"]), 5_000);
}
