//! NADE over columns as one op against plain tensor operations, on every CPU backend that is compiled in; and to the
//! bit for any number of threads, and for a row whatever is beside it.

use ar_kernels::blocks::cpu::Params;
use ar_kernels::blocks::{self, Blocks, Input, Weights};
use ar_kernels::column_nade::{cpu, log_prob};
use ar_kernels::columns::{self, Family, Head, Heads, Missing};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
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

/// A network over columns of every sort, and rows of them.
struct Case {
    batch: usize,
    hidden: usize,
    blocks: Blocks,
    heads: Heads,
    /// W, c, ρ, V, b.
    weights: [Vec<f32>; 5],
    x: Vec<f32>,
    targets: Vec<f32>,
    /// ∂L/∂ log p, some of it zero.
    grad: Vec<f32>,
}

/// Rows and hidden units: one, odd ones, several tiles, chunks, groups and slabs.
const SIZES: [[usize; 2]; 6] = [[1, 1], [5, 7], [33, 40], [70, 33], [130, 100], [530, 20]];

impl Case {
    fn new([batch, hidden]: [usize; 2]) -> Self {
        let number = |components, family, missing| Head::Number {
            components,
            listed: false,
            family,
            floor: 0.01,
            missing,
        };
        let grid = Family::Grid { half: 0.125 };
        let each = [
            (Input::Label(3), Head::Category { labels: 3, other: 0.01 }),
            (Input::Numbers(2), number(2, grid, Missing::Learned)),
            (Input::Label(90), Head::Category { labels: 90, other: 1e-3 }),
            (
                Input::Numbers(1),
                number(4, Family::Gaussian { log_unit: 0.5 }, Missing::Never(0.02)),
            ),
            (Input::Label(1), Head::Category { labels: 1, other: 0.3 }),
            (Input::Numbers(1), number(1, grid, Missing::Never(0.001))),
            (
                Input::Numbers(1),
                Head::Number {
                    components: 2,
                    listed: true,
                    family: grid,
                    floor: 0.01,
                    missing: Missing::Never(0.01),
                },
            ),
            (Input::Label(17), Head::Category { labels: 17, other: 1e-6 }),
        ];
        let inputs: Vec<Input> = each.iter().map(|(input, _)| *input).collect();
        let widths: Vec<usize> = each.iter().map(|(_, head)| head.outputs()).collect();
        let blocks = Blocks::of(&inputs, &widths);
        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let width = blocks.outputs();
        let heads = Heads::new(each.iter().map(|(_, head)| *head).collect())
            .linked(&double(numbers(width, 8, 1.5)), &double(numbers(width, 9, 1.0)));
        let (mut x, mut targets) = (Vec::new(), Vec::new());
        for i in 0..batch {
            for (t, (input, head)) in each.iter().enumerate() {
                let z = 0.25 * ((3 * i + t) % 9) as f32 - 1.0;
                match (input, head) {
                    (Input::Label(labels), _) => {
                        // One more than there are is another label.
                        let label = ((7 * i + t) % (labels + 1)) as f32;
                        x.push(label);
                        targets.push(label);
                    }
                    (_, Head::Number { missing: Missing::Learned, .. }) => {
                        let there = (i + t) % 4 != 0;
                        x.extend(if there { [z, 0.0] } else { [0.0, 1.0] });
                        targets.push(if there { z } else { f32::NAN });
                    }
                    (_, Head::Number { listed, .. }) => {
                        x.push(z);
                        targets.push(z);
                        let by_list = if i % 3 == 0 { f32::NEG_INFINITY } else { -0.5 - z.abs() };
                        targets.extend(listed.then_some(by_list));
                    }
                    (_, Head::Category { .. }) => unreachable!("it has labels"),
                }
            }
        }
        let (features, dim) = (blocks.features(), blocks.dim());
        let weights = [
            numbers(features * hidden, 1, 0.5),
            numbers(hidden, 2, 0.5),
            numbers(dim, 3, 1.0),
            numbers(width * hidden, 4, 1.0 / (hidden as f32).sqrt()),
            numbers(width, 5, 0.5),
        ];
        let mut grad = numbers(batch * dim, 6, 1.0);
        grad.iter_mut().step_by(5).for_each(|grad| *grad = 0.0);
        Self { batch, hidden, blocks, heads, weights, x, targets, grad }
    }

