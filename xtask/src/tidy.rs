//! Checks of the workspace that no other tool makes.
//!
//! - The dependency arrows of the design: which crate may depend on which.
//! - `unsafe` is forbidden everywhere but in ar-kernels.
//! - No file mentions a folder of the machine it was written on.
//! - Every committed result belongs to the config that is committed beside it.
//! - What README.md and the book point at exists (`book.rs`).

use crate::experiment::config;
use crate::experiment::result::Results;
use crate::workspace::{self, cargo, shown};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each crate of the workspace and those of the others that its `[dependencies]` may name.
const ARROWS: [(&str, &[&str]); 8] = [
    ("prob-core", &[]),
    ("ar-kernels", &[]),
    ("ar-models", &["prob-core", "ar-kernels"]),
    ("ar-data", &[]),
    ("ar-cli", &["prob-core", "ar-models", "ar-data"]),
    ("ar-python", &["ar-cli"]),
    ("chainrule-benches", &["prob-core", "ar-kernels", "ar-models"]),
    ("xtask", &[]),
];

/// Crates that must not reach burn, not even through others.
const WITHOUT_BURN: [&str; 2] = ["ar-data", "xtask"];

/// The crate that may hold `unsafe`.
const UNSAFE_CRATE: &str = "ar-kernels";

/// Everything that is wrong, one line each.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>> {
    let metadata = metadata(root)?;
    let mut findings = arrows(&metadata);
    findings.extend(burn_in_tree(&metadata));
    findings.extend(unsafe_outside(root, &metadata)?);
    let files = workspace::files(root)?;
    findings.extend(machine_paths(root, &files));
    findings.extend(crate::book::findings(root, &files)?);
    findings.extend(stale_results(root)?);
    findings.extend(crate::promises::findings(root)?);
    Ok(findings)
}

/// The parts of `cargo metadata` that are read.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for `[dependencies]`, else "dev" or "build".
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Metadata {
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

fn metadata(root: &Path) -> Result<Metadata> {
    let mut command = cargo(root);
    command.args(["metadata", "--format-version", "1"]);
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}` failed: {}", shown(&command), said.trim());
    serde_json::from_slice(&output.stdout).context("unexpected output of cargo metadata")
}

/// Dependencies between crates of the workspace that the design does not have.
fn arrows(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata.members() {
        let name = package.name.as_str();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("{name} has no line in ARROWS of xtask/src/tidy.rs"));
            continue;
        };
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            let is_dev = dependency.kind.as_deref() == Some("dev");
            if ours.contains(target) && !is_dev && !allowed.contains(&target) {
                let allowed =
                    if allowed.is_empty() { "none of ours".into() } else { allowed.join(", ") };
                findings.push(format!("{name} depends on {target}; allowed: {allowed}"));
            }
        }
    }
    findings
}

/// Crates that reach burn and must not, by way of which crate.
fn burn_in_tree(metadata: &Metadata) -> Vec<String> {
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let names: BTreeMap<&str, &str> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let mut findings = Vec::new();
    for start in metadata.members().filter(|p| WITHOUT_BURN.contains(&p.name.as_str())) {
        let mut seen = BTreeSet::from([start.id.as_str()]);
        let mut open = vec![start.id.as_str()];
        while let Some(id) = open.pop() {
            let edges = nodes.get(id).map_or(&[][..], |node| &node.deps);
            let normal = edges.iter().filter(|e| e.dep_kinds.iter().any(|k| k.kind.is_none()));
            for edge in normal {
                let name = names.get(edge.pkg.as_str()).copied().unwrap_or_default();
                if name == "burn" || name.starts_with("burn-") {
                    let by = names.get(id).copied().unwrap_or_default();
                    findings.push(format!("{} reaches {name}, through {by}", start.name));
                } else if seen.insert(&edge.pkg) {
                    open.push(&edge.pkg);
                }
            }
        }
    }
    findings
}

/// Crates in which the compiler would let `unsafe` pass.
fn unsafe_outside(root: &Path, metadata: &Metadata) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let workspace = manifest(&root.join("Cargo.toml"))?;
    let level = &workspace["workspace"]["lints"]["rust"]["unsafe_code"];
    if level.as_str() != Some("forbid") {
        findings.push("[workspace.lints.rust] must say unsafe_code = \"forbid\"".to_owned());
    }
    for package in metadata.members().filter(|package| package.name != UNSAFE_CRATE) {
        let manifest = manifest(Path::new(&package.manifest_path))?;
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if inherits.and_then(toml::Value::as_bool) != Some(true) {
            let name = &package.name;
            findings.push(format!("{name} must inherit the lints: [lints] workspace = true"));
        }
    }
    Ok(findings)
}

fn manifest(path: &Path) -> Result<toml::Table> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

/// Lines of these files that name a folder which exists only on somebody's machine.
fn machine_paths(root: &Path, files: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        // Deleted files are still listed, and data files are no text.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        for (i, line) in text.lines().enumerate() {
            if let Some(path) = machine_path(line) {
                findings.push(format!("{file}:{}: {path} is a path of one machine", i + 1));
            }
        }
    }
    findings
}

/// The path of somebody's machine in a line, if it has one.
fn machine_path(line: &str) -> Option<&str> {
    // In two pieces, so that this file does not find itself.
    const FOLDERS: [&str; 4] = [
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
    ];
    FOLDERS.iter().find_map(|folder| {
        line.match_indices(folder).find_map(|(at, _)| {
            // Inside a longer path or an address it is a folder like any other.
            let is_start = line[..at]
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && !"_-.~}/".contains(c));
            let rest = &line[at..];
            let end = rest.find(|c: char| c.is_whitespace() || "\"'`)>".contains(c));
            is_start.then(|| &rest[..end.unwrap_or(rest.len())])
        })
    })
}

