//! NADE over columns as a program uses it: trained, stored, continued and drawn from, in single precision.

use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::scoring::evaluate;
use ar_models::train::{Run, TrainConfig, train};
use burn::tensor::Device;
use prob_core::ordering::OrderingKind;

const ALL: [Column; 4] = [
    Column::Category { labels: 3 },
    Column::Grid { step: 1.0, can_be_missing: true },
    Column::Real { can_be_missing: false },
    Column::Grid { step: 0.1, can_be_missing: false },
];

/// Rows in which the first column decides about the others: which number is there, and whether it is missing.
fn rows(n: usize) -> Vec<f64> {
    let noise = |i: usize, k: usize| ((i * (2 * k + 7) + k) % 11) as f64 / 11.0;
    (0..n)
        .flat_map(|i| {
            let label = (i * 5 + i / 7) % 3;
            let count = match label {
                0 => f64::NAN,
                label => (100_000 * (label - 1)) as f64 + (10.0 * noise(i, 1)).round(),
            };
            let tenths = (30.0 * noise(i, 2)).round() + 50.0 * label as f64;
            [label as f64, count, label as f64 + noise(i, 3), tenths / 10.0]
        })
        .collect()
}

fn config(hidden: usize) -> ModelConfig {
    ModelConfig::Nade {
        hidden,
        ordering: OrderingKind::Random { seed: 3 },
        init_scale: 0.01,
        classes: None,
        components: 6,
    }
}

#[test]
fn what_columns_have_in_common_is_learned() {
    let (data, event) = (InMemory::reals(rows(600), 4), EventSpec::columns(ALL.to_vec()));
    let (model, device) = (config(12), Device::default());
    let mut settings = TrainConfig::epochs(40);
    settings.batch_size = 50;
    let run = Run {
        model: &model,
        event: &event,
        config: &settings,
        seed: 1,
        device: &device,
        train: &data,
        valid: None,
        checkpoint: None,
    };
    let start = Model::init(&model, &event, &data, 1, &device).unwrap();
    let before = evaluate(&start, &data, |_| ()).nll_nats;
    let trained = train(&run, &mut ()).unwrap().model;
    let after = evaluate(&trained, &data, |_| ()).nll_nats;
    // The label tells which of two ranges, or none, and a third of each other column: more than 2 ln 3.
    assert!(after < before - 2.0, "{before} before, {after} after");
    // Draws keep together what belongs together.
    let mut rng = <rand::rngs::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(4);
    let ar_models::examples::Rows::Reals(drawn) = trained.sample_rows(500, &mut rng) else {
        panic!("columns are numbers")
    };
    let fits = |row: &[f64]| match row[0] as usize {
        0 => row[1].is_nan(),
        1 => row[1] < 1_000.0,
        _ => row[1] > 99_000.0,
    };
    let right = drawn.chunks_exact(4).filter(|row| fits(row)).count();
    assert!(right > 400, "{right} of 500");
    assert!(
        drawn.chunks_exact(4).all(|row| (row[3] * 10.0 - (row[3] * 10.0).round()).abs() < 1e-9)
    );
    // Other labels, and what is far from all that was seen, are unlikely and no more.
    let strange = trained.log_prob(&[3.0, 1e12, 2.0, -1e9][..]);
    let plain = trained.log_prob(&[1.0, 5.0, 1.5, 6.0][..]);
    assert!(strange[0].is_finite() && strange[0] < plain[0] - 20.0, "{strange:?} {plain:?}");
}

#[test]
fn a_model_comes_back_from_its_bytes() {
    let device = Device::default();
    let event = EventSpec::columns(ALL.to_vec());
    let (config, data) = (config(5), InMemory::reals(rows(50), 4));
    let model = Model::init(&config, &event, &data, 1, &device).unwrap();
    let bytes = model.to_bytes().unwrap();
    let loaded = Model::from_bytes(&config, &event, &bytes, &device).unwrap();
    let rows = rows(30);
    assert_eq!(model.log_prob(&rows), loaded.log_prob(&rows));
    // Columns of another type are another model.
    let mut other = ALL.to_vec();
    other[0] = Column::Category { labels: 4 };
    assert!(Model::from_bytes(&config, &EventSpec::columns(other), &bytes, &device).is_err());
}
