//! What goes to stdout (results) and to stderr (everything else).

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::Internal;
use crate::host::{self, Progress};
use crate::outputs::is_stdout;

/// The version of the JSON records: raised when a field changes its meaning or goes away.
pub(crate) const RECORD_VERSION: u32 = 1;

/// How a command talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// One JSON object on stdout instead of words.
    pub(crate) json: bool,
    /// Nothing on stderr but errors.
    pub(crate) quiet: bool,
    /// What was found where on stderr, and no bars.
    pub(crate) verbose: bool,
    /// Results on stderr, since a file goes to stdout.
    pub(crate) results_on_stderr: bool,
}

impl Terminal {
    /// How a command talks that writes this file: if it is standard output, the result goes to stderr.
    #[must_use]
    pub(crate) fn beside(self, out: Option<&Path>) -> Self {
        Self { results_on_stderr: self.results_on_stderr || out.is_some_and(is_stdout), ..self }
    }

    /// Prints a command's result: `record` as one line of JSON, or the words of `human`.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn result(
        &self,
        record: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut text = if self.json {
            serde_json::to_string(record).context(Internal("a record is no JSON"))?
        } else {
            human()
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if self.results_on_stderr {
            self.note(text.trim_end_matches('\n'));
            return Ok(());
        }
        print(text.as_bytes())
    }

    /// A line on stderr, unless quiet.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet && !host::tell(Progress::Note(&line.to_string())) {
            // A closed stderr is no reason to stop.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// A line on stderr for `-v`.
    pub(crate) fn detail(&self, line: impl Display) {
        if self.verbose {
            self.note(line);
        }
    }

    /// A progress bar on stderr, hidden when quiet, verbose, with `--json`, or not on a terminal.
    pub(crate) fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let hidden = self.quiet || self.verbose || self.json || !io::stderr().is_terminal();
        let target = if hidden {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(10)
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━━─");
        ProgressBar::with_draw_target(Some(length), target).with_style(style)
    }

    /// A bar for work that is counted in examples.
    pub(crate) fn examples_bar(
        &self,
        length: usize,
        what: impl Into<Cow<'static, str>>,
    ) -> ProgressBar {
        self.bar(length as u64, "{msg} {bar:24} {pos}/{len}").with_message(what)
    }

    /// A bar for work of which a share is done.
    pub(crate) fn share_bar(&self, what: impl Into<Cow<'static, str>>) -> ProgressBar {
        self.bar(1, "{msg} {bar:24} {percent:>3}%").with_message(what)
    }
}

/// Writes to stdout, or to the host that there is instead.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    if host::takes(bytes) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to stdout")
}

/// Whether to colour stderr: see <https://no-color.org>.
pub(crate) fn color_stderr() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && io::stderr().is_terminal()
}

/// A decimal string with a comma every three digits.
pub(crate) fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count in words that stay short: all digits while they can be read, else its magnitude.
pub(crate) fn short_count(digits: &str) -> String {
    if digits.len() <= 20 { grouped(digits) } else { format!("about 10^{}", digits.len() - 1) }
}

/// Bytes in words.
pub(crate) fn human_bytes(digits: &str) -> String {
    match digits.parse::<u64>() {
        Ok(bytes) if bytes < 10_000 => format!("{bytes} bytes"),
        Ok(bytes) if bytes < 10 << 20 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        Ok(bytes) if bytes < 10 << 30 => format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64),
        Ok(bytes) => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
        Err(_) => format!("about 10^{} bytes", digits.len() - 1),
    }
}

/// Seconds in words.
pub(crate) fn human_seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{:.0} min {:.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
    }
}

/// A shape in words: `8×8`.
pub(crate) fn human_shape(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    axes.join("×")
}

/// `rows` of cells as lines with aligned columns; the last column is ragged.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let gap = width(column).unwrap_or(0) - cell.chars().count() + 2;
                out.extend(std::iter::repeat_n(' ', gap));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (digits, grouped_digits) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("16777215", "16,777,215")]
        {
            assert_eq!(grouped(digits), grouped_digits);
        }
        assert_eq!(short_count(&"9".repeat(237)), "about 10^236");
    }

    #[test]
    fn sizes_and_times_are_words() {
        assert_eq!(human_bytes("512"), "512 bytes");
        assert_eq!(human_bytes("1048576"), "1024.0 KiB");
        assert_eq!(human_bytes(&"9".repeat(30)), "about 10^29 bytes");
        assert_eq!(human_seconds(0.0123), "12 ms");
        assert_eq!(human_seconds(61.0), "61.0 s");
        assert_eq!(human_seconds(3661.5), "61 min 1 s");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(columns(&[row("×", "1"), row("long", "2")]), "×     1\nlong  2\n");
    }
}
