//! The likelihoods of columns: distributions, as plain tensor operations have them, with slopes that differences
//! confirm, and the same bits for any number of threads.

use ar_kernels::columns::cpu;
use ar_kernels::columns::{Family, Head, Heads, Missing, log_prob, reference};
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

const GRID: Family = Family::Grid { half: 0.125 };

fn number(components: usize, family: Family, missing: Missing) -> Head {
    Head::Number { components, listed: false, family, floor: 0.01, missing }
}

/// A number on a grid, some values of which are listed.
fn listed(components: usize, missing: Missing) -> Head {
    Head::Number { components, listed: true, family: GRID, floor: 0.01, missing }
}

/// ln p of the numbers of a list: a half of 1, three eighths of 40, an eighth of −3.
fn log_listed(x: f32) -> f32 {
    let p: f32 = match x {
        1.0 => 0.5,
        40.0 => 0.375,
        -3.0 => 0.125,
        _ => 0.0,
    };
    p.ln()
}

/// One column of each sort.
fn heads() -> Heads {
    Heads::new(vec![
        Head::Category { labels: 3, other: 0.01 },
        number(2, GRID, Missing::Learned),
        number(4, Family::Gaussian { log_unit: 0.5 }, Missing::Never(0.02)),
        Head::Category { labels: 1, other: 0.3 },
        number(1, GRID, Missing::Never(0.001)),
        number(3, Family::Gaussian { log_unit: -2.0 }, Missing::Learned),
        listed(2, Missing::Learned),
    ])
}

/// Rows with known and other labels, numbers near and far, and missing ones.
fn rows(n: usize) -> Vec<f32> {
    (0..n)
        .flat_map(|i| {
            let far = [0.25, -3.0, 1.5, 40.0][i % 4];
            let missing = if i % 3 == 0 { f32::NAN } else { 0.25 * (i % 7) as f32 };
            let often = if i % 5 == 1 { f32::NAN } else { far };
            [(i % 4) as f32, missing, far, (i % 2) as f32, far, often, often, log_listed(often)]
        })
        .collect()
}

#[test]
fn values_and_slopes_are_those_of_plain_operations() {
    let heads = heads();
    for device in devices() {
        let device = device.autodiff();
        for n in [1, 7, 50] {
            let x = Tensor::<2>::from_data(TensorData::new(rows(n), [n, 8]), &device);
            let run = |plain: bool| {
                let outputs = numbers(n * heads.outputs(), 1, 2.0);
                let outputs = TensorData::new(outputs, [n, heads.outputs()]);
                let outputs = Tensor::<2>::from_data(outputs, &device).require_grad();
                let path = if plain { reference::log_prob } else { log_prob };
                let out = path(outputs.clone(), x.clone(), &heads);
                let grad = TensorData::new(numbers(n * 7, 2, 1.0), [n, 7]);
                let grads = (out.clone() * Tensor::from_data(grad, &device)).sum().backward();
                let slope = outputs.grad(&grads).unwrap();
                [out.inner(), slope].map(|t| t.into_data().iter::<f32>().collect::<Vec<_>>())
            };
            let (fused, plain) = (run(false), run(true));
            for (fused, plain) in fused.iter().zip(&plain) {
                for (k, (a, b)) in fused.iter().zip(plain).enumerate() {
                    assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{n} rows, {k}: {a} and {b}");
                }
            }
        }
    }
}

