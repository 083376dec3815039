//! Elementary functions of sixteen numbers at a time, in plain Rust without branches, which the compiler puts into
//! whatever registers there are. NaN stays NaN.

pub(crate) use crate::simd::{LANES, Lane};
use crate::simd::{Lanes, exp_f32};

/// `f` of each lane.
#[inline(always)]
pub(crate) fn each(f: impl Fn(usize) -> f32) -> Lane {
    let mut out = [0.0; LANES];
    for (k, out) in out.iter_mut().enumerate() {
        *out = f(k);
    }
    out
}

/// `lane · gain + shift`, register by register. (Of a plain loop over many of them the compiler makes one that takes the
/// same lane of sixteen at a time, each from afar; so too below.)
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn affine<L: Lanes<Elem = f32>>(lane: &mut Lane, gain: f32, shift: f32) {
    for part in lane.chunks_exact_mut(L::N) {
        // SAFETY: the caller's; a part is a register.
        unsafe {
            let x = L::load(part.as_ptr()).mul(L::splat(gain)).add(L::splat(shift));
            x.store(part.as_mut_ptr());
        }
    }
}

/// `lane · by`.
///
/// # Safety
/// The contract of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn scale<L: Lanes<Elem = f32>>(lane: &mut Lane, by: &Lane) {
    for (part, by) in lane.chunks_exact_mut(L::N).zip(by.chunks_exact(L::N)) {
        // SAFETY: the caller's; a part is a register.
        unsafe { L::load(part.as_ptr()).mul(L::load(by.as_ptr())).store(part.as_mut_ptr()) };
    }
}

/// The larger one; NaN where either is.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// e^x for |x| up to 87, beyond which it is that of 87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    exp_f32(x)
}

/// ln x of a finite x that is at least the least normal number (Cephes `logf`).
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // x = m 2^e, with m from √½ to √2.
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let square = m * m;
    let mut p = 7.037_683_6e-2;
    p = p * m - 1.151_461e-1;
    p = p * m + 1.167_699_9e-1;
    p = p * m - 1.242_014_1e-1;
    p = p * m + 1.424_932_3e-1;
    p = p * m - 1.666_805_7e-1;
    p = p * m + 2.000_071_5e-1;
    p = p * m - 2.499_999_4e-1;
    p = p * m + 3.333_333e-1;
    let low = p * m * square + e * -2.121_944_4e-4 - 0.5 * square;
    let ln = m + low + e * 0.693_359_4;
    if x.is_nan() { x } else { ln }
}

/// 1 − e^−d for d ≥ 0, to a few units of its last place however small it is.
#[inline(always)]
pub(crate) fn one_minus_exp(d: f32, exp_of_minus_d: f32) -> f32 {
    // The polynomial of the exponential, which is exact enough below half of ln 2.
    let r = -d;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.000_000_3e-1;
    let near = d - p * r * r;
    let far = 1.0 - exp_of_minus_d;
    if d < 0.34 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_are_those_of_double_precision() {
        let near = |found: f32, expected: f64, what: &str, x: f64| {
            let error = (f64::from(found) - expected).abs() / expected.abs().max(1e-30);
            assert!(error < 3e-7, "{what}({x}): {found} and {expected}");
        };
        for k in -8_000..8_000 {
            let x = f64::from(k) * 0.01;
            near(exp(x as f32), f64::from(x as f32).exp(), "exp", x);
            let y = f64::from((x * 0.9).exp() as f32);
            if k != 0 {
                near(ln(y as f32), y.ln(), "ln", y);
            }
            let d = f64::from((x * 0.4).exp() as f32);
            near(one_minus_exp(d as f32, exp(-d as f32)), -(-d).exp_m1(), "1 - exp", d);
        }
        assert_eq!(ln(1.0), 0.0);
        assert!(
            [exp(f32::NAN), ln(f32::NAN), larger(f32::NAN, 0.0), larger(0.0, f32::NAN)]
                .iter()
                .all(|x| x.is_nan())
        );
    }
}
