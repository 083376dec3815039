//! A training run, where its checkpoints go, and what is known after each epoch.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use crate::foundation::event::EventSpec;
use crate::foundation::examples::Examples;
use crate::model::config::ModelConfig;

/// One training run: what is trained, on what, and where its checkpoints go.
pub struct Run<'a> {
    /// The model.
    pub model: &'a ModelConfig,
    /// What an event looks like.
    pub event: &'a EventSpec,
    /// How a neural model is trained; tabular models ignore it.
    pub config: &'a TrainConfig,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// Where to compute; a device without autodiff.
    pub device: &'a Device,
    /// The training set.
    pub train: &'a dyn Examples,
    /// The set that selects the weights; without one the last epoch's are kept.
    pub valid: Option<&'a dyn Examples>,
    /// Where checkpoints go; none are written without it.
    pub checkpoint: Option<Checkpoints<'a>>,
}

/// Where the checkpoints of a run go, and how it goes on from one.
#[derive(Clone, Debug)]
pub struct Checkpoints<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whether to continue from the file, if it is there.
    pub resume: bool,
    /// What else must be the same for the run to continue, by name. What is known of the data, such as a
    /// digest, has a name that begins with `data: `.
    pub provenance: BTreeMap<String, String>,
    /// Whether to continue though the data, by its number of examples or by `provenance`, is not what
    /// it was; the epoch at hand then starts anew.
    pub accept_changed_data: bool,
}

impl<'a> Checkpoints<'a> {
    /// Checkpoints in this file, of a run that starts at its first step.
    pub fn at(path: &'a Path) -> Self {
        let provenance = BTreeMap::new();
        Self { path, resume: false, provenance, accept_changed_data: false }
    }

    /// The same, of a run that continues from the file, if it is there.
    #[must_use]
    pub fn resume(self) -> Self {
        Self { resume: true, ..self }
    }
}

/// What is known after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Steps so far in the run.
    pub step: usize,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean over the epoch of the batches' training loss, each before its step, in nats per example: the NLL
    /// (given the label, of a model with classes), or of an order-agnostic model the estimate of its mean
    /// over orderings.
    pub train_nll_nats: f64,
    /// NLL of the validation set after the epoch, in nats per example; given the label, of a model with
    /// classes where the set has labels; along its first ordering, of an ensemble over orderings. None without such a
    /// set, and after an epoch that [`TrainConfig::valid_every`] passes over.
    pub valid_nll_nats: Option<f64>,
    /// Whether these are the best weights so far.
    pub best: bool,
    /// Euclidean norm of the gradient of the epoch's last step, before clipping.
    pub grad_norm: Option<f64>,
    /// Time that the epoch took, its evaluation included.
    pub seconds: f64,
}
