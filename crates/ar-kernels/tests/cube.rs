//! The CubeCL kernels of NADE and of the Bernoulli likelihood, on whatever wgpu device answers: equal to the CPU
//! kernels and to plain tensor operations, the same bits each time, and a number of launches that does not
//! depend on the number of positions.
//!
//! Where no device answers the tests say so and pass; with `CHAINRULE_WGPU=required` they fail.

#![cfg(all(feature = "wgpu", feature = "flex"))]

mod gpu;

use ar_kernels::nade::{self, Weights};
use ar_kernels::{bernoulli, launches};
use burn::tensor::{Device, Tensor, TensorData};
use gpu::{floats, numbers, wgpu};

/// Rows, positions, hidden units: one of each; odd ones; more hidden units than a cube has units; groups of the
/// backward pass that are not full, and more of them than are summed apart.
const SIZES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 7, 5],
    [3, 1, 33],
    [5, 33, 64],
    [37, 25, 70],
    [50, 64, 200],
    [130, 12, 150],
    [530, 9, 33],
    [2, 40, 1100],
    [7, 10, 5000],
];

/// Largest difference, relative to the largest number of its tensor.
const TOLERANCE: f64 = 1e-5;

/// Largest difference, relative to the largest number of `expected` (or to 1, where all are small); infinite where
/// one is no number.
fn gap(here: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(here.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |most, x| most.max(f64::from(*x).abs()));
    here.iter().zip(expected).fold(0.0, |most, (here, expected)| {
        let gap = (f64::from(*here) - f64::from(*expected)).abs() / scale;
        if gap.is_nan() { f64::INFINITY } else { most.max(gap) }
    })
}

/// W, V, b, c; bits; weights of the rows in the loss.
fn slices([batch, dim, hidden]: [usize; 3]) -> [Vec<f32>; 6] {
    let scale = 2.0 / (hidden as f32).sqrt();
    let scaled = |seed| numbers(dim * hidden, seed).into_iter().map(|w| w * scale).collect();
    let bits = numbers(batch * dim, 5).into_iter().map(|x| f32::from(x > 0.2)).collect();
    [scaled(1), scaled(2), numbers(dim, 3), numbers(hidden, 4), bits, numbers(batch, 6)]
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn weights([_, dim, hidden]: [usize; 3], slices: &[Vec<f32>; 6], device: &Device) -> Weights {
    Weights {
        w: tensor(&slices[0], [dim, hidden], device),
        v: tensor(&slices[1], [dim, hidden], device),
        b: tensor(&slices[2], [dim], device),
        c: tensor(&slices[3], [hidden], device),
    }
}

/// Logits, log-probabilities, and the gradients of W, V, b and c of a weighted sum of the latter.
fn step(size: [usize; 3], slices: &[Vec<f32>; 6], device: &Device, plain: bool) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let own = weights(size, slices, &device);
    let [batch, dim, _] = size;
    let own = Weights {
        w: own.w.require_grad(),
        v: own.v.require_grad(),
        b: own.b.require_grad(),
        c: own.c.require_grad(),
    };
    let x = tensor(&slices[4], [batch, dim], &device);
    let (logits, rows) = if plain {
        let logits = nade::reference::logits(x.clone(), own.clone());
        let signed = x.mul_scalar(2.0).sub_scalar(1.0) * logits.clone();
        let rows = burn::tensor::activation::log_sigmoid(signed).sum_dim(1).squeeze_dim::<1>(1);
        (logits, rows)
    } else {
        let logits = nade::logits(x.clone(), own.clone());
        let rows = bernoulli::log_prob(&logits, &x).expect("the device has a kernel");
        (logits, rows)
    };
    let grads = (rows.clone() * tensor(&slices[5], [batch], &device)).sum().backward();
    vec![
        floats(logits.inner()),
        floats(rows.inner()),
        floats(own.w.grad(&grads).unwrap()),
        floats(own.v.grad(&grads).unwrap()),
        floats(own.b.grad(&grads).unwrap()),
        floats(own.c.grad(&grads).unwrap()),
    ]
}

const NAMES: [&str; 6] = ["logits", "log_prob", "grad w", "grad v", "grad b", "grad c"];

fn assert_alike(here: &[Vec<f32>], expected: &[Vec<f32>], size: [usize; 3]) {
    for ((here, expected), name) in here.iter().zip(expected).zip(NAMES) {
        let gap = gap(here, expected);
        assert!(gap < TOLERANCE, "{size:?}, {name}: {gap:e}");
    }
}

#[test]
fn a_wgpu_device_answers() {
    let Some((device, _alone)) = wgpu() else { return };
    assert_eq!(floats(Tensor::<1>::from_data([1.0, 2.0], &device) * 2.0), [2.0, 4.0]);
}

