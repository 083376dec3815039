//! Rows of a table: missing cells filled in, given all others of the row.
//!
//! ```text
//! p(missing | observed) = p(x) / Σ p(x) over all ways to fill in the row       few ways, all of categories
//! with --hide, of a number j that was hidden:   −log p(x_j | observed) = log p(observed) − log p(x_j, observed)
//! ```
//!
//! beside −log of the frequency of x_j among the training rows.

use std::time::Instant;

use anyhow::Result;
use ar_data::{Schema, Split, Variable};
use ar_models::codec::Cells;
use ar_models::columns::{Effort, Region};
use ar_models::config::EventSpec;
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use prob_core::logspace::logsumexp;
use rand::{Rng, RngExt as _};
use serde::Serialize;

use super::super::{Session, finite};
use super::images::is_prefix;
use super::marginals::{Marginals, commonest, is_missing};
use crate::args::CompleteArgs;
use crate::conditions::present;
use crate::config::Config;
use crate::data::cells::{Table, seen_by_model};
use crate::data::sets::Finder;
use crate::data::{load_split, prepare};
use crate::device;
use crate::error::{Internal, mistake};
use crate::files::Filled;
use crate::host::Heard;
use crate::output::{RECORD_VERSION, Terminal, columns, grouped, human_seconds};
use crate::outputs::{Inputs, check, out};
use crate::run_dir::RunDir;
use crate::tables::Format;

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
    /// Rows written, once for each of `samples`.
    rows: usize,
    samples: usize,
    seed: u64,
    /// Rows with a cell that was filled in, and such cells.
    rows_with_holes: usize,
    cells: usize,
    /// `exact` where all rows with holes are filled in by draws from p(missing | observed) itself, else `smc`.
    method: &'static str,
    /// Rows with holes of which that is so: all ways to fill them in were tried, nothing observed comes after a hole
    /// in the walk, or the model takes any mask.
    exact_rows: usize,
    particles: usize,
    /// How well hidden cells were filled in, with --hide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hidden: Vec<Hidden>,
    seconds: f64,
    device: String,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// How well the hidden cells of a column were filled in; `marginal` is by the frequencies of the training rows.
#[derive(Debug, Serialize)]
struct Hidden {
    column: String,
    cells: usize,
    /// Mean of −log p(cell | the row's other cells that are there), in nats; estimated.
    log_loss_nats: Option<f64>,
    marginal_log_loss_nats: Option<f64>,
    /// Of categories: how often the commonest label of the draws is the right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marginal_accuracy: Option<f64>,
    /// Of numbers: how far the median of the draws is off, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_absolute_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marginal_mean_absolute_error: Option<f64>,
}

/// The most walks of one row.
const MOST_PARTICLES: usize = 100_000;

/// Walks at a time. Each batch of rows has its own stream of random numbers, so the draws depend on this number.
const WALKS: usize = 4096;

