//! NADE over the columns of a table.
//!
//! ```text
//! a_1 = c;   h_t = max(0, ρ_t a_t);   o_[t] = b_[t] + V_[t] h_t;   a_{t+1} = a_t + Σ_f x_f W_f
//! p(x) = Π_t p(x_t | o_[t])
//! ```
//!
//! The outputs are parameters after a fixed shift and gain each ([`Links`]).
//!
//! A category gives one feature per label and takes a softmax of as many outputs; a number gives asinh z and takes a
//! mixture of logistics on its grid, or of Gaussians; see [`ar_kernels::blocks`] and [`ar_kernels::columns`]. So
//! log p(x) is the logarithm of a mass in the columns on a grid and the categories, and of a density in the units of
//! the data in the real ones.
//!
//! # References
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016, arXiv:1605.02226,
//!   Sections 2 and 3.
//! - The likelihood of numbers on a grid: Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, 2017, arXiv:1701.05517,
//!   Eq. 2.
//!
//! # Deviations from the papers
//! Variables are of different types. Numbers are conditioned on as asinh z, so that one far away moves the hidden units
//! by its logarithm.

use ar_kernels::blocks::{self, Weights};
use ar_kernels::column_nade;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Float, Int, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::parts::columns::{ColumnConditional, Layout, Mixtures, Origin, Rows, Units};
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{normal, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::device_of;
use crate::parts::value::ValueKind;
use crate::parts::walk;

/// How to make a [`ColumnNade`].
#[derive(Clone, Debug)]
pub struct ColumnNadeConfig {
    /// The order of the walk; its length is the number of columns.
    pub ordering: Ordering,
    /// Hidden units H.
    pub hidden: usize,
    /// Components K of each mixture.
    pub components: usize,
    /// Standard deviation of the initial W, V and c.
    pub init_scale: f64,
    /// The least scale of a Gaussian, in standard deviations of its column.
    pub min_scale: f64,
}

impl ColumnNadeConfig {
    /// W, V and c drawn from N(0, init_scale²), and b = 0: with zero weights labels have the frequencies of training,
    /// and components stand where its numbers are.
    ///
    /// # Panics
    /// When the units or the links are of other columns.
    pub(crate) fn init(
        &self,
        units: Units,
        origin: &Origin,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> ColumnNade {
        let (dim, hidden) = (self.ordering.len(), self.hidden);
        let mixtures = Mixtures { components: self.components, min_scale: self.min_scale };
        let layout = Layout::new(self.ordering.clone(), units, origin, mixtures);
        let blocks = layout.blocks();
        let w = normal([blocks.features(), hidden], self.init_scale, rng, device);
        let v = normal([blocks.outputs(), hidden], self.init_scale, rng, device);
        let c = normal([hidden], self.init_scale, rng, device);
        let rho: Vec<f32> = (1..=dim).map(|t| 1.0 / (t as f32).sqrt()).collect();
        let b = Tensor::zeros([blocks.outputs()], device);
        ColumnNade {
            w: Param::from_tensor(w),
            c: Param::from_tensor(c),
            rho: Param::from_tensor(Tensor::from_data(TensorData::new(rho, [dim]), device)),
            v: Param::from_tensor(v),
            b: Param::from_tensor(b),
            layout,
        }
    }
}

/// A NADE over columns.
#[derive(Module, Debug)]
pub struct ColumnNade {
    /// Input weights W, `[features, hidden]`, by blocks in the order of the walk.
    pub w: Param<Tensor<2>>,
    /// Hidden biases c, `[hidden]`.
    pub c: Param<Tensor<1>>,
    /// Scales of the activations ρ, `[columns]`.
    pub rho: Param<Tensor<1>>,
    /// Output weights V, `[outputs, hidden]`, by blocks in the order of the walk.
    pub v: Param<Tensor<2>>,
    /// Output biases b, `[outputs]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    layout: Layout,
}

impl ColumnNade {
    /// What the columns look like.
    pub fn units(&self) -> &Units {
        self.layout.units()
    }

    /// Where the features and outputs of each column are, and what they mean.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn weights(&self) -> Weights {
        Weights {
            w: self.w.val(),
            c: self.c.val(),
            rho: self.rho.val(),
            v: self.v.val(),
            b: self.b.val(),
        }
    }

    /// log p(x_t | x_<t), `[batch, columns]` in the order of the walk.
    fn walk_log_probs(&self, x: Tensor<2>, of: Rows) -> Tensor<2> {
        let (inputs, targets) = self.layout.inputs(x, of, self.b.dtype());
        let (blocks, heads) = (self.layout.blocks(), self.layout.heads());
        column_nade::log_prob(inputs, targets, self.weights(), blocks, heads)
    }
}

impl Density for ColumnNade {
    type Event = Tensor<2>;

    /// # Panics
    /// When an event does not have one value for every column.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        let [batch, _] = x.dims();
        self.walk_log_probs(x, Rows::Any).sum_dim(1).reshape([batch])
    }
}

