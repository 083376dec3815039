//! The causal convolution and its gradients on slices.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use rayon::prelude::*;

use super::product::{
    Map, NARROW_ROWS, Packed, Runs, Sums, Tiles, WIDE_ROWS, gather, load_part, outer, padded, room,
    store_part, written,
};
use super::{Convolution, Image};
use crate::simd::{Aligned, Isa, Lanes, dispatch};

/// What an op on `batch` images knows beside its numbers.
struct Plan<'a> {
    spec: &'a Convolution,
    image: Image,
    /// Channels of the input and of the output.
    channels: [usize; 2],
    /// Biases of each image, or one row for all.
    bias_rows: usize,
    tiles: Tiles,
}

impl Plan<'_> {
    fn input_map(&self) -> Map {
        Map::new(self.image.size(), self.spec.border(), self.channels[0])
    }

    /// Of the output's gradient, whose border lies on the other sides.
    fn gradient_map(&self) -> Map {
        let [top, bottom, left, right] = self.spec.border();
        Map::new(self.image.size(), [bottom, top, right, left], padded(self.channels[1]))
    }

    fn pixels(&self) -> usize {
        self.image.height * self.image.width
    }
}

fn plan<'a>(
    spec: &'a Convolution,
    image: Image,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
) -> Plan<'a> {
    let pixels = image.height * image.width;
    let cin = x.len() / (image.batch * pixels);
    let cout = weights.len() / (spec.taps.len() * cin);
    assert_eq!(x.len(), image.batch * pixels * cin, "x must be [batch, height, width, channels]");
    assert_eq!(weights.len(), spec.taps.len() * cin * cout, "weights must be [taps, in, out]");
    let bias_rows = bias.len() / cout;
    assert!(
        bias.len() == bias_rows * cout && (bias_rows == 1 || bias_rows == image.batch),
        "bias must be [1 or batch, out]"
    );
    let tiles = Tiles::of(image.batch, pixels * cin.max(padded(cout)));
    Plan { spec, image, channels: [cin, cout], bias_rows, tiles }
}

/// The rectified input, or the input.
#[inline(always)]
fn rectified(rectify: bool) -> impl Fn(f32) -> f32 + Copy {
    // A NaN stays one, so that a bad loss is seen.
    move |x| if rectify && x < 0.0 { 0.0 } else { x }
}

/// The convolution: `[batch, height, width, out]`.
pub(super) fn forward(
    spec: &Convolution,
    image: Image,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    let plan = plan(spec, image, x, weights, bias);
    let [cin, cout] = plan.channels;
    let isa = Isa::detect();
    let packed = Packed::new(isa.lanes(), spec.taps.len() * cin, padded(cout), |k, column| {
        if column < cout { weights[k * cout + column] } else { 0.0 }
    });
    let mut biases = vec![0.0; plan.bias_rows * padded(cout)];
    for (to, from) in biases.chunks_exact_mut(padded(cout)).zip(bias.chunks_exact(cout)) {
        to[..cout].copy_from_slice(from);
    }
    let group = plan.tiles.group * plan.pixels();
    let mut out = room(image.batch * plan.pixels() * cout);
    out.par_chunks_mut(group * cout).zip(x.par_chunks(group * cin)).enumerate().for_each(
        |(index, (out, x))| {
            let first = index * plan.tiles.group;
            forward_on(isa, &plan, first, x, &packed, &biases, out);
        },
    );
    // SAFETY: every group wrote every channel of each of its pixels.
    unsafe { written(out) }
}

