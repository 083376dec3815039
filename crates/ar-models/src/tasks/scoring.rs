//! The negative log-likelihood of a set of examples.
//!
//! ```text
//! nll = −(1/N) Σ_n log p(x_n)   nats per example;    bits/dim = nll / (D ln 2)
//! stderr = s / √N,   s the sample standard deviation of −log p(x_n)
//! ```

use std::convert::Infallible;

use prob_core::logspace::log_mean_exp;
use prob_core::units::Nats;

use crate::foundation::examples::{self, Examples, Values, all_labels};
use crate::kinds::window::KernelWindow;
use crate::model::Model;

/// What a set of examples costs under a model.
///
/// Of a model with classes and a set with labels there is more to say: see [`Labelled`].
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Number of examples.
    pub examples: usize,
    /// Variables of an example.
    pub variables: usize,
    /// Mean of −log p(x), in nats per example; `inf` if an example is outside the support.
    pub nll_nats: f64,
    /// Standard error of that mean; NaN for fewer than two examples.
    pub nll_nats_stderr: f64,
}

impl Score {
    /// From −log p(x) of each example.
    pub fn of(nll_nats: &[f64], variables: usize) -> Self {
        let n = nll_nats.len() as f64;
        let mean = nll_nats.iter().sum::<f64>() / n;
        let squares: f64 = nll_nats.iter().map(|nll| (nll - mean).powi(2)).sum();
        Self {
            examples: nll_nats.len(),
            variables,
            nll_nats: mean,
            nll_nats_stderr: (squares / (n - 1.0) / n).sqrt(),
        }
    }

    /// Bits per variable.
    pub fn bits_per_dim(&self) -> f64 {
        Nats(self.nll_nats).bits_per_dim(self.variables).0
    }
}

/// What labels say about a set under a model with classes.
///
/// ```text
/// given:      −(1/N) Σ_n log p(x_n | y_n)
/// accuracy:   (1/N) Σ_n [y_n = argmax_y p(y | x_n)],   p(y | x) ∝ p(x | y)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The cost given the label.
    pub given: Score,
    /// The fraction of examples whose label is the likeliest one; the first of several.
    pub accuracy: f64,
}

/// The labels of a set, where a model with classes can be given all of them.
pub fn usable_labels(model: &Model, examples: &dyn Examples) -> Option<Vec<u8>> {
    let classes = model.classes()?;
    let labels = all_labels(examples)?;
    labels.iter().all(|&label| usize::from(label) < classes).then_some(labels)
}

/// [`evaluate`], and what the labels say where there are any that the model can be given.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn evaluate_labelled(
    model: &Model,
    examples: &dyn Examples,
    progress: impl FnMut(usize),
) -> (Score, Option<Labelled>) {
    let (nll, labelled) = nll_labelled(model, examples, progress);
    (Score::of(&nll, model.variables()), labelled)
}

/// −log p of each example in nats, in order, and what the labels say where there are any that the model can be given.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn nll_labelled(
    model: &Model,
    examples: &dyn Examples,
    mut progress: impl FnMut(usize),
) -> (Vec<f64>, Option<Labelled>) {
    let Some(classes) = model.classes() else {
        let nll = log_probs(model, examples, progress).into_iter().map(|log_prob| -log_prob);
        return (nll.collect(), None);
    };
    let labels = usable_labels(model, examples);
    let (mut nll, mut nll_given, mut right) = (Vec::new(), Vec::new(), 0_usize);
    for_chunks(model, examples, |values| {
        for row in model.log_prob_per_class(values).chunks_exact(classes) {
            if let Some(labels) = &labels {
                let label = usize::from(labels[nll.len()]);
                nll_given.push(-row[label]);
                let likeliest = (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
                right += usize::from(likeliest == Some(label));
            }
            nll.push(-log_mean_exp(row));
        }
        progress(nll.len());
    });
    let labelled = labels.map(|labels| Labelled {
        given: Score::of(&nll_given, model.variables()),
        accuracy: right as f64 / labels.len() as f64,
    });
    (nll, labelled)
}

/// The score of a set given its labels, `[examples]`.
///
/// # Panics
/// When the model has no classes, a label is not below them, or the examples are not of the model's
/// number and kind of variables.
pub fn evaluate_given(
    model: &Model,
    examples: &dyn Examples,
    labels: &[u8],
    mut progress: impl FnMut(usize),
) -> Score {
    let mut nll = Vec::with_capacity(labels.len());
    for_chunks(model, examples, |values| {
        let labels = &labels[nll.len()..][..values.len() / examples.variables()];
        nll.extend(model.log_prob_given(values, labels).into_iter().map(|log_prob| -log_prob));
        progress(nll.len());
    });
    Score::of(&nll, model.variables())
}

/// log p of each example, in order; `progress` hears how many are done.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn log_probs(
    model: &Model,
    examples: &dyn Examples,
    mut progress: impl FnMut(usize),
) -> Vec<f64> {
    let mut out = Vec::with_capacity(examples.len());
    for_chunks(model, examples, |values| {
        out.extend(model.log_prob(values));
        progress(out.len());
    });
    out
}

