//! The recurrence over blocks on `&[f32]` slices, shared by the flex and ndarray adapters.
//!
//! # Forward
//! Rows are independent, so threads take tiles of them, which have a row in each lane: one read of a row of V serves
//! the whole tile. An output is summed over the hidden units in their order, whatever the tile and the number of
//! threads. What becomes of the outputs of a position is for an `Outputs` to say, while they are in the cache.
//!
//! # Backward
//! Given ∂L/∂o, hidden units are independent, so threads take slabs of them, each with groups of rows in their order.
//! Sums are over chunks of rows, then over groups, each in order, and that of ∂ρ over all hidden units comes last: so
//! no result depends on how the units are cut into slabs. Activations are recomputed by subtraction,
//! a_t = a_{t+1} − Σ_f x_f W_f, so that memory is O(batch·H).
//!
//! ```text
//! t = D..1:  ∂W_f = g x_f;  ∂h = V_tᵀ ∂o_t;  ∂V_t = ∂o_t hᵀ;  δ = ∂h [ρ_t a_t > 0];  ∂ρ_t = δ · a_t;  g += ρ_t δ
//! g starts at 0; at the end ∂c = g
//! ```

mod backward;
mod forward;

use super::Blocks;

pub(crate) use backward::{Slopes, backward_from};
pub use backward::{backward, gradient_len};
pub use forward::forward;
pub(crate) use forward::{GROUPS, Outputs, forward_tile, tile_rows};

/// The parameters, in the order of the walk: those of position t are its block of rows.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// Input weights W, `[features, hidden]`.
    pub w: &'a [f32],
    /// Hidden biases c, `[hidden]`.
    pub c: &'a [f32],
    /// Scales of the activations ρ, `[dim]`.
    pub rho: &'a [f32],
    /// Output weights V, `[outputs, hidden]`.
    pub v: &'a [f32],
    /// Output biases b, `[outputs]`.
    pub b: &'a [f32],
    /// Which of them belong to which position.
    pub blocks: &'a Blocks,
}

impl Params<'_> {
    /// The number of hidden units.
    ///
    /// # Panics
    /// When the slices do not belong to one shape.
    pub(crate) fn hidden(&self) -> usize {
        let (blocks, hidden) = (self.blocks, self.c.len());
        assert_eq!(self.rho.len(), blocks.dim(), "rho must be [dim]");
        assert_eq!(self.w.len(), blocks.features() * hidden, "w must be [features, hidden]");
        assert_eq!(self.b.len(), blocks.outputs(), "b must be [outputs]");
        assert_eq!(self.v.len(), blocks.outputs() * hidden, "v must be [outputs, hidden]");
        hidden
    }
}

/// How many rows `x` has.
///
/// # Panics
/// When they are not whole.
pub(crate) fn rows(x: &[f32], inputs: usize) -> usize {
    let is_whole = inputs > 0 && x.len().is_multiple_of(inputs);
    assert!(is_whole, "x has {} values: not whole rows of {inputs}", x.len());
    x.len() / inputs
}
