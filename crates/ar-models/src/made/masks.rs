//! Which weight of a MADE may pass what: connectivities, drawn from a seed; and how many weights
//! pass anything.

use std::ops::Range;

use prob_core::ordering::Ordering;
use rand::{Rng, RngExt};
use rayon::prelude::*;

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

/// Degrees of the units of one layer after the other, each drawn evenly from the least of the layer
/// below to D − 1.
struct Degrees<R> {
    variables: usize,
    /// The least of the layer below.
    least: usize,
    rng: R,
}

impl<R: Rng> Degrees<R> {
    fn new(variables: usize, rng: R) -> Self {
        Self { variables, least: 1, rng }
    }

    /// Those of the next layer, of so many units.
    fn layer(&mut self, units: usize) -> Vec<usize> {
        // A single variable leaves no degree below D; its units see it and nothing sees them.
        let most = (self.variables.max(1) - 1).max(self.least);
        let range = self.least as u64..=most as u64;
        let degrees: Vec<usize> =
            (0..units).map(|_| self.rng.random_range(range.clone()) as usize).collect();
        self.least = degrees.iter().copied().min().unwrap_or(self.least);
        degrees
    }
}

impl Connectivity {
    /// Degrees of `hidden` units a layer, as [`Degrees`] draws them.
    pub(super) fn draw(ordering: Ordering, hidden: &[usize], rng: &mut dyn Rng) -> Self {
        let mut degrees = Degrees::new(ordering.len(), rng);
        let degrees = hidden.iter().map(|&units| degrees.layer(units)).collect();
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

/// How many weights of U, V and, where there is one, A some mask lets through, without any mask:
/// from the degrees alone, a layer at a time. There is a generator per mask, as
/// [`Connectivity::draw`] takes it.
///
/// ```text
/// U_1   Σ_k max m_1(k)             unit k sees so many variables, the first in the ordering
/// U_l   pairs j, k with m_l(k) ≥ m_{l−1}(j)
/// V     Σ_k (D − min m_L(k))       unit k is seen by the others
/// A     D (D − 1) / 2
/// ```
///
/// The maximum and the minimum are over the masks, and a pair counts if it is one under any of
/// them.
pub(super) fn free_weights<R: Rng>(
    variables: usize,
    hidden: &[usize],
    direct: bool,
    rngs: impl IntoIterator<Item = R>,
) -> usize {
    let mut masks: Vec<Degrees<R>> =
        rngs.into_iter().map(|rng| Degrees::new(variables, rng)).collect();
    let mut layer = |units: usize| -> Vec<Vec<usize>> {
        masks.iter_mut().map(|degrees| degrees.layer(units)).collect()
    };
    let of_unit = |degrees: &[Vec<usize>], pick: fn(usize, usize) -> usize| -> Vec<usize> {
        let units = 0..degrees.first().map_or(0, Vec::len);
        let over_masks = |k| degrees.iter().map(|mask| mask[k]).reduce(pick).unwrap_or(0);
        units.map(over_masks).collect()
    };
    let mut free = if direct { variables * (variables.max(1) - 1) / 2 } else { 0 };
    let mut below: Option<Vec<Vec<usize>>> = None;
    for &units in hidden {
        let above = layer(units);
        free += match &below {
            None => of_unit(&above, usize::max).iter().sum(),
            Some(below) => pairs(below, &above),
        };
        below = Some(above);
    }
    let last = of_unit(&below.unwrap_or_default(), usize::min);
    free + last.iter().map(|degree| variables.saturating_sub(*degree)).sum::<usize>()
}

/// How many pairs of a unit below and one above there are of which, under some mask, the one above
/// has at least the degree of the one below. `[masks][units]`.
fn pairs(below: &[Vec<usize>], above: &[Vec<usize>]) -> usize {
    let degrees = 1 + below.iter().chain(above).flatten().copied().max().unwrap_or(0);
    if let ([below], [above]) = (below, above) {
        // Units above by their degree, and then those of each degree or a larger one.
        let mut at_least = vec![0; degrees + 1];
        above.iter().for_each(|&degree| at_least[degree] += 1);
        (0..degrees).rev().for_each(|degree| at_least[degree] += at_least[degree + 1]);
        return below.iter().map(|&degree| at_least[degree]).sum();
    }
    // Units above, as many as a word has bits. Of each mask, for each degree, those of a smaller
    // one: a unit below is hidden from what remains of all masks.
    let units = above.first().map_or(0, Vec::len);
    let words = (0..units).step_by(64).map(|first| first..units.min(first + 64));
    let of_word = |word: Range<usize>| {
        let smaller: Vec<Vec<u64>> =
            above.iter().map(|mask| smaller(&mask[word.clone()], degrees)).collect();
        let seeing = |j: usize| {
            let mut hidden = u64::MAX >> (64 - word.len());
            for (smaller, below) in smaller.iter().zip(below) {
                hidden &= smaller[below[j]];
                if hidden == 0 {
                    break;
                }
            }
            word.len() - hidden.count_ones() as usize
        };
        (0..below.first().map_or(0, Vec::len)).map(seeing).sum::<usize>()
    };
    words.collect::<Vec<_>>().into_par_iter().map(of_word).sum()
}

/// For each degree the units, as bits, whose own is smaller.
fn smaller(units: &[usize], degrees: usize) -> Vec<u64> {
    let mut bits = vec![0; degrees + 1];
    units.iter().enumerate().for_each(|(bit, &degree)| bits[degree + 1] |= 1 << bit);
    (1..=degrees).for_each(|degree| bits[degree] |= bits[degree - 1]);
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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

    proptest! {
        #[test]
        fn free_weights_are_those_that_some_mask_has(
            variables in 1_usize..12,
            hidden in prop::collection::vec(1_usize..80, 1..4),
            direct: bool,
            masks in 1_u64..6,
            seed: u64,
        ) {
            let rngs = || (0..masks).map(|k| ChaCha8Rng::seed_from_u64(seed ^ k));
            let ordering = Ordering::random(variables, seed);
            let mut any: Vec<Vec<f32>> = Vec::new();
            for mut rng in rngs() {
                let masks = Connectivity::draw(ordering.clone(), &hidden, &mut rng);
                let mut all = masks.hidden();
                all.push(masks.output());
                all.extend(direct.then(|| masks.direct()));
                any.resize_with(all.len(), Vec::new);
                for (any, mask) in any.iter_mut().zip(all) {
                    any.resize(mask.len(), 0.0);
                    any.iter_mut().zip(mask).for_each(|(any, m)| *any = any.max(m));
                }
            }
            let counted = any.iter().flatten().filter(|&&m| m != 0.0).count();
            prop_assert_eq!(free_weights(variables, &hidden, direct, rngs()), counted);
        }
    }

    #[test]
    fn a_single_variable_sees_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let masks = Connectivity::draw(Ordering::raster(1), &[5, 5], &mut rng);
        assert!(masks.output().iter().chain(&masks.direct()).all(|&m| m == 0.0));
    }
}
