//! What one conditional of a model of images looks at, drawn: `inspect RUN --out sees.png`.
//!
//! What it may look at follows from the kind of the model. What it does look at is measured, as a Jacobian is, but with steps
//! of a whole level, since symbols have no smaller ones: of images that the model draws itself one pixel after the other is
//! changed, and the change of p(x_i | x_<i) is averaged over the images.

use std::path::Path;

use anyhow::Result;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::Rows;
use ar_models::model::Model;
use ar_models::pixel::receptive_field;
use ar_models::randomness::{Purpose, stream};
use serde::Serialize;

use crate::error::mistake;
use crate::files::{self, Layout};
use crate::outputs::out;
use crate::report::shade;

/// Images that are changed, and how many rows that may make at most.
const IMAGES: usize = 16;
const MAX_ROWS: usize = 30_000;
/// Rows that are evaluated at a time.
const BATCH: usize = 100;
/// A smaller change is one of rounding, which depends on the rows that are evaluated together.
const ROUNDING: f64 = 1e-6;

/// The chosen pixel, what its conditional may not look at, and what it may.
const CHOSEN: [u8; 3] = [220, 38, 38];
const HIDDEN: [u8; 3] = [64, 64, 64];
const OPEN: [u8; 3] = [236, 236, 236];

/// What was drawn.
#[derive(Debug, Serialize)]
pub(crate) struct Looks {
    /// The file.
    pub(crate) out: String,
    /// Row and column of the pixel.
    pub(crate) pixel: [usize; 2],
    /// Pixels that its conditional may look at.
    pub(crate) may_see: usize,
    /// Row and column of the pixel that changes it the most, if any does.
    pub(crate) strongest: Option<[usize; 2]>,
    /// By how much that changes the probability of its value, on average.
    pub(crate) largest_effect: f64,
    /// The same of the pixels that it may not look at, all of them: 0, or the model is none.
    pub(crate) effect_of_others: f64,
    /// Images that were changed.
    pub(crate) images: usize,
}

impl Looks {
    /// In words.
    pub(crate) fn words(&self) -> String {
        let [row, column] = self.pixel;
        let strongest = self.strongest.map_or_else(String::new, |[row, column]| {
            format!("; most at {row},{column}, which changes p by {:.3}", self.largest_effect)
        });
        format!(
            "of pixel {row},{column} to {}: left the {} pixels that it may, right how much it does{strongest}",
            self.out, self.may_see
        )
    }
}

/// Measures, draws and writes. The pixel is the middle one unless it is chosen.
///
/// # Errors
/// When events are no images of symbols, there is no such pixel, or the file cannot be written.
pub(crate) fn draw(
    path: &Path,
    pixel: Option<[usize; 2]>,
    config: &ModelConfig,
    event: &EventSpec,
    model: &Model,
) -> Result<Looks> {
    let (Some(layout), Some(levels)) = (Layout::of(&event.shape), event.levels) else {
        return Err(mistake(
            "--out draws what a pixel sees, and these events are no images of bits or levels",
            "leave --out out; `score --per-variable` has the cost of each variable",
        ));
    };
    let [row, column] = pixel.unwrap_or([layout.height / 2, layout.width / 2]);
    if row >= layout.height || column >= layout.width {
        let Layout { height, width, .. } = layout;
        return Err(mistake(
            format!(
                "--pixel {row},{column}: the images have {height} rows and {width} columns, counted from 0"
            ),
            format!("the middle one is --pixel {},{}", height / 2, width / 2),
        ));
    }
    // The last colour, which may see the others of its pixel.
    let target = layout.index(row, column, layout.channels - 1);
    let may = of_pixels(layout, &may_see(config, layout, model, target)?, |a, b| a || b);
    let images = (MAX_ROWS / event.variables().max(1)).clamp(1, IMAGES);
    let effects = of_pixels(layout, &effects(model, levels, images, target), f64::max);
    let chosen = row * layout.width + column;
    let others = (0..may.len()).filter(|&pixel| !may[pixel] && pixel != chosen);
    let effect_of_others = others.map(|pixel| effects[pixel]).fold(0.0, f64::max);
    let seen = (0..may.len()).filter(|&pixel| may[pixel] && pixel != chosen);
    let strongest = seen.clone().max_by(|&a, &b| effects[a].total_cmp(&effects[b]));
    let strongest = strongest.filter(|&pixel| effects[pixel] > 0.0);
    let largest_effect = strongest.map_or(0.0, |pixel| effects[pixel]);
    let share =
        |pixel: usize| if largest_effect > 0.0 { effects[pixel] / largest_effect } else { 0.0 };
    let colour = |pixel: usize, panel: usize| match (pixel == chosen, may[pixel], panel) {
        (true, ..) => CHOSEN,
        (_, true, 0) => OPEN,
        (_, true, _) => shade(share(pixel)),
        _ if effects[pixel] > 0.0 && panel == 1 => shade(share(pixel)),
        _ => HIDDEN,
    };
    out(path).write(&two_panels(layout, colour)?)?;
    Ok(Looks {
        out: path.display().to_string(),
        pixel: [row, column],
        may_see: seen.count(),
        strongest: strongest.map(|pixel| [pixel / layout.width, pixel % layout.width]),
        largest_effect,
        effect_of_others,
        images,
    })
}

