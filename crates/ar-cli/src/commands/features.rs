//! `chainrule features RUN --out FILE.npy`, `--probe`: what a model makes of an event, and what it is
//! worth.

use std::time::Instant;

use anyhow::Result;
use ar_data::{Spec, Split};
use ar_models::examples::{Examples as _, Rows, read_rows};
use ar_models::model::Model;
use ar_models::probe::{Labelled, Outcome, Probe, Sets};
use serde::Serialize;

use super::{Session, data_of, evenly_spaced};
use crate::args::FeaturesArgs;
use crate::config::Config;
use crate::data::{Prepared, require_split};
use crate::device;
use crate::error::{ErrorKind, Internal, Mistake, mistake};
use crate::files::GrowingNpy;
use crate::output::{RECORD_VERSION, Terminal, columns, grouped, human_seconds};
use crate::outputs::{Asked, Inputs, check, out};
use crate::run_dir::RunDir;
use crate::sees;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    model: String,
    data: String,
    run: String,
    /// Numbers made of an event.
    features: usize,
    /// Which.
    what: String,
    device: String,
    /// Only with `--out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<Written>,
    /// Only with `--probe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Report>,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// A file of features.
#[derive(Debug, Serialize)]
struct Written {
    out: String,
    split: String,
    examples: usize,
    seconds: f64,
}

/// What the probes found.
#[derive(Debug, Serialize)]
struct Report {
    train_examples: usize,
    valid_examples: usize,
    test_examples: usize,
    /// Fraction of the test labels that are the training split's most frequent one.
    most_frequent_accuracy: f64,
    probes: Vec<Found>,
}

/// One probe of one kind of vectors.
#[derive(Debug, Serialize)]
struct Found {
    /// `features` or `raw`.
    vectors: &'static str,
    /// Length of a vector.
    dim: usize,
    /// `nearest-neighbours` or `linear`.
    probe: &'static str,
    /// Number of neighbours, or the penalty of the squared weights: the best on the validation split.
    setting: f64,
    valid_accuracy: f64,
    test_accuracy: f64,
    /// Standard error of the test accuracy.
    test_accuracy_stderr: f64,
    seconds: f64,
}

/// Rows that are read and evaluated at a time.
const CHUNK: usize = 2000;

/// Computes, writes and prints.
///
/// # Errors
/// When the run is not trained, its model has no features, the data does not suit it or has no labels
/// to probe for, or the file cannot be written.
pub(crate) fn run(args: &FeaturesArgs, session: &Session) -> Result<()> {
    let asked = args.out.as_deref().map(out);
    if let Some(asked) = asked {
        asked.must_end_in("npy", "numpy.load reads it: an f32 array [examples, features]")?;
        asked.refuse_terminal()?;
    }
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let inputs = Inputs::of_run(&run, &config, &session.locations);
    check(asked.as_slice(), &inputs.and_spec(args.data.as_deref(), &session.locations))?;
    let event = config.event_of_run()?;
    let Some((features, what)) = sees::features(&config.model, &event) else {
        return Err(Mistake::new(
            format!(
                "{}: a model of kind `{}` has no features: it has no hidden units",
                run.display(),
                config.model.kind()
            ),
            "train one that has: nade, orderless-nade, rnade, made, row-lstm, diagonal-lstm, diagonal-bilstm or pixel-cnn",
        )
        .of(ErrorKind::Run)
        .into());
    };
    let device = device::choose(args.device.as_deref())?;
    let model = run.load_model(&config, &event, &device.device)?;
    let terminal = &session.terminal.beside(args.out.as_deref());
    let seer = Seer { model: &model, features, terminal };
    let spec = args.data.as_deref();
    let mut name = None;
    let mut written = None;
    if let Some(asked) = asked {
        let (data, split) = data_of(spec, args.split, &config, &args.file, session)?;
        let split = split.map_or_else(|| "all".to_owned(), |split| split.to_string());
        written = Some(seer.write(asked, &data, split)?);
        name = Some(data.name);
    }
    let mut probe = None;
    if args.probe {
        let sets = load(args, &config, session)?;
        name.get_or_insert_with(|| sets[0].0.name.clone());
        probe = Some(seer.probe(&sets, &device.device)?);
    }
    let record = Record {
        version: RECORD_VERSION,
        command: "features",
        accepted_changes: config.data.expected.accepted(),
        model: model.kind().to_owned(),
        data: name.ok_or(Internal("neither --out nor --probe"))?,
        run: run.display(),
        features,
        what,
        device: device.name,
        written,
        probe,
    };
    terminal.result(&record, || words(&record))
}

