//! A weighted sum of logistic distributions, each with its mass gathered on the cells of a grid.
//!
//! ```text
//! p(x) = Σ_k w_k [σ((x + δ/2 − μ_k) / s_k) − σ((x − δ/2 − μ_k) / s_k)]
//! w = softmax(logits),   s_k = exp(log_scale_k),   σ(z) = 1 / (1 + e^−z)
//! ```
//!
//! The cells tile the line, so the sum over the grid is exactly 1. On a bounded grid the first cell takes
//! the whole left tail, with 0 for its lower σ, and the last one the whole right tail, with 1 for its upper
//! σ. A mass is at most 1: ties, spikes and constant columns, where a density has no bound, cost nothing
//! here.
//!
//! # Far from the mean
//! A difference of two numbers next to 1 is 0 in floating point 37 scales away. With a and b for the ends
//! of the cell in scales from the mean,
//!
//! ```text
//! log(σ(b) − σ(a)) = log σ(b) + log σ(−a) + log(1 − e^−(b − a))                  (1)
//! ```
//!
//! because `σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a − b))`. All three terms are at most 0, so nothing cancels.
//! An end at infinity drops its terms. The width b − a is δ / s, computed as that: 10¹⁷ scales out the
//! difference of the ends is 0. From (1), with d = b − a,
//!
//! ```text
//! ∂/∂μ     = (σ(a) − σ(−b)) / s = σ(a) σ(b) (1 − e^−(a + b)) / s                 (2)
//! ∂/∂log s = a σ(a) − b σ(−b) − d / (e^d − 1)                                    (3)
//! ```
//!
//! Log-masses below the floating-point range are that range's half instead: [`LEAST_LOG_MASS`].
//!
//! # References
//! Salimans, Karpathy, Chen and Kingma 2017, PixelCNN++, arXiv 1701.05517, equation 2 and the text
//! after it. log(1 − e^−d): [`log1mexp`].
//!
//! # Deviations from the paper
//! The grid may be unbounded, with any step. The authors' code replaces masses under 1e-5 by the density
//! at the middle of the cell; (1) needs no replacement.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Tensor};
use rand::Rng;

use super::bernoulli::{sigmoid, softplus};
use super::grid::{Grid, Span};
use super::mixture::check_mixture;
use super::{categorical, check_batch, empty_like, float_dtype, from_host, to_host, uniform};
use crate::error::Error;
use crate::logspace::{log1mexp, logsumexp_dim};
use crate::traits::{Density, Sample};

/// What a log-mass that f64 cannot hold is instead. Half of the least number, so that the logarithm of
/// a weight can be added.
pub const LEAST_LOG_MASS: f64 = f64::MIN / 2.0;

/// `log σ(z)`.
fn log_sigmoid(z: f64) -> f64 {
    if z > 0.0 { -(-z).exp().ln_1p() } else { z - z.exp().ln_1p() }
}

/// An interval in scales from the mean: its ends, its width, and the logarithm of that.
struct Ends {
    scale: f64,
    low: f64,
    high: f64,
    width: f64,
    /// `log(1 − e^−width)`.
    log_part: f64,
}

impl Ends {
    fn new(offset: f64, [below, above]: [f64; 2], log_scale: f64) -> Self {
        let scale = log_scale.exp();
        // Two finite numbers may be infinitely apart, and ∞ − ∞ is no end.
        let offset = offset.clamp(f64::MIN, f64::MAX);
        let width = (below + above) / scale;
        Self {
            scale,
            // Subtracted before the division: next to an end this keeps all digits.
            low: (offset - below) / scale,
            high: (offset + above) / scale,
            width,
            log_part: if width < f64::MIN_POSITIVE {
                // 1 − e^−d is d, and d has lost digits or is 0.
                (below + above).ln() - log_scale
            } else {
                log1mexp(-width)
            },
        }
    }

    fn log_mass(&self) -> f64 {
        let sum = log_sigmoid(self.high) + log_sigmoid(-self.low) + self.log_part;
        // Not f64::max, which drops NaN.
        if sum < LEAST_LOG_MASS { LEAST_LOG_MASS } else { sum }
    }
}

/// Log-mass, in nats, of the interval from `offset − reach[0]` to `offset + reach[1]` under a logistic
/// distribution with mean 0: equation (1) of the module. For a cell of the value x under the mean μ,
/// `offset` is x − μ and `reach` is δ/2 on both sides, infinite where a bounded grid ends
/// ([`Grid::reach`]); for neighbouring cells together, their ends.
///
/// Finite, at most 0, and at least [`LEAST_LOG_MASS`], for every finite offset and every reach above 0;
/// exact to a few roundings of the largest term. NaN for NaN. `log_scale` must have an exponential that is
/// finite and above 0.
///
/// ```
/// use prob_core::dist::discretized_logistic::log_mass;
/// // σ(1/2) − σ(−1/2).
/// assert!((log_mass(0.0, [0.5, 0.5], 0.0) + 1.406829).abs() < 1e-6);
/// // The whole left tail, up to the mean.
/// assert_eq!(log_mass(-0.5, [f64::INFINITY, 0.5], 0.0), -2f64.ln());
/// // A thousand million scales away.
/// assert!((log_mass(1e9, [0.5, 0.5], 0.0) + 1e9).abs() < 1.0);
/// ```
pub fn log_mass(offset: f64, reach: [f64; 2], log_scale: f64) -> f64 {
    Ends::new(offset, reach, log_scale).log_mass()
}

