//! The datasets known by name.
//!
//! | name | events | shape | levels | train / valid / test |
//! |---|---|---|---|---|
//! | `digits` | scans of handwritten digits, embedded in this crate | `[8, 8]` | 17 | 1079 / 359 / 359 |
//! | `mnist` | handwritten digits | `[28, 28]` | 256 | 50,000 / 10,000 / 10,000 |
//! | `binarized-mnist` | MNIST, drawn once as bits by H. Larochelle | `[28, 28]` | 2 | 50,000 / 10,000 / 10,000 |
//! | `fashion-mnist` | articles of clothing | `[28, 28]` | 256 | 50,000 / 10,000 / 10,000 |
//! | `cifar10` | colour photographs | `[3, 32, 32]` | 256 | 45,000 / 5,000 / 10,000 |
//! | `adult` | answers of a census | `[123]` | 2 | 5,000 / 1,414 / 26,147 |
//! | `connect4` | positions of a game | `[126]` | 2 | 16,000 / 4,000 / 47,557 |
//! | `dna` | nucleotides around splice junctions | `[180]` | 2 | 1,400 / 600 / 1,186 |
//! | `mushrooms` | descriptions of mushrooms | `[112]` | 2 | 2,000 / 500 / 5,624 |
//! | `nips` | which words a paper uses | `[500]` | 2 | 400 / 100 / 1,240 |
//! | `ocr-letters` | handwritten letters | `[16, 8]` | 2 | 32,152 / 10,000 / 10,000 |
//! | `winequality-red` | measurements of red wines | `[11]` | reals | 1,279 / 160 / 160 |
//!
//! The validation part is the end of the training files: the last 10,000 images of MNIST and
//! Fashion-MNIST, the last 5,000 of CIFAR-10 (half of the fifth batch). In `digits` a row belongs to
//! test if its index modulo 5 is 4, to validation if it is 3, else to train. `binarized-mnist`
//! and the six after `cifar10` have a file per part and no labels. `winequality-red` has one file and no
//! labels (its grade is left out); its parts are the fold 0 of ten ([`crate::folds`]). The others have labels.
//!
//! Files are looked for in the folder given by the caller, in `CHAINRULE_DATA`, then in the user's
//! cache folder; in each under the dataset's name and directly, plain or gzip. Those of MNIST and
//! Fashion-MNIST are found where torchvision keeps them as well (`MNIST/raw`, `FashionMNIST/raw`), and under
//! the names that some archives give them (`train-images.idx3-ubyte`). The SHA-256 of the
//! content must be the known one, so that a result always speaks of the same data.
//!
//! # References
//!
//! - `digits`: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
//!   Learning Repository, 1998, CC BY 4.0; the file is the copy in scikit-learn (test part of the
//!   original), see `data/README.md` in this crate.
//! - `mnist`: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to
//!   document recognition", Proceedings of the IEEE, 1998.
//! - `binarized-mnist`: H. Larochelle and I. Murray, "The neural autoregressive distribution
//!   estimator", AISTATS 2011; bits drawn as in R. Salakhutdinov and I. Murray, ICML 2008.
//! - `fashion-mnist`: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747, 2017, MIT.
//! - `cifar10`: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
//! - The six after it: the binary sets on which H. Larochelle and I. Murray, AISTATS 2011, compare
//!   estimators, in their split; `adult`, `connect4`, `mushrooms` from the UCI Machine Learning
//!   Repository, `dna` from StatLog, `nips` by S. Roweis, `ocr-letters` by R. Kassel.
//! - `winequality-red`: P. Cortez, A. Cerdeira, F. Almeida, T. Matos and J. Reis, "Modeling wine preferences by
//!   data mining from physicochemical properties", Decision Support Systems 47, 2009; UCI Machine Learning
//!   Repository, CC BY 4.0.

mod list;
mod locations;
mod read;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::options::ReadOptions;
use crate::read::read_path;
use crate::split::Split;
use crate::splits::Splits;
use list::ALL;
use std::path::PathBuf;
use std::str::FromStr;

pub use locations::{DATA_VARIABLE, Locations, cache_dir};
use read::{Found, check, read_batches, read_idx_pair};
pub(crate) use read::{check_content, file_names};

/// A dataset known by name.
#[derive(Debug)]
pub struct Builtin {
    /// The name.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// The shape of one event.
    pub shape: &'static [usize],
    /// The number of values a symbol can have; `None` for real numbers.
    pub levels: Option<u16>,
    /// The number of events in train, valid and test.
    pub examples: [usize; 3],
    /// Whether it has labels.
    pub labelled: bool,
    /// Who made it, and its licence where one is stated.
    pub source: &'static str,
    /// Its files; none if it is embedded.
    pub files: &'static [KnownFile],
    /// The folders below a data folder in which its files may lie.
    folders: &'static [&'static str],
    read: fn(&Found<'_>, Split) -> Result<Dataset>,
}

