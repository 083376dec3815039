//! Models of columns as a program uses them: trained, stored and drawn from, in single precision; and their likelihoods
//! beside those of prob-core.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ar_kernels::columns::{self, Family, Head, Heads, Missing};
use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::orderless::{Activation, OrderlessSettings};
use ar_models::scoring::evaluate;
use ar_models::train::{Checkpoints, Observer, Run, TrainConfig, train};
use burn::tensor::{Device, Tensor, TensorData};
use prob_core::Density;
use prob_core::dist::{DiscretizedLogisticMixture, GaussianMixture, Grid};
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

fn configs(hidden: usize) -> Vec<ModelConfig> {
    let (ordering, components) = (OrderingKind::Random { seed: 3 }, 6);
    let nade = ModelConfig::Nade {
        hidden,
        ordering,
        init_scale: 0.01,
        classes: None,
        components,
        likelihood: Default::default(),
    };
    let made =
        |hidden: Vec<usize>| MadeSettings { ordering, components, ..MadeSettings::new(hidden) };
    let mixture = MadeSettings { masks: 2, direct: true, ..made(vec![2 * hidden, hidden]) };
    let residual = MadeSettings { residual: true, dropout: 0.1, ..made(vec![2 * hidden; 3]) };
    let orderless = OrderlessSettings {
        ordering,
        components,
        orderings: 2,
        activation: Activation::Relu,
        dropout: 0.05,
        ..OrderlessSettings::new(vec![2 * hidden, 2 * hidden])
    };
    let orderless = ModelConfig::OrderlessNade(orderless);
    vec![nade, ModelConfig::Made(mixture), ModelConfig::Made(residual), orderless]
}

/// Trains on 600 rows, from a checkpoint where there is one.
fn trained(
    model: &ModelConfig,
    epochs: usize,
    checkpoint: Option<&Path>,
    observer: &mut dyn Observer,
) -> Model {
    let mut config = TrainConfig::epochs(epochs);
    config.batch_size = 50;
    config.checkpoint_steps = Some(4);
    let run = Run {
        model,
        event: &EventSpec::columns(ALL.to_vec()),
        config: &config,
        seed: 1,
        device: &Device::default(),
        train: &InMemory::reals(rows(600), 4),
        valid: None,
        checkpoint: checkpoint.map(|path| Checkpoints::at(path).resume()),
    };
    train(&run, observer).unwrap().model
}

#[test]
fn what_columns_have_in_common_is_learned() {
    for config in configs(12) {
        learns(&config);
    }
}

fn learns(model: &ModelConfig) {
    let (data, event) = (InMemory::reals(rows(600), 4), EventSpec::columns(ALL.to_vec()));
    let device = Device::default();
    let start = Model::init(model, &event, &data, 1, &device).unwrap();
    let before = evaluate(&start, &data, |_| ()).nll_nats;
    let trained = trained(model, 40, None, &mut ());
    let after = evaluate(&trained, &data, |_| ()).nll_nats;
    // The label tells which of two ranges, or none, and a third of each other column: more than 2 ln 3.
    assert!(after < before - 2.0, "{}: {before} before, {after} after", model.kind());
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
    assert!(right > 400, "{}: {right} of 500", model.kind());
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
    let data = InMemory::reals(rows(50), 4);
    for config in configs(5) {
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
}

/// Dies after so many steps.
struct DiesAfter {
    steps: usize,
}

impl Observer for DiesAfter {
    fn step(&mut self, _: usize, _: usize, _: usize, _: f64) {
        self.steps = self.steps.checked_sub(1).expect("killed");
    }
}

#[test]
fn neither_threads_nor_a_death_change_a_bit() {
    for config in configs(5) {
        let bytes = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(&config, 2, None, &mut ()).to_bytes().unwrap())
        };
        let alone = bytes(1);
        assert!(alone == bytes(3), "{} depends on the number of threads", config.kind());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let mut lives = 0;
        let resumed = loop {
            let mut observer = DiesAfter { steps: lives * 5 };
            let life = || trained(&config, 2, Some(&path), &mut observer);
            let result = catch_unwind(AssertUnwindSafe(life));
            lives += 1;
            if let Ok(model) = result {
                break model;
            }
        };
        assert!(lives > 2, "{lives} lives");
        assert!(resumed.to_bytes().unwrap() == alone, "{} is not resumed", config.kind());
    }
}

#[test]
fn layers_that_cannot_be_residual_blocks_are_refused() {
    let event = EventSpec::columns(ALL.to_vec());
    for hidden in [vec![5], vec![5; 4], vec![5, 5, 6]] {
        let settings = MadeSettings { residual: true, ..MadeSettings::new(hidden) };
        let error = ModelConfig::Made(settings).check(&event).unwrap_err().to_string();
        assert!(error.contains("model.hidden") && error.contains("two for each block"), "{error}");
    }
    for dropout in [1.0, -0.1, f64::NAN] {
        let settings = MadeSettings { dropout, ..MadeSettings::new(vec![5]) };
        let error = ModelConfig::Made(settings).check(&event).unwrap_err().to_string();
        assert!(error.contains("model.dropout"), "{error}");
    }
}

#[test]
fn the_kernel_has_the_likelihoods_of_prob_core() {
    let device = Device::default();
    let row = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [1, values.len()]);
        Tensor::<2>::from_data(data, &device)
    };
    let (logits, means, log_scales) = ([0.3, -0.4, 1.1], [-2.0, 0.1, 3.0], [-1.5, 0.2, -3.0]);
    let outputs = [logits, means, log_scales].concat();
    let share: f64 = 0.01;
    let head = |family| Head::Number {
        components: 3,
        listed: false,
        family,
        floor: 0.0,
        missing: Missing::Never(share),
    };
    let grid = Grid::unbounded(0.0, 0.25).unwrap();
    let [l, m, s] = [logits, means, log_scales].map(|values| row(&values));
    let discretized =
        DiscretizedLogisticMixture::new(l.clone(), m.clone(), s.clone(), grid).unwrap();
    let gaussians = GaussianMixture::new(l, m, s).unwrap();
    for x in [-40.0, -2.0, 0.0, 0.25, 2.75, 3.0, 90.0] {
        let event = Tensor::<1>::from_data([x], &device);
        for (family, expected) in [
            (Family::Grid { half: 0.125 }, discretized.log_prob(event.clone())),
            (Family::Gaussian { log_unit: 0.0 }, gaussians.log_prob(event.clone())),
        ] {
            let heads = Heads::new(vec![head(family)]);
            let found = columns::log_prob(row(&outputs), row(&[x]), &heads).into_scalar::<f64>();
            let expected = expected.into_scalar::<f64>() + (-share).ln_1p();
            let error = (found - expected).abs();
            assert!(
                error < 1e-5 * (1.0 + expected.abs()),
                "{family:?} at {x}: {found}, {expected}"
            );
        }
    }
}
