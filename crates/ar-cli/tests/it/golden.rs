//! Known numbers, through the binary and the committed configs.

use std::path::Path;

use crate::common::{Place, chainrule, config, text};
use serde_json::Value;

/// Trains a committed config and checks its test NLL to 4 decimals.
fn check(place: &Place, name: &str, data: Option<&Path>, expected: f64) {
    let mut command = chainrule();
    command.args(["train", &config(name), "--json", "--quiet", "--out"]).arg(place.path(name));
    if let Some(data) = data {
        command.arg("--data-dir").arg(data);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nll = record["test"]["nll_nats"].as_f64().unwrap();
    assert!((nll - expected).abs() <= 5e-5, "{name}: {nll}, expected {expected}");
}

/// The digits binarized by threshold, from an independent program.
#[test]
fn tabular_models_on_the_digits() {
    let place = Place::new();
    for (name, expected) in [
        ("uniform-digits", 64.0 * 2.0_f64.ln()),
        ("independent-digits", 24.7840),
        ("markov1-digits", 23.8092),
        ("markov3-digits", 22.9100),
        ("neighbourhood4-digits", 19.9844),
    ] {
        check(&place, name, None, expected);
    }
}

/// Larochelle's fixed binarization, from an independent program.
#[test]
fn tabular_models_on_binarized_mnist() {
    let Some(data) = std::env::var_os("CHAINRULE_DATA").filter(|dir| !dir.is_empty()) else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: CHAINRULE_DATA does not point at binarized MNIST");
        }
        return;
    };
    let place = Place::new();
    for (name, expected) in [
        ("independent-binarized-mnist", 205.7933),
        ("markov1-binarized-mnist", 145.3516),
        ("markov2-binarized-mnist", 143.3205),
        ("markov3-binarized-mnist", 141.7291),
        ("markov5-binarized-mnist", 139.5616),
        ("markov8-binarized-mnist", 138.4002),
        ("neighbourhood4-binarized-mnist", 104.3029),
        ("neighbourhood10-binarized-mnist", 97.2993),
    ] {
        check(&place, name, Some(Path::new(&data)), expected);
    }
}