/// What rows are ranked by: [`KernelWindow::log_prob_fast`] of each, in order.
///
/// # Panics
/// When the examples are not of the window's number of variables.
pub fn ranks(window: &KernelWindow, examples: &dyn Examples) -> Vec<f64> {
    let mut out = Vec::with_capacity(examples.len());
    let each = examples::for_chunks(examples, 0, |_, values| {
        out.extend(window.log_prob_fast(values));
        Ok::<(), Infallible>(())
    });
    each.unwrap_or_else(|never| match never {});
    out
}

/// The score of a set.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn evaluate(model: &Model, examples: &dyn Examples, progress: impl FnMut(usize)) -> Score {
    let nll: Vec<f64> = log_probs(model, examples, progress).into_iter().map(|lp| -lp).collect();
    Score::of(&nll, model.variables())
}

/// Mean cost in nats of each variable over a set, in event order: −E[log p(x_i | those before it)].
/// The costs sum to `nll_nats`; those of an ensemble over orderings are of its first ordering.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn cost_per_variable(
    model: &Model,
    examples: &dyn Examples,
    mut progress: impl FnMut(usize),
) -> Vec<f64> {
    let variables = model.variables();
    let mut sums = vec![0.0; variables];
    let mut done = 0;
    for_costs(model, examples, |costs| {
        for row in costs.chunks_exact(variables) {
            for (sum, cost) in sums.iter_mut().zip(row) {
                *sum += cost;
            }
            done += 1;
        }
        progress(done);
    });
    sums.into_iter().map(|sum| sum / done as f64).collect()
}

/// Hands on the cost in nats of each variable of each example, −log p(x_i | those before it), some
/// examples at a time and in order: `[examples, variables]` in event order. A row sums to −log p(x); of an
/// ensemble over orderings it is that of the first ordering.
///
/// # Panics
/// When the examples are not of the model's number and kind of variables.
pub fn for_costs(model: &Model, examples: &dyn Examples, mut f: impl FnMut(&[f64])) {
    for_chunks(model, examples, |values| {
        let mut costs = model.log_prob_per_variable(values);
        // Not negated: what is certain costs 0, not −0.
        costs.iter_mut().for_each(|cost| *cost = 0.0 - *cost);
        f(&costs);
    });
}

/// Calls `f` with the values of some examples after the other, which `model` is to evaluate.
///
/// # Panics
/// When they are not events of the model.
#[track_caller]
pub(crate) fn for_chunks(model: &Model, examples: &dyn Examples, mut f: impl FnMut(Values<'_>)) {
    let (found, expected) = (examples.variables(), model.variables());
    assert_eq!(found, expected, "a set of rows of {found} variables, the model has {expected}");
    let each = examples::for_chunks(examples, 0, |_, values| {
        f(values);
        Ok::<(), Infallible>(())
    });
    each.unwrap_or_else(|never| match never {});
}

#[cfg(test)]
mod tests {
    use prob_core::joint::Uniform;

    use super::*;
    use crate::foundation::examples::InMemory;

    #[test]
    #[should_panic(expected = "a set of rows of 4 variables, the model has 5")]
    fn rows_of_another_size_are_refused() {
        // Twenty values are four rows of five as well as five of four.
        let model = Model::Uniform(Uniform::new(5, 2).unwrap());
        evaluate(&model, &InMemory::new(vec![0; 20], 4), |_| ());
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let score = Score::of(&[1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!(score.nll_nats, 2.5);
        // s² = 5/3, s²/4 = 5/12
        assert!((score.nll_nats_stderr - (5.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert!((score.bits_per_dim() - 2.5 / 2.0 / 2.0_f64.ln()).abs() < 1e-15);
        assert!(Score::of(&[1.0], 2).nll_nats_stderr.is_nan());
    }
}
