//! A pixel network walked pixel by pixel and colour by colour, at the cost of one forward pass.
//!
//! ```text
//! for each pixel p in raster order, for each colour k:
//!     the features of group k at p, layer by layer, from what is kept of earlier pixels
//!     logits of x[p, k];   somebody chooses x[p, k]
//! after each row:  the states of the right-to-left direction in that row, which enter one row lower
//! ```
//!
//! An image may have a class, which chooses the biases of the stages. Several walks of one image, one per
//! class, may go side by side: they are given the same values, and who chooses sees the logits of all.
//!
//! Kept are the last rows of the input, of each layer's map where it is read again, and of the states.
//! A pixel computes its own column of the network and nothing else. Plain Rust on the host, in f32 or
//! f64, for any device: the weights are copied once. Every operation rounds by itself, in a fixed order, so
//! in f32 the logits are the same on every machine.

use core::marker::PhantomData;
use core::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Convolution, Direction, Lstm, Tap};
use crate::simd::{Isa, Lanes, dispatch, sigmoid_f32};

/// A scalar that a network can be walked in: f32 or f64.
pub trait Scalar: Copy + Send + Sync + Default + core::fmt::Debug + 'static {
    /// `self + a · b`.
    #[must_use]
    fn add_product(self, a: Self, b: Self) -> Self;
    /// `1 / (1 + e^−self)`.
    #[must_use]
    fn sigmoid(self) -> Self;
    /// Hyperbolic tangent.
    #[must_use]
    fn tanh(self) -> Self;
    /// `max(self, 0)`; NaN stays NaN.
    #[must_use]
    fn rectified(self) -> Self;
    /// In f64, for decisions.
    fn to_f64(self) -> f64;
    /// A symbol, scaled.
    fn from_f64(value: f64) -> Self;
    /// Runs a step of a walk, compiled for what the processor has.
    #[doc(hidden)]
    fn step(walk: &mut Walk<Self>, step: Step);
}

macro_rules! scalar {
    ($type:ty, $sigmoid:expr, $tanh:expr) => {
        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            self + a * b
        }
        #[inline(always)]
        fn sigmoid(self) -> Self {
            $sigmoid(self)
        }
        #[inline(always)]
        fn tanh(self) -> Self {
            $tanh(self)
        }
        #[inline(always)]
        fn rectified(self) -> Self {
            if self < 0.0 { 0.0 } else { self }
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            f64::from(self)
        }
        #[inline(always)]
        fn from_f64(value: f64) -> Self {
            value as $type
        }
    };
}

impl Scalar for f64 {
    scalar!(f64, |x: f64| 1.0 / (1.0 + (-x).exp()), f64::tanh);

    fn step(walk: &mut Walk<Self>, step: Step) {
        walk.take(step);
    }
}

impl Scalar for f32 {
    scalar!(f32, sigmoid_f32, |x: f32| 2.0 * sigmoid_f32(2.0 * x) - 1.0);

    fn step(walk: &mut Walk<Self>, step: Step) {
        step_on(walk.isa, walk, step);
    }
}

dispatch! {
    fn step_on(walk: &mut Walk<f32>, step: Step) = step_body
}

/// # Safety
/// Plain Rust; `unsafe` only for the sake of [`dispatch!`].
#[inline(always)]
unsafe fn step_body<L: Lanes>(_: PhantomData<L>, walk: &mut Walk<f32>, step: Step) {
    walk.take(step);
}

/// What a walk computes at a time.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The features of a colour's group at the pixel.
    Features(usize),
    /// The states from the right of the row that is complete.
    Row,
}

/// A convolution with its weights on the host, masked.
#[derive(Clone, Debug)]
pub struct Layer<E> {
    /// Its taps.
    pub spec: Convolution,
    /// `[taps, in, out]`
    pub weights: Vec<E>,
    /// `[out]` of each class; a single one is that of all images.
    pub biases: Vec<Vec<E>>,
}

impl<E> Layer<E> {
    fn outputs(&self) -> usize {
        self.biases[0].len()
    }
    fn inputs(&self) -> usize {
        self.weights.len() / (self.spec.taps.len() * self.outputs())
    }
}

/// The biases of an image of class `class`.
#[inline(always)]
fn bias_of<E>(biases: &[Vec<E>], class: usize) -> &[E] {
    if biases.len() == 1 { &biases[0] } else { &biases[class] }
}

