//! How much memory a hostile file can take: measured, not argued.
//!
//! This file holds one test, since the high-water mark belongs to the whole process.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod high_water;

use ar_data::{Flaw, ReadOptions, read_bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use high_water::high_water;
use std::io::Write;
use std::path::Path;

const MIB: u64 = 1 << 20;

fn gzip(blocks: usize, block: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..blocks {
        encoder.write_all(block).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_small_file_takes_little_memory_whatever_it_claims() {
    let Some(before) = high_water() else {
        eprintln!("skipped: this system does not report its high-water mark");
        return;
    };
    let limit = 4 * MIB;
    // 256 MiB in about 1 MiB, after a header of its own: gzip streams can be joined.
    let bomb = |head: &[u8], byte: u8| [gzip(1, head), gzip(256, &vec![byte; 1 << 20])].concat();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (268435456, 1), }\n";
    let npy = [b"\x93NUMPY\x01\0", &[header.len() as u8, 0][..], header.as_bytes()].concat();
    let idx = [0, 0, 8, 2, 16, 0, 0, 0, 0, 0, 0, 1];
    let mut claims = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\x40\0\x08\0\0\0\0".to_vec();
    claims.extend([0x3d, 0x9d, 0x0d, 0x3c]);
    let options = ReadOptions { max_bytes: Some(limit), ..ReadOptions::default() };
    let open = ReadOptions::default();
    for (name, bytes, options, flaws) in [
        ("line.csv", bomb(b"", b'0'), &options, &[Flaw::TooLarge][..]),
        ("rows.csv", bomb(b"1\n", b'\n'), &options, &[Flaw::TooLarge]),
        ("quote.csv", bomb(b"1,\"", b'1'), &options, &[Flaw::TooLarge]),
        ("line.amat", bomb(b"0 1\n", b' '), &options, &[Flaw::TooLarge]),
        ("a.npy", bomb(&npy, 0), &options, &[Flaw::TooLarge]),
        ("a-ubyte", bomb(&idx, 0), &options, &[Flaw::TooLarge]),
        ("a.bin", bomb(b"", 0), &options, &[Flaw::TooLarge]),
        ("a.png", bomb(b"\x89PNG\r\n\x1a\n", 0), &options, &[Flaw::TooLarge]),
        // Under the default limit of 1 GiB, headers that claim 256 MiB and bring nothing.
        ("a-ubyte", idx.to_vec(), &open, &[Flaw::Truncated]),
        ("a-ubyte", gzip(1, &idx), &open, &[Flaw::Truncated]),
        ("a.npy", npy.clone(), &open, &[Flaw::Truncated]),
        ("a.npy", gzip(1, &npy), &open, &[Flaw::Truncated]),
        ("a.png", claims, &open, &[Flaw::Truncated, Flaw::Corrupt]),
    ] {
        let error = read_bytes(Path::new(name), bytes, options).unwrap_err();
        assert!(error.flaw().is_some_and(|flaw| flaws.contains(&flaw)), "{error}");
    }
    let taken = high_water().unwrap() - before;
    assert!(taken < 64 * MIB, "{} MiB", taken / MIB);
}
