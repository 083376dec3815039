//! What the values of a variable are, symbols or real numbers, on the host and on a device.

use burn::module::Module;
use burn::tensor::kind::Basic;
use burn::tensor::{Device, Float, Int, Tensor, TensorData};
use prob_core::{Autoregressive, Density};

use super::tensors::{data_dtype, event_symbols, event_tensor};
use super::walker::{Stepped, Walker};
use crate::foundation::examples::{Examples, Values};

/// What the variables of an event are: symbols ([`Int`]) or real numbers ([`Float`]).
pub trait ValueKind: Basic {
    /// A value on the host.
    type Host: Copy + Default + Send + Sync;

    /// Host values as an event tensor, `[rows, variables]`.
    fn to_device(values: &[Self::Host], variables: usize, device: &Device) -> Tensor<2, Self>;

    /// An event tensor's values on the host, row-major.
    fn to_host<const D: usize>(x: Tensor<D, Self>) -> Vec<Self::Host>;

    /// Reads examples of this kind; see [`Examples::read`].
    ///
    /// # Panics
    /// When the set is of another kind.
    fn read(examples: &dyn Examples, epoch: u64, rows: &[usize], out: &mut Vec<Self::Host>);

    /// Rows of this kind.
    ///
    /// # Panics
    /// When they are of another one.
    fn of(values: Values<'_>) -> &[Self::Host];

    /// The walk over the trait for an entropy coder over `levels` symbols; none for real numbers, which
    /// have no probabilities.
    fn stepped<M>(model: &M, levels: usize) -> Option<Box<dyn Walker + '_>>
    where
        M: Module + Sync + Autoregressive<Conditional: Density<Event = Tensor<1, Self>>>;
}

impl ValueKind for Int {
    type Host = u8;

    fn to_device(values: &[u8], variables: usize, device: &Device) -> Tensor<2, Self> {
        event_tensor(values, variables, device)
    }

    fn to_host<const D: usize>(x: Tensor<D, Self>) -> Vec<u8> {
        event_symbols(x)
    }

    fn read(examples: &dyn Examples, epoch: u64, rows: &[usize], out: &mut Vec<u8>) {
        examples.read(epoch, rows, out);
    }

    fn of(values: Values<'_>) -> &[u8] {
        values.symbols()
    }

    fn stepped<M>(model: &M, levels: usize) -> Option<Box<dyn Walker + '_>>
    where
        M: Module + Sync + Autoregressive<Conditional: Density<Event = Tensor<1, Self>>>,
    {
        Some(Box::new(Stepped { model, levels }))
    }
}

impl ValueKind for Float {
    type Host = f64;

    fn to_device(values: &[f64], variables: usize, device: &Device) -> Tensor<2, Self> {
        let rows = values.len() / variables.max(1);
        let data = TensorData::new(values.to_vec(), [rows, variables]);
        Tensor::from_data(data, (device, data_dtype(device)))
    }

    fn to_host<const D: usize>(x: Tensor<D, Self>) -> Vec<f64> {
        x.into_data().iter::<f64>().collect()
    }

    fn read(examples: &dyn Examples, epoch: u64, rows: &[usize], out: &mut Vec<f64>) {
        examples.read_reals(epoch, rows, out);
    }

    fn of(values: Values<'_>) -> &[f64] {
        values.reals()
    }

    fn stepped<M>(_: &M, _: usize) -> Option<Box<dyn Walker + '_>>
    where
        M: Module + Sync + Autoregressive<Conditional: Density<Event = Tensor<1, Self>>>,
    {
        None
    }
}
