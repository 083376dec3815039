//! How many free parameters each way of factorizing p(x) has, exactly, at any size.
//!
//! A distribution over `m` states has `m − 1` free parameters: the last probability is what is left
//! of 1. A conditional distribution has that many for each context it can be in. So every count
//! below is a sum over variables of
//!
//! ```text
//! (number of contexts) · (m − 1)
//! ```
//!
//! With all earlier variables as context this is the chain rule's own sum, and it is the full table
//! again: the chain rule alone saves nothing, what saves is looking at less.
//!
//! ```text
//! Σ_{t<n} m^t (m − 1) = m^n − 1
//! ```
//!
//! # A pixel of three channels
//! An RGB pixel with 256 levels a channel has 256³ states, so its joint distribution has
//! `256³ − 1 = 16_777_215` free parameters. Some lecture notes print `255³ = 16_581_375`, which
//! multiplies the three channels' separate counts of 255. That is no count of anything: free
//! parameters of independent parts *add* (765 for three independent channels), and for a joint
//! table the one constraint, that everything sums to 1, is taken off once, from the product of the
//! states and not from each channel.
//!
//! ```
//! use prob_core::count;
//! assert_eq!(count::full_table(3, 256).to_string(), "16777215");
//! assert_eq!(count::independent(3, 256).to_string(), "765");
//! ```

use num_bigint::BigUint;

use crate::error::Error;

/// A coin: 1.
///
/// ```
/// assert_eq!(prob_core::count::coin().to_string(), "1");
/// ```
pub fn coin() -> BigUint {
    die(2)
}

/// A die of `states` sides: `m − 1`. With one side there is nothing to choose: 0.
///
/// ```
/// assert_eq!(prob_core::count::die(6).to_string(), "5");
/// ```
pub fn die(states: usize) -> BigUint {
    BigUint::from(states.saturating_sub(1))
}

/// The full joint table of `variables` variables: `m^n − 1`.
///
/// ```
/// use prob_core::count::full_table;
/// assert_eq!(full_table(3, 2).to_string(), "7");
/// // A binary image of 28 × 28 pixels: a number of 237 digits.
/// assert_eq!(full_table(784, 2).to_string().len(), 237);
/// ```
pub fn full_table(variables: usize, states: usize) -> BigUint {
    // m^n − 1 would be −1 for the impossible m = 0.
    power(states.max(1), variables) - 1u8
}

/// All variables independent: `n (m − 1)`.
///
/// ```
/// assert_eq!(prob_core::count::independent(784, 2).to_string(), "784");
/// ```
pub fn independent(variables: usize, states: usize) -> BigUint {
    die(states) * variables
}

/// A Markov chain of order `k`, one table per position: `Σ_t m^min(t, k) (m − 1)`.
///
/// Order 1 is `(m − 1) + (n − 1) m (m − 1)`, which is `2n − 1` for binary variables; order 0 is
/// [`independent`]; from order `n − 1` on it is [`full_table`].
///
/// ```
/// use prob_core::count::{full_table, independent, markov};
/// assert_eq!(markov(784, 2, 1).to_string(), "1567");
/// assert_eq!(markov(784, 2, 0), independent(784, 2));
/// assert_eq!(markov(10, 3, 9), full_table(10, 3));
/// ```
pub fn markov(variables: usize, states: usize, order: usize) -> BigUint {
    let growing = variables.min(order);
    // The first `growing` positions are a chain-rule sum of their own; the rest are alike.
    let alike = match variables - growing {
        0 => BigUint::from(0u8),
        rest => power(states, order) * die(states) * rest,
    };
    chain_rule_sum(growing, states) + alike
}

/// The chain rule's own sum, every variable given all before it: `Σ_t m^t (m − 1)`, which is
/// `1 + 2 + 4 + … + 2^(n−1)` for binary variables.
///
/// Summed term by term, so that its equality with [`full_table`] says something.
///
/// ```
/// use prob_core::count::{chain_rule_sum, full_table};
/// assert_eq!(chain_rule_sum(4, 2).to_string(), "15"); // 1 + 2 + 4 + 8
/// assert_eq!(chain_rule_sum(300, 7), full_table(300, 7));
/// ```
pub fn chain_rule_sum(variables: usize, states: usize) -> BigUint {
    let mut contexts = BigUint::from(1u8);
    let mut sum = BigUint::from(0u8);
    for _ in 0..variables {
        sum += &contexts * die(states);
        contexts *= states;
    }
    sum
}

