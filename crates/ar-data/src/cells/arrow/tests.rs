use super::{ipc, open_ipc, open_parquet, parquet};
use crate::cells::{Described, Source};
use crate::columns::{Builder, Cell, Notation, Sink, State, Type, Variable};
use crate::error::{Error, Flaw, Result};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use ::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, UInt8Builder};
use arrow_array::types::{Float16Type, Int8Type, Int32Type, UInt16Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BinaryViewArray, BooleanArray, Date32Array,
    Date64Array, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array, DictionaryArray,
    DurationSecondArray, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, NullArray, RecordBatch,
    StringArray, StringViewArray, StructArray, Time32MillisecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions, StreamWriter};
use rand::{Rng, RngExt, SeedableRng};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// A way to write and to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Parquet,
    File(Option<CompressionType>),
    Stream,
}

const WAYS: [Way; 5] = [
    Way::Parquet,
    Way::File(None),
    Way::File(Some(CompressionType::LZ4_FRAME)),
    Way::File(Some(CompressionType::ZSTD)),
    Way::Stream,
];

impl Way {
    /// A file of some batches; of Parquet each is a row group.
    fn write(self, batches: &[RecordBatch]) -> Vec<u8> {
        let schema = batches[0].schema();
        match self {
            Self::Parquet => parquet_of(batches, WriterProperties::builder()),
            Self::File(compression) => {
                let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
                let mut file =
                    FileWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
                batches.iter().for_each(|batch| file.write(batch).unwrap());
                file.into_inner().unwrap()
            }
            Self::Stream => {
                let mut stream = StreamWriter::try_new(Vec::new(), &schema).unwrap();
                batches.iter().for_each(|batch| stream.write(batch).unwrap());
                stream.into_inner().unwrap()
            }
        }
    }

    fn open(self, path: &Path) -> Result<Box<dyn Source>> {
        if self == Self::Parquet { open_parquet(path) } else { open_ipc(path) }
    }
}

fn parquet_of(batches: &[RecordBatch], properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut file = Vec::new();
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(&mut file, batches[0].schema(), properties).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file
}

/// A folder with a file in it.
struct Saved {
    folder: tempfile::TempDir,
}

impl Saved {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Opens a file of these bytes.
    fn open(&self, way: Way, bytes: &[u8]) -> Result<Box<dyn Source>> {
        way.open(&self.save(bytes))
    }

    fn save(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("f");
        // Thousands of files are written over each other, which some systems do sooner than to empty them first.
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let mut file = options.unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        path
    }
}

