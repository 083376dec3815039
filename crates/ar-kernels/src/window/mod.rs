//! Sums over stored rows, as a Parzen window needs them: for each query the logarithm of Σ_i 2^−cost_i.
//!
//! ```text
//! cost_i = Σ_t (a_t − a_{i,t})²  +  Σ_t [c_t ≠ c_{i,t}] m_t  +  Σ_t (i,t there: w_t (a_t − a_{i,t})² + b_t, missing: b'_t)
//! ```
//!
//! All terms are at least 0, so a part of a sum bounds the whole: what is beyond the least cost by so much that all
//! stored rows there together could not be seen in the sum is left out ([`Centres::log_sums`] says how much). Stored
//! rows that are near each other stand together (`order.rs`), sixteen to a block and two blocks to a box; of a box
//! the bounds of the first [`LEAD`] numbers are known, of a block these numbers are looked at first, and only what is
//! left then is looked at as a whole. So the first numbers should be those that tell most: principal components.
//!
//! In f32, whose every sum is made in an order that depends on nothing but the stored rows and the query: what it says
//! of a query depends neither on the other ones nor on the number of threads. Instruction sets round differently.

mod lanes;
mod order;

use core::marker::PhantomData;

use rayon::prelude::*;

use crate::simd::{Isa, dispatch};
use lanes::{Block, LANES, Lane, Wide};

/// Numbers that are looked at first.
pub const LEAD: usize = 4;
/// Blocks of a box.
const BOXED: usize = 2;
/// Blocks of a tile: as many boxes as there are lanes.
const TILE: usize = BOXED * LANES;
/// Queries that go through a tile one after the other, while it is in the cache.
const GROUP: usize = 32;
/// Blocks whose sums are made hand in hand: as many as the latency of an addition has cycles.
const TOGETHER: usize = 4;
/// Numbers after which a block of wide rows may be given up.
const STRETCH: usize = 32;
/// Where a lane without a row is: far from all.
const NOWHERE: f32 = 1e15;
/// Numbers may be as large as this, so that no square overflows and no row is nowhere.
pub const LARGEST: f32 = 1e9;
/// What all that is left out of a sum may add to its logarithm, in nats: e^−14.
const LEFT_OUT_NATS: f64 = 14.0;

/// How many columns of which kind rows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Numbers that are never missing.
    pub numbers: usize,
    /// Labels, as codes.
    pub labels: usize,
    /// Numbers of which stored ones may be missing, as NaN.
    pub holes: usize,
}

impl Shape {
    /// Numbers of a stored row: numbers, labels, holes.
    pub fn row(self) -> usize {
        self.numbers + self.labels + self.holes
    }

    /// Numbers of a query: a of each number; c and m of each label; a, w, b and b' of each hole.
    pub fn query(self) -> usize {
        self.numbers + 2 * self.labels + 4 * self.holes
    }

    /// Columns but for the leading numbers.
    fn tail(self) -> usize {
        self.numbers.saturating_sub(LEAD) + self.labels + self.holes
    }
}

/// Stored rows.
///
/// ```
/// use ar_kernels::window::{Centres, Shape};
///
/// // A number and a label.
/// let centres = Centres::new(Shape { numbers: 1, labels: 1, holes: 0 }, &[0.0, 7.0, 1.0, 8.0]);
/// // 2^−(½ − 0)² + 2^−((½ − 1)² + 3)
/// let expected = (-0.25_f64).exp2() + (-3.25_f64).exp2();
/// assert!((centres.log_sums(&[0.5, 7.0, 3.0])[0] - expected.ln()).abs() < 1e-5);
/// ```
#[derive(Clone, Debug)]
pub struct Centres {
    shape: Shape,
    len: usize,
    /// `[blocks, LEAD]`, of whole tiles.
    lead: Vec<Lane>,
    /// `[blocks, other columns]`.
    tail: Vec<Lane>,
    /// The least number, and the least of the negated ones, of each box: `[tiles, LEAD, 2]`.
    boxes: Vec<Lane>,
}

