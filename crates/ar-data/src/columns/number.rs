//! Numbers as people write them in tables.

/// A number, and what its notation says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    /// Its value.
    pub(crate) value: f64,
    /// Digits after the decimal mark, without zeros at the end; [`Number::FLOAT`] where an exponent or more
    /// digits than a decimal grid has say that it is on none.
    pub(crate) places: u8,
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Digits that an integer of 64 bits has room for, whichever they are.
const MOST_DIGITS: usize = 19;

/// Characters beyond which a number is not looked at for the fast way.
const LONGEST: usize = 40;

impl Number {
    /// The number of places of what is on no decimal grid.
    pub(crate) const FLOAT: u8 = u8::MAX;

    /// Reads a number whose decimal mark is a point, or a comma where `comma` says so. The words that Rust
    /// also reads as one ("inf", "nan") are none here.
    pub(crate) fn parse(text: &[u8], comma: bool) -> Option<Self> {
        // Most files hold nothing but single digits.
        if let [digit @ b'0'..=b'9'] = text {
            return Some(Self { value: f64::from(digit - b'0'), places: 0 });
        }
        match Self::plain(text, if comma { b',' } else { b'.' }) {
            Some(number) => Some(number),
            None => Self::any(text, comma),
        }
    }

    /// The same, of what a double has room for.
    #[inline]
    pub(super) fn finite(text: &[u8], comma: bool) -> Option<Self> {
        match Self::plain(text, if comma { b',' } else { b'.' }) {
            Some(number) => Some(number),
            None => Self::any(text, comma).filter(|number| number.value.is_finite()),
        }
    }

    /// Digits with or without a mark: an integer divided by a power of ten. Where a double holds both exactly, so
    /// does their quotient as doubles what is nearest to the decimal (W. Clinger, "How to read floating point
    /// numbers accurately", PLDI 1990); elsewhere they are divided as integers.
    fn plain(text: &[u8], mark: u8) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if digits.is_empty() || digits.len() > LONGEST {
            return None;
        }
        let mut mantissa: u64 = 0;
        let mut digits_of = |part: &[u8]| {
            let mut at = 0;
            while let Some(eight) = part[at..].first_chunk().and_then(|part| eight_digits(*part)) {
                mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
                at += 8;
            }
            while let Some(digit) = part.get(at).map(|byte| byte.wrapping_sub(b'0'))
                && digit <= 9
            {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
                at += 1;
            }
            at
        };
        let before = digits_of(digits);
        let (mut places, mut zeros) = (0, 0);
        if before < digits.len() {
            let after = &digits[before + 1..];
            if digits[before] != mark || digits.len() == 1 || digits_of(after) < after.len() {
                return None;
            }
            places = after.len();
            zeros = after.iter().rev().take_while(|byte| **byte == b'0').count();
        }
        if before + places > MOST_DIGITS {
            // Zeros in front do not count.
            let front = digits.iter().take_while(|byte| **byte == b'0' || **byte == mark).count();
            let mark_behind = usize::from(places > 0 && before >= front);
            if places > MOST_DIGITS || digits.len() - front - mark_behind > MOST_DIGITS {
                return None;
            }
        }
        let is_exact = mantissa < 1 << 53;
        let value = match places {
            // Not all that are larger are doubles.
            0 if !is_exact => return None,
            0 => mantissa as f64,
            _ if is_exact => mantissa as f64 / POWERS[places],
            _ => quotient(mantissa, places),
        };
        let places = match places - zeros {
            0 => 0,
            places if is_exact => places as u8,
            _ => Self::FLOAT,
        };
        // Both zeros are one number, so a difference and not a sign.
        Some(Self { value: if negative { 0.0 - value } else { value }, places })
    }

    fn any(text: &[u8], comma: bool) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let is_word =
            text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'));
        if is_word {
            return None;
        }
        let value: f64 = if comma {
            if text.contains('.') {
                let plain = ungrouped(text)?;
                return Self::plain(plain.as_bytes(), b',')
                    .or_else(|| Self::any(plain.as_bytes(), true));
            }
            text.replacen(',', ".", 1).parse().ok()?
        } else {
            text.parse().ok()?
        };
        let is_whole = !text.contains(['.', ',', 'e', 'E']);
        if is_whole && !is_held(text, value) {
            return None;
        }
        Some(Self { value: value + 0.0, places: if is_whole { 0 } else { Self::FLOAT } })
    }
}

