//! Downloads of the built-in datasets.
//!
//! A file comes from the first mirror that gives the right content: the SHA-256 of the decompressed
//! bytes is what counts, so mirrors may compress as they like. An interrupted download leaves a
//! `.part` file beside the target and goes on from there next time. A file appears under its name
//! only when it is complete and verified.
//!
//! One mirror of `binarized-mnist` holds the bits as MATLAB 5 matrices, a thirtieth of the size; the
//! text that the digest speaks of is written from them. So it is with mirrors that have
//! sparse text.

mod archive;
mod http;
mod mirrors;

use crate::builtin::{self, check_content};
use crate::bytes::hex;
use crate::error::{Attempt, Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The most that is downloaded for one file: 512 MiB. The largest has 170 MB.
const MAX_DOWNLOAD_BYTES: u64 = 1 << 29;

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

/// What a download left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of the dataset.
    pub folder: PathBuf,
    /// Its files, all verified; none for embedded data.
    pub files: Vec<PathBuf>,
    /// How many of them were downloaded now.
    pub downloaded: usize,
}

/// Downloads a built-in dataset to the folder `dir/name`, where [`builtin::load`] with `dir` among
/// its locations finds it.
///
/// # Errors
///
/// [`Error::UnknownName`]; [`Error::Fetch`] with every mirror tried and why it failed; [`Error::Io`]
/// if a file cannot be written or another process is downloading it.
pub fn fetch(name: &str, dir: &Path, progress: &mut dyn Progress) -> Result<Fetched> {
    Plan::builtin(name)?.run(dir, progress)
}

/// What to download from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The name of the dataset and of its folder.
    pub name: String,
    /// The files, in order.
    pub downloads: Vec<Download>,
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
enum Failure {
    Mirror(String),
    Here(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl Plan {
    /// The plan for a built-in dataset.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`].
    pub fn builtin(name: &str) -> Result<Self> {
        let builtin = builtin::find(name)?;
        Ok(Self { name: builtin.name.to_owned(), downloads: mirrors::downloads(builtin) })
    }

    /// Downloads what is not there yet.
    ///
    /// # Errors
    ///
    /// Those of [`fetch`].
    pub fn run(&self, dir: &Path, progress: &mut dyn Progress) -> Result<Fetched> {
        let folder = dir.join(&self.name);
        if !self.downloads.is_empty() {
            fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, "create", error))?;
        }
        let mut fetched = Fetched { folder, files: Vec::new(), downloaded: 0 };
        for download in &self.downloads {
            let present: Option<Vec<_>> =
                download.wanted.iter().map(|wanted| wanted.present(&fetched.folder)).collect();
            match present {
                Some(paths) => {
                    paths.iter().for_each(|path| progress.event(&Event::Present { path }));
                    fetched.files.extend(paths);
                }
                None => {
                    let paths = download.run(&self.name, &fetched.folder, progress)?;
                    paths.iter().for_each(|path| progress.event(&Event::Finished { path }));
                    fetched.downloaded += paths.len();
                    fetched.files.extend(paths);
                }
            }
        }
        Ok(fetched)
    }
}

impl Wanted {
    /// The path of the file if it is there and right.
    fn present(&self, folder: &Path) -> Option<PathBuf> {
        builtin::file_names(&self.file)
            .into_iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file() && check_content(path, self.bytes, &self.sha256).is_ok())
    }
}

impl Download {
    /// What messages call it.
    fn title(&self) -> String {
        match &self.wanted[..] {
            [] => "nothing".to_owned(),
            [one] => one.file.clone(),
            [first, rest @ ..] => format!("{} and {} more", first.file, rest.len()),
        }
    }

    fn run(&self, name: &str, folder: &Path, progress: &mut dyn Progress) -> Result<Vec<PathBuf>> {
        let mut tried = Vec::new();
        for mirror in &self.mirrors {
            match self.try_mirror(mirror, folder, progress) {
                Ok(paths) => return Ok(paths),
                Err(Failure::Here(error)) => return Err(error),
                Err(Failure::Mirror(why)) => {
                    progress.event(&Event::Failed { url: &mirror.url, why: &why });
                    tried.push(Attempt { url: mirror.url.clone(), why });
                }
            }
        }
        Err(Error::Fetch { name: name.to_owned(), file: self.title(), tried })
    }

    fn try_mirror(
        &self,
        mirror: &Mirror,
        folder: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Vec<PathBuf>, Failure> {
        let title = self.title();
        // Mirrors pack differently, so that one cannot go on where another stopped.
        let digest = hex(&Sha256::digest(mirror.url.as_bytes()));
        let stem = self.wanted.first().map_or("download", |wanted| &wanted.file);
        let path = folder.join(format!("{stem}.{}.part", &digest[..8]));
        let mut part = Part::open(&path)?;
        let mut resumed = part.len()? > 0;
        loop {
            if let Err(failure) = http::complete(&mut part, &mirror.url, &title, progress) {
                if part.len()? == 0 {
                    part.remove();
                }
                return Err(failure);
            }
            part.release();
            progress.event(&Event::Checking { file: &title });
            match archive::unpack(mirror.packing, &path, &self.wanted, folder) {
                Ok(paths) => {
                    part.remove();
                    return Ok(paths);
                }
                // The remains of an earlier attempt may be of another version of the file.
                Err(Failure::Mirror(_)) if resumed => {
                    part.truncate()?;
                    resumed = false;
                }
                Err(failure) => {
                    part.remove();
                    return Err(failure);
                }
            }
        }
    }
}

/// The bytes of a download that have come so far. While it is open, no other process has it.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
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

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|error| Error::io(&self.path, "read", error))?.len())
    }

    fn truncate(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| Error::io(&self.path, "write", error))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        io::Write::write_all(&mut self.file, bytes)
            .map_err(|error| Error::io(&self.path, "write", error))
    }

    /// Lets the bytes be read where a lock would forbid that even to its owner.
    fn release(&self) {
        if cfg!(windows) {
            let _ = self.file.unlock();
        }
    }

    /// Removes the file; one that stays behind does no harm.
    fn remove(self) {
        drop(self.file);
        let _ = fs::remove_file(&self.path);
    }
}
