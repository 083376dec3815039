//! Where the values of many lines are, found in one pass over their bytes.
//!
//! Most lines of most tables are as they should be: as many values as the first line has, and quotes, if any, around
//! whole values. Those are cut here, many at once, so that their values can be taken column by column. All others
//! are left to the reader of single lines, whose word on what a line means is the last one.

use super::dialect::{Separator, trimmed};
use crate::columns::Sink;

/// Values that are cut at a time, unless a row has more: they and their text stay in the cache beside each other.
const VALUES: usize = 1 << 14;

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// The lines of a text that are cut, and how.
pub(super) struct Cuts {
    separator: u8,
    line_end: u8,
    /// Below what bytes are marks: where any number of blanks separate, all of them; only single spaces are cut at.
    blanks: u8,
    /// Whether a line that begins with `#` or `%` is a comment.
    comments: bool,
    width: usize,
    /// Where each value begins, `[rows * width]`, and one more after the last; ends are one before the next start.
    starts: Vec<u32>,
    /// Whether a value is in quotes.
    has_quotes: bool,
}

impl Cuts {
    /// Of lines with `width` values; none where what separates values or lines is not told from what is inside.
    pub(super) fn new(
        separator: Separator,
        line_end: u8,
        comments: bool,
        width: usize,
    ) -> Option<Self> {
        let (separator, blanks) = match separator {
            Separator::Byte(b'"' | b'\r' | b'\n') => return None,
            Separator::Byte(separator) => (separator, 0),
            Separator::Spaces => (b' ', b' ' + 1),
        };
        let starts = Vec::new();
        Some(Self { separator, line_end, blanks, comments, width, starts, has_quotes: false })
    }

    /// Cuts the first lines of a text, up to `most`, and says how many. The first line that is not cut is another
    /// one than most, or not there as a whole.
    pub(super) fn cut(&mut self, text: &[u8], most: usize) -> usize {
        let text = &text[..text.len().min(u32::MAX as usize)];
        let most = most.min((VALUES / self.width).max(1));
        self.starts.clear();
        self.starts.push(0);
        self.has_quotes = false;
        let (mut rows, mut row_start, mut at) = (0, 0, 0);
        'blocks: while rows < most && at < text.len() {
            let mut marks = self.marks(&text[at..]);
            while marks != 0 {
                let mark = at + marks.trailing_zeros() as usize;
                marks &= marks - 1;
                let byte = text[mark];
                if byte == self.separator {
                    if self.blanks > 0 && mark == row_start {
                        // One at an end of a line is left with the value beside it.
                        continue;
                    }
                    if self.blanks > 0 && text[mark - 1] == b' ' {
                        break 'blocks;
                    }
                    self.starts.push(mark as u32 + 1);
                } else if byte == self.line_end {
                    if self.blanks > 0 && mark > row_start && self.begins_at(mark) {
                        self.starts.pop();
                    }
                    self.starts.push(mark as u32 + 1);
                    if self.starts.len() != (rows + 1) * self.width + 1
                        || !self.is_row(&text[row_start..mark])
                    {
                        break 'blocks;
                    }
                    (rows, row_start) = (rows + 1, mark + 1);
                    if rows == most {
                        break 'blocks;
                    }
                } else if byte == b'"' && !self.blanks > 0 && self.begins_at(mark) {
                    let Some(next) = self.after_quotes(text, mark) else { break 'blocks };
                    self.has_quotes = true;
                    if next >= at + BLOCK {
                        at = next;
                        continue 'blocks;
                    }
                    marks &= u64::MAX << (next - at);
                } else if byte != b'\r' || text.get(mark + 1) != Some(&self.line_end) {
                    break 'blocks;
                }
            }
            if self.starts.len() > (rows + 1) * self.width {
                break;
            }
            at += BLOCK;
        }
        self.starts.truncate(rows * self.width + 1);
        rows
    }

    /// How many bytes the lines that were cut have, with what ends them.
    pub(super) fn len(&self) -> usize {
        self.starts.last().map_or(0, |&start| start as usize)
    }

