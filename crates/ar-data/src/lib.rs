//! Files to checked datasets: MNIST and its relatives, CIFAR-10, tables, `.npy`, folders of PNGs.
//!
//! Nothing here knows a tensor library. A [`Dataset`] is plain memory whose parts agree: symbols
//! (`u8` with a level count) or reals (`f32`), the shape of one event, labels and column names. The
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
//! | `fetch` | downloads of the built-in datasets (feature `fetch`) |
//! | [`read_path`] | IDX, CIFAR-10 binary, tables, `.npy`, PNG |
//! | [`Chunks`] | the same a chunk at a time, for files of any length |
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

pub mod binarize;
pub mod builtin;
mod cifar10;
mod dataset;
pub mod dequantize;
mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
mod fingerprint;
pub mod flip;
pub mod folds;
mod idx;
mod images;
mod input;
pub mod memory;
mod npy;
mod numbers;
mod read;
pub mod requantize;
mod split;
mod stream;
mod table;

pub use builtin::{Builtin, Locations, Spec};
pub use dataset::{Dataset, Values};
pub use error::{Attempt, Error, Flaw, Malformed, Place, Result};
#[cfg(feature = "fetch")]
pub use fetch::{Event, Fetched, Progress, fetch};
pub use fingerprint::Fingerprint;
pub use input::MAX_CONTENT_BYTES;
pub use read::{Column, Kind, ReadOptions, read_bytes, read_path};
pub use split::{Split, Splits};
pub use stream::{BadRow, Chunk, Chunks, scan_levels};
