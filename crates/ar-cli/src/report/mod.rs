//! `report.html`: one file that needs no other, for a browser of any width, light or dark.

pub(crate) mod chart;
pub(crate) mod html;
mod picture;
mod sheet;

use ar_models::train::EpochRecord;

pub(crate) use html::render;
pub(crate) use picture::{Picture, shade};
pub(crate) use sheet::{SheetLine, sheet};

/// The test examples in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Size {
    /// By what.
    pub(crate) coder: String,
    /// All of them together.
    pub(crate) bytes: f64,
}

/// What a report says.
pub(crate) struct Report {
    /// Name of the config.
    pub(crate) title: String,
    /// Kind of the model, and name of its data.
    pub(crate) subject: String,
    /// What the model is, by name.
    pub(crate) facts: Vec<[String; 2]>,
    /// Whether the model is trained, and not fitted by counting.
    pub(crate) trained: bool,
    /// One record per epoch.
    pub(crate) epochs: Vec<EpochRecord>,
    /// What is drawn from the model.
    pub(crate) samples: Samples,
    /// Completions, where events are images.
    pub(crate) completions: Option<Completions>,
    /// Mean cost of each variable over the test examples.
    pub(crate) costs: Costs,
    /// The test examples, then another set.
    pub(crate) scores: Vec<Scored>,
    /// The test examples that cost most.
    pub(crate) dearest: Dearest,
    /// The test examples in bytes, by one coder each; none for real numbers.
    pub(crate) sizes: Vec<Size>,
    /// Variables of an event.
    pub(crate) variables: usize,
    /// Levels of a variable; none for real numbers.
    pub(crate) levels: Option<usize>,
    /// How the report was made, and by what.
    pub(crate) made: Vec<String>,
}

/// Events of the data beside draws from the model.
pub(crate) enum Samples {
    /// Images.
    Images {
        /// Of the test split, evenly spaced.
        real: Vec<Picture>,
        /// From the model.
        drawn: Vec<Picture>,
    },
    /// A table.
    Rows {
        /// Names of the variables.
        columns: Vec<String>,
        /// From the model, a cell per variable.
        drawn: Vec<Vec<String>>,
    },
}

/// Images of which a part was observed.
pub(crate) struct Completions {
    /// An original, what is observed of it, and what was drawn for the rest.
    pub(crate) rows: Vec<Vec<Picture>>,
    /// Whether the draws are from p(missing | observed).
    pub(crate) exact: bool,
}

/// Where the cost is.
pub(crate) enum Costs {
    /// Of each pixel.
    Map {
        /// The map.
        picture: Picture,
        /// Nats at the bright end.
        largest: f64,
    },
    /// Of each column.
    Columns(Vec<(String, f64)>),
}

/// Test examples that cost most, the dearest first.
pub(crate) enum Dearest {
    /// Images.
    Images {
        pictures: Vec<Picture>,
        /// −log p of each.
        nll_nats: Vec<f64>,
    },
    /// Rows of a table.
    Rows(Vec<DearRow>),
}

/// A row that costs much.
pub(crate) struct DearRow {
    /// Where it stands in its set, from 1.
    pub(crate) number: usize,
    /// −log p.
    pub(crate) nll_nats: f64,
    /// The cells of it that cost most, and what.
    pub(crate) cells: Vec<(String, f64)>,
}

/// −log p(x) of each example of a set, in nats.
pub(crate) struct Scored {
    /// What it is called.
    pub(crate) name: String,
    /// One per example; `inf` where it is impossible.
    pub(crate) nll_nats: Vec<f64>,
}