/// A log-mass and its slopes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogMassSlopes {
    /// The log-mass, in nats.
    pub log_mass: f64,
    /// Its derivative with respect to the mean μ, per unit of the values.
    pub by_mean: f64,
    /// Its derivative with respect to log s.
    pub by_log_scale: f64,
}

/// [`log_mass`] with its derivatives: equations (2) and (3) of the module. Finite where that is.
///
/// `offset` is x − μ, so the derivative with respect to x is `−by_mean`. For a mixture each component's
/// slopes are weighted by its responsibility `w_k p_k(x) / p(x)`.
///
/// ```
/// use prob_core::dist::discretized_logistic::log_mass_slopes;
/// // Far to the right of the mean the log-mass is about −(x − μ) / s: pulled towards x.
/// let slopes = log_mass_slopes(600.0, [0.5, 0.5], 2f64.ln());
/// assert!((slopes.by_mean - 0.5).abs() < 1e-15);
/// assert!((slopes.by_log_scale - 299.0).abs() < 0.1);
/// ```
pub fn log_mass_slopes(offset: f64, reach: [f64; 2], log_scale: f64) -> LogMassSlopes {
    let ends = Ends::new(offset, reach, log_scale);
    let Ends { scale, low, high, width, .. } = ends;
    // a + b, twice the middle of the interval: not from a and b, which lose it in a wide cell.
    let middle = offset.clamp(f64::MIN, f64::MAX) + 0.5 * (reach[1] - reach[0]);
    let sum = 2.0 * (middle / scale);
    let pull = if reach == [f64::INFINITY; 2] {
        // The whole line, whose mass does not move and whose middle is ∞ − ∞.
        0.0
    } else if sum >= 0.0 {
        sigmoid(low) * sigmoid(high) * -(-sum).exp_m1()
    } else {
        sigmoid(-low) * sigmoid(-high) * sum.exp_m1()
    };
    let spread = times_sigmoid(low) + times_sigmoid(-high) - width_over_expm1(width);
    LogMassSlopes {
        log_mass: ends.log_mass(),
        by_mean: pull / scale,
        by_log_scale: spread.clamp(f64::MIN, f64::MAX),
    }
}

/// `z σ(z)`, 0 at −∞.
fn times_sigmoid(z: f64) -> f64 {
    if z == f64::NEG_INFINITY { 0.0 } else { z * sigmoid(z) }
}

/// `d / (e^d − 1)`, 1 at 0 and 0 at ∞.
fn width_over_expm1(width: f64) -> f64 {
    if width == 0.0 {
        1.0
    } else if width > 800.0 {
        // e^800 is beyond f64, and ∞ / ∞ is no number.
        0.0
    } else {
        width / width.exp_m1()
    }
}

/// The real number that `u` from [0, 1) decides: `μ + s log(u / (1 − u))`, the inverse of the
/// cumulative distribution. The cell that holds it is a draw from the grid ([`Grid::nearest`]).
///
/// ```
/// use prob_core::dist::discretized_logistic::draw;
/// assert_eq!(draw(3.0, 0.0, 0.5), 3.0);
/// assert!(draw(3.0, 0.0, 0.0).is_finite());
/// ```
pub fn draw(mean: f64, log_scale: f64, u: f64) -> f64 {
    let u = open(u);
    mean + log_scale.exp() * (u.ln() - (-u).ln_1p())
}

/// 0 stands for the 2⁻⁵³ above it, whose middle this takes, and 1 is not reached.
fn open(u: f64) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    u.clamp(0.5 * STEP, 1.0 - STEP)
}

/// A real number within `span`, from the logistic distribution given that it is there: the inverse of
///
/// ```text
/// (σ(a + w) − σ(a)) / (σ(b) − σ(a)) = u      for w, the way from the lower end a
/// w = log(1 + c e^−a) − log(1 − c),   c = u σ(b) (1 − e^−(b − a))
/// ```
///
/// An interval left of the mean is mirrored, so that c keeps its digits.
fn draw_within(mean: f64, log_scale: f64, span: &Span, u: f64) -> f64 {
    let reach = [span.below, span.above];
    let Ends { scale, low, high, width, .. } = Ends::new(span.anchor - mean, reach, log_scale);
    let way = |low: f64, high: f64, u: f64| {
        let c = u * sigmoid(high) * -(-width).exp_m1();
        -log_sigmoid(low - c.ln()) - (-c).ln_1p()
    };
    let u = open(u);
    if low + high < 0.0 {
        (span.anchor + span.above) - scale * way(-high, -low, open(1.0 - u))
    } else if low == f64::NEG_INFINITY {
        draw(mean, log_scale, u)
    } else {
        (span.anchor - span.below) + scale * way(low, high, u)
    }
}

/// A batch of mixtures of discretized logistics on one grid. Means, scales, events and the grid are in
/// one unit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use prob_core::{Density, dist::{DiscretizedLogisticMixture, Grid}};
/// let device = Device::default();
/// let row = |values: [f32; 2]| Tensor::<2>::from_data([values], &device);
/// // Two equal components are one: σ(1/2) − σ(−1/2) at the mean.
/// let mixture = DiscretizedLogisticMixture::new(
///     row([0.3, -0.3]), row([4.0, 4.0]), row([0.0, 0.0]), Grid::INTEGERS,
/// ).unwrap();
/// let x = Tensor::from_data([4.0, 1e9, 4.5], &device);
/// let nats: Vec<f32> = mixture.log_prob(x).try_into_vec_as().unwrap();
/// assert!((nats[0] + 1.406829).abs() < 1e-5);
/// assert!(nats[1].is_finite() && nats[1] < -0.9e9);
/// assert_eq!(nats[2], f32::NEG_INFINITY);
/// ```
#[derive(Debug, Clone)]
pub struct DiscretizedLogisticMixture {
    logits: Tensor<2>,
    means: Tensor<2>,
    log_scales: Tensor<2>,
    grid: Grid,
}

