//! `chainrule classify RUN [RUN …]`: Bayes' rule over class-conditional models.
//!
//! ```text
//! p(y | x) = p(x | y) p(y) / Σ_y' p(x | y') p(y')
//! ```
//!
//! p(x | y) is one run whose model has classes, or one run per class, each trained on its own class alone
//! (`data.class`). A run of a table has p(x, y) of each of its columns y ([`Target`]).

mod target;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use ar_data::Split;
use ar_data::write::{Cell, Cells};
use ar_models::classification::{
    Bin, Posteriors, Quality, fit_temperature, log_joints, log_likelihoods,
};
use ar_models::config::EventSpec;
use ar_models::examples::{Examples as _, all_labels};
use ar_models::model::Model;
use ar_models::scoring::Score;
use prob_core::bayes::log_prior_from_counts;
use serde::Serialize;

use self::target::Target;
use super::{Session, data_of, finite, train};
use crate::args::{ClassifyArgs, OwnData, Prior, Temperature, WholeFileArgs};
use crate::config::{Config, DataConfig};
use crate::data::{OTHER_ROWS, Prepared, load_classes, prepare, require_split};
use crate::device;
use crate::error::{ErrorKind, Internal, Mistake, mistake};
use crate::output::{RECORD_VERSION, Terminal, columns, grouped, human_seconds};
use crate::outputs::{Asked, Inputs, check, out};
use crate::run_dir::RunDir;
use crate::tables::{self, Table};

/// What the command prints. A number that is not finite is `null` in JSON.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    /// Kind of the model, or of each.
    model: String,
    data: String,
    split: String,
    runs: Vec<String>,
    /// The labels that are told apart; all lists by class are in this order.
    classes: Vec<u8>,
    /// What they are called, where the data says.
    #[serde(skip_serializing_if = "Option::is_none")]
    class_names: Option<Vec<String>>,
    examples: usize,
    variables: usize,
    /// The column that is told from the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// `uniform`, `train` for the label frequencies of the training set, or `model` where p(x, y) is one model.
    prior: &'static str,
    /// p(y), unless it is the model's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prior_probabilities: Vec<f64>,
    /// What log p(x | y) is divided by in the posterior; 1 is Bayes' rule.
    temperature: f64,
    /// `given`, or `valid` where it is the one of the least log-loss on the validation split.
    temperature_from: &'static str,
    /// Mean of −log p(x), x alone, in nats per example.
    nll_nats: Option<f64>,
    nll_nats_stderr: Option<f64>,
    bits_per_dim: Option<f64>,
    /// Predictions of each class.
    predicted: Vec<u64>,
    /// Examples that are impossible under every class and get no prediction.
    impossible: usize,
    /// Only for data with labels.
    #[serde(flatten)]
    quality: Option<QualityRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    seconds: f64,
    device: String,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// What labels say about the predictions.
#[derive(Debug, Serialize)]
struct QualityRecord {
    accuracy: Option<f64>,
    /// Its standard error.
    accuracy_stderr: Option<f64>,
    /// Mean of −log p(label | x), in nats.
    log_loss_nats: Option<f64>,
    /// Brier's score, 0 to 2.
    brier: Option<f64>,
    /// Mean p(prediction | x).
    confidence: Option<f64>,
    /// Expected calibration error over bins of equal width.
    calibration_error: Option<f64>,
    /// The bins.
    reliability: Vec<BinRecord>,
    /// `confusion[y][z]`: examples of class y that are taken for class z.
    confusion: Vec<Vec<u64>>,
}

/// A line of the reliability table: predictions whose confidence is in (`above`, `to`].
#[derive(Debug, Serialize)]
struct BinRecord {
    above: f64,
    to: f64,
    count: usize,
    confidence: Option<f64>,
    accuracy: Option<f64>,
}

