//! What columns look like in training: where numbers are, how far they spread, how often labels occur.

use ar_kernels::columns::{Family, Head, Missing};

use super::Column;
use crate::error::Error;
use crate::examples::{Examples, for_chunks};

/// The mean and the spread of each column of numbers, and the share that is kept for what training never saw.
///
/// ```text
/// z = (x − m) / s,    ε = 1 / (n + 1) for n training rows: Laplace's estimate of an outcome that never occurred
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    columns: Vec<Column>,
    /// m; 0 for a category.
    means: Vec<f64>,
    /// s; 1 for a category, the step or 1 for a number with one value in all rows.
    scales: Vec<f64>,
    /// ε.
    unseen: f64,
}

/// What else a model starts from: how often each label occurs, and how often a number is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frequencies {
    /// Of each column: of a category the count of each label, of a number those that are there and missing.
    pub(crate) counts: Vec<Vec<u64>>,
    /// Of each column of numbers: z of some rows, ascending.
    pub(crate) values: Vec<Vec<f64>>,
}

/// Rows whose numbers are looked at for where they lie.
const LOOKED_AT: usize = 1 << 13;

impl Units {
    /// Of a training set.
    ///
    /// # Errors
    /// When it is empty, or a value can be none of its column.
    pub(crate) fn fit(
        columns: &[Column],
        train: &dyn Examples,
    ) -> Result<(Self, Frequencies), Error> {
        if train.is_empty() {
            return Err(Error::Empty("training"));
        }
        let width = columns.len();
        let counts_of = |column: &Column| match *column {
            Column::Category { labels } => vec![0; labels + 1],
            _ => vec![0; 2],
        };
        let mut counts: Vec<Vec<u64>> = columns.iter().map(counts_of).collect();
        let mut sums = vec![0.0; width];
        for_chunks(train, 1, |first, values| {
            check(columns, "training", first, values.reals())?;
            for row in values.reals().chunks_exact(width) {
                for (i, (&x, column)) in row.iter().zip(columns).enumerate() {
                    match column {
                        Column::Category { .. } => counts[i][x as usize] += 1,
                        _ if x.is_nan() => counts[i][1] += 1,
                        _ => {
                            counts[i][0] += 1;
                            sums[i] += x;
                        }
                    }
                }
            }
            Ok::<(), Error>(())
        })?;
        let mean = |i: usize| match columns[i] {
            Column::Category { .. } => 0.0,
            _ => sums[i] / counts[i][0].max(1) as f64,
        };
        let means: Vec<f64> = (0..width).map(mean).collect();
        let mut squares = vec![0.0; width];
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); width];
        let every = train.len().div_ceil(LOOKED_AT);
        for_chunks(train, 1, |first, chunk| {
            for (k, row) in chunk.reals().chunks_exact(width).enumerate() {
                for (i, &x) in row.iter().enumerate() {
                    if !x.is_nan() {
                        squares[i] += (x - means[i]).powi(2);
                        if (first + k).is_multiple_of(every) {
                            values[i].push(x);
                        }
                    }
                }
            }
            Ok::<(), Error>(())
        })?;
        let scale = |i: usize| {
            let least = match columns[i] {
                Column::Category { .. } => return 1.0,
                Column::Grid { step, .. } => step,
                Column::Real { .. } => 1.0,
            };
            let spread = (squares[i] / counts[i][0].max(1) as f64).sqrt();
            if spread > 0.0 && spread.is_finite() { spread } else { least }
        };
        let scales: Vec<f64> = (0..width).map(scale).collect();
        for (i, values) in values.iter_mut().enumerate() {
            values.iter_mut().for_each(|x| *x = (*x - means[i]) / scales[i]);
            values.sort_unstable_by(f64::total_cmp);
        }
        let unseen = 1.0 / (train.len() as f64 + 1.0);
        Ok((
            Self { columns: columns.to_vec(), means, scales, unseen },
            Frequencies { counts, values },
        ))
    }

    /// From stored numbers.
    ///
    /// # Errors
    /// When they are not as many as the columns, or no finite means, scales above 0 and a share within (0, 1).
    pub(crate) fn new(
        columns: &[Column],
        means: Vec<f64>,
        scales: Vec<f64>,
        unseen: f64,
    ) -> Result<Self, Error> {
        let fit = means.len() == columns.len()
            && scales.len() == columns.len()
            && means.iter().all(|mean| mean.is_finite())
            && scales.iter().all(|scale| scale.is_finite() && *scale > 0.0)
            && unseen > 0.0
            && unseen < 1.0;
        if fit {
            return Ok(Self { columns: columns.to_vec(), means, scales, unseen });
        }
        Err(Error::Stored(format!(
            "units of {} means, {} scales and the share {unseen}, expected finite means and scales above 0 of {} \
             columns, and a share between 0 and 1",
            means.len(),
            scales.len(),
            columns.len()
        )))
    }

    /// The columns, in event order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// m of each.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// s of each.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// ε.
    pub fn unseen(&self) -> f64 {
        self.unseen
    }

    /// How a column is described, by a mixture of `components` if it is one of numbers.
    pub(crate) fn head(&self, i: usize, components: usize, min_scale: f64) -> Head {
        let missing = |can_be_missing| match can_be_missing {
            true => Missing::Learned,
            false => Missing::Never(self.unseen),
        };
        match self.columns[i] {
            Column::Category { labels } => Head::Category { labels, other: self.unseen },
            Column::Grid { step, can_be_missing } => {
                let half = 0.5 * step / self.scales[i];
                Head::Number {
                    components,
                    family: Family::Grid { half },
                    // At the least nearly all of a component is in one cell, which costs nothing more.
                    floor: half / 16.0,
                    missing: missing(can_be_missing),
                }
            }
            Column::Real { can_be_missing } => Head::Number {
                components,
                family: Family::Gaussian { log_unit: self.scales[i].ln() },
                floor: min_scale,
                missing: missing(can_be_missing),
            },
        }
    }

    /// A cell as its head takes it: the index of a label, or z.
    pub(crate) fn target(&self, i: usize, x: f64) -> f64 {
        match self.columns[i] {
            Column::Category { .. } => x,
            // What is too far for single precision is as far as that goes.
            _ => ((x - self.means[i]) / self.scales[i])
                .clamp(f64::from(f32::MIN), f64::from(f32::MAX)),
        }
    }

    /// Adds the features of a cell: a one for its label, or asinh z, which is z near the mean and grows as its
    /// logarithm far away; and whether it is missing.
    pub(crate) fn push_features(&self, i: usize, x: f64, out: &mut Vec<f64>) {
        match self.columns[i] {
            Column::Category { labels } => {
                out.extend((0..labels).map(|label| f64::from(u8::from(label as f64 == x))));
            }
            Column::Grid { can_be_missing, .. } | Column::Real { can_be_missing } => {
                out.push(if x.is_nan() { 0.0 } else { self.target(i, x).asinh() });
                if can_be_missing {
                    out.push(f64::from(u8::from(x.is_nan())));
                }
            }
        }
    }

    /// The number that z stands for; on a grid the nearest of its points.
    pub(crate) fn number(&self, i: usize, z: f64) -> f64 {
        let x = self.means[i] + self.scales[i] * z;
        match self.columns[i] {
            Column::Grid { step, .. } => on_grid(x, step),
            _ => x,
        }
    }
}

