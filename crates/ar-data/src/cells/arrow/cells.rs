//! From Arrow's arrays to cells.
//!
//! | type | cells |
//! |---|---|
//! | integers of every width | whole numbers; those beyond 2^63 − 1 as the text of their digits, which is exact |
//! | floats of every width | binary numbers |
//! | booleans | truth values |
//! | strings, binaries | text |
//! | dates | whole days since 1970-01-01 |
//! | times of day, timestamps, durations | whole numbers of their own unit, such as microseconds since 1970-01-01 UTC |
//! | decimals | whole numbers if their scale is 0, else the text of their digits, such as 12.50, which is exact |
//! | dictionaries | what their values are |
//! | null | missing cells |
//!
//! Lists, structs, maps, unions, intervals and run-end encoded columns have no cells.

use crate::columns::{Cell, Sink};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{AnyDictionaryArray, Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use std::fmt::Write;
use std::sync::Arc;

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// Whether columns of a type have cells.
pub(super) fn has_cells(of: &DataType) -> bool {
    match of {
        DataType::Dictionary(_, values) => {
            !matches!(**values, DataType::Dictionary(..)) && has_cells(values)
        }
        DataType::Interval(_) | DataType::RunEndEncoded(..) => false,
        of => !of.is_nested(),
    }
}

/// What a type is called.
pub(super) fn name(of: &DataType) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "seconds",
        TimeUnit::Millisecond => "milliseconds",
        TimeUnit::Microsecond => "microseconds",
        TimeUnit::Nanosecond => "nanoseconds",
    };
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::FixedSizeBinary(bytes) => format!("binary of {bytes} bytes"),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(of) | DataType::Time64(of) => format!("time in {}", unit(of)),
        DataType::Timestamp(of, _) => format!("timestamp in {}", unit(of)),
        DataType::Duration(of) => format!("duration in {}", unit(of)),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => format!("decimal of scale {scale}"),
        DataType::Dictionary(_, values) => format!("dictionary of {}", name(values)),
        DataType::List(of)
        | DataType::LargeList(of)
        | DataType::ListView(of)
        | DataType::LargeListView(of)
        | DataType::FixedSizeList(of, _) => format!("list of {}", name(of.data_type())),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Map(..) => "map".to_owned(),
        DataType::Union(..) => "union".to_owned(),
        DataType::RunEndEncoded(_, values) => format!("runs of {}", name(values.data_type())),
        // Plain numbers, booleans and null: Arrow's own names are words.
        of => of.to_string().to_lowercase(),
    }
}

/// The columns of a batch and how many rows they have, where dictionaries of anything but text are made columns of
/// their values: text is looked up where it lies, but to look at other values again for each row would be to convert
/// them again.
pub(super) fn plain(batch: &RecordBatch) -> Result<(Vec<ArrayRef>, usize), ArrowError> {
    let columns = batch.columns().iter().map(|array| match array.as_any_dictionary_opt() {
        Some(dictionary) if !is_text(dictionary.values().data_type()) => {
            arrow_select::take::take(dictionary.values(), dictionary.keys(), None)
        }
        _ => Ok(Arc::clone(array)),
    });
    Ok((columns.collect::<Result<_, _>>()?, batch.num_rows()))
}

