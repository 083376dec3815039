//! The one walk over t that everything done with a trained model is made of.
//!
//! ```text
//! for t in 0..n:   x_t = chooser(p(x_t | x_<t))
//! ```
//!
//! Only the chooser differs: dice (generation), what is observed and dice for the rest (completion), or
//! an entropy coder ([`crate::tasks::codec`]). A model overrides a walk only where it is faster, and a law checks
//! that the fast walk draws the same values from the same uniforms.
//!
//! A walk that keeps what is observed draws each variable given those before it, not given observed ones
//! behind it. [`monte_carlo`] repairs that with many walks at a time, of which those go on that make what is
//! observed likely.
//!
//! # References
//! Sequential Monte Carlo: Doucet and Johansen, *A Tutorial on Particle Filtering and Smoothing: Fifteen
//! years later*, 2009, Algorithm of Section 3.5 (resampling where the effective sample size is low);
//! systematic resampling: Kitagawa, *Monte Carlo Filter and Smoother*, 1996. That the estimate of
//! p(observed) is unbiased: Del Moral, *Feynman-Kac Formulae*, 2004, Section 7.4.2.

use burn::tensor::{Device, Tensor};
use prob_core::logspace::{log_mean_exp, logsumexp};
use prob_core::{Autoregressive, Density, Sample, uniform};
use rand::Rng;

use super::neural::{HostOf, Neural};
use super::tensors::{device_of, host_f64};
use super::value::ValueKind;
use super::walker::steps;
pub use crate::parts::walker::{Choose, Walker};

/// Draws what is not observed, in the order of the walk, for `observed.len() / variables` events.
///
/// A variable is drawn from p(x_t | x_<t): given everything before it in the ordering, observed or
/// drawn, but nothing after it. So what this draws from is p(missing | observed) exactly when the
/// observed variables are a prefix of the ordering.
///
/// Uniforms are consumed position by position and row by row, for observed variables too (and then
/// ignored), so that the same seed draws the same values whatever else is observed.
///
/// # Shapes
/// `observed` and the result are `[n, variables]` in event order.
///
/// # Panics
/// When `observed` is not whole rows.
pub fn complete<M: Neural>(
    model: &M,
    observed: &[Option<HostOf<M>>],
    rng: &mut dyn Rng,
) -> Vec<HostOf<M>> {
    let ordering = model.ordering().as_slice();
    walk::<M, M::Kind>(model, ordering, observed, &device_of(model), rng)
}

/// [`complete`] for any autoregressive model over values of a kind.
pub fn walk<M, K>(
    model: &M,
    ordering: &[usize],
    observed: &[Option<K::Host>],
    device: &Device,
    rng: &mut dyn Rng,
) -> Vec<K::Host>
where
    K: ValueKind,
    M: Autoregressive,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let variables = ordering.len();
    assert!(variables > 0 && observed.len().is_multiple_of(variables), "whole rows");
    let n = observed.len() / variables;
    let mut x = vec![K::Host::default(); n * variables];
    if n == 0 {
        return x;
    }
    steps(model, n, |t, conditional| {
        let i = ordering[t];
        let mut x_t = K::to_host(conditional.sample(n, rng));
        for (row, value) in x_t.iter_mut().enumerate() {
            if let Some(known) = observed[row * variables + i] {
                *value = known;
            }
            x[row * variables + i] = *value;
        }
        K::to_device(&x_t, 1, device).reshape([n])
    });
    x
}

/// What [`monte_carlo`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Completions<V = u8> {
    /// Draws that tend to p(missing | observed) as the particles grow in number, `[n, samples, variables]` in
    /// event order.
    pub values: Vec<V>,
    /// Logarithm of an unbiased estimate of p(observed) of each event, `[n]`, in nats; `-inf` where no particle
    /// could meet what is observed, whose `values` then are those of the plain walk. The logarithm itself is
    /// low on average, the less so the more particles.
    pub log_prob_observed: Vec<f64>,
}

