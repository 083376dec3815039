//! `cargo xtask check`: what CI runs, cheapest first.

use crate::book;
use crate::chainrule::built_by_tests;
use crate::experiment;
use crate::failure::Mistake;
use crate::generated;
use crate::page;
use crate::python;
use crate::terminal;
use crate::tests_and_benches;
use crate::tidy;
use crate::workspace::{cargo, root, run as run_command, shown};
use anyhow::{Result, bail};
use clap::ValueEnum;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// Run what CI runs, cheapest first, up to the first failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// A step, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting
    Fmt,
    /// Dependency arrows, unsafe code, machine paths, stale results, links of the book
    Tidy,
    /// The book as HTML, where mdbook is installed
    Book,
    /// Spelling, where typos is installed
    Typos,
    /// Licences, sources and banned crates, where cargo-deny is installed
    Deny,
    /// clippy, warnings denied
    Clippy,
    /// rustdoc, warnings denied
    Docs,
    /// Unit, integration and documentation tests
    Tests,
    /// The ladder on digits against its committed results
    Experiment,
    /// Generated sections of README.md and of the book
    Gen,
    /// The Python package, where there is Python: built by pip, and tested
    Python,
    /// The page and the service, where there is chromium: used in a browser, asked for all that is described
    Page,
    /// Tests of the kernels on the ndarray backend
    Ndarray,
    /// Tests of the GPU kernels, where a Vulkan device answers, be it a software one
    Wgpu,
    /// The binary with the CUDA backend, type-checked without CUDA
    Cuda,
}

/// How a step that did not fail ended.
pub(crate) enum Ended {
    Passed,
    Skipped(&'static str),
}

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = root()?;
    let wanted = |step: &&Step| args.only.is_empty() || args.only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().filter(wanted).copied().collect();
    let start = Instant::now();
    let mut summary = String::new();
    let (mut passed, mut skipped, mut failure) = (0, 0, None);
    let mut chainrule = None;
    for &step in &steps {
        let name = step.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        if failure.is_some() {
            let _ = writeln!(summary, "  {name:<12}   not run");
            continue;
        }
        terminal::note(&format!("\n── {name} {}", "─".repeat(60_usize.saturating_sub(name.len()))));
        let step_start = Instant::now();
        let outcome = perform(step, &root, &mut chainrule);
        let elapsed = step_start.elapsed().as_secs_f64();
        let word = match &outcome {
            Ok(Ended::Passed) => {
                passed += 1;
                "passed".to_owned()
            }
            Ok(Ended::Skipped(reason)) => {
                skipped += 1;
                format!("skipped: {reason}")
            }
            Err(_) => "FAILED".to_owned(),
        };
        terminal::note(&format!("── {name}: {word}, {elapsed:.1} s"));
        let _ = writeln!(summary, "  {name:<12} {elapsed:>7.1} s  {word}");
        failure = outcome.err().map(|error| error.context(format!("step {name} failed")));
    }
    let _ = write!(summary, "  {:<12} {:>7.1} s", "in all", start.elapsed().as_secs_f64());
    terminal::note("");
    terminal::out(&summary)?;
    let failed = usize::from(failure.is_some());
    terminal::out(&format!("checks: {passed} passed, {failed} failed, {skipped} skipped"))?;
    failure.map_or(Ok(()), Err)
}

