//! `POST /v1/models/{name}/complete`: draws of what is not known, given what is. What `chainrule complete` does, by the same
//! code: the same rows, seed, samples and particles give the same draws.

use ar_models::codec::Cells;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Answer, Body, counted};
use super::fault::Fault;
use super::limits::Limits;
use super::rows;
use super::rows::RowOf;
use super::served::Served;
use crate::commands::complete::images::{Draws, Question};
use crate::commands::complete::is_prefix;
use crate::commands::complete::table::{Filler, Holes};
use crate::commands::{class_of, finite};

/// Rows to complete.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteRequest {
    /// As for `score`, with null for what is not known.
    rows: Vec<Value>,
    /// Completions of each row.
    #[serde(default = "four")]
    #[schema(minimum = 1)]
    samples: usize,
    /// Walks of each row at a time, where completions are by sequential Monte Carlo.
    #[serde(default = "particles")]
    #[schema(minimum = 1)]
    particles: usize,
    /// The same seed gives the same completions.
    #[serde(default = "super::limits::seed")]
    seed: u64,
    /// The label that completions are given, of a model with classes.
    #[serde(default)]
    class: Option<usize>,
    /// Whether to say what each variable of images or symbols is on average. More is drawn for it: as many completions as
    /// particles.
    #[serde(default)]
    means: bool,
}

fn four() -> usize {
    4
}

fn particles() -> usize {
    100
}

/// Completions of rows, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompleteAnswer {
    model: String,
    /// `exact` where all are draws from p(missing | observed) itself, else `smc`.
    method: &'static str,
    /// Of method `smc`.
    particles: Option<usize>,
    rows: Vec<Completed>,
}

/// Completions of a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Completed {
    /// An array of values, or an object of columns and their values.
    #[schema(value_type = Vec<serde_json::Value>)]
    completions: Vec<RowOf>,
    /// The mean of each variable over all that was drawn, from 0 to levels − 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<Vec<f64>>,
    /// −log p(observed) in nats: exact where what is observed is a prefix of the ordering, an estimate elsewhere; null
    /// where it is not known.
    observed_nll_nats: Option<f64>,
}

/// Completes the rows of a request.
///
/// # Errors
/// When they are no rows of the run's, or more than is taken is asked for.
pub(crate) fn answer(
    served: &Served,
    body: &Body,
    limits: &Limits,
) -> Result<CompleteAnswer, Fault> {
    let asked: CompleteRequest = counted(body.json()?, limits)?;
    limits.check_draws(asked.samples, asked.particles)?;
    if asked.rows.is_empty() {
        let model = served.name.clone();
        return Ok(CompleteAnswer { model, method: "exact", particles: None, rows: Vec::new() });
    }
    let draws = if asked.means { asked.samples.max(asked.particles) } else { asked.samples };
    let values = asked.rows.len().saturating_mul(draws.max(asked.particles));
    limits.check_values(values.saturating_mul(served.event.variables()))?;
    match served.event.levels {
        Some(levels) => of_symbols(served, &asked, draws, levels),
        None => of_table(served, &asked),
    }
}

