//! Gradients of the parameters, slab by slab of hidden units.

use core::marker::PhantomData;
use core::ops::Range;

use rayon::prelude::*;

use super::{Params, rows};
use crate::blocks::layout::label;
use crate::blocks::{Blocks, Input};
use crate::memory::zeros;
use crate::simd::{Aligned, Isa, LANES, Lanes, dispatch};

/// The most registers of hidden units of a slab, where there are 32 registers and where there are 16.
const WIDE: usize = 4;
const NARROW: usize = 2;
/// Rows, and outputs, whose sums are in registers at a time.
const ROWS: usize = 4;
const OUTPUTS: usize = 6;
/// Rows that a slab takes through all positions at a time, so that what is kept of them stays in the cache.
const CHUNK: usize = 64;
/// Outputs whose rows of V stay in the first-level cache for all rows of a chunk.
const PANEL: usize = 64;
/// Rows from which on a batch is cut into groups, whose gradients are added up: enough that their sum costs little.
const GROUP: usize = 256;
/// The most groups, each of which has gradients of its own.
const MOST_GROUPS: usize = 8;

/// ∂L/∂o.
#[derive(Clone, Copy)]
pub(crate) enum Slopes<'a> {
    /// `[batch, outputs]`.
    Matrix(&'a [f32]),
    /// A row in each lane: `slopes` is `[groups of rows, outputs, LANES]`, zeros beyond the last row. What they are
    /// multiplied by, for each row and position, is `factors`, `[batch, dim]`.
    Rows { slopes: &'a [f32], factors: &'a [f32] },
}

impl<'a> Slopes<'a> {
    #[inline(always)]
    fn values(self) -> &'a [f32] {
        match self {
            Self::Matrix(values) | Self::Rows { slopes: values, .. } => values,
        }
    }

    /// Where the first output of a row is.
    #[inline(always)]
    fn row(self, row: usize, outputs: usize) -> usize {
        match self {
            Self::Matrix(_) => row * outputs,
            Self::Rows { .. } => row / LANES * outputs * LANES + row % LANES,
        }
    }

    /// From an output to the next.
    #[inline(always)]
    fn step(self) -> usize {
        match self {
            Self::Matrix(_) => 1,
            Self::Rows { .. } => LANES,
        }
    }

    /// What those of a row and position are multiplied by.
    #[inline(always)]
    fn factor(self, row: usize, t: usize, dim: usize) -> f32 {
        match self {
            Self::Matrix(_) => 1.0,
            Self::Rows { factors, .. } => factors[row * dim + t],
        }
    }

    /// Whether there are as many as that.
    fn fits(self, batch: usize, outputs: usize, dim: usize) -> bool {
        match self {
            Self::Matrix(values) => values.len() == batch * outputs,
            Self::Rows { slopes, factors } => {
                slopes.len() == batch.next_multiple_of(LANES) * outputs
                    && factors.len() == batch * dim
            }
        }
    }
}

/// Gradients of the parameters, one buffer: W, c, ρ, V, b, one after the other.
pub fn gradient_len(blocks: &Blocks, hidden: usize) -> usize {
    (blocks.features() + 1 + blocks.outputs()) * hidden + blocks.dim() + blocks.outputs()
}

/// The weights of the hidden units from `start` on, zeros beyond the last one.
struct Slab {
    start: usize,
    /// As many units, and registers.
    width: usize,
    registers: usize,
    /// `[features, width]`
    w: Aligned<f32>,
    /// `[width]`
    c: Aligned<f32>,
    /// `[outputs, width]`
    v: Aligned<f32>,
}

impl Slab {
    fn new(isa: Isa, params: Params<'_>, start: usize, registers: usize) -> Self {
        let (width, hidden) = (registers * isa.lanes(), params.c.len());
        let [w, c, v] =
            [params.w, params.c, params.v].map(|from| slab_of(from, hidden, start, width));
        Self { start, width, registers, w, c, v }
    }
}

/// A slab and a group of rows.
struct Task<'a> {
    slab: &'a Slab,
    rows: Range<usize>,
    /// Whether it sums up ∂b too, which one slab does for all.
    biases: bool,
}

