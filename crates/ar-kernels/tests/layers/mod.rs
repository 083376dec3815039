//! Image kernels and their gradients on random numbers, for the tests of each kind of device.

use ar_kernels::pixel::{Convolution, Kind, Lstm, Weights, convolution, lstm, reference};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// A leaf of the graph with values from [-1, 1) · `scale`.
pub(crate) fn leaf<const D: usize>(
    shape: [usize; D],
    scale: f32,
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Tensor<D> {
    let n = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * scale).collect();
    Tensor::from_data(TensorData::new(values, shape), device).require_grad()
}

/// An output, then gradients.
pub(crate) type Values = Vec<TensorData>;

/// The weights of a layer with `rows` rows of biases; those from state to state and from there up are within `scales`.
pub(crate) fn weights(
    spec: Lstm,
    [.., channels, hidden]: [usize; 5],
    rows: usize,
    scales: [f32; 2],
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Weights {
    let directions = spec.directions();
    let (count, is, ss) =
        (directions.len(), directions[0].input_taps.len(), directions[0].state_taps.len());
    Weights {
        input_to_state: leaf([count, is, channels, 4 * hidden], 0.8, rng, device),
        state_to_state: leaf([count, ss, hidden, 4 * hidden], scales[0], rng, device),
        bias: leaf([count, rows, 4 * hidden], 1.0, rng, device),
        initial: leaf([count, 2, hidden], 1.0, rng, device),
        up: leaf([hidden, channels], scales[1], rng, device),
        up_bias: leaf([channels], 1.0, rng, device),
    }
}

/// Output and gradients of a layer: x first, then the weights.
pub(crate) fn run_lstm(
    spec: Lstm,
    fused: bool,
    sizes: [usize; 5],
    rows: usize,
    scales: [f32; 2],
    device: &Device,
) -> Values {
    let [batch, height, width, channels, _] = sizes;
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let x = leaf([batch, height, width, channels], 1.0, rng, device);
    let weights = weights(spec, sizes, rows, scales, rng, device);
    let slopes = leaf([batch, height, width, channels], 1.0, rng, device).detach();
    let run = if fused { lstm } else { reference::lstm };
    let y = run(spec, x.clone(), weights.clone());
    let grads = (y.clone() * slopes).sum().backward();
    vec![
        y.inner().into_data(),
        x.grad(&grads).unwrap().into_data(),
        weights.input_to_state.grad(&grads).unwrap().into_data(),
        weights.state_to_state.grad(&grads).unwrap().into_data(),
        weights.bias.grad(&grads).unwrap().into_data(),
        weights.initial.grad(&grads).unwrap().into_data(),
        weights.up.grad(&grads).unwrap().into_data(),
        weights.up_bias.grad(&grads).unwrap().into_data(),
    ]
}

/// Output and gradients of a convolution: x first, then weights and biases.
pub(crate) fn run_convolution(
    spec: &Convolution,
    fused: bool,
    [batch, height, width, cin, cout]: [usize; 5],
    rows: usize,
    device: &Device,
) -> Values {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let x = leaf([batch, height, width, cin], 1.0, rng, device);
    let weights = leaf([spec.taps.len(), cin, cout], 1.0, rng, device);
    let bias = leaf([rows, cout], 1.0, rng, device);
    let slopes = leaf([batch, height, width, cout], 1.0, rng, device).detach();
    let run = if fused { convolution } else { reference::convolution };
    let y = run(spec, x.clone(), weights.clone(), bias.clone());
    let grads = (y.clone() * slopes).sum().backward();
    vec![
        y.inner().into_data(),
        x.grad(&grads).unwrap().into_data(),
        weights.grad(&grads).unwrap().into_data(),
        bias.grad(&grads).unwrap().into_data(),
    ]
}

/// That all numbers are within 2e-5 of what is expected, relative to the largest number of their tensor.
pub(crate) fn assert_alike(found: &Values, expected: &Values, what: &str) {
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.shape(), expected.shape(), "{what}: output {k}");
        let (found, expected): (Vec<f32>, Vec<f32>) =
            (found.iter::<f32>().collect(), expected.iter::<f32>().collect());
        let scale = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        for (at, (f, e)) in found.iter().zip(&expected).enumerate() {
            assert!((f - e).abs() <= 2e-5 * scale, "{what}: output {k}, value {at}: {f} {e}");
        }
    }
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Row, Kind::Diagonal, Kind::DiagonalBoth];
