//! Some rows of a file.

use crate::columns::BadRow;
use crate::dataset::Dataset;
use std::ops::Range;

/// Some rows of a file.
#[derive(Debug)]
pub struct Chunk {
    /// The rows that are as they should be; [`Dataset::number`] says which.
    pub data: Dataset,
    /// The others, in order.
    pub bad: Vec<BadRow>,
    /// All of them.
    pub rows: Range<u64>,
}
