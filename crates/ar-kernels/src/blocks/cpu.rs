//! The recurrence over blocks on `&[f32]` slices, shared by the flex and ndarray adapters.
//!
//! # Forward
//! Rows are independent, so threads take tiles of them, which have a row in each lane: one read of a row of V serves
//! the whole tile. An output is summed over the hidden units in their order, whatever the tile and the number of
//! threads.
//!
//! # Backward
//! Given ∂L/∂o, hidden units are independent but for ∂ρ, so threads take slabs of hidden units and walk all
//! rows in order; the slabs' parts of ∂ρ are added in their order. Activations are recomputed by subtraction,
//! a_t = a_{t+1} − Σ_f x_f W_f, so that memory is O(batch·H).
//!
//! ```text
//! t = D..1:  ∂W_f = g x_f;  ∂h = V_tᵀ ∂o_t;  ∂V_t = ∂o_t hᵀ;  δ = ∂h [ρ_t a_t > 0];  ∂ρ_t = δ · a_t;  g += ρ_t δ
//! g starts at 0; at the end ∂c = g
//! ```

use core::marker::PhantomData;

use rayon::prelude::*;

use super::layout::label;
use super::{Blocks, Input};
use crate::simd::{Isa, Lanes, dispatch};

/// Registers of rows of a forward tile, and of hidden units of a slab of the backward pass; the last one of either
/// may have one.
const REGISTERS: usize = 2;
/// Outputs of a forward tile, or rows of a slab, that are in registers at a time.
const OUTPUTS: usize = 6;
const ROWS: usize = 4;
/// Rows that a slab takes through all positions at a time, so that their gradients stay in the cache.
const CHUNK: usize = 128;
/// The most scalars of [`REGISTERS`].
const WIDEST: usize = 32;

/// The parameters, in the order of the walk: those of position t are its block of rows.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// Input weights W, `[features, hidden]`.
    pub w: &'a [f32],
    /// Hidden biases c, `[hidden]`.
    pub c: &'a [f32],
    /// Scales of the activations ρ, `[dim]`.
    pub rho: &'a [f32],
    /// Output weights V, `[outputs, hidden]`.
    pub v: &'a [f32],
    /// Output biases b, `[outputs]`.
    pub b: &'a [f32],
    /// Which of them belong to which position.
    pub blocks: &'a Blocks,
}

impl Params<'_> {
    /// The number of hidden units.
    ///
    /// # Panics
    /// When the slices do not belong to one shape.
    fn hidden(&self) -> usize {
        let (blocks, hidden) = (self.blocks, self.c.len());
        assert_eq!(self.rho.len(), blocks.dim(), "rho must be [dim]");
        assert_eq!(self.w.len(), blocks.features() * hidden, "w must be [features, hidden]");
        assert_eq!(self.b.len(), blocks.outputs(), "b must be [outputs]");
        assert_eq!(self.v.len(), blocks.outputs() * hidden, "v must be [outputs, hidden]");
        hidden
    }
}

/// `max(0, x)`; NaN stays NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `o[m] = b[m] + V[m] · h` for `M` outputs from `m` on, of a tile of `R` registers of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn product<L: Lanes<Elem = f32>, const R: usize, const M: usize>(
    h: &[f32],
    params: Params<'_>,
    m: usize,
    out: &mut [[f32; WIDEST]],
) {
    let hidden = params.c.len();
    let width = R * L::N;
    let v: [&[f32]; M] = core::array::from_fn(|j| &params.v[(m + j) * hidden..][..hidden]);
    // SAFETY: the caller's; a unit of h has `width` rows, and so many fit into `WIDEST`.
    unsafe {
        let mut sums = [[L::splat(0.0); R]; M];
        for (k, h) in h.chunks_exact(width).enumerate() {
            let h: [L; R] = core::array::from_fn(|i| L::load(h.as_ptr().add(i * L::N)));
            for (sums, v) in sums.iter_mut().zip(&v) {
                let v = L::splat(*v.get_unchecked(k));
                for (sum, h) in sums.iter_mut().zip(h) {
                    *sum = v.mul_add(h, *sum);
                }
            }
        }
        for (j, (sums, out)) in sums.into_iter().zip(out).enumerate() {
            let b = L::splat(params.b[m + j]);
            for (i, sum) in sums.into_iter().enumerate() {
                sum.add(b).store(out.as_mut_ptr().add(i * L::N));
            }
        }
    }
}

