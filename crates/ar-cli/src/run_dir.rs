//! The run directory: everything a run is, in one place, and never half a file.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the config with overrides applied and every default written out |
//! | `environment.json` | program, machine, device and time of the last process that trained here |
//! | `metrics.jsonl` | one object per epoch |
//! | `checkpoint.safetensors` | weights, optimizer state and history, to continue from |
//! | `model.safetensors` | the best weights, or the tables |
//! | `result.json` | the record that `train` prints; it is written last, so it says the run is done |
//!
//! Every file but `metrics.jsonl` is written under a temporary name, flushed to the disk and renamed.
//! `metrics.jsonl` grows by a line per epoch, and is written anew from the checkpoint when a run is
//! resumed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use ar_models::config::EventSpec;
use ar_models::model::Model;
use ar_models::train::EpochRecord;
use ar_models::train::checkpoint::write_atomically;
use burn::tensor::Device;
use serde::Serialize;

use crate::config::Config;
use crate::error::{Internal, mistake};
use crate::memory;
use crate::reading::{self, METRICS_BYTES, RECORD_BYTES};

/// A run directory.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

/// The files whose presence makes a folder a run.
const FILES: [&str; 6] = [
    "config.toml",
    "environment.json",
    "metrics.jsonl",
    "checkpoint.safetensors",
    "model.safetensors",
    "result.json",
];

impl RunDir {
    /// The run at `path`, which need not exist.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The run at `path`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let run = Self::at(path);
        if run.config().is_file() {
            return Ok(run);
        }
        let message = if !path.exists() {
            format!("{} does not exist, expected a run directory", path.display())
        } else if path.is_file() {
            format!("{} is a file, expected a run directory", path.display())
        } else {
            format!("{} is no run directory: it has no config.toml", path.display())
        };
        Err(mistake(message, "make one with `chainrule train CONFIG.toml --out RUN`"))
    }

    /// The folder as records show it.
    pub(crate) fn display(&self) -> String {
        self.path.display().to_string()
    }

    /// `config.toml`.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `checkpoint.safetensors`.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// `model.safetensors`.
    pub(crate) fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// `metrics.jsonl`.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `result.json`.
    pub(crate) fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// `report.html`.
    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The epochs that `metrics.jsonl` holds so far.
    ///
    /// # Errors
    /// When there is a line that is no epoch.
    pub(crate) fn epochs(&self) -> Result<Vec<EpochRecord>> {
        let path = self.metrics();
        let text = match reading::text(&path, METRICS_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let epoch = |(i, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| {
                mistake(
                    format!("{}:{}: no record of an epoch: {error}", path.display(), i + 1),
                    "the file is damaged; `chainrule train --resume` writes it anew from the checkpoint",
                )
            })
        };
        text.lines().enumerate().map(epoch).collect()
    }

    /// Whether there is something that training would destroy.
    pub(crate) fn holds_weights(&self) -> bool {
        self.checkpoint().exists() || self.model().exists() || self.result().exists()
    }

    /// Makes the folder, unless it holds something else than a run.
    ///
    /// # Errors
    /// When it does, or cannot be made.
    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot make the run directory {}", self.path.display()))?;
        let entries = fs::read_dir(&self.path)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("cannot list {}", self.path.display()))?;
        let names: Vec<String> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        // What a killed write leaves behind is ours too.
        let is_ours = |name: &String| {
            name.starts_with('.') || FILES.iter().any(|file| name.starts_with(file))
        };
        match names.iter().find(|name| !is_ours(name)) {
            Some(stranger) if !names.iter().any(|name| name == "config.toml") => Err(mistake(
                format!(
                    "{} holds `{stranger}` and no run, expected an empty folder or a run",
                    self.path.display()
                ),
                "choose another --out",
            )),
            _ => Ok(()),
        }
    }

    /// Keeps other processes from training here until the file is dropped (or the process dies).
    ///
    /// # Errors
    /// When another process does.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.path.join(".lock");
        let file = File::create(&path).with_context(|| {
            format!("cannot write to the run directory {}", self.path.display())
        })?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(mistake(
                format!("another process is training in {}", self.path.display()),
                "wait for it, end it, or choose another --out",
            )),
            // Some network file systems know no locks; a run there is as safe as without one.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Writes a file of the run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(value).context(Internal("a record is no JSON"))?;
        text.push(b'\n');
        write_atomic(path, &text)
    }

    /// Writes `environment.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_environment(&self, device: &str) -> Result<()> {
        self.write_json(&self.path.join("environment.json"), &Environment::now(device))
    }

    /// What `environment.json` says in a line: program, machine, date; `None` where it cannot be read.
    pub(crate) fn environment(&self) -> Option<String> {
        let text = reading::bytes(&self.path.join("environment.json"), RECORD_BYTES).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let part = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let version = part("chainrule")?;
        let cores = value.get("cores").and_then(serde_json::Value::as_u64);
        let parts = [
            Some(format!("chainrule {version}")),
            part("git_revision").map(|revision| format!("revision {revision}")),
            part("cpu"),
            cores.map(|cores| format!("{cores} cores")),
            part("device").map(|device| format!("device {device}")),
            part("date"),
        ];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" · "))
    }

    /// Starts `metrics.jsonl` with these epochs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn rewrite_metrics(&self, history: &[EpochRecord]) -> Result<()> {
        let mut text = Vec::new();
        for record in history {
            text.extend(line_of(record)?);
        }
        write_atomic(&self.metrics(), &text)
    }

    /// Adds an epoch to `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn append_metrics(&self, record: &EpochRecord) -> Result<()> {
        let path = self.metrics();
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line_of(record).map_err(io::Error::other)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The config that the run was made with.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn load_config(&self) -> Result<Config> {
        Config::load(&self.config(), &[])
    }

    /// The trained model.
    ///
    /// # Errors
    /// When there is none, or it does not belong to the config.
    pub(crate) fn load_model(
        &self,
        config: &Config,
        event: &EventSpec,
        device: &Device,
    ) -> Result<Model> {
        memory::check_loading(config, event, device)?;
        let path = self.model();
        let bytes = match reading::bytes(&path, memory::file_limit(config, event)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(mistake(
                    format!("{} is not trained: it has no model.safetensors", self.path.display()),
                    format!(
                        "finish it with `chainrule train {} --out {} --resume`",
                        self.config().display(),
                        self.path.display()
                    ),
                ));
            }
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        Model::from_bytes(&config.model, event, &bytes, device)
            .with_context(|| format!("{} is not usable", path.display()))
    }
}

