//! PixelRNN and PixelCNN: images as a product of one conditional per pixel and colour.
//!
//! ```text
//! p(x) = Π_i p(R_i | x_<i) p(G_i | x_<i, R_i) p(B_i | x_<i, R_i, G_i)
//!
//! input 7×7 mask A -> 2h;   layers × stage 2h -> 2h;   ReLU, 1×1 mask B -> head;   ReLU, 1×1 mask B -> logits
//!
//! row-lstm, diagonal-lstm, diagonal-bilstm:   y + U h,  h the states of an LSTM over y  (ar_kernels::pixel)
//! pixel-cnn:                                  y + 1×1( ReLU( 3×3 mask B( ReLU( 1×1( ReLU(y) ) ) ) ) ),  2h -> h -> h -> 2h
//! ```
//!
//! Bits have one logit each (sigmoid), symbols of m levels m logits (softmax), or with
//! `likelihood = "logistic-mixture"` the 3K numbers of a mixture of K logistics ([`ar_kernels::levels`]). Feature maps
//! are split into one group per colour, and group k sees of its own pixel only the colours before k.
//!
//! With `classes = K` every layer has a bias per class y, added to its gates (`pixel-cnn`: to its
//! convolutions), so that the network is p(x | y). Without a label its density is the mixture
//!
//! ```text
//! p(x) = 1/K Σ_y p(x | y)
//! p(x_t | x_<t) = Σ_y p(y | x_<t) p(x_t | x_<t, y),   p(y | x_<t) ∝ Π_{s<t} p(x_s | x_<s, y)
//! ```
//!
//! whose walk is K walks side by side.
//!
//! # References
//! van den Oord, Kalchbrenner, Kavukcuoglu, *Pixel Recurrent Neural Networks*, ICML 2016,
//! arXiv:1601.06759, Section 3, Table 1 and Figure 5. The bias per class: van den Oord, Kalchbrenner,
//! Vinyals, Espeholt, Graves, Kavukcuoglu, *Conditional Image Generation with PixelCNN Decoders*, NIPS
//! 2016, arXiv:1606.05328, Eq. 4. The mixture: Salimans, Karpathy, Chen, Kingma, *PixelCNN++*, ICLR 2017,
//! arXiv:1701.05517, Eq. 2; colours see each other by the masks, not by its Eq. 3.
//!
//! # Deviations from the paper
//! - Diagonals have no cells outside the image (see [`ar_kernels::pixel`]).
//! - Outside the image a pixel counts as 0, as in the paper's padding; symbols enter as s / (m − 1).
//! - The forget gates' biases start at 1, the last layer near 0 (for bits at the log-odds of the
//!   training mean); all other weights from U(−1/√fan-in, 1/√fan-in).

mod field;
pub(crate) mod layout;

use std::sync::Arc;

use ar_kernels::Isa;
use ar_kernels::pixel::walk::{self as cached, Network, Scalar, Stage, Walk};
use ar_kernels::pixel::{self, Convolution, Kind, Lstm, Weights};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use prob_core::dist::{Categorical, categorical};
use prob_core::logspace::logsumexp;
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample, uniform};
use rand::Rng;
use serde::{Deserialize, Serialize};

pub use field::receptive_field;
pub use layout::ImageLayout;
use layout::{MaskKind, mask};

use crate::codec::Arithmetic;
use crate::config::check_classes;
use crate::error::Error;
use crate::heads::impossible_from_outside_on;
pub use crate::heads::levels::Likelihood;
use crate::heads::levels::SymbolHead;
use crate::layers::permute::Permutation;
use crate::layers::{self, mixture, rows};
use crate::neural::{Neural, device_of, event_tensor, floats, host_f64, same_label};
use crate::walk::{Choose, Walker};

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelKind {
    /// Row LSTM.
    RowLstm,
    /// Diagonal LSTM from left to right alone.
    DiagonalLstm,
    /// Diagonal BiLSTM.
    DiagonalBilstm,
    /// PixelCNN.
    PixelCnn,
}

impl PixelKind {
    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowLstm => "row-lstm",
            Self::DiagonalLstm => "diagonal-lstm",
            Self::DiagonalBilstm => "diagonal-bilstm",
            Self::PixelCnn => "pixel-cnn",
        }
    }
}

/// The sizes of a network, as they stand in a config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelSettings {
    /// Layers between the input convolution and the head.
    pub layers: usize,
    /// Hidden maps h of a layer; the maps between layers have 2h.
    pub hidden: usize,
    /// Maps of the head.
    #[serde(default = "head")]
    pub head: usize,
    /// Whether a layer's input is added to its output.
    #[serde(default = "yes")]
    pub residual: bool,
    /// Whether the head sees every layer's map, each through a 1×1 convolution, instead of the last.
    #[serde(default)]
    pub skip: bool,
    /// Whether the backward pass of a fused recurrent layer computes its gates again instead of keeping
    /// them: a third more time, for memory of one map per layer. PixelCNN keeps only its maps anyway.
    #[serde(default)]
    pub recompute: bool,
    /// Classes of the labels that a layer has biases for; none for a network that sees no labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// How symbols of more than two levels are described.
    #[serde(default, skip_serializing_if = "Likelihood::is_default")]
    pub likelihood: Likelihood,
    /// Components of a mixture.
    #[serde(default = "components", skip_serializing_if = "are_default_components")]
    pub components: usize,
}

