//! A whole table in memory, of which nothing is known before it is read.
//!
//! The columns are kept as what their cells turned out to be, a chunk of rows at a time, so that what becomes
//! of them ([`Table::dataset`]) can take the place of what they were chunk by chunk.

use super::builder::{Builder, Part, State};
use super::cell::Notation;
use super::dictionary::{Dictionary, in_order};
use super::encode;
use super::facts::Facts;
use super::number::canonical;
use super::open::{open, open_as, resolve};
use super::options::{Stated, TableOptions};
use super::schema::{Encoding, Label, Schema, Type, Variable, listed, title};
use super::sink::{BadRow, Sink, Taken};
use crate::bytes::Input;
use crate::cells::{Described, Source};
use crate::dataset::{Dataset, name_of};
use crate::error::{Error, Flaw, Place, Result};
use crate::format::{Format, format_of};
use crate::options::above_limit;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Decimal places up to which numbers are on a grid.
const MOST_PLACES: u8 = 6;

/// The most classes that a column of labels may have.
const MOST_CLASSES: usize = 256;

/// A table in memory.
pub struct Table {
    path: PathBuf,
    names: Option<Vec<String>>,
    /// The name of a last column that stands beside the table.
    beside: Option<String>,
    width: usize,
    described: Described,
    missing: Vec<String>,
    left_out: Vec<usize>,
    label: Option<usize>,
    stated: BTreeMap<usize, Stated>,
    /// What is known of each column that is not left out.
    pub(super) facts: Vec<Option<(Facts, Dictionary)>>,
    pub(super) chunks: Vec<Taken>,
    rows: usize,
    bad: Vec<BadRow>,
    notes: Vec<String>,
}

/// Values that are read at a time, and rows at most.
const VALUES: usize = 1 << 22;