/// A recurrent layer with its weights on the host, masked; shapes as in [`super::Weights`].
#[derive(Clone, Debug)]
pub struct Recurrent<E> {
    /// How its states walk.
    pub spec: Lstm,
    /// `[directions, taps, channels, 4 hidden]`
    pub input_to_state: Vec<E>,
    /// `[directions, taps, hidden, 4 hidden]`
    pub state_to_state: Vec<E>,
    /// `[directions, 4 hidden]` of each class; a single one is that of all images.
    pub biases: Vec<Vec<E>>,
    /// `[directions, 2, hidden]`
    pub initial: Vec<E>,
    /// `[hidden, channels]`
    pub up: Vec<E>,
    /// `[channels]`
    pub up_bias: Vec<E>,
}

/// What stands between the input convolution and the head.
#[derive(Clone, Debug)]
pub enum Stage<E> {
    /// A recurrent layer.
    Recurrent(Recurrent<E>),
    /// Convolutions one after the other, whose result is added to the stage's input if `residual`.
    Block {
        /// The convolutions.
        layers: Vec<Layer<E>>,
        /// Whether the input is added.
        residual: bool,
    },
}

/// A whole network.
#[derive(Clone, Debug)]
pub struct Network<E> {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Colours of a pixel; feature maps are split into as many groups.
    pub colours: usize,
    /// From the image to the first map.
    pub input: Layer<E>,
    /// From map to map.
    pub stages: Vec<Stage<E>>,
    /// From each stage's map to what the head sees; empty if it sees the last map.
    pub skips: Vec<Layer<E>>,
    /// From there to the logits, pixel by pixel.
    pub head: Vec<Layer<E>>,
    /// What symbol `s` is to the network: `s · scale`.
    pub scale: f64,
}

/// The last `rows` rows of a map of a chunk of images.
#[derive(Clone, Debug)]
struct Ring<E> {
    rows: usize,
    width: usize,
    images: usize,
    channels: usize,
    values: Vec<E>,
}

impl<E: Scalar> Ring<E> {
    fn new(rows: usize, width: usize, images: usize, channels: usize) -> Self {
        let values = vec![E::default(); rows * width * images * channels];
        Self { rows, width, images, channels, values }
    }

    /// Where `[images, channels]` of a pixel are.
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> Range<usize> {
        let len = self.images * self.channels;
        let start = ((row % self.rows) * self.width + column) * len;
        start..start + len
    }

    /// The images `images`, in that order.
    fn select(&self, images: &[usize]) -> Self {
        let pixels = self.values.chunks_exact((self.images * self.channels).max(1));
        let of = |pixel: &[E]| select_rows(pixel, self.channels, images);
        Self { images: images.len(), values: pixels.flat_map(of).collect(), ..*self }
    }
}

/// The rows `rows` of `values`, `[_, width]`.
fn select_rows<E: Copy>(values: &[E], width: usize, rows: &[usize]) -> Vec<E> {
    rows.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect()
}

/// A pixel as seen from another, if it is in the image. Rows above are -1, -2, ….
#[inline(always)]
fn seen([row, column]: [usize; 2], tap: Tap, width: usize) -> Option<[usize; 2]> {
    let row = row.checked_add_signed(tap[0])?;
    let column = column.checked_add_signed(tap[1])?;
    (column < width).then_some([row, column])
}

/// `out[i, columns] += Σ_k a[i, k] w[k, columns]` for each image i.
#[inline(always)]
fn product<E: Scalar>(
    a: &[E],
    depth: usize,
    weights: &[E],
    width: usize,
    columns: Range<usize>,
    out: &mut [E],
) {
    for k in 0..depth {
        let row = &weights[k * width..][columns.clone()];
        for (a, out) in a.chunks_exact(depth).zip(out.chunks_exact_mut(width)) {
            let a = a[k];
            for (out, &w) in out[columns.clone()].iter_mut().zip(row) {
                *out = out.add_product(a, w);
            }
        }
    }
}

/// The channels of group `colour` among `channels`: those with `channel · colours / channels = colour`.
///
/// ```
/// use ar_kernels::pixel::walk::group;
/// assert_eq!([group(128, 0, 3), group(128, 1, 3), group(128, 2, 3)], [0..43, 43..86, 86..128]);
/// assert_eq!(group(5, 0, 1), 0..5);
/// ```
pub fn group(channels: usize, colour: usize, colours: usize) -> Range<usize> {
    (colour * channels).div_ceil(colours)..((colour + 1) * channels).div_ceil(colours)
}