/// The gradients of a slab over a group of rows, the units beyond the last padded.
struct Part {
    /// `[features, width]`
    w: Aligned<f32>,
    /// `[width]`
    c: Vec<f32>,
    /// `[dim, width]`: each unit's share.
    rho: Vec<f32>,
    /// `[outputs, width]`
    v: Aligned<f32>,
    /// `[outputs]`, or nothing.
    b: Vec<f32>,
}

/// The slab of each row of a matrix, zero beyond the last unit.
fn slab_of(from: &[f32], hidden: usize, start: usize, width: usize) -> Aligned<f32> {
    let there = width.min(hidden - start);
    let mut to = Aligned::zeros(from.len() / hidden * width);
    for (to, row) in to.chunks_exact_mut(width).zip(from.chunks_exact(hidden)) {
        to[..there].copy_from_slice(&row[start..start + there]);
    }
    to
}

/// `to += x · from`.
///
/// # Safety
/// The contract of [`Lanes`]; both are valid for `R` registers.
#[inline(always)]
unsafe fn add_scaled<L: Lanes<Elem = f32>, const R: usize>(x: f32, from: *const f32, to: *mut f32) {
    // SAFETY: the caller's.
    unsafe {
        let x = L::splat(x);
        for i in 0..R {
            let to = to.add(i * L::N);
            x.mul_add(L::load(from.add(i * L::N)), L::load(to)).store(to);
        }
    }
}

/// `∂h[r] (+)= Σ_m ∂o_r[m] V[m]` for `N` rows over `len` outputs; `begun` says that there is a sum already.
///
/// # Safety
/// The contract of [`Lanes`]; slopes are valid at `rows` and `len - 1` steps beyond, `v` for `len` and `grad_h` for `N`
/// rows of `R` registers.
#[inline(always)]
unsafe fn pull<L: Lanes<Elem = f32>, const R: usize, const N: usize>(
    slopes: *const f32,
    rows: &[usize],
    step: usize,
    v: *const f32,
    len: usize,
    begun: bool,
    grad_h: *mut f32,
) {
    let width = R * L::N;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::splat(0.0); R]; N];
        let mut from = [slopes; N];
        for (r, from) in from.iter_mut().enumerate() {
            *from = slopes.add(*rows.get_unchecked(r));
        }
        if begun {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(grad_h.add(r * width + i * L::N));
                }
            }
        }
        for m in 0..len {
            let mut units = [L::splat(0.0); R];
            for (i, unit) in units.iter_mut().enumerate() {
                *unit = L::load(v.add(m * width + i * L::N));
            }
            for (from, sums) in from.iter().zip(&mut sums) {
                let slope = L::splat(*from.add(m * step));
                for (sum, &unit) in sums.iter_mut().zip(&units) {
                    *sum = slope.mul_add(unit, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (i, sum) in sums.iter().enumerate() {
                sum.store(grad_h.add(r * width + i * L::N));
            }
        }
    }
}

/// `∂V[m] += Σ_r ∂o_r[m] h_r` for `M` outputs over the rows.
///
/// # Safety
/// The contract of [`Lanes`]; slopes are valid at `rows` and `M - 1` steps beyond, `h` for as many and `grad_v` for
/// `M` rows of `R` registers.
#[inline(always)]
unsafe fn push<L: Lanes<Elem = f32>, const R: usize, const M: usize>(
    slopes: *const f32,
    rows: &[usize],
    step: usize,
    h: *const f32,
    grad_v: *mut f32,
) {
    let width = R * L::N;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::splat(0.0); R]; M];
        let mut h = h;
        for &row in rows {
            let mut units = [L::splat(0.0); R];
            for (i, unit) in units.iter_mut().enumerate() {
                *unit = L::load(h.add(i * L::N));
            }
            let slopes = slopes.add(row);
            for (m, sums) in sums.iter_mut().enumerate() {
                let slope = L::splat(*slopes.add(m * step));
                for (sum, &unit) in sums.iter_mut().zip(&units) {
                    *sum = slope.mul_add(unit, *sum);
                }
            }
            h = h.add(width);
        }
        for (m, sums) in sums.iter().enumerate() {
            for (i, &sum) in sums.iter().enumerate() {
                let to = grad_v.add(m * width + i * L::N);
                L::load(to).add(sum).store(to);
            }
        }
    }
}

