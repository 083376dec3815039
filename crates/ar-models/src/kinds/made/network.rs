//! The masked network under every likelihood: from the features of all variables to the outputs of each, which know
//! the variables before it.

use ar_kernels::blocks::Blocks;
use ar_kernels::masked as kernels;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use prob_core::ordering::Ordering;
use rand::Rng;

use super::masks::Connectivity;
use super::settings::MadeConfig;
use crate::parts::layers::dropout::Dropout;
use crate::parts::layers::mixture::Posterior;
use crate::parts::layers::{masked, normal, rows};

/// A hidden layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Weights U, `[in, out]`; the mask is multiplied in at every use.
    pub u: Param<Tensor<2>>,
    /// Biases c, `[out]`.
    pub c: Param<Tensor<1>>,
}

/// The weights of a network and the masks that they are used under. Features and outputs are those of the variables
/// one after the other, in event order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    pub(crate) layers: &'a [Layer],
    /// V, `[last hidden, outputs]`.
    pub(crate) v: &'a Param<Tensor<2>>,
    /// A, `[features, outputs]`.
    pub(crate) a: Option<&'a Param<Tensor<2>>>,
    /// b, `[outputs]`.
    pub(crate) b: &'a Param<Tensor<1>>,
    /// One for each mask.
    pub(crate) members: &'a [Connectivity],
    pub(crate) config: &'a MadeConfig,
}

/// The weights under one mask.
#[derive(Clone, Debug)]
pub(crate) struct Masked {
    pub(crate) layers: Vec<Tensor<2>>,
    pub(crate) v: Tensor<2>,
    pub(crate) a: Option<Tensor<2>>,
}

/// The initial weights but for the output biases.
pub(crate) struct Initial {
    pub(crate) layers: Vec<Layer>,
    pub(crate) v: Param<Tensor<2>>,
    pub(crate) a: Option<Param<Tensor<2>>>,
}

impl Initial {
    /// U from N(0, 2/fan-in), in the second layer of a residual block from N(0, 0.01²), V from N(0, 0.01²), A and
    /// hidden biases 0.
    ///
    /// # Panics
    /// When there is no hidden layer or no mask.
    pub(crate) fn draw(
        config: &MadeConfig,
        blocks: &Blocks,
        rng: &mut dyn Rng,
        device: &Device,
    ) -> Self {
        assert!(config.masks > 0, "0 masks, expected at least 1");
        let [inputs, outputs] = [blocks.features(), blocks.outputs()];
        let last = *config.hidden.last().expect("at least one hidden layer");
        let below = std::iter::once(inputs).chain(config.hidden.iter().copied());
        let layers = below.zip(&config.hidden).enumerate().map(|(l, (inputs, &outputs))| {
            let ends_block = config.residual && l > 0 && l.is_multiple_of(2);
            let scale = if ends_block { 0.01 } else { (2.0 / inputs.max(1) as f64).sqrt() };
            Layer {
                u: Param::from_tensor(normal([inputs, outputs], scale, rng, device)),
                c: Param::from_tensor(Tensor::zeros([outputs], device)),
            }
        });
        Self {
            layers: layers.collect(),
            v: Param::from_tensor(normal([last, outputs], 0.01, rng, device)),
            a: config.direct.then(|| Param::from_tensor(Tensor::zeros([inputs, outputs], device))),
        }
    }
}

