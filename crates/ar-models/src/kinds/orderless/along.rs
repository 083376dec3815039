//! What follows from a network that answers for every variable given any others, whatever its variables are: the
//! distribution along an ordering, the mixture over several, any variables given any others, and the training loss.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use prob_core::ordering::Ordering;
use prob_core::{Autoregressive, Density, Sample, uniform};
use rand::{Rng, RngExt};

use crate::foundation::randomness::{Purpose, stream};
use crate::parts::layers::permute::Permutation;
use crate::parts::layers::{mixture, rows};
use crate::parts::neural::{HostOf, Neural};
use crate::parts::tensors::device_of;
use crate::parts::value::ValueKind;
use crate::parts::walk;

/// A network that has p(x_i | x_o) for every variable i and any others o.
///
/// What is known of an event is what the first layer takes φ of, `[batch, first hidden]`.
pub trait AnyOrdering: Neural {
    /// The orderings of the ensemble; the first is that of the walk.
    fn orderings(&self) -> &[Ordering];

    /// Nothing is known.
    fn nothing_known(&self, batch: usize) -> Tensor<2>;

    /// p(x_i | x_o) from what is known.
    fn conditional_of(&self, i: usize, known: &Tensor<2>) -> Self::Conditional;

    /// What is known when x_i is, too, `[batch]`.
    fn reveal(&self, known: Tensor<2>, i: usize, x_i: Tensor<1, Self::Kind>) -> Tensor<2>;

    /// Σ_{t ≥ from} log p(x_{o_t} | x_{o_<t}) along the ordering o of each row, `[batch]`.
    fn log_prob_from(
        &self,
        ordering: &Ordering,
        x: Tensor<2, Self::Kind>,
        from: usize,
    ) -> Tensor<1>;

    /// The rows that no ordering allows, `[batch]`.
    fn impossible(&self, x: &Tensor<2, Self::Kind>) -> Tensor<1, Bool>;

    /// Draws what is not observed in the order of an ordering, by the fastest path that draws what [`walk::walk`]
    /// draws.
    fn draw_along(
        &self,
        ordering: &Ordering,
        observed: &[Option<HostOf<Self>>],
        rng: &mut dyn Rng,
    ) -> Vec<HostOf<Self>> {
        let (along, device) = (Along::of(self, ordering.clone()), device_of(self));
        walk::walk::<_, Self::Kind>(&along, ordering.as_slice(), observed, &device, rng)
    }
}

/// The orderings of an ensemble of `count`; the k-th is the same whatever their number.
pub(crate) fn orderings(first: &Ordering, count: usize, seed: u64) -> Arc<[Ordering]> {
    let drawn = (1..count as u64).map(|k| {
        let mut rng = stream(seed, Purpose::Orderings, k);
        let mut event_index: Vec<usize> = (0..first.len()).collect();
        for t in (1..event_index.len()).rev() {
            event_index.swap(t, rng.random_range(0..=t as u64) as usize);
        }
        Ordering::from_vec(event_index).expect("swaps leave a permutation")
    });
    std::iter::once(first.clone()).chain(drawn).collect()
}

/// What the training loss observes of each example, and so what its missing variables count.
pub(crate) struct Observed {
    /// 1 where a variable is known, `[batch, variables]`.
    pub(crate) mask: Tensor<2>,
    /// D over the number of missing ones, `[batch]`.
    pub(crate) scales: Tensor<1>,
}

impl Observed {
    /// The first d − 1 of a random ordering of each example, d even between 1 and D.
    pub(crate) fn draw(
        [batch, dim]: [usize; 2],
        rng: &mut dyn Rng,
        like: (&Device, DType),
    ) -> Self {
        let (mut mask, mut scales) = (vec![0.0_f32; batch * dim], Vec::with_capacity(batch));
        let mut order: Vec<usize> = (0..dim).collect();
        for row in mask.chunks_exact_mut(dim) {
            let observed = rng.random_range(0..dim as u64) as usize;
            for t in 0..observed {
                order.swap(t, rng.random_range(t as u64..dim as u64) as usize);
                row[order[t]] = 1.0;
            }
            scales.push((dim as f64 / (dim - observed) as f64) as f32);
        }
        Self {
            mask: Tensor::from_data(TensorData::new(mask, [batch, dim]), like),
            scales: Tensor::from_data(TensorData::new(scales, [batch]), like),
        }
    }
}

