//! MADE over the columns of a table.
//!
//! ```text
//! o = the outputs of the network of [`crate::kinds::made`], from the features of all columns
//! p(x) = Π_i p(x_i | o_[i])
//! ```
//!
//! Features, outputs, shifts and likelihoods are those of [`ColumnNade`](crate::kinds::nade::ColumnNade); a mask holds for all
//! features and outputs of a column at once, so that none of the labels of a category tells of another one. With
//! several masks the model is the mixture of the distributions under each, exact along the walk too: what the masks
//! before have made of a prefix says how much each counts.
//!
//! # References
//! - Germain, Gregor, Murray, Larochelle, *MADE: Masked Autoencoder for Distribution Estimation*, ICML 2015,
//!   arXiv:1502.03509, Eqs. 8 to 13.
//! - Masks over blocks, and residual blocks, for tables: Yang et al., *Deep Unsupervised Cardinality Estimation*,
//!   2019, arXiv:1905.04278, Section 4.2; Durkan, Nash, 2019, arXiv:1904.05626, Section 3.2.
//!
//! # Deviations from the papers
//! Numbers are under mixtures, not binned, and conditioned on as asinh z.

use std::sync::Arc;

use ar_kernels::blocks::Blocks;
use burn::module::{Module, Param};
use burn::tensor::{Device, Float, Int, Tensor};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use super::masks::Connectivity;
use super::network::{Initial, Layer, Network, Walks};
use super::settings::MadeConfig;
use crate::parts::columns::{Layout, MixedConditional, Mixtures, Origin, Rows, Units};
use crate::parts::layers::dropout::Dropout;
use crate::parts::layers::mixture;
use crate::parts::layers::permute::Permutation;
use crate::parts::neural::Neural;
use crate::parts::tensors::device_of;
use crate::parts::value::ValueKind;
use crate::parts::walk;

/// How to make a [`ColumnMade`].
#[derive(Clone, Debug)]
pub struct ColumnMadeConfig {
    /// The hidden layers and masks.
    pub(crate) network: MadeConfig,
    /// How numbers are described.
    pub(crate) mixtures: Mixtures,
}

impl ColumnMadeConfig {
    /// Weights as those of [`MadeConfig::init`], and b = 0: nearly, labels have the frequencies of training and
    /// components stand where its numbers are.
    ///
    /// # Panics
    /// When the units or the links are of other columns, or there is no hidden layer or no mask.
    pub(crate) fn init(
        &self,
        units: Units,
        origin: &Origin,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> ColumnMade {
        let order = Ordering::raster(self.network.ordering.len());
        let layout = Layout::new(order, units, origin, self.mixtures);
        let blocks = layout.blocks();
        let Initial { layers, v, a } = Initial::draw(&self.network, blocks, rng, device);
        let b = Tensor::zeros([blocks.outputs()], device);
        ColumnMade {
            layers,
            v,
            a,
            b: Param::from_tensor(b),
            members: self.network.connectivities(blocks),
            layout,
            config: self.clone(),
        }
    }
}

/// A MADE over columns: the mixture of the distributions under its masks.
#[derive(Module, Debug)]
pub struct ColumnMade {
    /// The hidden layers; the rows of the first one's U belong to the features of the columns, in event order.
    pub layers: Vec<Layer>,
    /// Output weights V, `[last hidden, outputs]`; outputs belong to the columns in event order, here and below.
    pub v: Param<Tensor<2>>,
    /// Direct connections A, `[features, outputs]`.
    pub a: Option<Param<Tensor<2>>>,
    /// Output biases b, `[outputs]`.
    pub b: Param<Tensor<1>>,
    #[module(skip)]
    members: Arc<[Connectivity]>,
    #[module(skip)]
    layout: Layout,
    #[module(skip)]
    config: ColumnMadeConfig,
}

impl ColumnMade {
    /// Number of masks K.
    pub fn masks(&self) -> usize {
        self.members.len()
    }

    /// Where the features and outputs of each column are, and what they mean.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn network(&self) -> Network<'_> {
        let Self { layers, v, a, b, members, config, .. } = self;
        Network { layers, v, a: a.as_ref(), b, members, config: &config.network }
    }

