//! What models learn from and are tested on: rows of symbols, read by index.

/// A set of examples. Where they come from (a file, memory, dice) is not a model's business.
pub trait Examples: Sync {
    /// Number of examples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of variables of an example.
    fn variables(&self) -> usize;

    /// Writes the examples `rows` into `out`, `[rows.len(), variables]` in event order.
    ///
    /// `epoch` is 0 for evaluation and 1, 2, … in training; a set whose examples are drawn anew every
    /// epoch (stochastic binarization) draws them from it, so that any epoch can be repeated.
    fn read(&self, epoch: u64, rows: &[usize], out: &mut Vec<u8>);
}

/// Examples in memory, the same in every epoch.
#[derive(Clone, Debug)]
pub struct InMemory {
    values: Vec<u8>,
    variables: usize,
}

impl InMemory {
    /// `values` is `[len, variables]`.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn new(values: Vec<u8>, variables: usize) -> Self {
        assert!(
            variables > 0 && values.len().is_multiple_of(variables),
            "{} values are not whole rows of {variables}",
            values.len()
        );
        Self { values, variables }
    }
}

impl Examples for InMemory {
    fn len(&self) -> usize {
        self.values.len() / self.variables
    }

    fn variables(&self) -> usize {
        self.variables
    }

    fn read(&self, _: u64, rows: &[usize], out: &mut Vec<u8>) {
        out.clear();
        for &row in rows {
            out.extend_from_slice(&self.values[row * self.variables..(row + 1) * self.variables]);
        }
    }
}

/// All examples of a set, in order, `[len, variables]`.
pub fn read_all(examples: &dyn Examples, epoch: u64) -> Vec<u8> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let mut out = Vec::with_capacity(rows.len() * examples.variables());
    examples.read(epoch, &rows, &mut out);
    out
}
