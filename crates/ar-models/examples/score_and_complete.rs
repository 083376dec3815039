//! How likely rows are, which of their cells is odd, and what is missing filled in:
//! `cargo run --release --example score_and_complete`.
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use rand::{SeedableRng, rngs::ChaCha8Rng};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Five readings of 0, 1 or 2, of which each is nearly always the one before it.
    let reading =
        |row: usize, t: usize| ((row + usize::from(row.is_multiple_of(10)) * t) % 3) as u8;
    let values = (0..600).flat_map(|row| (0..5).map(move |t| reading(row, t))).collect();
    let event = EventSpec::symbols(vec![5], 3);
    let config: ModelConfig = serde_json::from_str(r#"{ "kind": "markov", "order": 1 }"#)?;
    let model = Model::fit(&config, &event, &InMemory::new(values, 5))?;

    let rows = [[1, 1, 1, 1, 1], [1, 1, 0, 1, 1]];
    let nats = model.log_prob(rows.as_flattened());
    let cells = model.log_prob_per_variable(rows.as_flattened());
    println!("log p: {:.2} and {:.2} nats", nats[0], nats[1]);
    println!("of the second, cell by cell: {:.2?}", &cells[5..]);
    assert!(nats[0] > nats[1] + 3.0 && cells[7] < -2.0);

    // What is `None` is drawn, given what stands before it.
    let observed = [Some(2), None, None, Some(2), None];
    let complete = model.complete(&observed, &mut ChaCha8Rng::seed_from_u64(1));
    println!("2 _ _ 2 _ completed: {complete:?}");
    assert_eq!((complete[0], complete[3]), (2, 2));
    Ok(())
}

#[test]
fn an_odd_cell_is_found() {
    main().unwrap();
}
