//! The walk of a window over symbols, for an entropy coder.

use super::KernelWindow;
use super::kernels::Kernel;
use crate::parts::walker::{Arithmetic, Choose, Walker};

impl KernelWindow {
    /// The walk for an entropy coder; none of numbers.
    pub(crate) fn walker(&self) -> Option<Box<dyn Walker + '_>> {
        if self.is_real { None } else { Some(Box::new(WindowWalker(self))) }
    }
}

/// A window of symbols as a coder needs it.
#[derive(Clone, Copy, Debug)]
struct WindowWalker<'a>(&'a KernelWindow);

impl Walker for WindowWalker<'_> {
    fn together(&self) -> usize {
        16
    }

    /// Sums in a fixed order, with the system's exp and ln in f64.
    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Plain
    }

    /// p(x_t | x_<t) = Σ_c S_c K(x_t | c), where S_c is the weight of all stored rows whose symbol is c.
    fn walk(&self, n: usize, choose: &mut Choose<'_>) {
        let window = self.0;
        let (stored, width) = (window.stored(), window.cells.len());
        let mut costs = vec![0.0; n * stored];
        for &t in window.ordering.as_slice() {
            let Kernel::Label(label) = &window.layout.kernels[t] else {
                unreachable!("a window of numbers has no walker")
            };
            let levels = label.labels();
            let of = |x: usize| label.of_centres(x as f64).into_iter().map(f64::exp);
            let kernels: Vec<Vec<f64>> = (0..levels).map(|x| of(x).collect()).collect();
            let symbols: Vec<usize> =
                window.rows.iter().skip(t).step_by(width).map(|&x| label.index(x)).collect();
            let (mut masses, mut logits) = (vec![0.0; levels + 1], vec![0.0; levels]);
            for (event, costs) in costs.chunks_exact_mut(stored).enumerate() {
                let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
                masses.fill(0.0);
                for (cost, &symbol) in costs.iter().zip(&symbols) {
                    masses[symbol] += (least - cost).exp();
                }
                for (logit, kernel) in logits.iter_mut().zip(&kernels) {
                    let p: f64 = masses.iter().zip(kernel).map(|(mass, k)| mass * k).sum();
                    *logit = p.ln();
                }
                let x = choose(t, event, &logits);
                window.layout.add(t, f64::from(x), costs);
            }
        }
    }
}