fn is_text(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

/// Runs `$body` with `$text`, which gives the text of a row of `$array`.
macro_rules! with_text {
    ($array:expr, $text:ident => $body:expr) => {
        match $array.data_type() {
            DataType::Utf8 => {
                let array = $array.as_string::<i32>();
                let $text = |row: usize| array.value(row).as_bytes();
                $body
            }
            DataType::LargeUtf8 => {
                let array = $array.as_string::<i64>();
                let $text = |row: usize| array.value(row).as_bytes();
                $body
            }
            DataType::Utf8View => {
                let array = $array.as_string_view();
                let $text = |row: usize| array.value(row).as_bytes();
                $body
            }
            DataType::Binary => {
                let array = $array.as_binary::<i32>();
                let $text = |row: usize| array.value(row);
                $body
            }
            DataType::LargeBinary => {
                let array = $array.as_binary::<i64>();
                let $text = |row: usize| array.value(row);
                $body
            }
            DataType::BinaryView => {
                let array = $array.as_binary_view();
                let $text = |row: usize| array.value(row);
                $body
            }
            _ => {
                let array = $array.as_fixed_size_binary();
                let $text = |row: usize| array.value(row);
                $body
            }
        }
    };
}

/// Gives the cells of an array to a column of a sink.
pub(super) fn give(sink: &mut Sink, column: usize, array: &dyn Array) {
    let to = Column { sink, column, array };
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values();
            to.coded(2, |place| Cell::Bool(place == 1), |row| values.value(row).into());
        }
        DataType::Int8 => to.whole::<Int8Type>(i64::from),
        DataType::Int16 => to.whole::<Int16Type>(i64::from),
        DataType::Int32 => to.whole::<Int32Type>(i64::from),
        DataType::Int64 => to.whole::<Int64Type>(|value| value),
        DataType::UInt8 => to.whole::<UInt8Type>(i64::from),
        DataType::UInt16 => to.whole::<UInt16Type>(i64::from),
        DataType::UInt32 => to.whole::<UInt32Type>(i64::from),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            to.digits(
                0,
                |row| i64::try_from(values[row]).ok(),
                |row, text| {
                    let _ = write!(text, "{}", values[row]);
                },
            );
        }
        DataType::Float16 => to.float::<Float16Type>(|value| value.to_f64()),
        DataType::Float32 => to.float::<Float32Type>(f64::from),
        DataType::Float64 => to.float::<Float64Type>(|value| value),
        DataType::Date32 => to.whole::<Date32Type>(i64::from),
        DataType::Date64 => {
            to.whole::<Date64Type>(|value| value.div_euclid(MILLISECONDS_PER_DAY));
        }
        DataType::Time32(TimeUnit::Second) => to.whole::<Time32SecondType>(i64::from),
        DataType::Time32(_) => to.whole::<Time32MillisecondType>(i64::from),
        DataType::Time64(TimeUnit::Nanosecond) => to.whole::<Time64NanosecondType>(|value| value),
        DataType::Time64(_) => to.whole::<Time64MicrosecondType>(|value| value),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => to.whole::<TimestampSecondType>(|value| value),
            TimeUnit::Millisecond => to.whole::<TimestampMillisecondType>(|value| value),
            TimeUnit::Microsecond => to.whole::<TimestampMicrosecondType>(|value| value),
            TimeUnit::Nanosecond => to.whole::<TimestampNanosecondType>(|value| value),
        },
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => to.whole::<DurationSecondType>(|value| value),
            TimeUnit::Millisecond => to.whole::<DurationMillisecondType>(|value| value),
            TimeUnit::Microsecond => to.whole::<DurationMicrosecondType>(|value| value),
            TimeUnit::Nanosecond => to.whole::<DurationNanosecondType>(|value| value),
        },
        DataType::Decimal32(_, scale) => {
            let values = array.as_primitive::<Decimal32Type>().values();
            to.digits(
                *scale,
                |row| Some(values[row].into()),
                |row, text| {
                    let _ = write!(text, "{}", values[row]);
                },
            );
        }
        DataType::Decimal64(_, scale) => {
            let values = array.as_primitive::<Decimal64Type>().values();
            to.digits(
                *scale,
                |row| Some(values[row]),
                |row, text| {
                    let _ = write!(text, "{}", values[row]);
                },
            );
        }
        DataType::Decimal128(_, scale) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            to.digits(
                *scale,
                |row| i64::try_from(values[row]).ok(),
                |row, text| {
                    let _ = write!(text, "{}", values[row]);
                },
            );
        }
        DataType::Decimal256(_, scale) => {
            let values = array.as_primitive::<Decimal256Type>().values();
            let whole = |row: usize| values[row].to_i128().and_then(|value| value.try_into().ok());
            to.digits(*scale, whole, |row, text| {
                let _ = write!(text, "{}", values[row]);
            });
        }
        DataType::Dictionary(..) => to.dictionary(array.as_any_dictionary()),
        of if is_text(of) => to.text(),
        // Null, and types without cells, which no sink wants.
        _ => to.sink.cells(column, std::iter::repeat_n(Cell::Missing, array.len())),
    }
}

/// A column of a sink, and the array that is on its way there.
struct Column<'s, 'a> {
    sink: &'s mut Sink,
    column: usize,
    array: &'a dyn Array,
}

