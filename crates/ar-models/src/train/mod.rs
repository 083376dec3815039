//! Training: from a config and examples to the best weights.
//!
//! Tabular models are fitted by counting, in one pass. Neural ones minimise the mean negative
//! log-likelihood by stochastic gradients:
//!
//! ```text
//! for each epoch, for each batch:   loss = −mean log p(x);   update by ∇ loss
//! after each epoch:                 evaluate on validation, keep the weights if they are the best yet
//! ```
//!
//! A model with classes is trained and validated on −log p(x | y), y the example's label. An order-agnostic
//! one is trained on an estimate of its mean NLL over all orderings ([`crate::kinds::orderless`]), whose draws are
//! a function of the seed and the step, and validated exactly.
//!
//! Everything random is a function of the seed and the epoch, and a [checkpoint] holds
//! everything else, so a run that is killed at any moment and resumed ends with the same weights, bit
//! for bit, as one that was left alone.

pub mod checkpoint;
mod config;
mod optimizer;
mod run;
mod stepper;

use std::time::Instant;

use burn::tensor::Device;
use rand::RngExt;

use crate::foundation::error::Error;
use crate::foundation::event::{EventSpec, check_values};
use crate::foundation::examples::{Examples, all_labels, for_chunks};
use crate::foundation::randomness::{Purpose, stream};
use crate::foundation::store::NamedArray;
use crate::model::config::{Checked, ModelConfig};
use crate::model::{Model, host_f32, network};
use crate::parts::neural::{Neural, Weight, load_weights, weights};
use crate::parts::tensors::label_tensor;
use crate::parts::value::ValueKind;
use crate::tasks::scoring::{evaluate, evaluate_given, usable_labels};
use checkpoint::{Best, Checkpoint, Identity};
pub use config::{OptimizerConfig, ScheduleConfig, TrainConfig};
pub use run::{Checkpoints, EpochRecord, Run};
pub use stepper::{NotFinite, Step, Stepper};

/// Who is told how a run goes.
pub trait Observer {
    /// The run continues after these epochs.
    fn resumed(&mut self, history: &[EpochRecord]) {
        let _ = history;
    }

    /// A step was made: `step` of `steps` in epoch `epoch` (all from 1), with this loss before it.
    fn step(&mut self, epoch: usize, step: usize, steps: usize, nll_nats: f64) {
        let _ = (epoch, step, steps, nll_nats);
    }

    /// An epoch is over and, where there is a checkpoint file, in it.
    fn epoch(&mut self, record: &EpochRecord) {
        let _ = record;
    }
}

/// Nobody is told.
impl Observer for () {}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model with the best weights.
    pub model: Model,
    /// One record per epoch.
    pub history: Vec<EpochRecord>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
}

/// Trains or fits `run.model`.
///
/// # Errors
/// When a config is impossible, the data is empty, is not such events or does not suit the model,
/// the loss leaves the finite numbers, or a checkpoint cannot be read or written or belongs to
/// another run.
pub fn train(run: &Run<'_>, observer: &mut dyn Observer) -> Result<Trained, Error> {
    let checked = run.model.checked(run.event)?;
    run.event.check_rows("training", run.train)?;
    if let Some(valid) = run.valid {
        check_validation(run.event, valid)?;
    }
    if !run.model.is_neural() {
        return fit(run, checked, observer);
    }
    run.config.check()?;
    check_labels(run.model, "training", run.train)?;
    if let Some(valid) = run.valid
        && all_labels(valid).is_some()
    {
        check_labels(run.model, "validation", valid)?;
    }
    if let (Some(patience), None) = (run.config.early_stopping, run.valid) {
        return Err(Error::Config {
            key: "train.early_stopping",
            value: patience.to_string(),
            expected: "no such key where there is no validation set".into(),
        });
    }
    let device = run.device.clone().autodiff();
    let model = Model::init_checked(checked, run.train, run.seed, &device)?;
    network!(model, model => descend(run, &device, model, observer))
}