/// Fills in, writes and prints.
///
/// # Errors
/// When the run is not trained, the data does not suit it, or the file cannot be written.
pub(super) fn run(args: &CompleteArgs, session: &Session) -> Result<()> {
    let start = Instant::now();
    if args.observe.is_some() {
        return Err(mistake(
            "--observe for the rows of a table, expected it for images",
            "what is missing in the file is filled in; --hide 0.1 hides cells that are there",
        ));
    }
    if args.particles > MOST_PARTICLES {
        return Err(mistake(
            format!("--particles {}: expected at most {MOST_PARTICLES}", args.particles),
            "every particle is a walk with a state of its own",
        ));
    }
    let Some(format) = Format::of(&args.out)? else {
        return Err(mistake(
            format!("--out {}: expected a name ending in .csv or .parquet", args.out.display()),
            "the rows are written in the table's own words",
        ));
    };
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let inputs = Inputs::of_run(&run, &config, &session.locations);
    let inputs = inputs.and_spec(args.data.as_deref(), &session.locations);
    check(&[out(&args.out)], &inputs)?;
    let event = config.event_of_run()?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    super::super::require_regions(&model)?;
    super::super::class_of(args.class, &model)?;
    let Some(schema) = &config.data.schema else {
        return Err(Internal("columns without a schema").into());
    };
    let terminal = &session.terminal.beside(Some(&args.out));
    let Table { name, split, cells } = data_of(args, &config, session)?;
    let table =
        Holes::of(&cells, schema, &event, args.count, args.hide.map(|share| (share, args.seed)));
    let rows = table.rows();
    let with_holes: Vec<usize> = (0..rows).filter(|&row| table.has_hole(row)).collect();
    let holes = table.is_hole.iter().filter(|is_hole| **is_hole).count();
    if holes == 0 {
        terminal.note(format!(
            "{}: no cell is missing in {} rows; --hide 0.1 hides a tenth of them",
            name,
            grouped(&rows.to_string())
        ));
    }
    let asked = args.samples.unwrap_or(1);
    // The commonest and the middle one are found among as many draws as there are particles.
    let summarized = args.most_likely || args.hide.is_some();
    let samples = if summarized { args.particles.max(asked) } else { asked };
    let (seed, particles) = (args.seed, args.particles);
    let filler = Filler { model: &model, table: &table, schema, seed, particles, terminal };
    let filled = filler.fill(&with_holes, samples);
    let hidden = match args.hide {
        Some(_) => {
            let train = load_split(&config, Split::Train, session.reader())?;
            let train = prepare(train, config.data.preprocessing, Split::Train, None)?;
            filler.hidden(&with_holes, &filled, samples, &Marginals::of(&train, schema))
        }
        None => Vec::new(),
    };
    let written = if args.most_likely { 1 } else { asked };
    let mut completed = Vec::with_capacity(rows * written * table.width);
    let mut next = 0;
    for row in 0..rows {
        let own = &table.values[row * table.width..][..table.width];
        if !table.has_hole(row) {
            (0..written).for_each(|_| completed.extend_from_slice(own));
            continue;
        }
        let draws = &filled.values[next * samples * table.width..][..samples * table.width];
        if args.most_likely {
            completed.extend(
                (0..table.width).map(|i| summary(&schema.variables[i], draws, i, table.width)),
            );
        } else {
            completed.extend_from_slice(&draws[..written * table.width]);
        }
        next += 1;
    }
    let names = config.data.columns.as_deref();
    let known = |row: usize, i: usize| {
        let code = cells.values[row * table.width + i];
        cells.others[i].get((code as usize).checked_sub(table.outcomes[i])?)?.as_deref()
    };
    let filled_in = Filled { values: &completed, schema, names, samples: written, other: &known };
    filled_in.write(&args.out, format)?;
    let record = Record {
        version: RECORD_VERSION,
        command: "complete",
        model: model.kind().to_owned(),
        data: name,
        split: split.map_or_else(|| "all".to_owned(), |split| split.to_string()),
        run: run.display(),
        out: args.out.display().to_string(),
        rows,
        samples: written,
        seed: args.seed,
        rows_with_holes: with_holes.len(),
        cells: holes,
        method: if filled.exact == with_holes.len() { "exact" } else { "smc" },
        exact_rows: filled.exact,
        particles: args.particles,
        hidden,
        seconds: start.elapsed().as_secs_f64(),
        device: device.name,
        accepted_changes: config.data.expected.accepted(),
    };
    terminal.result(&record, || words(&record))
}

/// The rows, in which missing cells and labels that training never saw are told apart.
fn data_of(args: &CompleteArgs, config: &Config, session: &Session) -> Result<Table> {
    let finder = Finder::new(config, session.reader(), &args.file.file);
    let split = args.split.unwrap_or(Split::Test);
    if let Some(spec) = &args.data {
        return finder.cells(spec, split, args.file.skips(config));
    }
    let data = finder.own(split)?.into_whole(args.file.skips(config), &session.terminal)?;
    Ok(Table::of(&data, config.data.label(), split))
}

/// Rows and which of their cells are to be filled in, `[rows, columns]`.
pub(crate) struct Holes {
    /// As the model has them.
    pub(crate) values: Vec<f64>,
    width: usize,
    /// Outcomes of each category; more than there can be for a number.
    pub(crate) outcomes: Vec<usize>,
    pub(crate) is_hole: Vec<bool>,
    /// Those of them that are there and were hidden.
    is_hidden: Vec<bool>,
}

