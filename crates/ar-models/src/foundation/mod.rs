//! What all else stands on: events and their columns, rows, random streams, stored arrays, the one error type.

pub mod atomic_file;
pub(crate) mod checks;
pub(crate) mod column;
pub(crate) mod error;
pub(crate) mod event;
pub mod examples;
pub(crate) mod fault;
pub mod randomness;
pub mod standardization;
pub(crate) mod store;
