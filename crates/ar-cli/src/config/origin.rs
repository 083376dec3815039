//! Where a config came from: where in it a mistake is, in words.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::decode::Fault;
use crate::error::{ErrorKind, Mistake, model_hint, nearest};

/// Where in a config a mistake is.
enum Place {
    /// In the `--set` of this key.
    Override(String),
    /// In the file, on a line from 1 where it is known.
    File(Option<usize>),
}

/// Where a config came from, to say where a mistake is.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    path: PathBuf,
    text: String,
    /// The keys that `--set` gave.
    overridden: Vec<Vec<String>>,
}

impl Origin {
    /// The text of the file at `path`, and the keys that were set beside it.
    pub(super) fn new(path: &Path, text: String, overridden: Vec<Vec<String>>) -> Self {
        Self { path: path.to_owned(), text, overridden }
    }

    /// A path in the config, which is relative to the config's folder, as an absolute one.
    pub(super) fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(path);
        std::path::absolute(&path).with_context(|| format!("{}", path.display()))
    }

    /// The `--set` that a key is from, or the file, and the line of the key (or of the nearest table around
    /// it) where it has one.
    fn place(&self, key: &[&str]) -> Place {
        for overridden in &self.overridden {
            if overridden.starts_with(&key.iter().map(ToString::to_string).collect::<Vec<_>>())
                || key.starts_with(&overridden.iter().map(String::as_str).collect::<Vec<_>>())
            {
                return Place::Override(overridden.join("."));
            }
        }
        Place::File(span_of(&self.text, key).map(|span| line_of(&self.text, span.start)))
    }

    /// A mistake about a key, with its place.
    pub(super) fn mistake(&self, key: &[&str], message: String, hint: String) -> anyhow::Error {
        let file = self.path.display();
        let new =
            |place: String| Mistake::new(format!("{place}: {message}"), hint).of(ErrorKind::Config);
        match self.place(key) {
            Place::Override(key) => new(format!("--set {key}")).at(format!("--set {key}")),
            Place::File(None) => new(file.to_string()).in_file(&self.path),
            Place::File(Some(line)) => {
                new(format!("{file}:{line}")).in_file(&self.path).at(format!("line {line}"))
            }
        }
        .into()
    }

    /// An error of ar-models about this config.
    pub(super) fn blame(&self, error: ar_models::Error) -> anyhow::Error {
        let hint = model_hint(&error);
        let key: Vec<&str> = match &error {
            ar_models::Error::Config { key, .. } => key.split('.').collect(),
            ar_models::Error::Labels { .. } => vec!["model", "classes"],
            _ => vec!["model"],
        };
        self.mistake(&key, error.to_string(), hint)
    }

    /// A fault found while decoding, in words.
    pub(super) fn explain(&self, table: &Table, fault: &Fault) -> anyhow::Error {
        let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
        let (key, last) = (path.join("."), path.last().copied().unwrap_or_default());
        let message = &fault.message;
        let (what, expected) = message.split_once(", ").unwrap_or((message.as_str(), ""));
        let known = backticked(expected);
        if what.starts_with("unknown field") {
            let allowed = if known.is_empty() { "no keys here".into() } else { known.join(", ") };
            let hint = match nearest(last, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove the key".into(),
            };
            return self.mistake(&path, format!("unknown key `{key}`, expected {allowed}"), hint);
        }
        if let Some(field) = message.strip_prefix("missing field ") {
            let field = field.trim_matches('`');
            let key = path.iter().copied().chain([field]).collect::<Vec<_>>().join(".");
            let place = if path.is_empty() {
                "at the top".into()
            } else {
                format!("to [{}]", path.join("."))
            };
            return self.mistake(
                &path,
                format!("missing key `{key}`"),
                format!("add `{field} = …` {place}{}", missing_example(&key)),
            );
        }
        let value = value_at(table, &path)
            .map_or_else(String::new, |value| format!(" = {}", shortened(&value.to_string())));
        let allowed = match expected.strip_prefix("expected ") {
            Some(_) if what.starts_with("unknown variant") => {
                format!("expected one of {}", known.join(", "))
            }
            Some(expected) => format!("expected {}", in_words(expected)),
            None => message.clone(),
        };
        let given = value_at(table, &path).and_then(toml::Value::as_str).unwrap_or_default();
        let hint = match nearest(given, known.iter().copied()) {
            Some(near) if what.starts_with("unknown variant") => format!("did you mean `{near}`?"),
            _ => format!("change `{key}` in the config, or pass --set {key}=VALUE"),
        };
        self.mistake(&path, format!("`{key}{value}`, {allowed}"), hint)
    }
}

/// What a missing key might be.
fn missing_example(key: &str) -> &'static str {
    match key {
        "name" => ", for example \"my-experiment\"",
        "data" => ": a table [data] with name = \"digits\"",
        "model" => ": a table [model] with kind = \"nade\"",
        "model.order" => ", how many predecessors each variable sees",
        "model.hidden" => ", the number of hidden units, for example 500",
        "model.offsets" => ", for example [[0, -1], [-1, 0]]",
        "train.epochs" => ", for example 20",
        _ => "",
    }
}

/// The words between backticks.
fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// serde's name of a Rust type as a reader of TOML would say it.
fn in_words(expected: &str) -> String {
    match expected {
        "usize" | "u64" | "u16" => "a whole number, 0 or more".into(),
        "isize" | "i64" => "a whole number".into(),
        "f64" => "a number".into(),
        "a string" => "a string in quotes".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list in brackets".into(),
        "path string" => "a path in quotes".into(),
        other if other.starts_with("struct ") || other.contains("tagged enum") => {
            "a table of keys".into()
        }
        other => other.into(),
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn value_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |at, key| at.get(key))
}

