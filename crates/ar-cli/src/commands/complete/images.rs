//! Images: draws of what is not observed.

use std::iter::repeat_n;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use ar_data::{ReadOptions, read_path};
use ar_models::examples::Examples as _;
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use rand::RngExt as _;
use serde::Serialize;

use super::super::{Session, class_of, data_of, finite};
use crate::args::CompleteArgs;
use crate::device;
use crate::error::{ErrorKind, Internal, Mistake, mistake, nearest};
use crate::files::{Completions, Layout};
use crate::host::Heard;
use crate::output::{RECORD_VERSION, Terminal, grouped, human_seconds};
use crate::outputs::{Inputs, check, out};
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
    /// How the completions are drawn.
    method: Method,
    /// Whether the completions are draws from p(missing | observed) and no approximation: the model takes
    /// any ordering, or the observed variables of every image are a prefix of its one.
    exact_conditional: bool,
    /// Walks of each image at a time, of method "smc".
    #[serde(skip_serializing_if = "Option::is_none")]
    particles: Option<usize>,
    /// Mean of −log p(missing | observed, and the class if there is one) of the originals, in nats per image;
    /// of method "smc" an estimate, low on average and the less so the more particles. `null` if one of them
    /// is impossible, or if `observed_nll_nats` is there and `null`: then no particle met what is observed.
    missing_nll_nats: Option<f64>,
    /// Mean of −log p(observed) of the originals, in nats per image, along the model's ordering; of method
    /// "smc" from unbiased estimates of each p(observed), which makes the mean high on average. `null`
    /// where no particle met what is observed. Not of a model that takes any ordering.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_nll_nats: Option<Option<f64>>,
    seconds: f64,
    device: String,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// How completions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// From p(missing | observed).
    Exact,
    /// By sequential Monte Carlo.
    Smc,
}

/// Images and completions of each, unless stated.
const COUNT: usize = 8;
const SAMPLES: usize = 4;

/// The most values drawn at once: 2 GiB of them.
const MAX_VALUES: usize = 1 << 31;

/// The most walks of one image.
const MOST_PARTICLES: usize = 100_000;

/// Completions drawn in one walk. Each walk has its own stream of random numbers, so the draws
/// depend on this number.
const BATCH: usize = 1000;

