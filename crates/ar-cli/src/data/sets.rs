//! Sets that may be longer than memory, as a model sees them, a part at a time.
//!
//! A built-in dataset is small and one part; a file of the user's is streamed.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
#[cfg(feature = "serve")]
use ar_data::write::Cell;
use ar_data::{
    BadRow, Chunk, Chunks, Column, Dataset, Encoding, Kind, Locations, Match, ReadOptions, Reading,
    Spec, Split, TableOptions, read_as, read_labels, scan_levels,
};
use ar_models::config::EventSpec;
use ar_models::examples::Examples as _;
use indicatif::ProgressBar;

use super::own::Reader;
use super::pattern::matching;
use super::{
    OTHER_ROWS, Prepared, levels_and_preprocessing, load_split, prepare, require_split,
    say_bad_rows,
};
use crate::args::{FileArgs, Shard};
use crate::config::{Config, DataSource, Preprocessing};
use crate::error::{ErrorKind, Internal, Mistake, mistake};
use crate::host::{self, Progress};
use crate::output::Terminal;

/// A set of a run's kind of events.
pub(crate) struct Set {
    /// What records call it.
    pub(crate) name: String,
    /// None for a file, which has no splits.
    pub(crate) split: Option<Split>,
    source: Source,
    /// Files that go on where this one ends.
    more: VecDeque<Set>,
    /// Rows of the files before this one, and those that were read of it.
    before: u64,
    read: u64,
}

enum Source {
    /// In memory; `None` once it has been given out.
    Whole { data: Option<Box<Prepared>>, len: usize },
    /// From a file; which of its blocks of rows, and the next one's number; how it is read, what is done to its values, and
    /// the names of the run's classes.
    File {
        chunks: Box<Chunks>,
        shard: Option<(Shard, u64)>,
        path: PathBuf,
        reading: Box<Reading>,
        how: Preprocessing,
        classes: Option<Vec<String>>,
    },
}

/// Some rows of a set.
pub(crate) struct Part {
    /// The rows that could be read.
    pub(crate) examples: Prepared,
    /// The others.
    pub(crate) bad: Vec<BadRow>,
    /// All of them, numbered in the set.
    pub(crate) rows: Range<u64>,
    /// By variable the labels that training never saw, where they are told apart.
    pub(crate) others: Vec<Vec<Option<String>>>,
}

/// What finds sets for a run.
#[derive(Clone, Copy)]
pub(crate) struct Finder<'a> {
    pub(crate) config: &'a Config,
    pub(crate) locations: &'a Locations,
    pub(crate) terminal: &'a Terminal,
    /// Level count of values in files, where the user states it.
    pub(crate) levels: Option<u16>,
    /// Which columns of a file are meant.
    pub(crate) file: &'a FileArgs,
    /// Whether classes are read.
    pub(crate) with_labels: bool,
    /// Whether labels of a file that training never saw are told apart, as [`Encoding::Cells`] does.
    pub(crate) cells: bool,
}

/// Values read at a time, and rows at most: 2,000 are as many as are evaluated at a time.
const VALUES: usize = 1 << 23;
const ROWS: usize = 2000;

impl<'a> Finder<'a> {
    /// Of data without labels, whose files are read by the run's own levels.
    pub(crate) fn new(config: &'a Config, reader: Reader<'a>, file: &'a FileArgs) -> Self {
        let Reader { terminal, locations } = reader;
        let (levels, with_labels, cells) = (None, false, false);
        Self { config, locations, terminal, levels, file, with_labels, cells }
    }

    /// A split of the run's own data.
    ///
    /// # Errors
    /// When there is none, or a file is missing or malformed.
    pub(crate) fn own(&self, split: Split) -> Result<Set> {
        require_split(&self.config.data, split, &format!("--split {split}"), OTHER_ROWS)?;
        self.load(split)
    }

    fn load(&self, split: Split) -> Result<Set> {
        let reader = Reader { locations: self.locations, terminal: self.terminal };
        let data = load_split(self.config, split, reader)?;
        let prepared = prepare(data, self.config.data.preprocessing, split, None)?;
        Ok(Set::whole(self.config.data.label(), split, prepared))
    }

