//! The NADE recurrence on `&[f32]` slices, shared by the flex and ndarray adapters.
//!
//! # Forward
//! Images are independent, so threads take chunks of images. Hidden units go in slabs of at most
//! `SLAB`: a chunk's activations of one slab stay in the first-level cache while the rows of V and
//! W stream past once, each held in registers for all images of the chunk. A logit is the sum of its
//! slabs' partial dot products, in slab order, whatever the chunk and the number of threads.
//!
//! # Backward
//! Given ∂L/∂logit, hidden units are independent (no sum runs over them), so threads take slabs of
//! hidden units and walk all images in order: no partial gradients, no reduction, and bit-identical
//! results for any number of threads. Activations are recomputed by subtraction.
//!
//! A unit's sigmoid is recomputed only where x_t ≠ 0. Which images those are is tabulated once per
//! call (`NonZero`), so that the inner loops have no unpredictable branch.

use core::marker::PhantomData;

use rayon::prelude::*;

use crate::simd::{Aligned, Isa, Lanes, PAD, Real, dispatch, sigmoid_f32};

/// Hidden units per slab of the forward pass. Fixed: it decides the order of summation.
const SLAB: usize = 128;
/// Hidden units per slab of the backward pass (activations, their sigmoids and their gradients of
/// [`TILE`] images fit the first-level cache together).
const BACKWARD_SLAB: usize = 32;
/// Images that a backward slab walks at a time.
const TILE: usize = 128;
/// Most images of a forward chunk.
const CHUNK: usize = 64;

/// The parameters of a NADE, in the order of its walk: row t belongs to position t.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a, E> {
    /// Input weights W, `[dim, hidden]`.
    pub w: &'a [E],
    /// Output weights V, `[dim, hidden]`.
    pub v: &'a [E],
    /// Output biases b, `[dim]`.
    pub b: &'a [E],
    /// Hidden biases c, `[hidden]`.
    pub c: &'a [E],
}

impl<E> Params<'_, E> {
    /// `(dim, hidden)`.
    ///
    /// # Panics
    /// When the four slices do not belong to one shape.
    fn dims(&self) -> (usize, usize) {
        let (dim, hidden) = (self.b.len(), self.c.len());
        assert_eq!(self.w.len(), dim * hidden, "w must be [dim, hidden] = [{dim}, {hidden}]");
        assert_eq!(self.v.len(), dim * hidden, "v must be [dim, hidden] = [{dim}, {hidden}]");
        (dim, hidden)
    }
}

/// Gradients of the parameters, one buffer: W `[dim, hidden]`, V `[dim, hidden]`, b `[dim]`,
/// c `[hidden]`, one after the other.
pub fn gradient_len(dim: usize, hidden: usize) -> usize {
    2 * dim * hidden + dim + hidden
}

/// Chunk of images, transposed: `x[t * n + i]`, and for each t the images where it is not zero.
struct NonZero<E> {
    /// `(image, value)` of the non-zero entries, position after position.
    entries: Vec<(u32, E)>,
    /// `entries[starts[t]..starts[t + 1]]` belong to position t.
    starts: Vec<u32>,
}

impl<E: Real> NonZero<E> {
    /// Tabulates the rows `x` (`[n, dim]`).
    fn of(x: &[E], dim: usize) -> Self {
        let mut counts = vec![0_u32; dim + 1];
        for row in x.chunks_exact(dim) {
            for (t, value) in row.iter().enumerate() {
                counts[t + 1] += u32::from(!value.is_zero());
            }
        }
        for t in 0..dim {
            counts[t + 1] += counts[t];
        }
        let starts = counts.clone();
        let mut entries = vec![(0, E::default()); counts[dim] as usize];
        for (i, row) in x.chunks_exact(dim).enumerate() {
            for (t, &value) in row.iter().enumerate() {
                if !value.is_zero() {
                    entries[counts[t] as usize] = (i as u32, value);
                    counts[t] += 1;
                }
            }
        }
        Self { entries, starts }
    }

    #[inline(always)]
    fn at(&self, t: usize) -> &[(u32, E)] {
        &self.entries[self.starts[t] as usize..self.starts[t + 1] as usize]
    }
}

/// `[start, start + width)` of the padded hidden units.
#[derive(Clone, Copy)]
struct Slab {
    start: usize,
    width: usize,
}

/// Cuts `hidden` units, padded to [`PAD`], into slabs of `most`, then of ever smaller powers of two.
fn slabs(hidden: usize, most: usize) -> Vec<Slab> {
    let padded = hidden.next_multiple_of(PAD);
    let mut out = Vec::new();
    let (mut start, mut width) = (0, most);
    while start < padded {
        while start + width > padded {
            width /= 2;
        }
        out.push(Slab { start, width });
        start += width;
    }
    out
}

/// Registers `[K]` of a slab of a row of `len` units; beyond the end of the row they hold zero.
///
/// # Safety
/// The contract of [`Lanes`], and `row` must be valid for reads of the slab's part of `len` scalars.
#[inline(always)]
unsafe fn load_row<L: Lanes, const K: usize>(
    row: *const L::Elem,
    start: usize,
    len: usize,
) -> [L; K] {
    // SAFETY: all reads stay below `len`; `padded` holds SLAB >= K * N scalars; the lane contract is
    // the caller's.
    unsafe {
        if len >= start + K * L::N {
            load_all(row.add(start))
        } else {
            let mut padded = [L::Elem::default(); SLAB];
            for (k, value) in padded.iter_mut().take(len.saturating_sub(start)).enumerate() {
                *value = *row.add(start + k);
            }
            load_all(padded.as_ptr())
        }
    }
}

/// K registers from consecutive scalars. (Closures, as `array::from_fn` takes them, would be functions
/// of their own, compiled without the wrapper's instructions.)
///
/// # Safety
/// The contract of [`Lanes`]; `from` valid for K * N scalars.
#[inline(always)]
unsafe fn load_all<L: Lanes, const K: usize>(from: *const L::Elem) -> [L; K] {
    // SAFETY: the caller's.
    unsafe {
        let mut registers = [L::splat(L::Elem::default()); K];
        for (k, register) in registers.iter_mut().enumerate() {
            *register = L::load(from.add(k * L::N));
        }
        registers
    }
}

