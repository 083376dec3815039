//! The `chainrule` binary as xtask sees it: how it is built and called, and the JSON it prints.

use crate::experiment::config::AnomalySets;
use crate::failure::Mistake;
use crate::terminal;
use crate::workspace::{cargo, shown};
use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The version of the records that this xtask reads.
const RECORD_VERSION: u32 = 1;

/// What `chainrule eval` prints, and `train` inside its `valid` and `test`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Score {
    /// Number of examples in the split.
    pub(crate) examples: u64,
    /// Number of variables of one example.
    pub(crate) variables: u64,
    /// Mean negative log-likelihood of an example, nats.
    pub(crate) nll_nats: f64,
    /// Standard error of that mean, nats.
    pub(crate) nll_nats_stderr: f64,
    /// The same mean in bits per variable.
    pub(crate) bits_per_dim: f64,
    /// The same mean in standardized units, nats; only of real numbers.
    pub(crate) nll_standardized_nats: Option<f64>,
    /// The number of orderings that the likelihood is a mean over, of a model that takes any.
    pub(crate) orderings: Option<u64>,
    /// Fraction of labels that a model with classes gets right by Bayes' rule.
    pub(crate) accuracy: Option<f64>,
}

/// What `chainrule` says it computed a number with, but for the machine and the date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Version of the program.
    pub(crate) chainrule: String,
    /// The commit it was built from.
    pub(crate) git_revision: Option<String>,
    /// Version of burn.
    pub(crate) burn: String,
    /// The widest instruction set of the kernels.
    pub(crate) instruction_set: String,
    /// Threads it computed with.
    pub(crate) threads: u64,
}

/// What `chainrule train` prints.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Trained {
    /// The family of the model.
    pub(crate) model: String,
    /// The data set's name.
    pub(crate) data: String,
    /// Number of values a variable can have; none for real numbers.
    pub(crate) levels: Option<u64>,
    /// Where it ran.
    pub(crate) device: String,
    /// Epochs run.
    pub(crate) epochs: u64,
    /// The epoch whose weights were kept.
    pub(crate) best_epoch: Option<u64>,
    /// Number of free parameters, a decimal of any length.
    pub(crate) parameters: String,
    /// Training time.
    pub(crate) seconds: f64,
    /// What each conditional may look at, in words.
    pub(crate) sees: String,
    /// What the numbers were computed with.
    #[serde(default)]
    pub(crate) environment: Option<Environment>,
    /// The split that chose the weights.
    pub(crate) valid: Option<Score>,
    /// The split that nothing was chosen on.
    pub(crate) test: Score,
}

/// What `chainrule score` says of a set.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScoredSet {
    /// Rows, bad ones included.
    pub(crate) rows: u64,
    /// Mean of −log p(x), nats.
    pub(crate) nll_nats: f64,
    /// What each test flags; only beside a calibration.
    pub(crate) flagged: Option<Flagged>,
}

/// Which fraction of a set is flagged.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Flagged {
    /// By low likelihood.
    pub(crate) low_likelihood_fraction: f64,
    /// By typicality.
    pub(crate) typicality_fraction: f64,
    /// By what is asked for beside them.
    pub(crate) ratio_fraction: Option<f64>,
    pub(crate) complexity_fraction: Option<f64>,
    pub(crate) any_fraction: Option<f64>,
}

/// How well a test tells two sets apart.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Detection {
    /// Area under the ROC curve.
    pub(crate) auroc: f64,
    /// Average precision.
    pub(crate) average_precision: f64,
}

/// What `chainrule score --against` says of the anomalies.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScoredAgainst {
    #[serde(flatten)]
    pub(crate) set: ScoredSet,
    pub(crate) low_likelihood: Detection,
    pub(crate) typicality: Detection,
    pub(crate) ratio: Option<Detection>,
    pub(crate) complexity: Option<Detection>,
    pub(crate) any: Option<Detection>,
}

/// What `chainrule score --calibrate --against` prints.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Scored {
    pub(crate) data: ScoredSet,
    pub(crate) calibration: ScoredSet,
    pub(crate) against: ScoredAgainst,
}

/// What every command's record has.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

/// One line of `RUN/metrics.jsonl`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Epoch {
    /// Counted from 1.
    pub(crate) epoch: u64,
    /// Mean over the training examples of this epoch, nats.
    pub(crate) train_nll_nats: Option<f64>,
    /// Mean over the validation split after this epoch, nats.
    pub(crate) valid_nll_nats: Option<f64>,
}

/// A built binary and the device it shall run on.
#[derive(Debug)]
pub(crate) struct Chainrule {
    program: PathBuf,
    root: PathBuf,
    device: Option<String>,
}