#[test]
fn a_step_is_that_of_the_cpu_kernels() {
    let Some((device, _alone)) = wgpu() else { return };
    for size in SIZES {
        let slices = slices(size);
        let here = step(size, &slices, &device, false);
        let there = step(size, &slices, &Device::flex(), false);
        assert_alike(&here, &there, size);
    }
}

#[test]
fn a_step_is_that_of_plain_operations_on_the_device() {
    let Some((device, _alone)) = wgpu() else { return };
    for size in [[1, 2, 1], [5, 7, 33], [20, 5, 64]] {
        let slices = slices(size);
        let here = step(size, &slices, &device, false);
        let plain = step(size, &slices, &device, true);
        assert_alike(&here, &plain, size);
    }
}

#[test]
fn a_wrong_weight_is_noticed_by_the_same_comparison() {
    let Some((device, _alone)) = wgpu() else { return };
    let size = [37, 25, 70];
    for which in 0..4 {
        let right = slices(size);
        let mut wrong = right.clone();
        wrong[which][3] += 1e-2;
        let here = step(size, &wrong, &device, false);
        let there = step(size, &right, &Device::flex(), false);
        let gaps: Vec<f64> =
            here.iter().zip(&there).map(|(here, there)| gap(here, there)).collect();
        assert!(gaps[..2].iter().all(|&gap| gap > TOLERANCE), "{}: {gaps:?}", NAMES[which + 2]);
    }
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let Some((device, _alone)) = wgpu() else { return };
    for size in [[37, 25, 70], [530, 9, 33]] {
        let slices = slices(size);
        let bits = || -> Vec<Vec<u32>> {
            let step = step(size, &slices, &device, false);
            step.into_iter().map(|part| part.into_iter().map(f32::to_bits).collect()).collect()
        };
        let first = bits();
        for _ in 0..3 {
            assert!(bits() == first, "{size:?}");
        }
    }
}

#[test]
fn a_row_has_the_same_logits_whatever_is_beside_it() {
    let Some((device, _alone)) = wgpu() else { return };
    let size @ [batch, dim, _] = [37, 25, 70];
    let slices = slices(size);
    let own = weights(size, &slices, &device);
    let x = tensor(&slices[4], [batch, dim], &device);
    let together = floats(nade::logits(x.clone(), own.clone()));
    for i in [0, 5, batch - 1] {
        let alone = floats(nade::logits(x.clone().narrow(0, i, 1), own.clone()));
        assert_eq!(alone, together[i * dim..(i + 1) * dim], "row {i}");
    }
}

#[test]
fn a_tensor_that_is_not_contiguous_is_read_as_what_it_is() {
    let Some((device, _alone)) = wgpu() else { return };
    let size @ [batch, dim, hidden] = [5, 33, 64];
    let slices = slices(size);
    let own = weights(size, &slices, &device);
    let x = tensor(&slices[4], [batch, dim], &device);
    let plain = floats(nade::logits(x.clone(), own.clone()));
    let turned = |tensor: Tensor<2>, [rows, columns]: [usize; 2]| {
        let data = floats(tensor.transpose());
        self::tensor(&data, [columns, rows], &device).transpose()
    };
    let own = Weights { w: turned(own.w, [dim, hidden]), v: turned(own.v, [dim, hidden]), ..own };
    assert_eq!(floats(nade::logits(turned(x, [batch, dim]), own)), plain);
}

#[test]
fn the_mass_of_all_events_is_one() {
    let Some((device, _alone)) = wgpu() else { return };
    let size @ [batch, dim, _] = [256, 8, 21];
    let own = weights(size, &slices(size), &device);
    let all: Vec<f32> = (0..batch * dim).map(|k| (k / dim >> (k % dim) & 1) as f32).collect();
    let x = tensor(&all, [batch, dim], &device);
    let mass = |own: Weights| {
        let rows = bernoulli::log_prob(&nade::logits(x.clone(), own), &x).unwrap();
        floats(rows).into_iter().map(|log_prob| f64::from(log_prob).exp()).sum::<f64>()
    };
    let one = mass(own);
    assert!((one - 1.0).abs() < 1e-5, "{one}");
    // Negative control: logits that look at their own bit are those of no distribution.
    let logits = nade::logits(x.clone(), weights(size, &slices(size), &device)) + x.clone();
    let rows = floats(bernoulli::log_prob(&logits, &x).unwrap());
    let other = rows.into_iter().map(|log_prob| f64::from(log_prob).exp()).sum::<f64>();
    assert!((other - 1.0).abs() > 1e-2, "{other}");
}

