//! The walk over columns as an entropy coder needs it: one cell at a time, and what describes it on the host.

use ar_kernels::columns::Head;
use burn::tensor::Float;
use prob_core::Autoregressive;

use super::conditional::ColumnConditional;
use super::units::Units;
use crate::parts::neural::Neural;
use crate::parts::tensors::device_of;
use crate::parts::value::ValueKind;
use crate::parts::walker::Arithmetic;

/// Who says what a cell is: `choose(t, row, head, parameters)`, with the parameters of the head in f64.
pub(crate) type ChooseCell<'a> = dyn FnMut(usize, usize, &Head, &[f64]) -> f64 + 'a;

/// A model whose conditionals are those of columns, one after the other.
pub(crate) trait ColumnWalker: Sync {
    /// What the columns look like.
    fn units(&self) -> &Units;

    /// Walks `n` rows; `choose` is asked position by position and row by row. Parameters depend on the values before,
    /// on the number of rows and on the arithmetic alone.
    fn walk(&self, n: usize, choose: &mut ChooseCell<'_>);

    /// What computes the parameters: tensor operations, and for the numbers that they are conditioned on the system's
    /// asinh.
    fn arithmetic(&self) -> Arithmetic;
}

/// The walk over the trait.
pub(crate) struct ColumnSteps<'a, M> {
    pub(crate) model: &'a M,
    pub(crate) units: &'a Units,
}

impl<M> ColumnWalker for ColumnSteps<'_, M>
where
    M: Neural<Kind = Float> + Autoregressive<Conditional = ColumnConditional>,
{
    fn units(&self) -> &Units {
        self.units
    }

    fn walk(&self, n: usize, choose: &mut ChooseCell<'_>) {
        let device = device_of(self.model);
        let mut state = self.model.init_state(n);
        for t in 0..self.model.event_len() {
            let conditional = self.model.conditional(&state);
            let [_, width] = conditional.outputs.dims();
            let parameters: Vec<f64> = conditional.outputs.to_data().iter::<f64>().collect();
            let rows = parameters.chunks_exact(width).enumerate();
            let x_t: Vec<f64> =
                rows.map(|(row, own)| choose(t, row, &conditional.head, own)).collect();
            self.model.advance(&mut state, Float::to_device(&x_t, 1, &device).reshape([n]));
        }
    }

    fn arithmetic(&self) -> Arithmetic {
        let backend = ar_kernels::backend_name(&device_of(self.model));
        Arithmetic::Tensors { backend, isa: ar_kernels::Isa::detect().name() }
    }
}
