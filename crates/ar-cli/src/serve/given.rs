//! Rows of requests as the cells of the run's table, and values of the run as a request would have them.

use std::collections::BTreeSet;

use ar_data::write::Cell;
use serde_json::{Map, Value};

use super::fault::{Fault, Trouble};
use super::rows::{RowOf, json_of};
use super::served::Served;
use crate::error::nearest;
use crate::files::{cell_of, word};

/// Rows of a request, as the cells of a table.
pub(crate) struct Given {
    /// `[those without an error, variables]`.
    pub(crate) cells: Vec<Cell>,
    /// Of each row why it is none, if it is.
    pub(crate) bad: Vec<Option<Trouble>>,
    /// Names that are no column of the run's, and were left out.
    pub(crate) ignored: BTreeSet<String>,
}

impl Given {
    /// The cells, where all rows are rows.
    ///
    /// # Errors
    /// With what is wrong with the first that is none.
    pub(crate) fn whole(self) -> Result<Vec<Cell>, Fault> {
        for (row, bad) in self.bad.into_iter().enumerate() {
            if let Some(Trouble { message, hint, .. }) = bad {
                return Err(Fault::request(format!("row {row}: {message}"), hint));
            }
        }
        Ok(self.cells)
    }
}

impl Served {
    /// The cells of rows. A row that is none is one with an error, and so is one with a cell too few; names that are no
    /// column are left out, as columns of a file are.
    pub(crate) fn cells_given(&self, rows: &[Value]) -> Given {
        let mut given = Given { cells: Vec::new(), bad: Vec::new(), ignored: BTreeSet::new() };
        for row in rows {
            let before = given.cells.len();
            let outcome = match row {
                Value::Array(values) => self.listed(values, &mut given.cells),
                Value::Object(values) => self.named(values, &mut given.cells, &mut given.ignored),
                other => Err(trouble(
                    format!("{}, expected an array or an object", kind_of(other)),
                    "a row is an array of values, or an object of columns and their values",
                )),
            };
            if outcome.is_err() {
                given.cells.truncate(before);
            }
            given.bad.push(outcome.err());
        }
        given
    }

    fn listed(&self, values: &[Value], cells: &mut Vec<Cell>) -> Result<(), Trouble> {
        let variables = self.event.variables();
        if values.len() != variables {
            return Err(trouble(
                format!("a row of {}, expected {variables} values", values.len()),
                "a row has a value for each variable; null is one that is not there",
            ));
        }
        values.iter().enumerate().try_for_each(|(i, value)| {
            cells.push(cell(value).map_err(|found| wrong(&self.names[i], found))?);
            Ok(())
        })
    }

    fn named(
        &self,
        values: &Map<String, Value>,
        cells: &mut Vec<Cell>,
        ignored: &mut BTreeSet<String>,
    ) -> Result<(), Trouble> {
        for name in &self.names {
            let Some(value) = values.get(name) else {
                let near = nearest(name, values.keys().map(String::as_str));
                let hint = match near.filter(|near| !self.names.iter().any(|own| own == near)) {
                    Some(near) => format!("is it what the row calls {near:?}?"),
                    None => format!("give \"{name}\": null where it is not known"),
                };
                return Err(trouble(format!("no value of {name:?}"), hint));
            };
            cells.push(cell(value).map_err(|found| wrong(name, found))?);
        }
        if values.len() > self.names.len() {
            let others = values.keys().filter(|name| !self.names.contains(name));
            ignored.extend(others.cloned());
        }
        Ok(())
    }

    /// The names of columns, where the run's file has them.
    pub(crate) fn column_names(&self) -> Option<Vec<String>> {
        self.config.data.schema.as_ref()?.names().map(|_| self.names.clone())
    }

    /// Symbols of rows, `None` where they are not known: `[rows, variables]`.
    ///
    /// # Errors
    /// When a row is none, or a value no symbol of the run's.
    pub(crate) fn symbols_given(
        &self,
        rows: &[Value],
        levels: usize,
    ) -> Result<Vec<Option<u8>>, Fault> {
        let cells = self.cells_given(rows).whole()?;
        let variables = self.event.variables();
        let schema = self.config.data.schema.as_ref();
        let symbol = |(at, cell): (usize, &Cell)| -> Result<Option<u8>, Fault> {
            let own = schema.map(|schema| &schema.variables[at % variables]);
            let value = match cell {
                Cell::Missing => return Ok(None),
                Cell::Whole(value) => Some(*value as f64),
                Cell::Number(value) => Some(*value),
                Cell::Word(word) => own.and_then(|own| {
                    let labels = own.kind.labels()?;
                    labels.iter().position(|label| label == word).map(|symbol| symbol as f64)
                }),
            };
            let known = value.filter(|x| (0.0..levels as f64).contains(x) && x.fract() == 0.0);
            known.map(|symbol| Some(symbol as u8)).ok_or_else(|| {
                let (row, name) = (at / variables, &self.names[at % variables]);
                Fault::request(
                    format!("row {row}, {name}: {:?}", cell.text()),
                    format!("a value is a whole number from 0 to {}, or null", levels - 1),
                )
            })
        };
        cells.iter().enumerate().map(symbol).collect()
    }

    /// A row of values as it stands in an answer.
    pub(crate) fn row_of(&self, values: &[f64]) -> RowOf {
        if self.is_image() {
            let cell = |&value: &f64| match self.event.levels {
                Some(_) => Value::from(value as i64),
                None => Value::from(value),
            };
            return RowOf::Listed(values.iter().map(cell).collect());
        }
        let cells = values.iter().enumerate().map(|(i, &value)| self.value_of(i, value));
        match self.is_table() {
            true => RowOf::Named(self.names.iter().cloned().zip(cells).collect()),
            false => RowOf::Listed(cells.collect()),
        }
    }

    /// A value of a variable as it stands in an answer.
    pub(crate) fn value_of(&self, variable: usize, value: f64) -> Value {
        match (&self.config.data.schema, self.event.levels) {
            (Some(schema), None) => json_of(&cell_of(&schema.variables[variable], value)),
            (Some(schema), Some(_)) => json_of(&word(&schema.variables[variable], value as usize)),
            (None, Some(_)) => Value::from(value as i64),
            (None, None) => Value::from(value),
        }
    }
}

/// The cell that a value is; else what it is.
fn cell(value: &Value) -> Result<Cell, &'static str> {
    Ok(match value {
        Value::Null => Cell::Missing,
        Value::Bool(value) => Cell::Word(value.to_string()),
        Value::String(word) => Cell::Word(word.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Whole(whole),
            (None, Some(number)) => Cell::Number(number),
            (None, None) => return Err("a number beyond all doubles"),
        },
        other => return Err(kind_of(other)),
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn wrong(name: &str, found: &str) -> Trouble {
    trouble(format!("{name}: {found}"), "a cell is a text, a number, true, false or null")
}

fn trouble(message: impl Into<String>, hint: impl Into<String>) -> Trouble {
    Trouble { kind: "data".to_owned(), message: message.into(), hint: hint.into() }
}
