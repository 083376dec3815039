//! The run directory: everything a run is, in one place, and never half a file.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the config with overrides applied and every default written out |
//! | `schema.toml` | what the columns of the training file are, of a table |
//! | `environment.json` | program, machine, device and time of the last process that trained here |
//! | `metrics.jsonl` | one object per epoch |
//! | `checkpoint.safetensors` | weights, optimizer state and history, to continue from |
//! | `model.safetensors` | the best weights, or the tables |
//! | `window.safetensors` | of a table, training rows as they are and a Parzen window over them, by which rows are ranked |
//! | `calibration.safetensors` | what the validation rows scored: [`crate::calibration`] |
//! | `seal.json` | digests of the data and of the files above: [`crate::seal`] |
//! | `result.json` | the record that `train` prints; it is written last, so it says the run is done |
//!
//! Every file but `metrics.jsonl` is whole or not there ([`ar_models::atomic_file`]). `metrics.jsonl`
//! grows by a line per epoch, and is written anew from the checkpoint when a run is resumed. What is read
//! of a run is checked against its seal.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ar_data::Schema;
use ar_data::memory::content_limit;
use ar_models::atomic_file::write_atomically;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::model::Model;
use ar_models::train::EpochRecord;
use ar_models::window::{KernelSettings, KernelWindow};
use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::calibration::Calibration;
use crate::config::{Config, HEADER};
use crate::environment::Environment;
use crate::error::{ErrorKind, Internal, Mistake, cannot, mistake};
use crate::memory;
use crate::reading::{self, METRICS_BYTES, RECORD_BYTES};
use crate::seal::Seal;

/// A run directory.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// None where there is no run yet, or one of a version before there were seals.
    seal: Option<Seal>,
}

const CONFIG: &str = "config.toml";
const SCHEMA: &str = "schema.toml";
const ENVIRONMENT: &str = "environment.json";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const WINDOW: &str = "window.safetensors";
const CALIBRATION: &str = "calibration.safetensors";
const SEAL: &str = "seal.json";
const RESULT: &str = "result.json";

/// What a schema begins with.
const SCHEMA_HEADER: &str = "# What the columns of the run's files are. Every file that is used with the run is read by it.\n";

/// The most that is read of a schema: many columns with many labels.
const SCHEMA_BYTES: u64 = 1 << 28;

/// The files whose presence makes a folder a run.
pub(crate) const FILES: [&str; 10] =
    [CONFIG, SCHEMA, ENVIRONMENT, METRICS, CHECKPOINT, MODEL, WINDOW, CALIBRATION, SEAL, RESULT];

/// The file of a run that `path` is, whether it is there or not.
pub(crate) fn file_of_run(path: &Path) -> Option<&'static str> {
    let folder = path.parent()?;
    let is_run = folder.join(CONFIG).is_file();
    let name = path.file_name()?;
    let lock = [LOCK];
    // A file system that takes large letters for small ones has one file under both names.
    let mut names = FILES.iter().chain(&lock);
    names.find(|known| is_run && name.eq_ignore_ascii_case(known)).copied()
}

/// What a process that trains has locked.
const LOCK: &str = ".lock";