    /// log p_k(x_i | those before it) under each mask k, K of `[batch, columns]` in event order.
    fn log_probs_per_mask(
        &self,
        x: Tensor<2>,
        of: Rows,
        dropout: &mut Dropout<'_>,
    ) -> Vec<Tensor<2>> {
        let (inputs, targets) = self.layout.inputs(x, of, self.b.dtype());
        let network = self.network();
        let mut under = |mask| {
            let outputs = network.outputs_of_rows(mask, inputs.clone(), dropout);
            self.layout.log_probs(outputs, targets.clone())
        };
        (0..self.masks()).map(&mut under).collect()
    }

    /// log p(x), without the units that dropout leaves out.
    fn log_prob_with(&self, x: Tensor<2>, of: Rows, dropout: &mut Dropout<'_>) -> Tensor<1> {
        let [batch, _] = x.dims();
        let rows = |log_probs: Tensor<2>| log_probs.sum_dim(1).reshape([batch]);
        let under = self.log_probs_per_mask(x, of, dropout).into_iter().map(rows);
        mixture::log_prob(Tensor::stack(under.collect(), 1))
    }
}

impl Density for ColumnMade {
    type Event = Tensor<2>;

    /// # Panics
    /// When an event does not have one value for every column.
    fn log_prob(&self, x: Tensor<2>) -> Tensor<1> {
        self.log_prob_with(x, Rows::Any, &mut Dropout::none())
    }
}

impl Sample for ColumnMade {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2> {
        let dim = self.event_len();
        let drawn = self.complete(&vec![None; n * dim], rng);
        Float::to_device(&drawn, dim, &device_of(self))
    }
}

/// Where each walk of a batch has come, under every mask.
#[derive(Clone, Debug)]
pub struct ColumnMadeState(Walks);

impl Autoregressive for ColumnMade {
    type State = ColumnMadeState;
    type Conditional = MixedConditional;

    fn event_len(&self) -> usize {
        self.config.network.ordering.len()
    }

    fn init_state(&self, batch: usize) -> ColumnMadeState {
        ColumnMadeState(self.network().walks(batch))
    }

    fn conditional(&self, state: &ColumnMadeState) -> MixedConditional {
        let i = state.0.variable(&self.config.network.ordering);
        let members = state.0.next.iter().map(|next| self.layout.conditional(i, next.clone()));
        MixedConditional::new(members.collect(), state.0.posterior.log_probs())
    }

    fn advance(&self, state: &mut ColumnMadeState, x_t: Tensor<1>) {
        let i = state.0.variable(&self.config.network.ordering);
        assert_eq!(x_t.dims(), [state.0.batch()], "one value per walk");
        if self.masks() > 1 {
            // A value that no mask allows says nothing about the mask.
            let evidence = self.conditional(state).log_prob_per_member(x_t.clone());
            let impossible = evidence.clone().equal_scalar(f64::NEG_INFINITY);
            state.0.posterior.learn(evidence.mask_fill(impossible, 0.0));
        }
        let features = self.layout.features_of(i, x_t, &state.0.next[0]);
        self.network().advance(&mut state.0, features);
    }

    fn select(&self, state: &ColumnMadeState, walks: &[usize]) -> ColumnMadeState {
        ColumnMadeState(state.0.select(walks))
    }
}

impl Neural for ColumnMade {
    type Kind = Float;

    fn ordering(&self) -> &Ordering {
        &self.config.network.ordering
    }

    fn log_prob_per_variable(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let mut under = self.log_probs_per_mask(x, Rows::Any, &mut Dropout::none());
        if batch == 0 || self.masks() == 1 {
            return under.swap_remove(0);
        }
        let walk = Permutation::new(self.ordering().clone());
        let under = under.into_iter().map(|log_probs| walk.to_walk(log_probs));
        walk.to_event(mixture::log_prob_per_variable(Tensor::stack::<3>(under.collect(), 2)))
    }

