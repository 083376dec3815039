//! `POST /v1/models/{name}/classify`: p(y | x) by Bayes' rule, of a model with classes or of a column of a table.
//!
//! ```text
//! p(y | x) = p(x | y) p(y) / Σ_y' p(x | y') p(y'),   p(y) uniform      a model with classes
//! p(y | x) = p(x, y) / Σ_y' p(x, y')                                   a column of a table
//! ```
//!
//! Of an image that is known in part, p(y | observed), where p(observed | y) is an estimate by sequential Monte Carlo.

use ar_models::classification::{Posteriors, log_joints};
use ar_models::examples::InMemory;
use ar_models::randomness::{Purpose, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{Answer, Body, counted};
use super::fault::Fault;
use super::limits::Limits;
use super::served::Served;
use crate::data::cells::seen_by_model;
use crate::host::{self, Heard, Progress};

/// Rows to classify.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifyRequest {
    /// As for `score`; pixels of images may be null, and so may the target's cells.
    rows: Vec<Value>,
    /// The column that is told from the others, of a table.
    #[serde(default)]
    target: Option<String>,
    /// Walks of each row and class, where pixels are not known.
    #[serde(default = "particles")]
    #[schema(minimum = 1)]
    particles: usize,
    #[serde(default = "super::limits::seed")]
    seed: u64,
}

fn particles() -> usize {
    16
}

/// What rows are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClassifyAnswer {
    model: String,
    classes: Vec<String>,
    rows: Vec<Classified>,
}

/// What a row is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Classified {
    /// p(y | x) of each class.
    probabilities: Vec<f64>,
    /// The likeliest class; null where the row is impossible under each.
    prediction: Option<String>,
}

/// Classifies the rows of a request.
///
/// # Errors
/// When the model has no classes, or they are no rows of the run's.
pub(crate) fn answer(
    served: &Served,
    body: &Body,
    limits: &Limits,
) -> Result<ClassifyAnswer, Fault> {
    let asked: ClassifyRequest = counted(body.json()?, limits)?;
    limits.check_draws(1, asked.particles)?;
    let (classes, evidence) = match (&asked.target, served.class_names()) {
        (None, Some(classes)) => {
            let evidence = of_classes(served, &asked, classes.len(), limits)?;
            (classes, evidence)
        }
        (Some(target), _) => of_column(served, &asked, target, limits)?,
        (None, None) => {
            return Err(Fault::request(
                format!("{} has no classes", served.name),
                "name a column of labels with \"target\", or serve a run with model.classes",
            ));
        }
    };
    // Of a column p(x, y) is the model's, and what is common to all y cancels.
    let log_prior = vec![-(classes.len() as f64).ln(); classes.len()];
    let posteriors = Posteriors::new(&evidence, &log_prior, 1.0).map_err(anyhow::Error::from)?;
    let row = |row: usize| {
        let prediction = posteriors.prediction(row);
        let probability = |log: &f64| if log.is_nan() { 0.0 } else { log.exp() };
        Classified {
            probabilities: posteriors.log_posterior(row).iter().map(probability).collect(),
            prediction: prediction.map(|class| classes[class].clone()),
        }
    };
    let rows = (0..posteriors.len()).map(row).collect();
    Ok(ClassifyAnswer { model: served.name.clone(), classes, rows })
}

/// log p(x | y) of each row and class, `[rows, classes]`.
fn of_classes(
    served: &Served,
    asked: &ClassifyRequest,
    classes: usize,
    limits: &Limits,
) -> Result<Vec<f64>, Fault> {
    if asked.rows.is_empty() {
        return Ok(Vec::new());
    }
    let Some(levels) = served.event.levels else {
        return Err(Fault::internal("a model with classes is one of symbols"));
    };
    let known = served.symbols_given(&asked.rows, levels)?;
    let whole: Option<Vec<u8>> = known.iter().copied().collect();
    if let Some(rows) = whole {
        return Ok(served.model.log_prob_per_class(&rows[..]));
    }
    let width = served.event.variables();
    limits.check_values(known.len().saturating_mul(classes * asked.particles))?;
    let of_row = |row: &[Option<u8>]| {
        let of_class = |class: usize| {
            let mut rng = Heard::new(stream(asked.seed, Purpose::Probability, class as u64));
            let counts = (asked.particles, 1);
            let found =
                served.model.complete_monte_carlo(row, Some(&[class as u8]), counts, &mut rng);
            found.log_prob_observed[0]
        };
        (0..classes).map(of_class).collect::<Vec<f64>>()
    };
    Ok(known.chunks_exact(width).flat_map(of_row).collect())
}

/// The labels of a column, and log p(x, y) of each row and label.
fn of_column(
    served: &Served,
    asked: &ClassifyRequest,
    target: &str,
    limits: &Limits,
) -> Result<(Vec<String>, Vec<f64>), Fault> {
    let column = served.variable(target)?;
    let schema = served.schema()?;
    let labels =
        schema.variables[column].kind.labels().filter(|all| (2..=256).contains(&all.len()));
    let Some(labels) = labels else {
        return Err(Fault::request(
            format!("target: {target:?} is no column of 2 to 256 labels"),
            "`complete` says what a missing number would be",
        ));
    };
    if asked.rows.is_empty() {
        return Ok((labels, Vec::new()));
    }
    let cells = super::complete::cells_of(served, &asked.rows)?;
    let columns = served.event.columns.as_deref().unwrap_or_default();
    let width = served.event.variables();
    limits.check_values(cells.values.len().saturating_mul(labels.len()))?;
    let rows = InMemory::reals(seen_by_model(&cells.values, columns), width);
    let joints = log_joints(&served.model, &rows, column, labels.len(), |_| {
        host::tell(Progress::Pulse);
    });
    Ok((labels, joints))
}

impl Answer for ClassifyAnswer {
    fn rows(&self) -> usize {
        self.rows.len()
    }
}
