//! Cells on their way into columns.
//!
//! A [`Builder`] takes the cells of one column, whatever the format has them as. Before there is a schema it
//! keeps what they are (bytes, numbers, words) and what [`Facts`] a type can be inferred from; under a schema
//! it takes only what the variable can be, and says why not. [`many`] has the ways for the cells of many rows.

mod many;

use super::cell::{Cell, Notation, begins_a_number, number, word_of};
use super::dictionary::{Dictionary, Recent};
use super::facts::{Facts, counts};
use super::number::{Number, as_byte, canonical, is_too_long};
use super::schema::{Label, Type, Variable, title};
use crate::error::{Error, Flaw, Place, shown};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What a column is to become.
#[derive(Debug, Clone)]
enum Want {
    /// Whatever its cells are.
    Open(Box<Facts>),
    /// Words, even where they look like numbers.
    Words(Box<Facts>),
    /// Codes below `most`.
    Codes { most: u16, missing: Option<u8> },
    /// Codes of labels; `other` is that of any other one, if there is one.
    Labels { dictionary: Arc<Dictionary>, missing: Option<u32>, other: Option<u32> },
    /// Numbers; NaN is one that is missing, if they can be.
    Numbers { can_be_missing: bool },
}

/// The values of a column so far.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Whole numbers within 0 to 255.
    Bytes(Vec<u8>),
    /// Any numbers; NaN where there is none.
    Numbers(Vec<f64>),
    /// Codes of words.
    Codes(Vec<u32>),
}

impl State {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Codes(values) => values.len(),
        }
    }

    /// No values, and room for so many.
    fn with_capacity(self, capacity: usize) -> Self {
        match self {
            Self::Bytes(_) => Self::Bytes(Vec::with_capacity(capacity)),
            Self::Numbers(_) => Self::Numbers(Vec::with_capacity(capacity)),
            Self::Codes(_) => Self::Codes(Vec::with_capacity(capacity)),
        }
    }

    /// Leaves rows out, given which stay.
    pub(crate) fn retain(&mut self, stays: &[bool]) {
        match self {
            Self::Bytes(values) => retain(values, stays),
            Self::Numbers(values) => retain(values, stays),
            Self::Codes(values) => retain(values, stays),
        }
    }
}

/// Leaves out what does not stay.
pub(super) fn retain<T>(values: &mut Vec<T>, stays: &[bool]) {
    let mut row = 0;
    values.retain(|_| {
        row += 1;
        stays[row - 1]
    });
}

/// What is wrong with a cell, before its place is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    pub(crate) row: u32,
    pub(crate) flaw: Flaw,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) hint: Option<String>,
}

impl Refused {
    pub(crate) fn at(self, path: &Path, place: Place) -> Error {
        let error = Error::malformed(path, place, self.flaw, self.expected, self.found);
        match self.hint {
            Some(hint) => error.advise(hint),
            None => error,
        }
    }
}

/// The cells of a chunk of a column.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) values: State,
    /// Rows without a value, of columns without a schema.
    pub(crate) missing: Vec<u32>,
    /// Rows whose cell is a word among numbers, of columns without a schema.
    pub(crate) words: Vec<(u32, String)>,
}

/// Takes the cells of a column.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    /// What errors call the column.
    title: String,
    want: Want,
    part: Part,
    /// Words of a column without a schema.
    dictionary: Dictionary,
    /// Words that were met, whatever the schema.
    recent: Recent,
    /// Labels that the schema does not have, where each of them has a code of its own.
    others: Option<Box<Others>>,
    /// Cells that the schema has no place for.
    pub(crate) refused: Vec<Refused>,
}

/// Labels that a schema does not have, in the order in which they were met; `None` is a missing cell.
#[derive(Debug, Clone, Default)]
struct Others {
    labels: Vec<Option<String>>,
    places: HashMap<Option<String>, u32>,
}

impl Others {
    fn place(&mut self, label: Option<String>) -> u32 {
        let labels = &mut self.labels;
        *self.places.entry(label).or_insert_with_key(|label| {
            labels.push(label.clone());
            labels.len() as u32 - 1
        })
    }
}