impl Table {
    /// Reads a table of any format.
    ///
    /// ```
    /// use ar_data::{Table, TableOptions, Type};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("flowers.csv");
    /// std::fs::write(&path, "petal;species\n1,4;setosa\n4,7;versicolor\n1,3;setosa\n")?;
    /// let table = Table::read(&path, &TableOptions::default())?;
    /// let schema = table.infer(None)?;
    /// assert_eq!(schema.variables[0].kind, Type::Decimal { places: 1 });
    /// assert_eq!(schema.variables[1].kind.outcomes(), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses, [`Error::Malformed`] if the file is not one of its format, has no
    /// row or is larger than the limit, [`Error::Inconsistent`] if a column that is named is not there.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        let options = &options.limited();
        let read = || {
            let (source, notation) = open(path, options)?;
            Self::of(source, notation, options).map(|(table, _)| table)
        };
        read().map_err(|error| above_limit(error, options.rows, options.limit()))
    }

    /// Reads a table from memory; `name` stands for its path.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read). Parquet and Arrow are read from files alone.
    pub fn of_bytes(name: &Path, bytes: Vec<u8>, options: &TableOptions) -> Result<Self> {
        let options = &options.limited();
        let mut input = Input::from_bytes(name, bytes, options.limit())?;
        let format = format_of(&mut input)?;
        Self::of_input(input, format, options)
    }

    /// Reads a table from the content of a file.
    pub(crate) fn of_input(input: Input, format: Format, options: &TableOptions) -> Result<Self> {
        let (source, notation) = open_as(input, format, options)?;
        Self::of(source, notation, options).map(|(table, _)| table)
    }

    /// Reads a text, and gives the file back for its digest.
    pub(crate) fn of_text(input: Input, options: &TableOptions) -> Result<(Self, Input)> {
        let mut notation = Notation::new(&options.missing);
        let text = crate::cells::text::Text::open(input, &mut notation, options.header)?;
        let (table, text) = Self::of(text, notation, options)?;
        Ok((table, text.into_input()))
    }

    fn of<S: AsSource>(
        mut source: S,
        notation: Notation,
        options: &TableOptions,
    ) -> Result<(Self, S)> {
        let from = source.source();
        let (path, width) = (from.path().to_owned(), from.width());
        let names = from.names().map(<[String]>::to_vec);
        let beside = from.beside().map(str::to_owned);
        let label = options.label.as_ref();
        let label = label.map(|label| resolve(from, "label", label)).transpose()?;
        let mut left_out = Vec::new();
        let mut notes = from.notes();
        for column in &options.drop {
            let column = resolve(from, "drop", column)?;
            if Some(column) == label {
                let name = path.display().to_string();
                let found = format!("{} as both", title(named(&names, column), column));
                return Err(Error::inconsistent(name, "drop", "a column besides the label", found));
            }
            left_out.push(column);
        }
        if from.row_names() {
            notes.push(
                "the first column has no name: it is taken as names of rows, not as a variable"
                    .to_owned(),
            );
            left_out.push(0);
        }
        left_out.sort_unstable();
        left_out.dedup();
        if left_out.len() + usize::from(label.is_some()) >= width {
            let expected = "a column that stays";
            return Err(Error::inconsistent(
                path.display().to_string(),
                "drop",
                expected,
                "all of them",
            ));
        }
        let mut stated = BTreeMap::new();
        for (column, kind) in &options.types {
            stated.insert(resolve(from, "columns", column)?, *kind);
        }
        check_names(&path, names.as_deref(), &left_out)?;
        let described = from.describe();
        let builders = (0..width).map(|column| {
            let title = title(named(&names, column), column);
            if left_out.binary_search(&column).is_ok() {
                return None;
            }
            let is_words = stated.get(&column) == Some(&Stated::Category);
            Some(if is_words { Builder::of_words(title) } else { Builder::open(title) })
        });
        let mut sink = Sink::new(&path, builders.collect(), notation);
        let mut chunks = Vec::new();
        let (mut rows, mut bad, mut bytes, limit) = (0, Vec::new(), 0, options.limit());
        let per_chunk = (VALUES / width).clamp(16, 1 << 16);
        let most = options.rows.map_or(u64::MAX, |rows| rows as u64);
        loop {
            let left = usize::try_from(most - sink.next_row()).unwrap_or(usize::MAX);
            let more = source.source_mut().read(per_chunk.min(left), &mut sink)?;
            let mut taken = sink.take();
            bad.append(&mut taken.bad);
            rows += taken.rows.len();
            bytes += taken.parts.iter().flatten().map(Part::bytes).sum::<u64>();
            if bytes > limit {
                // Formats that pack values may hold many times what the file takes.
                let expected = format!("at most {limit} bytes of values");
                return Err(Error::malformed(&path, Place::File, Flaw::TooLarge, expected, "more"));
            }
            if !taken.rows.is_empty() {
                chunks.push(taken);
            }
            if !more || sink.next_row() >= most {
                break;
            }
        }
        let facts = sink.into_builders().into_iter().map(|builder| builder?.facts()).collect();
        let missing = options.missing.clone();
        let table = Self {
            path,
            names,
            beside,
            width,
            described,
            missing,
            left_out,
            label,
            stated,
            facts,
            chunks,
            rows,
            bad,
            notes,
        };
        Ok((table, source))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many rows could be read.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many columns the file has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How the file is written.
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// Rows that could not be read.
    pub fn bad_rows(&self) -> &[BadRow] {
        &self.bad
    }

    /// What was found out on the way that a user should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The columns that are variables, by position: those that are neither left out, nor the label, nor empty.
    pub(super) fn variables(&self) -> impl Iterator<Item = (usize, &Facts, &Dictionary)> {
        let columns = self.facts.iter().enumerate();
        columns.filter_map(|(column, facts)| {
            let (facts, dictionary) = facts.as_ref()?;
            let is_empty = facts.numbers + facts.words == 0;
            (Some(column) != self.label && !is_empty).then_some((column, facts, dictionary))
        })
    }

    pub(super) fn title(&self, column: usize) -> String {
        title(named(&self.names, column), column)
    }

    /// What the columns are. Where `prefer` is [`Encoding::Symbols`], whole numbers within 0 to 255 are codes
    /// however many there are; where it is [`Encoding::Columns`], codes are the labels that occur, and a column of one
    /// number is a category of that label.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] if a column is not what was stated of it, or none stays;
    /// [`Error::Inconsistent`] if there are more than 256 classes.
    pub fn infer(&self, prefer: Option<Encoding>) -> Result<Schema> {
        let mut differences = Vec::new();
        let mut variables = Vec::new();
        for (column, facts, dictionary) in self.variables() {
            let as_symbols = matches!(prefer, Some(Encoding::Symbols { .. }));
            let kind = self.type_of(column, facts, dictionary, as_symbols).map(|kind| {
                let is_constant =
                    kind.outcomes().is_none() && !facts.are_many && facts.few.len() == 1;
                let is_code = matches!(kind, Type::Codes { .. });
                let is_open =
                    prefer == Some(Encoding::Columns) && !self.stated.contains_key(&column);
                match is_open && (is_code || is_constant) {
                    true => Type::Category { labels: self.labels(column, dictionary) },
                    false => kind,
                }
            });
            match kind {
                Ok(kind) => variables.push(Variable {
                    name: named(&self.names, column).map(str::to_owned),
                    column,
                    can_be_missing: facts.missing > 0,
                    kind,
                }),
                Err(difference) => differences.push(difference),
            }
        }
        if !differences.is_empty() {
            let hint = "state another type in [data.columns], or leave the column out with drop";
            return Err(Error::unsuitable(&self.path, differences, hint));
        }
        if variables.is_empty() {
            let expected = "a column with values that is not the label";
            return Err(Error::malformed(&self.path, Place::File, Flaw::Empty, expected, "none"));
        }
        let left_out = self.left_out.iter().copied().chain(self.empty());
        Ok(Schema {
            width: self.width,
            missing: self.missing.clone(),
            left_out: left_out.map(|column| self.name_or_index(column)).collect(),
            label: self.label.map(|column| self.classes(column)).transpose()?,
            variables,
        })
    }

    /// All columns that stay as values of one kind, whatever they are.
    pub fn all_as(&self, encoding: Encoding) -> Schema {
        let kind = Schema::kind_of(encoding);
        let columns = (0..self.width).filter(|column| self.facts[*column].is_some());
        let variables =
            columns.filter(|column| Some(*column) != self.label).map(|column| Variable {
                name: named(&self.names, column).map(str::to_owned),
                column,
                can_be_missing: false,
                kind: kind.clone(),
            });
        Schema {
            width: self.width,
            missing: self.missing.clone(),
            left_out: self.left_out.iter().map(|&column| self.name_or_index(column)).collect(),
            label: None,
            variables: variables.collect(),
        }
    }

    /// How many levels the whole numbers within 0 to 255 ask for, at least 2.
    pub fn code_levels(&self) -> u16 {
        let numbers = self.variables().filter(|(_, facts, _)| facts.numbers > 0);
        let most = numbers.map(|(_, facts, _)| facts.most.clamp(1.0, 255.0)).fold(1.0, f64::max);
        most as u16 + 1
    }

    /// How a schema speaks of a column that is no variable.
    fn name_or_index(&self, column: usize) -> String {
        named(&self.names, column).map_or_else(|| column.to_string(), str::to_owned)
    }

    /// Columns without a value.
    fn empty(&self) -> impl Iterator<Item = usize> {
        self.facts.iter().enumerate().filter_map(|(column, facts)| {
            let (facts, _) = facts.as_ref()?;
            (facts.numbers + facts.words == 0 && Some(column) != self.label).then_some(column)
        })
    }

    /// What a user should know of the columns.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.notes.clone();
        let empty: Vec<String> = self.empty().map(|column| self.title(column)).collect();
        if !empty.is_empty() {
            remarks.push(format!("without a value, so left out: {}", listed(empty)));
        }
        remarks
    }

    fn type_of(
        &self,
        column: usize,
        facts: &Facts,
        dictionary: &Dictionary,
        as_symbols: bool,
    ) -> Result<Type, String> {
        let labels = || Type::Category { labels: self.labels(column, dictionary) };
        let title = self.title(column);
        let number = || -> Type {
            match facts {
                Facts { is_fractional: false, .. } => Type::Integer,
                Facts { is_float: false, places: places @ ..=MOST_PLACES, .. } => {
                    Type::Decimal { places: *places }
                }
                _ => Type::Real,
            }
        };
        // An infinite number among others is no value but a fault.
        let words = if facts.numbers > 0 { facts.words - facts.infinite } else { facts.words };
        let is_code =
            words == 0 && !facts.is_fractional && facts.least >= 0.0 && facts.most <= 255.0;
        let codes = || Type::Codes { levels: facts.most as u16 + 1 };
        match self.stated.get(&column) {
            Some(Stated::Category) => return Ok(self.stated_category(column, dictionary)),
            Some(_) if facts.numbers == 0 => {
                return Err(format!("{title} holds words, stated as a number"));
            }
            Some(Stated::Integer) if facts.is_fractional => {
                return Err(format!(
                    "{title} holds numbers that are not whole, stated as an integer"
                ));
            }
            Some(Stated::Integer) => return Ok(Type::Integer),
            Some(Stated::Decimal { places: None }) => {
                return Ok(Type::Decimal { places: facts.places.min(MOST_PLACES) });
            }
            Some(Stated::Decimal { places: Some(places) }) => {
                return Ok(Type::Decimal { places: *places });
            }
            Some(Stated::Real) => return Ok(Type::Real),
            None => {}
        }
        let distinct = facts.few.len() as u64;
        let are_few = !facts.are_many && (distinct <= 2 || 2 * distinct <= facts.numbers);
        Ok(match (facts.numbers, words) {
            (_, 0) if facts.is_fractional => number(),
            (_, 0) if is_code && (as_symbols || are_few) => codes(),
            (_, 0) if are_few && facts.infinite == 0 => labels(),
            (_, 0) => Type::Integer,
            // Words here and there among numbers are no values but faults.
            (numbers, words) if numbers >= 9 * words && facts.are_many => number(),
            _ => labels(),
        })
    }

    /// The type of a column that is said to be a category: codes where its words are whole numbers from 0 to 255.
    fn stated_category(&self, column: usize, dictionary: &Dictionary) -> Type {
        let labels = self.labels(column, dictionary);
        let codes: Option<Vec<u8>> = labels
            .iter()
            .map(|label| label.parse::<u8>().ok().filter(|byte| byte.to_string() == *label))
            .collect();
        match codes.and_then(|codes| codes.into_iter().max()) {
            Some(most) => Type::Codes { levels: u16::from(most) + 1 },
            None => Type::Category { labels },
        }
    }

    /// The distinct values of a column as labels, in order.
    pub(super) fn labels(&self, column: usize, dictionary: &Dictionary) -> Vec<String> {
        let mut labels: BTreeSet<String> = dictionary.labels().iter().cloned().collect();
        for part in self.parts(column) {
            labels.extend(part.words.iter().map(|(_, word)| word.clone()));
            match &part.values {
                State::Bytes(values) => {
                    let mut seen = [false; 256];
                    for (row, &byte) in values.iter().enumerate() {
                        if !seen[usize::from(byte)] && part.has(row) {
                            seen[usize::from(byte)] = true;
                            labels.insert(byte.to_string());
                        }
                    }
                }
                State::Numbers(values) => {
                    let distinct: BTreeSet<u64> = values
                        .iter()
                        .filter(|value| !value.is_nan())
                        .map(|value| (value + 0.0).to_bits())
                        .collect();
                    labels.extend(distinct.into_iter().map(|bits| canonical(f64::from_bits(bits))));
                }
                State::Codes(_) => {}
            }
        }
        let mut labels: Vec<String> = labels.into_iter().collect();
        in_order(&mut labels);
        labels
    }

    pub(super) fn parts(&self, column: usize) -> impl Iterator<Item = &Part> {
        self.chunks.iter().filter_map(move |chunk| chunk.parts[column].as_ref())
    }

    fn classes(&self, column: usize) -> Result<Label> {
        // By the name of its array a label of a `.npz` is found in other ones.
        let beside = self.beside.clone().filter(|_| column + 1 == self.width);
        let name = beside.or_else(|| named(&self.names, column).map(str::to_owned));
        let classes = match &self.facts[column] {
            Some((_, dictionary)) => self.labels(column, dictionary),
            None => Vec::new(),
        };
        if classes.is_empty() || classes.len() > MOST_CLASSES {
            let expected = format!("1 to {MOST_CLASSES} classes in {}", self.title(column));
            let found = classes.len().to_string();
            let hint = "a label is a column of few distinct values; leave this one out with drop";
            let path = self.path.display().to_string();
            return Err(Error::inconsistent(path, "label", expected, found).advise(hint));
        }
        Ok(Label { name, column, classes })
    }

    /// The rows as events of a schema, and those that could not be read. The table is used up, so that there
    /// is no need of memory for both.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] if the columns are not those of the schema.
    pub fn dataset(self, schema: &Schema, encoding: Encoding) -> Result<(Dataset, Vec<BadRow>)> {
        let is_own = schema.width == self.width
            && schema
                .variables
                .iter()
                .all(|variable| variable.name.as_deref() == named(&self.names, variable.column));
        let fit = if is_own {
            // A schema of this very table, in which names may be empty.
            super::Fit {
                columns: schema.variables.iter().map(|variable| variable.column).collect(),
                label: schema.label.as_ref().map(|label| label.column),
                extra: Vec::new(),
                is_reordered: false,
            }
        } else {
            schema.fit(&self.path, self.names.as_deref(), self.width)?
        };
        schema.check(&self.path, encoding)?;
        let Self { path, facts, chunks, rows, mut bad, .. } = self;
        let left_out =
            schema.variables.iter().zip(&fit.columns).find(|(_, column)| facts[**column].is_none());
        if let Some((variable, _)) = left_out {
            let expected = "a column that is not left out";
            let name = path.display().to_string();
            return Err(Error::inconsistent(name, "drop", expected, variable.title()));
        }
        let width = schema.variables.len();
        let mut values = schema.values(encoding, rows);
        let builders = schema.builders(&fit.columns, fit.label, facts.len(), encoding);
        // What counted as missing when the table was read is missing already.
        let mut sink = Sink::new(&path, builders, Notation::new(&[]));
        let (mut numbers, mut labels) = (Vec::with_capacity(rows), Vec::new());
        for chunk in chunks {
            for (column, part) in chunk.parts.into_iter().enumerate() {
                if let (Some(part), Some((_, dictionary))) = (part, &facts[column]) {
                    sink.part(column, part, dictionary);
                }
            }
            sink.end_rows_at(chunk.rows);
            let mut taken = sink.take();
            let part = |&column: &usize| taken.parts[column].as_ref();
            encode::append(&fit.columns.iter().filter_map(part).collect::<Vec<_>>(), &mut values);
            labels.extend(encode::labels(fit.label.as_ref().and_then(part)).into_iter().flatten());
            numbers.extend(taken.rows.into_iter().map(|(number, _)| number));
            bad.append(&mut taken.bad);
        }
        bad.sort_by_key(|bad| bad.row);
        let count = numbers.len();
        let mut data = Dataset::new(name_of(&path), values, &[width])?;
        if let Some(names) = schema.names() {
            data = data.with_columns(names)?;
        }
        if !bad.is_empty() {
            data = data.with_numbers(numbers)?;
        }
        if count > 0 && labels.len() == count {
            data = data.with_labels(labels)?;
        }
        Ok((data, bad))
    }
}

