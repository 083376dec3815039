//! The binary `chainrule`; what it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ar_cli::main()
}
