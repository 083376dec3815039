//! The experiments in `configs/`: which configs each is made of. What a config says, `chainrule inspect` tells.

use crate::failure::Mistake;
use crate::workspace::sha256;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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

/// The config of one model.
#[derive(Debug, Clone)]
pub(crate) struct Rung {
    /// The file's name without `.toml`.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Hash of the file.
    pub(crate) sha256: String,
    /// What the model is to tell apart, in a ladder that says so.
    pub(crate) anomalies: Option<AnomalySets>,
}

/// Something `cargo xtask experiment NAME` can run.
#[derive(Debug, Clone)]
pub(crate) struct Experiment {
    /// The file's name without `.toml`.
    pub(crate) name: String,
    /// The heading of a ladder's report; none of the config of one model.
    pub(crate) title: Option<String>,
    /// The models, in order; one for a single config.
    pub(crate) rungs: Vec<Rung>,
}

impl Experiment {
    /// Whether it is several models in one table and report.
    pub(crate) fn is_ladder(&self) -> bool {
        self.title.is_some()
    }
}

/// The keys of a ladder; here xtask is the judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ladder {
    title: String,
    rungs: Vec<String>,
    anomalies: Option<Anomalies>,
}

/// The `[anomalies]` of a ladder, whose rungs may be of different data then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Anomalies {
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
/// A [`Mistake`] when there is no such file, or it is a ladder and not a right one.
pub(crate) fn load(folder: &Path, name: &str) -> Result<Experiment> {
    let (text, path) = read(folder, name)?;
    if !is_ladder(&text) {
        let sha256 = sha256(text.as_bytes());
        let rung = Rung { name: name.to_owned(), path, sha256, anomalies: None };
        return Ok(Experiment { name: name.to_owned(), title: None, rungs: vec![rung] });
    }
    let ladder: Ladder = toml::from_str(&text)
        .map_err(|error| Mistake::new(format!("configs/{name}.toml is no ladder: {error}")))?;
    let mut rungs = Vec::new();
    for rung in &ladder.rungs {
        let (text, path) = read(folder, rung).with_context(|| format!("configs/{name}.toml"))?;
        if is_ladder(&text) {
            let message =
                format!("configs/{name}.toml: {rung:?} is a ladder, a rung must be one model");
            bail!(Mistake::new(message));
        }
        let sha256 = sha256(text.as_bytes());
        rungs.push(Rung { name: rung.clone(), path, sha256, anomalies: None });
    }
    if rungs.is_empty() {
        bail!(Mistake::new(format!("configs/{name}.toml has no rungs")));
    }
    if let Some(Anomalies { tests, calibrate, alpha, against }) = ladder.anomalies {
        if against.len() != rungs.len() {
            let (found, expected) = (against.len(), rungs.len());
            let message = format!("configs/{name}.toml has {found} sets for {expected} rungs");
            bail!(Mistake::new(message).hint("anomalies.against names one set for each rung"));
        }
        for (rung, against) in rungs.iter_mut().zip(against) {
            let (calibrate, tests) = (calibrate.clone(), tests.clone());
            rung.anomalies = Some(AnomalySets { calibrate, alpha, against, tests });
        }
    }
    Ok(Experiment { name: name.to_owned(), title: Some(ladder.title), rungs })
}

/// The text of a config, and its file.
fn read(folder: &Path, name: &str) -> Result<(String, PathBuf)> {
    let path = folder.join(format!("{name}.toml"));
    // Names end up in paths, so a separator has no business in one.
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_name || !path.is_file() {
        let message = format!("no experiment is called {name:?}");
        bail!(Mistake::new(message).hint("`cargo xtask experiment --list` shows all of them"));
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok((text, path))
}

/// Whether a config's text is a ladder's: those list rungs, models never do.
fn is_ladder(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("rungs"))
}

/// Every experiment of the folder: the ladders first, each in alphabetical order.
pub(crate) fn all(folder: &Path) -> Result<Vec<Experiment>> {
    let mut names = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let file = entry?.file_name();
        names.extend(file.to_string_lossy().strip_suffix(".toml").map(str::to_owned));
    }
    names.sort();
    let mut experiments =
        names.iter().map(|name| load(folder, name)).collect::<Result<Vec<_>>>()?;
    experiments.sort_by_key(|experiment| !experiment.is_ladder());
    Ok(experiments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_reads_its_rungs_and_comes_first_and_a_wrong_one_is_the_users_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let anomalies = "title = \"\"\nrungs = [\"coin\"]\n[anomalies]\ncalibrate = \"valid\"\n\
                         alpha = 0.01\nagainst = []\n";
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
        };
        write("coin", "name = \"coin\"\n");
        write("up", "title = \"Up\"\nrungs = [\"coin\", \"coin\"]\n");
        let all = all(folder.path()).unwrap();
        assert_eq!(
            all.iter().map(|e| (&*e.name, e.rungs.len())).collect::<Vec<_>>(),
            [("up", 2), ("coin", 1)]
        );
        for (name, text, expected) in [
            ("empty", "title = \"\"\nrungs = []\n", "has no rungs"),
            ("typo", "title = \"\"\nrungs = []\nrung = 1\n", "unknown field `rung`"),
            ("nested", "title = \"\"\nrungs = [\"up\"]\n", "a rung must be one model"),
            (
                "gone",
                "title = \"\"\nrungs = [\"../coin\"]\n",
                "no experiment is called \"../coin\"",
            ),
            ("few", anomalies, "has 0 sets for 1 rungs"),
        ] {
            write(name, text);
            let error = load(folder.path(), name).unwrap_err();
            assert_eq!(crate::failure::exit_code(&error), 1, "{error:#}");
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
