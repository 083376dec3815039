//! The three parts of a dataset.

use crate::dataset::{Dataset, Values};
use crate::error::{Error, Result};
use crate::options::ReadOptions;
use crate::read::read_path;
use crate::split::Split;
use std::path::Path;
use std::str::FromStr;

impl FromStr for Split {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|split| split.to_string() == word).ok_or_else(|| {
            Error::UnknownWord {
                what: "split",
                found: word.to_owned(),
                expected: "train, valid or test",
            }
        })
    }
}

/// The parts of a dataset: events of one shape and one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Splits {
    /// What a model is fitted to.
    pub train: Dataset,
    /// What choices such as early stopping are made on.
    pub valid: Option<Dataset>,
    /// What is reported.
    pub test: Option<Dataset>,
}

impl Splits {
    /// Joins parts that agree.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if two parts differ in shape, in kind or in levels, or one has a class that
    /// the training part lacks.
    pub fn new(train: Dataset, valid: Option<Dataset>, test: Option<Dataset>) -> Result<Self> {
        let as_in_training = |part: Dataset| match train.classes() {
            Some(classes) => part.labelled_as(classes),
            None => Ok(part),
        };
        let valid = valid.map(as_in_training).transpose()?;
        let test = test.map(as_in_training).transpose()?;
        for other in valid.iter().chain(&test) {
            if other.shape() != train.shape() {
                return Err(Error::inconsistent(
                    other.name(),
                    "shape",
                    format!("{:?} as in {}", train.shape(), train.name()),
                    format!("{:?}", other.shape()),
                ));
            }
            if other.levels() != train.levels() {
                return Err(Error::inconsistent(
                    other.name(),
                    "values",
                    format!("{} as in {}", kind_of(&train), train.name()),
                    kind_of(other),
                )
                .advise("state kind, and levels for symbols"));
            }
        }
        Ok(Self { train, valid, test })
    }

    /// Reads one file per part. Where the options leave kind or levels open, they are what
    /// suits all parts: reals if one part needs reals, else the largest level count. A number of
    /// [rows](ReadOptions::rows) is one of the training file; the others are read whole.
    ///
    /// # Errors
    ///
    /// Those of [`read_path`] and of [`Splits::new`].
    pub fn read(
        train: &Path,
        valid: Option<&Path>,
        test: Option<&Path>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let whole = ReadOptions { rows: None, ..options.clone() };
        let read = |path| read_path(path, &whole);
        let train = read_path(train, options)?;
        let (valid, test) = (valid.map(read).transpose()?, test.map(read).transpose()?);
        Self::unify(train, valid, test)
    }

    /// Joins parts whose kind or levels follow from their own values: reals if one part needs reals, else the
    /// largest level count.
    ///
    /// # Errors
    ///
    /// Those of [`Splits::new`].
    pub fn unify(train: Dataset, valid: Option<Dataset>, test: Option<Dataset>) -> Result<Self> {
        let parts = [Some(&train), valid.as_ref(), test.as_ref()];
        let any_reals = parts.iter().flatten().any(|part| part.levels().is_none());
        let levels = parts.iter().flatten().filter_map(|part| part.levels()).max();
        let unify = |part: Dataset| match levels {
            _ if any_reals => Ok(part.into_reals()),
            Some(levels) => part.with_levels(levels),
            None => Ok(part),
        };
        Self::new(unify(train)?, valid.map(unify).transpose()?, test.map(unify).transpose()?)
    }

    /// One part.
    pub fn get(&self, split: Split) -> Option<&Dataset> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }

    /// All events as one dataset: train, then validation, then test.
    pub fn join(self) -> Dataset {
        let mut all = self.train;
        for part in self.valid.into_iter().chain(self.test) {
            all.append(part);
        }
        all
    }

    /// Takes one part.
    ///
    /// # Errors
    ///
    /// [`Error::NoSplit`] if the dataset lacks it.
    pub fn take(self, split: Split) -> Result<Dataset> {
        let name = self.train.name().to_owned();
        match split {
            Split::Train => Some(self.train),
            Split::Valid => self.valid,
            Split::Test => self.test,
        }
        .ok_or(Error::NoSplit { name, split })
    }
}

impl Dataset {
    /// The dataset as the only part of [`Splits`].
    #[must_use]
    pub fn into_train(self) -> Splits {
        Splits { train: self, valid: None, test: None }
    }
}

fn kind_of(data: &Dataset) -> String {
    match data.values() {
        Values::Symbols { levels, .. } => format!("symbols of {levels} levels"),
        Values::Reals { .. } => "real numbers".to_owned(),
        Values::Columns { .. } => "columns of different types".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(name: &str, data: &[u8], levels: u16) -> Dataset {
        Dataset::new(name, Values::Symbols { data: data.to_vec(), levels }, &[data.len()]).unwrap()
    }

    #[test]
    fn split_names_round_trip() {
        for split in Split::ALL {
            assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
        }
        let message = "dev".parse::<Split>().unwrap_err().to_string();
        assert_eq!(message, "unknown split \"dev\": expected train, valid or test");
    }

    #[test]
    fn parts_that_differ_are_refused() {
        let train = symbols("a", &[0, 1], 2);
        assert!(Splits::new(train.clone(), None, Some(symbols("b", &[0, 1, 1], 2))).is_err());
        assert!(Splits::new(train.clone(), Some(symbols("b", &[0, 1], 3)), None).is_err());
        let splits = Splits::new(train.clone(), None, Some(symbols("b", &[1, 1], 2))).unwrap();
        assert_eq!(splits.get(Split::Train), Some(&train));
        let message = splits.take(Split::Valid).unwrap_err().to_string();
        assert_eq!(message, "a: no valid split");
    }

    #[test]
    fn open_levels_are_those_of_the_part_that_needs_most() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (a, b, c) = (write("a.csv", "0,1\n"), write("b.csv", "3,0\n"), write("c.csv", "0.5,0"));
        let options = ReadOptions::default();
        let splits = Splits::read(&a, Some(&b), None, &options).unwrap();
        assert_eq!(splits.train.levels(), Some(4));
        assert_eq!(splits.valid.unwrap().levels(), Some(4));
        let splits = Splits::read(&a, Some(&b), Some(&c), &options).unwrap();
        assert_eq!(splits.train.reals().unwrap(), [0.0, 1.0]);
        assert_eq!(splits.test.unwrap().reals().unwrap(), [0.5, 0.0]);
    }
}