/// Checks that the rows of a validation set are such events, in one pass. Those of the training set
/// are checked where its means are taken.
fn check_validation(event: &EventSpec, valid: &dyn Examples) -> Result<(), Error> {
    event.check_rows("validation", valid)?;
    for_chunks(valid, 0, |first, values| check_values("validation", first, event, values))
}

/// Checks that a model with classes can be given the labels of a set, which an error calls `name`.
///
/// # Errors
/// When the set has no labels, or one that is not below the classes.
pub fn check_labels(
    model: &ModelConfig,
    name: &'static str,
    set: &dyn Examples,
) -> Result<(), Error> {
    let Some(classes) = model.classes() else {
        return Ok(());
    };
    let labels = all_labels(set);
    match labels.as_deref().map(|labels| labels.iter().copied().max()) {
        Some(None) => Ok(()),
        Some(Some(label)) if usize::from(label) < classes => Ok(()),
        found => Err(Error::Labels { classes, set: name, found: found.flatten() }),
    }
}

/// Fits a tabular model or a window: one pass, one record.
fn fit(run: &Run<'_>, checked: Checked<'_>, observer: &mut dyn Observer) -> Result<Trained, Error> {
    let start = Instant::now();
    let model = Model::fit_checked(checked, run.train)?;
    let nll = |set: &dyn Examples| evaluate(&model, set, |_| ()).nll_nats;
    // Under a window each training row has a kernel of its own, which says nothing about others.
    let train_nll_nats = match &model {
        Model::Kernel(window) => window.leave_one_out_nll_nats().unwrap_or_else(|| nll(run.train)),
        _ => nll(run.train),
    };
    let record = EpochRecord {
        epoch: 1,
        step: 1,
        learning_rate: 0.0,
        train_nll_nats,
        valid_nll_nats: run.valid.filter(|set| !set.is_empty()).map(nll),
        best: true,
        grad_norm: None,
        seconds: start.elapsed().as_secs_f64(),
    };
    observer.epoch(&record);
    Ok(Trained { model, history: vec![record], best_epoch: 1 })
}

/// How many epochs are over in the checkpoint that a run would continue from; `None` if it would start at
/// its first step. Nothing is trained or written.
///
/// # Errors
/// When the checkpoint cannot be read, or belongs to another run.
pub fn epochs_done(run: &Run<'_>) -> Result<Option<usize>, Error> {
    let Some(checkpoint) = run.checkpoint.as_ref().filter(|checkpoint| checkpoint.resume) else {
        return Ok(None);
    };
    let stored = Checkpoint::read(checkpoint, &Identity::of(run)?, run)?;
    Ok(stored.map(|(stored, _)| stored.position.history.len()))
}

/// Trains a neural model by stochastic gradients.
fn descend<M: Neural + Into<Model>>(
    run: &Run<'_>,
    device: &Device,
    model: M,
    observer: &mut dyn Observer,
) -> Result<Trained, Error> {
    let mut descent = Descent::start(run, device, model)?;
    if !descent.position.history.is_empty() {
        observer.resumed(&descent.position.history);
    }
    while !descent.is_over() {
        descent.epoch(observer)?;
    }
    descent.finish()
}

/// A run between two steps.
struct Descent<'a, M> {
    run: &'a Run<'a>,
    identity: Identity,
    device: &'a Device,
    stepper: Stepper<M>,
    position: checkpoint::Position,
    best: Option<Best>,
}

impl<'a, M: Neural + Into<Model>> Descent<'a, M> {
    /// At the first step, or where the checkpoint left off.
    fn start(run: &'a Run<'a>, device: &'a Device, model: M) -> Result<Self, Error> {
        let stepper = Stepper::new(model, run.config);
        let identity = Identity::of(run)?;
        let position = checkpoint::Position::default();
        let stored = match run.checkpoint.as_ref().filter(|checkpoint| checkpoint.resume) {
            Some(checkpoint) => Checkpoint::read(checkpoint, &identity, run)?,
            None => None,
        };
        let mut descent = Self { run, identity, device, stepper, position, best: None };
        if let Some((stored, has_changed)) = stored {
            descent.restore(stored)?;
            if has_changed {
                // The order of the examples is that of other examples.
                let done: usize = descent.position.step_of_epoch;
                descent.position.step -= done;
                descent.position.step_of_epoch = 0;
                descent.position.nll_sum = 0.0;
            }
        }
        Ok(descent)
    }