impl Centres {
    /// Packs rows.
    ///
    /// # Shapes
    /// `rows` is `[n, shape.row()]`.
    ///
    /// # Panics
    /// When there are no rows, or they are not whole.
    pub fn new(shape: Shape, rows: &[f32]) -> Self {
        let width = shape.row();
        assert!(width > 0 && !rows.is_empty() && rows.len().is_multiple_of(width), "whole rows");
        let len = rows.len() / width;
        let lead_of = |row: &[f32]| -> [f32; LEAD] {
            core::array::from_fn(|k| if k < shape.numbers { row[k] } else { 0.0 })
        };
        let coordinates: Vec<f32> = rows.chunks_exact(width).flat_map(lead_of).collect();
        let order = order::by_halves(&coordinates, LEAD, LANES, BOXED * LANES);
        let blocks = len.div_ceil(LANES).next_multiple_of(TILE);
        let (tail_width, tail_from) = (shape.tail(), shape.numbers.min(LEAD));
        let mut lead = vec![Lane::splat(NOWHERE); blocks * LEAD];
        let mut tail = vec![Lane::splat(0.0); blocks * tail_width];
        let mut boxes = vec![Lane::splat(NOWHERE); blocks / TILE * 2 * LEAD];
        for (i, &row) in order.iter().enumerate() {
            let row = &rows[row as usize * width..][..width];
            let (block, lane) = (i / LANES, i % LANES);
            let (tile, own_box) = (block / TILE, block % TILE / BOXED);
            for (k, x) in lead_of(row).into_iter().enumerate() {
                lead[block * LEAD + k].0[lane] = x;
                let bounds = &mut boxes[(tile * LEAD + k) * 2..][..2];
                let is_first = i.is_multiple_of(BOXED * LANES);
                for (bound, x) in bounds.iter_mut().zip([x, -x]) {
                    let bound = &mut bound.0[own_box];
                    *bound = if is_first { x } else { bound.min(x) };
                }
            }
            for (k, &x) in row[tail_from..].iter().enumerate() {
                tail[block * tail_width + k].0[lane] = x;
            }
        }
        Self { shape, len, lead, tail, boxes }
    }

    /// What the columns are.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Σ_i 2^−cost_i of each query, as its natural logarithm. Rows whose cost is above the least one by log₂ n + 20.2
    /// may be left out: all together they change it by less than 10^-6.
    ///
    /// # Shapes
    /// `queries` is `[n, shape.query()]`, whose numbers are at most [`LARGEST`] and whose m, w, b and b' are at least
    /// 0; returns `[n]`.
    ///
    /// # Panics
    /// When `queries` is not whole queries.
    pub fn log_sums(&self, queries: &[f32]) -> Vec<f64> {
        self.log_sums_on(Isa::detect(), queries)
    }

    fn log_sums_on(&self, isa: Isa, queries: &[f32]) -> Vec<f64> {
        let width = self.shape.query();
        assert!(queries.len().is_multiple_of(width), "whole queries");
        let mut out = vec![0.0; queries.len() / width];
        out.par_chunks_mut(GROUP)
            .zip(queries.par_chunks(GROUP * width))
            .for_each(|(out, queries)| log_sums_of_group(isa, self, queries, out));
        out
    }

    /// How far above the least cost a row must be, not to be seen.
    fn beyond(&self) -> f32 {
        (((self.len as f64).ln() + LEFT_OUT_NATS) / core::f64::consts::LN_2) as f32
    }

    fn tiles(&self) -> usize {
        self.lead.len() / (TILE * LEAD)
    }
}

dispatch! {
    fn log_sums_of_group(centres: &Centres, queries: &[f32], out: &mut [f64]) = group
}

/// What is known of the sum of a query: Σ 2^(least − cost) in each lane.
#[derive(Clone, Copy)]
struct Sum {
    least: f32,
    lanes: Lane,
}

