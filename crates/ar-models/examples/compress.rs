//! Rows to few bytes and back, by a model of them: `cargo run --release --example compress`.
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use ar_models::Isa;
use ar_models::codec::{Codec, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 2,000 rows of eight bits, which come in pairs.
    let row = |i: usize| (0..8).map(move |t| (((i * i / 7) >> (t / 2)) & 1) as u8);
    let values: Vec<u8> = (0..2000).flat_map(row).collect();
    let data = InMemory::new(values.clone(), 8);
    let event = EventSpec::symbols(vec![8], 2);
    let config: ModelConfig = serde_json::from_str(r#"{ "kind": "markov", "order": 3 }"#)?;
    let model = Model::fit(&config, &event, &data)?;

    let codec = Codec::new(&model, &config, &event)?;
    let file = codec.compress(&data, Source::Unchanged, Isa::detect(), &mut |_| ())?;
    println!("{} bits in {} bytes", values.len(), file.len());
    // Half of the bits say nothing: 1,000 bytes, and a header.
    assert!(file.len() < 1100);
    assert_eq!(codec.decompress(&file, &mut |_| ())?, values);
    Ok(())
}

#[test]
fn what_is_compressed_comes_back() {
    main().unwrap();
}
