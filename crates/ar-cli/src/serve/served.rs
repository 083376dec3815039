//! A run that is served: its model in memory, and what is said of it.

use std::sync::OnceLock;

use anyhow::Result;
use ar_data::{Schema, Split, Type, Variable};
use ar_models::config::EventSpec;
use ar_models::examples::{Examples as _, all_labels, read_all, read_all_reals};
use ar_models::model::Model;
use serde::Serialize;
use utoipa::ToSchema;

use super::fault::Fault;
use super::rows::RowOf;
use crate::args::FileArgs;
use crate::commands::score::Ranks;
use crate::commands::score::anomaly::{Extras, Normal};
use crate::commands::train::Record as Training;
use crate::commands::{Session, evenly_spaced, finite};
use crate::config::Config;
use crate::data::sets::Finder;
use crate::device::Chosen;
use crate::error::nearest;
use crate::files::Layout;
use crate::run_dir::RunDir;
use crate::{looks, sees};

/// A run that is served.
pub(crate) struct Served {
    /// The last part of its path.
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) event: EventSpec,
    pub(crate) model: Model,
    pub(crate) ranks: Ranks,
    /// The validation rows, to rank others among.
    pub(crate) normal: Option<Normal>,
    /// Nothing is measured beside the score.
    pub(crate) extras: Extras,
    /// Of the variables.
    pub(crate) names: Vec<String>,
    /// Says nothing.
    pub(crate) session: Session,
    file: FileArgs,
    test_nll_nats: Option<f64>,
    /// Real events to start from, once somebody has asked.
    examples: OnceLock<Examples>,
}

/// What a list of runs says of one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Summary {
    /// As paths of requests have it.
    pub(crate) name: String,
    /// Of the model: `nade`, `diagonal-bilstm`, …
    pub(crate) kind: String,
    /// `image`, `table`, or `symbols` for vectors of bits or levels.
    pub(crate) event: &'static str,
    /// Of an event.
    pub(crate) shape: Vec<usize>,
    /// Of an event.
    pub(crate) variables: usize,
    /// Values of each variable; null where they differ, or are numbers.
    pub(crate) levels: Option<usize>,
    /// What each conditional may look at.
    pub(crate) description: String,
    /// What it can be asked for.
    pub(crate) uses: Vec<&'static str>,
}

/// What is said of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Description {
    /// What lists say of it.
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Free parameters, a decimal of any length.
    pub(crate) parameters: String,
    /// In words.
    pub(crate) ordering: String,
    /// The variables in the order of the walk.
    pub(crate) order: Vec<usize>,
    /// Of a table.
    pub(crate) columns: Option<Vec<ColumnOf>>,
    /// What labels mean, of a model with classes.
    pub(crate) classes: Option<Vec<String>>,
    /// Mean of −log p(x) over the test split, in nats.
    pub(crate) test_nll_nats: Option<f64>,
    /// What rows are ranked by: `log-prob`, or `window` for the Parzen window over training rows.
    pub(crate) ranked_by: &'static str,
    /// The validation rows that others are ranked among.
    pub(crate) calibration: Option<CalibrationOf>,
}

/// A column of a table.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ColumnOf {
    /// Its name, or `x0`, `x1`, … of a file without names.
    pub(crate) name: String,
    /// `category`, `integer`, `decimal` or `real`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Of a category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<Vec<String>>,
    /// Digits after the decimal mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<u8>,
    /// Whether a cell was missing in training, so that this is an outcome.
    pub(crate) can_be_missing: bool,
}

/// What p-values are ranks among.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CalibrationOf {
    /// How many.
    pub(crate) rows: usize,
    /// 1 / (rows + 1).
    pub(crate) smallest_p: f64,
    /// The mean of their −score.
    pub(crate) entropy_nats: Option<f64>,
}

/// Real events.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Examples {
    /// Evenly spaced over the split.
    pub(crate) examples: Vec<Example>,
    /// Which part of the run's data.
    pub(crate) split: &'static str,
}

/// A real event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Example {
    /// Its values.
    #[schema(value_type = serde_json::Value)]
    pub(crate) row: RowOf,
    /// What it is, where the data says.
    pub(crate) label: Option<String>,
}

/// What a conditional may look at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Sees {
    /// The variable that it is of.
    pub(crate) variable: usize,
    /// Its place in the order of the walk.
    pub(crate) position: usize,
    /// The variables that it may look at.
    pub(crate) may_see: Vec<usize>,
}

