//! Multinomial logistic regression.
//!
//! ```text
//! f(W, b) = −1/N Σ_n log p_n(y_n) + λ/2 ‖W‖²,   p_n = softmax(Wᵀ x_n + b)
//! ∂f/∂W = 1/N Σ_n x_n (p_n − e(y_n))ᵀ + λ W,    ∂f/∂b = 1/N Σ_n (p_n − e(y_n))
//! ```
//!
//! Products over the vectors run on the device, everything else in f64 on the host.

use burn::tensor::{Tensor, TensorData};
use prob_core::logspace::logsumexp;

use super::lbfgs::minimise;
use super::vectors::{Vectors, host};

/// The most steps of the linear probe's fit for one penalty, and the largest slope of the objective
/// along any weight at which it ends sooner.
pub const LINEAR_STEPS: usize = 200;
/// See [`LINEAR_STEPS`].
pub const LINEAR_TOLERANCE: f64 = 1e-4;

/// W and b.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    classes: usize,
    /// W, `[dim, classes]`, then b, `[classes]`.
    values: Vec<f64>,
}

impl Weights {
    /// Of no effect, for labels as in a training set.
    pub(super) fn zeros(train: &Vectors) -> Self {
        let classes = 1 + train.labels.iter().map(|&label| usize::from(label)).max().unwrap_or(0);
        Self { classes, values: vec![0.0; (train.dim + 1) * classes] }
    }
}

/// The weights at which the objective is least, searched from `start` on.
pub(super) fn fit(train: &Vectors, penalty: f64, start: Weights) -> Weights {
    let Weights { classes, values } = start;
    let f = |values: &[f64]| objective(train, penalty, classes, values);
    Weights { classes, values: minimise(f, values, LINEAR_STEPS, LINEAR_TOLERANCE) }
}

