//! The files in `configs/`, as far as xtask reads them: `chainrule` alone judges a config.

use crate::failure::Mistake;
use crate::workspace::sha256;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a paper reports for the model of a config, in one unit or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paper {
    /// Mean test negative log-likelihood, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_nats: Option<f64>,
    /// The mean in bits per variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_bits_per_dim: Option<f64>,
    /// The mean in standardized units, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_nll_standardized_nats: Option<f64>,
    /// Which paper and where in it.
    pub(crate) source: String,
}

/// What a trained model is to tell apart: the test split of its own data from another set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnomalySets {
    /// The split that p-values are ranks among.
    pub(crate) calibrate: String,
    /// Rows with a p-value of at most this are flagged.
    pub(crate) alpha: f64,
    /// The set of anomalies.
    pub(crate) against: String,
    /// The tests that are made beside low likelihood and typicality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tests: Vec<String>,
}

/// One config of a model.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file's name without `.toml`, and its `name` key.
    pub(crate) name: String,
    /// Seed of the run; also of the samples that are shown.
    pub(crate) seed: u64,
    /// The data set's name.
    pub(crate) data: String,
    /// Number of folds, each of which is trained and tested, where the data is cross-validated.
    pub(crate) folds: Option<u64>,
    /// The model's `kind`.
    pub(crate) kind: String,
    /// The published number, where there is one.
    pub(crate) paper: Option<Paper>,
    /// What the model is to tell apart, in a ladder that says so.
    pub(crate) anomalies: Option<Box<AnomalySets>>,
    /// Hash of the file.
    pub(crate) sha256: String,
    /// The file.
    pub(crate) path: PathBuf,
}

impl Config {
    /// A short name for tables and pictures: `markov3-digits` is `Markov 3`.
    pub(crate) fn label(&self) -> String {
        label(&self.name, &self.data)
    }
}

/// [`Config::label`] of a config called `name` on data called `data`.
pub(crate) fn label(name: &str, data: &str) -> String {
    let model = name.strip_suffix(data).and_then(|m| m.strip_suffix('-')).unwrap_or(name);
    for (words, written) in FAMILIES {
        let Some(rest) = model.strip_prefix(words) else {
            continue;
        };
        if rest.is_empty() || rest.starts_with('-') {
            let rest = rest.split('-').map(|part| format!(" {}", size(part)));
            return format!("{written}{}", rest.skip(1).collect::<String>());
        }
    }
    let digits = model.len() - model.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (word, number) = model.split_at(model.len() - digits);
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let space = if word.is_empty() || number.is_empty() { "" } else { " " };
    format!("{first}{}{space}{number}", letters.as_str())
}

/// Families whose names are not just words, as papers write them.
const FAMILIES: [(&str, &str); 8] = [
    ("nade", "NADE"),
    ("rnade", "RNADE"),
    ("made", "MADE"),
    ("orderless-nade", "Orderless NADE"),
    ("pixel-cnn", "PixelCNN"),
    ("row-lstm", "Row LSTM"),
    ("diagonal-lstm", "Diagonal LSTM"),
    ("diagonal-bilstm", "Diagonal BiLSTM"),
];

/// A part of a name; `7x16` is seven layers of sixteen, `7×16`.
fn size(part: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match part.split_once('x') {
        Some((layers, units)) if is_number(layers) && is_number(units) => {
            format!("{layers}×{units}")
        }
        _ => part.to_owned(),
    }
}

/// Something `cargo xtask experiment NAME` can run.
#[derive(Debug, Clone)]
pub(crate) enum Experiment {
    /// One model.
    Single(Config),
    /// Several models on the same data, in one table and report.
    Ladder {
        /// The file's name without `.toml`.
        name: String,
        /// The heading of its report.
        title: String,
        /// The models, in order.
        rungs: Vec<Config>,
    },
}

impl Experiment {
    /// The file's name without `.toml`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Single(config) => &config.name,
            Self::Ladder { name, .. } => name,
        }
    }

    /// The heading of the report.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Single(config) => format!("{} on {}", config.label(), config.data),
            Self::Ladder { title, .. } => title.clone(),
        }
    }

    /// The models, in order; one for a single config.
    pub(crate) fn rungs(&self) -> &[Config] {
        match self {
            Self::Single(config) => std::slice::from_ref(config),
            Self::Ladder { rungs, .. } => rungs,
        }
    }
}

