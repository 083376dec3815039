//! What the columns of a table are, decided once and used for every later file.
//!
//! A [`Schema`] is inferred from the file that is learned from ([`crate::Table::infer`]), where a caller may state
//! the type of a column; [`Schema::fit`] then says which columns of any other file are meant, or every way in
//! which it does not suit.
//!
//! | type | what | inferred for |
//! |---|---|---|
//! | [`Type::Codes`] | whole numbers from 0 as they are: bits, grey levels, codes | at most 16 distinct whole numbers within 0 to 255 |
//! | [`Type::Category`] | one of the labels seen in training | words, booleans, at most 16 distinct whole numbers elsewhere |
//! | [`Type::Integer`] | whole numbers | more distinct whole numbers |
//! | [`Type::Decimal`] | multiples of 10^−places | numbers in text with at most 6 decimal places |
//! | [`Type::Real`] | any number | binary floats that are not all whole, exponents, more places |

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

/// What the values of all variables become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A symbol for each outcome of a category.
    Symbols {
        /// As many as the variable with the most outcomes has, at least 2.
        levels: u16,
    },
    /// A number.
    Reals,
    /// A number for each cell, by the type of its column: the index of a label of a category, and the number of its
    /// outcomes for any other label; a number as itself, and NaN where it is missing.
    Columns,
    /// The same, but each other label has an index of its own behind them; what they are is
    /// [`Chunks::take_others`](crate::Chunks::take_others).
    Cells,
}

/// What a variable is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Type {
    /// Whole numbers 0 to levels − 1, each standing for itself.
    Codes {
        /// One more than the largest, 1 to 256.
        levels: u16,
    },
    /// One of some labels.
    Category {
        /// Sorted; those that are numbers by value and before words.
        labels: Vec<String>,
    },
    /// Whole numbers.
    Integer,
    /// Multiples of 10^−places.
    Decimal {
        /// Digits after the decimal mark.
        places: u8,
    },
    /// Any number.
    Real,
}

impl Type {
    /// The outcomes of a category, but for a missing one; `None` for numbers.
    pub fn outcomes(&self) -> Option<usize> {
        match self {
            Self::Codes { levels } => Some((*levels).into()),
            Self::Category { labels } => Some(labels.len()),
            Self::Integer | Self::Decimal { .. } | Self::Real => None,
        }
    }

    /// The labels of a category, codes as they are written; `None` for numbers.
    pub fn labels(&self) -> Option<Vec<String>> {
        match self {
            Self::Codes { levels } => Some((0..*levels).map(|code| code.to_string()).collect()),
            Self::Category { labels } => Some(labels.clone()),
            Self::Integer | Self::Decimal { .. } | Self::Real => None,
        }
    }

    /// The finite numbers that the labels of a category are; `None` if one is none, and for numbers.
    pub fn label_values(&self) -> Option<Vec<f64>> {
        let value = |label: &String| number_of(label).filter(|value| value.is_finite());
        self.labels()?.iter().map(value).collect()
    }

    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Codes { .. } | Self::Category { .. } => "category",
            Self::Integer => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Real => "real",
        }
    }

    /// Whether the values are numbers: all but categories of words.
    pub fn is_numeric(&self) -> bool {
        match self {
            Self::Category { labels } => labels.iter().all(|label| number_of(label).is_some()),
            _ => true,
        }
    }
}

/// The number that a label is, if it is one.
pub fn number_of(label: &str) -> Option<f64> {
    super::number::Number::parse(label.as_bytes(), false).map(|number| number.value)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codes { levels: 1 } => f.write_str("category of 1 code"),
            Self::Codes { levels } => write!(f, "category of {levels} codes"),
            Self::Category { labels } if labels.len() == 1 => f.write_str("category of 1 label"),
            Self::Category { labels } => write!(f, "category of {} labels", labels.len()),
            Self::Decimal { places: 1 } => f.write_str("decimal with 1 place"),
            Self::Decimal { places } => write!(f, "decimal with {places} places"),
            Self::Integer | Self::Real => f.write_str(self.name()),
        }
    }
}

/// A column that is described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name, where the file has names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its position in the file that the schema is of, from 0.
    pub column: usize,
    /// Whether a cell was missing in training. That is an outcome of its own, but where all columns are read as numbers.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub can_be_missing: bool,
    /// What it is.
    #[serde(flatten)]
    pub kind: Type,
}

impl Variable {
    /// Its name in quotes, or its number from 0.
    pub fn title(&self) -> String {
        title(self.name.as_deref(), self.column)
    }

    /// All outcomes of a category, a missing one included; `None` for numbers.
    pub fn levels(&self) -> Option<usize> {
        Some(self.kind.outcomes()? + usize::from(self.can_be_missing))
    }
}

