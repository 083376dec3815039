//! From grey levels to bits.
//!
//! ```text
//! threshold     bit = 1 where value >= levels / 2, rounded down: 8 of 17, 128 of 256
//! stochastic    bit = 1 with probability value / (levels − 1)
//! ```
//!
//! The stochastic bit is a function of (seed, epoch, row, position) and of nothing else, so any
//! subset of rows in any order and in any batch gives the same bits. The row is the one in the file
//! where the dataset is a part of it ([`Dataset::number`]). Evaluation has an epoch of its
//! own, so that the numbers of different runs are about the same data.
//!
//! # References
//!
//! R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief networks", ICML
//! 2008, section 5, draw binary images from grey MNIST this way.

use crate::dataset::Dataset;
use crate::error::Result;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// Which draw of what is stochastic in the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Draw {
    /// The one draw that evaluation uses, the same in every run with the same seed.
    Evaluation,
    /// The draw of a training epoch.
    Epoch(u64),
}

/// The smallest value that becomes 1: 8 of 17 levels, 128 of 256.
///
/// ```
/// assert_eq!(ar_data::binarize::threshold_level(17), 8);
/// assert_eq!(ar_data::binarize::threshold_level(256), 128);
/// ```
#[expect(clippy::cast_possible_truncation, reason = "levels is at most 256")]
pub fn threshold_level(levels: u16) -> u8 {
    (levels / 2) as u8
}

/// Bits by threshold; bits stay as they are.
///
/// # Errors
///
/// [`crate::Error::Inconsistent`] if the values are reals.
pub fn threshold(data: &Dataset) -> Result<Dataset> {
    let (symbols, levels) = data.symbols()?;
    let level = threshold_level(levels);
    Ok(data.with_symbols(symbols.iter().map(|&value| u8::from(value >= level)).collect(), 2))
}

/// Bits by chance; bits stay as they are.
///
/// # Errors
///
/// [`crate::Error::Inconsistent`] if the values are reals.
pub fn stochastic(data: &Dataset, seed: u64, draw: Draw) -> Result<Dataset> {
    let mut bits = Vec::new();
    stochastic_rows(data, 0..data.len(), seed, draw, &mut bits)?;
    Ok(data.with_symbols(bits, 2))
}

/// Bits by chance for some rows of a dataset, appended to `bits` as `[rows, event_len]`.
///
/// # Errors
///
/// [`crate::Error::Inconsistent`] if the values are reals.
///
/// # Panics
///
/// If a row does not exist.
pub fn stochastic_rows(
    data: &Dataset,
    rows: impl IntoIterator<Item = usize>,
    seed: u64,
    draw: Draw,
    bits: &mut Vec<u8>,
) -> Result<()> {
    let (symbols, levels) = data.symbols()?;
    let width = data.event_len();
    let top = u64::from(levels - 1);
    let mut stream = draw.generator(seed, b"ar-data/binary1");
    for row in rows {
        // One stream per row, one word per position.
        stream.set_stream(data.number(row));
        stream.set_word_pos(0);
        bits.extend(symbols[row * width..(row + 1) * width].iter().map(|&value| {
            // Uniform on 0..top up to 2^-24; certain at both ends.
            let draw = (u64::from(stream.next_u32()) * top) >> 32;
            u8::from(draw < u64::from(value))
        }));
    }
    Ok(())
}

impl Draw {
    /// The generator whose streams are the rows. The key holds the name of a use besides seed and draw,
    /// so that no other use of the same seed meets these streams.
    pub(crate) fn generator(self, seed: u64, name: &[u8; 15]) -> ChaCha8Rng {
        let (kind, epoch) = match self {
            Self::Evaluation => (0_u8, 0),
            Self::Epoch(epoch) => (1, epoch),
        };
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16] = kind;
        key[17..32].copy_from_slice(name);
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Values;

    fn greys(levels: u16, rows: usize, width: usize) -> Dataset {
        let data = (0..rows * width).map(|i| (i % usize::from(levels)) as u8).collect();
        Dataset::new("g", Values::Symbols { data, levels }, &[width]).unwrap()
    }

    #[test]
    fn the_threshold_is_half_the_levels_rounded_down() {
        let bits = threshold(&greys(17, 1, 17)).unwrap();
        let (bits, levels) = bits.symbols().unwrap();
        assert_eq!((bits.iter().position(|&bit| bit == 1), levels), (Some(8), 2));
        let bits = threshold(&greys(256, 1, 256)).unwrap();
        assert_eq!(bits.symbols().unwrap().0.iter().position(|&bit| bit == 1), Some(128));
        let same = greys(2, 3, 2);
        assert_eq!(threshold(&same).unwrap(), same);
        assert_eq!(stochastic(&same, 5, Draw::Epoch(3)).unwrap(), same);
        assert!(threshold(&same.into_reals()).is_err());
    }

    #[test]
    fn a_bit_depends_on_seed_draw_row_and_position_alone() {
        let data = greys(256, 50, 40);
        let all = stochastic(&data, 7, Draw::Epoch(2)).unwrap();
        let rows = [49, 3, 3, 0];
        let mut bits = Vec::new();
        stochastic_rows(&data, rows, 7, Draw::Epoch(2), &mut bits).unwrap();
        assert_eq!(bits, all.subset(&rows).unwrap().symbols().unwrap().0);
        let part = data.subset(&[3, 49]).unwrap().with_numbers(vec![3, 49]).unwrap();
        assert_eq!(
            stochastic(&part, 7, Draw::Epoch(2)).unwrap().symbols().unwrap(),
            all.subset(&[3, 49]).unwrap().symbols().unwrap()
        );
        for (seed, draw) in
            [(8, Draw::Epoch(2)), (7, Draw::Epoch(3)), (7, Draw::Evaluation), (7, Draw::Epoch(0))]
        {
            assert_ne!(stochastic(&data, seed, draw).unwrap(), all);
        }
        assert_ne!(
            stochastic(&data, 7, Draw::Evaluation).unwrap(),
            stochastic(&data, 7, Draw::Epoch(0)).unwrap()
        );
    }

    /// The bits of a seed are part of the interface: a change would change every published number.
    /// The expected bits come from ChaCha8 written out in Python from Bernstein's paper.
    #[test]
    fn the_bits_of_a_seed_never_change() {
        let bits = stochastic(&greys(17, 2, 17), 1, Draw::Evaluation).unwrap();
        let shown: String =
            bits.symbols().unwrap().0.iter().map(|bit| char::from(b'0' + bit)).collect();
        assert_eq!(shown, "0000010011110110100000001110111111");
    }

    /// Each value v of 17 levels is drawn 20,000 times. A two-sided z-test at alpha = 1e-6 over 15
    /// values: |z| < 5.4. A probability that is off by 0.02 gives |z| > 5.6 at the widest.
    #[test]
    fn frequencies_match_the_probabilities() {
        let (rows, width) = (20_000, 17);
        let bits = stochastic(&greys(17, rows, width), 1, Draw::Epoch(1)).unwrap();
        let (bits, _) = bits.symbols().unwrap();
        for value in 0..width {
            let ones: u32 = bits.iter().skip(value).step_by(width).map(|&bit| u32::from(bit)).sum();
            let p = value as f64 / 16.0;
            let (mean, deviation) = (rows as f64 * p, (rows as f64 * p * (1.0 - p)).sqrt());
            let gap = (f64::from(ones) - mean).abs();
            assert!(gap <= 5.4 * deviation, "value {value}: {ones} ones, expected {mean}");
        }
    }
}
