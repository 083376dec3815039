//! Images of more than two levels, by NADE and under mixtures of logistics: every command that bits know.

use std::fs;

use serde_json::Value;

use crate::common::Place;

/// 17 levels, as the digits are.
const LEVELS: &str = r#"
name = "levels"
seed = 1
[data]
name = "digits"
[model]
kind = "nade"
hidden = 12
[train]
epochs = 2
batch_size = 50
optimizer = { kind = "adam", learning_rate = 5e-3 }
"#;

const MIXTURE: &str = "model.likelihood=logistic-mixture";

fn number(record: &Value, key: &str) -> f64 {
    record[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {record}"))
}

/// The bytes of a `.npy` of `u8`.
fn npy(place: &Place, file: &str) -> Vec<u8> {
    let bytes = fs::read(place.path(file)).unwrap();
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[data..].to_vec()
}

#[test]
fn images_of_levels_go_through_every_command() {
    let pixels = ["model.kind=pixel-cnn", "model.layers=1", "model.hidden=4", MIXTURE];
    for set in [&[][..], &[MIXTURE, "model.components=3"], &pixels] {
        let place = Place::new();
        place.file("c.toml", LEVELS);
        let keys: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let trained = place.json(&[&["train", "c.toml", "--out", "run"][..], &keys].concat());
        let nats = number(&trained["test"], "nll_nats");
        // 17 levels alike are 181.3 nats.
        assert!(nats > 60.0 && nats < 170.0, "{set:?}: {nats}");
        let evaluated = place.json(&["eval", "run"]);
        assert_eq!(number(&evaluated, "nll_nats"), nats, "{set:?}");

        let record = place.json(&["compress", "run", "digits", "--out", "d.chr", "--verify"]);
        let (size, expected) = (number(&record, "bytes"), number(&record, "nll_bytes"));
        assert!(size > expected && size < 1.005 * expected + 64.0, "{record}");
        let bits = nats / std::f64::consts::LN_2 * number(&record, "events");
        assert!((bits / 8.0 - expected).abs() < 1e-5 * expected, "{record}");

        place.json(&["sample", "run", "--count", "40", "--out", "s.npy"]);
        let samples = npy(&place, "s.npy");
        assert_eq!(samples.len(), 40 * 64);
        assert!(samples.iter().all(|&x| x < 17) && samples.iter().any(|&x| x > 1), "{set:?}");
        // A picture holds the levels as greys from black to white.
        place.json(&["sample", "run", "--count", "1", "--out", "s.png"]);
        assert!(fs::metadata(place.path("s.png")).unwrap().len() > 60, "{set:?}");

        place.json(&["data", "export", "run", "--out", "first.npy", "--count", "3"]);
        let complete = ["complete", "run", "--observe", "top-half", "--out", "c.npy"];
        place.json(&[&complete[..], &["--count", "3", "--samples", "2"]].concat());
        let (originals, drawn) = (npy(&place, "first.npy"), npy(&place, "c.npy"));
        for (k, completion) in drawn.chunks_exact(64).enumerate() {
            assert_eq!(completion[..32], originals[k / 2 * 64..][..32], "{set:?}");
        }
        assert!(drawn.iter().all(|&x| x < 17));
        place.json(&["features", "run", "--split", "test", "--out", "f.npy"]);
        place.json(&["score", "run", "--out", "scores.npy"]);
    }
}

#[test]
fn a_likelihood_that_is_none_of_the_data_is_refused_with_a_reason() {
    let place = Place::new();
    place.file("c.toml", LEVELS);
    let keys = ["--set", MIXTURE, "--set", "data.binarize=threshold"];
    let error = place.mistake(&[&["train", "c.toml", "--out", "run"][..], &keys].concat());
    assert!(error.contains("`model.likelihood = logistic-mixture`"), "{error}");
    assert!(error.contains("more than 2 levels"), "{error}");
    let error = place.mistake(&["train", "c.toml", "--out", "run", "--set", "model.classes=10"]);
    assert!(error.contains("none for 17 levels"), "{error}");
}