/// A file whose content is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    /// The name without `.gz`.
    pub name: &'static str,
    /// The size of the content, decompressed.
    pub bytes: u64,
    /// The SHA-256 of the content, decompressed, in hexadecimal.
    pub sha256: &'static str,
}

/// All built-in datasets.
pub fn all() -> &'static [Builtin] {
    &ALL
}

/// The built-in dataset of this name.
///
/// # Errors
///
/// [`Error::UnknownName`] if there is none.
pub fn find(name: &str) -> Result<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name).ok_or_else(|| Error::UnknownName {
        name: name.to_owned(),
        known: ALL.iter().map(|builtin| builtin.name).collect::<Vec<_>>().join(", "),
        nearest: nearest(name),
    })
}

/// Loads all parts of a built-in dataset.
///
/// # Errors
///
/// [`Error::UnknownName`], [`Error::NotFound`] if a file is on none of the locations, and
/// [`Error::Digest`] or [`Error::Malformed`] if a file found has other content than it should.
pub fn load(name: &str, locations: &Locations) -> Result<Splits> {
    let builtin = find(name)?;
    let part = |split| builtin.load_split(split, locations);
    // MNIST and CIFAR-10 would read their training files twice.
    let (train, valid) = match builtin.read_train_and_valid(locations)? {
        Some((train, valid)) => (train, valid),
        None => (part(Split::Train)?, part(Split::Valid)?),
    };
    Splits::new(train, Some(valid), Some(part(Split::Test)?))
}

/// Loads one part of a built-in dataset, reading no more files than that takes.
///
/// # Errors
///
/// Those of [`load`].
pub fn load_split(name: &str, split: Split, locations: &Locations) -> Result<Dataset> {
    find(name)?.load_split(split, locations)
}

impl Builtin {
    /// Loads one part.
    ///
    /// # Errors
    ///
    /// Those of [`load`].
    pub fn load_split(&self, split: Split, locations: &Locations) -> Result<Dataset> {
        Ok((self.read)(&Found { builtin: self, locations }, split)?.with_name(self.name))
    }

    fn read_train_and_valid(&self, locations: &Locations) -> Result<Option<(Dataset, Dataset)>> {
        let found = Found { builtin: self, locations };
        let pool = match self.name {
            "mnist" | "fashion-mnist" => read_idx_pair(&found, 0)?,
            "cifar10" => read_batches(&found, 0..5)?,
            _ => return Ok(None),
        };
        pool.with_name(self.name).split_off_last(self.examples[1]).map(Some)
    }

    /// The paths of all files, in the order of `files`, without looking into them.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for the first file that is on none of the locations.
    pub fn locate(&'static self, locations: &Locations) -> Result<Vec<PathBuf>> {
        let found = Found { builtin: self, locations };
        self.files.iter().map(|file| found.path(file)).collect()
    }

    /// Whether all files are there (embedded data always is).
    pub fn is_present(&'static self, locations: &Locations) -> bool {
        self.locate(locations).is_ok()
    }

    /// Checks the content of all files.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a file that is missing, [`Error::Digest`] for one that is wrong.
    pub fn verify(&'static self, locations: &Locations) -> Result<()> {
        let paths = self.locate(locations)?;
        self.files.iter().zip(&paths).try_for_each(|(file, path)| check(file, path))
    }
}

/// What a user may write for a dataset: a built-in name or a path.
///
/// ```
/// use ar_data::{Error, Spec};
///
/// assert!(matches!("digits".parse(), Ok(Spec::Builtin(builtin)) if builtin.levels == Some(17)));
/// let error = "mnits".parse::<Spec>().unwrap_err();
/// assert_eq!(error.hint().as_deref(), Some("did you mean \"mnist\"?"));
/// ```
#[derive(Debug, Clone)]
pub enum Spec {
    /// A built-in dataset.
    Builtin(&'static Builtin),
    /// A file or a folder of images. A folder or file in the way of a built-in name is written
    /// `./name`.
    Path(PathBuf),
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = match find(text) {
            Ok(builtin) => return Ok(Self::Builtin(builtin)),
            Err(unknown) => unknown,
        };
        let path = PathBuf::from(text);
        // Standard input is called as everywhere.
        if text == "-" || path.exists() { Ok(Self::Path(path)) } else { Err(unknown) }
    }
}

