//! What is done with a model of any kind: scoring, classification, compression, probes.

pub mod classification;
pub mod codec;
pub mod probe;
pub mod scoring;
