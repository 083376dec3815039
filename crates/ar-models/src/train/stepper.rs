//! One gradient step: what a training loop of any shape is made of.

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Gradients, Int, Tensor};
use rand::Rng;

use super::config::TrainConfig;
use super::optimizer::Optimizer;
use crate::model::host_f32;
use crate::parts::neural::{Neural, map_weights, weights};

/// A model, its optimizer and the moving average of its weights.
///
/// ```
/// use ar_models::{nade::NadeConfig, train::{Stepper, TrainConfig}};
/// use burn::tensor::{Device, Tensor};
/// use prob_core::ordering::Ordering;
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let device = Device::default().autodiff();
/// let mut rng = ChaCha8Rng::seed_from_u64(1);
/// let nade = NadeConfig::new(Ordering::raster(2), 4).init(&[0.5, 0.5], &mut rng, &device);
/// let mut stepper = Stepper::new(nade, &TrainConfig::epochs(1));
/// let x = Tensor::from_data([[0, 1], [1, 0]], &device);
/// let before = stepper.step(x.clone(), &mut rng, 1.0, false).unwrap().nll_nats;
/// assert!((before - 4.0_f64.ln()).abs() < 1e-3);
/// for _ in 0..20 {
///     stepper.step(x.clone(), &mut rng, 1.0, false).unwrap();
/// }
/// assert!(stepper.step(x, &mut rng, 1.0, false).unwrap().nll_nats < before);
/// ```
pub struct Stepper<M> {
    pub(super) config: TrainConfig,
    /// `None` only while a step updates the weights in place.
    model: Option<M>,
    pub(super) optimizer: Optimizer,
    pub(super) ema: Option<Vec<Tensor<1>>>,
}

/// What a step found, before it changed anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Mean training loss of the batch, in nats per example: its NLL, or an estimate of a mean NLL
    /// ([`Neural::training_loss`]).
    pub nll_nats: f64,
    /// Euclidean norm of the gradient before clipping, where it was asked for or needed.
    pub grad_norm: Option<f64>,
}

/// A loss that is no finite number; the model was not changed.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFinite {
    /// The loss.
    pub loss: f64,
    /// Which tensor left the finite numbers, in words.
    pub culprit: String,
}

impl<M: Neural> Stepper<M> {
    /// A model on an autodiff device, before its first step.
    pub fn new(model: M, config: &TrainConfig) -> Self {
        let optimizer = Optimizer::new(config, &model);
        let values = || weights(&model).into_iter().map(|weight| weight.values).collect();
        let ema = config.ema_decay.map(|_| values());
        Self { config: config.clone(), model: Some(model), optimizer, ema }
    }

    /// The model as it is trained.
    pub fn model(&self) -> &M {
        self.model.as_ref().expect("the model is there between steps")
    }

    /// Puts other weights of the same kind in the place of the model's.
    pub(super) fn set_model(&mut self, model: M) {
        self.model = Some(model);
    }

    /// The model that is evaluated and kept: off the graph, with averaged weights if the config says
    /// so.
    pub fn averaged(&self) -> M {
        let model = self.model().valid();
        match &self.ema {
            Some(ema) => map_weights(model, |index, _| ema[index].clone()),
            None => model,
        }
    }

    /// One update from the batch `x`, with the config's learning rate times `factor`, and what `rng` draws
    /// for a loss that is an estimate ([`Neural::training_loss`]).
    ///
    /// # Shapes
    /// `x` is `[batch, variables]`, on the model's device.
    ///
    /// # Errors
    /// When the loss is not finite.
    pub fn step(
        &mut self,
        x: Tensor<2, M::Kind>,
        rng: &mut (dyn Rng + Send),
        factor: f64,
        want_norm: bool,
    ) -> Result<Step, NotFinite> {
        self.step_given(x, None, rng, factor, want_norm)
    }

    /// [`step`](Self::step) on −log p(x | y) where there are labels.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` and `labels` `[batch]`, on the model's device.
    ///
    /// # Errors
    /// When the loss is not finite.
    pub fn step_given(
        &mut self,
        x: Tensor<2, M::Kind>,
        labels: Option<Tensor<1, Int>>,
        rng: &mut (dyn Rng + Send),
        factor: f64,
        want_norm: bool,
    ) -> Result<Step, NotFinite> {
        // One way into the pool: from outside it, every parallel loop wakes a thread and waits for it.
        rayon::scope(|_| self.step_here(x, labels, rng, factor, want_norm))
    }

    fn step_here(
        &mut self,
        x: Tensor<2, M::Kind>,
        labels: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
        factor: f64,
        want_norm: bool,
    ) -> Result<Step, NotFinite> {
        let loss = self.model().training_loss(x.clone(), labels.clone(), rng).mean();
        let nll_nats = loss.clone().into_scalar::<f64>();
        let grads = collect(self.model(), loss.backward());
        if !nll_nats.is_finite() {
            let culprit = culprit(self.model(), x, labels, &grads);
            return Err(NotFinite { loss: nll_nats, culprit });
        }
        drop(loss);
        let model = self.model.take().expect("the model is there between steps");
        let (model, grad_norm) = self.optimizer.step(model, grads, factor, want_norm);
        self.model = Some(model);
        if let (Some(decay), Some(ema)) = (self.config.ema_decay, &mut self.ema) {
            let own = self.model.as_ref().map(weights).unwrap_or_default();
            for (average, weight) in ema.iter_mut().zip(own) {
                *average =
                    average.clone().mul_scalar(decay) + weight.values.mul_scalar(1.0 - decay);
            }
        }
        Ok(Step { nll_nats, grad_norm })
    }
}

/// The gradient of each weight, in the order of [`weights`].
fn collect<M: Neural>(model: &M, gradients: Gradients) -> Vec<Option<Tensor<1>>> {
    struct Collect {
        gradients: Gradients,
        found: Vec<Option<Tensor<1>>>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grad = param.val().grad_remove(&mut self.gradients);
            self.found.push(grad.map(|grad| {
                let n = grad.dims().iter().product::<usize>();
                grad.reshape([n])
            }));
        }
    }
    let mut visitor = Collect { gradients, found: Vec::new() };
    model.visit(&mut visitor);
    visitor.found
}

/// Which tensor left the finite numbers first, in words.
fn culprit<M: Neural>(
    model: &M,
    x: Tensor<2, M::Kind>,
    labels: Option<Tensor<1, Int>>,
    grads: &[Option<Tensor<1>>],
) -> String {
    let finite = |x: &Tensor<1>| host_f32(x.clone()).into_iter().all(f32::is_finite);
    let own = weights(model);
    if let Some(weight) = own.iter().find(|weight| !finite(&weight.values)) {
        return format!("the weight `{}` is not finite", weight.name);
    }
    if let Some(layer) = model.not_finite(x, labels) {
        return format!("all weights are finite, but the output of the layer `{layer}` is not");
    }
    let bad = own.iter().zip(grads).find(|(_, grad)| grad.as_ref().is_some_and(|g| !finite(g)));
    match bad {
        Some((weight, _)) => {
            format!("all weights are finite, but the gradient of `{}` is not", weight.name)
        }
        None => "all weights and gradients are finite: an example is outside the support".into(),
    }
}
