//! How many bytes a set of symbols takes, by coders that know nothing of the model.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::error::Internal;
use crate::files::Layout;

/// A set in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Size {
    /// By what.
    pub(crate) coder: String,
    /// All of it together.
    pub(crate) bytes: f64,
}

/// The sizes of a set: as it is, by deflate, and as PNG where events are images.
///
/// # Shapes
/// `values` is `[examples, variables]`.
///
/// # Errors
/// When a coder fails.
pub(crate) fn sizes(values: &[u8], shape: &[usize], levels: usize) -> Result<Vec<Size>> {
    let bits = bits_of(levels);
    let variables: usize = shape.iter().product();
    let rows: Vec<u8> = values.chunks_exact(variables).flat_map(|row| packed(row, bits)).collect();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::best());
    let deflated = deflate
        .write_all(&rows)
        .and_then(|()| deflate.finish())
        .context(Internal("deflate fails in memory"))?;
    let size = |coder: String, bytes: usize| Size { coder, bytes: bytes as f64 };
    let unit = if bits == 1 { "1 bit" } else { &format!("{bits} bits") };
    let mut sizes = vec![
        size(format!("as it is, {unit} a value"), rows.len()),
        size("deflate, level 9".to_owned(), deflated.len()),
    ];
    if let Some(layout) = Layout::of(shape) {
        let png = png(values, layout, levels)?;
        sizes.push(size("PNG, all images in one".to_owned(), png.len()));
    }
    Ok(sizes)
}

/// Bits that hold a value: those of PNG's grey levels.
fn bits_of(levels: usize) -> usize {
    match levels {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        _ => 8,
    }
}

/// Values of so many bits, the first in the upper bits of the first byte; a row starts a byte.
fn packed(row: &[u8], bits: usize) -> Vec<u8> {
    row.chunks(8 / bits)
        .map(|values| {
            let places = (0..8 / bits).map(|k| 8 - bits * (k + 1));
            values.iter().zip(places).fold(0, |byte, (value, place)| byte | value << place)
        })
        .collect()
}

/// All images below each other as one PNG, grey or in colours.
fn png(values: &[u8], layout: Layout, levels: usize) -> Result<Vec<u8>> {
    let Layout { height, width, channels, .. } = layout;
    let (color, bits) = match channels {
        1 => (png::ColorType::Grayscale, bits_of(levels)),
        _ => (png::ColorType::Rgb, 8),
    };
    let depth = match bits {
        1 => png::BitDepth::One,
        2 => png::BitDepth::Two,
        4 => png::BitDepth::Four,
        _ => png::BitDepth::Eight,
    };
    let mut lines = Vec::new();
    let images = values.chunks_exact(height * width * channels);
    let count = images.len();
    for image in images {
        for row in 0..height {
            let line: Vec<u8> = (0..width * channels)
                .map(|i| image[layout.index(row, i / channels, i % channels)])
                .collect();
            lines.extend(packed(&line, bits));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, (count * height) as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(&lines)?;
            writer.finish()
        })
        .context(Internal("images are no PNG"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_packed_from_the_left_and_rows_start_a_byte() {
        assert_eq!(packed(&[1, 0, 1, 1, 0, 0, 0, 1, 1], 1), [0b1011_0001, 0b1000_0000]);
        assert_eq!(packed(&[3, 1, 2], 2), [0b1101_1000]);
        assert_eq!(packed(&[15, 1], 4), [0xf1]);
        assert_eq!(packed(&[7, 255], 8), [7, 255]);
    }

    #[test]
    fn a_png_holds_the_values() {
        for (shape, levels) in
            [(vec![3, 5], 2), (vec![2, 4], 4), (vec![2, 3], 17), (vec![3, 2, 4], 256)]
        {
            let variables: usize = shape.iter().product();
            let values: Vec<u8> = (0..4 * variables).map(|i| (i * i / 3 % levels) as u8).collect();
            let layout = Layout::of(&shape).unwrap();
            let bytes = png(&values, layout, levels).unwrap();
            let mut decoder = png::Decoder::new(std::io::Cursor::new(&bytes));
            decoder.set_transformations(png::Transformations::IDENTITY);
            let mut reader = decoder.read_info().unwrap();
            let mut lines = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut lines).unwrap();
            let bits = if layout.channels == 3 { 8 } else { bits_of(levels) };
            let width = (layout.width * layout.channels * bits).div_ceil(8);
            for (k, image) in values.chunks_exact(variables).enumerate() {
                for row in 0..layout.height {
                    let line = &lines[(k * layout.height + row) * width..][..width];
                    for i in 0..layout.width * layout.channels {
                        let at = layout.index(row, i / layout.channels, i % layout.channels);
                        let byte = line[i * bits / 8];
                        let found =
                            (byte >> (8 - bits - i * bits % 8)) & ((1_u16 << bits) - 1) as u8;
                        assert_eq!(found, image[at], "{shape:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_repeats_takes_less_than_what_does_not() {
        let zeros = sizes(&[0; 6400], &[8, 8], 2).unwrap();
        let names: Vec<&str> = zeros.iter().map(|size| size.coder.as_str()).collect();
        assert_eq!(
            names,
            ["as it is, 1 bit a value", "deflate, level 9", "PNG, all images in one"]
        );
        assert_eq!(zeros[0].bytes, 800.0);
        assert!(zeros[1].bytes < 50.0 && zeros[2].bytes < 150.0, "{zeros:?}");
        // Tables are no PNG.
        assert_eq!(sizes(&[0; 64], &[64], 2).unwrap().len(), 2);
    }
}
