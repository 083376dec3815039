//! Optimizer updates in one pass over the weights, on slices.
//!
//! Elementwise, so the number of threads has no influence on the result.

use core::marker::PhantomData;

use rayon::prelude::*;

use crate::simd::{Isa, Lanes, dispatch};

/// Values per task.
const GRAIN: usize = 1 << 15;

/// Constants of one Adam step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate α of this step.
    pub learning_rate: f64,
    /// β₁.
    pub beta_1: f64,
    /// β₂.
    pub beta_2: f64,
    /// ε.
    pub epsilon: f64,
    /// Decoupled weight decay λ.
    pub weight_decay: f64,
    /// What the gradient is multiplied by first (clipping).
    pub scale: f64,
    /// Number of this step, from 1.
    pub step: u64,
}

/// # Safety
/// Plain Rust; `unsafe` only for the sake of [`dispatch!`].
#[inline(always)]
unsafe fn adam_chunk<L: Lanes>(
    _: PhantomData<L>,
    step: &Adam,
    grad: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    weights: &mut [f32],
) {
    let power = i32::try_from(step.step).unwrap_or(i32::MAX);
    let correct_1 = 1.0 / (1.0 - step.beta_1.powi(power));
    let correct_2 = 1.0 / (1.0 - step.beta_2.powi(power));
    let rate = (step.learning_rate * correct_1) as f32;
    let correct_2 = correct_2 as f32;
    let (beta_1, beta_2) = (step.beta_1 as f32, step.beta_2 as f32);
    let (rest_1, rest_2) = ((1.0 - step.beta_1) as f32, (1.0 - step.beta_2) as f32);
    let (epsilon, scale) = (step.epsilon as f32, step.scale as f32);
    let keep = (1.0 - step.learning_rate * step.weight_decay) as f32;
    let n = weights.len();
    let (grad, first, second) = (&grad[..n], &mut first[..n], &mut second[..n]);
    for k in 0..n {
        let g = grad[k] * scale;
        first[k] = beta_1 * first[k] + rest_1 * g;
        second[k] = beta_2 * second[k] + rest_2 * (g * g);
        let root = (second[k] * correct_2).sqrt() + epsilon;
        weights[k] = keep * weights[k] - rate * first[k] / root;
    }
}

dispatch! {
    fn adam_chunk_on(
        step: &Adam, grad: &[f32], first: &mut [f32], second: &mut [f32], weights: &mut [f32],
    ) = adam_chunk
}

/// One step of Adam (Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1) with decoupled weight decay
/// (Loshchilov and Hutter 2019, arXiv:1711.05101):
///
/// ```text
/// m = β₁ m + (1 − β₁) g;   v = β₂ v + (1 − β₂) g²
/// w = (1 − α λ) w − α (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
/// ```
///
/// # Panics
/// When the slices differ in length.
pub fn adam(step: Adam, grad: &[f32], first: &mut [f32], second: &mut [f32], weights: &mut [f32]) {
    let n = weights.len();
    assert!(grad.len() == n && first.len() == n && second.len() == n, "one value per weight");
    let isa = Isa::detect();
    grad.par_chunks(GRAIN)
        .zip(first.par_chunks_mut(GRAIN))
        .zip(second.par_chunks_mut(GRAIN))
        .zip(weights.par_chunks_mut(GRAIN))
        .for_each(|(((grad, first), second), weights)| {
            adam_chunk_on(isa, &step, grad, first, second, weights);
        });
}

/// Constants of one RMSProp step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Learning rate α of this step.
    pub learning_rate: f64,
    /// Decay ρ of the mean square.
    pub decay: f64,
    /// Momentum μ.
    pub momentum: f64,
    /// ε.
    pub epsilon: f64,
    /// Decoupled weight decay λ.
    pub weight_decay: f64,
    /// What the gradient is multiplied by first (clipping).
    pub scale: f64,
}

/// # Safety
/// Plain Rust; `unsafe` only for the sake of [`dispatch!`].
#[inline(always)]
unsafe fn rmsprop_chunk<L: Lanes>(
    _: PhantomData<L>,
    step: &RmsProp,
    grad: &[f32],
    square: &mut [f32],
    velocity: &mut [f32],
    weights: &mut [f32],
) {
    let (rate, momentum) = (step.learning_rate as f32, step.momentum as f32);
    let (decay, rest) = (step.decay as f32, (1.0 - step.decay) as f32);
    let (epsilon, scale) = (step.epsilon as f32, step.scale as f32);
    let keep = (1.0 - step.learning_rate * step.weight_decay) as f32;
    let n = weights.len();
    let (grad, square, velocity) = (&grad[..n], &mut square[..n], &mut velocity[..n]);
    for k in 0..n {
        let g = grad[k] * scale;
        square[k] = decay * square[k] + rest * (g * g);
        velocity[k] = momentum * velocity[k] + g / (square[k].sqrt() + epsilon);
        weights[k] = keep * weights[k] - rate * velocity[k];
    }
}

dispatch! {
    fn rmsprop_chunk_on(
        step: &RmsProp, grad: &[f32], square: &mut [f32], velocity: &mut [f32], weights: &mut [f32],
    ) = rmsprop_chunk
}

/// One step of RMSProp (Tieleman and Hinton 2012, Neural Networks for Machine Learning, lecture 6.5)
/// with momentum, ε outside the root as in PyTorch, and decoupled weight decay:
///
/// ```text
/// v = ρ v + (1 − ρ) g²;   m = μ m + g / (√v + ε)
/// w = (1 − α λ) w − α m
/// ```
///
/// # Panics
/// When the slices differ in length.
pub fn rmsprop(
    step: RmsProp,
    grad: &[f32],
    square: &mut [f32],
    velocity: &mut [f32],
    weights: &mut [f32],
) {
    let n = weights.len();
    assert!(grad.len() == n && square.len() == n && velocity.len() == n, "one value per weight");
    let isa = Isa::detect();
    grad.par_chunks(GRAIN)
        .zip(square.par_chunks_mut(GRAIN))
        .zip(velocity.par_chunks_mut(GRAIN))
        .zip(weights.par_chunks_mut(GRAIN))
        .for_each(|(((grad, square), velocity), weights)| {
            rmsprop_chunk_on(isa, &step, grad, square, velocity, weights);
        });
}

