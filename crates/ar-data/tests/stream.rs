//! Files in chunks: the same rows as whole files, and bad rows that cost no other its place.

use ar_data::binarize::{Draw, stochastic};
use ar_data::{
    Chunk, Chunks, Column, Dataset, Encoding, Error, Fingerprint, Flaw, Kind, Match, ReadOptions,
    Reading, Schema, Table, TableOptions, read_as, read_path, scan_levels,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let head = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..]].concat();
    [head, text.into_bytes(), data.to_vec()].concat()
}

fn idx(axes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    [bytes, data.to_vec()].concat()
}

fn png(columns: u32, rows: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

/// A folder of its own for a test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// 4 × 1 images with these symbols in every format that is read.
    fn every_format(&self, data: &[u8]) -> Vec<PathBuf> {
        let count = data.len() / 4;
        let lines = |separator: &str| -> String {
            let line = |row: &[u8]| {
                let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
                cells.join(separator) + "\n"
            };
            data.chunks_exact(4).map(line).collect()
        };
        let array = npy("|u1", &format!("{count}, 4, 1"), data);
        let wide: Vec<u8> = data.iter().flat_map(|&x| i32::from(x).to_be_bytes()).collect();
        for (row, image) in data.chunks_exact(4).enumerate() {
            self.file(&format!("images/{row:03}.png"), png(1, 4, image));
        }
        vec![
            self.file("a.csv", lines(",")),
            self.file("b.csv", format!("w,x,y,z\n{}", lines(";").replace(';', ","))),
            self.file("c.amat", lines(" ")),
            self.file("d.csv.gz", gzip(lines(";").as_bytes())),
            self.file("e.npy", &array),
            self.file("f.npy.gz", gzip(&array)),
            self.file("g.npy", npy(">i4", &format!("{count}, 4"), &wide)),
            self.file("h-idx3-ubyte", idx(&[count as u32, 4, 1], data)),
            self.file("i-idx3-ubyte.gz", gzip(&idx(&[count as u32, 4, 1], data))),
            self.0.path().join("images"),
        ]
    }
}

fn options(kind: Kind, levels: Option<u16>, shape: &[usize]) -> ReadOptions {
    let shape = Some(shape.to_vec());
    ReadOptions { kind: Some(kind), levels, shape, ..ReadOptions::default() }
}

