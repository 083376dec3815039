//! `chainrule compress` and `decompress` of a run over the columns of a table.

use std::time::Instant;

use anyhow::{Context as _, Result};
use ar_data::memory::content_limit;
use ar_data::{Schema, Spec, Split};
use ar_models::codec::{Cells, Fault, TableCodec, TableHeader};
use ar_models::columns::Column;
use ar_models::config::EventSpec;
use ar_models::examples::{Examples as _, InMemory};
use ar_models::model::Model;

use super::compress::{Record, words};
use super::{Session, finite};
use crate::args::CompressArgs;
use crate::baselines;
use crate::config::Config;
use crate::data::cells::{self, in_words, schema_of, seen_by_model};
use crate::data::sets::Finder;
use crate::error::{Attempt, Internal, mistake};
use crate::files::Events;
use crate::output::{RECORD_VERSION, Terminal};
use crate::outputs::out;
use crate::run_dir::RunDir;

/// Compresses a table, verifies, writes and prints.
///
/// # Errors
/// When the table does not suit the run, or the file cannot be written.
pub(super) fn compress(
    args: &CompressArgs,
    (run, config, event): (&RunDir, &Config, &EventSpec),
    (model, device): (&Model, &str),
    session: &Session,
) -> Result<()> {
    let terminal = &session.terminal.beside(Some(&args.out));
    let codec = TableCodec::new(model, &config.model, event)?;
    if args.portable {
        return Err(mistake(
            format!(
                "--portable: `{}` of columns is walked by tensor operations, which round as the machine does",
                model.kind()
            ),
            "remove --portable, and decompress on a machine like this one",
        ));
    }
    if let (Some(split), Spec::Path(_)) = (args.split, args.input.parse::<Spec>()?) {
        return Err(mistake(
            format!("--split {split} with {}: a path has no splits", args.input),
            "remove --split, or name a built-in dataset",
        ));
    }
    let finder = Finder { terminal, ..Finder::new(config, session.reader(), &args.file.file) };
    let split = args.split.unwrap_or(Split::Test);
    let table = finder.cells(&args.input, split, args.file.skips(config))?;
    let schema = schema_of(config.data.schema.as_ref(), event)?;
    say_what_is_left_out(schema, terminal);
    let columns = event.columns.as_deref().unwrap_or_default();
    let cells = &table.cells;
    let rows = cells.values.len() / columns.len();

    let start = Instant::now();
    let bar = terminal.examples_bar(rows, "compressing");
    let set = InMemory::reals(cells.values.clone(), columns.len());
    let compressed =
        codec.compress(&set, &cells.others, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let file = compressed.file;
    let verify_seconds = if args.verify {
        let start = Instant::now();
        let bar = terminal.examples_bar(rows, "decoding");
        let back = codec
            .decompress(&file, &mut |done| bar.set_position(done as u64))
            .map_err(ar_models::Error::from)?;
        bar.finish_and_clear();
        if !are_same(&back, cells) {
            return Err(Internal("what was compressed does not come back").into());
        }
        Some(start.elapsed().as_secs_f64())
    } else {
        None
    };
    out(&args.out).write(&file)?;

    let is_real = |column: &Column| matches!(column, Column::Real { .. });
    let seen = InMemory::reals(seen_by_model(&cells.values, columns), columns.len());
    let (of_table, of_reals) = costs(model, &seen, columns, session);
    debug_assert!(of_reals.is_some() == columns.iter().any(is_real), "one cost for each kind");
    let baselines = if args.no_baselines {
        Vec::new()
    } else {
        let (values, schema) = in_words(cells, schema);
        let names = config.data.columns.as_deref();
        let events = Events { values: (&values).into(), event, names, schema: Some(&schema) };
        let bar = terminal.bar(1, "{msg} {elapsed}").with_message("comparing with others");
        bar.tick();
        let all = baselines::table(&events)?;
        bar.finish_and_clear();
        all
    };
    let bits_per_event = 8.0 * file.len() as f64 / rows.max(1) as f64;
    let record = Record {
        version: RECORD_VERSION,
        command: "compress",
        accepted_changes: config.data.expected.accepted(),
        model: model.kind().to_owned(),
        data: table.name.clone(),
        split: table.split.map_or_else(|| "all".to_owned(), |split| split.to_string()),
        run: run.display(),
        out: args.out.display().to_string(),
        events: rows,
        variables: columns.len(),
        values: "unchanged",
        arithmetic: TableHeader::read(&file)
            .map_err(ar_models::Error::from)?
            .arithmetic
            .to_string(),
        bytes: file.len(),
        bits_per_event,
        bits_per_dim: bits_per_event / columns.len() as f64,
        nll_bytes: finite(of_table),
        real_columns: columns.iter().filter(|column| is_real(column)).count(),
        real_bytes: columns.iter().any(is_real).then_some(compressed.real_bytes),
        unseen_labels: cells::count(&cells.others),
        seconds,
        events_per_second: rows as f64 / seconds,
        verify_seconds,
        baselines,
        device: device.to_owned(),
    };
    terminal.result(&record, || words(&record))
}

/// Rows whose likelihood is computed at a time.
const ROWS: usize = 2000;

/// −log₂ p of the categories and of the numbers on a grid, in bytes; and of the real columns, if there are any, whose is
/// a density.
fn costs(
    model: &Model,
    rows: &InMemory,
    columns: &[Column],
    session: &Session,
) -> (f64, Option<f64>) {
    let bar = session.terminal.examples_bar(rows.len(), "evaluating");
    let (mut masses, mut densities, mut values) = (0.0, None, Vec::new());
    for start in (0..rows.len()).step_by(ROWS) {
        let end = (start + ROWS).min(rows.len());
        rows.read_reals(0, &(start..end).collect::<Vec<_>>(), &mut values);
        for row in model.log_prob_per_variable(&values).chunks_exact(columns.len()) {
            for (log_prob, column) in row.iter().zip(columns) {
                match column {
                    Column::Real { .. } => *densities.get_or_insert(0.0) -= log_prob,
                    _ => masses -= log_prob,
                }
            }
        }
        bar.set_position(end as u64);
    }
    bar.finish_and_clear();
    let bytes = |nats: f64| nats / core::f64::consts::LN_2 / 8.0;
    (bytes(masses), densities.map(bytes))
}

/// The same to the bit.
fn are_same(a: &Cells, b: &Cells) -> bool {
    let bits = |x: &f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    a.others == b.others && a.values.iter().map(bits).eq(b.values.iter().map(bits))
}

fn say_what_is_left_out(schema: &Schema, terminal: &Terminal) {
    let mut titles: Vec<String> = schema.left_out.iter().map(|name| format!("{name:?}")).collect();
    titles.extend(schema.label.iter().map(|label| match &label.name {
        Some(name) => format!("{name:?}"),
        None => label.column.to_string(),
    }));
    if !titles.is_empty() {
        terminal.note(format!(
            "not in the file, since they are no variables of the run: {}",
            titles.join(", ")
        ));
    }
}

/// Reads the table that a file holds.
///
/// # Errors
/// When it is damaged, too large, or of another model or arithmetic.
pub(super) fn decompress(
    bytes: &[u8],
    (config, event, model): (&Config, &EventSpec, &Model),
    what: &dyn Fn() -> Attempt,
    terminal: &Terminal,
) -> Result<Table> {
    let failed = |fault: Fault| ar_models::Error::from(fault);
    let header = TableHeader::read(bytes).map_err(failed).with_context(what)?;
    let values = header.columns as u64 * header.rows as u64;
    let most = content_limit() / size_of::<f64>() as u64;
    if values > most {
        return Err(failed(Fault::TooLarge { values, most })).with_context(what);
    }
    let codec = TableCodec::new(model, &config.model, event)?;
    let start = Instant::now();
    let bar = terminal.examples_bar(header.rows, "decompressing");
    let cells = codec
        .decompress(bytes, &mut |done| bar.set_position(done as u64))
        .map_err(failed)
        .with_context(what)?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let (in_words, schema) = in_words(&cells, schema_of(config.data.schema.as_ref(), event)?);
    Ok(Table { rows: header.rows, codes: cells.values, in_words, schema, seconds })
}

/// A table that was restored.
pub(super) struct Table {
    pub(super) rows: usize,
    /// The cells with the codes of the run; labels that training never saw have those behind them.
    pub(super) codes: Vec<f64>,
    /// The cells with the codes of `schema`, which has a word for each.
    pub(super) in_words: Vec<f64>,
    pub(super) schema: Schema,
    /// Time that decoding took.
    pub(super) seconds: f64,
}
