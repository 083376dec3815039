//! `chainrule train CONFIG.toml`: from a config to a run directory.

use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::Split;
use ar_models::config::EventSpec;
use ar_models::examples::{Examples, all_labels};
use ar_models::model::Model;
use ar_models::train::{EpochRecord, Observer, Run, TrainConfig, Trained, train};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::{Evaluation, Session, Subject};
use crate::args::TrainArgs;
use crate::config::Config;
use crate::data::{Prepared, load_to_train, prepare};
use crate::device::{self, Chosen};
use crate::error::mistake;
use crate::memory;
use crate::output::{RECORD_VERSION, Terminal, columns, human_seconds, short_count};
use crate::reading::{self, RECORD_BYTES};
use crate::run_dir::{RunDir, write_atomic};
use crate::sees;

/// What the command prints, and `result.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Version of the record.
    pub(crate) version: u32,
    /// `train`.
    pub(crate) command: String,
    /// Kind of the model.
    pub(crate) model: String,
    /// Name of the config.
    pub(crate) config: String,
    /// Name of the data.
    pub(crate) data: String,
    /// Level count of the values, as the model sees them; `null` for real numbers.
    pub(crate) levels: Option<usize>,
    /// Where it was trained.
    pub(crate) device: String,
    /// The run directory.
    pub(crate) run: String,
    /// Epochs made.
    pub(crate) epochs: usize,
    /// The epoch whose weights were kept, from 1.
    pub(crate) best_epoch: usize,
    /// Free parameters, a decimal of any length.
    pub(crate) parameters: String,
    /// Training examples of each label, from 0 on, where there are labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) train_labels: Option<Vec<u64>>,
    /// Time spent in epochs, by all processes that trained this run.
    pub(crate) seconds: f64,
    /// What each conditional sees.
    pub(crate) sees: String,
    /// The ordering.
    pub(crate) ordering: String,
    /// The kept weights on the validation split, if there is one.
    pub(crate) valid: Option<Evaluation>,
    /// The kept weights on the test split, if there is one.
    pub(crate) test: Option<Evaluation>,
}

