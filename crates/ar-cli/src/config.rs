//! The TOML of an experiment: read, overridden, checked once, and written resolved into the run.
//!
//! A mistake in it is reported with the file, the line, the key, the value, what is allowed, and a
//! hint.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ar_data::flip::Mirror;
use ar_data::folds::Folds;
use ar_data::{Builtin, Column, Dataset, Kind, ReadOptions, Split, builtin};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::Examples;
use ar_models::train::{TrainConfig, check_labels};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Table;
use toml::de::{DeTable, DeValue};

use crate::changes::Expected;
use crate::error::{ErrorKind, Internal, Mistake, cannot, mistake, model_hint, nearest};
use crate::reading;
use crate::seal::Rows;

/// A checked config.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// What the experiment is called; the default run directory is `runs/<name>`.
    pub(crate) name: String,
    /// Seed of everything random in training.
    pub(crate) seed: u64,
    /// What is learned from and tested on.
    pub(crate) data: DataConfig,
    /// What is learned.
    pub(crate) model: ModelConfig,
    /// How a neural model is trained.
    pub(crate) train: Option<TrainConfig>,
    /// What a paper reports for it.
    pub(crate) paper: Option<Paper>,
    /// Where it differs from the paper.
    pub(crate) deviations: Option<Deviations>,
    origin: Origin,
}

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
    /// Columns of the files that are left out.
    pub(crate) drop: Vec<Column>,
    /// Where the parts are not the source's own but a fold of all its rows.
    pub(crate) folds: Option<Folds>,
    /// What the files of a run held when it was trained. No part of the file.
    pub(crate) expected: Expected,
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
        train: PathBuf,
        /// What selects the weights.
        valid: Option<PathBuf>,
        /// What is reported.
        test: Option<PathBuf>,
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

/// The `[paper]` table: what is claimed elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paper {
    /// Test NLL in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_nats: Option<f64>,
    /// Test cost in bits per dimension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_bits_per_dim: Option<f64>,
    /// Test NLL in standardized units, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_standardized_nats: Option<f64>,
    /// Which paper, and where in it.
    pub(crate) source: String,
}

/// The `[deviations]` table: how the experiment differs from the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deviations {
    /// One sentence each.
    pub(crate) notes: Vec<String>,
}

/// The file as it stands, before any check.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    name: String,
    #[serde(default = "default_seed")]
    seed: u64,
    data: RawData,
    model: ModelConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    train: Option<TrainConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paper: Option<Paper>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deviations: Option<Deviations>,
}

fn default_seed() -> u64 {
    1
}

/// The `[data]` table, before any check.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawData {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<RawKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
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
}

/// A name or an index from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "the name of a column in quotes or its index from 0")]
enum RawColumn {
    Name(String),
    Index(usize),
}

/// Names of [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Binary,
    Symbols,
    Real,
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

/// What a config begins with that a run has written.
pub(crate) const HEADER: &str = "# Resolved by chainrule";

