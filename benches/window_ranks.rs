//! How long does a Parzen window over 20 mixed columns take for a row that is to be ranked, in f32 and in f64?
//!
//! Columns that depend on each other as those of tables do, through a few factors, and columns that do not, in which the
//! window finds nothing to leave out early.

use std::time::Duration;

use ar_models::columns::Column;
use ar_models::config::EventSpec;
use ar_models::examples::InMemory;
use ar_models::window::{KernelSettings, KernelWindow};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const NUMBERS: usize = 14;
const FACTORS: usize = 5;
const LABELS: [usize; 6] = [3, 20, 200, 2, 2, 364];
const RANKED: usize = 2_000;

fn columns() -> Vec<Column> {
    let grid = |k: usize| match k < 10 {
        true => Column::Grid { step: 0.1, can_be_missing: false },
        false => Column::Real { can_be_missing: false },
    };
    (0..NUMBERS).map(grid).chain(LABELS.map(|labels| Column::Category { labels })).collect()
}

/// Rows of numbers that a share of `common` of their variance comes from a few factors of, and labels that follow the
/// first of these.
fn rows(n: usize, common: f64, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut out = Vec::with_capacity(n * (NUMBERS + LABELS.len()));
    for _ in 0..n {
        let factors: [f64; FACTORS] = std::array::from_fn(|_| normal());
        for k in 0..NUMBERS {
            // A unit vector of factors for each column.
            let of = |f: usize| ((1 + k * FACTORS + f) as f64).sin();
            let length = (0..FACTORS).map(|f| of(f).powi(2)).sum::<f64>().sqrt();
            let shared = (0..FACTORS).map(|f| of(f) * factors[f]).sum::<f64>() / length;
            let x = common.sqrt() * shared + (1.0 - common).sqrt() * normal();
            out.push(if k < 10 { (10.0 * x).round() / 10.0 } else { x });
        }
        for labels in LABELS {
            let x = common.sqrt() * factors[0] + (1.0 - common).sqrt() * normal();
            let share = 1.0 / (1.0 + (-1.7 * x).exp());
            out.push((share * labels as f64).floor().min(labels as f64 - 1.0));
        }
    }
    out
}

fn bench_ranks(c: &mut Criterion) {
    let event = EventSpec::columns(columns());
    let width = event.variables();
    let mut group = c.benchmark_group("window, a row of 20 mixed columns");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(RANKED as u64));
    for (name, common) in [("dependent", 0.8), ("independent", 0.0)] {
        for kept in [1_000, 3_000, 10_000] {
            let train = InMemory::reals(rows(kept, common, 1), width);
            let window = KernelWindow::fit(&KernelSettings::default(), &event, &train)
                .expect("the columns are fine");
            let ranked = rows(RANKED, common, 2);
            group.bench_function(BenchmarkId::new(format!("{name}, f32"), kept), |b| {
                b.iter(|| window.log_prob_fast(&ranked[..]));
            });
            group.bench_function(BenchmarkId::new(format!("{name}, f64"), kept), |b| {
                b.iter(|| window.log_prob(&ranked[..]));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = bench_ranks
}
criterion_main!(benches);
