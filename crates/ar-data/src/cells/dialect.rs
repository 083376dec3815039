//! How a table of text is written: what its first lines agree on.
//!
//! | question | answer |
//! |---|---|
//! | separator | of tab, `;`, `\|`, `,` and spaces the first that cuts the first line and nine in ten of the others into as many values, at least two |
//! | quotes | as in CSV (RFC 4180); between spaces too |
//! | comments | lines that begin with `#` or `%`, if the first one does |
//! | header | a first line of words over a column of numbers, or of words that are no value of their columns, or one that counts from 0 or 1; the last comment where it has as many values as the rows; one value less than the rows have, as R writes it |
//! | decimal mark | a comma where a value has one, and not all of them could be marks of thousands; where a comma separates, in quotes |
//! | encoding | UTF-8; UTF-16 by its byte order mark or its zeros; Latin-1 where bytes are no UTF-8 |

use crate::columns::{Number, could_be_thousands};
use std::fmt;

/// What separates the values of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// One byte: a comma, a semicolon, a tab, a bar.
    Byte(u8),
    /// Any number of spaces and tabs.
    Spaces,
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Byte(b'\t') => "tab",
            Self::Byte(b',') => "comma",
            Self::Byte(b';') => "semicolon",
            Self::Byte(b'|') => "bar",
            Self::Byte(_) => "another byte",
            Self::Spaces => "spaces",
        })
    }
}

/// How the bytes of a text are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16.
    Utf16,
    /// Latin-1, or what is like it.
    Latin1,
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Latin1 => "Latin-1",
        })
    }
}

/// Where the names of the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Nowhere: the first line is a row.
    None,
    /// In the first line that is no comment.
    First,
    /// In the last comment before it.
    Comment,
}

/// How a table of text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What separates values.
    pub separator: Separator,
    /// How bytes are characters.
    pub encoding: Charset,
    /// Where the names are.
    pub header: Header,
    /// Whether the rows have one value more than the header: a name of the row, as R writes it.
    pub row_names: bool,
    /// Whether lines that begin with `#` or `%` are comments.
    pub comments: bool,
    /// Whether the decimal mark is a comma.
    pub decimal_comma: bool,
    /// Whether the first line is read as a row, though it counts as a header might.
    pub(crate) counts_in_first: bool,
    /// Whether all points in numbers could be marks of thousands.
    pub(crate) points_may_group: bool,
    /// What ends a line: `\n`, or `\r` alone.
    pub(crate) line_end: u8,
    /// Lines before the header that only state the separator.
    pub(crate) preamble: u64,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "separated by {}", self.separator)?;
        match self.header {
            Header::None => f.write_str(", no header")?,
            Header::First => f.write_str(", names in the first line")?,
            Header::Comment => f.write_str(", names in a comment")?,
        }
        if self.row_names {
            f.write_str(", names of rows before them")?;
        }
        if self.comments {
            f.write_str(", comments")?;
        }
        if self.decimal_comma {
            f.write_str(", decimal commas")?;
        }
        write!(f, ", {}", self.encoding)
    }
}

/// Rows that are looked at.
const ROWS: usize = 200;

/// Separators, the surest first.
const SEPARATORS: [Separator; 5] = [
    Separator::Byte(b'\t'),
    Separator::Byte(b';'),
    Separator::Byte(b'|'),
    Separator::Byte(b','),
    Separator::Spaces,
];

