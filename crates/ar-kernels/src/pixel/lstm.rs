//! The recurrent layers and their gradients on slices.
//!
//! A tile of images is walked wavefront by wavefront (rows, or diagonals of valid cells alone). A block
//! of cells against the four gates of a register of units is one product over the cells' inputs and the
//! states before them; the gates follow while the sums are in registers, so that no pre-activation is
//! ever stored. What is stored for the backward pass is the gates and c of each cell; h = o tanh(c) is
//! computed again.
//!
//! Backward, wavefronts run the other way: ∂L/∂h of a cell gathers from the cells that saw it, the
//! gates' derivatives follow in registers, and the gradients of inputs and weights are products over
//! the whole tile afterwards.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use rayon::prelude::*;

use super::convolution::{add, load_pixel, product, weight_gradients};
use super::product::{
    Map, NARROW_ROWS, Packed, Sums, Tiles, WIDE_ROWS, gather, padded, room, store_part, written,
};
use super::{Direction, Image, Lstm, Parameters};
use crate::simd::{Aligned, Isa, Lanes, dispatch};

impl Direction {
    /// The wavefronts: cells that depend on no other of their wavefront.
    fn wavefronts(&self, [height, width]: [usize; 2]) -> Vec<Vec<[usize; 2]>> {
        match self.cell_tap {
            [-1, 0] => (0..height).map(|r| (0..width).map(|c| [r, c]).collect()).collect(),
            [_, side] => (0..height + width - 1)
                .map(|t| {
                    let rows = t.saturating_sub(width - 1)..=t.min(height - 1);
                    let column = |r: usize| if side < 0 { t - r } else { width - 1 - (t - r) };
                    rows.map(|r| [r, column(r)]).collect()
                })
                .collect(),
        }
    }

    /// The border cells that stand for the state before the first.
    fn border(&self, [height, width]: [usize; 2]) -> Vec<[isize; 2]> {
        match self.cell_tap {
            [-1, 0] => (0..width as isize).map(|c| [-1, c]).collect(),
            [_, side] => {
                let column = if side < 0 { -1 } else { width as isize };
                (0..height as isize).map(|r| [r, column]).collect()
            }
        }
    }
}

/// What an op on a batch knows beside its numbers.
struct Plan<'a> {
    spec: &'a Lstm,
    image: Image,
    /// Channels of the layer's map.
    channels: usize,
    hidden: usize,
    bias_rows: usize,
    directions: Vec<Direction>,
    /// The wavefronts of each direction.
    waves: Vec<Vec<Vec<Cell>>>,
    borders: Vec<Vec<[isize; 2]>>,
    tiles: Tiles,
    parameters: Parameters<'a>,
}

/// A cell of a wavefront of a tile, and where its numbers are. Wavefronts hold one image after the
/// other, so that a tile of fewer images takes a beginning of each.
#[derive(Clone, Copy)]
struct Cell {
    image: usize,
    /// In the maps of the input, the states and the gates.
    input: usize,
    state: usize,
    gate: usize,
    /// In what is kept, counted in pixels, and of the cell that c comes from, if there is one.
    pixel: usize,
    before: Option<usize>,
    /// In the map of the states, where the result enters, if it does.
    enters: Option<usize>,
}

/// One cell around the image.
const BORDER: [usize; 4] = [1; 4];

impl Plan<'_> {
    fn units(&self) -> usize {
        padded(self.hidden)
    }
    fn pixels(&self) -> usize {
        self.image.pixels()
    }
    fn input_map(&self) -> Map {
        Map::new(self.image.size(), BORDER, self.channels)
    }
    fn state_map(&self) -> Map {
        Map::new(self.image.size(), BORDER, self.units())
    }
    fn gate_map(&self) -> Map {
        Map::new(self.image.size(), BORDER, 4 * self.units())
    }
    /// Scalars of the gates and of the cells that an image keeps, in all directions.
    fn kept(&self) -> [usize; 2] {
        let units = self.directions.len() * self.pixels() * self.units();
        [4 * units, units]
    }
    fn input_weight(&self, direction: usize, k: usize, gate: usize, unit: usize) -> f32 {
        let depth = self.directions[direction].input_taps.len() * self.channels;
        let row = direction * depth + k;
        self.parameters.input_to_state[(row * 4 + gate) * self.hidden + unit]
    }
    fn state_weight(&self, direction: usize, k: usize, gate: usize, unit: usize) -> f32 {
        let depth = self.directions[direction].state_taps.len() * self.hidden;
        let row = direction * depth + k;
        self.parameters.state_to_state[(row * 4 + gate) * self.hidden + unit]
    }
    /// The wavefronts of a direction over a whole tile.
    fn cells(&self, direction: &Direction) -> Vec<Vec<Cell>> {
        let (inputs, states, gates) = (self.input_map(), self.state_map(), self.gate_map());
        let Image { height, width, .. } = self.image;
        let cell = |image: usize, [row, column]: [usize; 2]| {
            let (i, j) = (row as isize, column as isize);
            let pixel = |row: usize, column: usize| image * height * width + row * width + column;
            let [up, side] = direction.cell_tap;
            let before = row.checked_add_signed(up).zip(column.checked_add_signed(side));
            let lower = row + direction.shift;
            Cell {
                image,
                input: inputs.at(image, i, j),
                state: states.at(image, i, j),
                gate: gates.at(image, i, j),
                pixel: pixel(row, column),
                before: before.filter(|&(_, c)| c < width).map(|(r, c)| pixel(r, c)),
                enters: (lower < height).then(|| states.at(image, lower as isize, j)),
            }
        };
        let waves = direction.wavefronts(self.image.size());
        waves
            .iter()
            .map(|wave| {
                let images = 0..self.tiles.tile;
                images
                    .flat_map(|image| wave.iter().map(move |&at| (image, at)))
                    .map(|(image, at)| cell(image, at))
                    .collect()
            })
            .collect()
    }

    /// The first cells of a wavefront, those of `images` images.
    fn of_images<'w>(&self, wave: &'w [Cell], images: usize) -> &'w [Cell] {
        &wave[..wave.len() / self.tiles.tile * images]
    }

    /// h₀ and c₀ of a direction.
    fn initial(&self, direction: usize) -> [&[f32]; 2] {
        let both = &self.parameters.initial[direction * 2 * self.hidden..][..2 * self.hidden];
        let (h, c) = both.split_at(self.hidden);
        [h, c]
    }
}

