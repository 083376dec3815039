//! One probability for every event: the joint distribution itself.
//!
//! ```text
//! p(x) = table[x_1, …, x_n],     m^n entries, m^n − 1 of them free
//! ```
//!
//! Everything can be read off it: marginals, conditionals, conditional independence. The price is its
//! size; at 28 × 28 binary pixels it has more entries than the universe has atoms.

use num_bigint::BigUint;

use super::tables::{Structure, Tables, check_memory, check_rows};
use super::tabular::impl_tabular;
use super::{DEFAULT_MEMORY_LIMIT_BYTES, Symbols, Tabular};
use crate::count;
use crate::dist::categorical::{check_pseudo_count, counts_to_log_probs};
use crate::error::Error;
use crate::logspace::logsumexp;
use crate::ordering::Ordering;

/// What errors call it.
const MODEL: &str = "full table";

/// The full joint table. Next to its `m^n` entries it keeps the conditionals of the chain rule
/// along the raster ordering, `m + m² + … + m^n` entries; the memory limit counts both.
///
/// ```
/// use prob_core::joint::{FullTable, Symbols, Tabular};
/// let data = Symbols::new(&[0, 0, 0, 1, 1, 1, 1, 1], 2, 2).unwrap();
/// let table = FullTable::fit(data, 0.0).unwrap();
/// assert_eq!(table.free_parameters().to_string(), "3");
/// assert_eq!(table.log_prob_rows(&[1, 1, 1, 0]), [0.5f64.ln(), f64::NEG_INFINITY]);
/// let second = table.marginal(&[1]).unwrap();
/// assert!((second.log_probs()[1] - 0.75f64.ln()).abs() < 1e-15);
/// let second_given_first = table.conditional(&[(0, 1)]).unwrap();
/// assert_eq!(second_given_first.log_probs(), [f64::NEG_INFINITY, 0.0]);
/// ```
#[derive(Debug, Clone)]
pub struct FullTable {
    /// `[states; variables]` in row-major order, variable 0 the most significant digit.
    log_probs: Vec<f64>,
    tables: Tables,
}

/// What [`FullTable::conditional_independence`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConditionalIndependence {
    /// `I(X; Y | Z) = Σ p(x,y,z) log(p(x,y|z) / (p(x|z) p(y|z)))`, 0 exactly when independent.
    pub mutual_information_nats: f64,
    /// Largest `|p(x,y|z) − p(x|z) p(y|z)|` over the z that can happen.
    pub largest_deviation: f64,
    /// Whether the mutual information is at most the tolerance asked for.
    pub independent: bool,
}

impl FullTable {
    /// Laplace's estimate: `(count(x) + α) / (N + m^n α)`.
    ///
    /// # Errors
    /// When variables have different numbers of states, the pseudo-count is negative or not finite, or the tables exceed
    /// [`DEFAULT_MEMORY_LIMIT_BYTES`] (25 binary variables fit, 26 do not).
    pub fn fit(data: Symbols<'_>, pseudo_count: f64) -> Result<Self, Error> {
        Self::fit_within(data, pseudo_count, DEFAULT_MEMORY_LIMIT_BYTES)
    }

    /// [`fit`](Self::fit) with another memory limit.
    ///
    /// # Errors
    /// As for `fit`.
    ///
    /// ```
    /// use prob_core::joint::{FullTable, Symbols};
    /// let image = [0; 784];
    /// let data = Symbols::new(&image, 784, 2).unwrap();
    /// let error = FullTable::fit_within(data, 1.0, 1 << 40).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "full table needs at least about 10^237 bytes of tables, expected at most 1024.0 GiB",
    /// );
    /// ```
    pub fn fit_within(
        data: Symbols<'_>,
        pseudo_count: f64,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        check_pseudo_count(pseudo_count)?;
        let (variables, states) = (data.variables(), data.common_states(MODEL)?);
        let cells = check_size_within(variables, states, limit_bytes)?;
        let mut log_probs = vec![0.0; cells];
        for event in data.values().chunks_exact(variables) {
            log_probs[event.iter().fold(0, |cell, &s| cell * states + usize::from(s))] += 1.0;
        }
        counts_to_log_probs(&mut log_probs, pseudo_count);
        Self::with_chain(variables, states, log_probs, limit_bytes)
    }

