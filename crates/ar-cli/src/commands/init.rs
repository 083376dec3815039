//! `chainrule init FILE`: a config for a data file, to be edited.

use anyhow::Result;

use super::Session;
use crate::args::InitArgs;
use crate::draft::draft;
use crate::output::RECORD_VERSION;

/// What the command prints with --json.
#[derive(serde::Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    /// The config.
    config: String,
    /// What a user should be told who does not read its comments.
    notes: Vec<String>,
}

/// Prints the config.
///
/// # Errors
/// When the file cannot be read, or no model of today describes what is in it.
pub(crate) fn run(args: &InitArgs, session: &Session) -> Result<()> {
    let draft = draft(&args.file, args.draft.wishes())?;
    let notes = [draft.notes, draft.warnings].concat();
    let record = Record { version: RECORD_VERSION, command: "init", config: draft.text, notes };
    session.terminal.result(&record, || record.config.clone())
}
