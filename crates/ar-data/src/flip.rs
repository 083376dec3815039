//! Images mirrored left-right, by chance.
//!
//! ```text
//! in epoch e, row r is mirrored with probability 1/2, by a function of (seed, e, r) alone
//! ```
//!
//! So any subset of rows in any order and in any batch is mirrored alike, and any epoch can be
//! repeated.
//!
//! # References
//!
//! A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional
//! neural networks", NIPS 2012, section 4.1, train on horizontal reflections.

use crate::error::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// How the rows of pixels of an image lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// Pixels in a row.
    columns: usize,
    /// Values of a pixel that lie together.
    together: usize,
}

impl Mirror {
    /// For images of `[rows, columns]`, `[channels, rows, columns]` or `[rows, columns, channels]`,
    /// of 1 or 3 channels.
    ///
    /// ```
    /// let mirror = ar_data::flip::Mirror::of(&[2, 3])?;
    /// let mut image = [1, 2, 3, 4, 5, 6];
    /// mirror.apply(&mut image);
    /// assert_eq!(image, [3, 2, 1, 6, 5, 4]);
    /// # Ok::<(), ar_data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if it is another shape.
    pub fn of(shape: &[usize]) -> Result<Self> {
        match *shape {
            [_, columns] | [1 | 3, _, columns] => Ok(Self { columns, together: 1 }),
            [_, columns, channels @ (1 | 3)] => Ok(Self { columns, together: channels }),
            _ => Err(Error::inconsistent(
                "flip",
                "shape",
                "[rows, columns], [channels, rows, columns] or [rows, columns, channels] with 1 or 3 \
                 channels",
                format!("{shape:?}"),
            )
            .advise("state the shape of an image, or do not flip")),
        }
    }

    /// Mirrors one image in place.
    ///
    /// # Panics
    ///
    /// If it is not whole rows of pixels.
    pub fn apply<T>(&self, image: &mut [T]) {
        let Self { columns, together } = *self;
        let row_len = columns * together;
        assert!(image.len().is_multiple_of(row_len), "{} values: not whole rows", image.len());
        for row in image.chunks_exact_mut(row_len) {
            for left in 0..columns / 2 {
                let right = columns - 1 - left;
                for value in 0..together {
                    row.swap(left * together + value, right * together + value);
                }
            }
        }
    }
}

/// Whether row `row` of the training set is mirrored in `epoch`.
pub fn is_flipped(seed: u64, epoch: u64, row: usize) -> bool {
    // The key holds a name besides seed and epoch, so that no other use of the same seed meets these
    // streams. One stream per row.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[17..32].copy_from_slice(b"ar-data/mirror1");
    let mut stream = ChaCha8Rng::from_seed(key);
    stream.set_stream(row as u64);
    stream.next_u32() >> 31 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value says where it stands: row, column, channel.
    fn image(shape: [usize; 3], at: impl Fn(usize, usize, usize) -> usize) -> Vec<u8> {
        let [rows, columns, channels] = shape;
        let mut image = vec![0; rows * columns * channels];
        for row in 0..rows {
            for column in 0..columns {
                for channel in 0..channels {
                    image[at(row, column, channel)] = (100 * row + 10 * column + channel) as u8;
                }
            }
        }
        image
    }

    #[test]
    fn columns_change_places_and_channels_stay_together() {
        for columns in [1, 2, 5] {
            let (rows, channels) = (2, 3);
            let first = |r, c, k| (k * rows + r) * columns + c;
            let last = |r, c, k| (r * columns + c) * channels + k;
            for (shape, at) in [
                ([channels, rows, columns], &first as &dyn Fn(usize, usize, usize) -> usize),
                ([rows, columns, channels], &last),
            ] {
                let original = image([rows, columns, channels], at);
                let mut mirrored = original.clone();
                Mirror::of(&shape).unwrap().apply(&mut mirrored);
                for (row, column, channel) in [(0, 0, 0), (1, 0, 2), (1, columns - 1, 1)] {
                    assert_eq!(
                        mirrored[at(row, column, channel)],
                        original[at(row, columns - 1 - column, channel)],
                        "{shape:?}"
                    );
                }
                Mirror::of(&shape).unwrap().apply(&mut mirrored);
                assert_eq!(mirrored, original, "twice is not at all");
            }
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for shape in [&[64][..], &[4, 8, 8], &[2, 2, 2, 2], &[]] {
            let error = Mirror::of(shape).unwrap_err();
            assert!(error.to_string().ends_with(&format!("found {shape:?}")), "{error}");
        }
    }

    /// 20,000 rows of each of three epochs: |z| < 5.4, alpha = 1e-6 over them all. Agreement between
    /// two epochs is as much a coin flip as a flip is.
    #[test]
    fn half_the_rows_are_mirrored_and_every_epoch_decides_anew() {
        let rows = 20_000;
        let flips = |seed, epoch| -> Vec<bool> {
            (0..rows).map(|row| is_flipped(seed, epoch, row)).collect()
        };
        let (first, second, other) = (flips(1, 1), flips(1, 2), flips(2, 1));
        assert_eq!(first, flips(1, 1));
        let is_half = |count: usize| {
            let n = rows as f64;
            (count as f64 - n / 2.0).abs() < 5.4 * (n / 4.0).sqrt()
        };
        for set in [&first, &second, &other] {
            assert!(is_half(set.iter().filter(|&&flip| flip).count()));
        }
        for set in [&second, &other] {
            assert!(is_half(first.iter().zip(set).filter(|(a, b)| a == b).count()));
        }
    }

    /// The flips of a seed are part of the interface, as its bits are. The expected ones come from
    /// ChaCha8 written out in Python from Bernstein's paper.
    #[test]
    fn the_flips_of_a_seed_never_change() {
        let shown: String =
            (0..32).map(|row| if is_flipped(1, 1, row) { '1' } else { '0' }).collect();
        assert_eq!(shown, "01010110000010101100111110100111");
    }
}
