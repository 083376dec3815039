//! Where the built-in datasets are.
//!
//! The digests are those of [`crate::builtin`]; a mirror that changes its files fails the check and
//! the next one is tried.

use super::{Download, Mirror, Packing, Wanted};
use crate::builtin::{Builtin, KnownFile};

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
        _ => Vec::new(),
    }
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
