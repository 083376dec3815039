//! The spine of the project: what every distribution, tabular or neural, can do.
//!
//! ```text
//! p(x) = Π_t p(x_t | x_<t)
//! ```
//!
//! [`Density`] evaluates the left-hand side, [`Autoregressive`] walks the right-hand side one factor
//! at a time. That the two agree is the project's main correctness law
//! (`laws::chain_rule`): a stepped state can hold only the prefix, so agreement also proves that a
//! parallel `log_prob` looks at nothing but the past.

use burn::tensor::Tensor;
use rand::Rng;

/// An exact, normalised density (or probability mass).
pub trait Density {
    /// A batch of events, for example a `Tensor<2, Int>` of shape `[batch, variables]`.
    type Event: Clone;

    /// Natural logarithm of the density at each event of the batch, in nats; `-inf` outside the
    /// support.
    ///
    /// # Shapes
    /// Returns `[batch]`.
    fn log_prob(&self, x: Self::Event) -> Tensor<1>;
}

/// A density that can be drawn from.
pub trait Sample: Density {
    /// `n` independent draws. Every draw comes from `rng` and nothing else.
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event;
}

/// A density given as a product of conditionals along an ordering.
///
/// The walk is always the same; only who chooses the next value differs:
///
/// ```text
/// state = init_state(batch)
/// for t in 0..event_len():
///     conditional(state)        p(x_t | x_<t), one row per batch element
///     advance(state, x_t)       by a teacher, dice, a mask or an entropy coder
/// ```
pub trait Autoregressive: Density {
    /// All that the walk remembers of the prefix `x_<t`, for a batch.
    type State;
    /// The distribution of one variable given its prefix, one row per batch element.
    type Conditional: Sample;

    /// Number of variables, the length of the walk.
    fn event_len(&self) -> usize;

    /// The state before the first variable, for `batch` independent walks.
    fn init_state(&self, batch: usize) -> Self::State;

    /// `p(x_t | x_<t)` for the position that `state` stands at.
    ///
    /// # Panics
    /// When the walk is over, that is after `event_len()` calls of [`advance`](Self::advance).
    fn conditional(&self, state: &Self::State) -> Self::Conditional;

    /// Moves `state` past position t, where the variable took the value `x_t` (`[batch]`).
    ///
    /// # Panics
    /// When the walk is over, or when the batch size of `x_t` is not that of `state`.
    fn advance(&self, state: &mut Self::State, x_t: <Self::Conditional as Density>::Event);

    /// The state of the walks `walks` of a batch, in that order: a walk may be named several times, or
    /// not at all. So particles are resampled.
    ///
    /// # Panics
    /// When there is no such walk.
    fn select(&self, state: &Self::State, walks: &[usize]) -> Self::State;
}