/// Those of the paper of the mixture.
fn components() -> usize {
    10
}

fn are_default_components(given: &usize) -> bool {
    *given == components()
}

fn head() -> usize {
    32
}

fn yes() -> bool {
    true
}

impl PixelSettings {
    /// `layers` layers of `hidden` maps, and every other setting as when a config leaves it out.
    pub fn new(layers: usize, hidden: usize) -> Self {
        Self {
            layers,
            hidden,
            head: head(),
            residual: true,
            skip: false,
            recompute: false,
            classes: None,
            likelihood: Likelihood::Softmax,
            components: components(),
        }
    }
}

/// The most maps of a layer and layers of a network, far above any real one.
const MOST: usize = 1 << 14;

impl PixelSettings {
    /// Checks every value, for images of so many levels.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self, levels: Option<usize>) -> Result<(), Error> {
        for (key, value) in [
            ("model.layers", self.layers),
            ("model.hidden", self.hidden),
            ("model.head", self.head),
        ] {
            if value == 0 || value > MOST {
                return Err(Error::Config {
                    key,
                    value: value.to_string(),
                    expected: format!("1 to {MOST}"),
                });
            }
        }
        check_classes(self.classes)?;
        self.likelihood.check(levels, self.components)
    }
}

/// How to make a [`Pixel`].
#[derive(Clone, Debug)]
pub struct PixelConfig {
    /// Which network.
    pub kind: PixelKind,
    /// Its sizes.
    pub settings: PixelSettings,
    /// What an event is.
    pub image: ImageLayout,
    /// Number of values of each variable.
    pub levels: usize,
}

/// Draws weights.
struct Init<'a> {
    rng: &'a mut dyn Rng,
    device: &'a Device,
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

    fn convolution(
        &mut self,
        spec: Convolution,
        kind: MaskKind,
        [inputs, outputs]: [usize; 2],
        colours: usize,
    ) -> ConvolutionLayer {
        self.small(1.0, spec, kind, [inputs, outputs], colours)
    }

    /// With weights of another size.
    fn small(
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

impl ConvolutionLayer {
    fn weights(&self) -> Tensor<3> {
        masked(self.weights.val(), self.mask.as_ref())
    }

    /// With a bias per class, which starts at 0.
    fn with_classes(self, classes: Option<usize>, device: &Device) -> Self {
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
    fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        pixel::convolution(&self.spec, x, self.weights(), self.bias(labels))
    }

    fn on_host<E: Scalar>(&self) -> cached::Layer<E> {
        cached::Layer {
            spec: self.spec.clone(),
            weights: scalars(self.weights()),
            biases: per_class(&self.class_bias, |label| scalars(self.bias(label))),
        }
    }
}

/// A class per image, or a single one that is that of all images.
type Labels<'a> = Option<&'a Tensor<1, Int>>;

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
    spec: Lstm,
    #[module(skip)]
    input_mask: Option<Arc<Vec<f32>>>,
    #[module(skip)]
    up_mask: Option<Arc<Vec<f32>>>,
}

impl RecurrentLayer {
    fn new(spec: Lstm, settings: &PixelSettings, colours: usize, init: &mut Init<'_>) -> Self {
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

    fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        pixel::lstm(self.spec, x, self.weights(labels))
    }

    fn on_host<E: Scalar>(&self) -> Stage<E> {
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
    residual: bool,
}

impl Block {
    fn forward(&self, x: Tensor<4>, labels: Labels<'_>) -> Tensor<4> {
        let y = self.convolutions.iter().fold(x.clone(), |y, layer| layer.forward(y, labels));
        if self.residual { y + x } else { y }
    }
}

/// A PixelRNN or PixelCNN.
///
/// ```
/// use ar_models::pixel::{ImageLayout, PixelConfig, PixelKind, PixelSettings};
/// use burn::tensor::{Device, Tensor};
/// use prob_core::Density;
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let device = Device::default();
/// let image = ImageLayout::of("row-lstm", &[1, 2])?;
/// let settings = PixelSettings::new(1, 4);
/// let config = PixelConfig { kind: PixelKind::RowLstm, settings, image, levels: 2 };
/// let model = config.init(0.5, &mut ChaCha8Rng::seed_from_u64(1), &device);
/// let all = Tensor::from_data([[0, 0], [0, 1], [1, 0], [1, 1]], &device);
/// let mass = model.log_prob(all).exp().sum().into_scalar::<f32>();
/// assert!((mass - 1.0).abs() < 1e-5);
/// # Ok::<(), ar_models::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct Pixel {
    /// 7×7, mask A.
    pub input: ConvolutionLayer,
    /// The layers of a PixelRNN.
    pub recurrent: Vec<RecurrentLayer>,
    /// The layers of a PixelCNN.
    pub blocks: Vec<Block>,
    /// 1×1 convolutions of each layer's map to what the head sees; none if it sees the last map.
    pub skips: Vec<ConvolutionLayer>,
    /// Two rectified 1×1 convolutions; the last gives the logits.
    pub head: Vec<ConvolutionLayer>,
    #[module(skip)]
    image: ImageLayout,
    #[module(skip)]
    levels: usize,
    #[module(skip)]
    symbols: SymbolHead,
    #[module(skip)]
    classes: Option<usize>,
    #[module(skip)]
    ordering: Permutation,
}

