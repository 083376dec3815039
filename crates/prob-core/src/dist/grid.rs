//! Evenly spaced values on the line, and the cells around them.
//!
//! ```text
//! x_k = o + k δ                  k ∈ ℤ, or k = 0, …, cells − 1
//! cell of x_k = [x_k − δ/2, x_k + δ/2)
//! ```
//!
//! The cells of an unbounded grid tile the line. On a bounded grid the first cell reaches down to −∞ and
//! the last one up to +∞, so those tile the line too. The mass of a cell under any distribution on the
//! line is therefore a distribution over the grid, with no constant to divide by.
//!
//! Everything is in the unit of the values. [`Grid::affine`] takes a grid along when they are standardized.

use crate::error::Error;

/// Where values can lie: `o + k δ`, for all whole k or for those of `0..cells`.
///
/// ```
/// use prob_core::dist::Grid;
/// let cents = Grid::unbounded(0.0, 0.01).unwrap();
/// assert!(cents.contains(0.29) && cents.contains(-1e9) && !cents.contains(0.295));
/// assert_eq!((cents.index(0.29), cents.index(0.2962)), (29.0, 30.0));
/// let bytes = Grid::bounded(0.0, 1.0, 256).unwrap();
/// assert!(bytes.contains(255.0) && !bytes.contains(256.0));
/// // The first cell takes all that is below it.
/// assert_eq!(bytes.reach(0.0), [f64::INFINITY, 0.5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    origin: f64,
    step: f64,
    cells: Option<usize>,
}

impl Grid {
    /// The whole numbers: origin 0, step 1.
    pub const INTEGERS: Self = Self { origin: 0.0, step: 1.0, cells: None };

    /// Values in both directions without end; `origin` is one of them.
    ///
    /// # Errors
    /// When the origin is not finite, or the step is not a finite number above 0.
    pub fn unbounded(origin: f64, step: f64) -> Result<Self, Error> {
        Self { origin, step, cells: None }.checked()
    }

    /// `cells` values from `first` upwards.
    ///
    /// # Errors
    /// When the first or the last value is not finite, the step is not a finite number above 0, or
    /// there are no cells.
    pub fn bounded(first: f64, step: f64, cells: usize) -> Result<Self, Error> {
        if cells == 0 {
            return Err(Error::Empty("cells of a grid"));
        }
        Self { origin: first, step, cells: Some(cells) }.checked()
    }

    /// The grid of `scale · x + shift`: that of standardized values, or of the values themselves again.
    ///
    /// # Errors
    /// When the scale is not above 0, or the new grid is not one of finite numbers.
    pub fn affine(self, scale: f64, shift: f64) -> Result<Self, Error> {
        let origin = scale * self.origin + shift;
        Self { origin, step: scale * self.step, cells: self.cells }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        let refuse = |parameter, value, expected| {
            Err(Error::Parameter { parameter, row: 0, value, expected })
        };
        if !self.origin.is_finite() {
            return refuse("origin of a grid", self.origin, "a finite number");
        }
        if !(self.step.is_finite() && self.step > 0.0) {
            return refuse("step of a grid", self.step, "a finite number above 0");
        }
        let last = self.cells.map_or(self.origin, |cells| self.value((cells - 1) as f64));
        if !last.is_finite() {
            return refuse("last value of a grid", last, "a finite number");
        }
        Ok(self)
    }

    /// The value number 0.
    pub fn origin(&self) -> f64 {
        self.origin
    }

    /// The distance of neighbouring values.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// How many values there are; none when there is no end to them.
    pub fn cells(&self) -> Option<usize> {
        self.cells
    }

    /// Number of the last cell, +∞ when there is none.
    pub(crate) fn last_index(&self) -> f64 {
        self.cells.map_or(f64::INFINITY, |cells| (cells - 1) as f64)
    }

    /// Number of the first cell, −∞ when there is none.
    pub(crate) fn first_index(&self) -> f64 {
        if self.cells.is_some() { 0.0 } else { f64::NEG_INFINITY }
    }

    /// The value number `k`.
    pub fn value(&self, k: f64) -> f64 {
        self.origin + k * self.step
    }

    /// Number of the cell that holds `x`, any real: a whole number. On a bounded grid what lies beyond
    /// an end is in the cell at that end.
    pub fn index(&self, x: f64) -> f64 {
        // Not floor(q + ½), which takes the number before ½ for 1.
        ((x - self.origin) / self.step).round().clamp(self.first_index(), self.last_index())
    }