/// log p(x_missing | x_observed), exact, in nats: of the mixture over the orderings, each with the observed variables
/// moved to its front. `-inf` for a row that is impossible, whether what cannot be is missing or observed.
///
/// # Shapes
/// `x` is `[batch, variables]` in event order, `observed` `[variables]`; returns `[batch]`.
///
/// # Panics
/// When `observed` does not have one entry per variable.
pub(crate) fn log_prob_conditional<M: AnyOrdering>(
    model: &M,
    x: Tensor<2, M::Kind>,
    observed: &[bool],
) -> Tensor<1> {
    let known = observed.iter().filter(|&&observed| observed).count();
    let under = |ordering: &Ordering| {
        model.log_prob_from(&observed_first(ordering, observed), x.clone(), known)
    };
    let ([batch, dim], orderings) = (x.dims(), model.orderings());
    // Nothing is missing along any ordering.
    let orderings = if known == dim { &orderings[..1] } else { orderings };
    let log_probs = mixture::log_prob(Tensor::stack(orderings.iter().map(under).collect(), 1));
    if batch == 0 {
        return log_probs;
    }
    log_probs.mask_fill(model.impossible(&x), f64::NEG_INFINITY)
}

/// Draws what is not observed from p(missing | observed), exact for every row's own mask: of the mixture
/// over `orderings`, each with the observed variables moved to its front.
///
/// One uniform per row decides its ordering where there are several. Then rows of one mask and one
/// ordering walk together, in the order in which they first come: one uniform per position and row.
///
/// # Shapes
/// `observed` and the result are `[n, variables]` in event order.
pub(crate) fn complete_along<M: AnyOrdering>(
    model: &M,
    orderings: &[Ordering],
    observed: &[Option<HostOf<M>>],
    rng: &mut dyn Rng,
) -> Vec<HostOf<M>> {
    let dim = model.event_len();
    let members = orderings.len();
    let mut groups: Vec<(Ordering, Vec<usize>)> = Vec::new();
    let mut group_of = HashMap::new();
    for (row, observed) in observed.chunks_exact(dim).enumerate() {
        let member = match members {
            1 => 0,
            _ => ((uniform(rng) * members as f64) as usize).min(members - 1),
        };
        let mask: Vec<bool> = observed.iter().map(Option::is_some).collect();
        let ordering = observed_first(&orderings[member], &mask);
        let group = *group_of.entry((member, mask)).or_insert_with(|| {
            groups.push((ordering, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(row);
    }
    let mut out = vec![HostOf::<M>::default(); observed.len()];
    for (ordering, members) in groups {
        let of = |&row: &usize| &observed[row * dim..(row + 1) * dim];
        let known: Vec<Option<HostOf<M>>> = members.iter().flat_map(of).copied().collect();
        let drawn = model.draw_along(&ordering, &known, rng);
        for (row, drawn) in members.into_iter().zip(drawn.chunks_exact(dim)) {
            out[row * dim..(row + 1) * dim].copy_from_slice(drawn);
        }
    }
    out
}

/// The ordering with the observed variables moved to its front; each part stays in order.
fn observed_first(ordering: &Ordering, observed: &[bool]) -> Ordering {
    assert_eq!(observed.len(), ordering.len(), "one entry per variable");
    let part = |which: bool| ordering.as_slice().iter().filter(move |&&i| observed[i] == which);
    Ordering::from_vec(part(true).chain(part(false)).copied().collect())
        .expect("every variable is in one part")
}

/// The distribution of a network along one ordering.
#[derive(Clone, Debug)]
pub struct Along<'a, M> {
    pub(super) model: &'a M,
    pub(super) ordering: Permutation,
}

impl<'a, M: AnyOrdering> Along<'a, M> {
    /// # Panics
    /// When the ordering is not of the model's variables.
    pub(crate) fn of(model: &'a M, ordering: Ordering) -> Self {
        let variables = model.orderings()[0].len();
        assert_eq!(ordering.len(), variables, "an ordering of the model's variables");
        Self { model, ordering: Permutation::new(ordering) }
    }

    /// The order of the walk.
    pub fn ordering(&self) -> &Ordering {
        self.ordering.ordering()
    }

    fn variable(&self, state: &OrderlessState) -> usize {
        let t = state.position;
        assert!(t < self.event_len(), "the walk is over after {t} variables");
        self.ordering()[t]
    }
}

impl<M: AnyOrdering> Density for Along<'_, M> {
    type Event = Tensor<2, M::Kind>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, M::Kind>) -> Tensor<1> {
        self.model.log_prob_from(self.ordering(), x, 0)
    }
}

impl<M: AnyOrdering> Sample for Along<'_, M> {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, M::Kind> {
        let dim = self.event_len();
        let drawn = self.model.draw_along(self.ordering(), &vec![None; n * dim], rng);
        M::Kind::to_device(&drawn, dim, &device_of(self.model))
    }
}

