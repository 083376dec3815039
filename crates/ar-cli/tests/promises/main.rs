//! What the program promises about files, runs and numbers, one test per promise: one test program, so
//! that it is linked once.
//!
//! | file | promises about |
//! |---|---|
//! | `outputs.rs` | what `--out` may be, and what it may not be written over |
//! | `atomicity.rs` | files when an operation fails, the disk is full, or the process dies |
//! | `signals.rs` | INT and TERM |
//! | `isolation.rs` | two commands at once |
//! | `integrity.rs` | files of a run that were altered, or are another run's |
//! | `changed_data.rs` | data that is not what a run was trained with |
//! | `fuzz.rs` | hostile files of every kind |
//!
//! How many places, moments and inputs are tried is a part of what can be; the variable
//! `CHAINRULE_PROMISES` multiplies it.

#[path = "../it/common.rs"]
mod common;

mod atomicity;
mod changed_data;
mod failing_files;
mod fuzz;
mod integrity;
mod isolation;
mod mutate;
mod outputs;
mod signals;

use std::process::{Child, Command, Stdio};

use common::{NADE, Place};

/// How much more than usual is tried.
fn effort() -> u64 {
    std::env::var("CHAINRULE_PROMISES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Starts a command in a folder and does not wait for it; it says one object, and errors.
fn start(place: &Place, arguments: &[&str]) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
        .current_dir(place.path(""))
        .args(arguments)
        .args(["--json", "--quiet"])
        .env_remove("CHAINRULE_DATA")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// A folder with a finished run `run` of a small NADE on the digits, and its compressed test images.
fn trained() -> Place {
    let place = Place::new();
    place.file("c.toml", NADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    place.json(&["compress", "run", "digits", "--out", "digits.chr", "--no-baselines"]);
    place
}