impl From<Quality> for QualityRecord {
    fn from(quality: Quality) -> Self {
        let bin = |bin: Bin| BinRecord {
            above: bin.above,
            to: bin.to,
            count: bin.count,
            confidence: finite(bin.confidence),
            accuracy: finite(bin.accuracy),
        };
        Self {
            accuracy: finite(quality.accuracy),
            accuracy_stderr: finite(quality.accuracy_stderr),
            log_loss_nats: finite(quality.log_loss_nats),
            brier: finite(quality.brier),
            confidence: finite(quality.confidence),
            calibration_error: finite(quality.calibration_error),
            reliability: quality.bins.into_iter().map(bin).collect(),
            confusion: quality.confusion,
        }
    }
}

/// Classifies, writes and prints.
///
/// # Errors
/// When the runs are no class-conditional models of one kind of event, the data does not suit them, a
/// label is none of their classes, or the file cannot be written.
pub(crate) fn run(args: &ClassifyArgs, session: &Session) -> Result<()> {
    let asked = args.out.as_deref().map(asked_table).transpose()?;
    let terminal = &session.terminal.beside(args.out.as_deref());
    let runs = Runs::open(&args.runs, args.target.as_deref(), args.own_data)?;
    let mut inputs = Inputs::default().and_spec(args.data.as_deref(), &session.locations);
    for (run, config) in &runs.opened {
        inputs.run(run, config, &session.locations);
    }
    check(asked.map(|(asked, _)| asked).as_slice(), &inputs)?;
    let log_prior = runs.log_prior(args.prior)?;
    let device = device::choose(args.device.as_deref())?;
    let models = runs.models(&device.device)?;
    let (data, split) = runs.data(args.data.as_deref(), args.split, &args.file, session)?;
    let truth = runs.truth(&data, terminal)?;
    if truth.is_none() && runs.target.is_none() {
        terminal.note(format!("{}: no labels, so there are predictions only", data.name));
    }
    let start = Instant::now();
    let (temperature, temperature_from) = match args.temperature {
        Temperature::Given(temperature) => (temperature, "given"),
        Temperature::Valid => (runs.fit_temperature(&models, &log_prior, session)?, "valid"),
    };
    let split = split.map_or_else(|| "all".to_owned(), |split| split.to_string());
    let evidence = runs.likelihoods(&models, &data, &split, terminal);
    let posteriors = Posteriors::new(&evidence, &log_prior, temperature)?;
    let quality = truth.as_ref().map(|truth| Quality::of(&posteriors, truth));
    let seconds = start.elapsed().as_secs_f64();
    if let Some((asked, format)) = asked {
        let labels = match (&runs.target, &truth) {
            (None, _) => all_labels(&data),
            (_, truth) => truth.as_ref().map(|all| all.iter().map(|&label| label as u8).collect()),
        };
        write_predictions(asked, format, &posteriors, &runs, labels.as_deref())?;
    }
    let costs: Vec<f64> = posteriors.log_evidence().iter().map(|log_prob| -log_prob).collect();
    let score = Score::of(&costs, data.event.variables());
    let mut predicted = vec![0_u64; runs.classes.len()];
    for prediction in (0..posteriors.len()).filter_map(|row| posteriors.prediction(row)) {
        predicted[prediction] += 1;
    }
    let impossible = posteriors.len() - predicted.iter().sum::<u64>() as usize;
    if impossible > 0 {
        terminal.note(format!(
            "{impossible} examples are impossible under every class and get no prediction; a \
             model.pseudo_count above 0 leaves nothing impossible to a table"
        ));
    }
    let record = Record {
        version: RECORD_VERSION,
        command: "classify",
        accepted_changes: runs.accepted_changes(),
        model: kinds(&models),
        data: data.name.clone(),
        split,
        runs: runs.opened.iter().map(|(run, _)| run.display()).collect(),
        classes: runs.classes.clone(),
        class_names: runs.names.clone(),
        examples: posteriors.len(),
        variables: score.variables,
        target: args.target.clone(),
        prior: if runs.target.is_some() { "model" } else { args.prior.name() },
        prior_probabilities: match runs.target {
            Some(_) => Vec::new(),
            None => log_prior.iter().map(|log_prob| log_prob.exp()).collect(),
        },
        temperature,
        temperature_from,
        nll_nats: finite(score.nll_nats),
        nll_nats_stderr: finite(score.nll_nats_stderr),
        bits_per_dim: finite(score.bits_per_dim()),
        predicted,
        impossible,
        quality: quality.map(QualityRecord::from),
        out: args.out.as_ref().map(|path| path.display().to_string()),
        seconds,
        device: device.name,
    };
    terminal.result(&record, || words(&record))
}