impl PixelConfig {
    fn symbols(&self) -> SymbolHead {
        SymbolHead::new(self.levels, self.settings.likelihood, self.settings.components)
    }

    /// Number of weights that such a network stores, and how many of them no mask hides.
    pub fn parameters(&self) -> [usize; 2] {
        let Self { kind, settings, image, .. } = self;
        let (h, colours, b) = (settings.hidden, image.colours, MaskKind::B);
        let here = Convolution { taps: vec![[0, 0]], rectify: false };
        let seen = |kind, spec: &Convolution, [inputs, outputs]: [usize; 2], blocks| {
            let stored = spec.taps.len() * inputs * outputs;
            [stored, layout::seen(kind, spec, [inputs, outputs], blocks, colours)]
        };
        let biased = |kind, spec: &Convolution, sizes: [usize; 2]| {
            seen(kind, spec, sizes, 1).map(|weights| weights + sizes[1])
        };
        let pixel_cnn = [
            biased(b, &here, [2 * h, h]),
            biased(b, &Convolution::causal(3, true), [h, h]),
            biased(b, &here, [h, 2 * h]),
        ];
        let recurrent = |kind| {
            let spec = Lstm { kind, residual: true, recompute: false };
            let directions = spec.directions();
            let taps = Convolution { taps: directions[0].input_taps.clone(), rectify: false };
            let inputs = seen(b, &taps, [2 * h, 4 * h], 4);
            let others = directions[0].state_taps.len() * h * 4 * h + 4 * h + 2 * h;
            let states = inputs.map(|inputs| directions.len() * (inputs + others));
            vec![states, biased(b, &here, [h, 2 * h])]
        };
        let layer = match kind {
            PixelKind::RowLstm => recurrent(Kind::Row),
            PixelKind::DiagonalLstm => recurrent(Kind::Diagonal),
            PixelKind::DiagonalBilstm => recurrent(Kind::DiagonalBoth),
            PixelKind::PixelCnn => pixel_cnn.to_vec(),
        };
        let outputs = colours * self.symbols().outputs();
        let mut parts = vec![
            biased(MaskKind::A, &Convolution::causal(7, colours > 1), [colours, 2 * h]),
            biased(b, &here, [2 * h, settings.head]),
            biased(b, &here, [settings.head, outputs]),
        ];
        let directions = if *kind == PixelKind::DiagonalBilstm { 2 } else { 1 };
        let of_classes = settings.classes.unwrap_or(0) * directions * 4 * h;
        for _ in 0..settings.layers {
            parts.extend(&layer);
            parts.push([of_classes; 2]);
            if settings.skip {
                parts.push(biased(b, &here, [2 * h, 2 * h]));
            }
        }
        parts.iter().fold([0, 0], |[a, b], [c, d]| [a + c, b + d])
    }

    /// Random weights; with bits the last bias is the log-odds of `mean`, the mean of all training
    /// values.
    ///
    /// # Panics
    /// When there are fewer than two levels, or `mean` of bits is not inside (0, 1).
    pub fn init(&self, mean: f64, rng: &mut dyn Rng, device: &Device) -> Pixel {
        let Self { kind, settings, image, levels } = self;
        assert!(*levels >= 2, "{levels} levels, expected at least 2");
        let (h, colours) = (settings.hidden, image.colours);
        let mut init = Init { rng, device };
        let here = Convolution { taps: vec![[0, 0]], rectify: false };
        let b = MaskKind::B;
        let first = Convolution::causal(7, colours > 1);
        let input = init.convolution(first, MaskKind::A, [colours, 2 * h], colours);
        let lstm = |kind| Lstm { kind, residual: settings.residual, recompute: settings.recompute };
        let recurrent = match kind {
            PixelKind::RowLstm => Some(lstm(Kind::Row)),
            PixelKind::DiagonalLstm => Some(lstm(Kind::Diagonal)),
            PixelKind::DiagonalBilstm => Some(lstm(Kind::DiagonalBoth)),
            PixelKind::PixelCnn => None,
        };
        let (mut recurrent_layers, mut blocks) = (Vec::new(), Vec::new());
        for _ in 0..settings.layers {
            if let Some(spec) = recurrent {
                recurrent_layers.push(RecurrentLayer::new(spec, settings, colours, &mut init));
                continue;
            }
            let middle = Convolution::causal(3, true).rectified();
            let convolutions = vec![
                init.convolution(here.clone().rectified(), b, [2 * h, h], colours),
                init.convolution(middle, b, [h, h], colours),
                init.convolution(here.clone().rectified(), b, [h, 2 * h], colours),
            ];
            let convolutions = convolutions
                .into_iter()
                .map(|layer: ConvolutionLayer| layer.with_classes(settings.classes, device))
                .collect();
            blocks.push(Block { convolutions, residual: settings.residual });
        }
        let skips = if settings.skip { settings.layers } else { 0 };
        let skips = (0..skips)
            .map(|_| init.convolution(here.clone(), b, [2 * h, 2 * h], colours))
            .collect();
        let here = here.rectified();
        let symbols = self.symbols();
        let outputs = colours * symbols.outputs();
        let middle = init.convolution(here.clone(), b, [2 * h, settings.head], colours);
        let bias = if let SymbolHead::Bit = symbols {
            assert!(mean > 0.0 && mean < 1.0, "a mean of {mean}, expected inside (0, 1)");
            vec![(mean.ln() - (-mean).ln_1p()) as f32]
        } else {
            symbols.start(None)
        };
        let bias = TensorData::new(bias.repeat(colours), [outputs]);
        let last = init.small(0.1, here, b, [settings.head, outputs], colours);
        let last =
            ConvolutionLayer { bias: Param::from_tensor(Tensor::from_data(bias, device)), ..last };
        Pixel {
            input,
            recurrent: recurrent_layers,
            blocks,
            skips,
            head: vec![middle, last],
            image: *image,
            levels: *levels,
            symbols,
            classes: settings.classes,
            ordering: Permutation::new(image.ordering()),
        }
    }
}