/// Draws what is not observed from p(missing | observed), whatever the mask, by sequential Monte Carlo.
///
/// ```text
/// for t in 0..D, for each of N particles j:
///     x_t observed:   w_j ← w_j · p(x_t | x_<t of j)
///     x_t missing:    x_t of j ~ p(x_t | x_<t of j)
///     where (Σ_j w_j)² / Σ_j w_j² < N / 2:   particles ← N draws among them by w;   w ← 1
/// p(observed) ≈ the product of the means of w before each resampling and at the end
/// ```
///
/// `samples` draws among the last particles by their weights are the completions of an event. They share
/// ancestors, so they are less different than independent draws.
///
/// Uniforms: one per position and particle, row by row, where anything is missing there; then one per event
/// that is resampled; at the end one per event.
///
/// # Shapes
/// `observed` is `[n, variables]` in event order; `start` makes a state of so many walks.
///
/// # Panics
/// When `observed` is not whole rows, or there are no particles.
pub fn monte_carlo<M, K>(
    model: &M,
    start: impl FnOnce(usize) -> M::State,
    ordering: &[usize],
    observed: &[Option<K::Host>],
    (particles, samples): (usize, usize),
    device: &Device,
    rng: &mut dyn Rng,
) -> Completions<K::Host>
where
    K: ValueKind,
    M: Autoregressive,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let mut walks = Particles::new(ordering, observed, particles);
    let n = walks.log_weights.len();
    if n == 0 {
        return walks.completions(samples, rng);
    }
    let mut state = start(n);
    for t in 0..ordering.len() {
        let conditional = model.conditional(&state);
        let mut x_t = match walks.draws_at(t) {
            true => K::to_host(conditional.sample(n, rng)),
            false => vec![K::Host::default(); n],
        };
        for (walk, value) in x_t.iter_mut().enumerate() {
            *value = walks.known(t, walk).unwrap_or(*value);
            walks.set(t, walk, *value);
        }
        let x_t = K::to_device(&x_t, 1, device).reshape([n]);
        if walks.weighs_at(t) {
            for (walk, log_prob) in
                host_f64(conditional.log_prob(x_t.clone())).into_iter().enumerate()
            {
                walks.weigh(t, walk, log_prob);
            }
        }
        model.advance(&mut state, x_t);
        if let Some(ancestors) = walks.resample(t, rng) {
            state = model.select(&state, &ancestors);
        }
    }
    walks.completions(samples, rng)
}

/// The walks of [`monte_carlo`]: their values so far, their weights, and who of them goes on.
pub(crate) struct Particles<'a, V> {
    ordering: &'a [usize],
    /// `[n, variables]` in event order.
    observed: &'a [Option<V>],
    /// Of each event.
    particles: usize,
    /// `[n · particles, variables]` in event order.
    x: Vec<V>,
    log_weights: Vec<f64>,
    log_prob_observed: Vec<f64>,
}

impl<'a, V: Copy + Default> Particles<'a, V> {
    /// # Panics
    /// When `observed` is not whole rows, or there are no particles.
    pub(crate) fn new(ordering: &'a [usize], observed: &'a [Option<V>], particles: usize) -> Self {
        let variables = ordering.len();
        assert!(variables > 0 && observed.len().is_multiple_of(variables), "whole rows");
        assert!(particles > 0, "0 particles, expected at least 1");
        let n = observed.len() / variables;
        Self {
            ordering,
            observed,
            particles,
            x: vec![V::default(); n * particles * variables],
            log_weights: vec![0.0; n * particles],
            log_prob_observed: vec![0.0; n],
        }
    }

    /// How many there are, of all events.
    pub(crate) fn len(&self) -> usize {
        self.log_weights.len()
    }

    /// What is observed at position t of a walk's event.
    pub(crate) fn known(&self, t: usize, walk: usize) -> Option<V> {
        self.observed[walk / self.particles * self.ordering.len() + self.ordering[t]]
    }

    fn are_known_at(&self, t: usize) -> impl Iterator<Item = bool> {
        (0..self.len()).step_by(self.particles).map(move |walk| self.known(t, walk).is_some())
    }

    /// Whether anything is to be drawn at position t.
    pub(crate) fn draws_at(&self, t: usize) -> bool {
        self.are_known_at(t).any(|is_known| !is_known)
    }

    /// Whether anything is observed at position t.
    pub(crate) fn weighs_at(&self, t: usize) -> bool {
        self.are_known_at(t).any(|is_known| is_known)
    }

    /// Notes the value of position t of a walk.
    pub(crate) fn set(&mut self, t: usize, walk: usize, value: V) {
        self.x[walk * self.ordering.len() + self.ordering[t]] = value;
    }

    /// Weighs a walk by log p(x_t | x_<t), if x_t is observed.
    pub(crate) fn weigh(&mut self, t: usize, walk: usize, log_prob: f64) {
        if self.known(t, walk).is_some() {
            self.log_weights[walk] += log_prob;
        }
    }

