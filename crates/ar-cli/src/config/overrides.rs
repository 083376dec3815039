//! What `--set KEY=VALUE` changes in a config.

use anyhow::Result;
use toml::Table;

use crate::error::mistake;

/// Applies one `KEY=VALUE` and returns the key.
pub(super) fn apply_override(table: &mut Table, text: &str) -> Result<Vec<String>> {
    let example = "for example --set model.hidden=100 or --set data.binarize=threshold";
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| mistake(format!("--set {text}: no `=`, expected KEY=VALUE"), example))?;
    let path: Vec<String> = key.trim().split('.').map(|part| part.trim().to_owned()).collect();
    let is_bare = |part: &String| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if !path.iter().all(is_bare) {
        let message = format!("--set {text}: `{key}` is no key, expected words joined by `.`");
        return Err(mistake(message, example));
    }
    let value = override_value(value.trim())
        .map_err(|reason| mistake(format!("--set {text}: {reason}"), example))?;
    let (last, tables) = path.split_last().expect("`split` yields at least one part");
    let mut at = table;
    for (depth, part) in tables.iter().enumerate() {
        let entry = at.entry(part.clone()).or_insert_with(|| Table::new().into());
        at = entry.as_table_mut().ok_or_else(|| {
            let prefix = path[..=depth].join(".");
            mistake(format!("--set {text}: `{prefix}` is no table"), example)
        })?;
    }
    at.insert(last.clone(), value);
    Ok(path)
}

/// A TOML value, or a plain word as a string.
fn override_value(text: &str) -> Result<toml::Value, String> {
    let error = match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => {
            return table.remove("value").ok_or_else(|| "no value".to_owned());
        }
        Ok(_) => return Err("expected one value".to_owned()),
        Err(error) => error,
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !text.is_empty()
        && text.chars().all(is_word)
        && text.starts_with(|c: char| !c.is_ascii_digit())
    {
        return Ok(text.into());
    }
    Err(format!("`{text}` is no TOML value: {}", error.message().trim_end()))
}

#[cfg(test)]
mod tests {
    use crate::config::support::{NADE, load};

    #[test]
    fn overrides_are_toml_or_plain_words() {
        let config = load(
            NADE,
            &["model.hidden=7", "model.ordering=snake", "train.optimizer.learning_rate = 0.5"],
        )
        .unwrap();
        let text = config.to_toml().unwrap();
        for line in ["hidden = 7", "ordering = \"snake\"", "learning_rate = 0.5"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let stored = load(NADE, &[]).unwrap();
        let differences = config.differences(&stored).unwrap();
        let difference = differences.iter().find(|found| found.key == "model.hidden").unwrap();
        assert_eq!(
            (difference.key.as_str(), difference.ours.as_str(), difference.stored.as_str()),
            ("model.hidden", "7", "20")
        );
    }

    #[test]
    fn a_bad_override_is_named() {
        for (text, part) in [
            ("model.hidden", "no `=`"),
            ("model..hidden=1", "no key"),
            ("name.x=1", "`name` is no table"),
            ("model.hidden=[1", "no TOML value"),
            ("model.hidden=", "no TOML value"),
            ("model.hiden=5", "--set model.hiden: unknown key `model.hiden`"),
            ("model.hidden=0", "--set model.hidden: `model.hidden = 0`"),
            ("model.hidden=big", "`model.hidden = \"big\"`, expected a whole number, 0 or more"),
        ] {
            let message = load(NADE, &[text]).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
