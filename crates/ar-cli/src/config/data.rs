//! The `[data]` table, checked: what is learned from, and what is done to it first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ar_data::folds::Folds;
use ar_data::{
    Column, Dataset, Encoding, Kind, MISSING, ReadOptions, Schema, Split, Stated, TableOptions,
    Type, Values, Variable, builtin,
};
use ar_models::columns as models;
use ar_models::config::EventSpec;

use crate::changes::Expected;
use crate::seal::Rows;

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataConfig {
    /// Where the values come from.
    pub(crate) source: DataSource,
    /// The label of the examples that are kept of every split; all are if none.
    pub(crate) class: Option<u8>,
    /// What is done to the values before the model sees them.
    pub(crate) preprocessing: Preprocessing,
    /// Names of the variables, for tables.
    pub(crate) columns: Option<Vec<String>>,
    /// Names of the classes in the order of their labels, where the labels are not the names.
    pub(crate) classes: Option<Vec<String>>,
    /// Columns of the files that are left out.
    pub(crate) drop: Vec<Column>,
    /// What else is stated of tables, and of labels.
    pub(crate) table: TableConfig,
    /// Where the parts are not the source's own but a fold of all its rows.
    pub(crate) folds: Option<Folds>,
    /// What the files of a run held when it was trained. No part of the file.
    pub(crate) expected: Expected,
    /// What the columns of a run's files are. No part of the file, but of the run.
    pub(crate) schema: Option<Schema>,
}

/// What is stated of tables, and of labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TableConfig {
    /// The column that says what class a row is of.
    pub(crate) label: Option<Column>,
    /// Files of labels beside those of train, valid and test.
    pub(crate) labels: [Option<PathBuf>; 3],
    /// Words that count as missing; a default list if none.
    pub(crate) missing: Option<Vec<String>>,
    /// Whether rows that cannot be read are left out, and not the end.
    pub(crate) skips_bad_rows: bool,
    /// What columns are, by name, where inference would be wrong.
    pub(crate) types: Vec<(String, Stated)>,
    /// Whether the first line of a text is names.
    pub(crate) header: Option<bool>,
    /// The array of a `.npz`.
    pub(crate) key: Option<String>,
    /// Training rows that a run keeps for its window, by which rows are ranked; a default number if none.
    pub(crate) keep_rows: Option<usize>,
}

/// One file or several that are read one after the other, as absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths(Vec<PathBuf>);

impl Paths {
    /// At least one.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        debug_assert!(!paths.is_empty(), "at least one path");
        Self(paths)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[PathBuf] {
        &self.0
    }

    /// The first.
    pub(crate) fn first(&self) -> &Path {
        self.0.first().map_or(Path::new(""), PathBuf::as_path)
    }
}

/// What is done to the values of a split before the model sees them. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preprocessing {
    /// Level count that symbols are brought down to; not beside a binarization.
    pub(crate) requantize: Option<u16>,
    /// How grey levels become bits.
    pub(crate) binarize: Binarize,
    /// Whether half the training images, others in every epoch, are mirrored left-right.
    pub(crate) flip: bool,
    /// Seed of the noise that makes symbols real numbers, if they should become such.
    pub(crate) dequantize: Option<u64>,
    /// How many of the training examples are learned from, the first ones; all if none.
    pub(crate) train_examples: Option<usize>,
}

impl Preprocessing {
    /// Level count of symbols that had `raw` levels; `None` for real numbers.
    pub(crate) fn levels(&self, raw: Option<u16>) -> Option<usize> {
        if self.dequantize.is_some() {
            return None;
        }
        let levels = match (self.binarize, self.requantize) {
            (Binarize::None, Some(levels)) => Some(levels),
            (Binarize::None, None) => raw,
            (Binarize::Threshold | Binarize::Stochastic { .. }, _) => Some(2),
        };
        levels.map(usize::from)
    }
}

