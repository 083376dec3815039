//! Files that are whole or not there: written under a temporary name beside their own, flushed to the
//! disk, and renamed.
//!
//! Whatever happens, and whoever else writes the same file at the same time, its name has the old
//! content or all of the new content of one writer:
//!
//! - The temporary name is a new one every time and is made with `O_EXCL`, so that two writers never
//!   share a file and a link that somebody planted there is not followed.
//! - A link under the file's own name is followed: what it points to is replaced, and it stays a link.
//! - What is there and no regular file (a device, a pipe) is refused, and so is a file that is
//!   read-only. The new file has the permissions of the old one.
//! - What is dropped before it is committed leaves nothing. A process that is killed cannot do that;
//!   its temporary file, which no living process has locked, is removed by the next writer of that
//!   name. [`abandon_all`] is for a process that still can.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;

/// Temporary names end so.
const SUFFIX: &str = ".partial";

/// Random characters in a temporary name.
const RANDOM: usize = 12;

/// The temporary files of this process that are not committed yet.
static PARTIALS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn partials() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A set of paths is whole after every call on it.
    PARTIALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of all [`AtomicFile`]s that are not committed, and keeps any from being
/// committed from now on: for a process that is about to end.
pub fn abandon_all() {
    let partials = partials();
    for partial in partials.iter() {
        // Nothing more can be done about a file that cannot be removed.
        let _ = fs::remove_file(partial);
    }
    // Whoever is about to commit waits for this lock until the process ends.
    std::mem::forget(partials);
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
///
/// ```
/// use std::io::Write as _;
/// use ar_models::atomic_file::AtomicFile;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("scores.csv");
/// let mut file = AtomicFile::create(&path)?;
/// file.write_all(b"row,log_prob_nats\n")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"row,log_prob_nats\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    /// Until it is committed; the lock on it lasts as long as it is open.
    file: Option<BufWriter<File>>,
    /// Removes the file under its temporary name, if it is dropped.
    temporary: TempPath,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file.
    ///
    /// # Errors
    /// When `path` is something else than a regular file, or read-only, or the temporary file cannot
    /// be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = target_of(path)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let old = match fs::metadata(&path) {
            Ok(old) if !old.is_file() => {
                let kind = if old.is_dir() {
                    io::ErrorKind::IsADirectory
                } else {
                    io::ErrorKind::InvalidInput
                };
                return Err(io::Error::new(kind, "not a regular file"));
            }
            Ok(old) if old.permissions().readonly() => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the file is read-only",
                ));
            }
            Ok(old) => Some(old),
            Err(_) => None,
        };
        let folder = folder_of(&path);
        let prefix = prefix_of(name);
        remove_abandoned(folder, &prefix);
        let (file, temporary) = {
            // Who abandons all files waits for this one to be known.
            let mut partials = partials();
            let (file, temporary) = create_locked(folder, &prefix).map_err(bare)?;
            partials.insert(temporary.to_path_buf());
            (file, temporary)
        };
        let created = Self { file: Some(BufWriter::new(file)), temporary, path };
        if let (Some(old), Some(file)) = (old, &created.file) {
            file.get_ref().set_permissions(old.permissions())?;
        }
        Ok(created)
    }

    /// Flushes it to the disk and gives it its name.
    ///
    /// # Errors
    /// When that cannot be done; the old file is then still there.
    pub fn commit(mut self) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        // Where something fails, the temporary file is removed as it goes out of scope.
        file.flush()?;
        file.get_ref().sync_all()?;
        {
            let mut partials = partials();
            fs::rename(&self.temporary, &self.path)?;
            partials.remove(&*self.temporary);
        }
        // There is nothing left to be removed.
        self.temporary.disable_cleanup(true);
        // The rename itself is on the disk once the folder is. Not every system can flush one.
        if let Ok(folder) = File::open(folder_of(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is not flushed need not be: the file is removed.
            let _ = file.into_parts();
        }
        partials().remove(&*self.temporary);
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

/// The file that a path stands for: links are followed to their end, which need not exist.
///
/// # Errors
/// When a link cannot be read, or there are too many of them.
pub fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.file_type().is_symlink() => {
                path = folder_of(&path).join(fs::read_link(&path)?);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many links, one pointing to the next"))
}

/// What the temporary names of a file begin with.
fn prefix_of(name: &OsStr) -> OsString {
    // File systems allow 255 bytes, of which the rest of the name takes its part.
    let name: String = name.to_string_lossy().chars().take(40).collect();
    format!(".{name}.").into()
}

/// A new temporary file that this process has locked, as long as it is open.
fn create_locked(folder: &Path, prefix: &OsStr) -> io::Result<(File, TempPath)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Like any new file, less what the process masks.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            Ok(()) => {}
            // Another writer takes it for an abandoned one, and removes it.
            Err(TryLockError::WouldBlock) => continue,
            // Some network file systems know no locks; nobody removes a file there.
            Err(TryLockError::Error(_)) => return Ok(file.into_parts()),
        }
        // It may have been removed between the two.
        if fs::symlink_metadata(file.path()).is_ok() {
            return Ok(file.into_parts());
        }
    }
}

