//! Exact probability over burn tensors: distributions, factorizations of a joint distribution,
//! orderings, parameter counts, and the laws that every model obeys.
//!
//! Any joint distribution factors exactly along any ordering of its variables,
//!
//! ```text
//! p(x) = Π_t p(x_t | x_<t)
//! ```
//!
//! and a model is a choice of the ordering and of what each conditional may look at.
//!
//! | Module | What it holds |
//! |---|---|
//! | root | the traits [`Density`], [`Sample`], [`Autoregressive`] |
//! | [`dist`] | [`Bernoulli`](dist::Bernoulli), [`Categorical`](dist::Categorical), [`Normal`](dist::Normal), [`GaussianMixture`](dist::GaussianMixture), [`DiscretizedLogisticMixture`](dist::DiscretizedLogisticMixture) on a [`Grid`](dist::Grid), [`WithMissing`](dist::WithMissing) |
//! | [`kernel`] | what a training value spreads around itself in a Parzen window: reals, grids, categories |
//! | [`joint`] | full table, independent, Markov chain, causal neighbourhood, Bayesian network |
//! | [`bayes`] | Bayes' rule over models of each class |
//! | [`anomaly`] | conformal p-values of log-likelihoods, AUROC, average precision |
//! | [`count`] | free parameters, exactly |
//! | [`ordering`] | raster, snake, spiral, Hilbert, random … as checked permutations |
//! | [`units`] | nats and bits per dimension |
//! | [`logspace`] | sums of probabilities held as logarithms |
//! | `laws` | what must be true of every model (feature `laws`) |
//!
//! Everything is in nats; outside the support `log_prob` is `-inf`; bad parameters are an [`Error`] at
//! construction; every draw comes from the generator that the caller passes. The crate does no I/O.
//!
//! # Example
//! Four pixels, fitted two ways and walked one pixel at a time:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use prob_core::joint::{Independent, Markov, Symbols, Tabular};
//! use prob_core::{Autoregressive, Density, Sample, ordering::Ordering, units::Nats};
//! use rand::{SeedableRng, rngs::ChaCha8Rng};
//!
//! // Rows of one colour.
//! let images = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1];
//! let data = Symbols::new(&images, 4, 2)?;
//! let independent = Independent::fit(data, 1.0)?;
//! let markov = Markov::fit(1, Ordering::raster(4), data, 1.0)?;
//! assert_eq!(markov.free_parameters().to_string(), "7");
//!
//! // Looking one pixel back makes the data cheaper.
//! let nll = |log_probs: Vec<f64>| Nats(-log_probs.iter().sum::<f64>() / 4.0);
//! let (one, other) = (nll(independent.log_prob_rows(&images)), nll(markov.log_prob_rows(&images)));
//! assert!(one.bits_per_dim(4).0 > 0.99 && other.bits_per_dim(4).0 < 0.7);
//!
//! // The chain rule by hand: the conditionals along the walk sum to the joint.
//! let x = Tensor::from_data([[1, 1, 0, 0]], &Device::default());
//! let mut state = markov.init_state(1);
//! let mut sum = 0.0;
//! for symbol in [1, 1, 0, 0] {
//!     let x_t = Tensor::from_data([symbol], &Device::default());
//!     sum += markov.conditional(&state).log_prob(x_t.clone()).into_scalar::<f64>();
//!     markov.advance(&mut state, x_t);
//! }
//! assert!((sum - markov.log_prob(x).into_scalar::<f64>()).abs() < 1e-5);
//!
//! // Dice instead of a teacher.
//! let samples = markov.sample(100, &mut ChaCha8Rng::seed_from_u64(1));
//! assert_eq!(samples.dims(), [100, 4]);
//! # Ok::<(), prob_core::Error>(())
//! ```

pub mod anomaly;
pub mod bayes;
pub mod count;
pub mod dist;
mod error;
pub mod joint;
pub mod kernel;
#[cfg(any(test, feature = "laws"))]
pub mod laws;
pub mod logspace;
pub mod ordering;
mod traits;
pub mod units;

pub use dist::{standard_normal, uniform};
pub use error::Error;
pub use traits::{Autoregressive, Density, Sample};

/// The example of README.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
