//! Small matrix products in registers, the arithmetic under every op on images.
//!
//! Two forms cover a convolution over taps and its gradients:
//!
//! ```text
//! gather:  out[p, :] = init + Σ_taps Σ_k a[p + tap, k] · w[tap, k, :]        rows p are pixels
//! outer:   w[k, :]  += Σ_p a[p + tap, k] · b[p, :]                            the gradient of w
//! ```
//!
//! Rows of `a` are read where they lie, in a map with a border ([`Map`]), so that a tap is an offset and
//! nothing is copied into columns first. Weights are packed once per call ([`Packed`]). The sums of a
//! block of pixels stay in registers until the caller has done what follows from them (a bias, gates).

use core::mem::MaybeUninit;

use crate::simd::{Aligned, Lanes, PAD};

/// Rows of a register block on AVX-512 (32 registers), and elsewhere (16).
pub(super) const WIDE_ROWS: usize = 6;
pub(super) const NARROW_ROWS: usize = 3;

/// `n` as it is padded in buffers: every register width divides it.
pub(super) const fn padded(n: usize) -> usize {
    n.next_multiple_of(PAD)
}

/// Maps of the images of one tile, `[image, row, column, channel]`, with a border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    rows: usize,
    columns: usize,
    top: usize,
    left: usize,
    /// Scalars of a pixel.
    pub(super) stride: usize,
}

impl Map {
    /// Maps of `height × width` pixels of `stride` scalars with a border of `border = [top, bottom,
    /// left, right]` pixels.
    pub(super) fn new([height, width]: [usize; 2], border: [usize; 4], stride: usize) -> Self {
        let [top, bottom, left, right] = border;
        Self { rows: top + height + bottom, columns: left + width + right, top, left, stride }
    }

    /// Scalars of `images` maps.
    pub(super) fn len(&self, images: usize) -> usize {
        images * self.rows * self.columns * self.stride
    }

    /// Where the pixel is; the border has negative coordinates, and those beyond the image.
    pub(super) fn at(&self, image: usize, row: isize, column: isize) -> usize {
        let row = (row + self.top as isize) as usize;
        let column = (column + self.left as isize) as usize;
        debug_assert!(row < self.rows && column < self.columns, "({row}, {column}) in {self:?}");
        ((image * self.rows + row) * self.columns + column) * self.stride
    }

    /// The distance to the pixel `(row, column)` further.
    pub(super) fn offset(&self, [row, column]: [isize; 2]) -> isize {
        (row * self.columns as isize + column) * self.stride as isize
    }

    /// Copies images, `[image, row, column, channels]` without a border, to their place here. The
    /// scalars beyond `channels` stay as they are.
    pub(super) fn fill(
        &self,
        [height, width]: [usize; 2],
        channels: usize,
        from: &[f32],
        to: &mut [f32],
        each: impl Fn(f32) -> f32,
    ) {
        for (image, from) in from.chunks_exact(height * width * channels).enumerate() {
            for (row, from) in from.chunks_exact(width * channels).enumerate() {
                let start = self.at(image, row as isize, 0);
                if self.stride == channels {
                    let to = &mut to[start..start + width * channels];
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = each(from);
                    }
                    continue;
                }
                for (column, from) in from.chunks_exact(channels).enumerate() {
                    let to = &mut to[start + column * self.stride..][..channels];
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = each(from);
                    }
                }
            }
        }
    }
}

/// A range of columns whose sums are held in `registers` registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// First column.
    pub(super) column: usize,
    /// Registers, 1, 2 or 4.
    pub(super) registers: usize,
    start: usize,
}

/// Weights `[depth, columns]` in the order in which a block of pixels reads them: panel after panel,
/// in each `depth` rows of its columns.
pub(super) struct Packed {
    values: Aligned<f32>,
    pub(super) panels: Vec<Panel>,
}

impl Packed {
    /// Packs `value(k, column)` for registers of `lanes` scalars, `columns` a multiple of [`PAD`].
    pub(super) fn new(
        lanes: usize,
        depth: usize,
        columns: usize,
        value: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut panels = Vec::new();
        let mut column = 0;
        while column < columns {
            let left = (columns - column) / lanes;
            let registers = if left >= 4 { 4 } else { left.min(2) };
            panels.push(Panel { column, registers, start: depth * column });
            column += registers * lanes;
        }
        let mut values = Aligned::zeros(depth * columns);
        for panel in &panels {
            let width = panel.registers * lanes;
            for k in 0..depth {
                let row = &mut values[panel.start + k * width..][..width];
                for (lane, to) in row.iter_mut().enumerate() {
                    *to = value(k, panel.column + lane);
                }
            }
        }
        Self { values, panels }
    }

