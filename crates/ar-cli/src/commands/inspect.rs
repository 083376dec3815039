//! `chainrule inspect RUN|CONFIG.toml`: what a model is.

use std::path::Path;

use anyhow::{Context as _, Result};
use ar_models::config::EventSpec;
use ar_models::train::TrainConfig;
use serde::Serialize;

use super::train::{Record as Training, Window};
use super::{Evaluation, Session};
use crate::args::InspectArgs;
use crate::config::{Binarize, Config};
use crate::data;
use crate::device;
use crate::error::mistake;
use crate::looks::{self, Looks};
use crate::memory;
use crate::output::{
    RECORD_VERSION, columns, human_bytes, human_seconds, human_shape, short_count,
};
use crate::outputs::{Inputs, check, out};
use crate::run_dir::RunDir;
use crate::sees;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record<'a> {
    version: u32,
    command: &'static str,
    config: &'a str,
    model: &'a str,
    data: String,
    /// The label of the examples that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<u8>,
    /// Level count that the data is brought down to.
    requantize: Option<u16>,
    binarize: &'static str,
    /// Whether noise makes the symbols real numbers.
    dequantize: bool,
    /// Which fold of how many the data is, from 0.
    fold: Option<[usize; 2]>,
    /// Whether training images are mirrored by chance.
    flip: bool,
    seed: u64,
    shape: &'a [usize],
    variables: usize,
    /// Names of the variables; `null` of images and of files without names.
    columns: Option<&'a [String]>,
    /// Which columns of the training file they are, from 0, of a run of a table.
    positions: Option<Vec<usize>>,
    #[serde(skip)]
    values: String,
    /// `null` for real numbers.
    levels: Option<usize>,
    ordering: String,
    sees: String,
    /// Free parameters, a decimal of any length.
    parameters: String,
    /// Bytes of the weights or tables, a decimal of any length.
    parameter_bytes: String,
    /// Bytes that training takes at least, a decimal of any length.
    training_bytes: String,
    train: Option<&'a TrainConfig>,
    paper: Option<&'a crate::config::Paper>,
    deviations: &'a [String],
    /// Only for a run.
    run: Option<Trained<'a>>,
    /// What a pixel looks at, where that is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks: Option<Looks>,
}

/// What a run adds.
#[derive(Debug, Serialize)]
struct Trained<'a> {
    path: String,
    finished: bool,
    /// Files that were compared with what the run wrote, and are that; `null` for a run that has not
    /// noted what it wrote.
    verified_files: Option<usize>,
    epochs: usize,
    best_epoch: Option<usize>,
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a Window>,
    valid: Option<&'a Evaluation>,
    test: Option<&'a Evaluation>,
}

/// Describes and prints.
///
/// # Errors
/// When there is no such run or config, or a run's config is to be overridden.
pub(crate) fn run(args: &InspectArgs, session: &Session) -> Result<()> {
    let run = args.target.is_dir().then(|| RunDir::open(&args.target)).transpose()?;
    let config = match (&run, &args.set[..]) {
        (Some(run), []) => run.load_config()?,
        (Some(run), [set, ..]) => {
            let config = run.config();
            return Err(mistake(
                format!(
                    "--set {set} with {}, a run, whose config is what it was trained with",
                    run.display()
                ),
                format!(
                    "inspect the config instead, `chainrule inspect {} --set {set}`, or leave --set out",
                    config.display()
                ),
            ));
        }
        (None, overrides) => Config::load(&args.target, overrides)?,
    };
    let looks = match (&args.out, &run) {
        (None, _) => None,
        (Some(path), Some(run)) => Some(draw(path, args, run, &config, session)?),
        (Some(_), None) => {
            return Err(mistake(
                "--out draws what a trained model looks at, and this is a config",
                format!("train it first: chainrule train {}", args.target.display()),
            ));
        }
    };
    let event = event_of(&config, session)?;
    let size = sees::size(&config.model, &event)
        .with_context(|| format!("{}: the [model] table", args.target.display()))?;
    let training: Option<Training> = match &run {
        Some(run) => run.read_result()?,
        None => None,
    };
    let trained = run.as_ref().map(|run| describe(run, training.as_ref())).transpose()?;
    let record =
        Record { looks, ..Record::of(&config, &event, &size, (training.as_ref(), trained))? };
    session.terminal.beside(args.out.as_deref()).result(&record, || columns(&rows(&record)))
}