fn plan<'a>(spec: &'a Lstm, image: Image, x: &[f32], parameters: Parameters<'a>) -> Plan<'a> {
    let pixels = image.pixels();
    let channels = x.len() / (image.batch * pixels);
    let directions = spec.directions();
    let count = directions.len();
    let hidden = parameters.initial.len() / (2 * count);
    let [inputs, states] = [directions[0].input_taps.len(), directions[0].state_taps.len()];
    assert_eq!(
        x.len(),
        image.batch * pixels * channels,
        "x must be [batch, height, width, channels]"
    );
    let Parameters { input_to_state, state_to_state, bias, initial, up, up_bias } = parameters;
    assert_eq!(initial.len(), count * 2 * hidden, "initial must be [directions, 2, hidden]");
    assert_eq!(
        input_to_state.len(),
        count * inputs * channels * 4 * hidden,
        "input_to_state must be [directions, taps, channels, 4 hidden]"
    );
    assert_eq!(
        state_to_state.len(),
        count * states * hidden * 4 * hidden,
        "state_to_state must be [directions, taps, hidden, 4 hidden]"
    );
    let bias_rows = bias.len() / (count * 4 * hidden);
    assert!(
        bias.len() == count * bias_rows * 4 * hidden
            && (bias_rows == 1 || bias_rows == image.batch),
        "bias must be [directions, 1 or batch, 4 hidden]"
    );
    assert_eq!(up.len(), hidden * channels, "up must be [hidden, channels]");
    assert_eq!(up_bias.len(), channels, "up_bias must be [channels]");
    let tiles = Tiles::of(image.batch, pixels * 4 * padded(hidden));
    let borders = directions.iter().map(|d| d.border(image.size())).collect();
    let waves = Vec::new();
    let mut plan = Plan {
        spec,
        image,
        channels,
        hidden,
        bias_rows,
        directions,
        waves,
        borders,
        tiles,
        parameters,
    };
    plan.waves = plan.directions.iter().map(|direction| plan.cells(direction)).collect();
    plan
}

/// Weights of the forward pass, packed.
struct ForwardWeights {
    /// Per direction: inputs, then states, against panels of the four gates of a register of units.
    gates: Vec<Packed>,
    /// Per direction: `[bias rows, 4 units]`.
    biases: Vec<Vec<f32>>,
    up: Packed,
    up_bias: Vec<f32>,
}

impl ForwardWeights {
    fn of(plan: &Plan<'_>, lanes: usize) -> Self {
        let (hidden, units) = (plan.hidden, plan.units());
        let Parameters { bias, up, up_bias, .. } = plan.parameters;
        let gates = plan.directions.iter().enumerate().map(|(d, direction)| {
            let inputs = direction.input_taps.len() * plan.channels;
            let depth = inputs + direction.state_taps.len() * hidden;
            Packed::new(lanes, depth, 4 * units, |k, column| {
                let (panel, gate, lane) =
                    (column / (4 * lanes), column / lanes % 4, column % lanes);
                let unit = panel * lanes + lane;
                if unit >= hidden {
                    0.0
                } else if k < inputs {
                    plan.input_weight(d, k, gate, unit)
                } else {
                    plan.state_weight(d, k - inputs, gate, unit)
                }
            })
        });
        let biases = bias.chunks_exact(plan.bias_rows * 4 * hidden).map(|rows| {
            let mut padded = vec![0.0; plan.bias_rows * 4 * units];
            for (to, from) in padded.chunks_exact_mut(units).zip(rows.chunks_exact(hidden)) {
                to[..hidden].copy_from_slice(from);
            }
            padded
        });
        let columns = padded(plan.channels);
        let mut padded_bias = vec![0.0; columns];
        padded_bias[..plan.channels].copy_from_slice(up_bias);
        Self {
            gates: gates.collect(),
            biases: biases.collect(),
            up: Packed::new(lanes, hidden, columns, |k, channel| {
                if channel < plan.channels { up[k * plan.channels + channel] } else { 0.0 }
            }),
            up_bias: padded_bias,
        }
    }
}

/// What a layer computes: its map, and what the backward pass needs of the way there.
pub(super) struct Forward {
    /// `[batch, height, width, channels]`
    pub(super) y: Vec<f32>,
    /// Activated gates and cells, each empty if they are to be computed again.
    pub(super) gates: Vec<f32>,
    pub(super) cells: Vec<f32>,
}

