//! NADE over symbols of more than two levels: images of grey levels.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_[t] = b_[t] + V_[t] h_t;   a_{t+1} = a_t + what x_t adds
//! p(x) = Π_t p(x_t | o_[t])
//! ```
//!
//! | [`Likelihood`] | x_t adds | outputs of t |
//! |---|---|---|
//! | softmax | the row of W of its level | m, one for each level |
//! | mixture of logistics | x_t / (m − 1) · W_t | 3K |
//!
//! The first treats levels as labels, which is right for few; its weights are m rows for each variable. The second knows
//! that levels lie on a line, and has as many weights whatever their number. Either way the masses of the m levels add
//! up to 1: there is no other level.
//!
//! # References
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016, arXiv:1605.02226,
//!   Sections 2 and 3.
//! - The mixture: Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, ICLR 2017, arXiv:1701.05517, Eq. 2.
//!
//! # Deviations from the papers
//! The variables of the first paper are bits or reals; its NADE of reals has the ρ_t and the rectified h_t that are
//! taken here.

use ar_kernels::Isa;
use ar_kernels::blocks::{self, Blocks, Input, Weights};
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::dist::Categorical;
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::parts::heads::impossible_from_outside_on;
pub use crate::parts::heads::levels::Likelihood;
use crate::parts::heads::levels::SymbolHead;
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{normal, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, event_tensor, floats, host_f64};
use crate::parts::walk;
use crate::parts::walker::{Arithmetic, Choose, Walker};

/// How to make a [`LevelNade`].
#[derive(Clone, Debug)]
pub struct LevelNadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Number of levels m of each variable, at least 3.
    pub levels: usize,
    /// Hidden units H.
    pub hidden: usize,
    /// Standard deviation of the initial W, V and c.
    pub init_scale: f64,
    /// How a level is described.
    pub likelihood: Likelihood,
    /// Components K of a mixture.
    pub components: usize,
}

impl LevelNadeConfig {
    fn head(&self) -> SymbolHead {
        SymbolHead::new(self.levels, self.likelihood, self.components)
    }

    fn blocks(&self) -> Blocks {
        let dim = self.ordering.len();
        let input = match self.likelihood {
            Likelihood::Softmax => Input::Label(self.levels),
            Likelihood::LogisticMixture => Input::Numbers(1),
        };
        Blocks::of(&vec![input; dim], &vec![self.head().outputs(); dim])
    }

    /// Number of weights: W of all features × H, c of H, ρ of one for each variable; for each output H weights and a
    /// bias.
    pub fn parameters(&self) -> usize {
        let blocks = self.blocks();
        (blocks.features() + 1 + blocks.outputs()) * self.hidden + blocks.dim() + blocks.outputs()
    }

    /// W, V and c drawn from N(0, init_scale²), and b such that with zero weights each variable is distributed as in
    /// training, or nearly: `counts` is how often each level of each variable occurs there, `[variables, levels]` in
    /// event order.
    ///
    /// # Panics
    /// When there are fewer than 3 levels, or not as many counts as levels of variables.
    pub fn init(&self, counts: &[u64], rng: &mut dyn Rng, device: &Device) -> LevelNade {
        let (dim, hidden, levels) = (self.ordering.len(), self.hidden, self.levels);
        assert!(levels > 2, "{levels} levels, expected at least 3");
        assert_eq!(counts.len(), dim * levels, "a count for each level of each variable");
        let (head, blocks) = (self.head(), self.blocks());
        let w = normal([blocks.features(), hidden], self.init_scale, rng, device);
        let v = normal([blocks.outputs(), hidden], self.init_scale, rng, device);
        let c = normal([hidden], self.init_scale, rng, device);
        let rho: Vec<f32> = (1..=dim).map(|t| 1.0 / (t as f32).sqrt()).collect();
        let counts_of = |&i: &usize| &counts[i * levels..(i + 1) * levels];
        let of_walk = self.ordering.as_slice().iter();
        let b: Vec<f32> = of_walk.flat_map(|i| head.start(Some(counts_of(i)))).collect();
        let b = TensorData::new(b, [blocks.outputs()]);
        LevelNade {
            w: Param::from_tensor(w),
            c: Param::from_tensor(c),
            rho: Param::from_tensor(Tensor::from_data(TensorData::new(rho, [dim]), device)),
            v: Param::from_tensor(v),
            b: Param::from_tensor(Tensor::from_data(b, device)),
            levels,
            head,
            blocks,
            ordering: Permutation::new(self.ordering.clone()),
        }
    }
}

