//! What is known of the cells of a column, from which its type is inferred.

use super::number::{Number, is_whole};

/// How often each byte occurs.
pub(super) fn counts(bytes: &[u8]) -> [u32; 256] {
    // Most columns of bytes are of bits.
    if bytes.iter().fold(0, |most, &byte| byte.max(most)) <= 1 {
        let mut counts = [0; 256];
        let ones = |part: &[u8]| u32::from(part.iter().sum::<u8>());
        counts[1] = bytes.chunks(255).map(ones).sum();
        counts[0] = bytes.len() as u32 - counts[1];
        return counts;
    }
    // Several counters each, as the same one twice in a row has to wait for itself.
    let mut counts = [[0_u32; 256]; 4];
    let mut fours = bytes.chunks_exact(4);
    for four in &mut fours {
        counts.iter_mut().zip(four).for_each(|(counts, &byte)| counts[usize::from(byte)] += 1);
    }
    fours.remainder().iter().for_each(|&byte| counts[0][usize::from(byte)] += 1);
    let [mut sum, rest @ ..] = counts;
    for counts in rest {
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sum
}

/// What is known of all cells of a column, for inference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Numbers, words, missing cells.
    pub(crate) numbers: u64,
    pub(crate) words: u64,
    pub(crate) missing: u64,
    /// How many of the words are binary floats that are infinite.
    pub(crate) infinite: u64,
    /// The most decimal places of a number.
    pub(crate) places: u8,
    /// Whether a number was a binary float that is not whole.
    pub(crate) is_float: bool,
    /// Whether a number is not whole.
    pub(crate) is_fractional: bool,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// The distinct numbers, sorted, while they are few.
    pub(crate) few: Vec<f64>,
    pub(crate) are_many: bool,
}

/// Distinct whole numbers up to which a column is a category.
pub(crate) const FEW: usize = 16;

impl Facts {
    pub(super) fn number(&mut self, number: Number, is_float: bool) {
        let value = number.value;
        if self.numbers == 0 {
            (self.least, self.most) = (value, value);
        }
        self.numbers += 1;
        if value < self.least {
            self.least = value;
        }
        if value > self.most {
            self.most = value;
        }
        if number.places > self.places {
            self.places = number.places;
        }
        let is_known = self.is_fractional && (self.is_float || !is_float);
        if !is_known && !is_whole(value) {
            self.is_fractional = true;
            self.is_float |= is_float;
        }
        if !self.are_many {
            self.distinct(value);
        }
    }

    /// Of many numbers, none of which has more than so many places.
    pub(super) fn numbers(&mut self, values: &[f64], places: u8, are_floats: bool) {
        let Some(&first) = values.first() else { return };
        if self.numbers == 0 {
            (self.least, self.most) = (first, first);
        }
        self.numbers += values.len() as u64;
        self.places = self.places.max(places);
        let (mut least, mut most) = (self.least, self.most);
        for &value in values {
            least = if value < least { value } else { least };
            most = if value > most { value } else { most };
        }
        (self.least, self.most) = (least, most);
        let is_known = self.is_fractional && (self.is_float || !are_floats);
        if !is_known && !values.iter().all(|&value| is_whole(value)) {
            self.is_fractional = true;
            self.is_float |= are_floats;
        }
        for &value in values {
            if self.are_many {
                break;
            }
            self.distinct(value);
        }
    }

    fn distinct(&mut self, value: f64) {
        // Both zeros are one number.
        let value = value + 0.0;
        if let Err(at) = self.few.binary_search_by(|other| other.total_cmp(&value)) {
            if self.few.len() == FEW {
                self.are_many = true;
                self.few = Vec::new();
            } else {
                self.few.insert(at, value);
            }
        }
    }

    /// Of a chunk of bytes, by how often each occurs.
    pub(super) fn bytes(&mut self, counts: &[u32; 256]) {
        for (byte, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let number = Number { value: byte as f64, places: 0 };
            self.number(number, false);
            self.numbers += u64::from(count) - 1;
        }
    }
}
