//! The sum over all stored rows in f32, for rows that are ranked.
//!
//! ```text
//! log p(x) = −const(x) − log n + log Σ_i 2^−cost_i,      cost_i = Σ_t −log₂ K_t(x_t | x_{i,t}) − const(x) / ln 2
//! ```
//!
//! The constant is what the cheapest of the stored cells of each column costs, in f64; what stored rows cost above it are
//! sums of terms that are at least 0, as [`ar_kernels::window`] has them. Columns of numbers without holes are rotated
//! (`axes.rs`), which leaves their distances as they are.
//!
//! How near it is: rows whose kernels are below e^−14/n of the largest are left out, which is 10^-6 at most, and f32 rounds
//! costs to some 10^-7 of themselves and differences of numbers to 10^-7 of the numbers. What f32 cannot hold, and rows
//! with a missing number where no stored row has one, go through the sum in f64.

use std::f64::consts::LOG2_E;

use ar_kernels::window::{Centres, LARGEST, LEAD, Shape};

use super::axes::Axes;
use super::kernels::{Kernel, Outcomes};
use super::layout::Layout;

/// Stored rows in f32.
#[derive(Clone, Debug)]
pub(super) struct Fast {
    /// Columns of numbers that are all there, of labels, and of numbers with holes.
    numbers: Vec<usize>,
    labels: Vec<(usize, Outcomes)>,
    holes: Vec<usize>,
    axes: Axes,
    centres: Centres,
}

impl Fast {
    /// Packs stored rows, `[n, columns]`; `None` where f32 cannot hold them, or a column is of ordered labels.
    pub(super) fn new(layout: &Layout, rows: &[f64]) -> Option<Self> {
        let width = layout.kernels.len();
        let (mut numbers, mut labels, mut holes) = (Vec::new(), Vec::new(), Vec::new());
        for (t, kernel) in layout.kernels.iter().enumerate() {
            let mut cells = rows.iter().skip(t).step_by(width);
            match kernel {
                Kernel::Label(label) => {
                    let is_known = |&x: &f64| label.index(x) < label.labels();
                    let outcomes = label.outcomes().filter(|_| cells.all(is_known))?;
                    labels.push((t, outcomes));
                }
                Kernel::Number(_) if cells.any(|x| x.is_nan()) => holes.push(t),
                Kernel::Number(_) => numbers.push(t),
            }
        }
        let at = |row: &[f64], t: usize| match &layout.kernels[t] {
            Kernel::Number(number) => number.at(row[t]) * LOG2_E.sqrt(),
            Kernel::Label(label) => label.index(row[t]) as f64,
        };
        let stored = || rows.chunks_exact(width);
        let coordinates: Vec<f64> =
            stored().flat_map(|row| numbers.iter().map(|&t| at(row, t))).collect();
        let axes = Axes::of(&coordinates, numbers.len(), LEAD);
        let shape = Shape { numbers: numbers.len(), labels: labels.len(), holes: holes.len() };
        let mut packed = Vec::with_capacity(rows.len());
        for row in stored() {
            let mut coordinates: Vec<f64> = numbers.iter().map(|&t| at(row, t)).collect();
            axes.apply(&mut coordinates);
            let others = labels.iter().map(|(t, _)| *t).chain(holes.iter().copied());
            let row = coordinates.into_iter().chain(others.map(|t| at(row, t)));
            packed.extend(row.map(|x| x as f32));
        }
        let are_held = packed.iter().all(|x| x.is_nan() || x.abs() <= LARGEST);
        are_held.then(|| Self {
            numbers,
            labels,
            holes,
            axes,
            centres: Centres::new(shape, &packed),
        })
    }

    /// log Σ_i Π_t K_t of each row, in nats.
    ///
    /// # Shapes
    /// `rows` is `[n, columns]`; returns `[n]`.
    pub(super) fn log_sums(&self, layout: &Layout, rows: &[f64]) -> Vec<f64> {
        let width = layout.kernels.len();
        let rows = || rows.chunks_exact(width);
        let mut queries = Vec::with_capacity(rows().len() * self.centres.shape().query());
        let mut coordinates = Vec::with_capacity(self.numbers.len());
        let constants: Vec<Option<f64>> =
            rows().map(|row| self.query(layout, row, &mut coordinates, &mut queries)).collect();
        let mut sums = self.centres.log_sums(&queries);
        let mut left: Vec<(usize, &[f64])> = Vec::new();
        for (n, (sum, (constant, row))) in
            sums.iter_mut().zip(constants.into_iter().zip(rows())).enumerate()
        {
            match constant {
                // Impossible, whatever the sum is.
                Some(f64::INFINITY) => *sum = f64::NEG_INFINITY,
                Some(constant) if sum.is_finite() => *sum -= constant,
                _ => left.push((n, row)),
            }
        }
        if !left.is_empty() {
            let rows: Vec<f64> = left.iter().flat_map(|(_, row)| *row).copied().collect();
            for ((n, _), sum) in left.into_iter().zip(layout.log_sums(&rows, None)) {
                sums[n] = sum;
            }
        }
        sums
    }

    /// Adds a query, and gives what does not depend on the stored row; `None` where the query says nothing.
    fn query(
        &self,
        layout: &Layout,
        row: &[f64],
        coordinates: &mut Vec<f64>,
        queries: &mut Vec<f32>,
    ) -> Option<f64> {
        let end = queries.len() + self.centres.shape().query();
        let constant = self.terms(layout, row, coordinates, queries);
        if constant.is_none() {
            queries.truncate(end - self.centres.shape().query());
            queries.resize(end, 0.0);
        }
        constant
    }

    fn terms(
        &self,
        layout: &Layout,
        row: &[f64],
        coordinates: &mut Vec<f64>,
        queries: &mut Vec<f32>,
    ) -> Option<f64> {
        let number = |t: usize| match &layout.kernels[t] {
            Kernel::Number(number) => number,
            Kernel::Label(_) => unreachable!("a column of numbers"),
        };
        let mut constant = 0.0;
        coordinates.clear();
        for &t in &self.numbers {
            constant -= number(t).there;
            coordinates.push(number(t).at(row[t]) * LOG2_E.sqrt());
        }
        self.axes.apply(coordinates);
        // Neither NaN nor what is too large.
        if !coordinates.iter().all(|x| x.abs() <= f64::from(LARGEST)) {
            return None;
        }
        queries.extend(coordinates.iter().map(|&x| x as f32));
        for (t, outcomes) in &self.labels {
            let code = row[*t];
            let (cost, more) = outcomes.costs(code);
            constant += cost;
            queries.extend([code as f32, (more * LOG2_E) as f32]);
        }
        for &t in &self.holes {
            let (number, x) = (number(t), row[t]);
            let (there, missing) = match x.is_nan() {
                true => (-number.missing, -number.both_missing),
                false => (-number.there, -number.around_missing(x)),
            };
            let least = there.min(missing);
            constant += least;
            if least.is_finite() {
                let (at, weight) =
                    if x.is_nan() { (0.0, 0.0) } else { (number.at(x) * LOG2_E.sqrt(), 1.0) };
                if at.abs() > f64::from(LARGEST) {
                    return None;
                }
                let above = [there, missing].map(|cost| ((cost - least) * LOG2_E) as f32);
                queries.extend([at as f32, weight, above[0], above[1]]);
            } else {
                queries.extend([0.0; 4]);
            }
        }
        Some(constant)
    }
}
