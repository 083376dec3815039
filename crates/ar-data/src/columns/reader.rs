//! A table of any length, read by a schema.

use super::builder::{Builder, Part};
use super::dictionary::Dictionary;
use super::number::Number;
use super::open::{open_as, resolve};
use super::options::TableOptions;
use super::schema::{Encoding, Schema, Type, listed};
use super::sink::{Sink, Taken};
use super::{Cell, Notation, encode};
use crate::bytes::Input;
use crate::cells::Source;
use crate::chunk::Chunk;
use crate::dataset::{Dataset, name_of};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::options::Column;

/// How closely the columns of a file must be those of a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Columns of the file that are left out before it is looked at.
    pub drop: Vec<Column>,
    /// The column of classes, where it is called otherwise than in the schema.
    pub label: Option<Column>,
    /// Whether classes are read at all.
    pub with_labels: bool,
    /// Whether any difference is an error: another order, a column too many.
    pub strict: bool,
}

/// A table that is read a chunk at a time.
pub(crate) struct TableReader {
    source: Box<dyn Source>,
    sink: Sink,
    schema: Schema,
    encoding: Encoding,
    /// The column of the file that each variable is.
    columns: Vec<usize>,
    label: Option<usize>,
    remarks: Vec<String>,
    is_done: bool,
}

impl TableReader {
    /// Reads what is open already.
    pub(crate) fn of_input(
        input: Input,
        format: Format,
        schema: &Schema,
        encoding: Encoding,
        options: &TableOptions,
        how: &Match,
    ) -> Result<Self> {
        let options = Self::options(schema, options, how);
        let (source, notation) = open_as(input, format, &options)?;
        Self::of(source, notation, schema, encoding, how)
    }

    /// Reads an array of two axes.
    pub(crate) fn of_array(
        array: crate::cells::npy::Array,
        schema: &Schema,
        encoding: Encoding,
        how: &Match,
    ) -> Result<Self> {
        let source = Box::new(crate::cells::npy::Npy::new(array, None)?);
        Self::of(source, Notation::new(&schema.missing), schema, encoding, how)
    }

    /// Reads rows in memory.
    pub(crate) fn of_rows(
        rows: crate::cells::rows::Rows,
        schema: &Schema,
        encoding: Encoding,
        how: &Match,
    ) -> Result<Self> {
        Self::of(Box::new(rows), Notation::new(&schema.missing), schema, encoding, how)
    }

    /// What counts as missing says the schema; what stands beside a table is its label.
    fn options(schema: &Schema, options: &TableOptions, how: &Match) -> TableOptions {
        let own = schema.label.as_ref().and_then(|label| label.name.clone()).map(Column::Name);
        // Schemas of before labels beside a table had names leave it to what is stated.
        let label = how.label.clone().or(own).or_else(|| options.label.clone());
        let label = label.filter(|_| how.with_labels);
        TableOptions { missing: schema.missing.clone(), label, ..options.clone() }
    }

    fn of(
        source: Box<dyn Source>,
        notation: Notation,
        schema: &Schema,
        encoding: Encoding,
        how: &Match,
    ) -> Result<Self> {
        let path = source.path().to_owned();
        schema.check(&path, encoding)?;
        // Of a file that has what stays and nothing else, what would be left out is not there.
        let is_named = |column: &Column| match (column, source.names()) {
            (Column::Name(name), Some(names)) => names.contains(name),
            _ => false,
        };
        let beside = source.beside().map(|_| source.width() - 1);
        let of_table = beside.unwrap_or(source.width());
        let is_bare = of_table == schema.variables.len() && !how.drop.iter().any(is_named);
        let dropped: Vec<usize> = how
            .drop
            .iter()
            .filter(|_| !is_bare)
            .map(|column| resolve(&*source, "--drop", column))
            .collect::<Result<_>>()?;
        // Names of rows are no column of the schema.
        let dropped: Vec<usize> =
            dropped.into_iter().chain(source.row_names().then_some(0)).collect();
        let label = how.label.as_ref().filter(|_| how.with_labels);
        let label = label.map(|label| resolve(&*source, "--label", label)).transpose()?;
        // What stands beside a table was opened as its label, and has no position in it.
        let label = label.or(beside);
        // Positions count among those that are not dropped.
        let stays: Vec<usize> = (0..of_table).filter(|column| !dropped.contains(column)).collect();
        let names: Option<Vec<String>> =
            source.names().map(|names| stays.iter().map(|&k| names[k].clone()).collect());
        if beside.is_some() && how.label.is_none() && stays.len() == schema.width {
            // As many as in training with the label among them: one of these has no meaning.
            let beside = format!("{} columns beside the label", stays.len());
            let expected = format!("expected {} of the table", schema.width - 1);
            let hint = "leave others out with --drop, by index from 0";
            return Err(Error::unsuitable(&path, vec![format!("{beside}, {expected}")], hint));
        }
        let mut fit = schema.fit(&path, names.as_deref(), stays.len()).or_else(|error| {
            // A label that was named is no variable, whatever the file of the schema had.
            let without: Vec<usize> =
                stays.iter().copied().filter(|&column| Some(column) != label).collect();
            match label {
                Some(_) if names.is_none() && without.len() == schema.variables.len() => {
                    let of =
                        |column: usize| stays.iter().position(|&other| other == without[column]);
                    let columns = (0..without.len()).filter_map(of).collect();
                    Ok(super::Fit { columns, label: None, extra: Vec::new(), is_reordered: false })
                }
                _ => Err(error),
            }
        })?;
        fit.columns.iter_mut().for_each(|column| *column = stays[*column]);
        let label = label.or_else(|| fit.label.map(|column| stays[column]));
        let label = label.filter(|_| how.with_labels && schema.label.is_some());
        let is_label = |title: &String| {
            label.is_some_and(|label| {
                *title
                    == super::schema::title(
                        source.names().and_then(|n| n.get(label)).map(String::as_str),
                        label,
                    )
            })
        };
        fit.extra.retain(|title| !is_label(title));
        let differences = types_that_differ(&*source, schema, &fit.columns, encoding, &notation);
        if !differences.is_empty() {
            let hint = "name the file of the kind that the run was trained on; a column whose meaning changed \
                        needs another run";
            return Err(Error::unsuitable(&path, differences, hint));
        }
        let mut remarks = Vec::new();
        if !fit.extra.is_empty() {
            let is = if fit.extra.len() == 1 { "column is" } else { "columns are" };
            remarks.push(format!(
                "{} {is} not known to the run and left out: {}",
                fit.extra.len(),
                listed(&fit.extra)
            ));
        }
        if how.strict && (fit.is_reordered || !remarks.is_empty()) {
            if fit.is_reordered {
                remarks.push("the columns are in another order than in training".to_owned());
            }
            let hint = "without --strict columns are found by their names and others left out";
            return Err(Error::unsuitable(&path, remarks, hint));
        }
        // Positions are a guess where one side has names.
        let is_named =
            source.names().is_some_and(|names| names.iter().any(|name| !name.is_empty()));
        match schema.names().is_some() {
            true if !is_named => remarks.push(
                "it has no names, so its columns go by their positions in the training file".to_owned(),
            ),
            false if is_named => remarks.push(
                "the training file has no names, so columns go by their positions, whatever they are called"
                    .to_owned(),
            ),
            _ => {}
        }
        let builders = schema.builders(&fit.columns, label, source.width(), encoding);
        let sink = Sink::new(&path, builders, notation);
        Ok(Self {
            source,
            sink,
            schema: schema.clone(),
            encoding,
            columns: fit.columns,
            label,
            remarks,
            is_done: false,
        })
    }

