//! `chainrule decompress RUN FILE.chr --out FILE`: what `compress` has compressed.

use std::time::Instant;

use anyhow::{Context as _, Result};
use ar_data::memory::content_limit;
use ar_models::codec::{Codec, Header, Source};
use serde::Serialize;

use super::{Session, compress_table};
use crate::args::DecompressArgs;
use crate::device;
use crate::error::cannot;
use crate::files::{Events, Format};
use crate::output::{RECORD_VERSION, grouped, human_seconds};
use crate::outputs::{Inputs, check, out};
use crate::reading;
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    model: String,
    run: String,
    file: String,
    out: String,
    /// Events restored.
    events: usize,
    /// Whether the values are those that went into `compress`: `unchanged`, `binarized` or
    /// `requantized`.
    values: &'static str,
    seconds: f64,
    events_per_second: f64,
    device: String,
}

/// Decompresses, writes and prints.
///
/// # Errors
/// When the file is damaged or was compressed with another model or other arithmetic: then nothing is
/// written.
pub(crate) fn run(args: &DecompressArgs, session: &Session) -> Result<()> {
    let terminal = &session.terminal.beside(Some(&args.out));
    let run = RunDir::open(&args.run)?;
    let config = run.load_config()?;
    let event = config.event_of_run()?;
    let format = Format::of(&args.out, &event, args.columns)?;
    if !format.is_text() {
        out(&args.out).refuse_terminal()?;
    }
    let inputs = Inputs::of_run(&run, &config, &session.locations).and(&args.file);
    check(&[out(&args.out)], &inputs)?;
    let bytes =
        reading::bytes(&args.file, content_limit()).with_context(|| cannot("read", &args.file))?;
    let decoding = || cannot("decompress", &args.file);
    let names = config.data.columns.as_deref();
    if event.columns.is_some() {
        let device = device::choose(args.device.as_deref())?;
        let model = run.load_model(&config, &event, &device.device)?;
        let of_run = (&config, &event, &model);
        let table = compress_table::decompress(&bytes, of_run, &decoding, terminal)?;
        let schema = Some(&table.schema);
        // An array has no words: its codes are those of the run.
        let values = if format == Format::Npy { &table.codes } else { &table.in_words };
        let events = Events { values: values.into(), event: &event, names, schema };
        events.write(&args.out, format, args.columns)?;
        let record = Record {
            version: RECORD_VERSION,
            command: "decompress",
            model: model.kind().to_owned(),
            run: run.display(),
            file: args.file.display().to_string(),
            out: args.out.display().to_string(),
            events: table.rows,
            values: Source::Unchanged.name(),
            seconds: table.seconds,
            events_per_second: table.rows as f64 / table.seconds,
            device: device.name,
        };
        return terminal.result(&record, || words(&record));
    }
    let header = Header::read(&bytes).map_err(ar_models::Error::from).with_context(decoding)?;
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let codec = Codec::new(&model, &config.model, &event)?;
    let start = Instant::now();
    let bar = terminal.examples_bar(header.events, "decompressing");
    let values = codec
        .decompress(&bytes, &mut |done| bar.set_position(done as u64))
        .map_err(ar_models::Error::from)
        .with_context(decoding)?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let schema = config.data.schema.as_ref();
    let events = Events { values: (&values).into(), event: &event, names, schema };
    events.write(&args.out, format, args.columns)?;
    let record = Record {
        version: RECORD_VERSION,
        command: "decompress",
        model: model.kind().to_owned(),
        run: run.display(),
        file: args.file.display().to_string(),
        out: args.out.display().to_string(),
        events: header.events,
        values: header.source.name(),
        seconds,
        events_per_second: header.events as f64 / seconds,
        device: device.name,
    };
    terminal.result(&record, || {
        let mut text = words(&record);
        if header.source != Source::Unchanged {
            text.push_str(&format!(
                "the values were {} before they were compressed: they are what the model sees\n",
                record.values
            ));
        }
        text
    })
}

fn words(record: &Record) -> String {
    format!(
        "{} events to {} in {} ({} events/s)\n",
        grouped(&record.events.to_string()),
        record.out,
        human_seconds(record.seconds),
        grouped(&format!("{:.0}", record.events_per_second))
    )
}
