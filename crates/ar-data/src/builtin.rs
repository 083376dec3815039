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

use crate::arrays::{cifar10, idx};
use crate::bytes::{Input, MAX_CONTENT_BYTES};
use crate::dataset::{Dataset, Values};
use crate::error::{Error, Result};
use crate::folds::Folds;
use crate::read::{Column, Kind, ReadOptions, name_of, read_path, read_text};
use crate::split::{Split, Splits};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variable that names a folder with data.
pub const DATA_VARIABLE: &str = "CHAINRULE_DATA";

static DIGITS: &[u8] = include_bytes!("../data/digits.csv.gz");

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

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> KnownFile {
    KnownFile { name, bytes, sha256 }
}

static ALL: [Builtin; 12] = [
    Builtin {
        name: "digits",
        about: "handwritten digits, part of the program",
        shape: &[8, 8],
        levels: Some(17),
        examples: [1079, 359, 359],
        labelled: true,
        source: "E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, CC BY 4.0",
        files: &[],
        folders: &[],
        read: read_digits,
    },
    Builtin {
        name: "mnist",
        about: "handwritten digits",
        shape: &[28, 28],
        levels: Some(256),
        examples: [50_000, 10_000, 10_000],
        labelled: true,
        source: "Y. LeCun, C. Cortes, C. Burges, 1998",
        files: &[
            file(
                "train-images-idx3-ubyte",
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            file(
                "train-labels-idx1-ubyte",
                60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            file(
                "t10k-images-idx3-ubyte",
                7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            file(
                "t10k-labels-idx1-ubyte",
                10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ],
        folders: &["mnist", "mnist/raw", "MNIST/raw", ""],
        read: read_mnist,
    },
    Builtin {
        name: "binarized-mnist",
        about: "handwritten digits, drawn once as bits",
        shape: &[28, 28],
        levels: Some(2),
        examples: [50_000, 10_000, 10_000],
        labelled: false,
        source: "H. Larochelle, 2011; bits as in R. Salakhutdinov, I. Murray, 2008",
        files: &[
            file(
                "binarized_mnist_train.amat",
                78_400_000,
                "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            ),
            file(
                "binarized_mnist_valid.amat",
                15_680_000,
                "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            ),
            file(
                "binarized_mnist_test.amat",
                15_680_000,
                "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            ),
        ],
        folders: &["binarized-mnist", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "fashion-mnist",
        about: "articles of clothing",
        shape: &[28, 28],
        levels: Some(256),
        examples: [50_000, 10_000, 10_000],
        labelled: true,
        source: "H. Xiao, K. Rasul, R. Vollgraf, 2017, MIT",
        files: &[
            file(
                "train-images-idx3-ubyte",
                47_040_016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            file(
                "train-labels-idx1-ubyte",
                60_008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            file(
                "t10k-images-idx3-ubyte",
                7_840_016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            file(
                "t10k-labels-idx1-ubyte",
                10_008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ],
        // Its files are called like those of MNIST, so it must have a folder of its own.
        folders: &["fashion-mnist", "fashion-mnist/raw", "FashionMNIST/raw"],
        read: read_mnist,
    },
    Builtin {
        name: "cifar10",
        about: "colour photographs of ten kinds of things",
        shape: &cifar10::SHAPE,
        levels: Some(256),
        examples: [45_000, 5_000, 10_000],
        labelled: true,
        source: "A. Krizhevsky, 2009",
        files: &[
            file(
                "data_batch_1.bin",
                30_730_000,
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            ),
            file(
                "data_batch_2.bin",
                30_730_000,
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            ),
            file(
                "data_batch_3.bin",
                30_730_000,
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            ),
            file(
                "data_batch_4.bin",
                30_730_000,
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            ),
            file(
                "data_batch_5.bin",
                30_730_000,
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
            file(
                "test_batch.bin",
                30_730_000,
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ),
        ],
        folders: &["cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", ""],
        read: read_cifar10,
    },
    Builtin {
        name: "adult",
        about: "answers of a census, as bits",
        shape: &[123],
        levels: Some(2),
        examples: [5000, 1414, 26_147],
        labelled: false,
        source: "B. Becker, R. Kohavi, UCI Machine Learning Repository, 1996; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "adult.train.data",
                1_230_000,
                "5590ab772dd51ed1b29bb972d2b416a58aee902b88be2f89b8c77f28f3e3db77",
            ),
            file(
                "adult.valid.data",
                347_844,
                "dbd7472c04c648e988264b90b76dc086294958ef4b395ee916090b2b82146e59",
            ),
            file(
                "adult.test.data",
                6_432_162,
                "611592f8b8de992131f609bada9a52eb5be8e745578b69fd5904e181acd6a544",
            ),
        ],
        folders: &["adult", "binary/adult", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "connect4",
        about: "positions of the game Connect Four, as bits",
        shape: &[126],
        levels: Some(2),
        examples: [16_000, 4000, 47_557],
        labelled: false,
        source: "J. Tromp, UCI Machine Learning Repository, 1995; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "connect4.train.data",
                4_032_000,
                "1cf1f300a290a33e15f8989364dd7e87c008699c3627e05cc70a5f2dd01cafd8",
            ),
            file(
                "connect4.valid.data",
                1_008_000,
                "e4657afaf1b6880aed84b64e348d2d502b32d90ad3177bea730dd5e0384fd3b8",
            ),
            file(
                "connect4.test.data",
                11_984_364,
                "e3f07544fc0cdeb74663d4dbdac9de58fe71db57b7e835767264a23b53625de3",
            ),
        ],
        folders: &["connect4", "binary/connect4", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "dna",
        about: "windows of 60 nucleotides around splice junctions, as bits",
        shape: &[180],
        levels: Some(2),
        examples: [1400, 600, 1186],
        labelled: false,
        source: "M. Noordewier, G. Towell, J. Shavlik, StatLog, 1992; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "dna.train.data",
                504_000,
                "f04607cc13d5871a30baf7cccaaadeeccd8b01e8d805e213ae41520dc9e364a6",
            ),
            file(
                "dna.valid.data",
                216_000,
                "4fef649046f58e1f10ed7ebd005ae96000bb9f397c6779d4b7acef31a0b8d5eb",
            ),
            file(
                "dna.test.data",
                426_960,
                "fec3ae7b26804020a9c43c99828441c5e08bb76b23719368a74ad2b09af99100",
            ),
        ],
        folders: &["dna", "binary/dna", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "mushrooms",
        about: "descriptions of mushrooms, as bits",
        shape: &[112],
        levels: Some(2),
        examples: [2000, 500, 5624],
        labelled: false,
        source: "J. Schlimmer, UCI Machine Learning Repository, 1987; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "mushrooms.train.data",
                448_000,
                "465c712c066bbbee3ccceded24bbe42b4c379df67b524e28cce9bf3a8b83f27b",
            ),
            file(
                "mushrooms.valid.data",
                112_000,
                "5a067e6854df71623415e6adc8e913cbff766637a324788882ba800907aa5385",
            ),
            file(
                "mushrooms.test.data",
                1_259_776,
                "313c5f04b5d0a18bee2f2ffa264be265d09f5362aad6f714637acd9552f81aa0",
            ),
        ],
        folders: &["mushrooms", "binary/mushrooms", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "nips",
        about: "which of 500 words a paper of NIPS 0 to 12 uses",
        shape: &[500],
        levels: Some(2),
        examples: [400, 100, 1240],
        labelled: false,
        source: "S. Roweis, 2000; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "nips.train.data",
                400_000,
                "4d744cb1f2c725405bff6ef6878df06eafbbc2a91f0510e0f3d8a508b05ec7bb",
            ),
            file(
                "nips.valid.data",
                100_000,
                "b06acd8e6a701d63d4e58b5076c11c59bcd0343fb9b1fbb5997459d3e6b8ca96",
            ),
            file(
                "nips.test.data",
                1_240_000,
                "48711bdaffbd43aa439679785e19d9cc80c64a157fa84eadc5dce60ee4edf7bc",
            ),
        ],
        folders: &["nips", "binary/nips", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "ocr-letters",
        about: "handwritten letters",
        shape: &[16, 8],
        levels: Some(2),
        examples: [32_152, 10_000, 10_000],
        labelled: false,
        source: "R. Kassel, MIT Spoken Language Systems Group, 1995; split of H. Larochelle, I. Murray, 2011",
        files: &[
            file(
                "ocr_letters.train.data",
                8_230_912,
                "3708cd826961009573dadc58d4c85991329433cf8137c6baa5c936a7fe666676",
            ),
            file(
                "ocr_letters.valid.data",
                2_560_000,
                "b28ca9c39bb94fc3b0aeb3197304547bb066daaad0a1cce3da9749d068b74133",
            ),
            file(
                "ocr_letters.test.data",
                2_560_000,
                "63c77682a932c5e5e04a429aba8dc7db5f942a87d549a8228fa144ec5ae998fb",
            ),
        ],
        folders: &["ocr-letters", "ocr_letters", "binary/ocr_letters", ""],
        read: read_file_per_part,
    },
    Builtin {
        name: "winequality-red",
        about: "measurements of red wines",
        shape: &[11],
        levels: None,
        examples: [1279, 160, 160],
        labelled: false,
        source: "P. Cortez, A. Cerdeira, F. Almeida, T. Matos, J. Reis, UCI Machine Learning Repository, 2009, CC BY 4.0",
        files: &[file(
            "winequality-red.csv",
            84_199,
            "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e",
        )],
        folders: &["winequality-red", "wine-quality", "real", ""],
        read: read_winequality,
    },
];

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
struct Found<'a> {
    builtin: &'a Builtin,
    locations: &'a Locations,
}

impl Found<'_> {
    fn path(&self, file: &KnownFile) -> Result<PathBuf> {
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

fn read_digits(found: &Found<'_>, split: Split) -> Result<Dataset> {
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
fn read_idx_pair(found: &Found<'_>, images: usize) -> Result<Dataset> {
    let data = found.read(images, |input| idx::read(input, &found.options()))?;
    let labels = found.read(images + 1, idx::read_labels)?;
    data.with_labels(labels)
}

fn read_mnist(found: &Found<'_>, split: Split) -> Result<Dataset> {
    if split == Split::Test {
        return read_idx_pair(found, 2);
    }
    let (train, valid) = read_idx_pair(found, 0)?.split_off_last(found.builtin.examples[1])?;
    Ok(if split == Split::Train { train } else { valid })
}

/// The table of a set that has one per part, in the order of [`Split::ALL`].
fn read_file_per_part(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let index = match split {
        Split::Train => 0,
        Split::Valid => 1,
        Split::Test => 2,
    };
    found.read(index, |input| read_text(input, &found.options()))?.with_shape(found.builtin.shape)
}

/// The measurements without the grade. The file has no parts: they are fold 0 of 10 of seed 0.
fn read_winequality(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let grade = Column::Name("quality".to_owned());
    let options = ReadOptions { drop: vec![grade], ..found.options() };
    let data = found.read(0, |input| read_text(input, &options))?;
    let folds = Folds { count: 10, fold: 0, seed: 0 };
    data.subset(&folds.rows(data.len(), split)?)
}

fn read_cifar10(found: &Found<'_>, split: Split) -> Result<Dataset> {
    let valid = found.builtin.examples[1];
    match split {
        Split::Test => read_batches(found, 5..6),
        // Validation lies in the last batch alone.
        Split::Valid => Ok(read_batches(found, 4..5)?.split_off_last(valid)?.1),
        Split::Train => Ok(read_batches(found, 0..5)?.split_off_last(valid)?.0),
    }
}

fn read_batches(found: &Found<'_>, files: std::ops::Range<usize>) -> Result<Dataset> {
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

/// Where files are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    dirs: Vec<PathBuf>,
}

impl Locations {
    /// The folder given, then the one in `CHAINRULE_DATA`, then `chainrule` in the user's cache
    /// folder.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        let variable = env::var_os(DATA_VARIABLE).filter(|dir| !dir.is_empty());
        let dirs = [data_dir, variable.map(PathBuf::from), cache_dir()];
        Self::only(dirs.into_iter().flatten())
    }

    /// These folders and no others.
    pub fn only(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { dirs: dirs.into_iter().collect() }
    }

    /// The folders, in order.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }
}

impl Default for Locations {
    /// [`Locations::new`] without a folder from the caller.
    fn default() -> Self {
        Self::new(None)
    }
}

/// `chainrule` in the user's cache folder: `$XDG_CACHE_HOME`, else the platform's own.
pub fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        // The XDG specification says that relative paths are to be ignored.
        env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    let platform = || {
        if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("HOME").map(|home| home.join(".cache"))
        }
    };
    Some(variable("XDG_CACHE_HOME").or_else(platform)?.join("chainrule"))
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
    use super::*;
    use crate::Flaw;
    use crate::binarize::threshold;

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
