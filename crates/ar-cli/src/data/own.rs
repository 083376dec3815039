//! The splits of a config: what is trained on, and read again later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::{
    Dataset, Locations, ReadOptions, Reading, Schema, Split, Splits, builtin, holds_table, read_as,
    read_labels, read_path,
};

use super::table::{Columns, say_bad_rows};
use crate::config::{Config, DataConfig, DataSource, Paths, holds_out};
use crate::error::{ErrorKind, Internal, Mistake};
use crate::output::Terminal;
use crate::seal::Rows;

/// What a run is trained on.
pub(crate) struct Trained {
    /// The splits, before preprocessing.
    pub(crate) splits: Splits,
    /// What the files of the user's hold, by split.
    pub(crate) rows: BTreeMap<String, Rows>,
    /// What the columns are, of a table.
    pub(crate) schema: Option<Schema>,
}

/// Where data is looked for, and where what is to be said about it is said.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) locations: &'a Locations,
    pub(crate) terminal: &'a Terminal,
}

/// All splits of a config, before preprocessing.
///
/// # Errors
/// When a file is missing or malformed, or is not what the run was trained with.
fn load_splits(config: &Config, reader: Reader<'_>) -> Result<Splits> {
    let data = &config.data;
    let (splits, _) = read_splits(config, None, reader)?;
    if data.expected.is_known() {
        check_splits(data, &splits)?;
    }
    divide(splits, data)
}

/// All splits of a config as they are trained on, before preprocessing, and what the files of the user's
/// hold, by split. Of the training file no more is read than is learned from: levels that nobody stated
/// are those of what was read.
///
/// # Errors
/// When a file is missing or malformed, or is not what the run was trained with.
pub(crate) fn load_to_train(config: &Config, reader: Reader<'_>) -> Result<Trained> {
    let data = &config.data;
    let (splits, schema) = read_splits(config, first_rows(data), reader)?;
    let rows = check_splits(data, &splits)?;
    Ok(Trained { splits: divide(splits, data)?, rows, schema })
}

/// How many rows of the training file are learned from, if they are its first ones: those of a fold are
/// spread over all files, and those of a class over the training file.
fn first_rows(data: &DataConfig) -> Option<usize> {
    let whole = data.folds.is_some() || data.class.is_some();
    data.preprocessing.train_examples.filter(|_| !whole)
}

/// The parts as the files have them, with at most `rows` of the training file, and what the columns are of
/// a table.
fn read_splits(
    config: &Config,
    rows: Option<usize>,
    reader: Reader<'_>,
) -> Result<(Splits, Option<Schema>)> {
    let data = &config.data;
    let (train, valid, test) = match &data.source {
        DataSource::Builtin(name) => return Ok((builtin::load(name, reader.locations)?, None)),
        DataSource::Files { train, valid, test, .. } => (train, valid.as_ref(), test.as_ref()),
    };
    if !holds_table(train.first())? {
        let part = |paths: &Paths, split, rows| read_arrays(paths, split, data, rows);
        let splits = Splits::unify(
            part(train, Split::Train, rows)?,
            valid.map(|paths| part(paths, Split::Valid, None)).transpose()?,
            test.map(|paths| part(paths, Split::Test, None)).transpose()?,
        )?;
        return Ok((splits, None));
    }
    let (first, columns) = match &data.schema {
        Some(schema) => (None, Columns::known(schema.clone(), data)),
        None => {
            let (table, columns) = Columns::decide(config, train.first(), rows, reader.terminal)?;
            (Some(table), columns)
        }
    };
    let part = |paths: &[std::path::PathBuf], split, rows| {
        let reading = columns.reading(data, rows)?;
        let part = read_columns(paths, split, data, &reading, reader.terminal)?;
        columns.tightened(part)
    };
    let train = match first {
        None => part(train.all(), Split::Train, rows)?,
        Some(table) => {
            let name = table.path().to_owned();
            let (first, bad) = table.dataset(&columns.schema, columns.encoding)?;
            let all = first.len() + bad.len();
            say_bad_rows(&name, &bad, all, data.table.skips_bad_rows, reader.terminal)?;
            let first = with_labels(shaped(first, data, &name)?, data, Split::Train)?;
            match train.all() {
                [_] => first,
                [_, more @ ..] => {
                    Dataset::concatenate(vec![first, part(more, Split::Train, None)?])?
                }
                [] => return Err(Internal("no training file").into()),
            }
        }
    };
    let others = |paths: Option<&Paths>, split| {
        paths.map(|paths| part(paths.all(), split, None)).transpose()
    };
    let splits = Splits::unify(train, others(valid, Split::Valid)?, others(test, Split::Test)?)?;
    Ok((splits, Some(columns.schema)))
}

