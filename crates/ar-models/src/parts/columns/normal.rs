//! How much of a standard normal distribution lies where, in logarithms: by its tail, which is erfc's and behind its end a
//! series (Abramowitz and Stegun, 7.1.23).
//!
//! exp, ln and erfc are those of the crate `libm`, which makes them of operations that IEEE 754 defines, so that an entropy
//! coder finds the same on every machine.

/// log(1 − e^x) for x ≤ 0.
pub(crate) fn log_1m_exp(x: f64) -> f64 {
    if x < -core::f64::consts::LN_2 {
        libm::log1p(-libm::exp(x))
    } else {
        libm::log(-libm::expm1(x))
    }
}

/// The logarithm of what a standard normal distribution has between two numbers.
pub(crate) fn log_between(low: f64, high: f64) -> f64 {
    if high < 0.0 {
        log_between(-high, -low)
    } else if low > 0.0 {
        let tail = log_tail(low);
        tail + log_1m_exp(log_tail(high) - tail)
    } else {
        let rest = libm::exp(log_tail(-low)) + libm::exp(log_tail(high));
        libm::log1p(-rest)
    }
}

/// The logarithm of what a standard normal distribution has above u ≥ 0.
pub(crate) fn log_tail(u: f64) -> f64 {
    const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;
    if u < 30.0 {
        return libm::log(0.5 * libm::erfc(u * core::f64::consts::FRAC_1_SQRT_2));
    }
    let v = 1.0 / (u * u);
    -0.5 * u * u - HALF_LN_TAU - libm::log(u) + libm::log1p(-v + 3.0 * v * v - 15.0 * v * v * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_gaussian_goes_on_where_erfc_ends() {
        // R: pnorm(c(5, 29.9, 30.1, 100), lower.tail = FALSE, log.p = TRUE).
        for (u, expected) in [(5.0, -15.064998393988727), (100.0, -5005.524208637)] {
            assert!((log_tail(u) - expected).abs() < 1e-8 * expected.abs(), "{u}: {}", log_tail(u));
        }
        let slope = log_tail(30.0 + 1e-9) - log_tail(30.0 - 1e-9);
        assert!((slope + 2e-9 * 30.033).abs() < 1e-9, "{slope}");
    }
}
