//! RNADE, the neural autoregressive density estimator of real-valued variables.
//!
//! ```text
//! z_t = (x_t − m_t) / s_t
//! a_1 = c;   h_t = max(0, ρ_t a_t);   a_{t+1} = a_t + W_t z_t
//! π = softmax(b^π_t + V^π_t h_t);   μ = b^μ_t + V^μ_t h_t;   σ = exp(b^σ_t + V^σ_t h_t) + σ_min
//! p(x_t | x_<t) = 1/s_t Σ_k π_k N(z_t; μ_k, σ_k)
//! ```
//!
//! m and s are the means and standard deviations of the training set ([`Standardization`]), part of the model
//! and stored with it. So densities are in the units of the data; in standardized units they are larger by
//! Σ log s_t nats. Positions t count along the ordering.
//!
//! No scale falls below σ_min standard deviations (0.001 unless a config says otherwise). Without a floor the
//! likelihood of data with repeated values has no upper bound: a component that closes in on one of them gains
//! log 1/σ nats for each of its rows.
//!
//! # References
//! - Uria, Murray, Larochelle, *RNADE: The real-valued neural autoregressive density-estimator*, NIPS 2013,
//!   arXiv:1306.0186, Eqs. 4 to 11.
//! - Uria, Côté, Gregor, Murray, Larochelle, *Neural Autoregressive Distribution Estimation*, 2016,
//!   arXiv:1605.02226, Section 3.
//!
//! # Deviations from the paper
//! - The floor σ_min.
//! - ρ_t starts at 1/√t, so that activations start alike at every position.
//! - Gradients of the means are not multiplied by σ; Adam scales each weight's step anyway.

use ar_kernels::blocks::{self, Blocks, Weights};
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Float, Tensor, TensorData};
use prob_core::dist::GaussianMixture;
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::foundation::error::Error;
use crate::foundation::standardization::Standardization;
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{normal, rows};
use crate::parts::neural::Neural;
use crate::parts::tensors::{data_dtype, device_of};
use crate::parts::value::ValueKind;
use crate::parts::walk;

/// The sizes of an RNADE, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RnadeSettings {
    /// Hidden units H.
    pub hidden: usize,
    /// Gaussians K of each conditional.
    #[serde(default = "components")]
    pub components: usize,
    /// The order of the walk.
    #[serde(default)]
    pub ordering: OrderingKind,
    /// Standard deviation of the initial W, V and c.
    #[serde(default = "init_scale")]
    pub init_scale: f64,
    /// σ_min, in standard deviations of the variable.
    #[serde(default = "min_scale")]
    pub min_scale: f64,
}

fn components() -> usize {
    20
}

fn init_scale() -> f64 {
    0.05
}

fn min_scale() -> f64 {
    1e-3
}

/// The most hidden units and components, far above any real ones.
const MOST_HIDDEN: usize = 1 << 20;
const MOST_COMPONENTS: usize = 1 << 12;