/// A number without the points that mark thousands in it, which stand between groups of three digits.
fn ungrouped(text: &str) -> Option<String> {
    let (whole, _) = text.split_once(',').unwrap_or((text, ""));
    let mut groups = whole.trim_start_matches(['-', '+']).split('.');
    let first = groups.next()?;
    let is_group = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let is_right = matches!(first.len(), 1..=3)
        && is_group(first)
        && !first.starts_with('0')
        && groups.all(|group| group.len() == 3 && is_group(group));
    // None behind the decimal mark.
    (is_right && !text[whole.len()..].contains('.')).then(|| text.replace('.', ""))
}

/// Whether a word is a number to people: with marks of thousands, a unit, brackets of accountants, a minus sign of
/// typesetters, the exponent of Fortran, in hexadecimal, or with a decimal comma.
pub(super) fn like_a_number(word: &str) -> bool {
    const UNITS: [char; 5] = ['$', '€', '£', '¥', '%'];
    let plain = word.trim().replace('\u{2212}', "-");
    let inside = plain.strip_prefix('(').and_then(|plain| plain.strip_suffix(')'));
    let signs = ['-', '+'];
    let plain = inside.unwrap_or(&plain).trim_start_matches(signs);
    let plain = plain.trim_matches(UNITS).trim().trim_start_matches(signs);
    if let Some(digits) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    }
    if !plain.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return false;
    }
    let is_number = |text: &str, comma| Number::parse(text.as_bytes(), comma).is_some();
    // With nothing taken off a number is one, but for keys that are too long.
    let is_changed = plain.len() != word.len();
    (is_changed && is_number(plain, false))
        || is_number(plain, true)
        || is_number(&plain.replace(['d', 'D'], "e"), false)
        || [',', '\'', '’', ' ', '\u{a0}', '\u{202f}'].iter().any(|&mark| {
            // Marks of thousands, as points would be in a number with a decimal comma.
            let (whole, places) = plain.split_once('.').unwrap_or((plain, "0"));
            whole.contains(mark)
                && ungrouped(&whole.replace(mark, ".")).is_some()
                && places.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Whether a text is a number whose points could all be marks of thousands.
pub(crate) fn could_be_thousands(text: &[u8]) -> bool {
    text.contains(&b'.') && std::str::from_utf8(text).is_ok_and(|text| ungrouped(text).is_some())
}

/// Whether a text is a whole number that is not the only one that its double stands for, such as many a key.
pub(super) fn is_too_long(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    digits.len() > 15
        && digits.iter().all(u8::is_ascii_digit)
        && Number::parse(text, false).is_none()
}

/// Whether digits are those of their double: of up to 19 all, as [`canonical`] writes it; of more, as many as tell
/// it from others. No two numbers are the same double then.
fn is_held(text: &str, value: f64) -> bool {
    let digits = text.trim_start_matches(['-', '+']).trim_start_matches('0');
    digits.len() < 16 || canonical(value.abs()) == digits
}

/// The integer as a double, if that is the same number.
pub(super) fn as_double(value: i64) -> Option<f64> {
    let size = value.unsigned_abs();
    let is_exact = size < 1 << 53 || size.leading_zeros() + size.trailing_zeros() >= 11;
    is_exact.then_some(value as f64)
}

/// The number that eight characters are if all are digits: pairs of neighbours are added up, then pairs of these.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    const SIX: u64 = 0x0606_0606_0606_0606;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let text = u64::from_le_bytes(text);
    // Digits are what has a 3 as its upper half, and still has it when 6 is added.
    if text & !LOW != ZEROS || text.wrapping_add(SIX) & !LOW != ZEROS {
        return None;
    }
    let ones = text - ZEROS;
    let twos = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100) + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff)
}

/// How many bits a power of ten has, and its inverse times two to the power of these and 63, which has 64 bits.
const INVERSES: [(u32, u64); MOST_DIGITS + 1] = {
    let mut inverses = [(1, u64::MAX); MOST_DIGITS + 1];
    let mut places = 1;
    while places <= MOST_DIGITS {
        let power = 10_u64.pow(places as u32);
        let bits = u64::BITS - power.leading_zeros();
        inverses[places] = (bits, ((1_u128 << (63 + bits)) / power as u128) as u64);
        places += 1;
    }
    inverses
};

