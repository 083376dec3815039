//! The file of a config: its text, and the text as TOML.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use toml::Table;

use super::origin::line_of;
use crate::error::{ErrorKind, Mistake, cannot};
use crate::reading;

/// The largest config file read: far above any real one.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The text of a file that can be a config.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let example = "name a .toml file such as configs/nade-digits.toml";
    let wrong = |message: String, hint: &str| {
        Mistake::new(message, hint).of(ErrorKind::Config).in_file(path)
    };
    let metadata = fs::metadata(path).with_context(|| cannot("read", path))?;
    if metadata.is_dir() {
        let message = format!("{} is a folder, expected a config file", path.display());
        return Err(wrong(message, "name a .toml file").into());
    }
    if metadata.len() > MAX_CONFIG_BYTES {
        let message = format!(
            "{} has {} bytes, expected a config of at most {MAX_CONFIG_BYTES}",
            path.display(),
            metadata.len()
        );
        return Err(wrong(message, example).into());
    }
    let bytes = reading::bytes(path, MAX_CONFIG_BYTES).with_context(|| cannot("read", path))?;
    String::from_utf8(bytes).map_err(|error| {
        let place = format!("byte {}", error.utf8_error().valid_up_to());
        let message = format!("{}: {place}: no UTF-8, expected a TOML file", path.display());
        wrong(message, example).at(place).into()
    })
}

/// The text of the file at `path` as TOML.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Mistake::new(
            format!("{}:{line}: no TOML: {}", path.display(), error.message().trim_end()),
            "every line is `key = value` or `[table]`; strings stand in quotes",
        )
        .of(ErrorKind::Config)
        .in_file(path)
        .at(format!("line {line}"))
        .into()
    })
}
