//! The formats of images: from bytes to events that are arrays of one kind of value.
//!
//! | module | format |
//! |---|---|
//! | [`idx`] | IDX, the format of MNIST |
//! | [`cifar10`] | the binary version of CIFAR-10 |
//! | [`images`] | PNG, a folder of them or one |
//! | [`npy`] | NumPy's arrays of more than two axes |
//! | [`numbers`] | the one place that decides between symbols and reals for them |
//! | [`values`] | what the readers share: rows one after the other, bytes as values |

pub(crate) mod cifar10;
pub(crate) mod idx;
pub(crate) mod images;
pub(crate) mod npy;
pub(crate) mod numbers;
pub(crate) mod values;
