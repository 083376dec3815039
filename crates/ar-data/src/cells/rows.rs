//! Rows that are in memory already, such as those that came in a request.

use super::{Described, Source};
use crate::columns::{Cell, Sink};
use crate::error::Result;
use crate::write;
use std::path::{Path, PathBuf};

/// Rows of cells, of which a caller knows what each is.
pub(crate) struct Rows {
    path: PathBuf,
    names: Option<Vec<String>>,
    width: usize,
    /// `[rows, width]`.
    cells: Vec<write::Cell>,
    /// Cells that have been read.
    done: usize,
}

impl Rows {
    /// Rows of `width` cells each, which errors call `path`.
    pub(crate) fn new(
        path: &Path,
        names: Option<Vec<String>>,
        width: usize,
        cells: Vec<write::Cell>,
    ) -> Self {
        assert!(width > 0 && cells.len().is_multiple_of(width), "whole rows");
        Self { path: path.to_owned(), names, width, cells, done: 0 }
    }
}

impl Source for Rows {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn describe(&self) -> Described {
        Described::Typed { format: "rows in memory", types: Vec::new() }
    }

    fn progress(&self) -> (u64, u64) {
        (self.done as u64, self.cells.len() as u64)
    }

    fn read(&mut self, most: usize, sink: &mut Sink) -> Result<bool> {
        let left = &self.cells[self.done..];
        let own = &left[..left.len().min(most.saturating_mul(self.width))];
        for column in (0..self.width).filter(|column| sink.wants(*column)).collect::<Vec<_>>() {
            sink.cells(column, own.iter().skip(column).step_by(self.width).map(cell));
        }
        sink.end_rows(own.len() / self.width);
        self.done += own.len();
        Ok(self.done < self.cells.len())
    }
}

fn cell(cell: &write::Cell) -> Cell<'_> {
    match cell {
        write::Cell::Whole(value) => Cell::Whole(*value),
        write::Cell::Number(value) => Cell::Float(*value),
        write::Cell::Word(word) => Cell::Text(word.as_bytes()),
        write::Cell::Missing => Cell::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::Cell;
    use crate::{Chunks, Encoding, Match, Reading, Table, TableOptions};

    #[test]
    fn rows_are_what_the_same_rows_of_a_file_are() {
        let text = "n,word,x\n1,a,0.5\n2,b,\n-3,a,1e300\n4,c,2\n";
        let name = Path::new("rows.csv");
        let table = Table::of_bytes(name, text.into(), &TableOptions::default()).unwrap();
        let schema = table.infer(None).unwrap();
        let reading = Reading {
            schema,
            encoding: Encoding::Cells,
            shape: vec![3],
            is_binary: false,
            how: Match::default(),
            table: TableOptions::default(),
        };
        let of_text = Chunks::of_text(name, text.into(), &reading, 3).unwrap();
        let word = |word: &str| Cell::Word(word.to_owned());
        let cells = [
            [word("a"), Cell::Number(0.5), Cell::Whole(1)],
            [word("b"), Cell::Missing, word("2")],
            [word("a"), Cell::Number(1e300), Cell::Number(-3.0)],
            [word("c"), Cell::Whole(2), Cell::Whole(4)],
        ];
        let names = ["word", "x", "n"].map(str::to_owned).to_vec();
        let of_rows = Chunks::of_rows(name, Some(names), cells.concat(), &reading, 3).unwrap();
        for (a, b) in of_text.zip(of_rows) {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((a.rows, a.bad.len()), (b.rows, b.bad.len()));
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(a.data.reals().unwrap()), bits(b.data.reals().unwrap()));
        }
        let cells = vec![Cell::Whole(1), word("a"), word("not a number")];
        let mut bad = Chunks::of_rows(name, None, cells, &reading, 3).unwrap();
        let chunk = bad.next().unwrap().unwrap();
        assert_eq!((chunk.data.len(), chunk.bad.len()), (0, 1));
    }
}