/// `row[start..]` := the registers, cut off at the end of the row.
///
/// # Safety
/// The contract of [`Lanes`], and `row` must be valid for writes of `len` scalars.
#[inline(always)]
unsafe fn store_row<L: Lanes, const K: usize>(
    values: [L; K],
    row: *mut L::Elem,
    start: usize,
    len: usize,
) {
    // SAFETY: all writes stay below `len`; the lane contract is the caller's.
    unsafe {
        if len >= start + K * L::N {
            for (k, value) in values.into_iter().enumerate() {
                value.store(row.add(start + k * L::N));
            }
        } else {
            let mut padded = [L::Elem::default(); SLAB];
            for (k, value) in values.into_iter().enumerate() {
                value.store(padded.as_mut_ptr().add(k * L::N));
            }
            for (k, &value) in padded.iter().take(len.saturating_sub(start)).enumerate() {
                *row.add(start + k) = value;
            }
        }
    }
}

/// Calls `$f::<L, K>` with K registers for a slab of `$width` units, of which a forward slab has at
/// most SLAB.
macro_rules! with_registers {
    ($width:expr, $lanes:ident, $f:ident($($arg:expr),* $(,)?)) => {
        match $width / $lanes::N {
            1 => $f::<$lanes, 1>($($arg),*),
            2 => $f::<$lanes, 2>($($arg),*),
            4 => $f::<$lanes, 4>($($arg),*),
            8 => $f::<$lanes, 8>($($arg),*),
            16 => $f::<$lanes, 16>($($arg),*),
            registers => unreachable!("a slab of {registers} registers"),
        }
    };
}

/// `h · v` over K registers, in a fixed order.
///
/// # Safety
/// The contract of [`Lanes`]; `h` valid for K * N scalars.
#[inline(always)]
unsafe fn dot<L: Lanes, const K: usize>(h: *const L::Elem, v: &[L; K]) -> L {
    // SAFETY: the caller's.
    unsafe {
        // Two chains, so that one addition's latency hides behind the other.
        let mut even = L::load(h).mul(v[0]);
        if K == 1 {
            return even;
        }
        let mut odd = L::load(h.add(L::N)).mul(v[1]);
        let mut k = 2;
        while k < K {
            even = L::load(h.add(k * L::N)).mul_add(v[k], even);
            odd = L::load(h.add((k + 1) * L::N)).mul_add(v[k + 1], odd);
            k += 2;
        }
        even.add(odd)
    }
}

/// a += x·w and h = σ(a) for one image and one slab.
///
/// # Safety
/// The contract of [`Lanes`]; `a` and `h` valid for K * N scalars.
#[inline(always)]
unsafe fn step<L: Lanes, const K: usize>(a: *mut L::Elem, h: *mut L::Elem, x: L::Elem, w: &[L; K]) {
    // SAFETY: the caller's.
    unsafe {
        let x = L::splat(x);
        for (k, &w) in w.iter().enumerate() {
            let next = x.mul_add(w, L::load(a.add(k * L::N)));
            next.store(a.add(k * L::N));
            next.sigmoid().store(h.add(k * L::N));
        }
    }
}

/// Fills the slab's activations with c and σ(c) for `n` images.
///
/// # Safety
/// The contract of [`Lanes`]; `a` and `h` hold `n` rows of K * N.
#[inline(always)]
unsafe fn begin<L: Lanes, const K: usize>(
    c: &[L::Elem],
    start: usize,
    a: &mut [L::Elem],
    h: &mut [L::Elem],
) {
    // SAFETY: rows of exactly K * N scalars; the lane contract is the caller's.
    unsafe {
        let c: [L; K] = load_row(c.as_ptr(), start, c.len());
        let width = K * L::N;
        for (a, h) in a.chunks_exact_mut(width).zip(h.chunks_exact_mut(width)) {
            for (k, c) in c.iter().enumerate() {
                c.store(a.as_mut_ptr().add(k * L::N));
                c.sigmoid().store(h.as_mut_ptr().add(k * L::N));
            }
        }
    }
}

/// Logits of one chunk of images, `out[t * n + i]`, which hold the biases on entry.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_chunk<L: Lanes>(
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

fn forward_on(isa: Isa, x: &[f32], params: Params<'_, f32>) -> Vec<f32> {
    forward_with(x, params, |params, nonzero, n, out| {
        forward_chunk_f32(isa, params, nonzero, n, out);
    })
}

/// The part of the forward pass that does not depend on the lanes.
fn forward_with<E: Real>(
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

/// Rows of `x`.
///
/// # Panics
/// When `x` is not whole rows.
fn batch_of<E>(x: &[E], dim: usize) -> usize {
    assert_eq!(x.len() % dim, 0, "x has {} values, not whole rows of {dim}", x.len());
    x.len() / dim
}

/// Images per chunk: an equal share for every thread, as far as the cache allows. Chunks are
/// independent, so this has no influence on the result.
fn chunk_len(batch: usize) -> usize {
    let share = batch.div_ceil(rayon::current_num_threads());
    share.div_ceil(share.div_ceil(CHUNK)).max(1)
}

/// `to[c * rows + r] = from[r * columns + c]`, in blocks that fit the cache.
fn transpose<E: Copy>(from: &[E], rows: usize, columns: usize, to: &mut [E]) {
    const BLOCK: usize = 16;
    for row in (0..rows).step_by(BLOCK) {
        for column in 0..columns {
            for r in row..(row + BLOCK).min(rows) {
                to[column * rows + r] = from[r * columns + column];
            }
        }
    }
}

/// A pointer that several threads write through, each to its own columns.
#[derive(Clone, Copy)]
struct Columns<E>(*mut E);

// SAFETY: the slabs of hidden units that threads write are disjoint.
unsafe impl<E: Send> Send for Columns<E> {}
// SAFETY: likewise.
unsafe impl<E: Send> Sync for Columns<E> {}

/// Where one slab's gradients go.
struct Out<E> {
    /// `[dim, hidden]`, zero on entry.
    w: Columns<E>,
    /// `[dim, hidden]`, zero on entry.
    v: Columns<E>,
    /// `[hidden]`, zero on entry.
    c: Columns<E>,
}

/// Positions that the backward pass takes at a time. Over a block in which an image's activations do
/// not move, its h and g are read and written once instead of once per position.
const BLOCK: usize = 4;

/// What all slabs need to know of a tile of images.
struct Tile<E> {
    /// Number of images.
    n: usize,
    nonzero: NonZero<E>,
    /// Gradient of the logits, `grad[t * n + i]`.
    grad: Vec<E>,
    /// Whole blocks of positions, the last block first.
    blocks: Vec<BlockImages<E>>,
    /// 0..n.
    everybody: Vec<u32>,
}

/// How the images fall in one block of positions.
struct BlockImages<E> {
    /// Images with x_t = 0 at all positions but perhaps the last, whose activations stay as they are
    /// from the moment that the last position is undone.
    clean: Vec<u32>,
    /// The others, with their x at the block's positions, the last position first.
    dirty: Vec<(u32, [E; BLOCK])>,
}

impl<E: Real> Tile<E> {
    /// From rows of x and of the logits' gradient, `[n, dim]`.
    fn of(x: &[E], grad: &[E], dim: usize) -> Self {
        let n = x.len() / dim;
        let mut by_position = vec![E::default(); grad.len()];
        transpose(grad, n, dim, &mut by_position);
        let blocks = (0..dim / BLOCK).map(|block| {
            let top = dim - 1 - block * BLOCK;
            let mut images = BlockImages { clean: Vec::new(), dirty: Vec::new() };
            for (i, row) in x.chunks_exact(dim).enumerate() {
                let here: [E; BLOCK] = core::array::from_fn(|j| row[top - j]);
                if here[1..].iter().all(|x| x.is_zero()) {
                    images.clean.push(i as u32);
                } else {
                    images.dirty.push((i as u32, here));
                }
            }
            images
        });
        Self {
            n,
            nonzero: NonZero::of(x, dim),
            grad: by_position,
            blocks: blocks.collect(),
            everybody: (0..n as u32).collect(),
        }
    }
}

/// Rows `top`, `top - 1`, … of a `[dim, hidden]` matrix, one slab of each.
///
/// # Safety
/// The contract of [`Lanes`]; `matrix` valid for reads of those rows, and `top + 1 >= M`.
#[inline(always)]
unsafe fn load_rows<L: Lanes, const K: usize, const M: usize>(
    matrix: *const L::Elem,
    top: usize,
    start: usize,
    hidden: usize,
) -> [[L; K]; M] {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [[L::splat(L::Elem::default()); K]; M];
        for (j, row) in rows.iter_mut().enumerate() {
            *row = load_row(matrix.add((top - j) * hidden), start, hidden);
        }
        rows
    }
}