impl DiscretizedLogisticMixture {
    /// From unnormalised log-weights, means and logarithms of the scales.
    ///
    /// # Shapes
    /// All three: `[batch, components]`.
    ///
    /// # Errors
    /// When the shapes differ or there are no components; when a logit is NaN or `+inf` or a row of
    /// them all `-inf`; when a mean or log-scale is not finite, or the scale or one over it is not a
    /// number of the parameters' dtype.
    pub fn new(
        logits: Tensor<2>,
        means: Tensor<2>,
        log_scales: Tensor<2>,
        grid: Grid,
    ) -> Result<Self, Error> {
        let most = float_dtype(&log_scales).finfo().max.ln();
        check_mixture(&logits, &means, &log_scales, |s| s.abs() < most)?;
        Ok(Self { logits, means, log_scales, grid })
    }

    /// From parameters that are good by how they were computed; nothing is read back to the host.
    ///
    /// # Shapes
    /// All three: `[batch, components]`.
    pub fn new_unchecked(
        logits: Tensor<2>,
        means: Tensor<2>,
        log_scales: Tensor<2>,
        grid: Grid,
    ) -> Self {
        Self { logits, means, log_scales, grid }
    }

    /// The distribution of `scale · x + shift`, for a `scale` above 0. Masses stay what they are: a
    /// mass has no unit, so there is no Jacobian.
    ///
    /// # Errors
    /// When the grid does not survive it; see [`Grid::affine`].
    pub fn affine(self, scale: f64, shift: f64) -> Result<Self, Error> {
        Ok(Self {
            grid: self.grid.affine(scale, shift)?,
            logits: self.logits,
            means: self.means.mul_scalar(scale).add_scalar(shift),
            log_scales: self.log_scales.add_scalar(scale.ln()),
        })
    }

    /// Where the values lie.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Number of parameter rows.
    pub fn batch(&self) -> usize {
        self.logits.dims()[0]
    }

    /// Log-probability that a value is at least `low` and at most `high`, `[batch]`; `-inf` when no
    /// value of the grid lies there. The ends may be infinite.
    pub fn log_prob_between(&self, low: f64, high: f64) -> Tensor<1> {
        let batch = self.batch();
        if batch == 0 {
            return empty_like(&self.logits);
        }
        let Some(span) = self.grid.span(low, high) else {
            return Tensor::full(
                [batch],
                f64::NEG_INFINITY,
                (&self.logits.device(), self.logits.dtype()),
            );
        };
        let finite = |reach: f64| if reach.is_finite() { reach } else { 0.0 };
        let [from_high, from_low, from_width] = self.log_mass_terms(
            self.means.clone().neg().add_scalar(span.anchor),
            [finite(span.below), finite(span.above)],
        );
        let mut each = self.means.zeros_like();
        if span.above.is_finite() {
            each = each + from_high;
        }
        if span.below.is_finite() {
            each = each + from_low;
        }
        if span.above.is_finite() && span.below.is_finite() {
            each = each + from_width;
        }
        self.mix(each)
    }

    /// Log-probability of a value of at most `x`, `[batch]`: the logarithm of the cumulative
    /// distribution.
    pub fn log_cdf(&self, x: f64) -> Tensor<1> {
        self.log_prob_between(f64::NEG_INFINITY, x)
    }

    /// `n` draws given that the value is at least `low` and at most `high`, ends that may be infinite.
    /// Two uniforms per draw, in row order: one for the component, one for the logistic.
    ///
    /// # Errors
    /// When no value of the grid lies there.
    ///
    /// # Panics
    /// When `n` is not the number of parameter rows, unless there is a single row.
    pub fn sample_between(
        &self,
        low: f64,
        high: f64,
        n: usize,
        rng: &mut dyn Rng,
    ) -> Result<Tensor<1>, Error> {
        let span = self.grid.span(low, high).ok_or(Error::Impossible)?;
        let reach = [span.below, span.above];
        Ok(self.sample_by(n, rng, |logits, means, log_scales, rng| {
            // From weights of at most 1, so that the likeliest component is never lost to overflow.
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let given: Vec<f64> = logits
                .iter()
                .zip(means.iter().zip(log_scales))
                .map(|(l, (m, s))| l - most + log_mass(span.anchor - m, reach, *s))
                .collect();
            let k = categorical::draw(&given, uniform(rng));
            let x = draw_within(means[k], log_scales[k], &span, uniform(rng));
            let cell = self.grid.index(x).clamp(span.first, span.last);
            // The number itself where cells cannot be told apart any more.
            if cell == self.grid.index(x) { self.grid.nearest(x) } else { self.grid.value(cell) }
        }))
    }