/// Events of the shape that the config states.
fn shaped(data: Dataset, config: &DataConfig, path: &Path) -> Result<Dataset> {
    match &config.source {
        DataSource::Files { shape: Some(shape), .. } => {
            let name = data.name().to_owned();
            // The name alone would not tell which of two files of one name is meant.
            let data = data.with_name(path.display().to_string()).with_shape(shape)?;
            Ok(data.with_name(name))
        }
        _ => Ok(data),
    }
}

/// Images of one or several files.
fn read_arrays(
    paths: &Paths,
    split: Split,
    data: &DataConfig,
    rows: Option<usize>,
) -> Result<Dataset> {
    let options = ReadOptions { rows, ..data.read_options() };
    let parts = paths.all().iter().map(|path| read_path(path, &options));
    let parts = parts.collect::<ar_data::Result<Vec<_>>>()?;
    with_labels(Dataset::concatenate(parts)?, data, split)
}

/// Rows of one or several tables, by their columns.
fn read_columns(
    paths: &[std::path::PathBuf],
    split: Split,
    data: &DataConfig,
    reading: &Reading,
    terminal: &Terminal,
) -> Result<Dataset> {
    let mut parts = Vec::new();
    for path in paths {
        let (part, bad, remarks) = read_as(path, reading)?;
        for remark in remarks {
            terminal.note(format!("{}: {remark}", path.display()));
        }
        say_bad_rows(path, &bad, part.len() + bad.len(), data.table.skips_bad_rows, terminal)?;
        parts.push(part);
    }
    with_labels(Dataset::concatenate(parts)?, data, split)
}

/// The labels of the file that the config names beside a split's, counted as it names the classes.
fn with_labels(part: Dataset, data: &DataConfig, split: Split) -> Result<Dataset> {
    let [train, valid, test] = &data.table.labels;
    let path = match split {
        Split::Train => train,
        Split::Valid => valid,
        Split::Test => test,
    };
    let part = match path {
        None => part,
        Some(path) => {
            let mut labels = read_labels(path)?;
            if data.preprocessing.train_examples.is_some() && split == Split::Train {
                labels.truncate(part.len());
            }
            let beside = || format!("{} beside the {split} file", path.display());
            part.with_labels(labels).with_context(beside)?
        }
    };
    let Some(classes) = &data.classes else { return Ok(part) };
    let part = part.labelled_as(classes)?;
    let most = part.labels().and_then(|labels| labels.iter().max().copied());
    match most.filter(|&most| usize::from(most) >= classes.len()) {
        None => Ok(part),
        Some(most) => Err(Mistake::new(
            format!(
                "data.classes names {} classes, and {} has the label {most}",
                classes.len(),
                part.name()
            ),
            format!("name the classes of the labels 0 to {most}, or remove data.classes"),
        )
        .of(ErrorKind::Data)
        .into()),
    }
}

/// What the files of the user's hold. (Those of built-in datasets are checked where they are read.)
fn check_splits(data: &DataConfig, splits: &Splits) -> Result<BTreeMap<String, Rows>> {
    let mut rows = BTreeMap::new();
    for split in Split::ALL {
        let (Some(part), Some(path)) = (splits.get(split), path_of(data, split)) else { continue };
        rows.insert(split.to_string(), check_rows(data, part, path, split)?);
    }
    Ok(rows)
}

fn check_rows(data: &DataConfig, part: &Dataset, path: &Path, split: Split) -> Result<Rows> {
    let folds = data.folds.map(|folds| folds.count);
    match first_rows(data).filter(|&rows| split == Split::Train && rows < part.len()) {
        // What comes after what was learned from is nothing to the run.
        Some(rows) => data.expected.check(&part.rows(0..rows)?, path, split, folds),
        None => data.expected.check(part, path, split, folds),
    }
}

/// The file of the user's that a split is read from.
fn path_of(data: &DataConfig, split: Split) -> Option<&Path> {
    let DataSource::Files { train, valid, test, .. } = &data.source else { return None };
    match split {
        Split::Train => Some(train.first()),
        Split::Valid => valid.as_ref().map(Paths::first),
        Split::Test => test.as_ref().map(Paths::first),
    }
}

/// The parts as the config wants them: a fold of all rows, those of one class.
fn divide(splits: Splits, data: &DataConfig) -> Result<Splits> {
    let splits = match data.folds {
        Some(folds) => folds.split(&splits.join())?,
        None => splits,
    };
    let of_class = |part, split| of_class(part, data, split);
    Ok(Splits {
        train: of_class(splits.train, Split::Train)?,
        valid: splits.valid.map(|part| of_class(part, Split::Valid)).transpose()?,
        test: splits.test.map(|part| of_class(part, Split::Test)).transpose()?,
    })
}