#[test]
fn a_logit_depends_on_earlier_bits_only() {
    let Some((device, _alone)) = wgpu() else { return };
    let size @ [_, dim, _] = [12, 12, 40];
    let slices = slices(size);
    let own = weights(size, &slices, &device);
    let base = slices[4][..dim].to_vec();
    // Row t has bit t flipped.
    let mut rows = base.repeat(dim);
    for t in 0..dim {
        rows[t * dim + t] = 1.0 - rows[t * dim + t];
    }
    let expected = floats(nade::logits(tensor(&base, [1, dim], &device), own.clone()));
    let flipped = floats(nade::logits(tensor(&rows, [dim, dim], &device), own));
    for t in 0..dim {
        for s in 0..dim {
            let same = flipped[t * dim + s].to_bits() == expected[s].to_bits();
            assert_eq!(same, s <= t, "logit {s} with bit {t} flipped");
        }
    }
}

#[test]
fn a_row_with_what_is_no_bit_is_impossible_and_has_no_slope_there() {
    let Some((device, _alone)) = wgpu() else { return };
    let device = device.autodiff();
    let logits = Tensor::<2>::from_data([[-30.0, -1.5, 0.0], [0.25, 3.0, 50.0]], &device);
    let logits = logits.require_grad();
    let x = Tensor::<2>::from_data([[0.0, 1.0, 1.0], [1.0, 7.0, 0.0]], &device);
    let rows = bernoulli::log_prob(&logits, &x).unwrap();
    let grads = (rows.clone() * Tensor::<1>::from_data([1.0, -2.0], &device)).sum().backward();
    let rows = floats(rows.inner());
    let expected = -[-30.0_f64, 1.5, 0.0].map(|z| z.exp().ln_1p()).iter().sum::<f64>();
    assert!((f64::from(rows[0]) - expected).abs() < 1e-5, "{rows:?}");
    assert_eq!(rows[1], f32::NEG_INFINITY);
    let slopes = floats(logits.grad(&grads).unwrap());
    let sigma = |z: f64| 1.0 / (1.0 + (-z).exp());
    let expected =
        [-sigma(-30.0), 1.0 - sigma(-1.5), 0.5, -2.0 * (1.0 - sigma(0.25)), 0.0, 2.0 * sigma(50.0)];
    for (slope, expected) in slopes.iter().zip(expected) {
        assert!((f64::from(*slope) - expected).abs() < 1e-6, "{slopes:?}");
    }
}

#[test]
fn a_bit_is_one_where_its_logit_is_above_its_threshold() {
    let Some((device, _alone)) = wgpu() else { return };
    for size @ [batch, dim, _] in SIZES {
        let slices = slices(size);
        let mut thresholds: Vec<f32> =
            numbers(batch * dim, 9).into_iter().map(|u| ((1.0 + u) / (1.0 - u)).ln()).collect();
        // What is known is drawn as it is.
        for (k, threshold) in thresholds.iter_mut().enumerate().filter(|(k, _)| k % 5 == 3) {
            *threshold = if k % 2 == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        }
        let on = |device: &Device| {
            let thresholds = tensor(&thresholds, [batch, dim], device);
            nade::draw(thresholds, weights(size, &slices, device)).expect("it has a kernel")
        };
        let drawn = on(&device);
        let x = floats(drawn.clone());
        let logits = floats(nade::logits(drawn, weights(size, &slices, &device)));
        let mut differ = 0;
        for (k, &x) in x.iter().enumerate() {
            if (logits[k] - thresholds[k]).abs() > 1e-4 {
                assert_eq!(x, f32::from(logits[k] > thresholds[k]), "{size:?}, cell {k}");
            } else {
                differ += 1;
            }
        }
        assert!(differ <= 1 + x.len() / 1000, "{size:?}: {differ} too close to tell");
        // And the host draws the same, up to cells that are too close to tell.
        let host = floats(on(&Device::flex()));
        let other =
            x.chunks(dim).zip(host.chunks(dim)).filter(|(here, there)| here != there).count();
        assert!(other <= 1 + batch / 50, "{size:?}: {other} of {batch} rows differ");
    }
}

#[test]
fn the_number_of_launches_does_not_depend_on_the_number_of_positions() {
    let Some((device, _alone)) = wgpu() else { return };
    let count = |size: [usize; 3]| {
        let slices = slices(size);
        let before = launches();
        step(size, &slices, &device, false);
        let trained = launches();
        let thresholds = tensor(&vec![0.0; size[0] * size[1]], [size[0], size[1]], &device);
        floats(nade::draw(thresholds, weights(size, &slices, &device)).unwrap());
        [trained - before, launches() - trained]
    };
    // Logits, rows, slopes, gradients by group and their sum; drawing.
    assert_eq!(count([50, 5, 20]), [5, 1]);
    assert_eq!(count([50, 300, 20]), [5, 1]);
}
