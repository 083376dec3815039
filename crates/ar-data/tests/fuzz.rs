//! Each reader of tables and images on valid files that are damaged at random: it may refuse, it must not
//! panic. Some thousand each time, and a million of each with
//!
//! ```sh
//! CHAINRULE_FUZZ=1000000 cargo test --release --package ar-data --all-features --test fuzz -- --nocapture
//! ```
//!
//! of one reader alone with the name of its file in `CHAINRULE_FUZZ_FILE`.

use ar_data::{Encoding, ReadOptions, Table, TableOptions, read_bytes, read_path};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::env;
use std::fs::File;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

/// Content that a reader may take: more than any of the files holds, and little.
const LIMIT: u64 = 1 << 16;

fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n");
    let head = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..]].concat();
    [head, text.into_bytes(), data.to_vec()].concat()
}

/// Two examples of two values.
fn idx(element: u8, data: Vec<u8>) -> Vec<u8> {
    [vec![0, 0, element, 2, 0, 0, 0, 2, 0, 0, 0, 2], data].concat()
}

fn npz() -> Vec<u8> {
    let mut file = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, array) in [
        ("X.npy", npy("<f8", "False", "2, 3", &[0; 48])),
        ("y.npy", npy("<i8", "False", "2,", &[0; 16])),
    ] {
        file.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        file.write_all(&array).unwrap();
    }
    file.finish().unwrap().into_inner()
}

fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&[255; 32]).unwrap();
    bytes
}

/// Valid files of each reader.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let utf16: Vec<u8> = "a;b\n1,5;ü\n"
        .encode_utf16()
        .fold(vec![0xff, 0xfe], |bytes, unit| [bytes, unit.to_le_bytes().to_vec()].concat());
    vec![
        ("a.csv", b"id,x,word\n1,0.5,red\n2,?,\"b, \"\"c\"\"\"\n3,-1e3,\n".to_vec()),
        ("b.csv", b"# made by\n# a;b;c\n1,5;2;NA\n2,25;3;x\n".to_vec()),
        ("c.tsv", b"a\tb c\n1\t\n\t2\n".to_vec()),
        ("d.txt", b"\"a\" \"b\"\n\"1\" 0.5 1\n\"2\" 7 TRUE\n".to_vec()),
        ("e.csv", utf16),
        ("f.csv", b"sep=|\r\n0|1|2\r\n1|0|1\r\n0|0|1\r\n".to_vec()),
        ("a.npy", npy("<f8", "True", "2, 3", &[1; 48])),
        ("b.npy", npy("<U2", "False", "2, 2", &[65, 0, 0, 0].repeat(8))),
        ("c.npy", npy(">f2", "False", "2, 2, 2", &[0x3c; 16])),
        ("d.npy", npy("<f16", "False", "1, 1", &[0x3f; 16])),
        ("a.npz", npz()),
        ("a.png", png()),
        ("a-ubyte", idx(8, vec![1; 4])),
        ("a.bin", vec![3; 3073]),
        ("b-ubyte", idx(0x0b, [0, 3, 1, 44].repeat(2))),
        ("c-ubyte", idx(0x0d, [0x3f, 0x80, 0, 0].repeat(4))),
        #[cfg(feature = "arrow")]
        ("a.parquet", packed::parquet()),
        #[cfg(feature = "arrow")]
        ("a.arrow", packed::ipc(None)),
        #[cfg(feature = "arrow")]
        ("b.arrow", packed::ipc(Some(arrow_ipc::CompressionType::LZ4_FRAME))),
        #[cfg(feature = "arrow")]
        ("a.arrows", packed::stream()),
    ]
}

/// Tables that are read from files alone.
#[cfg(feature = "arrow")]
mod packed {
    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int16Array, RecordBatch, StringArray,
    };
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let whole: ArrayRef = Arc::new(Int16Array::from(vec![Some(3), None, Some(-7), Some(300)]));
        let real: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1e9, -0.25, 2.0]));
        let word: ArrayRef =
            Arc::new(StringArray::from(vec![Some("red"), Some(""), None, Some("blue")]));
        let bit: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, true]));
        let code: ArrayRef =
            Arc::new(["a", "b", "a", "a"].into_iter().collect::<DictionaryArray<Int32Type>>());
        let columns =
            [("whole", whole), ("real", real), ("word", word), ("bit", bit), ("code", code)];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Two row groups.
    pub(crate) fn parquet() -> Vec<u8> {
        let batch = batch();
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        for rows in [0..3, 3..4] {
            writer.write(&batch.slice(rows.start, rows.len())).unwrap();
            writer.flush().unwrap();
        }
        writer.into_inner().unwrap()
    }

    pub(crate) fn ipc(compression: Option<CompressionType>) -> Vec<u8> {
        let batch = batch();
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut writer =
            FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    pub(crate) fn stream() -> Vec<u8> {
        let batch = batch();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }
}

