//! Frequencies match `log_prob`.

use burn::tensor::{Device, Int, Tensor};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::chi_square::{chi_square_critical_value, chi_square_p_value, merge_cells};
use super::{Law, LawViolation, enumerate_log_probs, event_tensor, require};
use crate::dist::{to_host, to_host_int};
use crate::traits::Sample;

/// The sampler: a seeded chi-square test of `draws` samples against the enumerated mass of
/// `log_prob`, rejecting at level `alpha` (1e-6 is customary here: with a fixed seed the test either
/// always passes or never does, and a right sampler has one chance in a million to fail at birth).
///
/// # Errors
/// When the frequencies do not match, or an impossible event was drawn.
pub fn sampler<M>(
    model: &M,
    variables: usize,
    states: usize,
    device: &Device,
    draws: usize,
    seed: u64,
    alpha: f64,
) -> Law
where
    M: Sample<Event = Tensor<2, Int>>,
{
    let log_probs = enumerate_log_probs(variables, states, |rows| {
        to_host(&model.log_prob(event_tensor(rows, variables, device)))
    });
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let symbols = to_host_int(&model.sample(draws, &mut rng));
    let drawn = symbols.len() / variables;
    require("sampler", drawn.abs_diff(draws) as f64, 0.0, || {
        format!("{drawn} samples, {draws} asked for")
    })?;
    let outside = symbols.iter().filter(|&&s| s < 0 || s >= states as i64).count();
    require("sampler", outside as f64, 0.0, || "symbols outside the support".to_owned())?;
    let cell = |event: &[i64]| event.iter().fold(0, |cell, &s| cell * states + s as usize);
    sampler_cells(&log_probs, symbols.chunks_exact(variables).map(cell), alpha)
}

/// [`sampler`] for draws that already are numbers of cells, with the log-probability of each cell.
///
/// Cells are merged, the rarest first, until each expects at least 5 draws. With fewer than two
/// cells left nothing could be tested, which is a violation too, unless one cell has all the mass.
///
/// # Errors
/// When the frequencies do not match, or an impossible cell was drawn.
pub fn sampler_cells(log_probs: &[f64], cells: impl IntoIterator<Item = usize>, alpha: f64) -> Law {
    let mut observed = vec![0u64; log_probs.len()];
    for cell in cells {
        observed[cell] += 1;
    }
    let draws = observed.iter().sum::<u64>() as f64;
    let mut cells: Vec<(f64, f64)> = Vec::with_capacity(log_probs.len());
    for (cell, (&l, &n)) in log_probs.iter().zip(&observed).enumerate() {
        if l == f64::NEG_INFINITY {
            require("sampler", n as f64, 0.0, || format!("impossible cell {cell} was drawn"))?;
        } else {
            cells.push((l.exp() * draws, n as f64));
        }
    }
    if cells.len() == 1 {
        // Certain, and the impossible cells were not drawn.
        return Ok(());
    }
    let merged = merge_cells(cells);
    if merged.len() < 2 {
        return Err(LawViolation {
            law: "sampler",
            detail: format!("{draws} draws are too few: no two cells expect 5 each"),
            gap: f64::NAN,
            allowed: 0.0,
        });
    }
    let statistic: f64 = merged.iter().map(|(e, o)| (o - e).powi(2) / e).sum();
    let freedom = merged.len() - 1;
    let p_value = chi_square_p_value(statistic, freedom);
    if p_value >= alpha {
        return Ok(());
    }
    Err(LawViolation {
        law: "sampler",
        detail: format!("chi-square {statistic} on {freedom} degrees of freedom, p = {p_value:e}"),
        gap: statistic,
        allowed: chi_square_critical_value(alpha, freedom),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_cell_or_too_few_draws_are_violations() {
        let half = 0.5f64.ln();
        let impossible = [half, half, f64::NEG_INFINITY];
        assert!(sampler_cells(&impossible, (0..1000).map(|n| n % 2), 1e-6).is_ok());
        let drawn = (0..1000).map(|n| if n == 7 { 2 } else { n % 2 });
        assert!(sampler_cells(&impossible, drawn, 1e-6).unwrap_err().detail.contains("impossible"));
        let few = sampler_cells(&[half, half], [0, 1, 0], 1e-6).unwrap_err();
        assert!(few.detail.contains("too few"), "{few}");
    }

    #[test]
    fn a_violation_says_what_the_statistic_may_be() {
        let half = 0.5f64.ln();
        let skewed = (0..1000).map(|n| usize::from(n % 10 == 0));
        let violation = sampler_cells(&[half, half], skewed, 1e-6).unwrap_err();
        // (400² / 500) twice, against the 1e-6 quantile at one degree of freedom.
        assert_eq!(violation.gap, 640.0);
        assert!((violation.allowed - 23.928_127).abs() < 1e-5, "{violation}");
    }
}
