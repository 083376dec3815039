//! What models learn from and are tested on: rows of symbols or of real numbers, read by index.

/// Rows of values on the host, row-major, in event order.
///
/// Whatever takes rows takes slices of either kind: `model.log_prob(&[0_u8, 1])`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Symbols.
    Symbols(&'a [u8]),
    /// Real numbers.
    Reals(&'a [f64]),
}

impl<'a> Values<'a> {
    /// Number of values, of all rows together.
    pub fn len(&self) -> usize {
        match self {
            Self::Symbols(values) => values.len(),
            Self::Reals(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The symbols.
    ///
    /// # Panics
    /// When the values are real numbers.
    pub fn symbols(self) -> &'a [u8] {
        match self {
            Self::Symbols(values) => values,
            Self::Reals(_) => panic!("rows of real numbers, expected symbols"),
        }
    }

    /// The real numbers.
    ///
    /// # Panics
    /// When the values are symbols.
    pub fn reals(self) -> &'a [f64] {
        match self {
            Self::Reals(values) => values,
            Self::Symbols(_) => panic!("rows of symbols, expected real numbers"),
        }
    }
}

/// Rows that are owned; see [`Values`].
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// Symbols.
    Symbols(Vec<u8>),
    /// Real numbers.
    Reals(Vec<f64>),
}

impl Rows {
    /// The values.
    pub fn values(&self) -> Values<'_> {
        match self {
            Self::Symbols(values) => values.into(),
            Self::Reals(values) => values.into(),
        }
    }

    /// Adds rows of the same kind at the end.
    ///
    /// # Panics
    /// When they are of another one.
    pub fn append(&mut self, rows: Self) {
        match (self, rows) {
            (Self::Symbols(values), Self::Symbols(more)) => values.extend(more),
            (Self::Reals(values), Self::Reals(more)) => values.extend(more),
            _ => panic!("rows of symbols and rows of real numbers"),
        }
    }
}

impl<'a> From<&'a [u8]> for Values<'a> {
    fn from(values: &'a [u8]) -> Self {
        Self::Symbols(values)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Values<'a> {
    fn from(values: &'a [u8; N]) -> Self {
        Self::Symbols(values)
    }
}

impl<'a> From<&'a Vec<u8>> for Values<'a> {
    fn from(values: &'a Vec<u8>) -> Self {
        Self::Symbols(values)
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Reals(values)
    }
}

impl<'a> From<&'a Vec<f64>> for Values<'a> {
    fn from(values: &'a Vec<f64>) -> Self {
        Self::Reals(values)
    }
}

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

    /// Whether the values are real numbers, which [`read_reals`](Self::read_reals) gives, and not symbols.
    fn is_real(&self) -> bool {
        false
    }

    /// Writes the examples `rows` into `out`, `[rows.len(), variables]` in event order.
    ///
    /// `epoch` is 0 for evaluation and 1, 2, … in training; a set whose examples are drawn anew every
    /// epoch (stochastic binarization) draws them from it, so that any epoch can be repeated.
    ///
    /// # Panics
    /// When the values are real numbers.
    fn read(&self, epoch: u64, rows: &[usize], out: &mut Vec<u8>);

    /// [`read`](Self::read) for real numbers.
    ///
    /// # Panics
    /// When the values are symbols, which is what a set is that does not say otherwise.
    fn read_reals(&self, epoch: u64, rows: &[usize], out: &mut Vec<f64>) {
        let _ = (epoch, rows, out);
        panic!("a set of symbols, expected real numbers");
    }

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
    rows: Rows,
    variables: usize,
    labels: Option<Vec<u8>>,
}

