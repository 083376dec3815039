//! The one walk over t that everything done with a trained model is made of.
//!
//! ```text
//! for t in 0..n:   x_t = chooser(p(x_t | x_<t))
//! ```
//!
//! Only the chooser differs: dice (generation), or what is observed and dice for the rest
//! (completion). A model overrides a walk only where it is faster, and a law checks that the fast walk
//! draws the same values from the same uniforms.

use burn::tensor::{Device, Tensor};
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::neural::{HostOf, Neural, ValueKind};

/// Draws what is not observed, in the order of the walk, for `observed.len() / variables` events.
///
/// A variable is drawn from p(x_t | x_<t): given everything before it in the ordering, observed or
/// drawn, but nothing after it. So what this draws from is p(missing | observed) exactly when the
/// observed variables are a prefix of the ordering.
///
/// Uniforms are consumed position by position and row by row, for observed variables too (and then
/// ignored), so that the same seed draws the same values whatever else is observed.
///
/// # Shapes
/// `observed` and the result are `[n, variables]` in event order.
///
/// # Panics
/// When `observed` is not whole rows.
pub fn complete<M: Neural>(
    model: &M,
    observed: &[Option<HostOf<M>>],
    rng: &mut dyn Rng,
) -> Vec<HostOf<M>> {
    let ordering = model.ordering().as_slice();
    walk::<M, M::Kind>(model, ordering, observed, &crate::neural::device_of(model), rng)
}

/// [`complete`] for any autoregressive model over values of a kind.
pub fn walk<M, K>(
    model: &M,
    ordering: &[usize],
    observed: &[Option<K::Host>],
    device: &Device,
    rng: &mut dyn Rng,
) -> Vec<K::Host>
where
    K: ValueKind,
    M: Autoregressive,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let variables = ordering.len();
    assert!(variables > 0 && observed.len().is_multiple_of(variables), "whole rows");
    let n = observed.len() / variables;
    let mut x = vec![K::Host::default(); n * variables];
    if n == 0 {
        return x;
    }
    let mut state = model.init_state(n);
    for &i in ordering {
        let mut x_t = K::to_host(model.conditional(&state).sample(n, rng));
        for (row, value) in x_t.iter_mut().enumerate() {
            if let Some(known) = observed[row * variables + i] {
                *value = known;
            }
            x[row * variables + i] = *value;
        }
        model.advance(&mut state, K::to_device(&x_t, 1, device).reshape([n]));
    }
    x
}