    /// From the joint log-probabilities, variable 0 the most significant digit; kept bit for bit.
    ///
    /// # Shapes
    /// `log_probs`: `[states; variables]` in row-major order.
    ///
    /// # Errors
    /// When the length is not `states^variables`, or the probabilities do not sum to 1 within 1e-9.
    pub fn from_log_probs(
        variables: usize,
        states: usize,
        log_probs: Vec<f64>,
    ) -> Result<Self, Error> {
        let cells = check_size_within(variables, states, u64::MAX)?;
        if log_probs.len() != cells {
            return Err(Error::Table {
                what: "entries of the full table".to_owned(),
                got: log_probs.len(),
                expected: cells,
            });
        }
        check_rows(&log_probs, cells)?;
        Self::with_chain(variables, states, log_probs, u64::MAX)
    }

    /// From stored [`table_arrays`](Tabular::table_arrays): one array, the joint log-probabilities.
    ///
    /// # Errors
    /// As for [`from_log_probs`](Self::from_log_probs), and when there is not exactly one array.
    pub fn from_tables(
        variables: usize,
        states: usize,
        tables: Vec<Vec<f64>>,
    ) -> Result<Self, Error> {
        match <[Vec<f64>; 1]>::try_from(tables) {
            Ok([log_probs]) => Self::from_log_probs(variables, states, log_probs),
            Err(tables) => Err(Error::Table {
                what: "number of tables".to_owned(),
                got: tables.len(),
                expected: 1,
            }),
        }
    }

    /// Joint log-probabilities in nats, `[states; variables]` in row-major order.
    pub fn log_probs(&self) -> &[f64] {
        &self.log_probs
    }

    /// Adds the conditionals of the chain rule, from the joint inwards.
    fn with_chain(
        variables: usize,
        states: usize,
        log_probs: Vec<f64>,
        limit_bytes: u64,
    ) -> Result<Self, Error> {
        let structure = Structure {
            model: MODEL,
            ordering: Ordering::raster(variables),
            levels: vec![states; variables],
            contexts: (0..variables).map(|t| (0..t).collect()).collect(),
        };
        let cells = BigUint::from(log_probs.len());
        let tables = structure.derived(cells, limit_bytes, |_| {
            // `mass` holds log p(x_0 .. x_t) while t goes down.
            let mut mass = log_probs.clone();
            let mut chain: Vec<Vec<f64>> = (0..variables)
                .map(|_| {
                    let prefixes: Vec<f64> = mass.chunks_exact(states).map(logsumexp).collect();
                    let mut table = std::mem::replace(&mut mass, prefixes);
                    for (row, &prefix) in table.chunks_exact_mut(states).zip(&mass) {
                        for entry in row {
                            *entry = if prefix == f64::NEG_INFINITY {
                                -(states as f64).ln()
                            } else {
                                *entry - prefix
                            };
                        }
                    }
                    table
                })
                .collect();
            chain.reverse();
            chain
        })?;
        Ok(Self { log_probs, tables })
    }

    /// The joint distribution of `keep`, in the order listed; everything else is summed out.
    ///
    /// # Errors
    /// When `keep` is empty, lists a variable twice, or one that does not exist.
    pub fn marginal(&self, keep: &[usize]) -> Result<Self, Error> {
        if keep.is_empty() {
            return Err(Error::Empty("variables to keep"));
        }
        self.check_variables(&[keep])?;
        let log_probs = self.sum_out(keep);
        self.derived(keep.len(), log_probs)
    }

