//! What a model trained by gradients offers beside the traits of prob-core.

use ar_kernels::Isa;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use super::tensors::same_label;
use super::walker::Walker;
use crate::foundation::error::Error;
pub use crate::parts::tensors::{device_of, event_symbols, event_tensor, host_f64, label_tensor};
pub use crate::parts::value::ValueKind;

/// A value of a model on the host.
pub type HostOf<M> = <<M as Neural>::Kind as ValueKind>::Host;

/// A model with trainable weights over rows of symbols or of real numbers.
pub trait Neural:
    Module
    + Sync
    + Density<Event = Tensor<2, Self::Kind>>
    + Sample
    + Autoregressive<Conditional: Density<Event = Tensor<1, Self::Kind>>>
{
    /// What the variables are.
    type Kind: ValueKind;

    /// The order of the walk.
    fn ordering(&self) -> &Ordering;

    /// log p(x_i | those before it) for each variable, in event order; `-inf` for a symbol outside
    /// the support, and for what comes after one in the order of the walk.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]`.
    fn log_prob_per_variable(&self, x: Tensor<2, Self::Kind>) -> Tensor<2>;

    /// Draws what is not observed, in the order of the walk; equal to the plain walk
    /// ([`crate::parts::walk::complete`]) draw for draw, or of a model that takes any ordering along one that starts
    /// with what is observed.
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order, `None` where the value is to be drawn.
    fn complete(&self, observed: &[Option<HostOf<Self>>], rng: &mut dyn Rng) -> Vec<HostOf<Self>>;

    /// What the model makes of a whole event on its way through it: its hidden units after all
    /// variables, or the mean of its maps. `None` for a model without hidden units.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch, features]`.
    fn features(&self, x: Tensor<2, Self::Kind>) -> Option<Tensor<2>> {
        let _ = x;
        None
    }

    /// The walk for an entropy coder over `levels` symbols, on an instruction set where it has kernels;
    /// none for real numbers.
    fn walker(&self, levels: usize, isa: Isa) -> Option<Box<dyn Walker + '_>> {
        let _ = isa;
        Self::Kind::stepped(self, levels)
    }

    /// Number of classes of the labels that the model can be given; `None` for a model of x alone.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// log p(x | y) of a model with [`classes`](Self::classes), whose `log_prob` is the mixture over
    /// all y; log p(x) of any other, whatever the labels.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]`, `labels` and the result are `[batch]`.
    fn log_prob_given(&self, x: Tensor<2, Self::Kind>, labels: Tensor<1, Int>) -> Tensor<1> {
        let _ = labels;
        self.log_prob(x)
    }

    /// What training minimises, of each example in nats: −log p(x), or −log p(x | y) where there are labels.
    ///
    /// A model that is one of many distributions may instead give an unbiased estimate of the mean of
    /// −log p(x) over them, with what `rng` draws; then `log_prob` is as exact as ever, but not this.
    ///
    /// # Shapes
    /// `x` is `[batch, variables]`, `labels` and the result are `[batch]`.
    fn training_loss(
        &self,
        x: Tensor<2, Self::Kind>,
        labels: Option<Tensor<1, Int>>,
        rng: &mut dyn Rng,
    ) -> Tensor<1> {
        let _ = rng;
        match labels {
            Some(labels) => self.log_prob_given(x, labels).neg(),
            None => self.log_prob(x).neg(),
        }
    }

    /// What stands for the model when weights are selected after an epoch: where a mixture's members share
    /// their weights, the first of them, at a fraction of the cost.
    #[must_use]
    fn for_validation(self) -> Self {
        self
    }

    /// log p(x | y) for every class y of a model with [`classes`](Self::classes).
    ///
    /// # Shapes
    /// `x` is `[batch, variables]` in event order; returns `[batch, classes]`.
    ///
    /// # Panics
    /// When the model has no classes.
    fn log_prob_per_class(&self, x: Tensor<2, Self::Kind>) -> Tensor<2> {
        let classes = self.classes().expect("the model has classes");
        let (rows, device) = (x.dims()[0], x.device());
        let of = |class| self.log_prob_given(x.clone(), same_label(class, rows, &device));
        Tensor::stack((0..classes).map(of).collect(), 1)
    }

    /// log p(x_i | those before it, y) for each variable of a model with [`classes`](Self::classes), in
    /// event order; without y of any other, whatever the labels.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]`, `labels` is `[batch]`.
    fn log_prob_per_variable_given(
        &self,
        x: Tensor<2, Self::Kind>,
        labels: Tensor<1, Int>,
    ) -> Tensor<2> {
        let _ = labels;
        self.log_prob_per_variable(x)
    }

    /// [`complete`](Self::complete) given each row's label, of a model with [`classes`](Self::classes);
    /// whatever the labels, of any other.
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order, `labels` `[n]`.
    fn complete_given(
        &self,
        observed: &[Option<HostOf<Self>>],
        labels: &[u8],
        rng: &mut dyn Rng,
    ) -> Vec<HostOf<Self>> {
        let _ = labels;
        self.complete(observed, rng)
    }

    /// Number of free parameters: all weights, but those that are never used.
    fn free_parameters(&self) -> usize {
        self.num_params()
    }

    /// Examples to evaluate at a time.
    fn batch(&self) -> usize {
        500
    }

    /// The first layer, in the order of computation, whose output for the batch `x` (and its labels) is
    /// not finite; `None` too where the model has no layers to tell apart.
    fn not_finite(
        &self,
        x: Tensor<2, Self::Kind>,
        labels: Option<Tensor<1, Int>>,
    ) -> Option<String> {
        let _ = (x, labels);
        None
    }
}

