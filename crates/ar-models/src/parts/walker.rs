//! The walk of a model as an entropy coder needs it, and what computes its conditionals.

use core::fmt;

use burn::module::Module;
use burn::tensor::kind::Basic;
use burn::tensor::{Int, Tensor};
use prob_core::joint::ConditionalTable;
use prob_core::{Autoregressive, Density};

use super::tensors::{device_of, host_f64, label_tensor};

/// What computes the conditionals. The same kind gives the same bits on every machine that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Single operations on f32 or f64 in a fixed order, which every machine rounds alike. (Where there
    /// are classes, also the system's exp and ln in f64.)
    Plain,
    /// Kernels on an instruction set, named as [`ar_kernels::Isa::name`] does.
    Lanes(&'static str),
    /// Tensor operations of a backend, on a processor whose widest instruction set is this.
    Tensors {
        /// As in [`ar_kernels::backend_name`].
        backend: &'static str,
        /// As in [`ar_kernels::Isa::name`].
        isa: &'static str,
    },
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Lanes(isa) => f.write_str(isa),
            Self::Tensors { backend, isa } => write!(f, "{backend} on {isa}"),
        }
    }
}

/// Who says what a value is: `choose(t, event, logits)`, with one logit per symbol, in f64; they are
/// log-probabilities up to what is common to them.
pub type Choose<'a> = dyn FnMut(usize, usize, &[f64]) -> u8 + 'a;

/// The walk of a model as an entropy coder needs it: one value at a time, and logits that depend on the
/// arithmetic, the values before and the number of events alone.
pub trait Walker: Sync {
    /// Events that are best walked together.
    fn together(&self) -> usize;

    /// What computes the logits.
    fn arithmetic(&self) -> Arithmetic;

    /// Walks `n` events; `choose` is asked position by position and event by event.
    fn walk(&self, n: usize, choose: &mut Choose<'_>);
}

/// The walk over the trait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stepped<'a, M> {
    pub(crate) model: &'a M,
    pub(crate) levels: usize,
}

impl<M> Walker for Stepped<'_, M>
where
    M: Module + Sync + Autoregressive<Conditional: Density<Event = Tensor<1, Int>>>,
{
    fn together(&self) -> usize {
        256
    }

    fn arithmetic(&self) -> Arithmetic {
        let backend = ar_kernels::backend_name(&device_of(self.model));
        Arithmetic::Tensors { backend, isa: ar_kernels::Isa::detect().name() }
    }

    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let device = device_of(self.model);
        let symbols: Vec<_> =
            (0..self.levels).map(|symbol| label_tensor(&vec![symbol as u8; n], &device)).collect();
        let mut logits = vec![0.0; self.levels];
        steps(self.model, n, |t, conditional| {
            let log_probs: Vec<Vec<f64>> =
                symbols.iter().map(|x| host_f64(conditional.log_prob(x.clone()))).collect();
            let row = |row| {
                for (logit, log_probs) in logits.iter_mut().zip(&log_probs) {
                    *logit = log_probs[row];
                }
                choose(t, row, &logits)
            };
            label_tensor(&(0..n).map(row).collect::<Vec<_>>(), &device)
        });
    }
}

/// The walk through tables, in f64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tabulated<'a>(pub(crate) &'a [ConditionalTable]);

impl Walker for Tabulated<'_> {
    fn together(&self) -> usize {
        64
    }

    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Plain
    }

    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let variables = self.0.len();
        let mut x = vec![0; n * variables];
        for (t, table) in self.0.iter().enumerate() {
            for (row, event) in x.chunks_exact_mut(variables).enumerate() {
                event[table.variable()] = choose(t, row, table.row(event));
            }
        }
    }
}

/// Walks `n` events, whose values of position t are what `choose(t, p(x_t | x_<t))` says.
///
/// # Shapes
/// `choose` returns `[n]`.
pub(crate) fn steps<M, K>(
    model: &M,
    n: usize,
    mut choose: impl FnMut(usize, &M::Conditional) -> Tensor<1, K>,
) where
    K: Basic,
    M: Autoregressive,
    M::Conditional: Density<Event = Tensor<1, K>>,
{
    let mut state = model.init_state(n);
    for t in 0..model.event_len() {
        let x_t = choose(t, &model.conditional(&state));
        model.advance(&mut state, x_t);
    }
}
