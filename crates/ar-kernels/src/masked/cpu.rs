//! Masked layers on `&[f32]` slices, shared by the flex and ndarray adapters.
//!
//! A product has its rows on one side as they lie in memory, and on the other strips of columns, packed, of three
//! registers; the sums of a few rows by a strip stay in registers over the whole depth. Units are sorted by degree, so
//! that what a strip does not see is a range at the end (or the beginning) of its depth, which is left out, and weights
//! that are masked within it are packed as zeros. Each sum is made by one thread in the same order whatever their
//! number.

use core::marker::PhantomData;
use core::ops::Range;
use std::borrow::Cow;

use rayon::prelude::*;

use super::Degrees;
use crate::blocks::{Blocks, Input, label};
use crate::memory::zeros;
use crate::simd::{Aligned, Isa, Lanes, dispatch};

/// Registers of a strip.
const NV: usize = 4;
/// Rows of a block on AVX-512 (32 registers), and elsewhere (16).
const WIDE_ROWS: usize = 6;
const NARROW_ROWS: usize = 3;
/// The widest strip.
const MOST: usize = 64;
/// Rows that a thread takes at a time where it looks up weights.
const LOOKED_UP: usize = 32;
/// Columns that a thread turns into rows at a time: as many as a line of the cache has.
const TRANSPOSED: usize = 16;

/// Columns of a product, packed strip after strip: `[strip, depth, columns of it]`.
struct Strips {
    values: Aligned<f32>,
    width: usize,
    depth: usize,
    spans: Vec<Span>,
}

/// What a strip is computed from, and for.
#[derive(Clone)]
struct Span {
    /// Where in the depth it is not zero.
    depth: Range<usize>,
    /// How many rows it is computed for, the first ones.
    rows: usize,
}

impl Strips {
    /// `fill(range of columns, k, to)` writes row k of a strip, which begins as zeros; `span` says what one is for.
    fn new(
        isa: Isa,
        columns: usize,
        depth: usize,
        span: impl Fn(Range<usize>) -> Span,
        fill: impl Fn(Range<usize>, usize, &mut [f32]) + Sync,
    ) -> Self {
        let width = NV * isa.lanes();
        let of_strip = |s: usize| s * width..columns.min((s + 1) * width);
        let strips = columns.div_ceil(width);
        let spans: Vec<Span> = (0..strips).map(|s| span(of_strip(s))).collect();
        let mut values = Aligned::zeros(strips * depth * width);
        values.par_chunks_mut((depth * width).max(1)).zip(&spans).enumerate().for_each(
            |(s, (strip, span))| {
                let depth = span.depth.clone();
                let rows = strip[depth.start * width..depth.end * width].chunks_exact_mut(width);
                for (k, to) in depth.zip(rows) {
                    fill(of_strip(s), k, to);
                }
            },
        );
        Self { values, width, depth, spans }
    }
}

/// A product of rows and strips.
#[derive(Clone, Copy)]
struct Product<'a> {
    /// Rows, each as long as the strips are deep.
    a: &'a [f32],
    b: &'a Strips,
    /// Where each column of the strips is in a row of the result.
    columns: &'a [usize],
    /// What is added to each column of the strips.
    bias: Option<&'a [f32]>,
    /// If there is one: a column is left out of all rows but so many first ones. It never falls.
    seen: Option<&'a [usize]>,
}

impl Product<'_> {
    /// Writes the rows of the result, which `out` are.
    fn run(self, isa: Isa, mut out: Vec<&mut [f32]>) {
        // Each number is one thread's, so that the cut has no influence on it. Rows that fewer strips are computed for
        // are cheaper, which smaller chunks make up for.
        let chunks = match rayon::current_num_threads() {
            1 => 1,
            threads => 2 * threads,
        };
        let rows = out.len().div_ceil(chunks).next_multiple_of(WIDE_ROWS);
        out.par_chunks_mut(rows)
            .enumerate()
            .for_each(|(chunk, out)| chunk_f32(isa, self, chunk * rows, out));
    }
}

