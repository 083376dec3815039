//! A rotation of rows after which their first coordinates tell most of how far they are from each other.
//!
//! ```text
//! v_1, v_2, …    the directions in which rows vary most: V ← orthonormal(Xᵀ X V), again and again
//! Q x = H_K … H_1 x,   reflections that take v_k to the k-th axis, so that (Q x)_k = ± v_k · x
//! ```
//!
//! Whatever the directions are, distances stay what they were: |Q x − Q y| = |x − y|.
//!
//! # References
//! - Halko, Martinsson, Tropp, *Finding structure with randomness*, SIAM Review 53, 2011, Algorithm 4.4 (subspace
//!   iteration).
//! - Golub and Van Loan, *Matrix Computations*, 4th edition, Section 5.2.2 (Householder reflections).

/// The most cells by which directions are found, and the most rounds of that.
const CELLS: usize = 200_000;
const ROUNDS: usize = 12;
/// Beyond so many standard deviations a number says no more about the directions: few rows are there.
const CLIP: f64 = 3.0;

/// Reflections, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// Of each a unit vector, from the axis on that it belongs to.
    reflections: Vec<Vec<f64>>,
}

impl Axes {
    /// The rotation that brings forward the `most` directions in which `rows` vary most.
    ///
    /// # Shapes
    /// `rows` is `[n, width]`.
    pub(super) fn of(rows: &[f64], width: usize, most: usize) -> Self {
        if width <= 1 || most == 0 {
            return Self { reflections: Vec::new() };
        }
        let step = rows.len().div_ceil(CELLS).max(1);
        let sample: Vec<&[f64]> = rows.chunks_exact(width).step_by(step).collect();
        let n = sample.len() as f64;
        let moment = |of: &dyn Fn(f64) -> f64, k: usize| {
            sample.iter().map(|row| of(row[k])).sum::<f64>() / n
        };
        let means: Vec<f64> = (0..width).map(|k| moment(&|x| x, k)).collect();
        let widths: Vec<f64> =
            (0..width).map(|k| moment(&|x| (x - means[k]).powi(2), k).sqrt()).collect();
        let centred: Vec<f64> = sample
            .iter()
            .flat_map(|row| row.iter().zip(means.iter().zip(&widths)))
            .map(|(x, (mean, width))| (x - mean).clamp(-CLIP * width, CLIP * width))
            .collect();
        Self::forward(&directions(&centred, width, most.min(width - 1)), width)
    }

    /// Reflections that take one orthonormal vector after the other to its axis.
    fn forward(directions: &[Vec<f64>], width: usize) -> Self {
        let mut axes = Self { reflections: Vec::new() };
        for (k, direction) in directions.iter().enumerate() {
            let mut left = direction.clone();
            axes.apply(&mut left);
            // What is before k has gone to the other axes.
            let mut unit = left.split_off(k);
            let length = norm(&unit);
            unit[0] += if unit[0] < 0.0 { -length } else { length };
            let length = norm(&unit);
            debug_assert!(unit.len() == width - k && length > 0.0, "an orthonormal vector");
            unit.iter_mut().for_each(|x| *x /= length);
            axes.reflections.push(unit);
        }
        axes
    }

    /// Rotates a row.
    pub(super) fn apply(&self, row: &mut [f64]) {
        for (k, unit) in self.reflections.iter().enumerate() {
            let row = &mut row[k..];
            let twice = 2.0 * dot(row, unit);
            row.iter_mut().zip(unit).for_each(|(x, u)| *x -= twice * u);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Orthonormal vectors, at most `most`, near those directions in which rows vary most, the first the most.
fn directions(rows: &[f64], width: usize, most: usize) -> Vec<Vec<f64>> {
    let of = |k: usize| rows.iter().skip(k).step_by(width).map(|x| x * x).sum::<f64>();
    let squares: Vec<f64> = (0..width).map(of).collect();
    let mut widest: Vec<usize> = (0..width).collect();
    widest.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
    // Each of the widest columns, and a little of all others, so that none is at a right angle to what is looked for.
    let start = |&k: &usize| -> Vec<f64> {
        (0..width).map(|j| if j == k { 1.0 } else { 0.1 / (1 + (j + k) % 7) as f64 }).collect()
    };
    let mut vectors = orthonormal(widest[..most].iter().map(start).collect());
    for _ in 0..ROUNDS {
        let mut next = vec![vec![0.0; width]; vectors.len()];
        for row in rows.chunks_exact(width) {
            for (vector, next) in vectors.iter().zip(&mut next) {
                let along = dot(row, vector);
                next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
            }
        }
        vectors = orthonormal(next);
    }
    vectors
}

/// Gram and Schmidt, twice for the sake of rounding; what depends on those before it is dropped.
fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut out: Vec<Vec<f64>> = Vec::new();
    for mut vector in vectors {
        let length = norm(&vector);
        for _ in 0..2 {
            for other in &out {
                let along = dot(&vector, other);
                vector.iter_mut().zip(other).for_each(|(x, other)| *x -= along * other);
            }
        }
        let left = norm(&vector);
        if left > 1e-9 * length && left.is_finite() {
            vector.iter_mut().for_each(|x| *x /= left);
            out.push(vector);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use prob_core::standard_normal;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    #[test]
    fn distances_stay_and_the_first_coordinates_vary_most() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // Two directions, neither along a column, and a little noise.
        let rows: Vec<f64> = (0..500)
            .flat_map(|_| {
                let (a, b) = (5.0 * standard_normal(&mut rng), 2.0 * standard_normal(&mut rng));
                let noise: Vec<f64> = (0..6).map(|_| 0.1 * standard_normal(&mut rng)).collect();
                (0..6).map(move |k| {
                    let (x, y) = ((1.0 + k as f64).sin(), (2.0 + 3.0 * k as f64).cos());
                    a * x + b * y + noise[k]
                })
            })
            .collect();
        let axes = Axes::of(&rows, 6, 2);
        let rotated: Vec<f64> = rows
            .chunks_exact(6)
            .flat_map(|row| {
                let mut row = row.to_vec();
                axes.apply(&mut row);
                row
            })
            .collect();
        let distance = |rows: &[f64], i: usize, j: usize| -> f64 {
            (0..6).map(|k| (rows[6 * i + k] - rows[6 * j + k]).powi(2)).sum()
        };
        for i in 0..499 {
            let (before, after) = (distance(&rows, i, i + 1), distance(&rotated, i, i + 1));
            assert!((before - after).abs() < 1e-11 * before.max(1.0));
        }
        let square = |rows: &[f64], k: usize| -> f64 {
            rows.iter().skip(k).step_by(6).map(|x| x * x).sum::<f64>() / 500.0
        };
        let last = |rows: &[f64]| (2..6).map(|k| square(rows, k)).fold(0.0, f64::max);
        assert!(square(&rotated, 0) > square(&rotated, 1) && last(&rotated) < 0.05);
        // Negative control: of the columns themselves none is so narrow.
        assert!(last(&rows) > 1.0);
    }

    #[test]
    fn rows_without_any_direction_are_as_they_were() {
        for (rows, width) in [(vec![2.0; 12], 3), (vec![1.0, 2.0, 3.0], 1), (vec![5.0, 6.0], 2)] {
            let axes = Axes::of(&rows, width, 4);
            let mut row = rows[..width].to_vec();
            axes.apply(&mut row);
            assert!((norm(&row) - norm(&rows[..width])).abs() < 1e-12);
        }
    }
}
