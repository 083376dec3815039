//! `chainrule complete RUN --out FILE`: draws what is not observed, of [`images`] or of the rows of a [`table`].
//!
//! ```text
//! for t in 0..n:   x_t = observed value, or a draw from p(x_t | x before t)
//! missing NLL:     mean over images of −log p(missing | observed), missing and observed of the original
//! ```
//!
//! Where the observed variables are a prefix of the ordering, the draws of that walk are from p(missing |
//! observed). A model that takes any ordering is walked with the observed variables first. Elsewhere a
//! missing variable would not feel what is observed after it, and the draws are by sequential Monte Carlo
//! (see `ar_models::walk::monte_carlo`), which also estimates p(observed) and so, as p(x) is known,
//! p(missing | observed). A single particle is the walk that does not look ahead.

pub(crate) mod images;
mod marginals;
pub(crate) mod table;

use anyhow::Result;

use super::Session;
use crate::args::CompleteArgs;
use crate::run_dir::RunDir;
pub(crate) use images::is_prefix;

/// Draws, writes and prints.
///
/// # Errors
/// When the run is not trained, what is asked for is nothing that can be completed, or the file cannot be written.
pub(crate) fn run(args: &CompleteArgs, session: &Session) -> Result<()> {
    let config = RunDir::open(&args.run)?.load_config()?;
    if config.data.is_of_columns() { table::run(args, session) } else { images::run(args, session) }
}
