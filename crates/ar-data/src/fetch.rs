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
mod parts;

use crate::builtin::{self, check_content};
use crate::bytes::hex;
use crate::error::{Attempt, Error, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

pub use parts::{Download, Event, Mirror, Packing, Progress, Wanted};
use parts::{Failure, Part};

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
