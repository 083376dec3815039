//! Units of information at the edge: inside, everything is in nats.
//!
//! ```text
//! bits per dim = nats / (variables · ln 2)
//! ```
//!
//! The formula is written once, in [`Nats::bits_per_dim`]; its inverse is [`BitsPerDim::nats`].

use std::f64::consts::LN_2;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of information in nats, summed over all variables of an event.
///
/// ```
/// use prob_core::units::Nats;
/// // A fair coin for each of 784 pixels costs exactly one bit a pixel.
/// let cost = Nats(784.0 * 2f64.ln());
/// assert!((cost.bits_per_dim(784).0 - 1.0).abs() < 1e-12);
/// assert_eq!(Nats(88.33).to_string(), "88.33 nats");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nats(pub f64);

/// An amount of information in bits per variable.
///
/// ```
/// use prob_core::units::{BitsPerDim, Nats};
/// assert!((BitsPerDim(3.0).nats(3072).0 - 3.0 * 3072.0 * 2f64.ln()).abs() < 1e-9);
/// assert_eq!(BitsPerDim(3.0).to_string(), "3 bits/dim");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BitsPerDim(pub f64);

impl Nats {
    /// The same amount in bits per variable, for an event of `variables` variables.
    ///
    /// An event of no variables has no bits per variable: NaN or infinite.
    pub fn bits_per_dim(self, variables: usize) -> BitsPerDim {
        BitsPerDim(self.0 / (variables as f64 * LN_2))
    }
}

impl BitsPerDim {
    /// The same amount in nats, for an event of `variables` variables.
    pub fn nats(self, variables: usize) -> Nats {
        Nats(self.0 * (variables as f64 * LN_2))
    }
}

// `{:.4}` reaches the number, so that tables can choose the digits.
impl fmt::Display for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        f.write_str(" nats")
    }
}

impl fmt::Display for BitsPerDim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        f.write_str(" bits/dim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_two_units_convert_both_ways(nats in -1e6f64..1e6, variables in 1usize..5000) {
            let back = Nats(nats).bits_per_dim(variables).nats(variables);
            prop_assert!((back.0 - nats).abs() <= 1e-12 * nats.abs());
        }
    }

    #[test]
    fn digits_can_be_chosen() {
        assert_eq!(format!("{:.4}", Nats(24.78401)), "24.7840 nats");
    }
}
