//! Where the built-in datasets are.
//!
//! The digests are those of [`crate::builtin`]; a mirror that changes its files fails the check and
//! the next one is tried.

use super::parts::{Download, Mirror, Packing, Wanted};
use crate::builtin::{Builtin, KnownFile};
use crate::split::Split;

/// Folders with MNIST's four files as gzip.
const MNIST: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
];

/// Folders with the four files of Fashion-MNIST as gzip.
const FASHION_MNIST: [&str; 2] = [
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
];

/// The repository of M. Yin and M. Zhou's ARM estimator keeps the bits as MATLAB 5 matrices, called
/// `.amat` nevertheless: 4 MB in all. At this commit they are Larochelle's, row for row.
const BINARIZED_MNIST_MATRICES: &str = "https://raw.githubusercontent.com/mingzhang-yin/\
    ARM-gradient/9b5f74da4e4009c5556e8d7a87c88c8e291c253d";

/// The original, 110 MB of plain text, at its two addresses.
const BINARIZED_MNIST: [&str; 2] = [
    "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist",
    "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist",
];

/// The archive of the binary version, 170 MB.
const CIFAR10: [&str; 3] = [
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
];

/// A collection of sets for density estimation by A. Vergari at a fixed commit, at its two addresses.
///
/// Compared with a snapshot of the repository: its `mushrooms` and `nips` are ours, byte for byte, and so are
/// the other files of `adult`, `connect4` and `ocr-letters`; but `adult.test`, `connect4.test` and
/// `ocr_letters.train` have other bytes there by their ids in Git, and its `dna` is split otherwise.
const DENSITY_ESTIMATION: [&str; 2] = [
    "https://raw.githubusercontent.com/arranger1044/DEBD/\
     850908666388f1b1c766a304b37dae14613f1e51/datasets",
    "https://github.com/arranger1044/DEBD/raw/\
     850908666388f1b1c766a304b37dae14613f1e51/datasets",
];

/// Sparse text of the parts of a set: the folder, and what stands before and behind the part's name.
/// H. Larochelle's copies, from which the split comes. None has been tried.
const SPARSE: [(&str, &str, &str); 4] = [
    ("adult", "adult/a5a_", ".libsvm"),
    ("connect4", "connect-4/connect-4_", ".libsvm"),
    ("dna", "dna/dna_scale_", ".libsvm"),
    ("mushrooms", "mushrooms/mushrooms_", ".libsvm"),
];
const SPARSE_BASE: &str = "http://www.cs.toronto.edu/~larocheh/public/datasets";

/// LIBSVM's copy of `dna`, sparse text of the same three parts. Not tried either.
const DNA: [&str; 3] = [
    "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.tr",
    "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.val",
    "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/dna.scale.t",
];

/// The red wines at UCI, in their old and their new folder of the same files. Neither has been tried.
const WINE_QUALITY: [&str; 2] = [
    "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality",
    "https://archive.ics.uci.edu/static/public/186",
];

/// What to download for a built-in dataset; nothing if it is embedded.
pub(super) fn downloads(builtin: &Builtin) -> Vec<Download> {
    match builtin.name {
        "mnist" => one_by_one(builtin, |file| gzips(&MNIST, file)),
        "fashion-mnist" => one_by_one(builtin, |file| gzips(&FASHION_MNIST, file)),
        "binarized-mnist" => one_by_one(builtin, |file| {
            let matrices = (BINARIZED_MNIST_MATRICES, Packing::Mat5);
            let texts = BINARIZED_MNIST.map(|base| (base, Packing::File));
            [matrices]
                .into_iter()
                .chain(texts)
                .map(|(base, packing)| mirror(base, file, packing))
                .collect()
        }),
        "cifar10" => vec![Download {
            mirrors: CIFAR10
                .map(|url| Mirror { url: url.to_owned(), packing: Packing::TarGz })
                .to_vec(),
            wanted: builtin.files.iter().map(wanted).collect(),
        }],
        "adult" | "connect4" | "dna" | "mushrooms" | "nips" | "ocr-letters" => binary_set(builtin),
        "winequality-red" => one_by_one(builtin, |file| {
            WINE_QUALITY.map(|base| mirror(base, file, Packing::File)).to_vec()
        }),
        _ => Vec::new(),
    }
}

/// The sets of one table per part.
fn binary_set(builtin: &Builtin) -> Vec<Download> {
    let columns = builtin.shape.iter().product();
    let sparse = |url| Mirror { url, packing: Packing::LibSvm { columns } };
    let mut downloads = one_by_one(builtin, |file| {
        if builtin.name == "dna" {
            return Vec::new();
        }
        // Folders are called like the start of their files.
        let folder = file.split('.').next().unwrap_or_default();
        let path = format!("{folder}/{file}");
        DENSITY_ESTIMATION.map(|base| mirror(base, &path, Packing::File)).to_vec()
    });
    for (k, (download, part)) in downloads.iter_mut().zip(Split::ALL).enumerate() {
        let found = SPARSE.iter().find(|(name, ..)| *name == builtin.name);
        download.mirrors.extend(
            found.map(|(_, start, end)| sparse(format!("{SPARSE_BASE}/{start}{part}{end}"))),
        );
        if builtin.name == "dna" {
            download.mirrors.push(sparse(DNA[k].to_owned()));
        }
    }
    downloads
}

fn one_by_one(builtin: &Builtin, mirrors: impl Fn(&str) -> Vec<Mirror>) -> Vec<Download> {
    let download =
        |file: &KnownFile| Download { mirrors: mirrors(file.name), wanted: vec![wanted(file)] };
    builtin.files.iter().map(download).collect()
}

fn gzips(bases: &[&str], file: &str) -> Vec<Mirror> {
    bases.iter().map(|base| mirror(base, &format!("{file}.gz"), Packing::File)).collect()
}

fn mirror(base: &str, file: &str, packing: Packing) -> Mirror {
    Mirror { url: format!("{base}/{file}"), packing }
}

fn wanted(file: &KnownFile) -> Wanted {
    Wanted { file: file.name.to_owned(), bytes: file.bytes, sha256: file.sha256.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn every_file_has_several_mirrors() {
        for builtin in builtin::all() {
            let downloads = downloads(builtin);
            let wanted: Vec<_> =
                downloads.iter().flat_map(|d| d.wanted.iter().map(|w| w.file.as_str())).collect();
            let known: Vec<_> = builtin.files.iter().map(|file| file.name).collect();
            assert_eq!(wanted, known, "{}", builtin.name);
            for download in downloads {
                assert!(download.mirrors.len() >= 2, "{}", builtin.name);
                assert!(download.mirrors.iter().all(|m| m.url.starts_with("http")));
                assert!(!download.mirrors.iter().any(|m| m.url.contains(char::is_whitespace)));
            }
        }
    }
}