/// The layer.
pub(super) fn forward(
    spec: &Lstm,
    image: Image,
    x: &[f32],
    parameters: Parameters<'_>,
    keep: bool,
) -> Forward {
    let plan = plan(spec, image, x, parameters);
    let isa = Isa::detect();
    let weights = ForwardWeights::of(&plan, isa.lanes());
    let [gate_len, cell_len] = plan.kept().map(|len| if keep { len } else { 0 });
    let mut y = room(x.len());
    let mut gates = room(image.batch * gate_len);
    let mut cells = room(image.batch * cell_len);
    let (group, scalars) = (plan.tiles.group, plan.pixels() * plan.channels);
    let mut parts = Vec::new();
    let (mut gates_left, mut cells_left) = (gates.as_mut_slice(), cells.as_mut_slice());
    for (index, (x, y)) in x.chunks(group * scalars).zip(y.chunks_mut(group * scalars)).enumerate()
    {
        let images = x.len() / scalars;
        let (gates, rest) = gates_left.split_at_mut(images * gate_len);
        gates_left = rest;
        let (cells, rest) = cells_left.split_at_mut(images * cell_len);
        cells_left = rest;
        parts.push(ForwardPart { first: index * group, x, y, gates, cells });
    }
    parts.into_par_iter().for_each(|part| forward_on(isa, &plan, &weights, part));
    // SAFETY: every group wrote every channel and unit of each of its pixels.
    let [y, gates, cells] = [y, gates, cells].map(|room| unsafe { written(room) });
    Forward { y, gates, cells }
}

/// What a group of images reads and writes in the forward pass.
struct ForwardPart<'a> {
    first: usize,
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
    gates: &'a mut [MaybeUninit<f32>],
    cells: &'a mut [MaybeUninit<f32>],
}

dispatch! {
    fn forward_on(
        plan: &Plan<'_>, weights: &ForwardWeights, part: ForwardPart<'_>,
    ) = forward_group
}

/// The maps of a tile that every pass needs.
struct Tile {
    input: Aligned<f32>,
    /// h of each direction.
    states: Vec<Aligned<f32>>,
    /// h of all directions, where it enters.
    sum: Aligned<f32>,
}

impl Tile {
    fn new(plan: &Plan<'_>) -> Self {
        let tile = plan.tiles.tile;
        let map = plan.state_map();
        let states = (0..plan.directions.len()).map(|d| {
            let mut state = Aligned::zeros(map.len(tile));
            for image in 0..tile {
                for &[row, column] in &plan.borders[d] {
                    let at = map.at(image, row, column);
                    state[at..at + plan.hidden].copy_from_slice(plan.initial(d)[0]);
                }
            }
            state
        });
        let states = states.collect();
        let sum = Aligned::zeros(plan.state_map().len(tile));
        Self { input: Aligned::zeros(plan.input_map().len(tile)), states, sum }
    }

    /// The sum over directions of h, each as much lower as it enters.
    fn add_up(&mut self, plan: &Plan<'_>, images: usize) {
        let map = plan.state_map();
        let width = plan.image.width * map.stride;
        for image in 0..images {
            for row in 0..plan.image.height {
                let at = map.at(image, row as isize, 0);
                let sum = &mut self.sum[at..at + width];
                sum.fill(0.0);
                for (direction, state) in plan.directions.iter().zip(&self.states) {
                    if let Some(from) = row.checked_sub(direction.shift) {
                        let at = map.at(image, from as isize, 0);
                        add(sum, &state[at..at + width]);
                    }
                }
            }
        }
    }
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn forward_group<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    plan: &Plan<'_>,
    weights: &ForwardWeights,
    part: ForwardPart<'_>,
) {
    let ForwardPart { first, x, y, gates, cells } = part;
    let (tile, channels) = (plan.tiles.tile, plan.channels);
    let scalars = plan.pixels() * channels;
    let [gate_len, cell_len] = plan.kept();
    let keep = !gates.is_empty();
    let mut scratch = Tile::new(plan);
    let mut own = (!keep).then(|| [room(tile * gate_len), room(tile * cell_len)]);
    let tiles = x.chunks(tile * scalars).zip(y.chunks_mut(tile * scalars));
    for (index, (x, y)) in tiles.enumerate() {
        let images = x.len() / scalars;
        let start = index * tile;
        let (gates, cells) = match &mut own {
            Some([gates, cells]) => (gates.as_mut_slice(), cells.as_mut_slice()),
            None => (
                &mut gates[start * gate_len..][..images * gate_len],
                &mut cells[start * cell_len..][..images * cell_len],
            ),
        };
        // SAFETY: the caller's.
        unsafe {
            recur::<L>(plan, weights, first + start, x, gates, cells, &mut scratch);
            scratch.add_up(plan, images);
            let (state, residual) = (plan.state_map(), plan.spec.residual);
            product::<L>(
                plan.image,
                &state,
                &scratch.sum,
                &[0],
                plan.hidden,
                &weights.up,
                images * plan.pixels(),
                |pixel, column, register| {
                    let column = column + register * L::N;
                    let bias = L::load(weights.up_bias.as_ptr().add(column));
                    if residual {
                        bias.add(load_pixel::<L>(x, pixel, column, channels))
                    } else {
                        bias
                    }
                },
                |pixel, column, value| {
                    let to = y.as_mut_ptr().cast::<f32>().add(pixel * channels + column);
                    store_part(value, to, column, channels);
                },
            );
        }
    }
}