/// What the first lines say. `start` is the beginning of the file, as UTF-8 but for single bytes; `is_whole`
/// says whether it is all of it; `header` overrules what is found.
pub(crate) fn detect(
    start: &[u8],
    is_whole: bool,
    encoding: Charset,
    header: Option<bool>,
    is_missing: &dyn Fn(&[u8]) -> bool,
) -> Dialect {
    let line_end = match memchr::memchr2(b'\n', b'\r', start) {
        Some(at) if start[at] == b'\r' && memchr::memchr(b'\n', start).is_none() => b'\r',
        _ => b'\n',
    };
    let stated = stated_separator(start, line_end);
    let preamble = u64::from(stated.is_some());
    let lines = &start[stated.map_or(0, |(_, bytes)| bytes)..];
    let comments = is_comment(first_line(lines, line_end));
    let separator = stated
        .map_or_else(|| separator(lines, line_end, comments, is_whole), |(separator, _)| separator);
    let mut rows = records(lines, line_end, separator, comments, is_whole);
    let width = modal_width(rows.get(1..).unwrap_or_default())
        .or_else(|| rows.first().map(|row| row.cells.len()))
        .unwrap_or(0);
    let mut dialect = Dialect {
        separator,
        encoding,
        header: Header::None,
        row_names: false,
        comments,
        decimal_comma: false,
        counts_in_first: false,
        points_may_group: false,
        line_end,
        preamble,
    };
    let comment = comments.then(|| last_comment(lines, line_end, separator)).flatten();
    let is_in_comment = comment.is_some_and(|names| {
        rows.first().is_some_and(|row| row.cells.len() == names)
            && !rows.first().is_some_and(|first| {
                first.is_words()
                    && width == names
                    && rows.len() > 1
                    && rows[1..].iter().any(|row| !row.is_words())
            })
    });
    dialect.decimal_comma =
        has_decimal_commas(&rows, separator == Separator::Byte(b','), is_missing);
    dialect.points_may_group = !dialect.decimal_comma && points_may_group(&rows, separator);
    dialect.header = match header {
        Some(true) => Header::First,
        Some(false) => Header::None,
        None if is_in_comment => Header::Comment,
        None if is_header(&rows, width, dialect.decimal_comma, is_missing) => Header::First,
        None => Header::None,
    };
    dialect.counts_in_first =
        header.is_none() && dialect.header == Header::None && counts_in_first(&rows);
    if dialect.header == Header::First {
        let names = rows.remove(0).cells.len();
        dialect.row_names = !rows.is_empty() && names + 1 == width;
    }
    dialect
}

/// A record of the sample.
struct Record {
    cells: Vec<Vec<u8>>,
}

impl Record {
    fn is_words(&self) -> bool {
        self.cells.iter().all(|cell| Number::parse(cell, false).is_none())
    }
}

fn first_line(text: &[u8], line_end: u8) -> &[u8] {
    &text[..memchr::memchr(line_end, text).unwrap_or(text.len())]
}

fn is_comment(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'#' | b'%'))
}

/// What Excel writes into the first line, `sep=;`, and how long the line is.
fn stated_separator(text: &[u8], line_end: u8) -> Option<(Separator, usize)> {
    let line = first_line(text, line_end);
    let stated = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_end();
    let lower: Vec<u8> = stated.to_ascii_lowercase();
    let [separator] = lower.strip_prefix(b"sep=")? else { return None };
    Some((Separator::Byte(*separator), (line.len() + 1).min(text.len())))
}

/// How many values the last comment before the first row has.
fn last_comment(text: &[u8], line_end: u8, separator: Separator) -> Option<usize> {
    let mut last = None;
    for line in text.split(|&byte| byte == line_end) {
        if is_comment(line) {
            last = Some(line);
        } else if !line.trim_ascii().is_empty() {
            break;
        }
    }
    let names = last?.trim_ascii().trim_ascii_start();
    Some(cut(names[1..].trim_ascii_start(), separator).len())
}

