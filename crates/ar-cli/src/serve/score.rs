//! `POST /v1/models/{name}/score`: log p(x) of rows, and whether they are anomalies. What `chainrule score --calibrate valid`
//! does, by the same code, so that the numbers are the same to the bit.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Answer, Body, counted};
use super::fault::{Fault, Trouble};
use super::limits::Limits;
use super::rows;
use super::served::Served;
use crate::args::BadRows;
use crate::commands::score::anomaly::Test;
use crate::commands::score::rows::{Row, Scorer};
use crate::commands::{finite, most};
use crate::data::sets::Set;

/// Rows to score.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoreRequest {
    /// Objects of columns and their values, or arrays of values in event order.
    rows: Vec<Value>,
    /// Rows whose p-value is at most this are flagged.
    #[serde(default = "alpha")]
    #[schema(minimum = 0, maximum = 1)]
    alpha: f64,
    /// How many of the costliest variables are named.
    #[serde(default)]
    costliest: usize,
    /// Whether the cost of every variable is given.
    #[serde(default)]
    costs: bool,
    /// Values of each pixel, where they are not those that the model sees: 256 for bytes.
    #[serde(default)]
    #[schema(minimum = 2, maximum = 256)]
    levels: Option<u16>,
}

/// How rows are judged; in the query where the body is CSV or Arrow.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScoreHow {
    /// Rows whose p-value is at most this are flagged.
    #[serde(default = "alpha")]
    #[param(minimum = 0, maximum = 1)]
    pub(crate) alpha: f64,
    /// How many of the costliest variables are named.
    #[serde(default)]
    pub(crate) costliest: usize,
    /// Whether the cost of every variable is given.
    #[serde(default)]
    pub(crate) costs: bool,
    /// Values of each pixel, where they are not those that the model sees: 256 for bytes.
    #[serde(default)]
    #[param(minimum = 2, maximum = 256)]
    pub(crate) levels: Option<u16>,
}

impl ScoreHow {
    fn check(&self) -> Result<(), Fault> {
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(Fault::request(
                format!("alpha: {}", self.alpha),
                "alpha is a share of normal rows, from 0 to 1",
            ));
        }
        match self.levels {
            Some(levels) if !(2..=256).contains(&levels) => Err(Fault::request(
                format!("levels: {levels}, expected 2 to 256"),
                "leave it out where pixels are as the model sees them",
            )),
            _ => Ok(()),
        }
    }
}

fn alpha() -> f64 {
    0.01
}

/// The scores of rows, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScoreAnswer {
    /// The run's name.
    model: String,
    /// What `score` is: `log-prob`, or `window`.
    ranked_by: &'static str,
    alpha: f64,
    /// One for each row, in place.
    rows: Vec<ScoredRow>,
    /// Names in rows that are no column of the run's, and were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

/// A row that was scored, or why it was not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ScoredRow {
    Scored(Scored),
    Bad {
        /// What is wrong with the row.
        error: Trouble,
    },
}

/// What is known of a row. A number that is not finite is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scored {
    /// log p(x) in nats; null where the row is impossible.
    #[schema(required)]
    log_prob_nats: Option<f64>,
    /// What it is ranked by; higher is more normal.
    #[schema(required)]
    score: Option<f64>,
    #[schema(required)]
    bits_per_dim: Option<f64>,
    /// The share of normal rows that are as unlikely; with a calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    p_low_likelihood: Option<f64>,
    /// The share of normal rows that are as far from as likely as normal ones are.
    #[serde(skip_serializing_if = "Option::is_none")]
    p_typicality: Option<f64>,
    /// Whether `p_low_likelihood` is at most alpha.
    #[serde(skip_serializing_if = "Option::is_none")]
    flagged: Option<bool>,
    /// The variables that cost the most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    costliest: Vec<Cost>,
    /// −log p(x_i | those before it) of each variable, in nats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    costs: Vec<Option<f64>>,
}

/// What a variable costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cost {
    variable: String,
    /// null where its value is impossible.
    nats: Option<f64>,
}

