//! Kernels of a Parzen window: for one variable, the distribution that a training value spreads around
//! itself.
//!
//! ```text
//! p(x) = 1/n Σ_i Π_t K_t(x_t, x_{i,t}; h_t)
//! ```
//!
//! Each K(·, c; h) is a distribution, so p is one, and exactly: that is all a window needs.
//!
//! | Kernel | Values | K(x, c; h) | h |
//! |---|---|---|---|
//! | [`Gaussian`] | reals | N(x; c, h), a density | 0 < h |
//! | [`DiscretizedLogistic`] | a [`Grid`] | σ((x + δ/2 − c)/h) − σ((x − δ/2 − c)/h), a mass | 0 ≤ h |
//! | [`AitchisonAitken`] | m categories | 1 − h if x = c, h / (m − 1) if not, a mass | 0 ≤ h ≤ (m − 1)/m |
//!
//! At h = 0 a mass sits on its centre alone. A density has no such limit: with one, a repeated value
//! would have no bound. At its upper limit the categorical kernel is uniform and forgets its centre.
//!
//! Kernels are evaluated n times for each row, on the host and in f64. What depends on h alone is
//! computed once, at construction.
//!
//! # References
//! Parzen 1962, On estimation of a probability density function and mode, Annals of Mathematical
//! Statistics 33. Aitchison and Aitken 1976, Multivariate binary discrimination by the kernel method,
//! Biometrika 63. Salimans et al. 2017, arXiv 1701.05517, equation 2, for the logistic on a grid.
//!
//! # Deviations from the paper
//! Aitchison and Aitken write λ = 1 − h.

use rand::Rng;

use crate::dist::discretized_logistic::{draw, log_mass};
use crate::dist::{Grid, HALF_LN_TAU, standard_normal, uniform};
use crate::error::Error;

fn bandwidth_error<T>(value: f64, expected: &'static str) -> Result<T, Error> {
    Err(Error::Parameter { parameter: "bandwidth", row: 0, value, expected })
}

/// A Gaussian around the centre, whose standard deviation is the bandwidth.
///
/// ```
/// use prob_core::kernel::Gaussian;
/// let kernel = Gaussian::new(2.0).unwrap();
/// assert!((kernel.log_density(3.0, 3.0) + 0.9189385 + 2f64.ln()).abs() < 1e-7);
/// assert!(Gaussian::new(0.0).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaussian {
    bandwidth: f64,
    /// `−log h − ½ log 2π`.
    at_centre: f64,
}

impl Gaussian {
    /// From the standard deviation, in the unit of the values.
    ///
    /// # Errors
    /// When the bandwidth is not a finite number above 0.
    pub fn new(bandwidth: f64) -> Result<Self, Error> {
        if !(bandwidth > 0.0 && bandwidth.is_finite()) {
            return bandwidth_error(bandwidth, "a finite number above 0");
        }
        Ok(Self { bandwidth, at_centre: -bandwidth.ln() - HALF_LN_TAU })
    }

    /// The bandwidth.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// log K(x, centre), in nats; `-inf` at `±inf`.
    pub fn log_density(&self, x: f64, centre: f64) -> f64 {
        let z = (x - centre) / self.bandwidth;
        self.at_centre - 0.5 * z * z
    }

    /// A draw around `centre`, from two uniforms.
    pub fn draw(&self, centre: f64, rng: &mut dyn Rng) -> f64 {
        centre + self.bandwidth * standard_normal(rng)
    }
}

