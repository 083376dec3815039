//! The tests of whether a row is an anomaly, and the scores that they rank.

use std::fmt;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use ar_data::Split;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::{Examples, read_all};
use ar_models::model::Model;
use ar_models::scoring::log_probs;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use prob_core::anomaly::{Calibration, JointCalibration};
use prob_core::ordering::OrderingKind;
use rayon::prelude::*;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::args::TestKind;
use crate::data::sets::Finder;
use crate::error::mistake;

/// How many tests there are.
pub(crate) const TESTS: usize = 5;
/// Numbers of a background's tables at most.
const CELLS: usize = 1 << 22;
/// West, north-west, north and north-east of a pixel.
const NEIGHBOURS: [[isize; 2]; 4] = [[0, -1], [-1, -1], [-1, 0], [-1, 1]];

/// A test, in the order of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Unlikely rows.
    LowLikelihood,
    /// Rows that are far from as likely as normal ones are, on either side.
    Typicality,
    /// Rows that a simple model of the same training rows finds likelier than they should be beside it.
    Ratio,
    /// Rows that are unlikelier than their length, compressed, lets one expect.
    Complexity,
    /// Rows that are surprising by low likelihood or one of the asked tests.
    Any,
}

impl Test {
    pub(crate) const ALL: [Self; TESTS] =
        [Self::LowLikelihood, Self::Typicality, Self::Ratio, Self::Complexity, Self::Any];

    /// What columns and records call it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::LowLikelihood => "low_likelihood",
            Self::Typicality => "typicality",
            Self::Ratio => "ratio",
            Self::Complexity => "complexity",
            Self::Any => "any",
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowLikelihood => "low likelihood",
            Self::Any => "any of them",
            other => other.key(),
        })
    }
}

/// Something for each test that was run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tested<T>(pub(crate) [Option<T>; TESTS]);

impl<T: Copy> Tested<T> {
    pub(crate) fn of(f: impl FnMut(Test) -> Option<T>) -> Self {
        Self(Test::ALL.map(f))
    }

    /// Which they are.
    pub(crate) fn tests(&self) -> Tested<()> {
        Tested(self.0.map(|value| value.map(|_| ())))
    }

    pub(crate) fn get(&self, test: Test) -> Option<T> {
        self.0[test as usize]
    }

    /// Those that were run.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Test, T)> + use<T> {
        Test::ALL.into_iter().zip(self.0).filter_map(|(test, value)| Some((test, value?)))
    }
}

impl<T: Copy + Serialize> Serialize for Tested<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (test, value) in self.iter() {
            map.serialize_entry(test.key(), &value)?;
        }
        map.end()
    }
}

/// What a row is ranked by; higher is more normal, NaN where nobody asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    pub(crate) score: f64,
    pub(crate) ratio: f64,
    pub(crate) complexity: f64,
}

impl Measures {
    /// Those that are ranked together.
    fn joint(self) -> impl Iterator<Item = f64> {
        [self.score, self.ratio, self.complexity].into_iter().filter(|x| !x.is_nan())
    }
}

/// A row so far out that its density is no number is as unlikely as can be.
pub(crate) fn no_nan(x: f64) -> f64 {
    if x.is_nan() { f64::NEG_INFINITY } else { x }
}

/// What is measured beside the score.
pub(crate) struct Extras {
    background: Option<Model>,
    complexity: bool,
}

impl Extras {
    /// Counts the background over the run's own training rows where it is asked for.
    ///
    /// # Errors
    /// When rows are not of symbols of one number of levels, or the training rows cannot be read.
    pub(crate) fn of(asked: &[TestKind], event: &EventSpec, finder: &Finder<'_>) -> Result<Self> {
        let is_asked = |test: TestKind| asked.contains(&test);
        if let (Some(test), None) = (asked.first(), event.levels) {
            return Err(mistake(
                format!(
                    "--test {test}: this run is of a table of columns that are no symbols of one alphabet"
                ),
                "such a run is ranked by the Parzen window over its training rows, which answers the same question; --test \
                 is for runs of images, bits and levels",
            ));
        }
        let background = is_asked(TestKind::Ratio).then(|| -> Result<Model> {
            let training = finder.own(Split::Train)?.into_whole(true, finder.terminal)?;
            let config = background(event);
            finder.terminal.detail(format!(
                "log-probabilities under `{}` are taken off, counted over {} training rows",
                config.kind(),
                training.len()
            ));
            Model::fit(&config, event, &training).context("--test ratio: its background")
        });
        Ok(Self { background: background.transpose()?, complexity: is_asked(TestKind::Complexity) })
    }

    /// Nothing.
    #[cfg(feature = "serve")]
    pub(crate) fn none() -> Self {
        Self { background: None, complexity: false }
    }

    /// Whether there is anything.
    pub(crate) fn are_asked(&self) -> bool {
        self.background.is_some() || self.complexity
    }

