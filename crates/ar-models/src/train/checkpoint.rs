//! Everything a run needs to go on as if it had never stopped, in one file.
//!
//! The file is a safetensors of the weights, the optimizer's moments, the moving average and the best
//! weights so far, with the position in the run and the history as JSON in its metadata. Generators
//! need no state: their streams are named by seed and epoch (see [`crate::foundation::randomness`]).
//!
//! The file holds its own SHA-256, and what must be the same for a run to go on from it: the configs,
//! and digests of the data. It is written by [`crate::foundation::atomic_file`], so that at any moment it is either
//! the old one or the new one.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::{Checkpoints, EpochRecord, Run};
use crate::foundation::atomic_file::write_atomically;
use crate::foundation::error::Error;
use crate::foundation::store::{Arrays, NamedArray};

/// Name and version of the file format.
const FORMAT: &str = "chainrule-checkpoint-2";

/// What must be the same for a run to continue: every key of its configs, and what is known of its data,
/// by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity(BTreeMap<String, String>);

/// What the name of something known of the data begins with; a change of that may be accepted. (One of
/// the shape or the levels of an event has other names: no model can follow it.)
const CHANGEABLE: &str = "data: ";

impl Identity {
    pub(super) fn of(run: &Run<'_>) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        flatten("model", &value(run.model)?, &mut names);
        flatten("train", &value(run.config)?, &mut names);
        let levels = run.event.levels.map_or_else(|| "real numbers".into(), |n| n.to_string());
        let valid = run.valid.map_or_else(|| "none".into(), |set| set.len().to_string());
        for (name, value) in [
            ("seed", run.seed.to_string()),
            ("data.shape", format!("{:?}", run.event.shape)),
            ("data.levels", levels),
            ("data: training examples", run.train.len().to_string()),
            ("data: validation examples", valid),
        ] {
            names.insert(name.into(), value);
        }
        if let Some(checkpoint) = &run.checkpoint {
            let provenance = checkpoint.provenance.iter();
            names.extend(provenance.map(|(name, value)| (name.clone(), value.clone())));
        }
        Ok(Self(names))
    }

    /// Whether a run with `self` may go on from a checkpoint with `stored`, after so many epochs;
    /// `Ok(true)` if the data has changed since and that is accepted.
    fn check(&self, stored: &Self, run: &Run<'_>, epochs_done: usize) -> Result<bool, Error> {
        let mut has_changed = false;
        for name in self.0.keys().chain(stored.0.keys()) {
            let (ours, theirs) = (self.0.get(name), stored.0.get(name));
            if ours == theirs {
                continue;
            }
            if name == "train.epochs" && run.config.may_end_after(epochs_done) {
                continue;
            }
            let accept = run.checkpoint.as_ref().is_some_and(|c| c.accept_changed_data);
            if accept && name.starts_with(CHANGEABLE) {
                has_changed = true;
                continue;
            }
            let word = |value: Option<&String>| value.map_or("nothing", |value| value).to_owned();
            let (found, expected) = (word(theirs), word(ours));
            return Err(Error::OtherRun { key: name.clone(), found, expected });
        }
        Ok(has_changed)
    }
}

fn value(of: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(|e| Error::Stored(format!("not JSON: {e}")))
}

/// The leaves of a JSON value by their full names.
fn flatten(name: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, out);
            }
        }
        leaf => {
            out.insert(name.to_owned(), leaf.to_string());
        }
    }
}

/// The best weights so far.
#[derive(Clone, Debug)]
pub(super) struct Best {
    pub(super) epoch: usize,
    /// `None` where there is no validation set.
    pub(super) valid_nll_nats: Option<f64>,
    pub(super) weights: Vec<NamedArray>,
}

/// Where the run stands, between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Steps made in the whole run.
    pub(super) step: usize,
    /// Steps made in the epoch at hand.
    pub(super) step_of_epoch: usize,
    /// Sum of the NLL over the examples of the epoch so far, nats.
    pub(super) nll_sum: f64,
    /// Seconds spent in the epoch so far.
    pub(super) seconds: f64,
    /// The epochs that are over.
    pub(super) history: Vec<EpochRecord>,
    /// Epoch and validation NLL of the best weights. (JSON has no infinity to stand for "none".)
    pub(super) best: Option<(usize, Option<f64>)>,
}

/// A checkpoint in memory.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) position: Position,
    pub(super) optimizer_steps: u64,
    /// Weights (`weights.`), moments (`moments.`), average (`ema.`) and best weights (`best.`).
    pub(super) arrays: Vec<NamedArray>,
}

impl Checkpoint {
    pub(super) fn write(&self, path: &Path, identity: &Identity) -> Result<(), Error> {
        let arrays = Arrays {
            f32s: self.arrays.clone(),
            f64s: Vec::new(),
            texts: vec![
                ("format".into(), FORMAT.into()),
                ("identity".into(), json(identity)?),
                ("position".into(), json(&self.position)?),
                ("optimizer_steps".into(), self.optimizer_steps.to_string()),
            ],
        };
        write_atomically(path, &arrays.into_checked_bytes()?)
            .map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// The checkpoint of a run that `identity` is of, or `None` if there is none; and whether the data has
    /// changed since it was written.
    pub(super) fn read(
        checkpoints: &Checkpoints<'_>,
        identity: &Identity,
        run: &Run<'_>,
    ) -> Result<Option<(Self, bool)>, Error> {
        let path = checkpoints.path;
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // A device or a pipe may have no end.
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::Io { path: path.to_owned(), source });
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Error::Io { path: path.to_owned(), source });
            }
        };
        let place = |error: Error| match error {
            Error::Stored(reason) => Error::Stored(format!("{}: {reason}", path.display())),
            other => other,
        };
        let (arrays, is_checked) = Arrays::from_bytes(&bytes).map_err(place)?;
        let format = arrays.text("format").map_err(place)?;
        if format != FORMAT {
            return Err(place(Error::Stored(format!("format `{format}`, expected `{FORMAT}`"))));
        }
        if !is_checked {
            return Err(place(Arrays::unchecked()));
        }
        let stored: Identity = parse(&arrays, "identity").map_err(place)?;
        let position: Position = parse(&arrays, "position").map_err(place)?;
        let has_changed = identity.check(&stored, run, position.history.len())?;
        let optimizer_steps = parse(&arrays, "optimizer_steps").map_err(place)?;
        Ok(Some((Self { position, optimizer_steps, arrays: arrays.f32s }, has_changed)))
    }

    /// The arrays whose names start with `prefix`, without it.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<NamedArray> {
        let strip = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        self.arrays
            .iter()
            .filter_map(|(name, shape, x)| Some((strip(name)?, shape.clone(), x.clone())))
            .collect()
    }
}

/// The JSON entry `key` of the file's metadata.
fn parse<T: DeserializeOwned>(arrays: &Arrays, key: &str) -> Result<T, Error> {
    serde_json::from_str(arrays.text(key)?)
        .map_err(|e| Error::Stored(format!("entry `{key}`: {e}")))
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Stored(format!("not JSON: {e}")))
}