    fn restore(&mut self, stored: Checkpoint) -> Result<(), Error> {
        let own = weights(self.stepper.model());
        let model = load_weights(self.stepper.model().clone(), &stored.with_prefix("weights."))?;
        let moments = stored.with_prefix("moments.");
        self.stepper.optimizer.restore(&own, stored.optimizer_steps, |name| {
            moments.iter().find(|(found, ..)| found == name).map(|(.., values)| values.clone())
        })?;
        if let Some(ema) = &mut self.stepper.ema {
            let averaged = load_weights(model.clone(), &stored.with_prefix("ema."))?;
            *ema = weights(&averaged).into_iter().map(|weight| weight.values).collect();
        }
        self.stepper.set_model(model);
        self.best = stored.position.best.map(|(epoch, valid_nll_nats)| Best {
            epoch,
            valid_nll_nats,
            weights: stored.with_prefix("best."),
        });
        self.position = stored.position;
        Ok(())
    }

    /// Epochs that are over.
    fn epochs_done(&self) -> usize {
        self.position.history.len()
    }

    fn is_over(&self) -> bool {
        let done = self.epochs_done();
        let best = self.best.as_ref().map_or(0, |best| best.epoch);
        let patience_lost = |patience| done >= best + patience;
        done >= self.run.config.epochs || self.run.config.early_stopping.is_some_and(patience_lost)
    }

    /// The rest of the epoch at hand, and its evaluation.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<(), Error> {
        let start = Instant::now();
        let before = self.position.seconds;
        let config = self.run.config;
        let epoch = self.epochs_done() + 1;
        let examples = self.run.train.len();
        let order = shuffled(examples, self.run.seed, epoch);
        let batches: Vec<&[usize]> = order.chunks(config.batch_size).collect();
        let steps = batches.len();
        let mut values = Vec::new();
        let mut grad_norm = None;
        while self.position.step_of_epoch < steps {
            let rows = batches[self.position.step_of_epoch];
            M::Kind::read(self.run.train, epoch as u64, rows, &mut values);
            let last = self.position.step_of_epoch + 1 == steps;
            let x = M::Kind::to_device(&values, self.run.event.variables(), self.device);
            let factor = self.factor(self.position.step, steps);
            let labels = match self.stepper.model().classes() {
                Some(_) => self.run.train.labels(rows),
                None => None,
            };
            let labels = labels.map(|labels| label_tensor(&labels, self.device));
            let mut rng = stream(self.run.seed, Purpose::TrainingLoss, self.position.step as u64);
            let step =
                self.stepper.step_given(x, labels, &mut rng, factor, last).map_err(|error| {
                    Error::NonFinite {
                        loss: error.loss,
                        epoch,
                        step: self.position.step + 1,
                        learning_rate: config.optimizer.learning_rate() * factor,
                        culprit: error.culprit,
                    }
                })?;
            grad_norm = step.grad_norm;
            self.position.nll_sum += step.nll_nats * rows.len() as f64;
            self.position.step += 1;
            self.position.step_of_epoch += 1;
            self.position.seconds = before + start.elapsed().as_secs_f64();
            observer.step(epoch, self.position.step_of_epoch, steps, step.nll_nats);
            if !last
                && config.checkpoint_steps.is_some_and(|n| self.position.step.is_multiple_of(n))
            {
                self.checkpoint()?;
            }
        }

