//! What `chainrule score` says of sets and tests, as a record and in words.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::super::cost_cells;
use super::anomaly::Tested;
use crate::args::Shard;
use crate::output::{columns, grouped, human_seconds};

/// What the command prints.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) command: &'static str,
    pub(super) run: String,
    /// Kind of the model.
    pub(super) model: String,
    /// What rows are ranked by, where there is a choice: `log-prob` or `window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<&'static str>,
    pub(super) device: String,
    /// Which share of the rows, of how many: `3/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shard: Option<Shard>,
    /// The rows that were scored.
    pub(super) data: SetRecord,
    /// The rows that they were ranked among.
    pub(super) calibration: Option<CalibrationRecord>,
    /// The anomalies.
    pub(super) against: Option<AgainstRecord>,
    /// The anomalies among the rows, where a column says which they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anomalies: Option<AnomaliesRecord>,
    /// The file of scores.
    pub(super) out: Option<String>,
    /// The file of costs.
    pub(super) per_variable: Option<String>,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) accepted_changes: Vec<String>,
    pub(super) seconds: f64,
}

/// What is said of each set. A number that is not finite is `null` in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SetRecord {
    /// Name of the data.
    pub(crate) name: String,
    /// `train`, `valid`, `test`, or `all` for a file, which has no splits.
    pub(crate) split: String,
    /// Rows, bad ones included.
    pub(crate) rows: u64,
    /// Rows that could not be read.
    pub(crate) bad_rows: u64,
    /// The first of them.
    pub(crate) first_bad_rows: Vec<BadRecord>,
    /// Rows that have probability 0 under the model.
    pub(crate) outside_support: u64,
    /// Mean of −log p(x), in nats per row.
    pub(crate) nll_nats: Option<f64>,
    /// Standard error of that mean.
    pub(crate) nll_nats_stderr: Option<f64>,
    /// The mean in bits per variable.
    pub(crate) bits_per_dim: Option<f64>,
    /// Rows with a p-value of at most alpha; only with a calibration.
    pub(crate) flagged: Option<Flagged>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BadRecord {
    pub(crate) row: u64,
    pub(crate) error: String,
}

/// How many rows each test flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flagged {
    pub(crate) alpha: f64,
    /// Rows that could be read.
    pub(crate) rows: u64,
    pub(crate) counts: Tested<u64>,
}

impl Flagged {
    fn fraction(&self, count: u64) -> f64 {
        count as f64 / self.rows as f64
    }
}

impl Serialize for Flagged {
    /// `alpha`, and of each test `<test>` and `<test>_fraction`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("alpha", &self.alpha)?;
        for (test, count) in self.counts.iter() {
            map.serialize_entry(test.key(), &count)?;
            map.serialize_entry(&format!("{}_fraction", test.key()), &self.fraction(count))?;
        }
        map.end()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CalibrationRecord {
    #[serde(flatten)]
    pub(super) set: SetRecord,
    /// The smallest p-value there can be.
    pub(super) smallest_p: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct AgainstRecord {
    #[serde(flatten)]
    pub(super) set: SetRecord,
    /// What typicality is the distance from: the mean of −log p(x) over the calibration set, or over the
    /// data where there is none.
    pub(super) entropy_nats: Option<f64>,
    #[serde(flatten)]
    pub(super) detections: Tested<Detection>,
}

/// Rows that a column of the file says are anomalies.
#[derive(Debug, Serialize)]
pub(super) struct AnomaliesRecord {
    /// `COLUMN=VALUE`.
    pub(super) label: String,
    pub(super) rows: usize,
    pub(super) normal_rows: usize,
    #[serde(flatten)]
    pub(super) detections: Tested<Detection>,
}

/// How well a test tells the anomalies from the data.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Detection {
    pub(super) auroc: Option<f64>,
    pub(super) average_precision: Option<f64>,
}

impl Record {
    pub(super) fn words(&self) -> String {
        let Self { data, calibration, against, score, .. } = self;
        let mut sets = vec![data.cells(&format!("{} on", self.model))];
        sets.extend(calibration.iter().map(|calibration| calibration.set.cells("calibrated on")));
        sets.extend(against.iter().map(|against| against.set.cells("against")));
        let mut text = columns(&sets);
        if *score == Some("window") {
            text.push_str("ranked by the Parzen window over training rows; --score log-prob ranks by the model\n");
        }
        let heading =
            |set: &SetRecord| set.flagged.map(|_| format!("flagged of {} {}", set.name, set.split));
        let sets = [Some(data), against.as_ref().map(|against| &against.set)];
        let sets: Vec<&SetRecord> = sets.into_iter().flatten().collect();
        let alpha = data.flagged.map(|flagged| format!("p ≤ {}", flagged.alpha));
        let mut table = vec![vec![alpha.unwrap_or_default()]];
        table[0].extend(sets.iter().filter_map(|set| heading(set)));
        let detections = match (against, &self.anomalies) {
            (Some(against), _) => Some(against.detections),
            (None, Some(anomalies)) => {
                text.push_str(&format!(
                    "{}: {} anomalies to be told from {} rows\n",
                    anomalies.label,
                    grouped(&anomalies.rows.to_string()),
                    grouped(&anomalies.normal_rows.to_string())
                ));
                Some(anomalies.detections)
            }
            (None, None) => None,
        };
        if detections.is_some() {
            table[0].extend(["AUROC", "average precision"].map(str::to_owned));
        }
        let tests = data.flagged.map(|flagged| flagged.counts.tests());
        let tests = tests.or(detections.map(|detections| detections.tests()));
        for (test, ()) in tests.iter().flat_map(Tested::iter) {
            let mut cells = vec![test.to_string()];
            cells.extend(sets.iter().filter_map(|set| set.flagged).map(|flagged| {
                let count = flagged.counts.get(test).unwrap_or(0);
                let percent = 100.0 * flagged.fraction(count);
                format!("{} ({percent:.2}%)", grouped(&count.to_string()))
            }));
            if let Some(detections) = &detections {
                let detection = detections.get(test);
                let numbers = [
                    detection.and_then(|detection| detection.auroc),
                    detection.and_then(|detection| detection.average_precision),
                ];
                cells.extend(
                    numbers.map(|x| x.map_or_else(|| "?".to_owned(), |x| format!("{x:.4}"))),
                );
            }
            table.push(cells);
        }
        if table[0].len() > 1 {
            text.push_str(&format!("\n{}\n", columns(&table)));
        }
        for path in [&self.out, &self.per_variable].into_iter().flatten() {
            text.push_str(&format!("wrote {path}\n"));
        }
        text.push_str(&format!("{}\n", human_seconds(self.seconds)));
        text
    }
}

impl SetRecord {
    fn cells(&self, what: &str) -> Vec<String> {
        let mut cells = vec![format!("{what} {}", self.name), self.split.clone()];
        cells.extend(cost_cells(self.nll_nats, self.nll_nats_stderr, self.bits_per_dim));
        cells.push(format!("{} rows", grouped(&self.rows.to_string())));
        if self.bad_rows > 0 {
            cells.push(format!("{} bad", grouped(&self.bad_rows.to_string())));
        }
        cells
    }
}