/// What a stage keeps.
#[derive(Clone, Debug)]
enum Kept<E> {
    Recurrent(Vec<States<E>>),
    /// Inputs of each convolution, and the output of the last.
    Block(Vec<Ring<E>>),
}

/// States of a direction.
#[derive(Clone, Debug)]
struct States<E> {
    direction: Direction,
    h: Ring<E>,
    c: Ring<E>,
}

/// A chunk of images in the middle of its walk.
#[derive(Clone, Debug)]
pub struct Walk<E> {
    network: Arc<Network<E>>,
    /// For speed alone: no step rounds differently on another.
    isa: Isa,
    images: usize,
    /// Of each image.
    classes: Vec<usize>,
    /// Row and column.
    pixel: [usize; 2],
    colour: usize,
    /// The image so far, scaled.
    x: Ring<E>,
    /// The map before each stage, and after the last.
    maps: Vec<Ring<E>>,
    kept: Vec<Kept<E>>,
    /// What the head sees, and each of its outputs; the last are the logits.
    head: Vec<Vec<E>>,
}

impl<E: Scalar> Walk<E> {
    /// A walk before its first pixel, of images without a class.
    pub fn new(network: &Arc<Network<E>>, images: usize) -> Self {
        Self::with_classes(network, vec![0; images])
    }

    /// A walk before its first pixel, of one image per entry of `classes`, which says its class.
    pub fn with_classes(network: &Arc<Network<E>>, classes: Vec<usize>) -> Self {
        let images = classes.len();
        let network = Arc::clone(network);
        let width = network.size[1];
        let ring = |rows, channels| Ring::new(rows, width, images, channels);
        let reach = |spec: &Convolution| spec.border()[0] + 1;
        let channels = network.input.outputs();
        let kept = network.stages.iter().map(|stage| match stage {
            Stage::Recurrent(layer) => {
                let hidden = layer.up.len() / channels;
                let directions = layer.spec.directions().into_iter().enumerate();
                Kept::Recurrent(
                    directions
                        .map(|(d, direction)| {
                            let mut h = ring(2, hidden);
                            if direction.cell_tap[0] < 0 {
                                // The row above the first.
                                let initial = &layer.initial[2 * d * hidden..][..hidden];
                                let row = h.values.len() / 2;
                                for pixel in h.values[row..].chunks_exact_mut(hidden) {
                                    pixel.copy_from_slice(initial);
                                }
                            }
                            let mut c = ring(2, hidden);
                            let initial = &layer.initial[(2 * d + 1) * hidden..][..hidden];
                            for pixel in c.values.chunks_exact_mut(hidden) {
                                pixel.copy_from_slice(initial);
                            }
                            States { direction, h, c }
                        })
                        .collect(),
                )
            }
            Stage::Block { layers, .. } => {
                let mut rings: Vec<Ring<E>> =
                    layers.iter().map(|l| ring(reach(&l.spec), l.inputs())).collect();
                rings.push(ring(1, channels));
                Kept::Block(rings)
            }
        });
        let kept = kept.collect();
        let mut head = vec![vec![E::default(); images * channels]];
        head.extend(network.head.iter().map(|l| vec![E::default(); images * l.outputs()]));
        let maps = (0..=network.stages.len()).map(|_| ring(1, channels)).collect();
        let x = ring(reach(&network.input.spec), network.colours);
        let isa = Isa::detect();
        Self { images, isa, classes, pixel: [0, 0], colour: 0, x, maps, kept, head, network }
    }

    /// The position in the walk, `(row · columns + column) · colours + colour`.
    pub fn position(&self) -> usize {
        let network = &self.network;
        (self.pixel[0] * network.size[1] + self.pixel[1]) * network.colours + self.colour
    }

