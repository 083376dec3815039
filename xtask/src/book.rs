//! The pages that people read, README.md and the book in `docs/`: whether what they point at is there, and
//! `cargo xtask docs`, which makes HTML of the book. That their commands run is tested in `crates/ar-cli/tests/it/book.rs`,
//! that their Rust compiles by the doctests of `benches/lib.rs` and of each crate.

use crate::failure::Mistake;
use crate::terminal;
use crate::workspace::{root, run as run_command};
use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders of the checkout: a word in code that begins with one and names a file is checked.
const FOLDERS: [&str; 7] =
    ["benches/", "configs/", "crates/", "docs/", "results/", "xtask/", ".ci/"];

/// The list of the book's chapters.
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// What a page says of others.
#[derive(Debug, Default)]
struct Page {
    /// Targets of links and pictures.
    links: Vec<String>,
    /// What its headings are called in links.
    anchors: BTreeSet<String>,
    /// Words in code.
    code: Vec<String>,
    /// Lines of its command blocks.
    commands: Vec<String>,
    has_rust: bool,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        let mut block: Option<String> = None;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor_of(&heading.take().unwrap_or_default());
                    let count = counts.entry(anchor.clone()).or_default();
                    page.anchors.insert(match *count {
                        0 => anchor,
                        again => format!("{anchor}-{again}"),
                    });
                    *count += 1;
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    page.has_rust |= language.split(',').next() == Some("rust");
                    block = Some(language.into_string());
                }
                Event::End(TagEnd::CodeBlock) => block = None,
                Event::Text(text) if block.is_some() => {
                    let is_shell = matches!(block.as_deref(), Some("sh" | "console"));
                    page.commands.extend(text.lines().filter(|_| is_shell).map(str::to_owned));
                }
                Event::Text(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                Event::Code(code) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&code));
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }
}

/// What a heading is called in a link, on GitHub and by mdBook.
fn anchor_of(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// What is wrong in the pages among `files`, one line each.
pub(crate) fn findings(root: &Path, files: &[String]) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        if let Ok(text) = fs::read_to_string(root.join(file)) {
            pages.insert(file.as_str(), Page::read(&text));
        }
    }
    let mut findings = Vec::new();
    for (&name, page) in &pages {
        let links = page.links.iter().filter_map(|link| wrong_link(root, &pages, name, link));
        findings.extend(links);
        let is_file = |code: &&String| {
            let is_path = !code.contains(|c: char| c.is_whitespace() || "*<>{}…".contains(c));
            is_path && FOLDERS.iter().any(|folder| code.starts_with(folder))
        };
        let gone = page.code.iter().filter(is_file).filter(|code| !root.join(code).exists());
        // What has been is history.
        let gone = gone.filter(|_| name != "CHANGELOG.md");
        findings.extend(gone.map(|code| format!("{name}: `{code}` does not exist")));
        findings.extend(page.commands.iter().filter_map(|line| {
            let said = wrong_command(root, line)?;
            Some(format!("{name}: `{}`: {said}", line.trim()))
        }));
    }
    findings.extend(unlisted(&pages));
    findings.extend(uncompiled(root, &pages)?);
    Ok(findings)
}

/// What is wrong with a link, if it is one to a file or a heading of ours.
fn wrong_link(root: &Path, pages: &BTreeMap<&str, Page>, from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(f, a)| (f, Some(a)));
    let target = if file.is_empty() { Some(from.to_owned()) } else { beside(from, file) };
    let Some(target) = target.filter(|target| root.join(target).exists()) else {
        return Some(format!("{from}: the link to {link} leads nowhere"));
    };
    if from.starts_with("docs/src/") && !target.starts_with("docs/src/") {
        return Some(format!("{from}: the link to {link} leads out of the book"));
    }
    let page = pages.get(target.as_str());
    anchor
        .filter(|&anchor| page.is_none_or(|page| !page.anchors.contains(anchor)))
        .map(|anchor| format!("{from}: {target} has no heading that is called #{anchor}"))
}

/// A path relative to a page, as one relative to the root.
fn beside(page: &str, file: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in Path::new(page).parent()?.join(file).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?.to_owned()),
            Component::ParentDir => drop(parts.pop()?),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

/// What is wrong with a line that calls `cargo xtask`, a bench or a script of ours.
fn wrong_command(root: &Path, line: &str) -> Option<String> {
    let line = line.split("  #").next().unwrap_or(line);
    let words: Vec<&str> = line.trim_start_matches(['$', ' ']).split_whitespace().collect();
    let named = |program: &str| words.iter().position(|&word| word == program);
    if let Some(at) = words.windows(2).position(|pair| pair == ["cargo", "xtask"]) {
        let said = crate::Cli::try_parse_from(&words[at + 1..]).err()?;
        return Some(said.to_string().lines().next().unwrap_or_default().to_owned());
    }
    if let (Some(_), Some(at)) = (named("bench"), named("--bench")) {
        let bench = words.get(at + 1)?;
        let places = ["benches", "crates/ar-data/benches"];
        let is_there =
            places.iter().any(|place| root.join(place).join(format!("{bench}.rs")).exists());
        return (!is_there).then(|| format!("there is no bench {bench}"));
    }
    let script = words.get(named("python").or(named("python3"))? + 1)?;
    (script.ends_with(".py") && !root.join(script).exists()).then(|| "no such script".to_owned())
}