/// Square distances of a block in the leading numbers.
///
/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn lead<B: Block>(centres: &Centres, at: &[B; LEAD], block: usize) -> B {
    let (lanes, _) = centres.lead[block * LEAD..][..LEAD].as_chunks::<LEAD>();
    // SAFETY: the caller's.
    unsafe {
        let mut sum = B::splat(0.0);
        for (lane, at) in lanes[0].iter().zip(at) {
            let apart = B::load(lane).sub(*at);
            sum = apart.mul_add(apart, sum);
        }
        sum
    }
}

/// The costs of some blocks whose leading numbers cost `sums`; or, of wide rows, any that are not below `limit` if none
/// is. Blocks go hand in hand, so that what a query is compared with is loaded once for all of them.
///
/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn finish<B: Block, const N: usize>(
    centres: &Centres,
    query: &[f32],
    blocks: [usize; N],
    mut sums: [B; N],
    limit: B,
) -> [B; N] {
    let Shape { numbers, labels, .. } = centres.shape;
    let (width, lead) = (centres.shape.tail(), numbers.min(LEAD));
    let tails = blocks.map(|block| centres.tail[block * width..][..width].as_ptr());
    let (query, terms) = query[lead..].split_at(numbers - lead);
    let (label_terms, hole_terms) = terms.split_at(2 * labels);
    let label_terms = label_terms.as_chunks::<2>().0;
    let hole_terms = hole_terms.as_chunks::<4>().0;
    debug_assert_eq!(query.len() + label_terms.len() + hole_terms.len(), width, "a query");
    // SAFETY: the caller's; and each of `tails` is valid for `width` lanes, which are as many columns as a query has terms
    // for after the leading numbers.
    unsafe {
        let mut column = 0;
        for stretch in query.chunks(STRETCH) {
            if column > 0 && sums.iter().all(|sum| sum.below(limit) == 0) {
                return sums;
            }
            for &at in stretch {
                let at = B::splat(at);
                for (sum, tail) in sums.iter_mut().zip(tails) {
                    let apart = B::load(&*tail.add(column)).sub(at);
                    *sum = apart.mul_add(apart, *sum);
                }
                column += 1;
            }
        }
        for &[code, more] in label_terms {
            let (code, more) = (B::splat(code), B::splat(more));
            for (sum, tail) in sums.iter_mut().zip(tails) {
                *sum = sum.add_unless(B::load(&*tail.add(column)), code, more);
            }
            column += 1;
        }
        for &terms in hole_terms {
            let [at, weight, there, missing] = terms.map(|term| B::splat(term));
            for (sum, tail) in sums.iter_mut().zip(tails) {
                let apart = B::load(&*tail.add(column)).sub(at);
                let cost = apart.mul(weight).mul_add(apart, there);
                *sum = sum.add(apart.if_nan(missing, cost));
            }
            column += 1;
        }
    }
    sums
}

/// [`finish`] of some blocks of a tile, whose costs so far are in `costs`, as they are afterwards; and the least in each
/// lane.
///
/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn finish_in_place<B: Block, const N: usize>(
    centres: &Centres,
    query: &[f32],
    first: usize,
    blocks: [u8; N],
    costs: &mut [Lane; TILE],
    limit: B,
) -> B {
    let blocks = blocks.map(|block| usize::from(block) % TILE);
    // SAFETY: the caller's.
    unsafe {
        let leads = blocks.map(|block| B::load(&costs[block]));
        let sums = finish(centres, query, blocks.map(|block| first + block), leads, limit);
        let mut least = sums[0];
        for (block, sum) in blocks.into_iter().zip(sums) {
            sum.store(&mut costs[block]);
            least = least.min(sum);
        }
        least
    }
}

/// The least of the lanes.
///
/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn least_of<B: Block>(block: B) -> f32 {
    let mut lanes = Lane::splat(0.0);
    // SAFETY: the caller's.
    unsafe { block.store(&mut lanes) };
    lanes.0.into_iter().reduce(|a, b| if b < a { b } else { a }).unwrap_or(f32::INFINITY)
}

