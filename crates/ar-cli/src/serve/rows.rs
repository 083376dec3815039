//! Rows as answers have them: arrays or objects of JSON, in the words of the run's table.

use std::path::Path;

use ar_data::write::Cell;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What errors call the rows of a request.
pub(crate) fn name() -> &'static Path {
    Path::new("rows")
}

/// A row in an answer.
#[derive(Clone, Debug)]
pub(crate) enum RowOf {
    /// An array of values in event order.
    Listed(Vec<Value>),
    /// An object of columns and their values, in event order.
    Named(Vec<(String, Value)>),
}

impl Serialize for RowOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Listed(values) => values.serialize(serializer),
            Self::Named(cells) => {
                serializer.collect_map(cells.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// A cell of a table as JSON.
pub(crate) fn json_of(cell: &Cell) -> Value {
    match cell {
        Cell::Whole(value) => Value::from(*value),
        // Null where JSON has none.
        Cell::Number(value) => Value::from(*value),
        Cell::Word(word) => Value::from(word.clone()),
        Cell::Missing => Value::Null,
    }
}