    /// Adds what was cut to the columns.
    pub(super) fn push(&self, text: &[u8], sink: &mut Sink) {
        // Many files hold nothing but single digits; what ends their lines may be longer.
        let rows = (self.starts.len() - 1) / self.width;
        let row_len = self.len() / rows;
        let are_single = self.len() == rows * row_len
            && self.starts.chunks_exact(self.width).zip((0..).step_by(row_len)).all(
                |(row, start)| {
                    row[0] as usize == start && row.windows(2).all(|next| next[1] - next[0] == 2)
                },
            );
        for column in 0..self.width {
            let is_single = are_single && (column + 1 < self.width || row_len == 2 * self.width);
            if is_single {
                let digits = text[2 * column..self.len()].iter().step_by(row_len);
                if sink.digits(column, digits) {
                    continue;
                }
            }
            let values = self.column(text, column);
            match (self.has_quotes, self.separator) {
                (true, separator) => {
                    sink.texts(column, values.map(|value| unquoted(value, separator)));
                }
                (false, b'\t') => sink.texts(column, values.map(|value| trimmed(value, b'\t'))),
                // A constant, so that it is not asked about for each value.
                (false, _) => sink.texts(column, values.map(|value| trimmed(value, b','))),
            }
        }
    }

    /// The values of a column of what was cut, with blanks and quotes around them.
    fn column<'a>(&'a self, text: &'a [u8], column: usize) -> impl Iterator<Item = &'a [u8]> {
        (column..self.starts.len() - 1).step_by(self.width).map(|value| {
            let [start, next] = [value, value + 1].map(|value| self.starts[value] as usize);
            &text[start..next - 1]
        })
    }

    /// Which of the next bytes are marks: bit 0 for the first of them.
    fn marks(&self, text: &[u8]) -> u64 {
        match text.first_chunk::<BLOCK>() {
            Some(block) => self.marks_of(block),
            None => {
                let mut block = [0; BLOCK];
                block[..text.len()].copy_from_slice(text);
                self.marks_of(&block) & !(u64::MAX << text.len())
            }
        }
    }

    fn begins_at(&self, at: usize) -> bool {
        self.starts.last() == Some(&(at as u32))
    }

    /// Comparisons of many bytes at once, and then eight bits out of eight bytes by a product in which each byte
    /// meets the factor that moves it to its place in the uppermost one.
    #[inline]
    fn marks_of(&self, block: &[u8; BLOCK]) -> u64 {
        let mut are_marks = [0_u8; BLOCK];
        for (is_mark, &byte) in are_marks.iter_mut().zip(block) {
            *is_mark = u8::from(byte == self.separator)
                | u8::from(byte == self.line_end)
                | u8::from(byte == b'"')
                | u8::from(byte < self.blanks);
        }
        let (eights, _) = are_marks.as_chunks::<8>();
        eights.iter().rev().fold(0, |marks, eight| {
            let eight = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080);
            marks << 8 | eight >> 56
        })
    }

    /// Whether a line with the right number of values is a row for sure.
    fn is_row(&self, line: &[u8]) -> bool {
        let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return false };
        if self.comments && matches!(first, b'#' | b'%') {
            return false;
        }
        match self.separator {
            // Before a `\r` a space would be taken for a separator.
            b' ' if self.blanks > 0 => {
                line.iter().any(|byte| *byte > b' ') && !line.ends_with(b" \r")
            }
            b' ' => first > b' ' && last > b' ',
            // What has a separator is not blank.
            separator => {
                first > b' ' || (self.width > 1 && (separator > b' ' || separator == b'\t'))
            }
        }
    }

    /// Where a value in quotes that begins at `at` ends, if nothing but the value is in them.
    fn after_quotes(&self, text: &[u8], at: usize) -> Option<usize> {
        let inside = &text[at + 1..];
        let end = memchr::memchr2(b'"', self.line_end, inside)?;
        let after = &inside[end..];
        let is_whole = match *after {
            [b'"', next, ..] if next == self.separator || next == self.line_end => true,
            [b'"', b'\r', next, ..] => next == self.line_end,
            _ => false,
        };
        is_whole.then_some(at + 1 + end + 1)
    }
}