/// The keys of a model's config that xtask reads; the others are chainrule's.
#[derive(Deserialize)]
struct RawConfig {
    name: String,
    #[serde(default)]
    seed: u64,
    data: RawData,
    model: RawModel,
    paper: Option<Paper>,
}

#[derive(Deserialize)]
struct RawData {
    name: Option<String>,
    folds: Option<u64>,
}

#[derive(Deserialize)]
struct RawModel {
    kind: String,
}

/// The keys of a ladder; here xtask is the judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLadder {
    title: String,
    rungs: Vec<String>,
    anomalies: Option<RawAnomalies>,
}

/// The `[anomalies]` of a ladder, whose rungs may be of different data then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnomalies {
    #[serde(default)]
    tests: Vec<String>,
    calibrate: String,
    alpha: f64,
    /// One set for each rung.
    against: Vec<String>,
}

/// Reads `configs/NAME.toml` of `folder`.
///
/// # Errors
///
/// A [`Mistake`] when there is no such file or it is not what its name says.
pub(crate) fn load(folder: &Path, name: &str) -> Result<Experiment> {
    let path = folder.join(format!("{name}.toml"));
    if !is_name(name) || !path.is_file() {
        let message = format!("no experiment is called {name:?}");
        bail!(Mistake::new(message).hint("`cargo xtask experiment --list` shows all of them"));
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if !is_ladder(&text) {
        return Ok(Experiment::Single(parse(name, &text, path)?));
    }
    let ladder: RawLadder = toml::from_str(&text)
        .map_err(|error| Mistake::new(format!("configs/{name}.toml is no ladder: {error}")))?;
    let mut rungs = ladder
        .rungs
        .iter()
        .map(|rung| match load(folder, rung) {
            Ok(Experiment::Single(config)) => Ok(config),
            Ok(Experiment::Ladder { .. }) => {
                bail!(Mistake::new(format!("{rung:?} is a ladder, a rung must be one model")))
            }
            Err(error) => Err(error),
        })
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("configs/{name}.toml"))?;
    if rungs.is_empty() {
        bail!(Mistake::new(format!("configs/{name}.toml has no rungs")));
    }
    if let Some(RawAnomalies { tests, calibrate, alpha, against }) = ladder.anomalies {
        if against.len() != rungs.len() {
            let (found, expected) = (against.len(), rungs.len());
            let message = format!("configs/{name}.toml has {found} sets for {expected} rungs");
            bail!(Mistake::new(message).hint("anomalies.against names one set for each rung"));
        }
        for (rung, against) in rungs.iter_mut().zip(against) {
            let (calibrate, tests) = (calibrate.clone(), tests.clone());
            rung.anomalies = Some(Box::new(AnomalySets { calibrate, alpha, against, tests }));
        }
    }
    Ok(Experiment::Ladder { name: name.to_owned(), title: ladder.title, rungs })
}

/// Whether a config's text is a ladder's: those list rungs, models never do.
fn is_ladder(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("rungs"))
}

/// Names are file names and end up in paths, so a separator has no business in one.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn parse(name: &str, text: &str, path: PathBuf) -> Result<Config> {
    let raw: RawConfig = toml::from_str(text)
        .map_err(|error| Mistake::new(format!("configs/{name}.toml: {error}")))?;
    if raw.name != name {
        let message = format!("configs/{name}.toml says name = {:?}", raw.name);
        bail!(Mistake::new(message).hint(format!("name = {name:?}")));
    }
    if let Some(paper) = &raw.paper
        && paper.test_nll_nats.or(paper.test_bits_per_dim).is_none()
        && paper.test_nll_standardized_nats.is_none()
    {
        let message = format!(
            "configs/{name}.toml: [paper] has no number, expected test_nll_nats, test_bits_per_dim or \
             test_nll_standardized_nats"
        );
        bail!(Mistake::new(message).hint("name the published number, or remove [paper]"));
    }
    Ok(Config {
        name: raw.name,
        seed: raw.seed,
        data: raw.data.name.unwrap_or_else(|| "files".to_owned()),
        folds: raw.data.folds,
        kind: raw.model.kind,
        paper: raw.paper,
        anomalies: None,
        sha256: sha256(text.as_bytes()),
        path,
    })
}

