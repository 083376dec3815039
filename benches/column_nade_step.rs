//! How long do a training step (clipping and Adam included) and an evaluation of NADE over 20 mixed columns take, batch
//! 500?
//!
//! `pytorch_columns.py` has the same network.

use std::time::Duration;

use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::neural::ValueKind;
use ar_models::train::{Stepper, TrainConfig};
use burn::module::Module as _;
use burn::tensor::{Device, Float};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use prob_core::Density as _;
use prob_core::ordering::OrderingKind;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const BATCH: usize = 500;
const GRIDS: usize = 10;
const REALS: usize = 4;
const LABELS: [usize; 6] = [3, 20, 200, 2, 2, 364];
const COLUMNS: usize = GRIDS + REALS + LABELS.len();

fn columns() -> Vec<Column> {
    let grid = Column::Grid { step: 0.1, can_be_missing: false };
    let numbers = std::iter::repeat_n(grid, GRIDS)
        .chain(std::iter::repeat_n(Column::Real { can_be_missing: false }, REALS));
    numbers.chain(LABELS.map(|labels| Column::Category { labels })).collect()
}

/// Rows of independent columns: sums of uniform numbers, and labels that are alike.
fn rows(n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut out = Vec::with_capacity(n * COLUMNS);
    for _ in 0..n {
        for column in columns() {
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            out.push(match column {
                Column::Category { labels } => rng.random_range(0..labels as u64) as f64,
                Column::Grid { step, .. } => (normal / step).round() * step,
                Column::Real { .. } => normal,
            });
        }
    }
    out
}

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
