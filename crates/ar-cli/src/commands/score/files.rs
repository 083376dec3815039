//! The files of `chainrule score`, which grow row by row.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::rows::{PValues, Row, Scores};
use crate::args::ScoreArgs;
use crate::error::{Internal, mistake};
use crate::files::GrowingNpy;
use crate::outputs::{Asked, Inputs, Output, check, ending, is_stream, out};

/// Checks the names of files before there is anything to write.
pub(super) fn check_files(args: &ScoreArgs) -> Result<()> {
    if let Some(asked) = costs_of(args) {
        asked.must_end_in("npy", "numpy.load reads it: an f32 array [rows, ...event shape]")?;
        asked.refuse_terminal()?;
    }
    let extension = args.out.as_deref().map(format_of);
    match (&args.out, extension.as_deref(), args.costliest) {
        (Some(path), Some(end), _) if end != "csv" && end != "npy" => Err(mistake(
            format!("--out {}: expected a name ending in .csv or .npy", path.display()),
            ".csv has a line per row with names, .npy the numbers alone",
        )),
        (_, end, Some(costliest)) if end != Some("csv") => Err(mistake(
            format!("--costliest {costliest} without a table, expected it with --out FILE.csv"),
            "add --out scores.csv, or write all costs with --per-variable costs.npy",
        )),
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

/// The ending of a name; a stream whose name has none takes a table.
fn format_of(path: &Path) -> String {
    let end = ending(path);
    if end.is_empty() && is_stream(path) { "csv".to_owned() } else { end }
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
    csv: Option<csv::Writer<Output>>,
    npy: Option<GrowingNpy>,
    costs: Option<GrowingNpy>,
    columns: Columns,
}

/// What a row of the outputs holds.
struct Columns {
    is_calibrated: bool,
    /// How many of the costliest variables.
    costliest: usize,
    /// Names of the variables.
    names: Vec<String>,
}

impl Files {
    /// Starts the files that are asked for.
    pub(super) fn create(args: &ScoreArgs, shape: &[usize], names: Vec<String>) -> Result<Self> {
        let is_calibrated = args.calibrate.is_some();
        let costliest = args.costliest.unwrap_or(0).min(names.len());
        let columns = Columns { is_calibrated, costliest, names };
        let (mut csv, mut npy) = (None, None);
        match &args.out {
            Some(path) if format_of(path) == "npy" => {
                let numbers = if is_calibrated { 4 } else { 2 };
                npy = Some(GrowingNpy::create::<f64>(out(path), &[numbers])?);
            }
            Some(path) => {
                let mut writer = csv::Writer::from_writer(out(path).create()?);
                write_record(&mut writer, columns.heading())?;
                csv = Some(writer);
            }
            None => {}
        }
        let costs = costs_of(args);
        let costs = costs.map(|asked| GrowingNpy::create::<f32>(asked, shape)).transpose()?;
        Ok(Self { csv, npy, costs, columns })
    }

    /// Whether a row is to have the costs of its variables.
    pub(super) fn need_costs(&self) -> bool {
        self.costs.is_some() || self.columns.costliest > 0
    }

    /// Adds a row to each file.
    pub(super) fn write(&mut self, row: Row<'_>) -> Result<()> {
        let Self { csv, npy, costs, columns } = self;
        let scores = row.scores;
        if let Some(npy) = npy {
            let number = |f: fn(Scores<'_>) -> f64| scores.map_or(f64::NAN, f);
            npy.push([number(|s| s.log_prob), number(|s| s.bits_per_dim)])?;
            if columns.is_calibrated {
                let p = |f: fn(PValues) -> f64| scores.and_then(|s| s.p).map_or(f64::NAN, f);
                npy.push([p(|p| p.low_likelihood), p(|p| p.typicality)])?;
            }
        }
        if let Some(costs) = costs {
            match scores {
                Some(scores) => costs.push(scores.costs.iter().map(|&cost| cost as f32))?,
                None => costs.push(vec![f32::NAN; columns.names.len()])?,
            }
        }
        if let Some(csv) = csv {
            write_record(csv, columns.cells(&row))?;
        }
        Ok(())
    }

    /// Gives the files their names.
    pub(super) fn complete(self) -> Result<()> {
        if let Some(mut csv) = self.csv {
            csv.flush().map_err(|error| csv.get_ref().failed(error))?;
            let file = csv.into_inner().map_err(csv::IntoInnerError::into_error);
            file.context(Internal("rows that were flushed are not"))?.commit()?;
        }
        [self.npy, self.costs].into_iter().flatten().try_for_each(GrowingNpy::complete)
    }
}

/// Adds a line, or says which file could not take it.
fn write_record(writer: &mut csv::Writer<Output>, cells: Vec<String>) -> Result<()> {
    writer.write_record(cells).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => writer.get_ref().failed(error),
        _ => Internal("a row of scores is no CSV").into(),
    })
}

impl Columns {
    /// The first line of the table.
    fn heading(&self) -> Vec<String> {
        let mut heading = vec!["row", "log_prob_nats", "bits_per_dim"];
        if self.is_calibrated {
            heading.extend(["p_low_likelihood", "flag_low_likelihood"]);
            heading.extend(["p_typicality", "flag_typicality"]);
        }
        let mut heading: Vec<String> = heading.into_iter().map(str::to_owned).collect();
        for k in 1..=self.costliest {
            heading.extend([format!("costliest_{k}"), format!("costliest_{k}_nats")]);
        }
        heading.push("error".to_owned());
        heading
    }

    /// The line of a row.
    fn cells(&self, row: &Row<'_>) -> Vec<String> {
        let mut cells = vec![row.number.to_string()];
        if let Some(Scores { log_prob, bits_per_dim, p, costs }) = row.scores {
            cells.extend([log_prob.to_string(), bits_per_dim.to_string()]);
            if let Some(p) = p {
                let [low, atypical] = p.flags().map(|flag| u8::from(flag).to_string());
                cells.extend([p.low_likelihood.to_string(), low]);
                cells.extend([p.typicality.to_string(), atypical]);
            }
            for i in most(costs, self.costliest) {
                cells.extend([self.names[i].clone(), costs[i].to_string()]);
            }
        }
        // Empty cells for what a bad row lacks.
        cells.resize(self.heading().len() - 1, String::new());
        cells.push(row.error.to_owned());
        cells
    }
}

/// Where the `k` largest values are, the largest first; of equal ones the first.
fn most(values: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let by_value = |&a: &usize, &b: &usize| values[b].total_cmp(&values[a]).then(a.cmp(&b));
    if k < order.len() {
        order.select_nth_unstable_by(k, by_value);
        order.truncate(k);
    }
    order.sort_unstable_by(by_value);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costliest_come_first_and_ties_in_order() {
        let costs = [0.5, 3.0, 0.0, 3.0, f64::INFINITY, 1.0];
        assert_eq!(most(&costs, 4), [4, 1, 3, 5]);
        assert_eq!(most(&costs, 6), [4, 1, 3, 5, 0, 2]);
        assert_eq!(most(&costs, 9).len(), 6);
        assert!(most(&costs, 0).is_empty());
    }

    #[test]
    fn variables_are_named_by_their_place() {
        assert_eq!(variable_names(&[3]), ["x0", "x1", "x2"]);
        assert_eq!(variable_names(&[2, 2]), ["x0_0", "x0_1", "x1_0", "x1_1"]);
        assert_eq!(variable_names(&[3, 1, 2])[3], "x1_0_1");
    }
}
