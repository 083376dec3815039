//! Raster pictures: samples, cost maps, and the sheet of samples for the README.

use super::font;
use crate::npy::Array;
use anyhow::{Context as _, Result};

/// A colour, red, green, blue.
pub(crate) type Rgb = [u8; 3];

const PAPER: Rgb = [255, 255, 255];
const CELL: Rgb = [244, 242, 238];
const INK: Rgb = [28, 27, 25];
const MUTED: Rgb = [118, 113, 104];

/// How the values of an image lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    rows: usize,
    columns: usize,
    /// 1, or 3 for red, green and blue.
    channels: usize,
    /// `[channels, rows, columns]` instead of `[rows, columns, channels]`.
    channels_first: bool,
}

impl Layout {
    /// The layout of events of a shape; `None` where they are no images.
    fn of(shape: &[usize]) -> Option<Self> {
        let (rows, columns, channels, channels_first) = match *shape {
            [rows, columns] => (rows, columns, 1, true),
            [channels @ (1 | 3), rows, columns] => (rows, columns, channels, true),
            [rows, columns, channels @ (1 | 3)] => (rows, columns, channels, false),
            _ => return None,
        };
        let is_empty = rows == 0 || columns == 0;
        (!is_empty).then_some(Self { rows, columns, channels, channels_first })
    }

    fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Where a channel of pixel `i`, counted along the rows, lies.
    fn index(&self, i: usize, channel: usize) -> usize {
        if self.channels_first { channel * self.pixels() + i } else { i * self.channels + channel }
    }
}

/// Images of one size, the symbols as they are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Images {
    layout: Layout,
    /// The symbol that is drawn as full ink or full light, at least 1.
    top: f32,
    symbols: Vec<f32>,
}

impl Images {
    /// Images out of an array `[count, ...event shape]` of symbols of so many levels; `None` where
    /// the events are no images.
    pub(crate) fn new(array: Array, levels: u64) -> Option<Self> {
        let layout = Layout::of(array.shape.get(1..)?)?;
        let top = levels.saturating_sub(1).max(1) as f32;
        Some(Self { layout, top, symbols: array.values })
    }

    /// The images one after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.symbols.chunks_exact(self.layout.pixels() * self.layout.channels)
    }

    /// Whether they have colours of their own.
    pub(crate) fn has_colours(&self) -> bool {
        self.layout.channels == 3
    }

    /// The colour of pixel `i` of an image: its own, or one between cell and ink.
    fn pixel(&self, image: &[f32], i: usize) -> Rgb {
        let share = |channel| (image[self.layout.index(i, channel)] / self.top).clamp(0.0, 1.0);
        if self.has_colours() {
            std::array::from_fn(|channel| mix(0, 255, share(channel)))
        } else {
            std::array::from_fn(|k| mix(CELL[k], INK[k], share(0)))
        }
    }

    /// One image as the bytes of a PNG, in its colours or as ink on paper.
    pub(crate) fn png(&self, image: &[f32]) -> Result<Vec<u8>> {
        let Layout { rows, columns, .. } = self.layout;
        let pixels = (0..self.layout.pixels()).map(|i| self.pixel(image, i));
        if self.has_colours() {
            let pixels: Vec<u8> = pixels.flatten().collect();
            encode(columns, rows, png::ColorType::Rgb, &pixels)
        } else {
            let pixels: Vec<u8> = pixels.map(|[grey, ..]| grey).collect();
            encode(columns, rows, png::ColorType::Grayscale, &pixels)
        }
    }
}

fn mix(from: u8, to: u8, share: f32) -> u8 {
    // Between two u8 by construction, so the cast cannot wrap.
    (f32::from(from) + (f32::from(to) - f32::from(from)) * share).round() as u8
}

/// Bytes of a PNG file.
fn encode(width: usize, height: usize, color: png::ColorType, pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().context("cannot encode a PNG")?;
    writer.write_image_data(pixels).context("cannot encode a PNG")?;
    writer.finish().context("cannot encode a PNG")?;
    Ok(bytes)
}