/// One step of gradient descent with momentum (Sutskever et al. 2013, Eqs. 1 and 2):
///
/// ```text
/// m = μ m + g;   w = (1 − α λ) w − α m
/// ```
///
/// # Panics
/// When the slices differ in length.
pub fn momentum(
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    scale: f64,
    grad: &[f32],
    velocity: &mut [f32],
    weights: &mut [f32],
) {
    let n = weights.len();
    assert!(grad.len() == n && velocity.len() == n, "one value per weight");
    let keep = (1.0 - learning_rate * weight_decay) as f32;
    let (rate, momentum, scale) = (learning_rate as f32, momentum as f32, scale as f32);
    grad.par_chunks(GRAIN)
        .zip(velocity.par_chunks_mut(GRAIN))
        .zip(weights.par_chunks_mut(GRAIN))
        .for_each(|((grad, velocity), weights)| {
            for ((g, m), w) in grad.iter().zip(velocity).zip(weights) {
                *m = momentum * *m + g * scale;
                *w = keep * *w - rate * *m;
            }
        });
}

/// Σ x², in f64 and in a fixed order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x
        .par_chunks(GRAIN)
        .map(|x| {
            let mut sums = [0.0_f64; 8];
            let (blocks, rest) = x.as_chunks::<8>();
            for block in blocks {
                for (sum, &x) in sums.iter_mut().zip(block) {
                    *sum += f64::from(x) * f64::from(x);
                }
            }
            for (sum, &x) in sums.iter_mut().zip(rest) {
                *sum += f64::from(x) * f64::from(x);
            }
            sums.iter().sum()
        })
        .collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_follows_its_algorithm() {
        let n = 40_001;
        let step = |step| Adam {
            learning_rate: 1e-2,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
            scale: 0.5,
            step,
        };
        let value = |k: usize, s: usize| ((k * 31 + s * 17) % 97) as f64 / 48.0 - 1.0;
        let mut weights: Vec<f32> = (0..n).map(|k| value(k, 9) as f32).collect();
        let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
        let mut exact: Vec<[f64; 3]> =
            (0..n).map(|k| [value(k, 9) as f32 as f64, 0.0, 0.0]).collect();
        for t in 1..=3 {
            let grad: Vec<f32> = (0..n).map(|k| value(k, t) as f32).collect();
            adam(step(t as u64), &grad, &mut first, &mut second, &mut weights);
            for ([w, m, v], g) in exact.iter_mut().zip(&grad) {
                let g = 0.5 * f64::from(*g);
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let m_hat = *m / (1.0 - 0.9_f64.powi(t as i32));
                let v_hat = *v / (1.0 - 0.999_f64.powi(t as i32));
                *w = *w * (1.0 - 1e-2 * 0.1) - 1e-2 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        for (w, [exact, ..]) in weights.iter().zip(&exact) {
            assert!((f64::from(*w) - exact).abs() < 1e-5, "{w} {exact}");
        }
    }

    #[test]
    fn rmsprop_follows_its_algorithm() {
        let n = 40_001;
        let step = RmsProp {
            learning_rate: 1e-2,
            decay: 0.9,
            momentum: 0.5,
            epsilon: 1e-3,
            weight_decay: 0.1,
            scale: 0.5,
        };
        let value = |k: usize, s: usize| ((k * 31 + s * 17) % 97) as f64 / 48.0 - 1.0;
        let mut weights: Vec<f32> = (0..n).map(|k| value(k, 9) as f32).collect();
        let (mut square, mut velocity) = (vec![0.0; n], vec![0.0; n]);
        let mut exact: Vec<[f64; 3]> =
            (0..n).map(|k| [value(k, 9) as f32 as f64, 0.0, 0.0]).collect();
        for t in 1..=3 {
            let grad: Vec<f32> = (0..n).map(|k| value(k, t) as f32).collect();
            rmsprop(step, &grad, &mut square, &mut velocity, &mut weights);
            for ([w, v, m], g) in exact.iter_mut().zip(&grad) {
                let g = 0.5 * f64::from(*g);
                *v = 0.9 * *v + 0.1 * g * g;
                *m = 0.5 * *m + g / (v.sqrt() + 1e-3);
                *w = *w * (1.0 - 1e-2 * 0.1) - 1e-2 * *m;
            }
        }
        for (w, [exact, ..]) in weights.iter().zip(&exact) {
            assert!((f64::from(*w) - exact).abs() < 1e-5, "{w} {exact}");
        }
    }

    #[test]
    fn momentum_remembers() {
        let (mut velocity, mut weights) = ([0.0_f32], [1.0_f32]);
        momentum(0.1, 0.5, 0.0, 1.0, &[2.0], &mut velocity, &mut weights);
        momentum(0.1, 0.5, 0.0, 1.0, &[2.0], &mut velocity, &mut weights);
        // m: 2, then 3; w: 1 − 0.2 − 0.3
        assert!((weights[0] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_sum_of_squares_is_exact_in_f64() {
        let x: Vec<f32> = (0..100_003).map(|k| (k % 10) as f32).collect();
        let expected: f64 = x.iter().map(|&x| f64::from(x * x)).sum();
        assert_eq!(sum_of_squares(&x), expected);
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