    /// Which tests are run, with a calibration or without one.
    pub(crate) fn tests(&self, is_calibrated: bool) -> Tested<()> {
        Tested::of(|test| {
            let is_run = match test {
                Test::LowLikelihood | Test::Typicality => true,
                Test::Ratio => self.background.is_some(),
                Test::Complexity => self.complexity,
                Test::Any => self.are_asked() && is_calibrated,
            };
            is_run.then_some(())
        })
    }

    /// log p(x) − log p₀(x) and log p(x) + L(x) of each row, by its log p(x), in nats; NaN where nobody asked.
    pub(crate) fn measure(&self, examples: &dyn Examples, log_prob: &[f64]) -> Vec<[f64; 2]> {
        let mut out = vec![[f64::NAN; 2]; log_prob.len()];
        if let Some(background) = &self.background {
            let simple = log_probs(background, examples, |_| ());
            for ((out, own), simple) in out.iter_mut().zip(log_prob).zip(simple) {
                out[0] = no_nan(own - simple);
            }
        }
        if self.complexity && !out.is_empty() {
            let values = read_all(examples, 0);
            let rows = values.par_chunks(values.len() / out.len());
            out.par_iter_mut().zip(log_prob).zip(rows).for_each(|((out, own), row)| {
                out[1] = no_nan(own + compressed_nats(row));
            });
        }
        out
    }
}

/// The largest of a neighbourhood, a Markov chain and independent variables whose tables are no larger than [`CELLS`].
fn background(event: &EventSpec) -> ModelConfig {
    let (levels, pseudo_count) = (event.levels.unwrap_or(2), 1.0);
    let fits = |order: u32| {
        let of_variable = levels.checked_pow(order + 1);
        of_variable.and_then(|n| n.checked_mul(event.variables())).is_some_and(|n| n <= CELLS)
    };
    if event.shape.len() == 2 && fits(NEIGHBOURS.len() as u32) {
        return ModelConfig::Neighbourhood { offsets: NEIGHBOURS.to_vec(), pseudo_count };
    }
    match fits(1) {
        true => ModelConfig::Markov { order: 1, ordering: OrderingKind::Raster, pseudo_count },
        false => ModelConfig::Independent { pseudo_count },
    }
}

/// The length of a row under DEFLATE (RFC 1951) at its best, in nats.
fn compressed_nats(row: &[u8]) -> f64 {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let bytes = encoder.write_all(row).and_then(|()| encoder.finish());
    let bytes = bytes.expect("memory takes all that is written");
    8.0 * bytes.len() as f64 * std::f64::consts::LN_2
}

/// Normal rows, to rank others among.
pub(crate) struct Normal {
    pub(crate) score: Calibration,
    ratio: Option<Calibration>,
    complexity: Option<Calibration>,
    joint: Option<JointCalibration>,
}

impl Normal {
    /// # Errors
    /// When a score is impossible.
    pub(crate) fn of(rows: &[Measures], tests: &Tested<()>) -> Result<Self> {
        let impossible = "the calibration set has an impossible score";
        let each = |f: fn(&Measures) -> f64| -> Result<Calibration> {
            Calibration::new(rows.iter().map(f).collect()).context(impossible)
        };
        let run = |test: Test, f: fn(&Measures) -> f64| tests.get(test).map(|()| each(f));
        let joint = tests.get(Test::Any).map(|()| {
            let kinds = 1 + [Test::Ratio, Test::Complexity]
                .into_iter()
                .filter(|&test| tests.get(test).is_some())
                .count();
            JointCalibration::new(kinds, rows.iter().flat_map(|row| row.joint()).collect())
        });
        Ok(Self {
            score: each(|row| row.score)?,
            ratio: run(Test::Ratio, |row| row.ratio).transpose()?,
            complexity: run(Test::Complexity, |row| row.complexity).transpose()?,
            joint: joint.transpose().context(impossible)?,
        })
    }

    /// The p-value of a row by each test.
    pub(crate) fn p(&self, row: Measures) -> Tested<f64> {
        Tested::of(|test| match test {
            Test::LowLikelihood => Some(self.score.low_likelihood(row.score)),
            Test::Typicality => Some(self.score.typicality(row.score)),
            Test::Ratio => Some(self.ratio.as_ref()?.low_likelihood(row.ratio)),
            Test::Complexity => Some(self.complexity.as_ref()?.low_likelihood(row.complexity)),
            Test::Any => Some(self.joint.as_ref()?.p(&row.joint().collect::<Vec<_>>())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_is_the_largest_that_stays_small() {
        let name =
            |shape: Vec<usize>, levels| background(&EventSpec::symbols(shape, levels)).kind();
        assert_eq!(name(vec![28, 28], 2), "neighbourhood");
        assert_eq!(name(vec![28, 28], 17), "markov");
        assert_eq!(name(vec![28, 28], 256), "independent");
        assert_eq!(name(vec![3, 32, 32], 2), "markov");
        assert_eq!(name(vec![20], 2), "markov");
    }

    #[test]
    fn what_repeats_is_short() {
        let noise: Vec<u8> =
            (0..784_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 17) as u8).collect();
        assert!(compressed_nats(&[0; 784]) < 0.05 * compressed_nats(&noise));
        assert_eq!(compressed_nats(&noise), compressed_nats(&noise));
    }
}
