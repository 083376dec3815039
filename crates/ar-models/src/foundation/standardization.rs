//! Real variables brought to mean 0 and standard deviation 1, and what that does to a density.
//!
//! ```text
//! z_i = (x_i − m_i) / s_i,   m_i and s_i of the training set
//! log p(x) = log p_z(z) − Σ_i log s_i
//! ```
//!
//! The sum is the logarithm of the Jacobian |det ∂z/∂x|. Without it the "density" of x integrates to
//! Π s_i.

use super::error::Error;
use super::event::{EventSpec, check_values};
use super::examples::{Examples, for_chunks};

/// Mean and standard deviation of each variable, in event order.
///
/// ```
/// use ar_models::{examples::InMemory, standardization::Standardization};
///
/// let data = InMemory::reals(vec![1.0, 5.0, 3.0, 9.0], 2);
/// let standardization = Standardization::fit(&data, 1)?;
/// assert_eq!(standardization.means(), [2.0, 7.0]);
/// assert_eq!(standardization.scales(), [1.0, 2.0]);
/// assert_eq!(standardization.log_scale(), 2.0_f64.ln());
/// # Ok::<(), ar_models::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardization {
    means: Vec<f64>,
    scales: Vec<f64>,
}

/// Rows that are read at a time.
const CHUNK: usize = 2000;

impl Standardization {
    /// Of a set as epoch `epoch` sees it: s_i² is the mean square of x_i − m_i.
    ///
    /// # Errors
    /// When the set is empty, a value is not finite, or a variable has the same value in every row:
    /// its density would be infinite.
    ///
    /// # Panics
    /// When the set is one of symbols.
    pub fn fit(examples: &dyn Examples, epoch: u64) -> Result<Self, Error> {
        if examples.is_empty() {
            return Err(Error::Empty("training"));
        }
        let variables = examples.variables();
        let mut sums = vec![0.0; variables];
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); variables];
        for_each(examples, epoch, |i, x| {
            sums[i] += x;
            ranges[i] = (ranges[i].0.min(x), ranges[i].1.max(x));
        });
        // The least and the most of a variable do not show a NaN.
        if sums.iter().any(|sum| !sum.is_finite()) {
            for_chunks(examples, epoch, |first, values| {
                check_values("training", first, &EventSpec::reals(vec![variables]), values)
            })?;
        }
        if let Some(variable) = ranges.iter().position(|(least, most)| least >= most) {
            let value = ranges[variable].0;
            return Err(Error::Constant { variable, value, rows: examples.len() });
        }
        let rows = examples.len() as f64;
        let means: Vec<f64> = sums.iter().map(|sum| sum / rows).collect();
        let mut squares = vec![0.0; variables];
        for_each(examples, epoch, |i, x| squares[i] += (x - means[i]).powi(2));
        let scales = squares.iter().map(|square| (square / rows).sqrt()).collect();
        Ok(Self { means, scales })
    }

    /// From stored numbers.
    ///
    /// # Errors
    /// When they are not as many as each other, or no finite means and finite scales above 0.
    pub fn new(means: Vec<f64>, scales: Vec<f64>) -> Result<Self, Error> {
        let fit = means.len() == scales.len()
            && means.iter().all(|mean| mean.is_finite())
            && scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
        if fit {
            return Ok(Self { means, scales });
        }
        Err(Error::Stored(format!(
            "a standardization of {} means and {} scales, expected as many finite means and scales \
             above 0",
            means.len(),
            scales.len()
        )))
    }

    /// The one that changes nothing.
    pub fn identity(variables: usize) -> Self {
        Self { means: vec![0.0; variables], scales: vec![1.0; variables] }
    }

    /// m_i.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// s_i.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// Σ_i log s_i: what a cost in the units of the data has more than one in standardized units.
    pub fn log_scale(&self) -> f64 {
        self.scales.iter().map(|scale| scale.ln()).sum()
    }
}

/// Calls `f` with every variable's index and value.
fn for_each(examples: &dyn Examples, epoch: u64, mut f: impl FnMut(usize, f64)) {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let mut values = Vec::new();
    for rows in rows.chunks(CHUNK) {
        examples.read_reals(epoch, rows, &mut values);
        for row in values.chunks_exact(examples.variables()) {
            row.iter().enumerate().for_each(|(i, &x)| f(i, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::examples::InMemory;

    #[test]
    fn a_constant_variable_is_named() {
        let data = InMemory::reals(vec![1.0, 0.1, 2.0, 0.1, 3.0, 0.1], 2);
        let message = Standardization::fit(&data, 1).unwrap_err().to_string();
        assert_eq!(
            message,
            "variable 1 (from 0) is 0.1 in all 3 training rows, expected at least two values: its \
             density would be infinite"
        );
        assert!(Standardization::fit(&InMemory::reals(Vec::new(), 2), 1).is_err());
    }

    #[test]
    fn a_value_that_is_not_finite_is_named() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let data = InMemory::reals(vec![1.0, 0.1, 2.0, value, 3.0, 0.3], 2);
            let message = Standardization::fit(&data, 1).unwrap_err().to_string();
            let expected =
                format!("the training set has {value} in row 1, variable 1 (both from 0)");
            assert!(message.starts_with(&expected), "{message}");
        }
    }

    #[test]
    fn the_scale_is_right_far_from_zero() {
        // f32 has 0.0625 between neighbours here, and f64 sums of squares would lose all of it.
        let data = InMemory::reals(vec![1_000_000.0, 1_000_001.0], 1);
        let standardization = Standardization::fit(&data, 1).unwrap();
        assert_eq!(standardization.means(), [1_000_000.5]);
        assert_eq!(standardization.scales(), [0.5]);
    }

    #[test]
    fn stored_numbers_are_checked() {
        assert!(Standardization::new(vec![0.0], vec![1.0]).is_ok());
        for (means, scales) in [
            (vec![0.0], vec![]),
            (vec![f64::NAN], vec![1.0]),
            (vec![0.0], vec![0.0]),
            (vec![0.0], vec![f64::INFINITY]),
        ] {
            assert!(Standardization::new(means, scales).is_err());
        }
    }
}