    /// What an option such as `--calibrate` names: a split of the run's own data, the `split` of a built-in
    /// dataset, or a file.
    ///
    /// # Errors
    /// When there is none, or it does not suit the run.
    pub(crate) fn named(&self, option: &str, text: &str, split: Split) -> Result<Set> {
        let Ok(own) = text.parse() else { return self.spec(text, split) };
        let instead = format!("name a file of such rows with {option} FILE");
        require_split(&self.config.data, own, &format!("{option} {own}"), &instead)?;
        self.load(own)
    }

    /// The `split` of a built-in dataset, or a file.
    ///
    /// # Errors
    /// When there is none, or it does not suit the run.
    pub(crate) fn spec(&self, text: &str, split: Split) -> Result<Set> {
        let event = self.config.event_of_run()?;
        match text.parse::<Spec>()? {
            Spec::Builtin(builtin) => {
                let data = self.builtin(builtin.name, split, &event)?;
                Ok(Set::whole(builtin.name.to_owned(), split, data))
            }
            Spec::Path(path) => self.file(&path, &event),
        }
    }

    /// The `split` of a built-in dataset, preprocessed like the run's own data.
    fn builtin(&self, name: &str, split: Split, event: &EventSpec) -> Result<Prepared> {
        let spec: Spec = name.parse()?;
        let mut data = spec.load_split(split, &ReadOptions::default(), self.locations)?;
        let how = self.config.data.preprocessing;
        if data.shape() != event.shape && data.event_len() == event.variables() {
            data = data.with_shape(&event.shape)?;
        }
        let expected = format!("{:?} as in the run", event.shape);
        if data.shape() != event.shape {
            return Err(Mistake::new(
                format!("{name}: events of shape {:?}, expected {expected}", data.shape()),
                "choose data of the run's shape; `chainrule data info SPEC` shows it",
            )
            .of(ErrorKind::Data)
            .into());
        }
        let prepared = prepare(data, how, split, None)
            .with_context(|| format!("{name} does not suit the run"))?;
        if prepared.event.levels == event.levels {
            return Ok(prepared);
        }
        Err(Mistake::new(
            format!(
                "{name}: {}, expected {} as in the run",
                prepared.event.values(),
                event.values()
            ),
            "choose data with the run's levels; `chainrule data info SPEC` shows them",
        )
        .of(ErrorKind::Data)
        .into())
    }

