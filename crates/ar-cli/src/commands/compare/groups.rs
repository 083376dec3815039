//! Which runs compare, and by how much they differ.
//!
//! Two runs of the same rows find the same rows hard, so the error of the difference of their means is mostly far
//! smaller than both errors say: it is that of the mean of the differences, row by row.
//!
//! ```text
//! d_n = −log p_a(x_n) + log p_b(x_n),   difference = mean of d,   stderr = s / √N,   s the standard deviation of d
//! ```

use ar_models::columns::Column;
use ar_models::config::EventSpec;
use ar_models::examples::Values;
use ar_models::scoring::Score;
use sha2::{Digest as _, Sha256};

use super::super::report::Part;
use super::page::Shown;
use super::published::Cost;
use crate::config::Paper;

/// Rows, and what a model takes them for: a mass and a density are not of the same thing.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// What they are called.
    pub(super) name: String,
    /// How many.
    pub(super) examples: usize,
    shape: Vec<usize>,
    levels: Option<usize>,
    columns: Option<Vec<Column>>,
    values: String,
    /// Digest of the values.
    digest: [u8; 32],
}

impl Rows {
    /// Those that are evaluated.
    pub(super) fn of(name: String, event: &EventSpec, part: &Part) -> Self {
        let mut hash = Sha256::new();
        match part.values() {
            Values::Symbols(values) => hash.update(values),
            Values::Reals(values) => {
                values.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes()))
            }
        }
        Self {
            name,
            examples: part.len(),
            shape: event.shape.clone(),
            levels: event.levels,
            columns: event.columns.clone(),
            values: event.values(),
            digest: hash.finalize().into(),
        }
    }

    pub(super) fn variables(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn levels(&self) -> Option<usize> {
        self.levels
    }

    /// What they are, for a heading.
    pub(super) fn heading(&self) -> String {
        format!("{}: {}", self.name, self.words(self.examples))
    }

    /// So many of them.
    pub(super) fn words(&self, examples: usize) -> String {
        let examples = match examples {
            1 => "1 example".to_owned(),
            _ => format!("{examples} examples"),
        };
        format!("{examples} of {} variables, {}", self.variables(), self.values)
    }

    /// Whether they may be another fold of the same data.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let of = |rows: &Self| (rows.name.clone(), rows.levels, rows.shape.clone());
        of(self) == of(other) && self.columns == other.columns
    }
}

/// Names do not matter.
impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        let of = |rows: &Self| (rows.examples, rows.levels, rows.digest);
        of(self) == of(other) && self.shape == other.shape && self.columns == other.columns
    }
}

/// Runs of the same rows.
pub(super) struct Group {
    pub(super) rows: Rows,
    /// In the order in which they were named; at least one.
    pub(super) members: Vec<Member>,
}

impl Group {
    /// The run of the lowest mean cost, if one is finite and there is another to be compared with it.
    pub(super) fn best(&self) -> Option<&Member> {
        let mean = |member: &Member| member.score.nll_nats;
        let finite = self.members.iter().filter(|member| mean(member).is_finite());
        finite.min_by(|a, b| mean(a).total_cmp(&mean(b))).filter(|_| self.members.len() > 1)
    }

    /// Each two runs.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Member, &Member)> {
        let after = |(i, a)| self.members[i + 1..].iter().map(move |b| (a, b));
        self.members.iter().enumerate().flat_map(after)
    }
}

/// A run on the rows of its group.
pub(super) struct Member {
    pub(super) run: String,
    /// What tables call it: the end of the path that tells it from the others.
    pub(super) label: String,
    pub(super) config: String,
    pub(super) model: String,
    pub(super) sees: String,
    pub(super) parameters: String,
    /// Which fold of how many its rows are, if each fold has rows of its own.
    pub(super) fold: Option<[usize; 2]>,
    /// Of all rows.
    pub(super) score: Score,
    /// −log p of each row.
    pub(super) nll_nats: Vec<f64>,
    /// What the mean is less in standardized units, in nats; only of real numbers.
    pub(super) log_scale: Option<f64>,
    /// Fraction of the labels that are right by Bayes' rule, where the run has noted it of these rows.
    pub(super) accuracy: Option<f64>,
    /// What is published of these rows.
    pub(super) paper: Option<Paper>,
    pub(super) train_seconds: Option<f64>,
    pub(super) seconds: f64,
    pub(super) accepted_changes: Vec<String>,
    /// What a page shows of it, where one is asked for.
    pub(super) shown: Option<Shown>,
}

