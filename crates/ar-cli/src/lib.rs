//! `chainrule`: exact-likelihood autoregressive models from the command line, and from inside another
//! program ([`host`]).
//!
//! Arguments, configs, run directories and words live here; models, data and training live in the
//! library crates, which meet only in this one.

mod args;
mod baselines;
mod calibration;
mod changes;
mod commands;
mod conditions;
mod config;
mod data;
mod device;
mod draft;
mod environment;
mod error;
mod failure;
mod files;
pub mod host;
mod looks;
mod memory;
mod output;
mod outputs;
mod panic;
mod ranking;
mod reading;
mod report;
mod run_dir;
mod seal;
mod sees;
#[cfg(feature = "serve")]
mod serve;
mod signals;
mod tables;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::FromArgMatches as _;

use args::{Cli, Command};
use commands::Session;
use error::{ErrorKind, ExitStatus, Mistake};
use failure::{Asked, Failure};

/// The program: the command of the process's arguments.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let asked = Asked::of(&line);
    panic::install_hook(asked.clone());
    signals::watch();
    let status = match parse(&line) {
        Ok(cli) => match start_threads(&cli).and_then(|()| dispatch(cli)) {
            Ok(()) => ExitStatus::Success,
            Err(error) => Failure::from(&error).say(&asked),
        },
        // Help and versions are results.
        Err(text) if is_result(text.kind()) => {
            // A reader that closed our stdout has seen enough.
            let _ = text.print();
            ExitStatus::Success
        }
        Err(error) => Failure::from(&error).say(&asked),
    };
    status.into()
}

fn parse(line: &[OsString]) -> Result<Cli, clap::Error> {
    let mut definition = args::definition();
    let matches = definition.try_get_matches_from_mut(line)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
}

fn is_result(kind: clap::error::ErrorKind) -> bool {
    use clap::error::ErrorKind;
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Starts as many threads as `--threads` says, for the whole process.
fn start_threads(cli: &Cli) -> Result<()> {
    let Some(threads) = cli.global.threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.into())
        .build_global()
        .map_err(|error| too_many(threads.into(), &error).into())
}

/// The error about threads that did not start.
fn too_many(threads: usize, error: &rayon::ThreadPoolBuildError) -> Mistake {
    Mistake::new(
        format!("--threads {threads}: {error}, expected that many to start"),
        "ask for fewer threads, or leave --threads out",
    )
    .of(ErrorKind::Machine)
}

fn dispatch(cli: Cli) -> Result<()> {
    ar_models::keep_freed_memory();
    let session = Session::new(cli.global);
    match cli.command {
        Command::Train(args) => commands::train::run(&args, &session),
        Command::Init(args) => commands::init::run(&args, &session),
        Command::Eval(args) => commands::eval::run(&args, &session),
        Command::Sample(args) => commands::sample::run(&args, &session),
        Command::Complete(args) => commands::complete::run(&args, &session),
        Command::Probability(args) => commands::probability::run(&args, &session),
        Command::Score(args) => commands::score::run(&args, &session),
        Command::Features(args) => commands::features::run(&args, &session),
        Command::Compare(args) => commands::compare::run(&args, &session),
        Command::Report(args) => commands::report::run(&args, &session),
        Command::Classify(args) => commands::classify::run(&args, &session),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::command::run(&args, &session),
        Command::Compress(args) => commands::compress::run(&args, &session),
        Command::Decompress(args) => commands::decompress::run(&args, &session),
        Command::Inspect(args) => commands::inspect::run(&args, &session),
        Command::Count(args) => commands::count::run(&args, &session),
        Command::Data(command) => commands::data::run(&command, &session),
        Command::Devices => commands::devices::run(&session),
        Command::Completions(args) => commands::completions::run(&args),
    }
}