/// A NADE over symbols of more than two levels.
///
/// ```
/// use ar_models::nade::{LevelNadeConfig, Likelihood};
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let device = Device::default();
/// for likelihood in [Likelihood::Softmax, Likelihood::LogisticMixture] {
///     let config = LevelNadeConfig {
///         ordering: Ordering::raster(1), levels: 3, hidden: 4, init_scale: 0.5, likelihood, components: 2,
///     };
///     // Seen nine times, never, and twice.
///     let nade = config.init(&[9, 0, 2], &mut ChaCha8Rng::seed_from_u64(1), &device);
///     let all = Tensor::from_data([[0], [1], [2]], &device);
///     let mass = nade.log_prob(all).exp().sum().into_scalar::<f32>();
///     assert!((mass - 1.0).abs() < 1e-6);
/// }
/// ```
#[derive(Module, Debug)]
pub struct LevelNade {
    /// Input weights W, `[features, hidden]`, by positions of the walk.
    pub w: Param<Tensor<2>>,
    /// Hidden biases c, `[hidden]`.
    pub c: Param<Tensor<1>>,
    /// Scales of the activations ρ, `[variables]`.
    pub rho: Param<Tensor<1>>,
    /// Output weights V, `[outputs, hidden]`, by positions of the walk.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[outputs]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    levels: usize,
    #[module(skip)]
    head: SymbolHead,
    #[module(skip)]
    blocks: Blocks,
    #[module(skip)]
    ordering: Permutation,
}

impl LevelNade {
    /// What each symbol is to the recurrence: the index of its feature, or a number from 0 to 1.
    fn inputs<const D: usize>(&self, x: Tensor<D, Int>) -> Tensor<D> {
        let x = floats(x, &self.b.val());
        match self.head {
            SymbolHead::Mixture(_) => x.div_scalar((self.levels - 1) as f64),
            _ => x,
        }
    }

    /// The outputs of every variable and what they say of it, `[batch, variables, outputs of one]`, from values in the
    /// order of the walk.
    fn walk_outputs(&self, x: Tensor<2, Int>) -> Tensor<3> {
        let [batch, dim] = x.dims();
        let weights = Weights {
            w: self.w.val(),
            c: self.c.val(),
            rho: self.rho.val(),
            v: self.v.val(),
            b: self.b.val(),
        };
        let outputs = blocks::outputs(self.inputs(x), weights, &self.blocks);
        outputs.reshape([batch, dim, self.head.outputs()])
    }

    /// What describes each variable given those before it, all at once: the logits of its levels, or of a mixture all
    /// weights, means and logarithms of scales.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch, variables, outputs of one]`.
    pub fn outputs(&self, x: Tensor<2, Int>) -> Tensor<3> {
        let positions: Vec<i64> =
            self.ordering.ordering().positions().iter().map(|&t| t as i64).collect();
        let outputs = self.walk_outputs(self.ordering.to_walk(x));
        let positions = TensorData::new(positions, [self.event_len()]);
        outputs.clone().select(1, Tensor::<1, Int>::from_data(positions, &outputs.device()))
    }

    /// The outputs of the next variable, `[batch, outputs of one]`.
    fn outputs_at(&self, state: &LevelNadeState) -> Tensor<2> {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let at = self.blocks.outputs_of(t);
        let v_t = self.v.val().narrow(0, at.start, at.len());
        let b_t = self.b.val().narrow(0, at.start, at.len()).unsqueeze::<2>();
        let rho_t = self.rho.val().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let h = relu(state.a.clone().mul(rho_t)); // [batch, hidden]
        h.matmul(v_t.transpose()) + b_t // [batch, outputs of t]
    }

