//! Each variable given its parents in a directed acyclic graph.
//!
//! ```text
//! p(x) = Π_i p(x_i | x_j for j in parents(i))
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::tables::{Structure, Tables, all_arrays, count_parameters};
use super::tabular::impl_tabular;
use super::{DEFAULT_MEMORY_LIMIT_BYTES, Symbols};
use crate::error::Error;
use crate::ordering::Ordering;

/// A Bayesian network: `Σ_i m^|parents(i)| (m − 1)` parameters.
///
/// It walks its variables in a topological order: parents first, and of those that are ready the
/// smallest index.
///
/// ```
/// use prob_core::joint::{BayesianNetwork, Symbols, Tabular};
/// // Variable 0 is the exclusive or of its parents 1 and 2.
/// let data = Symbols::new(&[0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1], 3, 2).unwrap();
/// let parents = [vec![1, 2], vec![], vec![]];
/// let model = BayesianNetwork::fit(&parents, data, 0.0).unwrap();
/// assert_eq!(model.ordering().as_slice(), [1, 2, 0]);
/// assert_eq!(model.free_parameters().to_string(), "6");
/// assert_eq!(model.log_prob_rows(&[1, 1, 0, 1, 1, 1]), [0.25f64.ln(), f64::NEG_INFINITY]);
/// ```
#[derive(Debug, Clone)]
pub struct BayesianNetwork {
    parents: Vec<Vec<usize>>,
    tables: Tables,
}

impl BayesianNetwork {
    /// Laplace's estimate with `pseudo_count` per state in every context. `parents[i]` lists the
    /// parents of variable i.
    ///
    /// # Errors
    /// When the graph has a cycle, a parent is no variable or listed twice, the graph does not have
    /// the data's number of variables, the pseudo-count is negative or not finite, or the tables
    /// exceed [`DEFAULT_MEMORY_LIMIT_BYTES`].
    pub fn fit(
        parents: &[Vec<usize>],
        data: Symbols<'_>,
        pseudo_count: f64,
    ) -> Result<Self, Error> {
        Self::fit_within(parents, data, pseudo_count, DEFAULT_MEMORY_LIMIT_BYTES)
    }

    /// [`fit`](Self::fit) with another memory limit.
    ///
    /// # Errors
    /// As for `fit`.
    pub fn fit_within(
        parents: &[Vec<usize>],
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        let tables = structure(parents, data.levels())?.fit(data, pseudo_count, limit_bytes)?;
        Ok(Self { parents: parents.to_vec(), tables })
    }

    /// From stored [`table_arrays`](super::Tabular::table_arrays): one per variable, in the order of
    /// the walk. `levels` are the states of each variable, in event order.
    ///
    /// # Errors
    /// When the graph has a cycle, the arrays' number or length does not fit, or a row does not sum
    /// to 1.
    pub fn from_tables(
        parents: &[Vec<usize>],
        levels: &[usize],
        tables: Vec<Vec<f64>>,
    ) -> Result<Self, Error> {
        let tables = structure(parents, levels.to_vec())?.stored(tables)?;
        Ok(Self { parents: parents.to_vec(), tables })
    }

    /// Parents of each variable.
    pub fn parents(&self) -> &[Vec<usize>] {
        &self.parents
    }
}

fn structure(parents: &[Vec<usize>], levels: Vec<usize>) -> Result<Structure, Error> {
    let ordering = topological_order(parents)?;
    let contexts = ordering.as_slice().iter().map(|&i| parents[i].clone()).collect();
    Ok(Structure { model: "Bayesian network", ordering, levels, contexts })
}

/// An ordering in which every variable comes after its parents; of those that could come next,
/// always the smallest index.
///
/// # Errors
/// When a parent is no variable or is listed twice, or there is a cycle, whose variables are named.
///
/// ```
/// use prob_core::joint::topological_order;
/// let order = topological_order(&[vec![2], vec![0], vec![]]).unwrap();
/// assert_eq!(order.as_slice(), [2, 0, 1]);
/// assert!(topological_order(&[vec![1], vec![0]]).is_err());
/// ```
pub fn topological_order(parents: &[Vec<usize>]) -> Result<Ordering, Error> {
    let variables = parents.len();
    let mut children = vec![Vec::new(); variables];
    for (i, list) in parents.iter().enumerate() {
        for (n, &j) in list.iter().enumerate() {
            if j >= variables {
                return Err(Error::NoSuchVariable { variable: j, variables });
            }
            if list[..n].contains(&j) {
                let value = format!("{j} of variable {i}");
                return Err(Error::Repeated { what: "parent", value });
            }
            children[j].push(i);
        }
    }
    let mut missing: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..variables).filter(|&i| missing[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(variables);
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &child in &children[i] {
            missing[child] -= 1;
            if missing[child] == 0 {
                ready.push(Reverse(child));
            }
        }
    }
    match missing.iter().position(|&n| n > 0) {
        None => Ordering::from_vec(order),
        Some(stuck) => Err(Error::Cycle(cycle_from(stuck, parents, &missing))),
    }
}

/// A cycle among the variables that never became ready: each of them has such a parent, so going
/// from parent to parent must come back.
fn cycle_from(start: usize, parents: &[Vec<usize>], missing: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let stuck = |j: &&usize| missing[**j] > 0;
        let next = *parents[last].iter().find(stuck).expect("a stuck variable has a stuck parent");
        if let Some(at) = path.iter().position(|&i| i == next) {
            return path.split_off(at);
        }
        path.push(next);
    }
}

impl_tabular!(
    BayesianNetwork,
    arrays: |model| all_arrays(&model.tables),
    parameters: |model| count_parameters(&model.tables)
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cycle_is_named_and_nothing_else() {
        // 3 hangs below the cycle 0 -> 1 -> 2 -> 0, 4 is free.
        let parents = [vec![2], vec![0], vec![1], vec![0, 4], vec![]];
        let Err(Error::Cycle(mut cycle)) = topological_order(&parents) else {
            panic!("a cycle must be found")
        };
        cycle.sort_unstable();
        assert_eq!(cycle, [0, 1, 2]);
        assert_eq!(topological_order(&[vec![], vec![1]]).unwrap_err(), Error::Cycle(vec![1]));
    }

    #[test]
    fn bad_parents_are_errors() {
        let error = topological_order(&[vec![], vec![2]]).unwrap_err();
        assert_eq!(error.to_string(), "variable 2, expected less than 2");
        let error = topological_order(&[vec![], vec![0, 0]]).unwrap_err();
        assert_eq!(error.to_string(), "parent 0 of variable 1 is listed twice, expected once");
        let data = Symbols::new(&[0, 1, 1], 3, 2).unwrap();
        let error = BayesianNetwork::fit(&[vec![], vec![0]], data, 1.0).unwrap_err();
        assert_eq!(error.to_string(), "Bayesian network of 2 variables, expected 3");
    }

    proptest! {
        #[test]
        fn parents_always_come_first(
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..40), seed: u64,
        ) {
            // Acyclic by construction: edges go forward in a random hidden order.
            let hidden = Ordering::random(12, seed);
            let mut parents = vec![Vec::new(); 12];
            for (a, b) in edges {
                if a < b && !parents[hidden[b]].contains(&hidden[a]) {
                    parents[hidden[b]].push(hidden[a]);
                }
            }
            let order = topological_order(&parents).unwrap();
            for (i, list) in parents.iter().enumerate() {
                prop_assert!(list.iter().all(|&j| order.position_of(j) < order.position_of(i)));
            }
        }
    }
}
