//! Files to checked datasets: tables as text, NumPy, Parquet or Arrow; MNIST and its relatives, CIFAR-10, folders of
//! PNGs.
//!
//! Nothing here knows a tensor library. A [`Dataset`] is plain memory whose parts agree: symbols
//! (`u8` with a level count) or reals (`f64`), the shape of one event, labels and column names. The
//! readers trust no header: sizes are checked against the file and a stated limit before memory is
//! taken, and a malformed file is an [`enum@Error`] that names the file, the place and what was
//! expected.
//!
//! | module | what it holds |
//! |---|---|
//! | [`builtin`] | the datasets known by name, where their files are looked for, how they are verified |
//! | [`binarize`] | grey levels to bits, by threshold or by chance |
//! | [`dequantize`] | symbols to real numbers, by uniform noise |
//! | [`folds`] | the parts of cross-validation |
//! | [`flip`] | images mirrored left-right, by chance |
//! | [`requantize`] | fewer levels: any depth between bits and the file's |
//! | [`memory`] | how much memory the process can still take |
//! | [`panics`] | which panics are answers about broken files |
//! | `fetch` | downloads of the built-in datasets (feature `fetch`) |
//! | [`Schema`] | what the columns of a table are, and which columns of another file are meant |
//! | [`Table`] | a whole table, from which a schema is inferred |
//! | [`read_as`] | a whole file by a schema |
//! | [`Chunks`] | a file of any length, a chunk at a time |
//! | [`read_path`] | a file of any format as values of one kind |
//! | [`mod@write`] | cells of tables that are written, as Parquet with the feature `arrow` |
//! | [`Fingerprint`] | whether rows are those that were read before, and where they differ |
//!
//! ```
//! use ar_data::{Locations, binarize, builtin};
//!
//! // The digits are part of the crate: 1,797 images of 8 × 8 pixels, 17 levels.
//! let digits = builtin::load("digits", &Locations::default())?;
//! let test = binarize::threshold(digits.test.as_ref().expect("digits has a test part"))?;
//! assert_eq!((test.len(), test.shape(), test.levels()), (359, &[8, 8][..], Some(2)));
//! # Ok::<(), ar_data::Error>(())
//! ```

#![deny(missing_docs)]

mod arrays;
pub mod binarize;
pub mod builtin;
mod bytes;
mod cells;
mod chunk;
mod columns;
mod dataset;
pub mod dequantize;
mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
mod fingerprint;
pub mod flip;
pub mod folds;
mod foreign;
mod format;
pub mod memory;
mod options;
pub mod panics;
mod read;
pub mod requantize;
mod split;
mod splits;
mod stream;
pub mod write;

pub use builtin::{Builtin, Locations, Spec};
pub use bytes::MAX_CONTENT_BYTES;
#[cfg(feature = "arrow")]
pub use cells::arrow::{StreamContent, stream_content};
pub use cells::{Charset, Described, Dialect, Header, Separator};
pub use chunk::Chunk;
pub use columns::{
    BadRow, Encoding, Fit, Label, MISSING, Match, Profile, Schema, Stated, Table, TableOptions,
    Type, Variable, Warning, number_of,
};
pub use dataset::{Dataset, Values};
pub use error::{Attempt, Error, Flaw, Malformed, Place, Result};
#[cfg(feature = "fetch")]
pub use fetch::{Event, Fetched, Progress, fetch};
pub use fingerprint::Fingerprint;
pub use options::{Column, Kind, ReadOptions};
pub use read::{read_bytes, read_labels, read_path};
pub use split::Split;
pub use splits::Splits;
pub use stream::{Chunks, Reading, holds_table, read_as, scan_levels};

/// The example of README.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