/// The double nearest to a positive integer divided by a power of ten that is not 1.
///
/// The product with the inverse, which is rounded down, is short of the quotient by less than 2 of its upper 64 bits.
/// These say what is nearest unless a double, or what is half way between two of them, is that close above (after D.
/// Lemire, "Number parsing at a gigabyte per second", 2021, arXiv 2101.11408).
fn quotient(of: u64, places: usize) -> f64 {
    let (bits, inverse) = INVERSES[places];
    let up = of.leading_zeros();
    let product = ((u128::from(of << up) * u128::from(inverse)) >> 64) as u64;
    // Halves between doubles of 62 or 63 further bits are multiples of 2^9.
    if matches!(product % 512, 1..=509) {
        return product as f64 * two_to(1 - bits as i32 - up as i32);
    }
    let (of, by) =
        (u128::from(of << up) << 63, u128::from(10_u64.pow(places as u32) << (64 - bits)));
    // 63 or 64 bits, of which the last also stands for all that follow: a double has 53.
    let quotient = (of / by) as u64 | u64::from(of % by != 0);
    quotient as f64 * two_to(1 - bits as i32 - up as i32)
}

/// A power of two that a double has its full precision at.
fn two_to(power: i32) -> f64 {
    f64::from_bits(((1023 + power) as u64) << 52)
}

/// Whether a finite number is whole.
pub(super) fn is_whole(value: f64) -> bool {
    // Much faster than `fract` on processors without an instruction for it. Beyond 2^53 all doubles are whole.
    value as i64 as f64 == value || value.abs() >= (1_u64 << 53) as f64
}

/// A whole number of at most 255 as a byte.
pub(crate) fn as_byte(value: f64) -> Option<u8> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared after")]
    let byte = value as u8;
    (f64::from(byte) == value).then_some(byte)
}

