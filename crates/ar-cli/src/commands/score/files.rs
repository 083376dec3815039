//! The files of `chainrule score`, which grow row by row.

use anyhow::Result;
use ar_data::write::{Cell, Cells};

use super::super::most;
use super::anomaly::{Measures, Test, Tested};
use super::rows::{Row, Scores};
use crate::args::ScoreArgs;
use crate::error::mistake;
use crate::files::GrowingNpy;
use crate::outputs::{Asked, Inputs, check, ending, out};
use crate::tables::{self, Table};

/// Checks the names of files before there is anything to write.
pub(super) fn check_files(args: &ScoreArgs) -> Result<()> {
    if let Some(asked) = costs_of(args) {
        asked.must_end_in("npy", "numpy.load reads it: an f32 array [rows, ...event shape]")?;
        asked.refuse_terminal()?;
    }
    let table = args.out.as_deref().map(tables::Format::of).transpose()?.flatten();
    match (&args.out, table, args.costliest) {
        (Some(path), None, _) if ending(path) != "npy" => Err(mistake(
            format!("--out {}: expected a name ending in .csv, .parquet or .npy", path.display()),
            ".csv and .parquet have a line per row with names, .npy the numbers alone",
        )),
        (_, None, Some(costliest)) => Err(mistake(
            format!("--costliest {costliest} without a table, expected it with --out FILE.csv"),
            "add --out scores.csv, or write all costs with --per-variable costs.npy",
        )),
        (Some(path), Some(tables::Format::Parquet), _) => out(path).refuse_terminal(),
        _ => Ok(()),
    }
}

/// Checks that the files destroy nothing, once it is known what is read.
pub(super) fn check_places(args: &ScoreArgs, inputs: &Inputs) -> Result<()> {
    let asked: Vec<Asked<'_>> =
        args.out.as_deref().map(out).into_iter().chain(costs_of(args)).collect();
    check(&asked, inputs)
}

fn costs_of(args: &ScoreArgs) -> Option<Asked<'_>> {
    let path = args.per_variable.as_deref()?;
    Some(Asked { option: "--per-variable", path })
}

/// `x3`, or `x3_5` for row 3 and column 5.
pub(super) fn variable_names(shape: &[usize]) -> Vec<String> {
    let name = |i: usize| {
        let mut left = i;
        let mut index: Vec<String> = shape
            .iter()
            .rev()
            .map(|axis| {
                let here = left % axis;
                left /= axis;
                here.to_string()
            })
            .collect();
        index.reverse();
        format!("x{}", index.join("_"))
    };
    (0..shape.iter().product()).map(name).collect()
}

/// The files that grow row by row.
pub(super) struct Files {
    table: Option<Table>,
    npy: Option<GrowingNpy>,
    costs: Option<GrowingNpy>,
    columns: Columns,
}