/// Takes x·w out of one image's activations, after its part of ∂W: `dw += g x; a -= x w; h = σ(a)`.
///
/// # Safety
/// The contract of [`Lanes`]; `a`, `h` and `g` valid for K * N scalars.
#[inline(always)]
unsafe fn undo<L: Lanes, const K: usize>(
    x: L::Elem,
    w: &[L; K],
    a: *mut L::Elem,
    h: *mut L::Elem,
    g: *const L::Elem,
    dw: &mut [L; K],
) {
    // SAFETY: the caller's.
    unsafe {
        let x = L::splat(x);
        for k in 0..K {
            let at = k * L::N;
            dw[k] = x.mul_add(L::load(g.add(at)), dw[k]);
            let before = x.neg_mul_add(w[k], L::load(a.add(at)));
            before.store(a.add(at));
            before.sigmoid().store(h.add(at));
        }
    }
}

/// Where a block of positions is: `top`, `top - 1`, … of one slab and tile.
struct Block<'a, E> {
    params: Params<'a, E>,
    start: usize,
    tile: &'a Tile<E>,
    top: usize,
}

/// The backward pass over M positions, from `top` downwards, for all images of a tile: first the
/// activations of `top` are restored, then the `clean` images take all positions at once and the
/// `dirty` ones one after the other.
///
/// # Safety
/// As for [`backward_slab`]; `a`, `h` and `g` hold a row of K * N per image, and `clean` and `dirty`
/// name images of the tile.
#[inline(always)]
unsafe fn backward_block<L: Lanes, const K: usize, const M: usize>(
    block: &Block<'_, L::Elem>,
    clean: &[u32],
    dirty: &[(u32, [L::Elem; BLOCK])],
    a: &mut [L::Elem],
    h: &mut [L::Elem],
    g: &mut [L::Elem],
    out: &Out<L::Elem>,
) {
    let &Block { params, start, tile, top } = block;
    let (_, hidden) = params.dims();
    let (width, n) = (K * L::N, tile.n);
    assert!(a.len() == n * width && h.len() == n * width && g.len() == n * width);
    let (a, h, g) = (a.as_mut_ptr(), h.as_mut_ptr(), g.as_mut_ptr());
    // SAFETY: image i's row starts at i * width and position t's at t * hidden; of the gradients only
    // the slab's columns are touched; the rest is the caller's.
    unsafe {
        let here = tile.nonzero.at(top);
        if !here.is_empty() {
            let w: [L; K] = load_row(params.w.as_ptr().add(top * hidden), start, hidden);
            let mut dw: [L; K] = load_row(out.w.0.add(top * hidden), start, hidden);
            for &(i, x) in here {
                let row = i as usize * width;
                undo(x, &w, a.add(row), h.add(row), g.add(row), &mut dw);
            }
            store_row(dw, out.w.0.add(top * hidden), start, hidden);
        }

        let v: [[L; K]; M] = load_rows(params.v.as_ptr(), top, start, hidden);
        let mut dv: [[L; K]; M] = load_rows(out.v.0, top, start, hidden);
        let grad = tile.grad.as_ptr();
        for &i in clean {
            let i = i as usize;
            let mut deltas = [L::splat(L::Elem::default()); M];
            for (j, delta) in deltas.iter_mut().enumerate() {
                *delta = L::splat(*grad.add((top - j) * n + i));
            }
            for k in 0..K {
                let at = i * width + k * L::N;
                let h = L::load(h.add(at));
                let mut sum = deltas[0].mul(v[0][k]);
                dv[0][k] = deltas[0].mul_add(h, dv[0][k]);
                for j in 1..M {
                    sum = deltas[j].mul_add(v[j][k], sum);
                    dv[j][k] = deltas[j].mul_add(h, dv[j][k]);
                }
                // σ' = h − h²
                let slope = h.neg_mul_add(h, h);
                sum.mul_add(slope, L::load(g.add(at))).store(g.add(at));
            }
        }
        if !dirty.is_empty() {
            let w: [[L; K]; M] = load_rows(params.w.as_ptr(), top, start, hidden);
            let mut dw: [[L; K]; M] = load_rows(out.w.0, top, start, hidden);
            for &(i, x) in dirty {
                let i = i as usize;
                let row = i * width;
                for j in 0..M {
                    if j > 0 && !x[j].is_zero() {
                        undo(x[j], &w[j], a.add(row), h.add(row), g.add(row), &mut dw[j]);
                    }
                    let delta = L::splat(*grad.add((top - j) * n + i));
                    for k in 0..K {
                        let at = i * width + k * L::N;
                        let h = L::load(h.add(at));
                        dv[j][k] = delta.mul_add(h, dv[j][k]);
                        let slope = h.neg_mul_add(h, h);
                        delta.mul(v[j][k]).mul_add(slope, L::load(g.add(at))).store(g.add(at));
                    }
                }
            }
            for (j, dw) in dw.into_iter().enumerate().skip(1) {
                store_row(dw, out.w.0.add((top - j) * hidden), start, hidden);
            }
        }
        for (j, dv) in dv.into_iter().enumerate() {
            store_row(dv, out.v.0.add((top - j) * hidden), start, hidden);
        }
    }
}

