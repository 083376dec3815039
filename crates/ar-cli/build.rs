//! Tells the program which commit it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=CHAINRULE_GIT_REVISION");
    let revision =
        std::env::var("CHAINRULE_GIT_REVISION").ok().or_else(of_package).or_else(of_checkout);
    if let Some(revision) = revision {
        println!("cargo::rustc-env=CHAINRULE_GIT_REVISION={revision}");
    }
}

/// The commit that `cargo package` has noted.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// The commit that is checked out, and whether what is built differs from it.
fn of_checkout() -> Option<String> {
    // What changes when a commit is made, and the sources of all crates.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for path in [log.as_str(), "..", "../../Cargo.lock", "../../Cargo.toml"] {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = git(&["rev-parse", "HEAD"])?;
    let changes =
        git(&["status", "--porcelain", "--", "..", "../../Cargo.lock", "../../Cargo.toml"])?;
    Some(if changes.is_empty() { revision } else { format!("{revision}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
