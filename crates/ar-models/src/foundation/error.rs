//! What can go wrong between a config and a trained model.

use std::path::PathBuf;

/// An error of this crate: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of a config has an impossible value.
    #[error("`{key} = {value}`, expected {expected}")]
    Config {
        /// Full key, for example `model.hidden`.
        key: &'static str,
        /// What the config says.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// The model cannot describe such data.
    #[error("model `{model}` needs {needed}, the data has {found}")]
    Mismatch {
        /// Kind of the model.
        model: &'static str,
        /// What it takes.
        needed: String,
        /// What the data is.
        found: String,
    },
    /// A structure or table of prob-core is impossible.
    #[error(transparent)]
    Prob(#[from] prob_core::Error),
    /// A real variable that never changes.
    #[error(
        "variable {variable} (from 0) is {value} in all {rows} training rows, expected at least two \
         values: its density would be infinite"
    )]
    Constant {
        /// Index in the event, from 0.
        variable: usize,
        /// Its one value.
        value: f64,
        /// Training rows.
        rows: usize,
    },
    /// A set whose rows are not the events that they are said to be.
    #[error("the {set} set has rows of {found}, expected {expected}")]
    Rows {
        /// Which set.
        set: &'static str,
        /// Values of a row, in words.
        found: String,
        /// What the event asks for.
        expected: String,
    },
    /// A value that no variable can have.
    #[error(
        "the {set} set has {found} in row {row}, variable {variable} (both from 0), expected {expected}"
    )]
    Value {
        /// Which set.
        set: &'static str,
        /// Row, from 0.
        row: usize,
        /// Index in the event, from 0.
        variable: usize,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// There is nothing to train on.
    #[error("the {0} set is empty, expected at least one example")]
    Empty(&'static str),
    /// A model that is given labels and a set that does not have them.
    #[error(
        "`model.classes = {classes}` needs labels below {classes}, the {set} set has {}",
        found.map_or_else(|| "none".to_owned(), |label| format!("the label {label}"))
    )]
    Labels {
        /// Classes of the model.
        classes: usize,
        /// Which set.
        set: &'static str,
        /// The largest label, if there are any.
        found: Option<u8>,
    },
    /// Training left the finite numbers.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step} (learning rate {learning_rate:.3e}); \
         {culprit}"
    )]
    NonFinite {
        /// The loss.
        loss: f64,
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the whole run, from 1.
        step: usize,
        /// Learning rate of that step.
        learning_rate: f64,
        /// Which tensor left the finite numbers first.
        culprit: String,
    },
    /// A stored model or checkpoint does not fit.
    #[error("{0}")]
    Stored(String),
    /// A compressed file is not decoded.
    #[error(transparent)]
    Compressed(#[from] crate::foundation::fault::Fault),
    /// A checkpoint belongs to another run.
    #[error("the checkpoint was written with `{key}` = {found}, this run has {expected}")]
    OtherRun {
        /// What differs, for example `model.hidden`.
        key: String,
        /// What the checkpoint has.
        found: String,
        /// What this run has.
        expected: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
