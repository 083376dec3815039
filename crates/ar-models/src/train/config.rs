//! The `[train]` table of a config.

use serde::{Deserialize, Serialize};

use crate::foundation::error::Error;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training set.
    pub epochs: usize,
    /// Examples per step; the last step of an epoch takes what is left.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// The update rule.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes over the run.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// Decoupled weight decay λ: every step also subtracts `learning_rate · λ · w`.
    #[serde(default)]
    pub weight_decay: f64,
    /// Largest Euclidean norm of the whole gradient; a longer one is scaled down to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average of the weights, which is then what is evaluated and
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// Evaluate the validation set only after every so many epochs, and after the last: for a model that trains much
    /// faster than it is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_every: Option<usize>,
    /// Stop after this many epochs without a better validation NLL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<usize>,
    /// Also write a checkpoint every so many steps, not only after every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_steps: Option<usize>,
}

fn batch_size() -> usize {
    100
}

/// The update rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1.
    Adam {
        /// Step size α.
        learning_rate: f64,
        /// Decay of the first moment.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the second moment.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// Added to the root of the second moment.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Tieleman and Hinton 2012, Neural Networks for Machine Learning, lecture 6.5. (Its name stays one
    /// word in a config.)
    #[serde(rename = "rmsprop")]
    RmsProp {
        /// Step size.
        learning_rate: f64,
        /// Decay of the mean square of the gradient.
        #[serde(default = "decay")]
        decay: f64,
        /// What is kept of the previous update; 0 for none.
        #[serde(default)]
        momentum: f64,
        /// Added to the root of the mean square.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Stochastic gradient descent with (heavy-ball) momentum.
    Sgd {
        /// Step size.
        learning_rate: f64,
        /// What is kept of the previous update; 0 for plain gradient descent.
        #[serde(default)]
        momentum: f64,
    },
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn decay() -> f64 {
    0.9
}

fn epsilon() -> f64 {
    1e-8
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam { learning_rate: 1e-3, beta_1: beta_1(), beta_2: beta_2(), epsilon: epsilon() }
    }
}

impl OptimizerConfig {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam { learning_rate, .. }
            | Self::RmsProp { learning_rate, .. }
            | Self::Sgd { learning_rate, .. } => *learning_rate,
        }
    }

    /// What is remembered of each weight, by name: for Adam the first and second moments, for
    /// RMSProp the mean square and the velocity, for SGD the velocity.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Self::Adam { .. } => &["first", "second"],
            Self::RmsProp { .. } => &["square", "velocity"],
            Self::Sgd { .. } => &["velocity"],
        }
    }
}

/// How the learning rate changes over the run, as a factor of the optimizer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// Always 1.
    Constant {
        /// Steps over which the factor first rises linearly from 0.
        #[serde(default)]
        warmup_steps: usize,
    },
    /// Half a cosine from 1 down to `final_factor` over the whole run.
    Cosine {
        /// Steps over which the factor first rises linearly from 0.
        #[serde(default)]
        warmup_steps: usize,
        /// The factor at the last step.
        #[serde(default)]
        final_factor: f64,
    },
    /// Multiplied by `factor` every `every_epochs` epochs.
    Step {
        /// Steps over which the factor first rises linearly from 0.
        #[serde(default)]
        warmup_steps: usize,
        /// Epochs between two reductions.
        every_epochs: usize,
        /// What the learning rate is multiplied by.
        factor: f64,
    },
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant { warmup_steps: 0 }
    }
}

impl ScheduleConfig {
    /// The factor at `step` (from 0) of a run of `steps`, of which `steps_per_epoch` make an epoch.
    ///
    /// ```
    /// use ar_models::train::ScheduleConfig;
    /// let cosine = ScheduleConfig::Cosine { warmup_steps: 0, final_factor: 0.0 };
    /// assert_eq!(cosine.factor(0, 101, 10), 1.0);
    /// assert!((cosine.factor(50, 101, 10) - 0.5).abs() < 1e-12);
    /// assert!(cosine.factor(100, 101, 10).abs() < 1e-12);
    /// ```
    pub fn factor(&self, step: usize, steps: usize, steps_per_epoch: usize) -> f64 {
        let (warmup_steps, base) = match *self {
            Self::Constant { warmup_steps } => (warmup_steps, 1.0),
            Self::Cosine { warmup_steps, final_factor } => {
                let from = step.saturating_sub(warmup_steps) as f64;
                let span = steps.saturating_sub(warmup_steps + 1).max(1) as f64;
                let cosine = 0.5 * (1.0 + (core::f64::consts::PI * (from / span).min(1.0)).cos());
                (warmup_steps, final_factor + (1.0 - final_factor) * cosine)
            }
            Self::Step { warmup_steps, every_epochs, factor } => {
                let epoch = step / steps_per_epoch.max(1);
                (warmup_steps, factor.powi((epoch / every_epochs.max(1)) as i32))
            }
        };
        if step < warmup_steps {
            base * (step + 1) as f64 / (warmup_steps + 1) as f64
        } else {
            base
        }
    }
}