/// The name of what is measured beside the score, and which it is.
type Measured = (&'static str, fn(Measures) -> f64);

/// What a row of the outputs holds.
struct Columns {
    is_calibrated: bool,
    /// The tests that are run.
    tests: Tested<()>,
    /// Whether what rows are ranked by stands beside their log-probability.
    has_score: bool,
    /// How many of the costliest variables.
    costliest: usize,
    /// Names of the variables.
    names: Vec<String>,
    /// How many columns the table has.
    width: usize,
}

impl Files {
    /// Starts the files that are asked for.
    pub(super) fn create(
        args: &ScoreArgs,
        shape: &[usize],
        names: Vec<String>,
        has_score: bool,
        tests: Tested<()>,
    ) -> Result<Self> {
        let is_calibrated = args.calibrate.is_some();
        let costliest = args.costliest.unwrap_or(0).min(names.len());
        let mut columns = Columns { is_calibrated, tests, has_score, costliest, names, width: 0 };
        columns.width = columns.heading().len();
        let (mut table, mut npy) = (None, None);
        if let Some(path) = &args.out {
            match tables::Format::of(path)? {
                Some(format) => table = Some(Table::create(out(path), format, &columns.heading())?),
                None => {
                    let tested = if is_calibrated { columns.tests.iter().count() } else { 0 };
                    let numbers = 2 + columns.measured().count() + tested;
                    npy = Some(GrowingNpy::create::<f64>(out(path), &[numbers])?);
                }
            }
        }
        let costs = costs_of(args);
        let costs = costs.map(|asked| GrowingNpy::create::<f32>(asked, shape)).transpose()?;
        Ok(Self { table, npy, costs, columns })
    }

    /// Whether a row is to have the costs of its variables.
    pub(super) fn need_costs(&self) -> bool {
        self.costs.is_some() || self.columns.costliest > 0
    }

    /// Adds a row to each file.
    pub(super) fn write(&mut self, row: Row<'_>) -> Result<()> {
        let Self { table, npy, costs, columns } = self;
        let scores = row.scores;
        if let Some(npy) = npy {
            let number = |f: fn(Scores<'_>) -> f64| scores.map_or(f64::NAN, f);
            npy.push([number(|s| s.log_prob), number(|s| s.bits_per_dim)])?;
            npy.push(
                columns.measured().map(|(_, of)| scores.map_or(f64::NAN, |s| of(s.measures))),
            )?;
            if columns.is_calibrated {
                let p = |test| scores.and_then(|s| s.p?.of.get(test)).unwrap_or(f64::NAN);
                npy.push(columns.tests.iter().map(|(test, ())| p(test)))?;
            }
        }
        if let Some(costs) = costs {
            match scores {
                Some(scores) => costs.push(scores.costs.iter().map(|&cost| cost as f32))?,
                None => costs.push(vec![f32::NAN; columns.names.len()])?,
            }
        }
        if let Some(table) = table {
            table.push(&columns.cells(&row))?;
        }
        Ok(())
    }

    /// Gives the files their names.
    pub(super) fn complete(self) -> Result<()> {
        self.table.map_or(Ok(()), Table::complete)?;
        [self.npy, self.costs].into_iter().flatten().try_for_each(GrowingNpy::complete)
    }
}

impl Columns {
    /// What is measured beside the score, and its name.
    fn measured(&self) -> impl Iterator<Item = Measured> + use<> {
        let all: [(Test, Measured); 2] = [
            (Test::Ratio, ("ratio_nats", |measures| measures.ratio)),
            (Test::Complexity, ("complexity_nats", |measures| measures.complexity)),
        ];
        let tests = self.tests;
        let run = move |(test, measured)| tests.get(test).map(|()| measured);
        all.into_iter().filter_map(run)
    }

    /// The columns of the table.
    fn heading(&self) -> Vec<(String, Cells)> {
        let mut heading = vec![
            ("row", Cells::Whole),
            ("log_prob_nats", Cells::Number),
            ("bits_per_dim", Cells::Number),
        ];
        if self.has_score {
            heading.push(("score", Cells::Number));
        }
        heading.extend(self.measured().map(|(name, _)| (name, Cells::Number)));
        let owned = |(name, cells): (&str, Cells)| (name.to_owned(), cells);
        let mut heading: Vec<(String, Cells)> = heading.into_iter().map(owned).collect();
        for (test, ()) in self.tests.iter().filter(|_| self.is_calibrated) {
            heading.push((format!("p_{}", test.key()), Cells::Number));
            heading.push((format!("flag_{}", test.key()), Cells::Whole));
        }
        for k in 1..=self.costliest {
            heading.push((format!("costliest_{k}"), Cells::Word));
            heading.push((format!("costliest_{k}_nats"), Cells::Number));
        }
        heading.push(("error".to_owned(), Cells::Word));
        heading
    }

    /// The line of a row.
    fn cells(&self, row: &Row<'_>) -> Vec<Cell> {
        let mut cells = vec![Cell::Whole(row.number as i64)];
        if let Some(Scores { log_prob, measures, bits_per_dim, p, costs }) = row.scores {
            cells.extend([log_prob, bits_per_dim].map(Cell::Number));
            if self.has_score {
                cells.push(Cell::Number(measures.score));
            }
            cells.extend(self.measured().map(|(_, of)| Cell::Number(of(measures))));
            for (p, flag) in p.iter().flat_map(|p| p.of.iter().zip(p.flags().iter())) {
                cells.extend([Cell::Number(p.1), Cell::Whole(flag.1.into())]);
            }
            for i in most(costs, self.costliest) {
                cells.extend([Cell::Word(self.names[i].clone()), Cell::Number(costs[i])]);
            }
        }
        // Empty cells for what a bad row lacks.
        cells.resize(self.width - 1, Cell::Missing);
        cells.push(match row.error {
            "" => Cell::Missing,
            error => Cell::Word(error.to_owned()),
        });
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_by_their_place() {
        assert_eq!(variable_names(&[3]), ["x0", "x1", "x2"]);
        assert_eq!(variable_names(&[2, 2]), ["x0_0", "x0_1", "x1_0", "x1_1"]);
        assert_eq!(variable_names(&[3, 1, 2])[3], "x1_0_1");
    }
}
