//! A table of a run as its cells are: labels that training never saw are told apart.

use std::path::Path;

use anyhow::Result;
use ar_data::memory::content_limit;
use ar_data::{Chunks, Encoding, Schema, Spec, Split, Type, Variable};
use ar_models::codec::{Cells, Others};
use ar_models::columns::Column;
use ar_models::config::EventSpec;
use ar_models::examples::{Examples as _, read_all_reals};

use super::sets::Finder;
use super::{Prepared, say_bad_rows};
use crate::error::{ErrorKind, Internal, Mistake};

/// A table, and what records call it.
pub(crate) struct Table {
    pub(crate) name: String,
    /// None for a file, which has no splits.
    pub(crate) split: Option<Split>,
    pub(crate) cells: Cells,
}

impl Table {
    /// Of rows that hold nothing that training never saw, or do not tell what.
    pub(crate) fn of(data: &Prepared, name: String, split: Split) -> Self {
        let others = vec![Vec::new(); data.variables()];
        let cells = Cells { values: read_all_reals(data, 0), others };
        Self { name, split: Some(split), cells }
    }
}

/// Rows read at a time.
const ROWS: usize = 2000;

impl Finder<'_> {
    /// What `text` names, a built-in dataset or a file, in memory; rows that cannot be read are left out or the end, as
    /// `skips` says.
    ///
    /// # Errors
    /// When there is none, it does not suit the run, or it is too long.
    pub(crate) fn cells(&self, text: &str, split: Split, skips: bool) -> Result<Table> {
        let Spec::Path(path) = text.parse()? else {
            let data = self.spec(text, split)?.into_whole(skips, self.terminal)?;
            return Ok(Table::of(&data, data.name.clone(), split));
        };
        let event = self.config.event_of_run()?;
        let chunks = Chunks::open_as(&path, &self.reading(&path, &event, Encoding::Cells), ROWS)?;
        self.all_cells(&path, chunks, event.variables(), skips)
    }

    /// Rows in memory, `[n, names]`, or `[n, variables]` without names; errors call them `path`.
    ///
    /// # Errors
    /// When they do not suit the run.
    #[cfg(feature = "serve")]
    pub(crate) fn cells_of_rows(
        &self,
        path: &Path,
        names: Option<Vec<String>>,
        cells: Vec<ar_data::write::Cell>,
    ) -> Result<Cells> {
        let event = self.config.event_of_run()?;
        let reading = self.reading(path, &event, Encoding::Cells);
        let chunks = Chunks::of_rows(path, names, cells, &reading, ROWS)?;
        Ok(self.all_cells(path, chunks, event.variables(), false)?.cells)
    }

    fn all_cells(
        &self,
        path: &Path,
        mut chunks: Chunks,
        variables: usize,
        skips: bool,
    ) -> Result<Table> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        for remark in chunks.remarks() {
            self.terminal.note(format!("{name}: {remark}"));
        }
        let (mut values, mut bad, mut rows) = (Vec::new(), Vec::new(), 0);
        for chunk in &mut chunks {
            let chunk = chunk?;
            values.extend_from_slice(chunk.data.reals()?);
            bad.extend(chunk.bad);
            rows = chunk.rows.end;
            check_size(path, values.len())?;
        }
        if rows == 0 {
            return Err(Mistake::new(format!("{name}: no row"), "name a table that has rows")
                .of(ErrorKind::Data)
                .in_file(path)
                .into());
        }
        let rows = usize::try_from(rows)?;
        say_bad_rows(path, &bad, rows, skips, self.terminal)?;
        let others = chunks.take_others();
        if others.len() != variables {
            return Err(Internal("a table's columns are not those of the run").into());
        }
        Ok(Table { name, split: None, cells: Cells { values, others } })
    }
}

fn check_size(path: &Path, values: usize) -> Result<()> {
    let limit = content_limit();
    if (values * size_of::<f64>()) as u64 <= limit {
        return Ok(());
    }
    let what =
        format!("{}: more than {limit} bytes of cells, which are kept in memory", path.display());
    Err(Mistake::new(what, "compress it in several parts").of(ErrorKind::Data).in_file(path).into())
}