/// What a table is read from: one of any format, or a text that is given back.
trait AsSource {
    fn source(&self) -> &dyn Source;
    fn source_mut(&mut self) -> &mut dyn Source;
}

impl AsSource for Box<dyn Source> {
    fn source(&self) -> &dyn Source {
        &**self
    }
    fn source_mut(&mut self) -> &mut dyn Source {
        &mut **self
    }
}

impl AsSource for crate::cells::text::Text {
    fn source(&self) -> &dyn Source {
        self
    }
    fn source_mut(&mut self) -> &mut dyn Source {
        self
    }
}

fn named(names: &Option<Vec<String>>, column: usize) -> Option<&str> {
    Some(names.as_ref()?.get(column)?.as_str())
}

/// Refuses names that occur twice among the columns that stay: no later file could be matched.
fn check_names(path: &Path, names: Option<&[String]>, left_out: &[usize]) -> Result<()> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let stays = |column: &usize| left_out.binary_search(column).is_err();
    let names = names.unwrap_or_default();
    for column in (0..names.len()).filter(stays) {
        let name = names[column].as_str();
        if name.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(name, column) {
            let found = format!("{name:?} over columns {first} and {column} (from 0)");
            let hint = format!(
                "name one of them otherwise, or leave one out by its index: {first} or {column}"
            );
            let path = path.display().to_string();
            let expected = "names that occur once";
            return Err(Error::inconsistent(path, "header", expected, found).advise(hint));
        }
    }
    Ok(())
}
