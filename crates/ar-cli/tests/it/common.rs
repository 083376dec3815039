//! What the tests of the binary share.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for a test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and returns its name.
    pub(crate) fn file<'a>(&self, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
        fs::write(self.path(name), content).expect("a file in a temporary folder");
        name
    }

    /// The program in this folder, without any data but the embedded digits.
    pub(crate) fn chainrule(&self, arguments: &[&str]) -> Command {
        let mut command = chainrule();
        command.current_dir(self.folder.path()).args(arguments);
        command.env_remove("CHAINRULE_DATA").env("XDG_CACHE_HOME", self.path("no-cache"));
        command
    }

    /// The record that a successful command prints with `--json`, and nothing else.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.chainrule(arguments).args(["--json", "--quiet"]).output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?} failed: {stderr}");
        assert_eq!(stderr, "", "{arguments:?} is not quiet");
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// The stderr of a command that fails by the user's mistake.
    pub(crate) fn mistake(&self, arguments: &[&str]) -> String {
        let output = self.chainrule(arguments).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("hint: "), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
        stderr
    }
}

/// The program.
pub(crate) fn chainrule() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A committed config of the repository.
pub(crate) fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../configs/{name}.toml"));
    assert!(path.is_file(), "{}", path.display());
    path.display().to_string()
}

/// A small NADE on the digits.
pub(crate) const NADE: &str = r#"
name = "small"
seed = 5
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "nade"
hidden = 8
[train]
epochs = 3
batch_size = 50
optimizer = { kind = "adam", learning_rate = 5e-3 }
schedule = { kind = "cosine" }
[paper]
test_nll_nats = 20.5
source = "nowhere"
[deviations]
notes = ["smaller"]
"#;
