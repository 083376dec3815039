//! `chainrule report RUN`: one HTML file about a run.

use std::time::Instant;

use anyhow::Result;
use ar_data::{Schema, Split};
use ar_models::Isa;
use ar_models::codec::{Codec, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::{Examples as _, InMemory, Rows, Values, read_rows};
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use ar_models::scoring::{cost_per_variable, for_costs, log_probs};
use serde::Serialize;

use super::sample::quantized;
use super::{Session, data_of, evenly_spaced, inspect, most};
use crate::args::ReportArgs;
use crate::baselines::{self, Baseline};
use crate::config::Config;
use crate::data::{Prepared, load_split, prepare};
use crate::device;
use crate::files::{Events, Layout};
use crate::output::{RECORD_VERSION, Terminal, human_seconds, human_shape};
use crate::outputs::{Inputs, check, out};
use crate::report::{
    Completions, Costs, DearRow, Dearest, Picture, Report, Samples, Scored, Size, render,
};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    run: String,
    out: String,
    /// The sets whose scores are shown.
    sets: Vec<SetRecord>,
    bytes: usize,
    seconds: f64,
    device: String,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// A set whose scores are shown.
#[derive(Debug, Serialize)]
struct SetRecord {
    name: String,
    examples: usize,
}

/// Images of the data and of the model that are shown.
const IMAGES: [usize; 2] = [16, 32];

/// Rows of a table that are drawn and shown.
const TABLE_ROWS: usize = 8;

/// Images that cost most, rows of a table that do, and cells of such a row.
const DEAREST_IMAGES: usize = 16;
const DEAREST_ROWS: usize = 8;
const DEAREST_CELLS: usize = 3;

/// Images that are completed, and how often each.
const COMPLETED: [usize; 2] = [6, 4];
/// Walks of an image whose observed part is no prefix of the ordering.
const PARTICLES: usize = 100;

/// Computes, writes and prints.
///
/// # Errors
/// When the run is not trained, its data is not here, or the file cannot be written.
pub(crate) fn run(args: &ReportArgs, session: &Session) -> Result<()> {
    let start = Instant::now();
    if let Some(path) = &args.out {
        out(path).must_end_in("html", "a browser opens it")?;
    }
    let run = RunDir::open(&args.run)?;
    let path = args.out.clone().unwrap_or_else(|| run.report());
    let config = args.own_data.accepted(run.load_config()?);
    let inputs = Inputs::of_run(&run, &config, &session.locations);
    check(&[out(&path)], &inputs.and_spec(args.against.as_deref(), &session.locations))?;
    let event = config.event_of_run()?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let terminal = &session.terminal.beside(args.out.as_deref());

    let (test, test_split) = data_of(None, Some(reported(&config)), &config, &args.file, session)?;
    let test_name = named(&test, test_split);
    let (other, other_name) = match &args.against {
        Some(spec) => {
            let (data, split) = data_of(Some(spec), None, &config, &args.file, session)?;
            let name = named(&data, split);
            (data, name)
        }
        None => {
            let (data, split) = data_of(None, Some(Split::Train), &config, &args.file, session)?;
            let name = named(&data, split);
            (data, name)
        }
    };
    let columns = columns_of(&config, &event);
    let symbols = config.symbols();
    let shown = symbols.as_ref().unwrap_or(&event);
    let schema = config.data.schema.as_ref();
    let reporter =
        Reporter { model: &model, event: &event, shown, columns: &columns, schema, terminal };
    let part = Part::of(&test, args.examples);
    let nll_nats = reporter.scores(&part, &test_name);
    let mut sizes = Vec::new();
    if let Rows::Symbols(values) = &part.rows {
        sizes.push(reporter.coded(&part, &config.model)?);
        let bytes = nll_nats.iter().sum::<f64>() / std::f64::consts::LN_2 / 8.0;
        sizes.push(Size { coder: "its −log₂ p".to_owned(), bytes });
        if baselines::are_binary_images(&event) {
            let train = load_split(&config, Split::Train, session.reader())
                .and_then(|train| prepare(train, config.data.preprocessing, Split::Train, None))
                .and_then(|train| baselines::neighbourhood(&part.examples, &train, &event));
            match train {
                Ok(baseline) => sizes.push(reporter.by_others(baseline)),
                Err(error) => terminal.note(format!("neighbourhood-10 is left out: {error:#}")),
            }
        }
        let others = baselines::general(values, &event)?;
        sizes.extend(others.into_iter().map(|baseline| reporter.by_others(baseline)));
    }
    let costs = reporter.costs(&part)?;
    let dearest = reporter.dearest(&part, &nll_nats)?;
    let mut scores = vec![Scored { name: test_name.clone(), nll_nats }];
    if args.against.is_some() || other_name != test_name {
        let part = Part::of(&other, args.examples);
        scores.push(Scored { nll_nats: reporter.scores(&part, &other_name), name: other_name });
    }
    let sets: Vec<SetRecord> = scores
        .iter()
        .map(|set| SetRecord { name: set.name.clone(), examples: set.nll_nats.len() })
        .collect();
    let report = Report {
        title: config.name.clone(),
        subject: format!(
            "{} on {}, {} variables",
            model.kind(),
            config.data.label(),
            human_shape(&event.shape)
        ),
        facts: inspect::facts(&run, &config, &event)?,
        trained: config.model.is_neural(),
        epochs: run.epochs()?,
        samples: reporter.samples(&test, args.seed, IMAGES)?,
        completions: reporter.completions(&test, args.seed)?,
        costs,
        scores,
        dearest,
        sizes,
        variables: event.variables(),
        levels: event.levels,
        made: made(args, &run, &config, &device.name)?,
    };
    let page = render(&report)?;
    out(&path).write(page.as_bytes())?;
    let record = Record {
        version: RECORD_VERSION,
        command: "report",
        accepted_changes: config.data.expected.accepted(),
        run: run.display(),
        out: path.display().to_string(),
        sets,
        bytes: page.len(),
        seconds: start.elapsed().as_secs_f64(),
        device: device.name,
    };
    terminal.result(&record, || {
        let sets: Vec<String> =
            record.sets.iter().map(|set| format!("{} of {}", set.examples, set.name)).collect();
        let seconds = human_seconds(record.seconds);
        format!("report to {} in {seconds}: {}", record.out, sets.join(" and "))
    })
}

/// The split that a report is about: test, or without one what there is.
pub(super) fn reported(config: &Config) -> Split {
    if config.data.has(Split::Test) {
        Split::Test
    } else if config.data.has(Split::Valid) {
        Split::Valid
    } else {
        Split::Train
    }
}

/// A set and its split, as a report calls it.
pub(super) fn named(data: &Prepared, split: Option<Split>) -> String {
    match split {
        Some(split) => format!("{}, {split}", data.name),
        None => data.name.clone(),
    }
}

/// The names of the variables, or their numbers.
pub(super) fn columns_of(config: &Config, event: &EventSpec) -> Vec<String> {
    match &config.data.columns {
        Some(columns) => columns.clone(),
        None => (0..event.variables()).map(|i| format!("x{i}")).collect(),
    }
}

/// How the report was made.
fn made(args: &ReportArgs, run: &RunDir, config: &Config, device: &str) -> Result<Vec<String>> {
    let mut command = format!("chainrule report {}", run.display());
    if let Some(against) = &args.against {
        command += &format!(" --against {against}");
    }
    command += &format!(" --examples {} --seed {}", args.examples, args.seed);
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = vec![command, format!("chainrule {version} · device {device}")];
    lines.extend(run.environment()?.map(|environment| format!("trained with {environment}")));
    let changes = config.data.expected.accepted().into_iter();
    lines.extend(changes.map(|change| format!("the data has changed since: {change}")));
    Ok(lines)
}

/// Some examples of a set, evenly spaced.
pub(super) struct Part {
    /// Where they stand in the set, from 0.
    numbers: Vec<usize>,
    rows: Rows,
    examples: InMemory,
}

impl Part {
    /// At most so many.
    pub(super) fn of(data: &Prepared, most: usize) -> Self {
        let numbers = evenly_spaced(data.len(), Some(most));
        let rows = read_rows(data, 0, &numbers);
        Self::new(numbers, rows, data.variables())
    }

    fn new(numbers: Vec<usize>, rows: Rows, variables: usize) -> Self {
        let examples = match rows.clone() {
            Rows::Symbols(values) => InMemory::new(values, variables),
            Rows::Reals(values) => InMemory::reals(values, variables),
        };
        Self { numbers, rows, examples }
    }

    /// Some of them, by where they stand in this part.
    fn only(&self, some: &[usize]) -> Self {
        let numbers = some.iter().map(|&k| self.numbers[k]).collect();
        Self::new(numbers, read_rows(&self.examples, 0, some), self.examples.variables())
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.examples.len()
    }

    /// Their values.
    pub(super) fn values(&self) -> Values<'_> {
        self.rows.values()
    }
}

