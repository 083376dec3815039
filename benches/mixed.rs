//! A table of mixed columns, for the benches of models over columns.

use ar_models::columns::Column;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const GRIDS: usize = 10;
const REALS: usize = 4;
const LABELS: [usize; 6] = [3, 20, 200, 2, 2, 364];

/// Number of columns.
pub const COLUMNS: usize = GRIDS + REALS + LABELS.len();

/// Ten numbers on a grid, four real ones, and categories of 3, 20, 200, 2, 2 and 364 labels.
pub fn columns() -> Vec<Column> {
    let grid = Column::Grid { step: 0.1, can_be_missing: false };
    let numbers = std::iter::repeat_n(grid, GRIDS)
        .chain(std::iter::repeat_n(Column::Real { can_be_missing: false }, REALS));
    numbers.chain(LABELS.map(|labels| Column::Category { labels })).collect()
}

/// Rows of independent columns: sums of uniform numbers, and labels that are alike.
pub fn rows(n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut out = Vec::with_capacity(n * COLUMNS);
    for _ in 0..n {
        for column in columns() {
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            out.push(match column {
                Column::Category { labels } => rng.random_range(0..labels as u64) as f64,
                Column::Grid { step, .. } => (normal / step).round() * step,
                Column::Real { .. } => normal,
            });
        }
    }
    out
}
