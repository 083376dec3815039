//! Autoregressive models with an exact likelihood: p(x) = Π p(x_t | x_<t), trained, evaluated and drawn
//! from through one set of traits.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`nade`], [`orderless`], [`made`], [`logistic`], [`rnade`], [`pixel`] | the models trained by gradients |
//! | [`tables`], [`window`] | tables over columns of categories, a Parzen window over any events: fitted, not trained |
//! | [`model`] | every model, the tables of prob-core included, behind one enum on host symbols |
//! | [`config`] | `[model]` as it stands in a file, checked against the data |
//! | [`train`] | optimizers, schedules, checkpoints; one step or a whole run |
//! | [`scoring`] | the negative log-likelihood of a set, in all and per variable |
//! | [`classification`] | Bayes' rule over classes: posteriors, accuracy, calibration |
//! | [`codec`] | lossless compression: the walk with an entropy coder |
//! | [`probe`] | how much of the labels can be read off features, by simple means |
//! | [`walk`] | sampling and completion: the walk over t with dice or a mask |
//! | [`neural`] | what models with weights have in common |
//! | [`columns`] | events whose variables are of different types |
//! | [`examples`] | what models learn from: rows by index, wherever they come from |
//! | [`standardization`] | real variables in units of their mean and standard deviation |
//! | [`randomness`] | one seed, many named streams |
//! | [`atomic_file`] | files that are whole or not there |
//!
//! Models never see files: a caller hands in [`examples::Examples`] and takes bytes out
//! ([`model::Model::to_bytes`]). Only a run's checkpoint, if the caller names one, is written here.
//!
//! # Example
//! ```
//! use ar_models::{config::{EventSpec, ModelConfig}, examples::InMemory, scoring::evaluate};
//! use ar_models::train::{Run, TrainConfig, train};
//! use burn::tensor::Device;
//!
//! // Two bits that are always alike.
//! let data = InMemory::new([0, 0, 1, 1].repeat(200), 2);
//! let ordering = Default::default();
//! let model = ModelConfig::Nade { hidden: 4, ordering, init_scale: 0.1, classes: None, components: 1, likelihood: Default::default() };
//! let mut config = TrainConfig::epochs(200);
//! config.batch_size = 10;
//! let run = Run {
//!     model: &model,
//!     event: &EventSpec::symbols(vec![2], 2),
//!     config: &config,
//!     seed: 1,
//!     device: &Device::default(),
//!     train: &data,
//!     valid: None,
//!     checkpoint: None,
//! };
//! let trained = train(&run, &mut ())?;
//! // One coin flip is all there is to know: ln 2, not 2 ln 2.
//! let nll_nats = evaluate(&trained.model, &data, |_| ()).nll_nats;
//! assert!(nll_nats > 2.0_f64.ln() && nll_nats < 1.1 * 2.0_f64.ln(), "{nll_nats}");
//! # Ok::<(), ar_models::Error>(())
//! ```

mod foundation;
mod kinds;
pub mod model;
mod parts;
mod tasks;
pub mod train;

pub use foundation::error::Error;
pub use foundation::{atomic_file, examples, randomness, standardization};
pub use kinds::*;
pub use model::config;
pub use parts::{columns, neural, walk};
pub use tasks::{classification, codec, probe, scoring};

pub use ar_kernels::memory::keep_freed as keep_freed_memory;
pub use ar_kernels::{Isa, hardware};

/// The example of README.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
