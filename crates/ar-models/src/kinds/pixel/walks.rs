//! A network as a walk from value to value, on the host: drawn, completed and coded by what is kept of the pixels before.

use std::sync::Arc;

use ar_kernels::pixel::walk as cached;
use ar_kernels::pixel::walk::{Network, Scalar, Walk};
use burn::tensor::{DType, Int, Tensor, TensorData};
use prob_core::Autoregressive;
use prob_core::dist::Categorical;

use super::Pixel;
use super::classes::Mixture;
use crate::parts::layers::rows;
use crate::parts::walker::{Arithmetic, Choose, Walker};

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
    pub(super) fn beside(&self) -> usize {
        self.classes.unwrap_or(1)
    }

    /// The classes of each image's walks, `[images, beside]`.
    pub(super) fn all_classes(&self, images: usize) -> Vec<usize> {
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
        let symbols = crate::parts::tensors::event_symbols(x_t);
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

impl Pixel {
    /// The walk on the host, in the precision of the weights.
    pub(super) fn cached(&self) -> Box<dyn Walker + '_> {
        if self.dtype() == DType::F64 {
            Box::new(Cached { network: self.network::<f64>(), model: self })
        } else {
            Box::new(Cached { network: self.network::<f32>(), model: self })
        }
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
