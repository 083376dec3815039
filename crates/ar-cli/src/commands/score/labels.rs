//! Which rows of a file are anomalies, as a column of the file itself says.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ar_data::{Column, Encoding, Spec, Table, TableOptions};

use crate::args::{ScoreArgs, column_of};
use crate::error::{data_mistake, mistake, nearest};

/// `--anomaly-label COLUMN=VALUE`, of a file.
pub(super) struct AnomalyLabel {
    path: PathBuf,
    /// As it was asked for.
    pub(super) asked: String,
    column: Column,
    value: String,
}

impl AnomalyLabel {
    /// What is asked for, if it is.
    ///
    /// # Errors
    /// When it is no column and value, or the data is no file.
    pub(super) fn of(args: &ScoreArgs) -> Result<Option<Self>> {
        let Some(asked) = &args.anomaly_label else { return Ok(None) };
        let Some((column, value)) = asked.split_once('=') else {
            return Err(mistake(
                format!(
                    "--anomaly-label {asked}: expected a column and the value that anomalies have"
                ),
                "write --anomaly-label 'class=anomaly'",
            ));
        };
        let path = match args.data.as_deref().map(str::parse::<Spec>).transpose()? {
            Some(Spec::Path(path)) => path,
            _ => {
                return Err(mistake(
                    format!("--anomaly-label {asked} without a file in --data"),
                    "the column is one of the file that is scored; --against takes anomalies of their own",
                ));
            }
        };
        let (column, value) = (column_of(column), value.to_owned());
        Ok(Some(Self { path, asked: asked.clone(), column, value }))
    }

    /// Of each row whether it is an anomaly; `None` of one that cannot be read.
    ///
    /// # Errors
    /// When the file has no such column, or no row has the value.
    pub(super) fn read(&self, missing: &[String]) -> Result<Vec<Option<bool>>> {
        let options = TableOptions {
            label: Some(self.column.clone()),
            missing: missing.to_vec(),
            ..TableOptions::default()
        };
        let hint = "--anomaly-label names a column of the file by its name, or by its index from 0";
        let refuse = |error: &ar_data::Error| data_mistake(error, hint);
        let table = Table::read(&self.path, &options).map_err(|error| refuse(&error))?;
        let schema = table.infer(None).map_err(|error| refuse(&error))?;
        let classes = schema.label.as_ref().map(|label| label.classes.clone()).unwrap_or_default();
        let Some(anomaly) = classes.iter().position(|class| *class == self.value) else {
            return Err(self.no_row(&classes, &self.path));
        };
        let unreadable =
            |bad: &[ar_data::BadRow]| bad.iter().map(|bad| bad.row).collect::<Vec<_>>();
        let mut bad = unreadable(table.bad_rows());
        let (data, more) =
            table.dataset(&schema, Encoding::Columns).map_err(|error| refuse(&error))?;
        bad.extend(unreadable(&more));
        bad.sort_unstable();
        let mut labels = data.labels().unwrap_or_default().iter();
        let rows = data.len() + bad.len();
        let of_row = |row: usize| match bad.binary_search(&(row as u64)) {
            Ok(_) => None,
            Err(_) => labels.next().map(|&label| usize::from(label) == anomaly),
        };
        let labels: Vec<Option<bool>> = (0..rows).map(of_row).collect();
        if !labels.contains(&Some(false)) {
            return Err(mistake(
                format!(
                    "{}: --anomaly-label {}: all rows have this value",
                    self.path.display(),
                    self.asked
                ),
                "anomalies are told from the other rows of the file",
            ));
        }
        Ok(labels)
    }

    fn no_row(&self, classes: &[String], path: &Path) -> anyhow::Error {
        let hint = match nearest(&self.value, classes.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!(
                "it has {}",
                classes.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
            ),
        };
        mistake(
            format!("{}: --anomaly-label {}: no row has this value", path.display(), self.asked),
            hint,
        )
    }
}
