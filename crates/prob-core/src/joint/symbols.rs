//! Checked discrete data.

use crate::error::Error;

/// Rows of symbols, each in `0..states`, borrowed and checked once.
///
/// ```
/// use prob_core::joint::Symbols;
/// let data = Symbols::new(&[0, 1, 1, 0, 0, 1], 3, 2).unwrap();
/// assert_eq!((data.rows(), data.variables(), data.states()), (2, 3, 2));
/// let error = Symbols::new(&[0, 2], 2, 2).unwrap_err();
/// assert_eq!(error.to_string(), "symbol 2 in row 0, variable 1, expected less than 2");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Symbols<'a> {
    values: &'a [u8],
    variables: usize,
    states: usize,
}

impl<'a> Symbols<'a> {
    /// From values in row-major order; no rows at all is allowed.
    ///
    /// # Shapes
    /// `values`: `[rows, variables]`.
    ///
    /// # Errors
    /// When there are no variables, `states` is not in `1..=256`, the values do not fill whole rows,
    /// or one is not below `states`.
    pub fn new(values: &'a [u8], variables: usize, states: usize) -> Result<Self, Error> {
        check_size(variables, states)?;
        if !values.len().is_multiple_of(variables) {
            return Err(Error::Ragged { length: values.len(), variables });
        }
        match values.iter().position(|&v| usize::from(v) >= states) {
            None => Ok(Self { values, variables, states }),
            Some(at) => Err(Error::Symbol {
                value: values[at],
                row: at / variables,
                variable: at % variables,
                states,
            }),
        }
    }

    /// The values, row by row.
    pub fn values(&self) -> &'a [u8] {
        self.values
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.variables
    }

    /// Number of variables, the length of a row.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// Number of states of every variable.
    pub fn states(&self) -> usize {
        self.states
    }
}

/// A joint distribution has at least one variable, and symbols fit in a byte.
pub(super) fn check_size(variables: usize, states: usize) -> Result<(), Error> {
    if variables == 0 {
        return Err(Error::NoVariables);
    }
    if !(1..=256).contains(&states) {
        return Err(Error::States(states));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_errors() {
        assert_eq!(Symbols::new(&[], 0, 2).unwrap_err(), Error::NoVariables);
        assert_eq!(Symbols::new(&[], 1, 0).unwrap_err(), Error::States(0));
        assert_eq!(Symbols::new(&[], 1, 257).unwrap_err(), Error::States(257));
        let ragged = Symbols::new(&[0, 1, 0], 2, 2).unwrap_err();
        assert_eq!(ragged.to_string(), "3 values, expected a multiple of 2 variables");
        assert_eq!(Symbols::new(&[], 3, 256).unwrap().rows(), 0);
    }
}
