//! The forward pass: logits of all positions.

use core::marker::PhantomData;

use rayon::prelude::*;

use super::{
    NonZero, Params, SLAB, add_dots, advance, batch_of, begin, chunk_len, slabs, transpose,
};
use crate::simd::{Aligned, Isa, Lanes, Real, dispatch};

/// Logits of one chunk of images, `out[t * n + i]`, which hold the biases on entry.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn forward_chunk<L: Lanes>(
    _: PhantomData<L>,
    params: Params<'_, L::Elem>,
    nonzero: &NonZero<L::Elem>,
    n: usize,
    out: &mut [L::Elem],
) {
    let (_, hidden) = params.dims();
    let mut a = Aligned::zeros(n * SLAB);
    let mut h = Aligned::zeros(n * SLAB);
    for slab in slabs(hidden, SLAB) {
        let (a, h) = (&mut a[..n * slab.width], &mut h[..n * slab.width]);
        // SAFETY: the caller's; the buffers hold n rows of the slab's width.
        unsafe {
            with_registers!(slab.width, L, forward_slab(params, slab.start, nonzero, n, a, h, out))
        }
    }
}

/// # Safety
/// The contract of [`Lanes`]; `a` and `h` hold `n` rows of K * N.
#[inline(always)]
unsafe fn forward_slab<L: Lanes, const K: usize>(
    params: Params<'_, L::Elem>,
    start: usize,
    nonzero: &NonZero<L::Elem>,
    n: usize,
    a: &mut [L::Elem],
    h: &mut [L::Elem],
    out: &mut [L::Elem],
) {
    let (dim, hidden) = params.dims();
    let width = K * L::N;
    assert!(a.len() == n * width && h.len() == n * width && out.len() == dim * n);
    // SAFETY: row i of a and h starts at i * width, i < n; the lane contract is the caller's.
    unsafe {
        begin::<L, K>(params.c, start, a, h);
        for (t, out) in out.chunks_exact_mut(n).enumerate() {
            add_dots::<L, K>(params.v.as_ptr().add(t * hidden), start, hidden, h, out);
            let w = params.w.as_ptr().add(t * hidden);
            advance::<L, K>(w, start, hidden, nonzero.at(t), a, h);
        }
    }
}

dispatch! {
    /// [`forward_chunk`] for f32.
    fn forward_chunk_f32(
        params: Params<'_, f32>, nonzero: &NonZero<f32>, n: usize, out: &mut [f32],
    ) = forward_chunk
}

/// Logits of every position: `out[i, t] = b_t + V_t · σ(c + Σ_{s<t} W_s x_s)`.
///
/// # Shapes
/// `x` is `[batch, dim]`, the result `[batch, dim]`, both in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn forward(x: &[f32], params: Params<'_, f32>) -> Vec<f32> {
    forward_on(Isa::detect(), x, params)
}

pub(super) fn forward_on(isa: Isa, x: &[f32], params: Params<'_, f32>) -> Vec<f32> {
    forward_with(x, params, |params, nonzero, n, out| {
        forward_chunk_f32(isa, params, nonzero, n, out);
    })
}

/// The part of the forward pass that does not depend on the lanes.
pub(super) fn forward_with<E: Real>(
    x: &[E],
    params: Params<'_, E>,
    chunk: impl Fn(Params<'_, E>, &NonZero<E>, usize, &mut [E]) + Sync,
) -> Vec<E> {
    let (dim, _) = params.dims();
    if dim == 0 || x.is_empty() {
        return Vec::new();
    }
    let batch = batch_of(x, dim);
    let mut logits = vec![E::default(); batch * dim];
    let chunk_len = chunk_len(batch);
    x.par_chunks(chunk_len * dim).zip(logits.par_chunks_mut(chunk_len * dim)).for_each(
        |(x, logits)| {
            let n = x.len() / dim;
            let nonzero = NonZero::of(x, dim);
            let mut by_position = vec![E::default(); dim * n];
            for (row, &b) in by_position.chunks_exact_mut(n).zip(params.b) {
                row.fill(b);
            }
            chunk(params, &nonzero, n, &mut by_position);
            transpose(&by_position, dim, n, logits);
        },
    );
    logits
}