/// Chapters that the book does not list.
fn unlisted(pages: &BTreeMap<&str, Page>) -> Vec<String> {
    let Some(summary) = pages.get(SUMMARY) else {
        return vec![format!("{SUMMARY} is missing")];
    };
    let listed: BTreeSet<String> =
        summary.links.iter().filter_map(|link| beside(SUMMARY, link)).collect();
    let chapters = pages.keys().filter(|name| name.starts_with("docs/src/") && **name != SUMMARY);
    chapters
        .filter(|name| !listed.contains(**name))
        .map(|name| format!("{SUMMARY} does not list {name}"))
        .collect()
}

/// Pages with Rust in them that no doctest includes.
fn uncompiled(root: &Path, pages: &BTreeMap<&str, Page>) -> Result<Vec<String>> {
    let benches = root.join("benches/lib.rs");
    let benches = fs::read_to_string(&benches).context("reading benches/lib.rs")?;
    let is_included = |name: &str| match name.strip_prefix("crates/") {
        Some(of_crate) => {
            let folder = of_crate.split('/').next().unwrap_or_default();
            let library = root.join("crates").join(folder).join("src/lib.rs");
            fs::read_to_string(library).is_ok_and(|text| text.contains("\"../README.md\""))
        }
        None => benches.contains(&format!("\"../{name}\"")),
    };
    let with_rust = pages.iter().filter(|(_, page)| page.has_rust);
    Ok(with_rust
        .filter(|(name, _)| !is_included(name))
        .map(|(name, _)| format!("{name} has Rust that no doctest compiles: see benches/lib.rs"))
        .collect())
}

/// Whether `mdbook` answers.
pub(crate) fn has_mdbook() -> bool {
    let mut mdbook = Command::new("mdbook");
    let silent = mdbook.arg("--version").stdin(Stdio::null()).stdout(Stdio::null());
    silent.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Makes HTML of the book.
pub(crate) fn build() -> Result<()> {
    if !has_mdbook() {
        bail!(Mistake::new("mdbook is not installed").hint(
            "`cargo install mdbook --locked` (minutes), or https://github.com/rust-lang/mdBook/releases; \
             the pages in docs/src read as they are, too"
        ));
    }
    let docs: PathBuf = root()?.join("docs");
    run_command(Command::new("mdbook").arg("build").arg(&docs))?;
    terminal::note("docs/book/index.html");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        let page = Page::read(
            "# Any variables, given any others\n## `train FILE` and `init`\n## `[data.columns]`\n\
             ## A–B\n## A–B\n## 결합분포와 2ⁿ\n",
        );
        let expected = [
            "ab",
            "ab-1",
            "any-variables-given-any-others",
            "datacolumns",
            "train-file-and-init",
            "결합분포와-2ⁿ",
        ];
        assert_eq!(page.anchors.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_pages_point_at_and_is_not_there_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("benches/lib.rs", "#[doc = include_str!(\"../README.md\")]");
        write("benches/nade_step.rs", "");
        write("docs/src/SUMMARY.md", "- [One](one.md)\n- [No](no.md)\n");
        write("docs/src/one.md", "# One\n[out](../../README.md) [here](#one) [two](two.md#gone)\n");
        write("docs/src/two.md", "# Two\n```rust\n```\n");
        write(
            "README.md",
            "# A\n[one](docs/src/one.md#one) ![x](no.png) [web](https://a.b#c) `benches/lib.rs` \
             `benches/no.rs`\n```rust\n```\n```sh\ncargo xtask check --only tidy  # x\n\
             cargo xtask nothing\ncargo bench --bench nade_step\ncargo bench --bench no\n\
             python benches/no.py\n```\n",
        );
        let files = ["README.md", SUMMARY, "docs/src/one.md", "docs/src/two.md"];
        let found = findings(folder.path(), &files.map(str::to_owned)).unwrap();
        let parts = [
            "README.md: the link to no.png leads nowhere",
            "README.md: `benches/no.rs` does not exist",
            "README.md: `cargo xtask nothing`: error",
            "README.md: `cargo bench --bench no`: there is no bench",
            "README.md: `python benches/no.py`: no such script",
            "SUMMARY.md: the link to no.md leads nowhere",
            "one.md: the link to ../../README.md leads out of the book",
            "one.md: docs/src/two.md has no heading that is called #gone",
            "SUMMARY.md does not list docs/src/two.md",
            "docs/src/two.md has Rust that no doctest compiles",
        ];
        for part in parts {
            assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
        }
        assert_eq!(found.len(), parts.len(), "{found:#?}");
    }
}