impl Member {
    /// What the rows cost, in each unit.
    pub(super) fn cost(&self) -> Cost {
        let Score { variables, nll_nats, nll_nats_stderr, .. } = self.score;
        let standardized = self.log_scale.map(|scale| (nll_nats - scale, nll_nats_stderr));
        Cost { variables, nll_nats, nll_nats_stderr, standardized }
    }
}

/// How much more one run costs than another, of the same rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    /// Mean, nats per example; not finite where a row is impossible to one of them.
    pub(super) nats: f64,
    /// Its standard error; NaN for fewer than two rows.
    pub(super) stderr: f64,
}

impl Difference {
    pub(super) fn of(a: &Member, b: &Member) -> Self {
        let each: Vec<f64> = a.nll_nats.iter().zip(&b.nll_nats).map(|(a, b)| a - b).collect();
        let Score { nll_nats, nll_nats_stderr, .. } = Score::of(&each, 1);
        Self { nats: nll_nats, stderr: nll_nats_stderr }
    }

    /// The mean alone, or where that can be said with how many of its errors it is.
    pub(super) fn parts(self) -> (String, Option<String>) {
        let Self { nats, stderr } = self;
        match nats {
            // A row that is impossible to both says nothing.
            _ if nats.is_nan() => ("–".to_owned(), None),
            f64::INFINITY => ("∞".to_owned(), None),
            f64::NEG_INFINITY => ("−∞".to_owned(), None),
            _ if stderr > 0.0 => (signed(nats), Some(format!("{:.1} σ", nats.abs() / stderr))),
            0.0 => ("0".to_owned(), None),
            _ => (signed(nats), None),
        }
    }

    /// The mean, its error and how many of these it is, where that can be said.
    pub(super) fn words(self) -> String {
        match self.parts() {
            (mean, Some(sigmas)) => format!("{mean} ± {:.4} ({sigmas})", self.stderr),
            (mean, None) => mean,
        }
    }
}

/// With a sign, in typographic minus.
fn signed(nats: f64) -> String {
    format!("{nats:+.4}").replace('-', "−")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run of config `run` on rows of one variable.
    pub(in super::super) fn member(run: &str, nll_nats: &[f64]) -> Member {
        Member {
            run: run.to_owned(),
            label: run.to_owned(),
            config: run.to_owned(),
            model: String::new(),
            sees: String::new(),
            parameters: String::new(),
            fold: None,
            score: Score::of(nll_nats, 1),
            nll_nats: nll_nats.to_vec(),
            log_scale: None,
            accuracy: None,
            paper: None,
            train_seconds: None,
            seconds: 0.0,
            accepted_changes: Vec::new(),
            shown: None,
        }
    }

    #[test]
    fn what_both_find_hard_is_no_error_of_their_difference() {
        let (a, b) = (member("a", &[1.0, 50.0, 100.0]), member("b", &[0.5, 49.0, 99.5]));
        let difference = Difference::of(&a, &b);
        assert!((difference.nats - 2.0 / 3.0).abs() < 1e-12);
        // d = ½, 1, ½: s² = 1/12.
        assert!((difference.stderr - (1.0_f64 / 36.0).sqrt()).abs() < 1e-12);
        assert!(a.score.nll_nats_stderr > 100.0 * difference.stderr, "unlike that of either");
        assert_eq!(difference.words(), "+0.6667 ± 0.1667 (4.0 σ)");
        assert_eq!(Difference::of(&b, &a).words(), "−0.6667 ± 0.1667 (4.0 σ)");
        assert_eq!(Difference::of(&a, &a).words(), "0");
        let never = member("never", &[1.0, f64::INFINITY, 2.0]);
        assert_eq!(Difference::of(&never, &a).words(), "∞");
        assert_eq!(Difference::of(&a, &never).words(), "−∞");
        assert_eq!(Difference::of(&never, &never).words(), "–");
    }
}
