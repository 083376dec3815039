//! The one walk over t that everything done with a trained model is made of.
//!
//! ```text
//! for t in 0..n:   x_t = chooser(p(x_t | x_<t))
//! ```
//!
//! Only the chooser differs: dice (generation), or what is observed and dice for the rest
//! (completion). A model overrides a walk only where it is faster, and a law checks that the fast walk
//! draws the same values from the same uniforms.

use burn::tensor::{Device, Int, Tensor, TensorData};
use prob_core::{Autoregressive, Density, Sample};
use rand::Rng;

use crate::neural::{Neural, event_symbols};

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
pub fn complete<M: Neural>(model: &M, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8>
where
    M::Conditional: Sample,
{
    walk(model, model.ordering().as_slice(), observed, &crate::neural::device_of(model), rng)
}

/// [`complete`] for any autoregressive model over symbols.
pub fn walk<M>(
    model: &M,
    ordering: &[usize],
    observed: &[Option<u8>],
    device: &Device,
    rng: &mut dyn Rng,
) -> Vec<u8>
where
    M: Autoregressive,
    M::Conditional: Density<Event = Tensor<1, Int>>,
{
    let variables = ordering.len();
    assert!(variables > 0 && observed.len().is_multiple_of(variables), "whole rows");
    let n = observed.len() / variables;
    let mut x = vec![0_u8; n * variables];
    if n == 0 {
        return x;
    }
    let mut state = model.init_state(n);
    for &i in ordering {
        let mut x_t = event_symbols(model.conditional(&state).sample(n, rng));
        for (row, value) in x_t.iter_mut().enumerate() {
            if let Some(known) = observed[row * variables + i] {
                *value = known;
            }
            x[row * variables + i] = *value;
        }
        let symbols: Vec<i32> = x_t.into_iter().map(i32::from).collect();
        model.advance(&mut state, Tensor::from_data(TensorData::new(symbols, [n]), device));
    }
    x
}