impl RnadeSettings {
    /// `hidden` units in raster order, and every other setting as when a config leaves it out.
    pub fn new(hidden: usize) -> Self {
        Self {
            hidden,
            components: components(),
            ordering: OrderingKind::default(),
            init_scale: init_scale(),
            min_scale: min_scale(),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Error> {
        let refuse =
            |key, value: String, expected: String| Err(Error::Config { key, value, expected });
        if !(1..=MOST_HIDDEN).contains(&self.hidden) {
            let expected = format!("1 to {MOST_HIDDEN} hidden units");
            return refuse("model.hidden", self.hidden.to_string(), expected);
        }
        if !(1..=MOST_COMPONENTS).contains(&self.components) {
            let expected = format!("1 to {MOST_COMPONENTS} components");
            return refuse("model.components", self.components.to_string(), expected);
        }
        if !(self.init_scale.is_finite() && self.init_scale >= 0.0) {
            let expected = "a finite number, 0 or more".into();
            return refuse("model.init_scale", self.init_scale.to_string(), expected);
        }
        if !(1e-6..=1.0).contains(&self.min_scale) {
            let expected = "0.000001 to 1 standard deviations".into();
            return refuse("model.min_scale", self.min_scale.to_string(), expected);
        }
        Ok(())
    }

    /// How to make such a model that walks along `ordering`.
    pub fn config(&self, ordering: Ordering) -> RnadeConfig {
        let Self { hidden, components, init_scale, min_scale, .. } = *self;
        RnadeConfig { ordering, hidden, components, init_scale, min_scale }
    }
}

/// How to make an [`Rnade`].
#[derive(Clone, Debug)]
pub struct RnadeConfig {
    /// The order of the walk; its length is the number of variables.
    pub ordering: Ordering,
    /// Hidden units H.
    pub hidden: usize,
    /// Gaussians K of each conditional.
    pub components: usize,
    /// Standard deviation of the initial W, V and c.
    pub init_scale: f64,
    /// σ_min.
    pub min_scale: f64,
}

impl RnadeConfig {
    /// W, V and c drawn from N(0, init_scale²); components of equal weight whose means are spread evenly
    /// in probability over half a standard deviation, and which together have variance 1.
    ///
    /// # Panics
    /// When the standardization is of another number of variables.
    pub fn init(
        &self,
        standardization: Standardization,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> Rnade {
        let (dim, hidden, components) = (self.ordering.len(), self.hidden, self.components);
        assert_eq!(standardization.means().len(), dim, "one mean per variable");
        let w = normal([dim, hidden], self.init_scale, rng, device);
        let v = normal([dim, 3 * components, hidden], self.init_scale, rng, device);
        let c = normal([hidden], self.init_scale, rng, device);
        let rho: Vec<f32> = (1..=dim).map(|t| 1.0 / (t as f32).sqrt()).collect();
        let spread = spread(components);
        let variance = spread.iter().map(|mean| mean * mean).sum::<f64>() / components as f64;
        let log_scale = 0.5 * (1.0 - variance).ln();
        let row = |mean: &f64| *mean as f32;
        let biases: Vec<f32> = std::iter::repeat_n(0.0, components)
            .chain(spread.iter().map(row))
            .chain(std::iter::repeat_n(log_scale as f32, components))
            .collect();
        let b = TensorData::new(biases.repeat(dim), [dim, 3 * components]);
        Rnade {
            w: Param::from_tensor(w),
            c: Param::from_tensor(c),
            rho: Param::from_tensor(Tensor::from_data(TensorData::new(rho, [dim]), device)),
            v: Param::from_tensor(v),
            b: Param::from_tensor(Tensor::from_data(b, device)),
            ordering: Permutation::new(self.ordering.clone()),
            standardization,
            min_scale: self.min_scale,
        }
    }
}

/// Quantiles of N(0, ½²) at (k + ½) / K.
fn spread(components: usize) -> Vec<f64> {
    (0..components).map(|k| 0.5 * normal_quantile((k as f64 + 0.5) / components as f64)).collect()
}

/// The quantile of a standard normal, to three decimals: Abramowitz and Stegun 1964, 26.2.23.
fn normal_quantile(p: f64) -> f64 {
    let tail = (-2.0 * p.min(1.0 - p).ln()).sqrt();
    let upper = tail
        - (2.515_517 + tail * (0.802_853 + tail * 0.010_328))
            / (1.0 + tail * (1.432_788 + tail * (0.189_269 + tail * 0.001_308)));
    if p < 0.5 { -upper } else { upper }
}

/// An RNADE over real-valued variables.
///
/// ```
/// use ar_models::{rnade::RnadeSettings, standardization::Standardization};
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, ordering::Ordering};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let config = RnadeSettings::new(8).config(Ordering::raster(2));
/// let units = Standardization::new(vec![20.0, 0.0], vec![5.0, 0.1])?;
/// let rnade = config.init(units, &mut rng, &Device::default());
/// let x = Tensor::from_data([[20.0, 0.0]], &Device::default());
/// // Near two standard normals at their means: −2 · ½ ln 2π, minus ln 5 + ln 0.1.
/// let nats = rnade.log_prob(x).into_scalar::<f32>();
/// assert!((nats - (-1.838 + 0.693)).abs() < 0.1, "{nats}");
/// # Ok::<(), ar_models::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Rnade {
    /// Input weights W, `[dim, hidden]`; row t belongs to position t.
    pub w: Param<Tensor<2>>,
    /// Hidden biases c, `[hidden]`.
    pub c: Param<Tensor<1>>,
    /// Scales of the activations ρ, `[dim]`.
    pub rho: Param<Tensor<1>>,
    /// Output weights V^π, V^μ, V^σ one after the other, `[dim, 3·components, hidden]`.
    pub v: Param<Tensor<3>>,
    /// Output biases likewise, `[dim, 3·components]`.
    pub b: Param<Tensor<2>>,
    #[module(skip)]
    ordering: Permutation,
    #[module(skip)]
    standardization: Standardization,
    #[module(skip)]
    min_scale: f64,
}

impl Rnade {
    /// What variables are brought to mean 0 and standard deviation 1 by.
    pub fn standardization(&self) -> &Standardization {
        &self.standardization
    }