/// Where a key stands in the text, or the innermost table of its path that is there.
fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut span = None;
    for part in path {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else { break };
        span = Some(key.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    span
}

/// The line from 1 that a byte is in.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use crate::config::support::{NADE, load};
    use crate::error::render;

    /// The message for NADE with `from` replaced by `to`, without the folder.
    fn refused(from: &str, to: &str) -> String {
        assert!(NADE.contains(from), "{from}");
        let error = load(&NADE.replace(from, to), &[]).unwrap_err();
        let text = render(&error, false);
        let start = text.find("c.toml").unwrap_or_else(|| panic!("{text}"));
        text[start..].to_owned()
    }

    #[test]
    fn mistakes_name_the_line_the_key_the_value_and_what_is_allowed() {
        for (from, to, expected) in [
            (
                "hidden = 20",
                "hiden = 20",
                "c.toml:9: unknown key `model.hiden`, expected hidden, ordering, init_scale, classes, \
                 components, likelihood\n\
                 hint: did you mean `hidden`?\n",
            ),
            (
                "hidden = 20\n",
                "",
                "c.toml:7: missing key `model.hidden`\nhint: add `hidden = …` to [model], the \
                 number of hidden units, for example 500\n",
            ),
            (
                "hidden = 20",
                "hidden = -20",
                "c.toml:9: `model.hidden = -20`, expected a whole number, 0 or more\nhint: change \
                 `model.hidden` in the config, or pass --set model.hidden=VALUE\n",
            ),
            (
                "hidden = 20",
                "hidden = 0",
                "c.toml:9: `model.hidden = 0`, expected 1 to 1048576 hidden units\nhint: change \
                 `model.hidden` in the config, or try a value with --set model.hidden=VALUE\n",
            ),
            (
                "kind = \"nade\"",
                "kind = \"nadee\"",
                "c.toml:8: `model.kind = \"nadee\"`, expected one of uniform, independent, markov, \
                 neighbourhood, bayesian-network, full-table, kernel, logistic, nade, made, rnade, \
                 orderless-nade, \
                 row-lstm, diagonal-lstm, diagonal-bilstm, pixel-cnn\nhint: did you mean `nade`?\n",
            ),
            (
                "learning_rate = 1e-3",
                "learning_rte = 1e-3",
                "c.toml:13: unknown key `train.optimizer.learning_rte`, expected learning_rate, \
                 beta_1, beta_2, epsilon\nhint: did you mean `learning_rate`?\n",
            ),
            (
                "learning_rate = 1e-3",
                "learning_rate = 0.0",
                "c.toml:13: `train.optimizer.learning_rate = 0`, expected a finite number above \
                 0\nhint: change `train.optimizer.learning_rate` in the config, or try a value \
                 with --set train.optimizer.learning_rate=VALUE\n",
            ),
            (
                "epochs = 2",
                "epochs = \"two\"",
                "c.toml:12: `train.epochs = \"two\"`, expected a whole number, 0 or more\nhint: \
                 change `train.epochs` in the config, or pass --set train.epochs=VALUE\n",
            ),
            (
                "[train]",
                "[trian]",
                "c.toml:11: unknown key `trian`, expected name, seed, data, model, train, paper, \
                 deviations\nhint: did you mean `train`?\n",
            ),
            (
                "name = \"nade-digits\"\n",
                "",
                "c.toml: missing key `name`\nhint: add `name = …` at the top, for example \
                 \"my-experiment\"\n",
            ),
            (
                "name = \"nade-digits\"",
                "name = \"../up\"",
                "c.toml:2: `name = \"../up\"`, expected 1 to 100 letters, digits, `-`, `_` and `.`, \
                 not starting with `.`\nhint: it names the run directory, so keep it plain: name = \
                 \"nade-digits\"\n",
            ),
            (
                "name = \"digits\"",
                "name = \"digit\"",
                "c.toml:5: `name = \"digit\"`, expected one of digits, mnist, binarized-mnist, \
                 fashion-mnist, cifar10, adult, connect4, dna, mushrooms, nips, ocr-letters, \
                 winequality-red\n\
                 hint: did you mean \"digits\"?\n",
            ),
            (
                "binarize = \"threshold\"\n[model]\nkind = \"nade\"\nhidden = 20\n",
                "binarize = \"none\"\n[model]\nkind = \"logistic\"\n",
                "c.toml:7: model `logistic` needs binary data (2 levels), the data has 17 levels\n\
                 hint: set data.binarize = \"threshold\", or model.kind = \"nade\", which describes levels \
                 as they are\n",
            ),
            (
                "binarize = \"threshold\"",
                "binarize = \"threshhold\"",
                "c.toml:6: `data.binarize = \"threshhold\"`, expected one of none, threshold, \
                 stochastic\nhint: did you mean `threshold`?\n",
            ),
            (
                "binarize = \"threshold\"",
                "binarize = \"threshold\"\nlevels = 17",
                "c.toml:7: `levels` beside `name = \"digits\"`, expected it only with `train`\n\
                 hint: remove the key: a built-in dataset has its own splits, levels and shape\n",
            ),
            (
                "kind = \"random\", seed = 3",
                "kind = \"random\", sed = 3",
                "c.toml:10: unknown key `model.ordering.sed`, expected kind, seed\nhint: did you \
                 mean `seed`?\n",
            ),
            (
                "seed = 3\n[data]",
                "seed = 3\n[data",
                "c.toml:4: no TOML: unclosed table, expected `]`\nhint: every line is `key = \
                 value` or `[table]`; strings stand in quotes\n",
            ),
        ] {
            assert_eq!(refused(from, to), expected);
        }
    }
}
