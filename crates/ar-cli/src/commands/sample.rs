//! `chainrule sample RUN --out FILE`: draws from a trained model.

use std::time::Instant;

use anyhow::Result;
use ar_data::dequantize::quantize;
use ar_models::columns::{Effort, Region};
use ar_models::examples::Rows;
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use serde::Serialize;

use super::{Session, class_of, columns_of};
use crate::args::SampleArgs;
use crate::conditions::regions;
use crate::device;
use crate::error::{Internal, mistake};
use crate::files::{Events, Format};
use crate::host::Heard;
use crate::output::{RECORD_VERSION, Terminal, human_seconds};
use crate::outputs::{Inputs, check, out};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    run: String,
    out: String,
    count: usize,
    seed: u64,
    /// The label that the samples are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u8>,
    /// The conditions that the samples meet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    given: Vec<String>,
    /// `exact`, or `smc` for sequential Monte Carlo; of samples under conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    seconds: f64,
    device: String,
}

/// The most values drawn at once: 2 GiB of them.
const MAX_VALUES: usize = 1 << 31;

/// Samples drawn in one walk. Each walk has its own stream of random numbers, so the samples depend
/// on this number.
const BATCH: usize = 1000;

/// Draws, writes and prints.
///
/// # Errors
/// When the run is not trained, or the file cannot be written or cannot show such events.
pub(crate) fn run(args: &SampleArgs, session: &Session) -> Result<()> {
    let run = RunDir::open(&args.run)?;
    let config = run.load_config()?;
    let event = config.event_of_run()?;
    // Samples of a model of dequantized symbols are symbols again.
    let symbols = config.symbols();
    let shown = symbols.as_ref().unwrap_or(&event);
    let format = Format::of(&args.out, shown, args.columns)?;
    if args.count.saturating_mul(event.variables()) > MAX_VALUES {
        return Err(mistake(
            format!(
                "--count {} of {} variables each, expected at most {MAX_VALUES} values",
                args.count,
                event.variables()
            ),
            "draw fewer, with several values of --seed",
        ));
    }
    if !format.is_text() {
        out(&args.out).refuse_terminal()?;
    }
    check(&[out(&args.out)], &Inputs::of_run(&run, &config, &session.locations))?;
    let given = match &args.given[..] {
        [] => None,
        conditions => {
            let (schema, names) = columns_of(&run, &config)?;
            Some(regions("--given", conditions, schema, &names)?)
        }
    };
    let terminal = session.terminal.beside(Some(&args.out));
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let class = class_of(args.class, &model)?;
    let start = Instant::now();
    if given.is_some() {
        super::require_regions(&model)?;
    }
    let given = given.as_ref().map(|regions| Given::of(regions, &model));
    let values = match &given {
        Some(given) => given.draw(&model, args.count, args.seed, &terminal)?,
        None => draw(&model, args.count, class, args.seed, &terminal),
    };
    let seconds = start.elapsed().as_secs_f64();
    let values = match (symbols.as_ref().and_then(|event| event.levels), values) {
        (Some(levels), Rows::Reals(values)) => quantized(&values, levels),
        (_, values) => values,
    };
    let names = config.data.columns.as_deref();
    let schema = config.data.schema.as_ref();
    let events = Events { values: values.values(), event: shown, names, schema };
    events.write(&args.out, format, args.columns)?;
    let record = Record {
        version: RECORD_VERSION,
        command: "sample",
        run: run.display(),
        out: args.out.display().to_string(),
        count: args.count,
        seed: args.seed,
        class,
        given: args.given.clone(),
        method: given.as_ref().map(Given::method),
        seconds,
        device: device.name,
    };
    terminal.result(&record, || {
        let given = match (class, record.method) {
            (Some(class), _) => format!(" of class {class}"),
            (_, Some("exact")) => format!(" given {}", record.given.join(", ")),
            (_, Some(_)) => {
                format!(" given {} by sequential Monte Carlo", record.given.join(", "))
            }
            _ => String::new(),
        };
        let seconds = human_seconds(seconds);
        format!("{} samples{given} to {} in {seconds}", record.count, record.out)
    })
}

