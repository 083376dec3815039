//! The likelihood of levels: a distribution, as its definition and plain tensor operations have it, with slopes that
//! differences confirm, and the same bits for any number of threads.

use ar_kernels::levels::{Mixture, cpu, log_prob, reference};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

fn numbers(n: usize, seed: u64, spread: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| spread * (rng.random::<f32>() * 2.0 - 1.0)).collect()
}

/// Outputs of rows whose components are wide, narrow, and beyond the levels on either side.
fn outputs(rows: usize, mixture: Mixture, seed: u64) -> Vec<f32> {
    let count = mixture.components;
    let mut outputs = numbers(rows * mixture.outputs(), seed, 1.3);
    for (r, row) in outputs.chunks_exact_mut(mixture.outputs()).enumerate() {
        let (_, scales) = row.split_at_mut(2 * count);
        for (k, scale) in scales.iter_mut().enumerate() {
            *scale = 2.0 * *scale - [0.0, 3.0, 6.0, 12.0][(r + k) % 4];
        }
    }
    outputs
}

/// What a definition may get wrong.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// The ends of a cell are its middle and that of the next one.
    HalfStepForgotten,
    /// The first level ends where its cell ends.
    FirstTailForgotten,
    /// So does the last.
    LastTailForgotten,
}

const MISTAKES: [Mistake; 3] =
    [Mistake::HalfStepForgotten, Mistake::FirstTailForgotten, Mistake::LastTailForgotten];

/// p of a level by the definition.
fn defined(outputs: &[f64], x: usize, mixture: Mixture, mistake: Mistake) -> f64 {
    let (count, half) = (mixture.components, mixture.half());
    let sigma = |z: f64| 1.0 / (1.0 + (-z).exp());
    let weights: f64 = outputs[..count].iter().map(|o| o.exp()).sum();
    let u = 2.0 * x as f64 * half - 1.0;
    let part = |k: usize| {
        let (mean, scale) = (outputs[count + k], outputs[2 * count + k].exp() + half / 16.0);
        let lower = if mistake == Mistake::HalfStepForgotten { u } else { u - half };
        let upper = u + half;
        let is_first = x == 0 && mistake != Mistake::FirstTailForgotten;
        let is_last = x + 1 == mixture.levels && mistake != Mistake::LastTailForgotten;
        let below = if is_first { 0.0 } else { sigma((lower - mean) / scale) };
        let above = if is_last { 1.0 } else { sigma((upper - mean) / scale) };
        outputs[k].exp() / weights * (above - below)
    };
    (0..count).map(part).sum()
}

