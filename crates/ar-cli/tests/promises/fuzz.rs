//! Files that nobody wrote for it: a reader may refuse them, and does nothing else. Not even a wrong
//! answer: what it takes is within what it promises.
//!
//! The config is fuzzed where it is private, in `src/config/fuzz.rs`.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ar_data::{Chunks, Kind, ReadOptions, Values, read_bytes};
use ar_models::Isa;
use ar_models::codec::{Codec, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::train::{Checkpoints, Run, TrainConfig, train};
use burn::tensor::Device;
use sha2::{Digest as _, Sha256};

use crate::effort;
use crate::mutate::{Random, mutated};

/// Inputs of each target, at usual effort.
const INPUTS: u64 = 2000;

/// Feeds mutations of `seeds` to a target, and says how many of them it took.
#[expect(clippy::print_stdout, reason = "how many inputs were tried is a part of the result")]
fn fuzz(name: &str, seeds: &[Vec<u8>], mut target: impl FnMut(&[u8], &mut Random) -> bool) {
    let count = INPUTS * effort();
    let mut taken = 0;
    for k in 0..count {
        let mut random = Random::new(k);
        let input = mutated(seeds, &mut random);
        let ended = catch_unwind(AssertUnwindSafe(|| target(&input, &mut random)));
        match ended {
            Ok(is_taken) => taken += u64::from(is_taken),
            Err(_) => {
                panic!("{name}: input {k} ended in a panic: {:?}", String::from_utf8_lossy(&input))
            }
        }
    }
    println!("{name}: {count} inputs, {taken} taken, {} refused", count - taken);
    assert!(taken > 0 && taken < count, "{name}: {taken} of {count} taken");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let head = [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..]].concat();
    [head, text.into_bytes(), data.to_vec()].concat()
}

fn png(color: png::ColorType, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

/// Valid files of a format, and a name of it.
fn of_format(name: &str) -> Vec<Vec<u8>> {
    let plain = match name {
        "a.csv" => vec![
            b"a,b,c\n1,0,1\n0.5,2,-3e2\n".to_vec(),
            b"0,1\n1,1\n".to_vec(),
            b"\"x, y\";z\n1;2\n3;4\n".to_vec(),
            b"a b c\n1 2 3\n".to_vec(),
        ],
        "a.npy" => vec![
            npy("<f4", "2, 3", &[0; 24]),
            npy("|u1", "3, 2", &[1; 6]),
            npy("<i8", "2,", &[0; 16]),
        ],
        "a.png" => {
            vec![png(png::ColorType::Rgb, &[200; 24]), png(png::ColorType::Grayscale, &[7; 8])]
        }
        "a.bin" => vec![vec![3; 3073]],
        _ => vec![
            [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[1, 2, 3, 4, 5, 6, 7, 255]]
                .concat(),
            [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[1, 2, 3]].concat(),
        ],
    };
    let zipped: Vec<Vec<u8>> = plain.iter().map(|bytes| gzip(bytes)).collect();
    [plain, zipped].concat()
}

/// What a reader promises of what it returns.
fn check(values: &Values) {
    match values {
        Values::Symbols { data, levels } => {
            assert!(data.iter().all(|&value| u16::from(value) < *levels));
        }
        Values::Reals { data } => assert!(data.iter().all(|value| value.is_finite())),
        Values::Columns { .. } => panic!("columns without a schema"),
    }
}

#[test]
fn readers_of_data_take_what_is_valid_and_refuse_the_rest() {
    let small = ReadOptions { max_bytes: Some(1 << 16), ..ReadOptions::default() };
    for name in ["a.csv", "a.npy", "a.png", "a.bin", "a-idx3-ubyte"] {
        fuzz(&format!("reader of {name}"), &of_format(name), |input, random| {
            let kind = [None, Some(Kind::Binary), Some(Kind::Symbols), Some(Kind::Real)];
            let kind = kind[random.below(4) as usize];
            let options = ReadOptions { kind, ..small.clone() };
            match read_bytes(Path::new(name), input.to_vec(), &options) {
                Ok(data) => {
                    check(data.values());
                    true
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    false
                }
            }
        });
    }
}

#[test]
fn readers_of_chunks_go_on_after_bad_rows() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = ReadOptions { kind: Some(Kind::Symbols), levels: Some(256), ..Default::default() };
    for (name, width) in [("a.csv", 3), ("a.npy", 3), ("a.bin", 3072), ("a-idx3-ubyte", 4)] {
        let path = folder.path().join(name);
        fuzz(&format!("chunks of {name}"), &of_format(name), |input, _| {
            std::fs::write(&path, input).unwrap();
            let options = ReadOptions { shape: Some(vec![width]), ..bytes.clone() };
            let Ok(chunks) = Chunks::open(&path, &options, 2) else { return false };
            let (mut next, mut good) = (0, 0);
            for chunk in chunks {
                let Ok(chunk) = chunk else { break };
                check(chunk.data.values());
                assert_eq!(chunk.rows.start, next);
                next = chunk.rows.end;
                good += chunk.data.len();
                let rows = (chunk.rows.end - chunk.rows.start) as usize;
                assert_eq!(chunk.data.len() + chunk.bad.len(), rows);
            }
            good > 0
        });
    }
}

