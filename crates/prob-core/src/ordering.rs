//! The order in which the variables of an event are visited: checked permutations.
//!
//! `t` is the position in the ordering, `i = ordering[t]` the index in the event; the two are never
//! mixed. Any ordering gives an exact factorization,
//!
//! ```text
//! p(x) = Π_t p(x_{i(t)} | x_{i(0)}, …, x_{i(t−1)}),   i(t) = ordering[t]
//! ```
//!
//! but a model that looks only at a few recent variables works best when neighbours in the ordering
//! are neighbours in the image.
//!
//! For images, the index of row r and column c is `r · columns + c`. Of a 3 × 3 image, the position
//! `t` at which each pixel is visited:
//!
//! ```text
//! raster   reverse   column-major   snake    diagonal   spiral
//! 0 1 2     8 7 6       0 3 6       0 1 2     0 1 3     0 1 2
//! 3 4 5     5 4 3       1 4 7       5 4 3     2 4 6     7 8 3
//! 6 7 8     2 1 0       2 5 8       6 7 8     5 7 8     6 5 4
//! ```
//!
//! # References
//! Hilbert curve on any rectangle: Jakub Červený, "gilbert", 2019, <https://github.com/jakubcerveny/gilbert>.

use std::fmt;
use std::ops::Index;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// A permutation of `0..len()`: `ordering[t]` is the event index visited at position t.
///
/// ```
/// use prob_core::ordering::Ordering;
/// let snake = Ordering::snake(2, 3);
/// assert_eq!(snake.as_slice(), [0, 1, 2, 5, 4, 3]);
/// assert_eq!(snake[3], 5);
/// assert_eq!(snake.position_of(5), 3);
/// assert_eq!(snake.inverse().as_slice(), [0, 1, 2, 5, 4, 3]);
/// assert!(Ordering::from_vec(vec![0, 0, 1]).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordering {
    event_index: Vec<usize>,
    position: Vec<usize>,
}

impl Ordering {
    /// Checks that `event_index` visits each of `0..len` exactly once.
    ///
    /// # Errors
    /// Names the first index that is repeated or too large.
    pub fn from_vec(event_index: Vec<usize>) -> Result<Self, Error> {
        let length = event_index.len();
        let mut position = vec![usize::MAX; length];
        for (t, &i) in event_index.iter().enumerate() {
            match position.get_mut(i) {
                Some(seen) if *seen == usize::MAX => *seen = t,
                _ => {
                    return Err(Error::NotAPermutation { value: i, position: t, length });
                }
            }
        }
        Ok(Self { event_index, position })
    }

    /// For constructors whose index list is a permutation by how it is made.
    fn from_permutation(event_index: Vec<usize>) -> Self {
        Self::from_vec(event_index).expect("the constructor makes a permutation")
    }

    /// First to last: row by row for an image.
    pub fn raster(variables: usize) -> Self {
        Self::from_permutation((0..variables).collect())
    }

    /// Last to first.
    pub fn reverse_raster(variables: usize) -> Self {
        Self::from_permutation((0..variables).rev().collect())
    }

