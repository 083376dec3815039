//! Updates of all weights of a model, with state that can be stored.

use ar_kernels::update;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use super::config::{OptimizerConfig, TrainConfig};
use crate::foundation::error::Error;
use crate::parts::neural::{Weight, map_weights, weights};

/// The update rule and what it remembers.
pub(super) struct Optimizer {
    config: TrainConfig,
    /// Steps made.
    steps: u64,
    /// Per weight, as [`OptimizerConfig::moments`] names them.
    moments: Vec<Vec<Tensor<1>>>,
}

impl Optimizer {
    pub(super) fn new<M: Module>(config: &TrainConfig, model: &M) -> Self {
        let slots = config.optimizer.moments().len();
        let moments = weights(model)
            .into_iter()
            .map(|weight| vec![weight.values.zeros_like(); slots])
            .collect();
        Self { config: config.clone(), steps: 0, moments }
    }

    /// Updates `model` by `grads` (one per weight, in the order of [`weights`]; `None` where the loss
    /// does not depend on it). Returns the model, and the norm of the whole gradient if it was needed
    /// or `want_norm`.
    ///
    /// The model is taken by value so that its weights can be updated in place.
    pub(super) fn step<M: Module>(
        &mut self,
        model: M,
        grads: Vec<Option<Tensor<1>>>,
        factor: f64,
        want_norm: bool,
    ) -> (M, Option<f64>) {
        let grads: Vec<Option<Gradient>> =
            grads.into_iter().map(|grad| grad.map(Gradient::of)).collect();
        let norm = (want_norm || self.config.clip_norm.is_some()).then(|| norm(&grads));
        let scale = match (self.config.clip_norm, norm) {
            (Some(most), Some(norm)) if norm > most => most / norm,
            _ => 1.0,
        };
        self.steps += 1;
        let learning_rate = self.config.optimizer.learning_rate() * factor;
        let mut grads: Vec<_> = grads.into_iter().map(Some).collect();
        let model = map_weights(model, |index, weight| {
            match grads[index].take().expect("each weight is visited once") {
                Some(grad) => self.update(index, weight, grad, learning_rate, scale),
                None => weight,
            }
        });
        (model, norm)
    }

    fn update(
        &mut self,
        index: usize,
        weight: Tensor<1>,
        grad: Gradient,
        learning_rate: f64,
        scale: f64,
    ) -> Tensor<1> {
        let weight_decay = self.config.weight_decay;
        match (self.config.optimizer.clone(), core::mem::take(&mut self.moments[index])) {
            (OptimizerConfig::Adam { beta_1, beta_2, epsilon, .. }, moments) => {
                let [first, second]: [Tensor<1>; 2] =
                    moments.try_into().expect("Adam remembers two moments");
                let step = update::Adam {
                    learning_rate,
                    beta_1,
                    beta_2,
                    epsilon,
                    weight_decay,
                    scale,
                    step: self.steps,
                };
                let (weight, first, second) = match grad {
                    Gradient::Host(grad) => fused_adam(step, weight, &grad, first, second),
                    Gradient::Device(grad) => plain_adam(step, weight, grad, first, second),
                };
                self.moments[index] = vec![first, second];
                weight
            }
            (OptimizerConfig::RmsProp { decay, momentum, epsilon, .. }, moments) => {
                let [square, velocity]: [Tensor<1>; 2] =
                    moments.try_into().expect("RMSProp remembers a mean square and a velocity");
                let step = update::RmsProp {
                    learning_rate,
                    decay,
                    momentum,
                    epsilon,
                    weight_decay,
                    scale,
                };
                let (weight, square, velocity) = match grad {
                    Gradient::Host(grad) => fused_rmsprop(step, weight, &grad, square, velocity),
                    Gradient::Device(grad) => plain_rmsprop(step, weight, grad, square, velocity),
                };
                self.moments[index] = vec![square, velocity];
                weight
            }
            (OptimizerConfig::Sgd { momentum, .. }, moments) => {
                let [velocity]: [Tensor<1>; 1] =
                    moments.try_into().expect("SGD remembers one velocity");
                let (weight, velocity) = match grad {
                    Gradient::Host(grad) => {
                        let (mut weight, mut velocity) = (Host::of(weight), Host::of(velocity));
                        update::momentum(
                            learning_rate,
                            momentum,
                            weight_decay,
                            scale,
                            slice(&grad),
                            velocity.slice_mut(),
                            weight.slice_mut(),
                        );
                        (weight.into_tensor(), velocity.into_tensor())
                    }
                    Gradient::Device(grad) => {
                        let velocity = velocity.mul_scalar(momentum) + grad.mul_scalar(scale);
                        let kept = weight.mul_scalar(1.0 - learning_rate * weight_decay);
                        (kept - velocity.clone().mul_scalar(learning_rate), velocity)
                    }
                };
                self.moments[index] = vec![velocity];
                weight
            }
        }
    }

