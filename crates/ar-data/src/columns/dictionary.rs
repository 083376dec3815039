//! The labels of a column and their codes.

use super::cell::{Cell, Notation};
use super::number::{Number, canonical};
use super::schema::number_of;
use std::collections::HashMap;

/// Labels and their codes.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Dictionary {
    labels: Vec<String>,
    codes: HashMap<String, u32>,
}

impl Dictionary {
    pub(crate) fn of(labels: &[String]) -> Self {
        let codes = labels.iter().cloned().zip(0..).collect();
        Self { labels: labels.to_vec(), codes }
    }

    pub(crate) fn labels(&self) -> &[String] {
        &self.labels
    }

    pub(super) fn find(&self, label: &str) -> Option<u32> {
        self.codes.get(label).copied()
    }

    pub(super) fn add(&mut self, label: &str) -> u32 {
        if let Some(code) = self.find(label) {
            return code;
        }
        let code = self.labels.len() as u32;
        self.labels.push(label.to_owned());
        self.codes.insert(label.to_owned(), code);
        code
    }

    /// The code of a cell: its label as it stands, else as the number or the truth value that it is.
    pub(super) fn code(&self, cell: Cell<'_>, notation: &Notation) -> Option<u32> {
        match cell {
            Cell::Text(bytes) => {
                let text = notation.text(bytes);
                self.find(&text).or_else(|| {
                    let number = Number::parse(bytes, notation.comma)?;
                    self.find(&canonical(number.value))
                })
            }
            Cell::Whole(value) => self.find(&value.to_string()),
            Cell::Float(value) => self.find(&canonical(value)),
            Cell::Bool(value) => {
                let words: &[&str] = if value {
                    &["true", "True", "TRUE", "1"]
                } else {
                    &["false", "False", "FALSE", "0"]
                };
                words.iter().find_map(|word| self.find(word))
            }
            Cell::Missing => None,
        }
    }
}

/// Codes of words by what is seen of them at a glance, so that most words of a column need no search. One that has
/// its place taken by another is searched for as ever.
#[derive(Debug, Default, Clone)]
pub(super) struct Recent {
    /// One more than the code; 0 where there is none. Empty before the first word.
    codes: Vec<u32>,
}

impl Recent {
    const MOST_PLACES: usize = 1 << 12;

    fn place(&self, text: &[u8]) -> usize {
        let seen = match text.first_chunk::<8>().zip(text.last_chunk::<8>()) {
            Some((first, last)) => {
                u64::from_le_bytes(*first).rotate_left(29) ^ u64::from_le_bytes(*last)
            }
            None => text.iter().fold(0, |seen: u64, &byte| seen << 8 | u64::from(byte)),
        };
        // The upper half of a product depends on all bits of its factors (Knuth, volume 3, section 6.4).
        let mixed = (seen ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & self.codes.len().wrapping_sub(1)
    }

    /// The code of a word that was added, if `labels` has just that at the code.
    pub(super) fn code(&self, text: &[u8], labels: &[String]) -> Option<u32> {
        let place = self.place(text);
        [place, place ^ 1].into_iter().find_map(|place| {
            let code = self.codes.get(place)?.checked_sub(1)?;
            (labels.get(code as usize)?.as_bytes() == text).then_some(code)
        })
    }

    pub(super) fn add(&mut self, text: &[u8], code: u32, labels: usize) {
        let places = (4 * labels).next_power_of_two().clamp(2, Self::MOST_PLACES);
        if self.codes.len() < places {
            // Those that were there have other places now.
            self.codes = vec![0; places];
        }
        let place = self.place(text);
        let is_other = self.codes[place] != 0 && self.codes[place ^ 1] == 0;
        self.codes[place ^ usize::from(is_other)] = code.wrapping_add(1);
    }
}

/// Sorts labels: numbers by value and before words, words by their characters.
pub(crate) fn in_order(labels: &mut [String]) {
    labels.sort_by(|a, b| match (number_of(a), number_of(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    });
}
