//! Lossless compression of tables, whose columns are of different types.
//!
//! ```text
//! for t in 0..columns:   the cell x_t <-> some decisions of the range coder, by p(x_t | x_<t)
//! size ≈ −Σ log₂ p(x_t)                                of categories and numbers on a grid
//!        −Σ log₂ (density of x_t · distance of numbers)  of real columns
//! ```
//!
//! What goes in comes back, cell by cell: the same numbers to the bit, missing cells as missing ones, labels that
//! training never saw as themselves.
//!
//! | cell | what it costs |
//! |---|---|
//! | a label, a number on its grid, a missing number | −log₂ p; all of them together with the header 0.5 % and 64 bytes more, unless a cell costs less than 0.005 bits |
//! | a label that training never saw | −log₂ ε, which of them it is, and once its letters |
//! | a number off its column's grid | 84 bits |
//! | a real number | −log₂ of the density and of the distance to the next number that the column could hold, less than 0.01 bits more; at most 84 bits |
//!
//! The numbers of a real column are what they are written as: multiples of 10^−k with at most 15 places where nearly
//! all of them are (one of 1,000 may be off), else those of f32, else those of f64, whichever takes the fewest bits.
//! The header says which.
//!
//! Streams, and what is checked before anything is decoded, are as of symbols ([`super`]). 256 rows walk together,
//! step by step on both sides: the parallel path of a model has other last bits. The conditionals are computed by tensor
//! operations and the system's asinh, which is what [`Arithmetic::Tensors`](super::Arithmetic) says; what is made of
//! them is made of operations that IEEE 754 defines, in a fixed order.
//!
//! # References
//! Bisection of an interval by its mass is arithmetic coding of the bits of an index: Witten, Neal, Cleary, *Arithmetic
//! Coding for Data Compression*, 1987. That −log₂ of a density and of the distance of numbers is what they cost: Cover,
//! Thomas, *Elements of Information Theory*, 2006, Theorem 8.3.1.

mod cells;
mod format;
mod lattice;
mod mixture;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

pub use format::TableHeader;

use cells::{Cell, CellCoder, Coding, Numbers, Written};
use format::MOST_CELLS;
use lattice::{Found, Lattice};

use super::coder::{Interval, Reader, least_bits};
use super::digest::{digest_of_model, hex};
use super::format::first;
use super::streams::{MOST_TOGETHER, Streams, apart};
use crate::foundation::column::Column;
use crate::foundation::error::Error;
use crate::foundation::event::EventSpec;
use crate::foundation::examples::{Examples, for_chunks};
use crate::foundation::fault::Fault;
use crate::model::Model;
use crate::model::config::ModelConfig;
use crate::parts::columns::ColumnWalker;

/// Rows that walk together.
const TOGETHER: usize = 256;

/// Of each column the labels that training never saw, in the order of their codes behind those that it saw; `None` is a
/// missing cell where training had none.
pub type Others = Vec<Vec<Option<String>>>;

/// The cells of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// `[rows, columns]`: the index of a label, for one that training never saw the number of those it saw plus its
    /// place among the others of its column; a number, NaN where it is missing.
    pub values: Vec<f64>,
    /// What the others are.
    pub others: Others,
}

/// A table, compressed.
#[derive(Clone, Debug, PartialEq)]
pub struct Compressed {
    /// The file.
    pub file: Vec<u8>,
    /// What of it the cells of real columns take, whose likelihood is a density and no code length.
    pub real_bytes: f64,
}

/// A model as a coder of tables.
pub struct TableCodec<'a> {
    model: &'a Model,
    walker: Box<dyn ColumnWalker + 'a>,
    digest: [u8; 8],
}

/// What rows that walk together put into a stream.
struct Group {
    rows: usize,
    intervals: Vec<Interval>,
    real_bits: f64,
}

impl<'a> TableCodec<'a> {
    /// A coder with `model`, which was made from `config` for such events.
    ///
    /// # Errors
    /// When the model is of no columns.
    pub fn new(model: &'a Model, config: &ModelConfig, event: &EventSpec) -> Result<Self, Error> {
        let none = Fault::NoSymbols {
            model: model.kind(),
            what: "columns of a table, which `nade`, and `independent`, `markov` and `bayesian-network` of categories, code",
        };
        let walker = model.column_walker().ok_or(none)?;
        let digest = digest_of_model(model, &(config, &event.columns))?;
        Ok(Self { model, walker, digest })
    }

    /// The digest of the model as it stands in files, in hexadecimal.
    pub fn digest(&self) -> String {
        hex(&self.digest)
    }

    fn columns(&self) -> &[Column] {
        self.walker.units().columns()
    }

    /// Which columns are real, in event order.
    fn reals(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns().iter().enumerate();
        columns.filter(|(_, column)| matches!(column, Column::Real { .. })).map(|(i, _)| i)
    }