    /// Column by column, each from the top.
    pub fn column_major(rows: usize, columns: usize) -> Self {
        let cells = (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c)));
        Self::from_cells(columns, cells)
    }

    /// Boustrophedon: rows from the top, every second one from right to left, so that each step is
    /// to an adjacent pixel.
    pub fn snake(rows: usize, columns: usize) -> Self {
        let cells = (0..rows).flat_map(|r| {
            (0..columns).map(move |c| (r, if r % 2 == 0 { c } else { columns - 1 - c }))
        });
        Self::from_cells(columns, cells)
    }

    /// Anti-diagonals `r + c = const` from the top-left corner, each from its top-right end down.
    pub fn diagonal(rows: usize, columns: usize) -> Self {
        let cells = (0..(rows + columns).saturating_sub(1)).flat_map(|sum| {
            let first_row = (sum + 1).saturating_sub(columns);
            (first_row..rows.min(sum + 1)).map(move |r| (r, sum - r))
        });
        Self::from_cells(columns, cells)
    }

    /// Clockwise from the top-left corner inward; each step is to an adjacent pixel.
    pub fn spiral(rows: usize, columns: usize) -> Self {
        let mut cells = Vec::with_capacity(rows * columns);
        // The rectangle not yet visited: rows top..bottom, columns left..right.
        let (mut top, mut bottom, mut left, mut right) = (0, rows, 0, columns);
        while top < bottom && left < right {
            cells.extend((left..right).map(|c| (top, c)));
            top += 1;
            cells.extend((top..bottom).map(|r| (r, right - 1)));
            right -= 1;
            if top < bottom {
                cells.extend((left..right).rev().map(|c| (bottom - 1, c)));
                bottom -= 1;
            }
            if left < right {
                cells.extend((top..bottom).rev().map(|r| (r, left)));
                left += 1;
            }
        }
        Self::from_cells(columns, cells)
    }

    /// A Hilbert curve generalised to any rectangle, from the top-left corner along the longer
    /// side; it ends in the other corner of that side.
    ///
    /// Each step is to an adjacent pixel, but for one diagonal step when the longer side is odd and
    /// the shorter one even: no path of adjacent steps joins those two corners then. (Where the
    /// shorter side is 2 the curve stays adjacent and ends one pixel before the corner instead.)
    pub fn hilbert(rows: usize, columns: usize) -> Self {
        let mut cells = Vec::with_capacity(rows * columns);
        if rows > 0 && columns > 0 {
            let (rows, columns) = (rows as isize, columns as isize);
            if columns >= rows {
                gilbert([0, 0], [0, columns], [rows, 0], &mut cells);
            } else {
                gilbert([0, 0], [rows, 0], [0, columns], &mut cells);
            }
        }
        Self::from_cells(columns, cells)
    }

    /// A uniformly random ordering that depends on `variables` and `seed` alone, on every machine
    /// and in every later version.
    ///
    /// ```text
    /// ChaCha8, seed_from_u64(seed); for t = n−1 down to 1: swap positions t and j,
    /// j = (next_u64() · (t + 1)) >> 64    (a 128-bit product; its bias is below n / 2^64)
    /// ```
    ///
    /// ```
    /// use prob_core::ordering::Ordering;
    /// assert_eq!(Ordering::random(8, 1).as_slice(), [5, 6, 2, 4, 1, 7, 0, 3]);
    /// ```
    pub fn random(variables: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut event_index: Vec<usize> = (0..variables).collect();
        for t in (1..variables).rev() {
            let j = (u128::from(rng.next_u64()) * (t as u128 + 1)) >> 64;
            event_index.swap(t, j as usize);
        }
        Self::from_permutation(event_index)
    }

    fn from_cells(columns: usize, cells: impl IntoIterator<Item = (usize, usize)>) -> Self {
        Self::from_permutation(cells.into_iter().map(|(r, c)| r * columns + c).collect())
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.event_index.len()
    }

    /// Whether there are no variables.
    pub fn is_empty(&self) -> bool {
        self.event_index.is_empty()
    }

    /// The position t at which event index `i` is visited.
    ///
    /// # Panics
    /// When `i >= len()`.
    pub fn position_of(&self, i: usize) -> usize {
        self.position[i]
    }

    /// Event indices in the order of their visits.
    pub fn as_slice(&self) -> &[usize] {
        &self.event_index
    }

    /// Positions by event index: the entries of [`inverse`](Self::inverse) without a copy.
    pub fn positions(&self) -> &[usize] {
        &self.position
    }

    /// The inverse permutation: `inverse()[ordering[t]] == t`.
    pub fn inverse(&self) -> Self {
        Self { event_index: self.position.clone(), position: self.event_index.clone() }
    }
}

/// `ordering[t]`: the event index at position t.
impl Index<usize> for Ordering {
    type Output = usize;

    fn index(&self, t: usize) -> &usize {
        &self.event_index[t]
    }
}