/// The column that says what class a row is of, and is no variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its name, where the file has names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its position in the file that the schema is of, from 0.
    pub column: usize,
    /// The classes, in the order of their codes.
    pub classes: Vec<String>,
}

/// What the columns of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// How many columns the file has that the schema is of.
    pub width: usize,
    /// Cells that count as missing.
    pub missing: Vec<String>,
    /// Columns of that file that are no variables, by name or else by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The column of classes, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The variables, in the order of an event.
    pub variables: Vec<Variable>,
}

/// How the columns of a file are those of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The column of the file that each variable is, from 0.
    pub columns: Vec<usize>,
    /// The column of classes, where the file has it.
    pub label: Option<usize>,
    /// Columns that the schema knows nothing of, in words.
    pub extra: Vec<String>,
    /// Whether the columns are in another order than in the schema.
    pub is_reordered: bool,
}

impl Schema {
    /// The names of the variables, where the file has names.
    pub fn names(&self) -> Option<Vec<String>> {
        self.variables.iter().map(|variable| variable.name.clone()).collect()
    }

    /// Of so many columns without names that are all of one kind.
    pub fn positions(width: usize, encoding: Encoding) -> Self {
        let kind = Self::kind_of(encoding);
        let variable =
            |column| Variable { name: None, column, can_be_missing: false, kind: kind.clone() };
        Self {
            width,
            missing: super::cell::MISSING.map(str::to_owned).to_vec(),
            left_out: Vec::new(),
            label: None,
            variables: (0..width).map(variable).collect(),
        }
    }

    pub(crate) fn kind_of(encoding: Encoding) -> Type {
        match encoding {
            Encoding::Symbols { levels } => Type::Codes { levels },
            Encoding::Reals | Encoding::Columns | Encoding::Cells => Type::Real,
        }
    }

    /// Which columns of a file are meant, whose names or number of columns these are.
    ///
    /// Names decide where both sides have them, in any order; positions elsewhere, and then the number of
    /// columns must be that of the schema's file, or that of its variables.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] with every difference at once.
    pub fn fit(&self, path: &Path, names: Option<&[String]>, width: usize) -> Result<Fit> {
        match (self.names(), names) {
            (Some(_), Some(names)) => self.fit_names(path, names),
            _ => self.fit_positions(path, width),
        }
    }

    fn fit_names(&self, path: &Path, names: &[String]) -> Result<Fit> {
        // Laid out as the training file, in which a name may stand over columns that are left out, too.
        let is_alike = names.len() == self.width
            && self.variables.iter().all(|variable| {
                names.get(variable.column).map(String::as_str) == variable.name.as_deref()
            });
        let mut at: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            at.entry(name).or_default().push(index);
        }
        let (mut missing, mut differences) = (Vec::new(), Vec::new());
        let mut columns = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            let name = variable.name.as_deref().unwrap_or_default();
            match at.get(name).map(Vec::as_slice) {
                Some([index]) => columns.push(*index),
                Some(_) if is_alike => columns.push(variable.column),
                Some(indices) => differences.push(format!(
                    "the name {name:?} stands over {} columns, {}",
                    indices.len(),
                    listed(indices.iter().map(|index| format!("{index} (from 0)")))
                )),
                None => missing.push(name),
            }
        }
        let known: HashSet<&str> = self
            .variables
            .iter()
            .filter_map(|variable| variable.name.as_deref())
            .chain(self.left_out.iter().map(String::as_str))
            .chain(self.label.iter().filter_map(|label| label.name.as_deref()))
            .collect();
        let extra: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !known.contains(name.as_str()))
            .map(|(index, name)| title(Some(name), index))
            .collect();
        if !missing.is_empty() {
            differences.insert(
                0,
                match missing.len() {
                    1 => format!("the column {:?} is missing", missing[0]),
                    count => format!(
                        "{count} columns are missing: {}",
                        listed(missing.iter().map(|name| format!("{name:?}")))
                    ),
                },
            );
            if !extra.is_empty() {
                let is = if extra.len() == 1 { "column is" } else { "columns are" };
                differences.push(format!("{} {is} not expected: {}", extra.len(), listed(&extra)));
            }
        }
        if !differences.is_empty() {
            let hint = if missing.len() == self.variables.len() {
                "columns are found by their names: rename those of the file, or remove its header to \
                 go by their positions"
            } else {
                "columns are found by their names, in any order: name them as in the training file"
            };
            return Err(Error::unsuitable(path, differences, hint));
        }
        let label =
            self.label.as_ref().and_then(|label| match at.get(label.name.as_deref()?)?[..] {
                [index] => Some(index),
                ref indices if is_alike && indices.contains(&label.column) => Some(label.column),
                _ => None,
            });
        let is_reordered = !columns.is_sorted();
        Ok(Fit { columns, label, extra, is_reordered })
    }

    fn fit_positions(&self, path: &Path, width: usize) -> Result<Fit> {
        let variables = self.variables.len();
        let fit = |columns: Vec<usize>, label| Fit {
            columns,
            label,
            extra: Vec::new(),
            is_reordered: false,
        };
        if width == self.width {
            let columns = self.variables.iter().map(|variable| variable.column).collect();
            return Ok(fit(columns, self.label.as_ref().map(|label| label.column)));
        }
        if width == variables {
            return Ok(fit((0..variables).collect(), None));
        }
        if let Some(label) = self.label.as_ref().filter(|_| width + 1 == self.width) {
            // New rows have no label yet.
            let shifted =
                |variable: &Variable| variable.column - usize::from(variable.column > label.column);
            return Ok(fit(self.variables.iter().map(shifted).collect(), None));
        }
        let expected = if self.width == variables {
            format!("{variables} columns")
        } else {
            format!("{} columns as in the training file, or its {variables} variables", self.width)
        };
        let without = format!("{width} columns, expected {expected}");
        let hint = "without names the positions of columns count: leave others out with --drop, by index \
                    from 0 or from the end (-1), or give both files a header";
        Err(Error::unsuitable(path, vec![without], hint))
    }
}

