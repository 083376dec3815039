//! Sixteen numbers at a time, in as many registers as an instruction set needs for them.
//!
//! What a sum is made of is alike on every instruction set; those with fused multiply-add round once where plain Rust
//! rounds twice.

use crate::simd::{Lanes, Portable};

/// Numbers in a [`Block`].
pub(super) const LANES: usize = 16;

/// One number in each lane, on a cache line of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lane(pub(super) [f32; LANES]);

impl Lane {
    pub(super) const fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
}

/// An instruction set with its sixteen lanes.
pub(super) trait Wide: Lanes {
    type Block: Block;
}

/// Sixteen numbers in registers.
///
/// # Safety
/// Every method may only be called on a processor that supports the instructions of the implementing type.
pub(super) trait Block: Copy {
    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(from: &Lane) -> Self;
    unsafe fn store(self, to: &mut Lane);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self · a + b`, rounded once where the processor can.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The smaller one, and the larger one, of numbers that are not NaN.
    unsafe fn min(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    /// Which lanes are smaller, lane 0 in the lowest bit.
    unsafe fn below(self, other: Self) -> u32;
    /// `self`, and where `codes` is not `code`, `more` added.
    unsafe fn add_unless(self, codes: Self, code: Self, more: Self) -> Self;
    /// `other` where `self` is NaN, and else `x`.
    unsafe fn if_nan(self, other: Self, x: Self) -> Self;
    /// 2^self for at most 0; what is below −126 counts as that.
    unsafe fn exp2(self) -> Self;
}

/// Coefficients of 2^r for |r| ≤ ½, those of its Taylor series from the sixth power down: to 1e-7.
const EXP2: [f32; 7] = [
    1.540_353e-4,
    1.333_355_8e-3,
    9.618_129e-3,
    5.550_411e-2,
    2.402_265e-1,
    std::f32::consts::LN_2,
    1.0,
];
const LEAST_EXPONENT: f32 = -126.0;
/// 1.5 · 2^23: adding it rounds to an integer, held in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

impl Wide for Portable {
    type Block = Plain;
}

/// Plain Rust, any processor.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Plain {
    let mut out = [0.0; LANES];
    for (k, out) in out.iter_mut().enumerate() {
        *out = f(k);
    }
    Plain(out)
}

impl Block for Plain {
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: &Lane) -> Self {
        Self(from.0)
    }
    #[inline(always)]
    unsafe fn store(self, to: &mut Lane) {
        to.0 = self.0;
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        each(|k| self.0[k] + other.0[k])
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        each(|k| self.0[k] - other.0[k])
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        each(|k| self.0[k] * other.0[k])
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        each(|k| self.0[k] * a.0[k] + b.0[k])
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        each(|k| if other.0[k] < self.0[k] { other.0[k] } else { self.0[k] })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        each(|k| if other.0[k] > self.0[k] { other.0[k] } else { self.0[k] })
    }
    #[inline(always)]
    unsafe fn below(self, other: Self) -> u32 {
        (0..LANES).map(|k| u32::from(self.0[k] < other.0[k]) << k).sum()
    }
    #[inline(always)]
    unsafe fn add_unless(self, codes: Self, code: Self, more: Self) -> Self {
        each(|k| {
            let more = more.0[k];
            self.0[k] + if codes.0[k] == code.0[k] { 0.0 } else { more }
        })
    }
    #[inline(always)]
    unsafe fn if_nan(self, other: Self, x: Self) -> Self {
        each(|k| if self.0[k].is_nan() { other.0[k] } else { x.0[k] })
    }
    #[inline(always)]
    unsafe fn exp2(self) -> Self {
        each(|k| {
            let y = self.0[k].max(LEAST_EXPONENT);
            let shifted = y + ROUND;
            let r = y - (shifted - ROUND);
            let p = EXP2[1..].iter().fold(EXP2[0], |p, c| p * r + c);
            p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
        })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::{Block, EXP2, LEAST_EXPONENT, Lane, ROUND, Wide};
    use crate::simd::{Avx2, Avx512};

    impl Wide for Avx2 {
        type Block = TwoOfEight;
    }

    impl Wide for Avx512 {
        type Block = Sixteen;
    }

    /// Two registers of AVX2.
    #[derive(Clone, Copy)]
    pub(crate) struct TwoOfEight(__m256, __m256);

    /// `f` of both halves.
    macro_rules! both {
        ($f:expr, $($of:expr),+) => { TwoOfEight($f($($of.0),+), $f($($of.1),+)) };
    }

    // SAFETY of every block below: the trait's contract promises a processor with AVX2 and FMA, and a `Lane` is
    // sixteen numbers on a boundary of 64 bytes.
    impl Block for TwoOfEight {
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: as above.
            unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(from: &Lane) -> Self {
            let from = from.0.as_ptr();
            // SAFETY: as above.
            unsafe { Self(_mm256_load_ps(from), _mm256_load_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: &mut Lane) {
            let to = to.0.as_mut_ptr();
            // SAFETY: as above.
            unsafe {
                _mm256_store_ps(to, self.0);
                _mm256_store_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_add_ps, self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_sub_ps, self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_mul_ps, self, other) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_fmadd_ps, self, a, b) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_min_ps, self, other) }
        }
        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { both!(_mm256_max_ps, self, other) }
        }
        #[inline(always)]
        unsafe fn below(self, other: Self) -> u32 {
            // SAFETY: as above.
            let TwoOfEight(low, high) = unsafe { both!(_mm256_cmp_ps::<_CMP_LT_OQ>, self, other) };
            // SAFETY: as above.
            unsafe { (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u32 }
        }
        #[inline(always)]
        unsafe fn add_unless(self, codes: Self, code: Self, more: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let differ = both!(_mm256_cmp_ps::<_CMP_NEQ_UQ>, codes, code);
                self.add(both!(_mm256_and_ps, differ, more))
            }
        }
        #[inline(always)]
        unsafe fn if_nan(self, other: Self, x: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let are = both!(_mm256_cmp_ps::<_CMP_UNORD_Q>, self, self);
                both!(_mm256_blendv_ps, x, other, are)
            }
        }
        #[inline(always)]
        unsafe fn exp2(self) -> Self {
            // SAFETY: as above.
            unsafe {
                let y = self.max(Self::splat(LEAST_EXPONENT));
                let shifted = y.add(Self::splat(ROUND));
                let r = y.sub(shifted.sub(Self::splat(ROUND)));
                let mut p = Self::splat(EXP2[0]);
                for &c in &EXP2[1..] {
                    p = p.mul_add(r, Self::splat(c));
                }
                let power = |shifted| {
                    let bits =
                        _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(bits))
                };
                p.mul(both!(power, shifted))
            }
        }
    }

    /// One register of AVX-512.
    #[derive(Clone, Copy)]
    pub(crate) struct Sixteen(__m512);

    // SAFETY of every block below: the trait's contract promises a processor with AVX-512 F and DQ, and a `Lane` is
    // sixteen numbers on a boundary of 64 bytes.
    impl Block for Sixteen {
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: &Lane) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_load_ps(from.0.as_ptr()) })
        }
        #[inline(always)]
        unsafe fn store(self, to: &mut Lane) {
            // SAFETY: as above.
            unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_min_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn below(self, other: Self) -> u32 {
            // SAFETY: as above.
            unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0).into() }
        }
        #[inline(always)]
        unsafe fn add_unless(self, codes: Self, code: Self, more: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let differ = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(codes.0, code.0);
                Self(_mm512_mask_add_ps(self.0, differ, self.0, more.0))
            }
        }
        #[inline(always)]
        unsafe fn if_nan(self, other: Self, x: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let are = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
                Self(_mm512_mask_blend_ps(are, x.0, other.0))
            }
        }
        #[inline(always)]
        unsafe fn exp2(self) -> Self {
            // SAFETY: as above.
            unsafe {
                let y = self.max(Self::splat(LEAST_EXPONENT));
                let shifted = y.add(Self::splat(ROUND));
                let r = y.sub(shifted.sub(Self::splat(ROUND)));
                let mut p = Self::splat(EXP2[0]);
                for &c in &EXP2[1..] {
                    p = p.mul_add(r, Self::splat(c));
                }
                let bits = _mm512_add_epi32(_mm512_castps_si512(shifted.0), _mm512_set1_epi32(127));
                p.mul(Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(bits))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::marker::PhantomData;

    use super::*;
    use crate::simd::{Isa, dispatch};

    /// # Safety
    /// That of [`Block`].
    #[inline(always)]
    unsafe fn powers<L: Wide>(_: PhantomData<L>, x: &Lane, out: &mut Lane) {
        // SAFETY: the caller's.
        unsafe { L::Block::load(x).exp2().store(out) }
    }

    dispatch! {
        fn powers_on(x: &Lane, out: &mut Lane) = powers
    }

    #[test]
    fn powers_of_two_are_those_of_double_precision() {
        for isa in Isa::available() {
            for k in 0..4_000 {
                let mut x = Lane::splat(0.0);
                x.0.iter_mut().enumerate().for_each(|(l, x)| *x = -0.0313 * (k + 7 * l) as f32);
                let mut out = x;
                powers_on(isa, &x, &mut out);
                for (x, found) in x.0.iter().zip(out.0) {
                    let expected = f64::from(x.max(LEAST_EXPONENT)).exp2();
                    let error = (f64::from(found) - expected).abs() / expected;
                    assert!(error < 3e-7, "{isa:?}: {x} {found} {expected}");
                }
            }
        }
    }
}