/// Draws what a pixel looks at under a trained model.
///
/// # Errors
/// When the run is not trained, is none of images, or the file cannot be written.
fn draw(
    path: &Path,
    args: &InspectArgs,
    run: &RunDir,
    config: &Config,
    session: &Session,
) -> Result<Looks> {
    out(path).must_end_in("png", "it is a picture")?;
    out(path).refuse_terminal()?;
    check(&[out(path)], &Inputs::of_run(run, config, &session.locations))?;
    let event = config.event_of_run()?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(config, &event, &device.device)?;
    looks::draw(path, args.pixel, &config.model, &event, &model)
}

/// What the command says of a run, name and value.
///
/// # Errors
/// When the run's model is impossible.
pub(crate) fn facts(run: &RunDir, config: &Config, event: &EventSpec) -> Result<Vec<[String; 2]>> {
    let size = sees::size(&config.model, event)?;
    let training: Option<Training> = run.read_result()?;
    let trained = Some(describe(run, training.as_ref())?);
    let record = Record::of(config, event, &size, (training.as_ref(), trained))?;
    let pairs = rows(&record).into_iter().filter_map(|row| row.try_into().ok());
    Ok(pairs.collect())
}

impl<'a> Record<'a> {
    fn of(
        config: &'a Config,
        event: &'a EventSpec,
        size: &sees::Size,
        (training, run): (Option<&Training>, Option<Trained<'a>>),
    ) -> Result<Self> {
        let train = config.train.as_ref();
        let batch = train.map_or(0, |train| train.batch_size);
        // What training adds, such as components for single numbers, only the run knows.
        let parameters = match training {
            Some(training) => training.parameters.clone(),
            None => size.free_parameters.to_string(),
        };
        let training_bytes = memory::training(&config.model, event, train, batch)?;
        Ok(Self {
            version: RECORD_VERSION,
            command: "inspect",
            config: &config.name,
            model: config.model.kind(),
            data: config.data.label(),
            class: config.data.class,
            requantize: config.data.preprocessing.requantize,
            binarize: match config.data.preprocessing.binarize {
                Binarize::None => "none",
                Binarize::Threshold => "threshold",
                Binarize::Stochastic { .. } => "stochastic",
            },
            dequantize: config.data.preprocessing.dequantize.is_some(),
            fold: config.data.folds.map(|folds| [folds.fold, folds.count]),
            flip: config.data.preprocessing.flip,
            seed: config.seed,
            shape: &event.shape,
            variables: event.variables(),
            columns: config.data.columns.as_deref(),
            positions: config
                .data
                .schema
                .as_ref()
                .map(|schema| schema.variables.iter().map(|variable| variable.column).collect()),
            values: event.values(),
            levels: event.levels,
            ordering: sees::ordering(&config.model),
            sees: sees::sees(&config.model, event),
            parameters,
            parameter_bytes: size.bytes.to_string(),
            training_bytes: training_bytes.total().to_string(),
            train,
            paper: config.paper.as_ref(),
            deviations: config.deviations.as_ref().map_or(&[], |deviations| &deviations.notes),
            run,
            looks: None,
        })
    }
}

/// What an event is: from the config, or where it leaves that open from the training file.
fn event_of(config: &Config, session: &Session) -> Result<EventSpec> {
    if let Some(event) = config.event() {
        return Ok(event);
    }
    let mut config = config.clone();
    let trained = data::load_to_train(&config, session.reader())?;
    config.settle(&trained.splits.train, trained.schema.as_ref())?;
    let event = config.event().context(crate::error::Internal("a read file has no event"))?;
    config.check_event(&event)?;
    Ok(event)
}

fn describe<'a>(run: &RunDir, training: Option<&'a Training>) -> Result<Trained<'a>> {
    Ok(Trained {
        path: run.display(),
        finished: training.is_some() && run.model().is_file(),
        verified_files: run.verify()?,
        epochs: match training {
            Some(training) => training.epochs,
            None => run.epochs()?.len(),
        },
        best_epoch: training.map(|training| training.best_epoch),
        seconds: training.map(|training| training.seconds),
        window: training.and_then(|training| training.window.as_ref()),
        valid: training.and_then(|training| training.valid.as_ref()),
        test: training.and_then(|training| training.test.as_ref()),
    })
}