/// One named weight, flat.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Path in the module, for example `layers.0.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in row-major order, detached.
    pub values: Tensor<1>,
}

/// The weights of a module in a fixed order, detached from any graph.
pub fn weights<M: Module>(module: &M) -> Vec<Weight> {
    struct Collect {
        path: Vec<String>,
        found: Vec<Weight>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
            self.found.push(Weight {
                name: self.path.join("."),
                shape: tensor.dims().to_vec(),
                values: flat(tensor),
            });
        }
    }
    let mut collect = Collect { path: Vec::new(), found: Vec::new() };
    module.visit(&mut collect);
    collect.found
}

/// `[n]` from any shape.
fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let n = tensor.dims().iter().product::<usize>();
    tensor.reshape([n])
}

/// The module with each weight replaced by `f(index, flat values)`, where the index counts in the
/// order of [`weights`].
pub fn map_weights<M: Module>(module: M, f: impl FnMut(usize, Tensor<1>) -> Tensor<1>) -> M {
    struct Replace<F> {
        next: usize,
        f: F,
    }
    impl<F: FnMut(usize, Tensor<1>) -> Tensor<1>> ModuleMapper for Replace<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let index = self.next;
            self.next += 1;
            let (id, tensor, mapper) = param.consume();
            let shape = tensor.dims();
            let tracked = tensor.device().is_autodiff();
            let tensor = if tracked { tensor.inner() } else { tensor };
            let tensor = (self.f)(index, flat(tensor)).reshape(shape);
            let tensor = if tracked { Tensor::from_inner(tensor).require_grad() } else { tensor };
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    module.map(&mut Replace { next: 0, f })
}

/// The module with the weights that `named` holds, matched by name and shape.
///
/// # Errors
/// When a weight is missing, has another shape, or is one too many.
pub fn load_weights<M: Module>(
    module: M,
    named: &[(String, Vec<usize>, Vec<f32>)],
) -> Result<M, Error> {
    let own = weights(&module);
    let mut values = Vec::with_capacity(own.len());
    for weight in &own {
        let Some((_, shape, data)) = named.iter().find(|(name, ..)| *name == weight.name) else {
            return Err(Error::Stored(format!("the stored weights have no `{}`", weight.name)));
        };
        if *shape != weight.shape {
            return Err(Error::Stored(format!(
                "the stored weight `{}` has shape {shape:?}, the config makes it {:?}",
                weight.name, weight.shape
            )));
        }
        values.push(data);
    }
    if let Some((name, ..)) = named.iter().find(|(name, ..)| own.iter().all(|w| w.name != *name)) {
        return Err(Error::Stored(format!("the stored weight `{name}` is not part of this model")));
    }
    Ok(map_weights(module, |index, old| {
        Tensor::from_data(TensorData::new(values[index].clone(), old.dims()), &old.device())
    }))
}
