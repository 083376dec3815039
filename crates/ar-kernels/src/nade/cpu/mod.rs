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
//!
//! | module | what it holds |
//! |---|---|
//! | this one | parameters, slabs, and the steps in registers that the passes share |
//! | `forward`, `backward` | the two passes |
//! | `walk` | position by position: values that are drawn, kept or chosen |

use crate::simd::{Lanes, PAD, Real};

/// Hidden units per slab of the forward pass. Fixed: it decides the order of summation.
const SLAB: usize = 128;
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

// Behind the macro, which they use.
mod backward;
mod forward;
mod walk;

pub use backward::backward;
pub use forward::forward;
pub use walk::{Choices, Observed, TOGETHER, bernoulli_draw, draw, sample, walk};

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

#[cfg(test)]
mod tests {
    use core::marker::PhantomData;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::backward::{backward_on, backward_slab, backward_with};
    use super::forward::{forward_chunk, forward_on, forward_with};
    use super::walk::{sample_on, select};
    use super::*;
    use crate::simd::{Double, Isa, sigmoid_f32};

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