/// Many labels; cells that are narrow, and far from all components; one component that is as narrow as it may be.
#[test]
fn values_and_slopes_are_those_of_double_precision() {
    let narrow = |half| Head::Number {
        components: 3,
        listed: false,
        family: Family::Grid { half },
        floor: half / 16.0,
        missing: Missing::Learned,
    };
    let heads = vec![
        Head::Category { labels: 700, other: 1e-6 },
        narrow(1e-5),
        narrow(0.01),
        narrow(3.0),
        Head::Category { labels: 12, other: 1e-6 },
        number(5, Family::Gaussian { log_unit: 3.0 }, Missing::Never(1e-6)),
        listed(3, Missing::Never(1e-6)),
    ];
    let heads = Heads::new(heads);
    let (gains, shifts) = (numbers(heads.outputs(), 7, 1.5), numbers(heads.outputs(), 8, 3.0));
    let double = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let heads = heads.linked(&double(&gains), &double(&shifts));
    let n = 37;
    let x: Vec<f32> = (0..n)
        .flat_map(|i| {
            let z = [0.0, -0.7, 2.0, 40.0, 1e4, f32::NAN][i % 6];
            [(19 * i % 701) as f32, z, z, z, (i % 13) as f32, z, z, log_listed(z)]
        })
        .collect();
    let (outputs, grad) = (numbers(n * heads.outputs(), 1, 2.0), numbers(n * 7, 2, 1.0));
    let device = Device::default().autodiff();
    let tensor = |values: &[f32]| {
        let width = values.len() / n;
        let data = TensorData::new(double(values), [n, width]);
        Tensor::<2>::from_data(data, (&device, DType::F64))
    };
    let plain = tensor(&outputs).require_grad();
    let out = reference::log_prob(plain.clone(), tensor(&x), &heads);
    let slopes = plain.grad(&(out.clone() * tensor(&grad)).sum().backward()).unwrap();
    let near = |found: &[f32], expected: Tensor<2>| {
        for (k, (a, b)) in found.iter().zip(expected.into_data().iter::<f64>()).enumerate() {
            assert!((f64::from(*a) - b).abs() <= 2e-5 * (1.0 + b.abs()), "{k}: {a} and {b}");
        }
    };
    near(&cpu::log_prob(&outputs, &x, &heads), out.inner());
    near(&cpu::slope(&outputs, &x, &grad, &heads), slopes);
}

#[test]
fn slopes_are_those_of_differences() {
    let heads = heads();
    let outputs: Vec<f32> = numbers(heads.outputs(), 3, 1.5);
    for row in rows(12).chunks_exact(8) {
        let total = |outputs: &[f32]| -> f64 {
            cpu::log_prob(outputs, row, &heads).iter().map(|&l| f64::from(l)).sum()
        };
        let slopes = cpu::slope(&outputs, row, &[1.0; 7], &heads);
        for (k, slope) in slopes.iter().enumerate() {
            let at = |step: f32| {
                let mut moved = outputs.clone();
                moved[k] += step;
                total(&moved)
            };
            let step = 4e-3;
            let difference = (at(step) - at(-step)) / (2.0 * f64::from(step));
            let error = (difference - f64::from(*slope)).abs();
            assert!(error < 2e-2 * (1.0 + difference.abs()), "{row:?}, {k}: {difference}, {slope}");
        }
    }
}

/// Σ over a wide grid, or the integral, of one column, its being missing and other labels included.
fn mass(head: Head, outputs: &[f32]) -> f64 {
    let heads = Heads::new(vec![head]);
    let p = |x: f32| {
        let x = [x, log_listed(x)];
        f64::from(cpu::log_prob(outputs, &x[..heads.targets()], &heads)[0]).exp()
    };
    match head {
        Head::Category { labels, .. } => (0..=labels).map(|label| p(label as f32)).sum(),
        Head::Number { family: Family::Grid { half }, .. } => {
            let step = 2.0 * half;
            p(f32::NAN) + (-40_000..40_000).map(|k| p((f64::from(k) * step) as f32)).sum::<f64>()
        }
        Head::Number { family: Family::Gaussian { log_unit }, .. } => {
            let step = 1e-3;
            // A density in units of the data, of which a standardized unit is e^log_unit.
            let width = step * log_unit.exp();
            let sum = (-60_000..60_000).map(|k| p((f64::from(k) * step) as f32) * width);
            p(f32::NAN) + sum.sum::<f64>()
        }
    }
}