/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn splat_lead<B: Block>(centres: &Centres, query: &[f32]) -> [B; LEAD] {
    // SAFETY: the caller's.
    core::array::from_fn(|k| unsafe {
        B::splat(if k < centres.shape.numbers { query[k] } else { 0.0 })
    })
}

/// Bounds of what the boxes cost below, `[tiles]`, and the box whose bound is the least.
///
/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn bound<B: Block>(centres: &Centres, at: &[B; LEAD], bounds: &mut [Lane]) -> usize {
    let (boxes, _) = centres.boxes.as_chunks::<{ 2 * LEAD }>();
    let (mut nearest, mut least) = (0, f32::INFINITY);
    for (tile, (boxes, bound)) in boxes.iter().zip(bounds).enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let mut sum = B::splat(0.0);
            for (bounds, at) in boxes.as_chunks::<2>().0.iter().zip(at) {
                let [low, negated_high] = bounds;
                let below = B::load(low).sub(*at);
                let above = B::load(negated_high).add(*at);
                let outside = below.max(above).max(B::splat(0.0));
                sum = outside.mul_add(outside, sum);
            }
            sum.store(bound);
            if sum.below(B::splat(least)) != 0 {
                least = least_of(sum);
                let lane = bound.0.iter().position(|&bound| bound == least);
                nearest = tile * LANES + lane.unwrap_or(0);
            }
        }
    }
    nearest
}

