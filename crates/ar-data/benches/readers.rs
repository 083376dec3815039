//! How long does reading a table take, as text and as Parquet?
//!
//! Each file is read in two ways: as a whole, of which nothing is known before, and a chunk at a time by a
//! schema. The baseline is pyarrow on one thread, which reads the same files:
//!
//! ```text
//! cargo bench -p ar-data --features arrow --bench readers   # writes the CSVs
//! python benches/readers_pyarrow.py                         # times pyarrow, and writes the Parquet files
//! cargo bench -p ar-data --features arrow --bench readers   # times both formats
//! ```
//!
//! The files stay in the folder that `CHAINRULE_READERS` names, else in `chainrule-readers` among the temporary
//! files. `CHAINRULE_READERS_ROWS` says how many rows the table of bits has, 20,000 unless stated; 200,000 are the
//! size of a claim. The table of many kinds has five times as many.

use ar_data::{Chunks, Encoding, Match, Reading, Schema, Table, TableOptions};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bits of a row of the first table.
const DIM: usize = 784;

/// Fraction of ones, about that of binarized MNIST.
const ONES: f64 = 0.13;

/// Rows of a chunk, the same as in `readers_pyarrow.py`.
const CHUNK: usize = 4096;

/// Rows from which the schema of the table of many kinds is inferred.
const FIRST: usize = 10_000;

/// A table in a folder.
struct Sample {
    name: &'static str,
    rows: usize,
    csv: PathBuf,
}

impl Sample {
    /// The table, written unless it is there.
    fn new(
        name: &'static str,
        rows: usize,
        write: fn(usize, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let folder = match std::env::var_os("CHAINRULE_READERS") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::temp_dir().join("chainrule-readers"),
        };
        fs::create_dir_all(&folder)?;
        let csv = folder.join(format!("{name}-{rows}.csv"));
        if !csv.exists() {
            // What is there under its name is whole.
            let partial = csv.with_extension("partial");
            let mut to = BufWriter::new(File::create(&partial)?);
            write(rows, &mut to)?;
            to.flush()?;
            fs::rename(&partial, &csv)?;
        }
        Ok(Self { name, rows, csv })
    }

    /// Its files: text, and Parquet where `readers_pyarrow.py` has written it and it can be read.
    fn files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let parquet = self.csv.with_extension("parquet");
        let is_there = cfg!(feature = "arrow") && parquet.exists();
        let csv = ("csv", self.csv.clone());
        [csv].into_iter().chain(is_there.then_some(("parquet", parquet)))
    }
}

/// Bits without a header, as binarized MNIST comes.
fn write_bits(rows: usize, to: &mut dyn Write) -> io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut line = [b','; 2 * DIM];
    line[2 * DIM - 1] = b'\n';
    for _ in 0..rows {
        for cell in line.iter_mut().step_by(2) {
            *cell = if rng.random::<f64>() < ONES { b'1' } else { b'0' };
        }
        to.write_all(&line)?;
    }
    Ok(())
}

/// Integers, decimals, floats, words, bits and a date under a header.
fn write_mixed(rows: usize, to: &mut dyn Write) -> io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let names = "i0,i1,i2,i3,i4,d0,d1,d2,d3,d4,f0,f1,f2,f3,w0,w1,w2,b0,b1,date";
    writeln!(to, "{names}")?;
    for _ in 0..rows {
        for (least, most) in [(0, 99), (0, 999), (-500, 500), (0, 999_999), (0, 999_999_999)] {
            write!(to, "{},", rng.random_range(least..=most))?;
        }
        for most in [100, 1000, 10_000, 100_000, 1_000_000] {
            let hundredths: u32 = rng.random_range(0..most);
            write!(to, "{}.{:02},", hundredths / 100, hundredths % 100)?;
        }
        for scale in [1.0, 1.0, 1e3, 1e-3] {
            write!(to, "{},", scale * normal(&mut rng))?;
        }
        for labels in [3, 20, 200] {
            write!(to, "label {},", rng.random_range(0..labels))?;
        }
        for ones in [0.5, ONES] {
            write!(to, "{},", u8::from(rng.random::<f64>() < ones))?;
        }
        // Of no calendar, so that no reader takes them for anything but words.
        let day = rng.random_range(0..365);
        writeln!(to, "2025-{:02}-{:02}", day / 31 + 1, day % 31 + 1)?;
    }
    Ok(())
}

/// About a normal draw, with all its digits.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// All columns as bits.
fn bits_as(_: &Path) -> Reading {
    let encoding = Encoding::Symbols { levels: 2 };
    reading(Schema::positions(DIM, encoding), encoding)
}

/// The columns that are numbers, as real numbers: there is no encoding of numbers and words together.
fn mixed_as(path: &Path) -> Reading {
    let options = TableOptions { rows: Some(FIRST), ..TableOptions::default() };
    let table = Table::read(path, &options).expect("the file is a table");
    let mut schema = table.infer(None).expect("its columns have types");
    schema.variables.retain(|variable| variable.kind.is_numeric());
    reading(schema, Encoding::Reals)
}

fn reading(schema: Schema, encoding: Encoding) -> Reading {
    Reading {
        shape: vec![schema.variables.len()],
        schema,
        encoding,
        is_binary: matches!(encoding, Encoding::Symbols { levels: 2 }),
        how: Match::default(),
        table: TableOptions::default(),
    }
}

/// Reads a whole file of which nothing is known.
fn whole(path: &Path, rows: usize) -> Schema {
    let table = Table::read(path, &TableOptions::default()).expect("the file is a table");
    assert_eq!((table.len(), table.bad_rows().len()), (rows, 0));
    table.infer(None).expect("its columns have types")
}

/// Reads a file by a schema.
fn chunks(path: &Path, reading: &Reading, rows: usize) {
    let mut read = 0;
    for chunk in Chunks::open_as(path, reading, CHUNK).expect("the file suits the schema") {
        let chunk = black_box(chunk).expect("the file is whole");
        assert!(chunk.bad.is_empty(), "{:?}", chunk.bad[0]);
        read += chunk.data.len();
    }
    assert_eq!(read, rows);
}

fn readers(criterion: &mut Criterion) {
    let rows = std::env::var("CHAINRULE_READERS_ROWS")
        .map_or(20_000, |rows| rows.parse().expect("CHAINRULE_READERS_ROWS is a number of rows"));
    let samples = [
        (Sample::new("bits", rows, write_bits), bits_as as fn(&Path) -> Reading),
        (Sample::new("mixed", 5 * rows, write_mixed), mixed_as),
    ];
    for (sample, reading) in samples {
        let sample = sample.expect("the folder can be written to");
        let mut group = criterion.benchmark_group(format!("readers_{}", sample.name));
        group.sample_size(10).warm_up_time(Duration::from_secs(1));
        group.sampling_mode(SamplingMode::Flat);
        for (format, path) in sample.files() {
            let bytes = fs::metadata(&path).expect("the file is there").len();
            group.throughput(Throughput::ElementsAndBytes { elements: sample.rows as u64, bytes });
            group.bench_function(format!("{format} whole"), |bencher| {
                bencher.iter(|| whole(&path, sample.rows));
            });
            group.bench_function(format!("{format} chunks"), |bencher| {
                let reading = reading(&path);
                bencher.iter(|| chunks(&path, &reading, sample.rows));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, readers);
criterion_main!(benches);
