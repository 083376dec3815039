//! Numbers and where they come from: what `results/*.json` holds and how two of them compare.

use super::anomalies::Anomalies;
use super::config::Rung;
use crate::chainrule::{Epoch, Evaluated, Inspected, Trained};
use crate::failure::Mistake;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Version of the files in `results/`.
const VERSION: u32 = 1;

/// Tolerance of a fitted table: counting is exact, and four decimals are claimed.
const TABLE_TOLERANCE_NATS: f64 = 5e-5;

/// Tolerance of a trained network: bit-identical on one machine, but another instruction set adds
/// in another order, and the difference grows over the steps.
const NETWORK_TOLERANCE_NATS: f64 = 0.1;

/// What a paper reports for the model of a config, in one unit or several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

impl Paper {
    /// In each unit.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (Unit, f64)> {
        let units = [
            (Unit::Nats, self.test_nll_nats),
            (Unit::BitsPerDim, self.test_bits_per_dim),
            (Unit::StandardizedNats, self.test_nll_standardized_nats),
        ];
        units.into_iter().filter_map(|(unit, number)| Some((unit, number?)))
    }
}

/// A mean over a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean {
    /// Number of examples.
    pub(crate) examples: u64,
    /// Mean negative log-likelihood of an example, nats.
    pub(crate) nll_nats: f64,
    /// Its standard error, nats.
    pub(crate) nll_nats_stderr: f64,
    /// The mean in bits per variable.
    pub(crate) bits_per_dim: f64,
    /// The mean in standardized units, nats; only of real numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nll_standardized_nats: Option<f64>,
    /// Its standard error, where that is not the other's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nll_standardized_nats_stderr: Option<f64>,
    /// Fraction of labels that a model with classes gets right by Bayes' rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
}

impl Mean {
    /// The mean of the means of several folds, with the standard error of that.
    fn of_folds(folds: &[&Self]) -> Self {
        let (nll_nats, nll_nats_stderr) = mean_and_stderr(folds.iter().map(|fold| fold.nll_nats));
        let (bits_per_dim, _) = mean_and_stderr(folds.iter().map(|fold| fold.bits_per_dim));
        let standardized: Option<Vec<f64>> =
            folds.iter().map(|fold| fold.nll_standardized_nats).collect();
        let standardized = standardized.map(|folds| mean_and_stderr(folds.into_iter()));
        let accuracy: Option<Vec<f64>> = folds.iter().map(|fold| fold.accuracy).collect();
        Self {
            examples: folds.iter().map(|fold| fold.examples).sum(),
            nll_nats,
            nll_nats_stderr,
            bits_per_dim,
            nll_standardized_nats: standardized.map(|(mean, _)| mean),
            nll_standardized_nats_stderr: standardized.map(|(_, stderr)| stderr),
            accuracy: accuracy.map(|folds| mean_and_stderr(folds.into_iter()).0),
        }
    }
}

/// The mean of numbers and its standard error, s / √n with s the sample standard deviation.
fn mean_and_stderr(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / n;
    let squares: f64 = numbers.map(|number| (number - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// A unit that costs are published in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Of an example.
    Nats,
    /// Bits of a variable.
    BitsPerDim,
    /// Of an example in standardized units.
    StandardizedNats,
}

impl Unit {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Nats, Self::BitsPerDim, Self::StandardizedNats];

    /// As it stands behind a number.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::BitsPerDim => "bits/dim",
            Self::StandardizedNats => "nats standardized",
        }
    }

    /// Decimals that numbers in it deserve.
    pub(crate) fn decimals(self) -> usize {
        match self {
            Self::Nats | Self::StandardizedNats => 2,
            Self::BitsPerDim => 3,
        }
    }
}

/// A published number beside ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Comparison {
    /// The unit of all numbers here.
    pub(crate) unit: Unit,
    /// The paper's.
    pub(crate) paper: f64,
    /// Ours.
    pub(crate) ours: f64,
    /// Standard error of ours.
    pub(crate) stderr: f64,
    /// Ours minus the paper's.
    pub(crate) difference: f64,
}

impl Comparison {
    /// The paper's number with as many decimals as it was given with, at least two.
    pub(crate) fn paper_text(&self) -> String {
        let text = self.paper.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        format!("{:.*}", decimals.max(2), self.paper)
    }
}

/// The conditions under which a result was computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// The commit that the binary was built from, if there was one.
    git: Option<Git>,
    /// The computer.
    pub(crate) machine: Machine,
    /// When the first model was trained, UTC.
    date: String,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Git {
    /// The full hash.
    revision: String,
    /// Whether files differed from it.
    dirty: bool,
}

