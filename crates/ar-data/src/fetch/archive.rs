//! From what a mirror sends to verified files in their place.

use super::parts::{Failure, Packing, Wanted};
use crate::builtin::check_content;
use crate::bytes::hex;
use crate::error::Error;
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, EntryType};

/// Puts the wanted files of the download at `path` into `folder`, each complete and right or not at
/// all.
pub(super) fn unpack(
    packing: Packing,
    path: &Path,
    wanted: &[Wanted],
    folder: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    match packing {
        Packing::TarGz => tar_gz(path, wanted, folder),
        Packing::File => wanted.iter().map(|wanted| whole(path, wanted, folder)).collect(),
        Packing::Mat5 => wanted.iter().map(|wanted| matrix(path, wanted, folder)).collect(),
        Packing::LibSvm { columns } => {
            wanted.iter().map(|wanted| sparse(path, columns, wanted, folder)).collect()
        }
    }
}

/// The download is the file.
fn whole(path: &Path, wanted: &Wanted, folder: &Path) -> Result<PathBuf, Failure> {
    check_content(path, wanted.bytes, &wanted.sha256).map_err(|error| match error {
        Error::Io { .. } => Failure::Here(error),
        Error::Digest { expected, found, .. } => wrong(&expected, &found),
        Error::Malformed(malformed) => {
            let (flaw, expected, found) = (malformed.flaw, malformed.expected, malformed.found);
            Failure::Mirror(format!("{flaw}: expected {expected}, found {found}"))
        }
        other => Failure::Mirror(other.to_string()),
    })?;
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(2).read_to_end(&mut start));
    read.map_err(|error| Error::io(path, "read", error))?;
    let end = if start == [0x1f, 0x8b] { ".gz" } else { "" };
    let target = folder.join(format!("{}{end}", wanted.file));
    // A copy of the name, not of the bytes: the part is removed by its owner.
    let staged = Staged::at(&target);
    fs::hard_link(path, &staged.path)
        .or_else(|_| io::copy(&mut File::open(path)?, &mut staged.create()?).map(|_| ()))
        .map_err(|error| Error::io(&staged.path, "write", error))?;
    staged.publish(&target)?;
    Ok(target)
}

fn wrong(expected: &str, found: &str) -> Failure {
    Failure::Mirror(format!("wrong content: expected sha256 {expected}, found {found}"))
}

/// The download is an archive. Only regular members with a wanted name and its exact size are
/// looked at, and the paths inside the archive are never used.
fn tar_gz(path: &Path, wanted: &[Wanted], folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let broken = |error: io::Error| Failure::Mirror(format!("no tar.gz archive: {error}"));
    let file = File::open(path).map_err(|error| Error::io(path, "read", error))?;
    let most: u64 = wanted.iter().map(|wanted| wanted.bytes).sum::<u64>() + (1 << 24);
    let unzipped = GzDecoder::new(BufReader::new(file)).take(most);
    let mut archive = Archive::new(unzipped);
    let mut staged: Vec<Option<(Staged, PathBuf)>> = wanted.iter().map(|_| None).collect();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let name = entry.path().map_err(broken)?.file_name().map(ToOwned::to_owned);
        let Some(index) = wanted
            .iter()
            .position(|wanted| name.as_deref().is_some_and(|n| n == wanted.file.as_str()))
        else {
            continue;
        };
        let wanted = &wanted[index];
        if entry.size() != wanted.bytes {
            let (file, bytes) = (&wanted.file, wanted.bytes);
            let why = format!("{file}: expected {bytes} bytes, found {}", entry.size());
            return Err(Failure::Mirror(why));
        }
        let target = folder.join(&wanted.file);
        let stage = Staged::at(&target);
        let digest = copy_hashed(&mut entry, &stage).map_err(|failure| match failure {
            Failure::Mirror(why) => Failure::Mirror(format!("{}: {why}", wanted.file)),
            here => here,
        })?;
        if digest != wanted.sha256 {
            return Err(wrong(&wanted.sha256, &digest));
        }
        staged[index] = Some((stage, target));
    }
    if let Some(index) = staged.iter().position(Option::is_none) {
        return Err(Failure::Mirror(format!("no {} in the archive", wanted[index].file)));
    }
    let publish = |(stage, target): (Staged, PathBuf)| {
        stage.publish(&target)?;
        Ok(target)
    };
    staged.into_iter().flatten().map(publish).collect()
}

