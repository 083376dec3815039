//! One file or folder per command, and what they share.

pub(crate) mod classify;
pub(crate) mod compare;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod compress;
mod compress_table;
pub(crate) mod count;
pub(crate) mod data;
pub(crate) mod decompress;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod features;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod probability;
pub(crate) mod report;
pub(crate) mod sample;
pub(crate) mod score;
pub(crate) mod train;

use std::time::Instant;

use anyhow::Result;
use ar_data::{Locations, Schema, Spec, Split};
use ar_models::examples::Examples as _;
use ar_models::model::Model;
use ar_models::scoring::{Score, nll_labelled};
use serde::{Deserialize, Serialize};

use crate::args::{Global, WholeFileArgs};
use crate::config::Config;
use crate::data::sets::Finder;
use crate::data::{OTHER_ROWS, Prepared, Reader, load_split, prepare, require_split};
use crate::error::{ErrorKind, Mistake, mistake};
use crate::host::{self, Progress};
use crate::output::Terminal;
use crate::run_dir::RunDir;

/// What the global flags say.
#[derive(Debug)]
pub(crate) struct Session {
    /// How to talk.
    pub(crate) terminal: Terminal,
    /// Where data files are looked for.
    pub(crate) locations: Locations,
}

impl Session {
    /// From the flags.
    pub(crate) fn new(global: Global) -> Self {
        let Global { json, quiet, verbose, data_dir, threads: _ } = global;
        let terminal = Terminal { json, quiet, verbose, results_on_stderr: false };
        Self { terminal, locations: Locations::new(data_dir) }
    }

    /// Where data is looked for, and where what is to be said about it is said.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { locations: &self.locations, terminal: &self.terminal }
    }
}

/// A split of a run's own data, or the data of `--data SPEC`; a path has no splits, so its split is
/// `None`.
///
/// # Errors
/// When there is no such data, or it does not suit the run.
pub(crate) fn data_of(
    spec: Option<&str>,
    split: Option<Split>,
    config: &Config,
    file: &WholeFileArgs,
    session: &Session,
) -> Result<(Prepared, Option<Split>)> {
    let Some(spec) = spec else {
        let split = split.unwrap_or(Split::Test);
        require_split(&config.data, split, &format!("--split {split}"), OTHER_ROWS)?;
        let data = load_split(config, split, session.reader())?;
        return Ok((prepare(data, config.data.preprocessing, split, None)?, Some(split)));
    };
    let is_path = matches!(spec.parse::<Spec>()?, Spec::Path(_));
    if let Some(split) = split
        && is_path
    {
        return Err(mistake(
            format!("--split {split} with {spec}: a path has no splits"),
            "remove --split, or name a built-in dataset",
        ));
    }
    let split = split.unwrap_or(Split::Test);
    let terminal = &session.terminal;
    let finder = Finder { with_labels: true, ..Finder::new(config, session.reader(), &file.file) };
    let data = finder.spec(spec, split)?.into_whole(file.skips(config), terminal)?;
    Ok((data, (!is_path).then_some(split)))
}

/// The schema of a run whose events are the columns of a table, and their names.
///
/// # Errors
/// When they are anything else.
pub(crate) fn columns_of<'a>(
    run: &RunDir,
    config: &'a Config,
) -> Result<(&'a Schema, Vec<String>)> {
    match &config.data.schema {
        Some(schema) if config.data.is_of_columns() => {
            let position = |i: usize| format!("x{i}");
            let all = 0..schema.variables.len();
            let names = config.data.columns.clone().unwrap_or_else(|| all.map(position).collect());
            Ok((schema, names))
        }
        _ => Err(Mistake::new(
            format!("{}: not a run of a table's columns of any type", run.display()),
            "conditions are on the columns of a table: train with `chainrule train FILE --model nade`",
        )
        .of(ErrorKind::Run)
        .into()),
    }
}

/// Checks that a model of a table's columns can be asked for rows under conditions.
///
/// # Errors
/// When it cannot.
pub(crate) fn require_regions(model: &Model) -> Result<()> {
    if model.takes_regions() {
        return Ok(());
    }
    Err(Mistake::new(
        format!("a run of model `{}`: rows under conditions are not to be had of it", model.kind()),
        "`nade`, `made`, `orderless-nade` and `kernel` of a table's columns draw and fill in rows under conditions",
    )
    .of(ErrorKind::Run)
    .into())
}

/// At most `most` of the indices below `len`, evenly spaced, since some data is sorted by label.
pub(crate) fn evenly_spaced(len: usize, most: Option<usize>) -> Vec<usize> {
    let count = most.map_or(len, |most| most.min(len));
    (0..count).map(|k| (k as u128 * len as u128 / count as u128) as usize).collect()
}

/// The class that `--class` asks for, if the model has it.
///
/// # Errors
/// When the model has no classes, or not this one.
pub(crate) fn class_of(class: Option<usize>, model: &Model) -> Result<Option<u8>> {
    let Some(class) = class else { return Ok(None) };
    let Some(classes) = model.classes() else {
        return Err(mistake(
            format!("--class {class}: the run's model has no classes"),
            "remove --class, or train a nade, row-lstm, diagonal-lstm, diagonal-bilstm or pixel-cnn \
             with model.classes = 10 on data with labels",
        ));
    };
    match u8::try_from(class).ok().filter(|_| class < classes) {
        Some(label) => Ok(Some(label)),
        None => Err(mistake(
            format!("--class {class}: expected 0 to {}", classes - 1),
            format!("the run's model has model.classes = {classes}"),
        )),
    }
}