/// Rows as a model takes them, to which all labels that training never saw are one.
pub(crate) fn seen_by_model(rows: &[f64], columns: &[Column]) -> Vec<f64> {
    let seen = |(value, column): (&f64, &Column)| match *column {
        Column::Category { labels } => value.min(labels as f64),
        _ => *value,
    };
    rows.chunks_exact(columns.len()).flat_map(|row| row.iter().zip(columns).map(seen)).collect()
}

/// The cells with a schema that has a word for each of them.
pub(crate) fn in_words(cells: &Cells, schema: &Schema) -> (Vec<f64>, Schema) {
    let mut schema = schema.clone();
    let codes: Vec<Option<Vec<f64>>> = schema
        .variables
        .iter_mut()
        .zip(&cells.others)
        .map(|(variable, others)| (!others.is_empty()).then(|| widen(variable, others)))
        .collect();
    // A column of whole numbers is written as such only where all of them are.
    let width = schema.variables.len();
    for (i, variable) in schema.variables.iter_mut().enumerate() {
        let mut column = cells.values.iter().skip(i).step_by(width);
        let is_whole = |x: &f64| x.is_nan() || (*x as i64 as f64).to_bits() == x.to_bits();
        if variable.kind == Type::Integer && !column.all(is_whole) {
            variable.kind = Type::Real;
        }
    }
    let mut values = cells.values.clone();
    for row in values.chunks_exact_mut(codes.len()) {
        for (value, codes) in row.iter_mut().zip(&codes) {
            if let Some(codes) = codes {
                *value = codes[*value as usize];
            }
        }
    }
    (values, schema)
}

/// Adds labels to a category, and gives the index that each of its codes has then: behind them all where it is a
/// missing cell.
fn widen(variable: &mut Variable, others: &[Option<String>]) -> Vec<f64> {
    let mut labels = variable.kind.labels().unwrap_or_default();
    let mut codes: Vec<Option<usize>> = (0..labels.len()).map(Some).collect();
    codes.extend(variable.can_be_missing.then_some(None));
    for other in others {
        codes.push(other.as_ref().map(|_| labels.len()));
        labels.extend(other.clone());
    }
    let missing = labels.len();
    variable.kind = Type::Category { labels };
    codes.into_iter().map(|code| code.unwrap_or(missing) as f64).collect()
}

/// How many labels there are that training never saw.
pub(crate) fn count(others: &Others) -> usize {
    others.iter().map(|labels| labels.iter().flatten().count()).sum()
}

/// A table's events have a schema.
///
/// # Errors
/// When the run has none, which a run over columns has.
pub(crate) fn schema_of<'a>(schema: Option<&'a Schema>, event: &EventSpec) -> Result<&'a Schema> {
    schema
        .filter(|schema| schema.variables.len() == event.variables())
        .ok_or_else(|| Internal("a run over columns has no schema").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(kind: Type, can_be_missing: bool) -> Variable {
        Variable { name: None, column: 0, can_be_missing, kind }
    }

    #[test]
    fn labels_that_training_never_saw_have_words() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let variables = vec![
            variable(Type::Category { labels: labels.clone() }, true),
            variable(Type::Codes { levels: 2 }, false),
            variable(Type::Integer, true),
            variable(Type::Category { labels }, false),
        ];
        let schema =
            Schema { width: 4, missing: Vec::new(), left_out: Vec::new(), label: None, variables };
        let others = vec![vec![Some("z".into())], vec![None, Some("17".into())], vec![], vec![]];
        let nan = f64::NAN;
        let values = vec![1.0, 1.0, nan, 0.0, 2.0, 2.0, 3.5, 1.0, 3.0, 3.0, 2.0, 1.0];
        let cells = Cells { values, others };
        assert_eq!(count(&cells.others), 2);
        let (values, schema) = in_words(&cells, &schema);
        let event = EventSpec::columns(vec![Column::Real { can_be_missing: true }; 4]);
        let events = crate::files::Events {
            values: (&values).into(),
            event: &event,
            names: None,
            schema: Some(&schema),
        };
        let rows = events.in_words().unwrap();
        assert_eq!(rows, [["b", "1", "", "a"], ["", "", "3.5", "b"], ["z", "17", "2", "b"]]);
        let columns = [3, 2, 2, 2].map(|labels| Column::Category { labels });
        let seen = seen_by_model(&cells.values, &columns);
        assert_eq!(seen[8..], [3.0, 2.0, 2.0, 1.0]);
    }
}