impl RunDir {
    /// The run at `path`, which need not exist.
    ///
    /// # Errors
    /// When there is one whose seal cannot be read.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let seal = Seal::read(&path.join(SEAL))?;
        Ok(Self { path, seal })
    }

    /// The run at `path`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.join(CONFIG).is_file() {
            return Self::at(path);
        }
        let message = if !path.exists() {
            format!("{} does not exist, expected a run directory", path.display())
        } else if path.is_file() {
            format!("{} is a file, expected a run directory", path.display())
        } else {
            format!("{} is no run directory: it has no config.toml", path.display())
        };
        let hint = "make one with `chainrule train CONFIG.toml --out RUN`";
        Err(Mistake::new(message, hint).of(ErrorKind::Run).in_file(path).into())
    }

    /// The folder as records show it.
    pub(crate) fn display(&self) -> String {
        self.path.display().to_string()
    }

    /// `config.toml`.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// `checkpoint.safetensors`.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// `model.safetensors`.
    pub(crate) fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// `metrics.jsonl`.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// `result.json`.
    pub(crate) fn result(&self) -> PathBuf {
        self.path.join(RESULT)
    }

    /// `report.html`.
    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// A file of the run by its name.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is known of the run's data and files; `None` for a run of a version before that was noted.
    pub(crate) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// Writes the seal, and keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_seal(&mut self, seal: Seal) -> Result<()> {
        write_atomic(&self.path.join(SEAL), &seal.to_bytes()?)?;
        self.seal = Some(seal);
        Ok(())
    }

    /// The content of a file of the run, as the run wrote it, of at most so many bytes; `None` if it is not
    /// there.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let read = || match reading::bytes(&path, most) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).with_context(|| cannot("read", &path)),
        };
        let check = |seal: Option<&Seal>, bytes: &Option<Vec<u8>>| match (seal, bytes) {
            (Some(seal), Some(bytes)) => seal.check(name, &path, bytes),
            _ => Ok(()),
        };
        let bytes = read()?;
        if check(self.seal.as_ref(), &bytes).is_ok() {
            return Ok(bytes);
        }
        // A process that trains here may have replaced both between the two readings.
        std::thread::sleep(Duration::from_millis(50));
        let bytes = read()?;
        check(Seal::read(&self.path.join(SEAL))?.as_ref(), &bytes)?;
        Ok(bytes)
    }

    /// Checks every file that the seal speaks of, and says how many are there; `None` without a seal.
    ///
    /// # Errors
    /// When one cannot be read, or is not what the run wrote.
    pub(crate) fn verify(&self) -> Result<Option<usize>> {
        let Some(seal) = &self.seal else { return Ok(None) };
        let mut there = 0;
        for name in seal.files.keys() {
            let most = match name.as_str() {
                METRICS => METRICS_BYTES,
                SCHEMA => SCHEMA_BYTES,
                MODEL | WINDOW | CALIBRATION => content_limit(),
                _ => RECORD_BYTES,
            };
            there += usize::from(self.read(name, most)?.is_some());
        }
        Ok(Some(there))
    }

    /// The object in a file of the run; `None` if it is not there, or is none, as that of another version
    /// may be.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let bytes = self.read(name, RECORD_BYTES)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The record of a run that is finished.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    pub(crate) fn read_result<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.read_json(RESULT)
    }

    /// The epochs that `metrics.jsonl` holds so far.
    ///
    /// # Errors
    /// When there is a line that is no epoch.
    pub(crate) fn epochs(&self) -> Result<Vec<EpochRecord>> {
        let bytes = self.read(METRICS, METRICS_BYTES)?.unwrap_or_default();
        // A line without its end is still being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let epoch = |(i, line): (usize, &[u8])| {
            serde_json::from_slice(line).map_err(|error| {
                mistake(
                    format!(
                        "{}:{}: no record of an epoch: {error}",
                        self.metrics().display(),
                        i + 1
                    ),
                    "the file is damaged; `chainrule train --resume` writes it anew from the checkpoint",
                )
            })
        };
        let lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.enumerate().map(epoch).collect()
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
            .with_context(|| cannot("make the run directory", &self.path))?;
        let entries = fs::read_dir(&self.path)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| cannot("list", &self.path))?;
        let names: Vec<String> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        // What a killed write leaves behind is ours too.
        let is_ours = |name: &String| {
            name.starts_with('.') || FILES.iter().any(|file| name.starts_with(file))
        };
        match names.iter().find(|name| !is_ours(name)) {
            _ if self.holds_config_of_another() => Err(mistake(
                format!(
                    "{} is no config of a run, and would be written over",
                    self.config().display()
                ),
                "choose another --out",
            )),
            Some(stranger) if !names.iter().any(|name| name == CONFIG) => Err(mistake(
                format!(
                    "{} holds `{stranger}` and no run, expected an empty folder or a run",
                    self.path.display()
                ),
                "choose another --out",
            )),
            _ => Ok(()),
        }
    }

    /// Whether there is a config that training has not written.
    fn holds_config_of_another(&self) -> bool {
        // What cannot be read is nobody's to write over.
        self.config().exists()
            && !reading::bytes(&self.config(), RECORD_BYTES)
                .is_ok_and(|text| text.starts_with(HEADER.as_bytes()))
    }

    /// Keeps other processes from training here until the file is dropped (or the process dies).
    ///
    /// # Errors
    /// When another process does.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.path.join(LOCK);
        // Whatever is there under that name keeps its content.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| cannot("write to the run directory", &self.path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Mistake::new(
                format!("another process is training in {}", self.path.display()),
                "wait for it, end it, or choose another --out",
            )
            .of(ErrorKind::Run)
            .in_file(&self.path)
            .into()),
            // Some network file systems know no locks; a run there is as safe as without one.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Writes `environment.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_environment(&self, environment: &Environment) -> Result<()> {
        write_atomic(&self.path.join(ENVIRONMENT), &json(environment)?)
    }

    /// What `environment.json` says in a line: program, machine, date; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    pub(crate) fn environment(&self) -> Result<Option<String>> {
        Ok(self.read_json::<Environment>(ENVIRONMENT)?.map(|environment| environment.line()))
    }

    /// Writes `model.safetensors`, and in the seal that it is the run's.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn write_model(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_sealed(MODEL, bytes)
    }

    /// Writes `window.safetensors`, and in the seal that it is the run's.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn write_window(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_sealed(WINDOW, bytes)
    }

    /// Writes `calibration.safetensors`, and in the seal that it is the run's.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn write_calibration(&mut self, calibration: &Calibration) -> Result<()> {
        self.write_sealed(CALIBRATION, &calibration.to_bytes()?)
    }

    /// Removes what the validation rows scored: it is of a model that is about to be replaced.
    ///
    /// # Errors
    /// When there is such a file that cannot be removed.
    pub(crate) fn remove_calibration(&self) -> Result<()> {
        let path = self.path.join(CALIBRATION);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| cannot("remove", &path))
            }
            _ => Ok(()),
        }
    }

    /// What the run's validation rows scored; `None` of a run without such rows, and of a version before that was noted.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    pub(crate) fn calibration(&self) -> Result<Option<Calibration>> {
        let Some(bytes) = self.read(CALIBRATION, content_limit())? else { return Ok(None) };
        let calibration = Calibration::from_bytes(&bytes);
        Ok(Some(calibration.with_context(|| cannot("use", &self.path.join(CALIBRATION)))?))
    }

    fn write_sealed(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut seal = self.seal.clone().unwrap_or_else(|| Seal::new(Default::default()));
        seal.will_hold(name, bytes);
        self.write_seal(seal)?;
        write_atomic(&self.path.join(name), bytes)
    }

    /// Whether the run keeps a window over training rows.
    pub(crate) fn has_window(&self) -> bool {
        self.path.join(WINDOW).is_file()
    }

    /// The window over training rows, if the run has one.
    ///
    /// # Errors
    /// When it is not the one that the run wrote.
    pub(crate) fn load_window(
        &self,
        event: &EventSpec,
        device: &Device,
    ) -> Result<Option<KernelWindow>> {
        let Some(bytes) = self.read(WINDOW, content_limit())? else { return Ok(None) };
        let settings = ModelConfig::Kernel(KernelSettings::default());
        let window = Model::from_bytes(&settings, event, &bytes, device);
        match window.with_context(|| cannot("use", &self.path.join(WINDOW)))? {
            Model::Kernel(window) => Ok(Some(window)),
            _ => Err(Internal("a window is of kind `kernel`").into()),
        }
    }

    /// Writes `result.json`, and in the seal what all files of the run hold now: it is finished.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn write_result(&mut self, record: &impl Serialize, config: &Config) -> Result<()> {
        let result = json(record)?;
        let mut seal = self.seal.clone().unwrap_or_else(|| Seal::new(Default::default()));
        seal.config = Some(config.keys()?);
        seal.is_replaced(MODEL);
        seal.is_replaced(WINDOW);
        seal.is_replaced(CALIBRATION);
        let mut held = vec![(ENVIRONMENT, RECORD_BYTES), (METRICS, METRICS_BYTES)];
        if self.path.join(SCHEMA).exists() {
            held.push((SCHEMA, SCHEMA_BYTES));
        }
        for (name, most) in held {
            let path = self.path.join(name);
            let bytes = reading::bytes(&path, most).with_context(|| cannot("read", &path))?;
            seal.holds(name, &bytes);
        }
        let replaces = seal.files.contains_key(RESULT);
        seal.will_hold(RESULT, &result);
        self.write_seal(seal.clone())?;
        write_atomic(&self.result(), &result)?;
        if replaces {
            seal.is_replaced(RESULT);
            self.write_seal(seal)?;
        }
        Ok(())
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
            .with_context(|| cannot("write", &path))
    }

    /// The config that the run was made with.
    ///
    /// # Errors
    /// When it cannot be read, or is not the one that the run was trained with.
    pub(crate) fn load_config(&self) -> Result<Config> {
        let mut config = Config::load(&self.config(), &[])?;
        if let Some(seal) = &self.seal {
            if let Some(keys) = &seal.config {
                config.check_keys(keys)?;
            }
            config.data.expect_rows(&seal.data);
        }
        config.data.schema = self.schema()?;
        if let (None, Some(schema)) = (&config.data.columns, &config.data.schema) {
            config.data.columns = schema.names();
        }
        Ok(config)
    }

    /// What the columns of the run's files are; `None` of images, and of a version before that was noted.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the run wrote.
    fn schema(&self) -> Result<Option<Schema>> {
        let path = self.path.join(SCHEMA);
        let Some(bytes) = self.read(SCHEMA, SCHEMA_BYTES)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let schema = toml::from_str(&text).map_err(|error| {
            Mistake::new(
                format!("{} is no schema: {}", path.display(), error.message()),
                "nothing says what the run's columns are: restore the file from a copy, or train again",
            )
            .of(ErrorKind::Run)
            .in_file(&path)
        })?;
        Ok(Some(schema))
    }

    /// Writes `schema.toml`, of a table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_schema(&self, schema: Option<&Schema>) -> Result<()> {
        let Some(schema) = schema else { return Ok(()) };
        let text = toml::to_string(schema).context(Internal("a schema is no TOML"))?;
        write_atomic(&self.path.join(SCHEMA), format!("{SCHEMA_HEADER}{text}").as_bytes())
    }

    /// The trained model.
    ///
    /// # Errors
    /// When there is none, it is not the one that the run wrote, or does not belong to the config.
    pub(crate) fn load_model(
        &self,
        config: &Config,
        event: &EventSpec,
        device: &Device,
    ) -> Result<Model> {
        memory::check_loading(config, event, device)?;
        let path = self.model();
        let Some(bytes) = self.read(MODEL, memory::file_limit(config, event)?)? else {
            return Err(Mistake::new(
                format!("{} is not trained: it has no model.safetensors", self.path.display()),
                format!(
                    "finish it with `chainrule train {} --out {} --resume`",
                    self.config().display(),
                    self.path.display()
                ),
            )
            .of(ErrorKind::Run)
            .in_file(path)
            .into());
        };
        Model::from_bytes(&config.model, event, &bytes, device)
            .with_context(|| cannot("use", &path))
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).context(Internal("a record is no JSON"))?;
    text.push(b'\n');
    Ok(text)
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
    write_atomically(path, bytes).with_context(|| cannot("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let run = RunDir::at(folder.path()).unwrap();
        fs::write(folder.path().join(".config.toml.partial"), "").unwrap();
        run.create().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let message = run.create().unwrap_err().to_string();
        assert!(message.contains("thesis.tex"), "{message}");
        // A config that somebody wrote is not written over; that of a run is.
        fs::write(folder.path().join("config.toml"), "name = \"mine\"\n").unwrap();
        let message = run.create().unwrap_err().to_string();
        assert!(message.contains("config.toml is no config of a run"), "{message}");
        fs::write(folder.path().join("config.toml"), format!("{HEADER} 0.1.0.\n")).unwrap();
        run.create().unwrap();
    }

    #[test]
    fn one_process_trains_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::at(folder.path()).unwrap();
        let lock = run.lock().unwrap();
        assert!(run.lock().is_err());
        drop(lock);
        assert!(run.lock().is_ok());
    }
}
