//! A column of a run's own table as the classes: p(y | the other columns) ∝ p(the row with y in its place).

use anyhow::Result;
use ar_models::examples::read_all_reals;

use super::{Config, Prepared, RunDir};
use crate::commands::columns_of;
use crate::error::{mistake, nearest};
use crate::output::Terminal;

/// The most classes that are told apart.
const MOST: usize = 256;

/// The column, and the labels that training saw.
pub(super) struct Target {
    pub(super) name: String,
    /// In event order.
    pub(super) column: usize,
    pub(super) labels: Vec<String>,
}

impl Target {
    /// The column of a run that is called so.
    ///
    /// # Errors
    /// When the run has no such column, or it is one of numbers.
    pub(super) fn of(run: &RunDir, config: &Config, name: &str) -> Result<Self> {
        let (schema, names) = columns_of(run, config)?;
        let Some(column) = names.iter().position(|own| own == name) else {
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "it has to be a column that was trained on, without --label".to_owned(),
            };
            return Err(mistake(
                format!("--target: {} has no column {name:?}", run.display()),
                hint,
            ));
        };
        let Some(labels) = schema.variables[column].kind.labels() else {
            return Err(mistake(
                format!("--target: {name:?} is a column of numbers, expected one of labels"),
                "`complete` says what a missing number would be",
            ));
        };
        if !(2..=MOST).contains(&labels.len()) {
            return Err(mistake(
                format!("--target: {name:?} has {} labels, expected 2 to {MOST}", labels.len()),
                "classes are told apart one by one",
            ));
        }
        Ok(Self { name: name.to_owned(), column, labels })
    }

    /// The class of each row; none where there is a row without one.
    pub(super) fn truth(&self, data: &Prepared, terminal: &Terminal) -> Option<Vec<usize>> {
        let (values, width) = (read_all_reals(data, 0), data.event.variables());
        let truth: Vec<usize> =
            values.iter().skip(self.column).step_by(width).map(|&label| label as usize).collect();
        let unknown = truth.iter().filter(|label| **label >= self.labels.len()).count();
        if unknown == 0 {
            return Some(truth);
        }
        terminal.note(format!(
            "{}: {unknown} rows have no label in {:?} that training saw, so there are predictions only",
            data.name, self.name
        ));
        None
    }
}
