//! How well a trained model tells the test split of its own data from a set of anomalies.

use super::config::AnomalySets;
use super::result::Outcome;
use super::table::{grouped, markdown};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How far a later AUROC, average precision or fraction may be from the committed one: what the weights
/// of a network that was trained on another instruction set make of it.
const TOLERANCE: f64 = 0.01;

/// What `chainrule score` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Anomalies {
    /// What was compared.
    #[serde(flatten)]
    pub(crate) sets: AnomalySets,
    /// Rows that p-values are ranks among.
    pub(crate) calibration_rows: u64,
    /// Rows of the anomalies.
    pub(crate) against_rows: u64,
    /// Their mean cost, nats.
    pub(crate) against_nll_nats: f64,
    /// What each of [`TESTS`] that was made found, by its key.
    #[serde(flatten)]
    pub(crate) tests: BTreeMap<String, Test>,
}

/// The tests by their keys in the record of `chainrule score`, and what they are called.
const TESTS: [(&str, &str); 5] = [
    ("low_likelihood", "low likelihood"),
    ("typicality", "typicality"),
    ("ratio", "ratio"),
    ("complexity", "complexity"),
    ("any", "any of them"),
];

/// What a test makes of the two sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Test {
    /// The fraction of the test split that is flagged.
    pub(crate) false_alarms: f64,
    /// The fraction of the anomalies that is flagged.
    pub(crate) detected: f64,
    /// Area under the ROC curve.
    pub(crate) auroc: f64,
    /// Average precision.
    pub(crate) average_precision: f64,
}

impl Anomalies {
    /// From what was asked for and what the command printed.
    pub(crate) fn new(sets: AnomalySets, scored: &Value) -> Result<Self> {
        let whole = |at: &str| {
            scored.pointer(at).and_then(Value::as_u64).with_context(|| format!("no {at}"))
        };
        let number = |at: &str| {
            scored.pointer(at).and_then(Value::as_f64).with_context(|| format!("no {at}"))
        };
        let mut tests = BTreeMap::new();
        for (key, _) in TESTS {
            if scored["against"][key].is_object() {
                let test = Test {
                    false_alarms: number(&format!("/data/flagged/{key}_fraction"))?,
                    detected: number(&format!("/against/flagged/{key}_fraction"))?,
                    auroc: number(&format!("/against/{key}/auroc"))?,
                    average_precision: number(&format!("/against/{key}/average_precision"))?,
                };
                tests.insert(key.to_owned(), test);
            }
        }
        Ok(Self {
            sets,
            calibration_rows: whole("/calibration/rows")?,
            against_rows: whole("/against/rows")?,
            against_nll_nats: number("/against/nll_nats")?,
            tests,
        })
    }

    /// The tests that were made, in their order.
    fn tests(&self) -> impl Iterator<Item = (&'static str, &Test)> {
        TESTS.into_iter().filter_map(|(key, name)| Some((name, self.tests.get(key)?)))
    }

    /// Every way in which `fresh` differs from this committed outcome by more than it may.
    pub(crate) fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.sets != fresh.sets || self.against_rows != fresh.against_rows {
            differences.push("the sets of normal rows and anomalies are others".to_owned());
        }
        for ((name, committed), (_, fresh)) in self.tests().zip(fresh.tests()) {
            for (what, committed, fresh) in [
                ("false alarms", committed.false_alarms, fresh.false_alarms),
                ("detected", committed.detected, fresh.detected),
                ("AUROC", committed.auroc, fresh.auroc),
                ("average precision", committed.average_precision, fresh.average_precision),
            ] {
                // Written so that a NaN on either side fails.
                let within = (committed - fresh).abs() <= TOLERANCE;
                if !within {
                    differences.push(format!(
                        "{what} by {name} is {fresh:.4}, committed {committed:.4}, tolerance \
                         {TOLERANCE}"
                    ));
                }
            }
        }
        differences
    }
}