/// A logistic distribution around the centre, its mass gathered on the cells of a grid. Its tails are
/// heavier than a Gaussian's: the log-mass falls with the distance, not with its square.
///
/// ```
/// use prob_core::{dist::Grid, kernel::DiscretizedLogistic};
/// let kernel = DiscretizedLogistic::new(Grid::INTEGERS, 1.0).unwrap();
/// assert!((kernel.log_mass(3.0, 3.0) + 1.406829).abs() < 1e-6);
/// assert_eq!(kernel.log_mass(3.5, 3.0), f64::NEG_INFINITY);
/// // Without bandwidth nothing but the centre is possible.
/// let kernel = DiscretizedLogistic::new(Grid::INTEGERS, 0.0).unwrap();
/// assert_eq!(kernel.log_mass(3.0, 3.0), 0.0);
/// assert_eq!(kernel.log_mass(4.0, 3.0), f64::NEG_INFINITY);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscretizedLogistic {
    grid: Grid,
    bandwidth: f64,
    log_scale: f64,
}

impl DiscretizedLogistic {
    /// From the scale of the logistic, in the unit of the grid (its standard deviation is π/√3 of it).
    ///
    /// # Errors
    /// When the bandwidth is not a finite number, 0 or more.
    pub fn new(grid: Grid, bandwidth: f64) -> Result<Self, Error> {
        // A subnormal has no logarithm to go back from.
        if !(bandwidth == 0.0 || bandwidth.is_normal() && bandwidth > 0.0) {
            return bandwidth_error(bandwidth, "a finite number, 0 or more");
        }
        Ok(Self { grid, bandwidth, log_scale: bandwidth.ln() })
    }

    /// The bandwidth.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// log K(x, centre), in nats; `-inf` where `x` is no value of the grid. The centre may be any
    /// real.
    pub fn log_mass(&self, x: f64, centre: f64) -> f64 {
        if !self.grid.contains(x) {
            return f64::NEG_INFINITY;
        }
        if self.bandwidth == 0.0 {
            let same = self.grid.index(x) == self.grid.index(centre);
            return if same { 0.0 } else { f64::NEG_INFINITY };
        }
        log_mass(x - centre, self.grid.reach(x), self.log_scale)
    }

    /// A draw around `centre`, from one uniform.
    pub fn draw(&self, centre: f64, rng: &mut dyn Rng) -> f64 {
        let u = uniform(rng);
        let real = if self.bandwidth == 0.0 { centre } else { draw(centre, self.log_scale, u) };
        self.grid.nearest(real)
    }
}

/// The centre's category, or with probability h one of the others.
///
/// ```
/// use prob_core::kernel::AitchisonAitken;
/// let kernel = AitchisonAitken::new(4, 0.3).unwrap();
/// assert!((kernel.log_mass(2, 2) - 0.7f64.ln()).abs() < 1e-15);
/// assert!((kernel.log_mass(0, 2) - 0.1f64.ln()).abs() < 1e-15);
/// assert_eq!(kernel.log_mass(4, 2), f64::NEG_INFINITY);
/// assert!(AitchisonAitken::new(4, 0.8).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AitchisonAitken {
    categories: usize,
    bandwidth: f64,
    log_same: f64,
    log_other: f64,
}

impl AitchisonAitken {
    /// From the number of categories, `other` included where there is one, and the mass that leaves
    /// the centre.
    ///
    /// # Errors
    /// When there are no categories, or the bandwidth is not in `0..=(m − 1)/m`: beyond that the
    /// centre would be less likely than the others.
    pub fn new(categories: usize, bandwidth: f64) -> Result<Self, Error> {
        if categories == 0 {
            return Err(Error::Empty("categories"));
        }
        let others = (categories - 1) as f64;
        if !(0.0..=others / categories as f64).contains(&bandwidth) {
            return bandwidth_error(bandwidth, "0 to (m − 1)/m for m categories");
        }
        // One category has no others to share a bandwidth of 0: 0/0.
        let log_other = if categories == 1 { f64::NEG_INFINITY } else { (bandwidth / others).ln() };
        Ok(Self { categories, bandwidth, log_same: (-bandwidth).ln_1p(), log_other })
    }

    /// The bandwidth.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// Number of categories.
    pub fn categories(&self) -> usize {
        self.categories
    }