/// The recurrence of a tile in all directions: fills its gates, cells and states.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn recur<L: Lanes<Elem = f32>>(
    plan: &Plan<'_>,
    weights: &ForwardWeights,
    first: usize,
    x: &[f32],
    gates: &mut [MaybeUninit<f32>],
    cells: &mut [MaybeUninit<f32>],
    tile: &mut Tile,
) {
    let images = x.len() / (plan.pixels() * plan.channels);
    plan.input_map().fill(plan.image.size(), plan.channels, x, &mut tile.input, |x| x);
    let units = plan.units();
    for d in 0..plan.directions.len() {
        let mut initial = vec![0.0; units];
        initial[..plan.hidden].copy_from_slice(plan.initial(d)[1]);
        let walk = Walk {
            plan,
            d,
            first,
            biases: &weights.biases[d],
            initial_cell: &initial,
            input: &tile.input,
            start: d * images * plan.pixels() * units,
        };
        for wave in &plan.waves[d] {
            let wave = plan.of_images(wave, images);
            for &panel in &weights.gates[d].panels {
                // SAFETY: the caller's.
                unsafe {
                    let panel_weights = weights.gates[d].of(panel);
                    let unit = panel.column / 4;
                    let state = &mut tile.states[d];
                    if L::N >= 16 {
                        walk.panel::<L, WIDE_ROWS>(wave, unit, panel_weights, gates, cells, state);
                    } else {
                        walk.panel::<L, NARROW_ROWS>(
                            wave,
                            unit,
                            panel_weights,
                            gates,
                            cells,
                            state,
                        );
                    }
                }
            }
        }
    }
}

/// One direction of a tile's recurrence.
struct Walk<'a> {
    plan: &'a Plan<'a>,
    d: usize,
    first: usize,
    biases: &'a [f32],
    initial_cell: &'a [f32],
    input: &'a [f32],
    /// Where the direction's cells begin, in units.
    start: usize,
}

impl Walk<'_> {
    /// A register of units of all cells of a wavefront.
    #[inline(always)]
    unsafe fn panel<L: Lanes<Elem = f32>, const MR: usize>(
        &self,
        wave: &[Cell],
        unit: usize,
        weights: *const f32,
        gates: &mut [MaybeUninit<f32>],
        cells: &mut [MaybeUninit<f32>],
        states: &mut [f32],
    ) {
        let plan = self.plan;
        let direction = &plan.directions[self.d];
        let (inputs, state) = (plan.input_map(), plan.state_map());
        let units = plan.units();
        let count = wave.len();
        let cells = cells[self.start..].as_mut_ptr().cast::<f32>();
        let gates = gates[4 * self.start..].as_mut_ptr().cast::<f32>();
        let states = states.as_mut_ptr();
        let mut next = 0;
        while next < count {
            let rows = MR.min(count - next);
            // SAFETY: the cells of a wavefront lie in the tile, their taps in the maps' borders.
            unsafe {
                let mut input_at = [self.input.as_ptr(); MR];
                let mut state_at = [states.cast_const(); MR];
                let mut pixel_at = [0_usize; MR];
                let mut before = [self.initial_cell.as_ptr(); MR];
                let mut sums: Sums<L, MR, 4> = [[L::splat(0.0); 4]; MR];
                for r in 0..MR {
                    // Beyond the last cell it is computed again, and not stored.
                    let cell = wave[next + r.min(rows - 1)];
                    input_at[r] = input_at[r].add(cell.input);
                    state_at[r] = state_at[r].add(cell.state);
                    pixel_at[r] = cell.pixel;
                    if let Some(at) = cell.before {
                        before[r] = cells.cast_const().add(at * units);
                    }
                    let bias_row = if plan.bias_rows == 1 { 0 } else { self.first + cell.image };
                    let bias = self.biases.as_ptr().add(bias_row * 4 * units + unit);
                    for (gate, sum) in sums[r].iter_mut().enumerate() {
                        *sum = L::load(bias.add(gate * units));
                    }
                }
                let mut weights = weights;
                for &tap in &direction.input_taps {
                    let offset = inputs.offset(tap);
                    weights = gather(&mut sums, &input_at, offset, plan.channels, weights);
                }
                for &tap in &direction.state_taps {
                    let offset = state.offset(tap);
                    weights = gather(&mut sums, &state_at, offset, plan.hidden, weights);
                }
                for r in 0..rows {
                    let [o, f, i, g] = sums[r];
                    let (o, f, i, g) = (o.sigmoid(), f.sigmoid(), i.sigmoid(), g.tanh());
                    let c = f.mul_add(L::load(before[r].add(unit)), i.mul(g));
                    let h = o.mul(c.tanh());
                    let kept = gates.add(pixel_at[r] * 4 * units + unit);
                    o.store(kept);
                    f.store(kept.add(units));
                    i.store(kept.add(2 * units));
                    g.store(kept.add(3 * units));
                    c.store(cells.add(pixel_at[r] * units + unit));
                    h.store(state_at[r].cast_mut().add(unit));
                }
            }
            next += rows;
        }
    }
}