/// A table with a row for each outcome and test; `None` where no outcome was tested on anomalies.
pub(crate) fn table(outcomes: &[Outcome]) -> Option<String> {
    let columns = [
        ("trained on", false),
        ("anomalies", false),
        ("nats of test", true),
        ("of anomalies", true),
        ("test", false),
        ("false alarms", true),
        ("detected", true),
        ("AUROC", true),
        ("average precision", true),
    ];
    let mut rows = Vec::new();
    for outcome in outcomes {
        let Some(anomalies) = &outcome.anomalies else {
            continue;
        };
        for (name, test) in anomalies.tests() {
            let percent = |fraction: f64| format!("{:.2}%", 100.0 * fraction);
            rows.push(vec![
                outcome.trained.data.clone(),
                format!(
                    "{} {}",
                    grouped(&anomalies.against_rows.to_string()),
                    anomalies.sets.against
                ),
                format!("{:.2}", outcome.trained.test.nll_nats),
                format!("{:.2}", anomalies.against_nll_nats),
                name.to_owned(),
                percent(test.false_alarms),
                percent(test.detected),
                format!("{:.4}", test.auroc),
                format!("{:.4}", test.average_precision),
            ]);
        }
    }
    (!rows.is_empty()).then(|| markdown(&columns, &rows))
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::outcome;
    use super::*;

    fn anomalies() -> Anomalies {
        let test = Test { false_alarms: 0.01, detected: 0.5, auroc: 0.9, average_precision: 0.8 };
        let typicality = Test { auroc: 0.25, ..test.clone() };
        let tests = [("low_likelihood", test), ("typicality", typicality)];
        Anomalies {
            sets: AnomalySets {
                calibrate: "valid".to_owned(),
                alpha: 0.01,
                against: "fashion-mnist".to_owned(),
                tests: Vec::new(),
            },
            calibration_rows: 10_000,
            against_rows: 10_000,
            against_nll_nats: 250.0,
            tests: tests.map(|(key, test)| (key.to_owned(), test)).into(),
        }
    }

    #[test]
    fn a_record_becomes_the_numbers_of_both_tests() {
        let record = serde_json::json!({
            "data": {"rows": 10000, "nll_nats": 89.5, "flagged":
                {"low_likelihood_fraction": 0.01, "typicality_fraction": 0.01}},
            "calibration": {"rows": 10000, "nll_nats": 90.0, "flagged": null},
            "against": {"rows": 10000, "nll_nats": 250.0, "flagged":
                {"low_likelihood_fraction": 0.5, "typicality_fraction": 0.5},
                "low_likelihood": {"auroc": 0.9, "average_precision": 0.8},
                "typicality": {"auroc": 0.25, "average_precision": 0.8}}
        });
        assert_eq!(Anomalies::new(anomalies().sets, &record).unwrap(), anomalies());
        let text = serde_json::to_string(&anomalies()).unwrap();
        assert_eq!(serde_json::from_str::<Anomalies>(&text).unwrap(), anomalies());
    }

    #[test]
    fn each_number_is_compared_and_a_nan_differs() {
        let committed = anomalies();
        let mut fresh = anomalies();
        let mut with = |key: &str, change: fn(&mut Test)| change(fresh.tests.get_mut(key).unwrap());
        with("low_likelihood", |test| test.auroc += 0.009);
        with("typicality", |test| test.false_alarms = f64::NAN);
        assert_eq!(committed.differences(&fresh).len(), 1);
        fresh.tests.get_mut("low_likelihood").unwrap().auroc += 0.002;
        fresh.sets.alpha = 0.02;
        let found = committed.differences(&fresh);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[1].contains("AUROC by low likelihood is 0.9110, committed 0.9000"),
            "{found:?}"
        );
    }

    #[test]
    fn a_table_has_a_row_for_each_test() {
        let mut tested = outcome("nade-mnist", 89.5);
        assert!(table(std::slice::from_ref(&tested)).is_none());
        tested.anomalies = Some(anomalies());
        tested.trained.data = "mnist".to_owned();
        let text = table(&[tested]).unwrap();
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "| mnist | 10,000 fashion-mnist | 89.50 | 250.00 | typicality | 1.00% | 50.00% | 0.2500 | \
             0.8000 |"
        );
        assert_eq!(text.lines().count(), 4);
    }
}
