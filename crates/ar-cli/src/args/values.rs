//! What options take: the words of those that take words, and the checks that say what is allowed.

use std::fmt;
use std::str::FromStr;

use ar_data::Split;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

/// A test that `chainrule score` makes where it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestKind {
    /// log p(x) less that under a simple model of the same training rows.
    Ratio,
    /// log p(x) plus the length of the row, compressed.
    Complexity,
}

impl fmt::Display for TestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratio => "ratio",
            Self::Complexity => "complexity",
        })
    }
}

/// What rows are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoreKind {
    /// log p(x) under the model of the run.
    LogProb,
    /// log p(x) under the Parzen window of the run: how near training rows are.
    Window,
}

impl ScoreKind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LogProb => "log-prob",
            Self::Window => "window",
        }
    }
}

/// Which rows of a file a process is to score, of several that share them: every so many blocks of rows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) struct Shard {
    /// From 0.
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether the block of rows of this number, from 0, is in it.
    pub(crate) fn has(self, block: u64) -> bool {
        block % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((k, count)) if (1..=count).contains(&k) => Ok(Self { index: k - 1, count }),
            _ => Err("expected K/N, such as 3/16, with K from 1 to N".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

/// What to do about a row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BadRows {
    /// Say so, count it, go on.
    Report,
    /// Fail.
    Stop,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Aligned, for a terminal.
    Text,
    /// Markdown.
    Md,
    /// One line for each run, numbers in full.
    Csv,
}

/// p(y) of `classify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Prior {
    /// All classes alike.
    Uniform,
    /// The label frequencies of the training set.
    Train,
}

impl Prior {
    /// The word on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Train => "train",
        }
    }
}

/// What `classify` divides log-likelihoods by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Temperature {
    /// This number.
    Given(f64),
    /// What suits the validation split.
    Valid,
}

impl FromStr for Temperature {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(Self::Given(number)),
            _ if text == "valid" => Ok(Self::Valid),
            _ => Err("expected a number above 0, or `valid`"),
        }
    }
}

/// The families that `count` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// One binary variable: 1
    Coin,
    /// One variable of m states: m − 1
    Die,
    /// The full joint table: m^n − 1
    Full,
    /// The chain rule's own sum, every variable given all before it: 1 + 2 + 4 + … for bits
    ChainRule,
    /// Every variable on its own: n (m − 1)
    Independent,
    /// Every variable given the k before it
    Markov,
    /// Every pixel given earlier pixels around it
    Neighbourhood,
    /// Parzen window over stored rows: h for numbers, λ for labels
    Kernel,
    /// Logistic regression of every bit on all before it: n (n + 1) / 2
    Logistic,
    /// NADE: 2 n h + h + n
    Nade,
    /// Order-agnostic NADE of one hidden layer: 3 n h + h + n
    OrderlessNade,
    /// MADE of one hidden layer, whose masks hide half of it: n h + h + n
    Made,
    /// RNADE of real numbers: n h + h + n + 3 n k (h + 1)
    Rnade,
}

/// The name of a split.
pub(super) fn split_parser() -> impl TypedValueParser<Value = Split> {
    PossibleValuesParser::new(["train", "valid", "test"]).try_map(|word| word.parse::<Split>())
}

/// At least 1, and small enough that a product of two does not overflow.
pub(super) fn count_parser() -> impl TypedValueParser<Value = usize> {
    whole_number(1, u32::MAX.into())
}

/// Any seed of the generators.
pub(super) fn seed_parser() -> impl TypedValueParser<Value = u64> {
    whole_number(0, u64::MAX)
}

/// A whole number from `least` to `most`, as its refusal says.
pub(super) fn whole_number<T>(least: u64, most: u64) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
{
    move |text: &str| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }
}

/// A row and a column.
pub(super) fn pixel(text: &str) -> Result<[usize; 2], String> {
    let numbers: Vec<_> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [Some(row), Some(column)] => Ok([row, column]),
        _ => Err("expected ROW,COLUMN, such as 4,4".to_owned()),
    }
}

/// Strictly between 0 and 1.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected a number above 0 and below 1".to_owned()),
    }
}