    /// The panel's weights.
    pub(super) fn of(&self, panel: Panel) -> *const f32 {
        self.values[panel.start..].as_ptr()
    }
}

/// The sums of a block: `MR` pixels by `NV` registers of columns.
pub(super) type Sums<L, const MR: usize, const NV: usize> = [[L; NV]; MR];

/// Adds to `sums` the product of `depth` scalars at each of `rows` with the packed rows at `weights`,
/// and returns where the next packed row is.
///
/// # Safety
/// The contract of [`Lanes`]; each row must be valid for `depth` reads, and `weights` for `depth` rows
/// of `NV` registers.
#[inline(always)]
pub(super) unsafe fn gather<L: Lanes<Elem = f32>, const MR: usize, const NV: usize>(
    sums: &mut Sums<L, MR, NV>,
    rows: &[*const f32; MR],
    offset: isize,
    depth: usize,
    weights: *const f32,
) -> *const f32 {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = *rows;
        for row in &mut rows {
            *row = row.offset(offset);
        }
        let mut weights = weights;
        let mut own = *sums;
        for k in 0..depth {
            let mut columns = [L::splat(0.0); NV];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = L::load(weights.add(v * L::N));
            }
            for (row, sums) in rows.iter().zip(own.iter_mut()) {
                let a = L::splat(*row.add(k));
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    *sum = a.mul_add(column, *sum);
                }
            }
            weights = weights.add(NV * L::N);
        }
        *sums = own;
        weights
    }
}

/// Runs of pixels over which an outer product sums: `runs` of `length` pixels each.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    pub(super) runs: usize,
    pub(super) length: usize,
    /// From a run to the next, and from a pixel to the next, in `a` and in `b`.
    pub(super) a_steps: [usize; 2],
    pub(super) b_steps: [usize; 2],
}

/// `w[k, columns] += Σ a[p, k] b[p, columns]` over the pixels of `runs`, for `channels` values of k and
/// `columns` columns, a multiple of [`PAD`].
///
/// # Safety
/// The contract of [`Lanes`]; `a` and `b` must be valid at every pixel of the runs, and `w` for
/// `channels` rows of `w_stride >= columns` scalars.
#[inline(always)]
pub(super) unsafe fn outer<L: Lanes<Elem = f32>>(
    a: *const f32,
    channels: usize,
    b: *const f32,
    columns: usize,
    runs: Runs,
    w: *mut f32,
    w_stride: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut column = 0;
        while column < columns {
            let left = (columns - column) / L::N;
            let (b, w) = (b.add(column), w.add(column));
            if left >= 4 {
                outer_panel::<L, 4>(a, channels, b, runs, w, w_stride);
                column += 4 * L::N;
            } else if left >= 2 {
                outer_panel::<L, 2>(a, channels, b, runs, w, w_stride);
                column += 2 * L::N;
            } else {
                outer_panel::<L, 1>(a, channels, b, runs, w, w_stride);
                column += L::N;
            }
        }
    }
}

#[inline(always)]
unsafe fn outer_panel<L: Lanes<Elem = f32>, const NV: usize>(
    a: *const f32,
    channels: usize,
    b: *const f32,
    runs: Runs,
    w: *mut f32,
    w_stride: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        if L::N >= 16 {
            outer_rows::<L, WIDE_ROWS, NV>(a, channels, b, runs, w, w_stride);
        } else {
            outer_rows::<L, NARROW_ROWS, NV>(a, channels, b, runs, w, w_stride);
        }
    }
}

