//! What can be wrong with parameters, data or structure.

use num_bigint::BigUint;

/// An error of this crate: what was given and what was expected.
///
/// Outside the support is never an error: `log_prob` is `-inf` there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter of a distribution is impossible.
    #[error("{parameter} {value} in row {row}, expected {expected}")]
    Parameter {
        /// Name of the parameter, for example `logits`.
        parameter: &'static str,
        /// Batch row of the first offender.
        row: usize,
        /// The offending value.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// Probabilities do not sum to one.
    #[error("probabilities of row {row} sum to {sum}, expected 1 within {tolerance}")]
    NotNormalised {
        /// Row of the first offender.
        row: usize,
        /// What they sum to.
        sum: f64,
        /// Largest accepted distance from 1.
        tolerance: f64,
    },
    /// Two things that must agree in shape do not.
    #[error("{what} of shape {got:?}, expected {expected}")]
    Shape {
        /// What has the wrong shape.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape it should have.
        expected: String,
    },
    /// A symbol lies outside `0..states`.
    #[error("symbol {value} in row {row}, variable {variable}, expected less than {states}")]
    Symbol {
        /// The offending symbol.
        value: u8,
        /// Row of the first offender.
        row: usize,
        /// Its variable.
        variable: usize,
        /// Number of states of every variable.
        states: usize,
    },
    /// The values do not form whole rows.
    #[error("{length} values, expected a multiple of {variables} variables")]
    Ragged {
        /// Number of values given.
        length: usize,
        /// Number of variables of a row.
        variables: usize,
    },
    /// The number of states is impossible.
    #[error("{0} states, expected 1 to 256")]
    States(usize),
    /// Variables of different numbers of states, where there must be one.
    #[error(
        "{model} of a variable {variable} of {got} states beside one of {expected}, expected one number of states"
    )]
    Levels {
        /// What has a place for one number alone.
        model: &'static str,
        /// The first variable that has another one.
        variable: usize,
        /// Its number of states.
        got: usize,
        /// That of the first variable.
        expected: usize,
    },
    /// A joint distribution needs at least one variable.
    #[error("0 variables, expected at least 1")]
    NoVariables,
    /// The pseudo-count is impossible.
    #[error("pseudo-count {0}, expected a finite number, 0 or more")]
    PseudoCount(f64),
    /// The tables would not fit in the stated memory.
    #[error(
        "{model} needs at least {} of tables, expected at most {}",
        human_bytes(needed_bytes), human_bytes(&BigUint::from(*limit_bytes))
    )]
    TooLarge {
        /// Which family.
        model: &'static str,
        /// Bytes its tables would take; for a long Markov chain its largest table alone.
        needed_bytes: BigUint,
        /// The limit.
        limit_bytes: u64,
    },
    /// Not a permutation of `0..length`.
    #[error(
        "ordering visits {value} at position {position}, expected each of 0..{length} exactly once"
    )]
    NotAPermutation {
        /// The repeated or too large index.
        value: usize,
        /// Where it stands.
        position: usize,
        /// Length of the ordering.
        length: usize,
    },
    /// An ordering that needs an image was asked of something else.
    #[error("ordering `{kind}` for shape {shape:?}, expected {expected}")]
    OrderingShape {
        /// The kind of ordering.
        kind: &'static str,
        /// The shape of the event.
        shape: Vec<usize>,
        /// What shape it takes.
        expected: &'static str,
    },
    /// An ordering, a parents list or an image does not have the data's number of variables.
    #[error("{what} of {got} variables, expected {expected}")]
    Variables {
        /// What disagrees.
        what: &'static str,
        /// How many variables it has.
        got: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A neighbour that is not strictly earlier in raster order.
    #[error(
        "neighbour ({row}, {column}) is not before its pixel in raster order, expected a row \
         above, or the same row and a column to the left"
    )]
    NotCausal {
        /// Row offset.
        row: isize,
        /// Column offset.
        column: isize,
    },
    /// The same neighbour, parent or variable is listed twice.
    #[error("{what} {value} is listed twice, expected once")]
    Repeated {
        /// What is repeated.
        what: &'static str,
        /// Which one, in words.
        value: String,
    },
    /// A variable index beyond the last variable.
    #[error("variable {variable}, expected less than {variables}")]
    NoSuchVariable {
        /// The offending index.
        variable: usize,
        /// Number of variables.
        variables: usize,
    },
    /// A Bayesian network with a directed cycle.
    #[error("the network has a cycle through variables {0:?}, expected a directed acyclic graph")]
    Cycle(Vec<usize>),
    /// A set of variables that must not be empty is.
    #[error("no {0}, expected at least one")]
    Empty(&'static str),
    /// Stored tables that do not fit the structure.
    #[error("{what}: {got}, expected {expected}")]
    Table {
        /// What is wrong, for example `entries of table 3`.
        what: String,
        /// What was found.
        got: usize,
        /// What was expected.
        expected: usize,
    },
    /// Conditioning on something that cannot happen.
    #[error("the given values have probability 0, expected a possible event")]
    Impossible,
}

/// Bytes in words that stay short at any size.
fn human_bytes(bytes: &BigUint) -> String {
    match u64::try_from(bytes) {
        Ok(b) if b < 10_000 => format!("{b} bytes"),
        Ok(b) if b < 10 * (1 << 20) => format!("{:.1} KiB", b as f64 / 1024.0),
        Ok(b) if b < 10 * (1 << 30) => format!("{:.1} MiB", b as f64 / (1u64 << 20) as f64),
        Ok(b) => format!("{:.1} GiB", b as f64 / (1u64 << 30) as f64),
        // The exponent alone says enough: nobody has this much memory.
        Err(_) => format!("about 10^{} bytes", bytes.to_string().len() - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable_at_any_magnitude() {
        assert_eq!(human_bytes(&BigUint::from(16u8)), "16 bytes");
        assert_eq!(human_bytes(&BigUint::from(1u64 << 30)), "1024.0 MiB");
        assert_eq!(human_bytes(&BigUint::from(3u64 << 40)), "3072.0 GiB");
        assert_eq!(human_bytes(&BigUint::from(2u8).pow(784)), "about 10^236 bytes");
    }
}
