//! Tables as text: `.csv`, `.tsv`, `.txt`, `.dat`, `.data`, `.amat`, plain or gzip, however they are written
//! ([`Dialect`]).
//!
//! One row a line; a value in quotes may go over several. Empty lines are skipped. A row that has another
//! number of values than the first is a bad one, and those after it are read all the same.

use super::cuts::Cuts;
use super::dialect::{Charset, Dialect, Header, Quotes, Separator, cut_into, detect};
use super::{Described, Source};
use crate::bytes::Input;
use crate::columns::{Cell, Notation, Sink, decode};
use crate::error::{Error, Flaw, Place, Result};
use std::path::{Path, PathBuf};

/// Bytes that the dialect is found in, and that are read at a time.
const BLOCK: usize = 1 << 18;

/// The most content that one row of a stream may take, for each of its values; a number in the fullest
/// notation has 24 characters.
const MOST_BYTES_PER_VALUE: u64 = 64;

/// What a row may take besides: separators, blanks and words.
const MOST_BYTES_PER_ROW: u64 = 1 << 20;

/// A table that is text.
pub(crate) struct Text {
    lines: Lines,
    dialect: Dialect,
    names: Option<Vec<String>>,
    width: usize,
    /// The line that set the width; of rows without a header it is that of most.
    width_line: Option<u64>,
    /// Rows so far, bad ones included.
    rows: u64,
    sample: Vec<Vec<Vec<u8>>>,
    /// Lines that are cut together.
    cuts: Option<Cuts>,
}

impl Text {
    /// Finds out how the file is written. `header` overrules what is found of that.
    pub(crate) fn open(
        mut input: Input,
        notation: &mut Notation,
        header: Option<bool>,
    ) -> Result<Self> {
        let path = input.path().to_owned();
        let encoding = input.transcode()?;
        let mut lines = Lines::new(input);
        let is_whole = lines.fill_to(BLOCK)?;
        let start = &lines.buffer[..];
        let encoding = match encoding {
            Charset::Utf8 if !is_utf8(start, is_whole) => Charset::Latin1,
            encoding => encoding,
        };
        let dialect = detect(start, is_whole, encoding, header, &|cell| notation.is_missing(cell));
        notation.comma = dialect.decimal_comma;
        notation.latin1 = encoding == Charset::Latin1;
        lines.end = dialect.line_end;
        let mut text = Self {
            lines,
            dialect,
            names: None,
            width: 0,
            width_line: None,
            rows: 0,
            sample: Vec::new(),
            cuts: None,
        };
        text.begin(&path)?;
        let Dialect { separator, line_end, comments, .. } = dialect;
        text.cuts = Cuts::new(separator, line_end, comments, text.width);
        Ok(text)
    }

    /// Reads what comes before the rows, and looks at the first of them.
    fn begin(&mut self, path: &Path) -> Result<()> {
        for _ in 0..self.dialect.preamble {
            self.lines.next(self.dialect.separator)?;
        }
        let mut comment = None;
        let mut first = None;
        while let Some((line, number)) = self.lines.peek(self.dialect.separator)? {
            if self.dialect.comments && matches!(line.first(), Some(b'#' | b'%')) {
                comment = Some((line[1..].trim_ascii_start().to_vec(), number));
            } else if !is_blank(line, self.dialect.separator) {
                first = Some((line.to_vec(), number));
                break;
            }
            self.lines.skip();
        }
        let latin1 = self.dialect.encoding == Charset::Latin1;
        let named = match self.dialect.header {
            Header::None => None,
            Header::First => first.take().inspect(|_| self.lines.skip()),
            Header::Comment => comment,
        };
        if let Some((line, number)) = &named {
            let mut names = Vec::new();
            cut_into(line, self.dialect.separator, &mut |cell| {
                names.push(decode(cell, latin1).into_owned());
            });
            if self.dialect.row_names {
                names.insert(0, String::new());
            }
            (self.width, self.width_line) = (names.len(), Some(*number));
            self.names = Some(names);
        } else if let Some((line, number)) = &first {
            cut_into(line, self.dialect.separator, &mut |_| self.width += 1);
            self.width_line = Some(*number);
        }
        if self.width == 0 {
            let found = "no line";
            let expected = "lines of values";
            return Err(Error::malformed(path, Place::File, Flaw::Empty, expected, found));
        }
        let mut sample = Vec::new();
        self.lines.sample(50, self.dialect.separator, |line| {
            if !is_blank(line, self.dialect.separator) {
                let mut cells = Vec::new();
                cut_into(line, self.dialect.separator, &mut |cell| cells.push(cell.to_vec()));
                sample.push(cells);
            }
        });
        let most = super::dialect::modal(sample.iter().map(Vec::len));
        let rows_of = |width: usize| sample.iter().filter(|row| row.len() == width).count();
        if let (None, Some(most)) = (&self.names, most)
            && rows_of(most) > rows_of(self.width)
        {
            // A first row that is too short or too long decides nothing.
            (self.width, self.width_line) = (most, None);
        }
        self.sample = sample;
        Ok(())
    }

