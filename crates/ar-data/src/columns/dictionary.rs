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
    /// Empty before the first word.
    words: Vec<Seen>,
}

/// What is seen of a word, which is all of it if it has at most 16 bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    first: u64,
    last: u64,
    len: usize,
    /// `None` where there is no word.
    code: Option<u32>,
}

impl Seen {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let (first, last) = match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (text.first_chunk(), text.last_chunk()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
                }
                _ => (text.iter().fold(0, |seen, &byte| seen << 8 | u64::from(byte)), 0),
            },
        };
        Self { first, last, len: text.len(), code: None }
    }

    fn is(&self, other: &Self) -> bool {
        (self.first, self.last, self.len) == (other.first, other.last, other.len)
    }
}

impl Recent {
    const MOST_PLACES: usize = 1 << 12;

    #[inline]
    fn place(&self, word: &Seen) -> usize {
        let seen = word.first.rotate_left(29) ^ word.last ^ word.len as u64;
        // Only the uppermost bits of a product depend on all bits of its factors (Knuth, volume 3, section 6.4).
        let mixed = seen.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 1 >> (63 - self.words.len().max(1).ilog2())) as usize
    }

    /// The code of a word that was added, if `labels` has just that at the code.
    #[inline]
    pub(super) fn code(&self, text: &[u8], labels: &[String]) -> Option<u32> {
        let word = Seen::of(text);
        let place = self.place(&word);
        [place, place ^ 1].into_iter().find_map(|place| {
            let other = self.words.get(place).filter(|other| other.is(&word))?;
            let code = other.code?;
            let is_all = text.len() <= 16 || labels.get(code as usize)?.as_bytes() == text;
            is_all.then_some(code)
        })
    }

    pub(super) fn add(&mut self, text: &[u8], code: u32, labels: usize) {
        let places = (4 * labels).next_power_of_two().clamp(2, Self::MOST_PLACES);
        if self.words.len() < places {
            // Those that were there have other places now.
            self.words = vec![Seen::default(); places];
        }
        let word = Seen::of(text);
        let place = self.place(&word);
        let is_other = self.words[place].code.is_some() && self.words[place ^ 1].code.is_none();
        self.words[place ^ usize::from(is_other)] = Seen { code: Some(code), ..word };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_were_met_are_found_and_no_others() {
        let mut labels = Vec::new();
        for year in 0..3 {
            for day in 0..365 {
                labels.push(format!("202{year}-{:02}-{:02}", day / 31 + 1, day % 31 + 1));
            }
        }
        for number in 0..500 {
            labels.push(number.to_string());
            labels.push(format!("word {number}"));
            labels.push(format!("a word that is longer than what is seen, {number}, of it"));
        }
        let mut recent = Recent::default();
        for (code, label) in labels.iter().enumerate() {
            assert_eq!(recent.code(label.as_bytes(), &labels), None, "{label}");
            recent.add(label.as_bytes(), code as u32, code + 1);
        }
        let mut found = 0;
        for (label, own) in labels.iter().zip(0..) {
            let code = recent.code(label.as_bytes(), &labels);
            assert!(code.is_none_or(|code| code == own), "{label}: {code:?}");
            found += usize::from(code.is_some());
            for other in [format!("{label} "), label[1..].to_owned()] {
                let code = recent.code(other.as_bytes(), &labels);
                assert!(
                    code.is_none_or(|code| labels[code as usize] == other),
                    "{other}: {code:?}"
                );
            }
        }
        // Most have their place to themselves among the last 4096.
        assert!(found > labels.len() / 2, "{found} of {}", labels.len());
    }
}
