//! The keys of a config with their values, and where two configs differ in them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use toml::Table;

use super::origin::Origin;
use super::raw::RawConfig;
use crate::error::Internal;

/// A key in which two configs differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Full key.
    pub(crate) key: String,
    /// The value in the config given.
    pub(crate) ours: String,
    /// The value in the run.
    pub(crate) stored: String,
}

/// Every key with its value.
///
/// # Errors
/// When a config cannot be written as TOML.
pub(super) fn flat(config: &RawConfig) -> Result<BTreeMap<String, String>> {
    let table = Table::try_from(config).context(Internal("a config is no table"))?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    Ok(flat.into_iter().collect())
}

fn flatten(prefix: &str, table: &Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, out),
            value => out.push((key, value.to_string())),
        }
    }
}

/// Checks that the keys of a run's config, which is from `origin`, are those that it was trained with.
///
/// # Errors
/// When a key differs.
pub(super) fn check_keys(
    found: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
    origin: &Origin,
) -> Result<()> {
    let differs = |key: &&String| found.get(*key) != expected.get(*key);
    let Some(key) = found.keys().chain(expected.keys()).find(differs) else { return Ok(()) };
    let word = |value: Option<&String>| value.map_or("nothing", |value| value).to_owned();
    let path: Vec<&str> = key.split('.').collect();
    Err(origin.mistake(
        &path,
        format!(
            "`{key}` is {}, the run was trained with {}",
            word(found.get(key)),
            word(expected.get(key))
        ),
        "a run's config says what the run is: restore it, or train another run".into(),
    ))
}

/// The keys that decide about weights or numbers and differ, with both values.
pub(super) fn between(
    ours: &BTreeMap<String, String>,
    stored: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let decides = |key: &&String| {
        !["name", "paper", "deviations"].contains(&key.split('.').next().unwrap_or(key))
    };
    let value = |of: &BTreeMap<String, String>, key: &str| {
        of.get(key).cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    let keys: BTreeSet<&String> = ours.keys().chain(stored.keys()).filter(decides).collect();
    let differences = keys.into_iter().map(|key| Difference {
        key: key.clone(),
        ours: value(ours, key),
        stored: value(stored, key),
    });
    differences.filter(|difference| difference.ours != difference.stored).collect()
}