/// Trains, saves, evaluates and prints.
///
/// # Errors
/// When the config or the data is wrong, the run exists, or training fails.
pub(crate) fn run(args: &TrainArgs, session: &Session) -> Result<()> {
    let terminal = &session.terminal;
    let mut config = Config::load(&args.config, &args.set)?;
    let device = device::choose(args.device.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    let run = RunDir::at(out);
    if let Some(record) = already_done(&run, &config, args)? {
        terminal.note(format!("{} is finished already", run.display()));
        return terminal.result(&record, || words(&record));
    }
    if let Some(event) = config.event() {
        memory::check_training(&config, &event, None, &device.device)?;
    }
    let data = Data::load(&mut config, session)?;
    memory::check_training(&config, data.event(), Some(data.train.len()), &device.device)?;
    run.create()?;
    let _lock = run.lock()?;
    write_atomic(&run.config(), config.to_toml()?.as_bytes())?;
    run.write_environment(&device.name)?;
    run.rewrite_metrics(&[])?;
    terminal.detail(format!(
        "{}: {} training examples of {} variables, {}; device {}, {} threads",
        config.data.label(),
        data.train.len(),
        data.event().variables(),
        data.event().values(),
        device.name,
        rayon::current_num_threads(),
    ));
    let trained = descend(&config, &data, &run, &device, args.resume, terminal)?;
    let record = finish(&config, &data, &run, &device, trained, terminal)?;
    terminal.result(&record, || words(&record))
}

/// The record of a finished run that may be returned instead of training. Refuses what would
/// overwrite a run, or continue one with another config.
fn already_done(run: &RunDir, config: &Config, args: &TrainArgs) -> Result<Option<Record>> {
    if !run.holds_weights() {
        return Ok(None);
    }
    if !args.resume {
        return Err(mistake(
            format!("{} holds a run already", run.display()),
            "add --resume to continue it, or choose another folder with --out",
        ));
    }
    if !run.config().is_file() {
        return Err(mistake(
            format!("{} holds weights but no config.toml, expected both", run.display()),
            "start anew in another folder with --out",
        ));
    }
    if let Some(difference) = config.difference(&run.load_config()?)? {
        return Err(mistake(
            format!(
                "--resume with another config: `{} = {}`, expected {} as in {}",
                difference.key,
                difference.ours,
                difference.stored,
                run.config().display()
            ),
            format!(
                "resume with the run's own config, `chainrule train {} --out {} --resume`, or start \
                 anew with another --out",
                run.config().display(),
                run.display()
            ),
        ));
    }
    if !run.model().is_file() {
        return Ok(None);
    }
    // A result that cannot be read is made again from the weights.
    let record = finished(run);
    Ok(record.map(|record: Record| Record { run: run.display(), ..record }))
}

/// The splits as the model sees them.
struct Data {
    train: Prepared,
    valid: Option<Prepared>,
    test: Option<Prepared>,
}

impl Data {
    /// Loads the splits and settles what the config left to them.
    fn load(config: &mut Config, session: &Session) -> Result<Self> {
        let splits = load_to_train(&config.data, &session.locations)?;
        config.settle(&splits.train);
        let how = config.data.preprocessing;
        let seed = config.seed;
        let prepare =
            |data, split| prepare(data, how, split, (split == Split::Train).then_some(seed));
        let data = Self {
            train: prepare(splits.train, Split::Train)?,
            valid: splits.valid.map(|data| prepare(data, Split::Valid)).transpose()?,
            test: splits.test.map(|data| prepare(data, Split::Test)).transpose()?,
        };
        config.check_event(data.event())?;
        config.check_labels("training", &data.train)?;
        if let Some(valid) = data.valid.as_ref().filter(|valid| all_labels(*valid).is_some()) {
            config.check_labels("validation", valid)?;
        }
        Ok(data)
    }

    fn event(&self) -> &EventSpec {
        &self.train.event
    }
}

fn descend(
    config: &Config,
    data: &Data,
    run: &RunDir,
    device: &Chosen,
    resume: bool,
    terminal: &Terminal,
) -> Result<Trained> {
    // A tabular model is fitted in one pass and needs no checkpoint; what it is given is ignored.
    let unused = TrainConfig::epochs(1);
    let checkpoint = run.checkpoint();
    let mut watch = Watch::new(run, terminal, config.train.as_ref().map(|train| train.epochs));
    let trained = train(
        &Run {
            model: &config.model,
            event: data.event(),
            config: config.train.as_ref().unwrap_or(&unused),
            seed: config.seed,
            device: &device.device,
            train: &data.train,
            valid: data.valid.as_ref().map(|valid| valid as &dyn Examples),
            checkpoint: config.model.is_neural().then_some(&checkpoint),
            resume,
        },
        &mut watch,
    );
    watch.close()?;
    let trained = trained.map_err(|error| named(error, data.train.columns.as_deref()));
    trained.with_context(|| format!("cannot train {}", run.display()))
}

/// An error about a variable, with the name of its column.
fn named(error: ar_models::Error, columns: Option<&[String]>) -> anyhow::Error {
    let variable = match &error {
        ar_models::Error::Constant { variable, .. } => *variable,
        _ => return error.into(),
    };
    match columns.and_then(|columns| columns.get(variable)) {
        Some(name) => mistake(
            format!("column `{name}`: {error}"),
            format!("leave it out with data.drop = [{name:?}]"),
        ),
        None => error.into(),
    }
}

/// Saves the model, reads it back, and evaluates what was saved.
fn finish(
    config: &Config,
    data: &Data,
    run: &RunDir,
    device: &Chosen,
    trained: Trained,
    terminal: &Terminal,
) -> Result<Record> {
    let bytes = trained.model.to_bytes()?;
    write_atomic(&run.model(), &bytes)?;
    let model = Model::from_bytes(&config.model, data.event(), &bytes, &device.device)?;
    let evaluate = |data: &Option<Prepared>, split| {
        let data = data.as_ref()?;
        let subject = Subject {
            model: &model,
            data,
            data_name: data.name.clone(),
            split: Some(split),
            device: &device.name,
            run: run.display(),
        };
        Some(Evaluation::of(subject, terminal))
    };
    let record = Record {
        version: RECORD_VERSION,
        command: "train".into(),
        model: model.kind().into(),
        config: config.name.clone(),
        data: config.data.label(),
        levels: data.event().levels,
        device: device.name.clone(),
        run: run.display(),
        epochs: trained.history.len(),
        best_epoch: trained.best_epoch,
        parameters: model.free_parameters().to_string(),
        train_labels: all_labels(&data.train).map(|labels| counts(&labels)),
        seconds: trained.history.iter().map(|epoch| epoch.seconds).sum(),
        sees: sees::sees(&config.model, data.event()),
        ordering: sees::ordering(&config.model),
        valid: evaluate(&data.valid, Split::Valid),
        test: evaluate(&data.test, Split::Test),
    };
    run.write_json(&run.result(), &record)?;
    Ok(record)
}

/// How often each label occurs, from 0 to the largest.
fn counts(labels: &[u8]) -> Vec<u64> {
    let mut counts = vec![0; labels.iter().max().map_or(0, |&label| usize::from(label) + 1)];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    counts
}

fn words(record: &Record) -> String {
    let mut text = format!(
        "{} on {}: each conditional sees {}; {} free parameters\n",
        record.model,
        record.data,
        record.sees,
        short_count(&record.parameters)
    );
    let scores: Vec<_> =
        [&record.valid, &record.test].into_iter().flatten().map(Evaluation::cells).collect();
    text.push_str(&columns(&scores));
    let epochs = match record.epochs {
        1 => "1 epoch".to_owned(),
        n => format!("{n} epochs, the best was {}", record.best_epoch),
    };
    text + &format!("{epochs}, {}, in {}\n", human_seconds(record.seconds), record.run)
}

/// Writes `metrics.jsonl` and shows the progress.
struct Watch<'a> {
    run: &'a RunDir,
    terminal: &'a Terminal,
    /// Epochs of the whole run, for a neural model.
    epochs: Option<usize>,
    bar: ProgressBar,
    /// The first failure to write; training cannot be stopped from here.
    failure: Option<anyhow::Error>,
}

