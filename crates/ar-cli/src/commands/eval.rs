//! `chainrule eval RUN`: what a set costs under a trained model.

use anyhow::Result;
use ar_models::model::Model;
use ar_models::orderless::MOST_ORDERINGS;
use ar_models::scoring::cost_per_variable;
use serde::Serialize;

use super::{Evaluation, Session, Subject, data_of};
use crate::args::EvalArgs;
use crate::data::Prepared;
use crate::device;
use crate::error::mistake;
use crate::files;
use crate::output::{RECORD_VERSION, columns, human_seconds};
use crate::outputs::{Asked, Inputs, check};
use crate::run_dir::RunDir;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record<'a> {
    version: u32,
    command: &'static str,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// Orderings that the probability is averaged over, of a model that takes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    orderings: Option<usize>,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    accepted_changes: &'a [String],
}

/// Evaluates and prints.
///
/// # Errors
/// When the run is not trained, or the data does not suit it.
pub(crate) fn run(args: &EvalArgs, session: &Session) -> Result<()> {
    let costs = args.per_variable.as_deref();
    let costs = costs.map(|path| Asked { option: "--per-variable", path });
    if let Some(asked) = costs {
        asked.must_end_in("npy", "numpy.load reads it: an f32 array in the shape of an event")?;
        asked.refuse_terminal()?;
    }
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let inputs = Inputs::of_run(&run, &config, &session.locations);
    check(costs.as_slice(), &inputs.and_spec(args.data.as_deref(), &session.locations))?;
    let device = device::choose(args.device.as_deref())?;
    let event = config.event_of_run()?;
    let model = run.load_model(&config, &event, &device.device)?;
    let model = match args.orderings {
        Some(orderings) => over_orderings(model, orderings)?,
        None => model,
    };
    let (data, split) = data_of(args.data.as_deref(), args.split, &config, &args.file, session)?;
    let terminal = &session.terminal.beside(args.per_variable.as_deref());
    terminal.detail(format!("device {}, {} threads", device.name, rayon::current_num_threads()));
    let subject = Subject {
        model: &model,
        data: &data,
        data_name: data.name.clone(),
        split,
        device: &device.name,
        run: run.display(),
    };
    let evaluation = Evaluation::of(subject, terminal);
    let orderings = model.orderings();
    if let Some(asked) = costs {
        if orderings.is_some_and(|orderings| orderings > 1) {
            terminal.note(
                "--per-variable: an ensemble has no cost of a variable, so these are of its first \
                 ordering",
            );
        }
        write_costs(asked, &model, &data, session)?;
    }
    let accepted_changes = config.data.expected.accepted();
    let record = Record {
        version: RECORD_VERSION,
        command: "eval",
        evaluation: &evaluation,
        orderings,
        accepted_changes: &accepted_changes,
    };
    terminal.result(&record, || {
        let mut cells = vec![format!("{} on {}", evaluation.model, evaluation.data)];
        cells.extend(evaluation.cells());
        cells.extend(orderings.map(|orderings| match orderings {
            1 => "along 1 ordering".to_owned(),
            orderings => format!("over {orderings} orderings"),
        }));
        cells.push(human_seconds(evaluation.seconds));
        columns(&[cells])
    })
}

/// The ensemble over so many orderings.
///
/// # Errors
/// When the model has one ordering only, or there are too many.
fn over_orderings(model: Model, orderings: usize) -> Result<Model> {
    if orderings > MOST_ORDERINGS {
        return Err(mistake(
            format!("--orderings {orderings}: expected at most {MOST_ORDERINGS}"),
            "an ensemble gains little beyond a hundred",
        ));
    }
    let kind = model.kind();
    model.with_orderings(orderings).ok_or_else(|| {
        mistake(
            format!("--orderings {orderings}: a model of kind {kind} has one ordering"),
            "remove --orderings, or train a model of kind orderless-nade",
        )
    })
}

/// Writes the mean cost of each variable, in the shape of an event.
fn write_costs(asked: Asked<'_>, model: &Model, data: &Prepared, session: &Session) -> Result<()> {
    use ar_models::examples::Examples as _;
    let bar = session.terminal.examples_bar(data.len(), "cost per variable");
    let costs = cost_per_variable(model, data, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let costs: Vec<f32> = costs.into_iter().map(|cost| cost as f32).collect();
    files::write_f32(asked, &data.event.shape, &costs)?;
    session.terminal.detail(format!("wrote {}", asked.path.display()));
    Ok(())
}
