//! The RNADE kernel against plain tensor operations, on every CPU backend that is compiled in; and to the
//! bit for any number of threads.

use ar_kernels::rnade::cpu::{Params, backward, forward};
use ar_kernels::rnade::{Weights, outputs, reference};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// `[batch, dim, outputs, hidden]`: a single number, odd sizes, several chunks and slabs.
const SIZES: [[usize; 4]; 5] =
    [[1, 1, 3, 1], [5, 3, 6, 7], [70, 4, 9, 33], [33, 2, 3, 64], [3, 20, 12, 50]];

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

/// x, then w, c, rho, v, b and a gradient of the outputs.
fn slices([batch, dim, outputs, hidden]: [usize; 4]) -> [Vec<f32>; 7] {
    let sizes = [
        batch * dim,
        dim * hidden,
        hidden,
        dim,
        dim * outputs * hidden,
        dim * outputs,
        batch * dim * outputs,
    ];
    let mut seed = 0;
    sizes.map(|n| {
        seed += 1;
        numbers(n, seed)
    })
}

/// Outputs, and the gradients of w, c, rho, v and b.
fn run(size: [usize; 4], device: &Device, plain: bool) -> Vec<Vec<f32>> {
    let [batch, dim, width, hidden] = size;
    let [x, w, c, rho, v, b, grad] = slices(size);
    let device = device.clone().autodiff();
    let weights = Weights {
        w: Tensor::from_data(TensorData::new(w, [dim, hidden]), &device).require_grad(),
        c: Tensor::from_data(TensorData::new(c, [hidden]), &device).require_grad(),
        rho: Tensor::from_data(TensorData::new(rho, [dim]), &device).require_grad(),
        v: Tensor::from_data(TensorData::new(v, [dim, width, hidden]), &device).require_grad(),
        b: Tensor::from_data(TensorData::new(b, [dim, width]), &device).require_grad(),
    };
    let x = Tensor::<2>::from_data(TensorData::new(x, [batch, dim]), &device);
    let grad = Tensor::<3>::from_data(TensorData::new(grad, [batch, dim, width]), &device);
    let own = weights.clone();
    let out = if plain { reference::outputs(x, own) } else { outputs(x, own) };
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
        let [x, w, c, rho, v, b, grad] = slices(size);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let params = Params { w: &w, c: &c, rho: &rho, v: &v, b: &b };
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            pool.install(|| (bits(forward(&x, params)), bits(backward(&x, params, &grad))))
        };
        let one = with(1);
        for threads in [2, 3, 5] {
            assert!(with(threads) == one, "{size:?} with {threads} threads");
        }
    }
}

#[test]
fn a_number_that_is_none_is_not_hidden() {
    let params =
        Params { w: &[1.0, 1.0], c: &[f32::NAN], rho: &[1.0, 1.0], v: &[1.0, 1.0], b: &[0.0, 0.0] };
    assert!(forward(&[0.0, 0.0], params).iter().all(|o| o.is_nan()));
}