fn chunks(path: &Path, options: &ReadOptions, rows: usize) -> Vec<Chunk> {
    Chunks::open(path, options, rows).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What is wrong with which row.
fn bad(chunks: &[Chunk]) -> Vec<(u64, String)> {
    let bad = chunks.iter().flat_map(|chunk| &chunk.bad);
    bad.map(|bad| (bad.row, bad.error.to_string())).collect()
}

fn numbers(chunks: &[Chunk]) -> Vec<u64> {
    let of = |data: &Dataset| (0..data.len()).map(|i| data.number(i)).collect::<Vec<_>>();
    chunks.iter().flat_map(|chunk| of(&chunk.data)).collect()
}

fn error(path: &Path, options: &ReadOptions) -> Error {
    let chunks = match Chunks::open(path, options, 2) {
        Ok(chunks) => chunks,
        Err(error) => return error,
    };
    let mut results: Vec<_> = chunks.collect();
    results.pop().expect("at least the error").unwrap_err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_first_rows_are_those_of_the_whole_file(
        data in prop::collection::vec(0..=255_u8, 1..12).prop_map(|rows| {
            rows.iter().flat_map(|&x| [x, x / 2, 255 - x, 7]).collect::<Vec<u8>>()
        }),
        rows in 1_usize..14,
    ) {
        let place = Place::new();
        let all = options(Kind::Symbols, Some(256), &[4, 1]);
        let first = ReadOptions { rows: Some(rows), ..all.clone() };
        for path in place.every_format(&data) {
            let whole = read_path(&path, &all).unwrap();
            let expected = whole.rows(0..rows.min(whole.len())).unwrap();
            let part = read_path(&path, &first).unwrap();
            prop_assert_eq!(part.values(), expected.values(), "{}", path.display());
            // In chunks too, of a size that does not divide them.
            let chunks = chunks(&path, &first, 3);
            let symbols: Vec<u8> = chunks
                .iter()
                .flat_map(|chunk| chunk.data.symbols().unwrap().0.iter().copied())
                .collect();
            prop_assert_eq!(&symbols[..], expected.symbols().unwrap().0);
        }
    }
}

#[test]
fn what_comes_after_the_first_rows_is_not_read() {
    let place = Place::new();
    let first = |rows| ReadOptions { rows: Some(rows), ..ReadOptions::default() };
    let image = [9; 3073];
    for path in [
        place.file("fault.csv", "0,1\n1,1\nx,1\n"),
        place.file("ragged.amat", "0 1\n1 1\n1 1 1\n"),
        // Cut off, or followed by something else.
        place.file("cut.npy", npy("|u1", "1000000, 2", &[1, 0, 1, 1, 7])),
        place.file("long.npy", [npy("|u1", "3, 2", &[1; 6]), vec![9; 100]].concat()),
        place.file("cut-ubyte", idx(&[1_000_000, 2], &[1, 0, 1, 1, 7])),
        place.file("long-ubyte", [idx(&[3, 2], &[1; 6]), vec![9; 100]].concat()),
        place.file("batch.bin", [&image[..], &image, &[77; 100]].concat()),
    ] {
        assert_eq!(read_path(&path, &first(2)).unwrap().len(), 2, "{}", path.display());
        assert!(read_path(&path, &ReadOptions::default()).is_err(), "{}", path.display());
    }
    // What is left open follows from what was read.
    for (text, levels) in [("0,1\n1,1\n255,1\n", Some(256)), ("0,1\n1,1\n0.5,1\n", None)] {
        let path = place.file("open.csv", text);
        assert_eq!(read_path(&path, &ReadOptions::default()).unwrap().levels(), levels);
        assert_eq!(read_path(&path, &first(2)).unwrap().levels(), Some(2));
    }
    place.file("images/0.png", png(1, 2, &[0, 1]));
    place.file("images/1.png", b"no image");
    let folder = place.0.path().join("images");
    assert_eq!(read_path(&folder, &first(1)).unwrap().len(), 1);
    assert!(read_path(&folder, &ReadOptions::default()).is_err());
    let message = read_path(&folder, &first(0)).unwrap_err().to_string();
    assert_eq!(message, "options: rows: expected 1 or more, found 0");
}

#[test]
fn a_file_above_the_limit_says_the_limit_and_the_ways_on() {
    let place = Place::new();
    let lines = "0,1\n".repeat(1 << 20);
    let path = place.file("long.csv", &lines);
    let limit = ReadOptions { max_bytes: Some(1 << 20), ..ReadOptions::default() };
    for path in [path.clone(), place.file("long.csv.gz", gzip(lines.as_bytes()))] {
        let error = read_path(&path, &limit).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge));
        let hint = error.hint().unwrap();
        for part in ["1 MiB of content", "`chainrule score`", "data.train_examples = N", ".npy"] {
            assert!(hint.contains(part), "{hint}");
        }
        // The first of its rows are within it.
        let first = ReadOptions { rows: Some(1000), ..limit.clone() };
        assert_eq!(read_path(&path, &first).unwrap().len(), 1000);
        let many = ReadOptions { rows: Some(1 << 19), ..limit.clone() };
        let error = read_path(&path, &many).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge));
        assert!(error.hint().unwrap().contains("lower data.train_examples"));
    }
    // A header that states more than the limit, of which a part is asked for.
    let array = place.file("long.npy", npy("|u1", "3000000, 1", &vec![1; 3_000_000]));
    assert_eq!(read_path(&array, &limit).unwrap_err().flaw(), Some(Flaw::TooLarge));
    let first = ReadOptions { rows: Some(5), ..limit };
    assert_eq!(read_path(&array, &first).unwrap().len(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn chunks_of_any_size_are_the_whole_file(
        data in prop::collection::vec(0..=255_u8, 1..12).prop_map(|rows| {
            rows.iter().flat_map(|&x| [x, x / 2, 255 - x, 7]).collect::<Vec<u8>>()
        }),
        size in 1..14_usize,
    ) {
        let place = Place::new();
        for path in place.every_format(&data) {
            for kind in [Kind::Symbols, Kind::Real] {
                let levels = (kind == Kind::Symbols).then_some(256);
                let options = options(kind, levels, &[2, 2]);
                let whole = read_path(&path, &options).unwrap();
                let parts = chunks(&path, &options, size);
                prop_assert_eq!(parts.len(), whole.len().div_ceil(size));
                let mut row = 0;
                for part in &parts {
                    prop_assert!(part.bad.is_empty() && part.rows.start == row);
                    let rows = row as usize..part.rows.end as usize;
                    let expected = whole.rows(rows.clone()).unwrap();
                    prop_assert_eq!(part.data.values(), expected.values());
                    prop_assert_eq!(part.data.columns(), expected.columns());
                    prop_assert_eq!(part.data.shape(), &[2, 2]);
                    prop_assert_eq!(part.data.len(), rows.len());
                    // Bits by chance are those of the row in the file.
                    if kind == Kind::Symbols {
                        let bits = stochastic(&part.data, 3, Draw::Evaluation).unwrap();
                        let all = stochastic(&whole, 3, Draw::Evaluation).unwrap();
                        let expected = all.rows(rows).unwrap();
                        prop_assert_eq!(bits.symbols().unwrap(), expected.symbols().unwrap());
                    }
                    row = part.rows.end;
                }
                prop_assert_eq!(row, whole.len() as u64);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a text holds: what is read as a whole is read in chunks without a bad row, and what is
    /// refused as a whole has a bad row or ends the reading.
    #[test]
    fn noise_is_bad_in_chunks_where_it_is_refused_as_a_whole(
        text in "([0-9x\"',; .\r-]{0,6}\n?){0,8}",
        width in 1..4_usize,
        size in 1..4_usize,
    ) {
        let place = Place::new();
        let path = place.file("noise.csv", &text);
        let options = options(Kind::Real, None, &[width]);
        let whole = read_path(&path, &options);
        let parts = Chunks::open(&path, &options, size)
            .and_then(|chunks| chunks.collect::<Result<Vec<_>, _>>());
        match (whole, parts) {
            (Ok(whole), Ok(parts)) => {
                prop_assert_eq!(bad(&parts), vec![]);
                let values: Vec<f64> =
                    parts.iter().flat_map(|part| part.data.reals().unwrap().to_vec()).collect();
                prop_assert_eq!(values, whole.reals().unwrap());
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
            // Names that occur twice are refused where later files are to be matched by them, which those of chunks,
            // matched by their positions, are not.
            (Err(error), Ok(parts)) => prop_assert!(
                !bad(&parts).is_empty() || error.to_string().contains("names that occur once"),
                "{error}"
            ),
            (Err(_), Err(_)) => {}
        }
    }
}

#[test]
fn bad_rows_are_named_and_the_others_keep_their_numbers() {
    let place = Place::new();
    let path = place.file("t.csv", "a,b\n0,1\n1\n\n1,x\n1,1\n0,2\n0,0,0\n1,-1\n1,0.5\n1,\n0,0\n");
    for size in [1, 2, 3, 100] {
        let chunks = chunks(&path, &options(Kind::Binary, None, &[2]), size);
        assert_eq!(numbers(&chunks), [0, 3, 9]);
        let values: Vec<u8> =
            chunks.iter().flat_map(|chunk| chunk.data.symbols().unwrap().0.to_vec()).collect();
        assert_eq!(values, [0, 1, 1, 1, 0, 0]);
        let found = bad(&chunks);
        let expected = [
            (1, "line 3: ragged: expected 2 values as in line 1, found 1"),
            (2, "line 5, column 2: not a number: expected 0 or 1, found \"x\""),
            (4, "line 7, column 2: out of range: expected 0 or 1, found \"2\""),
            (5, "line 8: ragged: expected 2 values as in line 1, found 3"),
            (6, "line 9, column 2: out of range"),
            (7, "line 10, column 2: out of range"),
            (8, "line 11, column 2: missing: expected 0 or 1, found a missing value"),
        ];
        assert_eq!(found.len(), expected.len());
        for ((row, message), (expected_row, part)) in found.iter().zip(expected) {
            assert!(*row == expected_row && message.contains(part), "{row}: {message}");
        }
        assert_eq!(chunks.last().unwrap().rows.end, 10);
        assert_eq!(chunks[0].data.columns().unwrap(), ["a", "b"]);
    }
    // A first row that is too short decides nothing.
    let path = place.file("short.amat", "1\n0 1\n1 1\n");
    let chunks = chunks(&path, &options(Kind::Binary, None, &[2]), 10);
    assert_eq!(numbers(&chunks), [1, 2]);
    assert!(bad(&chunks)[0].1.ends_with("line 1: ragged: expected 2 values, found 1"));
}

#[test]
fn columns_are_left_out_of_chunks_too() {
    let place = Place::new();
    for (text, drop) in [
        ("id,a,b\nx,0,1\ny,1\nz,1,1\n", Column::Name("id".to_owned())),
        ("x,0,1\ny,1\nz,1,1\n", Column::Index(0)),
    ] {
        let path = place.file("t.csv", text);
        let options = ReadOptions { drop: vec![drop], ..options(Kind::Binary, None, &[2]) };
        let found = chunks(&path, &options, 10);
        assert_eq!(found[0].data.symbols().unwrap().0, [0, 1, 1, 1]);
        assert_eq!((numbers(&found), bad(&found).len()), (vec![0, 2], 1));
        assert!(found[0].data.columns().is_none_or(|columns| columns == ["a", "b"]));
        let whole = ReadOptions { drop: vec![], ..options };
        assert!(error(&path, &whole).to_string().contains("3 columns, expected 2 columns"));
    }
    let path = place.file("a-ubyte", idx(&[1, 3], &[0, 1, 1]));
    let options = ReadOptions { drop: vec![Column::Index(0)], ..options(Kind::Binary, None, &[2]) };
    assert!(error(&path, &options).to_string().contains("drop: expected a table"));
    // A first row that is too short decides nothing here either.
    let path = place.file("short.csv", "7,0\n7,0,1,1\n8,1,1,0\n");
    let found = chunks(&path, &ReadOptions { shape: Some(vec![3]), ..options.clone() }, 10);
    assert_eq!(found[0].data.symbols().unwrap().0, [0, 1, 1, 1, 1, 0]);
    assert_eq!(numbers(&found), [1, 2]);
    // The column to leave out is in the header, so it is not one of those that stay.
    let path = place.file("named.csv", "id,a\n0,1\n");
    let named = ReadOptions { drop: vec![Column::Name("id".to_owned())], ..options };
    assert!(error(&path, &named).to_string().contains("1 columns, expected 2"));
}

#[test]
fn every_format_goes_on_after_a_bad_row() {
    let place = Place::new();
    let reals: Vec<u8> =
        [1.0_f32, f32::NAN, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = place.file("a.npy", npy("<f4", "2, 2", &reals));
    let found = chunks(&path, &options(Kind::Real, None, &[2]), 10);
    assert_eq!((numbers(&found), found[0].data.reals().unwrap()), (vec![1], &[2.0, 3.0][..]));
    assert!(bad(&found)[0].1.contains("a.npy: row 1, column 2: missing"), "{:?}", bad(&found));

    let path = place.file("a-ubyte", idx(&[3, 2], &[0, 1, 2, 0, 1, 1]));
    let found = chunks(&path, &options(Kind::Binary, None, &[2]), 10);
    assert_eq!(
        (numbers(&found), found[0].data.symbols().unwrap().0),
        (vec![0, 2], &[0, 1, 1, 1][..])
    );
    assert!(bad(&found)[0].1.contains("byte 14: out of range: expected 0 or 1, found 2"));

    let mut records = vec![3; 3 * 3073];
    records[3073] = 10;
    records[2 * 3073 + 5] = 200;
    let path = place.file("batch.bin", &records);
    let found = chunks(&path, &options(Kind::Symbols, Some(64), &[3, 32, 32]), 2);
    assert_eq!(numbers(&found), [0]);
    let messages = bad(&found);
    assert!(messages[0].0 == 1 && messages[0].1.contains("expected a label"), "{messages:?}");
    assert!(
        messages[1].0 == 2 && messages[1].1.contains("byte 6151: out of range"),
        "{messages:?}"
    );

    let good = png(2, 1, &[5, 6]);
    place.file("images/a.png", &good);
    place.file("images/b.png", &good[..good.len() - 9]);
    place.file("images/c.png", png(3, 1, &[5, 6, 7]));
    place.file("images/d.png", png(1, 2, &[7, 8]));
    let folder = place.0.path().join("images");
    let found = chunks(&folder, &options(Kind::Symbols, None, &[1, 2]), 3);
    assert_eq!(numbers(&found), [0, 3]);
    let messages = bad(&found);
    assert!(messages[0].1.contains("b.png: truncated"), "{messages:?}");
    let wrong = "c.png: ragged: expected an image of 2 values, found shape [1, 3]";
    assert!(messages[1].1.ends_with(wrong), "{messages:?}");
}

#[test]
fn faults_of_the_file_as_a_whole_end_the_reading() {
    let place = Place::new();
    let two = |kind| options(kind, None, &[2]);
    let array = npy("|u1", "3, 2", &[1; 6]);
    let whole = gzip("0,1\n".repeat(50_000).as_bytes());
    for (path, options, part) in [
        (place.file("a.csv", ""), two(Kind::Binary), "expected lines of values, found no line"),
        (place.file("b.csv", "a,b\n"), two(Kind::Binary), "found a header alone"),
        (place.file("c.csv", "a,b,c\n1,2,3\n"), two(Kind::Real), "3 columns, expected 2 columns"),
        (place.file("d.csv.gz", &whole[..whole.len() - 9]), two(Kind::Binary), "truncated"),
        (place.file("e.npy", &array[..array.len() - 1]), two(Kind::Binary), "truncated"),
        (place.file("f.npy", [&array[..], &[0]].concat()), two(Kind::Binary), "oversized"),
        (
            place.file("g.npy", npy("|u1", "2, 3", &[1; 6])),
            two(Kind::Binary),
            "3 columns, expected 2 columns",
        ),
        (place.file("h-ubyte", idx(&[2, 3], &[1; 6])), two(Kind::Binary), "another of 2 values"),
        (place.file("i.bin", [0; 9]), two(Kind::Binary), "found [3, 32, 32]"),
        (place.file("j.csv", "1".repeat(2 << 20)), two(Kind::Binary), "content in a row"),
        (place.file("k.csv", "0,1\n"), two(Kind::Binary), ""),
    ] {
        if part.is_empty() {
            continue;
        }
        let text = error(&path, &options).to_string();
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        error(&place.file("l.npy", b"no array"), &two(Kind::Real)).flaw(),
        Some(Flaw::WrongMagic)
    );
    let folder = place.file("empty/readme.txt", "").parent().unwrap().to_owned();
    assert_eq!(error(&folder, &two(Kind::Real)).flaw(), Some(Flaw::Empty));
    // What a whole file would decide must be said.
    let path = place.file("m.csv", "0,1\n");
    let unstated = error(&path, &ReadOptions { kind: Some(Kind::Real), ..ReadOptions::default() });
    assert!(unstated.to_string().contains("options: shape: expected a stated one"), "{unstated}");
    let shape = Some(vec![2]);
    let unstated = error(&path, &ReadOptions { shape, ..ReadOptions::default() });
    assert!(unstated.to_string().contains("options: kind"), "{unstated}");
}

#[test]
fn levels_are_those_of_the_rows_that_hold_symbols() {
    let place = Place::new();
    let reading = Reading {
        schema: Schema::positions(2, Encoding::Symbols { levels: 256 }),
        encoding: Encoding::Symbols { levels: 256 },
        shape: vec![2],
        is_binary: false,
        how: Match::default(),
        table: TableOptions::default(),
    };
    let levels = |path: &Path| scan_levels(path, &reading, 256, |_| ()).unwrap();
    assert_eq!(levels(&place.file("a.csv", "0,0\n")), Some(2));
    assert_eq!(levels(&place.file("b.csv", "0,0\n0,300\n9,0.5\n2,16\n")), Some(17));
    assert_eq!(levels(&place.file("c.csv", "0.5,1\n")), None);
    assert_eq!(levels(&place.file("d-ubyte", idx(&[1, 2], &[0, 1]))), Some(2));
    let path = place.file("f.csv", "0,1\n77,0\n3,3\n");
    assert_eq!(scan_levels(&path, &reading, 17, |_| ()).unwrap(), Some(4));
    let path = place.file("g.csv", "id,a,b\nx,0,1\ny,5,0\n");
    let id = Reading {
        how: Match { drop: vec![Column::Name("id".to_owned())], ..Match::default() },
        ..reading.clone()
    };
    assert_eq!(scan_levels(&path, &id, 17, |_| ()).unwrap(), Some(6));
    assert_eq!(levels(&place.file("e.npy", npy("|u1", "2, 2", &[0, 1, 2, 9]))), Some(10));
}

#[test]
fn progress_ends_with_the_file() {
    let place = Place::new();
    for path in place.every_format(&[1; 400]) {
        let mut chunks = Chunks::open(&path, &options(Kind::Symbols, Some(256), &[4]), 7).unwrap();
        let mut last = 0;
        while let Some(chunk) = chunks.next() {
            chunk.unwrap();
            let (done, total) = chunks.progress();
            assert!(last <= done && done <= total, "{}: {done} of {total}", path.display());
            last = done;
        }
        let (done, total) = chunks.progress();
        assert!(done == total && total > 0, "{}: {done} of {total}", path.display());
    }
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        file.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        file.write_all(array).unwrap();
    }
    file.finish().unwrap().into_inner()
}

#[test]
fn labels_beside_the_table_of_a_npz_are_found_again_by_the_schema() {
    let place = Place::new();
    let of = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let x = npy("<f8", "3, 2", &of(&[0.5, 1.5, 2.5, 3.5, 4.5, 5.5]));
    let y =
        npy("<i8", "3,", &[7_i64, 9, 7].iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<_>>());
    let path = place.file("a.npz", npz(&[("X", x.clone()), ("y", y.clone())]));
    let name = |name: &str| Some(Column::Name(name.to_owned()));
    let stated = TableOptions { label: name("y"), ..TableOptions::default() };
    let table = Table::read(&path, &stated).unwrap();
    let schema = table.infer(None).unwrap();
    let label = schema.label.clone().unwrap();
    assert_eq!((label.name.as_deref(), label.column, schema.width), (Some("y"), 2, 3));
    assert_eq!(label.classes, ["7", "9"]);
    let (own, _) = table.dataset(&schema, Encoding::Reals).unwrap();
    let reading = |how: Match, schema: &Schema, table: TableOptions| Reading {
        schema: schema.clone(),
        encoding: Encoding::Reals,
        shape: vec![2],
        is_binary: false,
        how,
        table,
    };
    let wanted = Match { with_labels: true, ..Match::default() };
    let read = |path: &Path, reading: &Reading| read_as(path, reading).map(|(data, ..)| data);
    let by_schema = reading(wanted.clone(), &schema, TableOptions::default());
    let data = read(&path, &by_schema).unwrap();
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    let fingerprint = |data: &Dataset| Fingerprint::of(data, None);
    assert_eq!(fingerprint(&data), fingerprint(&own));
    // A schema of before the array had its name, and a file that calls it otherwise.
    let mut old = schema.clone();
    old.label.as_mut().unwrap().name = None;
    let data = read(&path, &reading(wanted.clone(), &old, stated)).unwrap();
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    let other = place.file("b.npz", npz(&[("X", x.clone()), ("classes", y.clone())]));
    let named = Match { label: name("classes"), ..wanted.clone() };
    let data = read(&other, &reading(named, &schema, TableOptions::default())).unwrap();
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    // Without the array, or where none is wanted, there are none.
    for (path, how) in [(&other, wanted.clone()), (&path, Match::default())] {
        let data = read(path, &reading(how, &schema, TableOptions::default())).unwrap();
        assert_eq!((data.labels(), data.len()), (None, 3));
    }
    // The label has no position in the table, wherever the training file had it.
    let csv = place.file("t.csv", "a,y,b\n0.5,7,1.5\n2.5,9,3.5\n4.5,7,5.5\n");
    let stated = TableOptions { label: name("y"), ..TableOptions::default() };
    let of_csv = Table::read(&csv, &stated).unwrap().infer(None).unwrap();
    let data = read(&path, &reading(wanted.clone(), &of_csv, TableOptions::default())).unwrap();
    assert_eq!(data.reals().unwrap(), own.reals().unwrap());
    assert_eq!(data.labels().unwrap(), [0, 1, 0]);
    let wide = place.file("w.npz", npz(&[("X", npy("<f8", "3, 3", &of(&[0.0; 9]))), ("y", y)]));
    let error = read(&wide, &reading(wanted, &schema, TableOptions::default())).unwrap_err();
    assert!(error.to_string().contains("3 columns beside the label, expected 2"), "{error}");
}

#[test]
fn a_zero_with_a_sign_is_the_same_zero_whichever_way_it_is_read() {
    let place = Place::new();
    let of = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let values = [-0.0, 0.5, 3.0, -0.0];
    for (name, content) in [
        ("t.csv", b"-0,0.5\n3,-0.0\n".to_vec()),
        ("bytes.csv", b"-0,0\n3,-0.0\n".to_vec()),
        ("t.npy", npy("<f8", "2, 2", &of(&values))),
        ("images.npy", npy("<f8", "2, 1, 2", &of(&values))),
    ] {
        let path = place.file(name, content);
        let reading = Reading {
            schema: Schema::positions(2, Encoding::Reals),
            encoding: Encoding::Reals,
            shape: vec![2],
            is_binary: false,
            how: Match::default(),
            table: TableOptions::default(),
        };
        let by_schema = read_as(&path, &reading).unwrap().0;
        let real = ReadOptions { kind: Some(Kind::Real), ..ReadOptions::default() };
        let open = read_path(&path, &real).unwrap();
        for data in [&by_schema, &open] {
            let bits: Vec<u64> = data.reals().unwrap().iter().map(|x| x.to_bits()).collect();
            assert_eq!((bits[0], bits[3]), (0, 0), "{name}");
        }
        let fingerprint = |data: &Dataset| Fingerprint::of(data, None);
        assert_eq!(fingerprint(&by_schema), fingerprint(&open), "{name}");
    }
}

#[test]
fn integers_of_64_bits_stay_apart() {
    let place = Place::new();
    let ids: Vec<u64> = (0..100).map(|row| (1 << 63) + row).collect();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    for (name, content) in [("a.npy", npy("<u8", "100, 1", &bytes)), ("a.csv", text.into_bytes())] {
        let path = place.file(name, content);
        let table = Table::read(&path, &TableOptions::default()).unwrap();
        let schema = table.infer(None).unwrap();
        assert_eq!(schema.variables[0].kind.outcomes(), Some(100), "{name}");
        let (data, bad) = table.dataset(&schema, Encoding::Columns).unwrap();
        assert_eq!((data.len(), bad.len()), (100, 0), "{name}");
    }
}

#[test]
fn labels_that_a_schema_does_not_have_are_told_apart_where_that_is_asked_for() {
    let place = Place::new();
    let path = place.file("a.csv", format!("a,b\n{}", "x,1\ny,0\nx,1\n,0\n".repeat(5)));
    let table = Table::read(&path, &TableOptions::default()).unwrap();
    let schema = table.infer(Some(Encoding::Columns)).unwrap();
    let later =
        "a,b\nx,1\nnew,7\n\"a longer word than is seen at a glance\",\n,0\nnew,7\nother,0\n";
    let path =
        place.file("b.csv", later.to_owned() + "\"a longer word than is seen at a glance\",7\n");
    for rows in [1, 3, 100] {
        let reading = |encoding| Reading {
            schema: schema.clone(),
            encoding,
            shape: vec![2],
            is_binary: false,
            how: Match::default(),
            table: TableOptions::default(),
        };
        let read = |encoding| {
            let mut chunks = Chunks::open_as(&path, &reading(encoding), rows).unwrap();
            let mut cells = Vec::new();
            for chunk in &mut chunks {
                cells.extend_from_slice(chunk.unwrap().data.reals().unwrap());
            }
            (cells, chunks.take_others())
        };
        let (cells, others) = read(Encoding::Cells);
        // x, y, a missing cell; 0 and 1, which were never missing.
        let codes = [0, 1, 3, 2, 4, 3, 2, 0, 3, 2, 5, 0, 4, 2].map(f64::from);
        assert_eq!(cells, codes, "{rows}");
        let word = |word: &str| Some(word.to_owned());
        let long = word("a longer word than is seen at a glance");
        let words_of_first = vec![word("new"), long.clone(), word("other")];
        assert_eq!(others, [words_of_first, vec![word("7"), None]]);
        // Of each chunk alone, whose codes begin anew.
        let mut chunks = Chunks::open_as(&path, &reading(Encoding::Cells), rows).unwrap();
        let (mut words, mut read_before) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next() {
            let chunk = chunk.unwrap();
            let others = chunks.take_others();
            for row in chunk.data.reals().unwrap().chunks_exact(2) {
                let other = |i: usize, known: usize| {
                    let place = (row[i] as usize).checked_sub(known)?;
                    Some(others[i][place].clone())
                };
                words.push([other(0, 3), other(1, 2)]);
            }
            read_before += chunk.data.len();
        }
        assert_eq!(read_before, 7);
        let expected = [
            [None, None],
            [Some(word("new")), Some(word("7"))],
            [Some(long.clone()), Some(None)],
            [None, None],
            [Some(word("new")), Some(word("7"))],
            [Some(word("other")), None],
            [Some(long), Some(word("7"))],
        ];
        assert_eq!(words, expected, "{rows}");
        let (cells, others) = read(Encoding::Columns);
        let seen: Vec<f64> =
            codes.chunks(2).flat_map(|row| [row[0].min(3.0), row[1].min(2.0)]).collect();
        assert_eq!((cells, others), (seen, vec![vec![], vec![]]));
    }
}

#[test]
fn wide_characters_are_read_without_a_mark_or_named() {
    let place = Place::new();
    let text = "name;x\nä;1,5\nb;2,25\nc;3,5\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in [little, big] {
        let table = Table::read(&place.file("t.csv", bytes), &TableOptions::default()).unwrap();
        assert_eq!(table.infer(None).unwrap().names().unwrap(), ["name", "x"]);
    }
    let little: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let big: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    for bytes in [little.clone(), [&[0xff, 0xfe, 0, 0], &little[..]].concat(), big] {
        let path = place.file("t.csv", bytes);
        let error = Table::read(&path, &TableOptions::default()).err().unwrap();
        assert!(error.to_string().contains("found UTF-32"), "{error}");
        assert!(error.hint().unwrap().contains("iconv"));
    }
}

#[test]
fn faults_of_images_and_titles_have_a_way_on() {
    let place = Place::new();
    let options = ReadOptions::default();
    let hint = |path: &Path| read_path(path, &options).unwrap_err().hint().unwrap_or_default();
    place.file("mixed/a.png", png(2, 1, &[0, 255]));
    place.file("mixed/b.png", png(1, 1, &[0]));
    assert!(hint(&place.0.path().join("mixed")).contains("one size"));
    let path = place.file("photo.png", b"\xff\xd8\xff\xe0 JFIF");
    assert!(hint(&path).contains("convert"));
    let bytes: Vec<u8> = [0.5, f64::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = place.file("nan.npy", npy("<f8", "1, 1, 2", &bytes));
    assert!(hint(&path).contains("nan_to_num"));
    let labels = |path: &Path| ar_data::read_labels(path).unwrap_err().hint().unwrap_or_default();
    assert!(labels(&place.file("x-ubyte", idx(&[1, 1, 2], &[0, 1]))).contains("file of images"));
    let path = place.file("y.npy", npy("<i2", "2,", &[1, 0, 4, 1]));
    assert!(labels(&path).contains("numpy.unique"));
    let path = place.file("t.csv", "Monthly report\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n");
    let table = Table::read(&path, &TableOptions::default()).unwrap();
    let error = &table.bad_rows()[0].error;
    assert!(error.to_string().contains("line 3: ragged"), "{error}");
    assert!(error.hint().unwrap().contains("the lines before line 3"), "{:?}", error.hint());
    let reading = Reading {
        schema: Schema::positions(3, Encoding::Symbols { levels: 2 }),
        encoding: Encoding::Symbols { levels: 256 },
        shape: vec![3],
        is_binary: false,
        how: Match::default(),
        table: TableOptions::default(),
    };
    let error = read_as(place.file("one/a.png", png(2, 1, &[0, 255])).parent().unwrap(), &reading);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("expected events of shape [3] or another of 3 values, found"),
        "{message}"
    );
}
