//! `chainrule compress RUN INPUT --out FILE.chr`: a set without loss, at the price of its likelihood.

use std::time::Instant;

use anyhow::Result;
use ar_data::Split;
use ar_models::Isa;
use ar_models::codec::{Arithmetic, Codec, Header, Source};
use ar_models::examples::{Examples as _, read_all};
use ar_models::scoring::evaluate;
use serde::Serialize;

use super::{Session, compress_table, data_of, finite};
use crate::args::CompressArgs;
use crate::baselines::{self, Baseline};
use crate::config::Config;
use crate::data::{Prepared, load_split, prepare};
use crate::device;
use crate::error::{Internal, mistake};
use crate::output::{RECORD_VERSION, columns, grouped, human_seconds};
use crate::outputs::{Inputs, check, out};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) command: &'static str,
    pub(super) model: String,
    pub(super) data: String,
    pub(super) split: String,
    pub(super) run: String,
    pub(super) out: String,
    /// Events compressed.
    pub(super) events: usize,
    /// Variables of an event.
    pub(super) variables: usize,
    /// Whether the values are those of the input: `unchanged`, `binarized` or `requantized`.
    pub(super) values: &'static str,
    /// What computed the conditionals.
    pub(super) arithmetic: String,
    /// Size of the file.
    pub(super) bytes: usize,
    pub(super) bits_per_event: f64,
    pub(super) bits_per_dim: f64,
    /// −log₂ p(x) of all events, in bytes; `null` if one of them is impossible. Of a table that of its categories and
    /// of its numbers on a grid.
    pub(super) nll_bytes: Option<f64>,
    /// Columns of a table whose numbers are real, so that their likelihood is a density and no code length.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) real_columns: usize,
    /// What of the file they take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) real_bytes: Option<f64>,
    /// Labels that training never saw, which the file holds as words.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) unseen_labels: usize,
    /// Time that compressing took.
    pub(super) seconds: f64,
    pub(super) events_per_second: f64,
    /// Time that decoding for `--verify` took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verify_seconds: Option<f64>,
    /// What other compressors make of the same values.
    pub(super) baselines: Vec<Baseline>,
    pub(super) device: String,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) accepted_changes: Vec<String>,
}

