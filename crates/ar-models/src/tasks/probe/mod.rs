//! Probes: how much of the labels can be read off some vectors, such as a model's features, by means
//! too simple to find out much by themselves.
//!
//! ```text
//! nearest neighbours:   ŷ(x) = the label most frequent among the k training vectors nearest to x
//! linear:               ŷ(x) = argmax_y (W x + b)_y,   W, b = argmin −1/N Σ_n log softmax(W x_n + b)_{y_n} + λ/2 ‖W‖²
//! ```
//!
//! A probe learns on the training set, k or λ is what is best on the validation set, and the test set
//! is only reported on. Vectors are first centred on the training mean and divided by one number, so
//! that the variance of a component is 1 on average: that moves no neighbour, and lets λ mean the same
//! for vectors of any size.
//!
//! # References
//! Alain and Bengio, *Understanding intermediate layers using linear classifier probes*, 2016,
//! arXiv:1610.01644. L-BFGS: Nocedal and Wright, *Numerical Optimization*, 2006, Algorithm 7.4.

mod lbfgs;
mod linear;
mod nearest;
mod vectors;

use burn::tensor::Device;

pub use linear::{LINEAR_STEPS, LINEAR_TOLERANCE};
pub use vectors::Labelled;
use vectors::Vectors;

/// What a probe learns from, what chooses its setting, and what it is tested on.
#[derive(Clone, Debug)]
pub struct Sets {
    /// The training set.
    pub train: Labelled,
    /// The validation set.
    pub valid: Labelled,
    /// The test set.
    pub test: Labelled,
}

/// How well a probe does.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<S> {
    /// The setting that is best on the validation set.
    pub setting: S,
    /// Fraction of right labels on the validation set with this setting.
    pub valid_accuracy: f64,
    /// Fraction of right labels on the test set.
    pub test_accuracy: f64,
}

/// Numbers of neighbours that are tried.
pub const NEIGHBOURS: [usize; 6] = [1, 3, 5, 9, 15, 25];

/// Penalties λ that are tried, in this order: each fit starts from the one before.
pub const PENALTIES: [f64; 6] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5];

/// The sets of a probe on a device, scaled.
#[derive(Debug)]
pub struct Probe {
    train: Vectors,
    valid: Vectors,
    test: Vectors,
}

impl Probe {
    /// Scales the sets and brings them to the device.
    ///
    /// # Panics
    /// When the vectors are not of one length.
    pub fn new(sets: Sets, device: &Device) -> Self {
        let Sets { train, valid, test } = sets;
        let scale = Scale::of(&train);
        let [train, valid, test] =
            [train, valid, test].map(|set| Vectors::new(&scale.apply(set), device));
        Self { train, valid, test }
    }

    /// The nearest-neighbour probe. Among labels that are equally frequent the nearest counts, among
    /// vectors equally far the earlier.
    pub fn nearest_neighbours(&self) -> Outcome<usize> {
        let most = NEIGHBOURS[NEIGHBOURS.len() - 1];
        let of = |set| nearest::labels(&self.train, set, most);
        let (valid, test) = (of(&self.valid), of(&self.test));
        let accuracy = |set: &Vectors, nearest: &[Vec<u8>], k: usize| {
            set.accuracy(nearest.iter().map(|labels| nearest::vote(&labels[..k.min(labels.len())])))
        };
        best(NEIGHBOURS.map(|k| (k, accuracy(&self.valid, &valid, k))), |k| {
            accuracy(&self.test, &test, k)
        })
    }

    /// The linear probe.
    pub fn linear(&self) -> Outcome<f64> {
        let mut weights = linear::Weights::zeros(&self.train);
        let fits = PENALTIES.map(|penalty| {
            weights = linear::fit(&self.train, penalty, weights.clone());
            (penalty, weights.clone())
        });
        let accuracy =
            |set: &Vectors, weights| set.accuracy(linear::predict(set, weights).into_iter());
        let tried = [0, 1, 2, 3, 4, 5].map(|i| (i, accuracy(&self.valid, &fits[i].1)));
        let Outcome { setting, valid_accuracy, test_accuracy } =
            best(tried, |i| accuracy(&self.test, &fits[i].1));
        Outcome { setting: fits[setting].0, valid_accuracy, test_accuracy }
    }

    /// Fraction of the test set that has the training set's most frequent label: what is right without
    /// looking at the vectors.
    pub fn most_frequent(&self) -> f64 {
        let mut counts = [0_usize; 256];
        for &label in &self.train.labels {
            counts[usize::from(label)] += 1;
        }
        // The first of several.
        let label = (0..=u8::MAX).rev().max_by_key(|&label| counts[usize::from(label)]);
        self.test.accuracy(std::iter::repeat_n(label.unwrap_or(0), self.test.labels.len()))
    }
}