/// Examples that are kept to start from.
const EXAMPLES: usize = 48;

impl Served {
    /// Loads a run.
    ///
    /// # Errors
    /// When it is not trained, or one of its files is not what it wrote.
    pub(crate) fn load(run: &RunDir, device: &Chosen, session: Session) -> Result<Self> {
        let config = run.load_config()?;
        let event = config.event_of_run()?;
        let model = run.load_model(&config, &event, &device.device)?;
        let ranks = Ranks::of(run, &config, &event, None, &device.device)?;
        let normal = ranks.normal(run, event.variables())?;
        let names = match &config.data.columns {
            Some(columns) => columns.clone(),
            None => (0..event.variables()).map(|i| format!("x{i}")).collect(),
        };
        let path = std::path::absolute(run.config())?;
        let name = path.parent().and_then(|run| run.file_name()).unwrap_or_default();
        let training: Option<Training> = run.read_result()?;
        let test_nll_nats = training.and_then(|training| training.test?.nll_nats);
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            config,
            event,
            model,
            ranks,
            normal,
            extras: Extras::none(),
            names,
            session,
            file: FileArgs::default(),
            test_nll_nats,
            examples: OnceLock::new(),
        })
    }

    /// What reads rows of the run's kind; values of symbols are those that the model sees, unless `levels` says otherwise.
    pub(crate) fn finder(&self, levels: Option<u16>) -> Finder<'_> {
        let own = self.event.levels.and_then(|levels| u16::try_from(levels).ok());
        Finder {
            levels: levels.or(own).or_else(|| self.config.data.raw_levels()),
            cells: self.ranks.tells_cells(),
            ..Finder::new(&self.config, self.session.reader(), &self.file)
        }
    }

    /// What the columns are.
    ///
    /// # Errors
    /// When the run is of no table.
    pub(crate) fn schema(&self) -> Result<&Schema, Fault> {
        self.config.data.schema.as_ref().ok_or_else(|| {
            Fault::request(
                format!("{} is of no table", self.name),
                "ask a run of a table's columns",
            )
        })
    }

    /// Whether rows are objects of columns: the run is of a table.
    pub(crate) fn is_table(&self) -> bool {
        self.config.data.schema.is_some() && !self.is_image()
    }

    pub(crate) fn is_image(&self) -> bool {
        self.event.shape.len() > 1 && Layout::of(&self.event.shape).is_some()
    }

    /// What the labels of a model with classes mean.
    pub(crate) fn class_names(&self) -> Option<Vec<String>> {
        let classes = self.model.classes()?;
        let names = self.config.data.class_names();
        let name = |k: usize| match names.and_then(|names| names.get(k)) {
            Some(name) => name.clone(),
            None => k.to_string(),
        };
        Some((0..classes).map(name).collect())
    }

    /// What lists say of it.
    pub(crate) fn summary(&self) -> Summary {
        let is_symbols = self.event.levels.is_some();
        let mut uses = vec!["score", "sample"];
        if is_symbols || self.model.takes_regions() {
            uses.extend(["complete", "conditional"]);
        }
        if self.model.classes().is_some() || self.has_targets() {
            uses.push("classify");
        }
        Summary {
            name: self.name.clone(),
            kind: self.model.kind().to_owned(),
            event: match (self.is_image(), is_symbols) {
                (true, _) => "image",
                (false, true) => "symbols",
                (false, false) => "table",
            },
            shape: self.event.shape.clone(),
            variables: self.event.variables(),
            levels: self.event.levels,
            description: sees::sees(&self.config.model, &self.event),
            uses,
        }
    }

    /// Whether there is a column of labels that can be told from the others.
    fn has_targets(&self) -> bool {
        let schema = self.config.data.schema.as_ref().filter(|_| self.config.data.is_of_columns());
        schema.is_some_and(|schema| {
            schema.variables.iter().any(|own| own.kind.labels().is_some_and(|all| all.len() > 1))
        })
    }

    /// What is said of it.
    pub(crate) fn description(&self) -> Description {
        let calibration = self.normal.as_ref().map(|normal| CalibrationOf {
            rows: normal.score.len(),
            smallest_p: normal.score.smallest_p(),
            entropy_nats: finite(normal.score.entropy_nats()),
        });
        let schema = self.config.data.schema.as_ref().filter(|_| self.is_table());
        let columns = schema.map(|schema| {
            schema.variables.iter().zip(&self.names).map(|(own, name)| column(own, name)).collect()
        });
        Description {
            summary: self.summary(),
            parameters: self.model.free_parameters().to_string(),
            ordering: sees::ordering(&self.config.model),
            order: self.model.ordering().as_slice().to_vec(),
            columns,
            classes: self.class_names(),
            test_nll_nats: self.test_nll_nats,
            ranked_by: self.ranks.by.name(),
            calibration,
        }
    }

    /// At most `count` real events of the test split.
    ///
    /// # Errors
    /// When the run's own data is not at hand.
    pub(crate) fn examples(&self, count: usize) -> Result<Examples, Fault> {
        if self.examples.get().is_none() {
            // Where it was looked for is nobody's business; it may come yet.
            let read = self.read_examples().map_err(|_| {
                let message = format!("the data of {} is not here", self.name);
                let hint = "start the server where the run's own data is, or with --data-dir";
                Fault::new(axum::http::StatusCode::NOT_FOUND, "data", message, hint)
            })?;
            // Another may have been quicker.
            let _ = self.examples.set(read);
        }
        let Some(kept) = self.examples.get() else {
            return Err(Fault::internal("examples that were read are not there"));
        };
        let all = evenly_spaced(kept.examples.len(), Some(count));
        let examples = all.into_iter().map(|k| kept.examples[k].clone()).collect();
        Ok(Examples { examples, split: kept.split })
    }

    fn read_examples(&self) -> Result<Examples> {
        let finder = Finder {
            with_labels: true,
            ..Finder::new(&self.config, self.session.reader(), &self.file)
        };
        let data = finder.own(Split::Test)?.into_whole(true, finder.terminal)?;
        let width = data.event.variables();
        let labels = all_labels(&data);
        let values: Vec<f64> = match self.event.levels {
            Some(_) => read_all(&data, 0).into_iter().map(f64::from).collect(),
            None => read_all_reals(&data, 0),
        };
        let names = self.config.data.class_names();
        let example = |row: usize| {
            let label = labels.as_ref().map(|labels| usize::from(labels[row]));
            Example {
                row: self.row_of(&values[row * width..(row + 1) * width]),
                label: label.map(|label| match names.and_then(|names| names.get(label)) {
                    Some(name) => name.clone(),
                    None => label.to_string(),
                }),
            }
        };
        let rows = evenly_spaced(data.len(), Some(EXAMPLES));
        Ok(Examples { examples: rows.into_iter().map(example).collect(), split: "test" })
    }

    /// The variable that a request means by its number or its name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn variable(&self, name: &str) -> Result<usize, Fault> {
        let by_name = self.names.iter().position(|own| own == name);
        let by_number = || name.parse().ok().filter(|i| *i < self.event.variables());
        by_name.or_else(by_number).ok_or_else(|| {
            let hint = match nearest(name, self.names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("variables are numbered from 0 to {}", self.event.variables() - 1),
            };
            Fault::request(format!("no variable {name:?}"), hint)
        })
    }

    /// The variable that a request means by its number.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn numbered(&self, number: Option<u64>) -> Result<usize, Fault> {
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.filter(|i| *i < self.event.variables()).ok_or_else(|| {
            let last = self.event.variables() - 1;
            Fault::request("no such variable", format!("variables are numbered from 0 to {last}"))
        })
    }

    /// What the conditional of a variable of an image may look at.
    ///
    /// # Errors
    /// When events are no images.
    pub(crate) fn sees(&self, variable: usize) -> Result<Sees, Fault> {
        let Some(layout) = Layout::of(&self.event.shape).filter(|_| self.event.levels.is_some())
        else {
            return Err(Fault::request(
                format!("{} is of no images of symbols", self.name),
                "GET /v1/models/{name} says in words what each conditional sees",
            ));
        };
        let may = looks::may_see(&self.config.model, layout, &self.model, variable)?;
        Ok(Sees {
            variable,
            position: self.model.ordering().position_of(variable),
            may_see: (0..may.len()).filter(|&i| may[i]).collect(),
        })
    }
}

fn column(own: &Variable, name: &str) -> ColumnOf {
    ColumnOf {
        name: name.to_owned(),
        kind: own.kind.name(),
        labels: own.kind.labels(),
        places: match own.kind {
            Type::Decimal { places } => Some(places),
            _ => None,
        },
        can_be_missing: own.can_be_missing,
    }
}