/// Conditions that rows are drawn under.
pub(crate) struct Given<'a> {
    regions: &'a [Region],
    /// Whether the walk meets no condition after a cell that is drawn, so that each walk is a draw.
    is_exact: bool,
}

/// Walks for each sample where walks are chosen among.
const WALKS_PER_SAMPLE: usize = 4;

/// The fewest walks to choose among.
const FEWEST_WALKS: usize = 4000;

impl<'a> Given<'a> {
    pub(crate) fn of(regions: &'a [Region], model: &Model) -> Self {
        let ordering = model.ordering().as_slice();
        let after = ordering.iter().rposition(|&i| !regions[i].is_any()).unwrap_or(0);
        // A region that is no single value is drawn from, too: nothing known may come after it.
        let is_known = |region: &Region| matches!(region, Region::Value(_));
        let is_exact = if model.takes_regions_exactly() {
            true
        } else if model.takes_any_mask() {
            // Known cells come first, and then one of another condition.
            regions.iter().filter(|region| !region.is_any() && !is_known(region)).count() <= 1
        } else {
            ordering[..after].iter().all(|&i| is_known(&regions[i]))
        };
        Self { regions, is_exact }
    }

    pub(crate) fn method(&self) -> &'static str {
        if self.is_exact { "exact" } else { "smc" }
    }

    /// `count` draws.
    ///
    /// # Errors
    /// When the conditions are impossible.
    pub(crate) fn draw(
        &self,
        model: &Model,
        count: usize,
        seed: u64,
        terminal: &Terminal,
    ) -> Result<Rows> {
        let bar = terminal.examples_bar(count, "sampling");
        let mut values = Vec::new();
        for (index, first) in (0..count).step_by(BATCH).enumerate() {
            let mut rng = Heard::new(stream(seed, Purpose::Sample, index as u64));
            let samples = BATCH.min(count - first);
            let particles = if self.is_exact {
                samples
            } else {
                (WALKS_PER_SAMPLE * samples).max(FEWEST_WALKS)
            };
            let effort = Effort { particles, samples };
            let drawn = model.draws_given(self.regions, effort, &mut rng);
            let drawn = drawn.ok_or(Internal("a model of columns without regions"))?;
            if drawn.log_prob.contains(&f64::NEG_INFINITY) {
                return Err(mistake(
                    "--given: the conditions are impossible under the model",
                    "`chainrule probability RUN --where CONDITION` says how probable each is",
                ));
            }
            values.extend(drawn.values);
            bar.set_position((first + samples) as u64);
        }
        bar.finish_and_clear();
        Ok(Rows::Reals(values))
    }
}

/// Real numbers as the symbols that they lie in.
pub(crate) fn quantized(values: &[f64], levels: usize) -> Rows {
    let levels = u16::try_from(levels).unwrap_or(256);
    Rows::Symbols(values.iter().map(|&value| quantize(value, levels)).collect())
}

/// `count` draws, of a class if there is one.
pub(crate) fn draw(
    model: &Model,
    count: usize,
    class: Option<u8>,
    seed: u64,
    terminal: &Terminal,
) -> Rows {
    let bar = terminal.examples_bar(count, "sampling");
    let mut drawn: Option<Rows> = None;
    for (index, first) in (0..count).step_by(BATCH).enumerate() {
        let mut rng = Heard::new(stream(seed, Purpose::Sample, index as u64));
        let n = BATCH.min(count - first);
        let rows = match class {
            Some(class) => {
                let nothing = vec![None; n * model.variables()];
                Rows::Symbols(model.complete_given(&nothing, &vec![class; n], &mut rng))
            }
            None => model.sample_rows(n, &mut rng),
        };
        match &mut drawn {
            Some(drawn) => drawn.append(rows),
            None => drawn = Some(rows),
        }
        bar.set_position((first + BATCH).min(count) as u64);
    }
    bar.finish_and_clear();
    drawn.expect("clap has seen that at least one sample is asked for")
}
