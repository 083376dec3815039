//! What the columns of a table are: decided once, from the training file and the model, and then the same for
//! every file of the run.

use std::path::Path;

use anyhow::Result;
use ar_data::{
    BadRow, Dataset, Encoding, Kind, Match, Profile, Reading, Schema, Table, TableOptions, Type,
    Values, Variable, Warning,
};

use crate::config::{Binarize, Config, DataConfig, DataSource};
use crate::error::{ErrorKind, Internal, Mistake, data_mistake};
use crate::output::{Terminal, grouped};

/// What the columns are, and what becomes of their values.
pub(super) struct Columns {
    pub(super) schema: Schema,
    pub(super) encoding: Encoding,
}

/// Columns that are named in a message.
const NAMED: usize = 40;

impl Columns {
    /// Of a run.
    pub(super) fn known(schema: Schema, data: &DataConfig) -> Self {
        Self { schema, encoding: data.encoding() }
    }

    /// Of a training file, which is read on the way: for what the config's model describes.
    ///
    /// # Errors
    /// When the file cannot be read, or its columns are not what the model describes.
    pub(super) fn decide(
        config: &Config,
        path: &Path,
        rows: Option<usize>,
        terminal: &Terminal,
    ) -> Result<(Table, Self)> {
        let data = &config.data;
        let options = TableOptions { rows, ..data.table_options() };
        let table = Table::read(path, &options)?;
        for remark in table.remarks() {
            terminal.note(format!("{}: {remark}", path.display()));
        }
        let DataSource::Files { kind, levels, shape, .. } = &data.source else {
            return Err(Internal("a built-in dataset has no columns to decide about").into());
        };
        let symbols = Encoding::Symbols { levels: levels.unwrap_or(256) };
        let stated = match (kind, levels) {
            (Some(Kind::Real), _) if data.table.types.is_empty() => Some(Encoding::Reals),
            (Some(Kind::Binary), _) => Some(Encoding::Symbols { levels: 2 }),
            (Some(Kind::Symbols), _) => Some(symbols),
            (None, Some(_)) if data.table.types.is_empty() => Some(symbols),
            _ => None,
        };
        if let Some(encoding) = stated {
            // What the whole file is stated to be, but for the number of its levels.
            let label = table.infer(None).ok().and_then(|schema| schema.label);
            let mut schema = Schema { label, ..table.all_as(encoding) };
            let encoding = match (encoding, levels) {
                (Encoding::Symbols { levels: 256 }, None) => {
                    Encoding::Symbols { levels: table.code_levels() }
                }
                _ => encoding,
            };
            if let Encoding::Symbols { levels } = encoding {
                schema.variables.iter_mut().for_each(|variable| {
                    variable.kind = Type::Codes { levels };
                });
            } else {
                say_warnings(&table, &schema, terminal);
            }
            return Ok((table, Self { schema, encoding }));
        }
        let pre = data.preprocessing;
        let changes_symbols = pre.requantize.is_some()
            || pre.binarize != Binarize::None
            || pre.dequantize.is_some()
            || pre.flip;
        let needs_symbols = !config.model.is_real() || changes_symbols;
        let schema = table.infer(needs_symbols.then_some(symbols))?;
        let encoding = if needs_symbols { schema.symbols() } else { schema.reals() };
        let may_be_columns =
            matches!(kind, None | Some(Kind::Columns)) && levels.is_none() && !changes_symbols;
        let are_bits = encoding == Some(Encoding::Symbols { levels: 2 });
        let is_stated = *kind == Some(Kind::Columns);
        if config.model.describes_categories()
            && may_be_columns
            && encoding.is_some_and(|encoding| encoding != Encoding::Symbols { levels: 256 })
            && (is_stated || shape.is_none() && !are_bits && !are_codes_alike(&schema))
        {
            say_warnings(&table, &schema, terminal);
            return Ok((table, Self { schema, encoding: Encoding::Columns }));
        }
        if config.model.describes_columns() && may_be_columns && (!are_bits || is_stated) {
            let schema = table.infer(Some(Encoding::Columns))?;
            say_warnings(&table, &schema, terminal);
            return Ok((table, Self { schema, encoding: Encoding::Columns }));
        }
        match encoding {
            Some(own) => {
                say_warnings(&table, &schema, terminal);
                let encoding = match (own, levels) {
                    (Encoding::Symbols { levels: own }, Some(stated)) => {
                        Encoding::Symbols { levels: own.max(*stated) }
                    }
                    (own, _) => own,
                };
                Ok((table, Self { schema, encoding }))
            }
            None => Err(unsuitable(config, path, &schema, needs_symbols)),
        }
    }