impl Pixel {
    /// Which network.
    pub fn kind(&self) -> PixelKind {
        match self.recurrent.first().map(|layer| layer.spec.kind) {
            Some(Kind::Row) => PixelKind::RowLstm,
            Some(Kind::Diagonal) => PixelKind::DiagonalLstm,
            Some(Kind::DiagonalBoth) => PixelKind::DiagonalBilstm,
            None => PixelKind::PixelCnn,
        }
    }

    /// Number of weights that are not masked.
    pub fn free_parameters(&self) -> usize {
        let hidden = |mask: &Option<Arc<Vec<f32>>>| {
            mask.iter().flat_map(|mask| mask.iter()).filter(|&&m| m == 0.0).count()
        };
        let blocks = self.blocks.iter().flat_map(|block| &block.convolutions);
        let convolutions = blocks.chain(&self.skips).chain(&self.head).chain([&self.input]);
        let in_convolutions: usize = convolutions.map(|layer| hidden(&layer.mask)).sum();
        let in_layers: usize = self
            .recurrent
            .iter()
            .map(|layer| hidden(&layer.input_mask) + hidden(&layer.up_mask))
            .sum();
        self.num_params() - in_convolutions - in_layers
    }

    /// What the symbols are multiplied by.
    fn scale(&self) -> f64 {
        1.0 / (self.levels - 1) as f64
    }

    /// Outputs of the network for a value: 1 for bits, else one per level, or the parameters of a mixture.
    fn of_value(&self) -> usize {
        self.symbols.outputs()
    }

    /// Symbols in the order of the walk to the scaled image, `[batch, height, width, colours]`.
    fn scaled(&self, x: Tensor<2>) -> Tensor<4> {
        let ImageLayout { height, width, colours, .. } = self.image;
        let [batch, _] = x.dims();
        x.mul_scalar(self.scale()).reshape([batch, height, width, colours])
    }

    /// Calls `see` with the name and the output of each layer on the way to the logits,
    /// `[batch, height, width, colours · logits of a value]`.
    fn layers(
        &self,
        x: Tensor<4>,
        labels: Labels<'_>,
        mut see: impl FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        let mut y = self.input.forward(x, None);
        see("input", &y);
        let mut skipped: Option<Tensor<4>> = None;
        for layer in 0..self.recurrent.len() + self.blocks.len() {
            let name = if let Some(recurrent) = self.recurrent.get(layer) {
                y = recurrent.forward(y, labels);
                format!("recurrent.{layer}")
            } else {
                y = self.blocks[layer].forward(y, labels);
                format!("blocks.{layer}")
            };
            see(&name, &y);
            if let Some(skip) = self.skips.get(layer) {
                let part = skip.forward(y.clone(), None);
                skipped = Some(match skipped {
                    Some(sum) => sum + part,
                    None => part,
                });
            }
        }
        y = skipped.unwrap_or(y);
        for (k, layer) in self.head.iter().enumerate() {
            y = layer.forward(y, None);
            see(&format!("head.{k}"), &y);
        }
        y
    }

    /// The same in the order of the walk, `[batch, variables, logits of a value]`.
    fn walk_logits(&self, x: Tensor<2>, labels: Labels<'_>) -> Tensor<3> {
        let [batch, variables] = x.dims();
        let logits = self.layers(self.scaled(x), labels.filter(|_| batch > 0), |_, _| ());
        logits.reshape([batch, variables, self.of_value()])
    }

    /// Logits of each variable given those before it, all at once: of a bit the one of being 1, of a
    /// symbol one per level, or what describes its mixture.
    ///
    /// Values are floats so that the Jacobian can be taken.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch, variables, logits of a value]`.
    ///
    /// # Panics
    /// When the model has classes: see [`logits_given`](Self::logits_given).
    pub fn logits(&self, x: Tensor<2>) -> Tensor<3> {
        assert!(self.classes.is_none(), "a model with classes has logits given a label only");
        self.event_logits(x, None)
    }

