//! The files of `chainrule score`, which grow row by row.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ar_models::train::checkpoint::AtomicFile;

use super::rows::{PValues, Row, Scores};
use crate::args::ScoreArgs;
use crate::error::{cannot, mistake};
use crate::files::{GrowingNpy, check_npy, refuse_overwriting};

/// Checks the names of files before there is anything to write.
pub(super) fn check_files(args: &ScoreArgs) -> Result<()> {
    if let Some(path) = &args.per_variable {
        check_npy("--per-variable", path, "an f32 array [rows, ...event shape]")?;
    }
    let written: Vec<&PathBuf> = args.out.iter().chain(&args.per_variable).collect();
    if let [one, other] = written[..]
        && one == other
    {
        return Err(mistake(
            format!("--out and --per-variable are both {}", one.display()),
            "choose two names",
        ));
    }
    let read = [&args.data, &args.calibrate, &args.against].into_iter().flatten();
    let read: Vec<&Path> = read.map(Path::new).collect();
    refuse_overwriting(written.iter().map(|path| path.as_path()), &read)?;
    let extension = args.out.as_deref().map(extension);
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

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
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
    csv: Option<csv::Writer<AtomicFile>>,
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
            Some(path) if extension(path) == "npy" => {
                let numbers = if is_calibrated { 4 } else { 2 };
                npy = Some(GrowingNpy::create::<f64>(path, &[numbers])?);
            }
            Some(path) => {
                let mut writer = csv::Writer::from_writer(
                    AtomicFile::create(path).with_context(|| cannot("write", path))?,
                );
                writer.write_record(columns.heading()).context("cannot write --out")?;
                csv = Some(writer);
            }
            None => {}
        }
        let costs = args.per_variable.as_deref();
        let costs = costs.map(|path| GrowingNpy::create::<f32>(path, shape)).transpose()?;
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
            csv.write_record(columns.cells(&row)).context("cannot write --out")?;
        }
        Ok(())
    }

    /// Gives the files their names.
    pub(super) fn complete(self) -> Result<()> {
        if let Some(csv) = self.csv {
            let file = csv.into_inner().map_err(|error| error.into_error());
            file.and_then(AtomicFile::commit).context("cannot write --out")?;
        }
        [self.npy, self.costs].into_iter().flatten().try_for_each(GrowingNpy::complete)
    }
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