/// The table that `--out` names.
fn asked_table(path: &Path) -> Result<(Asked<'_>, tables::Format)> {
    let format = tables::Format::of(path)?.ok_or_else(|| {
        mistake(
            format!("--out {}: expected a name ending in .csv or .parquet", path.display()),
            "it holds a row per example: label, prediction, p(y | x) and log p(x)",
        )
    })?;
    if format == tables::Format::Parquet {
        out(path).refuse_terminal()?;
    }
    Ok((out(path), format))
}

/// The kinds of the models, each once.
fn kinds(models: &[Model]) -> String {
    let kinds: BTreeSet<&str> = models.iter().map(Model::kind).collect();
    kinds.into_iter().collect::<Vec<_>>().join(", ")
}

/// Runs that together are p(x | y).
struct Runs {
    /// One whose model has classes, or one per class, in the order of the classes.
    opened: Vec<(RunDir, Config)>,
    /// The labels of the classes, ascending.
    classes: Vec<u8>,
    /// What the classes are called, in the same order, where the data of the runs says.
    names: Option<Vec<String>>,
    event: EventSpec,
    /// The column that the classes are of, if they are no labels beside x.
    target: Option<Target>,
}

/// The title of a class in a table: its name, or its label.
fn titles(classes: &[u8], names: Option<&[String]>) -> Vec<String> {
    names.map_or_else(|| classes.iter().map(ToString::to_string).collect(), <[String]>::to_vec)
}

impl Runs {
    /// # Errors
    /// When a folder is no run, or the runs do not belong together.
    fn open(paths: &[std::path::PathBuf], target: Option<&str>, own_data: OwnData) -> Result<Self> {
        let mut opened = Vec::new();
        for path in paths {
            let run = RunDir::open(path)?;
            let config = own_data.accepted(run.load_config()?);
            opened.push((run, config));
        }
        if let Some(name) = target {
            return Self::of_target(opened, name);
        }
        let classes = match &opened[..] {
            [(run, config)] if config.data.is_of_columns() && config.data.class.is_none() => {
                return Err(Mistake::new(
                    format!("{}: a run of a table, of which column?", run.display()),
                    "say --target COLUMN for one that the run was trained on, or name one run per class, \
                     trained with --label COLUMN --set data.class=0, 1, …",
                )
                .of(ErrorKind::Run)
                .into());
            }
            [(run, config)] => match (config.model.classes(), config.data.class) {
                (Some(classes), _) => (0..=u8::MAX).take(classes).collect(),
                (None, Some(class)) => {
                    return Err(Mistake::new(
                        format!(
                            "{} is of class {class} alone, expected a run per class",
                            run.display()
                        ),
                        "name the runs of the other classes too",
                    )
                    .of(ErrorKind::Run)
                    .into());
                }
                (None, None) => {
                    return Err(Mistake::new(
                        format!("{}: the model has no classes", run.display()),
                        "train a nade, row-lstm, diagonal-lstm, diagonal-bilstm or pixel-cnn with \
                         model.classes = 10 on data with labels, or one run of any kind per class, with \
                         data.class = 0, 1, …, and name them all",
                    )
                    .of(ErrorKind::Run)
                    .into());
                }
            },
            _ => Self::one_class_each(&mut opened)?,
        };
        let event_of = |config: &Config| config.event_of_run();
        let (first_run, first) = &opened[0];
        let event = event_of(first)?;
        for (run, config) in &opened[1..] {
            let other = event_of(config)?;
            let names = |what: &str, found: String, expected: String| -> anyhow::Error {
                Mistake::new(
                    format!(
                        "{}: {what}{found}, expected {expected} as in {}",
                        run.display(),
                        first_run.display()
                    ),
                    "one x is to be judged by all runs: train them on the same data, preprocessed in \
                     the same way",
                )
                .of(ErrorKind::Run)
                .into()
            };
            if other.shape != event.shape {
                let [found, expected] = [&other, &event].map(|event| format!("{:?}", event.shape));
                return Err(names("events of shape ", found, expected));
            }
            if other.levels != event.levels {
                return Err(names("values of ", other.values(), event.values()));
            }
            let [found, expected] = [config, first].map(|config| config.data.preprocessed());
            if found != expected {
                return Err(names("", found, expected));
            }
        }
        let names = first.data.class_names().map(|names| {
            // A class that training never saw has no name but its label.
            let name = |class: &u8| names.get(usize::from(*class)).cloned();
            let title = |class: &u8| name(class).unwrap_or_else(|| class.to_string());
            classes.iter().map(title).collect()
        });
        Ok(Self { opened, classes, names, event, target: None })
    }