    /// The distribution of the other variables, in ascending order, once those in `given` are known
    /// to have the given symbols.
    ///
    /// # Errors
    /// When a variable does not exist or is given twice, a symbol is outside the support, no variable
    /// is left, or what is given has probability 0.
    pub fn conditional(&self, given: &[(usize, u8)]) -> Result<Self, Error> {
        let states = self.tables.states();
        let known: Vec<usize> = given.iter().map(|&(i, _)| i).collect();
        self.check_variables(&[&known])?;
        if let Some(&(variable, value)) = given.iter().find(|(_, s)| usize::from(*s) >= states) {
            return Err(Error::Symbol { value, row: 0, variable, states });
        }
        let rest: Vec<usize> = (0..self.variables()).filter(|i| !known.contains(i)).collect();
        if rest.is_empty() {
            return Err(Error::Empty("variables left"));
        }
        // With the known variables in front, what is given is one contiguous stretch.
        let joint = self.sum_out(&[known, rest.clone()].concat());
        let stretch = given.iter().fold(0, |cell, &(_, s)| cell * states + usize::from(s));
        let cells = joint.len() / states.pow(given.len() as u32);
        let mut log_probs = joint[stretch * cells..(stretch + 1) * cells].to_vec();
        let evidence = logsumexp(&log_probs);
        if evidence == f64::NEG_INFINITY {
            return Err(Error::Impossible);
        }
        log_probs.iter_mut().for_each(|l| *l -= evidence);
        self.derived(rest.len(), log_probs)
    }

    /// Whether `X ⊥ Y | Z` for the sets of variables `x`, `y` and `z` (which may be empty).
    ///
    /// ```text
    /// X ⊥ Y | Z   ⇔   p(x, y | z) = p(x | z) p(y | z) for all x, y and possible z   ⇔   I(X; Y | Z) = 0
    /// ```
    ///
    /// # Errors
    /// When `x` or `y` is empty, a variable does not exist, or one is listed twice.
    ///
    /// ```
    /// use prob_core::joint::{FullTable, Symbols};
    /// // Two fair coins and their exclusive or: independent, until one sees the third.
    /// let data = Symbols::new(&[0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0], 3, 2).unwrap();
    /// let table = FullTable::fit(data, 0.0).unwrap();
    /// let alone = table.conditional_independence(&[0], &[1], &[], 1e-12).unwrap();
    /// assert!(alone.independent);
    /// let given = table.conditional_independence(&[0], &[1], &[2], 1e-12).unwrap();
    /// assert!(!given.independent);
    /// assert!((given.mutual_information_nats - 2f64.ln()).abs() < 1e-12);
    /// assert_eq!(given.largest_deviation, 0.25);
    /// ```
    pub fn conditional_independence(
        &self,
        x: &[usize],
        y: &[usize],
        z: &[usize],
        tolerance_nats: f64,
    ) -> Result<ConditionalIndependence, Error> {
        for (set, name) in [(x, "variables in X"), (y, "variables in Y")] {
            if set.is_empty() {
                return Err(Error::Empty(name));
            }
        }
        self.check_variables(&[x, y, z])?;
        let states = self.tables.states();
        let size = |set: &[usize]| states.pow(set.len() as u32);
        let (size_x, size_y, size_z) = (size(x), size(y), size(z));
        // Axes in the order z, x, y.
        let joint: Vec<f64> = self.sum_out(&[z, x, y].concat()).into_iter().map(f64::exp).collect();
        let (mut information, mut deviation) = (0.0, 0.0f64);
        for slice in joint.chunks_exact(size_x * size_y).take(size_z) {
            let p_z: f64 = slice.iter().sum();
            if p_z == 0.0 {
                continue;
            }
            let p_x: Vec<f64> = slice.chunks_exact(size_y).map(|row| row.iter().sum()).collect();
            let p_y: Vec<f64> =
                (0..size_y).map(|b| slice.iter().skip(b).step_by(size_y).sum()).collect();
            for (cell, &p) in slice.iter().enumerate() {
                let product = p_x[cell / size_y] * p_y[cell % size_y] / p_z;
                deviation = deviation.max((p - product).abs() / p_z);
                if p > 0.0 {
                    information += p * (p / product).ln();
                }
            }
        }
        // Rounding can leave a sum that is zero slightly below it.
        let mutual_information_nats = f64::max(information, 0.0);
        Ok(ConditionalIndependence {
            mutual_information_nats,
            largest_deviation: deviation,
            independent: mutual_information_nats <= tolerance_nats,
        })
    }

