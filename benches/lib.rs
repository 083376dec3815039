//! What the benches share: data like MNIST's, and a NADE without fused kernels to compare with.
//!
//! Each bench asks one question and times a baseline beside its subject:
//!
//! | Bench | Question | Baseline |
//! |---|---|---|
//! | `nade_step` | one training step, update included | the recurrence in plain tensor operations |
//! | `nade_eval` | log p(x) of a batch | the same |
//! | `nade_sample` | drawing a batch | the generic walk, one conditional at a time |
//! | `column_nade_step` | one training step and an evaluation of NADE over 20 columns | PyTorch, by `pytorch_columns.py` |
//! | `column_made_step` | the same of MADE | PyTorch, by `pytorch_column_made.py` |
//! | `pixel_step` | one training step of PixelRNN and PixelCNN | PyTorch, by `pytorch_pixel.py` |
//! | `pixel_sample` | drawing 16 images, at three sizes | one full pass per pixel |
//! | `tables` | fitting and evaluating a Markov chain | independent variables; the generic walk |
//! | `readers` | reading a table, as text and as Parquet | pyarrow on one thread, by `readers_pyarrow.py` |
//!
//! The last is in `crates/ar-data/benches`, and is run by `cargo bench -p ar-data --features arrow --bench readers`;
//! `cargo xtask bench` runs it with the others.
//!
//! Elsewhere the subject and the baseline are the same model with the same weights, through the same interface,
//! so that only the path differs. Sizes are those of binarized MNIST and of the papers' NADE.

pub mod mixed;

use ar_kernels::nade::{Weights, reference};
use ar_models::nade::{Nade, NadeConfig, NadeState};
use ar_models::neural::{Neural, event_tensor};
use ar_models::pixel::{ImageLayout, Pixel, PixelConfig, PixelKind, PixelSettings};
use ar_models::walk;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use prob_core::dist::{Bernoulli, bernoulli};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

/// The Rust of the book, compiled and run.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../docs/src/library.md")]
    struct Library;
    #[doc = include_str!("../docs/src/lecture.md")]
    struct Lecture;
    #[doc = include_str!("../docs/src/ko/lecture.md")]
    struct KoreanLecture;
}

/// Images in a batch.
pub const BATCH: usize = 100;
/// Pixels of an image.
pub const DIM: usize = 784;
/// Hidden units.
pub const HIDDEN: usize = 500;
/// Fraction of ones, about that of binarized MNIST.
pub const ONES: f64 = 0.13;

/// `rows` images of bits that are 1 with probability [`ONES`], `[rows, DIM]`.
pub fn bits(rows: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..rows * DIM).map(|_| u8::from(rng.random::<f64>() < ONES)).collect()
}

/// One batch of [`bits`] as a tensor, `[BATCH, DIM]`.
pub fn batch(device: &Device) -> Tensor<2, Int> {
    event_tensor(&bits(BATCH), DIM, device)
}

/// A NADE as the papers start it, with output biases at the log-odds of [`ONES`], so that it draws as
/// many ones as the data has.
pub fn nade(device: &Device) -> Nade {
    nade_of(DIM, HIDDEN, device)
}

fn nade_of(dim: usize, hidden: usize, device: &Device) -> Nade {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    NadeConfig::new(Ordering::raster(dim), hidden).init(&vec![ONES; dim], &mut rng, device)
}