/// Gradients of a layer; shapes as the parameters'.
pub(super) struct Gradients {
    /// `[batch, height, width, channels]`
    pub(super) x: Vec<f32>,
    pub(super) input_to_state: Vec<f32>,
    pub(super) state_to_state: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) initial: Vec<f32>,
    pub(super) up: Vec<f32>,
    pub(super) up_bias: Vec<f32>,
}

/// Weights of the backward pass, transposed and packed.
struct BackwardWeights {
    /// Per direction: from the gates of the cells that saw a state to its units.
    states: Vec<Packed>,
    /// From the gates of all directions to the channels of the input.
    inputs: Vec<Packed>,
    /// From the channels of the map to the units.
    up: Packed,
    /// What the forward pass needs, if it is to be computed again.
    forward: Option<ForwardWeights>,
}

impl BackwardWeights {
    fn of(plan: &Plan<'_>, lanes: usize, again: bool) -> Self {
        let (hidden, units, channels) = (plan.hidden, plan.units(), plan.channels);
        let split = |k: usize| (k / (4 * units), k / units % 4, k % units);
        let states = plan.directions.iter().enumerate().map(|(d, direction)| {
            Packed::new(lanes, direction.state_taps.len() * 4 * units, units, |k, to| {
                let (tap, gate, unit) = split(k);
                if to < hidden && unit < hidden {
                    plan.state_weight(d, tap * hidden + to, gate, unit)
                } else {
                    0.0
                }
            })
        });
        let inputs = plan.directions.iter().enumerate().map(|(d, direction)| {
            let depth = direction.input_taps.len() * 4 * units;
            Packed::new(lanes, depth, padded(channels), |k, to| {
                let (tap, gate, unit) = split(k);
                if to < channels && unit < hidden {
                    plan.input_weight(d, tap * channels + to, gate, unit)
                } else {
                    0.0
                }
            })
        });
        Self {
            states: states.collect(),
            inputs: inputs.collect(),
            up: Packed::new(lanes, channels, units, |channel, unit| {
                if unit < hidden { plan.parameters.up[unit * channels + channel] } else { 0.0 }
            }),
            forward: again.then(|| ForwardWeights::of(plan, lanes)),
        }
    }
}

/// What a group of images reads and writes in the backward pass.
struct BackwardPart<'a> {
    first: usize,
    x: &'a [f32],
    grad: &'a [f32],
    gates: &'a [f32],
    cells: &'a [f32],
    dx: &'a mut [MaybeUninit<f32>],
}

/// A group's sums of gradients, units padded.
struct GradientSums {
    input_to_state: Vec<Vec<f32>>,
    state_to_state: Vec<Vec<f32>>,
    bias: Vec<f32>,
    initial: Vec<f32>,
    up: Vec<f32>,
    up_bias: Vec<f32>,
}

impl GradientSums {
    fn zeros(plan: &Plan<'_>) -> Self {
        let units = plan.units();
        let zeros = |rows: fn(&Direction) -> usize, depth: usize| -> Vec<Vec<f32>> {
            let len = |d: &Direction| rows(d) * depth * 4 * units;
            plan.directions.iter().map(|d| vec![0.0; len(d)]).collect()
        };
        let count = plan.directions.len();
        Self {
            input_to_state: zeros(|d| d.input_taps.len(), plan.channels),
            state_to_state: zeros(|d| d.state_taps.len(), plan.hidden),
            bias: vec![0.0; count * plan.bias_rows * 4 * units],
            initial: vec![0.0; count * 2 * units],
            up: vec![0.0; plan.hidden * padded(plan.channels)],
            up_bias: vec![0.0; plan.channels],
        }
    }

    fn add(&mut self, other: &Self) {
        for (to, from) in self.input_to_state.iter_mut().zip(&other.input_to_state) {
            add(to, from);
        }
        for (to, from) in self.state_to_state.iter_mut().zip(&other.state_to_state) {
            add(to, from);
        }
        add(&mut self.bias, &other.bias);
        add(&mut self.initial, &other.initial);
        add(&mut self.up, &other.up);
        add(&mut self.up_bias, &other.up_bias);
    }
}

/// `[rows, width]` of `[rows, padded]`.
fn unpadded(values: &[f32], padded: usize, width: usize) -> Vec<f32> {
    values.chunks_exact(padded).flat_map(|row| row[..width].iter().copied()).collect()
}

