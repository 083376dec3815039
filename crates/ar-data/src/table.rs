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
use crate::read::{Column, ReadOptions, name_of};
use std::io;

const NO_NUMBER: &str = "fill missing values or remove their rows, turn categories into numbers, or leave the \
     column out with drop; a first line counts as a header only if none of its values is a number";

/// Reads a table.
pub(crate) fn read(mut input: Input, options: &ReadOptions) -> Result<(Dataset, Input)> {
    if input.peek()?.starts_with(b"\xef\xbb\xbf") {
        input.skip(3);
    }
    let separator = separator(input.peek()?);
    let mut table = Table {
        path: input.path().to_owned(),
        numbers: Numbers::new(options),
        drop: &options.drop,
        dropped: Vec::new(),
        columns: None,
        width: None,
        rows: 0,
    };
    let input = match separator {
        Some(byte) => separated(input, byte, &mut table)?,
        None => spaced(input, &mut table)?,
    };
    Ok((table.finish()?, input))
}

/// The separator in the first line, `None` for white space.
fn separator(start: &[u8]) -> Option<u8> {
    let start = &start[start.iter().take_while(|byte| byte.is_ascii_whitespace()).count()..];
    let mut quoted = false;
    let mut comma = false;
    for &byte in start.iter().take_while(|&&byte| byte != b'\n') {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => return Some(b';'),
            b',' if !quoted => comma = true,
            _ => {}
        }
    }
    comma.then_some(b',')
}

/// Rows of values separated by white space.
fn spaced(mut input: Input, table: &mut Table) -> Result<Input> {
    let mut line = Vec::new();
    let mut number = 0;
    while input.line(&mut line)? {
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let values = line.split(u8::is_ascii_whitespace).filter(|value: &&[u8]| !value.is_empty());
        table.row(number, values)?;
    }
    Ok(input)
}

/// Rows of values separated by one byte, with quotes.
fn separated(input: Input, separator: u8, table: &mut Table) -> Result<Input> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(reader.into_inner()),
            Err(error) => {
                let error = match error.into_kind() {
                    csv::ErrorKind::Io(error) => error,
                    other => io::Error::other(format!("{other:?}")),
                };
                return Err(reader.get_ref().read_error(error));
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        // A line of blanks alone is one empty value.
        if record.len() == 1 && record.get(0).is_some_and(|value| value.trim_ascii().is_empty()) {
            continue;
        }
        table.row(line, record.iter().map(<[u8]>::trim_ascii))?;
    }
}

struct Table<'a> {
    path: std::path::PathBuf,
    numbers: Numbers,
    drop: &'a [Column],
    /// Indices of the columns to leave out, sorted, once the first line is known.
    dropped: Vec<usize>,
    columns: Option<Vec<String>>,
    /// The number of values in a line and the line that set it.
    width: Option<(u64, u64)>,
    rows: u64,
}

impl Table<'_> {
    /// Settles which columns are left out of lines of so many values.
    fn settle(&mut self, width: usize) -> Result<()> {
        for column in self.drop {
            let refuse = |expected: String, found: String| {
                Error::inconsistent(self.path.display().to_string(), "drop", expected, found)
            };
            let index = match column {
                Column::Index(index) if *index < width => *index,
                Column::Index(index) => {
                    let expected = format!("an index from 0 to {}", width.saturating_sub(1));
                    return Err(refuse(expected, index.to_string()));
                }
                Column::Name(name) => {
                    let Some(columns) = &self.columns else {
                        let found = format!("the name {name:?} and no header");
                        return Err(refuse("an index from 0, or a header".to_owned(), found));
                    };
                    let index = columns.iter().position(|column| column == name);
                    index.ok_or_else(|| {
                        refuse(format!("one of {}", columns.join(", ")), format!("{name:?}"))
                    })?
                }
            };
            self.dropped.push(index);
        }
        self.dropped.sort_unstable();
        self.dropped.dedup();
        if self.dropped.len() >= width {
            let path = self.path.display().to_string();
            return Err(Error::inconsistent(path, "drop", "a column that stays", "all of them"));
        }
        Ok(())
    }

    fn row<'a>(&mut self, line: u64, values: impl Iterator<Item = &'a [u8]> + Clone) -> Result<()> {
        if self.width.is_none() && values.clone().all(|value| number(value).is_none()) {
            // One line of words is a header; if it is all there is, `finish` calls it empty.
            let columns: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
            let width = columns.len();
            self.width = Some((width as u64, line));
            self.columns = Some(columns);
            return self.settle(width);
        }
        if self.width.is_none() && !self.drop.is_empty() {
            self.settle(values.clone().count())?;
        }
        let mut column = 0;
        for value in values {
            column += 1;
            if self.dropped.binary_search(&(column as usize - 1)).is_ok() {
                continue;
            }
            self.value(value).map_err(|refused| {
                let place = Place::Cell { line, column };
                let error = Error::malformed(
                    &self.path,
                    place,
                    refused.flaw,
                    refused.expected,
                    shown(value),
                );
                match refused.hint {
                    Some(hint) => error.advise(hint),
                    None => error,
                }
            })?;
        }
        match self.width {
            Some((width, first)) if width != column => Err(Error::malformed(
                &self.path,
                Place::Line(line),
                Flaw::Ragged,
                format!("{width} values as in line {first}"),
                column.to_string(),
            )),
            _ => {
                self.width.get_or_insert((column, line));
                self.rows += 1;
                Ok(())
            }
        }
    }

    fn value(&mut self, text: &[u8]) -> Result<(), Refused> {
        // Most files hold nothing but single digits.
        if let [digit @ b'0'..=b'9'] = text {
            return self.numbers.push_byte(digit - b'0');
        }
        match number(text) {
            Some(value) => self.numbers.push(value),
            None => Err(Refused {
                flaw: Flaw::NonNumeric,
                expected: "a number".to_owned(),
                hint: Some(NO_NUMBER),
            }),
        }
    }

    fn finish(self) -> Result<Dataset> {
        let width = match self.width {
            Some((width, _)) if self.rows > 0 => width as usize - self.dropped.len(),
            _ => {
                let found = if self.columns.is_some() { "a header alone" } else { "no line" };
                let expected = "lines of numbers";
                return Err(Error::malformed(
                    &self.path,
                    Place::File,
                    Flaw::Empty,
                    expected,
                    found,
                ));
            }
        };
        let name = name_of(&self.path);
        let data = Dataset::new(name, self.numbers.finish(), &[width])?;
        match self.columns {
            Some(columns) => {
                let stays = |(k, name): (usize, String)| {
                    self.dropped.binary_search(&k).is_err().then_some(name)
                };
                data.with_columns(columns.into_iter().enumerate().filter_map(stays).collect())
            }
            None => Ok(data),
        }
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