/// [`pull`] and [`push`] of one position: slopes are those of its first output, `rows` where each row has them.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn products<L: Lanes<Elem = f32>, const R: usize>(
    slopes: &[f32],
    rows: &[usize],
    step: usize,
    v: &[f32],
    h: &[f32],
    grad_v: &mut [f32],
    grad_h: &mut [f32],
) {
    let width = R * L::N;
    let (n, len) = (rows.len(), v.len() / width);
    if len == 0 {
        grad_h.fill(0.0);
        return;
    }
    assert!(h.len() >= n * width && grad_h.len() >= n * width && grad_v.len() == len * width);
    assert!(rows.iter().all(|row| row + (len - 1) * step < slopes.len()), "slopes of every row");
    // SAFETY: the caller's; the lengths were checked.
    unsafe {
        let slopes = slopes.as_ptr();
        let mut m = 0;
        while m < len {
            let (panel, own) = (PANEL.min(len - m), slopes.add(m * step));
            let (v, begun) = (v.as_ptr().add(m * width), m > 0);
            let mut r = 0;
            while r + ROWS <= n {
                let to = grad_h.as_mut_ptr().add(r * width);
                pull::<L, R, ROWS>(own, &rows[r..r + ROWS], step, v, panel, begun, to);
                r += ROWS;
            }
            while r < n {
                let to = grad_h.as_mut_ptr().add(r * width);
                pull::<L, R, 1>(own, &rows[r..=r], step, v, panel, begun, to);
                r += 1;
            }
            m += panel;
        }
        let mut m = 0;
        while m < len {
            let (own, to) = (slopes.add(m * step), grad_v.as_mut_ptr().add(m * width));
            m += match len - m {
                1 => {
                    push::<L, R, 1>(own, rows, step, h.as_ptr(), to);
                    1
                }
                2..OUTPUTS => {
                    push::<L, R, 2>(own, rows, step, h.as_ptr(), to);
                    2
                }
                _ => {
                    push::<L, R, OUTPUTS>(own, rows, step, h.as_ptr(), to);
                    OUTPUTS
                }
            };
        }
    }
}

/// `a -= Σ_f x_f W_f` and `∂W_f += x_f g` over the features f of a position.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn retreat<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    blocks: &Blocks,
    t: usize,
    w: &[f32],
    a: &mut [f32],
    g: &[f32],
    grad_w: &mut [f32],
) {
    let (width, inputs) = (R * L::N, blocks.inputs());
    let (at, features) = (blocks.inputs_of(t).start, blocks.features_of(t));
    let n = x.len() / inputs;
    assert!(a.len() >= n * width && g.len() >= n * width);
    assert!(w.len() >= features.end * width && grad_w.len() == w.len());
    // SAFETY: the caller's; the lengths were checked.
    unsafe {
        match blocks.input(t) {
            Input::Numbers(_) => {
                for (k, f) in features.enumerate() {
                    let grad_w = grad_w.as_mut_ptr().add(f * width);
                    let (mut own, mut sums) = ([L::splat(0.0); R], [L::splat(0.0); R]);
                    for i in 0..R {
                        own[i] = L::load(w.as_ptr().add(f * width + i * L::N));
                        sums[i] = L::load(grad_w.add(i * L::N));
                    }
                    for (r, row) in x.chunks_exact(inputs).enumerate() {
                        let x = L::splat(row[at + k]);
                        for i in 0..R {
                            let here = r * width + i * L::N;
                            let a = a.as_mut_ptr().add(here);
                            x.neg_mul_add(own[i], L::load(a)).store(a);
                            sums[i] = x.mul_add(L::load(g.as_ptr().add(here)), sums[i]);
                        }
                    }
                    for (i, sum) in sums.into_iter().enumerate() {
                        sum.store(grad_w.add(i * L::N));
                    }
                }
            }
            Input::Label(labels) => {
                for (r, row) in x.chunks_exact(inputs).enumerate() {
                    let Some(index) = label(row[at], labels) else { continue };
                    let from = (features.start + index) * width;
                    let a = a.as_mut_ptr().add(r * width);
                    let g = g.as_ptr().add(r * width);
                    add_scaled::<L, R>(-1.0, w.as_ptr().add(from), a);
                    add_scaled::<L, R>(1.0, g, grad_w.as_mut_ptr().add(from));
                }
            }
        }
    }
}

