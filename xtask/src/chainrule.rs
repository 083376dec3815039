//! The `chainrule` binary as xtask sees it: how it is built and called, and the JSON it prints.

use crate::experiment::config::AnomalySets;
use crate::experiment::result::{Mean, Paper};
use crate::failure::Mistake;
use crate::terminal;
use crate::workspace::{cargo, shown};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The version of the records that this xtask reads.
const RECORD_VERSION: u32 = 1;

/// What `chainrule inspect CONFIG` prints.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Inspected {
    /// The `name` in the config.
    pub(crate) config: String,
    /// The family of the model.
    pub(crate) model: String,
    /// The data set's name.
    pub(crate) data: String,
    /// Seed of the run; also of the samples that are shown.
    pub(crate) seed: u64,
    /// Which fold of how many the data is, where it is cross-validated.
    pub(crate) fold: Option<[u64; 2]>,
    /// The published number, where there is one.
    pub(crate) paper: Option<Paper>,
    shape: Vec<u64>,
    levels: Option<u64>,
    dequantize: bool,
}

impl Inspected {
    /// Whether samples can be seen.
    pub(crate) fn is_of_images(&self) -> bool {
        self.shape.len() > 1 && (self.levels.is_some() || self.dequantize)
    }
}

/// What `chainrule train` prints, and of that what `results/` keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    /// The model's family.
    pub(crate) model: String,
    /// The data set.
    pub(crate) data: String,
    /// Number of values of a variable; none for real numbers, and old files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) levels: Option<u64>,
    /// Where it ran.
    pub(crate) device: String,
    /// What each conditional may look at, in words.
    pub(crate) sees: String,
    /// Number of free parameters, a decimal of any length.
    pub(crate) parameters: String,
    /// What it was computed with; old files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Value>,
    /// Epochs run.
    pub(crate) epochs: u64,
    /// The epoch whose weights were kept.
    pub(crate) best_epoch: Option<u64>,
    /// Training time, seconds.
    #[serde(rename(serialize = "train_seconds"), alias = "train_seconds")]
    pub(crate) seconds: f64,
    /// The split that chose the weights.
    pub(crate) valid: Option<Mean>,
    /// The split that nothing was chosen on.
    pub(crate) test: Mean,
}

/// A point of a training curve, which is of a line of `metrics.jsonl` what `results/` keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    /// Counted from 1.
    pub(crate) epoch: u64,
    /// Mean over the training examples of this epoch, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) train_nll_nats: Option<f64>,
    /// Mean over the validation split after this epoch, nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) valid_nll_nats: Option<f64>,
}

