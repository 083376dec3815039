//! Vector lanes with run-time detection.
//!
//! A kernel is written once, as an `#[inline(always)]` function generic over [`Lanes`], and compiled
//! once per instruction set behind a `#[target_feature]` wrapper (see [`dispatch!`]). The `f64`
//! instance exists so that the very code that runs fast in f32 can be checked against central
//! differences in f64.
//!
//! A lane type's methods are `unsafe` because they may only run on a processor that has its
//! instructions; the wrappers establish that.

use core::fmt::Debug;
use core::ops::AddAssign;

/// Hidden units are padded to a multiple of this many, whatever the instruction set, so that every
/// lane type divides a row.
pub(crate) const PAD: usize = 16;

/// Rows, or labels, that plain Rust computes at a time; every register width divides it.
pub(crate) const LANES: usize = 16;

/// One number in each lane.
pub(crate) type Lane = [f32; LANES];

/// A scalar type that kernels compute in.
pub(crate) trait Real:
    Copy + Default + AddAssign + Send + Sync + PartialEq + Debug + 'static
{
    /// Whether the scalar is exactly zero (either sign).
    fn is_zero(self) -> bool;
}

impl Real for f32 {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

#[cfg(test)]
impl Real for f64 {
    #[inline(always)]
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

/// A register of `N` scalars.
///
/// # Safety
/// Every method may only be called on a processor that supports the instructions of the
/// implementing type; pointers must be valid for `N` scalars (any alignment).
pub(crate) trait Lanes: Copy {
    type Elem: Real;
    const N: usize;

