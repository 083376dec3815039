//! Which weight of a MADE may pass what: connectivities, drawn from a seed.

use prob_core::ordering::Ordering;
use rand::{Rng, RngExt};

/// An ordering, and of how many variables, the first in it, each hidden unit may know.
///
/// ```text
/// M_l[j, k] = 1 if m_l(k) ≥ m_{l−1}(j),   M_V[k, i] = 1 if m_0(i) > m_L(k),   M_A[j, i] = 1 if m_0(i) > m_0(j)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Connectivity {
    /// m_0 less one: the ordering that the conditionals follow.
    pub(super) ordering: Ordering,
    /// m_1 to m_L.
    degrees: Vec<Vec<usize>>,
}

impl Connectivity {
    /// Degrees of `hidden` units a layer, each drawn evenly from the least of the layer below to D − 1.
    pub(super) fn draw(ordering: Ordering, hidden: &[usize], rng: &mut dyn Rng) -> Self {
        let mut least = 1;
        let mut draw_layer = |&units: &usize| {
            // A single variable leaves no degree below D; its units see it and nothing sees them.
            let most = (ordering.len().max(1) - 1).max(least);
            let degrees: Vec<usize> =
                (0..units).map(|_| rng.random_range(least as u64..=most as u64) as usize).collect();
            least = degrees.iter().copied().min().unwrap_or(least);
            degrees
        };
        let degrees = hidden.iter().map(&mut draw_layer).collect();
        Self { ordering, degrees }
    }

    /// m_0, by variable.
    fn of_variables(&self) -> Vec<usize> {
        self.ordering.positions().iter().map(|&t| t + 1).collect()
    }

    /// M_1 to M_L, each `[in, out]`.
    pub(super) fn hidden(&self) -> Vec<Vec<f32>> {
        let below = std::iter::once(self.of_variables()).chain(self.degrees.iter().cloned());
        let pairs = below.zip(&self.degrees);
        pairs.map(|(below, above)| compare(&below, above, |below, above| above >= below)).collect()
    }

    /// M_V, `[last hidden, dim]`.
    pub(super) fn output(&self) -> Vec<f32> {
        let last = self.degrees.last().expect("at least one hidden layer");
        compare(last, &self.of_variables(), |below, above| above > below)
    }

    /// M_V as it must not be: an output sees the hidden units that know its variable.
    #[cfg(test)]
    pub(super) fn leaky_output(&self) -> Vec<f32> {
        let last = self.degrees.last().expect("at least one hidden layer");
        compare(last, &self.of_variables(), |below, above| above >= below)
    }

    /// M_A, `[dim, dim]`.
    pub(super) fn direct(&self) -> Vec<f32> {
        let of_variables = self.of_variables();
        compare(&of_variables, &of_variables, |below, above| above > below)
    }
}

/// 1 where a unit above may see the one below, `[below, above]`.
fn compare(below: &[usize], above: &[usize], sees: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let row = |&below: &usize| above.iter().map(move |&above| (below, above));
    let pairs = below.iter().flat_map(row);
    pairs.map(|(below, above)| f32::from(u8::from(sees(below, above)))).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    /// Product of boolean matrices `[n, m]` and `[m, k]`: whether there is a path.
    fn paths(a: &[f32], b: &[f32], m: usize) -> Vec<bool> {
        let k = b.len() / m;
        let path = |row: &[f32], column| (0..m).any(|j| row[j] * b[j * k + column] != 0.0);
        a.chunks_exact(m).flat_map(|row| (0..k).map(move |column| path(row, column))).collect()
    }

    #[test]
    fn there_is_a_path_from_each_variable_to_all_behind_it_and_no_other() {
        let ordering = Ordering::from_vec(vec![2, 0, 3, 1]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let masks = Connectivity::draw(ordering.clone(), &[60, 50], &mut rng);
        let [first, second] = &masks.hidden()[..] else { panic!("two layers") };
        let as_numbers = |paths: Vec<bool>| -> Vec<f32> {
            paths.into_iter().map(|path| f32::from(u8::from(path))).collect()
        };
        let to_second = as_numbers(paths(first, second, 60));
        let to_outputs = paths(&to_second, &masks.output(), 50);
        let before = |j: usize, i: usize| ordering.position_of(j) < ordering.position_of(i);
        for (at, (path, direct)) in to_outputs.into_iter().zip(masks.direct()).enumerate() {
            let expected = before(at / 4, at % 4);
            assert_eq!((path, direct != 0.0), (expected, expected), "{} to {}", at / 4, at % 4);
        }
    }

    #[test]
    fn a_hidden_unit_of_one_layer_has_as_many_weights_as_there_are_variables() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let masks = Connectivity::draw(Ordering::raster(9), &[40], &mut rng);
        let ones = |mask: &[f32]| mask.iter().filter(|&&m| m != 0.0).count();
        assert_eq!(ones(&masks.hidden()[0]) + ones(&masks.output()), 40 * 9);
    }

    #[test]
    fn a_single_variable_sees_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let masks = Connectivity::draw(Ordering::raster(1), &[5, 5], &mut rng);
        assert!(masks.output().iter().chain(&masks.direct()).all(|&m| m == 0.0));
    }
}