/// A sequential colour scale, dark to bright, equally far apart for the eye (matplotlib's
/// viridis at nine points).
const SCALE: [Rgb; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// The colour at `share` of the scale, 0 to 1.
pub(crate) fn color(share: f32) -> Rgb {
    let position = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f32;
    let below = (position as usize).min(SCALE.len() - 2);
    let within = position - below as f32;
    std::array::from_fn(|i| mix(SCALE[below][i], SCALE[below + 1][i], within))
}

/// The cost of each pixel, all its channels together, as a map `[rows, columns]`; `None` where the
/// events are no images.
pub(crate) fn pixel_costs(costs: &Array) -> Option<Array> {
    let layout = Layout::of(&costs.shape)?;
    let cost = |i| (0..layout.channels).map(|channel| costs.values[layout.index(i, channel)]).sum();
    let values = (0..layout.pixels()).map(cost).collect();
    Some(Array { shape: vec![layout.rows, layout.columns], values })
}

/// A map `[rows, columns]` of costs as the bytes of a PNG, one pixel a cell; `None` for another
/// shape. `largest` is the cost at the bright end.
pub(crate) fn heat_map(costs: &Array, largest: f32) -> Result<Option<Vec<u8>>> {
    let [rows, columns] = costs.shape[..] else {
        return Ok(None);
    };
    let pixels: Vec<u8> = costs.values.iter().flat_map(|&cost| color(cost / largest)).collect();
    encode(columns, rows, png::ColorType::Rgb, &pixels).map(Some)
}

/// One row of the sheet.
pub(crate) struct SheetRow<'a> {
    /// The name at the left.
    pub(crate) label: String,
    /// The smaller line under the name.
    pub(crate) note: String,
    /// The images at the right.
    pub(crate) images: &'a Images,
}

/// Rows of images with their names at the left, as the bytes of a PNG.
pub(crate) fn sheet(rows: &[SheetRow<'_>]) -> Result<Vec<u8>> {
    /// Free space around everything, between rows and beside the names, pixels.
    const MARGIN: usize = 16;
    /// Free space between two images, pixels.
    const GAP: usize = 6;
    /// Least side of an image on the sheet, pixels.
    const SIDE: usize = 48;
    /// Dots of a letter are squares of this many pixels.
    const DOT: usize = 2;

    let scale =
        |images: &Images| SIDE.div_ceil(images.layout.rows.max(images.layout.columns)).max(1);
    let label_width = rows
        .iter()
        .flat_map(|row| [font::width(&row.label), font::width(&row.note)])
        .max()
        .unwrap_or(0)
        * DOT;
    let images_width = |row: &SheetRow<'_>| {
        row.images.iter().count() * (row.images.layout.columns * scale(row.images) + GAP)
    };
    let width = 3 * MARGIN + label_width + rows.iter().map(images_width).max().unwrap_or(0) - GAP;
    let row_height = |row: &SheetRow<'_>| row.images.layout.rows * scale(row.images) + GAP;
    let height = 2 * MARGIN + rows.iter().map(row_height).sum::<usize>() - GAP;

    let mut canvas = Canvas::new(width, height);
    let mut top = MARGIN;
    for row in rows {
        let side = scale(row.images);
        let Layout { rows, columns, .. } = row.images.layout;
        let text_height = 2 * font::HEIGHT * DOT + 2 * DOT;
        let text_top = top + (rows * side).saturating_sub(text_height) / 2;
        canvas.text(MARGIN, text_top, DOT, &row.label, INK);
        canvas.text(MARGIN, text_top + (font::HEIGHT + 2) * DOT, DOT, &row.note, MUTED);
        let mut left = 2 * MARGIN + label_width;
        for image in row.images.iter() {
            for i in 0..rows * columns {
                let (y, x) = (i / columns, i % columns);
                let colour = row.images.pixel(image, i);
                canvas.square(left + x * side, top + y * side, side, colour);
            }
            left += columns * side + GAP;
        }
        top += row_height(row);
    }
    encode(canvas.width, canvas.height, png::ColorType::Rgb, &canvas.pixels)
}

/// A picture to draw squares on.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: PAPER.repeat(width * height) }
    }

    /// A filled square; what lies outside the picture is cut off.
    fn square(&mut self, left: usize, top: usize, side: usize, color: Rgb) {
        for y in top..(top + side).min(self.height) {
            for x in left..(left + side).min(self.width) {
                let start = 3 * (y * self.width + x);
                self.pixels[start..start + 3].copy_from_slice(&color);
            }
        }
    }

    fn text(&mut self, left: usize, top: usize, dot: usize, text: &str, color: Rgb) {
        for (x, y) in font::dots(text) {
            self.square(left + x * dot, top + y * dot, dot, color);
        }
    }
}