    /// What a user should know of how the file was matched.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Of each variable the labels since the last call that the schema does not have and that have codes of their own.
    pub(crate) fn take_others(&mut self) -> Vec<Vec<Option<String>>> {
        let Self { sink, columns, .. } = self;
        let mut of = |&column: &usize| sink.builders[column].as_mut().map(Builder::take_others);
        columns.iter().map(|column| of(column).unwrap_or_default()).collect()
    }

    /// How much has been read, and how much there is.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.source.progress()
    }

    /// The next `rows` rows; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the file as a whole is malformed.
    pub(crate) fn chunk(&mut self, rows: usize) -> Result<Option<Chunk>> {
        let first = self.sink.next_row();
        if self.is_done {
            return Ok(None);
        }
        self.is_done = !self.source.read(rows, &mut self.sink)?;
        let last = self.sink.next_row();
        if first == last {
            return Ok(None);
        }
        let Taken { parts, rows, bad } = self.sink.take();
        let mut values = self.schema.values(self.encoding, rows.len());
        let of_variables: Vec<&Part> =
            self.columns.iter().filter_map(|&column| parts[column].as_ref()).collect();
        encode::append(&of_variables, &mut values);
        let name = name_of(self.source.path());
        let numbers = rows.iter().map(|(number, _)| *number).collect();
        let mut data = Dataset::new(name, values, &[self.columns.len()])?.with_numbers(numbers)?;
        let own = || {
            let names = self.source.names()?;
            self.columns.iter().map(|&column| names.get(column).cloned()).collect()
        };
        if let Some(names) = self.schema.names().or_else(own) {
            data = data.with_columns(names)?;
        }
        if let Some(labels) = encode::labels(self.label.and_then(|label| parts[label].as_ref())) {
            data = data.with_labels(labels.collect())?;
        }
        Ok(Some(Chunk { data, bad, rows: first..last }))
    }
}

/// Variables whose column is of another type as far as its first cells show: words where numbers should be, or
/// none of the labels.
fn types_that_differ(
    source: &dyn Source,
    schema: &Schema,
    columns: &[usize],
    encoding: Encoding,
    notation: &Notation,
) -> Vec<String> {
    let (mut words, mut strangers) = (Vec::new(), Vec::new());
    for (variable, &column) in schema.variables.iter().zip(columns) {
        let cells = || {
            source.sampled(column).filter(|cell| match cell {
                Cell::Text(text) => !notation.is_missing(text),
                _ => true,
            })
        };
        let is_number = |cell: &Cell<'_>| match cell {
            Cell::Text(text) => Number::parse(text, notation.comma).is_some(),
            Cell::Bool(_) => false,
            _ => true,
        };
        let count = cells().count();
        match &variable.kind {
            Type::Category { labels } if encoding != Encoding::Reals => {
                let dictionary = Dictionary::of(labels);
                if count > 2 && cells().all(|cell| dictionary.code(cell, notation).is_none()) {
                    strangers.push(variable.title());
                }
            }
            _ if count > 2 && !cells().any(|cell| is_number(&cell)) => words.push(variable.title()),
            _ => {}
        }
    }
    let mut differences = Vec::new();
    if !words.is_empty() {
        differences.push(format!("words, expected numbers, in {}", listed(words)));
    }
    if !strangers.is_empty() {
        differences.push(format!("none of the labels seen in training in {}", listed(strangers)));
    }
    differences
}