/// Fills the parallelogram spanned by `a` (the direction of travel) and `b` from `at`, as rows and
/// columns. All vectors lie along an axis.
fn gilbert(at: [isize; 2], a: [isize; 2], b: [isize; 2], cells: &mut Vec<(usize, usize)>) {
    let add = |p: [isize; 2], q: [isize; 2]| [p[0] + q[0], p[1] + q[1]];
    let sub = |p: [isize; 2], q: [isize; 2]| [p[0] - q[0], p[1] - q[1]];
    let neg = |p: [isize; 2]| [-p[0], -p[1]];
    // Halves round down, also below zero: with truncation some odd rectangles get longer jumps.
    let half = |p: [isize; 2]| [p[0].div_euclid(2), p[1].div_euclid(2)];
    let unit = |p: [isize; 2]| [p[0].signum(), p[1].signum()];
    let length = |p: [isize; 2]| (p[0] + p[1]).abs();

    let (width, height) = (length(a), length(b));
    let (step_a, step_b) = (unit(a), unit(b));
    if width == 1 || height == 1 {
        let (count, step) = if height == 1 { (width, step_a) } else { (height, step_b) };
        let mut p = at;
        for _ in 0..count {
            cells.push((p[0] as usize, p[1] as usize));
            p = add(p, step);
        }
        return;
    }
    let (mut a2, mut b2) = (half(a), half(b));
    if 2 * width > 3 * height {
        // Long: two halves, the first of even length where possible.
        if length(a2) % 2 == 1 && width > 2 {
            a2 = add(a2, step_a);
        }
        gilbert(at, a2, b, cells);
        gilbert(add(at, a2), sub(a, a2), b, cells);
    } else {
        // Up, across, down.
        if length(b2) % 2 == 1 && height > 2 {
            b2 = add(b2, step_b);
        }
        gilbert(at, b2, a2, cells);
        gilbert(add(at, b2), a, sub(b, b2), cells);
        let last = add(at, add(sub(a, step_a), sub(b2, step_b)));
        gilbert(last, neg(b2), neg(sub(a, a2)), cells);
    }
}

/// Which ordering, as a config names it: `"snake"`, or `{ kind = "random", seed = 3 }`.
///
/// ```
/// use prob_core::ordering::OrderingKind;
/// #[derive(serde::Deserialize)]
/// struct Model {
///     ordering: OrderingKind,
/// }
/// let read = |text: &str| toml::from_str::<Model>(text).map(|m| m.ordering);
/// assert_eq!(read("ordering = 'column-major'").unwrap(), OrderingKind::ColumnMajor);
/// assert_eq!(
///     read("ordering = { kind = 'random', seed = 3 }").unwrap(),
///     OrderingKind::Random { seed: 3 },
/// );
/// assert!(read("ordering = 'zigzag'").unwrap_err().to_string().contains("zigzag"));
///
/// let snake = OrderingKind::Snake.build(&[2, 2]).unwrap();
/// assert_eq!(snake.as_slice(), [0, 1, 3, 2]);
/// assert!(OrderingKind::Snake.build(&[4]).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OrderingKind {
    /// [`Ordering::raster`].
    #[default]
    Raster,
    /// [`Ordering::reverse_raster`].
    ReverseRaster,
    /// [`Ordering::column_major`].
    ColumnMajor,
    /// [`Ordering::snake`].
    Snake,
    /// [`Ordering::diagonal`].
    Diagonal,
    /// [`Ordering::spiral`].
    Spiral,
    /// [`Ordering::hilbert`].
    Hilbert,
    /// [`Ordering::random`].
    Random {
        /// Seed of the permutation.
        seed: u64,
    },
}

impl OrderingKind {
    /// The names that need no seed.
    const PLAIN: [Self; 7] = [
        Self::Raster,
        Self::ReverseRaster,
        Self::ColumnMajor,
        Self::Snake,
        Self::Diagonal,
        Self::Spiral,
        Self::Hilbert,
    ];
    /// Every name, in the order of the enum.
    pub const NAMES: &'static [&'static str] = &[
        "raster",
        "reverse-raster",
        "column-major",
        "snake",
        "diagonal",
        "spiral",
        "hilbert",
        "random",
    ];

    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raster => "raster",
            Self::ReverseRaster => "reverse-raster",
            Self::ColumnMajor => "column-major",
            Self::Snake => "snake",
            Self::Diagonal => "diagonal",
            Self::Spiral => "spiral",
            Self::Hilbert => "hilbert",
            Self::Random { .. } => "random",
        }
    }

    /// The ordering of an event of `shape`.
    ///
    /// Raster, reverse raster and random take an event of any shape; the others need rows and
    /// columns.
    ///
    /// # Errors
    /// When a kind that needs an image gets another shape, or the shape is too large to count.
    pub fn build(self, shape: &[usize]) -> Result<Ordering, Error> {
        let refuse = |expected| {
            Err(Error::OrderingShape { kind: self.name(), shape: shape.to_vec(), expected })
        };
        let Some(variables) = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) else {
            return refuse("fewer variables");
        };
        match (self, shape) {
            (Self::Raster, _) => Ok(Ordering::raster(variables)),
            (Self::ReverseRaster, _) => Ok(Ordering::reverse_raster(variables)),
            (Self::Random { seed }, _) => Ok(Ordering::random(variables, seed)),
            (Self::ColumnMajor, &[rows, columns]) => Ok(Ordering::column_major(rows, columns)),
            (Self::Snake, &[rows, columns]) => Ok(Ordering::snake(rows, columns)),
            (Self::Diagonal, &[rows, columns]) => Ok(Ordering::diagonal(rows, columns)),
            (Self::Spiral, &[rows, columns]) => Ok(Ordering::spiral(rows, columns)),
            (Self::Hilbert, &[rows, columns]) => Ok(Ordering::hilbert(rows, columns)),
            _ => refuse(
                "[rows, columns]; an event of another shape takes raster, reverse-raster or random",
            ),
        }
    }
}