/// The bytes of a PNG as a `data:` URI.
pub(crate) fn data_uri(png: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("data:image/png;base64,");
    for chunk in png.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = (bits >> (18 - 6 * i)) & 63;
            text.push(if i <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `count` images of 2 rows and 3 columns.
    pub(crate) fn images(count: usize) -> Images {
        let values = (0..count * 6).map(|i| (i % 2) as f32).collect();
        Images::new(Array { shape: vec![count, 2, 3], values }, 2).unwrap()
    }

    fn decode(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn an_image_keeps_its_size_and_draws_ones_dark() {
        let images = images(1);
        let png = images.png(images.iter().next().unwrap()).unwrap();
        let (paper, ink) = (CELL[0], INK[0]);
        assert_eq!(decode(&png), (3, 2, vec![paper, ink, paper, ink, paper, ink]));
    }

    #[test]
    fn greys_are_ink_by_their_share_of_the_levels() {
        let array = Array { shape: vec![1, 1, 3], values: vec![0.0, 8.0, 16.0] };
        let images = Images::new(array, 17).unwrap();
        let png = images.png(images.iter().next().unwrap()).unwrap();
        assert_eq!(decode(&png), (3, 1, vec![CELL[0], mix(CELL[0], INK[0], 0.5), INK[0]]));
    }

    #[test]
    fn colours_are_their_own_wherever_the_channels_stand() {
        // Two rows of one pixel, four levels: red and white.
        for (shape, values) in
            [([1, 3, 2, 1], [3., 3., 0., 3., 0., 3.]), ([1, 2, 1, 3], [3., 0., 0., 3., 3., 3.])]
        {
            let array = Array { shape: shape.to_vec(), values: values.to_vec() };
            let images = Images::new(array, 4).unwrap();
            let png = images.png(images.iter().next().unwrap()).unwrap();
            assert_eq!(decode(&png), (1, 2, vec![255, 0, 0, 255, 255, 255]));
        }
    }

    #[test]
    fn the_cost_of_a_pixel_is_that_of_its_channels() {
        let values = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        for (shape, expected) in [
            (&[3, 2, 1][..], vec![21.0, 42.0]),
            (&[2, 1, 3], vec![7.0, 56.0]),
            (&[2, 3], values.clone()),
        ] {
            let costs = Array { shape: shape.to_vec(), values: values.clone() };
            assert_eq!(pixel_costs(&costs).unwrap().values, expected, "{shape:?}");
        }
    }

    #[test]
    fn tables_are_no_images() {
        let array = |shape: &[usize]| Array { shape: shape.to_vec(), values: vec![] };
        assert_eq!(Images::new(array(&[4, 7]), 2), None);
        assert_eq!(Images::new(array(&[4, 0, 7]), 2), None);
        assert_eq!(Images::new(array(&[4, 8, 8, 2]), 2), None);
        assert_eq!(pixel_costs(&array(&[7])), None);
        assert_eq!(heat_map(&array(&[7]), 1.0).unwrap(), None);
    }

    #[test]
    fn the_colour_scale_runs_from_its_first_to_its_last_colour() {
        assert_eq!(color(-1.0), SCALE[0]);
        assert_eq!(color(0.125), SCALE[1]);
        assert_eq!(color(1.0), SCALE[8]);
        assert_eq!(color(f32::INFINITY), SCALE[8]);
    }

    #[test]
    fn the_sheet_holds_every_row_and_its_name() {
        let images = images(4);
        let rows = ["NADE", "Markov 1"].map(|label| SheetRow {
            label: label.to_owned(),
            note: "17.50 nats".to_owned(),
            images: &images,
        });
        let (width, height, pixels) = decode(&sheet(&rows).unwrap());
        assert_eq!((width, height), (48 + 2 * 59 + 4 * 54 - 6, 32 + 2 * 38 - 6));
        let label = |x: usize, y: usize| {
            let start = 3 * (y * width as usize + x);
            pixels[start..start + 3] == INK
        };
        let inked = (0..height as usize)
            .flat_map(|y| (0..16 + 118).map(move |x| (x, y)))
            .filter(|&(x, y)| label(x, y))
            .count();
        let dots = font::dots("NADE").len() + font::dots("Markov 1").len();
        assert_eq!(inked, dots * 4);
    }

    #[test]
    fn base64_pads_like_rfc_4648() {
        for (bytes, expected) in
            [("", ""), ("M", "TQ=="), ("Ma", "TWE="), ("Man", "TWFu"), ("Man!", "TWFuIQ==")]
        {
            assert_eq!(data_uri(bytes.as_bytes()), format!("data:image/png;base64,{expected}"));
        }
    }
}