/// Rows of a product from `first` on.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn chunk<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    product: Product<'_>,
    first: usize,
    out: &mut [&mut [f32]],
) {
    // SAFETY: the caller's.
    unsafe {
        if L::N >= 16 {
            blocks_of_rows::<L, WIDE_ROWS>(product, first, out);
        } else {
            blocks_of_rows::<L, NARROW_ROWS>(product, first, out);
        }
    }
}

dispatch! {
    /// [`chunk`] for what the processor has.
    fn chunk_f32(product: Product<'_>, first: usize, out: &mut [&mut [f32]]) = chunk
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn blocks_of_rows<L: Lanes<Elem = f32>, const MR: usize>(
    product: Product<'_>,
    first: usize,
    out: &mut [&mut [f32]],
) {
    let Product { a, b, columns, bias, seen } = product;
    assert_eq!(b.width, NV * L::N, "strips of this processor");
    let mut sums = [[0.0_f32; MOST]; MR];
    for (s, span) in b.spans.iter().enumerate() {
        let at = s * b.width..columns.len().min((s + 1) * b.width);
        let to = &columns[at.clone()];
        let is_contiguous = to.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let depth = span.depth.clone();
        let strip = &b.values[(s * b.depth + depth.start) * b.width..][..depth.len() * b.width];
        let last = span.rows.min(first + out.len());
        let mut row = first;
        while row < last {
            // Beyond the last row that one is computed again, and not stored.
            let rows: [&[f32]; MR] =
                core::array::from_fn(|r| &a[(row + r).min(last - 1) * b.depth..][depth.clone()]);
            // SAFETY: the caller's; every row has a scalar for each row of the strip.
            unsafe { block::<L, MR>(&rows, strip, &mut sums) };
            for (r, sums) in sums.iter_mut().enumerate().take(MR.min(last - row)) {
                if let Some(bias) = bias {
                    for (sum, bias) in sums.iter_mut().zip(&bias[at.clone()]) {
                        *sum += bias;
                    }
                }
                let out = &mut *out[row + r - first];
                let cut = seen
                    .map_or(0, |seen| seen[at.clone()].partition_point(|&seen| seen <= row + r));
                let (sums, to) = (&sums[cut..to.len()], &to[cut..]);
                if is_contiguous && !to.is_empty() {
                    out[to[0]..][..sums.len()].copy_from_slice(sums);
                } else {
                    for (&sum, &to) in sums.iter().zip(to) {
                        out[to] = sum;
                    }
                }
            }
            row += MR;
        }
    }
}

/// The sums of a block: a scalar of each of `rows` times a row of the strip, over all of its rows.
///
/// # Safety
/// The contract of [`Lanes`]; rows must have as many scalars as the strip has rows.
#[inline(always)]
unsafe fn block<L: Lanes<Elem = f32>, const MR: usize>(
    rows: &[&[f32]; MR],
    strip: &[f32],
    out: &mut [[f32; MOST]; MR],
) {
    // SAFETY: the caller's; a row of the strip is `NV` registers, as many as fit a row of `out`.
    unsafe {
        let mut sums = [[L::splat(0.0); NV]; MR];
        for (k, weights) in strip.chunks_exact(NV * L::N).enumerate() {
            let mut columns = [L::splat(0.0); NV];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = L::load(weights.as_ptr().add(v * L::N));
            }
            for (row, sums) in rows.iter().zip(sums.iter_mut()) {
                let a = L::splat(*row.get_unchecked(k));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = a.mul_add(column, *sum);
                }
            }
        }
        for (sums, out) in sums.iter().zip(out) {
            for (v, sum) in sums.iter().enumerate() {
                sum.store(out.as_mut_ptr().add(v * L::N));
            }
        }
    }
}

/// Whether an order leaves everything where it is.
fn is_sorted(order: &[usize]) -> bool {
    order.iter().enumerate().all(|(at, &unit)| at == unit)
}