/// The gradients of a layer from that of its map. `kept` is what [`forward`] kept, empty slices if it
/// kept nothing.
pub(super) fn backward(
    spec: &Lstm,
    image: Image,
    x: &[f32],
    parameters: Parameters<'_>,
    kept: [&[f32]; 2],
    grad: &[f32],
) -> Gradients {
    let plan = plan(spec, image, x, parameters);
    assert_eq!(grad.len(), x.len(), "the gradient is of the layer's map");
    let isa = Isa::detect();
    let again = kept[0].is_empty();
    let weights = BackwardWeights::of(&plan, isa.lanes(), again);
    let [gate_len, cell_len] = plan.kept().map(|len| if again { 0 } else { len });
    let (group, scalars) = (plan.tiles.group, plan.pixels() * plan.channels);
    let mut dx = room(x.len());
    let parts: Vec<BackwardPart<'_>> = dx
        .chunks_mut(group * scalars)
        .enumerate()
        .map(|(index, dx)| {
            let (first, images) = (index * group, dx.len() / scalars);
            BackwardPart {
                first,
                x: &x[first * scalars..][..dx.len()],
                grad: &grad[first * scalars..][..dx.len()],
                gates: &kept[0][first * gate_len..][..images * gate_len],
                cells: &kept[1][first * cell_len..][..images * cell_len],
                dx,
            }
        })
        .collect();
    let groups: Vec<GradientSums> = parts
        .into_par_iter()
        .map(|part| {
            let mut sums = GradientSums::zeros(&plan);
            backward_on(isa, &plan, &weights, part, &mut sums);
            sums
        })
        .collect();
    let mut total = GradientSums::zeros(&plan);
    for sums in &groups {
        total.add(sums);
    }
    let (units, hidden) = (plan.units(), plan.hidden);
    // SAFETY: every group wrote every channel of each of its pixels.
    let x = unsafe { written(dx) };
    Gradients {
        x,
        input_to_state: unpadded(&total.input_to_state.concat(), units, hidden),
        state_to_state: unpadded(&total.state_to_state.concat(), units, hidden),
        bias: unpadded(&total.bias, units, hidden),
        initial: unpadded(&total.initial, units, hidden),
        up: unpadded(&total.up, padded(plan.channels), plan.channels),
        up_bias: total.up_bias,
    }
}

dispatch! {
    fn backward_on(
        plan: &Plan<'_>, weights: &BackwardWeights, part: BackwardPart<'_>,
        sums: &mut GradientSums,
    ) = backward_group
}

/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn backward_group<L: Lanes<Elem = f32>>(
    _: PhantomData<L>,
    plan: &Plan<'_>,
    weights: &BackwardWeights,
    part: BackwardPart<'_>,
    sums: &mut GradientSums,
) {
    let BackwardPart { first, x, grad, gates, cells, dx } = part;
    let (tile, channels, units, pixels) =
        (plan.tiles.tile, plan.channels, plan.units(), plan.pixels());
    let (state_map, gate_map, input_map) = (plan.state_map(), plan.gate_map(), plan.input_map());
    // The gradient of the map, its channels padded so that registers can be loaded.
    let grad_map = Map::new(plan.image.size(), [0; 4], padded(channels));
    let [gate_len, cell_len] = plan.kept();
    let mut scratch = Tile::new(plan);
    let mut own = weights.forward.as_ref().map(|_| [room(tile * gate_len), room(tile * cell_len)]);
    let mut map_grad = Aligned::zeros(grad_map.len(tile));
    let mut state_grad = Aligned::<f32>::zeros(state_map.len(tile));
    let mut cell_grad = Aligned::<f32>::zeros(state_map.len(tile));
    let mut gate_grads: Vec<Aligned<f32>> =
        plan.directions.iter().map(|_| Aligned::zeros(gate_map.len(tile))).collect();
    let scalars = pixels * channels;
    for start in (0..x.len() / scalars).step_by(tile) {
        let images = tile.min(x.len() / scalars - start);
        let x = &x[start * scalars..][..images * scalars];
        let grad = &grad[start * scalars..][..images * scalars];
        let dx = &mut dx[start * scalars..][..images * scalars];
        // SAFETY: the caller's lane contract; every map holds the tile with its border.
        unsafe {
            let (gates, cells): (&[f32], &[f32]) = match (&mut own, &weights.forward) {
                (Some([gates, cells]), Some(forward)) => {
                    recur::<L>(plan, forward, first + start, x, gates, cells, &mut scratch);
                    // What this tile's images need of them has just been written.
                    (
                        core::slice::from_raw_parts(gates.as_ptr().cast(), images * gate_len),
                        core::slice::from_raw_parts(cells.as_ptr().cast(), images * cell_len),
                    )
                }
                _ => {
                    let gates = &gates[start * gate_len..][..images * gate_len];
                    let cells = &cells[start * cell_len..][..images * cell_len];
                    let input = &mut scratch.input;
                    input_map.fill(plan.image.size(), channels, x, input, |x| x);
                    states::<L>(plan, images, gates, cells, &mut scratch.states);
                    (gates, cells)
                }
            };
            scratch.add_up(plan, images);
            grad_map.fill(plan.image.size(), channels, grad, &mut map_grad, |g| g);
            for grad in grad.chunks_exact(channels) {
                add(&mut sums.up_bias, grad);
            }
            weight_gradients::<L>(
                plan.image,
                images,
                &[[0, 0]],
                plan.hidden,
                padded(channels),
                &state_map,
                &scratch.sum,
                &grad_map,
                &map_grad,
                &mut sums.up,
            );
            let state_grad_at = |pixel: usize| {
                let (image, at) = (pixel / pixels, pixel % pixels);
                let (row, column) = (at / plan.image.width, at % plan.image.width);
                state_map.at(image, row as isize, column as isize)
            };
            product::<L>(
                plan.image,
                &grad_map,
                &map_grad,
                &[0],
                channels,
                &weights.up,
                images * pixels,
                |_, _, _| L::splat(0.0),
                |pixel, column, value| {
                    value.store(state_grad.as_mut_ptr().add(state_grad_at(pixel) + column));
                },
            );
            for (d, gate_grad) in gate_grads.iter_mut().enumerate() {
                let mut initial = vec![0.0; units];
                initial[..plan.hidden].copy_from_slice(plan.initial(d)[1]);
                cell_grad.fill(0.0);
                let walk = BackwardWalk {
                    plan,
                    d,
                    images,
                    weights: &weights.states[d],
                    initial_cell: &initial,
                    gates: &gates[4 * d * images * pixels * units..],
                    cells: &cells[d * images * pixels * units..],
                    state_grad: &state_grad,
                };
                for wave in plan.waves[d].iter().rev() {
                    let wave = plan.of_images(wave, images);
                    walk.wave::<L>(wave, &mut cell_grad, gate_grad);
                }
                walk.initial::<L>(
                    &cell_grad,
                    gate_grad,
                    &mut sums.initial[d * 2 * units..(d + 1) * 2 * units],
                );
                let direction = &plan.directions[d];
                weight_gradients::<L>(
                    plan.image,
                    images,
                    &direction.input_taps,
                    channels,
                    4 * units,
                    &input_map,
                    &scratch.input,
                    &gate_map,
                    gate_grad,
                    &mut sums.input_to_state[d],
                );
                weight_gradients::<L>(
                    plan.image,
                    images,
                    &direction.state_taps,
                    plan.hidden,
                    4 * units,
                    &state_map,
                    &scratch.states[d],
                    &gate_map,
                    gate_grad,
                    &mut sums.state_to_state[d],
                );
                for image in 0..images {
                    let row = if plan.bias_rows == 1 { 0 } else { first + start + image };
                    let at = (d * plan.bias_rows + row) * 4 * units;
                    let bias = &mut sums.bias[at..at + 4 * units];
                    for row in 0..plan.image.height {
                        let at = gate_map.at(image, row as isize, 0);
                        let row = &gate_grad[at..at + plan.image.width * 4 * units];
                        for grad in row.chunks_exact(4 * units) {
                            add(bias, grad);
                        }
                    }
                }
                // What a pixel gave to a cell comes back from there.
                let offsets: Vec<isize> =
                    direction.input_taps.iter().map(|tap| -gate_map.offset(*tap)).collect();
                let residual = plan.spec.residual;
                let first_direction = d == 0;
                let dx = dx.as_mut_ptr().cast::<f32>();
                product::<L>(
                    plan.image,
                    &gate_map,
                    gate_grad,
                    &offsets,
                    4 * units,
                    &weights.inputs[d],
                    images * pixels,
                    |pixel, column, register| {
                        let column = column + register * L::N;
                        let at = pixel * channels + column;
                        if !first_direction {
                            super::product::load_part::<L>(dx.add(at), column, channels)
                        } else if residual {
                            load_pixel::<L>(grad, pixel, column, channels)
                        } else {
                            L::splat(0.0)
                        }
                    },
                    |pixel, column, value| {
                        store_part(value, dx.add(pixel * channels + column), column, channels);
                    },
                );
            }
        }
    }
}

