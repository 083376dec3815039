//! NADE on bits in memory, and what it makes of others: `cargo run --release --example train_nade`.
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::scoring::evaluate;
use ar_models::train::{Run, TrainConfig, train};
use burn::tensor::Device;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Images of 2×4 bits: one bright column each. A coin per pixel would cost 8 ln 2 = 5.55 nats, a die of four sides 1.39.
    let image = |column: usize| (0..8).map(move |pixel| u8::from(pixel % 4 == column));
    let rows = |n: usize| InMemory::new((0..n).flat_map(|row| image(row % 4)).collect(), 8);
    let (learned_from, held_out) = (rows(800), rows(40));

    // `[model]` and `[train]` as in a file; other keys are as when a file leaves them out.
    let model: ModelConfig = serde_json::from_str(r#"{ "kind": "nade", "hidden": 16 }"#)?;
    let config = TrainConfig { batch_size: 20, ..TrainConfig::epochs(150) };
    let run = Run {
        model: &model,
        event: &EventSpec::symbols(vec![2, 4], 2),
        config: &config,
        seed: 1,
        device: &Device::default(),
        train: &learned_from,
        valid: None,
        checkpoint: None,
    };
    let trained = train(&run, &mut ())?;
    let score = evaluate(&trained.model, &held_out, |_| ());
    println!("{:.3} nats per image, ln 4 = {:.3} at best", score.nll_nats, 4.0_f64.ln());
    assert!((1.38..2.0).contains(&score.nll_nats));
    Ok(())
}

#[test]
fn it_learns_which_column_is_bright() {
    main().unwrap();
}