/// Scores the rows of a request.
///
/// # Errors
/// When they are no rows of the run's, or more than are taken at once.
pub(crate) fn answer(
    served: &Served,
    body: Body,
    query: ScoreHow,
    limits: &Limits,
) -> Result<ScoreAnswer, Fault> {
    query.check()?;
    let (how, bad, ignored, set): (_, Vec<Option<Trouble>>, Vec<String>, _) = match body {
        Body::Json(bytes) => {
            let asked: ScoreRequest = counted(&bytes, limits)?;
            let ScoreRequest { rows, alpha, costliest, costs, levels } = asked;
            let how = ScoreHow { alpha, costliest, costs, levels };
            how.check()?;
            let given = served.cells_given(&rows);
            let set = match given.cells.is_empty() {
                true => None,
                false => {
                    let finder = served.finder(how.levels);
                    Some(finder.rows(rows::name(), served.column_names(), given.cells)?)
                }
            };
            (how, given.bad, given.ignored.into_iter().collect(), set)
        }
        Body::Csv(text) => {
            let set = served.finder(query.levels).text(Path::new("rows.csv"), text)?;
            (query, Vec::new(), Vec::new(), Some(set))
        }
        Body::Arrow(file) => {
            let set = served.finder(query.levels).file(file.path(), &served.event);
            let set = set.map_err(|error| Fault::from(error).without(file.path()))?;
            (query, Vec::new(), Vec::new(), Some(set))
        }
    };
    let mut scored = match set {
        Some(set) => scores(served, set, &how, limits)?,
        None => Vec::new(),
    }
    .into_iter();
    // Those that were no rows stand between those that were.
    let mut rows = Vec::new();
    for bad in bad {
        match bad {
            Some(error) => rows.push(ScoredRow::Bad { error }),
            None => rows.extend(scored.next()),
        }
    }
    rows.extend(scored);
    let (model, ranked_by) = (served.name.clone(), served.ranks.by.name());
    Ok(ScoreAnswer { model, ranked_by, alpha: how.alpha, rows, ignored })
}

fn scores(
    served: &Served,
    mut set: Set,
    how: &ScoreHow,
    limits: &Limits,
) -> Result<Vec<ScoredRow>, Fault> {
    let scorer = Scorer {
        model: &served.model,
        window: served.ranks.window.as_ref(),
        ranking: served.ranks.ranking.as_ref(),
        extras: &served.extras,
        session: &served.session,
        bad_rows: BadRows::Report,
        alpha: how.alpha,
    };
    let mut rows = Vec::new();
    let mut too_many = None;
    let need_costs = how.costs || how.costliest > 0;
    let outcome = scorer.run(&mut set, served.normal.as_ref(), need_costs, |row| {
        if let Err(fault) = limits.check_rows(rows.len() as u64 + 1) {
            too_many = Some(fault);
            anyhow::bail!("too many rows");
        }
        rows.push(row_of(served, &row, how));
        Ok(())
    });
    if let Some(fault) = too_many {
        return Err(fault);
    }
    match outcome {
        // Of rows that are all bad each says why.
        Err(error) if rows.is_empty() => Err(error.into()),
        _ => Ok(rows),
    }
}

fn row_of(served: &Served, row: &Row<'_>, how: &ScoreHow) -> ScoredRow {
    let Some(scores) = row.scores else {
        // Where it is in the request, its place in the answer says.
        let in_row =
            |text: &str| Some(text.strip_prefix("rows: row ")?.split_once(", ")?.1.to_owned());
        let hint = "the others are scored; GET /v1/models/{name} says what a row has";
        let message = in_row(row.error).unwrap_or_else(|| row.error.to_owned());
        return ScoredRow::Bad {
            error: Trouble { kind: "data".to_owned(), message, hint: hint.to_owned() },
        };
    };
    let p = |test| scores.p.and_then(|p| p.of.get(test));
    let cost = |i: usize| Cost { variable: served.names[i].clone(), nats: finite(scores.costs[i]) };
    ScoredRow::Scored(Scored {
        log_prob_nats: finite(scores.log_prob),
        score: finite(scores.measures.score),
        bits_per_dim: finite(scores.bits_per_dim),
        p_low_likelihood: p(Test::LowLikelihood),
        p_typicality: p(Test::Typicality),
        flagged: scores.p.and_then(|p| p.flags().get(Test::LowLikelihood)),
        costliest: match how.costliest {
            0 => Vec::new(),
            k => most(scores.costs, k).into_iter().map(cost).collect(),
        },
        costs: match how.costs {
            true => scores.costs.iter().map(|&cost| finite(cost)).collect(),
            false => Vec::new(),
        },
    })
}

impl Answer for ScoreAnswer {
    fn rows(&self) -> usize {
        self.rows.len()
    }
}