    /// The walks of the images `images`, in that order; one may be named several times.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn select(&self, images: &[usize]) -> Self {
        let ring = |ring: &Ring<E>| ring.select(images);
        let states = |states: &States<E>| States {
            direction: states.direction.clone(),
            h: ring(&states.h),
            c: ring(&states.c),
        };
        let kept = self.kept.iter().map(|kept| match kept {
            Kept::Recurrent(all) => Kept::Recurrent(all.iter().map(states).collect()),
            Kept::Block(rings) => Kept::Block(rings.iter().map(ring).collect()),
        });
        let head = |row: &Vec<E>| select_rows(row, row.len() / self.images.max(1), images);
        Self {
            network: Arc::clone(&self.network),
            images: images.len(),
            classes: select_rows(&self.classes, 1, images),
            x: ring(&self.x),
            maps: self.maps.iter().map(ring).collect(),
            kept: kept.collect(),
            head: self.head.iter().map(head).collect(),
            ..*self
        }
    }

    /// Images that walk together.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Computes the logits of the next value, `[images, logits of a value]`.
    pub fn logits(&mut self) -> Vec<E> {
        E::step(self, Step::Features(self.colour));
        let last = self.head.last().expect("a network has a head");
        let width = last.len() / self.images.max(1);
        let own = group(width, self.colour, self.network.colours);
        let rows = last.chunks_exact(width.max(1));
        rows.flat_map(|row| row[own.clone()].iter().copied()).collect()
    }

    /// Moves on; `symbols` is the value of each image. [`logits`](Self::logits) must have been called.
    pub fn advance(&mut self, symbols: impl IntoIterator<Item = u8>) {
        let [row, column] = self.pixel;
        let network = Arc::clone(&self.network);
        let (colours, at) = (network.colours, self.x.at(row, column));
        for (x, symbol) in self.x.values[at].chunks_exact_mut(colours).zip(symbols) {
            x[self.colour] = E::from_f64(f64::from(symbol) * self.network.scale);
        }
        self.colour += 1;
        if self.colour < colours {
            return;
        }
        self.colour = 0;
        self.pixel[1] += 1;
        if self.pixel[1] < self.network.size[1] {
            return;
        }
        if row + 1 < network.size[0] {
            E::step(self, Step::Row);
        }
        self.pixel = [row + 1, 0];
        // The next pixels are empty until they are chosen.
        for column in 0..self.network.size[1] {
            let at = self.x.at(row + 1, column);
            self.x.values[at].fill(E::default());
        }
    }

    #[inline(always)]
    fn take(&mut self, step: Step) {
        match step {
            Step::Features(colour) => self.features(colour),
            Step::Row => self.row_is_over(),
        }
    }

    /// Everything of group `colour` at the pixel.
    #[inline(always)]
    fn features(&mut self, colour: usize) {
        let Self { network, images, classes, pixel, x, maps, kept, head, .. } = self;
        let (pixel, images) = (*pixel, *images);
        let network = Arc::clone(network);
        let colours = network.colours;
        let at = maps[0].at(pixel[0], pixel[1]);
        convolve(&network.input, x, classes, pixel, colour, colours, &mut maps[0].values[at]);
        for (l, (stage, kept)) in network.stages.iter().zip(kept.iter_mut()).enumerate() {
            let (before, after) = maps.split_at_mut(l + 1);
            let (before, after) = (&before[l], &mut after[0]);
            let at = before.at(pixel[0], pixel[1]);
            let channels = before.channels;
            let own = group(channels, colour, colours);
            let out = &mut after.values[at.clone()];
            match (stage, kept) {
                (Stage::Recurrent(layer), Kept::Recurrent(states)) => {
                    let hidden = layer.up.len() / channels;
                    let units = group(hidden, colour, colours);
                    state(layer, 0, &mut states[0], before, classes, pixel, units);
                    let mut sum: Vec<E> = vec![E::default(); images * hidden];
                    let one = E::from_f64(1.0);
                    for states in states.iter() {
                        let Some(row) = pixel[0].checked_sub(states.direction.shift) else {
                            continue;
                        };
                        let h = &states.h.values[states.h.at(row, pixel[1])];
                        for (sum, &h) in sum.iter_mut().zip(h) {
                            *sum = sum.add_product(h, one);
                        }
                    }
                    for (out, before) in
                        out.chunks_exact_mut(channels).zip(before.values[at].chunks_exact(channels))
                    {
                        for channel in own.clone() {
                            let start = layer.up_bias[channel];
                            out[channel] = if layer.spec.residual {
                                start.add_product(before[channel], one)
                            } else {
                                start
                            };
                        }
                    }
                    product(&sum, hidden, &layer.up, channels, own, out);
                }
                (Stage::Block { layers, residual }, Kept::Block(rings)) => {
                    let start = rings[0].at(pixel[0], pixel[1]);
                    rings[0].values[start].copy_from_slice(&before.values[at.clone()]);
                    for (k, layer) in layers.iter().enumerate() {
                        let (from, to) = rings.split_at_mut(k + 1);
                        let place = to[0].at(pixel[0], pixel[1]);
                        let to = &mut to[0].values[place];
                        convolve(layer, &from[k], classes, pixel, colour, colours, to);
                    }
                    let last = rings.last().expect("a block has convolutions");
                    let last = &last.values[last.at(pixel[0], pixel[1])];
                    let before = &before.values[at];
                    let one = E::from_f64(1.0);
                    for ((out, &last), &before) in out.iter_mut().zip(last).zip(before) {
                        *out = if *residual { last.add_product(before, one) } else { last };
                    }
                }
                _ => unreachable!("what a stage keeps is of its kind"),
            }
        }
        let last = &maps[network.stages.len()];
        let at = last.at(pixel[0], pixel[1]);
        if network.skips.is_empty() {
            head[0].copy_from_slice(&last.values[at]);
        } else {
            let channels = last.channels;
            let own = group(channels, colour, colours);
            for row in head[0].chunks_exact_mut(channels) {
                row[own.clone()].fill(E::default());
            }
            for (skip, map) in network.skips.iter().zip(&maps[1..]) {
                for row in head[0].chunks_exact_mut(channels) {
                    for (sum, &bias) in
                        row[own.clone()].iter_mut().zip(&skip.biases[0][own.clone()])
                    {
                        *sum = sum.add_product(bias, E::from_f64(1.0));
                    }
                }
                let map = &map.values[at.clone()];
                product(map, channels, &skip.weights, channels, own.clone(), &mut head[0]);
            }
        }
        for (k, layer) in network.head.iter().enumerate() {
            let (from, to) = head.split_at_mut(k + 1);
            dense(layer, &from[k], colour, colours, &mut to[0]);
        }
    }

    /// The direction from the right, in the row that is complete.
    #[inline(always)]
    fn row_is_over(&mut self) {
        let Self { network, classes, pixel, maps, kept, .. } = self;
        let row = pixel[0];
        for ((stage, kept), before) in network.stages.iter().zip(kept).zip(maps) {
            if let (Stage::Recurrent(layer), Kept::Recurrent(states)) = (stage, kept) {
                for (d, states) in states.iter_mut().enumerate().skip(1) {
                    let hidden = states.h.channels;
                    for column in (0..network.size[1]).rev() {
                        state(layer, d, states, before, classes, [row, column], 0..hidden);
                    }
                }
            }
        }
    }
}