/// The first records, without comments and blank lines.
fn records(
    text: &[u8],
    line_end: u8,
    separator: Separator,
    comments: bool,
    is_whole: bool,
) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && records.len() < ROWS {
        let mut end = first_line(rest, line_end).len();
        let mut quotes = Quotes::new(separator);
        while end < rest.len() && quotes.open_at_end(&rest[..end]).is_some() {
            end += 1 + first_line(&rest[end + 1..], line_end).len();
        }
        // The sample may end inside a line.
        if end == rest.len() && !is_whole && !records.is_empty() {
            break;
        }
        let line = &rest[..end];
        let is_blank = match separator {
            // A line of tabs is a row of empty cells.
            Separator::Byte(b'\t') => line.is_empty(),
            _ => line.trim_ascii().is_empty(),
        };
        let is_skipped = is_blank || (comments && is_comment(line));
        if !is_skipped {
            records.push(Record { cells: cut(line, separator) });
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    records
}

/// The width that most records have.
fn modal_width(records: &[Record]) -> Option<usize> {
    modal(records.iter().map(|record| record.cells.len()))
}

/// The most frequent number, of several the largest.
pub(crate) fn modal(numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    numbers.for_each(|number| *counts.entry(number).or_insert(0_usize) += 1);
    counts.into_iter().max_by_key(|&(number, count)| (count, number)).map(|(number, _)| number)
}

fn separator(text: &[u8], line_end: u8, comments: bool, is_whole: bool) -> Separator {
    let mut fallback = None;
    for separator in SEPARATORS {
        let records = records(text, line_end, separator, comments, is_whole);
        let Some(first) = records.first().map(|record| record.cells.len()) else { continue };
        let rows = if records.len() > 1 { &records[1..] } else { &records[..] };
        let Some(width) = modal_width(rows) else { continue };
        let agree = rows.iter().filter(|row| row.cells.len() == width).count();
        let is_spaces = separator == Separator::Spaces;
        let agrees = 10 * agree >= 9 * rows.len() && (first == width || first + 1 == width);
        // Words may have spaces between them: a column of numbers shows that these separate.
        let has_numbers = || {
            (0..width).any(|column| {
                rows.iter().all(|row| {
                    row.cells.get(column).is_some_and(|cell| {
                        Number::parse(cell, true).is_some() || Number::parse(cell, false).is_some()
                    })
                })
            })
        };
        if width >= 2 && agrees && (!is_spaces || has_numbers()) {
            return separator;
        }
        if first >= 2 && fallback.is_none() {
            fallback = Some(separator);
        }
    }
    // No agreement: the first that cuts the first line, so that the rows that do not suit are named.
    match fallback {
        Some(Separator::Spaces) | None => {
            let first = first_line(text, line_end);
            let is_numbers = cut(first, Separator::Spaces).len() > 1
                && cut(first, Separator::Spaces)
                    .iter()
                    .all(|cell| Number::parse(cell, false).is_some());
            if is_numbers { Separator::Spaces } else { Separator::Byte(b',') }
        }
        Some(separator) => separator,
    }
}

/// How far quotes have been followed through a record. Quotes begin a value or are part of it.
pub(crate) struct Quotes {
    separator: Separator,
    /// Where the quote stands that is open.
    open: Option<usize>,
    /// What follows the last value in quotes, and where these began: two quotes close a value and open it again.
    closed: Option<(usize, usize)>,
    is_start: bool,
    /// How much of the record was looked at.
    at: usize,
}

impl Quotes {
    pub(crate) fn new(separator: Separator) -> Self {
        Self { separator, open: None, closed: None, is_start: true, at: 0 }
    }

    /// Where the quote stands that is open at the end of the record as far as it is known, whose beginning was
    /// looked at before.
    pub(crate) fn open_at_end(&mut self, record: &[u8]) -> Option<usize> {
        let rest = record.get(self.at..).unwrap_or_default();
        if self.open.is_none() && memchr::memchr(b'"', rest).is_none() {
            // What goes on after a line goes on in quotes, so that this is all of the record.
            return None;
        }
        for (at, &byte) in (self.at..).zip(rest) {
            match byte {
                b'"' if self.open.is_some() => {
                    self.closed = self.open.take().map(|open| (at + 1, open));
                }
                b'"' if self.is_start => {
                    let again = self.closed.filter(|(after, _)| *after == at);
                    self.open = Some(again.map_or(at, |(_, open)| open));
                }
                _ if self.open.is_some() => {}
                _ => {
                    self.is_start =
                        separates(byte, self.separator) || (self.is_start && byte == b' ');
                }
            }
        }
        self.at = record.len();
        self.open
    }
}

/// Whether a quoted value goes on after the end of a line.
#[cfg(test)]
pub(crate) fn ends_in_quotes(line: &[u8], separator: Separator) -> bool {
    Quotes::new(separator).open_at_end(line).is_some()
}

fn separates(byte: u8, separator: Separator) -> bool {
    match separator {
        Separator::Byte(separator) => byte == separator,
        Separator::Spaces => matches!(byte, b' ' | b'\t'),
    }
}

/// The values of a record, without the blanks around them and without quotes.
pub(crate) fn cut(line: &[u8], separator: Separator) -> Vec<Vec<u8>> {
    let mut cells = Vec::new();
    cut_into(line, separator, &mut |cell| cells.push(cell.to_vec()));
    cells
}

/// Calls `take` with each value of a record.
pub(crate) fn cut_into(line: &[u8], separator: Separator, take: &mut dyn FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let has_quotes = memchr::memchr(b'"', line).is_some();
    match separator {
        Separator::Byte(separator) if !has_quotes => {
            line.split(|&byte| byte == separator).for_each(|cell| take(trimmed(cell, separator)));
        }
        Separator::Spaces if !has_quotes => {
            line.split(u8::is_ascii_whitespace).filter(|cell| !cell.is_empty()).for_each(take);
        }
        _ => quoted(line, separator, take),
    }
}

/// Blanks around a value are not part of it; a tab that separates is not among them.
#[inline]
pub(crate) fn trimmed(cell: &[u8], separator: u8) -> &[u8] {
    // Most have none.
    if let (Some(b'!'..), Some(b'!'..)) = (cell.first(), cell.last()) {
        return cell;
    }
    if separator == b'\t' {
        let start = cell.iter().take_while(|byte| **byte == b' ').count();
        let end = cell.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\r')).count();
        return cell.get(start..cell.len().saturating_sub(end).max(start)).unwrap_or_default();
    }
    cell.trim_ascii()
}

/// Values some of which stand in quotes, where two of them are one (RFC 4180, section 2).
fn quoted(line: &[u8], separator: Separator, take: &mut dyn FnMut(&[u8])) {
    let mut cell = Vec::new();
    let mut rest = line;
    loop {
        if separator == Separator::Spaces {
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                return;
            }
        }
        let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
        let start = &rest[blanks..];
        let ended = if let Some(mut inside) = start.strip_prefix(b"\"") {
            cell.clear();
            loop {
                let Some(end) = memchr::memchr(b'"', inside) else {
                    cell.extend_from_slice(inside);
                    inside = &[];
                    break;
                };
                cell.extend_from_slice(&inside[..end]);
                inside = &inside[end + 1..];
                match inside.strip_prefix(b"\"") {
                    Some(after) => {
                        cell.push(b'"');
                        inside = after;
                    }
                    None => break,
                }
            }
            // What follows the quotes is part of the value.
            let end = inside.iter().position(|&byte| separates(byte, separator));
            let tail = &inside[..end.unwrap_or(inside.len())];
            cell.extend_from_slice(tail.trim_ascii_end());
            take(&cell);
            end.map(|end| &inside[end + 1..])
        } else {
            let end = rest.iter().position(|&byte| separates(byte, separator));
            let value = &rest[..end.unwrap_or(rest.len())];
            take(match separator {
                Separator::Byte(separator) => trimmed(value, separator),
                Separator::Spaces => value.trim_ascii(),
            });
            end.map(|end| &rest[end + 1..])
        };
        match ended {
            Some(after) => rest = after,
            None => return,
        }
    }
}

