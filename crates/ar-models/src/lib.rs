//! Autoregressive models with an exact likelihood.
pub mod config;
mod error;
pub mod examples;
mod heads;
mod layers;
pub mod logistic;
pub mod model;
pub mod nade;
pub mod neural;
pub mod randomness;
pub mod scoring;
mod store;
pub mod train;
pub mod walk;

pub use error::Error;