    fn weights(&self) -> Weights {
        Weights {
            w: self.w.val(),
            c: self.c.val(),
            rho: self.rho.val(),
            v: self.v.val().flatten(0, 1),
            b: self.b.val().flatten(0, 1),
        }
    }

    /// The outputs of all positions, `[batch, dim, 3·components]`, from z in the order of the walk.
    fn outputs(&self, z: Tensor<2>) -> Tensor<3> {
        let [batch, dim] = z.dims();
        let [_, width] = self.b.dims();
        let blocks = Blocks::alike(dim, 1, width);
        blocks::outputs(z, self.weights(), &blocks).reshape([batch, dim, width])
    }

    /// One number per variable, in the order of the walk.
    fn in_walk(&self, of: impl Fn(usize) -> f64) -> Vec<f64> {
        self.ordering.ordering().as_slice().iter().map(|&i| of(i)).collect()
    }

    /// z in the order of the walk, `[batch, dim]`, from x in event order.
    fn standardized(&self, x: Tensor<2>) -> Tensor<2> {
        let row = |values: Vec<f64>| {
            let data = TensorData::new(values, [1, self.event_len()]);
            Tensor::<2>::from_data(data, (&x.device(), x.dtype()))
        };
        let means = row(self.in_walk(|i| self.standardization.means()[i]));
        let scales = row(self.in_walk(|i| self.standardization.scales()[i]));
        // In the precision of the data: large numbers of small spread differ after the subtraction only.
        let z = (self.ordering.to_walk(x) - means) / scales;
        z.cast(self.b.dtype())
    }

    /// What describes the conditionals of all variables at once, in standardized units: the logits of
    /// their components, the means, and the logarithms of scales before the floor is added.
    ///
    /// A variable's column of `x` never influences its own parameters or earlier ones.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]`, the result `[batch, variables, 3·components]`, in event order.
    pub fn parameters(&self, x: Tensor<2>) -> Tensor<3> {
        let [batch, dim] = x.dims();
        let outputs = self.outputs(self.standardized(x));
        let [_, _, width] = outputs.dims();
        let positions = self.ordering.ordering().positions();
        let each = positions.iter().map(|&t| outputs.clone().narrow(1, t, 1)).collect();
        Tensor::cat(each, 1).reshape([batch, dim, width])
    }

    /// The mixtures that rows of outputs describe, in standardized units.
    ///
    /// # Shapes
    /// `outputs` is `[rows, 3·components]`.
    fn mixtures(&self, outputs: Tensor<2>) -> GaussianMixture {
        let [_, width] = outputs.dims();
        let part = |k: usize| outputs.clone().narrow(1, k * (width / 3), width / 3);
        let log_scales = part(2).exp().add_scalar(self.min_scale).log();
        GaussianMixture::new_unchecked(part(0), part(1), log_scales)
    }

