//! The file as it stands, before any check; and the check of its `[data]` table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use ar_data::folds::Folds;
use ar_data::{Builtin, Column, Kind, Stated, builtin};
use ar_models::config::ModelConfig;
use ar_models::train::TrainConfig;
use serde::{Deserialize, Serialize};

use super::data::{Binarize, DataConfig, DataSource, Paths, Preprocessing, TableConfig};
use super::origin::Origin;
use super::paper::{Deviations, Paper};
use crate::changes::Expected;
use crate::data::pattern::matching;

/// The file as it stands, before any check.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) name: String,
    #[serde(default = "default_seed")]
    pub(super) seed: u64,
    pub(super) data: RawData,
    pub(super) model: ModelConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) train: Option<TrainConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) paper: Option<Paper>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deviations: Option<Deviations>,
}

fn default_seed() -> u64 {
    1
}

/// The `[data]` table, before any check.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawData {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<RawPaths>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<RawPaths>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<RawPaths>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<RawColumn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_labels: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_labels: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bad_rows: Option<RawBadRows>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_rows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<RawKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requantize: Option<u16>,
    binarize: RawBinarize,
    #[serde(skip_serializing_if = "Option::is_none")]
    binarize_each_epoch: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binarize_seed: Option<u64>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    flip: bool,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    dequantize: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dequantize_seed: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drop: Vec<RawColumn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folds: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fold_seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_examples: Option<usize>,
    // A table, so the last of all keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<RawColumns>,
}

/// A file, several, or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "the path of a file in quotes, or a list of them")]
enum RawPaths {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl From<&Paths> for RawPaths {
    fn from(paths: &Paths) -> Self {
        match paths.all() {
            [one] => Self::One(one.clone()),
            many => Self::Many(many.to_vec()),
        }
    }
}

/// A name or an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "the name of a column in quotes, or its index from 0 or from the end (-1)"
)]
enum RawColumn {
    Name(String),
    Index(i64),
}

/// The names of all variables, or the types of some columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a table of types by column, such as age = \"integer\"; or a list of the names of all \
                 variables"
)]
enum RawColumns {
    Names(Vec<String>),
    Types(BTreeMap<String, RawType>),
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "\"category\", \"integer\", \"decimal\", \"real\" or { kind = \"decimal\", places = 2 }"
)]
enum RawType {
    Word(TypeName),
    Table { kind: TypeName, places: Option<u8> },
}

/// Names of [`Stated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TypeName {
    Category,
    Integer,
    Decimal,
    Real,
}

impl From<&RawType> for Stated {
    fn from(raw: &RawType) -> Self {
        let (kind, places) = match raw {
            RawType::Word(kind) => (*kind, None),
            RawType::Table { kind, places } => (*kind, *places),
        };
        match kind {
            TypeName::Category => Self::Category,
            TypeName::Integer => Self::Integer,
            TypeName::Decimal => Self::Decimal { places },
            TypeName::Real => Self::Real,
        }
    }
}

impl From<Stated> for RawType {
    fn from(stated: Stated) -> Self {
        match stated {
            Stated::Category => Self::Word(TypeName::Category),
            Stated::Integer => Self::Word(TypeName::Integer),
            Stated::Decimal { places: None } => Self::Word(TypeName::Decimal),
            Stated::Decimal { places } => Self::Table { kind: TypeName::Decimal, places },
            Stated::Real => Self::Word(TypeName::Real),
        }
    }
}

/// Names of what is done about rows that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawBadRows {
    Stop,
    Skip,
}

/// Names of [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Binary,
    Symbols,
    Real,
    Columns,
}

/// Names of [`Binarize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawBinarize {
    #[default]
    None,
    Threshold,
    Stochastic,
}