/// A column's name in quotes, or its number from 0, by which `drop` and `label` call it.
pub(crate) fn title(name: Option<&str>, column: usize) -> String {
    match name {
        Some(name) if !name.is_empty() => format!("{name:?}"),
        _ => format!("column {column} (from 0)"),
    }
}

/// Some words, and how many more there are.
pub(crate) fn listed<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 60;
    let words: Vec<T> = words.into_iter().collect();
    let mut shown: Vec<&str> = words.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = words.len().saturating_sub(SHOWN);
    let rest = format!("{more} more");
    if more > 0 {
        shown.push(&rest);
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: Option<&[&str]>, width: usize) -> Schema {
        let variables = (0..names.map_or(width, <[&str]>::len)).map(|column| Variable {
            name: names.map(|names| names[column].to_owned()),
            column,
            can_be_missing: false,
            kind: Type::Real,
        });
        Schema {
            width,
            missing: Vec::new(),
            left_out: vec!["id".to_owned()],
            label: None,
            variables: variables.collect(),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn names_decide_in_any_order_and_what_is_left_out_is_no_extra() {
        let schema = schema(Some(&["a", "b"]), 3);
        let fit = |found: &[&str]| schema.fit(Path::new("f"), Some(&names(found)), found.len());
        let found = fit(&["b", "id", "more", "a"]).unwrap();
        assert_eq!((found.columns, found.extra), (vec![3, 0], vec!["\"more\"".to_owned()]));
        assert!(found.is_reordered);
        let error = fit(&["p", "q", "b", "b"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "f: does not suit what was trained on: the column \"a\" is missing; the name \"b\" stands \
             over 2 columns, 2 (from 0), 3 (from 0); 2 columns are not expected: \"p\", \"q\""
        );
        assert!(error.hint().unwrap().contains("in any order"));
    }

    #[test]
    fn a_name_over_a_column_that_is_left_out_too_is_told_by_its_place() {
        let mut schema = schema(Some(&["a", "b", "c"]), 4);
        schema.variables[2].column = 3;
        let fit = |found: &[&str]| schema.fit(Path::new("f"), Some(&names(found)), found.len());
        let found = fit(&["a", "b", "a", "c"]).unwrap();
        assert_eq!((found.columns, found.extra.len()), (vec![0, 1, 3], 0));
        let error = fit(&["b", "a", "a", "c"]).unwrap_err().to_string();
        assert!(error.contains("the name \"a\" stands over 2 columns"), "{error}");
    }

    #[test]
    fn positions_decide_without_names() {
        let mut schema = schema(None, 3);
        schema.variables.remove(1);
        let fit = |width| schema.fit(Path::new("f"), None, width).map(|fit| fit.columns);
        assert_eq!(fit(3).unwrap(), [0, 2]);
        assert_eq!(fit(2).unwrap(), [0, 1]);
        assert!(fit(4).unwrap_err().to_string().contains("4 columns, expected 3 columns as in"));
        // A header on one side alone decides nothing.
        let found = names(&["x", "y", "z"]);
        assert_eq!(schema.fit(Path::new("f"), Some(&found), 3).unwrap().columns, [0, 2]);
    }
}