    /// log K(x, centre), in nats; `-inf` where `x` is no category. The centre must be one.
    pub fn log_mass(&self, x: usize, centre: usize) -> f64 {
        if x >= self.categories {
            f64::NEG_INFINITY
        } else if x == centre {
            self.log_same
        } else {
            self.log_other
        }
    }

    /// A draw around `centre`, from one uniform.
    pub fn draw(&self, centre: usize, rng: &mut dyn Rng) -> usize {
        let u = uniform(rng);
        if u >= self.bandwidth {
            return centre;
        }
        // The part of [0, h) that u is in names one of the others; rounding may name one too many.
        let others = self.categories - 1;
        let other = ((u / self.bandwidth * others as f64) as usize).min(others - 1);
        if other < centre { other } else { other + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{self, Law};
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    const INF: f64 = f64::INFINITY;
    const DRAWS: usize = 20_000;
    const ALPHA: f64 = 1e-6;

    fn categories_sum_to_one(m: usize, log_mass: impl Fn(usize) -> f64) -> Law {
        laws::sums_to_one((0..m).map(log_mass), 1e-14)
    }

    #[test]
    fn a_gaussian_kernel_integrates_to_one_at_any_bandwidth() {
        for h in [1e-3, 1.0, 40.0] {
            let kernel = Gaussian::new(h).unwrap();
            let log_density = |x: &[f64]| x.iter().map(|&x| kernel.log_density(x, 2.0)).collect();
            let (low, high) = (2.0 - 9.0 * h, 2.0 + 9.0 * h);
            laws::integrates_to_one(low, high, 4000, 1e-12, log_density).unwrap();
            // Negative control: the kernel of the textbooks without the 1/h before the sum.
            let no_h = |x: &[f64]| {
                x.iter().map(|&x| kernel.log_density(x, 2.0) + h.ln()).collect::<Vec<_>>()
            };
            let law = laws::integrates_to_one(low, high, 4000, 1e-12, no_h);
            assert_eq!(law.is_err(), h != 1.0);
        }
        assert_eq!(Gaussian::new(1.0).unwrap().log_density(INF, 0.0), -INF);
    }

    #[test]
    fn a_logistic_kernel_sums_to_one_down_to_no_bandwidth() {
        let grids = [
            Grid::INTEGERS,
            Grid::unbounded(0.25, 0.5).unwrap(),
            Grid::bounded(-3.0, 1.0, 12).unwrap(),
            Grid::bounded(2.0, 1.0, 1).unwrap(),
        ];
        for grid in grids {
            for h in [0.0, 1e-9, 0.2, 1.0, 30.0] {
                let kernel = DiscretizedLogistic::new(grid, h).unwrap();
                for centre in [-3.0, 2.0, 2.25] {
                    let k = match grid.cells() {
                        Some(cells) => 0..cells as i64,
                        None => -4000..4000,
                    };
                    let log_masses = k.map(|k| kernel.log_mass(grid.value(k as f64), centre));
                    laws::sums_to_one(log_masses, 1e-13).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_categorical_kernel_sums_to_one_at_both_limits() {
        for m in [1, 2, 3, 10] {
            let most = (m - 1) as f64 / m as f64;
            for h in [0.0, 0.5 * most, most] {
                let kernel = AitchisonAitken::new(m, h).unwrap();
                for centre in 0..m {
                    categories_sum_to_one(m, |x| kernel.log_mass(x, centre)).unwrap();
                }
            }
            // No bandwidth: the centre alone. The most: nothing but a uniform distribution.
            let none = AitchisonAitken::new(m, 0.0).unwrap();
            assert_eq!(none.log_mass(0, 0), 0.0);
            assert!(m == 1 || none.log_mass(1, 0) == -INF);
            let most = AitchisonAitken::new(m, most).unwrap();
            assert!((0..m).all(|x| (most.log_mass(x, 0) + (m as f64).ln()).abs() < 1e-14));
        }
    }

    #[test]
    fn sharing_the_bandwidth_among_all_instead_of_the_others_is_caught() {
        // Negative control: h / m in the place of h / (m − 1).
        let (m, h) = (4, 0.3f64);
        let shared = |x: usize| if x == 1 { (1.0 - h).ln() } else { (h / m as f64).ln() };
        let violation = categories_sum_to_one(m, shared).unwrap_err();
        assert!((violation.gap - 0.075).abs() < 1e-12, "{violation}");
    }

    #[test]
    fn a_density_times_the_step_is_no_mass_on_a_grid() {
        // Negative control: h times smaller than the step, where the density at the values misses
        // what is between them.
        let (h, centre) = (0.2f64, 0.0);
        let density = |x: f64| {
            let z = (x - centre) / h;
            -z.abs() - 2.0 * (-z.abs()).exp().ln_1p() - h.ln()
        };
        let law = laws::sums_to_one((-50..50).map(|k| density(f64::from(k))), 1e-3);
        assert!(law.unwrap_err().gap > 0.2);
    }

    #[test]
    fn draws_follow_the_kernels() {
        let mut rng = ChaCha8Rng::seed_from_u64(31);
        for h in [0.0, 0.3, 0.75] {
            let kernel = AitchisonAitken::new(4, h).unwrap();
            let log_probs: Vec<f64> = (0..4).map(|x| kernel.log_mass(x, 2)).collect();
            let draws: Vec<usize> = (0..DRAWS).map(|_| kernel.draw(2, &mut rng)).collect();
            laws::sampler_cells(&log_probs, draws, ALPHA).unwrap();
        }
        for grid in [Grid::bounded(0.0, 1.0, 12).unwrap(), Grid::unbounded(-6.0, 1.0).unwrap()] {
            for h in [0.0, 0.1, 0.8] {
                let kernel = DiscretizedLogistic::new(grid, h).unwrap();
                let first = grid.cells().map_or(-30.0, |_| 0.0);
                let cells = grid.cells().unwrap_or(60);
                let log_probs: Vec<f64> = (0..cells)
                    .map(|k| kernel.log_mass(grid.value(first + k as f64), 1.0))
                    .collect();
                let draws = (0..DRAWS).map(|_| grid.index(kernel.draw(1.0, &mut rng)) - first);
                laws::sampler_cells(&log_probs, draws.map(|k| k as usize), ALPHA).unwrap();
            }
        }
        let kernel = Gaussian::new(0.5).unwrap();
        let z: Vec<f64> = (0..DRAWS).map(|_| (kernel.draw(3.0, &mut rng) - 3.0) / 0.5).collect();
        let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / DRAWS as f64;
        // Standard errors 0.007 and 0.01; the bounds are five of them.
        assert!(moment(1).abs() < 0.036 && (moment(2) - 1.0).abs() < 0.05);
    }

    #[test]
    fn bad_bandwidths_are_errors_that_name_them() {
        for h in [0.0, -1.0, f64::NAN, INF] {
            assert!(Gaussian::new(h).is_err(), "{h}");
        }
        for h in [-1.0, f64::NAN, INF, 5e-324] {
            assert!(DiscretizedLogistic::new(Grid::INTEGERS, h).is_err(), "{h}");
        }
        for h in [-0.1, 0.76, f64::NAN] {
            assert!(AitchisonAitken::new(4, h).is_err(), "{h}");
        }
        assert!(AitchisonAitken::new(1, 0.1).is_err());
        assert_eq!(
            AitchisonAitken::new(0, 0.0).unwrap_err().to_string(),
            "no categories, expected at least one"
        );
        assert_eq!(
            Gaussian::new(-1.0).unwrap_err().to_string(),
            "bandwidth -1 in row 0, expected a finite number above 0"
        );
    }
}
