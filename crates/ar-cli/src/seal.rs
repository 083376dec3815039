//! `seal.json`: what a run was trained on and what its files hold, so that a file that was altered, or
//! is another run's, is noticed before a number comes of it.
//!
//! ```json
//! {
//!   "version": 1,
//!   "files": { "model.safetensors": ["<SHA-256>"], "result.json": ["<SHA-256>"], … },
//!   "config": { "model.hidden": "500", … },
//!   "data": { "train": { "file": "train.csv", "rows": 300, "block_rows": 5, "blocks": […], "sha256": "…" } },
//!   "accepted_changes": [],
//!   "sha256": "<SHA-256 of all of the above>"
//! }
//! ```
//!
//! It is written when training starts, with what is known of the data, and again when it ends. Where a
//! file is about to be replaced, it has both digests, so that whenever a process dies, or another one
//! reads, the file that is there is one of them. A run of a version before there were seals has none,
//! and is not checked.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::Fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{ErrorKind, Internal, Mistake, cannot};
use crate::reading::{self, RECORD_BYTES};

/// The version of the format.
const VERSION: u32 = 1;

/// What a run's files and data are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    version: u32,
    /// SHA-256 of the content of each file, in hexadecimal; of the old and the new one where it is being
    /// replaced.
    pub(crate) files: BTreeMap<String, Vec<String>>,
    /// Every key of `config.toml` with its value, but for the places of files; `null` while the run is
    /// being trained, when its checkpoint knows them.
    pub(crate) config: Option<BTreeMap<String, String>>,
    /// The rows of each file of the user's: `train`, `valid`, `test`.
    pub(crate) data: BTreeMap<String, Rows>,
    /// What had changed in them where training went on all the same.
    pub(crate) accepted_changes: Vec<String>,
    /// SHA-256 of this object with nothing here.
    sha256: String,
}

/// The rows of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// Its name.
    pub(crate) file: String,
    pub(crate) rows: usize,
    block_rows: usize,
    blocks: Vec<String>,
    pub(crate) sha256: String,
}

impl Rows {
    pub(crate) fn new(file: &Path, fingerprint: Fingerprint) -> Self {
        let Fingerprint { rows, block_rows, blocks, sha256 } = fingerprint;
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Self { file, rows, block_rows, blocks, sha256 }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let Self { rows, block_rows, blocks, sha256, .. } = self.clone();
        Fingerprint { rows, block_rows, blocks, sha256 }
    }
}

impl Seal {
    /// Of a run that starts on such data.
    pub(crate) fn new(data: BTreeMap<String, Rows>) -> Self {
        Self {
            version: VERSION,
            files: BTreeMap::new(),
            config: None,
            data,
            accepted_changes: Vec::new(),
            sha256: String::new(),
        }
    }

    /// The seal at `path`; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not as it was written.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match reading::bytes(path, RECORD_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| cannot("read", path))?,
        };
        let damaged = |why: &str| {
            Mistake::new(
                format!("{} is not as it was written: {why}", path.display()),
                "nothing in this run can be relied on: restore it from a copy, or train again",
            )
            .of(ErrorKind::Run)
            .in_file(path)
        };
        let seal: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(&e.to_string()))?;
        if seal.version != VERSION {
            return Err(Mistake::new(
                format!("{}: version {}, expected {VERSION}", path.display(), seal.version),
                "use the run with the version of the program that trained it",
            )
            .of(ErrorKind::Run)
            .in_file(path)
            .into());
        }
        if seal.sha256 != seal.digest()? {
            return Err(damaged("its SHA-256 is not the one that it states").into());
        }
        Ok(Some(seal))
    }

    /// The file.
    ///
    /// # Errors
    /// Never, for what a seal holds.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let sealed = Self { sha256: self.digest()?, ..self.clone() };
        let mut bytes =
            serde_json::to_vec_pretty(&sealed).context(Internal("a seal is no JSON"))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn digest(&self) -> Result<String> {
        let open = Self { sha256: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&open).context(Internal("a seal is no JSON"))?;
        Ok(sha256(&bytes))
    }

    /// Takes over from an earlier seal of the run what it knows of the model and its result.
    pub(crate) fn keep_trained(&mut self, old: &Self) {
        let kept = old
            .files
            .iter()
            .filter(|(name, _)| ["model.safetensors", "result.json"].contains(&name.as_str()));
        self.files = kept.map(|(name, digests)| (name.clone(), digests.clone())).collect();
    }

    /// Notes that a file that was being replaced is the new one.
    pub(crate) fn is_replaced(&mut self, name: &str) {
        if let Some(digests) = self.files.get_mut(name) {
            digests.drain(..digests.len().saturating_sub(1));
        }
    }

    /// Notes what a file is about to hold, beside what it holds now.
    pub(crate) fn will_hold(&mut self, name: &str, bytes: &[u8]) {
        let digests = self.files.entry(name.to_owned()).or_default();
        let digest = sha256(bytes);
        digests.retain(|other| *other != digest);
        digests.push(digest);
    }

    /// Notes what a file holds.
    pub(crate) fn holds(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), vec![sha256(bytes)]);
    }

    /// Checks what was read of a file.
    ///
    /// # Errors
    /// When it is not what the run wrote.
    pub(crate) fn check(&self, name: &str, path: &Path, bytes: &[u8]) -> Result<()> {
        let Some(expected) = self.files.get(name) else { return Ok(()) };
        let found = sha256(bytes);
        if expected.contains(&found) {
            return Ok(());
        }
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        let expected: Vec<String> = expected.iter().map(|digest| short(digest)).collect();
        Err(Mistake::new(
            format!(
                "{} is not the file that the run wrote: its SHA-256 begins {}, expected {} by \
                 seal.json",
                path.display(),
                short(&found),
                expected.join(" or ")
            ),
            "it was altered, or is another run's: restore it from a copy, or train again",
        )
        .of(ErrorKind::Run)
        .in_file(path)
        .into())
    }
}

/// In hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn seal() -> Seal {
        let rows = Rows {
            file: "a.csv".into(),
            rows: 3,
            block_rows: 1,
            blocks: vec!["00".into(); 3],
            sha256: "ab".into(),
        };
        let mut seal = Seal::new([("train".to_owned(), rows)].into());
        seal.holds("model.safetensors", b"weights");
        seal.config = Some([("seed".to_owned(), "1".to_owned())].into());
        seal
    }

    #[test]
    fn a_flipped_bit_in_a_seal_is_an_error_or_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.json");
        assert_eq!(Seal::read(&path).unwrap(), None);
        let bytes = seal().to_bytes().unwrap();
        fs::write(&path, &bytes).unwrap();
        let written = Seal::read(&path).unwrap().unwrap();
        assert_eq!(written.files, seal().files);
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            if let Ok(read) = Seal::read(&path) {
                assert_eq!(read.unwrap(), written, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_file_that_is_being_replaced_is_the_old_one_or_the_new_one() {
        let mut seal = seal();
        let name = "model.safetensors";
        let is_right = |seal: &Seal, bytes: &[u8]| seal.check(name, Path::new(name), bytes).is_ok();
        assert!(is_right(&seal, b"weights") && !is_right(&seal, b"others"));
        seal.will_hold(name, b"others");
        assert!(is_right(&seal, b"weights") && is_right(&seal, b"others"));
        seal.holds(name, b"others");
        assert!(!is_right(&seal, b"weights") && is_right(&seal, b"others"));
        assert!(seal.check("notes.txt", Path::new("notes.txt"), b"any").is_ok());
    }
}