/// Whether values have commas that can only be decimal marks. Where a comma separates, they stand in quotes, and
/// their columns must hold nothing but numbers.
fn has_decimal_commas(
    rows: &[Record],
    comma_separates: bool,
    is_missing: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let mut sure = std::collections::BTreeSet::new();
    for (column, cell) in rows.iter().flat_map(|row| row.cells.iter().enumerate()) {
        if let Some(at) = memchr::memchr(b',', cell) {
            if Number::parse(cell, true).is_none() {
                continue;
            }
            // 1,234 may be a thousand and more.
            if cell.len() - at - 1 != 3 || at > 4 || at == 0 {
                sure.insert(column);
            }
        } else if cell.contains(&b'.')
            && Number::parse(cell, false).is_some()
            && !could_be_thousands(cell)
        {
            return false;
        }
    }
    let is_number = |cell: &[u8]| is_missing(cell) || Number::parse(cell, true).is_some();
    let is_of_numbers = |column: usize| {
        // The first line may be names.
        rows.iter().skip(1).filter_map(|row| row.cells.get(column)).all(|cell| is_number(cell))
    };
    match comma_separates {
        true => sure.into_iter().any(is_of_numbers),
        false => !sure.is_empty(),
    }
}

/// Whether the points in all numbers could be marks of thousands, where these are likely: a file with another
/// separator than a comma is often one of decimal commas.
fn points_may_group(rows: &[Record], separator: Separator) -> bool {
    if matches!(separator, Separator::Byte(b',') | Separator::Spaces) {
        return false;
    }
    let cells = rows.iter().flat_map(|row| &row.cells);
    let mut pointed = cells
        .filter(|cell| cell.contains(&b'.') && Number::parse(cell, false).is_some())
        .peekable();
    pointed.peek().is_some() && pointed.all(|cell| could_be_thousands(cell))
}

