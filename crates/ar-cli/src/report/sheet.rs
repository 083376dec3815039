//! A picture of pictures: lines of them with what they are at the left. Pictures without colours are ink on paper, so that
//! their edges are seen.

use anyhow::Result;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle, iso_8859_1};
use embedded_graphics::pixelcolor::{Rgb888, raw::RawU24};
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage};

use super::Picture;
use crate::files;

/// A line of pictures.
pub(crate) struct SheetLine<'a> {
    /// What they are.
    pub(crate) label: String,
    /// What else is to be said of them.
    pub(crate) note: String,
    /// Of one size.
    pub(crate) pictures: &'a [Picture],
    /// Whether they have colours of their own.
    pub(crate) has_colours: bool,
}

/// Free space around everything and beside the labels, pixels.
const MARGIN: usize = 16;
/// Free space between two pictures.
const GAP: usize = 6;
/// Least side of a picture.
const SIDE: usize = 48;

const PAPER: Rgb<u8> = Rgb([255; 3]);
/// What is drawn in ink lies between these.
const SHADES: [[u8; 3]; 2] = [[244, 242, 238], [28, 27, 25]];
const INK: Rgb888 = Rgb888::new(SHADES[1][0], SHADES[1][1], SHADES[1][2]);
const MUTED: Rgb888 = Rgb888::new(106, 101, 92);
const LABEL: MonoFont<'_> = iso_8859_1::FONT_9X18_BOLD;
const NOTE: MonoFont<'_> = iso_8859_1::FONT_8X13;

