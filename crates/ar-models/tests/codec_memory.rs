//! How much memory a hostile compressed file can take: measured, not argued.
//!
//! This file holds one test, since the high-water mark belongs to the whole process.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;

use ar_models::Isa;
use ar_models::codec::{Codec, Fault, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use burn::tensor::Device;
use sha2::{Digest as _, Sha256};

/// The largest resident size of this process so far, in bytes.
fn high_water() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A file whose digests are right, whatever it claims: `start` is a file's first 15 bytes, for 2 levels.
fn claim(start: &[u8], axes: &[u64], events: u64, together: u64, streams: &[[u64; 2]]) -> Vec<u8> {
    let payload = vec![0x5a; 16];
    let mut file = start.to_vec();
    let numbers = [&[2, axes.len() as u64], axes, &[events, together, streams.len() as u64]];
    let numbers = numbers.concat().into_iter().chain(streams.iter().flatten().copied());
    file.extend(numbers.flat_map(varint));
    file.extend([0; 16]);
    file.extend(&Sha256::digest(&payload)[..8]);
    let own = Sha256::digest(&file);
    file.extend(&own[..4]);
    file.extend(payload);
    file
}

#[test]
fn a_small_file_takes_little_memory_whatever_it_claims() {
    let config: ModelConfig =
        serde_json::from_str(r#"{"kind": "nade", "hidden": 64, "init_scale": 0.1}"#).unwrap();
    let event = EventSpec::symbols(vec![28, 28], 2);
    let data = InMemory::new((0..784 * 9).map(|k| u8::from(k % 5 == 0)).collect(), 784);
    let model = Model::init(&config, &event, &data, 1, &Device::default()).unwrap();
    let codec = Codec::new(&model, &config, &event).unwrap();
    let file = codec.compress(&data, Source::Unchanged, Isa::detect(), &mut |_| ()).unwrap();
    assert!(codec.decompress(&file, &mut |_| ()).is_ok());
    // The test's own file is understood as far as the walk.
    let honest = claim(&file[..15], &[28, 28], 9, 64, &[[9, 16]]);
    let fault = codec.decompress(&honest, &mut |_| ()).unwrap_err();
    assert!(matches!(fault, Fault::OtherContent { .. }), "{fault}");

    let Some(before) = high_water() else {
        eprintln!("skipped: this system does not report its high-water mark");
        return;
    };
    let most = (1 << 31) / 784;
    for (name, file) in [
        ("2 GiB of events", claim(&file[..15], &[28, 28], most, 64, &[[most, 16]])),
        ("walks together", claim(&file[..15], &[28, 28], most, 4096, &[[most, 16]])),
        ("too many events", claim(&file[..15], &[28, 28], u64::MAX >> 8, 64, &[[9, 16]])),
        ("another shape", claim(&file[..15], &[1 << 15, 1 << 15], 2, 64, &[[2, 16]])),
        ("axes", claim(&file[..15], &[1 << 31; 8], 1, 64, &[[1, 16]])),
        ("a long stream", claim(&file[..15], &[28, 28], 9, 64, &[[9, u64::MAX >> 9]])),
        ("many streams", {
            let mut file = file[..15].to_vec();
            file.extend([&[2, 2, 28, 28, 9, 64][..], &varint(1 << 40), &[1; 64]].concat());
            file
        }),
    ] {
        assert!(codec.decompress(&file, &mut |_| ()).is_err(), "{name}");
        let taken = high_water().unwrap() - before;
        assert!(taken < 48 << 20, "{name} took {} MiB", taken >> 20);
    }
}