    /// One logit for each level of the next variable of each walk.
    fn logits_at(&self, state: &LevelNadeState) -> Vec<Vec<f64>> {
        let outputs = host_f64(self.outputs_at(state));
        let rows = outputs.chunks_exact(self.head.outputs());
        rows.map(|row| self.head.logits(row.iter().copied())).collect()
    }
}

impl Density for LevelNade {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        let x = self.ordering.to_walk(x);
        self.head.log_prob_of_events(self.walk_outputs(x.clone()), x)
    }
}

impl Sample for LevelNade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// a_t of each walk of a batch.
#[derive(Clone, Debug)]
pub struct LevelNadeState {
    position: usize,
    /// `[batch, hidden]`
    a: Tensor<2>,
}

impl Autoregressive for LevelNade {
    type State = LevelNadeState;
    type Conditional = Categorical;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> LevelNadeState {
        let [hidden] = self.c.dims();
        LevelNadeState { position: 0, a: self.c.val().unsqueeze::<2>().expand([batch, hidden]) }
    }

    fn conditional(&self, state: &LevelNadeState) -> Categorical {
        let logits = match self.head {
            SymbolHead::Softmax(_) => self.outputs_at(state),
            _ => {
                let logits = self.logits_at(state).concat();
                let data = TensorData::new(logits, [state.a.dims()[0], self.levels]);
                Tensor::from_data(data, (&state.a.device(), state.a.dtype()))
            }
        };
        Categorical::from_logits_unchecked(logits)
    }

    fn advance(&self, state: &mut LevelNadeState, x_t: Tensor<1, Int>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        assert_eq!(x_t.dims()[0], state.a.dims()[0], "one value per walk");
        let at = self.blocks.features_of(t);
        let w_t = self.w.val().narrow(0, at.start, at.len()); // [features of t, hidden]
        let added = match self.blocks.input(t) {
            Input::Label(_) => w_t.select(0, x_t),
            Input::Numbers(_) => self.inputs(x_t).unsqueeze_dim::<2>(1).mul(w_t),
        };
        state.a = state.a.clone() + added; // [batch, hidden]
        state.position += 1;
    }

    fn select(&self, state: &LevelNadeState, walks: &[usize]) -> LevelNadeState {
        LevelNadeState { position: state.position, a: rows(&state.a, walks) }
    }
}

impl Neural for LevelNade {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let x = self.ordering.to_walk(x);
        let log_probs = self.head.log_prob(self.walk_outputs(x.clone()), x.clone());
        self.ordering.to_event(impossible_from_outside_on(log_probs, &x, self.levels))
    }

    /// max(0, c + Σ_f x_f W_f), the hidden units after all variables but for a scale.
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        let x = self.inputs(self.ordering.to_walk(x));
        Some(relu(blocks::reference::activations(x, self.w.val(), self.c.val(), &self.blocks)))
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        walk::complete(self, observed, rng)
    }

    fn walker(&self, _: usize, _: Isa) -> Option<Box<dyn Walker + '_>> {
        Some(Box::new(Steps(self)))
    }

    /// Outputs of about 64 MiB.
    fn batch(&self) -> usize {
        ((64 << 20) / (self.blocks.outputs() * size_of::<f32>())).clamp(1, 500)
    }
}

/// The walk on the device, all levels of a position at once.
#[derive(Debug)]
struct Steps<'a>(&'a LevelNade);

impl Walker for Steps<'_> {
    fn together(&self) -> usize {
        256
    }

    fn arithmetic(&self) -> Arithmetic {
        let backend = ar_kernels::backend_name(&device_of(self.0));
        Arithmetic::Tensors { backend, isa: Isa::detect().name() }
    }

    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let (model, device) = (self.0, device_of(self.0));
        let mut state = model.init_state(n);
        for t in 0..model.event_len() {
            let logits = model.logits_at(&state);
            let chosen: Vec<u8> =
                logits.iter().enumerate().map(|(row, logits)| choose(t, row, logits)).collect();
            model.advance(&mut state, event_tensor(&chosen, 1, &device).reshape([n]));
        }
    }
}
