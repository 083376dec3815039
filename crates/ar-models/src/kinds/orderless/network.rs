//! The network under every likelihood: from the features of the variables that are known, and which they are, to the
//! outputs of all.

use core::ops::Range;

use ar_kernels::blocks::Blocks;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::settings::{Activation, OrderlessSettings};
use crate::parts::layers::dropout::Dropout;
use crate::parts::layers::normal;

/// A hidden layer above the first.
#[derive(Module, Debug)]
pub struct Layer {
    /// Weights U, `[in, out]`.
    pub u: Param<Tensor<2>>,
    /// Biases c, `[out]`.
    pub c: Param<Tensor<1>>,
}

/// The weights of a network. Features and outputs are those of the variables one after the other, in event order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    /// W, `[features, first hidden]`.
    pub(crate) w: &'a Param<Tensor<2>>,
    /// M, `[variables, first hidden]`.
    pub(crate) m: &'a Param<Tensor<2>>,
    /// Biases of the first layer, `[first hidden]`.
    pub(crate) c: &'a Param<Tensor<1>>,
    pub(crate) layers: &'a [Layer],
    /// V, `[outputs, last hidden]`.
    pub(crate) v: &'a Param<Tensor<2>>,
    /// b, `[outputs]`.
    pub(crate) b: &'a Param<Tensor<1>>,
    pub(crate) activation: Activation,
}

/// The initial weights but for the output biases.
pub(crate) struct Initial {
    pub(crate) w: Param<Tensor<2>>,
    pub(crate) m: Param<Tensor<2>>,
    pub(crate) c: Param<Tensor<1>>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) v: Param<Tensor<2>>,
}

impl Initial {
    /// W, M and U with the variance of their activation over the variables or units below, V from N(0, 0.01²), biases
    /// 0.
    pub(crate) fn draw(
        settings: &OrderlessSettings,
        blocks: &Blocks,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> Self {
        let (dim, hidden) = (blocks.dim(), &settings.hidden);
        let scale = |inputs: usize| (settings.activation.gain() / inputs.max(1) as f64).sqrt();
        let mut matrix = |rows: usize, inputs: usize, outputs: usize| {
            Param::from_tensor(normal([rows, outputs], scale(inputs), rng, device))
        };
        let biases = |units: usize| Param::from_tensor(Tensor::zeros([units], device));
        let w = matrix(blocks.features(), dim, hidden[0]);
        let m = matrix(dim, dim, hidden[0]);
        let layers = hidden
            .windows(2)
            .map(|pair| Layer { u: matrix(pair[0], pair[0], pair[1]), c: biases(pair[1]) });
        let layers = layers.collect();
        let v = normal([blocks.outputs(), hidden[hidden.len() - 1]], 0.01, rng, device);
        Self { w, m, c: biases(hidden[0]), layers, v: Param::from_tensor(v) }
    }
}

impl Network<'_> {
    /// What the first layer takes φ of where nothing is known, `[batch, first hidden]`.
    pub(crate) fn nothing_known(&self, batch: usize) -> Tensor<2> {
        let [hidden] = self.c.dims();
        self.c.val().unsqueeze::<2>().expand([batch, hidden])
    }

    /// The same where the variable i is known too, whose features are these columns, `[batch, at.len()]`.
    pub(crate) fn reveal(
        &self,
        first: Tensor<2>,
        i: usize,
        (features, at): (Tensor<2>, Range<usize>),
    ) -> Tensor<2> {
        let w_i = self.w.val().narrow(0, at.start, at.len());
        first + features.matmul(w_i) + self.m.val().narrow(0, i, 1)
    }

    /// The outputs at these places, `[batch, at.len()]`, from what the first layer takes φ of.
    pub(crate) fn outputs_at(&self, first: Tensor<2>, at: Range<usize>) -> Tensor<2> {
        let v_i = self.v.val().narrow(0, at.start, at.len()).transpose(); // [last hidden, at.len()]
        let b_i = self.b.val().narrow(0, at.start, at.len()).unsqueeze::<2>();
        self.above_first(first, &mut Dropout::none()).matmul(v_i) + b_i
    }

    /// The outputs of all variables, known or not, `[batch, outputs]`, in one pass.
    ///
    /// # Shapes
    /// `features` is `[batch, features]`, 0 where a variable is not known, `mask` `[batch, variables]`, 1 where it is.
    pub(crate) fn outputs_given(
        &self,
        features: Tensor<2>,
        mask: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let last = self.last_hidden(features, mask, dropout);
        last.matmul(self.v.val().transpose()) + self.b.val().unsqueeze()
    }

    /// h_L, `[batch, last hidden]`, as in [`outputs_given`](Self::outputs_given).
    pub(crate) fn last_hidden(
        &self,
        features: Tensor<2>,
        mask: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let seen = features.matmul(self.w.val());
        let first = seen + mask.matmul(self.m.val()) + self.c.val().unsqueeze();
        self.above_first(first, dropout)
    }

    /// h_L, `[batch, last hidden]`, from what the first layer takes φ of, `[batch, first hidden]`.
    fn above_first(&self, first: Tensor<2>, dropout: &mut Dropout<'_>) -> Tensor<2> {
        let first = dropout.of(self.activation.of(first));
        self.layers.iter().fold(first, |h, layer| {
            dropout.of(self.activation.of(h.matmul(layer.u.val()) + layer.c.val().unsqueeze()))
        })
    }
}
