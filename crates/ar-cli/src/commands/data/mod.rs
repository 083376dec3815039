//! `chainrule data …`: what there is, what is in it, getting it, and writing it out.

mod table;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use ar_data::{
    Builtin, Dataset, Event, ReadOptions, Schema, Spec, Split, Values, builtin, fetch, holds_table,
    read_path,
};
use ar_models::examples::{Examples as _, read_rows};
use indicatif::ProgressBar;
use serde::Serialize;

use super::Session;
use crate::args::{DataCommand, InfoArgs, OwnData};
use crate::config::{Config, Preprocessing};
use crate::data::{Prepared, load_split, prepare};
use crate::error::{ErrorKind, Mistake, mistake};
use crate::files::{Events, Format};
use crate::output::{RECORD_VERSION, Terminal, columns, grouped, human_seconds, human_shape};
use crate::outputs::{Inputs, check, out};
use crate::run_dir::RunDir;

/// Runs a subcommand.
///
/// # Errors
/// When the data is missing or malformed, or a file cannot be written.
pub(crate) fn run(command: &DataCommand, session: &Session) -> Result<()> {
    match command {
        DataCommand::List => list(session),
        DataCommand::Info { spec, file } => info(spec, file, session),
        DataCommand::Fetch { name } => fetch_one(name, session),
        DataCommand::Export { source, split, out, count, columns, own_data } => {
            let (split, count, columns, own_data) = (*split, *count, *columns, *own_data);
            let export = Export { source, split, out, count, columns, own_data };
            export.run(session)
        }
    }
}

/// A built-in dataset in words and numbers.
#[derive(Debug, Serialize)]
struct Known {
    name: &'static str,
    about: &'static str,
    shape: &'static [usize],
    /// `null` for real numbers.
    levels: Option<u16>,
    /// Examples of train, valid, test.
    examples: [usize; 3],
    labelled: bool,
    source: &'static str,
    /// Whether its files are on this machine (or in the program).
    present: bool,
}

impl Known {
    fn of(builtin: &'static Builtin, session: &Session) -> Self {
        Self {
            name: builtin.name,
            about: builtin.about,
            shape: builtin.shape,
            levels: builtin.levels,
            examples: builtin.examples,
            labelled: builtin.labelled,
            source: builtin.source,
            present: builtin.is_present(&session.locations),
        }
    }

    fn state(&self) -> &'static str {
        if self.present { "here" } else { "not fetched" }
    }
}

/// A set to be exported: it, its split, what was read for it, what had changed in that, and what its columns
/// are.
type Loaded = (Prepared, String, Inputs, Vec<String>, Option<Schema>);

/// What `data list` prints.
#[derive(Debug, Serialize)]
struct ListRecord {
    version: u32,
    command: &'static str,
    looked_in: Vec<String>,
    datasets: Vec<Known>,
}

fn list(session: &Session) -> Result<()> {
    let dirs = session.locations.dirs();
    let record = ListRecord {
        version: RECORD_VERSION,
        command: "data list",
        looked_in: dirs.iter().map(|dir| dir.display().to_string()).collect(),
        datasets: builtin::all().iter().map(|builtin| Known::of(builtin, session)).collect(),
    };
    session.terminal.detail(format!("looked in {}", record.looked_in.join(", ")));
    session.terminal.result(&record, || {
        let head = ["name", "shape", "levels", "train", "valid", "test", "files", "about"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for known in &record.datasets {
            let mut row =
                vec![known.name.to_owned(), human_shape(known.shape), levels_cell(known.levels)];
            row.extend(known.examples.map(|count| grouped(&count.to_string())));
            row.extend([known.state().to_owned(), known.about.to_owned()]);
            rows.push(row);
        }
        columns(&rows)
    })
}

/// Real numbers have no levels.
fn levels_cell(levels: Option<u16>) -> String {
    levels.map_or_else(|| "–".to_owned(), |levels| levels.to_string())
}

/// What `data info` prints.
#[derive(Debug, Serialize)]
struct InfoRecord {
    version: u32,
    command: &'static str,
    spec: String,
    /// What is known without the files, for a built-in name.
    builtin: Option<Known>,
    /// What is in them; one part named `all` for a path whose values are of one kind.
    parts: Vec<Part>,
    /// What is in a table at a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<table::Described>,
}

/// A split or a file.
#[derive(Debug, Serialize)]
struct Part {
    split: String,
    examples: usize,
    shape: Vec<usize>,
    variables: usize,
    /// `binary`, `symbols` or `real`.
    kind: &'static str,
    levels: Option<u16>,
    labelled: bool,
    columns: Option<Vec<String>>,
    /// Smallest, largest and mean value.
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
}

impl Part {
    fn of(data: &Dataset, split: &str) -> Self {
        let values: Box<dyn Iterator<Item = f64>> = match data.values() {
            Values::Symbols { data, .. } => Box::new(data.iter().map(|&value| f64::from(value))),
            Values::Reals { data } | Values::Columns { data, .. } => Box::new(data.iter().copied()),
        };
        let start = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0_u64);
        let (min, max, sum, count) = values.fold(start, |(min, max, sum, count), value| {
            (value.min(min), value.max(max), sum + value, count + 1)
        });
        let some = |value: f64| value.is_finite().then_some(value);
        Self {
            split: split.to_owned(),
            examples: data.len(),
            shape: data.shape().to_vec(),
            variables: data.event_len(),
            kind: match data.levels() {
                None => "real",
                Some(2) => "binary",
                Some(_) => "symbols",
            },
            levels: data.levels(),
            labelled: data.labels().is_some(),
            columns: data.columns().map(<[String]>::to_vec),
            min: some(min),
            max: some(max),
            mean: some(sum / count as f64),
        }
    }
}

