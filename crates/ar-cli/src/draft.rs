//! A config for a file that has none: what is in it, how its rows are divided, and the model that suits.
//!
//! | what is in the file | model |
//! |---|---|
//! | numbers, none of them missing, categories that are numbers among them | `rnade` |
//! | any other table | `nade` of its columns, each by its type |
//! | images | `nade` of their bits |
//!
//! Columns that count the rows, name them or repeat another are left out; and under a model of one kind of values
//! those of other kinds, and those of one value.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use ar_data::{
    Column, Profile, ReadOptions, Table, TableOptions, Type, Variable, Warning, holds_table,
    read_path,
};
use ar_models::config::ModelConfig;
use ar_models::window::MAX_ROWS;

use crate::error::{ErrorKind, Mistake, mistake, nearest};

/// What the user says beside the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    /// The column of classes.
    pub(crate) label: Option<&'a Column>,
    /// Columns to leave out.
    pub(crate) drop: &'a [Column],
    /// The kind of the model.
    pub(crate) model: Option<&'a str>,
    /// The array of a `.npz`.
    pub(crate) key: Option<&'a str>,
}

/// A config as text, with comments, and what a user should be told who does not read them.
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) notes: Vec<String>,
    /// What looks wrong with the columns that stay, which training says too.
    pub(crate) warnings: Vec<String>,
}

/// Steps that training takes at most, and epochs.
const STEPS: usize = 20_000;
const EPOCHS: usize = 200;
const BATCH: usize = 100;

/// Rows with another value than all others up to which a column is as good as constant.
const RARE: u64 = 5;

/// Rows from which on a tenth of them validates and another tests.
const DIVISIBLE: usize = 10;

/// The config of a file.
///
/// # Errors
/// When the file cannot be read, or no model of today describes what is in it.
pub(crate) fn draft(path: &Path, wishes: Wishes<'_>) -> Result<Draft> {
    if let Some(kind) = wishes.model
        && !ModelConfig::KINDS.contains(&kind)
    {
        let hint = nearest(kind, ModelConfig::KINDS.iter().copied());
        return Err(mistake(
            format!("--model {kind}: expected one of {}", ModelConfig::KINDS.join(", ")),
            hint.map_or_else(
                || "leave --model out".to_owned(),
                |near| format!("did you mean {near}?"),
            ),
        ));
    }
    if holds_table(path)? { of_table(path, wishes) } else { of_images(path, wishes) }
}

/// A column that is left out, and why.
struct LeftOut<'a> {
    variable: &'a Variable,
    why: String,
}

