//! Files that the program reads itself, whole: nothing that may have no end, and nothing larger
//! than it can be.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The most of a small file of a run: its result, its environment.
pub(crate) const RECORD_BYTES: u64 = 16 << 20;

/// The most of a file that grows by a line per epoch.
pub(crate) const METRICS_BYTES: u64 = 1 << 30;

/// The content of a file, of at most so many bytes.
///
/// # Errors
/// When it cannot be read, is a folder, a device or a pipe, or is larger.
pub(crate) fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened, because to open a pipe is to wait for its other end.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        let reason = "not a regular file: a device or a pipe may have no end";
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    let too_large = |found: String| {
        let reason = format!("{found}, expected at most {most} bytes");
        io::Error::new(ErrorKind::FileTooLarge, reason)
    };
    if metadata.len() > most {
        return Err(too_large(format!("a file of {} bytes", metadata.len())));
    }
    let mut bytes = Vec::new();
    // A file may grow while it is read, and some of those that the system makes up have no size at
    // all.
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large("a file that goes on".to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "abc").unwrap();
        assert_eq!(bytes(&path, 3).unwrap(), b"abc");
        let error = bytes(&path, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "a file of 3 bytes, expected at most 2 bytes");
        assert_eq!(bytes(folder.path(), 3).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(bytes(&folder.path().join("no"), 3).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_may_have_no_end_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero")] {
            let error = bytes(path, u64::MAX).unwrap_err();
            assert!(error.to_string().starts_with("not a regular file"), "{error}");
        }
        // A file without a size, made up by the system while it is read.
        assert!(bytes(Path::new("/proc/self/status"), 1 << 20).unwrap().starts_with(b"Name:"));
        assert!(bytes(Path::new("/proc/self/status"), 10).is_err());
    }
}