/// The largest config file read: far above any real one.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads a config file, applies `KEY=VALUE` overrides, and checks everything that can be checked
    /// without the data.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or does not say what it must.
    pub(crate) fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = read_text(path)?;
        let mut table = parse(path, &text)?;
        let mut origin = Origin { path: path.to_owned(), text, overridden: Vec::new() };
        for text in overrides {
            origin.overridden.push(apply_override(&mut table, text)?);
        }
        if table.contains_key("rungs") {
            return Err(origin.mistake(
                &["rungs"],
                "this is a ladder of configs, expected the config of one model".into(),
                "run it with `cargo xtask experiment`, or name one of its rungs".into(),
            ));
        }
        let raw: RawConfig = decode(&table).map_err(|fault| origin.explain(&table, &fault))?;
        Self::check(raw, origin)
    }

    fn check(raw: RawConfig, origin: Origin) -> Result<Self> {
        let RawConfig { name, seed, data, model, train, paper, deviations } = raw;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty()
            || name.len() > 100
            || name.starts_with('.')
            || !name.chars().all(allowed)
        {
            return Err(origin.mistake(
                &["name"],
                format!(
                    "`name = {name:?}`, expected 1 to 100 letters, digits, `-`, `_` and `.`, not \
                     starting with `.`"
                ),
                "it names the run directory, so keep it plain: name = \"nade-digits\"".into(),
            ));
        }
        let data = data.check(&origin)?;
        match (&train, model.is_neural()) {
            (None, true) => {
                return Err(origin.mistake(
                    &["model", "kind"],
                    format!("missing table `train`, expected one for model `{}`", model.kind()),
                    "add [train] with at least epochs = 20".into(),
                ));
            }
            (Some(_), false) => {
                return Err(origin.mistake(
                    &["train"],
                    format!("a table `train`, expected none for model `{}`", model.kind()),
                    "remove [train]: this model is fitted by counting, in one pass".into(),
                ));
            }
            (Some(train), true) => {
                train.check().map_err(|error| origin.blame(error))?;
                if let Some(patience) = train.early_stopping
                    && !data.has(Split::Valid)
                {
                    return Err(origin.mistake(
                        &["train", "early_stopping"],
                        format!(
                            "`early_stopping = {patience}` without validation data, expected some: \
                             nothing else says when to stop"
                        ),
                        format!("remove the key, or set {}", holds_out(Split::Valid)),
                    ));
                }
            }
            (None, false) => {}
        }
        if let Binarize::Stochastic { each_epoch: true, .. } = data.preprocessing.binarize
            && !model.is_neural()
        {
            return Err(origin.mistake(
                &["data", "binarize_each_epoch"],
                format!("`binarize_each_epoch = true`, expected none for model `{}`", model.kind()),
                "remove it: this model is fitted in one pass, so there is one epoch".into(),
            ));
        }
        if let (Some(class), Some(classes)) = (data.class, model.classes()) {
            return Err(origin.mistake(
                &["data", "class"],
                format!(
                    "`class = {class}` beside `model.classes = {classes}`, expected one of them"
                ),
                "a model with classes learns from the examples of all of them".into(),
            ));
        }
        if data.preprocessing.flip && !model.is_neural() {
            return Err(origin.mistake(
                &["data", "flip"],
                format!("`flip = true`, expected no such key for model `{}`", model.kind()),
                "remove it: this model is fitted in one pass, so there is one epoch".into(),
            ));
        }
        let config = Self { name, seed, data, model, train, paper, deviations, origin };
        if let Some(event) = config.event() {
            config.check_event(&event)?;
        }
        Ok(config)
    }

    /// Checks that the model can describe such events.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn check_event(&self, event: &EventSpec) -> Result<()> {
        self.model.check(event).map_err(|error| self.origin.blame(error))?;
        // Whether the structure itself exists: neighbours that come earlier, parents without a cycle.
        crate::sees::size(&self.model, event).map_err(|error| self.origin.blame(error.into()))?;
        if self.data.preprocessing.flip && Mirror::of(&event.shape).is_err() {
            return Err(self.origin.mistake(
                &["data", "flip"],
                format!(
                    "`flip = true` with events of shape {:?}, expected [rows, columns], [channels, \
                     rows, columns] or [rows, columns, channels] with 1 or 3 channels",
                    event.shape
                ),
                "only images have a left and a right: set data.shape, or remove data.flip".into(),
            ));
        }
        if let Some(columns) = &self.data.columns
            && columns.len() != event.variables()
        {
            return Err(self.origin.mistake(
                &["data", "columns"],
                format!(
                    "{} columns, expected one per variable, {}",
                    columns.len(),
                    event.variables()
                ),
                "name every variable, or leave `columns` out".into(),
            ));
        }
        Ok(())
    }

    /// Checks that a model with classes can be given the labels of a set, which an error calls `name`.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn check_labels(&self, name: &'static str, set: &dyn Examples) -> Result<()> {
        check_labels(&self.model, name, set).map_err(|error| self.origin.blame(error))
    }

    /// A mistake about a key, with its place in the file.
    pub(crate) fn mistake(&self, key: &[&str], message: String, hint: String) -> anyhow::Error {
        self.origin.mistake(key, message, hint)
    }

    /// What an event looks like to the model of a run, whose config says it.
    pub(crate) fn event_of_run(&self) -> Result<EventSpec, Internal> {
        self.event().ok_or(Internal("a run's config does not say what an event is"))
    }

    /// What an event looks like to the model, where the config says it.
    pub(crate) fn event(&self) -> Option<EventSpec> {
        let (shape, levels) = match &self.data.source {
            DataSource::Builtin(name) => {
                let builtin = builtin::find(name).ok()?;
                (builtin.shape.to_vec(), builtin.levels)
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
        Some(EventSpec { shape, levels: self.data.preprocessing.levels(levels) })
    }

    /// What an event of symbols looks like before noise makes them real numbers; `None` where it does not.
    pub(crate) fn symbols(&self) -> Option<EventSpec> {
        self.data.preprocessing.dequantize?;
        let mut plain = self.clone();
        plain.data.preprocessing.dequantize = None;
        plain.event()
    }

    /// Writes down what was only known from the data, so that a run needs no data to be used.
    ///
    /// `raw` is the training split before any preprocessing.
    pub(crate) fn settle(&mut self, raw: &Dataset) {
        if let DataSource::Files { kind, levels, shape, .. } = &mut self.data.source {
            *levels = levels.or(raw.levels());
            if raw.levels().is_none() {
                *kind = Some(Kind::Real);
            }
            shape.get_or_insert_with(|| raw.shape().to_vec());
        }
        if self.data.columns.is_none() {
            self.data.columns = raw.columns().map(<[String]>::to_vec);
        }
    }

    /// The config as a file that [`load`](Self::load) reads back, with every default written out.
    ///
    /// # Errors
    /// When a path is not Unicode.
    pub(crate) fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(&self.raw()).map_err(|error| {
            Mistake::new(
                format!("the config cannot be written as TOML: {error}"),
                "paths in a config must be Unicode",
            )
            .of(ErrorKind::Config)
        })?;
        Ok(format!("{HEADER} {}.\n{text}", env!("CARGO_PKG_VERSION")))
    }

    fn raw(&self) -> RawConfig {
        RawConfig {
            name: self.name.clone(),
            seed: self.seed,
            data: self.data.raw(),
            model: self.model.clone(),
            train: self.train.clone(),
            paper: self.paper.clone(),
            deviations: self.deviations.clone(),
        }
    }

    /// Every key with its value, but for the places of files, which may move.
    ///
    /// # Errors
    /// When a config cannot be written as TOML.
    pub(crate) fn keys(&self) -> Result<BTreeMap<String, String>> {
        let mut keys = self.flat()?;
        keys.retain(|key, _| !["data.train", "data.valid", "data.test"].contains(&key.as_str()));
        Ok(keys)
    }

    /// Every key with its value.
    fn flat(&self) -> Result<BTreeMap<String, String>> {
        let table = Table::try_from(self.raw()).context(Internal("a config is no table"))?;
        let mut flat = Vec::new();
        flatten("", &table, &mut flat);
        Ok(flat.into_iter().collect())
    }

    /// Checks that this config of a run is the one that the run was trained with, by its [`keys`](Self::keys).
    ///
    /// # Errors
    /// When a key differs.
    pub(crate) fn check_keys(&self, expected: &BTreeMap<String, String>) -> Result<()> {
        let found = self.keys()?;
        let differs = |key: &&String| found.get(*key) != expected.get(*key);
        let Some(key) = found.keys().chain(expected.keys()).find(differs) else { return Ok(()) };
        let word = |value: Option<&String>| value.map_or("nothing", |value| value).to_owned();
        let path: Vec<&str> = key.split('.').collect();
        Err(self.origin.mistake(
            &path,
            format!(
                "`{key}` is {}, the run was trained with {}",
                word(found.get(key)),
                word(expected.get(key))
            ),
            "a run's config says what the run is: restore it, or train another run".into(),
        ))
    }

    /// The keys that decide about weights or numbers and differ, with both values. What this config leaves
    /// to the data is taken over from `stored`.
    ///
    /// # Errors
    /// When a config cannot be written as TOML.
    pub(crate) fn differences(&self, stored: &Self) -> Result<Vec<Difference>> {
        let mut ours = self.clone();
        if let (
            DataSource::Files { kind, levels, shape, .. },
            DataSource::Files { kind: k, levels: l, shape: s, .. },
        ) = (&mut ours.data.source, &stored.data.source)
        {
            *kind = kind.or(*k);
            *levels = levels.or(*l);
            if shape.is_none() {
                shape.clone_from(s);
            }
        }
        if ours.data.columns.is_none() {
            ours.data.columns.clone_from(&stored.data.columns);
        }
        let flat = |config: &Self| -> Result<BTreeMap<String, String>> {
            let mut flat = config.flat()?;
            flat.retain(|key, _| {
                !["name", "paper", "deviations"].contains(&key.split('.').next().unwrap_or(key))
            });
            Ok(flat)
        };
        let (ours, theirs) = (flat(&ours)?, flat(stored)?);
        let value = |of: &BTreeMap<String, String>, key: &str| {
            of.get(key).cloned().unwrap_or_else(|| "nothing".to_owned())
        };
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differences = keys.into_iter().map(|key| Difference {
            key: key.clone(),
            ours: value(&ours, key),
            stored: value(&theirs, key),
        });
        Ok(differences.filter(|difference| difference.ours != difference.stored).collect())
    }
}

