//! Convolutions and recurrent layers on whatever wgpu device answers: equal to the CPU kernels and to plain tensor
//! operations, causal, the same bits each time, and a number of launches that does not depend on the image.
//!
//! Where no device answers the tests say so and pass; with `CHAINRULE_WGPU=required` they fail.

#![cfg(all(feature = "wgpu", feature = "flex"))]

mod gpu;

use ar_kernels::launches;
use ar_kernels::pixel::{Convolution, Kind, Lstm, Weights, convolution, lstm, reference};
use burn::tensor::{Device, Tensor, TensorData};
use gpu::{gap, numbers, wgpu};

/// Largest difference, relative to the largest number of its tensor.
const TOLERANCE: f64 = 2e-5;

const KINDS: [Kind; 3] = [Kind::Row, Kind::Diagonal, Kind::DiagonalBoth];

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

/// Where the numbers of a layer are.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Kernels,
    Plain,
}

fn leaf<const D: usize>(shape: [usize; D], scale: f32, seed: u64, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed).into_iter().map(|x| x * scale).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, shape), device).require_grad()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn weights(
    spec: Lstm,
    [batch, .., channels, hidden]: [usize; 5],
    rows: bool,
    device: &Device,
) -> Weights {
    let directions = spec.directions();
    let (count, is, ss) =
        (directions.len(), directions[0].input_taps.len(), directions[0].state_taps.len());
    let scale = 1.0 / (hidden as f32).sqrt();
    Weights {
        input_to_state: leaf([count, is, channels, 4 * hidden], 0.8, 2, device),
        state_to_state: leaf([count, ss, hidden, 4 * hidden], scale, 3, device),
        bias: leaf([count, if rows { batch } else { 1 }, 4 * hidden], 1.0, 4, device),
        initial: leaf([count, 2, hidden], 1.0, 5, device),
        up: leaf([hidden, channels], scale, 6, device),
        up_bias: leaf([channels], 1.0, 7, device),
    }
}

/// Output and gradients of a layer: x first, then the weights.
fn run_lstm(spec: Lstm, on: On, sizes: [usize; 5], rows: bool, device: &Device) -> Vec<Vec<f32>> {
    let device = &device.clone().autodiff();
    let [batch, height, width, channels, _] = sizes;
    let x = leaf([batch, height, width, channels], 1.0, 1, device);
    let weights = weights(spec, sizes, rows, device);
    let slopes = leaf([batch, height, width, channels], 1.0, 8, device).detach();
    let run = if on == On::Kernels { lstm } else { reference::lstm };
    let y = run(spec, x.clone(), weights.clone());
    let grads = (y.clone() * slopes).sum().backward();
    vec![
        floats(y.inner()),
        floats(x.grad(&grads).unwrap()),
        floats(weights.input_to_state.grad(&grads).unwrap()),
        floats(weights.state_to_state.grad(&grads).unwrap()),
        floats(weights.bias.grad(&grads).unwrap()),
        floats(weights.initial.grad(&grads).unwrap()),
        floats(weights.up.grad(&grads).unwrap()),
        floats(weights.up_bias.grad(&grads).unwrap()),
    ]
}

fn run_convolution(
    spec: &Convolution,
    on: On,
    [batch, height, width, cin, cout]: [usize; 5],
    rows: bool,
    device: &Device,
) -> Vec<Vec<f32>> {
    let device = &device.clone().autodiff();
    let x = leaf([batch, height, width, cin], 1.0, 1, device);
    let weights = leaf([spec.taps.len(), cin, cout], 1.0, 2, device);
    let bias = leaf([if rows { batch } else { 1 }, cout], 1.0, 3, device);
    let slopes = leaf([batch, height, width, cout], 1.0, 4, device).detach();
    let run = if on == On::Kernels { convolution } else { reference::convolution };
    let y = run(spec, x.clone(), weights.clone(), bias.clone());
    let grads = (y.clone() * slopes).sum().backward();
    vec![
        floats(y.inner()),
        floats(x.grad(&grads).unwrap()),
        floats(weights.grad(&grads).unwrap()),
        floats(bias.grad(&grads).unwrap()),
    ]
}

fn assert_alike(here: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    for (k, (here, expected)) in here.iter().zip(expected).enumerate() {
        let gap = gap(here, expected);
        assert!(gap < TOLERANCE, "{what}: output {k}: {gap:e}");
    }
}

#[test]
fn layers_and_their_gradients_are_those_of_the_cpu_kernels() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        for sizes in SIZES {
            for (residual, rows) in [(true, false), (false, true)] {
                let spec = Lstm { kind, residual, recompute: false };
                let here = run_lstm(spec, On::Kernels, sizes, rows, &device);
                let there = run_lstm(spec, On::Kernels, sizes, rows, &Device::flex());
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
        let here = run_lstm(spec, On::Kernels, SIZES[0], false, &device);
        let plain = run_lstm(spec, On::Plain, SIZES[0], false, &device);
        assert_alike(&here, &plain, &format!("{spec:?}"));
    }
}

#[test]
#[should_panic(expected = "output 3")]
fn a_gradient_that_is_off_is_noticed() {
    // Negative control of the comparisons above. Where there is no device there is nothing to notice.
    let Some((device, _alone)) = wgpu() else { panic!("output 3: no device") };
    let spec = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
    let here = run_lstm(spec, On::Kernels, SIZES[0], false, &device);
    let mut off = run_lstm(spec, On::Kernels, SIZES[0], false, &Device::flex());
    off[3][17] += 1e-2;
    assert_alike(&here, &off, "off");
}

#[test]
fn computed_again_and_run_again_it_is_the_same_to_the_bit() {
    let Some((device, _alone)) = wgpu() else { return };
    for kind in KINDS {
        let run = |recompute| {
            let spec = Lstm { kind, residual: true, recompute };
            run_lstm(spec, On::Kernels, SIZES[0], false, &device)
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
        let weights = weights(spec, sizes, false, &device.clone().autodiff());
        let values = numbers(height * width * channels, 9);
        let run = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, height, width, channels]);
            let x = Tensor::from_data(data, &device.clone().autodiff());
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
                let here = run_convolution(spec, On::Kernels, sizes, rows, &device);
                let there = run_convolution(spec, On::Kernels, sizes, rows, &Device::flex());
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
        run_lstm(spec, On::Kernels, sizes, false, &device);
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
