//! Where a format puts its cells: a builder for each column that is wanted, and the rows that could not be read.

use super::builder::{Builder, Part, retain};
use super::cell::{Cell, Notation};
use super::dictionary::Dictionary;
use crate::error::{Error, Place};
use std::path::{Path, PathBuf};

/// Takes the cells of a table, row by row or column by column.
pub(crate) struct Sink {
    path: PathBuf,
    /// A builder for each column of the file; none for what is left out.
    pub(crate) builders: Vec<Option<Builder>>,
    pub(crate) notation: Notation,
    /// Of each row that was taken: its number in the file from 0, and its line in a text.
    rows: Vec<(u64, u32)>,
    /// Rows that were not taken.
    bad: Vec<BadRow>,
    /// Rows met so far, bad ones included.
    next_row: u64,
}

/// A row that is not as it should be.
#[derive(Debug)]
pub struct BadRow {
    /// Which one, from 0, headers and empty lines not counted.
    pub row: u64,
    /// What is wrong, and where in the file.
    pub error: Error,
}

/// Some rows of a table, column by column.
pub(crate) struct Taken {
    /// As many as there are columns in the file; none for what is left out.
    pub(crate) parts: Vec<Option<Part>>,
    /// Of each row: its number in the file, and its line in a text.
    pub(crate) rows: Vec<(u64, u32)>,
    /// The rows that are not among them.
    pub(crate) bad: Vec<BadRow>,
}

impl Sink {
    pub(crate) fn new(path: &Path, builders: Vec<Option<Builder>>, notation: Notation) -> Self {
        let path = path.to_owned();
        Self { path, builders, notation, rows: Vec::new(), bad: Vec::new(), next_row: 0 }
    }

    /// Rows met so far, bad ones included.
    pub(crate) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Whether a column is wanted, by its position in the file.
    pub(crate) fn wants(&self, column: usize) -> bool {
        self.builders.get(column).is_some_and(Option::is_some)
    }

    /// Adds a cell to a column of the row that is under way.
    #[inline]
    pub(crate) fn cell(&mut self, column: usize, cell: Cell<'_>) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push(cell, &self.notation);
        }
    }

    /// Adds the cells of many rows to a column.
    pub(crate) fn cells<'a>(&mut self, column: usize, cells: impl Iterator<Item = Cell<'a>>) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            cells.for_each(|cell| builder.push(cell, &self.notation));
        }
    }

    /// Adds the cells of many rows of a text to a column.
    pub(crate) fn texts<'a>(&mut self, column: usize, cells: impl Iterator<Item = &'a [u8]>) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push_texts(cells, &self.notation);
        }
    }

    /// Adds the cells of many rows of a text to a column, as [`Builder::push_digits`] does.
    pub(crate) fn digits<'a>(
        &mut self,
        column: usize,
        cells: impl Iterator<Item = &'a u8>,
    ) -> bool {
        match self.builders.get_mut(column) {
            Some(Some(builder)) => builder.push_digits(cells, &self.notation),
            _ => true,
        }
    }

    /// Adds to a column what was read of it before there was a schema.
    pub(crate) fn part(&mut self, column: usize, part: Part, dictionary: &Dictionary) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push_part(part, dictionary, &self.notation);
        }
    }

    /// Ends rows that were read before there was a schema.
    pub(crate) fn end_rows_at(&mut self, rows: Vec<(u64, u32)>) {
        self.next_row = rows.last().map_or(self.next_row, |(row, _)| row + 1);
        self.rows = rows;
    }

    /// Adds the cells of many rows to a column, which are whole numbers.
    #[cfg(feature = "arrow")]
    pub(crate) fn wholes<T: Copy>(&mut self, column: usize, cells: &[T], whole: impl Fn(T) -> i64) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push_wholes(cells, whole, &self.notation);
        }
    }

    /// Adds the cells of many rows to a column, which are binary numbers.
    #[cfg(feature = "arrow")]
    pub(crate) fn floats<T: Copy>(&mut self, column: usize, cells: &[T], float: impl Fn(T) -> f64) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push_floats(cells, float, &self.notation);
        }
    }

    /// Adds cells of many rows to a column, of which each is one of a few, as [`Builder::push_coded`] does.
    #[cfg(feature = "arrow")]
    pub(crate) fn coded<'a>(
        &mut self,
        column: usize,
        len: usize,
        cell: impl Fn(usize) -> Cell<'a>,
        places: impl Iterator<Item = Option<usize>>,
    ) {
        if let Some(Some(builder)) = self.builders.get_mut(column) {
            builder.push_coded(len, cell, places, &self.notation);
        }
    }

    /// Ends a row that stands in a line of a text.
    #[inline]
    pub(crate) fn end_row(&mut self, line: u64) {
        self.rows.push((self.next_row, u32::try_from(line).unwrap_or(u32::MAX)));
        self.next_row += 1;
    }

    /// Ends so many rows, each of which stands in a line of a text, from line `first`.
    pub(crate) fn end_rows_of_lines(&mut self, first: u64, count: usize) {
        (first..first + count as u64).for_each(|line| self.end_row(line));
    }

    /// Ends so many rows of what is no text.
    pub(crate) fn end_rows(&mut self, count: usize) {
        let next = self.next_row + count as u64;
        self.rows.extend((self.next_row..next).map(|row| (row, 0)));
        self.next_row = next;
    }

    /// Notes a row none of whose cells was added.
    pub(crate) fn bad_row(&mut self, error: Error) {
        self.bad.push(BadRow { row: self.next_row, error });
        self.next_row += 1;
    }

    /// The rows since the last call. Those with a cell that was refused are among the bad ones.
    pub(crate) fn take(&mut self) -> Taken {
        let mut rows = std::mem::take(&mut self.rows);
        let mut bad = std::mem::take(&mut self.bad);
        let mut parts: Vec<Option<Part>> = Vec::with_capacity(self.builders.len());
        let mut stays = vec![true; rows.len()];
        let mut any = false;
        for (column, builder) in self.builders.iter_mut().enumerate() {
            parts.push(builder.as_mut().map(Builder::take));
            let Some(builder) = builder else { continue };
            for refused in std::mem::take(&mut builder.refused) {
                let row = refused.row as usize;
                let (number, line) = rows[row];
                // The first cell that is wrong says what is wrong with a row.
                if std::mem::replace(&mut stays[row], false) {
                    any = true;
                    let error = refused.at(&self.path, place(number, line, column));
                    bad.push(BadRow { row: number, error });
                }
            }
        }
        if any {
            parts.iter_mut().flatten().for_each(|part| part.values.retain(&stays));
            retain(&mut rows, &stays);
        }
        bad.sort_by_key(|bad| bad.row);
        Taken { parts, rows, bad }
    }

    /// What was learned of each column.
    pub(crate) fn into_builders(self) -> Vec<Option<Builder>> {
        self.builders
    }
}

/// Where a cell is: in a line of a text, or in a row of what is none.
fn place(row: u64, line: u32, column: usize) -> Place {
    let column = column as u64 + 1;
    match line {
        0 => Place::Row { row: row + 1, column },
        line => Place::Cell { line: line.into(), column },
    }
}