    /// log p(x_t | x_<t), `[batch, dim]` in the order of the walk.
    fn walk_log_probs(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, dim] = x.dims();
        let z = self.standardized(x);
        if batch == 0 {
            return z;
        }
        let outputs = self.outputs(z.clone());
        let [_, _, width] = outputs.dims();
        let each = self.mixtures(outputs.reshape([batch * dim, width]));
        let log_probs = each.log_prob(z.reshape([batch * dim])).reshape([batch, dim]);
        let log_scales = self.in_walk(|i| self.standardization.scales()[i].ln());
        let log_scales = Tensor::<2>::from_data(
            TensorData::new(log_scales, [1, dim]),
            (&log_probs.device(), log_probs.dtype()),
        );
        log_probs - log_scales
    }
}

impl Density for Rnade {
    type Event = Tensor<2>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        let [batch, _] = x.dims();
        self.walk_log_probs(x).sum_dim(1).reshape([batch])
    }
}

impl Sample for Rnade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        let dim = self.event_len();
        let drawn = self.complete(&vec![None; n * dim], rng);
        Float::to_device(&drawn, dim, &device_of(self))
    }
}

/// a_t of each walk of a batch.
#[derive(Clone, Debug)]
pub struct RnadeState {
    position: usize,
    /// `[batch, hidden]`
    a: Tensor<2>,
}

impl Autoregressive for Rnade {
    type State = RnadeState;
    type Conditional = GaussianMixture;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> RnadeState {
        let [hidden] = self.c.dims();
        RnadeState { position: 0, a: self.c.val().unsqueeze::<2>().expand([batch, hidden]) }
    }

    /// In the units of the data.
    fn conditional(&self, state: &RnadeState) -> GaussianMixture {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let [_, width, hidden] = self.v.dims();
        let v_t = self.v.val().narrow(0, t, 1).reshape([width, hidden]);
        let b_t = self.b.val().narrow(0, t, 1); // [1, 3·components]
        let rho_t = self.rho.val().narrow(0, t, 1).unsqueeze::<2>(); // [1, 1]
        let h = relu(state.a.clone().mul(rho_t)); // [batch, hidden]
        let i = self.ordering()[t];
        let (mean, scale) = (self.standardization.means()[i], self.standardization.scales()[i]);
        let outputs = h.matmul(v_t.transpose()) + b_t;
        let precision = data_dtype(&outputs.device());
        self.mixtures(outputs.cast(precision)).affine(scale, mean)
    }

    fn advance(&self, state: &mut RnadeState, x_t: Tensor<1>) {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        let [batch, _] = state.a.dims();
        assert_eq!(x_t.dims(), [batch], "one value per walk");
        let i = self.ordering()[t];
        let (mean, scale) = (self.standardization.means()[i], self.standardization.scales()[i]);
        let z_t = x_t.sub_scalar(mean).div_scalar(scale).cast(state.a.dtype());
        let w_t = self.w.val().narrow(0, t, 1); // [1, hidden]
        state.a = state.a.clone() + z_t.unsqueeze_dim::<2>(1).mul(w_t); // [batch, hidden]
        state.position += 1;
    }

    fn select(&self, state: &RnadeState, walks: &[usize]) -> RnadeState {
        RnadeState { position: state.position, a: rows(&state.a, walks) }
    }
}

impl Neural for Rnade {
    type Kind = Float;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2>) -> Tensor<2> {
        self.ordering.to_event(self.walk_log_probs(x))
    }

    /// max(0, c + W z), the hidden units after all variables but for a scale.
    fn features(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let a = self.standardized(x).matmul(self.w.val()) + self.c.val().unsqueeze::<2>();
        Some(relu(a))
    }

    fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        walk::complete(self, observed, rng)
    }
}