    /// What is remembered, by name, and the number of steps.
    pub(super) fn state(&self, own: &[Weight]) -> (u64, Vec<(String, Vec<usize>, Tensor<1>)>) {
        let mut arrays = Vec::new();
        for (weight, moments) in own.iter().zip(&self.moments) {
            for (slot, moment) in self.config.optimizer.moments().iter().zip(moments) {
                let name = format!("{slot}.{}", weight.name);
                arrays.push((name, weight.shape.clone(), moment.clone()));
            }
        }
        (self.steps, arrays)
    }

    /// Takes back what [`state`](Self::state) gave.
    pub(super) fn restore(
        &mut self,
        own: &[Weight],
        steps: u64,
        find: impl Fn(&str) -> Option<Vec<f32>>,
    ) -> Result<(), Error> {
        self.steps = steps;
        for (weight, moments) in own.iter().zip(&mut self.moments) {
            for (slot, moment) in self.config.optimizer.moments().iter().zip(moments) {
                let name = format!("{slot}.{}", weight.name);
                let [len] = moment.dims();
                let values = find(&name).filter(|values| values.len() == len).ok_or_else(|| {
                    Error::Stored(format!("the checkpoint has no `{name}` of {len} values"))
                })?;
                *moment = Tensor::from_data(TensorData::new(values, [len]), &moment.device());
            }
        }
        Ok(())
    }
}

/// The gradient of a weight.
enum Gradient {
    /// On the host, where updates are in one pass.
    Host(TensorData),
    Device(Tensor<1>),
}

impl Gradient {
    fn of(tensor: Tensor<1>) -> Self {
        match ar_kernels::has_kernel(&tensor) {
            true => Self::Host(tensor.into_data()),
            false => Self::Device(tensor),
        }
    }
}

/// Euclidean norm over all gradients together. A device with memory of its own is asked for one number.
fn norm(grads: &[Option<Gradient>]) -> f64 {
    let (mut host, mut device) = (0.0, None::<Tensor<1>>);
    for grad in grads.iter().flatten() {
        match grad {
            Gradient::Host(grad) => host += update::sum_of_squares(slice(grad)),
            Gradient::Device(grad) => {
                let own = grad.clone().square().sum();
                device = Some(match device {
                    Some(sum) => sum + own,
                    None => own,
                });
            }
        }
    }
    (host + device.map_or(0.0, Tensor::into_scalar::<f64>)).sqrt()
}

/// A host tensor's values; the buffer is handed over without a copy where nobody else holds it.
struct Host {
    data: TensorData,
    device: burn::tensor::Device,
}

impl Host {
    fn of(tensor: Tensor<1>) -> Self {
        let device = tensor.device();
        Self { data: tensor.into_data(), device }
    }

    fn slice_mut(&mut self) -> &mut [f32] {
        self.data.as_mut_slice().expect("a kernel's tensors are f32")
    }

    fn into_tensor(self) -> Tensor<1> {
        Tensor::from_data(self.data, &self.device)
    }
}

fn slice(data: &TensorData) -> &[f32] {
    data.as_slice().expect("a kernel's tensors are f32")
}

fn fused_adam(
    step: update::Adam,
    weight: Tensor<1>,
    grad: &TensorData,
    first: Tensor<1>,
    second: Tensor<1>,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let [mut weight, mut first, mut second] = [weight, first, second].map(Host::of);
    update::adam(step, slice(grad), first.slice_mut(), second.slice_mut(), weight.slice_mut());
    (weight.into_tensor(), first.into_tensor(), second.into_tensor())
}

/// The same step in tensor operations, for devices without the fused one.
fn plain_adam(
    step: update::Adam,
    weight: Tensor<1>,
    grad: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let power = i32::try_from(step.step).unwrap_or(i32::MAX);
    let grad = grad.mul_scalar(step.scale);
    let first = first.mul_scalar(step.beta_1) + grad.clone().mul_scalar(1.0 - step.beta_1);
    let second = second.mul_scalar(step.beta_2) + grad.square().mul_scalar(1.0 - step.beta_2);
    let root =
        second.clone().div_scalar(1.0 - step.beta_2.powi(power)).sqrt().add_scalar(step.epsilon);
    let rate = step.learning_rate / (1.0 - step.beta_1.powi(power));
    let kept = weight.mul_scalar(1.0 - step.learning_rate * step.weight_decay);
    (kept - first.clone().mul_scalar(rate) / root, first, second)
}