fn info(text: &str, file: &InfoArgs, session: &Session) -> Result<()> {
    let mut table = None;
    let (known, parts) = match text.parse::<Spec>()? {
        Spec::Builtin(builtin) => {
            let known = Known::of(builtin, session);
            let parts = if known.present {
                let load = |split: Split| {
                    let data = builtin.load_split(split, &session.locations)?;
                    Ok(Part::of(&data, &split.to_string()))
                };
                Split::ALL.into_iter().map(load).collect::<Result<_>>()?
            } else {
                session.terminal.note(format!(
                    "its files are not here; get them with `chainrule data fetch {}`",
                    known.name
                ));
                Vec::new()
            };
            (Some(known), parts)
        }
        Spec::Path(path) if holds_table(&path)? => {
            let (described, values) = table::Described::of(&path, file)?;
            table = Some(described);
            (None, values.iter().map(|values| Part::of(values, "all")).collect())
        }
        Spec::Path(path) => {
            (None, vec![Part::of(&read_path(&path, &ReadOptions::default())?, "all")])
        }
    };
    let record = InfoRecord {
        version: RECORD_VERSION,
        command: "data info",
        spec: text.to_owned(),
        builtin: known,
        parts,
        table,
    };
    session.terminal.result(&record, || info_words(&record))
}

