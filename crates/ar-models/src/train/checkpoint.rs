//! Everything a run needs to go on as if it had never stopped, in one file.
//!
//! The file is a safetensors of the weights, the optimizer's moments, the moving average and the best
//! weights so far, with the position in the run and the history as JSON in its metadata. Generators
//! need no state: their streams are named by seed and epoch (see [`crate::randomness`]).
//!
//! It is written to a temporary name beside it, flushed to the disk and renamed, so that at any moment
//! the file is either the old one or the new one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{EventSpec, ModelConfig};
use crate::error::Error;
use crate::store::{Arrays, NamedArray};
use crate::train::{EpochRecord, Run, TrainConfig};

/// Name and version of the file format.
const FORMAT: &str = "chainrule-checkpoint-1";

/// What must be the same for a run to continue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    model: ModelConfig,
    train: TrainConfig,
    shape: Vec<usize>,
    levels: Option<usize>,
    seed: u64,
    train_examples: usize,
    valid_examples: Option<usize>,
}

impl Identity {
    pub(super) fn of(run: &Run<'_>) -> Self {
        let EventSpec { shape, levels } = run.event.clone();
        Self {
            model: run.model.clone(),
            train: run.config.clone(),
            shape,
            levels,
            seed: run.seed,
            train_examples: run.train.len(),
            valid_examples: run.valid.map(|set| set.len()),
        }
    }

    /// The first thing in which `self` (of the checkpoint) differs from `expected`.
    fn check(&self, expected: &Self) -> Result<(), Error> {
        let differ = |what, found: String, expected: String| {
            if found == expected { Ok(()) } else { Err(Error::OtherRun { what, found, expected }) }
        };
        let show = |x: &dyn core::fmt::Debug| format!("{x:?}");
        differ("model", show(&self.model), show(&expected.model))?;
        differ("training", show(&self.train), show(&expected.train))?;
        differ("shape of the data", show(&self.shape), show(&expected.shape))?;
        differ("number of levels", show(&self.levels), show(&expected.levels))?;
        differ("seed", show(&self.seed), show(&expected.seed))?;
        let sizes = |of: &Self| show(&(of.train_examples, of.valid_examples));
        differ("number of examples", sizes(self), sizes(expected))
    }
}

/// The best weights so far.
#[derive(Clone, Debug)]
pub(super) struct Best {
    pub(super) epoch: usize,
    /// `None` where there is no validation set.
    pub(super) valid_nll_nats: Option<f64>,
    pub(super) weights: Vec<NamedArray>,
}

/// Where the run stands, between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Steps made in the whole run.
    pub(super) step: usize,
    /// Steps made in the epoch at hand.
    pub(super) step_of_epoch: usize,
    /// Sum of the NLL over the examples of the epoch so far, nats.
    pub(super) nll_sum: f64,
    /// Seconds spent in the epoch so far.
    pub(super) seconds: f64,
    /// The epochs that are over.
    pub(super) history: Vec<EpochRecord>,
    /// Epoch and validation NLL of the best weights. (JSON has no infinity to stand for "none".)
    pub(super) best: Option<(usize, Option<f64>)>,
}

/// A checkpoint in memory.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) position: Position,
    pub(super) optimizer_steps: u64,
    /// Weights (`weights.`), moments (`moments.`), average (`ema.`) and best weights (`best.`).
    pub(super) arrays: Vec<NamedArray>,
}

impl Checkpoint {
    pub(super) fn write(&self, path: &Path, identity: &Identity) -> Result<(), Error> {
        let arrays = Arrays {
            f32s: self.arrays.clone(),
            f64s: Vec::new(),
            texts: vec![
                ("format".into(), FORMAT.into()),
                ("identity".into(), json(identity)?),
                ("position".into(), json(&self.position)?),
                ("optimizer_steps".into(), self.optimizer_steps.to_string()),
            ],
        };
        write_atomically(path, &arrays.to_bytes()?)
            .map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// The checkpoint at `path`, or `None` if there is none.
    pub(super) fn read(path: &Path, expected: &Identity) -> Result<Option<Self>, Error> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Error::Io { path: path.to_owned(), source });
            }
        };
        let place = |error: Error| match error {
            Error::Stored(reason) => Error::Stored(format!("{}: {reason}", path.display())),
            other => other,
        };
        let arrays = Arrays::from_bytes(&bytes).map_err(place)?;
        let format = arrays.text("format").map_err(place)?;
        if format != FORMAT {
            return Err(place(Error::Stored(format!("format `{format}`, expected `{FORMAT}`"))));
        }
        let identity: Identity = parse(&arrays, "identity").map_err(place)?;
        identity.check(expected)?;
        Ok(Some(Self {
            position: parse(&arrays, "position").map_err(place)?,
            optimizer_steps: parse(&arrays, "optimizer_steps").map_err(place)?,
            arrays: arrays.f32s,
        }))
    }

    /// The arrays whose names start with `prefix`, without it.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<NamedArray> {
        let strip = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        self.arrays
            .iter()
            .filter_map(|(name, shape, x)| Some((strip(name)?, shape.clone(), x.clone())))
            .collect()
    }
}

/// The JSON entry `key` of the file's metadata.
fn parse<T: DeserializeOwned>(arrays: &Arrays, key: &str) -> Result<T, Error> {
    serde_json::from_str(arrays.text(key)?)
        .map_err(|e| Error::Stored(format!("entry `{key}`: {e}")))
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Stored(format!("not JSON: {e}")))
}

/// Writes a file so that, whatever happens, its name has the old content or all of the new: see
/// [`AtomicFile`].
///
/// # Errors
/// When it cannot be written; the old file is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// A file that is written piece by piece under a temporary name in its folder, and has its own name
/// only once it is whole and on the disk. What is dropped before that leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    /// Until it is committed.
    file: Option<BufWriter<File>>,
    partial: PathBuf,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file.
    ///
    /// # Errors
    /// When the temporary file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        // The same name every time, so that killed writes do not pile up.
        let partial = folder_of(path).join(format!(".{}.partial", name.to_string_lossy()));
        let file = Some(BufWriter::new(File::create(&partial)?));
        Ok(Self { file, partial, path: path.to_owned() })
    }

    /// Flushes it to the disk and gives it its name.
    ///
    /// # Errors
    /// When that cannot be done; the old file is then still there.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        fs::rename(&self.partial, &self.path)?;
        self.file = None;
        // The rename itself is on the disk once the folder is. Not every system can flush one.
        if let Ok(folder) = File::open(folder_of(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.seek(to)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
