//! Sets scored row by row, and what is counted on the way.

use anyhow::Result;
use ar_models::examples::Examples;
use ar_models::model::Model;
use ar_models::scoring::{self, for_costs, log_probs};
use ar_models::window::KernelWindow;
use prob_core::units::Nats;

use super::super::{Session, finite};
use super::anomaly::{Extras, Measures, Normal, TESTS, Tested, no_nan};
use super::record::{BadRecord, Flagged, SetRecord};
use crate::args::BadRows;
use crate::data::sets::{Set, nothing_read};
use crate::error::{Internal, data_mistake};
use crate::output::grouped;
use crate::ranking::Ranking;

/// Bad rows that are shown of each set.
pub(super) const SHOWN: usize = 5;

/// A row and what is known of it.
pub(crate) struct Row<'a> {
    pub(crate) number: u64,
    /// None for a bad row.
    pub(crate) scores: Option<Scores<'a>>,
    /// Why there are none.
    pub(crate) error: &'a str,
}

#[derive(Clone, Copy)]
pub(crate) struct Scores<'a> {
    pub(crate) log_prob: f64,
    /// What rows are ranked by.
    pub(crate) measures: Measures,
    pub(crate) bits_per_dim: f64,
    pub(crate) p: Option<PValues>,
    /// Of each variable, where asked for.
    pub(crate) costs: &'a [f64],
}

#[derive(Clone, Copy)]
pub(crate) struct PValues {
    pub(crate) of: Tested<f64>,
    pub(crate) alpha: f64,
}

impl PValues {
    /// Which tests flag the row.
    pub(crate) fn flags(self) -> Tested<bool> {
        Tested(self.of.0.map(|p| p.map(|p| p <= self.alpha)))
    }
}

/// Scores sets, one after the other.
pub(crate) struct Scorer<'a> {
    pub(crate) model: &'a Model,
    /// What ranks rows in place of the model.
    pub(crate) window: Option<&'a KernelWindow>,
    /// What rows of a table are to the window.
    pub(crate) ranking: Option<&'a Ranking>,
    /// What is measured beside the score.
    pub(crate) extras: &'a Extras,
    pub(crate) session: &'a Session,
    pub(crate) bad_rows: BadRows,
    pub(crate) alpha: f64,
}

impl Scorer<'_> {
    /// Scores a set to its end and hands each row to `each`, in order, bad ones included.
    pub(crate) fn run(
        &self,
        set: &mut Set,
        normal: Option<&Normal>,
        need_costs: bool,
        mut each: impl FnMut(Row<'_>) -> Result<()>,
    ) -> Result<SetRecord> {
        let terminal = &self.session.terminal;
        let variables = self.model.variables();
        let bar = set.bar(terminal, format!("scoring {}", set.name));
        let mut tally = Tally::default();
        let mut ahead = set.next()?;
        while let Some(part) = ahead {
            let mut bad = part.bad.iter().peekable();
            let mut rows = part.rows;
            let rows_of_both = self.ranking.filter(|_| self.window.is_some());
            let rows_of_both =
                rows_of_both.map(|ranking| ranking.of_both(&part.examples, &part.others));
            let (examples, ranked): (&dyn Examples, &dyn Examples) = match &rows_of_both {
                Some((Some(own), ranked)) => (own, ranked),
                Some((None, ranked)) => (&part.examples, ranked),
                None => (&part.examples, &part.examples),
            };
            // The next rows are read while these are scored.
            let (mut scores, mut ranks, mut next_part) = (Vec::new(), Vec::new(), Ok(None));
            let mut extras = Vec::new();
            let rank = || match self.window {
                Some(window) => scoring::ranks(window, ranked),
                None => Vec::new(),
            };
            if set.is_streamed() {
                set.advance(&bar, 0);
                rayon::in_place_scope(|scope| {
                    scope.spawn(|_| {
                        scores = log_probs(self.model, examples, |_| ());
                        ranks = rank();
                        extras = self.extras.measure(examples, &scores);
                    });
                    next_part = set.next();
                });
            } else {
                scores = log_probs(self.model, examples, |done| set.advance(&bar, done));
                ranks = rank();
                extras = self.extras.measure(examples, &scores);
            }
            let (mut ranks, mut extras) = (ranks.into_iter(), extras.into_iter());
            // The good rows and the bad ones between them.
            let mut next = |score: Option<(f64, &[f64])>| -> Result<()> {
                for number in rows.by_ref() {
                    if let Some(bad) = bad.next_if(|bad| bad.row == number) {
                        if self.bad_rows == BadRows::Stop {
                            return Err(stop(&bad.error));
                        }
                        let error = bad.error.to_string();
                        tally.bad(number, &error, |line| bar.suspend(|| terminal.note(line)));
                        each(Row { number, scores: None, error: &error })?;
                        continue;
                    }
                    let Some((log_prob, costs)) = score else {
                        return Err(Internal("a row has neither a score nor an error").into());
                    };
                    let log_prob = no_nan(log_prob);
                    let score = ranks.next().map_or(log_prob, no_nan);
                    let [ratio, complexity] = extras.next().unwrap_or([f64::NAN; 2]);
                    let measures = Measures { score, ratio, complexity };
                    let p =
                        normal.map(|normal| PValues { of: normal.p(measures), alpha: self.alpha });
                    tally.good(log_prob, p);
                    let bits_per_dim = Nats(-log_prob).bits_per_dim(variables).0;
                    let scores = Some(Scores { log_prob, measures, bits_per_dim, p, costs });
                    return each(Row { number, scores, error: "" });
                }
                Ok(())
            };
            if need_costs {
                let (mut scores, mut result) = (scores.iter(), Ok(()));
                for_costs(self.model, examples, |costs| {
                    for (costs, &score) in costs.chunks_exact(variables).zip(scores.by_ref()) {
                        if result.is_ok() {
                            result = next(Some((score, costs)));
                        }
                    }
                });
                result?;
            } else {
                for score in scores {
                    next(Some((score, &[])))?;
                }
            }
            next(None)?;
            ahead = next_part?;
        }
        bar.finish_and_clear();
        // A share of few rows may have none.
        if tally.scored == 0 && !(tally.rows == 0 && set.is_shared()) {
            let first = tally.first_bad.first().map_or("there is none", |bad| &bad.error);
            return Err(nothing_read(&set.name, tally.rows, first));
        }
        if tally.bad > 0 {
            terminal.note(format!(
                "{}: {} of {} rows are bad{}",
                set.name,
                grouped(&tally.bad.to_string()),
                grouped(&tally.rows.to_string()),
                if tally.bad > SHOWN as u64 { ", the first of them above" } else { "" }
            ));
        }
        let tests = self.extras.tests(true);
        let named = Named { name: &set.name, split: set.split_name() };
        Ok(tally.record(&named, variables, normal.map(|_| (self.alpha, tests))))
    }
}