impl Part {
    /// What the values take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let of_value = match &self.values {
            State::Bytes(_) => size_of::<u8>(),
            State::Numbers(_) => size_of::<f64>(),
            State::Codes(_) => size_of::<u32>(),
        };
        (self.values.len() * of_value) as u64
    }

    /// Whether a row has a value of the kind of the part, and is neither missing nor a word among numbers.
    pub(crate) fn has(&self, row: usize) -> bool {
        let row = row as u32;
        self.missing.binary_search(&row).is_err()
            && self.words.binary_search_by_key(&row, |(row, _)| *row).is_err()
    }

    fn empty() -> Self {
        Self { values: State::Bytes(Vec::new()), missing: Vec::new(), words: Vec::new() }
    }
}

/// What to do about a missing cell.
const FILL: &str = "fill the cell in, or leave such rows out with data.bad_rows = \"skip\"; which words count \
                    as missing says data.missing";

/// What to do about a word among numbers.
const NO_NUMBER: &str = "if the word stands for a missing value add it to data.missing; leave such rows out with \
                         data.bad_rows = \"skip\", or the column with drop";

/// What a whole number that no double is the same as should have been.
const HELD: &str = "a whole number that 53 bits hold";

/// What to do about such a one.
const TOO_LONG: &str = "numbers are kept as doubles, which cannot tell this one from its neighbours: leave the \
                        column out with drop if it is an identifier, or state it as a category";

impl Builder {
    /// Of a column of which nothing is known.
    pub(crate) fn open(title: String) -> Self {
        Self::new(title, Want::Open(Box::default()))
    }

    /// Of a column of words, whatever they look like.
    pub(crate) fn of_words(title: String) -> Self {
        Self::new(title, Want::Words(Box::default()))
    }

    /// Of a variable; codes below `most` are taken.
    pub(crate) fn of(variable: &Variable, most: u16) -> Self {
        let can_be_missing = variable.can_be_missing;
        let want = match &variable.kind {
            Type::Codes { levels } => Want::Codes {
                // A code that is as large as the one for a missing cell would be taken for it.
                most: if can_be_missing { *levels } else { most },
                missing: can_be_missing.then_some(*levels as u8),
            },
            Type::Category { labels } => Want::Labels {
                dictionary: Arc::new(Dictionary::of(labels)),
                missing: can_be_missing.then_some(labels.len() as u32),
                other: None,
            },
            Type::Integer | Type::Decimal { .. } | Type::Real => {
                Want::Numbers { can_be_missing: false }
            }
        };
        Self::new(variable.title(), want)
    }

    /// Of a variable that takes any label, and any number or none: what training never saw is an outcome, too.
    pub(crate) fn of_column(variable: &Variable) -> Self {
        let Some(labels) = variable.kind.labels() else {
            return Self::new(variable.title(), Want::Numbers { can_be_missing: true });
        };
        let known = labels.len() as u32;
        let other = known + u32::from(variable.can_be_missing);
        let dictionary = Arc::new(Dictionary::of(&labels));
        // A cell that is missing for the first time is one more label that training never saw.
        let missing = if variable.can_be_missing { known } else { other };
        let want = Want::Labels { dictionary, missing: Some(missing), other: Some(other) };
        Self::new(variable.title(), want)
    }

    /// Of a variable that takes any cell, and tells labels apart that training never saw.
    pub(crate) fn of_cells(variable: &Variable) -> Self {
        Self { others: Some(Box::default()), ..Self::of_column(variable) }
    }

    /// The labels since the last call that the schema does not have and that have codes of their own, in the order of
    /// these; the next one has the first of these codes again.
    pub(crate) fn take_others(&mut self) -> Vec<Option<String>> {
        let Some(others) = &mut self.others else { return Vec::new() };
        if !others.labels.is_empty() {
            // Codes of words that were met are no longer theirs.
            self.recent = Recent::default();
        }
        std::mem::take(&mut **others).labels
    }

    /// Of a column of classes.
    pub(crate) fn of_label(label: &Label) -> Self {
        let dictionary = Arc::new(Dictionary::of(&label.classes));
        let title = title(label.name.as_deref(), label.column);
        Self::new(title, Want::Labels { dictionary, missing: None, other: None })
    }

    fn new(title: String, want: Want) -> Self {
        let mut builder = Self {
            title,
            want,
            part: Part::empty(),
            dictionary: Dictionary::default(),
            recent: Recent::default(),
            others: None,
            refused: Vec::new(),
        };
        builder.part.values = builder.none();
        builder
    }