impl Holes {
    /// At most `count` rows; `hides` is the share of the cells that are hidden, and the seed that says which.
    pub(crate) fn of(
        cells: &Cells,
        schema: &Schema,
        event: &EventSpec,
        count: Option<usize>,
        hides: Option<(f64, u64)>,
    ) -> Self {
        let width = schema.variables.len();
        let rows = count.unwrap_or(usize::MAX).min(cells.values.len() / width.max(1));
        let outcomes: Vec<usize> =
            schema.variables.iter().map(|own| own.levels().unwrap_or(usize::MAX)).collect();
        let codes = &cells.values[..rows * width];
        let values = seen_by_model(codes, event.columns.as_deref().unwrap_or_default());
        let missing = |(at, &x): (usize, &f64)| {
            let i = at % width;
            let other = cells.others[i].get((x as usize).wrapping_sub(outcomes[i]));
            is_missing(&schema.variables[i], x) || other.is_some_and(Option::is_none)
        };
        let mut is_hole: Vec<bool> = codes.iter().enumerate().map(missing).collect();
        let mut is_hidden = vec![false; is_hole.len()];
        if let Some((share, seed)) = hides {
            for row in 0..rows {
                let mut rng = stream(seed, Purpose::Mask, row as u64);
                for at in row * width..(row + 1) * width {
                    is_hidden[at] = rng.random::<f64>() < share && !is_hole[at];
                    is_hole[at] |= is_hidden[at];
                }
            }
        }
        Self { values, width, outcomes, is_hole, is_hidden }
    }

    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn has_hole(&self, row: usize) -> bool {
        self.is_hole[row * self.width..(row + 1) * self.width].contains(&true)
    }

    /// What is known of the cells of a row: those that are there, and that the others are to be.
    pub(crate) fn regions(&self, row: usize, schema: &Schema) -> Vec<Region> {
        let cell = |i: usize| {
            let at = row * self.width + i;
            if self.is_hole[at] {
                present(&schema.variables[i])
            } else {
                Region::Value(self.values[at])
            }
        };
        (0..self.width).map(cell).collect()
    }
}

/// What was found of the rows with holes.
pub(crate) struct Found {
    /// `[rows, samples, columns]`.
    pub(crate) values: Vec<f64>,
    /// How many of them were drawn from p(missing | observed) itself.
    pub(crate) exact: usize,
    /// −ln p(cell | observed) of each hidden cell: its row among those with holes, its column, the cost in nats.
    costs: Vec<(usize, usize, f64)>,
}

/// Fills in rows.
pub(crate) struct Filler<'a> {
    pub(crate) model: &'a Model,
    pub(crate) table: &'a Holes,
    pub(crate) schema: &'a Schema,
    pub(crate) seed: u64,
    pub(crate) particles: usize,
    pub(crate) terminal: &'a Terminal,
}

/// The most ways to fill in a row that are tried one by one.
const MOST_WAYS: usize = 256;

/// The most labels of a hidden cell whose probabilities are estimated one by one.
const MOST_LABELS: usize = 64;