#[test]
fn every_column_is_a_distribution() {
    let heads = heads();
    let outputs = numbers(heads.outputs(), 5, 1.5);
    let mut start = 0;
    for head in heads.all() {
        let own = &outputs[start..start + head.outputs()];
        start += head.outputs();
        let mass = mass(*head, own);
        assert!((mass - 1.0).abs() < 2e-4, "{head:?}: {mass}");
    }
    // Mistakes that the law finds: half a step that is a whole one, a unit that is forgotten, and a list of twice what
    // there is.
    let grid = |half| number(2, Family::Grid { half }, Missing::Never(0.02));
    let wrong = |x: f32| {
        f64::from(cpu::log_prob(&outputs[..6], &[x], &Heads::new(vec![grid(0.25)]))[0]).exp()
    };
    let wrong: f64 = (-40_000..40_000).map(|k| wrong(k as f32 * 0.25)).sum();
    assert!((wrong - 2.0).abs() < 0.1, "cells of two steps are counted twice: {wrong}");
    let twice = |x: f32| {
        let x = [x, log_listed(x) + 2.0_f32.ln()];
        f64::from(
            cpu::log_prob(&outputs[..7], &x, &Heads::new(vec![listed(2, Missing::Never(0.02))]))[0],
        )
        .exp()
    };
    let twice: f64 = (-40_000..40_000).map(|k| twice(k as f32 * 0.25)).sum();
    assert!(twice > 1.01, "a list whose masses add up to 2: {twice}");
    let gaussian = number(2, Family::Gaussian { log_unit: 0.0 }, Missing::Never(0.02));
    let mass = mass(gaussian, &outputs[..6]);
    assert!((mass - 1.0).abs() < 2e-4 && (mass * 0.5_f64.exp() - 1.0).abs() > 0.5);
}

#[test]
fn what_is_far_away_is_finite_and_ever_less_likely() {
    for (family, most) in [(GRID, 1e30), (Family::Gaussian { log_unit: 0.0 }, 1e15)] {
        let heads = Heads::new(vec![number(2, family, Missing::Never(0.01))]);
        let outputs = [0.3, -0.2, 0.5, -0.5, -3.0, -80.0];
        let mut last = f32::INFINITY;
        let mut x = 4.0;
        while x < most {
            let log_prob = cpu::log_prob(&outputs, &[x], &heads)[0];
            assert!(log_prob.is_finite() && log_prob < last, "{family:?} at {x}: {log_prob}");
            assert!(cpu::slope(&outputs, &[x], &[1.0], &heads).iter().all(|s| s.is_finite()));
            (last, x) = (log_prob, x * 3.0);
        }
    }
    // What a difference of two sigmoids says of a place that is only 800 scales away.
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert_eq!((sigmoid(800.5) - sigmoid(799.5)).ln(), f64::NEG_INFINITY);
}

#[test]
fn what_is_no_label_is_impossible() {
    let heads = Heads::new(vec![Head::Category { labels: 3, other: 0.01 }]);
    for x in [-1.0, 0.5, 4.0, f32::NAN, f32::INFINITY] {
        assert_eq!(cpu::log_prob(&[0.0; 3], &[x], &heads), [f32::NEG_INFINITY], "{x}");
        assert_eq!(cpu::slope(&[0.0; 3], &[x], &[1.0], &heads), [0.0; 3], "{x}");
    }
    let other = cpu::log_prob(&[0.0; 3], &[3.0], &heads)[0];
    assert!((other - 0.01_f32.ln()).abs() < 1e-6);
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    let heads = heads();
    let (n, x) = (101, rows(101));
    let (outputs, grad) = (numbers(n * heads.outputs(), 1, 2.0), numbers(n * 7, 2, 1.0));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        pool.install(|| {
            (
                bits(cpu::log_prob(&outputs, &x, &heads)),
                bits(cpu::slope(&outputs, &x, &grad, &heads)),
            )
        })
    };
    assert!([2, 3, 5].into_iter().all(|threads| with(threads) == with(1)));
}
