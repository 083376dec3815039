//! A table decoded, or the key in it that is at fault.

use serde::de::DeserializeOwned;
use toml::Table;

/// Where decoding failed, and why.
#[derive(Debug)]
pub(super) struct Fault {
    /// The key at fault, or for a missing field the table that lacks it.
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

/// Decodes a table. serde forgets the place of an error inside tagged enums, so the culprit is found
/// by experiment: it is the innermost key without which the error is another one.
pub(super) fn decode<T: DeserializeOwned>(table: &Table) -> Result<T, Fault> {
    let reason = |table: &Table| {
        let attempt = toml::Value::Table(table.clone()).try_into::<T>();
        attempt.err().map(|error| error.message().trim_end().to_owned())
    };
    let message = match toml::Value::Table(table.clone()).try_into::<T>() {
        Ok(value) => return Ok(value),
        Err(error) => error.message().trim_end().to_owned(),
    };
    let mut path = Vec::new();
    if let Some(field) = message.strip_prefix("missing field ") {
        let field = field.trim_matches('`');
        // The table that lacks the key is the one where adding it changes the error, other than to
        // the complaint that the key is unknown there.
        for candidate in tables_of(table) {
            let mut with = table.clone();
            if let Some(at) = table_at(&mut with, &candidate) {
                at.insert(field.to_owned(), true.into());
            }
            let changed = reason(&with).is_none_or(|other| {
                other != message && !other.starts_with(&format!("unknown field `{field}`"))
            });
            if changed {
                path = candidate;
                break;
            }
        }
        return Err(Fault { path, message });
    }
    loop {
        let mut probe = table.clone();
        let Some(at) = table_at(&mut probe, &path) else { break };
        let mut keys: Vec<String> = at.keys().cloned().collect();
        // Without its `kind` a tagged table always fails in another way.
        keys.sort_by_key(|key| key == "kind");
        let culprit = keys.into_iter().find(|key| {
            let mut without = table.clone();
            if let Some(at) = table_at(&mut without, &path) {
                at.remove(key);
            }
            reason(&without).is_none_or(|other| other != message)
        });
        match culprit {
            Some(key) => path.push(key),
            None => break,
        }
    }
    Err(Fault { path, message })
}

/// The paths of all tables, the outermost first.
fn tables_of(table: &Table) -> Vec<Vec<String>> {
    let mut paths = vec![Vec::new()];
    for (key, value) in table {
        if let Some(inner) = value.as_table() {
            paths.extend(tables_of(inner).into_iter().map(|mut path| {
                path.insert(0, key.clone());
                path
            }));
        }
    }
    paths
}

fn table_at<'a>(table: &'a mut Table, path: &[String]) -> Option<&'a mut Table> {
    path.iter().try_fold(table, |at, key| at.get_mut(key)?.as_table_mut())
}
