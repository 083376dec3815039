//! NumPy's `.npz`: a ZIP of `.npy` files, one of which is the table.
//!
//! The table is the array `X`, or the only one of two axes or more, or the one that the caller names; another
//! one with a value for each of its rows, such as `y`, may stand beside it as its labels.

use super::npy::{Array, MAGIC, Npy};
use crate::bytes::Input;
use crate::error::{Error, Flaw, Place, Result, shown};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// How a ZIP begins.
pub(crate) const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Opens the table `key` and, beside it, the labels `label`, of a file on disk.
pub(crate) fn open(
    path: &Path,
    key: Option<&str>,
    label: Option<&str>,
    rows: Option<usize>,
    cap: u64,
) -> Result<Npy> {
    let file = File::open(path).map_err(|error| Error::io(path, "open", error))?;
    of(path, BufReader::new(file), key, label, rows, cap)
}

/// The same of any reader.
pub(crate) fn of(
    path: &Path,
    reader: impl Read + Seek,
    key: Option<&str>,
    label: Option<&str>,
    rows: Option<usize>,
    cap: u64,
) -> Result<Npy> {
    let mut archive = ZipArchive::new(reader).map_err(|error| failed(path, error))?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let keys: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    let unknown = |key: &str, what: &'static str| {
        let expected = format!("one of {}", keys.join(", "));
        Error::inconsistent(path.display().to_string(), what, expected, format!("{key:?}"))
    };
    if keys.is_empty() {
        let expected = "arrays (names ending in .npy)";
        let found = match names.first() {
            Some(first) => format!("a ZIP of other files, the first of them {first:?}"),
            None => "an empty ZIP".to_owned(),
        };
        return Err(Error::malformed(path, Place::File, Flaw::Unsupported, expected, found)
            .advise("unpack the archive and name a file in it"));
    }
    let key = match key {
        Some(key) if keys.contains(&key) => key,
        Some(key) => return Err(unknown(key, "key")),
        None => match (&keys[..], keys.iter().find(|key| key.eq_ignore_ascii_case("x"))) {
            ([only], _) => only,
            (_, Some(x)) => x,
            _ => {
                return Err(
                    unknown("none stated", "key").advise("name the array with data.key, or --key")
                );
            }
        },
    };
    let mut array = |key: &str| -> Result<Array> {
        let title = format!("{}: {key}", path.display());
        let bytes = entry(&mut archive, path, &format!("{key}.npy"), cap)?;
        Array::open(Input::from_bytes(Path::new(&title), bytes, cap)?, rows)
    };
    let table = array(key)?;
    let beside = match label {
        Some(label) if keys.contains(&label) && label != key => {
            Some((label.to_owned(), array(label)?))
        }
        _ => None,
    };
    Npy::new(table, beside)
}

/// The content of a file in the archive.
fn entry(
    archive: &mut ZipArchive<impl Read + Seek>,
    path: &Path,
    name: &str,
    cap: u64,
) -> Result<Vec<u8>> {
    let entry = archive.by_name(name).map_err(|error| failed(path, error))?;
    let above = || {
        let expected = format!("at most {cap} bytes of content");
        let found = format!("{name} of more");
        Error::malformed(path, Place::File, Flaw::TooLarge, expected, found)
    };
    if entry.size() > cap {
        return Err(above());
    }
    // What the directory states may be wrong, so nothing is taken for it in advance.
    let mut bytes = Vec::new();
    let read = entry.take(cap.saturating_add(1)).read_to_end(&mut bytes);
    match read {
        Ok(read) if read as u64 > cap => Err(above()),
        Ok(_) if !bytes.starts_with(MAGIC) => {
            let expected = "an array with a NumPy header";
            let found = shown(&bytes[..bytes.len().min(8)]);
            Err(Error::malformed(path, Place::File, Flaw::WrongMagic, expected, found))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(Error::malformed(
            path,
            Place::File,
            Flaw::Corrupt,
            format!("{name} as it was packed"),
            error.to_string(),
        )),
    }
}

fn failed(path: &Path, error: ZipError) -> Error {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io(path, "read", error)
        }
        error => {
            let expected = "a ZIP of arrays";
            Error::malformed(path, Place::File, Flaw::Corrupt, expected, error.to_string())
        }
    }
}