/// # Safety
/// That of [`Block`].
#[inline(always)]
unsafe fn group<L: Wide>(_: PhantomData<L>, centres: &Centres, queries: &[f32], out: &mut [f64]) {
    let (tiles, width) = (centres.tiles(), centres.shape.query());
    let beyond = centres.beyond();
    let queries = || queries.chunks_exact(width);
    let mut bounds = vec![Lane::splat(0.0); tiles * out.len()];
    let mut sums = vec![Sum { least: 0.0, lanes: Lane::splat(0.0) }; out.len()];
    let (mut costs, mut listed) = ([Lane::splat(0.0); TILE], [0_u8; TILE]);
    // SAFETY: the caller's.
    unsafe {
        // The rows that are nearest by their bounds say how far it is worth to look.
        for ((query, bounds), sum) in queries().zip(bounds.chunks_exact_mut(tiles)).zip(&mut sums) {
            let at = splat_lead::<L::Block>(centres, query);
            let nearest = bound(centres, &at, bounds) * BOXED;
            let mut least = L::Block::splat(f32::INFINITY);
            let limit = least;
            for block in nearest..nearest + BOXED {
                let lead = lead(centres, &at, block);
                let [whole] = finish(centres, query, [block], [lead], limit);
                least = least.min(whole);
            }
            sum.least = least_of(least);
        }
        for tile in 0..tiles {
            let first = tile * TILE;
            for (k, (query, sum)) in queries().zip(&mut sums).enumerate() {
                let at = splat_lead::<L::Block>(centres, query);
                let limit = L::Block::splat(sum.least + beyond);
                // Blocks within the limit, by the bounds of their boxes and by their leading numbers. Which they are
                // cannot be foreseen, so the list grows without a branch.
                let mut near = L::Block::load(&bounds[k * tiles + tile]).below(limit);
                let mut length = 0;
                while near != 0 {
                    let boxed = near.trailing_zeros() as usize * BOXED;
                    near &= near - 1;
                    for (block, cost) in (boxed..).zip(&mut costs[boxed..][..BOXED]) {
                        let sum = lead(centres, &at, first + block);
                        sum.store(cost);
                        listed[length % TILE] = block as u8;
                        length += usize::from(sum.below(limit) != 0);
                    }
                }
                let mut least = L::Block::splat(sum.least);
                for some in listed[..length].chunks(TOGETHER) {
                    // Where there are fewer, the first one again, which changes nothing.
                    let blocks: [u8; TOGETHER] =
                        core::array::from_fn(|k| *some.get(k).unwrap_or(&some[0]));
                    let own = finish_in_place(centres, query, first, blocks, &mut costs, limit);
                    least = least.min(own);
                }
                let least = least_of(least);
                let mut lanes = L::Block::load(&sum.lanes);
                if least < sum.least {
                    lanes = lanes.mul(L::Block::splat(least - sum.least).exp2());
                    sum.least = least;
                }
                let limit = L::Block::splat(least + beyond);
                let mut kept = 0;
                for at in 0..length {
                    let block = listed[at];
                    listed[kept] = block;
                    let cost = L::Block::load(&costs[usize::from(block)]);
                    kept += usize::from(cost.below(limit) != 0);
                }
                let least = L::Block::splat(least);
                for &block in &listed[..kept] {
                    let cost = L::Block::load(&costs[usize::from(block)]);
                    lanes = lanes.add(least.sub(cost).exp2());
                }
                lanes.store(&mut sum.lanes);
            }
        }
    }
    for (out, Sum { least, lanes }) in out.iter_mut().zip(sums) {
        let sum: f64 = lanes.0.iter().copied().map(f64::from).sum();
        *out = sum.ln() - f64::from(least) * core::f64::consts::LN_2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few hundred values that look like chance.
    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..n).map(next).collect()
    }

    /// Rows in clumps, some of their holes empty.
    fn rows(shape: Shape, n: usize) -> Vec<f32> {
        let values = noise(n * shape.row(), 1 + shape.row() as u64);
        let cell = |(at, &x): (usize, &f32)| {
            let (i, k) = (at / shape.row(), at % shape.row());
            match k.checked_sub(shape.numbers) {
                None => 9.0 * ((i * 5 % 7) as f32 + x) / (1.0 + k as f32),
                Some(k) if k < shape.labels => (8.0 * x).floor(),
                Some(_) if x < 0.2 => f32::NAN,
                Some(_) => 6.0 * x,
            }
        };
        values.iter().enumerate().map(cell).collect()
    }

    fn queries(shape: Shape, n: usize) -> Vec<f32> {
        let rows = rows(shape, n);
        let query = |(i, row): (usize, &[f32])| {
            let (numbers, others) = row.split_at(shape.numbers);
            let (labels, holes) = others.split_at(shape.labels);
            let far = if i % 9 == 4 { 300.0 } else { 0.0 };
            let numbers = numbers.iter().map(move |x| x + 0.3 + far);
            let labels = labels.iter().flat_map(|&code| [code, 1.5 + code]);
            let holes = holes.iter().flat_map(|&x| match x.is_nan() {
                true => [0.0, 0.0, 2.5, 0.0],
                false => [x + 0.2, 1.0, 0.0, 4.0],
            });
            numbers.chain(labels).chain(holes).collect::<Vec<f32>>()
        };
        rows.chunks_exact(shape.row().max(1)).enumerate().flat_map(query).collect()
    }

    /// The sum as the equation has it.
    fn plainly(shape: Shape, rows: &[f32], query: &[f32]) -> f64 {
        let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
        let costs: Vec<f64> = rows
            .chunks_exact(shape.row())
            .map(|row| {
                let (numbers, others) = row.split_at(shape.numbers);
                let (labels, holes) = others.split_at(shape.labels);
                let (at, terms) = query.split_at(shape.numbers);
                let (of_labels, of_holes) = terms.split_at(2 * shape.labels);
                let numbers = numbers.iter().zip(at).map(|(&c, &a)| square(a, c));
                let labels = labels.iter().zip(of_labels.chunks_exact(2));
                let labels = labels.map(|(c, of)| if *c == of[0] { 0.0 } else { of[1].into() });
                let holes = holes.iter().zip(of_holes.chunks_exact(4)).map(|(&c, of)| {
                    if c.is_nan() {
                        return of[3].into();
                    }
                    f64::from(of[1]) * square(of[0], c) + f64::from(of[2])
                });
                numbers.sum::<f64>() + labels.sum::<f64>() + holes.sum::<f64>()
            })
            .collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        costs.iter().map(|cost| (least - cost).exp2()).sum::<f64>().ln()
            - least * core::f64::consts::LN_2
    }

    const SHAPES: [Shape; 6] = [
        Shape { numbers: 7, labels: 3, holes: 2 },
        Shape { numbers: 2, labels: 0, holes: 0 },
        Shape { numbers: 0, labels: 4, holes: 0 },
        Shape { numbers: 0, labels: 0, holes: 3 },
        Shape { numbers: 4, labels: 0, holes: 1 },
        Shape { numbers: 100, labels: 1, holes: 0 },
    ];

    #[test]
    fn sums_are_those_of_the_equation_on_every_instruction_set() {
        for shape in SHAPES {
            // Not whole blocks, boxes or tiles; and more than one tile.
            for n in [1, 37, 700, 1_203] {
                let (rows, queries) = (rows(shape, n), queries(shape, 45));
                let centres = Centres::new(shape, &rows);
                for isa in Isa::available() {
                    let found = centres.log_sums_on(isa, &queries);
                    for (query, found) in queries.chunks_exact(shape.query()).zip(found) {
                        let expected = plainly(shape, &rows, query);
                        let allowed = 1e-5 + 1e-6 * expected.abs();
                        assert!(
                            (found - expected).abs() < allowed,
                            "{isa:?} {shape:?} {n}: {found} {expected}"
                        );
                    }
                }
                // Negative control: the nearest row left out is seen.
                let Some(rest) = rows.get(shape.row()..).filter(|rest| !rest.is_empty()) else {
                    continue;
                };
                let others = Centres::new(shape, rest).log_sums(&queries);
                let expected = plainly(shape, &rows, &queries[..shape.query()]);
                assert!(shape.numbers < 7 || (others[0] - expected).abs() > 1e-3, "{shape:?} {n}");
            }
        }
    }

    #[test]
    fn what_is_said_of_a_query_depends_on_no_other_and_on_no_number_of_threads() {
        for shape in SHAPES {
            let (rows, queries) = (rows(shape, 1_203), queries(shape, 100));
            let centres = Centres::new(shape, &rows);
            for isa in Isa::available() {
                let of = |threads, rows: usize| -> Vec<u64> {
                    let pool =
                        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let parts = queries.chunks(rows * shape.query());
                    let sums = |part| pool.install(|| centres.log_sums_on(isa, part));
                    parts.flat_map(sums).map(f64::to_bits).collect()
                };
                let expected = of(1, 100);
                assert_eq!(of(3, 100), expected);
                assert_eq!(of(1, 1), expected);
                assert_eq!(of(2, 7), expected);
            }
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_left_out_and_nothing_nearer() {
        // One row at the query, and a thousand of which each weighs 2^−d².
        let sum = |distance: f32| {
            let rows: Vec<f32> =
                (0..1_000).map(|i| if i == 500 { 0.0 } else { distance }).collect();
            let centres = Centres::new(Shape { numbers: 1, labels: 0, holes: 0 }, &rows);
            (centres.log_sums(&[0.0])[0], f64::from(centres.beyond()))
        };
        let beyond = sum(1.0).1;
        let far = (beyond + 1.0).sqrt() as f32;
        // Not those that share its block.
        assert!(sum(far).0 < LANES as f64 * (-beyond).exp2());
        assert!(999.0 * (-beyond).exp2() < 1e-6);
        // Negative control: nearer than that they are seen.
        let near = (beyond - 8.0).sqrt() as f32;
        let expected = (999.0 * (-f64::from(near).powi(2)).exp2()).ln_1p();
        assert!((sum(near).0 / expected - 1.0).abs() < 0.05 && expected > 1e-4, "{expected}");
    }

    #[test]
    fn no_query_and_empty_rows() {
        let shape = Shape { numbers: 3, labels: 0, holes: 0 };
        assert!(Centres::new(shape, &[0.0; 3]).log_sums(&[]).is_empty());
    }
}