dispatch! {
    fn forward_on(
        plan: &Plan<'_>, first: usize, x: &[f32], packed: &Packed, biases: &[f32],
        out: &mut [MaybeUninit<f32>],
    ) = forward_group
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_group<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    plan: &Plan<'_>,
    first: usize,
    x: &[f32],
    packed: &Packed,
    biases: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    let [cin, cout] = plan.channels;
    let map = plan.input_map();
    let mut scratch = Aligned::zeros(map.len(plan.tiles.tile));
    let offsets: Vec<isize> = plan.spec.taps.iter().map(|&tap| map.offset(tap)).collect();
    let tile = plan.tiles.tile * plan.pixels();
    let tiles = x.chunks(tile * cin).zip(out.chunks_mut(tile * cout));
    for (index, (x, out)) in tiles.enumerate() {
        map.fill(plan.image.size(), cin, x, &mut scratch, rectified(plan.spec.rectify));
        let first = first + index * plan.tiles.tile;
        let bias = |pixel: usize| {
            let row = if plan.bias_rows == 1 { 0 } else { first + pixel / plan.pixels() };
            biases[row * padded(cout)..].as_ptr()
        };
        let pixels = out.len() / cout;
        // SAFETY: the lane contract is the caller's; the pixels and their taps lie in the map.
        unsafe {
            product::<L>(
                plan.image,
                &map,
                &scratch,
                &offsets,
                cin,
                packed,
                pixels,
                |pixel, panel_column, register| {
                    L::load(bias(pixel).add(panel_column + register * L::N))
                },
                |pixel, column, value| {
                    let to = out.as_mut_ptr().cast::<f32>().add(pixel * cout + column);
                    store_part(value, to, column, cout);
                },
            );
        }
    }
}

