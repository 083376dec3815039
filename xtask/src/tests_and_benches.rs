//! `cargo xtask test` and `cargo xtask bench`.

use crate::terminal;
use crate::workspace::{cargo, root, run};
use anyhow::Result;

/// Runs the tests of the workspace, then the doctests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let root = root()?;
    // The tests themselves say it too, but test runners hide the words of a test that passes.
    if std::env::var_os("CHAINRULE_DATA").is_none() {
        terminal::note("CHAINRULE_DATA is not set: tests on real data are skipped");
    }
    let mut command = cargo(&root);
    if crate::check::is_installed(&root, &["nextest", "--version"]) {
        command.args(["nextest", "run", "--release", "--workspace"]);
    } else {
        terminal::note("cargo-nextest is not installed; cargo test runs the tests");
        // The targets one by one, because doctests come below and benches are no tests.
        command.args(["test", "--release", "--workspace", "--lib", "--bins", "--tests"]);
    }
    run(command.args(arguments))?;
    if arguments.is_empty() {
        run(cargo(&root).args(["test", "--release", "--workspace", "--doc"]))?;
    }
    Ok(())
}

/// Runs the benches, those of readers among them.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    let packages = ["--package", "chainrule-benches", "--package", "ar-data"];
    let mut command = cargo(&root()?);
    command.arg("bench").args(packages).args(["--features", "ar-data/arrow"]);
    run(command.args(arguments))
}