fn of_table(path: &Path, wishes: Wishes<'_>) -> Result<Draft> {
    let options = TableOptions {
        label: wishes.label.cloned(),
        drop: wishes.drop.to_vec(),
        key: wishes.key.map(str::to_owned),
        ..TableOptions::default()
    };
    let table = Table::read(path, &options)?;
    let schema = table.infer(None)?;
    let profiles = table.profile(&schema);
    let kind = wishes.model.unwrap_or("nade");
    let (mut left_out, mut stays) = (Vec::new(), Vec::new());
    for (variable, profile) in schema.variables.iter().zip(&profiles) {
        match reason(kind, (variable, profile), table.len() as u64) {
            Some(why) => left_out.push(LeftOut { variable, why }),
            None => stays.push((variable, profile)),
        }
    }
    if stays.is_empty() {
        let why = left_out
            .iter()
            .map(|left_out| format!("{}: {}", left_out.variable.title(), left_out.why));
        return Err(Mistake::new(
            format!(
                "{}: no column that a model `{kind}` describes: {}",
                path.display(),
                why.collect::<Vec<_>>().join("; ")
            ),
            "say in [data.columns] of a config (`chainrule init`) what the columns are, or choose another kind \
             with --model",
        )
        .of(ErrorKind::Data)
        .in_file(path)
        .into());
    }
    left_out.sort_by_key(|left_out| left_out.variable.column);
    // A missing cell is an outcome of its own, but of a number under a model of numbers alone, or of symbols.
    let holes = |(variable, profile): &&(&Variable, &Profile)| {
        let is_number = variable.kind.outcomes().is_none();
        profile.missing > 0 && !describes_all(kind) && (kind == "rnade" || is_number)
    };
    let holey: Vec<String> = stays
        .iter()
        .filter(holes)
        .map(|(variable, profile)| format!("{} ({})", variable.title(), profile.missing))
        .collect();
    let mut text = head(path, wishes);
    let mut notes: Vec<String> = table.remarks();
    if let Some(label) = wishes.label {
        let classes = schema.label.as_ref().map_or(0, |label| label.classes.len());
        writeln!(text, "label = {}  # {classes} classes; no variable", column(label))?;
    }
    let dropped: Vec<String> = wishes
        .drop
        .iter()
        .map(column)
        .chain(left_out.iter().map(|left_out| of_variable(left_out.variable)))
        .collect();
    if !dropped.is_empty() {
        for LeftOut { variable, why } in &left_out {
            writeln!(text, "# left out: {}: {}", variable.title(), comment(why))?;
        }
        writeln!(text, "drop = [{}]", dropped.join(", "))?;
        if !left_out.is_empty() {
            let what = left_out
                .iter()
                .map(|left_out| format!("{}: {}", left_out.variable.title(), left_out.why));
            notes.push(format!("left out: {}", what.collect::<Vec<_>>().join("; ")));
        }
    }
    if !holey.is_empty() {
        writeln!(
            text,
            "# rows without a number are left out; missing cells in {}",
            comment(&holey.join(", "))
        )?;
        writeln!(text, "bad_rows = \"skip\"")?;
        notes.push(format!("rows with missing numbers are left out, in {}", holey.join(", ")));
    } else if !table.bad_rows().is_empty() {
        let count = match table.bad_rows().len() {
            1 => "1 row".to_owned(),
            count => format!("{count} rows"),
        };
        writeln!(text, "bad_rows = \"skip\"  # {count} cannot be read")?;
        notes.push(format!("{count} cannot be read and are left out"));
    }
    let rows = table.len();
    if schema.missing != TableOptions::default().missing {
        writeln!(text, "missing = {:?}", schema.missing)?;
    }
    divide(&mut text, rows)?;
    columns(&mut text, &stays)?;
    // There is nothing before the only column.
    let kind = if kind == "markov" && stays.len() == 1 { "independent" } else { kind };
    model(&mut text, kind, rows)?;
    let warnings = stays.iter().flat_map(|(variable, profile)| {
        profile.warnings.iter().map(|warning| format!("{}: {warning}", variable.title()))
    });
    let warnings = warnings.collect();
    Ok(Draft { text, notes, warnings })
}

/// Whether a kind of model describes columns of any types at once.
fn describes_all(kind: &str) -> bool {
    matches!(kind, "nade" | "made" | "orderless-nade" | "kernel")
}

/// Why a model does not describe a column of a table of so many rows; `None` where it does.
fn reason(kind: &str, (variable, profile): (&Variable, &Profile), rows: u64) -> Option<String> {
    let describes_all = describes_all(kind);
    if !describes_all {
        // Such a column may well be constant among the rows that are learned from.
        let rare = rows - profile.missing - profile.mode_count;
        if rare > 0 && rare <= RARE && rows > 4 * RARE {
            return Some(match rare {
                1 => "one value in all rows but one".to_owned(),
                rare => format!("one value in all rows but {rare}"),
            });
        }
    }
    let is_no_variable = |warning: &&Warning| {
        warning.is_no_variable() && !(describes_all && **warning == Warning::Constant)
    };
    if let Some(warning) = profile.warnings.iter().find(is_no_variable) {
        return Some(warning.to_string());
    }
    let suits = match (kind, &variable.kind) {
        _ if describes_all => true,
        ("rnade", kind) => kind.is_numeric(),
        (_, Type::Codes { .. }) => true,
        (_, Type::Category { labels }) => labels.len() < 256,
        (_, Type::Integer) => {
            profile.range.is_some_and(|(least, most)| least >= 0.0 && most <= 255.0)
        }
        (_, Type::Decimal { .. } | Type::Real) => false,
    };
    (!suits).then(|| format!("{}, which `{kind}` does not describe", variable.kind))
}