/// Who computes what the report shows.
pub(super) struct Reporter<'a> {
    pub(super) model: &'a Model,
    pub(super) event: &'a EventSpec,
    /// What events look like to people: symbols again where noise has made them real numbers.
    pub(super) shown: &'a EventSpec,
    pub(super) columns: &'a [String],
    /// What the columns of a table are, in whose words its rows are shown.
    pub(super) schema: Option<&'a Schema>,
    pub(super) terminal: &'a Terminal,
}

impl Reporter<'_> {
    /// The layout and levels of images.
    pub(super) fn image(&self) -> Option<(Layout, usize)> {
        Some((Layout::of(&self.shown.shape)?, self.shown.levels?))
    }

    /// Rows as people see them.
    fn seen(&self, rows: Rows) -> Rows {
        match (rows, self.shown.levels) {
            (Rows::Reals(values), Some(levels)) => quantized(&values, levels),
            (rows, _) => rows,
        }
    }

    /// −log p of each row.
    pub(super) fn scores(&self, part: &Part, name: &str) -> Vec<f64> {
        let bar = self.terminal.examples_bar(part.examples.len(), format!("scores of {name}"));
        let scores = log_probs(self.model, &part.examples, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        scores.into_iter().map(|log_prob| -log_prob).collect()
    }

    /// Mean cost of each variable, nats.
    pub(super) fn cost_per_variable(&self, part: &Part) -> Vec<f64> {
        let bar = self.terminal.examples_bar(part.examples.len(), "cost per variable");
        let costs =
            cost_per_variable(self.model, &part.examples, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        costs
    }

    fn costs(&self, part: &Part) -> Result<Costs> {
        let costs = self.cost_per_variable(part);
        Ok(match self.image() {
            Some((layout, _)) => {
                let alt = "Mean cost of each pixel".to_owned();
                let (picture, largest) = Picture::of_costs(alt, layout, &costs)?;
                Costs::Map { picture, largest }
            }
            None => Costs::Columns(self.columns.iter().cloned().zip(costs).collect()),
        })
    }

    /// The examples as `chainrule compress` writes them.
    fn coded(&self, part: &Part, config: &ModelConfig) -> Result<Size> {
        let codec = Codec::new(self.model, config, self.event)?;
        let bar = self.terminal.examples_bar(part.examples.len(), "compressing");
        let mut done = |done| bar.set_position(done as u64);
        let file = codec.compress(&part.examples, Source::Unchanged, Isa::detect(), &mut done)?;
        bar.finish_and_clear();
        Ok(Size { coder: format!("this {}", self.model.kind()), bytes: file.len() as f64 })
    }

    /// The examples by another coder than the model.
    fn by_others(&self, baseline: Baseline) -> Size {
        let coder = match baseline.name {
            "packed" => match baselines::bits_of(self.event) {
                1 => "as it is, 1 bit a value".to_owned(),
                bits => format!("as it is, {bits} bits a value"),
            },
            "png" => "PNG, all images in one".to_owned(),
            "neighbourhood-10" => "a table of ten neighbours".to_owned(),
            name => name.to_owned(),
        };
        Size { coder, bytes: baseline.bytes as f64 }
    }

    /// So many images of the data and of the model, or rows of a table.
    pub(super) fn samples(
        &self,
        test: &Prepared,
        seed: u64,
        [real, drawn]: [usize; 2],
    ) -> Result<Samples> {
        let mut rng = stream(seed, Purpose::Sample, 0);
        let Some((layout, levels)) = self.image() else {
            return Ok(Samples::Rows {
                columns: self.columns.to_vec(),
                drawn: self.words(self.model.sample_rows(TABLE_ROWS, &mut rng)),
            });
        };
        let pictures = |values: &[u8], what: &str| -> Result<Vec<Picture>> {
            let images = values.chunks_exact(self.event.variables()).enumerate();
            images
                .map(|(k, image)| {
                    let alt = format!("{what} {}", k + 1);
                    Picture::of_event(alt, layout, levels, image, |_| true)
                })
                .collect()
        };
        let real = self.seen(read_rows(test, 0, &evenly_spaced(test.len(), Some(real))));
        let bar = self.terminal.examples_bar(drawn, "sampling");
        let drawn = self.seen(self.model.sample_rows(drawn, &mut rng));
        bar.finish_and_clear();
        Ok(Samples::Images {
            real: pictures(real.values().symbols(), "Test image")?,
            drawn: pictures(drawn.values().symbols(), "Sample")?,
        })
    }

    /// Rows of a table in its words.
    fn words(&self, rows: Rows) -> Vec<Vec<String>> {
        let variables = self.event.variables();
        let rows = self.seen(rows);
        let (event, schema) = (self.shown, self.schema);
        let events = Events { values: rows.values(), event, names: None, schema };
        if let Some(words) = events.in_words() {
            return words;
        }
        match rows {
            Rows::Symbols(values) => in_words(&values, variables, ToString::to_string),
            Rows::Reals(values) => in_words(&values, variables, |value| format!("{value:.4}")),
        }
    }

    /// What costs most.
    fn dearest(&self, part: &Part, nll_nats: &[f64]) -> Result<Dearest> {
        let image = self.image();
        let order = most(nll_nats, if image.is_some() { DEAREST_IMAGES } else { DEAREST_ROWS });
        let (dear, nll_nats) = (part.only(&order), order.iter().map(|&k| nll_nats[k]));
        let variables = self.event.variables();
        if let Some((layout, levels)) = image {
            let seen = self.seen(dear.rows);
            let images = seen.values().symbols().chunks_exact(variables);
            let pictures = images.zip(nll_nats.clone()).map(|(image, nll_nats)| {
                let alt = format!("Test image that costs {nll_nats:.1} nats");
                Picture::of_event(alt, layout, levels, image, |_| true)
            });
            let pictures = pictures.collect::<Result<_>>()?;
            return Ok(Dearest::Images { pictures, nll_nats: nll_nats.collect() });
        }
        let mut costs = Vec::new();
        for_costs(self.model, &dear.examples, |some| costs.extend_from_slice(some));
        let words = self.words(dear.rows);
        let cells = words.iter().zip(costs.chunks_exact(variables)).map(|(words, costs)| {
            let cell = |i: usize| (format!("{} = {}", self.columns[i], words[i]), costs[i]);
            most(costs, DEAREST_CELLS).into_iter().map(cell).collect()
        });
        let rows = dear.numbers.iter().zip(nll_nats).zip(cells);
        let row = |((number, nll_nats), cells)| DearRow { number: number + 1, nll_nats, cells };
        Ok(Dearest::Rows(rows.map(row).collect()))
    }

    /// Images of the test split whose upper half is observed.
    fn completions(&self, test: &Prepared, seed: u64) -> Result<Option<Completions>> {
        let Some((layout, levels)) = self.image().filter(|_| self.event.levels.is_some()) else {
            return Ok(None);
        };
        let variables = self.event.variables();
        let mut observed = vec![false; variables];
        for row in 0..layout.height / 2 {
            for column in 0..layout.width {
                for channel in 0..layout.channels {
                    observed[layout.index(row, column, channel)] = true;
                }
            }
        }
        let [images, times] = COMPLETED;
        let originals = read_rows(test, 0, &evenly_spaced(test.len(), Some(images)));
        let originals = originals.values().symbols();
        let known: Vec<Option<u8>> = originals
            .chunks_exact(variables)
            .flat_map(|image| (0..times * variables).map(move |k| (k % variables, image)))
            .map(|(i, image)| observed[i].then_some(image[i]))
            .collect();
        let bar = self.terminal.examples_bar(known.len() / variables, "completing");
        let exact = self.model.takes_any_mask()
            || super::complete::is_prefix(&observed, self.model.ordering().as_slice());
        let mut rng = stream(seed, Purpose::Sample, 1);
        let drawn = if exact {
            self.model.complete(&known, &mut rng)
        } else {
            let once: Vec<Option<u8>> = known
                .chunks_exact(times * variables)
                .flat_map(|k| &k[..variables])
                .copied()
                .collect();
            self.model.complete_monte_carlo(&once, None, (PARTICLES, times), &mut rng).values
        };
        bar.finish_and_clear();
        let mut rows = Vec::new();
        let completed = drawn.chunks_exact(times * variables);
        for (k, (image, completed)) in originals.chunks_exact(variables).zip(completed).enumerate()
        {
            let picture = |alt: String, event: &[u8], all: bool| {
                Picture::of_event(alt, layout, levels, event, |at| all || observed[at])
            };
            let mut row = vec![
                picture(format!("Test image {}", k + 1), image, true)?,
                picture(format!("Its upper half, {}", k + 1), image, false)?,
            ];
            for (i, event) in completed.chunks_exact(variables).enumerate() {
                row.push(picture(format!("Completion {} of it", i + 1), event, true)?);
            }
            rows.push(row);
        }
        Ok(Some(Completions { rows, exact }))
    }
}

/// `[rows, variables]` as cells.
fn in_words<T>(values: &[T], variables: usize, word: impl Fn(&T) -> String) -> Vec<Vec<String>> {
    values.chunks_exact(variables).map(|row| row.iter().map(&word).collect()).collect()
}
