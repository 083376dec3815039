//! Pearson's chi-square test.
//!
//! ```text
//! χ² = Σ_cells (observed − expected)² / expected,   cells − 1 degrees of freedom
//! ```
//!
//! # References
//! Press, Teukolsky, Vetterling and Flannery, *Numerical Recipes*, 3rd edition, 2007, §6.1 and §6.2.

/// Merges (expected, observed) cells, rarest first, until each expects 5; a remainder joins the last.
pub(super) fn merge_cells(mut cells: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (expected, observed) in cells {
        open = (open.0 + expected, open.1 + observed);
        if open.0 >= 5.0 {
            merged.push(open);
            open = (0.0, 0.0);
        }
    }
    if let Some(last) = merged.last_mut() {
        last.0 += open.0;
        last.1 += open.1;
    }
    merged
}

/// Probability that a chi-square variable with `freedom` degrees of freedom is at least `statistic`:
/// the regularised upper incomplete gamma function `Q(freedom / 2, statistic / 2)`.
///
/// By its series below `a + 1` and by Lentz's continued fraction above (Press et al., *Numerical
/// Recipes*, 3rd edition, §6.2), to about 1e-12.
///
/// ```
/// use prob_core::laws::chi_square_p_value;
/// // With two degrees of freedom it is an exponential distribution.
/// assert!((chi_square_p_value(10.0, 2) - (-5f64).exp()).abs() < 1e-15);
/// assert!((chi_square_p_value(3.841458820694124, 1) - 0.05).abs() < 1e-12);
/// ```
pub fn chi_square_p_value(statistic: f64, freedom: usize) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, statistic / 2.0);
    if x.is_nan() {
        return 0.0;
    }
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - front * sum).max(0.0);
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for n in 1..100_000 {
        let n = f64::from(n);
        let an = n * (a - n);
        b += 2.0;
        let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
        d = 1.0 / guard(an * d + b);
        c = guard(b + an / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    front * fraction
}

/// The statistic whose p-value is `alpha`: by bisection of [`chi_square_p_value`], to rounding.
///
/// # Panics
/// Unless `0 < alpha < 1`.
///
/// ```
/// use prob_core::laws::chi_square_critical_value;
/// assert!((chi_square_critical_value(0.05, 10) - 18.307038053275).abs() < 1e-9);
/// ```
pub fn chi_square_critical_value(alpha: f64, freedom: usize) -> f64 {
    assert!(alpha > 0.0 && alpha < 1.0, "alpha {alpha}, expected between 0 and 1");
    let (mut low, mut high) = (0.0, freedom as f64 + 1.0);
    while chi_square_p_value(high, freedom) > alpha {
        high *= 2.0;
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if chi_square_p_value(middle, freedom) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// log Γ(a) for a > 0 by Lanczos' approximation (g = 7, nine terms), to about 1e-15 relative.
fn ln_gamma(a: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if a < 0.5 {
        // Reflection keeps the series where it converges.
        let sine = (std::f64::consts::PI * a).sin();
        return (std::f64::consts::PI / sine).ln() - ln_gamma(1.0 - a);
    }
    let a = a - 1.0;
    let sum: f64 = FIRST + TERMS.iter().zip(1..).map(|(c, k)| c / (a + f64::from(k))).sum::<f64>();
    let t = a + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (a + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chi_square_p_values_match_published_quantiles() {
        // Quantiles from the usual tables (R: qchisq(p, k, lower.tail = FALSE)).
        for (statistic, freedom, p) in [
            (6.634_896_601_021_213, 1, 0.01),
            (18.307_038_053_275_146, 10, 0.05),
            (124.342_113_404_004_07, 100, 0.05),
            (40.521_828_189_389_93, 7, 1e-6),
        ] {
            let got = chi_square_p_value(statistic, freedom);
            assert!((got / p - 1.0).abs() < 1e-4, "{statistic} on {freedom}: {got} for {p}");
        }
        // Even degrees have a closed form: exp(−x) Σ_{k < a} x^k / k!.
        for (statistic, freedom) in [(0.3, 4), (7.0, 6), (30.0, 8), (80.0, 20)] {
            let (x, a) = (statistic / 2.0, freedom / 2);
            let (mut term, mut sum) = (1.0, 1.0);
            for k in 1..a {
                term *= x / k as f64;
                sum += term;
            }
            let want = f64::exp(-x) * sum;
            let got = chi_square_p_value(statistic, freedom);
            assert!((got / want - 1.0).abs() < 1e-11, "{statistic} on {freedom}: {got} for {want}");
        }
        assert_eq!(chi_square_p_value(0.0, 3), 1.0);
        assert_eq!(chi_square_p_value(f64::NAN, 3), 0.0);
    }

    #[test]
    fn ln_gamma_matches_factorials_and_the_half() {
        let mut factorial = 1.0f64;
        for n in 1..20 {
            assert!((ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-12, "{n}");
            factorial *= f64::from(n);
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-14);
        assert!((ln_gamma(0.25) - 3.625_609_908_221_908f64.ln()).abs() < 1e-13);
    }

    #[test]
    fn cells_are_merged_until_five_are_expected() {
        let merged = merge_cells(vec![(1.0, 0.0), (20.0, 21.0), (4.5, 9.0), (0.2, 1.0)]);
        assert_eq!(merged, [(5.7, 10.0), (20.0, 21.0)]);
        assert!(merge_cells(vec![(1.0, 0.0), (2.0, 3.0)]).is_empty());
    }
}
