//! Every reader on bytes that nobody wrote for it: noise, and valid files with a few bytes changed,
//! cut or added. A reader may refuse, it must not panic, and it must not take more memory than the
//! limit and the file allow.

use ar_data::{Error, Kind, ReadOptions, Values, read_bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::io::Write;
use std::path::Path;

/// One name per reader, and one that leaves the choice to the content.
const NAMES: [&str; 7] =
    ["a.csv", "a.amat", "a.npy", "a.png", "a.bin", "a-idx3-ubyte", "no-extension"];

/// A limit that small files can pass by stating or unpacking to more.
const LIMIT: u64 = 1 << 16;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(axes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    [bytes, data.to_vec()].concat()
}

fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let head = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..]].concat();
    [head, text.into_bytes(), data.to_vec()].concat()
}

fn png(columns: u32, rows: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

/// A valid file for each reader.
fn valid(which: usize) -> Vec<u8> {
    match which {
        0 => b"a,b,c\n1,0,1\n0.5,2,-3e2\n".to_vec(),
        1 => b"0 1 1\n1 0 0\n".to_vec(),
        2 => npy("<f4", &[2, 3], &[0; 24]),
        3 => png(4, 2, png::ColorType::Rgb, &[200; 24]),
        4 => vec![3; 3073],
        _ => idx(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 255]),
    }
}

fn options() -> impl Strategy<Value = ReadOptions> {
    let kind = option::of(prop_oneof![Just(Kind::Binary), Just(Kind::Symbols), Just(Kind::Real)]);
    let shape = option::of(vec(0_usize..5, 0..3));
    let rows = option::of(0_usize..4);
    (kind, option::of(0_u16..300), shape, rows).prop_map(|(kind, levels, shape, rows)| {
        ReadOptions { kind, levels, shape, drop: Vec::new(), rows, max_bytes: Some(LIMIT) }
    })
}