    fn params(&self) -> Params<'_> {
        let [w, c, rho, v, b] = &self.weights;
        Params { w, c, rho, v, b, blocks: &self.blocks }
    }

    /// Log-probabilities, and the gradients of W, c, ρ, V and b.
    fn run(&self, device: &Device, plain: bool) -> Vec<Vec<f32>> {
        let device = device.clone().autodiff();
        let tensor = |values: &[f32], width: usize| {
            let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
            Tensor::<2>::from_data(data, &device)
        };
        let [w, c, rho, v, b] = &self.weights;
        let vector = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Tensor::<1>::from_data(data, &device).require_grad()
        };
        let weights = Weights {
            w: tensor(w, self.hidden).require_grad(),
            c: vector(c),
            rho: vector(rho),
            v: tensor(v, self.hidden).require_grad(),
            b: vector(b),
        };
        let dim = self.blocks.dim();
        let x = tensor(&self.x, self.blocks.inputs());
        let targets = tensor(&self.targets, self.heads.targets());
        let own = weights.clone();
        let out = if plain {
            let outputs = blocks::reference::outputs(x, own, &self.blocks);
            columns::reference::log_prob(outputs, targets, &self.heads)
        } else {
            log_prob(x, targets, own, &self.blocks, &self.heads)
        };
        let grads = (out.clone() * tensor(&self.grad, dim)).sum().backward();
        vec![
            out.inner().into_data().iter::<f32>().collect(),
            gradient(&weights.w, &grads),
            gradient(&weights.c, &grads),
            gradient(&weights.rho, &grads),
            gradient(&weights.v, &grads),
            gradient(&weights.b, &grads),
        ]
    }
}

fn gradient<const D: usize>(weights: &Tensor<D>, grads: &Gradients) -> Vec<f32> {
    weights.grad(grads).expect("the loss has one").into_data().iter::<f32>().collect()
}

/// The largest difference, by the largest number.
fn gap(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    let gaps = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale);
    gaps.fold(0.0, |most, gap| if gap > most || gap.is_nan() { gap } else { most })
}

const TOLERANCE: f32 = 5e-5;

#[test]
fn values_and_gradients_are_those_of_plain_operations() {
    for device in devices() {
        for size in SIZES {
            let case = Case::new(size);
            let (fused, plain) = (case.run(&device, false), case.run(&device, true));
            for (k, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                let gap = gap(fused, plain);
                assert!(gap <= TOLERANCE, "{size:?}, result {k}: {gap}");
            }
        }
    }
}

/// Mistakes that the comparison finds: the gradient of another loss, and slopes of another row.
#[test]
fn gradients_of_something_else_are_noticed() {
    let case = Case::new([70, 33]);
    let plain = case.run(&Device::default(), true)[1..].concat();
    // W, c, ρ, V and b are packed in the order in which they are returned.
    let (_, mut slopes) = cpu::forward(&case.x, &case.targets, case.params(), &case.heads);
    let right = cpu::backward(&case.x, case.params(), &slopes, &case.grad);
    assert!(gap(&right, &plain) <= TOLERANCE);
    let ones = vec![1.0; case.grad.len()];
    let wrong = cpu::backward(&case.x, case.params(), &slopes, &ones);
    assert!(gap(&wrong, &plain) > 100.0 * TOLERANCE);
    slopes.rotate_left(1);
    let wrong = cpu::backward(&case.x, case.params(), &slopes, &case.grad);
    assert!(gap(&wrong, &plain) > 100.0 * TOLERANCE);
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    for size in SIZES {
        let case = Case::new(size);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (x, targets, params) = (&case.x, &case.targets, case.params());
                let plain = cpu::log_prob(x, targets, params, &case.heads);
                let (log_probs, slopes) = cpu::forward(x, targets, params, &case.heads);
                assert_eq!(bits(&plain), bits(&log_probs), "{size:?}");
                bits(&[log_probs, cpu::backward(x, params, &slopes, &case.grad)].concat())
            })
        };
        let one = with(1);
        for threads in [2, 3, 5, 16] {
            assert!(with(threads) == one, "{size:?} with {threads} threads");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_whatever_is_beside_it() {
    let case = Case::new([70, 33]);
    let (inputs, width) = (case.blocks.inputs(), case.heads.targets());
    let whole = cpu::log_prob(&case.x, &case.targets, case.params(), &case.heads);
    for together in [1, 3, 16, 17, 40] {
        let parts = case.x.chunks(together * inputs).zip(case.targets.chunks(together * width));
        let parts = parts
            .flat_map(|(x, targets)| cpu::log_prob(x, targets, case.params(), &case.heads))
            .collect::<Vec<_>>();
        assert_eq!(bits(&parts), bits(&whole), "{together} at a time of {}", case.batch);
    }
}

#[test]
fn a_weight_that_is_no_number_is_not_hidden() {
    let mut case = Case::new([3, 7]);
    case.weights[1][2] = f32::NAN;
    let found = cpu::log_prob(&case.x, &case.targets, case.params(), &case.heads);
    let known = case.targets.chunks_exact(case.heads.targets()).flat_map(|row| {
        let each = case.heads.all().iter().enumerate();
        each.map(|(t, head)| (row[case.heads.targets_of(t).start], head))
    });
    for (log_prob, (target, head)) in found.iter().zip(known) {
        let is_other = matches!(head, Head::Category { labels, .. } if target == *labels as f32);
        let is_never = target.is_nan();
        assert!(log_prob.is_nan() || is_other || is_never, "{head:?} of {target}: {log_prob}");
    }
}