impl Sample for ColumnNade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        let dim = self.event_len();
        let drawn = self.complete(&vec![None; n * dim], rng);
        Float::to_device(&drawn, dim, &device_of(self))
    }
}

/// a_t of each walk of a batch.
#[derive(Clone, Debug)]
pub struct ColumnNadeState {
    position: usize,
    /// `[batch, hidden]`
    a: Tensor<2>,
}

impl Autoregressive for ColumnNade {
    type State = ColumnNadeState;
    type Conditional = ColumnConditional;

    fn event_len(&self) -> usize {
        self.layout.order().len()
    }

    fn init_state(&self, batch: usize) -> ColumnNadeState {
        let [hidden] = self.c.dims();
        ColumnNadeState { position: 0, a: self.c.val().unsqueeze::<2>().expand([batch, hidden]) }
    }

    fn conditional(&self, state: &ColumnNadeState) -> ColumnConditional {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        let at = self.layout.blocks().outputs_of(t);
        let v_t = self.v.val().narrow(0, at.start, at.len());
        let b_t = self.b.val().narrow(0, at.start, at.len()).unsqueeze::<2>();
        let rho_t = self.rho.val().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let h = relu(state.a.clone().mul(rho_t)); // [batch, hidden]
        let outputs = h.matmul(v_t.transpose()) + b_t; // [batch, outputs of t]
        self.layout.conditional(t, outputs)
    }

    fn advance(&self, state: &mut ColumnNadeState, x_t: Tensor<1>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} columns");
        let [batch, _] = state.a.dims();
        assert_eq!(x_t.dims(), [batch], "one value per walk");
        let at = self.layout.blocks().features_of(t);
        let features = self.layout.features_of(t, x_t, &state.a); // [batch, features of t]
        let w_t = self.w.val().narrow(0, at.start, at.len());
        state.a = state.a.clone() + features.matmul(w_t); // [batch, hidden]
        state.position += 1;
    }

    fn select(&self, state: &ColumnNadeState, walks: &[usize]) -> ColumnNadeState {
        ColumnNadeState { position: state.position, a: rows(&state.a, walks) }
    }
}

impl Neural for ColumnNade {
    type Kind = Float;

    fn ordering(&self) -> &Ordering {
        self.layout.order()
    }

    fn log_prob_per_variable(&self, x: Tensor<2>) -> Tensor<2> {
        Permutation::new(self.layout.order().clone()).to_event(self.walk_log_probs(x, Rows::Any))
    }

    /// max(0, c + Σ_f x_f W_f), the hidden units after all columns but for a scale.
    fn features(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let (inputs, _) = self.layout.inputs(x, Rows::Any, self.b.dtype());
        let (w, c) = (self.w.val(), self.c.val());
        Some(relu(blocks::reference::activations(inputs, w, c, self.layout.blocks())))
    }

    fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        walk::complete(self, observed, rng)
    }

    /// −log p(x) of rows of training: of a column's list by its other rows.
    fn training_loss(&self, x: Tensor<2>, _: Option<Tensor<1, Int>>, _: &mut dyn Rng) -> Tensor<1> {
        let [batch, _] = x.dims();
        self.walk_log_probs(x, Rows::Training).sum_dim(1).reshape([batch]).neg()
    }

    /// Number of weights that the likelihood depends on: not those of an output that stays where it is.
    fn free_parameters(&self) -> usize {
        let [hidden] = self.c.dims();
        self.num_params() - self.layout.fixed_outputs() * (hidden + 1)
    }
}