/// Gradients of one slab of hidden units over one tile of images.
///
/// # Safety
/// The contract of [`Lanes`]; `out` points to the three gradients, and no other thread touches the
/// slab's columns.
#[inline(always)]
unsafe fn backward_slab<L: Lanes>(
    _: PhantomData<L>,
    params: Params<'_, L::Elem>,
    slab: (usize, usize),
    tile: &Tile<L::Elem>,
    out: &Out<L::Elem>,
) {
    let (start, width) = slab;
    // SAFETY: the caller's.
    unsafe {
        // Few registers: a block of positions keeps four times as many.
        match width / L::N {
            1 => backward_tile::<L, 1>(params, start, tile, out),
            2 => backward_tile::<L, 2>(params, start, tile, out),
            4 => backward_tile::<L, 4>(params, start, tile, out),
            registers => unreachable!("a backward slab of {registers} registers"),
        }
    }
}

/// # Safety
/// As for [`backward_slab`].
#[inline(always)]
unsafe fn backward_tile<L: Lanes, const K: usize>(
    params: Params<'_, L::Elem>,
    start: usize,
    tile: &Tile<L::Elem>,
    out: &Out<L::Elem>,
) {
    let (dim, hidden) = params.dims();
    let (width, n) = (K * L::N, tile.n);
    assert_eq!(tile.grad.len(), dim * n);
    let mut a = Aligned::zeros(n * width);
    let mut h = Aligned::zeros(n * width);
    let mut g = Aligned::<L::Elem>::zeros(n * width);
    // SAFETY: row i of a, h and g starts at i * width, i < n; row t of the gradients at t * hidden,
    // and only the slab's columns are touched; the rest is the caller's.
    unsafe {
        // The activations after the last position, by the forward pass's own additions.
        begin::<L, K>(params.c, start, &mut a, &mut h);
        for t in 0..dim {
            let here = tile.nonzero.at(t);
            if here.is_empty() {
                continue;
            }
            let w: [L; K] = load_row(params.w.as_ptr().add(t * hidden), start, hidden);
            for &(i, x) in here {
                let a = a.as_mut_ptr().add(i as usize * width);
                for (k, &w) in w.iter().enumerate() {
                    let a = a.add(k * L::N);
                    L::splat(x).mul_add(w, L::load(a)).store(a);
                }
            }
        }
        for (a, h) in a.chunks_exact(L::N).zip(h.chunks_exact_mut(L::N)) {
            L::load(a.as_ptr()).sigmoid().store(h.as_mut_ptr());
        }

        // Positions in blocks, from the last: whole blocks, then what is left one at a time.
        let mut top = dim;
        for block in &tile.blocks {
            top -= BLOCK;
            let at = Block { params, start, tile, top: top + BLOCK - 1 };
            backward_block::<L, K, BLOCK>(
                &at,
                &block.clean,
                &block.dirty,
                &mut a,
                &mut h,
                &mut g,
                out,
            );
        }
        while top > 0 {
            top -= 1;
            let at = Block { params, start, tile, top };
            backward_block::<L, K, 1>(&at, &tile.everybody, &[], &mut a, &mut h, &mut g, out);
        }

        let mut dc: [L; K] = load_row(out.c.0, start, hidden);
        for g in g.chunks_exact(width) {
            for (k, dc) in dc.iter_mut().enumerate() {
                *dc = dc.add(L::load(g.as_ptr().add(k * L::N)));
            }
        }
        store_row(dc, out.c.0, start, hidden);
    }
}

dispatch! {
    /// [`backward_slab`] for f32.
    fn backward_slab_f32(
        params: Params<'_, f32>, slab: (usize, usize), tile: &Tile<f32>, out: &Out<f32>,
    ) = backward_slab
}

/// Gradients of a loss with respect to the parameters, from its gradient with respect to the
/// logits:
///
/// ```text
/// g = 0;  for t = D..1:  a_t = a_{t+1} − W_t x_t;  ∂W_t = Σ g x_t;  ∂b_t = Σ δ_t;
///                        ∂V_t = Σ δ_t h_t;  g += δ_t V_t ⊙ h_t ⊙ (1 − h_t);    at the end ∂c = Σ g
/// ```
///
/// # Shapes
/// `x` and `grad_logits` are `[batch, dim]`; the result is the one buffer of [`gradient_len`].
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn backward(x: &[f32], params: Params<'_, f32>, grad_logits: &[f32]) -> Vec<f32> {
    backward_on(Isa::detect(), x, params, grad_logits)
}

fn backward_on(isa: Isa, x: &[f32], params: Params<'_, f32>, grad: &[f32]) -> Vec<f32> {
    backward_with(x, params, grad, |params, slab, tile, out| {
        backward_slab_f32(isa, params, slab, tile, out);
    })
}

/// The part of the backward pass that does not depend on the lanes.
fn backward_with<E: Real>(
    x: &[E],
    params: Params<'_, E>,
    grad_logits: &[E],
    slab: impl Fn(Params<'_, E>, (usize, usize), &Tile<E>, &Out<E>) + Sync,
) -> Vec<E> {
    let (dim, hidden) = params.dims();
    assert_eq!(x.len(), grad_logits.len(), "x and grad_logits must both be [batch, dim]");
    let mut gradients = vec![E::default(); gradient_len(dim, hidden)];
    if dim == 0 || x.is_empty() {
        return gradients;
    }
    batch_of(x, dim);
    let (dw, rest) = gradients.split_at_mut(dim * hidden);
    let (dv, rest) = rest.split_at_mut(dim * hidden);
    let (db, dc) = rest.split_at_mut(dim);

    let tiles: Vec<Tile<E>> = x
        .par_chunks(TILE * dim)
        .zip(grad_logits.par_chunks(TILE * dim))
        .map(|(x, grad)| Tile::of(x, grad, dim))
        .collect();
    for tile in &tiles {
        for (db, grad) in db.iter_mut().zip(tile.grad.chunks_exact(tile.n)) {
            for &delta in grad {
                *db += delta;
            }
        }
    }
    let out = Out {
        w: Columns(dw.as_mut_ptr()),
        v: Columns(dv.as_mut_ptr()),
        c: Columns(dc.as_mut_ptr()),
    };
    slabs(hidden, BACKWARD_SLAB).into_par_iter().for_each(|Slab { start, width }| {
        for tile in &tiles {
            slab(params, (start, width), tile, &out);
        }
    });
    gradients
}

/// What the walk is told about the values: for each cell of `[batch, dim]` either the observed value
/// or that it is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// `[batch, dim]`, read where `mask` is true.
    pub x: &'a [f32],
    /// `[batch, dim]`, true where the value is known.
    pub mask: &'a [bool],
}

