//! `chainrule probability RUN --where CONDITION`: how probable it is that a row of a table meets conditions.

use std::time::Instant;

use anyhow::Result;
use ar_data::Split;
use ar_models::columns::Region;
use ar_models::examples::{Examples as _, read_all_reals};
use ar_models::model::Model;
use ar_models::randomness::{Purpose, stream};
use prob_core::logspace::log_mean_exp;
use serde::Serialize;

use super::{Session, finite};
use crate::args::ProbabilityArgs;
use crate::conditions::{holds, regions};
use crate::data::sets::Finder;
use crate::device;
use crate::error::Internal;
use crate::output::{RECORD_VERSION, columns, grouped, human_seconds};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    model: String,
    run: String,
    #[serde(rename = "where")]
    conditions: Vec<String>,
    /// `exact` by enumeration or over stored rows, or `progressive-sampling`.
    method: &'static str,
    /// The probability; a density where a number of a real column is among the conditions.
    probability: f64,
    /// Its standard error; 0 of an exact one.
    probability_stderr: f64,
    log_prob_nats: Option<f64>,
    is_density: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    particles: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Counted>,
    seconds: f64,
    device: String,
}

/// The rows of some data that meet the conditions.
#[derive(Debug, Serialize)]
struct Counted {
    data: String,
    rows: usize,
    count: usize,
    fraction: f64,
    /// Binomial.
    fraction_stderr: f64,
}

/// Walks at a time. Each batch has its own stream of random numbers, so the estimate depends on this number.
const WALKS: usize = 1000;

/// Estimates and prints.
///
/// # Errors
/// When the run is not trained, is not of a table's columns, or a condition is none.
pub(crate) fn run(args: &ProbabilityArgs, session: &Session) -> Result<()> {
    let start = Instant::now();
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let (schema, names) = super::columns_of(&run, &config)?;
    let regions = regions("--where", &args.conditions, schema, &names)?;
    let event = config.event_of_run()?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    super::require_regions(&model)?;
    let is_density = schema.variables.iter().zip(&regions).any(|(variable, region)| {
        variable.kind == ar_data::Type::Real && matches!(region, Region::Value(x) if !x.is_nan())
    });
    if is_density {
        session.terminal.note(
            "a real number has a density and no probability, so this is a density; a range, as 'name=0.5..1.5', has a \
             probability",
        );
    }
    let estimate = estimate(&model, &regions, args)?;
    let counted = match &args.data {
        None => None,
        Some(spec) => {
            let finder = Finder::new(&config, session.reader(), &args.file.file);
            let mut set = finder.named("--data", spec, Split::Test)?;
            let (mut rows, mut count, width) = (0, 0, regions.len());
            while let Some(part) = set.next()? {
                let values = read_all_reals(&part.examples, 0);
                rows += part.examples.len();
                count += values.chunks_exact(width).filter(|row| holds(&regions, row)).count();
            }
            let fraction = count as f64 / rows.max(1) as f64;
            let fraction_stderr = (fraction * (1.0 - fraction) / rows.max(1) as f64).sqrt();
            Some(Counted { data: spec.clone(), rows, count, fraction, fraction_stderr })
        }
    };
    let record = Record {
        version: RECORD_VERSION,
        command: "probability",
        model: model.kind().to_owned(),
        run: run.display(),
        conditions: args.conditions.clone(),
        method: if estimate.is_exact { "exact" } else { "progressive-sampling" },
        probability: estimate.log_prob.exp(),
        probability_stderr: estimate.stderr,
        log_prob_nats: finite(estimate.log_prob),
        is_density,
        particles: (!estimate.is_exact).then_some(args.particles),
        counted,
        seconds: start.elapsed().as_secs_f64(),
        device: device.name,
    };
    session.terminal.result(&record, || words(&record))
}

struct Estimate {
    log_prob: f64,
    stderr: f64,
    is_exact: bool,
}

fn estimate(model: &Model, regions: &[Region], args: &ProbabilityArgs) -> Result<Estimate> {
    if let Some(log_prob) = model.log_prob_of_regions(regions) {
        return Ok(Estimate { log_prob, stderr: 0.0, is_exact: true });
    }
    let mut weights = Vec::with_capacity(args.particles);
    for (batch, first) in (0..args.particles).step_by(WALKS).enumerate() {
        let mut rng = stream(args.seed, Purpose::Probability, batch as u64);
        let count = WALKS.min(args.particles - first);
        let own = model.log_weights_of_regions(regions, count, &mut rng);
        weights.extend(own.ok_or(Internal("a model of columns without regions"))?);
    }
    let log_prob = log_mean_exp(&weights);
    let n = weights.len() as f64;
    // In units of the mean, since that may be smaller than a double's least.
    let deviation = |weight: &f64| ((weight - log_prob).exp() - 1.0).powi(2);
    let variance = weights.iter().map(deviation).sum::<f64>() / (n - 1.0).max(1.0);
    let stderr =
        if log_prob == f64::NEG_INFINITY { 0.0 } else { log_prob.exp() * (variance / n).sqrt() };
    Ok(Estimate { log_prob, stderr, is_exact: false })
}

fn words(record: &Record) -> String {
    let is = if record.is_density { "density" } else { "p" };
    let how = match record.particles {
        None if record.model == "kernel" => "exact, by the kernels of all stored rows".to_owned(),
        None => "exact, by enumeration".to_owned(),
        Some(particles) => {
            format!("by {} walks that draw allowed values alone", grouped(&particles.to_string()))
        }
    };
    let mut rows = vec![vec![
        format!("{is}({})", record.conditions.join(", ")),
        format!("{:.6} ± {:.6}", record.probability, record.probability_stderr),
        format!("{:.4} nats", -record.log_prob_nats.unwrap_or(f64::NEG_INFINITY)),
        how,
    ]];
    if let Some(counted) = &record.counted {
        rows.push(vec![
            format!("rows of {}", counted.data),
            format!("{:.6} ± {:.6}", counted.fraction, counted.fraction_stderr),
            format!(
                "{} of {}",
                grouped(&counted.count.to_string()),
                grouped(&counted.rows.to_string())
            ),
            String::new(),
        ]);
    }
    format!("{}{}\n", columns(&rows), human_seconds(record.seconds))
}