#[inline(always)]
unsafe fn outer_rows<L: Lanes<Elem = f32>, const MR: usize, const NV: usize>(
    a: *const f32,
    channels: usize,
    b: *const f32,
    runs: Runs,
    w: *mut f32,
    w_stride: usize,
) {
    let Runs { runs, length, a_steps, b_steps } = runs;
    let mut channel = 0;
    while channel < channels {
        // Beyond the last channel the last one is computed again, and not stored.
        let rows = MR.min(channels - channel);
        let mut at = [0_usize; MR];
        for (r, at) in at.iter_mut().enumerate() {
            *at = channel + r.min(rows - 1);
        }
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[L::splat(0.0); NV]; MR];
            for run in 0..runs {
                let mut a = a.add(run * a_steps[0]);
                let mut b = b.add(run * b_steps[0]);
                for _ in 0..length {
                    let mut values = [L::splat(0.0); NV];
                    for (v, value) in values.iter_mut().enumerate() {
                        *value = L::load(b.add(v * L::N));
                    }
                    for (&at, sums) in at.iter().zip(sums.iter_mut()) {
                        let a = L::splat(*a.add(at));
                        for (sum, &value) in sums.iter_mut().zip(&values) {
                            *sum = a.mul_add(value, *sum);
                        }
                    }
                    a = a.add(a_steps[1]);
                    b = b.add(b_steps[1]);
                }
            }
            for (r, sums) in sums.iter().enumerate().take(rows) {
                let w = w.add((channel + r) * w_stride);
                for (v, &sum) in sums.iter().enumerate() {
                    let to = w.add(v * L::N);
                    L::load(to).add(sum).store(to);
                }
            }
        }
        channel += rows;
    }
}

/// Stores the first `width` of a register's columns, which `column` begins.
///
/// # Safety
/// The contract of [`Lanes`], and `to` must be valid for `width - column` scalars at most.
#[inline(always)]
pub(super) unsafe fn store_part<L: Lanes<Elem = f32>>(
    value: L,
    to: *mut f32,
    column: usize,
    width: usize,
) {
    // SAFETY: the caller's; the array holds any register.
    unsafe {
        if column + L::N <= width {
            value.store(to);
        } else if column < width {
            let mut part = [0.0_f32; 16];
            value.store(part.as_mut_ptr());
            core::ptr::copy_nonoverlapping(part.as_ptr(), to, width - column);
        }
    }
}

/// Loads what [`store_part`] stores; the rest is zero.
///
/// # Safety
/// As for [`store_part`].
#[inline(always)]
pub(super) unsafe fn load_part<L: Lanes<Elem = f32>>(
    from: *const f32,
    column: usize,
    width: usize,
) -> L {
    // SAFETY: the caller's; the array holds any register.
    unsafe {
        if column + L::N <= width {
            return L::load(from);
        }
        let mut part = [0.0_f32; 16];
        if column < width {
            core::ptr::copy_nonoverlapping(from, part.as_mut_ptr(), width - column);
        }
        L::load(part.as_ptr())
    }
}

/// How a batch is cut: into tiles that are computed at a time, and tiles into groups that one task
/// takes, each with its own sums of weight gradients. A function of the shapes alone, so that the order
/// of every summation is too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// Images of a tile.
    pub(super) tile: usize,
    /// Images of a group; its last tile may have fewer, and so may the last group.
    pub(super) group: usize,
}

/// Most tasks of an op; each has a copy of the weights' gradients.
const GROUPS: usize = 20;
/// What a tile's largest map may take of the second-level cache.
const TILE_BYTES: usize = 1 << 20;

impl Tiles {
    /// For `batch` images whose largest map has `scalars` scalars.
    pub(super) fn of(batch: usize, scalars: usize) -> Self {
        let most = (TILE_BYTES / (scalars * size_of::<f32>()).max(1)).clamp(1, batch.max(1));
        let per_group = batch.div_ceil(GROUPS).max(1);
        let tile = per_group.div_ceil(per_group.div_ceil(most));
        Self { tile, group: per_group }
    }
}

/// Room for `len` scalars that somebody will write, every one: clearing it first would be a pass over
/// memory that one core makes while the others wait.
pub(super) fn room(len: usize) -> Vec<MaybeUninit<f32>> {
    let mut room = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and uninitialised values need no initialisation.
    unsafe { room.set_len(len) };
    room
}

/// The scalars, all of them written.
///
/// # Safety
/// Every element must have been written.
pub(super) unsafe fn written(room: Vec<MaybeUninit<f32>>) -> Vec<f32> {
    let mut room = core::mem::ManuallyDrop::new(room);
    // SAFETY: the same allocation with the same layout; the elements are initialised by the contract.
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}
