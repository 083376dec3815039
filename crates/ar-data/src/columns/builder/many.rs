//! Cells of many rows at a time, each as one cell would be taken ([`Builder::push`]), but for what is looked at once.

use super::{Builder, Part, State, Want, labels_of};
use crate::columns::cell::{Cell, Notation, begins_a_number};
use crate::columns::dictionary::Dictionary;
use crate::columns::number::Number;
#[cfg(feature = "arrow")]
use crate::columns::number::is_whole;

impl Builder {
    /// Adds the cells of many rows of a text.
    pub(crate) fn push_texts<'a>(
        &mut self,
        mut cells: impl Iterator<Item = &'a [u8]>,
        notation: &Notation,
    ) {
        while let Some(other) = self.push_alike(&mut cells, notation) {
            self.push(Cell::Text(other), notation);
        }
    }

    /// Adds the cells of many rows of a text, of one character each; none of them, and false, if one is not a digit that
    /// the column holds as a byte.
    pub(crate) fn push_digits<'a>(
        &mut self,
        cells: impl Iterator<Item = &'a u8>,
        notation: &Notation,
    ) -> bool {
        let most = match &self.want {
            _ if notation.numbers_can_be_missing => 0,
            Want::Open(_) => 10,
            Want::Codes { most, .. } => *most.min(&10),
            Want::Words(_) | Want::Labels { .. } | Want::Numbers { .. } => 0,
        };
        let State::Bytes(values) = &mut self.part.values else { return false };
        let before = values.len();
        values.extend(cells.map(|digit| digit.wrapping_sub(b'0')));
        let are_taken = values[before..].iter().all(|&digit| u16::from(digit) < most);
        if !are_taken {
            values.truncate(before);
        }
        are_taken
    }

    /// Adds cells of a text while they are what the column holds already, and gives the first that is something else.
    fn push_alike<'a>(
        &mut self,
        cells: &mut impl Iterator<Item = &'a [u8]>,
        notation: &Notation,
    ) -> Option<&'a [u8]> {
        if let State::Codes(values) = &mut self.part.values {
            let labels = labels_of(&self.want, &self.dictionary);
            let before = values.len();
            let other = cells.find(|text| match self.recent.code(text, labels) {
                Some(code) => {
                    values.push(code);
                    false
                }
                None => true,
            });
            let count = (values.len() - before) as u64;
            if let Want::Open(facts) | Want::Words(facts) = &mut self.want {
                facts.words += count;
            }
            return other;
        }
        if notation.numbers_can_be_missing {
            return cells.next();
        }
        let number = |text: &[u8]| {
            if begins_a_number(text) { Number::finite(text, notation.comma) } else { None }
        };
        match (&mut self.part.values, &mut self.want) {
            (State::Bytes(values), Want::Open(_) | Want::Codes { .. }) => {
                let most = match &self.want {
                    Want::Codes { most, .. } => *most,
                    _ => 256,
                };
                cells.find(|text| match small(text).filter(|&number| number < most) {
                    Some(number) => {
                        values.push(number as u8);
                        false
                    }
                    None => true,
                })
            }
            (State::Numbers(values), Want::Numbers { .. }) => {
                cells.find(|text| match number(text) {
                    Some(number) => {
                        values.push(number.value);
                        false
                    }
                    None => true,
                })
            }
            (State::Numbers(values), Want::Open(facts)) => {
                let (before, mut places) = (values.len(), 0);
                let other = cells.find(|text| match number(text) {
                    Some(number) => {
                        places = number.places.max(places);
                        values.push(number.value);
                        false
                    }
                    None => true,
                });
                facts.numbers(&values[before..], places, false);
                other
            }
            _ => cells.next(),
        }
    }

    /// Adds the cells of a part that was read before there was a schema, whose words `dictionary` has.
    pub(crate) fn push_part(&mut self, part: Part, dictionary: &Dictionary, notation: &Notation) {
        let is_whole = part.missing.is_empty() && part.words.is_empty();
        let values = match (&self.want, part.values) {
            (Want::Codes { most, .. }, State::Bytes(values))
                if is_whole && values.iter().all(|&byte| u16::from(byte) < *most) =>
            {
                self.part.values = State::Bytes(values);
                return;
            }
            (Want::Numbers { .. }, State::Numbers(values)) if is_whole => {
                self.part.values = State::Numbers(values);
                return;
            }
            (Want::Numbers { .. }, State::Bytes(values)) if is_whole => {
                self.part.values = State::Numbers(values.into_iter().map(f64::from).collect());
                return;
            }
            (_, values) => values,
        };
        let mut missing = part.missing.into_iter().peekable();
        let mut words = part.words.into_iter().peekable();
        for row in 0..values.len() {
            if missing.next_if(|&missing| missing as usize == row).is_some() {
                self.push(Cell::Missing, notation);
            } else if let Some((_, word)) = words.next_if(|(word, _)| *word as usize == row) {
                self.push(Cell::Text(word.as_bytes()), notation);
            } else {
                let cell = match &values {
                    State::Bytes(values) => Cell::Whole(values[row].into()),
                    State::Numbers(values) => Cell::Float(values[row]),
                    State::Codes(values) => {
                        Cell::Text(dictionary.labels()[values[row] as usize].as_bytes())
                    }
                };
                self.push(cell, notation);
            }
        }
    }

    /// Adds the cells of many rows, which are whole numbers.
    #[cfg(feature = "arrow")]
    pub(crate) fn push_wholes<T: Copy>(
        &mut self,
        mut cells: &[T],
        whole: impl Fn(T) -> i64,
        notation: &Notation,
    ) {
        const MOST: i64 = (1 << 53) - 1;
        let most_byte = match &self.want {
            Want::Open(_) => 255,
            Want::Codes { most, .. } => i64::from(*most) - 1,
            Want::Words(_) | Want::Labels { .. } | Want::Numbers { .. } => -1,
        };
        while !cells.is_empty() {
            let taken = match (&mut self.part.values, &mut self.want) {
                _ if notation.numbers_can_be_missing => 0,
                (State::Bytes(values), _) => {
                    let some = first(cells, |cell| (0..=most_byte).contains(&whole(cell)));
                    values.extend(some.iter().map(|&cell| whole(cell) as u8));
                    some.len()
                }
                (State::Numbers(values), want) => {
                    let some = first(cells, |cell| (-MOST..=MOST).contains(&whole(cell)));
                    values.extend(some.iter().map(|&cell| whole(cell) as f64));
                    if let Want::Open(facts) = want {
                        facts.numbers(&values[values.len() - some.len()..], 0, false);
                    }
                    some.len()
                }
                _ => 0,
            };
            cells = &cells[taken..];
            if let Some((&other, rest)) = cells.split_first() {
                self.push(Cell::Whole(whole(other)), notation);
                cells = rest;
            }
        }
    }

    /// Adds the cells of many rows, which are binary numbers.
    #[cfg(feature = "arrow")]
    pub(crate) fn push_floats<T: Copy>(
        &mut self,
        mut cells: &[T],
        float: impl Fn(T) -> f64,
        notation: &Notation,
    ) {
        while !cells.is_empty() {
            if let (State::Numbers(values), want) = (&mut self.part.values, &mut self.want)
                && !notation.numbers_can_be_missing
            {
                let some = first(cells, |cell| float(cell).is_finite());
                // Both zeros are one number.
                values.extend(some.iter().map(|&cell| float(cell) + 0.0));
                if let Want::Open(facts) = want {
                    let added = &values[values.len() - some.len()..];
                    let are_whole = added.iter().all(|&value| is_whole(value));
                    let places = if are_whole { 0 } else { Number::FLOAT };
                    facts.numbers(added, places, true);
                }
                cells = &cells[some.len()..];
            }
            if let Some((&other, rest)) = cells.split_first() {
                self.push(Cell::Float(float(other)), notation);
                cells = rest;
            }
        }
    }

    /// Adds cells of which each is one of a few: `cell` gives these by their places, up to `len`. What a place stands
    /// for is looked up once.
    #[cfg(feature = "arrow")]
    pub(crate) fn push_coded<'a>(
        &mut self,
        len: usize,
        cell: impl Fn(usize) -> Cell<'a>,
        places: impl Iterator<Item = Option<usize>>,
        notation: &Notation,
    ) {
        const UNKNOWN: u32 = u32::MAX;
        let mut known = vec![UNKNOWN; len];
        for place in places {
            let Some(place) = place else {
                self.push(Cell::Missing, notation);
                continue;
            };
            if let (Some(&code), State::Codes(values)) = (known.get(place), &mut self.part.values)
                && code != UNKNOWN
            {
                values.push(code);
                if let Want::Open(facts) | Want::Words(facts) = &mut self.want {
                    facts.words += 1;
                }
                continue;
            }
            let before = (self.words(), self.refused.len());
            self.push(cell(place), notation);
            if let (true, State::Codes(values), Some(known)) =
                (self.is_word_since(before), &self.part.values, known.get_mut(place))
            {
                *known = values.last().copied().unwrap_or(UNKNOWN);
            }
        }
    }
}

/// The number that at most three digits are.
#[inline]
fn small(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| 10 * number + u16::from(digit))
    })
}

/// The cells before the first that is not as wanted.
#[cfg(feature = "arrow")]
fn first<T: Copy>(cells: &[T], is_wanted: impl Fn(T) -> bool) -> &[T] {
    // Many at a time, without a branch between them, while all are.
    let are_wanted = |some: &&[T]| some.iter().fold(true, |all, &cell| all & is_wanted(cell));
    let known = cells.chunks(64).take_while(are_wanted).map(<[T]>::len).sum::<usize>();
    let end = cells[known..].iter().position(|&cell| !is_wanted(cell));
    &cells[..end.map_or(cells.len(), |end| known + end)]
}