    /// No values, of the kind that comes first.
    fn none(&self) -> State {
        match &self.want {
            Want::Open(facts) if facts.words > facts.infinite && facts.numbers == 0 => {
                State::Codes(Vec::new())
            }
            Want::Open(facts) if facts.is_fractional => State::Numbers(Vec::new()),
            Want::Open(_) | Want::Codes { .. } => State::Bytes(Vec::new()),
            Want::Words(_) | Want::Labels { .. } => State::Codes(Vec::new()),
            Want::Numbers { .. } => State::Numbers(Vec::new()),
        }
    }

    /// The cells since the last call.
    pub(crate) fn take(&mut self) -> Part {
        if let (Want::Open(facts), State::Bytes(values)) = (&mut self.want, &self.part.values) {
            let mut counts = counts(values);
            // A missing cell stands there as 0.
            counts[0] -= (self.part.missing.len() + self.part.words.len()) as u32;
            facts.bytes(&counts);
        }
        // Chunks are as long as the one before, but for the last.
        let none = self.none().with_capacity(self.part.values.len());
        std::mem::replace(&mut self.part, Part { values: none, ..Part::empty() })
    }

    /// What was learned of a column without a schema, and the labels of its words.
    pub(crate) fn facts(self) -> Option<(Facts, Dictionary)> {
        match self.want {
            Want::Open(facts) | Want::Words(facts) => Some((*facts, self.dictionary)),
            _ => None,
        }
    }

    /// Adds a cell.
    #[inline]
    pub(crate) fn push(&mut self, cell: Cell<'_>, notation: &Notation) {
        // Most files hold nothing but single digits, or bytes.
        if let State::Bytes(values) = &mut self.part.values {
            let byte = match cell {
                Cell::Text([digit @ b'0'..=b'9']) if !notation.numbers_can_be_missing => {
                    Some(digit - b'0')
                }
                Cell::Whole(value) if !notation.numbers_can_be_missing => u8::try_from(value).ok(),
                _ => None,
            };
            match (&self.want, byte) {
                (Want::Open(_), Some(byte)) => return values.push(byte),
                (Want::Codes { most, .. }, Some(byte)) if u16::from(byte) < *most => {
                    return values.push(byte);
                }
                _ => {}
            }
        }
        self.push_known(cell, notation);
    }

    /// Adds a cell. Most columns of numbers hold nothing but numbers, and most words were met before.
    fn push_known(&mut self, cell: Cell<'_>, notation: &Notation) {
        match (&mut self.part.values, cell) {
            (State::Numbers(values), cell) => {
                let number = match cell {
                    _ if notation.numbers_can_be_missing => None,
                    Cell::Text(text) if !begins_a_number(text) => None,
                    cell => number(cell, notation).filter(|number| number.value.is_finite()),
                };
                if let Some(number) = number {
                    match &mut self.want {
                        Want::Numbers { .. } => return values.push(number.value),
                        Want::Open(facts) => {
                            facts.number(number, matches!(cell, Cell::Float(_)));
                            return values.push(number.value);
                        }
                        _ => {}
                    }
                }
            }
            (State::Codes(values), Cell::Text(text)) => {
                let labels = labels_of(&self.want, &self.dictionary);
                if let Some(code) = self.recent.code(text, labels) {
                    values.push(code);
                    if let Want::Open(facts) | Want::Words(facts) = &mut self.want {
                        facts.words += 1;
                    }
                    return;
                }
                return self.push_word(text, notation);
            }
            _ => {}
        }
        self.push_any(cell, notation);
    }

    /// Adds text to a column of words, and remembers it if it is one.
    fn push_word(&mut self, text: &[u8], notation: &Notation) {
        let before = (self.words(), self.refused.len());
        self.push_any(Cell::Text(text), notation);
        if self.is_word_since(before)
            && let State::Codes(values) = &self.part.values
            && let Some(&code) = values.last()
        {
            let labels = labels_of(&self.want, &self.dictionary).len();
            self.recent.add(text, code, labels);
        }
    }

    /// Whether the last cell was a word with a code, given what there was [`words`](Self::words) and refused cells of
    /// before. Only a word is the same for the builder wherever it stands.
    fn is_word_since(&self, (words, refused): (Option<u64>, usize)) -> bool {
        match words {
            Some(words) => self.words() == Some(words + 1),
            None => self.refused.len() == refused,
        }
    }

    /// How many words there were, where that is counted.
    fn words(&self) -> Option<u64> {
        match &self.want {
            Want::Open(facts) | Want::Words(facts) => Some(facts.words),
            _ => None,
        }
    }