impl RawData {
    /// What [`check`](Self::check) makes `data` of.
    pub(super) fn of(data: &DataConfig) -> Self {
        let types = &data.table.types;
        let columns = match &data.columns {
            _ if !types.is_empty() => {
                let types = types.iter().map(|(name, stated)| (name.clone(), (*stated).into()));
                Some(RawColumns::Types(types.collect()))
            }
            names => names.clone().map(RawColumns::Names),
        };
        let TableConfig {
            label,
            labels,
            missing,
            skips_bad_rows,
            header,
            key,
            keep_rows,
            types: _,
        } = data.table.clone();
        let [labels, valid_labels, test_labels] = labels;
        let mut raw = Self {
            columns,
            label: label.map(RawColumn::from),
            labels,
            valid_labels,
            test_labels,
            missing,
            bad_rows: skips_bad_rows.then_some(RawBadRows::Skip),
            keep_rows,
            header,
            key,
            class: data.class.map(u16::from),
            classes: data.classes.clone(),
            ..Self::default()
        };
        match &data.source {
            DataSource::Builtin(name) => raw.name = Some((*name).to_owned()),
            DataSource::Files { train, valid, test, kind, levels, shape } => {
                raw.train = Some(train.into());
                raw.valid = valid.as_ref().map(RawPaths::from);
                raw.test = test.as_ref().map(RawPaths::from);
                raw.kind = kind.map(|kind| match kind {
                    Kind::Binary => RawKind::Binary,
                    Kind::Symbols => RawKind::Symbols,
                    Kind::Real => RawKind::Real,
                    Kind::Columns => RawKind::Columns,
                });
                raw.levels = *levels;
                raw.shape.clone_from(shape);
            }
        }
        let Preprocessing { requantize, binarize, flip, dequantize, train_examples } =
            data.preprocessing;
        raw.dequantize = dequantize.is_some();
        raw.dequantize_seed = dequantize;
        raw.drop = data.drop.iter().cloned().map(RawColumn::from).collect();
        if let Some(Folds { count, fold, seed }) = data.folds {
            (raw.folds, raw.fold, raw.fold_seed) = (Some(count), Some(fold), Some(seed));
        }
        raw.requantize = requantize;
        raw.train_examples = train_examples;
        raw.flip = flip;
        match binarize {
            Binarize::None => {}
            Binarize::Threshold => raw.binarize = RawBinarize::Threshold,
            Binarize::Stochastic { seed, each_epoch } => {
                raw.binarize = RawBinarize::Stochastic;
                raw.binarize_seed = Some(seed);
                raw.binarize_each_epoch = Some(each_epoch);
            }
        }
        raw
    }

