//! `POST /v1/models/{name}/conditional`: what a model expects of each variable.
//!
//! Of an image or symbols, p(x_t | x_<t) along the model's own walk. Of a table, p(cell | the other cells that are filled),
//! and what each filled cell costs given the others.

use ar_data::{Type, Variable};
use ar_models::columns::{Effort, Region};
use ar_models::randomness::{Purpose, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Answer, Body, parsed};
use super::complete::cells_of;
use super::fault::Fault;
use super::limits::Limits;
use super::served::Served;
use crate::commands::complete::table::Holes;
use crate::commands::finite;
use crate::host::Heard;

/// A row, and what to say of it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionalRequest {
    /// Of an image or symbols all values; of a table null where a cell is empty.
    row: Value,
    /// Of an image or symbols: the variables whose p(x_t | x_<t) is given in full, by number or name.
    #[serde(default)]
    variables: Vec<Value>,
    /// Of a table: the draws that distributions are made of.
    #[serde(default = "particles")]
    #[schema(minimum = 1)]
    particles: usize,
    #[serde(default = "super::limits::seed")]
    seed: u64,
}

fn particles() -> usize {
    400
}

/// What a model expects.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ConditionalAnswer {
    /// Along the walk.
    Walk {
        /// log p(x) in nats; null where it is impossible.
        log_prob_nats: Option<f64>,
        /// −log p(x_i | those before it) of each variable, in nats; null where it is impossible.
        costs: Vec<Option<f64>>,
        conditionals: Vec<Conditional>,
    },
    /// Given the other cells.
    Cells {
        /// log p of the filled cells, in nats; of real numbers a density.
        log_prob_nats: Option<f64>,
        /// `exact` or `smc`.
        method: &'static str,
        cells: Vec<CellOf>,
    },
}

/// p(x_t | x_<t).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conditional {
    variable: usize,
    /// t, from 0.
    position: usize,
    /// Of each value.
    probabilities: Vec<f64>,
}

/// A cell of a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CellOf {
    variable: String,
    filled: bool,
    /// −log p(cell | the other filled cells) in nats, of a filled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<f64>,
    /// What it would be: the likeliest label, the median of numbers.
    expected: Value,
    distribution: Distribution,
}

/// p(cell | the other filled cells).
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Distribution {
    Labels {
        /// The likeliest first.
        labels: Vec<Share>,
        /// p of all labels that are not listed.
        others: f64,
    },
    Numbers {
        /// Where the first bin begins.
        low: f64,
        /// Where the last one ends.
        high: f64,
        /// The share of each of equal bins.
        bins: Vec<f64>,
        median: Option<f64>,
        /// p(missing).
        missing: f64,
    },
}

/// A label and its probability.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Share {
    /// null for a missing cell.
    label: Value,
    p: f64,
}

/// Labels that are listed, and bins of numbers.
const LABELS: usize = 12;
const BINS: usize = 24;

/// Variables whose conditionals are given at a time.
const MOST: usize = 64;

/// Says what the model expects.
///
/// # Errors
/// When it is no row of the run's.
pub(crate) fn answer(
    served: &Served,
    body: &Body,
    limits: &Limits,
) -> Result<ConditionalAnswer, Fault> {
    let asked: ConditionalRequest = parsed(body.json()?)?;
    limits.check_draws(1, asked.particles)?;
    match served.event.levels {
        Some(levels) => walk(served, &asked, levels),
        None => cells(served, &asked, limits),
    }
}

fn walk(
    served: &Served,
    asked: &ConditionalRequest,
    levels: usize,
) -> Result<ConditionalAnswer, Fault> {
    let known = served.symbols_given(std::slice::from_ref(&asked.row), levels)?;
    let Some(row) = known.into_iter().collect::<Option<Vec<u8>>>() else {
        return Err(Fault::request(
            "row: a value is null, and p(x_t | x_<t) looks at all that come before",
            "`complete` fills in what is not known",
        ));
    };
    if asked.variables.len() > MOST {
        return Err(Fault::request(
            format!("variables: {}, expected at most {MOST}", asked.variables.len()),
            "ask several times",
        ));
    }
    let of_name = |name: &Value| match name {
        Value::String(name) => served.variable(name),
        other => served.numbered(other.as_u64()),
    };
    let variables: Vec<usize> = asked.variables.iter().map(of_name).collect::<Result<_, _>>()?;
    let (model, width) = (&served.model, row.len());
    let costs: Vec<f64> = model.log_prob_per_variable(&row[..]).iter().map(|x| 0.0 - x).collect();
    // The same row with each value in its place: the others before it are the same.
    let mut rows = row.repeat(variables.len() * levels);
    for (k, own) in rows.chunks_exact_mut(width).enumerate() {
        own[variables[k / levels]] = (k % levels) as u8;
    }
    let all = if rows.is_empty() { Vec::new() } else { model.log_prob_per_variable(&rows[..]) };
    let conditional = |(k, &variable): (usize, &usize)| {
        let of = |level: usize| all[(k * levels + level) * width + variable].exp();
        let position = model.ordering().position_of(variable);
        Conditional { variable, position, probabilities: (0..levels).map(of).collect() }
    };
    Ok(ConditionalAnswer::Walk {
        log_prob_nats: finite(model.log_prob(&row[..])[0]),
        costs: costs.into_iter().map(finite).collect(),
        conditionals: variables.iter().enumerate().map(conditional).collect(),
    })
}