/// The gather product over all pixels of a tile: `init(pixel, column, register)` begins a sum, and
/// `done(pixel, column, sum)` takes it.
///
/// # Safety
/// The contract of [`Lanes`]; every pixel's taps must lie in `map`, which `a` holds.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest, written once")]
pub(super) unsafe fn product<L: Lanes<Elem = f32>>(
    image: Image,
    map: &Map,
    a: &[f32],
    offsets: &[isize],
    depth: usize,
    packed: &Packed,
    pixels: usize,
    init: impl Fn(usize, usize, usize) -> L,
    mut done: impl FnMut(usize, usize, L),
) {
    // Where each pixel is, found once for all panels and without a division each.
    let mut places = Vec::with_capacity(pixels);
    for of in 0..pixels.div_ceil(image.pixels()) {
        for row in 0..image.height {
            let first = map.at(of, row as isize, 0);
            places.extend((0..image.width).map(|column| first + column * map.stride));
        }
    }
    macro_rules! run {
        ($rows:expr, $registers:expr, $panel:expr) => {
            // SAFETY: the caller's.
            unsafe {
                blocks::<L, $rows, $registers>(
                    &places,
                    a,
                    offsets,
                    depth,
                    packed.of($panel),
                    pixels,
                    |pixel, register| init(pixel, $panel.column, register),
                    |pixel, register, sum| done(pixel, $panel.column + register * L::N, sum),
                )
            }
        };
    }
    for &panel in &packed.panels {
        match (L::N >= 16, panel.registers) {
            (true, 4) => run!(WIDE_ROWS, 4, panel),
            (true, 2) => run!(WIDE_ROWS, 2, panel),
            (true, _) => run!(WIDE_ROWS, 1, panel),
            (false, 4) => run!(NARROW_ROWS, 4, panel),
            (false, 2) => run!(NARROW_ROWS, 2, panel),
            (false, _) => run!(NARROW_ROWS, 1, panel),
        }
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest, written once")]
unsafe fn blocks<L: Lanes<Elem = f32>, const MR: usize, const NV: usize>(
    places: &[usize],
    a: &[f32],
    offsets: &[isize],
    depth: usize,
    weights: *const f32,
    pixels: usize,
    init: impl Fn(usize, usize) -> L,
    mut done: impl FnMut(usize, usize, L),
) {
    let a = a.as_ptr();
    let mut first = 0;
    while first < pixels {
        let rows = MR.min(pixels - first);
        // SAFETY: the caller's.
        unsafe {
            let mut at = [a; MR];
            let mut sums: Sums<L, MR, NV> = [[L::splat(0.0); NV]; MR];
            for (r, (at, sums)) in at.iter_mut().zip(sums.iter_mut()).enumerate() {
                // Beyond the last pixel it is computed again, and not stored.
                let pixel = first + r.min(rows - 1);
                *at = a.add(places[pixel]);
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = init(pixel, v);
                }
            }
            let mut weights = weights;
            for &offset in offsets {
                weights = gather(&mut sums, &at, offset, depth, weights);
            }
            for (r, sums) in sums.iter().enumerate().take(rows) {
                for (v, &sum) in sums.iter().enumerate() {
                    done(first + r, v, sum);
                }
            }
        }
        first += rows;
    }
}

/// Gradients of the convolution.
pub(super) struct Gradients {
    /// `[batch, height, width, in]`, empty if not wanted.
    pub(super) x: Vec<f32>,
    /// `[taps, in, out]`
    pub(super) weights: Vec<f32>,
    /// As the bias.
    pub(super) bias: Vec<f32>,
}

/// The gradients, from that of the output.
pub(super) fn backward(
    spec: &Convolution,
    image: Image,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    grad: &[f32],
    want_x: bool,
) -> Gradients {
    let plan = plan(spec, image, x, weights, bias);
    let [cin, cout] = plan.channels;
    assert_eq!(grad.len(), image.batch * plan.pixels() * cout, "the gradient is of the output");
    let isa = Isa::detect();
    let width = padded(cout);
    // The transposed weights: from the columns of a pixel's gradient to the channels of a tap.
    let packed = Packed::new(isa.lanes(), spec.taps.len() * width, padded(cin), |k, channel| {
        let (tap, column) = (k / width, k % width);
        if column < cout && channel < cin {
            weights[(tap * cin + channel) * cout + column]
        } else {
            0.0
        }
    });
    let group = plan.tiles.group * plan.pixels();
    let mut dx = room(if want_x { x.len() } else { 0 });
    let mut parts: Vec<Part<'_>> = Vec::new();
    {
        let mut dx = dx.as_mut_slice();
        let groups = x.chunks(group * cin).zip(grad.chunks(group * cout)).enumerate();
        for (index, (x, grad)) in groups {
            let (own, rest) = dx.split_at_mut(if want_x { x.len() } else { 0 });
            dx = rest;
            parts.push(Part { first: index * plan.tiles.group, x, grad, dx: own });
        }
    }
    let sums: Vec<[Vec<f32>; 2]> = parts
        .into_par_iter()
        .map(|part| {
            let mut own =
                [vec![0.0; spec.taps.len() * cin * width], vec![0.0; plan.bias_rows * cout]];
            backward_on(isa, &plan, part, &packed, &mut own);
            own
        })
        .collect();
    let mut total = vec![0.0; spec.taps.len() * cin * width];
    let mut dbias = vec![0.0; bias.len()];
    for [weights, bias] in &sums {
        add(&mut total, weights);
        add(&mut dbias, bias);
    }
    let dweights = total.chunks_exact(width).flat_map(|row| row[..cout].iter().copied()).collect();
    // SAFETY: where it is wanted, every group wrote every channel of each of its pixels.
    let x = unsafe { written(dx) };
    Gradients { x, weights: dweights, bias: dbias }
}

/// `to += from`.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// What a group of images reads and writes.
struct Part<'a> {
    first: usize,
    x: &'a [f32],
    grad: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
}