/// An error without the temporary name, which says nothing to anybody.
fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source());
    let inner = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    match inner.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error,
    }
}

/// Removes what killed writers of the same file have left: temporary files that nobody has locked.
fn remove_abandoned(folder: &Path, prefix: &OsStr) {
    // A folder that cannot be listed is the next step's error.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (name, prefix) = (entry.file_name(), prefix.as_encoded_bytes());
        let random = name
            .as_encoded_bytes()
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        let is_ours = random
            .is_some_and(|r| r.len() == RANDOM && r.iter().all(u8::is_ascii_alphanumeric))
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_ours
            && let Ok(file) = File::options().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_dropped_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_atomically(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(file);
        assert_eq!(names(folder.path()), ["a.csv"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.csv"]);
        assert!(partials().iter().all(|partial| !partial.starts_with(folder.path())));
    }

    #[test]
    fn two_writers_of_one_file_share_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut one = AtomicFile::create(&path).unwrap();
        let mut other = AtomicFile::create(&path).unwrap();
        for _ in 0..10_000 {
            one.write_all(b"one\n").unwrap();
            other.write_all(b"other\n").unwrap();
        }
        one.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n".repeat(10_000));
        other.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other\n".repeat(10_000));
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let abandoned = folder.path().join(".a.csv.0123456789aB.partial");
        fs::write(&abandoned, b"half").unwrap();
        // Neither the name of another file's, nor a name that only looks alike.
        for other in [".b.csv.0123456789aB.partial", ".a.csv.partial", ".a.csv.notes.partial"] {
            fs::write(folder.path().join(other), b"").unwrap();
        }
        let living = AtomicFile::create(&path).unwrap();
        assert!(!abandoned.exists());
        write_atomically(&path, b"whole").unwrap();
        living.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"", "the last to commit wins");
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_planted_ones_are_not() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("store")).unwrap();
        fs::write(at("store/real.csv"), b"old").unwrap();
        symlink("store/real.csv", at("link.csv")).unwrap();
        symlink("link.csv", at("second.csv")).unwrap();
        write_atomically(&at("second.csv"), b"new").unwrap();
        assert_eq!(fs::read(at("store/real.csv")).unwrap(), b"new");
        assert!(fs::symlink_metadata(at("second.csv")).unwrap().is_symlink());
        assert_eq!(names(&at("store")), ["real.csv"]);
        // A link to what is not there yet is a name for it.
        symlink("store/later.csv", at("later.csv")).unwrap();
        write_atomically(&at("later.csv"), b"new").unwrap();
        assert_eq!(fs::read(at("store/later.csv")).unwrap(), b"new");
        // The names of temporary files cannot be foreseen; the one of old versions is not used.
        fs::write(at("victim"), b"dear").unwrap();
        symlink("victim", at(".a.csv.partial")).unwrap();
        write_atomically(&at("a.csv"), b"new").unwrap();
        assert_eq!(fs::read(at("victim")).unwrap(), b"dear");
        symlink("round.csv", at("round.csv")).unwrap();
        assert!(write_atomically(&at("round.csv"), b"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_and_what_is_no_writable_file_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::write(&path, b"plain").unwrap();
        let usual = mode(&path);
        fs::remove_file(&path).unwrap();
        write_atomically(&path, b"old").unwrap();
        assert_eq!(mode(&path), usual);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let error = write_atomically(&path, b"newer").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(write_atomically(folder.path(), b"").is_err());
        assert!(write_atomically(Path::new("/dev/null"), b"").is_err());
        assert!(fs::metadata("/dev/null").is_ok_and(|null| !null.is_file()));
    }

    #[test]
    fn long_names_are_written_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ä".repeat(120) + ".csv");
        write_atomically(&path, b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}