impl TrainConfig {
    /// `epochs` passes with Adam and every other setting as it is when a config leaves it out.
    pub fn epochs(epochs: usize) -> Self {
        Self {
            epochs,
            batch_size: batch_size(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            weight_decay: 0.0,
            clip_norm: None,
            ema_decay: None,
            valid_every: None,
            early_stopping: None,
            checkpoint_steps: None,
        }
    }

    /// Whether the validation set is evaluated after this epoch, from 1.
    pub(super) fn validates_after(&self, epoch: usize) -> bool {
        epoch == self.epochs || self.valid_every.is_none_or(|every| epoch.is_multiple_of(every))
    }

    /// Whether a run of which so many epochs are over is what it would have been with these `epochs` from
    /// the start, though it was begun with others: where the learning rate of a step does not depend
    /// on how many there are, which that of a cosine does, and the last one would have been validated too.
    pub fn may_end_after(&self, epochs_done: usize) -> bool {
        !matches!(self.schedule, ScheduleConfig::Cosine { .. })
            && self.epochs >= epochs_done
            && self.validates_after(epochs_done)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first impossible value.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |key: &'static str, value: String, expected: &str| {
            Err(Error::Config { key, value, expected: expected.to_owned() })
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let fraction = |x: f64| (0.0..1.0).contains(&x);
        for (key, value) in [("train.epochs", self.epochs), ("train.batch_size", self.batch_size)] {
            if value == 0 {
                return refuse(key, value.to_string(), "at least 1");
            }
        }
        for (key, value) in [
            ("train.valid_every", self.valid_every),
            ("train.early_stopping", self.early_stopping),
            ("train.checkpoint_steps", self.checkpoint_steps),
        ] {
            if value == Some(0) {
                return refuse(key, "0".into(), "at least 1, or no such key");
            }
        }
        if !positive(self.optimizer.learning_rate()) {
            let value = self.optimizer.learning_rate().to_string();
            return refuse("train.optimizer.learning_rate", value, "a finite number above 0");
        }
        match self.optimizer {
            OptimizerConfig::Adam { beta_1, beta_2, epsilon, .. } => {
                if !fraction(beta_1) {
                    return refuse("train.optimizer.beta_1", beta_1.to_string(), "0 ≤ beta_1 < 1");
                }
                if !fraction(beta_2) {
                    return refuse("train.optimizer.beta_2", beta_2.to_string(), "0 ≤ beta_2 < 1");
                }
                if !positive(epsilon) {
                    let value = epsilon.to_string();
                    return refuse("train.optimizer.epsilon", value, "a finite number above 0");
                }
            }
            OptimizerConfig::RmsProp { decay, momentum, epsilon, .. } => {
                if !fraction(decay) {
                    return refuse("train.optimizer.decay", decay.to_string(), "0 ≤ decay < 1");
                }
                if !fraction(momentum) {
                    let value = momentum.to_string();
                    return refuse("train.optimizer.momentum", value, "0 ≤ momentum < 1");
                }
                if !positive(epsilon) {
                    let value = epsilon.to_string();
                    return refuse("train.optimizer.epsilon", value, "a finite number above 0");
                }
            }
            OptimizerConfig::Sgd { momentum, .. } => {
                if !fraction(momentum) {
                    let value = momentum.to_string();
                    return refuse("train.optimizer.momentum", value, "0 ≤ momentum < 1");
                }
            }
        }
        match self.schedule {
            ScheduleConfig::Constant { .. } => {}
            ScheduleConfig::Cosine { final_factor, .. } => {
                if !(0.0..=1.0).contains(&final_factor) {
                    let value = final_factor.to_string();
                    return refuse("train.schedule.final_factor", value, "0 to 1");
                }
            }
            ScheduleConfig::Step { every_epochs, factor, .. } => {
                if every_epochs == 0 {
                    return refuse("train.schedule.every_epochs", "0".into(), "at least 1");
                }
                if !(positive(factor) && factor <= 1.0) {
                    let value = factor.to_string();
                    return refuse("train.schedule.factor", value, "above 0, at most 1");
                }
            }
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            let value = self.weight_decay.to_string();
            return refuse("train.weight_decay", value, "a finite number, 0 or more");
        }
        if let Some(norm) = self.clip_norm
            && !positive(norm)
        {
            return refuse("train.clip_norm", norm.to_string(), "a finite number above 0");
        }
        if let Some(decay) = self.ema_decay
            && !fraction(decay)
        {
            return refuse("train.ema_decay", decay.to_string(), "0 ≤ ema_decay < 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_an_optimizer_are_checked() {
        let good = [0.9, 0.0, 1e-8];
        let check = |[decay, momentum, epsilon]: [f64; 3]| {
            let learning_rate = 1e-3;
            let optimizer = OptimizerConfig::RmsProp { learning_rate, decay, momentum, epsilon };
            TrainConfig { optimizer, ..TrainConfig::epochs(1) }.check()
        };
        check(good).unwrap();
        for (at, wrong, key) in [
            (0, 1.0, "train.optimizer.decay"),
            (0, f64::NAN, "train.optimizer.decay"),
            (1, -0.1, "train.optimizer.momentum"),
            (2, 0.0, "train.optimizer.epsilon"),
        ] {
            let mut values = good;
            values[at] = wrong;
            let error = check(values).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(&wrong.to_string()), "{error}");
        }
    }

    #[test]
    fn warm_up_rises_to_the_schedule() {
        let schedule = ScheduleConfig::Constant { warmup_steps: 3 };
        let factors: Vec<f64> = (0..5).map(|step| schedule.factor(step, 10, 5)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn the_step_schedule_counts_epochs() {
        let schedule = ScheduleConfig::Step { warmup_steps: 0, every_epochs: 2, factor: 0.1 };
        assert_eq!(schedule.factor(19, 100, 10), 1.0);
        assert!((schedule.factor(20, 100, 10) - 0.1).abs() < 1e-15);
        assert!((schedule.factor(40, 100, 10) - 0.01).abs() < 1e-15);
    }
}