/// A computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's own name.
    pub(crate) cpu: String,
    /// Threads a process may run at once.
    pub(crate) cores: u64,
    /// Operating system and architecture.
    os: String,
}

impl Provenance {
    /// From what a run says that it was computed with.
    fn of(environment: &Value) -> Self {
        let word = |key: &str| environment[key].as_str().unwrap_or("unknown").to_owned();
        let git = environment["git_revision"].as_str().map(|revision| {
            let clean = revision.strip_suffix("-dirty");
            Git { revision: clean.unwrap_or(revision).to_owned(), dirty: clean.is_some() }
        });
        let machine = Machine {
            cpu: word("cpu"),
            cores: environment["cores"].as_u64().unwrap_or(0),
            os: format!("{} {}", word("os"), word("arch")),
        };
        Self { git, machine, date: word("date") }
    }
}

/// Everything a run of one config yielded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The config's name.
    pub(crate) config: String,
    /// SHA-256 of the config file.
    pub(crate) config_sha256: String,
    /// The config's seed.
    seed: u64,
    /// Number of variables of one example.
    pub(crate) variables: u64,
    /// What training said; `test` as it is after the run was loaded again.
    #[serde(flatten)]
    pub(crate) trained: Trained,
    /// Training and evaluation, processes and all, seconds.
    pub(crate) wall_seconds: f64,
    /// The number of orderings that `test` is the ensemble of, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) orderings: Option<u64>,
    /// The same split and weights along the first of these orderings alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test_one_ordering: Option<Mean>,
    /// The published number, where the config has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paper: Option<Paper>,
    /// How well it tells anomalies, where the experiment asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anomalies: Option<Anomalies>,
    /// How far a later run may be from this one, nats.
    tolerance_nats: f64,
    /// The folds of cross-validation, of which `valid` and `test` are the means; empty without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    folds: Vec<Fold>,
    /// The training curve, of cross-validation that of the first fold; empty where fitting is one step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) curve: Vec<Epoch>,
}

/// One fold of cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fold {
    /// Counted from 0.
    pub(crate) fold: u64,
    /// The epoch whose weights were kept.
    pub(crate) best_epoch: Option<u64>,
    /// The split that chose the weights.
    pub(crate) valid: Option<Mean>,
    /// The split that nothing was chosen on.
    pub(crate) test: Mean,
}

impl Outcome {
    /// Gathers what a run printed.
    pub(crate) fn new(
        rung: &Rung,
        inspected: &Inspected,
        trained: Trained,
        test: Evaluated,
        wall_seconds: f64,
    ) -> Self {
        let is_network = trained.epochs > 1;
        Self {
            config: rung.name.clone(),
            config_sha256: rung.sha256.clone(),
            seed: inspected.seed,
            variables: test.variables,
            // Of a run that was resumed, the clock saw the last process only.
            wall_seconds: wall_seconds.max(trained.seconds),
            trained: Trained { test: test.mean, ..trained },
            orderings: test.orderings.filter(|&orderings| orderings > 1),
            test_one_ordering: None,
            paper: inspected.paper.clone(),
            anomalies: None,
            tolerance_nats: if is_network { NETWORK_TOLERANCE_NATS } else { TABLE_TOLERANCE_NATS },
            folds: Vec::new(),
            curve: Vec::new(),
        }
    }

    /// The mean over the outcomes of all folds.
    pub(crate) fn of_folds(outcomes: Vec<Self>) -> Self {
        let fold = |(fold, outcome): (u64, &Self)| {
            let Trained { best_epoch, valid, test, .. } = outcome.trained.clone();
            Fold { fold, best_epoch, valid, test }
        };
        let folds: Vec<Fold> = (0..).zip(&outcomes).map(fold).collect();
        let valid: Option<Vec<&Mean>> = folds.iter().map(|fold| fold.valid.as_ref()).collect();
        let valid = valid.map(|valid| Mean::of_folds(&valid));
        let test = Mean::of_folds(&folds.iter().map(|fold| &fold.test).collect::<Vec<_>>());
        let epochs = outcomes.iter().map(|outcome| outcome.trained.epochs).sum();
        let seconds = outcomes.iter().map(|outcome| outcome.trained.seconds).sum();
        let wall_seconds = outcomes.iter().map(|outcome| outcome.wall_seconds).sum();
        let first = outcomes.into_iter().next().expect("there are folds");
        let trained = Trained { epochs, best_epoch: None, seconds, valid, test, ..first.trained };
        Self { trained, wall_seconds, folds, ..first }
    }