    /// The table, checked.
    ///
    /// # Errors
    /// When it does not say what it must; `origin` says where.
    pub(super) fn check(self, origin: &Origin) -> Result<DataConfig> {
        let refuse = |key: &str, message: String, hint: &str| {
            Err(origin.mistake(&["data", key], message, hint.to_owned()))
        };
        let binarize = match self.binarize {
            RawBinarize::None => Binarize::None,
            RawBinarize::Threshold => Binarize::Threshold,
            RawBinarize::Stochastic => Binarize::Stochastic {
                seed: self.binarize_seed.unwrap_or(0),
                each_epoch: self.binarize_each_epoch.unwrap_or(false),
            },
        };
        if self.binarize != RawBinarize::Stochastic {
            for (key, is_set) in [
                ("binarize_each_epoch", self.binarize_each_epoch.is_some()),
                ("binarize_seed", self.binarize_seed.is_some()),
            ] {
                if is_set {
                    return refuse(
                        key,
                        format!(
                            "`{key}` without draws, expected it only with `binarize = \"stochastic\"`"
                        ),
                        "set data.binarize = \"stochastic\", or remove the key",
                    );
                }
            }
        }
        if self.dequantize && binarize != Binarize::None {
            return refuse(
                "dequantize",
                "`dequantize = true` beside a binarization, expected it only with `binarize = \"none\"`"
                    .into(),
                "remove one of the two keys: a density is of grey levels with noise, not of bits",
            );
        }
        if !self.dequantize && self.dequantize_seed.is_some() {
            return refuse(
                "dequantize_seed",
                "`dequantize_seed` without noise, expected it only with `dequantize = true`".into(),
                "set data.dequantize = true, or remove the key",
            );
        }
        let folds = match (self.folds, self.fold, self.fold_seed) {
            (None, None, None) => None,
            (None, ..) => {
                let key = if self.fold.is_some() { "fold" } else { "fold_seed" };
                return refuse(
                    key,
                    format!("`{key}` without `folds`, expected both"),
                    "set data.folds = 10 for cross-validation, or remove the key",
                );
            }
            (Some(count), ..) if count < 3 => {
                return refuse(
                    "folds",
                    format!("`folds = {count}`, expected 3 or more"),
                    "one fold is tested on, one validates, the others are learned from",
                );
            }
            (Some(count), fold, seed) => {
                let fold = fold.unwrap_or(0);
                if fold >= count {
                    return refuse(
                        "fold",
                        format!("`fold = {fold}`, expected 0 to {}", count - 1),
                        "folds count from 0",
                    );
                }
                Some(Folds { count, fold, seed: seed.unwrap_or(0) })
            }
        };
        if self.requantize.is_some() && binarize != Binarize::None {
            return refuse(
                "requantize",
                "`requantize` beside a binarization, expected it only with `binarize = \"none\"`"
                    .into(),
                "bits have 2 levels already: remove one of the two keys",
            );
        }
        if self.train_examples == Some(0) {
            return refuse(
                "train_examples",
                "`train_examples = 0`, expected at least 1".into(),
                "remove the key to learn from all training examples",
            );
        }
        let class = match self.class.map(u8::try_from).transpose() {
            Ok(class) => class,
            Err(_) => {
                return refuse(
                    "class",
                    format!("`class = {}`, expected 0 to 255", self.class.unwrap_or(0)),
                    "a label is a byte; remove the key to learn from all of them",
                );
            }
        };
        // Of files without stated levels this is known once they are read.
        let raw_levels = match (&self.name, self.kind, self.levels) {
            (Some(name), ..) => builtin::find(name).ok().and_then(|builtin| builtin.levels),
            (None, Some(RawKind::Binary), _) => Some(2),
            (None, _, levels) => levels,
        };
        if let Some(levels) = self.requantize
            && !(2..raw_levels.unwrap_or(256)).contains(&levels)
        {
            let most = raw_levels.unwrap_or(256).saturating_sub(1);
            let expected = if most < 2 {
                "no such key: the data has 2 levels".to_owned()
            } else {
                format!("2 to {most}, fewer levels than the data can have")
            };
            return refuse(
                "requantize",
                format!("`requantize = {levels}`, expected {expected}"),
                "remove the key to keep the data's own levels",
            );
        }
        let source = match (self.name, self.train) {
            (Some(_), Some(_)) => {
                return refuse(
                    "train",
                    "both `name` and `train`, expected one of them".into(),
                    "keep data.name for a built-in dataset, data.train for files of your own",
                );
            }
            (None, None) => {
                return refuse(
                    "name",
                    "neither `name` nor `train`, expected one of them".into(),
                    "set data.name = \"digits\", or data.train = \"FILE\"",
                );
            }
            (Some(name), None) => {
                let Builtin { name, .. } = match builtin::find(&name) {
                    Ok(builtin) => builtin,
                    Err(error) => {
                        let hint = error.hint().unwrap_or_else(|| {
                            "for files of your own set data.train = \"FILE\"".into()
                        });
                        let known: Vec<_> = builtin::all().iter().map(|known| known.name).collect();
                        return refuse(
                            "name",
                            format!("`name = {name:?}`, expected one of {}", known.join(", ")),
                            &hint,
                        );
                    }
                };
                for (key, is_set) in [
                    ("valid", self.valid.is_some()),
                    ("test", self.test.is_some()),
                    ("kind", self.kind.is_some()),
                    ("levels", self.levels.is_some()),
                    ("shape", self.shape.is_some()),
                    ("drop", !self.drop.is_empty()),
                    ("key", self.key.is_some()),
                    ("header", self.header.is_some()),
                    ("label", self.label.is_some()),
                    ("labels", self.labels.is_some()),
                    ("missing", self.missing.is_some()),
                ] {
                    if is_set {
                        return refuse(
                            key,
                            format!(
                                "`{key}` beside `name = \"{name}\"`, expected it only with `train`"
                            ),
                            "remove the key: a built-in dataset has its own splits, levels and shape",
                        );
                    }
                }
                DataSource::Builtin(name)
            }
            (None, Some(train)) => {
                if let Some(shape) = &self.shape
                    && (shape.is_empty() || shape.contains(&0) || shape.len() > 8)
                {
                    return refuse(
                        "shape",
                        format!("`shape = {shape:?}`, expected 1 to 8 sizes of at least 1"),
                        "an image of 8 rows and 8 columns has shape = [8, 8]",
                    );
                }
                match (self.levels, self.kind) {
                    (Some(levels), _) if !(2..=256).contains(&levels) => {
                        return refuse(
                            "levels",
                            format!("`levels = {levels}`, expected 2 to 256"),
                            "bits have 2 levels, bytes 256",
                        );
                    }
                    (Some(levels), Some(RawKind::Binary)) if levels != 2 => {
                        return refuse(
                            "levels",
                            format!("`levels = {levels}`, expected 2 with `kind = \"binary\"`"),
                            "set data.kind = \"symbols\"",
                        );
                    }
                    (Some(levels), Some(RawKind::Real)) => {
                        return refuse(
                            "levels",
                            format!("`levels = {levels}`, expected none with `kind = \"real\"`"),
                            "remove the key, or set data.kind = \"symbols\"",
                        );
                    }
                    _ => {}
                }
                for (key, is_set) in [
                    ("requantize", self.requantize.is_some()),
                    ("binarize", binarize != Binarize::None),
                    ("flip", self.flip),
                    ("dequantize", self.dequantize),
                ] {
                    if is_set && self.kind == Some(RawKind::Real) {
                        return refuse(
                            key,
                            format!(
                                "`{key}` with `kind = \"real\"`, expected it only with symbols"
                            ),
                            "remove the key: it changes symbols, not real numbers",
                        );
                    }
                }
                let kind = self.kind.map(|kind| match kind {
                    RawKind::Binary => Kind::Binary,
                    RawKind::Symbols => Kind::Symbols,
                    RawKind::Real => Kind::Real,
                    RawKind::Columns => Kind::Columns,
                });
                if let (Some(kind @ (Kind::Binary | Kind::Symbols)), Some(RawColumns::Types(types))) =
                    (kind, &self.columns)
                    && !types.is_empty()
                {
                    return refuse(
                        "columns",
                        format!(
                            "types of columns beside `kind = \"{kind}\"`, expected one of them"
                        ),
                        "`kind` says what all columns are: remove it, or the table [data.columns]",
                    );
                }
                let paths = |key: &str, paths: RawPaths| paths.resolve(key, origin);
                DataSource::Files {
                    train: paths("train", train)?,
                    valid: self.valid.map(|valid| paths("valid", valid)).transpose()?,
                    test: self.test.map(|test| paths("test", test)).transpose()?,
                    kind,
                    levels: self.levels,
                    shape: self.shape,
                }
            }
        };
        let preprocessing = Preprocessing {
            requantize: self.requantize,
            binarize,
            flip: self.flip,
            dequantize: self.dequantize.then(|| self.dequantize_seed.unwrap_or(0)),
            train_examples: self.train_examples,
        };
        if self.label.is_some() && self.labels.is_some() {
            return refuse(
                "labels",
                "`labels` beside `label`, expected one of them".into(),
                "`label` is a column of a table, `labels` a file beside images",
            );
        }
        if let Some(classes) = &self.classes {
            let twice = (1..classes.len()).find(|&k| classes[..k].contains(&classes[k]));
            let what = match twice {
                Some(k) => format!("the class {:?} twice", classes[k]),
                None if classes.is_empty() || classes.len() > 256 => {
                    format!("{} classes", classes.len())
                }
                None if classes.iter().any(|class| class.trim().is_empty()) => {
                    "a class without a name".to_owned()
                }
                None => String::new(),
            };
            if !what.is_empty() {
                return refuse(
                    "classes",
                    format!("{what}, expected 1 to 256 different names"),
                    "`classes` names the labels 0, 1, … in their order",
                );
            }
        }
        let drop = self.drop.into_iter().map(Column::from).collect();
        let expected = Expected::default();
        let (columns, types) = match self.columns {
            None => (None, Vec::new()),
            Some(RawColumns::Names(names)) => (Some(names), Vec::new()),
            Some(RawColumns::Types(types)) => {
                let stated = |(name, raw): (String, RawType)| (name, Stated::from(&raw));
                (None, types.into_iter().map(stated).collect())
            }
        };
        let labels = [self.labels, self.valid_labels, self.test_labels];
        let labels = labels.map(|path| path.map(|path| origin.resolve(&path)).transpose());
        let [train_labels, valid_labels, test_labels] = labels;
        let table = TableConfig {
            label: self.label.map(Column::from),
            labels: [train_labels?, valid_labels?, test_labels?],
            missing: self.missing,
            skips_bad_rows: self.bad_rows == Some(RawBadRows::Skip),
            types,
            header: self.header,
            key: self.key,
            keep_rows: self.keep_rows,
        };
        let schema = None;
        Ok(DataConfig {
            source,
            class,
            preprocessing,
            columns,
            classes: self.classes,
            drop,
            table,
            folds,
            expected,
            schema,
        })
    }
}

