//! Symbols to real numbers by uniform noise.
//!
//! ```text
//! y = x + u,   u uniform on [0, 1)
//! ```
//!
//! A density q of y gives the symbols the mass P(x) = ∫ q(x + u) du, and by Jensen's inequality
//! E_u log q(x + u) ≤ log P(x): the mean log-density of dequantized data is, in expectation over u, a lower
//! bound on the discrete log-likelihood. One symbol is one unit wide, so that nats and bits per dimension of
//! the two compare as they are. Without noise a density could put infinitely narrow peaks on the symbols.
//!
//! u is a function of (seed, epoch, row, position) and of nothing else, a multiple of 2⁻¹⁶ so that x + u is
//! exact and never rounds up to x + 1. Evaluation has a draw of its own, the same in every run with
//! the same seed.
//!
//! # References
//!
//! - B. Uria, I. Murray and H. Larochelle, "RNADE", NIPS 2013, section 4.2, add such noise to pixels.
//! - L. Theis, A. van den Oord and M. Bethge, "A note on the evaluation of generative models", ICLR 2016,
//!   arXiv:1511.01844, section 3.1.

use crate::binarize::Draw;
use crate::dataset::Dataset;
use crate::error::Result;
use rand::Rng;

/// Some rows of a dataset of symbols as real numbers, appended to `out` as `[rows, event_len]`.
///
/// # Errors
///
/// [`crate::Error::Inconsistent`] if the values are reals already.
///
/// # Panics
///
/// If a row does not exist.
pub fn rows(
    data: &Dataset,
    rows: impl IntoIterator<Item = usize>,
    seed: u64,
    draw: Draw,
    out: &mut Vec<f64>,
) -> Result<()> {
    let (symbols, _) = data.symbols()?;
    let width = data.event_len();
    let mut stream = draw.generator(seed, b"ar-data/uniform");
    for row in rows {
        // One stream per row, one word per position.
        stream.set_stream(data.number(row));
        stream.set_word_pos(0);
        out.extend(symbols[row * width..(row + 1) * width].iter().map(|&value| {
            let noise = f64::from(stream.next_u32() >> 16) / 65_536.0;
            f64::from(value) + noise
        }));
    }
    Ok(())
}

/// The symbol that a real number lies in; what is outside goes to the nearest.
///
/// ```
/// use ar_data::dequantize::quantize;
/// assert_eq!([-0.5, 0.0, 0.999, 1.0, 3.7, 4.0].map(|y| quantize(y, 4)), [0, 0, 0, 1, 3, 3]);
/// ```
pub fn quantize(value: f64, levels: u16) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the symbols, of which there are at most 256"
    )]
    let symbol = value.floor().clamp(0.0, f64::from(levels.min(256) - 1)) as u8;
    symbol
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Values;

    #[test]
    fn noise_stays_within_its_symbol_repeats_and_is_uniform() {
        let data: Vec<u8> = (0..40_000_u32).map(|k| if k % 2 == 0 { 0 } else { 255 }).collect();
        let symbols = Values::Symbols { data: data.clone(), levels: 256 };
        let data_set = Dataset::new("d", symbols, &[10]).unwrap();
        let read = |rows_of: std::ops::Range<usize>, seed, draw| {
            let mut out = Vec::new();
            rows(&data_set, rows_of, seed, draw, &mut out).unwrap();
            out
        };
        let all = read(0..4000, 3, Draw::Epoch(1));
        for (&y, &x) in all.iter().zip(&data) {
            assert!(y >= f64::from(x) && y < f64::from(x) + 1.0);
            assert_eq!(quantize(y, 256), x);
        }
        assert_eq!(all[50..60], read(5..6, 3, Draw::Epoch(1)));
        // A part of a file has the noise of its rows in the file.
        let part = data_set.rows(5..6).unwrap().with_numbers(vec![5]).unwrap();
        let mut of_part = Vec::new();
        rows(&part, 0..1, 3, Draw::Epoch(1), &mut of_part).unwrap();
        assert_eq!(all[50..60], of_part);
        assert_ne!(all[50..60], read(5..6, 3, Draw::Epoch(2)));
        assert_ne!(all[50..60], read(5..6, 4, Draw::Epoch(1)));
        assert_ne!(all[50..60], read(5..6, 3, Draw::Evaluation));
        let noise = all.iter().zip(&data).map(|(&y, &x)| y - f64::from(x));
        let mean = noise.clone().sum::<f64>() / 40_000.0;
        let square = noise.map(|u| u * u).sum::<f64>() / 40_000.0;
        // 1/2 and 1/3; the standard errors are 0.0014 and 0.0015, the bounds are five of them.
        assert!((mean - 0.5).abs() < 0.007 && (square - 1.0 / 3.0).abs() < 0.0075);
    }
}