/// A key in which two configs differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Full key.
    pub(crate) key: String,
    /// The value in the config given.
    pub(crate) ours: String,
    /// The value in the run.
    pub(crate) stored: String,
}

fn flatten(prefix: &str, table: &Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, out),
            value => out.push((key, value.to_string())),
        }
    }
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

    /// What the data is called in records: the built-in name, or the training file's.
    pub(crate) fn label(&self) -> String {
        match &self.source {
            DataSource::Builtin(name) => (*name).to_owned(),
            DataSource::Files { train, .. } => {
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

    fn raw(&self) -> RawData {
        let mut raw = RawData {
            columns: self.columns.clone(),
            class: self.class.map(u16::from),
            ..RawData::default()
        };
        match &self.source {
            DataSource::Builtin(name) => raw.name = Some((*name).to_owned()),
            DataSource::Files { train, valid, test, kind, levels, shape } => {
                raw.train = Some(train.clone());
                raw.valid.clone_from(valid);
                raw.test.clone_from(test);
                raw.kind = kind.map(|kind| match kind {
                    Kind::Binary => RawKind::Binary,
                    Kind::Symbols => RawKind::Symbols,
                    Kind::Real => RawKind::Real,
                });
                raw.levels = *levels;
                raw.shape.clone_from(shape);
            }
        }
        let Preprocessing { requantize, binarize, flip, dequantize, train_examples } =
            self.preprocessing;
        raw.dequantize = dequantize.is_some();
        raw.dequantize_seed = dequantize;
        raw.drop = self.drop.iter().cloned().map(RawColumn::from).collect();
        if let Some(Folds { count, fold, seed }) = self.folds {
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
}

/// What in a config gives its data such a split, for hints.
pub(crate) fn holds_out(split: Split) -> String {
    format!("data.{split} = \"FILE\", or data.folds = 10, which holds out parts of all rows")
}

impl RawData {
    fn check(self, origin: &Origin) -> Result<DataConfig> {
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
                });
                DataSource::Files {
                    train: origin.resolve(&train)?,
                    valid: self.valid.map(|path| origin.resolve(&path)).transpose()?,
                    test: self.test.map(|path| origin.resolve(&path)).transpose()?,
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
        let drop = self.drop.into_iter().map(Column::from).collect();
        let expected = Expected::default();
        Ok(DataConfig {
            source,
            class,
            preprocessing,
            columns: self.columns,
            drop,
            folds,
            expected,
        })
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

/// Where in a config a mistake is.
enum Place {
    /// In the `--set` of this key.
    Override(String),
    /// In the file, on a line from 1 where it is known.
    File(Option<usize>),
}

/// Where a config came from, to say where a mistake is.
#[derive(Clone, Debug)]
struct Origin {
    path: PathBuf,
    text: String,
    /// The keys that `--set` gave.
    overridden: Vec<Vec<String>>,
}

impl Origin {
    /// A path in the config, which is relative to the config's folder, as an absolute one.
    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(path);
        std::path::absolute(&path).with_context(|| format!("{}", path.display()))
    }

    /// The `--set` that a key is from, or the file, and the line of the key (or of the nearest table around
    /// it) where it has one.
    fn place(&self, key: &[&str]) -> Place {
        for overridden in &self.overridden {
            if overridden.starts_with(&key.iter().map(ToString::to_string).collect::<Vec<_>>())
                || key.starts_with(&overridden.iter().map(String::as_str).collect::<Vec<_>>())
            {
                return Place::Override(overridden.join("."));
            }
        }
        Place::File(span_of(&self.text, key).map(|span| line_of(&self.text, span.start)))
    }

    fn mistake(&self, key: &[&str], message: String, hint: String) -> anyhow::Error {
        let file = self.path.display();
        let new =
            |place: String| Mistake::new(format!("{place}: {message}"), hint).of(ErrorKind::Config);
        match self.place(key) {
            Place::Override(key) => new(format!("--set {key}")).at(format!("--set {key}")),
            Place::File(None) => new(file.to_string()).in_file(&self.path),
            Place::File(Some(line)) => {
                new(format!("{file}:{line}")).in_file(&self.path).at(format!("line {line}"))
            }
        }
        .into()
    }

    /// An error of ar-models about this config.
    fn blame(&self, error: ar_models::Error) -> anyhow::Error {
        let hint = model_hint(&error);
        let key: Vec<&str> = match &error {
            ar_models::Error::Config { key, .. } => key.split('.').collect(),
            ar_models::Error::Labels { .. } => vec!["model", "classes"],
            _ => vec!["model"],
        };
        self.mistake(&key, error.to_string(), hint)
    }

    /// A fault found while decoding, in words.
    fn explain(&self, table: &Table, fault: &Fault) -> anyhow::Error {
        let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
        let (key, last) = (path.join("."), path.last().copied().unwrap_or_default());
        let message = &fault.message;
        let (what, expected) = message.split_once(", ").unwrap_or((message.as_str(), ""));
        let known = backticked(expected);
        if what.starts_with("unknown field") {
            let allowed = if known.is_empty() { "no keys here".into() } else { known.join(", ") };
            let hint = match nearest(last, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove the key".into(),
            };
            return self.mistake(&path, format!("unknown key `{key}`, expected {allowed}"), hint);
        }
        if let Some(field) = message.strip_prefix("missing field ") {
            let field = field.trim_matches('`');
            let key = path.iter().copied().chain([field]).collect::<Vec<_>>().join(".");
            let place = if path.is_empty() {
                "at the top".into()
            } else {
                format!("to [{}]", path.join("."))
            };
            return self.mistake(
                &path,
                format!("missing key `{key}`"),
                format!("add `{field} = …` {place}{}", missing_example(&key)),
            );
        }
        let value = value_at(table, &path)
            .map_or_else(String::new, |value| format!(" = {}", shortened(&value.to_string())));
        let allowed = match expected.strip_prefix("expected ") {
            Some(_) if what.starts_with("unknown variant") => {
                format!("expected one of {}", known.join(", "))
            }
            Some(expected) => format!("expected {}", in_words(expected)),
            None => message.clone(),
        };
        let given = value_at(table, &path).and_then(toml::Value::as_str).unwrap_or_default();
        let hint = match nearest(given, known.iter().copied()) {
            Some(near) if what.starts_with("unknown variant") => format!("did you mean `{near}`?"),
            _ => format!("change `{key}` in the config, or pass --set {key}=VALUE"),
        };
        self.mistake(&path, format!("`{key}{value}`, {allowed}"), hint)
    }
}

/// What a missing key might be.
fn missing_example(key: &str) -> &'static str {
    match key {
        "name" => ", for example \"my-experiment\"",
        "data" => ": a table [data] with name = \"digits\"",
        "model" => ": a table [model] with kind = \"nade\"",
        "model.order" => ", how many predecessors each variable sees",
        "model.hidden" => ", the number of hidden units, for example 500",
        "model.offsets" => ", for example [[0, -1], [-1, 0]]",
        "train.epochs" => ", for example 20",
        _ => "",
    }
}

/// The words between backticks.
fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// serde's name of a Rust type as a reader of TOML would say it.
fn in_words(expected: &str) -> String {
    match expected {
        "usize" | "u64" | "u16" => "a whole number, 0 or more".into(),
        "isize" | "i64" => "a whole number".into(),
        "f64" => "a number".into(),
        "a string" => "a string in quotes".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list in brackets".into(),
        "path string" => "a path in quotes".into(),
        other if other.starts_with("struct ") || other.contains("tagged enum") => {
            "a table of keys".into()
        }
        other => other.into(),
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn read_text(path: &Path) -> Result<String> {
    let example = "name a .toml file such as configs/nade-digits.toml";
    let wrong = |message: String, hint: &str| {
        Mistake::new(message, hint).of(ErrorKind::Config).in_file(path)
    };
    let metadata = fs::metadata(path).with_context(|| cannot("read", path))?;
    if metadata.is_dir() {
        let message = format!("{} is a folder, expected a config file", path.display());
        return Err(wrong(message, "name a .toml file").into());
    }
    if metadata.len() > MAX_CONFIG_BYTES {
        let message = format!(
            "{} has {} bytes, expected a config of at most {MAX_CONFIG_BYTES}",
            path.display(),
            metadata.len()
        );
        return Err(wrong(message, example).into());
    }
    let bytes = reading::bytes(path, MAX_CONFIG_BYTES).with_context(|| cannot("read", path))?;
    String::from_utf8(bytes).map_err(|error| {
        let place = format!("byte {}", error.utf8_error().valid_up_to());
        let message = format!("{}: {place}: no UTF-8, expected a TOML file", path.display());
        wrong(message, example).at(place).into()
    })
}

fn parse(path: &Path, text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Mistake::new(
            format!("{}:{line}: no TOML: {}", path.display(), error.message().trim_end()),
            "every line is `key = value` or `[table]`; strings stand in quotes",
        )
        .of(ErrorKind::Config)
        .in_file(path)
        .at(format!("line {line}"))
        .into()
    })
}

/// Applies one `KEY=VALUE` and returns the key.
fn apply_override(table: &mut Table, text: &str) -> Result<Vec<String>> {
    let example = "for example --set model.hidden=100 or --set data.binarize=threshold";
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| mistake(format!("--set {text}: no `=`, expected KEY=VALUE"), example))?;
    let path: Vec<String> = key.trim().split('.').map(|part| part.trim().to_owned()).collect();
    let is_bare = |part: &String| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if !path.iter().all(is_bare) {
        let message = format!("--set {text}: `{key}` is no key, expected words joined by `.`");
        return Err(mistake(message, example));
    }
    let value = override_value(value.trim())
        .map_err(|reason| mistake(format!("--set {text}: {reason}"), example))?;
    let (last, tables) = path.split_last().expect("`split` yields at least one part");
    let mut at = table;
    for (depth, part) in tables.iter().enumerate() {
        let entry = at.entry(part.clone()).or_insert_with(|| Table::new().into());
        at = entry.as_table_mut().ok_or_else(|| {
            let prefix = path[..=depth].join(".");
            mistake(format!("--set {text}: `{prefix}` is no table"), example)
        })?;
    }
    at.insert(last.clone(), value);
    Ok(path)
}

/// A TOML value, or a plain word as a string.
fn override_value(text: &str) -> Result<toml::Value, String> {
    let error = match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => {
            return table.remove("value").ok_or_else(|| "no value".to_owned());
        }
        Ok(_) => return Err("expected one value".to_owned()),
        Err(error) => error,
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !text.is_empty()
        && text.chars().all(is_word)
        && text.starts_with(|c: char| !c.is_ascii_digit())
    {
        return Ok(text.into());
    }
    Err(format!("`{text}` is no TOML value: {}", error.message().trim_end()))
}

/// Where decoding failed, and why.
#[derive(Debug)]
struct Fault {
    /// The key at fault, or for a missing field the table that lacks it.
    path: Vec<String>,
    message: String,
}

/// Decodes a table. serde forgets the place of an error inside tagged enums, so the culprit is found
/// by experiment: it is the innermost key without which the error is another one.
fn decode<T: DeserializeOwned>(table: &Table) -> Result<T, Fault> {
    let reason = |table: &Table| {
        let attempt = toml::Value::Table(table.clone()).try_into::<T>();
        attempt.err().map(|error| error.message().trim_end().to_owned())
    };
    let message = match toml::Value::Table(table.clone()).try_into::<T>() {
        Ok(value) => return Ok(value),
        Err(error) => error.message().trim_end().to_owned(),
    };
    let mut path = Vec::new();
    if let Some(field) = message.strip_prefix("missing field ") {
        let field = field.trim_matches('`');
        // The table that lacks the key is the one where adding it changes the error, other than to
        // the complaint that the key is unknown there.
        for candidate in tables_of(table) {
            let mut with = table.clone();
            if let Some(at) = table_at(&mut with, &candidate) {
                at.insert(field.to_owned(), true.into());
            }
            let changed = reason(&with).is_none_or(|other| {
                other != message && !other.starts_with(&format!("unknown field `{field}`"))
            });
            if changed {
                path = candidate;
                break;
            }
        }
        return Err(Fault { path, message });
    }
    loop {
        let mut probe = table.clone();
        let Some(at) = table_at(&mut probe, &path) else { break };
        let mut keys: Vec<String> = at.keys().cloned().collect();
        // Without its `kind` a tagged table always fails in another way.
        keys.sort_by_key(|key| key == "kind");
        let culprit = keys.into_iter().find(|key| {
            let mut without = table.clone();
            if let Some(at) = table_at(&mut without, &path) {
                at.remove(key);
            }
            reason(&without).is_none_or(|other| other != message)
        });
        match culprit {
            Some(key) => path.push(key),
            None => break,
        }
    }
    Err(Fault { path, message })
}

/// The paths of all tables, the outermost first.
fn tables_of(table: &Table) -> Vec<Vec<String>> {
    let mut paths = vec![Vec::new()];
    for (key, value) in table {
        if let Some(inner) = value.as_table() {
            paths.extend(tables_of(inner).into_iter().map(|mut path| {
                path.insert(0, key.clone());
                path
            }));
        }
    }
    paths
}

fn table_at<'a>(table: &'a mut Table, path: &[String]) -> Option<&'a mut Table> {
    path.iter().try_fold(table, |at, key| at.get_mut(key)?.as_table_mut())
}