    /// A short name for tables.
    pub(crate) fn label(&self) -> String {
        super::table::label(&self.config, &self.trained.data)
    }

    /// Ours and its standard error in a unit; NaN where it has none.
    pub(crate) fn cost(&self, unit: Unit) -> (f64, f64) {
        let Mean { nll_nats, nll_nats_stderr, bits_per_dim, .. } = self.trained.test;
        match unit {
            Unit::Nats => (nll_nats, nll_nats_stderr),
            Unit::BitsPerDim => {
                (bits_per_dim, nll_nats_stderr / self.variables as f64 / std::f64::consts::LN_2)
            }
            Unit::StandardizedNats => (
                self.trained.test.nll_standardized_nats.unwrap_or(f64::NAN),
                self.trained.test.nll_standardized_nats_stderr.unwrap_or(nll_nats_stderr),
            ),
        }
    }

    /// The published numbers beside ours, one for each unit that the paper gives.
    pub(crate) fn published(&self) -> Vec<Comparison> {
        let numbers = self.paper.iter().flat_map(Paper::numbers);
        let compare = |(unit, paper)| {
            let (ours, stderr) = self.cost(unit);
            Comparison { unit, paper, ours, stderr, difference: ours - paper }
        };
        numbers.map(compare).collect()
    }

    /// Every way in which `fresh` differs from this committed outcome by more than it may.
    pub(crate) fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut exact = |what: &str, committed: &str, fresh: &str| {
            if committed != fresh {
                differences.push(format!("{what} is {fresh}, committed {committed}"));
            }
        };
        exact("the config's sha256", &self.config_sha256, &fresh.config_sha256);
        let (ours, theirs) = (&self.trained, &fresh.trained);
        exact("the number of parameters", &ours.parameters, &theirs.parameters);
        let examples = |trained: &Trained| trained.test.examples.to_string();
        exact("the number of test examples", &examples(ours), &examples(theirs));
        let tolerance = self.tolerance_nats;
        let mut close = |what: &str, committed: f64, fresh: f64| {
            // Written so that a NaN on either side fails.
            let within = (committed - fresh).abs() <= tolerance;
            if !within {
                differences.push(format!(
                    "{what} is {fresh:.6} nats, committed {committed:.6}, tolerance {tolerance}"
                ));
            }
        };
        close("test NLL", ours.test.nll_nats, theirs.test.nll_nats);
        if let (Some(committed), Some(fresh)) = (&self.test_one_ordering, &fresh.test_one_ordering)
        {
            close("test NLL along one ordering", committed.nll_nats, fresh.nll_nats);
        }
        match (&ours.valid, &theirs.valid) {
            (Some(committed), Some(fresh)) => {
                close("validation NLL", committed.nll_nats, fresh.nll_nats);
            }
            (None, None) => {}
            _ => differences.push("only one of the two has a validation split".to_owned()),
        }
        match (&self.anomalies, &fresh.anomalies) {
            (Some(committed), Some(fresh)) => differences.extend(committed.differences(fresh)),
            (None, None) => {}
            _ => differences.push("only one of the two was tested on anomalies".to_owned()),
        }
        differences
    }
}

