//! Where the numbers of a column lie, as whole numbers in ascending order.
//!
//! | lattice | number of the index k | whose |
//! |---|---|---|
//! | [`Lattice::Parts`] | k / n | grids of 1/n: whole numbers, decimals; real columns of decimals, n = 10^places |
//! | [`Lattice::Steps`] | k · step | other grids |
//! | [`Lattice::Single`], [`Lattice::Double`] | the k-th number of f32 or f64 from +0, those below from −1 on | real columns |
//!
//! A number that is none of its lattice, such as 3.5 among whole ones, is coded by its 64 bits.

/// Multiples of something, or all numbers of a format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lattice {
    /// k / n.
    Parts(f64),
    /// k · step.
    Steps(f64),
    /// All f32.
    Single,
    /// All f64.
    Double,
}

/// The largest index of a multiple: the numbers between two of them are still numbers of f64.
const MOST: i64 = 1 << 52;

/// Lattices that a real column can be on, by their codes: decimals of so many places, then all f32, then all f64.
const PLACES: u8 = 16;
pub(super) const CODES: u8 = PLACES + 2;

/// Of so many numbers of a real column one may be off its lattice: then it costs fewer bits than a finer lattice
/// would cost all the others.
const OFF: usize = 1000;

impl Lattice {
    /// The multiples of a step.
    pub(super) fn grid(step: f64) -> Self {
        // Of 0.1 the multiples are those of 1/10: a division is exact where a product is not.
        let inverse = (1.0 / step).round();
        let is_whole = inverse >= 1.0 && (inverse * step - 1.0).abs() < 1e-12;
        if is_whole { Self::Parts(inverse) } else { Self::Steps(step) }
    }

    /// That of a real column, by its code.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        const SINGLE: u8 = PLACES;
        const DOUBLE: u8 = PLACES + 1;
        match code {
            // Exact up to 10^22.
            0..PLACES => Some(Self::Parts((0..code).fold(1.0, |power, _| 10.0 * power))),
            SINGLE => Some(Self::Single),
            DOUBLE => Some(Self::Double),
            _ => None,
        }
    }

    /// Bits of a number that spreads as far as `scale`, but for what is common to all lattices.
    fn bits(self, scale: f64) -> f64 {
        match self {
            Self::Parts(n) => libm::log2((scale * n).max(1.0)),
            Self::Steps(step) => libm::log2((scale / step).max(1.0)),
            Self::Single => 24.0,
            Self::Double => 53.0,
        }
    }

    /// The number of an index; of a format it may be none.
    pub(super) fn number(self, index: i64) -> f64 {
        match self {
            // There is one zero.
            Self::Parts(n) => 0.0 + index as f64 / n,
            Self::Steps(step) => 0.0 + index as f64 * step,
            Self::Single => {
                let bits = if index >= 0 { index as u32 } else { !index as u32 | 1 << 31 };
                f32::from_bits(bits).into()
            }
            Self::Double => {
                f64::from_bits(if index >= 0 { index as u64 } else { !index as u64 | 1 << 63 })
            }
        }
    }

    /// The index of a number, if it is on the lattice.
    pub(super) fn index(self, x: f64) -> Option<i64> {
        let index = match self {
            Self::Parts(n) => whole(x * n)?,
            Self::Steps(step) => whole(x / step)?,
            Self::Single => {
                let bits = (x as f32).to_bits();
                let size = i64::from(bits & i32::MAX as u32);
                if bits >> 31 == 0 { size } else { !size }
            }
            Self::Double => {
                let size = (x.to_bits() << 1 >> 1) as i64;
                if x.is_sign_negative() { !size } else { size }
            }
        };
        (self.number(index).to_bits() == x.to_bits()).then_some(index)
    }

    /// Where the cell of an index begins. Cells tile the line; those of a format begin at their numbers.
    pub(super) fn start(self, index: i64) -> f64 {
        match self {
            Self::Parts(n) => (index as f64 - 0.5) / n,
            Self::Steps(step) => (index as f64 - 0.5) * step,
            Self::Single | Self::Double => {
                let number = self.number(index);
                let end = if index >= 0 { f64::INFINITY } else { f64::NEG_INFINITY };
                if number.is_nan() { end } else { number }
            }
        }
    }

    /// Where most numbers are that spread as far as `scale` around `mean`: the first of so many indices, and the
    /// logarithm of how many.
    pub(super) fn window(self, mean: f64, scale: f64) -> (i64, u32) {
        let (centre, scale) = match self {
            Self::Parts(n) => (mean * n, scale * n),
            Self::Steps(step) => (mean / step, scale / step),
            Self::Single => return (-1 << 31, 32),
            Self::Double => return (i64::MIN, 64),
        };
        let centre = centre.round().clamp(-(MOST as f64), MOST as f64) as i64;
        let half = (0..51).find(|&half| (1_i64 << half) as f64 >= 4.0 * scale).unwrap_or(51);
        (centre - (1 << half), half + 1)
    }

    /// Whether there are numbers outside the window, and none of a far tail inside it.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Parts(_) | Self::Steps(_))
    }

    /// Whether the cells of so many aligned indices, as a power of two, are alike.
    pub(super) fn is_even(self, bits: u32) -> bool {
        match self {
            Self::Parts(_) | Self::Steps(_) => true,
            Self::Single => bits <= 23,
            Self::Double => bits <= 52,
        }
    }
}

