//! What a download is of, what it tells, and the bytes of it that have come.

use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The most that is downloaded for one file: 512 MiB. The largest has 170 MB.
pub(super) const MAX_DOWNLOAD_BYTES: u64 = 1 << 29;

/// What happens during a download.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The file is already there and right.
    Present {
        /// The file.
        path: &'a Path,
    },
    /// A download begins or goes on.
    Started {
        /// The name of the file.
        file: &'a str,
        /// The address.
        url: &'a str,
        /// The bytes that an earlier attempt left.
        done: u64,
        /// All bytes, where the server says how many.
        total: Option<u64>,
    },
    /// Bytes have come.
    Advanced {
        /// The bytes so far, with those of earlier attempts.
        done: u64,
        /// All bytes, where the server says how many.
        total: Option<u64>,
    },
    /// All bytes are here; they are being unpacked and checked.
    Checking {
        /// The name of the file.
        file: &'a str,
    },
    /// A mirror failed; the next one is tried, if there is one.
    Failed {
        /// The address.
        url: &'a str,
        /// The reason.
        why: &'a str,
    },
    /// The file is in its place.
    Finished {
        /// The file.
        path: &'a Path,
    },
}

/// Told what happens, for example to draw a bar. Closures over [`Event`] do, and `()` ignores it.
pub trait Progress {
    /// Takes note of one event.
    fn event(&mut self, event: &Event<'_>);
}

impl<F: FnMut(&Event<'_>)> Progress for F {
    fn event(&mut self, event: &Event<'_>) {
        self(event);
    }
}

impl Progress for () {
    fn event(&mut self, _: &Event<'_>) {}
}

/// One address's worth of data: a file, or an archive of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it is, in the order to be tried.
    pub mirrors: Vec<Mirror>,
    /// What is wanted of it.
    pub wanted: Vec<Wanted>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The address.
    pub url: String,
    /// How the wanted files are packed there.
    pub packing: Packing,
}

/// How files are packed at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As the one file wanted, plain or gzip.
    File,
    /// As members of a gzip-compressed tar archive, whatever folder they are in there.
    TarGz,
    /// As one matrix of single digits in a MATLAB 5 file; the file wanted is its rows as text.
    Mat5,
    /// As rows of 0 and 1 in the sparse text format of LIBSVM (`label index:1 index:1 …`, indices
    /// from 1); the file wanted is these rows as comma-separated text, without the labels.
    LibSvm {
        /// Number of values in a row.
        columns: usize,
    },
}

/// A file whose content is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name, without `.gz`.
    pub file: String,
    /// The size of the content, decompressed.
    pub bytes: u64,
    /// The SHA-256 of the content, decompressed, in hexadecimal.
    pub sha256: String,
}

/// Why a mirror did not do: its fault, or ours, which no other mirror would mend.
pub(super) enum Failure {
    Mirror(String),
    Here(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// The bytes of a download that have come so far. While it is open, no other process has it.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, "write", error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another process is downloading it";
                return Err(failed(io::Error::new(io::ErrorKind::WouldBlock, text)));
            }
            // Some network file systems know no locks; the checksum still guards the result.
            Err(TryLockError::Error(_)) => {}
        }
        Ok(Self { path: path.to_owned(), file })
    }

    pub(super) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|error| Error::io(&self.path, "read", error))?.len())
    }

    pub(super) fn truncate(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| Error::io(&self.path, "write", error))
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        io::Write::write_all(&mut self.file, bytes)
            .map_err(|error| Error::io(&self.path, "write", error))
    }

    /// Lets the bytes be read where a lock would forbid that even to its owner.
    pub(super) fn release(&self) {
        if cfg!(windows) {
            let _ = self.file.unlock();
        }
    }

    /// Removes the file; one that stays behind does no harm.
    pub(super) fn remove(self) {
        drop(self.file);
        let _ = fs::remove_file(&self.path);
    }
}