/// Runs one step. `chainrule` is the binary that the tests left, for the steps after them.
fn perform(step: Step, root: &Path, chainrule: &mut Option<PathBuf>) -> Result<Ended> {
    // Everything in release mode, so that burn is compiled for one profile only.
    match step {
        Step::Fmt => announce(root, &["fmt", "--all", "--check"], &[])?,
        Step::Tidy => {
            let findings = tidy::findings(root)?;
            if !findings.is_empty() {
                bail!(Mistake::new(findings.join("\n")));
            }
        }
        Step::Book if book::has_mdbook() => book::build()?,
        Step::Book => return Ok(Ended::Skipped("mdbook is not installed")),
        Step::Typos => {
            let mut typos = std::process::Command::new("typos");
            typos.current_dir(root);
            if !is_there(typos.arg("--version")) {
                return Ok(Ended::Skipped("typos is not installed"));
            }
            run_command(std::process::Command::new("typos").current_dir(root))?;
        }
        Step::Deny => {
            if !is_installed(root, &["deny", "--version"]) {
                return Ok(Ended::Skipped("cargo-deny is not installed"));
            }
            // Not the advisories: their database is a git repository, out of reach of our CI.
            announce(root, &["deny", "check", "bans", "licenses", "sources"], &[])?;
        }
        Step::Clippy => {
            let clippy = ["clippy", "--release", "--workspace", "--all-targets"];
            announce(root, &[&clippy[..], &["--", "-D", "warnings"]].concat(), &[])?;
        }
        Step::Docs => {
            let docs = ["doc", "--release", "--workspace", "--no-deps"];
            announce(root, &docs, &[("RUSTDOCFLAGS", "-D warnings")])?;
        }
        Step::Tests => {
            tests_and_benches::test(&[])?;
            *chainrule = built_by_tests(root)?;
        }
        Step::Experiment => experiment::run(&experiment::Args::quick_check(chainrule.clone()))?,
        Step::Gen => generated::run(true, chainrule.as_deref())?,
        Step::Python => {
            if chainrule.is_none() {
                *chainrule = built_by_tests(root)?;
            }
            return python::check(root, chainrule.as_deref());
        }
        Step::Page => {
            if chainrule.is_none() {
                *chainrule = built_by_tests(root)?;
            }
            return page::check(root, chainrule.as_deref());
        }
        Step::Ndarray => {
            let runner: &[&str] = if is_installed(root, &["nextest", "--version"]) {
                &["nextest", "run"]
            } else {
                &["test"]
            };
            let package = ["--release", "--package", "ar-kernels"];
            let features = ["--no-default-features", "--features", "ndarray"];
            announce(root, &[runner, &package, &features].concat(), &[])?;
        }
        Step::Wgpu => return wgpu(root),
        Step::Cuda => {
            let check = ["check", "--release", "--package", "ar-cli"];
            let features = ["--no-default-features", "--features", "cuda"];
            // cudarc links nothing when it believes to be on docs.rs, which has no CUDA either.
            announce(root, &[&check[..], &features].concat(), &[("DOCS_RS", "1")])?;
        }
    }
    Ok(Ended::Passed)
}

/// Where drivers of Vulkan say that they are there; the loader reads these and what the environment names.
const VULKAN_DRIVERS: [&str; 3] =
    ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// Tests the kernels on what answers through wgpu: built only where there is a driver, run where it works.
fn wgpu(root: &Path) -> Result<Ended> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
    let has_driver = named.iter().any(|name| std::env::var_os(name).is_some())
        || VULKAN_DRIVERS.iter().any(|folder| Path::new(folder).is_dir());
    if cfg!(target_os = "linux") && !has_driver {
        return Ok(Ended::Skipped(
            "no Vulkan driver is installed (on Debian mesa-vulkan-drivers has a software one)",
        ));
    }
    // All of the workspace is asked for, and two targets of it: so the crates below burn are those of the tests.
    let test = ["test", "--release", "--workspace", "--features", "wgpu"];
    let targets = ["--test", "cube", "--test", "cube_pixel"];
    let test = [&test[..], &targets].concat();
    // Where this is not set the loader complains on every start.
    let home = std::env::var("XDG_RUNTIME_DIR").unwrap_or_else(|_| "/tmp".to_owned());
    let environment = [("XDG_RUNTIME_DIR", home.as_str()), ("CHAINRULE_WGPU", "required")];
    announce(root, &[&test[..], &["--no-run"]].concat(), &environment)?;
    let mut probe = cargo(root);
    probe.args(&test).args(["--", "a_wgpu_device_answers"]).envs(environment);
    if !is_there(&mut probe) {
        return Ok(Ended::Skipped("no Vulkan device answers"));
    }
    announce(root, &test, &environment)?;
    Ok(Ended::Passed)
}

/// Says which cargo command runs, and runs it.
fn announce(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo(root);
    command.args(arguments).envs(environment.iter().copied());
    terminal::note(&shown(&command));
    run_command(&mut command)
}

/// Whether a cargo subcommand answers.
pub(crate) fn is_installed(root: &Path, arguments: &[&str]) -> bool {
    is_there(cargo(root).args(arguments))
}

pub(crate) fn is_there(command: &mut std::process::Command) -> bool {
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