impl Spec {
    /// Loads one part of a built-in dataset, or the whole file (which has no parts).
    ///
    /// # Errors
    ///
    /// Those of [`load`] and of [`read_path`].
    pub fn load_split(
        &self,
        split: Split,
        options: &ReadOptions,
        locations: &Locations,
    ) -> Result<Dataset> {
        match self {
            Self::Builtin(builtin) => builtin.load_split(split, locations),
            Self::Path(path) => read_path(path, options),
        }
    }
}

/// The built-in name at an edit distance of at most 2, or one that starts like `name`.
fn nearest(name: &str) -> Option<&'static str> {
    let close = ALL.iter().map(|builtin| (distance(name, builtin.name), builtin.name));
    match close.min() {
        Some((0..=2, near)) => Some(near),
        _ => ALL
            .iter()
            .map(|builtin| builtin.name)
            .find(|known| name.len() >= 3 && (known.starts_with(name) || name.starts_with(known))),
    }
}

/// Levenshtein's distance, in bytes; long names are not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let change = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::read::DIGITS;
    use super::*;
    use crate::Flaw;
    use crate::binarize::threshold;
    use crate::bytes::Input;
    use std::fs;
    use std::path::Path;

    fn nowhere() -> Locations {
        Locations::only([])
    }

    #[test]
    fn the_embedded_digits_are_those_of_uci() {
        let known = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8";
        let input = Input::from_bytes(Path::new("d"), DIGITS.to_vec(), 1 << 20).unwrap();
        assert_eq!(input.hashed().digest().unwrap(), known);
        let digits = load("digits", &nowhere()).unwrap();
        for (split, count) in Split::ALL.into_iter().zip([1079, 359, 359]) {
            let part = digits.get(split).unwrap();
            assert_eq!((part.len(), part.shape(), part.levels()), (count, &[8, 8][..], Some(17)));
            assert_eq!(part.name(), "digits");
            assert!(part.labels().unwrap().iter().all(|&label| label < 10));
        }
        // Rows 0, 1, 2, 5 of the file show 0, 1, 2, 5; row 3 is the first of valid, row 4 of test.
        assert_eq!(digits.train.labels().unwrap()[..4], [0, 1, 2, 5]);
        assert_eq!(digits.valid.unwrap().labels().unwrap()[0], 3);
        assert_eq!(digits.test.unwrap().labels().unwrap()[0], 4);
        assert_eq!(digits.train.symbols().unwrap().0[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    }

    /// The first rung of the ladder, computed by hand: a coin per pixel with one pseudo-count per
    /// side. The value is the one stated for the project, so split and threshold are as meant.
    #[test]
    fn independent_pixels_of_the_digits_cost_the_stated_nats() {
        let digits = load("digits", &nowhere()).unwrap();
        let (train, test) = (threshold(&digits.train).unwrap(), threshold(&digits.test.unwrap()));
        let (train, test) = (train.symbols().unwrap().0, test.unwrap());
        let test = test.symbols().unwrap().0;
        let rows = train.len() / 64;
        let ones =
            |pixel: usize| train.iter().skip(pixel).step_by(64).filter(|&&bit| bit == 1).count();
        let p: Vec<f64> =
            (0..64).map(|pixel| (ones(pixel) + 1) as f64 / (rows + 2) as f64).collect();
        let total: f64 = test
            .iter()
            .enumerate()
            .map(|(i, &bit)| if bit == 1 { -p[i % 64].ln() } else { -(1.0 - p[i % 64]).ln() })
            .sum();
        let nats = total / (test.len() / 64) as f64;
        assert!((nats - 24.7840).abs() < 5e-5, "{nats}");
    }

    #[test]
    fn missing_files_say_where_they_were_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let error = load("mnist", &Locations::only([dir.path().to_owned()])).unwrap_err();
        let text = error.to_string();
        let folder = dir.path().display();
        assert_eq!(
            text,
            format!(
                "mnist: file train-images-idx3-ubyte (plain or .gz) not found; looked in \
                 {folder}/mnist, {folder}/mnist/raw, {folder}/MNIST/raw, {folder}"
            )
        );
        assert!(error.hint().unwrap().contains("chainrule data fetch mnist"));
        assert!(load("cifar10", &nowhere()).unwrap_err().to_string().contains("no folder"));
        assert!(!find("mnist").unwrap().is_present(&nowhere()));
        assert!(find("digits").unwrap().is_present(&nowhere()));
    }

    #[test]
    fn files_of_mnist_are_found_where_others_keep_them() {
        for (set, folder, name) in [
            ("mnist", "", "train-images-idx3-ubyte.gz"),
            ("mnist", "mnist", "train-images.idx3-ubyte"),
            ("mnist", "mnist/raw", "train-images-idx3-ubyte"),
            ("mnist", "MNIST/raw", "train-images.idx3-ubyte.gz"),
            ("fashion-mnist", "FashionMNIST/raw", "train-images-idx3-ubyte"),
            ("fashion-mnist", "fashion-mnist", "train-images.idx3-ubyte.gz"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let locations = Locations::only([dir.path().to_owned()]);
            for file in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3"] {
                let name = name.replace("train-images-idx3", file);
                let name = name.replace("train-images.idx3", &file.replace("-idx", ".idx"));
                fs::write(folder.join(name), b"").unwrap();
            }
            // Names differ from file to file where somebody unpacked some of them.
            assert!(!find(set).unwrap().is_present(&locations));
            fs::write(folder.join("t10k-labels.idx1-ubyte"), b"").unwrap();
            let paths = find(set).unwrap().locate(&locations).unwrap();
            assert_eq!(paths[0], folder.join(name));
            assert_eq!(paths[3], folder.join("t10k-labels.idx1-ubyte"));
            let error = load_split(set, Split::Test, &locations).unwrap_err();
            assert!(matches!(error, Error::Digest { .. }), "{error}");
        }
    }

    #[test]
    fn a_file_of_a_similar_name_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let raw = dir.path().join("MNIST/raw");
        fs::create_dir_all(raw.join("train-images-idx3-ubyte")).unwrap();
        fs::write(raw.join("train-images.idx3-ubyte.zip"), b"").unwrap();
        fs::write(raw.join("train-labels.idx1-ubyte.zip"), b"").unwrap();
        fs::write(raw.join("train-images-idx3-ubyte.01234567.part"), b"").unwrap();
        let error = load("mnist", &Locations::only([dir.path().to_owned()])).unwrap_err();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        let raw = raw.display();
        let end = format!(
            "; found {raw}/train-images-idx3-ubyte, {raw}/train-images.idx3-ubyte.zip, which is not it"
        );
        assert!(text.ends_with(&end), "{text}");
        assert!(hint.starts_with("unpack or rename it to train-images-idx3-ubyte, or"), "{hint}");
    }

    #[test]
    fn a_wrong_file_is_named_with_both_digests() {
        let dir = tempfile::tempdir().unwrap();
        let locations = Locations::only([dir.path().to_owned()]);
        let labels = dir.path().join("t10k-labels-idx1-ubyte");
        let images = dir.path().join("t10k-images-idx3-ubyte");
        fs::write(&images, b"not an IDX file").unwrap();
        fs::write(&labels, b"").unwrap();
        let error = load_split("mnist", Split::Test, &locations).unwrap_err();
        let Error::Digest { path, expected, found } = &error else { panic!("{error}") };
        assert_eq!(path, &images);
        assert!(expected.starts_with("0fa7898d") && found.len() == 64 && found != expected);
        assert!(error.hint().unwrap().contains("delete"));
        // Well-formed, but not the known content.
        let mut forged = vec![0, 0, 8, 3];
        [10_000_u32, 28, 28].iter().for_each(|axis| forged.extend(axis.to_be_bytes()));
        forged.resize(7_840_016, 0);
        fs::write(&images, &forged).unwrap();
        let error = load_split("mnist", Split::Test, &locations).unwrap_err();
        assert!(matches!(error, Error::Digest { .. }), "{error}");
        forged.push(0);
        fs::write(&images, &forged).unwrap();
        let error = load_split("mnist", Split::Test, &locations).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge), "{error}");
    }

    #[test]
    fn fashion_mnist_does_not_take_the_files_of_mnist() {
        let dir = tempfile::tempdir().unwrap();
        for file in find("mnist").unwrap().files {
            fs::write(dir.path().join(file.name), b"").unwrap();
        }
        let locations = Locations::only([dir.path().to_owned()]);
        assert!(find("mnist").unwrap().is_present(&locations));
        assert!(!find("fashion-mnist").unwrap().is_present(&locations));
    }

    #[test]
    fn names_close_to_a_built_in_one_are_suggested() {
        for (name, expected) in [
            ("mnits", Some("mnist")),
            ("cifar", Some("cifar10")),
            ("cifar-10", Some("cifar10")),
            ("binarized_mnist", Some("binarized-mnist")),
            ("fashion", Some("fashion-mnist")),
            ("imagenet64", None),
            ("", None),
        ] {
            assert_eq!(nearest(name), expected, "{name:?}");
        }
        let error = "no-such-file.csv".parse::<Spec>().unwrap_err();
        assert!(error.to_string().contains("digits, mnist, binarized-mnist"), "{error}");
    }
}
