//! The layers of a network, and their weights.

use std::sync::Arc;

use ar_kernels::pixel::walk::{Scalar, Stage};
use ar_kernels::pixel::{self, Convolution, Lstm, Weights, walk as cached};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::uniform;
use rand::Rng;

use super::layout::{MaskKind, mask};
use super::settings::PixelSettings;
use crate::parts::layers;
use crate::parts::tensors::{host_f64, same_label};

/// Draws weights.
pub(super) struct Init<'a> {
    pub(super) rng: &'a mut dyn Rng,
    pub(super) device: &'a Device,
}

impl Init<'_> {
    /// From U(−1/√fan-in, 1/√fan-in), times `gain`.
    fn weights<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
        gain: f64,
    ) -> Tensor<D> {
        let bound = gain / (fan_in.max(1) as f64).sqrt();
        let n = shape.iter().product();
        let values: Vec<f32> =
            (0..n).map(|_| ((2.0 * uniform(self.rng) - 1.0) * bound) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    pub(super) fn convolution(
        &mut self,
        spec: Convolution,
        kind: MaskKind,
        [inputs, outputs]: [usize; 2],
        colours: usize,
    ) -> ConvolutionLayer {
        self.small(1.0, spec, kind, [inputs, outputs], colours)
    }

    /// With weights of another size.
    pub(super) fn small(
        &mut self,
        gain: f64,
        spec: Convolution,
        kind: MaskKind,
        [inputs, outputs]: [usize; 2],
        colours: usize,
    ) -> ConvolutionLayer {
        let mask = mask(kind, &spec, inputs, outputs, 1, colours);
        let taps = spec.taps.len();
        let weights = self.weights([taps, inputs, outputs], taps * inputs, gain);
        ConvolutionLayer {
            weights: Param::from_tensor(weights),
            bias: Param::from_tensor(Tensor::zeros([outputs], self.device)),
            class_bias: None,
            spec,
            mask: mask.map(Arc::new),
        }
    }
}

/// A masked convolution.
#[derive(Module, Debug)]
pub struct ConvolutionLayer {
    /// `[taps, in, out]`; the mask is multiplied in at every use.
    pub weights: Param<Tensor<3>>,
    /// `[out]`
    pub bias: Param<Tensor<1>>,
    /// Added to the bias, `[classes, out]`.
    pub class_bias: Option<Param<Tensor<2>>>,
    #[module(skip)]
    spec: Convolution,
    #[module(skip)]
    mask: Option<Arc<Vec<f32>>>,
}

/// `weights`, 0 where the mask is, if there is one.
fn masked<const D: usize>(weights: Tensor<D>, mask: Option<&Arc<Vec<f32>>>) -> Tensor<D> {
    match mask {
        Some(mask) => layers::masked(weights, mask.to_vec()),
        None => weights,
    }
}

/// How many weights a mask hides.
fn hidden_by(mask: &Option<Arc<Vec<f32>>>) -> usize {
    mask.iter().flat_map(|mask| mask.iter()).filter(|&&m| m == 0.0).count()
}

impl ConvolutionLayer {
    /// Number of weights that are masked.
    pub(super) fn masked_weights(&self) -> usize {
        hidden_by(&self.mask)
    }

    fn weights(&self) -> Tensor<3> {
        masked(self.weights.val(), self.mask.as_ref())
    }

    /// With a bias per class, which starts at 0.
    pub(super) fn with_classes(self, classes: Option<usize>, device: &Device) -> Self {
        let [outputs] = self.bias.dims();
        let zeros = |classes| Param::from_tensor(Tensor::zeros([classes, outputs], device));
        Self { class_bias: classes.map(zeros), ..self }
    }

    /// `[1, out]`, or `[labels, out]` where there is a bias per class.
    fn bias(&self, labels: Labels<'_>) -> Tensor<2> {
        let bias = self.bias.val().unsqueeze::<2>();
        match (&self.class_bias, labels) {
            (Some(own), Some(labels)) => bias + own.val().select(0, labels.clone()),
            _ => bias,
        }
    }

    /// `[batch, height, width, in]` to `[batch, height, width, out]`.
    pub(super) fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        pixel::convolution(&self.spec, x, self.weights(), self.bias(labels))
    }

    pub(super) fn on_host<E: Scalar>(&self) -> cached::Layer<E> {
        cached::Layer {
            spec: self.spec.clone(),
            weights: scalars(self.weights()),
            biases: per_class(&self.class_bias, |label| scalars(self.bias(label))),
        }
    }
}

/// A class per image, or a single one that is that of all images.
pub(super) type Labels<'a> = Option<&'a Tensor<1, Int>>;

