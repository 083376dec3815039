//! Which weight of a MADE may pass what: connectivities, drawn from a seed; and how many weights
//! pass anything.

use std::ops::Range;

use ar_kernels::blocks::Blocks;
use ar_kernels::masked::Degrees as Sees;
use prob_core::ordering::Ordering;
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// An ordering, and of how many variables, the first in it, each hidden unit may know.
///
/// ```text
/// M_l[j, k] = 1 if m_l(k) ≥ m_{l−1}(j),   M_V[k, i] = 1 if m_0(i) > m_L(k),   M_A[j, i] = 1 if m_0(i) > m_0(j)
/// ```
///
/// j of the first layer and i of the outputs count the features and outputs of the variables, which have the m_0 of
/// their variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connectivity {
    /// m_0 less one: the ordering that the conditionals follow.
    pub(super) ordering: Ordering,
    /// The features and outputs of each variable, in event order.
    blocks: Blocks,
    /// m_1 to m_L.
    degrees: Vec<Vec<usize>>,
    /// M_1 to M_L, and M_V and M_A behind them, as the kernels take them.
    sees: Vec<Sees>,
}

/// The hidden layers of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden<'a> {
    /// Units of each.
    pub(super) units: &'a [usize],
    /// Whether all have the degrees of the first, so that one may be added to another.
    pub(super) residual: bool,
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

    /// Those of all hidden layers.
    fn layers(mut self, hidden: Hidden<'_>) -> Vec<Vec<usize>> {
        match (hidden.residual, hidden.units) {
            (true, [first, ..]) => vec![self.layer(*first); hidden.units.len()],
            (_, units) => units.iter().map(|&units| self.layer(units)).collect(),
        }
    }
}

impl Connectivity {
    /// Degrees of the hidden layers, as [`Degrees`] draws them.
    pub(super) fn draw(
        ordering: Ordering,
        blocks: Blocks,
        hidden: Hidden<'_>,
        rng: &mut dyn Rng,
    ) -> Self {
        let degrees = Degrees::new(ordering.len(), rng).layers(hidden);
        let mut drawn = Self { ordering, blocks, degrees, sees: Vec::new() };
        let features = drawn.of_features();
        // To be above one's degree is to be at least that, less one.
        let outputs: Vec<usize> = drawn.of_outputs().iter().map(|m_0| m_0 - 1).collect();
        let below = std::iter::once(&features).chain(&drawn.degrees);
        let above = drawn.degrees.iter().chain([&outputs]);
        let mut sees: Vec<Sees> =
            below.zip(above).map(|(below, above)| Sees::new(below, above)).collect();
        sees.push(Sees::new(&features, &outputs));
        drawn.sees = sees;
        drawn
    }

    /// M_1 to M_L as the kernels take them.
    pub(super) fn hidden_sees(&self) -> &[Sees] {
        &self.sees[..self.degrees.len()]
    }

    /// M_V likewise.
    pub(super) fn output_sees(&self) -> &Sees {
        &self.sees[self.degrees.len()]
    }

    /// M_A likewise.
    pub(super) fn direct_sees(&self) -> &Sees {
        &self.sees[self.degrees.len() + 1]
    }

    /// The features and outputs of each variable, in event order.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// m_0 of every feature.
    fn of_features(&self) -> Vec<usize> {
        self.of_blocks(|i| self.blocks.features_of(i))
    }

    /// m_0 of every output.
    fn of_outputs(&self) -> Vec<usize> {
        self.of_blocks(|i| self.blocks.outputs_of(i))
    }

    fn of_blocks(&self, block: impl Fn(usize) -> Range<usize>) -> Vec<usize> {
        let positions = self.ordering.positions().iter().enumerate();
        positions.flat_map(|(i, &t)| block(i).map(move |_| t + 1)).collect()
    }

    /// M_1 to M_L, each `[in, out]`.
    pub(super) fn hidden(&self) -> Vec<Vec<f32>> {
        let below = std::iter::once(self.of_features()).chain(self.degrees.iter().cloned());
        let pairs = below.zip(&self.degrees);
        pairs.map(|(below, above)| compare(&below, above, |below, above| above >= below)).collect()
    }

    /// M_V, `[last hidden, outputs]`.
    pub(super) fn output(&self) -> Vec<f32> {
        let last = self.degrees.last().expect("at least one hidden layer");
        compare(last, &self.of_outputs(), |below, above| above > below)
    }

    /// M_V as it must not be: an output sees the hidden units that know its variable.
    #[cfg(test)]
    pub(crate) fn leaky_output(&self) -> Vec<f32> {
        let last = self.degrees.last().expect("at least one hidden layer");
        compare(last, &self.of_outputs(), |below, above| above >= below)
    }

    /// M_A, `[features, outputs]`.
    pub(super) fn direct(&self) -> Vec<f32> {
        compare(&self.of_features(), &self.of_outputs(), |below, above| above > below)
    }
}

/// 1 where a unit above may see the one below, `[below, above]`.
fn compare(below: &[usize], above: &[usize], sees: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let row = |&below: &usize| above.iter().map(move |&above| (below, above));
    let pairs = below.iter().flat_map(row);
    pairs.map(|(below, above)| f32::from(u8::from(sees(below, above)))).collect()
}