/// What `chainrule eval` prints.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Evaluated {
    /// Number of variables of one example.
    pub(crate) variables: u64,
    /// The number of orderings that the likelihood is a mean over, of a model that takes any.
    pub(crate) orderings: Option<u64>,
    /// What the examples cost.
    #[serde(flatten)]
    pub(crate) mean: Mean,
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
        let mut command = self.command("train");
        command.arg(self.below_root(config)).arg("--out").arg(self.below_root(run));
        if resume {
            command.arg("--resume");
        }
        self.on_device(&mut command);
        command
    }

    /// `chainrule inspect CONFIG`.
    pub(crate) fn inspect(&self, config: &Path) -> Result<Inspected> {
        let mut command = self.command("inspect");
        command.arg(self.below_root(config));
        self.record(command, || ())
    }

    /// `chainrule eval RUN --split test`, over all orderings that the run's config asks for or over so many.
    pub(crate) fn eval(&self, run: &Path, orderings: Option<u64>) -> Result<Evaluated> {
        let mut command = self.command("eval");
        command.arg(self.below_root(run)).args(["--split", "test"]);
        command.args(orderings.iter().flat_map(|n| ["--orderings".to_owned(), n.to_string()]));
        self.on_device(&mut command);
        self.record(command, || ())
    }

    /// `chainrule score RUN`: the test split against a set of anomalies.
    pub(crate) fn score(&self, run: &Path, sets: &AnomalySets) -> Result<Value> {
        let mut command = self.command("score");
        command.arg(self.below_root(run));
        command.args(["--calibrate", &sets.calibrate, "--alpha", &sets.alpha.to_string()]);
        command.args(sets.tests.iter().flat_map(|test| ["--test", test.as_str()]));
        command.args(["--against", &sets.against]);
        self.on_device(&mut command);
        self.record(command, || ())
    }

    /// `chainrule report RUN --out FILE`, beside the scores of another set or of the training split.
    pub(crate) fn report(&self, run: &Path, against: Option<&str>, out: &Path) -> Result<()> {
        let mut command = self.command("report");
        command.arg(self.below_root(run)).arg("--out").arg(self.below_root(out));
        command.args(against.iter().flat_map(|set| ["--against", set]));
        self.on_device(&mut command);
        self.record::<Value>(command, || ()).map(drop)
    }

    /// The table that `chainrule compare RUN…` prints; its report goes to `page`, with this heading, and a
    /// picture of samples to `sheet`.
    pub(crate) fn compare(
        &self,
        runs: &[PathBuf],
        seed: u64,
        page: Option<(&Path, &str)>,
        sheet: Option<&Path>,
    ) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root).args(["compare", "--quiet", "--seed", &seed.to_string()]);
        command.args(runs.iter().map(|run| self.below_root(run)));
        if let Some((page, title)) = page {
            command.arg("--out").arg(self.below_root(page)).args(["--title", title]);
        }
        if let Some(sheet) = sheet {
            command.arg("--sheet").arg(self.below_root(sheet));
        }
        self.on_device(&mut command);
        output(command, || ())
    }

    /// `chainrule --help` at a width of 100 columns.
    pub(crate) fn help(&self) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--help").env("COLUMNS", "100").env("NO_COLOR", "1");
        output(command, || ())
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

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--json", "--quiet", name]).current_dir(&self.root);
        command
    }

    /// Runs the command and parses the one object on its stdout.
    fn record<T: DeserializeOwned>(&self, command: Command, progress: impl FnMut()) -> Result<T> {
        let name = shown(&command);
        let stdout = output(command, progress)?;
        let record: Value = serde_json::from_str(&stdout)
            .with_context(|| format!("`{name}` printed no record: {stdout:?}"))?;
        let version = &record["version"];
        ensure!(
            *version == RECORD_VERSION,
            "`{name}` printed a record of version {version}, expected {RECORD_VERSION}"
        );
        T::deserialize(record)
            .with_context(|| format!("`{name}` printed an unexpected record: {}", stdout.trim()))
    }
}

/// What a command prints on stdout; `progress` is called about every second meanwhile.
///
/// # Errors
///
/// Its own words when it fails: a [`Mistake`] when it exits with 1, ours otherwise.
fn output(mut command: Command, mut progress: impl FnMut()) -> Result<String> {
    let name = shown(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
    let waiting = std::thread::spawn(|| child.wait_with_output());
    let mut rounds = 0_u32;
    while !waiting.is_finished() {
        std::thread::sleep(Duration::from_millis(if rounds < 50 { 4 } else { 100 }));
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(10) {
            progress();
        }
    }
    let output = waiting
        .join()
        .map_err(|_| anyhow!("a reader thread panicked"))?
        .with_context(|| format!("cannot read what `{name}` prints"))?;
    let (status, stderr) = (output.status, String::from_utf8_lossy(&output.stderr));
    let said = stderr.trim();
    if !status.success() {
        let said = said.strip_prefix("error: ").unwrap_or(said);
        if status.code() == Some(1) {
            bail!(Mistake::new(said));
        }
        bail!("`{name}` failed ({status}): {said}");
    }
    if !said.is_empty() {
        terminal::note(said);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{name}` printed no UTF-8"))
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
    let message: Value = serde_json::from_str(message).ok()?;
    let is_binary = message["target"]["name"] == "chainrule"
        && message["target"]["kind"][0] == "bin"
        && message["profile"]["test"] == false;
    is_binary.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// The cargo feature of `ar-cli` that a device string needs: the part before the colon.
fn feature_of(device: &str) -> &str {
    device.split_once(':').map_or(device, |(backend, _)| backend)
}

/// The epochs of a run so far; an unfinished line is left out.
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
        let epoch = Epoch { epoch: 1, train_nll_nats: Some(9.5), valid_nll_nats: Some(9.25) };
        assert_eq!(epochs(folder.path()), [epoch]);
        assert_eq!(epochs(&folder.path().join("none")), []);
    }
}
