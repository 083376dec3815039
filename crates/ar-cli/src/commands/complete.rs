//! `chainrule complete RUN --observe WHAT --out FILE`: draws what is not observed of images.
//!
//! ```text
//! for t in 0..n:   x_t = observed value, or a draw from p(x_t | x before t)
//! missing NLL:     mean over images of Σ over missing i of −log p(x_i | x before i), x the original
//! ```
//!
//! Where the observed variables are a prefix of the ordering, the draws are from p(missing |
//! observed) and the missing NLL is −log of it at the original. Elsewhere a missing variable does not
//! feel what is observed after it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use ar_data::{ReadOptions, read_path};
use ar_models::config::EventSpec;
use ar_models::examples::Examples as _;
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use rand::RngExt as _;
use serde::Serialize;

use super::{Session, class_of, data_of, finite};
use crate::args::CompleteArgs;
use crate::device;
use crate::error::{Internal, mistake, nearest};
use crate::files::{Completions, Layout};
use crate::output::{RECORD_VERSION, Terminal, grouped, human_seconds};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    model: String,
    data: String,
    split: String,
    run: String,
    out: String,
    observe: String,
    /// Images completed.
    count: usize,
    /// Completions of each.
    samples: usize,
    seed: u64,
    /// The label that the completions are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u8>,
    /// Variables that are not observed, mean per image.
    missing_variables: f64,
    /// Whether the observed variables of every image are a prefix of the ordering, so that the
    /// completions are draws from p(missing | observed).
    exact_conditional: bool,
    /// Mean of −log p(missing variables | what is before each, and the class if there is one) of the
    /// originals, in nats per image.
    /// `null` if one of them is impossible.
    missing_nll_nats: Option<f64>,
    seconds: f64,
    device: String,
}

/// The most values drawn at once: 2 GiB of them.
const MAX_VALUES: usize = 1 << 31;

/// Completions drawn in one walk. Each walk has its own stream of random numbers, so the draws
/// depend on this number.
const BATCH: usize = 1000;

/// Draws, writes and prints.
///
/// # Errors
/// When the run is not trained, its events are no images, `--observe` says nothing that is known, or
/// the file cannot be written.
pub(crate) fn run(args: &CompleteArgs, session: &Session) -> Result<()> {
    let observe = Observe::parse(&args.observe)?;
    let is_png = is_png(&args.out)?;
    let run = RunDir::open(&args.run)?;
    let config = run.load_config()?;
    let event = config.event().ok_or(Internal("a run's config does not say what an event is"))?;
    let Some(levels) = event.levels else {
        return Err(mistake(
            format!("{}: events of real numbers, expected images of symbols", run.display()),
            "only symbols can be completed here",
        ));
    };
    let layout = Layout::of(&event.shape).ok_or_else(|| {
        mistake(
            format!("{}: events of shape {:?}, expected images", run.display(), event.shape),
            "only images can be completed here; a config says that its rows are images with \
             data.shape = [rows, columns]",
        )
    })?;
    let mask = observe.read(&layout)?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let class = class_of(args.class, &model)?;
    let (data, split) = data_of(args.data.as_deref(), args.split, &config, session)?;
    let count = args.count.min(data.len());
    if count.saturating_mul(args.samples).saturating_mul(event.variables()) > MAX_VALUES {
        return Err(mistake(
            format!(
                "--samples {} of {count} images of {} variables, expected at most {MAX_VALUES} \
                 values",
                args.samples,
                event.variables()
            ),
            "draw fewer, with several values of --seed",
        ));
    }
    let mut originals = Vec::new();
    data.read(0, &(0..count).collect::<Vec<_>>(), &mut originals);
    let observed: Vec<bool> =
        (0..count).flat_map(|image| mask.observed(&layout, args.seed, image)).collect();

    let terminal = &session.terminal;
    let exact_conditional = observed
        .chunks_exact(event.variables())
        .all(|observed| is_prefix(observed, model.ordering().as_slice()));
    if !exact_conditional {
        terminal.note(
            "what is observed is no prefix of the ordering: a missing pixel is drawn given the \
             pixels before it, not given observed ones after it",
        );
    }
    let start = Instant::now();
    let values = draw(&model, &originals, &observed, class, args, terminal);
    let missing_nll_nats = missing_nll_nats(&model, &event, &originals, &observed, class);
    let seconds = start.elapsed().as_secs_f64();
    let completions = Completions {
        originals: &originals,
        observed: &observed,
        values: &values,
        samples: args.samples,
        shape: &event.shape,
        levels,
    };
    if is_png {
        completions.write_png(&args.out)?
    } else {
        completions.write_npy(&args.out)?
    }
    let missing = observed.iter().filter(|&&observed| !observed).count();
    let record = Record {
        version: RECORD_VERSION,
        command: "complete",
        model: model.kind().to_owned(),
        data: data.name.clone(),
        split: split.map_or_else(|| "all".to_owned(), |split| split.to_string()),
        run: run.display(),
        out: args.out.display().to_string(),
        observe: args.observe.clone(),
        count,
        samples: args.samples,
        seed: args.seed,
        class,
        missing_variables: missing as f64 / count.max(1) as f64,
        exact_conditional,
        missing_nll_nats: finite(missing_nll_nats),
        seconds,
        device: device.name,
    };
    terminal.result(&record, || words(&record))
}