fn of_images(path: &Path, wishes: Wishes<'_>) -> Result<Draft> {
    if wishes.label.is_some() || !wishes.drop.is_empty() {
        return Err(mistake(
            format!("--label and --drop with {}, which is no table", path.display()),
            "labels of images stand in a file beside them (data.labels), or in one folder per class",
        ));
    }
    let data = read_path(path, &ReadOptions::default())?;
    let mut text = head(path, wishes);
    let levels = data.levels();
    let kind = wishes.model.unwrap_or(if levels.is_some() { "nade" } else { "rnade" });
    let mut notes = Vec::new();
    if levels.is_some_and(|levels| levels > 2)
        && matches!(kind, "nade" | "made" | "logistic" | "orderless-nade")
    {
        writeln!(
            text,
            "binarize = \"threshold\"  # grey levels to bits; pixel-cnn describes the levels themselves"
        )?;
        notes.push(
            "grey levels are made bits by threshold; --model pixel-cnn describes the levels"
                .to_owned(),
        );
    }
    divide(&mut text, data.len())?;
    text.push('\n');
    model(&mut text, kind, data.len())?;
    Ok(Draft { text, notes, warnings: Vec::new() })
}

fn head(path: &Path, wishes: Wishes<'_>) -> String {
    let stem = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(plain).take(90).collect();
    let name = if name.is_empty() { "table".to_owned() } else { name };
    let mut text = format!(
        "# A config for {}, to be edited. Train it with `chainrule train CONFIG.toml`.\nname = \"{name}\"\nseed = 1\n\n\
         [data]\ntrain = {}\n",
        comment(&path.display().to_string()),
        toml::Value::String(path.display().to_string())
    );
    if let Some(key) = wishes.key {
        text.push_str(&format!("key = {}\n", toml::Value::String(key.to_owned())));
    }
    text
}

/// How rows are divided: eight tenths to learn from, one to choose by, one to report.
fn divide(text: &mut String, rows: usize) -> Result<()> {
    if rows >= DIVISIBLE {
        writeln!(
            text,
            "folds = 10  # of {rows} rows a tenth validates, another tests, drawn by fold_seed"
        )?;
        writeln!(text, "fold_seed = 1")?;
    }
    Ok(())
}

/// What the columns are, commented out: a line to be uncommented and changed where inference is wrong.
fn columns(text: &mut String, columns: &[(&Variable, &Profile)]) -> Result<()> {
    const SHOWN: usize = 200;
    let named = columns.iter().filter(|(variable, _)| variable.name.is_some());
    let mut lines = String::new();
    for (variable, profile) in named.take(SHOWN) {
        let stated = match variable.kind {
            Type::Decimal { places } => format!("{{ kind = \"decimal\", places = {places} }}"),
            _ => format!("\"{}\"", variable.kind.name()),
        };
        let key = toml::Value::String(variable.name.clone().unwrap_or_default());
        writeln!(
            lines,
            "# {} = {stated}  # {}",
            comment(&key.to_string()),
            comment(&described(variable, profile))
        )?;
    }
    if !lines.is_empty() {
        text.push_str("\n# What each column is. Where that is wrong, remove the two # before the table and the line.\n# [data.columns]\n");
        text.push_str(&lines);
    }
    text.push('\n');
    Ok(())
}

