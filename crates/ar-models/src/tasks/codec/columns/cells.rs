//! A cell as decisions of the range coder, the same ones for whoever writes and whoever reads.
//!
//! ```text
//! category   which label, or another one;   of another one: which of those in the header
//! number     within the window, missing, below it, above it, or off the lattice
//!            within:      is it in the upper half?   until one index is left, or all that are left are alike
//!            below, above: is it within the next 2^i indices?   for i = j, j + 1, ...   and then as within
//!            off:         its 64 bits
//! ```
//!
//! Each half has the mass of the conditional in it ([`super::mixture`]). Halves of 2^c indices in an interval that is
//! narrow beside every component are alike but for 10^−4 bits, and cost a bit each.

use ar_kernels::columns::{Head, Missing};

use crate::parts::columns::Placed;

use super::lattice::Lattice;
use super::mixture::{Mixture, Point};
use crate::tasks::codec::coder::{Broken, Even, Frequencies, Interval, Reader, Split};

/// Symbols that are decided between at a time; a category of more labels takes several decisions.
const FAN: usize = 64;

/// The share of a real number's mass that all numbers of its format have alike: a number that stands where the density
/// is not, or where the numbers of the format lie too close for it, as at 0, costs its bits and 10 more.
const ALIKE: f64 = 1.0 / 1024.0;

/// What a column of numbers lies on, and in which units its conditional is.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) lattice: Lattice,
    /// The first index of the window, and the logarithm of how many it has.
    window: (i64, u32),
    mean: f64,
    scale: f64,
    list: Option<Placed>,
}

impl Numbers {
    pub(super) fn new(lattice: Lattice, mean: f64, scale: f64, list: Option<Placed>) -> Self {
        Self { lattice, window: lattice.window(mean, scale), mean, scale, list }
    }

    /// Where the cell of an index begins, in standardized units.
    fn start(&self, index: i64) -> f64 {
        (self.lattice.start(index) - self.mean) / self.scale
    }
}

/// How a column is coded.
#[derive(Clone, Debug)]
pub(super) enum Coding {
    /// A category with so many labels in the header beside those of training.
    Category {
        others: usize,
    },
    Numbers(Numbers),
}

/// A cell: its value, and which of the labels in the header it has if that says that it has none of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) value: f64,
    pub(super) other: usize,
}

/// One end of a stream. A writer is told what is decided, a reader says it.
pub(super) trait End {
    fn symbol(&mut self, of: &Frequencies, known: Option<usize>) -> Result<usize, Broken>;
    fn split(&mut self, of: Split, known: Option<bool>) -> Result<bool, Broken>;
    fn even(&mut self, of: Even, known: Option<u32>) -> Result<u32, Broken>;
}

/// What rows that walk together put into a stream.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) intervals: Vec<Interval>,
}

const KNOWN: &str = "a writer knows what it writes";

impl End for Written {
    fn symbol(&mut self, of: &Frequencies, known: Option<usize>) -> Result<usize, Broken> {
        let symbol = known.expect(KNOWN);
        self.intervals.push(of.of(symbol as u8));
        Ok(symbol)
    }

    fn split(&mut self, of: Split, known: Option<bool>) -> Result<bool, Broken> {
        let is_second = known.expect(KNOWN);
        self.intervals.push(of.interval(is_second));
        Ok(is_second)
    }

    fn even(&mut self, of: Even, known: Option<u32>) -> Result<u32, Broken> {
        let symbol = known.expect(KNOWN);
        self.intervals.push(of.interval(symbol));
        Ok(symbol)
    }
}

impl End for Reader<'_> {
    fn symbol(&mut self, of: &Frequencies, _: Option<usize>) -> Result<usize, Broken> {
        self.next(of).map(usize::from)
    }

    fn split(&mut self, of: Split, _: Option<bool>) -> Result<bool, Broken> {
        Reader::split(self, of)
    }

    fn even(&mut self, of: Even, _: Option<u32>) -> Result<u32, Broken> {
        Reader::even(self, of)
    }
}

/// One of `n`, all alike.
fn one_of<E: End>(end: &mut E, n: u64, known: Option<u64>) -> Result<u64, Broken> {
    const PART: u32 = 16;
    if n <= 1 << PART {
        return Ok(end.even(Even(n as u32), known.map(|k| k as u32))?.into());
    }
    let upper = one_of(end, n.div_ceil(1 << PART), known.map(|k| k >> PART))?;
    let lower = end.even(Even(1 << PART), known.map(|k| (k % (1 << PART)) as u32))?;
    let k = upper << PART | u64::from(lower);
    if k < n { Ok(k) } else { Err(Broken) }
}