    unsafe fn splat(value: Self::Elem) -> Self;
    unsafe fn load(from: *const Self::Elem) -> Self;
    unsafe fn store(self, to: *mut Self::Elem);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * a + b`, rounded once where the processor can.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// `b - self * a`, rounded once where the processor can.
    unsafe fn neg_mul_add(self, a: Self, b: Self) -> Self;
    /// The larger one of it and zero; NaN stays NaN.
    unsafe fn relu(self) -> Self;
    /// Itself where `of` is positive or NaN, and zero elsewhere.
    unsafe fn where_positive(self, of: Self) -> Self;
    /// Sum of the lanes, in a fixed order.
    unsafe fn sum(self) -> Self::Elem;
    /// `1 / (1 + exp(-self))`; NaN stays NaN.
    unsafe fn sigmoid(self) -> Self;
    /// `tanh(self)`, to a few units of f32's last place at 1; NaN stays NaN.
    unsafe fn tanh(self) -> Self;

    /// `to[k][r] = from[r][k]` for [`LANES`] rows of as many scalars.
    ///
    /// # Safety
    /// As above; each of `from` is valid for [`LANES`] reads, `to` for [`LANES`] times as many writes.
    #[inline(always)]
    unsafe fn transpose(from: &[*const Self::Elem; LANES], to: *mut Self::Elem) {
        for (r, from) in from.iter().enumerate() {
            for k in 0..LANES {
                // SAFETY: the caller's.
                unsafe { *to.add(k * LANES + r) = *from.add(k) };
            }
        }
    }
}

/// Coefficients of the f32 exponential: exp(r) for |r| <= ln(2)/2 as a degree-5 minimax polynomial
/// (Cephes `expf`), and ln(2) in two parts for an exact reduction.
mod exp {
    pub(super) const LOG2_E: f32 = core::f32::consts::LOG2_E;
    pub(super) const LN2_HI: f32 = 355.0 / 512.0;
    pub(super) const LN2_LO: f32 = -2.121_944_4e-4;
    pub(super) const C: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5.000_000_3e-1,
    ];
    /// Beyond these the sigmoid is 0 or 1 to the last bit of f32 that is not subnormal.
    pub(super) const MIN: f32 = -87.0;
    pub(super) const MAX: f32 = 87.0;
}

/// Plain Rust, any processor: eight scalars that the compiler may put into whatever registers the
/// build's baseline has. No fused multiply-add, which would be a library call there.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

macro_rules! map {
    ($a:expr, $f:expr) => {{
        let mut out = $a;
        for lane in out.iter_mut() {
            *lane = $f(*lane);
        }
        out
    }};
    ($a:expr, $b:expr, $f:expr) => {{
        let mut out = $a;
        for (lane, &other) in out.iter_mut().zip(&$b) {
            *lane = $f(*lane, other);
        }
        out
    }};
}

/// The scalar form of the vector exponential, the same steps without fused operations. The argument
/// is clamped to ±87.
#[inline(always)]
pub(crate) fn exp_f32(x: f32) -> f32 {
    // A NaN stays one.
    let y = x.clamp(exp::MIN, exp::MAX);
    // 1.5 * 2^23: adding it rounds to an integer, held in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = y * exp::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = y - k * exp::LN2_HI - k * exp::LN2_LO;
    let mut p = exp::C[0];
    for &c in &exp::C[1..] {
        p = p * r + c;
    }
    let p = p * (r * r) + r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * scale
}

/// `tanh(x) = 2 σ(2x) − 1`.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
unsafe fn tanh_by_sigmoid<L: Lanes<Elem = f32>>(x: L) -> L {
    // SAFETY: the caller's.
    unsafe { x.add(x).sigmoid().mul_add(L::splat(2.0), L::splat(-1.0)) }
}

/// The scalar form of the vector sigmoid.
#[inline(always)]
pub(crate) fn sigmoid_f32(x: f32) -> f32 {
    1.0 / (1.0 + exp_f32(-x))
}

impl Lanes for Portable {
    type Elem = f32;
    const N: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for eight scalars.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer is valid for eight scalars.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(map!(self.0, other.0, |a, b| a + b))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(map!(self.0, other.0, |a, b| a * b))
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(map!(map!(self.0, a.0, |x, y| x * y), b.0, |x, y| x + y))
    }
    #[inline(always)]
    unsafe fn neg_mul_add(self, a: Self, b: Self) -> Self {
        Self(map!(map!(self.0, a.0, |x, y| x * y), b.0, |x: f32, y: f32| y - x))
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(map!(self.0, |x: f32| if x <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn where_positive(self, of: Self) -> Self {
        Self(map!(self.0, of.0, |x: f32, of: f32| if of <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    unsafe fn sigmoid(self) -> Self {
        Self(map!(self.0, sigmoid_f32))
    }
    #[inline(always)]
    unsafe fn tanh(self) -> Self {
        // SAFETY: plain Rust.
        unsafe { tanh_by_sigmoid(self) }
    }
}

/// Eight doubles in plain Rust: the instance that laws are checked on.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct Double([f64; 8]);

#[cfg(test)]
impl Lanes for Double {
    type Elem = f64;
    const N: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller's pointer is valid for eight scalars.
        Self(unsafe { from.cast::<[f64; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller's pointer is valid for eight scalars.
        unsafe { to.cast::<[f64; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(map!(self.0, other.0, |a, b| a + b))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(map!(self.0, other.0, |a, b| a * b))
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(map!(map!(self.0, a.0, |x, y| x * y), b.0, |x, y| x + y))
    }
    #[inline(always)]
    unsafe fn neg_mul_add(self, a: Self, b: Self) -> Self {
        Self(map!(map!(self.0, a.0, |x, y| x * y), b.0, |x: f64, y: f64| y - x))
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(map!(self.0, |x: f64| if x <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn where_positive(self, of: Self) -> Self {
        Self(map!(self.0, of.0, |x: f64, of: f64| if of <= 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn sum(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    unsafe fn sigmoid(self) -> Self {
        Self(map!(self.0, |x: f64| 1.0 / (1.0 + (-x).exp())))
    }
    #[inline(always)]
    unsafe fn tanh(self) -> Self {
        Self(map!(self.0, f64::tanh))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::{LANES, Lanes, exp, tanh_by_sigmoid};

    /// AVX2 with FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    // SAFETY of every block below: the trait's contract promises a processor with AVX2 and FMA, and
    // pointers valid for eight scalars.
    impl Lanes for Avx2 {
        type Elem = f32;
        const N: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        unsafe fn neg_mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_fnmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: as above. The second operand is what a NaN gives.
            Self(unsafe { _mm256_max_ps(_mm256_setzero_ps(), self.0) })
        }
        #[inline(always)]
        unsafe fn where_positive(self, of: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let mask = _mm256_cmp_ps::<_CMP_NLE_UQ>(of.0, _mm256_setzero_ps());
                Self(_mm256_and_ps(self.0, mask))
            }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: as above.
            unsafe {
                let half =
                    _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1));
                let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
                _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)))
            }
        }
        #[inline(always)]
        unsafe fn sigmoid(self) -> Self {
            // SAFETY: as above.
            unsafe {
                let y = _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0));
                // min/max return their second operand when one is NaN, so a NaN survives.
                let y = _mm256_max_ps(_mm256_set1_ps(exp::MIN), y);
                let y = _mm256_min_ps(_mm256_set1_ps(exp::MAX), y);
                let round = _mm256_set1_ps(12_582_912.0);
                let shifted = _mm256_fmadd_ps(y, _mm256_set1_ps(exp::LOG2_E), round);
                let k = _mm256_sub_ps(shifted, round);
                let r = _mm256_fnmadd_ps(k, _mm256_set1_ps(exp::LN2_HI), y);
                let r = _mm256_fnmadd_ps(k, _mm256_set1_ps(exp::LN2_LO), r);
                let mut p = _mm256_set1_ps(exp::C[0]);
                for &c in &exp::C[1..] {
                    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
                }
                let one = _mm256_set1_ps(1.0);
                let p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), one);
                let bias = _mm256_set1_epi32(127);
                let bits = _mm256_add_epi32(_mm256_castps_si256(shifted), bias);
                let scale = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
                Self(_mm256_div_ps(one, _mm256_fmadd_ps(p, scale, one)))
            }
        }
        #[inline(always)]
        unsafe fn tanh(self) -> Self {
            // SAFETY: as above.
            unsafe { tanh_by_sigmoid(self) }
        }
    }

    /// AVX-512 foundation and DQ.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    // SAFETY of every block below: the trait's contract promises a processor with AVX-512 F and DQ,
    // and pointers valid for sixteen scalars.
    impl Lanes for Avx512 {
        type Elem = f32;
        const N: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
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
        unsafe fn neg_mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fnmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: as above. The second operand is what a NaN gives.
            Self(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
        }
        #[inline(always)]
        unsafe fn where_positive(self, of: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let mask = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(of.0, _mm512_setzero_ps());
                Self(_mm512_maskz_mov_ps(mask, self.0))
            }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: as above.
            unsafe { _mm512_reduce_add_ps(self.0) }
        }
        #[inline(always)]
        unsafe fn transpose(from: &[*const f32; LANES], to: *mut f32) {
            // SAFETY: as above.
            unsafe {
                let mut rows = [_mm512_setzero_ps(); LANES];
                for (row, &from) in rows.iter_mut().zip(from) {
                    *row = _mm512_loadu_ps(from);
                }
                // Of four rows: in the quarter q of register j, their scalars 4 q + j.
                for four in rows.as_chunks_mut::<4>().0 {
                    let [a, b, c, d] = *four;
                    let low = |a, b| _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                    let high = |a, b| _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                    let (ab, cd) = ([low(a, b), high(a, b)], [low(c, d), high(c, d)]);
                    *four = [
                        _mm512_castpd_ps(_mm512_unpacklo_pd(ab[0], cd[0])),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(ab[0], cd[0])),
                        _mm512_castpd_ps(_mm512_unpacklo_pd(ab[1], cd[1])),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(ab[1], cd[1])),
                    ];
                }
                for j in 0..4 {
                    let [a, b, c, d] = [rows[j], rows[4 + j], rows[8 + j], rows[12 + j]];
                    let (even, odd) =
                        (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                    let (even_2, odd_2) =
                        (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
                    let quarters = [
                        _mm512_shuffle_f32x4::<0x88>(even, even_2),
                        _mm512_shuffle_f32x4::<0x88>(odd, odd_2),
                        _mm512_shuffle_f32x4::<0xdd>(even, even_2),
                        _mm512_shuffle_f32x4::<0xdd>(odd, odd_2),
                    ];
                    for (q, quarter) in quarters.into_iter().enumerate() {
                        _mm512_storeu_ps(to.add((4 * q + j) * LANES), quarter);
                    }
                }
            }
        }
        #[inline(always)]
        unsafe fn sigmoid(self) -> Self {
            // SAFETY: as above.
            unsafe {
                let y = _mm512_xor_ps(self.0, _mm512_set1_ps(-0.0));
                // min/max return their second operand when one is NaN, so a NaN survives.
                let y = _mm512_max_ps(_mm512_set1_ps(exp::MIN), y);
                let y = _mm512_min_ps(_mm512_set1_ps(exp::MAX), y);
                let round = _mm512_set1_ps(12_582_912.0);
                let shifted = _mm512_fmadd_ps(y, _mm512_set1_ps(exp::LOG2_E), round);
                let k = _mm512_sub_ps(shifted, round);
                let r = _mm512_fnmadd_ps(k, _mm512_set1_ps(exp::LN2_HI), y);
                let r = _mm512_fnmadd_ps(k, _mm512_set1_ps(exp::LN2_LO), r);
                let mut p = _mm512_set1_ps(exp::C[0]);
                for &c in &exp::C[1..] {
                    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
                }
                let one = _mm512_set1_ps(1.0);
                let p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), one);
                let bits = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
                let scale = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 23));
                Self(_mm512_div_ps(one, _mm512_fmadd_ps(p, scale, one)))
            }
        }
        #[inline(always)]
        unsafe fn tanh(self) -> Self {
            // SAFETY: as above.
            unsafe { tanh_by_sigmoid(self) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// The instruction set that f32 kernels run on, chosen once per call from what the processor has. They
/// round differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust for the build's baseline.
    Portable,
    /// AVX2 and FMA, 8 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F and DQ, 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The widest instruction set of this processor.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Scalars in one of its registers.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Portable => Portable::N,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::N,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::N,
        }
    }

    /// Every instruction set that this processor can run.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "pushed to on x86"))]
        let mut sets = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                sets.push(Self::Avx512);
            }
        }
        sets
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }
}

/// Defines `fn $name(isa, args..)` that runs `$body::<L>(args..)` compiled for `isa`.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $ty),*) $(-> $ret)? {
            use $crate::simd as s;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: this function is compiled for, and only called with, AVX2 and FMA.
                unsafe { $body(core::marker::PhantomData::<s::Avx2>, $($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: this function is compiled for, and only called with, AVX-512 F and DQ.
                unsafe { $body(core::marker::PhantomData::<s::Avx512>, $($arg),*) }
            }
            match isa {
                // SAFETY: plain Rust, any processor.
                s::Isa::Portable => unsafe {
                    $body(core::marker::PhantomData::<s::Portable>, $($arg),*)
                },
                // SAFETY: `Isa::detect` and `Isa::available` name a set only where it was detected.
                #[cfg(target_arch = "x86_64")]
                s::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: likewise.
                #[cfg(target_arch = "x86_64")]
                s::Isa::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use dispatch;

/// A zeroed buffer that starts on a cache line, so that no vector load straddles two.
pub(crate) struct Aligned<E> {
    storage: Vec<E>,
    start: usize,
    len: usize,
}

impl<E: Real> Aligned<E> {
    pub(crate) fn zeros(len: usize) -> Self {
        let slack = 64 / size_of::<E>();
        let storage: Vec<E> = crate::memory::zeros(len + slack);
        // `align_offset` may give up (it says usize::MAX); alignment is for speed alone.
        let start = storage.as_ptr().align_offset(64).min(slack);
        Self { storage, start, len }
    }
}

impl<E> core::ops::Deref for Aligned<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl<E> core::ops::DerefMut for Aligned<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use core::marker::PhantomData;

    use super::*;

    /// # Safety
    /// The contract of [`Lanes`].
    #[inline(always)]
    unsafe fn transposed<L: Lanes<Elem = f32>>(_: PhantomData<L>, from: &[f32], to: &mut [f32]) {
        let rows: [*const f32; LANES] = core::array::from_fn(|r| from[r * LANES..].as_ptr());
        assert!(from.len() == LANES * LANES && to.len() == from.len());
        // SAFETY: the caller's; the lengths were checked.
        unsafe { L::transpose(&rows, to.as_mut_ptr()) }
    }

    /// # Safety
    /// The contract of [`Lanes`].
    #[inline(always)]
    unsafe fn positive<L: Lanes<Elem = f32>>(_: PhantomData<L>, x: &[f32], to: [&mut [f32]; 2]) {
        assert!(x.len() >= L::N && to.iter().all(|to| to.len() >= L::N));
        // SAFETY: the caller's; the lengths were checked.
        unsafe {
            let x = L::load(x.as_ptr());
            x.relu().store(to[0].as_mut_ptr());
            L::splat(2.0).where_positive(x).store(to[1].as_mut_ptr());
        }
    }

    dispatch! {
        fn transposed_on(from: &[f32], to: &mut [f32]) = transposed
    }
    dispatch! {
        fn positive_on(x: &[f32], to: [&mut [f32]; 2]) = positive
    }

    #[test]
    fn every_instruction_set_transposes_and_cuts_at_zero() {
        let from: Vec<f32> = (0..LANES * LANES).map(|k| k as f32).collect();
        let x: [f32; LANES] = core::array::from_fn(|k| [-1.0, 0.0, 3.0, f32::NAN][k % 4]);
        for isa in Isa::available() {
            let mut to = vec![0.0; from.len()];
            transposed_on(isa, &from, &mut to);
            for (k, &to) in to.iter().enumerate() {
                assert_eq!(to, from[k % LANES * LANES + k / LANES], "{isa:?}");
            }
            let (mut relu, mut there) = ([0.0; LANES], [0.0; LANES]);
            positive_on(isa, &x, [&mut relu, &mut there]);
            for (relu, there) in relu.chunks(4).zip(there.chunks(4)).take(isa.lanes() / 4) {
                assert!(relu[..3] == [0.0, 0.0, 3.0] && relu[3].is_nan(), "{isa:?}: {relu:?}");
                assert_eq!(there, [0.0, 0.0, 2.0, 2.0], "{isa:?}");
            }
        }
    }
}
