//! Nearest neighbours by brute force, as matrix products.
//!
//! ```text
//! ‖x − t‖² = ‖x‖² + (‖t‖² − 2 x·t),   where ‖x‖² is the same for all t
//! ```

use super::vectors::{Vectors, host};

/// Labels of the `k` nearest vectors of `train`, the nearest first, for each vector of `queries`.
pub(super) fn labels(train: &Vectors, queries: &Vectors, k: usize) -> Vec<Vec<u8>> {
    let norms: Vec<Vec<f32>> = train.chunks.iter().map(|t| squared_norms(t.clone())).collect();
    let mut found = Vec::with_capacity(queries.labels.len());
    for x in &queries.chunks {
        let [rows, _] = x.dims();
        let mut nearest = vec![Nearest::new(k); rows];
        let mut first = 0;
        for (t, norms) in train.chunks.iter().zip(&norms) {
            let dots = host(x.clone().matmul(t.clone().transpose())); // [rows, norms]
            for (nearest, dots) in nearest.iter_mut().zip(dots.chunks_exact(norms.len())) {
                for (i, (&norm, &dot)) in norms.iter().zip(dots).enumerate() {
                    nearest.offer(norm - 2.0 * dot, first + i);
                }
            }
            first += norms.len();
        }
        let of = |nearest: Nearest| nearest.found.iter().map(|&(_, i)| train.labels[i]).collect();
        found.extend(nearest.into_iter().map(of));
    }
    found
}

fn squared_norms(t: burn::tensor::Tensor<2>) -> Vec<f32> {
    host(t.clone().mul(t).sum_dim(1))
}

/// The nearest so far, by distance.
#[derive(Clone, Debug)]
struct Nearest {
    k: usize,
    found: Vec<(f32, usize)>,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, found: Vec::with_capacity(k + 1) }
    }

    /// Takes in vector `i`, whose predecessors have been offered before.
    fn offer(&mut self, distance: f32, i: usize) {
        if self.found.len() == self.k && self.found.last().is_some_and(|last| distance >= last.0) {
            return;
        }
        let at = self.found.partition_point(|other| other.0 <= distance);
        self.found.insert(at, (distance, i));
        self.found.truncate(self.k);
    }
}

/// The most frequent label, of several the one that comes first.
pub(super) fn vote(labels: &[u8]) -> u8 {
    let count = |label| labels.iter().filter(|&&other| other == label).count();
    let best = labels.iter().rev().max_by_key(|&&label| count(label));
    *best.expect("at least one neighbour")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng as _;
    use rand::rngs::ChaCha8Rng;

    use super::super::tests::corners;
    use super::super::vectors::{CHUNK, Labelled};
    use super::*;

    #[test]
    fn they_are_those_of_a_brute_force_search_across_chunks() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (train, queries) = (corners(CHUNK + 7, 3.0, &mut rng), corners(60, 3.0, &mut rng));
        let on_device = |set: &Labelled| Vectors::new(set, &Device::default());
        let found = labels(&on_device(&train), &on_device(&queries), 9);
        let squared = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        for (query, found) in queries.values.chunks_exact(3).zip(found) {
            let mut all: Vec<(f64, u8)> = train
                .values
                .chunks_exact(3)
                .zip(&train.labels)
                .map(|(row, &label)| (squared(query, row), label))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!(found, all[..9].iter().map(|&(_, label)| label).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn fewer_vectors_than_neighbours_are_all_neighbours() {
        let set = Labelled::new(vec![0.0, 4.0, 1.0], vec![5, 6, 7]);
        let set = Vectors::new(&set, &Device::default());
        assert_eq!(labels(&set, &set, 25), [[5, 7, 6], [6, 7, 5], [7, 5, 6]]);
    }

    #[test]
    fn of_vectors_equally_far_the_earlier_comes_first() {
        let mut nearest = Nearest::new(2);
        for (i, distance) in [3.0, 1.0, 3.0, 1.0, 1.0].into_iter().enumerate() {
            nearest.offer(distance, i);
        }
        assert_eq!(nearest.found, [(1.0, 1), (1.0, 3)]);
    }

    #[test]
    fn of_labels_equally_frequent_the_nearest_counts() {
        assert_eq!(vote(&[4, 2, 2, 4, 9]), 4);
        assert_eq!(vote(&[9, 2, 4, 2]), 2);
        assert_eq!(vote(&[8]), 8);
    }
}