/// So many bits, the uppermost first.
fn bits<E: End>(end: &mut E, count: u32, known: Option<u64>) -> Result<u64, Broken> {
    let mut left = count;
    let mut value = 0;
    while left > 0 {
        let own = left.min(16);
        left -= own;
        let part = known.map(|known| (known >> left) as u32 & ((1 << own) - 1));
        value = value << own | u64::from(end.even(Even(1 << own), part)?);
    }
    Ok(value)
}

/// Codes cells; holds what it computes with.
#[derive(Debug, Default)]
pub(super) struct CellCoder {
    frequencies: Frequencies,
    weights: Vec<f64>,
    sums: Vec<f64>,
    mixture: Mixture,
    low: Point,
    middle: Point,
    high: Point,
}

impl CellCoder {
    /// A cell whose conditional is that of a head with such outputs.
    pub(super) fn cell<E: End>(
        &mut self,
        end: &mut E,
        coding: &Coding,
        head: &Head,
        outputs: &[f64],
        known: Option<Cell>,
    ) -> Result<Cell, Broken> {
        match (coding, *head) {
            (&Coding::Category { others }, Head::Category { labels, other }) => {
                let label = known.map(|cell| cell.value as usize);
                let label = self.label(end, outputs, other, label)?;
                let other = if label < labels {
                    0
                } else if others == 0 {
                    return Err(Broken);
                } else {
                    one_of(end, others as u64, known.map(|cell| cell.other as u64))? as usize
                };
                Ok(Cell { value: label as f64, other })
            }
            (Coding::Numbers(column), Head::Number { family, floor, missing, .. }) => {
                let (is_missing, outputs) = match missing {
                    Missing::Never(share) => (share, outputs),
                    Missing::Learned => {
                        let e = libm::exp(-outputs[0].abs());
                        let share = if outputs[0] > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                        (share, &outputs[1..])
                    }
                };
                self.mixture.set(outputs, (family, floor), column.list.as_ref());
                let value = self.number(end, column, is_missing, known.map(|cell| cell.value))?;
                Ok(Cell { value, other: 0 })
            }
            _ => unreachable!("a column is coded as its head describes it"),
        }
    }

    /// The index of a label; their number for another one, which has the probability `other`.
    fn label<E: End>(
        &mut self,
        end: &mut E,
        logits: &[f64],
        other: f64,
        known: Option<usize>,
    ) -> Result<usize, Broken> {
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut weights = std::mem::take(&mut self.weights);
        weights.clear();
        weights.extend(logits.iter().map(|logit| libm::exp(logit - most)));
        let sum: f64 = weights.iter().sum();
        weights.push(sum * other / (1.0 - other));
        let label = self.one_of_weights(end, &weights, known);
        self.weights = weights;
        label
    }

    fn one_of_weights<E: End>(
        &mut self,
        end: &mut E,
        weights: &[f64],
        known: Option<usize>,
    ) -> Result<usize, Broken> {
        // One more is no reason for another decision.
        if weights.len() <= FAN + 1 {
            self.frequencies.set_weights(weights);
            return end.symbol(&self.frequencies, known);
        }
        let mut part = FAN;
        while weights.len().div_ceil(part) > FAN {
            part *= FAN;
        }
        self.sums.clear();
        self.sums.extend(weights.chunks(part).map(|chunk| chunk.iter().sum::<f64>()));
        self.frequencies.set_weights(&self.sums);
        let chunk = end.symbol(&self.frequencies, known.map(|label| label / part))?;
        let (start, stop) = (chunk * part, (chunk * part + part).min(weights.len()));
        let within = known.map(|label| label - start);
        Ok(start + self.one_of_weights(end, &weights[start..stop], within)?)
    }