    /// The same; of a pattern such as `part-*.parquet` the files that it matches, one after the other.
    ///
    /// # Errors
    /// When there is none, or one does not suit the run.
    pub(crate) fn several(&self, text: &str, split: Split) -> Result<Set> {
        let Some(paths) = matching(Path::new(text)) else { return self.spec(text, split) };
        let event = self.config.event_of_run()?;
        let files = paths.iter().map(|path| self.file(path, &event));
        let mut files: VecDeque<Set> = files.collect::<Result<_>>()?;
        let Some(first) = files.pop_front() else {
            return Err(Mistake::new(
                format!("{text}: no file of such a name"),
                "`*` stands for any characters of a name, such as 'part-*.parquet'",
            )
            .of(ErrorKind::Data)
            .into());
        };
        let path = Path::new(text);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Set { name, more: files, ..first })
    }

    /// A file of the run's events.
    ///
    /// # Errors
    /// When it is not there, malformed, or does not suit the run.
    pub(crate) fn file(&self, path: &Path, event: &EventSpec) -> Result<Set> {
        self.opened(path, event, |reading, rows| Ok(Chunks::open_as(path, reading, rows)?))
    }

    /// A text in memory, as if it were the file `path`.
    ///
    /// # Errors
    /// When it is malformed, or does not suit the run.
    #[cfg(feature = "serve")]
    pub(crate) fn text(&self, path: &Path, text: Vec<u8>) -> Result<Set> {
        let event = self.config.event_of_run()?;
        self.opened(path, &event, |reading, rows| Ok(Chunks::of_text(path, text, reading, rows)?))
    }

    /// Rows in memory, `[n, names]`, or `[n, variables]` without names; errors call them `path`.
    ///
    /// # Errors
    /// When they do not suit the run.
    #[cfg(feature = "serve")]
    pub(crate) fn rows(
        &self,
        path: &Path,
        names: Option<Vec<String>>,
        cells: Vec<Cell>,
    ) -> Result<Set> {
        let event = self.config.event_of_run()?;
        self.opened(path, &event, |reading, rows| {
            Ok(Chunks::of_rows(path, names, cells, reading, rows)?)
        })
    }

    fn opened(
        &self,
        path: &Path,
        event: &EventSpec,
        open: impl FnOnce(&Reading, usize) -> Result<Chunks>,
    ) -> Result<Set> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let data = &self.config.data;
        let how = data.preprocessing;
        // Flips and fewer examples are for training.
        let Preprocessing { flip, train_examples, .. } = how;
        let does_nothing = how == Preprocessing { flip, train_examples, ..Default::default() };
        let reading = |kind, levels: Option<u16>| {
            let encoding = match (kind, levels) {
                (Kind::Real, _) => Encoding::Reals,
                (Kind::Columns, _) if self.cells => Encoding::Cells,
                (Kind::Columns, _) => Encoding::Columns,
                (Kind::Binary, _) => Encoding::Symbols { levels: 2 },
                (Kind::Symbols, levels) => Encoding::Symbols { levels: levels.unwrap_or(256) },
            };
            Reading { is_binary: kind == Kind::Binary, ..self.reading(path, event, encoding) }
        };
        let raw_levels = data.raw_levels();
        let (kind, levels, how) = match (raw_levels, self.levels) {
            (None, None) if data.is_of_columns() => (Kind::Columns, None, how),
            (None, None) => (Kind::Real, None, how),
            (None, Some(levels)) => {
                return Err(mistake(
                    format!("--levels {levels} for a run of real numbers, which have none"),
                    "remove --levels",
                ));
            }
            // Black and white images are bits too.
            (Some(2), None) if does_nothing => (Kind::Binary, None, how),
            (Some(raw_levels), None) if does_nothing => (Kind::Symbols, Some(raw_levels), how),
            (Some(_), Some(levels)) => {
                let (levels, how) = levels_and_preprocessing(levels, levels, how);
                (Kind::Symbols, Some(levels), how)
            }
            (Some(raw_levels), None) => {
                let found = self.levels_in(path, &reading(Kind::Symbols, None), raw_levels)?;
                let (levels, how) = levels_and_preprocessing(found, raw_levels, how);
                (Kind::Symbols, Some(levels), how)
            }
        };
        let reading = Box::new(reading(kind, levels));
        let rows_per_chunk = (VALUES / event.variables()).clamp(1, ROWS);
        let chunks = Box::new(open(&reading, rows_per_chunk)?);
        for remark in chunks.remarks() {
            self.terminal.note(format!("{name}: {remark}"));
        }
        let levels = chunks.levels();
        let after = how.levels(levels);
        if after != event.levels {
            let after = EventSpec { levels: after, ..event.clone() };
            return Err(Mistake::new(
                format!("{name}: {}, expected {} as in the run", after.values(), event.values()),
                "choose data with the run's levels, or state those of the file with --levels",
            )
            .of(ErrorKind::Data)
            .in_file(path)
            .into());
        }
        if let (false, Some(levels)) = (does_nothing, levels) {
            let done = match how {
                _ if after == Some(levels.into()) => "taken as they are",
                Preprocessing { requantize: Some(_), .. } => "requantized as in the run",
                Preprocessing { dequantize: Some(_), .. } => "given noise as in the run",
                _ => "made bits as in the run",
            };
            self.terminal.note(format!("{name}: values of {levels} levels, {done}"));
        }
        let path = path.to_owned();
        let classes = data.classes.clone().filter(|_| self.with_labels);
        Ok(Set {
            name,
            split: None,
            source: Source::File { chunks, shard: None, path, reading, how, classes },
            more: VecDeque::new(),
            before: 0,
            read: 0,
        })
    }

    /// How a file is read for the run.
    pub(super) fn reading(&self, path: &Path, event: &EventSpec, encoding: Encoding) -> Reading {
        let data = &self.config.data;
        let FileArgs { drop, label, strict, key } = self.file.clone();
        Reading {
            schema: data.schema_of(event.variables()),
            encoding,
            shape: event.shape.clone(),
            is_binary: false,
            how: Match { drop, label, with_labels: self.with_labels, strict },
            table: TableOptions {
                header: data.table.header.filter(|_| is_own_format(data, path)),
                key: key.or_else(|| data.table.key.clone().filter(|_| is_npz(path))),
                ..TableOptions::default()
            },
        }
    }

    /// Level count that a file's values ask for: what its format says, or its values do, of those rows that have
    /// at most so many.
    fn levels_in(&self, path: &Path, reading: &Reading, most: u16) -> Result<u16> {
        if path == Path::new("-") {
            // What is looked at there cannot be read again: it is what the run's own data is.
            return Ok(most);
        }
        if let Some(levels) = Chunks::open_as(path, reading, 1)?.levels_of_format() {
            return Ok(levels);
        }
        let bar = self.terminal.share_bar("looking at the values");
        let levels = scan_levels(path, reading, most, |progress| show(&bar, progress));
        bar.finish_and_clear();
        // A row with more levels is a bad one, and decides nothing.
        Ok(levels?.unwrap_or(2))
    }
}

fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"))
}

/// Whether a file is of the kind that the training file is of, so that what is stated of that holds for it.
fn is_own_format(data: &crate::config::DataConfig, path: &Path) -> bool {
    match &data.source {
        DataSource::Files { train, .. } => train.first().extension() == path.extension(),
        DataSource::Builtin(_) => false,
    }
}

impl Set {
    fn whole(name: String, split: Split, data: Prepared) -> Self {
        let len = data.len();
        let source = Source::Whole { data: Some(Box::new(data)), len };
        Self { name, split: Some(split), source, more: VecDeque::new(), before: 0, read: 0 }
    }

    /// All of it in memory; rows that cannot be read are left out or the end, as `skips` says.
    ///
    /// # Errors
    /// When the file is malformed or too long, or such a row is the end.
    pub(crate) fn into_whole(self, skips: bool, terminal: &Terminal) -> Result<Prepared> {
        match self.source {
            Source::Whole { data: Some(data), .. } => Ok(*data),
            Source::Whole { data: None, .. } => Err(Internal("a set was given out before").into()),
            Source::File { chunks, path, reading, how, classes, .. } => {
                // What was read of a stream to find out how it is written cannot be read again.
                let (data, bad) = if chunks.is_table() {
                    chunks.into_whole(&path)?
                } else {
                    drop(chunks);
                    let (data, bad, _) = read_as(&path, &reading)?;
                    (labelled(data, &path, &reading)?, bad)
                };
                say_bad_rows(&path, &bad, data.len() + bad.len(), skips, terminal)?;
                let data = match classes {
                    Some(classes) => data.labelled_as(&classes)?,
                    // Which of the run's classes a folder's name is, nothing says.
                    None if data.classes().is_some() => data.without_labels(),
                    None => data,
                };
                prepare(data, how, Split::Test, None)
                    .with_context(|| format!("{} does not suit the run", self.name))
            }
        }
    }

    /// `train`, `valid`, `test`, or `all` for a file.
    pub(crate) fn split_name(&self) -> String {
        self.split.map_or_else(|| "all".to_owned(), |split| split.to_string())
    }

    /// A bar for the whole of the set.
    pub(crate) fn bar(&self, terminal: &Terminal, what: String) -> ProgressBar {
        match self.source {
            Source::Whole { len, .. } => terminal.examples_bar(len, what),
            Source::File { .. } => terminal.share_bar(what),
        }
    }