/// A convolution at one pixel, the columns of one group.
#[inline(always)]
fn convolve<E: Scalar>(
    layer: &Layer<E>,
    from: &Ring<E>,
    classes: &[usize],
    pixel: [usize; 2],
    colour: usize,
    colours: usize,
    out: &mut [E],
) {
    let (cin, cout) = (from.channels, layer.outputs());
    let own = group(cout, colour, colours);
    for (out, &class) in out.chunks_exact_mut(cout).zip(classes) {
        out[own.clone()].copy_from_slice(&bias_of(&layer.biases, class)[own.clone()]);
    }
    let mut rectified: Vec<E> = Vec::new();
    for (k, &tap) in layer.spec.taps.iter().enumerate() {
        if let Some([row, column]) = seen(pixel, tap, from.width) {
            let mut a = &from.values[from.at(row, column)];
            if layer.spec.rectify {
                rectified.clear();
                rectified.extend(a.iter().map(|a| a.rectified()));
                a = &rectified;
            }
            product(a, cin, &layer.weights[k * cin * cout..][..cin * cout], cout, own.clone(), out);
        }
    }
}

/// A convolution of one tap, the pixel itself.
#[inline(always)]
fn dense<E: Scalar>(layer: &Layer<E>, a: &[E], colour: usize, colours: usize, out: &mut [E]) {
    let (cin, cout) = (layer.inputs(), layer.outputs());
    let own = group(cout, colour, colours);
    for out in out.chunks_exact_mut(cout) {
        out[own.clone()].copy_from_slice(&layer.biases[0][own.clone()]);
    }
    if layer.spec.rectify {
        let a: Vec<E> = a.iter().map(|a| a.rectified()).collect();
        product(&a, cin, &layer.weights, cout, own, out);
    } else {
        product(a, cin, &layer.weights, cout, own, out);
    }
}