/// Every experiment of the folder: the ladders first, each in alphabetical order.
pub(crate) fn all(folder: &Path) -> Result<Vec<Experiment>> {
    let mut names = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let file = entry?.file_name();
        if let Some(name) = file.to_string_lossy().strip_suffix(".toml") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let mut experiments =
        names.iter().map(|name| load(folder, name)).collect::<Result<Vec<_>>>()?;
    experiments.sort_by_key(|experiment| matches!(experiment, Experiment::Single(_)));
    Ok(experiments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const COIN: &str = "name = \"coin\"\nseed = 7\n[data]\nname = \"digits\"\n\
                        [model]\nkind = \"uniform\"\n";

    #[test]
    fn labels_are_short_and_readable() {
        for (name, expected) in [
            ("markov3-digits", "Markov 3"),
            ("neighbourhood10-digits", "Neighbourhood 10"),
            ("nade-digits", "NADE"),
            ("made-digits", "MADE"),
            ("orderless-nade-digits", "Orderless NADE"),
            ("logistic-digits", "Logistic"),
            ("diagonal-bilstm-digits", "Diagonal BiLSTM"),
            ("row-lstm-7x16-digits", "Row LSTM 7×16"),
            ("diagonal-lstm-1x8-residual-digits", "Diagonal LSTM 1×8 residual"),
            ("pixel-cnn-digits", "PixelCNN"),
            ("something-else", "Something-else"),
        ] {
            assert_eq!(label(name, "digits"), expected);
        }
        let name = "diagonal-bilstm-1x32-binarized-mnist";
        assert_eq!(label(name, "binarized-mnist"), "Diagonal BiLSTM 1×32");
    }

    #[test]
    fn a_ladder_reads_its_rungs_and_comes_first_in_the_list() {
        let folder = folder(&[
            ("coin.toml", COIN),
            ("up.toml", "title = \"Up\"\nrungs = [\"coin\", \"coin\"]\n"),
        ]);
        let all = all(folder.path()).unwrap();
        assert_eq!(all.iter().map(Experiment::name).collect::<Vec<_>>(), ["up", "coin"]);
        assert_eq!(all[0].rungs().len(), 2);
        assert_eq!(all[0].rungs()[1].seed, 7);
    }

    #[test]
    fn wrong_names_and_files_are_the_users_mistakes() {
        let claim = format!("{}[paper]\nsource = \"x\"\n", COIN.replace("coin", "claim"));
        let folder = folder(&[
            ("other.toml", COIN),
            ("empty.toml", "title = \"\"\nrungs = []\n"),
            ("typo.toml", "title = \"\"\nrungs = []\nrung = 1\n"),
            ("nested.toml", "title = \"\"\nrungs = [\"empty\"]\n"),
            ("claim.toml", &claim),
            ("coin.toml", COIN),
            (
                "few.toml",
                "title = \"\"\nrungs = [\"coin\"]\n[anomalies]\ncalibrate = \"valid\"\n\
                 alpha = 0.01\nagainst = []\n",
            ),
        ]);
        for (name, expected) in [
            ("absent", "no experiment is called \"absent\""),
            ("../other", "no experiment is called"),
            ("other", "says name = \"coin\""),
            ("empty", "has no rungs"),
            ("typo", "unknown field `rung`"),
            ("nested", "has no rungs"),
            ("few", "has 0 sets for 1 rungs"),
            ("claim", "[paper] has no number, expected test_nll_nats, test_bits_per_dim or"),
        ] {
            let error = load(folder.path(), name).unwrap_err();
            assert_eq!(crate::failure::exit_code(&error), 1, "{error:#}");
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }

    #[test]
    fn a_paper_may_give_either_unit() {
        let paper = |line: &str| {
            let text = format!("{COIN}[paper]\n{line}\nsource = \"x\"\n");
            parse("coin", &text, PathBuf::new()).unwrap().paper.unwrap()
        };
        let bits = paper("test_bits_per_dim = 3.0");
        assert_eq!((bits.test_nll_nats, bits.test_bits_per_dim), (None, Some(3.0)));
        let both = paper("test_nll_nats = 80.5\ntest_bits_per_dim = 0.148");
        assert_eq!((both.test_nll_nats, both.test_bits_per_dim), (Some(80.5), Some(0.148)));
    }

    #[test]
    fn the_committed_configs_are_all_readable() {
        let configs = crate::workspace::root().unwrap().join("configs");
        let all = all(&configs).unwrap();
        let ladders = all.iter().filter(|e| matches!(e, Experiment::Ladder { .. })).count();
        assert!(ladders >= 2, "ladder-digits and ladder-mnist");
    }
}