impl Filler<'_> {
    /// Draws of rows: from p(missing | observed) itself where all ways to fill in a row can be tried, nothing that is
    /// observed comes after a hole, or the model takes any mask; by sequential Monte Carlo elsewhere.
    pub(crate) fn fill(&self, rows: &[usize], samples: usize) -> Found {
        let any_mask = self.model.takes_any_mask();
        let width = self.table.width;
        let ordering = self.model.ordering().as_slice();
        let mut found =
            Found { values: vec![0.0; rows.len() * samples * width], exact: 0, costs: Vec::new() };
        let mut others = Vec::new();
        let bar = self.terminal.examples_bar(rows.len(), "filling in");
        for (place, &row) in rows.iter().enumerate() {
            let mut rng = Heard::new(stream(self.seed, Purpose::Sample, (1 << 40) | row as u64));
            let out = &mut found.values[place * samples * width..][..samples * width];
            // What a model of any mask says of one needs no sums over whole rows.
            let tried = if any_mask { None } else { self.try_all(row, out, &mut rng) };
            match tried {
                Some(costs) => {
                    found.exact += 1;
                    found.costs.extend(costs.into_iter().map(|(i, cost)| (place, i, cost)));
                    bar.inc(1);
                }
                None => others.push(place),
            }
        }
        let regions =
            others.iter().map(|&place| self.table.regions(rows[place], self.schema)).collect();
        let (values, log_probs) = self.draws(regions, samples, Purpose::Sample);
        for (own, &place) in values.chunks_exact(samples * width).zip(&others) {
            found.values[place * samples * width..][..samples * width].copy_from_slice(own);
            let observed: Vec<bool> =
                (0..width).map(|i| !self.table.is_hole[rows[place] * width + i]).collect();
            found.exact += usize::from(any_mask || is_prefix(&observed, ordering));
        }
        bar.finish_and_clear();
        self.cost_by_walks(rows, &others, &log_probs, &mut found.costs);
        found
    }

    /// Fills in a row whose holes are categories by trying all ways, and gives what its hidden cells cost; `None` where
    /// there are too many.
    fn try_all(&self, row: usize, out: &mut [f64], rng: &mut dyn Rng) -> Option<Vec<(usize, f64)>> {
        let width = self.table.width;
        let own = &self.table.values[row * width..(row + 1) * width];
        let holes: Vec<usize> =
            (0..width).filter(|i| self.table.is_hole[row * width + i]).collect();
        let labels = |&i: &usize| {
            let variable = &self.schema.variables[i];
            variable.levels().map(|levels| levels - usize::from(variable.can_be_missing))
        };
        let counts: Vec<usize> = holes.iter().map(labels).collect::<Option<_>>()?;
        let ways = counts.iter().try_fold(1_usize, |all, count| {
            all.checked_mul(*count).filter(|ways| *ways <= MOST_WAYS)
        })?;
        let mut rows = own.repeat(ways);
        for (way, filled) in rows.chunks_exact_mut(width).enumerate() {
            let mut left = way;
            for (&i, count) in holes.iter().zip(&counts) {
                filled[i] = (left % count) as f64;
                left /= count;
            }
        }
        let log_probs = self.model.log_prob(&rows[..]);
        let all = logsumexp(&log_probs);
        for filled in out.chunks_exact_mut(width) {
            let mut left = rng.random::<f64>();
            let way = log_probs.iter().position(|log_prob| {
                left -= (log_prob - all).exp();
                left < 0.0
            });
            let way = way.unwrap_or(ways - 1);
            filled.copy_from_slice(&rows[way * width..(way + 1) * width]);
        }
        let cost = |i: usize| {
            let with =
                rows.chunks_exact(width).zip(&log_probs).filter(|(filled, _)| filled[i] == own[i]);
            let with: Vec<f64> = with.map(|(_, log_prob)| *log_prob).collect();
            (i, all - logsumexp(&with))
        };
        Some(
            holes.into_iter().filter(|i| self.table.is_hidden[row * width + i]).map(cost).collect(),
        )
    }

    /// Draws of rows under conditions, and ln p of these.
    fn draws(
        &self,
        regions: Vec<Vec<Region>>,
        samples: usize,
        purpose: Purpose,
    ) -> (Vec<f64>, Vec<f64>) {
        let particles = self.particles.max(samples);
        let effort = Effort { particles, samples };
        let bar = self.terminal.examples_bar(regions.len(), "walking");
        let (mut values, mut log_prob) = (Vec::new(), Vec::new());
        for (batch, regions) in regions.chunks((WALKS / particles).max(1)).enumerate() {
            let mut rng = Heard::new(stream(self.seed, purpose, batch as u64));
            if let Some(found) = self.model.draws_given(&regions.concat(), effort, &mut rng) {
                values.extend(found.values);
                log_prob.extend(found.log_prob);
            }
            bar.inc(regions.len() as u64);
        }
        bar.finish_and_clear();
        (values, log_prob)
    }

    /// What the hidden cells of some rows cost, whose observed cells have these log-probabilities: of a category by the
    /// share of the label among all, of a number by p(number, observed) / p(observed).
    fn cost_by_walks(
        &self,
        rows: &[usize],
        places: &[usize],
        log_probs: &[f64],
        costs: &mut Vec<(usize, usize, f64)>,
    ) {
        let width = self.table.width;
        let (mut regions, mut cells) = (Vec::new(), Vec::new());
        for (&place, &observed) in places.iter().zip(log_probs) {
            let row = rows[place];
            let own = self.table.regions(row, self.schema);
            for i in (0..width).filter(|i| self.table.is_hidden[row * width + i]) {
                let variable = &self.schema.variables[i];
                let x = self.table.values[row * width + i];
                let asked = [own[i].clone(), Region::Value(x)];
                if let Some(exact) = self.model.log_probs_of_cell(&own, i, &asked) {
                    costs.push((place, i, exact[0] - exact[1]));
                    continue;
                }
                let labels =
                    variable.levels().map(|all| all - usize::from(variable.can_be_missing));
                let labels = labels.filter(|labels| *labels <= MOST_LABELS && x < *labels as f64);
                let values = match labels {
                    Some(labels) => (0..labels).map(|label| label as f64).collect(),
                    None => vec![x],
                };
                cells.push((place, i, x, labels.is_some(), observed, values.len()));
                regions.extend(values.into_iter().map(|value| {
                    let mut regions = own.clone();
                    regions[i] = Region::Value(value);
                    regions
                }));
            }
        }
        let (_, joints) = self.draws(regions, 1, Purpose::Probability);
        let mut left = &joints[..];
        for (place, i, x, are_all, observed, count) in cells {
            let (own, rest) = left.split_at(count);
            left = rest;
            let cost = if are_all { logsumexp(own) - own[x as usize] } else { observed - own[0] };
            costs.push((place, i, cost));
        }
    }

    /// How well the hidden cells were filled in.
    fn hidden(
        &self,
        rows: &[usize],
        found: &Found,
        samples: usize,
        marginals: &Marginals,
    ) -> Vec<Hidden> {
        let width = self.table.width;
        let mut sums: Vec<Sums> = (0..width).map(|_| Sums::default()).collect();
        for &(place, i, cost) in &found.costs {
            let (variable, x) =
                (&self.schema.variables[i], self.table.values[rows[place] * width + i]);
            let draws = &found.values[place * samples * width..][..samples * width];
            let own = summary(variable, draws, i, width);
            let sums = &mut sums[i];
            sums.cells += 1;
            sums.log_loss += cost;
            sums.marginal_log_loss += marginals.cost(i, x);
            let score = |guess: f64| match variable.levels() {
                Some(_) => f64::from(u8::from(guess == x)),
                None => (guess - x).abs(),
            };
            sums.score += score(own);
            sums.marginal_score += score(marginals.middle(i));
        }
        let of = |(i, sums): (usize, Sums)| {
            let n = sums.cells.max(1) as f64;
            let is_category = self.schema.variables[i].levels().is_some();
            let of_category = |sum: f64| is_category.then_some(sum / n);
            let of_numbers = |sum: f64| (!is_category).then_some(sum / n);
            Hidden {
                column: self.schema.variables[i].title(),
                cells: sums.cells,
                log_loss_nats: finite(sums.log_loss / n),
                marginal_log_loss_nats: finite(sums.marginal_log_loss / n),
                accuracy: of_category(sums.score),
                marginal_accuracy: of_category(sums.marginal_score),
                mean_absolute_error: of_numbers(sums.score),
                marginal_mean_absolute_error: of_numbers(sums.marginal_score),
            }
        };
        sums.into_iter().enumerate().filter(|(_, sums)| sums.cells > 0).map(of).collect()
    }
}

