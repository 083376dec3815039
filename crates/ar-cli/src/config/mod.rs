//! The TOML of an experiment: read, overridden, checked once, and written resolved into the run.
//!
//! A mistake in it is reported with the file, the line, the key, the value, what is allowed, and a
//! hint.

mod data;
mod decode;
mod differences;
mod file;
mod origin;
mod overrides;
mod paper;
mod parents;
mod raw;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use ar_data::flip::Mirror;
use ar_data::{Dataset, Schema, Split};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::Examples;
use ar_models::train::{TrainConfig, check_labels};

use crate::error::{ErrorKind, Internal, Mistake};
use decode::decode;
use differences::flat;
use file::{parse, read_text};
use origin::Origin;
use overrides::apply_override;
use parents::NamedParents;
use raw::{RawConfig, RawData};

pub(crate) use data::{
    Binarize, DataConfig, DataSource, Paths, Preprocessing, event_of_columns, holds_out,
};
pub(crate) use differences::Difference;
pub(crate) use paper::{Deviations, Paper};

/// What a config begins with that a run has written.
pub(crate) const HEADER: &str = "# Resolved by chainrule";

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
    /// Parents in the model that are named, and not known before the columns are.
    named_parents: Option<NamedParents>,
    origin: Origin,
}

impl Config {
    /// Reads a config file, applies `KEY=VALUE` overrides, and checks everything that can be checked
    /// without the data.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or does not say what it must.
    pub(crate) fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::of_text(path, read_text(path)?, overrides)
    }

    /// The same of a config that is no file; errors call it `path`, in whose folder its files are.
    ///
    /// # Errors
    /// When it is not TOML, or does not say what it must.
    pub(crate) fn of_text(path: &Path, text: String, overrides: &[String]) -> Result<Self> {
        let mut table = parse(path, &text)?;
        let mut overridden = Vec::new();
        for text in overrides {
            overridden.push(apply_override(&mut table, text)?);
        }
        let origin = Origin::new(path, text, overridden);
        if table.contains_key("rungs") {
            return Err(origin.mistake(
                &["rungs"],
                "this is a ladder of configs, expected the config of one model".into(),
                "run it with `cargo xtask experiment`, or name one of its rungs".into(),
            ));
        }
        let parents = NamedParents::take(&mut table, &origin)?;
        let raw: RawConfig = decode(&table).map_err(|fault| origin.explain(&table, &fault))?;
        Self::check(raw, parents, origin)
    }

    fn check(raw: RawConfig, named_parents: Option<NamedParents>, origin: Origin) -> Result<Self> {
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
        let mut config =
            Self { name, seed, data, model, train, paper, deviations, named_parents, origin };
        if config.data.columns.is_some() {
            config.settle_parents()?;
        }
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
        // Before its parents are known there is no model that could look at it.
        self.data.event().filter(|_| self.named_parents.is_none())
    }

    /// What an event of symbols looks like before noise makes them real numbers; `None` where it does not.
    pub(crate) fn symbols(&self) -> Option<EventSpec> {
        self.data.symbols()
    }

    /// Writes down what was only known from the data, so that a run needs no data to be used.
    ///
    /// `raw` is the training split before any preprocessing, `schema` what the columns of a table are.
    ///
    /// # Errors
    /// When the config names a column that the data does not have.
    pub(crate) fn settle(&mut self, raw: &Dataset, schema: Option<&Schema>) -> Result<()> {
        self.data.settle(raw, schema);
        self.settle_parents()
    }

    /// Finds the parents that are named, where it is known what there is.
    fn settle_parents(&mut self) -> Result<()> {
        let Some(event) = self.data.event() else { return Ok(()) };
        let Some(named) = self.named_parents.take() else { return Ok(()) };
        let columns = self.data.columns.as_deref();
        let parents = named.resolve(columns, event.variables(), &self.origin)?;
        NamedParents::give(&mut self.model, parents);
        Ok(())
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
            data: RawData::of(&self.data),
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
        let mut keys = flat(&self.raw())?;
        keys.retain(|key, _| !["data.train", "data.valid", "data.test"].contains(&key.as_str()));
        Ok(keys)
    }

    /// Checks that this config of a run is the one that the run was trained with, by its [`keys`](Self::keys).
    ///
    /// # Errors
    /// When a key differs.
    pub(crate) fn check_keys(&self, expected: &BTreeMap<String, String>) -> Result<()> {
        differences::check_keys(&self.keys()?, expected, &self.origin)
    }

    /// The keys that decide about weights or numbers and differ, with both values. What this config leaves
    /// to the data is taken over from `stored`.
    ///
    /// # Errors
    /// When a config cannot be written as TOML.
    pub(crate) fn differences(&self, stored: &Self) -> Result<Vec<Difference>> {
        let mut ours = self.clone();
        ours.data.take_over(&stored.data);
        ours.settle_parents()?;
        Ok(differences::between(&flat(&ours.raw())?, &flat(&stored.raw())?))
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use super::support::{NADE, load};
    use super::*;

    #[test]
    fn a_config_comes_back_from_its_resolved_form() {
        let config = load(NADE, &[]).unwrap();
        let text = config.to_toml().unwrap();
        let back = load(&text, &[]).unwrap();
        assert_eq!(back.to_toml().unwrap(), text);
        assert!(config.differences(&back).unwrap().is_empty());
        assert_eq!(back.event(), Some(EventSpec::symbols(vec![8, 8], 2)));
        assert!(text.contains("batch_size = 100"), "defaults are written out: {text}");
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
}
