//! From the files of a built-in dataset, whose content is known, to its events.

use super::{Builtin, KnownFile, Locations, find};
use crate::arrays::{cifar10, idx};
use crate::bytes::{Input, MAX_CONTENT_BYTES};
use crate::dataset::{Dataset, Values, name_of};
use crate::error::{Error, Result};
use crate::folds::Folds;
use crate::options::{Column, Kind, ReadOptions};
use crate::read::read_text;
use crate::split::Split;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) static DIGITS: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// The names under which a known file is found. Archives of IDX have a dot where LeCun's page has a hyphen.
pub(crate) fn file_names(name: &str) -> [String; 4] {
    let dotted = name.replacen("-idx", ".idx", 1);
    [name.to_owned(), format!("{name}.gz"), format!("{dotted}.gz"), dotted]
}

/// What is in these folders under a name that begins like that of a file, whatever stands between the letters;
/// no downloads that were cut short.
fn similar(file: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let plain = |name: &str| {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>()
    };
    let is_similar = |path: &PathBuf| {
        let name = name_of(path);
        !name.ends_with(".part") && plain(&name).starts_with(&plain(file))
    };
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let mut similar: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_similar).collect();
    similar.sort();
    similar.dedup();
    similar
}

/// Checks that a file has the known content.
pub(crate) fn check(file: &KnownFile, path: &Path) -> Result<()> {
    check_content(path, file.bytes, file.sha256)
}

/// Checks that a file has `bytes` bytes of content with this digest.
pub(crate) fn check_content(path: &Path, bytes: u64, sha256: &str) -> Result<()> {
    let found = Input::open(path, bytes)?.hashed().digest()?;
    if found == sha256 {
        return Ok(());
    }
    Err(Error::Digest { path: path.to_owned(), expected: sha256.to_owned(), found })
}

/// A built-in dataset and where to look for its files.
pub(super) struct Found<'a> {
    pub(super) builtin: &'a Builtin,
    pub(super) locations: &'a Locations,
}

impl Found<'_> {
    /// Where a file of it is.
    pub(super) fn path(&self, file: &KnownFile) -> Result<PathBuf> {
        let mut looked = Vec::new();
        for dir in self.locations.dirs() {
            for folder in self.builtin.folders {
                let folder = if folder.is_empty() { dir.clone() } else { dir.join(folder) };
                let paths = file_names(file.name).map(|name| folder.join(name));
                if let Some(path) = paths.into_iter().find(|path| path.is_file()) {
                    return Ok(path);
                }
                looked.push(folder);
            }
        }
        let similar = similar(file.name, &looked);
        // The table of this module is where the name comes from, hence its lifetime.
        let name = find(self.builtin.name)?.name;
        Err(Error::NotFound { name, file: file.name, looked, similar })
    }

    /// Reads and verifies the file of this index. The digest comes from the same pass; a file that
    /// cannot be parsed is hashed again, since a wrong digest says more than a wrong value.
    fn read<T>(&self, index: usize, parse: impl FnOnce(Input) -> Result<(T, Input)>) -> Result<T> {
        let file = &self.builtin.files[index];
        let path = self.path(file)?;
        let input = Input::open(&path, file.bytes)?.hashed();
        let (parsed, input) = match parse(input) {
            Ok(parsed) => parsed,
            Err(error) => {
                check(file, &path)?;
                return Err(error);
            }
        };
        let digest = input.digest()?;
        if digest == file.sha256 {
            return Ok(parsed);
        }
        Err(Error::Digest { path, expected: file.sha256.to_owned(), found: digest })
    }

    fn options(&self) -> ReadOptions {
        ReadOptions {
            kind: Some(if self.builtin.levels.is_some() { Kind::Symbols } else { Kind::Real }),
            levels: self.builtin.levels,
            ..ReadOptions::default()
        }
    }
}

pub(super) fn read_digits(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let path = Path::new("digits.csv.gz (embedded)");
    let input = Input::from_bytes(path, DIGITS.to_vec(), MAX_CONTENT_BYTES)?;
    let (data, _) = read_text(input, &found.options())?;
    let data = data.last_column_as_labels()?.with_shape(found.builtin.shape)?;
    let is_in = |row: &usize| match split {
        Split::Test => row % 5 == 4,
        Split::Valid => row % 5 == 3,
        Split::Train => row % 5 < 3,
    };
    data.subset(&(0..data.len()).filter(is_in).collect::<Vec<_>>())
}

/// The images of one file with the labels of the next.
pub(super) fn read_idx_pair(found: &Found<'_>, images: usize) -> Result<Dataset> {
    let data = found.read(images, |input| idx::read(input, &found.options()))?;
    let labels = found.read(images + 1, idx::read_labels)?;
    data.with_labels(labels)
}

pub(super) fn read_mnist(found: &Found<'_>, split: Split) -> Result<Dataset> {
    if split == Split::Test {
        return read_idx_pair(found, 2);
    }
    let (train, valid) = read_idx_pair(found, 0)?.split_off_last(found.builtin.examples[1])?;
    Ok(if split == Split::Train { train } else { valid })
}

/// The table of a set that has one per part, in the order of [`Split::ALL`].
pub(super) fn read_file_per_part(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let index = match split {
        Split::Train => 0,
        Split::Valid => 1,
        Split::Test => 2,
    };
    found.read(index, |input| read_text(input, &found.options()))?.with_shape(found.builtin.shape)
}

/// The measurements without the grade. The file has no parts: they are fold 0 of 10 of seed 0.
pub(super) fn read_winequality(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let grade = Column::Name("quality".to_owned());
    let options = ReadOptions { drop: vec![grade], ..found.options() };
    let data = found.read(0, |input| read_text(input, &options))?;
    let folds = Folds { count: 10, fold: 0, seed: 0 };
    data.subset(&folds.rows(data.len(), split)?)
}

pub(super) fn read_cifar10(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let valid = found.builtin.examples[1];
    match split {
        Split::Test => read_batches(found, 5..6),
        // Validation lies in the last batch alone.
        Split::Valid => Ok(read_batches(found, 4..5)?.split_off_last(valid)?.1),
        Split::Train => Ok(read_batches(found, 0..5)?.split_off_last(valid)?.0),
    }
}

pub(super) fn read_batches(found: &Found<'_>, files: std::ops::Range<usize>) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for index in files {
        found.read(index, |mut input| {
            cifar10::append(&mut input, &mut pixels, &mut labels, None)?;
            Ok(((), input))
        })?;
    }
    let values = Values::Symbols { data: pixels, levels: 256 };
    Dataset::new(found.builtin.name, values, found.builtin.shape)?.with_labels(labels)
}
