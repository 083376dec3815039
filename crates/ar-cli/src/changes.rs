//! Whether the files that a run was trained on hold what they held then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use ar_data::{Dataset, Fingerprint, Split};

use crate::error::{ErrorKind, Mistake};
use crate::seal::Rows;

/// What is known of the rows of a run's own files, and what happens where they have changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// By split; nothing of a run that has not started, or of data that has no files of the user's.
    rows: BTreeMap<String, Rows>,
    /// Whether to go on.
    accepts: bool,
    /// The changes that were met and accepted, shared by all copies.
    accepted: Arc<Mutex<Vec<String>>>,
}

impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Expected {
    /// That the files hold these rows.
    pub(crate) fn rows(rows: &BTreeMap<String, Rows>) -> Self {
        Self { rows: rows.clone(), ..Self::default() }
    }

    /// Goes on though files have changed.
    pub(crate) fn accept(&mut self) {
        self.accepts = true;
    }

    /// Whether anything is known.
    pub(crate) fn is_known(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The changes that were met so far and accepted, in words.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rows of a file, as they are; `folds` is how many parts the rows of all files are cut into.
    ///
    /// # Errors
    /// When they are not what they were and that is not accepted, or cannot be: where rows have moved
    /// from one fold to another, some that were learned from may be held out.
    pub(crate) fn check(
        &self,
        part: &Dataset,
        path: &Path,
        split: Split,
        folds: Option<usize>,
    ) -> Result<Rows> {
        let known = self.rows.get(&split.to_string()).map(Rows::fingerprint);
        let found = Fingerprint::of(part, known.as_ref().map(|known| known.block_rows));
        if let Some(change) = known.and_then(|known| known.change(&found)) {
            let change = format!("{split} ({}): {change}", part.name());
            let hint = match (folds, self.accepts) {
                (Some(folds), _) => format!(
                    "restore the file, or train again: of {folds} folds, rows that were learned from \
                     may be held out now"
                ),
                (None, false) => "restore the file, or go on with --accept-changed-data, which is \
                                  noted in the result; with --data FILE any data can be named"
                    .to_owned(),
                (None, true) => {
                    let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                    if !accepted.contains(&change) {
                        accepted.push(change);
                    }
                    return Ok(Rows::new(path, found));
                }
            };
            return Err(Mistake::new(
                format!("{}: not what the run was trained with: {change}", path.display()),
                hint,
            )
            .of(ErrorKind::Data)
            .in_file(path)
            .into());
        }
        Ok(Rows::new(path, found))
    }
}