/// a after the last position, of each row.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn last_activations<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    blocks: &Blocks,
    slab: &Slab,
    a: &mut [f32],
) {
    let width = R * L::N;
    assert!(slab.w.len() == blocks.features() * width && slab.c.len() == width);
    for (row, a) in x.chunks_exact(blocks.inputs()).zip(a.chunks_exact_mut(width)) {
        // SAFETY: the caller's; features are those of W, and `a` is of `R` registers.
        unsafe {
            let mut sums = [L::splat(0.0); R];
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(slab.c.as_ptr().add(i * L::N));
            }
            for t in 0..blocks.dim() {
                let (at, features) = (blocks.inputs_of(t), blocks.features_of(t));
                match blocks.input(t) {
                    Input::Numbers(_) => {
                        for (&x, f) in row[at].iter().zip(features) {
                            let (x, w) = (L::splat(x), slab.w.as_ptr().add(f * width));
                            for (i, sum) in sums.iter_mut().enumerate() {
                                *sum = x.mul_add(L::load(w.add(i * L::N)), *sum);
                            }
                        }
                    }
                    Input::Label(labels) => {
                        let Some(index) = label(row[at.start], labels) else { continue };
                        let w = slab.w.as_ptr().add((features.start + index) * width);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum = sum.add(L::load(w.add(i * L::N)));
                        }
                    }
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                sum.store(a.as_mut_ptr().add(i * L::N));
            }
        }
    }
}

/// ∂b over a chunk of rows, of which the first is the first of its group of lanes.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn add_biases<L: Lanes<Elem = f32>>(
    slopes: Slopes<'_>,
    rows: Range<usize>,
    blocks: &Blocks,
    b: &mut [f32],
) {
    let (outputs, dim) = (blocks.outputs(), blocks.dim());
    match slopes {
        Slopes::Matrix(values) => {
            for row in values[rows.start * outputs..rows.end * outputs].chunks_exact(outputs) {
                b.iter_mut().zip(row).for_each(|(b, slope)| *b += slope);
            }
        }
        Slopes::Rows { slopes, factors } => {
            let groups = rows.len().div_ceil(LANES);
            let own = &slopes[rows.start * outputs..][..groups * outputs * LANES];
            assert!(groups * LANES <= CHUNK && b.len() == outputs);
            for t in 0..dim {
                let mut by = [0.0; CHUNK];
                for (r, by) in rows.clone().zip(&mut by) {
                    *by = factors[r * dim + t];
                }
                for m in blocks.outputs_of(t) {
                    // SAFETY: the caller's; every group has so many lanes of every output.
                    unsafe {
                        let mut sum = L::splat(0.0);
                        for group in 0..groups {
                            let own = own.as_ptr().add((group * outputs + m) * LANES);
                            for lane in (0..LANES).step_by(L::N) {
                                let by = L::load(by.as_ptr().add(group * LANES + lane));
                                sum = by.mul_add(L::load(own.add(lane)), sum);
                            }
                        }
                        b[m] += sum.sum();
                    }
                }
            }
        }
    }
}

