//! `chainrule compare RUN RUN…`: runs side by side on the same rows.

mod groups;
mod page;
mod published;
mod sections;
mod sheet;
mod table;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use ar_data::Split;
use ar_models::examples::Examples as _;
use ar_models::scoring::Score;
use serde::Serialize;

use super::report::{Part, Reporter, columns_of, named, reported};
use super::train::Record as Training;
use super::{Session, data_of, finite};
use crate::args::{CompareArgs, TableFormat};
use crate::config::{Config, Paper};
use crate::device::{self, Chosen};
use crate::error::{Internal, mistake};
use crate::output::{RECORD_VERSION, human_seconds};
use crate::outputs::{Asked, Inputs, check, out};
use crate::run_dir::RunDir;
use crate::sees;
use groups::{Difference, Group, Member, Rows};
use page::Shown;
use sections::Crossed;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    /// Runs whose rows are the same, and the same to their models.
    groups: Vec<GroupRecord>,
    /// Means over the folds of a config, where several are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folds: Vec<FoldsRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    /// The picture of samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
    seconds: f64,
    device: String,
}

/// Runs that compare.
#[derive(Debug, Serialize)]
struct GroupRecord {
    /// What the rows are of.
    data: String,
    examples: usize,
    variables: usize,
    levels: Option<usize>,
    /// The run of the lowest mean cost.
    best: Option<String>,
    runs: Vec<RunRecord>,
    /// Of each two runs, in their order.
    pairs: Vec<PairRecord>,
}

/// A run on the rows of its group. A number that is not finite is `null` in JSON.
#[derive(Debug, Serialize)]
struct RunRecord {
    run: String,
    config: String,
    model: String,
    sees: String,
    /// Free parameters, a decimal of any length.
    parameters: String,
    /// Mean of −log p(x), in nats per example.
    nll_nats: Option<f64>,
    /// Standard error of that mean.
    nll_nats_stderr: Option<f64>,
    bits_per_dim: Option<f64>,
    /// The mean in standardized units; only of real numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    nll_standardized_nats: Option<f64>,
    /// Fraction of the labels that are right by Bayes' rule, as the run has noted it; only of its whole test split.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    /// What is published; only of the whole test split.
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<Paper>,
    /// Which fold of how many its rows are, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<[usize; 2]>,
    /// How much more it costs than the best run of the group, of the same rows.
    difference_nats: Option<f64>,
    /// Standard error of that difference.
    difference_nats_stderr: Option<f64>,
    /// Seconds that training took.
    train_seconds: Option<f64>,
    /// Seconds that the rows took.
    seconds: f64,
    /// How the run's own data has changed since it was trained, where that was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted_changes: Vec<String>,
}

/// The runs of a config on several folds.
#[derive(Debug, Serialize)]
struct FoldsRecord {
    config: String,
    runs: Vec<String>,
    /// Mean of the means of the folds.
    nll_nats: Option<f64>,
    /// Standard error of that mean, s / √K.
    nll_nats_stderr: Option<f64>,
    bits_per_dim: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nll_standardized_nats: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nll_standardized_nats_stderr: Option<f64>,
    /// Mean of what the runs have noted, where all have.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    /// How much more it costs than the best of such means, fold by fold of the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference_nats: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference_nats_stderr: Option<f64>,
}

/// How much more run `a` costs than run `b`, of the same rows.
#[derive(Debug, Serialize)]
struct PairRecord {
    a: String,
    b: String,
    difference_nats: Option<f64>,
    difference_nats_stderr: Option<f64>,
}

