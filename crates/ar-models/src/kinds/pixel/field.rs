//! Which pixels the definition of a network lets each pixel see.

use ar_kernels::pixel::{Convolution, Kind, Lstm};

use super::settings::PixelKind;

/// Which pixels the conditional of each pixel may look at, `[pixel][pixel]`, for a network of `layers` layers over
/// images of `[height, width]`: by reachability over its taps. Of colours a pixel sees its own earlier ones as well.
///
/// ```
/// use ar_models::pixel::{PixelKind, receptive_field};
///
/// // A triangle: the first pixel of the second row sees the one above it, and not the other end of that row.
/// let field = receptive_field(PixelKind::RowLstm, 1, [2, 8]);
/// assert!(field[8][0] && !field[8][7] && !field[8][8]);
/// ```
pub fn receptive_field(
    kind: PixelKind,
    layers: usize,
    [height, width]: [usize; 2],
) -> Vec<Vec<bool>> {
    type Field = Vec<Vec<bool>>;
    let n = height * width;
    let at = |p: usize, tap: [isize; 2]| {
        let row = (p / width).checked_add_signed(tap[0]).filter(|r| *r < height)?;
        let column = (p % width).checked_add_signed(tap[1]).filter(|c| *c < width)?;
        Some(row * width + column)
    };
    let join = |to: &mut Vec<bool>, from: &[bool]| {
        to.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
    };
    let through = |from: &Field, taps: &[[isize; 2]]| -> Field {
        let mut to = vec![vec![false; n]; n];
        for (p, to) in to.iter_mut().enumerate() {
            for q in taps.iter().filter_map(|&tap| at(p, tap)) {
                join(to, &from[q]);
            }
        }
        to
    };
    let pixels: Field = (0..n).map(|p| (0..n).map(|q| p == q).collect()).collect();
    let mut y = through(&pixels, &Convolution::causal(7, false).taps);
    for _ in 0..layers {
        let kind = match kind {
            PixelKind::RowLstm => Kind::Row,
            PixelKind::DiagonalLstm => Kind::Diagonal,
            PixelKind::DiagonalBilstm => Kind::DiagonalBoth,
            PixelKind::PixelCnn => {
                let seen = through(&y, &Convolution::causal(3, true).taps);
                y.iter_mut().zip(&seen).for_each(|(to, from)| join(to, from));
                continue;
            }
        };
        let mut sum = vec![vec![false; n]; n];
        for direction in (Lstm { kind, residual: true, recompute: false }).directions() {
            let mut h = through(&y, &direction.input_taps);
            // The states before a cell, again and again, until nothing more is seen.
            loop {
                let mut next = h.clone();
                let before = through(&h, &direction.state_taps);
                next.iter_mut().zip(&before).for_each(|(to, from)| join(to, from));
                if next == h {
                    break;
                }
                h = next;
            }
            let entered = through(&h, &[[-(direction.shift as isize), 0]]);
            sum.iter_mut().zip(&entered).for_each(|(to, from)| join(to, from));
        }
        y.iter_mut().zip(&sum).for_each(|(to, from)| join(to, from));
    }
    y
}
