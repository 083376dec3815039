//! The same in plain tensor operations: the oracle of the kernels, the fallback on devices without
//! them, and what the laws are checked on in f64.

use burn::tensor::activation::sigmoid;
use burn::tensor::ops::PadMode;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Convolution, Direction, Lstm, Tap, Weights};

/// [`super::convolution`].
pub fn convolution(
    spec: &Convolution,
    x: Tensor<4>,
    weights: Tensor<3>,
    bias: Tensor<2>,
) -> Tensor<4> {
    let [batch, height, width, _] = x.dims();
    let [taps, cin, cout] = weights.dims();
    assert_eq!(taps, spec.taps.len(), "weights must be [taps, in, out]");
    let rows = bias.dims()[0];
    if batch == 0 {
        // ndarray divides by the batch of a product.
        return Tensor::empty([0, height, width, cout], (&x.device(), x.dtype()));
    }
    let x = if spec.rectify { burn::tensor::activation::relu(x) } else { x };
    let y = over_taps(x, &spec.taps, weights.reshape([1, taps, cin, cout]), 0);
    y + bias.reshape([rows, 1, 1, cout])
}

/// `Σ_taps x[p + tap] · weights[direction, tap]`, 0 outside.
fn over_taps(x: Tensor<4>, taps: &[Tap], weights: Tensor<4>, direction: usize) -> Tensor<4> {
    let [batch, height, width, cin] = x.dims();
    let [_, _, _, cout] = weights.dims();
    let reach = |f: fn(&Tap) -> isize| taps.iter().map(f).max().unwrap_or(0).max(0) as usize;
    let (up, down) = (reach(|t| -t[0]), reach(|t| t[0]));
    let (left, right) = (reach(|t| -t[1]), reach(|t| t[1]));
    let padded = x.pad([(0, 0), (up, down), (left, right), (0, 0)], PadMode::Constant(0.0));
    let terms = taps.iter().enumerate().map(|(k, &[row, column])| {
        let seen = padded
            .clone()
            .narrow(1, (up as isize + row) as usize, height)
            .narrow(2, (left as isize + column) as usize, width)
            .reshape([batch * height * width, cin]);
        let weight = weights.clone().narrow(0, direction, 1).narrow(1, k, 1).reshape([cin, cout]);
        seen.matmul(weight)
    });
    let sum = terms.reduce(|a, b| a + b).expect("a convolution has taps");
    sum.reshape([batch, height, width, cout])
}

/// [`super::lstm`].
pub fn lstm(spec: Lstm, x: Tensor<4>, weights: Weights) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let [_, _, hidden] = weights.initial.dims();
    if batch == 0 {
        return x;
    }
    let states = spec.directions().into_iter().enumerate().map(|(d, direction)| {
        let [_, rows, gates] = weights.bias.dims();
        let bias = weights.bias.clone().narrow(0, d, 1).reshape([rows, 1, 1, gates]);
        let is = weights.input_to_state.clone();
        let z = over_taps(x.clone(), &direction.input_taps, is, d) + bias;
        let h = states(&direction, d, z, &weights); // [batch, height, width, hidden]
        let shift = direction.shift;
        let below = h.pad([(0, 0), (shift, 0), (0, 0), (0, 0)], PadMode::Constant(0.0));
        below.narrow(1, 0, height)
    });
    let sum = states.reduce(|a, b| a + b).expect("a layer has a direction");
    let up = sum.reshape([batch * height * width, hidden]).matmul(weights.up);
    let y =
        up.reshape([batch, height, width, channels]) + weights.up_bias.reshape([1, 1, 1, channels]);
    if spec.residual { y + x } else { y }
}