/// A value without quotes around it, or else without blanks.
fn unquoted(value: &[u8], separator: u8) -> &[u8] {
    match value.strip_prefix(b"\"") {
        // Before the end of a line there may be a `\r`.
        Some(inside) => match inside {
            [inside @ .., b'"'] | [inside @ .., b'"', b'\r'] => inside,
            inside => inside,
        },
        None => trimmed(value, separator),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::{cut, ends_in_quotes};
    use super::super::text::is_blank;
    use super::*;
    use proptest::prelude::*;

    /// The rows that are cut of a text, and how many bytes they have.
    fn rows_of(
        text: &[u8],
        separator: Separator,
        line_end: u8,
        width: usize,
    ) -> (Vec<Vec<Vec<u8>>>, usize) {
        let mut cuts = Cuts::new(separator, line_end, true, width).unwrap();
        let mut rows = vec![Vec::new(); cuts.cut(text, 1000)];
        for column in 0..width {
            for (row, value) in rows.iter_mut().zip(cuts.column(text, column)) {
                row.push(match cuts.has_quotes {
                    true => unquoted(value, cuts.separator).to_vec(),
                    false => trimmed(value, cuts.separator).to_vec(),
                });
            }
        }
        (rows, cuts.len())
    }

    #[test]
    fn lines_as_most_are_cut_at_once() {
        let comma = Separator::Byte(b',');
        for (text, separator, expected) in [
            ("1,2\n3,4\r\n\"a, b\",c\nx", comma, 3),
            ("1, \n,4\n,\n", comma, 3),
            ("1,2\n3, \n;,a\n", comma, 3),
            ("1,2\n3\n5,6\n", comma, 1),
            ("1,2\n\n5,6\n", comma, 1),
            ("1,2\n#,4\n5,6\n", comma, 1),
            ("1,2\n3,4", comma, 1),
            ("1,2\n\"a\nb\",4\n", comma, 1),
            ("1,2\n\"a\"\"b\",4\n", comma, 1),
            ("1,2\na\"b,4\n", comma, 1),
            ("\t\n1\t2\n", Separator::Byte(b'\t'), 2),
            ("1 2\n3 4\r\n5  6\n", Separator::Spaces, 2),
            ("1 2\n 3 4\n5 6 \n 7 8 \n", Separator::Spaces, 4),
            ("1 2\n  3 4\n", Separator::Spaces, 1),
            ("1 2\n3 4  \n", Separator::Spaces, 1),
            ("1 2\n3 \r\n", Separator::Spaces, 1),
        ] {
            assert_eq!(rows_of(text.as_bytes(), separator, b'\n', 2).0.len(), expected, "{text:?}");
        }
        let long = "12345678,\"quoted, once\",9\n".repeat(100);
        let (rows, len) = rows_of(long.as_bytes(), comma, b'\n', 3);
        assert_eq!((rows.len(), len), (100, long.len()));
        assert_eq!(
            rows[99],
            ["12345678", "quoted, once", "9"].map(|cell| cell.as_bytes().to_vec())
        );
    }

    proptest! {
        /// What is cut is a row to the reader of single lines too, and the same one.
        #[test]
        fn what_is_cut_means_the_same_line_by_line(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    ",", ",", ",", "\t", " ", "\n", "\n", "\r\n", "\r", "\"", "\"", "\x0c", "#",
                    "1", "25", "word", "1,2\n", "1 2\n", "\"a\",b\n", "1\t2\r\n", " 1 2 \n", "\n ",
                    "0123456789012345678901234567890123456789,4\n",
                ]),
                0..40,
            ),
            separator in prop::sample::select(vec![
                Separator::Byte(b','), Separator::Byte(b'\t'), Separator::Byte(b' '), Separator::Spaces,
            ]),
            line_end in prop::sample::select(vec![b'\n', b'\r']),
            width in 1_usize..4,
        ) {
            let text = parts.concat().into_bytes();
            let (rows, len) = rows_of(&text, separator, line_end, width);
            let mut rest = &text[..];
            for row in rows {
                let end = memchr::memchr(line_end, rest).unwrap();
                let line = &rest[..end];
                prop_assert!(!ends_in_quotes(line, separator) && !is_blank(line, separator));
                prop_assert!(!line.starts_with(b"#"));
                prop_assert_eq!(cut(line, separator), row);
                rest = &rest[end + 1..];
            }
            prop_assert_eq!(len, text.len() - rest.len());
        }
    }
}