impl<'a> Column<'_, 'a> {
    /// A cell for each row that is not null.
    fn each<'c>(self, cell: impl Fn(usize) -> Cell<'c>) {
        let rows = 0..self.array.len();
        match self.array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.sink.cells(self.column, rows.map(cell)),
            Some(nulls) => {
                let cell = |row| if nulls.is_null(row) { Cell::Missing } else { cell(row) };
                self.sink.cells(self.column, rows.map(cell));
            }
        }
    }

    /// Gives the values between nulls to `give`, and a missing cell for each null.
    fn primitive<T: ArrowPrimitiveType>(self, give: impl Fn(&mut Sink, usize, &[T::Native])) {
        let Self { sink, column, array } = self;
        let values = array.as_primitive::<T>().values();
        let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) else {
            return give(sink, column, values);
        };
        let missing = |sink: &mut Sink, count| {
            sink.cells(column, std::iter::repeat_n(Cell::Missing, count));
        };
        let mut at = 0;
        for (start, end) in nulls.valid_slices() {
            missing(sink, start - at);
            give(sink, column, &values[start..end]);
            at = end;
        }
        missing(sink, values.len() - at);
    }

    fn whole<T: ArrowPrimitiveType>(self, whole: impl Fn(T::Native) -> i64) {
        self.primitive::<T>(|sink, column, values| sink.wholes(column, values, &whole));
    }

    fn float<T: ArrowPrimitiveType>(self, float: impl Fn(T::Native) -> f64) {
        self.primitive::<T>(|sink, column, values| sink.floats(column, values, &float));
    }

    /// Whole numbers with their last `scale` digits after the mark, as the text of their digits, but for those that
    /// are `whole`.
    fn digits(
        self,
        scale: i8,
        whole: impl Fn(usize) -> Option<i64>,
        digits: impl Fn(usize, &mut String),
    ) {
        let whole = |row: usize| if scale == 0 { whole(row) } else { None };
        let nulls = self.array.logical_nulls();
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let rows = 0..self.array.len();
        if rows.clone().all(|row| is_null(row) || whole(row).is_some()) {
            return self.each(|row| Cell::Whole(whole(row).unwrap_or(0)));
        }
        let (mut text, mut ends, mut of_row) = (String::new(), Vec::new(), String::new());
        for row in rows {
            if !is_null(row) && whole(row).is_none() {
                of_row.clear();
                digits(row, &mut of_row);
                write_decimal(&of_row, scale, &mut text);
            }
            ends.push(text.len());
        }
        self.each(|row| match whole(row) {
            Some(whole) => Cell::Whole(whole),
            None => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                Cell::Text(&text.as_bytes()[start..ends[row]])
            }
        });
    }

    fn text(self) {
        with_text!(self.array, text => self.each(|row| Cell::Text(text(row))));
    }

    /// For each row that is not null one of `len` cells.
    fn coded<'c>(
        self,
        len: usize,
        cell: impl Fn(usize) -> Cell<'c>,
        place: impl Fn(usize) -> usize,
    ) {
        let rows = 0..self.array.len();
        match self.array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.sink.coded(self.column, len, cell, rows.map(|row| Some(place(row)))),
            Some(nulls) => {
                let place = |row| nulls.is_valid(row).then(|| place(row));
                self.sink.coded(self.column, len, cell, rows.map(place));
            }
        }
    }

    /// Text of a dictionary.
    fn dictionary(self, dictionary: &dyn AnyDictionaryArray) {
        let values = dictionary.values();
        if values.is_empty() {
            // There is nothing that a key could stand for.
            let missing = std::iter::repeat_n(Cell::Missing, dictionary.len());
            return self.sink.cells(self.column, missing);
        }
        let keys = dictionary.normalized_keys();
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        with_text!(values, text => {
            let cell = |key| match nulls {
                Some(nulls) if nulls.is_null(key) => Cell::Missing,
                _ => Cell::Text(text(key)),
            };
            self.coded(values.len(), cell, |row| keys[row]);
        });
    }
}

/// Writes whole digits, of which the last `scale` stand after the mark.
fn write_decimal(digits: &str, scale: i8, to: &mut String) {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    to.push_str(sign);
    let after = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        to.push_str(digits);
        if digits != "0" {
            to.extend(std::iter::repeat_n('0', after));
        }
        return;
    }
    let before = digits.len().saturating_sub(after);
    to.push_str(if before == 0 { "0" } else { &digits[..before] });
    to.push('.');
    to.extend(std::iter::repeat_n('0', after - (digits.len() - before)));
    to.push_str(&digits[before..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_digit_for_digit() {
        for (digits, scale, expected) in [
            ("1250", 2, "12.50"),
            ("-1250", 2, "-12.50"),
            ("5", 3, "0.005"),
            ("-5", 1, "-0.5"),
            ("0", 2, "0.00"),
            ("12", -3, "12000"),
            ("0", -3, "0"),
            ("-7", 0, "-7"),
        ] {
            let mut text = String::new();
            write_decimal(digits, scale, &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn types_have_names_in_words() {
        let list = DataType::new_list(DataType::Int64, true);
        for (of, expected, readable) in [
            (DataType::Int64, "int64", true),
            (DataType::UInt8, "uint8", true),
            (DataType::Float16, "float16", true),
            (DataType::Boolean, "boolean", true),
            (DataType::Null, "null", true),
            (DataType::LargeUtf8, "string", true),
            (DataType::FixedSizeBinary(16), "binary of 16 bytes", true),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp in microseconds", true),
            (DataType::Decimal128(10, 2), "decimal of scale 2", true),
            (
                DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into()),
                "dictionary of string",
                true,
            ),
            (
                DataType::Dictionary(DataType::Int8.into(), list.clone().into()),
                "dictionary of list of int64",
                false,
            ),
            (list, "list of int64", false),
            (DataType::Struct(arrow_schema::Fields::empty()), "struct", false),
            (DataType::Interval(arrow_schema::IntervalUnit::DayTime), "interval", false),
        ] {
            assert_eq!((name(&of).as_str(), has_cells(&of)), (expected, readable));
        }
    }
}
