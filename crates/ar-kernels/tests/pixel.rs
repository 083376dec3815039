//! The image kernels against plain tensor operations, on every CPU backend that is compiled in.

mod layers;

use ar_kernels::pixel::{Convolution, Kind, Lstm, convolution};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use layers::{KINDS, Values, assert_alike, run_convolution};

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

fn run_lstm(spec: Lstm, fused: bool, sizes: [usize; 5], rows: usize, device: &Device) -> Values {
    layers::run_lstm(spec, fused, sizes, rows, [0.8, 1.0], device)
}

/// Batch, height, width, channels, hidden: more columns than rows and the other way, one row, one
/// column, padded units and channels, several registers.
const SIZES: [[usize; 5]; 6] = [
    [3, 4, 6, 5, 3],
    [2, 6, 4, 32, 16],
    [1, 1, 5, 7, 2],
    [2, 5, 1, 3, 20],
    [7, 3, 3, 64, 32],
    [41, 2, 3, 2, 1],
];

#[test]
fn the_layers_and_their_gradients_are_those_of_the_reference() {
    for device in devices().into_iter().map(Device::autodiff) {
        for kind in KINDS {
            for sizes in SIZES {
                for (residual, rows) in [(true, 1), (false, sizes[0])] {
                    let spec = Lstm { kind, residual, recompute: false };
                    let fused = run_lstm(spec, true, sizes, rows, &device);
                    let plain = run_lstm(spec, false, sizes, rows, &device);
                    assert_alike(&fused, &plain, &format!("{spec:?} {sizes:?}"));
                }
            }
        }
    }
}

#[test]
fn computed_again_is_the_same_to_the_bit() {
    let device = devices().remove(0).autodiff();
    for kind in KINDS {
        let run = |recompute| {
            run_lstm(Lstm { kind, residual: true, recompute }, true, SIZES[0], 1, &device)
        };
        assert_eq!(run(true), run(false));
    }
}

#[test]
fn convolutions_and_their_gradients_are_those_of_the_reference() {
    let later = Convolution { taps: vec![[1, 0], [0, 2], [-1, -1]], rectify: false };
    let specs = [Convolution::causal(7, false), Convolution::causal(3, true).rectified(), later];
    for device in devices().into_iter().map(Device::autodiff) {
        for spec in &specs {
            for [batch, height, width, cin, cout] in SIZES {
                for rows in [1, batch] {
                    let sizes = [batch, height, width, cin, cout];
                    let fused = run_convolution(spec, true, sizes, rows, &device);
                    let plain = run_convolution(spec, false, sizes, rows, &device);
                    assert_alike(&fused, &plain, &format!("{spec:?} {sizes:?}"));
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "output 0, value 17")]
fn a_value_that_is_off_is_noticed() {
    // Negative control of the comparisons above.
    let device = devices().remove(0).autodiff();
    let spec = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
    let fused = run_lstm(spec, true, SIZES[0], 1, &device);
    let mut off = run_lstm(spec, false, SIZES[0], 1, &device);
    let mut values: Vec<f32> = off[0].iter::<f32>().collect();
    values[17] += 1e-2;
    off[0] = TensorData::new(values, off[0].shape().clone());
    assert_alike(&fused, &off, "off");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = devices().remove(0).autodiff();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let spec = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
            let mut all = run_lstm(spec, true, [43, 5, 4, 9, 6], 1, &device);
            let spec = Convolution::causal(3, true);
            all.extend(run_convolution(&spec, true, [43, 5, 4, 9, 6], 1, &device));
            all
        })
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(one, run(threads), "{threads} threads");
    }
}

#[test]
fn an_empty_batch_is_no_special_case() {
    for device in devices() {
        let x = Tensor::<4>::random([0, 3, 3, 2], Distribution::Default, &device);
        let weights = Tensor::<3>::ones([24, 2, 5], &device);
        let y =
            convolution(&Convolution::causal(7, false), x, weights, Tensor::ones([1, 5], &device));
        assert_eq!(y.dims(), [0, 3, 3, 5]);
    }
}