/// Rows of `width` numbers with their columns in this order.
fn in_order<'a>(rows: &'a [f32], width: usize, order: &[usize]) -> Cow<'a, [f32]> {
    if is_sorted(order) {
        return Cow::Borrowed(rows);
    }
    let mut out = zeros(rows.len());
    out.par_chunks_mut(LOOKED_UP * width).zip(rows.par_chunks(LOOKED_UP * width)).for_each(
        |(out, rows)| {
            for (out, row) in out.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                for (out, &column) in out.iter_mut().zip(order) {
                    *out = row[column];
                }
            }
        },
    );
    Cow::Owned(out)
}

/// The columns of rows of `width` numbers, in this order, as rows.
fn columns_in_order(rows: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    let batch = rows_of(rows, width);
    let mut out = zeros(rows.len());
    out.par_chunks_mut(TRANSPOSED * batch).zip(order.par_chunks(TRANSPOSED)).for_each(
        |(out, order)| {
            for (b, row) in rows.chunks_exact(width).enumerate() {
                for (k, &column) in order.iter().enumerate() {
                    out[k * batch + b] = row[column];
                }
            }
        },
    );
    out
}

/// The number of rows.
fn rows_of(x: &[f32], width: usize) -> usize {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers, rows of {width}", x.len());
    x.len() / width
}

/// `c + x (W ∘ M)`.
///
/// # Shapes
/// `x` is `[batch, below]`, `w` `[below, above]`, `c` `[above]`; returns `[batch, above]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape, or there is no unit on a side.
pub fn linear(x: &[f32], w: &[f32], c: &[f32], degrees: &Degrees) -> Vec<f32> {
    linear_on(Isa::detect(), x, w, c, degrees)
}

/// [`linear`] on an instruction set that the processor has, for tests.
#[doc(hidden)]
pub fn linear_on(isa: Isa, x: &[f32], w: &[f32], c: &[f32], degrees: &Degrees) -> Vec<f32> {
    let [below, above] = degrees.dims();
    let batch = rows_of(x, below);
    assert_eq!([w.len(), c.len()], [below * above, above], "weights of these units");
    let (inputs, outputs, seen) = (degrees.inputs(), degrees.outputs(), degrees.seen());
    let a = in_order(x, below, inputs);
    let span = |at: Range<usize>| Span { depth: 0..seen[at.end - 1], rows: batch };
    let sorted = is_sorted(outputs);
    let strips = Strips::new(isa, above, below, span, |at, j, to| {
        // Those that see j: the last ones.
        let first = at.start + seen[at.clone()].partition_point(|&seen| seen <= j);
        let (to, from) = (&mut to[first - at.start..at.len()], &w[inputs[j] * above..][..above]);
        if sorted {
            to.copy_from_slice(&from[first..at.end]);
        } else {
            for (to, &k) in to.iter_mut().zip(&outputs[first..at.end]) {
                *to = from[k];
            }
        }
    });
    let bias: Vec<f32> = outputs.iter().map(|&k| c[k]).collect();
    let mut out = zeros(batch * above);
    let product = Product { a: &a, b: &strips, columns: outputs, bias: Some(&bias), seen: None };
    product.run(isa, out.chunks_exact_mut(above).collect());
    out
}

/// Gradients of [`linear`]: of x, where it is `asked` for, of W and of c.
///
/// # Shapes
/// `grad` is `[batch, above]`, the others those of [`linear`].
///
/// # Panics
/// As [`linear`].
pub fn linear_gradients(
    x: &[f32],
    w: &[f32],
    grad: &[f32],
    degrees: &Degrees,
    asked: bool,
) -> [Vec<f32>; 3] {
    linear_gradients_on(Isa::detect(), x, w, grad, degrees, asked)
}

