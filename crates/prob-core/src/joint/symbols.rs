//! Checked discrete data.

use crate::error::Error;

/// Rows of symbols, each in `0..states` of its variable, borrowed and checked once.
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
    levels: Levels<'a>,
}

/// How many states each variable has.
#[derive(Debug, Clone, Copy)]
enum Levels<'a> {
    Common(usize),
    Each(&'a [usize]),
}

impl Levels<'_> {
    fn of(self, variable: usize) -> usize {
        match self {
            Self::Common(states) => states,
            Self::Each(levels) => levels[variable],
        }
    }
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
        Self { values, variables, levels: Levels::Common(states) }.checked()
    }

    /// The same where each variable has a number of states of its own.
    ///
    /// # Shapes
    /// `values`: `[rows, variables]`; `levels`: `[variables]`.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    ///
    /// ```
    /// use prob_core::joint::Symbols;
    /// let data = Symbols::of_levels(&[0, 2, 1, 1], &[2, 3]).unwrap();
    /// assert_eq!((data.rows(), data.levels()), (2, vec![2, 3]));
    /// let error = Symbols::of_levels(&[2, 0], &[2, 3]).unwrap_err();
    /// assert_eq!(error.to_string(), "symbol 2 in row 0, variable 0, expected less than 2");
    /// ```
    pub fn of_levels(values: &'a [u8], levels: &'a [usize]) -> Result<Self, Error> {
        check_levels(levels)?;
        Self { values, variables: levels.len(), levels: Levels::Each(levels) }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        let Self { values, variables, levels } = self;
        if !values.len().is_multiple_of(variables) {
            return Err(Error::Ragged { length: values.len(), variables });
        }
        let outside = match levels {
            Levels::Common(states) => values.iter().position(|&v| usize::from(v) >= states),
            Levels::Each(levels) => {
                let all = values.iter().zip(levels.iter().cycle());
                all.enumerate().find(|(_, (v, states))| usize::from(**v) >= **states).map(|at| at.0)
            }
        };
        match outside {
            None => Ok(self),
            Some(at) => Err(Error::Symbol {
                value: values[at],
                row: at / variables,
                variable: at % variables,
                states: levels.of(at % variables),
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

    /// Number of states of every variable; where they differ, of the one with the most.
    pub fn states(&self) -> usize {
        match self.levels {
            Levels::Common(states) => states,
            Levels::Each(levels) => levels.iter().copied().max().unwrap_or_default(),
        }
    }

    /// Number of states of each variable, `[variables]`.
    pub fn levels(&self) -> Vec<usize> {
        (0..self.variables).map(|variable| self.levels.of(variable)).collect()
    }

    /// The number of states that all variables have.
    ///
    /// # Errors
    /// When they differ, which `model` has no place for.
    pub(super) fn common_states(&self, model: &'static str) -> Result<usize, Error> {
        let first = self.levels.of(0);
        match (0..self.variables).find(|&variable| self.levels.of(variable) != first) {
            None => Ok(first),
            Some(variable) => {
                let got = self.levels.of(variable);
                Err(Error::Levels { model, variable, got, expected: first })
            }
        }
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

/// The same for variables of different numbers of states.
pub(super) fn check_levels(levels: &[usize]) -> Result<(), Error> {
    if levels.is_empty() {
        return Err(Error::NoVariables);
    }
    levels.iter().try_for_each(|&states| check_size(levels.len(), states))
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