    /// The same given a label.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order, `labels` `[batch]`; returns
    /// `[batch, variables, logits of a value]`.
    ///
    /// # Panics
    /// When the model has no classes, or there is not one label per image.
    pub fn logits_given(&self, x: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<3> {
        self.check_labels(x.dims()[0], labels.dims()[0]);
        self.event_logits(x, Some(&labels))
    }

    fn check_labels(&self, batch: usize, labels: usize) {
        assert!(self.classes.is_some(), "the model has no classes");
        assert_eq!(batch, labels, "one label per image");
    }

    fn event_logits(&self, x: Tensor<2>, labels: Labels<'_>) -> Tensor<3> {
        let walk = self.walk_logits(self.ordering.to_walk(x), labels);
        let [batch, variables, of_value] = walk.dims();
        let columns = self.ordering.ordering().positions().iter().map(|&t| t as i64);
        let columns = TensorData::new(columns.collect::<Vec<i64>>(), [variables]);
        if batch == 0 {
            return walk.reshape([0, variables, of_value]);
        }
        let columns = Tensor::<1, Int>::from_data(columns, &walk.device());
        walk.select(1, columns)
    }

    /// The network on the host, to be walked.
    fn network<E: Scalar>(&self) -> Arc<Network<E>> {
        let stages = self.recurrent.iter().map(RecurrentLayer::on_host);
        let blocks = self.blocks.iter().map(|block| Stage::Block {
            layers: block.convolutions.iter().map(ConvolutionLayer::on_host).collect(),
            residual: block.residual,
        });
        Arc::new(Network {
            size: [self.image.height, self.image.width],
            colours: self.image.colours,
            input: self.input.on_host(),
            stages: stages.chain(blocks).collect(),
            skips: self.skips.iter().map(ConvolutionLayer::on_host).collect(),
            head: self.head.iter().map(ConvolutionLayer::on_host).collect(),
            scale: self.scale(),
        })
    }

    /// The precision of the weights.
    fn dtype(&self) -> DType {
        self.input.bias.val().dtype()
    }

    /// [`Neural::complete`] in one precision, given labels or nothing.
    fn complete_in<E: Scalar>(
        &self,
        observed: &[Option<u8>],
        labels: Option<&[u8]>,
        rng: &mut dyn Rng,
    ) -> Vec<u8> {
        let variables = self.event_len();
        let n = observed.len() / variables;
        // The order of the plain walk: position by position, row by row.
        let uniforms: Vec<f64> = (0..n * variables).map(|_| uniform(rng)).collect();
        let ordering = self.ordering.ordering();
        let network = self.network::<E>();
        let value = |image: usize, t: usize, logits: &[f64]| {
            let known = observed[image * variables + ordering[t]];
            known.unwrap_or_else(|| categorical::draw(logits, uniforms[t * n + image]) as u8)
        };
        let (classes, beside) = match labels {
            Some(labels) => (labels.iter().map(|&label| label.into()).collect(), 1),
            None => (self.all_classes(n), self.beside()),
        };
        let drawn = cached::run_classes(
            &network,
            &classes,
            beside,
            |mix: &mut Mixture, image, t, logits| {
                mix.choose(&self.symbols, beside, logits, |logits| value(image, t, logits))
            },
        );
        let mut out = vec![0; drawn.len()];
        for (to, from) in out.chunks_exact_mut(variables).zip(drawn.chunks_exact(variables)) {
            for (t, &value) in from.iter().enumerate() {
                to[ordering[t]] = value;
            }
        }
        out
    }

    /// log p of each value in the order of the walk, `[batch, variables]`.
    fn walk_log_probs(&self, x: Tensor<2, Int>, labels: Labels<'_>) -> Tensor<2> {
        let logits = self.walk_logits(floats(x.clone(), &self.input.bias.val()), labels);
        self.symbols.log_prob(logits, x)
    }

    /// log p(x | y) of each image, from its values in the order of the walk.
    fn walk_log_prob(&self, x: Tensor<2, Int>, labels: Labels<'_>) -> Tensor<1> {
        let logits = self.walk_logits(floats(x.clone(), &self.input.bias.val()), labels);
        self.symbols.log_prob_of_events(logits, x)
    }

    /// The maps of the last layer, mean over the positions, `[batch, 2 hidden]`, and log p(x | y) of
    /// each image, from its values in the order of the walk.
    fn pooled(&self, x: Tensor<2, Int>, labels: Labels<'_>) -> (Tensor<2>, Tensor<1>) {
        let [batch, variables] = x.dims();
        let image = self.scaled(floats(x.clone(), &self.input.bias.val()));
        let mut last = None;
        let logits = self.layers(image, labels, |name, y| {
            if !name.starts_with("head") {
                last = Some(y.clone());
            }
        });
        let maps = last.expect("the first layer is no part of the head");
        let [_, height, width, channels] = maps.dims();
        let mean = maps.reshape([batch, height * width, channels]).mean_dim(1);
        let logits = logits.reshape([batch, variables, self.of_value()]);
        (mean.reshape([batch, channels]), self.symbols.log_prob_of_events(logits, x))
    }
}

/// Where the walks of one image, one per class, have come: which class it may be of.
///
/// ```text
/// p(x_t | x_<t) = Σ_y p(y | x_<t) p(x_t | x_<t, y)
/// ```
#[derive(Clone, Debug, Default)]
struct Mixture {
    /// log p(y | x_<t), `[classes]`; empty before the first value.
    log_posterior: Vec<f64>,
    /// log p(x_t | x_<t, y), `[classes, levels]`.
    log_probs: Vec<f64>,
}

impl Mixture {
    /// log p(x_t | x_<t) of every symbol, from the logits in each class, `[classes, logits of a value]`,
    /// as they are in the precision of the walk.
    fn conditional<E: Scalar>(
        &mut self,
        head: &SymbolHead,
        classes: usize,
        logits: &[E],
    ) -> Vec<f64> {
        if self.log_posterior.is_empty() {
            self.log_posterior = vec![-(classes as f64).ln(); classes];
        }
        self.log_probs.clear();
        for logits in logits.chunks_exact(logits.len() / classes) {
            let logits = head.logits(logits.iter().map(|l| l.to_f64()));
            let sum = logsumexp(&logits);
            self.log_probs.extend(logits.iter().map(|logit| logit - sum));
        }
        let levels = self.log_probs.len() / classes;
        let of = |symbol| E::from_f64(logsumexp(&self.joint(symbol))).to_f64();
        (0..levels).map(of).collect()
    }

