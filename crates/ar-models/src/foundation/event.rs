//! What an event is, and which rows are such events.

use super::column::{Column, check_cells};
use super::error::Error;
use super::examples::{Examples, Values};

/// What an event looks like to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSpec {
    /// Shape of an event, for example `[28, 28]`.
    pub shape: Vec<usize>,
    /// Number of values of each variable, 2 for bits; `None` where they are real numbers, or differ.
    pub levels: Option<usize>,
    /// What each variable is, where they are of different types: the columns of a table.
    pub columns: Option<Vec<Column>>,
    /// The numbers that the labels of each column stand for, NaN for one that stands for a missing number; empty
    /// where labels are no numbers, or none of the columns have any.
    pub label_values: Vec<Vec<f64>>,
}

impl EventSpec {
    /// Symbols of one number of levels.
    pub fn symbols(shape: Vec<usize>, levels: usize) -> Self {
        Self::of(shape, Some(levels))
    }

    /// Real numbers.
    pub fn reals(shape: Vec<usize>) -> Self {
        Self::of(shape, None)
    }

    /// Symbols of so many levels, or real numbers where there are none.
    pub fn of(shape: Vec<usize>, levels: Option<usize>) -> Self {
        Self { shape, levels, columns: None, label_values: Vec::new() }
    }

    /// The columns of a table.
    pub fn columns(columns: Vec<Column>) -> Self {
        let (shape, label_values) = (vec![columns.len()], Vec::new());
        Self { shape, levels: None, columns: Some(columns), label_values }
    }

    /// The same, where the labels of some columns stand for numbers: of each column one number for each label, or
    /// nothing.
    ///
    /// # Panics
    /// When a column has neither none nor as many as labels.
    #[must_use]
    pub fn with_label_values(self, label_values: Vec<Vec<f64>>) -> Self {
        let columns = self.columns.as_deref().unwrap_or_default();
        let fits = |(values, column): (&Vec<f64>, &Column)| match *column {
            Column::Category { labels } => values.is_empty() || values.len() == labels,
            _ => values.is_empty(),
        };
        let all = label_values.len() == columns.len() && label_values.iter().zip(columns).all(fits);
        assert!(all, "a number for each label of a column, or none");
        Self { label_values, ..self }
    }

    /// The numbers that the labels of a column stand for; empty where they are none.
    pub fn label_values(&self, column: usize) -> &[f64] {
        self.label_values.get(column).map_or(&[], Vec::as_slice)
    }

    /// Whether the variables are real numbers, all of them.
    pub fn is_real(&self) -> bool {
        self.levels.is_none() && self.columns.is_none()
    }

    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.shape.iter().product()
    }

    /// What each variable is, in words.
    pub fn values(&self) -> String {
        match (&self.columns, self.levels) {
            (Some(_), _) => "columns of different types".into(),
            (None, Some(levels)) => format!("{levels} levels"),
            (None, None) => "real numbers".into(),
        }
    }

    /// Checks that the rows of a set, which an error calls `name`, are such events as far as can be
    /// seen without reading them: their number of values, and whether those are symbols.
    ///
    /// # Errors
    /// When they are not.
    ///
    /// ```
    /// use ar_models::{config::EventSpec, examples::InMemory};
    /// let event = EventSpec::symbols(vec![5], 2);
    /// event.check_rows("training", &InMemory::new(vec![0; 20], 5))?;
    /// let error = event.check_rows("training", &InMemory::new(vec![0; 20], 4)).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the training set has rows of 4 symbols, expected 5 symbols as in the shape [5]"
    /// );
    /// # Ok::<(), ar_models::Error>(())
    /// ```
    pub fn check_rows(&self, name: &'static str, set: &dyn Examples) -> Result<(), Error> {
        let variables = self.variables();
        if set.variables() == variables && set.is_real() == self.levels.is_none() {
            return Ok(());
        }
        let values = |is_real| if is_real { "real numbers" } else { "symbols" };
        Err(Error::Rows {
            set: name,
            found: format!("{} {}", set.variables(), values(set.is_real())),
            expected: format!(
                "{variables} {} as in the shape {:?}",
                values(self.levels.is_none()),
                self.shape
            ),
        })
    }
}

/// Checks that values of a set, which an error calls `name`, are those of such events: below so many levels, finite
/// real numbers, or what a cell of each column can be. `first` is the index of their first row.
///
/// # Errors
/// With the first that is not.
pub(crate) fn check_values(
    name: &'static str,
    first: usize,
    event: &EventSpec,
    values: Values<'_>,
) -> Result<(), Error> {
    if let Some(columns) = &event.columns {
        return check_cells(columns, name, first, values.reals());
    }
    let variables = event.variables();
    let refuse = |at: usize, found: String, expected: String| Error::Value {
        set: name,
        row: first + at / variables,
        variable: at % variables,
        found,
        expected,
    };
    match values {
        Values::Symbols(symbols) => {
            let levels = event.levels.unwrap_or(0);
            let outside = |symbol: &u8| usize::from(*symbol) >= levels;
            // The largest is found in a fraction of the time that the first one outside takes.
            if !symbols.iter().max().is_some_and(outside) {
                return Ok(());
            }
            let at = symbols.iter().position(outside).unwrap_or(0);
            let found = format!("the symbol {}", symbols[at]);
            Err(refuse(at, found, format!("a symbol less than {levels}")))
        }
        Values::Reals(reals) => match reals.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(refuse(at, reals[at].to_string(), "a finite number".into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_is_named_by_its_place() {
        let event = EventSpec::symbols(vec![4], 2);
        let bits =
            |first, symbols| check_values("training", first, &event, Values::Symbols(symbols));
        bits(0, &[0, 1, 1, 0]).unwrap();
        assert_eq!(
            bits(10, &[0, 1, 1, 0, 1, 7, 9, 0]).unwrap_err().to_string(),
            "the training set has the symbol 7 in row 11, variable 1 (both from 0), expected a symbol \
             less than 2"
        );
        let reals = Values::Reals(&[0.5, 1.0, 2.0, f64::NAN]);
        assert_eq!(
            check_values("validation", 0, &EventSpec::reals(vec![2]), reals)
                .unwrap_err()
                .to_string(),
            "the validation set has NaN in row 1, variable 1 (both from 0), expected a finite number"
        );
        let bytes = EventSpec::symbols(vec![1], 256);
        check_values("training", 0, &bytes, Values::Symbols(&[255])).unwrap();
    }
}