/// `of` each class, or of none where there are no biases per class; classes are their first dimension
/// but one.
fn per_class<const D: usize, T>(
    class_bias: &Option<Param<Tensor<D>>>,
    of: impl Fn(Labels<'_>) -> T,
) -> Vec<T> {
    let Some(biases) = class_bias else {
        return vec![of(None)];
    };
    let device = biases.val().device();
    (0..biases.dims()[D - 2]).map(|class| of(Some(&same_label(class, 1, &device)))).collect()
}

/// A tensor's values on the host.
fn scalars<E: Scalar, const D: usize>(x: Tensor<D>) -> Vec<E> {
    host_f64(x).into_iter().map(E::from_f64).collect()
}

/// A recurrent layer; shapes as in [`ar_kernels::pixel::Weights`].
#[derive(Module, Debug)]
pub struct RecurrentLayer {
    /// K_is; the mask is multiplied in at every use.
    pub input_to_state: Param<Tensor<4>>,
    /// K_ss.
    pub state_to_state: Param<Tensor<4>>,
    /// Biases of the gates, `[directions, 1, 4 hidden]`.
    pub bias: Param<Tensor<3>>,
    /// Added to them, `[directions, classes, 4 hidden]`.
    pub class_bias: Option<Param<Tensor<3>>>,
    /// h₀ and c₀.
    pub initial: Param<Tensor<3>>,
    /// U; the mask is multiplied in at every use.
    pub up: Param<Tensor<2>>,
    /// b_U.
    pub up_bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) spec: Lstm,
    #[module(skip)]
    input_mask: Option<Arc<Vec<f32>>>,
    #[module(skip)]
    up_mask: Option<Arc<Vec<f32>>>,
}

impl RecurrentLayer {
    /// Number of weights that are masked.
    pub(super) fn masked_weights(&self) -> usize {
        hidden_by(&self.input_mask) + hidden_by(&self.up_mask)
    }

    pub(super) fn new(
        spec: Lstm,
        settings: &PixelSettings,
        colours: usize,
        init: &mut Init<'_>,
    ) -> Self {
        let hidden = settings.hidden;
        let directions = spec.directions();
        let (count, channels) = (directions.len(), 2 * hidden);
        let (inputs, states) = (&directions[0].input_taps, &directions[0].state_taps);
        let fan_in = inputs.len() * channels + states.len() * hidden;
        let here = Convolution { taps: vec![[0, 0]], rectify: false };
        let taps = Convolution { taps: inputs.clone(), rectify: false };
        let input_mask = mask(MaskKind::B, &taps, channels, 4 * hidden, 4, colours);
        let forget_first = [0.0_f32, 1.0, 0.0, 0.0].map(|bias| vec![bias; hidden]).concat();
        let bias = TensorData::new(forget_first.repeat(count), [count, 1, 4 * hidden]);
        let input_to_state = init.weights([count, inputs.len(), channels, 4 * hidden], fan_in, 1.0);
        let state_to_state = init.weights([count, states.len(), hidden, 4 * hidden], fan_in, 1.0);
        Self {
            input_to_state: Param::from_tensor(input_to_state),
            state_to_state: Param::from_tensor(state_to_state),
            bias: Param::from_tensor(Tensor::from_data(bias, init.device)),
            class_bias: settings.classes.map(|classes| {
                Param::from_tensor(Tensor::zeros([count, classes, 4 * hidden], init.device))
            }),
            initial: Param::from_tensor(Tensor::zeros([count, 2, hidden], init.device)),
            up: Param::from_tensor(init.weights([hidden, channels], hidden, 1.0)),
            up_bias: Param::from_tensor(Tensor::zeros([channels], init.device)),
            spec,
            input_mask: input_mask.map(|mask| Arc::new(mask.repeat(count))),
            up_mask: mask(MaskKind::B, &here, hidden, channels, 1, colours).map(Arc::new),
        }
    }

    fn weights(&self, labels: Labels<'_>) -> Weights {
        Weights {
            input_to_state: masked(self.input_to_state.val(), self.input_mask.as_ref()),
            state_to_state: self.state_to_state.val(),
            bias: self.gate_bias(labels),
            initial: self.initial.val(),
            up: masked(self.up.val(), self.up_mask.as_ref()),
            up_bias: self.up_bias.val(),
        }
    }

    /// `[directions, 1, 4 hidden]`, or `[directions, labels, 4 hidden]` where there is a bias per class.
    fn gate_bias(&self, labels: Labels<'_>) -> Tensor<3> {
        match (&self.class_bias, labels) {
            (Some(own), Some(labels)) => self.bias.val() + own.val().select(1, labels.clone()),
            _ => self.bias.val(),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        pixel::lstm(self.spec, x, self.weights(labels))
    }

    pub(super) fn on_host<E: Scalar>(&self) -> Stage<E> {
        let weights = self.weights(None);
        Stage::Recurrent(cached::Recurrent {
            spec: self.spec,
            input_to_state: scalars(weights.input_to_state),
            state_to_state: scalars(weights.state_to_state),
            biases: per_class(&self.class_bias, |label| scalars(self.gate_bias(label))),
            initial: scalars(weights.initial),
            up: scalars(weights.up),
            up_bias: scalars(weights.up_bias),
        })
    }
}

/// A residual block of PixelCNN.
#[derive(Module, Debug)]
pub struct Block {
    /// 1×1 down, 3×3, 1×1 up.
    pub convolutions: Vec<ConvolutionLayer>,
    #[module(skip)]
    pub(super) residual: bool,
}

impl Block {
    pub(super) fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        let y = self.convolutions.iter().fold(x.clone(), |y, layer| layer.forward(y, labels));
        if self.residual { y + x } else { y }
    }
}