    /// Whether there is more than one part.
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self.source, Source::File { .. })
    }

    /// The part of it that one of several processes is to work on.
    ///
    /// # Errors
    /// When it is no file, whose rows come a block at a time.
    pub(crate) fn only(mut self, shard: Option<Shard>) -> Result<Self> {
        match (&mut self.source, shard) {
            (Source::File { shard, .. }, Some(asked)) => *shard = Some((asked, 0)),
            (_, None) => {}
            (Source::Whole { .. }, Some(shard)) => {
                return Err(mistake(
                    format!("--shard {shard} with {}, which is no file", self.name),
                    "leave --shard out: a built-in dataset is small; or name a file with --data",
                ));
            }
        }
        Ok(self)
    }

    /// Whether others work on it too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.source, Source::File { shard: Some(_), .. })
    }

    /// Shows how much of a file has been read; of a set in memory, `done` rows are.
    pub(crate) fn advance(&mut self, bar: &ProgressBar, done: usize) {
        host::tell(Progress::Pulse);
        match &mut self.source {
            Source::Whole { .. } => bar.set_position(done as u64),
            Source::File { chunks, .. } => show(bar, chunks.progress()),
        }
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// When the file as a whole is malformed, or its values do not suit the run.
    pub(crate) fn next(&mut self) -> Result<Option<Part>> {
        loop {
            match &mut self.source {
                Source::Whole { data, len } => {
                    return Ok(data.take().map(|examples| Part {
                        examples: *examples,
                        bad: Vec::new(),
                        rows: 0..*len as u64,
                        others: Vec::new(),
                    }));
                }
                Source::File { chunks, shard, how, .. } => {
                    while let Some(chunk) = chunks.next() {
                        let Chunk { data, bad, rows } = chunk?;
                        self.read = rows.end;
                        if let Some((shard, block)) = shard {
                            *block += 1;
                            if !shard.has(*block - 1) {
                                continue;
                            }
                        }
                        // The split that `eval --data PATH` binarizes as.
                        let examples = prepare(data, *how, Split::Test, None)
                            .with_context(|| format!("{} does not suit the run", self.name))?;
                        let before = self.before;
                        let bad =
                            bad.into_iter().map(|bad| BadRow { row: bad.row + before, ..bad });
                        return Ok(Some(Part {
                            examples,
                            bad: bad.collect(),
                            rows: rows.start + before..rows.end + before,
                            others: chunks.take_others(),
                        }));
                    }
                }
            }
            let Some(next) = self.more.pop_front() else { return Ok(None) };
            self.go_on_with(next);
        }
    }

    /// Goes on with another file, in which rows and blocks count on.
    fn go_on_with(&mut self, mut next: Self) {
        if let (Source::File { shard: old, .. }, Source::File { shard, .. }) =
            (&self.source, &mut next.source)
        {
            *shard = *old;
        }
        self.before += std::mem::take(&mut self.read);
        self.source = next.source;
    }
}

/// Images with the labels of a file that `--label` names.
fn labelled(data: Dataset, path: &Path, reading: &Reading) -> Result<Dataset> {
    let Some(label) = &reading.how.label else { return Ok(data) };
    let Column::Name(file) = label else {
        return Err(mistake(
            format!("--label with {}, which is no table", path.display()),
            "name the file of its labels: IDX or .npy of one axis",
        ));
    };
    let labels = read_labels(Path::new(file))
        .with_context(|| format!("--label {file} beside {}", path.display()))?;
    Ok(data.with_labels(labels)?)
}

fn show(bar: &ProgressBar, (done, total): (u64, u64)) {
    bar.set_length(total);
    bar.set_position(done);
}

/// The error about a set in which nothing could be read.
pub(crate) fn nothing_read(name: &str, rows: u64, first: &str) -> anyhow::Error {
    Mistake::new(
        format!("{name}: none of {rows} rows suits the run; the first: {first}"),
        "`chainrule data info SPEC` shows what a file holds, `chainrule inspect RUN` what the run takes",
    )
    .of(ErrorKind::Data)
    .into()
}
