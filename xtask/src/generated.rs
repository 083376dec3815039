//! `cargo xtask gen`: the sections of README.md and of the book that are copies of something else.
//!
//! A section stands between `<!-- begin:NAME -->` and `<!-- end:NAME -->`. The names are those of
//! ladders (their table, from `results/`: of anomalies where they are tested on them), `results` (single experiments with a published number)
//! and `help` (what `chainrule --help` prints).

use crate::chainrule::Chainrule;
use crate::experiment::anomalies;
use crate::experiment::result::{Comparison, Outcome, Results};
use crate::experiment::results_path;
use crate::experiment::table::{LEVELS_DIFFER, levels_differ, of_outcomes, seconds, signed};
use crate::failure::Mistake;
use crate::terminal;
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// Regenerates the sections, or says which are stale. The help text comes from the given binary,
/// or from one that is built.
pub(crate) fn run(check: bool, chainrule: Option<&Path>) -> Result<()> {
    let root = workspace::root()?;
    let mut all_stale = Vec::new();
    for path in pages(&root)? {
        let old = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let page = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let (new, stale) = replace_sections(&page, &old, |name| section(&root, name, chainrule))?;
        if !check && !stale.is_empty() {
            workspace::write(&path, new.as_bytes())?;
            terminal::note(&format!("{page}: wrote {}", stale.join(", ")));
        }
        all_stale.extend(stale.iter().map(|name| format!("{name} of {page}")));
    }
    if all_stale.is_empty() {
        terminal::note("README.md and the book are up to date");
    } else if check {
        let message = format!("stale: {}", all_stale.join(", "));
        bail!(Mistake::new(message).hint("`cargo xtask gen` writes the sections anew"));
    }
    Ok(())
}

/// README in every language, and the chapters of the book.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let is_page = |file: &String| {
        let is_readme = file.starts_with("README") && !file.contains('/');
        file.ends_with(".md") && (is_readme || file.starts_with("docs/src/"))
    };
    let pages = workspace::files(root)?.into_iter().filter(is_page).map(|file| root.join(file));
    // Deleted files are still listed.
    Ok(pages.filter(|page| page.exists()).collect())
}

/// The lines of a section.
fn section(root: &Path, name: &str, chainrule: Option<&Path>) -> Result<String> {
    match name {
        "help" => {
            let chainrule = match chainrule {
                Some(program) => Chainrule::at(root, program.to_path_buf(), None),
                None => Chainrule::build(root, None)?,
            };
            let help = chainrule.help()?;
            Ok(format!("```text\n{}\n```\n", help.trim_end()))
        }
        "results" => published(root),
        ladder => {
            let Some(results) = Results::load(&results_path(root, ladder))? else {
                let message = format!("a page has a section {ladder:?}, results/ has not");
                let hint = format!("`cargo xtask experiment {ladder} --save` writes it");
                bail!(Mistake::new(message).hint(hint));
            };
            let outcomes = &results.outcomes;
            let table = anomalies::table(outcomes).unwrap_or_else(|| of_outcomes(outcomes));
            Ok(format!("{table}\n{}\n", source(&results)))
        }
    }
}

/// Where the numbers of a table come from.
fn source(results: &Results) -> String {
    let machine = &results.provenance.machine;
    let run = format!(
        "`cargo xtask experiment {}` on {} cores of {}.",
        results.experiment, machine.cores, machine.cpu
    );
    let examples: Vec<u64> =
        results.outcomes.iter().map(|outcome| outcome.trained.test.examples).collect();
    let [examples, more @ ..] = &examples[..] else {
        return run;
    };
    if more.iter().any(|other| other != examples) {
        return run;
    }
    let levels =
        if levels_differ(&results.outcomes) { format!("{LEVELS_DIFFER} ") } else { String::new() };
    format!("{levels}{examples} test examples; {run}")
}

/// A table of the single experiments that have a published number.
fn published(root: &Path) -> Result<String> {
    let mut text = String::from(
        "| experiment | published | here | difference | minutes |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for (name, results) in Results::all(root)? {
        let single = results.outcomes.first().filter(|outcome| outcome.config == name);
        text.extend(single.and_then(published_row));
    }
    Ok(text)
}

