//! The backward pass: gradients of the parameters.

use core::marker::PhantomData;

use rayon::prelude::*;

use super::{
    NonZero, Params, Slab, batch_of, begin, gradient_len, load_row, slabs, store_row, transpose,
};
use crate::simd::{Aligned, Isa, Lanes, Real, dispatch};

/// Hidden units per slab of the backward pass (activations, their sigmoids and their gradients of
/// [`TILE`] images fit the first-level cache together).
const BACKWARD_SLAB: usize = 32;
/// Images that a backward slab walks at a time.
const TILE: usize = 128;

/// A pointer that several threads write through, each to its own columns.
#[derive(Clone, Copy)]
struct Columns<E>(*mut E);

// SAFETY: the slabs of hidden units that threads write are disjoint.
unsafe impl<E: Send> Send for Columns<E> {}
// SAFETY: likewise.
unsafe impl<E: Send> Sync for Columns<E> {}

/// Where one slab's gradients go.
pub(super) struct Out<E> {
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
pub(super) struct Tile<E> {
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
pub(super) unsafe fn backward_slab<L: Lanes>(
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

pub(super) fn backward_on(isa: Isa, x: &[f32], params: Params<'_, f32>, grad: &[f32]) -> Vec<f32> {
    backward_with(x, params, grad, |params, slab, tile, out| {
        backward_slab_f32(isa, params, slab, tile, out);
    })
}

/// The part of the backward pass that does not depend on the lanes.
pub(super) fn backward_with<E: Real>(
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