/// A PixelRNN or PixelCNN over `size × size` bits by its short name: `row7x16` has 7 Row LSTM layers of 16
/// hidden maps, `diag` is the Diagonal BiLSTM, `cnn` PixelCNN.
///
/// # Panics
/// When the name is none of these.
pub fn pixel(name: &str, size: usize, device: &Device) -> Pixel {
    let digits = name.find(|c: char| c.is_ascii_digit()).expect("a name such as row7x16");
    let (kind, sizes) = name.split_at(digits);
    let kind = match kind {
        "row" => PixelKind::RowLstm,
        "diag" => PixelKind::DiagonalBilstm,
        "cnn" => PixelKind::PixelCnn,
        _ => panic!("no network is called {name}"),
    };
    let (layers, hidden) = sizes.split_once('x').expect("layers x hidden maps");
    let number = |digits: &str| digits.parse().expect("a number");
    let settings = PixelSettings::new(number(layers), number(hidden));
    let image = ImageLayout::of("pixel", &[size, size]).expect("an image");
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    PixelConfig { kind, settings, image, levels: 2 }.init(ONES, &mut rng, device)
}

/// A NADE in raster order that uses no fused kernel: its likelihood is the recurrence in plain tensor
/// operations, and it draws by the generic walk.
#[derive(Module, Debug)]
pub struct Plain {
    /// The weights.
    pub nade: Nade,
}

impl Density for Plain {
    type Event = Tensor<2, Int>;

    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        self.log_prob_per_variable(x).sum_dim(1).squeeze_dim(1)
    }
}

impl Sample for Plain {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        let device = self.nade.b.device();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device)
    }
}

impl Autoregressive for Plain {
    type State = NadeState;
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.nade.event_len()
    }

    fn init_state(&self, batch: usize) -> NadeState {
        self.nade.init_state(batch)
    }

    fn conditional(&self, state: &NadeState) -> Bernoulli {
        self.nade.conditional(state)
    }

    fn advance(&self, state: &mut NadeState, x_t: Tensor<1, Int>) {
        self.nade.advance(state, x_t);
    }

    fn select(&self, state: &NadeState, walks: &[usize]) -> NadeState {
        self.nade.select(state, walks)
    }
}

impl Neural for Plain {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.nade.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let Nade { w, v, b, c, .. } = &self.nade;
        let weights = Weights { w: w.val(), v: v.val(), b: b.val(), c: c.val() };
        let x = x.float();
        bernoulli::log_prob(reference::logits(x.clone(), weights), x)
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        walk::complete(self, observed, rng)
    }
}

#[cfg(test)]
mod tests {
    use ar_models::train::{Stepper, TrainConfig};
    use burn::tensor::Tolerance;

    use super::*;

    #[test]
    fn the_baseline_is_the_same_model() {
        let device = Device::flex();
        let fused = nade_of(20, 7, &device);
        let plain = Plain { nade: fused.clone() };
        let x = event_tensor(&bits(1)[..200], 20, &device);
        let near = Tolerance::<f32>::rel_abs(1e-5, 1e-5);
        let log_probs =
            |model: &dyn Density<Event = Tensor<2, Int>>| model.log_prob(x.clone()).into_data();
        log_probs(&fused).assert_approx_eq(&log_probs(&plain), near);
        let mut rngs = [3, 3].map(ChaCha8Rng::seed_from_u64);
        let nothing = vec![None; 10 * 20];
        assert_eq!(fused.complete(&nothing, &mut rngs[0]), plain.complete(&nothing, &mut rngs[1]));
    }

    #[test]
    fn the_baseline_learns_the_same() {
        let device = Device::flex().autodiff();
        let fused = nade_of(20, 7, &device);
        let plain = Plain { nade: fused.clone() };
        let x = event_tensor(&bits(1)[..200], 20, &device);
        let config = TrainConfig::epochs(1);
        let mut steppers = (Stepper::new(fused, &config), Stepper::new(plain, &config));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut first, mut last) = (None, 0.0);
        for _ in 0..20 {
            let a = steppers.0.step(x.clone(), &mut rng, 1.0, false).unwrap().nll_nats;
            let b = steppers.1.step(x.clone(), &mut rng, 1.0, false).unwrap().nll_nats;
            assert!((a - b).abs() < 1e-4, "fused {a}, plain {b}");
            last = a;
            first.get_or_insert(a);
        }
        assert!(first.is_some_and(|first| last < first - 0.01), "{first:?} to {last}");
    }
}
