//! What the rows of a table are to the Parzen window that ranks them (`chainrule score --score window`).
//!
//! A category whose labels are all numbers is a number there: how far a label is from those around a row counts, and a number
//! that training never saw is as far as it is. Everything else is what it is to the model.

use ar_data::{Schema, Variable, number_of};
use ar_models::columns::Column;
use ar_models::config::EventSpec;
use ar_models::examples::{Examples as _, InMemory, Rows, read_rows};

use crate::config::event_of_columns;
use crate::data::Prepared;
use crate::data::cells::seen_by_model;

/// The columns of a run, as its window has them.
pub(crate) struct Ranking {
    event: EventSpec,
    columns: Vec<Labels>,
}

/// The labels of a column.
enum Labels {
    /// A column of numbers.
    None,
    /// So many, words among them.
    Words(usize),
    /// The number that each stands for, NaN for a missing one.
    Numbers(Vec<f64>),
}

impl Ranking {
    /// Of a run's events; `None` of real numbers alone, of which the window has what the model has.
    pub(crate) fn of_run(schema: &Schema, event: &EventSpec) -> Option<Self> {
        let are_reals = event.columns.is_none() && event.levels.is_none();
        (!are_reals).then(|| Self::of(schema))
    }

    fn of(schema: &Schema) -> Self {
        let variables = &schema.variables;
        let columns: Vec<Labels> = variables.iter().map(Labels::of).collect();
        let own = event_of_columns(variables).columns.unwrap_or_default();
        let as_ranked =
            own.into_iter().zip(&columns).zip(variables).map(|((own, labels), variable)| {
                match labels {
                    Labels::Numbers(_) => Column::Real { can_be_missing: variable.can_be_missing },
                    _ => own,
                }
            });
        Self { event: EventSpec::columns(as_ranked.collect()), columns }
    }

    /// Events of the window.
    pub(crate) fn event(&self) -> &EventSpec {
        &self.event
    }

    /// Examples as the model takes them, where that is not as they are, and as the window does.
    pub(crate) fn of_both(
        &self,
        examples: &Prepared,
        others: &[Vec<Option<String>>],
    ) -> (Option<InMemory>, InMemory) {
        let variables = examples.variables();
        let own = |rows| InMemory::reals(rows, variables);
        match read_rows(examples, 0, &(0..examples.len()).collect::<Vec<_>>()) {
            Rows::Symbols(rows) => {
                let rows: Vec<f64> = rows.into_iter().map(f64::from).collect();
                (None, own(self.ranked(&rows, &[])))
            }
            Rows::Reals(rows) => {
                let columns = examples.event.columns.as_deref().unwrap_or_default();
                let ranked = own(self.ranked(&rows, others));
                (Some(own(seen_by_model(&rows, columns))), ranked)
            }
        }
    }

    /// Rows as the window has them, `[rows, columns]`, of rows as the model has them, where `others` are labels that
    /// training never saw, by column, if they are told apart.
    pub(crate) fn ranked(&self, rows: &[f64], others: &[Vec<Option<String>>]) -> Vec<f64> {
        let width = self.columns.len().max(1);
        let cell = |(at, &x): (usize, &f64)| match &self.columns[at % width] {
            Labels::None => x,
            Labels::Words(count) => x.min(*count as f64),
            Labels::Numbers(numbers) => {
                let code = x as usize;
                let other = || {
                    let own = others.get(at % width)?;
                    number_of(own.get(code - numbers.len())?.as_ref()?)
                };
                // A word among numbers is as little a number as a missing cell.
                numbers
                    .get(code)
                    .copied()
                    .or_else(other)
                    .filter(|x| x.is_finite())
                    .unwrap_or(f64::NAN)
            }
        };
        rows.iter().enumerate().map(cell).collect()
    }
}

impl Labels {
    fn of(variable: &Variable) -> Self {
        match (variable.levels(), variable.kind.label_values()) {
            (None, _) => Self::None,
            (Some(_), Some(mut numbers)) if !numbers.is_empty() => {
                numbers.extend(variable.can_be_missing.then_some(f64::NAN));
                Self::Numbers(numbers)
            }
            (Some(outcomes), _) => Self::Words(outcomes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::cells::seen_by_model;
    use ar_data::Type;

    #[test]
    fn labels_that_are_numbers_are_numbers_also_where_training_never_saw_them() {
        let category = |labels: &[&str]| Type::Category {
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        let kinds = [category(&["1", "2.5"]), category(&["a", "2"]), Type::Integer];
        let variable =
            |(column, kind)| Variable { name: None, column, can_be_missing: column == 0, kind };
        let mut schema = Schema::positions(3, ar_data::Encoding::Columns);
        schema.variables = kinds.into_iter().enumerate().map(variable).collect();
        let ranking = Ranking::of(&schema);
        let columns = ranking.event().columns.clone().unwrap();
        assert_eq!(columns[0], Column::Real { can_be_missing: true });
        assert_eq!(columns[1], Column::Category { labels: 2 });
        let others =
            vec![vec![Some("7".to_owned()), Some("x".to_owned())], vec![Some("b".to_owned()); 9]];
        let rows = [1.0, 1.0, 5.0, 3.0, 7.0, f64::NAN, 2.0, 0.0, 0.0, 4.0, 2.0, 0.0];
        let ranked = ranking.ranked(&rows, &others);
        assert_eq!((ranked[0], ranked[3]), (2.5, 7.0));
        assert!(ranked[6].is_nan() && ranked[9].is_nan() && ranked[5].is_nan());
        assert_eq!((ranked[1], ranked[4], ranked[2]), (1.0, 2.0, 5.0));
        // Of rows whose other labels are not told apart.
        assert!(ranking.ranked(&[3.0, 2.0, 0.0], &[])[0].is_nan());
        let own = event_of_columns(&schema.variables).columns.unwrap();
        let modelled = seen_by_model(&rows, &own);
        assert_eq!((modelled[3], modelled[4], modelled[9]), (3.0, 2.0, 3.0));
    }
}