#[derive(Default)]
struct Sums {
    cells: usize,
    log_loss: f64,
    marginal_log_loss: f64,
    score: f64,
    marginal_score: f64,
}

/// The commonest label of column `i` of some draws, or the median of its numbers.
fn summary(variable: &Variable, draws: &[f64], i: usize, width: usize) -> f64 {
    let mut values: Vec<f64> = draws.iter().skip(i).step_by(width).copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    match variable.levels() {
        Some(_) => commonest(&values),
        None => values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN),
    }
}

fn words(record: &Record) -> String {
    let how = match record.method {
        "exact" => "p(missing | observed)".to_owned(),
        _ => format!(
            "p(missing | observed) by sequential Monte Carlo, {} particles",
            record.particles
        ),
    };
    let mut text = format!(
        "{} cells of {} of {} rows filled in, to {} in {}, drawn from {how}\n",
        grouped(&record.cells.to_string()),
        grouped(&record.rows_with_holes.to_string()),
        grouped(&record.rows.to_string()),
        record.out,
        human_seconds(record.seconds),
    );
    if record.hidden.is_empty() {
        return text;
    }
    let heading = ["column", "cells", "nats", "marginal", "right or off by", "marginal"];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    let nats = |nats: Option<f64>| nats.map_or_else(|| "?".to_owned(), |nats| format!("{nats:.3}"));
    for hidden in &record.hidden {
        let score = |accuracy: Option<f64>, error: Option<f64>| match (accuracy, error) {
            (Some(accuracy), _) => format!("{:.1}%", 100.0 * accuracy),
            (_, Some(error)) => format!("{error:.3}"),
            _ => String::new(),
        };
        table.push(vec![
            hidden.column.clone(),
            grouped(&hidden.cells.to_string()),
            nats(hidden.log_loss_nats),
            nats(hidden.marginal_log_loss_nats),
            score(hidden.accuracy, hidden.mean_absolute_error),
            score(hidden.marginal_accuracy, hidden.marginal_mean_absolute_error),
        ]);
    }
    text.push('\n');
    text + &columns(&table)
}