impl RawPaths {
    /// The files that are meant, as absolute paths: a pattern stands for those that it matches, a folder of
    /// CIFAR's batches for them.
    fn resolve(self, key: &str, origin: &Origin) -> Result<Paths> {
        let stated = match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        };
        let mut all = Vec::new();
        for path in &stated {
            let path = origin.resolve(path)?;
            let Some(found) = matching(&path) else {
                all.push(path);
                continue;
            };
            if found.is_empty() {
                return Err(origin.mistake(
                    &["data", key],
                    format!(
                        "`{key} = {:?}`, expected a pattern that a file matches",
                        path.display()
                    ),
                    "`*` stands for any characters of a name: data.train = \"data_batch_*.bin\""
                        .into(),
                ));
            }
            all.extend(found);
        }
        if all.is_empty() {
            return Err(origin.mistake(
                &["data", key],
                format!("`{key} = []`, expected at least one file"),
                "name a file, or remove the key".into(),
            ));
        }
        Ok(Paths::new(all))
    }
}

impl From<RawColumn> for Column {
    fn from(column: RawColumn) -> Self {
        match column {
            RawColumn::Name(name) => Self::Name(name),
            RawColumn::Index(index) => Self::Index(index),
        }
    }
}

impl From<Column> for RawColumn {
    fn from(column: Column) -> Self {
        match column {
            Column::Name(name) => Self::Name(name),
            Column::Index(index) => Self::Index(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use ar_models::config::EventSpec;

    use super::*;
    use crate::config::support::{NADE, load};

    #[test]
    fn a_part_of_the_training_set_is_at_least_one_example() {
        let config = load(NADE, &["data.train_examples=7"]).unwrap();
        assert_eq!(config.data.preprocessing.train_examples, Some(7));
        assert!(config.to_toml().unwrap().contains("train_examples = 7"));
        let message = load(NADE, &["data.train_examples=0"]).unwrap_err().to_string();
        assert!(message.contains("`train_examples = 0`, expected at least 1"), "{message}");
    }

    #[test]
    fn a_class_is_a_byte_and_not_beside_classes() {
        let config = load(NADE, &["data.class=3"]).unwrap();
        assert_eq!(config.data.class, Some(3));
        let text = config.to_toml().unwrap();
        assert_eq!(load(&text, &[]).unwrap().data, config.data);
        let difference = config.differences(&load(NADE, &[]).unwrap()).unwrap().remove(0);
        assert_eq!((difference.key.as_str(), difference.ours.as_str()), ("data.class", "3"));
        for (overrides, part) in [
            (&["data.class=256"][..], "`class = 256`, expected 0 to 255"),
            (&["data.class=-1"], "expected a whole number, 0 or more"),
            (&["data.class=3", "model.classes=10"], "`class = 3` beside `model.classes = 10`"),
            (&["model.classes=1"], "`model.classes = 1`, expected 2 to 256"),
        ] {
            let message = load(NADE, overrides).unwrap_err().to_string();
            assert!(message.contains(part), "{overrides:?}: {message}");
        }
    }

    #[test]
    fn files_are_relative_to_the_config_and_described_by_it() {
        let text = "name = \"x\"\n[data]\ntrain = \"a.csv\"\nshape = [2, 3]\nlevels = 5\n\
                    [model]\nkind = \"independent\"\n";
        let config = load(text, &[]).unwrap();
        let DataSource::Files { train, .. } = &config.data.source else { panic!() };
        assert!(train.first().is_absolute() && train.first().ends_with("a.csv"), "{train:?}");
        assert_eq!(config.event(), Some(EventSpec::symbols(vec![2, 3], 5)));
        for (overrides, part) in [
            (&["data.levels=1"][..], "expected 2 to 256"),
            (&["data.kind=binary"], "expected 2 with `kind = \"binary\"`"),
            (&["data.kind=real"], "`levels = 5`, expected none with `kind = \"real\"`"),
            (&["data.shape=[]"], "expected 1 to 8 sizes"),
            (&["data.shape=[0]"], "expected 1 to 8 sizes"),
            (&["data.shape=3"], "`data.shape = 3`, expected a list in brackets"),
        ] {
            let message = load(text, overrides).unwrap_err().to_string();
            assert!(message.contains(part), "{overrides:?}: {message}");
        }
    }
}