/// What is said of a set whose scores are known, and what its rows are ranked by.
pub(super) fn known(
    set: &Named<'_>,
    log_prob: &[f64],
    score: &[f64],
    variables: usize,
) -> (SetRecord, Vec<Measures>) {
    let mut tally = Tally::default();
    log_prob.iter().for_each(|&log_prob| tally.good(no_nan(log_prob), None));
    let [ratio, complexity] = [f64::NAN; 2];
    let measures = score.iter().map(|&x| Measures { score: no_nan(x), ratio, complexity });
    (tally.record(set, variables, None), measures.collect())
}

/// What records call a set.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) split: String,
}

/// The error that a bad row stops with.
pub(super) fn stop(error: &ar_data::Error) -> anyhow::Error {
    let hint = error.hint().unwrap_or_else(|| {
        "mend the row, or go on after such rows with --bad-rows report".to_owned()
    });
    data_mistake(error, hint)
}

/// What is counted on the way through a set.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) bad: u64,
    pub(super) first_bad: Vec<BadRecord>,
    pub(super) scored: u64,
    pub(super) outside: u64,
    pub(super) sum: f64,
    /// Mean and sum of squared deviations so far: B. Welford, Technometrics 4, 1962.
    pub(super) mean: f64,
    pub(super) squares: f64,
    pub(super) flagged: [u64; TESTS],
}

impl Tally {
    fn bad(&mut self, number: u64, error: &str, say: impl FnOnce(String)) {
        self.rows += 1;
        self.bad += 1;
        if self.first_bad.len() < SHOWN {
            say(format!("bad row {number}: {error}"));
            self.first_bad.push(BadRecord { row: number, error: error.to_owned() });
        }
    }

    fn good(&mut self, log_prob: f64, p: Option<PValues>) {
        self.rows += 1;
        self.scored += 1;
        self.outside += u64::from(log_prob == f64::NEG_INFINITY);
        self.sum -= log_prob;
        let deviation = -log_prob - self.mean;
        self.mean += deviation / self.scored as f64;
        self.squares += deviation * (-log_prob - self.mean);
        for (test, flag) in p.iter().flat_map(|p| p.flags().iter()) {
            self.flagged[test as usize] += u64::from(flag);
        }
    }

    fn record(
        self,
        set: &Named<'_>,
        variables: usize,
        tested: Option<(f64, Tested<()>)>,
    ) -> SetRecord {
        let n = self.scored as f64;
        let nll_nats = self.sum / n;
        SetRecord {
            name: set.name.to_owned(),
            split: set.split.clone(),
            rows: self.rows,
            bad_rows: self.bad,
            first_bad_rows: self.first_bad,
            outside_support: self.outside,
            nll_nats: finite(nll_nats),
            nll_nats_stderr: finite((self.squares / (n - 1.0) / n).sqrt()),
            bits_per_dim: finite(Nats(nll_nats).bits_per_dim(variables).0),
            flagged: tested.map(|(alpha, tests)| {
                let count = |test| tests.get(test).map(|()| self.flagged[test as usize]);
                Flagged { alpha, rows: self.scored, counts: Tested::of(count) }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_mean_is_that_of_all() {
        let mut tally = Tally::default();
        [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|nll: f64| tally.good(-nll, None));
        let variance = tally.squares / 3.0;
        assert!((tally.mean - 2.5).abs() < 1e-15 && (variance - 5.0 / 3.0).abs() < 1e-15);
    }
}
