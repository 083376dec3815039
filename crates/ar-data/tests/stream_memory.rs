//! How much memory a long file takes when it is read in chunks: measured, not argued.
//!
//! This file holds one test, since the high-water mark belongs to the whole process.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod high_water;

use ar_data::{Chunks, Kind, ReadOptions};
use flate2::Compression;
use flate2::write::GzEncoder;
use high_water::high_water;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const MIB: u64 = 1 << 20;

/// Writes 64 lines of 512 values, every tenth one of them too short, `times` times.
fn lines(mut to: impl Write, times: usize) -> std::io::Result<()> {
    let line = |k: usize| vec!["1"; if k.is_multiple_of(10) { 511 } else { 512 }].join(",") + "\n";
    let block: String = (0..64).map(line).collect();
    (0..times).try_for_each(|_| to.write_all(block.as_bytes()))?;
    to.flush()
}

#[test]
fn a_file_in_chunks_takes_the_memory_of_a_chunk() {
    let Some(before) = high_water() else {
        eprintln!("skipped: this system does not report its high-water mark");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let create = |name: &str| BufWriter::new(File::create(path(name)).unwrap());
    // 64 KiB a block.
    lines(create("long.csv"), 1024).unwrap();
    lines(GzEncoder::new(create("long.csv.gz"), Compression::fast()), 1024).unwrap();
    // An array of zeros that takes no room on the disk: 96 MiB, past its header.
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (196608, 512), }\n";
    let mut npy = create("long.npy");
    npy.write_all(&[b"\x93NUMPY\x01\0", &[header.len() as u8, 0][..], header.as_bytes()].concat())
        .unwrap();
    let npy = npy.into_inner().unwrap();
    npy.set_len(10 + header.len() as u64 + 96 * MIB).unwrap();

    let options = ReadOptions {
        kind: Some(Kind::Binary),
        shape: Some(vec![512]),
        // A limit on whole files does not hold for files in chunks.
        max_bytes: Some(MIB),
        ..ReadOptions::default()
    };
    let read = |path: &Path| {
        let (mut good, mut bad) = (0, 0);
        for chunk in Chunks::open(path, &options, 1000).unwrap() {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.data.len() + chunk.bad.len(), chunk.rows.clone().count());
            good += chunk.data.len();
            bad += chunk.bad.len();
        }
        (good, bad)
    };
    assert_eq!(read(&path("long.csv")), (57 * 1024, 7 * 1024));
    assert_eq!(read(&path("long.csv.gz")), (57 * 1024, 7 * 1024));
    assert_eq!(read(&path("long.npy")), (196_608, 0));
    let taken = high_water().unwrap() - before;
    assert!(taken < 24 * MIB, "{} MiB", taken / MIB);
}
