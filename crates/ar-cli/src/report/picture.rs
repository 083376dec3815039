//! Images inside the page, as PNG in `data:` URIs.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plotters::style::colors::colormaps::ViridisRGB;

use crate::files::{self, Layout, UNSEEN, tone};

/// A picture and what it shows.
pub(crate) struct Picture {
    /// What it shows, for those who do not see it.
    pub(crate) alt: String,
    /// `data:image/png;base64,…`
    pub(crate) uri: String,
    /// Pixels in a row.
    pub(super) width: usize,
    /// Row by row.
    pub(super) pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn new(alt: String, width: usize, height: usize, pixels: Vec<[u8; 3]>) -> Result<Self> {
        let is_grey = pixels.iter().all(|[red, green, blue]| red == green && green == blue);
        let png = if is_grey {
            let greys: Vec<u8> = pixels.iter().map(|[grey, ..]| *grey).collect();
            files::png(&greys, [width, height], 1)?
        } else {
            files::png(pixels.as_flattened(), [width, height], 3)?
        };
        let uri = format!("data:image/png;base64,{}", STANDARD.encode(png));
        Ok(Self { alt, uri, width, pixels })
    }

    /// Rows of pixels.
    pub(super) fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// An event as an image; pixels that are not observed are blue.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn of_event(
        alt: String,
        layout: Layout,
        levels: usize,
        event: &[u8],
        observed: impl Fn(usize) -> bool,
    ) -> Result<Self> {
        let mut pixels = Vec::with_capacity(layout.height * layout.width);
        for row in 0..layout.height {
            for column in 0..layout.width {
                pixels.push(std::array::from_fn(|colour| {
                    // The one channel of a grey image is red, green and blue.
                    let at = layout.index(row, column, colour.min(layout.channels - 1));
                    if observed(at) { tone(event[at], levels) } else { UNSEEN[colour] }
                }));
            }
        }
        Self::new(alt, layout.width, layout.height, pixels)
    }

    /// The cost of each pixel, all its channels together.
    pub(crate) fn pixel_costs(layout: Layout, costs: &[f64]) -> Vec<f64> {
        let pixels =
            (0..layout.height).flat_map(|row| (0..layout.width).map(move |column| (row, column)));
        let sum = |(row, column)| -> f64 {
            (0..layout.channels).map(|channel| costs[layout.index(row, column, channel)]).sum()
        };
        pixels.map(sum).collect()
    }

    /// A map of the costs of pixels, on a scale that ends at `largest`.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn of_map(alt: String, layout: Layout, costs: &[f64], largest: f64) -> Result<Self> {
        let share = |cost: &f64| if largest > 0.0 { cost / largest } else { 0.0 };
        let pixels: Vec<[u8; 3]> = costs.iter().map(|cost| shade(share(cost))).collect();
        Self::new(alt, layout.width, layout.height, pixels)
    }

    /// A map of costs, all channels of a pixel together, and the largest of them.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn of_costs(alt: String, layout: Layout, costs: &[f64]) -> Result<(Self, f64)> {
        let costs = Self::pixel_costs(layout, costs);
        let finite = costs.iter().copied().filter(|cost| cost.is_finite());
        let largest = finite.fold(0.0, f64::max);
        Ok((Self::of_map(alt, layout, &costs, largest)?, largest))
    }

    /// The colours of a map, from its dark end to its bright one.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn scale(alt: String) -> Result<Self> {
        let pixels: Vec<[u8; 3]> = (0..=255).map(|i| shade(f64::from(i) / 255.0)).collect();
        Self::new(alt, pixels.len(), 1, pixels)
    }
}

/// The colour at a share of the scale, 0 to 1: viridis, equally far apart for the eye.
pub(crate) fn shade(share: f64) -> [u8; 3] {
    let plotters::style::RGBColor(red, green, blue) =
        ViridisRGB::get_color(share.clamp(0.0, 1.0) as f32);
    [red, green, blue]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(picture: &Picture) -> image::RgbImage {
        let png = picture.uri.strip_prefix("data:image/png;base64,").unwrap();
        image::load_from_memory(&STANDARD.decode(png).unwrap()).unwrap().to_rgb8()
    }

    #[test]
    fn an_event_keeps_its_size_its_greys_and_its_gaps() {
        let layout = Layout::of(&[1, 3]).unwrap();
        let picture = Picture::of_event(String::new(), layout, 3, &[0, 1, 2], |at| at < 2).unwrap();
        let image = decode(&picture);
        assert_eq!(image.dimensions(), (3, 1));
        let pixels: Vec<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[0; 3], [128; 3], UNSEEN]);
        // Colours, channels first.
        let layout = Layout::of(&[3, 1, 2]).unwrap();
        let event = [1, 0, 0, 1, 1, 1];
        let picture = Picture::of_event(String::new(), layout, 2, &event, |_| true).unwrap();
        let pixels: Vec<[u8; 3]> = decode(&picture).pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[255, 0, 255], [0, 255, 255]]);
    }

    #[test]
    fn the_cost_of_a_pixel_is_that_of_its_channels() {
        let layout = Layout::of(&[3, 1, 2]).unwrap();
        let costs = [0.0, 1.0, 0.0, 2.0, 0.0, f64::from(4_u8)];
        let (picture, largest) = Picture::of_costs(String::new(), layout, &costs).unwrap();
        assert_eq!(largest, 7.0);
        let image = decode(&picture);
        assert_eq!([image.get_pixel(0, 0).0, image.get_pixel(1, 0).0], [shade(0.0), shade(1.0)]);
        assert_ne!(shade(0.0), shade(1.0));
    }
}