/// A number as a label is written: whole ones without a point, others as short as reads back.
pub(crate) fn canonical(value: f64) -> String {
    match value {
        // Both zeros are the label 0.
        0.0 => "0".to_owned(),
        // As long as integers are: the digits that they have.
        _ if is_whole(value) && value.abs() < 1e19 => (value as i128).to_string(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
    use std::fmt::Write;

    fn parse(text: &str) -> Option<(f64, u8)> {
        Number::parse(text.as_bytes(), false).map(|number| (number.value, number.places))
    }

    #[test]
    fn forms_of_numbers() {
        let float = Number::FLOAT;
        for (text, expected) in [
            ("0", Some((0.0, 0))),
            ("+5", Some((5.0, 0))),
            ("-0", Some((-0.0, 0))),
            (".5", Some((0.5, 1))),
            ("5.", Some((5.0, 0))),
            ("007", Some((7.0, 0))),
            ("12.50", Some((12.5, 1))),
            ("12.00", Some((12.0, 0))),
            ("1e3", Some((1000.0, float))),
            ("1E-3", Some((0.001, float))),
            ("13.599999904633", Some((13.599_999_904_633, 12))),
            ("0.7577538251293606", Some((0.757_753_825_129_360_6, 16))),
            ("-0.94539612643123456", Some((-0.945_396_126_431_234_6, float))),
            ("9007199254740992", Some((9_007_199_254_740_992.0, 0))),
            ("9007199254740993", None),
            ("-0009007199254740993", None),
            ("9007199254740994", Some((9_007_199_254_740_994.0, 0))),
            ("9007199254740993.0", Some((9_007_199_254_740_992.0, 0))),
            ("9223372036854775808", Some((9_223_372_036_854_775_808.0, 0))),
            ("9223372036854776000", None),
            ("18446744073709551615", None),
            ("18446744073709552000", Some((18_446_744_073_709_551_616.0, 0))),
            ("", None),
            (".", None),
            ("-", None),
            ("1_000", None),
            ("1,5", None),
            ("1 000", None),
            ("inf", None),
            ("nan", None),
            ("0x1A", None),
            ("1.2.3", None),
            ("1.0D+03", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for zero in ["-0", "-0.0", "-0e0", "-00000000000000000000.00000"] {
            assert_eq!(parse(zero).map(|(value, _)| value.to_bits()), Some(0), "{zero}");
        }
        let widest = [i64::MAX, i64::MIN, (1 << 53) + 1, -(1 << 53)];
        let found = widest.map(as_double);
        assert_eq!(found, [None, Some(-(2_f64.powi(63))), None, Some(-(2_f64.powi(53)))]);
        assert_eq!(canonical(2_f64.powi(60)), "1152921504606846976");
        assert_eq!(Number::parse(b"1,5", true).map(|n| n.value), Some(1.5));
        let german = |text: &str| Number::parse(text.as_bytes(), true).map(|n| (n.value, n.places));
        assert_eq!(german("1.137"), Some((1137.0, 0)));
        assert_eq!(german("-1.234.567,25"), Some((-1_234_567.25, 2)));
        for word in ["1.5", "0.137", "1.13", "1234.567", "1.234,5.6", "1,234.567", "1.2345"] {
            assert_eq!(german(word), None, "{word}");
        }
        assert_eq!(Number::parse(b"1,5e3", true).map(|n| n.value), Some(1500.0));
        assert_eq!(Number::parse(b"1,5,5", true), None);
    }

    #[test]
    fn what_people_take_for_numbers() {
        for word in [
            "1,000",
            "1'000",
            "1 000",
            "1\u{a0}000.5",
            "12%",
            "12 %",
            "$10.50",
            "-$3",
            "10 €",
            "(1.5)",
            "\u{2212}5",
            "1.0D+03",
            "0x1A",
            "1,5",
            "1.234,5",
            "1,234,567.89",
        ] {
            assert!(like_a_number(word), "{word}");
        }
        for word in [
            "",
            "a",
            "1 2",
            "2020-01-01",
            "12:30",
            "3rd",
            "1,0000,0",
            "9007199254740993",
            "%",
            "()",
        ] {
            assert!(!like_a_number(word), "{word}");
        }
    }

    proptest::proptest! {
        /// Every decimal is read as the nearest double, whichever way reads it.
        #[test]
        fn the_fast_way_is_the_exact_way(digits in "-?(0{0,9})[0-9]{1,20}", places in 0_usize..24) {
            let negative = digits.starts_with('-');
            let plain = digits.trim_start_matches('-');
            let at = plain.len().saturating_sub(places);
            let text = format!("{}{}.{}", if negative { "-" } else { "" }, &plain[..at], &plain[at..]);
            if let Ok(expected) = text.parse::<f64>() {
                let found = Number::parse(text.as_bytes(), false).unwrap().value;
                proptest::prop_assert_eq!(found.to_bits(), (expected + 0.0).to_bits(), "{}", text);
            }
        }
    }

    #[test]
    fn a_million_decimals_are_read_as_the_standard_library_reads_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut text = String::new();
        for round in 0..1_000_000_u64 {
            text.clear();
            let digits = rng.random::<u64>() >> rng.random_range(0..64);
            match round % 4 {
                0 => write!(text, "-{}.{digits:06}", rng.random::<u32>() >> 12),
                1 => write!(text, "{}", rng.random::<f64>() * 10_f64.powi(rng.random_range(-4..9))),
                // Half way between two doubles, or next to it.
                2 => {
                    write!(text, "{}.{}", (1 << 53) + (digits >> 12), &"000"[..round as usize % 3])
                }
                _ => write!(text, "{}.{}", (1 << 52) + (digits >> 13), round % 3 + 4),
            }
            .unwrap();
            let expected: f64 = text.parse().unwrap();
            let found = Number::parse(text.as_bytes(), false).map(|number| number.value.to_bits());
            assert_eq!(found, Some((expected + 0.0).to_bits()), "{text}");
        }
    }

    #[test]
    fn bytes_are_whole_numbers_from_0_to_255() {
        assert_eq!([0.0, -0.0, 255.0].map(as_byte), [Some(0), Some(0), Some(255)]);
        assert_eq!([256.0, -1.0, 0.5, f64::NAN].map(as_byte), [None; 4]);
        assert_eq!([3.0, -0.0, 0.25, -7.0].map(canonical), ["3", "0", "0.25", "-7"]);
    }
}