    /// A part that was read with room for any symbol, with the levels that it needs.
    pub(super) fn tightened(&self, part: Dataset) -> Result<Dataset> {
        let Encoding::Symbols { levels } = self.encoding else { return Ok(part) };
        let largest = part.symbols()?.0.iter().copied().max().map_or(0, u16::from);
        Ok(part.with_levels(levels.max(largest + 1))?)
    }

    /// How a file is read by them. Symbols that the schema does not know yet are taken where it is not settled:
    /// then the levels are those of all files together.
    pub(super) fn reading(&self, data: &DataConfig, rows: Option<usize>) -> Result<Reading> {
        let (is_binary, is_settled, shape) = match &data.source {
            DataSource::Files { kind, levels, shape, .. } => {
                let is_settled = levels.is_some() || kind.is_some_and(|kind| kind != Kind::Symbols);
                (*kind == Some(Kind::Binary), is_settled, shape.clone())
            }
            DataSource::Builtin(_) => return Err(Internal("a built-in dataset is no table").into()),
        };
        let encoding = match self.encoding {
            Encoding::Symbols { .. } if !is_settled => Encoding::Symbols { levels: 256 },
            encoding => encoding,
        };
        Ok(Reading {
            schema: self.schema.clone(),
            encoding,
            shape: shape.unwrap_or_else(|| vec![self.schema.variables.len()]),
            is_binary,
            how: Match { with_labels: self.schema.label.is_some(), ..Match::default() },
            table: TableOptions {
                rows,
                header: data.table.header,
                key: data.table.key.clone(),
                // Runs of before schemas had the names of arrays beside the table.
                label: data.table.label.clone(),
                ..TableOptions::default()
            },
        })
    }
}

/// Whether all columns are codes of one number of levels, such as those of an image, whose pixels are alike.
fn are_codes_alike(schema: &Schema) -> bool {
    let mut variables = schema.variables.iter();
    let Some(first) = variables.next() else { return true };
    matches!(first.kind, Type::Codes { .. })
        && variables
            .all(|own| (&own.kind, own.can_be_missing) == (&first.kind, first.can_be_missing))
}

/// The error about columns that a model of today cannot describe together, with what it could.
fn unsuitable(config: &Config, path: &Path, schema: &Schema, needs_symbols: bool) -> anyhow::Error {
    let suits = |variable: &&Variable| match needs_symbols {
        true => variable.levels().is_some_and(|levels| levels <= 256),
        false => variable.kind.is_numeric(),
    };
    let (good, bad): (Vec<_>, Vec<_>) = schema.variables.iter().partition(suits);
    let list = |of: &[&Variable]| {
        let shown = of
            .iter()
            .take(NAMED)
            .map(|variable| format!("{} ({})", variable.title(), variable.kind));
        let mut shown: Vec<String> = shown.collect();
        if of.len() > NAMED {
            shown.push(format!("{} more", of.len() - NAMED));
        }
        shown.join(", ")
    };
    if needs_symbols && config.model.is_real() {
        return Mistake::new(
            format!("{}: real numbers, expected symbols, in {}", path.display(), list(&bad)),
            "remove data.requantize, data.binarize, data.dequantize and data.flip, which change symbols; grey \
             levels that were scaled to 0 to 1 are symbols again as np.rint(255 * array).astype(np.uint8)",
        )
        .of(ErrorKind::Data)
        .in_file(path)
        .into();
    }
    let (what, other) = if needs_symbols {
        ("categories, which these are not", "model.kind = \"nade\" describes columns of any types")
    } else {
        ("numbers, which these are not", "model.kind = \"nade\" describes columns of any types")
    };
    let hint = if good.is_empty() {
        format!("{other}; or say in [data.columns] what the columns are")
    } else {
        format!(
            "leave them out with {}; or say in [data.columns] what they are; {other}",
            drop_of(&bad)
        )
    };
    Mistake::new(
        format!(
            "{}: model `{}` describes {what}: {}",
            path.display(),
            config.model.kind(),
            list(&bad)
        ),
        hint,
    )
    .of(ErrorKind::Data)
    .in_file(path)
    .into()
}