/// The lines below each other, as a PNG.
///
/// # Errors
/// When it cannot be encoded.
pub(crate) fn sheet(lines: &[SheetLine<'_>]) -> Result<Vec<u8>> {
    let image = drawn(lines);
    files::png(image.as_raw(), [image.width() as usize, image.height() as usize], 3)
}

fn drawn(lines: &[SheetLine<'_>]) -> RgbImage {
    let labels = lines.iter().flat_map(|line| [(&line.label, LABEL), (&line.note, NOTE)]);
    let labels = labels.map(|(text, font)| width_of(text, &font)).max().unwrap_or(0);
    let pictures = lines.iter().map(|line| {
        let [width, _] = line.size();
        line.pictures.len() * (width + GAP)
    });
    let width = 3 * MARGIN + labels + pictures.max().unwrap_or(0).saturating_sub(GAP);
    let heights: usize = lines.iter().map(|line| line.size()[1] + GAP).sum();
    let height = 2 * MARGIN + heights.saturating_sub(GAP);

    let mut canvas = Canvas(RgbImage::from_pixel(width as u32, height as u32, PAPER));
    let mut top = MARGIN;
    for line in lines {
        let [width, height] = line.size();
        let (label, note) = (LABEL.character_size.height, NOTE.character_size.height);
        let text_top = top + height.saturating_sub((label + note) as usize) / 2;
        canvas.text(&line.label, text_top, &LABEL, INK);
        canvas.text(&line.note, text_top + label as usize, &NOTE, MUTED);
        for (i, picture) in line.pictures.iter().enumerate() {
            let left = 2 * MARGIN + labels + i * (width + GAP);
            canvas.picture(picture, [left, top], line);
        }
        top += height + GAP;
    }
    canvas.0
}

/// A grey as ink.
fn ink(grey: u8) -> [u8; 3] {
    let [paper, ink] = SHADES;
    let mix = |k: usize| {
        let (paper, ink) = (u32::from(paper[k]), u32::from(ink[k]));
        // Between two u8 by construction.
        ((paper * (255 - u32::from(grey)) + ink * u32::from(grey) + 127) / 255) as u8
    };
    std::array::from_fn(mix)
}

fn width_of(text: &str, font: &MonoFont<'_>) -> usize {
    text.chars().count() * (font.character_size.width + font.character_spacing) as usize
}

impl SheetLine<'_> {
    /// Pixels of the sheet that a pixel of a picture is wide and high.
    fn scale(&self) -> usize {
        let side = self.pictures.first().map_or(1, |picture| picture.width.max(picture.height()));
        SIDE.div_ceil(side)
    }

    /// Width and height of a picture on the sheet.
    fn size(&self) -> [usize; 2] {
        let size = self.pictures.first().map_or([0; 2], |p| [p.width, p.height()]);
        size.map(|length| length * self.scale())
    }
}

/// What is drawn on.
struct Canvas(RgbImage);

impl Canvas {
    fn picture(&mut self, picture: &Picture, [left, top]: [usize; 2], line: &SheetLine<'_>) {
        let scale = line.scale();
        for (i, &pixel) in picture.pixels.iter().enumerate() {
            let pixel = if line.has_colours { pixel } else { ink(pixel[0]) };
            let (x, y) = (left + i % picture.width * scale, top + i / picture.width * scale);
            for (dx, dy) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dx, dy))) {
                self.0.put_pixel((x + dx) as u32, (y + dy) as u32, Rgb(pixel));
            }
        }
    }

    fn text(&mut self, text: &str, top: usize, font: &MonoFont<'_>, color: Rgb888) {
        let at = Point::new(MARGIN as i32, top as i32);
        let style = MonoTextStyle::new(font, color);
        let drawn = Text::with_baseline(text, at, style, Baseline::Top).draw(self);
        drawn.unwrap_or_else(|never| match never {});
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(at, color) in pixels {
            let inside = |at: i32, length: u32| u32::try_from(at).ok().filter(|&at| at < length);
            if let (Some(x), Some(y)) =
                (inside(at.x, self.0.width()), inside(at.y, self.0.height()))
            {
                let [_, rgb @ ..] = RawU24::from(color).into_inner().to_be_bytes();
                self.0.put_pixel(x, y, Rgb(rgb));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Layout;

    #[test]
    fn the_sheet_holds_every_line_and_its_words() {
        let layout = Layout::of(&[2, 3]).unwrap();
        let picture =
            || Picture::of_event(String::new(), layout, 2, &[0, 1, 1, 0, 0, 1], |_| true).unwrap();
        let pictures = [picture(), picture()];
        let line = |label: &str| SheetLine {
            label: label.to_owned(),
            note: "17.50 nats".to_owned(),
            pictures: &pictures,
            has_colours: false,
        };
        // Pixels of 16: pictures of 48 × 32; "a long label" is 12 letters of 9.
        let image = drawn(&[line("a long label"), line("b")]);
        assert_eq!(image.dimensions(), (48 + 12 * 9 + 2 * 48 + 6, 32 + 2 * 32 + 6));
        let left = 32 + 12 * 9;
        let at = |x: u32, y: u32| image.get_pixel(left + x, 16 + y).0;
        let [paper, shade] = SHADES;
        let found = [(0, 0), (15, 15), (16, 0), (47, 31), (48, 0)].map(|(x, y)| at(x, y));
        assert_eq!(found, [paper, paper, shade, shade, [255; 3]]);
        assert_eq!(at(54, 38), paper, "the second picture of the second line");
        let inked = |from: u32, to: u32| {
            let of_labels = image.enumerate_pixels().filter(|(x, ..)| *x < left);
            of_labels.filter(|(_, y, pixel)| (from..to).contains(y) && pixel.0 == shade).count()
        };
        assert!(inked(16, 48) > 3 * inked(54, 86), "twelve letters and one");
        assert!(inked(54, 86) > 0);
        // Colours are their own.
        let colourful = drawn(&[SheetLine { has_colours: true, ..line("a long label") }]);
        assert_eq!(colourful.get_pixel(left, 16).0, [0; 3]);
        assert_eq!([ink(0), ink(128), ink(255)], [paper, [136, 134, 131], shade]);
    }
}