/// h = o tanh(c) of every cell of a tile.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn states<L: Lanes<Elem = f32>>(
    plan: &Plan<'_>,
    images: usize,
    gates: &[f32],
    cells: &[f32],
    states: &mut [Aligned<f32>],
) {
    let (map, units, width) = (plan.state_map(), plan.units(), plan.image.width);
    for (d, state) in states.iter_mut().enumerate() {
        let start = d * images * plan.pixels();
        for image in 0..images {
            for row in 0..plan.image.height {
                let first = start + image * plan.pixels() + row * width;
                for pixel in first..first + width {
                    let at = map.at(image, row as isize, (pixel - first) as isize);
                    for unit in (0..units).step_by(L::N) {
                        // SAFETY: the caller's; indices are checked by the slices.
                        unsafe {
                            let o = L::load(gates[pixel * 4 * units + unit..].as_ptr());
                            let c = L::load(cells[pixel * units + unit..].as_ptr());
                            o.mul(c.tanh()).store(state[at + unit..].as_mut_ptr());
                        }
                    }
                }
            }
        }
    }
}

/// One direction of a tile's backward recurrence.
struct BackwardWalk<'a> {
    plan: &'a Plan<'a>,
    d: usize,
    images: usize,
    weights: &'a Packed,
    initial_cell: &'a [f32],
    gates: &'a [f32],
    cells: &'a [f32],
    /// ∂L/∂h where h entered, from above the layer.
    state_grad: &'a [f32],
}

