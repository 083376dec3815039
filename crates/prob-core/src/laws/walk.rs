//! Laws of the walk: the sum of its steps, and the draws it makes.

use burn::tensor::Tensor;
use burn::tensor::kind::Basic;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::{Law, LawViolation, distance, require};
use crate::dist::to_host;
use crate::ordering::Ordering;
use crate::traits::{Autoregressive, Density, Sample};

/// The chain rule: on each event of the batch the conditionals, met one step at a time, sum to
/// `log_prob` within `tolerance` nats.
///
/// The stepped state holds nothing but the prefix, so this also proves a parallel `log_prob` causal.
/// Pass events of the support and outside it alike, but let the walk only meet symbols that it can
/// `advance` past.
///
/// # Shapes
/// `x`: `[batch, variables]`, columns in event order.
///
/// # Errors
/// With the row that disagrees most.
pub fn chain_rule<M, K>(model: &M, ordering: &Ordering, x: Tensor<2, K>, tolerance: f64) -> Law
where
    K: Basic,
    M: Autoregressive<Event = Tensor<2, K>>,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let [batch, variables] = x.dims();
    let length = model.event_len();
    require("chain rule", length.abs_diff(variables) as f64, 0.0, || {
        format!("the walk has {length} steps for {variables} variables")
    })?;
    let at_once = to_host(&model.log_prob(x.clone()));
    let mut stepped = vec![0.0; batch];
    let mut state = model.init_state(batch);
    for t in 0..variables {
        let x_t: Tensor<1, K> = x.clone().narrow(1, ordering[t], 1).reshape([batch]);
        let conditional = model.conditional(&state);
        for (sum, l) in stepped.iter_mut().zip(to_host(&conditional.log_prob(x_t.clone()))) {
            *sum += l;
        }
        model.advance(&mut state, x_t);
    }
    for (row, (&a, &b)) in at_once.iter().zip(&stepped).enumerate() {
        require("chain rule", distance(a, b), tolerance, || {
            format!("row {row}: log_prob {a} at once, {b} step by step")
        })?;
    }
    Ok(())
}

/// Generation as the traits spell it out: at every position all rows draw from the conditional.
///
/// # Shapes
/// Returns `[n, variables]`, columns in event order.
pub fn plain_walk<M, K>(model: &M, ordering: &Ordering, n: usize, rng: &mut dyn Rng) -> Tensor<2, K>
where
    K: Basic,
    M: Autoregressive<Event = Tensor<2, K>>,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let mut state = model.init_state(n);
    let mut columns = Vec::with_capacity(model.event_len());
    for _ in 0..model.event_len() {
        let x_t = model.conditional(&state).sample(n, rng);
        columns.push(x_t.clone().reshape([n, 1]));
        model.advance(&mut state, x_t);
    }
    let in_event_order = ordering.positions().iter().map(|&t| columns[t].clone()).collect();
    Tensor::cat(in_event_order, 1)
}

/// Same draws: a model's own `sample` equals the plain walk from the same generator, value for value
/// within `tolerance` (0 for symbols), and leaves the generator in the same state.
///
/// # Errors
/// With the first value that differs, or when the number of uniforms does.
pub fn same_draws<M, K>(model: &M, ordering: &Ordering, n: usize, seed: u64, tolerance: f64) -> Law
where
    K: Basic,
    M: Autoregressive<Event = Tensor<2, K>> + Sample,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let (mut one, mut other) = (ChaCha8Rng::seed_from_u64(seed), ChaCha8Rng::seed_from_u64(seed));
    let values = |x: Tensor<2, K>| x.into_data().iter::<f64>().collect::<Vec<f64>>();
    let plain = values(plain_walk(model, ordering, n, &mut one));
    let fast = values(model.sample(n, &mut other));
    require("same draws", plain.len().abs_diff(fast.len()) as f64, 0.0, || {
        format!("{} values by the plain walk, {} by sample", plain.len(), fast.len())
    })?;
    let variables = ordering.len();
    for (at, (&a, &b)) in plain.iter().zip(&fast).enumerate() {
        require("same draws", distance(a, b), tolerance, || {
            let (row, i) = (at / variables, at % variables);
            format!("row {row}, variable {i}: {a} by the plain walk, {b} by sample")
        })?;
    }
    if one.next_u64() != other.next_u64() {
        return Err(LawViolation {
            law: "same draws",
            detail: "the two took different numbers of uniforms".to_owned(),
            gap: f64::NAN,
            allowed: 0.0,
        });
    }
    Ok(())
}

/// Same walks: the walks that `select` names, some twice and one not at all, give the conditionals that they
/// gave in the whole batch, before each position and to the end, within `tolerance` nats.
///
/// # Shapes
/// `x`: `[batch, variables]`, columns in event order, two events or more.
///
/// # Errors
/// With the first walk that differs.
pub fn same_walks<M, K>(model: &M, ordering: &Ordering, x: Tensor<2, K>, tolerance: f64) -> Law
where
    K: Basic,
    M: Autoregressive<Event = Tensor<2, K>>,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let [batch, variables] = x.dims();
    // Last to first but for the first, and the last once more.
    let walks: Vec<usize> = (1..batch).rev().chain([batch - 1]).collect();
    let mut of_all = model.init_state(batch);
    let mut of_selected = model.select(&of_all, &walks);
    for t in 0..variables {
        let x_t: Tensor<1, K> = x.clone().narrow(1, ordering[t], 1).reshape([batch]);
        let rows = walks.iter().map(|&walk| x_t.clone().narrow(0, walk, 1)).collect();
        let selected_x_t: Tensor<1, K> = Tensor::cat(rows, 0);
        let all = to_host(&model.conditional(&of_all).log_prob(x_t.clone()));
        let afresh = model.select(&of_all, &walks);
        for state in [&of_selected, &afresh] {
            let selected = to_host(&model.conditional(state).log_prob(selected_x_t.clone()));
            for (&walk, &b) in walks.iter().zip(&selected) {
                require("same walks", distance(all[walk], b), tolerance, || {
                    format!("position {t}, walk {walk}: {} of all, {b} selected", all[walk])
                })?;
            }
        }
        model.advance(&mut of_all, x_t);
        model.advance(&mut of_selected, selected_x_t);
    }
    Ok(())
}