    /// h_L, the mean over the masks, `[batch, last hidden]`.
    fn features(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        let (inputs, _) = self.layout.inputs(x, Rows::Any, self.b.dtype());
        Some(self.network().features_of_rows(&inputs))
    }

    fn complete(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        walk::complete(self, observed, rng)
    }

    fn training_loss(
        &self,
        x: Tensor<2>,
        _: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
    ) -> Tensor<1> {
        let mut dropout = Dropout::new(self.config.network.dropout, rng);
        self.log_prob_with(x, Rows::Training, &mut dropout).neg()
    }

    /// Number of weights that some mask lets through and that the likelihood depends on: not those of an output that
    /// stays where it is.
    fn free_parameters(&self) -> usize {
        let (network, blocks) = (&self.config.network, self.layout.blocks());
        let of = |&i: &usize| (blocks.features_of(i).len(), self.layout.free_outputs_of(i));
        let (features, outputs): (Vec<_>, Vec<_>) =
            network.ordering.as_slice().iter().map(of).unzip();
        network.parameters_of(&Blocks::new(&features, &outputs))[1]
    }
}

#[cfg(test)]
mod tests {
    use prob_core::laws::sums_to_one;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::super::network::Masked;
    use super::*;
    use crate::foundation::column::Column;
    use crate::foundation::examples::InMemory;
    use crate::parts::layers::{masked, normal};
    use crate::parts::neural::map_weights;
    use crate::parts::tensors::host_f64;

    /// Two columns of labels, and weights far from their initial values.
    fn made(device: &Device) -> ColumnMade {
        let columns = [Column::Category { labels: 3 }, Column::Category { labels: 2 }];
        let training = InMemory::reals(vec![0.0, 1.0, 1.0, 0.0, 2.0, 1.0], 2);
        let (units, frequencies) = Units::fit(&columns, &training).unwrap();
        let config = ColumnMadeConfig {
            network: MadeConfig::new(Ordering::raster(2), vec![20]),
            mixtures: Mixtures { components: 1, min_scale: 0.1 },
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let made = config.init(units, &Origin::Training(frequencies), &mut rng, device);
        map_weights(made, |_, weight| normal(weight.dims(), 1.0, &mut rng, device))
    }

    #[test]
    fn the_masked_kernels_are_plain_products() {
        let device = Device::default();
        let made = made(&device);
        let x = Float::to_device(&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0], 2, &device);
        let (features, _) = made.layout.encoded(x.clone(), Rows::Any, made.b.dtype());
        let (inputs, _) = made.layout.inputs(x, Rows::Any, made.b.dtype());
        let network = made.network();
        let found = host_f64(network.outputs_of_rows(0, inputs, &mut Dropout::none()));
        let plain = |masked: &Masked| {
            let plain = network.outputs(masked, features.clone(), &mut Dropout::none());
            let gaps = host_f64(plain).into_iter().zip(&found).map(|(a, b)| (a - b).abs());
            gaps.fold(0.0, f64::max)
        };
        let good = network.masked(0);
        assert!(plain(&good) < 1e-5);
        let leaky = masked(made.v.val(), made.members[0].leaky_output());
        assert!(plain(&Masked { v: leaky, ..good }) > 0.1);
    }

    #[test]
    fn a_one_hot_that_leaks_its_own_block_loses_mass() {
        let device = Device::default();
        let made = made(&device);
        let rows = (0..=3).flat_map(|a| (0..=2).flat_map(move |b| [f64::from(a), f64::from(b)]));
        let x = Float::to_device(&rows.collect::<Vec<f64>>(), 2, &device);
        let (features, targets) = made.layout.encoded(x, Rows::Any, made.b.dtype());
        let network = made.network();
        let mass = |weights: &Masked| {
            let outputs = network.outputs(weights, features.clone(), &mut Dropout::none());
            let log_probs = made.layout.log_probs(outputs, targets.clone()).sum_dim(1);
            sums_to_one(host_f64(log_probs), 1e-5)
        };
        let good = network.masked(0);
        mass(&good).unwrap();
        let leaky = masked(made.v.val(), made.members[0].leaky_output());
        mass(&Masked { v: leaky, ..good }).unwrap_err();
    }
}