    fn number<E: End>(
        &mut self,
        end: &mut E,
        column: &Numbers,
        is_missing: f64,
        known: Option<f64>,
    ) -> Result<f64, Broken> {
        const MISSING: usize = 1;
        const BELOW: usize = 2;
        const ABOVE: usize = 3;
        const OFF: usize = 4;
        let lattice = column.lattice;
        let (start, bits_of_window) = column.window;
        let index = known.and_then(|x| lattice.index(x));
        let inner = if lattice.is_open() {
            let stop = start + (1 << bits_of_window);
            let [low, high] = [column.start(start), column.start(stop)];
            self.mixture.place(&mut self.low, low);
            self.mixture.place(&mut self.high, high);
            let there = 1.0 - is_missing;
            let inside = self.mixture.mass(&self.low, &self.high);
            let (below, above) = self.mixture.outside(&self.low, &self.high);
            self.weights.clear();
            let of_number = [inside, 0.0, below, above, 0.0].map(|mass| mass * there);
            self.weights.extend(of_number);
            self.weights[MISSING] = is_missing;
            index.map(|index| match index {
                index if index < start => BELOW,
                index if index >= stop => ABOVE,
                _ => 0,
            })
        } else {
            self.mixture.place(&mut self.low, f64::NEG_INFINITY);
            self.mixture.place(&mut self.high, f64::INFINITY);
            self.weights.clear();
            self.weights.extend([1.0 - is_missing, is_missing, 0.0, 0.0, 0.0]);
            index.map(|_| 0)
        };
        let symbol = known.map(|x| if x.is_nan() { MISSING } else { inner.unwrap_or(OFF) });
        self.frequencies.set_weights(&self.weights);
        let symbol = end.symbol(&self.frequencies, symbol)?;
        let x = match symbol {
            MISSING => return Ok(f64::NAN),
            OFF => f64::from_bits(bits(end, 64, known.map(f64::to_bits))?),
            BELOW | ABOVE if !lattice.is_open() => return Err(Broken),
            BELOW | ABOVE => lattice.number(self.outside(end, column, symbol == ABOVE, index)?),
            _ => lattice.number(self.within(end, column, (start, bits_of_window), index)?),
        };
        if x.is_finite() { Ok(x) } else { Err(Broken) }
    }

    /// An index outside the window: in which of the intervals that double on the way out, and where in it.
    fn outside<E: End>(
        &mut self,
        end: &mut E,
        column: &Numbers,
        is_above: bool,
        known: Option<i64>,
    ) -> Result<i64, Broken> {
        let (start, count) = column.window;
        let half = count - 1;
        let centre = start + (1 << half);
        // The window's end is the near end of what lies beyond.
        std::mem::swap(&mut self.low, &mut self.high);
        if is_above {
            self.mixture.place(&mut self.high, f64::INFINITY);
        } else {
            self.mixture.place(&mut self.low, f64::NEG_INFINITY);
        }
        // What is further out than any index of a lattice is off it.
        for bits in half..=53 {
            let reach = 1_i64 << (bits + 1);
            let next = if is_above { centre + reach } else { centre - reach };
            self.mixture.place(&mut self.middle, column.start(next));
            let split = self.mixture.split(&self.low, &self.middle, &self.high, 0.0);
            let is_upper = end.split(split, known.map(|index| index >= next))?;
            // Below the window the upper part is the nearer one.
            if is_upper {
                std::mem::swap(&mut self.low, &mut self.middle);
            } else {
                std::mem::swap(&mut self.high, &mut self.middle);
            }
            if is_upper != is_above {
                let first = if is_above { centre + (1 << bits) } else { next };
                return self.within(end, column, (first, bits), known);
            }
        }
        Err(Broken)
    }

    /// An index among 2^bits from `first`, whose ends `self.low` and `self.high` are.
    fn within<E: End>(
        &mut self,
        end: &mut E,
        column: &Numbers,
        (mut first, count): (i64, u32),
        known: Option<i64>,
    ) -> Result<i64, Broken> {
        let lattice = column.lattice;
        let alike = if lattice.is_open() { 0.0 } else { ALIKE / (1.0 - ALIKE) };
        let mut left = count;
        while left > 0 {
            if lattice.is_even(left) && self.mixture.is_even(&self.low, &self.high) {
                let offset = known.map(|index| index.wrapping_sub(first) as u64);
                return Ok(first.wrapping_add(bits(end, left, offset)? as i64));
            }
            left -= 1;
            // Of all f64 the first half has 2^63 indices, to which an index only wraps.
            let middle = first.wrapping_add((1_u64 << left) as i64);
            self.mixture.place(&mut self.middle, column.start(middle));
            let even = alike / (1_u128 << (count - left)) as f64;
            let split = self.mixture.split(&self.low, &self.middle, &self.high, even);
            if end.split(split, known.map(|index| index >= middle))? {
                first = middle;
                std::mem::swap(&mut self.low, &mut self.middle);
            } else {
                std::mem::swap(&mut self.high, &mut self.middle);
            }
        }
        Ok(first)
    }
}
