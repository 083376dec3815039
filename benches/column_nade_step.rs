//! How long do a training step (clipping and Adam included) and an evaluation of NADE over 20 mixed columns take, batch
//! 500?
//!
//! `pytorch_columns.py` has the same network.

use std::time::Duration;

use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::neural::ValueKind;
use ar_models::train::{Stepper, TrainConfig};
use burn::module::Module as _;
use burn::tensor::{Device, Float};
use chainrule_benches::mixed::{COLUMNS, columns, rows};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use prob_core::Density as _;
use prob_core::ordering::OrderingKind;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const BATCH: usize = 500;

fn step(criterion: &mut Criterion) {
    // As the program does that trains.
    ar_kernels::memory::keep_freed();
    let device = Device::flex().autodiff();
    let event = EventSpec::columns(columns());
    let config = ModelConfig::Nade {
        hidden: 100,
        ordering: OrderingKind::Raster,
        init_scale: 0.01,
        classes: None,
        components: 8,
        likelihood: Default::default(),
    };
    let rows = rows(BATCH);
    let train = InMemory::reals(rows.clone(), COLUMNS);
    let model = Model::init(&config, &event, &train, 1, &device).expect("rows of these columns");
    let Model::ColumnNade(model) = model else { panic!("NADE of columns is one") };
    let mut group = criterion.benchmark_group("column_nade_step");
    group.throughput(Throughput::Elements(BATCH as u64)); // rows
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    let evaluated = model.valid();
    let plain = Float::to_device(&rows, COLUMNS, &Device::flex());
    group.bench_function("evaluation", |bencher| {
        bencher.iter(|| evaluated.log_prob(plain.clone()).into_data());
    });
    let x = Float::to_device(&rows, COLUMNS, &device);
    let mut settings = TrainConfig::epochs(1);
    settings.clip_norm = Some(5.0);
    let mut stepper = Stepper::new(model, &settings);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    group.bench_function("training step", |bencher| {
        bencher.iter(|| stepper.step(x.clone(), &mut rng, 1.0, false).expect("the loss is finite"));
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
