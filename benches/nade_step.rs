//! How long does one training step of NADE take: forward, backward and Adam, batch 100?
//!
//! Both paths go through [`Stepper`], so the update is the same fused one; of the plain path's time it
//! is less than a hundredth part.

use std::time::Duration;

use ar_models::neural::Neural;
use ar_models::train::{Stepper, TrainConfig};
use burn::tensor::{Device, Int};
use chainrule_benches::{BATCH, Plain, batch, nade};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn step(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let mut group = criterion.benchmark_group("nade_step");
    group.throughput(Throughput::Elements(BATCH as u64)); // images
    group.sample_size(20).warm_up_time(Duration::from_secs(1));
    time(&mut group, "fused", nade(&device), &device);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(12)); // more than a second a step
    time(&mut group, "plain tensor ops", Plain { nade: nade(&device) }, &device);
    group.finish();
}

fn time<M: Neural<Kind = Int>>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    model: M,
    device: &Device,
) {
    let x = batch(device);
    let mut stepper = Stepper::new(model, &TrainConfig::epochs(1));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter(|| {
            let step = stepper.step(x.clone(), &mut rng, 1.0, false).expect("the loss is finite");
            device.sync().expect("the device works");
            step
        });
    });
}

criterion_group!(benches, step);
criterion_main!(benches);
