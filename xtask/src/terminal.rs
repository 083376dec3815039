//! The only place that writes to the terminal: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

/// Writes `text` and a line end to stdout.
///
/// # Errors
///
/// Any write error; a closed pipe is told apart by [`is_broken_pipe`].
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// Writes `text` and a line end to stderr. A stderr that is gone is nobody's problem.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether stderr is a terminal, so that a line can be rewritten in place.
pub(crate) fn is_live() -> bool {
    io::stderr().is_terminal()
}

/// Replaces the current line of a terminal; [`clear_line`] takes it away again.
pub(crate) fn rewrite_line(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}");
    let _ = stderr.flush();
}

/// Empties the current line of a terminal.
pub(crate) fn clear_line() {
    rewrite_line("");
}

/// Whether the reader of our stdout went away (`cargo xtask … | head`), which is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}