    pub(crate) fn into_input(self) -> Input {
        self.lines.input
    }

    fn ragged(&self, path: &Path, line: u64, found: usize) -> Error {
        let expected = match self.width_line {
            Some(first) => format!("{} values as in line {first}", self.width),
            None => format!("{} values", self.width),
        };
        let error =
            Error::malformed(path, Place::Line(line), Flaw::Ragged, expected, found.to_string());
        // A title above the table, which was taken for its header.
        let rows = self.sample.iter().filter(|row| row.len() == found).count();
        match self.width_line {
            Some(first) if found > 1 && 2 * rows > self.sample.len() => error.advise(format!(
                "the lines before line {line} have another number of values than those from there on: remove \
                 line {first} if it is a title, or give it a value for each column if it is a header"
            )),
            _ => error,
        }
    }

    fn no_rows(&self, path: &Path) -> Error {
        let found = if self.names.is_some() { "a header alone" } else { "no line" };
        Error::malformed(path, Place::File, Flaw::Empty, "lines of values", found)
    }
}

impl Source for Text {
    fn path(&self) -> &Path {
        self.lines.input.path()
    }

    fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn row_names(&self) -> bool {
        self.dialect.row_names
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.dialect.counts_in_first {
            notes.push(
                "line 1 could be a header that counts the columns; it is read as data: header = true says \
                 otherwise"
                    .to_owned(),
            );
        }
        if self.dialect.points_may_group {
            notes.push(
                "all points in numbers stand before three digits, as marks of thousands do; they are read as \
                 decimal marks, so 1.234 is less than 2: where that is wrong, remove them from the file"
                    .to_owned(),
            );
        }
        notes
    }

    fn sampled(&self, column: usize) -> Box<dyn Iterator<Item = Cell<'_>> + '_> {
        let rows = self.sample.iter().filter(|row| row.len() == self.width);
        Box::new(rows.map(move |row| Cell::Text(&row[column])))
    }

    fn describe(&self) -> Described {
        Described::Text(self.dialect)
    }

    fn progress(&self) -> (u64, u64) {
        self.lines.input.progress()
    }

    fn read(&mut self, most: usize, sink: &mut Sink) -> Result<bool> {
        let path: PathBuf = self.path().to_owned();
        let separator = self.dialect.separator;
        let cap = MOST_BYTES_PER_VALUE.saturating_mul(self.width as u64) + MOST_BYTES_PER_ROW;
        if self.lines.row_cap.is_some() {
            self.lines.row_cap = Some(cap);
        }
        let start = sink.next_row();
        while sink.next_row() - start < most as u64 {
            if let (Some(cuts), None) = (&mut self.cuts, &self.lines.peeked) {
                let left = most - (sink.next_row() - start) as usize;
                let text = &self.lines.buffer[self.lines.at..];
                let rows = cuts.cut(text, left);
                if rows > 0 {
                    cuts.push(text, sink);
                    sink.end_rows_of_lines(self.lines.count + 1, rows);
                    self.lines.skip_lines(cuts.len(), rows);
                    self.rows += rows as u64;
                    continue;
                }
            }
            // A line that is otherwise than most, or that goes on after the buffer.
            let Some((range, number)) = self.lines.next(separator)? else {
                if self.rows == 0 {
                    return Err(self.no_rows(&path));
                }
                return Ok(false);
            };
            let line = &self.lines.buffer[range];
            if is_blank(line, separator)
                || (self.dialect.comments && matches!(line.first(), Some(b'#' | b'%')))
            {
                continue;
            }
            self.rows += 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut found = 0;
            cut_into(line, separator, &mut |_| found += 1);
            if found != self.width {
                let error = self.ragged(&path, number, found);
                sink.bad_row(error);
                continue;
            }
            let mut column = 0;
            cut_into(line, separator, &mut |cell| {
                sink.cell(column, Cell::Text(cell));
                column += 1;
            });
            sink.end_row(number);
        }
        Ok(true)
    }
}