dispatch! {
    fn backward_on(
        plan: &Plan<'_>, part: Part<'_>, packed: &Packed, sums: &mut [Vec<f32>; 2],
    ) = backward_group
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn backward_group<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    plan: &Plan<'_>,
    part: Part<'_>,
    packed: &Packed,
    [dweights, dbias]: &mut [Vec<f32>; 2],
) {
    let [cin, cout] = plan.channels;
    let (inputs, gradients) = (plan.input_map(), plan.gradient_map());
    let tile = plan.tiles.tile;
    let mut input = Aligned::zeros(inputs.len(tile));
    let mut gradient = Aligned::zeros(gradients.len(tile));
    // What a pixel gave to a later one comes back from there.
    let offsets: Vec<isize> = plan.spec.taps.iter().map(|tap| -gradients.offset(*tap)).collect();
    let Part { first, x, grad, dx } = part;
    let scalars = tile * plan.pixels();
    for (index, (x, grad)) in x.chunks(scalars * cin).zip(grad.chunks(scalars * cout)).enumerate() {
        let images = x.len() / (plan.pixels() * cin);
        inputs.fill(plan.image.size(), cin, x, &mut input, rectified(plan.spec.rectify));
        gradients.fill(plan.image.size(), cout, grad, &mut gradient, |g| g);
        for (image, grad) in grad.chunks_exact(plan.pixels() * cout).enumerate() {
            let row = if plan.bias_rows == 1 { 0 } else { first + index * tile + image };
            let bias = &mut dbias[row * cout..(row + 1) * cout];
            for grad in grad.chunks_exact(cout) {
                add(bias, grad);
            }
        }
        // SAFETY: the lane contract is the caller's; the maps hold every pixel of the tile with its
        // taps.
        unsafe {
            weight_gradients::<L>(
                plan.image,
                images,
                &plan.spec.taps,
                cin,
                padded(cout),
                &inputs,
                &input,
                &gradients,
                &gradient,
                dweights,
            );
            if !dx.is_empty() {
                let dx = dx[index * scalars * cin..][..x.len()].as_mut_ptr().cast::<f32>();
                let rectify = plan.spec.rectify;
                product::<L>(
                    plan.image,
                    &gradients,
                    &gradient,
                    &offsets,
                    padded(cout),
                    packed,
                    images * plan.pixels(),
                    |_, _, _| L::splat(0.0),
                    |pixel, column, value| {
                        store_part(value, dx.add(pixel * cin + column), column, cin);
                    },
                );
                if rectify {
                    for (at, &x) in x.iter().enumerate() {
                        let dx = &mut *dx.add(at);
                        *dx = if x > 0.0 { *dx } else { 0.0 };
                    }
                }
            }
        }
    }
}

/// Image rows whose outer products are summed in registers at a time: about this many pixels.
const CHUNK_PIXELS: usize = 112;

/// `dweights[tap, channel, column] += Σ_p a[p + tap, channel] b[p, column]` over the pixels of a tile.
///
/// # Safety
/// The contract of [`Lanes`]; the maps must hold every pixel, that of `a` also its taps, and `dweights`
/// `[taps, channels, columns]`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop nest, written once")]
pub(super) unsafe fn weight_gradients<L: Lanes<Elem = f32>>(
    image: Image,
    images: usize,
    taps: &[[isize; 2]],
    channels: usize,
    columns: usize,
    a_map: &Map,
    a: &[f32],
    b_map: &Map,
    b: &[f32],
    dweights: &mut [f32],
) {
    let rows_at_once = (CHUNK_PIXELS / image.width).max(1);
    debug_assert_eq!(dweights.len(), taps.len() * channels * columns);
    for of in 0..images {
        for first in (0..image.height).step_by(rows_at_once) {
            let runs = Runs {
                runs: rows_at_once.min(image.height - first),
                length: image.width,
                a_steps: [a_map.offset([1, 0]) as usize, a_map.stride],
                b_steps: [b_map.offset([1, 0]) as usize, b_map.stride],
            };
            let at = |map: &Map| map.at(of, first as isize, 0);
            for (tap, &offset) in taps.iter().enumerate() {
                // SAFETY: the caller's.
                unsafe {
                    outer::<L>(
                        a.as_ptr().add(at(a_map)).offset(a_map.offset(offset)),
                        channels,
                        b.as_ptr().add(at(b_map)),
                        columns,
                        runs,
                        dweights.as_mut_ptr().add(tap * channels * columns),
                        columns,
                    );
                }
            }
        }
    }
}

/// Loads a register of a pixel's channels.
///
/// # Safety
/// The contract of [`Lanes`], and the pixel's channels must be there.
#[inline(always)]
pub(super) unsafe fn load_pixel<L: Lanes<Elem = f32>>(
    from: &[f32],
    pixel: usize,
    column: usize,
    channels: usize,
) -> L {
    // SAFETY: the caller's.
    unsafe { load_part(from.as_ptr().add(pixel * channels + column), column, channels) }
}
