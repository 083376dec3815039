//! From logits to integer frequencies, and from those to bits and back, through `constriction`'s range
//! coder.
//!
//! ```text
//! f_s = 1 + ⌊ e^(l_s − max l) · (2^20 − m) / Σ e^(l − max l) ⌋,   what is left over goes to the likeliest symbol
//! ```
//!
//! Every symbol of the alphabet can be coded, whatever the model thinks of it. Everything is made of
//! operations that IEEE 754 defines to the bit, in a fixed order, so equal logits give equal frequencies on
//! every machine. Over what −log₂ p costs, the rounding costs at most about m · 2^−20 · 1.44 bits a
//! symbol, and the coder's own arithmetic about 10^−5 bits.

use std::num::NonZeroU32;

use constriction::Queue;
use constriction::backends::ReadWords;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{RangeDecoder, RangeEncoder};
use constriction::stream::{Decode as _, Encode as _};

/// Frequencies sum to 2^20: fine enough for a bit that is nearly certain, and far enough below the
/// coder's 32 bits that its own rounding costs nothing.
const PRECISION: usize = 20;
const TOTAL: u32 = 1 << PRECISION;

/// The fewest bits that a symbol can take, where every other one has the least frequency.
pub(super) fn least_bits(levels: usize) -> f64 {
    let others = levels.saturating_sub(1) as f64 / f64::from(TOTAL);
    -(-others).ln_1p() / core::f64::consts::LN_2
}

/// Frequencies of a conditional.
#[derive(Debug, Default)]
pub(super) struct Frequencies {
    /// `Σ f` before each symbol, and the total last.
    cumulative: Vec<u32>,
    weights: Vec<f64>,
}

impl Frequencies {
    /// From logits, one per symbol. Symbols are alike where one is NaN or none is finite.
    pub(super) fn set(&mut self, logits: &[f64]) {
        let mut top = f64::NEG_INFINITY;
        let mut likeliest = 0;
        for (symbol, &logit) in logits.iter().enumerate() {
            if logit > top {
                (top, likeliest) = (logit, symbol);
            }
        }
        let usable = top.is_finite() && !logits.iter().any(|logit| logit.is_nan());
        self.weights.clear();
        self.weights.extend(logits.iter().map(|&l| if usable { exp(l - top) } else { 1.0 }));
        self.share(likeliest);
    }

    /// From weights, one per symbol, none of them negative. Symbols are alike where one is not finite or all are 0.
    pub(super) fn set_weights(&mut self, weights: &[f64]) {
        let sum: f64 = weights.iter().sum();
        let usable = sum > 0.0 && sum.is_finite();
        self.weights.clear();
        self.weights.extend(weights.iter().map(|&weight| if usable { weight } else { 1.0 }));
        let heavier = |best: usize, symbol: usize| {
            if self.weights[symbol] > self.weights[best] { symbol } else { best }
        };
        let likeliest = (0..weights.len()).fold(0, heavier);
        self.share(likeliest);
    }

    /// Shares the total out by the weights, and gives what is left over to the likeliest symbol.
    fn share(&mut self, likeliest: usize) {
        let sum: f64 = self.weights.iter().sum();
        let scale = f64::from(TOTAL - self.weights.len() as u32) / sum;
        let part = |weight: f64| 1 + (weight * scale) as u32;
        let given: u32 = self.weights.iter().map(|&weight| part(weight)).sum();
        let left_over = TOTAL - given;
        self.cumulative.clear();
        self.cumulative.push(0);
        let mut sum = 0;
        for (symbol, &weight) in self.weights.iter().enumerate() {
            sum += part(weight) + if symbol == likeliest { left_over } else { 0 };
            self.cumulative.push(sum);
        }
    }

    /// The part of the unit interval that stands for a symbol.
    pub(super) fn of(&self, symbol: u8) -> Interval {
        let symbol = usize::from(symbol);
        let (left, right) = (self.cumulative[symbol], self.cumulative[symbol + 1]);
        Interval { left, width: NonZeroU32::new(right - left).expect("no symbol is impossible") }
    }
}

