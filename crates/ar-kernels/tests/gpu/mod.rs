//! A wgpu device for tests, where one answers.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The device, and the right to use it alone: tests count launches, and share one software device's memory.
///
/// # Panics
/// When none answers though `CHAINRULE_WGPU` is `required`.
pub fn wgpu() -> Option<(Device, MutexGuard<'static, ()>)> {
    static DEVICE: LazyLock<Result<Device, String>> =
        LazyLock::new(|| Device::wgpu_options().init().map_err(|error| error.to_string()));
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*DEVICE {
        Ok(device) => Some((device.clone(), alone)),
        Err(error) => {
            let required = std::env::var("CHAINRULE_WGPU").is_ok_and(|value| value == "required");
            assert!(!required, "CHAINRULE_WGPU=required, but no wgpu device answers: {error}");
            eprintln!("skipped: no wgpu device answers: {error}");
            None
        }
    }
}

/// Uniform in (−1, 1).
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// Largest difference, relative to the largest number of `expected` (or to 1, where all are small); infinite where
/// one is no number.
pub fn gap(here: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(here.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |most, x| most.max(f64::from(*x).abs()));
    here.iter().zip(expected).fold(0.0, |most, (here, expected)| {
        let gap = (f64::from(*here) - f64::from(*expected)).abs() / scale;
        if gap.is_nan() { f64::INFINITY } else { most.max(gap) }
    })
}