    /// A smaller table that speaks tensors as this one does.
    fn derived(&self, variables: usize, log_probs: Vec<f64>) -> Result<Self, Error> {
        let mut table = Self::with_chain(variables, self.tables.states(), log_probs, u64::MAX)?;
        table.tables.speak_like(&self.tables);
        Ok(table)
    }

    /// All variables exist, and none is listed twice across the sets.
    fn check_variables(&self, sets: &[&[usize]]) -> Result<(), Error> {
        let variables = self.variables();
        let mut seen = vec![false; variables];
        for &i in sets.iter().copied().flatten() {
            match seen.get_mut(i) {
                None => {
                    return Err(Error::NoSuchVariable { variable: i, variables });
                }
                Some(true) => {
                    return Err(Error::Repeated { what: "variable", value: i.to_string() });
                }
                Some(seen) => *seen = true,
            }
        }
        Ok(())
    }

    /// Log-probabilities of `keep` in that order, by one pass for the maxima and one for the sums.
    fn sum_out(&self, keep: &[usize]) -> Vec<f64> {
        let (variables, states) = (self.variables(), self.tables.states());
        // What one step of each variable adds to the target cell; 0 for those summed out.
        let mut stride = vec![0; variables];
        for (place, &i) in keep.iter().rev().enumerate() {
            stride[i] = states.pow(place as u32);
        }
        let cells = states.pow(keep.len() as u32);
        let mut target = Vec::with_capacity(self.log_probs.len());
        let mut digits = vec![0; variables];
        let mut cell = 0;
        for _ in 0..self.log_probs.len() {
            target.push(cell);
            // An odometer: the last variable turns fastest.
            for i in (0..variables).rev() {
                digits[i] += 1;
                cell += stride[i];
                if digits[i] < states {
                    break;
                }
                digits[i] = 0;
                cell -= stride[i] * states;
            }
        }
        let mut max = vec![f64::NEG_INFINITY; cells];
        for (&l, &cell) in self.log_probs.iter().zip(&target) {
            max[cell] = max[cell].max(l);
        }
        let mut sum = vec![0.0; cells];
        for (&l, &cell) in self.log_probs.iter().zip(&target) {
            if max[cell] > f64::NEG_INFINITY {
                sum[cell] += (l - max[cell]).exp();
            }
        }
        max.iter()
            .zip(&sum)
            .map(|(&max, sum)| if *sum > 0.0 { max + sum.ln() } else { max })
            .collect()
    }

    /// Log-probability straight from the joint, not by the chain rule: so the two can be compared.
    fn joint_log_prob_rows(&self, values: &[u8]) -> Vec<f64> {
        let states = self.tables.states();
        self.tables.check_whole_rows(values);
        self.tables.map_rows(values, |event| {
            let cell = event.iter().try_fold(0, |cell, &symbol| {
                (usize::from(symbol) < states).then(|| cell * states + usize::from(symbol))
            });
            cell.map_or(f64::NEG_INFINITY, |cell| self.log_probs[cell])
        })
    }
}

/// Number of cells, when they and the chain's tables fit.
fn check_size_within(variables: usize, states: usize, limit_bytes: u64) -> Result<usize, Error> {
    super::symbols::check_size(variables, states)?;
    let cells = count::power(states, variables);
    // m + m² + … + m^n in closed form: term by term it would take long to refuse a long row.
    let chain = match states {
        1 => BigUint::from(variables),
        _ => (&cells - 1u8) * states / (states - 1),
    };
    check_memory(MODEL, &cells + chain, limit_bytes)?;
    Ok(usize::try_from(&cells).expect("within the limit"))
}

impl_tabular!(
    FullTable,
    arrays: |model| vec![&model.log_probs],
    parameters: |model| count::full_table(model.variables(), model.tables.states()),
    rows: |model, values| model.joint_log_prob_rows(values)
);