/// h of every cell from the inputs of its gates, one cell's column of states at a time.
fn states(direction: &Direction, d: usize, z: Tensor<4>, weights: &Weights) -> Tensor<4> {
    let [batch, height, width, gates] = z.dims();
    let hidden = gates / 4;
    let [_, taps, _, _] = weights.state_to_state.dims();
    let k_ss = weights.state_to_state.clone().narrow(0, d, 1).reshape([taps * hidden, gates]);
    let first = |part: usize| {
        weights.initial.clone().narrow(0, d, 1).narrow(1, part, 1).reshape([1, 1, hidden])
    };
    let (h_0, c_0) = (first(0), first(1));
    if direction.cell_tap == [-1, 0] {
        // Rows.
        let mut h = h_0.expand([batch, width, hidden]);
        let mut c = c_0.expand([batch, width, hidden]);
        let mut rows = Vec::with_capacity(height);
        for row in 0..height {
            let padded = h.pad([(0, 0), (1, 1), (0, 0)], PadMode::Constant(0.0));
            let before: Vec<Tensor<3>> = direction
                .state_taps
                .iter()
                .map(|tap| padded.clone().narrow(1, (1 + tap[1]) as usize, width))
                .collect();
            let z = z.clone().narrow(1, row, 1).reshape([batch, width, gates]);
            (h, c) = step(z, Tensor::cat(before, 2), c, k_ss.clone());
            rows.push(h.clone().unsqueeze_dim::<4>(1));
        }
        return Tensor::cat(rows, 1);
    }
    // Diagonals t = row + column of the image as its direction sees it, of valid cells alone.
    let right_to_left = direction.cell_tap[1] > 0;
    let z = if right_to_left { z.flip([2]) } else { z };
    let z = z.reshape([batch, height * width, gates]);
    let mut order = Vec::with_capacity(height * width);
    let mut fronts = Vec::with_capacity(height + width);
    let (mut h, mut c) = (None::<Tensor<3>>, None::<Tensor<3>>);
    let mut first_row = 0;
    for t in 0..height + width - 1 {
        let rows = t.saturating_sub(width - 1)..t.min(height - 1) + 1;
        let cells: Vec<i32> = rows.clone().map(|r| (r * width + t - r) as i32).collect();
        let count = cells.len();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(cells.clone(), [count]), &z.device());
        order.extend(cells);
        let z = z.clone().select(1, indices); // [batch, cells, gates]
        // The diagonal before holds rows `first_row..`; the cell to the left has the same row.
        let (left, up, before) = match (&h, &c) {
            (Some(h), Some(c)) => {
                let [_, held, _] = h.dims();
                let from = rows.start - first_row;
                let inside = (held - from).min(count);
                let with_first = |x: &Tensor<3>, first: &Tensor<3>| {
                    let own = (inside > 0).then(|| x.clone().narrow(1, from, inside));
                    let first = (inside < count)
                        .then(|| first.clone().expand([batch, count - inside, hidden]));
                    Tensor::cat(own.into_iter().chain(first).collect(), 1)
                };
                let up = if rows.start == 0 {
                    let top = Tensor::zeros([batch, 1, hidden], (&z.device(), z.dtype()));
                    if count == 1 {
                        top
                    } else {
                        Tensor::cat(vec![top, h.clone().narrow(1, 0, count - 1)], 1)
                    }
                } else {
                    h.clone().narrow(1, rows.start - 1 - first_row, count)
                };
                (with_first(h, &h_0), up, with_first(c, &c_0))
            }
            _ => {
                let shape = [batch, 1, hidden];
                let top = Tensor::zeros(shape, (&z.device(), z.dtype()));
                (h_0.clone().expand(shape), top, c_0.clone().expand(shape))
            }
        };
        let (next_h, next_c) = step(z, Tensor::cat(vec![up, left], 2), before, k_ss.clone());
        first_row = rows.start;
        fronts.push(next_h.clone());
        (h, c) = (Some(next_h), Some(next_c));
    }
    let mut inverse = vec![0_i32; order.len()];
    for (place, &cell) in order.iter().enumerate() {
        inverse[cell as usize] = place as i32;
    }
    let inverse = Tensor::<1, Int>::from_data(TensorData::new(inverse, [order.len()]), &z.device());
    let h = Tensor::cat(fronts, 1).select(1, inverse).reshape([batch, height, width, hidden]);
    if right_to_left { h.flip([2]) } else { h }
}

/// One step of an LSTM for `[batch, cells]`: new h and c.
fn step(z: Tensor<3>, before: Tensor<3>, c: Tensor<3>, k_ss: Tensor<2>) -> (Tensor<3>, Tensor<3>) {
    let [batch, cells, gates] = z.dims();
    let hidden = gates / 4;
    let [_, _, depth] = before.dims();
    let z = z + before.reshape([batch * cells, depth]).matmul(k_ss).reshape([batch, cells, gates]);
    let gate = |k: usize| z.clone().narrow(2, k * hidden, hidden);
    let (o, f, i) = (sigmoid(gate(0)), sigmoid(gate(1)), sigmoid(gate(2)));
    let c = f * c + i * gate(3).tanh();
    (o * c.clone().tanh(), c)
}
