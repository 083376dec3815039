//! Each pixel given a fixed set of neighbours, all before it in raster order.
//!
//! ```text
//! p(x) = Π_{r,c} p(x[r, c] | x[r + Δr, c + Δc] for (Δr, Δc) in offsets)
//! ```
//!
//! A neighbour outside the image counts as symbol 0. It never takes another value, so it is left out
//! of the pixel's context altogether: the distribution is the same and the table has no unreachable
//! rows.

use super::tables::{Structure, Tables, all_arrays, count_parameters};
use super::tabular::impl_tabular;
use super::{DEFAULT_MEMORY_LIMIT_BYTES, Symbols};
use crate::error::Error;
use crate::ordering::Ordering;

/// West, north-west, north, north-east: every adjacent pixel that comes earlier.
pub const FOUR_NEIGHBOURS: [(isize, isize); 4] = [(0, -1), (-1, -1), (-1, 0), (-1, 1)];

/// [`FOUR_NEIGHBOURS`], then two left, two up, and the four knight's moves that come earlier.
pub const TEN_NEIGHBOURS: [(isize, isize); 10] =
    [(0, -1), (-1, -1), (-1, 0), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1)];

/// A causal neighbourhood on an image, one table per pixel.
///
/// ```
/// use prob_core::joint::{FOUR_NEIGHBOURS, Neighbourhood, Symbols, Tabular};
/// let data = Symbols::new(&[0, 0, 0, 0, 1, 1, 1, 1], 4, 2).unwrap();
/// let model = Neighbourhood::fit([2, 2], &FOUR_NEIGHBOURS, data, 0.0).unwrap();
/// // The image is all of one colour: one fair coin for the first pixel, nothing after.
/// assert_eq!(model.log_prob_rows(&[1, 1, 1, 1]), [0.5f64.ln()]);
/// assert_eq!(model.tables()[3].context(), [2, 0, 1]);
/// ```
#[derive(Debug, Clone)]
pub struct Neighbourhood {
    shape: [usize; 2],
    offsets: Vec<(isize, isize)>,
    tables: Tables,
}

impl Neighbourhood {
    /// Laplace's estimate with `pseudo_count` per state in every context, for images of `shape`
    /// rows and columns.
    ///
    /// # Errors
    /// When an offset is not strictly earlier in raster order or is listed twice, the shape does not
    /// have the data's number of variables, the pseudo-count is negative or not finite, or the
    /// tables exceed [`DEFAULT_MEMORY_LIMIT_BYTES`].
    pub fn fit(
        shape: [usize; 2],
        offsets: &[(isize, isize)],
        data: Symbols<'_>,
        pseudo_count: f64,
    ) -> Result<Self, Error> {
        Self::fit_within(shape, offsets, data, pseudo_count, DEFAULT_MEMORY_LIMIT_BYTES)
    }

    /// [`fit`](Self::fit) with another memory limit.
    ///
    /// # Errors
    /// As for `fit`.
    pub fn fit_within(
        shape: [usize; 2],
        offsets: &[(isize, isize)],
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        // Before the contexts are listed: a wrong shape could ask for any number of pixels.
        if shape[0].checked_mul(shape[1]) != Some(data.variables()) {
            return Err(Error::Shape {
                what: "image",
                got: shape.to_vec(),
                expected: format!("rows times columns of {} variables", data.variables()),
            });
        }
        let tables =
            structure(shape, offsets, data.levels())?.fit(data, pseudo_count, limit_bytes)?;
        Ok(Self { shape, offsets: offsets.to_vec(), tables })
    }

    /// From stored [`table_arrays`](super::Tabular::table_arrays): one per pixel, in raster order.
    ///
    /// # Errors
    /// When the offsets are not causal, the arrays' number or length does not fit, or a row does
    /// not sum to 1.
    pub fn from_tables(
        shape: [usize; 2],
        offsets: &[(isize, isize)],
        levels: &[usize],
        tables: Vec<Vec<f64>>,
    ) -> Result<Self, Error> {
        if shape[0].checked_mul(shape[1]) != Some(tables.len()) {
            return Err(Error::Shape {
                what: "image",
                got: shape.to_vec(),
                expected: format!("rows times columns of {} tables", tables.len()),
            });
        }
        let tables = structure(shape, offsets, levels.to_vec())?.stored(tables)?;
        Ok(Self { shape, offsets: offsets.to_vec(), tables })
    }

