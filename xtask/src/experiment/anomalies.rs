//! How well a trained model tells the test split of its own data from a set of anomalies.

use super::config::AnomalySets;
use super::result::Outcome;
use super::table::{Table, grouped};
use crate::chainrule::{Detection, Flagged, Scored};
use serde::{Deserialize, Serialize};

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
    /// The one-sided test.
    pub(crate) low_likelihood: Test,
    /// The two-sided one.
    pub(crate) typicality: Test,
    /// The likelihood ratio to a simple model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<Test>,
    /// The likelihood and the length under a compressor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complexity: Option<Test>,
    /// The least rank by any of them but typicality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) any: Option<Test>,
}

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
    pub(crate) fn new(sets: AnomalySets, scored: &Scored) -> Self {
        let against = &scored.against;
        let test = |detection: &Detection, fraction: fn(&Flagged) -> Option<f64>| Test {
            // The command prints what is flagged wherever it calibrates.
            false_alarms: scored.data.flagged.as_ref().and_then(fraction).unwrap_or(f64::NAN),
            detected: against.set.flagged.as_ref().and_then(fraction).unwrap_or(f64::NAN),
            auroc: detection.auroc,
            average_precision: detection.average_precision,
        };
        let asked = |detection: &Option<Detection>, fraction: fn(&Flagged) -> Option<f64>| {
            detection.as_ref().map(|detection| test(detection, fraction))
        };
        Self {
            sets,
            calibration_rows: scored.calibration.rows,
            against_rows: against.set.rows,
            against_nll_nats: against.set.nll_nats,
            low_likelihood: test(&against.low_likelihood, |f| Some(f.low_likelihood_fraction)),
            typicality: test(&against.typicality, |f| Some(f.typicality_fraction)),
            ratio: asked(&against.ratio, |f| f.ratio_fraction),
            complexity: asked(&against.complexity, |f| f.complexity_fraction),
            any: asked(&against.any, |f| f.any_fraction),
        }
    }

    /// The tests that were made.
    fn tests(&self) -> Vec<(&'static str, &Test)> {
        let mut tests =
            vec![("low likelihood", &self.low_likelihood), ("typicality", &self.typicality)];
        let asked =
            [("ratio", &self.ratio), ("complexity", &self.complexity), ("any of them", &self.any)];
        tests.extend(asked.into_iter().filter_map(|(name, test)| Some((name, test.as_ref()?))));
        tests
    }

    /// Every way in which `fresh` differs from this committed outcome by more than it may.
    pub(crate) fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.sets != fresh.sets || self.against_rows != fresh.against_rows {
            differences.push("the sets of normal rows and anomalies are others".to_owned());
        }
        for ((name, committed), (_, fresh)) in self.tests().into_iter().zip(fresh.tests()) {
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

/// A row for each outcome and test; `None` where no outcome was tested on anomalies.
pub(crate) fn table(outcomes: &[Outcome]) -> Option<Table> {
    let columns = vec![
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
                outcome.data.clone(),
                format!(
                    "{} {}",
                    grouped(&anomalies.against_rows.to_string()),
                    anomalies.sets.against
                ),
                format!("{:.2}", outcome.test.nll_nats),
                format!("{:.2}", anomalies.against_nll_nats),
                name.to_owned(),
                percent(test.false_alarms),
                percent(test.detected),
                format!("{:.4}", test.auroc),
                format!("{:.4}", test.average_precision),
            ]);
        }
    }
    (!rows.is_empty()).then(|| Table::of(columns, rows))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::result::tests::outcome;
    use super::*;

    /// For the tests of tables and reports.
    pub(crate) fn anomalies() -> Anomalies {
        let test = Test { false_alarms: 0.01, detected: 0.5, auroc: 0.9, average_precision: 0.8 };
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
            low_likelihood: test.clone(),
            typicality: Test { auroc: 0.25, ..test },
            ratio: None,
            complexity: None,
            any: None,
        }
    }

    #[test]
    fn a_record_becomes_the_numbers_of_both_tests() {
        let record = r#"{
            "data": {"rows": 10000, "nll_nats": 89.5, "flagged":
                {"low_likelihood_fraction": 0.01, "typicality_fraction": 0.01}},
            "calibration": {"rows": 10000, "nll_nats": 90.0, "flagged": null},
            "against": {"rows": 10000, "nll_nats": 250.0, "flagged":
                {"low_likelihood_fraction": 0.5, "typicality_fraction": 0.5},
                "low_likelihood": {"auroc": 0.9, "average_precision": 0.8},
                "typicality": {"auroc": 0.25, "average_precision": 0.8}}
        }"#;
        let scored: Scored = serde_json::from_str(record).unwrap();
        assert_eq!(Anomalies::new(anomalies().sets, &scored), anomalies());
    }

    #[test]
    fn each_number_is_compared_and_a_nan_differs() {
        let committed = anomalies();
        let mut fresh = anomalies();
        fresh.low_likelihood.auroc += 0.009;
        assert!(committed.differences(&fresh).is_empty());
        fresh.low_likelihood.auroc += 0.002;
        fresh.typicality.false_alarms = f64::NAN;
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
        let plain = outcome("nade-mnist", 89.5);
        assert!(table(std::slice::from_ref(&plain)).is_none());
        let tested = Outcome { anomalies: Some(anomalies()), data: "mnist".to_owned(), ..plain };
        assert_eq!(tested.label(), "NADE of mnist");
        let text = table(&[tested]).unwrap().markdown();
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "| mnist | 10,000 fashion-mnist | 89.50 | 250.00 | typicality | 1.00% | 50.00% | 0.2500 | \
             0.8000 |"
        );
        assert_eq!(text.lines().count(), 4);
    }
}