/// Columns with a warning that are named.
const WARNED: usize = 8;

/// Says what looks wrong with the columns that are learned from. Bits are looked at by nobody: among those of
/// images many are copies of each other.
fn say_warnings(table: &Table, schema: &Schema, terminal: &Terminal) {
    let is_bit = |variable: &Variable| variable.levels().is_some_and(|levels| levels <= 2);
    if schema.variables.iter().all(is_bit) {
        return;
    }
    let profiles = table.profile(schema);
    let of_one = |(variable, profile): (&Variable, &Profile)| {
        // Words among numbers are rows that cannot be read, which are told of anyway.
        let is_said =
            |warning: &&Warning| !matches!(warning, Warning::Constant | Warning::Words { .. });
        let said = profile.warnings.iter().filter(is_said);
        let said: Vec<String> = said.map(ToString::to_string).collect();
        (!said.is_empty()).then(|| format!("{}: {}", variable.title(), said.join("; ")))
    };
    let said: Vec<String> = schema.variables.iter().zip(&profiles).filter_map(of_one).collect();
    for warning in said.iter().take(WARNED) {
        terminal.note(format!("{}: {warning}", table.path().display()));
    }
    if said.len() > WARNED {
        let more = said.len() - WARNED;
        terminal.note(format!("and {more} columns more, which `chainrule data info` shows"));
    }
}

/// The key that leaves columns out.
pub(crate) fn drop_of(columns: &[&Variable]) -> String {
    let words = columns.iter().map(|variable| match &variable.name {
        Some(name) => format!("{name:?}"),
        None => variable.column.to_string(),
    });
    format!("data.drop = [{}]", words.collect::<Vec<_>>().join(", "))
}

/// Variables of real numbers with one value in all rows: a density of them would be infinite.
pub(crate) fn constant_columns(data: &Dataset) -> Vec<usize> {
    let Values::Reals { data: values } = data.values() else { return Vec::new() };
    let width = data.event_len();
    let Some(first) = values.get(..width) else { return Vec::new() };
    let mut is_constant = vec![true; width];
    for row in values.chunks_exact(width) {
        for ((is_constant, value), first) in is_constant.iter_mut().zip(row).zip(first) {
            *is_constant &= value == first;
        }
    }
    (0..width).filter(|&column| is_constant[column]).collect()
}

/// Bad rows that are shown of a file.
const SHOWN: usize = 5;

/// Says which rows of a file could not be read, or stops at the first.
///
/// # Errors
/// When there is one, and such rows are not left out.
pub(crate) fn say_bad_rows(
    path: &Path,
    bad: &[BadRow],
    rows: usize,
    skips: bool,
    terminal: &Terminal,
) -> Result<()> {
    let Some(first) = bad.first() else { return Ok(()) };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let count = grouped(&bad.len().to_string());
    if !skips {
        let hint = first.error.hint().unwrap_or_else(|| {
            "mend the row, or leave such rows out with data.bad_rows = \"skip\"".to_owned()
        });
        if bad.len() > 1 {
            let rows = grouped(&rows.to_string());
            terminal.note(format!("{name}: {count} of {rows} rows cannot be read"));
        }
        return Err(data_mistake(&first.error, hint));
    }
    for bad in bad.iter().take(SHOWN) {
        terminal.note(format!("left out row {}: {}", bad.row, bad.error));
    }
    terminal.note(format!(
        "{name}: {count} of {} rows are left out{}",
        grouped(&rows.to_string()),
        if bad.len() > SHOWN { ", the first of them above" } else { "" }
    ));
    if bad.len() == rows {
        return Err(super::sets::nothing_read(&name, rows as u64, &first.error.to_string()));
    }
    Ok(())
}