fn words(record: &Record) -> String {
    let nats =
        record.missing_nll_nats.map_or_else(|| "inf".to_owned(), |nats| format!("{nats:.4}"));
    let given = match (record.exact_conditional, record.class) {
        (true, None) => "drawn from p(missing | observed)".to_owned(),
        (true, Some(class)) => format!("drawn from p(missing | observed, class {class})"),
        (false, None) => "each missing variable drawn given those before it only".to_owned(),
        (false, Some(class)) => {
            format!("each missing variable drawn given those before it and class {class} only")
        }
    };
    format!(
        "{} completions of each of {} images to {} in {}, {given}\n\
         the {} missing variables of an original cost {nats} nats\n",
        record.samples,
        grouped(&record.count.to_string()),
        record.out,
        human_seconds(record.seconds),
        (record.missing_variables * 10.0).round() / 10.0,
    )
}

/// Whether `--out` asks for a PNG or a `.npy`.
fn is_png(path: &Path) -> Result<bool> {
    let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => Ok(true),
        Some("npy") => Ok(false),
        _ => Err(mistake(
            format!("--out {}: expected a name ending in .png or .npy", path.display()),
            ".png shows originals, what is observed and completions; .npy holds the completions",
        )),
    }
}

/// `--observe`, as it is written.
#[derive(Clone, Debug, PartialEq)]
enum Observe {
    TopHalf,
    LeftHalf,
    EveryOtherRow,
    /// Each pixel with this probability.
    Fraction(f64),
    /// The pixels that are not black.
    Mask(PathBuf),
}

/// What `--observe` takes besides a file.
const WORDS: [&str; 3] = ["top-half", "left-half", "every-other-row"];

impl Observe {
    fn parse(text: &str) -> Result<Self> {
        if let Some(number) = text.strip_prefix("fraction:") {
            return match number.parse() {
                Ok(p) if (0.0..=1.0).contains(&p) => Ok(Self::Fraction(p)),
                _ => Err(mistake(
                    format!("--observe {text}: expected a number from 0 to 1 after `fraction:`"),
                    "--observe fraction:0.5 shows about half of the pixels",
                )),
            };
        }
        match text {
            "top-half" => Ok(Self::TopHalf),
            "left-half" => Ok(Self::LeftHalf),
            "every-other-row" => Ok(Self::EveryOtherRow),
            _ if Path::new(text).extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) => {
                Ok(Self::Mask(text.into()))
            }
            _ => Err(mistake(
                format!("--observe {text}: expected {}, fraction:P or MASK.png", WORDS.join(", ")),
                match nearest(text, WORDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a mask is a PNG of an image's size, not black where it is observed"
                        .to_owned(),
                },
            )),
        }
    }

    /// With the file read, if it is one.
    fn read(self, layout: &Layout) -> Result<Mask> {
        Ok(match self {
            Self::TopHalf => Mask::Rule(|layout, row, _| row < layout.height / 2),
            Self::LeftHalf => Mask::Rule(|layout, _, column| column < layout.width / 2),
            Self::EveryOtherRow => Mask::Rule(|_, row, _| row.is_multiple_of(2)),
            Self::Fraction(p) => Mask::Fraction(p),
            Self::Mask(path) => Mask::Pixels(mask_pixels(&path, layout)?),
        })
    }
}

/// Which pixels are not black, `[height, width]`.
fn mask_pixels(path: &Path, layout: &Layout) -> Result<Vec<bool>> {
    let image = read_path(path, &ReadOptions::default())?;
    let (height, width) = match *image.shape() {
        [height, width] | [_, height, width] => (height, width),
        _ => return Err(Internal("a PNG is no image").into()),
    };
    if (height, width) != (layout.height, layout.width) {
        return Err(mistake(
            format!(
                "--observe {}: {height}×{width} pixels, expected {}×{} as in the run",
                path.display(),
                layout.height,
                layout.width
            ),
            "a mask has the size of an image, and is not black where it is observed",
        ));
    }
    let mut pixels = vec![false; height * width];
    // Channels come first, so that they repeat the pixels.
    for (index, &value) in image.symbols()?.0.iter().enumerate() {
        pixels[index % (height * width)] |= value != 0;
    }
    Ok(pixels)
}

/// Which pixels are observed.
enum Mask {
    /// The same rule for every image, of the image's layout, the row and the column.
    Rule(fn(&Layout, usize, usize) -> bool),
    /// Each pixel with this probability, by seed and image.
    Fraction(f64),
    /// `[height, width]`.
    Pixels(Vec<bool>),
}

