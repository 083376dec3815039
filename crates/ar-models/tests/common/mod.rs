//! What the tests of laws in f64 share.

use std::sync::Once;

use ar_models::neural::{Weight, map_weights, weights};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, DeviceConfig, FloatDType, Gradients, Tensor, TensorData};
use prob_core::laws::{Law, gradient};
use prob_core::standard_normal;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The default device, in f64.
pub(crate) fn device() -> Device {
    static F64: Once = Once::new();
    let mut device = Device::default();
    F64.call_once(|| {
        device.configure(DeviceConfig::default().float_dtype(FloatDType::F64)).unwrap();
    });
    device
}

/// Weights from N(0, scale²), far from their initial values, where a wrong model shows.
pub(crate) fn shaken<M: Module>(model: M, scale: f64, seed: u64) -> M {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    map_weights(model, |_, weight| {
        let values: Vec<f64> =
            (0..weight.dims()[0]).map(|_| standard_normal(&mut rng) * scale).collect();
        Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device())
    })
}

/// A tensor's values.
pub(crate) fn host(x: Tensor<1>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// A derivative that is made wrong: the fourth of the weight whose name ends so, and by how much.
pub(crate) type Tamper<'a> = Option<(&'a str, f64)>;

/// The gradient of the mean of `log_prob` in all weights of a model on an autodiff device, against
/// central differences.
pub(crate) fn has_the_right_gradient<M: Module>(
    model: &M,
    log_prob: impl Fn(&M) -> Tensor<1>,
    tolerance: f64,
    tamper: Tamper<'_>,
) -> Law {
    struct Collect<'a>(&'a mut Gradients, Vec<Vec<f64>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grad = param.val().grad_remove(self.0).expect("every weight has a gradient");
            self.1.push(grad.into_data().iter::<f64>().collect());
        }
    }
    let own: Vec<Weight> = weights(model);
    let at: Vec<f64> = own.iter().flat_map(|weight| host(weight.values.clone())).collect();
    let with = |flat: &[f64]| {
        let mut start = 0;
        map_weights(model.clone(), |_, old| {
            let [n] = old.dims();
            start += n;
            Tensor::from_data(TensorData::new(flat[start - n..start].to_vec(), [n]), &old.device())
        })
    };
    let loss = |model: &M| log_prob(model).mean();
    let mut grads = loss(model).backward();
    let mut collect = Collect(&mut grads, Vec::new());
    model.visit(&mut collect);
    let mut claimed = collect.1;
    if let Some((name, by)) = tamper {
        let index = own.iter().position(|weight| weight.name.ends_with(name)).unwrap();
        claimed[index][3] += by;
    }
    let f = |flat: &[f64]| loss(&with(flat)).into_scalar::<f64>();
    gradient(f, &at, &claimed.concat(), 4, 1e-5, tolerance, 11)
}