    /// After position t: whose walk each goes on with, where some are few whose weights count.
    pub(crate) fn resample(&mut self, t: usize, rng: &mut dyn Rng) -> Option<Vec<usize>> {
        let (particles, variables) = (self.particles, self.ordering.len());
        if t + 1 == variables {
            return None;
        }
        let mut ancestors: Vec<usize> = (0..self.len()).collect();
        for (event, weights) in self.log_weights.chunks_exact_mut(particles).enumerate() {
            if effective(weights) >= particles as f64 / 2.0 {
                continue;
            }
            let own = event * particles..(event + 1) * particles;
            let chosen = systematic(weights, particles, uniform(rng));
            for (ancestor, chosen) in ancestors[own].iter_mut().zip(chosen) {
                *ancestor = event * particles + chosen;
            }
            self.log_prob_observed[event] += log_mean_exp(weights);
            weights.fill(0.0);
        }
        if ancestors.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let row = |&walk: &usize| &self.x[walk * variables..(walk + 1) * variables];
        self.x = ancestors.iter().flat_map(row).copied().collect();
        Some(ancestors)
    }

    /// `samples` of the walks of each event, by their weights, and what is found to be the cost of what is observed.
    pub(crate) fn completions(mut self, samples: usize, rng: &mut dyn Rng) -> Completions<V> {
        let (particles, variables) = (self.particles, self.ordering.len());
        let mut values = Vec::with_capacity(self.log_prob_observed.len() * samples * variables);
        for (event, weights) in self.log_weights.chunks_exact(particles).enumerate() {
            self.log_prob_observed[event] += log_mean_exp(weights);
            for chosen in systematic(weights, samples, uniform(rng)) {
                let walk = event * particles + chosen;
                values.extend_from_slice(&self.x[walk * variables..(walk + 1) * variables]);
            }
        }
        Completions { values, log_prob_observed: self.log_prob_observed }
    }
}

/// The effective sample size (Σ w)² / Σ w², 0 where all weights are.
pub(crate) fn effective(log_weights: &[f64]) -> f64 {
    let squares: Vec<f64> = log_weights.iter().map(|weight| 2.0 * weight).collect();
    let log_size = 2.0 * logsumexp(log_weights) - logsumexp(&squares);
    if log_size.is_nan() { 0.0 } else { log_size.exp() }
}

/// `count` indices in ascending order, index j on average `count · w_j / Σ w` times, by one uniform; any of
/// them alike where all weights are 0.
pub(crate) fn systematic(log_weights: &[f64], count: usize, uniform: f64) -> Vec<usize> {
    let total = logsumexp(log_weights);
    let weight = |j: usize| {
        if total == f64::NEG_INFINITY {
            1.0 / log_weights.len() as f64
        } else {
            (log_weights[j] - total).exp()
        }
    };
    let last = (0..log_weights.len()).rev().find(|&j| weight(j) > 0.0).unwrap_or(0);
    let (mut j, mut below) = (0, weight(0));
    let of = |k: usize| {
        // Rounding may leave the sum of all below the highest point.
        while below <= (k as f64 + uniform) / count as f64 && j < last {
            j += 1;
            below += weight(j);
        }
        j
    };
    (0..count).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systematic_resampling_draws_each_index_as_often_as_it_should_within_one() {
        let weights = [0.1_f64, 0.0, 0.45, 0.05, 0.4];
        let log_weights = weights.map(|weight| weight.ln() - 700.0);
        for uniform in [0.0, 0.3, 0.999_999] {
            let chosen = systematic(&log_weights, 40, uniform);
            for (j, weight) in weights.iter().enumerate() {
                let count = chosen.iter().filter(|&&chosen| chosen == j).count() as f64;
                assert!((count - 40.0 * weight).abs() < 1.0 + 1e-9, "{j}: {count}, {uniform}");
            }
            assert!(!chosen.contains(&1));
        }
        assert_eq!(systematic(&[f64::NEG_INFINITY; 4], 4, 0.5), [0, 1, 2, 3]);
        assert_eq!(systematic(&[f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY], 2, 0.9), [1, 1]);
    }

    #[test]
    fn the_effective_sample_size_is_between_one_and_all() {
        assert!((effective(&[-800.0; 8]) - 8.0).abs() < 1e-9);
        assert!((effective(&[0.0, f64::NEG_INFINITY]) - 1.0).abs() < 1e-12);
        assert_eq!(effective(&[f64::NEG_INFINITY; 3]), 0.0);
    }
}