/// How many weights of U, V and, where there is one, A some mask lets through, without any mask:
/// from the degrees alone. There is a generator per mask, as
/// [`Connectivity::draw`] takes it.
///
/// ```text
/// U_1   Σ_k features(max m_1(k))             unit k sees so many variables, the first in the ordering
/// U_l   pairs j, k with m_l(k) ≥ m_{l−1}(j)
/// V     Σ_k (outputs − outputs(min m_L(k)))  unit k is seen by the others
/// A     Σ_t features(t) · outputs of t
/// ```
///
/// features(t) and outputs(t) are those of the first t variables in the ordering, whose blocks are `blocks`. The
/// maximum and the minimum are over the masks, and a pair counts if it is one under any of them.
pub(super) fn free_weights<R: Rng>(
    blocks: &Blocks,
    hidden: Hidden<'_>,
    direct: bool,
    rngs: impl IntoIterator<Item = R>,
) -> usize {
    let variables = blocks.dim();
    let features = |t: usize| match t < variables {
        true => blocks.features_of(t).start,
        false => blocks.features(),
    };
    let outputs_from = |t: usize| match t < variables {
        true => blocks.outputs() - blocks.outputs_of(t).start,
        false => 0,
    };
    let masks: Vec<Vec<Vec<usize>>> =
        rngs.into_iter().map(|rng| Degrees::new(variables, rng).layers(hidden)).collect();
    let layer =
        |l: usize| -> Vec<Vec<usize>> { masks.iter().map(|degrees| degrees[l].clone()).collect() };
    let of_unit = |degrees: &[Vec<usize>], pick: fn(usize, usize) -> usize| -> Vec<usize> {
        let units = 0..degrees.first().map_or(0, Vec::len);
        let over_masks = |k| degrees.iter().map(|mask| mask[k]).reduce(pick).unwrap_or(0);
        units.map(over_masks).collect()
    };
    let direct_of = |t: usize| features(t) * blocks.outputs_of(t).len();
    let mut free = if direct { (0..variables).map(direct_of).sum() } else { 0 };
    let mut below: Option<Vec<Vec<usize>>> = None;
    for l in 0..hidden.units.len() {
        let above = layer(l);
        free += match &below {
            None => of_unit(&above, usize::max).into_iter().map(features).sum::<usize>(),
            Some(below) => pairs(below, &above),
        };
        below = Some(above);
    }
    let last = of_unit(&below.unwrap_or_default(), usize::min);
    free + last.into_iter().map(outputs_from).sum::<usize>()
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

    fn of_bits(ordering: Ordering, units: &[usize], rng: &mut dyn Rng) -> Connectivity {
        let blocks = Blocks::alike(ordering.len(), 1, 1);
        Connectivity::draw(ordering, blocks, Hidden { units, residual: false }, rng)
    }

    #[test]
    fn there_is_a_path_from_each_variable_to_all_behind_it_and_no_other() {
        let ordering = Ordering::from_vec(vec![2, 0, 3, 1]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let masks = of_bits(ordering.clone(), &[60, 50], &mut rng);
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
        let masks = of_bits(Ordering::raster(9), &[40], &mut rng);
        let ones = |mask: &[f32]| mask.iter().filter(|&&m| m != 0.0).count();
        assert_eq!(ones(&masks.hidden()[0]) + ones(&masks.output()), 40 * 9);
    }

    proptest! {
        #[test]
        fn free_weights_are_those_that_some_mask_has(
            widths in prop::collection::vec((1_usize..4, 1_usize..5), 1..12),
            hidden in prop::collection::vec(1_usize..80, 1..4),
            residual: bool,
            direct: bool,
            masks in 1_u64..6,
            seed: u64,
        ) {
            let rngs = || (0..masks).map(|k| ChaCha8Rng::seed_from_u64(seed ^ k));
            let ordering = Ordering::random(widths.len(), seed);
            let hidden = if residual { vec![hidden[0]; hidden.len()] } else { hidden };
            let hidden = Hidden { units: &hidden, residual };
            let blocks = |order: &[usize]| {
                let (features, outputs): (Vec<_>, Vec<_>) = order.iter().map(|&i| widths[i]).unzip();
                Blocks::new(&features, &outputs)
            };
            let (in_event, in_walk) =
                (blocks(&(0..widths.len()).collect::<Vec<_>>()), blocks(ordering.as_slice()));
            let mut any: Vec<Vec<f32>> = Vec::new();
            for mut rng in rngs() {
                let masks =
                    Connectivity::draw(ordering.clone(), in_event.clone(), hidden, &mut rng);
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
            prop_assert_eq!(free_weights(&in_walk, hidden, direct, rngs()), counted);
        }
    }

    #[test]
    fn the_kernels_are_told_of_the_same_masks() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let blocks = Blocks::new(&[1, 3, 2, 1], &[2, 1, 4, 3]);
        let ordering = Ordering::from_vec(vec![2, 0, 3, 1]).unwrap();
        let hidden = Hidden { units: &[7, 9], residual: false };
        let masks = Connectivity::draw(ordering, blocks, hidden, &mut rng);
        let told: Vec<Vec<f32>> = masks.hidden_sees().iter().map(Sees::mask).collect();
        assert_eq!(told, masks.hidden());
        assert_eq!(masks.output_sees().mask(), masks.output());
        assert_ne!(masks.output_sees().mask(), masks.leaky_output());
        assert_eq!(masks.direct_sees().mask(), masks.direct());
    }

    #[test]
    fn a_single_variable_sees_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let masks = of_bits(Ordering::raster(1), &[5, 5], &mut rng);
        assert!(masks.output().iter().chain(&masks.direct()).all(|&m| m == 0.0));
    }
}