/// Which variables the conditional of variable `target` may look at.
pub(crate) fn may_see(
    config: &ModelConfig,
    layout: Layout,
    model: &Model,
    target: usize,
) -> Result<Vec<bool>> {
    let ordering = model.ordering();
    let t = ordering.position_of(target);
    let before = |most: usize| &ordering.as_slice()[t.saturating_sub(most)..t];
    let mut may = vec![false; model.variables()];
    let mut see = |variables: &[usize]| variables.iter().for_each(|&i| may[i] = true);
    match config {
        ModelConfig::Uniform {} | ModelConfig::Independent { .. } => {}
        ModelConfig::Markov { order, .. } => see(before(*order)),
        ModelConfig::BayesianNetwork { parents, .. } => see(&parents[target]),
        ModelConfig::Neighbourhood { offsets, .. } => {
            let at = [target / layout.width, target % layout.width];
            see(&offsets
                .iter()
                .filter_map(|&offset| beside(layout, at, offset))
                .collect::<Vec<_>>());
        }
        other => match other.pixel() {
            Some((kind, settings)) => {
                let field = receptive_field(kind, settings.layers, [layout.height, layout.width]);
                let own = pixel_of(layout, target);
                let pixels =
                    (0..layout.height * layout.width).filter(|&q| field[own][q] && q != own);
                see(&pixels.flat_map(|q| variables_of(layout, q)).collect::<Vec<_>>());
                let colours = variables_of(layout, own);
                see(&colours.take_while(|&i| i != target).collect::<Vec<_>>());
            }
            None => see(before(t)),
        },
    }
    Ok(may)
}

/// The pixel at an offset, if it is inside.
fn beside(layout: Layout, [row, column]: [usize; 2], offset: [isize; 2]) -> Option<usize> {
    let row = row.checked_add_signed(offset[0]).filter(|row| *row < layout.height)?;
    let column = column.checked_add_signed(offset[1]).filter(|column| *column < layout.width)?;
    Some(layout.index(row, column, 0))
}

/// The variables of a pixel, colour by colour.
fn variables_of(layout: Layout, pixel: usize) -> impl Iterator<Item = usize> {
    let (row, column) = (pixel / layout.width, pixel % layout.width);
    (0..layout.channels).map(move |colour| layout.index(row, column, colour))
}

/// The pixel that a variable is of.
fn pixel_of(layout: Layout, variable: usize) -> usize {
    let pixels = 0..layout.height * layout.width;
    pixels.into_iter().find(|&q| variables_of(layout, q).any(|i| i == variable)).unwrap_or(0)
}

/// One value per pixel, of those of its colours.
fn of_pixels<T: Copy>(layout: Layout, values: &[T], join: impl Fn(T, T) -> T) -> Vec<T> {
    let pixels = 0..layout.height * layout.width;
    let joined = pixels.map(|q| variables_of(layout, q).map(|i| values[i]).reduce(&join));
    joined.flatten().collect()
}

/// Mean |change of p(x_i | x_<i)| where one variable after the other is changed, 0 for x_i itself.
fn effects(model: &Model, levels: usize, images: usize, target: usize) -> Vec<f64> {
    let n = model.variables();
    let probability = |rows: &[u8]| -> Vec<f64> {
        let log_probs = model.log_prob_per_variable(rows);
        log_probs.iter().skip(target).step_by(n).map(|log_prob| log_prob.exp()).collect()
    };
    let Rows::Symbols(drawn) = model.sample_rows(images, &mut stream(1, Purpose::Sample, 0)) else {
        return vec![0.0; n];
    };
    let mut sums = vec![0.0; n];
    for image in drawn.chunks_exact(n) {
        let before = probability(image)[0];
        let variables: Vec<usize> = (0..n).filter(|&i| i != target).collect();
        for part in variables.chunks(BATCH) {
            let mut rows = image.repeat(part.len());
            for (row, &i) in rows.chunks_exact_mut(n).zip(part) {
                // The level that is the farthest away, round the corner.
                row[i] = ((usize::from(row[i]) + (levels / 2).max(1)) % levels) as u8;
            }
            for (&i, after) in part.iter().zip(probability(&rows)) {
                sums[i] += (after - before).abs() / images as f64;
            }
        }
    }
    sums.iter_mut().filter(|sum| **sum < ROUNDING).for_each(|sum| *sum = 0.0);
    sums
}