/// The examples of a split that the config's `data.class` names. Of files without labels it says what
/// all their examples are.
fn of_class(part: Dataset, data: &DataConfig, split: Split) -> Result<Dataset> {
    let Some(class) = data.class else { return Ok(part) };
    let Some(labels) = part.labels() else {
        if let DataSource::Builtin(name) = data.source {
            return Err(Mistake::new(
                format!("data.class = {class}: {name} has no labels"),
                "remove data.class, or choose data with labels; `chainrule data info SPEC` shows \
                 whether it has them",
            )
            .of(ErrorKind::Data)
            .into());
        }
        let labels = vec![class; part.len()];
        return Ok(part.with_labels(labels)?);
    };
    let rows: Vec<usize> = (0..part.len()).filter(|&row| labels[row] == class).collect();
    if rows.is_empty() {
        let known: BTreeSet<u8> = labels.iter().copied().collect();
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        return Err(Mistake::new(
            format!(
                "data.class = {class}: {} has no such example in its {split} split, expected one of \
                 the labels {}",
                part.name(),
                known.join(", ")
            ),
            "set data.class to one of them",
        )
        .of(ErrorKind::Data)
        .into());
    }
    Ok(part.subset(&rows)?)
}

/// What else to do about a split of a run's own data that is asked for with `--split` and not there.
pub(crate) const OTHER_ROWS: &str = "name a file with --data FILE, or choose another --split";

/// Refuses to go on where a config's data has no such split. `asked` names who asks for it, and `instead` what
/// else that could be told.
///
/// # Errors
/// When there is none.
pub(crate) fn require_split(
    data: &DataConfig,
    split: Split,
    asked: &str,
    instead: &str,
) -> Result<()> {
    if data.has(split) {
        return Ok(());
    }
    let there = Split::ALL.into_iter().filter(|&split| data.has(split));
    let there: Vec<String> = there.map(|split| split.to_string()).collect();
    Err(Mistake::new(
        format!(
            "{asked}: the data ({}) has no {split} split, only {}",
            data.label(),
            there.join(" and ")
        ),
        format!("{instead}; or train with {}", holds_out(split)),
    )
    .of(ErrorKind::Data)
    .into())
}

/// One split of a config, before preprocessing.
///
/// # Errors
/// When there is no such split, or its file is missing or malformed.
pub(crate) fn load_split(config: &Config, split: Split, reader: Reader<'_>) -> Result<Dataset> {
    let data = &config.data;
    require_split(data, split, &format!("--split {split}"), "choose another --split")?;
    if data.folds.is_some() {
        return Ok(load_splits(config, reader)?.take(split)?);
    }
    let paths = match &data.source {
        DataSource::Builtin(_) => {
            let part = builtin::load_split(&data.label(), split, reader.locations)?;
            return of_class(part, data, split);
        }
        // What nobody stated is that of all files together.
        DataSource::Files { shape: None, .. }
        | DataSource::Files { kind: None, levels: None, .. } => {
            return Ok(load_splits(config, reader)?.take(split)?);
        }
        DataSource::Files { train, valid, test, .. } => match split {
            Split::Train => Some(train),
            Split::Valid => valid.as_ref(),
            Split::Test => test.as_ref(),
        },
    };
    let paths = paths.context(Internal("a split that is there has no file"))?;
    let part = if holds_table(paths.first())? {
        let variables = config.event_of_run()?.variables();
        let columns = Columns::known(data.schema_of(variables), data);
        read_columns(paths.all(), split, data, &columns.reading(data, None)?, reader.terminal)?
    } else {
        read_arrays(paths, split, data, None)?
    };
    if data.expected.is_known() {
        check_rows(data, &part, paths.first(), split)?;
    }
    of_class(part, data, split)
}

/// One split of a config, before preprocessing; of `classes` alone, if there are any.
///
/// # Errors
/// As for [`load_split`].
pub(crate) fn load_classes(
    config: &Config,
    split: Split,
    classes: Option<&[u8]>,
    reader: Reader<'_>,
) -> Result<Dataset> {
    let part = load_split(config, split, reader)?;
    let (Some(classes), Some(labels)) = (classes, part.labels()) else { return Ok(part) };
    let rows: Vec<usize> = (0..part.len()).filter(|&row| classes.contains(&labels[row])).collect();
    Ok(part.subset(&rows)?)
}
