//! An order in which rows that stand beside each other are near each other.

/// The rows of a block, and of a box, in the order of a tree that halves what is widest.
///
/// # Shapes
/// `coordinates` is `[n, width]`; returns the `n` rows as they come, where each `block` of them, and each `boxed` (a
/// multiple of it), is near each other.
pub(super) fn by_halves(coordinates: &[f32], width: usize, block: usize, boxed: usize) -> Vec<u32> {
    let n = coordinates.len() / width;
    let mut order: Vec<u32> = (0..n as u32).collect();
    halve(coordinates, width, block, boxed, &mut order);
    order
}

fn halve(coordinates: &[f32], width: usize, block: usize, boxed: usize, rows: &mut [u32]) {
    if rows.len() <= block {
        return;
    }
    let at = |row: u32, k: usize| coordinates[row as usize * width + k];
    let n = rows.len() as f64;
    let variance = |k: usize| {
        let mean = rows.iter().map(|&row| f64::from(at(row, k))).sum::<f64>() / n;
        rows.iter().map(|&row| (f64::from(at(row, k)) - mean).powi(2)).sum::<f64>()
    };
    let variances: Vec<f64> = (0..width).map(variance).collect();
    let widest = (0..width).rev().max_by(|&a, &b| variances[a].total_cmp(&variances[b]));
    let k = widest.unwrap_or(0);
    // Whole boxes on the left, and whole blocks within a box, so that what is packed by blocks is near each other.
    let unit = if rows.len() > boxed { boxed } else { block };
    let left = (rows.len() / 2).next_multiple_of(unit);
    if left < rows.len() {
        // Ties by the row, so that the order is one.
        let compare = |&a: &u32, &b: &u32| at(a, k).total_cmp(&at(b, k)).then(a.cmp(&b));
        rows.select_nth_unstable_by(left, compare);
    }
    let (left, right) = rows.split_at_mut(left);
    halve(coordinates, width, block, boxed, left);
    halve(coordinates, width, block, boxed, right);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_and_boxes_are_smaller_than_of_rows_as_they_come() {
        for n in [1, 15, 16, 17, 64, 65, 200, 1_000] {
            let coordinates: Vec<f32> = (0..2 * n).map(|k| (k * 7919 % 1013) as f32).collect();
            let order = by_halves(&coordinates, 2, 16, 64);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..n as u32));
            let extent = |rows: &[u32]| -> f32 {
                let of = |k: usize| rows.iter().map(move |&row| (row as usize * 2 + k, k));
                let widths = [0, 1].map(|k| {
                    let all: Vec<f32> = of(k).map(|(at, _)| coordinates[at]).collect();
                    let fold = |f: fn(f32, f32) -> f32| all.iter().copied().reduce(f).unwrap();
                    fold(f32::max) - fold(f32::min)
                });
                widths.iter().product()
            };
            let mean = |order: &[u32]| order.chunks(64).map(extent).sum::<f32>();
            let as_they_come: Vec<u32> = (0..n as u32).collect();
            assert!(n <= 65 || mean(&order) < 0.6 * mean(&as_they_come), "{n}");
        }
    }
}
