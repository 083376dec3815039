//! How long does one training step of PixelRNN and PixelCNN take: forward, backward and Adam, batch 100,
//! 28×28 bits?
//!
//! Baselines are the same networks in PyTorch (`benches/pytorch_pixel.py`).
//! `PEAK=row7x16 cargo bench --bench pixel_step` runs ten steps of one network alone, for
//! `/usr/bin/time -v`.

use std::time::Duration;

use ar_models::train::{Stepper, TrainConfig};
use burn::tensor::Device;
use chainrule_benches::{BATCH, batch, pixel};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const NETWORKS: [&str; 5] = ["row1x32", "row7x16", "diag1x32", "diag7x16", "cnn7x32"];

fn step(criterion: &mut Criterion) {
    ar_kernels::memory::keep_freed();
    let device = Device::flex().autodiff();
    let x = batch(&device);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    if let Ok(name) = std::env::var("PEAK") {
        let mut stepper = Stepper::new(pixel(&name, 28, &device), &TrainConfig::epochs(1));
        for _ in 0..10 {
            stepper.step(x.clone(), &mut rng, 1.0, false).expect("the loss is finite");
        }
        return;
    }
    let mut group = criterion.benchmark_group("pixel_step");
    group.throughput(Throughput::Elements(BATCH as u64)); // images
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for name in NETWORKS {
        let mut stepper = Stepper::new(pixel(name, 28, &device), &TrainConfig::epochs(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                stepper.step(x.clone(), &mut rng, 1.0, false).expect("the loss is finite")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