/// The first setting of the highest validation accuracy, and what it gives on the test set.
fn best<S: Copy, const N: usize>(tried: [(S, f64); N], test: impl Fn(S) -> f64) -> Outcome<S> {
    let by_accuracy = |a: &(S, f64), b: &(S, f64)| a.1.total_cmp(&b.1);
    let (setting, valid_accuracy) =
        tried.into_iter().rev().max_by(by_accuracy).expect("at least one setting");
    Outcome { setting, valid_accuracy, test_accuracy: test(setting) }
}

/// Where vectors are moved to, and what they are divided by.
struct Scale {
    mean: Vec<f64>,
    divisor: f64,
}

impl Scale {
    fn of(set: &Labelled) -> Self {
        let (dim, n) = (set.dim(), set.count() as f64);
        let mut mean = vec![0.0; dim];
        let mut square = 0.0;
        for row in set.values.chunks_exact(dim) {
            for (mean, &x) in mean.iter_mut().zip(row) {
                *mean += f64::from(x) / n;
            }
        }
        for row in set.values.chunks_exact(dim) {
            for (mean, &x) in mean.iter().zip(row) {
                square += (f64::from(x) - mean).powi(2);
            }
        }
        let divisor = (square / (n * dim as f64)).sqrt();
        Self { mean, divisor: if divisor > 0.0 { divisor } else { 1.0 } }
    }

    fn apply(&self, mut set: Labelled) -> Labelled {
        assert_eq!(set.dim(), self.mean.len(), "vectors of one length");
        for row in set.values.chunks_exact_mut(self.mean.len()) {
            for (x, mean) in row.iter_mut().zip(&self.mean) {
                *x = ((f64::from(*x) - mean) / self.divisor) as f32;
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::seq::SliceRandom as _;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// `n` points around three corners, of which the third component says nothing.
    pub(super) fn corners(n: usize, spread: f32, rng: &mut ChaCha8Rng) -> Labelled {
        let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
        let values = labels.iter().flat_map(|&label| {
            let mut noise = || spread * (rng.random::<f32>() - 0.5);
            [f32::from(label == 1) + noise(), f32::from(label == 2) + noise(), 3.0 + noise()]
        });
        let values = values.collect();
        Labelled::new(values, labels)
    }

    fn sets(spread: f32, shuffled: bool) -> Sets {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut set = |n| {
            let mut set = corners(n, spread, &mut rng);
            if shuffled {
                set.labels.shuffle(&mut rng);
            }
            set
        };
        Sets { train: set(600), valid: set(300), test: set(900) }
    }

    #[test]
    fn what_can_be_told_apart_is_told_apart() {
        let probe = Probe::new(sets(0.6, false), &Device::default());
        let (nearest, linear) = (probe.nearest_neighbours(), probe.linear());
        assert_eq!((nearest.valid_accuracy, nearest.test_accuracy), (1.0, 1.0));
        assert_eq!((linear.valid_accuracy, linear.test_accuracy), (1.0, 1.0));
        // The first of the settings that are equally good.
        assert_eq!((nearest.setting, linear.setting), (1, 1.0));
        assert!((probe.most_frequent() - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn shuffled_labels_cannot_be_read_off() {
        let probe = Probe::new(sets(0.6, true), &Device::default());
        // 900 guesses of three labels: five standard deviations are 0.079.
        for accuracy in [probe.nearest_neighbours().test_accuracy, probe.linear().test_accuracy] {
            assert!((accuracy - 1.0 / 3.0).abs() < 0.079, "{accuracy}");
        }
    }

    #[test]
    fn scaling_moves_no_neighbour_and_makes_the_mean_variance_one() {
        let set = corners(99, 1.0, &mut ChaCha8Rng::seed_from_u64(2));
        let scale = Scale::of(&set);
        let scaled = scale.apply(set.clone());
        let n = set.values.len() as f64;
        let squares: f64 = scaled.values.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert!((squares / n - 1.0).abs() < 1e-5, "{squares}");
        for k in 0..3 {
            let sum: f32 = scaled.values.iter().skip(k).step_by(3).sum();
            assert!(sum.abs() < 1e-3, "{sum}");
        }
        let distance = |set: &Labelled, i: usize| {
            (0..3).map(|k| (set.values[k] - set.values[3 * i + k]).powi(2)).sum::<f32>().sqrt()
        };
        for i in 1..99 {
            let expected = f64::from(distance(&set, i)) / scale.divisor;
            assert!((f64::from(distance(&scaled, i)) - expected).abs() < 1e-5);
        }
        // What does not vary is left in the middle.
        let constant = Labelled::new(vec![7.0; 8], vec![0, 1]);
        assert_eq!(Scale::of(&constant).apply(constant).values, [0.0; 8]);
    }

    #[test]
    fn the_first_of_equally_good_settings_is_chosen() {
        let outcome =
            best([('a', 0.5), ('b', 0.9), ('c', 0.9)], |setting| f64::from(setting == 'b'));
        assert_eq!(outcome, Outcome { setting: 'b', valid_accuracy: 0.9, test_accuracy: 1.0 });
    }
}
