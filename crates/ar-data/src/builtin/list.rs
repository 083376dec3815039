//! Which datasets there are.

use super::read::{read_cifar10, read_digits, read_file_per_part, read_mnist, read_winequality};
use super::{Builtin, KnownFile};
use crate::arrays::cifar10;

const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> KnownFile {
    KnownFile { name, bytes, sha256 }
}

pub(super) static ALL: [Builtin; 12] = [
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