pub(super) fn is_blank(line: &[u8], separator: Separator) -> bool {
    // A line of tabs is a row of empty cells.
    match separator {
        Separator::Byte(b'\t') => line.iter().all(|byte| matches!(byte, b' ' | b'\r')),
        _ => line.iter().all(u8::is_ascii_whitespace),
    }
}

/// Whether a beginning is UTF-8, as far as it goes.
fn is_utf8(start: &[u8], is_whole: bool) -> bool {
    match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => !is_whole && error.error_len().is_none(),
    }
}

/// The records of a text, which may go over several lines.
struct Lines {
    input: Input,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    at: usize,
    /// What ends a line.
    end: u8,
    /// Lines before the next record.
    count: u64,
    is_over: bool,
    /// The most content that a record may take, of a file that is longer than any cap as a whole.
    row_cap: Option<u64>,
    /// A record that was looked at: its range and the lines it goes over.
    peeked: Option<(std::ops::Range<usize>, u64)>,
}

impl Lines {
    fn new(input: Input) -> Self {
        let row_cap = input.is_stream().then_some(MOST_BYTES_PER_ROW);
        Self {
            input,
            buffer: Vec::new(),
            at: 0,
            end: b'\n',
            count: 0,
            is_over: false,
            row_cap,
            peeked: None,
        }
    }

    /// Reads until the buffer has so many bytes; true if the file ended.
    fn fill_to(&mut self, bytes: usize) -> Result<bool> {
        while !self.is_over && self.buffer.len() - self.at < bytes {
            self.fill()?;
        }
        Ok(self.is_over)
    }

