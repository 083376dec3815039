//! How long does log p(x) of 100 images take under NADE?

use std::time::Duration;

use burn::tensor::{Device, Int, Tensor};
use chainrule_benches::{BATCH, Plain, batch, nade};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use prob_core::Density;

fn eval(criterion: &mut Criterion) {
    let device = Device::flex();
    let (fused, x) = (nade(&device), batch(&device));
    let plain = Plain { nade: fused.clone() };
    // Bringing the numbers to the host waits for the device.
    let run = |model: &dyn Density<Event = Tensor<2, Int>>| model.log_prob(x.clone()).into_data();
    let mut group = criterion.benchmark_group("nade_eval");
    group.throughput(Throughput::Elements(BATCH as u64)); // images
    group.sample_size(20).warm_up_time(Duration::from_secs(1));
    group.bench_function("fused", |bencher| bencher.iter(|| run(&fused)));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("plain tensor ops", |bencher| bencher.iter(|| run(&plain)));
    group.finish();
}

criterion_group!(benches, eval);
criterion_main!(benches);