impl Network<'_> {
    /// Number of masks K.
    pub(crate) fn masks(&self) -> usize {
        self.members.len()
    }

    fn blocks(&self) -> &Blocks {
        self.members[0].blocks()
    }

    /// # Panics
    /// When there is no such mask.
    pub(crate) fn masked(&self, mask: usize) -> Masked {
        let masks = &self.members[mask];
        let layers = self.layers.iter().zip(masks.hidden());
        Masked {
            layers: layers.map(|(layer, mask)| masked(layer.u.val(), mask)).collect(),
            v: masked(self.v.val(), masks.output()),
            a: self.a.map(|a| masked(a.val(), masks.direct())),
        }
    }

    /// The outputs of all variables, `[batch, outputs]`, from the features of all, `[batch, features]`.
    pub(crate) fn outputs(
        &self,
        masked: &Masked,
        x: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let last = self.last_hidden(masked, x.clone(), dropout);
        let outputs = last.matmul(masked.v.clone()) + self.b.val().unsqueeze();
        match &masked.a {
            Some(a) => outputs + x.matmul(a.clone()),
            None => outputs,
        }
    }

    /// h_L, `[batch, last hidden]`, from the features of all variables.
    fn last_hidden(&self, masked: &Masked, x: Tensor<2>, dropout: &mut Dropout<'_>) -> Tensor<2> {
        let first = x.matmul(masked.layers[0].clone()) + self.layers[0].c.val().unsqueeze();
        self.above_first(self.plain(masked), first, dropout)
    }

    /// What the unit above makes of h at layer l, under weights that are masked.
    fn plain(&self, masked: &Masked) -> impl Fn(Tensor<2>, usize) -> Tensor<2> {
        move |h, l| h.matmul(masked.layers[l].clone()) + self.layers[l].c.val().unsqueeze()
    }

    /// h_L, `[batch, last hidden]`, from what the first layer rectifies, `[batch, first hidden]`, and what `of` makes of
    /// the layer below at each layer after it.
    fn above_first(
        &self,
        of: impl Fn(Tensor<2>, usize) -> Tensor<2>,
        first: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let layers = 1..self.layers.len();
        if !self.config.residual {
            let first = dropout.of(relu(first));
            return layers.fold(first, |h, layer| dropout.of(relu(of(h, layer))));
        }
        let h = layers.step_by(2).fold(first, |h, inner| {
            let inside = dropout.of(relu(of(relu(h.clone()), inner)));
            h + of(inside, inner + 1)
        });
        relu(h)
    }

    /// [`outputs`](Self::outputs) under a mask, from the inputs of all variables, `[batch, inputs]`, of which a label has
    /// one (see [`ar_kernels::blocks::Input`]): as operations that know what is masked.
    ///
    /// # Panics
    /// When there is no such mask.
    pub(crate) fn outputs_of_rows(
        &self,
        mask: usize,
        x: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let (member, b) = (&self.members[mask], self.b.val());
        let last = self.last_hidden_of_rows(mask, x.clone(), dropout);
        match self.a {
            Some(a) => {
                let direct = kernels::rows(x, a.val(), b, member.direct_sees(), self.blocks());
                let nothing = self.b.val().detach().zeros_like();
                direct + kernels::linear(last, self.v.val(), nothing, member.output_sees())
            }
            None => kernels::linear(last, self.v.val(), b, member.output_sees()),
        }
    }

    fn last_hidden_of_rows(
        &self,
        mask: usize,
        x: Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<2> {
        let sees = self.members[mask].hidden_sees();
        let weights = |l: usize| (self.layers[l].u.val(), self.layers[l].c.val());
        let (u, c) = weights(0);
        let first = kernels::rows(x, u, c, &sees[0], self.blocks());
        let of = |h: Tensor<2>, l: usize| {
            let (u, c) = weights(l);
            kernels::linear(h, u, c, &sees[l])
        };
        self.above_first(of, first, dropout)
    }

    /// h_L of whole rows, the mean over the masks, `[batch, last hidden]`.
    pub(crate) fn features(&self, x: &Tensor<2>) -> Tensor<2> {
        self.mean(|mask| self.last_hidden(&self.masked(mask), x.clone(), &mut Dropout::none()))
    }

    /// The same from their inputs, as [`outputs_of_rows`](Self::outputs_of_rows) takes them.
    pub(crate) fn features_of_rows(&self, x: &Tensor<2>) -> Tensor<2> {
        self.mean(|mask| self.last_hidden_of_rows(mask, x.clone(), &mut Dropout::none()))
    }

    fn mean(&self, under: impl Fn(usize) -> Tensor<2>) -> Tensor<2> {
        let sum = (1..self.masks()).fold(under(0), |sum, mask| sum + under(mask));
        sum.div_scalar(self.masks() as f64)
    }

    /// Walks before their first variable.
    pub(crate) fn walks(&self, batch: usize) -> Walks {
        let c = self.layers[0].c.val().unsqueeze::<2>();
        let [_, hidden] = c.dims();
        let nothing = self.b.val().zeros_like().unsqueeze::<2>();
        let [_, outputs] = nothing.dims();
        let walk = |mask| MaskedWalk {
            weights: self.masked(mask),
            first: c.clone().expand([batch, hidden]),
            direct: self.a.map(|_| nothing.clone().expand([batch, outputs])),
        };
        let walks: Vec<MaskedWalk> = (0..self.masks()).map(walk).collect();
        let next = self.next_outputs(&walks, 0);
        let posterior = Posterior::even(batch, self.masks(), (&c.device(), c.dtype()));
        Walks { position: 0, walks, posterior, next }
    }

    /// The outputs of the variable that the walks stand before, `[batch, outputs of it]`, under each mask.
    fn next_outputs(&self, walks: &[MaskedWalk], position: usize) -> Vec<Tensor<2>> {
        let at = self.blocks().outputs_of(self.ordering()[position]);
        let b_i = self.b.val().narrow(0, at.start, at.len()).unsqueeze::<2>(); // [1, outputs of i]
        let outputs = |walk: &MaskedWalk| {
            let first = walk.first.clone();
            let last = self.above_first(self.plain(&walk.weights), first, &mut Dropout::none());
            let v_i = walk.weights.v.clone().narrow(1, at.start, at.len());
            let outputs = last.matmul(v_i) + b_i.clone(); // [batch, outputs of i]
            match &walk.direct {
                Some(direct) => outputs + direct.clone().narrow(1, at.start, at.len()),
                None => outputs,
            }
        };
        walks.iter().map(outputs).collect()
    }

    /// Moves on past the variable that the walks stand before, by its features, `[batch, features of it]`.
    ///
    /// # Panics
    /// When the walk is over.
    pub(crate) fn advance(&self, state: &mut Walks, features: Tensor<2>) {
        let i = state.variable(self.ordering());
        let at = self.blocks().features_of(i);
        for walk in &mut state.walks {
            let u_i = walk.weights.layers[0].clone().narrow(0, at.start, at.len());
            walk.first = walk.first.clone() + features.clone().matmul(u_i); // [batch, first hidden]
            if let (Some(direct), Some(a)) = (&mut walk.direct, &walk.weights.a) {
                let a_i = a.clone().narrow(0, at.start, at.len());
                *direct = direct.clone() + features.clone().matmul(a_i);
            }
        }
        state.position += 1;
        if state.position < self.ordering().len() {
            state.next = self.next_outputs(&state.walks, state.position);
        }
    }

    fn ordering(&self) -> &Ordering {
        &self.config.ordering
    }
}

