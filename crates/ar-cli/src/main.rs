//! `chainrule`: exact-likelihood autoregressive models from the command line.
//!
//! Arguments, configs, run directories and words live here; models, data and training live in the
//! library crates, which meet only in this one.

mod args;
mod baselines;
mod commands;
mod config;
mod data;
mod device;
mod error;
mod files;
mod memory;
mod output;
mod panic;
mod reading;
mod report;
mod run_dir;
mod sees;
mod sets;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use clap::error::ErrorKind;

use args::{Cli, Command};
use commands::Session;
use error::ExitStatus;

fn main() -> ExitCode {
    panic::install_hook();
    let status = match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => refuse(&error),
    };
    status.into()
}

fn run(cli: Cli) -> ExitStatus {
    match dispatch(cli) {
        Ok(()) => ExitStatus::Success,
        Err(error) => {
            let status = error::status_of(&error);
            if status != ExitStatus::Success {
                let text = error::render(&error, output::color_stderr());
                // Nothing can be done about a stderr that is gone.
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            status
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    if let Some(threads) = cli.global.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .context("cannot start the threads")?;
    }
    ar_models::keep_freed_memory();
    let session = Session::new(cli.global);
    match cli.command {
        Command::Train(args) => commands::train::run(&args, &session),
        Command::Eval(args) => commands::eval::run(&args, &session),
        Command::Sample(args) => commands::sample::run(&args, &session),
        Command::Complete(args) => commands::complete::run(&args, &session),
        Command::Score(args) => commands::score::run(&args, &session),
        Command::Features(args) => commands::features::run(&args, &session),
        Command::Report(args) => commands::report::run(&args, &session),
        Command::Classify(args) => commands::classify::run(&args, &session),
        Command::Compress(args) => commands::compress::run(&args, &session),
        Command::Decompress(args) => commands::decompress::run(&args, &session),
        Command::Inspect(args) => commands::inspect::run(&args, &session),
        Command::Count(args) => commands::count::run(&args, &session),
        Command::Data(command) => commands::data::run(&command, &session),
        Command::Completions(args) => commands::completions::run(&args),
    }
}

/// What clap has to say: help and versions are results, the rest is the user's mistake.
fn refuse(error: &clap::Error) -> ExitStatus {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that closed our stdout has seen enough.
        let _ = error.print();
        return ExitStatus::Success;
    }
    let styled = error.render();
    let text = if output::color_stderr() { styled.ansi().to_string() } else { styled.to_string() };
    let text = match text.rsplit_once("For more information, try") {
        Some((before, _)) => format!("{before}hint: add --help to the command\n"),
        None => text,
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitStatus::Mistake
}
