//! `chainrule train CONFIG.toml`: from a config to a run directory.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::{Dataset, Schema, Split};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::{Examples, InMemory, Rows as MixedRows, all_labels, read_rows};
use ar_models::model::Model;
use ar_models::scoring::{log_probs, ranks};
use ar_models::train::{
    Checkpoints, EpochRecord, Observer, Run, TrainConfig, Trained, epochs_done, train,
};
use ar_models::window::KernelSettings;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::{Evaluation, Session, Subject};
use crate::args::TrainArgs;
use crate::calibration::Calibration;
use crate::config::{Config, Difference};
use crate::data::{Prepared, Trained as TrainedOn, constant_columns, load_to_train, prepare};
use crate::device::{self, Chosen};
use crate::draft::draft;
use crate::environment::Environment;
use crate::error::{ErrorKind, Mistake, mistake};
use crate::host::{self, Progress};
use crate::memory;
use crate::output::{RECORD_VERSION, Terminal, columns, grouped, human_seconds, short_count};
use crate::ranking::Ranking;
use crate::run_dir::{RunDir, write_atomic};
use crate::seal::{Rows, Seal};
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
    /// What was chosen of a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<Window>,
    /// The kept weights on the validation split, if there is one.
    pub(crate) valid: Option<Evaluation>,
    /// The kept weights on the test split, if there is one.
    pub(crate) test: Option<Evaluation>,
    /// How the run's data changed while it was trained, where that was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) accepted_changes: Vec<String>,
    /// What the numbers were computed with; of a version before that was noted, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<Environment>,
}

/// What a window is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Training rows that it keeps.
    pub(crate) rows: usize,
    /// Bandwidth of all columns of numbers, in their standard deviations, if they have one in common.
    pub(crate) bandwidth: Option<f64>,
    /// Of each column, in event order, where they have their own; 1 of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bandwidths: Option<Vec<f64>>,
    /// How often a label is drawn from all alike, if there are labels.
    pub(crate) share_of_labels: Option<f64>,
    /// Mean cost in nats of rows under the window of all others, by which these were chosen.
    pub(crate) leave_one_out_nll_nats: Option<f64>,
}

impl Window {
    fn of(model: &Model) -> Option<Self> {
        let Model::Kernel(window) = model else { return None };
        let bandwidth = window.common_width();
        let widths = &window.bandwidths().numbers;
        let have_own = bandwidth.is_none() && window.has_numbers();
        Some(Self {
            rows: window.stored(),
            bandwidth,
            bandwidths: have_own.then(|| widths.clone()),
            share_of_labels: window.share_of_labels(),
            leave_one_out_nll_nats: window.leave_one_out_nll_nats(),
        })
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let mut parts = vec![format!("{} rows", grouped(&self.rows.to_string()))];
        parts.extend(self.bandwidth.map(|h| format!("bandwidth {h:.3} standard deviations")));
        if let Some(widths) = &self.bandwidths {
            let least = widths.iter().copied().fold(f64::INFINITY, f64::min);
            let most = widths.iter().copied().fold(0.0, f64::max);
            parts.push(format!("bandwidths {least:.3} to {most:.3} standard deviations"));
        }
        parts.extend(
            self.share_of_labels.map(|share| format!("{share:.4} of labels from all alike")),
        );
        parts.extend(self.leave_one_out_nll_nats.map(|nll| format!("leave-one-out {nll:.4} nats")));
        parts.join(", ")
    }
}