/// Outputs of at most `R` registers of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_rows<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    params: Params<'_>,
    out: &mut [f32],
) {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (inputs, outputs) = (blocks.inputs(), blocks.outputs());
    let (n, width) = (x.len() / inputs, R * L::N);
    // A row in each lane, `[hidden, width]`.
    let mut a: Vec<f32> = params.c.iter().flat_map(|&c| core::iter::repeat_n(c, width)).collect();
    let mut h = vec![0.0; hidden * width];
    let mut tile = [[0.0; WIDEST]; OUTPUTS];
    for t in 0..blocks.dim() {
        let rho = params.rho[t];
        for (h, &a) in h.iter_mut().zip(&a) {
            *h = relu(rho * a);
        }
        let range = blocks.outputs_of(t);
        let mut m = range.start;
        while m < range.end {
            // SAFETY: the caller's.
            let taken = unsafe {
                match range.end - m {
                    1 => {
                        product::<L, R, 1>(&h, params, m, &mut tile);
                        1
                    }
                    2..OUTPUTS => {
                        product::<L, R, 2>(&h, params, m, &mut tile);
                        2
                    }
                    _ => {
                        product::<L, R, OUTPUTS>(&h, params, m, &mut tile);
                        OUTPUTS
                    }
                }
            };
            for (r, out) in out.chunks_exact_mut(outputs).enumerate() {
                for (out, row) in out[m..m + taken].iter_mut().zip(&tile) {
                    *out = row[r];
                }
            }
            m += taken;
        }
        let (at, features) = (blocks.inputs_of(t).start, blocks.features_of(t));
        match blocks.input(t) {
            Input::Numbers(_) => {
                for (k, f) in features.enumerate() {
                    let mut x_f = [0.0; WIDEST];
                    (0..n).for_each(|r| x_f[r] = x[r * inputs + at + k]);
                    let w = &params.w[f * hidden..][..hidden];
                    for (a, &w) in a.chunks_exact_mut(width).zip(w) {
                        for (a, &x) in a.iter_mut().zip(&x_f) {
                            *a += x * w;
                        }
                    }
                }
            }
            Input::Label(labels) => {
                for r in 0..n {
                    let Some(index) = label(x[r * inputs + at], labels) else { continue };
                    let w = &params.w[(features.start + index) * hidden..][..hidden];
                    for (a, &w) in a.chunks_exact_mut(width).zip(w) {
                        a[r] += w;
                    }
                }
            }
        }
    }
}

/// Outputs of one tile of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_tile<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    out: &mut [f32],
) {
    // SAFETY: the caller's.
    unsafe {
        if x.len() > L::N * params.blocks.inputs() {
            forward_rows::<L, REGISTERS>(x, params, out);
        } else {
            forward_rows::<L, 1>(x, params, out);
        }
    }
}

dispatch! {
    /// [`forward_tile`] for what the processor has.
    fn forward_tile_f32(x: &[f32], params: Params<'_>, out: &mut [f32]) = forward_tile
}

/// o of every position: `out[i, m] = b[m] + V[m] · max(0, ρ_t (c + Σ x_f W_f))` for the outputs m of t, over the
/// features f of all positions before t.
///
/// # Shapes
/// `x` is `[batch, inputs]`, the result `[batch, outputs]`, both by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn forward(x: &[f32], params: Params<'_>) -> Vec<f32> {
    params.hidden();
    let (inputs, outputs) = (params.blocks.inputs(), params.blocks.outputs());
    let mut out = vec![0.0; rows(x, inputs) * outputs];
    let isa = Isa::detect();
    let tile = REGISTERS * isa.lanes();
    x.par_chunks(tile * inputs)
        .zip(out.par_chunks_mut((tile * outputs).max(1)))
        .for_each(|(x, out)| forward_tile_f32(isa, x, params, out));
    out
}

fn rows(x: &[f32], inputs: usize) -> usize {
    let is_whole = inputs > 0 && x.len().is_multiple_of(inputs);
    assert!(is_whole, "x has {} values: not whole rows of {inputs}", x.len());
    x.len() / inputs
}

/// Gradients of the parameters, one buffer: W, c, ρ, V, b, one after the other.
pub fn gradient_len(blocks: &Blocks, hidden: usize) -> usize {
    (blocks.features() + 1 + blocks.outputs()) * hidden + blocks.dim() + blocks.outputs()
}

/// The gradients of one slab of hidden units, the units beyond the last padded.
#[derive(Clone)]
struct SlabGradients {
    /// `[features, width]`
    w: Vec<f32>,
    /// `[width]`
    c: Vec<f32>,
    /// `[dim]`: the slab's part of the sum.
    rho: Vec<f32>,
    /// `[outputs, width]`
    v: Vec<f32>,
}