/// A split, the rows of it that are looked at, and their labels.
type Part = (Prepared, Vec<usize>, Vec<u8>);

/// The splits that a probe needs.
fn load(args: &FeaturesArgs, config: &Config, session: &Session) -> Result<[Part; 3]> {
    let spec = args.data.as_deref();
    if let Some(spec) = spec
        && matches!(spec.parse::<Spec>()?, Spec::Path(_))
    {
        return Err(mistake(
            format!(
                "--probe with --data {spec}: a path has no splits, expected train, valid and test"
            ),
            "name a built-in dataset, or leave --data out where the run's own data has labels",
        ));
    }
    if spec.is_none() {
        let asked = "--probe learns on train, chooses on valid, and reports on test";
        let instead = "name a built-in dataset that has all three with --data";
        for split in Split::ALL {
            require_split(&config.data, split, asked, instead)?;
        }
    }
    let part = |split, most: Option<usize>| -> Result<Part> {
        let (data, _) = data_of(spec, Some(split), config, &args.file, session)?;
        let rows = evenly_spaced(data.len(), most);
        let Some(labels) = data.labels(&rows) else {
            return Err(Mistake::new(
                format!("--probe: the {split} split of {} has no labels", data.name),
                "`chainrule data info SPEC` shows which data has labels; of MNIST in bits, that is a run \
                 with data.name = \"mnist\" and data.binarize = \"threshold\"",
            )
            .of(ErrorKind::Data)
            .into());
        };
        if rows.is_empty() {
            return Err(Mistake::new(
                format!("--probe: the {split} split of {} is empty", data.name),
                "choose other data with --data",
            )
            .of(ErrorKind::Data)
            .into());
        }
        Ok((data, rows, labels))
    };
    Ok([
        part(Split::Train, args.probe_examples)?,
        part(Split::Valid, None)?,
        part(Split::Test, None)?,
    ])
}

/// Who computes features.
struct Seer<'a> {
    model: &'a Model,
    /// Numbers made of an event.
    features: usize,
    terminal: &'a Terminal,
}