fn tensors(outputs: &[f32], x: &[f32], device: &Device, dtype: DType) -> (Tensor<2>, Tensor<1>) {
    let width = outputs.len() / x.len();
    let outputs = TensorData::new(outputs.to_vec(), [x.len(), width]);
    let x = TensorData::new(x.to_vec(), [x.len()]);
    let of = (device, DType::F32);
    let (outputs, x) = (Tensor::<2>::from_data(outputs, of), Tensor::<1>::from_data(x, of));
    (outputs.cast(dtype), x.cast(dtype))
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

#[test]
fn masses_are_those_of_the_definition_and_add_up_to_one() {
    for device in devices() {
        for (levels, components) in [(3, 1), (17, 4), (256, 10)] {
            let mixture = Mixture { levels, components };
            let all: Vec<f32> = (0..levels).map(|x| x as f32).collect();
            let mut noticed = [false; 3];
            for seed in 0..8 {
                let row = outputs(4, mixture, seed)[3 * mixture.outputs()..].to_vec();
                let rows = row.repeat(levels);
                let row: Vec<f64> = row.into_iter().map(f64::from).collect();
                let found = |dtype| {
                    let (outputs, x) = tensors(&rows, &all, &device, dtype);
                    let log_probs = host(log_prob(outputs, x, mixture));
                    log_probs.into_iter().map(f64::exp).collect::<Vec<f64>>()
                };
                let (single, double) = (found(DType::F32), found(DType::F64));
                // In single precision a mean is known to a few units of 1e-7, of which a component that is as narrow
                // as may be sees a thousandth; but all levels see it at the same place.
                for (masses, of_sum, of_each) in [(&single, 3e-6, 1e-3), (&double, 1e-12, 1e-12)] {
                    let sum: f64 = masses.iter().sum();
                    assert!((sum - 1.0).abs() < of_sum, "{levels} levels: {sum}");
                    for (x, mass) in masses.iter().enumerate() {
                        let expected = defined(&row, x, mixture, Mistake::None);
                        assert!((mass - expected).abs() < of_each, "{x}: {mass}, {expected}");
                    }
                }
                for (noticed, mistake) in noticed.iter_mut().zip(MISTAKES) {
                    let differs = |(x, mass): (usize, &f64)| {
                        (mass - defined(&row, x, mixture, mistake)).abs() > 1e-9
                    };
                    *noticed |= double.iter().enumerate().any(differs);
                }
            }
            // Negative control: each mistake is another distribution, or none. Not in every row: a component that is
            // narrow has no tails.
            assert_eq!(noticed, [true; 3], "{levels} levels");
        }
    }
}

#[test]
fn a_definition_with_a_mistake_does_not_add_up_to_one() {
    let mixture = Mixture { levels: 17, components: 2 };
    // One component beyond either end, both wide.
    let row = [0.3, -0.2, -1.2, 1.1, -1.0, -0.5];
    let sum = |mistake| (0..17).map(|x| defined(&row, x, mixture, mistake)).sum::<f64>();
    assert!((sum(Mistake::None) - 1.0).abs() < 1e-12);
    for mistake in MISTAKES {
        assert!((sum(mistake) - 1.0).abs() > 1e-2, "{}", sum(mistake));
    }
}

#[test]
fn values_and_slopes_are_those_of_plain_operations_in_double_precision() {
    for device in devices() {
        let device = device.autodiff();
        for (levels, components) in [(3, 2), (17, 4), (256, 10)] {
            let mixture = Mixture { levels, components };
            for rows in [1, 7, 50, 1100] {
                let given = outputs(rows, mixture, 1);
                let x: Vec<f32> =
                    (0..rows).map(|r| [0, levels - 1, r * 7 % levels][r % 3] as f32).collect();
                let run = |dtype, path: fn(Tensor<2>, Tensor<1>, Mixture) -> Tensor<1>| {
                    let (outputs, x) = tensors(&given, &x, &device, dtype);
                    let outputs = outputs.detach().require_grad();
                    let out = path(outputs.clone(), x, mixture);
                    let grad = TensorData::new(numbers(rows, 2, 1.0), [rows]);
                    let grad = Tensor::<1>::from_data(grad, (&device, DType::F32)).cast(dtype);
                    let grads = (out.clone() * grad).sum().backward();
                    let slope = outputs.grad(&grads).unwrap();
                    [host(out.inner()), host(slope)]
                };
                let fused = run(DType::F32, log_prob);
                let plain = run(DType::F64, reference::log_prob);
                for (fused, plain) in fused.iter().zip(&plain) {
                    for (k, (a, b)) in fused.iter().zip(plain).enumerate() {
                        // A scale of 2.4e-4 is known to 1e-7 of a position of up to 1: half of 1e-3 of it.
                        let near = 2e-3 * (1.0 + b.abs());
                        assert!((a - b).abs() <= near, "{levels}, {rows}, {k}: {a}, {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn slopes_are_those_of_central_differences() {
    let mixture = Mixture { levels: 9, components: 3 };
    let row = [0.3_f32, -0.7, 0.1, -1.1, 0.2, 0.8, -1.5, -0.4, -2.0];
    for x in 0..9 {
        let slope = cpu::slope(&row, &[x as f32], &[1.0], mixture);
        let worst = |factor: f64| {
            let off = |k: usize| {
                let moved = |by: f64| {
                    let mut row = row.map(f64::from);
                    row[k] += by;
                    defined(&row, x, mixture, Mistake::None).ln()
                };
                ((moved(1e-4) - moved(-1e-4)) / 2e-4 - factor * f64::from(slope[k])).abs()
            };
            (0..row.len()).map(off).fold(0.0, f64::max)
        };
        assert!(worst(1.0) < 2e-5, "{x}: {}", worst(1.0));
        // Negative control: a tenth too steep.
        assert!(worst(1.1) > 5e-3, "{x}: {}", worst(1.1));
    }
}

#[test]
fn what_is_no_level_is_impossible_and_has_no_slope() {
    let mixture = Mixture { levels: 5, components: 2 };
    let none = [-1.0, 5.0, 1.5, f32::NAN, 3e9];
    let rows = outputs(none.len(), mixture, 4);
    assert_eq!(cpu::log_prob(&rows, &none, mixture), [f32::NEG_INFINITY; 5]);
    assert!(cpu::slope(&rows, &none, &[1.0; 5], mixture).iter().all(|&slope| slope == 0.0));
    let (outputs, x) = tensors(&rows, &none, &devices()[0], DType::F64);
    assert_eq!(host(reference::log_prob(outputs, x, mixture)), [f64::NEG_INFINITY; 5]);
}

#[test]
fn levels_far_from_all_components_are_finite() {
    let mixture = Mixture { levels: 256, components: 2 };
    let far = [0.0, 0.0, -900.0, -1e30, -40.0, -40.0, 1e4, -1e4, 80.0, 60.0, 300.0, 3.0];
    for x in [0.0, 100.0, 255.0] {
        let found = cpu::log_prob(&far, &[x, x], mixture);
        assert!(found.iter().all(|p| p.is_finite() && *p <= 1e-6), "{found:?}");
        let slope = cpu::slope(&far, &[x, x], &[1.0, 1.0], mixture);
        assert!(slope.iter().all(|slope| slope.is_finite()), "{x}: {slope:?}");
    }
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    let mixture = Mixture { levels: 256, components: 5 };
    let (rows, n) = (outputs(3000, mixture, 6), 3000);
    let x: Vec<f32> = (0..n).map(|r| (r * 31 % 256) as f32).collect();
    let grad = numbers(n, 3, 1.0);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (cpu::log_prob(&rows, &x, mixture), cpu::slope(&rows, &x, &grad, mixture)))
    };
    assert!(run(1) == run(3));
}