/// Walks the ordering and draws every value that is not observed:
/// `x_t = 1 if u_t < σ(logit_t) else 0`.
///
/// The logits are those of [`forward`] on the result, to the bit. An observed cell ignores its
/// uniform.
///
/// # Shapes
/// `uniforms` is `[dim, batch]` (position-major, the order in which a plain walk draws them);
/// returns the values, `[batch, dim]` in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn sample(
    uniforms: &[f64],
    observed: Option<Observed<'_>>,
    params: Params<'_, f32>,
) -> Vec<f32> {
    sample_on(Isa::detect(), uniforms, observed, params)
}

fn sample_on(
    isa: Isa,
    uniforms: &[f64],
    observed: Option<Observed<'_>>,
    params: Params<'_, f32>,
) -> Vec<f32> {
    let (dim, _) = params.dims();
    if dim == 0 || uniforms.is_empty() {
        return Vec::new();
    }
    let batch = batch_of(uniforms, dim);
    if let Some(observed) = observed {
        assert_eq!(observed.x.len(), batch * dim, "observed.x must be [batch, dim]");
        assert_eq!(observed.mask.len(), batch * dim, "observed.mask must be [batch, dim]");
    }
    let dice = Dice { uniforms, batch, observed };
    walk_all(isa, batch, params, |t, image, logit| dice.choose(t, image, dim, logit))
}

/// Walks the ordering and draws: x_t is 1 where its logit is above `thresholds[image, t]`, else 0.
///
/// # Shapes
/// `thresholds` and the result are `[batch, dim]`, in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn draw(thresholds: &[f32], params: Params<'_, f32>) -> Vec<f32> {
    let (dim, _) = params.dims();
    if dim == 0 || thresholds.is_empty() {
        return Vec::new();
    }
    let above = |t, image, logit| f32::from(logit > thresholds[image * dim + t]);
    walk_all(Isa::detect(), batch_of(thresholds, dim), params, above)
}

/// The values that `choose` says, of all images, on all threads.
fn walk_all(
    isa: Isa,
    batch: usize,
    params: Params<'_, f32>,
    choose: impl Fn(usize, usize, f32) -> f32 + Sync,
) -> Vec<f32> {
    let (dim, _) = params.dims();
    let mut x = vec![0.0; batch * dim];
    let chunk_len = chunk_len(batch);
    x.par_chunks_mut(chunk_len * dim).enumerate().for_each(|(chunk, x)| {
        let first = chunk * chunk_len;
        let mut own = |t: usize, i: usize, logit: f32| choose(t, first + i, logit);
        walk_chunk_f32(isa, params, &mut own, x);
    });
    x
}

/// Who says what the values of a walk are.
pub trait Choices {
    /// The value of position `t` of an image, whose logit of p(x_t = 1 | x_<t) is given.
    fn choose(&mut self, t: usize, image: usize, logit: f32) -> f32;

    /// Of each image the one whose walk it goes on with after position `t`; `None` where each goes on with its own.
    fn ancestors(&mut self, t: usize) -> Option<&[usize]> {
        let _ = t;
        None
    }
}

impl<F: FnMut(usize, usize, f32) -> f32> Choices for F {
    fn choose(&mut self, t: usize, image: usize, logit: f32) -> f32 {
        self(t, image, logit)
    }
}

/// Most images that are best walked together.
pub const TOGETHER: usize = CHUNK;

/// Walks `images` images together on this thread; their values are what `choices` says, position by
/// position and image by image.
///
/// The logits are those of [`forward`] on the result, to the bit, if that runs on the same instruction
/// set, whatever the number of images; on the walks as they were at that position, where some go on with those of others.
///
/// # Panics
/// When the processor does not have the instruction set, or the slices' lengths do not belong to one
/// shape.
pub fn walk(isa: Isa, images: usize, params: Params<'_, f32>, choices: &mut dyn Choices) {
    assert!(Isa::available().contains(&isa), "{isa:?}: this processor does not have it");
    let (dim, _) = params.dims();
    if images * dim > 0 {
        walk_chunk_f32(isa, params, choices, &mut vec![0.0; images * dim]);
    }
}

/// Positions whose logits a walk computes at a time, supposing that nothing but zeros is chosen in
/// between: mostly true of binary images, and then h is read once for all of them.
const AHEAD: usize = 4;

/// Where values come from.
struct Dice<'a> {
    uniforms: &'a [f64],
    batch: usize,
    observed: Option<Observed<'a>>,
}

impl Dice<'_> {
    /// The value of position t of an image.
    #[inline(always)]
    fn choose(&self, t: usize, image: usize, dim: usize, logit: f32) -> f32 {
        if let Some(observed) = self.observed
            && observed.mask[image * dim + t]
        {
            return observed.x[image * dim + t];
        }
        bernoulli_draw(self.uniforms[t * self.batch + image], logit)
    }
}