/// Where the values come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DataSource {
    /// A dataset known by name.
    Builtin(&'static str),
    /// One file (or folder of images) per split; the paths are absolute.
    Files {
        /// What is learned from.
        train: Paths,
        /// What selects the weights.
        valid: Option<Paths>,
        /// What is reported.
        test: Option<Paths>,
        /// What the values are.
        kind: Option<Kind>,
        /// Level count of symbols in the files.
        levels: Option<u16>,
        /// Shape of an event.
        shape: Option<Vec<usize>>,
    },
}

/// How grey levels become bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Binarize {
    /// Not at all.
    #[default]
    None,
    /// 1 from half the levels on.
    Threshold,
    /// 1 with probability value / (levels − 1).
    Stochastic {
        /// Seed of the draws. Apart from the run's seed, so that runs with different seeds are
        /// evaluated on the same bits.
        seed: u64,
        /// Whether every training epoch draws anew; evaluation never does.
        each_epoch: bool,
    },
}

impl DataConfig {
    /// Expects of the files what they held when a run was trained.
    pub(crate) fn expect_rows(&mut self, rows: &BTreeMap<String, Rows>) {
        self.expected = Expected::rows(rows);
    }

    /// Whether there is such a split.
    pub(crate) fn has(&self, split: Split) -> bool {
        match &self.source {
            _ if self.folds.is_some() => true,
            DataSource::Builtin(_) => true,
            DataSource::Files { valid, test, .. } => match split {
                Split::Train => true,
                Split::Valid => valid.is_some(),
                Split::Test => test.is_some(),
            },
        }
    }

