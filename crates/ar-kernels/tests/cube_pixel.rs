//! Convolutions and recurrent layers on whatever wgpu device answers: equal to the CPU kernels and to plain tensor
//! operations, causal, the same bits each time, and a number of launches that does not depend on the image.
//!
//! Where no device answers the tests say so and pass; with `CHAINRULE_WGPU=required` they fail.

#![cfg(all(feature = "wgpu", feature = "flex"))]

mod gpu;
mod layers;

use ar_kernels::launches;
use ar_kernels::pixel::{Convolution, Kind, Lstm, lstm};
use burn::tensor::{Device, Tensor, TensorData};
use gpu::{floats, numbers, wgpu};
use layers::{KINDS, Values, assert_alike};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// Batch, height, width, channels, hidden: more columns than rows and the other way, one row, one column, a batch
/// of one, more items in a wavefront than a cube has units.
const SIZES: [[usize; 5]; 7] = [
    [3, 4, 6, 5, 3],
    [2, 6, 4, 16, 16],
    [1, 1, 5, 7, 2],
    [2, 5, 1, 3, 20],
    [7, 3, 3, 20, 32],
    [1, 1, 1, 1, 1],
    [2, 21, 19, 8, 101],
];

/// Of many hidden units each says less, so that gates are neither shut nor open.
fn scales([.., hidden]: [usize; 5]) -> [f32; 2] {
    [1.0 / (hidden as f32).sqrt(); 2]
}

fn rows_of([batch, ..]: [usize; 5], rows: bool) -> usize {
    if rows { batch } else { 1 }
}

fn run_lstm(spec: Lstm, fused: bool, sizes: [usize; 5], rows: bool, device: &Device) -> Values {
    let device = device.clone().autodiff();
    layers::run_lstm(spec, fused, sizes, rows_of(sizes, rows), scales(sizes), &device)
}

fn run_convolution(spec: &Convolution, sizes: [usize; 5], rows: bool, device: &Device) -> Values {
    let device = device.clone().autodiff();
    layers::run_convolution(spec, true, sizes, rows_of(sizes, rows), &device)
}

#[test]
fn layers_and_their_gradients_are_those_of_the_cpu_kernels() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        for sizes in SIZES {
            for (residual, rows) in [(true, false), (false, true)] {
                let spec = Lstm { kind, residual, recompute: false };
                let here = run_lstm(spec, true, sizes, rows, &device);
                let there = run_lstm(spec, true, sizes, rows, &Device::flex());
                assert_alike(&here, &there, &format!("{spec:?} {sizes:?}"));
            }
        }
    }
}

#[test]
fn layers_and_their_gradients_are_those_of_plain_operations() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        let spec = Lstm { kind, residual: true, recompute: false };
        let here = run_lstm(spec, true, SIZES[0], false, &device);
        let plain = run_lstm(spec, false, SIZES[0], false, &device);
        assert_alike(&here, &plain, &format!("{spec:?}"));
    }
}

#[test]
#[should_panic(expected = "output 3")]
fn a_gradient_that_is_off_is_noticed() {
    // Negative control of the comparisons above. Where there is no device there is nothing to notice.
    let Some((device, _alone)) = wgpu() else { panic!("output 3: no device") };
    let spec = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
    let here = run_lstm(spec, true, SIZES[0], false, &device);
    let mut off = run_lstm(spec, true, SIZES[0], false, &Device::flex());
    let mut values: Vec<f32> = off[3].iter::<f32>().collect();
    values[17] += 1e-2;
    off[3] = TensorData::new(values, off[3].shape().clone());
    assert_alike(&here, &off, "off");
}

#[test]
fn computed_again_and_run_again_it_is_the_same_to_the_bit() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        let run = |recompute| {
            let spec = Lstm { kind, residual: true, recompute };
            run_lstm(spec, true, SIZES[0], false, &device)
        };
        let first = run(false);
        assert!(run(false) == first, "{kind:?}");
        assert!(run(true) == first, "{kind:?}, computed again");
    }
}

#[test]
fn a_cell_depends_on_earlier_pixels_only() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        let sizes @ [_, height, width, channels, _] = [1, 4, 5, 2, 6];
        let spec = Lstm { kind, residual: false, recompute: false };
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let on = device.clone().autodiff();
        let weights = layers::weights(spec, sizes, 1, scales(sizes), rng, &on);
        let values = numbers(height * width * channels, 9);
        let run = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, height, width, channels]);
            let x = Tensor::from_data(data, &on);
            floats(lstm(spec, x, weights.clone()).inner())
        };
        let expected = run(&values);
        for changed in 0..height * width {
            let mut other = values.clone();
            other[changed * channels] += 1.0;
            let here = run(&other);
            let moved =
                |p: usize| here[p * channels..][..channels] != expected[p * channels..][..channels];
            assert!((0..changed).all(|p| !moved(p)), "{kind:?}: pixel {changed} is seen before it");
            assert!(moved(changed), "{kind:?}: pixel {changed} is not seen by its own cell");
        }
    }
}

#[test]
fn convolutions_and_their_gradients_are_those_of_the_cpu_kernels() {
    let Some((device, _alone)) = wgpu() else { return };
    let later = Convolution { taps: vec![[1, 0], [0, 2], [-1, -1]], rectify: false };
    let pixelwise = Convolution { taps: vec![[0, 0]], rectify: true };
    let specs =
        [Convolution::causal(7, false), Convolution::causal(3, true).rectified(), later, pixelwise];
    for spec in &specs {
        for sizes in [[3, 4, 6, 5, 3], [1, 1, 5, 7, 2], [2, 5, 1, 3, 20], [5, 9, 8, 16, 33]] {
            for rows in [false, true] {
                let here = run_convolution(spec, sizes, rows, &device);
                let there = run_convolution(spec, sizes, rows, &Device::flex());
                assert_alike(&here, &there, &format!("{spec:?} {sizes:?}"));
            }
        }
    }
}

#[test]
fn the_number_of_launches_does_not_depend_on_the_image() {
    let Some((device, _alone)) = wgpu() else { return };
    let count = |spec: Lstm, sizes: [usize; 5]| {
        let before = launches();
        run_lstm(spec, true, sizes, false, &device);
        launches() - before
    };
    for kind in KINDS {
        let spec = Lstm { kind, residual: true, recompute: false };
        // The states, their slopes, what was before them, the initial states' gradients; for rows the inputs are
        // gathered, and their gradients.
        let expected = if kind == Kind::Row { 6 } else { 4 };
        assert_eq!(count(spec, [2, 3, 3, 4, 4]), expected, "{kind:?}");
        assert_eq!(count(spec, [2, 14, 12, 4, 4]), expected, "{kind:?}");
    }
}