/// `1 if u < σ(logit) else 0`, where σ is that of f64.
///
/// The f32 sigmoid decides unless the uniform is too close for it to tell.
#[inline(always)]
pub fn bernoulli_draw(u: f64, logit: f32) -> f32 {
    // The f32 sigmoid is within 2e-7 of the exact one (a test says so).
    const MARGIN: f64 = 1e-6;
    let near = f64::from(sigmoid_f32(logit));
    let one = if (u - near).abs() > MARGIN {
        u < near
    } else {
        u < 1.0 / (1.0 + (-f64::from(logit)).exp())
    };
    f32::from(u8::from(one))
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn walk_chunk<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    params: Params<'_, f32>,
    choices: &mut dyn Choices,
    x: &mut [f32],
) {
    let (dim, hidden) = params.dims();
    let n = x.len() / dim;
    let slabs = slabs(hidden, SLAB);
    let padded = hidden.next_multiple_of(PAD);
    // One block per slab, [n, width] each, so that the inner loops are those of the forward pass.
    let mut a = Aligned::zeros(n * padded);
    let mut h = Aligned::zeros(n * padded);
    let mut logits = vec![0.0_f32; AHEAD * n];
    let mut here: Vec<(u32, f32)> = Vec::with_capacity(n);
    // SAFETY: block `slab` starts at slab.start * n and holds n rows of slab.width; the lane
    // contract is the caller's.
    unsafe {
        for slab in &slabs {
            let block = slab.start * n..(slab.start + slab.width) * n;
            let (a, h) = (&mut a[block.clone()], &mut h[block]);
            with_registers!(slab.width, L, begin(params.c, slab.start, a, h));
        }
        let mut rows = Aligned::zeros(AHEAD * padded);
        for first in (0..dim).step_by(AHEAD) {
            let m = AHEAD.min(dim - first);
            // Rows of V side by side, slab by slab, zero where there is no position.
            for slab in &slabs {
                for j in 0..AHEAD {
                    let to = slab.start * AHEAD + j * slab.width;
                    let to = &mut rows[to..to + slab.width];
                    to.fill(0.0);
                    if j < m {
                        let end = (slab.start + slab.width).min(hidden);
                        let row = &params.v[(first + j) * hidden..(first + j + 1) * hidden];
                        let from = &row[slab.start.min(end)..end];
                        to[..from.len()].copy_from_slice(from);
                    }
                }
            }
            // Logits of all positions of the block as if every value chosen in it were 0 …
            for (j, logits) in logits.chunks_exact_mut(n).enumerate() {
                logits.fill(if j < m { params.b[first + j] } else { 0.0 });
            }
            for slab in &slabs {
                let h = &h[slab.start * n..(slab.start + slab.width) * n];
                let v = &rows[slab.start * AHEAD..(slab.start + slab.width) * AHEAD];
                with_registers!(slab.width, L, dots_ahead(v, h, n, &mut logits));
            }
            for j in 0..m {
                let t = first + j;
                here.clear();
                for i in 0..n {
                    let value = choices.choose(t, i, logits[j * n + i]);
                    x[i * dim + t] = value;
                    if value != 0.0 {
                        here.push((i as u32, value));
                    }
                }
                for slab in &slabs {
                    let block = slab.start * n..(slab.start + slab.width) * n;
                    let (a, h) = (&mut a[block.clone()], &mut h[block]);
                    let row = params.w.as_ptr().add(t * hidden);
                    with_registers!(slab.width, L, advance(row, slab.start, hidden, &here, a, h));
                }
                // … and anew for the images where one was not.
                for later in j + 1..m {
                    let logits = &mut logits[later * n..(later + 1) * n];
                    for &(i, _) in &here {
                        logits[i as usize] = params.b[first + later];
                    }
                    for slab in &slabs {
                        let h = &h[slab.start * n..(slab.start + slab.width) * n];
                        let v = slab.start * AHEAD + later * slab.width;
                        let v = &rows[v..v + slab.width];
                        with_registers!(slab.width, L, dots_of(v, h, &here, logits));
                    }
                }
                if let Some(ancestors) = choices.ancestors(t) {
                    select(ancestors, dim, x);
                    for slab in &slabs {
                        let block = slab.start * n..(slab.start + slab.width) * n;
                        select(ancestors, slab.width, &mut a[block.clone()]);
                        select(ancestors, slab.width, &mut h[block]);
                    }
                    logits.chunks_exact_mut(n).for_each(|logits| select(ancestors, 1, logits));
                }
            }
        }
    }
}

/// Row i becomes row `ancestors[i]`.
fn select(ancestors: &[usize], width: usize, rows: &mut [f32]) {
    let before = rows.to_vec();
    assert_eq!(rows.len(), ancestors.len() * width, "an ancestor for each walk");
    for (row, &ancestor) in rows.chunks_exact_mut(width).zip(ancestors) {
        row.copy_from_slice(&before[ancestor * width..(ancestor + 1) * width]);
    }
}

/// `out[j * n + i] += h[i] · v[j]` over one slab, for [`AHEAD`] rows of V: each h is read once.
///
/// # Safety
/// The contract of [`Lanes`]; `v` holds AHEAD rows and `h` n rows of K * N.
#[inline(always)]
unsafe fn dots_ahead<L: Lanes, const K: usize>(
    v: &[L::Elem],
    h: &[L::Elem],
    n: usize,
    out: &mut [L::Elem],
) {
    let width = K * L::N;
    assert!(v.len() == AHEAD * width && h.len() == n * width && out.len() == AHEAD * n);
    // SAFETY: rows of K * N scalars as asserted; the lane contract is the caller's.
    unsafe {
        let v = v.as_ptr();
        for i in 0..n {
            let h = h.as_ptr().add(i * width);
            // The chains of `dot`, for all rows side by side.
            let mut even = [L::load(h); AHEAD];
            for (j, even) in even.iter_mut().enumerate() {
                *even = even.mul(L::load(v.add(j * width)));
            }
            if K > 1 {
                let mut odd = [L::load(h.add(L::N)); AHEAD];
                for (j, odd) in odd.iter_mut().enumerate() {
                    *odd = odd.mul(L::load(v.add(j * width + L::N)));
                }
                let mut k = 2;
                while k < K {
                    let (at, next) = (k * L::N, (k + 1) * L::N);
                    let (h_even, h_odd) = (L::load(h.add(at)), L::load(h.add(next)));
                    for j in 0..AHEAD {
                        even[j] = h_even.mul_add(L::load(v.add(j * width + at)), even[j]);
                        odd[j] = h_odd.mul_add(L::load(v.add(j * width + next)), odd[j]);
                    }
                    k += 2;
                }
                for j in 0..AHEAD {
                    even[j] = even[j].add(odd[j]);
                }
            }
            for (j, sum) in even.into_iter().enumerate() {
                out[j * n + i] += sum.sum();
            }
        }
    }
}

/// `out[i] += h[i] · v` over one slab, for the images `here` alone.
///
/// # Safety
/// The contract of [`Lanes`]; `v` holds K * N scalars, and every image of `here` has its row in `h`.
#[inline(always)]
unsafe fn dots_of<L: Lanes, const K: usize>(
    v: &[L::Elem],
    h: &[L::Elem],
    here: &[(u32, L::Elem)],
    out: &mut [L::Elem],
) {
    assert_eq!(v.len(), K * L::N);
    // SAFETY: the caller's.
    unsafe {
        let v: [L; K] = load_all(v.as_ptr());
        for &(i, _) in here {
            let row = i as usize * K * L::N;
            debug_assert!(row < h.len());
            out[i as usize] += dot::<L, K>(h.as_ptr().add(row), &v).sum();
        }
    }
}

/// `out[i] += h[i] · v` over one slab.
///
/// # Safety
/// The contract of [`Lanes`]; `v` is a row of `hidden`, `h` holds one row of K * N per output.
#[inline(always)]
unsafe fn add_dots<L: Lanes, const K: usize>(
    v: *const L::Elem,
    start: usize,
    hidden: usize,
    h: &[L::Elem],
    out: &mut [L::Elem],
) {
    assert_eq!(h.len(), out.len() * K * L::N);
    // SAFETY: row i of h starts at i * K * N; the rest is the caller's.
    unsafe {
        let v: [L; K] = load_row(v, start, hidden);
        for (i, out) in out.iter_mut().enumerate() {
            *out += dot::<L, K>(h.as_ptr().add(i * K * L::N), &v).sum();
        }
    }
}