fn cells(
    served: &Served,
    asked: &ConditionalRequest,
    limits: &Limits,
) -> Result<ConditionalAnswer, Fault> {
    crate::commands::require_regions(&served.model)?;
    let schema = served.schema()?;
    let width = served.event.variables();
    limits.check_values(asked.particles.saturating_mul(width * (width + 1)))?;
    let cells = cells_of(served, std::slice::from_ref(&asked.row))?;
    let table = Holes::of(&cells, schema, &served.event, None, None);
    let known = table.regions(0, schema);
    let filled: Vec<bool> = table.is_hole.iter().map(|is_hole| !is_hole).collect();
    // The row as it is, and then with each filled cell left open.
    let open = |region: &Region, i: usize| match region {
        Region::Value(_) => crate::conditions::present(&schema.variables[i]),
        other => other.clone(),
    };
    let mut regions = known.clone();
    let mut opened = Vec::new();
    for i in (0..width).filter(|&i| filled[i]) {
        let mut own = known.clone();
        own[i] = open(&known[i], i);
        regions.extend(own);
        opened.push(i);
    }
    let effort = Effort { particles: asked.particles, samples: asked.particles };
    let mut rng = Heard::new(stream(asked.seed, Purpose::Sample, 0));
    let drawn = served.model.draws_given(&regions, effort, &mut rng);
    let drawn = drawn.ok_or_else(|| Fault::internal("a model of columns without regions"))?;
    let of_row = |k: usize| &drawn.values[k * asked.particles * width..][..asked.particles * width];
    let log_prob = served.model.log_prob_of_regions(&known).unwrap_or(drawn.log_prob[0]);
    let cell = |i: usize| {
        let place = opened.iter().position(|&own| own == i);
        let rows = of_row(place.map_or(0, |place| place + 1));
        let mut values: Vec<f64> = rows.iter().skip(i).step_by(width).copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (distribution, expected) = distribution(served, &schema.variables[i], i, &values);
        let nats = place.map(|place| {
            let of_value = [known[i].clone()];
            let mut others = known.clone();
            others[i] = open(&known[i], i);
            let nats = match served.model.log_probs_of_cell(&others, i, &of_value) {
                Some(exact) => -exact[0],
                None => drawn.log_prob[place + 1] - drawn.log_prob[0],
            };
            // A difference of two estimates; a mass costs nothing at least, a density may be above 1.
            if schema.variables[i].kind == Type::Real { nats } else { nats.max(0.0) }
        });
        CellOf {
            variable: served.names[i].clone(),
            filled: place.is_some(),
            nats: nats.and_then(finite),
            expected,
            distribution,
        }
    };
    Ok(ConditionalAnswer::Cells {
        log_prob_nats: finite(log_prob),
        method: if served.model.takes_any_mask() { "exact" } else { "smc" },
        cells: (0..width).map(cell).collect(),
    })
}

/// What some sorted draws of a variable say.
fn distribution(
    served: &Served,
    variable: &Variable,
    i: usize,
    values: &[f64],
) -> (Distribution, Value) {
    let n = values.len().max(1) as f64;
    if let Some(levels) = variable.levels() {
        let mut counts = vec![0_usize; levels + 1];
        values.iter().for_each(|&x| counts[(x as usize).min(levels)] += 1);
        let mut order: Vec<usize> = (0..levels).filter(|&label| counts[label] > 0).collect();
        order.sort_by_key(|&label| std::cmp::Reverse(counts[label]));
        let expected = order.first().map_or(Value::Null, |&own| served.value_of(i, own as f64));
        let listed = order.iter().take(LABELS);
        let share = |count: usize| count as f64 / n;
        let of = |&label: &usize| Share {
            label: served.value_of(i, label as f64),
            p: share(counts[label]),
        };
        let others =
            share(values.len() - listed.clone().map(|&label| counts[label]).sum::<usize>());
        let labels = listed.map(of).collect();
        return (Distribution::Labels { labels, others }, expected);
    }
    let numbers: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    let missing = 1.0 - numbers.len() as f64 / n;
    // Heavy tails would leave one bin with everything.
    let quantile = |share: f64| {
        numbers
            .get(((numbers.len() as f64 * share) as usize).min(numbers.len().max(1) - 1))
            .copied()
    };
    let (low, high) = (quantile(0.005).unwrap_or(0.0), quantile(0.995).unwrap_or(0.0));
    let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
    let mut counts = [0_usize; BINS];
    for &x in numbers.iter().filter(|x| (low..=high).contains(*x)) {
        counts[(((x - low) / (high - low) * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let bins = counts.iter().map(|&count| count as f64 / n).collect();
    let median = quantile(0.5);
    let expected = median.map_or(Value::Null, |median| served.value_of(i, median));
    (Distribution::Numbers { low, high, bins, median, missing }, expected)
}

impl Answer for ConditionalAnswer {
    fn rows(&self) -> usize {
        1
    }
}
