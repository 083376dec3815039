//! Joint distributions of n variables with m states each, or numbers of states of their own, as tables of
//! conditionals.
//!
//! ```text
//! p(x) = Π_t p(x_i | context of i),   i = ordering[t],   context of i ⊆ {variables visited before}
//! p(x_i = a | context = c) = (count(a, c) + α) / (count(c) + m α)        (Laplace's estimate)
//! ```
//!
//! The families differ in nothing but what each conditional may look at:
//!
//! | family | context of the variable at position t | tables |
//! |---|---|---|
//! | [`Uniform`] | nothing, and nothing is fitted | none |
//! | [`Independent`] | nothing | n·m |
//! | [`Markov`] | the k variables before it in the ordering | n·m^(k+1) |
//! | [`Neighbourhood`] | given neighbours in the image, all earlier in raster order | n·m^(k+1) |
//! | [`BayesianNetwork`] | its parents in an acyclic graph | Σ m^(parents+1) |
//! | [`FullTable`] | everything before it | m^n |
//!
//! The counts of the right column are of variables that all have m states. Where each has its own number,
//! such as the columns of a table of categories ([`Symbols::of_levels`]), a table has as many columns as its
//! variable has states and a row for each combination of those of its context; [`FullTable`] alone wants
//! one number.
//!
//! Fitting counts, so it is exact and takes one pass. A context that never occurred, with
//! pseudo-count 0, gets the uniform distribution: the model stays normalised.
//!
//! Tables are f64 on the host and [`Tabular`] reads them directly. As [`Density`](crate::Density)
//! and [`Autoregressive`](crate::Autoregressive) the models speak tensors, in the device's default
//! float type unless [`Tabular::with_dtype`] says otherwise.
//!
//! # Memory
//! What the tables take is computed with exact integers and compared with a limit before anything is
//! allocated: [`DEFAULT_MEMORY_LIMIT_BYTES`] in `fit`, any number in `fit_within`.

mod bayes_net;
mod full_table;
mod independent;
mod markov;
mod neighbourhood;
mod symbols;
mod tables;
mod tabular;
mod uniform;

pub use bayes_net::{BayesianNetwork, topological_order};
pub use full_table::{ConditionalIndependence, FullTable};
pub use independent::Independent;
pub use markov::Markov;
pub use neighbourhood::{FOUR_NEIGHBOURS, Neighbourhood, TEN_NEIGHBOURS, neighbours};
pub use symbols::Symbols;
pub use tables::{ConditionalTable, TableState};
pub use tabular::Tabular;
pub use uniform::Uniform;

/// What the tables of a model may take unless the caller says otherwise: 1 GiB.
pub const DEFAULT_MEMORY_LIMIT_BYTES: u64 = 1 << 30;

/// Pseudo-count per state that `fit` is usually given: Laplace's rule of succession.
pub const DEFAULT_PSEUDO_COUNT: f64 = 1.0;