/// Whether the first line is consecutive whole numbers, at least three, and the second one is not.
fn counts_in_first(rows: &[Record]) -> bool {
    let counts = |row: &Record| {
        let numbers: Option<Vec<i64>> =
            row.cells.iter().map(|cell| std::str::from_utf8(cell).ok()?.parse().ok()).collect();
        numbers.is_some_and(|numbers| {
            numbers.len() >= 3
                && numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]))
        })
    };
    matches!(rows, [first, second, ..] if counts(first) && !counts(second))
}

fn is_header(
    rows: &[Record],
    width: usize,
    comma: bool,
    is_missing: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let Some((first, body)) = rows.split_first() else { return false };
    let number = |cell: &[u8]| Number::parse(cell, comma).is_some();
    let body: Vec<&Record> = body.iter().filter(|row| row.cells.len() == width).collect();
    let is_short = !body.is_empty() && first.cells.len() + 1 == width;
    if first.cells.len() != width && !is_short && !body.is_empty() {
        // Words over rows of another length, which hold numbers: it is the rows that are wrong.
        return first.is_words() && !body.iter().all(|row| row.is_words());
    }
    let shift = usize::from(is_short);
    let column = |k: usize| body.iter().map(move |row| row.cells[k + shift].as_slice());
    let recurs = |k: usize| column(k).any(|cell| cell == first.cells[k].as_slice());
    if first.cells.iter().any(|cell| number(cell)) {
        // A few rows of whole numbers may begin so by chance; where they go on counting they do not.
        let goes_on = body.first().is_some_and(|row| {
            let next = first.cells.len().to_string();
            row.cells.first().is_some_and(|cell| *cell == next.as_bytes())
        });
        let strange = (0..first.cells.len()).filter(|&k| !recurs(k)).count();
        return match counted_from(&first.cells, &number) {
            Some(Count { start: 0, .. }) => {
                body.len() >= 2 && !goes_on && 2 * strange >= first.cells.len()
            }
            Some(Count { after_a_word: true, .. }) => {
                !body.is_empty() && 2 * strange >= first.cells.len()
            }
            Some(_) => body.len() >= 10 && 2 * strange >= first.cells.len(),
            None => false,
        };
    }
    if body.is_empty() {
        return true;
    }
    // A line of nothing but holes is a row.
    if first.cells.iter().all(|cell| is_missing(cell)) {
        return false;
    }
    let is_over_numbers = (0..first.cells.len()).any(|k| {
        let mut seen = false;
        column(k).all(|cell| {
            let is_number = number(cell);
            seen |= is_number;
            is_number || is_missing(cell)
        }) && seen
            && !is_missing(&first.cells[k])
    });
    if is_over_numbers || is_short {
        return true;
    }
    // All columns are words.
    let names: std::collections::HashSet<&[u8]> = first.cells.iter().map(Vec::as_slice).collect();
    names.len() == first.cells.len() && !(0..first.cells.len()).any(recurs)
}

