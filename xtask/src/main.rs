//! `cargo xtask …`: experiments, checks, benches and generated text of the chainrule workspace.
//!
//! It depends on no crate of the workspace. Every number it prints comes out of the `chainrule`
//! binary as JSON, the way any other program would get it.
//!
//! Exit codes: 0 success; 1 a mistake in what was asked or a check that failed; 2 our failure.

mod book;
mod chainrule;
mod check;
mod experiment;
mod failure;
mod generated;
mod kills;
mod page;
mod promises;
mod python;
mod terminal;
mod tests_and_benches;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Project automation of chainrule.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Experiment(experiment::Args),
    /// Run all tests: nextest where it is installed, else cargo test; then the doctests
    Test {
        /// Passed on to the test runner; with any, the doctests are left out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the criterion benches
    Bench {
        /// Passed on to cargo bench, such as a filter
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the generated sections of README.md and of the book anew
    Gen {
        /// Write nothing; exit 1 when a section is stale
        #[arg(long)]
        check: bool,
        /// A built binary to use
        #[arg(long, value_name = "FILE")]
        chainrule: Option<PathBuf>,
    },
    /// Make HTML of the book in docs/, where mdbook is installed
    Docs,
    Kills(kills::Args),
    Promises(promises::Args),
    Check(check::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors as well, but go to stdout and are a success.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let outcome = match &cli.command {
        Command::Experiment(args) => experiment::run(args),
        Command::Test { arguments } => tests_and_benches::test(arguments),
        Command::Bench { arguments } => tests_and_benches::bench(arguments),
        Command::Gen { check, chainrule } => generated::run(*check, chainrule.as_deref()),
        Command::Docs => book::build(),
        Command::Kills(args) => kills::run(args),
        Command::Promises(args) => promises::run(args),
        Command::Check(args) => check::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if terminal::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::note(&format!("error: {error:#}"));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
