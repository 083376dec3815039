//! How long do fitting and evaluating a Markov chain of order 5 on 1000 images take?
//!
//! Beside fitting: independent variables, the least that any table must count. Beside evaluating: the
//! generic walk, whose conditionals sum to the same number.

use std::hint::black_box;
use std::time::Duration;

use ar_models::neural::event_tensor;
use burn::tensor::{Device, Tensor};
use chainrule_benches::{DIM, bits};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use prob_core::joint::{Independent, Markov, Symbols, Tabular};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density};

const IMAGES: usize = 1000;
const ORDER: usize = 5;

fn fit(criterion: &mut Criterion) {
    let images = bits(IMAGES);
    let data = Symbols::new(&images, DIM, 2).expect("bits have two states");
    let ordering = Ordering::raster(DIM);
    let mut group = criterion.benchmark_group("tables_fit");
    group.throughput(Throughput::Elements(IMAGES as u64)); // images
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.bench_function("markov 5", |bencher| {
        bencher.iter(|| Markov::fit(ORDER, ordering.clone(), black_box(data), 1.0));
    });
    group.bench_function("independent", |bencher| {
        bencher.iter(|| Independent::fit(black_box(data), 1.0));
    });
    group.finish();
}

fn eval(criterion: &mut Criterion) {
    let images = bits(IMAGES);
    let data = Symbols::new(&images, DIM, 2).expect("bits have two states");
    let markov =
        Markov::fit(ORDER, Ordering::raster(DIM), data, 1.0).expect("the tables are small");
    let x = event_tensor(&images, DIM, &Device::flex());
    let mut group = criterion.benchmark_group("tables_eval");
    group.throughput(Throughput::Elements(IMAGES as u64)); // images
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.bench_function("table rows", |bencher| {
        bencher.iter(|| markov.log_prob_rows(black_box(&images)));
    });
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("generic walk", |bencher| {
        bencher.iter(|| {
            let mut state = markov.init_state(IMAGES);
            let mut log_probs = Tensor::<1>::zeros([IMAGES], &Device::flex());
            for t in 0..DIM {
                let x_t = x.clone().slice([0..IMAGES, t..t + 1]).squeeze_dim::<1>(1);
                log_probs = log_probs + markov.conditional(&state).log_prob(x_t.clone());
                markov.advance(&mut state, x_t);
            }
            log_probs.into_data()
        });
    });
    group.finish();
}

criterion_group!(benches, fit, eval);
criterion_main!(benches);
