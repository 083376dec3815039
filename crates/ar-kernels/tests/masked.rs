//! Masked layers against plain tensor operations, on every CPU backend that is compiled in; and to the bit for any
//! number of threads.

use ar_kernels::blocks::{Blocks, Input};
use ar_kernels::masked::{self, Degrees, cpu, reference};
use burn::tensor::{Device, Tensor, TensorData};
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

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// Some of `most + 1` degrees.
fn degrees(n: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(0..=most as u64) as usize).collect()
}

/// Rows, units below and above: one, odd ones, several strips, blocks and chunks.
const SIZES: [[usize; 3]; 7] =
    [[1, 1, 1], [2, 3, 5], [7, 20, 64], [13, 70, 65], [33, 64, 130], [100, 40, 3], [530, 90, 300]];

/// A product, with its gradients.
struct Linear {
    size: [usize; 3],
    degrees: Degrees,
    /// x, W, c, and the gradient of the result.
    values: [Vec<f32>; 4],
}

impl Linear {
    /// Degrees by chance, or sorted (as outputs are), or such that none sees any.
    fn all() -> Vec<Self> {
        let of = |[batch, below, above]: [usize; 3], kind: usize| {
            let (mut m, mut n) = (degrees(below, 9, 1), degrees(above, 9, 2));
            match kind {
                0 => {}
                1 => n.sort_unstable(),
                2 => m.iter_mut().for_each(|m| *m += 10),
                _ => n.iter_mut().for_each(|n| *n += 10),
            }
            let values = [
                numbers(batch * below, 3),
                numbers(below * above, 4),
                numbers(above, 5),
                numbers(batch * above, 6),
            ];
            Self { size: [batch, below, above], degrees: Degrees::new(&m, &n), values }
        };
        SIZES.into_iter().flat_map(|size| (0..4).map(move |kind| of(size, kind))).collect()
    }

    /// The result, and the gradients of x, W and c.
    fn run(&self, device: &Device, plain: bool, degrees: &Degrees) -> Vec<Vec<f32>> {
        let (device, [_, below, above]) = (device.clone().autodiff(), self.size);
        let [x, w, c, grad] = &self.values;
        let (x, w) = (matrix(x, below, &device), matrix(w, above, &device));
        let (x, w, c) = (x.require_grad(), w.require_grad(), vector(c, &device).require_grad());
        let op = if plain { reference::linear } else { masked::linear };
        let out = op(x.clone(), w.clone(), c.clone(), degrees);
        let grads = (out.clone() * matrix(grad, above, &device)).sum().backward();
        let of = |weights: &Tensor<2>| host(weights.grad(&grads).expect("the loss has one"));
        vec![host(out.inner()), of(&x), of(&w), host(c.grad(&grads).expect("likewise"))]
    }
}

/// Looked-up rows, with their gradients.
struct Rows {
    width: usize,
    degrees: Degrees,
    blocks: Blocks,
    /// x, W, c, and the gradient of the result.
    values: [Vec<f32>; 4],
}

impl Rows {
    fn new([batch, width]: [usize; 2]) -> Self {
        let inputs = [
            Input::Label(3),
            Input::Numbers(2),
            Input::Label(90),
            Input::Numbers(0),
            Input::Label(1),
            Input::Numbers(1),
        ];
        let blocks = Blocks::of(&inputs, &[1; 6]);
        let mut x = numbers(batch * blocks.inputs(), 3);
        for (i, x) in x.chunks_exact_mut(blocks.inputs()).enumerate() {
            // One more than there are is another label.
            for (at, labels) in [(0, 3), (3, 90), (4, 1)] {
                x[at] = ((7 * i + at) % (labels + 1)) as f32;
            }
        }
        let of_features: Vec<usize> = (0..6)
            .flat_map(|t| blocks.features_of(t).map(move |_| [3, 1, 5, 2, 6, 4][t]))
            .collect();
        let degrees = Degrees::new(&of_features, &degrees(width, 6, 1));
        let values = [
            x,
            numbers(blocks.features() * width, 4),
            numbers(width, 5),
            numbers(batch * width, 6),
        ];
        Self { width, degrees, blocks, values }
    }

    fn all() -> Vec<Self> {
        [[1, 1], [5, 7], [33, 40], [70, 256], [530, 20]].map(Self::new).into()
    }

