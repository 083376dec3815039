//! The walk, position by position: values that are drawn, kept or chosen.

use core::marker::PhantomData;

use rayon::prelude::*;

use super::{CHUNK, Params, SLAB, advance, batch_of, begin, chunk_len, dot, load_all, slabs};
use crate::simd::{Aligned, Isa, Lanes, PAD, dispatch, sigmoid_f32};

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
/// The logits are those of [`forward`](super::forward()) on the result, to the bit. An observed cell ignores its
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

pub(super) fn sample_on(
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
/// The logits are those of [`forward`](super::forward()) on the result, to the bit, if that runs on the same instruction
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
pub(super) fn select(ancestors: &[usize], width: usize, rows: &mut [f32]) {
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

dispatch! {
    /// [`walk_chunk`].
    fn walk_chunk_f32(params: Params<'_, f32>, choices: &mut dyn Choices, x: &mut [f32]) = walk_chunk
}