fn line_of(record: &EpochRecord) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record).context(Internal("an epoch is no JSON"))?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a file so that, whatever happens, its name has the old content or all of the new.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// What a run was trained with.
#[derive(Debug, Serialize)]
struct Environment {
    chainrule: &'static str,
    /// Where the build knew it.
    git_revision: Option<&'static str>,
    burn: &'static str,
    os: &'static str,
    arch: &'static str,
    cpu: Option<String>,
    cores: Option<usize>,
    threads: usize,
    device: String,
    date: String,
}

/// Pinned exactly in the workspace's Cargo.toml.
const BURN_VERSION: &str = "0.22.1";

impl Environment {
    fn now(device: &str) -> Self {
        Self {
            chainrule: env!("CARGO_PKG_VERSION"),
            git_revision: option_env!("CHAINRULE_GIT_REVISION"),
            burn: BURN_VERSION,
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            threads: rayon::current_num_threads(),
            device: device.to_owned(),
            date: utc(SystemTime::now()),
        }
    }
}

/// The processor's name, where the system tells it in a file.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A time as `2026-11-22T12:58:11Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days count from 1 March of year 0, so that the leap day is the last of its year: H. Hinnant,
    // "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    let z = day + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_795_352_291, "2026-11-22T12:58:11Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }

    #[test]
    fn the_burn_version_is_the_pinned_one() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN_VERSION}\"")));
    }

    #[test]
    fn a_write_replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("none").join("a.json");
        let error = write_atomic(&missing, b"").unwrap_err();
        assert!(error.to_string().contains("a.json"), "{error}");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::at(folder.path());
        fs::write(folder.path().join(".config.toml.partial"), "").unwrap();
        run.create().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let message = run.create().unwrap_err().to_string();
        assert!(message.contains("thesis.tex"), "{message}");
        fs::write(folder.path().join("config.toml"), "").unwrap();
        run.create().unwrap();
    }

    #[test]
    fn one_process_trains_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::at(folder.path());
        let lock = run.lock().unwrap();
        assert!(run.lock().is_err());
        drop(lock);
        assert!(run.lock().is_ok());
    }
}