/// [`linear_gradients`] likewise.
#[doc(hidden)]
pub fn linear_gradients_on(
    isa: Isa,
    x: &[f32],
    w: &[f32],
    grad: &[f32],
    degrees: &Degrees,
    asked: bool,
) -> [Vec<f32>; 3] {
    let [below, above] = degrees.dims();
    let batch = rows_of(x, below);
    assert_eq!([w.len(), grad.len()], [below * above, batch * above], "weights of these units");
    let (inputs, outputs, seen) = (degrees.inputs(), degrees.outputs(), degrees.seen());
    let g = in_order(grad, above, outputs);
    let mut of_x = Vec::new();
    if asked {
        let span = |at: Range<usize>| {
            let start = seen.partition_point(|&seen| seen <= at.start);
            Span { depth: start..above, rows: batch }
        };
        let strips = Strips::new(isa, below, above, span, |at, k, to| {
            // Those that k sees: the first ones.
            let seen = at.start..at.end.min(seen[k]);
            for (to, &j) in to.iter_mut().zip(&inputs[seen]) {
                *to = w[j * above + outputs[k]];
            }
        });
        of_x = zeros(batch * below);
        let product = Product { a: &g, b: &strips, columns: inputs, bias: None, seen: None };
        product.run(isa, of_x.chunks_exact_mut(below).collect());
    }
    // A unit's values over the batch lie together, not a row of `x` apart, where they would share a few sets of the cache.
    let a = columns_in_order(x, below, inputs);
    let span = |at: Range<usize>| Span { depth: 0..batch, rows: seen[at.end - 1] };
    let strips = Strips::new(isa, above, batch, span, |at, b, to| {
        to[..at.len()].copy_from_slice(&g[b * above..][at]);
    });
    let mut of_w = zeros(below * above);
    let mut rows: Vec<Option<&mut [f32]>> = of_w.chunks_exact_mut(above).map(Some).collect();
    let each = inputs.iter().map(|&j| rows[j].take().expect("an order has each of them once"));
    let product = Product { a: &a, b: &strips, columns: outputs, bias: None, seen: Some(seen) };
    product.run(isa, each.collect());
    [of_x, of_w, sum_of_rows(grad, above)]
}

fn sum_of_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
    sum
}

/// `c + Σ_f x_f (W ∘ M)_f`.
///
/// # Shapes
/// `x` is `[batch, inputs]` by `blocks`, `w` `[features, above]`, `c` `[above]`; returns `[batch, above]`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape, or there is no input or unit.
pub fn rows(x: &[f32], w: &[f32], c: &[f32], degrees: &Degrees, blocks: &Blocks) -> Vec<f32> {
    rows_on(Isa::detect(), x, w, c, degrees, blocks)
}

fn rows_on(
    isa: Isa,
    x: &[f32],
    w: &[f32],
    c: &[f32],
    degrees: &Degrees,
    blocks: &Blocks,
) -> Vec<f32> {
    let ([features, width], batch) = (degrees.dims(), rows_of(x, blocks.inputs()));
    assert_eq!(features, blocks.features(), "one degree for every feature");
    assert_eq!([w.len(), c.len()], [features * width, width], "weights of these units");
    let mut masked = w.to_vec();
    masked.par_chunks_mut(LOOKED_UP * width).enumerate().for_each(|(chunk, w)| {
        mask_f32(isa, w, &degrees.below()[chunk * LOOKED_UP..], degrees.above());
    });
    let mut out = zeros(batch * width);
    out.par_chunks_mut(LOOKED_UP * width)
        .zip(x.par_chunks(LOOKED_UP * blocks.inputs()))
        .for_each(|(out, x)| look_up_f32(isa, x, &masked, c, blocks, out));
    out
}

/// Weights as the mask leaves them, of features of these degrees.
///
/// # Safety
/// None of its own; a kernel's form.
#[inline(always)]
unsafe fn mask<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    w: &mut [f32],
    below: &[usize],
    above: &[usize],
) {
    for (w, &below) in w.chunks_exact_mut(above.len()).zip(below) {
        for (w, &above) in w.iter_mut().zip(above) {
            *w = if above >= below { *w } else { 0.0 };
        }
    }
}

dispatch! {
    /// [`mask`] for what the processor has.
    fn mask_f32(w: &mut [f32], below: &[usize], above: &[usize]) = mask
}