    /// One run over the column that is called so, and others.
    fn of_target(opened: Vec<(RunDir, Config)>, name: &str) -> Result<Self> {
        let [(run, config)] = &opened[..] else {
            return Err(mistake(
                format!("--target with {} runs, expected one", opened.len()),
                "a run that was trained on all columns says how probable each label is given the others",
            ));
        };
        let target = Target::of(run, config, name)?;
        let (event, names) = (config.event_of_run()?, target.labels.clone());
        let classes = (0..=u8::MAX).take(names.len()).collect();
        Ok(Self { opened, classes, names: Some(names), event, target: Some(target) })
    }

    /// log p(x | y), or what stands for it where the model has p(x, y), `[examples, classes]`, with a bar.
    fn likelihoods(
        &self,
        models: &[Model],
        data: &Prepared,
        split: &str,
        terminal: &Terminal,
    ) -> Vec<f64> {
        let each = if self.target.is_some() { self.classes.len() } else { models.len() };
        let bar = terminal.examples_bar(data.len() * each, format!("classifying {split}"));
        let progress = |done| bar.set_position(done as u64);
        let all = match &self.target {
            Some(target) => log_joints(&models[0], data, target.column, each, progress),
            None => log_likelihoods(models, data, progress),
        };
        bar.finish_and_clear();
        all
    }

    /// Sorts runs by the one class that each of them is of.
    fn one_class_each(opened: &mut [(RunDir, Config)]) -> Result<Vec<u8>> {
        for (run, config) in opened.iter() {
            if config.model.classes().is_some() {
                return Err(Mistake::new(
                    format!("{}: the model has classes of its own", run.display()),
                    "name this run alone, or runs of one class each",
                )
                .of(ErrorKind::Run)
                .into());
            }
            if config.data.class.is_none() {
                return Err(Mistake::new(
                    format!(
                        "{}: the config has no data.class, so which class is it?",
                        run.display()
                    ),
                    "train a run on each class alone, with data.class = 0, 1, …",
                )
                .of(ErrorKind::Run)
                .into());
            }
        }
        opened.sort_by_key(|(_, config)| config.data.class);
        for pair in opened.windows(2) {
            let [(one, config), (other, next)] = pair else { continue };
            if let (Some(class), true) = (config.data.class, config.data.class == next.data.class) {
                return Err(Mistake::new(
                    format!("{} and {} are both of class {class}", one.display(), other.display()),
                    "name one run per class",
                )
                .of(ErrorKind::Run)
                .into());
            }
        }
        Ok(opened.iter().filter_map(|(_, config)| config.data.class).collect())
    }

    /// How the data of the runs has changed, where that was accepted.
    fn accepted_changes(&self) -> Vec<String> {
        let changes = self.opened.iter().flat_map(|(_, config)| config.data.expected.accepted());
        changes.collect()
    }