/// The likeliest label of each vector.
pub(super) fn predict(set: &Vectors, weights: &Weights) -> Vec<u8> {
    let Weights { classes, values } = weights;
    let logits = set.chunks.iter().map(|x| logits(x, *classes, values));
    let logits: Vec<f64> = logits.flatten().collect();
    let likeliest = |row: &[f64]| (0..*classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
    // Labels are u8, so there are at most 256 classes.
    logits.chunks_exact(*classes).map(|row| likeliest(row).unwrap_or(0) as u8).collect()
}

/// Wᵀ x + b for a chunk, `[chunk, classes]`.
fn logits(x: &Tensor<2>, classes: usize, values: &[f64]) -> Vec<f64> {
    let (w, b) = values.split_at(values.len() - classes);
    let w: Vec<f32> = w.iter().map(|&w| w as f32).collect();
    let dim = w.len() / classes;
    let w = Tensor::from_data(TensorData::new(w, [dim, classes]), &x.device());
    let products = host(x.clone().matmul(w));
    let rows = products.chunks_exact(classes);
    rows.flat_map(|row| row.iter().zip(b).map(|(&product, b)| f64::from(product) + b)).collect()
}

/// f and its gradient, in the order of [`Weights::values`].
fn objective(train: &Vectors, penalty: f64, classes: usize, values: &[f64]) -> (f64, Vec<f64>) {
    let n = train.labels.len() as f64;
    let w = values.len() - classes;
    let mut value = 0.0;
    let mut gradient = vec![0.0; values.len()];
    let mut labels = train.labels.iter();
    for x in &train.chunks {
        let mut slopes = logits(x, classes, values);
        for row in slopes.chunks_exact_mut(classes) {
            let label = usize::from(*labels.next().expect("one label per vector"));
            let sum = logsumexp(row);
            value += sum - row[label];
            row.iter_mut().for_each(|logit| *logit = (*logit - sum).exp());
            row[label] -= 1.0;
            for (gradient, slope) in gradient[w..].iter_mut().zip(row) {
                *gradient += *slope;
            }
        }
        let rows = slopes.len() / classes;
        let slopes: Vec<f32> = slopes.into_iter().map(|slope| slope as f32).collect();
        let slopes = Tensor::from_data(TensorData::new(slopes, [rows, classes]), &x.device());
        let products = host(x.clone().transpose().matmul(slopes)); // [dim, classes]
        for (gradient, product) in gradient.iter_mut().zip(products) {
            *gradient += f64::from(product);
        }
    }
    value /= n;
    gradient.iter_mut().for_each(|gradient| *gradient /= n);
    for (gradient, &weight) in gradient[..w].iter_mut().zip(values) {
        value += penalty / 2.0 * weight * weight;
        *gradient += penalty * weight;
    }
    (value, gradient)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::super::tests::corners;
    use super::super::vectors::{CHUNK, Labelled};
    use super::*;

    fn vectors(set: &Labelled) -> Vectors {
        Vectors::new(set, &Device::default())
    }

    /// The formula above, value by value in f64.
    fn by_hand(set: &Labelled, penalty: f64, classes: usize, values: &[f64]) -> f64 {
        let (w, b) = values.split_at(values.len() - classes);
        let mut sum = 0.0;
        for (x, &label) in set.values.chunks_exact(set.dim()).zip(&set.labels) {
            let logit = |y: usize| {
                b[y] + x
                    .iter()
                    .enumerate()
                    .map(|(i, &x)| f64::from(x) * w[i * classes + y])
                    .sum::<f64>()
            };
            let total: f64 = (0..classes).map(|y| logit(y).exp()).sum();
            sum -= (logit(label.into()).exp() / total).ln();
        }
        let squares: f64 = w.iter().map(|w| w * w).sum();
        sum / set.count() as f64 + penalty / 2.0 * squares
    }

    #[test]
    fn the_objective_is_the_formula_and_its_gradient_the_slope() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let set = corners(CHUNK + 11, 1.0, &mut rng);
        let values: Vec<f64> = (0..12).map(|_| rng.random::<f64>() - 0.5).collect();
        let (value, gradient) = objective(&vectors(&set), 0.3, 3, &values);
        assert!((value - by_hand(&set, 0.3, 3, &values)).abs() < 1e-5, "{value}");
        for i in 0..12 {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[i] += by;
                by_hand(&set, 0.3, 3, &values)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient[i] - slope).abs() < 1e-5, "{i}: {} and {slope}", gradient[i]);
        }
        // A gradient without the penalty's part is not the slope.
        let unpenalised = objective(&vectors(&set), 0.0, 3, &values).1;
        assert!((unpenalised[0] - gradient[0]).abs() > 1e-3);
    }

    #[test]
    fn the_fit_is_the_one_point_where_nothing_slopes() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let set = corners(500, 2.0, &mut rng);
        let (vectors, penalty) = (vectors(&set), 0.1);
        let found = fit(&vectors, penalty, Weights::zeros(&vectors));
        let (value, gradient) = objective(&vectors, penalty, 3, &found.values);
        assert!(gradient.iter().all(|slope| slope.abs() <= LINEAR_TOLERANCE), "{gradient:?}");
        // From elsewhere the same point, but for what no penalty holds: a common shift of all b.
        let start = (0..12).map(|_| 4.0 * rng.random::<f64>() - 2.0).collect();
        let again = fit(&vectors, penalty, Weights { classes: 3, values: start });
        for (a, b) in found.values[..9].iter().zip(&again.values) {
            assert!((a - b).abs() < 0.01, "{a} {b}");
        }
        // Nowhere around is it lower.
        for _ in 0..50 {
            let near: Vec<f64> =
                found.values.iter().map(|w| w + 0.1 * (rng.random::<f64>() - 0.5)).collect();
            assert!(objective(&vectors, penalty, 3, &near).0 > value - 1e-6);
        }
    }

    #[test]
    fn without_information_the_biases_are_the_log_odds() {
        let set = Labelled::new(vec![0.0; 8], vec![1, 1, 1, 0, 1, 1, 0, 1]);
        let set = vectors(&set);
        let found = fit(&set, 1e-3, Weights::zeros(&set));
        let [zero, one] = found.values[2..] else { panic!("{found:?}") };
        assert!((one - zero - 3.0_f64.ln()).abs() < 1e-3, "{found:?}");
        assert_eq!(predict(&set, &found), [1; 8]);
    }
}