/// Reads, and holds the result to what a reader promises.
fn check(name: &str, bytes: Vec<u8>, options: &ReadOptions) -> Result<(), TestCaseError> {
    match read_bytes(Path::new(name), bytes, options) {
        Ok(data) => {
            prop_assert!(!data.is_empty(), "no file is read as nothing");
            prop_assert_eq!(data.len() * data.event_len(), data.values().len());
            prop_assert_eq!(data.shape().iter().product::<usize>(), data.event_len());
            prop_assert!(data.values().len() as u64 <= LIMIT);
            prop_assert!(options.rows.is_none_or(|rows| data.len() <= rows));
            match data.values() {
                Values::Symbols { data, levels } => {
                    prop_assert!(data.iter().all(|&value| u16::from(value) < *levels));
                    prop_assert!(options.levels.is_none_or(|stated| stated == *levels));
                }
                Values::Reals { data } => prop_assert!(data.iter().all(|v| v.is_finite())),
                Values::Columns { .. } => prop_assert!(false, "columns without a schema"),
            }
        }
        Err(Error::Malformed(malformed)) => {
            prop_assert_eq!(&malformed.path, Path::new(name));
            let text = malformed.to_string();
            prop_assert!(text.starts_with(name) && text.contains(": expected "), "{}", text);
        }
        Err(error @ Error::Inconsistent { .. }) => {
            prop_assert!(error.to_string().contains(": expected "), "{}", error);
        }
        Err(error) => prop_assert!(false, "no file system is involved: {error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused_or_read_but_never_a_panic(
        bytes in vec(any::<u8>(), 0..400),
        zipped in any::<bool>(),
        options in options(),
    ) {
        for name in NAMES {
            let bytes = if zipped { gzip(&bytes) } else { bytes.clone() };
            check(name, bytes, &options)?;
        }
    }

    #[test]
    fn noise_after_a_magic_is_refused_or_read(
        bytes in vec(any::<u8>(), 0..200),
        options in options(),
    ) {
        let starts: [(&str, &[u8]); 6] = [
            ("a.npy", b"\x93NUMPY\x01\0\x76\0{'descr': '"),
            ("a.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff"),
            ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("a-ubyte", b"\0\0\x08\x03\0\0\0\x02"),
            ("a.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"),
            ("a.csv", b"\"a\",\"b\"\n"),
        ];
        for (name, start) in starts {
            check(name, [start, &bytes].concat(), &options)?;
        }
    }

    #[test]
    fn text_like_tables_is_refused_or_read(
        text in "[0-9 ,;\\.\"e+\\-\nax\r\t]{0,120}",
        options in options(),
    ) {
        for name in ["a.csv", "a.amat", "no-extension"] {
            check(name, text.clone().into_bytes(), &options)?;
        }
    }

    #[test]
    fn changed_files_are_refused_or_read(
        which in 0_usize..6,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in option::of(any::<prop::sample::Index>()),
        tail in vec(any::<u8>(), 0..3),
        zipped in any::<bool>(),
        options in options(),
    ) {
        let mut bytes = valid(which);
        if zipped {
            bytes = gzip(&bytes);
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(tail);
        check(NAMES[which], bytes.clone(), &options)?;
        check("no-extension", bytes, &options)?;
    }

    #[test]
    fn a_bomb_never_passes_the_limit(
        which in 0_usize..6,
        start in option::of(Just(())),
        zeros in (LIMIT as usize)..(8 * LIMIT as usize),
    ) {
        let head = if start.is_some() { valid(which) } else { Vec::new() };
        let bytes = gzip(&[head, vec![b'0'; zeros]].concat());
        check(NAMES[which], bytes, &ReadOptions { max_bytes: Some(LIMIT), ..ReadOptions::default() })?;
    }

    #[test]
    fn symbols_survive_every_format(
        rows in 1_usize..5,
        columns in 1_usize..6,
        seed in vec(0_u8..17, 30),
        zipped in any::<bool>(),
    ) {
        let data = &seed[..rows * columns];
        let text = |separator: &str| {
            data.chunks(columns)
                .map(|row| {
                    let row: Vec<_> = row.iter().map(u8::to_string).collect();
                    format!("{}\n", row.join(separator))
                })
                .collect::<String>()
                .into_bytes()
        };
        let wide: Vec<u8> = data.iter().flat_map(|&v| i64::from(v).to_le_bytes()).collect();
        let files = [
            ("a.csv", text(",")),
            ("a.amat", text(" ")),
            ("a.data", text(";")),
            ("a-ubyte", idx(&[rows as u32, columns as u32], data)),
            ("a.npy", npy("|u1", &[rows, columns], data)),
            ("b.npy", npy("<i8", &[rows, columns], &wide)),
        ];
        let options = ReadOptions { levels: Some(17), ..ReadOptions::default() };
        for (name, bytes) in files {
            let bytes = if zipped { gzip(&bytes) } else { bytes };
            let read = read_bytes(Path::new(name), bytes, &options).unwrap();
            prop_assert_eq!(read.shape(), [columns]);
            prop_assert_eq!(read.symbols().unwrap(), (data, 17));
        }
        let image = png(columns as u32, rows as u32, png::ColorType::Grayscale, data);
        let read = read_bytes(Path::new("a.png"), image, &options).unwrap();
        prop_assert_eq!(read.shape(), [rows, columns]);
        prop_assert_eq!(read.symbols().unwrap(), (data, 17));
    }

    #[test]
    fn reals_survive_tables_and_arrays(
        data in vec(prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, 6),
    ) {
        let options = ReadOptions { kind: Some(Kind::Real), ..ReadOptions::default() };
        let text: String = data.chunks(3).map(|r| format!("{} {:e} {}\n", r[0], r[1], r[2])).collect();
        let single: Vec<u8> = data.iter().flat_map(|v| v.to_be_bytes()).collect();
        let double: Vec<u8> = data.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        for (name, bytes) in [
            ("a.data", text.into_bytes()),
            ("a.npy", npy(">f4", &[2, 3], &single)),
            ("b.npy", npy("<f8", &[2, 3], &double)),
        ] {
            let read = read_bytes(Path::new(name), bytes, &options).unwrap();
            // The shortest text of a single is another double than the single itself.
            let singles: Vec<f32> = read.reals().unwrap().iter().map(|&x| x as f32).collect();
            prop_assert_eq!(&singles[..], &data[..], "{}", name);
        }
    }
}
