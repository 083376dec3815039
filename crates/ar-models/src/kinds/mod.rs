//! The kinds of models, one file or folder each: the paper, its settings, the model, its traits. No kind knows a config
//! file or another kind.

pub mod logistic;
pub mod made;
pub mod nade;
pub mod orderless;
pub mod pixel;
pub mod rnade;
pub mod tables;
pub mod window;