/// For `N` rows: `∂h += Σ_m ∂o[m] V[m]` and `∂V[m] += Σ_r ∂o_r[m] h_r`, over the outputs of a position.
///
/// # Safety
/// The contract of [`Lanes`]; `v` and `grad_v` hold `R` registers for each number of the rows of `grad`.
#[inline(always)]
unsafe fn pull<L: Lanes<Elem = f32>, const R: usize, const N: usize>(
    h: &[[f32; WIDEST]; ROWS],
    grad: [&[f32]; N],
    v: &[f32],
    grad_v: &mut [f32],
    grad_h: &mut [[f32; WIDEST]; ROWS],
) {
    let width = R * L::N;
    let len = grad[0].len();
    assert!(grad.iter().all(|grad| grad.len() == len), "as many outputs of every row");
    assert!(v.len() >= len * width && grad_v.len() >= len * width, "a row of V for each");
    // SAFETY: the caller's; the lengths were checked.
    unsafe {
        let load =
            |from: *const f32| -> [L; R] { core::array::from_fn(|i| L::load(from.add(i * L::N))) };
        let h: [[L; R]; N] = core::array::from_fn(|r| load(h[r].as_ptr()));
        let mut sums = [[L::splat(0.0); R]; N];
        for m in 0..len {
            let v = load(v.as_ptr().add(m * width));
            let to = grad_v.as_mut_ptr().add(m * width);
            let mut own = load(to);
            for r in 0..N {
                let grad = L::splat(*grad[r].get_unchecked(m));
                for i in 0..R {
                    sums[r][i] = grad.mul_add(v[i], sums[r][i]);
                    own[i] = grad.mul_add(h[r][i], own[i]);
                }
            }
            for (i, own) in own.into_iter().enumerate() {
                own.store(to.add(i * L::N));
            }
        }
        for (sums, out) in sums.into_iter().zip(grad_h) {
            for (i, sum) in sums.into_iter().enumerate() {
                sum.store(out.as_mut_ptr().add(i * L::N));
            }
        }
    }
}

/// Copies the slab of each row of a matrix, zero beyond the last unit.
fn slabs_of(from: &[f32], hidden: usize, start: usize, width: usize, to: &mut Vec<f32>) {
    let there = width.min(hidden - start);
    to.clear();
    for row in from.chunks_exact(hidden) {
        to.extend_from_slice(&row[start..start + there]);
        to.extend(core::iter::repeat_n(0.0, width - there));
    }
}

/// The features of a position that are not zero in a row of x: which one, and its value.
#[inline(always)]
fn for_features(blocks: &Blocks, t: usize, row: &[f32], mut each: impl FnMut(usize, f32)) {
    let (first, at) = (blocks.features_of(t).start, blocks.inputs_of(t));
    match blocks.input(t) {
        Input::Numbers(_) => {
            for (k, &x) in row[at].iter().enumerate() {
                if x != 0.0 {
                    each(first + k, x);
                }
            }
        }
        Input::Label(labels) => {
            if let Some(index) = label(row[at.start], labels) {
                each(first + index, 1.0);
            }
        }
    }
}