/// What the first layer of each walk of a batch has been told.
#[derive(Clone, Debug)]
pub struct OrderlessState {
    position: usize,
    /// What the first layer takes φ of, `[batch, first hidden]`.
    first: Tensor<2>,
}

impl<M: AnyOrdering> Autoregressive for Along<'_, M> {
    type State = OrderlessState;
    type Conditional = M::Conditional;

    fn event_len(&self) -> usize {
        self.ordering().len()
    }

    fn init_state(&self, batch: usize) -> OrderlessState {
        OrderlessState { position: 0, first: self.model.nothing_known(batch) }
    }

    fn conditional(&self, state: &OrderlessState) -> M::Conditional {
        self.model.conditional_of(self.variable(state), &state.first)
    }

    fn advance(&self, state: &mut OrderlessState, x_t: Tensor<1, M::Kind>) {
        assert_eq!(x_t.dims()[0], state.first.dims()[0], "one value per walk");
        let i = self.variable(state);
        state.first = self.model.reveal(state.first.clone(), i, x_t);
        state.position += 1;
    }

    fn select(&self, state: &OrderlessState, walks: &[usize]) -> OrderlessState {
        OrderlessState { position: state.position, first: rows(&state.first, walks) }
    }
}

/// The mixture over the orderings of a network, EoNADE:
///
/// ```text
/// log p(x) = log Σ_k p_{o_k}(x) − log K
/// ```
///
/// It is no [`Autoregressive`] model: its conditionals along one ordering would need sums over all that comes
/// later in the others.
#[derive(Clone, Debug)]
pub struct Ensemble<'a, M> {
    pub(crate) model: &'a M,
}

impl<M: AnyOrdering> Density for Ensemble<'_, M> {
    type Event = Tensor<2, M::Kind>;

    /// # Panics
    /// When an event does not have one column per variable.
    fn log_prob(&self, x: Tensor<2, M::Kind>) -> Tensor<1> {
        let under = |ordering: &Ordering| self.model.log_prob_from(ordering, x.clone(), 0);
        mixture::log_prob(Tensor::stack(self.model.orderings().iter().map(under).collect(), 1))
    }
}

/// An ordering per draw, and a walk along it.
impl<M: AnyOrdering> Sample for Ensemble<'_, M> {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, M::Kind> {
        let dim = self.model.event_len();
        let drawn = self.complete(&vec![None; n * dim], rng);
        M::Kind::to_device(&drawn, dim, &device_of(self.model))
    }
}

impl<M: AnyOrdering> Ensemble<'_, M> {
    /// Draws what is not observed from p(missing | observed), whatever the mask: that which `log_prob_conditional` of
    /// the model is the density of.
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order.
    pub fn complete(&self, observed: &[Option<HostOf<M>>], rng: &mut dyn Rng) -> Vec<HostOf<M>> {
        complete_along(self.model, self.model.orderings(), observed, rng)
    }
}
