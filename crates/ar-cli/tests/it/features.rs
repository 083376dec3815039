//! `chainrule features`: what a model makes of an event, and what it is worth.

use std::fs;

use crate::common::{NADE, Place, text};
use serde_json::Value;

/// The values of a `.npy` of `f32`, and its shape as it stands in the header.
fn npy(place: &Place, file: &str) -> (String, Vec<f32>) {
    let bytes = fs::read(place.path(file)).unwrap();
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = text(&bytes[..data]);
    assert!(header.contains("'<f4'"), "{header}");
    let shape = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap().to_owned();
    (shape, bytes[data..].as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

fn accuracy(record: &Value, vectors: &str, probe: &str) -> f64 {
    let probes = record["probe"]["probes"].as_array().unwrap();
    let found = probes.iter().find(|p| p["vectors"] == vectors && p["probe"] == probe);
    found.unwrap()["test_accuracy"].as_f64().unwrap()
}

#[test]
fn features_of_a_nade_are_written_and_tell_the_digits_apart() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "run", "--set", "train.epochs=6"]);
    let record = place.json(&["features", "run", "--out", "f.npy", "--split", "valid", "--probe"]);
    assert_eq!(record["features"], 8);
    assert_eq!(record["what"], "8 hidden units after all 64 variables");
    assert_eq!(record["written"]["split"], "valid");
    let (shape, values) = npy(&place, "f.npy");
    assert_eq!(shape, "359, 8");
    assert!(values.iter().all(|h| (0.0..=1.0).contains(h)));
    assert!(values.iter().any(|h| (h - values[0]).abs() > 0.05), "they differ");
    let report = &record["probe"];
    assert_eq!(report["train_examples"], 1079);
    let guess = report["most_frequent_accuracy"].as_f64().unwrap();
    assert!((0.05..0.2).contains(&guess), "{report}");
    for probe in ["nearest-neighbours", "linear"] {
        // Eight units know less than 64 pixels, and much more than nothing.
        assert!(accuracy(&record, "raw", probe) > 0.85, "{report}");
        assert!(accuracy(&record, "features", probe) > 3.0 * guess, "{report}");
    }
    // The same of a file, and whatever the number of threads.
    place.json(&["data", "export", "run", "--split", "valid", "--out", "valid.npy"]);
    place.json(&["features", "run", "--data", "valid.npy", "--out", "again.npy", "--threads", "1"]);
    assert_eq!(npy(&place, "again.npy").1, values);
    let once = place.json(&["features", "run", "--probe", "--threads", "1"]);
    for vectors in ["features", "raw"] {
        for probe in ["nearest-neighbours", "linear"] {
            let both = [&record, &once].map(|record| accuracy(record, vectors, probe));
            assert_eq!(both[0], both[1], "{vectors} {probe}");
        }
    }
    // Fewer examples, and words.
    let output = place
        .chainrule(&["features", "run", "--probe", "--probe-examples", "40"])
        .output()
        .unwrap();
    let words = text(&output.stdout);
    assert!(words.contains("learned on 40 examples"), "{words}");
    assert!(words.contains("64 raw values") && words.contains("k = "), "{words}");
}

#[test]
fn maps_of_a_pixel_network_are_its_features_with_and_without_classes() {
    let place = Place::new();
    for classes in ["", "classes = 10\n"] {
        let config = format!(
            "name = \"p\"\n[data]\nname = \"digits\"\nbinarize = \"threshold\"\n\
             [model]\nkind = \"row-lstm\"\nlayers = 1\nhidden = 3\nhead = 4\n{classes}[train]\nepochs = 1\n"
        );
        place.file("p.toml", config);
        place.json(&["train", "p.toml", "--out", "run"]);
        let record = place.json(&["features", "run", "--out", "f.npy"]);
        let what = record["what"].as_str().unwrap();
        assert!(what.starts_with("6 maps of the last layer, mean over 8×8 positions"), "{what}");
        assert_eq!(what.contains("over 10 classes"), !classes.is_empty(), "{what}");
        let (shape, values) = npy(&place, "f.npy");
        assert_eq!(shape, "359, 6");
        assert!(values.iter().all(|x| x.is_finite()));
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "run", "--set", "train.epochs=1"]);
    place.json(&["data", "export", "run", "--out", "test.npy"]);
    for (arguments, parts) in [
        (&["--out", "f.csv"][..], &["--out f.csv", "ending in .npy"][..]),
        (&["--probe", "--data", "test.npy"], &["a path has no splits", "built-in dataset"]),
        (&[], &["--out <FILE.npy>"]),
        (&["--probe", "--split", "valid"], &["--out <FILE.npy>"]),
    ] {
        let message = place.mistake(&[&["features", "run"], arguments].concat());
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says not {part:?}: {message}");
        }
    }
    // Models without hidden units.
    for kind in ["independent", "logistic"] {
        let train = if kind == "logistic" { "[train]\nepochs = 1\n" } else { "" };
        let data = "[data]\nname = \"digits\"\nbinarize = \"threshold\"\n";
        place.file("t.toml", format!("name = \"t\"\n{data}[model]\nkind = \"{kind}\"\n{train}"));
        place.json(&["train", "t.toml", "--out", kind]);
        let message = place.mistake(&["features", kind, "--out", "f.npy"]);
        assert!(message.contains(&format!("`{kind}` has no features")), "{message}");
        assert!(
            message.contains("hint: train one that has: nade, orderless-nade, rnade, made"),
            "{message}"
        );
    }
    // Data without labels.
    let rows: String = (0..40).map(|i| format!("{},{}\n", i % 2, (i / 2) % 2)).collect();
    place.file("a.csv", rows);
    place.file(
        "table.toml",
        "name = \"t\"\n[data]\ntrain = \"a.csv\"\nvalid = \"a.csv\"\ntest = \"a.csv\"\n\
         [model]\nkind = \"nade\"\nhidden = 2\n[train]\nepochs = 1\n",
    );
    place.json(&["train", "table.toml", "--out", "table"]);
    let message = place.mistake(&["features", "table", "--probe"]);
    assert!(message.contains("the train split of a.csv has no labels"), "{message}");
    // And without a split to choose on.
    let table = fs::read_to_string(place.path("table.toml")).unwrap();
    place.file("few.toml", table.replace("valid = \"a.csv\"\n", ""));
    place.json(&["train", "few.toml", "--out", "few"]);
    let message = place.mistake(&["features", "few", "--probe"]);
    for part in [
        "reports on test: the data (a.csv) has no valid split, only train and test",
        "hint: name a built-in dataset that has all three with --data; or train with data.valid",
    ] {
        assert!(message.contains(part), "{message}");
    }
}
