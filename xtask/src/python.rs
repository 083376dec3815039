//! The Python package: pip builds it into a virtual environment of its own, as a user's does, and its tests run there.

use crate::check::{Ended, is_there};
use crate::terminal;
use crate::workspace::run;
use anyhow::{Context as _, Result};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the interpreter must have: its version, and virtual environments with pip.
const SUITS: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// What is built and tested with; the package names what it runs with itself.
const TOOLS: [&str; 6] =
    ["maturin>=1.9,<2", "pandas>=2", "polars>=1", "pytest>=8", "scikit-learn>=1.6", "pyarrow>=14"];

/// What else it is tested beside, where it can be had.
const PEERS: [&str; 6] = [
    "pyspark>=3.5",
    "dask[dataframe,distributed]",
    "pyod>=2",
    "nbconvert",
    "ipykernel",
    "matplotlib",
];

/// Why steps that need Python are left out where there is none.
pub(crate) const NO_PYTHON: &str = "python3 (3.10 or later, with venv and pip) is not installed";

const QUIET_PIP: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];

/// The interpreter of a virtual environment, made if it is not there; `None` where there is no Python to make it.
pub(crate) fn environment(home: &Path) -> Result<Option<PathBuf>> {
    if !is_there(Command::new("python3").args(["-c", SUITS])) {
        return Ok(None);
    }
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !is_there(Command::new(&python).arg("--version")) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    }
    Ok(Some(python))
}

/// Whether pip could install these.
pub(crate) fn install(python: &Path, packages: &[&str]) -> bool {
    is_there(Command::new(python).args(QUIET_PIP).args(packages))
}

/// Builds and tests the package. `chainrule` is the program whose numbers it must have.
pub(crate) fn check(root: &Path, chainrule: Option<&Path>) -> Result<Ended> {
    // Kept between runs, like everything that is downloaded.
    let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let Some(python) = environment(&target.join("python-check"))? else {
        return Ok(Ended::Skipped(NO_PYTHON));
    };
    let home = target.join("python-check");
    if !install(&python, &TOOLS) {
        return Ok(Ended::Skipped("pip cannot install what the Python package is built with"));
    }
    if !install(&python, &PEERS) {
        terminal::note(
            "pip cannot install Spark, Dask, pyod and Jupyter: their tests are left out",
        );
    }
    terminal::note("pip install ./python");
    let package = root.join("python");
    let mut build = Command::new(&python);
    // With the compiled dependencies that are there already.
    build.args(QUIET_PIP).arg("--no-build-isolation").arg(&package);
    build.env("CARGO_TARGET_DIR", &target).env("PATH", with_first(&python)?);
    run(&mut build)?;
    terminal::note("python -m pytest python/tests; doctests");
    let pytest = || {
        let mut pytest = Command::new(&python);
        // Elsewhere than in the package's folder, so that what is tested is what was installed.
        pytest.current_dir(&home).args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
        pytest.envs(chainrule.map(|program| ("CHAINRULE_BIN", program)));
        pytest
    };
    run(pytest().arg(package.join("tests")))?;
    run(pytest().args(["--doctest-modules", "--pyargs", "chainrule"]))?;
    Ok(Ended::Passed)
}

/// The programs of an environment, then those of the machine.
fn with_first(python: &Path) -> Result<OsString> {
    let own = python.parent().map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.into_iter().chain(env::split_paths(&path))).context("an odd PATH")
}
