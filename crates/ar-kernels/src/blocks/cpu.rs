//! The recurrence over blocks on `&[f32]` slices, shared by the flex and ndarray adapters.
//!
//! # Forward
//! Rows are independent, so threads take chunks of them. An output is a dot product of `LANES` partial
//! sums that are added in a fixed order, whatever the chunk and the number of threads.
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

use super::Blocks;
use crate::simd::{Isa, Lanes, dispatch};

/// Partial sums of a dot product. Fixed: it decides the order of summation.
const LANES: usize = 16;
/// Rows whose outputs are computed from one read of a row of V.
const BLOCK: usize = 4;
/// Most rows of a forward chunk.
const CHUNK: usize = 32;
/// Hidden units of a slab of the backward pass.
const SLAB: usize = 32;

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

/// `h_r · v` of `R` rows.
#[inline(always)]
fn dots<const R: usize>(rows: [&[f32]; R], v: &[f32]) -> [f32; R] {
    let mut sums = [[0.0_f32; LANES]; R];
    let whole = v.len() / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let v: &[f32; LANES] = v[start..start + LANES].try_into().expect("LANES of them");
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let h: &[f32; LANES] = row[start..start + LANES].try_into().expect("LANES of them");
            for k in 0..LANES {
                sums[k] += h[k] * v[k];
            }
        }
    }
    let mut out = [0.0; R];
    for ((out, sums), row) in out.iter_mut().zip(sums).zip(rows) {
        let mut width = LANES;
        let mut sums = sums;
        while width > 1 {
            width /= 2;
            for k in 0..width {
                sums[k] += sums[k + width];
            }
        }
        *out = sums[0];
        for (h, v) in row[whole..].iter().zip(&v[whole..]) {
            *out += h * v;
        }
    }
    out
}

/// Outputs of one chunk of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_chunk<L: Lanes>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    out: &mut [f32],
) {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (features, outputs) = (blocks.features(), blocks.outputs());
    let n = x.len() / features;
    let mut a = params.c.repeat(n);
    let mut h = vec![0.0; n * hidden];
    for t in 0..blocks.dim() {
        let rho = params.rho[t];
        for (h, &a) in h.iter_mut().zip(&a) {
            *h = relu(rho * a);
        }
        let row = |i: usize| &h[i * hidden..(i + 1) * hidden];
        for m in blocks.outputs_of(t) {
            let (v, b) = (&params.v[m * hidden..][..hidden], params.b[m]);
            let mut i = 0;
            while i + BLOCK <= n {
                let dots = dots::<BLOCK>([row(i), row(i + 1), row(i + 2), row(i + 3)], v);
                for (r, dot) in dots.into_iter().enumerate() {
                    out[(i + r) * outputs + m] = b + dot;
                }
                i += BLOCK;
            }
            for i in i..n {
                let [dot] = dots::<1>([row(i)], v);
                out[i * outputs + m] = b + dot;
            }
        }
        for (i, a) in a.chunks_exact_mut(hidden).enumerate() {
            for f in blocks.features_of(t) {
                // Of a category all but one are zero.
                let x = x[i * features + f];
                if x != 0.0 {
                    let w = &params.w[f * hidden..(f + 1) * hidden];
                    for (a, &w) in a.iter_mut().zip(w) {
                        *a += x * w;
                    }
                }
            }
        }
    }
}

dispatch! {
    /// [`forward_chunk`] for what the processor has.
    fn forward_chunk_f32(x: &[f32], params: Params<'_>, out: &mut [f32]) = forward_chunk
}

/// o of every position: `out[i, m] = b[m] + V[m] · max(0, ρ_t (c + Σ x_f W_f))` for the outputs m of t, over the
/// features f of all positions before t.
///
/// # Shapes
/// `x` is `[batch, features]`, the result `[batch, outputs]`, both by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn forward(x: &[f32], params: Params<'_>) -> Vec<f32> {
    params.hidden();
    let (features, outputs) = (params.blocks.features(), params.blocks.outputs());
    let rows = rows(x, features);
    let mut out = vec![0.0; rows * outputs];
    let isa = Isa::detect();
    // An equal share for every thread, as far as the cache allows.
    let chunk = rows.div_ceil(rayon::current_num_threads()).clamp(1, CHUNK);
    x.par_chunks(chunk * features)
        .zip(out.par_chunks_mut((chunk * outputs).max(1)))
        .for_each(|(x, out)| forward_chunk_f32(isa, x, params, out));
    out
}

fn rows(x: &[f32], features: usize) -> usize {
    let is_whole = features > 0 && x.len().is_multiple_of(features);
    assert!(is_whole, "x has {} values: not whole rows of {features}", x.len());
    x.len() / features
}

/// Gradients of the parameters, one buffer: W, c, ρ, V, b, one after the other.
pub fn gradient_len(blocks: &Blocks, hidden: usize) -> usize {
    (blocks.features() + 1 + blocks.outputs()) * hidden + blocks.dim() + blocks.outputs()
}

/// The gradients of one slab of hidden units, the units beyond the last padded.
#[derive(Clone)]
struct SlabGradients {
    /// `[features]`
    w: Vec<[f32; SLAB]>,
    c: [f32; SLAB],
    /// `[dim]`: the slab's part of the sum.
    rho: Vec<f32>,
    /// `[outputs]`
    v: Vec<[f32; SLAB]>,
}

