//! What models are built of: the traits that networks share, the walk, layers, output likelihoods, columns of different
//! types.

pub mod columns;
pub(crate) mod heads;
pub(crate) mod layers;
pub mod neural;
pub(crate) mod tensors;
pub(crate) mod value;
pub mod walk;
pub(crate) mod walker;
