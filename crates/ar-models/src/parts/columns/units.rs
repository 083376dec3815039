//! What columns look like in training: where numbers are, how far they spread, how often labels occur.

use std::sync::Arc;

use ar_kernels::columns::{Family, Head, Missing};

use super::listed::{Count, Listed, Placed, Rows, steps};
use super::region::Region;
use crate::foundation::column::{Column, check_cells};
use crate::foundation::error::Error;
use crate::foundation::examples::{Examples, for_chunks};

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
    /// The least and the largest number of each; no bounds where that is not known.
    ranges: Vec<(f64, f64)>,
    /// How many numbers of each column on a grid have a component of their own.
    spikes: Vec<usize>,
    /// Of each column on a grid its numbers in training, if they are a component of their own.
    listed: Vec<Option<Placed>>,
}

/// The most numbers of a column with a component of their own.
const MOST_SPIKES: usize = 64;

/// Numbers of any size.
const UNBOUNDED: (f64, f64) = (f64::MIN, f64::MAX);

/// What else a model starts from: how often each label occurs, and how often a number is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frequencies {
    /// Of each column: of a category the count of each label, of a number those that are there and missing.
    pub(crate) counts: Vec<Vec<u64>>,
    /// Of each column of numbers: z of some rows, ascending, without spikes.
    pub(crate) values: Vec<Vec<f64>>,
    /// Of each column: numbers that occur far more often than those around them, as z, and their share.
    pub(crate) spikes: Vec<Vec<(f64, f64)>>,
    /// Of each column: the share of the numbers that are no spikes for which its list stands, 0 where it has none.
    pub(crate) listed: Vec<f64>,
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
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); width];
        for_chunks(train, 1, |first, values| {
            check_cells(columns, "training", first, values.reals())?;
            for row in values.reals().chunks_exact(width) {
                for (i, (&x, column)) in row.iter().zip(columns).enumerate() {
                    match column {
                        Column::Category { .. } => counts[i][x as usize] += 1,
                        _ if x.is_nan() => counts[i][1] += 1,
                        _ => {
                            counts[i][0] += 1;
                            sums[i] += x;
                            ranges[i] = (ranges[i].0.min(x), ranges[i].1.max(x));
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
        let grids = columns.iter().filter(|column| matches!(column, Column::Grid { .. })).count();
        let mut numbers: Vec<Count> = columns.iter().map(|_| Count::of_one_of(grids)).collect();
        let every = train.len().div_ceil(LOOKED_AT);
        for_chunks(train, 1, |first, chunk| {
            for (k, row) in chunk.reals().chunks_exact(width).enumerate() {
                for (i, &x) in row.iter().enumerate() {
                    if !x.is_nan() {
                        squares[i] += (x - means[i]).powi(2);
                        if let Column::Grid { step, .. } = columns[i] {
                            numbers[i].add(steps(x, step));
                        }
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
        let mut spikes = vec![Vec::new(); width];
        let (mut listed, mut shares) = (vec![None; width], vec![0.0; width]);
        for (i, (values, numbers)) in values.iter_mut().zip(numbers).enumerate() {
            values.sort_unstable_by(f64::total_cmp);
            if let Column::Grid { step, .. } = columns[i] {
                spikes[i] = take_spikes(values, step);
                let own: Vec<i64> = spikes[i].iter().filter_map(|&(x, _)| steps(x, step)).collect();
                if let Some((list, share)) = numbers.listed(&own) {
                    let list =
                        Placed { list: Arc::new(list), step, mean: means[i], scale: scales[i] };
                    (listed[i], shares[i]) = (Some(list), share);
                }
            }
            let standardized = |x: &mut f64| *x = (*x - means[i]) / scales[i];
            values.iter_mut().for_each(standardized);
            spikes[i].iter_mut().for_each(|(x, _)| standardized(x));
        }
        let unseen = 1.0 / (train.len() as f64 + 1.0);
        // Of a category, and of a number that is never there, nothing is known.
        let range = |(low, high): (f64, f64)| if low <= high { (low, high) } else { UNBOUNDED };
        let ranges = ranges.into_iter().map(range).collect();
        Ok((
            Self {
                columns: columns.to_vec(),
                means,
                scales,
                unseen,
                ranges,
                spikes: spikes.iter().map(Vec::len).collect(),
                listed,
            },
            Frequencies { counts, values, spikes, listed: shares },
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
            let ranges = vec![UNBOUNDED; columns.len()];
            let (columns, spikes) = (columns.to_vec(), vec![0; columns.len()]);
            let listed = vec![None; columns.len()];
            return Ok(Self { columns, means, scales, unseen, ranges, spikes, listed });
        }
        Err(Error::Stored(format!(
            "units of {} means, {} scales and the share {unseen}, expected finite means and scales above 0 of {} \
             columns, and a share between 0 and 1",
            means.len(),
            scales.len(),
            columns.len()
        )))
    }

    /// With the least and the largest number of each column, as [`range`](Self::range) gives them.
    ///
    /// # Errors
    /// When they are not as many as the columns, or are none.
    pub(crate) fn with_ranges(mut self, lows: &[f64], highs: &[f64]) -> Result<Self, Error> {
        let ranges: Vec<(f64, f64)> = lows.iter().copied().zip(highs.iter().copied()).collect();
        let fit = [lows.len(), highs.len()] == [self.columns.len(); 2]
            && ranges.iter().all(|(low, high)| low <= high);
        if !fit {
            let found = format!("ranges of {} and {} columns", lows.len(), highs.len());
            let expected = format!("a least and a largest number of {}", self.columns.len());
            return Err(Error::Stored(format!("{found}, expected {expected}")));
        }
        self.ranges = ranges;
        Ok(self)
    }

    /// With so many numbers of each column that have a component of their own.
    ///
    /// # Errors
    /// When they are not as many as the columns, or too many.
    pub(crate) fn with_spikes(mut self, spikes: &[f64]) -> Result<Self, Error> {
        let is_count =
            |&count: &f64| (0.0..=MOST_SPIKES as f64).contains(&count) && count.fract() == 0.0;
        if spikes.len() != self.columns.len() || !spikes.iter().all(is_count) {
            return Err(Error::Stored(format!(
                "spikes {spikes:?}, expected a number up to {MOST_SPIKES} for each of {} columns",
                self.columns.len()
            )));
        }
        self.spikes = spikes.iter().map(|&count| count as usize).collect();
        Ok(self)
    }

    /// With the lists of columns: how many numbers each has and of how many rows, those of all after each other in steps
    /// of their grids, and how often each of them occurs.
    ///
    /// # Errors
    /// When they are none.
    pub(crate) fn with_listed(mut self, lists: [&[f64]; 4]) -> Result<Self, Error> {
        let [lens, rows, indices, times] = lists;
        let refuse = || {
            Error::Stored(format!(
                "lists of {} columns, expected ascending numbers on their grids with their counts",
                lens.len()
            ))
        };
        let mut entries =
            indices.iter().zip(times).map(|(&index, &times)| (index as i64, times as u64));
        if [lens.len(), rows.len()] != [self.columns.len(); 2]
            || indices.len() != times.len()
            || lens.iter().sum::<f64>() != indices.len() as f64
        {
            return Err(refuse());
        }
        for (i, (&len, &rows)) in lens.iter().zip(rows).enumerate() {
            if len > 0.0 {
                let own: Vec<(i64, u64)> = entries.by_ref().take(len as usize).collect();
                let (Some(list), Column::Grid { step, .. }) =
                    (Listed::new(&own, rows as u64), self.columns[i])
                else {
                    return Err(refuse());
                };
                let (mean, scale) = (self.means[i], self.scales[i]);
                self.listed[i] = Some(Placed { list: Arc::new(list), step, mean, scale });
            }
        }
        Ok(self)
    }

    /// What [`with_listed`](Self::with_listed) takes.
    pub(crate) fn lists(&self) -> [Vec<f64>; 4] {
        let each = |of: fn(&Listed) -> f64| {
            self.listed.iter().map(|own| own.as_ref().map_or(0.0, |own| of(&own.list))).collect()
        };
        let (lens, rows) = (each(|list| list.len() as f64), each(|list| list.rows() as f64));
        let entries = self.listed.iter().flatten().flat_map(|own| own.list.entries());
        let (indices, times) = entries.map(|(index, times)| (index as f64, times as f64)).unzip();
        [lens, rows, indices, times]
    }

    /// The numbers of a column in training, if they are a component of their own.
    pub(crate) fn listed(&self, i: usize) -> Option<&Placed> {
        self.listed[i].as_ref()
    }

    /// How many numbers of each column have a component of their own.
    pub(crate) fn spikes(&self) -> &[usize] {
        &self.spikes
    }

    /// The least and the largest number of a column in training; those of all numbers where that is not known.
    pub fn range(&self, i: usize) -> (f64, f64) {
        self.ranges[i]
    }

    /// The same region but for what training never saw: anything that it could have had in the place of anything at all,
    /// and its range where a range of numbers has no end.
    pub(crate) fn seen(&self, i: usize, region: &Region) -> Region {
        let (least, most) = self.range(i);
        match *region {
            Region::Any => Region::Seen,
            Region::Between(low, high) => {
                let low = if low.is_infinite() && least <= high { least } else { low };
                let high = if high.is_infinite() && low <= most { most } else { high };
                Region::Between(low, high)
            }
            _ => region.clone(),
        }
    }

    /// The ends in standardized units of the cells whose numbers are from `low` to `high`, or of the numbers where there
    /// is no grid; `None` where there are none.
    pub(crate) fn edges(&self, i: usize, low: f64, high: f64) -> Option<(f64, f64)> {
        let standardized = |x: f64| (x - self.means[i]) / self.scales[i];
        match self.columns[i] {
            Column::Grid { step, .. } => {
                // Numbers are on the grid to a few roundings.
                let near = |x: f64| 1e-9 * x.abs().max(1.0);
                let (first, last) = (low / step, high / step);
                let (first, last) = ((first - near(first)).ceil(), (last + near(last)).floor());
                let edge = |k: f64| standardized(k * step);
                (first <= last).then(|| (edge(first - 0.5), edge(last + 0.5)))
            }
            _ => (low <= high).then(|| (standardized(low), standardized(high))),
        }
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

    /// How a column is described, by a mixture of `components` if it is one of numbers, and one more for each spike.
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
                    components: components + self.spikes[i],
                    listed: self.listed[i].is_some(),
                    family: Family::Grid { half },
                    // At the least nearly all of a component is in one cell, which costs nothing more.
                    floor: half / 16.0,
                    missing: missing(can_be_missing),
                }
            }
            Column::Real { can_be_missing } => Head::Number {
                components,
                listed: false,
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

    /// ln p of a cell as a number of its column's list; −∞ where it is none of it.
    pub(crate) fn log_listed(&self, i: usize, x: f64, of: Rows) -> f64 {
        self.listed(i).map_or(f64::NEG_INFINITY, |list| list.log_prob(x, of))
    }

    /// A cell as its head takes it: the index of a label, or z, and behind it what the list says of it.
    pub(crate) fn write_targets<E>(
        &self,
        i: usize,
        x: f64,
        of: Rows,
        out: &mut [E],
        to: fn(f64) -> E,
    ) {
        out[0] = to(self.target(i, x));
        if let Some(listed) = out.get_mut(1) {
            *listed = to(self.log_listed(i, x, of));
        }
    }

    /// The input of a cell to the recurrence: the index of its label, or asinh z, which is z near the mean and grows
    /// as its logarithm far away; and whether it is missing.
    pub(crate) fn write_input<E>(&self, i: usize, x: f64, out: &mut [E], to: fn(f64) -> E) {
        match self.columns[i] {
            Column::Category { .. } => out[0] = to(x),
            Column::Grid { can_be_missing, .. } | Column::Real { can_be_missing } => {
                out[0] = to(if x.is_nan() { 0.0 } else { asinh(self.target(i, x)) });
                if can_be_missing {
                    out[1] = to(f64::from(u8::from(x.is_nan())));
                }
            }
        }
    }

    /// The features of a cell: [the input](Self::write_input) with a one for a label in the place of its index.
    pub(crate) fn write_features<E>(&self, i: usize, x: f64, out: &mut [E], to: fn(f64) -> E) {
        match self.columns[i] {
            Column::Category { .. } => {
                for (label, out) in out.iter_mut().enumerate() {
                    *out = to(f64::from(u8::from(label as f64 == x)));
                }
            }
            _ => self.write_input(i, x, out, to),
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

/// Takes numbers out of a sorted column that occur far more often than their neighbours on the grid, such as the zeros of
/// most amounts or a round 40 hours, and gives them with their share of all, the commonest first: no mixture of few
/// smooth components reaches many of them.
fn take_spikes(values: &mut Vec<f64>, step: f64) -> Vec<(f64, f64)> {
    /// Cells on either side that are looked at.
    const AROUND: f64 = 3.0;
    /// How many times as common as a cell around it a spike is.
    const TIMES: f64 = 4.0;
    /// What is no accident among the rows that are looked at.
    const LEAST: f64 = 4.0;
    let n = values.len() as f64;
    let runs: Vec<(f64, usize)> =
        values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let is_spike = |&(x, count): &(f64, usize)| {
        let near =
            |&&(other, _): &&(f64, usize)| other != x && (other - x).abs() <= (AROUND + 0.5) * step;
        let at = runs.partition_point(|(other, _)| *other < x - (AROUND + 0.5) * step);
        let around: usize = runs[at..]
            .iter()
            .take(2 * AROUND as usize + 1)
            .filter(near)
            .map(|(_, count)| count)
            .sum();
        count as f64 >= LEAST && count as f64 >= TIMES * around as f64 / (2.0 * AROUND)
    };
    let mut spikes: Vec<(f64, usize)> = runs.iter().filter(|run| is_spike(run)).copied().collect();
    spikes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.total_cmp(&b.0)));
    spikes.truncate(MOST_SPIKES);
    if spikes.len() == runs.len() && !spikes.is_empty() {
        // Something has to be left for the smooth components to stand on.
        spikes.pop();
    }
    values.retain(|x| !spikes.iter().any(|(spike, _)| spike == x));
    spikes.into_iter().map(|(x, count)| (x, count as f64 / n)).collect()
}

/// asinh z, with an error of a few 1e-16 near 0; half the time of the library's.
fn asinh(z: f64) -> f64 {
    let far = z.abs();
    (far + (far * far + 1.0).sqrt()).ln().copysign(z)
}

/// The multiple of a step that is nearest to a number.
pub(crate) fn on_grid(x: f64, step: f64) -> f64 {
    // Of 0.1 the multiples are those of 1/10: a division is exact where a product is not.
    let (index, inverse) = ((x / step).round(), (1.0 / step).round());
    let is_whole = inverse >= 1.0 && (inverse * step - 1.0).abs() < 1e-12;
    // There is one zero.
    0.0 + if is_whole { index / inverse } else { index * step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::examples::InMemory;

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
            let mut own = vec![9.0; COLUMNS[i].features()];
            units.write_features(i, x, &mut own, |x| x);
            features.extend(own);
        }
        assert_eq!(features[..4], [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(features[4], 0.0);
        assert!((features[5] - 1.0_f64.asinh()).abs() < 1e-15);
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
    fn numbers_that_stand_out_are_taken_from_the_others() {
        // A slope without any, then zeros and a round number on it.
        let mut smooth: Vec<f64> =
            (0..100).flat_map(|x| vec![f64::from(x); 50 + x as usize]).collect();
        assert!(take_spikes(&mut smooth, 1.0).is_empty());
        let mut values = [vec![0.0; 4000], smooth.clone(), vec![40.0; 1000]].concat();
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len() as f64;
        let spikes = take_spikes(&mut values, 1.0);
        assert_eq!(spikes, [(0.0, 4050.0 / n), (40.0, 1090.0 / n)]);
        assert!(!values.contains(&0.0) && !values.contains(&40.0));
        assert_eq!(values.len(), smooth.len() - 50 - 90);
        // All alike: something stays.
        let mut few = [vec![0.0; 100], vec![50.0; 100], vec![90.0; 50]].concat();
        assert_eq!(take_spikes(&mut few, 1.0).len(), 2);
        assert_eq!(few.len(), 50);
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