    /// One draw per row, from its logits, means and log-scales.
    fn sample_by(
        &self,
        n: usize,
        rng: &mut dyn Rng,
        mut draw: impl FnMut(&[f64], &[f64], &[f64], &mut dyn Rng) -> f64,
    ) -> Tensor<1> {
        let [rows, components] = self.logits.dims();
        check_batch(rows, n);
        let (logits, means) = (to_host(&self.logits), to_host(&self.means));
        let log_scales = to_host(&self.log_scales);
        let draws = (0..n)
            .map(|r| {
                let start = if rows == 1 { 0 } else { r * components };
                let row = start..start + components;
                draw(&logits[row.clone()], &means[row.clone()], &log_scales[row], rng)
            })
            .collect();
        from_host(draws, [n], &self.logits.device(), self.logits.dtype())
    }

    /// `log σ(b)`, `log σ(−a)` and `log(1 − e^−(b − a))` for intervals that reach `below` and `above`
    /// around `offset`, all finite.
    ///
    /// # Shapes
    /// `offset`: `[n, components]`; returns two of that shape and the last `[batch, components]`.
    fn log_mass_terms(&self, offset: Tensor<2>, [below, above]: [f64; 2]) -> [Tensor<2>; 3] {
        let inverse = self.log_scales.clone().neg().exp();
        let high = offset.clone().add_scalar(above) * inverse.clone();
        let low = offset.sub_scalar(below) * inverse;
        let log_width = self.log_scales.clone().neg().add_scalar((below + above).ln());
        [softplus(high.neg()).neg(), softplus(low).neg(), log1mexp_of_log(log_width)]
    }

    /// The mixture of components of these log-masses, `[n, components]` to `[n]`.
    fn mix(&self, each: Tensor<2>) -> Tensor<1> {
        let [n, _] = each.dims();
        let least = float_dtype(&self.logits).finfo().min / 2.0;
        let joint = each.clamp_min(least) + log_softmax(self.logits.clone(), 1);
        logsumexp_dim(joint, 1).reshape([n])
    }

    /// Which of `x` are no value of the grid, to the rounding of its dtype ([`Grid::contains`] says how),
    /// and the numbers of their cells.
    ///
    /// # Shapes
    /// All three: `[n, 1]`.
    fn outside(&self, x: &Tensor<2>) -> (Tensor<2, Bool>, Tensor<2>) {
        let (origin, step) = (self.grid.origin(), self.grid.step());
        let index = x.clone().sub_scalar(origin).div_scalar(step);
        let whole = index.clone().round();
        let tolerance = 4.0 * float_dtype(x).finfo().epsilon / step;
        let allowed = x.clone().abs().add_scalar(origin.abs()).mul_scalar(tolerance);
        let off = (index - whole.clone()).abs().greater(allowed);
        let mut outside = off.bool_or(x.clone().is_finite().bool_not());
        if self.grid.cells().is_some() {
            let beyond = whole.clone().greater_scalar(self.grid.last_index());
            outside = outside.bool_or(whole.clone().lower_scalar(0.0)).bool_or(beyond);
        }
        (outside, whole)
    }
}

/// `log(1 − e^−d)` from log d, with a gradient that is exact at every size of d.
fn log1mexp_of_log(log_width: Tensor<2>) -> Tensor<2> {
    // log((1 − e^−d) / d) = −h + log(sinh(h) / h), h = d/2, by its series in h²: below this d the terms
    // left out are under 1e-17.
    const SERIES_BELOW: f64 = 0.25;
    const SERIES: [f64; 5] =
        [1.0 / 467_775.0, -1.0 / 37_800.0, 1.0 / 2_835.0, -1.0 / 180.0, 1.0 / 6.0];
    let narrow = log_width.clone().lower_scalar(SERIES_BELOW.ln());
    // Each branch sees its own arguments alone, or the other's gradient would be inf · 0. From log d = 7
    // on e^−d is 0 in every dtype.
    let wide = log_width.clone().mask_fill(narrow.clone(), 0.0).clamp_max(7.0).exp();
    let wide = wide.neg().exp().neg().log1p();
    let half = log_width.clone().clamp_max(SERIES_BELOW.ln()).exp().mul_scalar(0.5);
    let square = half.clone().square();
    let mut series = square.clone().mul_scalar(SERIES[0]);
    for coefficient in &SERIES[1..] {
        series = series.add_scalar(*coefficient) * square.clone();
    }
    wide.mask_where(narrow, log_width + series - half)
}

/// An event is `[batch]` of reals; one that is no value of the grid has log-probability `-inf`.
///
/// # Panics
/// When the event's batch is not the parameters', unless there is a single row of parameters.
impl Density for DiscretizedLogisticMixture {
    type Event = Tensor<1>;

    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let [n] = x.dims();
        let [rows, components] = self.logits.dims();
        check_batch(rows, n);
        if n == 0 {
            return empty_like(&self.logits);
        }
        let x = x.cast(self.logits.dtype()).reshape([n, 1]);
        let (outside, whole) = self.outside(&x);
        let x = x.mask_fill(outside.clone(), self.grid.origin());
        let half = 0.5 * self.grid.step();
        let offset = x - self.means.clone(); // [n, components]
        let [mut high, mut low, width] = self.log_mass_terms(offset, [half; 2]);
        let mut width = width.expand([n, components]);
        if self.grid.cells().is_some() {
            // The first cell has no lower end, the last one no upper end, and neither has a width.
            let first = whole.clone().lower_equal_scalar(0.0).expand([n, components]);
            let last = whole.greater_equal_scalar(self.grid.last_index()).expand([n, components]);
            low = low.mask_fill(first.clone(), 0.0);
            high = high.mask_fill(last.clone(), 0.0);
            width = width.mask_fill(first.bool_or(last), 0.0);
        }
        let log_probs = self.mix(high + low + width);
        log_probs.mask_fill(outside.reshape([n]), f64::NEG_INFINITY)
    }
}

