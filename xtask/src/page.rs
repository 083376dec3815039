//! The page and the service of `chainrule serve`: used in a browser, and asked for everything that its document describes.

use crate::check::{Ended, is_there};
use crate::python::{NO_PYTHON, environment, install};
use crate::terminal;
use crate::workspace::run;
use anyhow::{Context as _, Result};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What drives the browser, and what asks the service.
const TOOLS: [&str; 2] = ["playwright>=1.50,<2", "schemathesis>=4,<5"];

/// Trains two small runs and uses them as somebody would.
pub(crate) fn check(root: &Path, chainrule: Option<&Path>) -> Result<Ended> {
    let Some(chainrule) = chainrule else {
        return Ok(Ended::Skipped("the tests, which build the program, have not run"));
    };
    if !is_there(Command::new("chromium").arg("--version")) {
        return Ok(Ended::Skipped("chromium is not installed"));
    }
    let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let home = target.join("page-check");
    let Some(python) = environment(&home)? else { return Ok(Ended::Skipped(NO_PYTHON)) };
    if !install(&python, &TOOLS) {
        return Ok(Ended::Skipped("pip cannot install playwright and schemathesis"));
    }
    let runs = home.join("runs");
    let _ = fs::remove_dir_all(&runs);
    fs::create_dir_all(&runs).context("no folder for runs")?;
    let flats = runs.join("flats.csv");
    fs::write(&flats, table()).with_context(|| format!("cannot write {}", flats.display()))?;
    let configs = root.join("configs");
    let of_config = |name: &str| configs.join(format!("{name}.toml"));
    let wanted = [
        ("nade-digits", of_config("nade-digits")),
        ("nade-classes-digits", of_config("nade-classes-digits")),
        ("flats", flats),
    ];
    for (name, data) in &wanted {
        let mut train = Command::new(chainrule);
        train.arg("train").arg(data).arg("--out").arg(runs.join(name)).arg("--quiet");
        run(&mut train)?;
    }
    let tests = root.join("crates/ar-cli/tests/browser");
    for script in ["page.py", "document.py"] {
        terminal::note(&format!("python {script}"));
        let mut test = Command::new(&python);
        test.arg(tests.join(script)).arg(chainrule);
        run(test.args(wanted.iter().map(|(name, _)| runs.join(name))))?;
    }
    Ok(Ended::Passed)
}

/// A table of words, whole numbers, decimals and missing cells that depend on each other.
fn table() -> String {
    let mut text = String::from("city,rooms,rent,balcony\n");
    for k in 0..600_u32 {
        let mixed = k.wrapping_mul(2_654_435_761) >> 8;
        let (city, base) = [("Bern", 9.0), ("Ulm", 5.5), ("Jena", 4.0)][(mixed % 3) as usize];
        let rooms = 1 + mixed / 7 % 5;
        let rent = base * f64::from(rooms * 40) + f64::from(mixed / 11 % 9000) / 100.0;
        let balcony = ["yes", "no", ""][if rooms > 3 { 0 } else { (mixed / 13 % 3) as usize }];
        let _ = writeln!(text, "{city},{rooms},{rent:.2},{balcony}");
    }
    text
}