impl Seer<'_> {
    /// Features of rows, `[rows, features]`, given to `take` chunk by chunk.
    fn each_chunk(
        &self,
        data: &Prepared,
        rows: &[usize],
        message: String,
        mut take: impl FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        let bar = self.terminal.examples_bar(rows.len(), message);
        for rows in rows.chunks(CHUNK) {
            let values = read_rows(data, 0, rows);
            let features = self
                .model
                .features(values.values())
                .ok_or(Internal("the config promises features"))?;
            if features.len() != rows.len() * self.features {
                return Err(Internal("the config promises another number of features").into());
            }
            take(features)?;
            bar.inc(rows.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn write(&self, asked: Asked<'_>, data: &Prepared, split: String) -> Result<Written> {
        let start = Instant::now();
        let mut file = GrowingNpy::create::<f32>(asked, &[self.features])?;
        let rows: Vec<usize> = (0..data.len()).collect();
        let message = format!("features of {split}");
        self.each_chunk(data, &rows, message, |features| file.push(features))?;
        file.complete()?;
        Ok(Written {
            out: asked.path.display().to_string(),
            split,
            examples: data.len(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn probe(&self, sets: &[Part; 3], device: &burn::tensor::Device) -> Result<Report> {
        let [train, valid, test] = sets;
        let mut report = Report {
            train_examples: train.1.len(),
            valid_examples: valid.1.len(),
            test_examples: test.1.len(),
            most_frequent_accuracy: 0.0,
            probes: Vec::new(),
        };
        let seen = |(data, rows, labels): &Part| -> Result<Labelled> {
            let mut values = Vec::with_capacity(rows.len() * self.features);
            self.each_chunk(data, rows, "features".to_owned(), |features| {
                values.extend(features);
                Ok(())
            })?;
            Ok(Labelled::new(values, labels.clone()))
        };
        let seen = Sets { train: seen(train)?, valid: seen(valid)?, test: seen(test)? };
        self.probe_vectors("features", seen, device, &mut report);
        let raw = |(data, rows, labels): &Part| {
            let values = match read_rows(data, 0, rows) {
                Rows::Symbols(values) => values.into_iter().map(f32::from).collect(),
                Rows::Reals(values) => values.into_iter().map(|value| value as f32).collect(),
            };
            Labelled::new(values, labels.clone())
        };
        let raw = Sets { train: raw(train), valid: raw(valid), test: raw(test) };
        self.probe_vectors("raw", raw, device, &mut report);
        Ok(report)
    }

    fn probe_vectors(
        &self,
        vectors: &'static str,
        sets: Sets,
        device: &burn::tensor::Device,
        report: &mut Report,
    ) {
        let dim = sets.train.dim();
        let bar = self.terminal.bar(2, "{msg} {bar:24} {pos}/{len}");
        bar.set_message(format!("probing {dim} {}", name_of(vectors)));
        let probe = Probe::new(sets, device);
        report.most_frequent_accuracy = probe.most_frequent();
        let mut add = |name: &'static str, find: &dyn Fn() -> Outcome<f64>| {
            self.terminal.detail(format!("{name} probe of {dim} {}", name_of(vectors)));
            let start = Instant::now();
            let Outcome { setting, valid_accuracy, test_accuracy } = find();
            let variance = test_accuracy * (1.0 - test_accuracy) / report.test_examples as f64;
            report.probes.push(Found {
                vectors,
                dim,
                probe: name,
                setting,
                valid_accuracy,
                test_accuracy,
                test_accuracy_stderr: variance.sqrt(),
                seconds: start.elapsed().as_secs_f64(),
            });
            bar.inc(1);
        };
        add("nearest-neighbours", &|| {
            let Outcome { setting, valid_accuracy, test_accuracy } = probe.nearest_neighbours();
            Outcome { setting: setting as f64, valid_accuracy, test_accuracy }
        });
        add("linear", &|| probe.linear());
        bar.finish_and_clear();
    }
}

/// A kind of vectors in words.
fn name_of(vectors: &str) -> &'static str {
    if vectors == "raw" { "raw values" } else { "features" }
}

fn words(record: &Record) -> String {
    let mut text = format!("{} on {}: {}\n", record.model, record.data, record.what);
    if let Some(written) = &record.written {
        text += &format!(
            "{} examples of {} to {} in {}\n",
            grouped(&written.examples.to_string()),
            written.split,
            written.out,
            human_seconds(written.seconds),
        );
    }
    let Some(report) = &record.probe else { return text };
    let count = |n: usize| grouped(&n.to_string());
    text += &format!(
        "test accuracy of probes that learned on {} examples; settings chosen on {}, tested on {}\n",
        count(report.train_examples),
        count(report.valid_examples),
        count(report.test_examples),
    );
    let rows = report.probes.iter().map(|found| {
        let (probe, setting) = match found.probe {
            "linear" => ("linear", format!("penalty {:e}", found.setting)),
            _ => ("nearest neighbours", format!("k = {}", found.setting)),
        };
        vec![
            probe.to_owned(),
            format!(
                "{} {}",
                found.dim,
                if found.vectors == "raw" { "raw values" } else { "features" }
            ),
            format!(
                "{:.2}% ± {:.2}",
                100.0 * found.test_accuracy,
                100.0 * found.test_accuracy_stderr
            ),
            setting,
            human_seconds(found.seconds),
        ]
    });
    let guess = vec![
        "the most frequent label".to_owned(),
        String::new(),
        format!("{:.2}%", 100.0 * report.most_frequent_accuracy),
    ];
    text + &columns(&rows.chain([guess]).collect::<Vec<_>>())
}