/// `e^x` for `x ≤ 0`, to a few units of the last place; 0 below −700.
fn exp(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x <= -700.0 {
        return 0.0;
    }
    // ln 2 in two parts, the first with zeros at its end, so that k times it is exact.
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    /// Adding and subtracting it rounds to a whole number.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let k = (x * core::f64::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    // Taylor's series; |r| ≤ ln 2 / 2, where the first term left out is below 10^−17.
    let mut sum = 1.0;
    for n in (1..=13).rev() {
        sum = 1.0 + r / f64::from(n) * sum;
    }
    sum * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

/// A decision between two of which the first has the width `left`, at least 1 and less than 2^20.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split(u32);

impl Split {
    /// By the weights of the two; both are alike where one is no number or both are 0.
    pub(super) fn of(first: f64, second: f64) -> Self {
        let share = first / (first + second);
        // NaN too is not within.
        let share = if (0.0..=1.0).contains(&share) { share } else { 0.5 };
        Self(1 + (share * f64::from(TOTAL - 2)) as u32)
    }

    pub(super) fn interval(self, is_second: bool) -> Interval {
        let (left, width) = if is_second { (self.0, TOTAL - self.0) } else { (0, self.0) };
        Interval { left, width: NonZeroU32::new(width).expect("neither is impossible") }
    }
}

/// A decision between so many that are alike, at least 1 and at most 2^16.
#[derive(Clone, Copy, Debug)]
pub(super) struct Even(pub(super) u32);

impl Even {
    fn start(self, symbol: u32) -> u32 {
        ((u64::from(symbol) << PRECISION) / u64::from(self.0)) as u32
    }

    pub(super) fn interval(self, symbol: u32) -> Interval {
        let (left, right) = (self.start(symbol), self.start(symbol + 1));
        Interval { left, width: NonZeroU32::new(right - left).expect("no more than 2^16") }
    }
}

/// Left end and width of a symbol's part of `0..2^20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    left: u32,
    width: NonZeroU32,
}

impl Interval {
    /// What it costs.
    pub(super) fn bits(self) -> f64 {
        PRECISION as f64 - f64::from(self.width.get()).log2()
    }
}

impl EntropyModel<PRECISION> for Interval {
    type Symbol = ();
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Interval {
    #[inline]
    fn left_cumulative_and_probability(
        &self,
        _: impl core::borrow::Borrow<()>,
    ) -> Option<(u32, NonZeroU32)> {
        Some((self.left, self.width))
    }
}

impl EntropyModel<PRECISION> for &Frequencies {
    type Symbol = u8;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for &Frequencies {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (u8, u32, NonZeroU32) {
        // The first entry is 0 and the last the total, which no quantile reaches.
        let symbol = self.cumulative.partition_point(|&left| left <= quantile) - 1;
        let Interval { left, width } = self.of(symbol as u8);
        (symbol as u8, left, width)
    }
}

impl EntropyModel<PRECISION> for Split {
    type Symbol = bool;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Split {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (bool, u32, NonZeroU32) {
        let is_second = quantile >= self.0;
        let Interval { left, width } = self.interval(is_second);
        (is_second, left, width)
    }
}

impl EntropyModel<PRECISION> for Even {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Even {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        // The last symbol that starts at the quantile or before it.
        let symbol = ((u64::from(quantile) + 1) * u64::from(self.0) - 1) >> PRECISION;
        let Interval { left, width } = self.interval(symbol as u32);
        (symbol as u32, left, width)
    }
}

/// One stream of symbols, being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    coder: RangeEncoder<u32, u64>,
}

impl Writer {
    pub(super) fn push(&mut self, interval: Interval) {
        self.coder.encode_symbol((), interval).expect("a width that is not 0, into memory");
    }

    /// Bytes so far, but for the few that end a stream.
    pub(super) fn len(&self) -> usize {
        self.coder.bulk().len() * size_of::<u32>()
    }

    /// The bytes, and an empty stream in their place.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let words = std::mem::take(&mut self.coder).into_compressed().expect("into memory");
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// A stream that ended before its symbols did, or that no writer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// One stream of symbols, being read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    coder: RangeDecoder<u32, u64, Words<'a>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Broken> {
        let (words, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(Broken);
        }
        Ok(Self { coder: RangeDecoder::with_backend(Words { words, past_end: 0 })? })
    }

    pub(super) fn next(&mut self, frequencies: &Frequencies) -> Result<u8, Broken> {
        self.coder.decode_symbol(frequencies).map_err(|_| Broken)
    }

    pub(super) fn split(&mut self, split: Split) -> Result<bool, Broken> {
        self.coder.decode_symbol(split).map_err(|_| Broken)
    }

    pub(super) fn even(&mut self, even: Even) -> Result<u32, Broken> {
        self.coder.decode_symbol(even).map_err(|_| Broken)
    }

    /// That nothing is left.
    pub(super) fn finish(self) -> Result<(), Broken> {
        let (words, ..) = self.coder.into_raw_parts();
        if words.words.is_empty() { Ok(()) } else { Err(Broken) }
    }
}

/// Words of a stream, which may be asked for a few more than there are.
#[derive(Debug)]
struct Words<'a> {
    words: &'a [[u8; 4]],
    past_end: usize,
}

/// A writer ends a stream with one word or more, and a reader is two words ahead of what it decodes.
const MOST_PAST_END: usize = 2;