    /// The value whose cell holds `x`, any number.
    ///
    /// ```
    /// use prob_core::dist::Grid;
    /// assert_eq!(Grid::INTEGERS.nearest(-2.6), -3.0);
    /// assert_eq!(Grid::bounded(0.0, 0.5, 3).unwrap().nearest(7.0), 1.0);
    /// ```
    pub fn nearest(&self, x: f64) -> f64 {
        const ALL_WHOLE: f64 = (1u64 << 53) as f64;
        let k = self.index(x);
        // From there on every number is a value, and `k δ` may be beyond f64 where `x` is not.
        if self.cells.is_none() && k.abs() >= ALL_WHOLE { x } else { self.value(k) }
    }

    /// Whether `x` is one of the values, to the rounding of f64.
    ///
    /// `x`, the origin and the step are each known to half an ε of themselves, and the quotient is
    /// formed by two more roundings, so its error is below 2 ε (|x| + |o|) / δ; twice that is allowed.
    /// Where neighbours are closer than f64 can tell apart, every number is a value.
    pub fn contains(&self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        let q = (x - self.origin) / self.step;
        // A quotient beyond f64 gives NaN here, and is on the grid like everything that large.
        let off = (q - q.round()).abs() > self.tolerance(x);
        !off && q.round() >= self.first_index() && q.round() <= self.last_index()
    }

    /// How far the computed `(x − o) / δ` may be from a whole number.
    fn tolerance(&self, x: f64) -> f64 {
        4.0 * f64::EPSILON * (x.abs() + self.origin.abs()) / self.step
    }

    /// How far the cell of the value `x` reaches below and above it: δ/2 each, and without end at the
    /// ends of a bounded grid.
    pub fn reach(&self, x: f64) -> [f64; 2] {
        let (k, half) = (self.index(x), 0.5 * self.step);
        let side = |end| if k == end { f64::INFINITY } else { half };
        [side(self.first_index()), side(self.last_index())]
    }

    /// The values from `low` to `high`, both included, as one interval of whole cells; none when no
    /// value lies there.
    pub(crate) fn span(&self, low: f64, high: f64) -> Option<Span> {
        let snap = |x: f64, round: fn(f64) -> f64| {
            let q = (x - self.origin) / self.step;
            if (q - q.round()).abs() <= self.tolerance(x) { q.round() } else { round(q) }
        };
        let first = snap(low, f64::ceil).max(self.first_index());
        let last = snap(high, f64::floor).min(self.last_index());
        // What is beyond f64 on one side is no cell.
        if !(low <= high && first <= last && first < f64::INFINITY && last > f64::NEG_INFINITY) {
            return None;
        }
        let half = 0.5 * self.step;
        let (open_below, open_above) = (first == self.first_index(), last == self.last_index());
        let (anchor, below, above) = match (open_below, open_above) {
            (true, true) => (self.origin, f64::INFINITY, f64::INFINITY),
            (true, false) => (self.value(last), f64::INFINITY, half),
            (false, true) => (self.value(first), half, f64::INFINITY),
            (false, false) => (self.value(first), half, (last - first) * self.step + half),
        };
        Some(Span { anchor, below, above, first, last })
    }
}