/// Results of an experiment that is gone or whose config has changed since.
fn stale_results(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let configs = root.join("configs");
    for (name, results) in Results::all(root)? {
        let experiment = match config::load(&configs, &name) {
            Ok(experiment) => experiment,
            Err(error) => {
                findings.push(format!("results/{name}.json: {error:#}"));
                continue;
            }
        };
        let now: Vec<_> = experiment
            .rungs
            .iter()
            .map(|rung| (&rung.name, &rung.sha256, rung.anomalies.as_ref()))
            .collect();
        let then: Vec<_> = results
            .outcomes
            .iter()
            .map(|o| (&o.config, &o.config_sha256, o.anomalies.as_ref().map(|a| &a.sets)))
            .collect();
        if now != then {
            findings.push(format!(
                "results/{name}.json was computed from other configs; \
                 `cargo xtask experiment {name} --save` writes it anew"
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A dependency's name and kind.
    type Named = (&'static str, Option<&'static str>);

    /// Metadata of a workspace with the given `[dependencies]`, all resolved.
    fn workspace(packages: &[(&str, &[Named])]) -> Metadata {
        let package = |name: &str, dependencies: &[Named]| {
            let dependencies: Vec<Value> = dependencies
                .iter()
                .map(|(name, kind)| json!({ "name": name, "kind": kind }))
                .collect();
            json!({ "id": name, "name": name, "manifest_path": "", "dependencies": dependencies })
        };
        let node = |name: &str, dependencies: &[Named]| {
            let edges: Vec<Value> = dependencies
                .iter()
                .map(|(name, kind)| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] }))
                .collect();
            json!({ "id": name, "deps": edges })
        };
        let is_ours = |name: &str| ARROWS.iter().any(|(known, _)| *known == name);
        serde_json::from_value(json!({
            "packages": packages.iter().map(|(n, d)| package(n, d)).collect::<Vec<_>>(),
            "workspace_members":
                packages.iter().map(|(n, _)| *n).filter(|n| is_ours(n)).collect::<Vec<_>>(),
            "resolve": { "nodes": packages.iter().map(|(n, d)| node(n, d)).collect::<Vec<_>>() },
        }))
        .unwrap()
    }

    #[test]
    fn the_arrows_of_the_design_pass() {
        let metadata = workspace(&[
            ("prob-core", &[("burn", None)]),
            ("ar-kernels", &[("burn", None), ("prob-core", Some("dev"))]),
            ("ar-models", &[("prob-core", None), ("ar-kernels", None)]),
            ("ar-data", &[("thiserror", None), ("prob-core", Some("dev"))]),
            ("ar-cli", &[("prob-core", None), ("ar-models", None), ("ar-data", None)]),
            ("burn", &[]),
            ("thiserror", &[]),
        ]);
        assert_eq!(arrows(&metadata), Vec::<String>::new());
        assert_eq!(burn_in_tree(&metadata), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let metadata = workspace(&[
            ("prob-core", &[]),
            ("ar-data", &[]),
            ("ar-models", &[("prob-core", None), ("ar-data", None)]),
            ("xtask", &[("prob-core", Some("build"))]),
        ]);
        assert_eq!(
            arrows(&metadata),
            [
                "ar-models depends on ar-data; allowed: prob-core, ar-kernels",
                "xtask depends on prob-core; allowed: none of ours",
            ]
        );
    }

    #[test]
    fn a_crate_without_a_line_is_found() {
        let mut metadata = workspace(&[("prob-core", &[]), ("ar-extra", &[])]);
        metadata.workspace_members.insert("ar-extra".to_owned());
        assert_eq!(arrows(&metadata), ["ar-extra has no line in ARROWS of xtask/src/tidy.rs"]);
    }

    #[test]
    fn burn_is_found_behind_another_crate_but_not_in_dev_dependencies() {
        let metadata = workspace(&[
            ("ar-data", &[("helper", None), ("burn-flex", Some("dev"))]),
            ("helper", &[("burn-tensor", None)]),
            ("burn-tensor", &[]),
            ("burn-flex", &[]),
        ]);
        assert_eq!(burn_in_tree(&metadata), ["ar-data reaches burn-tensor, through helper"]);
    }

    #[test]
    fn paths_of_a_machine_are_told_from_addresses_and_relative_paths() {
        let folder = concat!("/ho", "me/");
        assert_eq!(
            machine_path(&format!("see {folder}me/x.rs, there")),
            Some(&*format!("{folder}me/x.rs,"))
        );
        assert_eq!(machine_path(&format!("\"{folder}me\"")), Some(&*format!("{folder}me")));
        assert_eq!(machine_path(&format!("https://example.org{folder}me")), None);
        assert_eq!(machine_path(&format!("..{folder}me and $X{folder}")), None);
    }
}