/// The slab of a row of hidden units, zero beyond the last.
#[inline(always)]
fn slab_of(row: &[f32], start: usize) -> [f32; SLAB] {
    let mut slab = [0.0; SLAB];
    let end = row.len().min(start + SLAB);
    slab[..end - start].copy_from_slice(&row[start..end]);
    slab
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn backward_slab<L: Lanes>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    grad: &[f32],
    start: usize,
    out: &mut SlabGradients,
) {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (features, outputs) = (blocks.features(), blocks.outputs());
    let mut w = vec![[0.0_f32; SLAB]; blocks.widest()];
    let load_w = |w: &mut [[f32; SLAB]], t: usize| {
        for (w, f) in w.iter_mut().zip(blocks.features_of(t)) {
            *w = slab_of(&params.w[f * hidden..(f + 1) * hidden], start);
        }
    };
    // a after the last position.
    let mut a = vec![slab_of(params.c, start); x.len() / features];
    for t in 0..blocks.dim() {
        load_w(&mut w, t);
        for (i, a) in a.iter_mut().enumerate() {
            for (w, &x) in w.iter().zip(&x[i * features..][blocks.features_of(t)]) {
                if x != 0.0 {
                    for k in 0..SLAB {
                        a[k] += x * w[k];
                    }
                }
            }
        }
    }
    let mut g = vec![[0.0_f32; SLAB]; a.len()];
    let mut v = vec![[0.0_f32; SLAB]; blocks.most_outputs()];
    for t in (0..blocks.dim()).rev() {
        let rho = params.rho[t];
        load_w(&mut w, t);
        for (v, m) in v.iter_mut().zip(blocks.outputs_of(t)) {
            *v = slab_of(&params.v[m * hidden..][..hidden], start);
        }
        let grad_v = &mut out.v[blocks.outputs_of(t)];
        let grad_w = &mut out.w[blocks.features_of(t)];
        let mut grad_rho = [0.0_f32; SLAB];
        for (i, (a, g)) in a.iter_mut().zip(&mut g).enumerate() {
            let x = &x[i * features..][blocks.features_of(t)];
            for ((w, &x), grad_w) in w.iter().zip(x).zip(grad_w.iter_mut()) {
                if x != 0.0 {
                    for k in 0..SLAB {
                        a[k] -= x * w[k];
                        grad_w[k] += x * g[k];
                    }
                }
            }
            let mut h = [0.0_f32; SLAB];
            for k in 0..SLAB {
                h[k] = relu(rho * a[k]);
            }
            let mut grad_h = [0.0_f32; SLAB];
            let grad = &grad[i * outputs..][blocks.outputs_of(t)];
            for ((&grad, v), grad_v) in grad.iter().zip(&v).zip(grad_v.iter_mut()) {
                for k in 0..SLAB {
                    grad_h[k] += grad * v[k];
                    grad_v[k] += grad * h[k];
                }
            }
            for k in 0..SLAB {
                let delta = if h[k] == 0.0 { 0.0 } else { grad_h[k] };
                grad_rho[k] += delta * a[k];
                g[k] += delta * rho;
            }
        }
        out.rho[t] = grad_rho.iter().sum();
    }
    for g in &g {
        for (c, g) in out.c.iter_mut().zip(g) {
            *c += g;
        }
    }
}

dispatch! {
    /// [`backward_slab`] for what the processor has.
    fn backward_slab_f32(
        x: &[f32], params: Params<'_>, grad: &[f32], start: usize, out: &mut SlabGradients,
    ) = backward_slab
}

/// Gradients of the parameters, [`gradient_len`] of them, from those of the outputs.
///
/// # Shapes
/// `x` is `[batch, features]` and `grad` `[batch, outputs]`, by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn backward(x: &[f32], params: Params<'_>, grad: &[f32]) -> Vec<f32> {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (features, outputs) = (blocks.features(), blocks.outputs());
    assert_eq!(grad.len(), rows(x, features) * outputs, "one gradient per output");
    let isa = Isa::detect();
    let starts: Vec<usize> = (0..hidden).step_by(SLAB).collect();
    let slabs: Vec<SlabGradients> = starts
        .par_iter()
        .map(|&start| {
            let zero = [0.0; SLAB];
            let mut out = SlabGradients {
                w: vec![zero; features],
                c: zero,
                rho: vec![0.0; blocks.dim()],
                v: vec![zero; outputs],
            };
            backward_slab_f32(isa, x, params, grad, start, &mut out);
            out
        })
        .collect();
    let mut packed = vec![0.0; gradient_len(blocks, hidden)];
    let (w, rest) = packed.split_at_mut(features * hidden);
    let (c, rest) = rest.split_at_mut(hidden);
    let (rho, rest) = rest.split_at_mut(blocks.dim());
    let (v, b) = rest.split_at_mut(outputs * hidden);
    for (&start, slab) in starts.iter().zip(&slabs) {
        let width = SLAB.min(hidden - start);
        let write = |to: &mut [f32], from: &[[f32; SLAB]]| {
            for (row, from) in to.chunks_exact_mut(hidden).zip(from) {
                row[start..start + width].copy_from_slice(&from[..width]);
            }
        };
        write(w, &slab.w);
        write(v, &slab.v);
        c[start..start + width].copy_from_slice(&slab.c[..width]);
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
