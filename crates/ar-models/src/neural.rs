//! What a model trained by gradients offers beside the traits of prob-core.

use ar_kernels::Isa;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::kind::Basic;
use burn::tensor::{DType, Device, Float, Int, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::error::Error;
use crate::examples::{Examples, Values};
use crate::walk::{Stepped, Walker};

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
    fn stepped<M: Neural<Kind = Self>>(model: &M, levels: usize) -> Option<Box<dyn Walker + '_>>;
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

    fn stepped<M: Neural<Kind = Self>>(model: &M, levels: usize) -> Option<Box<dyn Walker + '_>> {
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

    fn stepped<M: Neural<Kind = Self>>(_: &M, _: usize) -> Option<Box<dyn Walker + '_>> {
        None
    }
}

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
    /// ([`crate::walk::complete`]) draw for draw, or of a model that takes any ordering along one that starts
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

/// The precision of real values in the units of the data: double where the device computes in it, since
/// in single precision neighbours near 1.7e9, a time in seconds, are 128 apart.
pub(crate) fn data_dtype(device: &Device) -> DType {
    if device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 }
}

/// The device that a module's weights are on.
pub fn device_of<M: Module>(module: &M) -> Device {
    module.devices().into_iter().next().unwrap_or_default()
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
