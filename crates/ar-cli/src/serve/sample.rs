//! `POST /v1/models/{name}/sample`: draws from the model, under conditions if there are any. What `chainrule sample` does: the
//! same count and seed give the same draws.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Answer, Body, parsed};
use super::fault::Fault;
use super::limits::Limits;
use super::rows::RowOf;
use super::served::Served;
use crate::commands::sample::{Given, draw};
use crate::commands::{class_of, require_regions};
use crate::conditions::regions;

/// What to draw.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleRequest {
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    count: usize,
    /// The same seed gives the same draws.
    #[serde(default = "super::limits::seed")]
    seed: u64,
    /// The label that draws are given, of a model with classes.
    #[serde(default)]
    class: Option<usize>,
    /// Conditions on the columns of a table: `age=30..40`, `sex=Female`, `hours>=20`.
    #[serde(default)]
    given: Vec<String>,
}

fn one() -> usize {
    1
}

/// Draws.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SampleAnswer {
    model: String,
    /// `exact`, or `smc` for sequential Monte Carlo.
    method: &'static str,
    /// An array of values, or an object of columns and their values.
    #[schema(value_type = Vec<serde_json::Value>)]
    rows: Vec<RowOf>,
}

/// Draws what a request asks for.
///
/// # Errors
/// When a condition is none, is impossible, or more is asked for than is drawn at once.
pub(crate) fn answer(served: &Served, body: &Body, limits: &Limits) -> Result<SampleAnswer, Fault> {
    let asked: SampleRequest = parsed(body.json()?)?;
    limits.check_rows(asked.count as u64)?;
    if asked.count == 0 {
        return Err(Fault::request("count: 0", "draw at least one"));
    }
    let width = served.event.variables();
    limits.check_values(asked.count.saturating_mul(width))?;
    let terminal = &served.session.terminal;
    let class = class_of(asked.class, &served.model)?;
    let (values, method) = if asked.given.is_empty() {
        (draw(&served.model, asked.count, class, asked.seed, terminal), "exact")
    } else {
        if served.event.levels.is_some() || served.is_image() {
            return Err(Fault::request(
                "given: conditions are on the columns of a table",
                "`complete` draws the rest of an image, given what is known of it",
            ));
        }
        require_regions(&served.model)?;
        let regions = regions("given", &asked.given, served.schema()?, &served.names)?;
        let given = Given::of(&regions, &served.model);
        (given.draw(&served.model, asked.count, asked.seed, terminal)?, given.method())
    };
    let values: Vec<f64> = match values.values() {
        ar_models::examples::Values::Symbols(values) => values.iter().map(|&x| x.into()).collect(),
        ar_models::examples::Values::Reals(values) => values.to_vec(),
    };
    let rows = values.chunks_exact(width).map(|row| served.row_of(row)).collect();
    Ok(SampleAnswer { model: served.name.clone(), method, rows })
}

impl Answer for SampleAnswer {
    fn rows(&self) -> usize {
        self.rows.len()
    }
}
