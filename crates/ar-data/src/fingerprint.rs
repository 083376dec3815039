//! What a dataset held, so that a later reading can be compared with it: how many rows, and a digest of
//! each block of them.
//!
//! ```text
//! block b:  first 8 bytes of SHA-256(the values and labels of its rows)
//! whole:    SHA-256(kind of values, variables of a row, SHA-256 of block 0, of block 1, …)
//! ```
//!
//! It speaks of rows, not of bytes of a file: the same rows under another name, compressed, or in
//! another format have the same fingerprint.

use crate::bytes::hex;
use crate::dataset::{Dataset, Values};
use sha2::{Digest as _, Sha256};

/// The fingerprint of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many rows there are.
    pub rows: usize,
    /// How many of them make a block; the last one may have fewer.
    pub block_rows: usize,
    /// A short digest of each block, in hexadecimal.
    pub blocks: Vec<String>,
    /// The digest of the whole, SHA-256 in hexadecimal.
    pub sha256: String,
}

/// How many blocks a dataset has, unless the caller says how many rows a block has.
const BLOCKS: usize = 64;

impl Fingerprint {
    /// Of a dataset, in blocks of so many rows, or in at most 64 blocks.
    ///
    /// ```
    /// use ar_data::{Dataset, Fingerprint, Values};
    ///
    /// let rows = |data: &[u8]| {
    ///     let values = Values::Symbols { data: data.to_vec(), levels: 2 };
    ///     Dataset::new("bits", values, &[2]).map(|data| Fingerprint::of(&data, None))
    /// };
    /// let (before, after) = (rows(&[0, 1, 1, 1])?, rows(&[0, 1, 1, 0])?);
    /// assert_ne!(before.sha256, after.sha256);
    /// assert_eq!(before.change(&after).as_deref(), Some("the first change is in row 2 of 2"));
    /// # Ok::<(), ar_data::Error>(())
    /// ```
    pub fn of(data: &Dataset, block_rows: Option<usize>) -> Self {
        let rows = data.len();
        let block_rows = block_rows.unwrap_or_else(|| rows.div_ceil(BLOCKS)).max(1);
        let mut whole = Sha256::new();
        whole.update(match data.values() {
            Values::Symbols { .. } => b"symbols",
            Values::Reals { .. } => b"reals  ",
            Values::Columns { .. } => b"columns",
        });
        whole.update((data.event_len() as u64).to_le_bytes());
        let mut blocks = Vec::with_capacity(rows.div_ceil(block_rows));
        let mut bytes = Vec::new();
        for first in (0..rows).step_by(block_rows) {
            let last = (first + block_rows).min(rows);
            let values = first * data.event_len()..last * data.event_len();
            let mut hash = Sha256::new();
            match data.values() {
                Values::Symbols { data, .. } => hash.update(&data[values]),
                Values::Reals { data } | Values::Columns { data, .. } => {
                    bytes.clear();
                    bytes.extend(data[values].iter().flat_map(|value| value.to_le_bytes()));
                    hash.update(&bytes);
                }
            }
            if let Some(labels) = data.labels() {
                hash.update(&labels[first..last]);
            }
            let digest = hash.finalize();
            whole.update(digest);
            blocks.push(hex(&digest[..8]));
        }
        Self { rows, block_rows, blocks, sha256: hex(&whole.finalize()) }
    }

    /// How the rows have changed from this fingerprint to a later one in blocks of the same size, in
    /// words; `None` if they have not.
    pub fn change(&self, later: &Self) -> Option<String> {
        if self.sha256 == later.sha256 {
            return None;
        }
        let mut words = Vec::new();
        if self.rows != later.rows {
            words.push(format!("there were {} rows and are {}", self.rows, later.rows));
        }
        let both = self.rows.min(later.rows);
        let same = self.blocks.iter().zip(&later.blocks).take_while(|(a, b)| a == b).count();
        let first = same * self.block_rows;
        let last = (first + self.block_rows).min(self.rows.max(later.rows));
        words.push(if first >= both && self.rows != later.rows {
            format!("the first {both} are the same")
        } else if first >= last {
            // The blocks are the same: the kind or the number of the values of a row differs.
            "the values are of another kind".to_owned()
        } else if last - first == 1 {
            format!("the first change is in row {last} of {}", later.rows)
        } else {
            format!("the first change is in rows {} to {last}", first + 1)
        });
        Some(words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: usize, change: Option<usize>, block_rows: Option<usize>) -> Fingerprint {
        let mut data: Vec<f64> = (0..2 * rows).map(|i| i as f64).collect();
        if let Some(row) = change {
            data[2 * row] += 0.5;
        }
        let data = Dataset::new("x", Values::Reals { data }, &[2]).unwrap();
        Fingerprint::of(&data, block_rows)
    }

    #[test]
    fn a_change_is_found_to_its_block() {
        let before = of(300, None, None);
        assert_eq!((before.block_rows, before.blocks.len()), (5, 60));
        assert_eq!(before.change(&of(300, None, Some(5))), None);
        let after = of(300, Some(17), Some(5));
        assert_eq!(before.change(&after).unwrap(), "the first change is in rows 16 to 20");
        let shorter = of(290, None, Some(5));
        assert_eq!(
            before.change(&shorter).unwrap(),
            "there were 300 rows and are 290; the first 290 are the same"
        );
        let longer = of(302, Some(0), Some(5));
        assert_eq!(
            before.change(&longer).unwrap(),
            "there were 300 rows and are 302; the first change is in rows 1 to 5"
        );
        let cut = of(298, None, Some(5));
        assert_eq!(
            before.change(&cut).unwrap(),
            "there were 300 rows and are 298; the first change is in rows 296 to 300"
        );
    }

    #[test]
    fn kind_width_and_labels_count() {
        let symbols = |shape: &[usize], labels: Option<Vec<u8>>| {
            let values = Values::Symbols { data: vec![0, 1, 1, 0], levels: 2 };
            let data = Dataset::new("x", values, shape).unwrap();
            let data = match labels {
                Some(labels) => data.with_labels(labels).unwrap(),
                None => data,
            };
            Fingerprint::of(&data, Some(2))
        };
        let plain = symbols(&[2], None);
        assert!(plain.change(&symbols(&[1], None)).is_some());
        assert!(plain.change(&symbols(&[2], Some(vec![0, 1]))).is_some());
        let values = Values::Reals { data: vec![0.0, 1.0, 1.0, 0.0] };
        let reals = Fingerprint::of(&Dataset::new("x", values, &[2]).unwrap(), Some(2));
        assert!(plain.change(&reals).is_some());
        // Levels that the file does not state are the reader's, not the rows'.
        let wider = Values::Symbols { data: vec![0, 1, 1, 0], levels: 7 };
        let wider = Fingerprint::of(&Dataset::new("x", wider, &[2]).unwrap(), Some(2));
        assert_eq!(plain.change(&wider), None);
    }

    #[test]
    fn nothing_has_a_fingerprint_too() {
        let empty = of(0, None, None);
        assert_eq!((empty.rows, empty.blocks.len()), (0, 0));
        assert_eq!(empty.change(&empty), None);
        assert!(empty.change(&of(3, None, Some(1))).unwrap().contains("there were 0 rows"));
    }
}