    /// log p(x_t = symbol, y | x_<t), `[classes]`; `-inf` for what is no symbol.
    fn joint(&self, symbol: usize) -> Vec<f64> {
        let levels = self.log_probs.len() / self.log_posterior.len();
        let rows = self.log_probs.chunks_exact(levels).zip(&self.log_posterior);
        rows.map(|(row, weight)| weight + row.get(symbol).unwrap_or(&f64::NEG_INFINITY)).collect()
    }

    /// The value that `choose` makes of the logits of every symbol, from those of each walk of the image,
    /// `[walks, logits of a value]`.
    fn choose<E: Scalar>(
        &mut self,
        head: &SymbolHead,
        walks: usize,
        logits: &[E],
        choose: impl FnOnce(&[f64]) -> u8,
    ) -> u8 {
        if walks == 1 {
            return choose(&head.logits(logits.iter().map(|l| l.to_f64())));
        }
        let value = choose(&self.conditional(head, walks, logits));
        self.observe(value);
        value
    }

    /// Moves on past a value. One that no class can have says nothing about the class.
    fn observe(&mut self, symbol: u8) {
        let joint = self.joint(symbol.into());
        let sum = logsumexp(&joint);
        if sum.is_finite() {
            self.log_posterior = joint.into_iter().map(|log_prob| log_prob - sum).collect();
        }
    }
}

impl Density for Pixel {
    type Event = Tensor<2, Int>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        match self.classes {
            None => self.walk_log_prob(self.ordering.to_walk(x), None),
            Some(_) => mixture::log_prob(self.log_prob_per_class(x)),
        }
    }
}

impl Sample for Pixel {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        let dim = self.event_len();
        event_tensor(&self.complete(&vec![None; n * dim], rng), dim, &device_of(self))
    }
}

/// Images in the middle of their walk, and the logits of their next value.
#[derive(Clone, Debug)]
pub struct PixelState {
    /// Of each image, or where the class is to be found of each image and class.
    walk: Precision,
    /// Walks of an image.
    beside: usize,
    /// One per image where the class is to be found.
    mixtures: Vec<Mixture>,
    /// `[batch, levels]`
    logits: Tensor<2>,
}

#[derive(Clone, Debug)]
enum Precision {
    Single(Box<Walk<f32>>),
    Double(Box<Walk<f64>>),
}

impl Precision {
    /// Moves on past a value per walk.
    fn advance(&mut self, symbols: Vec<u8>) {
        match self {
            Self::Single(walk) => walk.advance(symbols),
            Self::Double(walk) => walk.advance(symbols),
        }
    }

    /// The walks `walks`, in that order.
    fn select(&self, walks: &[usize]) -> Self {
        match self {
            Self::Single(walk) => Self::Single(Box::new(walk.select(walks))),
            Self::Double(walk) => Self::Double(Box::new(walk.select(walks))),
        }
    }

    /// Position and walks.
    fn place(&self) -> (usize, usize) {
        match self {
            Self::Single(walk) => (walk.position(), walk.images()),
            Self::Double(walk) => (walk.position(), walk.images()),
        }
    }
}

impl Pixel {
    /// The logits of the value that `walk` stands before, `beside` walks of an image, on the model's device.
    fn next(&self, walk: &mut Precision, beside: usize, mixtures: &mut [Mixture]) -> Tensor<2> {
        let (_, walks) = walk.place();
        let values = match walk {
            Precision::Single(walk) => self.next_of(&walk.logits(), beside, mixtures),
            Precision::Double(walk) => self.next_of(&walk.logits(), beside, mixtures),
        };
        let like = self.input.bias.val();
        let data = TensorData::new(values, [walks / beside, self.levels]);
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }

    /// Of every symbol, from those of each walk.
    fn next_of<E: Scalar>(
        &self,
        logits: &[E],
        beside: usize,
        mixtures: &mut [Mixture],
    ) -> Vec<f64> {
        if mixtures.is_empty() {
            let rows = logits.chunks_exact(self.of_value());
            return rows
                .flat_map(|row| self.symbols.logits(row.iter().map(|l| l.to_f64())))
                .collect();
        }
        let rows = logits.chunks_exact(beside * self.of_value()).zip(mixtures);
        rows.flat_map(|(row, mixture)| mixture.conditional(&self.symbols, beside, row)).collect()
    }

    /// Walks of one image.
    fn beside(&self) -> usize {
        self.classes.unwrap_or(1)
    }

    /// The classes of each image's walks, `[images, beside]`.
    fn all_classes(&self, images: usize) -> Vec<usize> {
        (0..images).flat_map(|_| 0..self.beside()).collect()
    }