impl<'a> Watch<'a> {
    fn new(run: &'a RunDir, terminal: &'a Terminal, epochs: Option<usize>) -> Self {
        let bar = terminal.bar(1, "{msg} {bar:24} {pos}/{len}");
        Self { run, terminal, epochs, bar, failure: None }
    }

    fn close(self) -> Result<()> {
        self.bar.finish_and_clear();
        self.failure.map_or(Ok(()), Err)
    }

    fn keep(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

impl Observer for Watch<'_> {
    fn resumed(&mut self, history: &[EpochRecord]) {
        let rewritten = self.run.rewrite_metrics(history);
        self.keep(rewritten);
        if let Some(last) = history.last() {
            self.terminal.note(format!("continuing after epoch {}", last.epoch));
        }
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize, nll_nats: f64) {
        self.bar.set_length(steps as u64);
        self.bar.set_position(step as u64);
        let epochs = self.epochs.map_or_else(String::new, |epochs| format!("/{epochs}"));
        self.bar.set_message(format!("epoch {epoch}{epochs}  {nll_nats:9.4} nats"));
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let appended = self.run.append_metrics(record);
        self.keep(appended);
        let Some(epochs) = self.epochs else { return };
        let valid =
            record.valid_nll_nats.map_or_else(String::new, |nll| format!("  valid {nll:9.4} nats"));
        let line = format!(
            "epoch {:>width$}/{epochs}  train {:9.4}{valid}{}  {}",
            record.epoch,
            record.train_nll_nats,
            if record.best { "  best" } else { "      " },
            human_seconds(record.seconds),
            width = epochs.to_string().len(),
        );
        self.bar.suspend(|| self.terminal.note(line));
    }
}

/// The record of a finished run.
pub(crate) fn finished(run: &RunDir) -> Option<Record> {
    serde_json::from_slice(&reading::bytes(&run.result(), RECORD_BYTES).ok()?).ok()
}
