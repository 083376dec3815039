//! How long does drawing 16 images from PixelRNN take, and how does that grow with the image?
//!
//! The walk keeps each layer's states and last rows, so an image of n×n pixels costs about n² times a
//! pixel. The baseline is a full pass for every pixel, of which a bench can only afford a part: it is
//! one pass, times the number of pixels.

use std::time::Duration;

use ar_models::neural::{Neural, event_tensor};
use burn::tensor::Device;
use chainrule_benches::pixel;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use prob_core::Density;
use rand::{SeedableRng, rngs::ChaCha8Rng};

const IMAGES: usize = 16;

fn sample(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut group = criterion.benchmark_group("pixel_sample");
    group.throughput(Throughput::Elements(IMAGES as u64)); // images
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for name in ["row7x16", "diag7x16"] {
        for size in [14, 28, 56] {
            let model = pixel(name, size, &device);
            let nothing = vec![None; IMAGES * size * size];
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| model.complete(&nothing, &mut rng));
            });
        }
        let model = pixel(name, 28, &device);
        let x = event_tensor(&vec![0; IMAGES * 784], 784, &device);
        group.bench_function(BenchmarkId::new(name, "one full pass of 784"), |bencher| {
            bencher.iter(|| model.log_prob(x.clone()).into_data());
        });
    }
    group.finish();
}

criterion_group!(benches, sample);
criterion_main!(benches);