    /// Rows and columns of the image.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Row and column offsets of the neighbours.
    pub fn offsets(&self) -> &[(isize, isize)] {
        &self.offsets
    }
}

/// The neighbours of each pixel that lie inside the image, as event indices, in the order of
/// `offsets`.
///
/// # Errors
/// When an offset is not strictly before its pixel in raster order, or is listed twice.
pub fn neighbours(shape: [usize; 2], offsets: &[(isize, isize)]) -> Result<Vec<Vec<usize>>, Error> {
    for (n, &(row, column)) in offsets.iter().enumerate() {
        if !(row < 0 || (row == 0 && column < 0)) {
            return Err(Error::NotCausal { row, column });
        }
        if offsets[..n].contains(&(row, column)) {
            let value = format!("({row}, {column})");
            return Err(Error::Repeated { what: "neighbour", value });
        }
    }
    let [rows, columns] = shape;
    let inside = |r: usize, c: usize| {
        let at = move |(row, column): &(isize, isize)| {
            let r = r.checked_add_signed(*row).filter(|&r| r < rows)?;
            let c = c.checked_add_signed(*column).filter(|&c| c < columns)?;
            Some(r * columns + c)
        };
        offsets.iter().filter_map(at).collect()
    };
    Ok((0..rows).flat_map(|r| (0..columns).map(move |c| inside(r, c))).collect())
}

fn structure(
    shape: [usize; 2],
    offsets: &[(isize, isize)],
    levels: Vec<usize>,
) -> Result<Structure, Error> {
    let contexts = neighbours(shape, offsets)?;
    let ordering = Ordering::raster(contexts.len());
    Ok(Structure { model: "neighbourhood", ordering, levels, contexts })
}

impl_tabular!(
    Neighbourhood,
    arrays: |model| all_arrays(&model.tables),
    parameters: |model| count_parameters(&model.tables)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_must_come_strictly_before() {
        for offset in [(0, 0), (0, 1), (1, -1), (1, 0)] {
            let error = neighbours([3, 3], &[offset]).unwrap_err();
            assert_eq!(error, Error::NotCausal { row: offset.0, column: offset.1 });
        }
        let twice = neighbours([3, 3], &[(0, -1), (0, -1)]).unwrap_err();
        assert_eq!(twice.to_string(), "neighbour (0, -1) is listed twice, expected once");
        assert!(neighbours([3, 3], &TEN_NEIGHBOURS).is_ok());
    }

    #[test]
    fn every_neighbour_has_a_smaller_index_and_the_right_place() {
        let of = neighbours([3, 4], &TEN_NEIGHBOURS).unwrap();
        assert!(of.iter().enumerate().all(|(i, context)| context.iter().all(|&j| j < i)));
        assert!(of[0].is_empty());
        assert_eq!(of[1], [0]);
        // Row 2, column 2: W, NW, N, NE, two left, two up, (-1,-2); (-1,2) is outside; (-2,±1).
        assert_eq!(of[10], [9, 5, 6, 7, 8, 2, 4, 1, 3]);
    }

    #[test]
    fn leaving_a_pixel_outside_out_equals_counting_it_as_zero() {
        // The last column has no north-east neighbour: its table is that of a padded image.
        let images = [0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1];
        let data = Symbols::new(&images, 4, 2).unwrap();
        let model = Neighbourhood::fit([2, 2], &[(-1, 1)], data, 1.0).unwrap();
        use super::super::Tabular;
        let ones = (0..3).filter(|&r| images[r * 4 + 3] == 1).count() as f64;
        let want = ((ones + 1.0) / 5.0).ln();
        assert_eq!(model.tables()[3].log_probs()[1], want);
    }

    #[test]
    fn a_wrong_shape_is_refused_before_anything_is_made() {
        let data = Symbols::new(&[0, 1, 1, 0], 4, 2).unwrap();
        for shape in [[2, 3], [usize::MAX, 2], [0, 4]] {
            let error = Neighbourhood::fit(shape, &FOUR_NEIGHBOURS, data, 1.0).unwrap_err();
            assert!(error.to_string().contains("4 variables"), "{error}");
        }
    }
}