/// The gradients of `R` registers of hidden units over a group of rows.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn units<L: Lanes<Elem = f32>, const R: usize>(
    x: &[f32],
    params: Params<'_>,
    slopes: Slopes<'_>,
    task: &Task<'_>,
) -> Part {
    let (blocks, slab) = (params.blocks, task.slab);
    let (inputs, outputs, dim) = (blocks.inputs(), blocks.outputs(), blocks.dim());
    let width = R * L::N;
    let mut part = Part {
        w: Aligned::zeros(slab.w.len()),
        c: vec![0.0; width],
        rho: vec![0.0; dim * width],
        v: Aligned::zeros(slab.v.len()),
        b: vec![0.0; if task.biases { outputs } else { 0 }],
    };
    let [mut a, mut g, mut h, mut grad_h] = [(); 4].map(|()| Aligned::zeros(CHUNK * width));
    let (mut at, mut by) = ([0; CHUNK], [1.0; CHUNK]);
    for start in task.rows.clone().step_by(CHUNK) {
        let range = start..(start + CHUNK).min(task.rows.end);
        let n = range.len();
        let x = &x[range.start * inputs..range.end * inputs];
        // SAFETY: the caller's.
        unsafe { last_activations::<L, R>(x, blocks, slab, &mut a) };
        g.fill(0.0);
        for (at, row) in at.iter_mut().zip(range.clone()) {
            *at = slopes.row(row, outputs);
        }
        for t in (0..dim).rev() {
            let (rho, outputs) = (params.rho[t], blocks.outputs_of(t));
            // SAFETY: the caller's.
            unsafe { retreat::<L, R>(x, blocks, t, &slab.w, &mut a, &g, &mut part.w) };
            for (by, row) in by.iter_mut().zip(range.clone()) {
                *by = slopes.factor(row, t, dim);
            }
            for (r, &by) in by[..n].iter().enumerate() {
                // SAFETY: the caller's; every row of the chunk has `R` registers.
                unsafe {
                    let (by, rho) = (L::splat(by), L::splat(rho));
                    for i in 0..R {
                        let at = r * width + i * L::N;
                        let a = L::load(a.as_ptr().add(at));
                        rho.mul(a).relu().mul(by).store(h.as_mut_ptr().add(at));
                    }
                }
            }
            let weights = outputs.start * width..outputs.end * width;
            let (v, grad_v) = (&slab.v[weights.clone()], &mut part.v[weights]);
            let own = &slopes.values()[outputs.start * slopes.step()..];
            // SAFETY: the caller's.
            unsafe {
                products::<L, R>(own, &at[..n], slopes.step(), v, &h, grad_v, &mut grad_h);
            }
            let grad_rho = part.rho[t * width..][..width].as_mut_ptr();
            // SAFETY: the caller's; every row of the chunk has `R` registers, as ∂ρ has.
            unsafe {
                let rho = L::splat(rho);
                let mut sums = [L::splat(0.0); R];
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(grad_rho.add(i * L::N));
                }
                for (r, &by) in by[..n].iter().enumerate() {
                    let by = L::splat(by);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let at = r * width + i * L::N;
                        let (a, g) = (L::load(a.as_ptr().add(at)), g.as_mut_ptr().add(at));
                        let delta = by.mul(L::load(grad_h.as_ptr().add(at)));
                        let delta = delta.where_positive(rho.mul(a));
                        *sum = delta.mul_add(a, *sum);
                        rho.mul_add(delta, L::load(g)).store(g);
                    }
                }
                for (i, sum) in sums.into_iter().enumerate() {
                    sum.store(grad_rho.add(i * L::N));
                }
            }
        }
        for g in g.chunks_exact(width).take(n) {
            part.c.iter_mut().zip(g).for_each(|(c, g)| *c += g);
        }
        if task.biases {
            // SAFETY: the caller's.
            unsafe { add_biases::<L>(slopes, range, blocks, &mut part.b) };
        }
    }
    part
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn task<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    x: &[f32],
    params: Params<'_>,
    slopes: Slopes<'_>,
    task: &Task<'_>,
) -> Part {
    // SAFETY: the caller's.
    unsafe {
        match task.slab.registers {
            1 => units::<L, 1>(x, params, slopes, task),
            2 => units::<L, 2>(x, params, slopes, task),
            3 => units::<L, 3>(x, params, slopes, task),
            _ => units::<L, WIDE>(x, params, slopes, task),
        }
    }
}

dispatch! {
    /// [`task`] for what the processor has.
    fn task_f32(x: &[f32], params: Params<'_>, slopes: Slopes<'_>, of: &Task<'_>) -> Part = task
}

/// Gradients of the parameters, [`gradient_len`] of them, from those of the outputs.
///
/// # Shapes
/// `x` is `[batch, inputs]` and `grad` `[batch, outputs]`, by blocks in the order of the walk.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub fn backward(x: &[f32], params: Params<'_>, grad: &[f32]) -> Vec<f32> {
    backward_from(Isa::detect(), x, params, Slopes::Matrix(grad))
}