fn published_row(outcome: &Outcome) -> Option<String> {
    let source = &outcome.paper.as_ref()?.source;
    let numbers = outcome.published();
    // Each unit that the paper gives, in the same order in every cell.
    let cell = |text: &dyn Fn(&Comparison) -> String| {
        let texts = numbers.iter().map(|c| format!("{} {}", text(c), c.unit.name()));
        texts.collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "| `{}` | {} ({source}) | {} | {} | {} |\n",
        outcome.config,
        cell(&Comparison::paper_text),
        cell(&|c| {
            let decimals = c.unit.decimals();
            format!("{:.decimals$} ± {:.decimals$}", c.ours, c.stderr)
        }),
        cell(&|c| signed(c.difference, c.unit.decimals())),
        seconds(outcome.wall_seconds / 60.0),
    ))
}

/// Replaces the body of every section by what `body(name)` returns, and names those that change.
///
/// # Errors
///
/// When a section does not end, ends without a beginning, or has no body to be had.
fn replace_sections(
    page: &str,
    text: &str,
    mut body: impl FnMut(&str) -> Result<String>,
) -> Result<(String, Vec<String>)> {
    let mut replaced = String::with_capacity(text.len());
    let mut stale = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.split_inclusive('\n') {
        let marker = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        match (marker.and_then(|marker| marker.split_once(':')), &mut open) {
            (Some(("begin", name)), None) => {
                replaced.push_str(line);
                open = Some((name, String::new()));
            }
            (Some(("end", name)), Some((begun, old))) if name == *begun => {
                // Blank lines, so that Markdown sees tables and fences beside the comments.
                let new = format!("\n{}\n\n", body(name)?.trim_matches('\n'));
                if new != *old {
                    stale.push(name.to_owned());
                }
                replaced.push_str(&new);
                replaced.push_str(line);
                open = None;
            }
            (Some(("begin" | "end", _)), _) => {
                let message = format!("{} in {page} stands in the wrong place", line.trim());
                bail!(Mistake::new(message));
            }
            (_, Some((_, old))) => old.push_str(line),
            (_, None) => replaced.push_str(line),
        }
    }
    match open {
        Some((name, _)) => {
            bail!(Mistake::new(format!("<!-- begin:{name} --> in {page} has no end")))
        }
        None => Ok((replaced, stale)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::tests::results;

    const TEXT: &str = "# A\n<!-- begin:one -->\nold\n<!-- end:one -->\nkept\n\
                        <!-- begin:two -->\n\n2\n\n<!-- end:two -->\nlast";

    fn number(name: &str) -> Result<String> {
        Ok(format!("{}\n", if name == "one" { 1 } else { 2 }))
    }

    #[test]
    fn sections_are_replaced_and_the_rest_is_kept() {
        let (new, stale) = replace_sections("A.md", TEXT, number).unwrap();
        let expected = "# A\n<!-- begin:one -->\n\n1\n\n<!-- end:one -->\nkept\n\
                        <!-- begin:two -->\n\n2\n\n<!-- end:two -->\nlast";
        assert_eq!((new.as_str(), stale), (expected, vec!["one".to_owned()]));
        assert_eq!(replace_sections("A.md", &new, number).unwrap(), (new.clone(), vec![]));
    }

    #[test]
    fn markers_that_do_not_pair_are_mistakes() {
        for (text, expected) in [
            ("<!-- begin:one -->\n", "has no end"),
            ("<!-- end:one -->\n", "wrong place"),
            ("<!-- begin:one -->\n<!-- end:two -->\n", "wrong place"),
            ("<!-- begin:one -->\n<!-- begin:two -->\n", "wrong place"),
        ] {
            let message = format!("{:#}", replace_sections("A.md", text, number).unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_published_number_stands_beside_ours() {
        let results = results();
        assert_eq!(published_row(&results.outcomes[0]), None);
        assert_eq!(
            published_row(&results.outcomes[1]).unwrap(),
            "| `nade-digits` | 18.00 nats (A & B 2016, <Table> 2) | 17.50 ± 0.25 nats | −0.50 nats \
             | 0.008 |\n"
        );
        let mut both = results.outcomes[1].clone();
        both.paper.as_mut().unwrap().test_bits_per_dim = Some(0.41);
        assert_eq!(
            published_row(&both).unwrap(),
            "| `nade-digits` | 18.00 nats, 0.41 bits/dim (A & B 2016, <Table> 2) | 17.50 ± 0.25 nats, \
             0.394 ± 0.006 bits/dim | −0.50 nats, −0.016 bits/dim | 0.008 |\n"
        );
    }
}
