//! The published files, where `CHAINRULE_DATA` points at a folder that has them. Each test says so
//! when it has nothing to read.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use ar_data::{Locations, ReadOptions, Split, Splits, builtin, read_path};
use std::env;
use std::path::PathBuf;

// Sums of all symbols of train, valid and test, computed with NumPy.
const MNIST_SUMS: [u64; 3] = [1_309_089_051, 258_209_494, 264_923_200];
const FASHION_SUMS: [u64; 3] = [2_853_847_097, 577_267_072, 573_469_082];
const BINARIZED_SUMS: [u64; 3] = [5_118_041, 1_028_036, 1_038_896];
const CIFAR10_SUMS: [u64; 3] = [16_686_754_854, 1_853_927_149, 3_733_375_634];
const BINARY_SUMS: [(&str, [u64; 3]); 6] = [
    ("adult", [69_328, 19_611, 362_653]),
    ("connect4", [672_000, 168_000, 1_997_394]),
    ("dna", [63_945, 27_288, 53_669]),
    ("mushrooms", [42_000, 10_500, 118_104]),
    ("nips", [73_561, 18_282, 227_229]),
    ("ocr-letters", [904_175, 282_330, 279_981]),
];

/// The folder with real data.
fn folder(test: &str) -> Option<PathBuf> {
    let folder = env::var_os(builtin::DATA_VARIABLE).map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped {test}: CHAINRULE_DATA is not set");
    }
    folder
}

/// One built-in set, if its files are there.
fn load(name: &str) -> Option<Splits> {
    let locations = Locations::only([folder(name)?]);
    if !builtin::find(name).unwrap().is_present(&locations) {
        eprintln!("skipped {name}: not in the folder CHAINRULE_DATA names");
        return None;
    }
    let splits = builtin::load(name, &locations).unwrap();
    let known = builtin::find(name).unwrap();
    for (split, count) in Split::ALL.into_iter().zip(known.examples) {
        let part = splits.get(split).unwrap();
        assert_eq!((part.len(), part.shape(), part.levels()), (count, known.shape, known.levels));
        assert_eq!(part.labels().is_some(), known.labelled);
    }
    // The valid part alone must be the same as the one cut off the training files.
    assert_eq!(
        builtin::load_split(name, Split::Valid, &locations).unwrap(),
        *splits.valid.as_ref().unwrap()
    );
    Some(splits)
}

/// The sum of all symbols of a part.
fn sum(splits: &Splits, split: Split) -> u64 {
    splits.get(split).unwrap().symbols().unwrap().0.iter().map(|&v| u64::from(v)).sum()
}

fn first_labels(splits: &Splits, split: Split) -> &[u8] {
    &splits.get(split).unwrap().labels().unwrap()[..5]
}

#[test]
fn mnist() {
    let Some(splits) = load("mnist") else { return };
    assert_eq!(first_labels(&splits, Split::Train), [5, 0, 4, 1, 9]);
    assert_eq!(first_labels(&splits, Split::Test), [7, 2, 1, 0, 4]);
    let sums = Split::ALL.map(|split| sum(&splits, split));
    assert_eq!(sums, MNIST_SUMS);
}

#[test]
fn binarized_mnist() {
    let Some(splits) = load("binarized-mnist") else {
        return;
    };
    let sums = Split::ALL.map(|split| sum(&splits, split));
    assert_eq!(sums, BINARIZED_SUMS);
}

#[test]
fn fashion_mnist() {
    let Some(splits) = load("fashion-mnist") else {
        return;
    };
    assert_eq!(first_labels(&splits, Split::Train), [9, 0, 0, 3, 0]);
    assert_eq!(first_labels(&splits, Split::Test), [9, 2, 1, 1, 6]);
    let sums = Split::ALL.map(|split| sum(&splits, split));
    assert_eq!(sums, FASHION_SUMS);
}

#[test]
fn cifar10() {
    let Some(splits) = load("cifar10") else {
        return;
    };
    assert_eq!(first_labels(&splits, Split::Train), [6, 9, 9, 4, 1]);
    assert_eq!(first_labels(&splits, Split::Test), [3, 8, 8, 0, 6]);
    // The first pixel of the first image is (59, 62, 63).
    let (pixels, _) = splits.train.symbols().unwrap();
    assert_eq!([pixels[0], pixels[1024], pixels[2048]], [59, 62, 63]);
    let sums = Split::ALL.map(|split| sum(&splits, split));
    assert_eq!(sums, CIFAR10_SUMS);
}

#[test]
fn binary_sets() {
    for (name, expected) in BINARY_SUMS {
        let Some(splits) = load(name) else { continue };
        assert_eq!(Split::ALL.map(|split| sum(&splits, split)), expected, "{name}");
        // A file of the set is a table like any other: left open, the values decide that they are bits.
        let locations = Locations::only(folder(name));
        let files = builtin::find(name).unwrap().locate(&locations).unwrap();
        let table = read_path(&files[0], &ReadOptions::default()).unwrap();
        assert_eq!(table.symbols().unwrap(), splits.train.symbols().unwrap());
    }
}

#[test]
fn real_tables() {
    let Some(folder) = folder("real tables") else {
        return;
    };
    let wine = folder.join("real/winequality-red.csv");
    if wine.exists() {
        let data = read_path(&wine, &ReadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape()), (1599, &[12][..]));
        assert_eq!(data.columns().unwrap()[0], "fixed acidity");
        assert_eq!(data.reals().unwrap()[..3], [7.4, 0.7, 0.0]);
    } else {
        eprintln!("skipped wine: not in the folder CHAINRULE_DATA names");
    }
    let radar = folder.join("real/ionosphere.data");
    if radar.exists() {
        // Its last column is a class by letter.
        let error = read_path(&radar, &ReadOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("line 1, column 35: not a number: expected a number, found \"g\""),
            "{text}"
        );
    } else {
        eprintln!("skipped ionosphere: not in the folder CHAINRULE_DATA names");
    }
}

#[test]
fn winequality_red() {
    let Some(splits) = load("winequality-red") else { return };
    assert_eq!(splits.train.columns().unwrap()[10], "alcohol");
    let sum = |split| -> f64 {
        let alcohol = splits.get(split).unwrap().reals().unwrap().iter().skip(10).step_by(11);
        alcohol.sum()
    };
    // The column's sum in the file, by awk.
    let total: f64 = Split::ALL.into_iter().map(sum).sum();
    assert!((total - 16_666.35).abs() < 1e-2, "{total}");
}