    /// log p(y).
    ///
    /// # Errors
    /// When a run does not know how many training examples it had of each class.
    fn log_prior(&self, prior: Prior) -> Result<Vec<f64>> {
        let counts = match prior {
            _ if self.target.is_some() => vec![1; self.classes.len()],
            Prior::Uniform => vec![1; self.classes.len()],
            Prior::Train => {
                let stored = |run: &RunDir| -> Result<Vec<u64>> {
                    let record: Option<train::Record> = run.read_result()?;
                    let labels = record.and_then(|record| record.train_labels);
                    Ok(labels.ok_or_else(|| {
                        Mistake::new(
                            format!(
                                "--prior train: {} does not say how often it saw each label",
                                run.result().display()
                            ),
                            "use --prior uniform, or train the run again",
                        )
                        .of(ErrorKind::Run)
                    })?)
                };
                let of = |counts: &[u64], class: u8| {
                    counts.get(usize::from(class)).copied().unwrap_or(0)
                };
                match &self.opened[..] {
                    [(run, _)] => {
                        let counts = stored(run)?;
                        self.classes.iter().map(|&class| of(&counts, class)).collect()
                    }
                    each => {
                        let pairs = each.iter().zip(&self.classes);
                        pairs
                            .map(|((run, _), &class)| Ok(of(&stored(run)?, class)))
                            .collect::<Result<Vec<u64>>>()?
                    }
                }
            }
        };
        log_prior_from_counts(&counts, 0.0).context(Internal("a run that saw no example"))
    }

    fn models(&self, device: &burn::tensor::Device) -> Result<Vec<Model>> {
        let load = |(run, config): &(RunDir, Config)| run.load_model(config, &self.event, device);
        self.opened.iter().map(load).collect()
    }

    /// The data of `--data`, or the runs' own, of all their classes.
    fn data(
        &self,
        spec: Option<&str>,
        split: Option<Split>,
        file: &WholeFileArgs,
        session: &Session,
    ) -> Result<(Prepared, Option<Split>)> {
        let (_, config) = &self.opened[0];
        if spec.is_some() || config.data.class.is_none() {
            return data_of(spec, split, config, file, session);
        }
        let split = split.unwrap_or(Split::Test);
        let data = self.own(split, &format!("--split {split}"), OTHER_ROWS, session)?;
        Ok((data, Some(split)))
    }

    /// The runs' own data of all their classes; `asked` and `instead` as for [`require_split`].
    fn own(&self, split: Split, asked: &str, instead: &str, session: &Session) -> Result<Prepared> {
        let (first_run, first) = &self.opened[0];
        let rows = |config: &Config| {
            let DataConfig { source, drop, folds, .. } = &config.data;
            (source.clone(), drop.clone(), *folds)
        };
        let stranger = self.opened.iter().find(|(_, config)| rows(config) != rows(first));
        if let Some((run, _)) = stranger {
            return Err(Mistake::new(
                format!("{} and {} have other data", first_run.display(), run.display()),
                "say what is to be classified with --data SPEC, and --temperature as a number",
            )
            .of(ErrorKind::Run)
            .into());
        }
        require_split(&first.data, split, asked, instead)?;
        let mut all = first.clone();
        all.data.class = None;
        let classes = first.data.class.map(|_| &self.classes[..]);
        let data = load_classes(&all, split, classes, session.reader())?;
        prepare(data, first.data.preprocessing, split, None)
    }

    /// The class of each example, if the data has labels.
    ///
    /// # Errors
    /// When a label is none of the classes.
    fn truth(&self, data: &Prepared, terminal: &Terminal) -> Result<Option<Vec<usize>>> {
        if let Some(target) = &self.target {
            return Ok(target.truth(data, terminal));
        }
        let Some(labels) = all_labels(data) else { return Ok(None) };
        let class_of = |(row, label): (usize, &u8)| {
            self.classes.binary_search(label).map_err(|_| {
                let classes = titles(&self.classes, self.names.as_deref());
                Mistake::new(
                    format!(
                        "{}: row {row} has the label {label}, expected one of {}",
                        data.name,
                        classes.join(", ")
                    ),
                    "name a run for every class of the data, or leave out --data to classify the runs' \
                     own classes",
                )
                .of(ErrorKind::Data)
            })
        };
        Ok(Some(labels.iter().enumerate().map(class_of).collect::<Result<_, _>>()?))
    }

