//! Cross-validation: the rows of a dataset, each in one of several folds by chance.
//!
//! ```text
//! row order[p] belongs to fold p mod folds,   order a permutation drawn from the seed
//! test = the fold asked for,   validation = the next one (the first after the last),   train = the others
//! ```
//!
//! Over all folds every row is tested once. A row is in the validation part of one fold and in the test part
//! of another, so that nothing should be chosen by the validation parts of all folds that depends much on
//! single rows.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::split::Split;
use crate::splits::Splits;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// One way of taking a dataset apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folds {
    /// Number of folds, at least 3.
    pub count: usize,
    /// The one that is tested on, from 0.
    pub fold: usize,
    /// What the permutation is drawn from.
    pub seed: u64,
}

impl Folds {
    /// The rows of each part of `len` rows, in file order.
    ///
    /// ```
    /// use ar_data::{Split, folds::Folds};
    ///
    /// let folds = Folds { count: 10, fold: 3, seed: 0 };
    /// assert_eq!(folds.rows(1599, Split::Train)?.len(), 1279);
    /// assert_eq!(folds.rows(1599, Split::Test)?.len(), 160);
    /// # Ok::<(), ar_data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if there are fewer than 3 folds, fewer rows than folds, or no such fold.
    pub fn rows(&self, len: usize, split: Split) -> Result<Vec<usize>> {
        let refuse = |what, expected: String, found: usize| {
            Err(Error::inconsistent("folds", what, expected, found.to_string()))
        };
        if self.count < 3 {
            return refuse("count", "3 or more: train, validation and test".to_owned(), self.count);
        }
        if self.fold >= self.count {
            return refuse("fold", format!("0 to {}", self.count - 1), self.fold);
        }
        if len < self.count {
            return refuse("rows", format!("at least one per fold, {}", self.count), len);
        }
        let mut order: Vec<usize> = (0..len).collect();
        let mut rng = generator(self.seed);
        for last in (1..len).rev() {
            order.swap(last, rng.random_range(0..=last as u64) as usize);
        }
        let valid = (self.fold + 1) % self.count;
        let is_in = |fold: usize| match split {
            Split::Test => fold == self.fold,
            Split::Valid => fold == valid,
            Split::Train => fold != self.fold && fold != valid,
        };
        let places = order.into_iter().enumerate();
        let mut rows: Vec<usize> =
            places.filter(|&(place, _)| is_in(place % self.count)).map(|(_, row)| row).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    /// Takes a dataset apart.
    ///
    /// # Errors
    ///
    /// Those of [`rows`](Self::rows).
    pub fn split(&self, data: &Dataset) -> Result<Splits> {
        let part = |split| data.subset(&self.rows(data.len(), split)?);
        Splits::new(part(Split::Train)?, Some(part(Split::Valid)?), Some(part(Split::Test)?))
    }
}

/// The key holds a name besides the seed, so that no other use of the same seed meets this stream.
fn generator(seed: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[18..32].copy_from_slice(b"ar-data/folds1");
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_tested_once_and_never_in_two_parts() {
        for seed in [0, 1] {
            let mut tested = Vec::new();
            for fold in 0..4 {
                let folds = Folds { count: 4, fold, seed };
                let mut all: Vec<usize> =
                    Split::ALL.iter().flat_map(|&split| folds.rows(11, split).unwrap()).collect();
                all.sort_unstable();
                assert_eq!(all, (0..11).collect::<Vec<_>>());
                tested.extend(folds.rows(11, Split::Test).unwrap());
            }
            tested.sort_unstable();
            assert_eq!(tested, (0..11).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_seed_decides_and_the_next_fold_validates() {
        let rows = |fold, seed, split| Folds { count: 5, fold, seed }.rows(40, split).unwrap();
        assert_eq!(rows(2, 7, Split::Test), rows(2, 7, Split::Test));
        assert_ne!(rows(2, 7, Split::Test), rows(2, 8, Split::Test));
        assert_eq!(rows(2, 7, Split::Valid), rows(3, 7, Split::Test));
        assert_eq!(rows(4, 7, Split::Valid), rows(0, 7, Split::Test));
    }

    #[test]
    fn impossible_folds_are_refused() {
        for (count, fold, len, part) in [
            (2, 0, 10, "count: expected 3 or more"),
            (5, 5, 10, "fold: expected 0 to 4, found 5"),
            (5, 0, 4, "rows: expected at least one per fold, 5, found 4"),
        ] {
            let error = Folds { count, fold, seed: 0 }.rows(len, Split::Test).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