/// Where each walk of a batch has come, under every mask.
#[derive(Clone, Debug)]
pub(crate) struct Walks {
    position: usize,
    /// One per mask.
    walks: Vec<MaskedWalk>,
    /// Which mask.
    pub(crate) posterior: Posterior,
    /// The outputs of the variable to come, `[batch, outputs of it]`, under each mask.
    pub(crate) next: Vec<Tensor<2>>,
}

/// The network under one mask, fed the prefix.
#[derive(Clone, Debug)]
struct MaskedWalk {
    weights: Masked,
    /// What the first layer rectifies, `[batch, first hidden]`.
    first: Tensor<2>,
    /// What the direct connections add to the outputs, `[batch, outputs]`.
    direct: Option<Tensor<2>>,
}

impl Walks {
    /// The variable to come.
    ///
    /// # Panics
    /// When the walk is over.
    pub(crate) fn variable(&self, ordering: &Ordering) -> usize {
        let t = self.position;
        assert!(t < ordering.len(), "the walk is over after {t} variables");
        ordering[t]
    }

    /// Number of walks.
    pub(crate) fn batch(&self) -> usize {
        self.walks[0].first.dims()[0]
    }

    /// Those of some walks of the batch, in that order.
    pub(crate) fn select(&self, walks: &[usize]) -> Self {
        let walk = |walk: &MaskedWalk| MaskedWalk {
            weights: walk.weights.clone(),
            first: rows(&walk.first, walks),
            direct: walk.direct.as_ref().map(|direct| rows(direct, walks)),
        };
        Self {
            position: self.position,
            walks: self.walks.iter().map(walk).collect(),
            posterior: self.posterior.select(walks),
            next: self.next.iter().map(|next| rows(next, walks)).collect(),
        }
    }
}
