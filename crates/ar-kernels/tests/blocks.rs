//! The recurrence over blocks against plain tensor operations, on every CPU backend that is compiled in; and to
//! the bit for any number of threads.

use ar_kernels::blocks::cpu::{Params, backward, forward};
use ar_kernels::blocks::{Blocks, Input, Weights, outputs, reference};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Rows, features and outputs of each position, and hidden units.
type Size = (usize, &'static [usize], &'static [usize], usize);

/// A single number, odd sizes, several chunks, groups of rows and slabs, as RNADE has them; categories beside numbers; positions
/// that nothing is conditioned on, or of which nothing is asked.
const SIZES: [Size; 8] = [
    (1, &[1], &[3], 1),
    (5, &[1, 1, 1], &[6, 6, 6], 7),
    (70, &[1, 1, 1, 1], &[9, 9, 9, 9], 33),
    (33, &[1, 1], &[3, 3], 64),
    (3, &[1; 20], &[12; 20], 50),
    (67, &[4, 1, 2, 1, 7], &[4, 6, 7, 9, 7], 40),
    (9, &[3, 0, 2], &[2, 5, 0], 17),
    (530, &[1, 70, 2], &[6, 70, 4], 100),
];

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// x, whose widest blocks are one-hot; then w, c, rho, v, b and a gradient of the outputs.
fn slices((batch, features, outputs, hidden): Size) -> [Vec<f32>; 7] {
    let (inputs, dim) = (features.iter().sum::<usize>(), features.len());
    let width = outputs.iter().sum::<usize>();
    let sizes =
        [batch * inputs, inputs * hidden, hidden, dim, width * hidden, width, batch * width];
    let mut seed = 0;
    let mut slices = sizes.map(|n| {
        seed += 1;
        numbers(n, seed)
    });
    let blocks = Blocks::new(features, outputs);
    for (i, row) in slices[0].chunks_exact_mut(inputs).enumerate() {
        for t in (0..dim).filter(|&t| features[t] > 2) {
            for (k, x) in row[blocks.features_of(t)].iter_mut().enumerate() {
                *x = f32::from(k == (3 * i + t) % features[t]);
            }
        }
    }
    slices
}

/// Outputs, and the gradients of w, c, rho, v and b.
fn run(size: Size, device: &Device, plain: bool) -> Vec<Vec<f32>> {
    let (batch, features, widths, hidden) = size;
    let blocks = Blocks::new(features, widths);
    let (inputs, width) = (blocks.features(), blocks.outputs());
    let [x, w, c, rho, v, b, grad] = slices(size);
    let device = device.clone().autodiff();
    let weights = Weights {
        w: Tensor::from_data(TensorData::new(w, [inputs, hidden]), &device).require_grad(),
        c: Tensor::from_data(TensorData::new(c, [hidden]), &device).require_grad(),
        rho: Tensor::from_data(TensorData::new(rho, [blocks.dim()]), &device).require_grad(),
        v: Tensor::from_data(TensorData::new(v, [width, hidden]), &device).require_grad(),
        b: Tensor::from_data(TensorData::new(b, [width]), &device).require_grad(),
    };
    let x = Tensor::<2>::from_data(TensorData::new(x, [batch, inputs]), &device);
    let grad = Tensor::<2>::from_data(TensorData::new(grad, [batch, width]), &device);
    let own = weights.clone();
    let out = if plain { reference::outputs(x, own, &blocks) } else { outputs(x, own, &blocks) };
    let grads = (out.clone() * grad).sum().backward();
    vec![
        out.inner().into_data().iter::<f32>().collect(),
        gradient(&weights.w, &grads),
        gradient(&weights.c, &grads),
        gradient(&weights.rho, &grads),
        gradient(&weights.v, &grads),
        gradient(&weights.b, &grads),
    ]
}

/// Zeros where there is none: of a single variable, plain operations never read W.
fn gradient<const D: usize>(weights: &Tensor<D>, grads: &Gradients) -> Vec<f32> {
    let grad = weights.grad(grads).unwrap_or_else(|| weights.clone().inner().zeros_like());
    grad.into_data().iter::<f32>().collect()
}