impl InMemory {
    /// Symbols; `values` is `[len, variables]`.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn new(values: Vec<u8>, variables: usize) -> Self {
        Self::of(Rows::Symbols(values), variables)
    }

    /// Real numbers; `values` is `[len, variables]`.
    ///
    /// # Panics
    /// When the values are not whole rows.
    pub fn reals(values: Vec<f64>, variables: usize) -> Self {
        Self::of(Rows::Reals(values), variables)
    }

    fn of(rows: Rows, variables: usize) -> Self {
        let len = rows.values().len();
        assert!(
            variables > 0 && len.is_multiple_of(variables),
            "{len} values are not whole rows of {variables}"
        );
        Self { rows, variables, labels: None }
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
        self.rows.values().len() / self.variables
    }

    fn variables(&self) -> usize {
        self.variables
    }

    fn is_real(&self) -> bool {
        matches!(self.rows, Rows::Reals(_))
    }

    fn read(&self, _: u64, rows: &[usize], out: &mut Vec<u8>) {
        copy_rows(self.rows.values().symbols(), self.variables, rows, out);
    }

    fn read_reals(&self, _: u64, rows: &[usize], out: &mut Vec<f64>) {
        copy_rows(self.rows.values().reals(), self.variables, rows, out);
    }

    fn labels(&self, rows: &[usize]) -> Option<Vec<u8>> {
        let labels = self.labels.as_ref()?;
        Some(rows.iter().map(|&row| labels[row]).collect())
    }
}

/// Writes the rows of `values`, `[len, variables]`, that `rows` names into `out`.
pub fn copy_rows<T: Copy>(values: &[T], variables: usize, rows: &[usize], out: &mut Vec<T>) {
    out.clear();
    for &row in rows {
        out.extend_from_slice(&values[row * variables..(row + 1) * variables]);
    }
}

/// The examples `rows` of a set of either kind; see [`Examples::read`].
pub fn read_rows(examples: &dyn Examples, epoch: u64, rows: &[usize]) -> Rows {
    if examples.is_real() {
        let mut out = Vec::with_capacity(rows.len() * examples.variables());
        examples.read_reals(epoch, rows, &mut out);
        Rows::Reals(out)
    } else {
        let mut out = Vec::with_capacity(rows.len() * examples.variables());
        examples.read(epoch, rows, &mut out);
        Rows::Symbols(out)
    }
}

/// All labels of a set, in order.
pub fn all_labels(examples: &dyn Examples) -> Option<Vec<u8>> {
    examples.labels(&(0..examples.len()).collect::<Vec<_>>())
}

/// All examples of a set of symbols, in order, `[len, variables]`.
///
/// # Panics
/// When the values are real numbers.
pub fn read_all(examples: &dyn Examples, epoch: u64) -> Vec<u8> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let mut out = Vec::with_capacity(rows.len() * examples.variables());
    examples.read(epoch, &rows, &mut out);
    out
}

/// All examples of a set of real numbers, in order, `[len, variables]`.
///
/// # Panics
/// When the values are symbols.
pub fn read_all_reals(examples: &dyn Examples, epoch: u64) -> Vec<f64> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    let mut out = Vec::with_capacity(rows.len() * examples.variables());
    examples.read_reals(epoch, &rows, &mut out);
    out
}

/// Rows that are read at a time where a set is gone through.
const CHUNK: usize = 2000;

/// Calls `f` with the index of the first of some examples and their values, some after the other.
///
/// # Errors
/// The first that `f` returns.
pub(crate) fn for_chunks<E>(
    examples: &dyn Examples,
    epoch: u64,
    mut f: impl FnMut(usize, Values<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let rows: Vec<usize> = (0..examples.len()).collect();
    for (chunk, rows) in rows.chunks(CHUNK).enumerate() {
        f(chunk * CHUNK, read_rows(examples, epoch, rows).values())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_what_it_is() {
        let symbols = InMemory::new(vec![0, 1, 2, 3], 2);
        assert!(!symbols.is_real());
        assert_eq!(read_rows(&symbols, 0, &[1, 0]), Rows::Symbols(vec![2, 3, 0, 1]));
        let reals = InMemory::reals(vec![0.5, -1.0, 7.0, 2.25], 2);
        assert!(reals.is_real());
        assert_eq!(read_rows(&reals, 0, &[1]), Rows::Reals(vec![7.0, 2.25]));
    }

    #[test]
    #[should_panic(expected = "rows of real numbers, expected symbols")]
    fn real_numbers_are_no_symbols() {
        InMemory::reals(vec![0.5], 1).read(0, &[0], &mut Vec::new());
    }
}
