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

mod classes;
mod field;
mod layers;
pub(crate) mod layout;
mod settings;
mod walks;

use std::sync::Arc;

use ar_kernels::Isa;
use ar_kernels::pixel::walk::{Network, Scalar, Stage};
use ar_kernels::pixel::{Convolution, Kind, Lstm, walk as cached};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use prob_core::dist::categorical;
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive as _, Density, Sample, uniform};
use rand::Rng;

use crate::parts::heads::impossible_from_outside_on;
pub use crate::parts::heads::levels::Likelihood;
use crate::parts::heads::levels::SymbolHead;
use crate::parts::layers::mixture;
use crate::parts::layers::permute::Permutation;
use crate::parts::neural::Neural;
use crate::parts::tensors::{device_of, event_tensor, floats, host_f64, same_label};
use crate::parts::walker::Walker;
use classes::Mixture;
pub use field::receptive_field;
pub use layers::{Block, ConvolutionLayer, RecurrentLayer};
use layers::{Init, Labels};
pub use layout::ImageLayout;
use layout::MaskKind;
pub use settings::{PixelKind, PixelSettings};
pub use walks::PixelState;

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
        let mut last = init.small(0.1, here, b, [settings.head, outputs], colours);
        last.bias = Param::from_tensor(Tensor::from_data(bias, device));
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
        Some(self.cached())
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

    /// Number of weights that are not masked.
    fn free_parameters(&self) -> usize {
        let blocks = self.blocks.iter().flat_map(|block| &block.convolutions);
        let convolutions = blocks.chain(&self.skips).chain(&self.head).chain([&self.input]);
        let in_convolutions: usize = convolutions.map(ConvolutionLayer::masked_weights).sum();
        let in_layers: usize = self.recurrent.iter().map(RecurrentLayer::masked_weights).sum();
        self.num_params() - in_convolutions - in_layers
    }
}

#[cfg(test)]
mod tests {
    use prob_core::logspace::logsumexp;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::parts::neural::map_weights;

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
                    crate::parts::layers::normal(weight.dims(), 1.0, &mut rng, &device)
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