    /// The temperature that suits the runs' own validation split.
    fn fit_temperature(
        &self,
        models: &[Model],
        log_prior: &[f64],
        session: &Session,
    ) -> Result<f64> {
        let instead = "give a number, 1 for Bayes' rule as it is";
        let data = self.own(Split::Valid, "--temperature valid", instead, session)?;
        let Some(truth) = self.truth(&data, &session.terminal)? else {
            return Err(Mistake::new(
                format!("--temperature valid: {} has no labels", data.name),
                "give a number",
            )
            .of(ErrorKind::Data)
            .into());
        };
        let evidence = self.likelihoods(models, &data, "valid", &session.terminal);
        Ok(fit_temperature(&evidence, log_prior, &truth))
    }
}

/// The columns of the predictions: `row`, `label` where there are any, `prediction`, `p_Y` for each class and
/// `log_p_x` in nats.
fn heading(titles: &[String], has_labels: bool) -> Vec<(String, Cells)> {
    let mut heading = vec![("row".to_owned(), Cells::Whole)];
    heading.extend(has_labels.then(|| ("label".to_owned(), Cells::Word)));
    heading.push(("prediction".to_owned(), Cells::Word));
    heading.extend(titles.iter().map(|title| (format!("p_{title}"), Cells::Number)));
    heading.push(("log_p_x".to_owned(), Cells::Number));
    heading
}

/// Writes the predictions; classes by their names where they have some. What does not exist is left empty.
fn write_predictions(
    asked: Asked<'_>,
    format: tables::Format,
    posteriors: &Posteriors,
    runs: &Runs,
    labels: Option<&[u8]>,
) -> Result<()> {
    let titles = titles(&runs.classes, runs.names.as_deref());
    let title = |label: u8| match runs.classes.binary_search(&label) {
        Ok(place) => titles[place].clone(),
        Err(_) => label.to_string(),
    };
    let mut table = Table::create(asked, format, &heading(&titles, labels.is_some()))?;
    for (row, &log_evidence) in posteriors.log_evidence().iter().enumerate() {
        let mut cells = vec![Cell::Whole(row as i64)];
        cells.extend(labels.map(|labels| Cell::Word(title(labels[row]))));
        let prediction = posteriors.prediction(row);
        cells.push(prediction.map_or(Cell::Missing, |class| Cell::Word(titles[class].clone())));
        let probability = |&l: &f64| Cell::number((!l.is_nan()).then(|| l.exp()));
        cells.extend(posteriors.log_posterior(row).iter().map(probability));
        cells.push(Cell::Number(log_evidence));
        table.push(&cells)?;
    }
    table.complete()
}

