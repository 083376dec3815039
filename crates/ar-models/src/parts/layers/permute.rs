//! Columns between event order and the order of the walk.

use burn::tensor::kind::Basic;
use burn::tensor::{Int, Tensor, TensorData};
use prob_core::ordering::Ordering;

/// An ordering, ready to permute the columns of a batch; free for raster order.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    ordering: Ordering,
    identity: bool,
}

impl Permutation {
    /// The permutation of `ordering`.
    pub(crate) fn new(ordering: Ordering) -> Self {
        let identity = ordering.as_slice().iter().enumerate().all(|(t, &i)| t == i);
        Self { ordering, identity }
    }

    /// The ordering.
    pub(crate) fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    /// Column t of the result is variable `ordering[t]`.
    ///
    /// # Shapes
    /// `x` and the result are `[batch, variables]`.
    ///
    /// # Panics
    /// When `x` does not have one column per variable.
    pub(crate) fn to_walk<K: Basic>(&self, x: Tensor<2, K>) -> Tensor<2, K> {
        self.select(x, self.ordering.as_slice())
    }

    /// The inverse of [`to_walk`](Self::to_walk): column i of the result is position t of variable i.
    pub(crate) fn to_event<K: Basic>(&self, x: Tensor<2, K>) -> Tensor<2, K> {
        self.select(x, self.ordering.positions())
    }

    fn select<K: Basic>(&self, x: Tensor<2, K>, columns: &[usize]) -> Tensor<2, K> {
        let [batch, variables] = x.dims();
        assert_eq!(variables, columns.len(), "one column per variable");
        if self.identity || batch == 0 {
            return x;
        }
        let columns: Vec<i64> = columns.iter().map(|&c| c as i64).collect();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(columns, [variables]), &x.device());
        x.select(1, indices)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn to_event_undoes_to_walk() {
        let ordering = Ordering::from_vec(vec![2, 0, 1]).unwrap();
        let permutation = Permutation::new(ordering);
        let x = Tensor::<2, Int>::from_data([[10, 11, 12]], &Device::default());
        let walk = permutation.to_walk(x.clone());
        assert_eq!(walk.to_data().iter::<i64>().collect::<Vec<_>>(), [12, 10, 11]);
        let back = permutation.to_event(walk);
        assert_eq!(back.to_data().iter::<i64>().collect::<Vec<_>>(), [10, 11, 12]);
    }
}
