//! How long do the outputs of RNADE and their gradients take, batch 100: the one operation beside plain tensor
//! operations?
//!
//! Twice: for the sizes of red wine, where a step of plain operations is mostly their number, and for images.

use std::time::Duration;

use ar_kernels::blocks::{Blocks, Weights, outputs, reference};
use burn::tensor::{Device, Distribution, Tensor};
use chainrule_benches::BATCH;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

/// `[dim, outputs, hidden]` and a name.
const SIZES: [([usize; 3], &str); 2] = [
    ([11, 3 * 40, 50], "11 variables, 50 units, 40 components"),
    ([784, 3 * 5, 200], "784 variables, 200 units, 5 components"),
];

fn step(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let mut group = criterion.benchmark_group("rnade_step");
    group.throughput(Throughput::Elements(BATCH as u64)); // rows
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(8));
    for ([dim, width, hidden], name) in SIZES {
        let blocks = Blocks::alike(dim, 1, width);
        let spread = Distribution::Uniform(-0.1, 0.1);
        let weights = Weights {
            w: Tensor::random([dim, hidden], spread, &device).require_grad(),
            c: Tensor::random([hidden], spread, &device).require_grad(),
            rho: Tensor::ones([dim], &device).require_grad(),
            v: Tensor::random([dim * width, hidden], spread, &device).require_grad(),
            b: Tensor::zeros([dim * width], &device).require_grad(),
        };
        let x = Tensor::<2>::random([BATCH, dim], Distribution::Normal(0.0, 1.0), &device);
        for (path, run) in [
            ("fused", outputs as fn(Tensor<2>, Weights, &Blocks) -> Tensor<2>),
            ("plain tensor ops", reference::outputs),
        ] {
            group.bench_function(BenchmarkId::new(path, name), |bencher| {
                bencher.iter(|| {
                    let gradients = run(x.clone(), weights.clone(), &blocks).sum().backward();
                    device.sync().expect("the device works");
                    gradients
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