/// Changes a file here and there.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    const TELLING: &[u8] = b"0,;\t\"\n\r.-+eE#|'()[]{}:\\ \0\xff\x80\xfeNa";
    for _ in 0..rng.random_range(1..6_u32) {
        let at = rng.random_range(0..bytes.len() as u64 + 1) as usize;
        match rng.random_range(0..7_u32) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8_u32),
            2 if at < bytes.len() => bytes[at] = rng.random::<u8>(),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.insert(at, TELLING[rng.random_range(0..TELLING.len() as u64) as usize]),
            5 if at < bytes.len() => {
                let part = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.extend(part);
            }
            _ if at < bytes.len() => {
                bytes[at] = [0, 1, 0x7f, 0xff][rng.random_range(0..4_u64) as usize]
            }
            _ => {}
        }
    }
}

/// Where files lie that are read from files alone: in memory where the system has such a folder.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Writes a file over the last one, which some systems do sooner than to empty it first.
fn save(path: &Path, bytes: &[u8]) {
    let mut file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

fn look_at(folder: &Path, name: &str, bytes: Vec<u8>) -> bool {
    let options = TableOptions { max_bytes: Some(LIMIT), ..TableOptions::default() };
    let of_values = ReadOptions { max_bytes: Some(LIMIT), ..ReadOptions::default() };
    let mut is_read = false;
    let is_packed = name.ends_with(".parquet") || name.contains(".arrow");
    let table = if is_packed {
        let path = folder.join(name);
        save(&path, &bytes);
        is_read |= read_path(&path, &of_values).is_ok();
        Table::read(&path, &options)
    } else {
        Table::of_bytes(Path::new(name), bytes.clone(), &options)
    };
    if let Ok(table) = table
        && let Ok(schema) = table.infer(None)
    {
        is_read = true;
        assert_eq!(table.profile(&schema).len(), schema.variables.len());
        let encoding = schema.symbols().or_else(|| schema.reals()).unwrap_or(Encoding::Reals);
        if schema.check(Path::new(name), encoding).is_ok() {
            let rows = table.len();
            let (data, bad) = table.dataset(&schema, encoding).unwrap();
            assert!(data.len() <= rows && rows <= data.len() + bad.len());
        }
    }
    is_read | read_bytes(Path::new(name), bytes, &of_values).is_ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "how many there were is what a long run is for")]
fn damaged_files_are_refused_or_read() {
    let inputs = env::var("CHAINRULE_FUZZ").ok().and_then(|count| count.parse().ok());
    let inputs: u64 = inputs.unwrap_or(2000);
    let (only, mut files) = (env::var("CHAINRULE_FUZZ_FILE").ok(), 0);
    let folder = folder();
    let look_at = |name: &str, bytes| look_at(folder.path(), name, bytes);
    // Those that become errors are too many to be told of.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !ar_data::panics::is_expected() {
            report(panic);
        }
    }));
    for (k, (name, valid)) in seeds().into_iter().enumerate() {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        files += 1;
        assert!(look_at(name, valid.clone()), "{name} as it is");
        let (start, mut are_read) = (Instant::now(), 0);
        let mut rng = ChaCha8Rng::seed_from_u64(k as u64);
        for input in 0..inputs {
            let mut bytes = valid.clone();
            damage(&mut bytes, &mut rng);
            let copy = bytes.clone();
            match catch_unwind(AssertUnwindSafe(|| look_at(name, bytes))) {
                Ok(is_read) => are_read += u64::from(is_read),
                Err(_) => panic!("{name}, input {input}: {:?}", String::from_utf8_lossy(&copy)),
            }
        }
        assert!(are_read > 0 && are_read < inputs, "{name}: {are_read} of {inputs} are read");
        eprintln!("{name}: {inputs} inputs, {are_read} of them read, {:.0?}", start.elapsed());
    }
    assert!(files > 0, "no file is called {only:?}");
}