/// Evaluates, compares and prints.
///
/// # Errors
/// When a run is not trained, its data is not here, or the file cannot be written.
pub(crate) fn run(args: &CompareArgs, session: &Session) -> Result<()> {
    let start = Instant::now();
    if session.terminal.json && args.table.is_some() {
        return Err(mistake(
            "--table with --json: expected one of them",
            "remove --table: the record has all numbers of the table, and those of each pair of runs",
        ));
    }
    if args.title.is_some() && args.out.is_none() {
        return Err(mistake(
            "--title without --out: expected both",
            "name the report that it heads, --out FILE.html, or remove --title",
        ));
    }
    if let Some(path) = &args.out {
        out(path).must_end_in("html", "a browser opens it")?;
        out(path).refuse_terminal()?;
    }
    let picture = args.sheet.as_deref().map(|path| Asked { option: "--sheet", path });
    if let Some(picture) = &picture {
        picture.must_end_in("png", "it is a picture")?;
        picture.refuse_terminal()?;
    }
    let mut inputs = Inputs::default();
    let mut runs = Vec::new();
    for path in &args.runs {
        let run = RunDir::open(path)?;
        let config = args.own_data.accepted(run.load_config()?);
        inputs.run(&run, &config, &session.locations);
        runs.push((run, config));
    }
    if picture.is_some() {
        sheet::require_images(&runs)?;
    }
    let asked: Vec<_> = args.out.iter().map(|path| out(path)).chain(picture).collect();
    check(&asked, &inputs.and_spec(args.data.as_deref(), &session.locations))?;
    let device = device::choose(args.device.as_deref())?;
    let terminal = session.terminal.beside(args.out.as_deref()).beside(args.sheet.as_deref());

    let labels = labels(&args.runs);
    let mut groups: Vec<Group> = Vec::new();
    for ((run, config), label) in runs.iter().zip(labels) {
        let (rows, member) = evaluated(args, session, (run, config, label), &device)
            .with_context(|| run.display())?;
        match groups.iter_mut().find(|group| group.rows == rows) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { rows, members: vec![member] }),
        }
    }
    let sections = sections::of(&groups);
    if let Some(path) = &args.out {
        let made = made(args, &runs, &device.name)?;
        let page = page::render(&sections, args.title.as_deref(), &made)?;
        out(path).write(page.as_bytes())?;
    }
    if let Some(picture) = picture {
        picture.write(&sheet::of(&sections)?)?;
    }
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let record = Record {
        version: RECORD_VERSION,
        command: "compare",
        groups: groups.iter().map(GroupRecord::of).collect(),
        folds: sections.iter().flat_map(|s| &s.crossed).map(FoldsRecord::of).collect(),
        out: shown(&args.out),
        sheet: shown(&args.sheet),
        seconds: start.elapsed().as_secs_f64(),
        device: device.name,
    };
    if sections.len() > 1 {
        terminal.note(
            "the runs are of different rows, or mean different things by them: only those under the same heading compare",
        );
    }
    let format = args.table.unwrap_or(TableFormat::Text);
    let mut text = table::of(&groups, &sections, format)?;
    let written = [("report", &record.out), ("samples", &record.sheet)];
    let written =
        written.iter().filter_map(|(what, path)| Some(format!("{what} to {}", path.as_ref()?)));
    let written: Vec<String> = written.collect();
    if !written.is_empty() && format == TableFormat::Text {
        text += &format!("\n{} in {}\n", written.join(", "), human_seconds(record.seconds));
    }
    terminal.result(&record, || text)
}

/// A run on its rows, and which these are.
fn evaluated(
    args: &CompareArgs,
    session: &Session,
    (run, config, label): (&RunDir, &Config, String),
    device: &Chosen,
) -> Result<(Rows, Member)> {
    let terminal = &session.terminal.beside(args.out.as_deref());
    let event = config.event_of_run()?;
    let model = run.load_model(config, &event, &device.device)?;
    let split = match (&args.data, args.split) {
        (None, None) => Some(reported(config)),
        (_, split) => split,
    };
    let (data, split) = data_of(args.data.as_deref(), split, config, &args.file, session)?;
    let part = Part::of(&data, args.examples.unwrap_or(usize::MAX));
    let columns = columns_of(config, &event);
    let symbols = config.symbols();
    let shown = symbols.as_ref().unwrap_or(&event);
    let schema = config.data.schema.as_ref();
    let reporter =
        Reporter { model: &model, event: &event, shown, columns: &columns, schema, terminal };
    let start = Instant::now();
    let nll_nats = reporter.scores(&part, &run.display());
    let seconds = start.elapsed().as_secs_f64();
    let on_page = match args.out.is_some() || args.sheet.is_some() {
        true => Some(Shown {
            samples: reporter.samples(&data, args.seed, page::IMAGES)?,
            layout: reporter.image().map(|(layout, _)| layout),
            columns: columns.clone(),
            costs: match args.out {
                Some(_) => reporter.cost_per_variable(&part),
                None => Vec::new(),
            },
            epochs: run.epochs()?,
        }),
        false => None,
    };
    let training: Option<Training> = run.read_result()?;
    let is_own = args.data.is_none();
    let is_test = is_own && split == Some(Split::Test) && part.len() == data.len();
    let noted = training.as_ref().and_then(|training| training.test.as_ref()).filter(|_| is_test);
    let member = Member {
        run: run.display(),
        label,
        config: config.name.clone(),
        model: model.kind().to_owned(),
        sees: sees::sees(&config.model, &event),
        parameters: model.free_parameters().to_string(),
        fold: config.data.folds.filter(|_| is_own).map(|folds| [folds.fold, folds.count]),
        score: Score::of(&nll_nats, event.variables()),
        nll_nats,
        log_scale: model.standardization().map(|standardization| standardization.log_scale()),
        accuracy: noted.and_then(|test| test.accuracy),
        paper: config.paper.clone().filter(|_| is_test),
        train_seconds: training.map(|training| training.seconds),
        seconds,
        accepted_changes: config.data.expected.accepted(),
        shown: on_page,
    };
    Ok((Rows::of(named(&data, split), &event, &part), member))
}