/// Compresses, verifies, writes and prints.
///
/// # Errors
/// When the run is not trained, the data does not suit it, or the file cannot be written.
pub(crate) fn run(args: &CompressArgs, session: &Session) -> Result<()> {
    let terminal = &session.terminal.beside(Some(&args.out));
    out(&args.out)
        .must_end_in("chr", "`chainrule decompress RUN FILE.chr` restores what it holds")?;
    out(&args.out).refuse_terminal()?;
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let inputs = Inputs::of_run(&run, &config, &session.locations);
    check(&[out(&args.out)], &inputs.and_spec(Some(&args.input), &session.locations))?;
    let device = device::choose(args.device.as_deref())?;
    let event = config.event_of_run()?;
    let model = run.load_model(&config, &event, &device.device)?;
    if event.columns.is_some() {
        let of_run = (&run, &config, &event);
        return compress_table::compress(args, of_run, (&model, &device.name), session);
    }
    let codec = Codec::new(&model, &config.model, &event)?;
    let (data, split) = data_of(Some(&args.input), args.split, &config, &args.file, session)?;
    let isa = if args.portable { Isa::Portable } else { Isa::detect() };
    if let (true, Arithmetic::Tensors { backend, .. }) = (args.portable, codec.arithmetic(isa)) {
        return Err(mistake(
            format!(
                "--portable: `{}` is walked by tensor operations of {backend}, which round as the \
                 machine does",
                model.kind()
            ),
            "remove --portable, and decompress on a machine like this one",
        ));
    }
    if args.portable && model.classes().is_some() {
        return Err(mistake(
            format!(
                "--portable: a `{}` with classes is mixed by the system's exp and ln, which differ",
                model.kind()
            ),
            "remove --portable, and decompress on a machine like this one",
        ));
    }
    let source = source_of(&data);
    note_loss(&data, source, session);

    let start = Instant::now();
    let bar = terminal.examples_bar(data.len(), "compressing");
    let file = codec.compress(&data, source, isa, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let values = read_all(&data, 0);
    let verify_seconds = if args.verify {
        let start = Instant::now();
        let bar = terminal.examples_bar(data.len(), "decoding");
        let back = codec
            .decompress(&file, &mut |done| bar.set_position(done as u64))
            .map_err(ar_models::Error::from)?;
        bar.finish_and_clear();
        if back != values {
            return Err(Internal("what was compressed does not come back").into());
        }
        Some(start.elapsed().as_secs_f64())
    } else {
        None
    };
    out(&args.out).write(&file)?;

    // An ensemble over orderings has no walk: its first ordering is what is coded, and priced.
    let coded = match model.orderings() {
        Some(2..) => {
            terminal.note(
                "an ensemble has no walk, so this is coded along its first ordering; `eval` reports \
                 the mean over all",
            );
            model.clone().with_orderings(1)
        }
        _ => None,
    };
    let bar = terminal.examples_bar(data.len(), "evaluating");
    let score =
        evaluate(coded.as_ref().unwrap_or(&model), &data, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let nll_bits = score.nll_nats / core::f64::consts::LN_2 * data.len() as f64;
    let baselines =
        if args.no_baselines { Vec::new() } else { compare(&data, &values, &config, session)? };
    let bits_per_event = 8.0 * file.len() as f64 / data.len().max(1) as f64;
    let record = Record {
        version: RECORD_VERSION,
        command: "compress",
        accepted_changes: config.data.expected.accepted(),
        model: model.kind().to_owned(),
        data: data.name.clone(),
        split: split.map_or_else(|| "all".to_owned(), |split| split.to_string()),
        run: run.display(),
        out: args.out.display().to_string(),
        events: data.len(),
        variables: event.variables(),
        values: source.name(),
        arithmetic: Header::read(&file).map_err(ar_models::Error::from)?.arithmetic.to_string(),
        bytes: file.len(),
        bits_per_event,
        bits_per_dim: bits_per_event / event.variables() as f64,
        nll_bytes: finite(nll_bits / 8.0),
        real_columns: 0,
        real_bytes: None,
        unseen_labels: 0,
        seconds,
        events_per_second: data.len() as f64 / seconds,
        verify_seconds,
        baselines,
        device: device.name,
    };
    terminal.result(&record, || words(&record))
}

/// Whether the model sees the values of the input.
fn source_of(data: &Prepared) -> Source {
    if data.event.levels == data.raw_levels {
        Source::Unchanged
    } else if data.event.levels == Some(2) {
        Source::Binarized
    } else {
        Source::Requantized
    }
}

fn note_loss(data: &Prepared, source: Source, session: &Session) {
    if source != Source::Unchanged {
        session.terminal.note(format!(
            "{}: the run's model sees its {} levels {} to {}; these are what is compressed and comes \
             back, not the input",
            data.name,
            data.raw_levels.unwrap_or(0),
            source.name(),
            data.event.levels.unwrap_or(0)
        ));
    }
}

/// What other compressors make of the values.
fn compare(
    data: &Prepared,
    values: &[u8],
    config: &Config,
    session: &Session,
) -> Result<Vec<Baseline>> {
    let mut all = Vec::new();
    if baselines::are_binary_images(&data.event) {
        let train = load_split(config, Split::Train, session.reader())
            .and_then(|train| prepare(train, config.data.preprocessing, Split::Train, None));
        match train.and_then(|train| baselines::neighbourhood(data, &train, &data.event)) {
            Ok(baseline) => all.push(baseline),
            Err(error) => session.terminal.note(format!("neighbourhood-10 is left out: {error:#}")),
        }
    }
    let bar = session.terminal.bar(1, "{msg} {elapsed}").with_message("comparing with xz -9");
    bar.tick();
    all.extend(baselines::general(values, &data.event)?);
    bar.finish_and_clear();
    Ok(all)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(super) fn words(record: &Record) -> String {
    let speed = |seconds: f64| {
        let each = format!("{:.0}", record.events as f64 / seconds);
        format!("{} ({} events/s)", human_seconds(seconds), grouped(&each))
    };
    let mut text = format!(
        "{} events of {} to {} in {}\n",
        grouped(&record.events.to_string()),
        record.data,
        record.out,
        speed(record.seconds)
    );
    if let Some(seconds) = record.verify_seconds {
        text.push_str(&format!("decoded again in {}: every value is the same\n", speed(seconds)));
    }
    let row = |name: &str, bytes: f64| {
        let bits = 8.0 * bytes / record.events.max(1) as f64;
        vec![
            name.to_owned(),
            format!("{} bytes", grouped(&format!("{bytes:.0}"))),
            format!("{bits:.2} bits/event"),
            format!("{:.4} bits/dim", bits / record.variables as f64),
        ]
    };
    let mut rows = vec![row(&record.model, record.bytes as f64)];
    if let Some(bytes) = record.nll_bytes {
        // A density is no code length: what real columns take is beside what the likelihood says of the others.
        let others = record.bytes as f64 - record.real_bytes.unwrap_or(0.0);
        let over = 100.0 * (others / bytes - 1.0);
        match record.real_bytes {
            Some(real) => {
                let count = record.real_columns;
                let s = if count == 1 { "" } else { "s" };
                rows.push(row(&format!("{count} real column{s} of it"), real));
                if record.real_columns < record.variables {
                    rows.push(row("the others", others));
                    let mut nll = row("their -log2 p", bytes);
                    nll.push(format!("they are {over:.2}% larger"));
                    rows.push(nll);
                }
            }
            None => {
                let mut nll = row("its -log2 p", bytes);
                nll.push(format!("the file is {over:.2}% larger"));
                rows.push(nll);
            }
        }
    }
    rows.extend(record.baselines.iter().map(|b| row(b.name, b.bytes as f64)));
    text + &columns(&rows)
}