/// Copies an archive member to a staged file and returns its digest.
fn copy_hashed(from: &mut impl Read, stage: &Staged) -> Result<String, Failure> {
    let failed = |error| Failure::Here(Error::io(&stage.path, "write", error));
    let mut to = stage.create().map_err(failed)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read =
            from.read(&mut chunk).map_err(|error| Failure::Mirror(format!("broken: {error}")))?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read]).map_err(failed)?;
    }
}

/// The download is a matrix; the file is its rows as text.
fn matrix(path: &Path, wanted: &Wanted, folder: &Path) -> Result<PathBuf, Failure> {
    let file = File::open(path).map_err(|error| Error::io(path, "read", error))?;
    let matrix = Matrix::read(&mut BufReader::new(file), wanted.bytes / 2)
        .map_err(|error| Failure::Mirror(format!("no MATLAB 5 matrix: {error}")))?;
    // MATLAB stores columns one after another.
    let row = |row| matrix.data.iter().skip(row).step_by(matrix.rows);
    let lines = (0..matrix.rows).map(|k| Ok(line(row(k).copied(), b' ')));
    write_lines(lines, wanted, folder)
}

/// The download lists the ones of each row; the file is the rows as text.
fn sparse(path: &Path, columns: usize, wanted: &Wanted, folder: &Path) -> Result<PathBuf, Failure> {
    let file = File::open(path).map_err(|error| Error::io(path, "read", error))?;
    // A line has a label and up to so many entries of `index:1`.
    let longest = 64 + 16 * columns as u64;
    let mut from = BufReader::new(file);
    let mut bytes = Vec::new();
    let lines = std::iter::from_fn(|| {
        bytes.clear();
        match (&mut from).take(longest).read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(_) => Some(ones(&bytes, columns).map(|row| line(row.into_iter(), b','))),
            Err(error) => Some(Err(Failure::Here(Error::io(path, "read", error)))),
        }
    });
    write_lines(lines, wanted, folder)
}

/// The row of bits that a line `label index:1 index:1 …` stands for.
fn ones(bytes: &[u8], columns: usize) -> Result<Vec<u8>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let mut row = vec![0; columns];
    for entry in text.split_ascii_whitespace().skip(1) {
        let index = entry.strip_suffix(":1").and_then(|index| index.parse::<usize>().ok());
        let place = index.and_then(|index| row.get_mut(index.checked_sub(1)?));
        *place.ok_or_else(|| {
            Failure::Mirror(format!(
                "no rows of {columns} bits: expected `index:1`, found {entry:?}"
            ))
        })? = 1;
    }
    Ok(row)
}

/// Digits as text.
fn line(digits: impl Iterator<Item = u8>, separator: u8) -> Vec<u8> {
    let mut line: Vec<u8> = digits.flat_map(|digit| [b'0' + digit, separator]).collect();
    if let Some(last) = line.last_mut() {
        *last = b'\n';
    }
    line
}

/// Writes the lines of the file wanted, compressed.
fn write_lines(
    lines: impl Iterator<Item = Result<Vec<u8>, Failure>>,
    wanted: &Wanted,
    folder: &Path,
) -> Result<PathBuf, Failure> {
    let target = folder.join(format!("{}.gz", wanted.file));
    let stage = Staged::at(&target);
    let failed = |error| Error::io(&stage.path, "write", error);
    let file = BufWriter::new(stage.create().map_err(failed)?);
    let mut zipped = GzEncoder::new(file, Compression::fast());
    let mut hash = Sha256::new();
    for line in lines {
        let line = line?;
        hash.update(&line);
        zipped.write_all(&line).map_err(failed)?;
    }
    zipped.finish().and_then(|mut file| file.flush()).map_err(failed)?;
    let digest = hex(&hash.finalize());
    if digest != wanted.sha256 {
        return Err(wrong(&wanted.sha256, &digest));
    }
    stage.publish(&target)?;
    Ok(target)
}

/// A matrix of single digits, column-major.
#[derive(Debug, PartialEq, Eq)]
struct Matrix {
    rows: usize,
    columns: usize,
    data: Vec<u8>,
}

