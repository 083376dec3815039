//! A model with classes: trained on labels, evaluated with and without them, drawn from given one.

use std::fs;

use crate::common::{NADE, Place, text};

/// A small PixelCNN of p(x | y) on the digits.
const CLASSES: &str = r#"
name = "classes"
seed = 5
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "pixel-cnn"
layers = 1
hidden = 8
head = 8
classes = 10
[train]
epochs = 1
batch_size = 50
optimizer = { kind = "adam", learning_rate = 1e-2 }
"#;

fn number(record: &serde_json::Value, field: &str) -> f64 {
    record[field].as_f64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

#[test]
fn a_model_with_classes_from_config_to_samples_of_a_class() {
    let place = Place::new();
    place.file("classes.toml", CLASSES);
    let inspected = place.json(&["inspect", "classes.toml"]);
    let sees = inspected["sees"].as_str().unwrap();
    assert!(sees.contains("before it and its label, through 1 layer"), "{sees}");
    let record = place.json(&["train", "classes.toml", "--out", "run"]);
    assert_eq!(record["parameters"], inspected["parameters"]);

    // Training minimises −log p(x | y): the last epoch's validation is that of the record.
    let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let given = number(&record["valid"], "nll_given_label_nats");
    assert!((number(&last, "valid_nll_nats") - given).abs() < 1e-4, "{last} and {given}");

    let evaluation = place.json(&["eval", "run"]);
    let [marginal, given, accuracy] =
        ["nll_nats", "nll_given_label_nats", "accuracy"].map(|key| number(&evaluation, key));
    assert_eq!(marginal, number(&record["test"], "nll_nats"));
    // p(x) is at least p(x | y) / 10.
    assert!(marginal < given + 10.0_f64.ln() + 1e-3, "{marginal} and {given}");
    assert!(marginal != given && given < 35.0, "{marginal} and {given}");
    assert!((0.15..=1.0).contains(&accuracy), "chance is 0.1: {accuracy}");
    let words = place.chainrule(&["eval", "run"]).output().unwrap();
    let words = text(&words.stdout);
    assert!(words.contains("nats given the label") && words.contains("% of labels right"));

    // The cost per variable is that of p(x), and sums to it.
    place.json(&["eval", "run", "--per-variable", "cost.npy"]);
    let bytes = fs::read(place.path("cost.npy")).unwrap();
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let costs = bytes[data..].as_chunks::<4>().0.iter().map(|&b| f64::from(f32::from_le_bytes(b)));
    let sum: f64 = costs.sum();
    assert!((sum - marginal).abs() < 1e-3, "{sum} and {marginal}");

    // Draws, of a class and of all of them.
    let sample = |out: &str, class: &[&str]| {
        let arguments = ["sample", "run", "--out", out, "--count", "20"];
        let record = place.json(&[&arguments[..], class].concat());
        (record, fs::read(place.path(out)).unwrap())
    };
    let (record, three) = sample("three.npy", &["--class", "3"]);
    assert_eq!(record["class"], 3);
    assert_eq!(sample("again.npy", &["--class", "3"]).1, three);
    let (record, any) = sample("any.npy", &[]);
    assert!(record.get("class").is_none());
    assert!(any != three && sample("four.npy", &["--class", "4"]).1 != three);
    let complete = |class: &[&str]| {
        let arguments =
            ["complete", "run", "--observe", "top-half", "--out", "c.npy", "--count", "3"];
        place.json(&[&arguments[..], class].concat())
    };
    let given = complete(&["--class", "3"]);
    assert_eq!(given["class"], 3);
    assert!(number(&given, "missing_nll_nats") != number(&complete(&[]), "missing_nll_nats"));

    let message = place.mistake(&["sample", "run", "--out", "x.npy", "--class", "10"]);
    assert!(message.contains("--class 10: expected 0 to 9"), "{message}");
    let message = place.mistake(&[
        "complete",
        "run",
        "--observe",
        "top-half",
        "--out",
        "x.npy",
        "--class",
        "300",
    ]);
    assert!(
        message.contains(
            "invalid value '300' for '--class <Y>': expected a whole number from 0 to 255"
        ),
        "{message}"
    );

    // Data without labels has a cost, but none given the label.
    let row = "0,1,".repeat(32);
    let rows = format!("{}\n", row.trim_end_matches(',')).repeat(3);
    place.file("bare.csv", rows);
    let bare = place.chainrule(&["eval", "run", "--data", "bare.csv", "--json"]).output().unwrap();
    let note = text(&bare.stderr);
    assert!(note.contains("no labels"), "{note}");
    let bare: serde_json::Value = serde_json::from_str(&text(&bare.stdout)).unwrap();
    assert!(number(&bare, "nll_nats") > 0.0 && bare.get("accuracy").is_none());
}

#[test]
fn labels_that_do_not_suit_the_model_are_refused_before_training() {
    let place = Place::new();
    place.file("classes.toml", CLASSES);
    let few = ["train", "classes.toml", "--out", "run", "--set", "model.classes=9"];
    let message = place.mistake(&few);
    assert!(
        message.contains("needs labels below 9, the training set has the label 9"),
        "{message}"
    );
    assert!(message.contains("hint: set model.classes = 10 or more"), "{message}");
    assert!(!place.path("run").exists());
    for classes in ["1", "257"] {
        let key = format!("model.classes={classes}");
        let message = place.mistake(&["train", "classes.toml", "--out", "run", "--set", &key]);
        assert!(message.contains("expected 2 to 256"), "{message}");
    }
    let row = "0,1,1,0\n1,0,0,1\n";
    place.file("bare.csv", row.repeat(10));
    let bare = CLASSES.replace("name = \"digits\"", "train = \"bare.csv\"\nshape = [2, 2]");
    let bare = bare.replace("binarize = \"threshold\"", "kind = \"binary\"");
    place.file("bare.toml", bare);
    let message = place.mistake(&["train", "bare.toml", "--out", "run"]);
    assert!(message.contains("bare.toml:"), "{message}");
    assert!(message.contains("needs labels below 10, the training set has none"), "{message}");
    assert!(message.contains("hint: remove model.classes"), "{message}");

    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "nade"]);
    let message = place.mistake(&["sample", "nade", "--out", "x.npy", "--class", "3"]);
    assert!(message.contains("--class 3: the run's model has no classes"), "{message}");
}
