//! Tables written as Parquet, a row at a time.

use super::{Cell, Cells};
use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::io::{Error, ErrorKind, Result, Write};
use std::sync::Arc;

/// Rows that are kept until they are written together.
const ROWS: usize = 1 << 16;

/// A table that grows. Without [`finish`](Self::finish) it is no Parquet file.
pub struct ParquetWriter<W: Write + Send> {
    file: ArrowWriter<W>,
    schema: SchemaRef,
    columns: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Whole(Int64Builder),
    Number(Float64Builder),
    Word(StringBuilder),
}

impl<W: Write + Send> ParquetWriter<W> {
    /// A table of columns with these names, written to `file`.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn new(file: W, columns: &[(String, Cells)]) -> Result<Self> {
        Self::with(file, columns, Compression::SNAPPY)
    }

    /// The same, but as small as the format's compressors make it: zstd at level 19.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn small(file: W, columns: &[(String, Cells)]) -> Result<Self> {
        Self::with(file, columns, Compression::ZSTD(ZstdLevel::try_new(19).map_err(io)?))
    }

    fn with(file: W, columns: &[(String, Cells)], compression: Compression) -> Result<Self> {
        let field = |(name, cells): &(String, Cells)| {
            let kind = match cells {
                Cells::Whole => DataType::Int64,
                Cells::Number => DataType::Float64,
                Cells::Word => DataType::Utf8,
            };
            Field::new(name, kind, true)
        };
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let properties = WriterProperties::builder().set_compression(compression).build();
        let file = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(io)?;
        let builder = |(_, cells): &(String, Cells)| match cells {
            Cells::Whole => Builder::Whole(Int64Builder::new()),
            Cells::Number => Builder::Number(Float64Builder::new()),
            Cells::Word => Builder::Word(StringBuilder::new()),
        };
        Ok(Self { file, schema, columns: columns.iter().map(builder).collect(), rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or its cells are not those of the columns.
    pub fn push(&mut self, row: &[Cell]) -> Result<()> {
        if row.len() != self.columns.len() {
            let what = format!("a row of {} cells for {} columns", row.len(), self.columns.len());
            return Err(Error::new(ErrorKind::InvalidInput, what));
        }
        for (column, cell) in self.columns.iter_mut().zip(row) {
            match (column, cell) {
                (Builder::Whole(builder), Cell::Whole(value)) => builder.append_value(*value),
                (Builder::Number(builder), Cell::Number(value)) => builder.append_value(*value),
                (Builder::Word(builder), Cell::Word(word)) => builder.append_value(word),
                (Builder::Whole(builder), Cell::Missing) => builder.append_null(),
                (Builder::Number(builder), Cell::Missing) => builder.append_null(),
                (Builder::Word(builder), Cell::Missing) => builder.append_null(),
                (_, cell) => {
                    let what = format!("{cell:?} in a column of another kind");
                    return Err(Error::new(ErrorKind::InvalidInput, what));
                }
            }
        }
        self.rows += 1;
        if self.rows == ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let arrays = self.columns.iter_mut().map(|column| -> ArrayRef {
            match column {
                Builder::Whole(builder) => Arc::new(builder.finish()),
                Builder::Number(builder) => Arc::new(builder.finish()),
                Builder::Word(builder) => Arc::new(builder.finish()),
            }
        });
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect());
        self.file.write(&batch.map_err(Error::other)?).map_err(io)?;
        self.rows = 0;
        Ok(())
    }

    /// Writes what is left, and gives the file back.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<W> {
        if self.rows > 0 {
            self.write()?;
        }
        self.file.into_inner().map_err(io)
    }
}

/// The system's error below Parquet's, where there is one.
fn io(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::other(inner),
        },
        error => Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Table, TableOptions};

    #[test]
    fn what_is_written_is_read_back() {
        let columns = [("row", Cells::Whole), ("nats", Cells::Number), ("word", Cells::Word)];
        let columns = columns.map(|(name, cells)| (name.to_owned(), cells));
        let mut writer = ParquetWriter::new(Vec::new(), &columns).unwrap();
        let rows = ROWS + 3;
        for row in 0..rows {
            let word = if row == 1 { Cell::Missing } else { Cell::Word(format!("w{}", row % 3)) };
            writer.push(&[Cell::Whole(row as i64), Cell::Number(row as f64 / 3.0), word]).unwrap();
        }
        assert!(writer.push(&[Cell::Missing]).is_err());
        let bytes = writer.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        let table = Table::read(&path, &TableOptions::default()).unwrap();
        let schema = table.infer(None).unwrap();
        assert_eq!(table.len(), rows);
        let names: Vec<_> = schema.variables.iter().filter_map(|v| v.name.as_deref()).collect();
        assert_eq!(names, ["row", "nats", "word"]);
        let profiles = table.profile(&schema);
        assert_eq!(profiles[1].range, Some((0.0, (rows - 1) as f64 / 3.0)));
        assert_eq!((profiles[2].missing, profiles[2].distinct), (1, 3));
    }

    #[test]
    fn a_cell_of_another_kind_is_refused() {
        let mut writer =
            ParquetWriter::new(Vec::new(), &[("x".to_owned(), Cells::Number)]).unwrap();
        assert!(writer.push(&[Cell::Whole(1)]).is_err());
    }
}
