//! Tables that a command writes, a row at a time: `.csv`, or `.parquet`.

use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::write::{Cell, Cells};

use crate::error::{Attempt, Internal, mistake};
use crate::outputs::{Asked, Output, ending, is_stream};

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Parquet,
}

impl Format {
    /// That which a name ends in, if it is one; a stream without an ending takes text.
    ///
    /// # Errors
    /// When this program was built without it.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>> {
        match ending(path).as_str() {
            "csv" => Ok(Some(Self::Csv)),
            "" if is_stream(path) => Ok(Some(Self::Csv)),
            "parquet" | "pq" if cfg!(feature = "arrow") => Ok(Some(Self::Parquet)),
            "parquet" | "pq" => Err(mistake(
                format!("{}: this program was built without Parquet", path.display()),
                "write a .csv, or build with --features arrow",
            )),
            _ => Ok(None),
        }
    }
}

/// A file that grows. What is not [complete](Self::complete) is no file.
pub(crate) struct Table {
    file: File,
    what: Attempt,
}

enum File {
    Csv(Box<csv::Writer<Output>>),
    #[cfg(feature = "arrow")]
    Parquet(Box<ar_data::write::ParquetWriter<Output>>),
}

impl Table {
    /// Starts one with these columns.
    ///
    /// # Errors
    /// When no file can be made there.
    pub(crate) fn create(
        asked: Asked<'_>,
        format: Format,
        columns: &[(String, Cells)],
    ) -> Result<Self> {
        let output = asked.create()?;
        let what = output.what();
        let file = match format {
            #[cfg(feature = "arrow")]
            Format::Parquet => {
                let writer = ar_data::write::ParquetWriter::new(output, columns);
                File::Parquet(Box::new(writer.with_context(|| what.clone())?))
            }
            #[cfg(not(feature = "arrow"))]
            Format::Parquet => return Err(Internal("a format that this program lacks").into()),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                write_record(&mut writer, columns.iter().map(|(name, _)| name))?;
                File::Csv(Box::new(writer))
            }
        };
        Ok(Self { file, what })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written, or is none of these columns.
    pub(crate) fn push(&mut self, row: &[Cell]) -> Result<()> {
        match &mut self.file {
            File::Csv(writer) => write_record(writer, row.iter().map(Cell::text)),
            #[cfg(feature = "arrow")]
            File::Parquet(writer) => writer.push(row).with_context(|| self.what.clone()),
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When it cannot be written to the end.
    pub(crate) fn complete(self) -> Result<()> {
        match self.file {
            File::Csv(mut writer) => {
                writer.flush().map_err(|error| writer.get_ref().failed(error))?;
                let file = (*writer).into_inner().map_err(csv::IntoInnerError::into_error);
                file.context(Internal("rows that were flushed are not"))?.commit()
            }
            #[cfg(feature = "arrow")]
            File::Parquet(writer) => writer.finish().with_context(|| self.what)?.commit(),
        }
    }
}

/// Adds a line, or says which file could not take it.
fn write_record<T: AsRef<[u8]>>(
    writer: &mut csv::Writer<Output>,
    cells: impl Iterator<Item = T>,
) -> Result<()> {
    writer.write_record(cells).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => writer.get_ref().failed(error),
        _ => Internal("a row of a table is no CSV").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::out;
    use ar_data::TableOptions;

    fn write(path: &Path) {
        let columns = [("row", Cells::Whole), ("p", Cells::Number), ("word", Cells::Word)];
        let columns = columns.map(|(name, cells)| (name.to_owned(), cells));
        let format = Format::of(path).unwrap().unwrap();
        let mut table = Table::create(out(path), format, &columns).unwrap();
        let word = Cell::Word("a \"b\", c".to_owned());
        table.push(&[Cell::Whole(0), Cell::Number(1.5e-300), word]).unwrap();
        table.push(&[Cell::Whole(1), Cell::number(None), Cell::Missing]).unwrap();
        table.complete().unwrap();
    }

    #[test]
    fn a_table_is_the_same_in_each_format() {
        let folder = tempfile::tempdir().unwrap();
        let names: &[&str] =
            if cfg!(feature = "arrow") { &["a.csv", "a.parquet"] } else { &["a.csv"] };
        for name in names {
            let path = folder.path().join(name);
            write(&path);
            let table = ar_data::Table::read(&path, &TableOptions::default()).unwrap();
            let schema = table.infer(None).unwrap();
            let profiles = table.profile(&schema);
            assert_eq!(table.len(), 2, "{name}");
            assert_eq!(profiles[1].range, Some((1.5e-300, 1.5e-300)), "{name}");
            assert_eq!((profiles[2].missing, profiles[2].mode.as_deref()), (1, Some("a \"b\", c")));
        }
        let csv = std::fs::read_to_string(folder.path().join("a.csv")).unwrap();
        assert_eq!(csv, "row,p,word\n0,1.5e-300,\"a \"\"b\"\", c\"\n1,,\n");
    }

    #[test]
    fn what_is_half_written_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let columns = [("x".to_owned(), Cells::Number)];
        let mut table = Table::create(out(&path), Format::Csv, &columns).unwrap();
        table.push(&[Cell::Number(1.0)]).unwrap();
        drop(table);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