/// Some rows of [`rows`] under weights that are masked.
///
/// # Safety
/// None of its own; a kernel's form.
#[inline(always)]
unsafe fn look_up<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    w: &[f32],
    c: &[f32],
    blocks: &Blocks,
    out: &mut [f32],
) {
    let width = c.len();
    for (x, out) in x.chunks_exact(blocks.inputs()).zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(c);
        for t in 0..blocks.dim() {
            let (features, at) = (blocks.features_of(t), blocks.inputs_of(t));
            match blocks.input(t) {
                Input::Label(labels) => {
                    if let Some(index) = label(x[at.start], labels) {
                        let w = &w[(features.start + index) * width..][..width];
                        for (out, w) in out.iter_mut().zip(w) {
                            *out += w;
                        }
                    }
                }
                Input::Numbers(_) => {
                    for (f, &x) in features.zip(&x[at]) {
                        for (out, w) in out.iter_mut().zip(&w[f * width..][..width]) {
                            *out += x * w;
                        }
                    }
                }
            }
        }
    }
}

dispatch! {
    /// [`look_up`] for what the processor has.
    fn look_up_f32(x: &[f32], w: &[f32], c: &[f32], blocks: &Blocks, out: &mut [f32]) = look_up
}

/// Gradients of [`rows`]: of W and of c.
///
/// # Shapes
/// `grad` is `[batch, above]`, the others those of [`rows`].
///
/// # Panics
/// As [`rows`].
pub fn rows_weights(x: &[f32], grad: &[f32], degrees: &Degrees, blocks: &Blocks) -> [Vec<f32>; 2] {
    rows_weights_on(Isa::detect(), x, grad, degrees, blocks)
}

fn rows_weights_on(
    isa: Isa,
    x: &[f32],
    grad: &[f32],
    degrees: &Degrees,
    blocks: &Blocks,
) -> [Vec<f32>; 2] {
    let ([features, width], batch) = (degrees.dims(), rows_of(x, blocks.inputs()));
    assert_eq!(features, blocks.features(), "one degree for every feature");
    assert_eq!(grad.len(), batch * width, "as many rows of gradients as of inputs");
    let mut of_w = zeros(features * width);
    let (mut rest, mut each) = (&mut of_w[..], Vec::with_capacity(blocks.dim()));
    for t in 0..blocks.dim() {
        let (own, others) = rest.split_at_mut(blocks.features_of(t).len() * width);
        each.push((t, own));
        rest = others;
    }
    // A position's rows of W are its own: one thread adds them up.
    each.into_par_iter().for_each(|(t, own)| {
        add_up_f32(isa, t, x, grad, blocks, own);
        mask_f32(isa, own, &degrees.below()[blocks.features_of(t)], degrees.above());
    });
    [of_w, sum_of_rows(grad, width)]
}

/// The gradient of the weights of position `t`, before they are masked.
///
/// # Safety
/// None of its own; a kernel's form.
#[inline(always)]
unsafe fn add_up<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    t: usize,
    x: &[f32],
    grad: &[f32],
    blocks: &Blocks,
    own: &mut [f32],
) {
    let (at, rows) = (blocks.inputs_of(t), x.chunks_exact(blocks.inputs()));
    let width = grad.len() / rows.len();
    for (x, grad) in rows.zip(grad.chunks_exact(width)) {
        match blocks.input(t) {
            Input::Label(labels) => {
                if let Some(index) = label(x[at.start], labels) {
                    for (own, grad) in own[index * width..][..width].iter_mut().zip(grad) {
                        *own += grad;
                    }
                }
            }
            Input::Numbers(_) => {
                for (own, &x) in own.chunks_exact_mut(width).zip(&x[at.clone()]) {
                    for (own, grad) in own.iter_mut().zip(grad) {
                        *own += x * grad;
                    }
                }
            }
        }
    }
}

dispatch! {
    /// [`add_up`] for what the processor has.
    fn add_up_f32(t: usize, x: &[f32], grad: &[f32], blocks: &Blocks, own: &mut [f32]) = add_up
}