/// Name and value of each thing there is to say.
fn rows(record: &Record<'_>) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let how = match (record.requantize, record.binarize) {
        (Some(levels), _) => format!(", requantized to {levels} levels"),
        (None, "none") => String::new(),
        (None, how) => format!(", binarized: {how}"),
    };
    let noise = if record.dequantize { ", with uniform noise" } else { "" };
    let fold = record
        .fold
        .map_or_else(String::new, |[fold, count]| format!(", fold {fold} of {count} (from 0)"));
    let class = record.class.map_or_else(String::new, |class| format!(", class {class} alone"));
    let flip = if record.flip { ", half of it mirrored in training" } else { "" };
    let mut rows = vec![
        row("name", record.config.to_owned()),
        row("model", record.model.to_owned()),
        row("data", format!("{}{class}{fold}{how}{noise}{flip}", record.data)),
        row(
            "event",
            match record.shape {
                [_] => format!("{} variables of {}", record.variables, record.values),
                shape => format!(
                    "{} = {} variables of {}",
                    human_shape(shape),
                    record.variables,
                    record.values
                ),
            },
        ),
        row("ordering", record.ordering.clone()),
        row("each conditional sees", record.sees.clone()),
        row("free parameters", short_count(&record.parameters)),
        row("memory", human_bytes(&record.parameter_bytes)),
        row("memory to train", format!("about {}", human_bytes(&record.training_bytes))),
        row("seed", record.seed.to_string()),
    ];
    if let Some(train) = record.train {
        rows.push(row(
            "training",
            format!("{} epochs, batches of {}", train.epochs, train.batch_size),
        ));
    }
    if let Some(paper) = record.paper {
        let nats = paper.test_nll_nats.map(|nll| format!("{nll} nats"));
        let bits = paper.test_bits_per_dim.map(|bits| format!("{bits} bits/dim"));
        let standardized = paper.test_nll_standardized_nats;
        let standardized = standardized.map(|nll| format!("{nll} nats standardized"));
        let numbers: Vec<String> = nats.into_iter().chain(bits).chain(standardized).collect();
        rows.push(row("paper", format!("{} ({})", numbers.join(", "), paper.source)));
    }
    for note in record.deviations {
        rows.push(row("deviation", note.clone()));
    }
    if let Some(run) = &record.run {
        let state = if run.finished { "finished" } else { "not finished" };
        rows.push(row("run", format!("{}, {state}", run.path)));
        let files = match run.verified_files {
            Some(files) => format!("{files} are as the run wrote them"),
            None => "not checked: the run has no seal.json".to_owned(),
        };
        rows.push(row("files", files));
        let best = run.best_epoch.map_or_else(String::new, |best| format!(", the best was {best}"));
        let seconds = run.seconds.map_or_else(String::new, |s| format!(", {}", human_seconds(s)));
        rows.push(row("epochs", format!("{}{best}{seconds}", run.epochs)));
        rows.extend(run.window.map(|window| row("window", window.words())));
        for evaluation in [run.valid, run.test].into_iter().flatten() {
            let cells = evaluation.cells();
            rows.push(row(&cells[0], cells[1..].join(", ")));
        }
    }
    rows.extend(record.looks.as_ref().map(|looks| row("looks", looks.words())));
    rows
}
