//! How long does drawing 100 images from NADE take?
//!
//! The model draws as many ones as MNIST has, since the fused walk recomputes its activations only
//! after a one.

use std::time::Duration;

use ar_models::neural::Neural;
use burn::tensor::Device;
use chainrule_benches::{BATCH, DIM, Plain, nade};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rand::{SeedableRng, rngs::ChaCha8Rng};

fn sample(criterion: &mut Criterion) {
    let fused = nade(&Device::flex());
    let plain = Plain { nade: fused.clone() };
    let nothing = vec![None; BATCH * DIM];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut group = criterion.benchmark_group("nade_sample");
    group.throughput(Throughput::Elements(BATCH as u64)); // images
    group.sample_size(20).warm_up_time(Duration::from_secs(1));
    group.bench_function("fused", |bencher| {
        bencher.iter(|| fused.complete(&nothing, &mut rng));
    });
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("generic walk", |bencher| {
        bencher.iter(|| plain.complete(&nothing, &mut rng));
    });
    group.finish();
}

criterion_group!(benches, sample);
criterion_main!(benches);