impl BackwardWalk<'_> {
    /// # Safety
    /// The contract of [`Lanes`].
    #[inline(always)]
    unsafe fn wave<L: Lanes<Elem = f32>>(
        &self,
        wave: &[Cell],
        cell_grad: &mut [f32],
        gate_grad: &mut [f32],
    ) {
        for &panel in &self.weights.panels {
            macro_rules! run {
                ($rows:expr, $registers:expr) => {
                    // SAFETY: the caller's.
                    unsafe {
                        self.panel::<L, $rows, $registers>(
                            wave,
                            panel.column,
                            self.weights.of(panel),
                            cell_grad,
                            gate_grad,
                        )
                    }
                };
            }
            match (L::N >= 16, panel.registers) {
                (true, 4) => run!(WIDE_ROWS, 4),
                (true, 2) => run!(WIDE_ROWS, 2),
                (true, _) => run!(WIDE_ROWS, 1),
                (false, 4) => run!(NARROW_ROWS, 4),
                (false, 2) => run!(NARROW_ROWS, 2),
                (false, _) => run!(NARROW_ROWS, 1),
            }
        }
    }

    #[inline(always)]
    unsafe fn panel<L: Lanes<Elem = f32>, const MR: usize, const NV: usize>(
        &self,
        wave: &[Cell],
        unit: usize,
        weights: *const f32,
        cell_grad: &mut [f32],
        gate_grad: &mut [f32],
    ) {
        let plan = self.plan;
        let direction = &plan.directions[self.d];
        let (state, gate) = (plan.state_map(), plan.gate_map());
        let units = plan.units();
        let count = wave.len();
        let cell_grad = cell_grad.as_mut_ptr();
        let gate_grad = gate_grad.as_mut_ptr();
        let mut next = 0;
        while next < count {
            let rows = MR.min(count - next);
            // SAFETY: the cells of a wavefront lie in the tile, what saw them in the maps' borders.
            unsafe {
                let mut gate_at = [gate_grad.cast_const(); MR];
                let mut state_at = [0_usize; MR];
                let mut pixel_at = [0_usize; MR];
                let mut before = [self.initial_cell.as_ptr(); MR];
                let mut sums: Sums<L, MR, NV> = [[L::splat(0.0); NV]; MR];
                for r in 0..MR {
                    let cell = wave[next + r.min(rows - 1)];
                    gate_at[r] = gate_at[r].add(cell.gate);
                    state_at[r] = cell.state;
                    pixel_at[r] = cell.pixel;
                    if let Some(at) = cell.enters {
                        let from = self.state_grad.as_ptr().add(at + unit);
                        for (v, sum) in sums[r].iter_mut().enumerate() {
                            *sum = L::load(from.add(v * L::N));
                        }
                    }
                    if let Some(at) = cell.before {
                        before[r] = self.cells.as_ptr().add(at * units);
                    }
                }
                let mut weights = weights;
                for &tap in &direction.state_taps {
                    let offset = -gate.offset(tap);
                    weights = gather(&mut sums, &gate_at, offset, 4 * units, weights);
                }
                let one = L::splat(1.0);
                let previous = state.offset(direction.cell_tap);
                for r in 0..rows {
                    let kept = self.gates.as_ptr().add(pixel_at[r] * 4 * units);
                    let cell = self.cells.as_ptr().add(pixel_at[r] * units);
                    let carried = cell_grad.add(state_at[r]);
                    let to = gate_at[r].cast_mut();
                    for (v, &dh) in sums[r].iter().enumerate() {
                        let u = unit + v * L::N;
                        let o = L::load(kept.add(u));
                        let f = L::load(kept.add(units + u));
                        let i = L::load(kept.add(2 * units + u));
                        let g = L::load(kept.add(3 * units + u));
                        let t = L::load(cell.add(u)).tanh();
                        let c_before = L::load(before[r].add(u));
                        // ∂L/∂c, by way of h and of the next cell.
                        let slope = t.neg_mul_add(t, one).mul(o);
                        let dc = dh.mul_add(slope, L::load(carried.cast_const().add(u)));
                        let inner = |gate: L| gate.neg_mul_add(gate, gate);
                        dh.mul(t).mul(inner(o)).store(to.add(u));
                        dc.mul(c_before).mul(inner(f)).store(to.add(units + u));
                        dc.mul(g).mul(inner(i)).store(to.add(2 * units + u));
                        dc.mul(i).mul(g.neg_mul_add(g, one)).store(to.add(3 * units + u));
                        dc.mul(f).store(carried.offset(previous).add(u));
                    }
                }
            }
            next += rows;
        }
    }

    /// Adds the gradients of h₀ and c₀: those of the border cells that stand for them.
    ///
    /// # Safety
    /// The contract of [`Lanes`].
    #[inline(always)]
    unsafe fn initial<L: Lanes<Elem = f32>>(
        &self,
        cell_grad: &[f32],
        gate_grad: &[f32],
        sums: &mut [f32],
    ) {
        let plan = self.plan;
        let (units, hidden) = (plan.units(), plan.hidden);
        let (state, gate) = (plan.state_map(), plan.gate_map());
        let direction = &plan.directions[self.d];
        let (dh, dc) = sums.split_at_mut(units);
        // The sum over border cells first: they all have the same weights.
        let mut seen = vec![0.0; 4 * units];
        for (tap, &[row_step, column_step]) in direction.state_taps.iter().enumerate() {
            seen.fill(0.0);
            for image in 0..self.images {
                for &[row, column] in &plan.borders[self.d] {
                    let (row, column) = (row - row_step, column - column_step);
                    if (0..plan.image.height as isize).contains(&row)
                        && (0..plan.image.width as isize).contains(&column)
                    {
                        let at = gate.at(image, row, column);
                        add(&mut seen, &gate_grad[at..at + 4 * units]);
                    }
                }
            }
            for (unit, dh) in dh.iter_mut().enumerate().take(hidden) {
                for (k, seen) in seen.iter().enumerate() {
                    if k % units < hidden {
                        let weight =
                            plan.state_weight(self.d, tap * hidden + unit, k / units, k % units);
                        *dh += seen * weight;
                    }
                }
            }
        }
        for image in 0..self.images {
            for &[row, column] in &plan.borders[self.d] {
                let at = state.at(image, row, column);
                add(dc, &cell_grad[at..at + units]);
            }
        }
    }
}