/// h and c of some units at one pixel.
#[inline(always)]
fn state<E: Scalar>(
    layer: &Recurrent<E>,
    d: usize,
    states: &mut States<E>,
    before: &Ring<E>,
    classes: &[usize],
    pixel: [usize; 2],
    units: Range<usize>,
) {
    let States { direction, h, c } = states;
    let (hidden, channels, width) = (h.channels, before.channels, h.width);
    let gates = 4 * hidden;
    let mut z: Vec<E> = Vec::with_capacity(before.images * gates);
    for &class in classes {
        z.extend_from_slice(&bias_of(&layer.biases, class)[d * gates..(d + 1) * gates]);
    }
    let columns = |gate: usize| gate * hidden + units.start..gate * hidden + units.end;
    // All columns at once where all units are wanted.
    let whole = units == (0..hidden);
    let mut add = |a: &[E], depth: usize, weights: &[E]| {
        if whole {
            product(a, depth, weights, gates, 0..gates, &mut z);
        } else {
            for gate in 0..4 {
                product(a, depth, weights, gates, columns(gate), &mut z);
            }
        }
    };
    let taps = direction.input_taps.len();
    for (k, &tap) in direction.input_taps.iter().enumerate() {
        if let Some([row, column]) = seen(pixel, tap, width) {
            let a = &before.values[before.at(row, column)];
            let weights = &layer.input_to_state[(d * taps + k) * channels * gates..];
            add(a, channels, &weights[..channels * gates]);
        }
    }
    let taps = direction.state_taps.len();
    let side = direction.cell_tap[1];
    let initial = &layer.initial[2 * d * hidden..][..2 * hidden];
    let beside: Vec<E> = initial[..hidden].repeat(before.images);
    for (k, &tap) in direction.state_taps.iter().enumerate() {
        let weights = &layer.state_to_state[(d * taps + k) * hidden * gates..][..hidden * gates];
        if side == 0 {
            // The row above, whichever it is; before the first it is kept as h₀.
            let above = pixel[0] + h.rows - 1;
            if let Some(column) = pixel[1].checked_add_signed(tap[1]).filter(|c| *c < width) {
                add(&h.values[h.at(above, column)], hidden, weights);
            }
        } else if let Some([row, column]) = seen(pixel, tap, width) {
            add(&h.values[h.at(row, column)], hidden, weights);
        } else if tap[0] == 0 {
            add(&beside, hidden, weights);
        }
    }
    let at = h.at(pixel[0], pixel[1]);
    let own_c: Vec<E> = if side == 0 {
        c.values[c.at(pixel[0] + c.rows - 1, pixel[1])].to_vec()
    } else {
        match seen(pixel, direction.cell_tap, width) {
            Some([row, column]) => c.values[c.at(row, column)].to_vec(),
            None => initial[hidden..].repeat(before.images),
        }
    };
    let rows = h.values[at.clone()].chunks_exact_mut(hidden);
    let rows = rows.zip(c.values[at].chunks_exact_mut(hidden));
    for ((h, c), (z, before)) in rows.zip(z.chunks_exact(gates).zip(own_c.chunks_exact(hidden))) {
        for unit in units.clone() {
            let gate = |k: usize| z[k * hidden + unit];
            let (o, f, i) = (gate(0).sigmoid(), gate(1).sigmoid(), gate(2).sigmoid());
            let zero = E::default();
            let new = zero.add_product(f, before[unit]).add_product(i, gate(3).tanh());
            c[unit] = new;
            h[unit] = zero.add_product(o, new.tanh());
        }
    }
}

/// Walks that are best made together.
pub const TOGETHER: usize = 8;

/// Walks `images` images from the first pixel to the last: `choose(image, position, logits)` says what
/// each value is. Returns `[images, rows · columns · colours]` in the order of the walk.
pub fn run<E: Scalar>(
    network: &Arc<Network<E>>,
    images: usize,
    choose: impl Fn(usize, usize, &[E]) -> u8 + Sync,
) -> Vec<u8> {
    run_classes(network, &vec![0; images], 1, |_: &mut (), image, t, l| choose(image, t, l))
}