impl Chainrule {
    /// Builds the binary in release mode with the cargo features that `device` needs.
    pub(crate) fn build(root: &Path, device: Option<&str>) -> Result<Self> {
        let mut command = cargo(root);
        command.args(["build", "--release", "--package", "ar-cli"]);
        command.args(["--bin", "chainrule"]);
        if let Some(feature) = device.map(feature_of).filter(|&feature| feature != "flex") {
            command.args(["--features", feature]);
        }
        let program = executable(command)?.context("cargo built no binary called chainrule")?;
        Ok(Self::at(root, program, device))
    }

    /// Uses a binary that is there already.
    pub(crate) fn at(root: &Path, program: PathBuf, device: Option<&str>) -> Self {
        Self { program, root: root.to_path_buf(), device: device.map(str::to_owned) }
    }

    /// `chainrule train CONFIG --out RUN`, on a fold of the data if one is named; `progress` is called
    /// about every second meanwhile.
    pub(crate) fn train(
        &self,
        config: &Path,
        run: &Path,
        fold: Option<u64>,
        resume: bool,
        progress: impl FnMut(),
    ) -> Result<Trained> {
        let mut command = self.training(config, run, resume);
        if let Some(fold) = fold {
            command.args(["--set", &format!("data.fold={fold}")]);
        }
        self.record(command, progress)
    }

    /// The same command with `--resume`, started and left to itself, its output thrown away.
    pub(crate) fn start_training(&self, config: &Path, run: &Path) -> Result<Child> {
        let mut command = self.training(config, run, true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("cannot start `{}`", shown(&command)))
    }

    fn training(&self, config: &Path, run: &Path, resume: bool) -> Command {
        let mut command = self.command();
        command.arg("train").arg(self.below_root(config));
        command.arg("--out").arg(self.below_root(run));
        if resume {
            command.arg("--resume");
        }
        self.on_device(&mut command);
        command
    }

    /// `chainrule eval RUN --split test`, with the mean cost of each variable to `costs`.
    pub(crate) fn eval(&self, run: &Path, costs: &Path) -> Result<Score> {
        let mut command = self.command();
        command.arg("eval").arg(self.below_root(run));
        command.args(["--split", "test"]);
        command.arg("--per-variable").arg(self.below_root(costs));
        self.on_device(&mut command);
        self.record(command, || ())
    }

    /// `chainrule score RUN`: the test split against a set of anomalies.
    pub(crate) fn score(&self, run: &Path, sets: &AnomalySets) -> Result<Scored> {
        let mut command = self.command();
        command.arg("score").arg(self.below_root(run));
        command.args(["--calibrate", &sets.calibrate, "--alpha", &sets.alpha.to_string()]);
        command.args(sets.tests.iter().flat_map(|test| ["--test", test.as_str()]));
        command.args(["--against", &sets.against]);
        self.on_device(&mut command);
        self.record(command, || ())
    }

    /// `chainrule eval RUN --split test --orderings 1`, of a model that takes any ordering.
    pub(crate) fn eval_one_ordering(&self, run: &Path) -> Result<Score> {
        let mut command = self.command();
        command.arg("eval").arg(self.below_root(run));
        command.args(["--split", "test", "--orderings", "1"]);
        self.on_device(&mut command);
        self.record(command, || ())
    }

    /// `chainrule sample RUN --out FILE`.
    pub(crate) fn sample(&self, run: &Path, out: &Path, count: usize, seed: u64) -> Result<()> {
        let mut command = self.command();
        command.arg("sample").arg(self.below_root(run));
        command.arg("--out").arg(self.below_root(out));
        command.args(["--count", &count.to_string(), "--seed", &seed.to_string()]);
        self.on_device(&mut command);
        let _: Versioned = self.record(command, || ())?;
        Ok(())
    }

    /// `chainrule report RUN --out FILE`.
    pub(crate) fn report(&self, run: &Path, out: &Path) -> Result<()> {
        let mut command = self.command();
        command.arg("report").arg(self.below_root(run));
        command.arg("--out").arg(self.below_root(out));
        self.on_device(&mut command);
        let _: Versioned = self.record(command, || ())?;
        Ok(())
    }