    /// The result, and the gradients of W and c.
    fn run(&self, device: &Device, plain: bool) -> Vec<Vec<f32>> {
        let device = device.clone().autodiff();
        let [x, w, c, grad] = &self.values;
        let x = matrix(x, self.blocks.inputs(), &device);
        let w = matrix(w, self.width, &device).require_grad();
        let c = vector(c, &device).require_grad();
        let op = if plain { reference::rows } else { masked::rows };
        let out = op(x, w.clone(), c.clone(), &self.degrees, &self.blocks);
        let grads = (out.clone() * matrix(grad, self.width, &device)).sum().backward();
        let of_c = c.grad(&grads).expect("the loss has one");
        vec![host(out.inner()), host(w.grad(&grads).expect("likewise")), host(of_c)]
    }
}

fn matrix(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / width, width]), device)
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The largest difference, by the largest number.
fn gap(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    let gaps = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale);
    gaps.fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
}

const TOLERANCE: f32 = 5e-6;

#[test]
fn products_and_gradients_are_those_of_plain_operations() {
    for device in devices() {
        for case in Linear::all() {
            let run = |plain| case.run(&device, plain, &case.degrees);
            for (k, (found, plain)) in run(false).iter().zip(&run(true)).enumerate() {
                let gap = gap(found, plain);
                assert!(gap <= TOLERANCE, "{:?}, result {k}: {gap}", case.size);
            }
        }
    }
}

/// A mask that lets through one degree more.
#[test]
fn another_mask_is_noticed() {
    let case = &Linear::all()[4 * 6];
    let [_, below, above] = case.size;
    let leaky: Vec<usize> = degrees(above, 9, 2).iter().map(|m| m + 1).collect();
    let leaky = Degrees::new(&degrees(below, 9, 1), &leaky);
    let device = Device::default();
    let plain = case.run(&device, true, &case.degrees);
    let found = case.run(&device, false, &leaky);
    for (k, (found, plain)) in found.iter().zip(&plain).enumerate().take(3) {
        assert!(gap(found, plain) > 1000.0 * TOLERANCE, "result {k}");
    }
}

#[test]
fn rows_and_gradients_are_those_of_plain_operations() {
    for device in devices() {
        for case in Rows::all() {
            let (found, plain) = (case.run(&device, false), case.run(&device, true));
            for (k, (found, plain)) in found.iter().zip(&plain).enumerate() {
                let gap = gap(found, plain);
                assert!(gap <= TOLERANCE, "{} units, result {k}: {gap}", case.width);
            }
        }
    }
}

/// Labels of another row.
#[test]
fn other_labels_are_noticed() {
    let mut case = Rows::new([70, 256]);
    let plain = case.run(&Device::default(), true);
    case.values[0].rotate_left(case.blocks.inputs());
    for (found, plain) in case.run(&Device::default(), false).iter().zip(&plain).take(2) {
        assert!(gap(found, plain) > 1000.0 * TOLERANCE);
    }
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    let (linear, rows) = (Linear::all(), Rows::all());
    let with = |threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let of_linear = |case: &Linear| {
            let [x, w, c, grad] = &case.values;
            let gradients = cpu::linear_gradients(x, w, grad, &case.degrees, true);
            [cpu::linear(x, w, c, &case.degrees), gradients.concat()].concat()
        };
        let of_rows = |case: &Rows| {
            let ([x, w, c, grad], degrees, blocks) = (&case.values, &case.degrees, &case.blocks);
            let gradients = cpu::rows_weights(x, grad, degrees, blocks);
            [cpu::rows(x, w, c, degrees, blocks), gradients.concat()].concat()
        };
        pool.install(|| {
            let all = linear.iter().flat_map(of_linear).chain(rows.iter().flat_map(of_rows));
            all.map(f32::to_bits).collect()
        })
    };
    let one = with(1);
    for threads in [2, 3, 5, 16] {
        assert!(with(threads) == one, "{threads} threads");
    }
}

#[test]
fn every_instruction_set_agrees() {
    for case in Linear::all() {
        let [x, w, c, grad] = &case.values;
        let on = |isa| {
            let gradients = cpu::linear_gradients_on(isa, x, w, grad, &case.degrees, true);
            [cpu::linear_on(isa, x, w, c, &case.degrees), gradients.concat()].concat()
        };
        let portable = on(ar_kernels::Isa::Portable);
        for isa in ar_kernels::Isa::available() {
            assert!(gap(&on(isa), &portable) <= TOLERANCE, "{isa:?}, {:?}", case.size);
        }
    }
}