/// [`backward`] from slopes as they are, on `isa`.
///
/// # Panics
/// When the slices' lengths do not belong to one shape.
pub(crate) fn backward_from(
    isa: Isa,
    x: &[f32],
    params: Params<'_>,
    slopes: Slopes<'_>,
) -> Vec<f32> {
    let (blocks, hidden) = (params.blocks, params.hidden());
    let (features, outputs, dim) = (blocks.features(), blocks.outputs(), blocks.dim());
    let batch = rows(x, blocks.inputs());
    assert!(slopes.fits(batch, outputs, dim), "one gradient per output");
    let slabs: Vec<Slab> = slabs(isa, hidden, batch)
        .into_par_iter()
        .map(|(start, registers)| Slab::new(isa, params, start, registers))
        .collect();
    let groups = groups(batch);
    let tasks: Vec<Task<'_>> = groups
        .iter()
        .flat_map(|rows| {
            slabs.iter().enumerate().map(|(k, slab)| {
                let biases = k + 1 == slabs.len();
                Task { slab, rows: rows.clone(), biases }
            })
        })
        .collect();
    let parts: Vec<Part> =
        tasks.par_iter().map(|task| task_f32(isa, x, params, slopes, task)).collect();
    let mut packed = zeros(gradient_len(blocks, hidden));
    let (w, rest) = packed.split_at_mut(features * hidden);
    let (c, rest) = rest.split_at_mut(hidden);
    let (rho, rest) = rest.split_at_mut(dim);
    let (v, b) = rest.split_at_mut(outputs * hidden);
    // The parts of all groups of rows, slab by slab.
    let each = |k: usize| parts[k..].iter().step_by(slabs.len());
    let gather = |to: &mut [f32], of: fn(&Part) -> &[f32]| {
        if to.is_empty() {
            return;
        }
        to.par_chunks_mut(CHUNK * hidden).enumerate().for_each(|(i, to)| {
            for (k, &Slab { start, width, .. }) in slabs.iter().enumerate() {
                for (group, part) in each(k).enumerate() {
                    let there = width.min(hidden - start);
                    let from = of(part)[i * CHUNK * width..].chunks_exact(width);
                    for (row, from) in to.chunks_exact_mut(hidden).zip(from) {
                        let row = &mut row[start..start + there];
                        if group == 0 {
                            row.copy_from_slice(&from[..there]);
                        } else {
                            row.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                        }
                    }
                }
            }
        });
    };
    gather(w, |part| &part.w);
    gather(v, |part| &part.v);
    gather(c, |part| &part.c);
    for (t, rho) in rho.iter_mut().enumerate() {
        let mut each_unit = vec![0.0; hidden];
        for (k, &Slab { start, width, .. }) in slabs.iter().enumerate() {
            for part in each(k) {
                let own = &part.rho[t * width..][..width];
                each_unit[start..].iter_mut().zip(own).for_each(|(to, from)| *to += from);
            }
        }
        *rho = each_unit.iter().sum();
    }
    for part in &parts {
        b.iter_mut().zip(&part.b).for_each(|(b, own)| *b += own);
    }
    packed
}

/// Hidden units of each task: where they begin, and in how many registers they are. More of them where there are more
/// threads; no result depends on it.
fn slabs(isa: Isa, hidden: usize, batch: usize) -> Vec<(usize, usize)> {
    let registers = hidden.div_ceil(isa.lanes());
    let most = if isa.lanes() >= LANES { WIDE } else { NARROW };
    let wanted = rayon::current_num_threads().div_ceil(groups(batch).len().max(1));
    let n = registers.div_ceil(most).max(wanted.min(registers));
    let mut start = 0;
    (0..n)
        .map(|k| {
            let own = (registers + n - 1 - k) / n;
            let from = start;
            start += own * isa.lanes();
            (from, own)
        })
        .collect()
}

/// Groups of rows, a function of their number alone, as is the order of every sum; each begins a group of lanes.
fn groups(batch: usize) -> Vec<Range<usize>> {
    let n = batch.div_ceil(GROUP).clamp(1, MOST_GROUPS);
    let len = batch.div_ceil(n).next_multiple_of(LANES).max(1);
    (0..batch).step_by(len).map(|start| start..(start + len).min(batch)).collect()
}