fn of_symbols(
    served: &Served,
    asked: &CompleteRequest,
    samples: usize,
    levels: usize,
) -> Result<CompleteAnswer, Fault> {
    let class = class_of(asked.class, &served.model)?;
    let known = served.symbols_given(&asked.rows, levels)?;
    let width = served.event.variables();
    let observed: Vec<bool> = known.iter().map(Option::is_some).collect();
    let originals: Vec<u8> = known.iter().map(|x| x.unwrap_or(0)).collect();
    let ordering = served.model.ordering().as_slice();
    let are_prefixes = observed.chunks_exact(width).all(|own| is_prefix(own, ordering));
    let is_exact = are_prefixes || served.model.takes_any_mask();
    let draws = Draws { samples, particles: asked.particles, seed: asked.seed };
    let question =
        |originals, observed| Question { model: &served.model, originals, observed, class };
    let terminal = &served.session.terminal;
    let (values, costs): (Vec<u8>, Vec<Option<f64>>) = if is_exact {
        let whole = question(&originals, &observed);
        let values = whole.draw(draws, terminal);
        let rows = originals.chunks_exact(width).zip(observed.chunks_exact(width));
        let cost = |(row, known)| question(row, known).costs().observed.and_then(finite);
        (values, rows.map(cost).collect())
    } else {
        // All rows in one, as the command does it; the mean over several is the cost of none.
        let (values, mean) = question(&originals, &observed).monte_carlo(draws, terminal);
        let costs = match asked.rows.len() {
            1 => vec![mean.observed.and_then(finite)],
            rows => vec![None; rows],
        };
        (values, costs)
    };
    let completed = values.chunks_exact(samples * width).zip(costs).map(|(own, cost)| {
        // Draws that share ancestors lie beside each other.
        let chosen = (0..asked.samples).map(|k| k * samples / asked.samples);
        let row = |k: usize| {
            let row = own[k * width..(k + 1) * width].iter();
            served.row_of(&row.map(|&x| f64::from(x)).collect::<Vec<_>>())
        };
        let mean = |i: usize| {
            let all = own.iter().skip(i).step_by(width);
            all.map(|&x| f64::from(x)).sum::<f64>() / samples as f64
        };
        Completed {
            completions: chosen.map(row).collect(),
            means: asked.means.then(|| (0..width).map(mean).collect()),
            observed_nll_nats: cost,
        }
    });
    Ok(CompleteAnswer {
        model: served.name.clone(),
        method: if is_exact { "exact" } else { "smc" },
        particles: (!is_exact).then_some(asked.particles),
        rows: completed.collect(),
    })
}

/// The cells of rows, all of which have to be rows.
///
/// # Errors
/// When one is none.
pub(crate) fn cells_of(served: &Served, given: &[Value]) -> Result<Cells, Fault> {
    let cells = served.cells_given(given).whole()?;
    Ok(served.finder(None).cells_of_rows(rows::name(), served.column_names(), cells)?)
}

fn of_table(served: &Served, asked: &CompleteRequest) -> Result<CompleteAnswer, Fault> {
    crate::commands::require_regions(&served.model)?;
    class_of(asked.class, &served.model)?;
    let schema = served.schema()?;
    let cells = cells_of(served, &asked.rows)?;
    let table = Holes::of(&cells, schema, &served.event, None, None);
    let with_holes: Vec<usize> = (0..table.rows()).filter(|&row| table.has_hole(row)).collect();
    let filler = Filler {
        model: &served.model,
        table: &table,
        schema,
        seed: asked.seed,
        particles: asked.particles,
        terminal: &served.session.terminal,
    };
    let found = filler.fill(&with_holes, asked.samples);
    let width = served.event.variables();
    let mut filled = found.values.chunks_exact(asked.samples * width);
    let row = |row: usize| {
        let own = &table.values[row * width..(row + 1) * width];
        let drawn = if table.has_hole(row) { filled.next() } else { None };
        let completions = (0..asked.samples).map(|k| {
            let values = drawn.map_or(own, |drawn| &drawn[k * width..(k + 1) * width]);
            let mut filled_in = served.row_of(values);
            // A label that training never saw stays the word that it is.
            let RowOf::Named(own) = &mut filled_in else { return filled_in };
            for (i, (name, cell)) in own.iter_mut().enumerate() {
                // Code of all labels that are none of training's.
                if !table.is_hole[row * width + i] && values[i] >= table.outcomes[i] as f64 {
                    let given = match &asked.rows[row] {
                        Value::Object(given) => given.get(name.as_str()),
                        given => given.get(i),
                    };
                    *cell = given.cloned().unwrap_or_default();
                }
            }
            filled_in
        });
        Completed { completions: completions.collect(), means: None, observed_nll_nats: None }
    };
    let rows = (0..table.rows()).map(row).collect();
    let is_exact = found.exact == with_holes.len();
    Ok(CompleteAnswer {
        model: served.name.clone(),
        method: if is_exact { "exact" } else { "smc" },
        particles: (!is_exact).then_some(asked.particles),
        rows,
    })
}

impl Answer for CompleteAnswer {
    fn rows(&self) -> usize {
        self.rows.len()
    }
}
