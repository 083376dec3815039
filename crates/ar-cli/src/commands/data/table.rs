//! What is in a table: how it is written, and what each column is.

use std::path::Path;

use anyhow::Result;
use ar_data::{Dataset, Encoding, Profile, Schema, Table, TableOptions, Type, Variable};
use serde::Serialize;

use crate::args::InfoArgs;
use crate::draft::described;
use crate::output::{columns as aligned, grouped};

/// A table.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    /// How it is written.
    format: String,
    rows: usize,
    /// Rows that could not be read, and the first of them.
    bad_rows: usize,
    first_bad_row: Option<String>,
    /// Columns of the file.
    width: usize,
    /// The classes of the label.
    label: Option<Vec<String>>,
    columns: Vec<Column>,
    /// What else a user should know.
    notes: Vec<String>,
}

/// A column that is a variable.
#[derive(Debug, Serialize)]
struct Column {
    /// Its position in the file, from 0.
    index: usize,
    name: Option<String>,
    /// The type in words.
    what: String,
    /// Decimal places, labels, or levels.
    #[serde(flatten)]
    kind_details: Type,
    distinct: usize,
    missing: u64,
    min: Option<f64>,
    max: Option<f64>,
    /// The most frequent value, and how often it occurs.
    mode: Option<String>,
    mode_count: u64,
    warnings: Vec<String>,
    #[serde(skip)]
    values: String,
}

/// Columns that are shown.
const SHOWN: usize = 100;

impl Described {
    /// Reads a table.
    ///
    /// # Errors
    /// When it cannot be read, or has no column that is named.
    pub(super) fn of(path: &Path, file: &InfoArgs) -> Result<(Self, Option<Dataset>)> {
        let InfoArgs { drop, label, key } = file.clone();
        let options = TableOptions { drop, label, key, ..TableOptions::default() };
        let table = Table::read(path, &options)?;
        let schema = table.infer(None)?;
        let profiles = table.profile(&schema);
        let columns = schema.variables.iter().zip(profiles).map(|(v, p)| Column::of(v, &p));
        let described = Self {
            format: table.described().to_string(),
            rows: table.len(),
            bad_rows: table.bad_rows().len(),
            first_bad_row: table.bad_rows().first().map(|bad| bad.error.to_string()),
            width: table.width(),
            columns: columns.collect(),
            label: schema.label.clone().map(|label| label.classes),
            notes: table.remarks(),
        };
        // As values of one kind, where they are.
        let symbols = table.infer(Some(Encoding::Symbols { levels: 256 })).ok().filter(|schema| {
            schema.variables.iter().all(|variable| matches!(variable.kind, Type::Codes { .. }))
        });
        let of_one_kind = match symbols.as_ref().and_then(Schema::symbols) {
            Some(encoding) => symbols.map(|schema| (schema, encoding)),
            None => schema.reals().map(|encoding| (schema, encoding)),
        };
        let values =
            of_one_kind.map(|(schema, encoding)| table.dataset(&schema, encoding)).transpose()?;
        Ok((described, values.map(|(values, _)| values)))
    }

    pub(super) fn words(&self) -> String {
        let mut text = format!(
            "{} rows of {} columns; {}\n",
            grouped(&self.rows.to_string()),
            self.width,
            self.format
        );
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        if let Some(first) = &self.first_bad_row {
            text.push_str(&format!("{} rows cannot be read; the first: {first}\n", self.bad_rows));
        }
        if let Some(classes) = &self.label {
            text.push_str(&format!("label: {} classes, {}\n", classes.len(), classes.join(", ")));
        }
        let head = ["column", "name", "type", "distinct", "missing", "values", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for column in self.columns.iter().take(SHOWN) {
            rows.push(vec![
                column.index.to_string(),
                column.name.clone().unwrap_or_default(),
                column.what.clone(),
                grouped(&column.distinct.to_string()),
                grouped(&column.missing.to_string()),
                column.values.clone(),
                column.warnings.join("; "),
            ]);
        }
        for line in aligned(&rows).lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.columns.len() > SHOWN {
            let more = self.columns.len() - SHOWN;
            text.push_str(&format!("and {more} more columns, which --json shows\n"));
        }
        text
    }
}

impl Column {
    fn of(variable: &Variable, profile: &Profile) -> Self {
        let words = described(variable, profile);
        Self {
            index: variable.column,
            name: variable.name.clone(),
            what: variable.kind.to_string(),
            kind_details: variable.kind.clone(),
            distinct: profile.distinct,
            missing: profile.missing,
            min: profile.range.map(|(least, _)| least),
            max: profile.range.map(|(_, most)| most),
            mode: profile.mode.clone(),
            mode_count: profile.mode_count,
            warnings: profile.warnings.iter().map(ToString::to_string).collect(),
            values: words.split("; ").next().unwrap_or_default().to_owned(),
        }
    }
}