/// The multiple of a step that is nearest to a number.
pub(crate) fn on_grid(x: f64, step: f64) -> f64 {
    // Of 0.1 the multiples are those of 1/10: a division is exact where a product is not.
    let (index, inverse) = ((x / step).round(), (1.0 / step).round());
    let is_whole = inverse >= 1.0 && (inverse * step - 1.0).abs() < 1e-12;
    // There is one zero.
    0.0 + if is_whole { index / inverse } else { index * step }
}

/// Checks that the values of rows, which an error calls `set`, can be those of the columns; `first` is the index of
/// the first row.
///
/// # Errors
/// With the first that cannot.
pub(crate) fn check(
    columns: &[Column],
    set: &'static str,
    first: usize,
    values: &[f64],
) -> Result<(), Error> {
    for (row, values) in values.chunks_exact(columns.len()).enumerate() {
        for (variable, (&value, column)) in values.iter().zip(columns).enumerate() {
            if let Some(expected) = column.refuse(value) {
                return Err(Error::Value {
                    set,
                    row: first + row,
                    variable,
                    found: value.to_string(),
                    expected,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::InMemory;

    const COLUMNS: [Column; 4] = [
        Column::Category { labels: 2 },
        Column::Grid { step: 0.1, can_be_missing: true },
        Column::Real { can_be_missing: false },
        Column::Grid { step: 1.0, can_be_missing: false },
    ];

    fn rows() -> InMemory {
        InMemory::reals(vec![0.0, 0.1, 5.0, 7.0, 1.0, 0.3, 9.0, 7.0, 1.0, f64::NAN, 1.0, 7.0], 4)
    }

    #[test]
    fn numbers_have_units_and_labels_frequencies() {
        let (units, frequencies) = Units::fit(&COLUMNS, &rows()).unwrap();
        assert!((units.means()[1] - 0.2).abs() < 1e-15 && (units.scales()[1] - 0.1).abs() < 1e-15);
        // One value in all rows, whose unit is a step.
        assert_eq!((units.means()[3], units.scales()[3]), (7.0, 1.0));
        assert_eq!(frequencies.counts[0], [1, 2, 0]);
        assert_eq!(frequencies.counts[1], [2, 1]);
        assert_eq!(units.unseen(), 0.25);
        let mut features = Vec::new();
        for (i, x) in [1.0, f64::NAN, 5.0, 8.0].into_iter().enumerate() {
            units.push_features(i, x, &mut features);
        }
        assert_eq!(features[..4], [0.0, 1.0, 0.0, 1.0]);
        assert_eq!((features[4], features[5]), (0.0, 1.0_f64.asinh()));
        assert_eq!(features.len(), COLUMNS.iter().map(Column::features).sum::<usize>());
    }

    #[test]
    fn numbers_of_a_grid_are_on_it() {
        let (units, _) = Units::fit(&COLUMNS, &rows()).unwrap();
        for k in -50..50 {
            let x = f64::from(k) / 10.0;
            let z = (x - units.means()[1]) / units.scales()[1];
            assert_eq!(units.number(1, z + 0.3), x);
        }
        assert_eq!(units.number(3, 0.4), 7.0);
        assert!(units.number(3, -7.2).is_sign_positive(), "no −0");
    }

    #[test]
    fn what_no_cell_can_be_is_refused() {
        let set = |value: f64, column: usize| {
            let mut row = vec![0.0; 4];
            row[column] = value;
            Units::fit(&COLUMNS, &InMemory::reals(row, 4)).is_err()
        };
        assert!(set(3.0, 0) && set(0.5, 0) && set(-1.0, 0) && set(f64::NAN, 0));
        assert!(set(f64::INFINITY, 2) && !set(f64::NAN, 1));
    }
}