/// The shortest ends of paths, as many folders of each, that tell all of them apart.
fn labels(paths: &[PathBuf]) -> Vec<String> {
    let ends = |folders: usize| -> Vec<String> {
        let end = |path: &PathBuf| {
            let parts: Vec<_> = path.components().collect();
            let end: PathBuf = parts[parts.len().saturating_sub(folders)..].iter().collect();
            end.display().to_string()
        };
        paths.iter().map(end).collect()
    };
    let most = paths.iter().map(|path| path.components().count()).max().unwrap_or(1);
    let differ = |labels: &Vec<String>| labels.iter().collect::<HashSet<_>>().len() == labels.len();
    (1..=most).map(ends).find(differ).unwrap_or_else(|| ends(most))
}

/// How the page was made.
fn made(args: &CompareArgs, runs: &[(RunDir, Config)], device: &str) -> Result<Vec<String>> {
    let names: Vec<String> = runs.iter().map(|(run, _)| run.display()).collect();
    let mut command = format!("chainrule compare {}", names.join(" "));
    command.extend(args.data.iter().map(|data| format!(" --data {data}")));
    command.extend(args.split.iter().map(|split: &Split| format!(" --split {split}")));
    command.extend(args.examples.iter().map(|examples| format!(" --examples {examples}")));
    let path = args.out.as_ref().context(Internal("a page is made without a place for it"))?;
    command += &format!(" --seed {} --out {}", args.seed, path.display());
    command.extend(args.title.iter().map(|title| format!(" --title {title:?}")));
    Ok(vec![command, format!("chainrule {} · device {device}", env!("CARGO_PKG_VERSION"))])
}

impl GroupRecord {
    fn of(group: &Group) -> Self {
        let best = group.best();
        let run = |member: &Member| {
            let score = &member.score;
            let difference = best.map(|best| Difference::of(member, best));
            RunRecord {
                run: member.run.clone(),
                config: member.config.clone(),
                model: member.model.clone(),
                sees: member.sees.clone(),
                parameters: member.parameters.clone(),
                nll_nats: finite(score.nll_nats),
                nll_nats_stderr: finite(score.nll_nats_stderr),
                bits_per_dim: finite(score.bits_per_dim()),
                nll_standardized_nats: member.cost().standardized.and_then(|(x, _)| finite(x)),
                accuracy: member.accuracy,
                paper: member.paper.clone(),
                fold: member.fold,
                difference_nats: difference.and_then(|difference| finite(difference.nats)),
                difference_nats_stderr: difference.and_then(|difference| finite(difference.stderr)),
                train_seconds: member.train_seconds,
                seconds: member.seconds,
                accepted_changes: member.accepted_changes.clone(),
            }
        };
        let pair = |(a, b): (&Member, &Member)| {
            let Difference { nats, stderr } = Difference::of(a, b);
            PairRecord {
                a: a.run.clone(),
                b: b.run.clone(),
                difference_nats: finite(nats),
                difference_nats_stderr: finite(stderr),
            }
        };
        Self {
            data: group.rows.name.clone(),
            examples: group.rows.examples,
            variables: group.rows.variables(),
            levels: group.rows.levels(),
            best: best.map(|best| best.run.clone()),
            runs: group.members.iter().map(run).collect(),
            pairs: group.pairs().map(pair).collect(),
        }
    }
}

impl FoldsRecord {
    fn of(crossed: &Crossed<'_>) -> Self {
        let Crossed { cost, above, .. } = crossed;
        Self {
            config: crossed.config.to_owned(),
            runs: crossed.members.iter().map(|(_, member)| member.run.clone()).collect(),
            nll_nats: finite(cost.nll_nats),
            nll_nats_stderr: finite(cost.nll_nats_stderr),
            bits_per_dim: finite(cost.bits_per_dim()),
            nll_standardized_nats: cost.standardized.and_then(|(nats, _)| finite(nats)),
            nll_standardized_nats_stderr: cost.standardized.and_then(|(_, stderr)| finite(stderr)),
            accuracy: crossed.accuracy(),
            difference_nats: above.and_then(|above| finite(above.nats)),
            difference_nats_stderr: above.and_then(|above| finite(above.stderr)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_shortest_ends_that_differ() {
        let of = |paths: &[&str]| labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/nade", "runs/made/"]), ["nade", "made"]);
        assert_eq!(of(&["a/runs/nade", "b/runs/nade"]), ["a/runs/nade", "b/runs/nade"]);
        assert_eq!(of(&["nade", "nade"]), ["nade", "nade"], "the same one twice");
    }
}