    /// How each column is coded, in event order.
    fn codings(&self, lattices: &[u8], others: &[usize]) -> Option<Vec<Coding>> {
        let units = self.walker.units();
        let mut lattices = lattices.iter();
        let coding = |(i, column): (usize, &Column)| {
            let lattice = match *column {
                Column::Category { .. } => return Some(Coding::Category { others: others[i] }),
                Column::Grid { step, .. } => Lattice::grid(step),
                Column::Real { .. } => Lattice::of_code(*lattices.next()?)?,
            };
            let (mean, scale) = (units.means()[i], units.scales()[i]);
            Some(Coding::Numbers(Numbers::new(lattice, mean, scale, units.listed(i).cloned())))
        };
        let all = self.columns().iter().enumerate().map(coding).collect::<Option<_>>()?;
        lattices.next().is_none().then_some(all)
    }

    /// A cell as it is coded.
    fn cell(column: &Column, value: f64) -> Cell {
        match *column {
            Column::Category { labels } if value >= labels as f64 => {
                Cell { value: labels as f64, other: value as usize - labels }
            }
            _ => Cell { value, other: 0 },
        }
    }

    /// Compresses all rows of a set, as [`Cells`] has them, and tells `progress` how many are done. `others` are the
    /// labels that training never saw.
    ///
    /// # Errors
    /// When the set is not of the model's columns, or has more than 2^30 cells.
    pub fn compress(
        &self,
        data: &dyn Examples,
        others: &[Vec<Option<String>>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Compressed, Error> {
        let (width, rows) = (self.columns().len(), data.len());
        let mismatch = |needed, found| Error::Mismatch { model: self.model.kind(), needed, found };
        if !data.is_real() || data.variables() != width || others.len() != width {
            let found = format!("{} variables", data.variables());
            return Err(mismatch(format!("{width} columns"), found));
        }
        let values = (width as u64).saturating_mul(rows as u64);
        if values > MOST_CELLS {
            return Err(Fault::TooLarge { values, most: MOST_CELLS }.into());
        }
        let counts: Vec<usize> = others.iter().map(Vec::len).collect();
        let lattices = self.check(data, &counts)?;
        let codings = self.codings(&lattices, &counts).expect("a lattice of each real column");
        let (mut content, mut streams, mut real_bits) = (Sha256::new(), Streams::default(), 0.0);
        let (mut cells, at_a_time) = (Vec::new(), TOGETHER * rayon::current_num_threads().max(1));
        for start in (0..rows).step_by(at_a_time) {
            let end = (start + at_a_time).min(rows);
            data.read_reals(0, &(start..end).collect::<Vec<_>>(), &mut cells);
            digest_cells(&mut content, &mut cells);
            let groups: Vec<Group> = cells
                .par_chunks(TOGETHER * width)
                .map(|cells| self.group(&codings, cells))
                .collect();
            for group in groups {
                streams.push(group.rows, group.intervals);
                real_bits += group.real_bits;
            }
            progress(end);
        }
        let (streams, payload) = streams.finish();
        let labels = |(column, labels): (usize, &Vec<Option<String>>)| {
            labels.iter().map(move |label| (column, label.clone())).collect::<Vec<_>>()
        };
        let header = TableHeader {
            arithmetic: self.walker.arithmetic(),
            columns: width,
            rows,
            model: self.digest,
            together: TOGETHER,
            streams,
            lattices,
            others: others.iter().enumerate().flat_map(labels).collect(),
            content: first(content),
        };
        Ok(Compressed { file: header.write(&payload), real_bytes: real_bits / 8.0 })
    }

    /// Checks every cell, and finds the lattice of each real column.
    fn check(&self, data: &dyn Examples, others: &[usize]) -> Result<Vec<u8>, Error> {
        let columns = self.columns();
        let reals: Vec<usize> = self.reals().collect();
        let mut found = vec![Found::default(); reals.len()];
        for_chunks(data, 0, |first, values| {
            for (row, cells) in values.reals().chunks_exact(columns.len()).enumerate() {
                for (i, (column, &value)) in columns.iter().zip(cells).enumerate() {
                    let cell = Self::cell(column, value);
                    let expected = if is_other(column, &cell) && cell.other >= others[i] {
                        Some(format!("one of {} labels that training never saw", others[i]))
                    } else {
                        // What is no index of a label is none of a cell.
                        column.refuse(if is_other(column, &cell) { value.fract() } else { value })
                    };
                    if let Some(expected) = expected {
                        let (row, found) = (first + row, value.to_string());
                        return Err(Error::Value {
                            set: "table's",
                            row,
                            variable: i,
                            found,
                            expected,
                        });
                    }
                }
                for (&i, found) in reals.iter().zip(&mut found) {
                    if !cells[i].is_nan() {
                        found.add(cells[i]);
                    }
                }
            }
            Ok(())
        })?;
        let scales = self.walker.units().scales();
        Ok(reals.iter().zip(&found).map(|(&i, found)| found.best(scales[i])).collect())
    }

    /// What rows that walk together put into a stream.
    fn group(&self, codings: &[Coding], cells: &[f64]) -> Group {
        let columns = self.columns();
        let (width, ordering) = (columns.len(), self.model.ordering());
        let (mut written, mut real_bits) = (Written::default(), 0.0);
        let (mut coder, rows) = (CellCoder::default(), cells.len() / width);
        self.walker.walk(rows, &mut |t, row, head, outputs| {
            let i = ordering[t];
            let cell = Self::cell(&columns[i], cells[row * width + i]);
            let before = written.intervals.len();
            coder
                .cell(&mut written, &codings[i], head, outputs, Some(cell))
                .expect("a cell that was checked is written");
            if matches!(columns[i], Column::Real { .. }) {
                let own = &written.intervals[before..];
                real_bits += own.iter().map(|interval| interval.bits()).sum::<f64>();
            }
            cell.value
        });
        Group { rows, intervals: written.intervals, real_bits }
    }

    /// The cells of a file. Tells `progress` how many rows are done.
    ///
    /// # Errors
    /// When the file is damaged, of another model, or needs arithmetic that this machine does not have.
    pub fn decompress(&self, file: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Cells, Fault> {
        let (header, payload) = TableHeader::read_with_payload(file)?;
        if header.model != self.digest {
            let (found, expected) = (hex(&header.model), self.digest());
            return Err(Fault::OtherModel { found, expected });
        }
        let arithmetic = self.walker.arithmetic();
        if header.arithmetic != arithmetic {
            let (found, here) = (header.arithmetic.to_string(), arithmetic.to_string());
            return Err(Fault::Arithmetic { found, here });
        }
        let damaged = || Fault::Damaged("header");
        let width = self.columns().len();
        // Whoever walks with more at a time wants memory, not speed.
        if header.columns != width || header.together > MOST_TOGETHER * TOGETHER {
            return Err(damaged());
        }
        let mut others: Others = vec![Vec::new(); width];
        for (column, label) in &header.others {
            others[*column].push(label.clone());
        }
        let counts: Vec<usize> = others.iter().map(Vec::len).collect();
        let is_category = |(column, &count): (&Column, &usize)| {
            count == 0 || matches!(column, Column::Category { .. })
        };
        let codings = self.codings(&header.lattices, &counts).ok_or_else(damaged)?;
        if !self.columns().iter().zip(&counts).all(is_category) {
            return Err(damaged());
        }
        // A category of one label and another costs something, too.
        let streams = apart(&header.streams, payload, least_bits(2) * width as f64)?;
        let other_content = || Fault::OtherContent { arithmetic: arithmetic.to_string() };
        let (mut values, mut content) = (Vec::new(), Sha256::new());
        for group in streams.chunks(rayon::current_num_threads().max(1)) {
            let parts: Vec<Result<Vec<f64>, Fault>> = group
                .par_iter()
                .map(|&(rows, bytes)| self.rows_of(&codings, rows, header.together, bytes))
                .collect();
            for part in parts {
                // The digests are right, so the stream is what was written: the walk is not.
                let mut part = part.map_err(|_| other_content())?;
                digest_cells(&mut content, &mut part);
                values.extend(part);
            }
            progress(values.len() / width);
        }
        if first(content) != header.content {
            return Err(other_content());
        }
        Ok(Cells { values, others })
    }

    /// The rows of one stream.
    fn rows_of(
        &self,
        codings: &[Coding],
        rows: usize,
        together: usize,
        bytes: &[u8],
    ) -> Result<Vec<f64>, Fault> {
        let (width, ordering) = (codings.len(), self.model.ordering());
        let broken = |_| Fault::Damaged("content");
        let mut reader = Reader::new(bytes).map_err(broken)?;
        let (mut coder, mut values) = (CellCoder::default(), Vec::new());
        for start in (0..rows).step_by(together) {
            let n = together.min(rows - start);
            let first = values.len();
            values.resize(first + n * width, 0.0);
            let (cells, mut end) = (&mut values[first..], Ok(()));
            self.walker.walk(n, &mut |t, row, head, outputs| {
                if end.is_err() {
                    return 0.0;
                }
                let i = ordering[t];
                match coder.cell(&mut reader, &codings[i], head, outputs, None) {
                    Ok(cell) => {
                        // Not the sum of a number and 0, which makes 0 of −0.
                        cells[row * width + i] = match cell.other {
                            0 => cell.value,
                            other => cell.value + other as f64,
                        };
                        cell.value
                    }
                    Err(broken) => {
                        end = Err(broken);
                        0.0
                    }
                }
            });
            end.map_err(broken)?;
        }
        reader.finish().map_err(broken)?;
        Ok(values)
    }
}

/// Whether a cell has a label that training never saw.
fn is_other(column: &Column, cell: &Cell) -> bool {
    matches!(*column, Column::Category { labels } if cell.value == labels as f64)
}

/// Adds cells to a digest; a missing number is one NaN of all there are.
fn digest_cells(content: &mut Sha256, cells: &mut [f64]) {
    let mut bytes = Vec::with_capacity(8 * cells.len());
    for cell in cells {
        if cell.is_nan() {
            *cell = f64::NAN;
        }
        bytes.extend(cell.to_le_bytes());
    }
    content.update(bytes);
}