    fn fill(&mut self) -> Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.is_over = !self.input.block(&mut self.buffer, BLOCK)?;
        Ok(())
    }

    /// The range of the next record and how many lines it goes over.
    fn find(&mut self, separator: Separator) -> Result<Option<(std::ops::Range<usize>, u64)>> {
        if let Some(peeked) = self.peeked.clone() {
            return Ok(Some(peeked));
        }
        let (mut scanned, mut lines) = (0, 0);
        let mut quotes = Quotes::new(separator);
        loop {
            let rest = &self.buffer[self.at..];
            match memchr::memchr(self.end, &rest[scanned..]) {
                Some(end) => {
                    let end = scanned + end;
                    lines += 1;
                    if quotes.open_at_end(&rest[..end]).is_some() {
                        scanned = end + 1;
                        continue;
                    }
                    return Ok(Some((self.at..self.at + end, lines)));
                }
                None if self.is_over => {
                    if rest.is_empty() {
                        return Ok(None);
                    }
                    if let Some(open) = quotes.open_at_end(rest) {
                        return Err(self.unclosed(open));
                    }
                    return Ok(Some((self.at..self.buffer.len(), lines + 1)));
                }
                None => {
                    scanned = rest.len();
                    if self.row_cap.is_some_and(|cap| scanned as u64 > cap) {
                        if let Some(open) = quotes.open_at_end(rest) {
                            return Err(self.unclosed(open));
                        }
                        return Err(self.input.above_row_cap(self.row_cap.unwrap_or_default()));
                    }
                    self.fill()?;
                }
            }
        }
    }

    /// The error about a quote of the next record, before which there are so many bytes of it. All that follows
    /// would be one value.
    fn unclosed(&self, bytes: usize) -> Error {
        let before = &self.buffer[self.at..self.at + bytes];
        let line = self.count + 1 + memchr::memchr_iter(self.end, before).count() as u64;
        let expected = "a quote that closes the one in this line";
        let place = Place::Line(line);
        self.input.malformed(place, Flaw::Corrupt, expected, "none up to the end").advise(
            "a quote that begins a value makes all up to the next quote part of it: close it, or remove it, or \
             write it twice inside quotes",
        )
    }

    /// The next record and the number of its first line, which stays the next.
    fn peek(&mut self, separator: Separator) -> Result<Option<(&[u8], u64)>> {
        let Some((range, lines)) = self.find(separator)? else { return Ok(None) };
        self.peeked = Some((range.clone(), lines));
        let line = &self.buffer[range];
        Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), self.count + 1)))
    }

    /// Goes on after the record that was looked at.
    fn skip(&mut self) {
        if let Some((range, lines)) = self.peeked.take() {
            self.at = (range.end + 1).min(self.buffer.len());
            self.count += lines;
        }
    }

    /// Goes over so many lines, which have so many bytes.
    fn skip_lines(&mut self, bytes: usize, lines: usize) {
        self.at += bytes;
        self.count += lines as u64;
    }

    /// The range of the next record in the buffer, and the number of its first line.
    #[inline]
    fn next(&mut self, separator: Separator) -> Result<Option<(std::ops::Range<usize>, u64)>> {
        let Some((range, lines)) = self.find(separator)? else { return Ok(None) };
        self.peeked = None;
        let number = self.count + 1;
        self.at = (range.end + 1).min(self.buffer.len());
        self.count += lines;
        Ok(Some((range, number)))
    }

    /// Shows the next records of the buffer, which stay the next.
    fn sample(&self, most: usize, separator: Separator, mut each: impl FnMut(&[u8])) {
        let mut rest = &self.buffer[self.at..];
        for _ in 0..most {
            let Some(mut end) = memchr::memchr(self.end, rest) else {
                if self.is_over && !rest.is_empty() {
                    each(rest);
                }
                return;
            };
            let mut quotes = Quotes::new(separator);
            while quotes.open_at_end(&rest[..end]).is_some() {
                let Some(more) = memchr::memchr(self.end, &rest[end + 1..]) else { return };
                end += 1 + more;
            }
            each(&rest[..end]);
            rest = &rest[end + 1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::{Flaw, Result};
    use crate::{
        Column, Dataset, Encoding, Kind, ReadOptions, Table, TableOptions, Values, read_bytes,
    };
    use std::path::Path;

    fn parse_with(text: &[u8], options: &ReadOptions) -> Result<Dataset> {
        let options = ReadOptions { max_bytes: Some(1 << 20), ..options.clone() };
        read_bytes(Path::new("dir/t.csv"), text.to_vec(), &options)
    }

    fn parse(text: &str) -> Result<Dataset> {
        parse_with(text.as_bytes(), &ReadOptions::default())
    }

    fn symbols(data: &[u8], levels: u16) -> Values {
        Values::Symbols { data: data.to_vec(), levels }
    }

    #[test]
    fn every_separator_gives_the_same_table() {
        for text in [
            "0 1 1\n1 0 0\n",
            " 0  1\t1 \n\n1 0 0",
            "0,1,1\r\n1,0,0\r\n",
            "0, 1 ,1\n\n1,0,0\n  \n",
            "0;1;1\n1;0;0\n",
            "\"0\",\"1\",\"1\"\n1,0,0",
            "\u{feff}0,1,1\n1,0,0\n",
            "0.0 1e0 +1\n1. 0 -0\n",
        ] {
            let data = parse(text).unwrap();
            assert_eq!(data.values(), &symbols(&[0, 1, 1, 1, 0, 0], 2), "{text:?}");
            assert_eq!(data.shape(), [3]);
            assert_eq!(data.columns(), None);
        }
    }

    #[test]
    fn headers_name_columns() {
        let data =
            parse("\"fixed; acidity\";\"pH\"\n7.4;3\n7,5;3\n".replace("7,5", "7.5").as_str());
        let data = data.unwrap();
        assert_eq!(data.columns().unwrap(), ["fixed; acidity", "pH"]);
        assert_eq!(data.reals().unwrap(), [7.4, 3.0, 7.5, 3.0]);
        assert_eq!(parse("a b\n3 16\n").unwrap().columns().unwrap(), ["a", "b"]);
    }

    #[test]
    fn quotes_may_hold_anything() {
        let columns = |text: &str| parse(text).unwrap().columns().unwrap().to_vec();
        assert_eq!(columns("\"a\r\nb\",\"c,d\"\n1,2\n"), ["a\r\nb", "c,d"]);
        assert_eq!(columns("\"say \"\"x\"\"\",5\" pipe\n1,2\n"), ["say \"x\"", "5\" pipe"]);
        assert_eq!(parse("\"1\",\"2\"\n1,\"2\"").unwrap().values(), &symbols(&[1, 2, 1, 2], 3));
    }

    #[test]
    fn a_quote_that_nothing_closes_is_an_error_of_its_line_and_no_bad_row() {
        let rows = |text: &str| {
            let options = TableOptions::default();
            Table::of_bytes(Path::new("t.csv"), text.as_bytes().to_vec(), &options)
        };
        let many = format!("{}0.5,\"1.0,2.0\n{}", "1,2,3\n".repeat(99), "1,2,3\n".repeat(200));
        let long = format!("1,2\n1,\"2\n{}", "1,2\n".repeat(100_000));
        for (text, line) in [
            (&many[..], 100),
            ("1,\"2\n3,4\n5,6", 1),
            ("1,2\n\"a\nb\",\"c\n3,4\n", 3),
            ("a,b\n1,2\n1,\"2", 3),
            (&long, 2),
        ] {
            let error = rows(text).err().unwrap();
            let message = error.to_string();
            let expected = format!("t.csv: line {line}: corrupt: expected a quote that closes");
            assert!(message.starts_with(&expected), "{message}");
            assert!(error.hint().unwrap().contains("close it"));
        }
        let table = rows("a,b\n1,\"2\n3\n4\"\n5,6\n").unwrap();
        assert_eq!((table.len(), table.bad_rows().len()), (2, 0));
    }

    #[test]
    fn columns_are_left_out_whatever_is_in_them() {
        let drop =
            |columns: &[Column]| ReadOptions { drop: columns.to_vec(), ..ReadOptions::default() };
        let name = |name: &str| Column::Name(name.to_owned());
        let text = b"id;a;b\nx;1.5;2\ny;;4\n";
        let data = parse_with(text, &drop(&[name("id"), Column::Index(1)])).unwrap();
        assert_eq!((data.shape(), data.columns().unwrap()), (&[1][..], &["b".to_owned()][..]));
        assert_eq!(data.values(), &symbols(&[2, 4], 5));
        let data = parse_with(b"1,x,3\n4,y,6\n", &drop(&[Column::Index(1)])).unwrap();
        assert_eq!(data.values(), &symbols(&[1, 3, 4, 6], 7));
        for (text, columns, part) in [
            (&b"a,b\n1,2\n"[..], &[name("c")][..], "drop: expected one of a, b, found \"c\""),
            (b"1,2\n", &[name("a")], "found the name \"a\" and no header"),
            (
                b"1,2\n",
                &[Column::Index(2)],
                "expected an index from 0 to 1, or from -1 to -2, found 2",
            ),
            (b"1,2\n", &[Column::Index(0), Column::Index(1)], "expected a column that stays"),
        ] {
            let error = parse_with(text, &drop(columns)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn one_column_is_a_table() {
        assert_eq!(parse("1\n0\n").unwrap().values(), &symbols(&[1, 0], 2));
        assert_eq!(parse("x\n1\n").unwrap().columns().unwrap(), ["x"]);
    }

    #[test]
    fn lines_are_counted_whichever_way_they_are_cut() {
        let plain = "1,a,0.5\n".repeat(30_000);
        let text = format!(
            "n,word,x\n{plain}1,\"b\nc\",2\n{plain}1,2\n# no comment\n\n{plain}x,\"d\",2.5\r\n1,e,7"
        );
        let table =
            Table::of_bytes(Path::new("t.csv"), text.into_bytes(), &TableOptions::default());
        let table = table.unwrap();
        assert_eq!(table.len(), 90_003);
        let bad: Vec<String> = table.bad_rows().iter().map(|bad| bad.error.to_string()).collect();
        assert_eq!(
            bad,
            [
                "t.csv: line 60004: ragged: expected 3 values as in line 1, found 2",
                "t.csv: line 60005: ragged: expected 3 values as in line 1, found 1",
            ]
        );
        let mut schema = table.all_as(Encoding::Reals);
        schema.variables.truncate(1);
        let (data, bad) = table.dataset(&schema, Encoding::Reals).unwrap();
        assert_eq!(data.len(), 90_002);
        let error = bad.last().unwrap().error.to_string();
        assert!(error.starts_with("t.csv: line 90007, column 1: "), "{error}");
    }

    #[test]
    fn malformed_tables_are_named() {
        let open = ReadOptions::default();
        let binary = ReadOptions { kind: Some(Kind::Binary), ..ReadOptions::default() };
        let levels = ReadOptions { levels: Some(17), ..ReadOptions::default() };
        for (text, options, flaw, message) in [
            ("", &open, Flaw::Empty, "empty: expected lines of values, found no line"),
            ("\n \n", &open, Flaw::Empty, "found no line"),
            ("a,b\n", &open, Flaw::Empty, "found a header alone"),
            (
                "1,2\n3,x\n",
                &open,
                Flaw::NonNumeric,
                "line 2, column 2: not a number: expected a number, found \"x\"",
            ),
            ("a,b\nc,d\n", &open, Flaw::NonNumeric, "line 2, column 1"),
            ("1,b\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            (
                "1,\n",
                &open,
                Flaw::Missing,
                "line 1, column 2: missing: expected 0 or 1, found a missing value",
            ),
            ("1 nan\n0 1\n1 1\n", &open, Flaw::Missing, "line 1, column 2"),
            ("1 inf\n0 1\n1 1\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            ("1 0x10\n0 1\n1 1\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            (
                "1 2\n\n1 2 3\n",
                &open,
                Flaw::Ragged,
                "line 3: ragged: expected 2 values as in line 1, found 3",
            ),
            (
                "1,2\n1\n",
                &open,
                Flaw::Ragged,
                "line 2: ragged: expected 2 values as in line 1, found 1",
            ),
            // Lines are those of the file, whatever ends them and whether or not they are empty.
            ("1,2\r\n\r\n\r\n1,x\r\n", &open, Flaw::NonNumeric, "line 4, column 2"),
            ("\"a\nb\";\"c \"\"d\"\"\"\n1;2\n1;x\n", &open, Flaw::NonNumeric, "line 4, column 2"),
            ("a 5\" b;c\n1;x\n", &open, Flaw::NonNumeric, "line 2, column 2"),
            ("a,b\n1\n", &open, Flaw::Ragged, "line 2"),
            (
                "0 1\n0 2\n",
                &binary,
                Flaw::OutOfRange,
                "line 2, column 2: out of range: expected 0 or 1, found 2",
            ),
            (
                "16\n17\n",
                &levels,
                Flaw::OutOfRange,
                "line 2, column 1: out of range: expected a whole number from 0 to 16, found 17",
            ),
            ("16\n-1\n", &levels, Flaw::OutOfRange, "line 2, column 1"),
        ] {
            let error = parse_with(text.as_bytes(), options).unwrap_err();
            let found = error.to_string();
            assert_eq!(error.flaw(), Some(flaw), "{text:?}: {found}");
            assert!(found.starts_with("dir/t.csv: ") && found.contains(message), "{found}");
        }
        let error = parse_with(b"1 \xff\xfe\n0 1\n1 1\n", &open).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::NonNumeric));
        let hint = parse("1,?\n0,1\n").unwrap_err().hint().unwrap();
        assert!(hint.contains("missing"), "{hint}");
    }
}