fn words(record: &Record) -> String {
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "inf".to_owned(), |value| format!("{value:.decimals$}"))
    };
    let of = match record.runs.len() {
        _ if record.target.is_some() => "the joint distribution".to_owned(),
        1 => format!("one run of {} classes", record.classes.len()),
        runs => format!("{runs} runs of one class each"),
    };
    let mut text = format!(
        "{} on {} {}: p({} | x) of {} examples from {of}{}\n",
        record.model,
        record.data,
        record.split,
        record.target.as_ref().map_or_else(|| "y".to_owned(), |target| format!("{target:?}")),
        grouped(&record.examples.to_string()),
        match record.prior {
            "model" => String::new(),
            prior => format!(", {prior} prior"),
        }
    );
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String, what: String| {
        rows.push(vec![name.to_owned(), value, what]);
    };
    if let Some(quality) = &record.quality {
        let right: u64 = (0..record.classes.len()).map(|y| quality.confusion[y][y]).sum();
        let wrong = record.examples - right as usize;
        let percent = |value: Option<f64>| number(value.map(|value| 100.0 * value), 2);
        row(
            "accuracy",
            format!("{} ± {} %", percent(quality.accuracy), percent(quality.accuracy_stderr)),
            format!("{} wrong", grouped(&wrong.to_string())),
        );
        row(
            "log-loss",
            format!("{} nats", number(quality.log_loss_nats, 4)),
            format!("Brier score {}", number(quality.brier, 4)),
        );
        row(
            "calibration error",
            format!("{} %", percent(quality.calibration_error)),
            format!(
                "mean confidence {} %, {} bins of equal width",
                percent(quality.confidence),
                quality.reliability.len()
            ),
        );
    }
    if record.temperature_from == "valid" || record.temperature != 1.0 {
        let from = match record.temperature_from {
            "valid" => "of the least log-loss on the validation split",
            _ => "as given",
        };
        row("temperature", format!("{:.4}", record.temperature), from.to_owned());
    }
    row(
        "cost of x alone",
        format!("{} ± {} nats", number(record.nll_nats, 4), number(record.nll_nats_stderr, 4)),
        format!("{} bits/dim", number(record.bits_per_dim, 4)),
    );
    text.push_str(&columns(&rows));
    text.push('\n');
    text.push_str(&table(record));
    if let Some(out) = &record.out {
        text.push_str(&format!("\npredictions in {out}"));
    }
    text + &format!("\n{}\n", human_seconds(record.seconds))
}

/// How often each class is predicted, for each label where there are any.
fn table(record: &Record) -> String {
    let titles = titles(&record.classes, record.class_names.as_deref());
    let counts: Vec<(String, &[u64])> = match &record.quality {
        Some(quality) => {
            let rows = quality.confusion.iter().map(Vec::as_slice);
            titles.iter().cloned().zip(rows).collect()
        }
        None => vec![("examples".to_owned(), &record.predicted)],
    };
    let corner = if record.quality.is_some() { "label \\ predicted" } else { "predicted" };
    let count = counts.iter().flat_map(|(_, row)| *row).map(|n| n.to_string().len());
    let title = |most: usize| titles.iter().map(move |title| title.chars().count().min(most));
    let width = count.chain(title(12)).max().unwrap_or(1).max(3);
    let first = title(40).max().unwrap_or(1).max(17);
    let line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!(" {cell:>width$.width$}")).collect();
        format!("{name:>first$.first$} {cells}\n")
    };
    let mut text = line(corner, &mut titles.iter().cloned());
    for (name, row) in counts {
        let cell = |&n: &u64| if n == 0 { ".".to_owned() } else { n.to_string() };
        text.push_str(&line(&name, &mut row.iter().map(cell)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_predictions_leaves_empty_what_does_not_exist() {
        let certain = [-1000.0, -2000.0, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let posteriors = Posteriors::new(&certain, &[0.5_f64.ln(); 2], 1.0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        let text = |names: Option<[&str; 2]>, labels| {
            let names = names.map(|names| names.map(str::to_owned).to_vec());
            let event = EventSpec::symbols(vec![1], 2);
            let (classes, target) = (vec![3, 8], None);
            let runs = Runs { opened: Vec::new(), classes, names, event, target };
            let (asked, format) = asked_table(&path).unwrap();
            write_predictions(asked, format, &posteriors, &runs, labels).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let expected = "row,label,prediction,p_3,p_8,log_p_x\n0,8,3,1,0,-1000.6931471805599\n\
                        1,3,,,,-inf\n";
        assert_eq!(text(None, Some(&[8, 3])), expected);
        assert!(text(None, None).starts_with("row,prediction,p_3,p_8,log_p_x\n0,3,1,"));
        let named = text(Some(["cat", "dog"]), Some(&[8, 3]));
        assert!(named.starts_with("row,label,prediction,p_cat,p_dog,log_p_x\n0,dog,cat,1,"));
    }
}