    /// Walks of the classes `classes` before their first value, `beside` of an image, whose class is to be
    /// found among them if there are mixtures.
    fn start(&self, classes: Vec<usize>, beside: usize, mut mixtures: Vec<Mixture>) -> PixelState {
        let mut walk = if self.dtype() == DType::F64 {
            Precision::Double(Box::new(Walk::with_classes(&self.network(), classes)))
        } else {
            Precision::Single(Box::new(Walk::with_classes(&self.network(), classes)))
        };
        let logits = self.next(&mut walk, beside, &mut mixtures);
        PixelState { walk, beside, mixtures, logits }
    }

    /// The state before the first variable, for a walk given each of `labels`.
    ///
    /// # Panics
    /// When the model has no classes, or a label is not below them.
    pub fn init_state_given(&self, labels: &[u8]) -> PixelState {
        self.check_labels(labels.len(), labels.len());
        self.start(labels.iter().map(|&label| label.into()).collect(), 1, Vec::new())
    }
}

impl Autoregressive for Pixel {
    type State = PixelState;
    type Conditional = Categorical;

    fn event_len(&self) -> usize {
        self.ordering.ordering().len()
    }

    fn init_state(&self, batch: usize) -> PixelState {
        let beside = self.beside();
        let mixed = if self.classes.is_some() { batch } else { 0 };
        self.start(self.all_classes(batch), beside, vec![Mixture::default(); mixed])
    }

    fn conditional(&self, state: &PixelState) -> Categorical {
        let (position, _) = state.walk.place();
        assert!(position < self.event_len(), "the walk is over after {position} variables");
        Categorical::from_logits_unchecked(state.logits.clone())
    }

    fn advance(&self, state: &mut PixelState, x_t: Tensor<1, Int>) {
        let (position, walks) = state.walk.place();
        assert!(position < self.event_len(), "the walk is over after {position} variables");
        assert_eq!(x_t.dims()[0], walks / state.beside, "one value per image");
        let symbols = crate::neural::event_symbols(x_t);
        for (mixture, &symbol) in state.mixtures.iter_mut().zip(&symbols) {
            mixture.observe(symbol);
        }
        let repeated = symbols.iter().flat_map(|&x| core::iter::repeat_n(x, state.beside));
        state.walk.advance(repeated.collect());
        if position + 1 < self.event_len() {
            state.logits = self.next(&mut state.walk, state.beside, &mut state.mixtures);
        }
    }

    fn select(&self, state: &PixelState, walks: &[usize]) -> PixelState {
        let beside = state.beside;
        let of = |&walk: &usize| walk * beside..(walk + 1) * beside;
        let mixtures = walks.iter().filter_map(|&walk| state.mixtures.get(walk).cloned());
        PixelState {
            walk: state.walk.select(&walks.iter().flat_map(of).collect::<Vec<_>>()),
            beside,
            mixtures: mixtures.collect(),
            logits: rows(&state.logits, walks),
        }
    }
}

impl Neural for Pixel {
    type Kind = Int;

    fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn log_prob_per_variable(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let x = self.ordering.to_walk(x);
        let device = x.device();
        let of = |class| self.walk_log_probs(x.clone(), Some(&same_label(class, 1, &device)));
        let log_probs = match self.classes {
            None => self.walk_log_probs(x.clone(), None),
            Some(classes) => {
                let all = Tensor::stack((0..classes).map(of).collect(), 2);
                mixture::log_prob_per_variable(all)
            }
        };
        self.ordering.to_event(impossible_from_outside_on(log_probs, &x, self.levels))
    }

    fn classes(&self) -> Option<usize> {
        self.classes
    }

    fn log_prob_given(&self, x: Tensor<2, Int>, labels: Tensor<1, Int>) -> Tensor<1> {
        self.check_labels(x.dims()[0], labels.dims()[0]);
        self.walk_log_prob(self.ordering.to_walk(x), Some(&labels))
    }

    /// The maps of the last layer, mean over the positions, `[batch, 2 hidden]`; with classes their
    /// mean under p(y | x), one pass for each class y.
    fn features(&self, x: Tensor<2, Int>) -> Option<Tensor<2>> {
        let x = self.ordering.to_walk(x);
        let Some(classes) = self.classes else {
            return Some(self.pooled(x, None).0);
        };
        let device = x.device();
        let of = |class| self.pooled(x.clone(), Some(&same_label(class, 1, &device)));
        let (maps, log_probs): (Vec<_>, Vec<_>) = (0..classes).map(of).unzip();
        let posterior = log_softmax(Tensor::stack::<2>(log_probs, 1), 1).exp(); // [batch, classes]
        let weighted = maps
            .into_iter()
            .enumerate()
            .map(|(class, maps)| maps * posterior.clone().narrow(1, class, 1));
        weighted.reduce(|sum, maps| sum + maps)
    }

    /// One pass each.
    fn log_prob_per_class(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let classes = self.classes.expect("the model has classes");
        let x = self.ordering.to_walk(x);
        let device = x.device();
        let of = |class| self.walk_log_prob(x.clone(), Some(&same_label(class, 1, &device)));
        Tensor::stack((0..classes).map(of).collect(), 1)
    }