fn info_words(record: &InfoRecord) -> String {
    let mut text = String::new();
    if let Some(known) = &record.builtin {
        let [train, valid, test] = known.examples.map(|count| grouped(&count.to_string()));
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        text.push_str(&columns(&[
            row("name", format!("{} ({})", known.name, known.state())),
            row("about", known.about.to_owned()),
            row("source", known.source.to_owned()),
            row(
                "event",
                match known.levels {
                    Some(levels) => format!("{}, {levels} levels", human_shape(known.shape)),
                    None => format!("{}, real numbers", human_shape(known.shape)),
                },
            ),
            row("examples", format!("{train} train, {valid} valid, {test} test")),
        ]));
    }
    if let Some(table) = &record.table {
        text.push_str(&table.words());
    }
    if record.parts.is_empty() || record.table.is_some() {
        return text;
    }
    let head = ["part", "examples", "shape", "kind", "levels", "min", "max", "mean", "labels"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for part in &record.parts {
        let number = |value: Option<f64>| value.map_or_else(|| "–".into(), |v| format!("{v:.4}"));
        rows.push(vec![
            part.split.clone(),
            grouped(&part.examples.to_string()),
            human_shape(&part.shape),
            part.kind.to_owned(),
            levels_cell(part.levels),
            number(part.min),
            number(part.max),
            number(part.mean),
            if part.labelled { "yes" } else { "no" }.to_owned(),
        ]);
    }
    text.push_str(&columns(&rows));
    if let [Part { columns: Some(names), .. }] = &record.parts[..] {
        text.push_str(&format!("columns: {}\n", names.join(", ")));
    }
    text
}

/// What `data fetch` prints.
#[derive(Debug, Serialize)]
struct FetchRecord {
    version: u32,
    command: &'static str,
    name: &'static str,
    /// None for embedded data.
    folder: Option<String>,
    files: Vec<String>,
    /// How many of the files were downloaded now; the others were here and right.
    downloaded: usize,
    seconds: f64,
}

fn fetch_one(name: &str, session: &Session) -> Result<()> {
    let start = Instant::now();
    let builtin = builtin::find(name)?;
    let record = |files: Vec<PathBuf>, downloaded| FetchRecord {
        version: RECORD_VERSION,
        command: "data fetch",
        name: builtin.name,
        folder: files.first().and_then(|file| file.parent()).map(|dir| dir.display().to_string()),
        files: files.iter().map(|file| file.display().to_string()).collect(),
        downloaded,
        seconds: start.elapsed().as_secs_f64(),
    };
    // Files that are here, wherever that is, need no network, only a check.
    let record = if builtin.is_present(&session.locations) {
        let files = builtin.locate(&session.locations)?;
        session.terminal.detail("the files are here; checking them");
        builtin.verify(&session.locations)?;
        record(files, 0)
    } else {
        let Some(dir) = session.locations.dirs().first() else {
            return Err(Mistake::new(
                "there is no folder to put the files in: no user cache folder is known",
                "name one with --data-dir DIR or CHAINRULE_DATA",
            )
            .of(ErrorKind::Machine)
            .into());
        };
        let mut progress = Download { terminal: session.terminal, bar: ProgressBar::hidden() };
        let fetched = fetch(builtin.name, dir, &mut |event: &Event<'_>| progress.event(event));
        progress.bar.finish_and_clear();
        let fetched = fetched?;
        record(fetched.files, fetched.downloaded)
    };
    session.terminal.result(&record, || match &record.folder {
        None => format!("{name} is part of the program"),
        Some(folder) if record.downloaded == 0 => format!("{name} is here and right, in {folder}"),
        Some(folder) => format!(
            "{name}: {} files to {folder} in {}",
            record.downloaded,
            human_seconds(record.seconds)
        ),
    })
}

/// Shows a download.
struct Download {
    terminal: Terminal,
    bar: ProgressBar,
}

impl Download {
    fn event(&mut self, event: &Event<'_>) {
        let terminal = self.terminal;
        match event {
            Event::Started { file, url, done, total } => {
                self.bar.finish_and_clear();
                terminal.note(format!("fetching {file} from {url}"));
                let template = "{msg} {bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
                self.bar = terminal
                    .bar(total.unwrap_or(0), template)
                    .with_message((*file).to_owned())
                    .with_position(*done);
            }
            Event::Advanced { done, total } => {
                if let Some(total) = total {
                    self.bar.set_length(*total);
                }
                self.bar.set_position(*done);
            }
            Event::Checking { file } => self.bar.set_message(format!("checking {file}")),
            Event::Failed { url, why } => {
                self.bar.finish_and_clear();
                terminal.note(format!("{url}: {why}"));
            }
            Event::Present { path } => terminal.detail(format!("{} is here", path.display())),
            Event::Finished { path } => {
                self.bar.finish_and_clear();
                terminal.detail(format!("wrote {}", path.display()));
            }
            _ => {}
        }
    }
}

/// `data export`.
struct Export<'a> {
    source: &'a str,
    split: Option<Split>,
    out: &'a Path,
    count: Option<usize>,
    columns: Option<usize>,
    own_data: OwnData,
}

/// What `data export` prints.
#[derive(Debug, Serialize)]
struct ExportRecord {
    version: u32,
    command: &'static str,
    data: String,
    split: String,
    out: String,
    count: usize,
    seconds: f64,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

impl Export<'_> {
    fn run(&self, session: &Session) -> Result<()> {
        let start = Instant::now();
        let (data, split, inputs, accepted_changes, schema) = self.load(session)?;
        let format = Format::of(self.out, &data.event, self.columns)?;
        if !format.is_text() {
            out(self.out).refuse_terminal()?;
        }
        check(&[out(self.out)], &inputs)?;
        let count = self.count.unwrap_or(data.len()).min(data.len());
        let rows = read_rows(&data, 0, &(0..count).collect::<Vec<_>>());
        let names = data.columns.as_deref();
        let events =
            Events { values: rows.values(), event: &data.event, names, schema: schema.as_ref() };
        events.write(self.out, format, self.columns)?;
        let record = ExportRecord {
            version: RECORD_VERSION,
            command: "data export",
            accepted_changes,
            data: data.name,
            split,
            out: self.out.display().to_string(),
            count,
            seconds: start.elapsed().as_secs_f64(),
        };
        session.terminal.beside(Some(self.out)).result(&record, || {
            format!(
                "{} {} examples of {} to {}",
                record.count, record.split, record.data, record.out
            )
        })
    }

    /// The split as a config's model sees it, or of a SPEC as it is; what was read for it; and how that has
    /// changed since a run was trained with it, where that was accepted.
    fn load(&self, session: &Session) -> Result<Loaded> {
        let path = Path::new(self.source);
        let split = self.split.unwrap_or(Split::Test);
        let locations = &session.locations;
        let mut inputs = Inputs::default();
        let config = if path.join("config.toml").is_file() {
            let run = RunDir::open(path)?;
            let config = self.own_data.accepted(run.load_config()?);
            inputs.run(&run, &config, locations);
            Some(config)
        } else if path.extension().is_some_and(|end| end == "toml") {
            let config = Config::load(path, &[])?;
            inputs.config(&config, locations);
            Some(config)
        } else {
            None
        };
        if let Some(config) = config {
            let data = load_split(&config, split, session.reader())?;
            let data = prepare(data, config.data.preprocessing, split, None)?;
            let changes = config.data.expected.accepted();
            let schema = config.data.schema;
            return Ok((data, split.to_string(), inputs, changes, schema));
        }
        let spec: Spec = self.source.parse()?;
        let is_path = matches!(spec, Spec::Path(_));
        if is_path && let Some(split) = self.split {
            return Err(mistake(
                format!("--split {split} with {}: a path has no splits", self.source),
                "remove --split, or name a config, a run or a built-in dataset",
            ));
        }
        let data = spec.load_split(split, &ReadOptions::default(), locations)?;
        let split_name = if is_path { "all".to_owned() } else { split.to_string() };
        let data = prepare(data, Preprocessing::default(), split, None)?;
        let inputs = inputs.and_spec(Some(self.source), locations);
        Ok((data, split_name, inputs, Vec::new(), None))
    }
}