/// How a line counts its columns.
struct Count {
    start: usize,
    after_a_word: bool,
}

/// Whether a line counts its columns from 0 or 1, but perhaps for a name before them.
fn counted_from(cells: &[Vec<u8>], number: &dyn Fn(&[u8]) -> bool) -> Option<Count> {
    let after_a_word = cells.first().is_some_and(|cell| !number(cell));
    let counted = if after_a_word { &cells[1..] } else { cells };
    if counted.len() < if after_a_word { 2 } else { 3 } {
        return None;
    }
    let counts = |start: usize| {
        counted.iter().zip(start..).all(|(cell, k)| *cell == k.to_string().as_bytes())
    };
    (0..=1).find(|&start| counts(start)).map(|start| Count { start, after_a_word })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> Dialect {
        let is_missing = |cell: &[u8]| cell.is_empty() || cell == b"NA";
        detect(text.as_bytes(), true, Charset::Utf8, None, &is_missing)
    }

    fn seen(text: &str) -> (Separator, Header) {
        let dialect = detected(text);
        (dialect.separator, dialect.header)
    }

    const COMMA: Separator = Separator::Byte(b',');
    const SEMICOLON: Separator = Separator::Byte(b';');
    const TAB: Separator = Separator::Byte(b'\t');

    #[test]
    fn the_separator_is_what_the_rows_agree_on() {
        for (text, expected) in [
            ("temp (mean; C),b,c\n1.5,2,3\n4.5,5,6\n", (COMMA, Header::First)),
            ("a;b;c\n1,5;2,5;3\n4,5;5,5;6\n", (SEMICOLON, Header::First)),
            ("1,5;2,5\n4,5;5,5\n", (SEMICOLON, Header::None)),
            ("blood pressure\tage\n120\t3\n130\t4\n", (TAB, Header::First)),
            ("a\tb\tc\n1\t\t3\n4\t5\t6\n", (TAB, Header::First)),
            ("a|b\n1|2\n3|4\n", (Separator::Byte(b'|'), Header::First)),
            ("1 2 3\n 4  5 6 \n", (Separator::Spaces, Header::None)),
            (" 0  1\t1 \n\n1 0 0", (Separator::Spaces, Header::None)),
            ("name\nJohn Smith\nMary Jones\n", (COMMA, Header::First)),
            ("x\n1\n2\n", (COMMA, Header::First)),
            ("0,1\n1,x,3\n", (COMMA, Header::None)),
            ("sep=;\na;b\n1;2\n", (SEMICOLON, Header::First)),
            ("genre,n\n\"a;b\",1\n\"c;d\",2\n", (COMMA, Header::First)),
        ] {
            assert_eq!(seen(text), expected, "{text:?}");
        }
    }

    #[test]
    fn headers_of_every_kind() {
        for (text, expected) in [
            // A data frame without names, and rows that only look like one.
            ("0,1,2\n0.5,0.25,7\n0.1,0.2,8\n", Header::First),
            (",0,1,2\n0,0.5,0.25,7\n1,0.1,0.2,8\n", Header::First),
            ("l,1,2,3\np,x,s,n\ne,y,s,n\n", Header::First),
            ("0,1,2\n0,1,2\n1,1,2\n", Header::None),
            ("0,1\n1,1\n", Header::None),
            // Words under words.
            ("colour,size\nred,s\nblue,m\nred,l\n", Header::First),
            ("TRUE,FALSE,TRUE\nFALSE,FALSE,TRUE\n", Header::None),
            ("y,n\nn,n\ny,y\n", Header::None),
            ("p,x,s\ne,x,y\n", Header::None),
            // Holes.
            ("NA,\n1,2\n", Header::None),
            ("a,b\nNA,2\n", Header::First),
            // Comments.
            ("# a,b,c\n1,2,3\n4,5,6\n", Header::Comment),
            ("# made by a logger\n# v2\na,b,c\n1,2,3\n", Header::First),
            ("# made by a logger\n1,2,3\n4,5,6\n", Header::None),
            ("a,b\n", Header::First),
            ("1,2\n", Header::None),
        ] {
            assert_eq!(detected(text).header, expected, "{text:?}");
        }
        let r = detected("a b c\n1 0.5 1 2\n2 0.25 3 4\n");
        assert!(r.row_names && r.header == Header::First && r.separator == Separator::Spaces);
        let r = detected("\"a\" \"b\"\n\"1\" 0.5 1\n\"2\" 0.25 3\n");
        assert!(r.row_names && r.header == Header::First);
    }

    #[test]
    fn a_comma_is_a_decimal_mark_only_where_it_can_be_nothing_else() {
        assert!(detected("a;b\n1,5;2\n2,25;3\n").decimal_comma);
        assert!(!detected("a;b\n1,500;2\n2,250;3\n").decimal_comma);
        assert!(!detected("a;b\n1,5;2.5\n2,25;3\n").decimal_comma);
        assert!(!detected("a,b\n1,5\n2,2\n").decimal_comma);
        // Points in groups of three are no decimal marks beside one; alone they decide nothing.
        assert!(detected("p;q\n1.137;-0,47\n2.250;1,5\n").decimal_comma);
        assert!(detected("p;q\n1.137,5;2\n2.250,25;3\n").decimal_comma);
        let open = detected("p;q\n1.137;2\n12.250;3\n");
        assert!(!open.decimal_comma && open.points_may_group);
        for decided in
            ["p;q\n0.137;2\n1.250;3\n", "p;q\n1.137;2\n1.25;3\n", "p,q\n1.137,2\n2.125,3\n"]
        {
            assert!(!detected(decided).points_may_group, "{decided}");
        }
        // In quotes they are values also where a comma separates.
        assert!(detected("a,b\n\"1,5\",1\n\"2,25\",2\n").decimal_comma);
        assert!(!detected("a,b\n\"1,5\",1\nx,2\n").decimal_comma);
        assert!(!detected("a,b\n\"1,5\",1.5\n\"2,25\",2\n").decimal_comma);
    }

    #[test]
    fn a_first_line_that_counts_is_doubted_where_it_is_a_row() {
        for (text, expected) in [
            ("0,1,2\n1,0,2\n2,2,1\n0,1,1\n", true),
            ("1,2,3\n3,1,2\n2,2,1\n", true),
            ("1990,1991,1992\n5,7,9\n4,4,4\n", true),
            ("1,2,3\n4,5,6\n7,8,9\n", false),
            ("1,2\n5,7\n", false),
            ("1,3,5\n5,7,1\n", false),
        ] {
            assert_eq!(detected(text).counts_in_first, expected, "{text}");
        }
    }

    #[test]
    fn quotes_may_hold_anything() {
        for (line, separator, cells) in [
            ("\"a,b\",c", COMMA, &["a,b", "c"][..]),
            ("\"say \"\"x\"\"\",5\" pipe", COMMA, &["say \"x\"", "5\" pipe"]),
            ("1, \"two\" ,3", COMMA, &["1", "two", "3"]),
            ("\"a b\" c  \"d\"", Separator::Spaces, &["a b", "c", "d"]),
            ("\"open,1", COMMA, &["open,1"]),
            ("a\t\t\"b\"\r", TAB, &["a", "", "b"]),
            ("\"\",x", COMMA, &["", "x"]),
        ] {
            let found: Vec<String> = cut(line.as_bytes(), separator)
                .into_iter()
                .map(|cell| String::from_utf8(cell).unwrap())
                .collect();
            assert_eq!(found, cells, "{line:?}");
        }
        assert!(ends_in_quotes(b"1,\"a", COMMA) && !ends_in_quotes(b"1,a\"", COMMA));
    }
}
