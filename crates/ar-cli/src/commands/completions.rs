//! `chainrule completions SHELL`.

use anyhow::Result;
use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::output::print;

/// Prints a completion script.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chainrule", &mut script);
    print(&script)
}
