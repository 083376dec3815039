//! Who sees whom.

use std::sync::Arc;

/// The degrees of the units below and above: one above sees one below if its own is no less.
///
/// ```
/// use ar_kernels::masked::Degrees;
///
/// let degrees = Degrees::new(&[1, 2], &[0, 2, 1]);
/// assert_eq!(degrees.mask(), [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degrees(Arc<Sorted>);

#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    below: Vec<usize>,
    above: Vec<usize>,
    /// Units below from the least degree to the largest, and those above.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// How many of `inputs` each of `outputs` sees, the first ones; it never falls.
    seen: Vec<usize>,
}

impl Degrees {
    /// Units of these degrees.
    pub fn new(below: &[usize], above: &[usize]) -> Self {
        let sorted = |degrees: &[usize]| {
            let mut units: Vec<usize> = (0..degrees.len()).collect();
            units.sort_by_key(|&unit| degrees[unit]);
            units
        };
        let (inputs, outputs) = (sorted(below), sorted(above));
        let sees = |&k: &usize| inputs.partition_point(|&j| below[j] <= above[k]);
        let seen = outputs.iter().map(sees).collect();
        Self(Arc::new(Sorted {
            below: below.to_vec(),
            above: above.to_vec(),
            inputs,
            outputs,
            seen,
        }))
    }

    /// Units below and above.
    pub fn dims(&self) -> [usize; 2] {
        [self.0.below.len(), self.0.above.len()]
    }

    /// M, `[below, above]`.
    pub fn mask(&self) -> Vec<f32> {
        let row = |&below: &usize| {
            self.0.above.iter().map(move |&above| f32::from(u8::from(above >= below)))
        };
        self.0.below.iter().flat_map(row).collect()
    }

    /// Degrees of the units below.
    pub(super) fn below(&self) -> &[usize] {
        &self.0.below
    }

    /// Degrees of the units above.
    pub(super) fn above(&self) -> &[usize] {
        &self.0.above
    }

    /// Units below from the least degree to the largest.
    pub(super) fn inputs(&self) -> &[usize] {
        &self.0.inputs
    }

    /// Likewise those above.
    pub(super) fn outputs(&self) -> &[usize] {
        &self.0.outputs
    }

    /// How many of [`inputs`](Self::inputs) each of [`outputs`](Self::outputs) sees, the first ones; it never falls.
    pub(super) fn seen(&self) -> &[usize] {
        &self.0.seen
    }
}