#[test]
fn outputs_and_gradients_are_those_of_plain_operations() {
    for device in devices() {
        for size in SIZES {
            let (fused, plain) = (run(size, &device, false), run(size, &device, true));
            for (k, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                assert_eq!(fused.len(), plain.len());
                let scale = plain.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
                for (a, b) in fused.iter().zip(plain) {
                    assert!((a - b).abs() <= 2e-5 * scale, "{size:?}, result {k}: {a} and {b}");
                }
            }
        }
    }
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    for size in SIZES {
        let blocks = Blocks::new(size.1, size.2);
        let [x, w, c, rho, v, b, grad] = slices(size);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let params = Params { w: &w, c: &c, rho: &rho, v: &v, b: &b, blocks: &blocks };
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            pool.install(|| (bits(forward(&x, params)), bits(backward(&x, params, &grad))))
        };
        let one = with(1);
        for threads in [2, 3, 5] {
            assert!(with(threads) == one, "{size:?} with {threads} threads");
        }
    }
}

/// The columns of [`slices`] that are one-hot, as the indices of their ones; every seventh is no label.
fn indices(x: &[f32], features: &[usize]) -> (Vec<Input>, [Vec<f32>; 2]) {
    let input = |&m: &usize| if m > 2 { Input::Label(m) } else { Input::Numbers(m) };
    let each: Vec<Input> = features.iter().map(input).collect();
    let (mut dense, mut short) = (x.to_vec(), Vec::new());
    let mut count = 0;
    for row in dense.chunks_exact_mut(features.iter().sum()) {
        let mut rest = row;
        for &input in &each {
            let (own, others) = rest.split_at_mut(input.features());
            match input {
                Input::Numbers(_) => short.extend_from_slice(own),
                Input::Label(labels) => {
                    count += 1;
                    if count % 7 == 0 {
                        own.fill(0.0);
                        short.push([labels as f32, -1.0, 0.5, f32::NAN][count / 7 % 4]);
                    } else {
                        short.push(own.iter().position(|&x| x == 1.0).unwrap() as f32);
                    }
                }
            }
            rest = others;
        }
    }
    (each, [dense, short])
}

#[test]
fn labels_are_their_ones() {
    for size in [SIZES[5], (130, &[3, 1, 9, 2], &[6, 3, 9, 1], 50), (1, &[5, 3], &[5, 3], 3)] {
        let [x, w, c, rho, v, b, grad] = slices(size);
        let (each, [dense, short]) = indices(&x, size.1);
        let run = |blocks: &Blocks, x: &[f32]| {
            let params = Params { w: &w, c: &c, rho: &rho, v: &v, b: &b, blocks };
            [forward(x, params), backward(x, params, &grad)]
        };
        let blocks = Blocks::of(&each, size.2);
        let [ones, labels] = [run(&Blocks::new(size.1, size.2), &dense), run(&blocks, &short)];
        assert!(ones == labels, "{size:?}");
        // And as plain operations, on the device's own tensors.
        for device in devices() {
            let weights = Weights {
                w: Tensor::from_data(
                    TensorData::new(w.clone(), [w.len() / size.3, size.3]),
                    &device,
                ),
                c: Tensor::from_data(TensorData::new(c.clone(), [size.3]), &device),
                rho: Tensor::from_data(TensorData::new(rho.clone(), [rho.len()]), &device),
                v: Tensor::from_data(TensorData::new(v.clone(), [b.len(), size.3]), &device),
                b: Tensor::from_data(TensorData::new(b.clone(), [b.len()]), &device),
            };
            let x = TensorData::new(short.clone(), [size.0, blocks.inputs()]);
            let x = Tensor::<2>::from_data(x, &device);
            let plain = reference::outputs(x, weights, &blocks).into_data();
            for (a, b) in labels[0].iter().zip(plain.iter::<f32>()) {
                assert!((a - b).abs() <= 2e-5, "{size:?}: {a} and {b}");
            }
        }
    }
}

#[test]
fn a_number_that_is_none_is_not_hidden() {
    let blocks = Blocks::alike(2, 1, 1);
    let params = Params {
        w: &[1.0, 1.0],
        c: &[f32::NAN],
        rho: &[1.0, 1.0],
        v: &[1.0, 1.0],
        b: &[0.0, 0.0],
        blocks: &blocks,
    };
    assert!(forward(&[0.0, 0.0], params).iter().all(|o| o.is_nan()));
}
