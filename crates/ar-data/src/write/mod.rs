//! Cells of tables that are written.

#[cfg(feature = "arrow")]
mod parquet;

#[cfg(feature = "arrow")]
pub use parquet::ParquetWriter;

/// What the cells of a written column are. Any of them may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// 64-bit whole numbers.
    Whole,
    /// 64-bit floating point numbers.
    Number,
    /// Text.
    Word,
}

/// A cell of a row that is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Of a column of whole numbers.
    Whole(i64),
    /// Of a column of numbers.
    Number(f64),
    /// Of a column of text.
    Word(String),
    /// Of any column.
    Missing,
}

impl Cell {
    /// A number that may not be there.
    pub fn number(value: Option<f64>) -> Self {
        value.map_or(Self::Missing, Self::Number)
    }

    /// What it is as text: nothing where it is missing, else what is read back as itself.
    pub fn text(&self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Number(value) => number(*value),
            Self::Word(word) => word.clone(),
            Self::Missing => String::new(),
        }
    }
}

/// The shortest digits that are read back as this number, with an exponent where it has many zeros.
fn number(value: f64) -> String {
    let size = value.abs();
    let has_many_zeros = size.is_finite() && size > 0.0 && !(1e-5..1e17).contains(&size);
    if has_many_zeros { format!("{value:e}") } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_come_back() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-105.25, "-105.25"),
            (f64::NEG_INFINITY, "-inf"),
            (1e-5, "0.00001"),
            (2.5e-7, "2.5e-7"),
            (1e300, "1e300"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
            assert_eq!(number(value).parse::<f64>().unwrap(), value);
        }
        assert_eq!(Cell::number(None).text(), "");
    }
}
