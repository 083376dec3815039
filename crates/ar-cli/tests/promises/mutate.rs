//! Random mutations of files, from a seed.

/// Steele, Lea and Flood 2014 (SplitMix64): enough to choose places with.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is at least 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn place(&mut self, len: usize) -> usize {
        self.below(len as u64 + 1) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

/// Numbers that headers should not believe.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x8000_0000,
    1 << 40,
    u64::MAX / 2,
    u64::MAX,
];

/// Words that mean something to one of the readers.
const WORDS: [&str; 24] = [
    ",",
    "\n",
    "\r\n",
    "\"",
    "\t",
    ";",
    "nan",
    "inf",
    "-1",
    "1e999",
    "256",
    "\u{feff}",
    "NaN",
    "[",
    "]",
    "{",
    "}",
    " = ",
    "'",
    "(",
    ")",
    "true",
    "9999999999999999999",
    "\0",
];

/// A file made from `seeds`: one of them with some places changed, cut, repeated or mixed with another.
pub(crate) fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| random.below(seeds.len() as u64) as usize;
    let mut bytes = seeds[pick(random)].clone();
    for _ in 0..=random.below(4) {
        let at = random.place(bytes.len());
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.byte(),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + random.below(16) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.below(32) as usize).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = random.place(bytes.len());
                bytes.splice(to..to, part);
            }
            5 => {
                let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
                let width = [1, 2, 4, 8][random.below(4) as usize];
                let number = if random.below(2) == 0 {
                    number.to_le_bytes()[..width].to_vec()
                } else {
                    number.to_be_bytes()[8 - width..].to_vec()
                };
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, number);
            }
            6 => {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                bytes.splice(at..at, word.bytes());
            }
            7 => {
                let other = &seeds[pick(random)];
                let from = random.place(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.extend((0..random.below(8)).map(|_| random.byte())),
        }
    }
    bytes
}
