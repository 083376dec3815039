//! Real numbers: from a table with named columns to densities, samples and the errors on the way.

use std::fs;

use crate::common::{NADE, Place, text};

/// A small RNADE on a table of the user's.
const RNADE: &str = r#"
name = "reals"
seed = 5
[data]
train = "table.csv"
drop = ["id"]
folds = 4
[model]
kind = "rnade"
hidden = 8
components = 3
[train]
epochs = 8
batch_size = 20
optimizer = { kind = "adam", learning_rate = 1e-2 }
"#;

/// Rows in which `height` is about twice `width`, in millimetres and metres, under a column of words.
fn table(rows: usize) -> String {
    let mut text = String::from("id;width;height\n");
    for row in 0..rows {
        let width = 3000.0 + 400.0 * (row as f64 * 0.7).sin();
        let height = 0.002 * width + 0.3 * (row as f64 * 1.9).cos();
        text.push_str(&format!("row{row};{width:.1};{height:.4}\n"));
    }
    text
}

fn number(record: &serde_json::Value, field: &str) -> f64 {
    record[field].as_f64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

#[test]
fn rows_of_real_numbers_are_scored_with_or_without_the_columns_left_out() {
    let place = Place::new();
    place.file("table.csv", table(160));
    place.file("c.toml", RNADE);
    place.json(&["train", "c.toml", "--out", "run", "--set", "data.fold=2"]);
    place.json(&["sample", "run", "--out", "samples.csv", "--count", "30"]);
    for data in ["table.csv", "samples.csv"] {
        let evaluated = place.json(&["eval", "run", "--data", data]);
        let scored = place.json(&["score", "run", "--data", data]);
        let [expected, found] = [&evaluated, &scored["data"]].map(|of| number(of, "nll_nats"));
        assert!((expected - found).abs() < 1e-6, "{data}: {expected} {found}");
        assert_eq!(scored["data"]["bad_rows"], 0);
    }
    place.file("new.csv", "id;width;height\na;3000;6\nb;3000;9\nc;3000;\nd;x;6\ne;3000;6;1\n");
    let record = place.json(&[
        "score",
        "run",
        "--data",
        "new.csv",
        "--calibrate",
        "table.csv",
        "--out",
        "s.csv",
        "--costliest",
        "1",
    ]);
    assert_eq!((&record["data"]["rows"], &record["data"]["bad_rows"]), (&5.into(), &3.into()));
    let scores = fs::read_to_string(place.path("s.csv")).unwrap();
    let cells: Vec<Vec<&str>> = scores.lines().map(|line| line.split(',').collect()).collect();
    let column = |name| cells[0].iter().position(|&cell| cell == name).unwrap();
    let (flag, costliest) = (column("flag_low_likelihood"), column("costliest_1"));
    assert_eq!((cells[1][flag], cells[2][flag], cells[3][flag]), ("0", "1", ""));
    assert_eq!(cells[2][costliest], "height");
    // So far out that densities underflow.
    place.file("far.csv", "id;width;height\na;3e37;6\nb;-3e37;-3e37\nc;3000;6\n");
    let record = place.json(&[
        "score",
        "run",
        "--data",
        "far.csv",
        "--calibrate",
        "table.csv",
        "--out",
        "s.csv",
    ]);
    assert_eq!(record["data"]["outside_support"], 2, "{record}");
    let scores = fs::read_to_string(place.path("s.csv")).unwrap();
    let flags = scores.lines().map(|line| line.split(',').nth(flag).unwrap());
    assert_eq!(flags.collect::<Vec<_>>(), ["flag_low_likelihood", "1", "1", "0"]);
    let message = place.mistake(&["score", "run", "--data", "new.csv", "--levels", "3", "--quiet"]);
    assert!(message.contains("--levels 3 for a run of real numbers"), "{message}");
}

#[test]
fn a_table_of_real_numbers_from_config_to_samples() {
    let place = Place::new();
    place.file("table.csv", table(160));
    place.file("c.toml", RNADE);
    let record = place.json(&["train", "c.toml", "--out", "run", "--set", "data.fold=2"]);
    assert_eq!((&record["levels"], &record["test"]["examples"]), (&().into(), &40.into()));
    let inspected = place.json(&["inspect", "run"]);
    assert_eq!(inspected["parameters"], record["parameters"]);
    assert_eq!(inspected["fold"], serde_json::json!([2, 4]));

    // Two variables whose scales multiply to far from 1: the two units differ by log of that.
    let evaluation = place.json(&["eval", "run", "--per-variable", "cost.npy"]);
    assert_eq!(evaluation["nll_nats"], record["test"]["nll_nats"]);
    let [nats, standardized] =
        ["nll_nats", "nll_standardized_nats"].map(|field| number(&evaluation, field));
    assert!((nats - standardized - (283.0_f64 * 0.6).ln()).abs() < 0.2, "{nats} {standardized}");
    // Two standard normals cost 2.84; that they depend on each other is learned.
    assert!(standardized < 2.7, "{standardized}");
    let costs = fs::read(place.path("cost.npy")).unwrap();
    let costs = costs[costs.len() - 8..].chunks_exact(4);
    let sum: f32 = costs.map(|cost| f32::from_le_bytes(cost.try_into().unwrap())).sum();
    assert!((f64::from(sum) - nats).abs() < 1e-3);
    let words = text(&place.chainrule(&["eval", "run"]).output().unwrap().stdout);
    assert!(words.contains("nats standardized"), "{words}");

    // Samples are in the units of the data, under its names, and can be evaluated again.
    place.json(&["sample", "run", "--out", "s.csv", "--count", "300"]);
    let samples = fs::read_to_string(place.path("s.csv")).unwrap();
    let mut lines = samples.lines();
    assert_eq!(lines.next(), Some("width,height"));
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / 300.0;
    assert!((mean(0) - 3000.0).abs() < 150.0 && (mean(1) - 6.0).abs() < 0.4);
    place.json(&["sample", "run", "--out", "s.npy", "--count", "300"]);
    let [csv, npy] = ["s.csv", "s.npy"].map(|file| place.json(&["eval", "run", "--data", file]));
    assert_eq!(csv["nll_nats"], npy["nll_nats"]);
    let own = place.json(&["eval", "run", "--data", "table.csv"]);
    assert_eq!(own["examples"], 160);

    for (arguments, part) in [
        (&["sample", "run", "--out", "s.png"][..], "real numbers are no image"),
        (
            &["complete", "run", "--observe", "top-half", "--out", "c.npy"],
            "events of real numbers, expected images of symbols",
        ),
        (&["eval", "run", "--data", "digits"], "expected [2] as in the run"),
    ] {
        let message = place.mistake(arguments);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_cannot_be_a_density_is_named() {
    let place = Place::new();
    place.file("c.toml", RNADE);
    let train = |set: &str| place.mistake(&["train", "c.toml", "--out", "run", "--set", set]);
    let with = |from: &str, to: &str| place.file("table.csv", table(20).replacen(from, to, 1));

    with("row3;", "row3;?");
    let message = train("seed=1");
    assert!(message.contains("table.csv: line 5, column 2: not a number"), "{message}");
    assert!(message.contains("hint: if the word stands for a missing value"), "{message}");
    with("row3;", "row3;inf");
    assert!(train("seed=1").contains("line 5, column 2: not a number"));
    let constant: String = table(20)
        .lines()
        .map(|line| format!("{line};{}\n", if line.starts_with("id") { "k" } else { "7.5" }))
        .collect();
    place.file("table.csv", constant);
    let message = train("seed=1");
    assert!(message.contains("table.csv: `k` is 7.5 in all 10 training rows"), "{message}");
    assert!(message.contains("hint: leave them out with data.drop = [\"k\"]"), "{message}");
    place.json(&["train", "c.toml", "--out", "good", "--set", "data.drop=[\"id\", 3]"]);

    assert!(
        train("data.drop=[\"ids\"]")
            .contains("drop: expected one of id, width, height, k, found \"ids\"")
    );
    assert!(train("data.fold=4").contains("`fold = 4`, expected 0 to 3"));
    assert!(train("data.folds=2").contains("`folds = 2`, expected 3 or more"));
    assert!(train("data.binarize=threshold").contains("real numbers, expected symbols"));
    assert!(train("model.min_scale=0.0").contains("`model.min_scale = 0`, expected 0.000001 to 1"));
    assert!(train("model.components=0").contains("`model.components = 0`, expected 1 to 4096"));
    let message = train("model={ kind = \"logistic\" }");
    assert!(
        message.contains("model `logistic` describes categories, which these are not: \"width\""),
        "{message}"
    );
    assert!(message.contains("model.kind = \"nade\" describes columns of any types"), "{message}");

    place.file("n.toml", NADE);
    let symbols = ["train", "n.toml", "--set", "model={ kind = \"rnade\", hidden = 4 }"];
    let message = place.mistake(&symbols);
    assert!(
        message.contains("model `rnade` needs real numbers, the data has 2 levels"),
        "{message}"
    );
}

#[test]
fn images_with_noise_are_real_numbers_and_samples_are_images_again() {
    let place = Place::new();
    let config = NADE
        .replace("binarize = \"threshold\"", "dequantize = true")
        .replace("kind = \"nade\"", "kind = \"rnade\"\ncomponents = 3")
        .replace("epochs = 3", "epochs = 1");
    place.file("c.toml", config);
    place.json(&["train", "c.toml", "--out", "run"]);
    let [first, again] = [0, 1].map(|_| place.json(&["eval", "run"]));
    assert_eq!(first["nll_nats"], again["nll_nats"], "evaluation draws the same noise");
    // A level is one unit wide, so a uniform density over 17 of them costs 64 ln 17 = 181 nats.
    assert!(number(&first, "nll_nats") < 181.0, "{first}");
    for out in ["s.png", "s.npy"] {
        place.json(&["sample", "run", "--out", out, "--count", "4"]);
    }
    let symbols = fs::read(place.path("s.npy")).unwrap();
    assert!(symbols[128..].iter().all(|&symbol| symbol < 17) && symbols.len() == 128 + 256);
    let evaluated = place.json(&["eval", "run", "--data", "s.npy"]);
    assert_eq!(evaluated["examples"], 4);
    let both = place.mistake(&["train", "c.toml", "--set", "data.binarize=threshold"]);
    assert!(both.contains("`dequantize = true` beside a binarization"), "{both}");
}

#[test]
fn densities_are_no_code_lengths() {
    let place = Place::new();
    place.file("table.csv", table(160));
    place.file("c.toml", RNADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    let message = place.mistake(&["compress", "run", "table.csv", "--out", "t.chr"]);
    assert!(message.contains("`rnade` is a model of real numbers"), "{message}");
    assert!(message.contains("at most 256 levels"), "{message}");
    assert!(!place.path("t.chr").exists());
}
