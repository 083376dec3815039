//! A wgpu device for tests, where one answers.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Tensor};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The device, and the right to use it alone: tests count launches, and share one software device's memory.
///
/// # Panics
/// When none answers though `CHAINRULE_WGPU` is `required`.
pub(crate) fn wgpu() -> Option<(Device, MutexGuard<'static, ()>)> {
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
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// The numbers of a tensor.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
