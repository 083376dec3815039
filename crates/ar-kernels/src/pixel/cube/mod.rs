//! The ops of [`super::gpu`] in CubeCL: what taps gather, its adjoint, and the recurrence of a layer.

mod lstm;
mod taps;

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::gpu::StateOps;
use super::{Lstm, Tap};

pub(super) use lstm::MOST_HIDDEN;

impl StateOps for CubeBackend {
    fn pixel_gather(x: CubeTensor, taps: Vec<Tap>) -> CubeTensor {
        taps::gather(x, &taps)
    }

    fn pixel_scatter(seen: CubeTensor, taps: Vec<Tap>) -> CubeTensor {
        taps::scatter(seen, &taps)
    }

    fn pixel_states(
        z: CubeTensor,
        state_to_state: CubeTensor,
        initial: CubeTensor,
        spec: Lstm,
    ) -> CubeTensor {
        let [h, _, _] = lstm::states(z, state_to_state, initial, spec, false);
        h
    }

    fn pixel_states_kept(
        z: CubeTensor,
        state_to_state: CubeTensor,
        initial: CubeTensor,
        spec: Lstm,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let [h, gates, cells] = lstm::states(z, state_to_state, initial, spec, true);
        (h, gates, cells)
    }

    fn pixel_states_gradients(
        h: CubeTensor,
        gates: CubeTensor,
        cells: CubeTensor,
        state_to_state: CubeTensor,
        initial: CubeTensor,
        grad: CubeTensor,
        spec: Lstm,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        lstm::gradients(h, gates, cells, state_to_state, initial, grad, spec)
    }
}