impl Mask {
    /// Which variables of image `image` are observed, `[variables]` in event order. The channels of
    /// a pixel are observed together.
    fn observed(&self, layout: &Layout, seed: u64, image: usize) -> Vec<bool> {
        let mut rng = stream(seed, Purpose::Mask, image as u64);
        let mut observed = vec![false; layout.height * layout.width * layout.channels];
        for row in 0..layout.height {
            for column in 0..layout.width {
                let is_observed = match self {
                    Self::Rule(rule) => rule(layout, row, column),
                    Self::Fraction(p) => rng.random::<f64>() < *p,
                    Self::Pixels(pixels) => pixels[row * layout.width + column],
                };
                for channel in 0..layout.channels {
                    observed[layout.index(row, column, channel)] = is_observed;
                }
            }
        }
        observed
    }
}

/// Whether in the order of the walk nothing observed comes after something missing.
pub(super) fn is_prefix(observed: &[bool], ordering: &[usize]) -> bool {
    ordering.is_sorted_by_key(|&i| !observed[i])
}

/// Completions of each image, `[images, samples, variables]`.
fn draw(
    model: &Model,
    originals: &[u8],
    observed: &[bool],
    class: Option<u8>,
    args: &CompleteArgs,
    terminal: &Terminal,
) -> Vec<u8> {
    let variables = model.variables();
    let total = originals.len() / variables * args.samples;
    let bar = terminal.examples_bar(total, "completing");
    let mut values = Vec::with_capacity(total * variables);
    for (index, first) in (0..total).step_by(BATCH).enumerate() {
        let mut rng = stream(args.seed, Purpose::Sample, index as u64);
        let last = (first + BATCH).min(total);
        let known: Vec<Option<u8>> = (first..last)
            .flat_map(|k| {
                let image = k / args.samples;
                image * variables..(image + 1) * variables
            })
            .map(|at| observed[at].then_some(originals[at]))
            .collect();
        values.extend(match class {
            Some(class) => model.complete_given(&known, &vec![class; last - first], &mut rng),
            None => model.complete(&known, &mut rng),
        });
        bar.set_position(last as u64);
    }
    bar.finish_and_clear();
    values
}

/// Mean over images of what the missing variables of the originals cost, each given all before it.
fn missing_nll_nats(
    model: &Model,
    event: &EventSpec,
    originals: &[u8],
    observed: &[bool],
    class: Option<u8>,
) -> f64 {
    let images = originals.len() / event.variables();
    let log_probs = match class {
        Some(class) => model.log_prob_per_variable_given(originals, &vec![class; images]),
        None => model.log_prob_per_variable(originals),
    };
    let missing = log_probs.iter().zip(observed).filter(|&(_, &observed)| !observed);
    -missing.map(|(log_prob, _)| log_prob).sum::<f64>() / images.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(observe: &str, shape: &[usize]) -> Vec<bool> {
        let layout = Layout::of(shape).unwrap();
        Observe::parse(observe).unwrap().read(&layout).unwrap().observed(&layout, 1, 0)
    }

    fn shown(observed: &[bool]) -> String {
        observed.iter().map(|&observed| if observed { '#' } else { '.' }).collect()
    }

    #[test]
    fn rules_say_which_pixels_are_observed() {
        assert_eq!(shown(&observed("top-half", &[3, 2])), "##....");
        assert_eq!(shown(&observed("left-half", &[2, 4])), "##..##..");
        assert_eq!(shown(&observed("every-other-row", &[3, 2])), "##..##");
        assert_eq!(shown(&observed("fraction:0", &[2, 2])), "....");
        assert_eq!(shown(&observed("fraction:1", &[2, 2])), "####");
        // Channels first and last.
        assert_eq!(shown(&observed("left-half", &[3, 1, 2])), "#.#.#.");
        assert_eq!(shown(&observed("left-half", &[2, 2, 3])), "###...###...");
    }

    #[test]
    fn the_channels_of_a_pixel_are_observed_together() {
        let mask = observed("fraction:0.5", &[20, 20, 3]);
        assert!(mask.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
        let count = mask.iter().filter(|&&observed| observed).count() / 3;
        // 400 pixels: five standard deviations are 50.
        assert!((150..250).contains(&count), "{count}");
        let layout = Layout::of(&[20, 20]).unwrap();
        let draw = |seed, image| Mask::Fraction(0.5).observed(&layout, seed, image);
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
    }

    #[test]
    fn a_prefix_has_nothing_missing_before_it() {
        let ordering = [2, 0, 1];
        for (observed, expected) in [
            ([false, false, false], true),
            ([false, false, true], true),
            ([true, false, true], true),
            ([true, true, true], true),
            ([true, false, false], false),
            ([false, true, true], false),
        ] {
            assert_eq!(is_prefix(&observed, &ordering), expected, "{observed:?}");
        }
    }

    #[test]
    fn words_that_are_not_known_are_refused() {
        for text in ["top", "fraction:", "fraction:1.5", "fraction:nan", "mask.jpg", ""] {
            assert!(Observe::parse(text).is_err(), "{text}");
        }
        assert_eq!(Observe::parse("m.PNG").unwrap(), Observe::Mask("m.PNG".into()));
    }
}
