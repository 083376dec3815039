//! Each reader of tables and images on valid files that are damaged at random: it may refuse, it must not
//! panic. Some thousand each time, and a million of each with
//!
//! ```sh
//! CHAINRULE_FUZZ=1000000 cargo test --release --package ar-data --all-features --test fuzz -- --nocapture
//! ```

use ar_data::{Encoding, ReadOptions, Table, TableOptions, read_bytes};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use std::env;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        ("a-ubyte", [vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2], vec![1; 4]].concat()),
        ("a.bin", vec![3; 3073]),
    ]
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

fn look_at(name: &str, bytes: Vec<u8>) -> bool {
    let options = TableOptions { max_bytes: Some(LIMIT), ..TableOptions::default() };
    let mut is_read = false;
    if let Ok(table) = Table::of_bytes(Path::new(name), bytes.clone(), &options)
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
    let options = ReadOptions { max_bytes: Some(LIMIT), ..ReadOptions::default() };
    is_read | read_bytes(Path::new(name), bytes, &options).is_ok()
}

#[test]
#[expect(clippy::print_stderr, reason = "how many there were is what a long run is for")]
fn damaged_files_are_refused_or_read() {
    let inputs = env::var("CHAINRULE_FUZZ").ok().and_then(|count| count.parse().ok());
    let inputs: u64 = inputs.unwrap_or(2000);
    for (k, (name, valid)) in seeds().into_iter().enumerate() {
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
}
