//! Datasets in memory whose parts are known to agree.
//!
//! A dataset is `len` events of one shape. The values are symbols, which is what a discrete model
//! sees, or reals. Values lie row-major: all of event 0, then all of event 1; inside an event the
//! last axis runs fastest.

use crate::columns::Variable;
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The values of all events, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Discrete values.
    Symbols {
        /// `[len * event_len]`, each below `levels`.
        data: Vec<u8>,
        /// The number of values a symbol can have, 2 to 256.
        levels: u16,
    },
    /// Real values, all finite.
    Reals {
        /// `[len * event_len]`.
        data: Vec<f64>,
    },
    /// Cells of columns of different types, as [`Encoding::Columns`](crate::Encoding::Columns) has them; NaN is a
    /// missing number.
    Columns {
        /// `[len * event_len]`.
        data: Vec<f64>,
        /// What each column is.
        variables: Arc<[Variable]>,
    },
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Symbols { data, .. } => data.len(),
            Self::Reals { data } | Self::Columns { data, .. } => data.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A checked dataset in memory.
///
/// ```
/// use ar_data::{Dataset, Values};
///
/// let data = Dataset::new("two coins", Values::Symbols { data: vec![0, 1, 1, 1], levels: 2 }, &[2])?;
/// assert_eq!((data.len(), data.event_len()), (2, 2));
/// assert_eq!(data.symbols()?, (&[0, 1, 1, 1][..], 2));
/// # Ok::<(), ar_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    name: String,
    values: Values,
    shape: Vec<usize>,
    event_len: usize,
    labels: Option<Vec<u8>>,
    classes: Option<Vec<String>>,
    columns: Option<Vec<String>>,
    numbers: Option<Vec<u64>>,
}

impl Dataset {
    /// Joins values and the shape of one event.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the shape has no values, the values are no whole number of
    /// events, `levels` is not 2 to 256, a symbol is not below it, or a real is not finite.
    pub fn new(name: impl Into<String>, values: Values, shape: &[usize]) -> Result<Self> {
        let name = name.into();
        let event_len = event_len(&name, shape)?;
        if !values.len().is_multiple_of(event_len) {
            return Err(Error::inconsistent(
                name,
                "shape",
                format!("a multiple of {event_len} values for events of shape {shape:?}"),
                values.len().to_string(),
            ));
        }
        match &values {
            Values::Symbols { data, levels } => {
                check_levels(&name, *levels)?;
                // The largest is found without a branch.
                let is_above = |&value: &u8| u16::from(value) >= *levels;
                if let Some(index) = (data.iter().max().is_some_and(is_above))
                    .then(|| data.iter().position(is_above))
                    .flatten()
                {
                    return Err(Error::inconsistent(
                        name,
                        "symbols",
                        format!("values below {levels}"),
                        format!(
                            "{} at row {}, position {}",
                            data[index],
                            index / event_len,
                            index % event_len
                        ),
                    ));
                }
            }
            Values::Columns { .. } => {}
            Values::Reals { data } => {
                if let Some(index) = data.iter().position(|value| !value.is_finite()) {
                    return Err(Error::inconsistent(
                        name,
                        "reals",
                        "finite values",
                        format!(
                            "{} at row {}, position {}",
                            data[index],
                            index / event_len,
                            index % event_len
                        ),
                    ));
                }
            }
        }
        let shape = shape.to_vec();
        Ok(Self {
            name,
            values,
            shape,
            event_len,
            labels: None,
            classes: None,
            columns: None,
            numbers: None,
        })
    }