    /// `chainrule data export CONFIG`: the test split as the model sees it.
    pub(crate) fn export(&self, config: &Path, out: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["data", "export"]);
        command.arg(self.below_root(config));
        command.args(["--split", "test"]);
        command.arg("--out").arg(self.below_root(out));
        let _: Versioned = self.record(command, || ())?;
        Ok(())
    }

    /// What `chainrule ARGUMENTS` prints on stdout, at a width of 100 columns.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.root);
        command.env("COLUMNS", "100").env("NO_COLOR", "1");
        let output =
            command.output().with_context(|| format!("cannot start `{}`", shown(&command)))?;
        ensure!(output.status.success(), "`{}` failed ({})", shown(&command), output.status);
        String::from_utf8(output.stdout).context("the help text is not UTF-8")
    }

    fn on_device(&self, command: &mut Command) {
        if let Some(device) = &self.device {
            command.args(["--device", device]);
        }
    }

    /// Paths end up in messages and in the run's own files; short ones do not name the machine.
    fn below_root<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--json", "--quiet"]).current_dir(&self.root);
        command
    }

    /// Runs the command and parses the one object on its stdout.
    ///
    /// # Errors
    ///
    /// Its own words when it fails: a [`Mistake`] when it exits with 1, ours otherwise.
    fn record<T: DeserializeOwned>(
        &self,
        mut command: Command,
        mut progress: impl FnMut(),
    ) -> Result<T> {
        let name = shown(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let (status, stdout, stderr) = std::thread::scope(|scope| -> Result<_> {
            let out = scope.spawn(move || read_all(stdout.as_mut()));
            let err = scope.spawn(move || read_all(stderr.as_mut()));
            let mut rounds = 0_u32;
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                std::thread::sleep(Duration::from_millis(if rounds < 50 { 4 } else { 100 }));
                rounds = rounds.wrapping_add(1);
                if rounds.is_multiple_of(10) {
                    progress();
                }
            };
            let collect = |text: std::thread::ScopedJoinHandle<'_, String>| {
                text.join().map_err(|_| anyhow::anyhow!("a reader thread panicked"))
            };
            Ok((status, collect(out)?, collect(err)?))
        })?;
        if !status.success() {
            let said = stderr.trim();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            if status.code() == Some(1) {
                bail!(Mistake::new(said));
            }
            bail!("`{name}` failed ({status}): {said}");
        }
        if !stderr.trim().is_empty() {
            terminal::note(stderr.trim_end());
        }
        let versioned: Versioned = serde_json::from_str(&stdout)
            .with_context(|| format!("`{name}` printed no record: {stdout:?}"))?;
        ensure!(
            versioned.version == RECORD_VERSION,
            "`{name}` printed a record of version {}, expected {RECORD_VERSION}",
            versioned.version
        );
        serde_json::from_str(&stdout)
            .with_context(|| format!("`{name}` printed an unexpected record: {}", stdout.trim()))
    }
}

/// The binary that the tests of the workspace run, if they run one.
///
/// Building the tests turns on features of burn's dependencies that the binary alone does not
/// ask for, so cargo would compile burn once more for [`Chainrule::build`]. Where the tests are
/// built already, their binary is to be had for nothing.
pub(crate) fn built_by_tests(root: &Path) -> Result<Option<PathBuf>> {
    let mut command = cargo(root);
    command.args(["test", "--release", "--workspace", "--no-run"]);
    command.args(["--lib", "--bins", "--tests"]);
    executable(command)
}

/// Runs a cargo command that builds, and finds the binary among what it built.
fn executable(mut command: Command) -> Result<Option<PathBuf>> {
    command.arg("--message-format=json-render-diagnostics");
    command.stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(&command)))?;
    if !output.status.success() {
        let message = format!("`{}` failed ({})", shown(&command), output.status);
        bail!(Mistake::new(message));
    }
    // Cargo says where it put the binary, which holds under any target folder or triple.
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().rev().find_map(binary_of))
}

/// The path in cargo's message that the binary `chainrule` is built; not that of its unit tests,
/// which go by the same name.
fn binary_of(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_binary = message["target"]["name"] == "chainrule"
        && message["target"]["kind"][0] == "bin"
        && message["profile"]["test"] == false;
    is_binary.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// The cargo feature of `ar-cli` that a device string needs: the part before the colon.
fn feature_of(device: &str) -> &str {
    device.split_once(':').map_or(device, |(backend, _)| backend)
}

fn read_all(pipe: Option<&mut impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What arrived before an error is still worth showing.
        let _ = pipe.take(64 << 20).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The epochs of a run so far; an unfinished last line is left out.
pub(crate) fn epochs(run: &Path) -> Vec<Epoch> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_is_the_backend_part_of_the_device() {
        assert_eq!(feature_of("cuda:0"), "cuda");
        assert_eq!(feature_of("flex"), "flex");
    }

    #[test]
    fn the_binary_is_told_from_its_unit_tests() {
        let message = |test: bool, path: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"bin\"],\
                 \"name\":\"chainrule\"}},\"profile\":{{\"test\":{test}}},\
                 \"executable\":{path}}}"
            )
        };
        let found = binary_of(&message(false, "\"t/chainrule\""));
        assert_eq!(found, Some(PathBuf::from("t/chainrule")));
        assert_eq!(binary_of(&message(true, "\"t/deps/chainrule-0\"")), None);
        assert_eq!(binary_of(&message(false, "null")), None);
        assert_eq!(binary_of("running 3 tests"), None);
    }

    #[test]
    fn a_line_cut_off_by_a_kill_is_no_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            "{\"epoch\":1,\"train_nll_nats\":9.5,\"valid_nll_nats\":9.25,\"step\":4}\n{\"ep";
        std::fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
        let epochs = epochs(folder.path());
        assert_eq!(epochs.len(), 1);
        assert_eq!(epochs[0].valid_nll_nats, Some(9.25));
    }
}