fn fused_rmsprop(
    step: update::RmsProp,
    weight: Tensor<1>,
    grad: &TensorData,
    square: Tensor<1>,
    velocity: Tensor<1>,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let [mut weight, mut square, mut velocity] = [weight, square, velocity].map(Host::of);
    let (v, m, w) = (square.slice_mut(), velocity.slice_mut(), weight.slice_mut());
    update::rmsprop(step, slice(grad), v, m, w);
    (weight.into_tensor(), square.into_tensor(), velocity.into_tensor())
}

/// The same step in tensor operations, for devices without the fused one.
fn plain_rmsprop(
    step: update::RmsProp,
    weight: Tensor<1>,
    grad: Tensor<1>,
    square: Tensor<1>,
    velocity: Tensor<1>,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let grad = grad.mul_scalar(step.scale);
    let square = square.mul_scalar(step.decay) + grad.clone().square().mul_scalar(1.0 - step.decay);
    let root = square.clone().sqrt().add_scalar(step.epsilon);
    let velocity = velocity.mul_scalar(step.momentum) + grad / root;
    let kept = weight.mul_scalar(1.0 - step.learning_rate * step.weight_decay);
    (kept - velocity.clone().mul_scalar(step.learning_rate), square, velocity)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[test]
    fn the_fused_adam_is_the_plain_adam() {
        let device = Device::default();
        let tensor = |values: [f32; 4]| Tensor::<1>::from_data(values, &device);
        let step = update::Adam {
            learning_rate: 0.01,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
            scale: 0.7,
            step: 3,
        };
        let run = |fused: bool| {
            let weight = tensor([1.0, -2.0, 0.0, 5.0]);
            let grad = tensor([0.5, 1e-6, -3.0, 0.0]);
            let first = tensor([0.1, 0.0, -0.2, 1.0]);
            let second = tensor([0.01, 1e-12, 0.3, 2.0]);
            if fused {
                fused_adam(step, weight, &grad.into_data(), first, second)
            } else {
                plain_adam(step, weight, grad, first, second)
            }
        };
        let (fused, plain) = (run(true), run(false));
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-9);
        fused.0.into_data().assert_approx_eq(&plain.0.into_data(), tolerance);
        fused.1.into_data().assert_approx_eq(&plain.1.into_data(), tolerance);
        fused.2.into_data().assert_approx_eq(&plain.2.into_data(), tolerance);
    }

    #[test]
    fn the_fused_rmsprop_is_the_plain_rmsprop() {
        let device = Device::default();
        let tensor = |values: [f32; 4]| Tensor::<1>::from_data(values, &device);
        let step = update::RmsProp {
            learning_rate: 0.01,
            decay: 0.9,
            momentum: 0.5,
            epsilon: 1e-8,
            weight_decay: 0.1,
            scale: 0.7,
        };
        let run = |fused: bool| {
            let weight = tensor([1.0, -2.0, 0.0, 5.0]);
            let grad = tensor([0.5, 1e-6, -3.0, 0.0]);
            let square = tensor([0.01, 1e-12, 0.3, 2.0]);
            let velocity = tensor([0.1, 0.0, -0.2, 1.0]);
            if fused {
                fused_rmsprop(step, weight, &grad.into_data(), square, velocity)
            } else {
                plain_rmsprop(step, weight, grad, square, velocity)
            }
        };
        let (fused, plain) = (run(true), run(false));
        let tolerance = Tolerance::<f32>::rel_abs(1e-5, 1e-9);
        fused.0.into_data().assert_approx_eq(&plain.0.into_data(), tolerance);
        fused.1.into_data().assert_approx_eq(&plain.1.into_data(), tolerance);
        fused.2.into_data().assert_approx_eq(&plain.2.into_data(), tolerance);
    }

    #[test]
    fn the_norm_is_over_all_gradients_together() {
        let device = Device::default();
        let grads = [Some(Tensor::<1>::from_data([3.0], &device)), None];
        let more = [grads[0].clone(), Some(Tensor::<1>::from_data([0.0, 4.0], &device))];
        assert_eq!(norm(&grads.map(|grad| grad.map(Gradient::of))), 3.0);
        assert_eq!(norm(&more.map(|grad| grad.map(Gradient::of))), 5.0);
    }
}