/// Draws, writes and prints.
///
/// # Errors
/// When the run is not trained, its events are no images, `--observe` says nothing that is known, or
/// the file cannot be written.
pub(super) fn run(args: &CompleteArgs, session: &Session) -> Result<()> {
    let observe = Observe::parse(observe_of(args)?)?;
    let is_png = is_png(&args.out)?;
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let mut inputs = Inputs::of_run(&run, &config, &session.locations);
    inputs = inputs.and_spec(args.data.as_deref(), &session.locations);
    if let Observe::Mask(mask) = &observe {
        inputs = inputs.and(mask);
    }
    check(&[out(&args.out)], &inputs)?;
    let event = config.event_of_run()?;
    let Some(levels) = event.levels else {
        return Err(Mistake::new(
            format!("{}: events of real numbers, expected images of symbols", run.display()),
            "only symbols can be completed here",
        )
        .of(ErrorKind::Run)
        .into());
    };
    let layout = Layout::of(&event.shape).ok_or_else(|| {
        Mistake::new(
            format!("{}: events of shape {:?}, expected images", run.display(), event.shape),
            "only images can be completed here; a config says that its rows are images with \
             data.shape = [rows, columns]",
        )
        .of(ErrorKind::Run)
    })?;
    let mask = observe.read(&layout)?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let class = class_of(args.class, &model)?;
    let (data, split) = data_of(args.data.as_deref(), args.split, &config, &args.file, session)?;
    let samples = samples_of(args);
    let count = args.count.unwrap_or(COUNT).min(data.len());
    if count.saturating_mul(samples).saturating_mul(event.variables()) > MAX_VALUES {
        return Err(mistake(
            format!(
                "--samples {} of {count} images of {} variables, expected at most {MAX_VALUES} \
                 values",
                samples,
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
    let ordering = model.ordering().as_slice();
    let are_prefixes =
        observed.chunks_exact(event.variables()).all(|observed| is_prefix(observed, ordering));
    let method = if are_prefixes || model.takes_any_mask() { Method::Exact } else { Method::Smc };
    if method == Method::Smc {
        if args.particles > MOST_PARTICLES {
            return Err(mistake(
                format!("--particles {}: expected at most {MOST_PARTICLES}", args.particles),
                "every particle is a walk with a state of its own",
            ));
        }
        terminal.note(match args.particles {
            1 => "what is observed is no prefix of the ordering, and 1 particle does not look ahead: \
                  completions ignore what is observed after each pixel"
                .to_owned(),
            particles => format!(
                "what is observed is no prefix of the ordering: completions by sequential Monte Carlo \
                 with {particles} particles"
            ),
        });
    }
    let start = Instant::now();
    let draws = Draws { samples, particles: args.particles, seed: args.seed };
    let question = Question { model: &model, originals: &originals, observed: &observed, class };
    let (values, costs) = match method {
        Method::Exact => (question.draw(draws, terminal), question.costs()),
        Method::Smc => question.monte_carlo(draws, terminal),
    };
    if costs.observed.is_some_and(f64::is_infinite) && args.particles > 1 {
        terminal.note(
            "no particle met what is observed of some image: its completions ignore what is observed \
             after each pixel; more --particles may find it",
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    let completions = Completions {
        originals: &originals,
        observed: &observed,
        values: &values,
        samples,
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
        accepted_changes: config.data.expected.accepted(),
        model: model.kind().to_owned(),
        data: data.name.clone(),
        split: split.map_or_else(|| "all".to_owned(), |split| split.to_string()),
        run: run.display(),
        out: args.out.display().to_string(),
        observe: args.observe.clone().unwrap_or_default(),
        count,
        samples,
        seed: args.seed,
        class,
        missing_variables: missing as f64 / count.max(1) as f64,
        method,
        exact_conditional: method == Method::Exact,
        particles: (method == Method::Smc).then_some(args.particles),
        missing_nll_nats: finite(costs.missing),
        observed_nll_nats: costs.observed.map(finite),
        seconds,
        device: device.name,
    };
    terminal.result(&record, || words(&record))
}

fn words(record: &Record) -> String {
    let nats =
        |nats: Option<f64>| nats.map_or_else(|| "inf".to_owned(), |nats| format!("{nats:.4}"));
    let class = record.class.map_or_else(String::new, |class| format!(", class {class}"));
    let from = match record.particles {
        None => format!("p(missing | observed{class})"),
        Some(1) => format!("p(x_t | what came before{class}) by 1 particle"),
        Some(particles) => {
            format!("p(missing | observed{class}) by sequential Monte Carlo, {particles} particles")
        }
    };
    let about = if record.particles.is_some() { "about " } else { "" };
    let mut text = format!(
        "{} completions of each of {} images to {} in {}, drawn from {from}\n\
         the {} missing variables of an original cost {about}{} nats given the observed ones",
        record.samples,
        grouped(&record.count.to_string()),
        record.out,
        human_seconds(record.seconds),
        (record.missing_variables * 10.0).round() / 10.0,
        match (record.missing_nll_nats, record.observed_nll_nats) {
            (None, Some(None)) => "unknown".to_owned(),
            (missing, _) => nats(missing),
        },
    );
    if let Some(observed) = record.observed_nll_nats {
        text.push_str(&format!(", which cost {about}{}", nats(observed)));
    }
    text
}

fn samples_of(args: &CompleteArgs) -> usize {
    args.samples.unwrap_or(SAMPLES)
}

/// What is observed.
fn observe_of(args: &CompleteArgs) -> Result<&str> {
    if args.most_likely || args.hide.is_some() {
        let option = if args.most_likely { "--most-likely" } else { "--hide" };
        return Err(mistake(
            format!("{option} for images, expected it for the rows of a table"),
            format!("remove {option}"),
        ));
    }
    args.observe.as_deref().ok_or_else(|| {
        mistake(
            format!("no --observe, expected {}, fraction:P or MASK.png", WORDS.join(", ")),
            "--observe top-half shows the upper half of each image and draws the lower one",
        )
    })
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
        return Err(Mistake::new(
            format!(
                "--observe {}: {height}×{width} pixels, expected {}×{} as in the run",
                path.display(),
                layout.height,
                layout.width
            ),
            "a mask has the size of an image, and is not black where it is observed",
        )
        .of(ErrorKind::Data)
        .in_file(path)
        .into());
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
pub(crate) fn is_prefix(observed: &[bool], ordering: &[usize]) -> bool {
    ordering.is_sorted_by_key(|&i| !observed[i])
}

/// What is asked: the rest of `originals`, given what is observed of them.
pub(crate) struct Question<'a> {
    pub(crate) model: &'a Model,
    /// `[images, variables]`, as is the next.
    pub(crate) originals: &'a [u8],
    pub(crate) observed: &'a [bool],
    pub(crate) class: Option<u8>,
}

/// How many completions of each image are drawn, by how many walks, and by which random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws {
    pub(crate) samples: usize,
    pub(crate) particles: usize,
    pub(crate) seed: u64,
}

/// Means over the images, in nats.
pub(crate) struct Costs {
    /// Of −log p(missing | observed).
    missing: f64,
    /// Of −log p(observed).
    pub(crate) observed: Option<f64>,
}

impl Question<'_> {
    fn images(&self) -> usize {
        self.originals.len() / self.model.variables()
    }

    /// What is known of the images `images`, in that order.
    fn known(&self, images: impl Iterator<Item = usize>) -> Vec<Option<u8>> {
        let variables = self.model.variables();
        images
            .flat_map(|image| image * variables..(image + 1) * variables)
            .map(|at| self.observed[at].then_some(self.originals[at]))
            .collect()
    }

    /// Completions of each image by the model's own walk, `[images, samples, variables]`.
    pub(crate) fn draw(&self, draws: Draws, terminal: &Terminal) -> Vec<u8> {
        let Draws { samples, seed, .. } = draws;
        let total = self.images() * samples;
        let bar = terminal.examples_bar(total, "completing");
        let mut values = Vec::with_capacity(total * self.model.variables());
        for (index, first) in (0..total).step_by(BATCH).enumerate() {
            let mut rng = Heard::new(stream(seed, Purpose::Sample, index as u64));
            let last = (first + BATCH).min(total);
            let known = self.known((first..last).map(|k| k / samples));
            values.extend(match self.class {
                Some(class) => {
                    self.model.complete_given(&known, &vec![class; last - first], &mut rng)
                }
                None => self.model.complete(&known, &mut rng),
            });
            bar.set_position(last as u64);
        }
        bar.finish_and_clear();
        values
    }

    /// What the parts of the originals cost where `draw` is exact.
    pub(crate) fn costs(&self) -> Costs {
        let images = self.images().max(1) as f64;
        if let Some(given) = self.model.log_prob_conditional(self.originals, self.observed) {
            return Costs { missing: -given.iter().sum::<f64>() / images, observed: None };
        }
        let log_probs = match self.class {
            Some(class) => {
                let labels = vec![class; self.images()];
                self.model.log_prob_per_variable_given(self.originals, &labels)
            }
            None => self.model.log_prob_per_variable(self.originals),
        };
        let cost = |which: bool| {
            let of = log_probs.iter().zip(self.observed).filter(|&(_, &is)| is == which);
            -of.map(|(log_prob, _)| log_prob).sum::<f64>() / images
        };
        Costs { missing: cost(false), observed: Some(cost(true)) }
    }

    /// Completions by sequential Monte Carlo, and what it finds the parts of the originals to cost.
    ///
    /// Completions are chosen among the particles. Where more are asked for than there are, each image has
    /// several groups of particles that walk on their own, and its cost is the mean over them.
    pub(crate) fn monte_carlo(&self, draws: Draws, terminal: &Terminal) -> (Vec<u8>, Costs) {
        let Draws { samples, particles, seed } = draws;
        let groups = samples.div_ceil(particles);
        let counts = (particles, samples.div_ceil(groups));
        let all: Vec<usize> =
            (0..self.images()).flat_map(|image| repeat_n(image, groups)).collect();
        let bar = terminal.examples_bar(all.len(), "completing");
        let (mut values, mut evidence) = (Vec::new(), 0.0);
        for (index, images) in all.chunks((BATCH / particles).max(1)).enumerate() {
            let mut rng = Heard::new(stream(seed, Purpose::Sample, index as u64));
            let known = self.known(images.iter().copied());
            let labels = self.class.map(|class| vec![class; images.len()]);
            let found =
                self.model.complete_monte_carlo(&known, labels.as_deref(), counts, &mut rng);
            values.extend(found.values);
            evidence += found.log_prob_observed.iter().sum::<f64>() / groups as f64;
            bar.inc(images.len() as u64);
        }
        bar.finish_and_clear();
        // Groups of one size may make a few completions too many.
        let variables = self.model.variables();
        let of_image = values.chunks_exact(groups * counts.1 * variables);
        let values = of_image.flat_map(|all| &all[..samples * variables]).copied().collect();
        let joint = match self.class {
            Some(class) => self.model.log_prob_given(self.originals, &vec![class; self.images()]),
            None => self.model.log_prob(self.originals),
        };
        let mean = |sum: f64| sum / self.images().max(1) as f64;
        let missing = mean(evidence - joint.into_iter().sum::<f64>());
        (values, Costs { missing, observed: Some(mean(-evidence)) })
    }
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