/// Neighbouring cells `first..=last` as the interval from `anchor − below` to `anchor + above`.
///
/// The width is `below + above`. It is kept apart from the ends because far out the difference of two
/// ends rounds to nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) anchor: f64,
    pub(crate) below: f64,
    pub(crate) above: f64,
    pub(crate) first: f64,
    pub(crate) last: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let message = |o, d| Grid::unbounded(o, d).unwrap_err().to_string();
        assert_eq!(
            message(0.0, 0.0),
            "step of a grid 0 in row 0, expected a finite number above 0"
        );
        assert!(message(0.0, -1.0).contains("step of a grid -1"));
        assert!(message(0.0, f64::NAN).contains("step of a grid NaN"));
        assert!(message(INF, 1.0).contains("origin of a grid inf"));
        assert_eq!(
            Grid::bounded(0.0, 1.0, 0).unwrap_err().to_string(),
            "no cells of a grid, expected at least one"
        );
        assert!(Grid::bounded(1e308, 1e308, 9).unwrap_err().to_string().contains("last value"));
        assert!(Grid::INTEGERS.affine(-1.0, 0.0).is_err());
        assert_eq!(Grid::unbounded(0.0, 1.0).unwrap(), Grid::INTEGERS);
    }

    #[test]
    fn what_text_wrote_with_two_places_is_on_the_grid_of_cents() {
        let cents = Grid::unbounded(0.0, 0.01).unwrap();
        let standardized = cents.affine(1.0 / 37.3, -11.7).unwrap();
        for k in -30_000..30_000 {
            let x: f64 = format!("{:.2}", f64::from(k) / 100.0).parse().unwrap();
            assert!(cents.contains(x) && cents.index(x) == f64::from(k), "{x}");
            assert!(!cents.contains(x + 0.005) && !cents.contains(x + 1e-6), "{x}");
            let z = x / 37.3 - 11.7;
            assert!(standardized.contains(z), "{x}");
            assert!(!standardized.contains(z + 1e-9), "{x}");
        }
    }

    #[test]
    fn every_finite_number_beyond_the_resolution_is_a_value() {
        let cents = Grid::unbounded(0.0, 0.01).unwrap();
        for x in [1e14, 1e300, f64::MAX, f64::MIN] {
            assert!(cents.contains(x), "{x}");
        }
        assert!(!cents.contains(INF) && !cents.contains(f64::NAN));
        let bounded = Grid::bounded(0.0, 0.01, 5).unwrap();
        assert!(!bounded.contains(1e300) && !bounded.contains(-0.01));
    }

    #[test]
    fn ends_take_the_tails_and_one_cell_takes_everything() {
        let grid = Grid::bounded(-1.0, 0.5, 5).unwrap();
        assert_eq!(grid.reach(-1.0), [INF, 0.25]);
        assert_eq!(grid.reach(0.0), [0.25, 0.25]);
        assert_eq!(grid.reach(1.0), [0.25, INF]);
        assert_eq!(Grid::bounded(3.0, 1.0, 1).unwrap().reach(3.0), [INF, INF]);
        assert_eq!((grid.index(-1e300), grid.index(1e300)), (0.0, 4.0));
    }

    #[test]
    fn spans_hold_the_values_between_their_ends() {
        let span = |grid: Grid, low, high| {
            grid.span(low, high).map(|s| (s.anchor - s.below, s.anchor + s.above))
        };
        let tenths = Grid::unbounded(0.0, 0.125).unwrap();
        assert_eq!(span(tenths, 0.25, 0.5), Some((0.1875, 0.5625)));
        assert_eq!(span(tenths, 0.2, 0.3), Some((0.1875, 0.3125)));
        assert_eq!(span(tenths, 0.26, 0.3), None);
        assert_eq!(span(tenths, 0.3, 0.26), None);
        assert_eq!(span(tenths, -INF, 0.0), Some((-INF, 0.0625)));
        assert_eq!(span(tenths, -INF, INF), Some((-INF, INF)));
        assert_eq!(span(tenths, f64::NAN, INF), None);
        let bytes = Grid::bounded(0.0, 1.0, 256).unwrap();
        assert_eq!(span(bytes, -7.0, 3.2), Some((-INF, 3.5)));
        assert_eq!(span(bytes, 254.0, 255.0), Some((253.5, INF)));
        assert_eq!(span(bytes, 255.5, 300.0), None);
        // 0.7 / 0.1 rounds to less than 7.
        let tenths = Grid::unbounded(0.0, 0.1).unwrap();
        let seven = tenths.span(0.7, 0.7).unwrap();
        assert_eq!((seven.first, seven.last), (7.0, 7.0));
    }

    proptest! {
        #[test]
        fn the_value_of_a_cell_is_in_that_cell(
            k in -1_000_000i32..1_000_000, origin in -1e3f64..1e3, step in 1e-3f64..1e3,
        ) {
            let grid = Grid::unbounded(origin, step).unwrap();
            let x = grid.value(f64::from(k));
            prop_assert!(grid.contains(x));
            prop_assert_eq!(grid.index(x), f64::from(k));
            prop_assert_eq!(grid.index(x + 0.49 * step), f64::from(k));
            prop_assert!(!grid.contains(x + 0.3 * step));
        }
    }
}
