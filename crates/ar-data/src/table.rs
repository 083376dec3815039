//! Tables of numbers as text: `.amat`, `.data`, `.csv`, `.tsv`, `.txt`, plain or gzip.
//!
//! One example a line. Values are separated by semicolons, by commas, or by spaces and tabs: the
//! first of these that occurs in the first line outside quotes. A first line in which no value is a
//! number is a header and names the columns. Empty lines are skipped. Quoting follows CSV
//! (RFC 4180) where the separator is a semicolon or a comma.

use crate::dataset::Dataset;
use crate::error::{Error, Flaw, Place, Result, shown};
use crate::input::Input;
use crate::numbers::{Numbers, Refused};
use crate::read::{Column, ReadOptions, Step, name_of};

const NO_NUMBER: &str = "fill missing values or remove their rows, turn categories into numbers, or leave the \
     column out with drop; a first line counts as a header only if none of its values is a number";

/// Reads a table.
pub(crate) fn read(input: Input, options: &ReadOptions) -> Result<(Dataset, Input)> {
    let mut numbers = Numbers::new(options);
    let mut rows = Rows::new(input, None, &options.drop)?;
    let mut left = options.rows.unwrap_or(usize::MAX);
    while left > 0 {
        match rows.next(&mut numbers)? {
            Step::Row => left -= 1,
            Step::Bad(error) => return Err(error),
            Step::End => break,
        }
    }
    let Rows { table, lines } = rows;
    // There is a row, so its width is known.
    let width = table.width.map_or(0, |(width, _)| width as usize) - table.dropped.len();
    let data = Dataset::new(name_of(&table.path), numbers.finish(), &[width])?;
    let data = match table.columns {
        Some(columns) => data.with_columns(columns)?,
        None => data,
    };
    Ok((data, lines.input))
}

/// The rows of a table, one at a time.
pub(crate) struct Rows {
    table: Table,
    lines: Lines,
}

/// The lines of a table.
struct Lines {
    input: Input,
    /// What separates values, `None` for white space.
    separator: Option<u8>,
    /// The last line read, with those after it that belong to its quotes.
    line: Vec<u8>,
    /// Lines read so far.
    count: u64,
}

impl Rows {
    /// Rows of `width` values beside the columns to leave out; of as many as the first line has where no
    /// width is stated.
    pub(crate) fn new(mut input: Input, width: Option<usize>, drop: &[Column]) -> Result<Self> {
        if input.peek()?.starts_with(b"\xef\xbb\xbf") {
            input.skip(3);
        }
        let table = Table {
            path: input.path().to_owned(),
            drop: drop.to_vec(),
            dropped: Vec::new(),
            columns: None,
            stated: width.map(|width| width as u64),
            width: None,
            lines: 0,
            rows: 0,
        };
        let separator = separator(input.peek()?);
        Ok(Self { table, lines: Lines { input, separator, line: Vec::new(), count: 0 } })
    }

    /// Adds the values of the next row to `numbers`.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> Result<Step> {
        let Self { table, lines } = self;
        while let Some(number) = lines.next()? {
            let line = &lines.line[..];
            let step = match lines.separator {
                _ if line.iter().all(u8::is_ascii_whitespace) => continue,
                None => {
                    let values = line.split(u8::is_ascii_whitespace);
                    table.row(number, values.filter(|value| !value.is_empty()), numbers)?
                }
                Some(separator) if line.contains(&b'"') => {
                    let record = unquoted(line, separator);
                    table.row(number, record.iter().map(<[u8]>::trim_ascii), numbers)?
                }
                Some(separator) => {
                    let values = line.split(|&byte| byte == separator);
                    table.row(number, values.map(<[u8]>::trim_ascii), numbers)?
                }
            };
            // A header is no row.
            if let Some(step) = step {
                return Ok(step);
            }
        }
        table.end()
    }

    /// The file underneath.
    pub(crate) fn input(&mut self) -> &mut Input {
        &mut self.lines.input
    }

    /// The names in the header, once the first row was read.
    pub(crate) fn columns(&self) -> Option<&[String]> {
        self.table.columns.as_deref()
    }
}

impl Lines {
    /// Reads the next line, to the end of its quotes, and returns its number; `None` at the end.
    fn next(&mut self) -> Result<Option<u64>> {
        if !self.input.line(&mut self.line)? {
            return Ok(None);
        }
        self.count += 1;
        let number = self.count;
        if let Some(separator) = self.separator {
            let mut more = Vec::new();
            while ends_in_quotes(&self.line, separator) && self.input.line(&mut more)? {
                self.count += 1;
                self.line.push(b'\n');
                self.line.append(&mut more);
            }
        }
        Ok(Some(number))
    }
}

