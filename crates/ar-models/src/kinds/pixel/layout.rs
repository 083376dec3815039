//! How an event is an image, and which colours a feature may know.

use ar_kernels::pixel::Convolution;
use ar_kernels::pixel::walk::group;
use prob_core::ordering::Ordering;

use crate::foundation::error::Error;

/// Rows, columns and colours of an event, and where a value is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLayout {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1, or 3 for red, green and blue.
    pub colours: usize,
    colours_first: bool,
}

impl ImageLayout {
    /// From an event's shape: `[rows, columns]`, `[1 or 3, rows, columns]` or `[rows, columns, 1 or 3]`. The
    /// first that fits is taken.
    ///
    /// # Errors
    /// When the shape is none of these.
    pub fn of(model: &'static str, shape: &[usize]) -> Result<Self, Error> {
        let (height, width, colours, colours_first) = match *shape {
            [height, width] => (height, width, 1, true),
            [colours @ (1 | 3), height, width] => (height, width, colours, true),
            [height, width, colours @ (1 | 3)] => (height, width, colours, false),
            _ => (0, 0, 0, false),
        };
        if height * width == 0 {
            return Err(Error::Mismatch {
                model,
                needed:
                    "an image of shape [rows, columns], [3, rows, columns] or [rows, columns, 3]"
                        .into(),
                found: format!("shape {shape:?}"),
            });
        }
        Ok(Self { height, width, colours, colours_first })
    }

    /// Pixel by pixel in raster order, in each the colours red, green, blue.
    ///
    /// # Panics
    /// Never: this is a permutation.
    pub fn ordering(&self) -> Ordering {
        let Self { height, width, colours, colours_first } = *self;
        let index = |t: usize| {
            let (pixel, colour) = (t / colours, t % colours);
            if colours_first { colour * height * width + pixel } else { t }
        };
        let order = (0..height * width * colours).map(index).collect();
        Ordering::from_vec(order).expect("each value is visited once")
    }
}

/// Whether a feature may know its own colour (mask B of the paper) or only those before it (mask A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskKind {
    A,
    B,
}

/// The colour whose group `channel` of `channels` is in.
fn colour_of(channel: usize, channels: usize, colours: usize) -> usize {
    let found = (0..colours).find(|&k| group(channels, k, colours).contains(&channel));
    found.expect("the groups cover all channels")
}

/// The mask of a convolution's weights, `[taps, in, out]`: 1 where a tap may be seen. Earlier pixels
/// always are; of the pixel itself, group k sees groups below k, and with mask B group k too. The
/// outputs are `blocks` blocks (the four gates), each split by colour on its own. None where all is 1.
pub(crate) fn mask(
    kind: MaskKind,
    spec: &Convolution,
    inputs: usize,
    outputs: usize,
    blocks: usize,
    colours: usize,
) -> Option<Vec<f32>> {
    if colours == 1 {
        return None;
    }
    let width = outputs / blocks;
    let from: Vec<usize> = (0..inputs).map(|c| colour_of(c, inputs, colours)).collect();
    let to: Vec<usize> = (0..width).map(|c| colour_of(c, width, colours)).collect();
    let sees = |tap: [isize; 2], from: usize, to: usize| match kind {
        _ if tap != [0, 0] => true,
        MaskKind::A => from < to,
        MaskKind::B => from <= to,
    };
    let mut mask = Vec::with_capacity(spec.taps.len() * inputs * outputs);
    for &tap in &spec.taps {
        for &from in &from {
            for out in 0..outputs {
                mask.push(f32::from(u8::from(sees(tap, from, to[out % width]))));
            }
        }
    }
    Some(mask)
}

/// How many weights [`mask`] lets through, without making it.
pub(crate) fn seen(
    kind: MaskKind,
    spec: &Convolution,
    [inputs, outputs]: [usize; 2],
    blocks: usize,
    colours: usize,
) -> usize {
    let own = |from: usize, to: usize| match kind {
        MaskKind::A => from < to,
        MaskKind::B => from <= to,
    };
    let width = outputs / blocks;
    let size = |channels, colour| group(channels, colour, colours).len();
    let pairs = (0..colours).flat_map(|from| (0..colours).map(move |to| (from, to)));
    let here = pairs.filter(|&(from, to)| colours == 1 || own(from, to));
    let here: usize = here.map(|(from, to)| size(inputs, from) * size(width, to) * blocks).sum();
    let of_tap = |tap: &[isize; 2]| if *tap == [0, 0] { here } else { inputs * outputs };
    spec.taps.iter().map(of_tap).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_counted_without_a_mask() {
        for kind in [MaskKind::A, MaskKind::B] {
            for colours in [1, 3] {
                for spec in [Convolution::causal(3, true), Convolution::causal(7, colours > 1)] {
                    for (inputs, width, blocks) in [(3, 4, 1), (7, 5, 4), (8, 3, 4), (3, 256, 1)] {
                        let outputs = width * blocks;
                        let stored = spec.taps.len() * inputs * outputs;
                        let mask = mask(kind, &spec, inputs, outputs, blocks, colours);
                        let counted =
                            mask.map_or(stored, |mask| mask.iter().filter(|&&m| m != 0.0).count());
                        assert_eq!(seen(kind, &spec, [inputs, outputs], blocks, colours), counted);
                    }
                }
            }
        }
    }

    #[test]
    fn the_walk_visits_pixels_in_raster_order_and_in_each_its_colours() {
        let first = ImageLayout::of("x", &[3, 1, 2]).unwrap();
        assert_eq!(first.ordering().as_slice(), [0, 2, 4, 1, 3, 5]);
        let last = ImageLayout::of("x", &[1, 2, 3]).unwrap();
        // Ambiguous shapes with a leading 1 are one colour of 2 × 3 pixels.
        assert_eq!((last.colours, last.height, last.width), (1, 2, 3));
        let last = ImageLayout::of("x", &[4, 2, 3]).unwrap();
        assert_eq!((last.colours, last.ordering().as_slice()[4]), (3, 4));
        for shape in [&[4][..], &[2, 4, 4], &[0, 4], &[4, 4, 2]] {
            assert!(ImageLayout::of("x", shape).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn mask_a_sees_earlier_colours_and_mask_b_the_own_too() {
        let here = Convolution { taps: vec![[0, 0]], rectify: false };
        let a = mask(MaskKind::A, &here, 3, 3, 1, 3).unwrap();
        assert_eq!(a, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        let b = mask(MaskKind::B, &here, 3, 3, 1, 3).unwrap();
        assert_eq!(b, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        let left = Convolution { taps: vec![[0, -1]], rectify: false };
        assert!(mask(MaskKind::A, &left, 3, 6, 2, 3).unwrap().iter().all(|&m| m == 1.0));
        assert_eq!(mask(MaskKind::A, &here, 4, 4, 1, 1), None);
    }

    #[test]
    fn each_gate_is_split_by_colour_on_its_own() {
        let here = Convolution { taps: vec![[0, 0]], rectify: false };
        let gates = mask(MaskKind::B, &here, 3, 12, 4, 3).unwrap();
        // The last colour is seen by the last unit of each gate alone.
        assert_eq!(gates[24..], [0.0, 0.0, 1.0].repeat(4));
    }
}