/// Two uniforms per draw, in row order: one for the component, one for the logistic, whose cell is the
/// draw.
///
/// # Panics
/// When `n` is not the number of parameter rows, unless there is a single row.
impl Sample for DiscretizedLogisticMixture {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        self.sample_by(n, rng, |logits, means, log_scales, rng| {
            let k = categorical::draw(logits, uniform(rng));
            self.grid.nearest(draw(means[k], log_scales[k], uniform(rng)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::from_host;
    use crate::laws;
    use crate::logspace::logsumexp;
    use burn::tensor::{DType, Device};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    const INF: f64 = f64::INFINITY;

    /// (offset, below, above, log s, log-mass, slope by μ, slope by log s), by
    /// `tests/discretized_logistic.py`.
    #[expect(clippy::approx_constant, reason = "−log 2, as the script printed it")]
    const GOLDEN: [(f64, f64, f64, f64, f64, f64, f64); 180] =
        include!("../../tests/discretized_logistic.txt");

    fn row(values: &[f64], dtype: DType) -> Tensor<2> {
        from_host(values.to_vec(), [1, values.len()], &Device::default(), dtype)
    }

    fn events(values: &[f64], dtype: DType) -> Tensor<1> {
        from_host(values.to_vec(), [values.len()], &Device::default(), dtype)
    }

    fn mixture(
        logits: &[f64],
        means: &[f64],
        log_scales: &[f64],
        grid: Grid,
    ) -> DiscretizedLogisticMixture {
        let f = DType::F64;
        let [logits, means, log_scales] = [logits, means, log_scales].map(|v| row(v, f));
        DiscretizedLogisticMixture::new(logits, means, log_scales, grid).unwrap()
    }

    /// The definition, as it stands.
    fn naive(offset: f64, [below, above]: [f64; 2], log_scale: f64) -> f64 {
        let scale = log_scale.exp();
        (sigmoid((offset + above) / scale) - sigmoid((offset - below) / scale)).ln()
    }

    fn close(got: f64, want: f64, tolerance: f64) -> bool {
        (got - want).abs() <= tolerance * want.abs().max(1.0)
    }

    #[test]
    fn log_masses_and_slopes_are_those_computed_to_400_digits() {
        for (offset, below, above, log_scale, log_mass, by_mean, by_log_scale) in GOLDEN {
            let got = log_mass_slopes(offset, [below, above], log_scale);
            let case = format!("{offset} −{below} +{above}, log s {log_scale}: {got:?}");
            assert!(close(got.log_mass, log_mass, 1e-14), "{case} for {log_mass}");
            assert!(close(got.by_log_scale, by_log_scale, 1e-14), "{case} for {by_log_scale}");
            // Per scale, so that 1 is its size whatever the unit.
            let scale = log_scale.exp();
            assert!(close(got.by_mean * scale, by_mean * scale, 1e-14), "{case} for {by_mean}");
        }
    }

    #[test]
    fn small_masses_of_complements_keep_their_relative_precision() {
        for (offset, below, above, log_scale, log_mass, by_mean, _) in GOLDEN {
            let got = log_mass_slopes(offset, [below, above], log_scale);
            let near = |got: f64, want: f64| (got - want).abs() <= 1e-11 * want.abs() + 1e-300;
            assert!(near(got.log_mass, log_mass), "{offset}, {log_scale}: {got:?}");
            assert!(near(got.by_mean, by_mean), "{offset}, {log_scale}: {got:?}");
        }
    }

    #[test]
    fn the_plain_difference_of_sigmoids_is_lost_where_this_is_finite() {
        // Negative control: near the mean they agree, 40 scales to the right the plain one is -inf.
        for offset in [0.0, 3.0, -20.0] {
            let (got, want) = (log_mass(offset, [0.5; 2], 0.0), naive(offset, [0.5; 2], 0.0));
            assert!(close(got, want, 1e-13), "{offset}: {got} for {want}");
        }
        assert_eq!(naive(40.0, [0.5; 2], 0.0), f64::NEG_INFINITY);
        // And where the tensors are f32 it is lost half as far out.
        let f32s = |z: f64| f64::from(1.0 / (1.0 + (-z as f32).exp()));
        assert_eq!((f32s(18.5) - f32s(17.5)).ln(), f64::NEG_INFINITY);
        let mass = |x: f64| {
            let zero = || row(&[0.0], DType::F32);
            let dist = DiscretizedLogisticMixture::new(zero(), zero(), zero(), Grid::INTEGERS);
            to_host(&dist.unwrap().log_prob(events(&[x], DType::F32)))[0]
        };
        assert!(close(mass(18.0), log_mass(18.0, [0.5; 2], 0.0), 1e-6));
        assert!(close(mass(1e9), log_mass(1e9, [0.5; 2], 0.0), 1e-6));
        // Without the width kept apart, the cell far out has none.
        let far = 1e17;
        assert_eq!((far + 0.5) - (far - 0.5), 0.0);
        assert!(log_mass(far, [0.5; 2], 0.0) > -1.0001e17);
    }

    #[test]
    fn farther_is_less_likely_at_every_scale_and_distance() {
        for log_scale in [1e-12f64, 1e-6, 0.1, 1.0, 30.0, 1e6, 1e12].map(f64::ln) {
            let scale = log_scale.exp();
            let mut last = [f64::INFINITY; 2];
            // From a tenth of a scale and past the cell's own end, in steps of a thousandth.
            let (mut distance, end) = (1.0 + 0.1 * scale, 1e9 * scale.max(1.0));
            while distance < end {
                for (side, offset) in [distance, -distance].into_iter().enumerate() {
                    let got = log_mass(offset, [0.5; 2], log_scale);
                    assert!(got.is_finite() && got < last[side], "{offset}, {log_scale}: {got}");
                    last[side] = got;
                }
                assert_eq!(last[0], last[1], "{distance}, {log_scale}");
                distance *= 1.001;
            }
        }
    }

    #[test]
    fn every_finite_number_has_a_finite_log_mass_and_finite_slopes() {
        let sizes = [0.0, 5e-324, 1e-300, 1e-9, 0.5, 1.0, 1e9, 1e100, 1e300, f64::MAX];
        let offsets = sizes.into_iter().flat_map(|x| [x, -x]).chain([INF, -INF]);
        let reaches = [[0.5, 0.5], [INF, 0.5], [0.5, INF], [INF, INF], [1e-300, 1e-300]];
        let log_scales = [-700.0, -27.6, 0.0, 27.6, 700.0];
        for offset in offsets {
            for reach in reaches {
                for log_scale in log_scales {
                    let got = log_mass_slopes(offset, reach, log_scale);
                    let case = format!("{offset}, {reach:?}, {log_scale}: {got:?}");
                    assert!(got.log_mass.is_finite() && got.log_mass <= 0.0, "{case}");
                    assert!(got.log_mass >= LEAST_LOG_MASS, "{case}");
                    assert!(got.by_mean.is_finite() && got.by_log_scale.is_finite(), "{case}");
                }
            }
        }
        assert!(log_mass(f64::NAN, [0.5; 2], 0.0).is_nan());
        assert_eq!(log_mass_slopes(3.0, [INF; 2], 0.0).by_mean, 0.0);
        assert_eq!(log_mass(3.0, [INF; 2], 0.0), 0.0);
    }

    #[test]
    fn slopes_are_central_differences_from_1e_minus_9_to_1e9_scales() {
        let cases = [1e-9, 1e-3, 0.3, 1.0, 5.0, 36.0, 1e3, 1e6, 1e9];
        for log_scale in [-27.0, -3.0, 0.0, 2.0, 27.0] {
            let scale = f64::exp(log_scale);
            for z in cases.into_iter().flat_map(|z| [z, -z]) {
                for reach in [[0.5, 0.5], [INF, 0.5], [0.5, INF], [0.5, 12.5]] {
                    let f = |mean: f64, log_scale: f64| {
                        log_mass(z * scale - mean * scale, reach, log_scale)
                    };
                    let got = log_mass_slopes(z * scale, reach, log_scale);
                    let here = f(0.0, log_scale);
                    // In the tails the log-mass is straight in μ / s, so the step may be large there.
                    let step = 1e-5 * (1.0 + z.abs()).min(1e4);
                    let rounding = 4.0 * f64::EPSILON * here.abs().max(1.0) / step;
                    let slope = (f(step, log_scale) - f(-step, log_scale)) / (2.0 * step);
                    let case = format!("z {z}, {reach:?}, log s {log_scale}");
                    let want = got.by_mean * scale;
                    let allowed = 1e-8 + rounding;
                    assert!((slope - want).abs() <= allowed, "{case}: {slope} for {want}");

                    let step = 1e-5;
                    let rounding = 4.0 * f64::EPSILON * here.abs().max(1.0) / step;
                    let slope =
                        (f(0.0, log_scale + step) - f(0.0, log_scale - step)) / (2.0 * step);
                    let want = got.by_log_scale;
                    let allowed = 1e-8 * (1.0 + want.abs()) + rounding;
                    assert!((slope - want).abs() <= allowed, "{case}: {slope} for {want}");
                }
            }
        }
    }

    #[test]
    fn tensors_agree_with_the_host_in_values_and_slopes() {
        let grid = Grid::bounded(-3.0, 0.5, 14).unwrap();
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            for grid in [grid, Grid::unbounded(0.0, 0.5).unwrap()] {
                for (mean, log_scale) in
                    [(0.2, 0.0), (0.25, -3.0), (-7.0, 1.0), (50.0, -1.0), (0.1, 9.0), (0.1, -8.0)]
                {
                    let leaves = [row(&[mean], dtype), row(&[log_scale], dtype)]
                        .map(|leaf| leaf.autodiff().require_grad());
                    let [means, log_scales] = leaves.clone();
                    let logits = means.zeros_like();
                    let dist =
                        DiscretizedLogisticMixture::new_unchecked(logits, means, log_scales, grid);
                    for x in [-3.0, -2.5, 0.0, 0.5, 3.0, 3.5] {
                        let got = dist.log_prob(events(&[x], dtype));
                        let grads = got.clone().sum().backward();
                        let want = log_mass_slopes(x - mean, grid.reach(x), log_scale);
                        let [by_mean, by_log_scale] =
                            leaves.each_ref().map(|leaf| to_host(&leaf.grad(&grads).unwrap())[0]);
                        let got = to_host(&got.inner())[0];
                        let case = format!("{x}, {mean}, {log_scale}, {dtype:?}, {grid:?}");
                        assert!(close(got, want.log_mass, tolerance), "{case}: {got}, {want:?}");
                        assert!(
                            close(by_mean, want.by_mean, tolerance),
                            "{case}: {by_mean}, {want:?}"
                        );
                        assert!(
                            close(by_log_scale, want.by_log_scale, tolerance),
                            "{case}: {by_log_scale}, {want:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_are_finite_where_the_log_mass_is_beyond_the_dtype() {
        let f = DType::F32;
        let leaves =
            [row(&[0.0, f64::NEG_INFINITY], f), row(&[0.0, 40.0], f), row(&[-80.0, 3.0], f)]
                .map(|leaf| leaf.autodiff().require_grad());
        let [logits, means, log_scales] = leaves.clone();
        let dist =
            DiscretizedLogisticMixture::new_unchecked(logits, means, log_scales, Grid::INTEGERS);
        let log_probs = dist.log_prob(events(&[1e30, -3.0, 40.0, 0.5], f));
        let grads = log_probs.clone().sum().backward();
        let got = to_host(&log_probs.inner());
        assert!(got[..3].iter().all(|l| l.is_finite() && *l < 0.0), "{got:?}");
        assert_eq!(got[3], f64::NEG_INFINITY);
        for leaf in leaves {
            let grad = to_host(&leaf.grad(&grads).unwrap());
            assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
        }
    }

    #[test]
    fn what_is_no_value_of_the_grid_is_impossible() {
        let dist = mixture(&[0.0], &[0.0], &[3.0], Grid::bounded(0.0, 0.25, 5).unwrap());
        let inside = [0.0, 0.25, 0.5, 0.75, 1.0];
        assert!(to_host(&dist.log_prob(events(&inside, DType::F64))).iter().all(|l| l.is_finite()));
        let outside = [-0.25, 1.25, 0.1, 1e300, -1e300, INF, -INF, f64::NAN];
        let got = to_host(&dist.log_prob(events(&outside, DType::F64)));
        assert!(got.iter().all(|&l| l == f64::NEG_INFINITY), "{got:?}");
        // Without bounds every finite number that large is a value.
        let dist = mixture(&[0.0], &[0.0], &[-3.0], Grid::unbounded(0.0, 0.01).unwrap());
        let got =
            to_host(&dist.log_prob(events(&[0.29, 1e300, f64::MAX, f64::MIN, 0.295], DType::F64)));
        assert!(got[..4].iter().all(|l| l.is_finite()) && got[4] == f64::NEG_INFINITY, "{got:?}");
    }

    #[test]
    fn a_mass_has_no_unit() {
        let grid = Grid::unbounded(0.0, 0.01).unwrap();
        let dist = mixture(&[0.3, -1.0], &[20.0, 23.5], &[-2.0, 1.0], grid);
        let moved = dist.clone().affine(1.0 / 3.7, -6.0).unwrap();
        for k in [1950, 2000, 2001, 2350, 9000] {
            let x = f64::from(k) / 100.0;
            let before = to_host(&dist.log_prob(events(&[x], DType::F64)))[0];
            let after = to_host(&moved.log_prob(events(&[x / 3.7 - 6.0], DType::F64)))[0];
            assert!(close(after, before, 1e-11), "{x}: {after} for {before}");
        }
    }

    #[test]
    fn the_mass_of_a_range_is_that_of_its_cells_and_the_cdf_ends_at_one() {
        for grid in [Grid::INTEGERS, Grid::bounded(-20.0, 1.0, 41).unwrap()] {
            let dist = mixture(&[0.3, -1.0, 0.0], &[0.4, -7.0, 300.0], &[-1.0, 1.0, 0.3], grid);
            for (low, high) in [(-3.0, 4.0), (-20.0, 20.0), (5.0, 5.0), (-10.0, -8.0), (10.5, 20.9)]
            {
                let cells: Vec<f64> =
                    (-20..=20).map(f64::from).filter(|x| (low..=high).contains(x)).collect();
                let want = logsumexp(&to_host(&dist.log_prob(events(&cells, DType::F64))));
                let got = to_host(&dist.log_prob_between(low, high))[0];
                assert!(close(got, want, 1e-12), "{low} to {high}, {grid:?}: {got} for {want}");
            }
            assert_eq!(to_host(&dist.log_prob_between(-INF, INF)), [0.0]);
            assert!(to_host(&dist.log_cdf(1e6))[0].abs() < 1e-15);
            assert_eq!(to_host(&dist.log_prob_between(0.2, 0.8)), [f64::NEG_INFINITY]);
            let both = [dist.log_cdf(-4.0), dist.log_prob_between(-3.0, INF)];
            let sum: f64 = both.iter().map(|l| to_host(l)[0].exp()).sum();
            assert!((sum - 1.0).abs() < 1e-14, "{sum}");
        }
        // Far out, where 1 minus a cumulative probability is 0.
        let dist = mixture(&[0.0], &[0.0], &[0.0], Grid::INTEGERS);
        let got = to_host(&dist.log_prob_between(1000.0, 1010.0))[0];
        let want = -999.5 + (-(-11f64).exp()).ln_1p();
        assert!(close(got, want, 1e-14), "{got} for {want}");
    }

    #[test]
    fn draws_within_a_range_stay_there_however_far_it_is() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let dist = mixture(&[0.0, -2.0], &[0.0, 50.0], &[0.0, -2.0], Grid::INTEGERS);
        for (low, high) in [
            (30.0, 40.0),
            (-1e9, -1e9 + 3.0),
            (1e15, 1e15 + 100.0),
            (7.0, 7.0),
            (-INF, -500.0),
            (1e6, INF),
            (-INF, INF),
            (-1e300, 1e300),
        ] {
            let x = to_host(&dist.sample_between(low, high, 500, &mut rng).unwrap());
            assert!(x.iter().all(|x| (low..=high).contains(x) && x.is_finite()), "{low}: {x:?}");
        }
        // Far to the right it is an exponential: nearly everything within a few scales of the end.
        let x = to_host(&dist.sample_between(1e6, INF, 500, &mut rng).unwrap());
        assert!(x.iter().all(|&x| x < 1e6 + 20.0) && x.iter().any(|&x| x > 1e6));
        let error = dist.sample_between(0.2, 0.8, 1, &mut rng).unwrap_err();
        assert_eq!(error, Error::Impossible);
    }

    #[test]
    fn draws_within_a_range_follow_the_masses_given_the_range() {
        let grid = Grid::unbounded(0.5, 2.0).unwrap();
        let dist = mixture(&[0.0, 1.0], &[0.0, 30.0], &[2.0, 1.0], grid);
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for (low, high) in [(-3.5, 40.5), (10.5, 20.5), (60.5, 80.5), (-60.0, -29.0)] {
            let total = to_host(&dist.log_prob_between(low, high))[0];
            let span = grid.span(low, high).unwrap();
            let cells = (span.last - span.first) as usize + 1;
            let values: Vec<f64> = (0..cells).map(|k| grid.value(span.first + k as f64)).collect();
            let log_probs: Vec<f64> = to_host(&dist.log_prob(events(&values, DType::F64)))
                .iter()
                .map(|l| l - total)
                .collect();
            let draws = to_host(&dist.sample_between(low, high, 20_000, &mut rng).unwrap());
            let cell = |x: f64| (grid.index(x) - span.first) as usize;
            laws::sampler_cells(&log_probs, draws.iter().map(|&x| cell(x)), 1e-6).unwrap();
            // Negative control: without the condition they are others.
            let all = to_host(&dist.sample(20_000, &mut rng));
            let free = all.iter().map(|&x| grid.index(x).clamp(span.first, span.last));
            let free = free.map(|k| (k - span.first) as usize);
            assert!(laws::sampler_cells(&log_probs, free, 1e-6).is_err());
        }
    }

    #[test]
    fn sampling_takes_two_uniforms_per_row_in_order() {
        let dist = mixture(&[0.0, 0.5], &[0.0, 9.0], &[0.0, 1.0], Grid::INTEGERS);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let got = to_host(&dist.sample(20, &mut rng));
        let mut again = ChaCha8Rng::seed_from_u64(3);
        for x in got {
            let k = categorical::draw(&[0.0, 0.5], uniform(&mut again));
            let real = draw([0.0, 9.0][k], [0.0, 1.0][k], uniform(&mut again));
            assert!((x - real).abs() <= 0.5, "{x} for {real}");
        }
        assert_eq!(rng.next_u64(), again.next_u64());
    }

    #[test]
    fn draws_of_any_scale_are_values_of_the_grid() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for grid in [Grid::unbounded(0.3, 0.01).unwrap(), Grid::bounded(-1.0, 0.1, 21).unwrap()] {
            for log_scale in [-27.0, -3.0, 3.0, 27.0, 700.0] {
                let dist = mixture(&[0.0], &[0.4], &[log_scale], grid);
                let x = dist.sample(300, &mut rng);
                assert!(to_host(&x).iter().all(|&x| grid.contains(x)), "{log_scale}");
                assert!(to_host(&dist.log_prob(x)).iter().all(|l| l.is_finite()), "{log_scale}");
            }
        }
    }

    #[test]
    fn bad_parameters_are_errors_that_name_them() {
        let message = |l: &[f64], m: &[f64], s: &[f64], dtype| {
            let [l, m, s] = [l, m, s].map(|v| row(v, dtype));
            DiscretizedLogisticMixture::new(l, m, s, Grid::INTEGERS).unwrap_err().to_string()
        };
        let f = DType::F64;
        assert!(message(&[0.0], &[0.0, 1.0], &[0.0], f).contains("means of shape [1, 2]"));
        assert!(message(&[f64::NAN], &[0.0], &[0.0], f).contains("logit NaN"));
        assert!(message(&[-INF], &[0.0], &[0.0], f).contains("logit -inf"));
        assert!(message(&[0.0], &[INF], &[0.0], f).contains("mean inf"));
        assert!(message(&[0.0], &[0.0], &[-INF], f).contains("log-scale -inf"));
        assert!(message(&[0.0], &[0.0], &[f64::NAN], f).contains("log-scale NaN"));
        assert!(message(&[0.0], &[0.0], &[1e4], f).contains("log-scale 10000"));
        // One over a scale of e^−100 is beyond f32.
        assert!(message(&[0.0], &[0.0], &[-100.0], DType::F32).contains("log-scale -100"));
    }

    #[test]
    fn an_empty_batch_stays_empty() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let none = || Tensor::<2>::empty([0, 2], &Device::default());
        for dist in [
            DiscretizedLogisticMixture::new(none(), none(), none(), Grid::INTEGERS).unwrap(),
            mixture(&[0.0, 0.0], &[0.0, 1.0], &[0.0, 0.0], Grid::INTEGERS),
        ] {
            let x = dist.sample(0, &mut rng);
            assert_eq!(dist.log_prob(x).dims(), [0]);
            assert_eq!(dist.log_prob_between(0.0, 1.0).dims(), [dist.batch()]);
            assert_eq!(dist.sample_between(0.0, 1.0, 0, &mut rng).unwrap().dims(), [0]);
        }
    }
}
