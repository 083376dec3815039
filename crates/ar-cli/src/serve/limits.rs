//! How much may be asked for.

use std::time::Duration;

use super::fault::Fault;
use crate::output::grouped;

/// How much may be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a body.
    pub(crate) body: u64,
    /// Rows of a request.
    pub(crate) rows: u64,
    /// Walks of a row.
    pub(crate) particles: usize,
    /// How long a body may take to arrive, and an answer to be found.
    pub(crate) time: Duration,
    /// Requests that wait, of each of the two kinds.
    pub(crate) waiting: usize,
}

/// The most values that are drawn for a request; each takes some 50 bytes on its way into an answer.
const VALUES: usize = 1 << 22;

impl Limits {
    /// # Errors
    /// When there are more rows than are taken.
    pub(crate) fn check_rows(&self, rows: u64) -> Result<(), Fault> {
        if rows <= self.rows {
            return Ok(());
        }
        Err(Fault::too_large(
            format!("more than {} rows", grouped(&self.rows.to_string())),
            "send them in several requests; --max-rows says how many are taken",
        ))
    }

    /// # Errors
    /// When there are none, or more than are taken.
    pub(crate) fn check_draws(&self, samples: usize, particles: usize) -> Result<(), Fault> {
        for (name, value) in [("samples", samples), ("particles", particles)] {
            if !(1..=self.particles).contains(&value) {
                return Err(Fault::request(
                    format!("{name}: {value}, expected 1 to {}", self.particles),
                    "--max-particles says how many are taken",
                ));
            }
        }
        Ok(())
    }

    /// # Errors
    /// When more values are to be drawn than are at once.
    pub(crate) fn check_values(&self, values: usize) -> Result<(), Fault> {
        if values <= VALUES {
            return Ok(());
        }
        Err(Fault::too_large(
            format!("{} values to draw, expected at most {VALUES}", grouped(&values.to_string())),
            "ask for fewer rows, samples or particles at a time",
        ))
    }
}

/// Of random numbers, unless a request says otherwise: that of the commands.
pub(crate) fn seed() -> u64 {
    1
}