/// Trains, saves, evaluates and prints.
///
/// # Errors
/// When the config or the data is wrong, the run exists, or training fails.
pub(crate) fn run(args: &TrainArgs, session: &Session) -> Result<()> {
    let terminal = &session.terminal;
    let mut config = config_of(args, session)?;
    let device = device::choose(args.device.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    let finished = |record: Record| {
        terminal.note(format!("{} is finished already", record.run));
        terminal.result(&record, || words(&record))
    };
    let mut run = RunDir::at(&out)?;
    if let Some(record) = already_done(&run, &config, args)? {
        return finished(record);
    }
    if let Some(event) = config.event() {
        memory::check_training(&config, &event, None, &device.device)?;
    }
    // Where nothing has been learned yet, there is nothing that the data must suit.
    if let Some(seal) = run.seal().filter(|_| args.resume && run.holds_weights()) {
        config.data.expect_rows(&seal.data);
    }
    let mut config = args.own_data.accepted(config);
    let data = Data::load(&mut config, session)?;
    memory::check_training(&config, data.event(), Some(data.train.len()), &device.device)?;
    run.create()?;
    let _lock = run.lock()?;
    // Another process may have trained here until now.
    run = RunDir::at(&out)?;
    if let Some(record) = already_done(&run, &config, args)? {
        return finished(record);
    }
    let checkpoint = run.checkpoint();
    let training = Training {
        config: &config,
        data: &data,
        device: &device,
        checkpoints: Checkpoints {
            resume: args.resume,
            provenance: provenance(&config, &data)?,
            accept_changed_data: args.own_data.accept_changed_data,
            ..Checkpoints::at(&checkpoint)
        },
    };
    // What a checkpoint refuses leaves the run as it is.
    let continued = training.epochs_done(&run)?;
    run.write_seal(opened(&run, &config, &data, args.resume))?;
    write_atomic(&run.config(), config.to_toml()?.as_bytes())?;
    run.write_schema(data.schema.as_ref())?;
    let environment = Environment::now(&device.name);
    run.write_environment(&environment)?;
    if continued.is_none() {
        run.rewrite_metrics(&[])?;
    }
    terminal.detail(format!(
        "{}: {} training examples of {} variables, {}; device {}, {} threads",
        config.data.label(),
        data.train.len(),
        data.event().variables(),
        data.event().values(),
        device.name,
        rayon::current_num_threads(),
    ));
    let trained = training.descend(&run, terminal)?;
    let record = finish(&training, &mut run, environment, trained, terminal)?;
    terminal.result(&record, || words(&record))
}

/// The config that is named, or one for the data file that is.
fn config_of(args: &TrainArgs, session: &Session) -> Result<Config> {
    let path = &args.config;
    let is_config = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    if is_config && !args.draft.is_empty() {
        return Err(mistake(
            format!(
                "--label, --drop, --model and --key with {}, which is a config",
                path.display()
            ),
            "set data.label, data.drop, data.key and model.kind in the config; the options are for data files",
        ));
    }
    // What is no file is called a config that is not there.
    if is_config || !path.exists() {
        return Config::load(path, &args.set);
    }
    let draft = draft(path, args.draft.wishes())?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    for note in draft.notes {
        session.terminal.note(format!("{name}: {note}"));
    }
    let title = format!("the config of {name}");
    Config::of_text(Path::new(&title), draft.text, &args.set)
}

/// The seal of a run that starts or goes on: its data is known, its config is the checkpoint's business
/// until it ends, and what is there already stays what it is.
fn opened(run: &RunDir, config: &Config, data: &Data, resume: bool) -> Seal {
    let mut seal = Seal::new(data.rows.clone());
    if let Some(old) = run.seal().filter(|_| resume) {
        seal.keep_trained(old);
        seal.accepted_changes.clone_from(&old.accepted_changes);
    }
    for change in config.data.expected.accepted() {
        if !seal.accepted_changes.contains(&change) {
            seal.accepted_changes.push(change);
        }
    }
    seal
}

/// What else than model and training must be the same for a run to continue.
fn provenance(config: &Config, data: &Data) -> Result<BTreeMap<String, String>> {
    let mut provenance = config.keys()?;
    provenance.retain(|key, _| key.starts_with("data."));
    for (split, rows) in &data.rows {
        provenance.insert(format!("data: {split}"), rows.sha256.clone());
    }
    Ok(provenance)
}

/// The record of a finished run that may be returned instead of training. Refuses what would
/// overwrite a run, or continue one with another config.
fn already_done(run: &RunDir, config: &Config, args: &TrainArgs) -> Result<Option<Record>> {
    if !run.holds_weights() {
        return Ok(None);
    }
    if !args.resume {
        return Err(Mistake::new(
            format!("{} holds a run already", run.display()),
            "add --resume to continue it, or choose another folder with --out",
        )
        .of(ErrorKind::Run)
        .into());
    }
    if !run.config().is_file() {
        return Err(mistake(
            format!("{} holds weights but no config.toml, expected both", run.display()),
            "start anew in another folder with --out",
        ));
    }
    let mut goes_on = false;
    for difference in config.differences(&run.load_config()?)? {
        if difference.key == "train.epochs" {
            refuse_schedule(config, &difference, run)?;
            goes_on = true;
            continue;
        }
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
    // Training that has gone on has not come to its end yet.
    let is_open = run.seal().is_some_and(|seal| seal.config.is_none());
    if goes_on || is_open || !run.model().is_file() {
        return Ok(None);
    }
    // A result that is of another version is made again from the weights.
    let record: Option<Record> = run.read_result()?;
    Ok(record.map(|record| Record { run: run.display(), ..record }))
}

/// Refuses another number of epochs where the learning rate of every step depends on it.
fn refuse_schedule(config: &Config, difference: &Difference, run: &RunDir) -> Result<()> {
    if config.train.as_ref().is_none_or(|train| train.may_end_after(0)) {
        return Ok(());
    }
    Err(mistake(
        format!(
            "--resume with `train.epochs = {}`, planned were {} in {}: a cosine schedule spreads the \
             learning rate over all of them, so a run of another length is another run from its first step",
            difference.ours,
            difference.stored,
            run.config().display()
        ),
        "start anew with another --out; a run with train.schedule = { kind = \"constant\" } or \"step\" \
         can go on for longer",
    ))
}

/// The splits as the model sees them.
struct Data {
    train: Prepared,
    valid: Option<Prepared>,
    test: Option<Prepared>,
    /// What the files of the user's hold, by split.
    rows: BTreeMap<String, Rows>,
    /// What the columns are, of a table.
    schema: Option<Schema>,
}

impl Data {
    /// Loads the splits and settles what the config left to them.
    fn load(config: &mut Config, session: &Session) -> Result<Self> {
        let TrainedOn { splits, rows, schema } = load_to_train(config, session.reader())?;
        config.settle(&splits.train, schema.as_ref())?;
        if let Some(event) = config.event() {
            config.check_event(&event)?;
        }
        refuse_constants(config, &splits.train)?;
        let how = config.data.preprocessing;
        let seed = config.seed;
        let prepare =
            |data, split| prepare(data, how, split, (split == Split::Train).then_some(seed));
        let data = Self {
            train: prepare(splits.train, Split::Train)?,
            valid: splits.valid.map(|data| prepare(data, Split::Valid)).transpose()?,
            test: splits.test.map(|data| prepare(data, Split::Test)).transpose()?,
            rows,
            schema,
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

/// Refuses real variables with one value in all rows: a density of them would be infinite. All are named
/// at once.
fn refuse_constants(config: &Config, train: &Dataset) -> Result<()> {
    // Noise, or fewer rows, may be still to come.
    let constants = if config.model.is_real() { constant_columns(train) } else { Vec::new() };
    let [first, ..] = constants[..] else { return Ok(()) };
    let names = train.columns();
    let title = |column: &usize| match names.and_then(|names| names.get(*column)) {
        Some(name) => format!("`{name}`"),
        None => format!("column {column} (from 0)"),
    };
    let quoted = |column: &usize| match names.and_then(|names| names.get(*column)) {
        Some(name) => format!("{name:?}"),
        None => column.to_string(),
    };
    let value =
        train.reals().ok().and_then(|values| values.get(first)).copied().unwrap_or_default();
    let list =
        |word: &dyn Fn(&usize) -> String| constants.iter().map(word).collect::<Vec<_>>().join(", ");
    let what = match constants.len() {
        1 => format!("{} is {value} in all {} training rows", title(&first), train.len()),
        count => format!(
            "{count} columns have one value in all {} training rows: {}",
            train.len(),
            list(&title)
        ),
    };
    Err(Mistake::new(
        format!(
            "{}: {what}, expected at least two values: a density would be infinite",
            train.name()
        ),
        format!("leave them out with data.drop = [{}]", list(&quoted)),
    )
    .of(ErrorKind::Data)
    .into())
}

/// A model, what it is trained on, and where.
struct Training<'a> {
    config: &'a Config,
    data: &'a Data,
    device: &'a Chosen,
    checkpoints: Checkpoints<'a>,
}

impl Training<'_> {
    /// What the library trains.
    fn with<T>(&self, train: impl FnOnce(&Run<'_>) -> T) -> T {
        let Self { config, data, device, checkpoints } = self;
        // A tabular model is fitted in one pass and needs no checkpoint; what it is given is ignored.
        let unused = TrainConfig::epochs(1);
        train(&Run {
            model: &config.model,
            event: data.event(),
            config: config.train.as_ref().unwrap_or(&unused),
            seed: config.seed,
            device: &device.device,
            train: &data.train,
            valid: data.valid.as_ref().map(|valid| valid as &dyn Examples),
            checkpoint: config.model.is_neural().then(|| checkpoints.clone()),
        })
    }

    /// The epochs that are over, where there is a checkpoint to continue from.
    fn epochs_done(&self, run: &RunDir) -> Result<Option<usize>> {
        self.with(epochs_done).map_err(|error| resumed_with(error, run))
    }

    fn descend(&self, run: &RunDir, terminal: &Terminal) -> Result<Trained> {
        let epochs = self.config.train.as_ref().map(|train| train.epochs);
        let mut watch = Watch::new(run, terminal, epochs);
        let trained = self.with(|training| train(training, &mut watch));
        watch.close()?;
        let columns = self.data.train.columns.as_deref();
        let trained = trained.map_err(|error| named(error, columns));
        trained.with_context(|| format!("cannot train {}", run.display()))
    }
}

/// An error about a checkpoint, with what can be done about it in this run.
fn resumed_with(error: ar_models::Error, run: &RunDir) -> anyhow::Error {
    let hint = match &error {
        ar_models::Error::OtherRun { key, .. } if key == "train.epochs" => {
            "as many epochs are over already: set train.epochs to more, or start anew with another --out"
        }
        ar_models::Error::OtherRun { key, .. } if key.starts_with("data: ") => {
            "restore the data, or go on with --accept-changed-data, which is noted in the result"
        }
        ar_models::Error::OtherRun { .. } => {
            "the checkpoint is another run's: restore it from a copy, or start anew with another --out"
        }
        ar_models::Error::Stored(_) => {
            "the checkpoint is damaged or of another version: restore it from a copy, or start anew with \
             another --out"
        }
        _ => {
            return anyhow::Error::new(error).context(format!("cannot continue {}", run.display()));
        }
    };
    Mistake::new(format!("{}: {error}", run.checkpoint().display()), hint)
        .of(ErrorKind::Run)
        .in_file(run.checkpoint())
        .into()
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
    training: &Training<'_>,
    run: &mut RunDir,
    environment: Environment,
    trained: Trained,
    terminal: &Terminal,
) -> Result<Record> {
    let Training { config, data, device, .. } = training;
    let bytes = trained.model.to_bytes()?;
    // Whenever this process dies, there are no scores of another model than the one that is there.
    run.remove_calibration()?;
    run.write_model(&bytes)?;
    let window = window_of(config, data, terminal)?;
    if let Some(window) = &window {
        run.write_window(&window.to_bytes()?)?;
    }
    let model = Model::from_bytes(&config.model, data.event(), &bytes, &device.device)?;
    let place = run.display();
    let evaluate = |data: &Option<Prepared>, split| {
        let data = data.as_ref()?;
        let subject = Subject {
            model: &model,
            data,
            data_name: data.name.clone(),
            split: Some(split),
            device: &device.name,
            run: place.clone(),
        };
        Some(Evaluation::and_nll(subject, terminal))
    };
    let (valid, nll) = evaluate(&data.valid, Split::Valid).unzip();
    if let (Some(rows), Some(nll)) = (&data.valid, nll) {
        // What a model with classes has evaluated has been the mean over them, rounded otherwise than a score is.
        let log_prob = match model.classes() {
            Some(_) => log_probs(&model, rows, |_| ()),
            None => nll.into_iter().map(|nll| -nll).collect(),
        };
        run.write_calibration(&calibration_of(config, rows, log_prob, window.as_ref()))?;
    }
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
        window: Window::of(&model),
        valid,
        test: evaluate(&data.test, Split::Test).map(|(test, _)| test),
        accepted_changes: run.seal().map_or_else(Vec::new, |seal| seal.accepted_changes.clone()),
        environment: Some(environment),
    };
    run.write_result(&record, config)?;
    Ok(record)
}

/// The most values of training rows that a run keeps beside its model.
const MOST_KEPT: usize = 1 << 22;

/// Of more training rows than these fewer are kept: where rows come by the million, ranking one should take no longer than
/// the model does.
const MANY_ROWS: usize = 100_000;
const KEPT_OF_MANY: usize = 3_000;

/// The most columns of bits or levels that are ranked so: more are images.
const MOST_SYMBOLS: usize = 128;

/// A Parzen window over training rows, by which the rows of a table are ranked (`chainrule score`), but for those of a
/// window and those of many bits or levels.
fn window_of(config: &Config, data: &Data, terminal: &Terminal) -> Result<Option<Model>> {
    let (event, width) = (data.event(), data.event().variables());
    let Some(schema) = &config.data.schema else { return Ok(None) };
    let by_default = match data.train.len() {
        0..=MANY_ROWS => KernelSettings::default().max_rows,
        _ => KEPT_OF_MANY,
    };
    let keeps = config.data.table.keep_rows.unwrap_or(by_default);
    let max_rows = keeps.min(MOST_KEPT / width.max(1));
    let is_wide = event.levels.is_some() && width > MOST_SYMBOLS;
    if is_wide || max_rows == 0 || matches!(config.model, ModelConfig::Kernel(_)) {
        return Ok(None);
    }
    let bar = terminal.bar(1, "{msg} {elapsed}").with_message("looking for a window");
    bar.tick();
    let settings = ModelConfig::Kernel(KernelSettings { max_rows, ..KernelSettings::default() });
    let window = match Ranking::of_run(schema, event) {
        Some(ranking) => {
            let all: Vec<usize> = (0..data.train.len()).collect();
            let rows = match read_rows(&data.train, 1, &all) {
                MixedRows::Symbols(rows) => rows.into_iter().map(f64::from).collect(),
                MixedRows::Reals(rows) => rows,
            };
            let rows = InMemory::reals(ranking.ranked(&rows, &[]), width);
            Model::fit(&settings, ranking.event(), &rows)
        }
        None => Model::fit(&settings, event, &data.train),
    };
    bar.finish_and_clear();
    Ok(Some(window?))
}

/// What the validation rows score, whose log-probabilities are known.
fn calibration_of(
    config: &Config,
    rows: &Prepared,
    log_prob: Vec<f64>,
    window: Option<&Model>,
) -> Calibration {
    let window = match (window, &config.data.schema) {
        (Some(Model::Kernel(window)), Some(schema)) => {
            Some(match Ranking::of_run(schema, &rows.event) {
                Some(ranking) => ranks(window, &ranking.of_both(rows, &[]).1),
                None => ranks(window, rows),
            })
        }
        _ => None,
    };
    Calibration { log_prob, window }
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
    if let Some(window) = &record.window {
        text.push_str(&format!("{}\n", window.words()));
    }
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
        host::tell(Progress::Step { epoch, step, steps, nll_nats });
        let epochs = self.epochs.map_or_else(String::new, |epochs| format!("/{epochs}"));
        self.bar.set_message(format!("epoch {epoch}{epochs}  {nll_nats:9.4} nats"));
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let appended = self.run.append_metrics(record);
        self.keep(appended);
        host::tell(Progress::Epoch(record));
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