fn whole(x: f64) -> Option<i64> {
    let index = x.round();
    (index.abs() <= MOST as f64).then_some(index as i64)
}

/// Counts on which lattices the numbers of a real column are.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    numbers: usize,
    on: [usize; CODES as usize],
}

impl Found {
    pub(super) fn add(&mut self, x: f64) {
        self.numbers += 1;
        for (code, on) in self.on.iter_mut().enumerate() {
            let lattice = Lattice::of_code(code as u8);
            *on += usize::from(lattice.is_some_and(|lattice| lattice.index(x).is_some()));
        }
    }

    /// The code of the lattice with the fewest bits that nearly all numbers are on.
    pub(super) fn best(&self, scale: f64) -> u8 {
        let most_off = self.numbers / OFF;
        let suits = |code: &u8| self.on[usize::from(*code)] + most_off >= self.numbers;
        let bits = |code: u8| Lattice::of_code(code).map_or(f64::INFINITY, |l| l.bits(scale));
        let all = (0..CODES).filter(suits);
        all.min_by(|&a, &b| bits(a).total_cmp(&bits(b))).unwrap_or(CODES - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Lattice; 6] = [
        Lattice::Parts(1.0),
        Lattice::Parts(1000.0),
        Lattice::Steps(7.0),
        Lattice::Steps(0.3),
        Lattice::Single,
        Lattice::Double,
    ];

    #[test]
    fn a_number_that_is_on_a_lattice_has_an_index_and_no_other() {
        for lattice in ALL {
            let most = if lattice == Lattice::Single { 1 << 30 } else { MOST - 1 };
            for k in (-1000..1000).chain([most, -most]) {
                assert_eq!(lattice.index(lattice.number(k)), Some(k), "{lattice:?} {k}");
                assert!(lattice.start(k) <= lattice.start(k + 1), "{lattice:?} {k}");
            }
        }
        assert_eq!(Lattice::grid(0.01), Lattice::Parts(100.0));
        assert_eq!(Lattice::grid(5.0), Lattice::Steps(5.0));
        assert_eq!(Lattice::Parts(10.0).index(0.3), Some(3));
        for (x, lattice) in [(0.25, ALL[0]), (-0.0, ALL[0]), (1e300, ALL[1]), (0.1, ALL[4])] {
            assert_eq!(lattice.index(x), None, "{x}");
        }
        assert_eq!((Lattice::Double.number(0), Lattice::Double.index(-0.0)), (0.0, Some(-1)));
        // What is no number is further out than all numbers.
        assert_eq!(Lattice::Double.start(i64::MAX), f64::INFINITY);
        assert_eq!(Lattice::Single.start(-1 << 31), f64::NEG_INFINITY);
    }

    #[test]
    fn a_real_column_is_on_the_coarsest_lattice_that_nearly_all_its_numbers_are_on() {
        let best = |numbers: &[f64]| {
            let mut found = Found::default();
            numbers.iter().for_each(|&x| found.add(x));
            Lattice::of_code(found.best(1.0)).unwrap()
        };
        assert_eq!(best(&[0.5, -3.25, 1.125]), Lattice::Parts(1000.0));
        assert_eq!(best(&[0.1_f32, 0.7, 3.3].map(f64::from)), Lattice::Single);
        assert_eq!(best(&[0.1 + 0.2, 1.0 / 3.0]), Lattice::Double);
        assert_eq!(best(&[]), Lattice::Parts(1.0));
        let mut many = vec![0.25; 2000];
        many.extend([1e300, 1.0 / 3.0]);
        assert_eq!(best(&many), Lattice::Parts(100.0));
        // One more that is off: f32 hold −0.
        many.push(-0.0);
        assert_eq!(best(&many), Lattice::Single);
    }

    proptest! {
        #[test]
        fn formats_hold_all_their_numbers_in_order(a in any::<f64>(), b in any::<f64>()) {
            for (lattice, [a, b]) in
                [(Lattice::Double, [a, b]), (Lattice::Single, [a, b].map(|x| f64::from(x as f32)))]
            {
                prop_assume!(a.is_finite() && b.is_finite());
                let index = |x| lattice.index(x).unwrap();
                prop_assert_eq!(lattice.number(index(a)).to_bits(), a.to_bits());
                prop_assert_eq!(index(a) < index(b), a.total_cmp(&b).is_lt());
            }
        }

        #[test]
        fn decimals_as_people_write_them_are_on_their_lattice(k in -10_i64.pow(12)..10_i64.pow(12), places in 0..7_u8) {
            let text = format!("{k}e-{places}");
            let lattice = Lattice::of_code(places).unwrap();
            prop_assert_eq!(lattice.index(text.parse().unwrap()), Some(k));
        }
    }
}