fn model_config(kind: &str) -> ModelConfig {
    let text = match kind {
        "nade" => r#"{"kind": "nade", "hidden": 3, "init_scale": 0.1}"#,
        "made" => r#"{"kind": "made", "hidden": [5]}"#,
        _ => r#"{"kind": "markov", "order": 1}"#,
    };
    serde_json::from_str(text).unwrap()
}

fn event() -> EventSpec {
    EventSpec::symbols(vec![4], 2)
}

fn examples() -> InMemory {
    InMemory::new((0..80).map(|k| u8::from(k % 3 == 0)).collect(), 4)
}

/// The file with the digest that suits it, where it has one: what a forger would write.
fn forged(mut file: Vec<u8>) -> Vec<u8> {
    const BEFORE: &[u8] = b"sha256\\\":\\\"";
    let found = file.windows(BEFORE.len()).position(|window| window == BEFORE);
    let Some(at) = found.map(|found| found + BEFORE.len()).filter(|at| at + 64 <= file.len())
    else {
        return file;
    };
    file[at..at + 64].fill(b'0');
    let digest = Sha256::digest(&file);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    file[at..at + 64].copy_from_slice(digest.as_bytes());
    file
}

#[test]
fn models_are_loaded_as_they_were_stored_or_not_at_all() {
    let device = Device::default();
    for kind in ["nade", "made", "markov"] {
        let (config, event) = (model_config(kind), event());
        let model = match kind {
            "markov" => Model::fit(&config, &event, &examples()).unwrap(),
            _ => Model::init(&config, &event, &examples(), 1, &device).unwrap(),
        };
        let file = model.to_bytes().unwrap();
        let all: Vec<u8> = (0..64).map(|k| k >> (k % 4) & 1).collect();
        let expected = model.log_prob(&all[..]);
        fuzz(&format!("model of kind {kind}"), &[file], |input, random| {
            let is_forged = random.below(2) == 0;
            let input = if is_forged { forged(input.to_vec()) } else { input.to_vec() };
            let Ok(model) = Model::from_bytes(&config, &event, &input, &device) else {
                return false;
            };
            let found = model.log_prob(&all[..]);
            // A forger may choose the weights, but they are weights.
            assert!(found.iter().all(|log_prob| *log_prob <= 1e-6), "{found:?}");
            assert!(is_forged || found == expected, "altered weights were taken");
            true
        });
    }
}

#[test]
fn checkpoints_are_continued_as_they_were_written_or_not_at_all() {
    let (model, event, examples) = (model_config("nade"), event(), examples());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let device = Device::default();
    let mut config = TrainConfig::epochs(2);
    config.batch_size = 10;
    let run = Run {
        model: &model,
        event: &event,
        config: &config,
        seed: 1,
        device: &device,
        train: &examples,
        valid: Some(&examples),
        checkpoint: Some(Checkpoints::at(&path).resume()),
    };
    let expected = train(&run, &mut ()).unwrap().model.to_bytes().unwrap();
    let file = std::fs::read(&path).unwrap();
    fuzz("checkpoint", &[file], |input, random| {
        let is_forged = random.below(2) == 0;
        std::fs::write(&path, if is_forged { forged(input.to_vec()) } else { input.to_vec() })
            .unwrap();
        let Ok(trained) = train(&run, &mut ()) else { return false };
        assert!(is_forged || trained.model.to_bytes().unwrap() == expected, "altered, and taken");
        true
    });
}

#[test]
fn compressed_files_come_back_as_they_were_or_not_at_all() {
    let (config, event, data) = (model_config("nade"), event(), examples());
    let model = Model::init(&config, &event, &data, 1, &Device::default()).unwrap();
    let codec = Codec::new(&model, &config, &event).unwrap();
    let compress = |isa| codec.compress(&data, Source::Unchanged, isa, &mut |_| ()).unwrap();
    let seeds = [compress(Isa::Portable), compress(Isa::detect())];
    let values = codec.decompress(&seeds[0], &mut |_| ()).unwrap();
    fuzz("compressed file", &seeds, |input, _| match codec.decompress(input, &mut |_| ()) {
        Ok(found) => {
            assert!(found == values, "another answer");
            true
        }
        Err(_) => false,
    });
}