/// Whether a quoted value goes on after the end of a line. Quotes begin a value or are part of it.
fn ends_in_quotes(line: &[u8], separator: u8) -> bool {
    if !line.contains(&b'"') {
        return false;
    }
    let (mut is_quoted, mut is_start) = (false, true);
    for &byte in line {
        match byte {
            // Two quotes inside a value close it and open it again.
            b'"' if is_quoted || is_start => is_quoted = !is_quoted,
            _ if is_quoted => {}
            _ => is_start = byte == separator,
        }
    }
    is_quoted
}

/// The values of a line with quotes.
fn unquoted(line: &[u8], separator: u8) -> csv::ByteRecord {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(separator).has_headers(false).from_reader(line);
    let mut record = csv::ByteRecord::new();
    // Reading from memory cannot fail, and every line of bytes is some record.
    let _ = reader.read_byte_record(&mut record);
    record
}

/// The separator in the first line, `None` for white space.
fn separator(start: &[u8]) -> Option<u8> {
    let start = &start[start.iter().take_while(|byte| byte.is_ascii_whitespace()).count()..];
    let (mut is_quoted, mut is_start, mut comma) = (false, true, false);
    for &byte in start {
        match byte {
            b'"' if is_quoted || is_start => is_quoted = !is_quoted,
            _ if is_quoted => continue,
            b'\n' => break,
            b';' => return Some(b';'),
            b',' => comma = true,
            _ => {}
        }
        is_start = matches!(byte, b'"' | b',');
    }
    comma.then_some(b',')
}

/// What is known of a table so far.
struct Table {
    path: std::path::PathBuf,
    /// What is left out, and the indices of it, sorted, once the first line is known.
    drop: Vec<Column>,
    dropped: Vec<usize>,
    /// The names of the columns that stay.
    columns: Option<Vec<String>>,
    /// The number of values that stay, if it is stated.
    stated: Option<u64>,
    /// The number of values in a line and the line that set it, if one did.
    width: Option<(u64, Option<u64>)>,
    /// Lines with something in them.
    lines: u64,
    /// Lines that were no header.
    rows: u64,
}

impl Table {
    /// Takes a line: `None` if it is the header.
    ///
    /// # Errors
    ///
    /// If the header has another width than was stated, so that no row can be right.
    fn row<'a>(
        &mut self,
        line: u64,
        values: impl Iterator<Item = &'a [u8]> + Clone,
        numbers: &mut Numbers,
    ) -> Result<Option<Step>> {
        self.lines += 1;
        if self.lines == 1 {
            let found = values.clone().count() as u64;
            // One line of words is a header; if it is all there is, `end` calls it empty.
            let is_header = values.clone().all(|value| number(value).is_none());
            let names = || values.clone().map(|name| String::from_utf8_lossy(name).into_owned());
            let is_named = |column: &Column| match column {
                Column::Name(name) => is_header && names().any(|other| other == *name),
                Column::Index(_) => false,
            };
            if self.stated == Some(found) && !self.drop.iter().any(is_named) {
                // What would be left out is not there.
                self.drop.clear();
            }
            let width = match self.stated {
                // A first row that is too short or too long decides nothing.
                Some(stays) if !is_header && found != stays => stays + self.drop.len() as u64,
                _ => found,
            };
            self.settle(width as usize, is_header.then(|| names().collect()))?;
            self.width = self.stated.map(|stays| (stays + self.dropped.len() as u64, None));
            if is_header {
                match self.width {
                    Some((width, _)) if width != found => {
                        return Err(self.ragged(line, width, found));
                    }
                    _ => self.width = Some((found, Some(line))),
                }
                return Ok(None);
            }
        }
        self.rows += 1;
        let mut column = 0;
        for value in values {
            column += 1;
            if self.dropped.binary_search(&(column as usize - 1)).is_ok() {
                continue;
            }
            if let Err(refused) = push(numbers, value) {
                let error = refused.at(&self.path, Place::Cell { line, column }, shown(value));
                return Ok(Some(Step::Bad(error)));
            }
        }
        let (width, _) = *self.width.get_or_insert((column, Some(line)));
        Ok(Some(if width == column {
            Step::Row
        } else {
            Step::Bad(self.ragged(line, width, column))
        }))
    }

    /// Settles which columns are left out of lines of `width` values, and the names of the others.
    fn settle(&mut self, width: usize, names: Option<Vec<String>>) -> Result<()> {
        for column in &self.drop {
            let refuse = |expected: String, found: String| {
                Error::inconsistent(self.path.display().to_string(), "drop", expected, found)
            };
            let index = match (column, &names) {
                (Column::Index(index), _) if *index < width => *index,
                (Column::Index(index), _) => {
                    let expected = format!("an index from 0 to {}", width.saturating_sub(1));
                    return Err(refuse(expected, index.to_string()));
                }
                (Column::Name(name), None) => {
                    let found = format!("the name {name:?} and no header");
                    return Err(refuse("an index from 0, or a header".to_owned(), found));
                }
                (Column::Name(name), Some(names)) => {
                    let index = names.iter().position(|other| other == name);
                    index.ok_or_else(|| {
                        refuse(format!("one of {}", names.join(", ")), format!("{name:?}"))
                    })?
                }
            };
            self.dropped.push(index);
        }
        self.dropped.sort_unstable();
        self.dropped.dedup();
        if !self.drop.is_empty() && self.dropped.len() >= width {
            let path = self.path.display().to_string();
            return Err(Error::inconsistent(path, "drop", "a column that stays", "all of them"));
        }
        let stays =
            |(k, name): (usize, String)| self.dropped.binary_search(&k).is_err().then_some(name);
        self.columns = names.map(|names| names.into_iter().enumerate().filter_map(stays).collect());
        Ok(())
    }

    fn ragged(&self, line: u64, width: u64, found: u64) -> Error {
        let expected = match self.width {
            Some((_, Some(first))) => format!("{width} values as in line {first}"),
            _ => format!("{width} values"),
        };
        let place = Place::Line(line);
        Error::malformed(&self.path, place, Flaw::Ragged, expected, found.to_string())
    }

    fn end(&self) -> Result<Step> {
        if self.rows > 0 {
            return Ok(Step::End);
        }
        let found = if self.columns.is_some() { "a header alone" } else { "no line" };
        Err(Error::malformed(&self.path, Place::File, Flaw::Empty, "lines of numbers", found))
    }
}