/// The wanted columns as words, none for a missing cell, read `most` rows at a time.
fn read_words(
    source: &mut dyn Source,
    most: usize,
    wanted: &[usize],
) -> Result<Vec<Vec<Option<String>>>> {
    let builder =
        |column| wanted.contains(&column).then(|| Builder::of_words(format!("column {column}")));
    let builders = (0..source.width()).map(builder).collect();
    let mut sink = Sink::new(Path::new("f"), builders, Notation::new(&[]));
    let mut codes: Vec<Vec<Option<u32>>> = vec![Vec::new(); wanted.len()];
    let mut before = (0, 0);
    loop {
        let goes_on = source.read(most, &mut sink)?;
        let taken = sink.take();
        let rows = taken.rows.len();
        assert!(rows <= most);
        for (&column, codes) in wanted.iter().zip(&mut codes) {
            let part = taken.parts[column].as_ref().unwrap();
            let State::Codes(values) = &part.values else { panic!("words are codes") };
            assert_eq!(values.len(), rows);
            let is_missing = |row: usize| part.missing.contains(&(row as u32));
            codes.extend((0..rows).map(|row| (!is_missing(row)).then_some(values[row])));
        }
        let progress = source.progress();
        assert!(before.0 <= progress.0 && progress.0 <= progress.1, "{progress:?}");
        before = progress;
        if !goes_on {
            assert_eq!(progress.0, progress.1);
            break;
        }
    }
    let mut builders = sink.into_builders();
    let columns = wanted.iter().zip(codes).map(|(&column, codes)| {
        let (_, dictionary) = builders[column].take().unwrap().facts().unwrap();
        let word = |code: u32| dictionary.labels()[code as usize].clone();
        codes.into_iter().map(|code| code.map(word)).collect()
    });
    Ok(columns.collect())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

/// Three rows of every type that has cells, the second of them null, and what they are in words.
fn every_type() -> Vec<(&'static str, ArrayRef, [&'static str; 2])> {
    fn rows<A: From<Vec<Option<T>>> + 'static + arrow_array::Array, T>(
        first: T,
        last: T,
    ) -> ArrayRef {
        Arc::new(A::from(vec![Some(first), None, Some(last)]))
    }
    let half = |value: f32| Half::from_f32(value);
    let big = |digits: &str| digits.parse().unwrap();
    let mut fixed = FixedSizeBinaryBuilder::new(3);
    fixed.append_value(b"abc").unwrap();
    fixed.append_null();
    fixed.append_value(b"xyz").unwrap();
    let words = || vec![Some("short"), None, Some("a word of more than twelve letters")];
    let coded: DictionaryArray<Int8Type> = words().into_iter().collect();
    let twice: DictionaryArray<UInt16Type> = vec![Some("b"), None, Some("b")].into_iter().collect();
    let keys = Int32Array::from(vec![Some(1), None, Some(0)]);
    let numbers = DictionaryArray::<Int32Type>::new(keys, Arc::new(Int64Array::from(vec![-3, 7])));
    let long = "a word of more than twelve letters";
    vec![
        ("int8", rows::<Int8Array, _>(-128, 127), ["-128", "127"]),
        ("int16", rows::<Int16Array, _>(-32768, 32767), ["-32768", "32767"]),
        ("int32", rows::<Int32Array, _>(i32::MIN, i32::MAX), ["-2147483648", "2147483647"]),
        (
            "int64",
            rows::<Int64Array, _>(i64::MIN, i64::MAX),
            ["-9223372036854775808", "9223372036854775807"],
        ),
        ("uint8", rows::<UInt8Array, _>(0, 255), ["0", "255"]),
        ("uint16", rows::<UInt16Array, _>(0, 65535), ["0", "65535"]),
        ("uint32", rows::<UInt32Array, _>(0, u32::MAX), ["0", "4294967295"]),
        ("uint64", rows::<UInt64Array, _>(5, u64::MAX), ["5", "18446744073709551615"]),
        ("float16", rows::<Float16Array, _>(half(0.5), half(-2.0)), ["0.5", "-2"]),
        ("float32", rows::<Float32Array, _>(0.25, -1e10), ["0.25", "-10000000000"]),
        ("float64", rows::<Float64Array, _>(0.1, f64::INFINITY), ["0.1", "inf"]),
        ("boolean", rows::<BooleanArray, _>(true, false), ["true", "false"]),
        ("string", Arc::new(StringArray::from(words())), ["short", long]),
        ("string", Arc::new(LargeStringArray::from(words())), ["short", long]),
        ("string", Arc::new(StringViewArray::from(words())), ["short", long]),
        ("binary", Arc::new(BinaryArray::from(vec![Some(&b"x"[..]), None, Some(b"")])), ["x", ""]),
        (
            "binary",
            Arc::new(LargeBinaryArray::from(vec![Some(&b"x"[..]), None, Some(b"y")])),
            ["x", "y"],
        ),
        (
            "binary",
            Arc::new(BinaryViewArray::from(vec![Some(&b"x"[..]), None, Some(b"y")])),
            ["x", "y"],
        ),
        ("binary of 3 bytes", Arc::new(fixed.finish()), ["abc", "xyz"]),
        ("date", rows::<Date32Array, _>(-1, 20_000), ["-1", "20000"]),
        ("date", rows::<Date64Array, _>(-86_400_000, 172_800_000), ["-1", "2"]),
        ("time in milliseconds", rows::<Time32MillisecondArray, _>(0, 1500), ["0", "1500"]),
        ("time in nanoseconds", rows::<Time64NanosecondArray, _>(1, 2), ["1", "2"]),
        (
            "timestamp in microseconds",
            rows::<TimestampMicrosecondArray, _>(-5, 1_700_000_000_000_001),
            ["-5", "1700000000000001"],
        ),
        ("timestamp in seconds", rows::<TimestampSecondArray, _>(0, 60), ["0", "60"]),
        ("duration in seconds", rows::<DurationSecondArray, _>(1, -1), ["1", "-1"]),
        (
            "decimal of scale 2",
            Arc::new(
                Decimal128Array::from(vec![Some(1250), None, Some(-5)])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            ["12.50", "-0.05"],
        ),
        (
            "decimal of scale 0",
            Arc::new(
                Decimal128Array::from(vec![Some(7), None, Some(10_i128.pow(30))])
                    .with_precision_and_scale(38, 0)
                    .unwrap(),
            ),
            ["7", "1000000000000000000000000000000"],
        ),
        (
            "decimal of scale 3",
            Arc::new(
                Decimal256Array::from(vec![
                    Some(big("-1")),
                    None,
                    Some(big("123456789012345678901234567890123456789012345678901")),
                ])
                .with_precision_and_scale(76, 3)
                .unwrap(),
            ),
            ["-0.001", "123456789012345678901234567890123456789012345678.901"],
        ),
        (
            "decimal of scale 1",
            Arc::new(
                Decimal32Array::from(vec![Some(15), None, Some(20)])
                    .with_precision_and_scale(9, 1)
                    .unwrap(),
            ),
            ["1.5", "2.0"],
        ),
        (
            "decimal of scale 0",
            Arc::new(
                Decimal64Array::from(vec![Some(15), None, Some(-20)])
                    .with_precision_and_scale(18, 0)
                    .unwrap(),
            ),
            ["15", "-20"],
        ),
        ("dictionary of string", Arc::new(coded), ["short", long]),
        ("dictionary of string", Arc::new(twice), ["b", "b"]),
        ("dictionary of int64", Arc::new(numbers), ["7", "-3"]),
    ]
}