    fn push_any(&mut self, cell: Cell<'_>, notation: &Notation) {
        let cell = match cell {
            Cell::Text(text)
                if (notation.numbers_can_be_missing || !begins_a_number(text))
                    && notation.is_missing(text) =>
            {
                Cell::Missing
            }
            Cell::Float(value) if value.is_nan() || notation.is_missing_number(value) => {
                Cell::Missing
            }
            Cell::Whole(value) if notation.is_missing_number(value as f64) => Cell::Missing,
            cell => cell,
        };
        if matches!(self.want, Want::Open(_)) {
            return self.push_open(cell, notation);
        }
        if let Want::Words(facts) = &mut self.want {
            let row = self.part.values.len() as u32;
            let word = match cell {
                Cell::Missing => {
                    facts.missing += 1;
                    self.part.missing.push(row);
                    None
                }
                cell => Some(word_of(cell, notation)),
            };
            let code = word.map_or(0, |word| {
                facts.words += 1;
                self.dictionary.add(&word)
            });
            if let State::Codes(values) = &mut self.part.values {
                values.push(code);
            }
            return;
        }
        self.push_wanted(cell, notation);
    }

    fn push_wanted(&mut self, cell: Cell<'_>, notation: &Notation) {
        let row = self.part.values.len() as u32;
        let mut refuse = |flaw, expected: String, hint: Option<String>| {
            let found = match cell {
                Cell::Missing => "a missing value".to_owned(),
                Cell::Text(text) => shown(text),
                cell => word_of(cell, notation).into_owned(),
            };
            let expected = format!("{expected}{}", within(&self.title));
            self.refused.push(Refused { row, flaw, expected, found, hint });
        };
        let fill = || Some(FILL.to_owned());
        match (&self.want, &mut self.part.values) {
            (Want::Codes { most, missing }, State::Bytes(values)) => {
                let number = match cell {
                    Cell::Missing => missing.map(f64::from),
                    cell => number(cell, notation).map(|number| number.value),
                };
                let limit = if cell == Cell::Missing { 256 } else { *most };
                match number.and_then(as_byte).filter(|&byte| u16::from(byte) < limit) {
                    Some(byte) => values.push(byte),
                    None => {
                        values.push(0);
                        let expected = match most {
                            2 => "0 or 1".to_owned(),
                            most => format!("a whole number from 0 to {}", most - 1),
                        };
                        match (cell, number) {
                            (Cell::Missing, _) => refuse(Flaw::Missing, expected, fill()),
                            (_, None) => refuse(Flaw::NonNumeric, expected, Some(NO_NUMBER.into())),
                            (_, Some(number)) if number.fract() != 0.0 => {
                                let hint = "it is no whole number: a model of numbers (rnade), or of columns \
                                            of any type (nade), describes it";
                                refuse(Flaw::OutOfRange, expected, Some(hint.into()));
                            }
                            (_, Some(_)) => refuse(
                                Flaw::OutOfRange,
                                expected,
                                Some(
                                    "state a larger data.levels, or another type of the column"
                                        .into(),
                                ),
                            ),
                        }
                    }
                }
            }
            (Want::Labels { dictionary, missing, other }, State::Codes(values)) => {
                let code = match cell {
                    Cell::Missing => *missing,
                    cell => dictionary.code(cell, notation).or(*other),
                };
                let code = match &mut self.others {
                    Some(others) if code.is_some() && code == *other => {
                        let is_missing = cell == Cell::Missing;
                        let label = (!is_missing).then(|| word_of(cell, notation).into_owned());
                        code.map(|code| code + others.place(label))
                    }
                    _ => code,
                };
                values.push(code.unwrap_or(0));
                if code.is_none() {
                    let labels = dictionary.labels();
                    let expected = match labels.len() {
                        0..=12 => format!("one of {}", labels.join(", ")),
                        count => format!("one of the {count} labels seen in training"),
                    };
                    match cell {
                        Cell::Missing => refuse(Flaw::Missing, expected, fill()),
                        _ => refuse(Flaw::Unknown, expected, None),
                    }
                }
            }
            (Want::Numbers { can_be_missing: true }, State::Numbers(values))
                if cell == Cell::Missing =>
            {
                values.push(f64::NAN);
            }
            (_, State::Numbers(values)) => {
                let value = number(cell, notation).map(|number| number.value);
                let value = value.filter(|value| value.is_finite());
                values.push(value.unwrap_or(0.0));
                if value.is_none() {
                    let expected = "a number".to_owned();
                    match cell {
                        Cell::Missing => refuse(Flaw::Missing, expected, fill()),
                        Cell::Float(_) => refuse(Flaw::OutOfRange, "a finite number".into(), None),
                        Cell::Whole(_) => {
                            refuse(Flaw::OutOfRange, HELD.into(), Some(TOO_LONG.into()))
                        }
                        Cell::Text(text) if is_too_long(text) => {
                            refuse(Flaw::OutOfRange, HELD.into(), Some(TOO_LONG.into()));
                        }
                        _ => refuse(Flaw::NonNumeric, expected, Some(NO_NUMBER.into())),
                    }
                }
            }
            _ => unreachable!("a builder's values are of the kind that it wants"),
        }
    }