/// Walks images of given classes, each image as `beside` walks side by side that are given the same
/// values: `choose(memory, image, position, logits)` says what each value is. `memory` is the image's
/// own, from its first value to its last.
///
/// # Shapes
/// `classes` is `[images, beside]`, `logits` `[beside, logits of a value]`; returns
/// `[images, rows · columns · colours]` in the order of the walk.
pub fn run_classes<E: Scalar, M: Default>(
    network: &Arc<Network<E>>,
    classes: &[usize],
    beside: usize,
    choose: impl Fn(&mut M, usize, usize, &[E]) -> u8 + Sync,
) -> Vec<u8> {
    let images = classes.len() / beside.max(1);
    let even = images.div_ceil(rayon::current_num_threads().max(1));
    let chunk = (TOGETHER / beside.max(1)).min(even).max(1);
    let chunks: Vec<Range<usize>> =
        (0..images).step_by(chunk).map(|first| first..(first + chunk).min(images)).collect();
    let parts: Vec<Vec<u8>> = chunks
        .into_par_iter()
        .map(|images| {
            let classes = &classes[images.start * beside..images.end * beside];
            walk_together(network, classes, beside, |memory, image, t, logits| {
                choose(memory, images.start + image, t, logits)
            })
        })
        .collect();
    parts.concat()
}

/// [`run_classes`] on this thread, all images together: `choose` is asked position by position and
/// image by image.
pub fn walk_together<E: Scalar, M: Default>(
    network: &Arc<Network<E>>,
    classes: &[usize],
    beside: usize,
    mut choose: impl FnMut(&mut M, usize, usize, &[E]) -> u8,
) -> Vec<u8> {
    let images = classes.len() / beside.max(1);
    let values = network.size[0] * network.size[1] * network.colours;
    let mut x = vec![0_u8; images * values];
    if images == 0 {
        return x;
    }
    let mut memories: Vec<M> = (0..images).map(|_| M::default()).collect();
    let mut walk = Walk::with_classes(network, classes.to_vec());
    for t in 0..values {
        let logits = walk.logits();
        let rows = logits.chunks_exact(logits.len() / images);
        let rows = rows.zip(memories.iter_mut()).enumerate();
        let own: Vec<u8> =
            rows.map(|(image, (logits, memory))| choose(memory, image, t, logits)).collect();
        for (x, &value) in x.chunks_exact_mut(values).zip(&own) {
            x[t] = value;
        }
        walk.advance(own.iter().flat_map(|&value| core::iter::repeat_n(value, beside)));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn no_instruction_set_rounds_differently() {
        let mut seed = 0_u32;
        let mut random = |n: usize| -> Vec<f32> {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..n).map(|_| next()).collect()
        };
        let (hidden, channels, values) = (5, 10, 16);
        let mut layer = |spec: Convolution, inputs: usize, outputs: usize| Layer {
            weights: random(spec.taps.len() * inputs * outputs),
            biases: vec![random(outputs)],
            spec,
        };
        let here = || Convolution { taps: vec![[0, 0]], rectify: true };
        let input = layer(Convolution::causal(7, false), 1, channels);
        let block =
            Stage::Block { layers: vec![layer(here(), channels, channels)], residual: true };
        let head = vec![layer(here(), channels, 4), layer(here(), 4, values)];
        let spec = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
        let directions = spec.directions();
        let (is, ss) = (directions[0].input_taps.len(), directions[0].state_taps.len());
        let recurrent = Stage::Recurrent(Recurrent {
            input_to_state: random(2 * is * channels * 4 * hidden),
            state_to_state: random(2 * ss * hidden * 4 * hidden),
            biases: vec![random(2 * 4 * hidden)],
            initial: random(2 * 2 * hidden),
            up: random(hidden * channels),
            up_bias: random(channels),
            spec,
        });
        let (size, scale) = ([6, 5], 1.0 / (values - 1) as f64);
        let stages = vec![recurrent, block];
        let network =
            Arc::new(Network { size, colours: 1, input, stages, skips: vec![], head, scale });
        let on = |isa: Isa, images: usize| -> Vec<u32> {
            let mut walk = Walk::new(&network, images);
            walk.isa = isa;
            let mut seen = Vec::new();
            for t in 0..30_usize {
                let logits = walk.logits();
                walk.advance((0..images).map(|image| ((t * 7 + image) % values) as u8));
                // Of the first image, which must not feel who walks beside it.
                seen.extend(logits[..values].iter().map(|logit| logit.to_bits()));
            }
            seen
        };
        let expected = on(Isa::Portable, 1);
        for isa in Isa::available() {
            for images in [1, 3, TOGETHER] {
                assert!(on(isa, images) == expected, "{isa:?}, {images} images");
            }
        }
    }
}