#[test]
fn every_type_has_its_cells_in_every_format() {
    let known = every_type();
    let names: Vec<String> = (0..known.len()).map(|column| format!("c{column}")).collect();
    let columns = names.iter().zip(&known);
    let batch =
        batch(columns.map(|(name, (_, array, _))| (name.as_str(), array.clone())).collect());
    let all: Vec<usize> = (0..known.len()).collect();
    let saved = Saved::new();
    for way in WAYS {
        let mut source = saved.open(way, &way.write(&[batch.clone(), batch.clone()])).unwrap();
        assert_eq!(source.names().unwrap(), names);
        let types = match source.describe() {
            Described::Typed { types, .. } => types,
            other => panic!("{other:?}"),
        };
        for (found, (expected, ..)) in types.iter().zip(&known) {
            assert_eq!(found, expected, "{way:?}");
        }
        // Batches of three rows, read two at a time.
        let found = read_words(source.as_mut(), 2, &all).unwrap();
        for (column, (name, _, [first, last])) in found.iter().zip(&known) {
            let rows = [Some(*first), None, Some(*last)].map(|word| word.map(str::to_owned));
            assert_eq!(column, &[&rows[..], &rows].concat(), "{way:?}: {name}");
        }
    }
}

#[test]
fn numbers_and_truth_values_stay_what_they_are() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bytes", Arc::new(UInt8Array::from(vec![0, 255, 3]))),
        ("floats", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(f32::NAN)]))),
        ("booleans", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("null", Arc::new(NullArray::new(3))),
        ("decimals", {
            let values = Decimal128Array::from(vec![1250, 300, -75]);
            Arc::new(values.with_precision_and_scale(10, 2).unwrap())
        }),
    ];
    let batch = batch(columns);
    for way in WAYS {
        let saved = Saved::new();
        let mut source = saved.open(way, &way.write(std::slice::from_ref(&batch))).unwrap();
        let builders = (0..5).map(|column| Some(Builder::open(column.to_string()))).collect();
        let mut sink = Sink::new(Path::new("f"), builders, Notation::new(&[]));
        // There may be more to read as long as no call came to the end.
        while source.read(3, &mut sink).unwrap() {}
        let parts = sink.take().parts;
        let part = |column: usize| parts[column].as_ref().unwrap();
        assert!(matches!(&part(0).values, State::Bytes(values) if values == &[0, 255, 3]));
        assert!(matches!(&part(1).values, State::Numbers(values) if values[0] == 0.5));
        assert_eq!(part(1).missing, [1, 2]);
        assert!(matches!(&part(2).values, State::Codes(values) if values == &[0, 1, 0]));
        assert_eq!(part(3).missing, [0, 1, 2]);
        let mut builders = sink.into_builders();
        let mut facts = |column: usize| builders[column].take().unwrap().facts().unwrap();
        assert!(facts(1).0.is_float);
        assert_eq!(facts(2).1.labels(), ["true", "false"]);
        let (decimals, _) = facts(4);
        assert_eq!((decimals.places, decimals.numbers), (2, 3));
    }
}