impl fmt::Display for OrderingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random { seed } => write!(f, "random (seed {seed})"),
            plain => f.write_str(plain.name()),
        }
    }
}

impl Serialize for OrderingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Random { seed } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("kind", self.name())?;
                map.serialize_entry("seed", seed)?;
                map.end()
            }
            plain => serializer.serialize_str(plain.name()),
        }
    }
}

impl<'de> Deserialize<'de> for OrderingKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

/// Written by hand because serde's untagged enums lose the reason of an error.
struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = OrderingKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ordering such as \"raster\" or { kind = \"random\", seed = 1 }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<OrderingKind, E> {
        match OrderingKind::PLAIN.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None if name == "random" => {
                Err(E::custom("ordering \"random\" needs a seed: { kind = \"random\", seed = 1 }"))
            }
            None => Err(E::unknown_variant(name, OrderingKind::NAMES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderingKind, A::Error> {
        let (mut kind, mut seed) = (None::<String>, None::<u64>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "kind" if kind.is_some() => return Err(de::Error::duplicate_field("kind")),
                "seed" if seed.is_some() => return Err(de::Error::duplicate_field("seed")),
                "kind" => kind = Some(map.next_value()?),
                "seed" => seed = Some(map.next_value()?),
                other => return Err(de::Error::unknown_field(other, &["kind", "seed"])),
            }
        }
        let kind = kind.ok_or_else(|| de::Error::missing_field("kind"))?;
        match (kind.as_str(), seed) {
            ("random", Some(seed)) => Ok(OrderingKind::Random { seed }),
            ("random", None) => Err(de::Error::missing_field("seed")),
            (name, None) => self.visit_str(name),
            (name, Some(_)) => {
                // The name first: an unknown one is the larger mistake.
                self.visit_str::<A::Error>(name)?;
                Err(de::Error::custom(format_args!(
                    "ordering \"{name}\" takes no seed, only \"random\" does"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Largest row and column distance of each step.
    fn steps(ordering: &Ordering, columns: usize) -> Vec<(usize, usize)> {
        let cell = |i: usize| (i / columns, i % columns);
        ordering
            .as_slice()
            .windows(2)
            .map(|w| {
                let ((r0, c0), (r1, c1)) = (cell(w[0]), cell(w[1]));
                (r0.abs_diff(r1), c0.abs_diff(c1))
            })
            .collect()
    }

    fn all_kinds() -> impl Strategy<Value = OrderingKind> {
        prop_oneof![
            prop::sample::select(OrderingKind::PLAIN.to_vec()),
            any::<u64>().prop_map(|seed| OrderingKind::Random { seed }),
        ]
    }

    proptest! {
        #[test]
        fn every_kind_is_a_permutation_with_its_inverse(
            kind in all_kinds(), rows in 0usize..20, columns in 0usize..20,
        ) {
            let ordering = kind.build(&[rows, columns]).unwrap();
            prop_assert_eq!(ordering.len(), rows * columns);
            let inverse = ordering.inverse();
            for t in 0..ordering.len() {
                prop_assert_eq!(inverse[ordering[t]], t);
                prop_assert_eq!(ordering.position_of(ordering[t]), t);
            }
            prop_assert_eq!(&inverse.inverse(), &ordering);
            prop_assert!(Ordering::from_vec(ordering.as_slice().to_vec()).is_ok());
        }

        #[test]
        fn snake_and_spiral_only_step_to_neighbours(rows in 1usize..24, columns in 1usize..24) {
            for ordering in [Ordering::snake(rows, columns), Ordering::spiral(rows, columns)] {
                prop_assert!(steps(&ordering, columns).iter().all(|&(r, c)| r + c == 1));
            }
        }

        #[test]
        fn configs_read_back_what_they_wrote(kind in all_kinds()) {
            let text = serde_json::to_string(&kind).unwrap();
            prop_assert_eq!(serde_json::from_str::<OrderingKind>(&text).unwrap(), kind);
        }

        #[test]
        fn a_broken_permutation_is_refused(n in 2usize..30, seed: u64, t in 0usize..30) {
            let mut list = Ordering::random(n, seed).as_slice().to_vec();
            let t = t % n;
            list[t] = list[(t + 1) % n];
            prop_assert!(Ordering::from_vec(list.clone()).is_err());
            list[t] = n;
            prop_assert!(Ordering::from_vec(list).is_err());
        }
    }

    #[test]
    fn hilbert_only_steps_to_neighbours_but_for_one_diagonal_when_documented() {
        for rows in 1usize..=40 {
            for columns in 1usize..=40 {
                let steps = steps(&Ordering::hilbert(rows, columns), columns);
                let jumps: Vec<_> = steps.iter().filter(|&&(r, c)| r + c != 1).collect();
                let (long, short) = (rows.max(columns), rows.min(columns));
                assert_eq!(steps.len(), long * short - 1);
                if long % 2 == 1 && short % 2 == 0 && short > 2 {
                    assert_eq!(jumps, [&(1, 1)], "{rows} x {columns}");
                } else {
                    assert!(jumps.is_empty(), "{rows} x {columns}: {jumps:?}");
                }
            }
        }
    }

    #[test]
    fn the_positions_in_the_module_documentation_are_right() {
        let positions = |kind: OrderingKind| kind.build(&[3, 3]).unwrap().positions().to_vec();
        assert_eq!(positions(OrderingKind::Raster), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(positions(OrderingKind::ReverseRaster), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(positions(OrderingKind::ColumnMajor), [0, 3, 6, 1, 4, 7, 2, 5, 8]);
        assert_eq!(positions(OrderingKind::Snake), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
        assert_eq!(positions(OrderingKind::Diagonal), [0, 1, 3, 2, 4, 6, 5, 7, 8]);
        assert_eq!(positions(OrderingKind::Spiral), [0, 1, 2, 7, 8, 3, 6, 5, 4]);
    }

    #[test]
    fn random_orderings_differ_by_seed() {
        assert_ne!(Ordering::random(50, 1), Ordering::random(50, 2));
        assert_eq!(Ordering::random(50, 1), Ordering::random(50, 1));
    }

    #[test]
    fn random_orderings_are_uniform_over_permutations() {
        // Seed-indexed, so the counts are fixed: 6000 draws of 3 variables, 1000 expected each.
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..6000 {
            *counts.entry(Ordering::random(3, seed).as_slice().to_vec()).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&n| (850..1150).contains(&n)), "{counts:?}");
    }

    #[test]
    fn errors_name_the_mistake() {
        let read = |text: &str| serde_json::from_str::<OrderingKind>(text).unwrap_err().to_string();
        assert!(read("\"random\"").contains("needs a seed"));
        assert!(read("{\"kind\": \"snake\", \"seed\": 1}").contains("takes no seed"));
        assert!(read("{\"kind\": \"random\"}").contains("missing field `seed`"));
        assert!(read("{\"kind\": \"snake\", \"sede\": 1}").contains("unknown field `sede`"));
        assert!(read("\"zigzag\"").contains("unknown variant `zigzag`"));
        assert_eq!(
            OrderingKind::Hilbert.build(&[4]).unwrap_err().to_string(),
            "ordering `hilbert` for shape [4], expected [rows, columns]; an event of another shape \
             takes raster, reverse-raster or random",
        );
        assert_eq!(
            Ordering::from_vec(vec![0, 2, 2]).unwrap_err().to_string(),
            "ordering visits 2 at position 2, expected each of 0..3 exactly once",
        );
    }
}