/// A file in `results/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// [`VERSION`].
    version: u32,
    /// The experiment's name.
    pub(crate) experiment: String,
    /// The heading of its report.
    pub(crate) title: String,
    /// Under which conditions it ran.
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
    /// One outcome for each rung; one for a single config.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Results {
    /// The results of an experiment.
    pub(crate) fn new(experiment: &str, title: String, outcomes: Vec<Outcome>) -> Self {
        let environments = outcomes.iter().find_map(|one| one.trained.environment.as_ref());
        let provenance = Provenance::of(environments.unwrap_or(&Value::Null));
        Self { version: VERSION, experiment: experiment.to_owned(), title, provenance, outcomes }
    }

    /// Reads a file; `None` when there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let results: Self = serde_json::from_str(&text).map_err(|error| {
            Mistake::new(format!("{} is no results file: {error}", path.display()))
                .hint("write it anew with `cargo xtask experiment NAME --save`")
        })?;
        if results.version != VERSION {
            let found = results.version;
            let message = format!("{} has version {found}, expected {VERSION}", path.display());
            return Err(Mistake::new(message).into());
        }
        Ok(Some(results))
    }

    /// All that are committed, by name.
    pub(crate) fn all(root: &Path) -> Result<Vec<(String, Self)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(root.join("results")).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.and_then(|name| name.strip_suffix(".json")) {
                all.extend(Self::load(&path)?.map(|results| (name.to_owned(), results)));
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// Writes the file; tolerances that somebody set in the old one stay.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut results = self.clone();
        if let Some(old) = Self::load(path).unwrap_or_default() {
            for outcome in &mut results.outcomes {
                if let Some(old) = old.outcomes.iter().find(|o| o.config == outcome.config) {
                    outcome.tolerance_nats = old.tolerance_nats;
                }
            }
        }
        results.write(path)
    }

    /// Writes the file as it is.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        crate::workspace::write(path, text.as_bytes())
    }

    /// Every way in which `fresh` differs from these committed results by more than it may.
    pub(crate) fn differences(&self, fresh: &Self) -> Vec<String> {
        let names = |results: &Self| {
            results.outcomes.iter().map(|o| o.config.clone()).collect::<Vec<_>>().join(", ")
        };
        if names(self) != names(fresh) {
            return vec![format!("the rungs are {}, committed {}", names(fresh), names(self))];
        }
        let pairs = self.outcomes.iter().zip(&fresh.outcomes);
        pairs
            .flat_map(|(committed, fresh)| {
                let name = &committed.config;
                committed.differences(fresh).into_iter().map(move |d| format!("{name}: {d}"))
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An outcome for the tests of tables and comparisons.
    pub(crate) fn outcome(config: &str, test_nll_nats: f64) -> Outcome {
        let mean = |nll_nats: f64| Mean {
            examples: 359,
            nll_nats,
            nll_nats_stderr: 0.25,
            bits_per_dim: nll_nats / 64.0 / std::f64::consts::LN_2,
            nll_standardized_nats: None,
            nll_standardized_nats_stderr: None,
            accuracy: None,
        };
        Outcome {
            config: config.to_owned(),
            config_sha256: "ab".repeat(32),
            seed: 1,
            variables: 64,
            trained: Trained {
                model: "markov".to_owned(),
                data: "digits".to_owned(),
                levels: Some(2),
                device: "flex".to_owned(),
                sees: "the pixel before".to_owned(),
                parameters: "16777215".to_owned(),
                environment: None,
                epochs: 1,
                best_epoch: Some(1),
                seconds: 0.25,
                valid: Some(mean(test_nll_nats + 0.5)),
                test: mean(test_nll_nats),
            },
            wall_seconds: 0.5,
            orderings: None,
            test_one_ordering: None,
            paper: None,
            anomalies: None,
            tolerance_nats: 5e-5,
            folds: Vec::new(),
            curve: Vec::new(),
        }
    }

    /// A ladder of two rungs, the second with a published number.
    pub(crate) fn results() -> Results {
        let mut nade = outcome("nade-digits", 17.5);
        let source = "A & B 2016, <Table> 2".to_owned();
        nade.paper = Some(Paper { test_nll_nats: Some(18.0), source, ..Paper::default() });
        let mut markov = outcome("markov1-digits", 23.8092);
        markov.trained.environment = Some(serde_json::json!({
            "git_revision": "0123456789abcdef-dirty", "cpu": "A CPU", "cores": 2,
            "os": "linux", "arch": "x86_64", "date": "2026-01-31T23:59:59Z"
        }));
        Results::new("ladder-digits", "From a coin flip to NADE".to_owned(), vec![markov, nade])
    }

    #[test]
    fn a_result_says_where_it_comes_from_as_its_first_run_does() {
        let Provenance { git, machine, date } = results().provenance;
        let git = git.unwrap();
        assert_eq!((git.revision.as_str(), git.dirty), ("0123456789abcdef", true));
        assert_eq!((machine.cpu.as_str(), machine.cores), ("A CPU", 2));
        assert_eq!((machine.os.as_str(), date.as_str()), ("linux x86_64", "2026-01-31T23:59:59Z"));
    }

    #[test]
    fn a_published_number_is_compared_in_its_own_unit() {
        let mut outcome = outcome("nade-digits", 64.0 * std::f64::consts::LN_2);
        assert_eq!(outcome.published(), []);
        let bits = Some(1.125);
        outcome.paper = Some(Paper { test_bits_per_dim: bits, ..Paper::default() });
        let [bits] = outcome.published()[..] else { panic!("{:?}", outcome.published()) };
        assert_eq!((bits.unit, bits.ours, bits.difference), (Unit::BitsPerDim, 1.0, -0.125));
        assert!((bits.stderr - 0.25 / 64.0 / std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(bits.paper_text(), "1.125");
        assert_eq!(Comparison { paper: 1.0, ..bits }.paper_text(), "1.00");
    }

    #[test]
    fn folds_are_averaged_and_their_spread_is_the_error() {
        let mut folds: Vec<Outcome> = [2.0, 3.0, 7.0].map(|nll| outcome("rnade-x", nll)).into();
        for (fold, standardized) in folds.iter_mut().zip([9.0, 9.5, 10.0]) {
            fold.trained.test.nll_standardized_nats = Some(standardized);
            let paper = Paper { test_nll_standardized_nats: Some(9.36), ..Paper::default() };
            fold.paper = Some(paper);
        }
        let all = Outcome::of_folds(folds);
        assert_eq!(
            (all.trained.test.nll_nats, all.trained.test.examples, all.folds.len()),
            (4.0, 3 * 359, 3)
        );
        // Squares 4 + 1 + 9, over 2, over 3.
        assert!((all.trained.test.nll_nats_stderr - (14.0_f64 / 6.0).sqrt()).abs() < 1e-12);
        let [published] = all.published()[..] else { panic!("{:?}", all.published()) };
        assert_eq!((published.unit, published.ours), (Unit::StandardizedNats, 9.5));
        assert!((published.difference - 0.14).abs() < 1e-12);
        assert!((published.stderr - (0.5_f64 / 6.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_difference_beyond_the_committed_tolerance_is_found_and_nothing_else() {
        let committed = outcome("markov1-digits", 23.8092);
        let mut fresh = committed.clone();
        fresh.trained.test.nll_nats += 4e-5;
        fresh.trained.seconds = 99.0;
        assert_eq!(committed.differences(&fresh), Vec::<String>::new());

        fresh.trained.test.nll_nats = 23.8092 + 6e-5;
        assert_eq!(
            committed.differences(&fresh),
            ["test NLL is 23.809260 nats, committed 23.809200, tolerance 0.00005"]
        );
        fresh.trained.test.nll_nats = f64::NAN;
        assert_eq!(committed.differences(&fresh).len(), 1);
    }

    #[test]
    fn a_changed_config_model_or_data_set_is_a_difference() {
        let committed = outcome("markov1-digits", 23.8092);
        let mut fresh = committed.clone();
        fresh.config_sha256 = "cd".repeat(32);
        fresh.trained.parameters = "1".to_owned();
        fresh.trained.test.examples = 1;
        fresh.trained.valid = None;
        assert_eq!(committed.differences(&fresh).len(), 4);
    }

    #[test]
    fn a_missing_or_added_rung_is_a_difference() {
        let committed = results();
        let mut fresh = committed.clone();
        fresh.outcomes.pop();
        assert!(committed.differences(&fresh)[0].starts_with("the rungs are markov1-digits,"));
    }

    #[test]
    fn a_saved_file_reads_back_the_same_and_keeps_a_tolerance_set_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results/ladder-digits.json");
        assert_eq!(Results::load(&path).unwrap(), None);

        let mut first = results();
        first.outcomes[1].tolerance_nats = 0.125;
        first.save(&path).unwrap();
        assert_eq!(Results::load(&path).unwrap(), Some(first));

        results().save(&path).unwrap();
        let second = Results::load(&path).unwrap().unwrap();
        assert_eq!(second.outcomes[1].tolerance_nats, 0.125);
    }

    #[test]
    fn every_committed_result_loads() {
        let all = Results::all(&crate::workspace::root().unwrap()).unwrap();
        assert!(all.len() > 5);
        for (name, results) in all {
            assert_eq!(results.differences(&results), Vec::<String>::new(), "{name}");
            // A network's has its curve, in both directions.
            let again: Results =
                serde_json::from_value(serde_json::to_value(&results).unwrap()).unwrap();
            assert_eq!(again, results, "{name}");
            for outcome in results.outcomes.iter().filter(|outcome| outcome.trained.epochs > 1) {
                let points = outcome.curve.len() as u64;
                assert!(points > 1 && points <= outcome.trained.epochs, "{name}: {points}");
            }
        }
    }

    #[test]
    fn a_file_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        let mut old = results();
        old.version = 0;
        old.write(&path).unwrap();
        let message = format!("{:#}", Results::load(&path).unwrap_err());
        assert!(message.contains("has version 0, expected 1"), "{message}");
    }
}
