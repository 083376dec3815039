//! Values between the host and a device.

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// The precision of real values in the units of the data: double where the device computes in it, since
/// in single precision neighbours near 1.7e9, a time in seconds, are 128 apart.
pub(crate) fn data_dtype(device: &Device) -> DType {
    if device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 }
}

/// The device that a module's weights are on.
pub fn device_of<M: Module>(module: &M) -> Device {
    module.devices().into_iter().next().unwrap_or_default()
}

/// Host symbols as an event tensor, `[rows, variables]`.
pub fn event_tensor(values: &[u8], variables: usize, device: &Device) -> Tensor<2, Int> {
    let symbols: Vec<i32> = values.iter().map(|&x| i32::from(x)).collect();
    Tensor::from_data(
        TensorData::new(symbols, [values.len() / variables.max(1), variables]),
        device,
    )
}

/// Host labels as a tensor, `[rows]`.
pub fn label_tensor(labels: &[u8], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = labels.iter().map(|&label| i32::from(label)).collect();
    let rows = labels.len();
    Tensor::from_data(TensorData::new(labels, [rows]), device)
}

/// One label for each of `rows`, `[rows]`.
pub(crate) fn same_label(class: usize, rows: usize, device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(vec![class as i32; rows], [rows]), device)
}

/// An event tensor's symbols on the host, row-major.
///
/// # Panics
/// When a symbol is not in 0..256.
pub fn event_symbols<const D: usize>(x: Tensor<D, Int>) -> Vec<u8> {
    x.into_data().iter::<i64>().map(|x| u8::try_from(x).expect("a symbol is in 0..256")).collect()
}

/// A float tensor's values on the host in f64, row-major.
pub fn host_f64<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Symbols as floats of the precision of `like`.
pub(crate) fn floats<const D: usize, const E: usize>(
    x: Tensor<D, Int>,
    like: &Tensor<E>,
) -> Tensor<D> {
    x.float().cast(like.dtype())
}