/// Adds the gradients of `R` registers of hidden units over some rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn backward_units<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    params: Params<'_>,
    grad: &[f32],
    start: usize,
    out: &mut SlabGradients,
) {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (inputs, outputs) = (blocks.inputs(), blocks.outputs());
    let (n, width) = (x.len() / inputs, R * L::N);
    let there = width.min(hidden - start);
    let w_of = |f: usize| &params.w[f * hidden + start..][..there];
    // a after the last position.
    let mut a = vec![0.0; n * width];
    for (i, a) in a.chunks_exact_mut(width).enumerate() {
        a[..there].copy_from_slice(&params.c[start..start + there]);
        for t in 0..blocks.dim() {
            for_features(blocks, t, &x[i * inputs..], |f, x| {
                for (a, &w) in a.iter_mut().zip(w_of(f)) {
                    *a += x * w;
                }
            });
        }
    }
    let mut g = vec![0.0; n * width];
    let mut v = Vec::with_capacity(blocks.most_outputs() * width);
    let (mut h, mut grad_h) = ([[0.0; WIDEST]; ROWS], [[0.0; WIDEST]; ROWS]);
    for t in (0..blocks.dim()).rev() {
        let (rho, range) = (params.rho[t], blocks.outputs_of(t));
        slabs_of(&params.v[range.start * hidden..range.end * hidden], hidden, start, width, &mut v);
        let grad_v = &mut out.v[range.start * width..range.end * width];
        let mut grad_rho = [0.0; WIDEST];
        let mut i = 0;
        while i < n {
            let rows = if i + ROWS <= n { ROWS } else { 1 };
            for r in i..i + rows {
                let (a, g) = (&mut a[r * width..][..width], &g[r * width..][..width]);
                for_features(blocks, t, &x[r * inputs..], |f, x| {
                    for (a, &w) in a.iter_mut().zip(w_of(f)) {
                        *a -= x * w;
                    }
                    for (grad_w, &g) in out.w[f * width..][..width].iter_mut().zip(g) {
                        *grad_w += x * g;
                    }
                });
                for (h, &a) in h[r - i][..width].iter_mut().zip(&*a) {
                    *h = relu(rho * a);
                }
            }
            let grad = |r: usize| &grad[(i + r) * outputs..][range.clone()];
            // SAFETY: the caller's; there are as many rows of V as outputs.
            unsafe {
                if rows == ROWS {
                    let grad = core::array::from_fn(grad);
                    pull::<L, R, ROWS>(&h, grad, &v, grad_v, &mut grad_h);
                } else {
                    pull::<L, R, 1>(&h, [grad(0)], &v, grad_v, &mut grad_h);
                }
            }
            for r in 0..rows {
                let (h, grad_h) = (&h[r][..width], &grad_h[r][..width]);
                let (a, g) = (&a[(i + r) * width..][..width], &mut g[(i + r) * width..][..width]);
                for k in 0..width {
                    let delta = if h[k] == 0.0 { 0.0 } else { grad_h[k] };
                    grad_rho[k] += delta * a[k];
                    g[k] += delta * rho;
                }
            }
            i += rows;
        }
        out.rho[t] += grad_rho.iter().sum::<f32>();
    }
    for g in g.chunks_exact(width) {
        for (c, g) in out.c.iter_mut().zip(g) {
            *c += g;
        }
    }
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn backward_slab<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    grad: &[f32],
    start: usize,
) -> SlabGradients {
    let blocks = params.blocks;
    let (inputs, outputs) = (blocks.inputs(), blocks.outputs());
    let registers = if params.c.len() - start > L::N { REGISTERS } else { 1 };
    let width = registers * L::N;
    let mut out = SlabGradients {
        w: vec![0.0; blocks.features() * width],
        c: vec![0.0; width],
        rho: vec![0.0; blocks.dim()],
        v: vec![0.0; outputs * width],
    };
    for (i, x) in x.chunks(CHUNK * inputs).enumerate() {
        let grad = &grad[i * CHUNK * outputs..][..x.len() / inputs * outputs];
        // SAFETY: the caller's.
        unsafe {
            if registers == REGISTERS {
                backward_units::<L, REGISTERS>(x, params, grad, start, &mut out);
            } else {
                backward_units::<L, 1>(x, params, grad, start, &mut out);
            }
        }
    }
    out
}

dispatch! {
    /// [`backward_slab`] for what the processor has.
    fn backward_slab_f32(
        x: &[f32], params: Params<'_>, grad: &[f32], start: usize,
    ) -> SlabGradients = backward_slab
}

/// Gradients of the parameters, [`gradient_len`] of them, from those of the outputs.
///
/// # Shapes
/// `x` is `[batch, inputs]` and `grad` `[batch, outputs]`, by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn backward(x: &[f32], params: Params<'_>, grad: &[f32]) -> Vec<f32> {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (features, outputs) = (blocks.features(), blocks.outputs());
    assert_eq!(grad.len(), rows(x, blocks.inputs()) * outputs, "one gradient per output");
    let isa = Isa::detect();
    let starts: Vec<usize> = (0..hidden).step_by(REGISTERS * isa.lanes()).collect();
    let slabs: Vec<SlabGradients> =
        starts.par_iter().map(|&start| backward_slab_f32(isa, x, params, grad, start)).collect();
    let mut packed = vec![0.0; gradient_len(blocks, hidden)];
    let (w, rest) = packed.split_at_mut(features * hidden);
    let (c, rest) = rest.split_at_mut(hidden);
    let (rho, rest) = rest.split_at_mut(blocks.dim());
    let (v, b) = rest.split_at_mut(outputs * hidden);
    for (&start, slab) in starts.iter().zip(&slabs) {
        let width = slab.c.len();
        let there = width.min(hidden - start);
        let write = |to: &mut [f32], from: &[f32]| {
            for (row, from) in to.chunks_exact_mut(hidden).zip(from.chunks_exact(width)) {
                row[start..start + there].copy_from_slice(&from[..there]);
            }
        };
        write(w, &slab.w);
        write(v, &slab.v);
        write(c, &slab.c);
        for (rho, part) in rho.iter_mut().zip(&slab.rho) {
            *rho += part;
        }
    }
    for row in grad.chunks_exact(outputs.max(1)) {
        for (b, grad) in b.iter_mut().zip(row) {
            *b += grad;
        }
    }
    packed
}