    /// What is known about the files before they are read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        match &self.source {
            DataSource::Builtin(_) => ReadOptions::default(),
            DataSource::Files { kind, levels, shape, .. } => ReadOptions {
                kind: *kind,
                levels: *levels,
                shape: shape.clone(),
                drop: self.drop.clone(),
                ..ReadOptions::default()
            },
        }
    }

    /// What is stated of tables.
    pub(crate) fn table_options(&self) -> TableOptions {
        let TableConfig { label, missing, types, header, key, .. } = self.table.clone();
        let defaults = TableOptions::default();
        let types = types.into_iter().map(|(name, stated)| (Column::Name(name), stated)).collect();
        TableOptions {
            drop: self.drop.clone(),
            label,
            missing: missing.unwrap_or(defaults.missing),
            types,
            header,
            key,
            ..defaults
        }
    }

    /// The level count of values in files before preprocessing; `None` for real numbers.
    pub(crate) fn raw_levels(&self) -> Option<u16> {
        match &self.source {
            DataSource::Builtin(name) => {
                builtin::find(name).ok().and_then(|builtin| builtin.levels)
            }
            DataSource::Files { kind: Some(Kind::Binary), .. } => Some(2),
            DataSource::Files { kind: Some(Kind::Real | Kind::Columns), .. } => None,
            DataSource::Files { levels, .. } => *levels,
        }
    }

    /// The names of the classes in the order of their labels: those of images, or of a table's label column.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        let of_table = || Some(self.schema.as_ref()?.label.as_ref()?.classes.as_slice());
        self.classes.as_deref().or_else(of_table)
    }

    /// What the columns of a table must be to suit a run with such events: its schema, or that of columns of
    /// one kind where it was trained on images, or by a version before there were schemas.
    pub(crate) fn schema_of(&self, variables: usize) -> Schema {
        if let Some(schema) = &self.schema {
            return schema.clone();
        }
        let kind = match self.raw_levels() {
            Some(levels) => Type::Codes { levels },
            None => Type::Real,
        };
        let name =
            |column: usize| self.columns.as_ref().and_then(|names| names.get(column)).cloned();
        let dropped: Vec<usize> = self
            .drop
            .iter()
            .filter_map(|column| match column {
                Column::Index(index) => usize::try_from(*index).ok(),
                Column::Name(_) => None,
            })
            .collect();
        let mut stays = (0..).filter(|column| !dropped.contains(column));
        let variable = |position: usize| Variable {
            name: name(position),
            column: stays.next().unwrap_or(position),
            can_be_missing: false,
            kind: kind.clone(),
        };
        let variables: Vec<Variable> = (0..variables).map(variable).collect();
        let left_out = self.drop.iter().map(|column| match column {
            Column::Name(name) => name.clone(),
            Column::Index(index) => index.to_string(),
        });
        Schema {
            width: variables.len() + self.drop.len(),
            missing: self.table.missing.clone().unwrap_or(MISSING.map(str::to_owned).to_vec()),
            left_out: left_out.collect(),
            label: None,
            variables,
        }
    }

    /// What the values of files become before preprocessing.
    pub(crate) fn encoding(&self) -> Encoding {
        match self.raw_levels() {
            Some(levels) => Encoding::Symbols { levels },
            None if self.is_of_columns() => Encoding::Columns,
            None => Encoding::Reals,
        }
    }

    /// Whether the columns of the table are described as what they are, each by its type.
    pub(crate) fn is_of_columns(&self) -> bool {
        matches!(self.source, DataSource::Files { kind: Some(Kind::Columns), .. })
    }

    /// What the data is called in records: the built-in name, or the training file's.
    pub(crate) fn label(&self) -> String {
        match &self.source {
            DataSource::Builtin(name) => (*name).to_owned(),
            DataSource::Files { train, .. } => {
                let train = train.first();
                let name = train.file_name().unwrap_or(train.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }

    /// What is done to the values that a model is evaluated on, in words.
    pub(crate) fn preprocessed(&self) -> String {
        let Preprocessing { requantize, binarize, dequantize, .. } = self.preprocessing;
        let mut words = Vec::new();
        words.extend(requantize.map(|levels| format!("data.requantize = {levels}")));
        match binarize {
            Binarize::None => {}
            Binarize::Threshold => words.push("data.binarize = \"threshold\"".into()),
            Binarize::Stochastic { seed, .. } => words
                .push(format!("data.binarize = \"stochastic\" with data.binarize_seed = {seed}")),
        }
        words.extend(dequantize.map(|seed| format!("data.dequantize with the seed {seed}")));
        if words.is_empty() { "no preprocessing".into() } else { words.join(" and ") }
    }

    /// What an event looks like to the model, where the config says it.
    pub(super) fn event(&self) -> Option<EventSpec> {
        let (shape, levels) = match &self.source {
            DataSource::Builtin(name) => {
                let builtin = builtin::find(name).ok()?;
                (builtin.shape.to_vec(), builtin.levels)
            }
            DataSource::Files { kind: Some(Kind::Columns), shape, .. } => {
                let variables = &self.schema.as_ref()?.variables;
                let event = event_of_columns(variables);
                let shape = shape.clone().unwrap_or_else(|| event.shape.clone());
                return Some(EventSpec { shape, ..event });
            }
            DataSource::Files { kind, levels, shape, .. } => {
                let levels = match kind {
                    Some(Kind::Binary) => Some(2),
                    Some(Kind::Real) => None,
                    _ => Some((*levels)?),
                };
                (shape.clone()?, levels)
            }
        };
        Some(EventSpec::of(shape, self.preprocessing.levels(levels)))
    }

    /// What an event of symbols looks like before noise makes them real numbers; `None` where it does not.
    pub(super) fn symbols(&self) -> Option<EventSpec> {
        self.preprocessing.dequantize?;
        let mut plain = self.clone();
        plain.preprocessing.dequantize = None;
        plain.event()
    }

    /// Writes down what was only known from the data, so that a run needs no data to be used.
    ///
    /// `raw` is the training split before any preprocessing, `schema` what the columns of a table are.
    pub(super) fn settle(&mut self, raw: &Dataset, schema: Option<&Schema>) {
        self.schema = self.schema.take().or_else(|| schema.cloned());
        if let DataSource::Files { kind, levels, shape, .. } = &mut self.source {
            *levels = levels.or(raw.levels());
            if raw.levels().is_none() {
                *kind = Some(match raw.values() {
                    Values::Columns { .. } => Kind::Columns,
                    _ => Kind::Real,
                });
            }
            shape.get_or_insert_with(|| raw.shape().to_vec());
        }
        if self.columns.is_none() {
            self.columns = raw.columns().map(<[String]>::to_vec);
        }
        if self.classes.is_none() {
            self.classes = raw.classes().map(<[String]>::to_vec);
        }
    }

    /// Takes over from `stored` what this table leaves to the data.
    pub(super) fn take_over(&mut self, stored: &Self) {
        if let (
            DataSource::Files { kind, levels, shape, .. },
            DataSource::Files { kind: k, levels: l, shape: s, .. },
        ) = (&mut self.source, &stored.source)
        {
            *kind = kind.or(*k);
            *levels = levels.or(*l);
            if shape.is_none() {
                shape.clone_from(s);
            }
        }
        if self.columns.is_none() {
            self.columns.clone_from(&stored.columns);
        }
        if self.classes.is_none() {
            self.classes.clone_from(&stored.classes);
        }
        if self.schema.is_none() {
            self.schema.clone_from(&stored.schema);
        }
    }
}

/// An event of columns, in one row.
pub(crate) fn event_of_columns(variables: &[Variable]) -> EventSpec {
    EventSpec::columns(variables.iter().map(column_of).collect())
        .with_label_values(variables.iter().map(values_of).collect())
}

/// The numbers that the labels of a category stand for, NaN for a missing one; none where one is a word, or where
/// there are only two, which have no order to speak of.
fn values_of(variable: &Variable) -> Vec<f64> {
    let missing = variable.can_be_missing.then_some(f64::NAN);
    match variable.kind.label_values() {
        Some(numbers) if numbers.len() > 2 => numbers.into_iter().chain(missing).collect(),
        _ => Vec::new(),
    }
}

/// What a variable of a schema is to a model. A missing cell of a category is one more label.
fn column_of(variable: &Variable) -> models::Column {
    let can_be_missing = variable.can_be_missing;
    match variable.kind {
        Type::Integer => models::Column::Grid { step: 1.0, can_be_missing },
        Type::Decimal { places } => {
            models::Column::Grid { step: 1.0 / 10_f64.powi(i32::from(places)), can_be_missing }
        }
        Type::Real => models::Column::Real { can_be_missing },
        Type::Codes { .. } | Type::Category { .. } => {
            models::Column::Category { labels: variable.levels().unwrap_or(1) }
        }
    }
}

/// What in a config gives its data such a split, for hints.
pub(crate) fn holds_out(split: Split) -> String {
    format!("data.{split} = \"FILE\", or data.folds = 10, which holds out parts of all rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::support::load;

    #[test]
    fn requantized_data_has_that_many_levels() {
        let text = "name = \"x\"\n[data]\nname = \"digits\"\nrequantize = 5\n\
                    [model]\nkind = \"independent\"\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(config.event(), Some(EventSpec::symbols(vec![8, 8], 5)));
        let resolved = config.to_toml().unwrap();
        let back = load(&resolved, &[]).unwrap();
        assert_eq!(back.data, config.data);
        assert_eq!(back.to_toml().unwrap(), resolved);
        let other = load(text, &["data.requantize=6"]).unwrap();
        let difference = other.differences(&config).unwrap().remove(0);
        assert_eq!(difference.key, "data.requantize");
        for (overrides, part) in [
            (&["data.requantize=17"][..], "`requantize = 17`, expected 2 to 16, fewer levels"),
            (&["data.requantize=1"], "`requantize = 1`, expected 2 to 16"),
            (&["data.requantize=-1"], "expected a whole number, 0 or more"),
            (&["data.binarize=threshold"], "only with `binarize = \"none\"`"),
            (&["data.name=binarized-mnist"], "expected no such key: the data has 2 levels"),
        ] {
            let message = load(text, overrides).unwrap_err().to_string();
            assert!(message.contains(part), "{overrides:?}: {message}");
        }
        let files = text.replace("name = \"digits\"", "train = \"a.csv\"");
        assert!(load(&files, &[]).is_ok(), "the files will say");
        assert!(load(&files, &["data.levels=5"]).is_err());
        assert!(load(&files, &["data.levels=6"]).is_ok());
    }
}