        let averaged = self.stepper.averaged();
        let valid_nll_nats = match self.run.valid {
            Some(valid) if !valid.is_empty() && config.validates_after(epoch) => {
                let model = averaged.clone().for_validation().into();
                Some(match usable_labels(&model, valid) {
                    Some(labels) => evaluate_given(&model, valid, &labels, |_| ()).nll_nats,
                    None => evaluate(&model, valid, |_| ()).nll_nats,
                })
            }
            _ => None,
        };
        let best = match (valid_nll_nats, &self.best) {
            (Some(now), Some(best)) => best.valid_nll_nats.is_none_or(|before| now < before),
            // NaN never is the best. Without validation the last weights are.
            (Some(now), None) => now.is_finite(),
            (None, _) => self.run.valid.is_none_or(Examples::is_empty),
        };
        if best {
            self.best =
                Some(Best { epoch, valid_nll_nats, weights: named(weights(&averaged), "") });
        }
        let record = EpochRecord {
            epoch,
            step: self.position.step,
            learning_rate: config.optimizer.learning_rate()
                * self.factor(self.position.step - 1, steps),
            train_nll_nats: self.position.nll_sum / examples as f64,
            valid_nll_nats,
            best,
            grad_norm,
            seconds: before + start.elapsed().as_secs_f64(),
        };
        self.position.history.push(record.clone());
        self.position.step_of_epoch = 0;
        self.position.nll_sum = 0.0;
        self.position.seconds = 0.0;
        self.checkpoint()?;
        observer.epoch(&record);
        Ok(())
    }

    /// What the schedule makes of the learning rate at `step` of the run.
    fn factor(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let steps = steps_per_epoch * self.run.config.epochs;
        self.run.config.schedule.factor(step, steps, steps_per_epoch)
    }

    fn checkpoint(&self) -> Result<(), Error> {
        let Some(Checkpoints { path, .. }) = self.run.checkpoint else {
            return Ok(());
        };
        let Stepper { optimizer, ema, .. } = &self.stepper;
        let own = weights(self.stepper.model());
        let mut arrays = Vec::new();
        let (optimizer_steps, moments) = optimizer.state(&own);
        for (name, shape, values) in moments {
            arrays.push((format!("moments.{name}"), shape, host_f32(values)));
        }
        if let Some(ema) = ema {
            for (weight, values) in own.iter().zip(ema) {
                let name = format!("ema.{}", weight.name);
                arrays.push((name, weight.shape.clone(), host_f32(values.clone())));
            }
        }
        arrays.extend(named(own, "weights."));
        let mut position = self.position.clone();
        if let Some(best) = &self.best {
            position.best = Some((best.epoch, best.valid_nll_nats));
            let best = best.weights.iter();
            arrays.extend(
                best.map(|(name, shape, x)| (format!("best.{name}"), shape.clone(), x.clone())),
            );
        }
        Checkpoint { position, optimizer_steps, arrays }.write(path, &self.identity)
    }

    /// The model with the best weights. Where validation never was finite, the last ones.
    fn finish(self) -> Result<Trained, Error> {
        let last = self.stepper.averaged();
        let (best_epoch, model) = match self.best {
            Some(best) => (best.epoch, load_weights(last, &best.weights)?),
            None => (self.position.history.len(), last),
        };
        let mut values = named(weights(&model), "");
        values.retain(|(_, _, values)| values.iter().any(|value| !value.is_finite()));
        if let Some((name, ..)) = values.first() {
            // Such weights give no likelihood to anything.
            return Err(Error::NonFinite {
                loss: f64::NAN,
                epoch: best_epoch,
                step: self.position.step,
                learning_rate: self.run.config.optimizer.learning_rate(),
                culprit: format!("the weights `{name}` are not finite after the last step"),
            });
        }
        Ok(Trained { model: model.into(), history: self.position.history, best_epoch })
    }
}

/// Weights on the host, their names behind `prefix`.
fn named(weights: Vec<Weight>, prefix: &str) -> Vec<NamedArray> {
    let named = |weight: Weight| {
        (format!("{prefix}{}", weight.name), weight.shape, host_f32(weight.values))
    };
    weights.into_iter().map(named).collect()
}

/// The order of the examples in an epoch: Fisher and Yates from the epoch's own stream.
fn shuffled(examples: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = stream(seed, Purpose::Shuffle, epoch as u64);
    let mut order: Vec<usize> = (0..examples).collect();
    for i in (1..examples).rev() {
        order.swap(i, rng.random_range(0..=i as u64) as usize);
    }
    order
}