    fn push_open(&mut self, cell: Cell<'_>, notation: &Notation) {
        let Want::Open(facts) = &mut self.want else { return };
        let row = self.part.values.len() as u32;
        if cell == Cell::Missing {
            facts.missing += 1;
            self.part.missing.push(row);
            match &mut self.part.values {
                State::Bytes(values) => values.push(0),
                State::Numbers(values) => values.push(f64::NAN),
                State::Codes(values) => values.push(0),
            }
            return;
        }
        facts.infinite += u64::from(matches!(cell, Cell::Float(value) if value.is_infinite()));
        // Truth values are words, but for the numbers that NumPy has them as.
        let number = number(cell, notation).filter(|number| number.value.is_finite());
        match (&mut self.part.values, number) {
            (State::Bytes(values), Some(number)) => match as_byte(number.value) {
                Some(byte) => {
                    // What is written as a decimal is one, also where it is whole.
                    facts.places = facts.places.max(number.places);
                    values.push(byte);
                }
                None => {
                    self.widen();
                    self.push_number(number, matches!(cell, Cell::Float(_)));
                }
            },
            (State::Numbers(_), Some(number)) => {
                self.push_number(number, matches!(cell, Cell::Float(_)));
            }
            (State::Codes(values), Some(number)) => {
                facts.number(number, false);
                values.push(self.dictionary.add(&canonical(number.value)));
            }
            (State::Codes(values), None) => {
                facts.words += 1;
                values.push(self.dictionary.add(&word_of(cell, notation)));
            }
            (State::Bytes(values), None)
                if facts.numbers == 0
                    && facts.words == 0
                    && !matches!(cell, Cell::Float(_))
                    && values.len() == self.part.missing.len() =>
            {
                // Nothing but missing cells so far.
                let mut codes = vec![0; values.len()];
                codes.push(self.dictionary.add(&word_of(cell, notation)));
                facts.words += 1;
                self.part.values = State::Codes(codes);
            }
            (State::Bytes(values), None) => {
                facts.words += 1;
                values.push(0);
                self.part.words.push((row, word_of(cell, notation).into_owned()));
            }
            (State::Numbers(values), None) => {
                facts.words += 1;
                values.push(f64::NAN);
                self.part.words.push((row, word_of(cell, notation).into_owned()));
            }
        }
    }

    fn push_number(&mut self, number: Number, is_float: bool) {
        if let (Want::Open(facts), State::Numbers(values)) = (&mut self.want, &mut self.part.values)
        {
            facts.number(number, is_float);
            values.push(number.value);
        }
    }

    /// Makes numbers of bytes.
    fn widen(&mut self) {
        if let (Want::Open(facts), State::Bytes(values)) = (&mut self.want, &self.part.values) {
            let mut numbers: Vec<f64> = values.iter().map(|&byte| f64::from(byte)).collect();
            let mut counts = counts(values);
            counts[0] -= (self.part.missing.len() + self.part.words.len()) as u32;
            facts.bytes(&counts);
            let none = self.part.missing.iter().chain(self.part.words.iter().map(|(row, _)| row));
            none.for_each(|&row| numbers[row as usize] = f64::NAN);
            self.part.values = State::Numbers(numbers);
        }
    }
}

/// The labels that codes stand for.
fn labels_of<'a>(want: &'a Want, own: &'a Dictionary) -> &'a [String] {
    match want {
        Want::Labels { dictionary, .. } => dictionary.labels(),
        _ => own.labels(),
    }
}

/// In which column, where it has a name: its number is part of the place.
fn within(title: &str) -> String {
    if title.starts_with('"') { format!(" in {title}") } else { String::new() }
}