/// What `eval` prints, and `train` for its splits. A number that is not finite is `null` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    /// Kind of the model.
    pub(crate) model: String,
    /// Name of the data.
    pub(crate) data: String,
    /// `train`, `valid`, `test`, or `all` for a file, which has no splits.
    pub(crate) split: String,
    /// Number of examples.
    pub(crate) examples: usize,
    /// Variables of an example.
    pub(crate) variables: usize,
    /// Mean of −log p(x), in nats per example.
    pub(crate) nll_nats: Option<f64>,
    /// Standard error of that mean.
    pub(crate) nll_nats_stderr: Option<f64>,
    /// The mean in bits per variable.
    pub(crate) bits_per_dim: Option<f64>,
    /// The mean in standardized units, in which each variable of the training set has variance 1. Only of
    /// real numbers, whose `nll_nats` is in the units of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nll_standardized_nats: Option<f64>,
    /// Mean of −log p(x | y) over the examples and their labels y, in nats per example; `nll_nats` is
    /// of x alone then. Only for a model with classes on data with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nll_given_label_nats: Option<f64>,
    /// Fraction of the examples whose label is argmax p(y | x). Only beside the former.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
    /// Time that the evaluation took.
    pub(crate) seconds: f64,
    /// Where it ran.
    pub(crate) device: String,
    /// The run directory.
    pub(crate) run: String,
    /// Free parameters of the model.
    pub(crate) parameters: String,
}

/// What an evaluation is about.
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a Model,
    pub(crate) data: &'a Prepared,
    pub(crate) data_name: String,
    /// None for a file without splits.
    pub(crate) split: Option<Split>,
    pub(crate) device: &'a str,
    pub(crate) run: String,
}

impl Evaluation {
    /// Evaluates, with a bar.
    pub(crate) fn of(subject: Subject<'_>, terminal: &Terminal) -> Self {
        Self::and_nll(subject, terminal).0
    }

    /// The same, and −log p of each example in nats.
    pub(crate) fn and_nll(subject: Subject<'_>, terminal: &Terminal) -> (Self, Vec<f64>) {
        let Subject { model, data, data_name, split, device, run } = subject;
        let start = Instant::now();
        let split = split.map_or_else(|| "all".to_owned(), |split| split.to_string());
        let bar = terminal.examples_bar(data.len(), format!("evaluating {split}"));
        let (nll, labelled) = nll_labelled(model, data, |done| {
            host::tell(Progress::Pulse);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let score = Score::of(&nll, model.variables());
        if model.classes().is_some() && labelled.is_none() {
            terminal.note(format!(
                "{split}: no labels, or some that are no class of the model: the cost given the label \
                 is left out"
            ));
        }
        if score.nll_nats.is_infinite() {
            terminal.note(format!(
                "{split}: an example has probability 0, so the mean cost is infinite{}",
                match model.standardization() {
                    Some(_) => ": a value is too far from those of the training set",
                    None => "; a model.pseudo_count above 0 leaves nothing impossible to a table",
                }
            ));
        }
        let bits_per_dim = finite(score.bits_per_dim());
        let Score { examples, variables, nll_nats, nll_nats_stderr } = score;
        let evaluation = Self {
            model: model.kind().to_owned(),
            data: data_name,
            split,
            examples,
            variables,
            nll_nats: finite(nll_nats),
            nll_nats_stderr: finite(nll_nats_stderr),
            bits_per_dim,
            nll_standardized_nats: model
                .standardization()
                .and_then(|standardization| finite(nll_nats - standardization.log_scale())),
            nll_given_label_nats: labelled.as_ref().and_then(|l| finite(l.given.nll_nats)),
            accuracy: labelled.as_ref().and_then(|l| finite(l.accuracy)),
            seconds: start.elapsed().as_secs_f64(),
            device: device.to_owned(),
            run,
            parameters: model.free_parameters().to_string(),
        };
        (evaluation, nll)
    }

    /// Cells of a line: split, NLL, bits/dim, examples.
    pub(crate) fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.split.clone()];
        cells.extend(cost_cells(self.nll_nats, self.nll_nats_stderr, self.bits_per_dim));
        cells.push(format!("{} examples", crate::output::grouped(&self.examples.to_string())));
        if let Some(nll) = self.nll_standardized_nats {
            cells.push(format!("{nll:.4} nats standardized"));
        }
        if let (Some(nll), Some(accuracy)) = (self.nll_given_label_nats, self.accuracy) {
            cells.push(format!("{nll:.4} nats given the label"));
            cells.push(format!("{:.2}% of labels right", 100.0 * accuracy));
        }
        cells
    }
}

/// A mean cost with its standard error, and in bits, as cells.
pub(crate) fn cost_cells(
    nll_nats: Option<f64>,
    stderr: Option<f64>,
    bits_per_dim: Option<f64>,
) -> [String; 2] {
    // An example outside the support costs infinitely much; that is the one way to no number.
    let number = |value: Option<f64>, missing: &str| {
        value.map_or_else(|| missing.to_owned(), |value| format!("{value:.4}"))
    };
    [
        format!("{} ± {} nats", number(nll_nats, "inf"), number(stderr, "?")),
        format!("{} bits/dim", number(bits_per_dim, "inf")),
    ]
}

/// A number that JSON can hold.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Where the `k` largest values are, the largest first; of equal ones the first.
pub(crate) fn most(values: &[f64], k: usize) -> Vec<usize> {
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
}