impl ReadWords<u32, Queue> for Words<'_> {
    type ReadError = Broken;

    fn read(&mut self) -> Result<Option<u32>, Broken> {
        match self.words.split_first() {
            Some((&word, rest)) => {
                self.words = rest;
                Ok(Some(u32::from_le_bytes(word)))
            }
            None if self.past_end < MOST_PAST_END => {
                self.past_end += 1;
                Ok(None)
            }
            None => Err(Broken),
        }
    }

    fn maybe_exhausted(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frequencies(logits: &[f64]) -> Vec<u32> {
        let mut frequencies = Frequencies::default();
        frequencies.set(logits);
        frequencies.cumulative.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn exp_is_that_of_the_library_to_a_few_units() {
        for k in 0..70_000 {
            let x = f64::from(k) * -0.01;
            let (own, library) = (exp(x), x.exp());
            assert!((own - library).abs() <= 4e-16 * library.max(f64::MIN_POSITIVE), "{x}");
        }
        assert_eq!([exp(0.0), exp(-1e300), exp(f64::NEG_INFINITY)], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn frequencies_are_the_probabilities_and_never_zero() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let half = TOTAL / 2;
        assert_eq!(frequencies(&[0.3, 0.3]), [half, half]);
        assert_eq!(frequencies(&[0.0, -1e4]), [TOTAL - 1, 1]);
        assert_eq!(frequencies(&[-inf, -3.0, -inf]), [1, TOTAL - 2, 1]);
        assert_eq!(frequencies(&[7.0]), [TOTAL]);
        // What is no distribution is coded all the same.
        for broken in [[nan, 0.0], [inf, 0.0], [-inf, -inf], [0.0, nan]] {
            assert_eq!(frequencies(&broken), [half, half], "{broken:?}");
        }
        let third = frequencies(&[3f64.ln(), 0.0]);
        assert!(third[1].abs_diff(TOTAL / 4) <= 1, "{third:?}");
    }

    proptest! {
        #[test]
        fn frequencies_cost_what_the_probabilities_cost(
            logits in proptest::collection::vec(-30.0..30.0f64, 1..=256),
        ) {
            let f = frequencies(&logits);
            prop_assert_eq!(f.iter().sum::<u32>(), TOTAL);
            let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|l| (l - top).exp()).sum();
            let cost = |p: f64, f: u32| -p * (f64::from(f) / f64::from(TOTAL) / p).log2();
            let excess: f64 =
                logits.iter().zip(&f).map(|(l, &f)| cost((l - top).exp() / sum, f)).sum();
            let bound = 1.45 * logits.len() as f64 / f64::from(TOTAL);
            prop_assert!((-1e-12..bound).contains(&excess), "{} of {}", excess, bound);
        }

        #[test]
        fn decisions_between_two_and_between_many_alike_are_read_as_written(
            choices in proptest::collection::vec((0.0..1.0f64, 1..=1_u32 << 16, 0..=u32::MAX), 0..300),
        ) {
            let mut writer = Writer::default();
            for &(share, n, choice) in &choices {
                writer.push(Split::of(share.powi(40), 1.0).interval(choice % 2 == 1));
                writer.push(Even(n).interval(choice % n));
            }
            let bytes = writer.take();
            let mut reader = Reader::new(&bytes).unwrap();
            for &(share, n, choice) in &choices {
                prop_assert_eq!(reader.split(Split::of(share.powi(40), 1.0)), Ok(choice % 2 == 1));
                prop_assert_eq!(reader.even(Even(n)), Ok(choice % n));
            }
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn what_is_written_is_read(
            symbols in proptest::collection::vec(0..5_u8, 0..400),
            slope in -3.0..3.0f64,
        ) {
            let mut frequencies = Frequencies::default();
            let mut at = |t: usize| {
                let logits: Vec<f64> = (0..5).map(|s| slope * f64::from(s * (t as i32 % 7))).collect();
                frequencies.set(&logits);
                std::mem::take(&mut frequencies)
            };
            let mut writer = Writer::default();
            for (t, &symbol) in symbols.iter().enumerate() {
                writer.push(at(t).of(symbol));
            }
            let bytes = writer.take();
            let mut reader = Reader::new(&bytes).unwrap();
            for (t, &symbol) in symbols.iter().enumerate() {
                prop_assert_eq!(reader.next(&at(t)), Ok(symbol));
            }
            prop_assert_eq!(reader.finish(), Ok(()));
            // A stream that is cut, or longer than its symbols, is noticed or harmless, and never endless.
            let mut reader = Reader::new(&bytes[..bytes.len() / 8 * 4]).unwrap();
            let read = (0..20_000).take_while(|&t| reader.next(&at(t)).is_ok()).count();
            prop_assert!(slope.abs() < 0.5 || read < 20_000);
            let long = [&bytes[..], &[0; 12]].concat();
            let mut reader = Reader::new(&long).unwrap();
            for t in 0..symbols.len() {
                prop_assert!(reader.next(&at(t)).is_ok());
            }
            prop_assert_eq!(reader.finish(), Err(Broken));
        }
    }
}