/// a += x·w and h = σ(a) for the images `here`, over one slab.
///
/// # Safety
/// The contract of [`Lanes`]; `w` is a row of `hidden`, and every image of `here` has its row of
/// K * N in `a` and `h`.
#[inline(always)]
unsafe fn advance<L: Lanes, const K: usize>(
    w: *const L::Elem,
    start: usize,
    hidden: usize,
    here: &[(u32, L::Elem)],
    a: &mut [L::Elem],
    h: &mut [L::Elem],
) {
    if here.is_empty() {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        let w: [L; K] = load_row(w, start, hidden);
        for &(i, x) in here {
            let row = i as usize * K * L::N;
            debug_assert!(row < a.len());
            step(a.as_mut_ptr().add(row), h.as_mut_ptr().add(row), x, &w);
        }
    }
}

dispatch! {
    /// [`walk_chunk`].
    fn walk_chunk_f32(params: Params<'_, f32>, choices: &mut dyn Choices, x: &mut [f32]) = walk_chunk
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;
    use crate::simd::Double;

    struct Net<E> {
        w: Vec<E>,
        v: Vec<E>,
        b: Vec<E>,
        c: Vec<E>,
    }

    impl<E> Net<E> {
        fn params(&self) -> Params<'_, E> {
            Params { w: &self.w, v: &self.v, b: &self.b, c: &self.c }
        }
    }

    /// Random parameters in both precisions, and random bits.
    fn net(seed: u64, batch: usize, dim: usize, hidden: usize) -> (Net<f64>, Net<f32>, Vec<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |n: usize, scale: f64| -> Vec<f64> {
            let value =
                |rng: &mut ChaCha8Rng| f64::from((rng.random::<f64>() - 0.5) as f32) * scale;
            (0..n).map(|_| value(&mut rng)).collect()
        };
        let wide = Net {
            w: normal(dim * hidden, 2.0),
            v: normal(dim * hidden, 2.0),
            b: normal(dim, 2.0),
            c: normal(hidden, 2.0),
        };
        let f32s = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let narrow = Net { w: f32s(&wide.w), v: f32s(&wide.v), b: f32s(&wide.b), c: f32s(&wide.c) };
        let x = (0..batch * dim).map(|_| f32::from(u8::from(rng.random::<f64>() < 0.3))).collect();
        (wide, narrow, x)
    }

    fn forward_f64(x: &[f64], params: Params<'_, f64>) -> Vec<f64> {
        forward_with(x, params, |params, nonzero, n, out| {
            // SAFETY: plain Rust, any processor.
            unsafe { forward_chunk(PhantomData::<Double>, params, nonzero, n, out) }
        })
    }

    fn backward_f64(x: &[f64], params: Params<'_, f64>, grad: &[f64]) -> Vec<f64> {
        backward_with(x, params, grad, |params, slab, tile, out| {
            // SAFETY: plain Rust, any processor; slabs are disjoint.
            unsafe { backward_slab(PhantomData::<Double>, params, slab, tile, out) }
        })
    }

    /// The equations, one scalar at a time.
    fn naive_logits(x: &[f64], params: Params<'_, f64>) -> Vec<f64> {
        let (dim, hidden) = params.dims();
        let mut out = Vec::new();
        for x in x.chunks_exact(dim) {
            let mut a = params.c.to_vec();
            for (t, &x_t) in x.iter().enumerate() {
                let (w_t, v_t) = (&params.w[t * hidden..], &params.v[t * hidden..]);
                let dot: f64 = a.iter().zip(v_t).map(|(a, v)| v / (1.0 + (-a).exp())).sum();
                out.push(params.b[t] + dot);
                for (a, w) in a.iter_mut().zip(w_t) {
                    *a += x_t * w;
                }
            }
        }
        out
    }

    fn f64s(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    fn largest_gap(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> f64 {
        a.into_iter().zip(b).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
    }

    #[test]
    fn the_f64_instance_follows_the_equations() {
        for (batch, dim, hidden) in [(3, 7, 5), (1, 1, 1), (5, 9, 16), (130, 4, 150), (2, 30, 300)]
        {
            let (net, _, x) = net(1, batch, dim, hidden);
            let x = f64s(&x);
            let gap = largest_gap(forward_f64(&x, net.params()), naive_logits(&x, net.params()));
            assert!(gap < 1e-12, "batch {batch}, dim {dim}, hidden {hidden}: {gap}");
        }
    }

    #[test]
    fn the_f64_backward_pass_matches_central_differences() {
        let (batch, dim, hidden) = (3, 6, 21);
        let (net, _, x) = net(2, batch, dim, hidden);
        let x = f64s(&x);
        // Loss: a fixed random linear function of the logits.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let weights: Vec<f64> = (0..batch * dim).map(|_| rng.random::<f64>() - 0.5).collect();
        let gradient = backward_f64(&x, net.params(), &weights);
        let mut flat = [&net.w[..], &net.v[..], &net.b[..], &net.c[..]].concat();
        let loss = |flat: &[f64]| -> f64 {
            let (w, rest) = flat.split_at(dim * hidden);
            let (v, rest) = rest.split_at(dim * hidden);
            let (b, c) = rest.split_at(dim);
            let logits = forward_f64(&x, Params { w, v, b, c });
            logits.iter().zip(&weights).map(|(l, w)| l * w).sum()
        };
        let epsilon = 1e-5;
        let mut largest: f64 = 0.0;
        for k in 0..flat.len() {
            let before = flat[k];
            flat[k] = before + epsilon;
            let above = loss(&flat);
            flat[k] = before - epsilon;
            let below = loss(&flat);
            flat[k] = before;
            largest = largest.max(((above - below) / (2.0 * epsilon) - gradient[k]).abs());
        }
        assert!(largest < 1e-8, "largest gap {largest}");
        // Negative control: the same check notices a gradient that forgot the factor (1 − h).
        let wrong =
            backward_f64(&x, net.params(), &weights.iter().map(|w| w * 1.001).collect::<Vec<_>>());
        assert!(largest_gap(wrong, gradient) > 1e-5);
    }

    #[test]
    fn every_instruction_set_agrees_with_f64() {
        for (batch, dim, hidden) in
            [(3, 7, 5), (1, 1, 1), (33, 40, 64), (130, 12, 150), (9, 60, 500)]
        {
            let (wide, narrow, x) = net(4, batch, dim, hidden);
            let grad: Vec<f32> =
                x.iter().enumerate().map(|(i, &x)| x - (i % 7) as f32 / 9.0).collect();
            let logits = forward_f64(&f64s(&x), wide.params());
            let gradient = backward_f64(&f64s(&x), wide.params(), &f64s(&grad));
            for isa in Isa::available() {
                let here = forward_on(isa, &x, narrow.params());
                let gap = largest_gap(f64s(&here), logits.iter().copied());
                assert!(gap < 2e-5, "{isa:?} forward, hidden {hidden}: {gap}");
                let here = backward_on(isa, &x, narrow.params(), &grad);
                let gap = largest_gap(f64s(&here), gradient.iter().copied());
                assert!(gap < 1e-4, "{isa:?} backward, hidden {hidden}: {gap}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let (_, net, x) = net(5, 150, 30, 200);
        let grad: Vec<f32> = x.iter().map(|&x| x - 0.3).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let uniforms: Vec<f64> = (0..x.len()).map(|_| rng.random()).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let logits = forward(&x, net.params());
                let gradient = backward(&x, net.params(), &grad);
                (logits, gradient, sample(&uniforms, None, net.params()))
            })
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn a_draw_is_one_where_its_uniform_is_below_its_probability() {
        let (batch, dim, hidden) = (37, 25, 70);
        let (_, net, _) = net(7, batch, dim, hidden);
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let uniforms: Vec<f64> = (0..batch * dim).map(|_| rng.random()).collect();
        for isa in Isa::available() {
            let x = sample_on(isa, &uniforms, None, net.params());
            let logits = forward_on(isa, &x, net.params());
            for i in 0..batch {
                for t in 0..dim {
                    let p = 1.0 / (1.0 + (-f64::from(logits[i * dim + t])).exp());
                    let expected = f32::from(u8::from(uniforms[t * batch + i] < p));
                    assert_eq!(x[i * dim + t], expected, "{isa:?}, image {i}, position {t}");
                }
            }
        }
    }

    #[test]
    fn observed_values_are_kept_and_condition_what_follows() {
        let (batch, dim, hidden) = (4, 12, 33);
        let (_, net, observed) = net(9, batch, dim, hidden);
        let mask: Vec<bool> = (0..batch * dim).map(|k| k % 3 != 1).collect();
        let uniforms: Vec<f64> = (0..batch * dim).map(|k| (k as f64 * 0.37).fract()).collect();
        let x = sample(&uniforms, Some(Observed { x: &observed, mask: &mask }), net.params());
        let logits = forward(&x, net.params());
        for i in 0..batch {
            for t in 0..dim {
                let k = i * dim + t;
                if mask[k] {
                    assert_eq!(x[k], observed[k]);
                } else {
                    let p = 1.0 / (1.0 + (-f64::from(logits[k])).exp());
                    assert_eq!(x[k], f32::from(u8::from(uniforms[t * batch + i] < p)));
                }
            }
        }
    }

    #[test]
    fn a_walk_is_told_the_logits_of_the_forward_pass_whatever_walks_beside_it() {
        let (batch, dim, hidden) = (37, 25, 70);
        let (_, net, x) = net(12, batch, dim, hidden);
        for isa in Isa::available() {
            let logits = forward_on(isa, &x, net.params());
            for together in [1, 5, batch] {
                for (first, images) in x.chunks(together * dim).enumerate() {
                    let (mut n, first) = (0, first * together);
                    walk(
                        isa,
                        images.len() / dim,
                        net.params(),
                        &mut |t: usize, i: usize, logit: f32| {
                            assert_eq!(logit.to_bits(), logits[(first + i) * dim + t].to_bits());
                            assert_eq!(n, t * (images.len() / dim) + i, "in the order of the walk");
                            n += 1;
                            images[i * dim + t]
                        },
                    );
                    assert_eq!(n, images.len());
                }
            }
        }
        walk(Isa::Portable, 0, net.params(), &mut |_, _, _| unreachable!("nobody walks"));
    }

    #[test]
    fn walks_that_go_on_with_others_are_told_the_logits_of_these() {
        /// Chooses by a rule, and after some positions lets walks go on with others.
        struct Selecting<'a> {
            x: Vec<f32>,
            dim: usize,
            heard: Vec<(usize, Vec<f32>, f32)>,
            plan: &'a [Option<Vec<usize>>],
        }
        impl Choices for Selecting<'_> {
            fn choose(&mut self, t: usize, image: usize, logit: f32) -> f32 {
                let value = f32::from(u8::from((t * 7 + image * 5).is_multiple_of(3)));
                self.heard.push((
                    t,
                    self.x[image * self.dim..(image + 1) * self.dim].to_vec(),
                    logit,
                ));
                self.x[image * self.dim + t] = value;
                value
            }

            fn ancestors(&mut self, t: usize) -> Option<&[usize]> {
                let ancestors = self.plan[t].as_deref()?;
                select(ancestors, self.dim, &mut self.x);
                Some(ancestors)
            }
        }
        let (batch, dim) = (5, 11);
        for hidden in [3, 150] {
            let (_, net, _) = net(3, batch, dim, hidden);
            let mut plan = vec![None; dim];
            plan[2] = Some(vec![4, 4, 0, 3, 3]);
            plan[5] = Some(vec![1, 0, 1, 0, 2]);
            plan[10] = Some(vec![0; 5]);
            for isa in Isa::available() {
                let x = vec![0.0; batch * dim];
                let mut choices = Selecting { x, dim, heard: Vec::new(), plan: &plan };
                walk(isa, batch, net.params(), &mut choices);
                for (t, prefix, logit) in choices.heard {
                    let expected = forward_on(isa, &prefix, net.params())[t];
                    assert_eq!(logit.to_bits(), expected.to_bits(), "{isa:?}, {hidden}, {t}");
                }
            }
        }
    }

    #[test]
    fn an_empty_batch_has_no_logits_and_zero_gradients() {
        let (_, net, _) = net(10, 0, 4, 3);
        assert!(forward(&[], net.params()).is_empty());
        assert!(sample(&[], None, net.params()).is_empty());
        assert_eq!(backward(&[], net.params(), &[]), vec![0.0; gradient_len(4, 3)]);
    }

    #[test]
    fn a_nan_parameter_reaches_the_logits() {
        let (_, mut net, x) = net(11, 2, 5, 20);
        net.c[3] = f32::NAN;
        for isa in Isa::available() {
            assert!(
                forward_on(isa, &x, net.params()).iter().all(|logit| logit.is_nan()),
                "{isa:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_sigmoid_is_within_its_margin(x in -120.0_f32..120.0) {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            prop_assert!((f64::from(sigmoid_f32(x)) - exact).abs() < 2e-7);
        }
    }
}