    /// Adds one label per event.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if there is not one label per event.
    pub fn with_labels(mut self, labels: Vec<u8>) -> Result<Self> {
        if labels.len() != self.len() {
            return Err(Error::inconsistent(
                self.name,
                "labels",
                format!("one label for each of {} events", self.values.len() / self.event_len),
                labels.len().to_string(),
            ));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// Names the positions of an event.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if there is not one name per position.
    pub fn with_columns(mut self, columns: Vec<String>) -> Result<Self> {
        if columns.len() != self.event_len {
            return Err(Error::inconsistent(
                self.name,
                "columns",
                format!("{} names", self.event_len),
                columns.len().to_string(),
            ));
        }
        self.columns = Some(columns);
        Ok(self)
    }

    /// States which rows of their file the events are, where the dataset is a part of it.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if there is not one number per event.
    pub fn with_numbers(mut self, numbers: Vec<u64>) -> Result<Self> {
        if numbers.len() != self.len() {
            return Err(Error::inconsistent(
                self.name,
                "numbers",
                format!("one number for each of {} events", self.values.len() / self.event_len),
                numbers.len().to_string(),
            ));
        }
        self.numbers = Some(numbers);
        Ok(self)
    }

    /// The events of a whole file, each at its own number.
    #[must_use]
    pub(crate) fn without_numbers(self) -> Self {
        Self { numbers: None, ..self }
    }

    /// The events of several datasets, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if two of them differ in shape or kind.
    pub fn concatenate(parts: Vec<Self>) -> Result<Self> {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else {
            return Err(Error::inconsistent("datasets", "number", "at least one", "none"));
        };
        for part in parts {
            if part.shape != all.shape || part.levels() != all.levels() {
                let kind = |data: &Self| match data.levels() {
                    Some(levels) => format!("events of shape {:?}, {levels} levels", data.shape),
                    None => format!("events of shape {:?}, real numbers", data.shape),
                };
                let expected = format!("{} as in {}", kind(&all), all.name);
                return Err(Error::inconsistent(
                    part.name.clone(),
                    "events",
                    expected,
                    kind(&part),
                ));
            }
            all.numbers = None;
            all.append(part);
        }
        Ok(all)
    }

    /// Gives the events another shape of as many values.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the new shape has another number of values.
    pub fn with_shape(mut self, shape: &[usize]) -> Result<Self> {
        let len = event_len(&self.name, shape)?;
        if len != self.event_len {
            return Err(Error::inconsistent(
                self.name,
                "shape",
                format!("a shape of {} values", self.event_len),
                format!("{shape:?}, which has {len}"),
            ));
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// States that symbols can have `levels` values, whether or not all of them occur.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the values are reals, a symbol is not below `levels`, or
    /// `levels` is not 2 to 256.
    pub fn with_levels(self, levels: u16) -> Result<Self> {
        let Self { name, values, shape, labels, classes, columns, numbers, .. } = self;
        let Values::Symbols { data, .. } = values else {
            return Err(Error::inconsistent(name, "values", "symbols", "reals"));
        };
        let fresh = Self::new(name, Values::Symbols { data, levels }, &shape)?;
        Ok(Self { labels, classes, columns, numbers, ..fresh })
    }

    /// The same events with every symbol as a real number; reals are left as they are.
    #[must_use]
    pub fn into_reals(mut self) -> Self {
        if let Values::Symbols { data, .. } = self.values {
            self.values = Values::Reals { data: data.into_iter().map(f64::from).collect() };
        }
        self
    }

    /// The same dataset under another name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The name: a built-in name, a file name, or what the caller chose.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.values.len() / self.event_len
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of values in one event, at least 1.
    pub fn event_len(&self) -> usize {
        self.event_len
    }

    /// The shape of one event: `[rows, columns]`, `[channels, rows, columns]` or `[columns]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The symbols, `[len * event_len]`, and their level count.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the values are reals.
    pub fn symbols(&self) -> Result<(&[u8], u16)> {
        match &self.values {
            Values::Symbols { data, levels } => Ok((data, *levels)),
            Values::Reals { .. } | Values::Columns { .. } => {
                Err(Error::inconsistent(&self.name, "values", "symbols", "real numbers")
                    .advise("choose kind = \"symbols\" or a model of real values"))
            }
        }
    }

    /// The reals, or the cells of columns, `[len * event_len]`.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the values are symbols.
    pub fn reals(&self) -> Result<&[f64]> {
        match &self.values {
            Values::Reals { data } | Values::Columns { data, .. } => Ok(data),
            Values::Symbols { levels, .. } => Err(Error::inconsistent(
                &self.name,
                "values",
                "real numbers",
                format!("symbols of {levels} levels"),
            )
            .advise("choose kind = \"real\" or a model of symbols")),
        }
    }

    /// The number of values a symbol can have; `None` for reals.
    pub fn levels(&self) -> Option<u16> {
        match self.values {
            Values::Symbols { levels, .. } => Some(levels),
            Values::Reals { .. } | Values::Columns { .. } => None,
        }
    }

    /// One label per event, where the dataset has labels.
    pub fn labels(&self) -> Option<&[u8]> {
        self.labels.as_deref()
    }

    /// The names of the classes in the order of their labels, where the labels are not the names.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Names the classes.
    pub(crate) fn with_classes(self, classes: Option<Vec<String>>) -> Self {
        Self { classes, ..self }
    }

    /// The same events with labels that count the names in `classes`; nothing changes where the classes have no
    /// names of their own.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if a class is none of `classes`.
    pub fn labelled_as(self, classes: &[String]) -> Result<Self> {
        let (Some(own), Some(labels)) = (&self.classes, &self.labels) else { return Ok(self) };
        let place = |name: &String| classes.iter().position(|class| class == name);
        let unknown: Vec<&str> =
            own.iter().filter(|name| place(name).is_none()).map(String::as_str).collect();
        if !unknown.is_empty() {
            let expected = classes.join(", ");
            return Err(Error::inconsistent(&self.name, "classes", expected, unknown.join(", "))
                .advise("rename the folders of these classes, or leave them out"));
        }
        let places: Vec<u8> =
            own.iter().filter_map(place).filter_map(|place| u8::try_from(place).ok()).collect();
        let relabelled = labels.iter().map(|&label| places[usize::from(label)]).collect();
        Ok(Self { labels: Some(relabelled), classes: Some(classes.to_vec()), ..self })
    }

    /// The same events without labels.
    #[must_use]
    pub fn without_labels(self) -> Self {
        Self { labels: None, classes: None, ..self }
    }

    /// The names of the positions, where the file has a header.
    pub fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Which row of its file the event in `row` is: `row` itself, unless the dataset is a part.
    ///
    /// # Panics
    ///
    /// If the row does not exist.
    pub fn number(&self, row: usize) -> u64 {
        self.numbers.as_ref().map_or(row as u64, |numbers| numbers[row])
    }

    /// The events at `rows`, in that order; a row may repeat.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if a row does not exist.
    pub fn subset(&self, rows: &[usize]) -> Result<Self> {
        let (len, width) = (self.len(), self.event_len);
        if let Some(row) = rows.iter().find(|&&row| row >= len) {
            return Err(Error::inconsistent(
                &self.name,
                "row",
                format!("a row below {len}"),
                row.to_string(),
            ));
        }
        let values = match &self.values {
            Values::Symbols { data, levels } => {
                Values::Symbols { data: chosen(data, rows, width), levels: *levels }
            }
            Values::Reals { data } => Values::Reals { data: chosen(data, rows, width) },
            Values::Columns { data, variables } => Values::Columns {
                data: chosen(data, rows, width),
                variables: Arc::clone(variables),
            },
        };
        Ok(Self {
            name: self.name.clone(),
            values,
            shape: self.shape.clone(),
            event_len: width,
            labels: self.labels.as_ref().map(|labels| rows.iter().map(|&i| labels[i]).collect()),
            classes: self.classes.clone(),
            columns: self.columns.clone(),
            numbers: self.numbers.as_ref().map(|all| rows.iter().map(|&i| all[i]).collect()),
        })
    }

    /// Adds the events of another part of the same dataset at the end; labels are kept where both have them.
    /// Symbols have the levels of the part that has more.
    ///
    /// # Panics
    ///
    /// If the two differ in shape or kind, which [`Splits`](crate::splits::Splits) rules out.
    pub(crate) fn append(&mut self, other: Self) {
        assert_eq!(self.shape, other.shape, "parts of one shape");
        match (&mut self.values, other.values) {
            (Values::Symbols { data, levels }, Values::Symbols { data: more, levels: of_more }) => {
                data.extend(more);
                *levels = of_more.max(*levels);
            }
            (Values::Reals { data }, Values::Reals { data: more })
            | (Values::Columns { data, .. }, Values::Columns { data: more, .. }) => {
                data.extend(more);
            }
            _ => panic!("parts of one kind"),
        }
        self.labels = match (self.labels.take(), other.labels) {
            (Some(mut labels), Some(more)) => {
                labels.extend(more);
                Some(labels)
            }
            _ => None,
        };
    }

    /// The events of a range of rows.
    ///
    /// # Errors
    ///
    /// [`Error::Inconsistent`] if the range does not lie in `0..len`.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self> {
        if rows.start > rows.end || rows.end > self.len() {
            return Err(Error::inconsistent(
                &self.name,
                "rows",
                format!("a range within 0..{}", self.len()),
                format!("{rows:?}"),
            ));
        }
        let range = rows.start * self.event_len..rows.end * self.event_len;
        Ok(Self {
            name: self.name.clone(),
            values: match &self.values {
                Values::Symbols { data, levels } => {
                    Values::Symbols { data: data[range].to_vec(), levels: *levels }
                }
                Values::Reals { data } => Values::Reals { data: data[range].to_vec() },
                Values::Columns { data, variables } => {
                    Values::Columns { data: data[range].to_vec(), variables: Arc::clone(variables) }
                }
            },
            shape: self.shape.clone(),
            event_len: self.event_len,
            labels: self.labels.as_ref().map(|labels| labels[rows.clone()].to_vec()),
            classes: self.classes.clone(),
            columns: self.columns.clone(),
            numbers: self.numbers.as_ref().map(|numbers| numbers[rows].to_vec()),
        })
    }

    /// Cuts the last `count` events off, without copying the ones that stay.
    pub(crate) fn split_off_last(mut self, count: usize) -> Result<(Self, Self)> {
        let len = self.len();
        let Some(keep) = len.checked_sub(count) else {
            return Err(Error::inconsistent(
                self.name,
                "rows",
                format!("at least {count} rows"),
                len.to_string(),
            ));
        };
        let tail = self.rows(keep..len)?;
        match &mut self.values {
            Values::Symbols { data, .. } => {
                data.truncate(keep * self.event_len);
                data.shrink_to_fit();
            }
            Values::Reals { data } | Values::Columns { data, .. } => {
                data.truncate(keep * self.event_len);
                data.shrink_to_fit();
            }
        }
        if let Some(labels) = &mut self.labels {
            labels.truncate(keep);
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.truncate(keep);
        }
        Ok((self, tail))
    }

    /// Takes the last column of a table of symbols out of the events and makes it their label.
    pub(crate) fn last_column_as_labels(self) -> Result<Self> {
        let Self { name, values, event_len: width, .. } = self;
        let Values::Symbols { data, levels } = values else {
            return Err(Error::inconsistent(name, "values", "symbols", "reals"));
        };
        let labels = data.iter().skip(width - 1).step_by(width).copied().collect();
        let mut events = Vec::with_capacity(data.len());
        data.chunks_exact(width).for_each(|row| events.extend_from_slice(&row[..width - 1]));
        Self::new(name, Values::Symbols { data: events, levels }, &[width - 1])?.with_labels(labels)
    }

    /// The same dataset with other symbols of the same layout.
    pub(crate) fn with_symbols(&self, data: Vec<u8>, levels: u16) -> Self {
        debug_assert_eq!(data.len(), self.values.len(), "symbols of the same layout");
        Self {
            name: self.name.clone(),
            values: Values::Symbols { data, levels },
            shape: self.shape.clone(),
            event_len: self.event_len,
            labels: self.labels.clone(),
            classes: self.classes.clone(),
            columns: self.columns.clone(),
            numbers: self.numbers.clone(),
        }
    }
}

/// What a dataset read from `path` is called.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The number of values in an event of this shape.
fn event_len(name: &str, shape: &[usize]) -> Result<usize> {
    let len = shape.iter().try_fold(1_usize, |len, &axis| len.checked_mul(axis));
    match len {
        Some(len) if len > 0 && !shape.is_empty() => Ok(len),
        _ => Err(Error::inconsistent(
            name,
            "shape",
            "one or more axes, each at least 1",
            format!("{shape:?}"),
        )),
    }
}

/// Symbols are bytes, so 256 levels is the most; one level would carry no information.
pub(crate) fn check_levels(name: &str, levels: u16) -> Result<()> {
    if (2..=256).contains(&levels) {
        return Ok(());
    }
    Err(Error::inconsistent(name, "levels", "2 to 256", levels.to_string()))
}

/// The rows `rows` of values that have `width` each.
fn chosen<T: Copy>(data: &[T], rows: &[usize], width: usize) -> Vec<T> {
    let mut chosen = Vec::with_capacity(rows.len() * width);
    rows.iter().for_each(|&row| chosen.extend_from_slice(&data[row * width..(row + 1) * width]));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_rows() -> Dataset {
        let data = vec![0, 1, 2, 3, 4, 5];
        Dataset::new("d", Values::Symbols { data, levels: 6 }, &[2])
            .and_then(|data| data.with_labels(vec![7, 8, 9]))
            .unwrap()
    }

    #[test]
    fn a_dataset_refuses_parts_that_disagree() {
        let symbols = |data: &[u8], levels| Values::Symbols { data: data.to_vec(), levels };
        for (values, shape, word) in [
            (symbols(&[0, 1, 1], 2), &[2][..], "shape"),
            (symbols(&[0, 2], 2), &[2], "2 at row 0, position 1"),
            (symbols(&[0, 0], 1), &[2], "levels"),
            (symbols(&[0, 0], 257), &[2], "levels"),
            (symbols(&[0, 0], 2), &[], "axes"),
            (symbols(&[], 2), &[3, 0], "axes"),
            (symbols(&[], 2), &[usize::MAX, 2], "axes"),
            (Values::Reals { data: vec![0.0, f64::NAN] }, &[1], "NaN at row 1"),
        ] {
            let message = Dataset::new("d", values, shape).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(three_rows().with_labels(vec![1]).is_err());
        assert!(three_rows().with_columns(vec!["a".into()]).is_err());
        assert!(three_rows().with_numbers(vec![1]).is_err());
        assert!(three_rows().with_shape(&[3]).is_err());
        assert!(three_rows().with_levels(5).is_err());
        assert!(three_rows().reals().is_err());
        assert!(three_rows().into_reals().symbols().is_err());
    }

    #[test]
    fn subsets_keep_rows_and_labels_together() {
        let data = three_rows();
        let chosen = data.subset(&[2, 0, 2]).unwrap();
        assert_eq!(chosen.symbols().unwrap().0, [4, 5, 0, 1, 4, 5]);
        assert_eq!(chosen.labels().unwrap(), [9, 7, 9]);
        assert!(data.subset(&[3]).is_err());
        assert_eq!(data.rows(1..3).unwrap(), data.subset(&[1, 2]).unwrap());
        assert!(data.rows(1..1).unwrap().is_empty());
        assert!(data.rows(2..4).is_err());
        let (head, tail) = data.clone().split_off_last(1).unwrap();
        assert_eq!((head, tail), (data.rows(0..2).unwrap(), data.rows(2..3).unwrap()));
        assert!(data.split_off_last(4).is_err());
    }

    #[test]
    fn events_of_a_part_know_their_rows_whatever_is_done_to_them() {
        let data = three_rows();
        assert_eq!(data.number(2), 2);
        let part = data.with_numbers(vec![10, 20, 40]).unwrap();
        let numbers = |data: &Dataset| (0..data.len()).map(|i| data.number(i)).collect::<Vec<_>>();
        assert_eq!(numbers(&part), [10, 20, 40]);
        assert_eq!(numbers(&part.subset(&[2, 0, 2]).unwrap()), [40, 10, 40]);
        assert_eq!(numbers(&part.rows(1..3).unwrap()), [20, 40]);
        assert_eq!(numbers(&part.with_symbols(vec![0; 6], 2)), [10, 20, 40]);
        assert_eq!(numbers(&part.clone().with_levels(7).unwrap()), [10, 20, 40]);
        assert_eq!(numbers(&part.clone().into_reals()), [10, 20, 40]);
        let (head, tail) = part.split_off_last(1).unwrap();
        assert_eq!((numbers(&head), numbers(&tail)), (vec![10, 20], vec![40]));
    }

    #[test]
    fn reals_are_the_symbols_as_numbers() {
        let data = three_rows().into_reals();
        assert_eq!(data.reals().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(data.levels(), None);
        assert_eq!(data.labels().unwrap(), [7, 8, 9]);
    }

    #[test]
    fn the_last_column_becomes_the_label() {
        let data = three_rows().last_column_as_labels().unwrap();
        assert_eq!(data.symbols().unwrap().0, [0, 2, 4]);
        assert_eq!(data.labels().unwrap(), [1, 3, 5]);
    }
}