/// A Bayesian network given by each variable's parents: `Σ_i m^|parents(i)| (m − 1)`.
///
/// # Errors
/// When a parent is no variable, is listed twice, or the graph has a cycle.
///
/// ```
/// use prob_core::count::bayesian_network;
/// // Two causes of one effect: 1 + 1 + 4.
/// let parents = [vec![], vec![], vec![0, 1]];
/// assert_eq!(bayesian_network(&parents, 2).unwrap().to_string(), "6");
/// assert!(bayesian_network(&[vec![0]], 2).is_err());
/// ```
pub fn bayesian_network(parents: &[Vec<usize>], states: usize) -> Result<BigUint, Error> {
    crate::joint::topological_order(parents)?;
    let sizes: Vec<usize> = parents.iter().map(Vec::len).collect();
    Ok(contexts(&sizes, states))
}

/// A causal neighbourhood on an image of `shape` rows and columns. A neighbour outside the image is
/// always 0, so it makes no contexts: pixels at the border have fewer parameters.
///
/// # Errors
/// When an offset is not strictly before its pixel in raster order, or is listed twice.
///
/// ```
/// use prob_core::count::neighbourhood;
/// use prob_core::joint::FOUR_NEIGHBOURS;
/// // One pixel: no context. Two in a row: the second sees the first.
/// assert_eq!(neighbourhood([1, 1], &FOUR_NEIGHBOURS, 2).unwrap().to_string(), "1");
/// assert_eq!(neighbourhood([1, 2], &FOUR_NEIGHBOURS, 2).unwrap().to_string(), "3");
/// assert_eq!(neighbourhood([28, 28], &FOUR_NEIGHBOURS, 2).unwrap().to_string(), "11611");
/// ```
pub fn neighbourhood(
    shape: [usize; 2],
    offsets: &[(isize, isize)],
    states: usize,
) -> Result<BigUint, Error> {
    let sizes: Vec<usize> =
        crate::joint::neighbours(shape, offsets)?.iter().map(Vec::len).collect();
    Ok(contexts(&sizes, states))
}

/// Any model with one table per variable: `Σ_i m^(context size of i) (m − 1)`.
///
/// ```
/// assert_eq!(prob_core::count::contexts(&[0, 1, 2], 2).to_string(), "7");
/// ```
pub fn contexts(context_sizes: &[usize], states: usize) -> BigUint {
    context_sizes.iter().map(|&k| power(states, k) * die(states)).sum()
}

/// `base^exponent`, exactly.
pub(crate) fn power(base: usize, exponent: usize) -> BigUint {
    // BigUint's pow takes any unsigned exponent; a count that overflows u32 would not fit anywhere.
    BigUint::from(base).pow(u32::try_from(exponent).expect("an exponent below 2^32"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_formulas_agree_where_families_meet(n in 1usize..40, m in 1usize..6) {
            prop_assert_eq!(chain_rule_sum(n, m), full_table(n, m));
            prop_assert_eq!(markov(n, m, 0), independent(n, m));
            prop_assert_eq!(markov(n, m, n - 1), full_table(n, m));
            prop_assert_eq!(markov(n, m, n + 3), full_table(n, m));
            let first_order = (m - 1) + (n - 1) * m * (m - 1);
            prop_assert_eq!(markov(n, m, 1), BigUint::from(first_order));
        }

        #[test]
        fn a_chain_as_a_network_counts_the_same(n in 1usize..20, m in 1usize..5, k in 0usize..5) {
            let parents: Vec<Vec<usize>> =
                (0..n).map(|t| (t.saturating_sub(k)..t).collect()).collect();
            prop_assert_eq!(bayesian_network(&parents, m).unwrap(), markov(n, m, k));
        }
    }

    #[test]
    fn a_pixel_of_three_channels_has_256_cubed_minus_one() {
        assert_eq!(full_table(3, 256), BigUint::from(16_777_215u32));
        assert_ne!(full_table(3, 256), BigUint::from(255u32).pow(3));
    }

    #[test]
    fn binary_order_one_is_two_n_minus_one() {
        assert_eq!(markov(784, 2, 1), BigUint::from(2u32 * 784 - 1));
    }

    #[test]
    fn no_variables_or_one_state_need_no_parameters() {
        assert_eq!(full_table(0, 2), BigUint::from(0u8));
        assert_eq!(markov(0, 2, 3), BigUint::from(0u8));
        assert_eq!(full_table(1000, 1), BigUint::from(0u8));
    }
}