/// The values of a column in a few words.
pub(crate) fn described(variable: &Variable, profile: &Profile) -> String {
    let mut words = match (&variable.kind, profile.range) {
        (Type::Category { labels }, _) => {
            let shown: Vec<&str> = labels.iter().take(5).map(String::as_str).collect();
            let more = if labels.len() > shown.len() { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        }
        (_, Some((least, most))) => format!("{least} to {most}"),
        _ => String::new(),
    };
    if profile.missing > 0 {
        words.push_str(&format!("; {} missing", profile.missing));
    }
    words
}

fn model(text: &mut String, kind: &str, rows: usize) -> Result<()> {
    writeln!(text, "[model]\nkind = \"{kind}\"")?;
    match kind {
        "rnade" => text.push_str(
            "hidden = 50  # units that all conditionals share; 50 to 100 suffice for tens of columns\n\
             components = 10  # Gaussians of each conditional; more follow skew and clusters\n\
             min_scale = 0.1  # no Gaussian is narrower, in standard deviations: repeated values would draw it to 0\n",
        ),
        "nade" => {
            let hidden = if rows < 2_000 { 50 } else { 100 };
            text.push_str(&format!("hidden = {hidden}  # units that all conditionals share\n"));
        }
        "made" => text.push_str(
            "hidden = [128, 128, 128]\n\
             residual = true  # the layers behind the first are blocks of two that add to what is there\n\
             dropout = 0.1  # share of hidden units left out in training\n",
        ),
        "orderless-nade" => text.push_str(
            "hidden = [128, 128]\n\
             activation = \"relu\"\n\
             orderings = 8  # that the likelihood averages over\n",
        ),
        "kernel" => text.push_str(&format!(
            "max_rows = {MAX_ROWS}  # training rows that are kept; of more, so many are drawn by rows_seed\n\
             bandwidth = \"common\"  # one for all numbers; or \"per-column\", which takes longer to choose\n",
        )),
        "markov" => text.push_str("order = 1  # each column given the one before it\n"),
        "neighbourhood" => text.push_str("offsets = [[0, -1], [-1, -1], [-1, 0], [-1, 1]]  # W, NW, N, NE\n"),
        "row-lstm" | "diagonal-lstm" | "diagonal-bilstm" | "pixel-cnn" => {
            text.push_str("layers = 3\nhidden = 16\n");
        }
        "bayesian-network" => text.push_str("parents = {}  # of those columns that have some, such as { income = [\"age\", \"education\"] }\n"),
        _ => {}
    }
    let is_neural = !matches!(
        kind,
        "uniform"
            | "independent"
            | "markov"
            | "neighbourhood"
            | "bayesian-network"
            | "full-table"
            | "kernel"
    );
    if is_neural {
        let learned = if rows >= DIVISIBLE { rows * 8 / 10 } else { rows };
        let epochs = (STEPS * BATCH / learned.max(1)).clamp(5, EPOCHS);
        writeln!(
            text,
            "\n[train]\nepochs = {epochs}  # at most; the best by the validation rows is kept"
        )?;
        if rows >= DIVISIBLE {
            writeln!(
                text,
                "early_stopping = {}  # epochs without a better one",
                (epochs / 5).max(2)
            )?;
        }
        writeln!(text, "batch_size = {BATCH}")?;
        if describes_all(kind) {
            // Narrow components have steep slopes.
            text.push_str("clip_norm = 5.0\nschedule = { kind = \"cosine\" }\n");
        }
        writeln!(text, "optimizer = {{ kind = \"adam\", learning_rate = 2e-3 }}")?;
    }
    Ok(())
}

fn column(column: &Column) -> String {
    match column {
        Column::Name(name) => toml::Value::String(name.clone()).to_string(),
        Column::Index(index) => index.to_string(),
    }
}

fn of_variable(variable: &Variable) -> String {
    match &variable.name {
        Some(name) if !name.is_empty() => toml::Value::String(name.clone()).to_string(),
        _ => variable.column.to_string(),
    }
}

/// Text that may stand in a comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
