//! Limited-memory BFGS for smooth convex functions (Nocedal and Wright 2006, Algorithms 7.4 and 7.5),
//! with steps that are halved until the function falls enough (their Eq. 3.4).

use std::collections::VecDeque;

/// Pairs of steps and changes of gradient that are kept.
const MEMORY: usize = 10;

/// A step must lower the function by this share of what the slope promises.
const ENOUGH: f64 = 1e-4;

/// Goes down from `x` for at most `steps` steps, or until no slope is larger than `tolerance`. `f`
/// returns the value and the gradient.
pub(super) fn minimise(
    mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    mut x: Vec<f64>,
    steps: usize,
    tolerance: f64,
) -> Vec<f64> {
    let (mut value, mut gradient) = f(&x);
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY + 1);
    for _ in 0..steps {
        if largest(&gradient) <= tolerance {
            break;
        }
        let direction = descent(&pairs, &gradient);
        let promised = dot(&direction, &gradient);
        // Without curvature known, a step of length 1 at most.
        let mut step =
            if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let (next, next_value, next_gradient) = loop {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (next_value, next_gradient) = f(&next);
            if next_value <= value + ENOUGH * step * promised {
                break (next, next_value, next_gradient);
            }
            step /= 2.0;
            if step < 1e-10 {
                // What is left to gain is less than the rounding of `f`.
                return x;
            }
        };
        let pair = Pair::new(difference(&next, &x), difference(&next_gradient, &gradient));
        pairs.extend(pair);
        if pairs.len() > MEMORY {
            pairs.pop_front();
        }
        (x, value, gradient) = (next, next_value, next_gradient);
    }
    x
}

/// A step and how the gradient changed along it.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// Their product.
    curvature: f64,
}

impl Pair {
    /// None where the function is not seen to curve upwards.
    fn new(step: Vec<f64>, change: Vec<f64>) -> Option<Self> {
        let curvature = dot(&step, &change);
        (curvature > 1e-10 * dot(&change, &change)).then_some(Self { step, change, curvature })
    }
}

/// The two loops of Algorithm 7.4, for −H ∇f.
fn descent(pairs: &VecDeque<Pair>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for Pair { step, change, curvature } in pairs.iter().rev() {
        let share = dot(step, &q) / curvature;
        add(&mut q, change, -share);
        shares.push(share);
    }
    if let Some(Pair { change, curvature, .. }) = pairs.back() {
        let scale = curvature / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for (Pair { step, change, curvature }, share) in pairs.iter().zip(shares.into_iter().rev()) {
        let other = dot(change, &q) / curvature;
        add(&mut q, step, share - other);
    }
    q
}

fn add(to: &mut [f64], what: &[f64], times: f64) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_valley_is_followed_to_its_lowest_point() {
        // Σ w_i (x_i − i)², with weights from 1 to 10,000.
        let weights = [1.0, 10.0, 100.0, 1000.0, 10_000.0];
        let f = |x: &[f64]| {
            let away = |i: usize| x[i] - i as f64;
            let value = (0..5).map(|i| weights[i] * away(i).powi(2)).sum();
            (value, (0..5).map(|i| 2.0 * weights[i] * away(i)).collect())
        };
        let found = minimise(f, vec![7.0; 5], 200, 1e-9);
        assert!(f(&found).1.iter().all(|slope| slope.abs() <= 1e-9));
        for (i, x) in found.iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-8, "{found:?}");
        }
    }

    #[test]
    fn it_ends_after_so_many_steps_and_where_there_is_nothing_to_gain() {
        let steep = |x: &[f64]| ((x[0] - 5.0).powi(4), vec![4.0 * (x[0] - 5.0).powi(3)]);
        assert!(minimise(steep, vec![0.0], 2, 1e-12)[0] < 4.9);
        assert!(minimise(steep, vec![0.0], 200, 1e-12)[0] > 4.99);
        // A function rounded so coarsely that it cannot fall.
        assert_eq!(minimise(|x| (3.0, vec![x[0]]), vec![1.0], 100, 1e-12), [1.0]);
    }
}