#[test]
fn many_cells_are_what_they_are_one_by_one() {
    let variable = |kind, can_be_missing| Variable { name: None, column: 0, can_be_missing, kind };
    let labels = || Type::Category { labels: ["3", "b", "true"].map(str::to_owned).to_vec() };
    let builders = || {
        let of = |kind, can_be_missing| Builder::of(&variable(kind, can_be_missing), 256);
        vec![
            Builder::open("a".into()),
            Builder::of_words("a".into()),
            Builder::of_label(&crate::Label {
                name: Some("a".into()),
                column: 0,
                classes: vec!["a".into(), "b".into()],
            }),
            of(labels(), false),
            of(labels(), true),
            of(Type::Codes { levels: 4 }, false),
            of(Type::Codes { levels: 4 }, true),
            of(Type::Real, false),
        ]
    };
    let words =
        [Cell::Text(b"b"), Cell::Text(b"NA"), Cell::Text(b"3"), Cell::Bool(true), Cell::Missing];
    let wholes = [3_i64, 0, 200, 7, 256, -4, 1 << 53, (1 << 53) + 1, 7, 9];
    let floats = [1.0_f32, -0.0, 7.0, 0.5, f32::INFINITY, 2.0, f32::NAN, 3e30, 7.0];
    let rows = [&[0, 0, 3, 9, 0][..], &[2, 2, 0], &[1, 0, 1, 0], &[0, 2, 0, 2, 4, 3, 3, 1]];
    let missing = [&["NA"][..], &["NA", "7.0"]];
    for (rows, missing) in rows.into_iter().flat_map(|rows| missing.map(|missing| (rows, missing)))
    {
        let notation =
            Notation::new(&missing.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        for (mut one, mut all) in builders().into_iter().zip(builders()) {
            for _ in 0..2 {
                let places = rows.iter().map(|&row| Some(row).filter(|&row| row < words.len()));
                for place in places.clone() {
                    one.push(place.map_or(Cell::Missing, |place| words[place]), &notation);
                }
                all.push_coded(words.len(), |place| words[place], places, &notation);
                wholes.iter().for_each(|&whole| one.push(Cell::Whole(whole), &notation));
                all.push_wholes(&wholes, |whole| whole, &notation);
                floats.iter().for_each(|&float| one.push(Cell::Float(float.into()), &notation));
                all.push_floats(&floats, f64::from, &notation);
                assert_eq!(
                    format!("{:?}", (all.take(), &all.refused)),
                    format!("{:?}", (one.take(), &one.refused))
                );
            }
            let facts = |builder: Builder| {
                let known = builder
                    .facts()
                    .map(|(facts, dictionary)| (facts, dictionary.labels().to_vec()));
                format!("{known:?}")
            };
            assert_eq!(facts(all), facts(one));
        }
    }
}

/// Rows of some columns, in batches of these lengths, the values counting on from batch to batch.
fn counting(lengths: &[usize]) -> Vec<RecordBatch> {
    let mut start = 0;
    let of_length = |&length: &usize| {
        let rows = start..start + length as i64;
        start += length as i64;
        let keys = rows.clone().map(|row| (row % 5 != 1).then_some((row % 7) as i32));
        let keys = Int32Array::from_iter(keys);
        let words = StringArray::from_iter_values((0..7).map(|key| format!("word {key}")));
        let coded = DictionaryArray::<Int32Type>::new(keys, Arc::new(words));
        let words = coded.downcast_dict::<StringArray>().unwrap().into_iter();
        let words = StringArray::from_iter(words);
        batch(vec![
            ("count", Arc::new(Int64Array::from_iter_values(rows.clone()))),
            ("word", Arc::new(words)),
            (
                "third",
                Arc::new(Float64Array::from_iter(
                    rows.clone().map(|row| (row % 3 != 0).then_some(row as f64 / 4.0)),
                )),
            ),
            ("coded", Arc::new(coded)),
            ("even", Arc::new(BooleanArray::from_iter(rows.map(|row| Some(row % 2 == 0))))),
        ])
    };
    lengths.iter().map(of_length).collect()
}

#[test]
fn batches_of_any_length_are_read_in_pieces_of_any_length() {
    let saved = Saved::new();
    for way in WAYS {
        let bytes = way.write(&counting(&[1, 2, 10, 300, 7]));
        let expected =
            read_words(saved.open(way, &bytes).unwrap().as_mut(), 1000, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(expected[0].len(), 320);
        let count = |row: usize| Some(row.to_string());
        assert!((0..320).all(|row| expected[0][row] == count(row)));
        assert_eq!(expected[1], expected[3]);
        for most in [1, 3, 10, 11, 64, 319, 320, usize::MAX] {
            let mut source = saved.open(way, &bytes).unwrap();
            assert_eq!(read_words(source.as_mut(), most, &[0, 1, 2, 3, 4]).unwrap(), expected);
        }
        // In any selection.
        for wanted in [&[1][..], &[4, 2], &[3], &[0, 4]] {
            let mut source = saved.open(way, &bytes).unwrap();
            let found = read_words(source.as_mut(), 100, wanted).unwrap();
            let expected: Vec<_> = wanted.iter().map(|&column| expected[column].clone()).collect();
            assert_eq!(found, expected, "{way:?} {wanted:?}");
        }
    }
}

#[test]
fn a_stream_may_replace_its_dictionaries_or_add_to_them() {
    let words = |words: &[&'static str]| -> ArrayRef {
        Arc::new(words.iter().copied().collect::<DictionaryArray<Int8Type>>())
    };
    let batches = [&["a", "b"][..], &["a", "b", "c"], &["d", "a"]].map(words);
    let batches = batches.map(|array| batch(vec![("a", array)]));
    for handling in [DictionaryHandling::Resend, DictionaryHandling::Delta] {
        let options = IpcWriteOptions::default().with_dictionary_handling(handling);
        let mut stream =
            StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
        batches.iter().for_each(|batch| stream.write(batch).unwrap());
        let saved = Saved::new();
        let mut source = saved.open(Way::Stream, &stream.into_inner().unwrap()).unwrap();
        let found = read_words(source.as_mut(), 4, &[0]).unwrap();
        let expected = ["a", "b", "a", "b", "c", "d", "a"].map(|word| Some(word.to_owned()));
        assert_eq!(found, [expected]);
    }
}

#[test]
fn a_table_without_rows_has_columns() {
    let saved = Saved::new();
    for way in WAYS {
        for lengths in [&[0][..], &[0, 0]] {
            let mut source = saved.open(way, &way.write(&counting(lengths))).unwrap();
            assert_eq!(source.width(), 5);
            assert_eq!(read_words(source.as_mut(), 10, &[0, 3]).unwrap(), vec![vec![]; 2]);
        }
    }
}

/// Ways to write a Parquet file.
fn properties() -> Vec<(&'static str, WriterPropertiesBuilder)> {
    let plain = || WriterProperties::builder();
    let words =
        |of: Encoding| plain().set_dictionary_enabled(false).set_column_encoding("word".into(), of);
    let second = |of: WriterPropertiesBuilder| of.set_writer_version(WriterVersion::PARQUET_2_0);
    let gzip = Compression::GZIP(GzipLevel::default());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    vec![
        ("as it comes", plain()),
        ("snappy", plain().set_compression(Compression::SNAPPY)),
        ("gzip", plain().set_compression(gzip)),
        ("gzip, version 2", second(plain().set_compression(gzip))),
        ("zstd", plain().set_compression(zstd)),
        ("lz4", plain().set_compression(Compression::LZ4)),
        ("lz4 raw", plain().set_compression(Compression::LZ4_RAW)),
        ("no dictionary", plain().set_dictionary_enabled(false)),
        ("version 2", second(plain())),
        ("version 2, no dictionary", second(plain().set_dictionary_enabled(false))),
        ("small dictionary", plain().set_dictionary_page_size_limit(20).set_write_batch_size(8)),
        ("small pages", plain().set_data_page_row_count_limit(9).set_write_batch_size(3)),
        ("lengths", words(Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        ("lengths, version 2", second(words(Encoding::DELTA_LENGTH_BYTE_ARRAY))),
        ("differences", words(Encoding::DELTA_BYTE_ARRAY)),
        ("differences, zstd", words(Encoding::DELTA_BYTE_ARRAY).set_compression(zstd)),
    ]
}

#[test]
fn parquet_is_read_in_every_encoding() {
    let saved = Saved::new();
    let batches = counting(&[300, 1, 250]);
    let all = [0, 1, 2, 3, 4];
    let way = Way::Stream;
    let expected =
        read_words(saved.open(way, &way.write(&batches)).unwrap().as_mut(), 99, &all).unwrap();
    for (name, properties) in properties() {
        let bytes = parquet_of(&batches, properties);
        let mut source = saved.open(Way::Parquet, &bytes).unwrap();
        assert_eq!(read_words(source.as_mut(), 99, &all).unwrap(), expected, "{name}");
    }
}

#[test]
fn what_has_no_cells_is_refused_by_name_where_it_is_wanted() {
    let mut list = ListBuilder::new(UInt8Builder::new());
    list.append_value([Some(1), None]);
    list.append_value([]);
    let list: ArrayRef = Arc::new(list.finish());
    let number: ArrayRef = Arc::new(Int32Array::from(vec![3, 4]));
    let of_batch = batch(vec![("a", number.clone()), ("b", number.clone())]);
    let nested: ArrayRef = Arc::new(StructArray::from(of_batch));
    let batch = batch(vec![("list", list), ("nested", nested), ("number", number)]);
    let saved = Saved::new();
    for way in WAYS {
        let bytes = way.write(std::slice::from_ref(&batch));
        let mut source = saved.open(way, &bytes).unwrap();
        assert_eq!(source.width(), 3);
        assert_eq!(
            read_words(source.as_mut(), 9, &[2]).unwrap(),
            [[Some("3".into()), Some("4".into())]]
        );
        let mut source = saved.open(way, &bytes).unwrap();
        let error = read_words(source.as_mut(), 9, &[1, 2]).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::Unsupported));
        assert!(error.to_string().ends_with("found \"nested\" of type struct"), "{error}");
        assert!(error.hint().unwrap().contains("drop"));
        let error = read_words(saved.open(way, &bytes).unwrap().as_mut(), 9, &[0, 1]).unwrap_err();
        let expected = "found \"list\" of type list of uint8 and 1 more like it";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn what_is_no_such_file_is_named() {
    let saved = Saved::new();
    let parquet = Way::Parquet.write(&counting(&[3]));
    let file = Way::File(None).write(&counting(&[3]));
    let stream = Way::Stream.write(&counting(&[3]));
    let end = |bytes: &[u8], with: &[u8]| [&bytes[..bytes.len() - with.len()], with].concat();
    let any = Way::File(None);
    for (way, bytes, flaw, message) in [
        (Way::Parquet, b"PAR1".to_vec(), Flaw::Truncated, "12 bytes or more, found 4"),
        (
            Way::Parquet,
            b"a,b,c\n1,2,3\n".to_vec(),
            Flaw::WrongMagic,
            "byte 0: wrong magic: expected PAR1",
        ),
        (Way::Parquet, parquet[..parquet.len() - 1].to_vec(), Flaw::Truncated, "expected PAR1"),
        (Way::Parquet, end(&parquet, b"PARE"), Flaw::Unsupported, "found an encrypted one"),
        (
            Way::Parquet,
            end(&parquet, b"\xff\xff\xff\x7fPAR1"),
            Flaw::Truncated,
            "metadata of at most",
        ),
        (Way::Parquet, b"PAR1\0\0\0\0PAR1".to_vec(), Flaw::Corrupt, "a schema in the metadata"),
        (any, Vec::new(), Flaw::Empty, "no bytes"),
        (any, b"FEA1....".to_vec(), Flaw::Unsupported, "version 1"),
        (any, b"ARROW1\0\0".to_vec(), Flaw::Truncated, "a footer, found 8 bytes"),
        (any, b"a,b,c\n1,2,3\n".to_vec(), Flaw::Truncated, "bytes of a message"),
        (
            any,
            b"\xfe\xff\xff\xff....".to_vec(),
            Flaw::WrongMagic,
            "the length of a message, found -2",
        ),
        (any, file[..file.len() - 1].to_vec(), Flaw::Truncated, "expected ARROW1"),
        (any, end(&file, b"\xff\xff\xff\x7fARROW1"), Flaw::Truncated, "a footer of at most"),
        (any, stream[..100].to_vec(), Flaw::Truncated, "bytes of a message"),
    ] {
        let error = saved.open(way, &bytes).err().unwrap();
        assert_eq!(error.flaw(), Some(flaw), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let more = [&stream[..], b"more"].concat();
    let error = read_words(saved.open(any, &more).unwrap().as_mut(), 9, &[0]).unwrap_err();
    assert_eq!(error.flaw(), Some(Flaw::Oversized), "{error}");
    let folder = saved.folder.path();
    assert!(matches!(open_parquet(folder), Err(Error::Io { .. })));
    assert!(matches!(open_ipc(&folder.join("none")), Err(Error::Io { .. })));
}

#[test]
fn what_has_no_room_in_memory_is_refused_before_it_is_read() {
    let saved = Saved::new();
    let all = [0, 1, 2, 3, 4];
    for way in WAYS {
        let path = saved.save(&way.write(&counting(&[3000])));
        let read = |limit| {
            let opened = if way == Way::Parquet {
                parquet::open_within(&path, limit)
            } else {
                ipc::open_within(&path, limit)
            };
            opened.and_then(|mut source| read_words(source.as_mut(), 1000, &all))
        };
        assert_eq!(read(1 << 20).unwrap()[0].len(), 3000);
        let error = read(40_000).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge), "{error}");
        assert!(error.hint().unwrap().starts_with("save the table with"));
    }
    // Zeros, a thousand times as long as they are stored.
    let zeros = Arc::new(BinaryArray::from(vec![vec![0; 100_000].as_slice()]));
    let properties = WriterProperties::builder().set_dictionary_enabled(false);
    let gzip = properties.set_compression(Compression::GZIP(GzipLevel::default()));
    let mut bytes = parquet_of(&[batch(vec![("a", zeros)])], gzip);
    let path = saved.save(&bytes);
    let read = |path: &Path| {
        parquet::open_within(path, 110_000)
            .and_then(|mut source| read_words(source.as_mut(), 9, &[0]))
    };
    assert_eq!(read(&path).unwrap().len(), 1);
    // The header of the page states fewer bytes than it has, 100 instead of 100,000 or so: two bytes of the
    // number that comes second in it.
    assert_eq!(bytes[4..7], [0x15, 0x00, 0x15]);
    bytes[7] = 0x80 | 100;
    bytes[8] = 0x80;
    bytes[9] = 0;
    let error = read(&saved.save(&bytes)).unwrap_err();
    assert_eq!(error.flaw(), Some(Flaw::TooLarge), "{error}");
}

/// Where a sequence of bytes is first in others.
fn place_of(bytes: &[u8], sequence: &[u8]) -> usize {
    bytes.windows(sequence.len()).position(|window| window == sequence).unwrap()
}

#[test]
fn sizes_that_cannot_be_are_named() {
    let saved = Saved::new();
    let error = |way: Way, bytes: &[u8]| {
        let opened = saved.open(way, bytes);
        opened.and_then(|mut source| read_words(source.as_mut(), 9, &[0, 1])).err().unwrap()
    };
    // A dictionary of 3 numbers that says it has 63.
    let mut bytes = Way::Parquet.write(&counting(&[3]));
    let at = place_of(&bytes, &[0x15, 48, 0x15, 48, 0x4c, 0x15, 6]) + 6;
    bytes[at] = 63 << 1;
    let found = error(Way::Parquet, &bytes);
    assert_eq!(found.flaw(), Some(Flaw::Corrupt));
    let message =
        "byte 4: corrupt: expected at most 3 entries of a dictionary in column \"count\", found 63";
    assert!(found.to_string().ends_with(message), "{found}");

    // A buffer of 24,000 bytes that says it has more than there are anywhere, or fewer than none.
    let way = Way::File(Some(CompressionType::ZSTD));
    let bytes = way.write(&counting(&[3000]));
    let at = place_of(&bytes, &24_000_i64.to_le_bytes());
    for length in [1 << 60, -2] {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&i64::to_le_bytes(length));
        assert_eq!(error(way, &bytes).flaw(), Some(Flaw::TooLarge));
    }

    // A message whose body is longer than the file: the one after that of the schema, which has none.
    let mut bytes = Way::Stream.write(&counting(&[3000]));
    let start = 8 + u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
    let body = arrow_ipc::root_as_message(&bytes[start + 8..]).unwrap().bodyLength();
    let at = start + place_of(&bytes[start..], &body.to_le_bytes());
    bytes[at..at + 8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
    let found = error(Way::Stream, &bytes);
    assert_eq!(found.flaw(), Some(Flaw::Truncated), "{found}");

    // A number of rows that the bytes of a batch cannot be, which some decoders multiply without a look.
    let way = Way::File(None);
    let bytes = way.write(&counting(&[3001]));
    for rows in [1 << 61, 1 << 20, -1] {
        let mut bytes = bytes.clone();
        let mut start = 0;
        while let Some(at) =
            bytes[start..].windows(8).position(|bytes| bytes == 3001_i64.to_le_bytes())
        {
            start += at;
            bytes[start..start + 8].copy_from_slice(&i64::to_le_bytes(rows));
        }
        let found = error(way, &bytes);
        assert_eq!(found.flaw(), Some(Flaw::Corrupt), "{found}");
    }
}

/// What a broken file gives, which must be an answer.
fn survives(way: Way, path: &Path) -> Result<Vec<Vec<Option<String>>>> {
    let mut source = way.open(path)?;
    let wanted: Vec<usize> = (0..source.width().min(5)).collect();
    read_words(source.as_mut(), 50, &wanted)
}

#[test]
fn every_truncation_is_an_error() {
    let saved = Saved::new();
    for way in WAYS {
        let bytes = way.write(&counting(&[3, 40]));
        let path = saved.save(&bytes);
        let whole = survives(way, &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        for end in (0..bytes.len()).rev() {
            file.set_len(end as u64).unwrap();
            match survives(way, &path) {
                // A stream may end after any of its messages.
                Ok(part) if way == Way::Stream => {
                    assert!(part.iter().zip(&whole).all(|(part, whole)| whole.starts_with(part)));
                }
                Ok(_) => panic!("{way:?} of {end} bytes of {} is read", bytes.len()),
                Err(error) => assert!(error.flaw().is_some(), "{error}"),
            }
        }
    }
}

#[test]
fn flipped_bits_are_an_answer_and_no_panic() {
    const FLIPS: usize = 200;
    let saved = Saved::new();
    let mut random = rand::rngs::ChaCha8Rng::seed_from_u64(7);
    let batches = counting(&[3, 40]);
    let mut files: Vec<(Way, Vec<u8>)> = properties()
        .into_iter()
        .map(|(_, properties)| (Way::Parquet, parquet_of(&batches, properties)))
        .collect();
    files.extend(WAYS[1..].iter().map(|way| (*way, way.write(&batches))));
    for (way, bytes) in files {
        for _ in 0..FLIPS {
            let mut broken = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..broken.len());
                broken[at] ^= 1 << random.random_range(0..8);
            }
            let _ = survives(way, &saved.save(&broken));
            // Any byte, which is more often a large number.
            broken.clone_from(&bytes);
            let at = random.random_range(0..broken.len());
            let end = (at + random.random_range(1..9)).min(broken.len());
            random.fill_bytes(&mut broken[at..end]);
            let _ = survives(way, &saved.save(&broken));
        }
    }
}

#[test]
fn both_zeros_are_one_number_and_an_infinite_one_is_none() {
    let place = Saved::new();
    for way in WAYS {
        let values = [-0.0, 1.5, f64::INFINITY, -0.0, 0.25, 1.5];
        let ids: [i64; 6] = std::array::from_fn(|row| 9_007_199_254_740_993 + row as i64);
        let of = batch(vec![
            ("x", Arc::new(Float64Array::from(values.to_vec())) as ArrayRef),
            ("id", Arc::new(Int64Array::from(ids.to_vec()))),
        ]);
        let path = place.save(&way.write(&[of]));
        let (mut source, mut builders) = (way.open(&path).unwrap(), Vec::new());
        builders.extend(["x", "id"].map(|name| Some(Builder::open(name.to_owned()))));
        let mut sink = Sink::new(&path, builders, Notation::new(&[]));
        while source.read(10, &mut sink).unwrap() {}
        let taken = sink.take();
        let [Some(x), Some(id)] = &taken.parts[..] else { panic!() };
        let State::Numbers(numbers) = &x.values else { panic!("{x:?}") };
        assert_eq!((numbers[0].to_bits(), numbers[3].to_bits()), (0, 0));
        assert_eq!(x.words, [(2, "inf".to_owned())]);
        // Every second one is no double.
        let words: Vec<&str> = id.words.iter().map(|(_, word)| word.as_str()).collect();
        let codes = matches!(&id.values, State::Codes(values) if values == &[0, 1, 2, 3, 4, 5]);
        assert!(codes || words.len() == 3, "{id:?}");
    }
}