    /// # Panics
    /// When the model has no classes, or there is not one label per image.
    fn log_prob_per_variable_given(&self, x: Tensor<2, Int>, labels: Tensor<1, Int>) -> Tensor<2> {
        self.check_labels(x.dims()[0], labels.dims()[0]);
        let x = self.ordering.to_walk(x);
        let log_probs = self.walk_log_probs(x.clone(), Some(&labels));
        self.ordering.to_event(impossible_from_outside_on(log_probs, &x, self.levels))
    }

    fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        if self.dtype() == DType::F64 {
            self.complete_in::<f64>(observed, None, rng)
        } else {
            self.complete_in::<f32>(observed, None, rng)
        }
    }

    /// # Panics
    /// When the model has no classes, there is not one label per image, or a label is not below the
    /// classes.
    fn complete_given(&self, observed: &[Option<u8>], labels: &[u8], rng: &mut dyn Rng) -> Vec<u8> {
        self.check_labels(observed.len() / self.event_len(), labels.len());
        if self.dtype() == DType::F64 {
            self.complete_in::<f64>(observed, Some(labels), rng)
        } else {
            self.complete_in::<f32>(observed, Some(labels), rng)
        }
    }

    fn walker(&self, _: usize, _: Isa) -> Option<Box<dyn Walker + '_>> {
        if self.dtype() == DType::F64 {
            Some(Box::new(Cached { network: self.network::<f64>(), model: self }))
        } else {
            Some(Box::new(Cached { network: self.network::<f32>(), model: self }))
        }
    }

    /// Maps of about 32 MiB.
    fn batch(&self) -> usize {
        let widths = self.head.iter().chain([&self.input]).map(|layer| layer.bias.dims()[0]);
        let widest = widths.max().unwrap_or(1);
        let scalars = self.image.height * self.image.width * widest;
        ((32 << 20) / (scalars * size_of::<f32>())).clamp(1, 500)
    }

    fn not_finite(&self, x: Tensor<2, Int>, labels: Option<Tensor<1, Int>>) -> Option<String> {
        let x = self.ordering.to_walk(x);
        let x = floats(x, &self.input.bias.val());
        let mut found = None;
        self.layers(self.scaled(x), labels.as_ref(), |name, y| {
            if found.is_none() && !host_f64(y.clone()).into_iter().all(f64::is_finite) {
                found = Some(name.to_owned());
            }
        });
        found
    }
}

/// The walk on the host.
#[derive(Debug)]
struct Cached<'a, E> {
    network: Arc<Network<E>>,
    model: &'a Pixel,
}

impl<E: Scalar> Walker for Cached<'_, E> {
    fn together(&self) -> usize {
        cached::TOGETHER.div_ceil(self.model.beside())
    }

    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Plain
    }

    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let (classes, beside) = (self.model.all_classes(n), self.model.beside());
        cached::walk_together(
            &self.network,
            &classes,
            beside,
            |mix: &mut Mixture, row, t, logits| {
                mix.choose(&self.model.symbols, beside, logits, |logits| choose(t, row, logits))
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::neural::map_weights;

    /// The maps of the last layer, mean over the positions, value by value.
    fn mean_maps(model: &Pixel, x: &Tensor<2, Int>, labels: Labels<'_>) -> Vec<f64> {
        let image = model.scaled(x.clone().float());
        let mut maps = None;
        model.layers(image, labels, |name, y| {
            if name == "recurrent.1" || name == "blocks.1" {
                maps = Some(y.clone());
            }
        });
        let maps = maps.expect("the model has two layers");
        let [_, height, width, channels] = maps.dims();
        let cells = height * width;
        let values = host_f64(maps);
        let images = values.chunks_exact(cells * channels);
        images
            .flat_map(|image| {
                (0..channels).map(move |c| {
                    image.iter().skip(c).step_by(channels).sum::<f64>() / cells as f64
                })
            })
            .collect()
    }

    #[test]
    fn features_are_the_mean_of_the_last_maps() {
        let device = Device::default();
        let x = Tensor::from_data([[0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 1]], &device);
        for kind in [PixelKind::DiagonalBilstm, PixelKind::PixelCnn] {
            for classes in [None, Some(3)] {
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                let settings = PixelSettings { classes, skip: true, ..PixelSettings::new(2, 4) };
                let image = ImageLayout::of(kind.name(), &[2, 3]).unwrap();
                let config = PixelConfig { kind, settings, image, levels: 2 };
                let model = config.init(0.5, &mut rng, &device);
                let model = map_weights(model, |_, weight| {
                    layers::normal(weight.dims(), 1.0, &mut rng, &device)
                });
                let expected = match classes {
                    None => mean_maps(&model, &x, None),
                    Some(classes) => {
                        let log_probs = host_f64(model.log_prob_per_class(x.clone()));
                        let mut sum = vec![0.0; 2 * 8];
                        for class in 0..classes {
                            let maps = mean_maps(&model, &x, Some(&same_label(class, 1, &device)));
                            for (i, (sum, map)) in sum.iter_mut().zip(maps).enumerate() {
                                let row = &log_probs[i / 8 * classes..][..classes];
                                *sum += (row[class] - logsumexp(row)).exp() * map;
                            }
                        }
                        sum
                    }
                };
                let found = model.features(x.clone()).unwrap();
                assert_eq!(found.dims(), [2, 8]);
                for (found, expected) in host_f64(found).iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-4, "{kind:?} {classes:?}");
                }
            }
        }
    }
}