fn value_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |at, key| at.get(key))
}

/// Where a key stands in the text, or the innermost table of its path that is there.
fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut span = None;
    for part in path {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else { break };
        span = Some(key.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    span
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    const NADE: &str = r#"
name = "nade-digits"
seed = 3
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "nade"
hidden = 20
ordering = { kind = "random", seed = 3 }
[train]
epochs = 2
optimizer = { kind = "adam", learning_rate = 1e-3 }
schedule = { kind = "cosine" }
[paper]
test_nll_nats = 88.33
source = "somewhere"
"#;

    fn load(text: &str, overrides: &[&str]) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Config::load(&path, &overrides)
    }

    /// The message for NADE with `from` replaced by `to`, without the folder.
    fn refused(from: &str, to: &str) -> String {
        assert!(NADE.contains(from), "{from}");
        let error = load(&NADE.replace(from, to), &[]).unwrap_err();
        let text = render(&error, false);
        let start = text.find("c.toml").unwrap_or_else(|| panic!("{text}"));
        text[start..].to_owned()
    }

    #[test]
    fn a_config_comes_back_from_its_resolved_form() {
        let config = load(NADE, &[]).unwrap();
        let text = config.to_toml().unwrap();
        let back = load(&text, &[]).unwrap();
        assert_eq!(back.to_toml().unwrap(), text);
        assert!(config.differences(&back).unwrap().is_empty());
        assert_eq!(back.event(), Some(EventSpec { shape: vec![8, 8], levels: Some(2) }));
        assert!(text.contains("batch_size = 100"), "defaults are written out: {text}");
    }

    #[test]
    fn overrides_are_toml_or_plain_words() {
        let config = load(
            NADE,
            &["model.hidden=7", "model.ordering=snake", "train.optimizer.learning_rate = 0.5"],
        )
        .unwrap();
        let text = config.to_toml().unwrap();
        for line in ["hidden = 7", "ordering = \"snake\"", "learning_rate = 0.5"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let stored = load(NADE, &[]).unwrap();
        let differences = config.differences(&stored).unwrap();
        let difference = differences.iter().find(|found| found.key == "model.hidden").unwrap();
        assert_eq!(
            (difference.key.as_str(), difference.ours.as_str(), difference.stored.as_str()),
            ("model.hidden", "7", "20")
        );
    }

    #[test]
    fn a_bad_override_is_named() {
        for (text, part) in [
            ("model.hidden", "no `=`"),
            ("model..hidden=1", "no key"),
            ("name.x=1", "`name` is no table"),
            ("model.hidden=[1", "no TOML value"),
            ("model.hidden=", "no TOML value"),
            ("model.hiden=5", "--set model.hiden: unknown key `model.hiden`"),
            ("model.hidden=0", "--set model.hidden: `model.hidden = 0`"),
            ("model.hidden=big", "`model.hidden = \"big\"`, expected a whole number, 0 or more"),
        ] {
            let message = load(NADE, &[text]).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn mistakes_name_the_line_the_key_the_value_and_what_is_allowed() {
        for (from, to, expected) in [
            (
                "hidden = 20",
                "hiden = 20",
                "c.toml:9: unknown key `model.hiden`, expected hidden, ordering, init_scale, classes\n\
                 hint: did you mean `hidden`?\n",
            ),
            (
                "hidden = 20\n",
                "",
                "c.toml:7: missing key `model.hidden`\nhint: add `hidden = …` to [model], the \
                 number of hidden units, for example 500\n",
            ),
            (
                "hidden = 20",
                "hidden = -20",
                "c.toml:9: `model.hidden = -20`, expected a whole number, 0 or more\nhint: change \
                 `model.hidden` in the config, or pass --set model.hidden=VALUE\n",
            ),
            (
                "hidden = 20",
                "hidden = 0",
                "c.toml:9: `model.hidden = 0`, expected 1 to 1048576 hidden units\nhint: change \
                 `model.hidden` in the config, or try a value with --set model.hidden=VALUE\n",
            ),
            (
                "kind = \"nade\"",
                "kind = \"nadee\"",
                "c.toml:8: `model.kind = \"nadee\"`, expected one of uniform, independent, markov, \
                 neighbourhood, bayesian-network, full-table, logistic, nade, made, rnade, \
                 orderless-nade, \
                 row-lstm, diagonal-lstm, diagonal-bilstm, pixel-cnn\nhint: did you mean `nade`?\n",
            ),
            (
                "learning_rate = 1e-3",
                "learning_rte = 1e-3",
                "c.toml:13: unknown key `train.optimizer.learning_rte`, expected learning_rate, \
                 beta_1, beta_2, epsilon\nhint: did you mean `learning_rate`?\n",
            ),
            (
                "learning_rate = 1e-3",
                "learning_rate = 0.0",
                "c.toml:13: `train.optimizer.learning_rate = 0`, expected a finite number above \
                 0\nhint: change `train.optimizer.learning_rate` in the config, or try a value \
                 with --set train.optimizer.learning_rate=VALUE\n",
            ),
            (
                "epochs = 2",
                "epochs = \"two\"",
                "c.toml:12: `train.epochs = \"two\"`, expected a whole number, 0 or more\nhint: \
                 change `train.epochs` in the config, or pass --set train.epochs=VALUE\n",
            ),
            (
                "[train]",
                "[trian]",
                "c.toml:11: unknown key `trian`, expected name, seed, data, model, train, paper, \
                 deviations\nhint: did you mean `train`?\n",
            ),
            (
                "name = \"nade-digits\"\n",
                "",
                "c.toml: missing key `name`\nhint: add `name = …` at the top, for example \
                 \"my-experiment\"\n",
            ),
            (
                "name = \"nade-digits\"",
                "name = \"../up\"",
                "c.toml:2: `name = \"../up\"`, expected 1 to 100 letters, digits, `-`, `_` and `.`, \
                 not starting with `.`\nhint: it names the run directory, so keep it plain: name = \
                 \"nade-digits\"\n",
            ),
            (
                "name = \"digits\"",
                "name = \"digit\"",
                "c.toml:5: `name = \"digit\"`, expected one of digits, mnist, binarized-mnist, \
                 fashion-mnist, cifar10, adult, connect4, dna, mushrooms, nips, ocr-letters, \
                 winequality-red\n\
                 hint: did you mean \"digits\"?\n",
            ),
            (
                "binarize = \"threshold\"",
                "binarize = \"none\"",
                "c.toml:7: model `nade` needs binary data (2 levels), the data has 17 levels\n\
                 hint: set data.binarize = \"threshold\"\n",
            ),
            (
                "binarize = \"threshold\"",
                "binarize = \"threshhold\"",
                "c.toml:6: `data.binarize = \"threshhold\"`, expected one of none, threshold, \
                 stochastic\nhint: did you mean `threshold`?\n",
            ),
            (
                "binarize = \"threshold\"",
                "binarize = \"threshold\"\nlevels = 17",
                "c.toml:7: `levels` beside `name = \"digits\"`, expected it only with `train`\n\
                 hint: remove the key: a built-in dataset has its own splits, levels and shape\n",
            ),
            (
                "kind = \"random\", seed = 3",
                "kind = \"random\", sed = 3",
                "c.toml:10: unknown key `model.ordering.sed`, expected kind, seed\nhint: did you \
                 mean `seed`?\n",
            ),
            (
                "seed = 3\n[data]",
                "seed = 3\n[data",
                "c.toml:4: no TOML: unclosed table, expected `]`\nhint: every line is `key = \
                 value` or `[table]`; strings stand in quotes\n",
            ),
        ] {
            assert_eq!(refused(from, to), expected);
        }
    }

    #[test]
    fn tables_that_do_not_belong_together_are_refused() {
        let independent =
            "name = \"x\"\n[data]\nname = \"digits\"\n[model]\nkind = \"independent\"\n";
        assert!(load(independent, &[]).is_ok());
        for (overrides, part) in [
            (&["train.epochs=3"][..], "expected none for model `independent`"),
            (&["model.kind=logistic"], "missing table `train`"),
            (&["data.binarize_seed=3"], "expected it only with `binarize = \"stochastic\"`"),
            (&["data.binarize=stochastic", "data.binarize_each_epoch=true"], "expected none"),
            (&["data.train=x.csv"], "both `name` and `train`"),
            (&["rungs=[]"], "this is a ladder"),
            (&["data.columns=[\"a\"]"], "1 columns, expected one per variable, 64"),
            (&["model.kind=markov", "model.order=64"], "less than the number of variables, 64"),
            (&["model.pseudo_count=-1"], "`model.pseudo_count = -1`"),
            (
                &["model.kind=neighbourhood", "model.offsets=[[0, 1]]"],
                "neighbour (0, 1) is not before its pixel",
            ),
        ] {
            let overrides: Vec<&str> = overrides.to_vec();
            let message = load(independent, &overrides).unwrap_err().to_string();
            assert!(message.contains(part), "{overrides:?}: {message}");
        }
    }

    #[test]
    fn requantized_data_has_that_many_levels() {
        let text = "name = \"x\"\n[data]\nname = \"digits\"\nrequantize = 5\n\
                    [model]\nkind = \"independent\"\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(config.event(), Some(EventSpec { shape: vec![8, 8], levels: Some(5) }));
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
    fn flips_are_for_images_and_networks() {
        let config = load(NADE, &["data.flip=true"]).unwrap();
        let text = config.to_toml().unwrap();
        assert!(text.contains("flip = true"), "{text}");
        assert_eq!(load(&text, &[]).unwrap().data, config.data);
        let difference = config.differences(&load(NADE, &[]).unwrap()).unwrap().remove(0);
        assert_eq!((difference.key.as_str(), difference.stored.as_str()), ("data.flip", "nothing"));
        assert!(
            load(NADE, &["data.flip=false"])
                .unwrap()
                .differences(&load(NADE, &[]).unwrap())
                .unwrap()
                .is_empty()
        );

        let table = NADE.replace(
            "name = \"digits\"",
            "train = \"a.csv\"\nshape = [64]\nlevels = 9\nflip = true",
        );
        let message = load(&table, &[]).unwrap_err().to_string();
        assert!(
            message.contains("`flip = true` with events of shape [64], expected [rows"),
            "{message}"
        );
        assert!(load(&table, &["data.shape=[4, 16]"]).is_ok());
        let independent = "name = \"x\"\n[data]\nname = \"digits\"\nflip = true\n\
                           [model]\nkind = \"independent\"\n";
        let message = load(independent, &[]).unwrap_err().to_string();
        assert!(message.contains("expected no such key for model `independent`"), "{message}");
    }

    #[test]
    fn files_are_relative_to_the_config_and_described_by_it() {
        let text = "name = \"x\"\n[data]\ntrain = \"a.csv\"\nshape = [2, 3]\nlevels = 5\n\
                    [model]\nkind = \"independent\"\n";
        let config = load(text, &[]).unwrap();
        let DataSource::Files { train, .. } = &config.data.source else { panic!() };
        assert!(train.is_absolute() && train.ends_with("a.csv"), "{train:?}");
        assert_eq!(config.event(), Some(EventSpec { shape: vec![2, 3], levels: Some(5) }));
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
