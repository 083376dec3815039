//! A config for tests, and how it is loaded.

use std::fs;

use anyhow::Result;

use super::Config;

/// A neural model over bits, with every table but `[deviations]`.
pub(super) const NADE: &str = r#"
name = "nade-digits"
seed = 3
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "nade"
hidden = 20
ordering = { kind = "random", seed = 3 }
[train]
epochs = 2
optimizer = { kind = "adam", learning_rate = 1e-3 }
schedule = { kind = "cosine" }
[paper]
test_nll_nats = 88.33
source = "somewhere"
"#;

/// Loads a config from a folder of its own.
pub(super) fn load(text: &str, overrides: &[&str]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    fs::write(&path, text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Config::load(&path, &overrides)
}