/// Two pictures of the same size beside each other, as PNG.
fn two_panels(layout: Layout, colour: impl Fn(usize, usize) -> [u8; 3]) -> Result<Vec<u8>> {
    let Layout { height, width, .. } = layout;
    let size = (256 / height.max(width)).clamp(2, 32);
    let (rows, columns) = (height * size, (2 * width + 1) * size);
    let mut pixels = Vec::with_capacity(rows * columns);
    for y in 0..height * size {
        for x in 0..columns {
            let (panel, x) = (x / size / (width + 1), x % ((width + 1) * size));
            // A thin line between pixels.
            let is_line = size >= 8 && (x % size == 0 || y % size == 0);
            pixels.push(match x / size {
                column if column < width && !is_line => colour(y / size * width + column, panel),
                _ => [255; 3],
            });
        }
    }
    files::png(pixels.as_flattened(), [columns, rows], 3)
}

#[cfg(test)]
mod tests {
    use ar_models::examples::InMemory;
    use burn::tensor::Device;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// A model of images of 4×4 bits, most of which are like the one to the left and the one above.
    fn made(text: &str) -> (ModelConfig, EventSpec, Model) {
        let config: ModelConfig = toml::from_str(text).unwrap();
        let event = EventSpec::symbols(vec![4, 4], 2);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut images = vec![0_u8; 400 * 16];
        for image in images.chunks_exact_mut(16) {
            for i in 0..16_usize {
                let like = if i < 4 { i.checked_sub(1) } else { Some(i - 4) };
                let bit = like.map_or(0, |like| image[like]);
                image[i] = if rng.random::<f64>() < 0.2 { 1 - bit } else { bit };
            }
        }
        let data = InMemory::new(images, 16);
        let model = match config.is_neural() {
            true => Model::init(&config, &event, &data, 0, &Device::default()).unwrap(),
            false => Model::fit(&config, &event, &data).unwrap(),
        };
        (config, event, model)
    }

    fn looks(config: &ModelConfig, event: &EventSpec, model: &Model) -> Looks {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sees.png");
        let looks = draw(&path, Some([2, 1]), config, event, model).unwrap();
        let image = image::open(&path).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (9 * 32, 4 * 32));
        assert_eq!(image.get_pixel(32 + 16, 2 * 32 + 16).0, CHOSEN);
        looks
    }

    #[test]
    fn a_conditional_looks_at_what_it_may_and_at_nothing_else() {
        for (text, may_see, strongest) in [
            ("kind = \"independent\"", 0, None),
            ("kind = \"markov\"\norder = 5", 5, Some([1, 1])),
            ("kind = \"markov\"\norder = 2\nordering = \"column-major\"", 2, Some([1, 1])),
            ("kind = \"neighbourhood\"\noffsets = [[0, -1], [-1, 0], [-3, 0]]", 2, Some([1, 1])),
            ("kind = \"logistic\"", 9, None),
        ] {
            let (config, event, model) = made(text);
            let looks = looks(&config, &event, &model);
            assert_eq!((looks.may_see, looks.strongest), (may_see, strongest), "{text}");
            assert_eq!(looks.effect_of_others, 0.0, "{text}");
            assert_eq!(looks.largest_effect > 0.2, strongest.is_some(), "{text}");
        }
    }

    #[test]
    fn pixel_networks_look_at_their_receptive_field() {
        for (kind, may_see) in [("row-lstm", 9), ("diagonal-bilstm", 9), ("pixel-cnn", 9)] {
            let (config, event, model) =
                made(&format!("kind = \"{kind}\"\nlayers = 1\nhidden = 4"));
            let looks = looks(&config, &event, &model);
            assert_eq!((looks.may_see, looks.effect_of_others), (may_see, 0.0), "{kind}");
        }
    }

    #[test]
    fn a_model_that_looks_further_than_it_may_is_noticed() {
        let (_, event, model) = made("kind = \"markov\"\norder = 5");
        let (config, ..) = made("kind = \"markov\"\norder = 1");
        assert!(looks(&config, &event, &model).effect_of_others > 0.2);
    }

    #[test]
    fn pixels_outside_are_refused() {
        let (config, event, model) = made("kind = \"independent\"");
        let refused = draw(Path::new("x.png"), Some([4, 0]), &config, &event, &model);
        assert!(refused.unwrap_err().to_string().contains("4 rows"));
    }
}
