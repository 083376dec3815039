//! `cargo xtask promises`: the tests of `docs/src/promises.md` at length, and whether that page and they
//! name each other.

use crate::terminal;
use crate::workspace::{cargo, root, run as run_command, shown};
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The page, and the folder of its tests.
const PAGE: &str = "docs/src/promises.md";
const TESTS: &str = "crates/ar-cli/tests/promises";

/// Run the tests of what is promised with many more places, moments and inputs than usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many times more
    #[arg(long, default_value_t = 250)]
    effort: u64,
    /// Only tests whose name contains this, such as fuzz
    filter: Option<String>,
}

/// Runs them, one after the other, and lets them say what they tried.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = root()?;
    for targets in [&["--test", "promises"][..], &["--lib", "configs_are"]] {
        let mut command = cargo(&root);
        command.args(["test", "--release", "--workspace"]).args(targets);
        if targets[0] == "--test" {
            command.args(&args.filter);
        }
        command.args(["--", "--nocapture", "--test-threads", "2"]);
        command.env("CHAINRULE_PROMISES", args.effort.to_string());
        terminal::note(&shown(&command));
        run_command(&mut command)?;
    }
    Ok(())
}

/// What is wrong between the page and the tests, one line each.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>> {
    let page = root.join(PAGE);
    let page = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let folder = root.join(TESTS);
    let entries = fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut tests = BTreeSet::new();
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        if path.extension().is_some_and(|end| end == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            tests.extend(tests_in(&text).map(|test| format!("{stem}::{test}")));
        }
    }
    Ok(differences(&page, &tests))
}

/// The names of the tests in a file.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|after| {
        let (_, after) = after.split_once("fn ")?;
        Some(after.split_once('(')?.0)
    })
}

fn differences(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let is_name = |word: &&str| {
        let of_words = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        word.split_once("::").is_some_and(|(file, test)| of_words(file) && of_words(test))
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    let missing = named.iter().filter(|name| !tests.contains(**name));
    let unnamed = tests.iter().filter(|test| !named.contains(test.as_str()));
    missing
        .map(|name| format!("{PAGE} names the test `{name}`, which is not in {TESTS}"))
        .chain(unnamed.map(|test| format!("{PAGE} does not name the test `{test}` of {TESTS}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_without_a_test_is_found_and_the_other_way_round() {
        let text = "#[cfg(unix)]\n#[test]\n#[expect(x)]\nfn one() {}\nfn helper() {}\n#[test]\nfn two() {}";
        let tests: BTreeSet<String> = tests_in(text).map(|test| format!("a::{test}")).collect();
        assert_eq!(tests.iter().collect::<Vec<_>>(), ["a::one", "a::two"]);
        assert!(differences("`a::one` and `a::two`, `x.rs`", &tests).is_empty());
        let found = differences("`a::one`, `a::three`", &tests);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("a::three") && found[1].contains("a::two"), "{found:?}");
    }
}