impl Matrix {
    /// Reads the first matrix of a little-endian MATLAB 5 file ("MAT-File Format", MathWorks),
    /// which must hold `count` unsigned bytes, each below 10, in one compressed element.
    fn read(from: &mut impl BufRead, count: u64) -> io::Result<Self> {
        const COMPRESSED: u32 = 15;
        const MATRIX: u32 = 14;
        const FLAGS: u32 = 6;
        const DIMENSIONS: u32 = 5;
        const BYTES: u32 = 2;
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let header: [u8; 128] = array(from)?;
        if !header.starts_with(b"MATLAB 5.0") || !header.ends_with(b"IM") {
            return Err(bad("wrong header"));
        }
        if word(from)? != COMPRESSED {
            return Err(bad("no compressed element"));
        }
        let compressed = u64::from(word(from)?);
        // The matrix has a few small parts besides its elements.
        let mut from = ZlibDecoder::new(from.take(compressed)).take(count + 4096);
        if word(&mut from)? != MATRIX {
            return Err(bad("no matrix"));
        }
        let _size = word(&mut from)?;
        if (word(&mut from)?, word(&mut from)?) != (FLAGS, 8) {
            return Err(bad("no array flags"));
        }
        let _flags: [u8; 8] = array(&mut from)?;
        if (word(&mut from)?, word(&mut from)?) != (DIMENSIONS, 8) {
            return Err(bad("not two axes"));
        }
        let (rows, columns) = (word(&mut from)?, word(&mut from)?);
        // The name: up to four bytes lie in the tag itself, more follow in units of eight.
        let tag = word(&mut from)?;
        let name = if tag >> 16 == 0 { u64::from(word(&mut from)?).div_ceil(8) * 8 } else { 4 };
        if name > 2048 {
            return Err(bad("a long name"));
        }
        io::copy(&mut (&mut from).take(name), &mut io::sink())?;
        if word(&mut from)? != BYTES
            || u64::from(word(&mut from)?) != count
            || u64::from(rows) * u64::from(columns) != count
        {
            return Err(bad("not as many unsigned bytes as expected"));
        }
        let mut data = Vec::new();
        from.take(count).read_to_end(&mut data)?;
        if data.len() as u64 != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if data.iter().any(|&digit| digit > 9) {
            return Err(bad("a value above 9"));
        }
        Ok(Self { rows: rows as usize, columns: columns as usize, data })
    }
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn word(from: &mut impl Read) -> io::Result<u32> {
    Ok(u32::from_le_bytes(array(from)?))
}

/// A file under a temporary name, removed unless it is published.
struct Staged {
    path: PathBuf,
}

impl Staged {
    /// Beside `target`, so that renaming it is one step, under a name that nobody can foresee: two
    /// downloads share no file.
    fn at(target: &Path) -> Self {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{:016x}.tmp", RandomState::new().hash_one(std::process::id())));
        Self { path: name.into() }
    }

    /// Makes the file, which must be a new one: a link that is there already is not followed.
    fn create(&self) -> io::Result<File> {
        File::create_new(&self.path)
    }

    fn publish(self, target: &Path) -> Result<(), Error> {
        let failed = |error| Error::io(target, "write", error);
        // Some systems only flush what is open for writing.
        let file = File::options().write(true).open(&self.path).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        fs::rename(&self.path, target).map_err(failed)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After publishing there is nothing under this name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::ZlibEncoder;

    /// A MATLAB 5 file of one matrix, column-major.
    pub(crate) fn mat5(rows: u32, columns: u32, data: &[u8]) -> Vec<u8> {
        let mut inside = Vec::new();
        for word in
            [14, 0, 6, 8, 6, 0, 5, 8, rows, columns, 0x0001_0001, 0x58, 2, data.len() as u32]
        {
            inside.extend(word.to_le_bytes());
        }
        inside.extend(data);
        let mut zipped = ZlibEncoder::new(Vec::new(), Compression::default());
        zipped.write_all(&inside).unwrap();
        let zipped = zipped.finish().unwrap();
        let mut file = b"MATLAB 5.0 MAT-file".to_vec();
        file.resize(124, b' ');
        file.extend(b"\0\x01IM");
        file.extend(15_u32.to_le_bytes());
        file.extend((zipped.len() as u32).to_le_bytes());
        file.extend(zipped);
        file
    }

    #[test]
    fn matrices_are_read_and_checked() {
        let good = mat5(2, 3, &[0, 1, 2, 3, 4, 5]);
        let read = |bytes: &[u8], count| Matrix::read(&mut &bytes[..], count);
        let matrix = read(&good, 6).unwrap();
        assert_eq!(
            (matrix.rows, matrix.columns, &matrix.data[..]),
            (2, 3, &[0, 1, 2, 3, 4, 5][..])
        );
        assert!(read(&good, 7).is_err());
        assert!(read(&mat5(2, 2, &[0; 6]), 6).is_err());
        assert!(read(&mat5(1, 1, &[10]), 1).is_err());
        for cut in 0..good.len() - 4 {
            assert!(read(&good[..cut], 6).is_err(), "{cut}");
        }
    }
}