/// Adds the value of a cell.
fn push(numbers: &mut Numbers, text: &[u8]) -> Result<(), Refused> {
    // Most files hold nothing but single digits.
    if let [digit @ b'0'..=b'9'] = text {
        return numbers.push_byte(digit - b'0');
    }
    match number(text) {
        Some(value) => numbers.push(value),
        None => Err(Refused {
            flaw: Flaw::NonNumeric,
            expected: "a number".to_owned(),
            hint: Some(NO_NUMBER),
        }),
    }
}

/// A number; the words that Rust also reads as one ("inf", "nan") are none here.
fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_word =
        text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'));
    if is_word { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Values};
    use std::path::Path;

    fn parse_with(text: &[u8], options: &ReadOptions) -> Result<Dataset> {
        let input = Input::from_bytes(Path::new("dir/t.csv"), text.to_vec(), 1 << 20)?;
        read(input, options).map(|(data, _)| data)
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
        assert_eq!(columns("\"a\r\nb\",\"c,d\"\n1,2\n"), ["a\nb", "c,d"]);
        assert_eq!(columns("\"say \"\"x\"\"\",5\" pipe\n1,2\n"), ["say \"x\"", "5\" pipe"]);
        assert_eq!(parse("\"1\",\"2\"\n1,\"2").unwrap().values(), &symbols(&[1, 2, 1, 2], 3));
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
            (b"1,2\n", &[Column::Index(2)], "expected an index from 0 to 1, found 2"),
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
    fn malformed_tables_are_named() {
        let open = ReadOptions::default();
        let binary = ReadOptions { kind: Some(Kind::Binary), ..ReadOptions::default() };
        let levels = ReadOptions { levels: Some(17), ..ReadOptions::default() };
        for (text, options, flaw, message) in [
            ("", &open, Flaw::Empty, "empty: expected lines of numbers, found no line"),
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
                Flaw::NonNumeric,
                "line 1, column 2: not a number: expected a number, found nothing",
            ),
            ("1 nan\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            ("1 inf\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            ("1 0x10\n", &open, Flaw::NonNumeric, "line 1, column 2"),
            ("1 1e99\n", &open, Flaw::OutOfRange, "line 1, column 2: out of range"),
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
                "line 2, column 2: out of range: expected 0 or 1, found \"2\"",
            ),
            (
                "16\n17\n",
                &levels,
                Flaw::OutOfRange,
                "line 2, column 1: out of range: expected a whole number from 0 to 16, found \"17\"",
            ),
            ("16\n-1\n", &levels, Flaw::OutOfRange, "line 2, column 1"),
        ] {
            let error = parse_with(text.as_bytes(), options).unwrap_err();
            let found = error.to_string();
            assert_eq!(error.flaw(), Some(flaw), "{text:?}: {found}");
            assert!(found.starts_with("dir/t.csv: ") && found.contains(message), "{found}");
        }
        let error = parse_with(b"1 \xff\xfe\n", &open).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::NonNumeric));
        let hint = parse("1,?\n").unwrap_err().hint().unwrap();
        assert!(hint.contains("missing values"), "{hint}");
    }
}
