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

    /// The labels of the examples `rows`, in that order, the same in every epoch; `None` where the set
    /// has none.
    fn labels(&self, rows: &[usize]) -> Option<Vec<u8>> {
        let _ = rows;
        None
    }
}

/// Examples in memory, the same in every epoch.
#[derive(Clone, Debug)]
pub struct InMemory {
    values: Vec<u8>,
    variables: usize,
    labels: Option<Vec<u8>>,
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
        Self { values, variables, labels: None }
    }

    /// With one label per example.
    ///
    /// # Panics
    /// When there is not one label per example.
    #[must_use]
    pub fn with_labels(self, labels: Vec<u8>) -> Self {
        assert_eq!(labels.len(), self.len(), "one label per example");
        Self { labels: Some(labels), ..self }
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

    fn labels(&self, rows: &[usize]) -> Option<Vec<u8>> {
        let labels = self.labels.as_ref()?;
        Some(rows.iter().map(|&row| labels[row]).collect())
    }
}

/// All labels of a set, in order.
pub fn all_labels(examples: &dyn Examples) -> Option<Vec<u8>> {
    examples.labels(&(0..examples.len()).collect::<Vec<_>>())
}

/// All examples of a set, in order, `[len, variables]`.
pub fn read_all(examples: &dyn Examples, epoch: u64) -> Vec<u8> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let mut out = Vec::with_capacity(rows.len() * examples.variables());
    examples.read(epoch, &rows, &mut out);
    out
}
